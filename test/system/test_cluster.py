# SPDX-License-Identifier: Apache-2.0
"""Several Sarsen processes that share one etcd."""
import contextlib
import http.client
import re
import signal
import threading

import pytest
from support.cluster import Cluster, Etcd, heartbeat, instances, members, own_id, reached
from support.consul import FACE, Consul, wait_until

LONG = 90  # seconds that a lease, a period of grace and a slow machine may take


@pytest.fixture(scope="module")
def etcd_of_module(tmp_path_factory):
    etcd = Etcd(tmp_path_factory.mktemp("etcd")).start()
    yield etcd
    etcd.stop()


@pytest.fixture
def etcd(etcd_of_module):
    """One that is empty."""
    etcd_of_module.control("del", "", "--from-key")
    return etcd_of_module


@pytest.fixture
def cluster(etcd, make_daemon):
    return Cluster(etcd, make_daemon)


@pytest.fixture
def beating():
    """Sends heartbeats in the background, to a process that may change."""
    over = threading.Event()
    threads = []

    def beat(daemon, service, instance, every=0.3):
        def run():
            while not over.wait(every):
                with contextlib.suppress(OSError):
                    heartbeat(daemon, service, instance)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)

    yield beat
    over.set()
    for thread in threads:
        thread.join()


def three(cluster):
    daemons = [cluster.add() for _ in range(3)]
    everybody = {own_id(daemon) for daemon in daemons}
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: {
            row["id"] for row in members(daemon) if row["state"] == "there"} == everybody, LONG)
    return daemons


def logged(daemons, pattern):
    return [line for daemon in daemons for line in daemon.log if re.search(pattern, line)]


def test_who_is_there_is_seen_from_everywhere(cluster):
    daemons = three(cluster)
    elected, others = cluster.elected()
    for daemon in daemons:
        rows = daemon.eventually(lambda daemon=daemon: [
            row for row in members(daemon) if row["elected"]] and members(daemon))
        assert [row["id"] for row in rows if row["self"]] == [own_id(daemon)]
        assert [row["id"] for row in rows if row["elected"]] == [own_id(elected)]
        assert {row["api"] for row in rows} == {f"http://{other.api}" for other in daemons}
        text = daemon.cli("cluster")
        assert all(other.api in text for other in daemons), text
        assert text.count("elected") == text.count("this one") == 1, text
    others[0].stop()
    elected.eventually(lambda: len(members(elected)) == 2)  # it said goodbye


def test_a_process_alone_is_no_cluster(daemon):
    assert daemon.get("/v1/cluster") == {
        "store": "embedded", "self": None, "elected": None, "members": []}
    assert "no cluster" in daemon.cli("cluster")


def test_what_registers_at_one_is_reached_through_all(cluster, service):
    daemons = three(cluster)
    daemons[0].register("orders", "o1", service("o1").address, "3.1.0")
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: reached(daemon, "/api/orders/")[0] == 200)
        assert instances(daemon, "orders")["o1"]["owner"] == own_id(daemons[0])
    daemons[2].call("DELETE", "/v1/services/orders/instances/o1", status=204)
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: reached(daemon, "/api/orders/")[0] == 503)


def test_what_is_decided_at_one_holds_at_all(cluster, service):
    daemons = three(cluster)
    for build in ("3.1.0", "3.2.0"):
        daemons[0].register("orders", f"o-{build}", service(build).address, build)
    daemons[1].eventually(lambda: len(instances(daemons[1], "orders")) == 2)
    daemons[1].call("POST", "/v1/rollouts",
                    {"members": ["orders@3.2.0"], "steps": [{"pct": 50}], "salt": "fixed"},
                    status=201)
    customers = [f"customer-{number}" for number in range(60)]
    expected = daemons[1].builds_of(customers)
    assert set(expected.values()) == {"3.1.0", "3.2.0"}
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: daemon.builds_of(customers) == expected)


