# SPDX-License-Identifier: Apache-2.0
"""The config file: what is refused and how it is told, what `sarsen config` prints, reload."""
import json
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
from support.authority import Authority

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The file, the line told, and what the sentence must name: key, what was found, what is accepted.
BAD = [
    ("dta: x\n", 1, "dta is not known",
     "data, user, group, sandbox, log, api, auth, health, registration, faces, store, gateway, "
     "retire, usage, drain, routes"),
    ("dta: x\n", 1, "did you mean data?", ""),
    ("retire_window: 5s\n", 1, "did you mean retire.window?", "retire, usage, drain"),
    ("retire: { windw: 5s }\n", 1, "did you mean retire.window?", "Accepted are window"),
    ("window: 5s\n", 1, "did you mean retire.window?", ""),
    ("gatway: { edge: 127.0.0.1:1 }\n", 1, "did you mean gateway?", ""),
    ("data: \"a\\0b\"\n", 1, "data is", "a directory"),
    ("routes:\n  - { service: a, match: { path: /a//b } }\n", 2, '"/a//b"', '"/a/b", write that'),
    ("routes:\n  - { service: a, match: { path: /a?b=c } }\n", 2, '"/a?b=c"', "without a query"),
    ("routes:\n  - { service: a, match: { prefix: /a/.. } }\n", 2, '"/a/.."', '"/"'),
    ("routes:\n  - { service: a, match: { path: /a%2Fb } }\n", 2, '"/a%2Fb"', "slash"),
    ("routes:\n  - { service: a, match: { method: get } }\n", 2, 'match.method is "get"', "GET"),
    ("routes:\n  - { service: a, match: { host: 'A.com' } }\n", 2, "match.host", "small letters"),
    ("routes:\n  - { service: a, match: { host: 'a.com:80' } }\n", 2, "match.host", "port"),
    ("routes:\n  - { service: a, match: { header: \"x\\0\" } }\n", 2, "match.header",
     "the name of a header"),
    ("routes:\n  - { service: a, match: { prefix: /b }, strip: /a }\n", 2, "strip", "beginning"),
    ("routes:\n  - { service: a, match: { prefix: /ab }, strip: /a }\n", 2, "strip", "beginning"),
    ("log:\n  colour: red\n", 2, "log.colour is not known", "level, format"),
    ("log: { level: loud }\n", 1, 'log.level is "loud"', "debug, info, warn, error"),
    ("log: loud\n", 1, 'log is "loud"', "a section"),
    ("log: [a]\n", 1, "log is", "a section"),
    ("data: ''\n", 1, 'data is ""', "a directory"),
    ("data: { a: b }\n", 1, 'data is "a section"', "a directory"),
    ("data: a\n\ndata: b\n", 3, "data is given twice", "once"),
    ("api: { listen: nowhere }\n", 1, 'api.listen is "nowhere"', "an address such as"),
    ("api:\n  listen: 0.0.0.0:7000\n", 2, 'api.listen is "0.0.0.0:7000"', "a loopback address"),
    ("gateway:\n  internal: 0.0.0.0:8001\n", 2, 'gateway.internal is "0.0.0.0:8001"',
     "gateway.trust_network: true"),
    ("gateway:\n  internal:\n    - 127.0.0.1:8001\n    - '[::]:8001'\n", 4,
     'gateway.internal is "[::]:8001"', "a loopback address"),
    ("gateway: { trust_network: perhaps }\n", 1, "gateway.trust_network", "true, false"),
    ("auth: { required: maybe }\n", 1, 'auth.required is "maybe"', "true, false"),
    ("gateway: { edge: [127.0.0.1:1, x] }\n", 1, 'gateway.edge is "x"', "an address"),
    ("gateway: { edge: { a: b } }\n", 1, "a is not known in a listener", "address"),
    ("gateway: { edge: [ { address: a } ] }\n", 1, 'address is "a"', "an address"),
    ("gateway: { workers: -1 }\n", 1, 'gateway.workers is "-1"', "0 to 256"),
    ("gateway: { workers: 257 }\n", 1, 'gateway.workers is "257"', "0 to 256"),
    ("gateway: { workers: many }\n", 1, 'gateway.workers is "many"', "0 to 256"),
    ("gateway:\n  head_timeout: 30\n", 2, 'gateway.head_timeout is "30"', "100ms to 1h"),
    ("gateway: { idle_timeout: 30 }\n", 1, "the unit is missing, as in 30s", "1s to 1h"),
    ("gateway: { edge: x }\n", 1, 'gateway.edge is "x"', "such as 127.0.0.1:8000"),
    ("gateway: { upstream: { connect_timeout: 2m } }\n", 1,
     'gateway.upstream.connect_timeout is "2m"', "1ms to 1m"),
    ("gateway: { cookie: { ttl: 401d } }\n", 1, 'gateway.cookie.ttl is "401d"', "1m to 400d"),
    ("gateway: { cookie: { sweet: yes } }\n", 1, "gateway.cookie.sweet", "ttl, secure"),
    ("usage: { keep: 23h }\n", 1, 'usage.keep is "23h"', "1d to 3650d"),
    ("retire: { window: 0s }\n", 1, 'retire.window is "0s"', "1s to 3650d"),
    ("drain: { grace: 2h }\n", 1, 'drain.grace is "2h"', "0s to 1h"),
    ("routes: x\n", 1, "routes is", "a list of routes"),
    ("routes:\n  - x\n", 2, "routes is", "match and service"),
    ("routes:\n  - match: { path: /a }\n", 2, "without an end",
     "exactly one of service, upstream, answer and redirect"),
    ("routes:\n  - service: Orders\n", 2, 'service is "Orders"', "a name"),
    ("routes:\n  - service: a\n    weight: 3\n", 3, "weight is not known",
     "match, service, upstream, protocol, upstream_tls, health, answer, redirect, strip, rewrite, "
     "host, origins, request_headers and response_headers"),
    ("routes:\n  - service: a\n    match: { colour: red }\n", 3, "match.colour is not known",
     "host, path, prefix, method, header, value and client_san"),
    ("routes:\n  - service: a\n    match: { prefix: api }\n", 3, 'match.prefix is "api"',
     "begins with /"),
    ("routes:\n  - service: a\n    match: { path: /a, prefix: /b }\n", 3,
     "match.prefix is \"beside match.path\"", "one of the two"),
    ("routes:\n  - service: a\n    match: { value: x }\n", 3, "match.value", "match.header"),
    ("routes:\n  - service: a\n    service: b\n", 3, "service is given twice", "once"),
    ("routes: []\nroutes: []\n", 2, "routes is given twice", "once"),
    ("a: [\n", 2, "no YAML", ""),
    ("\tdata: x\n", 1, "no YAML", ""),
    ("data: x\n---\ndata: y\n", 3, "several documents", "one document"),
    ("- data\n", 1, "the file is", "a section"),
    ("? { a: b }\n: c\n", 1, "is not known", "data"),
    ("data: *none\n", 1, "no YAML", ""),
    ("x" * 300 + ": y\n", 1, "not known", "data"),
]


