/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/frame.h"
#include "http/upstream2.h"

static struct caller *caller_2(struct bench *bench)
{
    struct caller *caller = caller_new(bench);
    caller->call.protocol = HTTP_PROTOCOL_2;
    return caller;
}

static struct caller *caller_2_new(struct bench **ret_bench)
{
    *ret_bench = bench_new(NULL);
    return caller_2(*ret_bench);
}

static void end(struct bench *bench, struct caller *caller, struct upstream *upstream)
{
    caller_free(caller);
    upstream_free(upstream);
    bench_free(bench);
}

static const char *text_of(struct buf *buf)
{
    static char text[4096];
    struct span span = buf_span(buf);
    CHECK(span.size < sizeof(text));
    if (span.size)
        memcpy(text, span.data, span.size);
    text[span.size] = '\0';
    return text;
}

#define POST(kind, length)                                                                         \
    {                                                                                              \
        .method = SPAN("POST"), .target = SPAN("/p"), .fields = &host, .n_fields = 1,              \
        .body = (kind), .content_length = (length), .wants_trailers = true                         \
    }

TEST(a_call_is_a_stream)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    caller_start(caller);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_ended == 1);
    CHECK_STR(text_of(&upstream->streams[0].head),
              ":method=GET :scheme=http :path=/x :authority=up ");
    upstream_answer(upstream, 1, "200", "content-length", "5", SPAN("hello"));
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "hello");

    /* The next one uses the same connection. */
    caller_start(caller);
    UPSTREAM_WAIT(upstream, upstream->n_ended == 2);
    CHECK(caller->call.is_reused);
    upstream_answer(upstream, 3, "404", NULL, NULL, SPAN_NULL);
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 404, "");
    end(bench, caller, upstream);
}

TEST(bodies_and_trailers_go_both_ways)
{
    static char big[300000];
    memset(big, 'x', sizeof(big));
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message post = POST(HTTP_SEND_UNKNOWN, 0);
    caller_send(caller, &post, NSEC_NEVER);
    http_call_send(&caller->call, SPAN("ab")); /* before there is a connection */
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->streams[0].body.size == 2);
    http_call_send(&caller->call, (struct span){ big, sizeof(big) });
    http_call_finish(&caller->call);
    CHECK(http_call_unsent(&caller->call) > 0); /* the window is smaller */
    UPSTREAM_WAIT(upstream, upstream->n_ended == 1);
    CHECK_INT(upstream->streams[0].body.size, 2 + sizeof(big));
    CHECK_INT(http_call_unsent(&caller->call), 0);

    upstream->streams[0].trailer = "0";
    upstream_answer(upstream, 1, "200", NULL, NULL, (struct span){ big, sizeof(big) });
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    CHECK_INT(caller->body.size, sizeof(big));
    CHECK_STR(text_of(&caller->trailers), "grpc-status: 0\r\n");
    end(bench, caller, upstream);
}

TEST(an_answer_may_come_while_the_request_goes_on)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message post = POST(HTTP_SEND_UNKNOWN, 0);
    caller_send(caller, &post, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream->streams[0].holds_end = true;
    upstream_answer(upstream, 1, "200", NULL, NULL, SPAN("one"));
    UPSTREAM_WAIT(upstream, caller->body.size == 3);
    http_call_send(&caller->call, SPAN("two"));
    UPSTREAM_WAIT(upstream, upstream->streams[0].body.size == 3);
    upstream->streams[0].answer = SPAN("three");
    CHECK_INT(nghttp2_session_resume_data(upstream->ng, 1), 0);
    UPSTREAM_WAIT(upstream, caller->body.size == 8);
    http_call_finish(&caller->call);
    UPSTREAM_WAIT(upstream, upstream->n_ended == 1);
    upstream->streams[0].holds_end = false;
    CHECK_INT(nghttp2_session_resume_data(upstream->ng, 1), 0);
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "onethree");
    end(bench, caller, upstream);
}

TEST(an_answer_that_is_complete_ends_the_call_before_its_request)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message post = POST(HTTP_SEND_UNKNOWN, 0);
    caller_send(caller, &post, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream_answer(upstream, 1, "413", NULL, NULL, SPAN_NULL);
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    UPSTREAM_WAIT(upstream, upstream->streams[0].is_reset);
    expect_end(caller, 413, "");
    end(bench, caller, upstream);
}

