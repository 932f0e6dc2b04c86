#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The server's side of HTTP/2: connections, and an exchange for each stream.
 *
 *   HEADERS ─► fields ─► text of a head ─► request_head ─► on_request
 *   DATA ─► on_body, or kept while the handler is paused ─► the windows' share goes back
 *   http_respond() ─► HEADERS    http_send() ─► exchange->out ─► DATA, as the client's windows allow
 *
 * A handler sees exchanges like those of HTTP/1, and they keep their place in max_streams until it
 * has let go of them: when on_abort has returned, or the answer left.
 *
 * server.c     connections: the handing over, frames, draining, the end
 * request.c    heads and bodies that come in
 * exchange.c   what a handler calls; what goes out
 * deadlines.c  time
 *
 * Private to http. Owns: connections and exchanges. Threads: the server's loop's.
 * Cost: a request allocates nothing and touches no timer, on warm connections.
 */

#include "base/list.h"
#include "http/fifo.h"
#include "http/http2/fields.h"
#include "http/http2/session.h"
#include "http/request_head.h"
#include "http/server.h"

#define HTTP2_ANNOUNCE_TIME NSEC_PER_SEC /* for a PING to come back, then the client knows anyway */
#define HTTP2_PROTOCOL_MAX 32u           /* of an extended CONNECT's :protocol */

struct connection;
struct http_server;

/* Embedded in struct http_server. */
struct http2_server {
    struct http2_side side;
    struct list connections;
    struct list dead;   /* closed in this turn */
    struct list warm;   /* exchanges that know field lines, the one used longest ago first */
    struct list spares; /* exchanges that nobody has */
    unsigned n_warm, n_spares;
    struct http2_out out; /* of the message being sent */
};

enum http2_drain {
    HTTP2_SERVING,
    HTTP2_ANNOUNCED, /* GOAWAY for no stream in particular; a PING tells when the client knows */
    HTTP2_DRAINING,  /* GOAWAY with the last stream: the connection ends with those it has */
};

struct http2_connection {
    struct http2_session session;
    struct list link;
    struct http_server *server;
    struct list exchanges; /* the oldest first */
    struct list warm;
    struct list todo; /* exchanges that look for a turn of the loop */
    struct address peer;
    const struct tls_peer *tls;
    uint64_t n_requests;
    uint64_t n_kept; /* of answers, in their exchanges */
    nsec since;      /* without an exchange, or when draining began */
    nsec looked_at;  /* later than session.sent_at: `queued` is what waited in the kernel then */
    size_t queued;
    uint32_t census_key;
    unsigned n_exchanges, listener;
    enum http2_drain drain;
};

struct http2_exchange {
    struct http_exchange public;
    struct http2_connection *connection;
    struct list link; /* in the connection's exchanges */
    struct list todo_link;
    struct http2_stream stream;
    struct fifo in;  /* of the request's body, while the handler is paused */
    struct fifo out; /* of the answer's; before it a head without a body waits here for its end */
    struct fifo trailers;
    uint64_t received;
    uint64_t content_length, sent; /* of the answer's body; `sent` was given by the handler */
    uint64_t file_offset, file_left;
    nsec body_since, received_at, paused_at;
    nsec sent_at;       /* the last progress of the answer */
    uint64_t n_left;    /* bytes of it that have gone into the outlet */
    uint64_t n_left_at; /* at sent_at */
    int file_fd;
    unsigned status; /* of a head that waits */
    uint32_t break_code;
    bool is_head_request, has_date;
    bool needs_continue, relays_continue;
    bool is_tunnel, is_told;
    bool is_responded, is_finished, is_paused;
    bool sends_nothing; /* HEAD, 204, 304: what is given is dropped */
    bool has_length;    /* of the answer: content_length is exact */
    bool waits_for_end; /* the head is sent when it is known that nothing follows */
    bool has_trailers;
    bool has_head;        /* it has been sent */
    bool is_complete;     /* END_STREAM has been sent */
    bool is_broken;       /* it ends with break_code behind what is in `out` */
    bool is_request_done; /* END_STREAM came */
    bool is_end_told;     /* on_body_end was called */
    bool has_file;
    bool has_reset;  /* by us */
    bool was_unsent; /* on_drained is due when it is all gone */

