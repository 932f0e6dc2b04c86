/* SPDX-License-Identifier: Apache-2.0 */

#include "api/attempts.h"

#include <stdio.h>

#include "check.h"

#define NOW (1000 * NSEC_PER_SEC)

static struct attempts attempts;

static struct address address_of(const char *text)
{
    struct address address = { 0 };
    CHECK_INT(address_parse(span_of(text), &address), 0);
    return address;
}

TEST(an_address_that_is_wrong_too_often_is_over_for_a_while)
{
    struct address one = address_of("10.0.0.1:5"), two = address_of("10.0.0.2:5");
    struct address other_port = address_of("10.0.0.1:6");
    CHECK(!attempts_is_over(&attempts, &one, NOW));
    for (unsigned i = 0; i < ATTEMPTS_BURST; i++) {
        CHECK(!attempts_is_over(&attempts, &one, NOW));
        attempts_add(&attempts, &one, NOW);
    }
    CHECK(attempts_is_over(&attempts, &one, NOW));
    CHECK(attempts_is_over(&attempts, &other_port, NOW));
    CHECK(!attempts_is_over(&attempts, &two, NOW));

    CHECK(!attempts_is_over(&attempts, &one, NOW + ATTEMPTS_EVERY));
    attempts_add(&attempts, &one, NOW + ATTEMPTS_EVERY);
    CHECK(attempts_is_over(&attempts, &one, NOW + ATTEMPTS_EVERY));
}

TEST(more_wrong_tokens_do_not_make_it_longer)
{
    struct address one = address_of("10.0.0.1:5");
    for (unsigned i = 0; i < 100; i++)
        attempts_add(&attempts, &one, NOW);
    CHECK(attempts_is_over(&attempts, &one, NOW));
    CHECK(!attempts_is_over(&attempts, &one, NOW + ATTEMPTS_EVERY));
}

TEST(a_network_of_ipv6_is_one_address)
{
    struct address one = address_of("[2001:db8:0:1::1]:5"), two = address_of("[2001:db8:0:1::2]:5");
    struct address far = address_of("[2001:db8:0:2::1]:5");
    for (unsigned i = 0; i < ATTEMPTS_BURST; i++)
        attempts_add(&attempts, &one, NOW);
    CHECK(attempts_is_over(&attempts, &two, NOW));
    CHECK(!attempts_is_over(&attempts, &far, NOW));
}

TEST(many_addresses_forget_the_oldest)
{
    struct address first = address_of("10.0.0.1:5");
    for (unsigned i = 0; i < ATTEMPTS_BURST; i++)
        attempts_add(&attempts, &first, NOW);
    for (unsigned i = 0; i < 2 * ATTEMPTS_ADDRESSES; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.1.%u.%u:5", i / 250, i % 250 + 1);
        struct address address = address_of(text);
        attempts_add(&attempts, &address, NOW + (ATTEMPTS_BURST * ATTEMPTS_EVERY) + i);
    }
    CHECK(!attempts_is_over(&attempts, &first, NOW + (ATTEMPTS_BURST * ATTEMPTS_EVERY) + 1000));
}
