# SPDX-License-Identifier: Apache-2.0
"""The config file changes under load, and no client notices."""
import signal
import threading
import time

import pytest
from support.wire import Played, Wire, eventually, reply

RELOADS = 100
SECONDS = 90  # that all of it may take at most; a busy machine needs more than 20


def answers(name):
    """An upstream that keeps its connections and answers with its name and what it was asked."""
    def play(wire):
        while True:
            head = wire.head()
            wire.body(head)
            wire.send(reply("200 OK", f"{name} {head.target}".encode()))
    return play


def config(number, addresses):
    """Each differs from the one before: in its upstreams, its order, its rules and its length."""
    first, second, third = (addresses[(number + i) % 3] for i in range(3))
    more = "".join(f"  - {{ match: {{ path: /extra{i} }}, answer: {{ status: 204 }} }}\n"
                   for i in range(number % 40))
    turn = [f"  - {{ match: {{ prefix: /list }}, upstream: [{first}, {second}],"
            f" strip: /list }}\n",
            f"  - match: {{ prefix: /one }}\n    upstream: {third}\n"
            f"    rewrite: {{ prefix: / }}\n"
            f"    request_headers: {{ set: {{ X-Number: '{number}' }} }}\n",
            more]
    if number % 2:
        turn.reverse()
    return ("routes:\n" + "".join(turn)
            + f"  - {{ match: {{ path: /number }}, answer: {{ body: '{number}' }} }}\n")


class Load:
    """Clients that ask without a pause, each on a thread, and never ask twice for the same."""

    def __init__(self, address):
        self.address = address
        self.failed = []
        self.done = [0] * 6
        self.is_over = False
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(6)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        keeps = number < 4
        try:
            client = Wire.connect(self.address)
            while not self.is_over:
                if not keeps:
                    client.close()
                    client = Wire.connect(self.address)
                self._ask(client, number)
                self.done[number] += 1
            client.close()
        except Exception as fault:  # noqa: BLE001 all of them are failures of the test
            self.failed.append((number, repr(fault)))

    def _ask(self, client, number):
        route = "/list" if number % 2 else "/one"
        path = f"/x{self.done[number]}"
        if self.done[number] % 3:
            client.get(route + path)
        else:  # a method that must not be sent twice, and a body
            client.get(route + path, "Content-Length: 5", method="POST").send("hello")
        head, body = client.answer()
        if head.status != 200 or body.decode().split(" ")[1] != path:
            self.failed.append((number, head, body))

    def went_on(self, least):
        """All clients have had that many answers; or one has failed."""
        return self.failed or min(self.done) >= least

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("where", ["edge", "unix"])
def test_a_hundred_reloads_under_load_fail_nobody(make_daemon, where):
    upstreams = [Played(answers(name)) for name in ("a", "b", "c")]
    addresses = [upstream.address for upstream in upstreams]
    daemon = make_daemon(config(0, addresses))
    base = daemon.config.read_text().removesuffix(config(0, addresses))
    load = Load(getattr(daemon, where))
    until = time.monotonic() + SECONDS
    n_reloads = RELOADS if where == "edge" else 10
    for number in range(1, n_reloads + 1):
        before = len(daemon.log)
        daemon.config.write_text(base + config(number, addresses))
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda seen=before: any("msg=reloaded" in line for line in daemon.log[seen:]))
        with Wire.connect(daemon.edge) as client:
            eventually(lambda wire=client, n=number: (wire.get("/number").answer()[1].decode()
                                                      == str(n)))
        eventually(lambda n=number: load.went_on(5 * n))
        if load.failed or time.monotonic() > until:
            break
    load.stop()
    for upstream in upstreams:
        upstream.close()
    assert not load.failed, load.failed[:3]
    assert number == n_reloads, f"{number} reloads, {sum(load.done)} requests in the time there is"
    assert min(load.done) >= 5 * n_reloads


def test_connections_to_an_upstream_that_went_are_closed(make_daemon):
    ended = threading.Event()
    closed = []

    def play(wire):
        wire.head()
        wire.send(reply("200 OK", b"x"))
        closed.append(wire.rest())
        ended.set()

    old, new = Played(play), Played(answers("new"))
    daemon = make_daemon(f"routes: [ {{ upstream: {old.address} }} ]\n")
    with Wire.connect(daemon.edge) as client:
        client.get("/a")
        assert client.answer()[1] == b"x"
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace(old.address, new.address))
        daemon.process.send_signal(signal.SIGHUP)
        assert ended.wait(10) and closed == [b""]
        client.get("/b")
        assert client.answer()[1] == b"new /b"
    old.close()
    new.close()


def test_a_request_under_way_ends_by_the_routes_it_began_with(make_daemon):
    begun, may_end = threading.Event(), threading.Event()

    def play(wire):
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbeg")
        begun.set()
        may_end.wait(10)
        wire.send("un.")

    old = Played(play)
    daemon = make_daemon("routes:\n  - { match: { path: /who }, answer: { body: old } }\n"
                         f"  - {{ upstream: {old.address} }}\n")
    with Wire.connect(daemon.edge) as client:
        client.get("/a")
        assert begun.wait(10)
        daemon.config.write_text(daemon.config.read_text().split("routes:")[0]
                                 + "routes: [ { answer: { body: new } } ]\n")
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: daemon.edge_get("/who").body == b"new")
        may_end.set()
        assert client.answer()[1] == b"begun."
        client.get("/a")
        assert client.answer()[1] == b"new"
    old.close()
