# SPDX-License-Identifier: Apache-2.0
"""Load from clients that never repeat anything: whatever does not come back whole is a failure.

A kind of load is a class with `step()`; a new one is one class more in KINDS. It is called over and
over on a thread of its own, and raises, or returns what went wrong.
"""
import base64
import hashlib
import http.client
import json
import socket
import threading

import grpc
import hpack

from support.grpc_service import call
from support.wire import Wire, chunked, reply

WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def play(wire):
    """The service behind all kinds: says what it was asked, in the way that was asked for."""
    while True:
        head = wire.head()
        body = wire.body(head)
        if head.get("upgrade"):
            digest = hashlib.sha1(head.get("sec-websocket-key").encode() + WEBSOCKET_GUID).digest()
            wire.send("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n")
            play_websocket(wire)
            return
        if "/stream" in head.target:
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(20):
                wire.send(b"5\r\npiece\r\n")
            wire.send(b"0\r\n\r\n")
        elif "/chunked" in head.target:
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ,
                      chunked(head.target.encode(), body))
        else:
            wire.send(reply("200 OK", f"{head.target} ".encode() + body))


def read_frame(wire):
    """Opcode and payload of a short WebSocket frame."""
    first, size = wire.take(2)
    mask = wire.take(4) if size & 0x80 else bytes(4)
    payload = wire.take(size & 0x7F)
    return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def play_websocket(wire):
    while True:
        opcode, payload = read_frame(wire)
        wire.send(bytes([0x80 | opcode, len(payload)]), payload)
        if opcode == 8:
            return


class Kind:
    """What kinds have in common: where to connect to, and a count of what was done."""

    def __init__(self, daemon, number):
        self.daemon = daemon
        self.number = number
        self.done = 0
        self.wire = None

    def ask(self, address, path, **options):
        """One request over the kept connection; what is its answer's body."""
        wire = self.wire = self.wire or Wire.connect(address)
        body = options.get("body", "")
        fields = [f"Content-Length: {len(body)}"] if body else []
        wire.get(path, *fields, method="POST" if body else "GET")
        if body:
            wire.send(body)
        head, answer = wire.answer()
        if head.get("connection") == "close":
            self.close()
        assert head.status == 200, head
        return answer.decode()

    def close(self):
        if self.wire:
            self.wire.close()
        self.wire = None


class Kept(Kind):
    """A kept connection of HTTP/1.1, with methods that nobody may repeat among the others."""

    def step(self):
        path, body = f"/load/x{self.done}", "hello" if self.done % 3 == 0 else ""
        assert self.ask(self.daemon.edge, path, body=body) == f"{path} {body}"


class Fresh(Kind):
    """A connection for each request."""

    def step(self):
        path = f"/load/y{self.done}"
        assert self.ask(self.daemon.edge, path) == f"{path} "
        self.close()


class Local(Kind):
    """The unix socket."""

    def step(self):
        path = f"/load/chunked{self.done}"
        assert self.ask(self.daemon.unix, path, body="b") == f"{path}b"


class Streamed(Kind):
    """Answers in pieces."""

    def step(self):
        assert self.ask(self.daemon.internal, "/load/stream") == "piece" * 20


class WebSocket(Kind):
    """Messages that come back; told to go away, it connects anew."""

    def step(self):
        if not self.wire:
            self.wire = Wire.connect(self.daemon.edge)
            self.wire.get("/load/socket", "Connection: Upgrade", "Upgrade: websocket",
                          "Sec-WebSocket-Version: 13",
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
            head = self.wire.head()
            assert head.status == 101, head
        text = b"%d" % self.done
        self.wire.send(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]), text)
        got = read_frame(self.wire)
        if got[0] == 8:
            assert got[1][:2] == b"\x03\xe9", got
            self.wire.send(b"\x88\x82\0\0\0\0\x03\xe9")
            assert self.wire.rest() == b""
            self.close()
        else:
            assert got == (1, text), got


class Heartbeats(Kind):
    """Writes to the management API over a kept connection."""

    def __init__(self, daemon, number):
        super().__init__(daemon, number)
        self.connection = None

    def step(self):
        self.connection = self.connection or http.client.HTTPConnection(self.daemon.api, timeout=20)
        body = json.dumps({"address": f"127.0.0.1:{1000 + self.done % 7}", "ttl": "30s"})
        self.connection.request("PUT", f"/v1/services/beats/instances/i{self.number}", body)
        answer = self.connection.getresponse()
        assert answer.status in (200, 201), (answer.status, answer.read())
        answer.read()
        if answer.getheader("connection") == "close":
            self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()


