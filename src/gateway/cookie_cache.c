/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Direct-mapped: a cookie has one slot, chosen by a hash that is seeded per process, and the last
 * one that was verified there stays. Texts end with zeros up to the next multiple of a word, so
 * they are compared by words.
 */

#include "gateway/cookie_cache.h"

#include "base/hash.h"
#include "base/mem.h"

#define SLOTS 512u
#define WORDS 32u /* longer cookies, of customers with very long ids, are verified each time */

struct slot {
    size_t size; /* 0: empty */
    uint64_t words[WORDS];
    struct cookie cookie;
};

struct cookie_cache {
    struct slot slots[SLOTS];
};

struct cookie_cache *cookie_cache_new(void)
{
    return mem_new(struct cookie_cache);
}

struct cookie_cache *cookie_cache_free(struct cookie_cache *cache)
{
    free(cache);
    return NULL;
}

static bool words_are_equal(const uint64_t *a, const uint64_t *b, size_t n)
{
    uint64_t difference = 0;
    for (size_t i = 0; i < n; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

bool cookie_cache_verify(struct cookie_cache *cache, const struct cookie_keys *keys,
                         struct span value, unix_msec now, struct cookie *ret_cookie)
{
    if (value.size == 0 || value.size > WORDS * sizeof(uint64_t))
        return cookie_verify(keys, value, now, ret_cookie);

    size_t n_words = (value.size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    uint64_t words[WORDS];
    words[n_words - 1] = 0;
    memcpy(words, value.data, value.size);
    struct slot *slot = &cache->slots[hash_seeded(value) % SLOTS];
    if (slot->size == value.size && words_are_equal(slot->words, words, n_words)) {
        if (slot->cookie.expires <= now)
            return false;
        *ret_cookie = slot->cookie;
        return true;
    }
    if (!cookie_verify(keys, value, now, ret_cookie))
        return false;
    slot->size = value.size;
    memcpy(slot->words, words, n_words * sizeof(uint64_t));
    slot->cookie = *ret_cookie;
    return true;
}
