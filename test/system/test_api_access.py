# SPDX-License-Identifier: Apache-2.0
"""Who may call the management API, and what is kept of what they did."""
import http.client
import json
import os
import stat
import subprocess

import pytest
from support.authority import Authority
from support.daemon import Answer, request
from test_calls import refused

PIN = "/v1/cohorts/internal"
COHORT = {"expression": "tier == 'internal'"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def create(daemon, name, **body):
    return daemon.call("POST", "/v1/tokens", {"name": name, **body}, status=201).json


def rows(daemon, **query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return daemon.get("/v1/audit" + ("?" + text if text else ""))["audit"]


# --- tokens ---

def test_a_token_works_until_it_is_revoked(daemon):
    made = create(daemon, "ci")
    assert len(made["token"]) == 52 and made["read_only"] is False and made["expires"]
    headers = bearer(made["token"])
    assert daemon.call("PUT", PIN, COHORT, headers, token=False).status == 201
    assert [token["name"] for token in daemon.get("/v1/tokens")["tokens"]] == ["ci"]
    refused(daemon.call("POST", "/v1/tokens", {"name": "ci"}), 409, "taken")

    daemon.call("DELETE", "/v1/tokens/ci", status=204)
    refused(daemon.call("GET", "/v1/contracts", headers=headers, token=False), 401)
    refused(daemon.call("DELETE", "/v1/tokens/ci"), 404, "ci")


def test_a_token_outlives_a_restart_and_its_text_is_nowhere(daemon):
    text = create(daemon, "ci", expires="never")["token"]
    assert not daemon.get("/v1/tokens")["tokens"][0]["expires"]
    assert text not in json.dumps(rows(daemon))
    daemon.restart()
    assert daemon.call("GET", "/v1/contracts", headers=bearer(text), token=False).status == 200
    assert not any(text in line for line in daemon.log)
    for path in daemon.data.rglob("*"):
        if path.is_file():
            assert text.encode() not in path.read_bytes(), path


def test_a_token_that_may_read_changes_nothing(daemon):
    headers = bearer(create(daemon, "look", read_only=True)["token"])
    assert daemon.call("GET", "/v1/contracts", headers=headers, token=False).status == 200
    for method, path, body in (("PUT", PIN, COHORT), ("DELETE", PIN, None),
                               ("POST", "/v1/tokens", {"name": "more"}),
                               ("PUT", "/v1/services/s/instances/i", {"address": "127.0.0.1:9"})):
        refused(daemon.call(method, path, body, headers, token=False), 403, "may read")


@pytest.mark.parametrize(("body", "field"), [
    ({"name": "CI"}, "name"), ({"name": ""}, "name"), ({}, "name"),
    ({"name": "ci", "expires": "yesterday"}, "expires"),
    ({"name": "ci", "expires": "2001-01-01T00:00:00Z"}, "expires"),
    ({"name": "ci", "read_only": "yes"}, "read_only"),
])
def test_what_is_no_token_is_refused_by_field(shared, body, field):
    refused(shared.call("POST", "/v1/tokens", body), 400, field)


def test_a_dry_run_makes_no_token(shared):
    plan = shared.call("POST", "/v1/tokens?dry_run", {"name": "dry"}, status=200).json
    assert plan["dry_run"] and "token" not in plan
    assert not any(token["name"] == "dry" for token in shared.get("/v1/tokens")["tokens"])


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(daemon):
    statuses = [daemon.call("GET", "/v1/contracts", headers=bearer(f"wrong-{n}"),
                            token=False).status for n in range(15)]
    assert statuses[:10] == [401] * 10 and statuses[10:] == [429] * 5
    answer = daemon.call("GET", "/v1/contracts", headers=bearer("wrong"), token=False)
    assert answer.headers["Retry-After"]
    assert daemon.call("GET", "/v1/contracts").status == 200  # on loopback, a right one
    assert daemon.call("GET", "/v1/services", token=False).status == 200


# --- the socket ---

def test_the_socket_is_ours_alone(shared):
    path = shared.data / "api.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    answer = request(f"unix:{path}", "PUT", "/v1/cohorts/by-socket", json.dumps(COHORT))
    assert answer.status == 201
    assert rows(shared)[-1]["who"] == f"uid:{os.geteuid()}"


def test_the_cli_needs_no_token_where_the_socket_is(daemon, binary):
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("SARSEN_")}

    def run(*arguments):
        return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60,
                              check=False, env=environment)

    done = run("cohort", "set", "staff", "tier == 'staff'", "--data", daemon.data)
    assert done.returncode == 0, done.stderr
    done = run("token", "create", "ci", "--read-only", "--expires", "1h", "--data", daemon.data)
    token = done.stdout.strip()
    assert len(token) == 52 and "only time" in done.stderr

    by_port = ("--address", f"http://{daemon.api}", "--token", token)
    assert "ci" in run("token", "list", *by_port).stdout
    done = run("token", "revoke", "ci", *by_port)
    assert done.returncode == 1 and "may read" in done.stderr
    assert "opens nothing" in run("token", "revoke", "ci", "--data", daemon.data).stdout
    assert run("token", "list", *by_port).returncode == 1

    audit = run("audit", "--data", daemon.data).stdout
    assert "token created" in audit and "token revoked" in audit and "uid:" in audit


