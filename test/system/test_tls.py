# SPDX-License-Identifier: Apache-2.0
"""TLS at the edge: who is served by which certificate, what is refused, what changes meanwhile."""
import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from support.authority import Authority
from support.service import Service
from support.wire import eventually

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BODY = os.urandom(700_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.sign("site")


def section(*pairs, more=""):
    """A listener with TLS."""
    certificates = ", ".join(f"{{ certificate: {c}, key: {k} }}" for c, k in pairs)
    return f"{{ address: 127.0.0.1:0, tls: {{ certificates: [{certificates}]{more} }} }}"


@pytest.fixture
def serve(make_daemon):
    """Starts a daemon whose edge has these listeners, the first of them in plain text."""
    def serve(*listeners, config="routes: [{ match: { path: /hello }, answer: { body: hello } }]\n",
              start=True, gateway=""):
        daemon = make_daemon(config, start=False, gateway=gateway)
        text = daemon.config.read_text()
        lists = "".join(f"\n    - {item}" for item in ("127.0.0.1:0", *listeners))
        daemon.config.write_text(text.replace("edge: 127.0.0.1:0", f"edge:{lists}"))
        if start:
            daemon.start()
        return daemon
    return serve


def port(daemon, number=1):
    return int(daemon.edges[number].rpartition(":")[2])


@contextlib.contextmanager
def connect(context, to, name="localhost", session=None):
    raw = socket.create_connection(("127.0.0.1", to), timeout=20)
    with context.wrap_socket(raw, server_hostname=name, session=session,
                             suppress_ragged_eofs=False) as wire:
        yield wire


def ask(wire, path="/hello", body=b"", fields=""):
    wire.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{fields}"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return answer(wire)


def answer(wire):
    """Status, head and body of one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = wire.recv(65536)
        assert part, data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length"))
    while len(body) < size:
        body += wire.recv(65536)
    return int(head.split()[1]), head, body


def common_name(wire):
    return dict(item[0] for item in wire.getpeercert()["subject"])["commonName"]


@pytest.mark.parametrize("version", [V12, V13])
def test_bodies_pass_both_ways(serve, service, authority, pair, version):
    echo = service("echo")
    daemon = serve(section(pair), config=f"routes: [{{ match: {{ prefix: / }}, "
                                         f"upstream: \"{echo.address}\" }}]\n")
    echo.answer = lambda request: (200, {}, request["body"])
    with connect(authority.client(version=version), port(daemon)) as wire:
        for body in (b"", b"small", BODY, b"again"):
            status, _, got = ask(wire, "/echo", body)
            assert status == 200 and got == body
        assert wire.version() == {V12: "TLSv1.2", V13: "TLSv1.3"}[version]
        assert wire.selected_alpn_protocol() == "http/1.1"


def test_the_name_asked_for_picks_the_certificate(serve, authority, pair):
    wild = authority.sign("wild", "DNS:*.example.com,DNS:Example.NET")
    daemon = serve(section(pair, wild))
    context = authority.client()
    context.check_hostname = False
    expected = {"localhost": "site", "a.example.com": "wild", "EXAMPLE.net": "wild",
                "a.b.example.com": "site", "example.com": "site", "elsewhere.org": "site"}
    for name, want in expected.items():
        with connect(context, port(daemon), name) as wire:
            assert common_name(wire) == f"cn-{want}", name
            assert ask(wire)[0] == 200


def test_an_unknown_protocol_is_refused(serve, authority, pair):
    daemon = serve(section(pair))
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"), \
            connect(authority.client(alpn=("imap",)), port(daemon)):
        pass
    with connect(authority.client(alpn=()), port(daemon)) as wire:
        assert wire.selected_alpn_protocol() is None and ask(wire)[0] == 200


def test_old_versions_are_refused(serve, authority, pair):
    daemon = serve(section(pair, more=", min_version: 1.3"), section(pair))
    with pytest.raises(ssl.SSLError), connect(authority.client(version=V12), port(daemon)):
        pass
    old = authority.client()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), connect(old, port(daemon, 2)):
        pass


def test_the_end_is_said(serve, authority, pair):
    daemon = serve(section(pair))
    with connect(authority.client(), port(daemon)) as wire:
        assert ask(wire, fields="Connection: close\r\n")[0] == 200
        assert wire.recv(1) == b""  # without it: an error, for the socket alone ended


def test_plain_text_is_told_so(serve, authority, pair, tmp_path):
    log = tmp_path / "access.log"
    daemon = serve(section(pair), gateway=f"  access_log: {log}\n")
    for request in (b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + 200000 * b"x",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port(daemon)), timeout=20) as raw:
            raw.sendall(request)
            raw.shutdown(socket.SHUT_WR)
            got = b""
            while part := raw.recv(4096):
                got += part
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and body == b"this listener speaks TLS\n"
    eventually(lambda: log.read_text().count("this listener speaks TLS") == 3)


def test_what_is_neither_is_told_nothing(serve, authority, pair):
    daemon = serve(section(pair))
    with socket.create_connection(("127.0.0.1", port(daemon)), timeout=20) as raw:
        raw.sendall(b"\x80\x80\x01\x03\x01" + 64 * b"z")
        got = b""
        with contextlib.suppress(ConnectionError):
            while part := raw.recv(4096):
                got += part
    assert b"HTTP" not in got and got[:1] in (b"", b"\x15")


def test_the_kernel_seals_where_it_can(serve, service, authority, pair):
    echo = service("echo")
    daemon = serve(section(pair, more=", ktls: auto"), config=(
        f"routes: [{{ match: {{ prefix: / }}, upstream: \"{echo.address}\" }}]\n"))
    echo.answer = lambda request: (200, {}, request["body"])
    for body in (b"small", BODY, b"again"):
        with connect(authority.client(), port(daemon)) as wire:
            status, _, got = ask(wire, "/echo", body)
            assert status == 200 and got == body
    with open("/proc/sys/net/ipv4/tcp_available_ulp", encoding="ascii") as file:
        has_it = "tls" in file.read().split()
    if not has_it:
        eventually(lambda: "the kernel has no TLS" in "".join(daemon.log))
        assert "".join(daemon.log).count("the kernel has no TLS") == 1


@pytest.mark.parametrize(("certificate", "key", "says"), [
    ("absent", None, "cannot be read as a certificate: No such file or directory"),
    (".", None, "cannot be read as a certificate: Is a directory"),
    ("junk", None, "cannot be read as a certificate: nothing of that kind is in it, in PEM"),
    ("cut", None, "cannot be read as a certificate: its PEM is damaged"),
    (None, "junk", "cannot be read as a private key: nothing of that kind is in it, in PEM"),
    (None, "locked", "cannot be read as a private key: it is locked with a password"),
    (None, "other", "is not the key of the certificate"),
])
def test_config_check_reads_certificates(binary, authority, pair, tmp_path, certificate, key, says):
    (tmp_path / "junk").write_text("no pem")
    (tmp_path / "cut").write_text(pair[0].read_text()[:200])
    shutil.copy(authority.key, tmp_path / "other")
    subprocess.run(["openssl", "pkey", "-in", pair[1], "-aes256", "-passout", "pass:secret", "-out",
                    tmp_path / "locked"], check=True, capture_output=True)
    file = tmp_path / "sarsen.yaml"

    def check(certificate, key):
        file.write_text(f"gateway: {{ edge: {section((certificate, key))} }}\n")
        return subprocess.run([binary, "config", "check", file], capture_output=True, text=True,
                              timeout=20, check=False)

    assert check(*pair).returncode == 0
    done = check(tmp_path / certificate if certificate else pair[0],
                 tmp_path / key if key else pair[1])
    assert done.returncode == 1 and says in done.stderr, done.stderr


def test_a_handshake_in_single_bytes(serve, authority, pair):
    daemon = serve(section(pair))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port(daemon)), timeout=20) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def step(function):
            while True:
                try:
                    result = function()
                except ssl.SSLWantReadError:
                    result = None
                for byte in outgoing.read():
                    raw.sendall(bytes([byte]))
                if result is not None:
                    return result
                incoming.write(raw.recv(65536))

        step(lambda: tls.do_handshake() or True)
        tls.write(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        while not got.endswith(b"hello"):
            got += step(lambda: tls.read(4096))


def test_client_certificates(serve, authority, pair, tmp_path):
    known, stranger = authority.sign("known", "URI:spiffe://here/known"), Authority(
        tmp_path / "stranger").sign("stranger")
    ask_for = f", client_ca: {authority.file}, client_auth: "
    daemon = serve(section(pair, more=ask_for + "required"),
                   section(pair, more=ask_for + "optional"))
    for number in (1, 2):
        with connect(authority.client(known), port(daemon, number)) as wire:
            assert ask(wire)[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError)), \
                connect(authority.client(stranger), port(daemon, number)) as wire:
            ask(wire)
    with pytest.raises((ssl.SSLError, ConnectionError)), \
            connect(authority.client(), port(daemon, 1)) as wire:
        ask(wire)
    with connect(authority.client(), port(daemon, 2)) as wire:
        assert ask(wire)[0] == 200


@pytest.mark.parametrize("version", [V12, V13])
def test_what_is_revoked_does_not_hold(serve, authority, pair, tmp_path, version):
    """From a second after the list says so; a ticket of before is worth nothing then."""
    good, bad = authority.sign("good"), authority.sign("bad")
    live = authority.revoke(file=tmp_path / "live.crl")
    more = f", client_ca: {authority.file}, client_crl: {live}, client_auth: required"
    daemon = serve(section(pair, more=more))
    context = authority.client(bad, version=version)
    with connect(context, port(daemon)) as wire:
        assert ask(wire)[0] == 200
        session = wire.session
    os.replace(authority.revoke(bad[0], file=tmp_path / "new.crl"), live)

    def is_refused(session=None):
        try:
            with connect(context, port(daemon), session=session) as wire:
                return ask(wire)[0] != 200
        except (ssl.SSLError, ConnectionError):
            return True

    eventually(is_refused)
    assert is_refused(session)
    with connect(authority.client(good, version=version), port(daemon)) as wire:
        assert ask(wire)[0] == 200
    daemon.expect_log("new certificates were refused")
    live.write_text("no list\n")
    trouble = daemon.eventually(lambda: daemon.get("/v1/health").get("tls_trouble"))
    assert 'live.crl" cannot be read as lists' in trouble
    with connect(authority.client(good, version=version), port(daemon)) as wire:
        assert ask(wire)[0] == 200


@pytest.mark.parametrize("version", [V12, V13])
def test_a_session_is_resumed_only_where_it_was_made(serve, authority, pair, version):
    other = authority.sign("other", "DNS:other.example")
    daemon = serve(section(pair, other), section(pair), section(
        pair, more=f", client_ca: {authority.file}, client_auth: optional"))
    context = authority.client(version=version)
    context.check_hostname = False
    with connect(context, port(daemon)) as wire:
        ask(wire)  # a ticket comes with the answer, if not before
        session = wire.session
        assert session.has_ticket and not wire.session_reused
    with connect(context, port(daemon), session=session) as wire:
        assert wire.session_reused and ask(wire)[0] == 200
        session = wire.session or session
    for number, name in ((1, "other.example"), (2, "localhost"), (3, "localhost")):
        with connect(context, port(daemon, number), name, session=session) as wire:
            assert not wire.session_reused, (number, name)
            assert ask(wire)[0] == 200


def swap(pair, to):
    """As an administrator would: key and certificate, one after the other."""
    for source, target in zip(pair, to, strict=True):
        shutil.copy(source, f"{target}.new")
        os.replace(f"{target}.new", target)


def other(now, before):
    return now if now != before else None


def served(context, to):
    with connect(context, to) as wire:
        assert ask(wire)[0] == 200
        return wire.getpeercert()["serialNumber"]


def test_certificates_are_exchanged_while_clients_come(serve, authority, tmp_path):
    first, second = authority.sign("first"), authority.sign("second")
    live = tmp_path / "live.pem", tmp_path / "live.key"
    swap(first, live)
    daemon = serve(section(live))
    daemon.expect_log("were refused")  # between the two files of a pair
    context, failed, stop = authority.client(), [], threading.Event()

    def clients():
        while not stop.is_set():
            try:
                served(context, port(daemon))
            except Exception as error:  # noqa: BLE001 - any failure is one
                failed.append(error)

    thread = threading.Thread(target=clients)
    thread.start()
    try:
        with connect(context, port(daemon)) as old:
            before = old.getpeercert()["serialNumber"]
            for number in range(4):
                swap((second, first)[number % 2], live)
                before = eventually(lambda now=before: other(
                    served(context, port(daemon)), now))
            assert ask(old)[0] == 200  # whoever was there stays
    finally:
        stop.set()
        thread.join()
    assert not failed
    assert "tls_trouble" not in daemon.get("/v1/health")


def test_a_directory_of_certificates_is_a_link(serve, authority, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        swap(authority.sign(name), (tmp_path / name / "tls.crt", tmp_path / name / "tls.key"))
    link = tmp_path / "current"
    link.symlink_to("one")
    daemon = serve(section((link / "tls.crt", link / "tls.key")))
    context = authority.client()
    before = served(context, port(daemon))
    turned = tmp_path / "turned"
    turned.symlink_to("two")
    os.replace(turned, link)
    eventually(lambda: served(context, port(daemon)) != before)


def test_what_cannot_serve_is_refused_and_told(serve, authority, pair, tmp_path):
    live = tmp_path / "live.pem", tmp_path / "live.key"
    swap(pair, live)
    daemon = serve(section(live))
    daemon.expect_log("were refused")
    context = authority.client()
    before = served(context, port(daemon))

    def trouble():
        return daemon.get("/v1/health").get("tls_trouble", "")

    swap(authority.sign("rsa", kind="rsa"), (tmp_path / "other.pem", live[1]))
    eventually(lambda: "is not the key of the certificate" in trouble())
    live[1].write_text("no key")
    eventually(lambda: "cannot be read as a private key" in trouble())
    assert served(context, port(daemon)) == before
    swap(authority.sign("mate"), (tmp_path / "unused.pem", live[1]))
    eventually(lambda: "is not the key of the certificate" in trouble())
    live[0].unlink()
    eventually(lambda: "cannot be read as a certificate" in trouble())
    swap(authority.sign("late", days="-1"), live)
    eventually(lambda: "has expired" in trouble())
    assert served(context, port(daemon)) == before
    swap(authority.sign("good"), live)
    eventually(lambda: not trouble())
    assert served(context, port(daemon)) != before


@pytest.mark.parametrize(("text", "says"), [
    ("{ address: 127.0.0.1:0, tls: { min_version: 1.3 } }", "tls.certificates is missing"),
    ("{ tls: {} }", "address is missing"),
    ("{ address: 127.0.0.1:0, tls: { certificates: { certificate: a } } }",
     "has no certificate, or no key"),
    ("{ address: 127.0.0.1:0, tls: { certificates: { certificate: a, key: b }, "
     "client_auth: required } }", "tls.client_ca is missing"),
    ("{ address: 127.0.0.1:0, tls: { certificates: { certificate: a, key: b }, "
     "min_version: 1.1 } }", '1.2, 1.3 is accepted'),
    ("{ address: 127.0.0.1:0, tsl: {} }", "tsl is not known in a listener"),
    ("{ address: 127.0.0.1:0, tls: { certificates: { certificate: /absent, key: b } } }",
     '"/absent" cannot be read as a certificate: No such file or directory'),
])
def test_settings_that_are_refused(binary, serve, text, says):
    daemon = serve(text, start=False)
    done = subprocess.run([binary, "server", "-c", daemon.config], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr


@pytest.mark.parametrize("only", ["true", "false"])
def test_alpn_chooses_http2(serve, authority, pair, only):
    daemon = serve(section(pair, more=f", http1_only: {only}"))
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", authority.file, "-w", " %{http_version}",
         f"https://localhost:{port(daemon)}/hello"], capture_output=True, text=True, check=True)
    assert done.stdout == {"true": "hello 1.1", "false": "hello 2"}[only]
    with connect(authority.client(alpn=("h2", "http/1.1")), port(daemon)) as wire:
        assert wire.selected_alpn_protocol() == {"true": "http/1.1", "false": "h2"}[only]


class Secure(Service):
    """A service over TLS."""

    def __init__(self, context, **options):
        super().__init__(**options)
        self.resumed = []
        plain = self.server.get_request

        def get_request():
            raw, address = plain()
            raw.settimeout(20)
            try:
                wire = context.wrap_socket(raw, server_side=True)
            except OSError as error:
                raw.close()
                raise OSError(str(error)) from error
            self.resumed.append(wire.session_reused)
            return wire, address

        self.server.get_request = get_request


@pytest.fixture
def secure(authority):
    """Makes services over TLS; by default with a certificate for localhost and 127.0.0.1."""
    made = []

    def secure(pair, ca=None, alpn=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if ca:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
        if alpn:
            context.set_alpn_protocols(alpn)
        made.append(Secure(context))
        return made[-1]

    yield secure
    for service in made:
        service.stop()


def test_a_static_upstream_is_verified(make_daemon, secure, authority, tmp_path):
    good = secure(authority.sign("good"))
    other = secure(authority.sign("other", "DNS:other.example"))
    late = secure(authority.sign("late", days="-1"))
    stranger = secure(Authority(tmp_path / "stranger").sign("stranger"))
    named = f"ca: {authority.file}, server_name: other.example"
    daemon = make_daemon("routes:\n" + "".join(
        f"  - match: {{ prefix: /{name} }}\n    upstream: https://{service.address}\n{more}"
        for name, service, more in (
            ("good", good, ""), ("other", other, ""), ("late", late, ""),
            ("stranger", stranger, ""),
            ("named", other, f"    upstream_tls: {{ {named} }}\n"),
            ("blind", stranger, "    upstream_tls: { skip_verify: true }\n"))),
        gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    for path in ("/good", "/named", "/blind", "/good"):
        answer = daemon.edge_get(path)
        assert answer.status == 200, answer
    assert all(good.resumed[1:])  # of another worker, if any
    for path, says in (("/other", "mismatch"), ("/late", "expired"),
                       ("/stranger", "unable to get local issuer certificate")):
        answer = daemon.edge_get(path)
        assert answer.status == 502 and says in answer.json["title"] + str(answer.json), answer
    assert not other.requests[1:] and not late.requests


def test_sessions_with_upstreams_are_resumed(make_daemon, secure, authority):
    service = secure(authority.sign("good"))
    daemon = make_daemon(
        f"routes: [{{ match: {{ prefix: / }}, upstream: \"https://{service.address}\" }}]\n",
        gateway=f"  upstream: {{ idle_timeout: 100ms, tls: {{ ca: {authority.file} }} }}\n"
                )
    assert daemon.edge_get("/").status == 200

    def again():
        assert daemon.edge_get("/").status == 200
        return any(service.resumed)

    eventually(again)


def test_an_upstream_asks_for_a_certificate(make_daemon, secure, authority):
    service = secure(authority.sign("good"), ca=authority.file)
    certificate, key = authority.sign("gateway")
    base = f"routes:\n  - match: {{ prefix: /with }}\n    upstream: https://{service.address}\n" \
           f"    upstream_tls: {{ certificate: {certificate}, key: {key} }}\n" \
           f"  - match: {{ prefix: /without }}\n    upstream: https://{service.address}\n"
    daemon = make_daemon(base, gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    assert daemon.edge_get("/with").status == 200
    assert daemon.edge_get("/without").status == 502


def test_instances_over_tls(make_daemon, secure, authority):
    service = secure(authority.sign("good"))
    daemon = make_daemon(gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    daemon.register("orders", "i1", service.address, "1.0.0", protocol="https")
    daemon.eventually(lambda: daemon.edge_get("/api/orders/x").status == 200)
    body = BODY[:300_000]
    service.answer = lambda request: (200, {}, request["body"])
    assert daemon.edge_get("/api/orders/x", method="POST", body=body).body == body


def test_bytes_before_the_handshake_are_no_answer(make_daemon, authority):
    """CVE-2026-1642: what an upstream, or somebody between, says in plain text is not believed."""
    listener = socket.create_server(("127.0.0.1", 0))
    lie = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlie"

    def play():
        with contextlib.suppress(OSError):
            while True:
                wire, _ = listener.accept()
                with wire:
                    wire.sendall(lie)
                    wire.recv(65536)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        port = listener.getsockname()[1]
        daemon = make_daemon(f"routes: [{{ match: {{ prefix: / }}, "
                             f"upstream: \"https://127.0.0.1:{port}\" }}]\n")
        answer = daemon.edge_get("/")
        assert answer.status == 502 and b"lie" not in answer.body
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_body_until_the_end_needs_the_end_said(make_daemon, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("good"))
    listener = socket.create_server(("127.0.0.1", 0))

    def play():
        with contextlib.suppress(OSError):
            while True:
                raw, _ = listener.accept()
                with context.wrap_socket(raw, server_side=True) as wire:
                    target = wire.recv(65536).split()[1]
                    wire.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
                    if target == b"/said":
                        wire.unwrap()

    thread = threading.Thread(target=play)
    thread.start()
    try:
        port = listener.getsockname()[1]
        daemon = make_daemon(f"routes: [{{ match: {{ prefix: / }}, "
                             f"upstream: \"https://127.0.0.1:{port}\" }}]\n",
                             gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
        assert daemon.edge_get("/said").body == b"all of it"
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            daemon.edge_get("/cut")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("listener", ["", ", http1_only: true"])
def test_http2_to_an_upstream_over_tls(serve, make_daemon, authority, pair, listener):
    """One Sarsen behind another."""
    behind = serve(section(pair, more=listener))
    daemon = make_daemon(
        f"routes: [{{ match: {{ prefix: / }}, upstream: \"https://127.0.0.1:{port(behind)}\", "
        "protocol: http2 } ]\n",
        gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    answer = daemon.edge_get("/hello")
    if not listener:
        assert answer.status == 200 and answer.body == b"hello"
    else:
        assert answer.status == 502 and b"application protocol" in answer.body, answer


@pytest.mark.parametrize("listener", ["", ", http1_only: true"])
def test_an_upstream_over_tls_says_which_version_it_likes(serve, make_daemon, authority, pair,
                                                          listener):
    behind = serve(section(pair, more=listener))
    daemon = make_daemon(
        f"routes: [{{ match: {{ prefix: / }}, upstream: \"https://127.0.0.1:{port(behind)}\", "
        "protocol: auto } ]\n",
        gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    for _ in range(6):  # by each worker, and again over what it keeps
        answer = daemon.edge_get("/hello")
        assert answer.status == 200 and answer.body == b"hello"


def test_names_of_clients_choose_routes_and_reach_services(serve, service, authority, pair):
    echo = service("echo")
    orders = authority.sign("orders", "URI:spiffe://here/ns/orders,DNS:orders.here")
    forger = authority.sign("forger", "DNS:spiffe.here,DNS:here")
    only = f", client_ca: {authority.file}, client_auth: optional"
    daemon = serve(section(pair, more=only), config=f"""
routes:
  - match: {{ prefix: /uri, client_san: "spiffe://here/ns/*" }}
    upstream: {echo.address}
  - match: {{ prefix: /dns, client_san: [ Orders.here, other.here ] }}
    upstream: {echo.address}
  - match: {{ prefix: /any }}
    upstream: {echo.address}
""")
    lie = "Sarsen-Client-San: spiffe://here/ns/admin\r\n"

    def reached(client, path):
        with connect(authority.client(client), port(daemon)) as wire:
            status = ask(wire, path, fields=lie)[0]
            return status, echo.header("Sarsen-Client-San") if status == 200 else None

    names = ["spiffe://here/ns/orders", "orders.here"]
    for path in ("/uri", "/dns", "/any"):
        assert reached(orders, path) == (200, names), path
    assert echo.header("X-Forwarded-Proto") == ["https"]
    for client in (None, forger):
        assert reached(client, "/uri")[0] == reached(client, "/dns")[0] == 404
    assert reached(None, "/any") == (200, [])
    assert reached(forger, "/any") == (200, ["spiffe.here", "here"])
