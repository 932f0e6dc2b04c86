#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cookies that were verified a moment ago, so that the requests of a busy browser do not each cost
 * an HMAC, which is several times all the rest of a proxied request.
 *
 * A hit means that the very same bytes have been verified before with the keys of this process,
 * which never change while it runs; only the expiry is looked at again. The bytes are compared in
 * time that does not depend on where they differ.
 *
 * Threads: a cache belongs to one worker. Cost: a look-up O(size of the cookie), no allocation.
 */

#include <stdbool.h>

#include "gateway/cookie.h"
#include "usage/usage.h"

/* What a worker learnt of a cookie's sender, for its next request. The cache keeps it beside the
 * cookie, zeroes it when another takes the place, and does not look at it. */
struct cookie_memo {
    uint64_t number; /* of the cookie: another has another one */
    uint64_t view;   /* the number of the view that the rest was found in; 0 = none */
    const struct bom *bom;
    enum resolve_reason reason;
    uint32_t contract, build; /* that were counted as used, at: */
    struct usage_place place;
};

struct cookie_cache;

struct cookie_cache *cookie_cache_new(void);
struct cookie_cache *cookie_cache_free(struct cookie_cache *cache);

/* As cookie_verify(), and remembers what is valid. *ret_memo is valid until the next call, and later
 * for as long as it has the same number; NULL for a cookie that is not kept. */
bool cookie_cache_verify(struct cookie_cache *cache, const struct cookie_keys *keys,
                         struct span value, unix_msec now, struct cookie *ret_cookie,
                         struct cookie_memo **ret_memo);
