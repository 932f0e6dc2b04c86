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

#include "http/request_head.h"

/* Size of the request line with its LF; 0 when it is not all there, or longer than there is room. */
static size_t line_size(struct span bytes)
{
    size_t size = bytes.size < LINE_INLINE ? bytes.size : LINE_INLINE;
    const char *end = memchr(bytes.data, '\n', size);
    return end ? (size_t)(end + 1 - bytes.data) : 0;
}

static struct span put_line(struct request_head *head, struct span line)
{
    char *at = head->bytes + LINE_INLINE - line.size;
    memcpy(at, line.data, line.size);
    return (struct span){ at, line.size };
}

/* Whether the fields are known, and the line in front of them was taken. */
static bool parse_known(struct request_head *head, struct span bytes, size_t line,
                        const struct http1_limits *limits)
{
    size_t size = head->fields_size;
    if (size == 0 || bytes.size - line < size || line + size > limits->head ||
        memcmp(bytes.data + line, head->bytes + LINE_INLINE, size) != 0)
        return false;
    if (!http1_parse_request_line(put_line(head, span_first(bytes, line)), limits, &head->parsed))
        return false;
    head->parsed.size = line + size;
    return true;
}

static int parse_long(struct request_head *head, struct span bytes,
                      const struct http1_limits *limits, struct http1_error *ret_error)
{
    struct span all = span_first(bytes, bytes.size < limits->head ? bytes.size : limits->head);
    if (head->long_head_capacity < all.size) {
        head->long_head = mem_resize(head->long_head, all.size, 1);
        head->long_head_capacity = all.size;
    }
    memcpy(head->long_head, all.data, all.size);
    all.data = head->long_head;
    return http1_parse_request(all, limits, &head->parsed, ret_error);
}

/* Bytes of a body may lie behind the head, so as much as a head mostly has is tried before all is
 * copied. */
RARE static int parse_anew(struct request_head *head, struct span bytes, size_t line,
                           const struct http1_limits *limits, struct http1_error *ret_error)
{
    head->fields_size = 0;
    if (!line)
        return parse_long(head, bytes, limits, ret_error);

    struct span fields = span_from(bytes, line);
    fields = span_first(fields, FIELDS_INLINE);
    struct span first = put_line(head, span_first(bytes, line));
    if (fields.size)
        memcpy(head->bytes + LINE_INLINE, fields.data, fields.size);
    first.size += fields.size;
    int r = http1_parse_request(first, limits, &head->parsed, ret_error);
    /* Behind an empty line, which is skipped, stand the request line and its fields. */
    bool is_request_line = line > sizeof("\r\n") - 1;
    if (r == HTTP1_OK && is_request_line)
        head->fields_size = head->parsed.size - line;
    if (r != HTTP1_MORE || first.size == bytes.size)
        return r;
    return parse_long(head, bytes, limits, ret_error);
}

int request_head_parse(struct request_head *head, struct span bytes,
                       const struct http1_limits *limits, uint64_t *n_fields_seen,
                       struct http1_error *ret_error)
{
    size_t line = line_size(bytes);
    if (likely(line && parse_known(head, bytes, line, limits)))
        return HTTP1_OK;
    head->fields_number = ++*n_fields_seen;
    return parse_anew(head, bytes, line, limits, ret_error);
}
