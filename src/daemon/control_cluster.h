#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One process among several that share an etcd: that it is there, and whether it is the one that
 * does what one must do.
 *
 *   registry/owner/<id>   put under a lease, and again whenever that was lost
 *   registry/elected      held by the one that was elected
 *
 * What only the elected one may do is fenced: its transactions compare the key by which it was
 * elected, so one that was passed over in its sleep does nothing when it wakes. With the embedded
 * engine a process is alone: nothing of this is written, and it is always elected.
 *
 * Owns:     its lease and its candidacy. Borrows: the loop, the store, the registry.
 * Threads:  the control loop.
 */

#include "io/loop.h"
#include "registry/registry.h"
#include "store/store.h"

struct cluster {
    struct loop *loop;
    struct store *store; /* NULL: it is another process's now */
    struct registry *registry;
    char host[256], api[320];
    unix_msec since;
    struct store_election election;
    struct store_lease lease;
    struct store_command command; /* puts the key of the owner */
    struct store_write leave;
    struct timer again, look;
    bool is_alone, is_writing, is_asking, is_running;
    bool was_away; /* the etcd, when it was last looked at */

    void (*on_elected)(struct cluster *cluster); /* now, or no longer */
    void (*on_back)(struct cluster *cluster);    /* what was heard meanwhile is not known */
};

/* Before the registry is loaded. */
void cluster_open(struct cluster *cluster, struct loop *loop, struct store *store,
                  struct registry *registry);

/* We serve, and others reach the management API at `api`. */
void cluster_start(struct cluster *cluster, const char *api);

/* Gives up what was won; with an heir, which takes the name over, all but that. The store may be
 * closed next, and must be before this is freed. */
void cluster_stop(struct cluster *cluster, bool has_heir);

bool cluster_is_elected(const struct cluster *cluster);

/* The etcd cannot be written to now: what is due would be judged by what is long past. */
bool cluster_is_away(const struct cluster *cluster);

/* Has the transaction refused when another is elected. */
void cluster_fence(const struct cluster *cluster, struct txn *txn);

/* The registry has applied something. */
void cluster_changed(struct cluster *cluster);
