#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The bytes of HTTP/2's frames, and the numbers of its registries (RFC 9113 sections 4, 6, 7, 11).
 *
 *   +---- length 24 ----+ type 8 + flags 8 + stream 31 + payload ...
 *
 * Threads: none of its own. Cost: a few instructions.
 */

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/span.h"

#define HTTP2_FRAME_HEAD 9u
#define HTTP2_FRAME_MAX 16384u /* of a payload: what every peer takes, and all that we take */
#define HTTP2_WINDOW_MAX 0x7fffffff
#define HTTP2_WINDOW_FIRST 65535
#define HTTP2_ID_MAX 0x7fffffffu
#define HTTP2_PREFACE_SIZE 24u
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum http2_frame_type {
    HTTP2_DATA,
    HTTP2_HEADERS,
    HTTP2_PRIORITY,
    HTTP2_RST_STREAM,
    HTTP2_SETTINGS,
    HTTP2_PUSH_PROMISE,
    HTTP2_PING,
    HTTP2_GOAWAY,
    HTTP2_WINDOW_UPDATE,
    HTTP2_CONTINUATION,
};

enum http2_flag {
    HTTP2_ACK = 1, /* of SETTINGS and PING */
    HTTP2_END_STREAM = 1,
    HTTP2_END_HEADERS = 4,
    HTTP2_PADDED = 8,
    HTTP2_HAS_PRIORITY = 0x20,
};

enum http2_setting {
    HTTP2_HEADER_TABLE_SIZE = 1,
    HTTP2_ENABLE_PUSH,
    HTTP2_MAX_CONCURRENT_STREAMS,
    HTTP2_INITIAL_WINDOW_SIZE,
    HTTP2_MAX_FRAME_SIZE,
    HTTP2_MAX_HEADER_LIST_SIZE,
    HTTP2_ENABLE_CONNECT_PROTOCOL = 8, /* RFC 8441 */
    HTTP2_NO_RFC7540_PRIORITIES,       /* RFC 9218 */
};

enum http2_error {
    HTTP2_NO_ERROR,
    HTTP2_PROTOCOL_ERROR,
    HTTP2_INTERNAL_ERROR,
    HTTP2_FLOW_CONTROL_ERROR,
    HTTP2_SETTINGS_TIMEOUT,
    HTTP2_STREAM_CLOSED,
    HTTP2_FRAME_SIZE_ERROR,
    HTTP2_REFUSED_STREAM,
    HTTP2_CANCEL,
    HTTP2_COMPRESSION_ERROR,
    HTTP2_CONNECT_ERROR,
    HTTP2_ENHANCE_YOUR_CALM,
    HTTP2_INADEQUATE_SECURITY,
    HTTP2_HTTP_1_1_REQUIRED,
};

/* A frame's head; its payload follows. */
struct http2_frame {
    uint32_t size, stream_id;
    uint8_t type, flags;
};

static inline uint32_t http2_number(const char *at)
{
    uint32_t number;
    memcpy(&number, at, 4);
    return __builtin_bswap32(number);
}

static inline char *http2_put_number(char *at, uint32_t number)
{
    number = __builtin_bswap32(number);
    memcpy(at, &number, 4);
    return at + 4;
}

/* `at` has HTTP2_FRAME_HEAD bytes. */
static inline struct http2_frame http2_frame_decode(const char *at)
{
    return (struct http2_frame){
        .size = http2_number(at) >> 8,
        .type = (uint8_t)at[3],
        .flags = (uint8_t)at[4],
        .stream_id = http2_number(at + 5) & HTTP2_ID_MAX,
    };
}

/* Returns where the payload begins. */
static inline char *http2_frame_encode(char *at, struct http2_frame frame)
{
    http2_put_number(at, frame.size << 8 | frame.type);
    at[4] = (char)frame.flags;
    return http2_put_number(at + 5, frame.stream_id);
}
