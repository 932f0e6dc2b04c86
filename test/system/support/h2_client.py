# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 whose every frame a test may decide: hyper-h2 for what is well-behaved, and
frames by hand for what is not."""
import socket
import struct

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack

from .wire import TIMEOUT

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


# Who drains goes on for the streams that there are; hyper-h2 does not allow for that.
STATES = h2.connection.H2ConnectionStateMachine._transitions
GOAWAY_COMES = (h2.connection.ConnectionState.CLIENT_OPEN,
                h2.connection.ConnectionInputs.RECV_GOAWAY)
STATES[GOAWAY_COMES] = (STATES[GOAWAY_COMES][0], h2.connection.ConnectionState.CLIENT_OPEN)


def frame(type, flags=0, stream=0, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([type, flags])
            + struct.pack(">I", stream) + payload)


def fields(method="GET", path="/", authority="shop.test", extra=()):
    return [(":method", method), (":scheme", "http"), (":path", path),
            (":authority", authority), *extra]


class Answer:
    def __init__(self):
        self.status = None
        self.headers = []
        self.trailers = None
        self.interim = []
        self.body = b""
        self.is_ended = False
        self.reset = None  # the code

    def get(self, name):
        return dict(self.headers).get(name)


class H2Client:
    """Collects what comes for each stream; windows are given back as soon as bytes arrive, unless
    the test holds them."""

    def __init__(self, address, sock=None, settings=None, holds=False):
        host, _, port = address.rpartition(":")
        self.sock = sock or socket.create_connection((host, int(port)), TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.holds = holds
        self.answers = {}
        self.goaways = []  # (last stream, code)
        self.is_closed = False
        config = h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def raw(self, *frames):
        self.flush()
        self.sock.sendall(b"".join(frames))

    def ask(self, path, method="GET", body=None, extra=(), ends=True, protocol=None):
        """Starts a request; with a body it is sent as far as the windows go."""
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        if protocol:
            extra = [(":protocol", protocol), *extra]
        self.h2.send_headers(stream, fields(method, path, extra=extra),
                             end_stream=ends and body is None)
        if body is not None:
            self.send(stream, body, ends)
        self.flush()
        return stream

    def send(self, stream, body, ends=True):
        while body:
            size = min(len(body), self.h2.local_flow_control_window(stream),
                       self.h2.max_outbound_frame_size)
            if size == 0:
                self.step()
                continue
            self.h2.send_data(stream, body[:size])
            body = body[size:]
        if ends:
            self.h2.end_stream(stream)
        self.flush()

    def step(self):
        """Takes what comes next; False when the connection has ended."""
        self.flush()
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_closed = True
            return False
        for event in self.h2.receive_data(data):
            self.take(event)
        self.flush()
        return True

    def take(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            answer.headers = event.headers
            answer.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = event.headers
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if not self.holds:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.is_ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((event.last_stream_id, event.error_code))

    def until(self, condition):
        while not condition():
            if not self.step():
                break
        return condition()

    def answer(self, stream):
        answer = self.answers[stream]
        self.until(lambda: answer.is_ended or answer.reset is not None)
        return answer

    def get(self, path, **options):
        return self.answer(self.ask(path, **options))

    def is_ended_with(self, code):
        """Whether the connection ended, and GOAWAY said so."""
        while self.step():
            pass
        return [found for _, found in self.goaways][-1:] == [code]


class RawClient:
    """Nothing but frames, both ways."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder = hpack.Encoder()
        self.kept = b""
        self.send(PREFACE, frame(SETTINGS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))

    def headers(self, stream, names, flags=END_HEADERS | END_STREAM):
        return frame(HEADERS, flags, stream, self.encoder.encode(names))

    def take(self):
        """The next frame as (type, flags, stream, payload), or None at the end."""
        try:
            while len(self.kept) < 9 or len(self.kept) < 9 + int.from_bytes(self.kept[:3], "big"):
                data = self.sock.recv(65536)
                if not data:
                    return None
                self.kept += data
        except (ConnectionResetError, BrokenPipeError):
            return None
        size = int.from_bytes(self.kept[:3], "big")
        found = (self.kept[3], self.kept[4], int.from_bytes(self.kept[5:9], "big"),
                 self.kept[9:9 + size])
        self.kept = self.kept[9 + size:]
        return found

    def until(self, *types):
        """The next frame of these types, or None."""
        while (found := self.take()) and found[0] not in types:
            pass
        return found

    def end(self):
        """The code of GOAWAY, once the connection has ended; None without one."""
        code = None
        while found := self.take():
            if found[0] == GOAWAY:
                code = int.from_bytes(found[3][4:8], "big")
        return code
