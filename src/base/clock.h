#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Time as a dependency.
 *
 * Rooms never call clock_gettime(): they are handed a struct clock, so a test can hand them one
 * that it moves by hand. Deadlines are monotonic; what is stored or shown is wall time.
 */

#include <stdint.h>

typedef uint64_t nsec;     /* monotonic nanoseconds; also durations */
typedef int64_t unix_msec; /* wall time: milliseconds since 1970-01-01T00:00Z; 0 is "never" */

#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_NEVER UINT64_MAX /* a deadline that does not come */

struct clock {
    nsec (*now)(struct clock *clock);
    unix_msec (*wall)(struct clock *clock);
};

static inline nsec earlier(nsec a, nsec b)
{
    return a < b ? a : b;
}

/* NSEC_NEVER stays that. */
static inline nsec after(nsec at, nsec duration)
{
    return at > NSEC_NEVER - duration ? NSEC_NEVER : at + duration;
}

static inline nsec clock_now(struct clock *clock)
{
    return clock->now(clock);
}

static inline unix_msec clock_wall(struct clock *clock)
{
    return clock->wall(clock);
}

/* The machine's own clocks: CLOCK_BOOTTIME, which goes on while the machine sleeps, and
 * CLOCK_REALTIME. Any thread. */
struct clock *clock_system(void);
