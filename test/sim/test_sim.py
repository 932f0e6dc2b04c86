# SPDX-License-Identifier: Apache-2.0
"""The simulation, on the release build: many seeds, and one twice."""
import pathlib
import subprocess

SIM = pathlib.Path(__file__).resolve().parents[2] / "build/release/test/sim/sarsen-sim"


def run(*args):
    done = subprocess.run([SIM, *args], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_ten_thousand_seeds():
    print(run("--seeds", "1..10000"))


def test_the_same_seed_is_the_same_run_to_the_byte():
    for seed in ("7", "8", "9", "12"):
        trace = run("--seed", seed)
        assert len(trace.splitlines()) > 100
        assert run("--seed", seed) == trace


def test_a_seed_runs_alone_as_among_others():
    among = run("--seeds", "40..40")
    assert "1 seeds" in among and run("--seeds", "40..40") == among
