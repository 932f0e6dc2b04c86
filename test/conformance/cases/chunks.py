# SPDX-License-Identifier: Apache-2.0
"""Chunked content of requests: sizes, extensions, ends, trailers."""
from conformance.table import Case, Group, chunked, smuggled
from conformance.verdicts import (
    body,
    either,
    forward,
    no_trailer,
    refuse,
    unmerged,
    unserved,
)

END = "0\r\n\r\n"
S = "RFC 9112 7.1"


def bad(name, content, says, section=S, **more):
    """What one parser may take for another size or end than the next."""
    return Case(name, section, says, chunked(content), safe=refuse(), house=refuse(400), **more)


def too_large(name, size, says):
    return Case(name, S, says, chunked(f"{size}\r\nhello\r\n{END}"), must=unserved,
                house=refuse(400))


def good(name, content, says, expected=b"hello", section=S):
    return Case(name, section, says, chunked(content), must=forward(body(expected)))


SIZES = [
    good("one", "5\r\nhello\r\n" + END, "one chunk"),
    good("several", "1\r\nh\r\n2\r\nel\r\n2\r\nlo\r\n" + END, "several chunks"),
    good("none", END, "only the last chunk", b""),
    good("letters", "a\r\n0123456789\r\nA\r\n0123456789\r\n" + END, "digits in either case",
         b"01234567890123456789"),
    good("zeros", "005\r\nhello\r\n" + END, "leading zeros"),
    good("last-zeros", "5\r\nhello\r\n000\r\n\r\n", "a last chunk of several zeros"),
    good("framing-inside", "b\r\n\r\n0\r\n\r\nabcd\r\n" + END, "data that reads like an end",
         b"\r\n0\r\n\r\nabcd"),
    good("request-inside", f"{len(smuggled()):x}\r\n{smuggled().decode()}\r\n{END}",
         "data that reads like a request", smuggled()),
    Case("many-zeros", S, "very many leading zeros",
         chunked("0" * 40 + "5\r\nhello\r\n" + END),
         must=either(forward(body(b"hello")), refuse())),
    bad("empty", "\r\nhello\r\n" + END, "no size"),
    bad("not-hex", "5g\r\nhello\r\n" + END, "a letter that is no digit"),
    bad("word", "five\r\nhello\r\n" + END, "a word"),
    bad("0x", "0x5\r\nhello\r\n" + END, "the prefix 0x"),
    bad("h", "5h\r\nhello\r\n" + END, "the suffix h"),
    bad("plus", "+5\r\nhello\r\n" + END, "a sign"),
    bad("minus", "-5\r\nhello\r\n" + END, "a negative size"),
    bad("minus-zero", "5\r\nhello\r\n-0\r\n\r\n", "a negative zero as the last"),
    bad("space-before", " 5\r\nhello\r\n" + END, "a space before it"),
    bad("tab-before", "\t5\r\nhello\r\n" + END, "a tab before it"),
    bad("space-inside", "0 5\r\nhello\r\n" + END, "a space inside"),
    bad("underscore", "0_5\r\nhello\r\n" + END, "an underscore"),
    bad("dot", "5.0\r\nhello\r\n" + END, "a fraction"),
    bad("comma", "5,5\r\nhello\r\n" + END, "a list"),
    bad("nul", "5\0\r\nhello\r\n" + END, "a NUL behind it"),
    bad("vt", "5\x0b\r\nhello\r\n" + END, "a vertical tab behind it"),
    bad("beyond-ascii", "\xb5\r\nhello\r\n" + END, "a byte beyond ASCII"),
    Case("space-behind", S, "white space behind it was let through by old servers",
         chunked("5 \r\nhello\r\n" + END), must=either(forward(body(b"hello")), refuse()),
         safe=either(forward(body(b"hello")), refuse())),
    Case(
        "uint32", S, "2^32 + 5 is not 5", chunked("100000005\r\nhello\r\n" + END + "x"),
        must=unserved, leaves=True),
    too_large("int64", "8000000000000005", "2^63 + 5 is not 5"),
    too_large("uint64", "10000000000000005", "2^64 + 5 is not 5"),
    too_large("huge", "f" * 40, "forty digits"),
    too_large("uint64-last", "10000000000000000", "2^64 is not the last chunk"),
    too_large("negative-wrap", "fffffffffffffffe", "the largest there is"),
]

