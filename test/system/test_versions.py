# SPDX-License-Identifier: Apache-2.0
"""Baselines, waiting builds, defaults, releases, pins and cohorts, seen from the outside."""
import time

import pytest
from test_api import refused

ORDERS = "/v1/services/orders"


@pytest.fixture
def shop(make_daemon, service):
    """orders 2.9.0 and 3.14.2 behind shop 4.1.0 and 4.2.0; 4.1.0 is the default."""
    daemon = make_daemon()
    for build in ("2.9.0", "3.14.2"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    daemon.publish("shop", "4.1.0", {"orders": "2"})
    daemon.publish("shop", "4.2.0", {"orders": "3"})
    return daemon


def contract(daemon, major):
    return daemon.get(f"/v1/contracts/orders/{major}")


def build_at(daemon, path="/api/orders/", customer=None):
    headers = {"Sarsen-Customer": customer} if customer else {}
    return daemon.internal_get(path, headers).headers["Sarsen-Build"]


# --- baselines ---

def test_the_first_build_is_the_baseline_and_a_higher_one_waits(make_daemon, service):
    daemon = make_daemon()
    orders = service()
    daemon.register("orders", "a", orders.address, "3.14.2")
    assert contract(daemon, 3)["baseline"] == "3.14.2"
    daemon.register("orders", "b", orders.address, "3.15.0")
    assert contract(daemon, 3)["other_builds"] == ["3.15.0"]
    states = {row["build"]: row["state"] for row in daemon.get(f"{ORDERS}/builds")["builds"]}
    assert states == {"3.14.2": "baseline", "3.15.0": "waiting"}
    assert {build_at(daemon, customer=f"c{n}") for n in range(50)} == {"3.14.2"}


def test_a_lower_build_waits_too(make_daemon, service):
    daemon = make_daemon()
    orders = service()
    daemon.register("orders", "a", orders.address, "3.14.2")
    daemon.register("orders", "b", orders.address, "3.13.0")
    assert contract(daemon, 3)["baseline"] == "3.14.2"
    assert {build_at(daemon, customer=f"c{n}") for n in range(50)} == {"3.14.2"}


def test_the_baseline_gone_is_told_with_who_waits(make_daemon, service):
    daemon = make_daemon()
    orders = service()
    daemon.register("orders", "a", orders.address, "3.14.2")
    daemon.register("orders", "b", orders.address, "3.15.0")
    daemon.call("DELETE", f"{ORDERS}/instances/a", status=204)
    problem = daemon.edge_get("/api/orders/")
    assert problem.status == 503 and problem.json["waiting"] == ["3.15.0"]
    assert problem.json["build"] == "3.14.2" and problem.json["contract"] == "orders@3"
    daemon.register("orders", "a", orders.address, "3.14.2")
    assert build_at(daemon) == "3.14.2"


def test_when_baseline_gone_promote(make_daemon, service):
    daemon = make_daemon()
    orders = service()
    daemon.call("PUT", ORDERS, {"when_baseline_gone": "promote"}, status=201)
    daemon.register("orders", "a", orders.address, "3.14.2")
    daemon.register("orders", "b", orders.address, "3.15.0")
    daemon.call("DELETE", f"{ORDERS}/instances/a", status=204)
    daemon.expect_log("baseline replaced")
    daemon.eventually(lambda: daemon.edge_get("/api/orders/").status == 200)
    assert build_at(daemon) == "3.15.0" and contract(daemon, 3)["baseline"] == "3.15.0"


def test_gray_off_shares_the_traffic(make_daemon, service):
    daemon = make_daemon()
    daemon.call("PUT", ORDERS, {"gray": "off"}, status=201)
    for build in ("3.14.2", "3.15.0", "3.16.0"):
        daemon.register("orders", build, service(build).address, build)
    seen = [daemon.edge_get("/api/orders/").json["service"] for _ in range(60)]
    assert set(seen) == {"3.14.2", "3.15.0", "3.16.0"}
    daemon.call("PUT", ORDERS, {"gray": "on"}, status=200)
    assert {daemon.edge_get("/api/orders/").json["service"] for _ in range(30)} == {"3.14.2"}


def test_auto_start_begins_a_gray_release(make_daemon, service):
    daemon = make_daemon()
    orders = service()
    daemon.call("PUT", ORDERS, {"auto_start": True}, status=201)
    daemon.register("orders", "a", orders.address, "3.14.2")
    assert daemon.get("/v1/rollouts")["rollouts"] == []
    daemon.register("orders", "lower", orders.address, "3.13.0")
    daemon.register("orders", "b", orders.address, "3.15.0")
    rollout = daemon.eventually(lambda: daemon.get("/v1/rollouts")["rollouts"])
    assert [row["members"][0]["member"] for row in rollout] == ["orders@3.15.0"]
    assert rollout[0]["state"] == "running" and rollout[0]["pct"] == 1


def test_a_build_that_provides_two_contracts(make_daemon, service):
    daemon = make_daemon()
    orders = service()
    daemon.register("orders", "a", orders.address, "3.14.2", provides=["orders@3", "orders@2"])
    for major in (2, 3):
        assert contract(daemon, major)["baseline"] == "3.14.2"
        answer = daemon.edge_get(f"/api/orders@{major}/")
        assert answer.headers["Sarsen-Contract"] == f"orders@{major}"
    assert daemon.edge_get("/api/orders/").headers["Sarsen-Contract"] == "orders@3"
    assert daemon.edge_get("/api/orders@4/").status == 404


def test_a_new_major_changes_nothing_for_those_who_name_none(make_daemon, service):
    """The default contract is the first that appeared, moved by an operator only."""
    daemon = make_daemon()
    orders = service()
    daemon.register("orders", "a", orders.address, "3.0.0")
    daemon.register("orders", "b", orders.address, "4.0.0")
    daemon.register("orders", "c", orders.address, "2.0.0")
    assert daemon.get(ORDERS)["default"] == "orders@3" and build_at(daemon) == "3.0.0"
    assert build_at(daemon, "/api/orders@4/") == "4.0.0"
    daemon.call("PUT", f"{ORDERS}/default", {"contract": 4}, status=200)
    assert build_at(daemon) == "4.0.0"
    daemon.restart()
    assert build_at(daemon) == "4.0.0"


def test_an_unversioned_instance(make_daemon, service):
    daemon = make_daemon()
    daemon.register("orders", "a", service().address)
    answer = daemon.edge_get("/api/orders/")
    assert answer.headers["Sarsen-Contract"] == "orders@0"
    assert answer.headers["Sarsen-Build"] == "0.0.0"


# --- releases, pins ---

def served(daemon, customer):
    """What the customer is served by, as explain says and as the gateway does."""
    why = daemon.get(f"/v1/customers/{customer}/explain?app=shop")
    answer = daemon.internal_get("/.sarsen/resolve?app=shop", {"Sarsen-Customer": customer}).json
    row = why["served"][0]
    assert (answer["bom"], answer["release"]) == (why["bom"], row["release"])
    assert answer["contracts"] == {"orders": int(row["contracts"][0]["contract"][-1])}
    reached = daemon.internal_get("/api/orders/", {"Sarsen-Customer": customer}).headers
    assert reached["Sarsen-Bom"] == why["bom"]
    assert reached["Sarsen-Contract"] == row["contracts"][0]["contract"]
    assert reached["Sarsen-Build"] == row["contracts"][0]["build"]
    return row["release"], reached["Sarsen-Contract"], why["reason"]


def test_the_release_decides_the_contract(shop):
    assert served(shop, "acme") == ("4.1.0", "orders@2", "DEFAULT")
    shop.call("PUT", "/v1/apps/shop/default", {"release": "4.2.0"}, status=200)
    assert served(shop, "acme") == ("4.2.0", "orders@3", "DEFAULT")


def test_a_pin_holds_for_one_customer_until_taken_away(shop):
    pin = "/v1/customers/acme/pins/shop"
    shop.call("PUT", pin, {"release": "4.2.0", "why": "asked"}, status=201)
    assert served(shop, "acme") == ("4.2.0", "orders@3", "PIN")
    assert served(shop, "globex") == ("4.1.0", "orders@2", "DEFAULT")
    trace = shop.get("/v1/customers/acme/explain")["trace"]
    assert any(step["rule"] == "pin" and "4.2.0" in step["text"] for step in trace)
    shop.restart()
    assert served(shop, "acme")[2] == "PIN"
    shop.call("DELETE", pin, status=204)
    assert served(shop, "acme") == ("4.1.0", "orders@2", "DEFAULT")


def test_a_pin_expires(shop):
    shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.2.0", "expires": "1s"},
              status=201)
    start = time.monotonic()
    assert served(shop, "acme")[0] == "4.2.0"
    resolve = "/.sarsen/resolve?app=shop"
    shop.eventually(lambda: shop.internal_get(resolve, {"Sarsen-Customer": "acme"})
                    .json["release"] == "4.1.0")
    assert served(shop, "acme")[0] == "4.1.0"
    assert time.monotonic() - start > 0.8
    answer = shop.internal_get("/apps/shop/", {"Sarsen-Customer": "acme"})
    assert b"4.1.0" in answer.body


