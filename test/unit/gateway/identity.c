/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/identity.h"

#include "head.h"

#define NOW 1763625600000

static const struct cookie_keys keys = { .keys = { { 1 } }, .n_keys = 1 };

static const char *cookie_of(const char *customer, unix_msec expires)
{
    static char value[COOKIE_VALUE_MAX];
    struct cookie cookie = { .device = "abcdefghijklmnop", .expires = expires };
    strcpy(cookie.customer, customer);
    cookie_format(&keys, &cookie, value);
    return value;
}

static void read_identity(const char *fields, bool is_internal, struct identity *ret_identity)
{
    char text[4096];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
    static struct http_head head;
    static char kept[4096];
    strcpy(kept, text);
    parse_request(kept, &head);
    struct cookie_cache *cookies = cookie_cache_new();
    struct identity_context context = { &head, &keys, cookies, NOW, is_internal };
    identity_read(&context, ret_identity);
    cookie_cache_free(cookies);
}

#define BAGGAGE "baggage: a=1,sarsen.customer=from-baggage,sarsen.bom=b7k2qb7k2qb7k2qb\r\n"
#define HEADER "Sarsen-Customer: from-header\r\n"
#define COOKIE "cookie: a=1; sarsen=%s\r\n"

TEST(the_first_hit_wins)
{
    static const struct {
        const char *fields; /* %s: a cookie of from-cookie */
        bool is_internal;
        enum identity_source source;
        const char *customer;
    } table[] = {
        { BAGGAGE HEADER COOKIE, true, IDENTITY_BAGGAGE, "from-baggage" },
        { HEADER COOKIE, true, IDENTITY_HEADER, "from-header" },
        { COOKIE, true, IDENTITY_COOKIE, "from-cookie" },
        { "", true, IDENTITY_NOBODY, "" },
        { BAGGAGE HEADER COOKIE, false, IDENTITY_COOKIE, "from-cookie" },
        { BAGGAGE HEADER, false, IDENTITY_NOBODY, "" },
        { BAGGAGE, false, IDENTITY_NOBODY, "" },
        { HEADER, false, IDENTITY_NOBODY, "" },
        { "cookie: sarsen=forged\r\n" COOKIE, false, IDENTITY_COOKIE, "from-cookie" },
        { "cookie: sarsen=forged\r\n", false, IDENTITY_NOBODY, "" },
        { "baggage: sarsen.bom=b7k2qb7k2qb7k2qb\r\n" HEADER, true, IDENTITY_HEADER, "from-header" },
        { "Sarsen-Customer: \r\n" COOKIE, true, IDENTITY_COOKIE, "from-cookie" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char fields[2048];
        /* A row without a cookie ignores the argument. */
        const char *at = strstr(table[i].fields, "%s");
        if (at)
            snprintf(fields, sizeof(fields), "%.*s%s%s", (int)(at - table[i].fields),
                     table[i].fields, cookie_of("from-cookie", NOW + 1000), at + 2);
        else
            strcpy(fields, table[i].fields);
        struct identity identity;
        read_identity(fields, table[i].is_internal, &identity);
        printf("# row %zu\n", i);
        CHECK_INT(identity.source, table[i].source);
        CHECK(span_is(identity.customer, table[i].customer));
        CHECK(identity.is_anonymous == (table[i].source == IDENTITY_NOBODY));
        if (!table[i].is_internal)
            CHECK(!identity.bom.size && !identity.lane.size);
    }
}

TEST(trusted_baggage_names_the_bom)
{
    struct identity identity;
    read_identity(BAGGAGE, true, &identity);
    CHECK(span_is(identity.bom, "b7k2qb7k2qb7k2qb"));
}

TEST(an_anonymous_cookie_is_its_device)
{
    char fields[1024];
    snprintf(fields, sizeof(fields), "cookie: sarsen=%s\r\n", cookie_of("", NOW + 1000));
    struct identity identity;
    read_identity(fields, false, &identity);
    CHECK_INT(identity.source, IDENTITY_COOKIE);
    CHECK(identity.is_anonymous);
    CHECK(span_is(identity.customer, "~abcdefghijklmnop"));
    CHECK(span_is(identity.device, "abcdefghijklmnop"));
}

TEST(an_anonymous_customer_is_passed_on)
{
    struct identity identity;
    read_identity("baggage: sarsen.customer=~abcdefghijklmnop\r\n", true, &identity);
    CHECK_INT(identity.source, IDENTITY_BAGGAGE);
    CHECK(identity.is_anonymous);
    CHECK(span_is(identity.device, "abcdefghijklmnop"));
}

TEST(an_expired_cookie_is_none)
{
    char fields[1024];
    snprintf(fields, sizeof(fields), "cookie: sarsen=%s\r\n", cookie_of("acme", NOW - 1000));
    struct identity identity;
    read_identity(fields, false, &identity);
    CHECK_INT(identity.source, IDENTITY_NOBODY);
    CHECK(!identity.has_cookie);
}

TEST(a_visitor_gets_a_device)
{
    struct identity identity;
    read_identity("", false, &identity);
    static const uint8_t random[DEVICE_RANDOM_SIZE] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    identity_make_device(&identity, random);
    CHECK_INT(identity.source, IDENTITY_NEW_DEVICE);
    CHECK(identity.is_anonymous);
    CHECK_INT(identity.customer.size, DEVICE_ID_SIZE + 1);
    CHECK(identity.customer.data[0] == '~');
    CHECK(span_equals(identity.device, span_from(identity.customer, 1)));
}

TEST(a_flood_of_cookies_is_not_all_tried)
{
    char fields[4096];
    size_t size = (size_t)snprintf(fields, sizeof(fields), "cookie: ");
    for (int i = 0; i < 20; i++)
        size += (size_t)snprintf(fields + size, sizeof(fields) - size, "sarsen=forged; ");
    snprintf(fields + size, sizeof(fields) - size, "sarsen=%s\r\n", cookie_of("acme", NOW + 1000));
    struct identity identity;
    read_identity(fields, false, &identity);
    CHECK_INT(identity.source, IDENTITY_NOBODY);
}
