#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fields of HTTP/2, in both directions (RFC 9113 section 8).
 *
 * What comes in is written down as the head of HTTP/1.1 that says the same, and read by the parser
 * of those: there is one set of rules for both versions. What would not survive the writing, or
 * would mean something else there, is refused before. What goes out is made from field lines, and
 * looked at once more, for an upstream must not be made to read what nobody meant.
 *
 *   :method :path :authority, cookie, cookie  ──►  GET /a HTTP/1.1  host: b  cookie: c; d
 *
 * Private to http. Threads: none of its own. Cost: one copy of what comes in, and of what goes out.
 */

#include <stdbool.h>
#include <stdint.h>

#include "codec/hpack.h"
#include "http/fifo.h"
#include "http/message.h"

/* --- in --- */

enum http2_section {
    HTTP2_REQUEST,
    HTTP2_RESPONSE,
    HTTP2_TRAILERS,
    HTTP2_UNWANTED, /* it is counted only */
};

enum http2_in_answer {
    HTTP2_IN_OK,
    HTTP2_IN_MALFORMED, /* PROTOCOL_ERROR */
    HTTP2_IN_TOO_LARGE,
};

struct http2_in_limits {
    uint32_t size; /* of names and values, with 32 for each field: SETTINGS_MAX_HEADER_LIST_SIZE */
    uint32_t fields; /* without pseudo-fields; each piece of a cookie counts */
};

/* Bytes in the text, which may move while it grows; nothing is at 0, so that is absence. */
struct http2_place {
    uint32_t at, size;
};

/* A section on its way in. Zeroed it holds no memory. */
struct http2_in {
    struct fifo text;
    enum http2_section section;
    enum http2_in_answer answer; /* what http2_in_end() is going to say */
    uint64_t size;               /* with 32 for each field, of all that came */
    uint32_t n_fields;           /* that came, without pseudo-fields */
    struct http2_place method, scheme, authority, path, protocol;
    unsigned status;
    uint32_t head_at;   /* where the head begins, behind the pseudo-fields as they came */
    uint32_t cookie_at; /* the end of the value of Cookie */
    bool has_head;      /* its first line is written; no pseudo-field may follow */
    bool has_host;
};

void http2_in_begin(struct http2_in *in, struct spares *spares, enum http2_section section);

/* One field as it was decoded. What comes behind something refused is counted and dropped. */
void http2_in_add(struct http2_in *in, struct spares *spares, const struct http2_in_limits *limits,
                  struct span name, struct span value);

/* The same, straight from the decoder, which remembers what was found out about it. */
void http2_in_field(struct http2_in *in, struct spares *spares,
                    const struct http2_in_limits *limits, struct hpack_decoder *decoder,
                    const struct hpack_field *field);

/* No more fields. *ret_text, up to the next begin or clear: the head, or the trailer section, in
 * HTTP/1.1, with its empty line. Extended CONNECT is written as GET, and `protocol` says of what; a
 * protocol is never there otherwise. Answers: HTTP2_IN_MALFORMED, HTTP2_IN_TOO_LARGE. */
int http2_in_end(struct http2_in *in, struct spares *spares, struct span *ret_text) MUST_CHECK;

static inline struct span http2_in_text(const struct http2_in *in, struct http2_place place)
{
    return place.size ? (struct span){ in->text.data + place.at, place.size } : SPAN_NULL;
}

/* Gives the memory back. */
static inline void http2_in_clear(struct http2_in *in, struct spares *spares)
{
    fifo_clear(&in->text, spares);
}

/* --- out --- */

#define HTTP2_OUT_MAX 160u

struct http2_out_field {
    struct hpack_line line;
    bool is_small;                    /* the name has no capitals */
    enum hpack_static_field same : 8; /* it is that one, when not 0 */
    enum hpack_indexing how : 8;
};

/* Fields on their way out. Names and values are borrowed until they are encoded. */
struct http2_out {
    const struct hpack_encoder *encoder; /* that is going to encode them */
    unsigned n;
    bool is_refused; /* something in it was not legal, or too much */
    char digits[24]; /* of :status and content-length */
    size_t size;     /* of names and values */
    struct http2_out_field fields[HTTP2_OUT_MAX];
};

static inline void http2_out_begin(struct http2_out *out, const struct hpack_encoder *encoder)
{
    out->encoder = encoder;
    out->n = 0;
    out->is_refused = false;
    out->size = 0;
}

/* Room that the encoded fields may need, with what is used on the way. */
static inline size_t http2_out_bound(const struct http2_out *out)
{
    return HPACK_BEGIN_BOUND + 2 * out->size + (size_t)out->n * HPACK_FIELD_BOUND(0u, 0u);
}

/* Writes them at `at`, which has that room, and returns the end. */
char *http2_out_encode(const struct http2_out *out, struct hpack_encoder *encoder, char *at)
    MUST_CHECK;

/* The head of a request; with `upgrade`, extended CONNECT. False when something is not legal. */
bool http2_put_request(struct http2_out *out, const struct http_message *request, bool is_secure)
    MUST_CHECK;

/* :status and the fields, without length and date, which are the caller's to add. */
bool http2_put_status(struct http2_out *out, unsigned status, const struct http_message *response)
    MUST_CHECK;

/* Field lines: trailers, or those of a 1xx. */
bool http2_put_lines(struct http2_out *out, struct span lines) MUST_CHECK;

/* One that is known to be legal and small, as our own are. */
void http2_put(struct http2_out *out, struct span name, struct span value);

/* Once, behind :status or a request's fields. */
void http2_put_length(struct http2_out *out, uint64_t length);
