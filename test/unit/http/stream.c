/* SPDX-License-Identifier: Apache-2.0 */

#include "http/caller.h"

TEST(interim_heads_are_passed_on_and_bounded)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    caller_start(caller);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_send(peer, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Conti");
    settle(bench->loop);
    CHECK_INT(caller->n_interim, 1);
    CHECK_INT(caller->status, 103);
    peer_send(peer, "nue\r\n\r\n" RESPONSE);
    expect_end(caller, 200, "hello");
    CHECK_INT(caller->n_interim, 2);

    /* The limit is per call, and in number. */
    caller_start(caller);
    peer_expect(peer, REQUEST);
    for (int i = 0; i < 16; i++)
        peer_send(peer, "HTTP/1.1 102 Processing\r\n\r\n");
    settle(bench->loop);
    CHECK_INT(caller->n_interim, 18);
    peer_send(peer, "HTTP/1.1 102 Processing\r\n\r\n");
    expect_fault(caller, HTTP_FAULT_INVALID);
    CHECK_INT(caller->n_interim, 18);
    peer_expect_gone(peer);
    peer_close(peer);
    caller_free(caller);

    /* And in size: they share the limit of the head that they precede. */
    char text[20000];
    memset(text, 'x', sizeof(text));
    caller = caller_new(bench);
    caller_start(caller);
    peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    for (int i = 0; i < 4; i++) {
        peer_send(peer, "HTTP/1.1 103 Early Hints\r\na: ");
        peer_send_span(peer, (struct span){ text, 10000 });
        peer_send(peer, "\r\nb: ");
        peer_send_span(peer, (struct span){ text, 10000 });
        peer_send(peer, "\r\n\r\n");
        settle(bench->loop);
    }
    expect_fault(caller, HTTP_FAULT_INVALID);
    CHECK_INT(caller->n_interim, 3);
    peer_close(peer);
    caller_free(caller);

    /* One that ends the call from inside. */
    caller = caller_new(bench);
    caller->cancels = true;
    caller_start(caller);
    peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_send(peer, "HTTP/1.1 103 Early Hints\r\n\r\n" RESPONSE);
    peer_expect_gone(peer);
    CHECK_INT(caller->n_interim, 1);
    CHECK_INT(caller->n_responses, 0);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"

static struct http_message get_with_trailers(void)
{
    struct http_message request = get;
    request.wants_trailers = true;
    return request;
}

TEST(trailers_are_there_at_the_end_for_those_who_want_them)
{
    static const char response[] =
        CHUNKED "X-Sum:  7 \r\nContent-Length: 9\r\nConnection: close\r\ngrpc-status: 0\r\n\r\n";
    struct http_message request = get_with_trailers();
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    caller_start(caller);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    peer_expect(peer, REQUEST);
    peer_send(peer, response);
    expect_end(caller, 200, "hello");
    CHECK_INT(caller->trailers.size, 0);

    /* Whatever the pieces: what frames, or is for one hop, is left out. */
    for (size_t split = 0; split <= strlen(response); split++) {
        caller_send(caller, &request, NSEC_NEVER);
        peer_expect(peer, REQUEST);
        peer_send_span(peer, (struct span){ response, split });
        settle(bench->loop);
        peer_send(peer, response + split);
        expect_end(caller, 200, "hello");
        CHECK(span_is(buf_span(&caller->trailers), "X-Sum: 7\r\ngrpc-status: 0\r\n"));
    }

    /* The next one has none. */
    caller_send(caller, &request, NSEC_NEVER);
    peer_expect(peer, REQUEST);
    peer_send(peer, CHUNKED "\r\n");
    expect_end(caller, 200, "hello");
    CHECK_INT(caller->trailers.size, 0);
    peer_close(peer);
    caller_free(caller);
    bench_free(bench);
}

TEST(trailers_that_break_the_rules_are_a_fault)
{
    static const char *const sections[] = {
        "X Sum: 7\r\n\r\n",  "X-Sum 7\r\n\r\n",     "X-Sum: 7\n\r\n",
        " X-Sum: 7\r\n\r\n", "X-Sum: a\rb\r\n\r\n",
    };
    struct http_message request = get_with_trailers();
    struct bench *bench = bench_new(NULL);
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        struct caller *caller = caller_new(bench);
        caller_send(caller, &request, NSEC_NEVER);
        struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
        peer_expect(peer, REQUEST);
        peer_send(peer, CHUNKED);
        peer_send(peer, sections[i]);
        expect_fault(caller, HTTP_FAULT_INVALID);
        peer_expect_gone(peer);
        peer_close(peer);
        caller_free(caller);
    }

    /* More fields than a head may have, and more bytes than anybody needs. */
    for (unsigned size = 1; size <= 1000; size += 999) {
        struct caller *caller = caller_new(bench);
        caller_send(caller, &request, NSEC_NEVER);
        struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
        peer_expect(peer, REQUEST);
        struct buf text = { 0 };
        buf_puts(&text, CHUNKED);
        for (unsigned i = 0; i < 120; i++)
            buf_printf(&text, "x%u: %0*u\r\n", i, (int)size / 4, i);
        buf_puts(&text, "\r\n");
        peer_send_span(peer, buf_span(&text));
        expect_fault(caller, HTTP_FAULT_INVALID);
        buf_fini(&text);
        peer_close(peer);
        caller_free(caller);
    }
    bench_free(bench);
}
