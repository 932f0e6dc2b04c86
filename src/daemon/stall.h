#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Notices that the loop stood still: the process was stopped, its machine slept, or a callback took
 * too long. What others sent meanwhile waits in sockets, so whoever is about to judge them by the
 * time that has passed looks here before.
 *
 * Threads:  the loop's. Cost: two turns of the loop a second.
 */

#include "io/loop.h"

struct stall {
    void (*on_stalled)(struct stall *stall);
    struct timer timer;
    nsec due; /* when the timer should have come */
    nsec first;
    unsigned n_lately; /* how often it stood still in the minute from `first` on */
};

void stall_start(struct stall *stall, struct loop *loop);
void stall_stop(struct stall *stall);

/* Calls on_stalled when the loop stood still since it was looked last. */
void stall_look(struct stall *stall);
