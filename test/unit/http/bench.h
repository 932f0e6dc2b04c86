#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A server with a handler that does what the path says and notes what it is told.
 */

#include "base/buf.h"
#include "http/peer.h"
#include "http/server.h"

#define DATE "date: Fri, 20 Nov 2026 08:00:00 GMT\r\n"
#define BIG 200000u

struct bench {
    struct fake_clock clock;
    struct loop *loop;
    struct http_handler handler;
    struct http_settings settings;
    struct http_server *server;
    struct address address;
    int listen_fd;
    struct http_exchange *exchange; /* of /later, /wait and /pause */
    struct buf body;
    unsigned n_requests, n_body_ends, n_aborts, n_drained, n_done;
    bool is_paused_in_body;
};

static inline struct bench *bench_of(struct http_exchange *exchange)
{
    return exchange->owner;
}

static inline void note_body(struct http_exchange *exchange, struct span bytes)
{
    struct bench *bench = bench_of(exchange);
    buf_put(&bench->body, bytes);
    if (bench->is_paused_in_body)
        http_pause(exchange);
}

static inline void note_abort(struct http_exchange *exchange)
{
    bench_of(exchange)->n_aborts++;
    bench_of(exchange)->exchange = NULL;
}

static inline void note_drained(struct http_exchange *exchange)
{
    bench_of(exchange)->n_drained++;
}

static inline void note_body_end(struct http_exchange *exchange)
{
    bench_of(exchange)->n_body_ends++;
}

static inline void reply_with_body(struct http_exchange *exchange)
{
    struct bench *bench = bench_of(exchange);
    bench->n_body_ends++;
    http_reply(exchange, 200, NULL, 0, buf_span(&bench->body));
    buf_clear(&bench->body);
}

static inline void echo_body(struct http_exchange *exchange, struct span bytes)
{
    http_send(exchange, bytes);
}

static inline void echo_end(struct http_exchange *exchange)
{
    http_finish(exchange);
}

static const struct http_exchange_ops ops_hold = { note_body, note_body_end, note_drained,
                                                   note_abort };
static const struct http_exchange_ops ops_collect = { note_body, reply_with_body, NULL,
                                                      note_abort };
static const struct http_exchange_ops ops_echo = { echo_body, echo_end, NULL, note_abort };

static const struct http_message chunked = { .status = 200, .body = HTTP_SEND_UNKNOWN };

static inline void bench_on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    struct bench *bench = container_of(handler, struct bench, handler);
    struct span path = exchange->head->path_and_query;
    exchange->owner = bench;
    exchange->ops = &ops_hold;
    bench->n_requests++;
    CHECK_INT(exchange->listener, 7);

    if (span_is(path, "/hello")) {
        http_reply(exchange, 200, NULL, 0, SPAN("hello"));
    } else if (span_is(path, "/collect")) {
        exchange->ops = &ops_collect;
    } else if (span_is(path, "/echo")) {
        exchange->ops = &ops_echo;
        http_respond(exchange, &chunked);
    } else if (span_is(path, "/empty")) {
        http_reply(exchange, 204, NULL, 0, SPAN_NULL);
    } else if (span_is(path, "/bad-field")) {
        static const struct http_out_field field = { SPAN("x-bad"), SPAN("a\r\nb: c") };
        http_reply(exchange, 200, &field, 1, SPAN("secret"));
    } else {
        bench->exchange = exchange;
        if (span_is(path, "/pause"))
            http_pause(exchange);
        if (span_is(path, "/wait"))
            http_wait(exchange);
        if (span_is(path, "/expect"))
            http_take_expectation(exchange);
    }
}

static inline struct bench *bench_new(const struct http_settings *settings)
{
    struct bench *bench = mem_new(struct bench);
    fake_clock_init(&bench->clock);
    bench->loop = loop_new(&bench->clock.clock);
    bench->handler.on_request = bench_on_request;
    bench->server =
        http_server_new(bench->loop, &bench->handler, settings ? settings : &http_settings_default);
    bench->listen_fd = listen_on_loopback(&bench->address);
    CHECK_INT(http_listen(bench->server, bench->listen_fd, 7, NULL), 0);
    return bench;
}

static inline struct peer *bench_connect(struct bench *bench)
{
    return peer_connect(bench->loop, &bench->address);
}

static inline void bench_free(struct bench *bench)
{
    http_server_free(bench->server);
    loop_free(bench->loop);
    close(bench->listen_fd);
    buf_fini(&bench->body);
    free(bench);
}

static inline void wait_for_requests(struct bench *bench, unsigned n)
{
    while (bench->n_requests < n)
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
}

static inline void advance(struct bench *bench, nsec by)
{
    fake_clock_advance(&bench->clock, by);
    settle(bench->loop);
}

#define HELLO "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" DATE "\r\nhello"
