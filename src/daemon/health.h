#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asks instances whether they work, as their registration says: a call of grpc.health.v1 in each
 * interval. When that changes what is known of an instance, it becomes a transition on the log, and
 * everything follows from there.
 *
 *   wait ──interval──► asking ──answer, fault, timeout──► wait
 *                                     └► enough of them in a row: registry
 *
 * Checks start at different moments within their first interval, so that a thousand instances are
 * not asked at once.
 *
 * Owns:     its calls and their connections. Borrows: the rooms.
 * Threads:  the control loop.
 */

#include "gateway/gateway.h"
#include "http/client.h"
#include "registry/registry.h"

struct health;

struct health *health_new(struct loop *loop, struct registry *registry, struct store *store,
                          const struct gateway *gateway);
struct health *health_free(struct health *health);

/* The registry has changed: checks begin and end with their instances. */
void health_changed(struct health *health);
