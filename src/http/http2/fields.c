/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The text of a section that comes in, while it grows:
 *
 *   . | GET | /a | shop.example | GET /a HTTP/1.1 CR LF host: shop.example CR LF accept: ... CR LF
 *     method path  authority      head_at
 *
 * Pseudo-fields come first and in any order; with the first other field it is known what the head
 * begins with. They stay where they are, for a Host to be compared with.
 */

#include "http/http2/fields.h"

#include <assert.h>

#define FIELD_OVERHEAD 32u /* RFC 9113 section 10.5.1 */
#define START_ROOM 64u     /* what a head begins with, besides method, path and authority */

enum field_kind {
    FIELD_PLAIN,
    FIELD_FOR_ONE_HOP, /* it has no place in HTTP/2 (RFC 9113 section 8.2.2) */
    FIELD_NOT_INDEXED,
};

#define KNOWN_NAME_MAX 19u /* of the names below */

/* By the size of the name. What is not indexed is not to lie in a table which others' requests share,
 * for the size of what is sent would tell them when they guessed it; or it is new in every request,
 * and the table is too good for it. */
static const struct {
    const char *name;
    enum field_kind kind;
} known_fields[KNOWN_NAME_MAX + 1][4] = {
    [6] = { { "cookie", FIELD_NOT_INDEXED } },
    [7] = { { "upgrade", FIELD_FOR_ONE_HOP } },
    [10] = { { "set-cookie", FIELD_NOT_INDEXED },
             { "tracestate", FIELD_NOT_INDEXED },
             { "connection", FIELD_FOR_ONE_HOP },
             { "keep-alive", FIELD_FOR_ONE_HOP } },
    [11] = { { "traceparent", FIELD_NOT_INDEXED } },
    [12] = { { "x-request-id", FIELD_NOT_INDEXED } },
    [13] = { { "authorization", FIELD_NOT_INDEXED } },
    [15] = { { "sarsen-deadline", FIELD_NOT_INDEXED } },
    [16] = { { "proxy-connection", FIELD_FOR_ONE_HOP } },
    [17] = { { "transfer-encoding", FIELD_FOR_ONE_HOP } },
    [19] = { { "proxy-authorization", FIELD_NOT_INDEXED } },
};

/* `name` has small letters only. */
static inline enum field_kind field_kind_of(struct span name, struct span value)
{
    if (name.size == 2 && memcmp(name.data, "te", 2) == 0)
        return span_equals_nocase(value, SPAN("trailers")) ? FIELD_PLAIN : FIELD_FOR_ONE_HOP;
    if (name.size > KNOWN_NAME_MAX)
        return FIELD_PLAIN;
    for (unsigned i = 0; i < 4 && known_fields[name.size][i].name; i++) {
        if (memcmp(known_fields[name.size][i].name, name.data, name.size) == 0)
            return known_fields[name.size][i].kind;
    }
    return FIELD_PLAIN;
}

/* The same for a name in whatever letters. */
RARE static enum field_kind field_kind_of_any(struct span name, struct span value)
{
    char small[KNOWN_NAME_MAX];
    if (name.size > sizeof(small))
        return FIELD_PLAIN;
    for (size_t i = 0; i < name.size; i++)
        small[i] =
            (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i]);
    return field_kind_of((struct span){ small, name.size }, value);
}

/* --- in --- */

static void refuse(struct http2_in *in, enum http2_in_answer answer)
{
    if (in->answer == HTTP2_IN_OK)
        in->answer = answer;
}

static uint32_t append(struct http2_in *in, struct spares *spares, struct span bytes)
{
    uint32_t at = in->text.end;
    fifo_append(&in->text, spares, bytes);
    return at;
}

static bool has(struct http2_place place)
{
    return place.size > 0;
}

void http2_in_begin(struct http2_in *in, struct spares *spares, enum http2_section section)
{
    struct fifo text = in->text;
    *in = (struct http2_in){ .text = text, .section = section };
    if (unlikely(section == HTTP2_UNWANTED)) {
        in->answer = HTTP2_IN_MALFORMED;
        return;
    }
    if (in->text.data)
        in->text.offset = in->text.end = 0;
    append(in, spares, SPAN("."));
}

