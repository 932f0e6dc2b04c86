# SPDX-License-Identifier: Apache-2.0
"""Health checks of static upstreams and of instances: by HTTP, HTTPS, TCP and gRPC."""
import signal
import ssl
import subprocess

import grpc
import pytest
from support.authority import Authority
from support.grpc_service import GrpcService, call
from support.service import Service


class Checked(Service):
    """Answers /healthz with `status`, everything else with its name."""

    def __init__(self, name, status=200, pair=None):
        self.status = status
        super().__init__(name, self.say)
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def say(self, request):
        if request["path"].startswith("/healthz"):
            return self.status, {"Location": "/elsewhere"}, b""
        return 200, {}, self.name.encode()

    @property
    def paths(self):
        return [request["path"] for request in self.requests]


@pytest.fixture
def checked():
    made = []

    def make(*arguments, **options):
        made.append(Checked(*arguments, **options))
        return made[-1]

    yield make
    for service in made:
        service.stop()


QUICK = "interval: 100ms, timeout: 2s, failures: 2"


def config_of(services, health=f"{{ http: /healthz, {QUICK} }}", more=""):
    addresses = ", ".join(service.address for service in services)
    return (f"routes:\n  - match: {{ prefix: /a }}\n    upstream: [{addresses}]\n"
            f"    health: {health}\n{more}")


def reload(daemon, before, after):
    text = daemon.config.read_text()
    assert before in text
    daemon.config.write_text(text.replace(before, after))
    seen = len(daemon.log)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.eventually(lambda: any("msg=reloaded" in line for line in daemon.log[seen:]))


def states(daemon, upstream=0):
    found = daemon.get("/v1/upstreams")["upstreams"][upstream]
    return [address["state"] for address in found["addresses"]]


def answers(daemon, n=12):
    return {daemon.edge_get("/a").body.decode() for _ in range(n)}


def test_an_upstream_that_fails_its_checks_gets_no_requests(make_daemon, checked):
    one, two = checked("one"), checked("two", 503)
    daemon = make_daemon(config_of([one, two]))
    daemon.expect_log("upstream fails its checks")
    daemon.eventually(lambda: states(daemon) == ["passing", "failing"])
    daemon.eventually(lambda: answers(daemon) == {"one"})
    upstream = daemon.get("/v1/upstreams")["upstreams"][0]
    assert upstream["route"] == "/a" and not upstream["panic"]
    assert upstream["health"] == {"http": "/healthz", "status": "200-299", "interval": "100ms",
                                  "timeout": "2s", "failures": 2, "passes": 1}
    assert upstream["addresses"][1]["reason"] == "it answers with status 503"
    assert daemon.get("/v1/health")["failing"] == 1
    two.status = 200
    daemon.eventually(lambda: answers(daemon) == {"one", "two"})
    assert states(daemon) == ["passing", "passing"]
    assert daemon.get("/v1/health")["failing"] == 0


def test_a_redirect_is_not_followed(make_daemon, checked):
    one, two = checked("one"), checked("two", 302)
    daemon = make_daemon(config_of([one, two]))
    daemon.expect_log("upstream fails its checks")
    daemon.eventually(lambda: states(daemon) == ["passing", "failing"])
    assert set(two.paths) <= {"/healthz", "/a"}
    reload(daemon, "http: /healthz", "http: /healthz?deep=1, status: 200-399")
    daemon.eventually(lambda: states(daemon) == ["passing", "passing"])
    assert "/healthz?deep=1" in two.paths and "/elsewhere" not in two.paths


def test_when_too_few_pass_all_are_used(make_daemon, checked):
    services = [checked(str(i), 503 if i else 200) for i in range(3)]
    daemon = make_daemon(config_of(services))
    daemon.expect_log("upstream fails its checks|too few of an upstream's addresses")
    daemon.eventually(lambda: states(daemon) == ["passing", "failing", "failing"])
    daemon.eventually(lambda: answers(daemon) == {"0", "1", "2"})
    assert daemon.get("/v1/upstreams")["upstreams"][0]["panic"]
    assert daemon.get("/v1/health")["panics"] == 1
    assert "too few pass their checks" in daemon.cli("health")
    services[1].status = 200
    daemon.eventually(lambda: answers(daemon) == {"0", "1"})
    assert not daemon.get("/v1/upstreams")["upstreams"][0]["panic"]


def test_a_connection_or_another_port_can_do(make_daemon, checked):
    one, two, other = checked("one"), checked("two"), checked("other", 503)
    port = other.address.rpartition(":")[2]
    daemon = make_daemon(
        config_of([one], f"{{ tcp: true, {QUICK} }}",
                  f"  - match: {{ prefix: /b }}\n    upstream: {two.address}\n"
                  f"    health: {{ http: /healthz, port: {port}, {QUICK} }}\n"
                  f"  - match: {{ prefix: /c }}\n    upstream: {two.address}\n"))
    daemon.expect_log("upstream fails its checks|too few of an upstream's addresses")
    daemon.eventually(lambda: states(daemon) == ["passing"] and states(daemon, 1) == ["failing"])
    assert states(daemon, 2) == ["unchecked"]
    assert "/healthz" in other.paths and "/healthz" not in one.paths + two.paths
    one.server.shutdown()
    one.server.socket.close()
    daemon.eventually(lambda: states(daemon) == ["failing"])


