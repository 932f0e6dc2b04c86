# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand: one end of a connection whose every byte a test decides, and a service made so."""
import socket
import threading

TIMEOUT = 15


class Head:
    """A start line and fields; names in small letters, in the order they came."""

    def __init__(self, text):
        lines = text.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon, f"no field: {line!r}"
            self.fields.append((name.lower(), value.strip()))

    def all(self, name):
        return [value for field, value in self.fields if field == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    def names(self):
        return {name for name, _ in self.fields}

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def target(self):
        return self.start.split(" ")[1]

    def __repr__(self):
        return f"<{self.start} {self.fields}>"


class Wire:
    """One end of a connection."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(TIMEOUT)
        self.kept = b""

    @classmethod
    def connect(cls, address, receive_buffer=None):
        """To "host:port" or "unix:/path"."""
        if address.startswith("unix:"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(TIMEOUT)
            sock.connect(address[5:])
            return cls(sock)
        host, _, port = address.rpartition(":")
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(TIMEOUT)
        sock.connect((host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes so that the other side gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, *texts):
        self.sock.sendall(b"".join(text.encode("latin-1") if isinstance(text, str) else text
                                   for text in texts))
        return self

    def get(self, target, *fields, method="GET"):
        return self.send(f"{method} {target} HTTP/1.1\r\nHost: shop.test\r\n",
                         *[f"{field}\r\n" for field in fields], "\r\n")

    def _more(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError(f"closed behind {self.kept[-200:]!r}")
        self.kept += data

    def take(self, size):
        while len(self.kept) < size:
            self._more()
        data, self.kept = self.kept[:size], self.kept[size:]
        return data

    def until(self, marker):
        while marker not in self.kept:
            self._more()
        data, _, self.kept = self.kept.partition(marker)
        return data

    def head(self):
        return Head(self.until(b"\r\n\r\n"))

    def chunk(self):
        """One chunk's data; empty for the last one, whose trailers must be none."""
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        data = self.take(size)
        assert self.until(b"\r\n") == b""
        return data

    def body(self, head, method="GET"):
        """The body that the head announces, a request's or a response's."""
        is_response = head.start.startswith("HTTP/")
        if is_response and (method == "HEAD" or head.status in (204, 304) or head.status < 200):
            return b""
        if head.get("transfer-encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        if head.get("content-length") is not None:
            return self.take(int(head.get("content-length")))
        return self.rest() if is_response else b""

    def answer(self, method="GET"):
        head = self.head()
        return head, self.body(head, method)

    def rest(self):
        """What comes until the other side closes; a reset counts as that."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError):
            data, self.kept = self.kept, b""
            return data

    def drain(self, size, each=lambda data: None):
        """Receives that many bytes without keeping them."""
        left = size - len(self.kept)
        each(self.kept)
        self.kept = b""
        while left > 0:
            data = self.sock.recv(min(left, 1 << 20))
            if not data:
                raise EOFError(f"closed with {left} bytes missing")
            each(data)
            left -= len(data)

    def fill(self, seconds):
        """Sends zeros until nobody has taken any for that long; returns how many."""
        size = 0
        block = bytes(65536)
        self.sock.settimeout(seconds)
        try:
            while True:
                size += self.sock.send(block)
        except TimeoutError:
            self.sock.settimeout(TIMEOUT)
            return size


class Upstream:
    """A service on a port of its own whose connections the test takes one by one."""

    def __init__(self, receive_buffer=None):
        self.listener = socket.socket()
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)  # who attacks opens many
        self.listener.settimeout(TIMEOUT)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.wires = []

    def accept(self):
        wire = Wire(self.listener.accept()[0])
        self.wires.append(wire)
        return wire

    def request(self):
        """A new connection and the request on it."""
        wire = self.accept()
        head = wire.head()
        return wire, head

    def assert_untouched(self):
        """Nobody has connected, or sent a byte on what had been accepted."""
        self.listener.setblocking(False)
        try:
            wire = Wire(self.listener.accept()[0])
        except BlockingIOError:
            pass
        else:
            raise AssertionError(f"was asked: {wire.rest()!r}")
        finally:
            self.listener.settimeout(TIMEOUT)
        for wire in self.wires:
            if wire.sock.fileno() < 0:
                continue
            wire.sock.setblocking(False)
            try:
                data = wire.sock.recv(4096)
            except BlockingIOError:
                data = b""
            wire.sock.settimeout(TIMEOUT)
            assert not data and not wire.kept, f"was sent {wire.kept + data!r}"

    def close(self):
        self.listener.close()
        for wire in self.wires:
            wire.close()


class Played:
    """A service whose connections are each served by a function of the test, in threads:
    play(wire) is called once for each; the requests' heads are recorded by `head`."""

    def __init__(self, play):
        self.upstream = Upstream()
        self.address = self.upstream.address
        self.faults = []
        self.play = play
        self.threads = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                wire = Wire(self.upstream.listener.accept()[0])
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(wire,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, wire):
        try:
            self.play(wire)
        except (EOFError, ConnectionError, TimeoutError):
            pass
        except Exception as fault:  # noqa: BLE001 shown by close()
            self.faults.append(fault)
        finally:
            wire.close()

    def close(self):
        self.upstream.close()
        assert not self.faults, self.faults


def reply(status, body=b"", *fields):
    """The bytes of a response of known length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*parts):
    """Parts as the chunks of a whole body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def eventually(condition, seconds=40):
    """Waits until condition() is true; polls, for where there is no event to wait for."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        found = condition()
        if found:
            return found
        pause.wait(0.01)
    raise AssertionError("did not come about in time")
