# SPDX-License-Identifier: Apache-2.0
"""A name server of the test's own, in a network of its own, and programs that ask it."""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading


def can_make_namespaces():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "-n", "ip", "link", "set", "lo", "up"], capture_output=True,
        check=False).returncode == 0


class NameServer:
    """Answers by TCP only: by UDP it says that the answer was cut off. `names`: an address for
    each, which the test may change."""

    def __init__(self, place, names):
        self.names = names
        self.asked = {"udp": 0, "tcp": 0}
        self.udp = place.socket(socket.SOCK_DGRAM)
        self.tcp = place.socket(socket.SOCK_STREAM)
        for one in (self.udp, self.tcp):
            one.bind(("127.0.0.1", 53))
        self.tcp.listen(8)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def answer(self, query, is_cut):
        end = query.index(b"\0", 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += query[at] + 1
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        address = self.names.get(".".join(labels))
        records = b""
        if address and kind == 1 and not is_cut:
            records = (struct.pack("!HHHIH", 0xc00c, 1, 1, 5, 4)
                       + socket.inet_aton(address))
        flags = 0x8180 | (0x200 if is_cut else 0) | (0 if address else 3)
        head = struct.pack("!HHHHHH", *struct.unpack("!H", query[:2]), flags, 1,
                           bool(records), 0, 0)
        return head + query[12:end] + records

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.udp.recvfrom(512)
                self.asked["udp"] += 1
                self.udp.sendto(self.answer(query, True), peer)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                stream = self.tcp.accept()[0]
                threading.Thread(target=self.serve_stream, args=(stream,), daemon=True).start()

    def serve_stream(self, stream):
        with stream, stream.makefile("rb") as come:
            while size := come.read(2):
                self.asked["tcp"] += 1
                answer = self.answer(come.read(int.from_bytes(size, "big")), False)
                stream.sendall(len(answer).to_bytes(2, "big") + answer)

    def close(self):
        for one in (self.udp, self.tcp):
            one.close()


def with_names(place, folder):
    """What a program is to be run under to ask the name server of a place: an /etc of its own whose
    resolv.conf is a link out of it, as it often is."""
    etc, run = folder / "etc", folder / "run"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True,
                    ignore=shutil.ignore_patterns("resolv.conf"))
    run.mkdir()
    (run / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (etc / "resolv.conf").symlink_to(run / "resolv.conf")
    return [*place.enter, "unshare", "-m", "sh", "-c", f'mount --bind {etc} /etc && exec "$@"',
            "sh"]
