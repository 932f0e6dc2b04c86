# SPDX-License-Identifier: Apache-2.0
"""The client's connection: pipelining, ends, HTTP/1.0, Expect, Upgrade."""
from conformance.table import (
    CL5,
    OK,
    TE,
    WAIT,
    Case,
    Group,
    chunked,
    get,
    post,
    reply,
    smuggled,
)
from conformance.verdicts import (
    answer,
    answered,
    answers_in_order,
    asked,
    body,
    both,
    common,
    cut,
    either,
    forward,
    got_body,
    in_sync,
    interims,
    not_got,
    refuse,
    sent,
    unsent,
)


def one(path, *fields):
    return get(*fields, line=f"GET {path} HTTP/1.1")


def in_order(*targets):
    """All answers, in the order of the requests."""
    def verdict(seen):
        return common(seen) or answers_in_order(*targets)(seen) or in_sync(seen)
    return verdict


def only_first(seen):
    """One answer, and nothing behind it was taken for a request."""
    return answered(1)(seen) or (None if len(seen.requests) <= 1 else "what followed was served")


def close_first(*fields, line="GET /a HTTP/1.1"):
    return get(*fields, line=line) + smuggled()


S = "RFC 9112 9.3.2"
PIPELINES = [
    Case("two", S, "answers come in the order of requests", one("/a") + one("/b"),
         must=in_order("/a", "/b"), answers=2),
    Case("ten", S, "ten of them", b"".join(one(f"/{n}") for n in range(10)),
         must=in_order(*[f"/{n}" for n in range(10)]), answers=10),
    Case("post-get", S, "content ends where the next request begins",
         post(CL5, body="hello", line="POST /a HTTP/1.1") + one("/b"),
         must=in_order("/a", "/b"), answers=2),
    Case("chunked-get", S, "also chunked content",
         chunked("5\r\nhello\r\n0\r\n\r\n", line="POST /a HTTP/1.1") + one("/b"),
         must=in_order("/a", "/b"), answers=2),
    Case("head-get", S, "an answer to HEAD has no content", get(line="HEAD /a HTTP/1.1")
         + one("/b"), answers=2, methods=("HEAD", "GET"),
         must=lambda seen: common(seen) or (None if len(seen.answers) > 1
                                            and seen.answers[1].body == b"GET /b"
                                            else "the second answer is another")),
    Case("empty-lines", "RFC 9112 2.2", "an empty line between them is skipped",
         one("/a") + b"\r\n" + one("/b"), safe=in_order("/a", "/b"), answers=2),
    Case("after-close", "RFC 9112 9.6", "nothing is served behind Connection: close",
         close_first("Connection: close"), must=only_first),
    Case("after-close-case", "RFC 9110 7.6.1", "options have no case",
         close_first("Connection: CLOSE"), must=only_first),
    Case("after-close-list", "RFC 9112 9.6", "close in a list",
         close_first("Connection: keep-alive, close"), must=only_first),
    Case("after-close-lines", "RFC 9112 9.6", "close on a second line",
         close_first("Connection: x-a", "Connection: close"), must=only_first),
    Case("after-close-post", "RFC 9112 9.6", "behind a POST with content",
         post(CL5, "Connection: close", body="hello") + smuggled(), must=only_first),
    Case("after-http10", "RFC 9112 9.3", "nothing is served behind HTTP/1.0",
         close_first(line="GET /a HTTP/1.0"), must=only_first),
    Case("after-bad", "RFC 9112 9.6", "nothing is served behind a malformed request",
         get("X A: b") + smuggled(), must=only_first),
    Case("after-bad-length", "RFC 9112 6.3", "nor behind a malformed length",
         post("Content-Length: x") + smuggled(), must=only_first),
    Case("after-good-bad", "RFC 9112 2.2", "what is good before what is bad is answered",
         one("/a") + get("X A: b", line="GET /b HTTP/1.1"), answers=2,
         must=lambda seen: common(seen) or (
             None if len(seen.answers) > 1 and seen.answers[0].status == 200
             and 400 <= seen.answers[1].status < 500 else "was not answered in order")),
    Case("says-close", "RFC 9112 9.6", "the answer says that the connection ends",
         get("Connection: close"), safe=forward(lambda seen: None if "close" in seen.answer.list(
             "connection") else "Connection: close is missing", closes=True)),
    Case("kept", "RFC 9112 9.3", "HTTP/1.1 is kept without being asked", get(),
         safe=forward(closes=False)),
    Case("kept-option", "RFC 9112 9.3", "an unknown option does not end it",
         get("Connection: foo"), safe=forward(closes=False)),
    Case("denied-content", "RFC 9112 9.3", "content of what is refused is read, or it is closed",
         post(f"Content-Length: {len(smuggled())}", line="POST /admin HTTP/1.1", body=smuggled()),
         must=lambda seen: common(seen) or in_sync(seen)),
    Case("denied-chunked", "RFC 9112 9.3", "also chunked content",
         post(TE, line="POST /admin HTTP/1.1",
              body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled()), smuggled())),
         must=lambda seen: common(seen) or in_sync(seen)),
    Case("early-answer", "RFC 9112 9.3", "content behind an early answer is read, or closed",
         post(f"Content-Length: {len(smuggled())}", body=smuggled()), early=True,
         response=reply("Content-Length: 0", status="413 Content Too Large"),
         must=lambda seen: common(seen) or in_sync(seen)),
    Case("no-retry-post", "RFC 9110 9.2.2", "a POST that failed is not sent again",
         post(CL5, body="hello"), response=("reset",), must=both(asked(1), cut)),
    Case("no-retry-close", "RFC 9110 9.2.2", "nor one whose connection was closed",
         post(CL5, body="hello"), response=("close",), must=both(asked(1), cut)),
    Case("no-retry-patch", "RFC 9110 9.2.2", "nor a PATCH",
         post(CL5, body="hello", line="PATCH /x HTTP/1.1"), response=("close",),
         must=both(asked(1), cut)),
    Case("no-retry-unknown", "RFC 9110 9.2.2", "nor an unknown method",
         get(line="FROB /x HTTP/1.1"), response=("close",),
         must=both(either(asked(1), asked(0)), cut)),
]


