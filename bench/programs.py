# SPDX-License-Identifier: Apache-2.0
"""The backend and the load generator as processes; test/gates uses them too."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "release"
TARGETS = ["src/daemon/sarsen", "bench/bench-backend", "bench/bench-load",
           "bench/bench-backend-h2", "bench/bench-load-h2"]


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
    def __init__(self, core=None, program="bench-backend", arguments=()):
        super().__init__(program, ["0", *arguments], core)
        self.port = int(self.line().removeprefix("port "))
        self.address = f"127.0.0.1:{self.port}"


class Load(Program):
    """Clients that have warmed up when this is made; run() sends what is measured."""

    def __init__(self, address, requests, core=None, program="bench-load", **options):
        arguments = ["--to", address, "--requests", requests]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        super().__init__(program, arguments, core)
        if self.line() != "ready":
            raise RuntimeError(f"the load generator ended: {self.process.wait()}")

    def run(self):
        self.begin()
        return self.end()

    def begin(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self):
        result = json.loads(self.line() or "null")
        if not result or result["errors"]:
            raise RuntimeError(f"the load generator met errors: {result}")
        return result


def write_requests(path, requests):
    """Writes raw requests as the load generator reads them."""
    with open(path, "wb") as file:
        for request in requests:
            file.write(b"%d\n%s" % (len(request), request))


def http_request(method, path, cookie=None, body=b"", fields=(), host="shop.example"):
    """One request of a browser that has little to say."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "User-Agent: bench/1",
             "Accept: */*"]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    if body:
        lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode() + body


def http2_request(method, path, cookie=None, message=None):
    """The same as fields of HTTP/2; with a message it is a unary call of gRPC."""
    lines = [f":method: {method}", ":scheme: http", f":path: {path}", ":authority: shop.example"]
    body = b""
    if message is None:
        lines += ["user-agent: bench/1", "accept: */*"]
    else:
        lines += ["content-type: application/grpc", "te: trailers", "user-agent: grpc-bench/1",
                  "grpc-accept-encoding: identity, deflate, gzip"]
        body = b"\0" + len(message).to_bytes(4, "big") + message
    if cookie:
        lines.append(f"cookie: {cookie}")
    return "\r\n".join([*lines, "", ""]).encode() + body
