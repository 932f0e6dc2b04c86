/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/owner.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

static const struct instance *instance_of(const struct consul *consul,
                                          const struct consul_service *service)
{
    const struct service *found = service_find(consul->registry, span_of(service->record->service));
    return found ? instance_find(found, span_of(service->record->instance)) : NULL;
}

bool consul_owns(const struct consul *consul, const struct consul_service *service)
{
    const struct instance *instance = instance_of(consul, service);
    if (!instance)
        return registry_speaks_for(consul->registry, SPAN_NULL);
    return registry_owns(consul->registry, instance);
}

bool consul_minds(const struct consul *consul, const struct consul_service *service)
{
    return service->kind == CONSUL_HERE ? consul_owns(consul, service)
                                        : consul_is_ours(consul, service);
}

bool consul_is_away(const struct consul *consul, const struct consul_service *service)
{
    const struct instance *instance =
        service->kind == CONSUL_HERE ? instance_of(consul, service) : NULL;
    return instance && instance_is_away(instance);
}

nsec consul_patience(const struct consul *consul, const struct consul_service *service, nsec time)
{
    const struct instance *instance = instance_of(consul, service);
    const char *owner = instance && instance->owner ? instance->owner->id : "";
    bool is_own = strcmp(owner, registry_self_id(consul->registry)) == 0;
    bool is_orphan = service->kind == CONSUL_HERE && !is_own;
    return is_orphan && time < OWNER_TTL ? OWNER_TTL : time;
}

int consul_claim(const struct consul *consul, const struct consul_service *service, struct txn *txn)
{
    if (service->kind != CONSUL_HERE)
        return 0;
    int r = instance_claim(consul->registry, span_of(service->record->service),
                           span_of(service->record->instance), txn);
    return r == REGISTRY_NOT_FOUND ? 0 : r; /* it was taken away by other means */
}

static struct consul_service *service_of(const struct consul *consul, struct span instance)
{
    return map_find_as(&consul->service_instances, instance, struct consul_service, instance_node);
}

void consul_owner_changed(struct consul *consul, struct span instance)
{
    struct consul_service *service = service_of(consul, instance);
    if (service)
        consul_service_mind(consul, service);
}

/* --- instances that were deregistered elsewhere --- */

struct removal {
    struct store_command command;
    struct consul *consul;
    char *instance;
};

static int build_removal(struct store_command *command, struct txn *txn)
{
    struct removal *removal = container_of(command, struct removal, command);
    struct consul_service *service = service_of(removal->consul, span_of(removal->instance));
    if (!service || instance_of(removal->consul, service))
        return 1; /* another process was faster, or it is there again */
    consul_service_delete(removal->consul, service, txn);
    return 0;
}

static void on_removed(struct store_command *command, int answer, bool is_store_answer,
                       int64_t revision)
{
    struct removal *removal = container_of(command, struct removal, command);
    (void)revision;
    if (answer && is_store_answer)
        log_warn("consul", "a service that was deregistered elsewhere is still listed", "service",
                 removal->instance);
    free(removal->instance);
    free(removal);
}

void consul_instance_gone(struct consul *consul, struct span instance)
{
    if (!service_of(consul, instance))
        return;
    struct removal *removal = mem_new(struct removal);
    removal->consul = consul;
    removal->instance = mem_span_dup(instance);
    removal->command.build = build_removal;
    removal->command.on_done = on_removed;
    store_run(consul->store, &removal->command);
}

/* --- many at once --- */

void consul_owners_changed(struct consul *consul)
{
    map_each (node, &consul->services[CONSUL_HERE])
        consul_service_mind(consul, container_of(node, struct consul_service, node));
    consul_sessions_mind(consul);
}

static void renew_all(struct consul *consul, const struct map *services)
{
    map_each (node, services) {
        struct consul_service *service = container_of(node, struct consul_service, node);
        list_each (link, &service->checks)
            consul_check_renew(consul, container_of(link, struct consul_check, link));
    }
}

void consul_forgive(struct consul *consul)
{
    renew_all(consul, &consul->services[CONSUL_HERE]);
    renew_all(consul, &consul->services[CONSUL_NODE]);
    consul_sessions_forgive(consul);
}
