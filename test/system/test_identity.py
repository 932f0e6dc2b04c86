# SPDX-License-Identifier: Apache-2.0
"""Who a request is for: what the edge believes, what internal listeners believe, and the cookie."""
import base64
import hashlib
import hmac
import re
import time

import pytest
from support.wire import Wire, reply


@pytest.fixture
def ask(shared, name, upstream):
    """Sends a GET; returns the service's head, the answer and the cookie it sets."""
    def ask(*fields, where="edge", daemon=shared, answer=reply("200 OK")):
        with Wire.connect(getattr(daemon, where)) as client:
            client.get(f"/api/{name}/", "Connection: close", *fields)
            service, head = upstream.request()
            service.send(answer)
            answered = client.answer()[0]
            service.close()
            return head, answered, cookie_of(answered)
    return ask


def cookie_of(answer):
    """The value of the gateway's cookie that an answer sets, or None."""
    ours = [one for one in answer.all("set-cookie") if one.startswith("sarsen=")]
    assert len(ours) <= 1
    return ours[0].partition(";")[0].partition("=")[2] if ours else None


def customer(head):
    return dict(member.strip().split("=", 1)
                for member in head.get("baggage").split(","))["sarsen.customer"]


def base32(data):
    return base64.b32encode(data).decode().lower().rstrip("=")


def sign(key, text):
    mac = hmac.new(bytes.fromhex(key), b"sarsen=" + text.encode(), "sha256")
    return f"{text}.{base32(mac.digest())}"


def keys(daemon):
    return (daemon.data / "cookie.keys").read_text().split()


def signed(daemon, who, seconds=3600, key=None):
    """A cookie as the gateway would make it."""
    text = f"1.{int(time.time()) + seconds}.{device_of(daemon)}..{who}"
    return sign(key or keys(daemon)[0], text)


def device_of(daemon):
    """A device id of the size this gateway makes."""
    answer = daemon.edge_get("/.sarsen/resolve")
    value = re.search("sarsen=([^;]*)", answer.headers["Set-Cookie"])[1]
    return value.split(".")[2]


# --- what is believed ---

def test_the_edge_removes_every_claim(ask):
    head, _, _ = ask("Sarsen-Customer: acme", "Sarsen-Caller: web", "Sarsen-Service: other",
                     "Sarsen-Deadline: 1", "SARSEN-ANYTHING: 1", "sarsen-bom: x",
                     "baggage: sarsen.customer=acme, a=1,sarsen.bom=aaaaaaaaaaaaaaaa,"
                     "sarsen.lane=t1, sarsen.other=1", "baggage: sarsen.customer=globex")
    assert not [name for name in head.names() if name.startswith("sarsen")]
    assert customer(head).startswith("~") or customer(head).startswith("%7E")
    assert "acme" not in str(head) and "globex" not in str(head)
    assert "a=1" in head.get("baggage")
    assert "sarsen.lane" not in head.get("baggage") and "sarsen.other" not in head.get("baggage")
    assert "aaaaaaaaaaaaaaaa" not in head.get("baggage")


def test_the_edge_does_not_pick_a_service_by_header(shared, name, upstream):
    with Wire.connect(shared.edge) as client:
        client.get("/graphql", f"Sarsen-Service: {name}")
        assert client.answer()[0].status == 404
        upstream.assert_untouched()


@pytest.mark.parametrize("where", ["internal", "unix"])
@pytest.mark.parametrize("field", ["Sarsen-Customer: acme", "baggage: sarsen.customer=acme"])
def test_an_internal_caller_is_believed(ask, where, field):
    head, _, _ = ask(field, where=where)
    assert customer(head) == "acme"
    assert "sarsen-customer" not in head.names()


def test_baggage_wins_over_the_header(ask):
    head, _, _ = ask("Sarsen-Customer: globex", "baggage: sarsen.customer=acme", where="internal")
    assert customer(head) == "acme"


def test_the_bom_of_a_caller_goes_on(ask, shared):
    head, answer, _ = ask("Sarsen-Customer: acme", where="internal")
    bom = answer.get("sarsen-bom")
    assert f"sarsen.bom={bom}" in head.get("baggage")
    head, answer, _ = ask(f"baggage: {head.get('baggage')}", where="internal")
    assert answer.get("sarsen-bom") == bom
    assert f"sarsen.bom={bom}" in head.get("baggage")


def test_an_anonymous_customer_stays_the_same_through_hops(ask):
    head, _, _ = ask()
    first = customer(head)
    head, _, cookie = ask(f"baggage: {head.get('baggage')}", where="internal")
    assert customer(head) == first
    assert cookie is None


@pytest.mark.parametrize("bad", ["a b", "", "~", "a" * 300, "a,b", 'a"b'])
def test_an_impossible_customer_is_nobody(ask, bad):
    head, answer, _ = ask(f"Sarsen-Customer: {bad}", where="internal")
    assert answer.status == 200
    assert bad == "" or bad == "~" or bad not in head.get("baggage")


# --- the cookie ---

