/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A timer may send any signal to its own process. SIGKILL is the one that neither waits until a
 * stopped process goes on nor needs one of its threads to take it, and it comes from within: the
 * sandbox of whoever waits would not let it end a process beside it.
 */

#include "io/watchdog.h"

#include <signal.h>

void watchdog_start(struct watchdog *watchdog, nsec patience)
{
    struct sigevent end = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
    if (!watchdog->has_timer)
        watchdog->has_timer = timer_create(CLOCK_MONOTONIC, &end, &watchdog->timer) == 0;
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(patience / NSEC_PER_SEC),
                                             .tv_nsec = (long)(patience % NSEC_PER_SEC) } };
    if (watchdog->has_timer)
        timer_settime(watchdog->timer, 0, &when, NULL);
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog->has_timer)
        timer_delete(watchdog->timer);
    watchdog->has_timer = false;
}
