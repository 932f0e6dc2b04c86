# SPDX-License-Identifier: Apache-2.0
"""A new process takes over, and no client notices."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from support.authority import Authority
from support.daemon import Caller
from support.grpc_service import GrpcService
from support.load import ALL_KINDS, Load, play
from support.wire import Played, Wire, eventually, reply


@pytest.fixture
def line(make_daemon):
    """A daemon and those that take over from it, one after the other; all of them are checked."""
    class Line:
        def __init__(self):
            self.all = []

        def start(self, config="", **options):
            self.all.append(make_daemon(config, **options))
            return self.now

        @property
        def now(self):
            return self.all[-1]

        def upgrade(self, **options):
            self.all.append(self.now.upgrade(**options))
            return self.now

    line = Line()
    yield line
    line.now.stop()
    for daemon in line.all[:-1]:
        daemon.ended()
    for daemon in line.all[1:]:
        daemon.check_log()


@pytest.fixture
def echo():
    service = Played(play)
    yield service
    service.close()


def to(service):
    return f"routes: [ {{ match: {{ prefix: /load }}, upstream: {service.address} }} ]\n"


def test_one_upgrade_under_load_fails_nobody(line, echo):
    daemon = line.start(to(echo))
    with Load(daemon) as load:
        eventually(load.went_on)
        line.upgrade()
        before = load.done()
        eventually(lambda: load.went_on(before))
    daemon.ended()


def held(begun, may_end):
    """A service whose answers begin, and end when they may."""
    def serve(wire):
        while True:
            head = wire.head()
            wire.body(head)
            if head.target.endswith("/held"):
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbeg")
                begun.set()
                assert may_end.wait(20)
                wire.send("un.")
            else:
                wire.send(reply("200 OK", head.target.encode()))
    return serve


def swap(pair, live):
    """The key first, then the certificate: between the two neither may be served."""
    for source, target in zip(reversed(pair), reversed(live), strict=True):
        shutil.copy(source, f"{target}.new")
        os.replace(f"{target}.new", target)


def test_upgrades_reloads_and_certificates_under_load_fail_nobody(line, echo, tmp_path):
    """20 upgrades, 100 reloads and 100 exchanges of certificates; all kinds of clients."""
    authority = Authority(tmp_path / "authority")
    pairs = [authority.sign(name) for name in ("one", "two")]
    live = tmp_path / "live.pem", tmp_path / "live.key"
    swap(pairs[0], live)
    service = GrpcService("load.Load")
    daemon = line.start(to(echo), start=False)
    base = daemon.config.read_text().replace("edge: 127.0.0.1:0", f"""edge:
    - 127.0.0.1:0
    - address: 127.0.0.1:0
      tls: {{ certificates: [{{ certificate: {live[0]}, key: {live[1]} }}] }}""")
    daemon.config.write_text(base)
    daemon.expect_log("were refused")  # between a key and its certificate
    daemon.tls_client = authority.client()
    daemon.start()
    daemon.call("PUT", "/v1/services/load/instances/i1",
                {"address": service.address, "build": "1.0.0", "protocol": "grpc",
                 "grpc_services": ["load.Load"]}, status=201)
    number = 0
    with Load(daemon, ALL_KINDS) as load:
        for _ in range(20):
            for _ in range(5):
                number += 1
                swap(pairs[number % 2], live)
                seen = len(line.now.log)
                daemon.config.write_text(base.replace(
                    "routes: [",
                    f"routes: [ {{ match: {{ path: /n{number} }}, answer: {{ status: 204 }} }},"))
                line.now.process.send_signal(signal.SIGHUP)
                eventually(lambda seen=seen: any("msg=reloaded" in text
                                                 for text in line.now.log[seen:]))
            before = load.done()
            line.upgrade()
            line.now.expect_log("were refused")
            eventually(lambda before=before: load.went_on(before), 20)
            if load.failed:
                break
    service.stop()
    assert number == 100


def usage(daemon, query=""):
    return sum(row["n"] for row in daemon.get(f"/v1/usage?{query}")["usage"])


class Asker:
    """The new process, played: it says what the test says, and dies when the test likes."""

    def __init__(self, daemon):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20)
        self.sock.connect(str(daemon.data / "takeover.sock"))
        self.fds = []

    def say(self, *words):
        self.sock.send(b"".join(word.encode() + b"\0" for word in words))

    def hears(self, word):
        """The words of the first message of that kind; descriptors are kept."""
        while True:
            message, fds, _, _ = socket.recv_fds(self.sock, 65536, 64)
            assert message, f"closed before {word}"
            self.fds += fds
            words = message.split(b"\0")
            if words[0].decode() == word:
                return [found.decode() for found in words[1:-1]]

    def ask(self):
        self.say("hello", "1")
        self.hears("sockets")
        return self

    def take(self):
        """Has the store."""
        self.say("give")
        self.hears("given")
        return self

    def die(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)


GOES_ON = "the process that was to take over ended; this one goes on"


def goes_on(daemon, seen=0):
    daemon.expect_log(GOES_ON)
    eventually(lambda: any(GOES_ON in text for text in daemon.log[seen:]))


def test_what_runs_ends_in_the_old_process_and_what_waits_goes_on_in_the_new(line):
    begun, may_end = threading.Event(), threading.Event()
    service = Played(held(begun, may_end))
    old = line.start(to(service))
    with Wire.connect(old.edge) as idle, Wire.connect(old.edge) as busy, \
            Wire.connect(old.edge) as silent, Wire.connect(old.edge) as slow:
        assert idle.get("/load/a").answer()[1] == b"/load/a"
        slow.send("GET /load/s HTTP/1.1\r\nHo")
        busy.get("/load/held")
        assert begun.wait(10)
        before = old.sockets()
        new = line.upgrade()
        eventually(lambda: old.sockets() <= before - 2)
        for wire in (idle, silent):  # their connections are the new process's now
            head, body = wire.get("/load/b").answer()
            assert body == b"/load/b" and head.get("connection") != "close"
        slow.send("st: shop.test\r\n\r\n")
        assert slow.answer()[1] == b"/load/s"
        assert old.process.poll() is None
        may_end.set()
        assert busy.answer()[1] == b"begun."
        assert busy.get("/load/c").answer()[1] == b"/load/c"  # no answer had said that it ends
        old.ended()
        assert idle.get("/load/d").answer()[1] == b"/load/d"
    assert new.process.poll() is None
    service.close()


def test_the_new_process_goes_by_its_own_config(line):
    old = line.start("routes: [ { answer: { body: old } } ]\n")
    assert old.edge_get("/").body == b"old"
    config = old.directory / "new.yaml"
    config.write_text(old.config.read_text().replace("body: old", "body: new")
                      .replace("workers: 2", "workers: 3"))
    new = line.upgrade(config=config)
    assert new.edges == old.edges and new.internals == old.internals and new.api == old.api
    old.ended()
    assert all(new.edge_get("/").body == b"new" for _ in range(50))
    config.write_text(config.read_text().replace("workers: 3", "workers: 1"))
    line.upgrade()
    new.ended()
    assert all(new.edge_get("/").body == b"new" for _ in range(50))


def test_a_listener_that_goes_serves_its_queue_and_others_come(line):
    old = line.start("routes: [ { answer: { body: hi } } ]\n")
    config = old.directory / "new.yaml"
    text = old.config.read_text().replace("  edge: 127.0.0.1:0\n", "  edge: 127.0.0.2:0\n")
    config.write_text(text)
    with Wire.connect(old.edge) as kept:
        kept.get("/").answer()
        new = line.upgrade(config=config)
        assert new.edge != old.edge and new.edge_get("/").body == b"hi"
        assert kept.rest() == b""
    old.ended()
    with pytest.raises(ConnectionRefusedError):
        Wire.connect(old.edge)


def test_registrations_and_pins_of_just_before_are_there(line):
    old = line.start()
    for number in range(5):
        old.register("orders", f"i{number}", f"127.0.0.1:{9000 + number}", "3.1.0", ttl="2s",
                     deregister_after="1s")
    old.publish("shop", "4.2.0", {"orders": "3"})
    old.publish("shop", "4.3.0", {"orders": "3"})
    old.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.2.0", "why": "asked"},
             status=201)
    new = line.upgrade()
    assert len(new.get("/v1/services/orders/instances")["instances"]) == 5
    resolve = "/.sarsen/resolve?app=shop"
    found = new.internal_get(resolve, {"Sarsen-Customer": "acme"}).json
    assert found["release"] == "4.2.0", found
    new.expect_log("too few instances of a build are well")
    new.eventually(lambda: not new.get("/v1/services/orders/instances")["instances"])


def test_usage_adds_up(line):
    begun, may_end = threading.Event(), threading.Event()
    service = Played(held(begun, may_end))
    old = line.start()
    old.register("orders", "i1", service.address, "3.1.0")
    for number in range(20):
        customer = {"Sarsen-Customer": f"c{number % 3}"}
        assert old.internal_get("/api/orders/x", customer).status == 200
    with Wire.connect(old.internal) as busy:
        busy.get("/api/orders/held", "Sarsen-Customer: late")
        assert begun.wait(10)
        new = line.upgrade()
        for _ in range(10):
            assert new.internal_get("/api/orders/y", {"Sarsen-Customer": "c1"}).status == 200
        third = line.upgrade()
        may_end.set()
        assert busy.answer()[1] == b"begun."
    old.ended()
    new.ended()
    eventually(lambda: usage(third) == 31)
    assert usage(third, "customer=late") == 1
    rows = third.get("/v1/usage?customer=late&by=customer")["usage"]
    assert rows[0]["n"] == 1 and rows[0]["errors"] == 0
    third.stop()
    third.start()
    assert usage(third) == 31
    service.close()


def run(daemon, config):
    return subprocess.run([daemon.binary, "server", "-c", config, "--takeover"],
                          capture_output=True, text=True, timeout=60, check=False)


def test_a_config_that_is_refused_leaves_the_old_process_as_it_is(line, echo):
    daemon = line.start(to(echo))
    with Load(daemon) as load:
        bad = daemon.directory / "bad.yaml"
        bad.write_text(daemon.config.read_text() + "surprise: 1\n")
        done = run(daemon, bad)
        assert done.returncode == 1 and "surprise is not known" in done.stderr
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bad.write_text(daemon.config.read_text().replace(
            "edge: 127.0.0.1:0", f"edge: 127.0.0.1:{taken.getsockname()[1]}"))
        done = run(daemon, bad)
        assert done.returncode == 1 and "is taken by another process" in done.stderr
        goes_on(daemon)
        taken.close()
        before = load.done()
        eventually(lambda: load.went_on(before))
    daemon.register("orders", "i1", "127.0.0.1:9000")


def test_a_new_process_that_dies_leaves_the_old_one_serving(line, echo):
    daemon = line.start(to(echo))
    with Load(daemon) as load:
        for deadly in ("hello", "give", "given"):
            seen = len(daemon.log)
            asker = Asker(daemon)
            asker.say("hello", "1")
            if deadly != "hello":
                asker.hears("sockets")
                asker.say("give")
            if deadly == "given":
                asker.hears("given")
            asker.die()
            goes_on(daemon, seen)
            before = load.done()
            eventually(lambda seen=before: load.went_on(seen))
            daemon.register("orders", deadly, "127.0.0.1:9000")
    line.upgrade()
    assert len(line.now.get("/v1/services/orders/instances")["instances"]) == 3


def test_calls_wait_while_nobody_has_the_store(line):
    daemon = line.start("routes: [ { answer: { body: hi } } ]\n")
    kept = Caller(daemon.api)
    assert kept.ask("/v1/health").status == 200
    asker = Asker(daemon).ask().take()
    answers = []

    def call(caller):
        body = json.dumps({"address": "127.0.0.1:9000"})
        answers.append(caller.ask(f"/v1/services/s/instances/i{id(caller)}", method="PUT",
                                  body=body).status)

    threads = [threading.Thread(target=call, args=(caller,))
               for caller in (kept, Caller(daemon.api))]
    for thread in threads:
        thread.start()
    assert daemon.edge_get("/").body == b"hi"  # the data plane goes on
    threads[0].join(0.2)
    assert not answers
    asker.die()
    for thread in threads:
        thread.join(10)
    assert answers == [201, 201]
    goes_on(daemon)


def test_only_one_takes_over_at_a_time(line):
    daemon = line.start()
    asker = Asker(daemon).ask()
    done = run(daemon, daemon.config)
    assert done.returncode == 1 and "another process is taking over just now" in done.stderr
    daemon.process.send_signal(signal.SIGHUP)
    refused = "another process is taking over; it has read the config file"
    daemon.expect_log(refused)
    eventually(lambda: any(refused in text for text in daemon.log))
    asker.die()
    goes_on(daemon)


def test_another_protocol_is_refused(line):
    daemon = line.start()
    asker = Asker(daemon)
    asker.say("hello", "99")
    assert "in another way" in asker.hears("refused")[0]
    asker.die()
    assert line.upgrade().get("/v1/health")


def test_an_order_to_stop_is_kept_until_it_is_clear_who_goes_on(line):
    daemon = line.start()
    asker = Asker(daemon).ask().take()
    daemon.process.send_signal(signal.SIGTERM)
    asker.die()
    goes_on(daemon)
    daemon.ended()
    assert daemon.start("--takeover").get("/v1/health")  # from nobody


def activate(daemon, *listeners):
    """Starts it as a service manager does that listens for it."""
    fds = " ".join(f"{3 + i}<&{sock.fileno()}" for i, sock in enumerate(listeners))
    daemon.prefix = ["bash", "-c", f"exec {fds}; LISTEN_PID=$$ LISTEN_FDS={len(listeners)}"
                     ' exec "$0" "$@"']
    daemon.start(pass_fds=[sock.fileno() for sock in listeners])
    daemon.prefix = []


def test_a_manager_s_socket_outlives_the_process(line):
    manager = socket.socket()
    manager.bind(("127.0.0.1", 0))
    manager.listen(16)
    address = f"127.0.0.1:{manager.getsockname()[1]}"
    daemon = line.start("routes: [ { answer: { body: hi } } ]\n", start=False)
    daemon.config.write_text(daemon.config.read_text().replace("edge: 127.0.0.1:0",
                                                               f"edge: {address}"))
    with Wire.connect(address) as early:
        early.get("/")
        activate(daemon, manager)
        assert early.answer()[1] == b"hi"
        assert daemon.edge == address
    line.upgrade()
    assert daemon.edge_get("/").body == b"hi"
    line.now.stop()
    with Wire.connect(address) as between:  # nobody serves, and nobody is refused
        between.get("/")
        activate(line.now, manager)
        assert between.answer()[1] == b"hi"
    manager.close()


def upgrade(daemon, config, *options):
    return subprocess.run([daemon.binary, "upgrade", "-c", config, *options], text=True,
                          capture_output=True, timeout=60, check=False)


def test_the_verb_waits_until_the_new_process_serves(make_daemon, tmp_path):
    """And a service manager hears which one that is."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(20)
    old = make_daemon("routes: [ { answer: { body: hi } } ]\n")
    done = subprocess.run([old.binary, "upgrade", "-c", old.config], capture_output=True,
                          text=True, timeout=60, check=True,
                          env=dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "notify")))
    pid = int(done.stdout.split()[1])
    try:
        old.process.wait(30)
        assert old.edge_get("/").body == b"hi"
        heard = {line for _ in range(2) for line in manager.recv(512).decode().split("\n")}
        assert heard == {"READY=1", f"MAINPID={pid}"}
    finally:
        os.kill(pid, signal.SIGTERM)
    old.ended()
    manager.close()


