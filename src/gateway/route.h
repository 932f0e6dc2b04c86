#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The compiled routes of the config file: where a request goes. The first match wins.
 *
 * Owns:     copies of all strings of the settings, references to clients of TLS. Immutable after route_table_new().
 * Threads:  reading any; _ref and _unref on the control loop only.
 * Cost:     a match walks the path's segments down a tree as far as the routes' paths reach, and
 *           looks at the other conditions of those routes only that stand on its way.
 */

#include <stdbool.h>

#include "base/span.h"
#include "codec/http1.h"
#include "gateway/endpoint.h"
#include "gateway/field_rules.h"
#include "gateway/settings.h"

#define NO_ROUTE UINT32_MAX

enum route_kind {
    ROUTE_SERVICE,
    ROUTE_UPSTREAM,
    ROUTE_ANSWER,
    ROUTE_REDIRECT,
};

/* What the Host of the request is that goes upstream. */
enum route_host {
    ROUTE_HOST_CLIENT,   /* as it came */
    ROUTE_HOST_UPSTREAM, /* the endpoint's address */
    ROUTE_HOST_NAMED,
};

/* A matched path goes on as `put` and what it has from `cut` on. */
struct route_path {
    struct span put;
    size_t cut;
};

/* A static upstream. Runs do not overlap, so a position in all endpoints names one member. */
struct route_upstream {
    const struct endpoint *endpoints;
    uint32_t n;
    uint32_t first;  /* of the table's static endpoints */
    uint32_t number; /* of the table's static upstreams */
};

struct route_action {
    enum route_kind kind;
    struct span service;
    struct span name;    /* the host, path or prefix that lead here, for people */
    struct span origins; /* of pages that may open a WebSocket, with commas between them */
    struct route_upstream upstream;
    struct health_check health; /* of the upstream */
    enum route_host host_kind;
    struct span host;
    struct field_rules request, response;
    unsigned status; /* of an answer or a redirect */
    struct span type, body;
    struct span to; /* of a redirect, as written; "https://host" has its "/" */
};

struct route_table;

/* `tls`: by route, what its upstreams are spoken to over; NULL is none for all. `before` (may be
 * NULL) is the table that this one replaces. */
struct route_table *route_table_new(const struct gateway_route *routes, unsigned n_routes,
                                    const struct tls_client *const *tls,
                                    const struct route_table *before);
struct route_table *route_table_ref(struct route_table *table);
struct route_table *route_table_unref(struct route_table *table);

unsigned route_table_size(const struct route_table *table);
uint32_t route_table_n_upstreams(const struct route_table *table);
uint32_t route_table_n_endpoints(const struct route_table *table);

/* Static endpoints that the table before had and this one has not: kept connections to them are
 * closed. */
const struct address *route_table_gone(const struct route_table *table, size_t *ret_n);

const struct route_action *route_action(const struct route_table *table, uint32_t route);

/* What becomes of a path that matched the route. */
struct route_path route_path(const struct route_table *table, uint32_t route, struct span path);

/* The first route that matches, or NO_ROUTE. `path` is canonical; `peer` is NULL in plain text. */
uint32_t route_match(const struct route_table *table, const struct http_head *head,
                     const struct tls_peer *peer, struct span path);

/* Whether `path` is the prefix or lies below it: "/session" has "/session" and "/session/x", not
 * "/sessions". */
bool path_is_below(struct span path, struct span prefix);
