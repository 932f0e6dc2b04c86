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
#define NAME_TEXT(id, text) [id] = SPAN(text),
    HTTP_NAMES(NAME_TEXT)
#undef NAME_TEXT
};

/* The compiler refuses two names in one slot, so this is a perfect hash as long as it compiles. For
 * the next hop only are the fields of RFC 9110 section 7.6.1, and the two that RFC 2616 counted
 * among them. */
const struct http1_known http1_known_names[HTTP1_NAME_SIZES * 32] = {
    [NAME_SLOT(2, 't', 'e')] = { "te:", HTTP_TE, true },
    [NAME_SLOT(3, 'a', 'e')] = { "age:", HTTP_AGE, false },
    [NAME_SLOT(3, 'v', 'a')] = { "via:", HTTP_VIA, false },
    [NAME_SLOT(4, 'd', 'e')] = { "date:", HTTP_DATE, false },
    [NAME_SLOT(4, 'e', 'g')] = { "etag:", HTTP_ETAG, false },
    [NAME_SLOT(4, 'h', 't')] = { "host:", HTTP_HOST, false },
    [NAME_SLOT(4, 'v', 'y')] = { "vary:", HTTP_VARY, false },
    [NAME_SLOT(6, 'a', 't')] = { "accept:", HTTP_ACCEPT, false },
    [NAME_SLOT(6, 'c', 'e')] = { "cookie:", HTTP_COOKIE, false },
    [NAME_SLOT(6, 'e', 't')] = { "expect:", HTTP_EXPECT, false },
    [NAME_SLOT(6, 'o', 'n')] = { "origin:", HTTP_ORIGIN, false },
    [NAME_SLOT(6, 's', 'r')] = { "server:", HTTP_SERVER, false },
    [NAME_SLOT(7, 'b', 'e')] = { "baggage:", HTTP_BAGGAGE, false },
    [NAME_SLOT(7, 'e', 's')] = { "expires:", HTTP_EXPIRES, false },
    [NAME_SLOT(7, 'r', 'r')] = { "referer:", HTTP_REFERER, false },
    [NAME_SLOT(7, 't', 'r')] = { "trailer:", HTTP_TRAILER, true },
    [NAME_SLOT(7, 'u', 'e')] = { "upgrade:", HTTP_UPGRADE, true },
    [NAME_SLOT(8, 'i', 'h')] = { "if-match:", HTTP_IF_MATCH, false },
    [NAME_SLOT(8, 'l', 'n')] = { "location:", HTTP_LOCATION, false },
    [NAME_SLOT(9, 'f', 'd')] = { "forwarded:", HTTP_FORWARDED, false },
    [NAME_SLOT(10, 'c', 'n')] = { "connection:", HTTP_CONNECTION, true },
    [NAME_SLOT(10, 'k', 'e')] = { "keep-alive:", HTTP_KEEP_ALIVE, true },
    [NAME_SLOT(10, 's', 'e')] = { "set-cookie:", HTTP_SET_COOKIE, false },
    [NAME_SLOT(10, 's', 'm')] = { "sarsen-bom:", HTTP_SARSEN_BOM, false },
    [NAME_SLOT(10, 't', 'e')] = { "tracestate:", HTTP_TRACESTATE, false },
    [NAME_SLOT(10, 'u', 't')] = { "user-agent:", HTTP_USER_AGENT, false },
    [NAME_SLOT(11, 'g', 's')] = { "grpc-status:", HTTP_GRPC_STATUS, false },
    [NAME_SLOT(11, 't', 't')] = { "traceparent:", HTTP_TRACEPARENT, false },
    [NAME_SLOT(12, 'c', 'e')] = { "content-type:", HTTP_CONTENT_TYPE, false },
    [NAME_SLOT(12, 'g', 't')] = { "grpc-timeout:", HTTP_GRPC_TIMEOUT, false },
    [NAME_SLOT(12, 'm', 's')] = { "max-forwards:", HTTP_MAX_FORWARDS, false },
    [NAME_SLOT(12, 's', 'd')] = { "sarsen-build:", HTTP_SARSEN_BUILD, false },
    [NAME_SLOT(12, 'x', 'd')] = { "x-request-id:", HTTP_X_REQUEST_ID, false },
    [NAME_SLOT(13, 'a', 'n')] = { "authorization:", HTTP_AUTHORIZATION, false },
    [NAME_SLOT(13, 'a', 's')] = { "accept-ranges:", HTTP_ACCEPT_RANGES, false },
    [NAME_SLOT(13, 'c', 'l')] = { "cache-control:", HTTP_CACHE_CONTROL, false },
    [NAME_SLOT(13, 'i', 'h')] = { "if-none-match:", HTTP_IF_NONE_MATCH, false },
    [NAME_SLOT(13, 'l', 'd')] = { "last-modified:", HTTP_LAST_MODIFIED, false },
    [NAME_SLOT(13, 's', 'r')] = { "sarsen-caller:", HTTP_SARSEN_CALLER, false },
    [NAME_SLOT(14, 'c', 'h')] = { "content-length:", HTTP_CONTENT_LENGTH, false },
    [NAME_SLOT(14, 's', 'e')] = { "sarsen-service:", HTTP_SARSEN_SERVICE, false },
    [NAME_SLOT(15, 'a', 'e')] = { "accept-language:", HTTP_ACCEPT_LANGUAGE, false },
    [NAME_SLOT(15, 'a', 'g')] = { "accept-encoding:", HTTP_ACCEPT_ENCODING, false },
    [NAME_SLOT(15, 's', 'e')] = { "sarsen-deadline:", HTTP_SARSEN_DEADLINE, false },
    [NAME_SLOT(15, 's', 'r')] = { "sarsen-customer:", HTTP_SARSEN_CUSTOMER, false },
    [NAME_SLOT(15, 's', 't')] = { "sarsen-contract:", HTTP_SARSEN_CONTRACT, false },
    [NAME_SLOT(15, 'x', 'r')] = { "x-forwarded-for:", HTTP_X_FORWARDED_FOR, false },
    [NAME_SLOT(16, 'c', 'g')] = { "content-encoding:", HTTP_CONTENT_ENCODING, false },
    [NAME_SLOT(16, 'p', 'n')] = { "proxy-connection:", HTTP_PROXY_CONNECTION, true },
    [NAME_SLOT(16, 'x', 't')] = { "x-forwarded-host:", HTTP_X_FORWARDED_HOST, false },
    [NAME_SLOT(17, 'i', 'e')] = { "if-modified-since:", HTTP_IF_MODIFIED_SINCE, false },
    [NAME_SLOT(17, 't', 'g')] = { "transfer-encoding:", HTTP_TRANSFER_ENCODING, true },
    [NAME_SLOT(17, 'x', 'o')] = { "x-forwarded-proto:", HTTP_X_FORWARDED_PROTO, false },
    [NAME_SLOT(18, 'p', 'e')] = { "proxy-authenticate:", HTTP_PROXY_AUTHENTICATE, true },
    [NAME_SLOT(19, 'p', 'n')] = { "proxy-authorization:", HTTP_PROXY_AUTHORIZATION, true },
};

