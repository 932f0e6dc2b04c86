#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Settings of the gateway, filled by the daemon from the config file's table. Everything is
 * borrowed from the config document, which outlives the gateway.
 */

#include <stdbool.h>

#include "base/clock.h"
#include "base/span.h"
#include "codec/health_check.h"
#include "http/client.h"
#include "http/server.h"
#include "io/socket.h"
#include "io/tls.h"

/* The config file fills them by their offsets. */
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are of 64 bits");

#define GATEWAY_LISTENERS_MAX 16u
#define GATEWAY_ROUTES_MAX 4096u
#define GATEWAY_FIELDS_MAX 64u /* of one list of fields of a route */

struct gateway_listener {
    const char *text; /* as written */
    struct address address;
    bool is_internal; /* believes Sarsen-* headers and baggage; an edge listener removes them */
    bool
        has_proxy_header; /* who connects says by the PROXY protocol, version 2, who the client is */
    struct tls_server_settings tls; /* without a pair: in plain text */
};

/* A field of a message's head that a route writes; both texts are legal. */
struct gateway_field {
    const char *name, *value;
};

struct gateway_fields {
    const struct gateway_field *fields;
    unsigned n;
};

struct gateway_texts {
    const char *const *texts;
    unsigned n;
};

/* What a route changes of a head on its way: `remove` and `set` take lines of these names out,
 * `set` and `add` put theirs in. */
struct gateway_field_rules {
    struct gateway_fields set, add;
    struct gateway_texts remove;
};

/* A route tells where requests go; the first that matches wins. Empty conditions match all. Exactly
 * one of service, upstreams, answer_status and redirect_to is given. */
struct gateway_route {
    const char *host;   /* exact, without port, lower case; "*.example.com" any one label */
    const char *path;   /* exact */
    const char *prefix; /* "/session" matches /session and /session/… */
    struct gateway_texts methods;
    const char *header_name, *header_value;
    struct gateway_texts client_sans; /* of a verified certificate; "spiffe://a/…*" any below */

    const char *service;
    const struct address *upstreams; /* of a static upstream, which no service stands behind */
    unsigned n_upstreams;
    enum http_protocol upstream_protocol;
    bool is_tls;                             /* the upstreams are spoken to over TLS, */
    struct tls_client_settings upstream_tls; /* by this, and by that of all where it is silent */
    struct gateway_texts origins;            /* of pages that may open a WebSocket */
    struct health_check health;              /* of each upstream; without a kind: none is asked */
    unsigned answer_status;
    const char *answer_body, *answer_type;
    const char *redirect_to; /* instead of the prefix, or of the path; a URI or a path */
    unsigned redirect_status;

    const char *strip; /* a prefix removed from the path before it goes upstream */
    const char *rewrite_prefix, *rewrite_path; /* instead of `prefix`; instead of the whole path */
    const char *upstream_host; /* "client", "upstream" or what Host shall be; NULL is "client" */
    struct gateway_field_rules request_fields, response_fields;
};

enum gateway_access_kind {
    ACCESS_OFF,
    ACCESS_FILE,
    ACCESS_STDOUT,
    ACCESS_SYSLOG,
};

/* Where the access log goes. */
struct gateway_access {
    enum gateway_access_kind kind;
    const char *path;       /* of a file */
    struct address address; /* of a syslog daemon: a unix datagram socket, or UDP */
};

struct gateway_settings {
    struct gateway_listener listeners[GATEWAY_LISTENERS_MAX];
    unsigned n_listeners;
    const struct gateway_route *routes;
    unsigned n_routes;
    unsigned n_workers;                 /* 0 = one per core */
    struct http_settings client;        /* times and limits; per address on edge listeners only */
    struct http_pool_settings upstream; /* the same; both without a census, which is made */
    struct tls_client_settings upstream_tls;
    unsigned panic_percent;   /* of an upstream's addresses: when fewer pass, all are used */
    nsec answer_timeout;      /* until the response head, 30 s; a smaller Sarsen-Deadline wins */
    nsec request_timeout;     /* until the end of the response, 0 = none */
    nsec tunnel_idle_timeout; /* nothing said either way, 1 h; 0 = none */
    const char *origins;      /* the same of all routes, with commas between them; may be NULL */
    nsec
        ping_interval; /* after which a quiet client of a WebSocket is sent a Ping, 30 s; 0 = never */
    nsec cookie_ttl;   /* of the signed cookie, 400 d */
    bool is_cookie_secure; /* Secure attribute; on when a TLS terminator is in front */
    const char *blobs;     /* directory of release files */
    nsec file_patience;    /* for one that another member has; 0: nobody else has any */
    struct gateway_access access;
    const char *access_redact; /* more names of query parameters with secrets; may be NULL */
};
