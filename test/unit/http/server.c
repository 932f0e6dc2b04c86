/* SPDX-License-Identifier: Apache-2.0 */

#include "http/server.h"

#include <sys/resource.h>
#include <sys/un.h>

#include "base/buf.h"
#include "http/peer.h"

#define DATE "date: Fri, 20 Nov 2026 08:00:00 GMT\r\n"
#define BIG 200000u

/* A handler that does what the path says and notes what it is told. */
struct bench {
    struct fake_clock clock;
    struct loop *loop;
    struct http_handler handler;
    struct http_settings settings;
    struct http_server *server;
    struct address address;
    int listen_fd;
    struct http_exchange *exchange; /* of /later and /pause */
    struct buf body;
    unsigned n_requests, n_body_ends, n_aborts, n_drained, n_done;
    bool is_paused_in_body;
};

static struct bench *bench_of(struct http_exchange *exchange)
{
    return exchange->owner;
}

static void note_body(struct http_exchange *exchange, struct span bytes)
{
    struct bench *bench = bench_of(exchange);
    buf_put(&bench->body, bytes);
    if (bench->is_paused_in_body)
        http_pause(exchange);
}

static void note_abort(struct http_exchange *exchange)
{
    bench_of(exchange)->n_aborts++;
    bench_of(exchange)->exchange = NULL;
}

static void note_drained(struct http_exchange *exchange)
{
    bench_of(exchange)->n_drained++;
}

static void note_body_end(struct http_exchange *exchange)
{
    bench_of(exchange)->n_body_ends++;
}

static void reply_with_body(struct http_exchange *exchange)
{
    struct bench *bench = bench_of(exchange);
    bench->n_body_ends++;
    http_reply(exchange, 200, NULL, 0, buf_span(&bench->body));
    buf_clear(&bench->body);
}

static void echo_body(struct http_exchange *exchange, struct span bytes)
{
    http_send(exchange, bytes);
}

static void echo_end(struct http_exchange *exchange)
{
    http_finish(exchange);
}

static const struct http_exchange_ops ops_hold = { note_body, note_body_end, note_drained,
                                                   note_abort };
static const struct http_exchange_ops ops_collect = { note_body, reply_with_body, NULL,
                                                      note_abort };
static const struct http_exchange_ops ops_echo = { echo_body, echo_end, NULL, note_abort };

static const struct http_message chunked = { .status = 200, .body = HTTP_SEND_UNKNOWN };

static void bench_on_request(struct http_handler *handler, struct http_exchange *exchange)
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
        http_keep_head(exchange);
        bench->exchange = exchange;
        if (span_is(path, "/pause"))
            http_pause(exchange);
    }
}

static struct bench *bench_new(const struct http_settings *settings)
{
    struct bench *bench = mem_new(struct bench);
    fake_clock_init(&bench->clock);
    bench->loop = loop_new(&bench->clock.clock);
    bench->handler.on_request = bench_on_request;
    bench->server =
        http_server_new(bench->loop, &bench->handler, settings ? settings : &http_settings_default);
    bench->listen_fd = listen_on_loopback(&bench->address);
    CHECK_INT(http_listen(bench->server, bench->listen_fd, 7), 0);
    return bench;
}

static struct peer *bench_connect(struct bench *bench)
{
    return peer_connect(bench->loop, &bench->address);
}

static void bench_free(struct bench *bench)
{
    http_server_free(bench->server);
    loop_free(bench->loop);
    close(bench->listen_fd);
    buf_fini(&bench->body);
    free(bench);
}

static void wait_for_requests(struct bench *bench, unsigned n)
{
    while (bench->n_requests < n)
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
}

static void advance(struct bench *bench, nsec by)
{
    fake_clock_advance(&bench->clock, by);
    settle(bench->loop);
}

#define HELLO "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" DATE "\r\nhello"

TEST(requests_on_one_connection_are_answered_one_after_the_other)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    for (int i = 0; i < 3; i++) {
        peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        peer_expect(peer, HELLO);
    }
    CHECK_INT(http_n_connections(bench->server), 1);
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(http_n_connections(bench->server), 0);
    bench_free(bench);
}

