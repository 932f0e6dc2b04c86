/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Heads are encoded straight into the outlet, for their bytes depend on those in front of them, and
 * so are small frames. Bodies wait for the end of the turn, where each stream gets a frame in turn.
 */

#include <assert.h>

#include "http/http2/session.h"

#define DRIBBLE 256u /* a window that lets fewer bytes go than this is none to speak of */

static struct spares *spares_of(const struct http2_session *session)
{
    return session->side->spares;
}

/* --- small frames --- */

void http2_send_frame(struct http2_session *session, struct http2_frame frame, const char *payload)
{
    if (unlikely(session->is_mute))
        return;
    struct fifo *kept = &session->out.kept;
    session->tail = NULL;
    char *at = fifo_reserve(kept, spares_of(session), HTTP2_FRAME_HEAD + frame.size);
    at = http2_frame_encode(at, frame);
    if (frame.size)
        memcpy(at, payload, frame.size);
    fifo_grow(kept, HTTP2_FRAME_HEAD + frame.size);
}

void http2_send_number(struct http2_session *session, enum http2_frame_type type,
                       uint32_t stream_id, uint32_t number)
{
    char payload[4];
    http2_put_number(payload, number);
    http2_send_frame(session, (struct http2_frame){ 4, stream_id, (uint8_t)type, 0 }, payload);
}

void http2_send_ping(struct http2_session *session)
{
    static const char payload[8];
    http2_send_frame(session, (struct http2_frame){ 8, 0, HTTP2_PING, 0 }, payload);
    http2_session_wake(session);
}

static void put_goaway(struct http2_session *session, uint32_t last_id, uint32_t error)
{
    char payload[8];
    http2_put_number(http2_put_number(payload, last_id), error);
    http2_send_frame(session, (struct http2_frame){ 8, 0, HTTP2_GOAWAY, 0 }, payload);
    http2_session_wake(session);
}

void http2_send_goaway(struct http2_session *session, uint32_t error)
{
    struct http2_counts *counts = &session->side->counts;
    if (error == HTTP2_ENHANCE_YOUR_CALM)
        counts->n_calmed++;
    else if (error != HTTP2_NO_ERROR)
        counts->n_broken++;
    if (!session->has_said_goaway && session->side->is_server)
        session->goaway_id = session->last_id;
    session->has_said_goaway = true;
    put_goaway(session, session->goaway_id, error);
}

void http2_announce_goaway(struct http2_session *session)
{
    put_goaway(session, HTTP2_ID_MAX, HTTP2_NO_ERROR);
}

void http2_send_settings(struct http2_session *session, const struct http2_setting_entry *entries,
                         unsigned n)
{
    char payload[6 * 8];
    assert(n <= 8);
    char *at = payload;
    for (unsigned i = 0; i < n; i++) {
        *at++ = 0;
        *at++ = (char)entries[i].what;
        at = http2_put_number(at, entries[i].value);
    }
    http2_send_frame(session, (struct http2_frame){ 6 * n, 0, HTTP2_SETTINGS, 0 }, payload);
}

/* --- windows --- */

void http2_connection_consume(struct http2_session *session, size_t size)
{
    session->n_taken += (int32_t)size;
    if (session->n_taken < session->connection_window / 2 || size == 0)
        return;
    http2_send_number(session, HTTP2_WINDOW_UPDATE, 0, (uint32_t)session->n_taken);
    session->receive_window += session->n_taken;
    session->n_taken = 0;
    http2_session_wake(session);
}

void http2_stream_consume(struct http2_session *session, struct http2_stream *stream, size_t size)
{
    if (!stream->is_open || stream->is_last || size == 0)
        return;
    stream->n_taken += (int32_t)size;
    if (stream->n_taken < session->stream_window / 2)
        return;
    http2_send_number(session, HTTP2_WINDOW_UPDATE, stream->id, (uint32_t)stream->n_taken);
    stream->receive_window += stream->n_taken;
    stream->n_taken = 0;
    http2_session_wake(session);
}

void http2_session_consume(struct http2_session *session, struct http2_stream *stream, size_t size)
{
    http2_stream_consume(session, stream, size);
    http2_connection_consume(session, size);
}

/* --- streams --- */

void http2_stream_init(struct http2_stream *stream)
{
    *stream = (struct http2_stream){ .link = { &stream->link, &stream->link } };
}

static void stream_add(struct http2_session *session, struct http2_stream *stream, uint32_t id)
{
    stream->id = id;
    stream->is_open = true;
    stream->send_window = session->peer.window;
    stream->receive_window = session->stream_window;
    /* Until it has our SETTINGS the peer may go by what they are by default. */
    if (unlikely(!session->is_acknowledged) && stream->receive_window < HTTP2_WINDOW_FIRST)
        stream->receive_window = HTTP2_WINDOW_FIRST;
    http2_streams_add(&session->streams, stream);
}

uint32_t http2_stream_begin(struct http2_session *session, struct http2_stream *stream)
{
    session->last_id += session->last_id ? 2 : 1;
    stream_add(session, stream, session->last_id);
    return session->last_id;
}

