# SPDX-License-Identifier: Apache-2.0
"""Debian's testssl.sh finds nothing of severity LOW or above, but that nobody vouches for a
self-signed certificate."""
import json
import shutil
import subprocess

import pytest

EXPECTED = {"cert_chain_of_trust"}
# WARN is what testssl.sh could not look at: it lacks an engine of openssl, and its client may leave
# before the tickets of TLS 1.3 have come.
HARMLESS = {"OK", "INFO", "DEBUG", "WARN"}


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
    assert {finding["id"] for finding in findings} >= EXPECTED, "it has looked"
    assert not worse, (worse, done.stdout[-4000:], done.stderr[-1000:])
    assert "Done" in done.stdout, done.stdout[-4000:]
