/* SPDX-License-Identifier: Apache-2.0 */

/* The server's side of HTTP/2 as a handler sees it, and what the peer gets, frame by frame. Fields are
 * sent as literals, and what comes back is told by its frames, not by its fields. */

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include "bench.h"
#include "check.h"

#include "http/http2/abuse.h"
#include "http/http2/scan.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void send_frame(struct peer *peer, uint8_t type, uint8_t flags, uint32_t id,
                       struct span payload)
{
    static char bytes[SCAN_HEAD + 16384]; /* in one piece, or the kernel holds the second back */
    const uint32_t numbers[] = { htonl((uint32_t)payload.size << 8 | type), htonl(id) };
    memcpy(bytes, numbers, 4);
    bytes[4] = (char)flags;
    memcpy(bytes + 5, numbers + 1, 4);
    if (payload.size)
        memcpy(bytes + SCAN_HEAD, payload.data, payload.size);
    peer_send_span(peer, (struct span){ bytes, SCAN_HEAD + payload.size });
}

/* A literal field that is not indexed. */
static size_t put_field(char *at, const char *name, const char *value)
{
    size_t n = strlen(name), m = strlen(value);
    at[0] = 0;
    at[1] = (char)n;
    memcpy(at + 2, name, n);
    at[2 + n] = (char)m;
    memcpy(at + 3 + n, value, m);
    return 3 + n + m;
}

static void ask(struct peer *peer, uint32_t id, const char *method, const char *path, bool is_end)
{
    char block[512];
    size_t size = put_field(block, ":method", method);
    size += put_field(block + size, ":scheme", "http");
    size += put_field(block + size, ":path", path);
    size += put_field(block + size, ":authority", "a");
    send_frame(peer, NGHTTP2_HEADERS, is_end ? 5 : 4, id, (struct span){ block, size });
}

static struct peer *begin(struct bench *bench)
{
    struct peer *peer = bench_connect(bench);
    int yes = 1;
    CHECK_INT(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
    peer_send(peer, PREFACE);
    send_frame(peer, NGHTTP2_SETTINGS, 0, 0, SPAN_NULL);
    settle(bench->loop);
    return peer;
}

struct got {
    unsigned n;
    uint8_t flags; /* of the last */
    struct span payload;
};

/* Frames of that type on that stream so far; of DATA, `payload` is that of the last. */
static struct got count(struct bench *bench, struct peer *peer, uint8_t type, uint32_t id)
{
    struct http2_scan scan = { 0 };
    struct http2_seen seen;
    struct got got = { 0 };
    size_t at = 0;
    settle(bench->loop);
    CHECK_INT(peer_receive(peer), 1);
    struct span bytes = { peer->got, peer->n_got };
    while (http2_scan_next(&scan, bytes, &at, &seen)) {
        if (seen.type != type || seen.stream_id != id)
            continue;
        got.n++;
        got.flags = seen.flags;
        got.payload = span_first(span_from(bytes, at), seen.size);
    }
    return got;
}

TEST(an_answer_has_a_head_and_a_body)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "GET", "/hello", true);
    CHECK_INT(count(bench, peer, NGHTTP2_HEADERS, 1).n, 1);
    struct got data = count(bench, peer, NGHTTP2_DATA, 1);
    CHECK_INT(data.n, 1);
    CHECK(span_is(data.payload, "hello"));
    CHECK(data.flags & NGHTTP2_FLAG_END_STREAM);
    peer_close(peer);
    bench_free(bench);
}

TEST(an_answer_without_a_body_ends_with_its_head)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "GET", "/empty", true);
    CHECK(count(bench, peer, NGHTTP2_HEADERS, 1).flags & NGHTTP2_FLAG_END_STREAM);
    CHECK_INT(count(bench, peer, NGHTTP2_DATA, 1).n, 0);
    peer_close(peer);
    bench_free(bench);
}

