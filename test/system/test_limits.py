# SPDX-License-Identifier: Apache-2.0
"""Every limit of the gateway, crossed: what the one who crosses it is told, and that a neighbour on
another connection notices nothing. Times are short by config."""
import contextlib
import os
import resource
import socket
import threading
import time

import pytest
from support.wire import Upstream, Wire, chunked, eventually, reply


@pytest.fixture
def limited(make_daemon, name, service):
    """Starts a daemon with these keys in its section "gateway", and one service behind it."""
    def make(gateway, **options):
        daemon = make_daemon(gateway=gateway, start=False)
        daemon.start(**options)
        daemon.register(name, "i1", service(name="s").address, "1.0.0")
        daemon.path = f"/api/{name}/"
        return daemon

    return make


@contextlib.contextmanager
def neighbour(daemon):
    """A connection that is served before and after what happens inside, by the same bytes."""
    with Wire.connect(daemon.edge) as wire:
        for is_after in (False, True):
            wire.get(daemon.path)
            head, body = wire.answer()
            assert head.status == 200 and b'"s"' in body, (is_after, head)
            assert head.get("connection") is None
            if not is_after:
                yield wire


def assert_refused(wire, status, text):
    """An answer that says why, and then the end."""
    head, body = wire.answer()
    assert head.status == status, (head, body)
    assert text in body.decode(), body
    assert head.get("connection") == "close"
    assert wire.rest() == b""


def reload(daemon, old, new):
    """Changes the config file and waits until the daemon serves by it."""
    text = daemon.config.read_text()
    assert old in text, text
    daemon.config.write_text(text.replace(old, new))
    n_before = sum("msg=reloaded" in line for line in daemon.log)
    daemon.process.send_signal(1)
    eventually(lambda: sum("msg=reloaded" in line for line in daemon.log) > n_before)


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


# --- heads ---

HEADS = "  limits: { head: 2KiB, line: 512, fields: 10 }\n"


