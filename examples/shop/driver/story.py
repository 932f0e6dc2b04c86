# SPDX-License-Identifier: Apache-2.0
"""The demo's story, chapter by chapter, each fact asserted."""

import json
import time

from .calls import once, wait_until
from .customers import CUSTOMERS, Load, build_for, builds_of_all, served_by, tolerance
from .logs import requests_of
from .shop import BUILD_QUERY

OK = range(200, 300)


class Story:
    def __init__(self, shop, browser, facts):
        self.shop = shop
        self.sarsen = shop.sarsen
        self.internal = shop.sarsen.ports.internal
        self.edge = shop.sarsen.ports.edge
        self.browser = browser
        self.facts = facts

    def tell(self):
        chapter = self.facts.chapter
        chapter("1. Each customer gets the frontend and the contracts meant for it", self.versions)
        chapter("2. A higher build waits, then takes customers step by step", self.gray_release)
        chapter("   ... and by time", self.timed_release)
        chapter("3. kill -9 of an instance under load", self.crash)
        chapter("4. orders@2 is retired with evidence, and comes back", self.retirement)
        chapter("5. Every decision is explained, and nobody fakes a customer", self.explanation)
        chapter("   ... and 3.15.0 stays for good", self.promotion)

    # 1

    def versions(self):
        acme = self.see("acme", "4.1.0", "orders@2", "2.9.0")
        globex = self.see("globex", "4.2.0", "orders@3", "3.14.2")
        facts = self.facts
        facts.check("S-100" in acme["orders"] and "Sarsen block" not in acme["orders"],
                    "acme's page shows article numbers, as orders@2 has them", acme["orders"])
        facts.check("Bluestone pillar" in globex["orders"],
                    "globex's page shows products, as orders@3 has them", globex["orders"])
        facts.equal(acme["url"], globex["url"], "both have the same URL")
        facts.check(acme["page"]["bom"] != globex["page"]["bom"], "and different BOMs")
        self.one_bom("acme", acme["page"]["bom"], "orders-1")
        self.one_bom("globex", globex["page"]["bom"], "orders-2", "orders-3")
        placed = self.browser.do("order", "globex")
        facts.check(placed["orders"].count("Sarsen block") > globex["orders"].count("Sarsen block"),
                    "an order that globex places is there", placed["error"] or placed["orders"])

    def see(self, customer, release, contract, build):
        """Loads the page as a customer in the browser and checks which versions it ran under."""
        seen = self.browser.do("visit", customer)
        facts = self.facts
        facts.equal((seen["release"], seen["customer"]), (release, customer),
                    f"{customer} sees shop {release} in the browser")
        answered = {"bom": seen["page"]["bom"], "contract": contract, "build": build}
        versions = {name: (seen["graphql"] or {}).get(name) for name in answered}
        facts.equal(versions, answered,
                    f"its GraphQL is answered by {contract}, build {build}, under the page's BOM")
        facts.check(seen["page"]["bom"] and seen["shown"]["bom"] == seen["page"]["bom"],
                    f"the BOM is {seen['page']['bom']}, and the page shows it", seen["shown"])
        facts.equal(seen["build"], build, f"the answer itself says build {build}")
        facts.check(not seen["errors"] and not seen["error"], "no error in page and console",
                    seen["errors"] or seen["error"])
        facts.equal(seen["origins"], [f"http://127.0.0.1:{self.edge}"],
                    "the browser talked to nobody but the gateway")
        facts.check(any(cookie == {"name": "sarsen", "httpOnly": True, "sameSite": "Lax"}
                        for cookie in seen["cookies"]),
                    "the gateway's cookie is HttpOnly and SameSite=Lax", seen["cookies"])
        facts.check(not any(part and part["leaked"] for part in (seen["page"], seen["graphql"])),
                    "no answer shows the identity header to the browser")
        return seen

    def one_bom(self, customer, bom, *orders):
        """The logs of all three services name one BOM, in one trace."""
        services = {
            "storefront": ["storefront-1"],
            "orders": list(orders),
            "catalog": ["catalog-1"],
        }

        def lines(names):
            found = [line for name in names for line in requests_of(self.shop.processes[name])]
            return [line for line in found if line["customer"] == customer]

        boms, traces = {}, {}
        for service, names in services.items():
            found = wait_until(f"{service} logs a request of {customer}", 5,
                               lambda names=names: lines(names))
            boms[service] = {line["bom"] for line in found}
            traces[service] = {line["trace"] for line in found if line["trace"]}
        self.facts.equal(boms, {service: {bom} for service in services},
                         f"{customer}: storefront, orders and catalog log that one BOM")
        shared = set.intersection(*traces.values())
        self.facts.check(shared, f"{customer}: one trace runs through all three", traces)

    # 2

    def gray_release(self):
        shop, facts = self.shop, self.facts
        shop.start_orders("orders-4", "3.15.0")
        shop.wait_for("orders-4")
        facts.check(True, "orders 3.15.0 is registered")
        before = builds_of_all(self.internal)
        facts.equal(set(before.values()), {"3.14.2"}, "it waits: none of 1,000 customers gets it")

        steps = [1, 10, 50, 100]
        rollout = self.sarsen.start_rollout("orders", "3.15.0", [{"pct": step} for step in steps])
        moved = set()
        for number, percent in enumerate(steps):
            if number > 0:
                self.sarsen.rollout_verb(rollout, "step")
            moved = self.share(percent, moved)
        again = served_by(builds_of_all(self.internal), "3.15.0")
        facts.equal(again, moved, "asked again, each customer gets the same build")
        self.abort(rollout)

    def share(self, percent, moved):
        """Checks the share that reaches 3.15.0; returns who. `moved` were there before."""
        new = served_by(builds_of_all(self.internal), "3.15.0")
        expected = len(CUSTOMERS) * percent / 100
        allowed = tolerance(percent)
        self.facts.check(abs(len(new) - expected) <= allowed,
                         f"at {percent} % it serves {len(new)} of 1,000 customers "
                         f"({expected:.0f} ± {allowed:.0f})")
        self.facts.check(moved <= new, "nobody who had it lost it", sorted(moved - new)[:5])
        if 0 < percent < 100:
            again = served_by(builds_of_all(self.internal), "3.15.0")
            self.facts.check(again == new, "asked again, the same customers get it",
                             sorted(again ^ new)[:5])
        return new

    def abort(self, rollout):
        self.sarsen.rollout_verb(rollout, "abort")
        after = builds_of_all(self.internal)
        self.facts.equal(set(after.values()), {"3.14.2"},
                         "abort: with the next request all are back on 3.14.2")

    def timed_release(self):
        seconds = 5
        steps = [{"pct": 10, "for": f"{seconds}s"}, {"pct": 50, "for": f"{seconds}s"}, {"pct": 100}]
        rollout = self.sarsen.start_rollout("orders", "3.15.0", steps)
        begin = time.monotonic()
        moved = self.share(10, set())
        for number, percent in ((1, 50), (2, 100)):
            wait_until(f"the rollout moves to {percent} % by itself", 2 * seconds,
                       lambda wanted=number: self.sarsen.rollout(rollout)["step"] == wanted)
            passed = time.monotonic() - begin
            due = number * seconds
            self.facts.check(due - 0.5 <= passed <= due + 2.5,
                             f"step to {percent} % by time, after {passed:.1f} s (due {due} s)")
            moved = self.share(percent, moved)
        self.abort(rollout)

    # 3

    def crash(self):
        shop, facts = self.shop, self.facts
        victim, other = shop.processes["orders-2"], shop.processes["orders-3"]
        marks = {process: len(process.log_lines()) for process in (victim, other)}

        def worked(process):
            return len(requests_of(process, marks[process]))

        with Load(self.internal, f"/api/orders{BUILD_QUERY}") as load:
            wait_until("both instances work", 10,
                       lambda: worked(victim) > 20 and worked(other) > 20)
            facts.check(True, "two instances of orders 3.14.2 share the load")
            victim.kill()
            killed, answered = time.monotonic(), load.answered
            wait_until("orders-2 is failing", shop.ttl + 10,
                       lambda: self.sarsen.instances("orders")["orders-2"]["state"] == "failing")
            passed = time.monotonic() - killed
            wait_until("the load goes on", 5, lambda: load.answered > answered + 100)
        facts.check(not load.failures,
                    f"no request failed: {load.answered} answered over the kill -9",
                    f"{len(load.failures)}, the first: {load.failures[:1]}")
        facts.check(passed <= shop.ttl + 2,
                    f"no request goes there {passed:.1f} s after (TTL {shop.ttl} s)")
        facts.equal(self.sarsen.instances("orders")["orders-3"]["state"], "ready",
                    "the other one is still ready")

    # 4

    def retirement(self):
        sarsen, facts = self.sarsen, self.facts
        self.usage()
        answer = sarsen.retire("orders", 2, "offline")
        facts.equal(answer.status, 409, "taking orders@2 offline is refused with 409")
        reasons = json.dumps(answer.json().get("blockers", []))
        facts.check("acme" in reasons and "4.1.0" in reasons,
                    "the blockers name acme and shop 4.1.0", answer)

        answer = sarsen.pin("acme", "shop", "4.2.0", "moves to 4.2")
        facts.check(answer.status in OK, "acme's pin is moved to 4.2.0", answer)
        placed = self.browser.do("order", "acme")
        facts.equal((placed["release"], (placed["graphql"] or {}).get("contract"), placed["error"]),
                    ("4.1.0", "orders@2", ""),
                    "the page acme has open goes on with orders@2, and places an order")
        seen = self.browser.do("reload", "acme")
        facts.equal((seen["release"], (seen["graphql"] or {}).get("contract")),
                    ("4.2.0", "orders@3"), "acme sees 4.2.0 with orders@3 after a reload")
        # What acme's last page used counts until the window has passed.
        as_acme = {"Sarsen-Customer": "acme"}
        once(self.internal, "GET", f"/api/orders@2{BUILD_QUERY}", headers=as_acme)
        self.refused_for_use()
        accepted = wait_until("the retirement goes through", sarsen.window + 10,
                              lambda: self.offline_accepted(), pause=0.5)
        facts.check(accepted, f"offline goes through after {sarsen.window} s without use")

        answer = sarsen.pin("acme", "shop", "4.1.0", "wants it back")
        facts.check(answer.status in range(400, 500),
                    "pinning to a release that requires orders@2 is refused", answer)
        self.gone()
        answer = sarsen.retire("orders", 2, "restore")
        facts.check(answer.status in OK, "restore is accepted", answer)
        answer = once(self.internal, "GET", f"/api/orders@2{BUILD_QUERY}")
        facts.check(answer.status == 200 and b"2.9.0" in answer.body,
                    "orders@2 answers again", answer)

    def usage(self):
        facts, row = self.facts, wait_until("usage of orders@2 is counted", 5, self.acme_usage)
        facts.check(row["n"] > 0 and row["last"],
                    f"usage names acme through shop 4.1.0: {row['n']} requests, last {row['last']}")
        rows = self.sarsen.usage("orders@2")
        facts.equal({one["customer"] for one in rows}, {"acme"}, "and nobody else")
        done = self.sarsen.cli("usage", "orders@2")
        facts.check(done.returncode == 0 and "acme" in done.stdout and "4.1.0" in done.stdout,
                    "`sarsen usage orders@2` prints it", done.stdout + done.stderr)

    def acme_usage(self):
        for row in self.sarsen.usage("orders@2"):
            if row["customer"] == "acme" and row["release"] == "4.1.0":
                return row
        return None

    def refused_for_use(self):
        def refused():
            answer = self.sarsen.retire("orders", 2, "offline")
            # The blocker by release is gone with the pin; the one by use comes within a second.
            return answer.status == 409 and "acme" in json.dumps(answer.json()["blockers"])

        wait_until("offline is refused for the latest use", 3, refused)
        self.facts.check(True, "offline is still refused: acme used it within the window")

    def offline_accepted(self):
        return self.sarsen.retire("orders", 2, "offline").status in OK

    def gone(self):
        answer = once(self.internal, "GET", f"/api/orders@2{BUILD_QUERY}")
        self.facts.equal(answer.status, 410, "callers of /api/orders@2/ get 410")
        self.facts.equal(answer.header("Content-Type").split(";")[0], "application/problem+json",
                         "as a problem document")
        self.facts.equal(answer.json().get("successor"), "orders@3", "that names the successor")

    # 5

    def explanation(self):
        sarsen, facts = self.sarsen, self.facts
        answer = sarsen.pin("acme", "shop", "4.1.0", "back again")
        facts.check(answer.status in OK, "acme can be pinned to 4.1.0 again", answer)
        for customer, release, reason in (("acme", "4.1.0", "pin"), ("globex", "4.2.0", "default")):
            text = json.dumps(sarsen.explain(customer, "shop"))
            facts.check(release in text and reason in text.lower(),
                        f"explain: {customer} gets {release} by {reason}", text)
            done = sarsen.cli("explain", customer, "--app", "shop")
            facts.check(done.returncode == 0 and release in done.stdout
                        and reason in done.stdout.lower(),
                        f"`sarsen explain {customer} --app shop` says so",
                        done.stdout + done.stderr)
        path = f"/api/orders{BUILD_QUERY}"
        for name, value in (("Sarsen-Customer", "acme"), ("baggage", "sarsen.customer=acme")):
            headers = {name: value}
            facts.equal(build_for(self.edge, path, headers), ("orders@3", "3.14.2"),
                        f"edge: acme named in {name} is ignored")
            facts.equal(build_for(self.internal, path, headers), ("orders@2", "2.9.0"),
                        f"internal: acme named in {name} is believed")
        seen = self.browser.do("visit", "acme")
        facts.equal(seen["release"], "4.1.0", "the browser of acme sees 4.1.0 again")
        seen = self.browser.do("logout", "acme")
        facts.equal((seen["release"], seen["customer"]), ("4.2.0", ""),
                    "after the logout it is nobody's, and sees 4.2.0 as everyone")

    def promotion(self):
        rollout = self.sarsen.start_rollout("orders", "3.15.0", [{"pct": 100}])
        self.sarsen.rollout_verb(rollout, "promote")
        after = builds_of_all(self.internal)
        self.facts.equal(set(after.values()), {"3.15.0"}, "promote: 3.15.0 serves all customers")
        states = self.sarsen.build_states("orders")
        self.facts.equal(states.get("3.15.0"), "baseline", "and is the baseline of orders@3")
