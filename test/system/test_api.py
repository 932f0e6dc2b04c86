# SPDX-License-Identifier: Apache-2.0
"""The management API, route by route: every answer that src/api/spec promises is seen.

A test claims the answers of a route with @answers; the claim holds only when the daemon really
gave each of them during the test, and the last test finds the promises nobody claims.
"""
import functools
import json
import pathlib
import re
import resource

import pytest

SPEC = pathlib.Path(__file__).resolve().parents[2] / "src" / "api" / "spec"
ROUTES = [route for file in sorted(SPEC.glob("*.json")) for route in json.loads(file.read_text())]
PROMISED = {(f"{route['method']} {route['path']}", int(status))
            for route in ROUTES for status in route["answers"]}
CLAIMED = set()


def pattern(path):
    """A regular expression of a route's path."""
    made = re.escape(path).replace(r"\{path\.\.\.\}", ".+")
    return re.compile(re.sub(r"\\\{[a-z0-9]+\\\}", "[^/:]+", made) + "$")


def answers(route, *statuses):
    """Claims answers of a route for a test that takes the fixture `api`."""
    method, path = route.split(" ")
    assert path in {known["path"] for known in ROUTES}, path
    CLAIMED.update((route, status) for status in statuses)

    def wrap(test):
        @functools.wraps(test)
        def run(*arguments, **named):
            test(*arguments, **named)
            seen = {status for call_method, target, status in named["api"].seen
                    if call_method == method
                    and pattern(path).match(target.partition("?")[0])}
            assert set(statuses) <= seen, f"{route} gave {seen}, not all of {statuses}"
        return run
    return wrap


@pytest.fixture
def api(make_daemon):
    return make_daemon()


