# SPDX-License-Identifier: Apache-2.0
"""Which header fields pass, in which direction, and which ones the gateway writes itself."""
import re

import pytest
from support.wire import Wire, reply

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def seen(shared, name, upstream):
    """Sends a GET with these fields; returns the head that reached the service."""
    wires = []

    def ask(*fields, where="edge", target=None, answer=reply("200 OK")):
        wires.append(Wire.connect(getattr(shared, where)))
        wires[-1].get(target or f"/api/{name}/", "Connection: close" if not any(
            field.startswith("Connection") for field in fields) else "X-N: 1", *fields)
        service, head = upstream.request()
        service.send(answer)
        ask.answer = wires[-1].answer()[0]
        service.close()
        return head

    yield ask
    for wire in wires:
        wire.close()


def members(head):
    """The members of the baggage that a head carries."""
    found = {}
    for line in head.all("baggage"):
        for member in line.split(","):
            key, _, value = member.strip().partition("=")
            assert key not in found, f"twice: {line}"
            found[key] = value
    return found


# --- requests ---

def test_end_to_end_fields_pass_as_they_are(seen):
    head = seen("Accept: a/b, c;q=0.5", "X-Own: \t one  two \t", "Authorization: Basic eA==",
                "X-Own: again", "If-None-Match: \"a\"", "User-Agent: me/1", "Range: bytes=0-1")
    assert head.get("accept") == "a/b, c;q=0.5"
    assert head.all("x-own") == ["one  two", "again"]
    assert head.get("authorization") == "Basic eA=="
    assert head.get("if-none-match") == '"a"'
    assert head.get("user-agent") == "me/1"
    assert head.get("range") == "bytes=0-1"
    assert head.all("host") == ["shop.test"]


@pytest.mark.parametrize("field", [
    "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: x",
    "Proxy-Authorization: Basic eA==", "Trailer: X-A", "Connection: close",
])
def test_a_hop_by_hop_field_stays_here(seen, field):
    assert field.partition(":")[0].lower() not in seen(field).names()


def test_fields_that_connection_nominates_stay_here(seen):
    head = seen("Connection: close, x-one , X-TWO,,x-absent", "X-One: 1", "x-two: 2",
                "X-Two: again", "X-Three: 3")
    assert not head.names() & {"x-one", "x-two", "connection"}
    assert head.get("x-three") == "3"


@pytest.mark.parametrize("victim", ["cookie", "authorization", "traceparent", "baggage",
                                    "x-forwarded-for", "sarsen-customer"])
def test_connection_cannot_take_away_what_others_rely_on(shared, name, upstream, victim):
    with Wire.connect(shared.internal) as client:
        client.get(f"/api/{name}/", f"Connection: {victim}", f"{victim}: a=1")
        assert client.head().status == 400
        upstream.assert_untouched()


def test_the_edge_says_who_asked_and_nobody_else(seen):
    head = seen("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https",
                "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", "Forwarded: for=6.6.6.6",
                "X-Real-IP: 6.6.6.6")
    assert head.all("x-forwarded-for") == ["127.0.0.1"]
    assert head.all("x-forwarded-host") == ["shop.test"]
    assert head.all("x-forwarded-proto") == ["http"]
    assert not head.names() & {"forwarded", "x-real-ip", "x-forwarded-port", "x-forwarded-prefix"}


def test_an_internal_caller_is_added_to_those_before(seen):
    head = seen("X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7",
                "X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https", where="internal")
    assert head.all("x-forwarded-for") == ["6.6.6.6, 7.7.7.7, 127.0.0.1"]
    assert head.all("x-forwarded-host") == ["shop.example"]
    assert head.all("x-forwarded-proto") == ["https"]


def test_names_with_an_underscore_pass_for_trusted_callers_only(seen):
    fields = "X_Own: 1", "Sarsen_Customer: acme", "X_Forwarded_For: 6.6.6.6"
    assert not {name for name in seen(*fields).names() if "_" in name}
    assert seen(*fields, where="internal").get("x_own") == "1"


# --- trace and baggage ---

def test_a_trace_begins_at_the_gateway(seen):
    head = seen()
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", head.get("traceparent"))
    assert head.get("x-request-id") == head.get("traceparent")[3:35]
    assert seen().get("traceparent")[3:35] != head.get("traceparent")[3:35]


@pytest.mark.parametrize("where", ["edge", "internal"])
def test_a_trace_goes_on(seen, where):
    head = seen(f"traceparent: {TRACE}", "tracestate: a=b,c=d", "X-Request-Id: r-1", where=where)
    assert head.all("traceparent")[0][3:35] == TRACE[3:35]
    assert head.all("tracestate") == ["a=b,c=d"]
    ids = head.all("x-request-id")
    if where == "internal":
        assert ids == ["r-1"]
    else:  # not what a stranger chose
        assert re.fullmatch("[0-9a-f]{32}", ids[0]) and ids != [TRACE[3:35]] and len(ids) == 1


@pytest.mark.parametrize("trace", [
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense", TRACE.upper(),
])
def test_a_malformed_trace_is_begun_anew(seen, trace):
    head = seen(f"traceparent: {trace}", "tracestate: a=b")
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", head.get("traceparent"))
    assert trace[3:35].lower() not in head.get("traceparent")
    assert "tracestate" not in head.names()


def test_baggage_of_others_passes_and_ours_is_written(seen):
    head = seen("baggage: a=1;p=2, b=%20x")
    carried = members(head)
    assert (carried["a"], carried["b"]) == ("1;p=2", "%20x")
    assert carried["sarsen.bom"] == seen.answer.get("sarsen-bom")
    assert carried["sarsen.customer"]
    assert "sarsen.lane" not in carried


