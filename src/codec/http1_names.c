/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/http1_names.h"

#include "codec/http1_scan.h"

#define TOKEN CLASS_TOKEN
#define ALNUM (CLASS_TOKEN | CLASS_HOST | CLASS_PCHAR | CLASS_COOKIE | CLASS_PLAIN)

const uint8_t codec_classes[256] = {
    ['0' ... '9'] = ALNUM,
    ['A' ... 'Z'] = ALNUM,
    ['a' ... 'z'] = ALNUM,
    ['-'] = ALNUM,
    ['.'] = ALNUM,
    ['_'] = ALNUM,
    ['~'] = ALNUM,
    ['!'] = TOKEN | CLASS_PCHAR | CLASS_COOKIE,
    ['#'] = TOKEN | CLASS_COOKIE,
    ['$'] = TOKEN | CLASS_PCHAR | CLASS_COOKIE,
    ['%'] = TOKEN | CLASS_COOKIE,
    ['&'] = TOKEN | CLASS_PCHAR | CLASS_COOKIE,
    ['\''] = TOKEN | CLASS_PCHAR | CLASS_COOKIE,
    ['*'] = TOKEN | CLASS_PCHAR | CLASS_COOKIE,
    ['+'] = TOKEN | CLASS_PCHAR | CLASS_COOKIE,
    ['^'] = TOKEN | CLASS_COOKIE,
    ['`'] = TOKEN | CLASS_COOKIE,
    ['|'] = TOKEN | CLASS_COOKIE,
    ['('] = CLASS_PCHAR | CLASS_COOKIE,
    [')'] = CLASS_PCHAR | CLASS_COOKIE,
    [','] = CLASS_PCHAR,
    ['='] = CLASS_PCHAR | CLASS_COOKIE,
    [':'] = CLASS_PCHAR | CLASS_COOKIE,
    ['@'] = CLASS_PCHAR | CLASS_COOKIE,
    ['/'] = CLASS_COOKIE,
    ['<'] = CLASS_COOKIE,
    ['>'] = CLASS_COOKIE,
    ['?'] = CLASS_COOKIE,
    ['['] = CLASS_COOKIE,
    [']'] = CLASS_COOKIE,
    ['{'] = CLASS_COOKIE,
    ['}'] = CLASS_COOKIE,
};

static const struct span name_texts[HTTP_N_NAMES] = {
#define NAME_TEXT(id, text) [id] = { text, sizeof(text) - 1 },
    HTTP_NAMES(NAME_TEXT)
#undef NAME_TEXT
};

/* Size, first and last letter tell all our names apart; were two of them the same, the compiler
 * would refuse the switch. */
#define KEY(size, first, last) ((unsigned)(size) << 16 | (unsigned)(first) << 8 | (unsigned)(last))

static enum http_name name_candidate(struct span name)
{
    if (name.size > sizeof("proxy-authorization") - 1)
        return HTTP_OTHER; /* and KEY() would lose bits of the size */
    unsigned first = (uint8_t)name.data[0] | 0x20u;
    unsigned last = (uint8_t)name.data[name.size - 1] | 0x20u;

