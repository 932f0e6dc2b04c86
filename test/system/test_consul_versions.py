# SPDX-License-Identifier: Apache-2.0
"""Versions of what registers by the Consul API: as frameworks tell them, as operators' rules do,
and the gray releases that follow."""
import json
import zlib

import pytest
from support.consul import FACE, Consul
from support.daemon import request

CUSTOMERS = [f"customer-{number}" for number in range(200)]
OLD, NEW, NEXT = "1.0.0", "1.1.0", "2.0.0"
RULES = r"""
registration:
  rules:
    - { service: "kitex.*", protocol: thrift }
    - { service: "pay*", from: id, match: '.*-v(\d+)\.(\d+)-.*', version: $1.$2 }
    - { from: tag, match: 'release-(.+)', version: $1 }
    - { from: meta.Image, match: '[^:]+:(.+)', version: $1 }
    - { service: legacy, version: 9.0, override: true }
"""


@pytest.fixture
def consul(make_daemon):
    return Consul(make_daemon(FACE))


def put(consul, name, identity, address, **members):
    host, port = address.split(":")
    return consul.register(ID=identity, Name=name, Address=host, Port=int(port), **members)


def tag_of(version):
    """As go-micro writes it."""
    return "v-" + zlib.compress(version.encode()).hex()


def instances(consul, service):
    found = consul.daemon.get(f"/v1/services/{service}/instances")["instances"]
    return {one["id"]: (one["build"], one["protocol"]) for one in found}


# --- gray release ---


@pytest.fixture
def greeter(consul, service):
    """Two builds of a contract and one of the next, each told in another framework's way."""
    put(consul, "greeter", "a", service(OLD).address, Tags=[f"version={OLD}"])
    put(consul, "greeter", "b", service(NEW).address, Meta={"version": "v1.1"})
    put(consul, "greeter", "c", service(NEXT).address, Tags=[tag_of(NEXT)])
    return consul.daemon


def states(daemon):
    return {row["build"]: row["state"] for row in
            daemon.get("/v1/services/greeter/builds")["builds"]}


def builds(daemon, customers=CUSTOMERS, contract=""):
    """By customer, which build answers."""
    return daemon.builds_of(customers, f"/api/greeter{contract}/")


def moved(daemon):
    found = builds(daemon)
    assert set(found.values()) <= {OLD, NEW}
    return {customer for customer, build in found.items() if build == NEW}


def change(daemon, rollout, verb):
    return daemon.call("POST", f"/v1/rollouts/{rollout['rollout']}:{verb}", status=200).json


def start(daemon, steps):
    return daemon.call("POST", "/v1/rollouts",
                       {"members": [f"greeter@{NEW}"], "steps": steps, "salt": "fixed"},
                       status=201).json


def test_a_new_minor_version_waits_and_moves_by_steps(greeter):
    assert states(greeter) == {OLD: "baseline", NEW: "waiting", NEXT: "baseline"}
    assert not moved(greeter)
    rollout = start(greeter, [{"pct": 20}, {"pct": 60}, {"pct": 100}])
    some = moved(greeter)
    assert 0 < len(some) < len(CUSTOMERS)
    change(greeter, rollout, "step")
    more = moved(greeter)
    assert some < more < set(CUSTOMERS)
    change(greeter, rollout, "step")
    assert moved(greeter) == set(CUSTOMERS)
    assert change(greeter, rollout, "promote")["state"] == "promoted"
    assert states(greeter) == {OLD: "superseded", NEW: "baseline", NEXT: "baseline"}


def test_abort_brings_all_back(greeter):
    rollout = start(greeter, [{"pct": 100}])
    assert moved(greeter) == set(CUSTOMERS)
    change(greeter, rollout, "abort")
    assert not moved(greeter)


def test_it_starts_by_itself_where_the_service_says_so(consul, service):
    put(consul, "greeter", "a", service(OLD).address, Tags=[f"version={OLD}"])
    daemon = consul.daemon
    daemon.call("PUT", "/v1/services/greeter", {"auto_start": True}, status=200)
    put(consul, "greeter", "b", service(NEW).address, Tags=[f"version={NEW}"])
    daemon.eventually(lambda: daemon.get("/v1/rollouts")["rollouts"])
    rollout, = daemon.get("/v1/rollouts")["rollouts"]
    assert rollout["state"] == "running"
    assert [member["member"] for member in rollout["members"]] == [f"greeter@{NEW}"]


