# SPDX-License-Identifier: Apache-2.0
"""Interim responses, and those that never have content."""
from conformance.table import CL5, CLOSE, OK, TE, WAIT, Case, Group, get, post, reply
from conformance.verdicts import (
    answer,
    both,
    common,
    either,
    forward,
    got,
    got_body,
    in_sync,
    interim_field,
    interims,
    not_got,
    not_reused,
)

HINTS = reply("Link: </a.css>; rel=preload", status="103 Early Hints")
S = "RFC 9110 15.2"


def case(name, section, says, response, line="GET /x HTTP/1.1", **more):
    return Case(name, section, says, get(line=line), response=response, **more)


INTERIM = [
    case("103", S, "103 is passed on", HINTS + OK, must=answer(200, interims(103))),
    case("103-fields", S, "with its fields", HINTS + OK,
         must=answer(200, interim_field("link", "</a.css>; rel=preload"))),
    case("103-twice", S, "all of them", HINTS + HINTS + OK, must=answer(200, interims(103, 103))),
    case("102", S, "102", reply(status="102 Processing") + OK, must=answer(200, interims(102))),
    case("199", S, "one that nobody knows", reply(status="199 What") + OK,
         must=answer(200, interims(199))),
    case("100-unasked", S, "a 100 nobody waited for is passed on or dropped",
         reply(status="100 Continue") + OK,
         must=either(answer(200, interims()), answer(200, interims(100)))),
    case("many", S, "a hundred of them", HINTS * 100 + OK,
         must=either(answer(200), answer(502))),
    Case("100", S, "a 100 that was asked for is passed on",
         (post(CL5, "Expect: 100-continue"), WAIT, b"hello"),
         must=forward(lambda seen: None if 100 in [one.status for one in seen.interims]
                      else "no 100 came")),
    case("http10", S, "none to a client of HTTP/1.0", HINTS + OK, line="GET /x HTTP/1.0",
         must=answer(200, interims())),
    case("head", S, "also for HEAD", HINTS + reply("Content-Length: 2"), line="HEAD /x HTTP/1.1",
         must=answer(200, interims(103))),
    case("hop", "RFC 9110 7.6.1", "fields of one connection are removed",
         reply("Connection: X-Secret", "X-Secret: a", "Link: b", status="103 Early Hints") + OK,
         must=answer(200, lambda seen: "X-Secret came" if any(
             one.all("x-secret") for one in seen.interims) else None)),
    case("length", "RFC 9110 8.6", "with a length that it may not have",
         reply("Content-Length: 5", status="103 Early Hints") + OK,
         must=either(answer(200, lambda seen: "the length came" if any(
             one.all("content-length") for one in seen.interims) else None), answer(502))),
    case("chunked", "RFC 9112 6.1", "with a coding that it may not have",
         reply(TE, status="103 Early Hints") + OK,
         must=either(answer(200, lambda seen: "the coding came" if any(
             one.all("transfer-encoding") for one in seen.interims) else None), answer(502))),
    case("bad", "RFC 9112 5", "one that is malformed", b"HTTP/1.1 103 Early Hints\r\nX A: b\r\n\r\n"
         + OK, must=lambda seen: common(seen) or ("the fault was passed on" if any(
             one.faults for one in seen.interims) else None)),
    case("poison", "RFC 9112 6.3", "one behind the final answer is nobody's",
         OK + HINTS, trailing=True, must=both(common, in_sync), safe=not_reused),
]

BODY = b"hello"


def no_content(status):
    return answer(status, got_body(b""))


