/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/forward_headers.h"

#include "base/buf.h"
#include "head.h"

/* The lines as "name: value|…", names in lower case. */
static const char *text_of(const struct http1_out *out)
{
    static char text[16384];
    size_t size = 0;
    bool is_name = true;
    CHECK(!out->is_full);
    for (size_t i = 0; i < out->size; i++) {
        char byte = out->data[i];
        if (byte == '\r')
            continue;
        is_name = byte == '\n' || (is_name && byte != ':');
        bool is_capital = is_name && byte >= 'A' && byte <= 'Z';
        text[size++] = byte == '\n' ? '|' : (char)(is_capital ? byte + 32 : byte);
    }
    text[size] = '\0';
    return text;
}

static const char *forwarded(const char *fields, bool is_internal, const char *peer)
{
    static char bytes[16384];
    static struct http_head head;
    static char lines[32768];
    struct http1_out out = { .data = lines, .capacity = sizeof(lines) };
    struct random random;
    random_init(&random);
    snprintf(bytes, sizeof(bytes), "GET /a HTTP/1.1\r\nHost: shop.test\r\n%s\r\n", fields);
    parse_request(bytes, &head);
    struct address address = { 0 };
    CHECK(address_parse(span_of(peer), &address) == 0);
    struct baggage ours;
    ours.bom = SPAN("b7k2qb7k2qb7k2qb");
    ours.customer = SPAN("acme");
    ours.lane = SPAN_NULL;
    struct forward_context context = {
        .head = &head,
        .peer = &address,
        .is_internal = is_internal,
        .ours = &ours,
        .random = &random,
    };
    forward_fields(&context, &out);
    forward_trace(&context, &out);
    return text_of(&out);
}

static void check_has(const char *text, const char *part, bool wanted)
{
    bool has = strstr(text, part) != NULL;
    if (has != wanted)
        printf("# %s: \"%s\" in \"%s\"\n", wanted ? "missing" : "unwanted", part, text);
    CHECK(has == wanted);
}

TEST(what_passes_to_a_service_and_what_does_not)
{
    static const struct {
        const char *fields, *wanted, *unwanted;
        bool is_internal;
    } table[] = {
        { "", "host: shop.test|", "date", false },
        { "Accept: a\r\nX-Mine: b\r\n", "accept: a|x-mine: b|", NULL, false },
        { "X-Twice: a\r\nX-Twice: b\r\n", "x-twice: a|x-twice: b|", NULL, false },
        /* hop by hop, also when nominated */
        { "Connection: close, x-own\r\nX-Own: 1\r\nKeep-Alive: 5\r\n", NULL, "x-own", false },
        { "Connection: x-own\r\nX-Own: 1\r\n", NULL, "connection", false },
        { "Upgrade: websocket\r\nConnection: upgrade\r\n", NULL, "upgrade", false },
        { "Proxy-Authorization: x\r\n", NULL, "proxy-", false },
        { "Expect: 100-continue\r\n", "expect: 100-continue|", NULL, false },
        { "Via: 1.0 fred\r\n", "via: 1.0 fred|", NULL, false },
        { "", "via: 1.1 sarsen|", NULL, false },
        { "TE: trailers\r\n", "te: trailers|connection: te|", NULL, false },
        { "TE: gzip\r\n", NULL, "te: ", false },
        { "Max-Forwards: 3\r\n", "max-forwards: 3|", NULL, false }, /* GET is not counted */
        { "X-Odd:no space\r\nX-Tab: a\t\r\n", "x-odd: no space|x-tab: a|", NULL, false },
        { "Content-Length: 0\r\n", NULL, "content-length", false },
        { "Transfer-Encoding: chunked\r\n", NULL, "transfer-encoding", false },
        /* ours, from wherever */
        { "Sarsen-Customer: globex\r\n", NULL, "globex", false },
        { "Sarsen-Whatever: globex\r\n", NULL, "globex", false },
        { "SARSEN-BOM: evil\r\n", NULL, "evil", true },
        { "Sarsen-Service: orders\r\nSarsen-Caller: cron\r\n", NULL, "sarsen-", true },
        { "Sarsen_Customer: globex\r\n", NULL, "globex", false },
        { "X_Forwarded_For: 9.9.9.9\r\n", NULL, "9.9.9.9", false },
        /* what a client may not say of itself, and a service may */
        { "X-Forwarded-For: 9.9.9.9\r\n", "x-forwarded-for: 192.0.2.7|", "9.9.9.9", false },
        { "X-Forwarded-For: 9.9.9.9\r\n", "x-forwarded-for: 9.9.9.9, 192.0.2.7|", NULL, true },
        { "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\n",
          "x-forwarded-for: 9.9.9.9, 8.8.8.8, 192.0.2.7|", NULL, true },
        { "X-Forwarded-Host: evil\r\n", "x-forwarded-host: shop.test|", "evil", false },
        { "X-Forwarded-Host: outer\r\n", "x-forwarded-host: outer|", NULL, true },
        { "X-Forwarded-Proto: https\r\n", "x-forwarded-proto: http|", "https", false },
        { "X-Forwarded-Proto: https\r\n", "x-forwarded-proto: https|", NULL, true },
        { "X-Forwarded-Prefix: /evil\r\n", NULL, "evil", false },
        { "Forwarded: for=9.9.9.9\r\n", NULL, "9.9.9.9", false },
        { "Forwarded: for=9.9.9.9\r\n", "forwarded: for=9.9.9.9|", NULL, true },
        /* context */
        { "baggage: a=1;p=2,sarsen.customer=globex, b=%20\r\n", "a=1;p=2", "globex", false },
        { "baggage: sarsen.bom=evil\r\n", "sarsen.bom=b7k2qb7k2qb7k2qb", "evil", true },
        { "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
          "tracestate: a=b\r\n",
          "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|", NULL, false },
        { "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
          "x-request-id: 0af7651916cd43dd8448eb211c80319c|", NULL, true },
        { "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
          "x-request-id: ", "x-request-id: 0af7651916cd43dd8448eb211c80319c|", false },
        { "traceparent: nonsense\r\ntracestate: a=b\r\n", "traceparent: 00-", "tracestate", false },
        { "X-Request-Id: r-1\r\n", "x-request-id: r-1|", NULL, true },
        { "X-Request-Id: a b\r\n", "x-request-id: ", "a b", true },
        { "X-Request-Id: r-1\r\n", "x-request-id: ", "r-1", false },
        /* our cookie is not theirs */
        { "Cookie: a=1; sarsen=x; b=2\r\n", "cookie: a=1; b=2|", "sarsen=", false },
        { "Cookie: sarsen=x\r\n", NULL, "cookie", false },
        { "Cookie: a=1\r\n", "cookie: a=1|", NULL, false },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *text = forwarded(table[i].fields, table[i].is_internal, "192.0.2.7:4711");
        if (table[i].wanted)
            check_has(text, table[i].wanted, true);
        if (table[i].unwanted)
            check_has(text, table[i].unwanted, false);
    }
}