TEST(any_split_of_the_bytes_gives_the_same_answers)
{
    static const char script[] =
        "POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n"
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nlast"
        "GET /nope\r\n\r\n";
    static const char want[] = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n" DATE "\r\nabcdefg" HELLO
                               "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n" DATE
                               "\r\nlast"
                               "HTTP/1.1 400 Bad Request\r\n";
    struct span bytes = span_of(script);
    struct bench *bench = bench_new(NULL);
    for (size_t split = 0; split <= bytes.size; split++) {
        struct peer *peer = bench_connect(bench);
        peer_send_span(peer, span_first(bytes, split));
        settle(bench->loop);
        peer_send_span(peer, span_from(bytes, split));
        peer_expect(peer, want);
        peer_close(peer);
    }
    struct peer *peer = bench_connect(bench);
    for (size_t i = 0; i < bytes.size; i++) {
        peer_send_span(peer, (struct span){ bytes.data + i, 1 });
        settle(bench->loop);
    }
    peer_expect(peer, want);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_malformed_request_gets_its_status_and_an_orderly_end)
{
    static const struct {
        const char *request, *status;
    } cases[] = {
        { "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
        { "GET / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 Bad Request\r\n" },
        { "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 400 Bad Request\r\n" },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n" },
        { "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 Not Implemented\r\n" },
    };
    struct bench *bench = bench_new(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer *peer = bench_connect(bench);
        peer_send(peer, cases[i].request);
        peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"); /* must not be answered */
        peer_expect(peer, cases[i].status);
        settle(bench->loop);
        CHECK_INT(peer_receive(peer), 0);
        CHECK(memmem(peer->got, peer->n_got, "connection: close\r\n", 19));
        CHECK(!memmem(peer->got, peer->n_got, "hello", 5));
        peer_close(peer);
    }
    CHECK_INT(bench->n_requests, 0);
    bench_free(bench);
}

TEST(limits_of_heads_are_answers)
{
    struct http_settings settings = http_settings_default;
    settings.limits = (struct http1_limits){ .head = 512, .line = 128 };
    struct bench *bench = bench_new(&settings);
    char long_line[200];
    memset(long_line, 'a', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';

    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /");
    settle(bench->loop);
    peer_send(peer, long_line); /* no end of the line needed to know */
    peer_expect(peer, "HTTP/1.1 414 URI Too Long\r\n");
    peer_close(peer);

    peer = bench_connect(bench);
    peer_send(peer, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 40; i++) {
        peer_send(peer, "X-Field: some value\r\n");
        settle(bench->loop);
    }
    peer_expect(peer, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    peer_close(peer);
    bench_free(bench);
}

TEST(head_requests_and_bodiless_statuses_get_no_body)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" DATE "\r\n");
    peer_send(peer, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_close(peer);
    bench_free(bench);
}

TEST(http_1_0_closes_unless_asked_and_is_never_sent_chunks)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    peer_expect(peer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n" DATE
                      "\r\nhello");
    peer_send(peer, "GET /hello HTTP/1.0\r\n\r\n");
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    peer_close(peer);

    peer = bench_connect(bench);
    peer_send(peer,
              "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc");
    peer_expect(peer, "HTTP/1.1 200 OK\r\nconnection: close\r\n" DATE "\r\nabc");
    peer_expect_end(peer);
    peer_close(peer);
    bench_free(bench);
}

TEST(connection_close_is_honoured)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer,
              "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
              "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    CHECK_INT(bench->n_requests, 1);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_body_of_unknown_length_is_chunked_and_small_pieces_leave_together)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    peer_expect(peer, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" DATE
                      "\r\n3\r\nabc\r\n0\r\n\r\n");
    peer_close(peer);
    bench_free(bench);
}

TEST(a_request_pipelined_behind_a_slow_one_waits_its_turn)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    peer_expect_nothing(peer);
    CHECK_INT(bench->n_requests, 1);
    http_reply(bench->exchange, 201, NULL, 0, SPAN("first"));
    peer_expect(peer, "HTTP/1.1 201 Created\r\ncontent-length: 5\r\n" DATE "\r\nfirst" HELLO);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_kept_head_outlives_the_receive_buffer)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "PUT /later?x=1 HTTP/1.1\r\nHost: one\r\nX-Word: stone\r\n\r\n");
    wait_for_requests(bench, 1);
    const struct http_head *head = bench->exchange->head;

    struct peer *other = bench_connect(bench);
    peer_send(other, "GET /hello HTTP/1.1\r\nHost: another-host\r\nY: overwrites\r\n\r\n");
    peer_expect(other, HELLO);
    CHECK(span_is(head->method, "PUT"));
    CHECK(span_is(head->path_and_query, "/later?x=1"));
    CHECK(span_is(head->authority, "one"));
    CHECK_INT(head->n_fields, 2);
    CHECK(span_is(head->fields[1].name, "X-Word"));
    CHECK(span_is(head->fields[1].value, "stone"));
    CHECK(span_is(http_head_value(head, HTTP_HOST), "one"));
    peer_close(peer);
    peer_close(other);
    bench_free(bench);
}

