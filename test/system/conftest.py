# SPDX-License-Identifier: Apache-2.0
"""The daemon under test: the real binary, in a directory of its own, on free ports."""
import itertools
import os
import pathlib
import sys

import pytest
from support.daemon import Daemon
from support.service import Service
from support.wire import Played, Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test"))  # the conformance table


@pytest.fixture(scope="session")
def binary():
    build = os.environ.get("SARSEN_BUILD", "asan")
    path = ROOT / "build" / build / "src" / "daemon" / "sarsen"
    assert path.exists(), f"{path} is missing: tools/build {build}"
    return path


@pytest.fixture
def daemon(binary, tmp_path):
    """A running daemon; at the end it must stop cleanly, silently and without leaks."""
    daemon = Daemon(binary, tmp_path)
    daemon.start()
    yield daemon
    daemon.stop()
    daemon.check_log()


@pytest.fixture(scope="module")
def shared(binary, tmp_path_factory):
    """One daemon for the tests of a module that do not get into each other's way."""
    daemon = Daemon(binary, tmp_path_factory.mktemp("shared"))
    daemon.start()
    yield daemon
    daemon.stop()
    daemon.check_log()


@pytest.fixture
def make_daemon(binary, tmp_path):
    """Makes daemons with a config of the test's own; they are stopped and checked at the end."""
    made = []

    def make(config="", start=True, name="d", gateway=""):
        daemon = Daemon(binary, tmp_path / f"{name}{len(made)}", config, gateway)
        made.append(daemon)
        if start:
            daemon.start()
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
        daemon.check_log()


@pytest.fixture
def service():
    """Makes real HTTP services on free ports that record what reaches them."""
    made = []

    def make(name="service", **options):
        service = Service(name, **options)
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()


names = (f"s{number}" for number in itertools.count(1))


@pytest.fixture
def name():
    """The name of a service that no other test has."""
    return next(names)


@pytest.fixture
def upstream(shared, name):
    """An instance of service `name` on the shared daemon, played by the test."""
    upstream = Upstream()
    shared.register(name, "i1", upstream.address, "1.0.0")
    yield upstream
    upstream.close()


@pytest.fixture
def play(shared, name):
    """Registers instances of service `name` that a function serves."""
    made = []

    def make(function, instance="i1", build="1.0.0", daemon=shared):
        played = Played(function)
        made.append(played)
        daemon.register(name, instance, played.address, build)
        return played

    yield make
    for played in made:
        played.close()
