# SPDX-License-Identifier: Apache-2.0
"""Services of examples/consul, run against a face of Consul's."""
import contextlib
import json
import os
import pathlib
import random
import socket
import subprocess

import pytest
from support.daemon import request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECKED = 60  # seconds: Kratos has itself checked each 10 s, from a moment within the first 10


def build(part):
    """The folder of the programs, or why there are none."""
    done = subprocess.run([ROOT / "examples" / "consul" / "build", part], capture_output=True,
                          text=True, check=False)
    if done.returncode == 77:
        return None, done.stderr.strip()
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "frameworks", None


def need(part):
    programs, why = build(part)
    if not programs:
        pytest.skip(why)
    return programs


def free_address():
    """Below the ports that the kernel gives to others meanwhile."""
    while True:
        address = ("127.0.0.1", random.randrange(15000, 32000))
        with contextlib.suppress(OSError), socket.create_server(address):
            return f"{address[0]}:{address[1]}"


class Framework:
    """A service's program, run as often as a test wants."""

    def __init__(self, face, command, service):
        self.face, self.command, self.service = face, command, service
        self.name = service.replace(".", "-")
        host, port = face.consul.split(":")
        self.environ = dict(os.environ, CONSUL_HTTP_ADDR=face.consul, MICRO_REGISTRY="consul",
                            MICRO_REGISTRY_ADDRESS=face.consul, MICRO_REGISTER_TTL="6",
                            MICRO_REGISTER_INTERVAL="2", MICRO_SERVER_ADDRESS="127.0.0.1:0",
                            SPRING_CLOUD_CONSUL_HOST=host, SPRING_CLOUD_CONSUL_PORT=port)
        self.running = []
        self.log = (face.directory / f"{self.name}.log").open("w+", encoding="utf-8")

    def start(self, version, **environ):
        process = subprocess.Popen(
            self.command, stdout=self.log, stderr=self.log,
            env=dict(self.environ, VERSION=version, MICRO_SERVER_VERSION=version,
                     ADDRESS=free_address(), **environ))
        self.running.append(process)
        return process

    def listed(self, query=""):
        return request(self.face.consul, "GET", f"/v1/health/service/{self.service}{query}").json

    def passing(self):
        return self.listed("?passing")

    def address(self):
        entry, = self.passing()
        return f"{entry['Service']['Address']}:{entry['Service']['Port']}"

    def call(self, *arguments, **environ):
        """What its own client says, line by line."""
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True,
                              env=dict(self.environ, **environ), timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()

    def ask(self, path):
        """What a running one answers with."""
        return request(self.address(), "GET", path)

    def through(self):
        """The build that answers through the gateway; None when none does."""
        answer = self.face.internal_get(f"/api/{self.name}@1/hello/you",
                                        {"Sarsen-Customer": "acme"})
        if answer.status != 200:
            return None
        assert answer.json["version"] == answer.headers["Sarsen-Build"]
        return answer.headers["Sarsen-Build"]

    def waits_for(self, n):
        self.face.eventually(lambda: len(self.passing()) == n, CHECKED)

    def kill(self):
        for process in self.running:
            process.kill()
            process.wait()
        self.running = []

    def stop(self):
        self.kill()
        self.log.close()


def is_dropped(one, reached):
    """After kill -9: at once not routed to, and no longer passing when a check has said so. It is
    listed on."""
    one.kill()
    one.face.eventually(lambda: not reached(), CHECKED)
    one.waits_for(0)
    assert not reached()
    entry, = one.listed()
    assert "critical" in [check["Status"] for check in entry["Checks"]]


def put(face, key, text):
    answer = request(face.consul, "PUT", f"/v1/kv/{key}", text.encode())
    assert answer.status == 200 and json.loads(answer.body) is True
