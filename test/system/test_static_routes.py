# SPDX-License-Identifier: Apache-2.0
"""Routes without a service: static upstreams, answers, redirects; rewrites and header rules."""
import json
import socket

import pytest
from support.daemon import Daemon
from support.wire import Played, Upstream, Wire, reply

ROUTES = """
routes:
  - match: {{ prefix: /admin }}
    answer: {{ status: 403, body: "not here\\n" }}
    response_headers: {{ set: {{ Cache-Control: no-store }}, add: {{ Link: [</a>, </b>] }} }}
  - match: {{ path: /health, method: [GET, HEAD] }}
    answer: {{ body: '{{"ok":true}}', type: application/json }}
  - match: {{ path: /page }}
    answer: {{ body: "<p>" }}
    response_headers: {{ set: {{ content-type: text/html }} }}
  - match: {{ path: /gone }}
    answer: {{ status: 204 }}
  - match: {{ prefix: /old }}
    redirect: {{ to: "https://example.com/new" }}
  - match: {{ prefix: /here }}
    redirect: {{ to: /there/, status: 301 }}
  - match: {{ path: /exact }}
    redirect: {{ to: /elsewhere, status: 303 }}
  - match: {{ host: www.example.com }}
    redirect: {{ to: "https://example.com", status: 307 }}
  - match: {{ prefix: /v1 }}
    upstream: {one}
    rewrite: {{ prefix: /v2 }}
  - match: {{ prefix: /top }}
    upstream: {one}
    rewrite: {{ prefix: / }}
  - match: {{ prefix: /whole }}
    upstream: {one}
    rewrite: {{ path: /entire }}
  - match: {{ prefix: /cut }}
    upstream: {one}
    strip: /cut
  - match: {{ prefix: /headers }}
    upstream: {one}
    request_headers:
      set: {{ X-Env: prod, Authorization: Basic eA== }}
      add: {{ X-Tag: [a, b] }}
      remove: [X-Debug, User-Agent]
    response_headers:
      set: {{ X-Frame-Options: DENY }}
      add: {{ Vary: Accept }}
      remove: [Server, X-Powered-By]
  - match: {{ prefix: /service }}
    service: real
    rewrite: {{ prefix: /inner }}
    request_headers: {{ set: {{ X-Env: prod }} }}
    response_headers: {{ remove: Server, set: {{ X-Out: "1" }} }}
  - match: {{ prefix: /named }}
    upstream: {one}
    host: "named.test:81"
  - match: {{ prefix: /address }}
    upstream: {one}
    host: upstream
  - match: {{ prefix: /both }}
    upstream: [{one}, {two}]
  - match: {{ prefix: /unix }}
    upstream: unix:{directory}/u.sock
    host: upstream
  - match: {{ prefix: /dead }}
    upstream: {dead}
  - match: {{ prefix: /half-dead }}
    upstream: [{dead}, {one}, {dead}]
  - match: {{ prefix: /all-dead }}
    upstream: [{dead}, {dead}]
  - match: {{ prefix: /played }}
    upstream: {played}
  - match: {{ prefix: / }}
    upstream: {two}
"""


def echo(name):
    """A service that answers with what it was sent, field lines in their order."""
    def play(wire):
        while True:
            head = wire.head()
            body = wire.body(head)
            seen = {"name": name, "start": head.start, "fields": head.fields,
                    "body": body.decode("latin-1")}
            wire.send(reply("200 OK", b"" if head.start.startswith("HEAD ")
                            else json.dumps(seen).encode(),
                            "Server: secret/1.0", "X-Powered-By: x", "X-Frame-Options: ALLOW",
                            "Vary: Origin", "Sarsen-Bom: forged", "Set-Cookie: a=b"))
    return play


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Static:
    """A daemon with all those routes, and what they lead to."""

    def __init__(self, make, directory):
        self.one, self.two = Played(echo("one")), Played(echo("two"))
        self.played = Upstream()
        self.daemon = make(ROUTES.format(one=self.one.address, two=self.two.address,
                                         dead=free_address(), directory=directory,
                                         played=self.played.address))

    def ask(self, target, *fields, method="GET", body=b"", where="edge"):
        with Wire.connect(getattr(self.daemon, where)) as client:
            if body:
                fields = (*fields, f"Content-Length: {len(body)}")
            client.get(target, *fields, method=method).send(body)
            return client.answer(method)

    def seen(self, target, *fields, **more):
        """What the upstream saw: its name, the target, the fields."""
        head, body = self.ask(target, *fields, **more)
        assert head.status == 200, (head, body)
        seen = json.loads(body)
        return seen["name"], seen["start"].split()[1], seen["fields"], head


