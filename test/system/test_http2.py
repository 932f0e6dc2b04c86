# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 on the clients' side, to services of HTTP/1.1: that nothing is lost, and that nobody who
means harm gets far with it."""
import json
import threading

import pytest
from support.h2_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    H2Client,
    RawClient,
    fields,
    frame,
)
from support.wire import Upstream, Wire, eventually, reply

NO_ERROR, PROTOCOL_ERROR, REFUSED, CANCEL, CALM = 0, 1, 7, 8, 11


@pytest.fixture
def echo(shared, name, service):
    shared.register(name, "i1", service(name="s").address, "1.0.0")
    return f"/api/{name}/"


@pytest.fixture
def limited(make_daemon, name, service):
    def make(gateway):
        daemon = make_daemon(gateway=gateway)
        daemon.register(name, "i1", service(name="s").address, "1.0.0")
        daemon.path = f"/api/{name}/"
        return daemon

    return make


def test_a_request_is_the_service_s_in_http_1(shared, echo):
    with H2Client(shared.edge) as client:
        extra = [("cookie", "a=1"), ("x-word", "w"), ("cookie", "b=2"), ("cookie", "c=3")]
        answer = client.get(echo + "x?y=1", extra=extra)
        assert answer.status == 200
        seen = json.loads(answer.body)
        assert seen["method"] == "GET" and seen["path"].endswith("/x?y=1")
        assert seen["headers"]["cookie"] == "a=1; b=2; c=3"
        assert seen["headers"]["x-word"] == "w"
        assert seen["headers"]["via"].startswith("2.0 ")
        assert answer.get("date") and answer.get("content-length")
        assert not {"connection", "transfer-encoding", "keep-alive"} & set(dict(answer.headers))


def test_both_listeners_take_it(shared, echo):
    for address in (shared.edge, shared.internal):
        with H2Client(address) as client:
            assert client.get(echo).status == 200


def test_many_streams_at_once(shared, echo):
    with H2Client(shared.edge) as client:
        for _ in range(3):
            streams = [client.ask(f"{echo}{i}", "POST", b"x" * i) for i in range(1, 90)]
            for i, stream in enumerate(streams, 1):
                answer = client.answer(stream)
                assert answer.status == 200
                assert json.loads(answer.body)["body"] == "x" * i


def test_bodies_of_a_megabyte_both_ways(shared, echo):
    body = bytes(range(32, 127)) * 11000
    with H2Client(shared.edge) as client:
        client.h2.increment_flow_control_window(1 << 20)
        answer = client.get(echo, method="POST", body=body)
        assert json.loads(answer.body)["body"].encode() == body


def test_fields_that_are_known_are_those_of_this_request(shared, echo):
    with H2Client(shared.edge) as client:
        for word in ("a", "a", "b", "a", "b", "b"):
            answer = client.get(f"{echo}{word}", extra=[("x-word", word)])
            seen = json.loads(answer.body)
            assert seen["headers"]["x-word"] == word and seen["path"].endswith(word)
            bare = json.loads(client.get(echo).body)
            assert "x-word" not in bare["headers"]


def test_a_head_has_no_body(shared, echo):
    with H2Client(shared.edge) as client:
        answer = client.get(echo, method="HEAD")
        assert answer.status == 200 and answer.body == b"" and int(answer.get("content-length")) > 0


def test_trailers_of_the_service_follow_the_body(shared, play, name):
    def serve(wire):
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                  "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")

    play(serve)
    with H2Client(shared.edge) as client:
        answer = client.get(f"/api/{name}/", extra=[("te", "trailers")])
        assert answer.body == b"abc"
        assert answer.trailers == [("x-sum", "7")]


def test_100_is_the_service_s_to_give(shared, upstream, name):
    with H2Client(shared.edge) as client:
        stream = client.ask(f"/api/{name}/", "POST", extra=[("expect", "100-continue")], ends=False)
        with upstream.accept() as wire:
            assert wire.head().get("expect") == "100-continue"
            wire.send("HTTP/1.1 100 Continue\r\n\r\n")
            assert client.until(lambda: client.answers[stream].interim == [100])
            client.send(stream, b"body")
            assert chunk_bodies(wire) == b"body"
            wire.send(reply(200, b"ok"))
            assert client.answer(stream).body == b"ok"


def chunk_bodies(wire):
    body = b""
    while part := wire.chunk():
        body += part
    return body


def test_an_answer_before_the_body_s_end_stops_it(shared, upstream, name):
    with H2Client(shared.edge) as client:
        stream = client.ask(f"/api/{name}/", "POST", b"first", ends=False)
        with upstream.accept() as wire:
            wire.head()
            wire.send(reply(403, b"no"))
            answer = client.answer(stream)
            assert answer.status == 403 and answer.body == b"no"
            assert client.until(lambda: answer.reset is not None) and answer.reset == NO_ERROR
        assert client.get("/nothing/here").status == 404  # the connection is not harmed


def test_a_client_that_gives_up_is_noticed_upstream(shared, upstream, name):
    with H2Client(shared.edge) as client:
        stream = client.ask(f"/api/{name}/")
        with upstream.accept() as wire:
            wire.head()
            client.h2.reset_stream(stream, CANCEL)
            client.flush()
            assert wire.rest() == b""  # closed


def test_an_upstream_that_breaks_off_resets_the_stream_alone(shared, upstream, name, service):
    shared.register(f"{name}-well", "i1", service().address, "1.0.0")
    with H2Client(shared.edge) as client:
        stream = client.ask(f"/api/{name}/")
        with upstream.accept() as wire:
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            assert client.until(lambda: client.answers[stream].body == b"half")
        assert client.answer(stream).reset == 2
        assert client.get(f"/api/{name}-well/").status == 200


def test_a_client_that_reads_nothing_holds_only_itself(shared, echo, play, name):
    size = 8 << 20

    def serve(wire):
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        wire.send(b"x" * size)

    shared.register(f"{name}-long", "i1", play(serve, instance="i2").address, "1.0.0")
    with H2Client(shared.edge, holds=True) as client:
        stream = client.ask(f"/api/{name}-long/")
        assert client.until(lambda: len(client.answers[stream].body) == 65535)
        with H2Client(shared.edge) as neighbour:
            assert neighbour.get(echo).status == 200
        client.holds = False
        client.h2.acknowledge_received_data(65535, stream)
        answer = client.answer(stream)
        assert len(answer.body) == size


# --- what is refused ---

@pytest.mark.parametrize("extra", [
    [("connection", "close")], [("transfer-encoding", "chunked")], [("keep-alive", "1")],
    [("proxy-connection", "close")], [("upgrade", "websocket")], [("te", "gzip")],
    [("X-Upper", "a")], [("x a", "b")], [("x:a", "b")], [("", "b")], [("x", "a\r\nb: c")],
    [("x", "a\0b")], [("x", " a")], [("x", "a ")], [("host", "other.test")],
    [(":path", "/twice")], [(":unknown", "a")],
], ids=str)
def test_fields_that_http_1_would_read_differently(shared, echo, extra):
    assert_malformed(shared, fields(path=echo, extra=extra))


@pytest.mark.parametrize("names", [
    [(":method", "GET"), (":scheme", "http"), (":authority", "a")],
    [(":method", "GET"), (":path", "/"), (":authority", "a")],
    [(":scheme", "http"), (":path", "/"), (":authority", "a")],
    fields(path=""), fields(path="x"), fields(path="/a b"), fields(path="/a#b"),
    fields(path="/a\tb"), fields(method="GE T"), fields(method="GET /x HTTP/1.1\r\nx: y\r\n\r\n"),
    fields(authority="user@shop.test"), fields(authority="a b"),
    [(":method", "GET"), (":scheme", "ftp"), (":path", "/"), (":authority", "a")],
    [("x", "y"), *fields()],
], ids=str)
def test_pseudo_fields_that_make_no_request(shared, names):
    assert_malformed(shared, names)


def assert_malformed(daemon, names):
    with RawClient(daemon.edge) as client:
        client.send(client.headers(1, names))
        type, _, stream, payload = client.until(RST_STREAM, GOAWAY, HEADERS)
        assert (type, stream) == (RST_STREAM, 1)
        assert int.from_bytes(payload, "big") == PROTOCOL_ERROR
        client.send(client.headers(3, fields(path="/nothing/here")))
        assert client.until(HEADERS, GOAWAY)[0] == HEADERS


@pytest.mark.parametrize("parts", [[b"ab"], [b"abcd"], [b"a", b"bcd"], [b""]], ids=str)
def test_a_length_that_is_not_the_body_s(shared, echo, parts):
    with RawClient(shared.edge) as client:
        names = fields("POST", echo, extra=[("content-length", "3")])
        client.send(client.headers(1, names, END_HEADERS),
                    *[frame(DATA, END_STREAM if i == len(parts) else 0, 1, part)
                      for i, part in enumerate(parts, 1)])
        type, _, _, payload = client.until(RST_STREAM, HEADERS)
        assert type == RST_STREAM and int.from_bytes(payload, "big") == PROTOCOL_ERROR


@pytest.mark.parametrize("extra", [
    [("cookie", f"c{i}=1") for i in range(101)],
    [(f"x-{i}", "v") for i in range(101)],
    [("x", "v" * 7000)] * 5,
], ids=["crumbs", "fields", "bytes"])
def test_a_head_that_is_too_large(shared, echo, extra):
    with H2Client(shared.edge) as client:
        assert client.get(echo, extra=extra).status == 431
        assert client.get(echo).status == 200


def test_a_bomb_of_indexed_fields_ends_the_connection(shared):
    with RawClient(shared.edge) as client:
        block = client.encoder.encode([*fields(), ("x-bomb", "v" * 4000)])
        client.send(frame(HEADERS, END_STREAM, 1, block + b"\xbe" * 12000),
                    frame(CONTINUATION, END_HEADERS, 1, b"\xbe" * 16000))
        assert client.end() == CALM


# --- floods: each ends within 500 frames ---

FLOODS = {
    "ping": frame(PING, payload=b"12345678"),
    "settings": frame(SETTINGS),
    "priority": frame(PRIORITY, 0, 3, b"\0\0\0\0\1"),
    "window": frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
    "unknown": frame(0x77, 0, 0, b"what"),
    "extension": frame(0x10, 0, 0, b"\0\0\0\1u=1"),
    "closed stream": frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_end_the_connection(shared, flood):
    with RawClient(shared.edge) as client:
        client.send(client.headers(1, fields(path="/nothing/here")))
        client.until(DATA)
        client.send(FLOODS[flood] * 499)
        assert client.end() == CALM
    with H2Client(shared.edge) as neighbour:
        assert neighbour.get("/nothing/here").status == 404


def test_empty_data_is_a_flood(shared, upstream, name):
    with RawClient(shared.edge) as client:
        client.send(client.headers(1, fields("POST", f"/api/{name}/"), END_HEADERS))
        client.send(frame(DATA, 0, 1) * 250, frame(DATA, 0x8, 1, b"\x03\0\0\0") * 249)
        assert client.end() == CALM


def test_rapid_reset(shared, echo):
    with RawClient(shared.edge) as client:
        for stream in range(1, 1000, 2):
            client.send(client.headers(stream, fields(path=echo)),
                        frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))
        assert client.end() == CALM
    with H2Client(shared.edge) as neighbour:
        assert neighbour.get("/nothing/here").status == 404


def test_a_server_that_is_made_to_reset(shared, echo):
    with RawClient(shared.edge) as client:
        for stream in range(1, 1000, 2):
            client.send(client.headers(stream, fields("POST", echo), END_HEADERS),
                        frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff"))
        assert client.end() == CALM


def test_continuations_end(shared):
    with RawClient(shared.edge) as client:
        block = client.encoder.encode(fields())
        client.send(frame(HEADERS, END_STREAM, 1, block), frame(CONTINUATION, 0, 1) * 498)
        assert client.end() not in (None, NO_ERROR)


def test_more_streams_than_allowed_are_refused(limited):
    daemon = limited("  http2: { streams: 4 }\n")
    with RawClient(daemon.edge) as client:
        client.until(SETTINGS)
        for stream in range(1, 13, 2):
            client.send(client.headers(stream, fields("POST", daemon.path), END_HEADERS))
        refused = set()
        while len(refused) < 2:
            type, _, stream, payload = client.until(RST_STREAM, GOAWAY)
            assert type == RST_STREAM and int.from_bytes(payload, "big") == REFUSED
            refused.add(stream)
        assert refused == {9, 11}


# --- time ---

def test_a_window_that_stays_shut(limited, play, name):
    daemon = limited("  stall_timeout: 400ms\n")

    def serve(wire):
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 20}\r\n\r\n", b"x" * (1 << 20))

    daemon.register(f"{name}-long", "i1", play(serve, daemon=daemon, instance="i3").address,
                    "1.0.0")
    with H2Client(daemon.edge, holds=True) as client:
        answer = client.get(f"/api/{name}-long/")
        assert answer.reset == CANCEL and len(answer.body) == 65535
        client.holds = False
        client.h2.acknowledge_received_data(65535, 1)
        assert client.get(daemon.path).status == 200


def test_a_head_that_is_never_whole(limited):
    daemon = limited("  head_timeout: 300ms\n")
    with RawClient(daemon.edge) as client:
        client.until(SETTINGS)
        client.send(frame(HEADERS, END_STREAM, 1, client.encoder.encode(fields())))
        assert client.end() == CALM
    with Wire.connect(daemon.edge) as wire:
        wire.send("PRI * HTTP/2.0\r\n\r\n")
        assert b"HTTP/2.0" not in wire.rest()  # and ends


def test_a_body_that_comes_too_slowly(limited):
    daemon = limited("  limits: { body_grace: 300ms }\n")
    with H2Client(daemon.edge) as client:
        stream = client.ask(daemon.path, "POST", b"x", ends=False)
        assert client.answer(stream).status == 408


def test_an_idle_connection_ends(limited):
    daemon = limited("  idle_timeout: 1s\n")
    with H2Client(daemon.edge) as client:
        assert client.get(daemon.path).status == 200
        assert client.is_ended_with(NO_ERROR)


def test_a_connection_has_its_number_of_requests(limited):
    daemon = limited("  limits: { requests: 3 }\n")
    with H2Client(daemon.edge) as client:
        for _ in range(3):
            assert client.get(daemon.path).status == 200
        assert client.is_ended_with(NO_ERROR)
        assert client.goaways[0][0] == 0x7fffffff and client.goaways[-1][0] == 5


# --- the end of the daemon ---

def test_draining_loses_nothing(make_daemon, name):
    daemon = make_daemon()
    upstream = Upstream()
    daemon.register(name, "i1", upstream.address, "1.0.0")
    with H2Client(daemon.edge) as client, H2Client(daemon.edge) as idle:
        stream = client.ask(f"/api/{name}/")
        with upstream.accept() as wire:
            wire.head()
            stopping = threading.Thread(target=daemon.stop)
            stopping.start()
            assert client.until(lambda: len(client.goaways) == 2)
            assert client.goaways == [(0x7fffffff, NO_ERROR), (stream, NO_ERROR)]
            wire.send(reply(200, b"kept"))
            assert client.answer(stream).body == b"kept"
        assert idle.is_ended_with(NO_ERROR)
        stopping.join()
    upstream.close()


def test_the_access_log_says_http_2(make_daemon, tmp_path):
    daemon = make_daemon(gateway=f"  access_log: {tmp_path}/access.log\n")
    with H2Client(daemon.edge) as client:
        assert client.get("/nothing/here").status == 404
    log = tmp_path / "access.log"
    entry = json.loads(eventually(lambda: log.exists() and log.read_text()).splitlines()[0])
    assert entry["protocol"] == "HTTP/2" and entry["status"] == 404


def test_what_is_no_http_at_all_is_not_answered(shared):
    with Wire.connect(shared.edge) as wire:
        wire.send("INVALID CONNECTION PREFACE\r\n\r\n")
        assert wire.rest() == b""
