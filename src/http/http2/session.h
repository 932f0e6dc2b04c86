#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection of HTTP/2, of either side: frames, streams and windows (RFC 9113).
 *
 *   watch ─► receive.c ─► ops, server.c or client.c         as bytes come in
 *   heads, resets, acknowledgements ─► outlet               at once
 *   bodies, while nobody's waits ─► outlet
 *   http2_stream_want() ─end of the turn─► ops->on_send ─► outlet ─► one send
 *
 * What comes in is used where it was received; only a frame that is not whole is kept, and DATA is
 * passed on before its frame is. Everything that goes out, of whichever stream, leaves together at
 * the end of the turn: heads in the order in which they were made, then bodies in turn, a frame
 * each. Windows are given back by http2_session_consume() as bytes are taken.
 *
 * A callback may do anything to any session, its own included, except free it; a stream that it
 * ends goes at the end of the turn.
 *
 * session.c  the socket, turns, ends
 * receive.c  frames that come in
 * control.c  those of them that are not of a message
 * send.c     frames that go out
 *
 * Owns:     the socket's buffers, the descriptor once open, the tables, and the stream of TLS that
 *           both buffers were given. Borrows: the side, the streams.
 * Threads:  the loop's.
 * Cost:     one receive and one send per turn in which there is anything to do; nothing is
 *           allocated for a stream.
 */

#include "codec/hpack.h"
#include "http/http2/abuse.h"
#include "http/http2/fields.h"
#include "http/http2/frame.h"
#include "http/http2/stream.h"
#include "http/inlet.h"
#include "http/outlet.h"
#include "io/loop.h"

struct http2_session;

struct http2_ops {
    /* A section comes for a stream, or for a new one when that is NULL. Which kind is expected;
     * HTTP2_UNWANTED when it is to be dropped. */
    enum http2_section (*on_head_begin)(struct http2_session *session, struct http2_stream *stream);
    /* It is whole, in session->head. A new stream is opened by http2_stream_open(). */
    void (*on_head)(struct http2_session *session, struct http2_stream *stream,
                    const struct http2_frame *frame);
    void (*on_data)(struct http2_session *session, struct http2_stream *stream, struct span data);
    /* END_STREAM of DATA. */
    void (*on_end)(struct http2_session *session, struct http2_stream *stream);
    /* What the stream has to send, at most `max` bytes of a body by http2_put_data(). False when
     * there is nothing more for now. */
    bool (*on_send)(struct http2_session *session, struct http2_stream *stream, size_t max);
    /* A frame with END_STREAM has been written. May be NULL, like on_turn. */
    void (*on_end_sent)(struct http2_session *session, struct http2_stream *stream);
    /* The stream is no part of the session any more: see its error, and has_peer_reset. */
    void (*on_stream_closed)(struct http2_session *session, struct http2_stream *stream);
    /* SETTINGS of the peer, PING or GOAWAY came; of PING, the answer to ours. */
    void (*on_control)(struct http2_session *session, enum http2_frame_type type);
    /* The turn ends, and what is done in here still leaves with the rest. */
    void (*on_turn)(struct http2_session *session);
    /* A flush is over; what could go has gone into the outlet, and from there to the kernel while
     * that took it. For those who wait to send more. */
    void (*on_flushed)(struct http2_session *session);
    /* Nothing can be exchanged any more: the peer is gone, broke the rules, or all was said. All
     * streams are over. Once, and from the loop. */
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
    struct http2_counts counts;
};

/* What the peer has said in its SETTINGS. */
struct http2_peer {
    int32_t window; /* of a new stream */
    uint32_t max_streams;
    bool takes_upgrades; /* extended CONNECT */
};

/* Where in a frame, or a head, what comes next belongs. */
struct http2_reading {
    struct http2_frame frame;
    struct http2_stream *stream;   /* whose DATA it is; NULL when nobody wants it */
    uint32_t n_content, n_padding; /* bytes of the payload that are to come */
    struct fifo block;             /* of a head in more than one frame */
    uint8_t n_continuations;
    uint8_t n_preface; /* bytes of it that are to come */
    bool is_in_head;   /* CONTINUATION comes next, and nothing else */
    bool has_begun;    /* the first SETTINGS came */
};

struct http2_session {
    struct watch watch;
    struct timer timer;
    struct task task;
    struct http2_side *side;
    struct inlet in;
    struct outlet out;
    struct http2_reading reading;
    struct http2_in head; /* the section that comes in */
    struct hpack_decoder decoder;
    struct hpack_encoder encoder;
    struct http2_streams streams;
    struct list sending, over;
    struct http2_abuse abuse;
    struct http2_peer peer;
    const struct http2_stream *tail; /* whose DATA is the last frame in the outlet */
    uint32_t tail_size;              /* of it, without its head */
    int32_t send_window, receive_window, n_taken;
    int32_t stream_window, connection_window; /* that we gave */
    uint32_t max_streams;                     /* likewise, as a server */
    uint32_t last_id;                         /* the latest stream that a client began */
    uint32_t goaway_id;                       /* and the one that our GOAWAY said */
    nsec head_since;                          /* of a head that is not whole; 0 = none */
    nsec received_at, sent_at;                /* the last byte either way */
    uint64_t n_sent;                          /* bytes that have left */
    uint32_t error;                           /* told to the peer by GOAWAY, when it is_ending */
    uint8_t offence;                          /* that it ends for: 1 + enum http2_offence; or 0 */
    bool is_running, is_inside;               /* inside: frames are being used */
    bool has_more;                            /* of bodies, that could leave */
    bool is_acknowledged;                     /* our SETTINGS */
    bool has_said_goaway;                     /* with the last stream: later ones are ignored */
    bool has_heard_goaway;
    bool is_mute;       /* nothing more may be written */
    bool is_ending;     /* nothing more is received, and GOAWAY is the last thing said */
    bool is_told;       /* on_lost was called */
    bool is_lingering;  /* waits for the peer to close */
    bool is_shut;       /* for sending */
    bool is_gone;       /* the peer: on_closed is due */
    uint32_t n_dropped; /* bytes that came while lingering */
    nsec linger_until;
    bool is_closed;
};

