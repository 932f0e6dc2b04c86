# SPDX-License-Identifier: Apache-2.0
"""The browser of the check: one Node process, JSON lines in and out."""

import contextlib
import json
import subprocess


class Browser:
    def __init__(self, runner, folder, gateway):
        self.process = runner.start(
            "browser",
            ["node", folder / "browser.mjs", gateway],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, verb, customer):
        """What the page shows after `verb`; see browser.mjs for the fields."""
        popen = self.process.popen
        popen.stdin.write(json.dumps({"do": verb, "customer": customer}) + "\n")
        popen.stdin.flush()
        line = popen.stdout.readline()
        if not line:
            text = "\n".join(self.process.log_lines()[-10:])
            raise RuntimeError(f"the browser ended: {text}")
        answer = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(f"browser, {verb} of {customer}: {answer['failed']}")
        return answer["ok"]

    def close(self):
        self.process.popen.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.popen.wait(10)