def test_contracts_side_by_side(greeter):
    some = CUSTOMERS[:20]
    rollout = start(greeter, [{"pct": 100}])
    assert set(builds(greeter, some, "@1").values()) == {NEW}
    assert set(builds(greeter, some, "@2").values()) == {NEXT}
    change(greeter, rollout, "abort")
    assert set(builds(greeter, some, "@1").values()) == {OLD}
    assert set(builds(greeter, some, "@2").values()) == {NEXT}


def test_a_request_under_way_keeps_its_bom(greeter):
    """What a hop before was served by holds for those behind it, whatever has moved meanwhile."""
    def ask(**headers):
        answer = greeter.internal_get("/api/greeter/", headers)
        return answer.headers["Sarsen-Build"], answer.headers["Sarsen-Bom"]

    build, bom = ask(**{"Sarsen-Customer": "acme"})
    assert build == OLD
    rollout = start(greeter, [{"pct": 100}])
    build, moved_bom = ask(**{"Sarsen-Customer": "acme"})
    assert build == NEW and moved_bom != bom
    assert ask(baggage=f"sarsen.customer=acme,sarsen.bom={bom}") == (OLD, bom)
    assert ask(baggage=f"sarsen.customer=acme,sarsen.bom={moved_bom}") == (NEW, moved_bom)
    change(greeter, rollout, "abort")
    assert ask(**{"Sarsen-Customer": "acme"}) == (OLD, bom)


def test_who_is_pinned_to_a_release_stays_with_its_contract(greeter):
    greeter.publish("web", "1.0.0", {"greeter": "1"})
    greeter.publish("web", "2.0.0", {"greeter": "2"})
    greeter.call("PUT", "/v1/customers/acme/pins/web", {"release": "2.0.0"}, status=201)
    start(greeter, [{"pct": 100}])
    assert builds(greeter, ["acme", "other"]) == {"acme": NEXT, "other": NEW}


def test_a_build_that_is_gone_comes_back_as_what_it_was(greeter, consul, service):
    """Re-registering does not start anything, and moves nobody."""
    rollout = start(greeter, [{"pct": 50}])
    before = moved(greeter)
    consul.put("/v1/agent/service/deregister/b")
    assert not moved(greeter)
    put(consul, "greeter", "b2", service(NEW).address, Tags=[f"version={NEW}"])
    assert moved(greeter) == before
    assert greeter.get(f"/v1/rollouts/{rollout['rollout']}")["state"] == "running"


# --- operators' rules ---


@pytest.fixture
def ruled(make_daemon):
    return Consul(make_daemon(FACE + RULES))


def register_all(consul):
    for name, identity, members in [
            ("pay-ments", "pay-v3.1-x7f", {}),
            ("pay-ments", "pay-v3.2-x7f", {"Tags": ["version=3.5.0"]}),
            ("pay-ments", "pay-odd", {}),
            ("kitex.orders", "k1", {}),
            ("kitex.orders", "k2", {"Meta": {"protocol": "http"}}),
            ("shipping", "s1", {"Tags": ["eu", "release-latest", "release-2.4"]}),
            ("shipping", "s2", {"Tags": ["v=latest"], "Meta": {"image": "ship:2.5.1"}}),
            ("legacy", "l1", {"Meta": {"version": "1.0"}})]:
        put(consul, name, identity, "127.0.0.1:9", **members)


def test_rules_tell_what_registrations_do_not(ruled):
    register_all(ruled)
    assert instances(ruled, "pay-ments") == {
        "pay-v3.1-x7f": ("3.1.0", "http"), "pay-v3.2-x7f": ("3.5.0", "http"),
        "pay-odd": ("0.0.0", "http")}
    assert instances(ruled, "kitex-orders") == {"k1": ("0.0.0", "thrift"),
                                                "k2": ("0.0.0", "http")}
    assert instances(ruled, "shipping") == {"s1": ("2.4.0", "http"), "s2": ("2.5.1", "http")}
    assert instances(ruled, "legacy") == {"l1": ("9.0.0", "http")}
    # What was registered is read back as it was.
    entry, = ruled.health("legacy")
    assert entry["Service"]["Meta"] == {"version": "1.0"}


