#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What instances have missed goes to the log: that no heartbeat came within their TTL, and that they
 * are removed; for those that are ours, and in a cluster, at the elected process, those that nobody
 * owns any more. Nobody is judged while the etcd is away, and all have a full period after.
 *
 * Borrows:  the cluster, with its loop, store and registry.
 * Threads:  the control loop.
 */

#include "daemon/control_cluster.h"
#include "daemon/stall.h"

struct expiry {
    struct cluster *cluster;
    struct stall *stall;
    struct timer timer;
    struct store_command command;
    struct expired *expired; /* what the command does, to be told when it is done */
    size_t n_expired, expired_capacity;
    bool is_under_way;
    bool is_held; /* the store is, or will be, another process's */
};

void expiry_init(struct expiry *expiry, struct cluster *cluster, struct stall *stall);

/* Deadlines may have changed. */
void expiry_plan(struct expiry *expiry);
void expiry_stop(struct expiry *expiry);