@pytest.mark.parametrize("head, status, text", [
    ("GET /{0:a>600} HTTP/1.1\r\nHost: a\r\n\r\n", 414, "the start line is too long"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {0:a>600}\r\n\r\n", 431, "a field line is too long"),
    ("GET / HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 10 + "\r\n", 431, "there are too many fields"),
    ("GET / HTTP/1.1\r\nHost: a\r\n" + "X: {0:a>400}\r\n" * 6 + "\r\n", 431,
     "the head is too large"),
], ids=["start line", "field line", "fields", "head"])
def test_heads(limited, head, status, text):
    daemon = limited(HEADS)
    with neighbour(daemon), Wire.connect(daemon.edge) as wire:
        wire.send(head.format(""))
        assert_refused(wire, status, text)


def test_heads_up_to_their_limits(limited):
    daemon = limited(HEADS)
    line = "X: " + "a" * 480 + "\r\n"
    with Wire.connect(daemon.edge) as wire:
        wire.send(f"GET {daemon.path}?{'q' * 450} HTTP/1.1\r\nHost: a\r\n{line * 2}\r\n")
        assert wire.answer()[0].status == 200
        wire.send(f"GET {daemon.path} HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 9 + "\r\n")
        assert wire.answer()[0].status == 200


def test_a_head_that_drips_ends_on_its_deadline(limited):
    """The time is that of the whole head: a byte now and then buys none."""
    daemon = limited("  head_timeout: 1s\n")
    with neighbour(daemon), Wire.connect(daemon.edge) as slow, Wire.connect(daemon.edge) as silent:
        began = time.monotonic()
        slow.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        slow.sock.settimeout(0.1)
        while True:
            try:
                slow._more()
                break
            except TimeoutError:
                assert time.monotonic() - began < 10
                slow.send("a")
        slow.sock.settimeout(10)
        assert_refused(slow, 408, "the request head took too long")
        assert time.monotonic() - began > 0.9
        assert silent.rest() == b"", "who says nothing is told nothing"


# --- bodies ---

@pytest.mark.parametrize("framing, body", [
    ("Content-Length: 4097", b""),
    ("Content-Length: 4097\r\nExpect: 100-continue", b""),
    ("Transfer-Encoding: chunked", chunked(b"a" * 2048, b"b" * 2049)),
], ids=["length", "expect", "chunked"])
def test_a_body_that_is_too_large(limited, framing, body):
    daemon = limited("  limits: { body: 4KiB }\n")
    with neighbour(daemon), Wire.connect(daemon.edge) as wire:
        wire.send(f"POST {daemon.path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n", body)
        assert_refused(wire, 413, "the request body is too large")


def test_a_body_of_just_its_limit(limited):
    daemon = limited("  limits: { body: 4KiB }\n")
    for framing, body in (("Content-Length: 4096", b"a" * 4096),
                          ("Transfer-Encoding: chunked", chunked(b"a" * 2048, b"b" * 2048))):
        with Wire.connect(daemon.edge) as wire:
            wire.send(f"POST {daemon.path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n", body)
            assert wire.answer()[0].status == 200


def test_a_body_below_its_rate(limited):
    daemon = limited("  limits: { body_rate: 10KiB, body_grace: 500ms }\n  stall_timeout: 10s\n")
    with neighbour(daemon), Wire.connect(daemon.edge) as slow:
        slow.send(f"POST {daemon.path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        slow.sock.settimeout(0.05)
        began = time.monotonic()
        while True:
            try:
                slow._more()
                break
            except TimeoutError:
                assert time.monotonic() - began < 5, "it comes at less than 2 KiB a second"
                slow.send("a" * 100)
        slow.sock.settimeout(10)
        assert_refused(slow, 408, "the request body comes too slowly")


def test_a_body_that_stops(limited):
    daemon = limited("  limits: { body_rate: 0 }\n  stall_timeout: 500ms\n")
    with neighbour(daemon), Wire.connect(daemon.edge) as wire:
        wire.send(f"POST {daemon.path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        assert_refused(wire, 408, "the request body comes too slowly")


def test_a_client_that_takes_nothing_of_its_answer(make_daemon, name):
    daemon = make_daemon(gateway="  stall_timeout: 500ms\n")
    upstream = Upstream()
    daemon.register(name, "i1", upstream.address, "1.0.0")
    with Wire.connect(daemon.edge, receive_buffer=4096) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 40}\r\n\r\n")
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 20:
                service.fill(0.2)
        with pytest.raises((EOFError, ConnectionError)):
            client.drain(1 << 40)
    upstream.close()


@pytest.mark.parametrize("rate, is_served_whole", [(2000, False), (20000, True)])
def test_a_client_that_takes_its_answer_slowly(played, rate, is_served_whole):
    """What counts is what the client takes, not when the kernel has room for more."""
    daemon, upstream = played("  stall_timeout: 800ms\n  limits: { answer_rate: 8KiB }\n")
    size = 512 * 1024
    with Wire.connect(daemon.edge, receive_buffer=4096) as client:
        client.get(daemon.path)
        service, _ = upstream.request()
        answer = reply("200 OK", bytes(size))
        sender = threading.Thread(target=send_quietly, args=(service, answer))
        sender.start()
        began = time.monotonic()
        taken = 0
        try:
            while time.monotonic() - began < 4:
                taken += len(client.sock.recv(rate // 20))
                threading.Event().wait(0.05)
            client.sock.settimeout(10)
            while data := client.sock.recv(65536):
                taken += len(data)
                if taken > size:
                    break
        except ConnectionError:
            pass
        assert (taken > size) == is_served_whole, taken
    sender.join()


def send_quietly(wire, data):
    with contextlib.suppress(ConnectionError):
        wire.send(data)


MANY = 32  # after as many that are not measured
# For each, with what goes with a connection, and with what a sanitizer adds.
KEPT = {"release": 65536, "tsan": 262144}.get(os.environ.get("SARSEN_BUILD"), 163840)


def test_what_is_kept_of_answers_that_nobody_takes(played):
    daemon, upstream = played("  limits: { buffered: 16KiB }\n")
    with contextlib.ExitStack() as stack:
        for n in range(2 * MANY):
            if n == MANY:
                before = resident(daemon)
            client = stack.enter_context(Wire.connect(daemon.edge, receive_buffer=4096))
            client.get(daemon.path)
            service, _ = upstream.request()
            service.send("HTTP/1.1 200 OK\r\n\r\n")
            assert client.head().status == 200
            assert service.fill(0.05) < 64 << 20
        assert resident(daemon) - before < MANY * KEPT


def test_what_is_kept_of_bodies_that_nobody_takes(make_daemon, name):
    daemon = make_daemon(gateway="  limits: { buffered: 16KiB }\n")
    upstream = Upstream(receive_buffer=4096)
    daemon.register(name, "i1", upstream.address, "1.0.0")
    with contextlib.ExitStack() as stack:
        stack.callback(upstream.close)
        for n in range(2 * MANY):
            if n == MANY:
                before = resident(daemon)
            client = stack.enter_context(Wire.connect(daemon.edge))
            client.send(f"PUT /api/{name}/ HTTP/1.1\r\nHost: a\r\n"
                        f"Content-Length: {1 << 40}\r\n\r\n")
            assert client.fill(0.05) < 64 << 20
        assert resident(daemon) - before < MANY * KEPT


# --- connections ---

def test_a_connection_has_its_requests(limited):
    daemon = limited("  limits: { requests: 3 }\n")
    with Wire.connect(daemon.edge) as wire:
        for n in (1, 2, 3):
            wire.get(daemon.path)
            head, _ = wire.answer()
            assert head.status == 200
            assert head.get("connection") == ("close" if n == 3 else None)
        assert wire.rest() == b""


def test_an_idle_connection_ends(limited):
    daemon = limited("  idle_timeout: 1s\n  head_timeout: 30s\n")
    with Wire.connect(daemon.edge) as wire:
        wire.get(daemon.path)
        assert wire.answer()[0].status == 200
        began = time.monotonic()
        assert wire.rest() == b""
        assert 0.9 < time.monotonic() - began < 10


def connect_from(source, address):
    """A connection with a source address of its own."""
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), 10, (source, 0))
    return Wire(sock)


def is_served(daemon, wire):
    try:
        wire.get(daemon.path)
        return wire.answer()[0].status == 200
    except (EOFError, ConnectionError):
        return False


def test_an_address_has_its_connections(limited):
    """Counted for the process: the kernel spreads connections over the workers by chance."""
    daemon = limited("  limits: { connections_per_address: 6 }\n")
    daemon.expect_log("clients were refused")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connect_from("127.0.0.3", daemon.edge)) for _ in range(6)]
        assert all(is_served(daemon, wire) for wire in wires)
        for _ in range(4):
            with connect_from("127.0.0.3", daemon.edge) as refused:
                assert not is_served(daemon, refused)
        with connect_from("127.0.0.4", daemon.edge) as other:
            assert is_served(daemon, other)
        inside = [stack.enter_context(connect_from("127.0.0.3", daemon.internal))
                  for _ in range(20)]
        assert all(is_served(daemon, wire) for wire in inside), "internal callers have no limit"
        assert daemon.get("/v1/health")["refused"] == 4
        wires.pop().close()
        eventually(lambda: is_served(daemon, stack.enter_context(
            connect_from("127.0.0.3", daemon.edge))))
        assert all(is_served(daemon, wire) for wire in wires)
    eventually(lambda: [line for line in daemon.log if "clients were refused" in line])


def test_there_is_a_limit_in_all(limited):
    daemon = limited("  limits: { connections: 10 }\n")
    daemon.expect_log("clients were refused")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire.connect(address))
                 for address in [daemon.edge, daemon.internal] * 5]
        assert all(is_served(daemon, wire) for wire in wires)
        for address in (daemon.edge, daemon.internal):
            with Wire.connect(address) as refused:
                assert not is_served(daemon, refused)
        assert daemon.get("/v1/health")["clients"] == 10
        assert all(is_served(daemon, wire) for wire in wires)


