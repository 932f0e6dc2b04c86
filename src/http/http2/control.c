/* SPDX-License-Identifier: Apache-2.0 */

/* Frames that are no part of a message: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE, PRIORITY. */

#include "http/http2/session.h"

#define MAX_SETTINGS 16u /* in one frame */

static void end(struct http2_session *session, enum http2_error error)
{
    http2_session_end(session, error);
}

static bool is_of_connection(enum http2_frame_type type)
{
    return type == HTTP2_SETTINGS || type == HTTP2_PING || type == HTTP2_GOAWAY;
}

/* The size that the frame must have; of others, what it has. */
static uint32_t size_of(const struct http2_frame *frame)
{
    switch (frame->type) {
    case HTTP2_PRIORITY: return 5;
    case HTTP2_RST_STREAM:
    case HTTP2_WINDOW_UPDATE: return 4;
    case HTTP2_PING: return 8;
    case HTTP2_GOAWAY: return frame->size < 8 ? 8 : frame->size;
    case HTTP2_SETTINGS: return frame->flags & HTTP2_ACK ? 0 : frame->size / 6 * 6;
    default: return frame->size;
    }
}

/* --- SETTINGS --- */

/* Streams that had no window of their own may go on. */
static void unstarve(struct http2_session *session, struct http2_stream *stream)
{
    if (!stream->is_sending || !stream->is_starved || stream->send_window <= 0)
        return;
    stream->is_starved = false;
    list_add_last(&session->sending, &stream->link);
    session->has_more = true;
}

static uint32_t set_initial_window(struct http2_session *session, uint32_t size)
{
    if (size > HTTP2_WINDOW_MAX)
        return HTTP2_FLOW_CONTROL_ERROR;
    int64_t change = (int64_t)size - session->peer.window;
    session->peer.window = (int32_t)size;
    for (uint32_t i = 0; i <= session->streams.mask; i++) {
        struct http2_stream *stream = session->streams.table[i];
        for (; stream; stream = stream->next) {
            int64_t window = stream->send_window + change;
            if (window > HTTP2_WINDOW_MAX || window < -(int64_t)HTTP2_WINDOW_MAX)
                return HTTP2_FLOW_CONTROL_ERROR;
            stream->send_window = (int32_t)window;
            unstarve(session, stream);
        }
    }
    return HTTP2_NO_ERROR;
}

static uint32_t set(struct http2_session *session, uint32_t what, uint32_t value)
{
    switch (what) {
    case HTTP2_HEADER_TABLE_SIZE: hpack_encoder_allow(&session->encoder, value); break;
    case HTTP2_ENABLE_PUSH:
        if (value > (session->side->is_server ? 1 : 0))
            return HTTP2_PROTOCOL_ERROR;
        break;
    case HTTP2_MAX_CONCURRENT_STREAMS: session->peer.max_streams = value; break;
    case HTTP2_INITIAL_WINDOW_SIZE: return set_initial_window(session, value);
    case HTTP2_MAX_FRAME_SIZE: /* ours are never larger than the least that it may be */
        if (value < HTTP2_FRAME_MAX || value > 0xffffff)
            return HTTP2_PROTOCOL_ERROR;
        break;
    case HTTP2_ENABLE_CONNECT_PROTOCOL:
        if (value > 1 || (value == 0 && session->peer.takes_upgrades))
            return HTTP2_PROTOCOL_ERROR;
        session->peer.takes_upgrades = value;
        break;
    default: break;
    }
    return HTTP2_NO_ERROR;
}

