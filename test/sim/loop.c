/* SPDX-License-Identifier: Apache-2.0 */

#include "loop.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "io/mailbox.h"
#include "world.h"

#define WALL_START 1795161600000 /* 2026-11-20T08:00:00Z */

struct loop {
    struct list link;
    struct machine *machine;
    struct clock *clock;
    nsec now;
    unix_msec wall;
    nsec rested_at; /* of the world's time: turns take some */
    struct heap timers;
    struct list tasks, arrivals, mailboxes;
    bool is_stopping;
    unsigned depth; /* turns that are under way, or wait for the world */
};

struct mailbox {
    struct list link;
    struct loop *loop;
    struct letter *first, **last;
    nsec ready_at;
    mailbox_fn on_letter;
    void *owner;
};

static struct list loops = { &loops, &loops };
static struct machine *current;

/* --- machines --- */

static nsec machine_now(struct clock *clock)
{
    return world.now + container_of(clock, struct machine, clock)->booted;
}

static unix_msec machine_wall(struct clock *clock)
{
    const struct machine *machine = container_of(clock, struct machine, clock);
    return WALL_START + (unix_msec)(world.now / MSEC) + machine->wall_offset;
}

void machine_init(struct machine *machine, unsigned number)
{
    *machine = (struct machine){
        .clock = { .now = machine_now, .wall = machine_wall },
        .number = number,
        .booted = chance_time(0, 1000 * SECOND),
        .wall_offset = (int64_t)chance_below(2000) - 1000,
    };
}

void machine_enter(struct machine *machine)
{
    current = machine;
}

struct machine *machine_current(void)
{
    return current;
}

struct machine *loop_machine(const struct loop *loop)
{
    return loop->machine;
}

bool machine_is_inside(const struct machine *machine)
{
    list_each (link, &loops) {
        const struct loop *loop = container_of(link, struct loop, link);
        if (loop->machine == machine && loop->depth)
            return true;
    }
    return false;
}

/* A log line that is written before a run begins has no machine. */
struct clock *clock_system(void)
{
    static struct machine none = { .clock = { .now = machine_now, .wall = machine_wall } };
    return current ? &current->clock : &none.clock;
}

/* --- turns --- */

static void loop_read_clock(struct loop *loop)
{
    loop->now = clock_now(loop->clock);
    loop->wall = clock_wall(loop->clock);
}

static nsec loop_due(const struct loop *loop)
{
    if (!list_is_empty(&loop->tasks) || !list_is_empty(&loop->arrivals))
        return world.now;
    const struct heap_node *first = heap_first(&loop->timers);
    nsec due = NSEC_NEVER;
    if (first && first->at != NSEC_NEVER)
        due = first->at > loop->machine->booted ? first->at - loop->machine->booted : 0;
    list_each (link, &loop->mailboxes) {
        const struct mailbox *mailbox = container_of(link, struct mailbox, link);
        if (mailbox->first)
            due = earlier(due, mailbox->ready_at);
    }
    return due;
}

static nsec loop_turns_at(const struct loop *loop)
{
    if (loop->machine->is_paused || loop->machine->is_dead)
        return NSEC_NEVER;
    nsec due = loop_due(loop);
    return due < loop->rested_at ? loop->rested_at : due;
}

struct loop *loops_next(nsec *ret_at)
{
    struct loop *next = NULL;
    *ret_at = NSEC_NEVER;
    list_each (link, &loops) {
        struct loop *loop = container_of(link, struct loop, link);
        nsec at = loop->depth ? NSEC_NEVER : loop_turns_at(loop);
        if (at < *ret_at) {
            *ret_at = at;
            next = loop;
        }
    }
    return next;
}

static void mailbox_deliver(struct mailbox *mailbox)
{
    struct letter *letter = steal(mailbox->first);
    mailbox->last = &mailbox->first;
    while (letter) {
        struct letter *next = letter->next;
        letter->next = NULL;
        mailbox->on_letter(mailbox->owner, letter);
        letter = next;
    }
}

