/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/cookie.h"

#include "check.h"

#define NOW 1763625600000 /* any moment */

static const struct cookie_keys keys = { .keys = { { 1, 2, 3 }, { 9, 8, 7 } }, .n_keys = 2 };

static const struct cookie acme = {
    .device = "abcdefghijklmnop",
    .bom = "b7k2qb7k2qb7k2qb",
    .customer = "acme",
    .expires = NOW + 60000,
};

TEST(what_was_signed_is_read_again)
{
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &acme, value);
    struct cookie cookie;
    CHECK(cookie_verify(&keys, (struct span){ value, size }, NOW, &cookie));
    CHECK_STR(cookie.device, acme.device);
    CHECK_STR(cookie.bom, acme.bom);
    CHECK_STR(cookie.customer, acme.customer);
    CHECK_INT(cookie.expires, acme.expires);
    CHECK(!cookie.is_signed_with_old_key);
}

TEST(any_customer_id_survives)
{
    static const char *const ids[] = { "",    "a",    "a.b.c", "a;b,c\"d\\e",
                                       "%41", "100%", "a=b",   "x@example.com" };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct cookie cookie = acme;
        strcpy(cookie.customer, ids[i]);
        char value[COOKIE_VALUE_MAX];
        size_t size = cookie_format(&keys, &cookie, value);
        for (size_t k = 0; k < size; k++)
            CHECK(value[k] > ' ' && value[k] < 0x7f && !strchr("\",;\\", value[k]));
        memset(&cookie, 0, sizeof(cookie));
        CHECK(cookie_verify(&keys, (struct span){ value, size }, NOW, &cookie));
        CHECK_STR(cookie.customer, ids[i]);
    }
}

TEST(the_longest_customer_id_fits)
{
    struct cookie cookie = acme;
    memset(cookie.customer, '%', CUSTOMER_ID_MAX); /* each byte becomes three */
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &cookie, value);
    CHECK(size < COOKIE_VALUE_MAX);
    CHECK(cookie_verify(&keys, (struct span){ value, size }, NOW, &cookie));
    CHECK_INT(strlen(cookie.customer), CUSTOMER_ID_MAX);
}

TEST(a_change_of_any_byte_is_refused)
{
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &acme, value);
    struct cookie cookie;
    for (size_t i = 0; i < size; i++) {
        for (int to = 0; to < 256; to++) {
            char before = value[i];
            if ((char)to == before)
                continue;
            value[i] = (char)to;
            CHECK(!cookie_verify(&keys, (struct span){ value, size }, NOW, &cookie));
            value[i] = before;
        }
    }
}

TEST(a_cut_or_lengthened_cookie_is_refused)
{
    char value[COOKIE_VALUE_MAX * 2] = { 0 };
    size_t size = cookie_format(&keys, &acme, value);
    struct cookie cookie;
    for (size_t i = 0; i < size; i++) {
        CHECK(!cookie_verify(&keys, (struct span){ value, i }, NOW, &cookie));
        CHECK(!cookie_verify(&keys, (struct span){ value + i + 1, size - i - 1 }, NOW, &cookie));
    }
    for (size_t i = size; i < sizeof(value); i++) {
        value[i] = 'a';
        CHECK(!cookie_verify(&keys, (struct span){ value, i + 1 }, NOW, &cookie));
    }
    CHECK(!cookie_verify(&keys, SPAN_NULL, NOW, &cookie));
}

TEST(a_cookie_ends_with_its_expiry)
{
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &acme, value);
    struct cookie cookie;
    CHECK(cookie_verify(&keys, (struct span){ value, size }, acme.expires - 1, &cookie));
    CHECK(!cookie_verify(&keys, (struct span){ value, size }, acme.expires, &cookie));
}

TEST(the_older_key_still_verifies_and_no_other)
{
    struct cookie_keys rotated = { .keys = { { 5 }, { 1, 2, 3 } }, .n_keys = 2 };
    struct cookie_keys strange = { .keys = { { 5 }, { 6 } }, .n_keys = 2 };
    struct cookie_keys forgotten = { .keys = { { 5 }, { 1, 2, 3 } }, .n_keys = 1 };
    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&keys, &acme, value);
    struct span span = { value, size };
    struct cookie cookie;
    CHECK(cookie_verify(&rotated, span, NOW, &cookie));
    CHECK(cookie.is_signed_with_old_key);
    CHECK(!cookie_verify(&strange, span, NOW, &cookie));
    CHECK(!cookie_verify(&forgotten, span, NOW, &cookie));
}

TEST(our_cookie_is_taken_out_of_the_field)
{
    static const char *const table[][2] = {
        { "sarsen=x", "" },
        { "a=1; sarsen=x; b=2", "a=1; b=2" },
        { "sarsen=x; a=1", "a=1" },
        { "a=1;sarsen=x;b=2", "a=1;b=2" },
        { "a=1; sarsen=x; sarsen=y", "a=1" },
        { "sarsenx=1; xsarsen=2", "sarsenx=1; xsarsen=2" },
        { "a=sarsen=x", "a=sarsen=x" },
        { "; ;", "" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[64];
        size_t size = cookie_strip(span_of(table[i][0]), text);
        CHECK(size <= strlen(table[i][0]));
        text[size] = '\0';
        CHECK_STR(text, table[i][1]);
    }
}

TEST(customer_ids_that_may_be_named)
{
    char longest[CUSTOMER_ID_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    CHECK(customer_id_is_valid(SPAN("acme")));
    CHECK(customer_id_is_valid((struct span){ longest, CUSTOMER_ID_MAX }));
    CHECK(!customer_id_is_valid((struct span){ longest, CUSTOMER_ID_MAX + 1 }));
    CHECK(!customer_id_is_valid(SPAN("")));
    CHECK(!customer_id_is_valid(SPAN("~acme")));
    CHECK(!customer_id_is_valid(SPAN("a b")));
    CHECK(!customer_id_is_valid(SPAN("a\xc3")));
    CHECK(!customer_id_is_valid(SPAN("a\nb")));
    CHECK(!customer_id_is_valid(SPAN("a\x7f")));
}
