/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/owner.h"

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

void consul_owner_changed(struct consul *consul, struct span instance)
{
    struct consul_service *service =
        map_find_as(&consul->service_instances, instance, struct consul_service, instance_node);
    if (service)
        consul_service_mind(consul, service);
}

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
