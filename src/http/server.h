#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The server side of HTTP: listeners, connections, and one exchange per request.
 *
 *   listener ─accept→ connection ─head complete→ handler->on_request(exchange)
 *      exchange->on_body …  on_body_end      the request's body, as it arrives
 *      http_respond() http_send() … http_finish()          the answer, whenever it is ready
 *
 * Bodies flow by back-pressure: on_body hands bytes that are valid during the call only; a handler
 * that cannot take more calls http_pause() and later http_resume(). http_send() never blocks and
 * takes everything it is given; what the kernel does not accept is kept, and a producer looks at
 * http_unsent() and stops above HTTP_SEND_MARK until on_drained.
 *
 * What the protocol demands is done here: limits and timeouts, 100-continue (sent when the body is
 * first wanted, i.e. when on_request returned without pausing, unless the handler took that over),
 * HEAD without body, keep-alive and pipelining, draining or closing after an unread body, refusing
 * malformed requests with the status of the codec, Date.
 *
 * A client that closes only its sending side still gets its answer; one that resets, or closes a
 * unix socket, is an abort at once.
 *
 * Owns:     connections and exchanges. Everything handed to http_respond is copied.
 * Borrows:  the loop, the handler, the settings.
 * Threads:  one server per loop, on that loop's thread.
 * Cost:     a request on a warm connection: one receive, one send, no allocation, no timer call.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/http2/abuse.h"
#include "http/message.h"
#include "io/loop.h"
#include "io/socket.h"

#define HTTP_SEND_MARK 65536u
#define HTTP_MEMO_SIZE 1280u

struct http_settings {
    struct http1_limits limits; /* head 32 KiB, line 8 KiB, 100 fields */
    nsec head_timeout;          /* whole head, 10 s */
    nsec idle_timeout;          /* keep-alive, 60 s */
    nsec stall_timeout;         /* no progress on a body or an answer, 30 s */
    uint64_t body_min_rate;     /* bytes per second of a request body, 1024; 0 = none */
    nsec body_grace;            /* before the rate counts, 5 s */
    uint64_t answer_min_rate;   /* bytes per second that a client takes, 1024; 0 = any */
    uint64_t max_body;          /* of a request, 0 = no limit */
    uint64_t max_buffered;      /* kept for one connection, 256 KiB; 8 KiB at least */
    unsigned max_requests;      /* per connection, 100,000 */
    unsigned max_connections;   /* in the census, 16,384 */
    unsigned max_per_address;   /* connections of one address in the census, 0 = no limit */
    struct http2_limits http2;
    struct http_census *census; /* borrowed, and not changed later; NULL is one of its own */
};

extern const struct http_settings http_settings_default;

struct http_census;
struct http_server;
struct tls_peer;
struct tls_server;
struct http_exchange;
struct http_call;

struct http_handler {
    /* A request head is complete. The handler sets exchange->ops and its own `owner`, and answers
     * now or later. */
    void (*on_request)(struct http_handler *handler, struct http_exchange *exchange);
    /* A request that the handler never saw was answered for it, as exchange->refusal says: what
     * came was no head, or nothing more is taken. For logs: the exchange has a peer, and a head
     * where there was one; it is only to be looked at. May be NULL. */
    void (*on_refused)(struct http_handler *handler, const struct http_exchange *exchange);
    /* A connection of HTTP/2 was ended for what its client did. For logs; `reason` is static. May be
     * NULL. */
    void (*on_ended)(struct http_handler *handler, const struct address *peer, const char *reason);
};

struct http_exchange_ops {
    void (*on_body)(struct http_exchange *exchange, struct span bytes);
    void (*on_body_end)(struct http_exchange *exchange);
    void (*on_drained)(struct http_exchange *exchange); /* unsent fell to 0 after it was above */
    /* The client is gone, broke the protocol, or took too long: nothing can be sent any more. The
     * exchange is dead when this returns. Not called after http_finish(). */
    void (*on_abort)(struct http_exchange *exchange);
    /* The server drains. Told once, of an exchange that was upgraded: it has no end of its own. */
    void (*on_drain)(struct http_exchange *exchange);
};

