/* SPDX-License-Identifier: Apache-2.0 */

#include "http/bench.h"

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

TEST(a_handler_that_takes_the_expectation_relays_the_hundred)
{
    static const char request[] =
        "POST /expect HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
        "Expect: 100-continue\r\n\r\n";
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, request);
    wait_for_requests(bench, 1);
    peer_expect_nothing(peer);
    /* Who waits for us is not slow. */
    advance(bench, 60 * NSEC_PER_SEC);
    peer_expect_nothing(peer);
    http_interim(bench->exchange, 100, SPAN_NULL);
    peer_expect(peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_send(peer, "ok");
    while (bench->n_body_ends < 1)
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
    CHECK_INT(http_received(bench->exchange), 2);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"
                "date: Fri, 20 Nov 2026 08:01:00 GMT\r\n\r\nhello");

    /* From the hundred on it may be. */
    peer_send(peer, request);
    wait_for_requests(bench, 2);
    http_interim(bench->exchange, 100, SPAN_NULL);
    peer_expect(peer, "HTTP/1.1 100 Continue\r\n\r\n");
    advance(bench, 6 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 1);
    peer_expect(peer, "HTTP/1.1 408 Request Timeout\r\n");
    peer_close(peer);

    /* A final answer instead ends the connection, for the body may come or not. */
    peer = bench_connect(bench);
    peer_send(peer, request);
    wait_for_requests(bench, 3);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n"
                "date: Fri, 20 Nov 2026 08:01:06 GMT\r\n\r\nhello");
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

static void send_some(struct bench *bench, struct peer *peer, const char *block)
{
    ssize_t n = send(peer->fd, block, 16384, MSG_NOSIGNAL);
    CHECK(n >= 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
    CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
}

TEST(a_chunked_body_that_does_not_end_is_cut_off_after_the_answer)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_send(peer, "10000000\r\n");
    char *chunk = mem_zalloc(1, 16384);
    time_t until = time(NULL) + PEER_PATIENCE;
    /* First an end, so that the client can still read the answer, then no patience at all. */
    while (peer_receive(peer) == 1 && time(NULL) < until)
        send_some(bench, peer, chunk);
    CHECK_INT(peer_receive(peer), 0);
    while (http_n_connections(bench->server) > 0 && time(NULL) < until)
        send_some(bench, peer, chunk);
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
