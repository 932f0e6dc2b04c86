#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rooms behind the management API, as the daemon has put them together, and the snapshot that
 * answers questions on the control loop.
 *
 * Threads: the control loop.
 */

#include "auth/auth.h"
#include "base/clock.h"
#include "gateway/gateway.h"
#include "io/loop.h"
#include "registry/registry.h"
#include "rollout/rollout.h"
#include "store/store.h"
#include "usage/usage.h"
#include "version/version.h"

struct rooms {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct version *version;
    struct rollouts *rollouts;
    struct usage *usage;
    struct auth *auth;
    struct gateway *gateway;
    nsec retire_window;          /* how long a contract must be unused before it can go offline */
    const char *health_networks; /* where instances may have themselves checked */
    size_t n_files_to_come;      /* of releases, from other members of the cluster */
    bool is_settled;             /* every worker serves by what has been applied here */
    /* The view of now for explain and retirement; made when asked for, dropped by a change. */
    struct version_snapshot *snapshot;
    struct bom_cache *boms;
};

/* A new snapshot of what is there now; the caller's. */
struct version_snapshot *rooms_snapshot_new(const struct rooms *rooms);

/* The snapshot and BOMs of now; borrowed until the loop turns. */
const struct version_snapshot *rooms_snapshot(struct rooms *rooms);
struct bom_cache *rooms_boms(struct rooms *rooms);

/* Something was applied: the kept snapshot is out of date. */
void rooms_changed(struct rooms *rooms);

/* What rollouts decide on, at this moment. */
struct rollout_context rooms_rollout_context(const struct rooms *rooms);
