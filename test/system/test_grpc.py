# SPDX-License-Identifier: Apache-2.0
"""gRPC by a library that everybody uses, on both sides of the gateway."""
import re
import threading

import grpc
import pytest
from support.authority import Authority
from support.grpc_service import GrpcService, call
from support.h2_upstream import H2Upstream

PING = "/shop.orders.v1.Orders/"


def put(daemon, service, grpc_service, instance="g1", build="1.0.0", names=None, protocol="grpc",
        status=201, **more):
    body = {"address": grpc_service.address, "build": build, "protocol": protocol, **more}
    if names is not None:
        body["grpc_services"] = names
    return daemon.call("PUT", f"/v1/services/{service}/instances/{instance}", body, status=status)


@pytest.fixture(scope="module")
def orders(shared):
    """The service of most tests, and what leads to it."""
    service = GrpcService("shop.orders.v1.Orders", "1.0.0")
    put(shared, "orders", service, names=["shop.orders.v1.Orders", "grpc.health.v1.Health"])
    yield service
    service.stop()


@pytest.fixture(scope="module", params=["edge", "internal"])
def channel(request, shared, orders):
    with grpc.insecure_channel(getattr(shared, request.param)) as channel:
        yield channel


def failed(function, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        answer = function(*arguments, **options)
        if hasattr(answer, "__next__"):
            list(answer)
    return caught.value


# --- what passes ---

def test_a_call_and_its_metadata_pass_both_ways(channel, orders):
    answer, done = call(channel, PING + "Echo").with_call(
        b"hello" * 1000, metadata=[("x-mine", "a b"), ("x-mine-bin", b"\0\x01\xff")])
    assert answer == b"hello" * 1000
    first, last = dict(done.initial_metadata()), dict(done.trailing_metadata())
    assert first["x-label"] == "1.0.0" and first["x-bytes-bin"] == b"\0\xff\x01"
    assert first["sarsen-contract"] == "orders@1" and first["sarsen-build"] == "1.0.0"
    assert last == {"x-last": "yes", "x-under_score": "kept", "x-last-bin": b"\x80\0"}
    got = dict(orders.metadata)
    assert got["x-mine"] == "a b" and got["x-mine-bin"] == b"\0\x01\xff"
    assert "sarsen.bom=" in got["baggage"] and "set-cookie" not in first


def test_large_messages_pass(channel):
    options = call(channel, PING + "Echo")
    message = bytes(range(256)) * 8192
    assert options(message) == message


def test_an_empty_message_passes(channel):
    assert call(channel, PING + "Echo")(b"") == b""


def test_a_stream_from_the_client(channel):
    sent = call(channel, PING + "Sum", "stream_unary")
    assert sent(str(i).encode() for i in range(1000)) == b"499500"
    assert sent(iter(())) == b"0"


def test_a_stream_from_the_server(channel):
    assert list(call(channel, PING + "Count", "unary_stream")(b"1000")) == [
        str(i).encode() for i in range(1000)]
    assert list(call(channel, PING + "Count", "unary_stream")(b"0")) == []


def test_both_talk_in_turn(channel):
    """Each message waits for the answer to the one before, so nothing may be held back."""
    answered = threading.Semaphore(1)

    def messages():
        for i in range(20):
            assert answered.acquire(timeout=20)
            yield str(i).encode()

    got = []
    for answer in call(channel, PING + "Chat", "stream_stream")(messages()):
        got.append(answer)
        answered.release()
    assert got == [f"re: {i}".encode() for i in range(20)]


@pytest.mark.parametrize("code", range(1, 17))
def test_an_error_passes_as_it_is(channel, code):
    text = "kaputt: 100 % \u00fc\n\t\u2603"
    error = failed(call(channel, PING + "Fail"), f"{code} {text}".encode())
    assert error.code().value[0] == code and error.details() == text
    assert dict(error.trailing_metadata())["grpc-status-details-bin"] == b"\x08\x05\x12\x02no"


def test_an_unknown_method_is_the_services_to_refuse(channel):
    assert failed(call(channel, PING + "Nothing"), b"").code() == grpc.StatusCode.UNIMPLEMENTED


# --- time and ends ---

def test_a_deadline_reaches_the_service(channel, orders):
    call(channel, PING + "Echo")(b"", timeout=30)
    assert 25 < orders.remaining < 31  # the library rounds up
    call(channel, PING + "Echo")(b"")
    assert orders.remaining is None or orders.remaining > 1e6


def test_the_deadline_shrinks_on_its_way(h2, shared, name):
    """By the time that the first instance took to refuse."""
    def play(wire, stream, _head):
        if len(heads) == 1:
            threading.Event().wait(0.2)
            wire.reset(stream, 7)
        else:
            wire.answer(stream)

    heads = []
    upstream = h2(lambda wire, stream, head: (heads.append(head), play(wire, stream, head)))
    put(shared, name, upstream, names=[f"shop.{name}"])
    with grpc.insecure_channel(shared.edge) as channel:
        call(channel, f"/shop.{name}/Get")(b"", timeout=20)
    units = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "S": 1}
    first, second = (float(head["grpc-timeout"][:-1]) * units[head["grpc-timeout"][-1]]
                     for head in heads)
    assert 18 < second <= first - 0.2 < 21
    assert int(heads[1]["sarsen-deadline"]) <= second * 1000 + 1


