#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP/1.1 heads and chunked bodies, bytes to structs and back (RFC 9112, fields RFC 9110).
 *
 * Strict: what two parsers could read differently is refused. Bare CR, bare LF, NUL and control
 * bytes, space before the colon, obs-fold, empty names, Content-Length together with
 * Transfer-Encoding, differing or malformed lengths, any coding but a single final "chunked",
 * Transfer-Encoding in HTTP/1.0, a missing or repeated Host are errors, each with the status to
 * answer. One framing decision is made here, once, and everybody uses it.
 *
 * The parser is a pure function of the bytes so far: it answers HTTP1_MORE until the head is
 * complete or wrong, so any split of the input gives the same result.
 *
 * Borrows:  everything in a head points into the bytes parsed. Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define HTTP1_MAX_FIELDS 100u

/* Well-known names, found once while parsing; the others are HTTP_OTHER. From HTTP_ACCEPT on they
 * mean nothing to us, but nearly every message has some of them. */
#define HTTP_NAMES(X)                                                                              \
    X(HTTP_ACCEPT_ENCODING, "accept-encoding")                                                     \
    X(HTTP_AUTHORIZATION, "authorization")                                                         \
    X(HTTP_BAGGAGE, "baggage")                                                                     \
    X(HTTP_CACHE_CONTROL, "cache-control")                                                         \
    X(HTTP_CONNECTION, "connection")                                                               \
    X(HTTP_CONTENT_LENGTH, "content-length")                                                       \
    X(HTTP_CONTENT_TYPE, "content-type")                                                           \
    X(HTTP_COOKIE, "cookie")                                                                       \
    X(HTTP_DATE, "date")                                                                           \
    X(HTTP_ETAG, "etag")                                                                           \
    X(HTTP_EXPECT, "expect")                                                                       \
    X(HTTP_FORWARDED, "forwarded")                                                                 \
    X(HTTP_GRPC_STATUS, "grpc-status")                                                             \
    X(HTTP_GRPC_TIMEOUT, "grpc-timeout")                                                           \
    X(HTTP_HOST, "host")                                                                           \
    X(HTTP_IF_MATCH, "if-match")                                                                   \
    X(HTTP_IF_NONE_MATCH, "if-none-match")                                                         \
    X(HTTP_KEEP_ALIVE, "keep-alive")                                                               \
    X(HTTP_LOCATION, "location")                                                                   \
    X(HTTP_MAX_FORWARDS, "max-forwards")                                                           \
    X(HTTP_ORIGIN, "origin")                                                                       \
    X(HTTP_PROXY_AUTHENTICATE, "proxy-authenticate")                                               \
    X(HTTP_PROXY_AUTHORIZATION, "proxy-authorization")                                             \
    X(HTTP_PROXY_CONNECTION, "proxy-connection")                                                   \
    X(HTTP_SARSEN_BOM, "sarsen-bom")                                                               \
    X(HTTP_SARSEN_BUILD, "sarsen-build")                                                           \
    X(HTTP_SARSEN_CALLER, "sarsen-caller")                                                         \
    X(HTTP_SARSEN_CONTRACT, "sarsen-contract")                                                     \
    X(HTTP_SARSEN_CUSTOMER, "sarsen-customer")                                                     \
    X(HTTP_SARSEN_DEADLINE, "sarsen-deadline")                                                     \
    X(HTTP_SARSEN_SERVICE, "sarsen-service")                                                       \
    X(HTTP_SERVER, "server")                                                                       \
    X(HTTP_SET_COOKIE, "set-cookie")                                                               \
    X(HTTP_TE, "te")                                                                               \
    X(HTTP_TRACEPARENT, "traceparent")                                                             \
    X(HTTP_TRACESTATE, "tracestate")                                                               \
    X(HTTP_TRAILER, "trailer")                                                                     \
    X(HTTP_TRANSFER_ENCODING, "transfer-encoding")                                                 \
    X(HTTP_UPGRADE, "upgrade")                                                                     \
    X(HTTP_VIA, "via")                                                                             \
    X(HTTP_X_FORWARDED_FOR, "x-forwarded-for")                                                     \
    X(HTTP_X_FORWARDED_HOST, "x-forwarded-host")                                                   \
    X(HTTP_X_FORWARDED_PROTO, "x-forwarded-proto")                                                 \
    X(HTTP_X_REQUEST_ID, "x-request-id")                                                           \
    X(HTTP_ACCEPT, "accept")                                                                       \
    X(HTTP_ACCEPT_LANGUAGE, "accept-language")                                                     \
    X(HTTP_ACCEPT_RANGES, "accept-ranges")                                                         \
    X(HTTP_AGE, "age")                                                                             \
    X(HTTP_CONTENT_ENCODING, "content-encoding")                                                   \
    X(HTTP_EXPIRES, "expires")                                                                     \
    X(HTTP_IF_MODIFIED_SINCE, "if-modified-since")                                                 \
    X(HTTP_LAST_MODIFIED, "last-modified")                                                         \
    X(HTTP_REFERER, "referer")                                                                     \
    X(HTTP_USER_AGENT, "user-agent")                                                               \
    X(HTTP_VARY, "vary")