static void put_request_line(struct http2_in *in, struct spares *spares)
{
    bool is_tunnel = span_equals(http2_in_text(in, in->method), SPAN("CONNECT"));
    bool is_whole = has(in->method) && has(in->scheme) && has(in->path);
    if (is_tunnel && !has(in->protocol))
        is_whole = !has(in->scheme) && !has(in->path) && has(in->authority);
    else if (has(in->protocol))
        is_whole = is_whole && is_tunnel && has(in->authority);
    if (!is_whole) {
        refuse(in, HTTP2_IN_MALFORMED);
        return;
    }

    size_t size = (size_t)in->method.size + in->path.size + 2 * (size_t)in->authority.size;
    fifo_reserve(&in->text, spares, START_ROOM + size); /* nothing moves from here on */
    struct span method = http2_in_text(in, in->method);
    struct span authority = http2_in_text(in, in->authority);
    append(in, spares, has(in->protocol) ? SPAN("GET") : method);
    append(in, spares, SPAN(" "));
    append(in, spares, has(in->path) ? http2_in_text(in, in->path) : authority);
    append(in, spares, SPAN(" HTTP/1.1\r\n"));
    if (has(in->authority)) {
        append(in, spares, SPAN("host: "));
        append(in, spares, authority);
        append(in, spares, SPAN("\r\n"));
        in->has_host = true;
    }
}

static void put_status_line(struct http2_in *in, struct spares *spares)
{
    char *at = fifo_reserve(&in->text, spares, START_ROOM);
    struct http1_out out = { .data = at, .capacity = START_ROOM };
    if (!in->status) {
        refuse(in, HTTP2_IN_MALFORMED);
        return;
    }
    http1_put_status_line(&out, in->status);
    assert(!out.is_full);
    fifo_grow(&in->text, out.size);
}

static void put_start(struct http2_in *in, struct spares *spares)
{
    in->has_head = true;
    in->head_at = in->text.end;
    switch (in->section) {
    case HTTP2_REQUEST: put_request_line(in, spares); break;
    case HTTP2_RESPONSE: put_status_line(in, spares); break;
    case HTTP2_TRAILERS:
    case HTTP2_UNWANTED: break;
    }
}

/* `name` begins with ":". */
static struct http2_place *pseudo_place(struct http2_in *in, struct span name)
{
    if (span_equals(name, SPAN(":path")))
        return &in->path;
    if (span_equals(name, SPAN(":method")))
        return &in->method;
    if (span_equals(name, SPAN(":scheme")))
        return &in->scheme;
    if (span_equals(name, SPAN(":authority")))
        return &in->authority;
    return span_equals(name, SPAN(":protocol")) ? &in->protocol : NULL;
}

/* Whether the value can stand in a request line, or in a field, and means the same there. What an
 * authority is the parser knows. */
static bool is_pseudo_value(const struct http2_in *in, const struct http2_place *place,
                            struct span value)
{
    if (place == &in->path)
        return http_is_target(value) && (value.data[0] == '/' || span_equals(value, SPAN("*")));
    if (place == &in->scheme)
        return span_equals(value, SPAN("http")) || span_equals(value, SPAN("https"));
    if (place == &in->authority)
        return http_is_target(value);
    return http_is_token(value);
}

static void add_status(struct http2_in *in, struct span name, struct span value)
{
    uint64_t status = 0;
    if (in->status || !span_equals(name, SPAN(":status")) || value.size != 3 ||
        !span_to_uint(value, 599, &status) || status < 100) {
        refuse(in, HTTP2_IN_MALFORMED);
        return;
    }
    in->status = (unsigned)status;
}

static void add_pseudo(struct http2_in *in, struct spares *spares, struct span name,
                       struct span value)
{
    if (in->has_head || in->section == HTTP2_TRAILERS) {
        refuse(in, HTTP2_IN_MALFORMED);
        return;
    }
    if (in->section == HTTP2_RESPONSE) {
        add_status(in, name, value);
        return;
    }
    struct http2_place *place = pseudo_place(in, name);
    if (!place || has(*place) || !is_pseudo_value(in, place, value)) {
        refuse(in, HTTP2_IN_MALFORMED);
        return;
    }
    place->at = append(in, spares, value);
    place->size = (uint32_t)value.size;
}

/* A cookie may come in pieces, which are one field to everybody else (RFC 9113 section 8.2.3). */
static void join_cookie(struct http2_in *in, struct spares *spares, struct span value)
{
    size_t size = value.size + 2, behind = in->text.end - in->cookie_at;
    fifo_reserve(&in->text, spares, size);
    char *at = in->text.data + in->cookie_at;
    memmove(at + size, at, behind);
    at[0] = ';';
    at[1] = ' ';
    if (value.size)
        memcpy(at + 2, value.data, value.size);
    fifo_grow(&in->text, size);
    in->cookie_at += (uint32_t)size;
}

static void add_line(struct http2_in *in, struct spares *spares, struct span name,
                     struct span value)
{
    size_t size = name.size + value.size + 4;
    char *at = fifo_reserve(&in->text, spares, size);
    memcpy(at, name.data, name.size);
    at += name.size;
    *at++ = ':';
    *at++ = ' ';
    if (value.size)
        memcpy(at, value.data, value.size);
    at[value.size] = '\r';
    at[value.size + 1] = '\n';
    fifo_grow(&in->text, size);
}

