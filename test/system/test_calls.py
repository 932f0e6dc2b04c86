# SPDX-License-Identifier: Apache-2.0
"""What holds for every call of the management API: bodies, ?dry_run, ETags, who may, waiting."""
import concurrent.futures
import re
import socket
import threading
import time

import pytest
from support.daemon import request
from test_api import BODY, INSTANCE, ORDERS, ROUTES, refused

# --- bodies ---

BODIES = [
    (b"", "address", "absent"),
    (b"{}", "address", "absent"),
    (b'{"address":7}', "address", "is 7; a text is accepted"),
    (b'{"address":null}', "address", "null"),
    (b'{"address":"127.0.0.1:9","adress":"x"}', "adress", "accepted are address, build"),
    (b'{"address":"127.0.0.1:9","address":"127.0.0.1:8"}', "the body", "duplicate"),
    (b'{"address":"127.0.0.1:9","ttl":30}', "ttl", "a duration"),
    (b'{"address":"127.0.0.1:9","ttl":"half an hour"}', "ttl", "a duration"),
    (b'{"address":"127.0.0.1:9","provides":"orders@3"}', "provides", "a list of texts"),
    (b'{"address":"127.0.0.1:9","provides":[3]}', "provides", "a list of texts"),
    (b'{"address":"127.0.0.1:9","meta":{"a":1}}', "meta", "values are texts"),
    (b'{"address":"127.0.0.1:9","meta":[]}', "meta", "values are texts"),
    (b"[]", "the body", "an object"),
    (b'"text"', "the body", "JSON"),
    (b"{", "the body", "line 1"),
    (b'{"address":"127.0.0.1:9"}x', "the body", "JSON"),
    (b'\n\n{"address"\n', "the body", "line 4"),
    (b'{"address":"\xff"}', "the body", "JSON"),
    (b'{"address":"a\\u0000b"}', "the body", "JSON"),
    (b"[" * 5000, "the body", "JSON"),
    (b'{"' + "x\u00fc".encode() * 200 + b'":1}', "x\u00fc", "not known"),
    (b'{"address":["' + "x\u00f6".encode() * 200 + b'"]}', "address", "a text is accepted"),
]


@pytest.mark.parametrize(("body", "field", "words"), BODIES)
def test_a_body_is_held_to_the_table(shared, body, field, words):
    problem = refused(shared.call("PUT", INSTANCE, body), 400, field, words)
    assert problem["field"].startswith(field), problem
    shared.call("GET", INSTANCE, status=404)


def test_steps_are_held_to_the_table(shared):
    for steps, words in (([7], "steps[0]"), ([{"pct": 101}], "steps[0].pct"),
                         ([{"pct": 1}, {"pct": "x"}], "steps[1].pct"),
                         ([{"percent": 1}], "steps[0].percent"), ({}, "a list of objects")):
        refused(shared.call("POST", "/v1/rollouts", {"members": ["a@1"], "steps": steps}), 400,
                words)
    for contract in (-1, 1.5, "3", 2**70):
        refused(shared.call("PUT", f"{ORDERS}/default", {"contract": contract}), 400)


def test_a_huge_body_is_refused_while_it_comes(shared):
    """1 MiB is the limit; the answer comes early, and the process is fine after it."""
    fits = b'{"address":"' + b"x" * 1_000_000 + b'"}'
    refused(shared.call("PUT", INSTANCE, fits), 400, "address")
    for size in (1_048_577, 3_000_000):
        with socket.create_connection(shared.api.rsplit(":", 1), timeout=20) as peer:
            peer.sendall(f"PUT {INSTANCE} HTTP/1.1\r\nHost: {shared.api}\r\n"
                         f"Content-Length: {size}\r\n\r\n".encode())
            sent = 0
            try:
                while sent < size:
                    sent += peer.send(b" " * min(65536, size - sent))
            except OSError:
                pass  # refused before it was complete
            assert peer.recv(4096).startswith(b"HTTP/1.1 413 ")
    shared.get("/v1/health")


