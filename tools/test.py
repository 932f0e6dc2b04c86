#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the test suites, each once, and end with one line "N passed, N failed, N skipped".

  tools/test.py BUILD [SUITE...]      BUILD: asan, clang, tsan, release

Suites: unit (C, with fuzz corpora and layers), system (pytest against the daemon), interop (other
projects' clients, servers and suites against it), gates (what a request may cost), sim (store and
registry in a simulated world), ruby (the gem), shop (the demo's story). Without SUITE all of them;
gates, sim, ruby and shop do not depend on BUILD: the first two are about the release build.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLOSING = re.compile(r"(\d+) (passed|failed|skipped|errors?)")
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run(command, **options):
    """Run a command, show what it prints, and return its status and last line with counts."""
    env = dict(os.environ, **SANITIZERS, **options.pop("env", {}))
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    closing = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        if "passed" in line and CLOSING.search(line):
            closing = line
    return process.wait(), closing


def counted(command, **options):
    """The counts of a command that closes with "N passed, N failed"."""
    status, closing = run(command, **options)
    count = Count()
    for number, word in CLOSING.findall(closing):
        name = "failed" if word.startswith("error") else word
        setattr(count, name, getattr(count, name) + int(number))
    if status and not count.failed:
        count.failed += 1
    return count


def unit(build):
    """Meson's tests: TAP cases count one by one, other programs as one."""
    directory = ROOT / "build" / build
    log = directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    subprocess.run(["meson", "test", "-C", str(directory), "--no-rebuild", "--num-processes", "2",
                    "--quiet", "--print-errorlogs"], cwd=ROOT, env=dict(os.environ, **SANITIZERS),
                   check=False)
    count = Count()
    for line in log.read_text(encoding="utf-8").splitlines():
        test = json.loads(line)
        output = test.get("stdout", "")
        passed = len(re.findall(r"^ok ", output, re.M))
        failed = len(re.findall(r"^not ok ", output, re.M))
        if test["result"] == "SKIP":
            count.skipped += 1
        elif test["result"] == "OK":
            count.passed += passed or 1
        else:
            count.passed += passed
            count.failed += failed or 1
    return count


def pytest(directory, **options):
    return counted([sys.executable if sys.executable.startswith("/usr/bin") else "/usr/bin/python3",
                    "-m", "pytest", "-q", "-p", "no:cacheprovider", directory], **options)


def system(build):
    return pytest("test/system", env={"SARSEN_BUILD": build})


def interop(build):
    return pytest("test/interop", env={"SARSEN_BUILD": build})


def gates(_build):
    programs = ["src/daemon/sarsen", "bench/bench-backend", "bench/bench-backend-h2",
                "bench/bench-load", "bench/bench-load-h2", "test/gates/gate-resolve"]
    subprocess.run([ROOT / "tools" / "build", "release", *programs], check=True)
    return pytest("test/gates")


def sim(_build):
    subprocess.run([ROOT / "tools" / "build", "release", "test/sim/sarsen-sim"], check=True)
    return pytest("test/sim")


def ruby(_build):
    return counted(["sdk/ruby/test/run"])


def shop(_build):
    return counted([sys.executable, "examples/shop/demo.py", "--check"])


SUITES = {"unit": unit, "system": system, "interop": interop, "gates": gates, "sim": sim,
          "ruby": ruby, "shop": shop}


def main():
    build, *names = sys.argv[1:]
    subprocess.run([ROOT / "tools" / "build", build], check=True)
    total, failed = Count(), []
    for name in names or SUITES:
        print(f"== {name}", flush=True)
        start = time.monotonic()
        count = SUITES[name](build)
        print(f"== {name}: {count} in {time.monotonic() - start:.0f} s", flush=True)
        total += count
        if count.failed or not count.passed:
            failed.append(name)
    if failed:
        print("failed: " + ", ".join(failed))
    print(total)
    sys.exit(1 if failed else 0)


main()