/* The end of the request is told in the turn in which that of the answer comes in. */
TEST(both_ends_may_cross)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message post = POST(HTTP_SEND_UNKNOWN, 0);
    caller_send(caller, &post, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream_answer(upstream, 1, "200", NULL, NULL, SPAN("early"));
    upstream_send(upstream);
    http_call_finish(&caller->call);
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "early");
    UPSTREAM_WAIT(upstream, upstream->n_ended == 1);
    CHECK(!upstream->streams[0].is_reset);
    end(bench, caller, upstream);
}

TEST(a_paused_call_leaves_the_others_alone_and_keeps_a_window_at_most)
{
    static char big[200000];
    memset(big, 'x', sizeof(big));
    struct bench *bench = bench_new(NULL);
    struct caller *slow = caller_2(bench), *quick = caller_2(bench);
    slow->pauses = true;
    caller_start(slow);
    caller_start(quick);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_ended == 2);
    upstream_answer(upstream, 1, "200", NULL, NULL, (struct span){ big, sizeof(big) });
    UPSTREAM_WAIT(upstream, slow->body.size > 0);
    upstream_answer(upstream, 3, "200", NULL, NULL, (struct span){ big, sizeof(big) });
    UPSTREAM_WAIT(upstream, quick->n_ends == 1);
    CHECK_INT(quick->body.size, sizeof(big));
    CHECK(slow->body.size <= 16384);
    CHECK(upstream->streams[0].answer.size >= sizeof(big) - 65535 - slow->body.size);
    CHECK_INT(slow->n_ends, 0);
    slow->pauses = false;
    http_call_resume(&slow->call);
    UPSTREAM_WAIT(upstream, slow->n_ends == 1);
    CHECK_INT(slow->body.size, sizeof(big));
    caller_free(slow);
    caller_free(quick);
    upstream_free(upstream);
    bench_free(bench);
}

TEST(a_call_that_is_given_up_is_reset)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    caller_start(caller);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    http_call_cancel(&caller->call);
    UPSTREAM_WAIT(upstream, upstream->streams[0].is_reset);
    CHECK_INT(upstream->streams[0].reset_code, NGHTTP2_CANCEL);

    /* In a callback too, and the connection goes on. */
    caller->cancels = true;
    caller_start(caller);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 2);
    upstream_answer(upstream, 3, "200", NULL, NULL, SPAN("hello"));
    UPSTREAM_WAIT(upstream, upstream->streams[1].is_reset);
    caller->cancels = false;
    caller_start(caller);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 3);
    upstream_answer(upstream, 5, "200", NULL, NULL, SPAN("hello"));
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "hello");
    end(bench, caller, upstream);
}

TEST(a_reset_says_what_it_means)
{
    static const struct {
        uint32_t code;
        enum http_fault fault;
    } cases[] = {
        { NGHTTP2_REFUSED_STREAM, HTTP_FAULT_REFUSED },
        { NGHTTP2_INTERNAL_ERROR, HTTP_FAULT_BROKEN },
        { NGHTTP2_CANCEL, HTTP_FAULT_BROKEN },
        { NGHTTP2_HTTP_1_1_REQUIRED, HTTP_FAULT_BROKEN },
    };
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct upstream *upstream = NULL;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        caller_start(caller);
        if (!upstream)
            upstream = upstream_new(bench, NULL, 0);
        UPSTREAM_WAIT(upstream, upstream->n_streams == i + 1);
        CHECK_INT(nghttp2_submit_rst_stream(upstream->ng, 0, (int32_t)(2 * i + 1), cases[i].code),
                  0);
        UPSTREAM_WAIT(upstream, caller->n_faults == 1);
        CHECK_INT(caller->call.reset_code, cases[i].code);
        expect_fault(caller, cases[i].fault);
    }
    end(bench, caller, upstream);
}

TEST(goaway_refuses_later_streams_and_lets_others_end)
{
    struct bench *bench = bench_new(NULL);
    struct caller *first = caller_2(bench), *second = caller_2(bench), *third = caller_2(bench);
    caller_start(first);
    caller_start(second);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 2);
    CHECK_INT(nghttp2_submit_goaway(upstream->ng, 0, 1, NGHTTP2_NO_ERROR, NULL, 0), 0);
    UPSTREAM_WAIT(upstream, second->n_faults == 1);
    expect_fault(second, HTTP_FAULT_REFUSED);

    caller_start(third); /* over a new connection */
    struct upstream *other = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(other, other->n_ended == 1);
    upstream_answer(other, 1, "200", NULL, NULL, SPAN("new"));
    UPSTREAM_WAIT(other, third->n_ends == 1);
    upstream_answer(upstream, 1, "200", NULL, NULL, SPAN("old"));
    UPSTREAM_WAIT(upstream, first->n_ends == 1);
    expect_end(first, 200, "old");
    UPSTREAM_WAIT(upstream, upstream->is_ended);
    caller_free(first);
    caller_free(second);
    caller_free(third);
    upstream_free(upstream);
    upstream_free(other);
    bench_free(bench);
}

