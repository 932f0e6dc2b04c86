# SPDX-License-Identifier: Apache-2.0
"""The command line: every verb, as a table and as --json, and its exit status."""
import json
import os
import re
import subprocess

import pytest

VERBS = {"services", "builds", "instances", "service set", "service default", "service remove",
         "register", "drain", "deregister", "contracts", "apps", "releases", "app default", "pin",
         "unpin", "customers", "customer set", "cohorts", "cohort set", "cohort remove", "explain",
         "rollouts", "rollout start", "rollout show", "rollout step", "rollout pause",
         "rollout resume", "rollout promote", "rollout abort", "usage", "retire check",
         "retire offline", "retire restore", "publish", "health", "call"}
RUN = set()


@pytest.fixture
def cli(daemon):
    """cli("pin acme shop 4.1.0") against a daemon; words in [] stay together."""

    def run(line, *more, status=0):
        words = line.split()
        RUN.add(" ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0])
        return daemon.cli(*words, *more, status=status)

    run.daemon = daemon
    return run


def as_json(cli, line, *more):
    return json.loads(cli(line, *more, "--json"))


def table(text):
    """Rows of a table by the titles of its columns, which are apart by two spaces or more."""
    lines = [re.split(r"  +", line) for line in text.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_services_and_instances(cli):
    assert cli("services") == "no service is registered\n"
    assert cli("register orders orders-1 127.0.0.1:9 --build 3.14.2 --ttl=30s") == (
        "orders-1 of orders is registered at 127.0.0.1:9 with build 3.14.2, which provides "
        "orders@3\n")
    assert "it is unversioned; --build" in cli("register hello h 127.0.0.1:9")
    assert cli("deregister hello h") == "h of hello is gone\n"
    cli("service remove hello")
    cli("register orders orders-2 127.0.0.1:9 --build=3.15.0")
    [row] = table(cli("services"))
    assert (row["SERVICE"], row["CONTRACTS"], row["DEFAULT"], row["INSTANCES"], row["GRAY"]) == (
        "orders", "orders@3", "orders@3", "2", "on")
    builds = {row["BUILD"]: row["STATE"] for row in table(cli("builds orders"))}
    assert builds == {"3.14.2": "baseline", "3.15.0": "waiting"}
    rows = table(cli("instances orders"))
    assert [(row["INSTANCE"], row["STATE"], row["TTL"]) for row in rows] == [
        ("orders-1", "ready", "30s"), ("orders-2", "ready", "-")]
    assert "gets no new requests" in cli("drain orders orders-1")
    assert as_json(cli, "drain orders orders-1")["state"] == "draining"
    assert table(cli("instances orders"))[0]["STATE"] == "draining"
    cli("service set orders gray=off identity=true")
    assert as_json(cli, "services")["services"][0]["identity"] is True
    cli("register orders orders-4 127.0.0.1:9 --build 4.0.0")
    assert cli("service default orders@4").startswith("orders@4 serves callers")
    assert as_json(cli, "services")["services"][0]["default"] == "orders@4"
    assert "3" in cli("service remove orders", status=1)
    for number in (1, 2, 4):
        cli(f"deregister orders orders-{number}")
    cli("service remove orders")
    assert "not known" in cli("builds orders", status=1)
    assert "is no contract" in cli("service default orders", status=2)


def test_an_instance_of_grpc_is_registered_with_its_services_and_its_check(cli):
    register = "register orders orders-1 127.0.0.1:9 --build 1.2.3 --grpc-services a.B,c.D"
    assert "protocol is absent" in cli(register, status=1)
    cli(register + " --protocol grpc+tls --health grpc=a.B,interval=2s,failures=4")
    [instance] = as_json(cli, "instances orders")["instances"]
    assert instance["protocol"] == "grpc+tls"
    assert (instance["health"]["grpc"], instance["health"]["interval"],
            instance["health"]["failures"]) == ("a.B", "2s", 4)
    assert as_json(cli, "builds orders")["builds"][0]["grpc_services"] == ["a.B", "c.D"]
    assert "health.colour" in cli("register orders orders-1 127.0.0.1:9 --health colour=red",
                                  status=1)
    cli("register all all-1 127.0.0.1:9 --protocol grpc --health grpc")
    assert as_json(cli, "instances all")["instances"][0]["health"]["grpc"] == ""


def test_an_option_before_the_verb_is_told_where_it_belongs(cli):
    done = subprocess.run([cli.daemon.binary, "--data", "/x", "health"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 2 and "--data stands before the verb" in done.stderr


def test_contracts_and_retirement(cli):
    cli.daemon.register("orders", "orders-2", "127.0.0.1:9", "2.9.0")
    cli.daemon.register("orders", "orders-3", "127.0.0.1:9", "3.0.0")
    assert [(row["CONTRACT"], row["STATE"], row["BASELINE"]) for row in table(cli("contracts"))] \
        == [("orders@2", "active", "2.9.0"), ("orders@3", "active", "3.0.0")]
    cli("retire check orders@2", status=1)
    assert "orders@7 is not known" in cli("retire check orders@7", status=1)
    refused = cli("retire offline orders@2", status=1)
    assert "orders@2 is still needed" in refused and "  - " in refused
    cli("service default orders@3")
    assert cli("retire check orders@2") == "orders@2 is CLEAR\n"
    assert cli("retire offline orders@2 --why", "nobody calls it") == (
        "orders@2 is offline; callers get 410 and are pointed to orders@3; "
        "`sarsen retire restore orders@2` undoes it\n")
    [row] = [row for row in as_json(cli, "contracts")["contracts"] if row["major"] == 2]
    assert (row["state"], row["why"]) == ("offline", "nobody calls it")
    assert as_json(cli, "retire check orders@2")["verdict"] == "OFFLINE"
    assert cli("retire restore orders@2") == (
        "orders@2 is active; callers reach it by build 2.9.0\n")
    assert "is no contract" in cli("retire check orders", status=2)


def test_publishing_pins_and_cohorts(cli, tmp_path):
    cli.daemon.register("orders", "orders-3", "127.0.0.1:9", "3.0.0")
    for release in ("4.1.0", "4.2.0"):
        built = tmp_path / release
        (built / "assets").mkdir(parents=True)
        (built / "assets" / "main.js").write_text(f"run('{release}')")
        (built / "style.css").write_text("")
        (built / ".DS_Store").write_text("not for publishing")
        manifest = {"app": "shop", "release": release, "requires": {"orders": "3"},
                    "entries": [{"name": "@shop/main", "path": "assets/main.js"}],
                    "styles": ["style.css"]}
        (built / "sarsen.json").write_text(json.dumps(manifest))
        said = cli("publish", str(built))
        assert said == f"published shop {release} (2 files); " + (
            "it is the default\n" if release == "4.1.0" else
            "default is 4.1.0: `sarsen app default shop 4.2.0` or `sarsen rollout start "
            "shop@4.2.0` moves customers\n")
    assert cli("publish", str(tmp_path / "4.1.0")) == "shop 4.1.0 was published already\n"
    (tmp_path / "4.3.0").mkdir()
    (tmp_path / "4.3.0" / "sarsen.json").write_text(json.dumps(
        {"app": "shop", "release": "4.3.0", "requires": {"orders": "latest"}, "entries": []}))
    (tmp_path / "4.3.0" / "main.js").write_text("not sent")
    cli("publish", str(tmp_path / "4.3.0"), status=1)
    assert cli.daemon.call("GET", "/v1/apps/shop/releases/4.3.0").status == 404
    assert "cannot be read" in cli("publish", str(tmp_path), status=1)
    (tmp_path / "sarsen.json").write_text("{}")
    assert '"app" and "release"' in cli("publish", str(tmp_path), status=1)
    (tmp_path / "sarsen.json").write_text("{")
    assert "no JSON" in cli("publish", str(tmp_path), status=1)
    (tmp_path / "4.1.0" / "assets" / "main.js").write_text("other()")
    assert "4.1.0" in cli("publish", str(tmp_path / "4.1.0"), status=1)

    assert table(cli("apps")) == [{"APP": "shop", "DEFAULT": "4.1.0"}]
    assert [row["RELEASE"] for row in table(cli("releases shop"))] == ["4.1.0", "4.2.0"]
    assert cli("app default shop 4.2.0").startswith("shop 4.2.0 serves everybody")
    assert "9.9.9" in cli("app default shop 9.9.9", status=1)
    said = cli("pin acme shop 4.1.0 --expires 14d --why", "3 is not ready for it")
    assert re.fullmatch(r"acme is pinned to shop 4\.1\.0 until \S+; `sarsen unpin acme shop` "
                        r"undoes it\n", said), said
    said = cli("explain acme --app shop")
    assert "reason    PIN" in said and "serves    shop 4.1.0 with orders@3 by build 3.0.0" in said
    assert as_json(cli, "explain acme")["reason"] == "PIN"
    cli.daemon.register("cart", "c", "127.0.0.1:9", "1.2.0")
    assert re.search(r"^cart +cart@1 +1\.2\.0 +default contract$", cli("explain acme"), re.M)
    assert cli("customers").count("acme") == 2 and "not ready" in cli("customers")
    cli("unpin acme shop")
    assert "not known" in cli("unpin acme shop", status=1)
    assert cli("customers") == "no customer has attributes or pins\n"
    cli("customer set acme tier=gold plan=a=b")
    [row] = table(cli("customers"))
    assert (row["CUSTOMER"], row["ATTRIBUTES"]) == ("acme", "tier=gold plan=a=b")
    assert cli("cohorts") == "no cohort is named\n"
    cli("cohort set staff", "tier == 'internal'")
    assert table(cli("cohorts")) == [{"COHORT": "staff", "EXPRESSION": "tier == 'internal'"}]
    cli("cohort remove staff")


def test_rollouts(cli):
    cli.daemon.register("orders", "a", "127.0.0.1:9", "3.14.2")
    cli.daemon.register("orders", "b", "127.0.0.1:9", "3.15.0")
    assert cli("rollouts") == "no rollout was started\n"
    said = cli("rollout start orders@3.15.0 --steps 1,10:30s,50.5,100 --why", "it is time")
    assert "state    running, step 1 of 4, 1 %" in said and "orders@3.15.0" in said
    [row] = table(cli("rollouts"))
    name = row["ROLLOUT"]
    assert (row["STATE"], row["PCT"], row["WHY"]) == ("running", "1", "it is time")
    assert (row["MOVES"], row["STEP"]) == ("orders@3.15.0", "1 of 4")
    assert "why      it is time" in said and "→ step 1  1 %, by hand\n" in said
    assert "\n  step 2  10 % for 30s\n" in said
    assert "step 2 of 4, 10 %" in cli(f"rollout step {name}")
    assert as_json(cli, f"rollout show {name}")["steps"][1]["for"] == "30s"
    said = cli(f"rollout pause {name} --why lunch")
    assert "paused" in said and "why      it is time" in said and "reason   lunch" in said
    assert "running" in cli(f"rollout resume {name}")
    assert "aborted" in cli(f"rollout abort {name}")
    assert "aborted" in cli(f"rollout pause {name}", status=1)
    made = as_json(cli, "rollout start orders@3.15.0 --subject device --cohort", "tier == 'x'")
    assert (made["subject"], made["cohort"], len(made["steps"])) == ("device", "tier == 'x'", 4)
    assert "promoted" in cli(f"rollout promote {made['rollout']}")
    for steps in ("", "x", "10,", "10:", "1e"):
        said = cli(f"rollout start orders@3.14.2 --steps={steps}", status=2) if steps != "10:" \
            else cli(f"rollout start orders@3.14.2 --steps={steps}", status=1)
        assert "steps" in said


def test_usage(cli, service):
    assert cli("usage") == "no use is known\n"
    cli.daemon.register("orders", "a", service().address, "3.0.0")
    for _ in range(3):
        cli.daemon.internal_get("/api/orders/", {"Sarsen-Customer": "acme",
                                                 "Sarsen-Caller": "cron & co"})
    [row] = table(cli("usage orders@3"))
    assert (row["CONTRACT"], row["CUSTOMER"], row["CALLER"], row["REQUESTS"]) == (
        "orders@3", "acme", "cron & co", "3")
    assert as_json(cli, "usage --by build")["usage"][0]["build"] == "3.0.0"
    assert cli("usage --by build,app").split("\n")[0].split() == [
        "BUILD", "APP", "REQUESTS", "ERRORS", "LAST"]
    assert "orders@9 is not known" in cli("usage orders@9", status=1)
    assert cli("usage --customer globex") == "no use is known\n"
    assert table(cli("usage --since 1h --app= --release= --build 3.0.0 --caller", "cron & co"))
    assert "by: of contract" in cli("usage --by colour", status=1)


def test_health_and_call(cli):
    assert cli("health").startswith("ok, version 0.1.0, revision ")
    assert as_json(cli, "health")["status"] == "ok"
    made = json.loads(cli("call PUT /v1/customers/acme", '{"attributes":{"a":"b"}}'))
    assert made["customer"] == "acme"
    assert json.loads(cli("call GET /v1/customers/acme")) == made
    assert cli("call DELETE /v1/customers/acme") == ""
    assert "no resource" in cli("call GET /v1/nothing", status=1)
    for path in ("v1/health", "/v1/he alth", "/v1/health\r\nX: y", ""):
        assert "argument" in cli("call GET", path, status=1)


def test_dry_run_makes_no_change(cli):
    cli.daemon.register("orders", "a", "127.0.0.1:9", "3.14.2")
    before = cli.daemon.get("/v1/health")["revision"]
    assert table(cli("customer set acme a=b --dry-run"))[0]["CHANGE"] == "put"
    assert as_json(cli, "deregister orders a --dry-run")["changes"][0]["change"] == "delete"
    cli("call PUT /v1/cohorts/staff --dry-run", '{"expression":"a == \'b\'"}')
    cli("service default orders@3 --dry-run")
    assert cli.daemon.get("/v1/health")["revision"] == before


def test_names_are_encoded(cli):
    cli("customer set", "a?b#c%d", "x=y")
    assert cli.daemon.get("/v1/customers/a%3Fb%23c%25d")["attributes"] == {"x": "y"}


def run_alone(binary, *arguments, **options):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SARSEN")}
    environment.update(options.pop("env", {}))
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=20,
                          check=False, env=environment, **options)


@pytest.mark.parametrize(("line", "words"), [
    ("", "usage: sarsen VERB"),
    ("dance", 'no verb "dance"'),
    ("rollout", "usage: sarsen rollout VERB"),
    ("help dance", 'no verb "dance"'),
    ("rollout dance", 'no verb "rollout"'),
    ("builds", "usage: sarsen builds SERVICE"),
    ("builds a b", "usage: sarsen builds SERVICE"),
    ("services --colour red", "services takes no option --colour"),
    ("pin a b c --ttl 3", "pin takes no option --ttl"),
    ("pin a b c --why", "--why needs a value"),
    ("services --json=yes", "--json takes no value"),
    ("customer set " + "a " * 40, "usage: sarsen customer set"),
    ("services --address ftp://x", "neither http(s)://host:port nor unix:/path"),
    ("server", "usage: sarsen server"),
    ("server -c a b", "usage: sarsen server"),
    ("dev --ephemeral --data x", "exclude each other"),
    ("dev --colour", "usage: sarsen dev"),
])
def test_wrong_usage(binary, tmp_path, line, words):
    done = run_alone(binary, *line.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert words in done.stderr, done.stderr


def test_help(binary):
    for arguments in (["help"], ["--help"]):
        done = run_alone(binary, *arguments)
        assert done.returncode == 0
        for verb in VERBS | {"dev", "server -c FILE", "config"}:
            assert f"  {verb}" in done.stdout, verb
    assert run_alone(binary, "version").stdout == "sarsen 0.1.0\n"
    for verb in sorted(VERBS):
        done = run_alone(binary, *verb.split(), "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: sarsen {verb}"), verb
        assert run_alone(binary, "help", *verb.split()).stdout == done.stdout
    for arguments in (["rollout", "--help"], ["help", "rollout"]):
        done = run_alone(binary, *arguments)
        assert done.returncode == 0 and "  rollout start MEMBER…" in done.stdout
        assert "pin CUSTOMER" not in done.stdout
    for verb in ("dev", "server"):
        done = run_alone(binary, verb, "--help" if verb == "dev" else "-h")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: sarsen {verb}")


def test_where_the_server_is_and_who_asks(daemon, binary, tmp_path):
    nobody = run_alone(binary, "services", "--address", "http://127.0.0.1:1", cwd=tmp_path)
    assert nobody.returncode == 1 and "is it running?" in nobody.stderr
    assert "nobody answers at http://127.0.0.1:1\n" in nobody.stderr
    lost = run_alone(binary, "services", "--data", "elsewhere", cwd=tmp_path)
    assert lost.returncode == 1
    assert lost.stderr == "sarsen: elsewhere/token cannot be read: No such file or directory\n"
    address = f"http://{daemon.api}"
    stranger = run_alone(binary, "contracts", "--address", address, cwd=tmp_path)
    assert stranger.returncode == 1 and "SARSEN_TOKEN" in stranger.stderr
    for arguments, environment in (
            ((), {"SARSEN_ADDRESS": address, "SARSEN_TOKEN": daemon.token}),
            (("--address", address, "--token", daemon.token), {"SARSEN_TOKEN": "wrong"}),
            (("--data", daemon.data), {"SARSEN_ADDRESS": address, "SARSEN_TOKEN": "wrong"}),
            (("--address", f"unix:{daemon.data}/api.sock", "--data", daemon.data), {})):
        done = run_alone(binary, "contracts", *arguments, env=environment, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "no contract is known\n"), done
    beside = run_alone(binary, "contracts", "--address", address, cwd=daemon.directory)
    assert beside.returncode == 1  # its data directory is not .sarsen
    (daemon.directory / ".sarsen").symlink_to(daemon.data)
    beside = run_alone(binary, "contracts", "--address", address, cwd=daemon.directory)
    assert beside.returncode == 0


def test_every_verb_was_run():
    if len(RUN) > 30:  # the whole file ran
        assert RUN == VERBS
