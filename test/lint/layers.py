#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/layers.py over small trees, each with one include that is wrong, or none."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "layers.py"
LAYERS = """\
# a comment
base:
registry (door): base
gateway  (door): base registry   # and one behind
client:          base !base/mem.h
daemon:          *
"""


def check(path, text):
    """What the tool says of a tree with this one file, and its exit status."""
    with tempfile.TemporaryDirectory() as root:
        src = pathlib.Path(root, "src")
        file = src / path
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        (src / "LAYERS").write_text(LAYERS, encoding="utf-8")
        done = subprocess.run([sys.executable, TOOL, root], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout + done.stderr


class Layers(unittest.TestCase):
    def refuses(self, path, text, *words):
        status, output = check(path, text)
        self.assertEqual(status, 1, output)
        self.assertEqual(len(output.splitlines()), 1, output)
        for word in words:
            self.assertIn(word, output)

    def accepts(self, path, text):
        self.assertEqual(check(path, text), (0, ""))

    def test_what_the_line_allows_passes(self):
        self.accepts("gateway/route.c", '#include "gateway/route.h"\n#include <stdio.h>\n'
                     '#include "base/span.h"\n#include "registry/registry.h"\n'
                     '#include "registry/settings.h"\n')

    def test_an_include_upwards_is_found_with_its_line(self):
        self.refuses("registry/lease.c", '#include "base/span.h"\n\n#include "gateway/gateway.h"\n',
                     "src/registry/lease.c:3:", "registry may not use gateway/gateway.h")

    def test_headers_are_looked_at_too(self):
        self.refuses("base/span.h", '#  include "registry/registry.h"\n', "src/base/span.h:1:")

    def test_folders_below_a_room_belong_to_it(self):
        self.refuses("gateway/balancers/x.c", '#include "client/client.h"\n',
                     "gateway may not use client/client.h")

    def test_a_header_behind_the_door_is_private(self):
        self.refuses("gateway/route.c", '#include "registry/lease.h"\n',
                     "lease.h is private to registry")

    def test_the_door_holds_for_who_may_use_all(self):
        self.refuses("daemon/main.c", '#include "registry/lease.h"\n', "private to registry")

    def test_a_room_without_a_door_is_open(self):
        self.accepts("daemon/main.c", '#include "client/transport.h"\n')

    def test_one_header_can_be_taken_away(self):
        self.accepts("client/client.c", '#include "base/span.h"\n')
        self.refuses("client/client.c", '#include "base/mem.h"\n', "client may not use base/mem.h")

    def test_a_relative_include_is_refused_in_ones_own_room(self):
        self.refuses("registry/lease.c", '#include "../base/span.h"\n', "include from the root")
        self.refuses("registry/lease.c", '#include "./lease.h"\n', "include from the root")

    def test_a_room_that_layers_does_not_name_may_use_nothing(self):
        self.refuses("new/x.c", '#include "base/span.h"\n', "new may not use base/span.h")


if __name__ == "__main__":
    unittest.main()