def test_paths_and_queries_are_texts(shared):
    for path in ("/v1/services/%FF", "/v1/customers/%C3%28/explain", "/v1/customers/a%0Ab/explain",
                 "/v1/services/%zz", "/v1/customers/acme/explain?app=%ff", "/v1/usage?by=%0a",
                 "/v1/services/a%00b", "/v1/services/a%2fb"):
        refused(shared.call("GET", path), 400)
    for path in ("/", "/v1", "/v1/services/", "/v1/services/orders/more", "/v2/services"):
        refused(shared.call("GET", path), 404, path.rstrip("/"))
    answer = shared.call("PATCH", INSTANCE, {})
    refused(answer, 405, "PATCH")
    assert answer.headers["Allow"] == "GET, HEAD, PUT, DELETE"


def test_a_parameter_nobody_reads_is_refused(shared):
    before = shared.get("/v1/health")["revision"]
    path = "/v1/services/unread/instances/a"
    for method, target, words in (
            ("PUT", f"{path}?dryrun=1", ("dryrun", "accepted is dry_run")),
            ("PUT", f"{path}?dry%5Frun=1", ("accepted is dry_run",)),
            ("PUT", f"{path}?dry_run=1&dry_run=0", ("given twice",)),
            ("PUT", f"{path}?=1", ("accepted is dry_run",)),
            ("GET", "/v1/services?dry_run=1", ("accepted is none",)),
            ("GET", "/v1/services/unread/instances?aftr=1", ("accepted are after wait",))):
        refused(shared.call(method, target, BODY if method == "PUT" else None), 400, *words)
    assert shared.get("/v1/health")["revision"] == before
    shared.get("/v1/services?")
    document = shared.get("/v1/openapi.json")
    instances = document["paths"]["/v1/services/{service}/instances"]["get"]["parameters"]
    assert [row["name"] for row in instances if row["in"] == "query"] == ["after", "wait"]


def test_a_duration_without_its_unit_is_told_so(shared):
    for ttl in (30, "30"):
        refused(shared.call("PUT", "/v1/services/units/instances/a",
                            {"address": "127.0.0.1:9", "ttl": ttl}), 400, "ttl", "unit is missing")


def test_what_was_written_is_logged(make_daemon):
    daemon = make_daemon()
    for _ in range(2):  # the second changes nothing
        daemon.register("orders", "o-1", "127.0.0.1:9", "3.0.0", ttl="1s")
    daemon.register("orders", "o-2", "127.0.0.1:9", "3.1.0")
    rollout = daemon.call("POST", "/v1/rollouts", {"members": ["orders@3.1.0"], "why": "new"},
                          status=201).json["rollout"]
    daemon.call("POST", f"/v1/rollouts/{rollout}:pause", {"why": "lunch"}, status=200)
    daemon.call("PUT", "/v1/services/orders/instances/o-3?dry_run=1", BODY, status=200)
    daemon.eventually(lambda: any("o-1" in line and "expired" in line for line in daemon.log))
    daemon.stop()
    said = "".join(daemon.log)
    assert said.count('"instance registered" service=orders id=o-1 build=3.0.0') == 1, said
    assert f'"rollout started" id={rollout} why=new' in said, said
    assert f'"rollout changed" rollout={rollout} verb=pause why=lunch' in said, said
    assert "o-3" not in said and "msg=stopped" in said, said


def test_head_is_get_without_a_body(shared):
    for path in ("/v1/services", "/v1/health", "/v1/services/nobody"):
        head, whole = shared.call("HEAD", path), shared.call("GET", path)
        assert head.status == whole.status and head.body == b""
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]


def test_http_1_0_without_a_host_is_nobody_from_here(shared):
    with socket.create_connection(shared.api.rsplit(":", 1), timeout=20) as peer:
        peer.sendall(b"GET /v1/services HTTP/1.0\r\n\r\n")
        assert b" 403 " in peer.recv(4096).split(b"\r\n")[0]


def test_a_wrong_token_is_named(shared):
    answer = shared.call("GET", "/v1/contracts", token=False,
                         headers={"Authorization": "Bearer wrong"})
    refused(answer, 401, "this token is not accepted")


