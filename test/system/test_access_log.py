# SPDX-License-Identifier: Apache-2.0
"""The access log: one line for every request, whatever becomes of it, and no way to forge one."""
import json
import os
import re
import signal
import socket
import threading

import pytest
from support.daemon import Caller, request
from support.wire import Played, Wire

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Log:
    """A daemon whose access log is read as it grows."""

    def __init__(self, make_daemon, directory, *settings, **options):
        self.path = directory / "access.log"
        self.daemon = make_daemon(gateway="".join(
            f"  {line}\n" for line in (f"access_log: {self.path}", *settings)), **options)

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def line(self, **wanted):
        """The one line that has these members, as soon as it is there."""
        def find():
            return [line for line in self.lines() if wanted.items() <= line.items()]
        found = self.daemon.eventually(find)
        assert len(found) == 1, found
        return found[0]

    def wait(self, count):
        self.daemon.eventually(lambda: len(self.lines()) >= count)
        return self.lines()


@pytest.fixture
def log(make_daemon, tmp_path):
    return Log(make_daemon, tmp_path)


def hang_up(daemon):
    daemon.process.send_signal(signal.SIGHUP)


def reload(daemon, text, word="msg=reloaded"):
    """Writes the file anew, has it read, and waits for what is said about it."""
    before = len(daemon.log)
    daemon.config.write_text(text)
    hang_up(daemon)
    daemon.eventually(lambda: any(word in line for line in daemon.log[before:]))
    return "".join(daemon.log[before:])


# --- what a line says ---

def test_a_proxied_request(log, service):
    target = service("orders", answer=lambda _: (201, {}, b"made"))
    log.daemon.register("orders", "a", target.address, "1.2.0")
    answer = log.daemon.edge_get("/api/orders//a/./b?page=2", {
        "User-Agent": "test/1", "Referer": "http://u:p@shop.test/cart?token=t#x"},
        method="POST", body=b"0123456789")
    assert answer.status == 201
    line = log.line(method="POST")
    assert TIME.fullmatch(line.pop("time"))
    assert line.pop("duration_ms") >= line["upstream_ms"] >= 0
    line.pop("upstream_ms")
    sent = dict(target.requests[0]["headers"])
    assert re.fullmatch(r"[0-9a-f]{32}", line["trace_id"])
    assert line.pop("trace_id") == sent["x-request-id"] == sent["traceparent"].split("-")[1]
    assert line.pop("customer").startswith("~")
    assert line == {
        "listener": "edge", "client": "127.0.0.1", "method": "POST", "host": log.daemon.edge,
        "path": "/api/orders/a/b", "query": "page=2", "protocol": "HTTP/1.1", "status": 201,
        "bytes_in": 10, "bytes_out": 4, "service": "orders", "contract": "orders@1",
        "build": "1.2.0", "upstream": target.address, "attempts": 1,
        "bom": answer.headers["Sarsen-Bom"], "user_agent": "test/1",
        "referer": "http://shop.test/cart?token=***"}


def test_an_internal_request(log, service):
    log.daemon.register("orders", "a", service("orders").address, "1.2.0")
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = request(log.daemon.unix, "GET", "/x", headers={
        "Sarsen-Service": "orders", "Sarsen-Customer": "acme", "Sarsen-Caller": "billing",
        "traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-Id": "r-1"})
    assert answer.status == 200
    line = log.line(path="/x")
    wanted = {"listener": "internal", "client": "unix", "customer": "acme", "caller": "billing",
              "trace_id": trace, "request_id": "r-1", "service": "orders"}
    assert wanted.items() <= line.items()


def test_a_client_that_brings_a_trace(log, service):
    target = service("orders")
    log.daemon.register("orders", "a", target.address, "1.2.0")
    trace = "0af7651916cd43dd8448eb211c80319c"
    log.daemon.edge_get("/api/orders/", {"traceparent": f"00-{trace}-b7ad6b7169203331-01",
                                         "X-Request-Id": "mine"})
    line = log.line(status=200)
    assert line["trace_id"] == trace
    assert line["request_id"] == dict(target.requests[0]["headers"])["x-request-id"] != "mine"


def test_a_release_is_named(log, service):
    log.daemon.register("orders", "a", service("orders").address, "1.2.0")
    log.daemon.publish("shop", "4.2.0", {"orders": "1"})
    log.daemon.edge_get("/apps/shop/")
    log.daemon.edge_get("/api/orders/")
    assert log.line(path="/apps/shop/")["status"] == 200
    line = log.line(path="/api/orders/")
    assert (line["app"], line["release"]) == ("shop", "4.2.0")


