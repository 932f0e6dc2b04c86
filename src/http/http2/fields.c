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
    FIELD_NEW,         /* in every request: the table is too good for it */
    FIELD_SECRET, /* in a table that others' requests share, the size of what is sent would tell
                          them when they guessed it */
};

#define NAME(id) ((uint64_t)1 << (id))

_Static_assert(HTTP_N_NAMES <= 64, "a set of names is a word");

#define NAMES_FOR_ONE_HOP                                                                          \
    (NAME(HTTP_CONNECTION) | NAME(HTTP_KEEP_ALIVE) | NAME(HTTP_PROXY_CONNECTION) |                 \
     NAME(HTTP_TRANSFER_ENCODING) | NAME(HTTP_UPGRADE))
#define NAMES_NEW                                                                                  \
    (NAME(HTTP_TRACEPARENT) | NAME(HTTP_TRACESTATE) | NAME(HTTP_X_REQUEST_ID) |                    \
     NAME(HTTP_SARSEN_DEADLINE))
#define NAMES_SECRET                                                                               \
    (NAME(HTTP_COOKIE) | NAME(HTTP_SET_COOKIE) | NAME(HTTP_AUTHORIZATION) |                        \
     NAME(HTTP_PROXY_AUTHORIZATION))

/* `name` is a token. */
static inline enum field_kind field_kind_of(struct span name, struct span value)
{
    enum http_name id = http_name_of_token(name);
    uint64_t set = NAME(id);
    if (likely(id == HTTP_OTHER))
        return FIELD_PLAIN;
    if (unlikely(id == HTTP_TE))
        return span_equals_nocase(value, SPAN("trailers")) ? FIELD_PLAIN : FIELD_FOR_ONE_HOP;
    if (set & NAMES_FOR_ONE_HOP)
        return FIELD_FOR_ONE_HOP;
    if (set & NAMES_SECRET)
        return FIELD_SECRET;
    return set & NAMES_NEW ? FIELD_NEW : FIELD_PLAIN;
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

/* The bytes of one that is to be, or may have to be, written out. */
static inline struct http2_out_field *put(struct http2_out *out, struct span name,
                                          struct span value)
{
    struct http2_out_field *field = next(out);
    out->size += name.size + value.size;
    *field = (struct http2_out_field){
        .line = { .name = name, .value = value, .slot = HPACK_NO_SLOT },
        .is_small = true,
        .how = HPACK_INDEXED,
    };
    return field;
}

void http2_put(struct http2_out *out, struct span name, struct span value)
{
    put(out, name, value);
}

static void put_same(struct http2_out *out, enum hpack_static_field same)
{
    *next(out) = (struct http2_out_field){ .same = same };
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
    assert(encoder == out->encoder);
    at = hpack_begin(encoder, at);
    for (unsigned i = 0; i < out->n; i++) {
        const struct http2_out_field *field = &out->fields[i];
        struct span name = field->line.name, value = field->line.value;
        if (field->same)
            at = hpack_put_static(at, field->same);
        else if (unlikely(!field->is_small))
            at = hpack_put(encoder, at, make_small(out, at, name), value, field->how);
        else if (likely(field->how == HPACK_INDEXED))
            at = hpack_put_line(encoder, at, &field->line);
        else
            at = hpack_put(encoder, at, name, value, field->how);
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

/* A legal name and value; returns the field when it may lie in the table under that very name. */
static struct hpack_line *put_checked(struct http2_out *out, const struct http1_line *line)
{
    enum field_kind kind = field_kind_of(line->name, line->value);
    if (unlikely(kind == FIELD_FOR_ONE_HOP))
        return NULL;
    struct http2_out_field *field = put(out, line->name, line->value);
    field->is_small = line->is_small;
    if (kind != FIELD_PLAIN)
        field->how = kind == FIELD_SECRET ? HPACK_NEVER : HPACK_LITERAL;
    return line->is_small && kind == FIELD_PLAIN ? &field->line : NULL;
}

/* A line that is as one that was put before: nothing has to be found out. */
static bool put_known(struct http2_out *out, const struct hpack_line *after, struct span lines)
{
    struct http2_out_field *field = &out->fields[out->n];
    if (unlikely(out->n == HTTP2_OUT_MAX) ||
        !hpack_guess_line(out->encoder, after, lines, &field->line))
        return false;
    field->is_small = true;
    field->same = HPACK_NO_FIELD;
    field->how = HPACK_INDEXED;
    out->size += field->line.name.size + field->line.value.size;
    out->n++;
    return true;
}

bool http2_put_lines(struct http2_out *out, struct span lines)
{
    const struct hpack_line *after = NULL;
    while (lines.size > 0) {
        struct http1_line line;
        const char *start = lines.data;
        if (likely(put_known(out, after, lines))) {
            after = &out->fields[out->n - 1].line;
            lines = span_from(lines, after->name.size + after->value.size + 4);
            continue;
        }
        if (!http1_cut_line(&lines, &line)) {
            out->is_refused = true;
            break;
        }
        struct hpack_line *known = put_checked(out, &line);
        size_t size = line.name.size + line.value.size + 4;
        if (known && hpack_find_line(out->encoder, (struct span){ start, size }, known))
            after = known;
    }
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
            put_checked(out, &(struct http1_line){ field->name, field->value,
                                                   http_is_small_token(field->name) });
    }
    out->is_refused |= !is_legal;
    return !out->is_refused;
}

static enum hpack_static_field status_field(unsigned status)
{
    switch (status) {
    case 200: return HPACK_STATUS_200;
    case 204: return HPACK_STATUS_204;
    case 206: return HPACK_STATUS_206;
    case 304: return HPACK_STATUS_304;
    case 400: return HPACK_STATUS_400;
    case 404: return HPACK_STATUS_404;
    case 500: return HPACK_STATUS_500;
    default: return HPACK_NO_FIELD;
    }
}

bool http2_put_status(struct http2_out *out, unsigned status, const struct http_message *response)
{
    char *at = out->digits;
    enum hpack_static_field same = status_field(status);
    assert(status >= 100 && status <= 599);
    if (likely(same)) {
        put_same(out, same);
        return put_fields(out, response);
    }
    at[0] = (char)('0' + status / 100);
    at[1] = (char)('0' + status / 10 % 10);
    at[2] = (char)('0' + status % 10);
    http2_put(out, SPAN(":status"), (struct span){ at, 3 });
    return put_fields(out, response);
}

static inline bool is_host(const struct http2_out_field *field)
{
    return field->line.name.size == 4 && span_equals_nocase(field->line.name, SPAN("host"));
}

/* Host, which is among the fields from `first` on, and there first of all as a rule, becomes
 * :authority, which goes before them. False when there is none, or a second. */
static bool make_authority(struct http2_out *out, unsigned first)
{
    unsigned n_hosts = 0;
    for (unsigned i = first; i < out->n; i++) {
        if (likely(!is_host(&out->fields[i])))
            continue;
        struct span authority = out->fields[i].line.value;
        memmove(&out->fields[first + 1], &out->fields[first], (i - first) * sizeof(*out->fields));
        out->fields[first] = (struct http2_out_field){
            .line = { .name = SPAN(":authority"), .value = authority, .slot = HPACK_NO_SLOT },
            .is_small = true,
            .how = HPACK_INDEXED,
        };
        out->size += sizeof(":authority");
        n_hosts += 1 + !authority.size;
    }
    return n_hosts == 1;
}

static bool is_path(struct span target, struct span method)
{
    bool is_asterisk = span_equals(target, SPAN("*")) && span_equals(method, SPAN("OPTIONS"));
    return http_is_target(target) && (target.data[0] == '/' || is_asterisk);
}

static void put_method(struct http2_out *out, struct span method)
{
    if (span_equals(method, SPAN("GET")))
        put_same(out, HPACK_METHOD_GET);
    else if (span_equals(method, SPAN("POST")))
        put_same(out, HPACK_METHOD_POST);
    else
        http2_put(out, SPAN(":method"), method);
}

bool http2_put_request(struct http2_out *out, const struct http_message *request, bool is_secure)
{
    bool is_tunnel = request->upgrade.size > 0;
    if (!http_is_token(request->method) || !is_path(request->target, request->method) ||
        (is_tunnel && !http_is_token(request->upgrade))) {
        out->is_refused = true;
        return false;
    }
    if (is_tunnel) {
        http2_put(out, SPAN(":method"), SPAN("CONNECT"));
        http2_put(out, SPAN(":protocol"), request->upgrade);
    } else {
        put_method(out, request->method);
    }
    put_same(out, is_secure ? HPACK_SCHEME_HTTPS : HPACK_SCHEME_HTTP);
    http2_put(out, SPAN(":path"), request->target);
    unsigned first = out->n;
    if (!put_fields(out, request) || !make_authority(out, first))
        out->is_refused = true;
    return !out->is_refused;
}
