/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/json.h"

#include "check.h"

static const char *take(struct buf *buf)
{
    static char text[1024];
    char *taken = buf_take_text(buf);
    snprintf(text, sizeof(text), "%s", taken);
    free(taken);
    return text;
}

TEST(commas)
{
    struct buf buf = { .limit = 4096 };
    struct json_out out = { .buf = &buf };
    json_open(&out, '{');
    json_key(&out, SPAN("a"));
    json_open(&out, '[');
    json_close(&out, ']');
    json_key(&out, SPAN("b"));
    json_open(&out, '[');
    json_uint(&out, UINT64_MAX);
    json_int(&out, INT64_MIN);
    json_open(&out, '{');
    json_close(&out, '}');
    json_open(&out, '{');
    json_key(&out, SPAN("c"));
    json_bool(&out, true);
    json_close(&out, '}');
    json_bool(&out, false);
    json_close(&out, ']');
    json_key(&out, SPAN(""));
    json_none(&out);
    json_close(&out, '}');
    CHECK_STR(take(&buf),
              "{\"a\":[],\"b\":[18446744073709551615,-9223372036854775808,{},"
              "{\"c\":true},false],\"\":null}");
}

TEST(strings)
{
#define R "\xef\xbf\xbd" /* U+FFFD */
    static const struct {
        struct span text;
        const char *want;
    } rows[] = {
        { SPAN_NULL, "" },
        { SPAN("plain"), "plain" },
        { SPAN("\"\\/\b\t\n\f\r"), "\\\"\\\\/\\b\\t\\n\\f\\r" },
        { SPAN("\0\x01\x0b\x1f\x7f"), "\\u0000\\u0001\\u000b\\u001f\x7f" },
        { SPAN("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
          "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { SPAN("a\xff"), "a" R },
        { SPAN("\x80\x80"), R R },
        { SPAN("a\xc3"), "a" R },
        { SPAN("\xc3z"), R "z" },
        { SPAN("\xc3\""), R "\\\"" },
        { SPAN("\xe2\x82z"), R "z" },
        { SPAN("\xe2\x82"), R },
        { SPAN("\xf0\x9f\x98"), R },
        { SPAN("\xf0\x9f\xe2\x82\xac"), R "\xe2\x82\xac" },
        { SPAN("\xc0\xaf"), R R },
        { SPAN("\xe0\x80\xaf"), R R R },
        { SPAN("\xed\xa0\x80"), R R R },
        { SPAN("\xf4\x90\x80\x80"), R R R R },
        { SPAN("\xf8\x88\x80\x80\x80"), R R R R R },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf buf = { .limit = 4096 };
        struct json_out out = { .buf = &buf };
        char want[128];
        json_text(&out, rows[i].text);
        snprintf(want, sizeof(want), "\"%s\"", rows[i].want);
        CHECK_STR(take(&buf), want);
    }
}

TEST(problems)
{
    struct buf buf = { .limit = 4096 };
    struct json_out out = { .buf = &buf };
    json_problem_open(&out, 409, SPAN("still \"used\""));
    json_key(&out, SPAN("blockers"));
    json_uint(&out, 2);
    json_close(&out, '}');
    CHECK_STR(take(&buf),
              "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,"
              "\"detail\":\"still \\\"used\\\"\",\"blockers\":2}");
    json_problem_open(&out, 404, SPAN_NULL);
    json_close(&out, '}');
    buf_fini(&buf);
}

TEST(limit)
{
    struct buf buf = { .limit = 8 };
    struct json_out out = { .buf = &buf };
    json_text(&out, SPAN("123456"));
    CHECK(!buf.is_full);
    json_none(&out);
    CHECK(buf.is_full);
    buf_fini(&buf);
}
