# SPDX-License-Identifier: Apache-2.0
"""The Debian package: built, unpacked, and run from where it was unpacked."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from support.daemon import Daemon

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
RATING_MAX = 1.5

needs = {name: pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")
         for name in ("dpkg-buildpackage", "dh", "lintian", "systemd-analyze", "systemd-sysusers")}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                          **options)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def package(binary, tmp_path_factory):
    directory = tmp_path_factory.mktemp("package")
    run(PACKAGING / "build", directory, env={**os.environ, "SARSEN_BINARY": str(binary)})
    (deb,) = directory.glob("sarsen_*.deb")
    return deb


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    directory = tmp_path_factory.mktemp("root")
    run("dpkg-deb", "-x", package, directory)
    return directory


@needs["dpkg-buildpackage"]
@needs["dh"]
@needs["lintian"]
def test_lintian_finds_no_fault(package):
    # What a sanitizer adds is found in the program of a test build.
    options = [] if os.geteuid() else ["--allow-root"]
    assert run("lintian", "--tag-display-limit", "0", "--suppress-tags",
               "custom-library-search-path,hardening-no-fortify-functions,unstripped-binary-or-object",
               "--fail-on", "error,warning", *options, package) == ""


@needs["dpkg-buildpackage"]
@needs["dh"]
def test_the_package_is_complete(unpacked):
    for path in ("usr/bin/sarsen", "etc/sarsen/sarsen.yaml", "lib/systemd/system/sarsen.service",
                 "lib/systemd/system/sarsen.socket", "usr/lib/sysusers.d/sarsen.conf",
                 "usr/lib/tmpfiles.d/sarsen.conf", "usr/share/man/man1/sarsen.1.gz",
                 "usr/share/doc/sarsen/copyright"):
        assert (unpacked / path).is_file(), path
    run(unpacked / "usr/bin/sarsen", "config", "check", unpacked / "etc/sarsen/sarsen.yaml")


@needs["dpkg-buildpackage"]
@needs["dh"]
def test_what_was_unpacked_serves_by_its_config(unpacked, tmp_path, service):
    daemon = Daemon(unpacked / "usr/bin/sarsen", tmp_path / "d")
    text = (unpacked / "etc/sarsen/sarsen.yaml").read_text()
    text, n_replaced = re.subn("/var/lib/sarsen\n", f"{daemon.data}\n", text)
    assert n_replaced == 1
    text, n_replaced = re.subn(r"(edge|internal|listen): 127\.0\.0\.1:\d+",
                               r"\1: 127.0.0.1:0", text)
    assert n_replaced == 3
    daemon.config.write_text(text)
    daemon.start()
    orders = service()
    daemon.register("orders", "o-1", orders.address, "1.0.0")
    assert daemon.edge_get("/api/orders/").status == 200
    health = run(unpacked / "usr/bin/sarsen", "health", "--data", daemon.data)
    assert health.startswith("ok")
    daemon.stop()
    daemon.check_log()


@needs["dpkg-buildpackage"]
@needs["dh"]
@needs["systemd-sysusers"]
def test_its_user_and_directories_are_made(unpacked):
    run("systemd-sysusers", f"--root={unpacked}", "sarsen.conf")
    user = next(line for line in (unpacked / "etc/passwd").read_text().splitlines()
                if line.startswith("sarsen:"))
    assert user.split(":")[5] == "/var/lib/sarsen" and user.endswith("nologin")


@needs["systemd-analyze"]
def test_the_unit_is_rated(tmp_path):
    text = run("systemd-analyze", "security", "--offline=true", "--no-pager",
               PACKAGING / "sarsen.service")
    rating = float(re.search(r"exposure level for sarsen.service: ([\d.]+)", text).group(1))
    assert rating <= RATING_MAX, text


@needs["systemd-analyze"]
def test_the_units_are_understood(binary, tmp_path):
    """Verified with the program where the tests have it."""
    for name in ("sarsen.service", "sarsen.socket"):
        text = (PACKAGING / name).read_text().replace("/usr/bin/sarsen", str(binary))
        (tmp_path / name).write_text(re.sub("Documentation=.*\n", "", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "sarsen.service",
                           tmp_path / "sarsen.socket"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0 and "sarsen" not in done.stderr, done.stderr
