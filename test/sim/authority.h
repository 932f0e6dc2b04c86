#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a process keeps of the registry, as the control loop of the daemon does it: the fold over the
 * store's changes, its place in the cluster, and the removal of what has expired. The code of
 * src/daemon for the last two.
 */

#include "daemon/control_cluster.h"
#include "daemon/control_expire.h"
#include "registry/registry.h"

struct process;

struct authority {
    struct process *process;
    struct registry *registry;
    struct store_watch watch;
    struct cluster cluster;
    struct expiry expiry;
    struct stall stall;
    unsigned n_changes;
    bool is_open;
};

/* When the store is open. */
void authority_open(struct authority *authority, struct process *process);

/* Before the store is closed in good order; else it is just forgotten. */
void authority_stop(struct authority *authority);

/* After it is closed. */
void authority_close(struct authority *authority);

/* Holds the registry against a fresh fold of what the store shows. */
void authority_check(const struct authority *authority);
