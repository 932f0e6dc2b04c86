# SPDX-License-Identifier: Apache-2.0
"""Thousands of clients that are slow on purpose cost their neighbours next to nothing, and end on
their deadlines."""
import contextlib
import json
import os
import resource
import statistics
import time

import pytest
from conftest import ROOT
from support.slow import Program
from support.wire import Upstream, Wire, eventually

BUILD = os.environ.get("SARSEN_BUILD", "asan")
BYTES_EACH = 16384
N_WINDOWS = 5


class Size:
    def __init__(self, n, deadline, floor):
        self.n = n
        self.deadline = deadline  # seconds, of heads, bodies and answers
        self.floor = floor  # seconds: what a busy machine does to anybody's p99


# What a sanitizer makes of memory and time says nothing, so the numbers are the release build's.
SIZES = {BUILD: Size(900, 12, 0.1), "release": Size(10000, 20, 0.025)}

CONFIG = """\
  head_timeout: {0}s
  stall_timeout: {0}s
  limits: {{ body_rate: 1KiB, body_grace: {0}s }}
  upstream: {{ connections: 20000 }}
"""


@pytest.fixture
def slow():
    """Starts the programs of support/slow.py."""
    made = []

    def start(*arguments):
        made.append(Program(*arguments))
        return made[-1]

    yield start
    for program in made:
        program.stop()


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def p99(wires, path):
    """Of the answers in a second, over kept connections in turn, a few hundred a second."""
    times = []
    end = time.monotonic() + 1
    while (began := time.monotonic()) < end:
        wire = wires[len(times) % len(wires)]
        wire.get(path)
        head, body = wire.answer()
        times.append(time.monotonic() - began)
        assert (head.status, body) == (200, b"ok")
        time.sleep(0.002)  # a rate, not a wait
    return statistics.quantiles(times, n=100)[98]


def neighbours_p99(wires, path):
    return statistics.median(p99(wires, path) for _ in range(N_WINDOWS))


def use_build(daemon, build):
    daemon.binary = ROOT / "build" / build / "src" / "daemon" / "sarsen"
    if not daemon.binary.exists():
        pytest.skip(f"there is no {build} build")
    return daemon.start()


@pytest.mark.parametrize("build", SIZES)
def test_slow_clients_hurt_nobody_else(make_daemon, slow, build):
    size = SIZES[build]
    daemon = make_daemon(gateway=CONFIG.format(size.deadline), start=False)
    use_build(daemon, build)
    daemon.register("fast", "i1", slow("serve").line(), "1.0.0", ttl="10m")
    daemon.register("slow", "i1", slow("serve").line(), "1.0.0", ttl="10m")
    wires = [Wire.connect(daemon.edge) for _ in range(8)]
    before = neighbours_p99(wires, "/api/fast/")
    memory = resident(daemon)

    attack = slow("attack", daemon.edge, size.n, "/api/slow/", "/api/slow/big")
    began = json.loads(attack.line())
    assert began == {"open": size.n, "ends": {}, "answered": size.n // 3}, "all are admitted"
    assert daemon.get("/v1/health")["clients"] == size.n + len(wires)

    during = neighbours_p99(wires, "/api/fast/")
    each = (resident(daemon) - memory) / size.n
    state = daemon.get("/v1/health")
    print(f"p99 {before * 1e3:.2f} ms before, {during * 1e3:.2f} ms during; "
          f"{each:.0f} bytes each; {state}")
    assert state["clients"] == size.n + len(wires), "none has ended yet"
    assert during <= max(2 * before, size.floor)
    if build == "release":
        assert each <= BYTES_EACH

    ended = json.loads(attack.line())
    assert ended["open"] == 0
    third = size.n // 3
    assert ended["ends"] == {"head HTTP/1.1 408": third + size.n % 3, "read reset": third,
                             "body HTTP/1.1 408": third}
    eventually(lambda: daemon.get("/v1/health")["clients"] == len(wires))
    p99(wires, "/api/fast/")
    for wire in wires:
        wire.close()


def is_shed(daemon):
    """Whether a new request is refused. At the last level its connection may be closed unheard; and
    while the level falls it may be taken, by a service that does not answer."""
    with Wire.connect(daemon.edge) as wire:
        wire.sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            wire.get("/api/full/")
            return wire.rest()[:13] in (b"", b"HTTP/1.1 503 ")
    return False


def test_memory_that_ran_short_comes_back(make_daemon):
    """Uploads that nobody takes fill it; when their clients go, all is as before. Without a
    sanitizer, which keeps what was freed."""
    daemon = use_build(make_daemon(gateway="  memory: 48MiB\n", start=False), "release")
    daemon.expect_log("memory is short")
    upstream = Upstream(receive_buffer=4096)
    upstream.listener.listen(1024)
    daemon.register("full", "i1", upstream.address, "1.0.0", ttl="10m")

    def pressure():
        return daemon.get("/v1/health")["pressure"]

    uploads = []
    while not is_shed(daemon):  # the level may fall again meanwhile, as freed memory is given back
        assert len(uploads) < 2000, resident(daemon)
        for _ in range(20):
            wire = Wire.connect(daemon.edge)
            uploads.append(wire)
            wire.send(f"PUT /api/full/ HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n\r\n")
            wire.sock.setblocking(False)
        for wire in uploads:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while True:
                    wire.sock.send(bytes(1 << 20))
    for wire in uploads:
        wire.reset()
    eventually(lambda: pressure() == "none")
    assert resident(daemon) < 36 << 20
    upstream.close()