def test_what_cannot_be_served_cannot_be_chosen(shop):
    shop.publish("shop", "4.3.0", {"orders": "4"})
    refused(shop.call("PUT", "/v1/apps/shop/default", {"release": "4.3.0"}), 409, "orders")
    refused(shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.3.0"}), 409, "orders")
    refused(shop.call("POST", "/v1/rollouts", {"members": ["shop@4.3.0"]}), 409, "orders")
    shop.call("PUT", f"{ORDERS}/default", {"contract": 3}, status=200)
    shop.call("PUT", "/v1/apps/shop/default", {"release": "4.2.0"}, status=200)
    shop.call("POST", "/v1/contracts/orders/2:offline", status=200)
    refused(shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.1.0"}), 409,
            "orders@2", "orders@3")
    refused(shop.call("PUT", "/v1/apps/shop/default", {"release": "4.1.0"}), 409, "orders@2")
    shop.call("PUT", "/v1/apps/shop/releases/4.4.0/files/a.js", b"a", status=201)
    refused(shop.call("PUT", "/v1/apps/shop/releases/4.4.0", {
        "requires": {"orders": "2"}, "entries": [{"name": "a", "path": "a.js"}]}), 409, "orders@2")
    shop.call("POST", "/v1/contracts/orders/2:restore", status=200)
    shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.1.0"}, status=201)
    assert served(shop, "acme") == ("4.1.0", "orders@2", "PIN")


def test_a_requirement_takes_the_highest_active_major_in_range(shop, service):
    shop.publish("shop", "4.5.0", {"orders": ">=2 <5"})
    shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.5.0"}, status=201)
    assert served(shop, "acme")[1] == "orders@3"
    shop.register("orders", "four", service().address, "4.0.0")
    assert served(shop, "acme")[1] == "orders@4"
    shop.call("POST", "/v1/contracts/orders/4:offline", status=409)  # acme needs it


def test_only_a_published_release_is_served(shop):
    shop.call("PUT", "/v1/apps/shop/releases/5.0.0/files/main.js", b"draft", status=201)
    refused(shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "5.0.0"}), 409, "manifest")
    assert b"draft" not in shop.edge_get("/apps/shop/5.0.0/main.js").body
    assert shop.edge_get("/apps/shop/4.2.0/main.js").status == 200


