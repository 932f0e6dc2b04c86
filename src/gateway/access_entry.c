/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A line is put together by hand: every request pays for it, and printf would cost ten times as
 * much. The limits of the strings add up to less than a line, so only they are looked at.
 */

#include "gateway/access_entry.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "codec/http1_scan.h"
#include "codec/timefmt.h"

#define SECOND_SIZE (sizeof("2026-11-20T08:00:00") - 1)
#define INLINE inline __attribute__((always_inline))
#define ESCAPE_SIZE (sizeof("\\u0000") - 1)

/* Every string a line may have, with its limit in bytes as written. */
#define STRINGS(X)                                                                                 \
    X(METHOD, "method", 32)                                                                        \
    X(HOST, "host", 256)                                                                           \
    X(PATH, "path", 2048)                                                                          \
    X(QUERY, "query", 1024)                                                                        \
    X(SERVICE, "service", 64)                                                                      \
    X(CONTRACT, "contract", 96)                                                                    \
    X(BUILD, "build", 96)                                                                          \
    X(BOM, "bom", 32)                                                                              \
    X(CUSTOMER, "customer", 256)                                                                   \
    X(CALLER, "caller", 128)                                                                       \
    X(APP, "app", 64)                                                                              \
    X(RELEASE, "release", 96)                                                                      \
    X(TRACE_ID, "trace_id", 32)                                                                    \
    X(REQUEST_ID, "request_id", 128)                                                               \
    X(USER_AGENT, "user_agent", 512)                                                               \
    X(REFERER, "referer", 1024)                                                                    \
    X(FAULT, "fault", 32)                                                                          \
    X(REASON, "reason", 128)

enum string {
#define STRING_ENUM(id, name, limit) STRING_##id,
    STRINGS(STRING_ENUM)
#undef STRING_ENUM
    N_STRINGS,
};

/* The key with all that stands around it. */
static const struct {
    struct span key;
    size_t limit;
} strings[N_STRINGS] = {
#define STRING_ROW(id, name, limit) { SPAN(",\"" name "\":\""), limit },
    STRINGS(STRING_ROW)
#undef STRING_ROW
};

#define ADD_LIMIT(id, name, limit) +(limit) + sizeof(name) * 2 + 8
_Static_assert(0 STRINGS(ADD_LIMIT) + (size_t)2 * ADDRESS_TEXT_MAX + 512 < ACCESS_LINE_MAX,
               "a line has room for all strings at their limit, and their names once more");

/* The line, and the string under way, which ends before `limit`. */
struct line {
    char *at, *limit;
    uint32_t cut; /* bits of enum string */
    bool is_cut;  /* the string under way */
};

/* Inline, as all that are handed a constant text: the copy becomes a few stores. */
static INLINE void put(struct line *line, struct span bytes)
{
    memcpy(line->at, bytes.data, bytes.size);
    line->at += bytes.size;
}

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324"
    "25262728293031323334353637383940414243444546474849"
    "50515253545556575859606162636465666768697071727374"
    "75767778798081828384858687888990919293949596979899";

static void put_long_uint(struct line *line, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    for (; value >= 10; value /= 100)
        memcpy(digits + (at -= 2), digit_pairs + value % 100 * 2, 2);
    if (value || at == sizeof(digits))
        digits[--at] = (char)('0' + value);
    put(line, (struct span){ digits + at, sizeof(digits) - at });
}

/* All three digits of a number below 1000. */
static inline void put_three(struct line *line, unsigned value)
{
    *line->at++ = (char)('0' + value / 100);
    memcpy(line->at, digit_pairs + (size_t)(value % 100) * 2, 2);
    line->at += 2;
}

static inline void put_uint(struct line *line, uint64_t value)
{
    if (value >= 1000) {
        put_long_uint(line, value);
    } else if (value >= 100) {
        put_three(line, (unsigned)value);
    } else {
        if (value >= 10)
            *line->at++ = (char)('0' + value / 10);
        *line->at++ = (char)('0' + value % 10);
    }
}

/* Milliseconds with three decimals. */
static void put_msec(struct line *line, nsec time)
{
    uint64_t usec = time / 1000;
    put_uint(line, usec / 1000);
    *line->at++ = '.';
    put_three(line, (unsigned)(usec % 1000));
}

/* --- strings --- */

/* A byte that may not stand as it is. */
static void put_byte(struct line *line, char byte)
{
    static const char hex[] = "0123456789abcdef";
    char escape[ESCAPE_SIZE] = { '\\', 'u', '0', '0', hex[(uint8_t)byte >> 4], hex[byte & 15] };
    size_t size = ESCAPE_SIZE;
    if (byte == '"' || byte == '\\') {
        escape[1] = byte;
        size = 2;
    }
    if ((size_t)(line->limit - line->at) < size)
        line->is_cut = true;
    else
        put(line, (struct span){ escape, size });
}

