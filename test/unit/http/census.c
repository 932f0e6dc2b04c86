/* SPDX-License-Identifier: Apache-2.0 */

#include "http/census.h"

#include "check.h"

static struct address address_of(const char *text)
{
    struct address address;
    CHECK_INT(address_parse(span_of(text), &address), 0);
    return address;
}

TEST(clients_are_counted_in_all)
{
    struct http_census *census = http_census_new();
    struct address peer = address_of("127.0.0.1:1");
    uint32_t key;
    CHECK(http_census_take_client(census, &peer, 2, 0, &key));
    CHECK(http_census_take_client(census, &peer, 2, 0, &key));
    CHECK(!http_census_take_client(census, &peer, 2, 0, &key));
    CHECK_INT(http_census_n_clients(census), 2);
    CHECK_INT(http_census_n_refused(census), 1);
    http_census_drop_client(census, key);
    CHECK(http_census_take_client(census, &peer, 2, 0, &key));
    http_census_free(census);
}

TEST(an_address_has_its_share_and_takes_nobody_else_s)
{
    struct http_census *census = http_census_new();
    struct address one = address_of("10.0.0.1:1"), again = address_of("10.0.0.1:2"),
                   other = address_of("10.0.0.2:1");
    uint32_t keys[3], key;
    CHECK(http_census_take_client(census, &one, 9, 2, &keys[0]));
    CHECK(http_census_take_client(census, &again, 9, 2, &keys[1]));
    CHECK(!http_census_take_client(census, &one, 9, 2, &key));
    CHECK(http_census_take_client(census, &other, 9, 2, &keys[2]));
    CHECK_INT(http_census_n_clients(census), 3);
    http_census_drop_client(census, keys[1]);
    CHECK(http_census_take_client(census, &again, 9, 2, &keys[1]));
    for (unsigned i = 0; i < 3; i++)
        http_census_drop_client(census, keys[i]);
    CHECK_INT(http_census_n_clients(census), 0);
    http_census_free(census);
}

TEST(a_network_of_ipv6_is_one_address_and_a_unix_socket_none)
{
    struct http_census *census = http_census_new();
    struct address one = address_of("[2001:db8::1]:1"), same = address_of("[2001:db8::ffff:2]:1"),
                   other = address_of("[2001:db8:0:1::1]:1"), local = address_of("unix:/x");
    uint32_t key;
    CHECK(http_census_take_client(census, &one, 9, 1, &key));
    CHECK(!http_census_take_client(census, &same, 9, 1, &key));
    CHECK(http_census_take_client(census, &other, 9, 1, &key));
    CHECK(http_census_take_client(census, &local, 9, 1, &key));
    CHECK(http_census_take_client(census, &local, 9, 1, &key));
    http_census_free(census);
}

/* Cells are shared, so a count could be too high: not by enough to refuse anybody, even with far
 * more addresses at their limit than a machine has descriptors for. */
TEST(many_addresses_at_their_limit_do_not_shut_out_others)
{
    struct http_census *census = http_census_new();
    uint32_t key;
    char text[32];
    unsigned n_refused = 0;
    for (unsigned i = 0; i < 100 * 10; i++) {
        snprintf(text, sizeof(text), "10.1.0.%u:1", i % 100);
        struct address heavy = address_of(text);
        n_refused += !http_census_take_client(census, &heavy, 1000000, 10, &key);
    }
    CHECK(n_refused <= 20); /* two of them */
    n_refused = 0;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "10.2.%u.%u:1", i / 250, i % 250);
        struct address light = address_of(text);
        n_refused += !http_census_take_client(census, &light, 1000000, 10, &key);
    }
    CHECK(n_refused <= 3);
    http_census_free(census);
}

TEST(upstreams_are_counted)
{
    struct http_census *census = http_census_new();
    CHECK(http_census_take_upstream(census, 1));
    CHECK(!http_census_take_upstream(census, 1));
    CHECK_INT(http_census_n_upstreams(census), 1);
    http_census_drop_upstream(census);
    CHECK(http_census_take_upstream(census, 1));
    http_census_free(census);
}

TEST(what_servers_counted_of_http2_adds_up)
{
    struct http_census *census = http_census_new();
    struct http2_counts one = { .offences = { 3, 2, 1 }, .n_calmed = 1 };
    struct http2_counts two = { .offences = { [HTTP2_GLITCH] = 5 }, .n_broken = 2 };
    http_census_take_http2(census, &one);
    http_census_take_http2(census, &two);
    http_census_take_http2(census, &two); /* which was taken */
    struct http2_counts all = http_census_http2(census);
    CHECK_INT(all.offences[HTTP2_RESET], 3);
    CHECK_INT(all.offences[HTTP2_OWN_RESET], 2);
    CHECK_INT(all.offences[HTTP2_GLITCH], 6);
    CHECK_INT(all.n_calmed, 1);
    CHECK_INT(all.n_broken, 2);
    http_census_free(census);
}
