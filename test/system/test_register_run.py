# SPDX-License-Identifier: Apache-2.0
"""`sarsen register … -- COMMAND`: registered for as long as it runs."""
import signal
import socket
import subprocess
import sys
import threading

import pytest
from support.wire import eventually

# A service that answers its name, a while later where it is asked to, and ends when it is told.
PROGRAM = """
import http.server, signal, socketserver, sys, time

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(0.5)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_):
        pass

def told(number, _):
    print("told", number, flush=True)
    if number != signal.SIGHUP:
        sys.exit(7)

signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGHUP, told)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

Server(sys.argv[1], Answer).serve_forever()
"""


class Run:
    def __init__(self, daemon, *options, program=PROGRAM):
        self.daemon = daemon
        path = daemon.directory / "it.sock"
        self.process = subprocess.Popen(
            [daemon.binary, "register", "it", "i1", f"unix:{path}", "--build", "1.2.3",
             "--address", f"http://{daemon.api}", "--data", daemon.data, *options,
             "--", sys.executable, "-c", program, path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def row(self):
        answer = self.daemon.call("GET", "/v1/services/it/instances/i1")
        return answer.json if answer.status == 200 else {"state": "absent"}

    def ended(self):
        out, told = self.process.communicate(timeout=30)
        return self.process.returncode, out, told


@pytest.fixture
def run(make_daemon):
    made = []

    def start(*options, **more):
        made.append(Run(made[0].daemon if made else make_daemon(), *options, **more))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def is_served(one):
    return one.daemon.edge_get("/api/it/").status == 200


def test_it_is_there_while_it_runs_and_drained_before_it_is_told(run):
    one = run("--ttl", "1s")
    one.daemon.expect_log("instance fails its checks")
    eventually(lambda: is_served(one))
    first = one.row()["last_heartbeat"]
    eventually(lambda: one.row()["last_heartbeat"] > first)
    one.process.send_signal(signal.SIGHUP)  # which is the service's own matter
    assert one.process.stdout.readline() == "told 1\n"

    answers = []
    slow = threading.Thread(
        target=lambda: answers.append(one.daemon.edge_get("/api/it/slow").status))
    begun = one.row()
    slow.start()
    assert begun["state"] == "ready"
    one.process.send_signal(signal.SIGTERM)
    eventually(lambda: one.row()["state"] in ("draining", "absent"))
    assert one.daemon.edge_get("/api/it/").status == 503
    status, out, told = one.ended()
    slow.join()
    assert status == 7 and out == "told 15\n" and one.row()["state"] == "absent"
    assert "i1 of it drains" in told and "i1 of it is gone" in told
    assert answers in ([200], [503])  # begun before the drain, or refused by it, and never broken


def test_one_that_ends_by_itself_is_gone_at_once(run):
    one = run("--health", "tcp=true,interval=1h", program="import sys; sys.exit(3)")
    one.daemon.expect_log("instance fails its checks")
    assert one.ended()[0] == 3
    assert one.row()["state"] == "absent"


def test_it_registers_again_after_a_registry_that_forgot_it(run):
    one = run("--ttl", "1s")
    one.daemon.expect_log("instance fails its checks")
    eventually(lambda: is_served(one))
    one.daemon.call("DELETE", "/v1/services/it/instances/i1", status=204)
    eventually(lambda: is_served(one))


def test_what_cannot_be_is_said_before_anything_is_started(run):
    one = run("--ttl", "1ms")
    status, out, told = one.ended()
    assert status == 1 and "ttl" in told and not out
    other = run("--grace", "soon")
    assert other.ended()[0] == 2
    none = run(program="")
    none.process.kill()
    assert none.ended()[0] == -signal.SIGKILL


def test_what_ends_is_not_registered_for_the_first_time(binary):
    """The registry comes while the service, that was told to end, takes its time."""
    with socket.socket() as registry:
        registry.bind(("127.0.0.1", 0))  # where nobody listens yet
        process = subprocess.Popen(
            [binary, "register", "it", "i1", "127.0.0.1:9", "--ttl", "300ms", "--token", "x",
             "--address", f"http://127.0.0.1:{registry.getsockname()[1]}", "--", sys.executable,
             "-c", "import signal, sys\n"
             "signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))\n"
             "print('up', flush=True)\nsys.stdin.read()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "up\n"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "told\n"
            registry.listen()
            registry.settimeout(2)  # many heartbeats
            with pytest.raises(TimeoutError):
                registry.accept()
            registry.close()
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait()


def test_a_program_that_is_not_there_is_said(make_daemon):
    daemon = make_daemon()
    done = subprocess.run(
        [daemon.binary, "register", "it", "i1", "127.0.0.1:9", "--address", f"http://{daemon.api}",
         "--", "/nowhere/at/all"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 127 and "cannot be started" in done.stderr
    assert daemon.get("/v1/services/it/instances")["instances"] == []
