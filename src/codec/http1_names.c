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

const char http1_name_lines[HTTP_N_NAMES][HTTP1_NAME_LINE] = {
#define NAME_LINE(id, text) [id] = text ":",
    HTTP_NAMES(NAME_LINE)
#undef NAME_LINE
};

static const uint8_t name_sizes[HTTP_N_NAMES] = {
#define NAME_SIZE(id, text) [id] = sizeof(text) - 1,
    HTTP_NAMES(NAME_SIZE)
#undef NAME_SIZE
};

/* The compiler refuses two names in one slot, so this is a perfect hash as long as it compiles. */
const uint8_t http1_name_slots[HTTP1_NAME_SIZES * 32] = {
    [NAME_SLOT(2, 't', 'e')] = HTTP_TE,
    [NAME_SLOT(3, 'a', 'e')] = HTTP_AGE,
    [NAME_SLOT(3, 'v', 'a')] = HTTP_VIA,
    [NAME_SLOT(4, 'd', 'e')] = HTTP_DATE,
    [NAME_SLOT(4, 'e', 'g')] = HTTP_ETAG,
    [NAME_SLOT(4, 'h', 't')] = HTTP_HOST,
    [NAME_SLOT(4, 'v', 'y')] = HTTP_VARY,
    [NAME_SLOT(6, 'a', 't')] = HTTP_ACCEPT,
    [NAME_SLOT(6, 'c', 'e')] = HTTP_COOKIE,
    [NAME_SLOT(6, 'e', 't')] = HTTP_EXPECT,
    [NAME_SLOT(6, 'o', 'n')] = HTTP_ORIGIN,
    [NAME_SLOT(6, 's', 'r')] = HTTP_SERVER,
    [NAME_SLOT(7, 'b', 'e')] = HTTP_BAGGAGE,
    [NAME_SLOT(7, 'e', 's')] = HTTP_EXPIRES,
    [NAME_SLOT(7, 'r', 'r')] = HTTP_REFERER,
    [NAME_SLOT(7, 't', 'r')] = HTTP_TRAILER,
    [NAME_SLOT(7, 'u', 'e')] = HTTP_UPGRADE,
    [NAME_SLOT(8, 'i', 'h')] = HTTP_IF_MATCH,
    [NAME_SLOT(8, 'l', 'n')] = HTTP_LOCATION,
    [NAME_SLOT(9, 'f', 'd')] = HTTP_FORWARDED,
    [NAME_SLOT(10, 'c', 'n')] = HTTP_CONNECTION,
    [NAME_SLOT(10, 'k', 'e')] = HTTP_KEEP_ALIVE,
    [NAME_SLOT(10, 's', 'e')] = HTTP_SET_COOKIE,
    [NAME_SLOT(10, 's', 'm')] = HTTP_SARSEN_BOM,
    [NAME_SLOT(10, 't', 'e')] = HTTP_TRACESTATE,
    [NAME_SLOT(10, 'u', 't')] = HTTP_USER_AGENT,
    [NAME_SLOT(11, 't', 't')] = HTTP_TRACEPARENT,
    [NAME_SLOT(12, 'c', 'e')] = HTTP_CONTENT_TYPE,
    [NAME_SLOT(12, 'm', 's')] = HTTP_MAX_FORWARDS,
    [NAME_SLOT(12, 's', 'd')] = HTTP_SARSEN_BUILD,
    [NAME_SLOT(12, 'x', 'd')] = HTTP_X_REQUEST_ID,
    [NAME_SLOT(13, 'a', 'n')] = HTTP_AUTHORIZATION,
    [NAME_SLOT(13, 'a', 's')] = HTTP_ACCEPT_RANGES,
    [NAME_SLOT(13, 'c', 'l')] = HTTP_CACHE_CONTROL,
    [NAME_SLOT(13, 'i', 'h')] = HTTP_IF_NONE_MATCH,
    [NAME_SLOT(13, 'l', 'd')] = HTTP_LAST_MODIFIED,
    [NAME_SLOT(13, 's', 'r')] = HTTP_SARSEN_CALLER,
    [NAME_SLOT(14, 'c', 'h')] = HTTP_CONTENT_LENGTH,
    [NAME_SLOT(14, 's', 'e')] = HTTP_SARSEN_SERVICE,
    [NAME_SLOT(15, 'a', 'e')] = HTTP_ACCEPT_LANGUAGE,
    [NAME_SLOT(15, 'a', 'g')] = HTTP_ACCEPT_ENCODING,
    [NAME_SLOT(15, 's', 'e')] = HTTP_SARSEN_DEADLINE,
    [NAME_SLOT(15, 's', 'r')] = HTTP_SARSEN_CUSTOMER,
    [NAME_SLOT(15, 's', 't')] = HTTP_SARSEN_CONTRACT,
    [NAME_SLOT(15, 'x', 'r')] = HTTP_X_FORWARDED_FOR,
    [NAME_SLOT(16, 'c', 'g')] = HTTP_CONTENT_ENCODING,
    [NAME_SLOT(16, 'p', 'n')] = HTTP_PROXY_CONNECTION,
    [NAME_SLOT(16, 'x', 't')] = HTTP_X_FORWARDED_HOST,
    [NAME_SLOT(17, 'i', 'e')] = HTTP_IF_MODIFIED_SINCE,
    [NAME_SLOT(17, 't', 'g')] = HTTP_TRANSFER_ENCODING,
    [NAME_SLOT(17, 'x', 'o')] = HTTP_X_FORWARDED_PROTO,
    [NAME_SLOT(18, 'p', 'e')] = HTTP_PROXY_AUTHENTICATE,
    [NAME_SLOT(19, 'p', 'n')] = HTTP_PROXY_AUTHORIZATION,
};

/* RFC 9110 section 7.6.1, and the two that RFC 2616 counted among them. */
const bool http1_hop_by_hop[HTTP_N_NAMES] = {
    [HTTP_CONNECTION] = true,
    [HTTP_KEEP_ALIVE] = true,
    [HTTP_PROXY_AUTHENTICATE] = true,
    [HTTP_PROXY_AUTHORIZATION] = true,
    [HTTP_PROXY_CONNECTION] = true,
    [HTTP_TE] = true,
    [HTTP_TRAILER] = true,
    [HTTP_TRANSFER_ENCODING] = true,
    [HTTP_UPGRADE] = true,
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

enum http_name http1_name_of_token(struct span token)
{
    if (token.size >= HTTP1_NAME_SIZES)
        return HTTP_OTHER;
    enum http_name id = http1_name_guess(token.data, token.size);
    if (name_sizes[id] == token.size && token_is(token.data, http1_name_lines[id], token.size))
        return id;
    return HTTP_OTHER;
}

bool http1_value_is(struct span value, struct span lower)
{
    return value.size == lower.size && token_is(value.data, lower.data, lower.size);
}

enum http_name http_name_find(struct span name)
{
    return http_is_token(name) ? http1_name_of_token(name) : HTTP_OTHER;
}

struct span http_name_text(enum http_name name)
{
    return (struct span){ http1_name_lines[name], name_sizes[name] };
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
