#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client's side of HTTP/2: calls as streams of few connections.
 *
 *   CONNECTING ──► READY ──GOAWAY, idle──► LEAVING ──► closed       a connection
 *   HELD ──► AWAITING ──► RECEIVING ──► over                        a call
 *
 * client.c     connections: which one takes a call, how long they stay, how they end
 * call.c       the calls on them
 * call_time.c  how long those may take
 * held.c       requests that wait for their connection
 *
 * A call that comes while its connection is being made is held, with what it sends; so is one for
 * an upgrade while the upstream has not said whether it takes those. What a call is told, it is
 * told as frames come in or, where that is not possible, from a task of the connection.
 *
 * A stream that was given up keeps its place until the upstream has been told, so that no more are
 * under way there than it allowed. Windows of connections open as bytes come in, those of streams
 * as they are taken: one slow taker does not stop the others, and makes us keep one window at most.
 *
 * Private to http. Owns: connections, calls. Borrows: the pool. Threads: the loop's.
 * Cost: a call takes no allocation of ours, no timer call, and shares the receive and the send of
 * its turn with all others of the connection.
 */

#include "base/list.h"
#include "http/client.h"
#include "http/http2/fields.h"
#include "http/http2/session.h"

struct http2_call;
struct http_upstream;

/* What the connections of a pool share. */
struct http2_pool {
    struct http_pool *pool;
    struct http2_side side;
    struct http2_limits limits;
    struct list dead; /* closed in this turn; callers up the stack may still look at them */
    struct list spare_calls;
    unsigned n_spare_calls;
    struct http2_out out;
};

enum http2_client_state {
    HTTP2_CONNECTING,
    HTTP2_READY,
    HTTP2_LEAVING, /* takes no new calls */
    HTTP2_LOST,    /* nothing is exchanged any more */
};

struct http2_client {
    struct http2_session session;
    struct list link; /* of the upstream's sessions, or of the pool's dead */
    struct http_pool *pool;
    struct http_upstream *upstream; /* NULL when it is closed */
    struct task task;
    struct list calls;
    struct list ready;  /* calls that are to be told something */
    unsigned n_calls;   /* in all */
    unsigned n_streams; /* as the upstream counts them */
    enum http2_client_state state;
    nsec since; /* of connecting, or of the idle time */
    nsec pinged_at;
    bool has_settings; /* the upstream's have come */
    bool is_pinging;   /* and no answer came yet */
};

enum http2_call_state {
    HTTP2_HELD,
    HTTP2_AWAITING,
    HTTP2_RECEIVING,
};

struct http2_call {
    struct list link;  /* of its connection, or of the spare ones */
    struct list ready; /* see the connection */
    struct http2_client *connection;
    struct http_call *call;     /* NULL when its owner is done with it */
    struct http2_stream stream; /* its id is 0 before it is opened */
    uint32_t interim_size;
    struct fifo held;     /* the request; when it has left, the protocol that it asks for */
    struct fifo out, in;  /* bodies: what could not be sent, what the owner did not take */
    struct fifo trailers; /* field lines */
    nsec deadline, answer_timeout, received_at, sent_at;
    uint64_t head_end;          /* of what the connection has sent, when the head has left */
    uint64_t left_out, left_in; /* of bodies with a length */
    enum http2_call_state state : 8;
    enum http_fault fault : 8;
    enum http_framing framing : 8; /* of the response */
    uint8_t n_interim;
    bool has_length_out : 1, wants_trailers : 1, is_upgrade : 1;
    bool is_request_done : 1, is_expecting : 1, is_paused : 1;
    bool has_answer_bytes : 1; /* of whatever kind */
    bool is_ended : 1;         /* the answer is complete, if not told */
    bool is_whole : 1;         /* and so was the request when the owner was done */
    bool is_long : 1;          /* silence is no stall */
    bool is_drained : 1;       /* to be told */
    bool has_fault : 1;        /* to be told */
    bool is_closed : 1;        /* the stream is over */
};

/* http/client.c calls these. */
void http2_pool_init(struct http2_pool *http2, struct http_pool *pool);
void http2_pool_fini(struct http2_pool *http2);
void http2_pool_reap(struct http2_pool *http2);
void http2_call_start(struct http_pool *pool, struct http_call *call, const struct address *to,
                      const struct http_message *request, nsec deadline);

/* Closes one connection that has no call; false when there is none. */
bool http2_upstream_evict(struct http_upstream *upstream);
/* Lets go of connections to an address that is gone; calls on them end in peace. */
void http2_upstream_forget(struct http_upstream *upstream);
/* At once. Calls under way are over without a callback. */
void http2_upstream_close(struct http_upstream *upstream);

/* client.c */
/* A connection that takes one more call, or NULL and why there is none. */
struct http2_client *http2_client_for(struct http_pool *pool, struct http_upstream *upstream,
                                      bool is_fresh, enum http_fault *ret_fault);
/* A stream is over. */
void http2_client_leave(struct http2_client *connection);
/* A call object is gone. */
void http2_client_release(struct http2_client *connection);

/* How many streams the upstream takes at a time, for as much as we want. */
unsigned http2_client_max_streams(const struct http2_client *connection);

/* call.c */
void http2_calls_fini(struct http2_pool *http2);
/* Sends what was held, as far as it can be now. */
void http2_call_release_held(struct http2_call *self);
/* The upstream speaks HTTP/1.1 only: what was held goes there that way. The object is gone. */
void http2_call_fall_back(struct http2_call *self, const struct address *to);
/* The connection is lost, and has told why, or not. */
void http2_call_lose(struct http2_call *self, enum http_fault what);
/* Without a callback. */
void http2_call_drop(struct http2_call *self);
enum http2_section http2_call_on_head_begin(struct http2_session *session,
                                            struct http2_stream *stream);
void http2_call_on_head(struct http2_session *session, struct http2_stream *stream,
                        const struct http2_frame *frame);
void http2_call_on_data(struct http2_session *session, struct http2_stream *stream,
                        struct span data);
void http2_call_on_end(struct http2_session *session, struct http2_stream *stream);
bool http2_call_on_send(struct http2_session *session, struct http2_stream *stream, size_t max);
void http2_call_on_stream_closed(struct http2_session *session, struct http2_stream *stream);
void http2_call_time_out(struct http2_call *self);
/* Tells what there is to tell. The object may be gone afterwards. */
void http2_call_tell(struct http2_call *self);

/* call_time.c */
nsec http2_call_deadline(const struct http2_call *self);
/* For the earliest that its deadline can be; whoever is told looks again. */
void http2_call_arm(struct http2_call *self);

/* held.c */
/* Copies a request into the memory, which is empty; false when that does not work. */
bool http2_hold(struct fifo *memory, struct spares *spares, const struct http_message *request);
/* The spans point into the memory. */
struct http_message http2_read_held(const struct fifo *memory);
