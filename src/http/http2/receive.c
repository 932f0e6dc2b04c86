/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Frames that come in, in one pass: what RFC 9113 objects to ends the connection, except where it
 * is the matter of one message, and what carries nothing is counted (see abuse.h).
 *
 * A head's fields are decoded whatever becomes of its stream, for the peer's encoder goes on from
 * there; so are those of a stream that is refused, or over.
 */

#include "http/http2/session.h"

#define MAX_CONTINUATIONS 4u /* frames of one head beside the first */
#define HEAD_EXCESS 4u       /* times the size that is allowed, compressed or not: it ends */

static struct spares *spares_of(const struct http2_session *session)
{
    return session->side->spares;
}

/* Returns 0, for a caller that used nothing any more. */
static size_t end(struct http2_session *session, enum http2_error error)
{
    http2_session_end(session, error);
    return 0;
}

static void note_glitch(struct http2_session *session)
{
    IGNORE(http2_session_note(session, HTTP2_GLITCH), "it ends the session");
}

/* --- heads --- */

/* False when the session ends. */
static bool decode_fields(struct http2_session *session, struct span block)
{
    struct http2_in *in = &session->head;
    const struct http2_limits *limits = session->side->limits;
    const struct http2_in_limits in_limits = { limits->max_fields_size, limits->max_fields };
    struct hpack_field field;
    int r;
    while ((r = hpack_next(&session->decoder, &block, &field)) == HPACK_FIELD) {
        http2_in_field(in, spares_of(session), &in_limits, &session->decoder, &field);
        if (unlikely(in->size > (uint64_t)in_limits.size * HEAD_EXCESS)) {
            http2_session_end(session, HTTP2_ENHANCE_YOUR_CALM);
            return false;
        }
    }
    if (r != HPACK_END)
        http2_session_end(session, HTTP2_COMPRESSION_ERROR);
    return r == HPACK_END;
}

enum head_fate {
    HEAD_WANTED,
    HEAD_DROPPED,
    HEAD_REFUSED,
    HEAD_FATAL,
};

/* A client's, on a stream that is not open. */
static enum head_fate judge_new(struct http2_session *session, const struct http2_frame *frame)
{
    if (!(frame->stream_id & 1)) {
        end(session, HTTP2_PROTOCOL_ERROR);
        return HEAD_FATAL;
    }
    if (frame->stream_id <= session->last_id) {
        uint32_t error = http2_streams_judge(&session->streams, frame);
        if (error)
            http2_session_end(session, error);
        return error ? HEAD_FATAL : HEAD_DROPPED;
    }
    session->last_id = frame->stream_id;
    if (session->has_said_goaway) {
        http2_streams_note_ended(&session->streams, frame->stream_id, true);
        return HEAD_DROPPED;
    }
    if (likely(session->streams.n < session->max_streams))
        return HEAD_WANTED;
    /* Before it has our SETTINGS it may not know. */
    if (!session->is_acknowledged)
        return HEAD_REFUSED;
    end(session, HTTP2_PROTOCOL_ERROR);
    return HEAD_FATAL;
}

static enum head_fate judge_head(struct http2_session *session, const struct http2_stream *stream,
                                 const struct http2_frame *frame)
{
    if (stream && !stream->has_received_end)
        return HEAD_WANTED;
    if (stream) {
        end(session, HTTP2_STREAM_CLOSED);
        return HEAD_FATAL;
    }
    if (session->side->is_server)
        return judge_new(session, frame);
    /* Servers begin none, and what they send for one that we gave up may be on its way. */
    if ((frame->stream_id & 1) && frame->stream_id <= session->last_id)
        return HEAD_DROPPED;
    end(session, HTTP2_PROTOCOL_ERROR);
    return HEAD_FATAL;
}

/* A few are what a client cannot know about yet. */
static void refuse_stream(struct http2_session *session, uint32_t id)
{
    http2_send_number(session, HTTP2_RST_STREAM, id, HTTP2_REFUSED_STREAM);
    http2_streams_note_ended(&session->streams, id, true);
    IGNORE(http2_session_note(session, HTTP2_OWN_RESET), "it ends the session");
}

