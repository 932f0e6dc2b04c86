/* SPDX-License-Identifier: Apache-2.0 */

#include "version/rule.h"

#include "check.h"

#include "base/hash.h"

TEST(a_bucket_is_the_hash_of_salt_separator_and_subject)
{
    CHECK_INT(rule_bucket(SPAN("salt"), SPAN("acme")), hash_xxh3(SPAN("salt\x1f"
                                                                      "acme")) %
                                                           100000);
    /* The separator keeps one pair from looking like another. */
    CHECK(rule_bucket(SPAN("ab"), SPAN("c")) != rule_bucket(SPAN("a"), SPAN("bc")));
}

TEST(the_hash_does_not_change_between_releases_of_ours)
{
    /* Assignments of customers rest on these numbers. */
    CHECK_INT(rule_bucket(SPAN("t118"), SPAN("acme")), 14432);
    CHECK_INT(rule_bucket(SPAN("t118"), SPAN("globex")), 77129);
}

TEST(the_edges_of_a_share)
{
    struct span salt = SPAN("salt"), acme = SPAN("acme");
    uint32_t bucket = rule_bucket(salt, acme);
    CHECK(!rule_share_has(salt, bucket, acme));
    CHECK(rule_share_has(salt, bucket + 1, acme));
    CHECK(!rule_share_has(salt, 0, acme));
    CHECK(rule_share_has(salt, PCT_ALL, acme));
}

TEST(a_caller_without_a_name_is_in_no_share_below_100)
{
    CHECK(!rule_share_has(SPAN("salt"), PCT_ALL - 1, SPAN("")));
    CHECK(rule_share_has(SPAN("salt"), PCT_ALL, SPAN("")));
}

TEST(overlong_subjects_are_cut_and_still_have_a_bucket)
{
    char text[4096];
    memset(text, 'x', sizeof(text));
    struct span longest = { text, sizeof(text) };
    CHECK(rule_bucket(longest, longest) < PCT_ALL);
    CHECK_INT(rule_bucket(longest, longest), rule_bucket(longest, longest));
}

TEST(shares_read_as_percent)
{
    static const struct {
        uint32_t pct_milli;
        const char *text;
    } cases[] = {
        { 0, "0 %" },         { 1, "0.001 %" },      { 500, "0.5 %" },    { 1000, "1 %" },
        { 12340, "12.34 %" }, { 99999, "99.999 %" }, { 100000, "100 %" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[PCT_TEXT_MAX];
        pct_format(cases[i].pct_milli, text);
        CHECK_STR(text, cases[i].text);
    }
}
