# SPDX-License-Identifier: Apache-2.0
"""Which service a path leads to, and what a service sees of it."""
import json
import socket

import pytest
from support.daemon import Daemon
from support.service import Service
from support.wire import Wire, eventually, reply

ROUTES = """
routes:
  - match: { path: /exact }
    service: one
  - match: { prefix: /only-get, method: GET }
    service: one
  - match: { prefix: /canary, header: X-Canary, value: "yes" }
    service: two
  - match: { prefix: /canary, header: X-Any }
    service: three
  - match: { prefix: /canary }
    service: one
  - match: { host: shop.example.com, prefix: /h }
    service: one
  - match: { host: "*.example.com", prefix: /h }
    service: two
  - match: { prefix: /session/ }
    service: one
    strip: /session
  - match: { prefix: /deep/er }
    service: two
  - match: { prefix: /deep }
    service: one
    strip: /deep
  - match: { prefix: /api/orders/admin }
    service: three
  - match: { prefix: /apps/legacy }
    service: three
  - match: { prefix: /ghost }
    service: ghost
"""


@pytest.fixture(scope="module")
def routed(binary, tmp_path_factory):
    daemon = Daemon(binary, tmp_path_factory.mktemp("routed"), ROUTES)
    daemon.start()
    services = {}
    for name, build in [("one", "1.0.0"), ("two", "1.0.0"), ("three", "1.0.0"),
                        ("orders", "2.9.0"), ("orders", "3.14.2"), ("plain", None)]:
        service = Service(f"{name} {build}")
        services[service.name] = service
        daemon.register(name, f"{name}-{build}", service.address, build)
    yield daemon
    daemon.stop()
    daemon.check_log()
    for service in services.values():
        service.stop()


def reached(daemon, path, headers=None, method="GET", where="edge"):
    """ "service path" of what a request reached, or its status. """
    with Wire.connect(getattr(daemon, where)) as client:
        fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        host = "" if "Host" in (headers or {}) else "Host: a\r\n"
        client.send(f"{method} {path} HTTP/1.1\r\n{host}{fields}Connection: close\r\n\r\n")
        head, body = client.answer(method)
        if head.status != 200:
            return head.status
        seen = json.loads(body)
        return f"{seen['service'].split()[0]} {seen['path']}"


@pytest.mark.parametrize("path, expected", [
    ("/exact", "one /exact"),
    ("/exact?a=b", "one /exact?a=b"),
    ("/exact/", 404),
    ("/only-get", "one /only-get"),
    ("/only-get/x", "one /only-get/x"),
    ("/only-gets", 404),
    ("/session", "one /"),
    ("/session?a", "one /?a"),
    ("/session/a/b?c=d", "one /a/b?c=d"),
    ("/sessions", 404),
    ("/deep/er/x", "two /deep/er/x"),
    ("/deep/erx", "one /erx"),
    ("/deep", "one /"),
    # every way to write a path leads where its one form does
    ("//exact", "one /exact"),
    ("/./exact", "one /exact"),
    ("/x/../exact", "one /exact"),
    ("/x/%2e%2e/exact", "one /exact"),
    ("/%65xact", "one /exact"),
    ("/deep/x/../er/y", "two /deep/er/y"),
    ("/deep/%65r", "two /deep/er"),
    ("/deep//er", "two /deep/er"),
    ("/deep/a%20b%c3%bc", "one /a%20b%C3%BC"),
    ("/deep/q?x=%2f../%61", "one /q?x=%2f../%61"),
    # routes come before what is reserved
    ("/api/orders/admin/x", "three /api/orders/admin/x"),
    ("/api/orders/x/../admin", "three /api/orders/admin"),
    ("/apps/legacy/x", "three /apps/legacy/x"),
    # reserved
    ("/api/one", "one /"),
    ("/api/one/", "one /"),
    ("/api/one/a//b/./c/../d", "one /a/b/d"),
    ("/api/one?x=y", "one /?x=y"),
    ("/api/one@1/a", "one /a"),
    ("/api/orders@2/a", "orders /a"),
    ("/api/orders@3/a", "orders /a"),
    ("/api/one/../two/x", "two /x"),
    ("/api/one/..", 404),
    ("/api", 404),
    ("/api/", 404),
    ("/api/none/x", 404),
    ("/api/one@2/x", 404),
    ("/api/one@x/x", 404),
    ("/api/one@/x", 404),
    ("/api/one@-1/x", 404),
    ("/api/one@01/x", "one /x"),
    ("/api/plain/x", "plain /x"),
    ("/api/plain@0/x", "plain /x"),
    ("/.sarsen/none", 404),
    ("/apps/none/", 404),
    ("/", 404),
    ("/ghost", 503),
])
def test_where_a_path_leads(routed, path, expected):
    assert reached(routed, path) == expected


