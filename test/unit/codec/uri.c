/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/uri.h"
#include "check.h"

/* The canonical path, or the reason against it. The input and the memory are blocks of exactly
 * their size. */
static const char *normalise(struct span text)
{
    static char result[256];
    char *input = malloc(text.size + 1), *memory = malloc(text.size + 1);
    memcpy(input, text.data, text.size);
    struct span path, query;
    const char *reason;
    int r =
        uri_normalise((struct span){ input, text.size }, memory, text.size, &path, &query, &reason);
    if (r == URI_BAD) {
        snprintf(result, sizeof(result), "%s", reason);
    } else {
        snprintf(result, sizeof(result), "%.*s%s%.*s", SPAN_ARG(path), query.data ? "?" : "",
                 SPAN_ARG(query));
    }
    free(input);
    free(memory);
    return result;
}

#define ESCAPED_SLASH "the path holds an escaped slash or backslash"
#define ESCAPED_CONTROL "the path holds an escaped control byte"
#define MALFORMED "the path holds a malformed escape"
#define NO_UTF8 "the path holds escapes that are no UTF-8"
#define FORBIDDEN "the path holds a forbidden byte"
#define ROOT "the path leaves the root"
#define PARAMETER "the path holds a parameter"
#define NO_SLASH "the path does not start with a slash"

