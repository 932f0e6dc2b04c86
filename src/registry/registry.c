/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fold. A service stands as long as anything refers to it: its record, a build or an
 * instance; a build as long as its record or an instance of it. So records may come and go in any
 * order, within a transaction and at load, and nothing dangles.
 */

#include "base/mem.h"
#include "registry/fold.h"

#define PANIC_STANDARD 50u /* percent */

struct registry *registry_new(void)
{
    struct registry *registry = mem_new(struct registry);
    map_init(&registry->services);
    map_init(&registry->owners);
    registry->self = mem_strdup("");
    registry->elected = mem_strdup("");
    registry->host = mem_strdup("");
    registry->panic_percent = PANIC_STANDARD;
    return registry;
}

static void build_free(struct build *build)
{
    map_remove(&build->service->builds, &build->node);
    free(build->version);
    free(build->digest);
    grpc_names_clear(build);
    free(build);
}

static void instance_clear(struct instance *instance)
{
    for (unsigned i = 0; i < instance->n_meta; i++) {
        free(instance->meta[i].key);
        free(instance->meta[i].value);
    }
    free(instance->meta);
    free(instance->address);
    free(instance->protocol);
    free(instance->health_target);
}

static void instance_free(struct registry *registry, struct instance *instance)
{
    heap_remove(&registry->deadlines, &instance->deadline);
    heap_remove(&registry->trusts, &instance->trust);
    map_remove(&instance->service->instances, &instance->node);
    instance_clear(instance);
    instance_set_owner(registry, instance, SPAN_NULL);
    free(instance->check_output);
    free(instance->id);
    free(instance);
}

static void service_free(struct registry *registry, struct service *service)
{
    map_each (node, &service->instances)
        instance_free(registry, container_of(node, struct instance, node));
    map_each (node, &service->builds)
        build_free(container_of(node, struct build, node));
    map_fini(&service->instances);
    map_fini(&service->builds);
    map_remove(&registry->services, &service->node);
    free(service->name);
    free(service);
}

struct registry *registry_free(struct registry *registry)
{
    if (!registry)
        return NULL;

    map_each (node, &registry->services)
        service_free(registry, container_of(node, struct service, node));
    map_fini(&registry->services);
    owners_free(registry);
    heap_fini(&registry->deadlines);
    heap_fini(&registry->trusts);
    free(registry);
    return NULL;
}

const struct map *registry_services(const struct registry *registry)
{
    return &registry->services;
}

struct service *service_find(const struct registry *registry, struct span name)
{
    return map_find_as(&registry->services, name, struct service, node);
}

struct build *build_find(const struct service *service, struct span version)
{
    return map_find_as(&service->builds, version, struct build, node);
}

struct instance *instance_find(const struct service *service, struct span id)
{
    return map_find_as(&service->instances, id, struct instance, node);
}

bool build_provides(const struct build *build, uint32_t major)
{
    for (unsigned i = 0; i < build->n_provides; i++) {
        if (build->provides[i] == major)
            return true;
    }
    return false;
}

static struct service *service_get(struct registry *registry, struct span name)
{
    struct service *service = service_find(registry, name);
    if (service)
        return service;

    service = mem_new(struct service);
    service->name = mem_span_dup(name);
    service->registry = registry;
    map_init(&service->builds);
    map_init(&service->instances);
    map_add(&registry->services, &service->node, span_of(service->name));
    return service;
}

static void service_release(struct registry *registry, struct service *service)
{
    if (!service->is_known && !service->builds.n_nodes && !service->instances.n_nodes)
        service_free(registry, service);
}

/* The version must have been checked. Without a record it provides the major of its version. */
static struct build *build_get(struct service *service, struct span version)
{
    struct build *build = build_find(service, version);
    if (build)
        return build;

