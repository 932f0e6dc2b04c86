#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection of the server and the exchange on it; private to the server's files.
 *
 *              head complete              body complete           http_finish() and all sent
 *   HEAD ───────────────────────► BODY ───────────────────► DONE ────────────────────────► HEAD
 *    │  malformed                  │ http_finish() before     │ not kept alive
 *    ▼                             ▼ the body's end           ▼
 *   LINGER ◄─── more than a cap ─ DISCARD ──► DONE          closed, or LINGER where the client
 *    │ end, cap or time                                      may still be sending
 *    ▼
 *   closed
 *
 * LINGER reads and drops for a moment after the answer, for closing on unread bytes makes the
 * kernel reset the connection, and the client would lose the answer (RFC 9112 section 9.6).
 *
 * server.c        the server, admission, draining, the end of connections
 * listener.c      accepting
 * proxied.c       the header of the PROXY protocol in front of a connection
 * connection.c    what comes in: heads, bodies, time
 * request_head.c  where a head lies while its exchange lasts
 * exchange.c      what goes out: the functions a handler calls
 * relay.c         what goes out and comes from a call
 *
 * An idle connection is one struct and no buffer; what a request needs is in the exchange, which
 * is taken from the server's spare ones. A head is copied there and parsed in its place, so that
 * what a handler is shown stays until the exchange ends; one that is not complete yet gives the
 * exchange back, for most of those who send slowly mean to.
 */

#include <netinet/in.h>

#include "base/list.h"
#include "http/body.h"
#include "http/census.h"
#include "http/http2/server.h"
#include "http/inlet.h"
#include "http/outlet.h"
#include "http/request_head.h"
#include "http/server.h"

#define DATE_SIZE 29u
#define SPARE_EXCHANGES_MAX 64u
#define WARM_EXCHANGES_MAX 64u

/* What is read and dropped of a body that nobody wants, for the sake of the connection. */
#define DISCARD_MAX 262144u
#define DISCARD_TIME (5 * NSEC_PER_SEC)
#define LINGER_TIME (2 * NSEC_PER_SEC)

struct exchange;
struct http_stream;

struct http_server {
    struct loop *loop;
    struct http_handler *handler;
    struct http_settings settings;
    struct list listeners;
    struct list connections;
    struct list proxied; /* those that have not said yet for whom they come */
    struct list dead;    /* closed in this turn; callers up the stack may still look at them */
    struct task reaper;
    struct task drainer;
    struct http_census *census, *own_census;
    struct spares spares;
    struct list warm; /* exchanges of idle connections, the one used longest ago first */
    unsigned n_warm;
    struct exchange *spare_exchanges;
    unsigned n_spare_exchanges;
    uint64_t n_fields_seen;
    struct http2_server http2;
    unsigned n_connections;
    int reserve_fd; /* given up to accept and close when there are no descriptors left */
    bool is_draining, has_heir;
    struct http_heir heir;
    enum http_pressure pressure;
    void (*on_drained)(void *owner);
    void *drain_owner;
    int64_t date_second;
    char date[DATE_SIZE];
    struct tls_scratch *tls; /* NULL until somebody came by it */
    char hot[INLET_HOT_SIZE];
};

enum input {
    INPUT_HEAD,
    INPUT_BODY,
    INPUT_DONE,
    INPUT_DISCARD,
    INPUT_LINGER,
};

struct connection {
    struct watch watch;
    struct timer timer; /* runs at or before the true deadline, which it looks up when due */
    struct task task;
    struct list link;
    struct http_server *server;
    struct exchange *exchange; /* NULL between requests */
    struct exchange *warm;     /* of its last request, until others need it more */
    uint32_t census_key;
    struct inlet in;
    struct tls_stream *tls; /* NULL: in plain text */
    nsec since;             /* of the head's first byte, or of the idle time */
    size_t scanned;         /* bytes of an incomplete head that the parser has seen */
    size_t line_at;         /* where its last line starts */
    uint64_t n_requests;
    unsigned listener;
    enum input input;
    bool is_running, is_closed, is_hung_up, is_http1_only;
    socklen_t peer_size;
    union {
        struct sockaddr any;
        struct sockaddr_in6 largest; /* unix peers are unnamed */
    } peer;
};

enum sending {
    SENDING_NOTHING, /* HEAD, 204, 304 */
    SENDING_LENGTH,
    SENDING_CHUNKED,
    SENDING_UNTIL_CLOSE,
};

