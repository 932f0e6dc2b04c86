/* SPDX-License-Identifier: Apache-2.0 */

#include "registry/fold.h"

#include <stdlib.h>

#include "base/mem.h"

Registry__HealthCheck *health_record(const struct health_check *health, struct arena *arena)
{
    if (health->kind == HEALTH_NONE)
        return NULL;
    Registry__HealthCheck *record = arena_new(arena, Registry__HealthCheck);
    registry__health_check__init(record);
    record->kind = health->kind;
    record->target = record_text(arena, health->target);
    record->interval = health->interval;
    record->timeout = health->timeout;
    record->failures = health->failures;
    record->passes = health->passes;
    record->port = health->port;
    if (health_has_status(health->kind)) {
        record->first_status = health->first_status;
        record->last_status = health->last_status;
    }
    return record;
}

/* A kind of a later version is none that we could check. */
struct health_check health_of_record(const Registry__HealthCheck *record, struct span target)
{
    if (!record || record->kind > HEALTH_HTTPS)
        return (struct health_check){ .kind = HEALTH_NONE };
    struct health_check health = health_check_standard;
    health.kind = (enum health_kind)record->kind;
    health.target = target;
    health.port = record->port;
    health.interval = record->interval;
    health.timeout = record->timeout;
    health.failures = record->failures;
    health.passes = record->passes;
    if (health_has_status(health.kind)) {
        health.first_status = record->first_status;
        health.last_status = record->last_status;
    }
    return health;
}

void instance_note_check(struct instance *instance, const char *why)
{
    if (why && instance->check_output && strcmp(why, instance->check_output) == 0)
        return;
    free(instance->check_output);
    instance->check_output = why ? mem_strdup(why) : NULL;
}

int instance_set_failing(const struct registry *registry, struct span service, struct span id,
                         bool is_failing, struct txn *txn)
{
    const struct service *found = service_find(registry, service);
    const struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance || instance->health.kind == HEALTH_NONE)
        return REGISTRY_NOT_FOUND;
    if (instance->is_failing == is_failing)
        return 0;
    struct span key = instance_key(&txn->arena, service, id);
    Registry__InstanceRecord record = instance_record(instance, &txn->arena);
    record.is_failing = is_failing;
    record.is_unproven &= is_failing;
    record.is_withheld &= is_failing;
    txn_expect(txn, key, instance->mod_revision);
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

const char *instance_trouble(const struct instance *instance)
{
    if (instance->is_expired)
        return "no heartbeat came within its ttl";
    if (!instance->is_failing)
        return NULL;
    if (instance->is_withheld)
        return "it is withheld: in maintenance";
    if (instance->check_output)
        return instance->check_output;
    return instance->is_unproven ? "no check has passed yet" : "its checks do not pass";
}

/* --- of a build --- */

void registry_set_panic(struct registry *registry, unsigned percent)
{
    registry->panic_percent = percent;
}

/* Where nobody is well those who are dead for long are as good as any. */
static unsigned n_in_panic(const struct build *build)
{
    return build->n_ready ? build->n_trusted : build->n_proven;
}

bool build_has_panic(const struct build *build)
{
    uint64_t percent = build->service->registry->panic_percent, n = n_in_panic(build);
    return n > 1 && (uint64_t)build->n_ready * 100 < percent * n;
}

unsigned build_n_served(const struct build *build)
{
    return build_has_panic(build) ? n_in_panic(build) : build->n_ready;
}

bool instance_is_served(const struct instance *instance)
{
    if (instance_is_ready(instance))
        return true;
    return build_has_panic(instance->build) &&
           (instance->build->n_ready ? instance_is_trusted(instance)
                                     : instance_is_proven(instance));
}

/* --- how long a critical one is trusted --- */

void instance_trust(struct registry *registry, struct instance *instance, bool was_critical,
                    nsec now)
{
    if (!instance_is_critical(instance))
        heap_remove(&registry->trusts, &instance->trust);
    else if (!was_critical)
        heap_set(&registry->trusts, &instance->trust, now + REGISTRY_TRUST);
}

bool registry_end_trust(struct registry *registry, nsec now)
{
    bool has_ended = false;
    struct heap_node *first;
    while ((first = heap_first(&registry->trusts)) && first->at <= now) {
        struct instance *instance = container_of(first, struct instance, trust);
        instance->build->n_trusted -= instance_is_trusted(instance);
        heap_remove(&registry->trusts, first);
        has_ended = true;
    }
    return has_ended;
}

nsec registry_next_trust_end(const struct registry *registry)
{
    const struct heap_node *first = heap_first(&registry->trusts);
    return first ? first->at : NSEC_NEVER;
}
