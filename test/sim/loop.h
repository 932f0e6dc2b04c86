#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Machines, and the event loop as the world turns it: another implementation of io/loop.h and
 * io/mailbox.h, without descriptors. What comes from outside is an arrival; a letter is delivered
 * some time after it was posted. A loop turns when something of it is due; what calls loop_turn()
 * from inside a turn lets the rest of the world go on meanwhile.
 *
 * Each machine has its own clocks. While it is paused none of its loops turns; when it is dead they
 * are only to be torn down.
 */

#include <stdbool.h>

#include "base/list.h"
#include "io/loop.h"

struct machine {
    struct clock clock;
    unsigned number;
    nsec booted;         /* what its monotonic clock is ahead of the world's */
    int64_t wall_offset; /* in ms, of its wall clock: it jumps */
    bool is_paused, is_dead;
    nsec turned_at; /* when a loop of it turned last */
    struct disk *disk;
};

void machine_init(struct machine *machine, unsigned number);

/* Whose loops are made from now on, and whose calls of the system are made. */
void machine_enter(struct machine *machine);
struct machine *machine_current(void);

struct machine *loop_machine(const struct loop *loop);

/* Something from outside; taken in the order of arrival by the next turn. */
struct arrival {
    struct list link;
    void (*on_arrival)(struct arrival *arrival);
};

void loop_arrive(struct loop *loop, struct arrival *arrival);

/* --- for the world --- */

/* The loop that turns next; NSEC_NEVER without one. */
struct loop *loops_next(nsec *ret_at);
void loop_take_turn(struct loop *loop);

/* Whether a turn of a loop of this machine is under way, and waits for the world. */
bool machine_is_inside(const struct machine *machine);
