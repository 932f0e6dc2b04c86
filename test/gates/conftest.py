# SPDX-License-Identifier: Apache-2.0
"""Lets the gates say `import warm`."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