class Sealed(Kind):
    """A kept connection of HTTP/1.1 over TLS."""

    def step(self):
        if not self.wire:
            port = int(self.daemon.edges[1].rpartition(":")[2])
            raw = socket.create_connection(("127.0.0.1", port), timeout=20)
            self.wire = Wire(self.daemon.tls_client.wrap_socket(raw, server_hostname="localhost"))
        path = f"/load/t{self.done}"
        assert self.ask(None, path, body="x") == f"{path} x"


class SealedFresh(Sealed):
    """A handshake for each request."""

    def step(self):
        super().step()
        self.close()


class Http2(Kind):
    """HTTP/2 by prior knowledge, one stream after the other, by hand: it must be seen that a stream
    that was begun before the client read GOAWAY is served."""

    DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7

    def frame(self, kind, flags, stream, payload=b""):
        return (len(payload).to_bytes(3, "big") + bytes([kind, flags])
                + stream.to_bytes(4, "big") + payload)

    def open(self):
        self.wire = Wire.connect(self.daemon.edge)
        self.stream = -1
        self.is_going = False
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", self.frame(self.SETTINGS, 0, 0))

    def step(self):
        if not self.wire:
            self.open()
        self.stream += 2
        path = f"/load/h{self.done}"
        head = self.encoder.encode([(":method", "GET"), (":scheme", "http"),
                                    (":authority", "shop.test"), (":path", path)])
        self.wire.send(self.frame(self.HEADERS, 5, self.stream, head))
        fields, body = self.answer()
        assert fields.get(":status") == "200" and body.decode() == f"{path} ", (fields, body)
        if self.is_going or self.stream > 20000:
            self.close()

    def answer(self):
        fields, body, is_over = {}, b"", False
        while not is_over:
            start = self.wire.take(9)
            kind, flags, stream = start[3], start[4], int.from_bytes(start[5:9], "big")
            payload = self.wire.take(int.from_bytes(start[:3], "big"))
            if kind == self.SETTINGS and not flags & 1:
                self.wire.send(self.frame(self.SETTINGS, 1, 0))
            elif kind == self.PING and not flags & 1:
                self.wire.send(self.frame(self.PING, 1, 0, payload))
            elif kind == self.GOAWAY:
                self.is_going = True
                assert int.from_bytes(payload[:4], "big") >= self.stream, "refused by GOAWAY"
                assert payload[4:8] == bytes(4), payload
            elif kind == self.HEADERS:
                assert flags & 4
                fields.update(self.decoder.decode(payload))
            elif kind == self.DATA:
                body += payload
            elif kind == self.RST_STREAM:
                raise AssertionError(f"reset: {payload}")
            is_over = kind in (self.DATA, self.HEADERS) and stream == self.stream and flags & 1
        return fields, body


class Grpc(Kind):
    """Calls and long dialogues of gRPC. The library opens the next connection by itself, and begins
    a call there that met GOAWAY before it had left; without a policy it repeats nothing else."""

    channel = None

    def step(self):
        self.channel = self.channel or grpc.insecure_channel(
            self.daemon.edge, options=[("grpc.use_local_subchannel_pool", 1)])
        text = b"%d" % self.done
        assert call(self.channel, "/load.Load/Echo")(text, timeout=20) == text
        chat = call(self.channel, "/load.Load/Chat", "stream_stream")
        answers = list(chat((b"%d" % i for i in range(30)), timeout=20))
        assert answers == [b"re: %d" % i for i in range(30)]

    def close(self):
        if self.channel:
            self.channel.close()


KINDS = [Kept, Kept, Fresh, Local, Streamed, WebSocket, Heartbeats]
ALL_KINDS = [*KINDS, Sealed, SealedFresh, Http2, Grpc]


class Load:
    """Every kind on a thread, until stop()."""

    def __init__(self, daemon, kinds=None):
        self.failed = []
        self.is_over = False
        self.kinds = [kind(daemon, number) for number, kind in enumerate(kinds or KINDS)]
        self.threads = [threading.Thread(target=self._run, args=(kind,)) for kind in self.kinds]
        for thread in self.threads:
            thread.start()

    def _run(self, kind):
        try:
            while not self.is_over:
                kind.step()
                kind.done += 1
        except Exception as fault:  # noqa: BLE001 all of them are failures of the test
            self.failed.append((type(kind).__name__, kind.done, repr(fault)))
        finally:
            kind.close()

    def went_on(self, before=None):
        """All kinds have had three answers more; or one has failed."""
        before = before or [0] * len(self.kinds)
        return self.failed or all(kind.done >= n + 3 for kind, n in
                                  zip(self.kinds, before, strict=False))

    def done(self):
        return [kind.done for kind in self.kinds]

    def __enter__(self):
        return self

    def __exit__(self, kind, fault, trace):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        assert fault or not self.failed, self.failed
