/* SPDX-License-Identifier: Apache-2.0 */

#include "base/random.h"

#include "base/hash.h"

void random_init(struct random *random)
{
    hash_random(random->state, sizeof(random->state));
    random->state[0] |= 1; /* all zero would stay so for ever */
}

static uint64_t rotate(uint64_t value, unsigned by)
{
    return value << by | value >> (64 - by);
}

uint64_t random_next(struct random *random)
{
    uint64_t *state = random->state;
    uint64_t next = rotate(state[0] + state[3], 23) + state[0];
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return next;
}
