# SPDX-License-Identifier: Apache-2.0
"""What may be demanded of what was seen. A verdict is called with a runner.Seen; it returns None
when it is met, else a sentence. Whatever the verdict, nothing smuggled may have been served, and
what reached the service must be readable in one way."""
import re
from urllib.parse import unquote_to_bytes


def common(seen):
    for request in seen.record.requests:
        if "smuggled" in request.target:
            return "the service was asked for what was no request"
        if request.faults:
            return f"passed on: {request.faults[0]}"
    for answer in seen.answers:
        if b"smuggled" in answer.body or answer.get("x-smuggled"):
            return "the client got as an answer what was none"
    return None


def in_sync(seen):
    """The connection is closed, or goes on with the next request."""
    if not seen.sentinel:
        return None if seen.is_closed else "the connection is kept but does not answer"
    if not seen.sentinel.body.endswith(b"/sentinel"):
        return f"the next request got the answer {seen.sentinel.body[:60]!r}"
    return None


def first_fault(seen, checks):
    for check in checks:
        if fault := check(seen):
            return fault
    return None


def refuse(*statuses, keeps=False):
    """Not passed on; answered with one of the statuses (any of 4xx and 5xx when none is named, or
    nothing at all), and closed unless it `keeps`."""
    def verdict(seen):
        if fault := common(seen):
            return fault
        if seen.requests:
            return f"was passed on: {seen.requests[0].start[:80]!r}"
        if not seen.answer:
            if seen.is_timeout and not seen.is_closed:
                return "was neither refused nor answered"
            return f"closed without {statuses}" if statuses else None
        if seen.answer.status not in (statuses or range(400, 600)):
            return f"was answered with {seen.answer.status}"
        if keeps:
            return in_sync(seen)
        if not seen.is_closed or seen.sentinel:
            return "the connection was not closed"
        return None
    return verdict


def forward(*checks, status=200, closes=None):
    """Passed on once, whole, with one meaning; the service's answer came back."""
    def verdict(seen):
        if fault := common(seen):
            return fault
        if len(seen.requests) != 1:
            answered = f", answered with {seen.answer.status}" if seen.answer else ""
            return f"was passed on {len(seen.requests)} times{answered}"
        if not seen.answer or seen.answer.status != status:
            got = seen.answer.status if seen.answer else "nothing"
            return f"was answered with {got}"
        if closes and (seen.sentinel or not seen.is_closed):
            return "the connection was not closed"
        if closes is False and not seen.sentinel:
            return "the connection was not kept"
        return first_fault(seen, checks) or in_sync(seen)
    return verdict


def answer(status, *checks, closes=None):
    """Answered with one of the statuses, wherever the answer was made."""
    statuses = status if isinstance(status, tuple) else (status,)

    def verdict(seen):
        if fault := common(seen):
            return fault
        if not seen.answer:
            return "was not answered"
        if seen.answer.status not in statuses:
            return f"was answered with {seen.answer.status}"
        if seen.answer.faults:
            return f"the client got: {seen.answer.faults[0]}"
        if not seen.answer.is_complete:
            return "the answer is not complete"
        if closes and (seen.sentinel or not seen.is_closed):
            return "the connection was not closed"
        if closes is False and not seen.sentinel:
            return "the connection was not kept"
        return first_fault(seen, checks) or in_sync(seen)
    return verdict


def unserved(seen):
    """Refused or waited for; not passed on as complete."""
    return common(seen) or (f"was passed on: {seen.requests[0].start[:80]!r}" if seen.requests
                            else None)


def either(*verdicts):
    def verdict(seen):
        faults = [one(seen) for one in verdicts]
        return None if None in faults else "; or: ".join(faults)
    return verdict


def both(*verdicts):
    return lambda seen: first_fault(seen, verdicts)


def harmless(seen):
    """Whatever became of it, nobody was misled."""
    return common(seen) or in_sync(seen)


def cut(seen):
    """The client can see that what it got is not the whole answer: an error in its place, or one
    that ends too early."""
    if fault := common(seen):
        return fault
    if not seen.answer:
        return None if seen.is_closed else "the client still waits"
    if seen.answer.status >= 500:
        return None
    if seen.answer.framing == "close" and seen.is_reset:
        return None
    if seen.answer.is_complete:
        return "the client takes it for the whole answer"
    return None if seen.is_closed else "the client still waits for its end"


# --- checks of the request that reached the service ---

def sent(name, *values):
    """The field reached the service, with these values line by line."""
    def check(seen):
        found = seen.requests[0].all(name)
        if not found or (values and found != list(values)):
            return f"{name} reached the service as {found}"
        return None
    return check


def sent_members(name, *members):
    """The list field's members, however they were put on lines."""
    def check(seen):
        found = seen.requests[0].list(name)
        return None if found == list(members) else f"{name} reached the service as {found}"
    return check


def unsent(*names):
    def check(seen):
        for name in names:
            if found := seen.requests[0].all(name):
                return f"{name} reached the service: {found}"
        return None
    return check


def unnamed(*options):
    """The service's connection has no such option."""
    def check(seen):
        named = set(seen.requests[0].list("connection")) & set(options)
        return f"Connection reached the service with {sorted(named)}" if named else None
    return check


def body(expected):
    def check(seen):
        got = seen.requests[0].body
        return None if got == expected else f"the content reached the service as {got[:60]!r}"
    return check