TEST(paths)
{
    static const struct {
        struct span text;
        const char *want;
    } rows[] = {
        { SPAN("/"), "/" },
        { SPAN("/a/b-c_d.e~f/"), "/a/b-c_d.e~f/" },
        { SPAN("/!$&'()*+,=:@"), "/!$&'()*+,=:@" },
        { SPAN("/%41%7a%30%2D%2e%5F%7E"), "/Az0-._~" },
        { SPAN("/%3a%3B%2c%20%25"), "/%3A%3B%2C%20%25" },
        { SPAN("/%252e%252e/x"), "/%252e%252e/x" },
        { SPAN("//"), "/" },
        { SPAN("//admin"), "/admin" },
        { SPAN("/a///b//"), "/a/b/" },
        { SPAN("/."), "/" },
        { SPAN("/./"), "/" },
        { SPAN("/a/."), "/a/" },
        { SPAN("/a/./b"), "/a/b" },
        { SPAN("/a/.."), "/" },
        { SPAN("/a/../"), "/" },
        { SPAN("/a/b/.."), "/a/" },
        { SPAN("/a/b/../../c"), "/c" },
        { SPAN("/a//../b"), "/b" },
        { SPAN("/a/%2e%2E/b"), "/b" },
        { SPAN("/a/.%2e/b"), "/b" },
        { SPAN("/a/%2e/b"), "/a/b" },
        { SPAN("/..."), "/..." },
        { SPAN("/.a/..b/c../d./"), "/.a/..b/c../d./" },
        { SPAN("/.well-known/x"), "/.well-known/x" },
        { SPAN("/0123456789abcde/../0123456789abcdef"), "/0123456789abcdef" },
        { SPAN("/0123456789abcdef//0123456789abcdef"), "/0123456789abcdef/0123456789abcdef" },
        { SPAN("/0123456789abcd//0123456789abcdef"), "/0123456789abcd/0123456789abcdef" },
        { SPAN("/0123456789abc/./0123456789abcdef"), "/0123456789abc/0123456789abcdef" },
        { SPAN("/%C3%a9%e2%82%ac%F0%9F%98%80"), "/%C3%A9%E2%82%AC%F0%9F%98%80" },
        { SPAN("/.."), ROOT },
        { SPAN("/../a"), ROOT },
        { SPAN("/a/../../b"), ROOT },
        { SPAN("/a/%2e%2e/%2e%2e"), ROOT },
        { SPAN("//../a"), ROOT },
        { SPAN("/%2f"), ESCAPED_SLASH },
        { SPAN("/%2F.."), ESCAPED_SLASH },
        { SPAN("/%5c"), ESCAPED_SLASH },
        { SPAN("/%5C"), ESCAPED_SLASH },
        { SPAN("/%00"), ESCAPED_CONTROL },
        { SPAN("/%0d%0a"), ESCAPED_CONTROL },
        { SPAN("/%7f"), ESCAPED_CONTROL },
        { SPAN("/\\a"), FORBIDDEN },
        { SPAN("/a#b"), FORBIDDEN },
        { SPAN("/a b"), FORBIDDEN },
        { SPAN("/a\tb"), FORBIDDEN },
        { SPAN("/a\0b"), FORBIDDEN },
        { SPAN("/a\x7f"), FORBIDDEN },
        { SPAN("/\xc3\xa9"), FORBIDDEN },
        { SPAN("/0123456789abcdef0123\xc3\xa9"), FORBIDDEN },
        { SPAN("/a[b]"), FORBIDDEN },
        { SPAN("/a|b"), FORBIDDEN },
        { SPAN("/a\"b"), FORBIDDEN },
        { SPAN("/a;b"), PARAMETER },
        { SPAN("/a/..;/b"), PARAMETER },
        { SPAN("/%"), MALFORMED },
        { SPAN("/%4"), MALFORMED },
        { SPAN("/%4/"), MALFORMED },
        { SPAN("/%4g"), MALFORMED },
        { SPAN("/%%41"), MALFORMED },
        { SPAN("/%u0041"), MALFORMED },
        { SPAN("/%c0%af"), NO_UTF8 },
        { SPAN("/%c1%81"), NO_UTF8 },
        { SPAN("/%e0%80%af"), NO_UTF8 },
        { SPAN("/%f0%80%80%af"), NO_UTF8 },
        { SPAN("/%ed%a0%80"), NO_UTF8 },
        { SPAN("/%f4%90%80%80"), NO_UTF8 },
        { SPAN("/%f5"), NO_UTF8 },
        { SPAN("/%ff"), NO_UTF8 },
        { SPAN("/%80"), NO_UTF8 },
        { SPAN("/%c3"), NO_UTF8 },
        { SPAN("/%c3/%a9"), NO_UTF8 },
        { SPAN("/%c3a"), NO_UTF8 },
        { SPAN("/%c3%41"), NO_UTF8 },
        { SPAN("/%e2%82"), NO_UTF8 },
        { SPAN(""), NO_SLASH },
        { SPAN("a"), NO_SLASH },
        { SPAN("*"), NO_SLASH },
        { SPAN("?a"), NO_SLASH },
        { SPAN("%2fa"), NO_SLASH },
        { SPAN("/a?"), "/a?" },
        { SPAN("/a?b=%zz&c=/../;\\[]{}|\"<>^`?"), "/a?b=%zz&c=/../;\\[]{}|\"<>^`?" },
        { SPAN("/a/../b?c"), "/b?c" },
        { SPAN("/a?b#c"), "the query holds a forbidden byte" },
        { SPAN("/a?b c"), "the query holds a forbidden byte" },
        { SPAN("/a?b\xc3\xa9"), "the query holds a forbidden byte" },
        { SPAN("/a?0123456789abcdef0123456789\n"), "the query holds a forbidden byte" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_STR(normalise(rows[i].text), rows[i].want);
        /* Idempotent: what came out goes through unchanged. */
        if (rows[i].want[0] == '/')
            CHECK_STR(normalise(span_of(rows[i].want)), rows[i].want);
    }
}

TEST(canonical_paths_are_not_copied)
{
    static const char *const texts[] = {
        "/",           "/a/b",   "/.well-known/x",
        "/a,b/%C3%A9", "/a/...", "/0123456789abcdef/0123456789abcdef?q"
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char memory[64];
        struct span path, query;
        const char *reason;
        CHECK_INT(uri_normalise(span_of(texts[i]), memory, sizeof(memory), &path, &query, &reason),
                  URI_OK);
        CHECK(path.data == texts[i]);
    }
}

TEST(memory_is_bounded)
{
    char memory[4];
    struct span path, query;
    const char *reason;
    CHECK_INT(uri_normalise(SPAN("/a/.."), memory, 4, &path, &query, &reason), URI_FULL);
    CHECK_INT(uri_normalise(SPAN("/a/b"), NULL, 0, &path, &query, &reason), URI_OK);
    CHECK_INT(uri_normalise(SPAN("/a/.?a=b"), memory, 4, &path, &query, &reason), URI_OK);
}

TEST(decode)
{
    static const struct {
        struct span text;
        const char *want; /* NULL: refused */
    } rows[] = {
        { SPAN(""), "" },
        { SPAN("a+b"), "a+b" },
        { SPAN("%41%2f%c3%A9%ff"), "A/\xc3\xa9\xff" },
        { SPAN("%"), NULL },
        { SPAN("%4"), NULL },
        { SPAN("%4x"), NULL },
        { SPAN("a%00"), NULL },
        { SPAN("a\0b"), NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char memory[64];
        struct span decoded;
        int r = uri_decode(rows[i].text, memory, &decoded);
        CHECK_INT(r, rows[i].want ? URI_OK : URI_BAD);
        if (rows[i].want)
            CHECK(span_is(decoded, rows[i].want));
    }
}

TEST(query_values)
{
    struct span query = SPAN("a=1&&ab=2&a=3&b&c=&d=x=y&=z");
    CHECK(span_is(uri_query_value(query, SPAN("a")), "1"));
    CHECK(span_is(uri_query_value(query, SPAN("ab")), "2"));
    CHECK(span_is(uri_query_value(query, SPAN("d")), "x=y"));
    CHECK(uri_query_value(query, SPAN("b")).data && !uri_query_value(query, SPAN("b")).size);
    CHECK(uri_query_value(query, SPAN("c")).data && !uri_query_value(query, SPAN("c")).size);
    CHECK(!uri_query_value(query, SPAN("e")).data);
    CHECK(!uri_query_value(query, SPAN("A")).data);
    CHECK(!uri_query_value(SPAN_NULL, SPAN("a")).data);
}
