# SPDX-License-Identifier: Apache-2.0
"""Pages, files and what browsers ask of Sarsen itself."""
import base64
import hashlib
import html
import json
import re
import urllib.parse

import pytest
from support.wire import Wire

MAIN = b"export default 1;\n"
STYLE = b"body { color: gray }\n"
FILES = {
    "assets/main-1a2b.js": MAIN,
    "assets/lib.js": b"export const a = 1;",
    "assets/style.css": STYLE,
    "odd/a=b:c,d@e!.txt": b"odd name",
    "empty.txt": b"",
    "big.bin": bytes(range(256)) * 8192,
}


def upload(daemon, app, release, files=None):
    for path, content in (files or FILES).items():
        daemon.call("PUT", f"/v1/apps/{app}/releases/{release}/files/{urllib.parse.quote(path)}",
                    content, status=201)


def manifest(app, release, **more):
    return {"app": app, "release": release, "kind": "importmap", "requires": {},
            "entries": [{"name": f"@{app}/main", "path": "assets/main-1a2b.js"},
                        {"name": f"@{app}/lib", "path": "assets/lib.js"}],
            "styles": ["assets/style.css"], **more}


@pytest.fixture(scope="module")
def shop(shared):
    for release in ("4.1.0", "4.2.0"):
        upload(shared, "shop", release)
        shared.call("PUT", f"/v1/apps/shop/releases/{release}",
                    manifest("shop", release, title="The shop"), status=201)
    shared.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.2.0"})
    return shared


def integrity(content):
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def scripts(page):
    """The attributes and text of every script element."""
    return re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)


def import_map(page):
    return json.loads(next(text for attributes, text in scripts(page) if "importmap" in attributes))


# --- the page ---

def test_the_page_loads_its_release(shop):
    answer = shop.edge_get("/apps/shop/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Sarsen-Bom"]
    page = answer.body.decode()
    assert "<title>The shop</title>" in page
    base = "/apps/shop/4.1.0/"
    assert import_map(page) == {
        "imports": {"@shop/main": f"{base}assets/main-1a2b.js",
                    "@shop/lib": f"{base}assets/lib.js"},
        "integrity": {f"{base}assets/main-1a2b.js": integrity(MAIN),
                      f"{base}assets/lib.js": integrity(FILES["assets/lib.js"])}}
    style = f'href="{base}assets/style.css" integrity="{integrity(STYLE)}"'
    assert f'<link rel="stylesheet" {style}' in page
    assert scripts(page)[-1][1].strip() == 'import "@shop/main";'
    map_at = page.index('type="importmap"')
    assert map_at < page.index("modulepreload") and map_at < page.index('type="module"')


def test_a_file_has_one_url_wherever_it_is_named(shared, name):
    """The page, both import maps and the integrity: a browser compares them byte by byte."""
    path = "assets/m=1:2,3@4+(5)*!$~_-.js"
    upload(shared, name, "1.0.0", {path: MAIN})
    shared.call("PUT", f"/v1/apps/{name}/releases/1.0.0", {
        **manifest(name, "1.0.0"), "styles": [path],
        "entries": [{"name": "main", "path": path}]}, status=201)
    url = f"/apps/{name}/1.0.0/{path}"
    answer = shared.edge_get(f"/apps/{name}/")
    page = answer.body.decode()
    assert import_map(page) == {"imports": {"main": url}, "integrity": {url: integrity(MAIN)}}
    assert set(re.findall('href="([^"]*)"', page)) == {url}
    merged = shared.edge_get(f"/.sarsen/bom/{answer.headers['Sarsen-Bom']}/importmap.json").json
    assert merged["integrity"][url] == integrity(MAIN)
    assert shared.edge_get(url).body == MAIN


def test_the_policy_lets_just_these_scripts_run(shop):
    answer = shop.edge_get("/apps/shop/")
    hashes = set(re.findall("'(sha256-[^']*)'", answer.headers["Content-Security-Policy"]))
    inline = {"sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
              for _, text in scripts(answer.body.decode())}
    assert hashes == inline
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "object-src 'none'" in policy and "base-uri 'none'" in policy


