# SPDX-License-Identifier: Apache-2.0
"""Names of hosts, resolved by a confined server: in a network and a file system of its own, where
/etc/resolv.conf is a link to elsewhere, as it often is."""
import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest
from support.daemon import Daemon, request

CLONE_NEWNET = 0x40000000


def can_make_namespaces():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "-n", "ip", "link", "set", "lo", "up"], capture_output=True,
        check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif(not shutil.which("etcd"), reason="etcd is not installed"),
    pytest.mark.skipif(not can_make_namespaces(), reason="needs root and namespaces"),
]


class Namespace:
    """A network with a loopback and no way out; it goes with the process that holds it."""

    def __init__(self):
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n"
        self.path = f"/proc/{self.holder.pid}/ns/net"

    def command(self, *words):
        return ["nsenter", f"--net={self.path}", *words]

    def socket(self, kind):
        """One that was made in there, by a thread that went there."""
        made = []

        def make():
            with open(self.path, "rb") as place:
                assert ctypes.CDLL(None).setns(place.fileno(), CLONE_NEWNET) == 0
            made.append(socket.socket(socket.AF_INET, kind))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class NameServer:
    """Answers for one name, by TCP only: by UDP it says that the answer was cut off."""

    def __init__(self, namespace, name):
        self.name = name
        self.asked = {"udp": 0, "tcp": 0}
        self.udp = namespace.socket(socket.SOCK_DGRAM)
        self.tcp = namespace.socket(socket.SOCK_STREAM)
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
        is_known = ".".join(labels) == self.name
        records = b""
        if is_known and kind == 1 and not is_cut:
            records = (struct.pack("!HHHIH", 0xc00c, 1, 1, 5, 4)
                       + socket.inet_aton("127.0.0.1"))
        flags = 0x8180 | (0x200 if is_cut else 0) | (0 if is_known else 3)
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


@pytest.fixture
def namespace():
    made = Namespace()
    yield made
    made.close()


class Etcd:
    """One member, inside."""

    PLACE = "http://127.0.0.1:2379"

    def __init__(self, namespace, directory):
        self.command = namespace.command(
            "etcd", "--data-dir", directory / "etcd", "--listen-client-urls", self.PLACE,
            "--advertise-client-urls", self.PLACE)
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def etcd(namespace, tmp_path):
    made = Etcd(namespace, tmp_path)
    yield made
    made.kill()


@pytest.fixture
def confined(binary, namespace, tmp_path):
    """A daemon inside, with an /etc of its own whose resolv.conf is a link out of it."""
    etc, run = tmp_path / "etc", tmp_path / "run"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True,
                    ignore=shutil.ignore_patterns("resolv.conf"))
    run.mkdir()
    (run / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (etc / "resolv.conf").symlink_to(run / "resolv.conf")
    daemon = Daemon(binary, tmp_path / "d",
                    "sandbox: auto\nstore: { etcd: { endpoints: etcd.test:2379 } }\n")
    daemon.prefix = namespace.command(
        "unshare", "-m", "sh", "-c", f'mount --bind {etc} /etc && exec "$@"', "sh")
    yield daemon
    daemon.stop()
    daemon.check_log()


def put_customer(daemon, name):
    return request(f"unix:{daemon.data}/api.sock", "PUT", f"/v1/customers/{name}",
                   '{"attributes":{}}')


def test_a_confined_server_asks_name_servers(confined, namespace, etcd):
    server = NameServer(namespace, "etcd.test")
    try:
        confined.start()
        assert server.asked["udp"] and server.asked["tcp"]
        with open(f"/proc/{confined.process.pid}/status") as status:
            assert "Seccomp:\t2" in status.read()
        assert any("msg=confined" in line for line in confined.log)
        assert put_customer(confined, "a").status == 201

        # It cannot have been asked before it was confined, but for what follows that is certain.
        asked = server.asked["tcp"]
        confined.expect_log("level=")  # there is no etcd for a moment
        etcd.kill()
        Daemon.eventually(lambda: server.asked["tcp"] > asked, 60)
        etcd.start()
        Daemon.eventually(lambda: put_customer(confined, "b").status == 201, 60)
    finally:
        server.close()