def test_a_call_is_over_at_its_deadline(channel, orders):
    orders.cancelled.clear()
    error = failed(call(channel, PING + "Sleep"), b"60", timeout=0.3)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert orders.cancelled.wait(20)


def test_the_gateway_keeps_a_deadline_too(shared, orders):
    """One that the client's library knows nothing of."""
    orders.cancelled.clear()
    with grpc.insecure_channel(shared.internal) as channel:
        error = failed(call(channel, PING + "Sleep"), b"60",
                       metadata=[("sarsen-deadline", "200")])
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert orders.cancelled.wait(20)


def test_a_service_that_is_silent_past_the_deadline_is_given_up(h2, shared, name):
    upstream = h2(lambda *_: None)
    put(shared, name, upstream)
    with grpc.insecure_channel(shared.internal) as channel:
        error = failed(call(channel, "/a.B/C"), b"", metadata=[("sarsen-deadline", "200"),
                                                               ("sarsen-service", name)])
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not answer in time" in error.details()
    assert upstream.requests.get(timeout=20)[":path"] == "/a.B/C"
    assert upstream.requests.get(timeout=20) == ("reset", 8)  # CANCEL


def test_a_stream_that_does_not_end_in_time_ends_with_a_status(h2, shared, name):
    def play(wire, stream, _head):
        wire.head(stream)
        wire.message(stream, b"first")

    upstream = h2(play)
    put(shared, name, upstream)
    with grpc.insecure_channel(shared.internal) as channel:
        stream = call(channel, "/a.B/C", "unary_stream")(
            b"", metadata=[("sarsen-deadline", "300"), ("sarsen-service", name)])
        assert next(stream) == b"first"
        error = failed(lambda: next(stream))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_client_that_gives_up_is_heard_by_the_service(channel, orders):
    orders.started.clear()
    orders.cancelled.clear()
    future = call(channel, PING + "Sleep").future(b"60")
    assert orders.started.wait(20)
    future.cancel()
    assert orders.cancelled.wait(20)


def test_a_client_that_leaves_a_stream_is_heard_too(channel, orders):
    orders.cancelled.clear()
    stream = call(channel, PING + "Endless", "unary_stream")(b"x" * 1000)
    assert next(stream) == b"x" * 1000
    stream.cancel()
    assert orders.cancelled.wait(20)


def test_a_stream_may_be_silent_for_long(make_daemon):
    """Longer than a body may stall, and slower than it must come, in either direction."""
    daemon = make_daemon(gateway="  stall_timeout: 200ms\n  limits: { body_grace: 200ms }\n"
                                 "  upstream: { stall_timeout: 200ms, answer_timeout: 200ms }\n")
    service = GrpcService("shop.It")
    put(daemon, "it", service, names=["shop.It"])
    said = threading.Event()

    def messages():
        said.wait(1)  # nothing happens meanwhile, and that is the point
        yield b"a"
        said.wait(1)
        yield b"b"

    with grpc.insecure_channel(daemon.edge) as channel:
        chat = call(channel, "/shop.It/Chat", "stream_stream")
        assert list(chat(messages())) == [b"re: a", b"re: b"]
        assert call(channel, "/shop.It/Sleep")(b"0.8") == b"awake"
    service.stop()


