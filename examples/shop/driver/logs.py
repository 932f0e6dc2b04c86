# SPDX-License-Identifier: Apache-2.0
"""Reads the request lines that the services log, all in one form."""

import re

# The traceparent's second field is the trace; the third changes from hop to hop.
LINE = re.compile(
    r'(?P<method>[A-Z]+) (?P<path>/\S*) status=(?P<status>\d+) .*'
    r'bom="(?P<bom>[^"]*)" customer="(?P<customer>[^"]*)" trace="\w*-?(?P<trace>\w*)'
)


def requests_of(process, since=0):
    """The requests in a process's log after its first `since` lines."""
    found = (LINE.search(line) for line in process.log_lines()[since:])
    return [match.groupdict() for match in found if match]
