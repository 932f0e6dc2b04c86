/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/http1_meaning.h"

#include "codec/http1_names.h"
#include "codec/http1_scan.h"

/* Other names that Connection may nominate. Each is looked for in all fields, so the
 * bound keeps a head from costing the square of its size. */
#define MAX_NOMINATED 16u

static int refuse(struct http1_error *error, unsigned status, const char *text)
{
    *error = (struct http1_error){ status, text };
    return HTTP1_BAD;
}

/* ":" and the number of a port, at `at` */
static bool is_port(const char *at, const char *end, bool is_needed)
{
    if (*at++ != ':' || end - at > 5 || (at == end && is_needed))
        return false;
    unsigned port = 0;
    while (at < end && *at >= '0' && *at <= '9')
        port = port * 10 + (unsigned)(*at++ - '0');
    return at == end && port <= 65535;
}

/* Behind an IPv6 address in brackets, or `at` where there is none. */
RARE static const char *skip_address(const char *at, const char *end)
{
    const char *digits = at + 1, *close = memchr(digits, ']', (size_t)(end - digits));
    if (!close || close - digits < 2 || close - digits > 45)
        return at;
    for (const char *digit = digits; digit < close; digit++) {
        if (!strchr("0123456789abcdefABCDEF:.", *digit))
            return at;
    }
    return close + 1;
}

/* host[:port], RFC 3986 section 3.2.2 without the parts that no host of ours has and that parsers
 * disagree on: user information, escapes, sub-delimiters, IPvFuture. */
static bool is_authority(struct span text, bool needs_port)
{
    const char *start = text.data, *end = start + text.size;
    if (!text.size)
        return false;
    const char *at = *start == '[' ? skip_address(start, end) : scan_host(start, end);
    if (at == start)
        return false;
    return at == end ? !needs_port : is_port(at, end, needs_port);
}

static const char *read_absolute(struct http_head *head)
{
    static const struct span schemes[] = { SPAN("http://"), SPAN("https://") };
    struct span rest = SPAN_NULL;
    for (size_t i = 0; i < 2; i++) {
        if (span_equals_nocase(span_first(head->target, schemes[i].size), schemes[i]))
            rest = span_from(head->target, schemes[i].size);
    }
    if (!rest.size)
        return "the request target is no path, and no http or https URI";

    size_t size = 0;
    while (size < rest.size && rest.data[size] != '/' && rest.data[size] != '?')
        size++;
    head->form = HTTP_TARGET_ABSOLUTE;
    head->authority = span_first(rest, size);
    head->path_and_query = size < rest.size ? span_from(rest, size) : SPAN("/");
    if (!is_authority(head->authority, false))
        return "the host of the request target is malformed";
    if (head->path_and_query.data[0] == '?')
        return "the request target has a query and no path";
    return NULL;
}

RARE const char *http1_read_other_target(struct http_head *head)
{
    head->authority = SPAN_NULL;
    head->path_and_query = SPAN_NULL;
    if (span_equals(head->method, SPAN("CONNECT"))) {
        head->form = HTTP_TARGET_AUTHORITY;
        head->authority = head->target;
        return is_authority(head->target, true) ? NULL : "CONNECT takes host:port";
    }
    head->path_and_query = head->target;
    head->form = HTTP_TARGET_ORIGIN;
    if (head->target.data[0] == '/')
        return NULL;
    if (span_equals(head->target, SPAN("*"))) {
        head->form = HTTP_TARGET_ASTERISK;
        return span_equals(head->method, SPAN("OPTIONS")) ? NULL : "only OPTIONS takes *";
    }
    return read_absolute(head);
}

static int read_host(struct http_head *head, uint64_t repeated, struct http1_error *error)
{
    if (repeated & http1_bit(HTTP_HOST))
        return refuse(error, 400, "Host is repeated");
    if (!head->by_name[HTTP_HOST])
        return head->minor_version == 0 ? HTTP1_OK : refuse(error, 400, "Host is missing");

    struct span host = http_head_value(head, HTTP_HOST);
    if (!is_authority(host, false))
        return refuse(error, 400, "Host is malformed");
    if (head->form == HTTP_TARGET_ABSOLUTE && !span_equals_nocase(host, head->authority))
        return refuse(error, 400, "Host differs from the host of the request target");
    if (head->form == HTTP_TARGET_ORIGIN || head->form == HTTP_TARGET_ASTERISK)
        head->authority = host;
    return HTTP1_OK;
}

struct options {
    bool has_close, has_keep_alive;
    unsigned n_nominated;
};

/* One option of Connection. Options that are hop-by-hop fields anyway say nothing new, and one
 * that would take away a field we act on is an attempt to hide it. */
