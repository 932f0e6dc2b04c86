#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A clock that stands until the test moves it.
 */

#include "base/clock.h"
#include "base/compiler.h"

struct fake_clock {
    struct clock clock;
    nsec now;
    unix_msec wall;
};

static inline nsec fake_clock_now(struct clock *clock)
{
    return container_of(clock, struct fake_clock, clock)->now;
}

static inline unix_msec fake_clock_wall(struct clock *clock)
{
    return container_of(clock, struct fake_clock, clock)->wall;
}

/* Starts one hour after boot, at 2026-11-20T08:00:00Z. */
static inline void fake_clock_init(struct fake_clock *fake)
{
    *fake = (struct fake_clock){
        .clock = { .now = fake_clock_now, .wall = fake_clock_wall },
        .now = 3600 * NSEC_PER_SEC,
        .wall = 1795161600000,
    };
}

static inline void fake_clock_advance(struct fake_clock *fake, nsec by)
{
    fake->now += by;
    fake->wall += (unix_msec)(by / NSEC_PER_MSEC);
}
