/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/semver.h"
#include "check.h"

static struct semver version_of(const char *text)
{
    struct semver version;
    CHECK_INT(semver_parse(span_of(text), &version), SEMVER_OK);
    return version;
}

TEST(parts)
{
    struct semver version = version_of("3.15.4294967295-rc.1-x.0a+007.sha-1");
    CHECK_INT(version.major, 3);
    CHECK_INT(version.minor, 15);
    CHECK_INT(version.patch, UINT32_MAX);
    CHECK(span_is(version.prerelease, "rc.1-x.0a"));
    CHECK(span_is(version.build, "007.sha-1"));
    version = version_of("0.0.0");
    CHECK(!version.prerelease.data && !version.build.data);
    CHECK(span_is(version_of("1.0.0+a-b").build, "a-b"));
    CHECK(!version_of("1.0.0+a-b").prerelease.data);
}

TEST(refused)
{
    static const char *const texts[] = {
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "v1.2.3",
        "1.2.x",
        "01.2.3",
        "1.02.3",
        "1.2.03",
        "-1.2.3",
        "1.2.-3",
        "+1.2.3",
        "1.2.3-",
        "1.2.3+",
        "1.2.3-+a",
        "1.2.3-a+",
        "1.2.3-a..b",
        "1.2.3-.a",
        "1.2.3-a.",
        "1.2.3-01",
        "1.2.3-a.00",
        "1.2.3-a_b",
        "1.2.3-a~",
        "1.2.3+a+b",
        "1.2.3 ",
        " 1.2.3",
        "1. 2.3",
        "1..3",
        ".1.2",
        "4294967296.0.0",
        "1.2.99999999999999999999",
        "1.2.3-\xc3\xa9",
        "1.2.3-a b",
        "1,2,3",
    };
    struct semver version;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (semver_parse(span_of(texts[i]), &version) != SEMVER_BAD)
            check_fail(__FILE__, __LINE__, texts[i], "is accepted");
    }
    CHECK_INT(semver_parse(SPAN("1.2.3\0"), &version), SEMVER_BAD);
    CHECK_INT(semver_parse(SPAN_NULL, &version), SEMVER_BAD);

    char text[SEMVER_TEXT_MAX + 2] = "1.2.3-";
    memset(text + 6, 'a', sizeof(text) - 6);
    CHECK_INT(semver_parse((struct span){ text, SEMVER_TEXT_MAX }, &version), SEMVER_OK);
    CHECK_INT(semver_parse((struct span){ text, SEMVER_TEXT_MAX + 1 }, &version), SEMVER_BAD);
}

/* Every pair, both ways round: the list is in order. */
TEST(precedence)
{
    static const char *const texts[] = {
        "0.0.0-0",
        "0.0.0",
        "0.0.1",
        "0.1.0",
        "1.0.0--",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.2",
        "1.0.0-alpha.10",
        "1.0.0-alpha.99999999999999999999",
        "1.0.0-alpha.100000000000000000000",
        "1.0.0-alpha.-",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1-0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
        "10.0.0",
        "4294967295.0.0",
    };
    const size_t n = sizeof(texts) / sizeof(texts[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            struct semver a = version_of(texts[i]), b = version_of(texts[k]);
            int order = semver_compare(&a, &b);
            CHECK_INT((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
    struct semver a = version_of("1.0.0+a"), b = version_of("1.0.0+b");
    CHECK_INT(semver_compare(&a, &b), 0);
}

TEST(ranges)
{
    static const struct {
        const char *text;
        const char *majors; /* of 0 to 9, which are in */
    } rows[] = {
        { "3", "3" },
        { "=3", "3" },
        { "^3", "3" },
        { " 3 ", "3" },
        { "*", "0123456789" },
        { ">=2 <4", "23" },
        { ">= 2  <\t4", "23" },
        { ">2 <=4", "34" },
        { "<4 >=2", "23" },
        { ">7", "89" },
        { "<2", "01" },
        { "<=0", "0" },
        { "2 || 3", "23" },
        { "2||5||^7", "257" },
        { ">=2 <4 || 8", "238" },
        { "1 || *", "0123456789" },
        { "0||1||2||3||4||5||6||7", "01234567" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct major_range range;
        char majors[16] = "";
        if (major_range_parse(span_of(rows[i].text), &range))
            check_fail(__FILE__, __LINE__, rows[i].text, "is refused");
        for (uint32_t major = 0; major < 10; major++) {
            if (major_range_has(&range, major))
                majors[strlen(majors)] = (char)('0' + major);
        }
        CHECK_STR(majors, rows[i].majors);
    }
    struct major_range range;
    CHECK_INT(major_range_parse(SPAN(">=4294967295"), &range), SEMVER_OK);
    CHECK(major_range_has(&range, UINT32_MAX) && !major_range_has(&range, UINT32_MAX - 1));
}

TEST(ranges_refused)
{
    static const char *const texts[] = {
        "",
        " ",
        "x",
        "3.1",
        "3.x",
        "~3",
        "03",
        "-3",
        "2 | 3",
        "2 ||",
        "|| 2",
        "2 || || 3",
        "||",
        "|",
        ">",
        "> =2",
        ">=",
        "2 -3",
        ">3 <4",
        "2 3",
        "<0",
        ">4294967295",
        "4294967296",
        "**",
        "*2",
        ">=2<4",
        "!=3",
        "2,3",
        "0||1||2||3||4||5||6||7||8",
    };
    struct major_range range;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (major_range_parse(span_of(texts[i]), &range) != SEMVER_BAD)
            check_fail(__FILE__, __LINE__, texts[i], "is accepted");
    }
    CHECK_INT(major_range_parse(SPAN_NULL, &range), SEMVER_BAD);
}