TEST(a_hundred_is_sent_when_the_body_is_wanted)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer,
              "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
              "Expect: 100-continue\r\n\r\n");
    peer_expect(peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_send(peer, "ok");
    peer_expect(peer, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" DATE "\r\nok");

    peer_send(peer,
              "POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
              "Expect: 100-continue\r\n\r\n");
    wait_for_requests(bench, 2);
    peer_expect_nothing(peer);
    http_resume(bench->exchange);
    peer_expect(peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_close(peer);

    /* Refused without reading: the client may not send, so the connection cannot go on. */
    peer = bench_connect(bench);
    peer_send(peer,
              "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
              "Expect: 100-continue\r\n\r\n");
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    peer_close(peer);
    bench_free(bench);
}

TEST(an_unread_body_is_drained_up_to_a_cap)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    peer_expect(peer, HELLO);
    char rest[100];
    memset(rest, 'x', sizeof(rest));
    peer_send_span(peer, (struct span){ rest, sizeof(rest) });
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);

    /* A longer one is not worth it, and the answer says so. */
    peer_send(peer, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    peer_send_span(peer, (struct span){ rest, sizeof(rest) });
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_chunked_body_that_does_not_end_is_cut_off_after_the_answer)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer_expect(peer, HELLO);
    char *chunk = mem_format("4000\r\n%0*d\r\n", 0x4000, 0);
    for (int i = 0; i < 17; i++) {
        peer_send(peer, chunk);
        settle(bench->loop);
    }
    CHECK_INT(peer_receive(peer), 0); /* an end, so that the client can still read the answer */
    for (int i = 0; i < 40 && http_n_connections(bench->server) > 0; i++) {
        if (send(peer->fd, chunk, strlen(chunk), MSG_NOSIGNAL) < 0)
            break;
        settle(bench->loop);
    }
    CHECK_INT(http_n_connections(bench->server), 0);
    free(chunk);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_broken_body_aborts_the_handler_and_answers_400)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    peer_expect(peer, "HTTP/1.1 400 Bad Request\r\n");
    CHECK_INT(bench->n_aborts, 1);
    CHECK_INT(bench->n_body_ends, 0);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_paused_body_stays_in_the_kernel_and_goes_on_when_resumed)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    int small = 65536;
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    peer_send(peer, "POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n");
    wait_for_requests(bench, 1);
    char *block = mem_zalloc(1, 65536);
    size_t n_sent = 0;
    for (int i = 0; i < 2000; i++) {
        ssize_t n = send(peer->fd, block, 65536, MSG_NOSIGNAL);
        n_sent += n > 0 ? (size_t)n : 0;
        CHECK_INT(loop_turn(bench->loop, 0), 0);
    }
    CHECK(n_sent < 50000000); /* the client was held back */
    CHECK_INT(bench->body.size, 0);

    http_resume(bench->exchange);
    for (int i = 0; i < 100000 && bench->body.size < 50000000; i++) {
        size_t left = 50000000 - n_sent;
        ssize_t n = left ? send(peer->fd, block, left < 65536 ? left : 65536, MSG_NOSIGNAL) : 0;
        n_sent += n > 0 ? (size_t)n : 0;
        CHECK_INT(loop_turn(bench->loop, 0), 0);
    }
    CHECK_INT(bench->body.size, 50000000);
    CHECK_INT(bench->n_body_ends, 1);
    free(block);
    peer_close(peer);
    bench_free(bench);
}