TEST(a_lost_connection_says_how_far_calls_had_come)
{
    struct bench *bench = bench_new(NULL);
    struct caller *first = caller_2(bench), *second = caller_2(bench);
    caller_start(first);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream_free(upstream);
    expect_fault(first, HTTP_FAULT_BROKEN);

    /* One that stood before may have been closed before the request came to it. */
    caller_start(first);
    upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream_answer(upstream, 1, "200", NULL, NULL, SPAN_NULL);
    UPSTREAM_WAIT(upstream, first->n_ends == 1);
    expect_end(first, 200, "");
    caller_start(second);
    upstream_free(upstream);
    wait_until(bench, &second->n_faults, 1);
    CHECK(second->fault == HTTP_FAULT_STALE || second->fault == HTTP_FAULT_REFUSED);
    caller_free(first);
    caller_free(second);
    bench_free(bench);
}

TEST(nobody_there_is_told_from_the_loop)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    close(bench->listen_fd);
    caller_start(caller);
    CHECK_INT(caller->n_faults, 0);
    expect_fault(caller, HTTP_FAULT_CONNECT);
    caller_free(caller);
    bench->listen_fd = listen_on_loopback(&bench->address);
    bench_free(bench);
}

TEST(what_is_not_legal_is_not_sent)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message bad = get;
    bad.target = SPAN("/ b");
    caller_send(caller, &bad, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, caller->n_faults == 1);
    expect_fault(caller, HTTP_FAULT_INVALID);
    CHECK_INT(upstream->n_streams, 0);
    end(bench, caller, upstream);
}

TEST(a_second_connection_is_made_when_the_first_is_full)
{
    static const nghttp2_settings_entry two[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2 } };
    struct bench *bench = bench_new(NULL);
    struct caller *callers[4];
    for (int i = 0; i < 4; i++)
        callers[i] = caller_2(bench);
    caller_start(callers[0]);
    struct upstream *first = upstream_new(bench, two, 1);
    UPSTREAM_WAIT(first, first->n_streams == 1 && first->n_settings >= 2);
    for (int i = 1; i < 4; i++)
        caller_start(callers[i]);
    struct upstream *second = upstream_new(bench, two, 1);
    UPSTREAM_WAIT(first, first->n_streams == 2);
    UPSTREAM_WAIT(second, second->n_streams == 2);
    for (int i = 0; i < 2; i++) {
        upstream_answer(first, 2 * i + 1, "200", NULL, NULL, SPAN("a"));
        upstream_answer(second, 2 * i + 1, "200", NULL, NULL, SPAN("a"));
    }
    UPSTREAM_WAIT(first, callers[0]->n_ends + callers[1]->n_ends == 2);
    UPSTREAM_WAIT(second, callers[2]->n_ends + callers[3]->n_ends == 2);
    for (int i = 0; i < 4; i++)
        caller_free(callers[i]);
    upstream_free(first);
    upstream_free(second);
    bench_free(bench);
}

TEST(deadlines_hold)
{
    struct http_pool_settings settings = http_pool_settings_default;
    struct bench *bench = bench_new(&settings);
    struct caller *caller = caller_2(bench);
    caller_send(caller, &get, loop_now(bench->loop) + NSEC_PER_SEC);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    fake_clock_advance(&bench->clock, NSEC_PER_SEC);
    expect_fault(caller, HTTP_FAULT_TIMEOUT);
    UPSTREAM_WAIT(upstream, upstream->streams[0].is_reset);

    caller->call.answer_timeout = 2 * NSEC_PER_SEC;
    caller_start(caller);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 2);
    fake_clock_advance(&bench->clock, NSEC_PER_SEC);
    settle(bench->loop);
    CHECK_INT(caller->n_faults, 0);
    fake_clock_advance(&bench->clock, NSEC_PER_SEC);
    expect_fault(caller, HTTP_FAULT_TIMEOUT);

    caller_start(caller); /* a body that stalls */
    UPSTREAM_WAIT(upstream, upstream->n_streams == 3);
    upstream->streams[2].holds_end = true;
    upstream_answer(upstream, 5, "200", NULL, NULL, SPAN("a"));
    UPSTREAM_WAIT(upstream, caller->body.size == 1);
    fake_clock_advance(&bench->clock, settings.stall_timeout);
    expect_fault(caller, HTTP_FAULT_TIMEOUT);

    /* Nothing under way: the connection ends after its time. */
    UPSTREAM_WAIT(upstream, upstream->streams[2].is_reset);
    settle(bench->loop);
    fake_clock_advance(&bench->clock, settings.idle_timeout);
    UPSTREAM_WAIT(upstream, upstream->is_ended);
    CHECK_INT(upstream->n_goaways, 1);
    end(bench, caller, upstream);
}

