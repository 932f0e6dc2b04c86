# SPDX-License-Identifier: Apache-2.0
"""The HTTP/2 conformance suite, with a service of HTTP/1.1 behind the gateway."""
import re
import subprocess


def test_h2spec(go, gateway, lane):
    host, _, port = gateway.address(lane).rpartition(":")
    done = subprocess.run(
        [go / "h2spec", "-h", host, "-p", port, "-P", "/h2spec", "-o", "2",
         *(["-t", "-k"] if lane == "tls" else [])],
        capture_output=True, text=True, timeout=400, check=False)
    closing = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert closing, done.stdout + done.stderr
    assert closing.groups() == ("146", "146", "0", "0"), done.stdout[-8000:]
    assert done.returncode == 0
