#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Has instances asked whether they work, as their registration says. When that changes what is
 * known of an instance, it becomes a transition on the log, and everything follows from there; what
 * single checks come to is off the log, and the last of them is kept for people.
 *
 * Owns:     its calls and their connections. Borrows: the rooms.
 * Threads:  the control loop.
 */

#include "gateway/gateway.h"
#include "registry/registry.h"

struct health;

struct health *health_new(struct loop *loop, struct registry *registry, struct store *store,
                          const struct gateway *gateway);
struct health *health_free(struct health *health);

/* The registry has changed: checks begin and end with their instances. */
void health_changed(struct health *health);
