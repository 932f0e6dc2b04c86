/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Direct-mapped: a cookie has one slot, chosen by the end of its signature, which is as good as a
 * hash, and the last one that was verified there stays. Texts end with zeros up to the next
 * multiple of a word, so they are compared by words.
 */

#include "gateway/cookie_cache.h"

#include "base/mem.h"

#define SLOTS 1024u /* a power of two */
#define WORDS 32u   /* longer cookies, of customers with very long ids, are verified each time */

struct slot {
    size_t size; /* 0: empty */
    uint64_t words[WORDS];
    struct cookie cookie;
    struct cookie_memo memo;
};

struct cookie_cache {
    uint64_t n_kept;
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

static struct slot *slot_of(struct cookie_cache *cache, struct span value)
{
    uint64_t end;
    memcpy(&end, value.data + value.size - sizeof(end), sizeof(end));
    return &cache->slots[end * 0x9e3779b97f4a7c15u >> 32 & (SLOTS - 1)];
}

bool cookie_cache_verify(struct cookie_cache *cache, const struct cookie_keys *keys,
                         struct span value, unix_msec now, struct cookie *ret_cookie,
                         struct cookie_memo **ret_memo)
{
    *ret_memo = NULL;
    if (value.size < sizeof(uint64_t) || value.size > WORDS * sizeof(uint64_t))
        return cookie_verify(keys, value, now, ret_cookie);

    size_t n_words = (value.size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    uint64_t words[WORDS];
    words[n_words - 1] = 0;
    memcpy(words, value.data, value.size);
    struct slot *slot = slot_of(cache, value);
    if (slot->size == value.size && words_are_equal(slot->words, words, n_words)) {
        if (slot->cookie.expires <= now)
            return false;
        *ret_cookie = slot->cookie;
        *ret_memo = &slot->memo;
        return true;
    }
    if (!cookie_verify(keys, value, now, ret_cookie))
        return false;
    slot->size = value.size;
    memcpy(slot->words, words, n_words * sizeof(uint64_t));
    slot->cookie = *ret_cookie;
    slot->memo = (struct cookie_memo){ .number = ++cache->n_kept };
    *ret_memo = &slot->memo;
    return true;
}
