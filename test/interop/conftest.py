# SPDX-License-Identifier: Apache-2.0
"""One gateway between other projects' clients and servers, in plain text and over TLS on either
side.

Services are static upstreams on unix sockets. What a machine lacks the tools for is skipped, with
the reason."""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
OUT = ROOT / "build" / "interop"
sys.path.insert(0, str(ROOT / "test" / "system"))

from support.daemon import Daemon  # noqa: E402 needs the path
from support.service import Service  # noqa: E402

SEALED = """\
  - match: {{ host: 127.0.0.2, prefix: {prefix} }}
    upstream: https://unix:{directory}/{socket}-sealed.sock
    upstream_tls: {{ ca: {cert}, server_name: localhost }}
    protocol: {protocol}
"""
SEALED_PREFIXES = {"/grpc.testing.TestService": "http2",
                   "/grpc.testing.UnimplementedService": "http2",
                   "/grpc.reflection.v1.ServerReflection": "http2",
                   "/grpc.health.v1.Health": "http2", "/none.S": "http2", "/": "http1"}
ROUTES = """\
routes:
{sealed}\
  - match: {{ prefix: /grpc.testing.TestService }}
    upstream: unix:{directory}/grpc.sock
    protocol: http2
  - match: {{ prefix: /grpc.testing.UnimplementedService }}
    upstream: unix:{directory}/grpc.sock
    protocol: http2
  - match: {{ prefix: /grpc.reflection.v1.ServerReflection }}
    upstream: unix:{directory}/grpc.sock
    protocol: http2
  - match: {{ prefix: /grpc.health.v1.Health }}
    upstream: unix:{directory}/grpc.sock
    protocol: http2
  - match: {{ prefix: /none.S }}
    answer: {{ status: 404 }}
  - match: {{ prefix: /h2spec }}
    upstream: {plain}
  - match: {{ path: / }}
    upstream: {plain}
    response_headers:
      set:
        Strict-Transport-Security: max-age=31536000
        Content-Security-Policy: "default-src 'self'"
        X-Content-Type-Options: nosniff
        X-Frame-Options: DENY
        Referrer-Policy: no-referrer
  - match: {{ prefix: / }}
    upstream: unix:{directory}/ws.sock
"""
EDGE = """\
  edge:
    - 127.0.0.1:0
    - address: 127.0.0.1:0
      tls: {{ certificates: {{ certificate: {cert}, key: {key} }} }}
    - 127.0.0.2:0
  access_log: {directory}/access.log
"""


def build(part):
    """Builds what a suite needs, or skips its tests."""
    done = subprocess.run([HERE / "build", part], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return OUT


@pytest.fixture(scope="session")
def go():
    """The folder of the programs in Go."""
    return build("go")


@pytest.fixture(scope="session")
def modules():
    """The folder of the packages for node."""
    return build("node") / "node_modules"


@pytest.fixture(scope="session")
def chromium():
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not os.path.exists(path):
        pytest.skip("there is no Chromium")
    return path


def node(script, *arguments):
    """What one of our scripts prints."""
    done = subprocess.run(["node", HERE / script, *arguments], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


class Child:
    """A service of ours that runs as long as its standard input is open, and prints its address."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.address = self.process.stdout.readline().strip()
        assert self.address, f"{command} is not up"

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0


class Pair:
    def __init__(self, directory):
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "300", "-subj", "/CN=localhost", "-keyout", self.key, "-out",
             self.cert, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "crlDistributionPoints=URI:http://127.0.0.1/crl"],
            check=True, capture_output=True)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Where sockets, keys and logs of the session are."""
    return tmp_path_factory.mktemp("i")


@pytest.fixture(scope="session")
def pair(place):
    """A self-signed certificate for loopback."""
    return Pair(place)


@pytest.fixture(scope="session")
def grpc_service(go, place, pair):
    child = Child(go / "service", place / "grpc.sock")
    sealed = Child(go / "service", "-certificate", pair.cert, "-key", pair.key,
                   place / "grpc-sealed.sock")
    yield child
    child.stop()
    sealed.stop()


@pytest.fixture(scope="session")
def ws_service(modules, place, pair):
    child = Child("node", HERE / "ws_service.mjs", modules, place / "ws.sock")
    sealed = Child("node", HERE / "ws_service.mjs", modules, place / "ws-sealed.sock", pair.cert,
                   pair.key)
    yield child
    child.stop()
    sealed.stop()


@pytest.fixture(scope="session")
def binary():
    build = os.environ.get("SARSEN_BUILD", "asan")
    path = ROOT / "build" / build / "src" / "daemon" / "sarsen"
    assert path.exists(), f"{path} is missing: tools/build {build}"
    return path


class Gateway(Daemon):
    """A daemon with a plain listener, `edge`, and one with TLS, `secure`."""

    def __init__(self, binary, directory, pair, gateway="", config=""):
        super().__init__(binary, directory, config, gateway)
        edge = EDGE.format(cert=pair.cert, key=pair.key, directory=directory)
        text = self.config.read_text()
        assert "  edge: 127.0.0.1:0\n" in text
        self.config.write_text(text.replace("  edge: 127.0.0.1:0\n", edge))
        self.access_log = self.directory / "access.log"
        self.start()

    @property
    def secure(self):
        return self.edges[1].removeprefix("https://")

    def address(self, lane):
        return {"plain": self.edge, "tls": self.secure, "sealed": self.edges[2]}[lane]

    def logged(self):
        """The entries of its access log."""
        return [json.loads(line) for line in self.access_log.read_text().splitlines()]


@pytest.fixture(scope="session")
def plain_service():
    """Answers with 32 bytes whatever it is sent."""
    service = Service("plain", lambda request: (200, {"Content-Type": "text/plain"}, b"0123" * 8))
    yield service
    service.stop()


@pytest.fixture(scope="session")
def gateway(binary, place, pair, plain_service):
    """In front of all the services."""
    sealed = "".join(
        SEALED.format(prefix=prefix, protocol=protocol, directory=place, cert=pair.cert,
                      socket="grpc" if protocol == "http2" else "ws")
        for prefix, protocol in SEALED_PREFIXES.items())
    config = ROUTES.format(directory=place, plain=plain_service.address, sealed=sealed)
    gateway = Gateway(binary, place / "gateway", pair, config=config)
    yield gateway
    gateway.stop()
    gateway.check_log()


class Face(Daemon):
    """A daemon with the Consul API, at the address `consul`."""

    def __init__(self, binary, directory, config=""):
        super().__init__(binary, directory, 'faces: { consul: "127.0.0.1:0" }\n' + config)
        self.start()
        ready = next(line for line in self.log if "msg=ready" in line)
        self.consul = re.search(r" consul=(\S+)", ready)[1]


@pytest.fixture
def face(binary, tmp_path, request):
    """One for each test; a parameter is more of its config file."""
    face = Face(binary, tmp_path, getattr(request, "param", ""))
    yield face
    face.stop()
    face.check_log()


@pytest.fixture(params=["plain", "tls"])
def lane(request):
    """How the client speaks to the gateway."""
    return request.param


@pytest.fixture(params=["plain", "tls", "sealed"])
def way(request):
    """The same, and plain text to the gateway with TLS behind it."""
    return request.param