/* One of our SETTINGS. */
struct http2_setting_entry {
    enum http2_setting what;
    uint32_t value;
};

/* For a connected socket in session->watch.fd; session->in and ->out may hold something already. The
 * owner has set session->side. Sends our SETTINGS, with `extra` among them. False when the loop takes
 * no more descriptors; then the session is closed. */
bool http2_session_open(struct http2_session *session, const struct http2_setting_entry *extra,
                        unsigned n_extra) MUST_CHECK;

/* Something is to be sent, or should be read: it is looked after at the end of this turn. */
void http2_session_wake(struct http2_session *session);

/* Bytes received before it was opened. */
void http2_session_receive(struct http2_session *session, struct span bytes);

/* Sets the timer, where it is not set for an earlier time. */
void http2_session_arm(struct http2_session *session, nsec at);

/* False when that was one too many: the session ends. */
bool http2_session_note(struct http2_session *session, enum http2_offence offence);

/* The end: GOAWAY with the error, HTTP2_NO_ERROR for none, then on_lost from the loop, and when the
 * peer has closed too, or after a moment, on_closed. */
void http2_session_end(struct http2_session *session, uint32_t error);

/* Whether the peer cannot mean that stream yet. */
bool http2_session_is_idle(const struct http2_session *session, uint32_t id);

/* At once, without a callback. Idempotent; the memory is the owner's, that of the tables goes by
 * http2_session_fini(), outside of all callbacks. */
void http2_session_close(struct http2_session *session);
void http2_session_fini(struct http2_session *session);

/* --- streams --- */

void http2_stream_init(struct http2_stream *stream);
/* Of the client's next id, which it returns, or of the one that came in; its head has `is_end`. */
uint32_t http2_stream_begin(struct http2_session *session, struct http2_stream *stream);
void http2_stream_open(struct http2_session *session, struct http2_stream *stream,
                       const struct http2_frame *head);
/* RST_STREAM; it is told that it closed at the end of the turn. Idempotent. */
void http2_stream_reset(struct http2_session *session, struct http2_stream *stream, uint32_t error);
/* It is no part of the session any more, without being told. Idempotent. */
void http2_stream_fini(struct http2_session *session, struct http2_stream *stream);
/* It has something to send, or an end. */
void http2_stream_want(struct http2_session *session, struct http2_stream *stream);

/* Bytes of a body were taken: their share of both windows goes back, or of one. */
void http2_session_consume(struct http2_session *session, struct http2_stream *stream, size_t size);
void http2_stream_consume(struct http2_session *session, struct http2_stream *stream, size_t size);
void http2_connection_consume(struct http2_session *session, size_t size);

/* --- frames, straight into the outlet --- */

/* A section of fields. */
void http2_send_head(struct http2_session *session, struct http2_stream *stream,
                     const struct http2_out *fields, bool is_end);

/* In on_send: the head of DATA with `size` bytes, for which the windows must have room. They are put
 * behind it, and then http2_end_data(), when it is the end. */
void http2_put_data(struct http2_session *session, struct http2_stream *stream, size_t size,
                    bool is_end);
void http2_end_data(struct http2_session *session, struct http2_stream *stream);

static inline void http2_session_put(struct http2_session *session, struct span bytes)
{
    outlet_put(&session->out, session->side->spares, bytes);
}

/* Out of on_send, when nothing of the stream waits: puts what it can of these bytes, from where they
 * lie; with the last of them goes the end. Returns how many were put. None are while others wait. */
size_t http2_stream_put(struct http2_session *session, struct http2_stream *stream,
                        struct span bytes, bool is_end);
/* And its end, with the frame in front when that is still there. */
void http2_stream_put_end(struct http2_session *session, struct http2_stream *stream);

void http2_send_ping(struct http2_session *session);
/* GOAWAY with the last stream that was begun, or for none in particular. */
void http2_send_goaway(struct http2_session *session, uint32_t error);
void http2_announce_goaway(struct http2_session *session);

/* --- between the files of the session --- */

/* Uses what it can of the bytes, and returns how many. */
size_t http2_receive(struct http2_session *session, struct span bytes);
/* A whole frame about the connection, or one stream's window or priority. */
void http2_receive_control(struct http2_session *session, const struct http2_frame *frame,
                           const char *payload);

/* Closed: it is told so at the end of the turn. */
void http2_stream_close(struct http2_session *session, struct http2_stream *stream, bool is_by_us);
/* Tells those that are over. */
void http2_session_reap(struct http2_session *session);

void http2_send_settings(struct http2_session *session, const struct http2_setting_entry *entries,
                         unsigned n);
void http2_send_frame(struct http2_session *session, struct http2_frame frame, const char *payload);
void http2_send_number(struct http2_session *session, enum http2_frame_type type,
                       uint32_t stream_id, uint32_t number);
/* Bodies, until there is enough for a flush. */
void http2_send_bodies(struct http2_session *session);

#define HTTP2_FLUSH_SIZE 262144u /* from here on what was put together leaves before more is */
