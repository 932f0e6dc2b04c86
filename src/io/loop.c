/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One epoll_wait() hands over up to LOOP_BATCH events. While they are called, any watch may be
 * removed and freed, also one whose event lies further back in the batch. Marking the watch would
 * not do, its memory may be gone; so the loop keeps the batch in view and watch_remove() clears
 * what the batch holds for it. A batch is small, and only removal pays.
 *
 * Timers and tasks that callbacks start while timers and tasks run wait for the next turn, so a
 * turn always ends. epoll counts in milliseconds; waits are rounded up, for a timer that fires
 * early would find nothing to do and spin.
 */

#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

#define LOOP_BATCH 256
#define NEAR (100 * NSEC_PER_MSEC)

struct loop {
    int epoll_fd;
    int stop_fd;
    atomic_bool is_stopping;
    struct clock *clock;
    nsec now;
    unix_msec wall;
    nsec wall_at; /* when that was read */
    struct heap timers;
    struct list tasks;
    struct list watches;
    struct watch stop_watch;
    int n_events, next_event;
    struct epoll_event events[LOOP_BATCH];
};

/* Wall time counts milliseconds, so it is not asked for more often. */
static void loop_read_clock(struct loop *loop)
{
    loop->now = clock_now(loop->clock);
    if (loop->now - loop->wall_at < NSEC_PER_MSEC && loop->wall)
        return;
    loop->wall_at = loop->now;
    loop->wall = clock_wall(loop->clock);
}

/* The wake-up itself is the message, so the counter is never read: with EPOLLET each write is an
 * event of its own. */
static void loop_on_stop(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

struct loop *loop_new(struct clock *clock)
{
    struct loop *loop = mem_new(struct loop);
    loop->clock = clock;
    list_init(&loop->tasks);
    list_init(&loop->watches);
    loop_read_clock(loop);

    /* Without these two there is no program to run, and callers start loops before anything else:
     * a process without descriptors ends here as one without memory does. */
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->stop_fd < 0)
        mem_exhausted(sizeof(*loop));
    loop->stop_watch.on_ready = loop_on_stop;
    if (watch_add(&loop->stop_watch, loop, loop->stop_fd, EPOLLIN))
        mem_exhausted(sizeof(*loop));
    return loop;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;

    watch_remove(&loop->stop_watch);
    assert(list_is_empty(&loop->watches));
    while (!list_is_empty(&loop->tasks))
        list_take_first(&loop->tasks);
    while (loop->timers.n_nodes > 0)
        heap_remove(&loop->timers, heap_first(&loop->timers));
    heap_fini(&loop->timers);
    close(loop->stop_fd);
    close(loop->epoll_fd);
    free(loop);
    return NULL;
}

static int loop_wait_msec(struct loop *loop, nsec timeout)
{
    if (!list_is_empty(&loop->tasks))
        return 0;

    const struct heap_node *first = heap_first(&loop->timers);
    if (first && first->at != NSEC_NEVER) {
        /* What the callbacks of this turn took must not be waited for a second time, where that
         * shows. */
        bool is_near = first->at < loop->now + NEAR;
        nsec now = is_near ? clock_now(loop->clock) : loop->now;
        nsec left = first->at > now ? first->at - now : 0;
        if (left < timeout)
            timeout = left;
    }
    if (timeout == NSEC_NEVER)
        return -1;
    nsec msec = timeout / NSEC_PER_MSEC + (timeout % NSEC_PER_MSEC != 0);
    return msec > INT_MAX ? INT_MAX : (int)msec;
}

/* Past the library where that can be done, for the reason given at socket_receive(). */
static int loop_wait(struct loop *loop, int msec)
{
#ifdef SYS_epoll_wait
    return (int)syscall(SYS_epoll_wait, loop->epoll_fd, loop->events, LOOP_BATCH, msec);
#else
    return epoll_wait(loop->epoll_fd, loop->events, LOOP_BATCH, msec);
#endif
}