@pytest.fixture(scope="module")
def static(binary, tmp_path_factory):
    directory = tmp_path_factory.mktemp("s")
    made = []

    def make(config):
        made.append(Daemon(binary, directory, config))
        return made[0].start()

    static = Static(make, directory)
    yield static
    made[0].stop()
    made[0].check_log()
    for played in (static.one, static.two, static.played):
        played.close()


def values(fields, name):
    return [value for field, value in fields if field == name]


# --- answers ---

@pytest.mark.parametrize("target", [
    "/admin", "/admin/", "/admin/x?y", "/x/../admin", "//admin", "/./admin/x", "/%61dmin",
    "/admin%20", "/%2e/admin", "/x/%2E%2e/admin/y", "http://shop.test/admin"])
def test_every_way_to_write_a_denied_path(static, target):
    if target == "/admin%20":
        assert static.ask(target)[0].status == 200  # another name, and nobody's to deny
        return
    head, body = static.ask(target)
    assert (head.status, body) == (403, b"not here\n")
    assert head.all("content-type") == ["text/plain; charset=utf-8"]
    assert head.all("cache-control") == ["no-store"]
    assert head.all("link") == ["</a>", "</b>"]


@pytest.mark.parametrize("target", ["/admin%2f", "/admin%2Fx", "/x%2f..%2fadmin", "/admin%5cx",
                                    "/admin;a", "/../admin", "/admin%00"])
def test_what_could_be_read_two_ways_is_refused(static, target):
    assert static.ask(target)[0].status == 400


@pytest.mark.parametrize("target", ["/administrator", "/Admin", "/x/admin", "/a"])
def test_others_are_not_denied(static, target):
    assert static.seen(target)[:2] == ("two", target)


def test_an_answer_says_nothing_about_the_customer(static):
    for method in ("GET", "POST", "DELETE"):
        head, body = static.ask("/admin/x", method=method)
        assert (head.status, body) == (403, b"not here\n")
        assert not [name for name in head.names() if name.startswith("sarsen-")]
        assert not head.get("set-cookie")
    head, body = static.ask("/health")
    assert (head.status, body) == (200, b'{"ok":true}')
    assert head.get("content-type") == "application/json"
    head, body = static.ask("/health", method="HEAD")
    assert (head.status, head.get("content-length"), body) == (200, "11", b"")
    assert static.ask("/page")[0].all("content-type") == ["text/html"]
    head, _ = static.ask("/gone")
    assert head.status == 204 and head.get("content-type") is None
    # a POST is another route's
    assert static.seen("/health", method="POST")[0] == "two"


