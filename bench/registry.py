#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the registry under load, and the store beside etcd: see bench/README.md.

  bench/registry.py                    everything; writes bench/results/
  bench/registry.py --quick            less of it; prints only
  bench/registry.py --only registry    or store
"""
import argparse
import datetime
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import etcd
import report
import world
from programs import ROOT, Load, write_requests
from run import machine
from servers import Cpu, Sarsen

TARGETS = ["src/daemon/sarsen", "bench/bench-load", "bench/bench-load-h2", "bench/bench-watch",
           "bench/bench-watch-h2"]
RUN = ROOT / "build" / "bench" / "registry"
N_SERVICES = 1000
N_INSTANCES = 10  # of each; every other one registers by the Consul API
HEARTBEAT = 5  # seconds
TTL = 60  # longer than what happens between two phases
EXPIRING = 1000  # instances whose heartbeats end
EXPIRING_TTL = 4
CHANGES = 10  # a second
LANES = 256
ADDRESSES = 200


def service(number):
    return f"service-{number}"


def is_consuls(number):
    return number % 2 == 0


def address(number, of):
    return f"10.{number}.{of // 256}.{of % 256}"


class Registry:
    """A server with all instances, each with its own connection for heartbeats."""

    def __init__(self, directory, cores):
        self.directory, self.cores = directory, cores
        self.marks = 0  # what was the last to be registered; the same again is no change
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.start()

    def start(self):
        self.sarsen = world.Sarsen(self.directory, self.cores[0], more=etcd.FACE)

    def cpu(self):
        return Cpu([self.sarsen.process.pid])

    def anonymous(self):
        text = pathlib.Path(f"/proc/{self.sarsen.process.pid}/smaps_rollup").read_text()
        return int(text.partition("Anonymous:")[2].split()[0]) * 1024

    def register(self, of, number, ttl=TTL, mark="0"):
        name = service(of)
        if is_consuls(number):
            body = {"ID": f"{name}-{number}", "Name": name, "Address": address(number, of),
                    "Port": 8080, "Tags": ["v=1.0.0"], "Meta": {"mark": mark},
                    "Check": {"TTL": f"{ttl}s", "Status": "passing"}}
            return etcd.ask("PUT", "/v1/agent/service/register", json.dumps(body).encode())
        body = {"address": f"{address(number, of)}:8080", "build": "1.0.0", "ttl": f"{ttl}s",
                "meta": {"mark": mark}}
        return self.sarsen.api_request("PUT", f"/v1/services/{name}/instances/i{number}", body)

    def beat(self, of, number):
        name = service(of)
        if is_consuls(number):
            return etcd.ask("PUT", f"/v1/agent/check/pass/service:{name}-{number}")
        return etcd.ask("POST", f"/v1/services/{name}/instances/i{number}:heartbeat")

    def fill(self):
        """Registrations a second."""
        all_of_them = [(of, number) for number in range(N_INSTANCES) for of in range(N_SERVICES)]
        began = time.monotonic()
        self.register_all(all_of_them)
        return len(all_of_them) / (time.monotonic() - began)

    def register_all(self, instances, **more):
        for place, wanted in ((self.sarsen.consul, True), (self.sarsen.api, False)):
            with world.Lanes(place, LANES) as lanes:
                lanes.ask([self.register(of, number, **more) for of, number in instances
                           if is_consuls(number) == wanted])

    def beats(self, instances, **options):
        """The clients of these instances, one connection each."""
        loads = []
        for name, place, wanted in (("consul", self.sarsen.consul, True),
                                    ("api", self.sarsen.api, False)):
            path = self.directory / f"beats-{name}"
            requests = [self.beat(*one) for one in instances if is_consuls(one[1]) == wanted]
            write_requests(path, requests)
            # Consul answers a heartbeat with nothing, and so do we.
            loads.append(Load(place, path, self.cores[1], connections=len(requests),
                              addresses=ADDRESSES, status=200 if wanted else 204, any=1,
                              **options))
        return loads

    def all_beats(self, seconds):
        everybody = [(of, number) for number in range(N_INSTANCES) for of in range(N_SERVICES)]
        return self.beats(everybody, seconds=seconds, rate=len(everybody) // HEARTBEAT // 2)

    def watchers(self, n, n_services, **options):
        """Blocking queries, and changes that alternate."""
        requests, changes = self.directory / "watches", self.directory / "changes"
        self.marks += 2
        write_requests(requests, [etcd.ask(
            "GET", f"/v1/health/service/{service(of)}?passing=1&wait=600s&index={0:020}")
            for of in range(n_services)])
        write_requests(changes, [self.register(of, 0, mark=str(mark))
                                 for mark in (self.marks, self.marks + 1)
                                 for of in range(n_services)])
        if not options.get("once"):
            options["changes"] = changes
        return Load(self.sarsen.consul, requests, self.cores[1], "bench-watch", connections=n,
                    **options)

    def stop(self):
        self.sarsen.stop()


def measure_beats(registry, seconds):
    """CPU of the server while 10,000 instances send heartbeats and 1,000 watchers wait."""
    watchers = registry.watchers(1000, N_SERVICES, count=1)
    loads = registry.all_beats(seconds)
    before, began = registry.cpu(), time.monotonic()
    for load in loads:
        load.begin()
    results = [load.end() for load in loads]
    spent = registry.cpu() - before
    taken = time.monotonic() - began
    for load in [*loads, watchers]:
        load.stop()
    n = sum(result["requests"] for result in results)
    return {"share": spent.total / 1e9 / taken, "cpu": spent.total / 1000 / n,
            "rate": n / taken, "p99": max(result["p99"] for result in results) / 1000}


def measure_changes(registry, n_watchers, n_services, has_beats, count):
    """From a registration's sending to the last who watches its service."""
    before_memory = registry.anonymous()
    watchers = registry.watchers(n_watchers, n_services, count=count, rate=CHANGES)
    memory = (registry.anonymous() - before_memory) / n_watchers
    loads = registry.all_beats(count / CHANGES + 1) if has_beats else []
    for load in loads:
        load.begin()
    before = registry.cpu()
    result = watchers.run()
    spent = registry.cpu() - before
    for load in loads:
        load.end()
    for load in [*loads, watchers]:
        load.stop()
    return {"p50": result["p50"] / 1000, "p99": result["p99"] / 1000, "max": result["max"] / 1000,
            "cpu": spent.total / 1e6 / count, "memory": memory}