def test_a_new_visitor_gets_a_cookie(ask):
    _, answer, cookie = ask()
    text = next(one for one in answer.all("set-cookie") if one.startswith("sarsen="))
    attributes = {part.strip().lower() for part in text.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes
    assert "secure" not in attributes
    assert re.fullmatch(r"1\.[0-9]+\.[a-z2-7]+\.[a-z2-7]*\.\.[a-z2-7]{52}", cookie)


def test_a_visitor_is_known_again(ask):
    head, _, cookie = ask()
    device = customer(head)
    for _ in range(3):
        head, _, again = ask(f"Cookie: a=b; sarsen={cookie}; c=d")
        assert customer(head) == device
        assert again is None
        assert head.get("cookie") == "a=b; c=d", "our cookie is no business of a service"


def test_no_cookie_is_set_for_internal_callers(ask):
    assert ask(where="internal")[2] is None
    assert ask("Sarsen-Customer: acme", where="internal")[2] is None


def test_a_secure_cookie(make_daemon):
    daemon = make_daemon(gateway="  cookie: { secure: true, ttl: 1h }\n")
    cookie = daemon.edge_get("/.sarsen/resolve").headers["Set-Cookie"]
    assert "secure" in cookie.lower() and "max-age=3600" in cookie.lower()


def test_a_cookie_of_ours_names_the_customer(ask, shared):
    head, _, again = ask(f"Cookie: sarsen={signed(shared, 'acme')}")
    assert customer(head) == "acme"
    assert again is None


def damage(cookie, at):
    letter = "b" if cookie[at] != "b" else "c"
    return cookie[:at] + letter + cookie[at + 1:]


def test_a_cookie_that_was_tampered_with_is_nobodys(ask, shared):
    good = signed(shared, "acme")
    wrong = [damage(good, at) for at in range(0, len(good), 7)]
    wrong += [good[:-1], good + "a", good.replace("acme", "root"), good.upper(), "", ".",
              good[:-53], good.rpartition(".")[2], "." * 60, "1" * 4000]
    for cookie in wrong:
        head, _, fresh = ask(f"Cookie: sarsen={cookie}")
        assert "acme" not in customer(head) and "root" not in customer(head), cookie
        assert fresh, "a fresh one must replace it"


def test_a_cookie_ends(ask, shared):
    head, _, fresh = ask(f"Cookie: sarsen={signed(shared, 'acme', seconds=-1)}")
    assert "acme" not in customer(head)
    assert fresh


def test_another_key_signs_nothing(ask, shared):
    head, _, _ = ask(f"Cookie: sarsen={signed(shared, 'acme', key='00' * 32)}")
    assert "acme" not in customer(head)


def test_the_second_of_two_cookies_counts_when_the_first_is_forged(ask, shared):
    head, _, _ = ask(f"Cookie: sarsen=forged; sarsen={signed(shared, 'acme')}")
    assert customer(head) == "acme"


def test_keys_are_rotated(make_daemon):
    daemon = make_daemon()
    old = keys(daemon)[0]
    cookie = signed(daemon, "acme")
    daemon.stop()
    new = hashlib.sha256(b"new").hexdigest()
    (daemon.data / "cookie.keys").write_text(f"{new}\n{old}\n")
    daemon.start()
    explain = daemon.edge_get("/.sarsen/resolve", {"Cookie": f"sarsen={cookie}"})
    assert "Set-Cookie" not in explain.headers, "signed with the old key it is still good"
    daemon.stop()
    (daemon.data / "cookie.keys").write_text(f"{new}\n")
    daemon.start()
    assert "Set-Cookie" in daemon.edge_get(
        "/.sarsen/resolve", {"Cookie": f"sarsen={cookie}"}).headers


# --- services that say who the customer is ---

@pytest.fixture
def identifies(shared, name, upstream):
    shared.call("PUT", f"/v1/services/{name}", {"identity": True})


def test_an_identity_service_names_the_customer(ask, shared, name, upstream, identifies):
    head, _, device_cookie = ask()
    device = customer(head)
    _, answer, cookie = ask(f"Cookie: sarsen={device_cookie}",
                            answer=reply("200 OK", b"", "Sarsen-Customer: acme"))
    assert "sarsen-customer" not in answer.names()
    assert cookie
    head, _, again = ask(f"Cookie: sarsen={cookie}")
    assert (customer(head), again) == ("acme", None)
    assert cookie.split(".")[2] == device_cookie.split(".")[2], "the device stays"
    # Logging out: it names nobody, and the device is as anonymous as before.
    _, answer, cookie = ask(f"Cookie: sarsen={cookie}",
                            answer=reply("200 OK", b"", "Sarsen-Customer:"))
    assert "sarsen-customer" not in answer.names()
    head, _, _ = ask(f"Cookie: sarsen={cookie}")
    assert customer(head) == device


def test_a_customer_with_unusual_letters(ask, identifies):
    _, _, cookie = ask(answer=reply("200 OK", b"", "Sarsen-Customer: a.b@c-d_e:1"))
    if cookie.split(".")[4] == "":
        pytest.fail("the id was not taken")
    head, _, _ = ask(f"Cookie: sarsen={cookie}")
    assert customer(head).replace("%40", "@").replace("%3A", ":") == "a.b@c-d_e:1"


def test_other_services_name_nobody(ask):
    _, answer, cookie = ask(answer=reply("200 OK", b"", "Sarsen-Customer: acme"))
    assert "sarsen-customer" not in answer.names()
    head, _, _ = ask(f"Cookie: sarsen={cookie}")
    assert "acme" not in customer(head)


def test_a_cookie_of_our_name_from_a_service_is_removed(ask, shared, identifies):
    forged = signed(shared, "root")
    _, answer, cookie = ask(f"Cookie: sarsen={signed(shared, 'acme')}",
                            answer=reply("200 OK", b"", f"Set-Cookie: sarsen={forged}",
                                         "Set-Cookie: other=1"))
    assert cookie is None
    assert answer.all("set-cookie") == ["other=1"]
