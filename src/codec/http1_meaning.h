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

static inline uint64_t http1_bit(enum http_name name)
{
    return (uint64_t)1 << name;
}

/* Finds form, authority and path in head->target. Returns why it is refused, or NULL. */
const char *http1_read_other_target(struct http_head *head);

static inline const char *http1_read_target(struct http_head *head)
{
    const size_t connect_size = sizeof("CONNECT") - 1;
    if (unlikely(head->target.data[0] != '/' || head->method.size == connect_size))
        return http1_read_other_target(head);
    head->form = HTTP_TARGET_ORIGIN;
    head->path_and_query = head->target;
    head->authority = SPAN_NULL;
    return NULL;
}

/* Fill in the rest of a head whose lines are parsed; `repeated` are the names that occur more than
 * once. Answers: HTTP1_BAD. */
int http1_read_request(struct http_head *head, uint64_t repeated, struct http1_error *ret_error)
    MUST_CHECK;
int http1_read_response(struct http_head *head, struct span method, uint64_t repeated,
                        struct http1_error *ret_error) MUST_CHECK;

/* Leaves in the head of a trailer section what may stand there and may be passed on. */
void http1_drop_forbidden_trailers(struct http_head *head);
