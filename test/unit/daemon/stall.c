/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stall.h"

#include "check.h"
#include "fake/clock.h"

struct watched {
    struct fake_clock clock;
    struct loop *loop;
    struct stall stall;
    unsigned n_stalls;
};

static void on_stalled(struct stall *stall)
{
    container_of(stall, struct watched, stall)->n_stalls++;
}

static void watched_start(struct watched *watched)
{
    *watched = (struct watched){ .stall.on_stalled = on_stalled };
    fake_clock_init(&watched->clock);
    watched->loop = loop_new(&watched->clock.clock);
    stall_start(&watched->stall, watched->loop);
}

static void watched_end(struct watched *watched)
{
    stall_stop(&watched->stall);
    loop_free(watched->loop);
}

static void pass(struct watched *watched, nsec time)
{
    fake_clock_advance(&watched->clock, time);
    CHECK_INT(loop_turn(watched->loop, 0), 0);
}

TEST(a_loop_that_turns_does_not_stand_still)
{
    struct watched watched;
    watched_start(&watched);
    for (int i = 0; i < 100; i++) {
        pass(&watched, 700 * NSEC_PER_MSEC);
        stall_look(&watched.stall);
    }
    CHECK_INT(watched.n_stalls, 0);
    watched_end(&watched);
}

struct judge {
    struct timer timer;
    struct watched *watched;
    unsigned n_seen; /* stalls that were known when it was its turn */
};

static void on_judge(struct timer *timer)
{
    struct judge *judge = container_of(timer, struct judge, timer);
    stall_look(&judge->watched->stall);
    judge->n_seen = judge->watched->n_stalls;
}

TEST(who_looks_before_the_timer_comes_is_told_and_nobody_twice)
{
    struct watched watched;
    watched_start(&watched);
    struct judge judge = { .timer.on_due = on_judge, .watched = &watched };
    timer_start(&judge.timer, watched.loop, watched.clock.now + 1); /* so it comes first */
    pass(&watched, 5 * NSEC_PER_SEC);
    CHECK_INT(judge.n_seen, 1);
    CHECK_INT(watched.n_stalls, 1);
    pass(&watched, 700 * NSEC_PER_MSEC);
    CHECK_INT(watched.n_stalls, 1);
    watched_end(&watched);
}

TEST(how_often_it_stood_still_is_counted_by_the_minute)
{
    struct watched watched;
    watched_start(&watched);
    for (unsigned i = 1; i <= 5; i++) {
        pass(&watched, 5 * NSEC_PER_SEC);
        CHECK_INT(watched.stall.n_lately, i);
    }
    pass(&watched, 60 * NSEC_PER_SEC);
    CHECK_INT(watched.stall.n_lately, 1);
    CHECK_INT(watched.n_stalls, 6);

    stall_stop(&watched.stall); /* nobody is judged meanwhile */
    fake_clock_advance(&watched.clock, 60 * NSEC_PER_SEC);
    CHECK_INT(loop_turn(watched.loop, 0), 0);
    stall_look(&watched.stall);
    stall_start(&watched.stall, watched.loop);
    stall_look(&watched.stall);
    CHECK_INT(watched.n_stalls, 6);
    watched_end(&watched);
}
