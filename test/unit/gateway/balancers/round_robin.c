/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/balancers/round_robin.h"

#include "check.h"

#define SEC NSEC_PER_SEC

/* The order in which one request is offered the instances, as digits. */
static const char *walk(uint32_t *cursor, const nsec *refused_at, uint32_t n, nsec now)
{
    static char order[32];
    size_t size = 0;
    struct round_robin_walk at = round_robin_start(cursor, n, now);
    for (uint32_t pick; (pick = round_robin_next(&at, refused_at, n)) != NO_PICK;)
        order[size++] = (char)('0' + pick);
    order[size] = '\0';
    return order;
}

TEST(requests_take_turns)
{
    uint32_t cursor = 0;
    nsec refused_at[3] = { 0 };
    CHECK_STR(walk(&cursor, refused_at, 3, SEC), "012");
    CHECK_STR(walk(&cursor, refused_at, 3, SEC), "120");
    CHECK_STR(walk(&cursor, refused_at, 3, SEC), "201");
    CHECK_STR(walk(&cursor, refused_at, 3, SEC), "012");
}

TEST(one_that_refused_comes_last_for_a_second)
{
    uint32_t cursor = 0;
    nsec refused_at[3] = { 10 * SEC, 0, 0 };
    CHECK_STR(walk(&cursor, refused_at, 3, 10 * SEC + 1), "120");
    cursor = 0;
    CHECK_STR(walk(&cursor, refused_at, 3, 11 * SEC - 1), "120");
    cursor = 0;
    CHECK_STR(walk(&cursor, refused_at, 3, 11 * SEC), "012");
}

TEST(when_all_refused_all_are_asked)
{
    uint32_t cursor = 1;
    nsec refused_at[3] = { 10 * SEC, 10 * SEC, 10 * SEC };
    CHECK_STR(walk(&cursor, refused_at, 3, 10 * SEC + 1), "120");
}

TEST(one_that_refuses_this_request_is_not_asked_again)
{
    uint32_t cursor = 0;
    nsec refused_at[2] = { 0, 0 };
    struct round_robin_walk at = round_robin_start(&cursor, 2, 10 * SEC);
    CHECK_INT(round_robin_next(&at, refused_at, 2), 0);
    refused_at[0] = 10 * SEC;
    CHECK_INT(round_robin_next(&at, refused_at, 2), 1);
    refused_at[1] = 10 * SEC + 5;
    CHECK(round_robin_next(&at, refused_at, 2) == NO_PICK);
    CHECK(round_robin_next(&at, refused_at, 2) == NO_PICK);
}

TEST(every_instance_gets_its_share)
{
    uint32_t cursor = 0;
    unsigned counts[7] = { 0 };
    nsec refused_at[7] = { 0 };
    for (unsigned i = 0; i < 7000; i++) {
        struct round_robin_walk at = round_robin_start(&cursor, 7, SEC);
        counts[round_robin_next(&at, refused_at, 7)]++;
    }
    for (unsigned i = 0; i < 7; i++)
        CHECK_INT(counts[i], 1000);
}

TEST(a_group_that_shrank_has_no_stale_cursor)
{
    uint32_t cursor = 9;
    nsec refused_at[1] = { 0 };
    CHECK_STR(walk(&cursor, refused_at, 1, SEC), "0");
    CHECK_STR(walk(&cursor, refused_at, 0, SEC), "");
}