struct exchange {
    struct http_exchange public;
    struct exchange *next_spare;
    struct connection *connection;
    struct http_stream *relay_from; /* whose body this answer's is */
    struct outlet out;
    struct http_body body;
    uint64_t received; /* of the body */
    nsec body_since, received_at, sent_at, paused_at, discard_until;
    nsec looked_at; /* later than sent_at: `queued` is what waited in the kernel then */
    size_t queued;
    uint64_t discard_left;
    uint64_t content_length, sent; /* of the answer's body */
    enum sending sending;
    bool is_http_1_0, is_head_request;
    bool needs_continue;  /* the client waits for 100 before it sends the body */
    bool relays_continue; /* which the handler gives it, when it has one */
    bool has_trailers;    /* the last chunk has been written, with what follows it */
    bool keeps_alive;
    bool is_responded, is_paused, is_finished;
    bool was_paused; /* at any time in this body */
    bool is_shut;    /* the client has been told that nothing follows */
    bool is_gone;    /* the client takes nothing any more; on_abort is due */
    bool is_tunnel;  /* upgraded: bytes both ways, and what HTTP says of bodies does not hold */
    bool is_told;    /* of the draining */
    bool is_waiting; /* as http_wait() says */

    /* From here on nothing is cleared for the next request. */
    struct list warm_link;
    struct address peer;
    struct request_head request; /* what public.head shows */
};

#define EXCHANGE_CLEARED offsetof(struct exchange, warm_link)

static inline struct exchange *exchange_of(struct http_exchange *public)
{
    return container_of(public, struct exchange, public);
}

/* Whether so much of it is known to come that reading it is worth less than the connection. */
static inline bool http_body_is_long(const struct http_body *body)
{
    return body->framing == HTTP_BODY_LENGTH && body->left > DISCARD_MAX;
}

/* server.c */
void http_server_admit(struct http_server *server, int fd, const struct address *peer,
                       unsigned listener, const struct http_listen_options *options);
void http_connection_close(struct connection *connection);
/* Ends it, but for its socket, which is returned, and its place in the census. */
int http_connection_end(struct connection *connection);
/* One less is there, which was counted in n_connections. */
void http_server_forget_connection(struct http_server *server);
struct exchange *http_exchange_new(struct connection *connection);
void http_exchange_free(struct exchange *exchange);
struct span http_server_date(struct http_server *server);

/* proxied.c */
/* Admits the connection when it has told, by the PROXY protocol, for whom it comes. */
void http_server_expect_header(struct http_server *server, int fd, const struct address *peer,
                               unsigned listener, const struct http_listen_options *options);
void http_server_close_expected(struct http_server *server);

/* listener.c */
void http_server_close_listeners(struct http_server *server);

/* Takes what is queued and, unless others accept on the sockets too, has the kernel refuse all that
 * comes later. A socket that nobody accepts on would let clients connect and wait until the whole
 * draining is over. */
void http_server_end_listeners(struct http_server *server, bool is_shared);

/* How a request's body comes: since when it could, the last bytes of it and of the answer, and how
 * many there were. */
struct body_progress {
    nsec since, received_at, sent_at;
    uint64_t received;
};

/* When the next bytes must have come. `patience` is that of a handler, 0 for none. */
static inline nsec body_due(const struct body_progress *progress, nsec patience,
                            const struct http_settings *settings)
{
    if (unlikely(patience != 0)) {
        bool is_answered = progress->sent_at > progress->received_at;
        return after(is_answered ? progress->sent_at : progress->received_at, patience);
    }
    nsec at = progress->received_at + settings->stall_timeout;
    if (settings->body_min_rate == 0)
        return at;
    nsec allowed = progress->received / settings->body_min_rate * NSEC_PER_SEC;
    if (allowed < settings->body_grace)
        allowed = settings->body_grace;
    return earlier(at, progress->since + allowed);
}

/* connection.c */
void http_connection_open(struct connection *connection);
void http_connection_run(struct connection *connection);
void http_connection_abort(struct connection *connection);
/* After anything that happened outside http_connection_run(). */
void http_connection_wake(struct connection *connection);
/* Sets the timer for the earliest of its deadlines, where it is not set for an earlier time. */
void http_connection_arm(struct connection *connection);
/* The handler has finished; the request's body may not have. */
void http_connection_leave_body(struct connection *connection);

/* exchange.c */
/* The peer gets a reset, and what the kernel still holds for it is dropped. */
void http_connection_reset_at_close(struct connection *connection);
/* Sends what waits, as far as it goes. */
void http_exchange_push(struct exchange *self);
/* The client takes nothing any more. */
void http_exchange_lose(struct exchange *self);
/* Sends what waits, and ends the exchange when it is finished and nothing does. */
void http_exchange_flush(struct exchange *self);