def test_an_answer_keeps_the_connection_and_skips_a_body(static):
    with Wire.connect(static.daemon.edge) as client:
        for _ in range(3):
            client.send("POST /admin HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            head, body = client.answer()
            assert (head.status, body) == (403, b"not here\n")


# --- redirects ---

@pytest.mark.parametrize(("target", "host", "status", "location"), [
    ("/old", "shop.test", 308, "https://example.com/new"),
    ("/old/", "shop.test", 308, "https://example.com/new/"),
    ("/old/a/b?c=d&e=%2f", "shop.test", 308, "https://example.com/new/a/b?c=d&e=%2f"),
    ("/old//evil.test/%2e%2e/x", "shop.test", 308, "https://example.com/new/x"),
    ("/old?q", "shop.test", 308, "https://example.com/new?q"),
    ("/here", "shop.test", 301, "/there/"),
    ("/here/x", "shop.test", 301, "/there/x"),
    ("/here//evil.test", "shop.test", 301, "/there/evil.test"),
    ("/exact?a", "shop.test", 303, "/elsewhere?a"),
    ("/", "www.example.com", 307, "https://example.com/"),
    ("/a/b?c", "www.example.com:8000", 307, "https://example.com/a/b?c"),
])
def test_redirects(static, target, host, status, location):
    with Wire.connect(static.daemon.edge) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        head, body = client.answer()
    assert (head.status, head.all("location"), body) == (status, [location], b"")


# --- static upstreams ---

@pytest.mark.parametrize(("target", "expected"), [
    ("/v1", "/v2"), ("/v1/", "/v2/"), ("/v1/a?b=c", "/v2/a?b=c"), ("/x/../v1/%61", "/v2/a"),
    ("/v11", "/v11"), ("/top", "/"), ("/top/x", "/x"), ("/top?a", "/?a"),
    ("/whole", "/entire"), ("/whole/x/y?z", "/entire?z"), ("/cut", "/"), ("/cut/a?b", "/a?b"),
])
def test_where_a_path_goes(static, target, expected):
    assert static.seen(target)[1] == expected


def test_an_upstream_sees_the_client_and_nothing_of_ours(static):
    name, target, fields, head = static.seen(
        "/any?a=b", "Accept: x", "Cookie: a=b", "Sarsen-Customer: me", "X-Forwarded-For: 1.2.3.4",
        "baggage: k=v,sarsen.customer=me", "X_Real: 1", "X-Real-Ip: 1.1.1.1")
    assert (name, target) == ("two", "/any?a=b")
    assert values(fields, "host") == ["shop.test"]
    assert values(fields, "accept") == ["x"] and values(fields, "cookie") == ["a=b"]
    assert values(fields, "x-forwarded-for") == ["127.0.0.1"]
    assert values(fields, "x-forwarded-host") == ["shop.test"]
    assert values(fields, "x-forwarded-proto") == ["http"]
    assert values(fields, "via") == ["1.1 sarsen"]
    assert values(fields, "baggage") == ["k=v"]
    assert len(values(fields, "traceparent")) == len(values(fields, "x-request-id")) == 1
    assert not [field for field, _ in fields
                if field.startswith("sarsen") or field in ("x_real", "x-real-ip")]
    assert not [field for field in head.names() if field.startswith("sarsen-")]
    assert head.all("set-cookie") == ["a=b"]


def test_a_trusted_caller_s_baggage_ends_here_too(static):
    fields = static.seen("/any", "Sarsen-Customer: me", "baggage: sarsen.customer=me,k=v",
                         "X-Request-Id: r1", where="internal")[2]
    assert values(fields, "baggage") == ["k=v"]
    assert values(fields, "x-request-id") == ["r1"]
    assert not [field for field, _ in fields if field.startswith("sarsen")]


def test_bodies_pass_and_nobody_is_counted(static):
    head, body = static.ask("/any", method="POST", body=b"x" * 100000)
    assert head.status == 200 and json.loads(body)["body"] == "x" * 100000
    assert static.daemon.get("/v1/usage")["usage"] == []


def test_header_rules(static):
    name, _, fields, head = static.seen(
        "/headers", "X-Env: client", "x-env: twice", "Authorization: Bearer t", "X-Tag: c",
        "X-Debug: 1", "User-Agent: ua", "X-Debugger: 2")
    assert values(fields, "x-env") == ["prod"]
    assert values(fields, "authorization") == ["Basic eA=="]
    assert sorted(values(fields, "x-tag")) == ["a", "b", "c"]
    assert not values(fields, "x-debug") and not values(fields, "user-agent")
    assert values(fields, "x-debugger") == ["2"]
    assert head.all("x-frame-options") == ["DENY"]
    assert head.all("vary") == ["Origin", "Accept"]
    assert not head.all("server") and not head.all("x-powered-by")
    assert head.all("set-cookie") == ["a=b"] and len(head.all("date")) == 1


def test_a_service_s_route_has_rules_too(static):
    real = Played(echo("real"))
    static.daemon.register("real", "i1", real.address, "1.0.0")
    name, target, fields, head = static.seen("/service/x?y")
    assert (name, target) == ("real", "/inner/x?y")
    assert values(fields, "x-env") == ["prod"]
    assert head.all("x-out") == ["1"] and not head.all("server")
    assert head.get("sarsen-build") == "1.0.0"
    real.close()


def test_the_host_that_is_sent_on(static):
    assert values(static.seen("/named")[2], "host") == ["named.test:81"]
    fields = static.seen("/address")[2]
    assert values(fields, "host") == [static.one.address]
    assert values(fields, "x-forwarded-host") == ["shop.test"]
    assert [field for field, _ in fields].index("host") == 0


def test_addresses_take_turns(static):
    names = []
    with Wire.connect(static.daemon.edge) as client:
        for _ in range(20):
            client.get("/both")
            names.append(json.loads(client.answer()[1])["name"])
    assert names.count("one") == names.count("two") == 10


def test_an_upstream_on_a_unix_socket(static):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(static.daemon.directory / "u.sock"))
        listener.listen()
        listener.settimeout(10)
        with Wire.connect(static.daemon.edge) as client:
            client.get("/unix/x")
            with Wire(listener.accept()[0]) as wire:
                head = wire.head()
                assert (head.target, head.get("host")) == ("/unix/x", "localhost")
                wire.send(reply("200 OK", b"unix"))
                assert client.answer()[1] == b"unix"


