/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP/2 connections of the bench (RFC 9113, prior knowledge), of a client or a server.
 *
 * Frames are cut and made by hand and only field blocks pass through nghttp2's HPACK, both ways
 * with its table of 4,096 bytes: so an end of a connection costs a fraction of what a session of
 * nghttp2 does, and no proxy is measured by a load that is slower than it is. What is sent is the
 * same each time, and so is its encoding once its fields are in the table; a message is encoded
 * twice on a connection and copied from then on.
 *
 * Padding, CONTINUATION and pushes are refused as errors: no proxy of the bench sends any.
 */
#ifndef BENCH_H2_H
#define BENCH_H2_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_WINDOW (1u << 20) /* of each stream, for what the other side sends */

struct h2;

struct h2_ops {
    void (*on_field)(struct h2 *h2, uint32_t stream, const nghttp2_nv *field);
    void (*on_fields_end)(struct h2 *h2, uint32_t stream, bool is_last);
    void (*on_data)(struct h2 *h2, uint32_t stream, const uint8_t *bytes, size_t size,
                    bool is_last);
    void (*on_reset)(struct h2 *h2, uint32_t stream, uint32_t code);
    /* The other side's settings came, or it takes more. */
    void (*on_room)(struct h2 *h2);
};

#define H2_FIELDS_MAX 32
struct h2_fields {
    size_t n;
    nghttp2_nv fields[H2_FIELDS_MAX]; /* borrows the text */
};

/* What is sent again and again. */
struct h2_message {
    struct h2_fields head, trailers; /* without trailers n is 0 */
    const uint8_t *body;             /* NULL: none */
    size_t body_size;
};

/* The encoding of a message on one connection. */
struct h2_frames {
    uint8_t *bytes;
    size_t size, starts[3];
    unsigned n_starts, n_uses;
};

struct h2 {
    int fd;
    bool is_server, has_settings;
    const char *error; /* why it is broken; NULL while it is not */
    const struct h2_ops *ops;
    nghttp2_hd_inflater *inflater;
    nghttp2_hd_deflater *deflater;
    uint8_t *in; /* a part of a frame that waits for its rest */
    size_t n_in, n_preface;
    uint8_t *out;
    size_t n_out, n_sent, out_size;
    int64_t window;                        /* DATA that the other side takes on the connection */
    uint32_t stream_window, n_streams_max; /* by its settings */
    uint64_t n_taken;                      /* DATA that came since the last WINDOW_UPDATE */
    struct h2_frames frames;
};

/* Reads lines "NAME: VALUE\r\n" up to an empty one and returns the text behind that; NULL when they
 * are not so. */
char *h2_read_fields(char *text, size_t size, struct h2_fields *ret_fields);

void h2_open(struct h2 *h2, int fd, bool is_server, const struct h2_ops *ops);
void h2_close(struct h2 *h2);

/* Takes what has come; false when the connection is over, and `error` says why. */
bool h2_receive(struct h2 *h2);
/* Sends what is ready, as much as the socket takes; false when the connection is over. */
bool h2_flush(struct h2 *h2);

/* Puts the one message of this connection on a stream. False when the window does not let it go:
 * on_room tells. */
bool h2_put(struct h2 *h2, uint32_t stream, const struct h2_message *message);
void h2_put_reset(struct h2 *h2, uint32_t stream, uint32_t code);

#endif
