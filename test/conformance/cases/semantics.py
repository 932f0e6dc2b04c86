# SPDX-License-Identifier: Apache-2.0
"""What a gateway adds, counts down or answers itself: Via, Max-Forwards, TRACE, OPTIONS."""
from conformance.table import Case, Group, get, reply
from conformance.verdicts import answer, either, forward, refuse, sent, unsent, via


def line(text, *fields):
    return get(*fields, line=text)


def via_behind(*before):
    """Ours comes last, and what was there is kept."""
    def check(seen):
        members = seen.requests[0].list("via")
        if members[:len(before)] != list(before):
            return f"Via reached the service as {members}"
        return None if len(members) == len(before) + 1 else f"Via has {len(members)} members"
    return check


def via_version(number):
    def check(seen):
        members = seen.requests[0].list("via") or [""]
        return None if members[-1].split(" ")[0] in (number, f"http/{number}") else (
            f"Via says {members[-1]!r}")
    return check


S = "RFC 9110 7.6.3"
VIA = [
    Case("added", S, "each request names the gateway", get(), must=forward(via)),
    Case("version", S, "with the version it was received by", get(), must=forward(
        via_version("1.1"))),
    Case("version-1.0", S, "also 1.0", line("GET /x HTTP/1.0"), must=forward(via_version("1.0"))),
    Case("behind", S, "behind who came before", get("Via: 1.0 fred"),
         must=forward(via_behind("1.0 fred"))),
    Case("behind-list", S, "behind a list", get("Via: 1.0 fred, 1.1 b.test"),
         must=forward(via_behind("1.0 fred", "1.1 b.test"))),
    Case("behind-lines", S, "behind several lines", get("Via: 1.0 fred", "Via: 1.1 b.test"),
         must=forward(via_behind("1.0 fred", "1.1 b.test"))),
    Case("kept", "RFC 9110 5.3", "what was there keeps its order",
         get("Via: 1.0 a, 1.1 b"), must=forward(lambda seen: None if seen.requests[0].list("via")[
             :2] == ["1.0 a", "1.1 b"] else "Via lost what it had")),
    Case("comment", S, "comments are kept or dropped",
         get("Via: 1.1 fred (Some, \"thing\")"), must=forward(via)),
    Case("response", S, "an answer's Via is kept", get(),
         response=reply("Via: 1.1 inner", "Content-Length: 2", body="ok"),
         must=answer(200, lambda seen: None if "1.1 inner" in seen.answer.list("via")
                     else "the answer lost its Via")),
]


def at_zero(seen):
    """Answered here: the request did not go on."""
    if seen.requests:
        return "was passed on"
    if not seen.answer:
        return "was not answered"
    return None if seen.answer.status < 500 else f"was answered with {seen.answer.status}"


def not_below(seen):
    """Never passed on with a number below the one it may have."""
    values = [value for request in seen.requests for value in request.all("max-forwards")]
    return f"Max-Forwards reached the service as {values}" if values not in ([], ["0"]) else None


