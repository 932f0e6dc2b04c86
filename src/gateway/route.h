#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The compiled routes of the config file: which service a request goes to. The first match wins.
 *
 * Owns:     copies of all strings of the settings. Immutable after route_table_new().
 * Threads:  reading any; _ref and _unref on the control loop only.
 * Cost:     O(routes), a few instructions for one that does not match.
 */

#include <stdbool.h>

#include "base/span.h"
#include "codec/http1.h"
#include "gateway/settings.h"

#define NO_ROUTE UINT32_MAX

struct route_table;

struct route_table *route_table_new(const struct gateway_route *routes, unsigned n_routes);
struct route_table *route_table_ref(struct route_table *table);
struct route_table *route_table_unref(struct route_table *table);

unsigned route_table_size(const struct route_table *table);
struct span route_service(const struct route_table *table, uint32_t route);

/* How many bytes of a path that matched the route are removed from its front. */
size_t route_strip(const struct route_table *table, uint32_t route, struct span path);

/* The first route that matches, or NO_ROUTE. `path` is canonical. */
uint32_t route_match(const struct route_table *table, const struct http_head *head,
                     struct span path);

/* Whether `path` is the prefix or lies below it: "/session" has "/session" and "/session/x", not
 * "/sessions". */
bool path_is_below(struct span path, struct span prefix);