@pytest.mark.parametrize("headers, expected", [
    ({}, "one"),
    ({"X-Canary": "yes"}, "two"),
    ({"x-canary": "no"}, "one"),
    ({"X-Canary": "no", "x-canary": "yes"}, "two"),
    ({"X-Any": ""}, "three"),
    ({"X-Any": "1", "X-Canary": "yes"}, "two"),
])
def test_routes_by_header(routed, headers, expected):
    assert reached(routed, "/canary", headers) == f"{expected} /canary"


@pytest.mark.parametrize("host, expected", [
    ("shop.example.com", "one /h"), ("SHOP.example.com:8000", "one /h"),
    ("other.example.com", "two /h"), ("a.b.example.com", 404), ("example.com", 404),
    ("shop.example.com.evil.org", 404), ("[::1]:8000", 404),
])
def test_routes_by_host(routed, host, expected):
    assert reached(routed, "/h", {"Host": host}) == expected


def test_routes_by_method(routed):
    assert reached(routed, "/only-get", method="POST", headers={"Content-Length": "0"}) == 404
    assert reached(routed, "/only-get") == "one /only-get"


def test_a_build_is_reached_by_its_contract(routed):
    for major, build in [(2, "2.9.0"), (3, "3.14.2")]:
        answer = routed.edge_get(f"/api/orders@{major}/x")
        assert answer.json["service"] == f"orders {build}"
        assert answer.headers["Sarsen-Contract"] == f"orders@{major}"
        assert answer.headers["Sarsen-Build"] == build
    # The default contract is the first that appeared.
    assert routed.edge_get("/api/orders/x").headers["Sarsen-Contract"] == "orders@2"


def test_a_service_named_by_a_trusted_caller_sees_the_whole_path(routed):
    named = {"Sarsen-Service": "two"}
    assert reached(routed, "/exact?x", named, where="internal") == "two /exact?x"
    assert reached(routed, "/api/one/x", named, where="unix") == "two /api/one/x"
    assert reached(routed, "/a", {"Sarsen-Service": "orders@3"}, where="internal") == "orders /a"
    assert reached(routed, "/a", {"Sarsen-Service": "none"}, where="internal") == 404
    assert reached(routed, "/exact", named) == "one /exact"


@pytest.mark.parametrize("method, target, status", [
    ("TRACE", "/exact", 405), ("OPTIONS", "*", 204), ("POST", "/apps/x/", 405),
    ("POST", "/.sarsen/resolve", 405), ("DELETE", "/.sarsen/resolve", 405),
])
def test_methods_that_end_here(routed, method, target, status):
    assert reached(routed, target, {"Content-Length": "0"}, method) == status


# --- problems ---

def problem(answer):
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    document = answer.json
    assert document["status"] == answer.status
    assert document["title"] and document["detail"]
    return document


def test_an_unknown_service_is_named(routed):
    document = problem(routed.edge_get("/api/none/x"))
    assert (document["status"], document["service"]) == (404, "none")


def test_a_route_without_its_service(routed):
    document = problem(routed.edge_get("/ghost"))
    assert (document["status"], document["service"]) == (503, "ghost")


def test_a_hostile_name_is_quoted(routed):
    document = problem(routed.edge_get("/api/%22%3Cscript%3E/x"))
    assert document["status"] == 404


