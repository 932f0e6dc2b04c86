# SPDX-License-Identifier: Apache-2.0
"""The table of what the RFCs demand of a gateway, each case sent whole and byte by byte."""
import signal

import pytest
from conformance.cases import CASES
from conformance.gateways import Sarsen
from conformance.runner import Lane


@pytest.fixture(scope="module")
def lane(binary):
    lane = Lane(lambda service: Sarsen(service, binary))
    yield lane
    lane.close()


@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", CASES)
def test_case(lane, name, is_split):
    case = CASES[name]
    seen = lane.run(case, is_split)
    faults = [f"{kind}: {fault}" for kind, verdict in case.verdicts().items()
              if (fault := verdict(seen))]
    assert not faults, f"{case.section}, {case.says}: {'; '.join(faults)}\n{str(seen)[:4000]}"


def test_a_request_that_comes_back_ends(make_daemon, service):
    """RFC 9110 7.6: a message forwarded to oneself must not go round for ever. Each round adds to
    its head, and heads have limits."""
    route = "routes: [{{ match: {{ prefix: / }}, upstream: {} }}]\n"
    elsewhere = service()
    daemon = make_daemon(route.format(elsewhere.address))
    assert daemon.edge_get("/x").status == 200
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace(elsewhere.address, daemon.edge))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.eventually(lambda: daemon.edge_get("/x").status == 431)