enum http_name {
    HTTP_OTHER,
#define HTTP_NAME_ENUM(id, text) id,
    HTTP_NAMES(HTTP_NAME_ENUM)
#undef HTTP_NAME_ENUM
    HTTP_N_NAMES,
};

struct http_field {
    struct span name;  /* as received */
    struct span value; /* trimmed */
    enum http_name id : 8;
    bool is_hop_by_hop;  /* by its name, or because Connection nominates it */
    bool has_underscore; /* CGI, Rack and WSGI cannot tell such a name from one with "-" */
    bool is_canonical;   /* its line is exactly name ":" SP value CRLF, as we would write it */
};

/* The line of a canonical field with its CRLF, as received: it may be forwarded by reference. */
static inline struct span http_field_line(const struct http_field *field)
{
    const char *end = field->value.data + field->value.size + 2;
    return (struct span){ field->name.data, (size_t)(end - field->name.data) };
}

/* How a message's body ends (RFC 9112 section 6.3). */
enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

enum http_target_form {
    HTTP_TARGET_ORIGIN,    /* /path?query */
    HTTP_TARGET_ABSOLUTE,  /* http://host/path */
    HTTP_TARGET_AUTHORITY, /* host:port, CONNECT only */
    HTTP_TARGET_ASTERISK,  /* *, OPTIONS only */
};

struct http_head {
    struct span method, target; /* of a request */
    struct span path_and_query; /* of the target; "/" when an absolute form has no path; "*" for
                                   the asterisk, empty for an authority */
    struct span authority;      /* host[:port] of the absolute form, which Host must repeat, else
                                   the Host field; SPAN_NULL in HTTP/1.0 without one */
    enum http_target_form form;
    unsigned status; /* of a response */
    struct span reason;
    unsigned minor_version; /* 0 or 1 */
    bool is_http2;          /* it came by HTTP/2; then the version above is 1 */
    bool is_keep_alive;     /* what the sender asks for, with the default of its version */
    bool expects_continue;
    bool accepts_trailers; /* TE: trailers */
    struct span upgrade;   /* the protocol that is asked for, or agreed to with 101; SPAN_NULL */
    enum http_framing framing;
    uint64_t content_length; /* with HTTP_BODY_LENGTH */
    unsigned n_fields;
    struct http_field fields[HTTP1_MAX_FIELDS];
    uint8_t by_name[HTTP_N_NAMES]; /* position of the first field of that name + 1; 0 = absent */
    uint64_t repeated;             /* names that have more than one field, a bit for each */
    size_t size;                   /* of the head in bytes, with its final empty line */
};

struct http1_limits {
    size_t head;     /* bytes of the whole head */
    size_t line;     /* bytes of the start line, and of any field line, with its CRLF */
    unsigned fields; /* field lines; 0 is HTTP1_MAX_FIELDS, which is also the most there can be */
};

enum http1_answer {
    HTTP1_OK,
    HTTP1_MORE, /* not complete yet */
    HTTP1_BAD,  /* refused; http1_error says why */
};

/* Why a message was refused: the status to answer with, and a sentence. */
struct http1_error {
    unsigned status; /* for a request 400, 414, 417, 431, 501 or 505, for a response 502 */
    const char *text;
};

/* *ret_head is meaningful only after HTTP1_OK, *ret_error only after HTTP1_BAD; both may have been
 * written to otherwise. Answers: HTTP1_MORE, HTTP1_BAD. */
int http1_parse_request(struct span bytes, const struct http1_limits *limits,
                        struct http_head *ret_head, struct http1_error *ret_error) MUST_CHECK;

/* For a request whose field lines are, byte for byte, those of the request that *head came from,
 * and lie where those lay: reads the new request line in front of them, and leaves to *head what it
 * knows of the fields. False when it takes more than that, from the target's form to any fault;
 * then *head is spoilt, and the whole is to be parsed. */
bool http1_parse_request_line(struct span line, const struct http1_limits *limits,
                              struct http_head *head) MUST_CHECK;

/* `method` is that of the request: HEAD and CONNECT decide the framing. Answers: HTTP1_MORE,
 * HTTP1_BAD. 1xx heads are returned like others; the caller goes on to the next. */
int http1_parse_response(struct span bytes, struct span method, const struct http1_limits *limits,
                         struct http_head *ret_head, struct http1_error *ret_error) MUST_CHECK;

