/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control_expire.h"

#include "base/log.h"
#include "base/mem.h"

#define AGAIN NSEC_PER_SEC

struct expired {
    char *key;
    bool is_removed;
};

static void forget_expired(struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->n_expired; i++)
        free(expiry->expired[i].key);
    free(expiry->expired);
    expiry->expired = NULL;
    expiry->n_expired = expiry->expired_capacity = 0;
}

/* One that is expired already is written because a heartbeat took that back. */
static bool is_renewal(const struct expiry *expiry, const struct txn_op *op)
{
    struct span id = span_from(op->key, sizeof(REGISTRY_PREFIX "instance/") - 1);
    struct span name = span_cut(&id, '/');
    const struct service *service = service_find(expiry->cluster->registry, name);
    const struct instance *instance = service ? instance_find(service, id) : NULL;
    return op->kind == TXN_PUT && instance && instance->is_expired;
}

static void keep_expired(struct expiry *expiry, const struct txn_op *op)
{
    mem_grow(expiry->expired, expiry->n_expired, expiry->expired_capacity);
    expiry->expired[expiry->n_expired++] =
        (struct expired){ mem_span_dup(op->key), op->kind == TXN_DELETE };
}

static int build_expire(struct store_command *command, struct txn *txn)
{
    struct expiry *expiry = container_of(command, struct expiry, command);
    const struct cluster *cluster = expiry->cluster;
    forget_expired(expiry); /* of a try that lost a race */
    registry_expire(cluster->registry, loop_now(cluster->loop), txn);
    cluster_fence(cluster, txn);
    for (size_t i = 0; i < txn->n_ops; i++) {
        if (!is_renewal(expiry, &txn->ops[i]))
            keep_expired(expiry, &txn->ops[i]);
    }
    return 0;
}

static void tell_expired(const struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->n_expired; i++) {
        const struct expired *expired = &expiry->expired[i];
        const char *what = expired->is_removed ? "instance removed: failing for too long"
                                               : "instance expired: no heartbeat within its ttl";
        log_info("registry", what, "key", expired->key);
    }
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
    if (!answer)
        tell_expired(expiry);
    forget_expired(expiry);
    bool is_read_only = answer && is_store_answer; /* most likely: then it stays listed */
    if (is_read_only && !expiry->is_held)
        look_again(expiry);
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
