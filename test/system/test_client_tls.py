# SPDX-License-Identifier: Apache-2.0
"""The command line, and so the C client, calls the management API over TLS."""
import json
import os
import re
import socket
import subprocess
import threading

import pytest
from support.authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def served(make_daemon, authority):
    """A daemon whose API speaks TLS as localhost and 127.0.0.1."""
    certificate, key = authority.sign("api")
    return make_daemon(f"api.tls: {{ certificate: {certificate}, key: {key} }}\n")


def run(daemon, *arguments, address=None, environment=None, status=0):
    address = address or f"https://{daemon.api}"
    done = subprocess.run(
        [daemon.binary, *arguments, "--address", address, "--data", daemon.data],
        capture_output=True, text=True, timeout=60, check=False,
        env=dict(os.environ, **(environment or {})))
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def named(daemon):
    return f"https://localhost:{daemon.api.rsplit(':', 1)[1]}"


def test_calls_go_over_tls_with_the_token(served, authority):
    ca = ("--ca", authority.file)
    assert "ok, version" in run(served, "health", *ca)
    assert "ok, version" in run(served, "health", *ca, address=named(served))
    assert "ok, version" in run(served, "health", environment={"SARSEN_CA": str(authority.file)})
    run(served, "register", "orders", "o1", "127.0.0.1:9", "--build", "1.2.3", *ca)
    assert "orders@1" in run(served, "services", *ca)
    assert "token" in run(served, "audit", "--token", "wrong", *ca, status=1)


def test_many_and_large_calls_share_a_connection(served, authority, tmp_path):
    """A release of many files, of which one fills many records."""
    files = tmp_path / "release"
    files.mkdir()
    for number in range(30):
        (files / f"f{number}.js").write_text(f"export default {number}\n")
    (files / "large.bin").write_bytes(os.urandom(3 << 20))
    (files / "sarsen.json").write_text(
        json.dumps({"app": "shop", "release": "1.0.0", "requires": {},
                    "entries": [{"name": "@shop/main", "path": "f0.js"}]}))
    run(served, "publish", str(files), "--ca", authority.file)
    assert "1.0.0" in run(served, "releases", "shop", "--ca", authority.file)


def test_the_server_must_be_trusted(served, tmp_path):
    said = run(served, "health", status=1)
    assert "is not trusted" in said and "--ca FILE or SARSEN_CA" in said
    other = Authority(tmp_path / "other")
    said = run(served, "health", "--ca", other.file, status=1)
    assert re.search(r"certificate of 127\.0\.0\.1:\d+ is not trusted", said), said
    assert "no-file.pem cannot be read" in run(served, "health", "--ca", "no-file.pem", status=1)


def test_the_certificate_must_be_for_the_name(make_daemon, authority):
    for names in ("DNS:elsewhere.test", "DNS:localhost"):
        certificate, key = authority.sign("named", names=names)
        daemon = make_daemon(f"api.tls: {{ certificate: {certificate}, key: {key} }}\n")
        said = run(daemon, "health", "--ca", authority.file, status=1)
        assert "is not trusted" in said and "mismatch" in said
    assert "ok, version" in run(daemon, "health", "--ca", authority.file, address=named(daemon))


def test_a_certificate_is_trusted_by_its_own_file(served, authority):
    assert "ok, version" in run(served, "health", "--ca", authority.directory / "api.pem")


def test_what_speaks_no_tls_gets_no_token(daemon):
    assert "no TLS with 127.0.0.1" in run(daemon, "health", status=1)


def test_a_server_that_breaks_off(daemon):
    server = socket.create_server(("127.0.0.1", 0))
    address = f"https://127.0.0.1:{server.getsockname()[1]}"

    def serve():
        connection, _ = server.accept()
        connection.recv(65536)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    said = run(daemon, "health", address=address, status=1)
    thread.join()
    server.close()
    assert "broke" in said or "no TLS with" in said
