# SPDX-License-Identifier: Apache-2.0
"""Where a response ends, and what becomes of a connection on which one did not."""
from conformance.table import CLOSE, OK, RESET, TE, Case, Group, get, reply
from conformance.verdicts import (
    answer,
    both,
    common,
    cut,
    either,
    got,
    got_body,
    in_sync,
    not_got,
    not_reused,
)

POISON = reply("Content-Length: 8", "X-Smuggled: yes", body="smuggled")
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SAFE = both(common, in_sync)


def case(name, section, says, *steps, line="GET /x HTTP/1.1", **more):
    return Case(name, section, says, get(line=line), response=steps, **more)


def length(*fields, body=b"hello"):
    return reply(*fields, body=body)


def whole(*checks):
    return answer(200, got_body(b"hello"), *checks)


def bad_gateway(name, section, says, *steps, must=None, **more):
    """A response that must not be believed: 502, and nothing of it."""
    return case(name, section, says, *steps, must=must or both(answer(502), not_reused), **more)


S = "RFC 9112 6.3"
FRAMING = [
    case("length", S, "a known length", length("Content-Length: 5"),
         must=whole(got("content-length", "5"))),
    case("chunked", S, "chunks", reply(TE, body=HELLO), must=whole()),
    case("chunked-pieces", "RFC 9112 7.1", "small chunks, extensions",
         reply(TE, body=b"1;a=b\r\nh\r\n4\r\nello\r\n000\r\n\r\n"), must=whole()),
    case("until-close", S, "until the connection ends", length(), CLOSE, must=whole()),
    case("zero", S, "a length of 0", reply("Content-Length: 0"), must=answer(200, got_body(b""))),
    case("cl-te", S, "both: chunked counts, and the length is dropped",
         reply("Content-Length: 3", TE, body=HELLO),
         must=either(both(whole(not_got("content-length")), not_reused), answer(502)),
         safe=answer(502), house=answer(502)),
    case("te-cl", S, "the same in the other order",
         reply(TE, "Content-Length: 3", body=HELLO),
         must=either(both(whole(not_got("content-length")), not_reused), answer(502)),
         safe=answer(502)),
    case("te-cl-long", S, "a length beyond the chunks",
         reply(TE, "Content-Length: 300", body=HELLO),
         must=either(whole(not_got("content-length")), answer(502)), safe=answer(502)),
    case("te-cl-poison", S, "both, with a response behind the shorter end",
         reply("Content-Length: 5", TE, body=b"5\r\nhello\r\n0\r\n\r\n" + POISON), trailing=True,
         must=either(both(whole(), not_reused), answer(502), cut)),
    bad_gateway("two-lengths", S, "two lengths that differ",
                length("Content-Length: 5", "Content-Length: 3")),
    bad_gateway("two-lengths-list", S, "a list of two", length("Content-Length: 5, 3")),
    case("two-lengths-equal", S, "two equal lengths: 502, or made one",
         length("Content-Length: 5", "Content-Length: 5"),
         must=either(answer(502), whole(got("content-length", "5"))), house=answer(502)),
    case("list-equal", S, "a list of equal values: 502, or made one",
         length("Content-Length: 5, 5"),
         must=either(answer(502), whole(got("content-length", "5"))), house=answer(502)),
    *[bad_gateway(f"length-{name}", S, f"Content-Length is {says}",
                  length(f"Content-Length: {value}"), CLOSE)
      for name, value, says in [
          ("plus", "+5", "signed"), ("minus", "-5", "negative"), ("hex", "0x5", "hexadecimal"),
          ("letters", "five", "a word"), ("fraction", "5.0", "a fraction"), ("empty", "", "empty"),
          ("space", "5 5", "two numbers"), ("huge", "9" * 30, "beyond any integer"),
          ("uint64", "18446744073709551621", "2^64 + 5"), ("vt", "\x0b5", "behind a control byte"),
          ("comma", "5,", "a list with an empty element")]],
    case("te-unknown", S, "an unknown coding: until the connection ends",
         reply("Transfer-Encoding: foo", body="hello"), CLOSE,
         must=either(answer(502), answer(200)), house=answer(502)),
    case("te-identity", S, "identity", reply("Transfer-Encoding: identity", body="hello"), CLOSE,
         must=either(answer(502), whole()), house=answer(502)),
    case("te-not-last", S, "chunked before another coding",
         reply("Transfer-Encoding: chunked, foo", body=HELLO), CLOSE,
         must=either(answer(502), both(SAFE, answer(200))), house=answer(502)),
    case("te-twice", "RFC 9112 6.1", "chunked twice",
         reply(TE, TE, body=HELLO), CLOSE, must=either(answer(502), cut, SAFE),
         safe=either(answer(502), cut), house=answer(502)),
    case("te-list-twice", "RFC 9112 6.1", "chunked twice in a list",
         reply("Transfer-Encoding: chunked, chunked", body=HELLO), CLOSE,
         must=either(answer(502), cut, SAFE), house=answer(502)),
    case("te-case", "RFC 9112 7", "codings have no case",
         reply("Transfer-Encoding: CHUNKED", body=HELLO), must=either(whole(), answer(502))),
    case("te-http10", "RFC 9112 6.1", "a coding in HTTP/1.0: faulty framing",
         reply(TE, body=HELLO, version="HTTP/1.0"), CLOSE,
         must=either(answer(502), both(not_reused, answer(200)), cut), safe=answer(502),
         house=answer(502)),
    case("http10-length", "RFC 9112 2.3", "an answer of HTTP/1.0",
         reply("Content-Length: 5", body="hello", version="HTTP/1.0"), CLOSE,
         must=whole(lambda seen: None if seen.answer.version == "HTTP/1.1"
                    else "the version was passed on")),
    case("http10-until-close", "RFC 9112 2.3", "an answer of HTTP/1.0 without length",
         reply(body="hello", version="HTTP/1.0"), CLOSE, must=whole()),
]


