/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/cookie.h"
#include "head.h"

/* All values of the cookie "c", with "|" behind each. */
static const char *values(const char *lines)
{
    static char text[256];
    char bytes[512];
    int size = snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", lines);
    struct verdict verdict = { 0 };
    CHECK_INT(parse_once((struct span){ bytes, (size_t)size }, NULL, &wide, &verdict), HTTP1_OK);

    struct http_cookie_cursor cursor = { 0 };
    struct span value;
    size_t n = 0;
    text[0] = 0;
    while ((value = http_cookie_next(&cursor, &verdict.head, SPAN("c"))).data)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s|", SPAN_ARG(value));
    CHECK(!http_cookie_next(&cursor, &verdict.head, SPAN("c")).data);
    free(verdict.bytes);
    return text;
}

TEST(reading)
{
    static const struct {
        const char *lines, *want;
    } rows[] = {
        { "X: c=1", "" },
        { "Cookie:", "" },
        { "Cookie: c=1", "1|" },
        { "Cookie: a=0; c=1; cc=2", "1|" },
        { "Cookie: a=0;c=1;c=2", "1|2|" },
        { "Cookie: c=1\r\nX: y\r\ncookie: b=0; c=2", "1|2|" },
        { "Cookie:\r\nCookie: c=2", "2|" },
        { "Cookie: c = 1 ; a", "1|" },
        { "Cookie: c=\"a b\"; c=\"; c=\"\"", "a b|\"||" },
        { "Cookie: c=a=b; C=2; c", "a=b|" },
        { "Cookie: c=; a", "|" },
        { "Cookie: ;;;=;c=x;", "x|" },
        { "Cookie: a=\"; c=1", "1|" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_STR(values(rows[i].lines), rows[i].want);
}

static const char *put(const struct http_set_cookie *cookie)
{
    static char text[256];
    char memory[200];
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    http_put_set_cookie(&out, cookie);
    snprintf(text, sizeof(text), "%.*s%s", (int)out.size, out.data, out.is_full ? "|full" : "");
    return text;
}

TEST(writing)
{
    struct http_set_cookie cookie = { .name = SPAN("sarsen"), .value = SPAN("1.a/b") };
    CHECK_STR(put(&cookie), "sarsen=1.a/b");
    cookie.path = SPAN("/");
    cookie.has_max_age = true;
    cookie.max_age = 3600;
    cookie.is_secure = cookie.is_http_only = true;
    cookie.same_site = HTTP_SAME_SITE_LAX;
    CHECK_STR(put(&cookie), "sarsen=1.a/b; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax");
    cookie = (struct http_set_cookie){ .name = SPAN("c"), .has_max_age = true };
    CHECK_STR(put(&cookie), "c=; Max-Age=0");
}

TEST(nothing_gets_out_of_a_value)
{
    static const struct http_set_cookie cookies[] = {
        { .name = SPAN("a"), .value = SPAN("b; Domain=x") },
        { .name = SPAN("a"), .value = SPAN("b\r\nX: y") },
        { .name = SPAN("a"), .value = SPAN("b\xc3\xa9") },
        { .name = SPAN("a"), .value = SPAN("b,c") },
        { .name = SPAN("a"), .value = SPAN("b\"") },
        { .name = SPAN("a=b"), .value = SPAN("c") },
        { .name = SPAN(""), .value = SPAN("c") },
        { .name = SPAN("a"), .value = SPAN("b"), .path = SPAN("/; Domain=x") },
    };
    for (size_t i = 0; i < sizeof(cookies) / sizeof(cookies[0]); i++)
        CHECK_STR(put(&cookies[i]), "|full");
}
