/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A front server whose handler relays each answer of an upstream that the test plays.
 */

#include <signal.h>

#include "base/buf.h"
#include "http/client.h"
#include "http/peer.h"
#include "http/server.h"

struct bench {
    struct fake_clock clock;
    struct loop *loop;
    struct http_handler handler;
    struct http_server *server;
    struct http_pool *pool;
    struct address address, upstream;
    int listen_fd, upstream_fd;
    struct http_call call;
    struct http_exchange *exchange;
    uint64_t sent; /* of the answer's body */
    unsigned n_ends, n_faults, n_aborts;
    enum http_fault fault;
    bool is_calling;
};

static void on_response(struct http_call *call, const struct http_head *head)
{
    struct bench *bench = container_of(call, struct bench, call);
    bool has_length = head->framing == HTTP_BODY_LENGTH;
    struct http_message response = {
        .status = head->status,
        .body = has_length ? HTTP_SEND_LENGTH : HTTP_SEND_UNKNOWN,
        .content_length = head->content_length,
        .has_date = true,
    };
    http_respond(bench->exchange, &response);
    http_relay(bench->exchange, call);
}

static void on_end(struct http_call *call)
{
    struct bench *bench = container_of(call, struct bench, call);
    bench->n_ends++;
    bench->is_calling = false;
    bench->sent = http_sent(bench->exchange);
    http_put_trailers(bench->exchange, http_call_trailers(call));
    http_finish(bench->exchange);
    bench->exchange = NULL;
}

static void on_fault(struct http_call *call, enum http_fault fault)
{
    struct bench *bench = container_of(call, struct bench, call);
    bench->n_faults++;
    bench->fault = fault;
    bench->is_calling = false;
    http_break(bench->exchange);
    bench->exchange = NULL;
}

static const struct http_call_ops call_ops = { .on_response = on_response,
                                               .on_end = on_end,
                                               .on_fault = on_fault };

static void on_abort(struct http_exchange *exchange)
{
    struct bench *bench = exchange->owner;
    bench->n_aborts++;
    bench->exchange = NULL;
    if (bench->is_calling)
        http_call_cancel(&bench->call);
    bench->is_calling = false;
}

static const struct http_exchange_ops exchange_ops = { .on_abort = on_abort };

static void on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    static const struct http_message request = {
        .method = SPAN("GET"),
        .target = SPAN("/"),
        .lines = SPAN("host: up\r\n"),
        .wants_trailers = true,
    };
    struct bench *bench = container_of(handler, struct bench, handler);
    exchange->ops = &exchange_ops;
    exchange->owner = bench;
    bench->exchange = exchange;
    bench->is_calling = true;
    bench->call.ops = &call_ops;
    http_call_start(bench->pool, &bench->call, &bench->upstream, &request, NSEC_NEVER);
}

static struct bench *bench_new(void)
{
    struct bench *bench = mem_new(struct bench);
    signal(SIGPIPE, SIG_IGN); /* as the daemon does; splice() has no flag for it */
    fake_clock_init(&bench->clock);
    bench->loop = loop_new(&bench->clock.clock);
    bench->handler.on_request = on_request;
    bench->server = http_server_new(bench->loop, &bench->handler, &http_settings_default);
    bench->pool = http_pool_new(bench->loop, &http_pool_settings_default);
    bench->listen_fd = listen_on_loopback(&bench->address);
    bench->upstream_fd = listen_on_loopback(&bench->upstream);
    CHECK_INT(http_listen(bench->server, bench->listen_fd, 0, NULL), 0);
    return bench;
}

static void bench_free(struct bench *bench)
{
    http_server_free(bench->server);
    http_pool_free(bench->pool);
    loop_free(bench->loop);
    close(bench->listen_fd);
    close(bench->upstream_fd);
    free(bench);
}

static struct peer *bench_connect(struct bench *bench)
{
    return peer_connect(bench->loop, &bench->address);
}

/* A client that takes little, before it connects and so for good. */
static struct peer *connect_small(struct bench *bench)
{
    int size = 4096;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    CHECK_INT(connect(fd, &bench->address.any, bench->address.size), 0);
    CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return peer_new(bench->loop, fd);
}

/* Sends the request and takes the call; `upstream` NULL for a new connection. */
static struct peer *begin(struct bench *bench, struct peer *client, struct peer *upstream)
{
    peer_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if (!upstream)
        upstream = peer_accept(bench->loop, bench->upstream_fd);
    peer_expect(upstream, "GET / HTTP/1.1\r\nhost: up\r\n\r\n");
    return upstream;
}

