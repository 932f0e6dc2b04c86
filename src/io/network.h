#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Networks of addresses, "10.0.0.0/8" or "fd00::/8", one or more with commas between them.
 *
 * Threads: any.
 */

#include <stdbool.h>

#include "base/span.h"
#include "io/socket.h"

/* An empty list is one. */
bool networks_are_valid(struct span list);

/* Whether the address, of IPv4 also where it is mapped into IPv6, is in one of them; a unix socket
 * is in none. */
bool networks_have(struct span list, const struct address *address);

/* Whether this machine has the address: loopback, a unix socket, or one of its interfaces. */
bool address_is_here(const struct address *address);

/* Whatever their ports; false of unix sockets, which are on none. */
bool address_is_same_host(const struct address *a, const struct address *b);
