#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How many connections one address may hold.
 *
 * Owns:     a count per address that has any. Threads: none of its own.
 * Cost:     O(1) per connection, nothing per request.
 */

#include "base/map.h"
#include "io/socket.h"

struct quota {
    struct map counts;
    unsigned max; /* 0 = no limit */
};

struct quota_count; /* of one address */

void quota_init(struct quota *quota, unsigned max);
void quota_fini(struct quota *quota);

/* Counts one more connection of the address; false when it has enough. *ret_count goes back to
 * quota_drop(), and is NULL where nothing is counted: without a limit, and for unix sockets. */
bool quota_take(struct quota *quota, const struct address *address, struct quota_count **ret_count);
void quota_drop(struct quota *quota, struct quota_count *count);