# --- faults ---

def problem(head, body):
    assert head.get("content-type") == "application/problem+json"
    assert not [name for name in head.names() if name.startswith("sarsen-")]
    document = json.loads(body)
    assert document["status"] == head.status
    return document


def test_one_that_refuses_is_left_out(static):
    for _ in range(6):
        assert static.seen("/half-dead")[0] == "one"
    head, body = static.ask("/half-dead", method="POST", body=b"x")
    assert head.status == 200 and json.loads(body)["body"] == "x"


@pytest.mark.parametrize("target", ["/dead", "/all-dead"])
def test_nobody_answers(static, target):
    head, body = static.ask(target)
    document = problem(head, body)
    assert head.status == 503 and head.get("retry-after")
    assert document["upstream"].startswith("127.0.0.1:") and document["upstream"] in \
        document["detail"] and "refused" in document["detail"]


def test_a_broken_upstream_is_named(static):
    with Wire.connect(static.daemon.edge) as client:
        client.get("/played", "Content-Length: 0", method="POST")
        wire, _ = static.played.request()
        wire.send("HTTP/1.1 2OO\r\n\r\n")
        document = problem(*client.answer())
        assert document["status"] == 502 and document["upstream"] == static.played.address
        client.get("/played", "Content-Length: 0", method="POST")
        wire, _ = static.played.request()
        wire.close()
        document = problem(*client.answer())
        assert document["status"] == 502 and document["upstream"] == static.played.address


def test_a_kept_connection_that_died_is_not_the_client_s_trouble(static):
    with Wire.connect(static.daemon.edge) as client:
        client.get("/played")
        wire, _ = static.played.request()
        wire.send(reply("200 OK", b"first"))
        assert client.answer()[1] == b"first"
        client.get("/played")
        wire.head()
        wire.close()
        wire, _ = static.played.request()
        wire.send(reply("200 OK", b"second"))
        assert client.answer()[1] == b"second"


# --- beside other parts ---

def test_what_the_access_log_says(make_daemon, tmp_path):
    path = tmp_path / "access.log"
    up, dead = Played(echo("up")), free_address()
    daemon = make_daemon("routes:\n  - { match: { prefix: /no }, answer: { status: 403 } }\n"
                         "  - { match: { prefix: /go }, redirect: { to: /no } }\n"
                         f"  - {{ match: {{ prefix: /dead }}, upstream: {dead} }}\n"
                         f"  - {{ upstream: [{dead}, {up.address}] }}\n",
                         gateway=f"  access_log: {path}\n")
    for target in ("/no/x", "/go/x", "/dead", "/up", "/up2"):
        daemon.edge_get(target)
    lines = daemon.eventually(
        lambda: (found := [json.loads(line) for line in path.read_text().splitlines()])
        and len(found) == 5 and found)
    by_path = {line["path"]: line for line in lines}
    assert [by_path[path]["status"] for path in ("/no/x", "/go/x", "/dead", "/up")] == [
        403, 308, 503, 200]
    assert by_path["/dead"]["upstream"] == dead and by_path["/dead"]["fault"] == "connect"
    assert by_path["/up"]["upstream"] == by_path["/up2"]["upstream"] == up.address
    assert "upstream" not in by_path["/no/x"] and "trace_id" in by_path["/up"]
    assert not [line for line in lines if "service" in line or "customer" in line or "bom" in line]
    up.close()


def test_a_service_registered_where_a_static_upstream_is(make_daemon):
    up = Played(echo("up"))
    daemon = make_daemon(f"routes: [ {{ match: {{ prefix: /s }}, upstream: {up.address} }} ]\n")
    daemon.register("orders", "i1", up.address, "1.0.0")
    for _ in range(3):
        assert "Sarsen-Bom" not in daemon.edge_get("/s/x").headers
        assert daemon.edge_get("/api/orders/x").headers["Sarsen-Contract"] == "orders@1"
    daemon.call("DELETE", "/v1/services/orders/instances/i1", token=False)
    assert daemon.edge_get("/s/x").status == 200
    up.close()
