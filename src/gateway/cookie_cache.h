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

struct cookie_cache;

struct cookie_cache *cookie_cache_new(void);
struct cookie_cache *cookie_cache_free(struct cookie_cache *cache);

/* As cookie_verify(), and remembers what is valid. */
bool cookie_cache_verify(struct cookie_cache *cache, const struct cookie_keys *keys,
                         struct span value, unix_msec now, struct cookie *ret_cookie);