static void receive_settings(struct http2_session *session, const struct http2_frame *frame,
                             const char *payload)
{
    if (frame->flags & HTTP2_ACK) {
        if (session->is_acknowledged)
            end(session, HTTP2_PROTOCOL_ERROR);
        session->is_acknowledged = true;
        return;
    }
    if (frame->size > 6 * MAX_SETTINGS) {
        end(session, HTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    for (uint32_t at = 0; at < frame->size; at += 6) {
        uint32_t what = (uint32_t)(uint8_t)payload[at] << 8 | (uint8_t)payload[at + 1];
        uint32_t error = set(session, what, http2_number(payload + at + 2));
        if (error) {
            http2_session_end(session, error);
            return;
        }
    }
    session->reading.has_begun = true;
    http2_send_frame(session, (struct http2_frame){ 0, 0, HTTP2_SETTINGS, HTTP2_ACK }, NULL);
    session->side->ops->on_control(session, HTTP2_SETTINGS);
}

/* --- the others --- */

static void receive_ping(struct http2_session *session, const struct http2_frame *frame,
                         const char *payload)
{
    if (frame->flags & HTTP2_ACK)
        session->side->ops->on_control(session, HTTP2_PING);
    else
        http2_send_frame(session, (struct http2_frame){ 8, 0, HTTP2_PING, HTTP2_ACK }, payload);
}

/* Requests behind the last one were not looked at, and may be made elsewhere. */
static void receive_goaway(struct http2_session *session, const char *payload)
{
    uint32_t last_id = http2_number(payload) & HTTP2_ID_MAX;
    bool is_client = !session->side->is_server;
    session->has_heard_goaway = true;
    for (uint32_t i = 0; is_client && i <= session->streams.mask; i++) {
        struct http2_stream *stream = session->streams.table[i];
        for (struct http2_stream *next; stream; stream = next) {
            next = stream->next;
            if (stream->id <= last_id)
                continue;
            stream->error = HTTP2_REFUSED_STREAM;
            http2_stream_close(session, stream, false);
        }
    }
    session->side->ops->on_control(session, HTTP2_GOAWAY);
}

static void receive_reset(struct http2_session *session, const struct http2_frame *frame,
                          const char *payload)
{
    if (session->side->is_server && !http2_session_note(session, HTTP2_RESET))
        return;
    struct http2_stream *stream = http2_streams_find(&session->streams, frame->stream_id);
    if (!stream) {
        uint32_t error = session->side->is_server ? http2_streams_judge(&session->streams, frame)
                                                  : HTTP2_NO_ERROR;
        if (error)
            http2_session_end(session, error);
        return;
    }
    stream->error = http2_number(payload);
    stream->has_peer_reset = true;
    http2_stream_close(session, stream, false);
    list_remove(&stream->link); /* its place is free at once, and what it was for is ended */
    session->side->ops->on_stream_closed(session, stream);
}

static void open_window(struct http2_session *session, struct http2_stream *stream,
                        uint32_t increment)
{
    if (increment > (uint32_t)(HTTP2_WINDOW_MAX - (int64_t)stream->send_window)) {
        http2_stream_reset(session, stream, HTTP2_FLOW_CONTROL_ERROR);
        return;
    }
    stream->send_window += (int32_t)increment;
    unstarve(session, stream);
}

static void receive_window_update(struct http2_session *session, const struct http2_frame *frame,
                                  const char *payload)
{
    uint32_t increment = http2_number(payload) & HTTP2_WINDOW_MAX;
    if (increment == 0) {
        end(session, HTTP2_PROTOCOL_ERROR);
        return;
    }
    if (frame->stream_id > 0) {
        struct http2_stream *stream = http2_streams_find(&session->streams, frame->stream_id);
        if (stream)
            open_window(session, stream, increment);
        return;
    }
    if (increment > (uint32_t)(HTTP2_WINDOW_MAX - (int64_t)session->send_window)) {
        end(session, HTTP2_FLOW_CONTROL_ERROR);
        return;
    }
    session->send_window += (int32_t)increment;
    session->has_more = true;
}

/* What ends the connection before anything else is looked at. */
static uint32_t judge(const struct http2_session *session, const struct http2_frame *frame,
                      const char *payload)
{
    bool is_self = frame->type == HTTP2_PRIORITY && frame->size >= 4 &&
                   (http2_number(payload) & HTTP2_ID_MAX) == frame->stream_id;
    bool needs_stream = frame->type == HTTP2_PRIORITY || frame->type == HTTP2_RST_STREAM;
    if (is_of_connection(frame->type) ? frame->stream_id != 0
                                      : needs_stream && frame->stream_id == 0)
        return HTTP2_PROTOCOL_ERROR;
    if (frame->type == HTTP2_PUSH_PROMISE || is_self)
        return HTTP2_PROTOCOL_ERROR;
    if (frame->size != size_of(frame))
        return HTTP2_FRAME_SIZE_ERROR;
    bool needs_begun = frame->type == HTTP2_RST_STREAM || frame->type == HTTP2_WINDOW_UPDATE;
    if (needs_begun && frame->stream_id && http2_session_is_idle(session, frame->stream_id))
        return HTTP2_PROTOCOL_ERROR;
    return HTTP2_NO_ERROR;
}

void http2_receive_control(struct http2_session *session, const struct http2_frame *frame,
                           const char *payload)
{
    uint32_t error = judge(session, frame, payload);
    if (error) {
        http2_session_end(session, error);
        return;
    }
    if (frame->type == HTTP2_RST_STREAM) {
        receive_reset(session, frame, payload);
        return;
    }
    if (!http2_session_note(session, HTTP2_GLITCH))
        return;
    switch (frame->type) {
    case HTTP2_SETTINGS: receive_settings(session, frame, payload); break;
    case HTTP2_PING: receive_ping(session, frame, payload); break;
    case HTTP2_GOAWAY: receive_goaway(session, payload); break;
    case HTTP2_WINDOW_UPDATE: receive_window_update(session, frame, payload); break;
    default: break; /* PRIORITY is no more than a wish */
    }
}
