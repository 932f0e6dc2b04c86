# SPDX-License-Identifier: Apache-2.0
"""The service behind the gateway: it keeps every byte that reached it, reads them strictly, and
answers as the case says."""
import contextlib
import itertools
import socket
import struct
import threading
import time

from conformance import table
from conformance.pace import Pace
from conformance.strict import read_request

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER = struct.pack("ii", 1, 0)


class Record:
    """What reached the service while one case was running."""

    def __init__(self, case, is_split):
        self.case, self.is_split = case, is_split
        self.raw = {}  # bytes by connection
        self.requests = []  # complete ones
        self.partial = {}  # connection -> request whose end has not come
        self.closed = set()  # connections that the gateway ended
        self.scripted = set()  # connections on which all of the case's response was sent
        self.changed = threading.Condition()

    def wait(self, condition, seconds):
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    @contextlib.contextmanager
    def change(self):
        with self.changed:
            yield
            self.changed.notify_all()

    def reached(self):
        """Complete requests other than those the runner asks on its own account."""
        return [request for request in self.requests if "/sentinel" not in request.target]


def default_answer(request):
    body = f"{request.method} {request.target}".encode("latin-1")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (b"" if request.method == "HEAD" else body)


class Connection:
    def __init__(self, upstream, number, sock):
        self.upstream, self.number, self.sock = upstream, number, sock
        self.kept = b""
        self.answered_early = False
        self.pace = None

    def run(self):
        try:
            while self.receive():
                pass
        except OSError:
            pass
        finally:
            with self.upstream.record.change():
                self.upstream.record.closed.add(self.number)
            self.sock.close()
            if self.pace:
                self.pace.close()

    def receive(self):
        data = self.sock.recv(262144)
        record = self.upstream.record
        if not data:
            return False
        self.kept += data
        with record.change():
            record.raw[self.number] = record.raw.get(self.number, b"") + data
        while self.kept:
            request, rest = read_request(self.kept)
            if request is None:
                return True
            request.connection = self.number
            if not request.is_complete:
                return self.begin(record, request)
            self.kept = rest
            with record.change():
                record.partial.pop(self.number, None)
                record.requests.append(request)
            if self.answered_early:
                self.answered_early = False
            elif not self.answer(record, request):
                return False
        return True

    def begin(self, record, request):
        """A head has come and not all of its content."""
        is_new = self.number not in record.partial
        with record.change():
            record.partial[self.number] = request
        if request.faults and request.framing in ("length", "chunked"):
            return True
        if is_new and record.case.early:
            self.answered_early = True
            return self.answer(record, request)
        if is_new and "100-continue" in request.list("expect"):
            self.sock.sendall(CONTINUE)
        return True

    def answer(self, record, request):
        """False ends the connection."""
        script = record.case.response
        is_own = "/sentinel" in request.target or "/smuggled" in request.target
        if script is None or is_own:
            self.sock.sendall(default_answer(request))
            return request.keeps_alive
        for step in (script,) if isinstance(script, bytes) else script:
            if step == table.CLOSE:
                self.sock.shutdown(socket.SHUT_WR)
            elif step == table.RESET:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                return False
            elif record.is_split:
                self.pace = self.pace or Pace()
                self.pace.send(self.sock, step)
            else:
                self.sock.sendall(step)
        with record.change():
            record.scripted.add(self.number)
        return request.keeps_alive


class Upstream:
    def __init__(self):
        self.record = Record(table.Case("", "", "", b""), False)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.numbers = itertools.count(1)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, next(self.numbers), sock)
            threading.Thread(target=connection.run, daemon=True).start()

    def begin(self, case, is_split):
        self.record = Record(case, is_split)
        return self.record

    def settle(self, record, seconds):
        """Waits until no request is half there: its end comes, or the connection goes."""
        end = time.monotonic() + seconds
        record.wait(lambda: not set(record.partial) - record.closed, end - time.monotonic())

    def close(self):
        self.listener.close()
