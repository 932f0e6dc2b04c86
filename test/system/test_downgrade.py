# SPDX-License-Identifier: Apache-2.0
"""Requests of HTTP/2 that would be something else in HTTP/1 are errors of their stream, or of the
connection, and a service of HTTP/1 behind the gateway never has one of them."""
import pytest
from support import h2frames as h2
from support.wire import Played, reply


class Case:
    """Fields of a request, bytes of its body, and its trailers; the last of them has END_STREAM."""

    def __init__(self, *fields, body=(), trailers=None, **pseudo):
        self.body, self.trailers = body, trailers
        lines = {":method": "POST" if body else "GET", ":scheme": "http", ":authority": "shop.test",
                 ":path": "{path}", **{f":{name}": value for name, value in pseudo.items()}}
        self.fields = [*[(name, value) for name, value in lines.items() if value is not None],
                       *fields]

    def send(self, wire, path):
        fields = [(name, value.replace("{path}", path)) for name, value in self.fields]
        has_more = self.body or self.trailers
        stream = wire.head(fields, h2.END_HEADERS | (0 if has_more else h2.END_STREAM))
        for number, data in enumerate(self.body, 1):
            is_last = number == len(self.body) and not self.trailers
            wire.send(h2.frame(h2.DATA, h2.END_STREAM if is_last else 0, stream, data))
        if self.trailers:
            wire.head(self.trailers, stream=stream)
        return stream


class Late(Case):
    """With its fields in another order: pseudo-fields last."""

    def __init__(self, *fields):
        super().__init__()
        self.fields = [*fields, *self.fields] if len(fields) == 1 else list(fields)


FORBIDDEN = {
    # lengths
    "body shorter than its length": Case(("content-length", "5"), body=[b"abc"]),
    "body longer than its length": Case(("content-length", "3"), body=[b"ab", b"cde"]),
    "length and no body": Case(("content-length", "5"), method="POST"),
    "two lengths": Case(("content-length", "3"), ("content-length", "4"), body=[b"abc"]),
    "a list of lengths": Case(("content-length", "3, 3"), body=[b"abc"]),
    "a length with a sign": Case(("content-length", "+3"), body=[b"abc"]),
    "a length in hex": Case(("content-length", "0x3"), body=[b"abc"]),
    "a length beyond 64 bits": Case(("content-length", "18446744073709551619"), body=[b"abc"]),
    "an empty length": Case(("content-length", ""), body=[b"abc"]),
    # fields of a connection
    "transfer-encoding": Case(("transfer-encoding", "chunked"), body=[b"0\r\n\r\n"]),
    "transfer-encoding identity": Case(("transfer-encoding", "identity")),
    "connection": Case(("connection", "close")),
    "connection that names a field": Case(("connection", "x-a"), ("x-a", "b")),
    "keep-alive": Case(("keep-alive", "timeout=5")),
    "proxy-connection": Case(("proxy-connection", "keep-alive")),
    "upgrade": Case(("upgrade", "h2c")),
    "upgrade to websocket": Case(("upgrade", "websocket"), ("connection", "upgrade")),
    "te gzip": Case(("te", "gzip")),
    "te trailers and more": Case(("te", "trailers, deflate")),
    # what ends a line or a string
    **{f"{name} in a value": Case(("x-a", f"b{octet}x-c: d"))
       for name, octet in {"CR": "\r", "LF": "\n", "CRLF": "\r\n", "NUL": "\0"}.items()},
    **{f"{name} in a name": Case((f"x{octet}a", "b"))
       for name, octet in {"CR": "\r", "LF": "\n", "NUL": "\0", "SP": " ", "TAB": "\t",
                           "colon": ":", "slash": "/", "DEL": "\x7f", "eighth bit": "\xe4",
                           "parenthesis": "("}.items()},
    **{f"{name} in :{pseudo}": Case(**{pseudo: value.format(octet)})
       for name, octet in {"CR": "\r", "LF": "\n", "CRLF": "\r\nx: ", "NUL": "\0"}.items()
       for pseudo, value in {"path": "{{path}}{0}a", "authority": "shop{0}test",
                             "method": "GE{0}T", "scheme": "ht{0}tp"}.items()},
    "request in :path": Case(path="{path} HTTP/1.1\r\nHost: a\r\n\r\nGET /b"),
    "request in :method": Case(method="GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET"),
    "other control characters in a value": Case(("x-a", "b\x01c")),
    "DEL in a value": Case(("x-a", "b\x7fc")),
    # names
    "capital letters": Case(("X-A", "b")),
    "a capital letter of a known name": Case(("Content-length", "0")),
    "an empty name": Case(("", "b")),
    "a colon only": Case((":", "b")),
    # :path
    "an empty path": Case(path=""),
    "a path without a slash": Case(path="a{path}"),
    "a whole URI": Case(path="http://shop.test{path}"),
    "an asterisk of GET": Case(path="*"),
    "SP in a path": Case(path="{path} a"),
    "TAB in a path": Case(path="{path}\ta"),
    "a fragment": Case(path="{path}#a"),
    "a control character in a path": Case(path="{path}\x1fa"),
    # :method, :scheme
    "SP in a method": Case(method="GET a"),
    "an empty method": Case(method=""),
    "no token as a method": Case(method="G(T"),
    "another scheme": Case(scheme="ftp"),
    "an empty scheme": Case(scheme=""),
    "a prefix as a scheme": Case(scheme="http://evil.test/?"),
    # pseudo-fields
    **{f"no :{name}": Case(**{name: None}) for name in ("method", "scheme", "path")},
    **{f"two :{name}": Case((f":{name}", value)) for name, value in {
        "method": "GET", "scheme": "http", "authority": "shop.test", "path": "{path}"}.items()},
    "an unknown pseudo-field": Case((":evil", "a")),
    ":status of a request": Case((":status", "200")),
    ":protocol without CONNECT": Case((":protocol", "websocket")),
    "a late pseudo-field": Late((":method", "GET"), (":scheme", "http"), ("x-a", "b"),
                                (":path", "{path}"), (":authority", "shop.test")),
    "fields first": Late(("x-a", "b")),
    "pseudo-fields in trailers": Case(body=[b"a"], trailers=[(":path", "/")]),
    "capital letters in trailers": Case(body=[b"a"], trailers=[("X-A", "b")]),
    "CRLF in trailers": Case(body=[b"a"], trailers=[("x-a", "b\r\nc: d")]),
    "connection in trailers": Case(body=[b"a"], trailers=[("connection", "close")]),
    # who is meant
    "another host": Case(("host", "evil.test")),
    "two hosts": Case(("host", "shop.test"), ("host", "evil.test"), authority=None),
    "an empty host": Case(("host", "")),
    "nobody": Case(authority=None),
    "user information": Case(authority="user@shop.test"),
    "user information in host": Case(("host", "user:pass@shop.test"), authority=None),
    "a path in :authority": Case(authority="shop.test/a"),
    "SP in :authority": Case(authority="shop test"),
    # white space
    "SP before a value": Case(("x-a", " b")),
    "SP behind a value": Case(("x-a", "b ")),
    "TAB before a value": Case(("x-a", "\tb")),
    "TAB behind a value": Case(("x-a", "b\t")),
    "only SP": Case(("x-a", " ")),
    # CONNECT
    "CONNECT with a path": Case(method="CONNECT"),
    "extended CONNECT without a path": Case((":protocol", "websocket"), method="CONNECT",
                                            path=None),
}

