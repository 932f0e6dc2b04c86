#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The gateway: the data plane. One worker thread per core, each with its own loop, listeners
 * (SO_REUSEPORT), upstream pools, BOM cache and usage table; nothing shared changes.
 *
 * A request: parse, normalise the path, find the service (trusted Sarsen-Service header, then
 * routes, then /api/, /apps/, /.sarsen/), find the customer (trusted baggage, trusted header,
 * signed cookie, device), resolve the BOM, choose contract and build, pick an instance, forward,
 * count. Edge listeners remove every Sarsen-* header and sarsen.* baggage member before anything
 * reads them; internal ones believe them.
 *
 * The control loop publishes snapshots by mailbox; a worker's old one comes back the same way and
 * is freed here. Workers send up new BOMs and, when asked, their usage tables.
 *
 * Owns:     workers and what they hold. Borrows: the control loop; settings; the hooks' owner.
 * Threads:  every call below on the control loop.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "gateway/settings.h"
#include "io/loop.h"
#include "registry/registry.h"
#include "usage/usage.h"
#include "version/version.h"

struct gateway;
struct given;

enum gateway_answer {
    GATEWAY_OK,
    GATEWAY_LISTEN, /* a listener's address cannot be had; the problem says which and why */
    GATEWAY_TLS,    /* a certificate cannot be served; the same */
    GATEWAY_ACCESS, /* the access log cannot be opened; the same */
};

/* What a listening socket is for; of sockets that are given, and of connections. */
enum gateway_use {
    GATEWAY_USE_EDGE = 1,
    GATEWAY_USE_INTERNAL,
};

/* A connection of HTTP/1 in plain text between two requests, and the listener it came to. */
struct gateway_connection {
    int fd;
    unsigned use; /* enum gateway_use, or a use of others */
    struct address address, peer;
};

/* What workers tell the control loop; called there. */
struct gateway_hooks {
    void (*on_bom)(void *owner, struct span canonical_json);  /* assigned first now; keep it */
    void (*on_usage)(void *owner, struct usage_table *table); /* merge it; the gateway frees it */
    void (*on_settled)(void *owner); /* every worker serves by the newest published view */
    void *owner;
    /* After gateway_leave(): the descriptor is the owner's. */
    void (*on_connection)(void *owner, const struct gateway_connection *connection);
    struct given *given; /* sockets to listen with, borrowed by gateway_start(); NULL: none */
};

/* Keys of the cookie: the first signs, both verify. */
#define COOKIE_KEY_SIZE 32u
struct cookie_keys {
    unsigned char keys[2][COOKIE_KEY_SIZE];
    unsigned n_keys;
};

/* Opens the listeners and starts the workers; clients wait until the first snapshot is published.
 * Answers: GATEWAY_LISTEN, GATEWAY_TLS, GATEWAY_ACCESS. */
int gateway_start(struct loop *loop, const struct gateway_settings *settings,
                  const struct cookie_keys *keys, const struct gateway_hooks *hooks,
                  struct gateway **ret_gateway, struct problem *problem) MUST_CHECK;

/* Compiles endpoints from the registry and hands workers the new view. Takes the version
 * snapshot, which lives until the last worker has given it back. */
void gateway_publish(struct gateway *gateway, const struct registry *registry,
                     struct version_snapshot *snapshot);

/* New routes, limits and listeners; those that stay keep their sockets and connections, to which
 * the new limits apply. Certificates are read and the access log is opened anew. n_workers is that
 * of the start. Answers: GATEWAY_LISTEN, GATEWAY_TLS, GATEWAY_ACCESS, and then nothing has changed. */
int gateway_reload(struct gateway *gateway, const struct gateway_settings *settings,
                   struct problem *problem) MUST_CHECK;

/* How short of memory the process is; workers act on it by what http/server.h says. */
void gateway_set_pressure(struct gateway *gateway, enum http_pressure pressure);

/* How services are spoken to over TLS, since the last reload; borrowed until the next. */
const struct tls_client *gateway_upstream_tls(const struct gateway *gateway);

/* What is taken of the limits of all workers. */
struct gateway_load {
    unsigned n_clients, n_upstreams; /* connections */
    uint64_t n_refused;              /* clients, since the start */
    uint64_t n_unlogged;             /* lines that the access log dropped, the same */
    unsigned n_failing, n_panics;    /* addresses of static upstreams, and upstreams */
    struct http2_counts http2;       /* of clients, as far as their connections have ended */
    enum http_pressure pressure;
    const char *tls_trouble; /* why new certificates do not serve; NULL: they do */
};
struct gateway_load gateway_load(const struct gateway *gateway);

enum gateway_target_state {
    GATEWAY_TARGET_UNCHECKED,
    GATEWAY_TARGET_WAITING, /* for its first check; it takes requests */
    GATEWAY_TARGET_PASSING,
    GATEWAY_TARGET_FAILING,
};

/* An address of a static upstream. */
struct gateway_target {
    const struct address *address;
    enum gateway_target_state state;
    const char *why; /* the last check failed; "" where it did not, NULL without one */
    unix_msec since;
};

struct gateway_upstream {
    struct span route; /* what leads there */
    const struct health_check *health;
    unsigned n_targets;
    bool has_panic; /* too few pass: all are used */
};

/* The static upstreams in the order of their routes; borrowed until the next reload. */
unsigned gateway_n_upstreams(const struct gateway *gateway);
struct gateway_upstream gateway_upstream(const struct gateway *gateway, unsigned upstream);
struct gateway_target gateway_target(const struct gateway *gateway, unsigned upstream,
                                     unsigned position);

/* Asks every worker for its usage; on_usage is called for each that has some, then `on_done`. Used
 * once a second and before a retirement is judged. */
void gateway_collect_usage(struct gateway *gateway, void (*on_done)(void *owner), void *owner);

/* Opens the access log anew, after its file was renamed. Where that fails the old one goes on. */
void gateway_reopen_access(struct gateway *gateway);

/* Where a listener really listens (port 0 resolved); index as in the settings. */
const struct address *gateway_listener_address(const struct gateway *gateway, unsigned index);

/* Stops accepting, lets requests under way finish for at most `grace`, then ends the workers. */
void gateway_stop(struct gateway *gateway, nsec grace, void (*on_done)(void *owner), void *owner);

/* A listener's sockets, for a process that is to go on with them; borrowed. */
struct gateway_sockets {
    unsigned use; /* enum gateway_use */
    struct address asked;
    bool is_kept; /* by the service manager */
    const int *fds;
    unsigned n;
};
unsigned gateway_n_listeners(const struct gateway *gateway);
struct gateway_sockets gateway_sockets(const struct gateway *gateway, unsigned index);

/* gateway_stop() of a process whose heir has the sockets of the listeners that `taken` names, by
 * index: they go on, and connections to them that are between two requests come by
 * on_connection. */
void gateway_leave(struct gateway *gateway, const bool *taken, nsec grace,
                   void (*on_done)(void *owner), void *owner);

/* Serves a connection that another process left. One to a listener that is no longer there, or
 * seals now, is closed. */
void gateway_admit(struct gateway *gateway, const struct gateway_connection *connection);

/* Ends at once what still runs. */
struct gateway *gateway_free(struct gateway *gateway);