def test_upstreams_that_speak_tls_are_asked_over_it(make_daemon, checked, tmp_path):
    authority = Authority(tmp_path / "one")
    believed = checked("believed", pair=authority.sign("service"))
    other = checked("other", pair=Authority(tmp_path / "two").sign("service"))
    services = [f"https://{service.address}" for service in (believed, other)]
    daemon = make_daemon(
        f"routes:\n  - match: {{ prefix: /a }}\n    upstream: [{', '.join(services)}]\n"
        f"    upstream_tls: {{ ca: {authority.file} }}\n"
        f"    health: {{ http: /healthz, {QUICK} }}\n")
    daemon.expect_log("upstream fails its checks")
    daemon.eventually(lambda: states(daemon) == ["passing", "failing"])
    daemon.eventually(lambda: answers(daemon) == {"believed"})


def test_upstreams_that_speak_grpc_are_asked_by_it(make_daemon):
    services = [GrpcService("shop.It", "one"), GrpcService("shop.It", "two")]
    services[1].health = 2  # NOT_SERVING
    addresses = ", ".join(service.address for service in services)
    daemon = make_daemon(
        f"routes:\n  - match: {{ prefix: /shop.It }}\n    upstream: [{addresses}]\n"
        f"    protocol: http2\n    health: {{ grpc: shop.It, {QUICK} }}\n")
    daemon.expect_log("upstream fails its checks")
    daemon.eventually(lambda: states(daemon) == ["passing", "failing"])
    with grpc.insecure_channel(daemon.edge) as channel:
        before = services[1].calls
        assert [call(channel, "/shop.It/Echo")(b"a") for _ in range(6)] == [b"a"] * 6
        assert services[1].calls == before
    for service in services:
        service.stop()


@pytest.mark.parametrize(("health", "path"), [
    ("{ interval: 5s }", "health.grpc"), ("{ http: healthz }", "health.http"),
    ("{ tcp: false }", "health.tcp"), ("{ http: /, tcp: true }", "health.tcp"),
    ("{ http: /, interval: 5 }", "health.interval"), ("{ http: /, status: 99 }", "health.status"),
    ("{ http: /, failures: 0 }", "health.failures"), ("{ script: /bin/true }", "health.script")])
def test_what_is_no_check_is_refused(binary, tmp_path, health, path):
    file = tmp_path / "sarsen.yaml"
    file.write_text("routes:\n  - match: { prefix: /a }\n    upstream: 127.0.0.1:9\n"
                    f"    health: {health}\n")
    ended = subprocess.run([binary, "config", "check", file], capture_output=True, text=True,
                           timeout=60, check=False)
    assert ended.returncode and path in ended.stderr, ended.stderr


# --- instances ---

def instance(daemon, address, health, status=201, **more):
    return daemon.call("PUT", "/v1/services/it/instances/i1",
                       {"address": address, "health": health, **more}, status=status).json


def state(daemon):
    return daemon.get("/v1/services/it/instances/i1")["state"]