/* Bits of the bytes that may not stand as they are. */
static inline unsigned special(bytes16 bytes)
{
    return bytes16_bits((bytes16)(bytes - 0x20 > 0x5e) | (bytes16)(bytes == '"') |
                        (bytes16)(bytes == '\\'));
}

/* Sixteen bytes are stored whether they may stay or not; what may not is written over, and behind
 * every string there is room for that. */
static void put_special(struct line *line, struct span text)
{
    const char *at = text.data, *end = text.data + text.size;
    while (at < end && !line->is_cut) {
        size_t size = end - at < 16 ? (size_t)(end - at) : 16;
        bytes16 bytes = bytes16_load_upto(at, end);
        unsigned others = special(bytes) & ((1u << size) - 1);
        size_t n_plain = others ? (size_t)__builtin_ctz(others) : size;
        if (n_plain > (size_t)(line->limit - line->at)) {
            n_plain = (size_t)(line->limit - line->at);
            line->is_cut = true;
        }
        memcpy(line->at, &bytes, sizeof(bytes));
        line->at += n_plain;
        at += n_plain;
        if (others && !line->is_cut)
            put_byte(line, *at++);
    }
}

/* The same for text that is short enough and has nothing special, as nearly all has. */
static void put_escaped(struct line *line, struct span text)
{
    const char *at = text.data, *end = text.data + text.size;
    char *out = line->at;
    if (text.size > (size_t)(line->limit - out) || line->is_cut) {
        put_special(line, text);
        return;
    }
    unsigned others = 0;
    for (; end - at >= 16 && !others; at += 16, out += 16) {
        bytes16 bytes = bytes16_load(at);
        memcpy(out, &bytes, sizeof(bytes));
        others = special(bytes);
    }
    if (at < end && !others) {
        bytes16 bytes = bytes16_load_few(at, (size_t)(end - at));
        memcpy(out, &bytes, sizeof(bytes));
        others = special(bytes) & ((1u << (end - at)) - 1);
        out += end - at;
    }
    if (others)
        put_special(line, text);
    else
        line->at = out;
}

static INLINE void string_begin(struct line *line, enum string string)
{
    put(line, strings[string].key);
    line->limit = line->at + strings[string].limit;
    line->is_cut = false;
}

static INLINE void string_end(struct line *line, enum string string)
{
    line->cut |= (uint32_t)line->is_cut << string;
    *line->at++ = '"';
}

static INLINE void put_string(struct line *line, enum string string, struct span text)
{
    if (text.size == 0)
        return;
    string_begin(line, string);
    put_escaped(line, text);
    string_end(line, string);
}

/* --- secrets --- */

static void put_query(struct line *line, const struct access_redaction *redaction,
                      struct span query)
{
    while (query.size && !line->is_cut) {
        bool is_secret;
        put_escaped(line, access_redact(redaction, &query, &is_secret));
        if (is_secret)
            put_escaped(line, SPAN("***"));
    }
}

/* The part of a URL before its query, without the user-info that may stand before its host. */
static void put_place(struct line *line, struct span url)
{
    const char *slashes = memmem(url.data, url.size, "//", 2);
    size_t start = slashes ? (size_t)(slashes - url.data) + 2 : 0;
    struct span rest = { url.data + start, url.size - start };
    const char *at = memrchr(rest.data, '@', span_find(rest, '/'));
    put_escaped(line, span_first(url, start));
    put_escaped(line, at ? span_from(rest, (size_t)(at + 1 - rest.data)) : rest);
}

/* Without a fragment, where tokens of single-page applications live. */
static void put_referer(struct line *line, const struct access_redaction *redaction,
                        struct span url)
{
    if (url.size == 0)
        return;
    struct span query = span_first(url, span_find(url, '#'));
    string_begin(line, STRING_REFERER);
    put_place(line, span_cut(&query, '?'));
    if (query.data) {
        put_escaped(line, SPAN("?"));
        put_query(line, redaction, query);
    }
    string_end(line, STRING_REFERER);
}

/* --- other values --- */

static void put_time(struct line *line, struct access_format *format, unix_msec time)
{
    int64_t second = time / 1000;
    if (second != format->second || !format->second_text[0]) {
        char text[TIME_TEXT_MAX];
        time_format(second * 1000, text);
        memcpy(format->second_text, text, SECOND_SIZE);
        format->second = second;
    }
    put(line, (struct span){ format->second_text, SECOND_SIZE });
    *line->at++ = '.';
    put_three(line, (unsigned)(time % 1000));
    *line->at++ = 'Z';
}

