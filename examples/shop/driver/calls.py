# SPDX-License-Identifier: Apache-2.0
"""The few lines of HTTP that the driver needs, over the standard library."""

import http.client
import json
import time
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return self.headers.get(name, "")

    def __str__(self):
        return f"status {self.status}: {self.body[:300].decode(errors='replace')}"


class Caller:
    """One kept connection to one address. Not for two threads."""

    def __init__(self, port, headers=None):
        self.port = port
        self.headers = headers or {}
        self.connection = None

    def ask(self, method, path, body=None, headers=None):
        data, sent = body, dict(self.headers, **(headers or {}))
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            self.connection.request(method, path, data, sent)
            response = self.connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def once(port, method, path, body=None, headers=None):
    """A request on a connection of its own."""
    caller = Caller(port)
    try:
        return caller.ask(method, path, body, headers)
    finally:
        caller.close()


def wait_until(what, seconds, condition, pause=0.05):
    """Polls `condition` until it returns something true, and returns that.

    A connection that is refused or breaks counts as not yet. After `seconds`, says what did not
    happen, and how near it came.
    """
    deadline = time.monotonic() + seconds
    last = "nothing"
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, http.client.HTTPException) as error:
            last = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s (last: {last})")
        time.sleep(pause)
