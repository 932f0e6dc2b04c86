#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Consul HTTP API, as the clients of frameworks use it, over our rooms.
 *
 *   PUT /v1/kv/config/orders   ──► transaction ──► store
 *   GET /v1/kv/config/?recurse&index=41&wait=55s   parked until something below config/ changes
 *
 * X-Consul-Index is the store's revision of the last change of what was asked for. A blocking query
 * waits in the topic that it asks about; a change wakes the topics it belongs to and no others, and
 * those who asked the same share one rendered answer. What Consul answers to nobody here is left
 * out: docs/protocols/consul.md has the list.
 *
 * Owns:     its server and calls, sessions and their deadlines, what it keeps of deleted keys.
 * Borrows:  the loop, the store, the settings' strings.
 * Threads:  the control loop.
 * Cost:     parking and waking O(1) a call, and O(1) a change for each length of a prefix that
 *           somebody waits for.
 * Source:   developer.hashicorp.com/consul/api-docs, and what its clients do.
 */

#include <stdbool.h>

#include "auth/auth.h"
#include "base/compiler.h"
#include "io/loop.h"
#include "registry/registry.h"
#include "store/store.h"
#include "version/version.h"

#define CONSUL_PREFIX "consul/"

struct consul;
struct consul_rules;

struct consul_settings {
    const char *token;      /* of the data directory: it may do everything */
    const char *node;       /* what the one node of the catalog is called */
    const char *datacenter; /* "dc1" */
    bool is_open;           /* loopback needs no token */
    /* Has what only the elected process may do refused when it is another by now. */
    void (*fence)(void *owner, struct txn *txn);
    /* Before anybody is judged by the time that has passed; it may call consul_forgive(). False: not
     * now, signs of life cannot be written. */
    bool (*on_judge)(void *owner);
    const bool *is_settled;             /* whether every worker serves by what was applied */
    const char *const *health_networks; /* where checks may lead besides, see io/network.h */
    /* Whom checks over TLS believe. */
    const struct tls_client *(*upstream_tls)(void *owner);
    void *owner;
};

/* The rooms that it is a face of. */
struct consul_rooms {
    struct store *store;
    struct registry *registry;
    struct version *version;
    const struct auth *auth;
};

struct consul *consul_new(struct loop *loop, const struct consul_rooms *rooms,
                          const struct consul_settings *settings);
struct consul *consul_free(struct consul *consul);

/* Serves a listening socket, which stays the caller's. */
int consul_listen(struct consul *consul, int listen_fd) MUST_CHECK;

/* Takes one committed change below CONSUL_PREFIX. A record that cannot be read is a fault. */
int consul_apply(struct consul *consul, const struct store_event *event) MUST_CHECK;

/* What operators say of registrations, or NULL; borrowed until others are set. Those that stand are
 * read again by it, by and by, unless it says what the last one said. */
void consul_set_rules(struct consul *consul, const struct consul_rules *rules);

/* An instance, "service/id", was added, changed or taken away in the registry, by whomever. */
void consul_instance_changed(struct consul *consul, struct span instance);

/* And this one was taken away, perhaps by other means than the face's: then what is registered here
 * of it goes, too. */
void consul_instance_gone(struct consul *consul, struct span instance);

/* A service of the registry was taken away, by whomever. */
void consul_service_gone(struct consul *consul, struct span name);

/* Who owns what is judged by others than before: see registry_owns(). */
void consul_owners_changed(struct consul *consul);

/* Nobody heard their heartbeats for a while: whatever has a time gets all of it again. */
void consul_forgive(struct consul *consul);

/* *settings.is_settled has become true: whoever registered is answered. */
void consul_settled(struct consul *consul);

/* All changes of this turn are applied: who waited for one of them is answered. */
void consul_changed(struct consul *consul);

/* Answers who waits, and stops accepting; with an heir, the socket goes on without us. */
void consul_drain(struct consul *consul, bool has_heir);
