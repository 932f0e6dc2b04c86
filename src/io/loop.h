#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The event loop: descriptors, timers and deferred work of one thread.
 *
 * Edge-triggered epoll. A watched descriptor is added once and never modified: its owner reads or
 * writes until the kernel says "not now" (or gives less than was asked for) and is called again
 * when that changes. One turn of the loop: wait, call what is ready, run due timers, run deferred
 * tasks, once each. The clock is read once a turn.
 *
 * Owns:     the epoll descriptor. Everything registered is embedded in its owner.
 * Borrows:  the clock, which must outlive the loop.
 * Threads:  a loop belongs to the thread that runs it; only loop_stop() and mailboxes cross.
 * Cost:     add and remove O(1), timers O(log n), a turn O(ready + due).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/list.h"

struct loop;

struct loop *loop_new(struct clock *clock);
struct loop *loop_free(struct loop *loop);

/* Runs until loop_stop(). Faults come from epoll only. */
int loop_run(struct loop *loop) MUST_CHECK;

/* One turn, waiting at most `timeout`; for tests and for draining. */
int loop_turn(struct loop *loop, nsec timeout) MUST_CHECK;

/* Ends loop_run() after the current turn. Any thread, any signal handler. */
void loop_stop(struct loop *loop);

/* The time this turn began. */
nsec loop_now(const struct loop *loop);
unix_msec loop_wall(const struct loop *loop); /* a millisecond old at most */
struct clock *loop_clock(struct loop *loop);

/* A watched descriptor. on_ready gets EPOLL* bits; the watch may be removed (and its owner freed)
 * from any callback, also while its own events are pending. Zeroed, it is one that is not added. */
struct watch {
    int fd;
    bool is_due; /* an event of this turn is still to be told */
    void (*on_ready)(struct watch *watch, uint32_t events);
    struct list link;
    struct loop *loop;
};

/* `events` without EPOLLET, which is always added. */
int watch_add(struct watch *watch, struct loop *loop, int fd, uint32_t events) MUST_CHECK;

/* Idempotent. Does not close the descriptor. */
void watch_remove(struct watch *watch);

struct timer {
    void (*on_due)(struct timer *timer);
    struct heap_node node;
    struct loop *loop;
};

/* Starts, or moves, the timer. on_due is called once, never earlier than `at`. */
void timer_start(struct timer *timer, struct loop *loop, nsec at);

/* Idempotent. */
void timer_stop(struct timer *timer);

static inline bool timer_is_running(const struct timer *timer)
{
    return heap_has(&timer->node);
}

/* Work put off to the end of this turn: flushing, freeing, coalescing. */
struct task {
    void (*on_run)(struct task *task);
    struct list link;
};

/* Idempotent while the task waits. `link` must have been list_init()ed. */
void task_defer(struct task *task, struct loop *loop);
void task_cancel(struct task *task);
