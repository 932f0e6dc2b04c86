# SPDX-License-Identifier: Apache-2.0
"""The backend and the load generator as processes; test/gates uses them too."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "release"
TARGETS = ["src/daemon/sarsen", "bench/bench-backend", "bench/bench-load"]


def pinned(core):
    """What a command starts with to run on one core; nothing when that is left to the kernel."""
    return [] if core is None else ["taskset", "-c", str(core)]


class Program:
    """A program that talks in lines and ends with its input."""

    def __init__(self, name, arguments, core=None):
        self.process = subprocess.Popen(
            [*pinned(core), BUILD / "bench" / name, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)


class Backend(Program):
    def __init__(self, core=None):
        super().__init__("bench-backend", ["0"], core)
        self.port = int(self.line().removeprefix("port "))
        self.address = f"127.0.0.1:{self.port}"


class Load(Program):
    """Clients that have warmed up when this is made; run() sends what is measured."""

    def __init__(self, address, requests, core=None, **options):
        arguments = ["--to", address, "--requests", requests]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        super().__init__("bench-load", arguments, core)
        if self.line() != "ready":
            raise RuntimeError(f"the load generator ended: {self.process.wait()}")

    def run(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        result = json.loads(self.line() or "null")
        if not result or result["errors"]:
            raise RuntimeError(f"the load generator met errors: {result}")
        return result


def write_requests(path, requests):
    """Writes raw requests as the load generator reads them."""
    with open(path, "wb") as file:
        for request in requests:
            file.write(b"%d\n%s" % (len(request), request))


def http_request(method, path, cookie=None, body=b"", fields=()):
    """One request of a browser that has little to say."""
    lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", "User-Agent: bench/1",
             "Accept: */*"]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    if body:
        lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode() + body
