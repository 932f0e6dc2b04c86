#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a peer of HTTP/2 may do that costs us more than it: each kind has a bucket of its own, which
 * fills with time, and a connection whose bucket is empty ends with ENHANCE_YOUR_CALM.
 *
 *   resets      streams that the client gave up (rapid reset, CVE-2023-44487)
 *   own resets  streams that we had to end for what the client did on them (CVE-2025-8671)
 *   glitches    frames that carry nothing: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA and
 *               HEADERS, frames of unknown types
 *
 * A peer that we send much to has reason to send window updates and pings, so what carries
 * something gives glitches back.
 *
 * Threads: none of its own. Cost: O(1).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Policy; a burst of 0 is no limit. */
struct http2_rate {
    unsigned burst, per_second;
};

struct http2_limits {
    unsigned max_streams;         /* of one connection at a time, 100 */
    uint32_t stream_window;       /* bytes of a body that may wait for us, 64 KiB */
    uint32_t connection_window;   /* of all bodies of a connection, 1 MiB */
    uint32_t max_fields_size;     /* of a head, 32 bytes added for each field, 32 KiB */
    unsigned max_fields;          /* of a head, counting each cookie crumb, 100 */
    struct http2_rate resets;     /* 200, 20 */
    struct http2_rate own_resets; /* 100, 10 */
    struct http2_rate glitches;   /* 200, 20 */
};

#define HTTP2_LIMITS_DEFAULT                                                                       \
    {                                                                                              \
        .max_streams = 100, .stream_window = 65536, .connection_window = 1048576,                  \
        .max_fields_size = 32768, .max_fields = 100, .resets = { 200, 20 },                        \
        .own_resets = { 100, 10 }, .glitches = { 200, 20 },                                        \
    }

enum http2_offence {
    HTTP2_RESET,
    HTTP2_OWN_RESET,
    HTTP2_GLITCH,
    HTTP2_N_OFFENCES,
};

/* How often, over all connections; for logs and health. */
struct http2_counts {
    uint64_t offences[HTTP2_N_OFFENCES];
    uint64_t n_calmed; /* connections that were ended for them */
    uint64_t n_broken; /* and for what is against the protocol */
};

struct http2_bucket {
    uint32_t used; /* in thousandths */
    nsec at;
};

struct http2_abuse {
    struct http2_bucket buckets[HTTP2_N_OFFENCES];
};

/* Takes one out. False when there was none. */
bool http2_abuse_note(struct http2_abuse *abuse, enum http2_offence offence,
                      const struct http2_limits *limits, nsec now);

/* The peer was sent something that it may answer to. */
static inline void http2_abuse_excuse(struct http2_abuse *abuse, unsigned n)
{
    struct http2_bucket *bucket = &abuse->buckets[HTTP2_GLITCH];
    bucket->used -= bucket->used < n * 1000 ? bucket->used : n * 1000;
}