ALLOWED = {
    "nothing special": Case(),
    "te trailers": Case(("te", "trailers")),
    "the same host": Case(("host", "shop.test")),
    "only host": Case(("host", "shop.test"), authority=None),
    "an empty value": Case(("x-a", "")),
    "white space in a value": Case(("x-a", "b \t c")),
    "eighth bits in a value": Case(("x-a", "gr\xfc\xdfe")),
    "length": Case(("content-length", "5"), body=[b"ab", b"cde"]),
    "length 0": Case(("content-length", "0"), method="POST"),
    "trailers": Case(body=[b"abc"], trailers=[("x-a", "b")]),
    "cookie crumbs": Case(("cookie", "a=b"), ("cookie", "c=d")),
}


class Whole:
    """Counts the requests that come whole, and answers them."""

    def __init__(self):
        self.requests = []

    def __call__(self, wire):
        while True:
            head = wire.head()
            body = wire.body(head)
            self.requests.append((head, body))
            wire.send(reply("200 OK", b"taken"))


@pytest.fixture(scope="module")
def target(shared):
    """The path of a service, and the requests it had."""
    whole = Whole()
    played = Played(whole)
    shared.register("downgrade", "i1", played.address, "1.0.0", ttl="10m")
    yield shared, "/api/downgrade/", whole.requests
    played.close()


@pytest.mark.parametrize("name", FORBIDDEN)
def test_it_is_refused(target, name):
    daemon, path, requests = target
    requests.clear()
    with h2.H2.open(daemon.edge) as wire:
        seen = wire.outcome(FORBIDDEN[name].send(wire, path))
    assert seen.status is None, seen
    assert seen.reset == h2.PROTOCOL_ERROR or wire.goaway == h2.PROTOCOL_ERROR, seen
    with h2.H2.open(daemon.edge) as wire:
        assert wire.get(path + "next").body == b"taken"
    assert [head.target for head, _ in requests] == ["/next"]


NOWHERE = {
    "CONNECT": Case(method="CONNECT", scheme=None, path=None, authority="shop.test:443"),
    "length 0 and a body": Case(("content-length", "0"), body=[b"GET /evil HTTP/1.1\r\n\r\n"]),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_it_goes_nowhere(target, name):
    """What is legal as far as it is seen at first: it may be answered, and no octet of what is not
    is sent on."""
    daemon, path, requests = target
    requests.clear()
    with h2.H2.open(daemon.edge) as wire:
        seen = wire.outcome(NOWHERE[name].send(wire, path))
    assert seen.reset == h2.PROTOCOL_ERROR or seen.status in (200, 501), seen
    with h2.H2.open(daemon.edge) as wire:
        assert wire.get(path + "next").body == b"taken"
    assert [head.target for head, _ in requests] in (["/next"], ["/", "/next"])
    assert not any(body for _, body in requests)


@pytest.mark.parametrize("name", ALLOWED)
def test_it_is_not_refused(target, name):
    daemon, path, requests = target
    requests.clear()
    with h2.H2.open(daemon.edge) as wire:
        seen = wire.outcome(ALLOWED[name].send(wire, path))
    assert (seen.status, seen.body, seen.reset) == (200, b"taken", None)
    assert len(requests) == 1