# --- what the gateway itself says ---

def test_a_service_nobody_named_is_unimplemented(channel):
    error = failed(call(channel, "/shop.Nothing/Get"), b"")
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "no route leads" in error.details()


def test_a_service_is_named_by_the_caller(shared, name):
    service = GrpcService("unknown.Service", name)
    put(shared, name, service)
    with grpc.insecure_channel(shared.internal) as channel:
        _, done = call(channel, "/unknown.Service/Echo").with_call(
            b"", metadata=[("sarsen-service", name)])
        assert dict(done.initial_metadata())["x-label"] == name
        error = failed(call(channel, "/unknown.Service/Echo"), b"",
                       metadata=[("sarsen-service", "nobody")])
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED and "nobody" in error.details()
        error = failed(call(channel, "/unknown.Service/Echo"), b"",
                       metadata=[("sarsen-service", f"{name}@7")])
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    service.stop()


def test_a_service_without_instances_is_unavailable(shared, name):
    service = GrpcService(f"shop.{name}")
    put(shared, name, service, names=[f"shop.{name}"])
    with grpc.insecure_channel(shared.edge) as channel:
        echo = call(channel, f"/shop.{name}/Echo")
        assert echo(b"a") == b"a"
        service.stop()
        error = failed(echo, b"b")
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        shared.call("DELETE", f"/v1/services/{name}/instances/g1", status=204)
        error = failed(echo, b"b")
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert "no ready instance" in error.details()


def test_an_answer_that_is_none_of_grpc_is_an_error(shared, name, play):
    def web(wire):
        wire.head()
        wire.send(b"HTTP/1.1 503 Down\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno")

    play(web)
    with grpc.insecure_channel(shared.internal) as channel:
        error = failed(call(channel, "/a.B/C"), b"", metadata=[("sarsen-service", name)])
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "without a status" in error.details()


def test_a_name_has_one_owner(shared, name, orders):
    service = GrpcService("shop.orders.v1.Orders")
    answer = put(shared, name, service, names=["shop.orders.v1.Orders"], status=409).json
    assert "grpc_services[0]" in str(answer) and "orders@1.0.0" in str(answer)
    answer = put(shared, name, service, names=["shop/x"], status=400).json
    assert "shop.orders.v1.Orders" in str(answer)
    answer = shared.call("PUT", f"/v1/services/{name}/instances/x", {
        "address": service.address, "grpc_services": ["shop.x.v1.X"]}, status=400).json
    assert "protocol" in answer["detail"] and "grpc+tls" in answer["detail"], answer
    builds = shared.call("GET", "/v1/services/orders/builds", status=200).json["builds"]
    assert builds[0]["grpc_services"] == ["shop.orders.v1.Orders"]
    service.stop()


# --- versions ---

def test_a_method_leads_to_the_contract_whose_builds_name_it(shared, name):
    first = GrpcService(f"shop.{name}.v1.It", "first")
    second = GrpcService(f"shop.{name}.v2.It", "second")
    put(shared, name, first, "a", "1.0.0", [first.name])
    put(shared, name, second, "b", "2.0.0", [second.name])
    with grpc.insecure_channel(shared.edge) as channel:
        for service, contract in [(first, f"{name}@1"), (second, f"{name}@2")]:
            _, done = call(channel, f"/{service.name}/Echo").with_call(b"")
            metadata = dict(done.initial_metadata())
            assert metadata["x-label"] == service.label
            assert metadata["sarsen-contract"] == contract
    first.stop()
    second.stop()


def test_usage_counts_failures_of_servers_only(make_daemon):
    daemon = make_daemon()
    service = GrpcService("shop.It")
    put(daemon, "it", service, names=["shop.It"])
    with grpc.insecure_channel(daemon.edge) as channel:
        call(channel, "/shop.It/Echo")(b"")
        for code in ["5 not found", "13 broken", "14 away", "16 who"]:
            failed(call(channel, "/shop.It/Fail"), code.encode())

    def counted():
        used = daemon.call("GET", "/v1/usage?contract=it@1", status=200).json
        return (sum(row["n"] for row in used["usage"]),
                sum(row["errors"] for row in used["usage"])) == (5, 2)

    daemon.eventually(counted)
    service.stop()


# --- what an upstream refuses, and how it ends ---

