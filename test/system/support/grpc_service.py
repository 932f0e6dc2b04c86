# SPDX-License-Identifier: Apache-2.0
"""A real gRPC server and client. Messages are bytes as they are, so nothing is generated."""
import threading
import time
from concurrent import futures

import grpc


def call(channel, method, kind="unary_unary"):
    """A method by its full name; kind as grpc calls it."""
    return getattr(channel, kind)(method, request_serializer=None, response_deserializer=None)


class GrpcService(grpc.GenericRpcHandler):
    """Serves `name`: Echo, Fail, Sum, Count, Chat, Sleep, Endless, and grpc.health.v1."""

    def __init__(self, name, label="", address="127.0.0.1:0", pair=None):
        self.name, self.label = name, label
        self.metadata = None  # of the last call
        self.remaining = None  # the time it was given
        self.calls = 0
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.health = 1  # SERVING
        self.server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[self],
                                  options=[("grpc.so_reuseport", 0)])
        if pair:  # a certificate and its key
            certificate, key = (path.read_bytes() for path in pair)
            port = self.server.add_secure_port(
                address, grpc.ssl_server_credentials([(key, certificate)]))
        else:
            port = self.server.add_insecure_port(address)
        self.address = f"127.0.0.1:{port}"
        self.server.start()

    def stop(self, grace=0):
        self.server.stop(grace).wait()

    def service(self, details):
        service, method = details.method.rsplit("/", 1)
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self.check)
        if service != "/" + self.name:
            return None
        kinds = {
            "Echo": (grpc.unary_unary_rpc_method_handler, self.echo),
            "Fail": (grpc.unary_unary_rpc_method_handler, self.fail),
            "Sleep": (grpc.unary_unary_rpc_method_handler, self.sleep),
            "Sum": (grpc.stream_unary_rpc_method_handler, self.sum),
            "Count": (grpc.unary_stream_rpc_method_handler, self.count),
            "Endless": (grpc.unary_stream_rpc_method_handler, self.endless),
            "Chat": (grpc.stream_stream_rpc_method_handler, self.chat),
        }
        if method not in kinds:
            return None
        make, function = kinds[method]
        return make(function)

    def note(self, context):
        self.calls += 1
        self.metadata = list(context.invocation_metadata())
        self.remaining = context.time_remaining()

    def check(self, _request, _context):
        return bytes([8, self.health])

    def echo(self, request, context):
        self.note(context)
        context.send_initial_metadata([("x-label", self.label), ("x-bytes-bin", b"\0\xff\x01")])
        context.set_trailing_metadata([("x-last", "yes"), ("x-under_score", "kept"),
                                       ("x-last-bin", b"\x80\0")])
        return request

    def fail(self, request, context):
        self.note(context)
        code, _, text = request.decode().partition(" ")
        context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x05\x12\x02no")])
        context.abort(next(c for c in grpc.StatusCode if c.value[0] == int(code)), text)

    def sleep(self, request, context):
        self.note(context)
        self.started.set()
        context.add_callback(self.cancelled.set)
        deadline = time.monotonic() + float(request)
        while context.is_active() and time.monotonic() < deadline:
            time.sleep(0.01)
        return b"awake"

    def sum(self, requests, context):
        self.note(context)
        return str(sum(int(request) for request in requests)).encode()

    def count(self, request, context):
        self.note(context)
        for i in range(int(request)):
            yield str(i).encode()

    def endless(self, request, context):
        self.note(context)
        context.add_callback(self.cancelled.set)
        while context.is_active():
            yield request

    def chat(self, requests, context):
        self.note(context)
        for request in requests:
            yield b"re: " + request
