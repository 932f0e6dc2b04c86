# SPDX-License-Identifier: Apache-2.0
"""Sarsen as the driver sees it: the server, its management API and its CLI.

All calls and all spellings of them are in this file.
"""

import json
from dataclasses import dataclass
from urllib.parse import quote

from .calls import Caller, once, wait_until

CONFIG = """\
data: {data}
api:
  listen: 127.0.0.1:{api}
gateway:
  edge: 127.0.0.1:{edge}
  internal: 127.0.0.1:{internal}
retire:
  window: {window}s
routes:
  - match: {{ path: /graphql }}
    service: storefront
  - match: {{ prefix: /session }}
    service: storefront
"""


@dataclass
class Ports:
    edge: int
    internal: int
    api: int


class Refused(Exception):
    """An answer of the management API that is not 2xx."""

    def __init__(self, call, answer):
        super().__init__(f"{call}: {answer}")
        self.answer = answer


class Sarsen:
    def __init__(self, runner, binary, ports, window):
        self.runner = runner
        self.binary = binary
        self.ports = ports
        self.window = window
        self.data = runner.folder / "data"
        self.socket = self.data / "gateway.sock"  # an internal listener that is always there
        self.config = runner.folder / "sarsen.yaml"
        self.address = f"http://127.0.0.1:{ports.api}"
        self.process = None
        self.api = None

    def write_config(self):
        self.data.mkdir()
        self.config.write_text(
            CONFIG.format(
                data=self.data,
                api=self.ports.api,
                edge=self.ports.edge,
                internal=self.ports.internal,
                window=self.window,
            )
        )

    def start(self):
        self.process = self.runner.start("sarsen", [self.binary, "dev", "-c", self.config])

        def is_ready():
            if not self.process.is_running():
                text = "\n".join(self.process.log_lines()[-5:])
                raise RuntimeError(f"sarsen ended with {self.process.popen.returncode}:\n{text}")
            return once(self.ports.api, "GET", "/v1/health").status == 200

        wait_until("sarsen is ready", 10, is_ready)
        self.api = Caller(self.ports.api, {"Authorization": f"Bearer {self.token()}"})

    def token(self):
        return (self.data / "token").read_text().strip()

    # Management API

    def call(self, method, path, body=None):
        """The decoded body of a 2xx answer; raises Refused for any other."""
        answer = self.ask(method, path, body)
        if answer.status not in range(200, 300):
            raise Refused(f"{method} {path}", answer)
        return json.loads(answer.body) if answer.body else None

    def ask(self, method, path, body=None):
        try:
            return self.api.ask(method, path, body)
        except OSError:
            # The server may close a connection that was kept too long. All that the demo calls
            # over again is idempotent but a start of a rollout, which follows other calls closely.
            return self.api.ask(method, path, body)

    def mark_identity(self, service):
        self.call("PUT", f"/v1/services/{service}", {"identity": True})

    def set_default_contract(self, service, major):
        self.call("PUT", f"/v1/services/{service}/default", {"contract": major})

    def set_default_release(self, app, release):
        self.call("PUT", f"/v1/apps/{app}/default", {"release": release})

    def pin(self, customer, app, release, why):
        body = {"release": release, "why": why, "expires": "720h"}
        return self.ask("PUT", f"/v1/customers/{quote(customer)}/pins/{app}", body)

    def instances(self, service):
        """{id: instance} of a service; empty for one that nobody knows."""
        answer = self.ask("GET", f"/v1/services/{service}/instances")
        if answer.status == 404:
            return {}
        if answer.status != 200:
            raise Refused(f"instances of {service}", answer)
        body = answer.json()
        return {one["id"]: one for one in body["instances"]}

    def build_states(self, service):
        """{build: state}"""
        builds = self.call("GET", f"/v1/services/{service}/builds")["builds"]
        return {one["build"]: one["state"] for one in builds}

    def start_rollout(self, service, build, steps):
        body = {"service": service, "build": build, "subject": "customer", "steps": steps}
        return self.call("POST", "/v1/rollouts", body)["rollout"]

    def rollout(self, name):
        return self.call("GET", f"/v1/rollouts/{name}")

    def rollout_verb(self, name, verb):
        return self.call("POST", f"/v1/rollouts/{name}:{verb}", {"why": "the demo's story"})

    def usage(self, contract):
        """One row per release and customer that used the contract."""
        return self.call("GET", f"/v1/usage?contract={contract}&by=release,customer")["usage"]

    def retire(self, service, major, verb):
        """The bare answer, because a refusal is part of the story."""
        return self.ask("POST", f"/v1/contracts/{service}/{major}:{verb}", {"why": "the story"})

    def explain(self, customer, app):
        return self.call("GET", f"/v1/customers/{quote(customer)}/explain?app={app}")

    # CLI

    def cli_environment(self):
        return {"SARSEN_ADDRESS": self.address, "SARSEN_TOKEN": self.token()}

    def cli(self, *words):
        """Runs `sarsen WORDS`; the CompletedProcess."""
        return self.runner.run([self.binary, *words], self.cli_environment())

    def publish(self, folder):
        done = self.cli("publish", folder)
        if done.returncode != 0:
            raise RuntimeError(f"sarsen publish {folder}: {done.stderr or done.stdout}")