TEST(pausing_at_every_piece_loses_nothing_and_the_end_comes_after_the_last_resume)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    bench->is_paused_in_body = true;
    peer_send(peer,
              "POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
    settle(bench->loop);
    CHECK_INT(bench->body.size, 2);
    http_resume(bench->exchange);
    settle(bench->loop);
    CHECK_INT(bench->body.size, 5);
    CHECK_INT(bench->n_body_ends, 0);
    http_resume(bench->exchange);
    settle(bench->loop);
    CHECK_INT(bench->n_body_ends, 1);
    CHECK(span_is(buf_span(&bench->body), "abcde"));
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer, HELLO);

    /* The same with a length, where nothing follows the last piece. */
    peer_send(peer, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz");
    settle(bench->loop);
    CHECK_INT(bench->n_body_ends, 1);
    http_resume(bench->exchange);
    settle(bench->loop);
    CHECK_INT(bench->n_body_ends, 2);

    /* Finishing while paused at the end: the connection is still good. */
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer, HELLO);
    peer_send(peer, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz");
    settle(bench->loop);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer, HELLO);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_slow_reader_is_waited_for_and_then_told_of)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    struct http_message message = { .status = 200, .body = HTTP_SEND_LENGTH };
    message.content_length = 400 * (uint64_t)BIG;
    http_respond(bench->exchange, &message);
    char *block = mem_zalloc(1, BIG);
    size_t n_pieces = 0, n_received = 0;
    while (http_unsent(bench->exchange) <= HTTP_SEND_MARK) {
        http_send(bench->exchange, (struct span){ block, BIG });
        n_pieces++;
    }
    CHECK(n_pieces < 400);
    CHECK(http_unsent(bench->exchange) <= HTTP_SEND_MARK + BIG);
    CHECK_INT(bench->n_drained, 0);

    unsigned n_drained = 0;
    for (int i = 0; i < 1000000 && n_received < message.content_length; i++) {
        CHECK_INT(peer_receive(peer), 1);
        n_received += peer->n_got;
        peer->n_got = 0;
        CHECK_INT(loop_turn(bench->loop, 0), 0);
        if (bench->n_drained > n_drained && n_pieces < 400) {
            n_drained = bench->n_drained;
            http_send(bench->exchange, (struct span){ block, BIG });
            if (++n_pieces == 400)
                http_finish(bench->exchange);
        } else if (http_unsent(bench->exchange) == 0 && n_pieces < 400) {
            http_send(bench->exchange, (struct span){ block, BIG });
            if (++n_pieces == 400)
                http_finish(bench->exchange);
        }
    }
    CHECK(n_received >= message.content_length);
    CHECK(bench->n_drained > 0);
    free(block);
    peer_close(peer);
    bench_free(bench);
}

TEST(files_of_any_size_are_sent_from_an_offset)
{
    char path[] = "/tmp/sarsen-server-XXXXXX";
    int file = mkstemp(path);
    char *content = mem_zalloc(1, BIG);
    for (size_t i = 0; i < BIG; i++)
        content[i] = (char)('a' + i % 26);
    CHECK_INT(write(file, content, BIG), BIG);
    close(file);

    static const size_t sizes[] = { 0, 1, 16384, 16385, BIG - 5 };
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_for_requests(bench, (unsigned)i + 1);
        struct http_message message = { .status = 200, .body = HTTP_SEND_LENGTH };
        message.content_length = sizes[i];
        http_respond(bench->exchange, &message);
        http_send_file(bench->exchange, open(path, O_RDONLY | O_CLOEXEC), 5, sizes[i]);
        http_finish(bench->exchange);
        char head[128];
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n" DATE "\r\n",
                 sizes[i]);
        peer_expect(peer, head);
        peer_expect_span(peer, (struct span){ content + 5, sizes[i] });
    }
    /* One that has become shorter ends the connection, so that the client notices. */
    for (size_t i = 1; i < 4; i += 2) {
        peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_for_requests(bench, bench->n_requests + 1);
        struct http_message message = { .status = 200, .body = HTTP_SEND_LENGTH };
        message.content_length = sizes[i];
        http_respond(bench->exchange, &message);
        http_send_file(bench->exchange, open(path, O_RDONLY | O_CLOEXEC), BIG, sizes[i]);
        http_finish(bench->exchange);
        peer_expect_gone(peer);
        peer_close(peer);
        peer = bench_connect(bench);
    }
    unlink(path);
    free(content);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_client_that_goes_away_is_an_abort_told_once)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    wait_for_requests(bench, 1);
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);

    /* A reset while the handler works. */
    peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 2);
    struct linger reset = { 1, 0 };
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 2);
    CHECK_INT(http_n_connections(bench->server), 0);

    /* Found out by sending. */
    peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 3);
    http_respond(bench->exchange, &chunked);
    peer_close(peer);
    char *block = mem_zalloc(1, BIG);
    while (bench->n_aborts < 3) {
        if (bench->exchange)
            http_send(bench->exchange, (struct span){ block, BIG });
        CHECK_INT(loop_turn(bench->loop, 0), 0);
    }
    free(block);
    CHECK_INT(http_n_connections(bench->server), 0);
    bench_free(bench);
}

