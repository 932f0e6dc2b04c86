/* SPDX-License-Identifier: Apache-2.0 */

#include "api/member.h"

#include "api/api.h"
#include "check.h"

#define NOW 1763735000123
#define MINUTE (60 * 1000)

static const struct span secret = SPAN("0123456789abcdef0123456789abcdef");
static const struct span path = SPAN("/v1/blobs/abc");

static bool holds(struct span value, struct span asked, unix_msec wall)
{
    return member_proof_holds(secret, value, SPAN("GET"), asked, wall);
}

TEST(a_proof_holds_for_its_path_and_a_few_minutes)
{
    char value[API_MEMBER_PROOF_MAX];
    api_member_proof(secret, SPAN("GET"), path, NOW, value);
    CHECK(holds(span_of(value), path, NOW));
    CHECK(holds(span_of(value), path, NOW + 5 * MINUTE));
    CHECK(holds(span_of(value), path, NOW - 5 * MINUTE));
    CHECK(!holds(span_of(value), path, NOW + 5 * MINUTE + 1));
    CHECK(!holds(span_of(value), path, NOW - 5 * MINUTE - 1));
    CHECK(!holds(span_of(value), SPAN("/v1/blobs/abd"), NOW));
    CHECK(!member_proof_holds(secret, span_of(value), SPAN("HEAD"), path, NOW));
}

TEST(a_proof_that_is_too_old_or_from_the_future_tells_by_how_much)
{
    char value[API_MEMBER_PROOF_MAX];
    unix_msec age = 0;
    api_member_proof(secret, SPAN("GET"), path, NOW, value);
    CHECK(member_proof_age(secret, span_of(value), SPAN("GET"), path, NOW + 7 * MINUTE, &age));
    CHECK_INT(age, 7 * MINUTE);
    CHECK(member_proof_age(secret, span_of(value), SPAN("GET"), path, NOW - 7 * MINUTE, &age));
    CHECK_INT(age, -7 * MINUTE);
    CHECK(!member_proof_age(secret, span_of(value), SPAN("HEAD"), path, NOW, &age));
}

TEST(a_proof_by_another_secret_or_none_does_not_hold)
{
    char value[API_MEMBER_PROOF_MAX];
    api_member_proof(SPAN("0123456789abcdef0123456789abcdee"), SPAN("GET"), path, NOW, value);
    CHECK(!holds(span_of(value), path, NOW));
    api_member_proof(SPAN(""), SPAN("GET"), path, NOW, value);
    CHECK(!holds(span_of(value), path, NOW));
    CHECK(!member_proof_holds(SPAN(""), span_of(value), SPAN("GET"), path, NOW));
}

TEST(a_proof_that_is_cut_or_changed_does_not_hold)
{
    char value[API_MEMBER_PROOF_MAX];
    api_member_proof(secret, SPAN("GET"), path, NOW, value);
    struct span whole = span_of(value);
    for (size_t size = 0; size < whole.size; size++)
        CHECK(!holds(span_first(whole, size), path, NOW));
    for (size_t i = 0; i < whole.size; i++) {
        value[i] ^= 1;
        CHECK(!holds(whole, path, NOW));
        value[i] ^= 1;
    }
    CHECK(!holds(SPAN("Bearer x"), path, NOW));
    CHECK(!holds(SPAN("Sarsen-Member "), path, NOW));
    CHECK(!holds(SPAN("Sarsen-Member 99999999999999999999.00"), path, NOW));
}
