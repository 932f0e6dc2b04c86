/* SPDX-License-Identifier: Apache-2.0 */

#include "io/loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "check.h"
#include "fake/clock.h"

struct reader {
    struct watch watch;
    struct reader *victim;
    unsigned n_calls;
    uint32_t events;
};

static void reader_on_ready(struct watch *watch, uint32_t events)
{
    struct reader *reader = container_of(watch, struct reader, watch);
    reader->n_calls++;
    reader->events = events;
    if (reader->victim)
        watch_remove(&reader->victim->watch);
}

struct alarm_clock {
    struct timer timer;
    struct loop *loop;
    nsec again_at;
    unsigned n_calls, order;
};

static unsigned next_order;

static void alarm_on_due(struct timer *timer)
{
    struct alarm_clock *alarm_clock = container_of(timer, struct alarm_clock, timer);
    alarm_clock->n_calls++;
    alarm_clock->order = ++next_order;
    if (alarm_clock->again_at)
        timer_start(timer, alarm_clock->loop, alarm_clock->again_at);
}

TEST(a_watch_is_called_when_bytes_come_and_once_for_them)
{
    struct loop *loop = loop_new(clock_system());
    int ends[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    struct reader reader = { .watch.on_ready = reader_on_ready };
    CHECK_INT(watch_add(&reader.watch, loop, ends[0], EPOLLIN), 0);

    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK_INT(reader.n_calls, 0);
    CHECK_INT(write(ends[1], "x", 1), 1);
    CHECK_INT(loop_turn(loop, NSEC_PER_SEC), 0);
    CHECK_INT(reader.n_calls, 1);
    CHECK(reader.events & EPOLLIN);

    /* Edge-triggered: the byte that was not read is no new event. */
    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK_INT(reader.n_calls, 1);
    CHECK_INT(write(ends[1], "x", 1), 1);
    CHECK_INT(loop_turn(loop, NSEC_PER_SEC), 0);
    CHECK_INT(reader.n_calls, 2);

    watch_remove(&reader.watch);
    watch_remove(&reader.watch);
    close(ends[0]);
    close(ends[1]);
    loop_free(loop);
}

TEST(a_watch_removed_by_another_one_is_not_called_with_its_pending_event)
{
    struct loop *loop = loop_new(clock_system());
    int a[2], b[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    struct reader *one = calloc(1, sizeof(*one)), *two = calloc(1, sizeof(*two));
    one->watch.on_ready = two->watch.on_ready = reader_on_ready;
    one->victim = two;
    two->victim = one;
    CHECK_INT(watch_add(&one->watch, loop, a[0], EPOLLIN), 0);
    CHECK_INT(watch_add(&two->watch, loop, b[0], EPOLLIN), 0);

    CHECK_INT(write(a[1], "x", 1), 1);
    CHECK_INT(write(b[1], "x", 1), 1);
    CHECK_INT(loop_turn(loop, NSEC_PER_SEC), 0);
    CHECK_INT(one->n_calls + two->n_calls, 1);

    watch_remove(&one->watch);
    watch_remove(&two->watch);
    free(one);
    free(two);
    loop_free(loop);
}

TEST(timers_run_in_order_of_time_and_never_early)
{
    struct fake_clock clock;
    fake_clock_init(&clock);
    struct loop *loop = loop_new(&clock.clock);
    struct alarm_clock late = { .timer.on_due = alarm_on_due };
    struct alarm_clock soon = { .timer.on_due = alarm_on_due };
    struct alarm_clock never = { .timer.on_due = alarm_on_due };
    timer_start(&late.timer, loop, clock.now + 20);
    timer_start(&soon.timer, loop, clock.now + 10);
    timer_start(&never.timer, loop, clock.now + 15);
    timer_stop(&never.timer);
    timer_stop(&never.timer);

    fake_clock_advance(&clock, 9);
    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK_INT(soon.n_calls, 0);
    fake_clock_advance(&clock, 100);
    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK_INT(soon.order, 1);
    CHECK_INT(late.order, 2);
    CHECK_INT(never.n_calls, 0);
    CHECK(!timer_is_running(&late.timer));
    loop_free(loop);
}

TEST(a_timer_that_starts_itself_for_the_past_does_not_hold_the_turn)
{
    struct fake_clock clock;
    fake_clock_init(&clock);
    struct loop *loop = loop_new(&clock.clock);
    struct alarm_clock again = { .timer.on_due = alarm_on_due, .loop = loop, .again_at = 1 };
    timer_start(&again.timer, loop, clock.now);
    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK_INT(again.n_calls, 1);
    CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
    CHECK_INT(again.n_calls, 2);
    loop_free(loop);
}

TEST(a_real_timer_wakes_the_loop)
{
    struct loop *loop = loop_new(clock_system());
    struct alarm_clock soon = { .timer.on_due = alarm_on_due };
    nsec at = loop_now(loop) + 5 * NSEC_PER_MSEC;
    timer_start(&soon.timer, loop, at);
    while (soon.n_calls == 0)
        CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
    CHECK(loop_now(loop) >= at);
    loop_free(loop);
}

struct chore {
    struct task task;
    struct loop *loop;
    bool is_repeated;
    unsigned n_runs;
};

static void chore_on_run(struct task *task)
{
    struct chore *chore = container_of(task, struct chore, task);
    chore->n_runs++;
    if (chore->is_repeated)
        task_defer(task, chore->loop);
}

TEST(a_task_runs_once_and_one_deferred_meanwhile_in_the_next_turn)
{
    struct loop *loop = loop_new(clock_system());
    struct chore once = { .task.on_run = chore_on_run };
    struct chore again = { .task.on_run = chore_on_run, .loop = loop, .is_repeated = true };
    struct chore cancelled = { .task.on_run = chore_on_run };
    list_init(&once.task.link);
    list_init(&again.task.link);
    list_init(&cancelled.task.link);
    task_defer(&once.task, loop);
    task_defer(&once.task, loop);
    task_defer(&again.task, loop);
    task_defer(&cancelled.task, loop);
    task_cancel(&cancelled.task);

    CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
    CHECK_INT(once.n_runs, 1);
    CHECK_INT(again.n_runs, 1);
    CHECK_INT(cancelled.n_runs, 0);
    CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
    CHECK_INT(once.n_runs, 1);
    CHECK_INT(again.n_runs, 2);
    loop_free(loop);
}

static struct loop *stopped_loop;

static void stop_from_signal(int number)
{
    (void)number;
    loop_stop(stopped_loop); /* NOLINT(bugprone-signal-handler): promised to work here */
}

TEST(loop_stop_works_from_a_signal_handler_and_before_the_run)
{
    struct loop *loop = stopped_loop = loop_new(clock_system());
    loop_stop(loop);
    CHECK_INT(loop_run(loop), 0);

    signal(SIGALRM, stop_from_signal);
    struct alarm_clock soon = { .timer.on_due = alarm_on_due };
    timer_start(&soon.timer, loop, loop_now(loop) + 3600 * NSEC_PER_SEC);
    ualarm(1000, 0);
    CHECK_INT(loop_run(loop), 0);
    CHECK_INT(soon.n_calls, 0);
    loop_free(loop);
}
