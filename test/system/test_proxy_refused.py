# SPDX-License-Identifier: Apache-2.0
"""What two HTTP parsers could read differently is refused, and the service never sees it."""
import contextlib
import socket

import pytest
from support.wire import Wire, reply

PATH = "@"  # stands for a path of the service


def get(*fields, line=f"GET {PATH} HTTP/1.1", host="Host: a\r\n"):
    return f"{line}\r\n{host}" + "".join(f"{field}\r\n" for field in fields) + "\r\n"


def post(*fields, body=""):
    return get(*fields, line=f"POST {PATH} HTTP/1.1") + body


def body(text):
    """A chunked body that is wrong."""
    return post("Transfer-Encoding: chunked", body=text)


CL5, TE = "Content-Length: 5", "Transfer-Encoding: chunked"

# What is wrong, the bytes, the status.
REFUSED = [
    # Content-Length and Transfer-Encoding together
    ("CL then TE", post(CL5, TE, body="0\r\n\r\n"), 400),
    ("TE then CL", post(TE, CL5, body="0\r\n\r\n"), 400),
    ("CL 0 and TE", post("Content-Length: 0", TE, body="0\r\n\r\n"), 400),
    # Content-Length
    ("CL twice, equal", post(CL5, CL5, body="hello"), 400),
    ("CL twice, different", post(CL5, "Content-Length: 6", body="hello"), 400),
    ("CL list", post("Content-Length: 5, 5", body="hello"), 400),
    ("CL empty", post("Content-Length:", body="hello"), 400),
    ("CL signed", post("Content-Length: +5", body="hello"), 400),
    ("CL negative", post("Content-Length: -5", body="hello"), 400),
    ("CL hex", post("Content-Length: 0x5", body="hello"), 400),
    ("CL fraction", post("Content-Length: 5.0", body="hello"), 400),
    ("CL inner space", post("Content-Length: 1 0", body="hello"), 400),
    ("CL quoted", post('Content-Length: "5"', body="hello"), 400),
    ("CL overflow", post("Content-Length: 18446744073709551621", body="hello"), 400),
    ("CL above int64", post("Content-Length: 9223372036854775808", body="hello"), 400),
    # Transfer-Encoding
    ("TE twice", post(TE, TE, body="0\r\n\r\n"), 400),
    ("TE chunked, chunked", post("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"), 501),
    ("TE identity", post("Transfer-Encoding: identity"), 400),
    ("TE gzip, chunked", post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501),
    ("TE chunked, gzip", post("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), 400),
    ("TE xchunked", post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), 400),
    ("TE empty", post("Transfer-Encoding:", body="0\r\n\r\n"), 400),
    ("TE with vertical tab", post("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"), 400),
    ("TE with parameter", post("Transfer-Encoding: chunked;a=b", body="0\r\n\r\n"), 400),
    ("TE in HTTP/1.0", get(TE, line=f"POST {PATH} HTTP/1.0") + "0\r\n\r\n", 400),
    # chunks
    ("chunk size empty", body("\r\n"), 400),
    ("chunk size no hex", body("5g\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk size 0x", body("0x5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk size signed", body("+5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk size overflow", body("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk size bare LF", body("5\nhello\r\n0\r\n\r\n"), 400),
    ("chunk extension bare CR", body("5;a=\rb\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk extension bare LF", body("5;a\nhello\r\n0\r\n\r\n"), 400),
    ("chunk longer than its size", body("5\r\nhellooo\r\n0\r\n\r\n"), 400),
    ("chunk data ends with LF", body("5\r\nhello\n0\r\n\r\n"), 400),
    ("chunk size behind space", body(" 5\r\nhello\r\n0\r\n\r\n"), 400),
    ("trailer without colon", body("0\r\nnonsense\r\n\r\n"), 400),
    ("trailer with NUL", body("0\r\nX-A: \0\r\n\r\n"), 400),
    # bytes of lines
    ("bare LF ends the request line", f"GET {PATH} HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("bare LF ends a field", f"GET {PATH} HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    ("bare LF ends the head", f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("bare CR in a value", get("X-A: a\rb"), 400),
    ("NUL in a value", get("X-A: a\0b"), 400),
    ("control byte in a value", get("X-A: a\x01b"), 400),
    ("DEL in a value", get("X-A: a\x7fb"), 400),
    ("NUL in a name", get("X\0A: b"), 400),
    ("space before the colon", get("X-A : b"), 400),
    ("space before CL's colon", post("Content-Length : 5", body="hello"), 400),
    ("name with a bracket", get("X(A: b"), 400),
    ("name beyond ASCII", get("X-\xe4: b"), 400),
    ("name empty", get(": b"), 400),
    ("no colon", get("X-A"), 400),
    ("folded line", get("X-A: a\r\n b"), 400),
    ("folded CL", post("Content-Length:\r\n 5", body="hello"), 400),
    ("space before the first field", f"GET {PATH} HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    # the request line
    ("two spaces", get(line=f"GET  {PATH} HTTP/1.1"), 400),
    ("tab between", get(line=f"GET\t{PATH} HTTP/1.1"), 400),
    ("leading space", get(line=f" GET {PATH} HTTP/1.1"), 400),
    ("space behind the version", get(line=f"GET {PATH} HTTP/1.1 "), 400),
    ("method with a bracket", get(line=f"GE(T {PATH} HTTP/1.1"), 400),
    ("no version", get(line=f"GET {PATH}"), 400),
    ("version 0.9", get(line=f"GET {PATH} HTTP/0.9"), 505),
    ("version 1.2", get(line=f"GET {PATH} HTTP/1.2"), 505),
    ("version 2.0", get(line=f"GET {PATH} HTTP/2.0"), 505),
    ("version in small letters", get(line=f"GET {PATH} http/1.1"), 400),
    ("version 1.10", get(line=f"GET {PATH} HTTP/1.10"), 400),
    ("version 1,1", get(line=f"GET {PATH} HTTP/1,1"), 400),
    # targets
    ("fragment", get(line=f"GET {PATH}#a HTTP/1.1"), 400),
    ("byte beyond ASCII", get(line=f"GET {PATH}\xe4 HTTP/1.1"), 400),
    ("control byte in the path", get(line=f"GET {PATH}\x01 HTTP/1.1"), 400),
    ("no leading slash", get(line="GET api/x HTTP/1.1"), 400),
    ("star with GET", get(line="GET * HTTP/1.1"), 400),
    ("another scheme", get(line="GET ftp://a/ HTTP/1.1"), 400),
    ("absolute with user", get(line="GET http://u@a/ HTTP/1.1"), 400),
    ("absolute with another host", get(line="GET http://b/ HTTP/1.1"), 400),
    ("CONNECT", get(line="CONNECT a:443 HTTP/1.1", host="Host: a:443\r\n"), 501),
    ("escaped slash", get(line=f"GET {PATH}a%2fb HTTP/1.1"), 400),
    ("escaped backslash", get(line=f"GET {PATH}a%5Cb HTTP/1.1"), 400),
    ("backslash", get(line=f"GET {PATH}a\\b HTTP/1.1"), 400),
    ("escaped NUL", get(line=f"GET {PATH}a%00 HTTP/1.1"), 400),
    ("escape cut short", get(line=f"GET {PATH}a%2 HTTP/1.1"), 400),
    ("escape no hex", get(line=f"GET {PATH}a%zz HTTP/1.1"), 400),
    ("overlong UTF-8", get(line=f"GET {PATH}%c0%ae%c0%ae/ HTTP/1.1"), 400),
    ("path parameter", get(line=f"GET {PATH}a;b=c HTTP/1.1"), 400),
    ("above the root", get(line=f"GET /..{PATH} HTTP/1.1"), 400),
    ("above the root, escaped", get(line=f"GET /%2e%2e{PATH} HTTP/1.1"), 400),
    # Host
    ("no Host", get(host=""), 400),
    ("Host twice", get("Host: a"), 400),
    ("Host empty", get(host="Host:\r\n"), 400),
    ("Host with a path", get(host="Host: a/b\r\n"), 400),
    ("Host with user", get(host="Host: u@a\r\n"), 400),
    ("Host with two ports", get(host="Host: a:1:2\r\n"), 400),
    ("Host with a large port", get(host="Host: a:65536\r\n"), 400),
    ("Host list", get(host="Host: a, b\r\n"), 400),
    # Connection, Expect
    ("Connection nominates Host", get("Connection: host"), 400),
    ("Connection nominates CL", post(CL5, "Connection: content-length", body="hello"), 400),
    ("Connection malformed", get("Connection: a b"), 400),
    ("unknown expectation", post(CL5, "Expect: miracles", body="hello"), 417),
    # limits
    ("request line too long", get(line=f"GET {PATH}{'a' * 9000} HTTP/1.1"), 414),
    ("field too long", get("X-A: " + "a" * 9000), 431),
    ("too many fields", get(*[f"X-{n}: a" for n in range(101)]), 431),
    ("head too large", get(*[f"X-{n}: {'a' * 4000}" for n in range(12)]), 431),
]


@pytest.fixture
def no_request(upstream):
    """Checks at the end that the service has seen no whole request."""
    yield upstream
    upstream.listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            wire = Wire(upstream.listener.accept()[0])
            seen = wire.rest()
            # A body that goes wrong late has begun to arrive; its end must never come.
            head, _, rest = seen.partition(b"\r\n\r\n")
            assert not seen or b"chunked" in head, seen
            assert not rest.endswith(b"0\r\n\r\n") and b"smuggled" not in seen, seen
            wire.close()


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "bytewise"])
@pytest.mark.parametrize("text, status", [row[1:] for row in REFUSED],
                         ids=[row[0] for row in REFUSED])
def test_what_is_malformed_is_refused(shared, name, no_request, text, status, is_whole):
    data = text.replace(PATH, f"/api/{name}/", 1).encode("latin-1")
    size = len(data) if is_whole else 1 + len(data) // 2000
    with Wire.connect(shared.edge) as client:
        with contextlib.suppress(ConnectionError):  # it may be refused before its end
            for at in range(0, len(data), size):
                client.send(data[at:at + size])
        head = client.head()
        assert head.status == status
        client.sock.shutdown(socket.SHUT_WR)
        client.rest()


# A path can be refused with the end of its request known, so these keep their connection.
KEPT = {"escaped slash", "escaped backslash", "backslash", "escaped NUL", "escape cut short",
        "escape no hex", "overlong UTF-8", "path parameter", "above the root",
        "above the root, escaped"}
CLOSED = [row for row in REFUSED if row[0] not in KEPT]


@pytest.mark.parametrize("text", [row[1] for row in CLOSED], ids=[row[0] for row in CLOSED])
def test_nothing_behind_it_is_read_as_a_request(shared, name, no_request, text):
    """The classic smuggle: whatever follows a refused request is not another one."""
    data = text.replace(PATH, f"/api/{name}/", 1)
    with Wire.connect(shared.edge) as client:
        try:
            client.send(data, f"GET /api/{name}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        except ConnectionError:
            return
        head, _ = client.answer()
        assert head.status >= 400
        assert head.get("connection") == "close"
        assert client.rest() == b""


ACCEPTED = [
    ("one empty line before it", "\r\n" + get()),
    ("no space behind the colon", get("X-A:b")),
    ("tabs around a value", get("X-A:\tb\t")),
    ("empty value", get("X-A:")),
    ("byte beyond ASCII in a value", get("X-A: \xe4")),
    ("absolute form", get(line=f"GET http://a{PATH} HTTP/1.1")),
    ("absolute form, large letters", get(line=f"GET HTTP://A{PATH} HTTP/1.1")),
    ("Host with a port", get(host="Host: a:8000\r\n")),
    ("Host of IPv6", get(host="Host: [::1]:8000\r\n")),
    ("leading zeros", post("Content-Length: 005", body="hello")),
    ("chunk sizes with zeros", body("00005\r\nhello\r\n000\r\n\r\n")),
    ("chunk extensions", body("5;a;b=c;d=\"e\"\r\nhello\r\n0;x\r\n\r\n")),
    ("trailers", body("5\r\nhello\r\n0\r\nX-A: b\r\n\r\n")),
    ("TE in large letters", post("Transfer-Encoding: CHUNKED", body="5\r\nhello\r\n0\r\n\r\n")),
    ("100 fields less ours", get(*[f"X-{n}: a" for n in range(90)])),
    ("method of one's own", get(line=f"M-SEARCH {PATH} HTTP/1.1")),
]


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "bytewise"])
@pytest.mark.parametrize("text", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_is_unusual_and_clear_passes(shared, name, upstream, text, is_whole):
    data = text.replace(PATH, f"/api/{name}/", 1).encode("latin-1")
    with Wire.connect(shared.edge) as client:
        size = len(data) if is_whole else 1
        for at in range(0, len(data), size):
            client.send(data[at:at + size])
        service, head = upstream.request()
        assert head.target == "/"
        assert service.body(head) in (b"", b"hello")
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200


# What a service may not say; the client gets 502 and the connection is not used again.
GARBAGE = [
    ("no HTTP", "SSH-2.0-OpenSSH\r\n\r\n"),
    ("status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
    ("status 600", "HTTP/1.1 600 No\r\n\r\n"),
    ("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("CL and TE", f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{TE}\r\n\r\n0\r\n\r\n"),
    ("CL twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ("CL negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ("TE unknown", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("TE in HTTP/1.0", f"HTTP/1.0 200 OK\r\n{TE}\r\n\r\n0\r\n\r\n"),
    ("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    ("name with a space", "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n"),
    ("folded line", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    ("NUL", "HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n"),
    ("head too large", "HTTP/1.1 200 OK\r\n" + "X-A: aaaaaaaaaaaaaaaa\r\n" * 4000),
]


@pytest.mark.parametrize("text", [row[1] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
def test_what_a_service_says_wrong_is_a_502(shared, name, upstream, text):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        with contextlib.suppress(ConnectionError):
            service.send(text)
        head, body = client.answer()
        assert head.status == 502
        assert head.get("content-type") == "application/problem+json"
        assert name.encode() in body
        client.get(f"/api/{name}/")
        other, _ = upstream.request()
        other.send(reply("200 OK"))
        assert client.answer()[0].status == 200


@pytest.mark.parametrize("text", ["zz\r\n", "3\r\nabcd\r\n", "3\nabc\r\n", "-1\r\n"])
def test_a_chunk_that_goes_wrong_breaks_the_answer(shared, name, upstream, text):
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", text)
        assert client.head().status == 200
        assert not client.rest().endswith(b"0\r\n\r\n")
        assert service.rest() == b""