/* Host says nothing new where there is an authority, and it must not say another. */
static void add_host(struct http2_in *in, struct spares *spares, struct span value)
{
    bool is_other =
        has(in->authority) && !span_equals_nocase(value, http2_in_text(in, in->authority));
    if (is_other)
        refuse(in, HTTP2_IN_MALFORMED);
    else if (!has(in->authority))
        add_line(in, spares, SPAN("host"), value);
}

/* What a field that is no pseudo-field may be to a request. */
enum field_part {
    PART_UNKNOWN, /* nobody has looked; what hpack_know() begins with */
    PART_LINE,
    PART_HOST,
    PART_COOKIE,
    PART_PSEUDO,
    PART_ILLEGAL,
};

static enum field_part part_of(struct span name, struct span value)
{
    if (name.size > 0 && name.data[0] == ':')
        return PART_PSEUDO;
    if (!http_is_small_token(name) || !http_is_field_value(value) ||
        field_kind_of(name, value) == FIELD_FOR_ONE_HOP)
        return PART_ILLEGAL;
    if (span_equals(name, SPAN("host")))
        return PART_HOST;
    return span_equals(name, SPAN("cookie")) ? PART_COOKIE : PART_LINE;
}

static void add_cookie(struct http2_in *in, struct spares *spares, struct span name,
                       struct span value)
{
    if (in->cookie_at) {
        join_cookie(in, spares, value);
        return;
    }
    add_line(in, spares, name, value);
    in->cookie_at = in->text.end - 2;
}

static void add_part(struct http2_in *in, struct spares *spares, const struct hpack_field *field,
                     enum field_part part)
{
    struct span name = field->name, value = field->value;
    if (part == PART_PSEUDO) {
        add_pseudo(in, spares, name, value);
        return;
    }
    if (unlikely(!in->has_head))
        put_start(in, spares);
    if (unlikely(part == PART_ILLEGAL))
        refuse(in, HTTP2_IN_MALFORMED);
    else if (part == PART_HOST && in->section == HTTP2_REQUEST)
        add_host(in, spares, value);
    else if (part == PART_COOKIE && in->section == HTTP2_REQUEST)
        add_cookie(in, spares, name, value);
    else
        add_line(in, spares, name, value);
}

/* False when it is too much, or something before it was. */
static bool count_field(struct http2_in *in, const struct http2_in_limits *limits,
                        const struct hpack_field *field, enum field_part part)
{
    in->size += field->name.size + field->value.size + FIELD_OVERHEAD;
    in->n_fields += part != PART_PSEUDO;
    if (unlikely(in->size > limits->size || in->n_fields > limits->fields))
        refuse(in, HTTP2_IN_TOO_LARGE);
    return likely(!in->answer);
}

void http2_in_add(struct http2_in *in, struct spares *spares, const struct http2_in_limits *limits,
                  struct span name, struct span value)
{
    struct hpack_field field = { .name = name, .value = value };
    enum field_part part = part_of(name, value);
    if (count_field(in, limits, &field, part))
        add_part(in, spares, &field, part);
}

void http2_in_field(struct http2_in *in, struct spares *spares,
                    const struct http2_in_limits *limits, struct hpack_decoder *decoder,
                    const struct hpack_field *field)
{
    enum field_part part = (enum field_part)field->known;
    if (part == PART_UNKNOWN) {
        part = part_of(field->name, field->value);
        hpack_know(decoder, (uint8_t)part);
    }
    if (count_field(in, limits, field, part))
        add_part(in, spares, field, part);
}

int http2_in_end(struct http2_in *in, struct spares *spares, struct span *ret_text)
{
    if (!in->answer && !in->has_head)
        put_start(in, spares);
    if (in->answer)
        return (int)in->answer;
    append(in, spares, SPAN("\r\n"));
    *ret_text = span_from(fifo_span(&in->text), in->head_at);
    return HTTP2_IN_OK;
}

/* --- out --- */

static struct http2_out_field *next(struct http2_out *out)
{
    if (unlikely(out->n == HTTP2_OUT_MAX)) {
        out->is_refused = true;
        out->n--; /* it is not sent anyway */
    }
    return &out->fields[out->n++];
}

static inline void put(struct http2_out *out, struct span name, struct span value, bool is_small,
                       enum hpack_indexing how)
{
    out->size += name.size + value.size;
    *next(out) = (struct http2_out_field){ name, value, is_small, how };
}

void http2_put(struct http2_out *out, struct span name, struct span value)
{
    put(out, name, value, true, HPACK_INDEXED);
}