/* The end has come and been told, which may have been the end of its memory too. */
static void close_ended(struct http2_session *session, uint32_t id)
{
    struct http2_stream *stream = http2_streams_find(&session->streams, id);
    if (stream && stream->has_sent_end)
        http2_stream_close(session, stream, false);
}

static void receive_head(struct http2_session *session, const struct http2_frame *frame,
                         struct span block)
{
    const struct http2_ops *ops = session->side->ops;
    struct http2_stream *stream = http2_streams_find(&session->streams, frame->stream_id);
    enum head_fate fate = judge_head(session, stream, frame);
    session->head_since = 0;
    if (fate == HEAD_FATAL)
        return;
    enum http2_section section =
        fate == HEAD_WANTED ? ops->on_head_begin(session, stream) : HTTP2_UNWANTED;
    http2_in_begin(&session->head, spares_of(session), section);
    if (decode_fields(session, block)) {
        if (unlikely(fate == HEAD_REFUSED))
            refuse_stream(session, frame->stream_id);
        else if (unlikely(fate == HEAD_DROPPED))
            note_glitch(session);
        bool is_end = stream && frame->flags & HTTP2_END_STREAM;
        if (is_end)
            stream->has_received_end = stream->is_last = true;
        if (likely(fate == HEAD_WANTED))
            ops->on_head(session, stream, frame);
        if (is_end)
            close_ended(session, frame->stream_id);
    }
    http2_in_clear(&session->head, spares_of(session));
}

/* Takes the padding off a payload; false when it is longer than that. */
static bool cut_padding(const struct http2_frame *frame, struct span *payload)
{
    if (!(frame->flags & HTTP2_PADDED))
        return true;
    if (payload->size == 0)
        return false;
    size_t padding = (uint8_t)payload->data[0];
    if (padding >= payload->size)
        return false;
    *payload = (struct span){ payload->data + 1, payload->size - 1 - padding };
    return true;
}

/* Takes off what was a priority once. */
static bool cut_priority(const struct http2_frame *frame, struct span *payload)
{
    if (!(frame->flags & HTTP2_HAS_PRIORITY))
        return true;
    if (payload->size < 5 || (http2_number(payload->data) & HTTP2_ID_MAX) == frame->stream_id)
        return false;
    *payload = (struct span){ payload->data + 5, payload->size - 5 };
    return true;
}

static void receive_headers(struct http2_session *session, const struct http2_frame *frame,
                            struct span payload)
{
    struct http2_reading *reading = &session->reading;
    if (frame->stream_id == 0 || !cut_padding(frame, &payload) || !cut_priority(frame, &payload)) {
        end(session, HTTP2_PROTOCOL_ERROR);
        return;
    }
    if (likely(frame->flags & HTTP2_END_HEADERS)) {
        receive_head(session, frame, payload);
        return;
    }
    if (frame->size == 0 && !(frame->flags & HTTP2_END_STREAM))
        note_glitch(session);
    reading->is_in_head = true;
    reading->frame = *frame;
    reading->n_continuations = 0;
    fifo_append(&reading->block, spares_of(session), payload);
}

