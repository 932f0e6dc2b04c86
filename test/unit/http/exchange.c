/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>

#include "http/bench.h"

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

TEST(a_head_outlives_the_receive_buffer)
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

TEST(a_head_that_is_longer_than_most_stays_too)
{
    static char request[16384];
    char value[6001];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    struct bench *bench = bench_new(NULL);
    for (size_t size = 1900; size <= 6000; size += 100) {
        unsigned n_before = bench->n_requests;
        struct peer *peer = bench_connect(bench);
        snprintf(request, sizeof(request),
                 "POST /pause HTTP/1.1\r\nHost: one\r\nContent-Length: 2500\r\nX-Long: %.*s\r\n\r\n"
                 "%.2500s",
                 (int)size, value, value);
        peer_send(peer, request);
        wait_for_requests(bench, n_before + 1);
        const struct http_head *head = bench->exchange->head;
        CHECK_INT(head->n_fields, 3);
        CHECK(span_is(head->path_and_query, "/pause"));
        CHECK(span_equals(head->fields[2].value, (struct span){ value, size }));
        CHECK_INT(bench->body.size, 0);
        http_resume(bench->exchange);
        while (bench->body.size < 2500)
            CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
        CHECK(span_equals(head->fields[2].value, (struct span){ value, size }));
        buf_clear(&bench->body);
        http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
        peer_expect(peer, HELLO);
        peer_close(peer);
    }
    bench_free(bench);
}

TEST(lines_are_sent_as_they_are_before_the_fields)
{
    static const struct http_out_field field = { SPAN("x-field"), SPAN("2") };
    struct http_message response = {
        .status = 200,
        .has_date = true,
        .lines = SPAN("X-One: 1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
        .fields = &field,
        .n_fields = 1,
    };
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    http_respond(bench->exchange, &response);
    http_finish(bench->exchange);
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\nX-One: 1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                "x-field: 2\r\ncontent-length: 0\r\n\r\n");
    peer_close(peer);
    bench_free(bench);
}

TEST(interim_responses_come_before_the_final_one_and_never_to_http_1_0)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    http_interim(bench->exchange, 103, SPAN("link: </a.css>\r\n"));
    peer_expect(peer, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    http_interim(bench->exchange, 102, SPAN_NULL);
    http_respond(bench->exchange, &chunked);
    http_interim(bench->exchange, 103, SPAN_NULL); /* too late */
    http_finish(bench->exchange);
    peer_expect(peer,
                "HTTP/1.1 102 Processing\r\n\r\n"
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" DATE "\r\n0\r\n\r\n");

    peer_send(peer, "GET /later HTTP/1.0\r\n\r\n");
    wait_for_requests(bench, 2);
    http_interim(bench->exchange, 103, SPAN_NULL);
    peer_expect_nothing(peer);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_close(peer);
    bench_free(bench);
}

TEST(trailers_follow_a_chunked_body_and_no_other)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    http_respond(bench->exchange, &chunked);
    http_send(bench->exchange, SPAN("abc"));
    http_put_trailers(bench->exchange, SPAN("x-sum: 1\r\n"));
    CHECK_INT(http_sent(bench->exchange), 3);
    http_finish(bench->exchange);
    peer_expect(peer, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" DATE
                      "\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");

    static const struct http_message empty = { .status = 200, .body = HTTP_SEND_LENGTH };
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 2);
    http_respond(bench->exchange, &empty);
    http_put_trailers(bench->exchange, SPAN("x-sum: 1\r\n"));
    http_finish(bench->exchange);
    peer_expect(peer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" DATE "\r\n");
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

    for (int i = 0; i < 1000000 && n_received < message.content_length; i++) {
        CHECK_INT(peer_receive(peer), 1);
        n_received += peer->n_got;
        peer->n_got = 0;
        CHECK_INT(loop_turn(bench->loop, 0), 0);
        if (n_pieces < 400 && http_unsent(bench->exchange) == 0) {
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

TEST(a_client_that_ends_its_side_is_gone_while_its_answer_waits)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench), *other = bench_connect(bench);
    peer_send(peer, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    CHECK_INT(bench->n_aborts, 0);
    shutdown(peer->fd, SHUT_WR);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);
    CHECK_INT(http_n_connections(bench->server), 1);

    /* The end comes with the request, and no event tells of it later. */
    peer_send(other, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(other->fd, SHUT_WR);
    settle(bench->loop);
    CHECK_INT(bench->n_requests, 2);
    CHECK_INT(bench->n_aborts, 2);
    CHECK_INT(http_n_connections(bench->server), 0);
    peer_close(peer);
    peer_close(other);

    /* Who does not wait may read on, and so may who is being answered. */
    peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 3);
    shutdown(peer->fd, SHUT_WR);
    settle(bench->loop);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer, HELLO);
    peer_close(peer);
    peer = bench_connect(bench);
    peer_send(peer, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 4);
    struct http_message message = { .status = 200, .body = HTTP_SEND_LENGTH, .content_length = 5 };
    http_respond(bench->exchange, &message);
    shutdown(peer->fd, SHUT_WR);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 2);
    http_send(bench->exchange, SPAN("hello"));
    http_finish(bench->exchange);
    peer_expect(peer, HELLO);
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
    while (http_unsent(bench->exchange) < 2000000)
        http_send(bench->exchange, (struct span){ block, BIG });
    settle(bench->loop);
    advance(bench, 29 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 0);
    /* What waits in the kernel is looked at, and half the time later it is still all there. */
    advance(bench, 2 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 0);
    advance(bench, 16 * NSEC_PER_SEC);
    CHECK_INT(bench->n_aborts, 1);
    CHECK_INT(http_n_connections(bench->server), 0);
    free(block);
    peer_close(peer);
    bench_free(bench);
}
