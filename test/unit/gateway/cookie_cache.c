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
    for (int i = 0; i < 3; i++) {
        memset(&cookie, 0, sizeof(cookie));
        CHECK(cookie_cache_verify(cache, &keys, span, NOW, &cookie));
        CHECK_STR(cookie.customer, "customer-1");
    }
    CHECK(!cookie_cache_verify(cache, &keys, span, NOW + 60000, &cookie));
    cookie_cache_free(cache);
}

TEST(a_known_cookie_with_any_byte_changed_is_refused)
{
    struct cookie_cache *cache = cookie_cache_new();
    char value[COOKIE_VALUE_MAX];
    size_t size = make(value, 1);
    struct cookie cookie;
    CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie));
    for (size_t i = 0; i < size; i++) {
        value[i] ^= 1;
        CHECK(!cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie));
        value[i] ^= 1;
        CHECK(!cookie_cache_verify(cache, &keys, (struct span){ value, i }, NOW, &cookie));
    }
    CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie));
    cookie_cache_free(cache);
}

TEST(more_customers_than_slots_are_never_mixed_up)
{
    struct cookie_cache *cache = cookie_cache_new();
    for (unsigned i = 0; i < 6000; i++) {
        char value[COOKIE_VALUE_MAX], want[32];
        size_t size = make(value, i % 2000);
        struct cookie cookie;
        CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie));
        snprintf(want, sizeof(want), "customer-%u", i % 2000);
        CHECK_STR(cookie.customer, want);
    }
    cookie_cache_free(cache);
}

TEST(a_cookie_too_long_to_keep_is_verified_each_time)
{
    struct cookie_cache *cache = cookie_cache_new();
    struct cookie cookie = { .device = "abcdefghijklmnop", .expires = NOW + 60000 };
    memset(cookie.customer, '%', CUSTOMER_ID_MAX);
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &cookie, value);
    for (int i = 0; i < 2; i++)
        CHECK(cookie_cache_verify(cache, &keys, (struct span){ value, size }, NOW, &cookie));
    CHECK(!cookie_cache_verify(cache, &keys, SPAN_NULL, NOW, &cookie));
    cookie_cache_free(cache);
}