static char byte_at(uint64_t offset)
{
    return (char)('a' + offset % 23 + (offset >> 16) % 3);
}

/* As much of the body as the upstream's socket takes. */
static void send_body(struct peer *upstream, uint64_t *offset, uint64_t end)
{
    char block[16384];
    while (*offset < end) {
        size_t n = 0;
        for (; n < sizeof(block) && *offset + n < end; n++)
            block[n] = byte_at(*offset + n);
        ssize_t sent = send(upstream->fd, block, n, MSG_NOSIGNAL);
        if (sent < 0)
            CHECK_INT(errno, EAGAIN);
        if (sent <= 0)
            return;
        *offset += (uint64_t)sent;
    }
}

static void take_body(struct peer *client, uint64_t *offset)
{
    IGNORE(peer_receive(client), "what came is looked at");
    for (size_t i = 0; i < client->n_got; i++)
        if (client->got[i] != byte_at(*offset + i))
            CHECK_INT(*offset + i, -1);
    *offset += client->n_got;
    client->n_got = 0;
}

/* Both sides until `size` bytes have arrived. */
static void pass_body(struct bench *bench, struct peer *upstream, struct peer *client,
                      uint64_t size)
{
    uint64_t n_sent = 0, n_got = 0;
    time_t until = time(NULL) + PEER_PATIENCE;
    while (n_got < size) {
        send_body(upstream, &n_sent, size);
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
        take_body(client, &n_got);
        fake_clock_advance(&bench->clock, NSEC_PER_MSEC);
        CHECK(time(NULL) < until);
    }
    CHECK_INT(n_got, size);
}

static void send_head(struct peer *upstream, uint64_t size)
{
    char text[100];
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
             (unsigned long long)size);
    peer_send(upstream, text);
}

static void expect_head(struct peer *client, uint64_t size)
{
    char text[100];
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\ncontent-length: %llu\r\n\r\n",
             (unsigned long long)size);
    peer_expect(client, text);
}

TEST(bodies_of_every_size_pass_through)
{
    static const uint64_t sizes[] = { 0,     1,      100,    16384,  32768,  65535,   65536,  65537,
                                      98304, 131072, 196608, 262144, 262145, 1048576, 3000000 };
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench), *upstream = NULL;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        upstream = begin(bench, client, upstream);
        send_head(upstream, sizes[i]);
        expect_head(client, sizes[i]);
        pass_body(bench, upstream, client, sizes[i]);
        settle(bench->loop);
        CHECK_INT(bench->n_ends, i + 1);
        CHECK_INT(bench->sent, sizes[i]);
    }
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

