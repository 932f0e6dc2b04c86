# SPDX-License-Identifier: Apache-2.0
"""The Consul catalog: other nodes, services and checks on them, and checks of this node."""
import pytest
from support.consul import FACE, Consul, index_of, meanwhile, wait_until


@pytest.fixture
def consul(make_daemon):
    return Consul(make_daemon(FACE))


def node(**members):
    return {"Node": "db-host", "Address": "10.1.1.1", **members}


def critical(consul):
    return {check["CheckID"] for check in consul.get("/v1/health/state/critical").json}


def register(consul, **members):
    assert consul.put("/v1/catalog/register", node(**members)).json is True


def deregister(consul, **members):
    assert consul.put("/v1/catalog/deregister", {"Node": "db-host", **members}).json is True


REDIS = {"ID": "redis-1", "Service": "redis", "Tags": ["v1"], "Port": 8000, "Meta": {"a": "b"}}


def test_a_node_is_told_of_and_goes(consul):
    index = index_of(consul.get("/v1/catalog/nodes"))
    waiting = meanwhile(lambda: consul.get(f"/v1/catalog/nodes?index={index}&wait=20s"))
    register(consul, ID="40e4a748-2192-161a-0510-9bf59fe950b5", NodeMeta={"os": "linux"},
             TaggedAddresses={"lan": "10.1.1.2"}, Service=REDIS)
    ours, found = waiting().json
    assert found["Node"] == "db-host" and found["Address"] == "10.1.1.1"
    assert found["ID"] == "40e4a748-2192-161a-0510-9bf59fe950b5"
    assert found["Meta"] == {"os": "linux"} and found["TaggedAddresses"] == {"lan": "10.1.1.2"}
    whole = consul.get("/v1/catalog/node/DB-Host").json
    assert whole["Node"]["Node"] == "db-host" and whole["Services"]["redis-1"]["Port"] == 8000
    assert consul.get("/v1/catalog/node-services/db-host").json["Services"][0]["ID"] == "redis-1"
    assert consul.get(f"/v1/catalog/node/{ours['Node']}").json["Services"] == {}
    assert consul.get("/v1/agent/services").json == {}
    deregister(consul)
    assert len(consul.get("/v1/catalog/nodes").json) == 1
    assert consul.get("/v1/catalog/node/db-host").json is None
    assert consul.get("/v1/catalog/service/redis").json == []
    deregister(consul)  # what is not there is gone


def test_a_service_elsewhere_is_found_with_its_node(consul):
    register(consul, NodeMeta={"os": "linux"}, Service=REDIS)
    consul.register(ID="redis-2", Name="redis", Address="10.0.0.2", Port=1)
    by_node = {entry["Node"]["Node"]: entry for entry in consul.health("redis")}
    entry = by_node["db-host"]
    assert entry["Node"]["Address"] == "10.1.1.1" and entry["Service"]["Address"] == ""
    assert entry["Checks"] == [] and entry["Service"]["Meta"] == {"a": "b"}
    one, = consul.health("redis", "?node-meta=os:linux")
    assert one["Node"]["Node"] == "db-host"
    one, = consul.health("redis", "?filter=Node.Meta.os+==+linux")
    assert one["Service"]["ID"] == "redis-1"
    flat, = consul.get("/v1/catalog/service/redis?node-meta=os:linux&tag=v1").json
    assert (flat["Node"], flat["Address"], flat["ServicePort"]) == ("db-host", "10.1.1.1", 8000)
    assert flat["NodeMeta"] == {"os": "linux"}
    assert consul.get("/v1/catalog/services").json["redis"] == ["v1"]
    assert [each["Node"] for each in
            consul.get("/v1/catalog/nodes?node-meta=os:linux").json] == ["db-host"]
    consul.daemon.restart()
    consul = Consul(consul.daemon)
    assert len(consul.health("redis")) == 2
    deregister(consul, ServiceID="redis-1")
    assert len(consul.health("redis")) == 1


