/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/grpc.h"

#include "check.h"

TEST(content_types)
{
    static const struct {
        const char *type;
        enum grpc_kind kind;
        const char *codec;
    } rows[] = {
        { "application/grpc", GRPC_PLAIN, "" },
        { "application/grpc+proto", GRPC_PLAIN, "+proto" },
        { "Application/gRPC+json; charset=utf-8", GRPC_PLAIN, "+json" },
        { "application/grpc;x=y", GRPC_PLAIN, "" },
        { "application/grpc-web", GRPC_WEB, "" },
        { "application/grpc-web+proto", GRPC_WEB, "+proto" },
        { "application/grpc-web-text", GRPC_WEB_TEXT, "" },
        { "application/grpc-web-text+proto ; a=b+c", GRPC_WEB_TEXT, "+proto" },
        { "application/grpcx", GRPC_NONE, "" },
        { "application/grpc-websocket", GRPC_NONE, "" },
        { "application/json", GRPC_NONE, "" },
        { "application/grp", GRPC_NONE, "" },
        { "", GRPC_NONE, "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT(grpc_kind_of(span_of(rows[i].type)), rows[i].kind);
        if (rows[i].kind)
            CHECK(span_is(grpc_codec_of(span_of(rows[i].type)), rows[i].codec));
    }
    CHECK_INT(grpc_kind_of(SPAN_NULL), GRPC_NONE);
}

TEST(statuses)
{
    CHECK_INT(grpc_status_parse(SPAN("0")), GRPC_OK);
    CHECK_INT(grpc_status_parse(SPAN("16")), GRPC_UNAUTHENTICATED);
    CHECK_INT(grpc_status_parse(SPAN("17")), GRPC_UNKNOWN);
    CHECK_INT(grpc_status_parse(SPAN("")), GRPC_UNKNOWN);
    CHECK_INT(grpc_status_parse(SPAN("OK")), GRPC_UNKNOWN);
    CHECK_INT(grpc_status_of_http(503), GRPC_UNAVAILABLE);
    CHECK_INT(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
    CHECK_INT(grpc_status_of_http(418), GRPC_UNKNOWN);
    CHECK_INT(grpc_status_of_reset(8), GRPC_CANCELLED);
    CHECK_INT(grpc_status_of_reset(7), GRPC_UNAVAILABLE);
    CHECK_INT(grpc_status_of_reset(11), GRPC_RESOURCE_EXHAUSTED);
    CHECK_INT(grpc_status_of_reset(0), GRPC_INTERNAL);
    CHECK(grpc_is_server_fault(GRPC_UNAVAILABLE) && grpc_is_server_fault(GRPC_UNKNOWN));
    CHECK(!grpc_is_server_fault(GRPC_OK) && !grpc_is_server_fault(GRPC_NOT_FOUND));
}

TEST(times)
{
    static const struct {
        const char *text;
        nsec time;
    } good[] = {
        { "1n", 1 },
        { "99999999u", 99999999000 },
        { "100m", 100 * NSEC_PER_MSEC },
        { "5S", 5 * NSEC_PER_SEC },
        { "2M", 120 * NSEC_PER_SEC },
        { "3H", 10800 * NSEC_PER_SEC },
        { "0m", 0 },
        { "99999999H", NSEC_NEVER },
    };
    static const char *const bad[] = {
        "", "5", "S", "5s", "-1S", "1 S", "123456789n", "1.5S", "5SS"
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        nsec time = 7;
        CHECK(grpc_timeout_parse(span_of(good[i].text), &time));
        if (good[i].time != NSEC_NEVER)
            CHECK_INT(time, good[i].time);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        nsec time = 7;
        CHECK(!grpc_timeout_parse(span_of(bad[i]), &time));
        CHECK_INT(time, 7);
    }
    char memory[GRPC_TIMEOUT_MAX];
    CHECK(span_is(grpc_timeout_format(0, memory), "0n"));
    CHECK(span_is(grpc_timeout_format(99999999, memory), "99999999n"));
    CHECK(span_is(grpc_timeout_format(100000000, memory), "100000u"));
    CHECK(span_is(grpc_timeout_format(30 * NSEC_PER_SEC + 1, memory), "30000000u"));
    CHECK(span_is(grpc_timeout_format(86400 * NSEC_PER_SEC, memory), "86400000m"));
}

TEST(messages_are_percent_encoded)
{
    char memory[64];
    CHECK(span_is(grpc_message_encode(SPAN("no 50% of it"), memory), "no 50%25 of it"));
    CHECK(span_is(grpc_message_encode(SPAN(" a\r\n\xc3\xbc "), memory), "%20a%0D%0A%C3%BC%20"));
    CHECK_INT(grpc_message_encode(SPAN_NULL, memory).size, 0);
}

TEST(frames_are_followed_however_they_are_cut)
{
    static const char body[] = "\0\0\0\0\3abc\0\0\0\0\0\1\0\0\1\0";
    struct span whole = { body, sizeof(body) - 1 };
    for (size_t cut = 0; cut <= whole.size; cut++) {
        struct grpc_frames frames = { 0 };
        grpc_frames_feed(&frames, span_first(whole, cut));
        CHECK_INT(grpc_frames_are_whole(&frames), cut == 0 || cut == 8 || cut == 13);
        grpc_frames_feed(&frames, span_from(whole, cut));
        CHECK_INT(frames.left, 256);
    }
    char head[GRPC_FRAME_HEAD];
    grpc_frame_head(GRPC_FRAME_TRAILERS, 0x01020304, head);
    CHECK(memcmp(head, "\x80\1\2\3\4", sizeof(head)) == 0);
}

TEST(base64_is_encoded_in_pieces)
{
    static const char *const rows[][2] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "\xff\xfe", "//4=" }
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[16];
        size_t size = base64_encode(span_of(rows[i][0]), out);
        CHECK(span_is((struct span){ out, size }, rows[i][1]));
        CHECK_INT(size, BASE64_SIZE(strlen(rows[i][0])));
    }
}

TEST(base64_is_decoded_however_it_is_cut)
{
    struct span whole = SPAN("Zm9vZg==Zm8=Zm9v"); /* foo f fo foo, each with its padding */
    for (size_t cut = 0; cut <= whole.size; cut++) {
        struct base64_in in = { 0 };
        char out[16];
        size_t first = 0, second = 0;
        CHECK(base64_decode(&in, span_first(whole, cut), out, &first));
        CHECK(base64_decode(&in, span_from(whole, cut), out + first, &second));
        CHECK(base64_is_whole(&in));
        CHECK(span_is((struct span){ out, first + second }, "fooffofoo"));
    }
    static const char *const bad[] = { "Zm9v=", "Z===", "====", "Zg=a",
                                       "Zh==",  "Zm9=", "Zm 9", "Z-9v" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct base64_in in = { 0 };
        char out[16];
        size_t size;
        CHECK(!base64_decode(&in, span_of(bad[i]), out, &size));
    }
    struct base64_in in = { 0 };
    char out[16];
    size_t size;
    CHECK(base64_decode(&in, SPAN("Zm9vZg"), out, &size));
    CHECK(!base64_is_whole(&in));
}
