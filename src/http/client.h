#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client side of HTTP: calls to upstream addresses over pooled keep-alive connections.
 *
 * A pool belongs to one loop and keeps idle connections per address, last used first. A connection
 * on which a byte arrives that nobody asked for is never used again. A call is embedded in its
 * owner and ends exactly once: by on_end, by on_fault, or by http_call_cancel().
 *
 * Retrying is the caller's decision, and http_fault tells what it needs for it: whether the
 * request can have reached anyone.
 *
 * Borrows:  the loop. What is sent is copied where it cannot leave at once.
 * Threads:  the loop's.
 * Cost:     a call on a warm connection: one send, one receive, no allocation, no timer call.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/message.h"
#include "io/loop.h"
#include "io/socket.h"

struct http_pool_settings {
    struct http1_limits limits; /* of response heads: 64 KiB */
    nsec connect_timeout;       /* 1 s */
    nsec idle_timeout;          /* of a kept connection, 30 s */
    nsec stall_timeout;         /* no progress on a body that is not paused, 60 s */
    unsigned max_idle;          /* kept per address, 1024 */
    unsigned max_connections;   /* per address, 1024 */
    unsigned max_in_all;        /* in the census, 16,384 */
    unsigned http2_connections; /* per address before any is full, 1 */
    unsigned http2_streams;     /* of one connection at a time, 100; the upstream may take fewer */
    struct http_census *census; /* borrowed, and not changed later; NULL is one of its own */
};

extern const struct http_pool_settings http_pool_settings_default;

struct http_census;
struct http_pool;
struct http_call;

enum http_fault {
    HTTP_FAULT_CONNECT,         /* refused or unreachable: nothing was sent */
    HTTP_FAULT_CONNECT_TIMEOUT, /* nothing was sent */
    HTTP_FAULT_TLS,             /* no handshake, see call->why: nothing was sent */
    HTTP_FAULT_BUSY,            /* max_connections reached: nothing was sent */
    HTTP_FAULT_STALE,           /* a kept connection was closed before any byte of an answer came */
    HTTP_FAULT_BROKEN,          /* reset or closed in the middle */
    HTTP_FAULT_REFUSED,         /* the upstream says that it did nothing with it (RFC 9113 8.7) */
    HTTP_FAULT_INVALID,         /* the answer breaks the protocol, or a request field does */
    HTTP_FAULT_TIMEOUT,         /* no answer by the call's deadline, or a body that stalled */
};

struct http_call_ops { /* all below on_fault may be NULL */
    /* A final response head. Valid during the call, as is that of on_interim. */
    void (*on_response)(struct http_call *call, const struct http_head *head);
    void (*on_body)(struct http_call *call, struct span bytes);
    void (*on_end)(struct http_call *call);
    void (*on_fault)(struct http_call *call, enum http_fault fault);
    void (*on_drained)(struct http_call *call); /* unsent fell to 0 after it was above */
    /* A 1xx head before the final one, a few at most; never 101. */
    void (*on_interim)(struct http_call *call, const struct http_head *head);
    /* Instead of on_response, after http_message.upgrade asked for it: the upstream agreed to
     * head->upgrade, which the caller compares. From here on http_call_send() and on_body carry what
     * the two ends say to each other, without limit of time; http_call_finish() ends our direction,
     * and on_end tells that the upstream ended. NULL where nobody asks. */
    void (*on_upgraded)(struct http_call *call, const struct http_head *head);
};

struct http_exchange;
struct http_stream; /* the connection's side, or what `wire` knows */
struct http_call_wire;
struct tls_client;

enum http_protocol {
    HTTP_PROTOCOL_1,
    HTTP_PROTOCOL_2,    /* by prior knowledge, or by ALPN over TLS */
    HTTP_PROTOCOL_AUTO, /* over TLS, what ALPN gives */
};

struct http_call {
    const struct http_call_ops *ops;
    struct http_stream *stream; /* NULL when the call is over */
    /* For the response head, from when the request has been sent; 0 = none. The owner sets it
     * before the start. What a long request takes to send is not the service's time. */
    nsec answer_timeout;
    /* How to speak to it, set like the timeout. Connections are kept by address and by these. */
    enum http_protocol protocol;
    const struct tls_client *tls; /* NULL: in plain text */
    /* Of the one who takes the answer, see there, or NULL: where much is kept little is received. */
    const uint64_t *n_kept;
    bool is_fresh; /* on a new connection only */
    bool is_head_request;
    bool is_reused;      /* the connection stood before: it may have been closed meanwhile */
    uint32_t reset_code; /* an enum http_reset_code that the upstream ended it with, or 0 */
    const struct http_call_wire *wire; /* NULL in HTTP/1 */
    struct span trailers;              /* see http_call_trailers() */
    const char *why;                   /* with HTTP_FAULT_TLS, in a few words; static */
    struct http_exchange *relay_to;    /* where the body goes, when neither is spliced */
};

struct http_pool *http_pool_new(struct loop *loop, const struct http_pool_settings *settings);

/* New settings while it runs; times hold from the next step of each connection on. */
void http_pool_set(struct http_pool *pool, const struct http_pool_settings *settings);

/* Calls under way are over without a callback. */
struct http_pool *http_pool_free(struct http_pool *pool);

/* Starts a call; `deadline` (monotonic, NSEC_NEVER for none) is for the response head. Faults are
 * reported through on_fault, from the loop, never from inside this call. */
void http_call_start(struct http_pool *pool, struct http_call *call, const struct address *to,
                     const struct http_message *request, nsec deadline);

/* A piece of the request body, and its end. No end is needed with HTTP_SEND_NONE. All calls below
 * do nothing when the call is over: an answer may come before the request is complete. */
void http_call_send(struct http_call *call, struct span bytes);
void http_call_finish(struct http_call *call);
size_t http_call_unsent(const struct http_call *call);

/* Stops and restarts the flow of the response body. */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);

/* In on_end: the field lines that followed the body of the response, without those that must not
 * stand there, in wire form. Empty when there were none, and when http_message.wants_trailers did
 * not ask for them. */
static inline struct span http_call_trailers(const struct http_call *call)
{
    return call->trailers;
}

/* Gives the call up; its connection is closed. No callback follows. Idempotent. */
void http_call_cancel(struct http_call *call);

/* Closes the idle connections to an address that is gone. */
void http_pool_forget(struct http_pool *pool, const struct address *to);
