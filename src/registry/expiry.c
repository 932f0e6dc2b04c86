/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A deadline that passed becomes a change on the log. Until that is durable the instance stays as
 * it is, with a second of grace: when the transaction is lost to a race, the next round finds the
 * instance gone, registered anew, or due again. A heartbeat that comes meanwhile is not lost: when
 * the change is applied, it is due at once to be taken back.
 */

#include "registry/fold.h"

#define EXPIRE_GRACE NSEC_PER_SEC
#define DEREGISTER_AFTER_STANDARD (60 * NSEC_PER_SEC) /* of those that send heartbeats */

nsec instance_deregister_after(const struct instance *instance)
{
    if (instance->deregister_after)
        return instance->deregister_after;
    return instance->ttl ? DEREGISTER_AFTER_STANDARD : NSEC_NEVER;
}

/* Who sends heartbeats is there, whatever its checks say. */
nsec instance_period(const struct instance *instance)
{
    if (instance->ttl && !instance->is_expired)
        return instance->ttl;
    return instance_is_critical(instance) ? instance_deregister_after(instance) : NSEC_NEVER;
}

static bool is_renewed(const struct instance *instance)
{
    return instance->is_expired && instance->is_heard;
}

/* An owner that is gone may come back, and its lease is given as long again for that. */
static nsec patience(const struct registry *registry, const struct instance *instance)
{
    nsec period = instance_period(instance);
    if (is_renewed(instance))
        return 0;
    bool is_orphan = !instance_is_own(registry, instance);
    return is_orphan && period < OWNER_TTL ? OWNER_TTL : period;
}

void instance_plan(struct registry *registry, struct instance *instance, bool is_fresh, nsec now)
{
    if (is_fresh)
        instance->n_forgiven = 0;
    if (is_fresh && !instance->is_expired)
        instance->is_heard = false;
    bool is_ours = registry_owns(registry, instance);
    if (!is_ours)
        instance->is_heard = false; /* when it comes back, that was long ago */
    if (instance_period(instance) == NSEC_NEVER || !is_ours)
        heap_remove(&registry->deadlines, &instance->deadline);
    else if (is_fresh || !heap_has(&instance->deadline))
        heap_set(&registry->deadlines, &instance->deadline, now + patience(registry, instance));
}

int instance_heartbeat(struct registry *registry, struct span service, struct span id, nsec now,
                       unix_msec wall)
{
    const struct service *found = service_find(registry, service);
    struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance)
        return REGISTRY_NOT_FOUND;
    if (!instance_is_own(registry, instance))
        return REGISTRY_TRANSITION;

    instance->last_heartbeat = wall;
    if (!instance->ttl)
        return 0;
    instance->is_heard = true;
    instance->n_forgiven = 0;
    if (instance->is_expired)
        return REGISTRY_TRANSITION;
    heap_set(&registry->deadlines, &instance->deadline, now + instance->ttl);
    return 0;
}

static void write_expired(const struct instance *instance, bool is_expired, const char *owner,
                          struct txn *txn)
{
    struct span key =
        instance_key(&txn->arena, span_of(instance->service->name), span_of(instance->id));
    Registry__InstanceRecord record = instance_record(instance, &txn->arena);
    record.is_expired = is_expired;
    if (owner)
        record.owner = record_text(&txn->arena, span_of(owner));
    txn_expect(txn, key, instance->mod_revision);
    txn_put(txn, key, txn_pack(txn, &record.base));
}

int instance_claim(const struct registry *registry, struct span service, struct span id,
                   struct txn *txn)
{
    const struct service *found = service_find(registry, service);
    const struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance)
        return REGISTRY_NOT_FOUND;
    if (instance->is_expired || !instance_is_own(registry, instance))
        write_expired(instance, false, registry->self, txn);
    return 0;
}

static void step(const struct registry *registry, struct instance *instance, struct txn *txn)
{
    struct span service = span_of(instance->service->name), id = span_of(instance->id);
    if (is_renewed(instance)) {
        write_expired(instance, false, NULL, txn);
        return;
    }
    if (instance->ttl && !instance->is_expired) {
        instance->is_heard = false;
        write_expired(instance, true, NULL, txn);
        return;
    }
    IGNORE(instance_delete(registry, service, id, txn), "it was found just now");
}

size_t registry_expire(struct registry *registry, nsec now, struct txn *txn)
{
    unsigned max = txn_ops_max(txn) / 2;
    size_t n = 0;
    struct heap_node *first;

    while (n < max && txn_has_room(txn, 1) && (first = heap_first(&registry->deadlines)) &&
           first->at <= now) {
        step(registry, container_of(first, struct instance, deadline), txn);
        heap_set(&registry->deadlines, first, now + EXPIRE_GRACE);
        n++;
    }
    return n;
}

static void service_forgive(struct registry *registry, struct service *service, nsec now)
{
    map_each (node, &service->instances) {
        struct instance *instance = container_of(node, struct instance, node);
        if (!heap_has(&instance->deadline) || is_renewed(instance) ||
            instance->n_forgiven == REGISTRY_FORGIVES)
            continue;
        instance->n_forgiven++;
        heap_set(&registry->deadlines, &instance->deadline, now + patience(registry, instance));
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