def target(*allowed):
    def check(seen):
        got = seen.requests[0].target
        return None if got in allowed else f"the target reached the service as {got!r}"
    return check


def method(expected):
    def check(seen):
        got = seen.requests[0].method
        return None if got == expected else f"the method reached the service as {got!r}"
    return check


def version(seen):
    """A gateway speaks its own version upstream."""
    got = seen.requests[0].version
    return None if got == "HTTP/1.1" else f"the version reached the service as {got}"


def via(seen):
    """Via names the gateway behind whoever was there before it."""
    received = seen.requests[0].list("via")
    return None if received else "no Via reached the service"


def no_trailer(name):
    """Neither as a trailer nor as a field of the head."""
    def check(seen):
        request = seen.requests[0]
        if any(known == name for known, _ in request.trailers):
            return f"{name} reached the service as a trailer"
        return f"{name} became a field of the head" if request.all(name) else None
    return check


def unmerged(name):
    """A trailer may be dropped, but is no field of the head."""
    return lambda seen: (f"{name} became a field of the head" if seen.requests[0].all(name)
                         else None)


# --- checks of what the client got ---

def got(name, *values):
    def check(seen):
        found = seen.answer.all(name)
        if not found or (values and found != list(values)):
            return f"the client got {name} {found}"
        return None
    return check


def not_got(*names):
    def check(seen):
        for name in names:
            if found := seen.answer.all(name):
                return f"the client got {name} {found}"
        return None
    return check


def got_body(expected):
    def check(seen):
        found = seen.answer.body
        return None if found == expected else f"the client got the content {found[:60]!r}"
    return check


def got_version(seen):
    found = seen.answer.version
    return None if found == "HTTP/1.1" else f"the client got {found}"


def got_clean(seen):
    """Grammar of the answer, and a date."""
    return f"the client got: {seen.answer.faults[0]}" if seen.answer.faults else None


def framing(*allowed):
    def check(seen):
        found = seen.answer.framing
        return None if found in allowed else f"the content came framed by {found}"
    return check


def interims(*statuses):
    """Exactly these 1xx came before the answer."""
    def check(seen):
        found = [interim.status for interim in seen.interims]
        return None if found == list(statuses) else f"the client got {found} before the answer"
    return check


def interim_field(name, value):
    def check(seen):
        found = [interim.get(name) for interim in seen.interims]
        return None if value in found else f"{name} of the interim response is {found}"
    return check


def trailer(name, value=None):
    """The client got that trailer, or none when `value` is None."""
    def check(seen):
        found = [text for known, text in seen.answer.trailers if known == name]
        return None if found == ([value] if value else []) else f"the trailer {name} is {found}"
    return check


def answers_in_order(*targets):
    """The answers came whole and in the order of their requests."""
    def check(seen):
        bodies = [one.body.decode("latin-1").split(" ")[-1] for one in seen.answers]
        expected = list(targets)
        return None if bodies[:len(expected)] == expected else f"answers came as {bodies}"
    return check


def answered(count):
    """So many answers and then nothing: the connection is closed."""
    def verdict(seen):
        if fault := common(seen):
            return fault
        if len(seen.answers) != count:
            return f"{len(seen.answers)} answers came"
        if not seen.is_closed:
            return "the connection was not closed"
        return None
    return verdict


def asked(count):
    """The service was asked so often."""
    def verdict(seen):
        if fault := common(seen):
            return fault
        times = len(seen.requests)
        return None if times == count else f"the service was asked {times} times"
    return verdict


def not_reused(seen):
    """The next request went out on another connection than the first."""
    if fault := common(seen):
        return fault
    ours = {request.connection for request in seen.requests}
    later = {request.connection for request in seen.record.requests
             if "/sentinel" in request.target}
    return "the service's connection was used again" if ours & later else in_sync(seen)


# --- paths ---

def readings(text):
    """Every path that some server would take this target for: one drops parameters, takes the
    backslash for a slash, ends at NUL, or joins slashes, and the next does not. Escapes are read
    once, and dots before or behind that."""
    path = re.sub(r"^[a-zA-Z]+://[^/]*", "", re.split(r"[?#]", text)[0]).encode("latin-1")
    found = {path}
    for step in (lambda one: re.sub(rb";[^/]*", b"", one), resolved, unquote_to_bytes,
                 lambda one: one.replace(b"\\", b"/"), lambda one: one.partition(b"\0")[0],
                 lambda one: re.sub(rb"/+", b"/", one), resolved):
        found |= {step(one) for one in found}
    return found


def resolved(path):
    out = []
    for part in path.split(b"/"):
        if part == b"..":
            out = out[:-1] if len(out) > 1 else out
        elif part != b".":
            out.append(part)
    return b"/".join(out)


def denied(seen):
    """Nothing that some server would read as the denied path reached the service."""
    if fault := common(seen):
        return fault
    for request in seen.requests:
        for path in readings(request.target):
            if path == b"/admin" or path.startswith(b"/admin/"):
                return f"{request.target!r} reached the service"
    if seen.requests:
        return None
    if seen.answer and not 400 <= seen.answer.status < 600 and seen.answer.status not in (301, 308):
        return f"was answered with {seen.answer.status}"
    return None if seen.answer or seen.is_closed else "was not answered"