/* What is answered in the handler's place. */
struct http_refusal {
    unsigned status; /* 0: nothing */
    const char *text;
};

/* Why a stream of HTTP/2 ends before its time (RFC 9113 section 7). */
enum http_reset_code {
    HTTP_RESET_NO_ERROR = 0,
    HTTP_RESET_PROTOCOL_ERROR = 1,
    HTTP_RESET_INTERNAL_ERROR = 2,
    HTTP_RESET_REFUSED_STREAM = 7,
    HTTP_RESET_CANCEL = 8,
    HTTP_RESET_ENHANCE_YOUR_CALM = 11,
    HTTP_RESET_HTTP_1_1_REQUIRED = 13,
};

struct http_exchange {
    const struct http_exchange_ops *ops; /* every slot may be NULL, and so may this */
    const struct http_wire *wire;        /* the server's; NULL in HTTP/1 */
    void *owner;                         /* the handler's object */
    const struct http_head *head;        /* valid until the exchange ends, with all it points to */
    const struct address *peer;
    unsigned listener;           /* the number given to http_listen() */
    struct http_refusal refusal; /* in on_abort, when not the client but its request ended it */
    uint32_t reset_code;         /* in on_abort, an enum http_reset_code of the client's, or 0 */
    const struct tls_peer *tls;  /* NULL: in plain text */
    /* The handler's: how long the body may bring nothing while nothing is said to the client either,
     * at no rate at all; 0 is what the settings say. */
    nsec patience;
    /* What a handler finds out from the fields alone it may note here, plain bytes that nobody
     * frees, aligned for anything. They are there again when a later request of this connection has
     * the same field lines behind a request line of the same version and form, which the same
     * number tells; it is never 0. */
    uint64_t fields_number;
    void *memo;
    const uint64_t *n_kept;       /* bytes that answers on its connection keep; NULL in HTTP/1 */
    struct http_call *relay_from; /* whose body this answer's is, see relay_copy.h */
};

struct http_server *http_server_new(struct loop *loop, struct http_handler *handler,
                                    const struct http_settings *settings);

/* New settings while it runs, for connections that stand as well. Those that came while there was
 * no limit per address do not count towards a new one. Cheap when no time became shorter. */
void http_server_set(struct http_server *server, const struct http_settings *settings);

/* What a process that runs short of memory asks of its clients; each level keeps those before. */
enum http_pressure {
    HTTP_PRESSURE_NONE,
    HTTP_PRESSURE_NO_KEEP_ALIVE, /* answers say close, and connections end with them */
    HTTP_PRESSURE_SHED,          /* new requests get 503 with Retry-After */
    HTTP_PRESSURE_CLOSE_IDLE,    /* connections without a request are closed, at each call */
};
void http_server_set_pressure(struct http_server *server, enum http_pressure pressure);

/* Closes everything at once; on_abort is called for exchanges under way. Not from a handler. */
struct http_server *http_server_free(struct http_server *server);

struct http_listen_options {
    struct tls_server *tls; /* borrowed; NULL: in plain text */
    bool has_proxy_header;  /* each connection begins with one of the PROXY protocol, version 2 */
    bool is_http1_only;
};

/* Accepts on a listening socket, which stays the caller's. `options` NULL is none of them. */
int http_listen(struct http_server *server, int listen_fd, unsigned number,
                const struct http_listen_options *options) MUST_CHECK;

/* Ends listening, for everybody who has the socket, closes idle connections, and lets the others
 * end with their exchange. What had been queued is still served; later clients are refused.
 * on_done(owner) is called when none is left. */
void http_drain(struct http_server *server, void (*on_done)(void *owner), void *owner);

/* Who serves on where this process ends. */
struct http_heir {
    /* A connection of HTTP/1 in plain text that is between two requests. The descriptor is the
     * heir's, and what its client has sent since is still unread. `number` is that of
     * http_listen(). */
    void (*on_connection)(void *owner, int fd, const struct address *peer, unsigned number);
    void *owner;
};