TEST(a_client_that_closed_its_sending_side_still_gets_its_answer)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(peer->fd, SHUT_WR);
    wait_for_requests(bench, 1);
    settle(bench->loop);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer, HELLO);
    peer_expect_end(peer);
    CHECK_INT(http_n_connections(bench->server), 0);
    peer_close(peer);
    bench_free(bench);
}

TEST(breaking_off_is_visible_in_every_framing)
{
    static const char *const versions[] = { "1.0", "1.1" };
    struct bench *bench = bench_new(NULL);
    for (size_t i = 0; i < 2; i++) {
        struct peer *peer = bench_connect(bench);
        char request[64];
        snprintf(request, sizeof(request), "GET /later HTTP/%s\r\nHost: a\r\n\r\n", versions[i]);
        peer_send(peer, request);
        wait_for_requests(bench, (unsigned)i + 1);
        http_respond(bench->exchange, &chunked);
        http_send(bench->exchange, SPAN("part"));
        settle(bench->loop);
        http_break(bench->exchange);
        settle(bench->loop);
        int r = peer_receive(peer);
        /* Without chunks a clean end would look like a complete body. */
        CHECK_INT(r, i == 0 ? -ECONNRESET : 0);
        CHECK(!memmem(peer->got, peer->n_got, "0\r\n\r\n", 5));
        CHECK_INT(bench->n_aborts, 0);
        peer_close(peer);
    }
    bench_free(bench);
}

TEST(an_illegal_field_never_leaves)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /bad-field HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer,
                "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n"
                "connection: close\r\n" DATE "\r\n");
    peer_expect_end(peer);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_slow_head_is_answered_408_and_an_idle_connection_closed)
{
    struct bench *bench = bench_new(NULL);
    struct peer *slow = bench_connect(bench), *silent = bench_connect(bench);
    struct peer *idle = bench_connect(bench);
    peer_send(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(idle, HELLO);
    for (int i = 0; i < 9; i++) {
        peer_send(slow, i == 0 ? "GET / HTTP/1.1\r\n" : "X: y\r\n");
        advance(bench, NSEC_PER_SEC);
    }
    peer_expect_nothing(slow);
    advance(bench, 2 * NSEC_PER_SEC);
    peer_expect(slow, "HTTP/1.1 408 Request Timeout\r\n");
    peer_expect_end(silent);
    peer_expect_nothing(idle);
    advance(bench, 50 * NSEC_PER_SEC);
    peer_expect_end(idle);
    CHECK_INT(http_n_connections(bench->server), 0);
    peer_close(slow);
    peer_close(silent);
    peer_close(idle);
    bench_free(bench);
}

TEST(a_body_below_the_minimum_rate_is_cut_off_but_our_own_pauses_do_not_count)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    wait_for_requests(bench, 1);
    advance(bench, 300 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 0);
    http_resume(bench->exchange);
    char kib[1024];
    memset(kib, 'x', sizeof(kib));
    for (int i = 0; i < 20; i++) {
        peer_send_span(peer, (struct span){ kib, sizeof(kib) });
        settle(bench->loop);
        advance(bench, NSEC_PER_SEC * 9 / 10);
    }
    CHECK_INT(bench->n_aborts, 0);
    for (int i = 0; i < 5; i++) {
        peer_send(peer, "x");
        advance(bench, NSEC_PER_SEC);
    }
    CHECK_INT(bench->n_aborts, 1);
    peer_expect(peer, "HTTP/1.1 408 Request Timeout\r\n");
    peer_close(peer);
    bench_free(bench);
}

