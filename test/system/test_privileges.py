# SPDX-License-Identifier: Apache-2.0
"""What a server may still do once it serves: its user, its capabilities, its sandbox."""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from support.daemon import Daemon, request

USER = "nobody"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def status_of(daemon, thread=None):
    path = pathlib.Path(f"/proc/{daemon.process.pid}")
    path = path / "task" / thread if thread else path
    return dict(line.split(":\t", 1) for line in (path / "status").read_text().splitlines()
                if ":\t" in line)


def statuses_of(daemon):
    return [status_of(daemon, thread) for thread in os.listdir(f"/proc/{daemon.process.pid}/task")]


@pytest.fixture
def place():
    """A directory that another user may enter, unlike those of pytest."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sarsen-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def become(binary, place):
    """Makes daemons that become USER; they are stopped and checked at the end."""
    made = []

    def make(config="", gateway="", user=USER):
        daemon = Daemon(binary, place / f"d{len(made)}", f"user: {user}\n{config}", gateway)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
        daemon.check_log()


def refuses(daemon, *words):
    """It does not start, and says why."""
    done = subprocess.run([daemon.binary, "server", "-c", daemon.config], capture_output=True,
                          text=True, timeout=30, check=False, cwd=daemon.directory)
    assert done.returncode == 1, done
    for word in words:
        assert word in done.stderr, done.stderr


# --- the user ---

@as_root
def test_a_server_that_root_starts_becomes_its_user(become, service):
    daemon = become().start()
    orders = service()
    daemon.register("orders", "o-1", orders.address, "1.0.0")
    assert daemon.edge_get("/api/orders/").status == 200

    user = pwd.getpwnam(USER)
    for status in statuses_of(daemon):
        assert status["Uid"].split() == [str(user.pw_uid)] * 4
        assert status["Gid"].split() == [str(user.pw_gid)] * 4
        assert "0" not in status["Groups"].split()
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, (kind, status)
        assert status["NoNewPrivs"] == "1"
    for path in (daemon.data, *daemon.data.rglob("*")):
        assert path.stat().st_uid == user.pw_uid, path


@as_root
def test_a_port_of_root_is_bound_before_it_becomes_its_user(become):
    for port in range(600, 700):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
    daemon = become()
    daemon.config.write_text(daemon.config.read_text().replace(
        "edge: 127.0.0.1:0", f"edge: 127.0.0.1:{port}"))
    daemon.start()
    assert daemon.edge == f"127.0.0.1:{port}"
    assert request(daemon.edge, "GET", "/none").status == 404
    assert status_of(daemon)["Uid"].split()[0] != "0"


@as_root
def test_who_takes_over_becomes_the_same_user(become):
    daemon = become().start()
    daemon.register("orders", "o-1", "127.0.0.1:9", "1.0.0")
    heir = daemon.upgrade()
    try:
        daemon.ended()
        assert heir.edge == daemon.edge
        assert status_of(heir)["Uid"].split()[0] == str(pwd.getpwnam(USER).pw_uid)
        assert "orders" in str(heir.get("/v1/services", token=False))
    finally:
        heir.stop()
    heir.check_log()


@as_root
def test_what_root_has_left_is_handed_over(become):
    daemon = become()
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace(f"user: {USER}\n", ""))
    daemon.start()
    daemon.register("orders", "o-1", "127.0.0.1:9", "1.0.0")
    token = daemon.token
    daemon.stop()
    assert (daemon.data / "token").stat().st_uid == 0

    daemon.config.write_text(text)
    daemon.start()
    assert (daemon.data / "token").stat().st_uid == pwd.getpwnam(USER).pw_uid
    assert daemon.token == token
    assert "orders" in str(daemon.get("/v1/services", token=False))


@as_root
def test_what_is_somebody_elses_is_not_taken(become, place):
    other = become()
    other.data.mkdir()
    os.chown(other.data, pwd.getpwnam("daemon").pw_uid, -1)
    refuses(other, "data", "another user")

    linked = become()
    (place / "elsewhere").mkdir()
    linked.data.symlink_to(place / "elsewhere")
    refuses(linked, "data", "link")


@pytest.mark.parametrize(("config", "words"), [
    ("user: no-such-user\n", ("user", "no such user")),
    ("user: root\ngroup: no-such-group\n", ("group", "no such group")),
    ("group: daemon\n", ("group", "no user")),
])
def test_a_user_who_is_not_there_is_refused(make_daemon, config, words):
    refuses(make_daemon(config, start=False), *words)


# --- the sandbox ---

def test_every_thread_is_in_the_sandbox(make_daemon):
    daemon = make_daemon()
    sandbox = daemon.get("/v1/health", token=False)["sandbox"]
    statuses = statuses_of(daemon)
    assert len(statuses) >= 4
    for status in statuses:
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == ("2" if sandbox["seccomp"] else "0")
    assert sandbox["seccomp"] is True
    assert any("msg=confined" in line and "seccomp=yes" in line for line in daemon.log)


def test_there_is_none_where_it_is_off(make_daemon):
    daemon = make_daemon("sandbox: off\n")
    assert daemon.get("/v1/health", token=False)["sandbox"] == {"landlock": 0, "seccomp": False}
    assert status_of(daemon)["Seccomp"] == "0"


def reload(daemon):
    seen = len(daemon.log)
    daemon.process.send_signal(signal.SIGHUP)
    return daemon.eventually(lambda: next(
        (line for line in daemon.log[seen:] if "msg=reloaded" in line or "refused" in line), None))


def test_a_reload_that_names_a_closed_place_is_refused_in_words(make_daemon, tmp_path):
    daemon = make_daemon()
    if not daemon.get("/v1/health", token=False)["sandbox"]["landlock"]:
        pytest.skip("this kernel has no Landlock")
    daemon.expect_log("the config file was refused")
    closed = tmp_path / "closed"
    closed.mkdir()
    text = daemon.config.read_text()
    for gateway, key in ((f"  access_log: {closed}/access.log\n", "gateway.access_log"),
                         (f"  internal: unix:{closed}/x.sock\n", "gateway.internal")):
        changed = text.replace("  internal: 127.0.0.1:0\n", gateway)
        assert changed != text
        daemon.config.write_text(changed)
        assert "refused" in reload(daemon)
        assert any(key in line and "sandbox" in line and str(closed) in line
                   for line in daemon.log), daemon.log
        assert not list(closed.iterdir())

    near = daemon.data / "logs"
    near.mkdir()
    daemon.config.write_text(text.replace("  internal: 127.0.0.1:0\n",
                                          f"  internal: 127.0.0.1:0\n  access_log: {near}/a.log\n"))
    assert "reloaded" in reload(daemon)
    daemon.edge_get("/none")
    daemon.eventually(lambda: (near / "a.log").exists() and (near / "a.log").read_text())


def test_the_place_of_the_access_log_is_open(make_daemon, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    daemon = make_daemon(gateway=f"  access_log: {logs}/access.log\n")
    daemon.edge_get("/one")
    daemon.eventually(lambda: "/one" in (logs / "access.log").read_text())
    (logs / "access.log").rename(logs / "access.log.1")
    assert "reloaded" in reload(daemon)
    daemon.edge_get("/two")
    daemon.eventually(lambda: (logs / "access.log").exists()
                      and "/two" in (logs / "access.log").read_text())


def test_memory_with_keys_is_in_no_core_dump(make_daemon):
    daemon = make_daemon()
    limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
    assert next(line.split()[4:6] for line in limits.splitlines()
                if line.startswith("Max core file size")) == ["0", "0"]


@as_root
@pytest.mark.parametrize("name", ["token", "cookie.keys"])
def test_a_secret_that_others_can_read_is_refused(make_daemon, name):
    daemon = make_daemon()
    daemon.stop()
    (daemon.data / name).chmod(0o644)
    refuses(daemon, name, "chmod 600")
    (daemon.data / name).chmod(0o600)
