# SPDX-License-Identifier: Apache-2.0
"""Requests go through the gateway and come back, whatever their shape; raw bytes on both sides."""
import hashlib
import socket
import subprocess
import threading

import pytest
from support.service import Service
from support.wire import Upstream, Wire, chunked, eventually, reply

HELD = 32768  # more of a body than the gateway waits for
MB = 1 << 20


def memory(daemon, field):
    """A field of /proc/<pid>/status in bytes."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    raise AssertionError(field)


class Memory:
    """What the daemon's memory grew by at its highest."""

    def __init__(self, daemon):
        self.daemon = daemon
        with open(f"/proc/{daemon.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        self.before = memory(daemon, "VmRSS")

    @property
    def growth(self):
        return memory(self.daemon, "VmHWM") - self.before


# --- shapes of requests ---

@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_a_method_goes_through(shared, name, upstream, method):
    with Wire.connect(shared.edge) as client:
        client.send(f"{method} /api/{name}/a/b?c=d%2F HTTP/1.1\r\nHost: shop.test\r\n"
                    "Content-Length: 5\r\n\r\nhello")
        service, head = upstream.request()
        assert head.start == f"{method} /a/b?c=d%2F HTTP/1.1"
        assert service.body(head) == b"hello"
        service.send(reply("201 Created", b"done", "X-Own: 1"))
        head, body = client.answer()
        assert (head.start, head.get("x-own"), body) == ("HTTP/1.1 201 Created", "1", b"done")


def test_a_get_is_sent_on_without_a_body(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, head = upstream.request()
        assert not head.names() & {"content-length", "transfer-encoding"}
        service.send(reply("200 OK"))
        assert client.answer()[1] == b""


@pytest.mark.parametrize("size", [0, 1, MB])
def test_a_body_of_known_length_comes_back_whole(shared, name, play, size):
    def echo(wire):
        while True:
            head = wire.head()
            assert head.get("content-length") == str(size)
            wire.send(reply("200 OK", wire.body(head)))

    play(echo)
    sent = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    answer = shared.edge_get(f"/api/{name}/", method="POST", body=sent[:size])
    assert answer.status == 200
    assert answer.body == sent[:size]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_100_mb_stream_through_in_little_memory(shared, name, play, is_chunked):
    size, block = 100 * MB, bytes(range(256)) * (MB // 256)
    received = hashlib.sha256()

    def serve(wire):
        head = wire.head()
        if is_chunked:
            assert head.get("transfer-encoding") == "chunked"
            for data in iter(wire.chunk, b""):
                received.update(data)
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(size // MB):
                wire.send(b"%x\r\n" % MB, block, b"\r\n")
            wire.send("0\r\n\r\n")
        else:
            assert head.get("content-length") == str(size)
            wire.drain(size, received.update)
            wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
            for _ in range(size // MB):
                wire.send(block)

    play(serve)
    used = Memory(shared)
    expected = hashlib.sha256(block * (size // MB)).digest()
    with Wire.connect(shared.edge) as client:
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
        for _ in range(size // MB):
            client.send(*((b"%x\r\n" % MB, block, b"\r\n") if is_chunked else (block,)))
        if is_chunked:
            client.send("0\r\n\r\n")
        head = client.head()
        assert head.status == 200
        assert received.digest() == expected
        returned = hashlib.sha256()
        if is_chunked:
            for data in iter(client.chunk, b""):
                returned.update(data)
        else:
            client.drain(size, returned.update)
        assert returned.digest() == expected
    assert used.growth < 32 * MB


def test_a_chunked_request_is_framed_anew(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    "Trailer: X-Sum\r\n\r\n"
                    "0003;name=\"v\"\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n")
        service, head = upstream.request()
        assert head.all("transfer-encoding") == ["chunked"]
        assert "content-length" not in head.names()
        assert service.body(head) == b"abcde"
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200
        assert service.kept == b""


def test_a_chunked_answer_is_framed_anew(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "5;x=y\r\nhello\r\n000\r\nX-Sum: 1\r\n\r\n")
        head, body = client.answer()
        assert head.all("transfer-encoding") == ["chunked"]
        assert body == b"hello"
        client.get(f"/api/{name}/again")
        assert service.head().target == "/again"
        service.send(reply("200 OK", b"2"))
        assert client.answer()[1] == b"2"


def test_an_answer_that_ends_with_its_connection(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello")
        service.close()
        head, body = client.answer()
        assert head.get("transfer-encoding") == "chunked"
        assert body == b"hello"
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200


def test_a_head_has_the_length_and_no_body(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", method="HEAD")
        service, head = upstream.request()
        assert head.start == "HEAD / HTTP/1.1"
        service.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        head = client.head()
        assert head.get("content-length") == "1234"
        client.get(f"/api/{name}/")
        service.head()
        service.send(reply("200 OK", b"x"))
        assert client.answer()[1] == b"x"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_body(shared, name, upstream, status):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send(f"HTTP/1.1 {status}\r\nETag: \"a\"\r\n\r\n")
        head = client.head()
        assert head.start == f"HTTP/1.1 {status}"
        assert head.get("etag") == '"a"'
        assert "transfer-encoding" not in head.names()
        client.get(f"/api/{name}/")
        service.head()
        service.send(reply("200 OK", b"x"))
        assert client.answer()[1] == b"x"


def test_interim_answers_do_not_stand_for_the_final_one(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                     "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", reply("200 OK", b"final"))
        head, body = client.answer()
        while head.status < 200:
            head, body = client.answer()
        assert (head.status, body) == (200, b"final")


def test_a_switch_of_protocol_nobody_asked_for_is_a_fault(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                     "Connection: upgrade\r\n\r\n")
        assert client.answer()[0].status == 502


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0"])
def test_an_upgrade_is_not_passed_on(shared, name, upstream, protocol):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}",
                   "HTTP2-Settings: AAMAAABkAAQAAP__")
        service, head = upstream.request()
        assert not head.names() & {"upgrade", "http2-settings", "connection"}
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200


# --- Expect ---

def test_a_client_that_waits_is_told_by_the_service_to_go_on(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\n\r\n")
        service, head = upstream.request()
        assert head.get("expect") == "100-continue"
        service.send("HTTP/1.1 100 Continue\r\n\r\n")
        assert client.head().status == 100
        client.send("hello")
        assert service.body(head) == b"hello"
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200


def test_a_service_that_does_not_want_the_body_answers_at_once(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\n\r\n")
        service, _ = upstream.request()
        service.send(reply("403 Forbidden"))
        head, _ = client.answer()
        assert head.status == 403
        assert head.get("connection") == "close"  # nobody can say whether the body comes


def test_hints_on_the_way_are_passed_on(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"GET /api/{name}/ HTTP/1.1\r\nHost: a\r\n\r\n")
        service, _ = upstream.request()
        service.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        hints = client.head()
        assert (hints.status, hints.get("link")) == (103, "</a.css>; rel=preload")
        service.send(reply("200 OK", b"x"))
        assert client.answer()[0].status == 200


def test_a_client_of_http_1_0_gets_no_hints(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"GET /api/{name}/ HTTP/1.0\r\nHost: a\r\n\r\n")
        service, _ = upstream.request()
        service.send("HTTP/1.1 103 Early Hints\r\n\r\n" + reply("200 OK", b"x").decode())
        assert client.answer()[0].status == 200


TRAILED = ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           "1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")


def test_trailers_reach_a_client_that_wants_them(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"GET /api/{name}/ HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n"
                    "Connection: te\r\n\r\n")
        service, head = upstream.request()
        assert (head.get("te"), head.get("connection")) == ("trailers", "te")
        service.send(TRAILED)
        assert client.head().get("transfer-encoding") == "chunked"
        # What frames a message, or is for its sender alone, is no trailer.
        assert client.take(3 + 3 + 3 + 10 + 2) == b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"


def test_trailers_are_dropped_for_others(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"GET /api/{name}/ HTTP/1.1\r\nHost: a\r\n\r\n")
        service, head = upstream.request()
        assert "te" not in head.names()
        service.send(TRAILED)
        client.head()
        assert client.take(11) == b"1\r\nx\r\n0\r\n\r\n"


def test_a_client_that_does_not_wait_needs_no_100(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\n\r\nhello")
        service, head = upstream.request()
        assert service.body(head) == b"hello"
        service.send(reply("200 OK", b"x"))
        head, _ = client.answer()
        assert (client.answer()[0] if head.status == 100 else head).status == 200


# --- connections ---

def test_pipelined_requests_are_answered_in_order(shared, name, play):
    def serve(wire):
        while True:
            head = wire.head()
            wire.send(reply("200 OK", head.target.encode()))

    play(serve)
    with Wire.connect(shared.edge) as client:
        one = "".join(f"GET /api/{name}/{n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(20))
        client.send(one)
        assert [client.answer()[1] for _ in range(20)] == [b"/%d" % n for n in range(20)]


def test_pipelined_bodies_do_not_run_into_each_other(shared, name, play):
    def serve(wire):
        while True:
            head = wire.head()
            wire.send(reply("200 OK", wire.body(head)))

    play(serve)
    with Wire.connect(shared.edge) as client:
        start = f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\n"
        client.send(start, "Content-Length: 3\r\n\r\nabc",
                    start, "Transfer-Encoding: chunked\r\n\r\n", chunked(b"de", b"f"),
                    start, "Content-Length: 0\r\n\r\n", start, "Content-Length: 1\r\n\r\ng")
        assert [client.answer()[1] for _ in range(4)] == [b"abc", b"def", b"", b"g"]


def test_nothing_behind_a_close_is_answered(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"GET /api/{name}/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                    f"GET /api/{name}/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        service, _ = upstream.request()
        service.send(reply("200 OK", b"1"))
        head, body = client.answer()
        assert (head.get("connection"), body) == ("close", b"1")
        assert client.rest() == b""
        upstream.assert_untouched()


def test_connections_are_kept_on_both_sides(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        for n in range(50):
            service.send(reply("200 OK", b"%d" % n))
            head, body = client.answer()
            assert body == b"%d" % n
            assert "connection" not in head.names()
            client.get(f"/api/{name}/")
            service.head()
        upstream.assert_untouched()


def test_a_service_that_closes_gets_a_new_connection(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        for _ in range(3):
            client.get(f"/api/{name}/")
            service, _ = upstream.request()
            service.send(reply("200 OK", b"x", "Connection: close"))
            head, _ = client.answer()
            assert "connection" not in head.names()


def test_a_connection_with_bytes_nobody_asked_for_is_not_used_again(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send(reply("200 OK", b"x"), reply("200 OK", b"poison"))
        assert client.answer()[1] == b"x"
        client.get(f"/api/{name}/")
        other, _ = upstream.request()
        other.send(reply("200 OK", b"clean"))
        assert client.answer()[1] == b"clean"
        assert service.rest() == b""


@pytest.mark.parametrize("keeps", [False, True])
def test_http_1_0(shared, name, upstream, keeps):
    with Wire.connect(shared.edge) as client:
        client.send(f"GET /api/{name}/ HTTP/1.0\r\nHost: a\r\n",
                    "Connection: keep-alive\r\n" if keeps else "", "\r\n")
        service, head = upstream.request()
        assert head.start == "GET / HTTP/1.1"
        service.send(reply("200 OK", b"x"))
        head, body = client.answer()
        assert body == b"x"
        if not keeps:
            assert client.rest() == b""
            return
        assert head.get("connection") == "keep-alive"
        client.send(f"GET /api/{name}/ HTTP/1.0\r\nHost: a\r\n\r\n")
        service.head()
        service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"a", b"bc"))
        head, body = client.answer()
        assert "transfer-encoding" not in head.names()
        assert body == b"abc"


# --- streaming ---

def test_events_arrive_one_by_one(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", "Accept: text/event-stream")
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n")
        head = client.head()
        for n in range(10):
            event = b"data: %d\n\n" % n
            service.send(b"%x\r\n%s\r\n" % (len(event), event))
            assert client.chunk() == event
        service.send("0\r\n\r\n")
        assert client.body(head) == b""


def test_events_without_framing_arrive_one_by_one(shared, name, upstream):
    """Services in some frameworks end a stream with its connection."""
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", "Accept: text/event-stream")
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        head = client.head()
        for n in range(10):
            event = b"data: %d\n\n" % n
            service.send(event)
            assert client.chunk() == event
        service.close()
        assert client.body(head) == b""


def test_a_request_body_arrives_as_it_is_sent(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send("3\r\nabc\r\n")
        service, head = upstream.request()
        assert service.chunk() == b"abc"
        service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n")
        head = client.head()
        assert client.chunk() == b"A"
        client.send("1\r\nd\r\n")
        assert service.chunk() == b"d"
        client.send("0\r\n\r\n")
        assert service.chunk() == b""
        service.send("0\r\n\r\n")
        assert client.body(head) == b""


def test_a_slow_client_holds_the_service_back(shared, name, upstream):
    used = Memory(shared)
    with Wire.connect(shared.edge, receive_buffer=4096) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\n\r\n")
        sent = service.fill(0.5)
        assert sent < 64 * MB, "nothing holds the service back"
        assert used.growth < 8 * MB
        service.close()
        head = client.head()
        assert len(client.body(head)) == sent


def test_a_slow_service_holds_the_client_back(shared, name):
    upstream = Upstream(receive_buffer=4096)
    shared.register(name, "i1", upstream.address, "1.0.0")
    used = Memory(shared)
    size = 1 << 30
    with Wire.connect(shared.edge) as client:
        client.send(f"PUT /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
        client.send("x" * HELD)
        service, _ = upstream.request()
        sent = HELD + client.fill(0.5)
        assert sent < 64 * MB, "nothing holds the client back"
        assert used.growth < 8 * MB
        service.drain(sent)
        service.send(reply("413 Content Too Large", b"enough"))
        head, body = client.answer()
        assert (head.status, body) == (413, b"enough")
    upstream.close()


def test_a_service_is_asked_when_enough_of_the_body_is_there(shared, name, upstream):
    """A client that sends slowly holds no connection of the service meanwhile."""
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        assert shared.edge_get(f"/api/{name}-none/").status == 404  # time to read the head
        upstream.assert_untouched()
        client.send("def")
        service, head = upstream.request()
        assert service.body(head) == b"abcdef"
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200


def test_an_answer_may_come_before_the_body_is_whole(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        client.send("x" * HELD)
        service, _ = upstream.request()
        service.take(HELD)
        service.send(reply("403 Forbidden", b"no"))
        head, body = client.answer()
        assert (head.status, body) == (403, b"no")
        # Half a request is on the service's connection: it must not be used again.
        assert service.rest() == b""


def test_a_client_that_is_gone_ends_the_call(shared, name, upstream):
    client = Wire.connect(shared.edge)
    client.get(f"/api/{name}/")
    service, _ = upstream.request()
    service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.head()
    client.reset()
    assert service.rest() == b""


def test_a_client_that_has_only_ended_its_side_gets_its_answer(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        client.sock.shutdown(socket.SHUT_WR)
        service, _ = upstream.request()
        service.send(reply("200 OK", b"late"))
        assert client.answer()[1] == b"late"
        assert client.rest() == b""


def test_a_client_that_closed_is_noticed_with_the_next_bytes(shared, name, upstream):
    client = Wire.connect(shared.edge)
    client.get(f"/api/{name}/")
    service, _ = upstream.request()
    service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    head = client.head()
    assert head.status == 200 and client.chunk() == b"abc"
    client.close()

    def is_ended():
        try:
            service.send("1\r\nd\r\n")
        except ConnectionError:
            return True
        return False

    eventually(is_ended)


def test_a_client_that_leaves_in_its_body_completes_nothing(shared, name, upstream):
    client = Wire.connect(shared.edge)
    client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n")
    service, _ = upstream.request()
    assert service.chunk() == b"abc"
    client.close()
    assert service.rest() == b"", "the service could take the body for whole"


def test_many_clients_at_once(shared, name, service):
    served = service(name="s", answer=lambda request: (200, {}, request["path"].encode()))
    shared.register(name, "i1", served.address, "1.0.0")
    wrong = []

    def client(number):
        with Wire.connect(shared.edge) as wire:
            for n in range(25):
                wire.get(f"/api/{name}/{number}/{n}")
                head, body = wire.answer()
                if (head.status, body) != (200, b"/%d/%d" % (number, n)):
                    wrong.append((head, body))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(served.requests) == 16 * 25


# --- unix sockets ---

def test_the_unix_socket_is_an_internal_listener(shared, name, upstream):
    with Wire.connect(shared.unix) as client:
        client.get("/graphql?a=b", f"Sarsen-Service: {name}", "Sarsen-Customer: acme")
        service, head = upstream.request()
        assert head.target == "/graphql?a=b"
        assert "sarsen.customer=acme" in head.get("baggage")
        service.send(reply("200 OK", b"x"))
        assert client.answer()[1] == b"x"


# --- curl, which was not written by us ---

def curl(*arguments, data=None):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], input=data,
                          capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def mirror(shared):
    """Answers with the request's body."""
    service = Service(answer=lambda request: (200, {}, request["body"]))
    shared.register("mirror", "i1", service.address, "1.0.0")
    yield f"http://{shared.edge}/api/mirror/"
    service.stop()


@pytest.mark.parametrize("options", [
    (), ("--http1.0",), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue"),
    ("-H", "Expect:"), ("-H", "Connection: close"),
])
def test_curl_posts(mirror, options):
    data = bytes(range(256)) * 8192
    if "--http1.0" in options:
        data = data[:100000]
    assert curl(*options, "--data-binary", "@-", mirror, data=data) == data


def test_curl_uploads_from_a_pipe(mirror):
    data = bytes(range(256)) * 4096
    assert curl("-T", "-", mirror, data=data) == data


def test_curl_reuses_its_connection(mirror):
    out = curl("-w", "%{num_connects} %{http_code} ", "-o", "/dev/null", "-o", "/dev/null",
               "-o", "/dev/null", mirror, mirror, mirror)
    assert out.decode().split() == ["1", "200", "0", "200", "0", "200"]


def test_curl_heads(mirror):
    assert b"200 OK" in curl("-I", mirror)


def test_no_descriptor_is_left_behind(shared):
    """Last in this file: what the tests above broke off must be gone."""
    def no_more_than_idle():
        return shared.descriptors() < 100

    eventually(no_more_than_idle)