# --- the audit log ---

def test_every_change_has_a_row(daemon):
    daemon.call("PUT", PIN, COHORT, status=201)
    daemon.call("PUT", PIN, COHORT, status=200)
    daemon.register("orders", "o-1", "127.0.0.1:9", "1.0.0")
    daemon.call("POST", "/v1/services/orders/instances/o-1:heartbeat", token=False)
    refused(daemon.call("DELETE", "/v1/cohorts/none"), 404)
    daemon.call("PUT", "/v1/cohorts/dry?dry_run", COHORT, status=200)
    daemon.call("DELETE", PIN, status=204)

    found = [(row["who"], row["method"], row["path"], row["status"]) for row in rows(daemon)]
    assert found[0] == ("token", "PUT", PIN, 200)
    assert ("open", "PUT", "/v1/services/orders/instances/o-1", 200) in found
    assert ("token", "DELETE", "/v1/cohorts/none", 404) in found
    assert found[-1] == ("token", "DELETE", PIN, 200)
    assert not any("dry" in row[2] or "heartbeat" in row[2] for row in found)
    assert all(row["address"].startswith("127.0.0.1:") and row["at"] for row in rows(daemon))


def test_what_a_token_may_not_do_has_a_row(daemon):
    headers = bearer(create(daemon, "watcher", read_only=True)["token"])
    refused(daemon.call("PUT", PIN, COHORT, headers, token=False), 403, "may read")
    refused(daemon.call("DELETE", PIN, headers=headers, token=False), 403)
    large = b"x" * (3 << 20)  # of a body that is refused nothing is kept
    path = "/v1/apps/shop/releases/1.0.0/files/main.js"
    refused(daemon.call("PUT", path, large, headers, token=False), 403)
    found = [(row["method"], row["path"], row["status"], row["text"], row["changes"])
             for row in rows(daemon, who="token:watcher")]
    said = "this token may read and change nothing"
    assert found == [("PUT", PIN, 403, said, 0), ("DELETE", PIN, 403, said, 0),
                     ("PUT", path, 403, said, 0)]
    assert daemon.get("/v1/cohorts", headers=headers) == {"cohorts": []}


def test_a_row_of_a_refusal_names_the_field(daemon):
    daemon.register("orders", "o-1", "127.0.0.1:9", "1.0.0")
    answer = daemon.call("PUT", "/v1/services/orders/instances/o-1",
                         {"address": "nowhere", "build": "1.0.0"})
    refused(answer, 400, "address")
    assert rows(daemon)[-1]["text"] == answer.json["detail"]
    assert rows(daemon)[-1]["text"].startswith('address is "nowhere"')


def test_the_audit_log_survives_kill(daemon):
    for number in range(5):
        daemon.call("PUT", f"/v1/cohorts/c{number}", COHORT, status=201)
    daemon.kill()
    daemon.start()
    assert [row["path"] for row in rows(daemon)] == [f"/v1/cohorts/c{n}" for n in range(5)]


def test_the_audit_log_is_filtered(daemon):
    headers = bearer(create(daemon, "ci")["token"])
    for number in range(3):
        daemon.call("PUT", f"/v1/cohorts/c{number}", COHORT, status=201)
    daemon.call("PUT", PIN, COHORT, headers, token=False, status=201)
    assert [row["path"] for row in rows(daemon, who="token:ci")] == [PIN]
    assert [row["path"] for row in rows(daemon, limit=2)] == ["/v1/cohorts/c2", PIN]
    assert len(rows(daemon, since="1h")) == 5
    assert not rows(daemon, since="2100-01-01T00:00:00Z")
    for query in ("limit=0", "limit=10001", "limit=x", "since=then", "whom=me"):
        refused(daemon.call("GET", f"/v1/audit?{query}"), 400)