# --- cohorts ---

def test_a_cohort_is_moved_whole(shop):
    for customer, tier in (("acme", "internal"), ("globex", "gold")):
        shop.call("PUT", f"/v1/customers/{customer}", {"attributes": {"tier": tier}}, status=201)
    shop.call("PUT", "/v1/cohorts/staff", {"expression": "tier == 'internal'"}, status=201)
    rollout = shop.call("POST", "/v1/rollouts", {"members": ["shop@4.2.0"], "steps": [
        {"cohort": "staff"}, {"pct": 100}]}, status=201).json
    assert served(shop, "acme") == ("4.2.0", "orders@3", "TARGETING_MATCH")
    assert served(shop, "globex")[0] == "4.1.0"
    shop.call("PUT", "/v1/cohorts/staff", {"expression": "tier in ['gold', 'silver']"}, status=200)
    assert (served(shop, "acme")[0], served(shop, "globex")[0]) == ("4.1.0", "4.2.0")
    shop.call("PUT", "/v1/customers/globex", {"attributes": {"tier": "none"}}, status=200)
    assert served(shop, "globex")[0] == "4.1.0"
    shop.call("PUT", "/v1/customers/initech", {"attributes": {"tier": "silver"}}, status=201)
    assert served(shop, "initech")[0] == "4.2.0"
    shop.call("POST", f"/v1/rollouts/{rollout['rollout']}:abort", status=200)
    assert served(shop, "initech")[0] == "4.1.0"
