# SPDX-License-Identifier: Apache-2.0
"""Who is alive: registering, heartbeats, TTLs, draining, and when the gateway knows of it."""
import concurrent.futures
import threading
import time

from support.daemon import Caller

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


def test_a_ttl_without_heartbeats_removes(make_daemon, service):
    daemon = make_daemon()
    target = service()
    daemon.register("orders", "dies", target.address, "3.1.0", ttl="1s")
    seen = daemon.get("/v1/services/orders/instances")
    start = time.monotonic()
    after = daemon.call("GET", "/v1/services/orders/instances?wait=20s&after="
                        f"{seen['revision']}", status=200).json
    assert after["instances"] == [] and 0.8 < time.monotonic() - start < 10
    assert daemon.edge_get("/api/orders/").status == 503
    assert daemon.call("POST", "/v1/services/orders/instances/dies:heartbeat",
                       token=False).status == 404
    daemon.register("orders", "dies", target.address, "3.1.0", ttl="1s")
    assert daemon.edge_get("/api/orders/").status == 200


def test_heartbeats_keep_an_instance(make_daemon):
    """One beats, one registers again and again, one does neither."""
    daemon = make_daemon()
    for name in ("beats", "repeats", "silent"):
        daemon.register("orders", name, "127.0.0.1:9", "3.1.0", ttl="1s")
    done = threading.Event()

    def keep():
        while not done.wait(0.2):
            daemon.call("POST", "/v1/services/orders/instances/beats:heartbeat", token=False,
                        status=204)
            daemon.register("orders", "repeats", "127.0.0.1:9", "3.1.0", ttl="1s")

    keeper = threading.Thread(target=keep)
    keeper.start()

    def names():
        return {row["id"] for row in daemon.get("/v1/services/orders/instances")["instances"]}

    daemon.eventually(lambda: names() == {"beats", "repeats"})
    start = time.monotonic()
    while time.monotonic() - start < 2.5:  # well over its TTL
        assert names() == {"beats", "repeats"}
        done.wait(0.1)
    done.set()
    keeper.join()
    daemon.eventually(lambda: names() == set())


def test_an_instance_without_ttl_stays(make_daemon):
    daemon = make_daemon()
    daemon.call("PUT", "/v1/services/orders/instances/stays", {"address": "127.0.0.1:9"},
                status=201)
    daemon.register("orders", "goes", "127.0.0.1:9", ttl="1s")
    daemon.eventually(lambda: len(daemon.get(
        "/v1/services/orders/instances")["instances"]) == 1)
    daemon.restart()
    stays = daemon.get("/v1/services/orders/instances/stays")
    assert stays["ttl"] is None and stays["build"] == "0.0.0"
    assert stays["provides"] == ["orders@0"]


def test_a_restart_keeps_registrations_and_starts_ttls_anew(make_daemon, service):
    daemon = make_daemon()
    target = service()
    daemon.register("orders", "orders-1", target.address, "3.1.0", ttl="2s")
    daemon.kill()
    daemon.start()
    assert daemon.edge_get("/api/orders/").status == 200
    daemon.call("POST", "/v1/services/orders/instances/orders-1:heartbeat", token=False, status=204)
    daemon.eventually(lambda: not daemon.get("/v1/services/orders/instances")["instances"])


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
