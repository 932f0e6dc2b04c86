# SPDX-License-Identifier: Apache-2.0
"""Debian's etcd, one member on free ports of loopback, for tests of a cluster."""
import pathlib
import signal
import socket
import subprocess
import time

READY_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Etcd:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self.peer_port = free_port(), free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        client, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{self.peer_port}"
        with open(self.directory / "log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["etcd", "--name", "m", "--data-dir", self.directory / "data",
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"m={peer}", "--heartbeat-interval", "50",
                 "--election-timeout", "500", "--unsafe-no-fsync"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_SECONDS
        while self.ctl("endpoint", "health").returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, \
                (self.directory / "log").read_text()
        return self

    def ctl(self, *arguments):
        return subprocess.run(
            ["etcdctl", f"--endpoints={self.endpoint}", "--command-timeout=10s", *arguments],
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
            timeout=60, check=False)

    def keys(self, prefix="/sarsen/k/"):
        """The keys that rooms have written."""
        found = self.ctl("get", "--prefix", "--keys-only", prefix).stdout.split()
        return [key.removeprefix(prefix) for key in found]

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def config(self):
        """The part of a config file that leads to it."""
        return f'store:\n  etcd:\n    endpoints: ["{self.endpoint}"]\n'