def route(text):
    """A file of one route that matches everything."""
    return f"routes:\n  - match: {{ prefix: /a }}\n    {text}\n"


UP = "upstream: 127.0.0.1:9000\n    "

BAD += [(route(text), line, found, accepted) for text, line, found, accepted in [
    ("service: a\n    upstream: 127.0.0.1:1", 2, "service and upstream", "exactly one of service"),
    ("answer: { status: 403 }\n    redirect: { to: / }", 2, "answer and redirect", "exactly one"),
    ("answer: {}", 2, "without an end", "exactly one"),
    ("answer: 403", 3, 'answer is "403"', "a section"),
    ("upstream: localhost:9000", 3, 'upstream is "localhost:9000"', "such as 127.0.0.1:9000"),
    ("upstream: 127.0.0.1:0", 3, 'upstream is "127.0.0.1:0"', "an address"),
    ("upstream: '[::1]:0'", 3, 'upstream is "[::1]:0"', "an address"),
    ("upstream: []", 3, "upstream is", "an address"),
    ("upstream: { a: b }", 3, 'upstream is "a section"', "an address"),
    ("upstream:\n    - 127.0.0.1:1\n    - '127.0.0.1'", 5, 'upstream is "127.0.0.1"', "a list"),
    ("upstream: [" + "127.0.0.1:1," * 65 + "]", 3, "upstream is", "64 at most"),
    ("answer: { status: 199 }", 3, 'answer.status is "199"', "200 to 599"),
    ("answer: { status: 600 }", 3, 'answer.status is "600"', "200 to 599"),
    ("answer: { status: forbidden }", 3, 'answer.status is "forbidden"', "200 to 599"),
    ("answer: { status: 204, body: x }", 3, 'answer.body is "x"', "no body"),
    ("answer: { type: text/plain, body: " + "x" * 65537 + " }", 3, "answer.body", "64 KiB"),
    ('answer: { body: x, type: "a\\nb" }', 3, "answer.type is", "a media type"),
    ("redirect: { status: 308 }", 2, 'redirect.to is ""', "http:// or https://"),
    ("redirect: { to: /b, status: 304 }", 3, 'redirect.status is "304"', "301, 302, 303, 307"),
    ("redirect: { to: b }", 3, 'redirect.to is "b"', "begins with /"),
    ("redirect: { to: 'ftp://a/b' }", 3, 'redirect.to is "ftp://a/b"', "http:// or https://"),
    ("redirect: { to: '//evil.test' }", 3, 'redirect.to is "//evil.test"', '"/evil.test"'),
    ("redirect: { to: 'https://' }", 3, 'redirect.to is "https://"', "with a host"),
    ("redirect: { to: 'https://a b/' }", 3, "redirect.to is", "with a host"),
    ("redirect: { to: 'https://u@a/' }", 3, "redirect.to is", "with a host"),
    ("redirect: { to: 'https://a:99999/' }", 3, "redirect.to is", "with a host"),
    ("redirect: { to: 'https://a/?b=c' }", 3, 'redirect.to is "/?b=c"', "without a query"),
    ("redirect: { to: '/a#b' }", 3, "redirect.to is", "is accepted"),
    ("redirect: { to: /b }\n    strip: /a", 4, "strip is", "a place beside service or upstream"),
    ("answer: { body: x }\n    rewrite: { path: /a }", 4, "rewrite.path is", "a place beside"),
    ("answer: { body: x }\n    request_headers: { remove: X-A }", 4, "request_headers.remove is",
     "a place beside service or upstream"),
    (UP + "strip: /a\n    rewrite: { prefix: /b }", 5, "rewrite.prefix is",
     "one of strip, rewrite.prefix and rewrite.path"),
    (UP + "rewrite: { prefix: b }", 4, 'rewrite.prefix is "b"', "begins with /"),
    (UP + "rewrite: { path: /a/../b }", 4, "rewrite.path is", '"/b", write that'),
    (UP + "rewrite: { suffix: /b }", 4, "rewrite.suffix is not known", "prefix and path"),
    (UP + "protocol: h2", 4, 'protocol is "h2"', "http1, http2 or auto"),
    ("service: a\n    protocol: http2", 4, "protocol is", "a place beside upstream"),
    (UP + "host: a b", 4, 'host is "a b"', "client, upstream or a host"),
    (UP + "request_headers: { set: { 'X A': b } }", 4, 'request_headers.set is "X A"', "the name"),
    (UP + "request_headers: { set: { X-A: \"a\\r\\nb\" } }", 4, "request_headers.set is",
     "without line breaks"),
    (UP + "request_headers: { set: { X-A: a, x-a: b } }", 4, 'request_headers.set is "x-a"',
     "once"),
    (UP + "request_headers: { set: [X-A] }", 4, "request_headers.set is \"a list\"", "a section"),
    (UP + "request_headers: { set: { X-A: { b: c } } }", 4, "request_headers.set", "their values"),
    (UP + "request_headers: { change: { X-A: b } }", 4, "request_headers.change is not known",
     "set, add and remove"),
    (UP + "request_headers: { set: { X-A: " + "x" * 8200 + " } }", 4, "request_headers.set",
     "8 KiB"),
    (UP + "response_headers: { remove: [X-A, Connection] }", 4, '"Connection"', "does not write"),
]] + [(route(f"{UP}{side}_headers: {{ {what} }}"), 4, f'"{name}"', "does not write itself")
      for side, name in [("request", "Host"), ("request", "X-Forwarded-For"), ("request", "Via"),
                         ("request", "Content-Length"), ("request", "transfer-encoding"),
                         ("request", "Sarsen-Customer"), ("request", "traceparent"),
                         ("request", "Connection"), ("request", "Upgrade"), ("request", "TE"),
                         ("response", "Content-Length"), ("response", "Sarsen-Bom"),
                         ("response", "sarsen_x"), ("response", "Date"), ("response", "Trailer")]
      for what in [f"set: {{ {name}: x }}", f"add: {{ {name}: x }}", f"remove: [{name}]"]]
