# SPDX-License-Identifier: Apache-2.0
"""What a case is, and the words in which requests and responses are written.

A case sends bytes and holds what comes of them against up to three verdicts, which are scored
apart:

  must    what an RFC demands of every gateway, and anyone outside can see
  safe    where two parsers could read the bytes differently, or an RFC says SHOULD: refusing it,
          or passing on something that has one meaning, is the safe answer
  house   what Sarsen promises beyond that, such as a certain status
"""
from collections.abc import Callable
from dataclasses import dataclass

CLASSES = ("must", "safe", "house")

# Steps of what is sent, beside bytes.
CLOSE = "close"  # ends the connection
RESET = "reset"  # breaks it
WAIT = "wait"  # until the other side has said something

CL5 = "Content-Length: 5"
TE = "Transfer-Encoding: chunked"


@dataclass(frozen=True)
class Case:
    """`request` is what the client sends: bytes or a tuple of steps. `response`, of the same
    kind, is what the service answers to it; without one it names the method and target it saw.
    `answers` is how many final responses are due, `methods` those of their requests. A client
    that `leaves` closes behind its last byte; a service that is `early` answers the head.
    `trailing` says that the response has bytes behind its end."""
    id: str
    section: str
    says: str
    request: bytes | tuple
    must: Callable | None = None
    safe: Callable | None = None
    house: Callable | None = None
    response: bytes | tuple | None = None
    answers: int = 1
    methods: tuple = ()
    leaves: bool = False
    early: bool = False
    trailing: bool = False

    def verdicts(self):
        return {name: getattr(self, name) for name in CLASSES if getattr(self, name)}


@dataclass(frozen=True)
class Group:
    id: str
    title: str
    side: str  # requests or responses
    cases: tuple


def encode(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def get(*fields, line="GET /x HTTP/1.1", host="Host: a.test", body=b""):
    """A request; `host` is a whole line, none when empty."""
    lines = [line, *([host] if host else []), *fields, "", ""]
    return encode("\r\n".join(lines)) + encode(body)


def post(*fields, body=b"", line="POST /x HTTP/1.1", **more):
    return get(*fields, line=line, body=body, **more)


def chunked(body, *fields, **more):
    """A POST with that as its chunked content, framing included."""
    return post(TE, *fields, body=body, **more)


def smuggled(line="GET /smuggled HTTP/1.1"):
    """What must never be taken for a request."""
    return get(line=line)


def reply(*fields, status="200 OK", body=b"", version="HTTP/1.1"):
    """A response exactly as said."""
    return encode("\r\n".join([f"{version} {status}", *fields, "", ""])) + encode(body)


OK = reply("Content-Length: 2", body="ok")
