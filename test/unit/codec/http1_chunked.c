/* SPDX-License-Identifier: Apache-2.0 */

#include "base/buf.h"
#include "check.h"
#include "codec/http1.h"

/* Decodes in steps of `step` bytes, each in a block of its own. Writes the verdict: the body, "~" and
 * the trailer section if there is one, then "|end+<bytes left over>", "|more" or "|bad@<offset>". */
static const char *decode(struct span bytes, size_t step, char *text, size_t size)
{
    struct http1_chunked chunked = { 0 };
    size_t used = 0, n = 0;
    bool is_in_trailers = false;
    while (used < bytes.size) {
        struct span part = span_first(span_from(bytes, used), step);
        char *block = malloc(part.size);
        memcpy(block, part.data, part.size);
        struct span rest = { block, part.size }, data = SPAN_NULL;
        int answer;
        while ((answer = http1_chunked_decode(&chunked, &rest, &data)) == HTTP1_CHUNK_DATA ||
               answer == HTTP1_CHUNK_TRAILER) {
            CHECK(data.size > 0 && n + data.size < size - 16);
            if (answer == HTTP1_CHUNK_TRAILER && !is_in_trailers)
                text[n++] = '~';
            is_in_trailers = answer == HTTP1_CHUNK_TRAILER;
            memcpy(text + n, data.data, data.size);
            n += data.size;
        }
        used += part.size - rest.size;
        free(block);
        if (answer == HTTP1_CHUNK_MORE)
            continue;
        if (answer == HTTP1_CHUNK_END) {
            snprintf(text + n, size - n, "|end+%zu", bytes.size - used);
        } else {
            snprintf(text + n, size - n, "|bad@%zu", used);
        }
        /* The answer stays. */
        CHECK_INT(http1_chunked_decode(&chunked, &rest, &data), answer);
        return text;
    }
    snprintf(text + n, size - n, "|more");
    return text;
}

