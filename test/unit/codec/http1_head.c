/* SPDX-License-Identifier: Apache-2.0 */

/* The syntax of heads: start lines, field lines, limits. Every row is also split at each byte. */

#include "head.h"

struct row {
    struct span bytes;
    const char *want;
};

#define HOST "Host: h\r\n"
#define END "\r\n"

TEST(request_lines)
{
    static const struct row rows[] = {
        { SPAN("GET / HTTP/1.1\r\n" HOST END), "GET / host h, 1.1 keep, none" },
        { SPAN("\r\nGET / HTTP/1.1\r\n" HOST END), "GET / host h, 1.1 keep, none" },
        { SPAN("\r\n\r\nGET / HTTP/1.1\r\n" HOST END), "400 the method is malformed" },
        { SPAN("\nGET / HTTP/1.1\r\n" HOST END), "400 the method is malformed" },
        { SPAN("\rGET / HTTP/1.1\r\n" HOST END), "400 a CR stands alone" },
        { SPAN("get /x?y=/../z HTTP/1.0\r\n" END), "get /x?y=/../z host , 1.0 close, none" },
        { SPAN("M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\n" HOST END),
          "M-SEARCH!#$%&'*+.^_`|~ / host h, 1.1 keep, none" },
        { SPAN(" GET / HTTP/1.1\r\n" HOST END), "400 the method is malformed" },
        { SPAN("GET\t/ HTTP/1.1\r\n" HOST END), "400 the method is malformed" },
        { SPAN("G(T / HTTP/1.1\r\n" HOST END), "400 the method is malformed" },
        { SPAN("GET\r\n" HOST END), "400 the method is malformed" },
        { SPAN("\x16\x03\x01\x02\x00\x01\x00"), "400 the method is malformed" },
        { SPAN("GET  / HTTP/1.1\r\n" HOST END), "400 the request target holds a forbidden byte" },
        { SPAN("GET /a b HTTP/1.1\r\n" HOST END), "400 the HTTP version is malformed" },
        { SPAN("GET / \r\n" HOST END), "400 the HTTP version is malformed" },
        { SPAN("GET /\r\n" HOST END), "400 the request target holds a forbidden byte" },
        { SPAN("GET /#x HTTP/1.1\r\n" HOST END), "400 the request target holds a forbidden byte" },
        { SPAN("GET /\0 HTTP/1.1\r\n" HOST END), "400 the request target holds a forbidden byte" },
        { SPAN("GET /\t HTTP/1.1\r\n" HOST END), "400 the request target holds a forbidden byte" },
        { SPAN("GET /\x7f HTTP/1.1\r\n" HOST END),
          "400 the request target holds a forbidden byte" },
        { SPAN("GET /\xc3\xa9 HTTP/1.1\r\n" HOST END),
          "400 the request target holds a forbidden byte" },
        { SPAN("GET /0123456789abcdef0123456789#x HTTP/1.1\r\n" HOST END),
          "400 the request target holds a forbidden byte" },
        { SPAN("GET / HTTP/1.1 \r\n" HOST END),
          "400 the request line does not end after its version" },
        { SPAN("GET / HTTP/1.1\n" HOST END),
          "400 the request line does not end after its version" },
        { SPAN("GET / HTTP/1.1\r" HOST END), "400 a CR stands alone" },
        { SPAN("GET / http/1.1\r\n" HOST END), "400 the HTTP version is malformed" },
        { SPAN("GET / HTTP/11\r\n" HOST END), "400 the HTTP version is malformed" },
        { SPAN("GET / HTTP/1.11\r\n" HOST END),
          "400 the request line does not end after its version" },
        { SPAN("GET / HTTP/+1.1\r\n" HOST END), "400 the HTTP version is malformed" },
        { SPAN("GET / HTTP/1,1\r\n" HOST END), "400 the HTTP version is malformed" },
        { SPAN("GET / HTTP/1.2\r\n" HOST END), "505 only HTTP/1.0 and HTTP/1.1 are spoken here" },
        { SPAN("GET / HTTP/0.9\r\n" HOST END), "505 only HTTP/1.0 and HTTP/1.1 are spoken here" },
        { SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          "505 only HTTP/1.0 and HTTP/1.1 are spoken here" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_request(rows[i].bytes, rows[i].want);
}

TEST(status_lines)
{
    static const struct row rows[] = {
        { SPAN("HTTP/1.1 200 OK\r\n\r\n"), "200 OK, 1.1 close, until close" },
        { SPAN("HTTP/1.1 200 \r\n\r\n"), "200 , 1.1 close, until close" },
        { SPAN("HTTP/1.1 200\r\n\r\n"), "200 , 1.1 close, until close" },
        { SPAN("HTTP/1.0 599 Not\tso \xc3\xa9l\xc3\xa9gant, rather long\r\n\r\n"),
          "599 Not\tso \xc3\xa9l\xc3\xa9gant, rather long, 1.0 close, until close" },
        { SPAN("HTTP/1.1 20 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/1.1 2000 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/1.1 099 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/1.1 600 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/1.1 +20 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/1.1  200 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/1.1\t200 OK\r\n\r\n"), "502 the status is malformed" },
        { SPAN("HTTP/2.0 200 OK\r\n\r\n"), "502 only HTTP/1.0 and HTTP/1.1 are spoken here" },
        { SPAN("HTTPS/1.1 200 OK\r\n\r\n"), "502 the HTTP version is malformed" },
        { SPAN("ICY 200 OK\r\n\r\nxxxx"), "502 the HTTP version is malformed" },
        { SPAN("HTTP/1.1 200 O\0K\r\n\r\n"), "502 a line holds a control byte" },
        { SPAN("HTTP/1.1 200 OK\n\r\n"), "502 a line ends without CR" },
        { SPAN("HTTP/1.1 200 OK\rX\r\n\r\n"), "502 a CR stands alone" },
        { SPAN("HTTP/1.1 200 OK\r\n x: y\r\n\r\n"), "502 a field line starts with white space" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_response(rows[i].bytes, "GET", rows[i].want);
}

/* Each is put between good fields, near the front and near the end of the bytes. */
TEST(field_lines)
{
    static const struct row rows[] = {
        { SPAN("a: b\r\n"), NULL },
        { SPAN("a:b\r\n"), NULL },
        { SPAN("a:\r\n"), NULL },
        { SPAN("a: \t \r\n"), NULL },
        { SPAN("a: \"b, c\"\tand \xff\x80 the rest of a long value \t\r\n"), NULL },
        { SPAN("!#$%&'*+-.^_`|~09azAZ-and-a-very-long-name: b\r\n"), NULL },
        { SPAN(": b\r\n"), "400 a field name is empty" },
        { SPAN("a : b\r\n"), "400 white space stands before a colon" },
        { SPAN("a\t: b\r\n"), "400 white space stands before a colon" },
        { SPAN(" a: b\r\n"), "400 a field line starts with white space" },
        { SPAN("\ta: b\r\n"), "400 a field line starts with white space" },
        { SPAN("a: b\r\n c\r\n"), "400 a field line starts with white space" },
        { SPAN("a: b\r\n\tc\r\n"), "400 a field line starts with white space" },
        { SPAN("a: b\r\n \r\n"), "400 a field line starts with white space" },
        { SPAN("a\r\n"), "400 a field line has no colon" },
        { SPAN("a\n"), "400 a field line has no colon" },
        { SPAN("a b: c\r\n"), "400 white space stands before a colon" },
        { SPAN("a\0: b\r\n"), "400 a field name holds a forbidden byte" },
        { SPAN("(a): b\r\n"), "400 a field name holds a forbidden byte" },
        { SPAN("a\xc3\xa9: b\r\n"), "400 a field name holds a forbidden byte" },
        { SPAN("Content\rLength: 5\r\n"), "400 a field line has no colon" },
        { SPAN("Content-Length\x0b: 5\r\n"), "400 a field name holds a forbidden byte" },
        { SPAN("a-name-longer-than-a-vector\x7f: b\r\n"),
          "400 a field name holds a forbidden byte" },
        { SPAN("a: b\n"), "400 a line ends without CR" },
        { SPAN("a: b\nx: y\r\n"), "400 a line ends without CR" },
        { SPAN("a: b\rx: y\r\n"), "400 a CR stands alone" },
        { SPAN("a: b\r\r\n"), "400 a CR stands alone" },
        { SPAN("a: b\0c\r\n"), "400 a line holds a control byte" },
        { SPAN("a: b\x1b[2J\r\n"), "400 a line holds a control byte" },
        { SPAN("a: 0123456789abcdef0123456789\x7f\r\n"), "400 a line holds a control byte" },
        { SPAN("a: 0123456789abcdef012\t345678\x01 and more\r\n"),
          "400 a line holds a control byte" },
        { SPAN("\n"), "400 a field line has no colon" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[512];
        size_t size = 0;
        struct span parts[] = { SPAN("GET / HTTP/1.1\r\nHost: h\r\n"), rows[i].bytes,
                                SPAN("User-Agent: x\r\n\r\n") };
        for (size_t k = 0; k < 3; k++) {
            memcpy(text + size, parts[k].data, parts[k].size);
            size += parts[k].size;
        }
        const char *want = rows[i].want ? rows[i].want : "GET / host h, 1.1 keep, none";
        check_request((struct span){ text, size }, want);
        size_t tail = sizeof("User-Agent: x\r\n") - 1;
        memmove(text + size - 2 - tail, text + size - 2, 2);
        check_request((struct span){ text, size - tail }, want);
    }
}

TEST(fields_as_parsed)
{
    struct verdict verdict = { 0 };
    parse(SPAN("GET / HTTP/1.1\r\nhOsT:h\r\nX_Forwarded_For: 1\r\nx-forwarded-FOR:  2 \t\r\n"
               "Cookie: a=1\r\nEmpty:\r\ncookie: b=2\r\n\r\nnext"),
          NULL, &wide, &verdict);
    const struct http_head *head = &verdict.head;
    CHECK_INT(verdict.answer, HTTP1_OK);
    CHECK_INT(head->n_fields, 6);
    CHECK_INT(head->fields[0].id, HTTP_HOST);
    CHECK(span_is(head->fields[0].name, "hOsT"));
    CHECK_INT(head->fields[1].id, HTTP_OTHER);
    CHECK(head->fields[1].has_underscore);
    CHECK_INT(head->fields[2].id, HTTP_X_FORWARDED_FOR);
    CHECK(!head->fields[2].has_underscore);
    CHECK(span_is(head->fields[2].value, "2"));
    CHECK(span_is(head->fields[4].value, ""));
    CHECK_INT(head->by_name[HTTP_COOKIE], 4);
    CHECK_INT(head->by_name[HTTP_OTHER], 0);
    CHECK_INT(head->by_name[HTTP_TE], 0);
    CHECK(span_is(http_head_value(head, HTTP_COOKIE), "a=1"));
    CHECK(!http_head_value(head, HTTP_TE).data);
    CHECK(verdict.head.size + 4 ==
          sizeof("GET / HTTP/1.1\r\nhOsT:h\r\nX_Forwarded_For: 1\r\nx-forwarded-FOR:  2 \t\r\n"
                 "Cookie: a=1\r\nEmpty:\r\ncookie: b=2\r\n\r\nnext") -
              1);
    free(verdict.bytes);
}

static const char *with_limits(struct span bytes, size_t head, size_t line)
{
    static struct verdict verdict;
    struct http1_limits limits = { .head = head, .line = line };
    parse(bytes, NULL, &limits, &verdict);
    return describe(&verdict);
}

TEST(limits)
{
    struct span bytes = SPAN("GET /0123456789 HTTP/1.1\r\nHost: h\r\nx: 0123456789\r\n\r\n");
    const size_t line = sizeof("GET /0123456789 HTTP/1.1\r\n") - 1;
    const char *good = "GET /0123456789 host h, 1.1 keep, none";
    CHECK_STR(with_limits(bytes, bytes.size, line), good);
    CHECK_STR(with_limits(bytes, bytes.size - 1, line), "431 the head is too large");
    CHECK_STR(with_limits(bytes, line - 1, 8192), "414 the start line is too long");
    CHECK_STR(with_limits(bytes, line, 8192), "431 the head is too large");
    CHECK_STR(with_limits(bytes, bytes.size, line - 1), "414 the start line is too long");

    /* Whatever the limits are, splits change nothing; parse() looks at that. */
    for (size_t head = 1; head <= bytes.size; head++) {
        for (size_t max = 1; max <= line; max++)
            with_limits(bytes, head, max);
    }

    bytes = SPAN("GET / HTTP/1.1\r\nHost: h\r\nx: 0123456789abcdef0123456789\r\n\r\n");
    CHECK_STR(with_limits(bytes, 8192, 33), "GET / host h, 1.1 keep, none");
    CHECK_STR(with_limits(bytes, 8192, 30), "431 a field line is too long");
    /* The first line that is too long is the fault, also among others and before a wrong one. */
    bytes = SPAN("GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nb: 0123456789abcdef0123456789\r\nc: 1\r\n"
                 "d : 1\r\n\r\n");
    CHECK_STR(with_limits(bytes, 8192, 31), "400 white space stands before a colon");
    CHECK_STR(with_limits(bytes, 8192, 30), "431 a field line is too long");
    bytes = SPAN("GET / HTTP/1.1\r\nHost: h\r\n0123456789abcdef0123456789");
    CHECK_STR(with_limits(bytes, 8192, 26), "more");
    CHECK_STR(with_limits(bytes, 8192, 25), "431 a field line is too long");
}

TEST(limit_of_fields)
{
    char text[4096] = "GET / HTTP/1.1\r\nHost: h\r\n";
    size_t size = strlen(text);
    for (unsigned i = 1; i < HTTP1_MAX_FIELDS; i++) {
        memcpy(text + size, "a: b\r\n", 6);
        size += 6;
    }
    memcpy(text + size, "\r\na: b\r\n\r\n", 10);
    check_request((struct span){ text, size + 2 }, "GET / host h, 1.1 keep, none");
    check_request((struct span){ text, size }, "more");
    memmove(text + size, text + size + 2, 8);
    check_request((struct span){ text, size + 8 }, "431 there are too many fields");
}

/* No byte anywhere may make the parser read past its input or change its mind. */
TEST(every_byte_everywhere)
{
    struct span good = SPAN("POST /a?b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\n"
                            "Connection: x, close\r\nTE: trailers\r\nX: y\r\n\r\n");
    char text[256];
    for (size_t at = 0; at < good.size; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            struct verdict verdict = { 0 };
            memcpy(text, good.data, good.size);
            text[at] = (char)byte;
            parse_once((struct span){ text, good.size }, NULL, &wide, &verdict);
            /* A control byte is never part of an accepted head, but for tabs around values. */
            if (verdict.answer == HTTP1_OK && byte != (uint8_t)good.data[at])
                CHECK((byte >= 0x20 && byte != 0x7f) || byte == '\t');
            free(verdict.bytes);
        }
    }
}
