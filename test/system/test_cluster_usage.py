# SPDX-License-Identifier: Apache-2.0
"""Evidence of use in a cluster: what one member has counted, none of them overlooks."""
import pytest
from support.cluster import Cluster, Etcd, members, own_id


@pytest.fixture
def cluster(tmp_path, make_daemon):
    etcd = Etcd(tmp_path / "etcd").start()
    yield Cluster(etcd, make_daemon)
    etcd.stop()


def blockers(daemon, contract="orders/2"):
    found = daemon.get(f"/v1/contracts/{contract}/retirement")["blockers"]
    return {row["kind"]: row for row in found}


def test_use_at_one_member_blocks_at_all(cluster, service):
    first, second = cluster.add("retire: { window: 1h }\n"), cluster.add("retire: { window: 1h }\n")
    for number, build in (("2", "2.9.0"), ("3", "3.0.0")):
        running = service(f"orders-{number}")
        first.register("orders", f"i{number}", running.address, build, ttl="1h")
    # The second contract is not the default, so that use alone is in its way.
    first.call("PUT", "/v1/services/orders/default", {"contract": 3}, status=200)
    second.eventually(lambda: second.internal_get("/api/orders@2/x").status == 200)

    used = first.eventually(lambda: blockers(first).get("used-elsewhere"))
    assert used["member"] == own_id(second)
    assert f"`sarsen usage orders@2 --address http://{second.api}` tells by whom" in used["text"]
    assert "used" not in blockers(first)
    assert "used" in blockers(second) and "used-elsewhere" not in blockers(second)
    refused = first.call("POST", "/v1/contracts/orders/2:offline", {"why": "test"}, status=409)
    assert "at the member" in refused.body.decode()

    report = first.get("/v1/usage?contract=orders@2")
    assert (report["usage"], report["member"]) == ([], own_id(first))
    assert [(row["contract"], row["member"]) for row in report["elsewhere"]] == \
        [("orders@2", own_id(second))]
    assert "what other members counted is to be asked there" in first.cli("usage", "orders@2")

    # One that is gone blocks by what it has told.
    gone = own_id(second)
    second.kill()
    first.eventually(lambda: gone not in {row["id"] for row in members(first)
                                          if row["state"] == "there"}, 60)
    assert blockers(first)["used-elsewhere"]["member"] == gone
    assert "that member is gone" in blockers(first)["used-elsewhere"]["text"]


def test_what_is_counted_last_is_told_before_the_end(cluster, service):
    first, second = cluster.add(), cluster.add()
    first.register("orders", "i", service("orders").address, "2.9.0", ttl="1h")
    second.eventually(lambda: second.internal_get("/api/orders@2/x").status == 200)
    gone = own_id(second)
    second.stop()
    assert blockers(first)["used-elsewhere"]["member"] == gone
