# SPDX-License-Identifier: Apache-2.0
"""A strict reader of HTTP/1.1 messages: says where a message ends and which rules of grammar it
breaks. It is written from the RFCs alone, for clarity and not for speed: it reads everything again
when more has come."""
import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ ]+) (HTTP/\d\.\d)")
STATUS_LINE = re.compile(rb"(HTTP/\d\.\d) (\d\d\d)(?: ([^\r\n]*))?")
TARGET = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})+")
CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})"
    rb"((?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~\w-]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+.^_`|~\w-]+"
    rb'|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*"))?)*)')
# RFC 9110 6.5.1: what may not be said behind the content.
NEVER_IN_TRAILERS = {
    "transfer-encoding", "content-length", "host", "connection", "trailer", "te", "authorization",
    "proxy-authorization", "content-encoding", "content-type", "content-range", "set-cookie",
    "cache-control", "expect", "max-forwards", "range", "upgrade", "keep-alive"}


@dataclass
class Message:
    """A request or a response as it was on the wire."""
    start: bytes
    method: str = ""
    target: str = ""
    version: str = ""
    status: int = 0
    fields: list = field(default_factory=list)  # (name in small letters, value), as they came
    trailers: list = field(default_factory=list)
    body: bytes = b""
    framing: str = "none"  # none, length, chunked, close
    is_complete: bool = False
    faults: list = field(default_factory=list)  # what no sender may generate
    doubts: list = field(default_factory=list)  # what a recipient may keep, and better does not
    connection: int = 0  # which one it came on

    def all(self, name):
        return [value for known, value in self.fields if known == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    def list(self, name):
        """The members of a list field, in small letters."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(",")
                if part.strip()]

    @property
    def keeps_alive(self):
        options = self.list("connection")
        return "close" not in options and (self.version == "HTTP/1.1" or "keep-alive" in options)


def read_fields(lines, message):
    fields, faults = [], message.faults
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            faults.append(f"9112 5.2: a folded line {line[:60]!r}")
            continue
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            faults.append(f"9112 5: not a field {line[:60]!r}")
        if re.search(rb"[\x00\r\n]", value):
            faults.append(f"9110 5.5: CR, LF or NUL in the value of {name!r}")
        elif re.search(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", value):
            message.doubts.append(f"9110 5.5: a control byte in the value of {name!r}")
        fields.append((name.decode("latin-1").lower().strip(),
                       value.decode("latin-1").strip(" \t")))
    return fields


def read_chunks(data, message):
    """Fills in content and trailers; returns what is behind, or None if there is more to come."""
    while True:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return None
        match = CHUNK_LINE.fullmatch(line)
        if not match:
            message.faults.append(f"9112 7.1: not a chunk's line {line[:60]!r}")
            return None
        size = int(match[1], 16)
        if size == 0:
            break
        message.body += rest[:size]
        if len(rest) < size + 2:
            return None
        if rest[size:size + 2] != b"\r\n":
            message.faults.append("9112 7.1: a chunk without its end")
            return None
        data = rest[size + 2:]
    lines = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return None
        if not line:
            break
        lines.append(line)
    message.trailers = read_fields(lines, message)
    for name, _ in message.trailers:
        if name in NEVER_IN_TRAILERS:
            message.doubts.append(f"9110 6.5.1: {name} as a trailer")
    return rest


def judge_framing(message):
    """Content-Length and Transfer-Encoding: what they say, and whether it is one thing."""
    lengths, codings = message.all("content-length"), message.list("transfer-encoding")
    if lengths and message.all("transfer-encoding"):
        message.faults.append("9112 6.2: Content-Length beside Transfer-Encoding")
    if len(lengths) > 1 or (lengths and not re.fullmatch(r"[0-9]+", lengths[0])):
        message.faults.append(f"9110 8.6: Content-Length {lengths}")
    if message.all("transfer-encoding"):
        if codings.count("chunked") > 1 or not codings:
            message.faults.append(f"9112 6.1: Transfer-Encoding {codings}")
        if message.version == "HTTP/1.0":
            message.faults.append("9112 6.1: Transfer-Encoding in HTTP/1.0")
        return "chunked" if codings and codings[-1] == "chunked" else "close"
    if lengths and re.fullmatch(r"[0-9]+", lengths[0]):
        return "length"
    return "none"


def judge_options(message):
    """A field for this connection alone must be named by Connection."""
    for name in ("te", "upgrade"):
        if message.all(name) and name not in message.list("connection"):
            message.faults.append(f"9110 7.6.1: {name} not named by Connection")


def read_body(message, rest, is_at_end):
    """Returns what is behind the message, None while it is not complete."""
    if message.framing == "length":
        size = int(message.get("content-length"))
        message.body = rest[:size]
        if len(rest) < size:
            return None
        rest = rest[size:]
    elif message.framing == "chunked":
        rest = read_chunks(rest, message)
        if rest is None:
            return None
    elif message.framing == "close":
        message.body = rest
        if not is_at_end:
            return None
        rest = b""
    message.is_complete = True
    return rest


def read_head(data):
    """The lines of the head and what is behind it; None while it is not complete."""
    while data.startswith(b"\r\n"):
        data = data[2:]
    head, end, rest = data.partition(b"\r\n\r\n")
    return (head.split(b"\r\n"), rest) if end else (None, data)


def read_request(data):
    """The first request of the data, and what is behind it. None when not even its head is
    there; its `is_complete` says whether all of it is."""
    lines, rest = read_head(data)
    if lines is None:
        return None, data
    message = Message(lines[0])
    match = REQUEST_LINE.fullmatch(lines[0])
    if match:
        message.method, message.target, message.version = (
            part.decode("latin-1") for part in match.groups())
        if not TARGET.fullmatch(match[2]):
            message.doubts.append(f"9112 3.2: not a target {match[2][:60]!r}")
    else:
        message.faults.append(f"9112 3: not a request line {lines[0][:80]!r}")
    message.fields = read_fields(lines[1:], message)
    hosts = message.all("host")
    if len(hosts) != 1 and message.version != "HTTP/1.0":
        message.faults.append(f"9112 3.2: Host {hosts}")
    message.framing = judge_framing(message)
    if message.framing == "close":
        message.faults.append("9112 6.3: chunked is not the last coding of a request")
        message.framing = "none"
    judge_options(message)
    left = read_body(message, rest, False)
    return message, rest if left is None else left


def read_response(data, method, is_at_end):
    """The same for a response to a request of that method."""
    lines, rest = read_head(data)
    if lines is None:
        return None, data
    message = Message(lines[0])
    match = STATUS_LINE.fullmatch(lines[0])
    if match:
        message.version, message.status = match[1].decode(), int(match[2])
    else:
        message.faults.append(f"9112 4: not a status line {lines[0][:80]!r}")
    message.fields = read_fields(lines[1:], message)
    framing = judge_framing(message)
    is_bodyless = 100 <= message.status < 200 or message.status == 204
    if is_bodyless and (message.all("transfer-encoding") or message.all("content-length")):
        message.faults.append(f"9110 8.6, 9112 6.1: {message.status} with framing fields")
    if is_bodyless or message.status == 304 or method == "HEAD":
        message.framing = "none"
    else:
        message.framing = "close" if framing == "none" else framing
    judge_options(message)
    left = read_body(message, rest, is_at_end)
    return message, rest if left is None else left


def read_responses(data, methods, is_at_end):
    """Interim and final responses to requests of those methods, and what is behind them."""
    interims, finals = [], []
    while data and len(finals) < len(methods):
        message, data = read_response(data, methods[len(finals)], is_at_end)
        if message is None:
            break
        if 100 <= message.status < 200 and message.status != 101:
            interims.append(message)
            continue
        finals.append(message)
        if not message.is_complete or message.status == 101:
            break
    return interims, finals, data