/* Without the port; clients of a unix socket have no address. */
static void put_peer(struct line *line, const struct address *peer)
{
    if (!peer)
        return;
    put(line, SPAN(",\"client\":\""));
    if (peer->any.sa_family == AF_UNIX)
        put(line, SPAN("unix"));
    else
        line->at = address_put_host(line->at, peer);
    *line->at++ = '"';
}

static void put_upstream(struct line *line, const struct access_entry *entry)
{
    const struct address *upstream = entry->upstream;
    if (!upstream)
        return;
    put(line, SPAN(",\"upstream\":\""));
    if (upstream->any.sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&upstream->storage;
        line->at = address_put_host(line->at, upstream);
        *line->at++ = ':';
        put_uint(line, ntohs(v4->sin_port));
    } else {
        char text[ADDRESS_TEXT_MAX];
        address_format(upstream, text);
        line->limit = line->at + ADDRESS_TEXT_MAX;
        put_escaped(line, span_of(text));
    }
    *line->at++ = '"';
    if (entry->upstream_time != NSEC_NEVER) {
        put(line, SPAN(",\"upstream_ms\":"));
        put_msec(line, entry->upstream_time);
    }
    put(line, SPAN(",\"attempts\":"));
    put_uint(line, entry->n_attempts);
}

static void put_request(struct line *line, const struct access_redaction *redaction,
                        const struct access_entry *entry)
{
    put_string(line, STRING_METHOD, entry->method);
    put_string(line, STRING_HOST, entry->host);
    put_string(line, STRING_PATH, entry->path);
    if (entry->query.size) {
        string_begin(line, STRING_QUERY);
        put_query(line, redaction, entry->query);
        string_end(line, STRING_QUERY);
    }
    if (entry->has_head) {
        put(line, entry->is_http2        ? SPAN(",\"protocol\":\"HTTP/2\"")
                  : entry->minor_version ? SPAN(",\"protocol\":\"HTTP/1.1\"")
                                         : SPAN(",\"protocol\":\"HTTP/1.0\""));
    }
    if (entry->status) {
        put(line, SPAN(",\"status\":"));
        put_uint(line, entry->status);
    }
    put(line, SPAN(",\"bytes_in\":"));
    put_uint(line, entry->bytes_in);
    put(line, SPAN(",\"bytes_out\":"));
    put_uint(line, entry->bytes_out);
    put(line, SPAN(",\"duration_ms\":"));
    put_msec(line, entry->duration);
}

static void put_cut(struct line *line)
{
    char separator = '[';
    put(line, SPAN(",\"cut\":"));
    for (unsigned i = 0; i < N_STRINGS; i++) {
        if (!(line->cut & 1u << i))
            continue;
        struct span key = strings[i].key; /* without its comma, colon and quote */
        *line->at++ = separator;
        put(line, (struct span){ key.data + 1, key.size - 3 });
        separator = ',';
    }
    *line->at++ = ']';
}

size_t access_entry_format(struct access_format *format, const struct access_redaction *redaction,
                           const struct access_entry *entry, char ret_line[ACCESS_LINE_MAX])
{
    struct line line = { .at = ret_line, .limit = ret_line };
    put(&line, SPAN("{\"time\":\""));
    put_time(&line, format, entry->time);
    put(&line, entry->is_internal ? SPAN("\",\"listener\":\"internal\"")
                                  : SPAN("\",\"listener\":\"edge\""));
    put_peer(&line, entry->peer);
    put_request(&line, redaction, entry);
    if (entry->has_grpc_status) {
        put(&line, SPAN(",\"grpc_status\":"));
        put_uint(&line, entry->grpc_status);
    }
    put_string(&line, STRING_SERVICE, entry->service);
    put_string(&line, STRING_CONTRACT, entry->contract);
    put_string(&line, STRING_BUILD, entry->build);
    put_upstream(&line, entry);
    put_string(&line, STRING_BOM, entry->bom);
    put_string(&line, STRING_CUSTOMER, entry->customer);
    put_string(&line, STRING_CALLER, entry->caller);
    put_string(&line, STRING_APP, entry->app);
    put_string(&line, STRING_RELEASE, entry->release);
    put_string(&line, STRING_TRACE_ID, entry->trace_id);
    put_string(&line, STRING_REQUEST_ID, entry->request_id);
    put_string(&line, STRING_USER_AGENT, entry->user_agent);
    put_referer(&line, redaction, entry->referer);
    if (entry->fault)
        put_string(&line, STRING_FAULT, span_of(entry->fault));
    put_string(&line, STRING_REASON, span_first(entry->reason, span_find(entry->reason, '\n')));
    if (line.cut)
        put_cut(&line);
    put(&line, SPAN("}\n"));
    return (size_t)(line.at - ret_line);
}
