#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The frames in what is received, seen before nghttp2 sees them: it passes over some in silence that
 * cost us all the same, or that RFC 9113 has us object to.
 *
 * Threads: none of its own. Cost: O(frames).
 */

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/span.h"

#define SCAN_HEAD 9u
#define SCAN_MORE 4u /* bytes of the payload of PRIORITY and WINDOW_UPDATE */

struct http2_scan {
    uint64_t left;                        /* of the last frame's payload */
    uint8_t bytes[SCAN_HEAD + SCAN_MORE]; /* of a head that came in pieces */
    unsigned n_bytes;
};

struct http2_seen {
    uint32_t size, stream_id;
    uint32_t number; /* what PRIORITY depends on, or the increment of WINDOW_UPDATE */
    uint8_t type, flags;
    size_t
        n_before; /* bytes of the span in front of the frame; 0 when it began in an earlier one */
};

static inline uint32_t scan_number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* What follows the head of the frame that began is of use. */
static inline bool scan_wants_more(const struct http2_scan *scan)
{
    uint8_t type = scan->bytes[3];
    return (type == NGHTTP2_PRIORITY || type == NGHTTP2_WINDOW_UPDATE) &&
           scan_number(scan->bytes) >> 8 >= SCAN_MORE;
}

/* The head is complete: its payload is what comes next. */
static inline struct http2_seen scan_take(struct http2_scan *scan, size_t n_before)
{
    bool has_more = scan->n_bytes > SCAN_HEAD;
    struct http2_seen seen = {
        .size = scan_number(scan->bytes) >> 8,
        .type = scan->bytes[3],
        .flags = scan->bytes[4],
        .stream_id = scan_number(scan->bytes + 5) & 0x7fffffff,
        .number = has_more ? scan_number(scan->bytes + SCAN_HEAD) & 0x7fffffff : UINT32_MAX,
        .n_before = n_before,
    };
    scan->left = seen.size - (scan->n_bytes - SCAN_HEAD);
    scan->n_bytes = 0;
    return seen;
}

/* The next frame whose head is complete; `*at` is how much of `bytes` was looked at. */
static inline bool http2_scan_next(struct http2_scan *scan, struct span bytes, size_t *at,
                                   struct http2_seen *ret_seen)
{
    size_t skipped = bytes.size - *at < scan->left ? bytes.size - *at : (size_t)scan->left;
    *at += skipped;
    scan->left -= skipped;
    size_t n_before = scan->n_bytes ? 0 : *at;
    for (;;) {
        bool has_head = scan->n_bytes >= SCAN_HEAD;
        unsigned wanted = has_head && scan_wants_more(scan) ? SCAN_HEAD + SCAN_MORE : SCAN_HEAD;
        if (scan->n_bytes == wanted) {
            *ret_seen = scan_take(scan, n_before);
            return true;
        }
        size_t n = wanted - scan->n_bytes;
        if (n > bytes.size - *at)
            n = bytes.size - *at;
        if (n == 0)
            return false;
        memcpy(scan->bytes + scan->n_bytes, bytes.data + *at, n);
        scan->n_bytes += (unsigned)n;
        *at += n;
    }
}