/* Whether `token` in small letters is `lower`, of the same size. Setting bit 5 makes capitals small
 * and leaves digits and "-" alone; no other tchar becomes one of those by it, so this is exact. */
static bool token_is(const char *token, const char *lower, size_t size)
{
    uint64_t a, b, differences = 0;
    size_t at = 0;
    if (size >= sizeof(a)) {
        while (at < size) {
            /* The last word overlaps the one before instead of passing the end. */
            size_t from = at + sizeof(a) <= size ? at : size - sizeof(a);
            memcpy(&a, token + from, sizeof(a));
            memcpy(&b, lower + from, sizeof(b));
            differences |= (a | 0x2020202020202020u) ^ b;
            at += sizeof(a);
        }
        return differences == 0;
    }
    for (; at < size; at++)
        differences |= ((uint8_t)token[at] | 0x20u) ^ (uint8_t)lower[at];
    return differences == 0;
}

RARE uint64_t stops_of_few(const char *at, size_t size)
{
    char block[64] = { 0 };
    memcpy(block, at, size);
    return bytes64_stops(block);
}

const struct http1_known *http1_name_of_token(struct span token)
{
    if (token.size >= HTTP1_NAME_SIZES)
        return http1_known_names;
    const struct http1_known *known = http1_name_guess(token.data, token.size);
    bool is_it =
        name_texts[known->id].size == token.size && token_is(token.data, known->line, token.size);
    return is_it ? known : http1_known_names;
}

bool http1_value_is(struct span value, struct span lower)
{
    return value.size == lower.size && token_is(value.data, lower.data, lower.size);
}

enum http_name http_name_find(struct span name)
{
    return http_is_token(name) ? (enum http_name)http1_name_of_token(name)->id : HTTP_OTHER;
}

enum http_name http_name_of_token(struct span token)
{
    return (enum http_name)http1_name_of_token(token)->id;
}

struct span http_name_text(enum http_name name)
{
    return name_texts[name];
}

bool http_is_token(struct span span)
{
    if (!span.size)
        return false;
    const char *end = span.data + span.size;
    return scan_token(span.data, end) == end;
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
