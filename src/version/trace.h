#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sentences of `explain`. A trace that is NULL takes none; a full one ends with a step that says so.
 */

#include "version/version.h"

void trace_add(struct resolve_trace *trace, const char *rule, struct span subject,
               const char *format, ...) PRINTF_LIKE(4, 5);
