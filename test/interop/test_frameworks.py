# SPDX-License-Identifier: Apache-2.0
"""Services of examples/consul, each with a framework's own registry for Consul: they register, are
checked, found by their own discovery and by each other's, called through the gateway, and dropped
when they are killed."""
import grpc
import pytest
from conftest import Face
from frameworks import CHECKED, Framework, build, is_dropped, need, put

KITEX_RULE = "registration.rules: [{ service: kitex-greeter, protocol: thrift }]\n"
KRATOS_RULE = ("registration.rules: "
               "[{ service: kratos-greeter, protocol: grpc, override: true }]\n")
KRATOS_KEY, SPRING_KEY = "configs/kratos-greeter/app.yaml", "config/spring-greeter/data"


@pytest.fixture(scope="session")
def frameworks():
    """The folder of the programs in Go."""
    return need("go")


@pytest.fixture
def framework(face, frameworks):
    made = []

    def make(program, service=None):
        command = [frameworks / program]
        made.append(Framework(face, command, service or f"{program}-greeter"))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def make_spring(face, programs):
    command = ["java", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-jar",
               programs / "spring" / "spring.jar"]
    return Framework(face, command, "spring-greeter")


@pytest.fixture
def spring(face):
    one = make_spring(face, need("spring"))
    yield one
    one.stop()


@pytest.fixture(scope="module")
def left_behind(binary, frameworks, tmp_path_factory):
    """Killed when the first test here runs, and looked at again by the last."""
    face = Face(binary, tmp_path_factory.mktemp("left"))
    made = [Framework(face, [frameworks / program], service) for program, service in
            (("hertz", "hertz.greeter"), ("gokit", "gokit-greeter"))]
    for one in made:
        one.start("1.0.0")
    for one in made:
        one.waits_for(1)
        one.kill()
    yield made
    for one in made:
        one.stop()
    face.stop()
    face.check_log()


def test_who_is_killed_is_listed_as_critical(left_behind):
    for one in left_behind:
        one.waits_for(0)
        assert len(one.listed()) == 1


def test_kratos(framework, face):
    put(face, KRATOS_KEY, "greeting: hello\n")
    one = framework("kratos")
    one.start("1.0.0")
    one.waits_for(1)
    assert one.call("call", "you", one.service) == ["hello you 1.0.0"]
    assert one.call("health") == ["SERVING"]
    face.eventually(one.through)
    assert one.through() == "1.0.0"
    put(face, KRATOS_KEY, "greeting: good morning\n")
    said = f"/api/{one.name}@1/hello/you"
    face.eventually(lambda: face.edge_get(said).json["message"] == "good morning you")
    is_dropped(one, one.through)


def test_kratos_enters_gray_release(framework, face):
    put(face, KRATOS_KEY, "greeting: hello\n")
    one = framework("kratos")
    one.start("1.0.0")
    one.waits_for(1)
    one.start("1.1.0")
    one.waits_for(2)
    builds = face.get(f"/v1/services/{one.name}")["builds"]
    assert {build["build"]: build["state"] for build in builds} == {
        "1.0.0": "baseline", "1.1.0": "waiting"}
    assert {one.through() for _ in range(20)} == {"1.0.0"}
    rollout = face.call("POST", "/v1/rollouts", {"members": [f"{one.name}@1.1.0"],
                                                 "steps": [{"pct": 100}]}, status=201).json
    assert {one.through() for _ in range(20)} == {"1.1.0"}
    face.call("POST", f"/v1/rollouts/{rollout['rollout']}:abort", status=200)
    assert {one.through() for _ in range(20)} == {"1.0.0"}


def unary(face, one, method, message=b""):
    """What a method answers through the gateway; None when nobody does."""
    with grpc.insecure_channel(face.internal) as channel:
        try:
            return channel.unary_unary(method)(
                message, metadata=[("sarsen-service", one.name)], timeout=10)
        except grpc.RpcError:
            return None


@pytest.mark.parametrize("face, only", [("", "grpc"), (KRATOS_RULE, "")], indirect=["face"],
                         ids=["alone", "rule"])
def test_kratos_by_grpc(framework, face, only):
    put(face, KRATOS_KEY, "greeting: hello\n")
    one = framework("kratos")
    one.start("1.0.0", ONLY=only)
    one.waits_for(1)
    assert one.call("health") == ["SERVING"]
    assert unary(face, one, "/grpc.health.v1.Health/Check") == b"\x08\x01"
    is_dropped(one, lambda: unary(face, one, "/grpc.health.v1.Health/Check"))


def test_go_kit(framework):
    one = framework("gokit")
    one.start("1.2.0")
    one.waits_for(1)
    assert one.call("call", "you", one.service) == ["hello you 1.2.0"]
    assert one.through() == "1.2.0"
    is_dropped(one, one.through)