    build = mem_new(struct build);
    build->service = service;
    build->version = mem_span_dup(version);
    build->digest = mem_strdup("");
    IGNORE(semver_parse(span_of(build->version), &build->semver), "was parsed before");
    build->provides[0] = build->semver.major;
    build->n_provides = 1;
    map_add(&service->builds, &build->node, span_of(build->version));
    return build;
}

static void build_release(struct build *build)
{
    if (!build->mod_revision && !build->n_instances)
        build_free(build);
}

/* Puts the instance under a build, or under none; the build it leaves may go. */
static void instance_move(struct instance *instance, struct build *build)
{
    struct build *before = instance->build;
    instance->build = build;
    if (build) {
        build->n_instances++;
        build->n_ready += instance_is_ready(instance);
        build->n_proven += instance_is_proven(instance);
        build->n_trusted += instance_is_trusted(instance);
    }
    if (before)
        build_release(before);
}

/* Takes the instance out of its build's counts, so that it may change. */
static void instance_uncount(const struct instance *instance)
{
    instance->build->n_instances--;
    instance->build->n_ready -= instance_is_ready(instance);
    instance->build->n_proven -= instance_is_proven(instance);
    instance->build->n_trusted -= instance_is_trusted(instance);
}

static bool version_is_valid(struct span version)
{
    struct semver semver;
    return semver_parse(version, &semver) == SEMVER_OK;
}

/* --- one function per kind of record; `name` is the key behind its kind --- */

static void service_record_freep(Registry__ServiceRecord **record)
{
    registry__service_record__free_unpacked(*record, NULL);
}

static void build_record_freep(Registry__BuildRecord **record)
{
    registry__build_record__free_unpacked(*record, NULL);
}

static void instance_record_freep(Registry__InstanceRecord **record)
{
    registry__instance_record__free_unpacked(*record, NULL);
}

static const uint8_t *value_bytes(const struct store_event *event)
{
    return (const uint8_t *)event->entry.value.data;
}

/* Records come in the order of keys at a load, and so does what differs after another. */
static void note_change(struct service *service, const struct store_event *event)
{
    if (event->entry.mod_revision > service->changed_revision)
        service->changed_revision = event->entry.mod_revision;
}

static int service_apply(struct registry *registry, struct span name,
                         const struct store_event *event)
{
    if (event->kind == TXN_DELETE) {
        struct service *service = service_find(registry, name);
        if (!service)
            return 0;
        service->is_known = service->is_identity = service->shares_builds = false;
        service->auto_starts = service->promotes_when_baseline_gone = false;
        service->created = 0;
        service->mod_revision = 0;
        note_change(service, event);
        service_release(registry, service);
        return 0;
    }

    CLEANUP(service_record_freep)
    Registry__ServiceRecord *record =
        registry__service_record__unpack(NULL, event->entry.value.size, value_bytes(event));
    if (!record)
        return err_origin(-EBADMSG);

    struct service *service = service_get(registry, name);
    service->is_known = true;
    service->is_identity = record->is_identity;
    service->shares_builds = record->shares_builds;
    service->auto_starts = record->auto_starts;
    service->promotes_when_baseline_gone = record->promotes_when_baseline_gone;
    service->created = record->created;
    service->mod_revision = event->entry.mod_revision;
    note_change(service, event);
    return 0;
}

static int build_apply_put(struct registry *registry, struct span service_name, struct span version,
                           const struct store_event *event)
{
    CLEANUP(build_record_freep)
    Registry__BuildRecord *record =
        registry__build_record__unpack(NULL, event->entry.value.size, value_bytes(event));
    if (!record || !version_is_valid(version) || !record->n_provides ||
        record->n_provides > BUILD_PROVIDES_MAX)
        return err_origin(-EBADMSG);

    struct service *service = service_get(registry, service_name);
    struct build *build = build_get(service, version);
    memcpy(build->provides, record->provides, record->n_provides * sizeof(build->provides[0]));
    build->n_provides = (unsigned)record->n_provides;
    free(build->digest);
    build->digest = mem_strdup(record->digest);
    grpc_names_clear(build);
    build->grpc_services = mem_new_array(char *, record->n_grpc_services + 1);
    build->n_grpc_services = record->n_grpc_services;
    for (size_t i = 0; i < record->n_grpc_services; i++)
        build->grpc_services[i] = mem_strdup(record->grpc_services[i]);
    build->created = record->created;
    build->mod_revision = event->entry.mod_revision;
    note_change(service, event);
    return 0;
}

