/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the programs share that watch: one change after the other goes out, and is done when it is
 * answered and each of those who watch what it changes has heard of it. That time is its latency.
 *
 * Watcher i asks for request i modulo n, and change c is one of what request c modulo n asks for;
 * with one change more than there are requests, each changes back what the last one did.
 *
 * In the phase of the warm-up everybody begins to watch. Without changes (--once 1) each watcher
 * hears once of what others do, and its latency runs from the phase's start.
 */
#ifndef BENCH_FANOUT_H
#define BENCH_FANOUT_H

#include <stdint.h>

#include "measure.h"

struct fanout_ops {
    void (*watch)(uint64_t watcher); /* begins to; fanout_watches() tells when it does */
    void (*change)(uint64_t number); /* sends it */
};

/* Sets what measure.h asks for, from its options and those below. */
void fanout_init(const struct fanout_ops *ops);

extern const struct number_option fanout_options[];

/* A generator's. */
uint64_t fanout_start(uint64_t time);

void fanout_watches(void);
void fanout_heard(uint64_t watcher);
void fanout_answered(void);

#endif