def test_requests_reach_a_service_elsewhere_while_its_node_is_well(consul, service):
    host, port = service("orders").address.split(":")
    check = {"CheckID": "up", "Name": "up", "Status": "passing"}
    consul.put("/v1/catalog/register", {
        "Node": "far", "Address": host, "Check": check,
        "Service": {"Service": "orders", "Port": int(port), "Tags": ["version=2.0.0"]}})
    edge = consul.daemon.edge_get
    assert edge("/api/orders/").headers["Sarsen-Build"] == "2.0.0"
    index = index_of(consul.get("/v1/health/service/orders?passing"))
    waiting = meanwhile(lambda: consul.get(
        f"/v1/health/service/orders?passing&index={index}&wait=20s"))
    told = {"Node": "far", "SkipNodeUpdate": True, "Check": {**check, "Status": "critical"}}
    consul.put("/v1/catalog/register", told)
    assert waiting().json == [] and edge("/api/orders/").status == 503
    told["Check"]["Status"] = "passing"
    consul.put("/v1/catalog/register", told)
    assert edge("/api/orders/").status == 200
    own = {"CheckID": "own", "Name": "own", "ServiceID": "orders", "Status": "critical"}
    consul.put("/v1/catalog/register", {"Node": "far", "SkipNodeUpdate": True, "Checks": [own]})
    assert edge("/api/orders/").status == 503
    consul.put("/v1/catalog/deregister", {"Node": "far", "CheckID": "own"})
    assert edge("/api/orders/").status == 200


def test_checks_elsewhere_are_as_they_were_told(consul):
    definition = {"HTTP": "http://10.1.1.1/", "Interval": "5s"}
    register(consul, Service=REDIS, Checks=[
        {"CheckID": "node", "Name": "reachable", "Status": "passing", "Output": "it answers"},
        {"CheckID": "redis", "Name": "works", "ServiceID": "redis-1", "Notes": "by hand",
         "Definition": definition}])
    entry, = consul.health("redis")
    node_check, own = entry["Checks"]
    assert (node_check["Output"], node_check["ServiceID"]) == ("it answers", "")
    assert own["Status"] == "critical" and own["Definition"] == definition
    assert own["ServiceName"] == "redis" and own["Node"] == "db-host"
    assert critical(consul) == {"redis"}
    assert [each["CheckID"] for each in consul.get("/v1/health/node/db-host").json] == \
        ["node", "redis"]
    assert [each["CheckID"] for each in consul.get("/v1/health/checks/redis").json] == ["redis"]
    assert consul.get("/v1/agent/checks").json == {}
    consul.put("/v1/agent/check/pass/redis", status=404)


REFUSED = [
    ({}, 400, "Must provide node"),
    ({"Node": "a/b", "Address": "1.1.1.1"}, 400, "without"),
    ({"Node": "a"}, 400, "Must provide address"),
    ({"Node": "a", "Address": "1.1.1.1", "Datacenter": "mars"}, 500, "No path to datacenter"),
    ({"Node": "a", "Address": "1.1.1.1", "ID": "x"}, 400, "Bad node ID"),
    (node(Service={"ID": "x"}), 400, "Missing service name"),
    (node(Check={"Status": "passing"}), 400, "Missing check name"),
    (node(Check={"Name": "a", "Node": "b"}), 400, "does not match"),
    (node(Check={"Name": "a", "ServiceID": "none"}), 500, "Missing service registration"),
    (node(NodeMeta={"consul-x": "1"}), 400, "NodeMeta"),
    (node(Service=REDIS, Checks=[{"CheckID": "a", "ServiceID": "redis-1"}, {"CheckID": "a"}]),
     400, "for two services"),
    (node(Check={"Name": "a", "Output": 1}), 400, "Output is no text"),
    ([], 400, "no JSON object"),
]


@pytest.mark.parametrize("body,status,text", REFUSED, ids=[text for _, _, text in REFUSED])
def test_what_the_catalog_refuses(make_daemon, body, status, text):
    consul = Consul(make_daemon(FACE))
    answer = consul.put("/v1/catalog/register", body, status=status)
    assert text in answer.body.decode(), answer
    assert len(consul.get("/v1/catalog/nodes").json) == 1


def test_a_check_of_this_node_hides_its_services_from_who_wants_passing_ones(consul):
    consul.register(Name="a", Port=1)
    disk = {"ID": "disk", "Name": "disk", "TTL": "60s", "Status": "passing"}
    consul.put("/v1/agent/check/register", disk)
    assert consul.get("/v1/agent/checks").json["disk"]["ServiceID"] == ""
    entry, = consul.health("a", "?passing")
    assert [each["CheckID"] for each in entry["Checks"]] == ["serfHealth", "disk"]
    index = index_of(consul.get("/v1/health/service/a"))
    waiting = meanwhile(lambda: consul.get(f"/v1/health/service/a?index={index}&wait=20s"))
    consul.put("/v1/agent/check/fail/disk?note=full")
    assert waiting().json[0]["Checks"][1]["Output"] == "full"
    assert consul.health("a", "?passing") == [] and critical(consul) == {"disk"}
    consul.daemon.restart()
    consul = Consul(consul.daemon)
    assert critical(consul) == {"disk"}
    consul.put("/v1/agent/check/deregister/disk")
    assert len(consul.health("a", "?passing")) == 1
    ttl = {**disk, "TTL": "1s", "DeregisterCriticalServiceAfter": "60s"}
    consul.put("/v1/agent/check/register", ttl)
    index = index_of(consul.get("/v1/health/state/critical"))
    late = consul.get(f"/v1/health/state/critical?index={index}&wait=20s")
    assert late.json[0]["Output"] == "TTL expired"


