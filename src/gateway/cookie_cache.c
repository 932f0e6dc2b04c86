/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sets of a few slots: a cookie has one set, chosen by the end of its signature, which is as good
 * as a hash, and takes its slots in turn. With one slot a set, some of 64 busy browsers would share
 * theirs with another and cost an HMAC at each request; with four, hardly ever one. Texts end with
 * zeros up to the next multiple of a word, so they are compared by words.
 */

#include "gateway/cookie_cache.h"

#include "base/mem.h"

#define SETS 256u /* a power of two */
#define WAYS 4u
#define WORDS 32u /* longer cookies, of customers with very long ids, are verified each time */

struct slot {
    uint64_t words[WORDS];
    struct cookie cookie;
};

/* What is compared first lies in one line of the processor's cache. */
struct set {
    uint64_t ends[WAYS];
    uint32_t sizes[WAYS]; /* 0: empty */
    unsigned next;
    struct slot slots[WAYS];
};

struct cookie_cache {
    struct set sets[SETS];
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

static uint64_t end_of(struct span value)
{
    uint64_t end;
    memcpy(&end, value.data + value.size - sizeof(end), sizeof(end));
    return end;
}

static struct set *set_of(struct cookie_cache *cache, uint64_t end)
{
    return &cache->sets[end * 0x9e3779b97f4a7c15u >> 32 & (SETS - 1)];
}

/* The slot of a cookie that was verified before, or NULL. */
static struct slot *set_find(struct set *set, uint64_t end, size_t size, const uint64_t *words,
                             size_t n_words)
{
    for (unsigned i = 0; i < WAYS; i++) {
        if (set->ends[i] == end && set->sizes[i] == size &&
            words_are_equal(set->slots[i].words, words, n_words))
            return &set->slots[i];
    }
    return NULL;
}

static struct slot *set_take(struct set *set, uint64_t end, size_t size)
{
    unsigned way = set->next++ % WAYS;
    set->ends[way] = end;
    set->sizes[way] = (uint32_t)size;
    return &set->slots[way];
}

bool cookie_cache_verify(struct cookie_cache *cache, const struct cookie_keys *keys,
                         struct span value, unix_msec now, struct cookie *ret_cookie)
{
    if (value.size < sizeof(uint64_t) || value.size > WORDS * sizeof(uint64_t))
        return cookie_verify(keys, value, now, ret_cookie);

    size_t n_words = (value.size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    uint64_t words[WORDS];
    words[n_words - 1] = 0;
    memcpy(words, value.data, value.size);
    uint64_t end = end_of(value);
    struct set *set = set_of(cache, end);
    struct slot *slot = set_find(set, end, value.size, words, n_words);
    if (slot) {
        if (slot->cookie.expires <= now)
            return false;
        *ret_cookie = slot->cookie;
        return true;
    }
    if (!cookie_verify(keys, value, now, ret_cookie))
        return false;
    slot = set_take(set, end, value.size);
    memcpy(slot->words, words, n_words * sizeof(uint64_t));
    slot->cookie = *ret_cookie;
    return true;
}
