# SPDX-License-Identifier: Apache-2.0
"""Sessions of the Consul face, and the keys they hold."""
import pytest
from support.consul import FACE, Consul, index_of, meanwhile, wait_until


@pytest.fixture
def consul(make_daemon):
    return Consul(make_daemon(FACE))


def session(consul, **members):
    return consul.put("/v1/session/create", members).json["ID"]


def test_a_lock_has_one_holder(consul):
    first, second = session(consul, LockDelay="0s"), session(consul, Name="b", TTL="10s")
    assert consul.put(f"/v1/kv/lock?acquire={first}", "1").json is True
    assert consul.put(f"/v1/kv/lock?acquire={second}", "2").json is False
    assert consul.put(f"/v1/kv/lock?acquire={first}", "3").json is True  # its own again
    entry, = consul.get("/v1/kv/lock").json
    assert entry["Session"] == first and entry["LockIndex"] == 1
    assert consul.put(f"/v1/kv/lock?release={second}", "").json is False
    assert consul.put(f"/v1/kv/lock?release={first}", "").json is True
    assert consul.put(f"/v1/kv/lock?acquire={second}", "2").json is True
    assert consul.get("/v1/kv/lock").json[0]["LockIndex"] == 2
    consul.put("/v1/kv/lock?acquire=none", "", status=500)


def test_the_end_of_a_session_gives_back_or_deletes(consul):
    keeps = session(consul, LockDelay="0s")
    deletes = session(consul, Behavior="delete", LockDelay="0s")
    consul.put(f"/v1/kv/kept?acquire={keeps}", "1")
    consul.put(f"/v1/kv/deleted?acquire={deletes}", "1")
    for each in (keeps, deletes):
        assert consul.put(f"/v1/session/destroy/{each}").json is True
        assert consul.get(f"/v1/session/info/{each}").json == []
    assert "Session" not in consul.get("/v1/kv/kept").json[0]
    consul.get("/v1/kv/deleted", status=404)


def test_nobody_gets_a_lock_before_its_delay_is_over(consul):
    first = session(consul, LockDelay="5s")
    consul.put(f"/v1/kv/lock?acquire={first}", "1")
    consul.put(f"/v1/session/destroy/{first}")
    second = session(consul)
    assert consul.put(f"/v1/kv/lock?acquire={second}", "2").json is False
    wait_until(lambda: consul.put(f"/v1/kv/lock?acquire={second}", "2").json)


def test_sessions_are_shown_and_renewed(consul):
    made = session(consul, Name="me", TTL="15s")
    shown, = consul.get(f"/v1/session/info/{made}").json
    assert shown["Name"] == "me" and shown["TTL"] == "15s" and shown["Behavior"] == "release"
    assert shown["LockDelay"] == 15_000_000_000
    assert consul.put(f"/v1/session/renew/{made}").json[0]["ID"] == made
    consul.put("/v1/session/renew/none", status=404)
    consul.put("/v1/session/create", {"TTL": "1s"}, status=400)
    consul.put("/v1/session/create", "[]", status=400)
    assert [each["ID"] for each in consul.get("/v1/session/list").json] == [made]
    consul.daemon.restart()
    assert [each["ID"] for each in Consul(consul.daemon).get("/v1/session/list").json] == [made]


# --- checks ---


def test_a_session_ends_with_a_check_of_it(consul):
    consul.register(Name="a", Port=1, Check={"TTL": "60s", "Status": "passing"})
    consul.put("/v1/agent/check/register", {"ID": "disk", "Name": "disk", "TTL": "60s",
                                            "Status": "passing"})
    by_service = session(consul, ServiceChecks=[{"ID": "service:a"}], LockDelay="0s")
    by_node = session(consul, NodeChecks=["serfHealth", "disk"], Behavior="delete")
    steady = session(consul, Checks=["serfHealth"])
    for each in (by_service, by_node, steady):
        assert consul.put(f"/v1/kv/{each}?acquire={each}", "1").json is True
    shown, = consul.get(f"/v1/session/info/{by_service}").json
    assert shown["ServiceChecks"] == [{"ID": "service:a", "Namespace": ""}]

    index = index_of(consul.get(f"/v1/kv/{by_service}"))
    freed = meanwhile(lambda: consul.get(f"/v1/kv/{by_service}?index={index}&wait=20s"))
    consul.put("/v1/agent/check/warn/service:a")
    assert len(consul.get(f"/v1/session/info/{by_service}").json) == 1
    consul.put("/v1/agent/check/fail/service:a")
    assert "Session" not in freed().json[0]
    consul.put("/v1/agent/check/deregister/disk")
    wait_until(lambda: [each["ID"] for each in consul.get("/v1/session/list").json] == [steady])
    consul.get(f"/v1/kv/{by_node}", status=404)


def test_a_session_needs_checks_that_are_well(consul):
    def refused(**members):
        return consul.put("/v1/session/create", members, status=500).body.decode()
    consul.register(Name="a", Port=1, Check={"TTL": "60s"})
    assert "Missing check 'none'" in refused(NodeChecks=["none"])
    assert "critical" in refused(ServiceChecks=[{"ID": "service:a"}])
    assert "Missing node" in refused(Node="mars")
    consul.put("/v1/session/create", {"NodeChecks": "disk"}, status=400)
    assert session(consul, NodeChecks=[])


def test_a_session_on_another_node_ends_with_it(consul):
    consul.put("/v1/catalog/register", {"Node": "far", "Address": "10.0.0.1", "Check": {
        "CheckID": "up", "Name": "up", "Status": "passing"}})
    body = {"Node": "far", "NodeChecks": ["up"]}
    consul.put("/v1/session/create", {"Node": "far"}, status=500)  # nobody says that it is there
    made = session(consul, **body)
    assert [each["ID"] for each in consul.get("/v1/session/node/far").json] == [made]
    consul.put("/v1/catalog/deregister", {"Node": "far"})
    wait_until(lambda: consul.get("/v1/session/list").json == [])