M = "RFC 9110 7.6.2"
FORWARDS = [
    Case("options-0", M, "OPTIONS with 0 is answered here",
         line("OPTIONS /x HTTP/1.1", "Max-Forwards: 0"), must=at_zero),
    Case("options-0-star", M, "also for *", line("OPTIONS * HTTP/1.1", "Max-Forwards: 0"),
         must=at_zero),
    Case("options-1", M, "1 becomes 0", line("OPTIONS /x HTTP/1.1", "Max-Forwards: 1"),
         must=forward(sent("max-forwards", "0"))),
    Case("options-10", M, "10 becomes 9", line("OPTIONS /x HTTP/1.1", "Max-Forwards: 10"),
         must=forward(sent("max-forwards", "9"))),
    Case("options-100", M, "100 becomes 99", line("OPTIONS /x HTTP/1.1", "Max-Forwards: 100"),
         must=forward(sent("max-forwards", "99"))),
    Case("options-none", M, "without it none is made up", line("OPTIONS /x HTTP/1.1"),
         must=forward(unsent("max-forwards"))),
    Case("options-large", M, "a number beyond any integer",
         line("OPTIONS /x HTTP/1.1", "Max-Forwards: 99999999999999999999999"),
         must=either(refuse(keeps=True), forward())),
    Case("options-bad", M, "no number", line("OPTIONS /x HTTP/1.1", "Max-Forwards: x"),
         must=either(refuse(keeps=True), forward()), safe=either(
             refuse(400, keeps=True), forward(unsent("max-forwards")))),
    Case("options-minus", M, "a negative number",
         line("OPTIONS /x HTTP/1.1", "Max-Forwards: -1"), must=either(
             refuse(keeps=True), forward(not_below), at_zero)),
    Case("options-twice", M, "two that differ",
         line("OPTIONS /x HTTP/1.1", "Max-Forwards: 1", "Max-Forwards: 5"), safe=either(
             refuse(400, keeps=True), forward(not_below))),
    Case("get", M, "with other methods it may be ignored",
         line("GET /x HTTP/1.1", "Max-Forwards: 5"), must=either(
             forward(sent("max-forwards", "5")), forward(sent("max-forwards", "4")))),
    Case("trace-0", M, "TRACE with 0 is answered here",
         line("TRACE /x HTTP/1.1", "Max-Forwards: 0"), must=at_zero),
    Case("trace-1", M, "1 becomes 0, or TRACE is not for anybody",
         line("TRACE /x HTTP/1.1", "Max-Forwards: 1"), must=either(
             forward(sent("max-forwards", "0")), refuse(403, 405, 501, keeps=True))),
]


def no_echo(*texts):
    """An answer that shows the request leaves out what is secret."""
    def verdict(seen):
        if seen.requests or not seen.answer:
            return None
        for text in texts:
            if text in seen.answer.body:
                return f"the answer shows {text!r}"
        return None
    return verdict


T = "RFC 9110 9.3.8"
TRACES = [
    Case("plain", T, "passed on or refused", line("TRACE /x HTTP/1.1"),
         must=either(forward(), refuse(403, 405, 501, keeps=True), answer(200)),
         safe=refuse(403, 405, 501, keeps=True), house=refuse(405, keeps=True)),
    Case("allow", "RFC 9110 15.5.6", "a 405 says what is allowed", line("TRACE /x HTTP/1.1"),
         must=lambda seen: None if not seen.answer or seen.answer.status != 405
         or seen.answer.all("allow") or seen.requests else "a 405 without Allow"),
    Case("cookie", T, "no secret is shown: Cookie",
         line("TRACE /x HTTP/1.1", "Cookie: secret=1", "Max-Forwards: 0"),
         safe=no_echo(b"secret=1")),
    Case("authorization", T, "no secret is shown: Authorization",
         line("TRACE /x HTTP/1.1", "Authorization: Basic c2VjcmV0", "Max-Forwards: 0"),
         safe=no_echo(b"c2VjcmV0")),
    Case("track", T, "nor by its other name", line("TRACK /x HTTP/1.1"),
         must=either(forward(), refuse(keeps=True))),
    Case("options", "RFC 9110 9.3.7", "OPTIONS goes to the service", line("OPTIONS /x HTTP/1.1"),
         must=forward()),
    Case("options-star", "RFC 9110 9.3.7", "OPTIONS * is answered or passed on",
         line("OPTIONS * HTTP/1.1"), safe=either(forward(), answer((200, 204)))),
]

GROUPS = [
    Group("via", "Via", "requests", tuple(VIA)),
    Group("max-forwards", "Max-Forwards", "requests", tuple(FORWARDS)),
    Group("trace", "TRACE and OPTIONS", "requests", tuple(TRACES)),
]
