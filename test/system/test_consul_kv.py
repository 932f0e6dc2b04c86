# SPDX-License-Identifier: Apache-2.0
"""The KV store of the Consul face."""
import base64

import pytest
from support.consul import FACE, Consul, index_of, meanwhile
from support.daemon import Caller


@pytest.fixture
def consul(make_daemon):
    return Consul(make_daemon(FACE))


def test_kv_values(consul):
    assert consul.put("/v1/kv/config/a.json?flags=42", '{"x":1}').json is True
    entry, = consul.get("/v1/kv/config/a.json").json
    assert base64.b64decode(entry["Value"]) == b'{"x":1}' and entry["Flags"] == 42
    index = entry["ModifyIndex"]
    consul.put("/v1/kv/config/a.json?flags=42", '{"x":1}')  # the same again is no change
    assert consul.get("/v1/kv/config/a.json").json[0]["ModifyIndex"] == index
    assert consul.get("/v1/kv/config/a.json?raw").body == b'{"x":1}'
    consul.put("/v1/kv/config/b", "")
    assert consul.get("/v1/kv/config/b").json[0]["Value"] is None
    assert consul.get("/v1/kv/?keys&separator=/").json == ["config/"]
    assert consul.get("/v1/kv/config/?keys").json == ["config/a.json", "config/b"]
    assert [entry["Key"] for entry in consul.get("/v1/kv/?recurse").json] == \
        ["config/a.json", "config/b"]
    for path in ("none", "none/?recurse", "none/?keys"):
        assert index_of(consul.get(f"/v1/kv/{path}", status=404)) >= 1
    assert consul.get("/v1/kv/nothing?keys", status=404)
    consul.put("/v1/kv/big", b"x" * (512 * 1024 + 1), status=413)
    consul.put("/v1/kv/big", b"x" * (512 * 1024))
    consul.put("/v1/kv/a?cas=1&acquire=x", "", status=400)
    consul.put("/v1/kv/", "", status=400)
    consul.ask("POST", "/v1/kv/a", status=405)


def test_kv_compare_and_set(consul):
    assert consul.put("/v1/kv/a?cas=0", "1").json is True
    assert consul.put("/v1/kv/a?cas=0", "2").json is False
    index = consul.get("/v1/kv/a").json[0]["ModifyIndex"]
    assert consul.put(f"/v1/kv/a?cas={index}", "2").json is True
    assert consul.ask("DELETE", f"/v1/kv/a?cas={index}").json is False
    consul.put("/v1/kv/a?cas=x", "3", status=400)
    index = consul.get("/v1/kv/a").json[0]["ModifyIndex"]
    assert consul.ask("DELETE", f"/v1/kv/a?cas={index}").json is True
    assert consul.ask("DELETE", "/v1/kv/a").json is True  # nothing to do is done


def test_kv_what_is_not_there_is_watched_by_its_folder(consul):
    """As Spring waits for its folders in turn, also for those that it has not."""
    consul.put("/v1/kv/config/app/data", "1")
    consul.put("/v1/kv/other", "1")
    for query in ("recurse", "keys"):
        before = index_of(consul.get(f"/v1/kv/config/none/?{query}", status=404))
        answer = meanwhile(lambda asked=f"/v1/kv/config/none/?{query}&wait=20s&index={before}":
                           consul.get(asked, status=404))
        consul.put("/v1/kv/other", query)
        consul.put("/v1/kv/config/app/data", query)
        assert index_of(answer()) == consul.get("/v1/kv/config/app/data").json[0]["ModifyIndex"]
    now = index_of(consul.get("/v1/kv/config/none/?recurse", status=404))
    consul.put("/v1/kv/config/none/a", "1")
    assert index_of(consul.get("/v1/kv/config/none/?recurse")) > now


def test_kv_index_of_a_prefix_never_goes_back(consul):
    for name in "abc":
        consul.put(f"/v1/kv/p/{name}", name)
    before = index_of(consul.get("/v1/kv/p/?recurse"))
    consul.ask("DELETE", "/v1/kv/p/c")
    after = index_of(consul.get("/v1/kv/p/?recurse"))
    assert after > before
    consul.put("/v1/kv/q", "1")
    assert index_of(consul.get("/v1/kv/p/?recurse")) == after
    consul.ask("DELETE", "/v1/kv/p/?recurse")
    assert index_of(consul.get("/v1/kv/p/?recurse", status=404)) > after
    consul.daemon.restart()
    consul = Consul(consul.daemon)
    assert index_of(consul.get("/v1/kv/p/?recurse", status=404)) > after


def test_kv_waiting_for_a_key_and_for_a_prefix(consul):
    consul.put("/v1/kv/c/a", "1")
    index = index_of(consul.get("/v1/kv/c/a"))
    one = meanwhile(lambda: consul.get(f"/v1/kv/c/a?index={index}&wait=20s"))
    below = meanwhile(lambda: consul.get(f"/v1/kv/c/?recurse&index={index}&wait=20s"))
    consul.put("/v1/kv/d", "1")
    consul.put("/v1/kv/c/b", "1")
    assert [entry["Key"] for entry in below().json] == ["c/a", "c/b"]
    consul.put("/v1/kv/c/a", "2")
    assert one().json[0]["Value"] == base64.b64encode(b"2").decode()


def test_kv_thousands_of_keys_below_a_prefix(consul):
    with Caller(consul.address) as caller:
        for number in range(1500):
            assert caller.ask(f"/v1/kv/many/{number:05}", method="PUT", body="x").status == 200
    assert len(consul.get("/v1/kv/many/?keys").json) == 1500
    assert consul.ask("DELETE", "/v1/kv/many/?recurse").json is True
    consul.get("/v1/kv/many/?keys", status=404)
