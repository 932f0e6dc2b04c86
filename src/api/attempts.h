#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How often an address has come with a token that is none.
 *
 * Each address has a bucket of ATTEMPTS_BURST wrong tokens that fills again by one in
 * ATTEMPTS_EVERY. Only so many addresses are known at a time: when they are used up, the one that
 * was wrong longest ago is forgotten. An IPv6 client has a /64 of its own, which counts as one.
 *
 * Threads: the control loop.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "io/socket.h"

#define ATTEMPTS_ADDRESSES 128u
#define ATTEMPTS_BURST 10u
#define ATTEMPTS_EVERY (6 * NSEC_PER_SEC)

/* Zero is one that nobody has tried yet. */
struct attempts {
    struct {
        uint64_t key; /* 0: free */
        nsec full_at; /* when the bucket is full again */
    } cells[ATTEMPTS_ADDRESSES];
};

/* Whether the address has used its bucket up. */
bool attempts_is_over(const struct attempts *attempts, const struct address *address, nsec now);

/* It was wrong once more. */
void attempts_add(struct attempts *attempts, const struct address *address, nsec now);