BAD += [
    ("routes:\n  - { service: a, match: { method: [GET, TRACE] } }\n", 2, '"TRACE"', "passed on"),
    ("routes:\n  - { upstream: '127.0.0.1:1', match: { path: /a }, rewrite: { prefix: /b } }\n", 2,
     "rewrite.prefix", "match.prefix"),
    ("routes:\n  - { service: a, match: { header: 'X A' } }\n", 2, '"X A"', "the name of a header"),
    ("routes:\n  - service: a\n    origins: [ '*', shop.test ]\n", 3, '"shop.test"', "an origin"),
    ("gateway: { tunnels: { origins: 'https://a.test/' } }\n", 1, "a.test/", "origins with"),
    ("health: { networks: 10.0.0.0/33 }\n", 1, "10.0.0.0/33", "networks with"),
]


def check(binary, file):
    return subprocess.run([binary, "config", "check", file], capture_output=True, text=True,
                          timeout=20, check=False)


@pytest.mark.parametrize(("text", "line", "found", "accepted"), BAD)
def test_a_bad_file_is_refused_with_its_place(binary, tmp_path, text, line, found, accepted):
    file = tmp_path / "sarsen.yaml"
    file.write_text(text)
    done = check(binary, file)
    assert done.returncode == 1 and not done.stdout, done
    assert done.stderr.startswith(f"sarsen: {file}: line {line}: "), done.stderr
    assert found in done.stderr and accepted in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
    served = subprocess.run([binary, "server", "-c", file], capture_output=True, text=True,
                            timeout=20, check=False, cwd=tmp_path)
    assert (served.returncode, served.stderr) == (1, done.stderr)
    assert list(tmp_path.iterdir()) == [file]


