#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is sent: heads as lists of fields, independent of the HTTP version on the wire.
 *
 * The connection adds framing (Content-Length, Transfer-Encoding, Connection) and Date itself;
 * a message that carries one of those, or any hop-by-hop field, is a bug of its maker, but for a
 * Date that it says it has. Host is the maker's to give. A field that is not legal (a line break
 * in a value) never gets out: a response with one becomes a bare 500, a request ends with
 * HTTP_FAULT_INVALID. Lines are not looked at: they come out of http1_put_field() and its like,
 * which are the ones to say.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/span.h"
#include "codec/http1.h"

struct http_out_field {
    struct span name, value;
};

enum http_body_kind {
    HTTP_SEND_NONE,    /* no body: GET, HEAD, 204, 304 */
    HTTP_SEND_LENGTH,  /* exactly content_length bytes follow */
    HTTP_SEND_UNKNOWN, /* chunked, or until close towards HTTP/1.0 */
};

struct http_message {
    struct span method, target; /* of a request */
    bool is_checked;            /* they come from a parsed head and its normalised path */
    unsigned status;            /* of a response */
    bool has_date;              /* of a response: its maker gives a Date, so none is added */
    struct span lines;          /* field lines as the codec writes them, sent before the fields */
    bool expects_continue;      /* of a request: its body comes when a 100 has, or the like */
    bool wants_trailers;        /* of a request: see http_call_trailers() */
    struct span upgrade;        /* the protocol that is asked for, or agreed to; else SPAN_NULL */
    const struct http_out_field *fields;
    unsigned n_fields;
    enum http_body_kind body;
    uint64_t content_length;
};

/* Compared as one word; a request asks for it once or twice. */
static inline bool http_is_head(struct span method)
{
    return method.size == 4 && memcmp(method.data, "HEAD", 4) == 0;
}
