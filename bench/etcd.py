# SPDX-License-Identifier: Apache-2.0
"""The store beside Debian's etcd: one member, the same disk, every put on it before its answer.

Sarsen is asked as Consul's clients ask it, by the KV of its Consul API over HTTP/1.1; etcd as its
own clients ask it, by gRPC.
"""
import contextlib
import dataclasses
import re
import shutil
import socket
import subprocess
import sys
import time

import report
import world
from programs import Load, http2_request, http_request, pinned, write_requests
from servers import Cpu, free_port, tree

VALUE = 256
IN_FLIGHT = (1, 8, 64, 512)
WATCHERS = (100, 1000)
N_KEYS = max(IN_FLIGHT)
ETCD_CONNECTIONS = 8  # what is in flight shares them
FACE = 'faces: { consul: "127.0.0.1:0" }\n'
KEY = "bench/watched"
CHANGES = 20  # a second


def ask(method, path, body=b""):
    """A call of the Consul API, which wants to be named rightly."""
    return http_request(method, path, body=body, host="localhost")


class Sarsen:
    name = "sarsen"

    def __init__(self, directory, core):
        self.directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.sarsen = world.Sarsen(directory, core, more=FACE)
        self.pids = [self.sarsen.process.pid]

    def put(self, path, value):
        return ask("PUT", f"/v1/kv/{path}", value)

    def load_puts(self, n, core, **options):
        path = self.directory / "puts"
        # The same value again would be no change, to Consul's clients.
        write_requests(path, [self.put(f"bench/k{i}", letter * VALUE)
                              for letter in (b"a", b"b") for i in range(N_KEYS)])
        return Load(self.sarsen.consul, path, core, connections=n, length=4, any=1, walk=1,
                    warm=2 * N_KEYS, **options)

    def load_watchers(self, n, core, **options):
        requests, changes = self.directory / "watches", self.directory / "changes"
        world.Lanes(self.sarsen.consul).ask([self.put(KEY, b"0")])
        write_requests(requests, [ask("GET", f"/v1/kv/{KEY}?wait=600s&index={0:020}")])
        write_requests(changes, [self.put(KEY, letter * VALUE) for letter in (b"a", b"b")])
        return Load(self.sarsen.consul, requests, core, "bench-watch", connections=n,
                    changes=changes, **options)

    def stop(self):
        self.sarsen.stop()


def field(number, data):
    """A field of protobuf with bytes."""
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + data


class Etcd:
    name = "etcd"

    def __init__(self, directory, core):
        self.directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        port, peer = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self.log = open(directory / "log", "w")  # noqa: SIM115 (it is the process's)
        self.process = subprocess.Popen(
            [*pinned(core), "etcd", "--name", "bench", "--data-dir", directory / "data",
             "--listen-client-urls", f"http://{self.address}",
             "--advertise-client-urls", f"http://{self.address}",
             "--listen-peer-urls", f"http://127.0.0.1:{peer}",
             "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
             "--initial-cluster", f"bench=http://127.0.0.1:{peer}", "--logger", "zap",
             "--log-level", "error"], stdout=self.log, stderr=self.log)
        self._wait(port)

    @property
    def pids(self):
        return tree(self.process.pid)

    def _wait(self, port):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), 1)
                with connection, connection.makefile("rwb") as file:
                    file.write(b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")
                    file.flush()
                    if b" 200 " in file.readline():
                        return
            time.sleep(0.02)
        raise RuntimeError(f"etcd did not start: {(self.directory / 'log').read_text()}")

    @staticmethod
    def put(key, value):
        return http2_request("POST", "/etcdserverpb.KV/Put",
                             message=field(1, key.encode()) + field(2, value))

    def load_puts(self, n, core, **options):
        path = self.directory / "puts"
        connections = min(n, ETCD_CONNECTIONS)
        write_requests(path, [self.put(f"bench/k{i}", b"a" * VALUE) for i in range(connections)])
        return Load(self.address, path, core, "bench-load-h2", connections=connections, grpc=1,
                    any=1, streams=n // connections, warm=2 * N_KEYS, **options)

    def load_watchers(self, n, core, **options):
        requests, changes = self.directory / "watches", self.directory / "changes"
        create = field(1, field(1, KEY.encode()))
        write_requests(requests, [http2_request("POST", "/etcdserverpb.Watch/Watch",
                                                message=create)])
        write_requests(changes, [self.put(KEY, b"a" * VALUE)])
        return Load(self.address, requests, core, "bench-watch-h2", connections=n,
                    changes=changes, **options)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


SERVERS = {"sarsen": Sarsen, "etcd": Etcd}


def version():
    if not shutil.which("etcd"):
        return None
    done = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=False)
    return re.search(r"\d+(\.\d+)+", done.stdout)[0]


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    in_flight: int = 0
    watchers: int = 0

    def measure(self, server, options, core):
        """One run: CPU of the server for a put, or for each watcher that is told; latencies."""
        if self.watchers:
            load = server.load_watchers(self.watchers, core, count=options.changes, rate=CHANGES)
        else:
            load = server.load_puts(self.in_flight, core, seconds=options.seconds)
        before = Cpu(server.pids)
        result = load.run()
        spent = Cpu(server.pids) - before
        load.stop()
        n = result["requests"] * max(self.watchers, 1)
        return {"cpu": spent.total / 1000 / n, "rate": result["requests"] / result["seconds"],
                "p50": result["p50"] / 1000, "p99": result["p99"] / 1000}


SCENARIOS = [
    *(Scenario(f"put{n}", f"put, {n} in flight", in_flight=n) for n in IN_FLIGHT),
    *(Scenario(f"watch{n}", f"change, {n} watchers", watchers=n) for n in WATCHERS),
]


def run(directory, cores, options):
    """By scenario and server, a list of runs."""
    runs = {one.name: {name: [] for name in SERVERS} for one in SCENARIOS}
    servers = []
    try:
        for name, make in SERVERS.items():
            servers.append(make(directory / name, cores[0]))
        for rep in range(options.reps):
            for scenario in SCENARIOS:
                for server in servers if rep % 2 else servers[::-1]:
                    runs[scenario.name][server.name].append(
                        scenario.measure(server, options, cores[1]))
            print(f"store: repetition {rep + 1} of {options.reps}", file=sys.stderr, flush=True)
    finally:
        for server in servers:
            server.stop()
    return runs


def text(runs):
    row = report.row
    yield row("scenario", "CPU, sarsen/etcd", "quartiles", "time, sarsen/etcd", "quartiles")
    yield "|---|--:|---|--:|---|"
    for scenario in SCENARIOS:
        cells = []
        for key in ("cpu", "p50"):
            low, middle, high = report.quartiles(report.ratios(runs[scenario.name], "etcd", key))
            cells += [f"{middle:.2f}", f"{low:.2f} to {high:.2f}"]
        yield row(scenario.title, *cells)
    yield ""
    yield row("scenario", "server", "CPU us", "a second", "p50 ms", "p99 ms")
    yield "|---|---|--:|--:|--:|--:|"
    for scenario in SCENARIOS:
        for server, measured in runs[scenario.name].items():
            middle = {key: report.median(measured, key) for key in ("cpu", "rate", "p50", "p99")}
            yield row(scenario.title, server, f"{middle['cpu']:.1f}", f"{middle['rate']:,.0f}",
                      f"{middle['p50']:.2f}", f"{middle['p99']:.2f}")