def test_this_node_in_maintenance(consul):
    consul.register(Name="a", Port=1)
    consul.put("/v1/agent/maintenance?enable=true&reason=new+disk")
    check = consul.get("/v1/agent/checks").json["_node_maintenance"]
    assert (check["Status"], check["Notes"]) == ("critical", "new disk")
    assert check["Type"] == "maintenance"
    assert consul.health("a", "?passing") == []
    for path in ("id/a", "name/a"):
        assert consul.get(f"/v1/agent/health/service/{path}?format=text",
                          status=503).body == b"maintenance"
    whole = consul.get("/v1/agent/health/service/id/a", status=503).json
    assert [each["CheckID"] for each in whole["Checks"]] == ["_node_maintenance"]
    consul.put("/v1/agent/maintenance?enable=false")
    assert len(consul.health("a", "?passing")) == 1
    assert consul.get("/v1/agent/health/service/id/a?format=text").body == b"passing"
    disk = {"ID": "disk", "Name": "disk", "TTL": "60s", "Status": "warning"}
    consul.put("/v1/agent/check/register", disk)
    consul.get("/v1/agent/health/service/id/a", status=429)
    consul.put("/v1/agent/maintenance?enable=false")
    consul.put("/v1/agent/maintenance", status=400)


def test_services_may_be_told_before_their_node(consul):
    consul.daemon.expect_log("an address that cannot be used")
    consul.put("/v1/catalog/register", {"Node": "late", "SkipNodeUpdate": True,
                                        "Service": {**REDIS, "Weights": {"Passing": 0}}})
    entry, = consul.health("redis")
    assert entry["Node"]["Address"] == "" and entry["Service"]["Weights"]["Passing"] == 1
    consul.put("/v1/catalog/register", {"Node": "late", "Address": "10.1.1.3"})
    entry, = consul.health("redis")
    assert entry["Node"]["Address"] == "10.1.1.3"


def test_a_service_on_this_node_is_one_of_the_agent(consul):
    own = consul.get("/v1/agent/self").json["Config"]["NodeName"]
    consul.put("/v1/catalog/register", {"Node": own, "Address": "127.0.0.9", "NodeMeta": {"x": "1"},
                                        "Service": {"Service": "a", "Address": "127.0.0.1"}})
    assert list(consul.get("/v1/agent/services").json) == ["a"]
    assert consul.get("/v1/catalog/nodes").json[0]["Meta"] == {"x": "1"}
    consul.put("/v1/catalog/deregister", {"Node": own, "ServiceID": "a"})
    assert consul.get("/v1/agent/services").json == {}
    consul.put("/v1/catalog/register", {"Node": own, "Address": "127.0.0.9",
                                        "Service": {"Service": "a", "Port": 7}})
    instance, = consul.daemon.get("/v1/services/a/instances")["instances"]
    assert instance["address"] == "127.0.0.9:7"


def test_what_a_check_says_is_cut_where_it_is_long(consul):
    register(consul, Check={"Name": "a", "Output": "ä" + 3000 * "é"})
    row, = consul.get("/v1/health/node/db-host").json
    assert row["Output"] == "ä" + 2047 * "é"
    register(consul, Check={"Name": "a", "Output": "x" + 3000 * "é"})
    row, = consul.get("/v1/health/node/db-host").json
    assert row["Output"] == "x" + 2047 * "é"


def test_what_sarsen_s_own_api_deregisters_is_gone_here_too(consul, service):
    host, port = service().address.split(":")
    consul.register(ID="web-1", Name="web", Address=host, Port=int(port),
                    Check={"TTL": "60s", "Status": "passing"})
    index = index_of(consul.get("/v1/catalog/services"))
    waiting = meanwhile(lambda: consul.get(f"/v1/catalog/services?index={index}&wait=60s"))
    consul.daemon.call("DELETE", "/v1/services/web/instances/web-1", status=204)
    waiting()
    wait_until(lambda: consul.get("/v1/agent/services").json == {})
    assert consul.health("web") == [] and consul.get("/v1/agent/checks").json == {}
    consul.put("/v1/agent/check/pass/service:web-1", status=404)
    assert consul.daemon.get("/v1/services/web/instances")["instances"] == []