TEST(a_stream_that_is_silent_for_long_costs_a_ping_and_a_dead_peer_is_found)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message post = POST(HTTP_SEND_UNKNOWN, 0);
    caller_send(caller, &post, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream->streams[0].holds_end = true;
    upstream_answer(upstream, 1, "200", "content-type", "application/grpc", SPAN("a"));
    UPSTREAM_WAIT(upstream, caller->body.size == 1);
    for (unsigned i = 1; i <= 3; i++) {
        fake_clock_advance(&bench->clock, http_pool_settings_default.stall_timeout);
        UPSTREAM_WAIT(upstream, upstream->n_pings == i);
        upstream_turn(upstream);
        settle(bench->loop);
    }
    CHECK_INT(caller->n_faults, 0);
    upstream->is_silent = true;
    fake_clock_advance(&bench->clock, http_pool_settings_default.stall_timeout);
    settle(bench->loop);
    fake_clock_advance(&bench->clock, 10 * NSEC_PER_SEC);
    expect_fault(caller, HTTP_FAULT_BROKEN);
    end(bench, caller, upstream);
}

TEST(an_answer_that_breaks_the_rules_is_refused)
{
    static const struct {
        const char *status, *name, *value;
        struct span body;
    } cases[] = {
        { "200", "connection", "close", SPAN("a") },
        { "200", "transfer-encoding", "chunked", SPAN("a") },
        { "200", "content-length", "2", SPAN("a") },
        { "200", "content-length", "2", SPAN("abc") },
        { "200", "content-length", "2", { NULL, 0 } },
        { "200", "content-length", "a", SPAN("a") },
        { "204", NULL, NULL, SPAN("a") },
        { "99", NULL, NULL, SPAN("a") },
        { "101", NULL, NULL, SPAN("a") },
        { "200", "a", "b\r\nc: d", SPAN("a") },
        { "200", "A b", "c", SPAN("a") },
    };
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct upstream *upstream = NULL;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        caller_start(caller);
        if (!upstream)
            upstream = upstream_new(bench, NULL, 0);
        UPSTREAM_WAIT(upstream, upstream->n_streams == i + 1);
        int32_t id = (int32_t)(2 * i + 1);
        upstream_answer(upstream, id, cases[i].status, cases[i].name, cases[i].value,
                        cases[i].body);
        UPSTREAM_WAIT(upstream, caller->n_faults + caller->n_ends == 1);
        if (caller->n_ends)
            printf("# case %u\n", i);
        expect_fault(caller, HTTP_FAULT_INVALID);
        UPSTREAM_WAIT(upstream, upstream->streams[i].is_reset);
    }
    end(bench, caller, upstream);
}

TEST(interim_answers_are_passed_on)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    caller_start(caller);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    nghttp2_nv nv[] = { field(":status", "103"), field("link", "</a>") };
    CHECK_INT(nghttp2_submit_headers(upstream->ng, 0, 1, NULL, nv, 2, NULL), 0);
    UPSTREAM_WAIT(upstream, caller->n_interim == 1);
    CHECK_INT(caller->status, 103);
    upstream_answer(upstream, 1, "200", NULL, NULL, SPAN("hello"));
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "hello");
    end(bench, caller, upstream);
}

TEST(an_answer_to_head_has_no_body)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message head = get;
    head.method = SPAN("HEAD");
    caller_send(caller, &head, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    upstream_answer(upstream, 1, "200", "content-length", "5", SPAN_NULL);
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "");
    end(bench, caller, upstream);
}

