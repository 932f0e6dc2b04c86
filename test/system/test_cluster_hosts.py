# SPDX-License-Identifier: Apache-2.0
"""Three hosts with Sarsen and one with etcd, and a switch that can fail."""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading

import pytest
from support.authority import Authority
from support.cluster import heartbeat, instances, members, own_id, reached
from support.network import Network, can_make_hosts

LONG = 90
FACE = 'faces: { consul: "127.0.0.1:8500" }\n'
ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), method="PUT")
urllib.request.urlopen(request, timeout=60)
"""

pytestmark = [
    pytest.mark.skipif(not shutil.which("etcd"), reason="etcd is not installed"),
    pytest.mark.skipif(not can_make_hosts(), reason="needs root and network namespaces"),
]


@pytest.fixture
def network():
    network = Network()
    yield network
    network.close()


def run_etcd(host, folder):
    """Returns when it answers."""
    url = f"http://{host.address}:2379"
    peers = f"http://{host.address}:2380"
    host.run("etcd", "--name", "m", "--data-dir", folder, "--listen-client-urls", url,
             "--advertise-client-urls", url, "--listen-peer-urls", peers,
             "--initial-advertise-peer-urls", peers, "--initial-cluster", f"m={peers}",
             "--log-level", "error", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = subprocess.run(
        [*host.enter, "etcdctl", "--endpoints", url, "--dial-timeout=40s", "--command-timeout=40s",
         "put", "there", "yes"],
        env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return f"{host.address}:2379"


class Client:
    """A service's own client on its host: heartbeats, and registers where it is not known."""

    def __init__(self, daemon, service, address):
        self.daemon, self.service, self.address = daemon, service, address
        self.over = threading.Event()
        self.register()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def register(self):
        self.daemon.register(self.service, "one", self.address, "1.0.0", ttl="5s",
                             deregister_after="5s")

    def run(self):
        while not self.over.wait(0.5):
            with contextlib.suppress(OSError, AssertionError):
                if heartbeat(self.daemon, self.service, "one") == 404:
                    self.register()

    def stop(self):
        self.over.set()
        self.thread.join()


@pytest.fixture
def daemons(network, make_daemon, tmp_path):
    """One on each of three hosts. They are spoken to through their unix sockets, which are where
    the files are."""
    endpoint = run_etcd(network.host(), tmp_path / "etcd")
    made = []
    for _ in range(3):
        daemon = make_daemon(f'store: {{ etcd: {{ endpoints: ["{endpoint}"] }} }}\n' + FACE,
                             start=False)
        daemon.host = network.host()
        daemon.prefix = daemon.host.enter
        daemon.expect_log("level=warn room=cluster")
        daemon.start()
        daemon.api, daemon.internal = f"unix:{daemon.data}/api.sock", daemon.unix
        made.append(daemon)
    return made