static int read_option(struct http_head *head, struct span option, struct options *options,
                       struct http1_error *error)
{
    if (!http_is_token(option))
        return refuse(error, 400, "Connection is malformed");
    if (http1_value_is(option, SPAN("close"))) {
        options->has_close = true;
        return HTTP1_OK;
    }
    const struct http1_known *known = http1_name_of_token(option);
    enum http_name id = (enum http_name)known->id;
    if (id == HTTP_KEEP_ALIVE)
        options->has_keep_alive = true;
    if (known->is_hop_by_hop)
        return HTTP1_OK;
    if (http1_is_acted_on(id))
        return refuse(error, 400, "Connection names a field that is not its to name");

    if (++options->n_nominated > MAX_NOMINATED)
        return refuse(error, 400, "Connection names too many fields");
    for (unsigned i = 0; i < head->n_fields; i++) {
        struct http_field *field = &head->fields[i];
        if (field->id == id && span_equals_nocase(field->name, option))
            field->is_hop_by_hop = true;
    }
    return HTTP1_OK;
}

/* Cuts the next element off a comma-separated list; empty ones are skipped (RFC 9110 section
 * 5.6.1). False at the end. */
static bool next_element(struct span *list, struct span *ret_element)
{
    while (list->data) {
        *ret_element = span_trim(span_cut(list, ','));
        if (ret_element->size)
            return true;
    }
    return false;
}

static int read_options(struct http_head *head, struct options *ret_options,
                        struct http1_error *error)
{
    for (unsigned i = head->by_name[HTTP_CONNECTION] - 1u; i < head->n_fields; i++) {
        struct span list = head->fields[i].value, option;
        while (head->fields[i].id == HTTP_CONNECTION && next_element(&list, &option)) {
            int r = read_option(head, option, ret_options, error);
            if (r)
                return r;
        }
    }
    return HTTP1_OK;
}

RARE static int read_long_connection(struct http_head *head, struct http1_error *error)
{
    struct options options = { 0 };
    int r = read_options(head, &options, error);
    head->is_keep_alive =
        !options.has_close && (head->minor_version == 1 || options.has_keep_alive);
    return r;
}

static inline int read_connection(struct http_head *head, uint64_t repeated,
                                  struct http1_error *error)
{
    head->is_keep_alive = head->minor_version == 1;
    if (!head->by_name[HTTP_CONNECTION])
        return HTTP1_OK;

    /* What most clients and servers send alone is not taken apart. */
    bool is_single = !(repeated & http1_bit(HTTP_CONNECTION));
    if (!is_single || !http1_value_is(http_head_value(head, HTTP_CONNECTION), SPAN("keep-alive")))
        return read_long_connection(head, error);
    head->is_keep_alive = true;
    return HTTP1_OK;
}

/* Only a single "chunked" is taken. Whether a coding is unknown (501) or the end of the body
 * cannot be found (400) is told apart for the client's sake; both close the connection. */
