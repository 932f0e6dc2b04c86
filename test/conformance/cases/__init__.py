# SPDX-License-Identifier: Apache-2.0
"""The table."""
from conformance.cases import (
    chunks,
    connection,
    content,
    fields,
    framing,
    responses,
    responses_body,
    responses_fields,
    semantics,
    targets,
)

GROUPS = [group for module in (framing, chunks, fields, targets, connection, semantics, responses,
                               responses_body, responses_fields, content)
          for group in module.GROUPS]
CASES = {f"{group.id}/{case.id}": case for group in GROUPS for case in group.cases}
assert len(CASES) == sum(len(group.cases) for group in GROUPS), "an id is there twice"