def test_a_pinned_customer_gets_another_page_by_the_same_url(shop):
    def title(headers):
        return import_map(shop.internal_get("/apps/shop/", headers).body.decode())["imports"]

    assert "/4.2.0/" in title({"Sarsen-Customer": "acme"})["@shop/main"]
    assert "/4.1.0/" in title({"Sarsen-Customer": "globex"})["@shop/main"]


@pytest.mark.parametrize("path", ["/apps/shop/cart", "/apps/shop/orders/17/edit?tab=2",
                                  "/apps/shop/9.9.9", "/apps/shop/v9/deep"])
def test_a_deep_link_is_the_page(shop, path):
    assert shop.edge_get(path).body == shop.edge_get("/apps/shop/").body


def test_a_file_of_an_unknown_release_is_no_page(shop):
    assert shop.edge_get("/apps/shop/9.9.9/main.js").status == 404
    document = {"Sec-Fetch-Dest": "document"}
    assert shop.edge_get("/apps/shop/9.9.9/deep", document).status == 200


@pytest.mark.parametrize("destination", ["script", "style", "image"])
def test_a_script_that_is_not_there_is_no_page(shop, destination):
    answer = shop.edge_get("/apps/shop/lost.js", {"Sec-Fetch-Dest": destination})
    assert answer.status == 404
    assert shop.edge_get("/apps/shop/x", {"Sec-Fetch-Dest": "document"}).status == 200


def test_an_app_without_its_slash_is_redirected(shop):
    for path in ("/apps/shop", "/apps/shop?a=b%2F", "//apps//shop"):
        answer = shop.edge_get(path)
        assert answer.status == 308
        assert answer.headers["Location"] in ("/apps/shop/", "/apps/shop/?a=b%2F")
    # The path can lead nowhere else, whatever it looks like.
    for path in ("/apps//evil.example", "/apps/evil.example%0d%0aX:1", "/apps/%5c%5cevil"):
        answer = shop.edge_get(path)
        assert answer.status == 400 or answer.headers["Location"].startswith("/apps/")


def test_an_unknown_app(shop):
    answer = shop.edge_get("/apps/none/")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_page_that_is_known_is_not_sent_again(shop):
    first = shop.edge_get("/apps/shop/")
    again = shop.edge_get("/apps/shop/", {"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert shop.edge_get("/apps/shop/", {"If-None-Match": '"x"'}).status == 200


def test_a_page_by_head(shop):
    answer = shop.edge_get("/apps/shop/", method="HEAD")
    assert answer.status == 200 and answer.body == b""
    assert int(answer.headers["Content-Length"]) == len(shop.edge_get("/apps/shop/").body)


@pytest.mark.parametrize("title", ["</title><script>alert(1)</script>", "a & b \"c\" 'd'",
                                   "\u00e4 \U0001f5ff", "<!--"])
def test_titles_are_text(shared, name, title):
    files = {"assets/main-1a2b.js": MAIN, "assets/lib.js": b"", "assets/style.css": STYLE}
    upload(shared, name, "1.0.0", files)
    shared.call("PUT", f"/v1/apps/{name}/releases/1.0.0", manifest(name, "1.0.0", title=title),
                status=201)
    page = shared.edge_get(f"/apps/{name}/").body.decode()
    found = re.search("<title>(.*?)</title>", page, re.DOTALL)[1]
    assert html.unescape(found) == title
    assert "<" not in found
    assert len(scripts(page)) == 2


@pytest.mark.parametrize("entry", ["</script><script>alert(1)</script>", '"; alert(1); "', "<!--",
                                   "a\\", "\u2028"])
def test_names_of_entries_end_no_script(shared, name, entry):
    upload(shared, name, "1.0.0")
    answer = shared.call("PUT", f"/v1/apps/{name}/releases/1.0.0", manifest(
        name, "1.0.0", entries=[{"name": entry, "path": "assets/lib.js"}]))
    if answer.status == 400:
        return  # refusing it is as good
    page = shared.edge_get(f"/apps/{name}/").body.decode()
    assert len(scripts(page)) == 2
    assert entry in import_map(page)["imports"]
    assert "<!--" not in scripts(page)[0][1] + scripts(page)[1][1]
    text = scripts(page)[1][1].strip()
    assert json.loads(text.removeprefix("import ").removesuffix(";")) == entry


# --- files ---

@pytest.mark.parametrize("path", FILES)
def test_files_are_what_was_published_for_ever(shop, path):
    answer = shop.edge_get(f"/apps/shop/4.1.0/{urllib.parse.quote(path)}")
    assert answer.status == 200
    assert answer.body == FILES[path]
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(FILES[path]).hexdigest()}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    # What everybody may keep says nothing of one customer.
    assert "Set-Cookie" not in answer.headers and "Sarsen-Bom" not in answer.headers


@pytest.mark.parametrize("path, kind", [
    ("assets/main-1a2b.js", "text/javascript"), ("assets/style.css", "text/css"),
])
def test_files_have_their_type(shop, path, kind):
    assert shop.edge_get(f"/apps/shop/4.1.0/{path}").headers["Content-Type"].startswith(kind)


def test_a_file_that_is_known_is_not_sent_again(shop):
    url = "/apps/shop/4.1.0/big.bin"
    tag = shop.edge_get(url).headers["ETag"]
    answer = shop.edge_get(url, {"If-None-Match": tag})
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)