    /* From here on nothing is cleared for the next request. */
    struct list warm_link;       /* in the server's warm or spare ones */
    struct list connection_link; /* in the connection's warm ones */
    struct request_head request;
    char protocol[HTTP2_PROTOCOL_MAX];
};

#define HTTP2_EXCHANGE_CLEARED offsetof(struct http2_exchange, warm_link)

static inline struct http2_exchange *http2_exchange_of(struct http_exchange *public)
{
    return container_of(public, struct http2_exchange, public);
}

static inline struct http2_exchange *http2_exchange_on(struct http2_stream *stream)
{
    return container_of(stream, struct http2_exchange, stream);
}

static inline struct http2_connection *http2_connection_of(struct http2_session *session)
{
    return container_of(session, struct http2_connection, session);
}

/* --- server.c --- */

void http2_server_init(struct http_server *server);
void http2_server_fini(struct http_server *server); /* aborts what is under way */

/* Whether the bytes begin as HTTP/2 does, or may yet. */
bool http2_is_preface(struct span bytes);

/* Takes over what has received the preface, or agreed on h2: its socket, its place in the census,
 * its bytes. The other is closed, and may be looked at until the end of the turn. */
void http2_server_adopt(struct connection *from, struct span bytes);

/* Draining and pressure, when they begin. */
void http2_server_drain(struct http_server *server);
void http2_server_close_idle(struct http_server *server);
/* Times became shorter, or limits others. */
void http2_server_rearm(struct http_server *server);
void http2_server_forget_fields(struct http_server *server);
void http2_server_reap(struct http_server *server);

/* The exchange wants a turn: to deliver what was kept, or to be told that it has drained. */
void http2_exchange_defer(struct http2_exchange *exchange);

void http2_connection_announce_drain(struct http2_connection *connection);
/* The client has read the announcement: what it began before has come. */
void http2_connection_begin_drain(struct http2_connection *connection);
void http2_connection_abort(struct http2_connection *connection);
/* The exchange is a tunnel, and the server drains. */
void http2_exchange_tell_drain(struct http2_exchange *exchange);

/* --- request.c --- */

enum http2_section http2_server_on_head_begin(struct http2_session *session,
                                              struct http2_stream *stream);
void http2_server_on_head(struct http2_session *session, struct http2_stream *stream,
                          const struct http2_frame *frame);
void http2_server_on_data(struct http2_session *session, struct http2_stream *stream,
                          struct span data);
void http2_server_on_end(struct http2_session *session, struct http2_stream *stream);

void http2_exchange_free(struct http2_exchange *exchange);
void http2_exchange_delete(struct http2_exchange *exchange); /* its memory */
void http2_connection_forget_warm(struct http2_connection *connection);

/* The handler is told that nothing more comes of it, or the client too. */
void http2_exchange_abort(struct http2_exchange *exchange);
void http2_exchange_cancel(struct http2_exchange *exchange, uint32_t code);
/* The client broke the protocol (400), or took too long, in the middle of a body. */
void http2_exchange_break_body(struct http2_exchange *exchange, unsigned status, const char *text);

/* Before a flush, and after it. */
void http2_exchange_look_in(struct http2_exchange *exchange);
void http2_exchange_look_out(struct http2_exchange *exchange);

/* --- deadlines.c --- */

void http2_connection_on_due(struct http2_session *session);
/* When to look at it next, as far as it is known without looking at all. */
void http2_connection_arm(struct http2_connection *connection);
void http2_exchange_arm(const struct http2_exchange *exchange);

/* --- exchange.c --- */

extern const struct http_wire http2_wire;

bool http2_server_on_send(struct http2_session *session, struct http2_stream *stream, size_t max);
/* A frame with END_STREAM has been put. */
void http2_server_on_end_sent(struct http2_session *session, struct http2_stream *stream);
/* Whether bytes of the answer wait for the client. */
size_t http2_exchange_unsent(const struct http2_exchange *self);
void http2_exchange_clear(struct http2_exchange *self); /* drops what it holds */
/* RST_STREAM; what was not sent is dropped. */
void http2_exchange_reset(struct http2_exchange *self, uint32_t code);
