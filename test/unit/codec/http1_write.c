/* SPDX-License-Identifier: Apache-2.0 */

#include "head.h"

static const char *text_of(const struct http1_out *out)
{
    static char text[512];
    snprintf(text, sizeof(text), "%.*s%s", (int)out->size, out->data, out->is_full ? "|full" : "");
    return text;
}

static void put_message(struct http1_out *out)
{
    http1_put_request_line(out, SPAN("POST"), SPAN("/a?b"));
    http1_put_field(out, SPAN("Host"), SPAN("h"));
    http1_put_field(out, SPAN("Empty"), SPAN_NULL);
    http1_put_field_uint(out, SPAN("Content-Length"), 18);
    http1_put_end(out);
    http1_put(out, SPAN("body"));
}

static const char message[] =
    "POST /a?b HTTP/1.1\r\nHost: h\r\nEmpty: \r\nContent-Length: 18\r\n\r\nbody";

TEST(messages)
{
    char memory[256];
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    put_message(&out);
    CHECK_STR(text_of(&out), message);
    check_request((struct span){ out.data, out.size }, "POST /a?b host h, 1.1 keep, length 18");

    out = (struct http1_out){ .data = memory, .capacity = sizeof(memory) };
    http1_put_status_line(&out, 410);
    http1_put_status_line(&out, 299);
    http1_put_chunk_head(&out, 0);
    http1_put_chunk_head(&out, 0x1f0a);
    http1_put_chunk_head(&out, UINT64_MAX);
    CHECK_STR(text_of(&out),
              "HTTP/1.1 410 Gone\r\nHTTP/1.1 299 \r\n0\r\n1f0a\r\n"
              "ffffffffffffffff\r\n");
    out.size = 0;
    http1_put_field_uint(&out, SPAN("n"), UINT64_MAX);
    http1_put_field_uint(&out, SPAN("n"), 0);
    CHECK_STR(text_of(&out), "n: 18446744073709551615\r\nn: 0\r\n");
}

/* What is forwarded by reference is what would have been written. */
TEST(parsed_fields_go_on)
{
    static const struct {
        const char *line, *want;
        bool is_canonical;
    } rows[] = {
        { "Host: h\r\n", "Host: h\r\n", true },
        { "Host: h\r\na_B: c  d\r\n", "a_B: c  d\r\n", true },
        { "Host: h\r\nX-A-Name-Longer-Than-16: c\r\n", "X-A-Name-Longer-Than-16: c\r\n", true },
        { "Host: h\r\nA: \r\n", "A: \r\n", true },
        { "Host: h\r\nA:\r\n", "A: \r\n", false },
        { "Host: h\r\nA:b\r\n", "A: b\r\n", false },
        { "Host: h\r\nA:\tb\r\n", "A: b\r\n", false },
        { "Host: h\r\nA:  b\r\n", "A: b\r\n", false },
        { "Host: h\r\nA:  \r\n", "A: \r\n", false },
        { "Host: h\r\nA: \t\r\n", "A: \r\n", false },
        { "Host: h\r\nA: b \r\n", "A: b\r\n", false },
        { "Host: h\r\nA: b\t\r\n", "A: b\r\n", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256], memory[256];
        int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", rows[i].line);
        struct verdict verdict = { 0 };
        parse((struct span){ text, (size_t)size }, NULL, &wide, &verdict);
        CHECK_INT(verdict.answer, HTTP1_OK);
        const struct http_field *field = &verdict.head.fields[verdict.head.n_fields - 1];
        struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
        http1_put_parsed(&out, field);
        CHECK_STR(text_of(&out), rows[i].want);
        CHECK_INT(field->is_canonical, rows[i].is_canonical);
        if (field->is_canonical)
            CHECK(span_is(http_field_line(field), rows[i].want));
        free(verdict.bytes);
    }
}

/* With every capacity that is too small: whole pieces up to the first that does not fit, and
 * nothing after it even where that would fit. */
TEST(too_small)
{
    const size_t ends[] = { 0, 20, 29, 38, 58, 60 };
    for (size_t capacity = 0; capacity < sizeof(message) - 1; capacity++) {
        char *memory = malloc(capacity ? capacity : 1);
        struct http1_out out = { .data = memory, .capacity = capacity };
        put_message(&out);
        CHECK(out.is_full);
        CHECK(memcmp(memory, message, out.size) == 0);
        size_t want = 0;
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
            want = ends[i] <= capacity ? ends[i] : want;
        CHECK_INT(out.size, want);
        free(memory);
    }
}

TEST(nothing_ends_a_line_from_inside)
{
    static const struct {
        struct span name, value;
    } rows[] = {
        { SPAN("X"), SPAN("a\r\nY: b") }, { SPAN("X"), SPAN("a\nb") },
        { SPAN("X"), SPAN("a\0b") },      { SPAN("X"), SPAN(" a") },
        { SPAN("X"), SPAN("a\t") },       { SPAN("X\r\nY"), SPAN("a") },
        { SPAN("X:"), SPAN("a") },        { SPAN(""), SPAN("a") },
        { SPAN("X Y"), SPAN("a") },
    };
    char memory[128];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
        http1_put_field(&out, rows[i].name, rows[i].value);
        http1_put_field(&out, SPAN("X"), SPAN("good"));
        CHECK_STR(text_of(&out), "|full");
    }
    static const struct {
        struct span method, target;
    } lines[] = {
        { SPAN("GET"), SPAN("/a b") }, { SPAN("GET"), SPAN("/\r\n") }, { SPAN("GET"), SPAN("") },
        { SPAN("G T"), SPAN("/") },    { SPAN(""), SPAN("/") },        { SPAN("GET"), SPAN("/#") },
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
        http1_put_request_line(&out, lines[i].method, lines[i].target);
        CHECK_STR(text_of(&out), "|full");
    }
}

TEST(reasons)
{
    CHECK_STR(http_status_reason(100), "Continue");
    CHECK_STR(http_status_reason(200), "OK");
    CHECK_STR(http_status_reason(511), "Network Authentication Required");
    CHECK_STR(http_status_reason(0), "");
    CHECK_STR(http_status_reason(306), "");
    CHECK_STR(http_status_reason(999), "");
    /* The table is searched by halves: it must be in order, and each entry be found. */
    unsigned n = 0;
    for (unsigned status = 0; status < 1000; status++)
        n += *http_status_reason(status) != 0;
    CHECK_INT(n, 60);
}
