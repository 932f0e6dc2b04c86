/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "codec/http1.h"

static const struct http1_limits wide = { .head = 32768, .line = 8192 };

/* "more", "400 text", or the fields that are left as "name=value;", then "+<bytes left over>". The
 * input is parsed in a block of its own size. */
static const char *read_trailers(struct span bytes, const struct http1_limits *limits)
{
    static char text[1024];
    static struct http_head head;
    struct http1_error error;
    char *block = malloc(bytes.size ? bytes.size : 1);
    if (bytes.size)
        memcpy(block, bytes.data, bytes.size);
    memset(&head, 0xa5, sizeof(head));

    int answer = http1_parse_trailers((struct span){ block, bytes.size }, limits, &head, &error);
    if (answer == HTTP1_MORE) {
        snprintf(text, sizeof(text), "more");
    } else if (answer == HTTP1_BAD) {
        snprintf(text, sizeof(text), "%u %s", error.status, error.text);
    } else {
        size_t n = 0;
        for (unsigned i = 0; i < head.n_fields; i++) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s;",
                                  SPAN_ARG(head.fields[i].name), SPAN_ARG(head.fields[i].value));
            if (head.fields[i].id != HTTP_OTHER)
                CHECK_INT(head.by_name[head.fields[i].id], i + 1);
        }
        snprintf(text + n, sizeof(text) - n, "+%zu", bytes.size - head.size);
    }
    free(block);
    return text;
}

TEST(sections)
{
    static const struct {
        struct span bytes;
        const char *want;
    } rows[] = {
        { SPAN("\r\n"), "+0" },
        { SPAN("\r\nGET"), "+3" },
        { SPAN("Digest: a\r\nb:\r\n\r\nx"), "Digest=a;b=;+1" },
        { SPAN("grpc-status: 0\r\nServer-Timing:  a;dur=1 \r\n\r\n"),
          "grpc-status=0;Server-Timing=a;dur=1;+0" },
        { SPAN("x: 1\r\nETag: \"1\"\r\n\r\n"), "x=1;ETag=\"1\";+0" },
        { SPAN(" a: b\r\n\r\n"), "400 a field line starts with white space" },
        { SPAN("a : b\r\n\r\n"), "400 white space stands before a colon" },
        { SPAN("a: b\n\r\n"), "400 a line ends without CR" },
        { SPAN("a: b\rc\r\n\r\n"), "400 a CR stands alone" },
        { SPAN("a\r\n\r\n"), "400 a field line has no colon" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_STR(read_trailers(rows[i].bytes, &wide), rows[i].want);
        /* Every shorter beginning wants more, or is refused for the same reason. */
        const char *rest = strchr(rows[i].want, '+');
        size_t size = rest ? rows[i].bytes.size - (size_t)atoi(rest) : rows[i].bytes.size;
        while (size-- > 0) {
            const char *text = read_trailers(span_first(rows[i].bytes, size), &wide);
            CHECK(strcmp(text, "more") == 0 || (!rest && strcmp(text, rows[i].want) == 0));
        }
    }
}

TEST(limits_hold_for_trailers)
{
    const struct http1_limits few = { .head = 24, .line = 12 };
    CHECK_STR(read_trailers(SPAN("a: 2345678\r\n\r\n"), &few), "a=2345678;+0");
    CHECK_STR(read_trailers(SPAN("a: 23456789\r\n\r\n"), &few), "431 a field line is too long");
    CHECK_STR(read_trailers(SPAN("a: 2345678\r\nb: 345678\r\n\r\n"), &few),
              "431 the head is too large");
}

/* What would change how a message is read, routed or believed has no place behind its body. */
TEST(forbidden_trailers_are_left_out)
{
    static const char *const names[] = {
        "Transfer-Encoding",
        "content-length",
        "Host",
        "Cache-Control",
        "expect",
        "Max-Forwards",
        "pragma",
        "RANGE",
        "TE",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Range",
        "If-Unmodified-Since",
        "authorization",
        "WWW-Authenticate",
        "cookie",
        "Set-Cookie",
        "Proxy-Authorize",
        "Authentication-Info",
        "age",
        "date",
        "expires",
        "Location",
        "Retry-After",
        "Vary",
        "warning",
        "Content-Encoding",
        "Content-Foo",
        "content-type",
        "Trailer",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Sarsen-Customer",
        "sarsen-anything",
        "Sarsen_Customer",
        "Content_Length",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Any",
        "X-Real-IP",
        "Via",
        "baggage",
        "traceparent",
        "X-Request-Id",
        "Proxy-Anything",
        "Server",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[128];
        int size = snprintf(text, sizeof(text), "a: 1\r\n%s: x\r\nEtag: 2\r\n\r\n", names[i]);
        CHECK_STR(read_trailers((struct span){ text, (size_t)size }, &wide), "a=1;Etag=2;+0");
    }
}
