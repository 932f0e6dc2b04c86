# SPDX-License-Identifier: Apache-2.0
"""npm's "ws", and Chromium, have the same conversations with a service through the gateway as
directly."""
import pytest
from conftest import node


def ws_client(modules, base, *ca):
    return node("ws_client.mjs", modules, base, *ca)


def assert_same(seen, direct):
    assert seen.keys() == direct.keys()
    for name, conversation in direct.items():
        assert seen[name] == conversation, name


@pytest.fixture(scope="module")
def ws_direct(modules, ws_service):
    seen = ws_client(modules, f"http://{ws_service.address}")
    assert len(seen) == 17
    return seen


def test_ws(modules, gateway, ws_direct, way, pair):
    scheme, ca = ("https", [pair.cert]) if way == "tls" else ("http", [])
    assert_same(ws_client(modules, f"{scheme}://{gateway.address(way)}", *ca), ws_direct)


def browse(modules, base):
    return node("browser.mjs", modules, base, "websocket")


@pytest.fixture(scope="module")
def chromium_direct(chromium, modules, ws_service):
    return browse(modules, f"http://{ws_service.address}")["seen"]


def test_chromium(modules, gateway, chromium_direct, way):
    """Over TLS it is HTTP/2 and extended CONNECT: the access log says so."""
    scheme, protocol = ("https", "HTTP/2") if way == "tls" else ("http", "HTTP/1.1")
    before = len(gateway.logged())
    answer = browse(modules, f"{scheme}://{gateway.address(way)}")
    assert answer["protocol"] == {"https": "h2", "http": "http/1.1"}[scheme]
    assert_same(answer["seen"], chromium_direct)

    def tunnels():
        entries = [entry for entry in gateway.logged()[before:]
                   if entry["path"] in ("/echo", "/deflate")]
        return len(entries) == 16 and entries

    assert {entry["protocol"] for entry in gateway.eventually(tunnels)} == {protocol}
