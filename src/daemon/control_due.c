/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What becomes due by itself on the control loop: instances whose TTL is over, and the steps of
 * rollouts.
 */

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/control_state.h"

static int build_expire(struct store_command *command, struct txn *txn)
{
    struct control *control = container_of(command, struct control, expire_command);
    registry_expire(control->rooms.registry, loop_now(control->loop), txn);
    for (size_t i = 0; i < txn->n_ops; i++) {
        /* registry/instance/orders/orders-1 */
        CLEANUP(mem_freep) char *key = mem_span_dup(txn->ops[i].key);
        log_info("registry", "instance expired: no heartbeat within its ttl", "key", key);
    }
    return 0;
}

static void plan_expire(struct control *control)
{
    nsec deadline = registry_next_deadline(control->rooms.registry);
    if (deadline == NSEC_NEVER || control->is_expiring || control->is_holding)
        timer_stop(&control->expire);
    else
        timer_start(&control->expire, control->loop, deadline);
}

static void on_expired(struct store_command *command, int answer, bool is_store_answer,
                       int64_t revision)
{
    (void)revision;
    struct control *control = container_of(command, struct control, expire_command);
    control->is_expiring = false;
    if (answer && is_store_answer && !control->is_holding) {
        /* Read-only, most likely: what has expired stays listed until the store writes again. */
        timer_start(&control->expire, control->loop, loop_now(control->loop) + NSEC_PER_SEC);
    } else {
        plan_expire(control);
    }
}

static void on_expire_due(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, expire);
    control->is_expiring = true;
    control->expire_command.build = build_expire;
    control->expire_command.on_done = on_expired;
    store_run(control->rooms.store, &control->expire_command);
}

void timer_start_wall(struct timer *timer, struct loop *loop, unix_msec at)
{
    unix_msec left = at - loop_wall(loop);
    timer_start(timer, loop, loop_now(loop) + (left > 0 ? (nsec)left * NSEC_PER_MSEC : 0));
}

static int build_advance(struct store_command *command, struct txn *txn)
{
    struct control *control = container_of(command, struct control, advance_command);
    struct rollout_context context = rooms_rollout_context(&control->rooms);
    return rollout_due(&context, txn) ? 0 : 1;
}

static void advance(struct control *control);

static void on_advanced(struct store_command *command, int answer, bool is_store_answer,
                        int64_t revision)
{
    (void)revision;
    struct control *control = container_of(command, struct control, advance_command);
    control->is_advancing = false;
    if (!answer) {
        advance(control);
        return;
    }
    unix_msec due = rollout_next_due(control->rooms.rollouts);
    if (control->is_holding)
        return;
    if (is_store_answer)
        timer_start(&control->advance, control->loop, loop_now(control->loop) + NSEC_PER_SEC);
    else if (due)
        timer_start_wall(&control->advance, control->loop, due);
    else
        timer_stop(&control->advance);
}

/* Makes the changes that are due in rollouts, one after the other. */
static void advance(struct control *control)
{
    if (control->is_advancing || control->is_holding)
        return;
    control->is_advancing = true;
    control->advance_command.build = build_advance;
    control->advance_command.on_done = on_advanced;
    store_run(control->rooms.store, &control->advance_command);
}

static void on_advance_due(struct timer *timer)
{
    advance(container_of(timer, struct control, advance));
}

void control_due_init(struct control *control)
{
    control->expire.on_due = on_expire_due;
    control->advance.on_due = on_advance_due;
}

void control_due(struct control *control)
{
    plan_expire(control);
    advance(control);
}

void control_due_stop(struct control *control)
{
    timer_stop(&control->expire);
    timer_stop(&control->advance);
}
