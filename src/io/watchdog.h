#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A watchdog: ends this process with SIGKILL when a time is over, whatever it does then: it may hang,
 * or be stopped (SIGSTOP). For what others wait for meanwhile.
 *
 * Owns:    a timer of the kernel's.
 * Threads: one at a time.
 */

#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

struct watchdog {
    timer_t timer;
    bool has_timer; /* zeroed, it is one that was not started */
};

/* Starts it, or moves the time. Where the kernel has no timer for us there is no watchdog. */
void watchdog_start(struct watchdog *watchdog, nsec patience);

/* Idempotent. */
void watchdog_stop(struct watchdog *watchdog);