TEST(peers_have_no_port_in_the_list)
{
    check_has(forwarded("", false, "0.10.100.255:80"), "x-forwarded-for: 0.10.100.255|", true);
    check_has(forwarded("", false, "[2001:db8::1]:80"), "x-forwarded-for: 2001:db8::1|", true);
    check_has(forwarded("", false, "[::ffff:192.0.2.7]:80"), "x-forwarded-for: 192.0.2.7|", true);
    check_has(forwarded("", false, "unix:/run/x.sock"), "x-forwarded-for", false);
    check_has(forwarded("X-Forwarded-For: 9.9.9.9\r\n", true, "unix:/run/x.sock"),
              "x-forwarded-for: 9.9.9.9|", true);
}

TEST(a_list_too_long_to_pass_is_begun_anew)
{
    char fields[8192] = "X-Forwarded-For: 9.9.9.9";
    for (size_t size = strlen(fields); size < 5000; size += 9)
        strcpy(fields + size, ", 9.9.9.9");
    strcat(fields, "\r\n");
    check_has(forwarded(fields, true, "192.0.2.7:1"), "x-forwarded-for: 192.0.2.7|", true);
}

TEST(as_many_fields_as_a_head_may_have_all_pass)
{
    char fields[8192];
    size_t size = 0;
    for (int i = 0; i < 99; i++)
        size += (size_t)snprintf(fields + size, sizeof(fields) - size, "x-%d: %d\r\n", i, i);
    const char *text = forwarded(fields, false, "192.0.2.7:1");
    check_has(text, "x-0: 0|", true);
    check_has(text, "x-98: 98|", true);
    check_has(text, "host: shop.test|", true);
}

static const char *answered(const char *fields, struct span set_cookie)
{
    static char bytes[4096];
    static struct http_head head;
    static char lines[8192];
    struct http1_out out = { .data = lines, .capacity = sizeof(lines) };
    snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 OK\r\nX-Base: 1\r\n%s\r\n", fields);
    parse_response(bytes, &head);
    struct forward_answer ours = { set_cookie };
    forward_answerer(SPAN("b7k2"), SPAN("shop@1"), SPAN("1.2.3"), &out);
    forward_response(&head, &ours, &out);
    return text_of(&out);
}

TEST(what_passes_to_the_client_and_what_does_not)
{
    static const struct {
        const char *fields, *wanted, *unwanted;
    } table[] = {
        { "", "sarsen-bom: b7k2|sarsen-contract: shop@1|sarsen-build: 1.2.3|", "set-cookie" },
        { "Content-Type: a/b\r\nETag: \"x\"\r\n", "content-type: a/b|etag: \"x\"|", NULL },
        { "Date: Fri, 20 Nov 2026 08:00:00 GMT\r\n", "date: Fri, 20 Nov 2026 08:00:00 GMT|", NULL },
        { "Date: a\r\nDate: b\r\n", NULL, "date" },
        { "Connection: x-own\r\nX-Own: 1\r\n", NULL, "x-own" },
        { "Sarsen-Customer: acme\r\n", NULL, "acme" },
        { "Sarsen-Secret: acme\r\n", NULL, "acme" },
        { "Sarsen-Bom: evil\r\n", "sarsen-bom: b7k2|", "evil" },
        { "Sarsen-Contract: orders@3\r\nSarsen-Build: 3.14.2\r\n",
          "sarsen-contract: shop@1|sarsen-build: 1.2.3|", "orders@3" },
        { "Sarsen_Bom: evil\r\nSARSEN_CUSTOMER: evil\r\n", NULL, "evil" },
        { "Sarsen_Bom: evil\r\nX-My_Own: 1\r\n", "x-my_own: 1|", "evil" },
        { "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "set-cookie: a=1|set-cookie: b=2|", NULL },
        { "Set-Cookie: sarsen=forged; Path=/\r\n", NULL, "forged" },
        { "Set-Cookie: sarsenx=1\r\n", "set-cookie: sarsenx=1|", NULL },
        { "Content-Length: 0\r\n", NULL, "content-length" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *text = answered(table[i].fields, SPAN_NULL);
        if (table[i].wanted)
            check_has(text, table[i].wanted, true);
        if (table[i].unwanted)
            check_has(text, table[i].unwanted, false);
    }
    check_has(answered("Set-Cookie: a=1\r\n", SPAN("sarsen=x")), "set-cookie: sarsen=x|", true);
}
