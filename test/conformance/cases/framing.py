# SPDX-License-Identifier: Apache-2.0
"""Where a request ends: Content-Length and Transfer-Encoding."""
from conformance.table import CL5, TE, Case, Group, get, post, smuggled
from conformance.verdicts import (
    body,
    either,
    forward,
    method,
    refuse,
    sent,
    unsent,
    unserved,
)

EMPTY = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
HIDDEN = EMPTY + smuggled()
TE_WINS = either(refuse(), forward(closes=True))


def both_fields(name, fields, content, says):
    """Content-Length and Transfer-Encoding in one message."""
    return Case(name, "RFC 9112 6.1, 6.3", says, post(*fields, body=content), must=TE_WINS,
                safe=refuse(), house=refuse(400))


TOGETHER = [
    both_fields("cl-te", [CL5, TE], EMPTY, "Content-Length, then Transfer-Encoding"),
    both_fields("te-cl", [TE, CL5], EMPTY, "Transfer-Encoding, then Content-Length"),
    both_fields("cl0-te", ["Content-Length: 0", TE], EMPTY, "a length of 0 beside chunked"),
    both_fields("te-cl0", [TE, "Content-Length: 0"], EMPTY, "chunked beside a length of 0"),
    both_fields("cl-exact", ["Content-Length: 5", TE], EMPTY, "a length that is the raw size"),
    both_fields("cl-covers-smuggled", [f"Content-Length: {len(HIDDEN)}", TE], HIDDEN,
                "a length that covers what chunked ends before"),
    both_fields("te-covers-smuggled", [TE, f"Content-Length: {len(HIDDEN)}"], HIDDEN,
                "the same in the other order"),
    both_fields("cl-short", ["Content-Length: 4", TE], b"2b\r\n" + smuggled() + b"\r\n0\r\n\r\n",
                "a length that ends before a chunk whose data reads as a request"),
    both_fields("apart", [CL5, "X-A: b", TE], EMPTY, "with a field between them"),
    both_fields("cl-te-case", [CL5, "TRANSFER-ENCODING: chunked"], EMPTY, "names in capitals"),
    both_fields("cl-te-value-case", [CL5, "Transfer-Encoding: CHUNKED"], EMPTY,
                "chunked in capitals"),
    both_fields("cl-te-tab", [CL5, "Transfer-Encoding:\tchunked"], EMPTY, "a tab before chunked"),
    both_fields("cl-te-trailing", [CL5, "Transfer-Encoding: chunked \t"], EMPTY,
                "white space behind chunked"),
    both_fields("cl-te-no-space", [CL5, "Transfer-Encoding:chunked"], EMPTY,
                "no space before chunked"),
    both_fields("cl-cl-te", [CL5, CL5, TE], EMPTY, "the length twice, then chunked"),
    both_fields("cl-te-cl", [CL5, TE, "Content-Length: 6"], EMPTY, "chunked between two lengths"),
    both_fields("cl-te-te", [CL5, TE, TE], EMPTY, "a length and chunked twice"),
    Case("get", "RFC 9112 6.1, 6.3", "a GET with both", get(CL5, TE, body=EMPTY), must=TE_WINS,
         safe=refuse(), house=refuse(400)),
    Case("cl-te-identity", "RFC 9112 6.1, 6.3", "a length beside the coding identity",
         post(CL5, "Transfer-Encoding: identity", body="hello"), must=refuse(),
         house=refuse(400)),
    Case("cl-te-unknown", "RFC 9112 6.1, 6.3", "a length beside an unknown coding",
         post(CL5, "Transfer-Encoding: xchunked", body="hello"), must=refuse(), house=refuse(400)),
    Case("cl-te-empty", "RFC 9112 6.1", "a length beside an empty Transfer-Encoding",
         post(CL5, "Transfer-Encoding:", body="hello"),
         must=either(refuse(), forward(unsent("transfer-encoding"), body(b"hello"))),
         safe=refuse(), house=refuse(400)),
    Case("cl-te-http10", "RFC 9112 6.1", "both in HTTP/1.0",
         post(CL5, TE, line="POST /x HTTP/1.0", body=EMPTY),
         must=TE_WINS, safe=refuse(), house=refuse(400)),
]

