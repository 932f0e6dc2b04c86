# SPDX-License-Identifier: Apache-2.0
"""Checks of the Consul face: those that are told, and those that are made here."""
import contextlib
import pathlib
import resource
import signal
import socket
import ssl
import time

import pytest
from support.authority import Authority
from support.consul import FACE, Consul, index_of, wait_until
from support.daemon import request
from support.names import NameServer, can_make_namespaces, with_names
from support.network import Network, can_make_hosts
from support.service import Service


@pytest.fixture
def consul(make_daemon):
    return Consul(make_daemon(FACE))


def test_a_check_begins_critical_and_keeps_its_status_over_registrations(consul):
    body = {"ID": "a-1", "Name": "a", "Port": 1, "Check": {"TTL": "60s"}}
    consul.register(**body)
    assert consul.health("a", "?passing") == []
    consul.put("/v1/agent/check/pass/service:a-1?note=fine")
    entry, = consul.health("a", "?passing=1")
    assert entry["Checks"][1]["Output"] == "fine"
    consul.register(**body)
    assert len(consul.health("a", "?passing")) == 1
    consul.put("/v1/agent/check/warn/service:a-1")
    assert consul.health("a", "?passing") == [] and len(consul.health("a")) == 1
    consul.put("/v1/agent/check/update/service:a-1", {"Status": "passing", "Output": "back"})
    assert len(consul.health("a", "?passing")) == 1
    consul.put("/v1/agent/check/update/service:a-2", {"Status": "passing"}, status=404)
    consul.put("/v1/agent/check/update/service:a-1", {"Status": "good"}, status=400)


def test_a_ttl_that_passes_is_critical_and_takes_no_requests(consul, service):
    host, port = service().address.split(":")
    consul.register(Name="a", Address=host, Port=int(port), Tags=["version=1.0.0"],
                    Check={"TTL": "5s"})
    consul.put("/v1/agent/check/pass/service:a?note=alive")
    assert consul.daemon.edge_get("/api/a/").status == 200
    seen = consul.get("/v1/health/service/a")
    after = consul.get(f"/v1/health/service/a?index={index_of(seen)}&wait=20s")
    check = after.json[0]["Checks"][1]
    assert check["Status"] == "critical" and check["Output"].startswith("TTL expired")
    assert "alive" in check["Output"]
    assert consul.daemon.edge_get("/api/a/").status == 503
    consul.put("/v1/agent/check/pass/service:a")
    assert consul.daemon.edge_get("/api/a/").status == 200


def test_a_ttl_of_a_process_that_stood_still_begins_anew(consul):
    consul.register(Name="a", Port=1, Check={"TTL": "3s", "Status": "passing"})
    seen = consul.get("/v1/health/service/a")
    consul.daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(5)  # longer than its TTL, whatever else is slow
    consul.daemon.process.send_signal(signal.SIGCONT)
    resumed = time.monotonic()
    assert len(consul.health("a", "?passing")) == 1
    consul.get(f"/v1/health/service/a?index={index_of(seen)}&wait=20s")
    assert time.monotonic() - resumed > 2.5 and consul.health("a", "?passing") == []


def test_checks_that_are_made_here(consul, service):
    target = service("checked")
    host, port = target.address.split(":")
    consul.register(Name="a", Address=host, Port=int(port), Checks=[
        {"HTTP": f"http://{target.address}/health", "Interval": "1s", "Timeout": "1s"},
        {"TCP": target.address, "Interval": "1s"}])
    wait_until(lambda: consul.health("a", "?passing"))
    assert "/health" in {seen["path"] for seen in target.requests}
    ids = [check["CheckID"] for check in consul.health("a")[0]["Checks"]]
    assert ids == ["serfHealth", "service:a:1", "service:a:2"]

    def critical():
        return {check["CheckID"] for check in consul.get("/v1/health/state/critical").json}
    target.answer = lambda request: (500, {}, b"")
    wait_until(lambda: critical() == {"service:a:1"})
    assert consul.health("a", "?passing") == []
    assert "status 500" in consul.health("a")[0]["Checks"][1]["Output"]
    target.stop()
    wait_until(lambda: critical() == {"service:a:1", "service:a:2"})


def test_maintenance_is_a_check_that_stays_over_registrations(consul):
    body = {"Name": "a", "Port": 1, "Check": {"TTL": "60s", "Status": "passing"}}
    consul.register(**body)
    consul.put("/v1/agent/service/maintenance/a?enable=true&reason=new+disk")
    consul.register(**body)
    entry, = consul.health("a")
    check = entry["Checks"][-1]
    assert check["CheckID"] == "_service_maintenance:a" and check["Notes"] == "new disk"
    assert consul.health("a", "?passing") == []
    consul.put("/v1/agent/service/maintenance/a?enable=false")
    assert len(consul.health("a", "?passing")) == 1


