/* SPDX-License-Identifier: Apache-2.0 */

/* The frame layer from its server's side: frames in, and what the connection or the stream ends
 * with. */

#include "frames.h"

#include "http/http2/stream.h"

#define NONE INT64_C(-1)
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define MAX_SENT 4

struct sent {
    uint8_t type, flags;
    uint32_t id;
    struct span payload;
};

/* The code of the last GOAWAY, and of RST_STREAM for a stream; NONE without one. */
static int64_t code_of(struct got got)
{
    return got.n && got.payload.size >= 4
               ? (int64_t)http2_number(got.payload.data + got.payload.size - 4)
               : NONE;
}

struct ending {
    const char *what;
    struct sent sent[MAX_SENT]; /* behind SETTINGS; {0} is no frame */
    int64_t goaway, reset;      /* of stream 1 */
};

/* A whole request for a stream, held by its handler. */
#define BLOCK "\x82\x86\x44\x06/later\x41\1a"
#define OPEN(id)                                                                                   \
    {                                                                                              \
        HTTP2_HEADERS, HTTP2_END_HEADERS, id, BYTES(BLOCK)                                         \
    }
#define ENDED(id)                                                                                  \
    {                                                                                              \
        HTTP2_HEADERS, HTTP2_END_HEADERS | HTTP2_END_STREAM, id, BYTES(BLOCK)                      \
    }

