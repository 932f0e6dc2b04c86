#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection of HTTP/2, of either side: what nghttp2 needs of the world.
 *
 *   watch ─► receive ─► nghttp2 ─callbacks─► server.c or client.c        as bytes come in
 *   http2_session_wake() ─end of the turn─► nghttp2 ─► outlet ─► one send
 *
 * nghttp2 keeps the protocol's rules: frames, streams, windows, compression. This file moves its
 * bytes, keeps it from being abused, and ends connections. Everything that wants to go out, from
 * whichever stream, leaves together at the end of the turn. Windows are given back by
 * http2_session_consume() as bytes are taken, never by nghttp2 itself.
 *
 * A side fills in `callbacks` for streams (on_begin_headers, on_header, on_data_chunk_recv,
 * on_stream_close, send_data); the others are here. In all of them user_data is the session. A
 * callback may do anything to any session, its own included, except free it.
 *
 * Bodies go out by data providers with NGHTTP2_DATA_FLAG_NO_COPY: the side's send_data callback
 * puts the frame's nine bytes and the data by http2_session_put().
 *
 * Owns:     nghttp2's session, the socket's buffers, the descriptor once open, and the stream of TLS
 *           that both buffers were given. Borrows: the side.
 * Threads:  the loop's.
 * Cost:     one receive and one send per turn in which there is anything to do.
 */

#include <nghttp2/nghttp2.h>

#include "http/http2/abuse.h"
#include "http/http2/scan.h"
#include "http/http2/slab.h"
#include "http/inlet.h"
#include "http/outlet.h"
#include "http/server.h"
#include "io/loop.h"

#define HTTP2_FRAME_HEAD 9u
#define HTTP2_PREFACE_SIZE 24u

struct http2_session;

struct http2_ops {
    /* A complete and legal frame, DATA and HEADERS with their ends. */
    void (*on_frame)(struct http2_session *session, const nghttp2_frame *frame);
    /* A frame with END_STREAM has been written. May be NULL, like on_turn. */
    void (*on_end_sent)(struct http2_session *session, int32_t stream_id);
    /* The turn ends, and what is submitted in here still leaves with the rest. */
    void (*on_turn)(struct http2_session *session);
    /* A flush is over; what could go has gone into the outlet, and from there to the kernel while
     * that took it. For those who wait to send more. */
    void (*on_flushed)(struct http2_session *session);
    /* HEADERS, DATA or RST_STREAM came for a stream that is over. Returns the error that the connection ends with,
     * or NGHTTP2_NO_ERROR. May be NULL, when it is never one. */
    uint32_t (*on_stray)(struct http2_session *session, const struct http2_seen *seen);
    /* Nothing can be exchanged any more: the peer is gone, broke the rules, or all was said. All
     * streams are over. Once, never from inside nghttp2. */
    void (*on_lost)(struct http2_session *session);
    /* After that: the descriptor is closed, and the memory can go, outside of this call. */
    void (*on_closed)(struct http2_session *session);
    /* The timer that http2_session_arm() set. */
    void (*on_due)(struct http2_session *session);
};

/* What the sessions of a server, or of a pool, have in common. */
struct http2_side {
    const struct http2_ops *ops;
    const struct http2_limits *limits; /* the owner's, which may change */
    struct loop *loop;
    struct spares *spares;
    char *hot; /* the loop's receive buffer, INLET_HOT_SIZE */
    bool is_server;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct http2_slab slab;
    struct http2_counts counts;
};

void http2_side_init(struct http2_side *side);
void http2_side_fini(struct http2_side *side);

struct http2_session {
    struct watch watch;
    struct timer timer;
    struct task task;
    struct http2_side *side;
    nghttp2_session *ng;
    struct inlet in;
    struct outlet out;
    struct http2_abuse abuse;
    struct http2_scan scan;
    uint32_t last_id, fed_id;   /* the latest stream of the peer that was seen, and used */
    bool has_reset;             /* RST_STREAM was seen and not used */
    nsec received_at, sent_at;  /* the last byte either way */
    uint64_t n_sent;            /* bytes that have left */
    uint32_t error;             /* told to the peer by GOAWAY, when it is_ending */
    bool is_running, is_inside; /* inside: nghttp2 is on the stack */
    bool is_ending;             /* nothing more is received, and GOAWAY is the last thing said */
    bool is_told;               /* on_lost was called */
    bool is_lingering;          /* waits for the peer to close */
    bool is_shut;               /* for sending */
    bool is_gone;               /* the peer: on_closed is due */
    uint32_t n_dropped;         /* bytes that came while lingering */
    nsec linger_until;
    bool is_closed;
};

/* For a connected socket in session->watch.fd; session->in and ->out may hold something already. The
 * owner has set session->side. Sends our SETTINGS, with `extra` among them. False when the loop takes
 * no more descriptors; then the session is closed. */
bool http2_session_open(struct http2_session *session, const nghttp2_settings_entry *extra,
                        unsigned n_extra) MUST_CHECK;

/* Something was submitted, or should be read: it is looked after at the end of this turn. */
void http2_session_wake(struct http2_session *session);

/* Bytes received before it was opened. */
void http2_session_receive(struct http2_session *session, struct span bytes);

/* `size` bytes of a stream's body were taken: their share of both windows goes back. */
void http2_session_consume(struct http2_session *session, int32_t stream_id, size_t size);

/* In send_data: straight into the outlet. */
static inline void http2_session_put(struct http2_session *session, struct span bytes)
{
    outlet_put(&session->out, session->side->spares, bytes);
}

/* Whether frames can be written at once: outside of callbacks, and while not too much waits. */
bool http2_session_can_write(const struct http2_session *session);

/* Writes what can go out to the outlet, or only up to a stream's HEADERS: then the memory that it
 * was made of is needed no more. Only when it can; the socket's turn comes later. */
void http2_session_write(struct http2_session *session);
void http2_session_write_head(struct http2_session *session, int32_t stream_id);

/* Sets the timer, where it is not set for an earlier time. */
void http2_session_arm(struct http2_session *session, nsec at);

/* The end: GOAWAY with the error, NGHTTP2_NO_ERROR for none, then on_lost from the loop, and when the
 * peer has closed too, or after a moment, on_closed. */
void http2_session_end(struct http2_session *session, uint32_t error);

/* At once, without a callback. Idempotent; the memory is the owner's, nghttp2's goes by
 * http2_session_fini(), outside of all callbacks. */
void http2_session_close(struct http2_session *session);
void http2_session_fini(struct http2_session *session);

static inline struct http2_session *http2_session_of(void *user_data)
{
    return user_data;
}