TEST(an_upgrade_waits_until_the_upstream_takes_those)
{
    static const nghttp2_settings_entry on[] = { { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 } };
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    struct http_message upgrade = get;
    upgrade.upgrade = SPAN("websocket");
    upgrade.body = HTTP_SEND_UNKNOWN;
    caller_send(caller, &upgrade, NSEC_NEVER);
    struct upstream *upstream = upstream_new(bench, on, 1);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    CHECK_STR(text_of(&upstream->streams[0].head),
              ":method=CONNECT :protocol=websocket "
              ":scheme=http :path=/x :authority=up ");
    http_call_send(&caller->call, SPAN("ping"));
    UPSTREAM_WAIT(upstream, upstream->streams[0].body.size == 4);
    upstream_answer(upstream, 1, "200", NULL, NULL, SPAN("pong"));
    UPSTREAM_WAIT(upstream, caller->n_ends == 1);
    expect_end(caller, 200, "pong");
    caller_free(caller);

    /* One that does not is not asked. */
    struct bench *other = bench_new(NULL);
    caller = caller_2(other);
    caller_send(caller, &upgrade, NSEC_NEVER);
    struct upstream *plain = upstream_new(other, NULL, 0);
    UPSTREAM_WAIT(plain, caller->n_faults == 1);
    CHECK_INT(plain->n_streams, 0);
    expect_fault(caller, HTTP_FAULT_INVALID);
    caller_free(caller);
    upstream_free(plain);
    bench_free(other);
    upstream_free(upstream);
    bench_free(bench);
}

TEST(a_pool_ends_with_calls_under_way)
{
    struct bench *bench = bench_new(NULL);
    struct caller *held = caller_2(bench), *sent = caller_2(bench);
    struct http_message post = POST(HTTP_SEND_UNKNOWN, 0);
    caller_send(sent, &post, NSEC_NEVER);
    http_call_send(&sent->call, SPAN("abc"));
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    held->call.is_fresh = true;
    caller_start(held);
    bench->pool = http_pool_free(bench->pool);
    CHECK(!held->call.stream && !sent->call.stream);
    caller_free(held);
    caller_free(sent);
    upstream_free(upstream);
    bench_free(bench);
}

TEST(an_upstream_that_floods_is_left)
{
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    caller_start(caller);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    for (unsigned i = 0; i < 100 && !caller->n_faults; i++) {
        for (unsigned j = 0; j < 100; j++)
            CHECK_INT(nghttp2_submit_ping(upstream->ng, 0, NULL), 0);
        upstream_turn(upstream);
    }
    expect_fault(caller, HTTP_FAULT_BROKEN);
    end(bench, caller, upstream);
}

TEST(a_head_that_is_too_large_ends_its_call_and_a_bomb_the_connection)
{
    static char value[3001]; /* that fits into the table of compression */
    nghttp2_nv nv[33];
    memset(value, 'v', sizeof(value) - 1);
    nv[0] = field(":status", "200");
    for (int i = 1; i < 33; i++)
        nv[i] = field("a", value);
    struct http_pool_settings settings = http_pool_settings_default;
    settings.limits.head = 16384;
    struct bench *bench = bench_new(&settings);
    struct caller *caller = caller_2(bench);
    caller_start(caller);
    struct upstream *upstream = upstream_new(bench, NULL, 0);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 1);
    CHECK_INT(nghttp2_submit_response(upstream->ng, 1, nv, 9, NULL), 0);
    UPSTREAM_WAIT(upstream, caller->n_faults == 1);
    expect_fault(caller, HTTP_FAULT_INVALID);

    /* The connection goes on, as far as that. */
    caller_start(caller);
    UPSTREAM_WAIT(upstream, upstream->n_streams == 2);
    CHECK_INT(nghttp2_submit_response(upstream->ng, 3, nv, 33, NULL), 0);
    UPSTREAM_WAIT(upstream, caller->n_faults == 1);
    expect_fault(caller, HTTP_FAULT_BROKEN);
    UPSTREAM_WAIT(upstream, upstream->is_ended);
    end(bench, caller, upstream);
}

TEST(without_tls_an_upstream_of_either_protocol_gets_http_1)
{
    struct bench *bench = bench_new(NULL);
    struct caller *caller = caller_new(bench);
    caller->call.protocol = HTTP_PROTOCOL_AUTO;
    struct peer *peer = warm_up(caller);
    caller_free(caller);
    peer_close(peer);
    bench_free(bench);
}

#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define HEAD_OF_1 "\0\0\1\1\4\0\0\0\1\x88"
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define NONE INT64_C(-1)

