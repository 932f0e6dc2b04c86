/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A head is parsed in memory of its exchange, where it stays as long as the exchange does.
 *
 * From one request of a client to the next, little but the request line changes: what a browser
 * or a library says of itself stays the same over a connection, cookies included. So an idle
 * connection keeps its exchange for as long as there are not too many of those, and when the field
 * lines of the next request are the bytes that lie there already, only the request line is parsed.
 * It is put in front of the fields, which therefore begin at a fixed place:
 *
 *                       LINE_INLINE
 *   ...GET /a HTTP/1.1 CR LF | Host: shop.example CR LF ... CR LF CR LF
 */

#include "base/mem.h"
#include "http/connection.h"

/* Size of the request line with its LF; 0 when it is not all there, or longer than there is room. */
static size_t line_size(struct span bytes)
{
    size_t size = bytes.size < LINE_INLINE ? bytes.size : LINE_INLINE;
    const char *end = memchr(bytes.data, '\n', size);
    return end ? (size_t)(end + 1 - bytes.data) : 0;
}

static struct span put_line(struct exchange *exchange, struct span line)
{
    char *at = exchange->head_bytes + LINE_INLINE - line.size;
    memcpy(at, line.data, line.size);
    return (struct span){ at, line.size };
}

/* Whether the fields are known, and the line in front of them was taken. */
static bool parse_known(struct exchange *exchange, struct span bytes, size_t line)
{
    const struct http1_limits *limits = &exchange->connection->server->settings.limits;
    size_t size = exchange->fields_size;
    if (size == 0 || bytes.size - line < size || line + size > limits->head ||
        memcmp(bytes.data + line, exchange->head_bytes + LINE_INLINE, size) != 0)
        return false;
    struct http_head *head = &exchange->head;
    if (!http1_parse_request_line(put_line(exchange, span_first(bytes, line)), limits, head))
        return false;
    head->size = line + size;
    return true;
}

static int parse_long(struct exchange *exchange, struct span bytes, struct http1_error *ret_error)
{
    const struct http1_limits *limits = &exchange->connection->server->settings.limits;
    struct span all = span_first(bytes, bytes.size < limits->head ? bytes.size : limits->head);
    if (exchange->long_head_capacity < all.size) {
        exchange->long_head = mem_resize(exchange->long_head, all.size, 1);
        exchange->long_head_capacity = all.size;
    }
    memcpy(exchange->long_head, all.data, all.size);
    all.data = exchange->long_head;
    return http1_parse_request(all, limits, &exchange->head, ret_error);
}

/* Bytes of a body may lie behind the head, so as much as a head mostly has is tried before all is
 * copied. */
int http_exchange_parse(struct exchange *exchange, struct span bytes, struct http1_error *ret_error)
{
    struct http_server *server = exchange->connection->server;
    size_t line = line_size(bytes);
    if (line && parse_known(exchange, bytes, line)) {
        exchange->public.fields_number = exchange->fields_number;
        return HTTP1_OK;
    }
    exchange->fields_size = 0;
    exchange->public.fields_number = exchange->fields_number = ++server->n_fields_seen;
    if (!line)
        return parse_long(exchange, bytes, ret_error);

    struct span fields = span_from(bytes, line);
    fields = span_first(fields, FIELDS_INLINE);
    struct span first = put_line(exchange, span_first(bytes, line));
    if (fields.size)
        memcpy(exchange->head_bytes + LINE_INLINE, fields.data, fields.size);
    first.size += fields.size;
    int r = http1_parse_request(first, &server->settings.limits, &exchange->head, ret_error);
    /* Behind an empty line, which is skipped, stand the request line and its fields. */
    bool is_request_line = line > sizeof("\r\n") - 1;
    if (r == HTTP1_OK && is_request_line)
        exchange->fields_size = exchange->head.size - line;
    if (r != HTTP1_MORE || first.size == bytes.size)
        return r;
    return parse_long(exchange, bytes, ret_error);
}