/* A trailer section up to and with its empty line, as http1_chunked_decode() hands it out. Fills in
 * fields, n_fields, by_name and size of *ret_head, and nothing else. What may not stand in trailers
 * (RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, response control,
 * Content-*), what concerns one hop only and what is Sarsen's own is left out. Answers: HTTP1_MORE,
 * HTTP1_BAD; the status of an error is that of a request. */
int http1_parse_trailers(struct span bytes, const struct http1_limits *limits,
                         struct http_head *ret_head, struct http1_error *ret_error) MUST_CHECK;

/* The value of the first field of that name, or SPAN_NULL. */
static inline struct span http_head_value(const struct http_head *head, enum http_name name)
{
    return head->by_name[name] ? head->fields[head->by_name[name] - 1].value : SPAN_NULL;
}

/* Whether there is exactly one field of that name. */
static inline bool http_head_has_one(const struct http_head *head, enum http_name name)
{
    return head->by_name[name] && !(head->repeated >> name & 1);
}

/* Whether bytes of a body follow: where none do, the end of one is not told of either. */
static inline bool http_head_has_body(const struct http_head *head)
{
    return head->framing != HTTP_BODY_NONE &&
           (head->framing != HTTP_BODY_LENGTH || head->content_length > 0);
}

/* What "Authorization: Bearer …" brings, or SPAN_NULL. */
static inline struct span http_head_bearer(const struct http_head *head)
{
    struct span value = http_head_value(head, HTTP_AUTHORIZATION);
    bool is_bearer = span_equals_nocase(span_first(value, 7), SPAN("Bearer "));
    return is_bearer ? span_trim(span_from(value, 7)) : SPAN_NULL;
}

/* The chunked coding, decoded in place of arrival (RFC 9112 section 7.1). Chunk extensions are
 * bounded and dropped; trailers are bounded, held to the field rules and handed out as they are. */
struct http1_chunked {
    uint64_t left; /* of the chunk's data */
    uint32_t state;
    uint32_t overhead; /* bytes of extensions and trailers so far */
};

enum http1_chunked_answer {
    HTTP1_CHUNK_DATA,    /* *ret_data is body; call again with what follows it */
    HTTP1_CHUNK_MORE,    /* all of `bytes` was used */
    HTTP1_CHUNK_END,     /* the body is complete */
    HTTP1_CHUNK_TRAILER, /* *ret_data is a piece of the trailer section, which the last piece ends
                            with its empty line; call again. No trailers, no pieces */
    HTTP1_CHUNK_BAD,
};

/* Consumes from the front of *bytes. Returns an enum http1_chunked_answer, never a fault. */
int http1_chunked_decode(struct http1_chunked *chunked, struct span *bytes, struct span *ret_data)
    MUST_CHECK;

/* Serialising into memory of the caller. What does not fit sets is_full and writes nothing, and
 * so does whatever comes after it. The same happens to a name, value or target that the parser
 * would refuse: nothing that came from elsewhere can end a line. */
struct http1_out {
    char *data;
    size_t size, capacity;
    bool is_full;
};

void http1_put(struct http1_out *out, struct span bytes);
void http1_put_request_line(struct http1_out *out, struct span method, struct span target);
void http1_put_status_line(struct http1_out *out, unsigned status);
void http1_put_field(struct http1_out *out, struct span name, struct span value);
/* A field of a parsed head: it was checked there and is not checked again. */
void http1_put_parsed(struct http1_out *out, const struct http_field *field);
void http1_put_field_uint(struct http1_out *out, struct span name, uint64_t value);
void http1_put_end(struct http1_out *out);

/* The line before a chunk of `size` bytes, behind which CRLF follows; size 0 ends the body. */
void http1_put_chunk_head(struct http1_out *out, uint64_t size);

/* "200" -> "OK"; "" for a status without a registered phrase. */
const char *http_status_reason(unsigned status);

/* Cuts the first line off field lines as the writers above make them. False when it is none of
 * those; then *lines is as it was. */
struct http1_line {
    struct span name, value;
    bool is_small; /* there is no capital in the name */
};
bool http1_cut_line(struct span *lines, struct http1_line *ret_line) MUST_CHECK;

/* Whether the span is a token (RFC 9110 section 5.6.2), one without capitals, a legal field value,
 * or made of what a request target may hold. */
bool http_is_token(struct span span);
bool http_is_small_token(struct span span);
bool http_is_field_value(struct span span);
bool http_is_target(struct span span);

/* The id of a name in any case, HTTP_OTHER if it is none of ours, the same of what is known to be a
 * token; and its text in small letters. */
enum http_name http_name_find(struct span name);
enum http_name http_name_of_token(struct span token);
struct span http_name_text(enum http_name name);

/* Methods that may be sent again when a connection broke (RFC 9110 section 9.2.2). */
bool http_is_idempotent(struct span method);
