/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "codec/http1.h"

TEST(lines_are_cut_one_by_one)
{
    struct span lines = SPAN("host: a\r\nX-B:  \r\nempty: \r\nc: d e\tf\x80\r\n");
    struct http1_line line;
    CHECK(http1_cut_line(&lines, &line));
    CHECK(span_is(line.name, "host") && span_is(line.value, "a"));
    CHECK(!http1_cut_line(&lines, &line)); /* a blank is not what a writer writes */
    CHECK(span_starts_with(lines, SPAN("X-B")));

    lines = SPAN("empty: \r\nc: d e\tf\x80\r\n");
    CHECK(http1_cut_line(&lines, &line));
    CHECK(span_is(line.name, "empty") && line.value.size == 0);
    CHECK(http1_cut_line(&lines, &line));
    CHECK(span_is(line.name, "c") && span_is(line.value, "d e\tf\x80"));
    CHECK_INT(lines.size, 0);
}

TEST(what_is_no_line_is_not_cut)
{
    static const char *const wrong[] = {
        "",
        "a",
        "a:",
        "a: b",
        "a: b\r",
        "a: b\n",
        "a:b\r\n",
        ": b\r\n",
        "a b: c\r\n",
        "a : b\r\n",
        "a: b\n\r\n",
        "a: b\rc\r\n",
        "a: \x01\r\n",
        "a: b \r\n",
        "a:  b\r\n",
        "\r\n",
        "a: b\x7f\r\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct span lines = span_of(wrong[i]);
        struct http1_line line;
        CHECK(!http1_cut_line(&lines, &line));
        CHECK_INT(lines.size, strlen(wrong[i]));
    }
}

TEST(a_small_token_has_no_capital_at_any_place)
{
    char name[40];
    for (size_t size = 1; size < sizeof(name); size++) {
        memset(name, 'a', sizeof(name));
        CHECK(http_is_small_token((struct span){ name, size }));
        for (size_t at = 0; at < size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                name[at] = (char)byte;
                struct span span = { name, size };
                bool is_capital = byte >= 'A' && byte <= 'Z';
                CHECK_INT(http_is_small_token(span), http_is_token(span) && !is_capital);
            }
            name[at] = 'a';
        }
    }
    CHECK(!http_is_small_token(SPAN_NULL));
}

TEST(a_target_holds_visible_ascii)
{
    CHECK(http_is_target(SPAN("/a?b=c%20d")));
    CHECK(!http_is_target(SPAN("/a b")));
    CHECK(!http_is_target(SPAN("/a#b")));
    CHECK(!http_is_target(SPAN("/a\r")));
    CHECK(!http_is_target(SPAN("/\x80")));
    CHECK(!http_is_target(SPAN_NULL));
}
