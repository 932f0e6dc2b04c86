# SPDX-License-Identifier: Apache-2.0
"""What is acknowledged stays: kill -9 under writes, two processes on one directory, damage."""
import concurrent.futures
import http.client
import signal
import subprocess
import threading

from support.daemon import Caller

ROUNDS = 12
WRITERS = 8


def write_until_killed(daemon, writer, round_number, acknowledged, told):
    """Registers builds and pins customers over one connection until the server is gone; what was
    answered goes to `acknowledged`. A write that was not answered may or may not be there."""
    number = 0
    caller = Caller(daemon.api)
    token = {"Authorization": f"Bearer {daemon.token}"}
    try:
        while True:
            name = f"{round_number}-{writer}-{number}"
            answer = caller.ask(f"/v1/customers/c-{name}", token, "PUT",
                                f'{{"attributes":{{"v":"{name}"}}}}')
            assert answer.status == 201, answer
            acknowledged.append(name)
            number += 1
            if number == 3:
                told.release()
    except (OSError, http.client.HTTPException):
        return


def test_kill_9_under_writes_loses_nothing_acknowledged(make_daemon):
    daemon = make_daemon()
    everything = []
    for round_number in range(ROUNDS):
        told = threading.Semaphore(0)
        lists = [[] for _ in range(WRITERS)]
        threads = [threading.Thread(target=write_until_killed, args=(
            daemon, writer, round_number, lists[writer], told)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        for _ in range(WRITERS):  # each has written before the end comes
            assert told.acquire(timeout=30)
        daemon.kill()
        for thread in threads:
            thread.join(30)
        assert daemon.process.returncode == -signal.SIGKILL
        daemon.start()
        everything += [name for names in lists for name in names]
        there = {row["customer"]: row["attributes"]["v"]
                 for row in daemon.get("/v1/customers")["customers"]}
        lost = [name for name in everything if there.get(f"c-{name}") != name]
        assert not lost, f"round {round_number}: {lost}"
        # At most one write of each writer was under way when the end came.
        assert len(there) <= len(everything) + WRITERS * (round_number + 1)
    assert len(everything) >= ROUNDS * WRITERS * 3


def test_revisions_go_on_after_a_restart(make_daemon):
    daemon = make_daemon()
    last = 0
    for number in range(3):
        daemon.call("PUT", f"/v1/customers/c{number}", {"attributes": {}}, status=201)
        now = daemon.get("/v1/health")["revision"]
        assert now > last
        daemon.kill()
        daemon.start()
        assert daemon.get("/v1/health")["revision"] == now
        last = now


def test_everything_is_there_after_a_restart(make_daemon, service):
    daemon = make_daemon()
    daemon.register("orders", "orders-1", service().address, "3.14.2", meta={"zone": "a"})
    daemon.register("orders", "orders-2", service().address, "3.15.0")
    daemon.publish("shop", "4.1.0", {"orders": "3"}, {"main.js": b"1", "deep/a.css": b"2"})
    daemon.call("PUT", "/v1/customers/acme", {"attributes": {"tier": "gold"}}, status=201)
    daemon.call("PUT", "/v1/customers/acme/pins/shop", {"release": "4.1.0"}, status=201)
    daemon.call("PUT", "/v1/cohorts/staff", {"expression": "tier == 'internal'"}, status=201)
    daemon.call("POST", "/v1/rollouts", {"members": ["orders@3.15.0"], "steps": [{"pct": 5}]},
                status=201)
    paths = ("/v1/services", "/v1/contracts", "/v1/apps", "/v1/apps/shop/releases/4.1.0",
             "/v1/customers", "/v1/cohorts", "/v1/rollouts")
    before = [daemon.get(path) for path in paths]
    daemon.restart()
    assert [daemon.get(path) for path in paths] == before
    assert daemon.edge_get("/apps/shop/4.1.0/deep/a.css").body == b"2"


def refused_start(daemon):
    """What it says when it does not start."""
    done = subprocess.run([daemon.binary, "server", "-c", daemon.config], capture_output=True,
                          text=True, timeout=30, check=False, cwd=daemon.directory)
    assert done.returncode == 1 and "Sanitizer" not in done.stderr, done
    return done.stderr


def test_a_second_process_on_the_same_data_is_refused(make_daemon):
    daemon = make_daemon()
    said = refused_start(daemon)
    assert str(daemon.data) in said and "in use by another process" in said, said
    daemon.get("/v1/health")


def damage(path):
    """Overwrites the middle of every page with nonsense."""
    content = bytearray(path.read_bytes())
    for page in range(0, len(content), 4096):
        content[page + 100:page + 4000] = b"\xa5" * (min(page + 4000, len(content)) - page - 100)
    path.write_bytes(content)


def test_a_damaged_database_is_refused(make_daemon):
    for name in ("store.db", "ledger.db"):
        daemon = make_daemon()
        for number in range(50):
            daemon.call("PUT", f"/v1/customers/c{number}", {"attributes": {"v": "x" * 100}},
                        status=201)
            daemon.edge_get("/api/nobody/")
        daemon.stop()
        damage(daemon.data / name)
        said = refused_start(daemon)
        assert name in said, said
        assert len(said) < 2000, said


def test_a_store_that_lost_its_database_is_refused(make_daemon):
    """An absent file beside one that says there was a store is damage, not a new start."""
    daemon = make_daemon()
    daemon.call("PUT", "/v1/customers/acme", {"attributes": {}}, status=201)
    daemon.stop()
    (daemon.data / "store.db").unlink()
    assert "store.db" in refused_start(daemon)


def test_secrets_are_private_and_stay(make_daemon):
    daemon = make_daemon()
    token = daemon.token
    for name in ("token", "cookie.keys"):
        assert (daemon.data / name).stat().st_mode & 0o777 == 0o600
    daemon.restart()
    assert daemon.token == token
    daemon.stop()
    (daemon.data / "token").chmod(0o644)
    assert "token" in refused_start(daemon)
    (daemon.data / "token").chmod(0o600)
    (daemon.data / "cookie.keys").write_text("not hex\n")
    assert "cookie.keys" in refused_start(daemon)


def test_many_writes_of_one_resource_come_in_some_order(make_daemon):
    daemon = make_daemon()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: daemon.call(
            "PUT", "/v1/cohorts/one", {"expression": f"a == '{number}'"}).status, range(200)))
    assert set(statuses) <= {200, 201}
    assert daemon.get("/v1/cohorts")["cohorts"][0]["expression"].startswith("a == '")


def test_contending_writers_all_get_their_turn(make_daemon):
    """Each new build writes the record of its service: many at once wait, and none is sent away."""
    daemon = make_daemon()
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(lambda number: daemon.call(
            "PUT", f"/v1/services/orders/builds/3.{number}.0", {}).status, range(480)))
    assert set(statuses) == {201}
    assert len(daemon.get("/v1/services/orders/builds")["builds"]) == 480
