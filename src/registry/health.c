/* SPDX-License-Identifier: Apache-2.0 */

#include "registry/fold.h"

#define TIMES_MAX 100u

static int check_time(nsec time, const char *path, struct problem *problem)
{
    if (time >= NSEC_PER_SEC / 10 && time <= 3600 * NSEC_PER_SEC)
        return 0;
    problem_set(problem, path, "is %.3f s; from 100ms to 1h is accepted",
                (double)time / (double)NSEC_PER_SEC);
    return REGISTRY_INVALID;
}

static int check_times(unsigned times, const char *path, struct problem *problem)
{
    if (times >= 1 && times <= TIMES_MAX)
        return 0;
    problem_set(problem, path, "is %u; 1 to %u is accepted", times, TIMES_MAX);
    return REGISTRY_INVALID;
}

int health_check_check(const struct health_check *health, struct problem *problem)
{
    if (health->kind == HEALTH_NONE)
        return 0;
    if (health->target.size > GRPC_NAME_MAX || !text_is_visible(health->target)) {
        problem_set(problem, "health.grpc",
                    "is \"%.*s\"; the name of a gRPC service is accepted, or \"\" for all of the "
                    "instance",
                    QUOTE(health->target));
        return REGISTRY_INVALID;
    }
    int r = check_time(health->interval, "health.interval", problem);
    if (!r)
        r = check_time(health->timeout, "health.timeout", problem);
    if (!r)
        r = check_times(health->failures, "health.failures", problem);
    return r ? r : check_times(health->passes, "health.passes", problem);
}

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
    return record;
}

/* A kind of a later version is none that we could check. */
struct health_check health_of_record(const Registry__HealthCheck *record, struct span target)
{
    if (!record || record->kind != HEALTH_GRPC)
        return (struct health_check){ .kind = HEALTH_NONE };
    return (struct health_check){ .kind = HEALTH_GRPC,
                                  .target = target,
                                  .interval = record->interval,
                                  .timeout = record->timeout,
                                  .failures = record->failures,
                                  .passes = record->passes };
}

bool health_check_equals(const struct health_check *a, const struct health_check *b)
{
    return a->kind == b->kind && span_equals(a->target, b->target) && a->interval == b->interval &&
           a->timeout == b->timeout && a->failures == b->failures && a->passes == b->passes;
}

bool health_turns(struct health_tally *tally, const struct instance *instance, bool has_passed)
{
    if (has_passed != instance->is_failing) {
        tally->n = 0;
        return false;
    }
    unsigned needed = has_passed ? instance->health.passes : instance->health.failures;
    return ++tally->n >= needed;
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
    txn_expect(txn, key, instance->mod_revision);
    txn_put(txn, key, record_pack(&txn->arena, &record.base));
    return 0;
}
