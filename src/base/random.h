#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Numbers that look random and cost no system call: for trace ids, which must not collide and
 * need not be secret. Keys, tokens and ids of devices come from hash_random().
 *
 * xoshiro256++ 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021),
 * seeded by the kernel.
 *
 * Threads: a generator belongs to one.
 */

#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *random);
uint64_t random_next(struct random *random);