def test_a_pin_of_one_holds_at_all(cluster, service):
    daemons = three(cluster)
    for major in (2, 3):
        daemons[0].register("orders", f"o{major}", service(f"o{major}").address, f"{major}.0.0")
    for release, major in (("4.1.0", "2"), ("4.2.0", "3")):
        daemons[0].publish("shop", release, {"orders": major})
    daemons[0].call("PUT", "/v1/apps/shop/default", {"release": "4.1.0"}, status=200)
    daemons[1].eventually(lambda: daemons[1].call(
        "PUT", "/v1/customers/acme/pins/shop", {"release": "4.2.0"}).status == 201)
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: served(daemon, "acme") == "4.2.0")
        assert served(daemon, "globex") == "4.1.0"


def served(daemon, customer):
    answer = daemon.internal_get("/.sarsen/resolve?app=shop", {"Sarsen-Customer": customer})
    return answer.json["release"] if answer.status == 200 else None


def test_an_instance_belongs_to_whom_its_heartbeats_reach(cluster, service):
    a, b, c = three(cluster)
    a.register("orders", "o1", service("o1").address, "3.1.0")
    for daemon in (b, b, c, a, a):
        daemon.eventually(lambda daemon=daemon: "o1" in instances(daemon, "orders"))
        assert heartbeat(daemon, "orders", "o1") == 204
        for other in (a, b, c):
            other.eventually(lambda other=other, daemon=daemon: instances(
                other, "orders")["o1"]["owner"] == own_id(daemon))
    assert heartbeat(b, "orders", "o2") == 404


def test_a_dead_process_takes_nothing_with_it_that_lives(cluster, service, beating):
    a, b, c = three(cluster)
    elected, _ = cluster.elected()
    address = service("o1").address
    for name in ("lives", "silent-1", "silent-2"):
        a.register("orders", name, address, "3.1.0", ttl="5s", deregister_after="5s")
    kept = a if elected is not a else b
    kept.register("orders", "of-others", address, "3.1.0", ttl="1h")
    a.eventually(lambda: len(instances(a, "orders")) == 4)
    assert reached(a, "/api/orders/")[0] == 200
    a.kill()
    beating(b, "orders", "lives")
    b.eventually(lambda: {"silent-1", "silent-2"}.isdisjoint(instances(b, "orders")), LONG)
    for daemon in (b, c):
        daemon.eventually(lambda daemon=daemon: set(
            instances(daemon, "orders")) == {"lives", "of-others"})
    assert instances(c, "orders")["lives"]["owner"] == own_id(b)
    for name in ("silent-1", "silent-2"):
        assert cluster.etcd.life(f"registry/instance/orders/{name}") == ["PUT", "PUT", "DELETE"]
    assert not logged([b, c], "instance (expired|removed).*(lives|of-others)")


def rollout_of_many_steps(daemons, service, n_steps=12):
    for build in ("3.1.0", "3.2.0"):
        daemons[0].register("orders", f"o-{build}", service(build).address, build, ttl="1h")
    steps = [{"pct": 1 + number, "for": "2s"} for number in range(n_steps)]
    started = daemons[0].call("POST", "/v1/rollouts",
                              {"members": ["orders@3.2.0"], "steps": steps, "salt": "fixed"},
                              status=201).json
    return f"/v1/rollouts/{started['rollout']}", started["rollout"]


def check_steps(cluster, daemons, path, rollout, n_steps=12):
    """All steps are done, each once: the record was written once for each."""
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: daemon.get(path)["state"] == "promoted", LONG)
    assert cluster.etcd.version(f"rollout/{rollout}") == 1 + n_steps


def test_steps_go_on_when_the_elected_one_dies(cluster, service):
    daemons = three(cluster)
    elected, others = cluster.elected()
    path, rollout = rollout_of_many_steps(daemons, service)
    elected.eventually(lambda: elected.get(path)["step"] >= 2)
    elected.kill()
    assert cluster.elected(others)[0] in others
    check_steps(cluster, others, path, rollout)


def test_who_was_passed_over_in_its_sleep_does_no_step(cluster, service):
    daemons = three(cluster)
    elected, others = cluster.elected()
    path, rollout = rollout_of_many_steps(daemons, service)
    elected.eventually(lambda: elected.get(path)["step"] >= 2)
    elected.process.send_signal(signal.SIGSTOP)
    try:
        heir = cluster.elected(others)[0]
        step = heir.get(path)["step"]
        heir.eventually(lambda: heir.get(path)["step"] > step)
    finally:
        elected.process.send_signal(signal.SIGCONT)
    check_steps(cluster, daemons, path, rollout)
    assert logged([elected], "elected no longer")


