# SPDX-License-Identifier: Apache-2.0
"""Sends a case to a gateway and notes what came back and what reached the service behind it."""
import contextlib
import socket
import time
from dataclasses import dataclass, field

from conformance import table
from conformance.pace import Pace
from conformance.strict import read_responses
from conformance.upstream import Upstream

SENTINEL = table.get(line="GET /sentinel HTTP/1.1")


@dataclass
class Seen:
    """All that could be observed of one case."""
    raw: bytes = b""  # that the client received
    interims: list = field(default_factory=list)
    answers: list = field(default_factory=list)  # final responses, the sentinel's too
    sentinel: object = None  # the answer to a request sent afterwards on the same connection
    is_closed: bool = False  # the gateway ended the connection
    is_reset: bool = False
    is_timeout: bool = False  # what was due did not come
    record: object = None

    @property
    def requests(self):
        """Complete requests that reached the service."""
        return self.record.reached()

    @property
    def answer(self):
        return self.answers[0] if self.answers else None

    def __str__(self):
        upstream = "\n".join(f"  to the service, connection {number}: {data!r}"
                             for number, data in self.record.raw.items())
        end = "reset" if self.is_reset else "closed" if self.is_closed else "kept"
        return f"  to the client: {self.raw!r} ({end})\n{upstream or '  to the service: nothing'}"


class Client:
    """One connection to the gateway, and everything that comes back on it."""

    def __init__(self, address, pace, seconds):
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pace, self.seconds = pace, seconds
        self.raw = b""
        self.is_closed = self.is_reset = False

    def receive_until(self, condition, seconds):
        """False when it did not come about before that long a silence."""
        end = time.monotonic() + seconds
        while not condition() and not self.is_closed:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(262144)
            except TimeoutError:
                return False
            except OSError:
                self.is_closed = self.is_reset = True
                return True
            self.raw += data
            end = time.monotonic() + seconds
            self.is_closed = not data
        return True

    def send(self, steps, is_split):
        """What the gateway does not take any more is left out; it has said why."""
        with contextlib.suppress(OSError):
            for step in (steps,) if isinstance(steps, bytes) else steps:
                if step == table.WAIT:
                    size = len(self.raw)
                    self.receive_until(lambda size=size: len(self.raw) > size, self.seconds)
                elif step == table.CLOSE:
                    self.sock.shutdown(socket.SHUT_WR)
                elif is_split:
                    self.pace.send(self.sock, step)
                else:
                    self.sock.settimeout(self.seconds)
                    self.sock.sendall(step)


class Lane:
    """One gateway with a service of its own behind it; runs one case after the other. `seconds`
    is how long an answer may take, `quiet` how long silence must last to count as such."""

    def __init__(self, start, seconds=15.0, quiet=1.0):
        self.upstream = Upstream()
        self.gateway = start(self.upstream.address)
        self.pace = Pace()
        self.seconds, self.quiet = seconds, quiet

    def close(self):
        self.gateway.stop()
        self.upstream.close()
        self.pace.close()

    def run(self, case, is_split):
        record = self.upstream.begin(case, is_split)
        client = Client(self.gateway.address, self.pace, self.seconds)
        seen = Seen(record=record)
        try:
            client.send(case.request, is_split)
            if not case.leaves:
                self.collect(case, client, seen)
        finally:
            client.sock.close()
        self.upstream.settle(record, self.quiet)
        seen.raw, seen.is_closed, seen.is_reset = client.raw, client.is_closed, client.is_reset
        return seen

    def collect(self, case, client, seen):
        methods = list(case.methods) or [self.method(case)] * case.answers

        def parse():
            seen.interims, seen.answers, _ = read_responses(client.raw, methods, client.is_closed)
            return [answer for answer in seen.answers if answer.is_complete]

        def all_there():
            answers = parse()
            return len(answers) == len(methods) or (answers and answers[-1].status == 101)

        seen.is_timeout = not client.receive_until(all_there, self.seconds)
        parse()
        if client.is_closed or seen.is_timeout:
            return
        if not seen.answers[-1].keeps_alive and client.receive_until(lambda: False, self.quiet):
            parse()
            return
        self.wait_for_refusal(case, seen.record)
        count = len(seen.answers)
        methods.append("GET")
        client.send(SENTINEL, False)
        client.receive_until(lambda: len(parse()) > count, self.quiet)
        parse()
        if len(seen.answers) > count:
            seen.sentinel = seen.answers[count]
        if seen.sentinel and not seen.sentinel.keeps_alive:
            client.receive_until(lambda: False, self.quiet)

    def wait_for_refusal(self, case, record):
        """Before the next request goes out, the service's response has left it whole, and the
        gateway has had the time to see that it was too long and drop that connection."""
        if not case.trailing or not record.raw:
            return
        ours = set(record.raw)
        record.wait(lambda: (record.scripted | record.closed) & ours, self.seconds)
        record.wait(lambda: record.closed & ours, self.quiet)

    @staticmethod
    def method(case):
        first = case.request if isinstance(case.request, bytes) else case.request[0]
        return first.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")