TEST(bodies)
{
    static const struct {
        struct span bytes;
        const char *want;
    } rows[] = {
        { SPAN("0\r\n\r\n"), "|end+0" },
        { SPAN("3\r\nabc\r\n0\r\n\r\nGET"), "abc|end+3" },
        { SPAN("A\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\n\r\n"),
          "01234567890123456789|end+0" },
        { SPAN("1;a=b;c=\"d;\\\"\"\r\nx\r\n0;\r\n\r\n"), "x|end+0" },
        { SPAN("1 \t;a\r\nx\r\n0\r\n\r\n"), "x|end+0" },
        { SPAN("0\r\nA: b\r\nc:\r\n\r\nx"), "~A: b\r\nc:\r\n\r\n|end+1" },
        { SPAN("1\r\n:\r\n0;x\r\nETag: \"1\"\r\n\r\n"), ":~ETag: \"1\"\r\n\r\n|end+0" },
        { SPAN("\r\n"), "|bad@0" },
        { SPAN(";a\r\n"), "|bad@0" },
        { SPAN("g\r\n"), "|bad@0" },
        { SPAN("0x1\r\nx\r\n"), "|bad@1" },
        { SPAN("+1\r\nx\r\n"), "|bad@0" },
        { SPAN("-1\r\nx\r\n"), "|bad@0" },
        { SPAN(" 1\r\nx\r\n"), "|bad@0" },
        { SPAN("1 \r\nx\r\n"), "|bad@2" },
        { SPAN("1\nx\r\n"), "|bad@1" },
        { SPAN("1\rx\r\n"), "|bad@2" },
        { SPAN("1;a\nx\r\n"), "|bad@3" },
        { SPAN("1;a\0\r\nx\r\n"), "|bad@3" },
        { SPAN("1;a\rb\r\nx\r\n"), "|bad@4" },
        { SPAN("1\r\nxy\r\n"), "x|bad@4" },
        { SPAN("1\r\nx\n0\r\n\r\n"), "x|bad@4" },
        { SPAN("1\r\nx\r0\r\n\r\n"), "x|bad@5" },
        { SPAN("2\r\nx\r\n0\r\n\r\n"), "x\r|bad@5" },
        { SPAN("8000000000000000\r\nx"), "|bad@15" },
        { SPAN("ffffffffffffffff1\r\nx"), "|bad@15" },
        { SPAN("100000000000000000\r\nx"), "|bad@16" },
        { SPAN("7fffffffffffffff\r\nx"), "x|more" },
        { SPAN("0\r\n: b\r\n\r\n"), "|bad@3" },
        { SPAN("0\r\n a: b\r\n\r\n"), "|bad@3" },
        { SPAN("0\r\na : b\r\n\r\n"), "~a|bad@4" },
        { SPAN("0\r\na: b\r\n c\r\n\r\n"), "~a: b\r\n|bad@9" },
        { SPAN("0\r\na\r\n\r\n"), "~a|bad@4" },
        { SPAN("0\r\na: b\n\r\n"), "~a: b|bad@7" },
        { SPAN("0\r\na: b\rc\r\n\r\n"), "~a: b\r|bad@8" },
        { SPAN("0\r\na: b\r\n\rx"), "~a: b\r\n\r|bad@10" },
        { SPAN("0\r\na: \0\r\n\r\n"), "~a: |bad@6" },
        { SPAN("0\r\n\n"), "|bad@3" },
        { SPAN("0\r\n\rx"), "|bad@4" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        for (size_t step = 1; step <= rows[i].bytes.size; step++)
            CHECK_STR(decode(rows[i].bytes, step, text, sizeof(text)), rows[i].want);
        /* Every shorter beginning of a good body wants more. */
        const char *end = strstr(rows[i].want, "|end+");
        size_t body = end ? rows[i].bytes.size - (size_t)atoi(end + 5) : 0;
        for (size_t size = 1; size < body; size++) {
            decode(span_first(rows[i].bytes, size), size, text, sizeof(text));
            CHECK(strstr(text, "|more"));
        }
    }
}

static int feed(struct http1_chunked *chunked, const char *piece)
{
    struct span bytes = span_of(piece), data;
    int answer;
    while ((answer = http1_chunked_decode(chunked, &bytes, &data)) == HTTP1_CHUNK_DATA ||
           answer == HTTP1_CHUNK_TRAILER)
        ;
    return answer;
}

static char *repeat(const char *unit, size_t n)
{
    struct buf text = { .limit = 0 };
    for (size_t i = 0; i < n; i++)
        buf_puts(&text, unit);
    return buf_take_text(&text);
}

TEST(overhead_is_bounded)
{
    static const char *const heads[] = { "", "1;", "1", "0\r\na:", "0\r\n", "1 " };
    static const char *const units[] = { "0", "x", " ", "y", "a:\r\n", "\t" };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct http1_chunked chunked = { 0 };
        char *few = repeat(units[i], 4000), *many = repeat(units[i], 20000);
        CHECK_INT(feed(&chunked, heads[i]), HTTP1_CHUNK_MORE);
        CHECK_INT(feed(&chunked, few), HTTP1_CHUNK_MORE);
        CHECK_INT(feed(&chunked, many), HTTP1_CHUNK_BAD);
        free(few);
        free(many);
    }
}

/* A signature with each chunk of a large body is legal for ever; a body of extensions is not. */
TEST(data_pays_for_extensions)
{
    struct http1_chunked chunked = { 0 };
    char *data = repeat("x", 0x100);
    for (int i = 0; i < 10000; i++) {
        CHECK_INT(feed(&chunked, "100;chunk-signature=0123456789abcdef0123456789abcdef\r\n"),
                  HTTP1_CHUNK_MORE);
        CHECK_INT(feed(&chunked, data), HTTP1_CHUNK_MORE);
        CHECK_INT(feed(&chunked, "\r\n"), HTTP1_CHUNK_MORE);
    }
    int answer = HTTP1_CHUNK_MORE;
    for (int i = 0; i < 10000 && answer == HTTP1_CHUNK_MORE; i++)
        answer = feed(&chunked, "1;chunk-signature=0123456789abcdef\r\nx\r\n");
    CHECK_INT(answer, HTTP1_CHUNK_BAD);
    free(data);
}