/* Where the name has capitals it is made small in the room behind what is written. */
static RARE struct span make_small(const struct http2_out *out, char *at, struct span name)
{
    char *small = at + HPACK_FIELD_BOUND(out->size, 0);
    for (size_t i = 0; i < name.size; i++)
        small[i] =
            (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i]);
    return (struct span){ small, name.size };
}

char *http2_out_encode(const struct http2_out *out, struct hpack_encoder *encoder, char *at)
{
    at = hpack_begin(encoder, at);
    for (unsigned i = 0; i < out->n; i++) {
        const struct http2_out_field *field = &out->fields[i];
        struct span name = likely(field->is_small) ? field->name : make_small(out, at, field->name);
        at = hpack_put(encoder, at, name, field->value, field->how);
    }
    return at;
}

void http2_put_length(struct http2_out *out, uint64_t length)
{
    char *end = out->digits + sizeof(out->digits), *at = end;
    do {
        *--at = (char)('0' + length % 10);
        length /= 10;
    } while (length);
    http2_put(out, SPAN("content-length"), (struct span){ at, (size_t)(end - at) });
}

/* A legal name and value. */
static inline void put_checked(struct http2_out *out, struct span name, struct span value,
                               bool is_small)
{
    enum field_kind kind =
        likely(is_small) ? field_kind_of(name, value) : field_kind_of_any(name, value);
    if (unlikely(kind == FIELD_FOR_ONE_HOP))
        return;
    put(out, name, value, is_small, kind == FIELD_NOT_INDEXED ? HPACK_NEVER : HPACK_INDEXED);
}

bool http2_put_lines(struct http2_out *out, struct span lines)
{
    struct http1_line line;
    while (lines.size > 0 && http1_cut_line(&lines, &line))
        put_checked(out, line.name, line.value, line.is_small);
    if (lines.size > 0)
        out->is_refused = true;
    return !out->is_refused;
}

static bool put_fields(struct http2_out *out, const struct http_message *message)
{
    bool is_legal = http2_put_lines(out, message->lines);
    for (unsigned i = 0; i < message->n_fields; i++) {
        const struct http_out_field *field = &message->fields[i];
        if (!http_is_token(field->name) || !http_is_field_value(field->value))
            is_legal = false;
        else
            put_checked(out, field->name, field->value, http_is_small_token(field->name));
    }
    out->is_refused |= !is_legal;
    return !out->is_refused;
}

bool http2_put_status(struct http2_out *out, unsigned status, const struct http_message *response)
{
    char *at = out->digits;
    assert(status >= 100 && status <= 599);
    at[0] = (char)('0' + status / 100);
    at[1] = (char)('0' + status / 10 % 10);
    at[2] = (char)('0' + status % 10);
    http2_put(out, SPAN(":status"), (struct span){ at, 3 });
    return put_fields(out, response);
}

/* The place of :authority is taken beforehand, and its value is among the fields. False when there
 * is none, or a second. */
static bool move_host(struct http2_out *out, unsigned authority)
{
    unsigned n_kept = authority + 1, n_hosts = 0;
    for (unsigned i = n_kept; i < out->n; i++) {
        const struct http2_out_field *field = &out->fields[i];
        if (field->name.size == 4 && span_equals_nocase(field->name, SPAN("host"))) {
            out->fields[authority].value = field->value;
            n_hosts++;
        } else if (n_kept++ != i) {
            out->fields[n_kept - 1] = *field;
        }
    }
    out->n = n_kept;
    return n_hosts == 1 && out->fields[authority].value.size > 0;
}

static bool is_path(struct span target, struct span method)
{
    bool is_asterisk = span_equals(target, SPAN("*")) && span_equals(method, SPAN("OPTIONS"));
    return http_is_target(target) && (target.data[0] == '/' || is_asterisk);
}

bool http2_put_request(struct http2_out *out, const struct http_message *request, bool is_secure)
{
    bool is_tunnel = request->upgrade.size > 0;
    if (!http_is_token(request->method) || !is_path(request->target, request->method) ||
        (is_tunnel && !http_is_token(request->upgrade))) {
        out->is_refused = true;
        return false;
    }
    http2_put(out, SPAN(":method"), is_tunnel ? SPAN("CONNECT") : request->method);
    if (is_tunnel)
        http2_put(out, SPAN(":protocol"), request->upgrade);
    http2_put(out, SPAN(":scheme"), is_secure ? SPAN("https") : SPAN("http"));
    http2_put(out, SPAN(":path"), request->target);
    unsigned authority = out->n;
    http2_put(out, SPAN(":authority"), SPAN(""));
    if (!put_fields(out, request) || !move_host(out, authority))
        out->is_refused = true;
    return !out->is_refused;
}
