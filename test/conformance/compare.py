# SPDX-License-Identifier: Apache-2.0
"""Holds Sarsen, nginx, HAProxy and Apache to the same table and writes docs/conformance.md.

  PYTHONPATH=test:test/system python3 -m conformance.compare [FILE]
"""
import datetime
import pathlib
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from conformance import gateways
from conformance.cases import CASES, GROUPS
from conformance.runner import Lane
from conformance.table import CLASSES

SPLITS = {False: "whole", True: "byte by byte"}
LANES = 2  # of each gateway, side by side

HEAD = """\
# Conformance

What RFC 9110 and RFC 9112 demand of a gateway, as a table in
[`test/conformance/cases`](../test/conformance/cases): {cases} cases in {groups} groups. Each is
sent whole and byte by byte (of what is longer than 8 KiB, the first and last 4 KiB). Behind the
gateway stands a service that keeps every byte that reached it; what is passed on must be readable
in one way by a strict reader of its own.

- **must**: what an RFC demands of every gateway and anyone outside can see
- **safe**: where two parsers could read the bytes differently, or an RFC says SHOULD: refusing it,
  or passing on something that has one meaning
- **house**: what Sarsen promises beyond that, such as a certain status; no measure for others

Sarsen's tests run the table
([`test/system/test_conformance.py`](../test/system/test_conformance.py)). `make conformance` runs
it against all four and writes this page. The others come from Debian 12 and are configured as their
manuals advise for a reverse proxy that keeps its connections to the service, with the same denied
prefix; where they have a directive for the matter it is used (`ProxyVia`, say), but no fields are
put together by hand ([`gateways.py`](../test/conformance/gateways.py)). A case counts only if it
holds both whole and byte by byte.

"""


class Score:
    """How one gateway did: for each case and class, None or the first fault."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.name = gateway.name
        self.version = gateway.version()
        self.faults = {}

    def run(self):
        names = list(CASES)
        with ThreadPoolExecutor(LANES) as pool:
            for part in pool.map(self.run_lane, [names[at::LANES] for at in range(LANES)]):
                self.faults.update(part)
        return self

    def run_lane(self, names):
        is_ours = self.gateway is gateways.Sarsen
        lane = Lane(self.gateway, *((15.0, 1.0) if is_ours else (2.0, 0.5)))
        try:
            return dict(fault for name in names for fault in self.judge(lane, name))
        finally:
            lane.close()

    def judge(self, lane, name):
        """What failed is tried once more, so that a moment's load is nobody's fault."""
        first = dict(self.judge_once(lane, name))
        if not any(first.values()):
            return first.items()
        second = dict(self.judge_once(lane, name))
        return [(key, fault and second[key]) for key, fault in first.items()]

    @staticmethod
    def judge_once(lane, name):
        case = CASES[name]
        faults = {kind: [] for kind in case.verdicts()}
        for is_split, way in SPLITS.items():
            seen = lane.run(case, is_split)
            for kind, verdict in case.verdicts().items():
                if fault := verdict(seen):
                    faults[kind].append((way, fault))
        for kind, found in faults.items():
            only = f"only {found[0][0]}: " if len(found) == 1 else ""
            yield (name, kind), only + found[0][1] if found else None

    def count(self, kind, group=None):
        """Passed and all."""
        all_of = [fault for (name, one), fault in self.faults.items()
                  if one == kind and (group is None or name.startswith(group.id + "/"))]
        return all_of.count(None), len(all_of)


def row(*cells):
    return "| " + " | ".join(cells) + " |\n"


def share(score, kind, group=None):
    passed, of = score.count(kind, group)
    return f"{passed}" if of else ""


def table_of(scores, kind):
    yield f"\n## {kind}, by group\n\n"
    yield row("group", "cases", *[score.name for score in scores])
    yield "|---|--:|" + "--:|" * len(scores) + "\n"
    for side in ("requests", "responses"):
        for group in GROUPS:
            of = scores[0].count(kind, group)[1]
            if group.side == side and of:
                yield row(f"{side}: {group.title}", str(of),
                          *[share(score, kind, group) for score in scores])
    yield row("**all**", f"**{scores[0].count(kind)[1]}**",
              *[f"**{share(score, kind)}**" for score in scores])


def sections():
    """Which sections the cases name."""
    counts = Counter(section for case in CASES.values() for section in named(case.section))
    yield "\n## Sections\n\nHow many cases name each.\n\n"
    yield row("specification", "sections")
    yield "|---|---|\n"
    for rfc in sorted({rfc for rfc, _ in counts}):
        of = sorted(((section, count) for (one, section), count in counts.items() if one == rfc),
                    key=lambda pair: [int(part) for part in pair[0].split(".")])
        yield row(rfc, ", ".join(f"{section} ({count})" for section, count in of))


def named(text):
    """("RFC 9112", "6.1") for each section of "RFC 9112 6.1, 6.3, RFC 3986 6.2"."""
    rfc = ""
    for part in text.split(", "):
        if part.startswith("RFC "):
            rfc, _, part = part.rpartition(" ")
        yield rfc, part


def failures(score):
    """Every case that failed in must or safe; of Sarsen also those of its own rules."""
    kinds = CLASSES if score.gateway is gateways.Sarsen else CLASSES[:2]
    found = [(kind, name, fault) for kind in kinds
             for (name, one), fault in score.faults.items() if fault and one == kind]
    yield f"\n### {score.name}\n\n"
    if not found:
        yield "None.\n"
        return
    yield row("class", "case", "section", "what it says", "what was seen")
    yield "|---|---|---|---|---|\n"
    for kind, name, fault in found:
        case = CASES[name]
        yield row(kind, f"`{name}`", case.section, escape(case.says), escape(shorten(fault)))


def shorten(text):
    first = text.split("; or: ")[0]
    return first if len(first) <= 110 else first[:107] + "..."


def escape(text):
    """Into a cell of a table, whatever bytes are in it."""
    text = text.encode("unicode_escape").decode().replace("\\\\", "\\")
    return "".join(f"\\{char}" if char in "|\\`*_<>[]" else char for char in text)


def page(scores):
    yield HEAD.format(cases=len(CASES), groups=len(GROUPS))
    yield f"As of {datetime.date.today()}.\n\n"
    yield row("", "cases", *[f"{score.name} {score.version}" for score in scores])
    yield "|---|--:|" + "--:|" * len(scores) + "\n"
    for kind in CLASSES:
        yield row(kind, str(scores[0].count(kind)[1]), *[share(score, kind) for score in scores])
    for kind in CLASSES:
        yield from table_of(scores, kind)
    yield from sections()
    yield "\n## What failed\n\n"
    yield "In `must` and `safe`; of several things that would have been right, what is said is "
    yield "about the first.\n"
    for score in scores:
        yield from failures(score)


def main():
    path = pathlib.Path(sys.argv[1] if sys.argv[1:] else "docs/conformance.md")
    scores = []
    for gateway in gateways.ALL:
        scores.append(Score(gateway).run())
        done = ", ".join("{} {} of {}".format(kind, *scores[-1].count(kind)) for kind in CLASSES)
        print(f"{gateway.name} {scores[-1].version}: {done}", flush=True)
    path.write_text("".join(page(scores)), encoding="utf-8")


if __name__ == "__main__":
    main()
