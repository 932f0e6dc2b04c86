#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The certificates of listeners, looked at twice a second: what was exchanged on the disk serves
 * within the second, and what cannot serve is told, in the log and in what
 * certificates_trouble() says, while the old one goes on.
 *
 * Owns:     the keys of tickets, a timer. Borrows: the servers, between _add and _remove.
 * Threads:  the control loop.
 */

#include "io/loop.h"
#include "io/tls.h"

struct certificates;

struct certificates *certificates_new(struct loop *loop);
struct certificates *certificates_free(struct certificates *certificates);

struct tls_tickets *certificates_tickets(struct certificates *certificates);

void certificates_add(struct certificates *certificates, struct tls_server *server);
void certificates_remove(struct certificates *certificates, const struct tls_server *server);

/* Why a certificate that lies there does not serve; NULL when all do. */
const char *certificates_trouble(const struct certificates *certificates);