TEST(a_reader_that_stalls_is_cut_off_and_a_slow_handler_is_not)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    advance(bench, 3600 * NSEC_PER_SEC); /* a long poll */
    CHECK_INT(bench->n_aborts, 0);

    http_respond(bench->exchange, &chunked);
    char *block = mem_zalloc(1, BIG);
    while (http_unsent(bench->exchange) < 10 * BIG)
        http_send(bench->exchange, (struct span){ block, BIG });
    settle(bench->loop);
    advance(bench, 29 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 0);
    advance(bench, 2 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 1);
    CHECK_INT(http_n_connections(bench->server), 0);
    free(block);
    peer_close(peer);
    bench_free(bench);
}

static void note_done(void *owner)
{
    struct bench *bench = owner;
    bench->n_done++;
}

TEST(draining_answers_what_was_asked_and_then_ends)
{
    struct bench *bench = bench_new(NULL);
    struct peer *idle = bench_connect(bench), *busy = bench_connect(bench);
    struct peer *just_sent = bench_connect(bench);
    peer_send(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(idle, HELLO);
    peer_send(busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 2);

    peer_send(just_sent, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    http_drain(bench->server, note_done, bench);
    peer_expect_end(idle);
    peer_expect(just_sent,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(just_sent);
    CHECK_INT(bench->n_done, 0);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(busy,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(busy);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 1);
    peer_close(idle);
    peer_close(busy);
    peer_close(just_sent);
    bench_free(bench);
}

TEST(draining_an_unused_server_is_done_at_once)
{
    struct bench *bench = bench_new(NULL);
    http_drain(bench->server, note_done, bench);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 1);
    bench_free(bench);
}

TEST(connections_are_limited_in_all_and_per_address)
{
    struct http_settings settings = http_settings_default;
    settings.max_connections = 3;
    settings.max_per_address = 2;
    struct bench *bench = bench_new(&settings);
    struct peer *one = bench_connect(bench), *two = bench_connect(bench);
    settle(bench->loop);
    struct peer *three = bench_connect(bench);
    peer_expect_end(three);
    CHECK_INT(http_n_connections(bench->server), 2);
    peer_close(one);
    settle(bench->loop);
    struct peer *four = bench_connect(bench);
    peer_send(four, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(four, HELLO);
    peer_close(two);
    peer_close(three);
    peer_close(four);
    bench_free(bench);
}

TEST(without_descriptors_connections_are_refused_and_the_loop_does_not_spin)
{
    struct bench *bench = bench_new(NULL);
    struct peer *before = bench_connect(bench), *refused = bench_connect(bench);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(bench->listen_fd);
    close(next);
    limit.rlim_cur = (rlim_t)next + 1; /* room for one */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);

    peer_send(before, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(before, HELLO);
    peer_expect_gone(refused);
    CHECK_INT(http_n_connections(bench->server), 1);
    peer_close(before); /* and the place is free again */
    settle(bench->loop);
    struct peer *after = bench_connect(bench);
    peer_close(refused);
    peer_send(after, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(after, HELLO);
    peer_close(after);
    bench_free(bench);
}

TEST(the_last_request_of_a_connection_says_so)
{
    struct http_settings settings = http_settings_default;
    settings.max_requests = 2;
    struct bench *bench = bench_new(&settings);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    peer_close(peer);
    bench_free(bench);
}

TEST(unix_sockets_serve_the_same)
{
    char folder[] = "/tmp/sarsen-server-XXXXXX", text[64];
    CHECK(mkdtemp(folder));
    snprintf(text, sizeof(text), "unix:%s/s", folder);
    struct bench *bench = bench_new(NULL);
    struct address address;
    int fd;
    CHECK_INT(address_parse(span_of(text), &address), 0);
    CHECK_INT(socket_listen(&address, false, &fd), 0);
    CHECK_INT(http_listen(bench->server, fd, 7), 0);

    struct peer *peer = peer_connect(bench->loop, &address);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 2);
    CHECK(address_is_loopback(bench->exchange->peer));
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);

    http_server_free(bench->server);
    bench->server = NULL;
    close(fd);
    unlink(text + 5);
    rmdir(folder);
    bench_free(bench);
}

TEST(freeing_a_server_aborts_what_is_under_way)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    bench->server = http_server_free(bench->server);
    CHECK_INT(bench->n_aborts, 1);
    peer_close(peer);
    bench_free(bench);
}
