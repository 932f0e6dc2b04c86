#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * WebSocket (RFC 6455), as far as one needs to know it who passes it on: the handshake, where
 * frames begin, and control frames of one's own. Payloads are nobody's business but the two ends'.
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define WEBSOCKET_KEY_SIZE 24u    /* of Sec-WebSocket-Key: 16 bytes in base64 */
#define WEBSOCKET_ACCEPT_SIZE 28u /* of Sec-WebSocket-Accept */
#define WEBSOCKET_HEAD_MAX 14u
#define WEBSOCKET_CONTROL_MAX (WEBSOCKET_HEAD_MAX + 125u)

/* Status codes of Close (section 7.4.1). */
#define WEBSOCKET_GOING_AWAY 1001u

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* Whether it is 16 bytes in base64, as section 4.1 has it. */
bool websocket_key_is_valid(struct span key);

/* What the server has to answer to the key (section 4.2.2, 5.4). */
void websocket_accept(struct span key, char ret_accept[WEBSOCKET_ACCEPT_SIZE]);

/* Goes along the frames of one direction. Zero is the start of a connection. */
struct websocket_walk {
    uint64_t left;  /* of the frame's payload */
    uint8_t n_head; /* bytes of its head so far, 0 between frames */
    bool is_in_payload;
    uint8_t head[WEBSOCKET_HEAD_MAX];
};

/* How many of the bytes belong to the frame that they are in, or that begins with them: at most to
 * its end, so all of them, or up to where the next frame begins. */
size_t websocket_walk(struct websocket_walk *walk, struct span bytes);

/* Nothing of a frame has come yet: another may be put in here. */
static inline bool websocket_is_between(const struct websocket_walk *walk)
{
    return walk->n_head == 0;
}

/* Of the frame that the walk is in, or was in last: valid once its first byte has come. */
static inline enum websocket_opcode websocket_opcode(const struct websocket_walk *walk)
{
    return (enum websocket_opcode)(walk->head[0] & 15);
}

static inline bool websocket_is_control(enum websocket_opcode opcode)
{
    return opcode >= WEBSOCKET_CLOSE;
}

/* Writes a control frame and returns its size. The payload has 125 bytes at most; `mask` is four
 * unpredictable bytes from a client, NULL from a server (section 5.3). */
size_t websocket_put_control(char ret_frame[WEBSOCKET_CONTROL_MAX], enum websocket_opcode opcode,
                             struct span payload, const uint8_t mask[4]);
