/* SPDX-License-Identifier: Apache-2.0 */

#include "base/clock.h"

#include <time.h>

static nsec system_now(struct clock *clock)
{
    (void)clock;
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (nsec)time.tv_sec * NSEC_PER_SEC + (nsec)time.tv_nsec;
}

static unix_msec system_wall(struct clock *clock)
{
    (void)clock;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (unix_msec)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

struct clock *clock_system(void)
{
    static struct clock system_clock = { .now = system_now, .wall = system_wall };
    return &system_clock;
}
