#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An upstream that speaks HTTP/2, played by the test with nghttp2 on a real socket: it notes what
 * comes and answers when the test says so.
 */

#include <nghttp2/nghttp2.h>

#include "http/caller.h"

#define MAX_STREAMS 160

struct upstream_stream {
    struct buf head, body; /* "name=value " for each field */
    struct span answer;    /* of the body, what is left of it */
    const char *trailer;   /* the value of one, or NULL */
    bool is_ended, is_reset, holds_end;
    uint32_t reset_code;
};

struct upstream {
    struct bench *bench;
    struct peer *peer;
    nghttp2_session *ng;
    unsigned n_streams, n_ended, n_goaways, n_pings, n_settings;
    bool is_silent, is_ended;                    /* reads nothing; the other side has closed */
    struct upstream_stream streams[MAX_STREAMS]; /* by (id - 1) / 2 */
};

static inline struct upstream_stream *stream_of(struct upstream *upstream, int32_t id)
{
    CHECK(id > 0 && (id - 1) / 2 < MAX_STREAMS);
    return &upstream->streams[(id - 1) / 2];
}

static inline int upstream_on_header(nghttp2_session *ng, const nghttp2_frame *frame,
                                     const uint8_t *name, size_t name_size, const uint8_t *value,
                                     size_t value_size, uint8_t flags, void *user_data)
{
    struct upstream_stream *stream = stream_of(user_data, frame->hd.stream_id);
    (void)ng, (void)flags;
    buf_put(&stream->head, (struct span){ (const char *)name, name_size });
    buf_put(&stream->head, SPAN("="));
    buf_put(&stream->head, (struct span){ (const char *)value, value_size });
    buf_put(&stream->head, SPAN(" "));
    return 0;
}

static inline int upstream_on_data(nghttp2_session *ng, uint8_t flags, int32_t id,
                                   const uint8_t *data, size_t size, void *user_data)
{
    (void)ng, (void)flags;
    buf_put(&stream_of(user_data, id)->body, (struct span){ (const char *)data, size });
    return 0;
}

static inline int upstream_on_frame(nghttp2_session *ng, const nghttp2_frame *frame,
                                    void *user_data)
{
    struct upstream *upstream = user_data;
    (void)ng;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: upstream->n_streams++; break;
    case NGHTTP2_PING: upstream->n_pings++; break;
    case NGHTTP2_GOAWAY: upstream->n_goaways++; break;
    case NGHTTP2_SETTINGS: upstream->n_settings++; break;
    case NGHTTP2_RST_STREAM:
        stream_of(upstream, frame->hd.stream_id)->is_reset = true;
        stream_of(upstream, frame->hd.stream_id)->reset_code = frame->rst_stream.error_code;
        break;
    default: break;
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
        stream_of(upstream, frame->hd.stream_id)->is_ended = true;
        upstream->n_ended++;
    }
    return 0;
}

static inline struct upstream *upstream_new(struct bench *bench,
                                            const nghttp2_settings_entry *settings, unsigned n)
{
    struct upstream *upstream = mem_new(struct upstream);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    upstream->bench = bench;
    upstream->peer = peer_accept(bench->loop, bench->listen_fd);
    CHECK_INT(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, upstream_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, upstream_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, upstream_on_frame);
    CHECK_INT(nghttp2_option_new(&option), 0);
    nghttp2_option_set_max_send_header_block_length(option, 1u << 20);
    CHECK_INT(nghttp2_session_server_new2(&upstream->ng, callbacks, upstream, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    CHECK_INT(nghttp2_submit_settings(upstream->ng, 0, settings, n), 0);
    return upstream;
}

static inline void upstream_free(struct upstream *upstream)
{
    nghttp2_session_del(upstream->ng);
    peer_close(upstream->peer);
    for (int i = 0; i < MAX_STREAMS; i++) {
        buf_fini(&upstream->streams[i].head);
        buf_fini(&upstream->streams[i].body);
    }
    free(upstream);
}

static inline void upstream_send(struct upstream *upstream)
{
    struct peer *peer = upstream->peer;
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(upstream->ng, &data)) > 0) {
        while (n > 0) {
            ssize_t sent = send(peer->fd, data, (size_t)n, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) {
                CHECK_INT(loop_turn(upstream->bench->loop, NSEC_PER_MSEC), 0);
                continue;
            }
            if (sent < 0)
                return;
            data += sent;
            n -= sent;
        }
    }
}

static inline void upstream_turn(struct upstream *upstream)
{
    struct peer *peer = upstream->peer;
    CHECK_INT(loop_turn(upstream->bench->loop, NSEC_PER_MSEC), 0);
    if (!upstream->is_silent) {
        upstream->is_ended |= peer_receive(peer) != 1;
        CHECK_INT(nghttp2_session_mem_recv(upstream->ng, (uint8_t *)peer->got, peer->n_got),
                  peer->n_got);
        peer->n_got = 0;
    }
    upstream_send(upstream);
}

#define UPSTREAM_WAIT(upstream, condition)                                                         \
    do {                                                                                           \
        time_t until_ = time(NULL) + PEER_PATIENCE;                                                \
        while (!(condition)) {                                                                     \
            upstream_turn(upstream);                                                               \
            if (time(NULL) >= until_)                                                              \
                check_fail(__FILE__, __LINE__, #condition, "does not come true");                  \
        }                                                                                          \
    } while (0)

static inline nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                         strlen(value), 0 };
}

static inline ssize_t upstream_read(nghttp2_session *ng, int32_t id, uint8_t *to, size_t length,
                                    uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct upstream_stream *stream = source->ptr;
    size_t size = stream->answer.size < length ? stream->answer.size : length;
    (void)user_data;
    if (size)
        memcpy(to, stream->answer.data, size);
    stream->answer = span_from(stream->answer, size);
    if (stream->answer.size > 0)
        return (ssize_t)size;
    if (stream->holds_end && size == 0)
        return NGHTTP2_ERR_DEFERRED;
    if (stream->holds_end)
        return (ssize_t)size;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailer) {
        nghttp2_nv nv = field("grpc-status", stream->trailer);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        CHECK_INT(nghttp2_submit_trailer(ng, id, &nv, 1), 0);
    }
    return (ssize_t)size;
}

/* A head with one more field, when `name` is there, and a body, when it is no NULL. */
static inline void upstream_answer(struct upstream *upstream, int32_t id, const char *status,
                                   const char *name, const char *value, struct span body)
{
    struct upstream_stream *stream = stream_of(upstream, id);
    nghttp2_nv nv[] = { field(":status", status), field(name ? name : "a", value ? value : "b") };
    nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = upstream_read };
    stream->answer = body;
    CHECK_INT(
        nghttp2_submit_response(upstream->ng, id, nv, name ? 2 : 1, body.data ? &provider : NULL),
        0);
}
