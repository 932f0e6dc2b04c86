# SPDX-License-Identifier: Apache-2.0
"""What a gateway leaves as it is: fields from end to end, and content of any size."""
import re

from conformance.cases.responses import POISON
from conformance.table import CL5, CLOSE, TE, Case, Group, get, post, reply, smuggled
from conformance.verdicts import (
    answer,
    answers_in_order,
    asked,
    body,
    both,
    common,
    cut,
    forward,
    framing,
    got_body,
    in_sync,
    no_trailer,
    not_reused,
    sent,
    unmerged,
)

OCTETS = bytes(range(256))
LARGE = bytes(at * 7 % 251 for at in range(300000))


def chunks(data, size):
    """As chunks of that size."""
    parts = [data[at:at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def joined(values):
    """Lines of one name are one list, and white space around its commas says nothing."""
    return re.sub(r"\s*,\s*", ",", ",".join(values))


def arrived(name, values):
    def check(seen):
        found = seen.requests[0].all(name)
        same = found and joined(found) == joined(values)
        return None if same else f"{name} reached the service as {found}"
    return check


def came(name, values):
    def check(seen):
        found = seen.answer.all(name)
        return None if found and joined(found) == joined(values) else f"{name} came as {found}"
    return check


def onward(name, section, *lines, kind="must"):
    """Fields of a request that reach the service untouched."""
    field = lines[0].partition(":")[0]
    values = [line.partition(":")[2].strip() for line in lines]
    return Case(name, section, f"{field} reaches the service as it came", get(*lines),
                **{kind: both(asked(1), arrived(field, values), in_sync)})


def back(name, section, *lines, status="200 OK", kind="must"):
    """Fields of a response that reach the client untouched."""
    field = lines[0].partition(":")[0]
    values = [line.partition(":")[2].strip() for line in lines]
    response = reply(*lines, "Content-Length: 2", body="ok", status=status)
    return Case(name, section, f"{field} reaches the client as it came", get(), response=response,
                **{kind: answer(int(status[:3]), came(field, values))})


REQUESTS = [
    onward("authorization", "RFC 9110 11.6.2", "Authorization: Digest a=\"b\", c=d"),
    onward("cache-control", "RFC 9111 5.2", "Cache-Control: no-cache, max-age=0, foo=\"a, b\""),
    onward("pragma", "RFC 9111 5.4", "Pragma: no-cache", kind="safe"),
    onward("if-none-match", "RFC 9110 13.1.2", "If-None-Match: \"a\", W/\"b\""),
    onward("if-match", "RFC 9110 13.1.1", "If-Match: *"),
    onward("if-modified-since", "RFC 9110 13.1.3",
           "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"),
    onward("range", "RFC 9110 14.2", "Range: bytes=0-4"),
    onward("if-range", "RFC 9110 13.1.5", "If-Range: \"a\""),
    onward("accept", "RFC 9110 12.5.1", "Accept: text/html;q=0.8, */*;q=0.1"),
    onward("accept-encoding", "RFC 9110 12.5.3", "Accept-Encoding: gzip, br;q=0"),
    onward("content-type", "RFC 9110 8.3", "Content-Type: multipart/form-data; boundary=\"a b\""),
    onward("content-encoding", "RFC 9110 8.4", "Content-Encoding: gzip"),
    onward("user-agent", "RFC 9110 10.1.5", "User-Agent: a/1.0 (b; c)"),
    onward("referer", "RFC 9110 10.1.3", "Referer: http://a.test/b?c"),
    onward("lines", "RFC 9110 5.3", "X-List: a, b", "X-List: c", "X-List: \"d, e\""),
    onward("empty-line", "RFC 9110 5.3", "X-List: a", "X-List:", "X-List: b"),
    onward("inner-space", "RFC 9110 5.5", "X-A: a   b"),
    onward("long-value", "RFC 9110 5.4", "X-A: " + "abc " * 900 + "d"),
    Case("octets", "RFC 9110 6.4", "content of every byte",
         post("Content-Length: 256", body=OCTETS), must=forward(body(OCTETS))),
    Case("octets-chunked", "RFC 9110 6.4", "the same in chunks",
         post(TE, body=chunks(OCTETS, 7)), must=forward(body(OCTETS))),
    Case("large", "RFC 9110 6.4", "300,000 bytes",
         post(f"Content-Length: {len(LARGE)}", body=LARGE), must=forward(body(LARGE))),
    Case("large-chunked", "RFC 9112 7.1", "300,000 bytes in chunks",
         post(TE, body=chunks(LARGE, 20000)), must=forward(body(LARGE))),
    Case("large-chunk", "RFC 9112 7.1", "in one chunk",
         post(TE, body=chunks(LARGE, len(LARGE))), must=forward(body(LARGE))),
    Case("small-chunks", "RFC 9112 7.1", "2,000 chunks of a byte",
         post(TE, body=chunks(LARGE[:2000], 1)), must=forward(body(LARGE[:2000]))),
    Case("large-then", "RFC 9112 9.3.2", "and the next request behind them", answers=2,
         request=post(f"Content-Length: {len(LARGE)}", body=LARGE, line="POST /a HTTP/1.1")
         + get(line="GET /b HTTP/1.1"),
         must=lambda seen: common(seen) or answers_in_order("/a", "/b")(seen) or in_sync(seen)),
    Case("trailer-then", "RFC 9112 9.3.2", "a request behind trailers", answers=2,
         request=post(TE, body=b"5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", line="POST /a HTTP/1.1")
         + get(line="GET /b HTTP/1.1"),
         must=lambda seen: common(seen) or answers_in_order("/a", "/b")(seen) or in_sync(seen)),
    Case("trailer-names-own", "RFC 9110 6.5.1", "a trailer that is a field of the head as well",
         post(TE, "X-A: head", body=b"5\r\nhello\r\n0\r\nX-A: trailer\r\n\r\n"),
         must=forward(body(b"hello"), sent("x-a", "head"))),
    Case("trailer-smuggles", "RFC 9110 6.5.1", "a trailer whose name is a field's",
         post(TE, body=b"5\r\nhello\r\n0\r\nX-Forwarded-For: 1\r\nSarsen-Customer: 1\r\n\r\n"),
         house=forward(body(b"hello"), no_trailer("sarsen-customer"))),
    Case("trailer-announced", "RFC 9110 6.6.2", "announced and never there",
         post(TE, "Trailer: X-A", body=b"5\r\nhello\r\n0\r\n\r\n"),
         must=forward(body(b"hello"), unmerged("x-a"))),
    Case("options-content", "RFC 9110 9.3.7", "OPTIONS with content",
         post(CL5, body="hello", line="OPTIONS /x HTTP/1.1"), must=forward(body(b"hello"))),
    Case("delete-content", "RFC 9110 9.3.5", "DELETE with content",
         post(CL5, body="hello", line="DELETE /x HTTP/1.1"), must=forward(body(b"hello"))),
    Case("head-content", "RFC 9110 9.3.2", "HEAD with content that reads as a request",
         post(f"Content-Length: {len(smuggled())}", body=smuggled(), line="HEAD /x HTTP/1.1"),
         must=forward(body(smuggled()))),
]


def whole(data, *checks):
    return answer(200, got_body(data), *checks)


SIZED = f"Content-Length: {len(LARGE)}"
RESPONSES = [
    back("www-authenticate", "RFC 9110 11.6.1", "WWW-Authenticate: Basic realm=\"a, b\"",
         "WWW-Authenticate: Digest c=d", status="401 Unauthorized"),
    back("authentication-info", "RFC 9110 11.6.3", "Authentication-Info: a=b"),
    back("allow", "RFC 9110 10.2.1", "Allow: GET, FROB", status="405 Method Not Allowed"),
    back("cache-control", "RFC 9111 5.2", "Cache-Control: max-age=60, private=\"x-a\", foo"),
    back("etag", "RFC 9110 8.8.3", "ETag: W/\"a\""),
    back("last-modified", "RFC 9110 8.8.2", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
    back("vary", "RFC 9110 12.5.5", "Vary: Accept, Cookie"),
    back("vary-star", "RFC 9110 12.5.5", "Vary: *"),
    back("content-type", "RFC 9110 8.3", "Content-Type: text/html; charset=utf-8"),
    back("content-encoding", "RFC 9110 8.4", "Content-Encoding: gzip"),
    back("content-language", "RFC 9110 8.5", "Content-Language: de, en"),
    back("location", "RFC 9110 10.2.2", "Location: /a?b#c", status="302 Found"),
    back("retry-after", "RFC 9110 10.2.3", "Retry-After: 120", status="503 Service Unavailable"),
    back("link", "RFC 8288 3", "Link: </a>; rel=\"b c\", </d>; rel=e"),
    back("age", "RFC 9111 5.1", "Age: 5"),
    back("expires", "RFC 9111 5.3", "Expires: 0"),
    back("accept-ranges", "RFC 9110 14.3", "Accept-Ranges: bytes"),
    back("lines", "RFC 9110 5.3", "X-List: a, b", "X-List: c", "X-List: \"d, e\""),
    back("no-transform", "RFC 9110 7.7", "Cache-Control: no-transform"),
    Case("octets", "RFC 9110 6.4", "content of every byte", get(),
         response=reply("Content-Length: 256", body=OCTETS), must=whole(OCTETS)),
    Case("octets-chunked", "RFC 9110 6.4", "the same in chunks", get(),
         response=reply(TE, body=chunks(OCTETS, 7)), must=whole(OCTETS)),
    Case("octets-until-close", "RFC 9112 6.3", "the same until the connection ends", get(),
         response=(reply(body=OCTETS), CLOSE), must=whole(OCTETS)),
    Case("large", "RFC 9110 6.4", "300,000 bytes", get(), response=reply(SIZED, body=LARGE),
         must=whole(LARGE, framing("length"))),
    Case("large-chunked", "RFC 9112 7.1", "300,000 bytes in chunks", get(),
         response=reply(TE, body=chunks(LARGE, 20000)), must=whole(LARGE)),
    Case("large-until-close", "RFC 9112 6.3", "300,000 bytes until the connection ends", get(),
         response=(reply(body=LARGE), CLOSE), must=whole(LARGE)),
    Case("large-http10", "RFC 9112 6.1", "for a client of HTTP/1.0",
         get(line="GET /x HTTP/1.0"), response=reply(TE, body=chunks(LARGE, 20000)),
         must=whole(LARGE, lambda seen: "Transfer-Encoding came" if seen.answer.all(
             "transfer-encoding") else None)),
    Case("large-cut", "RFC 9112 8", "300,000 bytes but for the last", get(),
         response=(reply(SIZED, body=LARGE[:-1]), CLOSE), must=cut),
    Case("large-cut-early", "RFC 9112 8", "300,000 bytes, of which half comes", get(),
         response=(reply(SIZED, body=LARGE[:150000]), CLOSE), must=cut),
    Case("large-cut-chunk", "RFC 9112 8", "a large chunk but for its last byte", get(),
         response=(reply(TE, body=chunks(LARGE, len(LARGE))[:-8]), CLOSE), must=cut),
    Case("large-extra", "RFC 9112 6.3", "a response behind 300,000 bytes", get(), trailing=True,
         response=reply(SIZED, body=LARGE) + POISON, must=both(common, in_sync, whole(LARGE)),
         safe=not_reused),
    Case("large-extra-one", "RFC 9112 6.3", "one byte behind 300,000", get(), trailing=True,
         response=reply(SIZED, body=LARGE) + b"!", must=both(common, in_sync, whole(LARGE)),
         safe=not_reused),
    Case("large-extra-chunked", "RFC 9112 6.3", "a response behind large chunks", get(),
         trailing=True, response=reply(TE, body=chunks(LARGE, 100000)) + POISON,
         must=both(common, in_sync, whole(LARGE)), safe=not_reused),
    Case("large-head", "RFC 9110 9.3.2", "a large length to HEAD",
         get(line="HEAD /x HTTP/1.1"), response=reply(SIZED), must=answer(200, got_body(b""))),
    Case("early-answer", "RFC 9112 9.3", "an answer before the content, and no more reading",
         post("Content-Length: 5000", body=LARGE[:5000]), early=True,
         response=(reply("Content-Length: 2", status="413 Content Too Large", body="ok"), CLOSE),
         must=both(common, in_sync), safe=answer(413)),
]

GROUPS = [
    Group("onward", "From end to end: requests", "requests", tuple(REQUESTS)),
    Group("back", "From end to end: responses", "responses", tuple(RESPONSES)),
]