static void loop_run_arrivals(struct loop *loop)
{
    struct list due, *link;
    list_init(&due);
    list_move_all(&due, &loop->arrivals);
    while ((link = list_take_first(&due))) {
        struct arrival *arrival = container_of(link, struct arrival, link);
        arrival->on_arrival(arrival);
    }
    list_each_safe (box, &loop->mailboxes) {
        struct mailbox *mailbox = container_of(box, struct mailbox, link);
        if (loop->machine->is_dead || mailbox->ready_at <= world.now)
            mailbox_deliver(mailbox);
    }
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
    struct list due, *link;
    list_init(&due);
    list_move_all(&due, &loop->tasks);
    while ((link = list_take_first(&due))) {
        struct task *task = container_of(link, struct task, link);
        task->on_run(task);
    }
}

void loop_take_turn(struct loop *loop)
{
    struct machine *before = current;
    current = loop->machine;
    loop->depth++;
    loop->machine->turned_at = world.now;
    loop_read_clock(loop);
    loop_run_arrivals(loop);
    loop_run_timers(loop);
    loop_run_tasks(loop);
    loop->rested_at = world.now + (chance(5) ? chance_time(MSEC, 40 * MSEC) : 1000);
    loop->depth--;
    current = before;
}

/* From inside a turn, or from outside all of them. A machine that died waits for nothing. */
int loop_turn(struct loop *loop, nsec timeout)
{
    nsec until = after(world.now, timeout);
    struct machine *before = current;
    loop->depth++;
    while (!loop->machine->is_dead &&
           (loop->machine->is_paused || (loop_turns_at(loop) > world.now && world.now < until)))
        world_step(loop->machine->is_paused ? NSEC_NEVER : earlier(until, loop_turns_at(loop)));
    loop->depth--;
    current = before;
    if (loop->machine->is_dead)
        return -ECANCELED;
    if (loop_turns_at(loop) <= world.now)
        loop_take_turn(loop);
    return 0;
}

/* Called where a thread is joined: what it was sent is finished, also on a machine that died. */
int loop_run(struct loop *loop)
{
    while (!loop->is_stopping) {
        if (loop->machine->is_dead || loop_turn(loop, NSEC_NEVER))
            loop_take_turn(loop);
    }
    loop->is_stopping = false;
    return 0;
}

/* --- the rest of io/loop.h --- */

struct loop *loop_new(struct clock *clock)
{
    struct loop *loop = mem_new(struct loop);
    loop->clock = clock;
    loop->machine = current;
    list_init(&loop->tasks);
    list_init(&loop->arrivals);
    list_init(&loop->mailboxes);
    list_add_last(&loops, &loop->link);
    loop_read_clock(loop);
    return loop;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    assert(list_is_empty(&loop->mailboxes));
    list_remove(&loop->link);
    while (list_take_first(&loop->tasks) || list_take_first(&loop->arrivals)) {
    }
    while (loop->timers.n_nodes > 0)
        heap_remove(&loop->timers, heap_first(&loop->timers));
    heap_fini(&loop->timers);
    free(loop);
    return NULL;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
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

void loop_arrive(struct loop *loop, struct arrival *arrival)
{
    list_add_last(&loop->arrivals, &arrival->link);
}

/* There are no descriptors here. */
int watch_add(struct watch *watch, struct loop *loop, int fd, uint32_t events)
{
    (void)watch, (void)loop, (void)fd, (void)events;
    return -ENOSYS;
}

void watch_remove(struct watch *watch)
{
    (void)watch;
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

/* --- io/mailbox.h --- */

struct mailbox *mailbox_new(struct loop *loop, mailbox_fn on_letter, void *owner)
{
    struct mailbox *mailbox = mem_new(struct mailbox);
    *mailbox = (struct mailbox){ .loop = loop, .on_letter = on_letter, .owner = owner };
    mailbox->last = &mailbox->first;
    list_add_last(&loop->mailboxes, &mailbox->link);
    return mailbox;
}

struct mailbox *mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return NULL;
    list_remove(&mailbox->link);
    mailbox_deliver(mailbox);
    free(mailbox);
    return NULL;
}

/* The receiver is another thread: it gets to it when it does. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    if (!mailbox->first)
        mailbox->ready_at = world.now + chance_delay();
    letter->next = NULL;
    *mailbox->last = letter;
    mailbox->last = &letter->next;
}