ENDS = [
    bad("lf-size", "5\nhello\r\n" + END, "a bare LF behind the size"),
    bad("cr-size", "5\rhello\r\n" + END, "a bare CR behind the size"),
    bad("crcr-size", "5\r\r\nhello\r\n" + END, "two CRs behind the size"),
    bad("lf-data", "5\r\nhello\n" + END, "a bare LF behind the data"),
    bad("cr-data", "5\r\nhello\r" + END, "a bare CR behind the data"),
    bad("no-end", "5\r\nhello" + END, "nothing behind the data"),
    bad("long-data", "5\r\nhello!\r\n" + END, "data longer than its size"),
    bad("short-data", "6\r\nhello\r\n" + END, "data shorter than its size"),
    bad("two-ends", "5\r\nhello\r\n\r\n" + END, "an empty line behind the data"),
    bad("lf-last", "5\r\nhello\r\n0\n\r\n", "a bare LF behind the last size"),
    bad("lf-final", "5\r\nhello\r\n0\r\n\n", "a bare LF as the final line"),
    bad("lf-only", "5\nhello\n0\n\n", "bare LFs throughout"),
    bad("lf-more", "5\r\nhello\r\n0\n\nX-A: b\r\n\r\n", "lines behind an end of bare LFs"),
    bad("cr-space", "5\r \nhello\r\n" + END, "a space between CR and LF"),
    Case("cut-data", "RFC 9112 8", "the client leaves within a chunk",
         chunked("5\r\nhell"), leaves=True,
         must=unserved),
    Case("cut-last", "RFC 9112 8", "the client leaves before the last chunk",
         chunked("5\r\nhello\r\n"), leaves=True,
         must=unserved),
    Case("cut-zero", "RFC 9112 8", "the client leaves within the end",
         chunked("5\r\nhello\r\n0\r\n"), leaves=True,
         must=unserved),
]


def extension(name, text, says):
    return Case(name, "RFC 9112 7.1.1", says, chunked(f"5{text}\r\nhello\r\n{END}"),
                must=forward(body(b"hello")))


def bad_extension(name, text, says, **more):
    """Its grammar is broken where parsers have been misled about the end of the line."""
    return Case(name, "RFC 9112 7.1.1", says,
                chunked(f"5{text}\r\nhello\r\n{END}"), **more)


REFUSED = {"safe": refuse(), "house": refuse(400)}
HARMLESS = {"must": either(forward(body(b"hello")), refuse())}
EXTENSIONS = [
    extension("name", ";a", "an unknown extension is ignored"),
    extension("value", ";a=b", "with a value"),
    extension("quoted", ';a="b c"', "with a quoted value"),
    extension("several", ";a=b;c=d;e", "several"),
    extension("quoted-escape", ';a="b\\"c"', "with an escaped quote"),
    Case("on-last", "RFC 9112 7.1.1", "on the last chunk",
         chunked("5\r\nhello\r\n0;a=b\r\n\r\n"), must=forward(body(b"hello"))),
    bad_extension("space", " ; a = b", "white space where the grammar has it for bad senders",
                  **HARMLESS),
    bad_extension("empty", ";", "an empty name", **HARMLESS),
    bad_extension("no-value", ";a=", "an empty value", **HARMLESS),
    bad_extension("long", ";a=" + "b" * 20000, "of 20,000 bytes",
                  must=either(forward(body(b"hello")), refuse()), safe=refuse()),
    bad_extension("open-quote", ';a="b', "a quote that is not closed", **HARMLESS),
    bad_extension("lf", ";a\nb", "a bare LF inside", **REFUSED),
    bad_extension("cr", ";a\rb", "a bare CR inside", must=either(refuse(), forward()), **REFUSED),
    bad_extension("nul", ";a=\0", "a NUL inside", must=either(forward(body(b"hello")), refuse()),
                  safe=refuse(), house=refuse(400)),
    bad_extension("lf-first", ";\n", "a bare LF behind the semicolon", **REFUSED),
    Case("lf-smuggles", "RFC 9112 7.1.1", "a LF in an extension that hides another chunk",
         chunked("2;\nxx\r\n4c\r\n0\r\n\r\n" + smuggled().decode() + "\r\n0\r\n\r\n"),
         safe=refuse(), house=refuse(400)),
    Case("quoted-crlf", "RFC 9112 7.1.1", "a line's end inside quotes is a line's end",
         chunked('5;a="\r\nhello\r\n0\r\n\r\n'), must=either(forward(body(b"hello")), refuse())),
]