# --- browsers ---

def test_what_a_form_sends_needs_a_token(daemon):
    daemon.register("orders", "o-1", "127.0.0.1:9", "1.0.0")
    path = "/v1/services/orders/instances/o-1:heartbeat"
    for kind in ("application/x-www-form-urlencoded", "text/plain; charset=utf-8",
                 "Multipart/Form-Data; boundary=x"):
        headers = {"Content-Type": kind}
        refused(daemon.call("POST", path, headers=headers, token=False), 415, "Content-Type")
        assert daemon.call("POST", path, headers=headers).status < 300
    assert daemon.call("POST", path, token=False).status < 300


def test_other_sites_are_known_by_what_browsers_say(shared):
    for site in ("cross-site", "same-site"):
        refused(shared.call("GET", "/v1/contracts", headers={"Sec-Fetch-Site": site}), 403)
    for site in ("same-origin", "none"):
        assert shared.call("GET", "/v1/contracts", headers={"Sec-Fetch-Site": site}).status == 200


def test_names_of_a_proxy_are_let_in_when_they_are_listed(make_daemon):
    daemon = make_daemon('api.hosts: "sarsen.example, ops.example"\n')
    for host in ("ops.example", "Sarsen.Example:443", "localhost"):
        assert daemon.call("GET", "/v1/contracts", headers={"Host": host}).status == 200
    other = daemon.call("GET", "/v1/contracts", headers={"Host": "other.example"})
    refused(other, 403, "api.hosts")
    same = {"Host": "ops.example", "Origin": "http://ops.example"}
    assert daemon.call("GET", "/v1/contracts", headers=same).status == 200


# --- TLS ---

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_it_speaks_tls(make_daemon, authority, tmp_path):
    first, second = authority.sign("first"), authority.sign("second")
    live = tmp_path / "live.pem", tmp_path / "live.key"

    def put(pair):
        for source, target in zip(pair, live, strict=True):
            target.with_suffix(".new").write_bytes(source.read_bytes())
            target.with_suffix(".new").rename(target)

    put(first)
    daemon = make_daemon(f"api.tls: {{ certificate: {live[0]}, key: {live[1]} }}\n")
    daemon.expect_log("new certificates were refused")  # between the two of a pair

    def ask(**headers):
        connection = http.client.HTTPSConnection(daemon.api, timeout=20,
                                                 context=authority.client())
        connection.request("GET", "/v1/contracts",
                           headers={**bearer(daemon.token), **headers})
        certificate = connection.sock.getpeercert(binary_form=True)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer, certificate

    answer, before = ask(Origin=f"https://{daemon.api}")
    assert answer.status == 200
    refused(ask(Origin=f"http://{daemon.api}")[0], 403, "Origin")
    unix = f"unix:{daemon.data}/api.sock"
    assert request(unix, "GET", "/v1/contracts").status == 200

    put(second)
    daemon.eventually(lambda: ask()[1] != before)


@pytest.mark.parametrize(("config", "words"), [
    ("api.listen: 0.0.0.0:7000\n", ("api.listen", "other hosts", "api.tls")),
    ("api: { listen: '[::]:7000' }\n", ("api.listen", "other hosts")),
    ("api.tls.key: key.pem\n", ("api.tls.certificate", "missing")),
    ("api.tls.certificate: cert.pem\n", ("api.tls.key", "missing")),
])
def test_other_hosts_take_tls(binary, tmp_path, config, words):
    (tmp_path / "sarsen.yaml").write_text(config)
    done = subprocess.run([binary, "server", "-c", tmp_path / "sarsen.yaml"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (tmp_path / ".sarsen").exists()


def test_with_tls_other_hosts_are_accepted(binary, authority, tmp_path):
    certificate, key = authority.sign("api")
    (tmp_path / "sarsen.yaml").write_text(
        f"api: {{ listen: 0.0.0.0:7000, tls: {{ certificate: {certificate}, key: {key} }} }}\n")
    subprocess.run([binary, "config", "check", tmp_path / "sarsen.yaml"], check=True,
                   capture_output=True, timeout=30)