def refused(answer, status, *words):
    """The problem document says what is wrong, in a sentence."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status and problem["title"]
    for word in words:
        assert word in problem["detail"], problem
    return problem


ORDERS = "/v1/services/orders"
INSTANCE = f"{ORDERS}/instances/orders-1"
BODY = {"address": "127.0.0.1:9", "build": "3.14.2", "ttl": "30s"}


# --- meta ---

@answers("GET /v1/health", 200)
@answers("GET /v1/openapi.json", 200)
@answers("GET /v1/upstreams", 200)
def test_it_tells_of_itself(api):
    assert api.get("/v1/upstreams") == {"upstreams": []}
    health = api.get("/v1/health", token=False)
    assert health["status"] == "ok" and health["version"] == "0.1.0"
    document = api.get("/v1/openapi.json", token=False)
    assert document["openapi"] == "3.1.0"
    described = {(f"{method.upper()} {path}", int(status))
                 for path, item in document["paths"].items()
                 for method, operation in item.items() for status in operation["responses"]}
    assert described == {(route.replace("...}", "}"), status) for route, status in PROMISED}


@answers("GET /v1/health", 200, 503)
def test_a_full_disk_makes_it_read_only(api):
    """Files may not grow any more: writes are refused, the rest goes on, and so do writes later."""
    api.stop()
    api.start(restore_signals=False)  # Python ignores SIGXFSZ; so does the daemon then
    api.expect_log("store|disk|ledger")
    api.call("PUT", f"{ORDERS}/builds/3.0.0", {}, status=201)
    resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    answer = None
    for minor in range(200):
        answer = api.call("PUT", f"{ORDERS}/builds/3.{minor + 1}.0", {"digest": "d" * 150})
        if answer.status != 201:
            break
    refused(answer, 503)
    refused_health = api.call("GET", "/v1/health", token=False)
    assert refused_health.status == 503 and refused_health.json["status"] == "read-only"
    assert api.get(f"{ORDERS}/builds")["builds"]
    resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    api.eventually(lambda: api.call("PUT", f"{ORDERS}/builds/4.0.0", {}).status in (200, 201))
    api.get("/v1/health")


# --- services, builds, instances ---

@answers("GET /v1/services", 200)
@answers("GET /v1/services/{service}", 200, 404)
@answers("PUT /v1/services/{service}", 200, 201, 400)
@answers("DELETE /v1/services/{service}", 204, 404, 409)
def test_services(api):
    assert api.get("/v1/services") == {"services": []}
    refused(api.call("GET", ORDERS), 404, "orders")
    made = api.call("PUT", ORDERS, {"identity": True, "gray": "off", "auto_start": True,
                                    "when_baseline_gone": "promote"}, status=201)
    assert made.json["gray"] == "off" and made.json["identity"] is True
    kept = api.call("PUT", ORDERS, {"gray": "on"}, status=200).json
    assert (kept["gray"], kept["auto_start"], kept["when_baseline_gone"]) == ("on", True, "promote")
    assert api.get(ORDERS) == kept
    refused(api.call("PUT", ORDERS, {"gray": "perhaps"}), 400, "gray", "perhaps")
    refused(api.call("PUT", "/v1/services/Orders", {}), 400, "Orders")
    api.register("orders", "orders-1", "127.0.0.1:9", "3.14.2")
    assert [service["service"] for service in api.get("/v1/services")["services"]] == ["orders"]
    refused(api.call("DELETE", ORDERS), 409, "orders-1")
    api.call("DELETE", INSTANCE, status=204)
    api.call("DELETE", ORDERS, status=204)
    refused(api.call("DELETE", ORDERS), 404, "orders")


@answers("PUT /v1/services/{service}/default", 200, 404, 409)
def test_the_default_contract(api, service):
    orders = service()
    for major in (2, 3):
        api.register("orders", f"o{major}", orders.address, f"{major}.0.0")
    assert api.get(ORDERS)["default"] == "orders@2"
    body = api.edge_get("/api/orders/").headers
    assert body["Sarsen-Contract"] == "orders@2"
    assert api.call("PUT", f"{ORDERS}/default", {"contract": 3}, status=200).json[
        "default"] == "orders@3"
    assert api.edge_get("/api/orders/").headers["Sarsen-Contract"] == "orders@3"
    refused(api.call("PUT", f"{ORDERS}/default", {"contract": 9}), 404, "orders@9")
    refused(api.call("PUT", f"{ORDERS}/default", {"contract": 2**40}), 400, "contract")
    api.call("PUT", "/v1/contracts/orders/4", {}, status=201)
    refused(api.call("PUT", f"{ORDERS}/default", {"contract": 4}), 409, "orders@4")


@answers("GET /v1/services/{service}/builds", 200, 404)
@answers("PUT /v1/services/{service}/builds/{build}", 200, 201, 400, 409)
def test_builds(api):
    refused(api.call("GET", f"{ORDERS}/builds"), 404, "orders")
    made = api.call("PUT", f"{ORDERS}/builds/3.14.2",
                    {"provides": ["orders@3", "orders@2"], "digest": "sha256:1"}, status=201).json
    assert made["provides"] == ["orders@2", "orders@3"] and made["state"] == "baseline"
    api.call("PUT", f"{ORDERS}/builds/3.14.2",
             {"provides": ["orders@3", "orders@2"], "digest": "sha256:1"}, status=200)
    refused(api.call("PUT", f"{ORDERS}/builds/3.14.2", {"provides": ["orders@3"]}), 409, "orders@3")
    refused(api.call("PUT", f"{ORDERS}/builds/3.x", {}), 400, "3.x")
    refused(api.call("PUT", f"{ORDERS}/builds/3.15.0", {"provides": ["cart@1"]}), 400,
            "provides[0]", "cart@1")
    assert [build["build"] for build in api.get(f"{ORDERS}/builds")["builds"]] == ["3.14.2"]


@answers("GET /v1/services/{service}/instances", 200, 400, 404)
@answers("GET /v1/services/{service}/instances/{id}", 200, 404)
@answers("PUT /v1/services/{service}/instances/{id}", 200, 201, 400, 409)
@answers("DELETE /v1/services/{service}/instances/{id}", 204, 404)
@answers("POST /v1/services/{service}/instances/{id}:heartbeat", 204, 404)
@answers("POST /v1/services/{service}/instances/{id}:drain", 200, 404)
def test_instances(api):
    for method, path in (("GET", f"{ORDERS}/instances"), ("GET", INSTANCE), ("DELETE", INSTANCE),
                         ("POST", f"{INSTANCE}:heartbeat"), ("POST", f"{INSTANCE}:drain")):
        refused(api.call(method, path), 404)
    made = api.call("PUT", INSTANCE, {**BODY, "meta": {"zone": "a"}}, status=201).json
    assert made["state"] == "ready" and made["ttl"] == "30s" and made["meta"] == {"zone": "a"}
    assert made["provides"] == ["orders@3"]
    api.call("PUT", INSTANCE, {**BODY, "meta": {"zone": "a"}}, status=200)
    refused(api.call("PUT", INSTANCE, {**BODY, "address": "nowhere"}), 400, "address", "nowhere")
    refused(api.call("PUT", INSTANCE, {**BODY, "ttl": "1ms"}), 400, "ttl")
    refused(api.call("PUT", INSTANCE, {**BODY, "protocol": "carrier pigeon"}), 400, "protocol")
    refused(api.call("PUT", INSTANCE, {**BODY, "provides": ["orders@4"]}), 409, "orders@4")
    assert api.get(f"{ORDERS}/instances")["instances"] == [api.get(INSTANCE)]
    for query in ("after=soon", "after=1&wait=long", "after=1&wait=11m", "after=%zz"):
        refused(api.call("GET", f"{ORDERS}/instances?{query}"), 400)
    assert api.call("POST", f"{INSTANCE}:heartbeat", status=204).body == b""
    assert api.call("POST", f"{INSTANCE}:drain", status=200).json["state"] == "draining"
    api.call("DELETE", INSTANCE, status=204)


# --- contracts, apps, releases ---

@answers("GET /v1/contracts", 200)
@answers("GET /v1/contracts/{service}/{major}", 200, 404)
@answers("PUT /v1/contracts/{service}/{major}", 200, 201, 400)
def test_contracts(api):
    path = "/v1/contracts/orders/3"
    refused(api.call("GET", path), 404, "orders@3")
    refused(api.call("GET", "/v1/contracts/orders/three"), 404, "orders@three")
    made = api.call("PUT", path, {"kind": "graphql", "owner": "team orders"}, status=201).json
    assert made["contract"] == "orders@3" and made["state"] == "active" and made["baseline"] == ""
    assert api.call("PUT", path, {"successor": "orders@4"}, status=200).json["kind"] == "graphql"
    assert api.get(path)["successor"] == "orders@4"
    refused(api.call("PUT", path, {"kind": "smoke signals"}), 400, "kind", "smoke signals")
    refused(api.call("PUT", path, {"successor": "later"}), 400, "successor")
    refused(api.call("PUT", "/v1/contracts/orders/three", {}), 400, "three")
    assert [row["contract"] for row in api.get("/v1/contracts")["contracts"]] == ["orders@3"]


@answers("POST /v1/contracts/{service}/{major}:offline", 200, 404, 409)
@answers("POST /v1/contracts/{service}/{major}:restore", 200, 404, 409)
@answers("GET /v1/contracts/{service}/{major}/retirement", 200, 404)
def test_retirement(api):
    two = "/v1/contracts/orders/2"
    for call in (("POST", f"{two}:offline"), ("POST", f"{two}:restore"),
                 ("GET", f"{two}/retirement"), ("POST", "/v1/contracts/orders/x:offline"),
                 ("POST", "/v1/contracts/orders/x:restore")):
        refused(api.call(*call), 404)
    api.register("orders", "orders-2", "127.0.0.1:9", "2.9.0")
    verdict = api.get(f"{two}/retirement")
    assert verdict["verdict"] == "BLOCKED"
    assert [blocker["kind"] for blocker in verdict["blockers"]] == ["default-contract"]
    problem = refused(api.call("POST", f"{two}:offline", {"why": "old"}), 409, "orders@2")
    assert problem["blockers"] == verdict["blockers"]
    refused(api.call("POST", f"{two}:restore"), 409, "orders@2")
    api.register("orders", "orders-3", "127.0.0.1:9", "3.0.0")
    api.call("PUT", f"{ORDERS}/default", {"contract": 3}, status=200)
    assert api.get(f"{two}/retirement")["verdict"] == "CLEAR"
    gone = api.call("POST", f"{two}:offline", {"why": "old"}, status=200).json
    assert (gone["state"], gone["why"], gone["successor"]) == ("offline", "old", "orders@3")
    assert api.get(f"{two}/retirement")["verdict"] == "OFFLINE"
    refused(api.call("POST", f"{two}:offline"), 409, "orders@2")
    assert api.call("POST", f"{two}:restore", status=200).json["state"] == "active"


SHOP = "/v1/apps/shop"
RELEASE = f"{SHOP}/releases/4.2.0"
MANIFEST = {"requires": {"orders": "3"}, "entries": [{"name": "@shop/main", "path": "main.js"}]}


@answers("GET /v1/apps", 200)
@answers("GET /v1/apps/{app}", 200, 404)
@answers("GET /v1/apps/{app}/releases/{release}", 200, 404)
@answers("PUT /v1/apps/{app}/releases/{release}", 200, 201, 400, 409)
@answers("PUT /v1/apps/{app}/releases/{release}/files/{path...}", 200, 201, 400, 409, 413)
@answers("GET /v1/blobs/{sha256}", 200, 404)
def test_releases(api):
    refused(api.call("GET", SHOP), 404, "shop")
    refused(api.call("GET", RELEASE), 404, "4.2.0", "shop")
    refused(api.call("PUT", RELEASE, MANIFEST), 409, "entries[0].path", "main.js")
    file = api.call("PUT", f"{RELEASE}/files/main.js", b"run()", status=201).json
    assert file["size"] == 5 and file["integrity"].startswith("sha384-")
    assert api.call("GET", f"/v1/blobs/{file['sha256']}", status=200).body == b"run()"
    refused(api.call("GET", f"/v1/blobs/{file['sha256'][1:]}"), 404, "sha256")
    api.call("PUT", f"{RELEASE}/files/main.js", b"run()", status=200)
    api.call("PUT", f"{RELEASE}/files/deep/below/a%20b.css", b"x", status=400)
    api.call("PUT", f"{RELEASE}/files/deep/below/ab.css", b"", status=201)
    wrong = {**MANIFEST, "entries": [{"name": "@shop/main", "path": "main.js",
                                      "integrity": "sha384-no"}]}
    refused(api.call("PUT", RELEASE, wrong), 409, "entries[0].integrity")
    refused(api.call("PUT", RELEASE, {**MANIFEST, "requires": {"orders": "latest"}}), 400,
            "requires.orders", "latest")
    refused(api.call("PUT", RELEASE, {**MANIFEST, "release": "4.3.0"}), 400, "release", "4.3.0")
    refused(api.call("PUT", RELEASE, {**MANIFEST, "entries": []}), 400, "entries")
    refused(api.call("PUT", RELEASE, {**MANIFEST, "entries": [
        {"name": f"n{n}", "path": "main.js"} for n in range(300)]}), 400, "entries", "300")
    made = api.call("PUT", RELEASE, {**MANIFEST, "styles": ["deep/below/ab.css"]}, status=201).json
    assert made["published"] and made["requires"] == {"orders": "3"}
    assert {entry["path"] for entry in made["files"]} == {"main.js", "deep/below/ab.css"}
    api.call("PUT", RELEASE, {**MANIFEST, "styles": ["deep/below/ab.css"]}, status=200)
    refused(api.call("PUT", RELEASE, MANIFEST), 409, "4.2.0")
    refused(api.call("PUT", f"{RELEASE}/files/main.js", b"other()"), 409, "main.js")
    refused(api.call("PUT", f"{RELEASE}/files/big.js", b"", {"Content-Length": str(2 ** 28 + 1)}),
            413, "256 MiB")
    api.call("PUT", f"{RELEASE}/files/main.js", b"run()", status=200)
    assert api.get("/v1/apps")["apps"] == [api.get(SHOP)]
    assert api.get(RELEASE) == made


@answers("PUT /v1/apps/{app}/default", 200, 404, 409)
def test_the_default_release(api):
    api.register("orders", "orders-1", "127.0.0.1:9", "3.14.2")
    api.publish("shop", "4.1.0", {"orders": "3"})
    api.publish("shop", "4.2.0", {"orders": "3"})
    api.publish("shop", "4.3.0", {"orders": "4"})
    assert api.get(SHOP)["default"] == "4.1.0"
    assert api.call("PUT", f"{SHOP}/default", {"release": "4.2.0"}, status=200).json[
        "default"] == "4.2.0"
    refused(api.call("PUT", f"{SHOP}/default", {"release": "9.9.9"}), 404, "9.9.9")
    refused(api.call("PUT", "/v1/apps/none/default", {"release": "4.2.0"}), 404, "none")
    refused(api.call("PUT", f"{SHOP}/default", {"release": "4.3.0"}), 409, "orders")


# --- customers ---

@answers("GET /v1/customers", 200)
@answers("GET /v1/customers/{customer}", 200, 404)
@answers("PUT /v1/customers/{customer}", 200, 201, 400)
@answers("DELETE /v1/customers/{customer}", 204, 404)
@answers("GET /v1/customers/{customer}/explain", 200, 404)
def test_customers(api):
    path = "/v1/customers/acme"
    refused(api.call("GET", path), 404, "acme")
    refused(api.call("DELETE", path), 404, "acme")
    made = api.call("PUT", path, {"attributes": {"tier": "gold"}}, status=201).json
    assert made == {"customer": "acme", "attributes": {"tier": "gold"}, "pins": []}
    assert api.call("PUT", path, {"attributes": {"plan": "free"}}, status=200).json[
        "attributes"] == {"plan": "free"}
    refused(api.call("PUT", path, {"attributes": {"no name": "x"}}), 400, "attributes")
    refused(api.call("PUT", path, {"attributes": {f"a{n}": "x" for n in range(500)}}), 400)
    refused(api.call("PUT", "/v1/customers/~me", {"attributes": {}}), 400, "~")
    assert api.get("/v1/customers")["customers"] == [api.get(path)]
    why = api.get(f"{path}/explain")
    assert why["customer"] == "acme" and len(why["bom"]) == 16 and why["reason"] == "DEFAULT"
    assert why["services"] == []
    refused(api.call("GET", f"{path}/explain?app=none"), 404, "none")
    api.call("DELETE", path, status=204)


@answers("PUT /v1/customers/{customer}/pins/{app}", 200, 201, 400, 404, 409)
@answers("DELETE /v1/customers/{customer}/pins/{app}", 204, 404)
def test_pins(api):
    path = "/v1/customers/acme/pins/shop"
    refused(api.call("DELETE", path), 404, "acme")
    refused(api.call("PUT", path, {"release": "4.1.0"}), 404, "shop")
    api.register("orders", "orders-1", "127.0.0.1:9", "3.14.2")
    api.publish("shop", "4.1.0", {"orders": "3"})
    api.publish("shop", "4.3.0", {"orders": "4"})
    made = api.call("PUT", path, {"release": "4.1.0", "why": "asked for it"}, status=201).json
    assert made["why"] == "asked for it" and made["expires"]
    assert api.call("PUT", path, {"release": "4.1.0", "expires": "never"}, status=200).json[
        "expires"] is None
    api.call("PUT", path, {"release": "4.1.0", "expires": "2999-01-01T00:00:00Z"}, status=200)
    for expires in ("soon", "2001-01-01T00:00:00Z", "0s", ""):
        refused(api.call("PUT", path, {"release": "4.1.0", "expires": expires}), 400, "expires")
    refused(api.call("PUT", path, {"release": "4.3.0"}), 409, "orders")
    refused(api.call("PUT", path, {"release": "9.9.9"}), 404, "9.9.9")
    api.call("DELETE", path, status=204)
    refused(api.call("DELETE", path), 404)


@answers("GET /v1/cohorts", 200)
@answers("PUT /v1/cohorts/{cohort}", 200, 201, 400)
@answers("DELETE /v1/cohorts/{cohort}", 204, 404)
def test_cohorts(api):
    path = "/v1/cohorts/staff"
    refused(api.call("DELETE", path), 404, "staff")
    api.call("PUT", path, {"expression": "tier == 'internal'"}, status=201)
    api.call("PUT", path, {"expression": "tier in ['internal', 'partner']"}, status=200)
    refused(api.call("PUT", path, {"expression": "tier =="}), 400, "expression")
    assert api.get("/v1/cohorts")["cohorts"] == [
        {"cohort": "staff", "expression": "tier in ['internal', 'partner']"}]
    api.call("DELETE", path, status=204)


@answers("GET /v1/cluster", 200)
def test_cluster(api):
    assert api.get("/v1/cluster", token=False)["store"] == "embedded"


# --- rollouts, usage ---

@answers("GET /v1/rollouts", 200)
@answers("POST /v1/rollouts", 201, 400, 404, 409)
@answers("GET /v1/rollouts/{rollout}", 200, 404)
@answers("POST /v1/rollouts/{rollout}:{verb}", 200, 404, 409)
def test_rollouts(api):
    assert api.get("/v1/rollouts") == {"rollouts": []}
    api.register("orders", "orders-1", "127.0.0.1:9", "3.14.2")
    start = {"service": "orders", "build": "3.15.0"}
    refused(api.call("POST", "/v1/rollouts", start), 404, "3.15.0")
    api.register("orders", "orders-2", "127.0.0.1:9", "3.15.0")
    for body, word in (({}, "members"), ({"service": "orders"}, "build"),
                       ({**start, "subject": "moon"}, "subject"),
                       ({**start, "steps": [{"for": "1s"}]}, "steps[0]"),
                       ({**start, "steps": [{"pct": 50}, {"pct": 10}]}, "steps[1]"),
                       ({**start, "steps": [{"pct": 1}] * 40}, "steps"),
                       ({**start, "cohort": "tier =="}, "cohort"),
                       ({"members": ["orders"]}, "members[0]"),
                       ({"members": ["orders@3.15.0"] * 40}, "members"),
                       ({"members": ["orders@3.15.0", "orders@3.15.0"]}, "members")):
        refused(api.call("POST", "/v1/rollouts", body), 400, word)
    made = api.call("POST", "/v1/rollouts", start, status=201).json
    assert made["state"] == "running" and made["pct"] == 1 and len(made["steps"]) == 4
    assert made["members"] == [{"member": "orders@3.15.0", "kind": "build", "from": "3.14.2"}]
    refused(api.call("POST", "/v1/rollouts", start), 409, made["rollout"])
    path = f"/v1/rollouts/{made['rollout']}"
    assert api.get(path) == made
    refused(api.call("GET", "/v1/rollouts/none"), 404, "none")
    refused(api.call("POST", f"{path}:jump"), 404, "jump", "pause")
    refused(api.call("POST", "/v1/rollouts/none:pause"), 404, "none")
    assert api.call("POST", f"{path}:pause", {"why": "lunch"}, status=200).json["state"] == "paused"
    refused(api.call("POST", f"{path}:pause"), 409, "paused")
    api.call("POST", f"{path}:resume", status=200)
    assert api.call("POST", f"{path}:abort", status=200).json["state"] == "aborted"
    assert [row["rollout"] for row in api.get("/v1/rollouts")["rollouts"]] == [made["rollout"]]


@answers("GET /v1/usage", 200, 400, 404)
def test_usage(api):
    assert api.get("/v1/usage") == {"usage": []}
    for contract in ("orders%402", "orders"):
        refused(api.call("GET", f"/v1/usage?contract={contract}"), 404, "orders", "not known")
    api.register("orders", "orders-2", "127.0.0.1:9", "2.0.0")
    assert api.get("/v1/usage?by=contract,app&since=30d&contract=orders%402") == {"usage": []}
    for query in ("by=colour", "since=yesterday", "by=contract,,caller", "contract=%zz"):
        refused(api.call("GET", f"/v1/usage?{query}"), 400)


@answers("POST /v1/tokens", 201, 400, 409)
@answers("GET /v1/tokens", 200)
@answers("DELETE /v1/tokens/{token}", 204, 404)
def test_tokens(api):
    made = api.call("POST", "/v1/tokens", {"name": "ci", "read_only": True, "expires": "1h"},
                    status=201).json
    refused(api.call("POST", "/v1/tokens", {"name": "ci"}), 409, "taken")
    refused(api.call("POST", "/v1/tokens", {"name": "C I"}), 400, "name")
    (row,) = api.get("/v1/tokens")["tokens"]
    assert row == {key: value for key, value in made.items() if key != "token"}
    api.call("DELETE", "/v1/tokens/ci", status=204)
    refused(api.call("DELETE", "/v1/tokens/ci"), 404, "ci")


@answers("GET /v1/audit", 200, 400)
def test_audit(api):
    assert api.get("/v1/audit") == {"audit": []}
    api.call("PUT", "/v1/cohorts/staff", {"expression": "a == 'b'"}, status=201)
    (row,) = api.get("/v1/audit")["audit"]
    assert (row["who"], row["path"], row["changes"]) == ("token", "/v1/cohorts/staff", 1)
    refused(api.call("GET", "/v1/audit?limit=none"), 400, "limit")


def test_explain_names_what_serves_of_every_service(api):
    for build in ("3.1.0", "3.2.0", "4.0.0"):
        api.register("orders", build, "127.0.0.1:9", build)
    api.register("hello", "h", "127.0.0.1:9")
    api.publish("shop", "1.0.0", {"hello": "0"})
    api.call("PUT", "/v1/services/empty", {}, status=201)

    def served():
        return {row["service"]: (row["contract"], row["build"], row["why"])
                for row in api.get("/v1/customers/acme/explain")["services"]}

    others = {"hello": ("hello@0", "0.0.0", "baseline"), "empty": (None, None, "no contract")}
    assert served() == {"orders": ("orders@3", "3.1.0", "default contract"), **others}
    rollout = api.call("POST", "/v1/rollouts", {"members": ["orders@3.2.0"],
                                                "steps": [{"pct": 100}]}, status=201).json
    assert served()["orders"] == ("orders@3", "3.2.0", f"rollout {rollout['rollout']}")


def test_every_promised_answer_is_claimed():
    assert sorted(PROMISED - CLAIMED) == []