@pytest.fixture
def h2():
    """Makes upstreams of HTTP/2 that the test plays."""
    made = []

    def make(play):
        made.append(H2Upstream(play))
        return made[-1]

    yield make
    for upstream in made:
        upstream.stop()


def asked(shared, name, count=1):
    with grpc.insecure_channel(shared.edge, options=[("grpc.enable_retries", 0)]) as channel:
        get = call(channel, f"/shop.{name}/Get")
        return [get(b"x" * 100) for _ in range(count)]


def test_what_was_refused_is_asked_elsewhere(h2, shared, name):
    first = h2(lambda wire, stream, _head: wire.reset(stream, 7))
    second = h2(lambda wire, stream, _head: wire.answer(stream, b"second"))
    put(shared, name, first, "a", names=[f"shop.{name}"])
    put(shared, name, second, "b", names=[f"shop.{name}"])
    assert asked(shared, name, 4) == [b"second"] * 4
    assert first.requests.qsize() > 0


def test_what_everybody_refuses_is_unavailable(h2, shared, name):
    upstream = h2(lambda wire, stream, _head: wire.reset(stream, 7))
    put(shared, name, upstream, names=[f"shop.{name}"])
    error = failed(asked, shared, name)
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert upstream.requests.qsize() == 2


def test_a_goodbye_is_followed_by_a_new_connection(h2, shared, name):
    """What the upstream says it did not begin goes to its next connection, though it is a POST."""
    def play(wire, stream, _head):
        if wire.number == 1 and stream > 1:
            wire.goodbye(1)
        else:
            wire.answer(stream, str(wire.number).encode())

    upstream = h2(play)
    put(shared, name, upstream, names=[f"shop.{name}"])
    first, second, third = asked(shared, name, 3)
    assert first == b"1" and b"1" not in (second, third)


@pytest.mark.parametrize(("code", "status"), [
    (8, "CANCELLED"), (11, "RESOURCE_EXHAUSTED"), (2, "INTERNAL"), (1, "INTERNAL")])
def test_a_reset_comes_down_to_a_status(h2, shared, name, code, status):
    upstream = h2(lambda wire, stream, _head: wire.reset(stream, code))
    put(shared, name, upstream, names=[f"shop.{name}"])
    assert failed(asked, shared, name).code().name == status
    assert upstream.requests.qsize() == 1


def test_a_reset_behind_the_head_comes_down_to_a_status(h2, shared, name):
    """It is never asked again, for the client has some of the answer."""
    def play(wire, stream, _head):
        wire.head(stream)
        wire.message(stream, b"first")
        wire.flush()
        wire.reset(stream, 7)

    upstream = h2(play)
    put(shared, name, upstream, names=[f"shop.{name}"])
    with grpc.insecure_channel(shared.edge) as channel:
        stream = call(channel, f"/shop.{name}/Get", "unary_stream")(b"")
        error = failed(lambda: list(stream))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert upstream.requests.qsize() == 1


def test_an_answer_of_trailers_only_passes(h2, shared, name):
    def play(wire, stream, _head):
        wire.head(stream, ("grpc-status", "5"), ("grpc-message", "no%20such"), ("x-a", "b"),
                  end=True)

    put(shared, name, h2(play), names=[f"shop.{name}"])
    error = failed(asked, shared, name)
    assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "no such"
    assert dict(error.trailing_metadata())["x-a"] == "b"


def test_what_a_request_says_of_itself(h2, shared, name):
    upstream = h2(lambda wire, stream, _head: wire.answer(stream))
    put(shared, name, upstream, names=[f"shop.{name}"])
    asked(shared, name)
    head = upstream.requests.get(timeout=20)
    assert head["te"] == "trailers" and head["content-type"] == "application/grpc"
    assert head[":method"] == "POST" and head[":path"] == f"/shop.{name}/Get"
    assert "connection" not in head and "grpc-timeout" not in head
    assert re.fullmatch("[0-9.]+ sarsen", head["via"])


# --- instances that come and go ---