static int build_apply(struct registry *registry, struct span name, const struct store_event *event)
{
    struct span version = name, service_name = span_cut(&version, '/');
    if (event->kind == TXN_PUT)
        return err_trace(build_apply_put(registry, service_name, version, event));

    struct service *service = service_find(registry, service_name);
    struct build *build = service ? build_find(service, version) : NULL;
    if (!build)
        return 0;

    note_change(service, event);
    build->mod_revision = 0;
    build_release(build);
    service_release(registry, service);
    return 0;
}

static void instance_fill(struct instance *instance, const Registry__InstanceRecord *record)
{
    instance_clear(instance);
    instance->address = mem_strdup(record->address);
    instance->protocol = mem_strdup(record->protocol);
    instance->speaks = protocol_parse(span_of(record->protocol));
    instance->n_meta = (unsigned)record->n_meta;
    instance->meta = mem_new_array(struct instance_meta, record->n_meta);
    for (size_t i = 0; i < record->n_meta; i++) {
        instance->meta[i].key = mem_strdup(record->meta[i]->key);
        instance->meta[i].value = mem_strdup(record->meta[i]->value);
    }
    instance->ttl = record->ttl;
    instance->deregister_after = record->deregister_after;
    instance->is_draining = record->is_draining;
    instance->is_failing = record->is_failing;
    instance->is_unproven = record->is_unproven;
    instance->is_withheld = record->is_withheld;
    instance->is_expired = record->is_expired;
    instance->health_target = mem_strdup(record->health ? record->health->target : "");
    instance->health = health_of_record(record->health, span_of(instance->health_target));
    instance->registered = record->registered;
}

static bool is_owned_by(const struct instance *instance, const Registry__InstanceRecord *record)
{
    return strcmp(instance->owner ? instance->owner->id : "", record->owner) == 0;
}

static int instance_apply_put(struct registry *registry, const struct store_event *event,
                              struct span name, nsec now, unix_msec wall)
{
    struct span id = name, service_name = span_cut(&id, '/');
    CLEANUP(instance_record_freep)
    Registry__InstanceRecord *record =
        registry__instance_record__unpack(NULL, event->entry.value.size, value_bytes(event));
    if (!record || !version_is_valid(span_of(record->build)))
        return err_origin(-EBADMSG);

    struct service *service = service_get(registry, service_name);
    struct instance *instance = instance_find(service, id);
    if (instance) {
        instance_uncount(instance);
    } else {
        instance = mem_new(struct instance);
        instance->service = service;
        instance->id = mem_span_dup(id);
        map_add(&service->instances, &instance->node, span_of(instance->id));
    }
    /* A registration, or another owner, is a sign of life; a drain, or what a check says, is none. */
    bool is_new = instance->registered != record->registered;
    bool is_fresh = is_new || !is_owned_by(instance, record);
    bool was_expired = instance->is_expired, was_critical = instance_is_critical(instance);
    nsec period = instance_period(instance);
    if (is_new)
        instance->last_heartbeat = wall;
    instance_set_owner(registry, instance, span_of(record->owner));
    instance_fill(instance, record);
    is_fresh |= was_expired != instance->is_expired || period != instance_period(instance);
    instance_plan(registry, instance, is_fresh, now);
    instance_trust(registry, instance, was_critical, now);
    instance_move(instance, build_get(service, span_of(record->build)));
    instance->mod_revision = event->entry.mod_revision;
    note_change(service, event);
    return 0;
}

