#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * When each contract was used last, here and at the other members of a cluster.
 *
 * Usage itself stays in each member's ledger. What must not be overlooked when a contract is to go
 * is shared: one key for each contract that a member has seen used. A first use, and one after a
 * while, is written at once; while the use goes on the key follows every USAGE_SHARE_EVERY, and who
 * reads it adds that.
 *
 * Owns:     both tables. Threads: the control loop.
 * Cost:     a look-up for each key that is merged; sharing O(contracts).
 */

#include "usage/usage.h"

struct usage_shared {
    char *self, *host;  /* NULL: alone, nothing is shared */
    struct map own;     /* struct own_last by contract */
    struct map members; /* struct usage_last by "<member>/<contract>", of all members */
};

void usage_shared_init(struct usage_shared *shared);
void usage_shared_fini(struct usage_shared *shared);

/* It was used here. */
void usage_shared_note(struct usage_shared *shared, const char *contract, unix_msec last);

struct usage_shared *usage_shared_of(struct usage *usage);
const struct usage_shared *usage_shared_get(const struct usage *usage);
