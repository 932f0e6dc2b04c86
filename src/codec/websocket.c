/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/websocket.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* section 1.3 */
#define FINAL 0x80u
#define MASKED 0x80u
#define SIZE_16 126u
#define SIZE_64 127u

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

bool websocket_key_is_valid(struct span key)
{
    const size_t n = WEBSOCKET_KEY_SIZE - 2;
    if (key.size != WEBSOCKET_KEY_SIZE || memcmp(key.data + n, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_base64(key.data[i]))
            return false;
    }
    char last = key.data[n - 1]; /* four of its bits are zero */
    return last == 'A' || last == 'Q' || last == 'g' || last == 'w';
}

void websocket_accept(struct span key, char ret_accept[WEBSOCKET_ACCEPT_SIZE])
{
    char text[WEBSOCKET_KEY_SIZE + sizeof(GUID)];
    uint8_t digest[SHA1_SIZE];
    char accept[WEBSOCKET_ACCEPT_SIZE + 1];
    assert(key.size == WEBSOCKET_KEY_SIZE);
    memcpy(text, key.data, key.size);
    memcpy(text + key.size, GUID, sizeof(GUID));
    hash_sha1((struct span){ text, sizeof(text) - 1 }, digest);
    hash_base64(digest, sizeof(digest), accept);
    memcpy(ret_accept, accept, WEBSOCKET_ACCEPT_SIZE);
}

/* Of the whole head, as far as its first two bytes tell. */
static size_t head_size(const struct websocket_walk *walk)
{
    if (walk->n_head < 2)
        return 2;
    unsigned size = walk->head[1] & 127u;
    size_t more = size == SIZE_16 ? 2 : size == SIZE_64 ? 8 : 0;
    return 2 + more + (walk->head[1] & MASKED ? 4 : 0);
}

static uint64_t payload_size(const struct websocket_walk *walk)
{
    unsigned size = walk->head[1] & 127u;
    unsigned n = size == SIZE_16 ? 2 : size == SIZE_64 ? 8 : 0;
    uint64_t value = n ? 0 : size;
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | walk->head[2 + i];
    return value;
}

static size_t walk_head(struct websocket_walk *walk, struct span bytes)
{
    size_t used = 0;
    while (used < bytes.size && walk->n_head < head_size(walk))
        walk->head[walk->n_head++] = (uint8_t)bytes.data[used++];
    if (walk->n_head == head_size(walk)) {
        walk->is_in_payload = true;
        walk->left = payload_size(walk);
    }
    return used;
}

size_t websocket_walk(struct websocket_walk *walk, struct span bytes)
{
    size_t used = walk->is_in_payload ? 0 : walk_head(walk, bytes);
    if (!walk->is_in_payload)
        return used;
    size_t n = bytes.size - used;
    if (walk->left < n)
        n = (size_t)walk->left;
    walk->left -= n;
    if (walk->left == 0) {
        walk->is_in_payload = false;
        walk->n_head = 0;
    }
    return used + n;
}

size_t websocket_put_control(char ret_frame[WEBSOCKET_CONTROL_MAX], enum websocket_opcode opcode,
                             struct span payload, const uint8_t mask[4])
{
    size_t size = 2;
    assert(payload.size <= 125);
    ret_frame[0] = (char)(FINAL | opcode);
    ret_frame[1] = (char)(payload.size | (mask ? MASKED : 0));
    if (mask) {
        memcpy(ret_frame + size, mask, 4);
        size += 4;
    }
    for (size_t i = 0; i < payload.size; i++)
        ret_frame[size + i] = (char)(payload.data[i] ^ (mask ? mask[i % 4] : 0));
    return size + payload.size;
}
