# SPDX-License-Identifier: Apache-2.0
"""What RFC 9110 and RFC 9112 demand of a gateway, as a table, and what it takes to hold a gateway
to it.

  cases/        the table: one file per area, each with groups of cases
  table.py      what a case is, and the words requests are written with
  verdicts.py   what may be demanded of what was seen
  strict.py     an HTTP reader of its own, which shares nothing with the programs under test
  upstream.py   the service behind the gateway: answers as a case says, and keeps every byte
  runner.py     sends a case, whole or byte by byte, and notes what came of it
  pace.py       byte by byte, waiting until each byte was read
  gateways.py   the programs under test: Sarsen, and nginx, HAProxy and Apache for comparison
  compare.py    runs the table against all of them and writes docs/conformance.md
"""
