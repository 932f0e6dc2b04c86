# SPDX-License-Identifier: Apache-2.0
"""Starts the example shop and checks its story; `../demo.py` is the command."""