static RARE void receive_continuation(struct http2_session *session,
                                      const struct http2_frame *frame, struct span payload)
{
    struct http2_reading *reading = &session->reading;
    size_t most = (size_t)session->side->limits->max_fields_size * HEAD_EXCESS;
    if (!reading->is_in_head) {
        end(session, HTTP2_PROTOCOL_ERROR);
        return;
    }
    if (++reading->n_continuations > MAX_CONTINUATIONS ||
        fifo_size(&reading->block) + payload.size > most) {
        end(session, HTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    fifo_append(&reading->block, spares_of(session), payload);
    if (!(frame->flags & HTTP2_END_HEADERS)) {
        if (frame->size == 0)
            note_glitch(session);
        return;
    }
    struct fifo block = reading->block;
    reading->block = (struct fifo){ 0 };
    reading->is_in_head = false;
    receive_head(session, &reading->frame, fifo_span(&block));
    fifo_clear(&block, spares_of(session));
}

/* --- bodies --- */

/* False when the session ends. What it takes of the windows is told to *stream, which becomes NULL
 * when nobody wants it. */
static bool take_windows(struct http2_session *session, const struct http2_frame *frame,
                         struct http2_stream **stream)
{
    int32_t size = (int32_t)frame->size;
    if (size > session->receive_window) {
        http2_session_end(session, HTTP2_FLOW_CONTROL_ERROR);
        return false;
    }
    session->receive_window -= size;
    if (!*stream)
        return true;
    if (unlikely(size > (*stream)->receive_window)) {
        http2_stream_reset(session, *stream, HTTP2_FLOW_CONTROL_ERROR);
        *stream = NULL;
        return true;
    }
    (*stream)->receive_window -= size;
    return true;
}

/* What DATA on a stream that is not open for it ends the connection with. */
static uint32_t judge_data(struct http2_session *session, const struct http2_stream *stream,
                           const struct http2_frame *frame)
{
    if (stream)
        return stream->has_received_end ? HTTP2_STREAM_CLOSED : HTTP2_NO_ERROR;
    if (http2_session_is_idle(session, frame->stream_id))
        return HTTP2_PROTOCOL_ERROR;
    return session->side->is_server ? http2_streams_judge(&session->streams, frame)
                                    : HTTP2_NO_ERROR;
}

static void end_data(struct http2_session *session)
{
    struct http2_stream *stream = session->reading.stream;
    session->reading.stream = NULL;
    if (!stream || !(session->reading.frame.flags & HTTP2_END_STREAM))
        return;
    uint32_t id = stream->id;
    stream->has_received_end = true;
    session->side->ops->on_end(session, stream);
    close_ended(session, id);
}

/* The frame's head, and how long its padding is. Returns how much that was, 0 for not enough. */
static size_t begin_data(struct http2_session *session, const struct http2_frame *frame,
                         struct span bytes)
{
    struct http2_reading *reading = &session->reading;
    struct http2_stream *stream = http2_streams_find(&session->streams, frame->stream_id);
    uint32_t n_padding = 0, n_used = 0;
    if (unlikely(frame->flags & HTTP2_PADDED)) {
        if (frame->size == 0)
            return end(session, HTTP2_FRAME_SIZE_ERROR);
        if (bytes.size <= HTTP2_FRAME_HEAD)
            return 0;
        n_padding = (uint8_t)bytes.data[HTTP2_FRAME_HEAD];
        n_used = 1;
        if (n_padding >= frame->size)
            return end(session, HTTP2_PROTOCOL_ERROR);
    }
    uint32_t error = judge_data(session, stream, frame);
    if (error)
        return end(session, error);
    if (!take_windows(session, frame, &stream))
        return 0;
    reading->frame = *frame;
    reading->stream = stream;
    reading->n_padding = n_padding;
    reading->n_content = frame->size - n_used - n_padding;
    if (stream)
        stream->is_last = frame->flags & HTTP2_END_STREAM;
    if (unlikely(n_used > 0)) { /* nobody takes it */
        http2_connection_consume(session, n_used + n_padding);
        if (stream)
            http2_stream_consume(session, stream, n_used + n_padding);
    }
    if (reading->n_content == 0) {
        if (!(frame->flags & HTTP2_END_STREAM))
            note_glitch(session);
        if (n_padding == 0)
            end_data(session);
    }
    return HTTP2_FRAME_HEAD + n_used;
}

static size_t receive_payload(struct http2_session *session, struct span bytes)
{
    struct http2_reading *reading = &session->reading;
    struct span content = span_first(bytes, reading->n_content);
    size_t n_used = content.size;
    reading->n_content -= (uint32_t)n_used;
    if (likely(n_used > 0)) {
        if (reading->stream)
            session->side->ops->on_data(session, reading->stream, content);
        else if (reading->frame.type == HTTP2_DATA)
            http2_connection_consume(session, n_used);
    } else {
        n_used = bytes.size < reading->n_padding ? bytes.size : reading->n_padding;
        reading->n_padding -= (uint32_t)n_used;
    }
    if (reading->n_content == 0 && reading->n_padding == 0 && !session->is_closed)
        end_data(session);
    return n_used;
}

/* --- frames --- */

static bool is_out_of_place(const struct http2_session *session, const struct http2_frame *frame)
{
    const struct http2_reading *reading = &session->reading;
    if (unlikely(reading->is_in_head))
        return frame->type != HTTP2_CONTINUATION || frame->stream_id != reading->frame.stream_id;
    return unlikely(!reading->has_begun) &&
           (frame->type != HTTP2_SETTINGS || frame->flags & HTTP2_ACK);
}

static size_t receive_frame(struct http2_session *session, struct span bytes)
{
    if (unlikely(bytes.size < HTTP2_FRAME_HEAD))
        return 0;
    struct http2_frame frame = http2_frame_decode(bytes.data);
    if (is_out_of_place(session, &frame))
        return end(session, HTTP2_PROTOCOL_ERROR);
    if (unlikely(frame.size > HTTP2_FRAME_MAX))
        return end(session, HTTP2_FRAME_SIZE_ERROR);
    if (frame.type == HTTP2_DATA)
        return begin_data(session, &frame, bytes);
    if (unlikely(frame.type > HTTP2_CONTINUATION)) { /* it is passed over */
        note_glitch(session);
        session->reading.frame = frame;
        session->reading.stream = NULL;
        session->reading.n_content = frame.size;
        return HTTP2_FRAME_HEAD;
    }
    struct span payload = { bytes.data + HTTP2_FRAME_HEAD, frame.size };
    if (bytes.size - HTTP2_FRAME_HEAD < frame.size)
        return 0;
    if (frame.type == HTTP2_HEADERS)
        receive_headers(session, &frame, payload);
    else if (frame.type == HTTP2_CONTINUATION)
        receive_continuation(session, &frame, payload);
    else
        http2_receive_control(session, &frame, payload.data);
    return HTTP2_FRAME_HEAD + frame.size;
}

static RARE size_t receive_preface(struct http2_session *session, struct span bytes)
{
    static const char preface[] = HTTP2_PREFACE;
    struct span part = span_first(bytes, session->reading.n_preface);
    const char *expected = preface + sizeof(preface) - 1 - session->reading.n_preface;
    if (memcmp(part.data, expected, part.size) != 0)
        return end(session, HTTP2_PROTOCOL_ERROR);
    session->reading.n_preface -= (uint8_t)part.size;
    return part.size;
}

/* A head that is not whole has its time, from its first byte on. */
static void note_waiting(struct http2_session *session, struct span rest)
{
    bool is_head = session->reading.is_in_head ||
                   (rest.size >= HTTP2_FRAME_HEAD && rest.data[3] == HTTP2_HEADERS);
    if (!is_head)
        session->head_since = 0;
    else if (!session->head_since)
        session->head_since = loop_now(session->side->loop);
}

size_t http2_receive(struct http2_session *session, struct span bytes)
{
    struct http2_reading *reading = &session->reading;
    struct span rest = bytes;
    session->is_inside = true;
    while (rest.size > 0 && !session->is_ending && !session->is_mute) {
        size_t n_used;
        if (reading->n_content + reading->n_padding > 0)
            n_used = receive_payload(session, rest);
        else if (likely(!reading->n_preface))
            n_used = receive_frame(session, rest);
        else
            n_used = receive_preface(session, rest);
        if (n_used == 0)
            break;
        rest = span_from(rest, n_used);
    }
    session->is_inside = false;
    if (session->is_ending || session->is_mute)
        return bytes.size;
    if (unlikely(rest.size > 0 || reading->is_in_head))
        note_waiting(session, rest);
    return bytes.size - rest.size;
}
