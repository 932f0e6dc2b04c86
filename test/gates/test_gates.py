# SPDX-License-Identifier: Apache-2.0
"""What a warm proxied GET, or a call of gRPC, may cost, in numbers that are the same on every
machine: instructions, system calls, allocations. When one of these fails, `test/gates/warm.py`
shows where it goes.

The limits follow what is reached; they are only ever lowered."""
import re
import subprocess

import pytest
import warm

INSTRUCTIONS_MAX = 5000  # of a worker, per request; 64 connections share turns of the loop
ALONE_MAX = 5300  # with one, each request is two turns
# One connection with 32 streams: of HTTP/2 to a service of HTTP/1.1, and of gRPC.
STREAMS_MAX = {"h2": 9200, "grpc": 16900}
RESOLVE_MAX = 1750  # of version_resolve() with eight rules; 2 us are at least 4,000

# Once a second the control loop collects the counts of each worker. That is not of a request, but
# falls into the time of some: so many calls are let pass in all.
FEW = 40
COUNT = 1000
TRIES = 3


def profile_within(limit, directory, **options):
    """A profile at or under the limit, or the last of three. How many connections are ready in one
    turn of the loop is chance; when fewer are, turns that a busier worker would not make are
    counted, so a run can only come out too high."""
    for number in range(TRIES):
        path = directory / str(number)
        path.mkdir()
        profile = warm.callgrind(path, **options)
        if profile.instructions <= limit:
            break
    return profile


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One connection: each request is two turns of the loop."""
    return profile_within(ALONE_MAX, tmp_path_factory.mktemp("alone"), connections=1, count=COUNT)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """64 connections of as many customers."""
    return profile_within(INSTRUCTIONS_MAX, tmp_path_factory.mktemp("many"), connections=64,
                          count=COUNT)


def test_instructions_of_a_request(alone, many):
    assert alone.instructions <= ALONE_MAX, "\n".join(alone.top(30))
    assert many.instructions <= INSTRUCTIONS_MAX, "\n".join(many.top(30))


def test_a_request_allocates_nothing(alone, many):
    assert sum(alone.allocations.values()) <= FEW, alone.allocations
    assert sum(many.allocations.values()) <= FEW, many.allocations


@pytest.mark.parametrize("protocol", STREAMS_MAX)
def test_streams(tmp_path, protocol):
    profile = profile_within(STREAMS_MAX[protocol], tmp_path, connections=1, count=2 * COUNT,
                             protocol=protocol)
    assert profile.instructions <= STREAMS_MAX[protocol], "\n".join(profile.top(30))
    assert sum(profile.allocations.values()) <= FEW, profile.allocations


def take(calls, *names):
    """How many calls of these names there were on sockets; what is left is for nobody."""
    return sum(calls.pop((name, "socket:"), 0) for name in names)


@pytest.mark.parametrize("connections, waits", [(64, 1), (1, 2)])
def test_system_calls_of_a_request(tmp_path, connections, waits):
    calls = warm.strace(tmp_path, connections, COUNT)
    assert take(calls, "recvfrom", "recvmsg", "read", "readv") == 2 * COUNT, calls
    assert take(calls, "sendto", "sendmsg", "write", "writev") == 2 * COUNT, calls
    n_waits = sum(calls.pop(call) for call in list(calls) if call[0].startswith("epoll_wait"))
    assert n_waits <= waits * COUNT + FEW
    assert calls.total() <= FEW, calls


def test_instructions_of_resolving():
    done = subprocess.run([warm.BUILD / "test" / "gates" / "gate-resolve"], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    n = int(re.search(r"# (\d+) instructions", done.stdout)[1])
    assert 0 < n <= RESOLVE_MAX


def test_what_is_measured_is_resolved_and_counted(tmp_path):
    """The gates would be easy to hold if their requests went past what they are about."""
    with warm.Setup(tmp_path) as setup:
        load = setup.load(connections=64, warm=0, count=640)
        load.run()
        load.stop()
        daemon = setup.daemon

        def counted():
            rows = daemon.get("/v1/usage?contract=orders@3&by=customer")["usage"]
            return {row["customer"]: row["n"] for row in rows}

        names = {f"customer-{number}" for number in range(warm.N_CUSTOMERS)}
        daemon.eventually(lambda: sum(n for name, n in counted().items() if name in names) >= 640)
        assert set(counted()) >= names
        explained = daemon.get("/v1/customers/customer-1/explain")
        assert explained["reason"] == "PIN"
        assert explained["content"]["contracts"] == {"orders": 3}