def old(*fields, line="GET /x HTTP/1.0"):
    return get(*fields, line=line)


def to_old(seen):
    """What a client of HTTP/1.0 must be able to read."""
    if seen.interims:
        return "a 1xx came"
    if seen.answer and seen.answer.all("transfer-encoding"):
        return "Transfer-Encoding came"
    return None


CHUNKED_REPLY = reply(TE, body=b"2\r\nok\r\n0\r\n\r\n")
HTTP10 = [
    Case("plain", "RFC 9112 9.3", "answered, and closed", old(), must=forward(to_old, closes=True)),
    Case("kept", "RFC 9112 9.3", "kept when it asks and is told so",
         old("Connection: keep-alive"),
         safe=forward(to_old, lambda seen: None if not seen.sentinel or "keep-alive" in
                      seen.answer.list("connection") else "kept without a word")),
    Case("keep-alive-case", "RFC 9110 7.6.1", "options have no case",
         old("Connection: Keep-Alive"), must=forward(to_old)),
    Case("close", "RFC 9112 9.3", "closed when it says so", old("Connection: close"),
         must=forward(closes=True)),
    Case("close-wins", "RFC 9112 9.3", "close counts before keep-alive",
         old("Connection: keep-alive, close"), must=forward(closes=True)),
    Case("chunked-answer", "RFC 9112 6.1", "a chunked answer is not passed on as such",
         old(), response=CHUNKED_REPLY, must=answer(200, to_old, got_body(b"ok"))),
    Case("chunked-answer-kept", "RFC 9112 6.1", "nor to one that asks to be kept",
         old("Connection: keep-alive"), response=CHUNKED_REPLY,
         must=answer(200, to_old, got_body(b"ok"))),
    Case("unknown-length-kept", "RFC 9112 6.3", "an answer without length ends with its connection",
         old("Connection: keep-alive"), response=(reply(body="ok"), "close"),
         must=answer(200, to_old, got_body(b"ok"))),
    Case("interim", "RFC 9110 15.2", "no 1xx for HTTP/1.0", old(),
         response=reply(status="103 Early Hints") + OK, must=answer(200, to_old)),
    Case("continue", "RFC 9110 10.1.1", "an expectation in HTTP/1.0 is ignored",
         post(CL5, "Expect: 100-continue", line="POST /x HTTP/1.0", body="hello"),
         must=forward(to_old, body(b"hello"))),
    Case("upgrade", "RFC 9110 7.8", "Upgrade in HTTP/1.0 is ignored",
         old("Connection: upgrade", "Upgrade: foo"), must=forward(to_old, unsent("upgrade"))),
    Case("post-no-length", "RFC 9112 6.3", "without a length there is no content",
         post(line="POST /x HTTP/1.0"), must=either(forward(body(b"")), refuse())),
    Case("cut", "RFC 9112 8", "a chunked answer that is cut looks cut to HTTP/1.0",
         old(), response=(reply(TE, body=b"5\r\nhell"), "close"),
         safe=cut),
]