FRAMING_FIELDS = [("content-length", "5"), ("transfer-encoding", "chunked"), ("host", "b.test"),
                  ("connection", "close"), ("authorization", "Basic YTpi"), ("te", "trailers"),
                  ("content-type", "text/html"), ("content-encoding", "gzip"),
                  ("expect", "100-continue"), ("max-forwards", "0"), ("cookie", "a=b"),
                  ("range", "bytes=0-1"), ("trailer", "x-a"), ("upgrade", "h2c"),
                  ("cache-control", "no-store"), ("x-forwarded-for", "10.0.0.1")]


def forbidden(name, value):
    verdict = either(forward(body(b"hello"), no_trailer(name)), refuse())
    if name == "host":
        def verdict_host(seen):
            request = seen.requests[0]
            return None if request.all("host") == ["a.test"] else "the trailer became Host"
        verdict = either(forward(body(b"hello"), verdict_host), refuse())
    if name in ("x-forwarded-for", "connection", "transfer-encoding", "content-length"):
        def check(seen, name=name, value=value):
            request = seen.requests[0]
            if any(known == name for known, _ in request.trailers):
                return f"{name} reached the service as a trailer"
            return ("the trailer became a field" if name == "x-forwarded-for"
                    and value in request.all(name) else None)
        verdict = either(forward(body(b"hello"), check), refuse())
    return Case(f"names-{name}", "RFC 9110 6.5.1", f"{name} has no meaning as a trailer",
                chunked(f"5\r\nhello\r\n0\r\n{name}: {value}\r\n\r\n"),
                must=either(forward(body(b"hello")), refuse()), safe=verdict)


def bad_trailer(name, line, says, section="RFC 9112 7.1.2"):
    return Case(name, section, says, chunked(f"5\r\nhello\r\n0\r\n{line}\r\n\r\n"),
                must=either(refuse(), forward(body(b"hello"))), house=refuse(400))


TRAILERS = [
    Case("plain", "RFC 9110 6.5.1", "a trailer is dropped or passed on, not made a field",
         chunked("5\r\nhello\r\n0\r\nX-Check: abc\r\n\r\n", "Trailer: X-Check"),
         must=forward(body(b"hello"), unmerged("x-check"))),
    Case("several", "RFC 9110 6.5.1", "several, unannounced",
         chunked("5\r\nhello\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n"),
         must=forward(body(b"hello"), unmerged("x-a"), unmerged("x-c"))),
    *[forbidden(*row) for row in FRAMING_FIELDS],
    bad_trailer("no-colon", "nonsense", "no colon"),
    bad_trailer("space-colon", "X-A : b", "a space before the colon"),
    bad_trailer("empty-name", ": b", "an empty name"),
    bad_trailer("bad-name", "X(A: b", "a bracket in the name"),
    bad_trailer("nul", "X-A: \0", "a NUL in the value", "RFC 9110 5.5"),
    bad_trailer("cr", "X-A: a\rb", "a bare CR in the value", "RFC 9112 2.2"),
    bad_trailer("lf", "X-A: a\nX-B: b", "a bare LF ends a trailer"),
    Case("lf-hides", "RFC 9112 7.1.2", "lines behind trailers that bare LFs end",
         chunked("5\r\nhello\r\n0\r\nX-A: a\n\nX-B: b\r\n\r\n"), safe=refuse(), house=refuse(400)),
    Case("folded", "RFC 9112 5.2", "a folded trailer",
         chunked("5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
         must=either(refuse(400), forward(body(b"hello"))), house=refuse(400)),
    Case("long", "RFC 9110 5.4", "a trailer of 100,000 bytes has a limit",
         chunked("5\r\nhello\r\n0\r\nX-A: " + "b" * 100000 + "\r\n\r\n"), safe=refuse()),
    Case("many", "RFC 9110 5.4", "five thousand trailers have a limit",
         chunked("5\r\nhello\r\n0\r\n" + "X-A: b\r\n" * 5000 + "\r\n"), safe=refuse()),
]

GROUPS = [
    Group("chunk-size", "Chunk sizes", "requests", tuple(SIZES)),
    Group("chunk-end", "Ends of chunks", "requests", tuple(ENDS)),
    Group("chunk-extension", "Chunk extensions", "requests", tuple(EXTENSIONS)),
    Group("trailer", "Trailers of requests", "requests", tuple(TRAILERS)),
]
