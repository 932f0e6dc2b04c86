# SPDX-License-Identifier: Apache-2.0
"""npm's "grpc-web" in Chromium calls a gRPC service through the gateway, in both its formats."""
import pytest
from conftest import node

INITIAL = {"x-grpc-test-echo-initial": "test_initial_metadata_value"}
TRAILING = {"x-grpc-test-echo-trailing-bin": "q6ur"}
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


@pytest.fixture(scope="module", params=["plain", "tls"])
def seen(request, chromium, modules, ws_service, grpc_service, gateway):
    scheme = "https" if request.param == "tls" else "http"
    base = f"{scheme}://{gateway.address(request.param)}"
    return node("browser.mjs", modules, base, "grpc-web")["seen"]


@pytest.mark.parametrize("format", ["binary", "text"])
def test_grpc_web(seen, format):
    calls = seen[format]
    codes = {name: call["code"] for name, call in calls.items()}
    assert codes == {"empty": 0, "large": 0, "metadata": 0, "status": 2, "special": 2,
                     "unimplemented": 12, "deadline": 4, "stream": 0, "pauses": 0}, calls
    assert calls["empty"]["sizes"] == [0]
    assert calls["large"]["sizes"] == [314159 + 8]
    assert calls["status"]["message"] == "test status message"
    assert calls["special"]["message"] == SPECIAL
    assert calls["stream"]["sizes"] == [31415 + 8, 9 + 4, 2653 + 6, 58979 + 8]
    assert calls["deadline"]["sizes"] == [1 + 4]
    assert calls["pauses"]["sizes"] == [1 + 4, 2 + 4, 3 + 4]
    assert INITIAL.items() <= calls["metadata"]["initial"].items()
    assert TRAILING.items() <= calls["metadata"]["trailing"].items()
