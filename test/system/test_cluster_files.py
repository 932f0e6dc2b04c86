# SPDX-License-Identifier: Apache-2.0
"""Files of releases in a cluster: what was uploaded to one member, all serve."""
import base64
import hashlib
import hmac
import json
import signal
import threading
import time

import pytest
from support.authority import Authority
from support.cluster import PREFIX, Cluster, Etcd, members


@pytest.fixture(scope="module")
def etcd_of_module(tmp_path_factory):
    etcd = Etcd(tmp_path_factory.mktemp("etcd")).start()
    yield etcd
    etcd.stop()


@pytest.fixture
def cluster(etcd_of_module, make_daemon):
    etcd_of_module.control("del", "", "--from-key")
    return Cluster(etcd_of_module, make_daemon)


def blob(daemon, content):
    name = hashlib.sha256(content).hexdigest()
    return daemon.data / "blobs" / name[:2] / name[2:]


def wait_for_members(daemon, n):
    daemon.eventually(lambda: len([row for row in members(daemon)
                                   if row["state"] == "there"]) == n, 60)


def test_what_is_uploaded_to_one_is_served_by_all(cluster):
    daemons = [cluster.add() for _ in range(3)]
    for daemon in daemons:
        wait_for_members(daemon, 3)
    files = {f"f{i}.js": f"export default {i}".encode() * (1 + 3000 * i) for i in range(30)}
    files["empty.css"] = b""
    daemons[0].publish("shop", "4.2.0", {}, files)
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: daemon.get("/v1/apps")["apps"])
        for path, content in files.items():
            answer = daemon.edge_get(f"/apps/shop/4.2.0/{path}")
            assert (answer.status, answer.body == content) == (200, True), (path, answer)
    for daemon in daemons:
        daemon.eventually(lambda daemon=daemon: daemon.get("/v1/health")["files_to_come"] == 0)
        assert all(blob(daemon, content).read_bytes() == content for content in files.values())


def test_a_member_that_comes_later_fetches_what_there_is(cluster):
    first = cluster.add()
    content = b"export {}\n" * 200_000
    first.publish("shop", "4.2.0", {}, {"main.js": content})
    late = cluster.add()
    assert late.edge_get("/apps/shop/4.2.0/main.js").body == content
    # And from a member that had it from another, when the first is gone.
    first.stop()
    last = cluster.add()
    assert last.edge_get("/apps/shop/4.2.0/main.js").body == content


def test_a_request_waits_for_a_file_whose_member_is_slow(cluster):
    first, second = cluster.add(), cluster.add()
    wait_for_members(second, 2)
    first.publish("shop", "4.1.0", {}, {"main.js": b"before"})
    second.eventually(lambda: blob(second, b"before").exists())
    # The second has lost it, and the first does not answer.
    first.process.send_signal(signal.SIGSTOP)
    try:
        second.stop()
        blob(second, b"before").unlink()
        second.start()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(
            second.edge_get("/apps/shop/4.1.0/main.js")))
        asking.start()
        second.eventually(lambda: second.get("/v1/health")["files_to_come"] == 1)
    finally:
        first.process.send_signal(signal.SIGCONT)
    asking.join(60)
    assert (answers[0].status, answers[0].body) == (200, b"before")


def test_a_file_that_nobody_has_is_told_and_not_made_up(cluster):
    first, second = cluster.add(), cluster.add()
    wait_for_members(first, 2)
    first.publish("shop", "4.2.0", {}, {"main.js": b"x"})
    second.eventually(lambda: blob(second, b"x").exists())
    second.stop()
    blob(first, b"x").write_bytes(b"y")  # damaged: what it gives is not what the record names
    blob(second, b"x").unlink()
    second.expect_log("no member gives a file")
    second.start()
    wait_for_members(second, 2)
    answer = second.edge_get("/apps/shop/4.2.0/main.js")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "has not come from the member that has it" in answer.json["detail"]
    assert second.get("/v1/health")["files_to_come"] == 1
    blob(first, b"x").write_bytes(b"x")
    assert second.edge_get("/apps/shop/4.2.0/main.js").body == b"x"


