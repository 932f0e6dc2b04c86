# SPDX-License-Identifier: Apache-2.0
"""Services of examples/consul, each with a framework's own registry for Consul: they register, are
checked, found by their own discovery, called through the gateway, and dropped when they are
killed."""
import os
import socket
import subprocess

import grpc
import pytest
from conftest import ROOT
from support.daemon import request

CHECKED = 45  # seconds: Kratos has itself checked each 10 s, from a moment within the first 10


@pytest.fixture(scope="session")
def frameworks():
    """The folder of the programs."""
    done = subprocess.run([ROOT / "examples" / "consul" / "build"], capture_output=True, text=True,
                          check=False)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "frameworks"


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


class Framework:
    """A service's program, run as often as a test wants."""

    def __init__(self, face, programs, program, service, name):
        self.face, self.program = face, programs / program
        self.service, self.name = service, name
        self.environ = dict(os.environ, CONSUL_HTTP_ADDR=face.consul, MICRO_REGISTRY="consul",
                            MICRO_REGISTRY_ADDRESS=face.consul, MICRO_REGISTER_TTL="6",
                            MICRO_REGISTER_INTERVAL="2", MICRO_SERVER_ADDRESS="127.0.0.1:0")
        self.running = []
        self.log = (face.directory / f"{program}.log").open("w+", encoding="utf-8")

    def start(self, version):
        process = subprocess.Popen(
            [self.program], stdout=self.log, stderr=self.log,
            env=dict(self.environ, VERSION=version, MICRO_SERVER_VERSION=version,
                     ADDRESS=free_address()))
        self.running.append(process)
        return process

    def passing(self):
        answer = request(self.face.consul, "GET", f"/v1/health/service/{self.service}?passing")
        return answer.json

    def call(self, *arguments, **environ):
        """What its own client says."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True,
                              env=dict(self.environ, **environ), timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()[-1]

    def through(self):
        """The build that answers through the gateway; None when none does."""
        answer = self.face.internal_get(f"/api/{self.name}@1/hello/you")
        if answer.status != 200:
            return None
        assert answer.json["version"] == answer.headers["Sarsen-Build"]
        return answer.headers["Sarsen-Build"]

    def waits_for(self, n):
        self.face.eventually(lambda: len(self.passing()) == n, CHECKED)

    def stop(self):
        for process in self.running:
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture
def framework(face, frameworks):
    made = []

    def make(program, service=None):
        service = service or f"{program}-greeter"
        made.append(Framework(face, frameworks, program, service, service.replace(".", "-")))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def is_dropped(one, process, reached):
    """After kill -9: at once not routed to, and no longer passing when a check has said so."""
    process.kill()
    process.wait()
    one.face.eventually(lambda: not reached(), CHECKED)
    one.waits_for(0)
    one.face.eventually(lambda: not reached())


def put_greeting(face, text):
    answer = request(face.consul, "PUT", "/v1/kv/configs/kratos-greeter/app.yaml",
                     f"greeting: {text}\n".encode())
    assert answer.status == 200


def test_kratos(framework, face):
    put_greeting(face, "hello")
    one = framework("kratos")
    process = one.start("1.0.0")
    one.waits_for(1)
    assert one.call("call", "you") == "hello you 1.0.0 SERVING"
    face.eventually(one.through)
    assert one.through() == "1.0.0"
    put_greeting(face, "good morning")
    said = f"/api/{one.name}@1/hello/you"
    face.eventually(lambda: face.edge_get(said).json["message"] == "good morning you")

    one.start("1.1.0")  # waits for its gray release
    one.waits_for(2)
    builds = face.get(f"/v1/services/{one.name}")["builds"]
    assert {build["build"]: build["state"] for build in builds} == {
        "1.0.0": "baseline", "1.1.0": "waiting"}
    assert {one.through() for _ in range(50)} == {"1.0.0"}
    one.running.pop().terminate()
    one.waits_for(1)
    is_dropped(one, process, one.through)


def test_go_kit(framework, face):
    one = framework("gokit")
    process = one.start("1.2.0")
    one.waits_for(1)
    assert one.call("call", "you") == "hello you 1.2.0"
    assert one.through() == "1.2.0"
    is_dropped(one, process, one.through)


def test_hertz(framework, face):
    one = framework("hertz", "hertz.greeter")
    process = one.start("1.3.0")
    one.waits_for(1)
    said = one.call("call", "you")
    assert said.startswith("200 ") and '"hello you"' in said, said
    assert one.through() == "1.3.0"
    assert one.passing()[0]["Service"]["Weights"]["Passing"] == 10
    is_dropped(one, process, one.through)


def test_go_micro(framework, face):
    one = framework("gomicro")
    process = one.start("1.4.0")
    one.waits_for(1)
    assert one.call(GREET="you") == "hello you 1.4.0 1 1.4.0"

    def through():
        with grpc.insecure_channel(face.internal) as channel:
            greet = channel.unary_unary("/Greeter/Hello")
            try:
                return greet(b"\x0a\x03you", metadata=[("sarsen-service", one.name)], timeout=10)
            except grpc.RpcError:
                return None

    said = b"hello you 1.4.0"
    assert through() == b"\x0a" + bytes([len(said)]) + said
    is_dropped(one, process, through)


def test_kitex_is_listed_and_not_routed(framework, face):
    one = framework("kitex")
    process = one.start("1.5.0")
    one.waits_for(1)
    entry, = one.passing()
    port = entry["Service"]["Port"]
    assert one.call("find") == f"127.0.0.1:{port} 10"
    instance, = face.get(f"/v1/services/{one.name}/instances")["instances"]
    assert (instance["build"], instance["protocol"]) == ("1.5.0", "thrift")
    assert face.internal_get(f"/api/{one.name}@1/hello/you").status == 503
    is_dropped(one, process, lambda: False)
