#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The world of one run: its time, its chance, and what is due.
 *
 * Everything that happens is an event at a moment or a turn of some loop. The world takes the
 * earliest, moves its time there and lets it happen, so no time is ever waited for. All that is left
 * to chance is drawn from one generator that the seed starts: the same seed, the same run.
 *
 * Owns:     the time, the events' order, an arena that lives as long as the run.
 * Threads:  one; there are no others.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/span.h"

#define MSEC NSEC_PER_MSEC
#define SECOND NSEC_PER_SEC

struct world {
    uint64_t seed;
    nsec now;
    struct heap events;
    struct arena arena; /* of what lasts until the end */
    bool is_traced;
    bool is_calm; /* no faults any more */
};

extern struct world world;

void world_begin(uint64_t seed, bool is_traced);
void world_end(void);

/* --- chance --- */

uint64_t chance_number(void);
unsigned chance_below(unsigned n); /* n > 0 */
bool chance(unsigned per_mille);
nsec chance_time(nsec from, nsec to);

/* Mostly short, at times long: how things take time. */
nsec chance_delay(void);

/* --- what is due --- */

struct world_event {
    struct heap_node node;
    void (*on_due)(struct world_event *event);
};

void world_at(struct world_event *event, nsec at);
void world_cancel(struct world_event *event);

/* Lets the next thing happen. False when there is none until then: now it is `until`. */
bool world_step(nsec until);

/* --- what is told --- */

/* A line of the trace, with the time. */
void trace(const char *format, ...) PRINTF_LIKE(1, 2);

/* The run has failed: tells why, with the seed, and ends the process with 1. */
_Noreturn void world_fail(const char *format, ...) PRINTF_LIKE(1, 2);

#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            world_fail(__VA_ARGS__);                                                               \
    } while (0)
