/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/cookie_cache.h"

#include "check.h"

#define NOW 1763625600000

static const struct cookie_keys keys = { .keys = { { 1 } }, .n_keys = 1 };

static size_t make(char value[COOKIE_VALUE_MAX], unsigned number)
{
    struct cookie cookie = { .device = "abcdefghijklmnop", .expires = NOW + 60000 };
    snprintf(cookie.customer, sizeof(cookie.customer), "customer-%u", number);
    return cookie_format(&keys, &cookie, value);
}

TEST(a_cookie_verified_before_is_known_again_until_it_expires)
{
    struct cookie_cache *cache = cookie_cache_new();
    char value[COOKIE_VALUE_MAX];
    struct span span = { value, make(value, 1) };
    struct cookie cookie;
    struct cookie_memo *memo;
    for (int i = 0; i < 3; i++) {
        memset(&cookie, 0, sizeof(cookie));
        CHECK(cookie_cache_verify(cache, &keys, span, NOW, &cookie, &memo));
        CHECK_STR(cookie.customer, "customer-1");
    }
    CHECK(!cookie_cache_verify(cache, &keys, span, NOW + 60000, &cookie, &memo));
    cookie_cache_free(cache);
}

TEST(a_known_cookie_with_any_byte_changed_is_refused)
{
    struct cookie_cache *cache = cookie_cache_new();
    char value[COOKIE_VALUE_MAX];
    size_t size = make(value, 1);
    struct cookie cookie;
    struct cookie_memo *memo;
    CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &memo));
    for (size_t i = 0; i < size; i++) {
        value[i] ^= 1;
        CHECK(
            !cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &memo));
        value[i] ^= 1;
        CHECK(!cookie_cache_verify(cache, &keys, (struct span){ value, i }, NOW, &cookie, &memo));
    }
    CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &memo));
    cookie_cache_free(cache);
}

TEST(more_customers_than_slots_are_never_mixed_up)
{
    struct cookie_cache *cache = cookie_cache_new();
    for (unsigned i = 0; i < 6000; i++) {
        char value[COOKIE_VALUE_MAX], want[32];
        size_t size = make(value, i % 2000);
        struct cookie cookie;
        struct cookie_memo *memo;
        CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &memo));
        snprintf(want, sizeof(want), "customer-%u", i % 2000);
        CHECK_STR(cookie.customer, want);
    }
    cookie_cache_free(cache);
}

TEST(a_cookie_too_long_to_keep_is_verified_each_time)
{
    struct cookie_cache *cache = cookie_cache_new();
    struct cookie cookie = { .device = "abcdefghijklmnop", .expires = NOW + 60000 };
    struct cookie_memo *memo;
    memset(cookie.customer, '%', CUSTOMER_ID_MAX);
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &cookie, value);
    for (int i = 0; i < 2; i++)
        CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &memo));
    CHECK(!cookie_cache_verify(cache, &keys, SPAN_NULL, NOW, &cookie, &memo));
    cookie_cache_free(cache);
}

TEST(a_memo_stays_with_its_cookie_and_goes_with_it)
{
    struct cookie_cache *cache = cookie_cache_new();
    char value[COOKIE_VALUE_MAX];
    size_t size = make(value, 1);
    struct cookie cookie;
    struct cookie_memo *memo, *other;
    CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &memo));
    CHECK_INT(memo->view, 0);
    memo->view = 7;
    uint64_t number = memo->number;
    CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &other));
    CHECK(other == memo);
    CHECK_INT(other->view, 7);

    /* Until another cookie takes its place. */
    for (unsigned i = 2; memo->number == number; i++) {
        CHECK(i < 100000);
        size = make(value, i);
        CHECK(
            cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie, &other));
    }
    CHECK(other == memo);
    CHECK_INT(memo->view, 0);
    cookie_cache_free(cache);
}
