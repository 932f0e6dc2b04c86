# SPDX-License-Identifier: Apache-2.0
"""Several Sarsen processes on one etcd, which is Debian's own and real."""
import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import threading
import time
import urllib.request

START_SECONDS = 40
PREFIX = "/sarsen/k/"


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def own_address():
    """An address of loopback that nobody else has, so that its ports are free."""
    return ".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))])


class Member:
    """One etcd."""

    def __init__(self, directory, name, address):
        self.directory, self.name, self.address = directory, name, address
        self.endpoint = f"{address}:2379"
        self.process = None

    def start(self, peers):
        with open(self.directory / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--name", self.name, "--data-dir", self.directory / self.name,
                 "--listen-client-urls", f"http://{self.endpoint}",
                 "--advertise-client-urls", f"http://{self.endpoint}",
                 "--listen-peer-urls", f"http://{self.address}:2380",
                 "--initial-advertise-peer-urls", f"http://{self.address}:2380",
                 "--initial-cluster", peers, "--log-level", "error"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def is_healthy(self):
        with contextlib.suppress(OSError, ValueError):
            url = f"http://{self.endpoint}/health"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return json.load(answer)["health"] == "true"
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Etcd:
    """One member, or three."""

    def __init__(self, directory, n_members=1):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.members = [Member(directory, f"m{i}", own_address()) for i in range(n_members)]

    @property
    def endpoints(self):
        return [member.endpoint for member in self.members]

    @property
    def config(self):
        return f"store: {{ etcd: {{ endpoints: {json.dumps(self.endpoints)} }} }}\n"

    def start(self):
        peers = ",".join(f"{member.name}=http://{member.address}:2380" for member in self.members)
        for member in self.members:
            if not member.process or member.process.poll() is not None:
                member.start(peers)
        deadline = time.monotonic() + START_SECONDS
        while not all(member.is_healthy() for member in self.members):
            assert time.monotonic() < deadline, "no healthy etcd: " + self.log()
            time.sleep(0.05)
        return self

    def log(self):
        return "".join((self.directory / f"{member.name}.log").read_text()[-2000:]
                       for member in self.members)

    def pause(self):
        for member in self.members:
            member.pause()

    def resume(self):
        for member in self.members:
            member.resume()

    def kill(self):
        for member in self.members:
            member.kill()

    def stop(self):
        for member in self.members:
            if member.process and member.process.poll() is None:
                member.resume()
                member.kill()

    def control(self, *arguments):
        done = subprocess.run(
            ["etcdctl", "--endpoints", ",".join(self.endpoints), *arguments],
            env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=30,
            check=True)
        return done.stdout

    def version(self, key):
        """How often a key of Sarsen's was written since it was made."""
        found = json.loads(self.control("get", PREFIX + key, "-w", "json"))
        return found["kvs"][0]["version"] if "kvs" in found else 0


    def life(self, key):
        """What was done to a key of Sarsen's until it was deleted: PUT, PUT, DELETE."""
        watch = subprocess.Popen(
            ["etcdctl", "--endpoints", self.endpoints[0], "watch", "--rev", "1", PREFIX + key],
            env={**os.environ, "ETCDCTL_API": "3"}, stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        patience = threading.Timer(START_SECONDS, watch.kill)
        patience.start()
        done = []
        for line in watch.stdout:
            if line in (b"PUT\n", b"DELETE\n"):
                done.append(line.decode().strip())
            if done and done[-1] == "DELETE":
                break
        patience.cancel()
        watch.kill()
        watch.wait()
        watch.stdout.close()
        return done


class Cluster:
    """Servers with data directories of their own that share an etcd."""

    def __init__(self, etcd, make_daemon):
        self.etcd, self.make_daemon = etcd, make_daemon
        self.daemons = []

    def add(self, config="", **options):
        daemon = self.make_daemon(self.etcd.config + config, **options)
        daemon.expect_log("level=warn room=cluster")
        self.daemons.append(daemon)
        return daemon

    def running(self):
        return [daemon for daemon in self.daemons
                if daemon.process and daemon.process.poll() is None]

    def elected(self, among=None):
        """Waits until one of them is elected, and says so of itself; returns it and the rest."""
        among = among or self.running()

        def find():
            for daemon in among:
                if any(member["elected"] and member["self"] for member in members(daemon)):
                    return daemon
            return None

        found = among[0].eventually(find, 60)
        return found, [daemon for daemon in among if daemon is not found]


def members(daemon):
    return daemon.get("/v1/cluster")["members"]


def own_id(daemon):
    return daemon.get("/v1/cluster")["self"]


def heartbeat(daemon, service, instance):
    return daemon.call("POST", f"/v1/services/{service}/instances/{instance}:heartbeat",
                       token=False).status


def instances(daemon, service):
    answer = daemon.call("GET", f"/v1/services/{service}/instances")
    return {row["id"]: row for row in answer.json["instances"]} if answer.status == 200 else {}


def reached(daemon, path):
    """The status and the body of what its gateway answers; 0 where there is none."""
    try:
        answer = daemon.internal_get(path)
    except OSError:
        return 0, b""
    return answer.status, answer.body