# --- files ---

def files_of(daemon):
    return {path.parent.name + path.name for path in (daemon.data / "blobs").glob("??/*")}


def test_a_file_is_kept_only_where_a_release_names_it(make_daemon):
    daemon = make_daemon()
    path = "/v1/apps/shop/releases/1.0.0/files/main.js"
    assert daemon.call("PUT", f"{path}?dry_run=1", b"tried", status=200).json["dry_run"]
    assert files_of(daemon) == set()
    daemon.publish("shop", "1.0.0", {})
    kept = files_of(daemon)
    assert len(kept) == 1
    refused(daemon.call("PUT", path, b"another"), 409)
    assert files_of(daemon) == kept
    stray = daemon.data / "blobs" / "ab"
    stray.mkdir(exist_ok=True)
    (stray / ("c" * 62)).write_text("left over")
    daemon.restart()
    assert files_of(daemon) == kept
    assert daemon.edge_get("/apps/shop/1.0.0/main.js").status == 200


def test_files_of_an_etcd_s_releases_are_left_without_it(make_daemon):
    daemon = make_daemon()
    daemon.expect_log("used with store.etcd and is not now")
    stray = daemon.data / "blobs" / "ab" / ("c" * 62)
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("of a release that the etcd knows")
    (daemon.data / "store.etcd").write_text("f" * 32)
    daemon.restart()
    assert stray.exists()
    (daemon.data / "store.etcd").unlink()
    daemon.restart()
    assert not stray.exists()


# --- ?dry_run ---