void http2_stream_open(struct http2_session *session, struct http2_stream *stream,
                       const struct http2_frame *head)
{
    stream_add(session, stream, head->stream_id);
    stream->has_received_end = stream->is_last = head->flags & HTTP2_END_STREAM;
}

static void stream_leave(struct http2_session *session, struct http2_stream *stream)
{
    if (session->reading.stream == stream)
        session->reading.stream = NULL;
    if (session->tail == stream)
        session->tail = NULL;
    http2_streams_remove(&session->streams, stream);
    list_remove(&stream->link);
    stream->is_open = stream->is_sending = false;
}

void http2_stream_close(struct http2_session *session, struct http2_stream *stream, bool is_by_us)
{
    stream_leave(session, stream);
    http2_streams_note_ended(&session->streams, stream->id, is_by_us);
    list_add_last(&session->over, &stream->link);
    http2_session_wake(session);
}

void http2_stream_fini(struct http2_session *session, struct http2_stream *stream)
{
    if (stream->is_open)
        stream_leave(session, stream);
    list_remove(&stream->link);
}

void http2_session_reap(struct http2_session *session)
{
    for (struct list *link; (link = list_take_first(&session->over));)
        session->side->ops->on_stream_closed(session,
                                             container_of(link, struct http2_stream, link));
}

/* Streams that end for a fault of ours, or because nothing more of them is wanted, are no offence. */
static bool is_own_fault(uint32_t error)
{
    return error == HTTP2_NO_ERROR || error == HTTP2_REFUSED_STREAM || error == HTTP2_CANCEL ||
           error == HTTP2_INTERNAL_ERROR;
}

void http2_stream_reset(struct http2_session *session, struct http2_stream *stream, uint32_t error)
{
    if (!stream->is_open)
        return;
    stream->error = error;
    http2_send_number(session, HTTP2_RST_STREAM, stream->id, error);
    http2_stream_close(session, stream, true);
    if (session->side->is_server && !is_own_fault(error))
        http2_session_note(session, HTTP2_OWN_RESET);
}

/* Its last frame has been written. */
static void end_sent(struct http2_session *session, struct http2_stream *stream)
{
    stream->has_sent_end = true;
    if (stream->is_sending) {
        stream->is_sending = false;
        list_remove(&stream->link);
    }
    if (stream->has_received_end)
        http2_stream_close(session, stream, false);
    if (session->side->ops->on_end_sent)
        session->side->ops->on_end_sent(session, stream);
}

/* --- heads --- */

/* The block is longer than a frame may be: makes room in front of each further part, of which there
 * is enough behind it. Returns the size of all. */
static RARE size_t split_head(char *at, size_t size, const struct http2_frame *frame)
{
    const size_t step = HTTP2_FRAME_MAX + HTTP2_FRAME_HEAD;
    size_t n_more = (size - 1) / HTTP2_FRAME_MAX;
    char *block = at + HTTP2_FRAME_HEAD;
    for (size_t i = n_more; i > 0; i--) {
        size_t part = i == n_more ? size - n_more * HTTP2_FRAME_MAX : HTTP2_FRAME_MAX;
        uint8_t flags = i == n_more ? HTTP2_END_HEADERS : 0;
        memmove(at + i * step + HTTP2_FRAME_HEAD, block + i * HTTP2_FRAME_MAX, part);
        http2_frame_encode(at + i * step, (struct http2_frame){ (uint32_t)part, frame->stream_id,
                                                                HTTP2_CONTINUATION, flags });
    }
    http2_frame_encode(at, (struct http2_frame){ HTTP2_FRAME_MAX, frame->stream_id, HTTP2_HEADERS,
                                                 frame->flags & ~HTTP2_END_HEADERS });
    return size + (n_more + 1) * HTTP2_FRAME_HEAD;
}

void http2_send_head(struct http2_session *session, struct http2_stream *stream,
                     const struct http2_out *fields, bool is_end)
{
    if (unlikely(session->is_mute) || !stream->is_open)
        return;
    struct fifo *kept = &session->out.kept;
    session->tail = NULL;
    size_t bound = HPACK_BEGIN_BOUND + http2_out_bound(fields);
    size_t n_heads = 1 + bound / HTTP2_FRAME_MAX;
    char *at = fifo_reserve(kept, spares_of(session), bound + n_heads * HTTP2_FRAME_HEAD);
    char *block = at + HTTP2_FRAME_HEAD;
    size_t size = (size_t)(http2_out_encode(fields, &session->encoder, block) - block);
    struct http2_frame frame = {
        .size = (uint32_t)size,
        .stream_id = stream->id,
        .type = HTTP2_HEADERS,
        .flags = HTTP2_END_HEADERS | (is_end ? HTTP2_END_STREAM : 0),
    };
    if (unlikely(size > HTTP2_FRAME_MAX)) {
        fifo_grow(kept, split_head(at, size, &frame));
    } else {
        http2_frame_encode(at, frame);
        fifo_grow(kept, HTTP2_FRAME_HEAD + size);
    }
    http2_abuse_excuse(&session->abuse, 2);
    if (is_end)
        end_sent(session, stream);
    http2_session_wake(session);
}

/* --- bodies --- */

