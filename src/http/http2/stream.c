/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/stream.h"

#include "base/mem.h"

void http2_streams_init(struct http2_streams *streams)
{
    streams->table = streams->first;
    streams->mask = HTTP2_FIRST_STREAMS - 1;
}

void http2_streams_fini(struct http2_streams *streams)
{
    if (streams->table != streams->first)
        free(streams->table);
    streams->table = streams->first;
}

static void put(struct http2_streams *streams, struct http2_stream *stream)
{
    uint32_t i = stream->id >> 1;
    while (streams->table[i & streams->mask])
        i++;
    streams->table[i & streams->mask] = stream;
}

static void grow(struct http2_streams *streams)
{
    struct http2_stream **old = streams->table;
    uint32_t capacity = streams->mask + 1;
    streams->table = mem_new_array(struct http2_stream *, (size_t)capacity * 2);
    streams->mask = capacity * 2 - 1;
    for (uint32_t i = 0; i < capacity; i++) {
        if (old[i])
            put(streams, old[i]);
    }
    if (old != streams->first)
        free(old);
}

void http2_streams_add(struct http2_streams *streams, struct http2_stream *stream)
{
    if (unlikely((streams->n + 1) * 2 > streams->mask))
        grow(streams);
    streams->n++;
    put(streams, stream);
}

/* Those behind move into the hole until one of them is where it wants to be. */
void http2_streams_remove(struct http2_streams *streams, struct http2_stream *stream)
{
    struct http2_stream **table = streams->table;
    uint32_t mask = streams->mask, hole = (stream->id >> 1) & mask;
    while (table[hole] != stream)
        hole = (hole + 1) & mask;
    streams->n--;
    for (uint32_t i = (hole + 1) & mask; table[i]; i = (i + 1) & mask) {
        uint32_t home = (table[i]->id >> 1) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table[hole] = table[i];
            hole = i;
        }
    }
    table[hole] = NULL;
}

/* Ids of clients are odd, so twice an id leaves room for one bit more. */
void http2_streams_note_ended(struct http2_streams *streams, uint32_t id, bool is_by_us)
{
    uint32_t *place = &streams->ended[streams->n_ended++ % HTTP2_ENDED_STREAMS];
    uint32_t forgotten = *place >> 1;
    if (forgotten > streams->forgotten_id)
        streams->forgotten_id = forgotten;
    *place = id << 1 | is_by_us;
}

/* What was on its way when we ended the stream may come. An id that was passed over is not to be
 * used later. */
uint32_t http2_streams_judge(struct http2_streams *streams, const struct http2_frame *frame)
{
    bool is_reset = frame->type == HTTP2_RST_STREAM;
    for (unsigned i = 0; i < HTTP2_ENDED_STREAMS; i++) {
        if (streams->ended[i] >> 1 != frame->stream_id)
            continue;
        bool is_by_us = streams->ended[i] & 1;
        if (is_reset)
            streams->ended[i] &= ~1u; /* now the client has ended it as well */
        if (is_reset || (is_by_us && frame->type == HTTP2_DATA))
            return HTTP2_NO_ERROR;
        if (is_by_us)
            return frame->flags & HTTP2_END_STREAM ? HTTP2_NO_ERROR : HTTP2_PROTOCOL_ERROR;
        return HTTP2_STREAM_CLOSED;
    }
    bool is_used = is_reset || frame->stream_id <= streams->forgotten_id;
    return is_used ? HTTP2_NO_ERROR : HTTP2_PROTOCOL_ERROR;
}