def test_a_file_by_head_keeps_the_connection(shop):
    with Wire.connect(shop.edge) as client:
        client.get("/apps/shop/4.1.0/big.bin", method="HEAD")
        head = client.head()
        assert int(head.get("content-length")) == len(FILES["big.bin"])
        client.get("/apps/shop/4.1.0/empty.txt")
        assert client.answer()[1] == b""
        client.get("/apps/shop/4.1.0/assets/lib.js").get("/apps/shop/4.1.0/big.bin")
        assert client.answer()[1] == FILES["assets/lib.js"]
        assert client.answer()[1] == FILES["big.bin"]


@pytest.mark.parametrize("path", [
    "none.js", "", "assets/", "assets", "assets/main-1a2b.js/", "Assets/lib.js", "lib.js",
    "..%2f..%2ftoken", "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "%2e%2e/4.2.0/none.js",
])
def test_no_other_file_is_there(shop, path):
    assert shop.edge_get(f"/apps/shop/4.1.0/{path}").status in (400, 404)


def test_files_of_a_release_outlive_it_being_served(shop):
    assert shop.edge_get("/apps/shop/4.2.0/assets/lib.js").status == 200


# --- /.sarsen/ ---

def test_resolve_tells_a_browser_what_it_runs(shop):
    answer = shop.edge_get("/.sarsen/resolve?app=shop")
    document = answer.json
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert (document["app"], document["release"]) == ("shop", "4.1.0")
    assert document["bom"] == answer.headers["Sarsen-Bom"]
    assert document["importmap"] == f"/.sarsen/bom/{document['bom']}/importmap.json?app=shop"
    pinned = shop.internal_get("/.sarsen/resolve?app=shop", {"Sarsen-Customer": "acme"}).json
    assert (pinned["release"], pinned["reason"]) == ("4.2.0", "PIN")
    assert pinned["bom"] != document["bom"]
    assert shop.edge_get("/.sarsen/resolve?app=none").status == 404
    again = shop.edge_get("/.sarsen/resolve?app=shop", {"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_import_map_of_a_bom_is_immutable(shop):
    document = shop.edge_get("/.sarsen/resolve?app=shop").json
    answer = shop.edge_get(document["importmap"])
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/importmap+json"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Set-Cookie" not in answer.headers
    assert answer.json == import_map(shop.edge_get("/apps/shop/").body.decode())


def test_the_import_map_of_a_whole_bom(shop):
    bom = shop.edge_get("/.sarsen/resolve").json["bom"]
    answer = shop.edge_get(f"/.sarsen/bom/{bom}/importmap.json")
    assert answer.status == 200
    assert answer.json["imports"]["@shop/main"] == "/apps/shop/4.1.0/assets/main-1a2b.js"


@pytest.mark.parametrize("path", ["/.sarsen/bom/aaaaaaaaaaaaaaaa/importmap.json",
                                  "/.sarsen/bom/x/importmap.json", "/.sarsen/bom/",
                                  "/.sarsen", "/.sarsen/", "/.sarsen/secret"])
def test_nothing_else_answers_there(shop, path):
    assert shop.edge_get(path).status == 404
