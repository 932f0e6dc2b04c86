# SPDX-License-Identifier: Apache-2.0
"""What the requests of a page reach while the world changes around it."""
import json

from test_versions import shop  # noqa: F401


class Browser:
    """Keeps its cookie, as browsers do."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.cookie = None

    def get(self, path, headers=None):
        headers = dict(headers or {})
        if self.cookie:
            headers["Cookie"] = self.cookie
        answer = self.daemon.edge_get(path, headers)
        assert answer.status == 200, answer
        if answer.headers["Set-Cookie"]:
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        return answer

    def contract(self, path, headers=None):
        return self.get(path, headers).headers["Sarsen-Contract"]


def test_an_open_page_keeps_its_contracts_until_it_is_loaded_again(shop):  # noqa: F811
    """Its code was written for them; builds behind them may change at any time."""
    shop.cli("app", "default", "shop", "4.1.0")
    browser = Browser(shop)
    browser.get("/apps/shop/")
    assert browser.contract("/api/orders/") == "orders@2"
    shop.cli("app", "default", "shop", "4.2.0")
    assert browser.contract("/api/orders/") == "orders@2"
    assert browser.contract("/api/orders@3/") == "orders@3"  # asked for outright
    used = shop.get("/v1/usage?contract=orders@2&by=release")["usage"]
    assert [(row["app"], row["release"]) for row in used] == [("shop", "4.1.0")]
    browser.get("/apps/shop/")
    assert browser.contract("/api/orders/") == "orders@3"


def test_whoever_opened_no_page_gets_what_holds_now(shop):  # noqa: F811
    browser = Browser(shop)
    assert browser.contract("/api/orders/") == "orders@2"
    shop.cli("app", "default", "shop", "4.2.0")
    assert browser.contract("/api/orders/") == "orders@3"


def test_a_navigation_leaves_the_open_page_behind(shop):  # noqa: F811
    browser = Browser(shop)
    browser.get("/apps/shop/")
    shop.cli("app", "default", "shop", "4.2.0")
    assert browser.contract("/api/orders/") == "orders@2"
    assert browser.contract("/api/orders/", {"Sec-Fetch-Dest": "document"}) == "orders@3"


def test_an_abort_holds_for_open_pages_too(shop, service):  # noqa: F811
    shop.cli("app", "default", "shop", "4.2.0")
    shop.register("orders", "higher", service("higher").address, "3.15.0")
    rollout = json.loads(shop.cli("rollout", "start", "orders@3.15.0", "--steps", "100", "--json"))
    browser = Browser(shop)
    browser.get("/apps/shop/")
    assert browser.get("/api/orders/").headers["Sarsen-Build"] == "3.15.0"
    shop.cli("rollout", "abort", rollout["rollout"])
    assert browser.get("/api/orders/").headers["Sarsen-Build"] == "3.14.2"


def test_a_login_and_a_logout_leave_the_open_page_what_it_is(shop, service):  # noqa: F811
    """Its code is what it was; who uses it is known at once, and a navigation does the rest."""
    def session(request):
        customer = "acme" if request["path"] == "/login" else ""
        return 200, {"Sarsen-Customer": customer}, b""

    shop.cli("app", "default", "shop", "4.1.0")
    shop.register("session", "s", service("session", answer=session).address, "1.0.0")
    shop.call("PUT", "/v1/services/session", {"identity": True})
    browser = Browser(shop)
    page = browser.get("/apps/shop/").headers["Sarsen-Bom"]
    # A write is answered when every worker serves by it, so each knows the page's BOM by now.
    shop.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.2.0"}, status=201)

    browser.get("/api/session/login")
    assert browser.contract("/api/orders/") == "orders@2"
    used = shop.get("/v1/usage?contract=orders@2")["usage"]
    assert [(row["customer"], row["release"]) for row in used] == [("acme", "4.1.0")]
    assert browser.get("/apps/shop/").headers["Sarsen-Bom"] != page
    assert browser.contract("/api/orders/") == "orders@3"

    shop.register("other", "o", "127.0.0.1:9", "1.0.0")  # and acme's too
    browser.get("/api/session/logout")
    assert browser.contract("/api/orders/") == "orders@3"
    assert browser.get("/apps/shop/").headers["Sarsen-Bom"] == page
    assert browser.contract("/api/orders/") == "orders@2"
