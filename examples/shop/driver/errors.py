# SPDX-License-Identifier: Apache-2.0


class DemoError(Exception):
    """Something that the user of the demo is told in one sentence."""