def measure_expiry(registry):
    """From when the first of 1,000 instances was due to expire, and from when the last was, to the
    last of 1,000 watchers who was told of his."""
    dying = [(of, of % 2) for of in range(EXPIRING)]
    registry.register_all(dying, ttl=EXPIRING_TTL)
    loads = registry.beats(dying, count=EXPIRING // 2)
    watchers = registry.watchers(EXPIRING, EXPIRING, once=1)
    first = time.monotonic() + EXPIRING_TTL
    for load in loads:
        load.begin()
    for load in loads:
        load.end()
    last = time.monotonic() + EXPIRING_TTL
    began = time.monotonic()
    watchers.begin()
    result = watchers.end()
    for load in [*loads, watchers]:
        load.stop()
    told = began + result["max"] / 1e6
    return {"first": (told - first) * 1000, "last": (told - last) * 1000,
            "spread": (last - first) * 1000}


def measure_restart(registry):
    """From exec after kill -9 to when it serves, and to an answer with all instances."""
    registry.sarsen.process.send_signal(signal.SIGKILL)
    registry.sarsen.process.wait()
    began = time.monotonic()
    registry.start()
    ready = time.monotonic() - began
    with world.Lanes(registry.sarsen.consul) as lanes:
        lanes.ask([etcd.ask("GET", f"/v1/health/service/{service(N_SERVICES - 1)}?passing=1")])
    return {"ready": ready * 1000, "answered": (time.monotonic() - began) * 1000}


def measure_registry(options, cores):
    registry = Registry(RUN / "world", cores)
    found = {}
    try:
        found["fill"] = [{"rate": registry.fill()}]
        # With 10,000 watchers there are no heartbeats: both together are more connections than
        # many hosts let a process have.
        for name, *what in (("spread", 1000, N_SERVICES, True), ("one", 1000, 1, True),
                            ("parked", 10_000, N_SERVICES, False)):
            found[name] = [measure_changes(registry, *what, options.changes)]
            print(f"registry: {name}", file=sys.stderr, flush=True)
        found["beats"] = [measure_beats(registry, options.beats) for _ in range(options.reps)]
        found["restart"] = [measure_restart(registry) for _ in range(options.reps)]
        found["expiry"] = [measure_expiry(registry)]
    finally:
        registry.stop()
    return found


# What is shown: the phase, its figure, what it may be at most, and its unit.
LINES = [
    ("fill", "rate", "registrations, 256 at once", None, "/s"),
    ("beats", "share", "heartbeats of 10,000 instances every 5 s, 1,000 watchers", 0.15, "cores"),
    ("beats", "cpu", "one heartbeat, CPU", None, "us"),
    ("spread", "p99", "change to last watcher, 1,000 over 1,000 services, p99", 50, "ms"),
    ("spread", "p50", "its p50", None, "ms"),
    ("one", "p99", "change to last watcher, 1,000 of one service, p99", 50, "ms"),
    ("one", "p50", "its p50", None, "ms"),
    ("parked", "p99", "change to last watcher, 10,000 over 1,000 services, p99", 50, "ms"),
    ("parked", "cpu", "one change, CPU", None, "ms"),
    ("parked", "memory", "a parked query, memory", None, "B"),
    ("expiry", "first", "1,000 expire: first due to last watcher told", 1000, "ms"),
    ("expiry", "last", "the same from the last due", None, "ms"),
    ("restart", "ready", "kill -9: exec to serving", 1000, "ms"),
    ("restart", "answered", "the same to an answer with all instances", 1000, "ms"),
]


def registry_text(found):
    yield report.row("registry", "measured", "target", "")
    yield "|---|--:|--:|---|"
    for phase, key, title, target, unit in LINES:
        value = report.median(found[phase], key)
        shown = f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
        verdict = "" if target is None else "holds" if value <= target else "missed"
        yield report.row(title, f"{shown} {unit}", "" if target is None else f"{target} {unit}",
                         verdict)


def text(results):
    one, versions = results["machine"], results["versions"]
    lines = [
        f"# Registry and store of {results['date'][:10]}, commit {results['commit']}", "",
        f"{one['cpu']}, {one['cores']} cores, {one['memory']}, Linux {one['kernel']}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ". What the numbers mean: bench/README.md.", "",
    ]
    if results["registry"]:
        lines += ["## Registry", "", *registry_text(results["registry"]), ""]
    if results["store"]:
        lines += ["## Store", "", *etcd.text(results["store"]), ""]
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["registry", "store"])
    parser.add_argument("--reps", type=int)
    parser.add_argument("--save", action="store_true", help="write bench/results also when quick")
    options = parser.parse_args()
    options.reps = options.reps or (2 if options.quick else 6)
    options.seconds = 0.5 if options.quick else 2
    options.changes = 40 if options.quick else 200
    options.beats = 6 if options.quick else 10
    return options


def main():
    options = arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subprocess.run([ROOT / "tools" / "build", "release", *TARGETS], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("the bench needs two cores")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                            capture_output=True, check=False).stdout.strip() or "unknown"
    now = datetime.datetime.now(datetime.UTC)
    results = {"date": now.isoformat(timespec="seconds"), "commit": commit, "machine": machine(),
               "versions": {"sarsen": Sarsen.version()}, "registry": {}, "store": {}}
    if etcd.version():
        results["versions"]["etcd"] = etcd.version()
    elif options.only != "registry":
        print("etcd is not here and is left out", file=sys.stderr)
    if options.only != "store":
        results["registry"] = measure_registry(options, cores)
    if options.only != "registry" and "etcd" in results["versions"]:
        results["store"] = etcd.run(RUN, cores, options)
    shown = text(results)
    print(shown)
    if not options.quick or options.save:
        path = ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-{commit}-registry"
        path.with_suffix(".md").write_text(shown)
        path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {path.relative_to(ROOT)}.md and .json")


if __name__ == "__main__":
    main()
