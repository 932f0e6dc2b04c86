# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: a client whose every frame a test decides, legal or not."""
import struct

from support.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM = range(12)

TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_FIELDS_SIZE = range(1, 7)

STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # RFC 7541 appendix A
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5",
          "011100": "6", "011101": "7", "011110": "8", "011111": "9"}  # and appendix B


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) \
        + struct.pack(">I", stream) + payload


def settings(**values):
    pairs = [(globals()[name.upper()], value) for name, value in values.items()]
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, size):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


# --- HPACK, of which nothing is ever Huffman-coded or, unless it is asked for, kept ---

def integer(first, bits, value):
    """A number behind the bits of its first octet that are taken (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytes([first | most]), value - most
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def string(text):
    data = text.encode("latin-1") if isinstance(text, str) else text
    return integer(0, 7, len(data)) + data


def field(name, value):
    return b"\0" + string(name) + string(value)


def kept_field(name, value):
    """It becomes entry 62 of the table."""
    return b"\x40" + string(name) + string(value)


def indexed(entry):
    return integer(0x80, 7, entry)


def block(fields):
    return b"".join(field(*one) for one in fields)


def request_fields(path="/", method="GET", *more, scheme="http", authority="shop.test"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path),
            *more]


def status_of(fields):
    """The status of a response's header block, which it begins with."""
    while fields[0] & 0xe0 == 0x20:
        fields = fields[1:]  # the size of the table, which we want to be 0
    first = fields[0]
    if first & 0x80:
        return STATUSES[first & 0x7f]
    assert first in (0x08, 0x18, 0x48), fields[:8]  # a literal value of :status
    size = fields[1] & 0x7f
    value = fields[2:2 + size]
    if not fields[1] & 0x80:
        return int(value)
    bits, digits, code = "".join(f"{octet:08b}" for octet in value), "", ""
    for bit in bits:
        code += bit
        if code in DIGITS:
            digits, code = digits + DIGITS[code], ""
    return int(digits)


class Seen:
    """What became of a stream."""

    def __init__(self):
        self.status, self.body, self.reset, self.is_ended = None, b"", None, False

    def __repr__(self):
        return f"<status {self.status}, reset {self.reset}, ended {self.is_ended}, {self.body!r}>"


class H2(Wire):
    """A connection by prior knowledge; it says little unless it is told to."""

    @classmethod
    def open(cls, address, *frames, **values):
        """The preface with SETTINGS of `values`. The server is not to keep fields in its table."""
        wire = cls.connect(address)
        wire.next_stream = 1
        wire.goaway = None
        wire.streams = {}
        wire.is_mute = False
        wire.send(PREFACE + settings(**{"table_size": 0, **values}), *frames)
        return wire

    def stream(self):
        self.next_stream += 2
        return self.next_stream - 2

    def head(self, fields, flags=END_HEADERS | END_STREAM, stream=None):
        """Sends HEADERS of a new stream, whose number it returns."""
        stream = stream or self.stream()
        data = fields if isinstance(fields, bytes) else block(fields)
        self.send(frame(HEADERS, flags, stream, data))
        return stream

    def frame(self):
        """The next one: kind, flags, stream, payload."""
        head = self.take(9)
        size, = struct.unpack(">I", b"\0" + head[:3])
        stream, = struct.unpack(">I", head[5:])
        return head[3], head[4], stream & 0x7fffffff, self.take(size)

    def step(self):
        """Takes in one frame; acknowledges what wants it."""
        kind, flags, stream, payload = self.frame()
        if kind in (SETTINGS, PING) and not flags & ACK and not self.is_mute:
            self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])[1]
        if not stream:
            return
        seen = self.streams.setdefault(stream, Seen())
        if kind == HEADERS and seen.status in (None, *range(100, 200)):
            seen.status = status_of(payload)
        elif kind == DATA:
            seen.body += payload
        elif kind == RST_STREAM:
            seen.reset, = struct.unpack(">I", payload)
        if kind == RST_STREAM or kind in (DATA, HEADERS) and flags & END_STREAM:
            seen.is_ended = True

    def outcome(self, stream):
        """What became of it, when it has ended or the connection has."""
        while not self.streams.setdefault(stream, Seen()).is_ended:
            try:
                self.step()
            except (EOFError, ConnectionError):
                break
        return self.streams[stream]

    def get(self, path, *more):
        return self.outcome(self.head(request_fields(path, "GET", *more)))

    def end(self, seconds):
        """Whether the connection ends by the other side within that time."""
        self.sock.settimeout(seconds)
        try:
            while True:
                self.step()
        except (EOFError, ConnectionError):
            return True
        except TimeoutError:
            return False
