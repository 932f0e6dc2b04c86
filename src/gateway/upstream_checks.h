#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Health checks of static upstreams. The addresses of routes that say how are asked on the control
 * loop, once for all workers; one that fails gets no new requests from the next view on.
 *
 *   waiting ──first check──► passing ◄──passes / failures in a row──► failing
 *
 * Until it was asked an address is believed. When fewer of an upstream's addresses pass than the
 * panic threshold says, they are not trusted to carry all of it, nor are the checks: then each of
 * its addresses takes requests, as without checks.
 *
 * What is known of an address outlives a reload that asks the same of it.
 *
 * Owns:     its calls and their connections; a reference to the routes. Borrows: the loop.
 * Threads:  the control loop.
 */

#include <stdbool.h>

#include "gateway/gateway.h"
#include "gateway/route.h"
#include "io/loop.h"

struct upstream_checks;

/* `on_change` is called at the end of a turn in which addresses came or went. */
struct upstream_checks *upstream_checks_new(struct loop *loop, void (*on_change)(void *owner),
                                            void *owner);
struct upstream_checks *upstream_checks_free(struct upstream_checks *checks);

struct upstream_checks_settings {
    unsigned panic_percent;
    const struct tls_client *tls; /* of checks over TLS of upstreams in plain text; borrowed */
};

/* Asks what these routes say from now on. */
void upstream_checks_set(struct upstream_checks *checks, struct route_table *routes,
                         const struct upstream_checks_settings *settings);

/* Nobody is asked any more; what is known stays. */
void upstream_checks_stop(struct upstream_checks *checks);

/* By static endpoint of the routes, whether it gets no requests; NULL when all get some. The
 * caller's. */
bool *upstream_checks_out(struct upstream_checks *checks);

/* For people; by number of the upstream and position in it. */
unsigned upstream_checks_n(const struct upstream_checks *checks);
struct gateway_upstream upstream_checks_upstream(const struct upstream_checks *checks,
                                                 unsigned upstream);
struct gateway_target upstream_checks_target(const struct upstream_checks *checks,
                                             unsigned upstream, unsigned position);

/* How many addresses fail, and how many upstreams are in panic. */
void upstream_checks_count(const struct upstream_checks *checks, unsigned *ret_failing,
                           unsigned *ret_panics);