BODYLESS = [
    case("204", "RFC 9110 15.3.5", "204 has no content", reply(status="204 No Content"),
         must=no_content(204)),
    case("204-length", "RFC 9110 8.6", "204 has no Content-Length",
         reply("Content-Length: 0", status="204 No Content"),
         must=either(answer(204, not_got("content-length")), answer(502))),
    case("204-length-5", "RFC 9110 8.6", "nor one that is not 0",
         reply("Content-Length: 5", status="204 No Content", body=BODY), trailing=True,
         must=either(answer(204, not_got("content-length")), answer(502))),
    case("204-chunked", "RFC 9112 6.1", "204 has no Transfer-Encoding",
         reply(TE, status="204 No Content", body=b"0\r\n\r\n"), trailing=True,
         must=either(answer(204, not_got("transfer-encoding")), answer(502))),
    case("204-body", "RFC 9112 6.3", "bytes behind a 204 are not its content",
         reply(status="204 No Content", body=BODY), trailing=True,
         must=either(no_content(204), answer(502)), safe=not_reused),
    case("304", "RFC 9110 15.4.5", "304 has no content", reply(status="304 Not Modified"),
         must=no_content(304)),
    case("304-length", "RFC 9110 8.6", "304 may have the length that 200 would",
         reply("Content-Length: 5", status="304 Not Modified"), must=no_content(304)),
    case("304-chunked", "RFC 9112 6.3", "304 with a coding",
         reply(TE, status="304 Not Modified"), must=either(no_content(304), answer(502))),
    case("304-body", "RFC 9112 6.3", "bytes behind a 304 are not its content",
         reply("Content-Length: 5", status="304 Not Modified", body=BODY), trailing=True,
         must=either(no_content(304), answer(502)), safe=not_reused),
    case("304-etag", "RFC 9110 15.4.5", "its fields are passed on",
         reply('ETag: "a"', "Cache-Control: no-cache", "Vary: A", status="304 Not Modified"),
         must=answer(304, got("etag", '"a"'), got("cache-control", "no-cache"), got("vary", "A"))),
    case("head", "RFC 9110 9.3.2", "an answer to HEAD has no content",
         reply("Content-Length: 5"), line="HEAD /x HTTP/1.1", must=no_content(200)),
    case("head-length", "RFC 9110 8.6", "its length is that of GET or none",
         reply("Content-Length: 5"), line="HEAD /x HTTP/1.1",
         must=either(answer(200, got("content-length", "5")),
                     answer(200, not_got("content-length")))),
    case("head-length-kept", "RFC 9110 9.3.2", "its fields are those of GET",
         reply("Content-Length: 12345"), line="HEAD /x HTTP/1.1",
         safe=answer(200, got("content-length", "12345"))),
    case("head-chunked", "RFC 9112 6.3", "chunked, to HEAD", reply(TE), line="HEAD /x HTTP/1.1",
         must=no_content(200)),
    case("head-body", "RFC 9112 6.3", "bytes behind it are not its content",
         reply("Content-Length: 5", body=BODY), line="HEAD /x HTTP/1.1", trailing=True,
         must=either(no_content(200), answer(502)), safe=not_reused),
    case("head-404", "RFC 9110 9.3.2", "also an error",
         reply("Content-Length: 5", status="404 Not Found"), line="HEAD /x HTTP/1.1",
         must=no_content(404)),
    case("head-no-length", "RFC 9112 6.3", "without any length it is complete",
         reply(), line="HEAD /x HTTP/1.1", must=no_content(200)),
    Case("head-denied", "RFC 9110 9.3.2", "an answer of the gateway's own has none either",
         get(line="HEAD /admin HTTP/1.1"), must=answer(403, got_body(b""))),
    Case("head-bad", "RFC 9110 9.3.2", "nor a refusal",
         get("Content-Length: x", line="HEAD /x HTTP/1.1"), must=answer(400, got_body(b""))),
    case("205", "RFC 9110 15.3.6", "205 with a length of 0",
         reply("Content-Length: 0", status="205 Reset Content"), must=no_content(205)),
    case("205-no-length", "RFC 9112 6.3", "205 without any, and the connection ends",
         (reply(status="205 Reset Content"), CLOSE), must=no_content(205)),
    case("205-body", "RFC 9110 15.3.6", "205 with content",
         reply("Content-Length: 5", status="205 Reset Content", body=BODY),
         must=either(answer(205), answer(502))),
    case("content-404", "RFC 9110 15", "content of an error is passed on",
         reply("Content-Length: 5", status="404 Not Found", body=BODY),
         must=answer(404, got_body(BODY))),
    case("status-299", "RFC 9110 15", "an unknown status is passed on",
         reply("Content-Length: 5", status="299 What", body=BODY),
         must=answer(299, got_body(BODY))),
    case("status-599", "RFC 9110 15", "also the last of its class",
         reply("Content-Length: 5", status="599 What", body=BODY),
         must=answer(599, got_body(BODY))),
    case("status-401", "RFC 9110 11.6.1", "401 keeps WWW-Authenticate",
         reply("Content-Length: 0", 'WWW-Authenticate: Basic realm="a"',
               status="401 Unauthorized"),
         must=answer(401, got("www-authenticate", 'Basic realm="a"'))),
    case("status-405", "RFC 9110 15.5.6", "405 keeps Allow",
         reply("Content-Length: 0", "Allow: GET", status="405 Method Not Allowed"),
         must=answer(405, got("allow", "GET"))),
    case("status-206", "RFC 9110 15.3.7", "206 keeps Content-Range",
         reply("Content-Length: 5", "Content-Range: bytes 0-4/10", status="206 Partial Content",
               body=BODY), must=answer(206, got("content-range", "bytes 0-4/10"),
                                       got_body(BODY))),
]

GROUPS = [
    Group("interim", "Interim responses", "responses", tuple(INTERIM)),
    Group("bodyless", "Responses without content", "responses", tuple(BODYLESS)),
]