def test_a_baseline_that_is_gone_is_missed_by_name(shared, name, service):
    one, two = service(name="1.0.0"), service(name="1.1.0")
    shared.register(name, "i1", one.address, "1.0.0")
    shared.register(name, "i2", two.address, "1.1.0")
    assert shared.edge_get(f"/api/{name}/").json["service"] == "1.0.0"
    shared.call("DELETE", f"/v1/services/{name}/instances/i1", token=False)
    answer = shared.edge_get(f"/api/{name}/")
    document = problem(answer)
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert (document["service"], document["contract"], document["build"]) == (
        name, f"{name}@1", "1.0.0")
    assert document["waiting"] == ["1.1.0"]
    assert not two.requests


def test_a_contract_that_is_offline_names_its_successor(make_daemon, service):
    daemon = make_daemon()
    text = daemon.config.read_text() + "retire: { window: 1s }\n"
    daemon.stop()
    daemon.config.write_text(text)
    daemon.start()
    for build in ("1.0.0", "2.0.0"):
        daemon.register("old", build, service(name=build).address, build)
    daemon.call("PUT", "/v1/services/old/default", {"contract": 2}, status=200)
    daemon.call("PUT", "/v1/contracts/old/1", {"successor": "old@2"}, status=200)
    assert daemon.edge_get("/api/old@1/").status == 200

    def goes_offline():
        return daemon.call("POST", "/v1/contracts/old/1:offline", {}).status == 200

    eventually(goes_offline)
    answer = daemon.edge_get("/api/old@1/x")
    document = problem(answer)
    assert answer.status == 410
    assert (document["contract"], document["successor"]) == ("old@1", "old@2")
    assert answer.headers["Link"] == '</api/old@2/>; rel="successor-version"'
    assert daemon.edge_get("/api/old@2/").status == 200
    daemon.call("POST", "/v1/contracts/old/1:restore", {}, status=200)
    assert daemon.edge_get("/api/old@1/").status == 200


# --- who of several instances ---

def test_instances_take_turns(shared, name, service):
    served = [service(name=f"i{n}") for n in range(3)]
    for one in served:
        shared.register(name, one.name, one.address, "1.0.0")
    for _ in range(4):
        with Wire.connect(shared.edge) as client:
            for _ in range(30):
                client.get(f"/api/{name}/")
                assert client.answer()[0].status == 200
    # A round begins anew where the registry changes in between.
    assert all(36 <= len(one.requests) <= 44 for one in served)


def test_a_build_that_waits_gets_nobody(shared, name, service):
    low, high = service(name="low"), service(name="high")
    shared.register(name, "i1", low.address, "1.0.0")
    shared.register(name, "i2", high.address, "1.0.1")
    for _ in range(20):
        assert shared.edge_get(f"/api/{name}/").json["service"] == "low"
    assert not high.requests


def test_builds_share_traffic_where_gray_is_off(shared, name, service):
    shared.call("PUT", f"/v1/services/{name}", {"gray": "off"})
    served = [service(name=build) for build in ("1.0.0", "1.0.1")]
    for one in served:
        shared.register(name, f"i-{one.name}", one.address, one.name)
    builds = []
    with Wire.connect(shared.edge) as client:
        for _ in range(20):
            client.get(f"/api/{name}/")
            builds.append(client.answer()[0].get("sarsen-build"))
    assert abs(builds.count("1.0.0") - builds.count("1.0.1")) <= 2
    assert [len(one.requests) for one in served] == [builds.count("1.0.0"), builds.count("1.0.1")]


def test_an_unversioned_instance_is_build_0(shared, name, service):
    shared.register(name, "i1", service(name="plain").address)
    answer = shared.edge_get(f"/api/{name}/")
    assert answer.headers["Sarsen-Contract"] == f"{name}@0"
    assert answer.headers["Sarsen-Build"] == "0.0.0"


def test_a_service_on_a_unix_socket(shared, name, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.sock"))
        listener.listen()
        listener.settimeout(10)
        shared.register(name, "i1", f"unix:{tmp_path}/s.sock", "1.0.0")
        with Wire.connect(shared.edge) as client:
            client.get(f"/api/{name}/x")
            with Wire(listener.accept()[0]) as wire:
                assert wire.head().target == "/x"
                wire.send(reply("200 OK", b"unix"))
                assert client.answer()[1] == b"unix"
