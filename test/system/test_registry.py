# SPDX-License-Identifier: Apache-2.0
"""Who is alive: registering, heartbeats, TTLs, draining, and when the gateway knows of it."""
import concurrent.futures
import signal
import threading
import time

import pytest
from support.daemon import Caller
from support.wire import Wire

REGISTRATIONS = 1000


def test_an_instance_is_reachable_in_the_very_next_request(make_daemon, service):
    """A thousand times: registered by one connection, asked for by another at once, on the edge
    and on the internal listener, of whichever worker accepted."""
    daemon = make_daemon()
    target = service("next")
    with Caller(daemon.api) as api:
        for number in range(REGISTRATIONS):
            name = f"s{number}"
            body = f'{{"address":"{target.address}","build":"1.2.3"}}'
            made = api.ask(f"/v1/services/{name}/instances/i", method="PUT", body=body)
            assert made.status == 201, made
            ask = daemon.edge_get if number % 2 else daemon.internal_get
            answer = ask(f"/api/{name}/hello")
            assert answer.status == 200, (number, answer)
            assert answer.headers["Sarsen-Build"] == "1.2.3"
            gone = api.ask(f"/v1/services/{name}/instances/i", method="DELETE")
            assert gone.status == 204, gone
            if number % 10 == 0:  # and gone in the very next request, too
                assert ask(f"/api/{name}/hello").status == 503
    assert len(target.requests) == REGISTRATIONS


def test_instances_that_register_at_once_are_all_there(make_daemon, service):
    daemon = make_daemon()
    services = [service(f"i{number}") for number in range(4)]

    def register(number):
        daemon.register("orders", f"orders-{number}", services[number % 4].address, "3.1.0")
        return daemon.edge_get("/api/orders/").status

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        assert set(pool.map(register, range(120))) == {200}
    assert len(daemon.get("/v1/services/orders/instances")["instances"]) == 120
    answers = [daemon.edge_get("/api/orders/").json["service"] for _ in range(120)]
    assert {name: answers.count(name) for name in set(answers)}.keys() == {"i0", "i1", "i2", "i3"}


def listed(daemon, service="orders"):
    return {row["id"]: row for row in daemon.get(f"/v1/services/{service}/instances")["instances"]}


def after_next_change(daemon):
    seen = daemon.get("/v1/services/orders/instances")["revision"]
    return daemon.call("GET", f"/v1/services/orders/instances?wait=20s&after={seen}",
                       status=200).json["instances"]


def beat(daemon, name, status=204):
    daemon.call("POST", f"/v1/services/orders/instances/{name}:heartbeat", token=False,
                status=status)


def test_who_is_not_heard_gets_no_requests_and_is_removed_later(make_daemon, service):
    daemon = make_daemon()
    target = service()
    start = time.monotonic()
    daemon.register("orders", "dies", target.address, "3.1.0", ttl="1s", deregister_after="2s")
    assert [row["state"] for row in after_next_change(daemon)] == ["failing"]
    assert time.monotonic() - start > 0.8
    row = listed(daemon)["dies"]
    assert row["reason"] == "no heartbeat came within its ttl" and row["deregister_after"] == "2s"
    assert daemon.edge_get("/api/orders/").status == 503
    assert daemon.get("/v1/health")["failing_instances"][0]["id"] == "dies"
    assert "no heartbeat came within its ttl" in daemon.cli("instances", "orders")
    assert after_next_change(daemon) == []
    assert time.monotonic() - start > 2.8
    beat(daemon, "dies", status=404)
    daemon.register("orders", "dies", target.address, "3.1.0", ttl="1s")
    assert daemon.edge_get("/api/orders/").status == 200


def test_a_heartbeat_brings_an_instance_back_at_once(make_daemon, service):
    daemon = make_daemon()
    daemon.register("orders", "naps", service().address, "3.1.0", ttl="2s")
    for _ in range(2):
        daemon.eventually(lambda: listed(daemon)["naps"]["state"] == "failing")
        assert daemon.edge_get("/api/orders/").status == 503
        beat(daemon, "naps")
        assert daemon.edge_get("/api/orders/").status == 200
        assert listed(daemon)["naps"]["state"] == "ready"
    assert listed(daemon)["naps"]["deregister_after"] == "1m"
    # It says itself that it lives, which is nobody's decision.
    assert not [row for row in daemon.get("/v1/audit")["audit"] if "heartbeat" in row["path"]]


@pytest.mark.parametrize("after", ["0s", "500ms", "200h", "soon", "1"])
def test_a_deregister_after_that_is_none_is_refused(make_daemon, after):
    daemon = make_daemon()
    answer = daemon.call("PUT", "/v1/services/orders/instances/a",
                         {"address": "127.0.0.1:9", "ttl": "1s", "deregister_after": after})
    assert answer.status == 400 and answer.json["field"] == "deregister_after"


def test_heartbeats_keep_an_instance(make_daemon):
    """One beats, one registers again and again, one does neither."""
    daemon = make_daemon()
    for name in ("beats", "repeats", "silent"):
        daemon.register("orders", name, "127.0.0.1:9", "3.1.0", ttl="2s", deregister_after="1s")
    done = threading.Event()

    def keep():
        while not done.wait(0.2):
            beat(daemon, "beats")
            daemon.register("orders", "repeats", "127.0.0.1:9", "3.1.0", ttl="2s",
                            deregister_after="1s")

    keeper = threading.Thread(target=keep)
    keeper.start()

    def ready():
        return {name for name, row in listed(daemon).items() if row["state"] == "ready"}

    daemon.eventually(lambda: listed(daemon).keys() == {"beats", "repeats"})
    start = time.monotonic()
    while time.monotonic() - start < 4:  # well over its TTL
        assert ready() == {"beats", "repeats"}
        done.wait(0.1)
    done.set()
    keeper.join()
    daemon.expect_log("too few instances of a build are well")
    daemon.eventually(lambda: not listed(daemon))


