#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One request at the gateway, from its head to the end of its answer.
 *
 *   request_start: where to? ─► answered here (apps, /.sarsen/, problems) ──────────► over
 *                            └► proxied: resolve, pick ─► calling ─► answering ─────► over
 *                                                          │ ▲ next instance
 *                                                          └─┘
 *
 * Owns:     a hold on the epoch, so that everything resolved stays; objects are pooled by worker.
 * Borrows:  the exchange, until it is answered or aborted.
 * Threads:  the worker's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "codec/grpc.h"
#include "gateway/balancers/round_robin.h"
#include "gateway/forward_headers.h"
#include "gateway/identity.h"
#include "gateway/memo.h"
#include "gateway/worker.h"

/* How much of a request body is kept, so that another instance can be asked. */
#define REPLAY_MAX 65536u

/* Of a request of gRPC. */
struct request_grpc {
    enum grpc_kind kind; /* GRPC_NONE: it is none, and the rest means nothing */
    bool is_translated;  /* grpc-web, to a service that speaks HTTP/2 */
    bool has_status;
    bool is_answer_paused;
    enum grpc_status status;
    struct base64_in text;     /* the request's body */
    struct grpc_frames frames; /* the answer's */
};

struct request {
    struct list link; /* of the worker's running ones, or of its free ones */
    struct worker *worker;
    struct epoch *epoch;
    struct http_exchange *exchange; /* NULL when it is answered or aborted */

    /* Cleared for each request, from here ... */
    unsigned depth; /* callbacks of ours on the stack; an end inside one waits for them */
    bool is_over;
    bool is_internal;
    bool is_path_original; /* path and query lie in the head as they came */
    bool has_identity;
    bool is_holding;   /* waits for the body before anybody is asked */
    bool is_calling;   /* the call is under way */
    bool is_answering; /* the response's head has gone to the client */
    bool has_body, has_body_ended;
    bool is_body_paused;
    bool was_repeated;                /* sent again, after a connection broke */
    bool was_refused;                 /* all instances had, and one was asked again */
    bool is_error;                    /* what answered was a 5xx */
    bool is_counted;                  /* as a use, while it runs */
    struct span path, query;          /* canonical path; query data NULL without "?" */
    struct memo *memo;                /* that is about this request, or NULL */
    const struct bom *bom;            /* NULL before resolving */
    const struct route_action *route; /* of the config file; NULL when none matched */
    struct tunnel *tunnel;            /* of an upgrade that was asked for; NULL */
    unsigned status;                  /* that the service answered with; 0 */
    unsigned n_attempts;              /* instances asked */
    nsec answered_at;                 /* when the head of the answer came; 0 */
    const char *fault; /* why the service's answer is not what the client got; NULL */
    const char *fault_text;
    struct forward_ids ids; /* for the access log */

    /* ... to here. */
    enum resolve_reason reason;
    struct buf path_memory, target_memory;
    struct identity identity; /* by request_identity() */

    const struct release_file *file; /* that is waited for, until the deadline */

    /* Of a proxied request. */
    uint32_t service, contract, build; /* of the snapshot; NO_INDEX where not known yet,
                                          and of a static upstream */
    const struct endpoint *endpoints;  /* that may be asked */
    nsec *refused_at;                  /* by these, as the epoch remembers it */
    uint32_t *cursor;                  /* the epoch's, of their round */
    uint32_t n_endpoints, endpoint;
    struct round_robin_walk walk;
    struct http_call call;
    struct span target;
    nsec started, deadline;
    struct timer total; /* to the end of the answer, where there is a limit */
    bool has_deadline;  /* the caller named one */
    bool is_replayable; /* `body` is all of the request's body so far */

    struct request_grpc grpc;
    struct buf body;
};

/* The handler of every listener. */
void request_start(struct http_handler *handler, struct http_exchange *exchange);

/* Frees the pooled ones. */
void requests_free(struct worker *worker);

/* Who is served; read from the head when it is first asked for. */
const struct identity *request_identity(struct request *request);

/* Finds customer and BOM, for a page and whoever asks what it would be; idempotent. */
void request_resolve(struct request *request);

/* The same for a request that an open page may have caused: it stays within what that page was
 * served by, until a navigation. */
void request_resolve_for_page(struct request *request);

/* The value of a field by its lower-case name; SPAN_NULL when it is absent. */
struct span request_field(const struct request *request, struct span name);

/* Around every callback of a call or an exchange. */
static inline void request_enter(struct request *request)
{
    request->depth++;
}

void request_put(struct request *request); /* back to the pool; for request_leave() */

static inline void request_leave(struct request *request)
{
    if (--request->depth == 0 && request->is_over)
        request_put(request);
}

/* The client side has ended; the object goes back to the pool. */
void request_over(struct request *request);

/* An answer of our own. */
#define ANSWER_FIELDS_MAX 12u
struct answer {
    unsigned status;
    struct http_out_field fields[ANSWER_FIELDS_MAX];
    unsigned n_fields;
    bool is_public; /* the same for everybody, for caches: nothing about the customer is added */
    bool is_page;   /* a safe point: the cookie may be brought up to date */
};

void answer_put(struct answer *answer, struct span name, struct span value);
void request_answer(struct request *request, struct answer *answer, struct span body);

/* An answer as it stands, to which nothing about the customer is added. */
void request_reply(struct request *request, unsigned status, const struct http_out_field *fields,
                   unsigned n_fields, struct span body);

/* The same for a file, whose descriptor is taken. */
void request_answer_file(struct request *request, struct answer *answer, int fd, uint64_t size);

/* The value of Set-Cookie that this answer needs, empty for none. `customer` is what an identity
 * service named, data NULL when it said nothing. */
struct set_cookie {
    char text[COOKIE_VALUE_MAX + 128];
};
struct span request_cookie(struct request *request, bool is_page, struct span customer,
                           struct set_cookie *memory);

/* The ETag matches If-None-Match: the client has it already. */
bool request_has_etag(const struct request *request, struct span etag);