static void instance_apply_delete(struct registry *registry, const struct store_event *event,
                                  struct span name)
{
    struct span id = name, service_name = span_cut(&id, '/');
    struct service *service = service_find(registry, service_name);
    struct instance *instance = service ? instance_find(service, id) : NULL;
    if (!instance)
        return;

    note_change(service, event);
    instance_uncount(instance);
    instance_move(instance, NULL);
    instance_free(registry, instance);
    service_release(registry, service);
}

int registry_apply(struct registry *registry, const struct store_event *event, nsec now,
                   unix_msec wall)
{
    struct span key = event->entry.key;
    if (!span_starts_with(key, SPAN(REGISTRY_PREFIX)))
        return 0;

    struct span name = span_from(key, sizeof(REGISTRY_PREFIX) - 1);
    struct span kind = span_cut(&name, '/');
    if (span_is(kind, "service"))
        return err_trace(service_apply(registry, name, event));
    if (span_is(kind, "build"))
        return err_trace(build_apply(registry, name, event));
    if (span_is(kind, "owner"))
        return err_trace(owner_apply(registry, name, event, now));
    if (span_is(kind, "elected"))
        elected_apply(registry, event);
    if (!span_is(kind, "instance"))
        return 0; /* of a later version, which knows what it means */
    if (event->kind == TXN_PUT)
        return err_trace(instance_apply_put(registry, event, name, now, wall));
    instance_apply_delete(registry, event, name);
    return 0;
}

void registry_set_loaded(struct registry *registry, int64_t revision)
{
    map_each (node, &registry->services)
        container_of(node, struct service, node)->changed_revision = revision;
}

static bool build_is_sound(const struct build *build)
{
    unsigned n_instances = 0, n_ready = 0, n_proven = 0, n_trusted = 0;
    map_each (node, &build->service->instances) {
        const struct instance *instance = container_of(node, struct instance, node);
        n_instances += instance->build == build;
        n_ready += instance->build == build && instance_is_ready(instance);
        n_proven += instance->build == build && instance_is_proven(instance);
        n_trusted += instance->build == build && instance_is_trusted(instance);
    }
    return build->n_instances == n_instances && build->n_ready == n_ready &&
           build->n_proven == n_proven && build->n_trusted == n_trusted && n_ready <= n_trusted &&
           n_trusted <= n_proven && build->n_provides && (build->mod_revision || n_instances);
}

/* Adds the instances that have a deadline to *n_deadlines. */
static bool service_is_sound(const struct registry *registry, const struct service *service,
                             size_t *n_deadlines)
{
    bool is_sound = service->is_known == (service->mod_revision != 0) &&
                    (service->is_known || service->builds.n_nodes || service->instances.n_nodes);

    map_each (node, &service->builds)
        is_sound = is_sound && build_is_sound(container_of(node, struct build, node));
    map_each (node, &service->instances) {
        const struct instance *instance = container_of(node, struct instance, node);
        bool is_due = instance_period(instance) != NSEC_NEVER && registry_owns(registry, instance);
        is_sound = is_sound && heap_has(&instance->deadline) == is_due &&
                   (instance->ttl || !instance->is_expired) &&
                   (instance->is_failing || !(instance->is_unproven || instance->is_withheld)) &&
                   (instance_is_critical(instance) || !heap_has(&instance->trust)) &&
                   service->changed_revision >= instance->mod_revision;
        *n_deadlines += is_due;
    }
    return is_sound;
}

bool registry_is_sound(const struct registry *registry)
{
    bool is_sound = true;
    size_t n_deadlines = 0;
    map_each (node, &registry->services) {
        const struct service *service = container_of(node, struct service, node);
        is_sound = service_is_sound(registry, service, &n_deadlines) && is_sound;
    }
    return is_sound && n_deadlines == registry->deadlines.n_nodes;
}
