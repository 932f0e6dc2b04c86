# SPDX-License-Identifier: Apache-2.0
"""The table of what the RFCs demand of a gateway, each case sent whole and byte by byte."""
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
