# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow on purpose, and a service for them; run as a program, it is either.

    slow.py serve                        prints its address
    slow.py attack ADDRESS N PATH BIG    N connections from 50 loopback addresses: a third drips
                                         the head of a request, a third its body, a third takes
                                         an answer byte by byte

The attacker prints one line of JSON when all of them are under way, and one when all have ended or
a line comes on its standard input.
"""
import collections
import errno
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time

N_SOURCES = 50
PERIOD = 2.0  # between two bytes of one connection
RAMP = 2500  # connections a second
ANSWER_SIZE = 160 * 1024  # more than a socket takes for a client that does not read
SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ANSWER_SIZE + bytes(ANSWER_SIZE)


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# --- the service ---

class Served:
    def __init__(self, sock):
        self.sock = sock
        self.head = b""
        self.unsent = memoryview(b"")

    def receive(self):
        """False when the connection has ended. What follows a head is a body, and ignored."""
        data = self.sock.recv(65536)
        self.head = (self.head + data)[-65536:]
        while b"\r\n\r\n" in self.head:
            head, _, self.head = self.head.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                self.unsent = memoryview(BIG if b"/big" in head else SMALL)
        return bool(data)

    def send(self):
        while self.unsent:
            try:
                self.unsent = self.unsent[self.sock.send(self.unsent):]
            except BlockingIOError:
                return


def serve():
    raise_descriptors()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    listener.setblocking(False)
    print("{}:{}".format(*listener.getsockname()), flush=True)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    served = {}
    while True:
        for fd, events in poll.poll():
            if fd == listener.fileno():
                try:
                    sock = listener.accept()[0]
                except BlockingIOError:
                    continue
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                served[sock.fileno()] = Served(sock)
                poll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
                continue
            one = served[fd]
            try:
                is_open = not events & select.EPOLLIN or one.receive()
                one.send()
            except BlockingIOError:
                continue
            except OSError:
                is_open = False
            if not is_open:
                poll.unregister(fd)
                served.pop(fd).sock.close()


# --- the clients ---

class Slow:
    """One connection; `kind` is what it is slow at."""

    def __init__(self, number, kind, address, path, big):
        self.kind = kind
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if kind == "read":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.bind((f"127.0.1.{1 + number % N_SOURCES}", 0))
        result = self.sock.connect_ex(address)
        assert result in (0, errno.EINPROGRESS), os.strerror(result)
        self.first = {
            "head": f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Slow: ",
            "body": f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
            "read": f"GET {big} HTTP/1.1\r\nHost: a\r\n\r\n"}[kind].encode()
        self.answer = b""
        self.has_begun = False

    def begin(self):
        self.sock.send(self.first)
        self.has_begun = True

    def step(self):
        """A byte; how it ended, if it did."""
        try:
            if self.kind != "read":
                self.sock.send(b"a")
                return None
            data = self.sock.recv(1)
            self.answer = (self.answer + data)[:12]
            return None if data else "closed"
        except BlockingIOError:
            return None
        except OSError:
            return "reset"

    def hear(self):
        """Something came for one that does not read: the refusal, or the end."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return "reset"
        self.answer += data
        if not data:
            return self.answer[:12].decode("latin-1") or "closed"
        return None


class Attack:
    def __init__(self, address, n, path, big):
        host, _, port = address.rpartition(":")
        self.target = ((host, int(port)), path, big)
        self.n = n
        self.poll = select.epoll()
        self.poll.register(sys.stdin, select.EPOLLIN)
        self.open = {}
        self.ends = collections.Counter()
        self.began = time.monotonic()

    def end(self, slow, how):
        self.poll.unregister(slow.sock)
        del self.open[slow.sock.fileno()]
        slow.sock.close()
        self.ends[f"{slow.kind} {how}"] += 1

    def connect_some(self, made):
        due = min(self.n, int((time.monotonic() - self.began) * RAMP))
        for number in range(made, due):
            kind = ("head", "body", "read")[number % 3]
            slow = Slow(number, kind, *self.target)
            self.open[slow.sock.fileno()] = slow
            self.poll.register(slow.sock, select.EPOLLOUT | select.EPOLLIN)
        return max(made, due)

    def on_event(self, fd, events):
        slow = self.open.get(fd)
        if slow is None:
            return
        how = None
        if not slow.has_begun and events & select.EPOLLOUT:
            slow.begin()
            is_reader = slow.kind == "read"
            self.poll.modify(fd, select.EPOLLERR if is_reader else select.EPOLLIN)
        elif events & (select.EPOLLERR | select.EPOLLHUP):
            how = "reset"
        elif events & select.EPOLLIN and slow.kind != "read":
            how = slow.hear()
        if how:
            self.end(slow, how)

    def drip(self, share):
        """A byte for a share of those that are under way."""
        for slow in list(self.open.values())[share[0]::share[1]]:
            how = slow.step() if slow.has_begun else None
            if how and slow.sock.fileno() in self.open:
                self.end(slow, how)

    def tell(self):
        answered = sum(slow.answer.startswith(b"HTTP/1.1 200") for slow in self.open.values())
        print(json.dumps({"open": len(self.open), "ends": self.ends, "answered": answered}),
              flush=True)

    def is_under_way(self, made):
        return made == self.n and all(
            slow.has_begun and (slow.kind != "read" or len(slow.answer) >= 12)
            for slow in self.open.values())

    def run(self):
        made, step, next_drip, has_told = 0, 0, 0.0, False
        while made < self.n or self.open:
            made = self.connect_some(made)
            for fd, events in self.poll.poll(0.02):
                if fd == sys.stdin.fileno():
                    self.tell()
                    return
                self.on_event(fd, events)
            now = time.monotonic()
            # Until all are under way the readers take enough to see that they are answered.
            shares = 20
            if now >= next_drip:
                next_drip = now + PERIOD / shares
                self.drip((step % shares, shares))
                step += 1
                if not has_told:
                    for slow in self.open.values():
                        if slow.kind == "read" and slow.has_begun and len(slow.answer) < 12:
                            slow.step()
            if not has_told and self.is_under_way(made):
                has_told = True
                self.tell()
        self.tell()


# --- what a test uses ---

class Program:
    """This file as a process."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def ask(self):
        """Ends an attack and returns what had become of it."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        raise_descriptors()
        os.nice(19)  # it takes descriptors and memory; the processor is for those it attacks
        Attack(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]).run()
