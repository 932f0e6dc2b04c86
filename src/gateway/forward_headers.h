#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fields of a message on its way through: what passes, what is removed, what is added.
 *
 * Removed in both directions: hop-by-hop fields, framing and every Sarsen-* field; towards services
 * also Date and what a client may not say for itself on an edge listener: X-Forwarded-*, Forwarded,
 * sarsen.* baggage, names with "_" (which CGI-like frameworks fold into the same name as "-"), and
 * our own cookie. Added towards services: Via (RFC 9110 section 7.6.3), X-Forwarded-*, baggage,
 * and a trace where none came in.
 *
 * What passes is copied line by line, several lines at once where they stand together, and only
 * where the received line has the one form that we would write.
 *
 * Borrows:  the heads and everything of the context. What is written to `out` points nowhere; when
 *           it does not fit, out->is_full is set.
 * Threads:  any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/span.h"
#include "codec/baggage.h"
#include "codec/http1.h"
#include "gateway/field_rules.h"
#include "io/socket.h"

#define FORWARD_VIA "sarsen" /* the name under which we stand in Via */

/* What a request is called, for the access log. */
struct forward_ids {
    struct span trace, request; /* into the head, or into `own` */
    char own[32];
};

struct forward_context {
    const struct http_head *head;
    const struct address *peer;
    bool is_internal;
    bool is_secure;                  /* clients reach us, or who is in front of us, over TLS */
    const struct tls_peer *tls;      /* NULL: in plain text */
    const struct baggage *ours;      /* what goes on as sarsen.* */
    struct span host;                /* what Host shall be; empty: the client's */
    const struct field_rules *rules; /* what the route changes; NULL: nothing */
    struct random *random;           /* for a trace that starts here */
    uint64_t deadline_ms;            /* left for the answer; 0 = the caller named none */
    nsec grpc_timeout;               /* the same for gRPC */
    bool is_grpc;                    /* trailers are wanted, and grpc-timeout is ours to write */
    struct span content_type;        /* in place of what came; empty: as it came */
    struct forward_ids *ret_ids;     /* NULL: nobody asks */
};

/* The request's lines as they go to the service, in two parts: what follows from its fields, its
 * sender and the context above `random`, and what is new with each request. */
void forward_fields(const struct forward_context *context, struct http1_out *out);
void forward_trace(const struct forward_context *context, struct http1_out *out);

/* Whether Max-Forwards limits how far this request goes (RFC 9110 section 7.6.2). */
bool forward_counts_hops(const struct http_head *head);

/* The lines that say who answered, which stand before those of the response. */
void forward_answerer(struct span bom, struct span contract, struct span build,
                      struct http1_out *out);

/* What changes of a response. */
struct forward_answer {
    struct span set_cookie;          /* empty: none */
    struct span content_type;        /* in place of what came; empty: as it came */
    const struct field_rules *rules; /* what the route changes; NULL: nothing */
};

/* The response's lines as they go to the client. A Date that came goes on. */
void forward_response(const struct http_head *head, const struct forward_answer *ours,
                      struct http1_out *out);

/* Whether forward_response() writes a Date: exactly one came. */
bool forward_has_date(const struct http_head *head);
