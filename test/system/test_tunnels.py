# SPDX-License-Identifier: Apache-2.0
"""WebSocket and other upgrades: what passes, what is refused, and how a tunnel ends."""
import base64
import contextlib
import hashlib
import os
import signal
import socket
import threading

import pytest
from support.h2_client import H2Client
from support.wire import Played, Upstream, Wire, eventually

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ASK = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
       f"Sec-WebSocket-Key: {KEY}")
AGREE = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         f"Sec-WebSocket-Accept: {ACCEPT}\r\n")
GOING_AWAY = b"\x88\x02\x03\xe9"


def frame(payload, opcode=1, is_final=True, mask=None):
    size = len(payload)
    head = bytes([(0x80 if is_final else 0) | opcode])
    flag = 0x80 if mask else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 65536:
        head += bytes([flag | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + size.to_bytes(8, "big")
    if mask:
        whole = (mask * (size // 4 + 1))[:size]
        mixed = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
        payload = mixed.to_bytes(size, "big")
        head += mask
    return head + payload


def agree(service, head, *fields):
    """Accepts as a server does, by the key that reached it."""
    key = head.get("sec-websocket-key").encode()
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    service.send("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
                 f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n",
                 *[f"{field}\r\n" for field in fields], "\r\n")


@contextlib.contextmanager
def tunnel(daemon, name, upstream):
    """Both ends of an open WebSocket through the gateway."""
    with Wire.connect(daemon.edge) as client:
        client.get(f"/api/{name}/socket?a=b", *ASK)
        service, head = upstream.request()
        agree(service, head)
        assert client.head().status == 101
        yield client, service


def test_the_handshake(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/chat", *ASK, "Sec-WebSocket-Protocol: chat, superchat",
                   "Origin: http://shop.test")
        service, head = upstream.request()
        assert head.start == "GET /chat HTTP/1.1"
        assert head.all("connection") == ["upgrade"]
        assert head.all("upgrade") == ["WebSocket"]
        assert head.all("sec-websocket-key") == [KEY]
        assert head.all("sec-websocket-version") == ["13"]
        assert head.all("sec-websocket-protocol") == ["chat, superchat"]
        assert head.all("origin") == ["http://shop.test"]
        assert "content-length" not in head.names()
        agree(service, head, "Sec-WebSocket-Protocol: chat", "X-More: yes")
        head = client.head()
        assert head.start == "HTTP/1.1 101 Switching Protocols"
        assert [value.lower() for value in head.all("connection")] == ["upgrade"]
        assert head.all("upgrade") == ["websocket"]
        assert head.all("sec-websocket-accept") == [ACCEPT]
        assert head.all("sec-websocket-protocol") == ["chat"]
        assert head.all("x-more") == ["yes"]
        assert head.get("sarsen-build") == "1.0.0"
        assert "content-length" not in head.names()
        assert "transfer-encoding" not in head.names()


def test_frames_pass_as_they_are(shared, name, upstream):
    mask = b"\1\2\3\4"
    with tunnel(shared, name, upstream) as (client, service):
        for opcode, payload in [(1, b"hello"), (2, b""), (9, b"ping"), (10, b"unasked"),
                                (1, b"x" * 200), (2, os.urandom(70000))]:
            sent = frame(payload, opcode, mask=mask)
            client.send(sent)
            assert service.take(len(sent)) == sent
            sent = frame(payload, opcode)
            service.send(sent)
            assert client.take(len(sent)) == sent
        parts = frame(b"a", 1, False) + frame(b"ping", 9) + frame(b"b", 0, False) + frame(b"c", 0)
        for i in range(len(parts)):
            service.send(parts[i:i + 1])
        assert client.take(len(parts)) == parts
        # Close, its answer, and the end of the connection, which is the server's to begin.
        client.send(frame(b"\x03\xe8done", 8, mask=mask))
        assert service.take(12) == frame(b"\x03\xe8done", 8, mask=mask)
        service.send(frame(b"\x03\xe8done", 8))
        service.close()
        assert client.rest() == frame(b"\x03\xe8done", 8)


def test_what_is_sent_before_the_agreement_waits_for_it(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", *ASK)
        client.send(frame(b"early", mask=b"abcd"))
        service, head = upstream.request()
        service.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            service.take(1)
        service.sock.settimeout(15)
        agree(service, head)
        service.send(frame(b"with the head"))
        assert client.head().status == 101
        assert client.take(15) == frame(b"with the head")
        assert service.take(11) == frame(b"early", mask=b"abcd")


def test_from_http_2_nothing_is_sent_before_the_agreement(shared, name, upstream):
    with H2Client(shared.edge) as client:
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
        early = frame(b"early", mask=b"abcd")
        stream = client.ask(f"/api/{name}/", "CONNECT", early, ends=False,
                            extra=[("sec-websocket-version", "13")], protocol="websocket")
        service, head = upstream.request()
        assert head.start == "GET / HTTP/1.1"
        assert head.all("upgrade") == ["websocket"]
        assert not {"transfer-encoding", "content-length"} & set(head.names())
        service.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            service.take(1)
        service.sock.settimeout(15)
        agree(service, head)
        assert service.take(len(early)) == early
        service.send(frame(b"back"))
        answer = client.answers[stream]
        assert client.until(lambda: answer.body == frame(b"back"))
        assert answer.status == 200


def test_a_key_that_http_2_does_not_ask_for_is_the_only_one(shared, name, upstream):
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    with H2Client(shared.edge) as client:
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
        stream = client.ask(f"/api/{name}/", "CONNECT", ends=False, protocol="websocket",
                            extra=[("sec-websocket-version", "13"), ("sec-websocket-key", key)])
        service, head = upstream.request()
        assert head.all("sec-websocket-key") == [key]
        agree(service, head)
        assert client.until(lambda: client.answers[stream].status == 200)
        bad = client.ask(f"/api/{name}/", "CONNECT", ends=False, protocol="websocket",
                         extra=[("sec-websocket-key", "short")])
        assert client.answer(bad).status == 400


# --- whose pages may ---

def asked(address, target, *fields):
    """The answer to an upgrade, and whether it was agreed to."""
    with Wire.connect(address) as client:
        client.get(target, *ASK, *fields)
        head = client.head()
        return head.status, b"" if head.status == 101 else client.body(head)


def serve_agreeing(wire):
    agree(wire, wire.head())
    wire.rest()


@pytest.mark.parametrize(("origin", "status"), [
    ("http://shop.test", 101), ("https://SHOP.test:443", 101), ("http://shop.test:80", 101),
    ("http://shop.test:81", 403), ("https://evil.test", 403), ("null", 403), ("", 403),
    ("http://shop.test\r\nOrigin: http://shop.test", 403)])
@pytest.mark.parametrize("where", ["edge", "internal"])
def test_pages_of_other_hosts_may_open_none(shared, name, play, where, origin, status):
    play(serve_agreeing)
    found, body = asked(getattr(shared, where), f"/api/{name}/", f"Origin: {origin}")
    assert found == status
    assert status == 101 or b"origins" in body
    assert asked(getattr(shared, where), f"/api/{name}/")[0] == 101  # no browser


def test_nor_by_http_2(shared, name, play):
    play(serve_agreeing)
    with H2Client(shared.edge) as client:
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
        for origin, status in [("https://evil.test", 403), (None, 200)]:
            extra = [("sec-websocket-version", "13")]
            extra += [("origin", origin)] if origin else []
            stream = client.ask(f"/api/{name}/", "CONNECT", b"", ends=False, extra=extra,
                                protocol="websocket")
            assert client.until(lambda at=stream: client.answers[at].status)
            assert client.answers[stream].status == status


def test_origins_name_whose_pages_may(make_daemon, play):
    target = Played(serve_agreeing)
    text = (f"routes:\n  - {{ match: {{ prefix: /a }}, upstream: {target.address},"
            " origins: [ 'https://*.a.test', http://b.test:81 ] }\n"
            f"  - {{ match: {{ prefix: /any }}, upstream: {target.address}, origins: '*' }}\n"
            f"  - {{ match: {{ prefix: /none }}, upstream: {target.address} }}\n")
    daemon = make_daemon(text, gateway="  tunnels: { origins: 'https://all.test' }\n")
    for path, origin, status in [("/a", "https://x.a.test", 101), ("/a", "https://a.test", 403),
                                 ("/a", "http://b.test:81", 101), ("/a", "http://b.test", 403),
                                 ("/a", "https://all.test", 101), ("/any", "null", 101),
                                 ("/any", "https://evil.test", 101), ("/none", "null", 403),
                                 ("/none", "https://all.test", 101)]:
        assert asked(daemon.edge, path, f"Origin: {origin}")[0] == status, (path, origin)
    target.close()


def test_much_flows_both_ways_at_once(shared, name, upstream):
    there, back = frame(os.urandom(8 << 20), 2, mask=b"wxyz"), frame(os.urandom(8 << 20), 2)
    with tunnel(shared, name, upstream) as (client, service):
        got = {}

        def receive(key, wire, size):
            got[key] = wire.take(size)

        threads = [threading.Thread(target=receive, args=("there", service, len(there))),
                   threading.Thread(target=receive, args=("back", client, len(back))),
                   threading.Thread(target=client.send, args=(there,)),
                   threading.Thread(target=service.send, args=(back,))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got["there"] == there
        assert got["back"] == back


def test_a_service_may_answer_otherwise(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", *ASK)
        service, _ = upstream.request()
        service.send("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n"
                     "Content-Length: 2\r\n\r\nno")
        head, body = client.answer()
        assert (head.status, body) == (426, b"no")
        client.get(f"/api/{name}/again")
        assert service.head().target == "/again"
        service.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert client.answer()[0].status == 200


@pytest.mark.parametrize("answer", [
    AGREE.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    AGREE + f"Sec-WebSocket-Accept: {ACCEPT}\r\n",
    AGREE.replace("Upgrade: websocket", "Upgrade: chat"),
    AGREE.replace("Upgrade: websocket\r\n", ""),
    AGREE.replace("Connection: upgrade\r\n", ""),
    AGREE.replace(f"Sec-WebSocket-Accept: {ACCEPT}\r\n", ""),
], ids=["wrong accept", "two accepts", "another protocol", "no protocol", "no connection",
        "no accept"])
def test_agreeing_to_something_else_opens_nothing(shared, name, upstream, answer):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", *ASK)
        service, _ = upstream.request()
        service.send(answer, "\r\n", frame(b"secret"))
        head, body = client.answer()
        assert head.status == 502
        assert b"secret" not in body
        assert service.rest() == b""


def test_nobody_is_upgraded_who_did_not_ask(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, head = upstream.request()
        assert "upgrade" not in head.names()
        service.send(AGREE, "\r\n")
        assert client.answer()[0].status == 502


@pytest.mark.parametrize("fields", [
    ("Connection: upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    ("Connection: upgrade", "Upgrade: TLS/1.3"),
    ("Connection: upgrade", "Upgrade: websocket, chat"),
    ("Connection: upgrade", "Upgrade: websocket", "Upgrade: chat"),
    ("Upgrade: websocket",),
], ids=["h2c", "tls", "a choice", "two", "no connection"])
def test_what_is_no_upgrade_is_an_ordinary_request(shared, name, upstream, fields):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", *fields)
        service, head = upstream.request()
        assert "upgrade" not in head.names()
        assert "connection" not in head.names()
        service.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.answer()[1] == b"ok"


@pytest.mark.parametrize("key", ["", "short", KEY + "=", "dGhlIHNhbXBsZSBub25jZR=="])
def test_a_key_that_is_none(shared, name, upstream, key):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", *ASK[:3], f"Sec-WebSocket-Key: {key}")
        head, body = client.answer()
        assert head.status == 400
        assert b"Sec-WebSocket-Key" in body
        upstream.assert_untouched()


def test_other_protocols(shared, name, upstream):
    """The ends of both directions are the two's own."""
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/", "Connection: upgrade", "Upgrade: dicom/2")
        service, head = upstream.request()
        assert head.get("upgrade") == "dicom/2"
        service.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: dicom/2\r\n\r\nhi")
        assert client.head().get("upgrade") == "dicom/2"
        assert client.take(2) == b"hi"
        client.send(b"\x88\x00 anything")
        client.sock.shutdown(socket.SHUT_WR)
        assert service.rest() == b"\x88\x00 anything"
        service.send("the rest")
        service.close()
        assert client.rest() == b"the rest"


def test_a_client_that_vanishes_takes_its_tunnel_along(shared, name, upstream):
    with tunnel(shared, name, upstream) as (client, service):
        client.reset()
        assert service.rest() == b""


def test_a_service_that_vanishes_is_seen_as_broken(shared, name, upstream):
    with tunnel(shared, name, upstream) as (client, service):
        service.send(frame(b"cut")[:3])
        assert client.take(3)
        service.reset()
        with pytest.raises(ConnectionResetError):
            client.take(1)


@pytest.fixture
def own(make_daemon, name):
    """A daemon of the test's own with a service, by the gateway's settings."""
    made = []

    def make(gateway=""):
        daemon = make_daemon(gateway=gateway)
        made.append(Upstream())
        daemon.register(name, "i1", made[-1].address, "1.0.0")
        return daemon, made[-1]

    yield make
    for upstream in made:
        upstream.close()


def test_a_quiet_client_is_asked_whether_it_is_there(own, name):
    daemon, upstream = own("  tunnels: { ping_interval: 1s }\n")
    with tunnel(daemon, name, upstream) as (client, service):
        assert client.take(2) == b"\x89\x00"
        pong = frame(b"", 10, mask=b"abcd")
        client.send(pong)
        assert service.take(len(pong)) == pong
        # Not in the middle of a frame.
        whole = frame(b"x" * 100)
        service.send(whole[:50])
        assert client.take(50) == whole[:50]
        client.sock.settimeout(1.5)
        with pytest.raises(TimeoutError):
            client.take(1)
        client.sock.settimeout(15)
        client.send(pong)
        assert service.take(len(pong)) == pong
        service.send(whole[50:])
        assert client.take(len(whole) - 50) == whole[50:]
        assert client.take(2) == b"\x89\x00"
        # Whoever does not answer is gone.
        with contextlib.suppress(ConnectionResetError):
            client.take(1)
            raise AssertionError("it stays")
        assert service.rest() == b""


def test_nobody_says_anything_for_long(own, name):
    daemon, upstream = own("  tunnels: { idle_timeout: 1s, ping_interval: 0s }\n")
    with tunnel(daemon, name, upstream) as (client, service):
        assert client.take(4) == GOING_AWAY
        got = service.take(8)
        assert got[:2] == b"\x88\x82"
        assert bytes(a ^ b for a, b in zip(got[2:6], got[6:8], strict=False)) == b"\x03\xe9"
        client.send(frame(b"\x03\xe9", 8, mask=b"abcd"))
        service.send(frame(b"\x03\xe9", 8))
        service.close()
        assert client.rest() == b"", "an answer to our Close goes no further"


def test_draining_says_that_it_is_going_away(own, name):
    daemon, upstream = own()
    with tunnel(daemon, name, upstream) as (client, service):
        whole = frame(b"y" * 200)
        service.send(whole[:100])
        assert client.take(100) == whole[:100]
        daemon.process.send_signal(signal.SIGTERM)
        assert service.take(8)[:2] == b"\x88\x82"
        service.send(whole[100:], frame(b"too late"))
        assert client.take(len(whole) - 100) == whole[100:]
        assert client.take(4) == GOING_AWAY
        client.send(frame(b"\x03\xe9", 8, mask=b"abcd"))
        client.close()
        assert service.rest() == b""
    daemon.process.wait(15)


def test_draining_behind_a_client_that_says_no_more(own, name):
    """A Close of ours towards the service has no place behind the end of what the client says."""
    daemon, upstream = own()
    with tunnel(daemon, name, upstream) as (client, service):
        client.sock.shutdown(socket.SHUT_WR)
        assert service.rest() == b""
        daemon.process.send_signal(signal.SIGTERM)
        assert client.take(4) == GOING_AWAY
        daemon.ended()


def uses(daemon, name):
    return [row["n"] for row in daemon.get(f"/v1/usage?contract={name}%401")["usage"]]


def test_a_tunnel_is_one_use(shared, name, upstream):
    with tunnel(shared, name, upstream) as (client, service):
        eventually(lambda: uses(shared, name) == [1])
        service.close()
        client.rest()
    with tunnel(shared, name, upstream):
        eventually(lambda: uses(shared, name) == [2])
