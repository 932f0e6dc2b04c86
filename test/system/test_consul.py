# SPDX-License-Identifier: Apache-2.0
"""The Consul API: what its clients send, and what they rely on in the answers."""
import socket
import time
import urllib.parse
import zlib

import pytest
from support.consul import FACE, Consul, index_of, meanwhile, wait_until


@pytest.fixture
def consul(make_daemon):
    return Consul(make_daemon(FACE))


# --- registering, and being reached ---


def test_a_service_is_reachable_when_its_registration_is_answered(consul, service):
    target = service("orders")
    host, port = target.address.split(":")
    consul.register(ID="orders-1", Name="orders", Address=host, Port=int(port),
                    Tags=["version=3.15.0"], Check={"TTL": "30s", "Status": "passing"})
    answer = consul.daemon.edge_get("/api/orders/hello")
    assert answer.status == 200 and answer.headers["Sarsen-Build"] == "3.15.0"
    consul.put("/v1/agent/service/deregister/orders-1")
    assert consul.daemon.edge_get("/api/orders/hello").status == 503
    consul.put("/v1/agent/service/deregister/orders-1", status=404)


VERSIONS = [
    ({"Tags": ["v-789cca492c492d2e01040000ffff08cc028e"]}, "0.0.0"),  # "latest"
    ({"Tags": ["v-" + zlib.compress(b"1.4.2").hex()]}, "1.4.2"),
    ({"Tags": ["v=2.1.0"]}, "2.1.0"),
    ({"Tags": ["a", "version=v3.1"]}, "3.1.0"),
    ({"Tags": ["version:4.0.1"]}, "4.0.1"),
    ({"Meta": {"Version": "5.2.0"}}, "5.2.0"),
    ({"Meta": {"API_VERSION": "2"}}, "2.0.0"),
    ({"Tags": ["v-zz", "version=1.0.0"]}, "1.0.0"),
    ({"Tags": ["vintage"]}, "0.0.0"),
]


def test_versions_are_found_where_frameworks_put_them(consul):
    for number, (members, version) in enumerate(VERSIONS):
        name = f"s{number}"
        consul.register(Name=name, Address="127.0.0.1", Port=9, **members)
        builds = consul.daemon.get(f"/v1/services/{name}")["builds"]
        assert [build["build"] for build in builds] == [version], members


def test_a_registration_is_read_back_as_it_was_written(consul):
    consul.register(ID="web:10.0.0.1/1", Name="Web.Front", Address="10.0.0.1", Port=8080,
                    Tags=["a", "b"], Meta={"zone": "eu"}, Weights={"Passing": 7, "Warning": 2},
                    TaggedAddresses={"http": {"Address": "http://10.0.0.1:8080", "Port": 8080}},
                    EnableTagOverride=True)
    entry, = consul.health("web.front")
    found = entry["Service"]
    assert (found["ID"], found["Service"], found["Tags"]) == ("web:10.0.0.1/1", "Web.Front",
                                                             ["a", "b"])
    assert (found["Address"], found["Port"], found["Meta"]) == ("10.0.0.1", 8080, {"zone": "eu"})
    assert found["Weights"] == {"Passing": 7, "Warning": 2} and found["EnableTagOverride"] is True
    assert found["TaggedAddresses"]["http"] == {"Address": "http://10.0.0.1:8080", "Port": 8080}
    assert found["TaggedAddresses"]["lan_ipv4"] == {"Address": "10.0.0.1", "Port": 8080}
    assert entry["Checks"][0]["CheckID"] == "serfHealth" and entry["Node"]["Datacenter"] == "dc1"
    flat, = consul.get("/v1/catalog/service/Web.Front").json
    assert flat["ServiceMeta"] == {"zone": "eu"} and flat["ServicePort"] == 8080
    assert consul.get("/v1/catalog/services").json == {"consul": [], "Web.Front": ["a", "b"]}
    assert consul.get("/v1/agent/service/web:10.0.0.1/1").json["Port"] == 8080
    consul.daemon.restart()
    consul = Consul(consul.daemon)
    assert consul.health("web.front")[0]["Service"]["Meta"] == {"zone": "eu"}


