#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing a head that is going to be sent, straight behind what waits on an outlet.
 *
 * The room is reserved for all of it at once, HEAD_OVERHEAD for what is not the maker's. What is
 * written by head_put() is ours and known to be legal; names and values of others go through the
 * codec, which refuses what is not.
 *
 * Private to http.
 */

#include <assert.h>
#include <string.h>

#include "http/message.h"
#include "http/outlet.h"

#define HEAD_OVERHEAD 256u /* status or request line without its spans, framing, Date */

static inline struct http1_out head_begin(struct outlet *outlet, struct spares *spares,
                                          const struct http_message *message)
{
    size_t size = HEAD_OVERHEAD + message->method.size + message->target.size +
                  message->lines.size + message->upgrade.size;
    for (unsigned i = 0; i < message->n_fields; i++)
        size += message->fields[i].name.size + message->fields[i].value.size + 4;
    return (struct http1_out){ .data = fifo_reserve(&outlet->kept, spares, size),
                               .capacity = size };
}

static inline void head_put(struct http1_out *out, struct span bytes)
{
    assert(bytes.size <= out->capacity - out->size);
    if (bytes.size)
        memcpy(out->data + out->size, bytes.data, bytes.size);
    out->size += bytes.size;
}

static inline void head_put_fields(struct http1_out *out, const struct http_message *message)
{
    head_put(out, message->lines);
    for (unsigned i = 0; i < message->n_fields; i++)
        http1_put_field(out, message->fields[i].name, message->fields[i].value);
}

static inline void head_put_length(struct http1_out *out, uint64_t length)
{
    char text[20], *end = text + sizeof(text), *at = end;
    do {
        *--at = (char)('0' + length % 10);
        length /= 10;
    } while (length);
    head_put(out, SPAN("content-length: "));
    head_put(out, (struct span){ at, (size_t)(end - at) });
    head_put(out, SPAN("\r\n"));
}

static inline void head_put_upgrade(struct http1_out *out, struct span protocol)
{
    head_put(out, SPAN("connection: upgrade\r\nupgrade: "));
    head_put(out, protocol);
    head_put(out, SPAN("\r\n"));
}

/* False when something of it was not legal; then nothing was written. */
static inline bool head_end(struct http1_out *out, struct outlet *outlet)
{
    if (out->is_full)
        return false;
    head_put(out, SPAN("\r\n"));
    fifo_grow(&outlet->kept, out->size);
    return true;
}
