# SPDX-License-Identifier: Apache-2.0
"""`sarsen dev`: one process on loopback, with or without a command of one's own."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

CONFIG = """\
api: { listen: "127.0.0.1:0" }
gateway: { edge: 127.0.0.1:0, internal: 127.0.0.1:0, workers: 1 }
drain: { grace: 2s }
"""


class Dev:
    """A running `sarsen dev`; what it prints is at hand when a pattern of it has come."""

    def __init__(self, binary, directory, *arguments, config=CONFIG):
        self.config = directory / "dev.yaml"
        self.config.write_text(config)
        self.text = ""
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [binary, "dev", "-c", self.config, *arguments], cwd=directory, text=True,
            env=dict(os.environ, TMPDIR=str(directory)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.text += line
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, pattern):
        with self.changed:
            assert self.changed.wait_for(
                lambda: re.search(pattern, self.text) or not self.reader.is_alive(), 30), self.text
        found = re.search(pattern, self.text)
        assert found, self.text
        return found

    def end(self, sent=signal.SIGINT):
        if sent:
            self.process.send_signal(sent)
        status = self.process.wait(30)
        self.reader.join(30)
        assert "Sanitizer" not in self.text and "level=warn" not in self.text, self.text
        return status


@pytest.fixture
def dev(binary, tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Dev(binary, tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def temporaries(directory):
    return set(directory.glob("sarsen.*"))


def test_it_says_where_it_is_and_keeps_its_data(dev, tmp_path):
    one = dev()
    one.wait_for("Ctrl-C ends it")
    assert re.search(r"sarsen 0\.1\.0 is ready, bound to loopback; data in \.sarsen\n", one.text)
    assert re.search(r"gateway     http://127\.0\.0\.1:\d+\n", one.text)
    assert re.search(r"internal    http://127\.0\.0\.1:\d+ unix:\.sarsen/gateway\.sock", one.text)
    assert re.search(r"management  http://127\.0\.0\.1:\d+  token in \.sarsen/token", one.text)
    assert one.end() == 0
    assert (tmp_path / ".sarsen" / "store.db").exists()


def test_ephemeral_leaves_nothing(dev, tmp_path):
    one = dev("--ephemeral")
    data = one.wait_for(r"data in (\S+) until it ends")[1]
    assert pathlib.Path(data, "token").exists()
    assert one.end(signal.SIGTERM) == 0
    assert not temporaries(tmp_path) and list(tmp_path.iterdir()) == [one.config]


def test_ephemeral_leaves_nothing_when_it_cannot_serve(dev, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        one = dev("--ephemeral", config=CONFIG.replace("edge: 127.0.0.1:0", f"edge: {address}"))
        assert one.end(None) == 1
    assert not temporaries(tmp_path)


@pytest.mark.parametrize("key", ["listen: \"127.0.0.1:0\"", "edge: 127.0.0.1:0",
                                 "internal: 127.0.0.1:0"])
def test_a_taken_port_is_told_with_its_listener(dev, key):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        one = dev("--ephemeral", config=CONFIG.replace(key, key.replace("127.0.0.1:0", address)))
        assert one.end(None) == 1
    assert address in one.text and key.split(":")[0] in one.text, one.text
    assert "taken" in one.text or "in use" in one.text, one.text


SHOW = ("import os, urllib.request\n"
        "request = urllib.request.Request(os.environ['SARSEN_ADDRESS'] + '/v1/contracts',\n"
        "    headers={'Authorization': 'Bearer ' + os.environ['SARSEN_TOKEN']})\n"
        "print('answer', urllib.request.urlopen(request).status)\n"
        "print('gateway', os.environ['SARSEN_GATEWAY'])\n"
        "print('data', os.environ['SARSEN_DATA'])\n")


def test_a_command_runs_with_the_environment_and_gives_its_status(dev, tmp_path):
    one = dev("--", sys.executable, "-c", SHOW + "raise SystemExit(7)\n")
    assert one.end(None) == 7
    assert "answer 200" in one.text
    assert f"gateway unix:{tmp_path}/.sarsen/gateway.sock\n" in one.text
    assert f"data {tmp_path}/.sarsen\n" in one.text
    assert one.text.index("is ready") < one.text.index("answer 200")


def test_a_command_that_dies_by_a_signal(dev):
    one = dev("--ephemeral", "--", "sh", "-c", "kill -9 $$")
    assert one.end(None) == 128 + 9


def test_a_command_that_cannot_be_started(dev, tmp_path):
    one = dev("--ephemeral", "--", "/no/such/program")
    assert one.end(None) == 127
    assert "/no/such/program cannot be started" in one.text and not temporaries(tmp_path)


def test_the_end_gives_the_command_its_time(dev):
    """SIGTERM to Sarsen is SIGTERM to the command, which may finish what it does."""
    script = ("import signal, sys, threading\n"
              "done = threading.Event()\n"
              "signal.signal(signal.SIGTERM, lambda *_: done.set())\n"
              "print('started', flush=True)\n"
              "done.wait()\n"
              "threading.Event().wait(0.5)\n"
              "print('finished its work', flush=True)\n")
    one = dev("--ephemeral", "--", sys.executable, "-c", script)
    one.wait_for("started")
    assert one.end(signal.SIGTERM) == 0
    assert "finished its work" in one.text


def test_a_command_that_does_not_end_is_killed_with_all_it_started(dev):
    script = "trap '' TERM; sleep 600 & echo child $!; echo own $$; wait"
    one = dev("--ephemeral", "--", "sh", "-c", script)
    pids = [int(one.wait_for(rf"{word} (\d+)")[1]) for word in ("child", "own")]
    assert one.end(signal.SIGTERM) == 0
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}") or "State:\tZ" in pathlib.Path(
            f"/proc/{pid}/status").read_text()


def test_kill_9_takes_the_command_along(dev):
    one = dev("--ephemeral", "--", "sh", "-c", "echo own $$; exec sleep 600")
    pid = int(one.wait_for(r"own (\d+)")[1])
    data = one.wait_for(r"data in (\S+) until it ends")[1]
    one.process.kill()
    one.process.wait(20)
    one.reader.join(20)  # the command's end closes the pipe
    assert not one.reader.is_alive() and not os.path.exists(f"/proc/{pid}/exe")
    subprocess.run(["rm", "-r", data], check=True)


@pytest.mark.parametrize(("data", "said"), [
    ("/proc/foo", "No such file"), ("none/below", "No such file"), ("file", "Not a directory")])
def test_a_directory_that_cannot_be_had_is_told(dev, tmp_path, data, said):
    (tmp_path / "file").write_text("")
    one = dev("--data", data)
    assert one.end(None) == 1
    assert one.text.startswith(f"sarsen: data {data} cannot be") and said in one.text, one.text


def test_a_taken_port_leaves_no_directory(dev, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        one = dev(config=CONFIG.replace("edge: 127.0.0.1:0", f"edge: {address}"))
        assert one.end(None) == 1
    assert f"gateway.edge {address}" in one.text and list(tmp_path.iterdir()) == [one.config]


@pytest.mark.parametrize("milliseconds", range(0, 100, 5))
def test_sigterm_at_any_point_of_the_start_ends_it(binary, tmp_path, milliseconds):
    """What is measured here is time itself: the signal comes so long after the start."""
    config = tmp_path / "dev.yaml"
    config.write_text(CONFIG)
    with subprocess.Popen([binary, "dev", "-c", config], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        threading.Event().wait(milliseconds / 1000)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]
    assert process.returncode in (0, -signal.SIGTERM), said
    assert "Sanitizer" not in said and "runtime error" not in said, said
