/* SPDX-License-Identifier: Apache-2.0 */
#include "h2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_HEAD 9u
#define FRAME_MAX 16384u
#define RECEIVE_MAX (256u << 10)
#define TABLE_SIZE 4096u
/* More than is ever under way, so that the other side waits for no WINDOW_UPDATE of ours. */
#define WINDOW_MORE (1u << 30)

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_SIZE (sizeof(PREFACE) - 1)

struct frame {
    uint8_t type, flags;
    uint32_t stream, size;
    const uint8_t *bytes;
};

static uint32_t read_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

/* --- what is sent --- */

static uint8_t *reserve(struct h2 *h2, size_t size)
{
    if (h2->n_out + size > h2->out_size) {
        h2->out_size = 2 * (h2->n_out + size);
        h2->out = realloc(h2->out, h2->out_size);
        if (!h2->out)
            abort();
    }
    uint8_t *room = h2->out + h2->n_out;
    h2->n_out += size;
    return room;
}

static void write_head(uint8_t *head, const struct frame *frame)
{
    write_32(head, frame->size << 8 | frame->type);
    head[4] = frame->flags;
    write_32(head + 5, frame->stream);
}

static void put_frame(struct h2 *h2, const struct frame *frame)
{
    uint8_t *room = reserve(h2, FRAME_HEAD + frame->size);
    write_head(room, frame);
    if (frame->size)
        memcpy(room + FRAME_HEAD, frame->bytes, frame->size);
}

static void put_number(struct h2 *h2, uint8_t type, uint32_t stream, uint32_t number)
{
    uint8_t bytes[4];
    write_32(bytes, number);
    put_frame(h2, &(struct frame){ type, 0, stream, sizeof(bytes), bytes });
}

void h2_put_reset(struct h2 *h2, uint32_t stream, uint32_t code)
{
    put_number(h2, NGHTTP2_RST_STREAM, stream, code);
}

bool h2_flush(struct h2 *h2)
{
    while (h2->n_sent < h2->n_out) {
        ssize_t n =
            send(h2->fd, h2->out + h2->n_sent, h2->n_out - h2->n_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            h2->error = "a connection broke while it was sent to";
            return false;
        }
        h2->n_sent += (size_t)n;
    }
    h2->n_out = h2->n_sent = 0;
    return true;
}

/* --- messages --- */

static bool add_field(struct h2_fields *fields, char *line, size_t size)
{
    char *colon = memchr(line + 1, ':', size - 1); /* ":path" begins with one */
    if (!colon || colon + 2 > line + size || fields->n == H2_FIELDS_MAX)
        return false;
    fields->fields[fields->n++] = (nghttp2_nv){
        .name = (uint8_t *)line,
        .namelen = (size_t)(colon - line),
        .value = (uint8_t *)colon + 2,
        .valuelen = (size_t)(line + size - (colon + 2)),
    };
    return true;
}

char *h2_read_fields(char *text, size_t size, struct h2_fields *ret_fields)
{
    char *line = text, *end = text + size, *after;
    struct h2_fields fields = { 0 };
    while ((after = memmem(line, (size_t)(end - line), "\r\n", 2)) && after > line) {
        if (!add_field(&fields, line, (size_t)(after - line)))
            return NULL;
        line = after + 2;
    }
    *ret_fields = fields;
    return after ? after + 2 : NULL;
}

static void add_frame(struct h2_frames *frames, const struct frame *frame)
{
    size_t size = FRAME_HEAD + frame->size;
    frames->bytes = realloc(frames->bytes, frames->size + size);
    if (!frames->bytes)
        abort();
    frames->starts[frames->n_starts++] = frames->size;
    write_head(frames->bytes + frames->size, frame);
    memcpy(frames->bytes + frames->size + FRAME_HEAD, frame->bytes, frame->size);
    frames->size += size;
}

static void add_fields(struct h2 *h2, const struct h2_fields *fields, bool is_last)
{
    uint8_t block[FRAME_MAX];
    ssize_t size =
        nghttp2_hd_deflate_hd(h2->deflater, block, sizeof(block), fields->fields, fields->n);
    if (size < 0) {
        h2->error = "fields cannot be encoded";
        return;
    }
    uint8_t flags = NGHTTP2_FLAG_END_HEADERS;
    if (is_last)
        flags |= NGHTTP2_FLAG_END_STREAM;
    add_frame(&h2->frames, &(struct frame){ NGHTTP2_HEADERS, flags, 0, (uint32_t)size, block });
}