def test_checks_come_and_go_by_themselves(consul):
    consul.register(Name="a", Port=1)
    check = {"ID": "more", "Name": "more", "ServiceID": "a", "TTL": "30s"}
    consul.put("/v1/agent/check/register", check)
    assert consul.health("a", "?passing") == []
    consul.put("/v1/agent/check/register", check)  # the same again, as some clients do
    consul.put("/v1/agent/check/deregister/more")
    assert len(consul.health("a", "?passing")) == 1
    consul.put("/v1/agent/check/deregister/more", status=404)
    consul.put("/v1/agent/check/register", {**check, "ServiceID": "b"}, status=404)


def test_nothing_is_judged_while_it_cannot_be_written(consul):
    daemon = consul.daemon
    daemon.stop()
    daemon.start(restore_signals=False)  # Python ignores SIGXFSZ; so does the daemon then
    daemon.expect_log("store|disk|ledger")
    consul = Consul(daemon)
    consul.register(Name="a", Port=1, Check={"TTL": "2s", "Status": "passing"})
    consul.put("/v1/agent/check/pass/service:a?note=fine")
    limit = resource.RLIM_INFINITY
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (4096, limit))
    wait_until(lambda: request(consul.address, "PUT", "/v1/kv/a", "1").status == 500)
    end = time.monotonic() + 5  # its time is over meanwhile, and nothing comes of it
    while time.monotonic() < end:
        assert output(consul).count("TTL expired") <= 1
        time.sleep(0.1)
    assert status(consul) == "passing"
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    wait_until(lambda: status(consul) == "critical")
    assert output(consul) == "TTL expired (last output before timeout follows): fine"


# --- what they ask for ---


def status(consul, check="service:a"):
    return consul.get("/v1/agent/checks").json[check]["Status"]


def output(consul, check="service:a"):
    return consul.get("/v1/agent/checks").json[check]["Output"]


def test_a_check_by_http_sends_what_it_says(consul, service):
    target = service("checked")
    consul.register(Name="a", Check={
        "HTTP": f"http://{target.address}/health", "Interval": "1s", "Method": "POST",
        "Header": {"X-One": ["1", "2"], "Host": ["orders.internal"]}, "Body": "are you well?"})
    wait_until(lambda: status(consul) == "passing")
    seen = target.requests[0]
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/health", b"are you well?")
    assert target.header("X-One") == ["1", "2"] and target.header("Host") == ["orders.internal"]
    consul.register(Name="a", Check={"HTTP": f"http://{target.address}/", "Interval": "1s",
                                     "Method": "HEAD", "CheckID": "head"})
    wait_until(lambda: status(consul, "head") == "passing")


def test_429_is_a_warning(consul, service):
    target = service("checked")
    target.answer = lambda request: (429, {}, b"")
    consul.register(Name="a", Port=1, Check={"HTTP": f"http://{target.address}/", "Interval": "1s"})
    wait_until(lambda: status(consul) == "warning")
    assert consul.health("a", "?passing") == [] and len(consul.health("a")) == 1
    target.answer = lambda request: (200, {}, b"")
    wait_until(lambda: status(consul) == "passing")


def test_some_failures_are_let_pass_and_then_it_warns_and_fails(consul, service):
    target = service("checked")
    consul.register(Name="a", Port=1, Check={
        "HTTP": f"http://{target.address}/", "Interval": "1s", "FailuresBeforeWarning": 1,
        "FailuresBeforeCritical": 3, "SuccessBeforePassing": 1})
    wait_until(lambda: status(consul) == "passing")  # the first one decides
    log = []

    def answer(request):
        log.append(status(consul))
        return 200 if "critical" in log else 500, {}, b""
    target.answer = answer
    wait_until(lambda: "critical" in log and log[-1] == "passing", 60)
    # What it was when it was asked, at the earliest: two failures until it warns, four until it is
    # critical, and two that pass until it passes.
    assert log.index("warning") >= 2 and log.index("critical") >= 4
    assert log[log.index("critical") + 1] == "critical"


