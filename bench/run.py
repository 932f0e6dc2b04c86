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
from programs import ROOT, TARGETS, Backend, Load, http_request, write_requests
from servers import SERVERS

PROXY_CORE, LOAD_CORE = 0, 1
N_CONNECTIONS = 64
N_IDLE, N_IDLE_FIRST = 10_000, 1000
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

    def requests(self, cookies):
        method = "POST" if self.upload else "GET"
        fields = ["Connection: close"] if self.is_fresh else []
        path = f"/api/{world.SERVICE}/{self.size}"
        return [http_request(method, path, cookie, b"x" * self.upload, fields)
                for cookie in cookies]

    @property
    def path(self):
        return RUN / f"{self.name}.requests"

    def load(self, server, core, **options):
        if self.rate:
            options["rate"] = self.rate
        if self.is_fresh:
            options.update(fresh=1, addresses=50)
        return Load(server.address, self.path, core, connections=N_CONNECTIONS, length=self.size,
                    **options)


SCENARIOS = [
    Scenario("get128", "GET 128 B, saturated", 0.75, 128),
    Scenario("rate5k", "GET 128 B at 5,000/s", 0.80, 128, rate=5000),
    Scenario("get16k", "GET 16 KiB", 0.76, 16 << 10),
    Scenario("post4k", "POST 4 KiB", 0.70, 128, upload=4096),
    Scenario("get1m", "GET 1 MiB", 0.90, 1 << 20),
    Scenario("fresh", "new connection per request", 1.00, 128, is_fresh=True),
]
IDLE = "idle"
IDLE_TARGET = 320
WARM = {"get1m": 200}
WARM_DEFAULT = 2000


def measure(server, scenario, seconds, core):
    """One short run: CPU of the proxy per request, and latencies."""
    load = scenario.load(server, core, warm=WARM.get(scenario.name, WARM_DEFAULT), seconds=seconds)
    before = server.cpu()
    result = load.run()
    spent = server.cpu() - before
    load.stop()
    n = result["requests"]
    return {"cpu": spent.total / 1000 / n, "user": spent.user, "system": spent.system,
            "requests": n, "rate": n / result["seconds"], "p50": result["p50"],
            "p99": result["p99"]}


def hold(server, n, core):
    """Opens connections that each make one request and then stay."""
    load = Load(server.address, SCENARIOS[0].path, core, connections=n, addresses=50,
                in_flight=N_CONNECTIONS, count=n, length=SCENARIOS[0].size)
    load.run()
    return load


def measure_idle(make, core):
    """Bytes of a fresh process's own memory for each kept connection without a request. The first
    thousand fill what starting and warming up have left free, and are not counted."""
    server = make()
    loads = []
    try:
        scenario = SCENARIOS[0]
        if server.name == "sarsen":
            write_requests(scenario.path, scenario.requests(server.cookies(N_CONNECTIONS)))
        loads.append(scenario.load(server, core, warm=2 * WARM_DEFAULT))
        loads.append(hold(server, N_IDLE_FIRST, core))
        before = server.anonymous()
        loads.append(hold(server, N_IDLE - N_IDLE_FIRST, core))
        return (server.anonymous() - before) / (N_IDLE - N_IDLE_FIRST)
    finally:
        for load in loads:
            load.stop()
        server.stop()


class Bench:
    def __init__(self, options):
        self.options = options
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            sys.exit("the bench needs two cores")
        self.proxy_core, self.load_core = cores[PROXY_CORE], cores[LOAD_CORE]
        self.scenarios = [one for one in SCENARIOS if one.name in options.scenarios]
        self.runs = {one.name: {name: [] for name in options.servers} for one in self.scenarios}
        self.idle, self.servers = {}, []

    def make(self, name):
        return SERVERS[name](RUN, self.backend, self.proxy_core)

    def start(self):
        self.backend = Backend(self.load_core)
        # Peers get the very bytes that Sarsen gets, cookies too.
        for name in self.options.servers:
            self.servers.append(self.make(name))
        sarsen = next((one for one in self.servers if one.name == "sarsen"), None)
        cookies = sarsen.cookies(N_CONNECTIONS) if sarsen else [None]
        for scenario in self.scenarios or SCENARIOS[:1]:
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
        if IDLE in self.options.scenarios:
            for name in self.options.servers:
                self.idle[name] = measure_idle(lambda name=name: self.make(name), self.load_core)
        self.backend.stop()


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory": f"{memory / (1 << 30):.0f} GiB", "kernel": platform.release(),
            "congestion": pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text()
            .strip()}


def arguments():
    names = [one.name for one in SCENARIOS] + [IDLE]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scenarios", help=", ".join(names))
    parser.add_argument("--servers", help=", ".join(SERVERS))
    parser.add_argument("--reps", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--save", action="store_true", help="write bench/results also when quick")
    options = parser.parse_args()
    chosen = [name for name in names if name != IDLE or not options.quick]
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
        "targets": {**{one.name: one.target for one in SCENARIOS}, IDLE: IDLE_TARGET},
        "titles": {one.name: one.title for one in SCENARIOS},
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