TEST(without_a_body_trailers_go_with_the_head)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    static const struct http_message none = { .status = 200, .body = HTTP_SEND_NONE };
    ask(peer, 1, "POST", "/later", true);
    settle(bench->loop);
    http_respond(bench->exchange, &none);
    settle(bench->loop);
    CHECK_INT(count(bench, peer, NGHTTP2_HEADERS, 1).n, 0); /* it may have company */
    http_put_trailers(bench->exchange, SPAN("grpc-status: 5\r\n"));
    http_finish(bench->exchange);
    struct got head = count(bench, peer, NGHTTP2_HEADERS, 1);
    CHECK_INT(head.n, 1);
    CHECK(head.flags & NGHTTP2_FLAG_END_STREAM);
    peer_close(peer);
    bench_free(bench);
}

TEST(trailers_follow_a_body)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    http_respond(bench->exchange, &chunked);
    http_send(bench->exchange, SPAN("body"));
    settle(bench->loop);
    http_put_trailers(bench->exchange, SPAN("x-end: 1\r\n"));
    http_finish(bench->exchange);
    CHECK(count(bench, peer, NGHTTP2_HEADERS, 1).flags & NGHTTP2_FLAG_END_STREAM);
    CHECK_INT(count(bench, peer, NGHTTP2_HEADERS, 1).n, 2);
    CHECK_INT(count(bench, peer, NGHTTP2_DATA, 1).n, 1);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_paused_body_is_kept_and_its_window_stays_shut)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    static char part[16384];
    ask(peer, 1, "POST", "/pause", false);
    for (int i = 0; i < 3; i++)
        send_frame(peer, NGHTTP2_DATA, 0, 1, (struct span){ part, sizeof(part) });
    CHECK_INT(count(bench, peer, NGHTTP2_WINDOW_UPDATE, 1).n, 0);
    CHECK_INT(bench->body.size, 0);
    http_resume(bench->exchange);
    CHECK_INT(count(bench, peer, NGHTTP2_WINDOW_UPDATE, 1).n, 1);
    CHECK_INT(bench->body.size, 3 * sizeof(part));
    CHECK_INT(bench->n_body_ends, 0);
    send_frame(peer, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, SPAN_NULL);
    settle(bench->loop);
    CHECK_INT(bench->n_body_ends, 1);
    http_reply(bench->exchange, 200, NULL, 0, SPAN_NULL);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_reset_is_an_abort_with_its_code)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    CHECK(bench->exchange);
    send_frame(peer, NGHTTP2_RST_STREAM, 0, 1, SPAN("\0\0\0\x8"));
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);
    ask(peer, 3, "GET", "/hello", true);
    CHECK_INT(count(bench, peer, NGHTTP2_DATA, 3).n, 1);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_client_that_leaves_aborts_all)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
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
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "GET", "/bad-field", true);
    CHECK(count(bench, peer, NGHTTP2_HEADERS, 1).flags & NGHTTP2_FLAG_END_STREAM);
    CHECK_INT(count(bench, peer, NGHTTP2_DATA, 1).n, 0);
    peer_close(peer);
    bench_free(bench);
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

TEST(frames_are_found_in_any_pieces)
{
    static const char bytes[] =
        "\0\0\5\0\1\0\0\0\3hello"
        "\0\0\5\2\0\0\0\0\7\0\0\0\3\x10"
        "\0\0\0\4\1\0\0\0\0";
    for (size_t piece = 1; piece < sizeof(bytes); piece++) {
        struct http2_scan scan = { 0 };
        struct http2_seen seen[4];
        unsigned n = 0;
        for (size_t from = 0; from < sizeof(bytes) - 1; from += piece) {
            struct span part = span_from((struct span){ bytes, sizeof(bytes) - 1 }, from);
            part = span_first(part, piece);
            for (size_t at = 0; n < 4 && http2_scan_next(&scan, part, &at, &seen[n]);)
                n++;
        }
        CHECK_INT(n, 3);
        CHECK_INT(seen[0].type, NGHTTP2_DATA);
        CHECK_INT(seen[0].stream_id, 3);
        CHECK_INT(seen[1].type, NGHTTP2_PRIORITY);
        CHECK_INT(seen[1].number, 3);
        CHECK_INT(seen[2].type, NGHTTP2_SETTINGS);
        CHECK_INT(seen[2].flags, 1);
    }
}