# What Content-Length is not: digits, and nothing else (RFC 9110 8.6).
BAD_LENGTHS = [
    ("empty", "", "nothing"), ("space", " ", "a space"), ("plus", "+5", "a sign"),
    ("minus", "-5", "a negative number"), ("minus-zero", "-0", "a negative zero"),
    ("hex", "0x5", "hexadecimal"), ("hex-digit", "5a", "a letter behind the digit"),
    ("letters", "five", "letters"), ("fraction", "5.0", "a fraction"),
    ("exponent", "5e0", "an exponent"), ("inner-space", "5 5", "two numbers and a space"),
    ("quoted", '"5"', "a quoted number"), ("semicolon", "5;a=b", "a parameter"),
    ("underscore", "0_5", "an underscore"), ("comma", ",5", "an empty element before it"),
    ("comma-behind", "5,", "an empty element behind it"),
    ("list-differs", "5, 6", "a list of two values"),
    ("list-tab", "5\t,\t6", "two values with tabs"),
    ("vt", "\x0b5", "a vertical tab"), ("ff", "5\x0c", "a form feed"),
    ("nbsp", "\xa05", "a byte that some take for a space"),
    ("arabic", "\xd9\xa5", "digits of another script"),
    ("superscript", "\xc2\xb5", "letters beyond ASCII"),
    ("int32", "4294967301", "2^32 + 5"), ("int64", "9223372036854775813", "2^63 + 5"),
    ("uint64", "18446744073709551621", "2^64 + 5"),
    ("huge", "9" * 40, "forty digits"), ("huge-zero", "1" + "0" * 64, "a number of 65 digits"),
]
BIG = {"int32"}  # legal, only that it will never come


def bad_length(name, value, says):
    wants = refuse(400)
    if name in BIG:
        return Case(name, "RFC 9110 8.6", f"Content-Length is {says}, and not 5",
                    post(f"Content-Length: {value}", body="hello"), must=unserved, leaves=True)
    overflow = name in ("int64", "uint64", "huge", "huge-zero")
    if overflow:
        wants = unserved
    return Case(name, "RFC 9110 8.6" if overflow else "RFC 9112 6.3",
                f"Content-Length is {says}",
                post(f"Content-Length: {value}", body=b"hello" + smuggled()),
                must=wants, house=refuse(400))


LENGTHS = [
    *[bad_length(*row) for row in BAD_LENGTHS],
    Case("zeros", "RFC 9110 8.6", "leading zeros are digits",
         post("Content-Length: 0005", body="hello"),
         must=either(forward(body(b"hello")), refuse(400))),
    Case("many-zeros", "RFC 9110 8.6", "very many leading zeros",
         post("Content-Length: " + "0" * 60 + "5", body="hello"),
         must=either(forward(body(b"hello")), refuse())),
    Case("twice-equal", "RFC 9112 6.3", "two equal fields: refused, or made one",
         post(CL5, CL5, body="hello"),
         must=either(refuse(400), forward(sent("content-length", "5"), body(b"hello"))),
         house=refuse(400)),
    Case("list-equal", "RFC 9112 6.3", "a list of equal values: refused, or made one",
         post("Content-Length: 5, 5", body="hello"),
         must=either(refuse(400), forward(sent("content-length", "5"), body(b"hello"))),
         house=refuse(400)),
    Case("twice-differs", "RFC 9112 6.3", "two fields that differ",
         post(CL5, "Content-Length: 6", body="hello!"), must=refuse(400)),
    Case("twice-smuggles", "RFC 9112 6.3", "two fields, of which the second hides a request",
         post("Content-Length: 0", f"Content-Length: {len(smuggled())}", body=smuggled()),
         must=refuse(400)),
    Case("twice-zeros", "RFC 9112 6.3", "two fields, equal but for a leading zero",
         post(CL5, "Content-Length: 05", body="hello"),
         must=either(refuse(400), forward(body(b"hello"))), safe=refuse(400)),
    Case("case", "RFC 9110 5.1", "the name in other letters",
         post("cONTENT-lENGTH: 5", body="hello"), must=forward(body(b"hello"))),
    Case("no-space", "RFC 9112 5", "no space behind the colon",
         post("Content-Length:5", body="hello"), must=forward(body(b"hello"))),
    Case("spaces", "RFC 9112 5", "white space around the value is none of it",
         post("Content-Length: \t 5 \t ", body="hello"), must=forward(body(b"hello"))),
    Case("zero", "RFC 9112 6.3", "a length of zero", post("Content-Length: 0"),
         must=forward(body(b""))),
    Case("none", "RFC 9112 6.3", "a POST without any has no content", post(),
         must=forward(body(b""))),
    Case("get-with", "RFC 9110 9.3.1", "a GET with content",
         get(CL5, body="hello"), must=either(forward(body(b"hello")), refuse())),
    Case("get-smuggles", "RFC 9112 6.3", "a GET whose content reads as a request",
         get(f"Content-Length: {len(smuggled())}", body=smuggled()),
         must=either(forward(body(smuggled())), refuse())),
    Case("short", "RFC 9112 8", "the client leaves before all of the content came",
         post("Content-Length: 50", body="hello"), leaves=True,
         must=unserved),
    Case("underscore-name", "RFC 9110 5.1", "Content_Length is another field",
         post("Content_Length: 5", CL5, body="hello"),
         must=either(forward(body(b"hello"), sent("content-length", "5")), refuse())),
]