# --- what a browser keeps ---


def test_a_cookie_is_good_everywhere(cluster):
    a, b = cluster.add(), cluster.add()
    cookie = {"Cookie": a.edge_get("/.sarsen/resolve").headers["Set-Cookie"].split(";")[0]}
    assert "Set-Cookie" not in b.edge_get("/.sarsen/resolve", cookie).headers
    old = cluster.etcd.control("get", "/sarsen/k/gateway/cookie.keys", "--print-value-only").strip()
    new = "5e" * 32
    cluster.etcd.control("put", "/sarsen/k/gateway/cookie.keys", f"{old}\n{new}\n")
    a.restart()
    cluster.etcd.control("put", "/sarsen/k/gateway/cookie.keys", f"{new}\n{old}\n")
    b.restart()
    assert "Set-Cookie" not in b.edge_get("/.sarsen/resolve", cookie).headers
    cookie = {"Cookie": b.edge_get("/.sarsen/resolve").headers["Set-Cookie"].split(";")[0]}
    assert "Set-Cookie" not in a.edge_get("/.sarsen/resolve", cookie).headers


# --- an etcd that goes, a process that gives way ---


def test_an_etcd_that_is_away_takes_nothing_along(cluster, service, beating):
    a, b = cluster.add(), cluster.add()
    address = service("o").address
    for daemon, instance in ((a, "o1"), (b, "o2")):
        daemon.register("orders", instance, address, "3.1.0", ttl="5s")
        beating(daemon, "orders", instance)
    for daemon in (a, b):
        daemon.eventually(lambda daemon=daemon: len(instances(daemon, "orders")) == 2)
        daemon.eventually(lambda daemon=daemon: len(members(daemon)) == 2)
    cluster.etcd.pause()
    try:
        for daemon in (a, b):
            daemon.eventually(lambda daemon=daemon: daemon.call(
                "GET", "/v1/health").status == 503, LONG)
            trouble = daemon.get("/v1/cluster")["trouble"].split()[0]  # whom; what changes
            refused = daemon.call("PUT", "/v1/services/new", {}, status=503)
            assert trouble in refused.json["detail"], (trouble, refused)
            assert trouble in daemon.call("GET", "/v1/health").json["trouble"]
            assert f"cannot be used now: {trouble}" in daemon.cli("health", status=1)
            daemon.eventually(lambda daemon=daemon: logged([daemon], "its lease is over"), LONG)
            assert reached(daemon, "/api/orders/")[0] == 200
            assert set(instances(daemon, "orders")) == {"o1", "o2"}
    finally:
        cluster.etcd.resume()
    for daemon in (a, b):
        daemon.eventually(lambda daemon=daemon: daemon.call("GET", "/v1/health").status == 200,
                          LONG)
        daemon.eventually(lambda daemon=daemon: [
            row["state"] for row in members(daemon)] == ["there"] * 2, LONG)
    cluster.etcd.kill()
    a.eventually(lambda: a.call("GET", "/v1/health").status == 503, LONG)
    cluster.etcd.start()
    for daemon in (a, b):
        daemon.eventually(lambda daemon=daemon: daemon.call(
            "PUT", "/v1/services/new", {}).status in (200, 201), LONG)
        assert {name: row["owner"] for name, row in instances(daemon, "orders").items()} == {
            "o1": own_id(a), "o2": own_id(b)}
    assert not logged([a, b], "instance expired")


def test_a_member_of_the_etcd_dies(make_daemon, service, tmp_path):
    etcd = Etcd(tmp_path / "etcd", 3).start()
    try:
        cluster = Cluster(etcd, make_daemon)
        a, b = cluster.add(), cluster.add()
        for member in etcd.members[:2]:  # whichever led, and whichever they spoke to
            member.kill()
            name = f"after-{member.name}"
            a.eventually(lambda name=name: a.call(
                "PUT", f"/v1/services/{name}", {}).status in (200, 201), LONG)
            b.eventually(lambda name=name: b.call(
                "GET", f"/v1/services/{name}").status == 200, LONG)
            etcd.start()
        for daemon in cluster.daemons:
            daemon.stop()
    finally:
        etcd.stop()