/* How many frames a peer may send for DATA: a window of the stream and of the connection for each, or
 * for every 4 KiB of it, as some do. Windows of a few bytes, which have us send a frame for each,
 * are no reason for more of them (CVE-2019-9511). */
static unsigned excuse_of(const struct http2_session *session, const struct http2_stream *stream,
                          size_t size)
{
    int32_t room =
        stream->send_window < session->send_window ? stream->send_window : session->send_window;
    bool is_dribbled = size > 0 && size < DRIBBLE && (int32_t)size == room;
    return is_dribbled ? 0 : 2 + (unsigned)(size / 2048);
}

void http2_put_data(struct http2_session *session, struct http2_stream *stream, size_t size,
                    bool is_end)
{
    struct fifo *kept = &session->out.kept;
    session->tail = NULL;
    /* With room for what follows. */
    char *at = fifo_reserve(kept, spares_of(session), HTTP2_FRAME_HEAD + size);
    http2_frame_encode(at, (struct http2_frame){ (uint32_t)size, stream->id, HTTP2_DATA,
                                                 is_end ? HTTP2_END_STREAM : 0 });
    fifo_grow(kept, HTTP2_FRAME_HEAD);
    http2_abuse_excuse(&session->abuse, excuse_of(session, stream, size));
    stream->send_window -= (int32_t)size;
    session->send_window -= (int32_t)size;
}

void http2_end_data(struct http2_session *session, struct http2_stream *stream)
{
    end_sent(session, stream);
}

void http2_stream_want(struct http2_session *session, struct http2_stream *stream)
{
    if (!stream->is_open || stream->has_sent_end)
        return;
    if (!stream->is_sending) {
        stream->is_sending = true;
        stream->is_starved = false;
        list_add_last(&session->sending, &stream->link);
    }
    session->has_more = true;
    http2_session_wake(session);
}

static size_t room_of(const struct http2_session *session, const struct http2_stream *stream)
{
    int32_t room =
        stream->send_window < session->send_window ? stream->send_window : session->send_window;
    if (room <= 0)
        return 0;
    return room < (int32_t)HTTP2_FRAME_MAX ? (size_t)room : HTTP2_FRAME_MAX;
}

/* One frame at most. */
static void send_one(struct http2_session *session, struct http2_stream *stream)
{
    bool has_more = session->side->ops->on_send(session, stream, room_of(session, stream));
    if (!stream->is_sending) /* it is over */
        return;
    list_remove(&stream->link);
    stream->is_sending = has_more;
    stream->is_starved = has_more && stream->send_window <= 0;
    if (has_more && !stream->is_starved)
        list_add_last(&session->sending, &stream->link);
}

/* The connection's window is shut, but an end needs none. */
static void send_ends(struct http2_session *session)
{
    struct list waiting;
    list_init(&waiting);
    list_move_all(&waiting, &session->sending);
    for (struct list *link; (link = list_take_first(&waiting));) {
        list_add_last(&session->sending, link);
        send_one(session, container_of(link, struct http2_stream, link));
    }
}

void http2_send_bodies(struct http2_session *session)
{
    session->has_more = false;
    session->is_inside = true;
    while (!list_is_empty(&session->sending) && !session->is_mute) {
        if (outlet_unsent(&session->out) >= HTTP2_FLUSH_SIZE) {
            session->has_more = true;
            break;
        }
        if (session->send_window <= 0) {
            send_ends(session);
            break;
        }
        send_one(session, container_of(session->sending.next, struct http2_stream, link));
    }
    session->is_inside = false;
}

static bool can_put(const struct http2_session *session, const struct http2_stream *stream)
{
    return stream->is_open && !stream->is_sending && !session->is_mute && !session->is_ending &&
           !session->out.is_blocked && list_is_empty(&session->sending) &&
           outlet_unsent(&session->out) < HTTP2_FLUSH_SIZE;
}

size_t http2_stream_put(struct http2_session *session, struct http2_stream *stream,
                        struct span bytes, bool is_end)
{
    struct span left = bytes;
    while (left.size > 0 && can_put(session, stream)) {
        size_t room = room_of(session, stream);
        struct span part = span_first(left, room);
        if (room == 0)
            break;
        left = span_from(left, part.size);
        http2_put_data(session, stream, part.size, is_end && left.size == 0);
        http2_session_put(session, part);
        session->tail = stream;
        session->tail_size = (uint32_t)part.size;
    }
    if (is_end && left.size == 0)
        end_sent(session, stream);
    if (left.size < bytes.size)
        http2_session_wake(session);
    return bytes.size - left.size;
}

void http2_stream_put_end(struct http2_session *session, struct http2_stream *stream)
{
    if (!stream->is_open || stream->has_sent_end || session->is_mute)
        return;
    if (likely(session->tail == stream)) {
        struct fifo *kept = &session->out.kept;
        kept->data[kept->end - session->tail_size - HTTP2_FRAME_HEAD + 4] = HTTP2_END_STREAM;
        session->tail = NULL;
    } else {
        http2_put_data(session, stream, 0, true);
    }
    end_sent(session, stream);
    http2_session_wake(session);
}
