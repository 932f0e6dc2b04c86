#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A server's connection of TLS 1.3 behind its handshake, without the library's object: records are
 * opened from where they were received, and sealed to where they leave from.
 *
 * What is due to the protocol is done here: alerts, updates of keys in both directions, limits.
 * Nothing that a client may say behind a handshake is more than that, so whatever else comes ends
 * the connection. Private to io/tls*.c.
 *
 * Owns:     the stream's keys, what came of a record so far.
 * Threads:  the stream's.
 * Cost:     2 kB for each connection.
 */

#include "io/tls_stream.h"

/* Takes over from the library, whose object is freed then; false leaves everything to it. The
 * handshake is done, and nothing has been read behind it. */
bool tls_traffic_begin(struct tls_stream *stream);
void tls_traffic_end(struct tls_stream *stream);

/* As tls_stream_open(), tls_stream_send() and tls_stream_close(); what they write is gathered. */
enum tls_input tls_traffic_open(struct tls_stream *stream, struct span records, char *to,
                                size_t capacity, size_t *ret_size);
void tls_traffic_send(struct tls_stream *stream, const struct span *parts, unsigned n_parts);
void tls_traffic_close(struct tls_stream *stream);
