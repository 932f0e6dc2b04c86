#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * c-ares on a loop: one name, one answer. Private to the resolver, which keeps answers and shares
 * them.
 *
 * Owns:     the channel of c-ares and its sockets; a new one is made when resolv.conf has changed.
 * Borrows:  the loop, and queries until they end.
 * Threads:  the loop's.
 */

#include "io/resolver.h"

struct dns;

struct dns_query {
    /* May come from inside dns_ask(). Starts no other query. `addresses` have no port and are
     * borrowed; the lifetime is what the servers say, 0 of what is in the hosts file. */
    void (*on_answered)(struct dns_query *query, enum resolver_answer answer,
                        const struct address *addresses, unsigned n_addresses, nsec lifetime);
    /* The channel was given up for a new one: nothing is known, and it may be asked again. */
    void (*on_dropped)(struct dns_query *query);
    struct dns *dns;
};

struct dns *dns_new(struct loop *loop, const struct resolver_settings *settings);

/* Queries under way are over without a callback. */
struct dns *dns_free(struct dns *dns);

/* Takes a changed resolv.conf up. Not from inside a callback. */
void dns_refresh(struct dns *dns);

/* Not from inside a callback. The query stays until it has ended: there is no cancelling one. */
void dns_ask(struct dns *dns, struct dns_query *query, const char *name);
