/* SPDX-License-Identifier: Apache-2.0 */

#include "http/caller.h"

TEST(a_connection_is_kept_and_used_again)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);
    for (int i = 0; i < 3; i++) {
        caller_start(caller);
        peer_expect(peer, REQUEST);
        peer_send(peer, RESPONSE);
        expect_end(caller, 200, "hello");
    }
    CHECK_INT(accept4(bench->listen_fd, NULL, NULL, SOCK_NONBLOCK), -1);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(any_split_of_an_answer_gives_the_same_result)
{
    static const struct {
        const char *response, *body;
        unsigned status;
    } cases[] = {
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
          "hello", 200 },
        { "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nT: v\r\n\r\n",
          "abcde", 201 },
        { "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "", 204 },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "", 304 },
    };
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct span bytes = span_of(cases[i].response);
        for (size_t split = 0; split <= bytes.size; split++) {
            caller_start(caller);
            peer_expect(peer, REQUEST);
            peer_send_span(peer, span_first(bytes, split));
            settle(bench->loop);
            peer_send_span(peer, span_from(bytes, split));
            expect_end(caller, cases[i].status, cases[i].body);
        }
    }
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(a_body_until_close_ends_with_the_connection)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    caller_start(caller);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_send(peer, "HTTP/1.0 200 OK\r\n\r\nall of it");
    settle(bench->loop);
    CHECK_INT(caller->n_ends, 0);
    peer_close(peer);
    expect_end(caller, 200, "all of it");
    caller_free(caller);
    bench_free(bench);
}

TEST(an_answer_and_its_end_in_one_event_are_both_seen)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    caller_start(caller);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_send(peer, "HTTP/1.0 200 OK\r\n\r\nall of it");
    peer_close(peer);
    expect_end(caller, 200, "all of it");
    caller_free(caller);
    bench_free(bench);
}

/* After each of these answers the connection must not be used again. */
TEST(a_connection_that_cannot_be_trusted_is_discarded)
{
    static const char *const responses[] = {
        RESPONSE "X",
        RESPONSE RESPONSE,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    };
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        caller_start(caller);
        struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
        peer_expect(peer, REQUEST);
        peer_send(peer, responses[i]);
        expect_end(caller, 200, "hello");
        peer_expect_gone(peer);
        peer_close(peer);
    }
    caller_free(caller);
    bench_free(bench);
}

TEST(an_idle_connection_on_which_anything_arrives_is_closed)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);
    peer_send(peer, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    peer_expect_gone(peer);
    peer_close(peer);

    peer = warm_up(caller);
    peer_close(peer);
    settle(bench->loop);
    peer = warm_up(caller); /* over a new one, without a fault */
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(faults_say_whether_the_request_can_have_reached_anyone)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);

    /* A kept connection that closes instead of answering. */
    caller_start(caller);
    peer_expect(peer, REQUEST);
    peer_close(peer);
    expect_fault(caller, HTTP_FAULT_STALE);

    /* The same on a new one: somebody was there, and broke. */
    caller_start(caller);
    peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_close(peer);
    expect_fault(caller, HTTP_FAULT_BROKEN);

    /* In the middle of an answer. */
    peer = warm_up(caller);
    caller_start(caller);
    peer_expect(peer, REQUEST);
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    peer_close(peer);
    expect_fault(caller, HTTP_FAULT_BROKEN);

    /* Nobody listens. */
    close(bench->listen_fd);
    caller_start(caller);
    CHECK_INT(caller->n_faults, 0); /* not from inside the call */
    expect_fault(caller, HTTP_FAULT_CONNECT);
    bench->listen_fd = listen_on_loopback(&bench->address);
    caller_free(caller);
    bench_free(bench);
}

TEST(an_invalid_answer_is_a_fault)
{
    static const char *const responses[] = {
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        caller_start(caller);
        struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
        peer_expect(peer, REQUEST);
        peer_send(peer, responses[i]);
        expect_fault(caller, HTTP_FAULT_INVALID);
        peer_close(peer);
    }

    /* Interim answers without end. */
    caller_start(caller);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    for (int i = 0; i < 17; i++)
        peer_send(peer, "HTTP/1.1 102 Processing\r\n\r\n");
    expect_fault(caller, HTTP_FAULT_INVALID);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(an_illegal_request_field_is_a_fault_and_nothing_is_sent)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct http_out_field fields[] = { host, { SPAN("x"), SPAN("a\r\nb: c") } };
    struct http_message request = get;
    request.fields = fields;
    request.n_fields = 2;
    caller_send(caller, &request, NSEC_NEVER);
    expect_fault(caller, HTTP_FAULT_INVALID);
    caller_free(caller);
    bench_free(bench);
}

