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

static struct http2_stream **place_of(struct http2_streams *streams, uint32_t id)
{
    return &streams->table[(id >> 1) & streams->mask];
}

static void put(struct http2_streams *streams, struct http2_stream *stream)
{
    struct http2_stream **place = place_of(streams, stream->id);
    stream->next = *place;
    *place = stream;
}

static void grow(struct http2_streams *streams)
{
    struct http2_stream **old = streams->table;
    uint32_t capacity = streams->mask + 1;
    streams->table = mem_new_array(struct http2_stream *, (size_t)capacity * 4);
    streams->mask = capacity * 4 - 1;
    for (uint32_t i = 0; i < capacity; i++) {
        for (struct http2_stream *stream = old[i], *next; stream; stream = next) {
            next = stream->next;
            put(streams, stream);
        }
    }
    if (old != streams->first)
        free(old);
}

void http2_streams_add(struct http2_streams *streams, struct http2_stream *stream)
{
    if (unlikely(++streams->n > streams->mask))
        grow(streams);
    put(streams, stream);
}

void http2_streams_remove(struct http2_streams *streams, struct http2_stream *stream)
{
    struct http2_stream **place = place_of(streams, stream->id);
    while (*place != stream)
        place = &(*place)->next;
    *place = stream->next;
    streams->n--;
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
