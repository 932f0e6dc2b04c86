# SPDX-License-Identifier: Apache-2.0
"""The Connect project's conformance suite for gRPC and gRPC-Web: its clients, the gateway, its
server. Nothing is on a list of what may fail."""
import re
import subprocess
import sys

import pytest
from conftest import HERE

CONFIG = """\
features:
  versions: [{versions}]
  protocols: [{protocol}]
  codecs: [CODEC_PROTO]
  supportsTlsClientCerts: false
"""
SUITES = {
    "grpc": CONFIG.format(versions="HTTP_VERSION_2", protocol="PROTOCOL_GRPC"),
    "grpc-web": CONFIG.format(versions="HTTP_VERSION_1, HTTP_VERSION_2",
                              protocol="PROTOCOL_GRPC_WEB"),
}


@pytest.mark.parametrize("suite", SUITES)
def test_conformance(go, binary, tmp_path, suite):
    config, faults = tmp_path / "config.yaml", tmp_path / "faults"
    config.write_text(SUITES[suite])
    done = subprocess.run(
        [go / "connectconformance", "--mode", "server", "--conf", config, "--max-servers", "2",
         "--", sys.executable, HERE / "connect_server.py", go / "referenceserver", binary, faults],
        capture_output=True, text=True, timeout=400, check=False)
    said = done.stdout + done.stderr
    assert not faults.exists(), faults.read_text()
    closing = re.search(r"(\d+) passed, (\d+) failed", said)
    assert closing, said
    assert closing[2] == "0" and int(closing[1]) > 300, said[-12000:]
    assert done.returncode == 0, said
