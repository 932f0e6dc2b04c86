#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection of the client and the call on it; private to the client's files.
 *
 *   CONNECTING ──► AWAITING ──► RECEIVING ──► IDLE ──► AWAITING …
 *        │             │             │          │
 *        └─────────────┴─────────────┴──────────┴──► closed
 *
 * client.c   the pool, and the functions a caller calls
 * stream.c   what happens on a connection
 *
 * A call that cannot be carried out has a stream too, one without a socket: what is wrong reaches
 * the caller from the loop, and until then it can cancel.
 */

#include "base/list.h"
#include "base/map.h"
#include "http/body.h"
#include "http/census.h"
#include "http/client.h"
#include "http/http2/client.h"
#include "http/inlet.h"
#include "http/outlet.h"
#include "http/relay.h"

#define RECENT_UPSTREAMS 256u

struct http_pool {
    struct loop *loop;
    struct http_pool_settings settings;
    struct http_census *census, *own_census;
    struct map upstreams;
    struct http_upstream
        *recent[RECENT_UPSTREAMS]; /* found before, by a few bytes of the address */
    struct list failed;
    struct list dead; /* closed in this turn; callers up the stack may still look at them */
    struct task reaper;
    struct spares spares;
    struct relay_pipe pipe;
    struct http2_pool http2;
    struct tls_scratch *tls; /* NULL until somebody was spoken to over it */
    struct http_head head;   /* of the response being parsed */
    char hot[INLET_HOT_SIZE];
};

/* Bytes of what connections are kept by: the protocol, the client of TLS, the address. */
struct http_upstream_key {
    size_t size;
    char bytes[sizeof(struct sockaddr_storage) + sizeof(void *) + 1];
};

/* The connections to one address by one protocol; exists while there are any. */
struct http_upstream {
    struct map_node node;
    struct http_upstream_key key;
    struct address address;
    enum http_protocol protocol;
    const struct tls_client *tls;
    struct list idle; /* last used first */
    struct list busy;
    struct list sessions; /* of HTTP/2 */
    unsigned n_idle, n_connections;
    bool is_http1; /* of HTTP_PROTOCOL_AUTO: it said that it is nothing else */
};

enum stream_state {
    STREAM_FAILED, /* no socket; the fault is to be told */
    STREAM_CONNECTING,
    STREAM_IDLE,
    STREAM_AWAITING,  /* the response head */
    STREAM_RECEIVING, /* its body */
};

struct http_stream {
    struct watch watch;
    struct timer timer; /* runs at or before the true deadline, which it looks up when due */
    struct task task;
    struct list link;
    struct http_pool *pool;
    struct http_upstream *upstream; /* NULL when it never had a socket */
    struct http_call *call;
    struct exchange *relay_to; /* where the body goes instead of to the call */
    struct inlet in;
    struct outlet out;
    struct http_body body;
    struct fifo trailers; /* the section as it came, where it is wanted */
    nsec deadline;        /* of the response head */
    nsec answer_timeout;  /* see struct http_call */
    nsec since;           /* of the connection, or of the idle time */
    nsec received_at, sent_at;
    uint64_t content_length, sent; /* of the request's body */
    size_t scanned;
    enum stream_state state;
    enum http_fault fault; /* with STREAM_FAILED, or has_fault */
    enum http_body_kind sending;
    unsigned n_interim; /* 1xx heads of this call */
    uint32_t interim_size;
    uint32_t low_mark; /* SO_RCVLOWAT */
    size_t n_received; /* at once, lately */
    bool is_expecting; /* a 100, before anything of the body is sent */
    bool is_request_done, is_reused, has_answer_bytes, keeps_alive, is_paused;
    bool wants_trailers, wants_upgrade;
    bool is_tunnel;                  /* upgraded: bytes both ways */
    bool is_held;                    /* the exchange relayed to takes nothing now */
    bool has_spliced, cannot_splice; /* this body */
    bool has_fault;                  /* to be told from the loop */
    bool cannot_send;                /* the peer takes nothing more, but may have answered */
    bool is_running, is_closed;
};

/* stream.c */
struct http_stream *http_stream_new(struct http_pool *pool);
void http_stream_open(struct http_stream *stream, struct http_upstream *upstream);
void http_stream_close(struct http_stream *stream);
void http_stream_arm(struct http_stream *stream);
void http_stream_wake(struct http_stream *stream);
void http_stream_flush(struct http_stream *stream);
/* `bytes` of the request's body, framed. */
void http_stream_put(struct http_stream *stream, struct span bytes);

/* client.c */
struct http_upstream *http_upstream_get(struct http_pool *pool, const struct address *address,
                                        const struct http_call *call);
/* It goes when it has no connection. */
void http_upstream_release(struct http_pool *pool, struct http_upstream *upstream);
/* Counts one more connection to the address, of which it, the pool and the process have room. */
bool http_upstream_take_place(struct http_pool *pool, const struct http_upstream *upstream);
/* http_call_start() over HTTP/1, whatever the call says. */
void http_call_start_1(struct http_pool *pool, struct http_call *call, const struct address *to,
                       const struct http_message *request, nsec deadline);
/* The call ends from the loop, with the fault. */
void http_call_fail(struct http_pool *pool, struct http_call *call, enum http_fault fault);
/* These have a body as a rule, so its absence is said (RFC 9110 section 8.6). */
bool http_has_body_as_a_rule(struct span method);
/* The connection goes back to its upstream's idle ones. */
void http_upstream_keep(struct http_stream *stream);
void http_upstream_drop(struct http_stream *stream);