def test_dry_run_changes_nothing(make_daemon, service):
    """Each write of the API, tried dry: the plan is told and the revision stays."""
    daemon = make_daemon()
    orders = service()
    for major in (2, 3):
        daemon.register("orders", f"orders-{major}", orders.address, f"{major}.0.0")
    daemon.register("orders", "orders-4", orders.address, "3.1.0")
    daemon.register("orders", "orders-5", orders.address, "5.0.0")
    daemon.publish("shop", "4.1.0", {"orders": "3"})
    daemon.publish("shop", "4.2.0", {"orders": "3"})
    daemon.call("PUT", "/v1/apps/shop/releases/4.3.0/files/a.js", b"a", status=201)
    daemon.call("PUT", "/v1/customers/acme", {"attributes": {"a": "b"}}, status=201)
    daemon.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.1.0"}, status=201)
    daemon.call("PUT", "/v1/cohorts/staff", {"expression": "a == 'b'"}, status=201)
    daemon.call("POST", "/v1/tokens", {"name": "ci"}, status=201)
    daemon.call("PUT", f"{ORDERS}/default", {"contract": 3}, status=200)
    daemon.call("PUT", "/v1/services/idle", {}, status=201)
    daemon.call("PUT", "/v1/contracts/orders/7", {}, status=201)
    daemon.call("POST", "/v1/contracts/orders/7:offline", status=200)
    rollout = daemon.call("POST", "/v1/rollouts", {"members": ["shop@4.2.0"]}, status=201).json
    writes = [
        ("PUT", ORDERS, {"identity": True}, "PUT /v1/services/{service}"),
        ("DELETE", "/v1/services/idle", None, "DELETE /v1/services/{service}"),
        ("PUT", f"{ORDERS}/default", {"contract": 2}, "PUT /v1/services/{service}/default"),
        ("PUT", f"{ORDERS}/builds/3.9.0", {}, "PUT /v1/services/{service}/builds/{build}"),
        ("PUT", f"{ORDERS}/instances/new", BODY, "PUT /v1/services/{service}/instances/{id}"),
        ("POST", f"{ORDERS}/instances/orders-2:drain", None,
         "POST /v1/services/{service}/instances/{id}:drain"),
        ("DELETE", f"{ORDERS}/instances/orders-2", None,
         "DELETE /v1/services/{service}/instances/{id}"),
        ("PUT", "/v1/contracts/orders/3", {"owner": "us"}, "PUT /v1/contracts/{service}/{major}"),
        ("POST", "/v1/contracts/orders/5:offline", None,
         "POST /v1/contracts/{service}/{major}:offline"),
        ("POST", "/v1/contracts/orders/7:restore", None,
         "POST /v1/contracts/{service}/{major}:restore"),
        ("PUT", "/v1/apps/shop/default", {"release": "4.2.0"}, "PUT /v1/apps/{app}/default"),
        ("PUT", "/v1/apps/shop/releases/4.3.0/files/b.js", b"b",
         "PUT /v1/apps/{app}/releases/{release}/files/{path...}"),
        ("PUT", "/v1/apps/shop/releases/4.3.0", {"entries": [{"name": "a", "path": "a.js"}]},
         "PUT /v1/apps/{app}/releases/{release}"),
        ("PUT", "/v1/customers/globex", {"attributes": {}}, "PUT /v1/customers/{customer}"),
        ("PUT", "/v1/customers/initech/pins/shop", {"release": "4.1.0"},
         "PUT /v1/customers/{customer}/pins/{app}"),
        ("DELETE", "/v1/customers/acme/pins/shop", None,
         "DELETE /v1/customers/{customer}/pins/{app}"),
        ("DELETE", "/v1/customers/acme", None, "DELETE /v1/customers/{customer}"),
        ("PUT", "/v1/cohorts/other", {"expression": "a == 'b'"}, "PUT /v1/cohorts/{cohort}"),
        ("DELETE", "/v1/cohorts/staff", None, "DELETE /v1/cohorts/{cohort}"),
        ("POST", "/v1/rollouts", {"members": ["orders@3.1.0"]}, "POST /v1/rollouts"),
        ("POST", "/v1/tokens", {"name": "other"}, "POST /v1/tokens"),
        ("DELETE", "/v1/tokens/ci", None, "DELETE /v1/tokens/{token}"),
        ("POST", f"/v1/rollouts/{rollout['rollout']}:abort", None,
         "POST /v1/rollouts/{rollout}:{verb}"),
    ]
    heartbeat = "POST /v1/services/{service}/instances/{id}:heartbeat"  # has a test of its own
    assert {write[3] for write in writes} | {heartbeat} == {
        f"{route['method']} {route['path']}" for route in ROUTES if "write" in route}
    before = daemon.get("/v1/health")["revision"]
    for method, path, body, route in writes:
        plan = daemon.call(method, f"{path}?dry_run=1", body, status=200).json
        assert plan["dry_run"] is True and plan["changes"], route
        assert {change["change"] for change in plan["changes"]} <= {"put", "delete"}
        assert daemon.get("/v1/health")["revision"] == before, route
    for method, path, body, route in writes:
        answer = daemon.call(method, f"{path}?dry_run=0", body)
        assert answer.status in (200, 201, 204), (route, answer)
        assert daemon.get("/v1/health")["revision"] > before, route


def test_a_dry_heartbeat_is_no_sign_of_life(shared):
    made = shared.register("beats", "b-1", "127.0.0.1:9")
    shared.call("POST", "/v1/services/beats/instances/b-1:heartbeat?dry_run", status=204)
    again = shared.get("/v1/services/beats/instances/b-1")
    assert again["last_heartbeat"] == made["last_heartbeat"]


# --- ETag and If-Match ---

def test_if_match_guards_a_write(shared):
    path = "/v1/customers/etag"

    def put(value, if_match):
        return shared.call("PUT", path, {"attributes": {"v": value}}, {"If-Match": if_match})

    refused(put("0", "*"), 412, "no such resource")
    first = shared.call("PUT", path, {"attributes": {"v": "1"}}, status=201).headers["ETag"]
    assert shared.call("GET", path).headers["ETag"] == first
    second = put("2", first)
    assert second.status == 200 and second.headers["ETag"] != first
    problem = refused(put("3", first), 412, second.headers["ETag"])
    assert problem["field"] == "If-Match"
    assert shared.get(path)["attributes"] == {"v": "2"}
    assert put("4", "*").status == 200
    refused(put("5", "W/" + shared.call("GET", path).headers["ETag"]), 412)
    now = shared.call("GET", path).headers["ETag"]
    assert put("6", f'"x", {now}').status == 200
    refused(shared.call("DELETE", path, headers={"If-Match": now}), 412)
    shared.call("DELETE", path, headers={"If-Match": "*"}, status=204)