EXPECTING = "Expect: 100-continue"
HEAD = post(CL5, EXPECTING)


def continued(seen):
    """A final answer only after the content, and at least one 100 before the client sent it."""
    first = [interim.status for interim in seen.interims]
    return None if 100 in first else f"no 100 came, but {first}"


EXPECTS = [
    Case("asked", "RFC 9110 10.1.1", "the client is told to go on", (HEAD, WAIT, b"hello"),
         must=forward(continued, body(b"hello"))),
    Case("forwarded", "RFC 9110 10.1.1", "the expectation reaches the service, or is met here",
         (HEAD, WAIT, b"hello"), must=either(forward(sent("expect", "100-continue"), continued),
                                            forward(unsent("expect"), continued))),
    Case("one-100", "RFC 9110 15.2", "of the service's 1xx and ours, one 100 comes",
         (HEAD, WAIT, b"hello"), safe=forward(interims(100))),
    Case("at-once", "RFC 9110 10.1.1", "a client that does not wait", HEAD + b"hello",
         must=forward(body(b"hello"))),
    Case("case", "RFC 9110 10.1.1", "the expectation has no case",
         (post(CL5, "Expect: 100-Continue"), WAIT, b"hello"),
         must=forward(continued, body(b"hello"))),
    Case("chunked", "RFC 9110 10.1.1", "before chunked content",
         (post(TE, EXPECTING), WAIT, b"5\r\nhello\r\n0\r\n\r\n"),
         must=forward(continued, body(b"hello"))),
    Case("no-content", "RFC 9110 10.1.1", "without content it changes nothing",
         get(EXPECTING), must=either(forward(), refuse(400, 417, keeps=True))),
    Case("final-instead", "RFC 9110 10.1.1", "a final answer instead of 100 is passed on, or 100",
         (HEAD, WAIT), early=True, response=reply("Content-Length: 0", status="403 Forbidden"),
         must=lambda seen: common(seen) or (
             None if seen.interims or (seen.answer and seen.answer.status == 403)
             else "neither 100 nor the answer came"),
         house=both(answer(403), interims())),
    Case("final-smuggles", "RFC 9110 10.1.1", "what follows a final answer instead of 100",
         (post(f"Content-Length: {len(smuggled())}", EXPECTING), WAIT, smuggled()), early=True,
         response=reply("Content-Length: 0", status="403 Forbidden"),
         must=lambda seen: common(seen) or in_sync(seen)),
    Case("refused-here", "RFC 9110 10.1.1", "what the gateway denies gets no 100",
         (post(CL5, EXPECTING, line="POST /admin HTTP/1.1"), WAIT),
         safe=both(answer(403), interims())),
    Case("unknown", "RFC 9110 10.1.1", "an unknown expectation may be refused with 417",
         post(CL5, "Expect: miracles", body="hello"),
         must=either(refuse(417, keeps=True), forward(sent("expect", "miracles")),
                     forward(unsent("expect"))),
         safe=either(refuse(417, keeps=True), forward(sent("expect", "miracles"))),
         house=refuse(417)),
    Case("unknown-too", "RFC 9110 10.1.1", "beside the known one",
         post(CL5, "Expect: 100-continue, miracles", body="hello"),
         safe=either(refuse(417, 400, keeps=True), forward(sent("expect")))),
    Case("parameter", "RFC 9110 10.1.1", "with a parameter",
         post(CL5, "Expect: 100-continue;a=b", body="hello"),
         must=either(refuse(417, 400, keeps=True), forward())),
    Case("empty", "RFC 9110 10.1.1", "empty", post(CL5, "Expect:", body="hello"),
         must=either(refuse(417, 400, keeps=True), forward())),
]

