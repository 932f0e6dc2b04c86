# SPDX-License-Identifier: Apache-2.0
"""Gray releases, measured on a thousand customers."""
import itertools
import math
import threading
import time

import pytest
from support.daemon import Caller
from test_api import refused

CUSTOMERS = [f"customer-{number}" for number in range(1000)]
OLD, NEW = "3.14.2", "3.15.0"


@pytest.fixture
def orders(make_daemon, service):
    """The baseline and a waiting build; the salt of the tests is fixed, so that they repeat."""
    daemon = make_daemon()
    for build in (OLD, NEW):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    return daemon


def start(daemon, steps, **more):
    body = {"members": [f"orders@{NEW}"], "steps": steps, "salt": "fixed", **more}
    return daemon.call("POST", "/v1/rollouts", body, status=201).json


def change(daemon, rollout, verb):
    return daemon.call("POST", f"/v1/rollouts/{rollout['rollout']}:{verb}", status=200).json


def moved(daemon, customers=CUSTOMERS):
    """The customers that reach the new build."""
    builds = daemon.builds_of(customers)
    assert set(builds.values()) <= {OLD, NEW}
    return {customer for customer, build in builds.items() if build == NEW}


def is_share(count, total, share):
    """Within four standard errors of the share."""
    error = math.sqrt(total * share * (1 - share))
    return abs(count - total * share) <= 4 * error


def test_shares_grow_and_nobody_goes_back(orders):
    rollout = start(orders, [{"pct": pct} for pct in (0, 1, 10, 50, 100)])
    before = set()
    for pct in (0, 1, 10, 50, 100):
        at = moved(orders)
        assert is_share(len(at), len(CUSTOMERS), pct / 100), (pct, len(at))
        assert before <= at, f"at {pct} % somebody went back"
        assert moved(orders, CUSTOMERS[:100]) == at & set(CUSTOMERS[:100])  # and again the same
        before = at
        rollout = change(orders, rollout, "step")
    assert rollout["state"] == "promoted"
    assert orders.get("/v1/contracts/orders/3")["baseline"] == NEW
    assert len(moved(orders, CUSTOMERS[:100])) == 100
    builds = {row["build"]: row["state"] for row in
              orders.get("/v1/services/orders/builds")["builds"]}
    assert builds == {OLD: "superseded", NEW: "baseline"}


def test_abort_brings_every_customer_back_with_the_next_request(orders):
    rollout = start(orders, [{"pct": 100}])
    assert len(moved(orders, CUSTOMERS[:100])) == 100
    samples, done = [], threading.Event()

    def load(number):
        with Caller(orders.internal) as caller:
            for customer in itertools.cycle(CUSTOMERS[number::4]):
                if done.is_set():
                    return
                begun = time.monotonic()
                answer = caller.ask("/api/orders/", {"Sarsen-Customer": customer})
                samples.append((begun, answer.status, answer.headers["Sarsen-Build"]))

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    orders.eventually(lambda: len(samples) > 200)
    change(orders, rollout, "abort")
    aborted = time.monotonic()
    enough = len(samples) + 200
    orders.eventually(lambda: len(samples) > enough)
    done.set()
    for thread in threads:
        thread.join()
    assert {status for _, status, _ in samples} == {200}
    assert {build for begun, _, build in samples if begun < aborted} >= {NEW}
    assert {build for begun, _, build in samples if begun > aborted} == {OLD}
    assert not moved(orders, CUSTOMERS[:100])


def test_steps_go_on_by_time(orders):
    rollout = start(orders, [{"pct": 10, "for": "1s"}, {"pct": 50, "for": "1s"}, {"pct": 100}])
    path = f"/v1/rollouts/{rollout['rollout']}"
    assert rollout["step_ends"]
    began, ends, seen = time.monotonic(), {}, set()
    while len(seen) < 3:
        now = orders.get(path)
        assert time.monotonic() - began < 20
        seen.add(now["step"])
        ends.setdefault(now["step"], time.monotonic() - began)
    assert seen == {0, 1, 2} and ends[1] > 0.8 and ends[2] > 1.8
    assert orders.get(path)["state"] == "running" and orders.get(path)["step_ends"] is None
    assert len(moved(orders, CUSTOMERS[:100])) == 100


def test_pause_stops_the_clock_and_keeps_the_share(orders):
    rollout = start(orders, [{"pct": 50, "for": "1s"}, {"pct": 100}])
    share = moved(orders, CUSTOMERS[:200])
    paused = change(orders, rollout, "pause")
    assert paused["state"] == "paused" and paused["step_ends"] is None
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:  # longer than the step would have lasted
        assert moved(orders, CUSTOMERS[:50]) == share & set(CUSTOMERS[:50])
    assert orders.get(f"/v1/rollouts/{rollout['rollout']}")["step"] == 0
    assert change(orders, rollout, "resume")["step_ends"]
    orders.eventually(lambda: orders.get(f"/v1/rollouts/{rollout['rollout']}")["step"] == 1)
    assert len(moved(orders, CUSTOMERS[:100])) == 100


def test_promote_makes_it_the_baseline_at_once(orders):
    rollout = start(orders, [{"pct": 1}, {"pct": 100}])
    assert change(orders, rollout, "promote")["state"] == "promoted"
    assert len(moved(orders, CUSTOMERS[:100])) == 100
    for verb in ("step", "pause", "resume", "promote", "abort"):
        refused(orders.call("POST", f"/v1/rollouts/{rollout['rollout']}:{verb}"), 409, "promoted")
    refused(orders.call("POST", "/v1/rollouts", {"members": [f"orders@{NEW}"]}), 409, "baseline")


