# SPDX-License-Identifier: Apache-2.0
"""Who used what: counted without sampling, kept over restarts, and decisive for retirement."""
import collections
import contextlib
import sqlite3
import threading
import time

import pytest
from support.daemon import Caller
from support.wire import Played, Wire
from test_api import refused
from test_config import reload

WINDOW = "retire: { window: 1s }\n"


def rows(daemon, query=""):
    return daemon.get(f"/v1/usage?{query}")["usage"]


def total(daemon, query=""):
    return sum(row["n"] for row in rows(daemon, query))


def of_page(daemon, customer, app="shop"):
    """The headers that a call has which the customer's page causes."""
    bom = daemon.internal_get(f"/apps/{app}/", {"Sarsen-Customer": customer}).headers["Sarsen-Bom"]
    return {"baggage": f"sarsen.bom={bom},sarsen.customer={customer}"}


@pytest.fixture
def orders(make_daemon, service):
    daemon = make_daemon()
    for build in ("2.9.0", "3.14.2"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    return daemon


def test_every_request_is_counted_under_load(orders):
    """Eight connections at once, over two workers: the sums are exactly what was sent."""
    sent = collections.Counter()
    lock = threading.Lock()

    def load(number):
        mine = collections.Counter()
        with Caller(orders.internal) as caller:
            for turn in range(250):
                customer = f"c{(number + turn) % 20}"
                major = 2 + turn % 2
                answer = caller.ask(f"/api/orders@{major}/", {"Sarsen-Customer": customer,
                                                              "Sarsen-Caller": f"job-{number}"})
                assert answer.status == 200
                mine[f"orders@{major}", customer, f"job-{number}"] += 1
        with lock:
            sent.update(mine)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent.total() == 2000 and total(orders) == 2000
    seen = {(row["contract"], row["customer"], row["caller"]): row["n"]
            for row in rows(orders, "by=contract,customer,caller")}
    assert seen == dict(sent)
    assert {row["contract"]: row["n"] for row in rows(orders, "by=contract")} == {
        "orders@2": 1000, "orders@3": 1000}
    assert total(orders, "contract=orders%402&customer=c3") == sum(
        n for (contract, customer, _), n in sent.items() if (contract, customer) == ("orders@2",
                                                                                      "c3"))
    assert total(orders, "caller=job-5") == 250 and total(orders, "build=2.9.0") == 1000


def test_columns_that_are_not_asked_for_are_summed(orders):
    orders.publish("shop", "4.1.0", {"orders": "3"})
    for customer in ("acme", "globex"):
        for _ in range(3):
            orders.internal_get("/api/orders/", {**of_page(orders, customer),
                                                 "Sarsen-Caller": "storefront"})
    orders.edge_get("/api/orders@2/")
    outside = [row for row in rows(orders) if row["customer"] == "~anonymous"]
    assert [(row["contract"], row["caller"], row["n"]) for row in outside] == [("orders@2", "", 1)]
    full = [row for row in rows(orders) if row["customer"] == "acme"]
    assert [(row["contract"], row["build"], row["app"], row["release"], row["caller"], row["n"])
            for row in full] == [("orders@3", "3.14.2", "shop", "4.1.0", "storefront", 3)]
    assert full[0]["first"] <= full[0]["last"] and full[0]["mean_ms"] > 0
    by_release = {(row["app"], row["release"]): row["n"] for row in rows(orders, "by=release")}
    assert by_release[("shop", "4.1.0")] == 6
    assert rows(orders, "since=1h&by=contract") and not rows(orders, "since=2999-01-01T00:00:00Z")


def test_a_call_that_no_page_caused_is_through_no_release(orders):
    orders.publish("shop", "4.1.0", {"orders": "3"})
    orders.internal_get("/api/orders@3/", {"Sarsen-Customer": "acme", "Sarsen-Caller": "cron"})
    orders.edge_get("/api/orders@3/")
    assert {(row["customer"], row["app"], row["release"], row["caller"])
            for row in rows(orders)} == {("acme", "", "", "cron"), ("~anonymous", "", "", "")}
    page = orders.edge_get("/apps/shop/")
    orders.edge_get("/api/orders@3/", {"Cookie": page.headers["Set-Cookie"].split(";")[0]})
    assert {(row["customer"], row["app"], row["release"], row["n"]) for row in rows(orders)} == {
        ("acme", "", "", 1), ("~anonymous", "", "", 1), ("~anonymous", "shop", "4.1.0", 1)}


def test_errors_are_counted_as_such(make_daemon, service):
    daemon = make_daemon()
    broken = service("broken", answer=lambda request: (500, {}, b""))
    daemon.register("orders", "a", broken.address, "3.0.0")
    for _ in range(5):
        assert daemon.edge_get("/api/orders/").status == 500
    assert [(row["n"], row["errors"]) for row in rows(daemon)] == [(5, 5)]


def test_a_restart_keeps_what_was_counted(orders):
    for number in range(3):
        for _ in range(10):
            assert orders.internal_get("/api/orders/", {"Sarsen-Customer": "acme"}).status == 200
        orders.restart()  # orderly: the last second is written too
        assert total(orders, "customer=acme") == 10 * (number + 1)


def test_a_crash_loses_the_last_second_at_most(orders):
    """What was counted more than a second ago survives kill -9."""
    for _ in range(10):
        orders.internal_get("/api/orders/", {"Sarsen-Customer": "acme"})
    assert total(orders) == 10
    counted = time.monotonic()
    orders.eventually(lambda: time.monotonic() - counted > 1.5)  # the promise is about time
    orders.kill()
    orders.start()
    assert total(orders) == 10


def hours(daemon):
    """What the ledger of a stopped daemon holds of each hour, by how many hours ago."""
    with contextlib.closing(sqlite3.connect(daemon.data / "ledger.db")) as ledger:
        now = int(time.time()) // 3600
        return {now - hour: n for hour, n in
                ledger.execute("SELECT hour, sum(n) FROM usage_hours GROUP BY hour")}


def age(daemon, by):
    """Makes the newest hour of a stopped daemon older."""
    with contextlib.closing(sqlite3.connect(daemon.data / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE usage_hours SET hour = hour - ? "
                       "WHERE hour = (SELECT max(hour) FROM usage_hours)", (by,))


def test_hours_are_kept_as_long_as_the_settings_say(make_daemon, service):
    """At start and after a reload what is older goes; how often in all is known for ever."""
    daemon = make_daemon("usage: { keep: 3d }\n")
    daemon.register("orders", "a", service().address, "3.0.0")
    for hours_ago in (100, 30, 0):
        daemon.edge_get("/api/orders/")
        daemon.stop()
        age(daemon, hours_ago)
        daemon.start()
    assert total(daemon) == 3
    assert total(daemon, "since=2h") == 1 and total(daemon, "since=2d&by=contract") == 2
    daemon.stop()
    assert sorted(hours(daemon).values()) == [1, 1] and 30 <= max(hours(daemon)) < 40

    daemon.start()
    reload(daemon, daemon.config.read_text().replace("keep: 3d", "keep: 1d"))
    assert total(daemon) == 3
    daemon.stop()
    assert list(hours(daemon).values()) == [1] and max(hours(daemon)) < 3


# --- retirement ---

def test_a_contract_in_use_is_not_taken_offline(make_daemon, service):
    """The story: blocked by whom, moved, unused for the window, offline, 410, back again."""
    daemon = make_daemon(WINDOW)
    for build in ("2.9.0", "3.14.2"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    two = "/v1/contracts/orders/2"
    daemon.publish("shop", "4.2.0", {"orders": "3"})
    daemon.publish("shop", "4.1.0", {"orders": "2"})
    daemon.call("PUT", "/v1/services/orders/default", {"contract": 3}, status=200)
    pin = "/v1/customers/acme/pins/shop"
    daemon.call("PUT", pin, {"release": "4.1.0"}, status=201)
    acme = {"Sarsen-Customer": "acme"}
    page = of_page(daemon, "acme")
    for _ in range(7):
        assert daemon.internal_get("/api/orders/", page).headers["Sarsen-Contract"] == "orders@2"

    problem = refused(daemon.call("POST", f"{two}:offline"), 409, "orders@2")
    kinds = {blocker["kind"]: blocker for blocker in problem["blockers"]}
    assert kinds.keys() == {"release", "used"}
    assert (kinds["release"]["app"], kinds["release"]["release"]) == ("shop", "4.1.0")
    used = kinds["used"]
    assert (used["customer"], used["app"], used["release"], used["n"]) == ("acme", "shop", "4.1.0",
                                                                          7)
    assert "acme" in used["text"] and used["last"] and problem["safe_after"]

    daemon.call("PUT", pin, {"release": "4.2.0"}, status=200)
    assert daemon.internal_get("/api/orders/", acme).headers["Sarsen-Contract"] == "orders@3"
    verdict = daemon.get(f"{two}/retirement")
    assert {blocker["kind"] for blocker in verdict["blockers"]} <= {"used"}
    daemon.eventually(lambda: daemon.get(f"{two}/retirement")["verdict"] == "CLEAR")
    daemon.call("POST", f"{two}:offline", {"why": "nobody needs it"}, status=200)

    gone = daemon.edge_get("/api/orders@2/")
    assert gone.status == 410 and gone.json["successor"] == "orders@3"
    assert gone.headers["Content-Type"] == "application/problem+json"
    assert "orders@3" in gone.headers["Link"]
    refused(daemon.call("PUT", pin, {"release": "4.1.0"}), 409, "orders@2")
    daemon.restart()
    assert daemon.edge_get("/api/orders@2/").status == 410
    assert daemon.edge_get("/api/orders/").status == 200
    daemon.call("POST", f"{two}:restore", status=200)
    assert daemon.edge_get("/api/orders@2/").status == 200
    daemon.call("PUT", pin, {"release": "4.1.0"}, status=200)
    assert daemon.internal_get("/api/orders/", acme).headers["Sarsen-Contract"] == "orders@2"


def test_a_use_that_no_worker_has_handed_up_yet_blocks(make_daemon, service):
    """The verdict counts the request before it, not the last full second."""
    daemon = make_daemon(WINDOW)
    for build in ("2.9.0", "3.14.2"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    daemon.call("PUT", "/v1/services/orders/default", {"contract": 3}, status=200)
    for _ in range(20):
        assert daemon.internal_get("/api/orders@2/", {"Sarsen-Caller": "cron"}).status == 200
        problem = refused(daemon.call("POST", "/v1/contracts/orders/2:offline"), 409, "cron")
        assert [blocker["kind"] for blocker in problem["blockers"]] == ["used"]


def test_who_asks_for_what_is_offline_is_named(make_daemon, service):
    daemon = make_daemon(WINDOW)
    for build in ("2.9.0", "3.14.2"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    daemon.call("PUT", "/v1/services/orders/default", {"contract": 3}, status=200)
    daemon.call("POST", "/v1/contracts/orders/2:offline", status=200)
    for _ in range(3):
        assert daemon.internal_get("/api/orders@2/", {"Sarsen-Caller": "cron"}).status == 410
    assert [(row["caller"], row["build"], row["n"], row["errors"])
            for row in rows(daemon, "contract=orders%402")] == [("cron", "", 3, 3)]


def test_a_stream_keeps_its_contract_in_use(make_daemon, service):
    """As long as it runs, however long ago it began; and it counts once."""
    ended = threading.Event()

    def stream(wire):
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        ended.wait(20)
        wire.send("0\r\n\r\n")

    daemon = make_daemon(WINDOW)
    streaming = Played(stream)
    daemon.register("orders", "orders-2", streaming.address, "2.9.0")
    daemon.register("orders", "orders-3", service("three").address, "3.14.2")
    daemon.call("PUT", "/v1/services/orders/default", {"contract": 3}, status=200)
    offline = "/v1/contracts/orders/2:offline"
    with Wire.connect(daemon.internal) as client:
        client.get("/api/orders@2/", "Sarsen-Caller: cron")
        assert client.head().status == 200 and client.chunk() == b"hi"
        began = time.monotonic()
        daemon.eventually(lambda: time.monotonic() - began > 3)  # three windows
        problem = refused(daemon.call("POST", offline), 409, "cron")
        assert [(one["kind"], one["n"]) for one in problem["blockers"]] == [("used", 1)]
        ended.set()
        assert client.chunk() == b""
    daemon.eventually(lambda: daemon.call("POST", offline).status == 200)
    assert total(daemon, "contract=orders%402") == 1
    streaming.close()


def test_a_rollout_blocks_the_contract_it_moves(make_daemon, service):
    daemon = make_daemon(WINDOW)
    for build in ("2.9.0", "2.10.0", "3.14.2"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    daemon.call("PUT", "/v1/services/orders/default", {"contract": 3}, status=200)
    rollout = daemon.call("POST", "/v1/rollouts", {"members": ["orders@2.10.0"]}, status=201).json
    problem = refused(daemon.call("POST", "/v1/contracts/orders/2:offline"), 409,
                      rollout["rollout"])
    assert [blocker["kind"] for blocker in problem["blockers"]] == ["rollout"]
    daemon.call("POST", f"/v1/rollouts/{rollout['rollout']}:abort", status=200)
    daemon.call("POST", "/v1/contracts/orders/2:offline", status=200)


def test_the_callers_named_successor_wins(make_daemon, service):
    daemon = make_daemon(WINDOW)
    for build in ("2.9.0", "3.14.2", "4.0.0"):
        daemon.register("orders", f"orders-{build}", service(build).address, build)
    daemon.call("PUT", "/v1/services/orders/default", {"contract": 4}, status=200)
    daemon.call("PUT", "/v1/contracts/orders/2", {"successor": "orders@4"}, status=200)
    daemon.call("POST", "/v1/contracts/orders/2:offline", status=200)
    assert daemon.edge_get("/api/orders@2/").json["successor"] == "orders@4"