TEST(chunks_are_made_anew_and_trailers_follow)
{
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench);
    struct peer *upstream = begin(bench, client, NULL);
    peer_send(upstream,
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n005;x=y\r\nhello\r\n");
    peer_expect(client, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    peer_send(upstream, "1\r\n!\r\n0\r\nX-Sum:7\r\n\r\n");
    peer_expect(client, "1\r\n!\r\n0\r\nX-Sum: 7\r\n\r\n");
    CHECK_INT(bench->n_ends, 1);
    CHECK_INT(bench->sent, 6);
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

TEST(a_body_until_close_is_relayed)
{
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench);
    struct peer *upstream = begin(bench, client, NULL);
    peer_send(upstream, "HTTP/1.0 200 OK\r\n\r\nall of it");
    peer_expect(client, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nall of it\r\n");
    peer_close(upstream);
    peer_expect(client, "0\r\n\r\n");
    peer_close(client);
    bench_free(bench);
}

/* Whatever the length: of what the client does not take nothing is held here. */
static void check_slow_reader(bool has_length)
{
    const uint64_t size = 64u << 20; /* more than the sockets hold */
    uint64_t n_sent = 0, n_got = 0;
    struct bench *bench = bench_new();
    struct peer *client = connect_small(bench);
    struct peer *upstream = begin(bench, client, NULL);
    if (has_length)
        send_head(upstream, size);
    else
        peer_send(upstream, "HTTP/1.0 200 OK\r\n\r\n");
    for (uint64_t before = 1; before != n_sent;) {
        before = n_sent;
        send_body(upstream, &n_sent, size);
        settle(bench->loop);
    }
    CHECK(n_sent < 2u << 20); /* nor does the kernel hold what it could */
    CHECK(http_unsent(bench->exchange) <= 4096 + 16);

    /* A pause is no stall as long as some is taken now and then. */
    time_t until = time(NULL) + PEER_PATIENCE;
    if (has_length)
        expect_head(client, size);
    while (has_length && n_got < 1000000 && time(NULL) < until) {
        send_body(upstream, &n_sent, size);
        take_body(client, &n_got);
        fake_clock_advance(&bench->clock, NSEC_PER_MSEC);
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
        if (bench->exchange)
            CHECK(http_unsent(bench->exchange) <= 4096);
    }
    CHECK(!has_length || n_got >= 1000000);
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

TEST(a_slow_reader_of_a_spliced_body_costs_no_memory)
{
    check_slow_reader(true);
}

TEST(a_slow_reader_of_a_copied_body_costs_little_memory)
{
    check_slow_reader(false);
}

TEST(a_reader_that_stalls_is_cut_off)
{
    uint64_t n_sent = 0;
    struct bench *bench = bench_new();
    struct peer *client = connect_small(bench);
    struct peer *upstream = begin(bench, client, NULL);
    send_head(upstream, 8u << 20);
    for (int i = 0; i < 50; i++) {
        send_body(upstream, &n_sent, 8u << 20);
        settle(bench->loop);
    }
    fake_clock_advance(&bench->clock, 29 * NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 0);
    /* What waits in the kernel is looked at, and half the time later it is still all there. */
    fake_clock_advance(&bench->clock, 2 * NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 0);
    fake_clock_advance(&bench->clock, 16 * NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);
    CHECK_INT(http_n_connections(bench->server), 0);
    peer_expect_gone(upstream);
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

/* Fast at first, so that the kernel is asked to wait for more, and then byte by byte. */
TEST(an_upstream_that_becomes_slow_is_heard_soon)
{
    uint64_t n_sent = 0, n_got = 0;
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench);
    struct peer *upstream = begin(bench, client, NULL);
    send_head(upstream, 1u << 20);
    expect_head(client, 1u << 20);
    time_t until = time(NULL) + PEER_PATIENCE;
    while (n_got < 500000 && time(NULL) < until) {
        send_body(upstream, &n_sent, 500000);
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
        take_body(client, &n_got);
    }
    for (uint64_t i = 500000; i < 500010; i++) {
        send_body(upstream, &n_sent, i + 1);
        fake_clock_advance(&bench->clock, 50 * NSEC_PER_MSEC);
        settle(bench->loop);
        take_body(client, &n_got);
        CHECK_INT(n_got, i + 1);
    }
    /* A stall is still one. */
    fake_clock_advance(&bench->clock, 59 * NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(bench->n_faults, 0);
    fake_clock_advance(&bench->clock, 2 * NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(bench->n_faults, 1);
    CHECK_INT(bench->fault, HTTP_FAULT_TIMEOUT);
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

TEST(a_byte_behind_a_spliced_body_ends_the_connection)
{
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench);
    struct peer *upstream = begin(bench, client, NULL);
    const uint64_t size = 1u << 20;
    uint64_t n_sent = 0, n_got = 0;
    send_head(upstream, size);
    expect_head(client, size);
    time_t until = time(NULL) + PEER_PATIENCE;
    while (n_got < size && time(NULL) < until) {
        send_body(upstream, &n_sent, size + 1);
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
        take_body(client, &n_got);
    }
    CHECK_INT(n_got, size);
    settle(bench->loop);
    CHECK_INT(bench->n_ends, 1);
    peer_expect_gone(upstream);
    peer_close(upstream);
    upstream = begin(bench, client, NULL); /* over a new connection */
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

TEST(an_upstream_that_breaks_off_breaks_the_answer)
{
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench);
    struct peer *upstream = begin(bench, client, NULL);
    uint64_t n_sent = 0;
    send_head(upstream, 1u << 20);
    send_body(upstream, &n_sent, 300000);
    expect_head(client, 1u << 20);
    shutdown(upstream->fd, SHUT_WR);
    peer_expect_gone(client);
    CHECK_INT(bench->n_faults, 1);
    CHECK_INT(bench->fault, HTTP_FAULT_BROKEN);
    peer_close(client);
    peer_close(upstream);
    bench_free(bench);
}

TEST(a_client_that_goes_away_ends_the_call)
{
    struct bench *bench = bench_new();
    struct peer *client = bench_connect(bench);
    struct peer *upstream = begin(bench, client, NULL);
    uint64_t n_sent = 0;
    send_head(upstream, 8u << 20);
    expect_head(client, 8u << 20);
    peer_close(client);
    time_t until = time(NULL) + PEER_PATIENCE;
    while (bench->n_aborts == 0 && time(NULL) < until) {
        send_body(upstream, &n_sent, 8u << 20);
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
    }
    CHECK_INT(bench->n_aborts, 1);
    peer_expect_gone(upstream);
    peer_close(upstream);
    bench_free(bench);
}