def test_the_baseline_that_was_waits_for_nothing(orders, service):
    orders.register("orders", "orders-3.16.0", service("3.16.0").address, "3.16.0")
    change(orders, start(orders, []), "promote")
    states = {row["build"]: row["state"] for row in
              orders.get("/v1/services/orders/builds")["builds"]}
    assert states == {OLD: "superseded", NEW: "baseline", "3.16.0": "waiting"}


def test_a_restart_changes_nobodys_build(orders):
    """Killed at 10 % by hand and in the middle of a timed step: shares stay, time goes on."""
    rollout = start(orders, [{"pct": 10}, {"pct": 50, "for": "2s"}, {"pct": 100}])
    share = moved(orders)
    orders.kill()
    orders.start()
    assert moved(orders) == share
    change(orders, rollout, "step")
    half = moved(orders, CUSTOMERS[:300])
    orders.kill()
    orders.start()
    path = f"/v1/rollouts/{rollout['rollout']}"
    if orders.get(path)["step"] == 1:
        assert moved(orders, CUSTOMERS[:50]) == half & set(CUSTOMERS[:50]) or orders.get(
            path)["step"] == 2
    orders.eventually(lambda: orders.get(path)["step"] == 2)
    change(orders, rollout, "abort")
    orders.kill()
    orders.start()
    assert not moved(orders, CUSTOMERS[:100]) and orders.get(path)["state"] == "aborted"


def test_one_rollout_a_contract(orders, service):
    rollout = start(orders, [{"pct": 10}])
    orders.register("orders", "third", service().address, "3.16.0")
    refused(orders.call("POST", "/v1/rollouts", {"members": ["orders@3.16.0"]}), 409,
            rollout["rollout"])
    change(orders, rollout, "pause")
    refused(orders.call("POST", "/v1/rollouts", {"members": ["orders@3.16.0"]}), 409,
            rollout["rollout"])
    change(orders, rollout, "abort")
    orders.call("POST", "/v1/rollouts", {"members": ["orders@3.16.0"]}, status=201)


def test_rollouts_of_two_services_draw_apart(orders, service):
    for build in ("1.0.0", "1.1.0"):
        orders.register("cart", f"cart-{build}", service().address, build)
    start(orders, [{"pct": 50}])
    orders.call("POST", "/v1/rollouts", {"members": ["cart@1.1.0"], "steps": [{"pct": 50}],
                                         "salt": "another"}, status=201)
    in_orders = moved(orders)
    carts = orders.builds_of(CUSTOMERS, "/api/cart/")
    in_cart = {customer for customer, build in carts.items() if build == "1.1.0"}
    assert is_share(len(in_orders & in_cart), len(CUSTOMERS), 0.25)


def test_a_release_and_a_build_move_together(orders):
    """Nobody sees the new page with the old build, or the other way round."""
    orders.publish("shop", "4.1.0", {"orders": "3"})
    orders.publish("shop", "4.2.0", {"orders": "3"})
    rollout = orders.call("POST", "/v1/rollouts", {
        "members": [f"orders@{NEW}", "shop@4.2.0"], "steps": [{"pct": 30}, {"pct": 100}],
        "salt": "fixed"}, status=201).json
    with Caller(orders.internal) as caller:
        pairs = {}
        for customer in CUSTOMERS:
            who = {"Sarsen-Customer": customer}
            page = caller.ask("/.sarsen/resolve?app=shop", who).json["release"]
            pairs[customer] = (page, caller.ask("/api/orders/", who).headers["Sarsen-Build"])
    assert set(pairs.values()) == {("4.1.0", OLD), ("4.2.0", NEW)}
    assert is_share(list(pairs.values()).count(("4.2.0", NEW)), len(CUSTOMERS), 0.3)
    change(orders, rollout, "promote")
    assert orders.get("/v1/apps/shop")["default"] == "4.2.0"
    assert orders.get("/v1/contracts/orders/3")["baseline"] == NEW


def test_a_cohort_narrows_every_step(orders):
    for number, customer in enumerate(CUSTOMERS[:40]):
        orders.call("PUT", f"/v1/customers/{customer}",
                    {"attributes": {"tier": "internal" if number % 2 else "gold"}}, status=201)
    start(orders, [{"pct": 100}], cohort="tier == 'internal'")
    assert moved(orders, CUSTOMERS[:60]) == set(CUSTOMERS[1:40:2])


def test_a_device_keeps_its_build_and_strangers_without_one_stay(orders):
    """By device: whoever sends the cookie back stays; without a name nobody is in a share."""
    start(orders, [{"pct": 50}, {"pct": 100}], subject="device")
    seen = []
    for _ in range(60):
        first = orders.edge_get("/api/orders/")
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        builds = {orders.edge_get("/api/orders/", {"Cookie": cookie}).headers["Sarsen-Build"]
                  for _ in range(3)}
        assert builds == {first.headers["Sarsen-Build"]}
        seen.append(first.headers["Sarsen-Build"])
    assert is_share(seen.count(NEW), 60, 0.5)


def test_the_new_build_gone_serves_the_baseline(orders):
    """A customer in the share whose build has no instance is served by the baseline."""
    start(orders, [{"pct": 100}])
    assert len(moved(orders, CUSTOMERS[:20])) == 20
    orders.call("DELETE", f"/v1/services/orders/instances/orders-{NEW}", status=204)
    assert not moved(orders, CUSTOMERS[:20])
