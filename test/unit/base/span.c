/* SPDX-License-Identifier: Apache-2.0 */

#include "base/span.h"

#include "check.h"

TEST(equality)
{
    CHECK(span_equals(SPAN_NULL, SPAN("")));
    CHECK(span_equals(SPAN("a\0b"), SPAN("a\0b")));
    CHECK(!span_equals(SPAN("a\0b"), SPAN("a\0c")));
    CHECK(!span_equals(SPAN("a"), SPAN("ab")));
    CHECK(span_is(SPAN("abc"), "abc") && !span_is(SPAN("abc"), "ab"));
    CHECK(span_is(span_of(NULL), ""));

    CHECK(span_equals_nocase(SPAN("aZ-[09"), SPAN("Az-[09")));
    CHECK(!span_equals_nocase(SPAN("["), SPAN("{"))); /* differ by the bit of case */
    CHECK(!span_equals_nocase(SPAN("\xc3\xa9"), SPAN("\xc3\x89")));
    CHECK(!span_equals_nocase(SPAN("a"), SPAN("aa")));
}

TEST(order)
{
    static const struct span spans[] = { SPAN(""),    SPAN("\0"), SPAN("A"), SPAN("a"),
                                         SPAN("a\0"), SPAN("aa"), SPAN("b"), SPAN("\xff") };
    const size_t n = sizeof(spans) / sizeof(spans[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            int order = span_compare(spans[i], spans[k]);
            CHECK_INT((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

TEST(parts)
{
    CHECK(span_starts_with(SPAN("abc"), SPAN("ab")) && span_starts_with(SPAN("abc"), SPAN_NULL));
    CHECK(!span_starts_with(SPAN("a"), SPAN("ab")) && !span_starts_with(SPAN("ba"), SPAN("a")));
    CHECK(span_ends_with(SPAN("abc"), SPAN("bc")) && span_ends_with(SPAN("abc"), SPAN("abc")));
    CHECK(!span_ends_with(SPAN("c"), SPAN("bc")) && span_ends_with(SPAN("c"), SPAN("")));
    CHECK_INT(span_find(SPAN("abcb"), 'b'), 1);
    CHECK_INT(span_find(SPAN("abc"), 'x'), 3);
    CHECK_INT(span_find(SPAN_NULL, 'x'), 0);
    CHECK(span_is(span_from(SPAN("abc"), 1), "bc") && !span_from(SPAN("abc"), 3).data);
    CHECK(!span_from(SPAN("abc"), 9).data);
    CHECK(span_is(span_first(SPAN("abc"), 2), "ab") && span_is(span_first(SPAN("abc"), 9), "abc"));
}

/* Joins what span_cut() gives with "|". */
static const char *cut_all(struct span rest)
{
    static char text[64];
    size_t n = 0;
    text[0] = 0;
    while (rest.data) {
        struct span part = span_cut(&rest, ',');
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s|", SPAN_ARG(part));
    }
    return text;
}

TEST(cut)
{
    CHECK_STR(cut_all(SPAN("a,b")), "a|b|");
    CHECK_STR(cut_all(SPAN("a")), "a|");
    CHECK_STR(cut_all(SPAN("")), "|");
    CHECK_STR(cut_all(SPAN(",a,,")), "|a|||");
    CHECK_STR(cut_all(SPAN_NULL), "");
}

TEST(trim)
{
    CHECK(span_is(span_trim(SPAN(" \ta b\t ")), "a b"));
    CHECK(span_is(span_trim(SPAN(" \t ")), ""));
    CHECK(span_is(span_trim(SPAN("\na\r")), "\na\r"));
    CHECK(span_is(span_trim(SPAN_NULL), ""));
}

TEST(numbers)
{
    static const struct {
        struct span text;
        uint64_t max;
        bool is_number;
        uint64_t want;
    } rows[] = {
        { SPAN("0"), 0, true, 0 },
        { SPAN("00"), 0, true, 0 },
        { SPAN("000000000000000000000000000007"), 7, true, 7 },
        { SPAN("65535"), 65535, true, 65535 },
        { SPAN("65536"), 65535, false, 0 },
        { SPAN("1"), 0, false, 0 },
        { SPAN("18446744073709551615"), UINT64_MAX, true, UINT64_MAX },
        { SPAN("18446744073709551616"), UINT64_MAX, false, 0 },
        { SPAN("18446744073709551620"), UINT64_MAX, false, 0 },
        { SPAN("99999999999999999999"), UINT64_MAX, false, 0 },
        { SPAN("100000000000000000000"), UINT64_MAX, false, 0 },
        { SPAN("36893488147419103232"), UINT64_MAX, false, 0 },
        { SPAN(""), 9, false, 0 },
        { SPAN("+1"), 9, false, 0 },
        { SPAN("-1"), 9, false, 0 },
        { SPAN(" 1"), 9, false, 0 },
        { SPAN("1 "), 9, false, 0 },
        { SPAN("1a"), 99, false, 0 },
        { SPAN("/"), 99, false, 0 },
        { SPAN(":"), 99, false, 0 },
        { SPAN("1\0"), 99, false, 0 },
        { SPAN("\xb1"), 99, false, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 42;
        CHECK_INT(span_to_uint(rows[i].text, rows[i].max, &value), rows[i].is_number);
        CHECK(value == (rows[i].is_number ? rows[i].want : 42));
    }
}
