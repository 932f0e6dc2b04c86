# SPDX-License-Identifier: Apache-2.0
"""Debian's testssl.sh finds nothing of severity LOW or above, but that nobody vouches for a
self-signed certificate."""
import json
import shutil
import subprocess

import pytest

EXPECTED = {"cert_chain_of_trust", "engine_problem"}  # the latter is about testssl.sh's own openssl
HARMLESS = {"OK", "INFO", "DEBUG"}


def test_testssl(gateway, tmp_path):
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if not program:
        pytest.skip("there is no testssl.sh")
    report = tmp_path / "report.json"
    done = subprocess.run(
        [program, "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none",
         "--severity", "LOW", "--jsonfile", report, gateway.secure],
        capture_output=True, text=True, timeout=400, check=False)
    findings = json.loads(report.read_text())
    worse = [finding for finding in findings if finding["severity"] not in HARMLESS
             and finding["id"] not in EXPECTED]
    assert not worse, (worse, done.stdout[-4000:], done.stderr[-1000:])
    assert "Done" in done.stdout, done.stdout[-4000:]