def test_an_instance_without_ttl_stays(make_daemon):
    daemon = make_daemon()
    daemon.call("PUT", "/v1/services/orders/instances/stays", {"address": "127.0.0.1:9"},
                status=201)
    daemon.register("orders", "goes", "127.0.0.1:9", ttl="1s", deregister_after="1s")
    daemon.eventually(lambda: listed(daemon).keys() == {"stays"})
    daemon.restart()
    stays = daemon.get("/v1/services/orders/instances/stays")
    assert stays["ttl"] is None and stays["build"] == "0.0.0"
    assert stays["deregister_after"] == "never"
    assert stays["provides"] == ["orders@0"]


def test_a_restart_keeps_registrations_and_starts_all_times_anew(make_daemon, service):
    daemon = make_daemon()
    target = service()
    daemon.register("orders", "orders-1", target.address, "3.1.0", ttl="3s", deregister_after="4s")
    daemon.kill()
    daemon.start()
    assert daemon.edge_get("/api/orders/").status == 200
    beat(daemon, "orders-1")
    daemon.eventually(lambda: listed(daemon)["orders-1"]["state"] == "failing")
    daemon.kill()
    daemon.start()
    start = time.monotonic()
    assert listed(daemon)["orders-1"]["state"] == "failing"
    assert daemon.edge_get("/api/orders/").status == 503
    daemon.eventually(lambda: not listed(daemon))
    assert time.monotonic() - start > 3


def test_a_process_that_stood_still_expires_nobody(make_daemon):
    """Heartbeats that wait in its sockets are read before anybody is judged."""
    daemon = make_daemon()
    for name in ("beats", "silent"):
        daemon.register("orders", name, "127.0.0.1:9", "3.1.0", ttl="3s")
    with Wire.connect(daemon.api) as wire:
        wire.get("/v1/health").answer()
        seen = daemon.get("/v1/services/orders/instances")["revision"]
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            threading.Event().wait(5)
            wire.send("POST /v1/services/orders/instances/beats:heartbeat HTTP/1.1\r\n"
                      "Host: a\r\nContent-Length: 0\r\n\r\n")
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        start = time.monotonic()
        assert {row["state"] for row in listed(daemon).values()} == {"ready"}
        after = daemon.call("GET", f"/v1/services/orders/instances?wait=20s&after={seen}",
                            status=200).json["instances"]
    daemon.expect_log("too few instances of a build are well")
    assert time.monotonic() - start > 2.5  # all of its time again, and then it goes all the same
    assert {row["state"] for row in after} >= {"failing"}
    assert any("nobody could be heard" in line for line in daemon.log)


def test_draining_takes_no_new_requests_and_finishes_old_ones(make_daemon, service):
    daemon = make_daemon()
    arrived, release = threading.Event(), threading.Event()

    def slow(request):
        if request["path"] == "/slow":
            arrived.set()
            release.wait(20)
        return 200, {}, b"one"

    one = service("one", answer=slow)
    two = service("two", answer=lambda request: (200, {}, b"two"))
    daemon.register("orders", "one", one.address, "3.1.0")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.edge_get, "/api/orders/slow")
        assert arrived.wait(20)
        daemon.register("orders", "two", two.address, "3.1.0")
        daemon.call("POST", "/v1/services/orders/instances/one:drain", token=False, status=200)
        for _ in range(50):
            assert daemon.edge_get("/api/orders/").body == b"two"
        daemon.call("DELETE", "/v1/services/orders/instances/one", token=False, status=204)
        release.set()
        assert waiting.result(20).body == b"one"


def test_an_instance_may_move(make_daemon, service):
    daemon = make_daemon()
    old, new = service("old"), service("new")
    daemon.register("orders", "orders-1", old.address, "3.1.0")
    daemon.register("orders", "orders-1", new.address, "3.1.0")
    assert daemon.edge_get("/api/orders/").json["service"] == "new"
    instances = daemon.get("/v1/services/orders/instances")["instances"]
    assert [row["address"] for row in instances] == [new.address]


def test_an_instance_on_a_unix_socket_and_on_ipv6(make_daemon, tmp_path):
    """Addresses of each family are kept as they were given."""
    daemon = make_daemon()
    for name, address in (("unix", f"unix:{tmp_path}/s.sock"), ("six", "[::1]:8080")):
        assert daemon.register(name, "i", address)["address"] == address


def test_services_of_one_name_and_another_are_apart(make_daemon, service):
    daemon = make_daemon()
    orders, cart = service("orders"), service("cart")
    daemon.register("orders", "i", orders.address, "1.0.0")
    daemon.register("cart", "i", cart.address, "1.0.0")
    assert daemon.edge_get("/api/orders/").json["service"] == "orders"
    assert daemon.edge_get("/api/cart/").json["service"] == "cart"
    daemon.call("DELETE", "/v1/services/cart/instances/i", token=False, status=204)
    assert daemon.edge_get("/api/orders/").status == 200
    answer = daemon.edge_get("/api/cart/")
    assert answer.status == 503 and answer.json["contract"] == "cart@1"
