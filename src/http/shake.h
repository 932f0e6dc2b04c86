#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The handshake of TLS with an upstream, on a socket that has just been connected. Private to http.
 *
 * Threads: the pool's.
 */

#include "http/inlet.h"
#include "io/tls.h"

struct http_pool;
struct http_upstream;

enum shake_answer {
    SHAKE_DONE,
    SHAKE_MORE,   /* the upstream has not said all */
    SHAKE_FAILED, /* tls_stream_failure() may tell why */
};

/* Gives the inlet a stream of TLS, and says the first word. */
void shake_begin(struct inlet *inlet, struct http_pool *pool, const struct http_upstream *upstream,
                 int fd, enum tls_alpn alpn);

/* Goes on, as far as it goes; called for each event. What the upstream says behind its handshake is
 * kept in the inlet. Returns an enum shake_answer. */
int shake_on(struct inlet *inlet, struct http_pool *pool, int fd);

/* Why it failed, in a few words. */
const char *shake_failure(const struct inlet *inlet);
