/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who owns which instance. An owner's record goes with the lease of its process; what it owned is
 * then for the elected process to reap, after as much time as a heartbeat needs to get to another
 * process, and the owner to come back.
 */

#include <stdlib.h>

#include "base/mem.h"
#include "registry/fold.h"

static struct owner *owner_find(const struct registry *registry, struct span id)
{
    return map_find_as(&registry->owners, id, struct owner, node);
}

static struct owner *owner_get(struct registry *registry, struct span id)
{
    struct owner *owner = owner_find(registry, id);
    if (owner)
        return owner;
    owner = mem_new(struct owner);
    owner->id = mem_span_dup(id);
    map_add(&registry->owners, &owner->node, (struct span){ owner->id, id.size });
    return owner;
}

static void owner_clear(struct owner *owner)
{
    free(steal(owner->host));
    free(steal(owner->api));
    owner->since = 0;
    owner->mod_revision = 0;
}

static void owner_release(struct registry *registry, struct owner *owner)
{
    if (owner->mod_revision || owner->n_instances)
        return;
    owner_clear(owner);
    free(owner->seen_host);
    map_remove(&registry->owners, &owner->node);
    free(owner->id);
    free(owner);
}

void owners_free(struct registry *registry)
{
    map_each (node, &registry->owners) {
        struct owner *owner = container_of(node, struct owner, node);
        owner->n_instances = 0;
        owner->mod_revision = 0;
        owner_release(registry, owner);
    }
    map_fini(&registry->owners);
    free(registry->self);
    free(registry->elected);
    free(registry->host);
}

const struct map *registry_owners(const struct registry *registry)
{
    return &registry->owners;
}

struct owner *registry_self(const struct registry *registry)
{
    struct owner *owner = owner_find(registry, span_of(registry->self));
    return owner && owner->mod_revision ? owner : NULL;
}

bool registry_reaches(const struct registry *registry, const struct owner *owner)
{
    const struct owner *self = registry_self(registry);
    if (!owner->api || !owner->host)
        return false;
    struct span host = span_of(owner->api);
    host = span_from(host, span_starts_with(host, SPAN("https://")) ? strlen("https://")
                                                                    : strlen("http://"));
    bool is_loopback =
        span_starts_with(host, SPAN("127.")) || span_starts_with(host, SPAN("[::1]:"));
    return !is_loopback || (self && self->host && strcmp(self->host, owner->host) == 0);
}

struct span registry_elected(const struct registry *registry)
{
    return span_of(registry->elected);
}

void registry_set_self(struct registry *registry, struct span id)
{
    free(registry->self);
    registry->self = mem_span_dup(id);
}

void registry_set_host(struct registry *registry, struct span host)
{
    free(registry->host);
    registry->host = mem_span_dup(host);
}

bool instance_is_own(const struct registry *registry, const struct instance *instance)
{
    const struct owner *owner = instance->owner;
    return !registry->self[0] || (owner && strcmp(owner->id, registry->self) == 0);
}

static bool speaks_for(const struct registry *registry, const struct owner *owner)
{
    if (!registry->self[0] || (owner && strcmp(owner->id, registry->self) == 0))
        return true;
    return registry->is_elected && (!owner || !owner->mod_revision);
}

bool registry_owns(const struct registry *registry, const struct instance *instance)
{
    return speaks_for(registry, instance->owner);
}

bool registry_speaks_for(const struct registry *registry, struct span id)
{
    return span_is(id, registry->self) || speaks_for(registry, owner_find(registry, id));
}

static bool has_other_hosts(const struct registry *registry)
{
    map_each (node, &registry->owners) {
        const struct owner *owner = container_of(node, struct owner, node);
        if (owner->mod_revision && strcmp(owner->host, registry->host) != 0)
            return true;
    }
    return false;
}

bool instance_is_away(const struct instance *instance)
{
    const struct registry *registry = instance->service->registry;
    const struct owner *owner = instance->owner;
    if (instance_is_own(registry, instance))
        return false;
    if (!owner)
        return has_other_hosts(registry);
    return !owner->seen_host || strcmp(owner->seen_host, registry->host) != 0;
}

const char *registry_self_id(const struct registry *registry)
{
    return registry->self;
}

void instance_set_owner(struct registry *registry, struct instance *instance, struct span id)
{
    struct owner *before = instance->owner;
    instance->owner = id.size ? owner_get(registry, id) : NULL;
    if (instance->owner)
        instance->owner->n_instances++;
    if (!before)
        return;
    before->n_instances--;
    owner_release(registry, before);
}

static void service_plan(struct registry *registry, const struct service *service, nsec now)
{
    map_each (node, &service->instances)
        instance_plan(registry, container_of(node, struct instance, node), false, now);
}

/* What is ours changed for many at once. */
static void plan_all(struct registry *registry, nsec now)
{
    map_each (node, &registry->services)
        service_plan(registry, container_of(node, struct service, node), now);
}

void registry_set_elected(struct registry *registry, bool is_elected, nsec now)
{
    registry->is_elected = is_elected;
    plan_all(registry, now);
}

static void owner_record_freep(Registry__OwnerRecord **record)
{
    registry__owner_record__free_unpacked(*record, NULL);
}

static int owner_apply_put(struct registry *registry, struct span id,
                           const struct store_event *event)
{
    CLEANUP(owner_record_freep)
    Registry__OwnerRecord *record = registry__owner_record__unpack(
        NULL, event->entry.value.size, (const uint8_t *)event->entry.value.data);
    if (!record || !id.size)
        return err_origin(-EBADMSG);
    struct owner *owner = owner_get(registry, id);
    owner_clear(owner);
    owner->host = mem_strdup(record->host);
    free(owner->seen_host);
    owner->seen_host = mem_strdup(record->host);
    owner->api = mem_strdup(record->api);
    owner->since = record->since;
    owner->mod_revision = event->entry.mod_revision;
    return 0;
}

int owner_apply(struct registry *registry, struct span id, const struct store_event *event,
                nsec now)
{
    const struct owner *before = owner_find(registry, id);
    bool was_there = before && before->mod_revision;
    if (event->kind == TXN_PUT) {
        int r = owner_apply_put(registry, id, event);
        if (r || was_there)
            return r; /* its lease is another, or its address: nothing changes hands */
    } else if (was_there) {
        struct owner *owner = owner_find(registry, id);
        owner_clear(owner);
        owner_release(registry, owner);
    }
    plan_all(registry, now);
    return 0;
}

void elected_apply(struct registry *registry, const struct store_event *event)
{
    free(registry->elected);
    registry->elected = event->kind == TXN_PUT ? mem_span_dup(event->entry.value) : mem_strdup("");
}

static struct span self_key(const struct registry *registry, struct arena *arena)
{
    return span_of(arena_format(arena, REGISTRY_PREFIX "owner/%s", registry->self));
}

void owner_delete(const struct registry *registry, struct txn *txn)
{
    txn_delete(txn, self_key(registry, &txn->arena));
}

void owner_put(const struct registry *registry, struct span host, struct span api, unix_msec since,
               const struct store_lease *lease, struct txn *txn)
{
    Registry__OwnerRecord record;
    registry__owner_record__init(&record);
    record.host = record_text(&txn->arena, host);
    record.api = record_text(&txn->arena, api);
    record.since = since;
    txn_put_leased(txn, self_key(registry, &txn->arena), txn_pack(txn, &record.base), lease);
}
