#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The body of an incoming message: where it ends, by the one framing decision of its head.
 *
 * Threads: none of its own. No allocation.
 */

#include "codec/http1.h"

struct http_body {
    enum http_framing framing;
    uint64_t left; /* with HTTP_BODY_LENGTH */
    struct http1_chunked chunked;
};

static inline void http_body_init(struct http_body *body, const struct http_head *head)
{
    *body = (struct http_body){ .framing = head->framing, .left = head->content_length };
}

/* Whether the head alone says that nothing follows. */
static inline bool http_body_is_empty(const struct http_body *body)
{
    return body->framing == HTTP_BODY_NONE ||
           (body->framing == HTTP_BODY_LENGTH && body->left == 0);
}

/* Consumes from the front of *bytes like http1_chunked_decode(), with its answers. A body until
 * close ends with the connection, so never here. */
int http_body_decode(struct http_body *body, struct span *bytes, struct span *ret_data) MUST_CHECK;