# --- answers ---

def test_fields_of_an_answer_pass(seen):
    seen(answer=reply("200 OK", b"", "X-Own: 1", "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d",
                      "Server: s", "Vary: Accept", "Cache-Control: no-store",
                      "Link: </a>; rel=x"))
    assert seen.answer.get("x-own") == "1"
    assert [one for one in seen.answer.all("set-cookie") if not one.startswith("sarsen=")] == [
        "a=b; Path=/", "c=d"]
    assert seen.answer.get("server") == "s"
    assert seen.answer.get("vary") == "Accept"
    assert seen.answer.get("cache-control") == "no-store"
    assert seen.answer.get("link") == "</a>; rel=x"
    assert len(seen.answer.all("date")) == 1


def test_hop_by_hop_fields_of_an_answer_stay_here(seen):
    seen("Connection: keep-alive", answer=reply(
        "200 OK", b"", "Connection: keep-alive, x-secret", "X-Secret: 1", "Keep-Alive: timeout=9",
        "Proxy-Connection: x", "Upgrade: h2c", "Proxy-Authenticate: Basic"))
    assert not seen.answer.names() & {"x-secret", "keep-alive", "proxy-connection", "upgrade",
                                      "connection"}


def test_an_answer_names_bom_contract_and_build(seen, name):
    seen()
    assert re.fullmatch("[a-z2-7]{16}", seen.answer.get("sarsen-bom"))
    assert seen.answer.all("sarsen-contract") == [f"{name}@1"]
    assert seen.answer.all("sarsen-build") == ["1.0.0"]


def test_a_service_cannot_forge_what_the_gateway_says(seen, name):
    seen(answer=reply("200 OK", b"", "Sarsen-Bom: forged", "Sarsen-Secret: 1",
                      "Sarsen-Customer: acme", "Set-Cookie: sarsen=forged", "Sarsen-Build: 9.9.9"))
    assert "forged" not in str(seen.answer)
    assert not seen.answer.names() & {"sarsen-secret", "sarsen-customer"}
    assert seen.answer.all("sarsen-build") == ["1.0.0"]
    assert seen.answer.all("sarsen-contract") == [f"{name}@1"]


def test_a_deadline_shrinks_from_hop_to_hop(seen):
    left = int(seen("Sarsen-Deadline: 5000", where="internal").get("sarsen-deadline"))
    assert 0 < left <= 5000
    assert "sarsen-deadline" not in seen("Sarsen-Deadline: 5000").names()


def test_a_deadline_that_has_passed_asks_nobody(shared, name, upstream):
    with Wire.connect(shared.internal) as client:
        client.get(f"/api/{name}/", "Sarsen-Deadline: 0")
        assert client.answer()[0].status == 504
        upstream.assert_untouched()
        client.get(f"/api/{name}/", "Sarsen-Deadline: 50")
        upstream.request()
        assert client.answer()[0].status == 504


# --- many of them ---

def test_all_fields_of_a_full_head_arrive(seen):
    fields = [f"X-F{n}: {'v' * 300}{n}" for n in range(98)]
    head = seen(*fields[:-1])
    assert [f"{name}: {value}" for name, value in head.fields if name.startswith("x-f") and
            not name.startswith("x-forwarded")] == [field.lower() for field in fields[:-1]]
    assert head.get("traceparent") and head.get("baggage") and head.get("x-forwarded-for")


def test_all_fields_of_a_full_answer_arrive(seen):
    fields = [f"X-F{n}: v{n}" for n in range(95)]
    seen(answer=reply("200 OK", b"", *fields))
    assert [f"{name}: {value}" for name, value in seen.answer.fields
            if name.startswith("x-f")] == [field.lower() for field in fields]
    assert seen.answer.get("sarsen-bom")


def test_a_long_baggage_never_costs_ours(seen):
    foreign = ",".join(f"k{n}={'v' * 100}" for n in range(75))
    carried = members(seen(f"baggage: {foreign}"))
    assert carried["sarsen.bom"] and carried["sarsen.customer"]
    # Members are whole or not there.
    assert all(len(value) == 100 for key, value in carried.items() if key.startswith("k"))


def test_one_bom_and_one_trace_through_a_chain(shared, name, service, upstream):
    """Browser, first service, second service: the first copies baggage and traceparent on."""
    def call_on(request):
        headers = {key.lower(): value for key, value in request["headers"]}
        with Wire.connect(shared.internal) as client:
            client.get(f"/api/{name}/deep", f"baggage: {headers['baggage']}",
                       f"traceparent: {headers['traceparent']}", f"Sarsen-Caller: {name}-front")
            head, body = client.answer()
        return 200, {"Sarsen-Contract": head.get("sarsen-contract"),
                     "Sarsen-Build": head.get("sarsen-build")}, body

    front = service(answer=call_on)
    shared.register(f"{name}-front", "i1", front.address, "7.0.0")
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}-front/", f"traceparent: {TRACE}", "baggage: a=1")
        deep, seen = upstream.request()
        deep.send(reply("200 OK", b"deep"))
        head, body = client.answer()
    assert body == b"deep"
    first = dict(member.split("=", 1) for member in front.header("baggage")[0].split(","))
    assert members(seen) == first
    assert first["sarsen.bom"] == head.get("sarsen-bom")
    assert seen.get("traceparent")[3:35] == TRACE[3:35]
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert head.get("sarsen-build") == "1.0.0", "what answered in the end is named"
