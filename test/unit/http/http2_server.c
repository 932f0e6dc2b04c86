/* SPDX-License-Identifier: Apache-2.0 */

/* The server's side of HTTP/2 as a handler sees it, and what the peer gets, frame by frame. */

#include "frames.h"

#include "http/http2/abuse.h"

static struct peer *begin_new(struct bench **ret_bench)
{
    *ret_bench = bench_new(NULL);
    return begin(*ret_bench);
}

static void end(struct bench *bench, struct peer *peer)
{
    peer_close(peer);
    bench_free(bench);
}

TEST(an_answer_has_a_head_and_a_body)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    ask(peer, 1, "GET", "/hello", true);
    CHECK_INT(count(bench, peer, HTTP2_HEADERS, 1).n, 1);
    struct got data = count(bench, peer, HTTP2_DATA, 1);
    CHECK_INT(data.n, 1);
    CHECK(span_is(data.payload, "hello"));
    CHECK(data.flags & HTTP2_END_STREAM);
    end(bench, peer);
}

TEST(an_answer_without_a_body_ends_with_its_head)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    ask(peer, 1, "GET", "/empty", true);
    CHECK(count(bench, peer, HTTP2_HEADERS, 1).flags & HTTP2_END_STREAM);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 1).n, 0);
    end(bench, peer);
}

TEST(without_a_body_trailers_go_with_the_head)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    static const struct http_message none = { .status = 200, .body = HTTP_SEND_NONE };
    ask(peer, 1, "POST", "/later", true);
    settle(bench->loop);
    http_respond(bench->exchange, &none);
    settle(bench->loop);
    CHECK_INT(count(bench, peer, HTTP2_HEADERS, 1).n, 0); /* it may have company */
    http_put_trailers(bench->exchange, SPAN("grpc-status: 5\r\n"));
    http_finish(bench->exchange);
    struct got head = count(bench, peer, HTTP2_HEADERS, 1);
    CHECK_INT(head.n, 1);
    CHECK(head.flags & HTTP2_END_STREAM);
    end(bench, peer);
}

TEST(trailers_follow_a_body)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    http_respond(bench->exchange, &chunked);
    http_send(bench->exchange, SPAN("body"));
    settle(bench->loop);
    http_put_trailers(bench->exchange, SPAN("x-end: 1\r\n"));
    http_finish(bench->exchange);
    CHECK(count(bench, peer, HTTP2_HEADERS, 1).flags & HTTP2_END_STREAM);
    CHECK_INT(count(bench, peer, HTTP2_HEADERS, 1).n, 2);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 1).n, 1);
    end(bench, peer);
}

TEST(a_paused_body_is_kept_and_its_window_stays_shut)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    static char part[16384];
    ask(peer, 1, "POST", "/pause", false);
    for (int i = 0; i < 3; i++)
        send_frame(peer, HTTP2_DATA, 0, 1, (struct span){ part, sizeof(part) });
    CHECK_INT(count(bench, peer, HTTP2_WINDOW_UPDATE, 1).n, 0);
    CHECK_INT(bench->body.size, 0);
    http_resume(bench->exchange);
    CHECK_INT(count(bench, peer, HTTP2_WINDOW_UPDATE, 1).n, 1);
    CHECK_INT(bench->body.size, 3 * sizeof(part));
    CHECK_INT(bench->n_body_ends, 0);
    send_frame(peer, HTTP2_DATA, HTTP2_END_STREAM, 1, SPAN_NULL);
    settle(bench->loop);
    CHECK_INT(bench->n_body_ends, 1);
    http_reply(bench->exchange, 200, NULL, 0, SPAN_NULL);
    end(bench, peer);
}

TEST(a_reset_is_an_abort_with_its_code)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    CHECK(bench->exchange);
    send_frame(peer, HTTP2_RST_STREAM, 0, 1, SPAN("\0\0\0\x8"));
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);
    ask(peer, 3, "GET", "/hello", true);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 3).n, 1);
    end(bench, peer);
}

TEST(a_client_that_leaves_aborts_all)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    for (uint32_t id = 1; id < 20; id += 2)
        ask(peer, id, "GET", "/later", true);
    settle(bench->loop);
    CHECK_INT(http_n_connections(bench->server), 1);
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 10);
    CHECK_INT(http_n_connections(bench->server), 0);
    bench_free(bench);
}

TEST(a_field_that_is_not_legal_does_not_get_out)
{
    struct bench *bench;
    struct peer *peer = begin_new(&bench);
    ask(peer, 1, "GET", "/bad-field", true);
    CHECK(count(bench, peer, HTTP2_HEADERS, 1).flags & HTTP2_END_STREAM);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 1).n, 0);
    end(bench, peer);
}

TEST(a_bucket_fills_with_time)
{
    struct http2_limits limits = HTTP2_LIMITS_DEFAULT;
    struct http2_abuse abuse = { 0 };
    nsec now = 3600 * NSEC_PER_SEC;
    for (unsigned i = 0; i < limits.resets.burst; i++)
        CHECK(http2_abuse_note(&abuse, HTTP2_RESET, &limits, now));
    CHECK(!http2_abuse_note(&abuse, HTTP2_RESET, &limits, now));
    for (unsigned i = 0; i < limits.resets.per_second; i++) {
        now += NSEC_PER_SEC / limits.resets.per_second;
        CHECK(http2_abuse_note(&abuse, HTTP2_RESET, &limits, now));
    }
    CHECK(!http2_abuse_note(&abuse, HTTP2_RESET, &limits, now));
    CHECK(http2_abuse_note(&abuse, HTTP2_GLITCH, &limits, now)); /* each has its own */
}

TEST(what_is_sent_excuses_glitches)
{
    struct http2_limits limits = HTTP2_LIMITS_DEFAULT;
    struct http2_abuse abuse = { 0 };
    nsec now = 3600 * NSEC_PER_SEC;
    for (unsigned i = 0; i < 10 * limits.glitches.burst; i++) {
        CHECK(http2_abuse_note(&abuse, HTTP2_GLITCH, &limits, now));
        http2_abuse_excuse(&abuse, 1);
    }
}