def test_blobs_are_given_to_members_and_tokens_only(cluster):
    daemon = cluster.add()
    daemon.publish("shop", "4.2.0", {}, {"main.js": b"x"})
    path = f"/v1/blobs/{hashlib.sha256(b'x').hexdigest()}"
    assert daemon.call("GET", path, status=200).body == b"x"
    daemon.call("GET", path, token=False, status=401)
    daemon.call("GET", path, token=False, status=401,
                headers={"Authorization": "Sarsen-Member 1.00"})
    for wrong in ("0" * 64, "..", "A" * 64, "x", "token"):
        daemon.call("GET", f"/v1/blobs/{wrong}", status=404)


def proof(secret, path, at):
    text = hmac.new(secret, f"GET\n{path}\n{at}".encode(), hashlib.sha256).hexdigest()
    return {"Authorization": f"Sarsen-Member {at}.{text}"}


def test_a_member_whose_clock_is_wrong_is_told_and_does_not_count_as_guessing(cluster):
    daemon = cluster.add()
    daemon.publish("shop", "4.2.0", {}, {"main.js": b"x"})
    path = f"/v1/blobs/{hashlib.sha256(b'x').hexdigest()}"
    key = json.loads(cluster.etcd.control("get", PREFIX + "secret/member", "-w", "json"))
    secret = base64.b64decode(key["kvs"][0]["value"])
    for late, words in ((600, "behind ours"), (-600, "ahead of ours")):
        for _ in range(12):
            at = int((time.time() - late) * 1000)
            refused = daemon.call("GET", path, token=False, headers=proof(secret, path, at))
            assert refused.status == 401, refused
        assert words in refused.json["detail"] and "300 s are accepted" in refused.json["detail"]
    for _ in range(12):
        daemon.call("GET", path, token=False, status=401,
                    headers={"Authorization": "Sarsen-Member 1.00"})
    now = int(time.time() * 1000)
    daemon.call("GET", path, token=False, status=200, headers=proof(secret, path, now))
    elsewhere = "/v1/contracts"
    answer = daemon.call("GET", elsewhere, token=False, headers=proof(secret, elsewhere, now))
    assert answer.status == 401 and "may not make this call" in answer.json["detail"]
    assert daemon.call("GET", path, token=False,
                       headers={"Authorization": "Bearer wrong"}).status == 401


def test_a_file_that_was_put_again_is_not_waited_for_any_more(cluster):
    first, second = cluster.add(), cluster.add()
    wait_for_members(first, 2)
    file = "/v1/apps/shop/releases/4.2.0/files/main.js"
    first.call("PUT", file, b"before", status=201)
    second.eventually(lambda: blob(second, b"before").exists())
    second.stop()
    blob(first, b"before").write_bytes(b"damaged")
    blob(second, b"before").unlink()
    second.expect_log("no member gives a file")
    second.start()
    second.eventually(lambda: second.get("/v1/health")["files_to_come"] == 1)
    first.call("PUT", file, b"after")
    second.eventually(lambda: second.get("/v1/health")["files_to_come"] == 0)
    assert blob(second, b"after").read_bytes() == b"after"


def test_over_tls(cluster, tmp_path):
    """The bytes are held to their name, so a certificate that nobody vouches for will do."""
    pair, key = Authority(tmp_path / "authority").sign("api")
    config = f"api.tls: {{ certificate: {pair}, key: {key} }}\n"
    first, second = cluster.add(config), cluster.add(config)
    for daemon in (first, second):
        daemon.api = f"unix:{daemon.data}/api.sock"
        wait_for_members(daemon, 2)
    assert all(row["api"].startswith("https://") for row in members(first))
    first.publish("shop", "4.2.0", {}, {"main.js": b"x"})
    second.eventually(lambda: blob(second, b"x").exists())


def test_a_member_that_is_upgraded_goes_on_fetching(cluster):
    first, second = cluster.add(), cluster.add()
    wait_for_members(first, 2)
    first.publish("shop", "4.1.0", {}, {"main.js": b"before"})
    second.eventually(lambda: blob(second, b"before").exists())
    heir = second.upgrade()
    second.ended()
    first.publish("shop", "4.2.0", {}, {"main.js": b"after"})
    heir.eventually(lambda: blob(heir, b"after").exists())
    assert heir.edge_get("/apps/shop/4.2.0/main.js").body == b"after"
    heir.stop()
