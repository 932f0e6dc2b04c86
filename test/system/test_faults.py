# SPDX-License-Identifier: Apache-2.0
"""What callers see when instances, clients, the config or the daemon itself fail."""
import contextlib
import os
import pathlib
import select
import signal
import socket
import subprocess
import threading

import pytest
from support.daemon import request
from support.instance import Instance
from support.wire import Upstream, Wire, eventually, reply


@pytest.fixture
def instances():
    """Starts services in processes of their own."""
    made = []

    def start(*names):
        made.extend(Instance(name) for name in names)
        return made[-len(names):]

    yield start
    for instance in made:
        instance.stop()


@pytest.fixture
def upstreams(shared, name):
    """Registers instances of service `name` that the test plays; i1, i2 …"""
    made = []

    def start(n, daemon=shared, **options):
        for _ in range(n):
            made.append(Upstream())
            daemon.register(name, f"i{len(made)}", made[-1].address, "1.0.0", **options)
        return made[-n:]

    yield start
    for upstream in made:
        upstream.close()


def first_asked(*upstreams):
    """The first of them that a connection comes to."""
    ready = select.select([one.listener for one in upstreams], [], [], 10)[0]
    return next(one for one in upstreams if one.listener in ready)


def free_port():
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def is_refused(address):
    """A listener that ends may still have closed a connection that came in time."""
    try:
        with Wire.connect(address) as wire:
            assert wire.rest() == b""
    except ConnectionRefusedError:
        return True
    return False


class Load:
    """Clients that ask without a pause, over kept connections, until stopped."""

    def __init__(self, address, path, n_clients=4):
        self.address, self.path = address, path
        self.answers = []
        self.faults = []
        self.is_over = False
        self.threads = [threading.Thread(target=self._run) for _ in range(n_clients)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        wire = None
        try:
            while not self.is_over:
                wire = wire or Wire.connect(self.address)
                wire.get(self.path)
                head, body = wire.answer()
                self.answers.append((head.status, body))
                if head.get("connection") == "close":
                    wire.close()
                    wire = None
        except (OSError, EOFError) as fault:
            self.faults.append(repr(fault))
        finally:
            if wire:
                wire.close()

    def wait(self, n):
        """Until that many more have been answered."""
        goal = len(self.answers) + n
        eventually(lambda: len(self.answers) >= goal or self.faults)

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults
        assert {status for status, _ in self.answers} == {200}, [
            answer for answer in self.answers if answer[0] != 200][:3]
        return [body for _, body in self.answers]


# --- instances that die ---

def test_a_killed_instance_costs_no_request(shared, name, instances):
    one, two = instances("one", "two")
    shared.register(name, "i1", one.address, "1.0.0")
    shared.register(name, "i2", two.address, "1.0.0")
    load = Load(shared.edge, f"/api/{name}/")
    load.wait(200)
    one.kill()
    load.wait(400)
    bodies = load.stop()
    assert set(bodies[:200]) == {b"one", b"two"}
    assert set(bodies[-100:]) == {b"two"}


def test_an_instance_that_refuses_is_passed_over(shared, name, service):
    live = service(name="live")
    shared.register(name, "i1", free_port(), "1.0.0")
    shared.register(name, "i2", live.address, "1.0.0")
    shared.register(name, "i3", free_port(), "1.0.0")
    for method in ("GET", "POST") * 10:
        answer = shared.edge_get(f"/api/{name}/", method=method, body=b"x" * 5000)
        assert answer.status == 200
        assert len(answer.json["body"]) == 5000
    assert len(live.requests) == 20


def test_when_all_refuse_that_is_said(shared, name):
    shared.register(name, "i1", free_port(), "1.0.0")
    shared.register(name, "i2", free_port(), "1.0.0")
    for _ in range(3):
        answer = shared.edge_get(f"/api/{name}/")
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert answer.json["service"] == name


def test_an_instance_that_comes_back_is_used_again(shared, name, service):
    address = free_port()
    shared.register(name, "i1", address, "1.0.0")
    assert shared.edge_get(f"/api/{name}/").status == 503
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(address.rpartition(":")[2])))
        listener.listen()
        listener.settimeout(10)
        with Wire.connect(shared.edge) as client:
            client.get(f"/api/{name}/")
            with Wire(listener.accept()[0]) as wire:
                wire.head()
                wire.send(reply("200 OK"))
                assert client.answer()[0].status == 200


