#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Sarsen beside nginx, HAProxy and h2o: see bench/README.md.

  bench/run.py                         everything, eight repetitions; writes bench/results/
  bench/run.py --quick                 fewer and shorter runs; prints only
  bench/run.py --scenarios get128,post4k --servers sarsen,nginx --reps 4
"""
import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import sys

import report
import world
from programs import ROOT, TARGETS, Load, http2_request, http_request, write_requests
from servers import SERVERS, Backends

PROXY_CORE, LOAD_CORE = 0, 1
N_CONNECTIONS = 64
MESSAGE_SIZE = 128  # of an answer of gRPC; a call has half of it
RUN = ROOT / "build" / "bench" / "run"


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    target: float  # at most this share of the best peer
    size: int  # of the body that is answered
    upload: int = 0
    rate: int = 0
    is_fresh: bool = False
    address: str = "plain"  # which of a server's; see Server
    connections: int = N_CONNECTIONS
    streams: int = 0  # on each connection; 0 is HTTP/1.1
    warm: int = 2000
    servers: tuple = tuple(SERVERS)  # those that can
    beside: tuple = ()  # of them, who are printed and not compared with

    def requests(self, cookies):
        path = f"/api/{world.SERVICE}/{self.size}"
        if self.address == "grpc":
            return [http2_request("POST", world.METHOD, cookie, b"x" * (MESSAGE_SIZE // 2))
                    for cookie in cookies]
        if self.streams:
            return [http2_request("GET", path, cookie) for cookie in cookies]
        method = "POST" if self.upload else "GET"
        fields = ["Connection: close"] if self.is_fresh else []
        return [http_request(method, path, cookie, b"x" * self.upload, fields)
                for cookie in cookies]

    @property
    def path(self):
        return RUN / f"{self.name}.requests"

    def load(self, server, core, **options):
        options.setdefault("connections", self.connections)
        if self.rate:
            options["rate"] = self.rate
        if self.is_fresh:
            options.update(fresh=1, addresses=50)
        if self.address == "tls":
            options["tls"] = 1
        if self.streams:
            options.update(program="bench-load-h2", streams=self.streams)
        if self.address == "grpc":
            options["grpc"] = 1
        return Load(server.addresses[self.address], self.path, core, length=self.size, **options)


WITHOUT_H2O = ("sarsen", "nginx", "haproxy")
SCENARIOS = [
    Scenario("get128", "GET 128 B, saturated", 0.75, 128),
    Scenario("rate5k", "GET 128 B at 5,000/s", 0.80, 128, rate=5000),
    Scenario("get16k", "GET 16 KiB", 0.76, 16 << 10),
    Scenario("post4k", "POST 4 KiB", 0.70, 128, upload=4096),
    Scenario("get1m", "GET 1 MiB", 0.90, 1 << 20, warm=200),
    Scenario("fresh", "new connection per request", 1.00, 128, is_fresh=True),
    Scenario("h2", "HTTP/2 to HTTP/1.1, 8 x 32", 0.65, 128, address="h2", connections=8,
             streams=32),
    Scenario("grpc", "gRPC unary, 8 x 32", 0.35, MESSAGE_SIZE, address="grpc", connections=8,
             streams=32, servers=WITHOUT_H2O),
    Scenario("grpc1", "gRPC unary, 64 x 1", 0.40, MESSAGE_SIZE, address="grpc", streams=1,
             servers=WITHOUT_H2O),
    Scenario("tls128", "TLS GET 128 B", 0.75, 128, address="tls", beside=("h2o",)),
    Scenario("tls1m", "TLS GET 1 MiB", 0.90, 1 << 20, address="tls", warm=200, beside=("h2o",)),
    Scenario("tlsfresh", "TLS handshake and GET", 0.85, 128, address="tls", is_fresh=True,
             warm=200, beside=("h2o",)),
]


@dataclasses.dataclass
class Idle:
    """Memory of a kept connection without a request."""
    name: str
    title: str
    target: float  # bytes, or a share of the best peer when it is small
    address: str
    last: int  # connections; growth counts from the first thousand on
    beside: tuple = ()
    first: int = 1000


IDLES = [
    Idle("idle", "memory per idle connection", 320, "plain", 10_000),
    Idle("tlsidle", "memory per idle TLS connection", 0.9, "tls", 5000, beside=("h2o",)),
]


def measure(server, scenario, seconds, core):
    """One short run: CPU of the proxy per request, and latencies."""
    load = scenario.load(server, core, warm=scenario.warm, seconds=seconds)
    before = server.cpu()
    result = load.run()
    spent = server.cpu() - before
    load.stop()
    n = result["requests"]
    return {"cpu": spent.total / 1000 / n, "user": spent.user, "system": spent.system,
            "requests": n, "rate": n / result["seconds"], "p50": result["p50"],
            "p99": result["p99"]}


def measure_idle(make, idle, core):
    """Bytes of a fresh process's own memory for each kept connection without a request. The first
    thousand fill what starting and warming up have left free, and are not counted."""
    server = make()
    loads = []
    scenario = Scenario(idle.name, "", 0, 128, address=idle.address)

    def hold(n):
        """Opens connections that each make one request and then stay."""
        loads.append(scenario.load(server, core, connections=n, addresses=50,
                                   in_flight=N_CONNECTIONS, count=n))
        loads[-1].run()

    try:
        write_requests(scenario.path, scenario.requests(cookies_of([server])))
        loads.append(scenario.load(server, core, warm=2 * scenario.warm))
        hold(idle.first)
        before = server.anonymous()
        hold(idle.last - idle.first)
        return (server.anonymous() - before) / (idle.last - idle.first)
    finally:
        for load in loads:
            load.stop()
        server.stop()


def cookies_of(servers):
    """Those of customers, if Sarsen is among the servers: peers get the bytes that it gets."""
    sarsen = next((one for one in servers if one.name == "sarsen"), None)
    return sarsen.cookies(N_CONNECTIONS) if sarsen else [None]


class Bench:
    def __init__(self, options):
        self.options = options
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            sys.exit("the bench needs two cores")
        self.proxy_core, self.load_core = cores[PROXY_CORE], cores[LOAD_CORE]
        self.scenarios = [one for one in SCENARIOS if one.name in options.scenarios]
        self.runs = {one.name: {name: [] for name in options.servers if name in one.servers}
                     for one in self.scenarios}
        self.idle, self.servers = {}, []

    def make(self, name):
        return SERVERS[name](RUN, self.backends, self.proxy_core)

    def start(self):
        self.backends = Backends(RUN, self.load_core, MESSAGE_SIZE)
        for name in self.options.servers:
            self.servers.append(self.make(name))
        cookies = cookies_of(self.servers)
        for scenario in self.scenarios:
            write_requests(scenario.path, scenario.requests(cookies))

    def stop(self):
        for server in self.servers:
            server.stop()

    def repeat(self):
        for rep in range(self.options.reps):
            for scenario in self.scenarios:
                # Who comes first changes, so that a drift of the machine meets all alike.
                turn = rep % len(self.servers)
                for server in self.servers[turn:] + self.servers[:turn]:
                    if server.name in scenario.servers:
                        run = measure(server, scenario, self.options.seconds, self.load_core)
                        self.runs[scenario.name][server.name].append(run)
            print(f"repetition {rep + 1} of {self.options.reps}", file=sys.stderr, flush=True)

    def run(self):
        try:
            self.start()
            if self.scenarios:
                self.repeat()
        finally:
            self.stop()
        for idle in IDLES:
            if idle.name in self.options.scenarios:
                self.idle[idle.name] = {
                    name: measure_idle(lambda name=name: self.make(name), idle, self.load_core)
                    for name in self.options.servers}
        self.backends.stop()


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory": f"{memory / (1 << 30):.0f} GiB", "kernel": platform.release(),
            "congestion": pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text()
            .strip()}


def arguments():
    idles = [one.name for one in IDLES]
    names = [one.name for one in SCENARIOS] + idles
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scenarios", help=", ".join(names))
    parser.add_argument("--servers", help=", ".join(SERVERS))
    parser.add_argument("--reps", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--save", action="store_true", help="write bench/results also when quick")
    options = parser.parse_args()
    chosen = [name for name in names if name not in idles or not options.quick]
    options.scenarios = options.scenarios.split(",") if options.scenarios else chosen
    options.servers = options.servers.split(",") if options.servers else list(SERVERS)
    options.reps = options.reps or (3 if options.quick else 10)
    options.seconds = options.seconds or (0.4 if options.quick else 0.7)
    for name in options.scenarios:
        if name not in names:
            parser.error(f"no scenario {name}")
    for name in list(options.servers):
        if name not in SERVERS:
            parser.error(f"no server {name}")
        if SERVERS[name].version() is None:
            print(f"{name} is not here and is left out", file=sys.stderr)
            options.servers.remove(name)
    return options


def main():
    options = arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subprocess.run([ROOT / "tools" / "build", "release", *TARGETS], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    world.make()
    bench = Bench(options)
    bench.run()

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                            capture_output=True, check=False).stdout.strip() or "unknown"
    now = datetime.datetime.now(datetime.UTC)
    results = {
        "date": now.isoformat(timespec="seconds"), "commit": commit, "machine": machine(),
        "versions": {name: SERVERS[name].version() for name in options.servers},
        "connections": N_CONNECTIONS, "seconds": options.seconds, "repetitions": options.reps,
        "targets": {one.name: one.target for one in [*SCENARIOS, *IDLES]},
        "titles": {one.name: one.title for one in [*SCENARIOS, *IDLES]},
        "beside": {one.name: one.beside for one in [*SCENARIOS, *IDLES]},
        "runs": bench.runs, "idle": bench.idle,
    }
    text = report.text(results)
    print(text)
    if not options.quick or options.save:
        path = ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-{commit}"
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".md").write_text(text)
        path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {path.relative_to(ROOT)}.md and .json")


if __name__ == "__main__":
    main()
