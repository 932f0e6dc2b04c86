#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Round robin with passive health: one instance after the other, those that refused a connection
 * a moment ago last.
 *
 * A pick goes through the group once for those in good standing and once more for the rest, so
 * every instance is offered at most once per request, and none is left out for good because
 * something refused once.
 *
 * Threads: none of its own; the state belongs to one worker. Cost: O(1) while nobody refuses.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define REFUSED_FOR NSEC_PER_SEC /* how long a refusal is remembered */
#define NO_PICK UINT32_MAX

/* Where one request is in its walk. Zero, with `at` from round_robin_start(), begins one. */
struct round_robin_walk {
    uint32_t at;     /* next position to look at */
    uint32_t n_seen; /* of this pass */
    bool is_second;  /* the pass over those that refused */
    nsec started;    /* what refused since then was tried by this request or beside it */
};

/* Moves the group's cursor on and begins a walk there. */
struct round_robin_walk round_robin_start(uint32_t *cursor, uint32_t n, nsec now);

/* The next position to try, or NO_PICK. `refused_at` holds, per position, when it refused last;
 * 0 = never. */
uint32_t round_robin_next(struct round_robin_walk *walk, const nsec *refused_at, uint32_t n);
