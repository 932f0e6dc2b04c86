# SPDX-License-Identifier: Apache-2.0
"""Behind a load balancer that speaks the PROXY protocol, version 2."""
import ipaddress

import pytest
from support.wire import Upstream, Wire, reply

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(source, port=40000):
    """Of a connection from `source` to a port of ours."""
    address = ipaddress.ip_address(source)
    family, there = (0x11, "198.51.100.1") if address.version == 4 else (0x21, "2001:db8::1")
    body = (address.packed + ipaddress.ip_address(there).packed + port.to_bytes(2, "big") +
            (443).to_bytes(2, "big"))
    return SIGNATURE + bytes([0x21, family]) + len(body).to_bytes(2, "big") + body


@pytest.fixture
def balanced(make_daemon, name):
    daemon = make_daemon(start=False)
    daemon.config.write_text(daemon.config.read_text().replace(
        "edge: 127.0.0.1:0", "edge: { address: 127.0.0.1:0, proxy_protocol: true }"))
    daemon.start()
    upstream = Upstream()
    daemon.register(name, "i1", upstream.address, "1.0.0")
    yield daemon, upstream
    upstream.close()


@pytest.mark.parametrize("source", ["192.0.2.7", "2001:db8::7"])
def test_the_service_is_told_of_the_client(balanced, name, source):
    daemon, upstream = balanced
    with Wire.connect(daemon.edge) as client:
        client.send(header(source))
        client.get(f"/api/{name}/", "X-Forwarded-For: 10.0.0.1")
        service, head = upstream.request()
        assert head.all("x-forwarded-for") == [source]
        service.send(reply("200 OK", b"hello"))
        assert client.answer()[1] == b"hello"
        client.get(f"/api/{name}/again")
        assert service.head().all("x-forwarded-for") == [source]


def test_a_check_of_the_balancer_is_answered(balanced, name):
    daemon, upstream = balanced
    with Wire.connect(daemon.edge) as client:
        client.send(SIGNATURE, b"\x20\0\0\0")
        client.get(f"/api/{name}/")
        service, head = upstream.request()
        assert head.all("x-forwarded-for") == ["127.0.0.1"]


@pytest.mark.parametrize("start", [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    header("192.0.2.7")[:-1].replace(b"\0\x0c", b"\0\x0b") + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
], ids=["a request", "version 1", "cut short"])
def test_who_says_nothing_of_it_gets_no_answer(balanced, name, start):
    daemon, upstream = balanced
    with Wire.connect(daemon.edge) as client:
        client.send(start)
        assert client.rest() == b""
        upstream.assert_untouched()