def test_hertz(framework):
    one = framework("hertz", "hertz.greeter")
    one.start("1.3.0")
    one.waits_for(1)
    assert one.call("call", "you", one.service)[-1] == "hello you 1.3.0"
    assert one.through() == "1.3.0"
    assert one.passing()[0]["Service"]["Weights"]["Passing"] == 10
    is_dropped(one, one.through)


def test_go_micro(framework, face):
    one = framework("gomicro")
    one.start("1.4.0")
    one.waits_for(1)
    assert one.call(GREET="you")[-1] == "hello you 1.4.0 1 1.4.0"
    said = b"hello you 1.4.0"
    assert unary(face, one, "/Greeter/Hello", b"\x0a\x03you") == b"\x0a" + bytes([len(said)]) + said
    is_dropped(one, lambda: unary(face, one, "/Greeter/Hello", b"\x0a\x03you"))


@pytest.mark.parametrize("face, protocol", [("", "thrift"), (KITEX_RULE, "")], indirect=["face"],
                         ids=["tag", "rule"])
def test_kitex_is_listed_and_not_routed(framework, face, protocol):
    one = framework("kitex")
    one.start("1.5.0", PROTOCOL=protocol)
    one.waits_for(1)
    assert one.call("find", one.service)[-1] == f"{one.service} {one.address()} 10"
    instance, = face.get(f"/v1/services/{one.name}/instances")["instances"]
    assert (instance["build"], instance["protocol"]) == ("1.5.0", "thrift")
    assert face.internal_get(f"/api/{one.name}@1/hello/you").status == 503
    is_dropped(one, lambda: False)


def test_spring(spring, face):
    put(face, SPRING_KEY, "greeting: hello\n")
    spring.start("1.6.0")
    spring.waits_for(1)
    assert spring.ask(f"/found/{spring.service}").json == [f"http://{spring.address()}"]
    assert spring.ask(f"/ask/{spring.service}/you").json == {
        "message": "hello you", "version": "1.6.0"}
    check = spring.passing()[0]["Checks"][-1]
    assert check["Type"] == "http"
    assert spring.through() == "1.6.0"
    put(face, SPRING_KEY, "greeting: good morning\n")
    face.eventually(
        lambda: spring.ask("/hello/you").json["message"] == "good morning you", CHECKED)
    is_dropped(spring, spring.through)


def finds(one, others):
    return sorted(one.call("find", *[other.service for other in others])[-len(others):])


def test_each_finds_the_others(framework, face):
    """By HTTP where both speak it; else it is found, where the other is. Who ends is gone."""
    put(face, KRATOS_KEY, "greeting: hello\n")
    by_http = [framework("kratos"), framework("gokit"), framework("hertz", "hertz.greeter")]
    gomicro, kitex = framework("gomicro"), framework("kitex")
    programs, _ = build("spring")
    if programs:
        spring = make_spring(face, programs)
        by_http.append(spring)
    everyone = [*by_http, gomicro, kitex]
    try:
        for number, one in enumerate(everyone):
            one.start(f"1.{number}.0")
        for one in everyone:
            one.waits_for(1)
        said = {one: f"hello you 1.{number}.0" for number, one in enumerate(by_http)}
        for one in by_http[:3]:
            others = [other for other in by_http if other is not one]
            assert one.call("call", "you", *[other.service for other in others])[-len(others):] == [
                said[other] for other in others], one.service
        others = [*by_http, gomicro]
        assert sorted(line.rsplit(" ", 1)[0] for line in finds(kitex, others)) == sorted(
            f"{other.service} {other.address()}" for other in others)
        others = [*by_http, kitex]
        assert sorted(gomicro.call(FIND=" ".join(other.service for other in others))) == sorted(
            f"{other.service} {other.address()}" for other in others)
        if programs:
            for other in [*by_http[:3], gomicro, kitex]:
                assert spring.ask(f"/found/{other.service}").json == [f"http://{other.address()}"]
            for other in by_http[:3]:
                answer = spring.ask(f"/ask/{other.service}/you").json
                assert f"{answer['message']} {answer['version']}" == said[other]
        for one in everyone:
            one.running[0].terminate()
        for one in everyone:
            face.eventually(lambda ended=one: not ended.listed(), CHECKED)
    finally:
        if programs:
            spring.stop()


def test_who_asks_for_it_is_removed_in_the_end(left_behind):
    """Hertz asks for it after a minute of being critical; go-kit does not."""
    hertz, gokit = left_behind
    hertz.face.eventually(lambda: not hertz.listed(), 60 + CHECKED)
    assert len(gokit.listed()) == 1
