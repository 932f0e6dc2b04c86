# SPDX-License-Identifier: Apache-2.0
"""What browsers make of gRPC: frames in a body, in base64 or not, the trailers in the last one."""
import base64

import grpc
import pytest
from support.daemon import request
from support.grpc_service import GrpcService
from support.wire import Wire, chunked

SERVICE = "shop.web.v1.Web"


@pytest.fixture(scope="module")
def web(shared):
    service = GrpcService(SERVICE)
    shared.call("PUT", "/v1/services/web/instances/w", {
        "address": service.address, "build": "1.0.0", "protocol": "grpc",
        "grpc_services": [SERVICE]}, status=201)
    yield service
    service.stop()


def frame(message, flags=0):
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


def decode(text):
    """Pieces, each with its own padding, as a browser's library reads them."""
    return b"".join(base64.b64decode(text[i:i + 4], validate=True) for i in range(0, len(text), 4))


def frames(body):
    got = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        assert len(body) >= 5 + size, body
        got.append((body[0], body[5:5 + size]))
        body = body[5 + size:]
    return got


def trailers(frame):
    assert frame[0] == 0x80
    return dict(line.split(": ", 1) for line in frame[1].decode().split("\r\n") if line)


class Form:
    def __init__(self, type_):
        self.type, self.is_text = type_, "text" in type_

    def ask(self, address, method, *messages, **headers):
        body = b"".join(frame(message) for message in messages)
        if self.is_text:
            body = base64.b64encode(body)
        answer = request(address, "POST", method, body,
                         {"Content-Type": self.type, "X-Grpc-Web": "1", **headers})
        return answer, frames(decode(answer.body) if self.is_text else answer.body)


@pytest.fixture(params=["application/grpc-web+proto", "application/grpc-web-text",
                        "application/grpc-web", "application/grpc-web-text+proto"])
def form(request):
    return Form(request.param)


@pytest.mark.usefixtures("web")
def test_a_call(shared, form):
    answer, (first, last) = form.ask(shared.edge, f"/{SERVICE}/Echo", b"hello" * 5000)
    assert answer.status == 200 and first == (0, b"hello" * 5000)
    assert answer.headers["content-type"].startswith(form.type.partition("+")[0])
    assert answer.headers["x-bytes-bin"] == "AP8B" and answer.headers["sarsen-build"] == "1.0.0"
    assert "content-length" not in answer.headers
    told = trailers(last)
    assert told["grpc-status"] == "0" and told["x-last"] == "yes"


@pytest.mark.usefixtures("web")
def test_a_stream(shared, form):
    _, got = form.ask(shared.edge, f"/{SERVICE}/Count", b"100")
    assert [message for _, message in got[:-1]] == [str(i).encode() for i in range(100)]
    assert trailers(got[-1])["grpc-status"] == "0"


def test_the_service_sees_a_call_of_grpc(shared, web, form):
    form.ask(shared.edge, f"/{SERVICE}/Echo", b"", **{"grpc-timeout": "10S"})
    assert 5 < web.remaining < 11


@pytest.mark.usefixtures("web")
def test_an_error_of_the_service(shared, form):
    answer, got = form.ask(shared.edge, f"/{SERVICE}/Fail", b"5 no such thing")
    # Where there is no message, what was said stands in the head.
    told = trailers(got[-1]) if got else answer.headers
    assert told["grpc-status"] == "5" and told["grpc-message"] == "no such thing"


def test_an_error_of_our_own(shared, form):
    answer, got = form.ask(shared.edge, "/shop.Nobody/Get", b"")
    assert answer.status == 200
    told = trailers(got[0])
    assert told["grpc-status"] == "12" and "no route leads" in told["grpc-message"]


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("size", [1, 3, 7])
def test_base64_may_come_in_pieces(shared, size):
    body = base64.b64encode(frame(b"hello")) + base64.b64encode(frame(b""))[:0]
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    with Wire.connect(shared.edge) as client:
        client.send(f"POST /{SERVICE}/Echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    "Content-Type: application/grpc-web-text\r\n\r\n")
        for piece in pieces:
            client.send(chunked(piece).removesuffix(b"0\r\n\r\n"))
        client.send(b"0\r\n\r\n")
        _, body = client.answer()
    assert frames(decode(body))[0] == (0, b"hello")


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("body", [b"no base64!", b"AAAAAA", b"A==="])
def test_what_is_no_base64_is_an_error(shared, body):
    answer = request(shared.edge, "POST", f"/{SERVICE}/Echo", body,
                     {"Content-Type": "application/grpc-web-text"})
    assert trailers(frames(decode(answer.body))[-1])["grpc-status"] == "13"


def test_a_service_of_http1_gets_it_as_it_is(shared, name, play):
    """It was made for that: nobody else would send it grpc-web."""
    def serve(wire):
        head = wire.head()
        assert head.get("content-type") == "application/grpc-web"
        sent = wire.body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web\r\n"
                  b"Content-Length: %d\r\n\r\n%s" % (len(sent), sent))

    play(serve)
    _, got = Form("application/grpc-web").ask(shared.internal, "/a.B/C", b"x",
                                              **{"Sarsen-Service": name})
    assert got == [(0, b"x")]


@pytest.mark.usefixtures("web")
def test_both_forms_share_a_service(shared):
    with grpc.insecure_channel(shared.edge) as channel:
        echo = channel.unary_unary(f"/{SERVICE}/Echo")
        assert echo(b"a") == b"a"