GOOD = [
    "gateway: { internal: ['0.0.0.0:8001'], trust_network: true }\n",
    "gateway: { internal: ['[::1]:8001', '127.9.9.9:1', 'unix:/run/x.sock'] }\n",
    "",
    "# nothing but a comment\n",
    "data: x\n",
    "gateway: { edge: [] }\n",
    "gateway:\n  edge: [127.0.0.1:0, '[::1]:0', 'unix:/tmp/x.sock']\n  internal: []\n",
    "retire: { window: 5s }\ndrain: { grace: 0s }\n",
    "routes:\n  - { match: { host: '*.example.com', prefix: /graphql, method: POST,\n"
    "      header: X-A, value: b }, service: orders, strip: /graphql }\n",
    route(UP + "host: 'a.test:80'\n    rewrite: { prefix: /b }\n    request_headers:\n"
          "      set: { X-A: '', Authorization: b }\n      add: { X-B: [c, d] }\n"
          "      remove: User-Agent"),
    route("upstream: [127.0.0.1:1, '[::1]:2', 'unix:/run/x.sock']\n    host: upstream"),
    route("answer: { body: x }\n    response_headers: { add: { Set-Cookie: [a=b, c=d] } }"),
    route("answer: { status: 204 }"),
    route("answer: { status: 403, body: '' }"),
    route("redirect: { to: 'https://[::1]:8443/x', status: 302 }"),
    "routes:\n  - { match: { method: [GET, HEAD, PROPFIND] },\n"
    "      redirect: { to: 'https://a.test' } }\n",
    "%YAML 1.1\n---\ndata: x\n...\n",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_file_is_fine(binary, tmp_path, text):
    file = tmp_path / "sarsen.yaml"
    file.write_text(text)
    done = check(binary, file)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file} is fine\n", "")


def test_the_examples_in_the_docs_are_fine(binary, tmp_path):
    """Certificates that they name are all one, and so are lists of what is revoked."""
    file = tmp_path / "sarsen.yaml"
    authority = Authority(tmp_path / "authority")
    pair, revoked = authority.sign("any"), authority.revoke()
    for document in ("proxy.md", "server.md", "tls.md"):
        text = (ROOT / "docs" / "operate" / document).read_text()
        examples = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
        assert examples
        for example in examples:
            for name, kind in re.findall(r"/etc/sarsen/(\S+\.(pem|key|crl))\b", example):
                source = revoked if name.endswith(".crl") else pair[kind == "key"]
                shutil.copy(source, tmp_path / name)
            file.write_text(example.replace("/etc/sarsen/", f"{tmp_path}/"))
            assert check(binary, file).stderr == ""


