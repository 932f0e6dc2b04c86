/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "http/http2/fields.h"

#define MAX_FIELDS 12

struct pair {
    const char *name, *value;
};

static struct spares spares;
static const struct http2_in_limits limits = { .size = 2048, .fields = 8 };

/* The section's fields, up to the first without a name; its text, NUL-terminated, or "" when it is
 * refused. */
static const char *read_fields(enum http2_section section, const struct pair *pairs,
                               int *ret_answer)
{
    static char text[4096];
    struct http2_in in = { 0 };
    struct span bytes = SPAN_NULL;
    http2_in_begin(&in, &spares, section);
    for (int i = 0; i < MAX_FIELDS && pairs[i].name; i++)
        http2_in_add(&in, &spares, &limits, span_of(pairs[i].name), span_of(pairs[i].value));
    *ret_answer = http2_in_end(&in, &spares, &bytes);
    CHECK(bytes.size < sizeof(text));
    if (bytes.size)
        memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = '\0';
    http2_in_clear(&in, &spares);
    spares_fini(&spares);
    return text;
}

TEST(a_request_is_written_as_a_head_of_http_1)
{
    static const struct {
        struct pair pairs[MAX_FIELDS];
        const char *text;
    } cases[] = {
        { { { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/" }, { ":authority", "a" } },
          "GET / HTTP/1.1\r\nhost: a\r\n\r\n" },
        { { { ":authority", "a:80" },
            { ":path", "/x?y" },
            { ":scheme", "https" },
            { ":method", "POST" },
            { "te", "trailers" },
            { "host", "A:80" },
            { "accept", "" } },
          "POST /x?y HTTP/1.1\r\nhost: a:80\r\nte: trailers\r\naccept: \r\n\r\n" },
        { { { ":method", "GET" },
            { ":scheme", "http" },
            { ":path", "/" },
            { "x", "1" },
            { "host", "b" } },
          "GET / HTTP/1.1\r\nx: 1\r\nhost: b\r\n\r\n" },
        { { { ":method", "OPTIONS" },
            { ":scheme", "http" },
            { ":path", "*" },
            { ":authority", "a" } },
          "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n" },
        { { { ":method", "CONNECT" }, { ":authority", "a:443" } },
          "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n" },
        { { { ":method", "CONNECT" },
            { ":protocol", "websocket" },
            { ":scheme", "https" },
            { ":path", "/chat" },
            { ":authority", "a" },
            { "origin", "b" } },
          "GET /chat HTTP/1.1\r\nhost: a\r\norigin: b\r\n\r\n" },
        { { { ":method", "GET" },
            { ":scheme", "http" },
            { ":path", "/" },
            { ":authority", "a" },
            { "cookie", "a=1" },
            { "x", "y" },
            { "cookie", "b=2" },
            { "cookie", "c" } },
          "GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1; b=2; c\r\nx: y\r\n\r\n" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int answer;
        const char *text = read_fields(HTTP2_REQUEST, cases[i].pairs, &answer);
        CHECK_INT(answer, HTTP2_IN_OK);
        CHECK_STR(text, cases[i].text);
    }
}

/* A whole request but for one field that is put in at place 4, or in the place of another. */
TEST(what_a_head_of_http_1_cannot_say_is_refused)
{
    static const struct {
        struct pair instead[4], more;
    } cases[] = {
        { .more = { "transfer-encoding", "chunked" } },
        { .more = { "connection", "close" } },
        { .more = { "keep-alive", "1" } },
        { .more = { "proxy-connection", "close" } },
        { .more = { "upgrade", "h2c" } },
        { .more = { "te", "gzip" } },
        { .more = { "te", "trailers, gzip" } },
        { .more = { "a", "b\r\nc: d" } },
        { .more = { "a", "b\nc" } },
        { .more = { "a\r\nb", "c" } },
        { .more = { "A", "b" } },
        { .more = { "aB", "b" } },
        { .more = { "a:b", "c" } },
        { .more = { "a b", "c" } },
        { .more = { "", "c" } },
        { .more = { "a", " b" } },
        { .more = { "a", "b\t" } },
        { .more = { "host", "other" } },
        { .more = { ":unknown", "a" } },
        { .more = { ":method", "GET" } },
        { .more = { ":status", "200" } },
        { .more = { ":protocol", "websocket" } },
        { .instead = { { ":path", "" } } },
        { .instead = { { ":path", "a" } } },
        { .instead = { { ":path", "/ HTTP/1.1\r\na: b" } } },
        { .instead = { { ":path", "/ b" } } },
        { .instead = { { ":path", "/\tb" } } },
        { .instead = { { ":path", "/#b" } } },
        { .instead = { [1] = { ":method", "GET /" } } },
        { .instead = { [1] = { ":method", "" } } },
        { .instead = { [1] = { ":method", "CONNECT" } } },
        { .instead = { [2] = { ":scheme", "ftp" } } },
        { .instead = { [3] = { ":authority", "a b" } } },
        { .instead = { [3] = { ":authority", "a\r\nb: c" } } },
        { .instead = { [3] = { ":authority", "" } } },
        { .instead = { [2] = { "accept", "late" } } },
    };
    static const struct pair whole[4] = {
        { ":path", "/" }, { ":method", "GET" }, { ":scheme", "http" }, { ":authority", "a" }
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair pairs[MAX_FIELDS] = { 0 };
        int answer;
        for (int j = 0; j < 4; j++)
            pairs[j] = cases[i].instead[j].name ? cases[i].instead[j] : whole[j];
        pairs[4] = cases[i].more;
        read_fields(HTTP2_REQUEST, pairs, &answer);
        if (answer != HTTP2_IN_MALFORMED)
            printf("# case %zu\n", i);
        CHECK_INT(answer, HTTP2_IN_MALFORMED);
    }
}

TEST(nul_has_no_place_in_a_field)
{
    struct http2_in in = { 0 };
    struct span text;
    http2_in_begin(&in, &spares, HTTP2_TRAILERS);
    http2_in_add(&in, &spares, &limits, SPAN("a"), (struct span){ "b\0c", 3 });
    CHECK_INT(http2_in_end(&in, &spares, &text), HTTP2_IN_MALFORMED);
    http2_in_clear(&in, &spares);
    spares_fini(&spares);
}

TEST(a_response_has_a_status_and_nothing_of_a_request)
{
    static const struct {
        struct pair pairs[MAX_FIELDS];
        const char *text;
    } cases[] = {
        { { { ":status", "200" }, { "a", "b" }, { "set-cookie", "c" }, { "set-cookie", "d" } },
          "HTTP/1.1 200 OK\r\na: b\r\nset-cookie: c\r\nset-cookie: d\r\n\r\n" },
        { { { ":status", "404" } }, "HTTP/1.1 404 Not Found\r\n\r\n" },
        { { { ":status", "599" } }, "HTTP/1.1 599 \r\n\r\n" },
        { { { "a", "b" } }, NULL },
        { { { ":status", "99" } }, NULL },
        { { { ":status", "099" } }, NULL },
        { { { ":status", "20a" } }, NULL },
        { { { ":status", "600" } }, NULL },
        { { { ":status", "200" }, { ":status", "200" } }, NULL },
        { { { ":status", "200" }, { ":path", "/" } }, NULL },
        { { { "a", "b" }, { ":status", "200" } }, NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int answer;
        const char *text = read_fields(HTTP2_RESPONSE, cases[i].pairs, &answer);
        CHECK_INT(answer, cases[i].text ? HTTP2_IN_OK : HTTP2_IN_MALFORMED);
        CHECK_STR(text, cases[i].text ? cases[i].text : "");
    }
}

TEST(trailers_have_no_pseudo_field)
{
    static const struct pair good[MAX_FIELDS] = { { "grpc-status", "0" }, { "x-bin", "AA==" } };
    static const struct pair bad[MAX_FIELDS] = { { ":path", "/" } };
    int answer;
    CHECK_STR(read_fields(HTTP2_TRAILERS, good, &answer), "grpc-status: 0\r\nx-bin: AA==\r\n\r\n");
    CHECK_INT(answer, HTTP2_IN_OK);
    read_fields(HTTP2_TRAILERS, bad, &answer);
    CHECK_INT(answer, HTTP2_IN_MALFORMED);
}

TEST(pieces_of_a_cookie_and_overhead_count_towards_the_limits)
{
    struct http2_in in = { 0 };
    struct span text;
    for (unsigned n = 8; n <= 9; n++) {
        http2_in_begin(&in, &spares, HTTP2_TRAILERS);
        for (unsigned i = 0; i < n; i++)
            http2_in_add(&in, &spares, &limits, SPAN("cookie"), SPAN("a"));
        CHECK_INT(http2_in_end(&in, &spares, &text), n > 8 ? HTTP2_IN_TOO_LARGE : HTTP2_IN_OK);
    }
    static char value[2048];
    memset(value, 'a', sizeof(value));
    for (size_t size = 2048 - 33; size <= 2048 - 32; size++) {
        http2_in_begin(&in, &spares, HTTP2_TRAILERS);
        http2_in_add(&in, &spares, &limits, SPAN("b"), (struct span){ value, size });
        CHECK_INT(http2_in_end(&in, &spares, &text),
                  size > 2048 - 33 ? HTTP2_IN_TOO_LARGE : HTTP2_IN_OK);
    }
    http2_in_clear(&in, &spares);
    spares_fini(&spares);
}

/* One connection. */
static struct hpack_encoder encoder;
static struct hpack_decoder decoder;
static size_t shown_size; /* of the block that was shown last */

static void begin(struct http2_out *out)
{
    if (!decoder.known) {
        hpack_encoder_init(&encoder, 4096);
        hpack_decoder_init(&decoder, 4096);
    }
    http2_out_begin(out, &encoder);
}

/* What a peer decodes: "name=value" of each, with "!" behind those that are never indexed. */
static const char *show(const struct http2_out *out)
{
    static char text[4096];
    char block[16384];
    struct hpack_field field;
    size_t size = 0;
    CHECK(http2_out_bound(out) <= sizeof(block));
    const char *end = http2_out_encode(out, &encoder, block);
    struct span bytes = { block, (size_t)(end - block) };
    shown_size = bytes.size;
    CHECK(bytes.size <= http2_out_bound(out));
    text[0] = '\0';
    while (hpack_next(&decoder, &bytes, &field) == HPACK_FIELD)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s=%.*s%s", size ? " " : "",
                                 (int)field.name.size, field.name.data, (int)field.value.size,
                                 field.value.data, field.is_never_indexed ? "!" : "");
    CHECK_INT(bytes.size, 0);
    return text;
}

TEST(a_request_goes_out_with_host_as_authority)
{
    static struct http2_out out;
    begin(&out);
    struct http_out_field fields[] = { { SPAN("HOST"), SPAN("a") },
                                       { SPAN("Connection"), SPAN("x") } };
    struct http_message request = {
        .method = SPAN("GET"),
        .target = SPAN("/b"),
        .lines = SPAN("accept: c\r\nauthorization: d\r\ncookie: e=f; g\r\nte: trailers\r\n"),
        .fields = fields,
        .n_fields = 2,
    };
    CHECK(http2_put_request(&out, &request, false));
    CHECK_STR(show(&out),
              ":method=GET :scheme=http :path=/b :authority=a accept=c "
              "authorization=d! cookie=e=f; g! te=trailers");

    begin(&out);
    request.upgrade = SPAN("websocket");
    request.lines = SPAN("X-Y: z\r\nkeep-alive: 1\r\n");
    CHECK(http2_put_request(&out, &request, true));
    CHECK_STR(show(&out),
              ":method=CONNECT :protocol=websocket :scheme=https :path=/b "
              ":authority=a x-y=z");
}

TEST(nothing_illegal_goes_out)
{
    static struct http2_out out;
    begin(&out);
    const struct http_out_field host = { SPAN("host"), SPAN("a") };
    const struct {
        struct span method, target, lines;
        struct http_out_field field;
    } cases[] = {
        { SPAN("GET"), SPAN("/ b"), SPAN(""), host },
        { SPAN("GET"), SPAN("/\r\nb: c"), SPAN(""), host },
        { SPAN("GET"), SPAN("/#"), SPAN(""), host },
        { SPAN("GET"), SPAN("b"), SPAN(""), host },
        { SPAN("GET"), SPAN("*"), SPAN(""), host },
        { SPAN("GET"), SPAN(""), SPAN(""), host },
        { SPAN("G T"), SPAN("/"), SPAN(""), host },
        { SPAN("GET"), SPAN("/"), SPAN("a\r\n"), host },
        { SPAN("GET"), SPAN("/"), SPAN("a: b\n\r\n"), host },
        { SPAN("GET"), SPAN("/"), SPAN(": b\r\n"), host },
        { SPAN("GET"), SPAN("/"), SPAN(":path: b\r\n"), host },
        { SPAN("GET"), SPAN("/"), SPAN("host: b\r\n"), host },
        { SPAN("GET"), SPAN("/"), SPAN(""), { SPAN("host"), SPAN("a\r\nb: c") } },
        { SPAN("GET"), SPAN("/"), SPAN(""), { SPAN("host"), SPAN("") } },
        { SPAN("GET"), SPAN("/"), SPAN(""), { SPAN("x"), SPAN("a") } },
        { SPAN("GET"), SPAN("/"), SPAN("host: a\r\n"), { SPAN(""), SPAN("a") } },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_message request = { .method = cases[i].method,
                                        .target = cases[i].target,
                                        .lines = cases[i].lines,
                                        .fields = &cases[i].field,
                                        .n_fields = 1 };
        begin(&out);
        CHECK(!http2_put_request(&out, &request, false));
    }
}

TEST(a_response_goes_out_with_status_and_length)
{
    static struct http2_out out;
    begin(&out);
    struct http_message response = { .lines = SPAN("server: a\r\nset-cookie: b\r\n") };
    CHECK(http2_put_status(&out, 404, &response));
    http2_put_length(&out, UINT64_MAX);
    CHECK_STR(show(&out), ":status=404 server=a set-cookie=b! content-length=18446744073709551615");
}

TEST(more_fields_than_there_is_room_for_are_refused)
{
    static struct http2_out out;
    begin(&out);
    char lines[5 * (HTTP2_OUT_MAX + 1) + 1];
    for (unsigned i = 0; i <= HTTP2_OUT_MAX; i++)
        memcpy(lines + 5 * i, "a: \r\n", 5);
    CHECK(http2_put_lines(&out, (struct span){ lines, 5 * (size_t)HTTP2_OUT_MAX }));
    begin(&out);
    CHECK(!http2_put_lines(&out, (struct span){ lines, 5 * (size_t)(HTTP2_OUT_MAX + 1) }));
}

#define LINES_FIRST "host: a.example\r\naccept: text/html, text/plain\r\nx-a: 1\r\n"
#define LINES_LAST "baggage: a=1,b=2,c=3\r\nx-b: 2345678\r\n"

TEST(lines_that_were_sent_before_take_a_byte_each)
{
    static struct http2_out out;
    struct http_message request = {
        .method = SPAN("POST"),
        .target = SPAN("/b"),
        .lines = SPAN(LINES_FIRST "traceparent: 00-1234\r\n" LINES_LAST),
    };
    static const char want[] =
        ":method=POST :scheme=https :path=/b :authority=a.example "
        "accept=text/html, text/plain x-a=1 traceparent=00-1234 "
        "baggage=a=1,b=2,c=3 x-b=2345678";
    for (int i = 0; i < 3; i++) {
        begin(&out);
        CHECK(http2_put_request(&out, &request, true));
        CHECK_STR(show(&out), want);
        CHECK(i == 0 || shown_size == 8 + 1 + 12 + 8);
    }
    /* One byte of a line is another. */
    request.lines = SPAN(LINES_FIRST "baggage: a=1,b=3,c=3\r\nx-b: 2345679\r\nx-b: 2345678\r\n");
    begin(&out);
    CHECK(http2_put_request(&out, &request, true));
    CHECK_STR(show(&out),
              ":method=POST :scheme=https :path=/b :authority=a.example "
              "accept=text/html, text/plain x-a=1 baggage=a=1,b=3,c=3 x-b=2345679 "
              "x-b=2345678");
    /* And one that is no longer a line is refused, whatever was sent before. */
    request.lines = SPAN(LINES_FIRST "baggage: a=1,b=2,c=3\r\nx-b: 234567\r");
    begin(&out);
    CHECK(!http2_put_request(&out, &request, true));
    request.lines = SPAN("host: a.example\r\n:path: /b\r\naccept: text/html, text/plain\r\n");
    begin(&out);
    CHECK(!http2_put_request(&out, &request, true));
}

/* What was found when a message was made is pushed out of the table by fields before it. */
TEST(lines_that_leave_the_table_meanwhile)
{
    static struct http2_out out;
    char lines[4096], want[4096];
    struct http_message response = { .lines = SPAN("x-first: 12345678\r\nx-second: 12345678\r\n") };
    for (int round = 0; round < 20; round++) {
        begin(&out);
        CHECK(http2_put_status(&out, 200, &response));
        CHECK_STR(show(&out), ":status=200 x-first=12345678 x-second=12345678");
        char large[1200];
        memset(large, 'a' + round, sizeof(large));
        size_t size = 0, n = 0;
        n += (size_t)snprintf(want, sizeof(want), ":status=200");
        for (int i = 0; i < 3; i++) {
            size += (size_t)snprintf(lines + size, sizeof(lines) - size, "x-%d%d: %.1100s\r\n", i,
                                     round, large);
            n += (size_t)snprintf(want + n, sizeof(want) - n, " x-%d%d=%.1100s", i, round, large);
        }
        snprintf(lines + size, sizeof(lines) - size, "x-first: 12345678\r\nx-second: 12345678\r\n");
        snprintf(want + n, sizeof(want) - n, " x-first=12345678 x-second=12345678");
        begin(&out);
        struct http_message larger = { .lines = span_of(lines) };
        CHECK(http2_put_status(&out, 200, &larger));
        CHECK_STR(show(&out), want);
    }
}
