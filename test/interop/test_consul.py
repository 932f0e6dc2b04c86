# SPDX-License-Identifier: Apache-2.0
"""HashiCorp's Go client of the Consul API: locks, semaphores, watches, the agent, filters."""
import subprocess

import pytest

CASES = [
    "lock", "lock_lost", "lock_try", "semaphore", "session_ttl", "session_renew", "cas", "keys",
    "watch_service", "watch_keyprefix", "watch_key", "watch_checks", "watch_services",
    "watch_agent_service", "register", "ttl", "maintenance", "filters", "agent_health", "catalog",
    "node_checks", "session_checks",
]


@pytest.mark.parametrize("case", CASES)
def test_client(go, face, case):
    done = subprocess.run([go / "consul", face.consul, case], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_case_is_run(go):
    listed = subprocess.run([go / "consul"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == sorted(CASES)