def test_files_that_cannot_be_read(binary, tmp_path):
    assert "no such file" in check(binary, tmp_path / "absent.yaml").stderr
    assert "cannot be read" in check(binary, tmp_path).stderr
    (tmp_path / "huge.yaml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    assert "4 MiB" in check(binary, tmp_path / "huge.yaml").stderr
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    assert check(binary, tmp_path / "deep.yaml").returncode == 1
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    assert check(binary, tmp_path / "binary.yaml").returncode == 1


def config(binary, *arguments, status=0):
    done = subprocess.run([binary, "config", *arguments], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == status, done
    return done.stdout or done.stderr


def test_the_reference_is_the_one_in_the_docs(binary):
    assert config(binary, "reference") == (ROOT / "docs" / "operate" / "config.md").read_text()


def leaves(schema, prefix=""):
    for name, member in schema["properties"].items():
        if "properties" in member:
            assert member["additionalProperties"] is False
            yield from leaves(member, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_schema_names_the_same_keys(binary):
    schema = json.loads(config(binary, "schema"))
    keys, listener_keys, route_keys, rule_keys = [
        [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        for part in re.split("A listener that is|A route, in the list|A rule of",
                             config(binary, "reference"))]
    assert sorted(leaves(schema)) == sorted([*keys, "routes"])
    text, section, listing = schema["properties"]["gateway"]["properties"]["edge"]["anyOf"]
    assert listing["items"]["anyOf"] == [text, section]
    assert sorted(leaves(section)) == sorted(listener_keys)
    rules = schema["properties"]["registration"]["properties"]["rules"]["items"]
    assert rules["additionalProperties"] is False
    assert sorted(leaves(rules)) == sorted(rule_keys)
    routes = schema["properties"]["routes"]["items"]
    assert routes["additionalProperties"] is False
    assert sorted(leaves(routes)) == sorted(route_keys)
    assert [one["required"] for one in routes["oneOf"]] == [
        ["service"], ["upstream"], ["answer"], ["redirect"]]


def test_wrong_usage(binary):
    assert "usage: sarsen config" in config(binary, "check", status=2)
    assert "usage: sarsen config" in config(binary, status=2)
    assert "usage: sarsen config" in config(binary, "improve", status=2)
    assert "usage: sarsen config" in config(binary, "--help")


# --- reload ---

def reload(daemon, text):
    """Writes the file anew, has it read, and gives what the daemon says about it."""
    before = len(daemon.log)
    daemon.config.write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.eventually(lambda: any("msg=reloaded" in line or "was refused" in line
                                  for line in daemon.log[before:]))
    return "".join(daemon.log[before:])


def test_reload_takes_over_what_can_change(make_daemon, service):
    daemon = make_daemon()
    target = service()
    daemon.register("orders", "a", target.address, "1.0.0")
    text = daemon.config.read_text()
    assert daemon.edge_get("/graphql").status == 404
    assert "reloaded" in reload(daemon, text + (
        "routes:\n  - { match: { path: /graphql }, service: orders }\n"
        "auth: { required: true }\nretire: { window: 7s }\n"))
    daemon.eventually(lambda: daemon.edge_get("/graphql").status == 200)
    assert daemon.call("GET", "/v1/services", token=False).status == 401
    assert daemon.get("/v1/contracts/orders/1/retirement")["window"] == "7s"
    reload(daemon, text)
    daemon.eventually(lambda: daemon.edge_get("/graphql").status == 404)
    assert daemon.call("GET", "/v1/services", token=False).status == 200


def test_a_bad_file_changes_nothing_at_reload(make_daemon, service):
    daemon = make_daemon("routes:\n  - { match: { path: /graphql }, service: orders }\n")
    daemon.expect_log("config file was refused")
    daemon.register("orders", "a", service().address, "1.0.0")
    text = daemon.config.read_text()
    for bad, words in ((text + "colour: red\n", "colour is not known"),
                       ("routes: []\n", "data cannot change"),
                       (text.replace("workers: 2", "workers: 1"), "gateway.workers cannot change"),
                       (text.replace("127.0.0.1:0\" }", "127.0.0.1:1\" }"), "api.listen cannot"),
                       (text.replace("edge: 127.0.0.1:0", f"edge: {daemon.api}"), daemon.api)):
        said = reload(daemon, bad)
        assert words in said, said
        assert daemon.edge_get("/graphql").status == 200
    daemon.config.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.eventually(lambda: any("no such file" in line for line in daemon.log))
    assert daemon.edge_get("/graphql").status == 200


def test_reloads_under_load_drop_no_request(make_daemon, service):
    daemon = make_daemon()
    daemon.register("orders", "a", service().address, "1.0.0")
    text = daemon.config.read_text()
    statuses = []
    for number in range(20):
        route = f"routes:\n  - {{ match: {{ path: /r{number} }}, service: orders }}\n"
        reload(daemon, text + route)
        statuses += [daemon.edge_get("/api/orders/").status for _ in range(5)]
    assert set(statuses) == {200}
    assert daemon.edge_get("/r19").status == 200
