# SPDX-License-Identifier: Apache-2.0
"""One Sarsen process and the calls a test makes of it."""
import contextlib
import copy
import http.client
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

READY_SECONDS = 30
STOP_SECONDS = 30

CONFIG = """\
data: {data}
api: {{ listen: "127.0.0.1:0" }}
gateway:
  edge: 127.0.0.1:0
  internal: 127.0.0.1:0
  workers: 2
{gateway}drain: {{ grace: 2s }}
"""

UNEXPECTED = re.compile(r"level=(warn|error)|Sanitizer|runtime error|Assertion")


class Answer:
    """A whole HTTP answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:400]!r}>"


def request(address, method, path, body=None, headers=None, timeout=20):
    """One request to "host:port" or "unix:/path" over a connection of its own."""
    if address.startswith("unix:"):
        connection = UnixConnection(address[5:], timeout)
    else:
        connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Caller:
    """A caller that keeps its connection, for tests that ask often."""

    def __init__(self, address, timeout=20):
        self.connection = http.client.HTTPConnection(address, timeout=timeout)

    def ask(self, path, headers=None, method="GET", body=None):
        self.connection.request(method, path, body, headers or {})
        return Answer(self.connection.getresponse())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


class Daemon:
    def __init__(self, binary, directory, config="", gateway=""):
        self.binary = binary
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.config = self.directory / "sarsen.yaml"
        self.config.write_text(CONFIG.format(data=self.data, gateway=gateway) + config)
        self.log = []
        self.process = None
        self.prefix = []  # a program that it runs under
        self.expected = []  # patterns of log lines that may be warnings
        self.seen = set()  # (method, target, status) of calls of the management API

    # --- life ---

    def start(self, *arguments, **options):
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            [*self.prefix, self.binary, "server", "-c", self.config, *arguments],
            stderr=subprocess.PIPE,
            text=True, stdin=subprocess.DEVNULL, cwd=self.directory, **options)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(READY_SECONDS) or not hasattr(self, "api"):
            self.process.kill()
            raise AssertionError("not ready:\n" + "".join(self.log))
        return self

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            if "msg=ready" in line:
                fields = dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
                self.api = fields["management"]
                self.edges = [text.removeprefix("http://") for text in fields["edge"].split()]
                self.internals = [text.removeprefix("http://")
                                  for text in fields["internal"].split()]
                self.edge, self.internal = self.edges[0], self.internals[0]
                self.unix = f"unix:{self.data}/gateway.sock"
                self.ready.set()
        self.ready.set()

    def upgrade(self, config=None, **options):
        """The process that takes over from this one, by another config file or the same."""
        heir = copy.copy(self)
        heir.log, heir.expected = [], []
        heir.config = config or self.config
        return heir.start("--takeover", **options)

    def ended(self, status=0):
        """It must end by itself."""
        try:
            found = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("did not end:\n" + "".join(self.log)) from None
        self.reader.join()
        assert found == status, f"exit status {found}:\n" + "".join(self.log)

    def stop(self):
        """Ends it by SIGTERM; it must drain and exit with 0."""
        if not self.process or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("did not stop:\n" + "".join(self.log)) from None
        self.reader.join()
        assert status == 0, f"exit status {status}:\n" + "".join(self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def restart(self):
        self.stop()
        return self.start()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def sockets(self):
        """Listeners and connections; unlike files, none is opened late and kept."""
        count = 0
        for number in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                link = os.readlink(f"/proc/{self.process.pid}/fd/{number}")
                count += link.startswith("socket:")
        return count

    def expect_log(self, pattern):
        self.expected.append(re.compile(pattern))

    def check_log(self):
        bad = [line for line in self.log if UNEXPECTED.search(line)
               and not any(pattern.search(line) for pattern in self.expected)]
        assert not bad, "unexpected in the log:\n" + "".join(self.log)

    # --- calls ---

    @property
    def token(self):
        return (self.data / "token").read_text().strip()

    def call(self, method, path, body=None, headers=None, token=True, status=None):
        """A call of the management API; `body` is JSON, or bytes as they are."""
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body)
        answer = request(self.api, method, path, body, headers)
        self.seen.add((method, path, answer.status))
        if status is not None:
            assert answer.status == status, answer
        return answer

    @staticmethod
    def eventually(condition, seconds=60):
        """Asks until the answer is truthy, and returns it."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.02)
        return found

    def get(self, path, **options):
        return self.call("GET", path, status=200, **options).json

    def edge_get(self, path, headers=None, method="GET", body=None):
        return request(self.edge, method, path, body, headers)

    def internal_get(self, path, headers=None, method="GET", body=None):
        return request(self.internal, method, path, body, headers)

    def builds_of(self, customers, path="/api/orders/"):
        """The build that each customer reaches, asked through the internal listener."""
        with Caller(self.internal) as caller:
            return {customer: caller.ask(path, {"Sarsen-Customer": customer}).headers[
                "Sarsen-Build"] for customer in customers}

    def cli(self, *arguments, status=0):
        """Runs the CLI against it and returns what it printed."""
        done = subprocess.run(
            [self.binary, *arguments, "--address", f"http://{self.api}", "--data", self.data],
            capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stdout + done.stderr

    # --- what most tests need ---

    def register(self, service, instance, address, build=None, ttl="30s", **more):
        body = {"address": address, "ttl": ttl, **more}
        if build:
            body["build"] = build
        answer = self.call("PUT", f"/v1/services/{service}/instances/{instance}", body,
                           token=False)
        assert answer.status in (200, 201), answer
        return answer.json

    def publish(self, app, release, requires, files=None, title=None):
        """Publishes a release made of small files."""
        files = files or {"main.js": f'document.title = "{app} {release}";'.encode()}
        for path, content in files.items():
            quoted = urllib.parse.quote(path)
            self.call("PUT", f"/v1/apps/{app}/releases/{release}/files/{quoted}", content,
                      status=201)
        manifest = {"app": app, "release": release, "kind": "importmap", "requires": requires,
                    "entries": [{"name": f"@{app}/main", "path": next(iter(files))}]}
        if title:
            manifest["title"] = title
        return self.call("PUT", f"/v1/apps/{app}/releases/{release}", manifest, status=201).json
