/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/abuse.h"

#include <stddef.h>

#define ONE 1000u

static const struct http2_rate *rate_of(const struct http2_limits *limits,
                                        enum http2_offence offence)
{
    switch (offence) {
    case HTTP2_RESET: return &limits->resets;
    case HTTP2_OWN_RESET: return &limits->own_resets;
    case HTTP2_GLITCH: return &limits->glitches;
    case HTTP2_N_OFFENCES: break;
    }
    return NULL;
}

bool http2_abuse_note(struct http2_abuse *abuse, enum http2_offence offence,
                      const struct http2_limits *limits, nsec now)
{
    const struct http2_rate *rate = rate_of(limits, offence);
    struct http2_bucket *bucket = &abuse->buckets[offence];
    if (!rate || rate->burst == 0)
        return true;

    if (bucket->used > 0) {
        uint64_t n_back = (now - bucket->at) / NSEC_PER_MSEC * rate->per_second;
        bucket->used -= n_back < bucket->used ? (uint32_t)n_back : bucket->used;
    }
    /* Less than a millisecond counts too, with the next. */
    bucket->at = now - (bucket->used > 0 ? (now - bucket->at) % NSEC_PER_MSEC : 0);
    if (bucket->used + ONE > rate->burst * (uint64_t)ONE)
        return false;
    bucket->used += ONE;
    return true;
}