TEST(lines_are_sent_as_they_are_before_the_fields)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct http_message request = get;
    request.lines = SPAN("X-One: 1\r\nX-Two: 2\r\n");
    caller_send(caller, &request, NSEC_NEVER);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, "GET /x HTTP/1.1\r\nX-One: 1\r\nX-Two: 2\r\nhost: up\r\n\r\n");
    peer_close(peer);
    settle(bench->loop);
    caller_free(caller);
    bench_free(bench);
}

TEST(head_and_methods_with_a_body_are_framed_right)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);

    struct http_message request = get;
    request.method = SPAN("HEAD");
    caller_send(caller, &request, NSEC_NEVER);
    peer_expect(peer, "HEAD /x HTTP/1.1\r\nhost: up\r\n\r\n");
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    expect_end(caller, 200, "");

    request.method = SPAN("POST");
    caller_send(caller, &request, NSEC_NEVER);
    peer_expect(peer, "POST /x HTTP/1.1\r\nhost: up\r\ncontent-length: 0\r\n\r\n");
    peer_send(peer, RESPONSE);
    expect_end(caller, 200, "hello");

    request.body = HTTP_SEND_LENGTH;
    request.content_length = 6;
    caller_send(caller, &request, NSEC_NEVER);
    http_call_send(&caller->call, SPAN("abc"));
    http_call_send(&caller->call, SPAN("def"));
    http_call_finish(&caller->call);
    peer_expect(peer, "POST /x HTTP/1.1\r\nhost: up\r\ncontent-length: 6\r\n\r\nabcdef");
    peer_send(peer, RESPONSE);
    expect_end(caller, 200, "hello");

    request.body = HTTP_SEND_UNKNOWN;
    caller_send(caller, &request, NSEC_NEVER);
    http_call_send(&caller->call, SPAN("abc"));
    peer_expect(peer,
                "POST /x HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n");
    http_call_send(&caller->call, SPAN("0123456789abcdef"));
    http_call_finish(&caller->call);
    peer_expect(peer, "10\r\n0123456789abcdef\r\n0\r\n\r\n");
    peer_send(peer, RESPONSE);
    expect_end(caller, 200, "hello");
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(a_body_sent_while_connecting_follows_its_head)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct http_message request = get;
    request.method = SPAN("PUT");
    request.body = HTTP_SEND_UNKNOWN;
    caller_send(caller, &request, NSEC_NEVER);
    http_call_send(&caller->call, SPAN("one"));
    http_call_finish(&caller->call);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer,
                "PUT /x HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n"
                "3\r\none\r\n0\r\n\r\n");
    peer_send(peer, RESPONSE);
    expect_end(caller, 200, "hello");
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(a_slow_upstream_holds_the_sender_back)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct http_message request = get;
    request.method = SPAN("PUT");
    request.body = HTTP_SEND_UNKNOWN;
    caller_send(caller, &request, NSEC_NEVER);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    char *block = mem_zalloc(1, 65536);
    for (int i = 0; i < 1000 && http_call_unsent(&caller->call) < 1000000; i++) {
        http_call_send(&caller->call, (struct span){ block, 65536 });
        CHECK_INT(loop_turn(bench->loop, 0), 0);
    }
    CHECK(http_call_unsent(&caller->call) >= 1000000);
    unsigned n_drained = caller->n_drained;
    time_t until = time(NULL) + PEER_PATIENCE;
    while (caller->n_drained == n_drained && time(NULL) < until) {
        CHECK_INT(peer_receive(peer), 1);
        peer->n_got = 0;
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
    }
    CHECK_INT(caller->n_drained, n_drained + 1);
    CHECK_INT(http_call_unsent(&caller->call), 0);
    free(block);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(an_answer_before_the_request_is_complete_ends_the_call)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct http_message request = get;
    request.method = SPAN("PUT");
    request.body = HTTP_SEND_UNKNOWN;
    caller_send(caller, &request, NSEC_NEVER);
    http_call_send(&caller->call, SPAN("part"));
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_send(peer, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    expect_end(caller, 413, "no");
    http_call_send(&caller->call, SPAN("more")); /* nothing to send to */
    http_call_finish(&caller->call);
    peer_expect(peer,
                "PUT /x HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n"
                "4\r\npart\r\n");
    peer_expect_gone(peer); /* half a request was sent over it */
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(an_answer_is_read_although_the_upstream_stopped_listening)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct http_message request = get;
    request.method = SPAN("PUT");
    request.body = HTTP_SEND_UNKNOWN;
    caller_send(caller, &request, NSEC_NEVER);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, "PUT /x HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n");
    peer_send(peer, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    shutdown(peer->fd, SHUT_RDWR);
    for (int i = 0; i < 3 && caller->call.stream; i++) {
        http_call_send(&caller->call, SPAN("more"));
        settle(bench->loop);
    }
    expect_end(caller, 403, "no");
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(pausing_holds_the_body_back_and_loses_nothing)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);
    caller->pauses = true;
    caller_start(caller);
    peer_send(peer,
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
    settle(bench->loop);
    CHECK_INT(caller->body.size, 2);
    http_call_resume(&caller->call);
    settle(bench->loop);
    CHECK_INT(caller->body.size, 5);
    CHECK_INT(caller->n_ends, 0);
    http_call_resume(&caller->call);
    expect_end(caller, 200, "abcde");

    caller_start(caller);
    peer_send(peer, RESPONSE);
    settle(bench->loop);
    CHECK_INT(caller->n_ends, 0);
    http_call_resume(&caller->call);
    expect_end(caller, 200, "hello");

    /* A long one stays in the kernel. */
    caller_start(caller);
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\nx");
    settle(bench->loop);
    CHECK_INT(caller->body.size, 1);
    size_t n_sent = 1;
    char *block = mem_zalloc(1, 65536);
    for (int i = 0; i < 1000; i++) {
        ssize_t n = send(peer->fd, block, 65536, MSG_NOSIGNAL);
        n_sent += n > 0 ? (size_t)n : 0;
        CHECK_INT(loop_turn(bench->loop, 0), 0);
    }
    CHECK(n_sent < 30000000);
    CHECK_INT(caller->body.size, 1);
    caller->pauses = false;
    http_call_resume(&caller->call);
    time_t until = time(NULL) + PEER_PATIENCE;
    while (caller->n_ends == 0 && time(NULL) < until) {
        size_t left = 30000000 - n_sent;
        ssize_t n = left ? send(peer->fd, block, left < 65536 ? left : 65536, MSG_NOSIGNAL) : 0;
        n_sent += n > 0 ? (size_t)n : 0;
        CHECK_INT(loop_turn(bench->loop, 0), 0);
    }
    CHECK_INT(caller->body.size, 30000000);
    free(block);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(deadlines_of_connect_head_and_body)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);

    caller_send(caller, &get, loop_now(bench->loop) + 2 * NSEC_PER_SEC);
    peer_expect(peer, REQUEST);
    fake_clock_advance(&bench->clock, NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(caller->n_faults, 0);
    fake_clock_advance(&bench->clock, NSEC_PER_SEC);
    expect_fault(caller, HTTP_FAULT_TIMEOUT);
    peer_expect_gone(peer); /* an answer may still come, so nobody may wait for another there */
    peer_close(peer);

    peer = warm_up(caller);
    caller_send(caller, &get, loop_now(bench->loop) + 2 * NSEC_PER_SEC);
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    wait_until(bench, &caller->n_responses, 3);
    fake_clock_advance(&bench->clock, 59 * NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(caller->n_faults, 0);
    fake_clock_advance(&bench->clock, 2 * NSEC_PER_SEC);
    expect_fault(caller, HTTP_FAULT_TIMEOUT);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(a_connect_that_hangs_is_given_up)
{
    /* A listener whose queue is full leaves the next connection without an answer. */
    struct bench *bench = bench_new(NULL);
    CHECK_INT(listen(bench->listen_fd, 0), 0);
    struct peer *fill = peer_connect(bench->loop, &bench->address);
    struct caller *caller = caller_new(bench);
    caller_start(caller);
    settle(bench->loop);
    CHECK_INT(caller->n_faults, 0);
    fake_clock_advance(&bench->clock, NSEC_PER_SEC);
    expect_fault(caller, HTTP_FAULT_CONNECT_TIMEOUT);
    peer_close(fill);
    caller_free(caller);
    bench_free(bench);
}

TEST(idle_connections_end_after_their_time_and_when_forgotten)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    struct peer *peer = warm_up(caller);
    fake_clock_advance(&bench->clock, 29 * NSEC_PER_SEC);
    peer_expect_nothing(peer);
    fake_clock_advance(&bench->clock, 2 * NSEC_PER_SEC);
    peer_expect_end(peer);
    peer_close(peer);

    peer = warm_up(caller);
    http_pool_forget(bench->pool, &bench->address);
    peer_expect_end(peer);
    peer_close(peer);
    http_pool_forget(bench->pool, &bench->address);
    caller_free(caller);
    bench_free(bench);
}

TEST(the_last_used_connection_is_used_first_and_idle_ones_are_limited)
{
    struct http_pool_settings settings = http_pool_settings_default;
    settings.max_idle = 2;
    struct bench *bench = bench_new(&settings);
    struct caller *callers[3];
    struct peer *peers[3];
    for (size_t i = 0; i < 3; i++) {
        callers[i] = caller_new(bench);
        caller_start(callers[i]);
        peers[i] = peer_accept(bench->loop, bench->listen_fd);
    }
    for (size_t i = 0; i < 3; i++) {
        peer_expect(peers[i], REQUEST);
        peer_send(peers[i], RESPONSE);
        expect_end(callers[i], 200, "hello");
    }
    peer_expect_end(peers[2]); /* two were enough */
    caller_start(callers[0]);
    peer_expect(peers[1], REQUEST);
    for (size_t i = 0; i < 3; i++) {
        caller_free(callers[i]);
        peer_close(peers[i]);
    }
    bench_free(bench);
}

TEST(above_max_connections_a_call_is_refused)
{
    struct http_pool_settings settings = http_pool_settings_default;
    settings.max_connections = 1;
    struct bench *bench = bench_new(&settings);
    struct caller *one = caller_new(bench), *two = caller_new(bench);
    caller_start(one);
    caller_start(two);
    CHECK_INT(two->n_faults, 0);
    expect_fault(two, HTTP_FAULT_BUSY);
    http_call_cancel(&one->call);
    caller_start(two); /* the place is free at once */
    settle(bench->loop);
    CHECK_INT(two->n_faults, 0);
    caller_free(one);
    caller_free(two);
    bench_free(bench);
}

TEST(the_last_place_in_all_is_taken_from_an_idle_connection)
{
    struct http_pool_settings settings = http_pool_settings_default;
    settings.max_in_all = 1;
    struct bench *bench = bench_new(&settings);
    struct caller *caller = caller_new(bench);
    struct peer *kept = warm_up(caller);

    struct address other = bench->address;
    int fd = -1;
    CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &other), 0);
    CHECK_INT(socket_listen(&other, false, &fd), 0);
    CHECK_INT(socket_address(fd, &other), 0);
    struct caller *second = caller_new(bench);
    http_call_start(bench->pool, &second->call, &other, &get, NSEC_NEVER);
    peer_expect_end(kept);
    struct peer *peer = peer_accept(bench->loop, fd);
    peer_expect(peer, REQUEST);

    caller_start(caller); /* that one is in use, so there is none for the first address */
    expect_fault(caller, HTTP_FAULT_BUSY);
    caller_free(caller);
    caller_free(second);
    peer_close(kept);
    peer_close(peer);
    bench_free(bench);
    close(fd);
}