def test_a_reload_changes_limits_of_connections_that_stay(limited):
    daemon = limited("  limits: { fields: 100, body: 0 }\n")
    with Wire.connect(daemon.edge) as wire, Wire.connect(daemon.edge) as other:
        for one in (wire, other):
            one.get(daemon.path, *["X: y"] * 20)
            assert one.answer()[0].status == 200
        reload(daemon, "fields: 100, body: 0", "fields: 10, body: 1KiB")
        wire.get(daemon.path, *["X: y"] * 20)
        assert_refused(wire, 431, "there are too many fields")
        other.send(f"POST {daemon.path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n")
        assert_refused(other, 413, "the request body is too large")


# --- towards instances ---

@pytest.fixture
def played(make_daemon, name):
    """Makes a daemon with these keys and instances that the test plays."""
    made = []

    def make(gateway, n=1, workers=2):
        daemon = make_daemon(gateway=gateway, start=False)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("workers: 2", f"workers: {workers}"))
        daemon.start()
        daemon.path = f"/api/{name}/"
        made.extend(Upstream() for _ in range(n))
        for number, upstream in enumerate(made[-n:]):
            daemon.register(name, f"i{number}", upstream.address, "1.0.0")
        return daemon, *made[-n:]

    yield make
    for upstream in made:
        upstream.close()


