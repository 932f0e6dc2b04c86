# SPDX-License-Identifier: Apache-2.0
"""Decisions that contradict each other, made at the same moment: one of them loses."""
import random
import threading

import pytest

ROUNDS = 40
TWO = "/v1/contracts/orders/2"
PIN = "/v1/customers/acme/pins/shop"


def both(first, second, lead):
    """Runs both at once, on threads of their own, the second `lead` seconds late."""
    start = threading.Barrier(2)
    answers = [None, None]

    def run(index, call, wait):
        start.wait()
        threading.Event().wait(wait)  # nobody sets it: it only moves the moment
        answers[index] = call()

    threads = [threading.Thread(target=run, args=(0, first, max(-lead, 0))),
               threading.Thread(target=run, args=(1, second, max(lead, 0)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture
def shop(make_daemon, service):
    """orders@2 is needed by nobody, and shop 4.1.0 and 4.1.1 require it."""
    daemon = make_daemon("retire: { window: 1s }\n")
    for build in ("3.14.2", "2.9.0", "2.10.0"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    daemon.publish("shop", "4.2.0", {"orders": "3"})
    daemon.publish("shop", "4.1.0", {"orders": "2"})
    daemon.publish("shop", "4.1.1", {"orders": ">=1 <3"})
    return daemon


def put_pin(daemon, release):
    return (lambda: daemon.call("PUT", PIN, {"release": release}),
            lambda answer: daemon.call("DELETE", PIN, status=204))


def put_default(daemon):
    path = "/v1/apps/shop/default"
    return (lambda: daemon.call("PUT", path, {"release": "4.1.0"}),
            lambda answer: daemon.call("PUT", path, {"release": "4.2.0"}, status=200))


def put_service_default(daemon):
    path = "/v1/services/orders/default"
    return (lambda: daemon.call("PUT", path, {"contract": 2}),
            lambda answer: daemon.call("PUT", path, {"contract": 3}, status=200))


def start_rollout(daemon, member):
    return (lambda: daemon.call("POST", "/v1/rollouts", {"members": [member]}),
            lambda answer: daemon.call(
                "POST", f"/v1/rollouts/{answer.json['rollout']}:abort", status=200))


@pytest.mark.parametrize("how", ["pin", "range", "app", "service", "build", "release"])
def test_a_contract_goes_offline_or_becomes_needed_never_both(shop, how):
    depend, undo = {
        "pin": lambda: put_pin(shop, "4.1.0"),
        "range": lambda: put_pin(shop, "4.1.1"),
        "app": lambda: put_default(shop),
        "service": lambda: put_service_default(shop),
        "build": lambda: start_rollout(shop, "orders@2.10.0"),
        "release": lambda: start_rollout(shop, "shop@4.1.0"),
    }[how]()
    moments = random.Random(2)
    for number in range(ROUNDS):
        lead = moments.uniform(-0.003, 0.003)
        taken, needed = both(lambda: shop.call("POST", f"{TWO}:offline"), depend, lead)
        told = (number, taken, needed)
        if taken.status == 200:
            assert needed.status == 409, told
            assert shop.get(TWO)["state"] == "offline"
            shop.call("POST", f"{TWO}:restore", status=200)
        else:
            assert taken.status == 409 and taken.json["blockers"], told
            assert needed.status in (200, 201), told
            assert shop.get(TWO)["state"] == "active"
            undo(needed)