/* The first encoding fills the table, the second finds all in it and stays right. */
static void encode(struct h2 *h2, const struct h2_message *message)
{
    struct h2_frames *frames = &h2->frames;
    frames->size = 0;
    frames->n_starts = 0;
    frames->n_uses++;
    add_fields(h2, &message->head, !message->body);
    if (message->body) {
        uint8_t flags = message->trailers.n ? 0 : NGHTTP2_FLAG_END_STREAM;
        add_frame(frames, &(struct frame){ NGHTTP2_DATA, flags, 0, (uint32_t)message->body_size,
                                           message->body });
    }
    if (message->trailers.n)
        add_fields(h2, &message->trailers, true);
}

bool h2_put(struct h2 *h2, uint32_t stream, const struct h2_message *message)
{
    struct h2_frames *frames = &h2->frames;
    if (!h2->has_settings || h2->window < (int64_t)message->body_size)
        return false;
    if (h2->stream_window < message->body_size) {
        h2->error = "a stream's window is smaller than the message";
        return false;
    }
    h2->window -= (int64_t)message->body_size;
    if (frames->n_uses < 2)
        encode(h2, message);
    uint8_t *room = reserve(h2, frames->size);
    memcpy(room, frames->bytes, frames->size);
    for (unsigned i = 0; i < frames->n_starts; i++)
        write_32(room + frames->starts[i] + 5, stream);
    return true;
}

/* --- what comes --- */

static void take_fields(struct h2 *h2, const struct frame *frame)
{
    const uint8_t *at = frame->bytes;
    size_t left = frame->size;
    if (frame->flags & NGHTTP2_FLAG_PADDED || !(frame->flags & NGHTTP2_FLAG_END_HEADERS)) {
        h2->error = "padding or CONTINUATION";
        return;
    }
    if (frame->flags & NGHTTP2_FLAG_PRIORITY) {
        at += 5;
        left = left < 5 ? 0 : left - 5;
    }
    for (;;) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(h2->inflater, &field, &flags, at, left, 1);
        if (n < 0) {
            h2->error = "fields cannot be decoded";
            return;
        }
        at += n;
        left -= (size_t)n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            h2->ops->on_field(h2, frame->stream, &field);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(h2->inflater);
    h2->ops->on_fields_end(h2, frame->stream, frame->flags & NGHTTP2_FLAG_END_STREAM);
}

static void take_settings(struct h2 *h2, const struct frame *frame)
{
    if (frame->flags & NGHTTP2_FLAG_ACK)
        return;
    for (uint32_t at = 0; at + 6 <= frame->size; at += 6) {
        uint32_t value = read_32(frame->bytes + at + 2);
        switch (frame->bytes[at] << 8 | frame->bytes[at + 1]) {
        case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
            nghttp2_hd_deflate_change_table_size(h2->deflater, value);
            h2->frames.n_uses = 0;
            break;
        case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE: h2->stream_window = value; break;
        case NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS: h2->n_streams_max = value; break;
        default: break;
        }
    }
    h2->has_settings = true;
    put_frame(h2, &(struct frame){ NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, 0, NULL });
    h2->ops->on_room(h2);
}

static void take_data(struct h2 *h2, const struct frame *frame)
{
    if (frame->flags & NGHTTP2_FLAG_PADDED) {
        h2->error = "padding";
        return;
    }
    h2->n_taken += frame->size;
    if (h2->n_taken > WINDOW_MORE / 2) {
        put_number(h2, NGHTTP2_WINDOW_UPDATE, 0, (uint32_t)h2->n_taken);
        h2->n_taken = 0;
    }
    h2->ops->on_data(h2, frame->stream, frame->bytes, frame->size,
                     frame->flags & NGHTTP2_FLAG_END_STREAM);
}

