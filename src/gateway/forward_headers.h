#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fields of a message on its way through: what passes, what is removed, what is added.
 *
 * Removed in both directions: hop-by-hop fields, framing, Date (the connection adds its own) and
 * every Sarsen-* field; towards services also what a client may not say for itself on an edge
 * listener: X-Forwarded-*, Forwarded, sarsen.* baggage, names with "_" (which CGI-like frameworks
 * fold into the same name as "-"), and our own cookie.
 *
 * Borrows:  the heads and everything of the context; the result points into them and into its own
 *           memory, so it must not be moved. Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/baggage.h"
#include "codec/http1.h"
#include "http/message.h"
#include "io/socket.h"

#define FORWARD_FIELDS_MAX (HTTP1_MAX_FIELDS + 16u)
#define FORWARD_LIST_MAX 4096u   /* of an X-Forwarded-For that is passed on */
#define FORWARD_COOKIE_MAX 8192u /* of Cookie fields that had to be changed */

struct forward_context {
    const struct http_head *head;
    const struct address *peer;
    bool is_internal;
    bool is_secure;             /* clients reach us through a TLS terminator */
    const struct baggage *ours; /* what goes on as sarsen.* */
    const uint8_t *random;      /* 24 unpredictable bytes, for a trace that starts here */
    uint64_t deadline_ms;       /* left for the answer; 0 = the caller named none */
};

struct forward {
    struct http_out_field fields[FORWARD_FIELDS_MAX];
    unsigned n_fields;
    char memory[BAGGAGE_MAX_BYTES + FORWARD_LIST_MAX + FORWARD_COOKIE_MAX + 512];
    size_t used;
};

/* The request's fields as they go to the service. */
void forward_request(const struct forward_context *context, struct forward *ret_forward);

/* What is said of whatever answered. */
struct forward_answer {
    struct span bom, contract, build;
    struct span set_cookie; /* empty: none */
};

/* The response's fields as they go to the client. */
void forward_response(const struct http_head *head, const struct forward_answer *ours,
                      struct forward *ret_forward);