def coding(name, value, says, section="RFC 9112 6.3", house=(400,), must=None):
    """A Transfer-Encoding whose last coding is not chunked, or that is no list of codings."""
    return Case(name, section, says, post(f"Transfer-Encoding: {value}", body=HELLO),
                must=must or refuse(), house=refuse(*house))


CHUNKED_ONLY = forward(body(b"hello"))
CODINGS = [
    Case("chunked", "RFC 9112 6.1", "chunked is understood", post(TE, body=HELLO),
         must=forward(body(b"hello"))),
    Case("case", "RFC 9112 7", "names of codings have no case",
         post("Transfer-Encoding: ChUnKeD", body=HELLO), must=either(CHUNKED_ONLY, refuse())),
    Case("name-case", "RFC 9110 5.1", "names of fields have no case",
         post("tRANSFER-eNCODING: chunked", body=HELLO), must=forward(body(b"hello"))),
    Case("tab", "RFC 9112 5", "a tab before the value",
         post("Transfer-Encoding:\tchunked", body=HELLO), must=forward(body(b"hello"))),
    Case("empty-elements", "RFC 9110 5.6.1", "empty elements of a list say nothing",
         post("Transfer-Encoding: , chunked", body=HELLO), must=either(CHUNKED_ONLY, refuse()),
         safe=either(forward(sent("transfer-encoding", "chunked")), refuse())),
    coding("twice", "chunked\r\nTransfer-Encoding: chunked", "chunked is applied once",
           "RFC 9112 6.1"),
    coding("twice-list", "chunked, chunked", "chunked is applied once, in a list", "RFC 9112 6.1",
           (400, 501)),
    coding("identity", "identity", "identity is no coding any more"),
    coding("identity-chunked", "identity, chunked", "identity before chunked", house=(501,),
           must=either(refuse(), CHUNKED_ONLY)),
    coding("chunked-identity", "chunked, identity", "chunked is not the last"),
    coding("chunked-gzip", "chunked, gzip", "chunked before gzip"),
    coding("gzip", "gzip", "no chunked at all"),
    coding("unknown", "xchunked", "an unknown coding"),
    coding("prefix", "chunk", "a prefix of chunked"),
    coding("suffix", "chunkedd", "chunked and a letter"),
    coding("quoted", '"chunked"', "chunked in quotes"),
    coding("single-quoted", "'chunked'", "chunked in other quotes"),
    coding("empty", "", "nothing", must=either(refuse(), forward(unsent("transfer-encoding")))),
    coding("comma", ",", "an empty list", must=either(refuse(),
                                                      forward(unsent("transfer-encoding")))),
    coding("vt", "\x0bchunked", "a vertical tab before it"),
    coding("ff", "chunked\x0c", "a form feed behind it"),
    coding("nul", "chunked\0", "a NUL behind it"),
    coding("nbsp", "\xa0chunked", "a byte that some take for a space"),
    coding("parameter", "chunked;q=1", "a parameter", "RFC 9112 7"),
    coding("space-inside", "chun ked", "a space inside"),
    coding("spaced-list", "chunked x", "two words"),
    coding("semicolon", "chunked;", "a semicolon"),
    coding("cr", "\rchunked", "a bare CR before it", "RFC 9112 2.2"),
    coding("lf", "\nchunked", "a bare LF before it", "RFC 9112 5.2"),
    coding("folded", "\r\n chunked", "on a folded line", "RFC 9112 5.2",
           must=either(refuse(400), CHUNKED_ONLY)),
    Case("gzip-chunked", "RFC 9112 6.1", "a coding that is not understood: 501",
         post("Transfer-Encoding: gzip, chunked", body=HELLO),
         must=either(refuse(), forward(sent("transfer-encoding"))), safe=refuse(501, 400),
         house=refuse(501)),
    Case("unknown-chunked", "RFC 9112 6.1", "an unknown coding before chunked: 501",
         post("Transfer-Encoding: foo, chunked", body=HELLO),
         must=either(refuse(), forward(sent("transfer-encoding"))), safe=refuse(501, 400),
         house=refuse(501)),
    Case("chunked-then-unknown", "RFC 9112 6.3", "two lines, chunked first",
         post(TE, "Transfer-Encoding: foo", body=HELLO), must=refuse(), house=refuse(400)),
    Case("unknown-then-chunked", "RFC 9112 6.1", "two lines, chunked last",
         post("Transfer-Encoding: foo", TE, body=HELLO),
         must=either(refuse(), forward(sent("transfer-encoding"))), safe=refuse(501, 400)),
    Case("identity-then-chunked", "RFC 9112 6.1", "two lines, identity first",
         post("Transfer-Encoding: identity", TE, body=HELLO),
         must=either(refuse(), CHUNKED_ONLY), safe=refuse()),
    Case("space-colon", "RFC 9112 5.1", "a space before the colon",
         post("Transfer-Encoding : chunked", body=HELLO), must=refuse(400)),
    Case("underscore-name", "RFC 9110 5.1", "Transfer_Encoding is another field",
         post("Transfer_Encoding: chunked", CL5, body="hello"),
         must=either(refuse(), forward(body(b"hello"))),
         safe=either(refuse(), forward(unsent("transfer_encoding")))),
    Case("http10", "RFC 9112 6.1", "in HTTP/1.0 the framing is faulty: closed in any case",
         post(TE, line="POST /x HTTP/1.0", body=HELLO),
         must=either(refuse(), forward(closes=True)), safe=refuse(), house=refuse(400)),
    Case("http10-keep-alive", "RFC 9112 6.1", "in HTTP/1.0 that asks to be kept",
         post(TE, "Connection: keep-alive", line="POST /x HTTP/1.0", body=HELLO),
         must=either(refuse(), forward(closes=True)), safe=refuse()),
    Case("get", "RFC 9112 6.3", "a GET with chunked content", get(TE, body=HELLO),
         must=either(forward(method("GET"), body(b"hello")), refuse())),
    Case("nominated", "RFC 9110 7.6.1", "Connection cannot take the framing away",
         post(TE, "Connection: transfer-encoding", body=HELLO),
         must=either(forward(body(b"hello")), refuse())),
    Case("cl-nominated", "RFC 9110 7.6.1", "nor the length",
         post(CL5, "Connection: content-length", body="hello"),
         must=either(forward(body(b"hello")), refuse())),
]

GROUPS = [
    Group("cl-te", "Content-Length with Transfer-Encoding", "requests", tuple(TOGETHER)),
    Group("content-length", "Content-Length", "requests", tuple(LENGTHS)),
    Group("transfer-encoding", "Transfer-Encoding", "requests", tuple(CODINGS)),
]