/* The code of GOAWAY among what the peer got behind our preface. */
static int64_t goaway_of(const struct peer *peer)
{
    struct span bytes = span_from((struct span){ peer->got, peer->n_got }, HTTP2_PREFACE_SIZE);
    while (bytes.size >= HTTP2_FRAME_HEAD) {
        struct http2_frame frame = http2_frame_decode(bytes.data);
        if (frame.type == HTTP2_GOAWAY)
            return http2_number(bytes.data + HTTP2_FRAME_HEAD + 4);
        bytes = span_from(bytes, HTTP2_FRAME_HEAD + frame.size);
    }
    return NONE;
}

TEST(what_an_upstream_must_not_send_ends_the_call_or_the_connection)
{
    static const struct {
        struct span bytes;
        int64_t goaway;
        enum http_fault fault;
    } cases[] = {
        { BYTES("\0\0\x8\6\0\0\0\0\0\1\2\3\4\5\6\7\x8"), HTTP2_PROTOCOL_ERROR, HTTP_FAULT_BROKEN },
        { BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), HTTP2_PROTOCOL_ERROR, HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\x40\1\0\0\0\0\0\1"), HTTP2_FRAME_SIZE_ERROR, HTTP_FAULT_BROKEN },
        { BYTES("\0\0\6\4\0\0\0\0\0\0\2\0\0\0\1"), HTTP2_PROTOCOL_ERROR, HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\0\5\5\4\0\0\0\1\0\0\0\2\x82"), HTTP2_PROTOCOL_ERROR,
          HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\0\1\1\5\0\0\0\2\x88"), HTTP2_PROTOCOL_ERROR, HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\0\1\1\5\0\0\0\3\x88"), HTTP2_PROTOCOL_ERROR, HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\0\1\0\0\0\0\0\3a"), HTTP2_PROTOCOL_ERROR, HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\0\1\1\5\0\0\0\1\xff"), HTTP2_COMPRESSION_ERROR, HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS "\0\0\1\0\0\0\0\0\1a"), NONE, HTTP_FAULT_INVALID },
        { BYTES(SETTINGS HEAD_OF_1 "\0\0\1\1\5\0\0\0\1\x88"), NONE, HTTP_FAULT_INVALID },
        { BYTES(SETTINGS HEAD_OF_1 "\0\0\1\1\4\0\0\0\1\x88"), NONE, HTTP_FAULT_INVALID },
        { BYTES(SETTINGS HEAD_OF_1 "\0\0\4\x8\0\0\0\0\1\x7f\xff\xff\xff"), NONE,
          HTTP_FAULT_BROKEN },
        { BYTES(SETTINGS HEAD_OF_1 "\0\0\4\x8\0\0\0\0\0\x7f\xff\xff\xff"), HTTP2_FLOW_CONTROL_ERROR,
          HTTP_FAULT_BROKEN },
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *bench;
        struct caller *caller = caller_2_new(&bench);
        caller_start(caller);
        struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
        settle(bench->loop);
        peer_send_span(peer, cases[i].bytes);
        wait_until(bench, &caller->n_faults, 1);
        settle(bench->loop);
        peer_receive(peer);
        if (goaway_of(peer) != cases[i].goaway || caller->fault != cases[i].fault)
            printf("# case %u\n", i);
        CHECK_INT(goaway_of(peer), cases[i].goaway);
        expect_fault(caller, cases[i].fault);
        caller_free(caller);
        peer_close(peer);
        bench_free(bench);
    }
}

TEST(a_stream_s_window_is_not_overrun)
{
    static char part[HTTP2_FRAME_HEAD + HTTP2_FRAME_MAX];
    struct bench *bench;
    struct caller *caller = caller_2_new(&bench);
    caller->pauses = true;
    caller_start(caller);
    struct peer *peer = peer_accept(bench->loop, bench->listen_fd);
    settle(bench->loop);
    http2_frame_encode(part, (struct http2_frame){ HTTP2_FRAME_MAX, 1, HTTP2_DATA, 0 });
    peer_send_span(peer, (struct span)BYTES(SETTINGS HEAD_OF_1));
    for (unsigned i = 0; i < 6; i++) {
        peer_send_span(peer, (struct span){ part, sizeof(part) });
        settle(bench->loop);
    }
    wait_until(bench, &caller->n_faults, 1);
    expect_fault(caller, HTTP_FAULT_BROKEN);
    caller_free(caller);
    peer_close(peer);
    bench_free(bench);
}
