#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client of HTTP/2 that sends frames and counts those that come back. Fields are sent as literals,
 * and what comes back is told by its frames, not by its fields.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "bench.h"

#include "http/http2/frame.h"

static inline void send_frame(struct peer *peer, uint8_t type, uint8_t flags, uint32_t id,
                              struct span payload)
{
    static char
        bytes[HTTP2_FRAME_HEAD + 65536]; /* in one piece, or the kernel holds the second back */
    char *at =
        http2_frame_encode(bytes, (struct http2_frame){ (uint32_t)payload.size, id, type, flags });
    if (payload.size)
        memcpy(at, payload.data, payload.size);
    peer_send_span(peer, (struct span){ bytes, HTTP2_FRAME_HEAD + payload.size });
}

/* A literal field that is not indexed. */
static inline size_t put_field(char *at, const char *name, const char *value)
{
    size_t n = strlen(name), m = strlen(value);
    at[0] = 0;
    at[1] = (char)n;
    memcpy(at + 2, name, n);
    at[2 + n] = (char)m;
    memcpy(at + 3 + n, value, m);
    return 3 + n + m;
}

static inline struct span request_block(const char *method, const char *path)
{
    static char block[512];
    size_t size = put_field(block, ":method", method);
    size += put_field(block + size, ":scheme", "http");
    size += put_field(block + size, ":path", path);
    size += put_field(block + size, ":authority", "a");
    return (struct span){ block, size };
}

static inline void ask(struct peer *peer, uint32_t id, const char *method, const char *path,
                       bool is_end)
{
    uint8_t flags = HTTP2_END_HEADERS | (is_end ? HTTP2_END_STREAM : 0);
    send_frame(peer, HTTP2_HEADERS, flags, id, request_block(method, path));
}

static inline struct peer *connect_bare(struct bench *bench)
{
    struct peer *peer = bench_connect(bench);
    int yes = 1;
    CHECK_INT(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
    peer_send(peer, HTTP2_PREFACE);
    return peer;
}

static inline struct peer *begin_with(struct bench *bench, struct span settings)
{
    struct peer *peer = connect_bare(bench);
    send_frame(peer, HTTP2_SETTINGS, 0, 0, settings);
    settle(bench->loop);
    return peer;
}

static inline struct peer *begin(struct bench *bench)
{
    return begin_with(bench, SPAN_NULL);
}

struct got {
    unsigned n;
    uint8_t flags; /* of the last */
    struct span payload;
};

/* Frames of that type on that stream so far; of DATA, `payload` is that of the last. */
static inline struct got got_so_far(struct peer *peer, uint8_t type, uint32_t id)
{
    struct span bytes = { peer->got, peer->n_got };
    struct got got = { 0 };
    while (bytes.size >= HTTP2_FRAME_HEAD) {
        struct http2_frame frame = http2_frame_decode(bytes.data);
        struct span payload = span_first(span_from(bytes, HTTP2_FRAME_HEAD), frame.size);
        bytes = span_from(bytes, HTTP2_FRAME_HEAD + frame.size);
        if (frame.type != type || frame.stream_id != id)
            continue;
        got = (struct got){ got.n + 1, frame.flags, payload };
    }
    return got;
}

static inline struct got count(struct bench *bench, struct peer *peer, uint8_t type, uint32_t id)
{
    settle(bench->loop);
    peer_receive(peer);
    return got_so_far(peer, type, id);
}