@pytest.mark.parametrize("head", ["Content-Length: 10", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("is_reset", [False, True])
def test_an_answer_that_breaks_off_is_not_whole(shared, name, upstreams, head, is_reset):
    (upstream,) = upstreams(1)
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n",
                     "5\r\nhello\r\n" if "chunked" in head else "hello")
        answer = client.head()
        assert answer.status == 200
        client.until(b"hello")
        (service.reset if is_reset else service.close)()
        assert client.rest() in (b"", b"\r\n"), "the client must see that it is cut off"
        upstream.assert_untouched()


def test_an_answer_cut_off_during_an_upload_is_not_whole(shared, name, upstreams):
    """The send that fails takes the socket's error, so the end that follows looks like one."""
    (upstream,) = upstreams(1)
    for _ in range(5):
        with Wire.connect(shared.edge) as client:
            client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            service, _ = upstream.request()
            service.send("HTTP/1.1 200 OK\r\n\r\nhello")
            client.head()
            client.until(b"hello")
            service.reset()
            with contextlib.suppress(OSError):
                for _ in range(20):
                    client.send("5\r\nagain\r\n")
            assert not client.rest().endswith(b"0\r\n\r\n")


def pause(process):
    """Stops all its threads."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task")
    os.kill(process.pid, signal.SIGSTOP)
    eventually(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                           for task in tasks.iterdir()))


@pytest.mark.parametrize("is_first", [True, False])
def test_what_nobody_asked_for_is_nobody_s_answer(make_daemon, name, upstreams, is_first):
    """Also where it is there before the gateway had a look."""
    daemon = make_daemon()
    (upstream,) = upstreams(1, daemon)
    with Wire.connect(daemon.edge) as client:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        service.send(reply("200 OK", b"one"))
        assert client.answer()[1] == b"one"
        pause(daemon.process)
        if not is_first:
            client.get(f"/api/{name}/")
        service.send(reply("200 OK", b"bad"))
        if is_first:
            client.get(f"/api/{name}/")
        os.kill(daemon.process.pid, signal.SIGCONT)
        other, _ = upstream.request()
        other.send(reply("200 OK", b"two"))
        assert client.answer()[1] == b"two"


def test_a_get_that_got_no_answer_is_asked_once_more(shared, name, upstreams):
    one, two = upstreams(2)
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        first = first_asked(one, two)
        first.request()[0].close()
        service, _ = (two if first is one else one).request()
        service.send(reply("200 OK", b"second"))
        assert client.answer()[1] == b"second"


def test_it_is_asked_no_more_than_twice(shared, name, upstreams):
    them = upstreams(4)
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        for _ in range(2):
            first_asked(*them).request()[0].close()
        assert client.answer()[0].status == 502
        for one in them:
            one.assert_untouched()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_may_have_been_done_is_not_done_twice(shared, name, upstreams, method):
    one, two = upstreams(2)
    with Wire.connect(shared.edge) as client:
        client.send(f"{method} /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        asked = first_asked(one, two)
        service, head = asked.request()
        assert service.body(head) == b"hi"
        service.close()
        head, body = client.answer()
        assert head.status == 502
        assert name.encode() in body
        one.assert_untouched()
        two.assert_untouched()


@pytest.mark.parametrize("method, is_repeated", [("GET", True), ("PUT", True), ("DELETE", True),
                                                 ("POST", False)])
def test_a_kept_connection_that_was_closed(shared, name, upstreams, method, is_repeated):
    """A service may end an idle connection in the moment that a request is on its way."""
    (upstream,) = upstreams(1)
    with Wire.connect(shared.edge) as client:
        client.get(f"/api/{name}/")
        kept, _ = upstream.request()
        kept.send(reply("200 OK"))
        assert client.answer()[0].status == 200
        client.send(f"{method} /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        head = kept.head()
        assert kept.body(head) == b"hi"
        kept.close()
        if is_repeated:
            fresh, head = upstream.request()
            assert fresh.body(head) == b"hi"
            fresh.send(reply("200 OK", b"fresh"))
            assert client.answer()[1] == b"fresh"
        else:
            assert client.answer()[0].status == 502
            upstream.assert_untouched()


def test_a_dying_instance_is_not_the_second_to_be_asked(shared, name, upstreams):
    """It ends a kept connection, and its kernel would still take a new one."""
    one, two = upstreams(2)
    with Wire.connect(shared.edge) as client:
        for _ in range(2):  # in turn, so that both have a kept connection
            client.get(f"/api/{name}/")
            service, _ = first_asked(one, two).request()
            service.send(reply("200 OK", b"kept"))
            assert client.answer()[1] == b"kept"
        client.get(f"/api/{name}/")
        kept = {upstream.wires[0].sock: upstream for upstream in (one, two)}
        dying = kept[select.select(list(kept), [], [], 10)[0][0]]
        dying.wires[0].close()
        service, _ = (two if dying is one else one).request()
        service.send(reply("200 OK", b"other"))
        assert client.answer()[1] == b"other"
        dying.assert_untouched()


def test_a_connection_closed_while_idle_costs_nothing(shared, name, upstreams):
    (upstream,) = upstreams(1)
    with Wire.connect(shared.edge) as client:
        for _ in range(5):
            client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            service, head = upstream.request()
            service.body(head)
            service.send(reply("200 OK"))
            assert client.answer()[0].status == 200
            # Closed and seen as closed: the gateway answers an end with an end.
            service.sock.shutdown(socket.SHUT_WR)
            assert service.rest() == b""


def test_a_service_that_does_not_answer_in_time(make_daemon, name, upstreams):
    daemon = make_daemon(gateway="  upstream: { answer_timeout: 300ms }\n")
    one, two = upstreams(2, daemon)
    with Wire.connect(daemon.edge) as client:
        client.get(f"/api/{name}/")
        asked = first_asked(one, two)
        service, _ = asked.request()
        head, body = client.answer()
        assert head.status == 504
        assert name.encode() in body
        assert service.rest() == b"", "the call is over"
        one.assert_untouched()
        two.assert_untouched()
        # Once the head is there, a body may take its time.
        client.get(f"/api/{name}/")
        service, _ = first_asked(one, two).request()
        service.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        head = client.head()
        threading.Event().wait(0.5)
        service.send("b")
        assert client.body(head) == b"ab"


def test_an_instance_that_cannot_be_connected_to_is_passed_over(make_daemon, name, service):
    """Its queue is full: whoever connects gets no answer, not even a refusal."""
    daemon = make_daemon(gateway="  upstream: { connect_timeout: 300ms }\n")
    deaf = Upstream()
    deaf.listener.listen(0)
    host, _, port = deaf.address.rpartition(":")
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex((host, int(port)))
    daemon.register(name, "i1", deaf.address, "1.0.0")
    daemon.register(name, "i2", service(name="live").address, "1.0.0")
    for method in ("GET", "POST") * 3:
        answer = daemon.edge_get(f"/api/{name}/", method=method, body=b"hi")
        assert (answer.status, answer.json["service"]) == (200, "live")
    for one in (deaf, *fillers):
        one.close()


def test_a_deadline_shrinks_from_try_to_try(shared, name, upstreams):
    """What travels on is what is left, and when nothing is the caller is told."""
    one, two = upstreams(2)
    with Wire.connect(shared.internal) as client:
        client.get(f"/api/{name}/", "Sarsen-Deadline: 3000")
        first = first_asked(one, two)
        service, head = first.request()
        left = int(head.get("sarsen-deadline"))
        assert 2000 < left <= 3000
        threading.Event().wait(0.3)
        service.close()
        service, head = (two if first is one else one).request()
        assert int(head.get("sarsen-deadline")) <= left - 300
        head, body = client.answer()
        assert head.status == 504 and b"in time" in body
        assert service.rest() == b""


def test_a_service_that_leaves_an_expectation_unanswered(make_daemon, name, upstreams):
    daemon = make_daemon(gateway="  upstream: { answer_timeout: 300ms }\n")
    (upstream,) = upstreams(1, daemon)
    with Wire.connect(daemon.edge) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\n\r\n")
        upstream.request()
        assert client.answer()[0].status == 504


def test_a_deadline_holds_while_a_body_is_waited_for(shared, name, upstreams):
    (upstream,) = upstreams(1)
    with Wire.connect(shared.internal) as client:
        client.send(f"POST /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n"
                    "Sarsen-Deadline: 200\r\n\r\nabc")
        assert client.answer()[0].status == 504
        upstream.assert_untouched()


def test_the_time_a_body_takes_is_not_the_service_s(make_daemon, name, upstreams):
    daemon = make_daemon(gateway="  upstream: { answer_timeout: 300ms }\n")
    upstream, = upstreams(1, daemon)
    with Wire.connect(daemon.edge) as client:
        client.send(f"PUT /api/{name}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 40001\r\n\r\n",
                    "x" * 40000)
        service, head = upstream.request()
        service.take(40000)
        threading.Event().wait(0.6)
        client.send("x")
        service.take(1)
        service.send(reply("200 OK"))
        assert client.answer()[0].status == 200


# --- the registry's word ---

def test_an_instance_without_heartbeats_goes(shared, name, upstreams):
    upstreams(1, ttl="1s", deregister_after="1s")
    assert shared.get(f"/v1/services/{name}/instances/i1")["state"] == "ready"

    def is_gone():
        return shared.call("GET", f"/v1/services/{name}/instances/i1").status == 404

    eventually(is_gone)
    assert shared.edge_get(f"/api/{name}/").status == 503


def test_an_instance_with_heartbeats_stays(shared, name, upstreams):
    upstreams(2, ttl="1s", deregister_after="1s")

    def only_the_silent_one_is_gone():
        shared.call("POST", f"/v1/services/{name}/instances/i1:heartbeat", token=False, status=204)
        return shared.call("GET", f"/v1/services/{name}/instances/i2").status == 404

    eventually(only_the_silent_one_is_gone)
    assert shared.call("GET", f"/v1/services/{name}/instances/i1").status == 200


@pytest.mark.parametrize("is_drained", [True, False], ids=["drain", "deregister"])
def test_an_instance_that_leaves_ends_what_it_has_begun(shared, name, upstreams, is_drained):
    (old,) = upstreams(1)
    with Wire.connect(shared.edge) as client, Wire.connect(shared.edge) as other:
        client.get(f"/api/{name}/")
        service, _ = old.request()
        service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        head = client.head()
        assert client.chunk() == b"a"
        (new,) = upstreams(1)
        if is_drained:
            shared.call("POST", f"/v1/services/{name}/instances/i1:drain", token=False)
        else:
            shared.call("DELETE", f"/v1/services/{name}/instances/i1", token=False)
        # No request at all from the moment the call has been answered.
        for _ in range(5):
            other.get(f"/api/{name}/")
            if not new.wires:
                new.request()
            else:
                new.wires[0].head()
            new.wires[0].send(reply("200 OK", b"new"))
            assert other.answer()[1] == b"new"
        service.send("1\r\nb\r\n0\r\n\r\n")
        assert client.body(head) == b"b"
        old.assert_untouched()


def test_registering_and_leaving_under_load_loses_nothing(shared, name, instances):
    names = [f"n{i}" for i in range(4)]
    started = instances(*names)
    shared.register(name, names[0], started[0].address, "1.0.0")
    load = Load(shared.edge, f"/api/{name}/")
    for before, after in zip(started, started[1:], strict=False):
        load.wait(50)
        shared.register(name, after.name, after.address, "1.0.0")
        shared.call("POST", f"/v1/services/{name}/instances/{before.name}:drain", token=False)
        shared.call("DELETE", f"/v1/services/{name}/instances/{before.name}", token=False)
        load.wait(20)
        before.kill()
    load.wait(50)
    assert load.stop()[-1] == b"n3"


# --- the daemon ---

def test_sigterm_lets_requests_end(make_daemon, name, upstreams):
    daemon = make_daemon()
    (upstream,) = upstreams(1, daemon)
    with Wire.connect(daemon.edge) as client, Wire.connect(daemon.edge) as idle:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        daemon.process.send_signal(signal.SIGTERM)
        assert idle.rest() == b"", "idle connections are closed"
        eventually(lambda: is_refused(daemon.edge))
        service.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla")
        head = client.head()
        service.send("te")
        assert (head.status, client.body(head)) == (200, b"late")
        assert client.rest() == b""
    assert daemon.process.wait(10) == 0


def test_sigterm_waits_no_longer_than_its_grace(make_daemon, name, upstreams):
    daemon = make_daemon()
    text = daemon.config.read_text().replace("grace: 2s", "grace: 100ms")
    daemon.stop()
    daemon.config.write_text(text)
    daemon.start()
    (upstream,) = upstreams(1, daemon)
    with Wire.connect(daemon.edge) as client:
        client.get(f"/api/{name}/")
        upstream.request()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(5) == 0
        client.rest()


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_restart_forgets_nobody(make_daemon, name, service, is_killed):
    daemon = make_daemon()
    served = service(name="s")
    daemon.register(name, "i1", served.address, "1.2.3")
    daemon.publish("shop", "1.0.0", {})
    cookie = daemon.edge_get("/.sarsen/resolve").headers["Set-Cookie"].partition(";")[0]
    if is_killed:
        daemon.kill()
    else:
        daemon.stop()
    daemon.start()
    answer = daemon.edge_get(f"/api/{name}/", {"Cookie": cookie})
    assert (answer.status, answer.headers["Sarsen-Build"]) == (200, "1.2.3")
    assert "Set-Cookie" not in answer.headers, "the keys of cookies stay, too"
    assert daemon.edge_get("/apps/shop/1.0.0/main.js").status == 200


def test_a_reload_under_load_loses_nothing(make_daemon, name, instances):
    (one,) = instances("one")
    daemon = make_daemon()
    daemon.register(name, "i1", one.address, "1.0.0")
    text = daemon.config.read_text()
    kept = Wire.connect(daemon.edge)
    load = Load(daemon.edge, f"/api/{name}/")
    for n in range(10):
        daemon.config.write_text(
            f"{text}\nroutes: [{{ match: {{ prefix: /v{n} }}, service: {name} }}]\n")
        load.wait(20)
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda n=n: daemon.edge_get(f"/v{n}/x").status == 200)
        if n:
            assert daemon.edge_get(f"/v{n - 1}/x").status == 404
    load.wait(20)
    load.stop()
    kept.get("/v9/x")
    assert kept.answer()[1] == b"one", "a connection outlives ten reloads"
    kept.close()


@pytest.mark.parametrize("wrong, place", [
    ("routes: [{ match: { prefix: nonsense }, service: s }]", "match"),
    ("gateway: { worker: 3 }", "worker"), ("routes: [", "YAML"), ("nonsense: 1", "nonsense"),
])
def test_a_bad_config_is_refused_whole(make_daemon, name, service, wrong, place):
    daemon = make_daemon(f"routes: [{{ match: {{ prefix: /good }}, service: {name} }}]\n")
    daemon.register(name, "i1", service(name="s").address, "1.0.0")
    good = daemon.config.read_text()
    daemon.config.write_text(f"{good.partition('routes:')[0]}\n{wrong}\n")
    daemon.expect_log("config")
    lines = len(daemon.log)
    daemon.process.send_signal(signal.SIGHUP)
    told = eventually(lambda: [line for line in daemon.log[lines:] if "config" in line])
    assert "line" in told[0] and place in told[0], told
    assert daemon.edge_get("/good").status == 200
    daemon.config.write_text(good.replace("/good", "/better"))
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.edge_get("/better").status == 200)


def test_a_reload_moves_listeners(make_daemon, name, upstreams):
    daemon = make_daemon()
    (upstream,) = upstreams(1, daemon)
    old, new = daemon.edge, free_port()
    text = daemon.config.read_text()
    with Wire.connect(old) as client, Wire.connect(old) as idle:
        client.get(f"/api/{name}/")
        service, _ = upstream.request()
        daemon.config.write_text(text.replace("edge: 127.0.0.1:0", f"edge: {new}"))
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: is_refused(old))
        assert idle.rest() == b""
        service.send(reply("200 OK", b"ended", "Connection: close"))
        assert client.answer()[1] == b"ended", "what had begun ends"
    daemon.edge = new
    with Wire.connect(new) as client:
        client.get(f"/api/{name}/")
        upstream.request()[0].send(reply("200 OK", b"new"))
        assert client.answer()[1] == b"new"


def test_clients_are_limited_and_idle_ones_are_let_go(make_daemon):
    daemon = make_daemon(
        gateway="  limits: { connections_per_address: 3 }\n  idle_timeout: 1s\n")
    daemon.expect_log("clients were refused")
    kept = [Wire.connect(daemon.edge) for _ in range(3)]
    for wire in kept:
        wire.get("/.sarsen/resolve")
        assert wire.answer()[0].status == 200
    with Wire.connect(daemon.edge) as refused:
        refused.sock.settimeout(0.5)
        assert refused.rest() == b""
    internal = [Wire.connect(daemon.internal) for _ in range(8)]
    for wire in internal:
        wire.get("/.sarsen/resolve")
        assert wire.answer()[0].status == 200, "internal callers are not limited"
    for wire in kept + internal:
        assert wire.rest() == b"", "idle for its second"
        wire.close()
    assert daemon.edge_get("/.sarsen/resolve").status == 200


def test_descriptors_come_back(make_daemon, name, service):
    daemon = make_daemon()
    daemon.register(name, "i1", service(name="s").address, "1.0.0")
    daemon.edge_get(f"/api/{name}/")
    before = daemon.descriptors()
    for n in range(60):
        with Wire.connect(daemon.edge) as client:
            client.get(f"/api/{name}/")
            if n % 3:
                client.answer()
            if n % 2:
                client.reset()
    eventually(lambda: daemon.descriptors() <= before + 8)


def test_a_start_that_is_refused_leaves_the_other_s_socket(make_daemon):
    """Two daemons want one unix path: the first keeps it and serves on."""
    path = f"unix:/tmp/sarsen-two-{os.getpid()}.sock"
    first = make_daemon()
    first.config.write_text(first.config.read_text().replace(
        "internal: 127.0.0.1:0", f"internal: ['127.0.0.1:0', '{path}']"))
    first.restart()
    second = make_daemon(start=False)
    second.config.write_text(second.config.read_text().replace(
        "internal: 127.0.0.1:0", f"internal: ['127.0.0.1:0', '{path}']"))
    done = subprocess.run([second.binary, "server", "-c", second.config], capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode != 0 and "in use by another process" in done.stderr, done.stderr
    assert request(path, "GET", "/x").status == 404
