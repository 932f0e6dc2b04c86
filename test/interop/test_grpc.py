# SPDX-License-Identifier: Apache-2.0
"""The gRPC project's interop cases and grpcurl, through the gateway."""
import json
import subprocess

import pytest

CASES = [
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong",
    "empty_stream", "custom_metadata", "status_code_and_message", "special_status_message",
    "unimplemented_method", "unimplemented_service", "cancel_after_begin",
    "cancel_after_first_response", "timeout_on_sleeping_server",
]


@pytest.mark.parametrize("case", CASES)
def test_interop(go, grpc_service, gateway, pair, way, case):
    host, _, port = gateway.address(way).rpartition(":")
    tls = ["-use_tls", "-use_test_ca", "-ca_file", pair.cert, "-server_host_override", "localhost"]
    done = subprocess.run(
        [go / "client", "-server_host", host, "-server_port", port, "-test_case", case,
         *(tls if way == "tls" else [])], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def grpcurl(go, grpc_service, gateway, pair, way):
    """Runs it; what it printed."""
    mode = ["-cacert", pair.cert] if way == "tls" else ["-plaintext"]

    def run(*arguments, data=None, status=0, options=()):
        given = ["-d", json.dumps(data)] if data is not None else []
        done = subprocess.run(
            [go / "grpcurl", *mode, *options, *given, gateway.address(way), *arguments],
            capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


def test_grpcurl_asks_by_reflection(grpcurl):
    listed = grpcurl("list").split()
    assert listed == ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                      "grpc.reflection.v1alpha.ServerReflection", "grpc.testing.TestService"]
    described = grpcurl("describe", "grpc.testing.TestService.UnaryCall")
    assert "rpc UnaryCall ( .grpc.testing.SimpleRequest )" in described


def test_grpcurl_calls(grpcurl):
    said = json.loads(grpcurl("grpc.health.v1.Health/Check",
                              data={"service": "grpc.testing.TestService"}))
    assert said == {"status": "SERVING"}
    said = json.loads(grpcurl("grpc.testing.TestService/UnaryCall", data={"response_size": 9}))
    assert said == {"payload": {"body": "AAAAAAAAAAAA"}}
    said = grpcurl("grpc.testing.TestService/StreamingOutputCall",
                   data={"response_parameters": [{"size": 3}, {"size": 6}]})
    assert said.count("payload") == 2


def test_what_is_sealed_goes_over_tls(grpcurl, gateway, way):
    """Each way leads where its name says."""
    before = len(gateway.logged())
    grpcurl("grpc.testing.TestService/EmptyCall", data={})

    def calls():
        return [entry for entry in gateway.logged()[before:] if entry["path"].endswith("EmptyCall")]

    gateway.eventually(calls)
    upstream = calls()[-1]["upstream"]
    assert upstream.endswith("/grpc-sealed.sock" if way == "sealed" else "/grpc.sock")


def test_grpcurl_is_told_of_an_error(grpcurl):
    said = grpcurl("grpc.testing.TestService/UnaryCall", status=64 + 9,
                   data={"response_status": {"code": 9, "message": "not now: 50 % ☺"}})
    assert "Code: FailedPrecondition" in said
    assert "Message: not now: 50 % ☺" in said


def test_grpcurl_asks_for_what_nobody_serves(grpcurl, tmp_path):
    (tmp_path / "none.proto").write_text(
        'syntax = "proto3"; package none; message M {} service S { rpc Call(M) returns (M); }')
    said = grpcurl("none.S/Call", status=64 + 12, data={},
                   options=["-import-path", tmp_path, "-proto", "none.proto"])
    assert "Code: Unimplemented" in said
