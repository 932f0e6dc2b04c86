#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example shop, from nothing: installs what is missing, builds the parts, starts all.

    examples/shop/demo.py            runs until Ctrl-C and says what to try
    examples/shop/demo.py --check    tells the whole story in a browser and exits 0 or 1
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from driver.browser import Browser
from driver.errors import DemoError
from driver.facts import Facts
from driver.runner import Runner, free_ports, refuse_taken
from driver.sarsen import Ports, Sarsen
from driver.shop import Parts, Shop
from driver.story import Story

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WINDOW_SECONDS = 5  # how long a contract must be unused before it can go offline

WHAT_TO_TRY = """
  shop              http://127.0.0.1:{edge}/apps/shop/
  gateway           http://127.0.0.1:{edge}  (internal: http://127.0.0.1:{internal})
  management API    http://127.0.0.1:{api}
  logs and data     {folder}

Try:
  Open the shop and log in as globex, then as acme. The URL is the same; acme is
  pinned to shop 4.1.0, which needs orders@2.

  In another terminal:
    export SARSEN_ADDRESS={address} SARSEN_TOKEN=$(cat {data}/token)
    alias sarsen={binary}

    sarsen explain acme --app shop
    sarsen instances orders                  # 3.15.0 is there, and waits
    sarsen rollout start orders@3.15.0 --steps 1,10,50,100
    sarsen rollout step ID                   # the ID it printed; then promote, or abort
    sarsen usage orders@2                    # acme, once it has logged in in a browser
    sarsen retire offline orders@2           # refused, with the reason
    sarsen pin acme shop 4.2.0 --why "moved"
    sarsen retire offline orders@2           # once acme's page was loaded again, {window} s later

Ctrl-C ends everything.
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="assert the story, exit 0 or 1")
    parser.add_argument("--sarsen", type=Path, default=REPO / "build" / "sarsen",
                        help="the binary (default: build/sarsen)")
    parser.add_argument("--parts", type=Path, default=REPO / "build" / "shop",
                        help="where the built parts are, or go (default: build/shop)")
    parser.add_argument("--ports", type=three_ports, metavar="EDGE,INTERNAL,API",
                        help="default: 8000,8001,7000; with --check any free ones")
    return parser.parse_args()


def three_ports(text):
    numbers = [int(word) for word in text.split(",")]
    if len(numbers) != 3:
        raise ValueError(text)
    return Ports(*numbers)


def prepare(options):
    """Everything that must be there before a process is started."""
    if not options.sarsen.exists():
        raise DemoError(f"{options.sarsen} is not there; run `make` first.")
    steps = [[HERE / "install", *(["--check"] if options.check else [])],
             [HERE / "build", options.parts]]
    for step in steps:
        if subprocess.run(step, check=False).returncode != 0:
            raise DemoError(f"{step[0].name} did not succeed.")


def choose_ports(options):
    if options.check and not options.ports:  # beside whatever runs here
        return Ports(*free_ports(3))
    ports = options.ports or Ports(edge=8000, internal=8001, api=7000)
    refuse_taken({ports.edge: "gateway, edge", ports.internal: "gateway, internal",
                  ports.api: "management API"})
    return ports


def build_shop(runner, options, ports):
    binary = runner.bring(options.sarsen, "sarsen")
    names = ("orders", "catalog", "web", "storefront", "gem")
    parts = Parts(**{name: runner.bring(options.parts / name, name) for name in names})
    if options.check:
        runner.bring(options.parts / "check", "check")
    sarsen = Sarsen(runner, binary, ports, WINDOW_SECONDS)
    sarsen.write_config()
    runner.hand_over()
    return Shop(runner, sarsen, parts, ttl=3)


def check(runner, shop):
    facts = Facts()
    browser = Browser(runner, runner.folder / "check", f"http://127.0.0.1:{shop.sarsen.ports.edge}")
    Story(shop, browser, facts).tell()

    def ending():
        browser.close()
        runner.stop_all()
        status = shop.sarsen.process.popen.returncode
        facts.equal(status, 0, "Sarsen ends when asked, with status 0")
        facts.equal(runner.left_behind(), [], "no process is left behind")

    facts.chapter("At the end", ending)
    return facts.summary()


def demonstrate(runner, shop):
    shop.start_orders("orders-4", "3.15.0")
    shop.wait_for("orders-4")
    sarsen = shop.sarsen
    print(WHAT_TO_TRY.format(
        edge=sarsen.ports.edge, internal=sarsen.ports.internal, api=sarsen.ports.api,
        folder=runner.folder, data=sarsen.data, address=sarsen.address,
        binary=sarsen.binary, window=sarsen.window), flush=True)
    try:
        while True:
            time.sleep(1)
            for process in runner.processes:
                if not process.is_running():
                    raise DemoError(f"{process.name} ended by itself; see {process.log}.")
    except Interrupted:
        print("ending …", flush=True)
    return 0


def run(options):
    ports = choose_ports(options)
    prepare(options)
    runner = Runner()
    result = 1
    try:
        shop = build_shop(runner, options, ports)
        print("starting Sarsen and the shop", flush=True)
        shop.sarsen.start()
        shop.start()
        result = check(runner, shop) if options.check else demonstrate(runner, shop)
    except Interrupted:
        result = 0  # as far as the folder is concerned
        raise
    finally:
        runner.stop_all()
        if result == 0:
            runner.remove_folder()
        else:
            print(f"logs are in {runner.folder}/logs", file=sys.stderr)
    return result


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP; no `except Exception` on the way must swallow it."""


def on_signal(*_):
    for number in SIGNALS:  # a second one must not cut the ending short
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


def main():
    options = arguments()
    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        return run(options)
    except Interrupted:
        return 130
    except (DemoError, RuntimeError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
