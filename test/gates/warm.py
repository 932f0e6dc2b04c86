#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The warm path of one worker under callgrind or strace; gates and people read what comes out.

  test/gates/warm.py [--protocol NAME] [--top N] [--connections N] [--dump FILE]

prints what the worker spends on one proxied GET, or one call of gRPC, and in which functions;
--dump keeps the file for callgrind_annotate. It needs build/release.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "test" / "system"), str(ROOT / "bench")]

from programs import (  # noqa: E402
    BUILD,
    Backend,
    Load,
    http2_request,
    http_request,
    write_requests,
)
from support.daemon import Daemon  # noqa: E402

N_CUSTOMERS = 64
BODY_SIZE = 128
WINDOWS = 3  # that are measured
ALLOCATING = {"malloc", "calloc", "realloc", "reallocarray", "aligned_alloc", "posix_memalign",
              "memalign"}


# What the clients speak, and what else the load generator is told.
H2 = {"program": "bench-load-h2", "streams": 32}
PROTOCOLS = {"http1": {}, "h2": H2, "grpc": {**H2, "grpc": 1}}


class Setup:
    """A daemon of one worker with a service, an app that needs it, and pinned customers, who come
    to the edge listener with the cookie that the gateway gave them."""

    def __init__(self, directory, prefix=(), protocol="http1"):
        self.directory = pathlib.Path(directory)
        self.protocol = protocol
        self.backend = Backend()
        self.grpc = Backend(None, "bench-backend-h2", [BODY_SIZE])
        self.daemon = Daemon(BUILD / "src" / "daemon" / "sarsen", directory)
        config = self.daemon.config
        text = config.read_text().replace("workers: 2", "workers: 1")
        if "valgrind" in prefix:
            text += "sandbox: off\n"  # it makes calls of its own
        config.write_text(text)
        self.daemon.prefix = list(prefix)
        self.daemon.start()
        self.populate()

    def populate(self):
        daemon = self.daemon
        daemon.register("orders", "i1", self.backend.address, "3.14.2", ttl="1h")
        daemon.register("login", "i1", self.backend.address, "1.0.0", ttl="1h")
        daemon.call("PUT", "/v1/services/login", {"identity": True}, status=200)
        requires = {"orders": "3"}
        if self.protocol == "grpc":
            daemon.register("calls", "i1", self.grpc.address, "1.0.0", ttl="1h", protocol="grpc",
                            grpc_services=["bench.Bench"])
            requires["calls"] = "1"
        for release in ("4.1.0", "4.2.0"):
            daemon.publish("shop", release, requires)
        self.requests = []
        for number in range(N_CUSTOMERS):
            customer = f"customer-{number}"
            daemon.call("PUT", f"/v1/customers/{customer}/pins/shop",
                        {"release": f"4.{1 + number % 2}.0", "expires": "never"}, status=201)
            cookie = daemon.edge_get(f"/api/login/customer/{customer}").headers["Set-Cookie"]
            self.requests.append(self.request(cookie.partition(";")[0]))

    def request(self, cookie):
        if self.protocol == "grpc":
            return http2_request("POST", "/bench.Bench/Unary", cookie, b"x" * (BODY_SIZE // 2))
        make = http2_request if self.protocol == "h2" else http_request
        return make("GET", f"/api/orders/{BODY_SIZE}", cookie)

    def load(self, connections, count, warm=1000):
        path = self.directory / "requests"
        write_requests(path, self.requests)
        return Load(self.daemon.edge, path, connections=connections, warm=warm, count=count,
                    length=BODY_SIZE, **PROTOCOLS[self.protocol])

    def stop(self):
        self.daemon.stop()
        self.backend.stop()
        self.grpc.stop()
        self.daemon.check_log()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# --- instructions and allocations ---

class Profile:
    """What one thread did, as callgrind wrote it, over `n_requests`."""

    def __init__(self, path, n_requests):
        self.path, self.n_requests = path, n_requests
        self.self_cost, self.whole_cost = collections.Counter(), collections.Counter()
        self.calls = collections.Counter()
        self.names = {}
        self._read()
        self.total = sum(self.self_cost.values())

    def _name(self, text):
        number, _, name = text.partition(" ")
        if name:
            self.names[number] = name.partition("'")[0]
        return self.names[number]

    def _read(self):
        function = called = None
        for line in pathlib.Path(self.path).read_text(encoding="utf-8").splitlines():
            if line.startswith("fn="):
                function = self._name(line[3:])
            elif line.startswith("cfn="):
                called = self._name(line[4:])
            elif line.startswith("calls="):
                self.calls[called] += int(line[6:].split()[0])
            elif re.match(r"[-+*\d]", line) and function:
                cost = int(line.split()[-1])
                if called:  # the line after calls= has what the called function cost
                    self.whole_cost[function] += cost if called != function else 0
                    called = None
                else:
                    self.self_cost[function] += cost
                    self.whole_cost[function] += cost

    @property
    def instructions(self):
        return self.total / self.n_requests

    @property
    def allocations(self):
        """Calls that may allocate, by name."""
        return {name: n for name, n in self.calls.items() if name in ALLOCATING}

    def top(self, n):
        yield f"{'self':>8} {'whole':>8} {'calls':>7}  function, per request"
        for name, cost in self.self_cost.most_common(n):
            yield (f"{cost / self.n_requests:8.1f} {self.whole_cost[name] / self.n_requests:8.1f} "
                   f"{self.calls[name] / self.n_requests:7.2f}  {name}")


def callgrind(directory, connections, count, protocol="http1"):
    """Runs warm requests and returns the worker's profile of exactly `count` of them: of several
    times as many the one that cost least, for what happens by time, such as collecting counts,
    falls into some of them the more often the slower the machine is."""
    directory = pathlib.Path(directory)
    prefix = ["valgrind", "-q", "--tool=callgrind", "--separate-threads=yes",
              f"--callgrind-out-file={directory}/callgrind", f"--vgdb-prefix={directory}/vgdb"]

    def dump(setup):
        # A dump sets every counter to zero.
        subprocess.run(["callgrind_control", f"--vgdb-prefix={directory}/vgdb", "--dump",
                        str(setup.daemon.process.pid)], check=True, capture_output=True, timeout=60)

    with Setup(directory, prefix, protocol) as setup:
        for _ in range(WINDOWS):
            load = setup.load(connections, count)
            dump(setup)
            load.run()
            dump(setup)
            load.stop()
    workers = []
    for number in range(2, 2 * WINDOWS + 1, 2):
        profiles = [Profile(path, count) for path in directory.glob(f"callgrind.{number}-*")]
        workers.append(max(profiles, key=lambda profile: profile.total))
    return min(workers, key=lambda profile: profile.total)


# --- system calls ---

CALL = re.compile(r"^(\w+)\((\d+<[^>]*>)?")


def strace(directory, connections, count, protocol="http1"):
    """Runs warm requests and returns the worker's system calls over exactly `count` of them, as a
    counter of (name, what the descriptor is)."""
    directory = pathlib.Path(directory)
    prefix = ["strace", "-D", "-ff", "-y", "-qq", "-s", "0", "-e", "signal=none",
              "-o", f"{directory}/strace"]
    with Setup(directory, prefix, protocol) as setup:
        load = setup.load(connections, count)
        before = {path: path.stat().st_size for path in directory.glob("strace.*")}
        load.run()
        calls = {path: count_calls(path, size) for path, size in before.items()}
        load.stop()
    return max(calls.values(), key=lambda counter: counter.total())


def count_calls(path, offset):
    counter = collections.Counter()
    with open(path, encoding="utf-8", errors="replace") as file:
        file.seek(offset)
        for line in file:
            match = CALL.match(line)
            if match:
                kind = re.search(r"<([\w:]*)", match[2] or "")
                counter[match[1], kind[1] if kind else ""] += 1
    return counter


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--protocol", choices=PROTOCOLS, default="http1")
    parser.add_argument("--top", type=int, default=30, help="how many functions")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000, help="how many requests are counted")
    parser.add_argument("--dump", help="where to keep what callgrind wrote")
    parser.add_argument("--calls", action="store_true", help="system calls instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if arguments.calls:
            counter = strace(directory, arguments.connections, arguments.count,
                             arguments.protocol)
            for (name, kind), n in counter.most_common():
                print(f"{n / arguments.count:8.3f}  {name} {kind}")
            return
        profile = callgrind(directory, arguments.connections, arguments.count,
                            arguments.protocol)
        print(f"{profile.instructions:.0f} instructions a request, "
              f"allocating calls {profile.allocations}")
        print("\n".join(profile.top(arguments.top)))
        if arguments.dump:
            shutil.copy(profile.path, arguments.dump)


if __name__ == "__main__":
    main()
