#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * TLS of the client's connection, by OpenSSL: the server's certificate must be of a CA that is
 * trusted, and for the name that was called. Built without OpenSSL (-Dclient_tls=false) every
 * connection is refused, which the problem says.
 *
 * Owns:    the session and what the CA file gave. OpenSSL's memory is its own.
 * Borrows: the client's descriptor.
 * Threads: one at a time per client.
 */

#include <sys/types.h>

struct sarsen_client;
struct tls;

/* What a call waits for when it cannot go on; 0: it failed. */
typedef short tls_events;

/* One step of the handshake on the descriptor. 1: done; 0: `ret_events` must come first; negative:
 * SARSEN_ETLS, the client's problem says why, SARSEN_EBROKEN or SARSEN_ENOMEM. */
int tls_shake(struct sarsen_client *client, tls_events *ret_events);

/* As send(2) and recv(2); -1 with what must come first. Nothing raises SIGPIPE. */
ssize_t tls_send(struct tls *tls, const void *data, size_t size, tls_events *ret_events);
ssize_t tls_recv(struct tls *tls, void *memory, size_t size, tls_events *ret_events);

/* Whether a connection without a call under way has ended, or has something to say. */
int tls_is_stale(struct tls *tls);

/* Says goodbye to the server, as far as it takes it at once; before the descriptor is closed. */
void tls_close(struct tls *tls);
void tls_free(struct tls *tls);
