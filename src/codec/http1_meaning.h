#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the lines of a head mean together: target, host, framing, connection. Private to codec.
 */

#include <stdbool.h>
#include <stdint.h>

#include "codec/http1.h"

/* Sets of names as bits. */
_Static_assert(HTTP_N_NAMES <= 64, "a set of names is a word");

struct http1_seen {
    uint64_t names, repeated;
};

static inline uint64_t http1_bit(enum http_name name)
{
    return (uint64_t)1 << name;
}

/* RFC 9110 section 7.6.1, and the two that RFC 2616 counted among them. */
static inline bool http1_is_hop_by_hop(enum http_name name)
{
    const uint64_t names = http1_bit(HTTP_CONNECTION) | http1_bit(HTTP_KEEP_ALIVE) |
                           http1_bit(HTTP_PROXY_CONNECTION) | http1_bit(HTTP_TE) |
                           http1_bit(HTTP_TRAILER) | http1_bit(HTTP_TRANSFER_ENCODING) |
                           http1_bit(HTTP_UPGRADE) | http1_bit(HTTP_PROXY_AUTHENTICATE) |
                           http1_bit(HTTP_PROXY_AUTHORIZATION);
    return (names & http1_bit(name)) != 0;
}

/* Finds form, authority and path in head->target. Returns why it is refused, or NULL. */
const char *http1_read_target(struct http_head *head);

/* Fill in the rest of a head whose lines are parsed. Answers: HTTP1_BAD. */
int http1_read_request(struct http_head *head, const struct http1_seen *seen,
                       struct http1_error *ret_error) MUST_CHECK;
int http1_read_response(struct http_head *head, struct span method, const struct http1_seen *seen,
                        struct http1_error *ret_error) MUST_CHECK;

/* Leaves in the head of a trailer section what may stand there and may be passed on. */
void http1_drop_forbidden_trailers(struct http_head *head);