def test_one_of_many_writers_wins_by_if_match(shared):
    path = "/v1/cohorts/race"
    etag = shared.call("PUT", path, {"expression": "a == '0'"}, status=201).headers["ETag"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: shared.call(
            "PUT", path, {"expression": f"a == '{n}'"}, {"If-Match": etag}).status, range(1, 17)))
    assert sorted(statuses) == [200] + [412] * 15


def test_if_match_is_never_ignored(shared):
    refused(shared.call("POST", "/v1/rollouts", {"members": ["a@1.0.0"]}, {"If-Match": "*"}), 412)


# --- who may ---

def test_open_routes_need_no_token_and_others_do(shared):
    for route in ROUTES:
        path = route["path"].replace("{path...}", "a").replace("{major}", "3")
        path = re.sub(r"\{\w+\}", "none", path)
        answer = shared.call(route["method"], path, b"" if "raw" in route else {}, token=False)
        if route.get("open"):
            assert answer.status != 401, (route["path"], answer)
        else:
            refused(answer, 401, "token")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    for token in ("Bearer wrong", "Basic none", "Bearer", f"bearer {shared.token}x"):
        headers = {"Authorization": token}
        refused(shared.call("GET", "/v1/contracts", headers=headers, token=False), 401, "token")
        assert shared.call("GET", "/v1/services", headers=headers, token=False).status == 200
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {shared.token}"}
        assert shared.call("GET", "/v1/contracts", headers=headers, token=False).status == 200


def test_auth_required_closes_the_open_routes(make_daemon):
    daemon = make_daemon("auth: { required: true }\n")
    refused(daemon.call("GET", "/v1/services", token=False), 401)
    refused(daemon.call("PUT", INSTANCE, BODY, token=False), 401)
    daemon.call("PUT", INSTANCE, BODY, status=201)


def test_other_sites_are_kept_out(shared):
    port = shared.api.rsplit(":", 1)[1]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}",
                 f"127.evil.example:{port}", "localhost.evil.example", "10.0.0.7", "127.1",
                 "[::2]", "0.0.0.0"):
        refused(shared.call("GET", "/v1/contracts", headers={"Host": host}), 403, "Host")
    for host in ("localhost", f"LocalHost:{port}", "127.0.0.1", "127.9.9.9:1", f"[::1]:{port}"):
        assert shared.call("GET", "/v1/contracts", headers={"Host": host}).status == 200, host
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}",
                   "http://localhost", f"http://127.0.0.1:{port}.evil.example"):
        refused(shared.call("GET", "/v1/contracts", headers={"Origin": origin}), 403, "Origin")
    same = {"Origin": f"http://{shared.api}"}
    assert shared.call("GET", "/v1/contracts", headers=same).status == 200


def test_the_unix_socket_serves_the_same(shared):
    unix = f"unix:{shared.data}/api.sock"
    assert request(unix, "GET", "/v1/services").status == 200
    assert request(unix, "GET", "/v1/contracts").status == 200  # by who we are
    wrong = {"Authorization": "Bearer wrong"}
    assert request(unix, "GET", "/v1/contracts", headers=wrong).status == 401
    token = {"Authorization": f"Bearer {shared.token}"}
    assert request(unix, "GET", "/v1/contracts", headers=token).status == 200


# --- waiting for changes ---

def wait_for(daemon, service, after, wait="20s"):
    return daemon.call("GET", f"/v1/services/{service}/instances?after={after}&wait={wait}")