REFUSED = [
    ({}, "Missing service name"),
    ({"Name": "a b/c" * 20}, "Name is"),
    ({"Name": "a", "Address": "0.0.0.0"}, "Invalid service address"),
    ({"Name": "a", "Port": 70000}, "Port is no number"),
    ({"Name": "a", "Weights": {"Passing": 0}}, "Passing must be greater than 0"),
    ({"Name": "a", "Meta": {"consul-x": "1"}}, "Invalid Service Meta"),
    ({"Name": "a", "Meta": {"k": "v" * 513}}, "Invalid Service Meta"),
    ({"Name": "a", "Check": {}}, "TTL must be > 0"),
    ({"Name": "a", "Check": {"TTL": "soon"}}, "TTL: invalid duration"),
    ({"Name": "a", "Check": {"ScriptArgs": ["true"], "Interval": "1s"}}, "ScriptArgs"),
    ({"Name": "a", "Check": {"HTTP": "http://127.0.0.1:1/"}}, "Interval must be > 0"),
    ({"Name": "a", "Check": {"HTTP": "http://192.0.2.1:1/", "Interval": "1s"}}, "another host"),
    ({"Name": "a", "Check": {"TCP": "127.0.0.1:1/x", "Interval": "1s"}}, "cannot be asked"),
    ({"Name": "a", "Checks": [{"TTL": "1s", "CheckID": "x"}] * 2}, "is there twice"),
    ({"Name": "a", "Check": {"TTL": "1s", "Status": "fine"}}, "Invalid check status"),
]


@pytest.mark.parametrize("body,text", REFUSED, ids=[text for _, text in REFUSED])
def test_what_a_registration_is_refused_for(make_daemon, body, text):
    consul = Consul(make_daemon(FACE))
    answer = consul.put("/v1/agent/service/register", body, status=400)
    assert text in answer.body.decode(), answer
    assert consul.get("/v1/agent/services").json == {}


def test_a_registration_under_another_name_leaves_nothing_behind(consul):
    consul.register(ID="x", Name="first", Port=1)
    consul.register(ID="x", Name="second", Port=1)
    assert consul.health("first") == [] and len(consul.health("second")) == 1
    assert consul.daemon.get("/v1/services/first/instances")["instances"] == []
    consul.put("/v1/agent/service/deregister/x")
    assert consul.health("second") == []


def test_members_are_known_in_any_case_and_nulls_are_nothing(consul):
    consul.put("/v1/agent/service/register", {"name": "foo", "id": "foo-1", "port": 1, "tags": None,
                                              "meta": None, "Unknown": {"a": 1}, "check": None})
    entry, = consul.health("foo")
    assert entry["Service"]["ID"] == "foo-1" and entry["Service"]["Tags"] == []
    assert entry["Service"]["Address"] == "127.0.0.1"  # where it called from


def test_what_is_registered_elsewhere_is_found_here(consul):
    consul.daemon.register("billing", "b-1", "127.0.0.1:7", "2.0.0", meta={"zone": "us"})
    entry, = consul.health("billing", "?passing")
    assert entry["Service"]["Meta"] == {"zone": "us", "version": "2.0.0"}
    assert (entry["Service"]["Address"], entry["Service"]["Port"]) == ("127.0.0.1", 7)


# --- finding ---


def test_selecting_by_tags_and_filters(consul):
    for number, tags in enumerate((["v1", "eu"], ["v2", "eu"], ["v2"])):
        consul.register(ID=f"a-{number}", Name="a", Port=number + 1, Tags=tags,
                        Meta={"zone": f"z{number}"})

    def ids(query):
        return [entry["Service"]["ID"] for entry in consul.health("a", "?" + query)]
    assert ids("tag=v2") == ["a-1", "a-2"] and ids("tag=v2&tag=eu") == ["a-1"]
    assert ids("filter=Service.Meta.zone+==+z0") == ["a-0"]
    assert ids('filter="eu"+in+Service.Tags+and+not+Service.Port+==+1') == ["a-1"]
    assert ids("filter=(Service.Port==1+or+Service.Port==3)") == ["a-0", "a-2"]
    assert ids("filter=Service.Tags+contains+v1") == ["a-0"]
    assert ids("filter=Service.Meta.none+is+empty") == ["a-0", "a-1", "a-2"]
    assert ids("&".join(16 * ["tag=eu"] + ["tag=v1"])) == ["a-0"]
    for bad in ("Service.Port", "(Service.Port==1", "a==", "not", "(" * 100,
                'Service.Port=="1', "Service.Port==1+`", 'Service.Port==1+"'):
        consul.get(f"/v1/health/service/a?filter={bad}", status=400)


