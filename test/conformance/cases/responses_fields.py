# SPDX-License-Identifier: Apache-2.0
"""Lines of a response's head: status line, fields, what belongs to one connection, trailers."""
import re

from conformance.table import CLOSE, OK, TE, Case, Group, get, reply
from conformance.verdicts import (
    answer,
    common,
    either,
    got,
    got_body,
    not_got,
    trailer,
)

FAULT = answer(tuple(range(500, 600)))  # 502 suits best, and no RFC demands it in general


def case(name, section, says, response, fields=(), line="GET /x HTTP/1.1", **more):
    return Case(name, section, says, get(*fields, line=line), response=response, **more)


def raw(start):
    """A whole answer that begins with that line."""
    return (start.encode("latin-1") + b"\r\nContent-Length: 2\r\n\r\nok", CLOSE)


def bad(name, says, start, section="RFC 9112 4", must=None):
    """Answered with 502, or in the grammar."""
    return case(name, section, says, raw(start),
                must=must or answer(tuple(range(200, 600))),
                safe=FAULT, house=answer(502))


STATUS = [
    case("plain", "RFC 9112 4", "a status and a reason", OK, must=answer(200, got_body(b"ok"))),
    case("no-reason", "RFC 9112 4", "an empty reason",
         b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", must=answer(200, got_body(b"ok"))),
    case("no-reason-space", "RFC 9112 4", "no space before none",
         b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
         must=either(answer(200, got_body(b"ok")), answer(502))),
    case("reason-text", "RFC 9112 4", "a reason of any text",
         b"HTTP/1.1 200 It is \xe4 \t good\r\nContent-Length: 2\r\n\r\nok",
         must=answer(200, got_body(b"ok"))),
    bad("two-digits", "a status of two digits", "HTTP/1.1 20 OK"),
    bad("four-digits", "a status of four digits", "HTTP/1.1 2000 OK"),
    bad("letters", "a status of letters", "HTTP/1.1 abc OK"),
    bad("no-status", "no status", "HTTP/1.1"),
    bad("minus", "a negative status", "HTTP/1.1 -20 OK"),
    bad("hex", "a status with a letter", "HTTP/1.1 2a0 OK"),
    case("six-hundred", "RFC 9110 15", "a status of 600 is treated as 5xx",
         reply("Content-Length: 2", status="600 What", body="ok"),
         safe=answer(tuple(range(500, 700)))),
    *[case(f"status-{text}", "RFC 9110 15", f"a status of {text} is treated as 5xx", raw(
        f"HTTP/1.1 {text} OK"), safe=FAULT, house=answer(502)) for text in ("000", "099")],
    bad("two-spaces", "two spaces before the status", "HTTP/1.1  200 OK"),
    bad("tab", "a tab before the status", "HTTP/1.1\t200 OK"),
    bad("leading-space", "a space before it", " HTTP/1.1 200 OK"),
    bad("lower", "small letters", "http/1.1 200 OK"),
    bad("version-2", "another version", "HTTP/2.0 200 OK"),
    bad("version-0.9", "an older one", "HTTP/0.9 200 OK"),
    bad("version-digits", "a version of two digits", "HTTP/1.10 200 OK"),
    bad("version-comma", "a comma in it", "HTTP/1,1 200 OK"),
    bad("other-name", "another protocol", "ICY 200 OK"),
    bad("reason-cr", "a bare CR in the reason", "HTTP/1.1 200 O\rK", "RFC 9112 2.2"),
    bad("reason-nul", "a NUL in the reason", "HTTP/1.1 200 O\0K"),
    bad("reason-ctl", "a control byte in the reason", "HTTP/1.1 200 O\x01K"),
    bad("request", "a request", "GET /x HTTP/1.1"),
    case("simple", "RFC 9112 4", "an answer without a head", (b"hello", CLOSE), must=answer(502)),
    case("long", "RFC 9112 4", "a status line of 100,000 bytes",
         (b"HTTP/1.1 200 " + b"a" * 100000 + b"\r\nContent-Length: 2\r\n\r\nok", CLOSE),
         safe=FAULT),
    case("empty-first", "RFC 9112 2.2", "an empty line before it",
         (b"\r\n" + OK, CLOSE), must=either(FAULT, answer(200, got_body(b"ok")))),
    case("lf", "RFC 9112 2.2", "bare LFs", (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", CLOSE),
         must=either(FAULT, answer(200, got_body(b"ok"))), safe=FAULT),
]


def field(name, section, says, line, must=None, **more):
    """An answer with that line among its fields."""
    head = b"HTTP/1.1 200 OK\r\n" + line.encode("latin-1") + b"\r\nContent-Length: 2\r\n\r\nok"
    return case(name, section, says, head, must=must or FAULT, house=answer(502), **more)


def clean(name):
    """A byte that may have become a space, and no other."""
    def check(seen):
        found = seen.answer.get(name)
        return None if not found or re.fullmatch("a +b", found) else f"{name} came as {found}"
    return check


def no_fault(seen):
    """Nothing outside the grammar reached the client."""
    faults = [fault for one in [*seen.interims, *seen.answers] for fault in one.faults]
    return common(seen) or (f"the client got: {faults[0]}" if faults else None)


OR_SPACE = either(answer(502), answer(200, clean("x-a")))
FIELDS = [
    field("folded", "RFC 9112 5.2", "a folded line: 502, or made one", "X-A: a\r\n b",
          must=OR_SPACE),
    field("folded-tab", "RFC 9112 5.2", "folded with a tab", "X-A: a\r\n\tb", must=OR_SPACE),
    field("folded-length", "RFC 9112 5.2", "a folded length", "X-B: b\r\nX-A: a\r\n b",
          must=OR_SPACE),
    field("folded-first", "RFC 9112 2.2", "white space before the first field", " X-A: b",
          must=either(FAULT, answer(200, not_got("x-a")))),
    field("nul", "RFC 9110 5.5", "a NUL in a value", "X-A: a\0b", must=either(FAULT, OR_SPACE)),
    field("cr", "RFC 9110 5.5", "a bare CR in a value", "X-A: a\rb", must=either(FAULT, OR_SPACE)),
    field("cr-splits", "RFC 9110 5.5", "a bare CR that might start a field",
          "X-A: a\rX-Smuggled: b", must=either(
              answer(502), answer(200, not_got("x-smuggled"),
                                  lambda seen: "a CR came" if b"\rX-Smug" in seen.raw else None),
              FAULT)),
    field("lf", "RFC 9112 2.2", "a bare LF ends a field", "X-A: a\nX-B: b",
          must=either(FAULT, answer(200)), safe=FAULT),
    *[field(f"ctl-{byte:02x}", "RFC 9110 5.5", f"the control byte {byte:02X} in a value",
            f"X-A: a{chr(byte)}b", must=either(FAULT, answer(200)), safe=FAULT)
      for byte in (0x01, 0x08, 0x0b, 0x1b, 0x7f)],
    field("no-colon", "RFC 9112 5", "no colon", "X-A", must=either(FAULT, answer(200))),
    field("empty-name", "RFC 9110 5.1", "an empty name", ": b",
          must=either(FAULT, answer(200))),
    field("space-colon", "RFC 9112 5.1", "a space before the colon is removed, or 502", "X-A : b",
          must=either(FAULT, answer(200, lambda seen: "the space came" if
                                          b"X-A :" in seen.raw else None))),
    field("space-colon-length", "RFC 9112 5.1", "also before Content-Length's",
          "Content-Length : 2", must=either(FAULT, answer(200, got_body(b"ok")))),
    *[field(f"name-{ord(char):02x}", "RFC 9110 5.1", f"{char!r} in a name", f"X{char}A: b",
            must=either(FAULT, answer(200)))
      for char in '"(),/;<=>?@[\\]{} \x01\x7f\x80'],
    field("name-nul", "RFC 9110 5.1", "a NUL in a name", "X\0A: b",
          must=either(FAULT, answer(200))),
    case("obs-text", "RFC 9110 5.5", "bytes beyond ASCII are opaque",
         reply("X-A: \xc3\xa4", "Content-Length: 2", body="ok"),
         must=either(answer(200, got("x-a", "\xc3\xa4")), answer(502))),
    case("unknown", "RFC 9110 5.1", "unknown fields are passed on",
         reply("X-Whatever: b", "Content-Length: 2", body="ok"),
         must=answer(200, got("x-whatever", "b"))),
    case("order", "RFC 9110 5.3", "lines of one name keep their order",
         reply("X-A: 1", "X-A: 2", "X-A: 3", "Content-Length: 2", body="ok"),
         must=answer(200, lambda seen: None if seen.answer.list("x-a") == ["1", "2", "3"]
                     else f"X-A came as {seen.answer.all('x-a')}")),
    case("set-cookie", "RFC 9110 5.3", "lines of Set-Cookie are not joined",
         reply("Set-Cookie: a=b", "Set-Cookie: c=d", "Content-Length: 2", body="ok"),
         must=answer(200, lambda seen: None if {"a=b", "c=d"} <= set(seen.answer.all(
             "set-cookie")) else "cookies were joined")),
    case("empty-value", "RFC 9110 5.5", "an empty value", reply(
        "X-A:", "Content-Length: 2", body="ok"), must=answer(200, got("x-a", ""))),
    case("large-head", "RFC 9110 5.4", "a head of 30,000 bytes is taken",
         reply(*[f"X-{n}: {'a' * 2900}" for n in range(10)], "Content-Length: 2", body="ok"),
         house=answer(200, got_body(b"ok"))),
    case("too-large-head", "RFC 9110 5.4", "a head of 200,000 bytes is not",
         (reply(*[f"X-{n}: {'a' * 20000}" for n in range(10)], "Content-Length: 2", body="ok"),
          CLOSE), must=either(FAULT, answer(200)), safe=FAULT, house=answer(502)),
    case("many-fields", "RFC 9110 5.4", "5,000 fields are not",
         (reply(*[f"X-{n}: a" for n in range(5000)], "Content-Length: 2", body="ok"), CLOSE),
         must=either(FAULT, answer(200)), safe=FAULT, house=answer(502)),
]


def hop(name, fields, names, says, cls="must", section="RFC 9110 7.6.1"):
    return case(name, section, says, reply(*fields, "Content-Length: 2", body="ok"),
                **{cls: answer(200, not_got(*names), got_body(b"ok"))})


def has_date(seen):
    """One date, in the form that senders must use."""
    found = seen.answer.all("date")
    form = (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
            r" \d{4} \d\d:\d\d:\d\d GMT")
    return None if len(found) == 1 and re.fullmatch(form, found[0]) else f"Date came as {found}"


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
HOPS = [
    hop("nominated", ["Connection: X-Secret", "X-Secret: a"], ["x-secret"],
        "what Connection names is removed"),
    hop("nominated-list", ["Connection: X-A, X-B", "X-A: a", "X-B: b"], ["x-a", "x-b"],
        "all of a list"),
    hop("nominated-lines", ["Connection: X-A", "Connection: X-B", "X-A: a", "X-B: b"],
        ["x-a", "x-b"], "of all its lines"),
    hop("nominated-case", ["Connection: x-SECRET", "X-Secret: a"], ["x-secret"],
        "names have no case"),
    hop("nominated-behind", ["X-Secret: a", "Connection: keep-alive, X-Secret"], ["x-secret"],
        "also what came before it"),
    hop("keep-alive", ["Connection: keep-alive", "Keep-Alive: timeout=77"], [],
        "an answer that speaks of its connection"),
    case("keep-alive-value", "RFC 9110 7.6.1", "Keep-Alive of the service says nothing here",
         reply("Connection: keep-alive", "Keep-Alive: timeout=77", "Content-Length: 2", body="ok"),
         safe=answer(200, lambda seen: "Keep-Alive came" if "timeout=77" in seen.answer.all(
             "keep-alive") else None)),
    hop("proxy-connection", ["Proxy-Connection: keep-alive"], ["proxy-connection"],
        "Proxy-Connection", cls="safe"),
    hop("upgrade", ["Upgrade: foo"], ["upgrade"], "Upgrade, not named", cls="safe"),
    hop("te", ["TE: trailers"], ["te"], "TE", cls="safe"),
    hop("close", ["Connection: close"], [], "close is between service and gateway"),
    case("close-kept", "RFC 9110 7.6.1", "the client's connection is its own matter",
         reply("Connection: close", "Content-Length: 2", body="ok"),
         safe=answer(200, closes=False)),
    case("date-added", "RFC 9110 6.6.1", "an answer without Date gets one", OK,
         must=answer(200, has_date)),
    case("date-added-error", "RFC 9110 6.6.1", "also an error",
         reply("Content-Length: 0", status="500 Oops"), must=answer(500, has_date)),
    case("date-added-304", "RFC 9110 6.6.1", "also a 304", reply(status="304 Not Modified"),
         must=answer(304, has_date)),
    case("date-kept", "RFC 9110 6.6.1", "one that is there stays",
         reply(f"Date: {DATE}", "Content-Length: 2", body="ok"),
         safe=answer(200, got("date", DATE))),
    case("date-own", "RFC 9110 6.6.1", "an answer of the gateway's own has one", OK,
         line="GET /admin HTTP/1.1", must=answer(403, has_date)),
    case("server-kept", "RFC 9110 10.2.4", "Server is the service's",
         reply("Server: mine", "Content-Length: 2", body="ok"),
         safe=answer(200, got("server", "mine"))),
    case("injection", "RFC 9110 5.5", "what a client sent does not end a line of the answer",
         reply("Location: /x%0d%0aX-Smuggled:%20b", "Content-Length: 0", status="302 Found"),
         must=answer(302, not_got("x-smuggled"))),
    case("te-old-client", "RFC 9112 6.1", "no coding towards HTTP/1.0",
         reply(TE, body="2\r\nok\r\n0\r\n\r\n"), line="GET /x HTTP/1.0",
         must=answer(200, not_got("transfer-encoding"), got_body(b"ok"))),
]

CONTENT = "5\r\nhello\r\n0\r\n"
WANTS = ["TE: trailers", "Connection: TE"]


def tail(name, says, lines, fields=(), section="RFC 9110 6.5.1", **more):
    return case(name, section, says, reply(TE, "Trailer: X-Check", body=CONTENT + lines + "\r\n"),
                fields, **more)


def not_in_head(name):
    return lambda seen: f"{name} became a field of the head" if seen.answer.all(name) else None


def clean_tail(*names):
    def check(seen):
        found = [name for name, _ in seen.answer.trailers if name in names]
        return f"the client got the trailers {found}" if found else None
    return check


def no_merge(name):
    """Not one of those that the gateway sets for its own reasons."""
    if name in ("content-length", "transfer-encoding", "connection", "trailer"):
        return lambda seen: None
    return not_in_head(name)


def cut_short(seen):
    """Broken off, and visibly so."""
    is_cut = seen.answer and not seen.answer.is_complete and seen.is_closed
    return None if is_cut else "the answer was not broken off"


HELLO = got_body(b"hello")
TAILS = [
    tail("wanted", "trailers for who asks reach it", "X-Check: abc\r\n", WANTS,
         safe=answer(200, HELLO, trailer("x-check", "abc"))),
    tail("grpc", "those of gRPC too", "grpc-status: 0\r\ngrpc-message: ok\r\n", WANTS,
         safe=answer(200, HELLO, trailer("grpc-status", "0"), trailer("grpc-message", "ok"))),
    tail("unwanted", "for others they are dropped, or harmless", "X-Check: abc\r\n",
         must=answer(200, HELLO, not_in_head("x-check"))),
    tail("te-unnamed", "TE without Connection", "X-Check: abc\r\n", ["TE: trailers"],
         must=answer(200, HELLO, not_in_head("x-check"))),
    tail("http10", "never towards HTTP/1.0", "X-Check: abc\r\n", line="GET /x HTTP/1.0",
         must=answer(200, HELLO, not_got("transfer-encoding"))),
    *[tail(f"names-{name}", f"{name} has no meaning as a trailer", f"{name}: {value}\r\n", WANTS,
           must=either(answer(200, HELLO, no_merge(name)), FAULT, cut_short),
           safe=either(answer(200, HELLO, clean_tail(name)), FAULT, cut_short))
      for name, value in [("content-length", "5"), ("transfer-encoding", "chunked"),
                          ("content-type", "text/html"), ("set-cookie", "a=b"),
                          ("content-encoding", "gzip"), ("connection", "close"),
                          ("cache-control", "no-store"), ("trailer", "x")]],
    *[tail(f"bad-{name}", says, line, WANTS, "RFC 9112 7.1.2",
           must=lambda seen: no_fault(seen) or (
               "the connection goes on" if seen.answer and not seen.answer.is_complete
               and not seen.is_closed else None),
           safe=lambda seen: common(seen) or (None if not seen.answer or seen.answer.status >= 500
                                              or not seen.answer.is_complete
                                              else "the client takes it for a whole answer"))
      for name, line, says in [
          ("no-colon", "nonsense\r\n", "no colon"), ("name", "X(A: b\r\n", "a bracket in a name"),
          ("empty", ": b\r\n", "an empty name"), ("nul", "X-A: \0\r\n", "a NUL in a value"),
          ("cr", "X-A: a\rb\r\n", "a bare CR in a value"),
          ("space", "X-A : b\r\n", "a space before the colon"),
          ("folded", "X-A: a\r\n b\r\n", "a folded line")]],
    tail("long", "a trailer of 200,000 bytes has a limit", "X-A: " + "b" * 200000 + "\r\n",
         section="RFC 9110 5.4", safe=lambda seen: common(seen) or (
             None if not seen.answer or seen.answer.status >= 500 or not seen.answer.is_complete
             else "it was taken")),
]

GROUPS = [
    Group("status-line", "Status lines", "responses", tuple(STATUS)),
    Group("response-field", "Fields of responses", "responses", tuple(FIELDS)),
    Group("response-hop", "What an answer gains and loses", "responses", tuple(HOPS)),
    Group("response-trailer", "Trailers of responses", "responses", tuple(TAILS)),
]
