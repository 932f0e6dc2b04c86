#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Paths in their one canonical form (RFC 3986 section 6.2.2), which routing, policy, logs and
 * upstreams all see.
 *
 * Unreserved escapes are decoded, the remaining ones upper-cased, dot-segments removed, slashes
 * merged. Refused: %00, %2F, %5C, "\", "#", control and non-ASCII bytes, malformed escapes,
 * overlong UTF-8 in escapes, ";" parameters, a path that leaves the root. Idempotent: n(n(x)) = n(x).
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

enum uri_answer {
    URI_OK,
    URI_BAD,  /* refused; *ret_reason is a constant sentence */
    URI_FULL, /* longer than the memory given */
};

/* Splits "path?query" and writes the canonical path to `memory`, which needs no more than
 * path_and_query.size bytes. *ret_path is the input itself when it was canonical already. The
 * query is passed as it is after a check of its bytes; SPAN_NULL without "?". */
int uri_normalise(struct span path_and_query, char *memory, size_t capacity, struct span *ret_path,
                  struct span *ret_query, const char **ret_reason) MUST_CHECK;

/* Decodes %XX into memory of at least `text.size` bytes. Answers: URI_BAD for a malformed escape
 * or a NUL. For single path segments and query values; "+" stays "+". */
int uri_decode(struct span text, char *memory, struct span *ret_decoded) MUST_CHECK;

/* The raw value of ?name=… in a query, or SPAN_NULL. */
struct span uri_query_value(struct span query, struct span name);
