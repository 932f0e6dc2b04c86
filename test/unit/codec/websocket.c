/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/websocket.h"

#include <string.h>

#include "check.h"

/* The example of RFC 6455 section 1.3. */
TEST(the_answer_to_a_key)
{
    char accept[WEBSOCKET_ACCEPT_SIZE];
    websocket_accept(SPAN("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    CHECK(memcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof(accept)) == 0);
}

TEST(keys)
{
    CHECK(websocket_key_is_valid(SPAN("dGhlIHNhbXBsZSBub25jZQ==")));
    CHECK(websocket_key_is_valid(SPAN("AAAAAAAAAAAAAAAAAAAAAA==")));
    static const struct span others[] = {
        SPAN(""),
        SPAN("dGhlIHNhbXBsZSBub25jZQ="),
        SPAN("dGhlIHNhbXBsZSBub25jZQ==="),
        SPAN("dGhlIHNhbXBsZSBub25jZR=="), /* its last byte has bits too many */
        SPAN("dGhlIHNhbXBsZSBub25jZQ=a"),
        SPAN("dGhlIHNhbXBsZSBub25j-Q=="),
        SPAN("dGhlIHNhbXBsZSBub25j ZQ="),
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK(!websocket_key_is_valid(others[i]));
}

/* One frame of each kind of size, masked and not, and one behind each. */
TEST(frames_end_where_they_end)
{
    static const struct {
        struct span head;
        size_t payload;
        enum websocket_opcode opcode;
    } rows[] = {
        { SPAN("\x81\x05"), 5, WEBSOCKET_TEXT },
        { SPAN("\x82\x00"), 0, WEBSOCKET_BINARY },
        { SPAN("\x02\x85\1\2\3\4"), 5, WEBSOCKET_BINARY },
        { SPAN("\x80\x80\1\2\3\4"), 0, WEBSOCKET_CONTINUATION },
        { SPAN("\x81\x7e\x01\x00"), 256, WEBSOCKET_TEXT },
        { SPAN("\x81\xfe\x00\x7e\1\2\3\4"), 126, WEBSOCKET_TEXT },
        { SPAN("\x82\x7f\0\0\0\0\0\0\x02\x01"), 513, WEBSOCKET_BINARY },
        { SPAN("\x82\xff\0\0\0\0\0\0\0\x03\1\2\3\4"), 3, WEBSOCKET_BINARY },
        { SPAN("\x88\x02"), 2, WEBSOCKET_CLOSE },
        { SPAN("\x89\x80\1\2\3\4"), 0, WEBSOCKET_PING },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char bytes[600];
        size_t size = rows[i].head.size + rows[i].payload;
        memset(bytes, 0x77, sizeof(bytes));
        memcpy(bytes, rows[i].head.data, rows[i].head.size);

        struct websocket_walk walk = { 0 };
        CHECK_INT(websocket_walk(&walk, (struct span){ bytes, sizeof(bytes) }), size);
        CHECK(websocket_is_between(&walk));
        CHECK_INT(websocket_opcode(&walk), rows[i].opcode);

        struct websocket_walk slow = { 0 };
        for (size_t k = 0; k < size; k++) {
            CHECK(websocket_is_between(&slow) == (k == 0));
            CHECK_INT(websocket_walk(&slow, (struct span){ bytes + k, 1 }), 1);
        }
        CHECK(websocket_is_between(&slow));
    }
}

TEST(control_frames_of_our_own)
{
    char frame[WEBSOCKET_CONTROL_MAX];
    size_t size = websocket_put_control(frame, WEBSOCKET_CLOSE, SPAN("\x03\xe9"), NULL);
    CHECK(span_equals((struct span){ frame, size }, SPAN("\x88\x02\x03\xe9")));
    size = websocket_put_control(frame, WEBSOCKET_CLOSE, SPAN("\x03\xe9"),
                                 (const uint8_t[]){ 1, 2, 3, 4 });
    CHECK(span_equals((struct span){ frame, size }, SPAN("\x88\x82\1\2\3\4\x02\xeb")));
    size = websocket_put_control(frame, WEBSOCKET_PING, SPAN_NULL, NULL);
    CHECK(span_equals((struct span){ frame, size }, SPAN("\x89\0")));
}