static void take_frame(struct h2 *h2, const struct frame *frame)
{
    switch (frame->type) {
    case NGHTTP2_DATA: take_data(h2, frame); break;
    case NGHTTP2_HEADERS: take_fields(h2, frame); break;
    case NGHTTP2_SETTINGS: take_settings(h2, frame); break;
    case NGHTTP2_PING:
        if (!(frame->flags & NGHTTP2_FLAG_ACK))
            put_frame(h2, &(struct frame){ NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame->size,
                                           frame->bytes });
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (frame->stream == 0 && frame->size == 4) {
            h2->window += read_32(frame->bytes);
            h2->ops->on_room(h2);
        }
        break;
    case NGHTTP2_RST_STREAM:
        h2->ops->on_reset(h2, frame->stream, frame->size == 4 ? read_32(frame->bytes) : 0);
        break;
    case NGHTTP2_GOAWAY: h2->error = "GOAWAY"; break;
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_PUSH_PROMISE: h2->error = "CONTINUATION or PUSH_PROMISE"; break;
    default: break; /* PRIORITY, and what is not known */
    }
}

/* Takes the whole frames and returns how many bytes they have. */
static size_t take_frames(struct h2 *h2, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (!h2->error && size - at >= FRAME_HEAD) {
        const uint8_t *head = bytes + at;
        struct frame frame = { .type = head[3],
                               .flags = head[4],
                               .stream = read_32(head + 5) & INT32_MAX,
                               .size = read_32(head) >> 8,
                               .bytes = head + FRAME_HEAD };
        if (frame.size > FRAME_MAX) {
            h2->error = "a frame is too large";
            break;
        }
        if (size - at - FRAME_HEAD < frame.size)
            break;
        at += FRAME_HEAD + frame.size;
        take_frame(h2, &frame);
    }
    return at;
}

static size_t skip_preface(struct h2 *h2, const uint8_t *bytes, size_t size)
{
    size_t n = PREFACE_SIZE - h2->n_preface;
    n = n < size ? n : size;
    if (memcmp(bytes, PREFACE + h2->n_preface, n) != 0)
        h2->error = "no preface";
    h2->n_preface += n;
    return n;
}

static void take_bytes(struct h2 *h2, uint8_t *bytes, size_t size)
{
    size_t at = h2->is_server ? skip_preface(h2, bytes, size) : 0;
    at += take_frames(h2, bytes + at, size - at);
    h2->n_in = size - at;
    if (h2->n_in == 0)
        return;
    if (!h2->in && !(h2->in = malloc(FRAME_HEAD + FRAME_MAX)))
        abort();
    if (h2->n_in <= FRAME_HEAD + FRAME_MAX)
        memcpy(h2->in, bytes + at, h2->n_in);
}

bool h2_receive(struct h2 *h2)
{
    static uint8_t memory[FRAME_HEAD + FRAME_MAX + RECEIVE_MAX];
    while (!h2->error) {
        /* What waits for its rest comes in front of it. */
        uint8_t *room = memory + h2->n_in;
        if (h2->n_in)
            memcpy(memory, h2->in, h2->n_in);
        ssize_t n = recv(h2->fd, room, RECEIVE_MAX, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            h2->error = "a connection was closed";
            break;
        }
        take_bytes(h2, memory, h2->n_in + (size_t)n);
        if ((size_t)n < RECEIVE_MAX)
            break;
    }
    return !h2->error;
}

/* --- the connection --- */

void h2_open(struct h2 *h2, int fd, bool is_server, const struct h2_ops *ops)
{
    *h2 = (struct h2){ .fd = fd,
                       .is_server = is_server,
                       .ops = ops,
                       .window = NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE,
                       .stream_window = NGHTTP2_INITIAL_WINDOW_SIZE,
                       .n_streams_max = UINT32_MAX };
    if (nghttp2_hd_inflate_new(&h2->inflater) || nghttp2_hd_deflate_new(&h2->deflater, TABLE_SIZE))
        abort();
    if (!is_server)
        memcpy(reserve(h2, PREFACE_SIZE), PREFACE, PREFACE_SIZE);
    uint8_t settings[12] = { 0, NGHTTP2_SETTINGS_ENABLE_PUSH,        0, 0, 0, 0,
                             0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE };
    write_32(settings + 8, H2_WINDOW);
    uint32_t skipped = is_server ? 6 : 0; /* a server says nothing of pushes */
    put_frame(h2, &(struct frame){ NGHTTP2_SETTINGS, 0, 0, sizeof(settings) - skipped,
                                   settings + skipped });
    put_number(h2, NGHTTP2_WINDOW_UPDATE, 0, WINDOW_MORE);
}

void h2_close(struct h2 *h2)
{
    nghttp2_hd_inflate_del(h2->inflater);
    nghttp2_hd_deflate_del(h2->deflater);
    free(h2->in);
    free(h2->out);
    free(h2->frames.bytes);
    close(h2->fd);
}
