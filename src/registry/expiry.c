/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A deadline that passed becomes a deletion on the log. Until that is durable the instance stays,
 * with a second of grace: when the transaction is lost to a race, the next round finds the
 * instance gone, registered anew, or due again.
 */

#include "registry/fold.h"

#define EXPIRE_GRACE NSEC_PER_SEC

/* An owner that is gone may come back, and its lease is given as long again for that. */
static nsec patience(const struct registry *registry, const struct instance *instance)
{
    bool is_orphan = !instance_is_own(registry, instance);
    return is_orphan && instance->ttl < OWNER_TTL ? OWNER_TTL : instance->ttl;
}

/* A TTL starts anew with a registration or another owner, and not with a drain, which is no sign of
 * life. */
void instance_plan(struct registry *registry, struct instance *instance, bool is_fresh, nsec now)
{
    if (!instance->ttl || !registry_owns(registry, instance))
        heap_remove(&registry->deadlines, &instance->deadline);
    else if (is_fresh || !heap_has(&instance->deadline))
        heap_set(&registry->deadlines, &instance->deadline, now + patience(registry, instance));
}

int instance_claim(const struct registry *registry, struct span service, struct span id,
                   struct txn *txn)
{
    const struct service *found = service_find(registry, service);
    const struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance)
        return REGISTRY_NOT_FOUND;
    if (instance_is_own(registry, instance))
        return 0;

    struct span key = instance_key(&txn->arena, service, id);
    Registry__InstanceRecord record = instance_record(instance, &txn->arena);
    record.owner = registry->self;
    txn_expect(txn, key, instance->mod_revision);
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

int instance_heartbeat(struct registry *registry, struct span service, struct span id, nsec now,
                       unix_msec wall)
{
    const struct service *found = service_find(registry, service);
    struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance)
        return REGISTRY_NOT_FOUND;

    if (!instance_is_own(registry, instance))
        return REGISTRY_ELSEWHERE;

    instance->last_heartbeat = wall;
    if (instance->ttl)
        heap_set(&registry->deadlines, &instance->deadline, now + instance->ttl);
    return 0;
}

size_t registry_expire(struct registry *registry, nsec now, struct txn *txn)
{
    unsigned max = txn_ops_max(txn) / 2;
    size_t n = 0;
    struct heap_node *first;

    while (n < max && (first = heap_first(&registry->deadlines)) && first->at <= now) {
        struct instance *instance = container_of(first, struct instance, deadline);
        struct span key =
            instance_key(&txn->arena, span_of(instance->service->name), span_of(instance->id));
        txn_expect(txn, key, instance->mod_revision);
        txn_delete(txn, key);
        heap_set(&registry->deadlines, first, now + EXPIRE_GRACE);
        n++;
    }
    return n;
}

static void service_forgive(struct registry *registry, struct service *service, nsec now)
{
    map_each (node, &service->instances) {
        struct instance *instance = container_of(node, struct instance, node);
        instance_plan(registry, instance, true, now);
    }
}

void registry_forgive(struct registry *registry, nsec now)
{
    map_each (node, registry_services(registry))
        service_forgive(registry, container_of(node, struct service, node), now);
}

nsec registry_next_deadline(const struct registry *registry)
{
    const struct heap_node *first = heap_first(&registry->deadlines);
    return first ? first->at : NSEC_NEVER;
}
