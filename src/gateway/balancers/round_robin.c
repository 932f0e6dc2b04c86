/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/balancers/round_robin.h"

struct round_robin_walk round_robin_start(uint32_t *cursor, uint32_t n, nsec now)
{
    uint32_t at = *cursor < n ? *cursor : 0;
    *cursor = at + 1;
    return (struct round_robin_walk){ .at = at, .started = now };
}

uint32_t round_robin_next(struct round_robin_walk *walk, const nsec *refused_at, uint32_t n)
{
    for (;;) {
        while (walk->n_seen < n) {
            uint32_t at = walk->at;
            walk->at = at + 1 < n ? at + 1 : 0;
            walk->n_seen++;
            /* Judged by one instant in both passes, so each position falls into one of them. */
            nsec refused = refused_at[at];
            bool has_refused_since = refused && refused >= walk->started;
            bool was_refusing = refused && refused + REFUSED_FOR > walk->started;
            if (!has_refused_since && was_refusing == walk->is_second)
                return at;
        }
        if (walk->is_second)
            return NO_PICK;
        walk->is_second = true;
        walk->n_seen = 0;
    }
}
