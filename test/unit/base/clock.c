/* SPDX-License-Identifier: Apache-2.0 */

#include "base/clock.h"

#include <time.h>

#include "check.h"

TEST(system_clock)
{
    struct clock *clock = clock_system();
    nsec before = clock_now(clock), after = clock_now(clock);
    CHECK(after >= before && after - before < 10 * NSEC_PER_SEC);

    time_t seconds = time(NULL);
    unix_msec wall = clock_wall(clock);
    CHECK(wall / 1000 >= seconds && wall / 1000 <= seconds + 10);

    struct timespec boot;
    CHECK_INT(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    nsec now = clock_now(clock);
    nsec want = (nsec)boot.tv_sec * NSEC_PER_SEC + (nsec)boot.tv_nsec;
    CHECK(now >= want && now - want < 10 * NSEC_PER_SEC);
}