def test_a_filter_whose_expression_goes_on_for_long_is_refused(consul):
    """It is neither gone on with, nor is what it does not know answered as if it did."""
    consul.register(Name="a", Port=1, Check={"TTL": "600s"})
    consul.put("/v1/agent/check/update/service:a", {"Status": "passing", "Output": "a" * 4000})
    slow, fast = '"(?:a|a|a){8}[bc]"', '"^a+[ab]$"'
    for path, field in (("agent/checks", "Output"), ("health/checks/a", "Output"),
                        ("health/service/a", "Checks.Output")):
        for condition in (f"{field} matches {slow}", f"not {field} matches {slow}"):
            query = urllib.parse.urlencode({"filter": condition})
            answer = consul.get(f"/v1/{path}?{query}", status=400)
            assert b"take too long" in answer.body
        query = urllib.parse.urlencode({"filter": f"{field} matches {fast}"})
        assert len(consul.get(f"/v1/{path}?{query}").json) == 1


def test_an_index_stays_when_a_service_is_taken_away_by_others(consul):
    daemon = consul.daemon
    daemon.call("PUT", "/v1/services/a", {}, status=201)
    index = index_of(consul.get("/v1/health/service/a"))
    waiting = meanwhile(lambda: consul.get(f"/v1/health/service/a?index={index}&wait=20s"))
    daemon.call("DELETE", "/v1/services/a", status=204)
    assert index_of(waiting()) > index
    assert index_of(consul.get("/v1/health/service/a")) > index


def test_a_service_that_is_not_there_is_an_empty_list(consul):
    for path in ("health/service/none", "health/checks/none", "catalog/service/none",
                 "health/connect/none"):
        answer = consul.get(f"/v1/{path}?near=_agent&stale=&dc=dc1")
        assert answer.json == [] and index_of(answer) >= 1
        assert answer.headers["X-Consul-LastContact"] == "0"
        assert answer.headers["X-Consul-KnownLeader"] == "true"


def test_a_blocking_query_is_woken_by_its_service_alone(consul):
    consul.register(Name="a", Port=1)
    consul.register(Name="b", Port=1)
    index = index_of(consul.get("/v1/health/service/a"))
    answer = meanwhile(lambda: consul.get(f"/v1/health/service/a?index={index}&wait=20s"))
    consul.register(Name="b", Port=2)
    start = time.monotonic()
    short = consul.get(f"/v1/health/service/a?index={index}&wait=300ms")
    assert time.monotonic() - start >= 0.3 and index_of(short) == index
    consul.register(ID="a-2", Name="a", Port=3)
    woken = answer()
    assert index_of(woken) > index and len(woken.json) == 2


def test_a_blocking_query_waits_for_a_service_to_come(consul):
    index = index_of(consul.get("/v1/health/service/late"))
    answer = meanwhile(lambda: consul.get(f"/v1/health/service/late?index={index}&wait=20s"))
    consul.register(Name="other", Port=1)
    consul.register(Name="late", Port=1)
    assert len(answer().json) == 1


def test_many_who_wait_for_the_same_are_all_told(consul):
    consul.register(Name="a", Port=1)
    index = index_of(consul.get("/v1/health/service/a"))
    paths = [f"/v1/health/service/a?index={index}&wait=20s" + ("&passing" if n % 2 else "")
             for n in range(60)]
    answers = [meanwhile(lambda path=path: consul.get(path)) for path in paths]
    time.sleep(0.2)  # most of them wait by then; those that come later are answered at once
    consul.register(Name="a", Port=2)
    assert {answer().json[0]["Service"]["Port"] for answer in answers} == {2}


def test_the_first_write_of_all_wakes_who_waits(consul):
    index = index_of(consul.get("/v1/kv/first", status=404))
    answer = meanwhile(lambda: consul.get(f"/v1/kv/first?index={index}&wait=20s"))
    consul.put("/v1/kv/first", "1")
    assert index_of(answer()) > index


def test_an_index_is_never_0_and_nonsense_is_no_index(consul):
    for query in ("index=0", "index=-1", "index=abc", "wait=10s", "wait=1.5s", "wait=0", "wait=-1s",
                  "wait="):
        assert index_of(consul.get(f"/v1/catalog/services?{query}")) >= 1
    for wait in ("nonsense", "10", "1.5"):
        answer = consul.get(f"/v1/catalog/services?wait={wait}", status=400)
        assert answer.body.startswith(b"Invalid wait time")


# --- who may ---


