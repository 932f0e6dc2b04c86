/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/client.h"

/* What a held request consists of; the texts lie behind it, in this order. */
struct held {
    size_t method, target, upgrade, lines;
    uint64_t content_length;
    enum http_body_kind body;
};

bool http2_hold(struct fifo *memory, struct spares *spares, const struct http_message *request)
{
    struct held held = { request->method.size, request->target.size,    request->upgrade.size,
                         request->lines.size,  request->content_length, request->body };
    size_t capacity = 0;
    for (unsigned i = 0; i < request->n_fields; i++)
        capacity += request->fields[i].name.size + request->fields[i].value.size + 4;
    fifo_reserve(memory, spares,
                 sizeof(held) + held.method + held.target + held.upgrade + held.lines + capacity);
    char *start = memory->data;
    fifo_grow(memory, sizeof(held));
    fifo_append(memory, spares, request->method);
    fifo_append(memory, spares, request->target);
    fifo_append(memory, spares, request->upgrade);
    fifo_append(memory, spares, request->lines);
    struct http1_out out = { .data = start + memory->end, .capacity = capacity };
    for (unsigned i = 0; i < request->n_fields; i++)
        http1_put_field(&out, request->fields[i].name, request->fields[i].value);
    fifo_grow(memory, out.size);
    held.lines += out.size;
    memcpy(start, &held, sizeof(held));
    return !out.is_full;
}

static struct span cut(struct span *text, size_t size)
{
    struct span part = span_first(*text, size);
    *text = span_from(*text, size);
    return part;
}

struct http_message http2_read_held(const struct fifo *memory)
{
    struct span text = { memory->data, fifo_size(memory) };
    struct held held;
    memcpy(&held, memory->data, sizeof(held));
    text = span_from(text, sizeof(held));
    struct http_message request = { .content_length = held.content_length, .body = held.body };
    request.method = cut(&text, held.method);
    request.target = cut(&text, held.target);
    request.upgrade = cut(&text, held.upgrade);
    request.lines = cut(&text, held.lines);
    return request;
}