def test_a_process_gives_way_to_its_next_version(cluster, service, beating):
    daemons = three(cluster)
    elected, others = cluster.elected()
    path, rollout = rollout_of_many_steps([elected], service, 4)
    elected.register("orders", "beating", service("beating").address, "3.1.0", ttl="3s")
    beating(elected, "orders", "beating")  # a daemon has the API's address of its heir
    identity = own_id(elected)
    heir = elected.upgrade()
    heir.expect_log("level=warn room=cluster")
    try:
        elected.ended()
        assert own_id(heir) == identity
        now = [heir, *others]
        elected.api = heir.api
        cluster.elected(now)
        check_steps(cluster, now, path, rollout, 4)
        for daemon in now:
            daemon.eventually(lambda daemon=daemon: len(members(daemon)) == 3)
            assert instances(daemon, "orders")["beating"]["owner"] == identity
        assert not logged([*daemons, heir], "instance expired")
    finally:
        heir.stop()
        heir.check_log()


# --- the Consul face ---

def test_false_is_said_of_what_really_was_there(cluster):
    """Who wrote elsewhere is not told of somebody else when its write has not come here yet."""
    a, b = [Consul(cluster.add(FACE)) for _ in range(2)]
    session = a.put("/v1/session/create", {}).json["ID"]
    client = http.client.HTTPConnection(b.address, timeout=LONG)
    for key in range(5):
        client.request("GET", "/v1/status/leader")
        assert client.getresponse().read()
        b.daemon.process.send_signal(signal.SIGSTOP)
        client.request("PUT", f"/v1/kv/{key}?release={session}", "1")  # it reads this first
        assert a.put(f"/v1/kv/{key}?acquire={session}", "1").json is True
        b.daemon.process.send_signal(signal.SIGCONT)
        assert client.getresponse().read() == b"true"
    client.close()
    assert b.put(f"/v1/kv/0?release={session}", "1").json is False


def test_checks_and_sessions_of_consul_outlive_the_process_they_began_at(cluster, service):
    a, b, c = [Consul(cluster.add(FACE)) for _ in range(3)]
    status = [200]
    target = service("asked", answer=lambda request: (status[0], {}, b""))
    host, port = target.address.split(":")
    common = {"Name": "orders", "Address": host, "Port": int(port)}
    a.register(ID="told", Check={"TTL": "5s", "Status": "passing"}, **common)
    a.register(ID="silent", Check={"TTL": "5s", "Status": "passing"}, **common)
    a.register(ID="asked", Check={"HTTP": f"http://{target.address}/health", "Interval": "1s"},
               **common)
    names = [a.put("/v1/session/create", {"Name": name, "TTL": "10s"}).json["ID"]
             for name in ("renewed", "left")]

    def passing(consul):
        return {row["Service"]["ID"] for row in consul.health("orders", "?passing")}

    def sessions(consul):
        return {row["ID"] for row in consul.get("/v1/session/list").json}

    for consul in (a, b, c):
        wait_until(lambda consul=consul: passing(consul) == {"told", "silent", "asked"})
        wait_until(lambda consul=consul: sessions(consul) == set(names))
    b.put("/v1/agent/check/pass/service:told")
    a.daemon.kill()

    def left():
        b.put("/v1/agent/check/pass/service:told")
        b.put(f"/v1/session/renew/{names[0]}")
        assert "told" in passing(c)
        return passing(c) == {"told", "asked"} and sessions(c) == {names[0]}

    b.daemon.eventually(left, LONG)
    asked = len(target.requests)
    b.daemon.eventually(lambda: len(target.requests) > asked, LONG)
    for consul in (b, c):
        consul.daemon.expect_log("too few instances of a build are well")
    status[0] = 500
    for consul in (b, c):
        wait_until(lambda consul=consul: passing(consul) == {"told"}, LONG)
    dead = logged([b.daemon, c.daemon], "session expired")
    assert dead and all(names[1] in line for line in dead)
