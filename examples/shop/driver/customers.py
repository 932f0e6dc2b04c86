# SPDX-License-Identifier: Apache-2.0
"""A thousand customers who ask which build serves them."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

from .calls import Caller, once
from .shop import BUILD_QUERY

CUSTOMERS = [f"customer-{number:04}" for number in range(1000)]
THREADS = 4


def builds_of_all(port):
    """{customer: build}, asked once each through the internal listener."""

    def ask(part):
        caller = Caller(port)
        builds = {}
        for customer in part:
            answer = caller.ask(
                "GET", f"/api/orders{BUILD_QUERY}", headers={"Sarsen-Customer": customer}
            )
            if answer.status != 200:
                raise RuntimeError(f"{customer} asked orders: {answer}")
            build, said = answer.json()["data"]["build"], answer.header("Sarsen-Build")
            if build != said:
                raise RuntimeError(f"{build} answered, and Sarsen-Build is {said}")
            builds[customer] = build
        caller.close()
        return builds

    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(ask, (CUSTOMERS[first::THREADS] for first in range(THREADS)))
        return {customer: build for part in parts for customer, build in part.items()}


def served_by(builds, build):
    return {customer for customer, found in builds.items() if found == build}


def tolerance(percent):
    """Four standard errors of a binomial share; exact at 0 and 100 %."""
    share = percent / 100
    return 4 * math.sqrt(len(CUSTOMERS) * share * (1 - share))


class Load:
    """Requests on several connections at once, until stopped."""

    def __init__(self, port, path):
        self.port = port
        self.path = path
        self.lock = threading.Lock()
        self.answered = 0
        self.failures = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(THREADS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def work(self):
        caller = Caller(self.port, {"Sarsen-Customer": "globex"})
        while not self.ending.is_set():
            try:
                answer = caller.ask("GET", self.path)
                failure = None if answer.status == 200 else str(answer)
            except OSError as error:
                failure = repr(error)
            with self.lock:
                self.answered += 1
                if failure:
                    self.failures.append(failure)
        caller.close()


def build_for(port, path, headers):
    """(contract, build) that serve one GET, by the answer's headers."""
    answer = once(port, "GET", path, headers=headers)
    return answer.header("Sarsen-Contract"), answer.header("Sarsen-Build")