def test_tokens(make_daemon):
    daemon = make_daemon(FACE + "auth: { required: true }\n")
    consul = Consul(daemon)
    consul.get("/v1/catalog/services", status=403)
    consul.get("/v1/catalog/services", headers={"X-Consul-Token": "wrong"}, status=403)
    consul.get("/v1/catalog/services", headers={"X-Consul-Token": daemon.token})
    consul.get("/v1/catalog/services", headers={"Authorization": f"Bearer {daemon.token}"})
    consul.get(f"/v1/catalog/services?token={daemon.token}")
    made = daemon.call("POST", "/v1/tokens", {"name": "looks", "read_only": True}).json
    looks = {"X-Consul-Token": made["token"]}
    consul.get("/v1/kv/?keys", headers=looks)
    consul.put("/v1/kv/a", "1", headers=looks, status=403)


def test_pages_of_others_are_refused(consul):
    consul.put("/v1/kv/a", "1", headers={"Origin": "http://evil.example"}, status=403)
    consul.get("/v1/kv/?recurse", headers={"Host": "evil.example:8500"}, status=403)  # rebinding
    consul.get("/v1/kv/?keys", headers={"Sec-Fetch-Site": "cross-site"}, status=403)
    consul.get("/v1/kv/?keys", headers={"Host": "localhost:8500"})
    token = {"X-Consul-Token": consul.daemon.token}
    consul.get("/v1/kv/?keys", headers={"Host": "consul:8500", **token})


def test_what_clients_ask_to_learn_whom_they_talk_to(consul):
    own = consul.get("/v1/agent/self").json
    assert own["Config"]["Datacenter"] == "dc1" and own["Config"]["NodeName"]
    assert consul.get("/v1/status/leader").json and consul.get("/v1/status/peers").json
    assert consul.get("/v1/catalog/datacenters").json == ["dc1"]
    assert consul.get("/v1/agent/host").json == {}
    node, = consul.get("/v1/catalog/nodes").json
    assert consul.get(f"/v1/catalog/node/{node['Node']}").json["Services"] == {}
    consul.get("/v1/acl/tokens", status=404)
    assert "GET" in consul.ask("DELETE", "/v1/agent/self", status=405).headers["Allow"]


def test_an_upgrade_keeps_what_is_registered(consul):
    consul.register(Name="a", Port=1, Check={"TTL": "30s", "Status": "passing"})
    heir = consul.daemon.upgrade()
    try:
        consul.daemon.ended()
        again = Consul(heir)
        assert again.address == consul.address and len(again.health("a", "?passing")) == 1
    finally:
        heir.stop()


def test_who_goes_away_waits_no_more(consul):
    consul.put("/v1/kv/color", "red")
    index = index_of(consul.get("/v1/kv/color"))
    n_before = consul.daemon.sockets()  # of which one may be closing
    host, port = consul.address.rsplit(":", 1)
    clients = [socket.create_connection((host, int(port)), 10) for _ in range(20)]
    for client in clients:
        client.sendall(f"GET /v1/kv/color?index={index}&wait=600s HTTP/1.1\r\n"
                       f"Host: {consul.address}\r\n\r\n".encode())
    wait_until(lambda: consul.daemon.sockets() > n_before + 10)
    for client in clients:
        client.close()
    wait_until(lambda: consul.daemon.sockets() <= n_before)


def test_there_is_one_datacenter(consul):
    consul.get("/v1/catalog/nodes?dc=dc1")
    for path in ("catalog/nodes", "kv/a", "health/service/a", "session/list"):
        answer = consul.get(f"/v1/{path}?dc=mars", status=500)
        assert answer.body == b"No path to datacenter"
    consul.get("/v1/agent/services?dc=mars")
    consul.get("/v1/kv/a?stale&consistent", status=400)


def test_maintenance_of_many_is_no_panic(consul, service):
    host, port = service().address.split(":")
    for name in ("a-1", "a-2", "a-3"):
        consul.register(ID=name, Name="a", Address=host, Port=int(port), Tags=["version=1.0.0"])
    assert consul.daemon.edge_get("/api/a/").status == 200
    for name in ("a-1", "a-2", "a-3"):
        consul.put(f"/v1/agent/service/maintenance/{name}?enable=true")
        assert not consul.daemon.get("/v1/services/a/builds")["builds"][0]["panic"]
    rows = consul.daemon.get("/v1/services/a/instances")["instances"]
    assert {row["reason"] for row in rows} == {"it is withheld: in maintenance"}
    assert consul.daemon.edge_get("/api/a/").status == 503
    consul.put("/v1/agent/service/maintenance/a-1?enable=false")
    assert consul.daemon.edge_get("/api/a/").status == 200
