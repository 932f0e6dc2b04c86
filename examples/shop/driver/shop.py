# SPDX-License-Identifier: Apache-2.0
"""The parts of the shop: what runs, in which order, and what Sarsen is told."""

import secrets
from dataclasses import dataclass

from .calls import once, wait_until
from .sarsen import Refused

RELEASES = ("4.1.0", "4.2.0")
BUILD_QUERY = "/graphql?query=%7Bbuild%7D"


@dataclass
class Parts:
    """Where the built parts are; all below the run folder."""

    orders: str
    catalog: str
    web: str
    storefront: str
    gem: str


class Shop:
    def __init__(self, runner, sarsen, parts, ttl):
        self.runner = runner
        self.sarsen = sarsen
        self.parts = parts
        self.ttl = ttl
        self.processes = {}

    def start_orders(self, name, build):
        command = [self.parts.orders / f"orders-{build}", "-id", name, "-ttl", f"{self.ttl}s"]
        command += ["-data", self.runner.folder / "orders.db", "-sarsen", self.sarsen.address]
        command += ["-gateway", f"http://127.0.0.1:{self.sarsen.ports.internal}"]
        self.processes[name] = self.runner.start(name, command)

    def start_catalog(self, name):
        # A small program on a small machine: the quick compiler and the simple collector.
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += ["-jar", self.parts.catalog / "catalog.jar", "--id", name]
        command += ["--sarsen", self.sarsen.address, "--ttl", self.ttl]
        self.processes[name] = self.runner.start(name, command)

    def start_storefront(self, name):
        environment = {
            "INSTANCE": name,
            "SARSEN_ADDRESS": self.sarsen.address,
            "SARSEN_GATEWAY": f"unix://{self.sarsen.socket}",
            "SARSEN_GEM": str(self.parts.gem),
            "SARSEN_TTL": str(self.ttl),
            "SECRET_KEY_BASE": secrets.token_hex(32),
        }
        folder = self.parts.storefront
        command = ["puma", "--dir", folder, "-C", folder / "config/puma.rb", folder / "config.ru"]
        self.processes[name] = self.runner.start(name, command, environment)

    def start(self):
        self.start_storefront("storefront-1")  # the slowest to come up
        self.start_catalog("catalog-1")
        self.start_orders("orders-1", "2.9.0")
        self.start_orders("orders-2", "3.14.2")
        self.start_orders("orders-3", "3.14.2")
        for name in self.processes:
            self.wait_for(name)
        self.tell_sarsen()
        self.wait_for_answers()

    def wait_for(self, name):
        """Until an instance is in the registry; tells at once when its process ended instead."""
        service = name.rsplit("-", 1)[0]
        process = self.processes[name]

        def is_registered():
            if not process.is_running():
                text = "\n".join(process.log_lines()[-10:])
                raise RuntimeError(f"{name} ended with {process.popen.returncode}:\n{text}")
            return name in self.sarsen.instances(service)

        wait_until(f"{name} is registered", 60, is_registered)

    def tell_sarsen(self):
        sarsen = self.sarsen
        sarsen.mark_identity("storefront")
        sarsen.set_default_contract("orders", 3)
        for release in RELEASES:
            sarsen.publish(self.parts.web / release)
        sarsen.set_default_release("shop", "4.2.0")
        answer = sarsen.pin("acme", "shop", "4.1.0", "trains its staff on 4.2 in October")
        if answer.status not in (200, 201, 204):
            raise Refused("pin acme", answer)

    def wait_for_answers(self):
        edge = self.sarsen.ports.edge

        def page_answers():
            return once(edge, "GET", "/apps/shop/").status == 200

        def orders_answer():
            answer = once(edge, "POST", "/graphql", {"query": "{ build orders { id } }"})
            return answer.status == 200 and "data" in answer.json()

        wait_until("the shop's page answers", 10, page_answers)
        wait_until("orders answer through storefront", 20, orders_answer)