def test_the_verb_ends_and_the_new_process_s_log_is_where_the_old_one_s_was(make_daemon):
    """Whoever reads from the command sees its end: nothing of it stays with the new process."""
    old = make_daemon("routes: [ { answer: { body: hi } } ]\n")
    done = subprocess.run([old.binary, "upgrade", "-c", old.config], input="", text=True,
                          capture_output=True, timeout=60, check=True)
    pid = int(done.stdout.split()[1])
    try:
        assert "serves now" in done.stdout and "msg=ready" not in done.stderr
        eventually(lambda: sum("msg=ready" in line for line in old.log) == 2)
        old.process.wait(30)
        assert old.edge_get("/").body == b"hi"
        links = {number: os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)}
        assert links[0] == "/dev/null" and links[2] == os.readlink(
            f"/proc/{os.getpid()}/fd/{old.process.stderr.fileno()}")
    finally:
        os.kill(pid, signal.SIGTERM)
    old.ended()  # its log ends with the last that writes to it
    assert "msg=stopped" in old.log[-1]


def child_of(process):
    """The number of its only child; None before that runs a program of its own."""
    path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = int(path.read_text() or 0)
    command = pathlib.Path(f"/proc/{child}/cmdline").read_bytes() if child else b""
    return child if b"--takeover" in command else None


