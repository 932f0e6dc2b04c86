#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The view: everything a worker decides by, at one moment. Routes, the version snapshot, the
 * addresses of instances that take requests, limits. Immutable once made.
 *
 * Its two parts change at different times and are shared between views: the routes with the
 * config file, the endpoints with the registry. References are counted on the control loop only;
 * a worker holds a view by having been handed it and gives it back by mailbox.
 *
 * Owns:     routes and endpoints by reference; the endpoints own the version snapshot.
 * Threads:  reading any; all the rest on the control loop.
 * Cost:     making one O(instances); every look-up O(1).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "gateway/access_redact.h"
#include "gateway/endpoint.h"
#include "gateway/route.h"
#include "gateway/settings.h"
#include "io/socket.h"
#include "registry/registry.h"
#include "version/version.h"

#define NO_MAJOR UINT32_MAX

/* A run of endpoints. Runs do not overlap, so a position in the whole array names one member. */
struct endpoint_group {
    uint32_t first, n;
};

/* Where the methods of a gRPC service lead. */
struct grpc_name {
    struct map_node node;
    uint32_t service; /* of the snapshot */
    uint32_t major;   /* of the only contract whose builds name it, or NO_MAJOR: as the BOM says */
    bool has_instances;
};

struct endpoints {
    unsigned n_refs;
    struct version_snapshot *snapshot;
    const struct tls_client *tls; /* of those that are spoken to over it */
    struct endpoint *endpoints;
    uint32_t n_endpoints;
    /* By build; then, for services that share their traffic, by contract. */
    struct endpoint_group *groups;
    uint32_t n_groups;
    /* Builds of which an instance takes requests, by contract they provide. */
    struct endpoint_group *provider_groups;
    uint32_t *providers;
    struct map grpc; /* struct grpc_name by full name */
    /* Addresses that were there in the endpoints before: kept connections to them are closed. */
    struct address *gone;
    size_t n_gone;
};

/* Takes the snapshot. `tls` is for instances that speak TLS; without it they are left out. `before`
 * may be NULL. */
struct endpoints *endpoints_new(const struct registry *registry, struct version_snapshot *snapshot,
                                const struct tls_client *tls, const struct endpoints *before);
struct endpoints *endpoints_ref(struct endpoints *endpoints);
struct endpoints *endpoints_unref(struct endpoints *endpoints);

struct gateway_limits {
    struct http_settings client;
    struct http_pool_settings upstream;
    nsec answer_timeout, request_timeout, cookie_ttl;
    nsec tunnel_idle_timeout, ping_interval;
    nsec file_patience;
    bool is_cookie_secure;
};

struct view {
    struct route_table *routes;
    struct endpoints *endpoints;
    const struct version_snapshot *snapshot; /* of the endpoints */
    struct gateway_limits limits;
    struct access_redaction *redaction; /* of the access log; NULL: there is none */
    char *blobs;
    char *origins;            /* of pages that may open a WebSocket anywhere */
    bool *is_out;             /* by static endpoint: it gets no requests; NULL: all get some */
    uint32_t *route_services; /* by route: service of the snapshot, or NO_INDEX, as
                                of routes that lead to none */
    uint64_t number;          /* the control loop's: of publishing */
    unsigned n_holders;       /* the control loop's: workers that have it */
};

/* References routes and endpoints. */
struct view *view_new(struct route_table *routes, struct endpoints *endpoints,
                      const struct gateway_settings *settings);
struct view *view_free(struct view *view);

/* The service whose methods these are, "shop.orders.v1.Orders"; NULL when nobody named it. */
const struct grpc_name *view_grpc_name(const struct view *view, struct span name);

/* Which of the groups serves a contract by this build: the build's own, or the contract's when
 * its service shares traffic. */
uint32_t view_group(const struct view *view, uint32_t contract, uint32_t build);
