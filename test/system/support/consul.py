# SPDX-License-Identifier: Apache-2.0
"""Asking the Consul face, as raw as it comes."""
import json
import threading
import time

from support.daemon import request

FACE = 'faces: { consul: "127.0.0.1:0" }\n'


class Consul:
    def __init__(self, daemon):
        self.daemon = daemon
        self.address = next(word.split("=", 1)[1].strip() for line in reversed(daemon.log)
                            if "msg=ready" in line for word in line.split()
                            if word.startswith("consul="))

    def ask(self, method, path, body=None, headers=None, status=200, timeout=30):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        answer = request(self.address, method, path, body, headers, timeout)
        assert answer.status == status, answer
        return answer

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def put(self, path, body=None, **options):
        return self.ask("PUT", path, body, **options)

    def register(self, **members):
        return self.put("/v1/agent/service/register", members)

    def health(self, name, query=""):
        return self.get(f"/v1/health/service/{name}{query}").json


def index_of(answer):
    return int(answer.headers["X-Consul-Index"])


def wait_until(function, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if function():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def meanwhile(function):
    """Runs it in a thread; the result is read by calling what is returned."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()), daemon=True)
    thread.start()

    def result():
        thread.join(30)
        assert found, "no answer"
        return found[0]
    return result