    switch (KEY(name.size, first, last)) {
    case KEY(2, 't', 'e'): return HTTP_TE;
    case KEY(3, 'v', 'a'): return HTTP_VIA;
    case KEY(4, 'd', 'e'): return HTTP_DATE;
    case KEY(4, 'e', 'g'): return HTTP_ETAG;
    case KEY(4, 'h', 't'): return HTTP_HOST;
    case KEY(6, 'c', 'e'): return HTTP_COOKIE;
    case KEY(6, 'e', 't'): return HTTP_EXPECT;
    case KEY(6, 'o', 'n'): return HTTP_ORIGIN;
    case KEY(6, 's', 'r'): return HTTP_SERVER;
    case KEY(7, 'b', 'e'): return HTTP_BAGGAGE;
    case KEY(7, 't', 'r'): return HTTP_TRAILER;
    case KEY(7, 'u', 'e'): return HTTP_UPGRADE;
    case KEY(8, 'i', 'h'): return HTTP_IF_MATCH;
    case KEY(8, 'l', 'n'): return HTTP_LOCATION;
    case KEY(9, 'f', 'd'): return HTTP_FORWARDED;
    case KEY(10, 'c', 'n'): return HTTP_CONNECTION;
    case KEY(10, 'k', 'e'): return HTTP_KEEP_ALIVE;
    case KEY(10, 's', 'e'): return HTTP_SET_COOKIE;
    case KEY(10, 's', 'm'): return HTTP_SARSEN_BOM;
    case KEY(10, 't', 'e'): return HTTP_TRACESTATE;
    case KEY(11, 't', 't'): return HTTP_TRACEPARENT;
    case KEY(12, 'c', 'e'): return HTTP_CONTENT_TYPE;
    case KEY(12, 'm', 's'): return HTTP_MAX_FORWARDS;
    case KEY(12, 's', 'd'): return HTTP_SARSEN_BUILD;
    case KEY(12, 'x', 'd'): return HTTP_X_REQUEST_ID;
    case KEY(13, 'a', 'n'): return HTTP_AUTHORIZATION;
    case KEY(13, 'c', 'l'): return HTTP_CACHE_CONTROL;
    case KEY(13, 'i', 'h'): return HTTP_IF_NONE_MATCH;
    case KEY(13, 's', 'r'): return HTTP_SARSEN_CALLER;
    case KEY(14, 'c', 'h'): return HTTP_CONTENT_LENGTH;
    case KEY(14, 's', 'e'): return HTTP_SARSEN_SERVICE;
    case KEY(15, 'a', 'g'): return HTTP_ACCEPT_ENCODING;
    case KEY(15, 's', 'r'): return HTTP_SARSEN_CUSTOMER;
    case KEY(15, 's', 't'): return HTTP_SARSEN_CONTRACT;
    case KEY(15, 's', 'e'): return HTTP_SARSEN_DEADLINE;
    case KEY(15, 'x', 'r'): return HTTP_X_FORWARDED_FOR;
    case KEY(16, 'p', 'n'): return HTTP_PROXY_CONNECTION;
    case KEY(16, 'x', 't'): return HTTP_X_FORWARDED_HOST;
    case KEY(17, 't', 'g'): return HTTP_TRANSFER_ENCODING;
    case KEY(17, 'x', 'o'): return HTTP_X_FORWARDED_PROTO;
    case KEY(18, 'p', 'e'): return HTTP_PROXY_AUTHENTICATE;
    case KEY(19, 'p', 'n'): return HTTP_PROXY_AUTHORIZATION;
    default: return HTTP_OTHER;
    }
}

/* Whether `token` in small letters is `lower`. Setting bit 5 makes capitals small and leaves
 * digits and "-" alone; no other tchar becomes one of those by it, so this is exact. */
static bool token_is(const char *token, const char *lower, size_t size)
{
    if (size >= 8) {
        uint64_t a, b, differences = 0;
        for (size_t i = 0; i < size; i += 8) {
            /* The last word overlaps the one before instead of passing the end. */
            size_t from = i + 8 <= size ? i : size - 8;
            memcpy(&a, token + from, sizeof(a));
            memcpy(&b, lower + from, sizeof(b));
            differences |= (a | 0x2020202020202020u) ^ b;
        }
        return differences == 0;
    }
    unsigned differences = 0;
    for (size_t i = 0; i < size; i++)
        differences |= ((uint8_t)token[i] | 0x20u) ^ (uint8_t)lower[i];
    return differences == 0;
}

enum http_name http1_name_of_token(struct span token)
{
    enum http_name id = name_candidate(token);
    if (id == HTTP_OTHER || token_is(token.data, name_texts[id].data, token.size))
        return id;
    return HTTP_OTHER;
}

enum http_name http_name_find(struct span name)
{
    return http_is_token(name) ? http1_name_of_token(name) : HTTP_OTHER;
}

struct span http_name_text(enum http_name name)
{
    return name_texts[name];
}

bool http_is_token(struct span span)
{
    const char *end = span.data + span.size;
    return span.size > 0 && scan_token(span.data, end) == end;
}

bool http_is_field_value(struct span span)
{
    if (!span.size)
        return true;
    const char *end = span.data + span.size;
    return scan_value(span.data, end) == end && !byte_is_blank(span.data[0]) &&
           !byte_is_blank(end[-1]);
}

bool http_is_idempotent(struct span method)
{
    static const char *const methods[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE" };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (span_is(method, methods[i]))
            return true;
    }
    return false;
}