def test_no_call_fails_while_instances_come_and_go(make_daemon):
    """The client never tries again itself."""
    daemon = make_daemon()
    services = [GrpcService("shop.It", str(i)) for i in range(2)]
    for i, service in enumerate(services):
        put(daemon, "it", service, f"i{i}", names=["shop.It"])
    failures, stop = [], threading.Event()
    labels, counts = set(), [0] * 4

    def ask(number):
        with grpc.insecure_channel(daemon.edge, options=[("grpc.enable_retries", 0)]) as channel:
            echo = call(channel, "/shop.It/Echo")
            while not stop.is_set():
                try:
                    _, done = echo.with_call(b"x" * 100)
                    labels.add(dict(done.initial_metadata())["x-label"])
                except grpc.RpcError as error:
                    failures.append(error)
                counts[number] += 1

    def all_end():
        """What was under way is over. A server that stops cancels what it has not begun."""
        before = list(counts)
        daemon.eventually(lambda: all(now > then for now, then in
                                      zip(counts, before, strict=False)))

    threads = [threading.Thread(target=ask, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    daemon.eventually(lambda: {"0", "1"} <= labels)
    for i in range(6):
        at = i % 2
        daemon.call("POST", f"/v1/services/it/instances/i{at}:drain", status=200)
        all_end()
        services[at].stop(grace=5)
        services[at] = GrpcService("shop.It", f"{i + 2}")
        put(daemon, "it", services[at], f"i{at}", names=["shop.It"], status=200)
        daemon.eventually(lambda wanted=f"{i + 2}": wanted in labels)
    stop.set()
    for thread in threads:
        thread.join()
    for service in services:
        service.stop()
    assert not failures, failures[:3]


def test_the_access_log_tells_the_status(make_daemon, tmp_path):
    log = tmp_path / "access.log"
    daemon = make_daemon(gateway=f"  access_log: {log}\n")
    service = GrpcService("shop.It")
    put(daemon, "it", service, names=["shop.It"])
    with grpc.insecure_channel(daemon.edge) as channel:
        call(channel, "/shop.It/Echo")(b"")
        failed(call(channel, "/shop.It/Fail"), b"9 no")
        failed(call(channel, "/shop.Other/Fail"), b"9 no")
    for number in (0, 9, 12):
        daemon.eventually(lambda n=number: log.exists() and f'"grpc_status":{n}' in log.read_text())
    service.stop()


@pytest.mark.parametrize(("method", "kind", "status", "word"), [
    ("POST", "application/grpc+proto", 505, "HTTP/2"), ("POST", "application/grpc", 505, "HTTP/2"),
    ("POST", "application/json", 415, "application/grpc"), ("POST", None, 415, "content types"),
    ("GET", None, 405, "POST"), ("PUT", "application/grpc", 405, "POST")])
def test_what_is_no_grpc_is_told_what_it_takes(shared, orders, method, kind, status, word):
    before = orders.calls
    answer = shared.edge_get(PING + "Echo", {"Content-Type": kind} if kind else {}, method, b"")
    assert answer.status == status and word in answer.json["detail"]
    assert answer.headers.get("Allow") == ("POST" if status == 405 else None)
    assert orders.calls == before
    # Elsewhere nothing is known of it.
    other = shared.edge_get("/shop.orders.v1.Other/Echo", {}, method, b"")
    assert other.status == 404 and "no route" in other.json["detail"]


# --- health ---

def state(daemon, service, instance):
    return daemon.call("GET", f"/v1/services/{service}/instances/{instance}",
                       status=200).json["state"]


def code_of(function, *arguments):
    try:
        function(*arguments)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_an_instance_that_fails_its_checks_gets_no_calls(make_daemon):
    daemon = make_daemon()
    daemon.expect_log("instance fails its checks")
    service = GrpcService("shop.It")
    service.health = 2  # NOT_SERVING
    made = put(daemon, "it", service, names=["shop.It"],
               health={"grpc": "", "interval": "100ms", "failures": "2"}).json
    assert made["state"] == "failing"
    assert made["health"] == {"grpc": "", "interval": "100ms", "timeout": "1s", "failures": 2,
                              "passes": 1}

    def reason():
        return [found["reason"] for found in daemon.get("/v1/health")["failing_instances"]
                if (found["service"], found["id"]) == ("it", "g1")]

    assert reason() == ["no check has passed yet"] or "does not serve" in reason()[0]
    daemon.eventually(lambda: "does not serve" in reason()[0])
    assert "g1 of it is failing: " in daemon.cli("health")
    assert "failing: " in daemon.cli("instances", "it")
    with grpc.insecure_channel(daemon.edge) as channel:
        echo = call(channel, "/shop.It/Echo")
        assert failed(echo, b"").code() == grpc.StatusCode.UNAVAILABLE
        service.health = 1
        daemon.eventually(lambda: code_of(echo, b"a") == grpc.StatusCode.OK)
        assert state(daemon, "it", "g1") == "ready" and not reason()
        service.health = 2
        daemon.eventually(lambda: code_of(echo, b"a") == grpc.StatusCode.UNAVAILABLE)
        # The same copy again is what it was; without a check it is believed.
        put(daemon, "it", service, names=["shop.It"], status=200,
            health={"grpc": "", "interval": "100ms", "failures": "2"})
        assert state(daemon, "it", "g1") == "failing"
        put(daemon, "it", service, names=["shop.It"], status=200)
        assert echo(b"a") == b"a"
    service.stop()


def test_an_instance_that_went_away_fails_its_checks_and_comes_back(make_daemon):
    daemon = make_daemon()
    daemon.expect_log("instance fails its checks")
    health = {"grpc": "shop.It", "interval": "100ms", "timeout": "200ms", "failures": "1"}
    first, second = GrpcService("shop.It", "1"), GrpcService("shop.It", "2")
    put(daemon, "it", first, "a", names=["shop.It"], health=health)
    put(daemon, "it", second, "b", names=["shop.It"], health=health)
    daemon.eventually(lambda: state(daemon, "it", "a") == state(daemon, "it", "b") == "ready")
    second.stop()
    daemon.eventually(lambda: state(daemon, "it", "b") == "failing")
    daemon.restart()
    assert state(daemon, "it", "b") == "failing"
    second = GrpcService("shop.It", "2", second.address)
    daemon.eventually(lambda: state(daemon, "it", "b") == "ready")
    daemon.call("DELETE", "/v1/services/it/instances/b", status=204)
    first.stop()
    second.stop()


def test_instances_that_speak_tls_are_asked_over_it(make_daemon, tmp_path):
    authority = Authority(tmp_path / "one")
    believed, other = (GrpcService("shop.It", pair=one.sign("service"))
                       for one in (authority, Authority(tmp_path / "two")))
    daemon = make_daemon(gateway=f"  upstream: {{ tls: {{ ca: {authority.file} }} }}\n")
    daemon.expect_log("instance fails its checks")
    health = {"grpc": "shop.It", "interval": "100ms", "failures": "1"}
    put(daemon, "it", believed, "a", names=["shop.It"], health=health, protocol="grpc+tls")
    put(daemon, "it", other, "b", names=["shop.It"], health=health, protocol="grpc+tls")
    daemon.eventually(lambda: state(daemon, "it", "a") == "ready")
    with grpc.insecure_channel(daemon.edge) as channel:
        echo = call(channel, "/shop.It/Echo")
        assert [echo(b"a") for _ in range(4)] == [b"a"] * 4
    assert state(daemon, "it", "b") == "failing"
    assert other.calls == 0
    believed.stop()
    other.stop()


def test_an_instance_that_does_not_answer_fails(h2, make_daemon):
    daemon = make_daemon()
    upstream = h2(lambda *_: None)
    put(daemon, "it", upstream, health={"grpc": "a.B", "interval": "100ms", "timeout": "100ms"})
    head = upstream.requests.get(timeout=20)
    assert head[":path"] == "/grpc.health.v1.Health/Check" and head["te"] == "trailers"
    assert upstream.requests.get(timeout=20) == ("reset", 8)
    assert state(daemon, "it", "g1") == "failing"


@pytest.mark.parametrize(("health", "found"), [
    ({"interval": "5s"}, "health.grpc"), ({"grpc": "", "interval": "x"}, "health.interval"),
    ({"grpc": "", "interval": "1ms"}, "health.interval"), ({"grpc": "a b"}, "health.grpc"),
    ({"grpc": "", "timeout": "2h"}, "health.timeout"), ({"grpc": "", "passes": "0"}, "passes"),
    ({"grpc": "", "failures": "x"}, "health.failures"), ({"tcp": "1"}, "health.tcp")])
def test_a_check_is_checked(shared, orders, health, found):
    assert found in str(put(shared, "orders", orders, "g9", health=health, status=400).json)