TEST(a_call_may_be_cancelled_at_any_point)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    caller_start(caller); /* before it connects */
    http_call_cancel(&caller->call);
    http_call_cancel(&caller->call);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect_gone(peer);
    peer_close(peer);

    peer = warm_up(caller); /* while it waits */
    caller_start(caller);
    peer_expect(peer, REQUEST);
    http_call_cancel(&caller->call);
    peer_expect_end(peer);
    peer_close(peer);

    peer = warm_up(caller); /* from its own callback */
    caller->cancels = true;
    caller_start(caller);
    peer_send(peer, RESPONSE);
    peer_expect_gone(peer);
    CHECK_INT(caller->body.size, 0);
    CHECK_INT(caller->n_ends + caller->n_faults, 0);
    peer_close(peer);

    struct http_pool_settings settings = http_pool_settings_default;
    settings.max_connections = 0;
    struct http_pool *full = http_pool_new(bench->loop, &settings);
    http_call_start(full, &caller->call, &bench->address, &get, NSEC_NEVER);
    http_call_cancel(&caller->call); /* before its fault is told */
    settle(bench->loop);
    CHECK_INT(caller->n_faults, 0);
    http_call_start(full, &caller->call, &bench->address, &get, NSEC_NEVER);
    http_pool_free(full);
    CHECK(!caller->call.stream);
    caller_free(caller);
    bench_free(bench);
}

TEST(the_next_call_may_start_from_the_end_of_the_last)
{
    struct bench *bench = bench_new(NULL);
    struct caller *one = caller_new(bench), *two = caller_new(bench);
    struct peer *peer = warm_up(one);
    one->calls_again = true;
    one->next = two;
    caller_start(one);
    peer_expect(peer, REQUEST);
    peer_send(peer, RESPONSE);
    peer_expect(peer, REQUEST); /* on the same connection */
    peer_send(peer, RESPONSE);
    expect_end(two, 200, "hello");
    peer_close(peer);
    caller_free(one);
    caller_free(two);
    bench_free(bench);
}

TEST(freeing_the_pool_ends_calls_without_a_callback)
{
    struct bench *bench = bench_new(NULL);
    struct caller *one = caller_new(bench), *two = caller_new(bench);
    struct peer *peer = warm_up(one);
    caller_start(one);
    caller_start(two);
    bench->pool = http_pool_free(bench->pool);
    settle(bench->loop);
    CHECK(!one->call.stream);
    CHECK(!two->call.stream);
    CHECK_INT(one->n_faults + two->n_faults, 0);
    peer_close(peer);
    caller_free(one);
    caller_free(two);
    bench_free(bench);
}
