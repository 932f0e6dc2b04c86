# SPDX-License-Identifier: Apache-2.0
"""The world that Sarsen serves from while it is measured: 1,000 services with 10 instances each,
an app, 8 rollouts, and 100,000 customers who are pinned to one of its releases.

It is made once, through the management API, and kept; each run copies it.
"""
import contextlib
import json
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading

from programs import BUILD, ROOT, pinned

N_SERVICES = 1000
N_INSTANCES = 10  # of each
N_CUSTOMERS = 100_000
N_RELEASES = 8
N_ROLLOUTS = 8
SERVICE = "bench"  # whose instance is the backend
GRPC = "calls"  # the same for gRPC, whose backend serves
METHOD = "/bench.Bench/Unary"
LOGIN = "login"  # the identity service
APP = "shop"
LANES = 256  # connections to the management API

# A change of what is made below makes the kept folder another one.
KEPT = ROOT / "build" / "bench" / f"world-2-{N_SERVICES}-{N_CUSTOMERS}"

CONFIG = """\
data: {data}
api: {{ listen: "127.0.0.1:0" }}
gateway:
  edge: {edge}
  internal: 127.0.0.1:0
  workers: 1
  idle_timeout: 1h
  limits: {{ requests: 1000000000, connections_per_address: 0 }}
drain: {{ grace: 1s }}
"""


PLAIN = '"127.0.0.1:0"'
TLS = """{{ address: "127.0.0.1:0", tls: {{ certificates: \
{{ certificate: {certificate}, key: {certificate} }} }} }}"""