static const struct ending endings[] = {
    { "PING that is too short",
      { { HTTP2_PING, 0, 0, BYTES("1234567") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "PING on a stream",
      { OPEN(1), { HTTP2_PING, 0, 1, BYTES("12345678") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "SETTINGS on a stream", { { HTTP2_SETTINGS, 0, 1, BYTES("") } }, HTTP2_PROTOCOL_ERROR, NONE },
    { "SETTINGS of a size that cannot be",
      { { HTTP2_SETTINGS, 0, 0, BYTES("12345") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "ACK of SETTINGS with a payload",
      { { HTTP2_SETTINGS, 1, 0, BYTES("123456") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "a second ACK of SETTINGS",
      { { HTTP2_SETTINGS, 1, 0, BYTES("") }, { HTTP2_SETTINGS, 1, 0, BYTES("") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "ENABLE_PUSH of 2",
      { { HTTP2_SETTINGS, 0, 0, BYTES("\0\2\0\0\0\2") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "a window that is too large",
      { { HTTP2_SETTINGS, 0, 0, BYTES("\0\4\x80\0\0\0") } },
      HTTP2_FLOW_CONTROL_ERROR,
      NONE },
    { "frames that may be too small",
      { { HTTP2_SETTINGS, 0, 0, BYTES("\0\5\0\0\x3f\xff") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "frames that may be too large",
      { { HTTP2_SETTINGS, 0, 0, BYTES("\0\5\1\0\0\0") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "extended CONNECT of 2",
      { { HTTP2_SETTINGS, 0, 0, BYTES("\0\x8\0\0\0\2") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "extended CONNECT taken back",
      { { HTTP2_SETTINGS, 0, 0, BYTES("\0\x8\0\0\0\1\0\x8\0\0\0\0") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "17 settings",
      { { HTTP2_SETTINGS, 0, 0,
          BYTES(
              "123456123456123456123456123456123456123456123456123456123456123456123456123456123456123456123456123456") } },
      HTTP2_ENHANCE_YOUR_CALM,
      NONE },
    { "an unknown setting", { { HTTP2_SETTINGS, 0, 0, BYTES("\x7f\x8\0\0\0\2") } }, NONE, NONE },
    { "GOAWAY that is too short",
      { { HTTP2_GOAWAY, 0, 0, BYTES("1234567") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "GOAWAY on a stream",
      { { HTTP2_GOAWAY, 0, 1, BYTES("12345678") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "PUSH_PROMISE",
      { OPEN(1), { HTTP2_PUSH_PROMISE, 4, 1, BYTES("\0\0\0\2" BLOCK) } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "PRIORITY", { OPEN(1), { HTTP2_PRIORITY, 0, 1, BYTES("\0\0\0\3\1") } }, NONE, NONE },
    { "PRIORITY of an idle stream", { { HTTP2_PRIORITY, 0, 9, BYTES("\0\0\0\0\1") } }, NONE, NONE },
    { "PRIORITY without a stream",
      { { HTTP2_PRIORITY, 0, 0, BYTES("\0\0\0\3\1") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "PRIORITY of itself",
      { { HTTP2_PRIORITY, 0, 1, BYTES("\0\0\0\1\1") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "PRIORITY that is too long",
      { { HTTP2_PRIORITY, 0, 1, BYTES("\0\0\0\3\1\1") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "RST_STREAM without a stream",
      { { HTTP2_RST_STREAM, 0, 0, BYTES("\0\0\0\0") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "RST_STREAM of an idle stream",
      { { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\0") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "RST_STREAM that is too long",
      { OPEN(1), { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\0\0") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "RST_STREAM twice",
      { OPEN(1),
        { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\x8") },
        { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\x8") } },
      NONE,
      NONE },
    { "WINDOW_UPDATE of nothing",
      { { HTTP2_WINDOW_UPDATE, 0, 0, BYTES("\0\0\0\0") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "WINDOW_UPDATE that is too short",
      { { HTTP2_WINDOW_UPDATE, 0, 0, BYTES("\0\0\1") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "WINDOW_UPDATE of an idle stream",
      { { HTTP2_WINDOW_UPDATE, 0, 1, BYTES("\0\0\0\1") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "WINDOW_UPDATE of a stream of ours",
      { { HTTP2_WINDOW_UPDATE, 0, 2, BYTES("\0\0\0\1") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "a connection's window that overflows",
      { { HTTP2_WINDOW_UPDATE, 0, 0, BYTES("\x7f\xff\xff\xff") } },
      HTTP2_FLOW_CONTROL_ERROR,
      NONE },
    { "a stream's window that overflows",
      { OPEN(1), { HTTP2_WINDOW_UPDATE, 0, 1, BYTES("\x7f\xff\xff\xff") } },
      NONE,
      HTTP2_FLOW_CONTROL_ERROR },
    { "all windows that overflow",
      { OPEN(1),
        { HTTP2_WINDOW_UPDATE, 0, 1, BYTES("\x7f\xff\0\0") },
        { HTTP2_SETTINGS, 0, 0, BYTES("\0\4\x7f\xff\xff\xff") } },
      HTTP2_FLOW_CONTROL_ERROR,
      NONE },
    { "DATA without a stream", { { HTTP2_DATA, 0, 0, BYTES("a") } }, HTTP2_PROTOCOL_ERROR, NONE },
    { "DATA on an idle stream", { { HTTP2_DATA, 0, 1, BYTES("a") } }, HTTP2_PROTOCOL_ERROR, NONE },
    { "DATA behind the end",
      { ENDED(1), { HTTP2_DATA, 0, 1, BYTES("a") } },
      HTTP2_STREAM_CLOSED,
      NONE },
    { "DATA behind a reset",
      { OPEN(1), { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\x8") }, { HTTP2_DATA, 0, 1, BYTES("a") } },
      HTTP2_STREAM_CLOSED,
      NONE },
    { "DATA that is padding alone",
      { OPEN(1), { HTTP2_DATA, HTTP2_PADDED, 1, BYTES("\3abc") } },
      NONE,
      NONE },
    { "DATA with padding and no room",
      { OPEN(1), { HTTP2_DATA, HTTP2_PADDED, 1, BYTES("\4abc") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "DATA with padding and nothing",
      { OPEN(1), { HTTP2_DATA, HTTP2_PADDED, 1, BYTES("") } },
      HTTP2_FRAME_SIZE_ERROR,
      NONE },
    { "HEADERS without a stream",
      { { HTTP2_HEADERS, 5, 0, BYTES(BLOCK) } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "HEADERS on a stream of ours",
      { { HTTP2_HEADERS, 5, 2, BYTES(BLOCK) } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "HEADERS on a stream that was passed over",
      { OPEN(3), OPEN(1) },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "HEADERS behind the end", { ENDED(1), ENDED(1) }, HTTP2_STREAM_CLOSED, NONE },
    { "HEADERS behind a reset",
      { OPEN(1), { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\x8") }, ENDED(1) },
      HTTP2_STREAM_CLOSED,
      NONE },
    { "HEADERS that depend on themselves",
      { { HTTP2_HEADERS, 0x25, 1, BYTES("\0\0\0\1\1" BLOCK) } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "HEADERS with a priority",
      { { HTTP2_HEADERS, 0x25, 1, BYTES("\0\0\0\3\1" BLOCK) } },
      NONE,
      NONE },
    { "HEADERS with padding", { { HTTP2_HEADERS, 0xd, 1, BYTES("\3" BLOCK "abc") } }, NONE, NONE },
    { "HEADERS with nothing but padding that is too long",
      { { HTTP2_HEADERS, 0xd, 1, BYTES("\3ab") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "fields that are no fields",
      { { HTTP2_HEADERS, 5, 1, BYTES("\xff") } },
      HTTP2_COMPRESSION_ERROR,
      NONE },
    { "fields that are no fields, of a stream that is over",
      { OPEN(1),
        { HTTP2_RST_STREAM, 0, 1, BYTES("\0\0\0\x8") },
        { HTTP2_HEADERS, 5, 3, BYTES("\xff") } },
      HTTP2_COMPRESSION_ERROR,
      NONE },
    { "a head that is malformed",
      { { HTTP2_HEADERS, 5, 1, BYTES("\x82\x86") } },
      NONE,
      HTTP2_PROTOCOL_ERROR },
    { "trailers that do not end it",
      { OPEN(1), { HTTP2_HEADERS, 4, 1, BYTES("\0\1a\1b") } },
      NONE,
      HTTP2_PROTOCOL_ERROR },
    { "trailers", { OPEN(1), { HTTP2_HEADERS, 5, 1, BYTES("\0\1a\1b") } }, NONE, NONE },
    { "CONTINUATION of nothing",
      { { HTTP2_CONTINUATION, 4, 1, BYTES(BLOCK) } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "CONTINUATION of another",
      { { HTTP2_HEADERS, 0, 1, BYTES("\x82") }, { HTTP2_CONTINUATION, 4, 3, BYTES(BLOCK) } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "a frame inside a head",
      { { HTTP2_HEADERS, 0, 1, BYTES("\x82") }, { HTTP2_PING, 0, 0, BYTES("12345678") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "an unknown frame inside a head",
      { { HTTP2_HEADERS, 0, 1, BYTES("\x82") }, { 0x77, 0, 1, BYTES("1") } },
      HTTP2_PROTOCOL_ERROR,
      NONE },
    { "an unknown frame", { { 0x77, 0xff, 1, BYTES("1") }, OPEN(1) }, NONE, NONE },
};

static void check_ending(const struct ending *ending)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    for (unsigned i = 0; i < MAX_SENT && ending->sent[i].payload.data; i++) {
        const struct sent *sent = &ending->sent[i];
        send_frame(peer, sent->type, sent->flags, sent->id, sent->payload);
    }
    int64_t goaway = code_of(count(bench, peer, HTTP2_GOAWAY, 0));
    int64_t reset = code_of(count(bench, peer, HTTP2_RST_STREAM, 1));
    if (goaway != ending->goaway || reset != ending->reset)
        printf("# %s\n", ending->what);
    CHECK_INT(goaway, ending->goaway);
    CHECK_INT(reset, ending->reset);
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(http_n_connections(bench->server), 0);
    bench_free(bench);
}

TEST(what_is_not_legal_ends_the_stream_or_the_connection)
{
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        check_ending(&endings[i]);
}

TEST(the_beginning_is_settings)
{
    static const struct {
        struct span bytes;
        int64_t goaway;
    } cases[] = {
        { BYTES("\0\0\0\4\1\0\0\0\0"), HTTP2_PROTOCOL_ERROR }, /* an ACK of them */
        { BYTES("\0\0\x8\6\0\0\0\0\0"
                "12345678"),
          HTTP2_PROTOCOL_ERROR },
        { BYTES("\0\x40\1\4\0\0\0\0\0"), HTTP2_FRAME_SIZE_ERROR },
        { BYTES("\0\0\0\4\0\0\0\0\0"), NONE },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *bench = bench_new(NULL);
        struct peer *peer = connect_bare(bench);
        peer_send_span(peer, cases[i].bytes);
        CHECK_INT(code_of(count(bench, peer, HTTP2_GOAWAY, 0)), cases[i].goaway);
        peer_close(peer);
        bench_free(bench);
    }
}

TEST(frames_may_come_in_any_pieces)
{
    static const char bytes[] = HTTP2_PREFACE
        "\0\0\0\4\0\0\0\0\0"
        "\0\0\x0f\1\4\0\0\0\1\x83\x86\x44\x08/collect\x41\1a"
        "\0\0\6\0\x8\0\0\0\1\2hel\0\0"
        "\0\0\4\x77\0\0\0\0\1what"
        "\0\0\2\0\1\0\0\0\1lo";
    for (size_t piece = 1; piece < sizeof(bytes); piece++) {
        struct bench *bench = bench_new(NULL);
        struct peer *peer = bench_connect(bench);
        int yes = 1;
        CHECK_INT(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
        for (size_t from = 0; from < sizeof(bytes) - 1; from += piece) {
            peer_send_span(
                peer, span_first((struct span){ bytes + from, sizeof(bytes) - 1 - from }, piece));
            if (piece < 20 || piece % 16 == 0)
                CHECK_INT(loop_turn(bench->loop, 0), 0);
        }
        struct got got = count(bench, peer, HTTP2_DATA, 1);
        CHECK_INT(got.n, 1);
        CHECK(span_is(got.payload, "hello"));
        peer_close(peer);
        bench_free(bench);
    }
}

TEST(a_head_may_come_in_many_frames)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    struct span block = request_block("GET", "/hello");
    send_frame(peer, HTTP2_HEADERS, HTTP2_END_STREAM, 1, span_first(block, 3));
    send_frame(peer, HTTP2_CONTINUATION, 0, 1, span_first(span_from(block, 3), 7));
    send_frame(peer, HTTP2_CONTINUATION, HTTP2_END_HEADERS, 1, span_from(block, 10));
    CHECK_INT(count(bench, peer, HTTP2_DATA, 1).n, 1);
    peer_close(peer);
    bench_free(bench);
}

TEST(more_than_a_window_is_not_taken)
{
    static char part[HTTP2_FRAME_MAX];
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "POST", "/pause", false);
    for (unsigned i = 0; i < 5; i++)
        send_frame(peer, HTTP2_DATA, 0, 1, (struct span){ part, sizeof(part) });
    CHECK_INT(code_of(count(bench, peer, HTTP2_RST_STREAM, 1)), HTTP2_FLOW_CONTROL_ERROR);
    CHECK_INT(code_of(count(bench, peer, HTTP2_GOAWAY, 0)), NONE);
    peer_close(peer);
    bench_free(bench);

    struct http_settings settings = http_settings_default;
    settings.http2.connection_window = HTTP2_WINDOW_FIRST;
    bench = bench_new(&settings);
    peer = begin(bench);
    ask(peer, 1, "POST", "/pause", false);
    for (unsigned i = 0; i < 5; i++)
        send_frame(peer, HTTP2_DATA, 0, 1, (struct span){ part, sizeof(part) });
    CHECK_INT(code_of(count(bench, peer, HTTP2_GOAWAY, 0)), HTTP2_FLOW_CONTROL_ERROR);
    peer_close(peer);
    bench_free(bench);
}

/* Bytes of DATA on the stream so far. */
static size_t data_size(struct bench *bench, struct peer *peer, uint32_t id)
{
    size_t size = 0;
    settle(bench->loop);
    peer_receive(peer);
    struct span bytes = { peer->got, peer->n_got };
    while (bytes.size >= HTTP2_FRAME_HEAD) {
        struct http2_frame frame = http2_frame_decode(bytes.data);
        if (frame.type == HTTP2_DATA && frame.stream_id == id)
            size += frame.size;
        bytes = span_from(bytes, HTTP2_FRAME_HEAD + frame.size);
    }
    return size;
}

TEST(a_window_holds_what_is_sent)
{
    static char body[70000];
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin_with(bench, (struct span)BYTES("\0\4\0\0\0\x64"));
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    http_reply(bench->exchange, 200, NULL, 0, (struct span){ body, sizeof(body) });
    CHECK_INT(data_size(bench, peer, 1), 100);
    send_frame(peer, HTTP2_SETTINGS, 0, 0, (struct span)BYTES("\0\4\0\0\0\x32")); /* 50 below */
    send_frame(peer, HTTP2_WINDOW_UPDATE, 0, 1, (struct span)BYTES("\0\0\0\x32"));
    CHECK_INT(data_size(bench, peer, 1), 100);
    send_frame(peer, HTTP2_WINDOW_UPDATE, 0, 1, (struct span)BYTES("\0\0\0\1"));
    CHECK_INT(data_size(bench, peer, 1), 101);
    send_frame(peer, HTTP2_SETTINGS, 0, 0, (struct span)BYTES("\0\4\x7f\0\0\0"));
    CHECK_INT(data_size(bench, peer, 1), HTTP2_WINDOW_FIRST); /* now it is the connection's */
    send_frame(peer, HTTP2_WINDOW_UPDATE, 0, 0, (struct span)BYTES("\0\1\0\0"));
    CHECK_INT(data_size(bench, peer, 1), sizeof(body));
    CHECK(count(bench, peer, HTTP2_DATA, 1).flags & HTTP2_END_STREAM);
    peer_close(peer);
    bench_free(bench);
}

TEST(an_end_needs_no_window)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin_with(bench, (struct span)BYTES("\0\4\0\0\0\0"));
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    http_respond(bench->exchange, &chunked);
    http_put_trailers(bench->exchange, SPAN("a: b\r\n"));
    http_finish(bench->exchange);
    struct got head = count(bench, peer, HTTP2_HEADERS, 1);
    CHECK_INT(head.n, 2);
    CHECK(head.flags & HTTP2_END_STREAM);
    ask(peer, 3, "GET", "/later", true);
    settle(bench->loop);
    http_respond(bench->exchange, &chunked);
    http_finish(bench->exchange);
    CHECK(count(bench, peer, HTTP2_DATA, 3).flags & HTTP2_END_STREAM);
    peer_close(peer);
    bench_free(bench);
}

TEST(streams_take_turns)
{
    static char body[40000];
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    for (uint32_t id = 1; id <= 5; id += 2) {
        ask(peer, id, "GET", "/later", true);
        settle(bench->loop);
        http_respond(bench->exchange, &chunked);
        http_send(bench->exchange, (struct span){ body, id == 1 ? sizeof(body) : 10 });
        http_finish(bench->exchange);
    }
    settle(bench->loop);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 1).n, 3);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 3).n, 1);
    CHECK_INT(count(bench, peer, HTTP2_DATA, 5).n, 1);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_long_head_leaves_in_many_frames)
{
    static char value[20000];
    memset(value, 'v', sizeof(value));
    struct bench *bench = bench_new(NULL);
    struct peer *peer = begin(bench);
    ask(peer, 1, "GET", "/later", true);
    settle(bench->loop);
    const struct http_out_field fields[] = { { SPAN("a"), { value, sizeof(value) } },
                                             { SPAN("B"), { value, sizeof(value) } } };
    http_reply(bench->exchange, 200, fields, 2, SPAN("hello"));
    struct got head = count(bench, peer, HTTP2_HEADERS, 1);
    CHECK_INT(head.n, 1);
    CHECK_INT(head.payload.size, HTTP2_FRAME_MAX);
    CHECK(!(head.flags & HTTP2_END_HEADERS));
    struct got more = count(bench, peer, HTTP2_CONTINUATION, 1);
    CHECK_INT(more.n, 2);
    CHECK(more.flags & HTTP2_END_HEADERS);
    CHECK(more.payload.size > 2 * sizeof(value) - 2 * HTTP2_FRAME_MAX);
    CHECK(count(bench, peer, HTTP2_DATA, 1).flags & HTTP2_END_STREAM);
    peer_close(peer);
    bench_free(bench);
}

TEST(streams_are_found_by_their_ids)
{
    static struct http2_stream made[1000];
    struct http2_streams streams = { 0 };
    uint32_t random = 1;
    http2_streams_init(&streams);
    for (uint32_t n = 0; n < 20000; n++) {
        random = random * 1103515245 + 12345;
        struct http2_stream *stream = &made[(random >> 8) % 1000];
        if (stream->is_open) {
            CHECK(http2_streams_find(&streams, stream->id) == stream);
            http2_streams_remove(&streams, stream);
            stream->is_open = false;
            CHECK(!http2_streams_find(&streams, stream->id));
        } else {
            stream->id = 2 * n + 1;
            stream->is_open = true;
            http2_streams_add(&streams, stream);
        }
    }
    for (unsigned i = 0; i < 1000; i++)
        CHECK((http2_streams_find(&streams, made[i].id) == &made[i]) == made[i].is_open);
    http2_streams_fini(&streams);
}

/* So many requests on a connection, from the first stream on. */
static int64_t ask_many(struct bench *bench, struct peer *peer, unsigned n)
{
    for (uint32_t id = 1; id < 2 * n; id += 2) {
        ask(peer, id, "GET", "/later", true);
        if (id % 64 == 1)
            settle(bench->loop);
    }
    return code_of(count(bench, peer, HTTP2_GOAWAY, 0));
}

TEST(more_streams_than_allowed_are_refused_and_then_an_offence)
{
    struct http_settings settings = http_settings_default;
    settings.http2.max_streams = 4;
    struct bench *bench = bench_new(&settings);
    struct peer *peer = begin(bench);
    CHECK_INT(ask_many(bench, peer, 6), NONE); /* it may not know */
    CHECK_INT(code_of(count(bench, peer, HTTP2_RST_STREAM, 7)), NONE);
    CHECK_INT(code_of(count(bench, peer, HTTP2_RST_STREAM, 9)), HTTP2_REFUSED_STREAM);
    CHECK_INT(code_of(count(bench, peer, HTTP2_RST_STREAM, 11)), HTTP2_REFUSED_STREAM);
    send_frame(peer, HTTP2_SETTINGS, HTTP2_ACK, 0, SPAN_NULL);
    ask(peer, 13, "GET", "/later", true);
    CHECK_INT(code_of(count(bench, peer, HTTP2_GOAWAY, 0)), HTTP2_PROTOCOL_ERROR);
    peer_close(peer);
    settle(bench->loop);

    peer = begin(bench);
    CHECK_INT(ask_many(bench, peer, 4 + settings.http2.own_resets.burst + 1),
              HTTP2_ENHANCE_YOUR_CALM);
    peer_close(peer);
    bench_free(bench);
}

TEST(a_place_is_free_when_both_have_ended_it)
{
    struct http_settings settings = http_settings_default;
    settings.http2.max_streams = 1;
    struct bench *bench = bench_new(&settings);
    struct peer *peer = begin(bench);
    send_frame(peer, HTTP2_SETTINGS, HTTP2_ACK, 0, SPAN_NULL);
    for (uint32_t id = 1; id < 200; id += 2) {
        ask(peer, id, "POST", "/collect", false);
        send_frame(peer, HTTP2_DATA, HTTP2_END_STREAM, id, SPAN("a"));
        CHECK_INT(count(bench, peer, HTTP2_DATA, id).n, 1);
    }
    CHECK_INT(code_of(count(bench, peer, HTTP2_GOAWAY, 0)), NONE);
    peer_close(peer);
    bench_free(bench);
}