def test_a_new_process_that_is_stopped_ends_and_gives_the_store_back(line, tmp_path):
    """It has the store already, and reads a certificate that never comes."""
    daemon = line.start("routes: [ { answer: { body: hi } } ]\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    config = daemon.directory / "never.yaml"
    config.write_text(daemon.config.read_text().replace(
        'listen: "127.0.0.1:0"',
        f'listen: "127.0.0.1:0", tls: {{ certificate: {pipe}, key: {pipe} }}'))
    verb = subprocess.Popen([daemon.binary, "upgrade", "-c", config], stderr=subprocess.PIPE,
                            text=True)

    def reads():
        with contextlib.suppress(OSError):  # ENXIO: nobody does
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        return None

    writer = eventually(reads)
    os.kill(child_of(verb), signal.SIGSTOP)
    assert daemon.edge_get("/").body == b"hi"
    said = verb.communicate(timeout=40)[1]
    assert verb.returncode == 1 and f"ended by signal {int(signal.SIGKILL)}" in said
    goes_on(daemon)
    daemon.register("orders", "i1", "127.0.0.1:9000")
    assert line.upgrade().get("/v1/services/orders/instances")["instances"]
    os.close(writer)


def test_the_verb_ends_a_process_that_is_stopped(line):
    daemon = line.start()
    config = daemon.directory / "never.yaml"
    os.mkfifo(config)
    verb = subprocess.Popen([daemon.binary, "upgrade", "-c", config, "--wait", "2"],
                            stderr=subprocess.PIPE, text=True)
    child = eventually(lambda: child_of(verb))
    os.kill(child, signal.SIGSTOP)
    assert "was not ready in time, and was ended" in verb.communicate(timeout=30)[1]
    assert verb.returncode == 1 and not os.path.exists(f"/proc/{child}")
    assert daemon.get("/v1/health")


def test_the_verb_says_when_the_old_process_goes_on(line):
    daemon = line.start()
    bad = daemon.directory / "bad.yaml"
    bad.write_text("surprise: 1\n")
    done = upgrade(daemon, bad)
    assert done.returncode == 1
    assert "surprise is not known" in done.stderr and "goes on" in done.stderr
    assert daemon.get("/v1/health")
    assert upgrade(daemon, bad, "--wait", "soon").returncode == 2
