#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The W3C headers that carry context from hop to hop: baggage (Baggage, 2024, section 3) and
 * traceparent (Trace Context level 1, section 3.2).
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "codec/http1.h"

#define BAGGAGE_MAX_BYTES 8192u
#define TRACEPARENT_SIZE 55u

/* Sarsen's members of a baggage; SPAN_NULL where absent. Percent-decoded into `memory`. */
struct baggage {
    struct span bom, customer, lane;
    char memory[512];
};

/* Reads the members sarsen.* from all baggage fields of the head. A malformed or oversized member
 * counts as absent. */
void baggage_read(const struct http_head *head, struct baggage *ret_baggage);

/* Writes one baggage field value: the members of the head that are not sarsen.*, byte for byte,
 * and then ours. Values are percent-encoded as needed. Members past BAGGAGE_MAX_BYTES are left
 * out, ours never. */
void baggage_put(struct http1_out *out, const struct http_head *head, const struct baggage *ours);

bool traceparent_is_valid(struct span value);

/* Writes a version-00 traceparent, sampled flag off. `random` is 24 unpredictable bytes. */
void traceparent_format(const uint8_t random[24], char ret_text[TRACEPARENT_SIZE + 1]);
