# SPDX-License-Identifier: Apache-2.0
"""Names of hosts, resolved by a confined server: in a network and a file system of its own, where
/etc/resolv.conf is a link to elsewhere, as it often is."""
import shutil
import subprocess

import pytest
from support.daemon import Daemon, request
from support.names import NameServer, can_make_namespaces, with_names
from support.network import Place

pytestmark = [
    pytest.mark.skipif(not shutil.which("etcd"), reason="etcd is not installed"),
    pytest.mark.skipif(not can_make_namespaces(), reason="needs root and namespaces"),
]


@pytest.fixture
def place():
    made = Place("host")
    yield made
    made.close()


class Etcd:
    """One member, inside."""

    PLACE = "http://127.0.0.1:2379"

    def __init__(self, place, directory):
        self.command = [
            *place.enter, "etcd", "--data-dir", directory / "etcd", "--listen-client-urls",
            self.PLACE, "--advertise-client-urls", self.PLACE]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def etcd(place, tmp_path):
    made = Etcd(place, tmp_path)
    yield made
    made.kill()


@pytest.fixture
def confined(binary, place, tmp_path):
    """A daemon inside."""
    daemon = Daemon(binary, tmp_path / "d",
                    "sandbox: auto\nstore: { etcd: { endpoints: etcd.test:2379 } }\n")
    daemon.prefix = with_names(place, tmp_path)
    yield daemon
    daemon.stop()
    daemon.check_log()


def put_customer(daemon, name):
    return request(f"unix:{daemon.data}/api.sock", "PUT", f"/v1/customers/{name}",
                   '{"attributes":{}}')


def test_a_confined_server_asks_name_servers(confined, place, etcd):
    server = NameServer(place, {"etcd.test": "127.0.0.1"})
    try:
        confined.start()
        assert server.asked["udp"] and server.asked["tcp"]
        with open(f"/proc/{confined.process.pid}/status") as status:
            assert "Seccomp:\t2" in status.read()
        assert any("msg=confined" in line for line in confined.log)
        assert put_customer(confined, "a").status == 201

        # It cannot have been asked before it was confined, but for what follows that is certain.
        asked = server.asked["tcp"]
        confined.expect_log("level=")  # there is no etcd for a moment
        etcd.kill()
        Daemon.eventually(lambda: server.asked["tcp"] > asked, 60)
        etcd.start()
        Daemon.eventually(lambda: put_customer(confined, "b").status == 201, 60)
    finally:
        server.close()