/* http_drain() where others have the listening sockets too, and go on with them. With an heir
 * nobody is sent away between two requests: such connections are the heir's, as soon as they are;
 * those that cannot be handed over end with their next answer, which says so. `heir`, NULL for
 * none, is copied. */
void http_leave(struct http_server *server, const struct http_heir *heir,
                void (*on_done)(void *owner), void *owner);

/* Serves a connection that is between two requests, from another server's http_leave(). `options`
 * are those of its listener. */
void http_admit(struct http_server *server, int fd, const struct address *peer, unsigned number,
                const struct http_listen_options *options);

unsigned http_n_connections(const struct http_server *server);

/* For a handler's on_request: an expectation of 100-continue is the handler's now. It passes the
 * expectation on and relays the 100 by http_interim(); none is sent from here. */
void http_take_expectation(struct http_exchange *exchange);

/* A 1xx response before the final one. Nothing is sent towards HTTP/1.0, which knows none, and
 * nothing once the final head was given. */
void http_interim(struct http_exchange *exchange, unsigned status, struct span lines);

/* The answer waits for something that may not come for minutes. From here until it begins, a client
 * that ends its side of the connection is gone, though it might still read: on_abort is called. */
void http_wait(struct http_exchange *exchange);

void http_pause(struct http_exchange *exchange);
void http_resume(struct http_exchange *exchange);

/* The final response's head; once per exchange, also while the body still comes in. */
void http_respond(struct http_exchange *exchange, const struct http_message *response);

/* Instead of http_respond(), for a request whose head->upgrade asks for it: response->upgrade is the
 * protocol, its status is this function's to choose. From here on http_send() and on_body carry
 * what the two ends say to each other, without limit of size or time; http_finish() ends it, and
 * on_body_end tells that the client sends no more. */
void http_accept_upgrade(struct http_exchange *exchange, const struct http_message *response);

/* A piece of the body, copied where it cannot leave at once. */
void http_send(struct http_exchange *exchange, struct span bytes);

/* `size` bytes of the file from `offset` on, with HTTP_SEND_LENGTH and as the last piece; the
 * descriptor is closed when they have left. */
void http_send_file(struct http_exchange *exchange, int fd, uint64_t offset, uint64_t size);

/* In a call's on_response, after http_respond(): the body of that response becomes this answer's,
 * and goes from one to the other in here, with back-pressure, and without a copy where it is long.
 * The call's on_body and the exchange's on_drained are not called any more. on_end and on_fault
 * come as always, and then it is the handler who finishes or breaks the answer. Both belong to
 * the same loop; who is told by on_abort has to cancel the call. */
void http_relay(struct http_exchange *exchange, struct http_call *call);

/* Field lines, as in http_message, to follow the body; once, behind its last piece. They are dropped
 * where the body is not chunked. */
void http_put_trailers(struct http_exchange *exchange, struct span lines);

/* The uid that the client's process had when it connected, of a unix socket and HTTP/1; false for
 * all others. */
bool http_peer_uid(const struct http_exchange *exchange, uid_t *ret_uid) MUST_CHECK;

/* Bytes of the request's body that came, and of the answer's that were given, so far. */
uint64_t http_received(const struct http_exchange *exchange);
uint64_t http_sent(const struct http_exchange *exchange);

/* Bytes that wait for the client or for the end of the turn. Stopping whenever there are any is
 * correct too: on_drained comes for each time they are gone. */
size_t http_unsent(const struct http_exchange *exchange);

/* The answer is complete; the exchange is the connection's again and must not be touched. */
void http_finish(struct http_exchange *exchange);

/* The answer cannot be completed (an upstream broke off): the connection closes so that the client
 * sees it, or the stream is reset with INTERNAL_ERROR. */
void http_break(struct http_exchange *exchange);

/* The same with another code of enum http_reset_code, which only HTTP/2 tells. */
void http_reset(struct http_exchange *exchange, uint32_t code);

/* respond + send + finish for an answer at hand. */
void http_reply(struct http_exchange *exchange, unsigned status,
                const struct http_out_field *fields, unsigned n_fields, struct span body);
