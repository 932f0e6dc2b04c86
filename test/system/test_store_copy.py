# SPDX-License-Identifier: Apache-2.0
"""`sarsen store copy`: from a data directory to an etcd and back, as an operator does it."""
import json
import re
import subprocess

import pytest
from support.cluster import PREFIX, Etcd
from support.daemon import request

CONSUL = 'faces: { consul: "127.0.0.1:0" }\n'


@pytest.fixture
def etcd(tmp_path):
    etcd = Etcd(tmp_path / "etcd").start()
    yield etcd
    etcd.stop()


def keys(etcd):
    return etcd.control("get", "--prefix", "--keys-only", PREFIX).split()


def copy(binary, *arguments, status=0):
    done = subprocess.run([binary, "store", "copy", *arguments], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def refused_start(binary, config):
    done = subprocess.run([binary, "server", "-c", config], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1, done
    return done.stderr


def consul(daemon, method, path, body=None):
    """A call of the Consul face that this process serves."""
    address = re.findall(r"consul=(?:http://)?(\S+)", "".join(daemon.log))[-1]
    return request(address, method, path, body)


def facts(daemon):
    """What must be the same wherever the keys are."""
    return {
        "contracts": [(row["contract"], row["baseline"])
                      for row in daemon.get("/v1/contracts")["contracts"]],
        "apps": daemon.get("/v1/apps")["apps"],
        "customers": daemon.get("/v1/customers")["customers"],
        "file": daemon.edge_get("/apps/shop/4.2.0/main.js").body,
        "kv": consul(daemon, "GET", "/v1/kv/name").json[0]["Value"],
    }


def without_etags(found):
    """Revisions are new ones."""
    if isinstance(found, dict):
        return {key: without_etags(value) for key, value in found.items()
                if "revision" not in key and key != "etag"}
    return [without_etags(value) for value in found] if isinstance(found, list) else found


def fill(daemon, service):
    running = service("orders")
    daemon.register("orders", "i1", running.address, "3.14.2", ttl="1h")
    daemon.publish("shop", "4.2.0", {"orders": "3"})
    daemon.call("PUT", "/v1/customers/acme", {"attributes": {"tier": "internal"}}, status=201)
    for value in range(40):
        assert consul(daemon, "PUT", "/v1/kv/name", str(value)).status == 200


def index_of(daemon, path="/v1/kv/name"):
    return int(consul(daemon, "GET", path).headers["X-Consul-Index"])


def test_there_and_back_again(binary, make_daemon, service, etcd):
    daemon = make_daemon(CONSUL)
    fill(daemon, service)
    before, index = facts(daemon), index_of(daemon)
    daemon.stop()

    clustered = daemon.directory / "clustered.yaml"
    clustered.write_text(daemon.config.read_text() + etcd.config)
    told = json.loads(copy(binary, "--from", daemon.data, "--to", clustered, "--dry-run", "--json"))
    assert told["dry_run"] and told["written"] > 5 and keys(etcd) == []
    said = copy(binary, "--from", daemon.data, "--to", clustered)
    assert f"{told['written']} keys were written" in said
    assert len(keys(etcd)) == told["written"]

    embedded = daemon.config
    daemon.config = clustered
    daemon.start()
    assert without_etags(facts(daemon)) == without_etags(before)
    assert index_of(daemon) > index
    assert index_of(daemon, "/v1/catalog/services") > index
    daemon.call("PUT", "/v1/customers/other", {"attributes": {}}, status=201)
    before, index = facts(daemon), index_of(daemon)
    assert "is in use" in copy(binary, "--from", clustered, "--to", embedded, status=1)
    daemon.stop()

    cookie_keys = etcd.control("get", "--print-value-only", f"{PREFIX}gateway/cookie.keys")
    (daemon.data / "cookie.keys").unlink()

    refused = copy(binary, "--from", clustered, "--to", embedded, status=1)
    assert "is not empty" in refused and "--replace" in refused
    (daemon.data / "cookie.keys").mkdir()  # cannot be written, and so it is not done
    refused = copy(binary, "--from", clustered, "--to", embedded, "--replace", status=1)
    assert "cookie.keys cannot be written" in refused
    (daemon.data / "cookie.keys").rmdir()
    assert "is a copy that was not finished" in refused_start(binary, embedded)
    copy(binary, "--from", clustered, "--to", embedded)
    assert (daemon.data / "cookie.keys").read_text().strip() == cookie_keys.strip()
    daemon.config = embedded
    daemon.start()
    assert without_etags(facts(daemon)) == without_etags(before)
    assert index_of(daemon) > index
    assert daemon.get("/v1/audit")  # the ledger stayed where it was


def test_a_server_that_runs_refuses(binary, make_daemon, tmp_path):
    daemon = make_daemon()
    other = tmp_path / "other"
    for arguments in ((daemon.data, other), (other, daemon.data)):
        other.mkdir(exist_ok=True)
        said = copy(binary, "--from", arguments[0], "--to", arguments[1], status=1)
        assert "is in use by another process" in said or "holds no store" in said


def test_half_a_copy_is_not_served(binary, make_daemon, etcd):
    """The marker of a copy that was killed; what goes on by itself is tested in unit tests."""
    daemon = make_daemon(start=False)
    daemon.config.write_text(daemon.config.read_text() + etcd.config)
    etcd.control("put", f"{PREFIX}~copy", "x")
    assert "is a copy that was not finished" in refused_start(binary, daemon.config)


@pytest.mark.parametrize("arguments, said, status", [
    ((), "usage: sarsen store copy", 2),
    (("--from", "nowhere.yaml", "--to", "there"), "nowhere.yaml: there is no such file", 1),
    (("--from", "nowhere", "--to", "there"), "nowhere cannot be opened", 1),
    (("--from", ".", "--to", "there"), ". holds no store", 1),
])
def test_what_cannot_be_copied_is_told(binary, tmp_path, arguments, said, status):
    done = subprocess.run([binary, "store", "copy", *arguments], capture_output=True, text=True,
                          timeout=60, check=False, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (status, True), done
    assert "fault" not in done.stderr