class Sarsen:
    """The release build with one worker. With a certificate (and its key in the same file) its edge
    has a second address, of TLS. `more` is added to its config file."""

    def __init__(self, directory, core=None, certificate=None, more=""):
        directory = pathlib.Path(directory)
        self.data = directory / "data"
        config = directory / "sarsen.yaml"
        edge = [PLAIN] + ([TLS.format(certificate=certificate)] if certificate else [])
        config.write_text(CONFIG.format(data=self.data, edge=f"[{', '.join(edge)}]") + more)
        self.process = subprocess.Popen(
            [*pinned(core), BUILD / "src" / "daemon" / "sarsen", "server", "-c", config],
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self._wait()
        self.token = (self.data / "token").read_text().strip()

    def _wait(self):
        for line in self.process.stderr:
            if "msg=ready" in line:
                fields = dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
                self.api = fields["management"]
                self.consul = fields.get("consul")
                self.edges = [url.partition("://")[2] for url in fields["edge"].split()]
                self.edge = self.edges[0]
                break
            if "level=info" not in line:
                print(line, end="")
        else:
            raise RuntimeError("sarsen did not start")
        threading.Thread(target=self._read_rest, daemon=True).start()

    def _read_rest(self):
        for line in self.process.stderr:
            if "level=info" not in line:
                print(line, end="")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def api_request(self, method, path, body=None):
        """A call of the management API as bytes; `body` is JSON, or bytes as they are."""
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body).encode()
        return (f"{method} {path} HTTP/1.1\r\nHost: {self.api}\r\n"
                f"Authorization: Bearer {self.token}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Lanes:
    """Connections that ask in turns: all send one request, then all answers are read. What waits
    together is made durable together."""

    def __init__(self, address, n=1):
        host, _, port = address.rpartition(":")
        self.files = []
        for _ in range(n):
            connection = socket.create_connection((host, int(port)), 60)
            self.files.append(connection.makefile("rwb"))
            connection.close()  # the file keeps it open

    def ask(self, requests):
        """Sends all of them and returns the heads of the answers; each must succeed."""
        heads = []
        for start in range(0, len(requests), len(self.files)):
            batch = requests[start:start + len(self.files)]
            for file, request in zip(self.files, batch, strict=False):
                file.write(request)
                file.flush()
            heads += [self._answer(file) for file, _ in zip(self.files, batch, strict=False)]
        return heads

    @staticmethod
    def _answer(file):
        lines = iter(file.readline, b"\r\n")
        head = b"".join(lines).decode("latin-1")
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        body = file.read(int(length[1])) if length else b""
        if not re.match(r"HTTP/1.1 2\d\d ", head):
            raise RuntimeError(f"{head}{body[:500]!r}")
        return head

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in self.files:
            with contextlib.suppress(OSError):
                file.close()


def instance(sarsen, service, number, build, address, **more):
    return sarsen.api_request("PUT", f"/v1/services/{service}/instances/i{number}",
                              {"address": address, "build": build, **more})


def make_registry(sarsen, lanes):
    """Instances that are only named: nothing is ever sent to them. The benched service and the
    identity service get theirs in each run."""
    names = [SERVICE, GRPC, LOGIN, *(f"service-{i}" for i in range(N_SERVICES - 3))]
    for number in range(N_INSTANCES):
        # Two builds of each: the first to come is the baseline, the second waits for a rollout.
        build = "1.0.0" if number < 7 else "1.1.0"
        lanes.ask([instance(sarsen, name, number, build, f"10.{number}.{i // 256}.{i % 256}:8080")
                   for i, name in enumerate(names) if name not in (SERVICE, GRPC, LOGIN)])


def make_releases(sarsen, lanes):
    """The benched services need builds before a release can require them."""
    for name in (SERVICE, GRPC, LOGIN):
        lanes.ask([instance(sarsen, name, 0, "1.0.0", "127.0.0.1:9")])
    lanes.ask([sarsen.api_request("PUT", f"/v1/services/{LOGIN}", {"identity": True})])
    for number in range(N_RELEASES):
        path = f"/v1/apps/{APP}/releases/4.{number}.0"
        requires = {SERVICE: "1", GRPC: "1", "service-0": "1", f"service-{number + 100}": "1"}
        manifest = {"kind": "importmap", "requires": requires,
                    "entries": [{"name": f"@{APP}/main", "path": "main.js"}]}
        lanes.ask([sarsen.api_request("PUT", path + "/files/main.js", b"document.title = 1;")])
        lanes.ask([sarsen.api_request("PUT", path, manifest)])


def customer(number):
    return f"customer-{number:06}"


def make_customers(sarsen, lanes):
    lanes.ask([sarsen.api_request(
        "PUT", f"/v1/customers/{customer(i)}/pins/{APP}",
        {"release": f"4.{i % N_RELEASES}.0", "expires": "never"}) for i in range(N_CUSTOMERS)])


def make_rollouts(sarsen, lanes):
    for number in range(N_ROLLOUTS):
        lanes.ask([sarsen.api_request("POST", "/v1/rollouts", {
            "members": [f"service-{number}@1.1.0"], "steps": [{"pct": 5 * (number + 1)}]})])


def make():
    """Makes the kept folder unless it is there."""
    if (KEPT / "done").exists():
        return
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    print(f"making {KEPT.relative_to(ROOT)}, once", flush=True)
    sarsen = Sarsen(KEPT)
    try:
        with Lanes(sarsen.api) as one, Lanes(sarsen.api, LANES) as many:
            make_registry(sarsen, many)
            make_releases(sarsen, one)
            make_rollouts(sarsen, one)
            make_customers(sarsen, many)
    finally:
        sarsen.stop()
    (KEPT / "done").touch()


def copy_to(directory):
    shutil.copytree(KEPT / "data", pathlib.Path(directory) / "data",
                    ignore=shutil.ignore_patterns("*.sock"))


def attach(sarsen, backends, n_customers):
    """Makes the backends the instances of the benched services and returns the signed cookies of
    pinned customers, got as browsers get them: by an answer of the identity service."""
    cookies = []
    with Lanes(sarsen.api) as lanes:
        for name in (SERVICE, LOGIN):
            lanes.ask([instance(sarsen, name, 0, "1.0.0", backends.http1.address)])
        lanes.ask([instance(sarsen, GRPC, 0, "1.0.0", backends.grpc.address, protocol="grpc",
                            grpc_services=[METHOD.split("/")[1]])])
    with Lanes(sarsen.edge) as lanes:
        for number in range(n_customers):
            name = customer(number * (N_CUSTOMERS // n_customers))
            head, = lanes.ask([f"GET /api/{LOGIN}/customer/{name} HTTP/1.1\r\nHost: shop.example"
                               "\r\n\r\n".encode()])
            cookies.append(re.search(r"(?im)^set-cookie: *(sarsen=[^;\r]*)", head)[1])
    return cookies
