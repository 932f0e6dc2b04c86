/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the backends share: a listener on loopback and one loop for all of its connections.
 */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

#include <stdint.h>

struct serve_ops {
    void *(*open)(int fd);              /* returns the connection; the descriptor does not block */
    void (*on_ready)(void *connection); /* an edge: use all there is. Closing frees it. */
};

_Noreturn void fail(const char *what);

/* Prints "port N", a free one where `port` is 0, and serves until the input ends; returns 0. */
int serve(uint16_t port, const struct serve_ops *ops);

#endif
