/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control_expire.h"

#include "base/log.h"
#include "base/mem.h"

#define AGAIN NSEC_PER_SEC

static int build_expire(struct store_command *command, struct txn *txn)
{
    const struct expiry *expiry = container_of(command, struct expiry, command);
    const struct cluster *cluster = expiry->cluster;
    registry_expire(cluster->registry, loop_now(cluster->loop), txn);
    cluster_fence(cluster, txn);
    for (size_t i = 0; i < txn->n_ops; i++) {
        /* registry/instance/orders/orders-1 */
        CLEANUP(mem_freep) char *key = mem_span_dup(txn->ops[i].key);
        const char *what = txn->ops[i].kind == TXN_DELETE
                               ? "instance removed: failing for too long"
                               : "instance expired: no heartbeat within its ttl";
        log_info("registry", what, "key", key);
    }
    return 0;
}

static void look_again(struct expiry *expiry)
{
    struct loop *loop = expiry->cluster->loop;
    timer_start(&expiry->timer, loop, loop_now(loop) + AGAIN);
}

void expiry_plan(struct expiry *expiry)
{
    nsec deadline = registry_next_deadline(expiry->cluster->registry);
    if (deadline == NSEC_NEVER || expiry->is_under_way || expiry->is_held)
        timer_stop(&expiry->timer);
    else
        timer_start(&expiry->timer, expiry->cluster->loop, deadline);
}

static void on_expired(struct store_command *command, int answer, bool is_store_answer,
                       int64_t revision)
{
    (void)revision;
    struct expiry *expiry = container_of(command, struct expiry, command);
    expiry->is_under_way = false;
    if (answer && is_store_answer && !expiry->is_held)
        look_again(
            expiry); /* read-only, most likely: it stays listed until the store writes again */
    else
        expiry_plan(expiry);
}

static void on_due(struct timer *timer)
{
    struct expiry *expiry = container_of(timer, struct expiry, timer);
    stall_look(expiry->stall);
    /* One that has just come back counts when that was seen, for then all get their time anew. */
    if (cluster_is_away(expiry->cluster) || expiry->cluster->was_away) {
        look_again(expiry);
        return;
    }
    expiry->is_under_way = true;
    expiry->command.build = build_expire;
    expiry->command.on_done = on_expired;
    store_run(expiry->cluster->store, &expiry->command);
}

void expiry_init(struct expiry *expiry, struct cluster *cluster, struct stall *stall)
{
    expiry->cluster = cluster;
    expiry->stall = stall;
    expiry->timer.on_due = on_due;
}

void expiry_stop(struct expiry *expiry)
{
    timer_stop(&expiry->timer);
}