def test_answers_of_the_gateway_say_why(log):
    daemon = log.daemon
    with Wire.connect(daemon.edge) as wire:
        wire.get("/nowhere")
        wire.answer()
        wire.get("/api/orders/x")
        wire.answer()
        wire.get("/a/%2e%2e/%2e%2e")
        wire.answer()
        wire.get("/nowhere2", method="HEAD")
        wire.answer("HEAD")
    line = log.line(path="/nowhere")
    assert (line["status"], line["fault"]) == (404, "refused")
    assert "no route" in line["reason"]
    assert "upstream" not in line and "attempts" not in line
    assert log.line(path="/api/orders/x")["fault"] == "no_service"
    line = log.line(status=400)
    assert "path" not in line and "leaves the root" in line["reason"]
    assert log.line(path="/nowhere2")["bytes_out"] == 0


# What is sent, and what its line says; where a head could be read, what it asked for.
REFUSED = [
    (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400, None),
    (b"nonsense\r\n\r\n", 400, None),
    (b"GET / HTTP/2.5\r\nHost: a\r\n\r\n", 505, None),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414, None),
    (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501, "CONNECT"),
]


@pytest.mark.parametrize("sent, status, method", REFUSED)
def test_what_the_parser_refuses_has_a_line(log, sent, status, method):
    with Wire.connect(log.daemon.edge) as wire:
        wire.send(sent)
        answer = wire.head()
    line = log.line(fault="refused")
    assert answer.status == line["status"] == status
    assert line["client"] == "127.0.0.1" and line["listener"] == "edge"
    assert line["reason"] and not line["reason"].endswith("\n")
    assert line.get("method") == method