def test_an_answer_that_does_not_begin(played):
    daemon, upstream = played("  upstream: { answer_timeout: 300ms }\n")
    with Wire.connect(daemon.edge) as client:
        client.get(daemon.path)
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nX: ")
        head, body = client.answer()
        assert head.status == 504 and b"did not answer in time" in body
        assert service.rest() == b""
        # That was the service's fault, so the client's connection goes on.
        client.get(daemon.path)
        upstream.request()[0].send(reply("200 OK", b"now"))
        assert client.answer()[1] == b"now"


def test_an_answer_that_stops(played):
    daemon, upstream = played("  upstream: { stall_timeout: 300ms }\n")
    with Wire.connect(daemon.edge) as client, Wire.connect(daemon.edge) as other:
        client.get(daemon.path)
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        assert client.head().status == 200
        assert client.rest() == b"12345", "cut, and seen to be"
        assert service.rest() == b""
        other.get(daemon.path)
        upstream.request()[0].send(reply("200 OK", b"now"))
        assert other.answer()[1] == b"now"


def test_a_request_that_takes_too_long_in_all(played):
    """However busy all sides are: before the answer it is a 504, in the middle of one the end."""
    daemon, upstream = played("  request_timeout: 500ms\n")
    with Wire.connect(daemon.edge) as client:
        client.get(daemon.path)
        service, _ = upstream.request()
        head, body = client.answer()
        assert head.status == 504 and b"did not answer in time" in body
        assert service.rest() == b""

        client.send(f"POST {daemon.path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12345")
        head, body = client.answer()
        assert head.status == 408 and b"too slowly" in body
    with Wire.connect(daemon.edge) as client:
        client.get(daemon.path)
        service, _ = upstream.request()
        service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.head().status == 200
        with pytest.raises((EOFError, ConnectionError)):
            for _ in range(1000):
                service.send(chunked(b"tick")[:-5])
                assert client.chunk() == b"tick"
                threading.Event().wait(0.02)
    with Wire.connect(daemon.edge) as client:
        began = time.monotonic()
        client.get(daemon.path)
        service, _ = upstream.request()
        while time.monotonic() - began < 1:  # each request has a time of its own
            service.send(reply("200 OK", b"now"))
            assert client.answer()[1] == b"now"
            client.get(daemon.path)
            service.head()


@pytest.mark.parametrize("head", [
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {0:a>600}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + "X: {0:a>400}\r\n" * 6 + "\r\n",
], ids=["line", "head"])
def test_an_answer_with_too_much_head(played, head):
    daemon, upstream = played("  upstream: { head: 2KiB, line: 512 }\n")
    with Wire.connect(daemon.edge) as client:
        client.get(daemon.path)
        service, _ = upstream.request()
        service.send(head.format(""))
        head, body = client.answer()
        assert head.status == 502 and b"no valid HTTP" in body
        client.get(daemon.path)
        upstream.request()[0].send(reply("200 OK", b"now"))
        assert client.answer()[1] == b"now"


def test_an_instance_that_cannot_be_connected_to(played):
    """A queue that is full leaves who connects without an answer."""
    daemon, upstream = played("  upstream: { connect_timeout: 300ms }\n")
    upstream.listener.listen(0)
    host, _, port = upstream.address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, int(port)))
        client = stack.enter_context(Wire.connect(daemon.edge))
        began = time.monotonic()
        client.get(daemon.path)
        head, body = client.answer()
        assert head.status == 504 and b"in time" in body
        assert time.monotonic() - began < 10


def test_an_instance_has_its_connections(played):
    daemon, upstream = played("  upstream: { connections: 2, idle_connections: 1 }\n",
                              workers=1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Wire.connect(daemon.edge)) for _ in range(3)]
        services = []
        for client in clients[:2]:
            client.get(daemon.path)
            services.append(upstream.request()[0])
        clients[2].get(daemon.path)
        head, body = clients[2].answer()
        assert head.status == 503 and b"no free connection" in body
        for client, service in zip(clients, services, strict=False):
            service.send(reply("200 OK", b"served"))
            assert client.answer()[1] == b"served"
        is_kept = [service for service in services if not ended(service)]
        assert len(is_kept) == 1, "one is kept, the other closed"