def named(host, name, hosts):
    """What runs a program on a host that has a name, and a hosts file."""
    return [*host.enter, "unshare", "--uts", "--mount", "sh", "-c",
            f'hostname {name} && mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]


@pytest.fixture
def two_named(network, make_daemon, tmp_path):
    """Makes one on each of two hosts, "first" and "second", as `api` says. Where they look, "first"
    has an address of loopback, too."""
    endpoint = run_etcd(network.host(), tmp_path / "etcd")
    places = [network.host(), network.host()]
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.9 first\n{places[0].address} first\n{places[1].address} second\n")

    def make(api):
        made = []
        for place, name in zip(places, ("first", "second"), strict=True):
            daemon = make_daemon(f'store: {{ etcd: {{ endpoints: ["{endpoint}"] }} }}\n',
                                 start=False)
            text = daemon.config.read_text()
            daemon.config.write_text(text.replace('api: { listen: "127.0.0.1:0" }', f"api: {api}"))
            daemon.prefix = named(place, name, hosts)
            daemon.expect_log("level=warn room=cluster")
            daemon.start()
            daemon.api = f"unix:{daemon.data}/api.sock"
            made.append(daemon)
        for daemon in made:
            daemon.eventually(lambda daemon=daemon: len(members(daemon)) == 2, LONG)
        return made

    return make


def test_the_address_that_is_told_can_be_used(two_named, binary, tmp_path):
    authority = Authority(tmp_path / "authority")
    pair, key = authority.sign("api", "DNS:first,DNS:second")
    first, second = two_named(
        f"{{ listen: '0.0.0.0:7000', tls: {{ certificate: {pair}, key: {key} }} }}")
    told = {row["host"]: row["api"] for row in members(first)}
    assert told == {"first": "https://first:7000", "second": "https://second:7000"}

    def services(client, url, token):
        return subprocess.run(
            [*client.prefix, binary, "services", "--address", url, "--ca", authority.file,
             "--token", token], capture_output=True, text=True, timeout=60, check=False)

    for client in (first, second):
        done = services(client, told["second"], second.token)
        assert done.returncode == 0, done.stderr

    # The first of its addresses leads back to the one that asks; files come all the same.
    first.publish("shop", "4.2.0", {}, {"main.js": b"x"})
    second.eventually(lambda: second.get("/v1/health")["files_to_come"] == 0
                      and second.get("/v1/apps")["apps"], LONG)
    name = hashlib.sha256(b"x").hexdigest()
    assert (second.data / "blobs" / name[:2] / name[2:]).read_bytes() == b"x"


def test_who_listens_on_loopback_is_not_asked_from_another_host(two_named):
    first, second = two_named("{ listen: '127.0.0.1:7000' }")
    second.expect_log("no member gives a file")
    first.publish("shop", "4.2.0", {}, {"main.js": b"x"})
    second.eventually(lambda: any("on loopback alone" in line for line in second.log), LONG)
    assert second.get("/v1/health")["files_to_come"] == 1


def test_a_host_that_is_cut_off_goes_on_and_catches_up(network, daemons, tmp_path):
    clients = [Client(daemon, f"s{number}", network.serve(daemon.host, tmp_path / "www"))
               for number, daemon in enumerate(daemons)]
    try:
        for daemon in daemons:
            for number in range(3):
                daemon.eventually(lambda daemon=daemon, number=number: reached(
                    daemon, f"/api/s{number}/")[0] == 200)
        there, _, cut = daemons
        cut.host.unplug()
        cut.eventually(lambda: cut.call("GET", "/v1/health").status == 503, LONG)
        assert reached(cut, "/api/s2/")[0] == 200
        there.eventually(lambda: not instances(there, "s2"), LONG)
        states = {row["id"]: row["state"] for row in members(there)}
        assert states.get(own_id(cut), "gone") == "gone"
        assert reached(there, "/api/s2/")[0] == 503
        assert reached(there, "/api/s0/")[0] == reached(there, "/api/s1/")[0] == 200
        assert instances(cut, "s2") and reached(cut, "/api/s2/")[0] == 200
        there.call("PUT", "/v1/services/meanwhile", {}, status=201)

        cut.host.plug()
        cut.eventually(lambda: cut.call("GET", "/v1/services/meanwhile").status == 200, LONG)
        for daemon in daemons:
            daemon.eventually(lambda daemon=daemon: reached(daemon, "/api/s2/")[0] == 200, LONG)
            daemon.eventually(lambda daemon=daemon: [
                row["state"] for row in members(daemon)] == ["there"] * 3, LONG)
        assert instances(there, "s2")["one"]["owner"] == own_id(cut)
        for name in ("s0", "s1"):
            assert not [line for daemon in daemons for line in daemon.log
                        if f"instance/{name}/" in line and "room=registry" in line]
    finally:
        for client in clients:
            client.stop()


def test_what_is_on_loopback_is_used_on_its_own_host_only(network, daemons, tmp_path):
    """Where the others have something else at that address."""
    own, other, _ = daemons
    for number, daemon in enumerate(daemons):
        folder = tmp_path / f"www{number}"
        folder.mkdir()
        (folder / "who").write_text(f"{number}")
        network.serve(daemon.host, folder, "127.0.0.1")
        daemon.expect_log("leads to it on its owner's host only")
    own.register("local", "one", "127.0.0.1:8080", "1.0.0")
    own.eventually(lambda: reached(own, "/api/local/who") == (200, b"0"))
    for daemon in daemons[1:]:
        daemon.eventually(lambda daemon=daemon: instances(daemon, "local"))
        assert "owner's host only" in instances(daemon, "local")["one"]["reason"]
        daemon.eventually(lambda daemon=daemon: reached(daemon, "/api/local/who")[0] == 503)
    assert "reason" not in instances(own, "local")["one"]
    told = "leads to it on its owner's host only"
    other.eventually(lambda: [line for line in other.log if told in line])
    assert len([line for line in other.log if told in line]) == 1


def test_what_its_own_host_was_asked_is_asked_nowhere_else(network, daemons, tmp_path):
    """The elected server has nothing at that address, which says nothing of the instance."""
    own, *others = daemons
    address, port = network.serve(own.host, tmp_path / "www").split(":")
    network.serve(own.host, tmp_path / "www", "127.0.0.1")
    registration = json.dumps({
        "Name": "asked", "ID": "one", "Address": address, "Port": int(port),
        "Check": {"HTTP": "http://127.0.0.1:8080/", "Interval": "1s"}})
    subprocess.run([*own.host.enter, "python3", "-c", ASK,
                    "http://127.0.0.1:8500/v1/agent/service/register", registration], check=True)
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: reached(daemon, "/api/asked/")[0] == 200, LONG)
    told = "a check of another host's own is not made here"
    for daemon in others:
        daemon.expect_log(told)
    own.kill()
    others[0].eventually(
        lambda: [line for daemon in others for line in daemon.log if told in line], LONG)
    for daemon in others:
        assert reached(daemon, "/api/asked/")[0] == 200
