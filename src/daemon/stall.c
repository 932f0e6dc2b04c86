/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stall.h"

#include <stdio.h>

#include "base/log.h"

#define LOOK_EVERY (500 * NSEC_PER_MSEC)
#define STALLED_AFTER NSEC_PER_SEC
#define LATELY (60 * NSEC_PER_SEC)

void stall_look(struct stall *stall)
{
    if (!timer_is_running(&stall->timer))
        return;
    nsec now = loop_now(stall->timer.loop), due = stall->due;
    if (now < due + STALLED_AFTER)
        return;
    stall->due = now + LOOK_EVERY;
    if (!stall->n_lately || now > stall->first + LATELY) {
        stall->first = now;
        stall->n_lately = 0;
    }
    stall->n_lately++;
    char text[24];
    snprintf(text, sizeof(text), "%.1fs", (double)(now - due) / (double)NSEC_PER_SEC);
    log_info("daemon", "nobody could be heard: instances and sessions get all of their time again",
             "for", text);
    stall->on_stalled(stall);
}

static void on_due(struct timer *timer)
{
    struct stall *stall = container_of(timer, struct stall, timer);
    timer_start(timer, timer->loop, loop_now(timer->loop) + LOOK_EVERY);
    stall_look(stall);
    stall->due = timer->node.at;
}

void stall_start(struct stall *stall, struct loop *loop)
{
    stall->timer.on_due = on_due;
    stall->due = loop_now(loop) + LOOK_EVERY;
    timer_start(&stall->timer, loop, stall->due);
}

void stall_stop(struct stall *stall)
{
    timer_stop(&stall->timer);
}