WEBSOCKET = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
NO_TUNNEL = {"must": lambda seen: common(seen) or in_sync(seen)}


def upgrade(name, fields, says, **more):
    """Where nobody switches, the request is one like any other."""
    return Case(name, "RFC 9110 7.8", says, get(*fields),
                must=either(forward(), refuse(keeps=True)), **more)


UPGRADES = [
    upgrade("unknown", ["Connection: Upgrade", "Upgrade: foo/2"], "an unknown protocol"),
    upgrade("h2c", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"], "h2c is not spoken here",
            safe=forward(unsent("upgrade", "http2-settings"))),
    upgrade("h2c-unnamed", ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
            "h2c without Connection", safe=forward(unsent("upgrade"))),
    upgrade("tls", ["Connection: Upgrade", "Upgrade: TLS/1.0"], "TLS within"),
    upgrade("list", ["Connection: Upgrade", "Upgrade: foo, bar/1"], "a list"),
    upgrade("two-lines", ["Connection: Upgrade", "Upgrade: foo", "Upgrade: bar"], "two lines"),
    upgrade("empty", ["Connection: Upgrade", "Upgrade:"], "an empty list"),
    upgrade("option-alone", ["Connection: Upgrade"], "the option without the field"),
    upgrade("websocket-refused", WEBSOCKET, "a WebSocket that the service does not open"),
    Case("pipelined", "RFC 9110 7.8", "bytes behind it are a request until there is a 101",
         get("Connection: Upgrade", "Upgrade: foo") + one("/b"), answers=2,
         must=either(in_order("/x", "/b"), refuse(keeps=True), answered(1))),
    Case("websocket-pipelined", "RFC 9110 7.8", "also behind a WebSocket's",
         get(*WEBSOCKET) + one("/b"), answers=2,
         must=either(in_order("/x", "/b"), refuse(keeps=True), answered(1))),
    Case("h2c-smuggles", "RFC 9110 7.8", "no tunnel because somebody asked for one",
         get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
             "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
         + get(line="GET /admin HTTP/1.1"), answers=2,
         must=lambda seen: common(seen) or ("/admin reached the service" if any(
             "/admin" in request.target for request in seen.requests) else None)),
    Case("unasked-101", "RFC 9110 15.2.2", "no 101 to who did not ask",
         get(), response=reply("Connection: upgrade", "Upgrade: foo",
                               status="101 Switching Protocols"),
         must=lambda seen: common(seen) or ("the client got 101" if any(
             one.status == 101 for one in seen.answers) else None)),
    Case("other-101", "RFC 9110 7.8", "no 101 to another protocol than asked for",
         get("Connection: Upgrade", "Upgrade: foo"),
         response=reply("Connection: upgrade", "Upgrade: bar", status="101 Switching Protocols"),
         must=lambda seen: common(seen) or ("the client got 101" if any(
             one.status == 101 and one.get("upgrade") != "foo" for one in seen.answers)
             else None)),
    Case("bare-101", "RFC 9110 15.2.2", "no 101 without Upgrade",
         get("Connection: Upgrade", "Upgrade: foo"),
         response=reply(status="101 Switching Protocols"),
         must=lambda seen: common(seen) or ("the client got 101 without Upgrade" if any(
             one.status == 101 and not one.get("upgrade") for one in seen.answers) else None)),
    Case("hop-answer", "RFC 9110 7.8", "an answer's offer to switch is for one connection",
         get(), response=reply("Connection: upgrade", "Upgrade: h2c", "Content-Length: 2",
                               body="ok"), must=answer(200, not_got("upgrade"))),
]

GROUPS = [
    Group("pipeline", "Pipelining and ends of connections", "requests", tuple(PIPELINES)),
    Group("http10", "Clients of HTTP/1.0", "requests", tuple(HTTP10)),
    Group("expect", "Expect", "requests", tuple(EXPECTS)),
    Group("upgrade", "Upgrade", "requests", tuple(UPGRADES)),
]