def bad_chunk(name, text, says, section="RFC 9112 7.1", close=True):
    """The client must be able to see that the content is not whole."""
    steps = [reply(TE, body=text)] + ([CLOSE] if close else [])
    if section == "RFC 9112 8" or name in ("size-uint64", "size-huge"):
        return case(name, section, says, *steps, must=cut)
    return case(name, section, says, *steps, must=either(cut, answer(200)), safe=cut)


BAD_CHUNKS = [
    bad_chunk("size-not-hex", "5\r\nhello\r\nxyz\r\n", "a size that is none"),
    bad_chunk("size-empty", "\r\nhello\r\n0\r\n\r\n", "no size"),
    bad_chunk("size-minus", "-5\r\nhello\r\n0\r\n\r\n", "a negative size"),
    bad_chunk("size-plus", "+5\r\nhello\r\n0\r\n\r\n", "a sign"),
    bad_chunk("size-0x", "0x5\r\nhello\r\n0\r\n\r\n", "a prefix"),
    bad_chunk("size-space", " 5\r\nhello\r\n0\r\n\r\n", "a space before it"),
    bad_chunk("size-uint64", "10000000000000005\r\nhello\r\n0\r\n\r\n", "2^64 + 5"),
    bad_chunk("size-huge", "f" * 40 + "\r\nhello\r\n0\r\n\r\n", "forty digits"),
    bad_chunk("data-long", "5\r\nhello!\r\n0\r\n\r\n", "data beyond its size"),
    bad_chunk("data-no-end", "5\r\nhello0\r\n\r\n", "no end behind the data"),
    bad_chunk("data-lf", "5\r\nhello\n0\r\n\r\n", "a bare LF behind the data"),
    bad_chunk("size-cr", "5\rhello\r\n0\r\n\r\n", "a bare CR behind the size"),
    bad_chunk("nul", "5\0\r\nhello\r\n0\r\n\r\n", "a NUL behind the size"),
    bad_chunk("cut-size", "5\r\nhello\r\n5", "ends within a size", "RFC 9112 8"),
    bad_chunk("cut-data", "5\r\nhell", "ends within a chunk", "RFC 9112 8"),
    bad_chunk("cut-data-end", "5\r\nhello", "ends behind a chunk's data", "RFC 9112 8"),
    bad_chunk("cut-last", "5\r\nhello\r\n", "ends before the last chunk", "RFC 9112 8"),
    bad_chunk("cut-end", "5\r\nhello\r\n0\r\n", "ends before the final line", "RFC 9112 8"),
    bad_chunk("cut-trailer", "5\r\nhello\r\n0\r\nX-A: b\r\n", "ends within the trailers",
              "RFC 9112 8"),
    case("cut-reset", "RFC 9112 8", "broken off within a chunk",
         reply(TE, body="5\r\nhell"), RESET, must=cut),
    case("cut-length", "RFC 9112 8", "ends before its length",
         reply("Content-Length: 50", body="hello"), CLOSE, must=cut),
    case("cut-length-one", "RFC 9112 8", "ends one byte before its length",
         reply("Content-Length: 6", body="hello"), CLOSE, must=cut),
    case("cut-length-none", "RFC 9112 8", "ends before any content",
         reply("Content-Length: 5"), CLOSE, must=cut),
    case("cut-length-reset", "RFC 9112 8", "broken off before its length",
         reply("Content-Length: 50", body="hello"), RESET, must=cut),
    case("cut-head", "RFC 9112 8", "ends within the head",
         b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE, must=cut),
    case("cut-head-line", "RFC 9112 8", "ends behind a field",
         b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", CLOSE, must=cut),
    case("cut-nothing", "RFC 9112 8", "ends without a byte", CLOSE, must=cut,
         line="POST /x HTTP/1.1"),
    case("cut-interim", "RFC 9112 8", "ends behind a 1xx", reply(status="103 Early Hints"), CLOSE,
         must=cut, line="POST /x HTTP/1.1"),
    case("ext-lf", "RFC 9112 7.1.1", "a bare LF in an extension",
         reply(TE, body="5;a\nb\r\nhello\r\n0\r\n\r\n"), CLOSE,
         must=either(cut, answer(200)), safe=cut),
    case("size-lf", "RFC 9112 7.1", "a bare LF behind the size",
         reply(TE, body="5\nhello\r\n0\r\n\r\n"), CLOSE, must=either(cut, whole()), safe=cut),
]


def extra(name, says, *steps, line="GET /x HTTP/1.1", more=None):
    """Bytes behind a complete response never become the answer to another request."""
    return Case(name, "RFC 9112 6.3", says, get(line=line), response=steps, trailing=True,
                must=more or SAFE, safe=not_reused)


EXTRA = [
    extra("length", "a response behind one of known length",
          reply("Content-Length: 5", body="hello") + POISON),
    extra("chunked", "behind a chunked one", reply(TE, body=HELLO) + POISON),
    extra("zero", "behind an empty one", reply("Content-Length: 0") + POISON),
    extra("204", "behind a 204", reply(status="204 No Content") + POISON),
    extra("304", "behind a 304", reply("Content-Length: 5", status="304 Not Modified") + POISON),
    extra("head", "behind an answer to HEAD", reply("Content-Length: 5") + POISON,
          line="HEAD /x HTTP/1.1"),
    extra("head-chunked", "behind a chunked one to HEAD", reply(TE) + POISON,
          line="HEAD /x HTTP/1.1"),
    extra("junk", "bytes that are no response",
          reply("Content-Length: 5", body="hello") + b"world"),
    extra("crlf", "an empty line behind it", reply("Content-Length: 5", body="hello") + b"\r\n"),
    extra("one-byte", "one byte", reply("Content-Length: 5", body="hello") + b"!"),
    extra("two", "two responses", OK + POISON + POISON),
    extra("interim", "a 100 behind it", OK + reply(status="100 Continue")),
    extra("chunked-twice", "a second end of chunks", reply(TE, body=HELLO + b"0\r\n\r\n")),
    extra("error", "behind an error", reply("Content-Length: 0", status="500 Oops") + POISON),
    extra("pieces", "sent apart", reply("Content-Length: 5", body="hell"), b"o", POISON),
    Case("asked-close", "RFC 9112 9.6", "a service that says close is not asked again there",
         get(), response=reply("Content-Length: 2", "Connection: close", body="ok"),
         must=both(answer(200), not_reused)),
    Case("http10", "RFC 9112 9.3", "nor one of HTTP/1.0",
         get(), response=reply("Content-Length: 2", body="ok", version="HTTP/1.0"),
         must=both(answer(200), not_reused)),
]

GROUPS = [
    Group("response-framing", "Where responses end", "responses", tuple(FRAMING)),
    Group("response-cut", "Responses that are not whole", "responses", tuple(BAD_CHUNKS)),
    Group("response-extra", "Bytes behind a response", "responses", tuple(EXTRA)),
]