RARE static int read_transfer_encoding(struct http_head *head, uint64_t repeated,
                                       struct http1_error *error)
{
    struct span value = http_head_value(head, HTTP_TRANSFER_ENCODING);
    if (head->by_name[HTTP_CONTENT_LENGTH])
        return refuse(error, 400, "Content-Length and Transfer-Encoding stand together");
    if (head->minor_version == 0)
        return refuse(error, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (repeated & http1_bit(HTTP_TRANSFER_ENCODING))
        return refuse(error, 400, "Transfer-Encoding is repeated");
    if (!http1_value_is(value, SPAN("chunked"))) {
        size_t comma = value.size;
        while (comma > 0 && value.data[comma - 1] != ',')
            comma--;
        bool is_last = span_equals_nocase(span_trim(span_from(value, comma)), SPAN("chunked"));
        if (comma > 0 && is_last)
            return refuse(error, 501, "the only transfer coding taken is chunked");
        return refuse(error, 400, "the transfer coding is not chunked");
    }
    head->framing = HTTP_BODY_CHUNKED;
    return HTTP1_OK;
}

/* RFC 9112 section 6.3, as far as request and response agree. */
static int read_framing(struct http_head *head, uint64_t repeated, struct http1_error *error)
{
    head->framing = HTTP_BODY_NONE;
    head->content_length = 0;
    if (head->by_name[HTTP_TRANSFER_ENCODING])
        return read_transfer_encoding(head, repeated, error);
    if (!head->by_name[HTTP_CONTENT_LENGTH])
        return HTTP1_OK;

    /* Equal lengths could be merged; nobody who means well sends two. */
    if (repeated & http1_bit(HTTP_CONTENT_LENGTH))
        return refuse(error, 400, "Content-Length is repeated");
    struct span value = http_head_value(head, HTTP_CONTENT_LENGTH);
    if (!span_to_uint(value, INT64_MAX, &head->content_length))
        return refuse(error, 400, "Content-Length is malformed");
    head->framing = HTTP_BODY_LENGTH;
    return HTTP1_OK;
}

RARE static bool accepts_trailers(const struct http_head *head)
{
    bool is_accepted = false;
    for (unsigned i = 0; i < head->n_fields; i++) {
        struct span list = head->fields[i].value, element;
        while (head->fields[i].id == HTTP_TE && next_element(&list, &element))
            is_accepted |= http1_value_is(element, SPAN("trailers"));
    }
    return is_accepted;
}

RARE static int read_expect(struct http_head *head, uint64_t repeated, struct http1_error *error)
{
    struct span expect = http_head_value(head, HTTP_EXPECT);
    if (!http1_value_is(expect, SPAN("100-continue")) || (repeated & http1_bit(HTTP_EXPECT)))
        return refuse(error, 417, "the only expectation met is 100-continue");
    /* From HTTP/1.0 it must be ignored (RFC 9110 section 10.1.1). */
    head->expects_continue = head->minor_version == 1;
    return HTTP1_OK;
}

static bool names_upgrade(const struct http_head *head)
{
    bool is_named = false;
    for (unsigned i = 0; i < head->n_fields; i++) {
        struct span list = head->fields[i].value, element;
        while (head->fields[i].id == HTTP_CONNECTION && next_element(&list, &element))
            is_named |= http1_value_is(element, SPAN("upgrade"));
    }
    return is_named;
}

/* One protocol, as RFC 9110 section 7.8 has it. A list leaves the choice to the server, who may
 * pass it over, and so does this; TLS and HTTP/2 are not begun in the middle of a connection. */
RARE static struct span read_upgrade(const struct http_head *head, uint64_t repeated)
{
    struct span value = http_head_value(head, HTTP_UPGRADE), version = value;
    struct span name = span_cut(&version, '/');
    bool is_one = !(repeated & http1_bit(HTTP_UPGRADE)) && http_is_token(name) &&
                  (!version.data || http_is_token(version));
    if (!is_one || head->minor_version == 0 || !names_upgrade(head) ||
        http1_value_is(name, SPAN("h2c")) || http1_value_is(name, SPAN("tls")))
        return SPAN_NULL;
    return value;
}

/* What has a body is done first, and then nobody knows where the tunnel would begin. */
static inline struct span upgrade_of_request(const struct http_head *head, uint64_t repeated)
{
    bool is_asked = head->by_name[HTTP_UPGRADE] && head->framing == HTTP_BODY_NONE &&
                    span_equals(head->method, SPAN("GET"));
    return unlikely(is_asked) ? read_upgrade(head, repeated) : SPAN_NULL;
}

int http1_read_request(struct http_head *head, uint64_t repeated, struct http1_error *ret_error)
{
    int r = read_host(head, repeated, ret_error);
    if (r)
        return r;
    r = read_framing(head, repeated, ret_error);
    if (r)
        return r;
    r = read_connection(head, repeated, ret_error);
    if (r)
        return r;
    head->accepts_trailers = head->by_name[HTTP_TE] && accepts_trailers(head);
    head->upgrade = upgrade_of_request(head, repeated);
    head->expects_continue = false;
    return head->by_name[HTTP_EXPECT] ? read_expect(head, repeated, ret_error) : HTTP1_OK;
}

/* 1xx, 204 and what answers HEAD, CONNECT or a condition have no body, whatever they say (RFC
 * 9112 section 6.3, 1 and 2). What 1xx and 204 must not even say is refused: an upstream that
 * says it may send it. */
static int read_body_of_response(struct http_head *head, struct span method,
                                 struct http1_error *error)
{
    bool never_has_body = head->status < 200 || head->status == 204;
    if (never_has_body && (head->framing == HTTP_BODY_CHUNKED || head->content_length > 0))
        return refuse(error, 502, "a status without a body comes with one");

    bool is_tunnel = span_equals(method, SPAN("CONNECT")) && head->status / 100 == 2;
    if (never_has_body || head->status == 304 || is_tunnel || span_equals(method, SPAN("HEAD"))) {
        head->framing = HTTP_BODY_NONE;
        return HTTP1_OK;
    }
    bool has_framing = head->by_name[HTTP_CONTENT_LENGTH] || head->by_name[HTTP_TRANSFER_ENCODING];
    if (!has_framing) {
        head->framing = HTTP_BODY_UNTIL_CLOSE;
        head->is_keep_alive = false;
    }
    return HTTP1_OK;
}

int http1_read_response(struct http_head *head, struct span method, uint64_t repeated,
                        struct http1_error *ret_error)
{
    int r = read_framing(head, repeated, ret_error);
    if (!r)
        r = read_connection(head, repeated, ret_error);
    if (!r)
        r = read_body_of_response(head, method, ret_error);
    if (r) {
        ret_error->status = 502;
        return r;
    }
    head->accepts_trailers = false;
    head->upgrade = unlikely(head->status == 101 && head->by_name[HTTP_UPGRADE])
                        ? read_upgrade(head, repeated)
                        : SPAN_NULL;
    return HTTP1_OK;
}
