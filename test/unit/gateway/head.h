#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Heads from text, for the tests of the gateway.
 */

#include "check.h"
#include "codec/http1.h"

static const struct http1_limits head_limits = { .head = 65536, .line = 16384 };

static inline void parse_request(const char *text, struct http_head *ret_head)
{
    struct http1_error error = { 0 };
    int r = http1_parse_request(span_of(text), &head_limits, ret_head, &error);
    if (r)
        printf("# %d %s\n", r, error.text ? error.text : "");
    CHECK(r == 0);
}

static inline void parse_response(const char *text, struct http_head *ret_head)
{
    struct http1_error error = { 0 };
    CHECK(http1_parse_response(span_of(text), SPAN("GET"), &head_limits, ret_head, &error) == 0);
}