@pytest.mark.parametrize("kind", ["http", "https", "tcp"])
def test_instances_are_asked_by_what_their_registration_says(make_daemon, checked, tmp_path, kind):
    authority = Authority(tmp_path / "one")
    pair = authority.sign("service") if kind == "https" else None
    daemon = make_daemon(gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    daemon.expect_log("instance fails its checks")
    probe, served = checked("probe", 503, pair), checked("served")
    health = {"interval": "100ms", "failures": "1", "port": probe.address.rpartition(":")[2],
              kind: "true" if kind == "tcp" else "/healthz"}
    if kind == "tcp":
        health["port"] = "1"
    made = instance(daemon, served.address, health)
    assert made["state"] == "failing" and made["health"][kind] == health[kind]
    assert made["health"]["port"] == int(health["port"])
    assert daemon.edge_get("/api/it/a").status == 503
    probe.status = 204
    if kind == "tcp":
        health["port"] = probe.address.rpartition(":")[2]
        instance(daemon, served.address, health, 200)
    daemon.eventually(lambda: state(daemon) == "ready")
    assert daemon.edge_get("/api/it/a").body == b"served"
    daemon.restart()
    assert state(daemon) == "ready"


def register_all(daemon, services, **more):
    health = {"http": "/healthz", "interval": "100ms", "failures": "1", "timeout": "5s"}
    for service in services:
        daemon.call("PUT", f"/v1/services/it/instances/{service.name}",
                    {"address": service.address, "build": "1.0.0", "health": health, **more},
                    status=201)


def served(daemon, n=12):
    answers = [daemon.edge_get("/api/it/a") for _ in range(n)]
    return {answer.body.decode() if answer.status == 200 else answer.status for answer in answers}


def build_of(daemon):
    return daemon.get("/v1/services/it/builds")["builds"][0]


def instance_states(daemon):
    rows = daemon.get("/v1/services/it/instances")["instances"]
    return {row["id"]: row["state"] for row in rows}


def test_when_too_few_instances_are_well_all_are_used(make_daemon, checked):
    services = [checked(name) for name in ("one", "two", "three")]
    daemon = make_daemon()
    daemon.expect_log("instance fails its checks|too few instances of a build are well")
    register_all(daemon, services)
    daemon.eventually(lambda: served(daemon) == {"one", "two", "three"})
    services[0].status = 503
    daemon.eventually(lambda: served(daemon) == {"two", "three"})
    assert not build_of(daemon)["panic"] and daemon.get("/v1/health")["panic_builds"] == []

    services[1].status = 503
    daemon.eventually(lambda: build_of(daemon)["panic"])
    daemon.eventually(lambda: served(daemon) == {"one", "two", "three"})
    assert daemon.get("/v1/health")["panic_builds"] == [
        {"service": "it", "build": "1.0.0", "ready": 1, "instances": 3}]
    assert "it 1.0.0: 1 of 3 instances are well, so all are used" in daemon.cli("health")
    assert "1 (panic: all are used)" in daemon.cli("builds", "it")
    why = daemon.get("/v1/customers/acme/explain")["services"][0]["why"]
    assert why.endswith("panic: 1 of 3 instances are well, and all are used"), why
    services[2].status = 503  # none is well, and the set is not empty
    daemon.eventually(lambda: set(instance_states(daemon).values()) == {"failing"})
    assert served(daemon) == {"one", "two", "three"}
    new = checked("new", 503)  # which has never been well
    register_all(daemon, [new])
    daemon.eventually(lambda: new.paths)
    assert served(daemon, 20) == {"one", "two", "three"}

    for service in services:
        service.status = 200
    daemon.eventually(lambda: served(daemon) == {"one", "two", "three"})
    daemon.eventually(lambda: not build_of(daemon)["panic"])
    assert any("enough instances of a build are well" in line for line in daemon.log)


def test_a_deployment_that_was_never_well_gets_nothing(make_daemon, checked):
    services = [checked("one", 503), checked("two", 503)]
    daemon = make_daemon()
    daemon.expect_log("instance fails its checks")
    register_all(daemon, services)
    daemon.eventually(lambda: services[0].paths and services[1].paths)
    assert served(daemon) == {503} and not build_of(daemon)["panic"]
    services[0].status = 200
    daemon.eventually(lambda: served(daemon) == {"one"})


def test_a_panic_that_is_switched_off_hands_out_nothing(make_daemon, checked):
    services = [checked("one"), checked("two")]
    daemon = make_daemon(gateway="  upstream: { panic: 0 }\n")
    daemon.expect_log("instance fails its checks")
    register_all(daemon, services)
    daemon.eventually(lambda: served(daemon) == {"one", "two"})
    for service in services:
        service.status = 503
    daemon.eventually(lambda: served(daemon) == {503})


def test_who_is_silent_together_is_used_until_it_is_removed(make_daemon, checked):
    daemon = make_daemon()
    daemon.expect_log("too few instances of a build are well")
    for name in ("one", "two"):
        daemon.register("it", name, checked(name).address, "1.0.0", ttl="1s", deregister_after="8s")
    daemon.eventually(lambda: set(instance_states(daemon).values()) == {"failing"})
    assert served(daemon) == {"one", "two"} and build_of(daemon)["panic"]
    daemon.eventually(lambda: not instance_states(daemon))
    assert served(daemon) == {503}


def test_what_checks_said_survives_kill_9(make_daemon, checked):
    daemon = make_daemon()
    daemon.expect_log("instance fails its checks")
    well, ill = checked("well"), checked("ill", 503)
    register_all(daemon, [well, ill], deregister_after="1h")
    daemon.eventually(lambda: instance_states(daemon) == {"well": "ready", "ill": "failing"}
                      and ill.paths)
    daemon.kill()
    daemon.start()
    assert instance_states(daemon) == {"well": "ready", "ill": "failing"}
    assert served(daemon) == {"well"}
    ill.status = 200
    daemon.eventually(lambda: instance_states(daemon) == {"well": "ready", "ill": "ready"})


def test_only_who_registers_is_asked_or_a_network_that_is_named(make_daemon):
    daemon = make_daemon("routes: []\n")
    away = "192.0.2.1:80"  # of documentation: nobody is there
    refused = instance(daemon, away, {"tcp": "true"}, 400)
    assert "health.networks" in refused["detail"]
    instance(daemon, away, {})
    reload(daemon, "routes: []\n", "health: { networks: 192.0.2.0/24 }\n")
    instance(daemon, away, {"tcp": "true", "interval": "1h"}, 200)
    assert state(daemon) == "failing"
