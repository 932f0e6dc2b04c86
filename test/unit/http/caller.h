#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A pool, the listener of an upstream that the test plays, and callers that note what they are told.
 */

#include "base/buf.h"
#include "http/client.h"
#include "http/peer.h"

struct bench {
    struct fake_clock clock;
    struct loop *loop;
    struct http_pool *pool;
    struct address address;
    int listen_fd;
};

struct caller {
    struct http_call call;
    struct bench *bench;
    unsigned status, n_responses, n_ends, n_faults, n_drained, n_interim;
    enum http_fault fault;
    struct buf body, trailers;
    bool pauses, cancels, calls_again;
    struct caller *next;
};

static const struct http_out_field host = { SPAN("host"), SPAN("up") };
static const struct http_message get = {
    .method = SPAN("GET"),
    .target = SPAN("/x"),
    .fields = &host,
    .n_fields = 1,
};

#define REQUEST "GET /x HTTP/1.1\r\nhost: up\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static inline void caller_start(struct caller *caller);

static inline void caller_on_response(struct http_call *call, const struct http_head *head)
{
    struct caller *caller = container_of(call, struct caller, call);
    caller->n_responses++;
    caller->status = head->status;
    if (caller->cancels)
        http_call_cancel(call);
}

static inline void caller_on_body(struct http_call *call, struct span bytes)
{
    struct caller *caller = container_of(call, struct caller, call);
    CHECK(call->stream);
    buf_put(&caller->body, bytes);
    if (caller->pauses)
        http_call_pause(call);
}

static inline void caller_on_end(struct http_call *call)
{
    struct caller *caller = container_of(call, struct caller, call);
    CHECK(!call->stream);
    caller->n_ends++;
    buf_clear(&caller->trailers);
    buf_put(&caller->trailers, http_call_trailers(call));
    if (caller->calls_again)
        caller_start(caller->next);
}

static inline void caller_on_fault(struct http_call *call, enum http_fault fault)
{
    struct caller *caller = container_of(call, struct caller, call);
    CHECK(!call->stream);
    caller->n_faults++;
    caller->fault = fault;
}

static inline void caller_on_drained(struct http_call *call)
{
    container_of(call, struct caller, call)->n_drained++;
}

static inline void caller_on_interim(struct http_call *call, const struct http_head *head)
{
    struct caller *caller = container_of(call, struct caller, call);
    caller->n_interim++;
    caller->status = head->status;
    if (caller->cancels)
        http_call_cancel(call);
}

static const struct http_call_ops caller_ops = {
    caller_on_response, caller_on_body,    caller_on_end,
    caller_on_fault,    caller_on_drained, caller_on_interim,
};

static inline struct bench *bench_new(const struct http_pool_settings *settings)
{
    struct bench *bench = mem_new(struct bench);
    fake_clock_init(&bench->clock);
    bench->loop = loop_new(&bench->clock.clock);
    bench->pool = http_pool_new(bench->loop, settings ? settings : &http_pool_settings_default);
    bench->listen_fd = listen_on_loopback(&bench->address);
    return bench;
}

static inline void bench_free(struct bench *bench)
{
    http_pool_free(bench->pool);
    loop_free(bench->loop);
    close(bench->listen_fd);
    free(bench);
}

static inline void caller_send(struct caller *caller, const struct http_message *request,
                               nsec deadline)
{
    http_call_start(caller->bench->pool, &caller->call, &caller->bench->address, request, deadline);
}

static inline void caller_start(struct caller *caller)
{
    caller_send(caller, &get, NSEC_NEVER);
}

static inline struct caller *caller_new(struct bench *bench)
{
    struct caller *caller = mem_new(struct caller);
    caller->bench = bench;
    caller->call.ops = &caller_ops;
    return caller;
}

static inline void caller_free(struct caller *caller)
{
    http_call_cancel(&caller->call);
    buf_fini(&caller->body);
    buf_fini(&caller->trailers);
    free(caller);
}

static inline void wait_until(struct bench *bench, const unsigned *count, unsigned n)
{
    time_t until = time(NULL) + PEER_PATIENCE;
    while (*count < n) {
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
        CHECK(time(NULL) < until);
    }
}

static inline void expect_end(struct caller *caller, unsigned status, const char *body)
{
    wait_until(caller->bench, &caller->n_ends, 1);
    CHECK_INT(caller->status, status);
    CHECK(span_is(buf_span(&caller->body), body));
    CHECK_INT(caller->n_ends + caller->n_faults, 1);
    caller->n_ends = 0;
    buf_clear(&caller->body);
}

static inline void expect_fault(struct caller *caller, enum http_fault fault)
{
    wait_until(caller->bench, &caller->n_faults, 1);
    CHECK_INT(caller->fault, fault);
    CHECK_INT(caller->n_ends + caller->n_faults, 1);
    caller->n_faults = 0;
}

/* One complete call over a connection that then stays. */
static inline struct peer *warm_up(struct caller *caller)
{
    caller_start(caller);
    struct peer *peer = peer_accept(caller->bench->loop, caller->bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_send(peer, RESPONSE);
    expect_end(caller, 200, "hello");
    return peer;
}
