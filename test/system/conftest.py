# SPDX-License-Identifier: Apache-2.0
"""The daemon under test: the real binary, in a directory of its own, on free ports."""
import os
import pathlib

import pytest
from support.daemon import Daemon
from support.service import Service

ROOT = pathlib.Path(__file__).resolve().parents[2]


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


@pytest.fixture
def make_daemon(binary, tmp_path):
    """Makes daemons with a config of the test's own; they are stopped and checked at the end."""
    made = []

    def make(config="", start=True, name="d"):
        daemon = Daemon(binary, tmp_path / f"{name}{len(made)}", config)
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

    def make(**options):
        service = Service(**options)
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()