def ended(wire):
    """Whether the other side has closed, given a moment to."""
    wire.sock.settimeout(0.5)
    try:
        return wire.sock.recv(1) == b""
    except TimeoutError:
        return False


def test_a_kept_connection_to_an_instance_ends(played):
    daemon, upstream = played("  upstream: { idle_timeout: 200ms }\n")
    with Wire.connect(daemon.edge) as client:
        client.get(daemon.path)
        service, _ = upstream.request()
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200
        assert service.rest() == b""


# --- memory ---

def test_memory_watermarks(limited):
    """The limit is moved, not the memory: each level is one of what is used already."""
    daemon = limited("  memory: 0\n")
    daemon.expect_log("memory is short")
    now = "memory: 0"

    def use(share):
        """Sets the limit so that this share of it is in use."""
        nonlocal now
        limit = int(resident(daemon) / share) if share else 0
        reload(daemon, now, f"memory: {limit}")
        now = f"memory: {limit}"

    def level():
        return daemon.get("/v1/health")["pressure"]

    idle, half = Wire.connect(daemon.edge), Wire.connect(daemon.edge)
    assert is_served(daemon, idle)
    assert level() == "none"

    use(0.85)
    eventually(lambda: level() == "no-keep-alive")
    with Wire.connect(daemon.edge) as wire:
        wire.get(daemon.path)
        head, _ = wire.answer()
        assert (head.status, head.get("connection")) == (200, "close")
        assert wire.rest() == b""

    use(0.925)
    eventually(lambda: level() == "shed")
    with Wire.connect(daemon.edge) as wire:
        wire.get(daemon.path)
        head, body = wire.answer()
        assert (head.status, head.get("connection")) == (503, "close")
        assert head.get("retry-after") == "1" and b"short of memory" in body
        assert wire.rest() == b""
    half.send(f"GET {daemon.path} HTTP/1.1\r\n")

    use(1.1)
    assert idle.rest() == b""
    assert level() == "close-idle"
    assert "memory is short: close-idle" in daemon.cli("health")

    use(0)
    eventually(lambda: level() == "none")
    half.send("Host: a\r\n\r\n")
    head, _ = half.answer()
    assert (head.status, head.get("connection")) == (200, None)
    half.close()
    idle.close()
    told = [line for line in daemon.log if "memory is" in line]
    assert len(told) == 4 and "not short any more" in told[-1], told


# --- descriptors ---

def cpu_seconds(daemon):
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_descriptors_are_shared_out(limited, name, service):
    """However many clients come, connections to instances, the API and the store find theirs."""
    daemon = limited("", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (200, 256)))
    daemon.expect_log("clients were refused")
    with neighbour(daemon), contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire.connect(daemon.edge)) for _ in range(300)]
        served = [wire for wire in wires if is_served(daemon, wire)]
        assert 80 < len(served) < 100, "the soft limit was raised to the hard one, and shared"
        before = cpu_seconds(daemon)
        threading.Event().wait(1)
        assert cpu_seconds(daemon) - before < 0.3, "it spins"
        daemon.register(name, "i2", service(name="s").address, "1.0.0")
        daemon.publish("full", "1.0.0", {})
        assert all(is_served(daemon, wire) for wire in served)
        for wire in served[:10]:
            wire.close()
        with Wire.connect(daemon.edge) as late:
            eventually(lambda: daemon.get("/v1/health")["clients"] < len(served))
            assert is_served(daemon, late)


def test_without_descriptors_nothing_spins(limited):
    """The limit is lowered to what is in use: accepting fails with EMFILE."""
    daemon = limited("")
    daemon.expect_log("clients were refused")
    pid = daemon.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with neighbour(daemon), contextlib.ExitStack() as stack:
        highest = max(int(number) for number in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, hard))
        holes = highest + 1 - daemon.descriptors()
        waiting = [stack.enter_context(Wire.connect(daemon.edge)) for _ in range(holes + 30)]
        before = cpu_seconds(daemon)
        threading.Event().wait(1)
        assert cpu_seconds(daemon) - before < 0.3, "it spins"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        with Wire.connect(daemon.edge) as late:
            assert is_served(daemon, late)
        del waiting