static void loop_run_events(struct loop *loop)
{
    for (int i = 0; i < loop->n_events; i++)
        ((struct watch *)loop->events[i].data.ptr)->is_due = true;
    while (loop->next_event < loop->n_events) {
        const struct epoll_event *event = &loop->events[loop->next_event++];
        struct watch *watch = event->data.ptr;
        if (!watch)
            continue;
        watch->is_due = false;
        watch->on_ready(watch, event->events);
    }
    loop->n_events = loop->next_event = 0;
}

static void loop_run_timers(struct loop *loop)
{
    for (size_t left = loop->timers.n_nodes; left > 0; left--) {
        struct heap_node *first = heap_first(&loop->timers);
        if (!first || first->at > loop->now)
            return;
        heap_remove(&loop->timers, first);
        struct timer *timer = container_of(first, struct timer, node);
        timer->on_due(timer);
    }
}

static void loop_run_tasks(struct loop *loop)
{
    struct list due;
    list_init(&due);
    list_move_all(&due, &loop->tasks);
    for (struct list *link; (link = list_take_first(&due));) {
        struct task *task = container_of(link, struct task, link);
        task->on_run(task);
    }
}

/* All turns are these: in a function that is called from two places, the compiler would not put the
 * parts of a turn in line. */
static int run(struct loop *loop, nsec timeout, bool is_once)
{
    do {
        int n = loop_wait(loop, loop_wait_msec(loop, timeout));
        if (n < 0 && errno != EINTR)
            return err_origin(-errno);

        loop->n_events = n > 0 ? n : 0;
        loop->next_event = 0;
        loop_read_clock(loop);
        loop_run_events(loop);
        loop_run_timers(loop);
        loop_run_tasks(loop);
    } while (!is_once && !atomic_exchange(&loop->is_stopping, false));
    return 0;
}

int loop_turn(struct loop *loop, nsec timeout)
{
    return err_trace(run(loop, timeout, true));
}

int loop_run(struct loop *loop)
{
    if (atomic_exchange(&loop->is_stopping, false))
        return 0;
    return err_trace(run(loop, NSEC_NEVER, false));
}

void loop_stop(struct loop *loop)
{
    int saved_errno = errno; /* we may be in a signal handler */
    atomic_store(&loop->is_stopping, true);
    uint64_t one = 1;
    ssize_t n = write(loop->stop_fd, &one, sizeof(one));
    (void)n; /* a full counter has woken the loop already */
    errno = saved_errno;
}

nsec loop_now(const struct loop *loop)
{
    return loop->now;
}

unix_msec loop_wall(const struct loop *loop)
{
    return loop->wall;
}

struct clock *loop_clock(struct loop *loop)
{
    return loop->clock;
}

int watch_add(struct watch *watch, struct loop *loop, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events | EPOLLET, .data.ptr = watch };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return err_origin(-errno);

    watch->fd = fd;
    watch->is_due = false;
    watch->loop = loop;
    list_add_last(&loop->watches, &watch->link);
    return 0;
}

void watch_remove(struct watch *watch)
{
    struct loop *loop = watch->loop;
    if (!loop)
        return;

    /* close() alone would end the registration only when no other process holds the descriptor,
     * and between fork() and exec() one does. */
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->next_event; i < loop->n_events; i++) {
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
    }
    list_remove(&watch->link);
    watch->loop = NULL;
}

void timer_start(struct timer *timer, struct loop *loop, nsec at)
{
    timer->loop = loop;
    heap_set(&loop->timers, &timer->node, at);
}

void timer_stop(struct timer *timer)
{
    if (timer_is_running(timer))
        heap_remove(&timer->loop->timers, &timer->node);
}

void task_defer(struct task *task, struct loop *loop)
{
    if (list_is_empty(&task->link))
        list_add_last(&loop->tasks, &task->link);
}

void task_cancel(struct task *task)
{
    list_remove(&task->link);
}
