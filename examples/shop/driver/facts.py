# SPDX-License-Identifier: Apache-2.0
"""One line per asserted fact, and the count of those that do not hold."""

import sys
import time


class Facts:
    def __init__(self):
        self.begin = time.monotonic()
        self.held = 0
        self.failed = 0

    def title(self, text):
        print(f"\n{text}", flush=True)

    def check(self, holds, text, found=None):
        """Records a fact; `found` is shown when it does not hold. Returns whether it holds."""
        if holds:
            self.held += 1
            print(f"  ok    {text}", flush=True)
            return True
        self.failed += 1
        detail = "" if found is None else f"\n        found: {found}"
        print(f"  FAIL  {text}{detail}", flush=True)
        return False

    def equal(self, found, wanted, text):
        return self.check(found == wanted, text, f"{found!r}, wanted {wanted!r}")

    def chapter(self, title, story):
        """Runs one chapter. What breaks in it is a failed fact; the next one still runs."""
        self.title(title)
        try:
            story()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failed fact
            found = f"{type(error).__name__}: {error}"
            self.check(False, f"{story.__name__} runs to its end", found)

    def summary(self):
        seconds = time.monotonic() - self.begin
        print(f"\n{self.held} passed, {self.failed} failed in {seconds:.0f} s", flush=True)
        sys.stdout.flush()
        return 1 if self.failed else 0