def configure(daemon, text):
    """Other rules for the next reload, or start."""
    config = daemon.config.read_text()
    head = config.split("registration:")[0].split("registration.rules")[0]
    daemon.config.write_text(head + text)


def reload(daemon):
    said = len([line for line in daemon.log if "msg=reloaded" in line])
    daemon.process.send_signal(1)
    daemon.eventually(
        lambda: len([line for line in daemon.log if "msg=reloaded" in line]) > said)


def test_a_reload_reads_those_again_that_stand(ruled):
    register_all(ruled)
    configure(ruled.daemon, "registration.rules:\n"
                            "  - { service: pay-ments, version: 4.0 }\n"
                            "  - { service: nobody, protocol: thrift }\n")
    reload(ruled.daemon)
    ruled.daemon.eventually(lambda: instances(ruled, "kitex-orders") == {
        "k1": ("0.0.0", "http"), "k2": ("0.0.0", "http")})
    ruled.daemon.eventually(lambda: instances(ruled, "legacy") == {"l1": ("1.0.0", "http")})
    ruled.daemon.eventually(lambda: instances(ruled, "pay-ments") == {
        "pay-v3.1-x7f": ("4.0.0", "http"), "pay-v3.2-x7f": ("3.5.0", "http"),
        "pay-odd": ("4.0.0", "http")})


def test_a_restart_by_other_rules(ruled):
    for number in range(40):  # more than one transaction takes
        put(ruled, "many", f"many-{number}", "127.0.0.1:9")
    daemon = ruled.daemon
    daemon.stop()
    configure(daemon, "registration.rules: [{ service: many, version: 1.2 }]\n")
    daemon.start()
    daemon.eventually(lambda: set(instances(ruled, "many").values()) == {("1.2.0", "http")})
    assert len(instances(ruled, "many")) == 40


def test_bad_rules_are_refused_and_the_old_ones_stay(ruled):
    daemon = ruled.daemon
    configure(daemon, "registration.rules:\n  - { from: id, match: '(', version: $1 }\n")
    daemon.process.send_signal(1)
    daemon.eventually(lambda: any("was refused" in line for line in daemon.log))
    daemon.expect_log("was refused")
    assert any("match is wrong at byte 2: missing closing parenthesis" in line
               for line in daemon.log)
    put(ruled, "legacy", "l1", "127.0.0.1:9")
    assert instances(ruled, "legacy") == {"l1": ("9.0.0", "http")}


def test_an_expression_that_never_ends_does(make_daemon):
    """It holds for nothing, and nobody waits."""
    rules = "registration.rules: [{ from: meta.x, match: '(a+)+b', version: '7' }]\n"
    consul = Consul(make_daemon(FACE + rules))
    put(consul, "slow", "slow", "127.0.0.1:9", Meta={"x": "a" * 500})
    assert instances(consul, "slow") == {"slow": ("0.0.0", "http")}


def test_native_instances_say_it_themselves(make_daemon):
    daemon = make_daemon(FACE + "registration.rules: [{ service: '*', version: 5 }]\n")
    daemon.register("native", "native-1", "127.0.0.1:9")
    found, = daemon.get("/v1/services/native/instances")["instances"]
    assert found["build"] == "0.0.0"


def test_odd_words_for_a_protocol_are_no_reason_to_refuse(consul):
    put(consul, "odd", "odd", "127.0.0.1:9", Tags=["protocol:TT-Header/framed"])
    assert instances(consul, "odd") == {"odd": ("0.0.0", "ttheaderframed")}
    answer = request(consul.address, "GET", "/v1/health/service/odd")
    assert json.loads(answer.body)[0]["Service"]["Tags"] == ["protocol:TT-Header/framed"]
