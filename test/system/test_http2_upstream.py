# SPDX-License-Identifier: Apache-2.0
"""Calls over HTTP/2: one daemon in front whose routes lead to another one's edge by it, which leads
to services of HTTP/1.1. Clients speak both versions, so every pair of the two is on the way."""
import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
import threading

import pytest
from support.daemon import Daemon
from support.service import Service
from support.wire import Played, Wire, eventually, reply

BIG = os.urandom(1 << 20) * 3
VERSIONS = ["--http1.1", "--http2-prior-knowledge"]


class Chain:
    def __init__(self, binary, directory, upstream):
        self.back = Daemon(binary, directory / "back", config=(
            f"routes:\n  - match: {{ prefix: / }}\n    upstream: {upstream}\n")).start()
        self.front = Daemon(binary, directory / "front", config=(
            f"routes:\n  - match: {{ prefix: / }}\n    upstream: {self.back.edge}\n"
            "    protocol: http2\n")).start()

    def curl(self, *arguments, data=None):
        """Status, head and body of an answer through both."""
        out = subprocess.run(
            ["curl", "-sS", "-m", "30", "-i", *arguments[:-1],
             f"http://{self.front.edge}{arguments[-1]}"], input=data, capture_output=True,
            check=False)
        assert out.returncode == 0, out.stderr
        head, _, body = out.stdout.partition(b"\r\n\r\n")
        while head.split(b" ")[1].startswith(b"1"):  # 100 and the like
            head, _, body = body.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), head.decode().lower(), body

    def stop(self):
        for daemon in (self.front, self.back):
            daemon.stop()
            daemon.check_log()


def answer(request):
    path = request["path"]
    if path == "/echo":
        return 200, {"X-Sum": hashlib.sha256(request["body"]).hexdigest()}, request["body"]
    if path == "/big":
        return 200, {"X-Many": ["a", "b"]}, BIG
    return 404, {}, b"nothing here"


@pytest.fixture(scope="module")
def chain(binary, tmp_path_factory):
    service = Service(answer=answer)
    chain = Chain(binary, tmp_path_factory.mktemp("chain"), service.address)
    chain.service = service
    yield chain
    chain.stop()
    service.stop()


@pytest.fixture
def played(binary, tmp_path):
    """Starts a chain in front of a service that the test plays."""
    started = []

    def start(play):
        service = Played(play)
        chain = Chain(binary, tmp_path, service.address)
        started.extend([chain, service])
        return chain

    yield start
    if started:
        started[0].stop()
        started[1].close()


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_come_whole(chain, version):
    status, head, body = chain.curl(version, "/big")
    assert status == 200 and body == BIG
    assert "x-many: a" in head and "x-many: b" in head and f"content-length: {len(BIG)}" in head
    status, _, body = chain.curl(version, "/else")
    assert status == 404 and body == b"nothing here"
    status, head, body = chain.curl(version, "-I", "/big")
    assert status == 200 and f"content-length: {len(BIG)}" in head and not body


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framing", [[], ["-H", "transfer-encoding: chunked"]])
def test_bodies_go_both_ways(chain, version, framing):
    if framing and version != VERSIONS[0]:
        framing = ["-H", "content-length:"]
    status, head, body = chain.curl(version, *framing, "--data-binary", "@-", "/echo", data=BIG)
    assert status == 200 and body == BIG
    assert hashlib.sha256(BIG).hexdigest() in head


def test_many_at_once_share_a_connection(chain):
    faults = []

    def ask():
        for _ in range(5):
            status, _, body = chain.curl("--http2-prior-knowledge", "/big")
            if status != 200 or body != BIG:
                faults.append(status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    # To the back, one connection of each of two workers; from it, those of HTTP/1.1.
    port = int(chain.back.edge.rpartition(":")[2])
    assert connections_to(chain.front.process.pid, port) <= 2


def connections_to(pid, port):
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        link = os.readlink(f"/proc/{pid}/fd/{name}")
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    table = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii")
    lines = [line.split() for line in table.splitlines()[1:]]
    return sum(line[9] in inodes and int(line[2].rpartition(":")[2], 16) == port
               for line in lines)


def test_a_client_that_does_not_read_holds_the_service_up(played):
    sent = [0]
    done = threading.Event()

    def play(wire):
        wire.head()
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        wire.sock.settimeout(0.5)
        try:
            while True:
                sent[0] += wire.sock.send(b"x" * 65536)
        except TimeoutError:
            done.set()

    chain = played(play)
    wire = Wire.connect(chain.front.edge)
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert done.wait(20)
    assert 0 < sent[0] < 32 << 20
    wire.close()


def test_a_client_that_goes_ends_the_request(played):
    begun, ended = threading.Event(), threading.Event()

    def play(wire):
        wire.head()
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        begun.set()
        with contextlib.suppress(ConnectionError):
            assert not wire.sock.recv(1)
        ended.set()

    chain = played(play)
    wire = Wire.connect(chain.front.edge).get("/")
    assert begun.wait(20) and wire.head().status == 200
    wire.reset()
    assert ended.wait(20)

    begun.clear()
    ended.clear()
    curl = subprocess.Popen(["curl", "-sN", VERSIONS[1], f"http://{chain.front.edge}/"],
                            stdout=subprocess.PIPE)
    assert begun.wait(20) and curl.stdout.read(3) == b"abc"
    curl.kill()
    curl.wait()
    curl.stdout.close()
    assert ended.wait(20)


def test_an_answer_may_come_before_the_request_is_complete(played):
    def play(wire):
        wire.head()
        wire.sock.sendall(reply("413 Content Too Large", b"too much", "Connection: close"))

    chain = played(play)
    wire = Wire.connect(chain.front.edge)
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"20000\r\n" + b"x" * 0x20000)
    assert wire.head().status == 413
    wire.close()


def test_what_is_under_way_ends_in_peace_when_the_upstream_drains(played):
    begun, go = threading.Event(), threading.Event()

    def play(wire):
        wire.head()
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        begun.set()
        assert go.wait(20)
        wire.sock.sendall(b"def")

    chain = played(play)
    wire = Wire.connect(chain.front.edge)
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert begun.wait(20)
    chain.back.process.send_signal(signal.SIGTERM)
    eventually(lambda: any("msg=stopping" in line for line in chain.back.log))
    go.set()
    head = wire.head()
    assert head.status == 200 and wire.take(6) == b"abcdef"
    wire.close()
    assert chain.back.process.wait(30) == 0


def test_an_upstream_that_dies_is_no_end_of_the_others(played):
    def play(wire):
        while True:
            wire.head()
            wire.sock.sendall(reply("200 OK", b"fine"))

    chain = played(play)
    assert chain.curl("--http1.1", "/")[2] == b"fine"
    address = chain.back.edge
    chain.back.kill()
    assert chain.curl("--http1.1", "/")[0] in (502, 503)
    config = chain.back.config.read_text()
    chain.back.config.write_text(config.replace("edge: 127.0.0.1:0", f"edge: {address}"))
    chain.back.start()
    assert chain.curl("--http2-prior-knowledge", "/")[2] == b"fine"