def test_a_body_too_large_has_one_line(make_daemon, tmp_path, service):
    log = Log(make_daemon, tmp_path, "limits: { body: 1KiB }")
    log.daemon.register("orders", "a", service("orders").address, "1.2.0")
    with Wire.connect(log.daemon.edge) as wire:
        wire.send("POST /api/orders/1?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
        assert wire.head().status == 413
    with Wire.connect(log.daemon.edge) as wire:
        wire.send("POST /api/orders/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                  "800\r\n", "x" * 2048, "\r\n0\r\n\r\n")
        assert wire.head().status == 413
    line = log.line(path="/api/orders/1")
    assert (line["status"], line["fault"], line["query"]) == (413, "refused", "a=b")
    line = log.line(path="/api/orders/2")
    assert (line["status"], line["fault"]) == (413, "refused")
    assert len(log.lines()) == 2


def test_clients_that_go_away(log):
    asked = threading.Event()

    def never(wire):
        wire.head()
        asked.set()
        wire.rest()

    played = Played(never)
    log.daemon.register("orders", "a", played.address, "1.2.0")
    wire = Wire.connect(log.daemon.edge)
    wire.get("/api/orders/")
    assert asked.wait(15)
    wire.reset()
    line = log.line(fault="client_gone")
    assert "status" not in line and "upstream_ms" not in line
    assert (line["bytes_out"], line["upstream"]) == (0, played.address)
    played.close()


def test_services_that_fail(log):
    def broken(wire):
        wire.head()

    def half(wire):
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    def invalid(wire):
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")

    made = []
    for name, function in (("broken", broken), ("half", half), ("invalid", invalid)):
        made.append(Played(function))
        log.daemon.register(name, "a", made[-1].address, "1.0.0")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        log.daemon.register("nobody", "a", f"127.0.0.1:{nobody.getsockname()[1]}", "1.0.0")
        for name in ("broken", "invalid", "nobody"):
            log.daemon.edge_get(f"/api/{name}/")
        with Wire.connect(log.daemon.edge) as wire:
            wire.get("/api/half/")
            wire.rest()
    for name, status, fault in (("broken", 502, "broken"), ("half", 200, "broken"),
                                ("invalid", 502, "invalid"), ("nobody", 503, "connect")):
        line = log.line(service=name)
        assert (line["status"], line["fault"]) == (status, fault), line
    assert log.line(service="half")["bytes_out"] == 4
    assert "upstream_ms" not in log.line(service="nobody")
    for played in made:
        played.close()


def test_a_request_that_was_sent_again(log, service):
    good = service("orders")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        log.daemon.register("orders", "a", good.address, "1.0.0")
        log.daemon.register("orders", "b", f"127.0.0.1:{nobody.getsockname()[1]}", "1.0.0")
        for _ in range(6):  # so that one of the two workers comes to either
            assert log.daemon.edge_get("/api/orders/").status == 200
    lines = log.wait(6)
    assert {line["attempts"] for line in lines} >= {2}
    assert all(line["upstream"] == good.address and "fault" not in line for line in lines)


# --- nobody else writes in it ---

def test_no_client_forges_a_line_or_a_field(log):
    forged = '"}\n{"time":"x","status":200,"path":"/forged'
    fields = ['x", "status": 200, "y": "', "a\\", "\\u0022", "\\\"", "{}", "\x80\xff\xfe",
              "\xe2\x80\xa8", "\xc2\x85", "tab\there", "'", "<script>", "%22%0a%0d"]
    with Wire.connect(log.daemon.edge) as wire:
        for number, value in enumerate(fields):
            wire.get(f"/n{number}", f"User-Agent: {value}", f"Referer: http://a.test/{value}")
            wire.answer()
        # The target takes none of it raw, and keeps it escaped.
        wire.get("/%22%7D%0A%7B%22status%22:1")
        wire.answer()
        wire.get('/q?a="b"&c=\'\\')
        wire.answer()
    for sent in (forged.encode(), b"\r\n", b"\n{}\n", b"\0"):
        with Wire.connect(log.daemon.edge) as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ", sent, b"\r\n\r\n")
            wire.rest()
    lines = log.wait(len(fields) + 5)
    text = log.path.read_bytes()
    assert text.count(b"\n") == len(lines) and text.endswith(b"}\n")
    assert all(byte == 10 or 32 <= byte < 127 for byte in text)
    assert not [line for line in lines if line.get("path") == "/forged" or "y" in line]
    for number, value in enumerate(fields):
        line = next(line for line in lines if line.get("path") == f"/n{number}")
        assert line["user_agent"] == value
        assert line["status"] == 404


def test_no_secret_gets_into_it(make_daemon, tmp_path, service):
    log = Log(make_daemon, tmp_path, "access_redact: iban, card_number")
    log.daemon.register("orders", "a", service("orders").address, "1.0.0")
    names = ["token", "access_token", "id_token", "code", "key", "api_key", "password", "secret",
             "client_secret", "signature", "sig", "auth", "session", "user[password]",
             "%74oken", "X-Amz-Signature", "iban", "CardNumber"]
    query = "&".join(f"{name}=hunter2" for name in names) + "&page=2"
    headers = {"Authorization": "Bearer hunter2", "Cookie": "sid=hunter2; sarsen=hunter2",
               "Proxy-Authorization": "hunter2", "X-Api-Key": "hunter2",
               "Referer": f"https://me:hunter2@shop.test/?{query}#access_token=hunter2"}
    assert log.daemon.edge_get(f"/api/orders/?{query}", headers).status == 200
    assert log.daemon.edge_get(f"/nowhere?{query}", headers).status == 404
    lines = log.wait(2)
    assert "hunter2" not in log.path.read_text()
    assert all(line["query"].endswith("page=2") for line in lines)
    assert all(line["query"].count("***") == len(names) for line in lines)


def test_what_is_long_is_cut_and_says_so(log):
    log.daemon.edge_get("/" + "p" * 3000, {"User-Agent": "u" * 3000})
    line = log.line(status=404)
    assert line["cut"] == ["path", "user_agent"]
    assert len(line["path"]) == 2048 and set(line["path"][1:]) == {"p"}


# --- files ---

def test_the_file_is_for_its_owner_and_no_link(make_daemon, tmp_path):
    log = Log(make_daemon, tmp_path)
    log.daemon.edge_get("/x")
    log.line(path="/x")
    assert log.path.stat().st_mode & 0o777 == 0o640
    text = log.daemon.config.read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    for target, word in ((link, "is a symbolic link"), (tmp_path, "is a directory"),
                         (tmp_path / "a" / "b", "directory that is not there")):
        log.daemon.expect_log("was refused")
        said = reload(log.daemon, text.replace(str(log.path), str(target)), "was refused")
        assert word in said and "gateway.access_log" in said, said
    log.daemon.edge_get("/y")
    log.line(path="/y")
    assert not elsewhere.read_text()


def test_a_start_is_refused_where_the_log_cannot_be(make_daemon, tmp_path):
    daemon = make_daemon(gateway=f"  access_log: {tmp_path}/none/log\n", start=False)
    with pytest.raises(AssertionError, match="lies in a directory that is not there"):
        daemon.start()
    daemon.process.wait()


def test_rotation_under_load_loses_nothing(log, service):
    """As logrotate does it: rename, SIGHUP; with a config file that is refused, too."""
    log.daemon.register("orders", "a", service("orders").address, "1.0.0")
    over = threading.Event()
    counts = [0, 0]

    def load(number):
        with Caller(log.daemon.edge) as caller:
            while not over.is_set():
                assert caller.ask(f"/api/orders/{number}/{counts[number]}").status == 200
                counts[number] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    log.daemon.expect_log("was refused")
    text = log.daemon.config.read_text()
    for number in range(10):
        before = sum(counts)
        log.daemon.eventually(lambda before=before: sum(counts) > before + 5)
        log.path.rename(log.path.with_suffix(f".{number}"))
        log.daemon.config.write_text(text + ("nonsense: 1\n" if number % 2 else ""))
        hang_up(log.daemon)
        log.daemon.eventually(log.path.exists)
    over.set()
    for thread in threads:
        thread.join()
    log.daemon.stop()
    lines = [json.loads(line) for path in log.path.parent.glob("access.*")
             for line in path.read_text().splitlines()]
    paths = [line["path"] for line in lines]
    assert len(set(paths)) == len(paths) == sum(counts)
    assert len(list(log.path.parent.glob("access.*"))) == 11


def test_it_can_be_turned_on_and_off(make_daemon):
    daemon = make_daemon()
    path = daemon.data / "access.log"  # a place that the sandbox leaves open
    text = daemon.config.read_text()
    daemon.edge_get("/before")
    for number in range(3):
        reload(daemon, text.replace("gateway:\n", f"gateway:\n  access_log: {path}\n"))
        daemon.edge_get(f"/on{number}")
        daemon.eventually(lambda number=number: path.exists()
                          and f"/on{number}" in path.read_text())
        reload(daemon, text)
        daemon.edge_get("/off")
    assert re.findall(r'"path":"([^"]*)"', path.read_text()) == ["/on0", "/on1", "/on2"]


def test_what_was_answered_before_the_end_is_written(log):
    with Caller(log.daemon.edge) as caller:
        for number in range(300):
            caller.ask(f"/n{number}")
    log.daemon.stop()
    assert [line["path"] for line in log.lines()] == [f"/n{number}" for number in range(300)]


# --- other targets ---

def test_a_reader_that_does_not_read_holds_nobody_up(make_daemon, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    daemon = make_daemon(gateway=f"  access_log: {fifo}\n")
    daemon.expect_log("access log cannot be written|lines of the access log were dropped")
    # More than pipe and ring hold, over one connection, so of one worker.
    count = 700
    with Caller(daemon.edge) as caller:
        for number in range(count):
            assert caller.ask(f"/{number}/" + "p" * 2000, {"User-Agent": "u" * 512}).status == 404
    daemon.eventually(lambda: any("nobody takes the lines" in line for line in daemon.log))

    unlogged = daemon.get("/v1/health")["unlogged"]
    with open(fifo, "rb") as reader:
        n_lines, dropped = 0, 0
        while not dropped:
            line = json.loads(reader.readline())
            dropped = line.get("dropped", 0)
            n_lines += "dropped" not in line
        assert n_lines + dropped == count and dropped == unlogged > 100
        assert TIME.fullmatch(line["time"])
        daemon.edge_get("/after")
        assert json.loads(reader.readline())["path"] == "/after"


def test_standard_output(make_daemon, tmp_path):
    daemon = make_daemon(gateway="  access_log: stdout\n", start=False)
    into, out = os.pipe()
    daemon.start(stdout=out)
    os.close(out)
    with open(into, "rb") as reader:
        daemon.edge_get("/x")
        assert json.loads(reader.readline())["path"] == "/x"
    daemon.stop()

    with open(tmp_path / "out", "wb") as file:
        daemon.start(stdout=file)
    daemon.edge_get("/y")
    daemon.eventually(lambda: "/y" in (tmp_path / "out").read_text())


def test_a_local_syslog_daemon(make_daemon, tmp_path):
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.settimeout(15)
        syslog.bind(str(path))
        daemon = make_daemon(gateway=f"  access_log: syslog:unix:{path}\n")
        daemon.edge_get("/x")
        text = syslog.recv(65536).decode()
    start = rf"<134>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d sarsen\[{daemon.process.pid}\]: "
    assert re.match(start, text), text
    assert json.loads(re.sub(start, "", text))["path"] == "/x"
    path.unlink()

    # It is restarted; what came meanwhile waits for it.
    daemon.edge_get("/y")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.settimeout(15)
        syslog.bind(str(path))
        assert '"/y"' in syslog.recv(65536).decode()
    daemon.expect_log("access log cannot be written")


def test_a_syslog_daemon_over_udp(make_daemon):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.settimeout(15)
        syslog.bind(("127.0.0.1", 0))
        port = syslog.getsockname()[1]
        daemon = make_daemon(gateway=f"  access_log: syslog:127.0.0.1:{port}\n")
        daemon.edge_get("/x")
        text = syslog.recv(65536).decode()
    start = rf"<134>1 \S+Z \S+ sarsen {daemon.process.pid} access - "
    assert re.match(start, text), text
    assert json.loads(re.sub(start, "", text))["path"] == "/x"