def test_a_long_poll_ends_with_the_change(shared):
    shared.register("polled", "p-1", "127.0.0.1:9")
    seen = shared.get("/v1/services/polled/instances")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(wait_for, shared, "polled", seen["revision"]) for _ in range(40)]
        shared.eventually(lambda: shared.sockets() > 40)
        shared.register("other", "o-1", "127.0.0.1:9")
        assert not any(future.done() for future in waiting)
        shared.register("polled", "p-2", "127.0.0.1:9")
        answers = [future.result(20) for future in waiting]
    for answer in answers:
        assert answer.status == 200
        assert {row["id"] for row in answer.json["instances"]} == {"p-1", "p-2"}
        assert answer.json["revision"] > seen["revision"]


def test_a_long_poll_misses_nothing(shared):
    """A watcher that goes on from each answer sees every state a slow writer leaves."""
    shared.register("seen", "s-0", "127.0.0.1:9")
    revision = shared.get("/v1/services/seen/instances")["revision"]
    seen = set()

    def watch():
        after = revision
        while "s-20" not in seen:
            answer = wait_for(shared, "seen", after).json
            assert answer["revision"] > after
            after = answer["revision"]
            seen.update(row["id"] for row in answer["instances"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 21):
        shared.register("seen", f"s-{number}", "127.0.0.1:9")
    watcher.join(20)
    assert seen == {f"s-{number}" for number in range(21)}


def test_a_long_poll_ends_after_its_time_and_waits_for_a_service(shared):
    revision = shared.register("timed", "t-1", "127.0.0.1:9") and shared.get(
        "/v1/services/timed/instances")["revision"]
    start = time.monotonic()
    answer = wait_for(shared, "timed", revision, "300ms")
    assert answer.status == 200 and time.monotonic() - start >= 0.3
    assert wait_for(shared, "timed", 0).status == 200  # there is news since 0
    refused(wait_for(shared, "not-yet", 0, "100ms"), 404, "not-yet")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_for, shared, "comes-later", 0)
        shared.register("comes-later", "c-1", "127.0.0.1:9")
        assert waiting.result(20).json["instances"][0]["id"] == "c-1"


def test_watchers_that_go_leave_nothing_behind(shared):
    shared.register("left", "l-1", "127.0.0.1:9")
    revision = shared.get("/v1/services/left/instances")["revision"]
    before = shared.sockets()
    host, port = shared.api.rsplit(":", 1)
    peers = []
    for _ in range(30):
        peer = socket.create_connection((host, port))
        peer.sendall(f"GET /v1/services/left/instances?after={revision}&wait=60s HTTP/1.1\r\n"
                     f"Host: {shared.api}\r\n\r\n".encode())
        peers.append(peer)
    # The connection of the question before may still have been counted.
    shared.eventually(lambda: shared.sockets() >= before + 29)
    for peer in peers:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    shared.eventually(lambda: shared.sockets() <= before)
    shared.register("left", "l-2", "127.0.0.1:9")


def test_the_end_of_the_process_answers_long_polls(make_daemon):
    daemon = make_daemon()
    idle = daemon.sockets()
    daemon.register("polled", "p-1", "127.0.0.1:9")
    revision = daemon.get("/v1/services/polled/instances")["revision"]
    daemon.eventually(lambda: daemon.sockets() == idle)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(wait_for, daemon, "polled", revision, "600s") for _ in range(10)]
        daemon.eventually(lambda: daemon.sockets() == idle + 10)
        daemon.stop()
        assert {future.result(20).status for future in waiting} == {200}


def test_the_end_of_the_process_answers_writes_under_way(make_daemon):
    """A write that was taken gets its answer even when SIGTERM comes meanwhile."""
    daemon = make_daemon()
    outcomes = []

    def write(number):
        try:
            outcomes.append(daemon.call("PUT", f"{ORDERS}/builds/3.{number}.0", {}).status)
        except ConnectionError:
            outcomes.append(None)  # it listens no more, or never took it

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(write, number) for number in range(400)]
        daemon.eventually(lambda: len(outcomes) > 20)
        daemon.stop()
        for future in futures:
            future.result(30)
    assert set(outcomes) <= {201, None} and outcomes.count(201) > 20
    daemon.start()
    assert len(daemon.get(f"{ORDERS}/builds")["builds"]) == outcomes.count(201)