@contextlib.contextmanager
def over_tls(authority, names):
    target = Service("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("service", names))
    target.server.socket = context.wrap_socket(target.server.socket, server_side=True)
    yield target.address
    target.stop()


def test_how_tls_is_verified(make_daemon, tmp_path):
    authority = Authority(tmp_path / "one")
    consul = Consul(make_daemon(
        FACE, gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n"))
    with over_tls(authority, "DNS:orders.internal") as address:
        for id, check in {
            "other": {"HTTP": f"https://{address}/"},
            "named": {"HTTP": f"https://{address}/", "TLSServerName": "orders.internal"},
            "any": {"HTTP": f"https://{address}/", "TLSSkipVerify": True},
            "tcp": {"TCP": address, "TCPUseTLS": True, "TLSServerName": "orders.internal"},
            "tcp-other": {"TCP": address, "TCPUseTLS": True},
        }.items():
            consul.register(Name=id, Check={**check, "Interval": "1s", "CheckID": id})
        for id in ("named", "any", "tcp"):
            wait_until(lambda id=id: status(consul, id) == "passing", 30)
        for id in ("other", "tcp-other"):
            wait_until(lambda id=id: output(consul, id))
            assert status(consul, id) == "critical"


def test_an_alias_is_as_the_service_it_stands_for(consul):
    consul.register(ID="db-1", Name="db", Check={"TTL": "60s", "Status": "passing"})
    consul.register(Name="a", Port=1, Check={"AliasService": "db-1"})
    wait_until(lambda: status(consul) == "passing")
    consul.put("/v1/agent/check/warn/service:db-1")
    wait_until(lambda: status(consul) == "warning")
    index = index_of(consul.get("/v1/health/service/a"))
    consul.put("/v1/agent/service/deregister/db-1")
    if status(consul) != "critical":
        consul.get(f"/v1/health/service/a?index={index}&wait=20s")
    wait_until(lambda: status(consul) == "critical")
    assert "not registered" in output(consul)


def test_an_alias_of_this_node_is_well_without_a_word_of_it(consul):
    own = consul.get("/v1/agent/self").json["Config"]["NodeName"]
    consul.register(Name="a", Port=1, Check={"AliasNode": own.upper()})
    wait_until(lambda: status(consul) == "passing")
    consul.put("/v1/agent/maintenance?enable=true")
    wait_until(lambda: status(consul) == "critical")
    consul.put("/v1/agent/maintenance?enable=false")
    wait_until(lambda: status(consul) == "passing")


# --- names ---


def hosts():
    for line in pathlib.Path("/etc/hosts").read_text().splitlines():
        address, *names = line.split("#")[0].split() or [""]
        for name in names:
            yield name, address


def test_a_host_may_be_named(consul):
    ours = {"localhost", socket.gethostname()}
    name, address = next(((name, address) for name, address in hosts() if name not in ours and
                          (address.startswith("127.") or address == "::1")), (None, None))
    if not name:
        pytest.skip("no other name in /etc/hosts leads here")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
        consul.register(Name="a", Check={"TCP": f"{name}:{port}", "Interval": "1s"})
        wait_until(lambda: status(consul) == "passing", 30)
    wait_until(lambda: status(consul) == "critical", 30)


def test_what_cannot_be_resolved_is_critical(consul):
    consul.register(Name="a", Check={"TCP": "none.invalid:80", "Interval": "1s"})
    wait_until(lambda: "cannot be resolved" in output(consul), 60)
    assert status(consul) == "critical"
    for bad in ("a b:80", "-:80", "x..y:80"):
        consul.put("/v1/agent/service/register", {"Name": "c", "Check": {
            "TCP": bad, "Interval": "1s"}}, status=400)


class Inside(Consul):
    """A face on a host of the test's own, which is asked from there."""

    def __init__(self, host, daemon):
        self.host = host
        super().__init__(daemon)

    def ask(self, *arguments, **options):
        return self.host.inside(lambda: super(Inside, self).ask(*arguments, **options))


@pytest.fixture
def network():
    made = Network()
    yield made
    made.close()


@pytest.mark.skipif(not can_make_hosts() or not can_make_namespaces(),
                    reason="needs root and network namespaces")
def test_a_name_that_leads_elsewhere_leads_nowhere(make_daemon, network, tmp_path):
    """Neither when it does so from the beginning, nor when it comes to do so."""
    here, elsewhere = network.host(), network.host()
    ours, theirs = here.socket(), elsewhere.socket()
    server = NameServer(here, {"elsewhere.test": elsewhere.address, "moves.test": "127.0.0.1"})
    with ours, theirs, contextlib.closing(server):
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        theirs.bind((elsewhere.address, port))
        for listener in (ours, theirs):
            listener.listen(128)
        theirs.settimeout(10)
        with here.socket() as probe:  # it could be reached, and that would be seen
            probe.settimeout(10)
            probe.connect((elsewhere.address, port))
            theirs.accept()[0].close()

        daemon = make_daemon(FACE, start=False)
        daemon.prefix = with_names(here, tmp_path)
        consul = Inside(here, daemon.start())
        consul.register(Name="a", Check={"TCP": f"elsewhere.test:{port}", "Interval": "1s"})
        consul.register(Name="b", Check={"TCP": f"moves.test:{port}", "Interval": "1s"})
        wait_until(lambda: status(consul, "service:b") == "passing")
        wait_until(lambda: "no address of the host" in output(consul))
        server.names["moves.test"] = elsewhere.address
        wait_until(lambda: "no address of the host" in output(consul, "service:b"))
        assert status(consul) == status(consul, "service:b") == "critical"
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.accept()


@pytest.mark.parametrize("member,value", [
    ("Header", {"X-A": "no list"}), ("Header", {"X A": ["1"]}), ("Header", {"X-A": ["1\r\nB: 2"]}),
    ("Header", {"Connection": ["close"]}), ("Method", "GET IT"), ("H2PING", "127.0.0.1:1"),
    ("UDP", "127.0.0.1:1"), ("Body", "x" * 5000), ("FailuresBeforeWarning", -1),
])
def test_what_a_check_is_refused_for(make_daemon, member, value):
    consul = Consul(make_daemon(FACE))
    check = {"HTTP": "http://127.0.0.1:1/", "Interval": "1s", member: value}
    consul.put("/v1/agent/service/register", {"Name": "a", "Check": check}, status=400)
    assert consul.get("/v1/agent/services").json == {}
