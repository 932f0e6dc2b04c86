/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client's connection, plain or TLS, with the calls of a socket that does not block.
 *
 * TLS is 1.3 with X25519 and AES-128-GCM and nothing else on offer, so that all servers do the
 * same work, and no session is ever resumed. Certificates are not verified: the servers' are
 * made by the bench. Like a socket it is used with edge-triggered events; a receive that found
 * less than it had room for makes no further system call until link_wake().
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct link {
    int fd;
    bool is_drained;
    struct ssl_st *tls; /* NULL: plain */
};

/* Connected; `from` numbers the source address. The handshake is done with the first bytes. */
void link_open(struct link *link, unsigned from, bool is_tls);
void link_close(struct link *link);

/* The loop told of the connection. */
void link_wake(struct link *link);

/* Both answer as send() and recv() do: -1 and EAGAIN when there is nothing to do for now. */
ssize_t link_send(struct link *link, const void *bytes, size_t size);
ssize_t link_recv(struct link *link, void *memory, size_t size, bool is_skipped);

#endif
