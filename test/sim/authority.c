/* SPDX-License-Identifier: Apache-2.0 */

#include "authority.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "process.h"
#include "registry/fold.h"

#define CHECK_EVERY 32u

static struct loop *loop_of(const struct authority *authority)
{
    return authority->process->loop;
}

static void on_events(struct store_watch *watch, const struct store_event *events, size_t n_events,
                      int64_t revision)
{
    (void)revision;
    struct authority *authority = container_of(watch, struct authority, watch);
    struct loop *loop = loop_of(authority);
    for (size_t i = 0; i < n_events; i++)
        MUST(!registry_apply(authority->registry, &events[i], loop_now(loop), loop_wall(loop)),
             "%s cannot read a record of the registry", authority->process->who);
    cluster_changed(&authority->cluster);
    expiry_plan(&authority->expiry);
    if (++authority->n_changes % CHECK_EVERY == 0)
        authority_check(authority);
}

static void load(struct registry *registry, const struct store *store, const struct loop *loop)
{
    const struct store_entry *entries[64];
    struct span after = SPAN_NULL;
    size_t n;
    while ((n = store_range(store, SPAN(REGISTRY_PREFIX), after, entries, 64))) {
        for (size_t i = 0; i < n; i++) {
            const struct store_event event = { .kind = TXN_PUT, .entry = *entries[i] };
            MUST(!registry_apply(registry, &event, loop_now(loop), loop_wall(loop)),
                 "a record of the registry cannot be read");
        }
        after = entries[n - 1]->key;
    }
}

static void on_stalled(struct stall *stall)
{
    struct authority *authority = container_of(stall, struct authority, stall);
    registry_forgive(authority->registry, loop_now(loop_of(authority)));
    expiry_plan(&authority->expiry);
}

/* What is ours to watch over is another now; deadlines have changed with it. */
static void on_cluster_changed(struct cluster *cluster)
{
    expiry_plan(&container_of(cluster, struct authority, cluster)->expiry);
}

static void on_back(struct cluster *cluster)
{
    struct authority *authority = container_of(cluster, struct authority, cluster);
    registry_forgive(authority->registry, loop_now(loop_of(authority)));
    expiry_plan(&authority->expiry);
}

void authority_open(struct authority *authority, struct process *process)
{
    *authority = (struct authority){ .process = process, .is_open = true };
    authority->registry = registry_new();
    authority->cluster.on_elected = on_cluster_changed;
    authority->cluster.on_back = on_back;
    cluster_open(&authority->cluster, process->loop, process->store, authority->registry);
    expiry_init(&authority->expiry, &authority->cluster, &authority->stall);
    load(authority->registry, process->store, process->loop);
    registry_set_loaded(authority->registry, store_revision(process->store));
    authority->watch =
        (struct store_watch){ .prefix = SPAN(REGISTRY_PREFIX), .on_events = on_events };
    IGNORE(store_watch_start(process->store, &authority->watch, 0), "from now on there is no past");
    cluster_start(&authority->cluster, "http://here");
    authority->stall.on_stalled = on_stalled;
    stall_start(&authority->stall, process->loop);
    expiry_plan(&authority->expiry);
}

void authority_stop(struct authority *authority)
{
    if (!authority->is_open)
        return;
    expiry_stop(&authority->expiry);
    stall_stop(&authority->stall);
    cluster_stop(&authority->cluster, false);
}

void authority_close(struct authority *authority)
{
    authority->registry = registry_free(authority->registry);
    authority->is_open = false;
}

/* --- against a fresh fold --- */

static bool text_is(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool instance_is_like(const struct instance *a, const struct instance *b)
{
    return b && text_is(a->address, b->address) && text_is(a->build->version, b->build->version) &&
           text_is(a->owner ? a->owner->id : NULL, b->owner ? b->owner->id : NULL) &&
           a->ttl == b->ttl && a->is_draining == b->is_draining && a->is_failing == b->is_failing &&
           a->registered == b->registered && a->mod_revision == b->mod_revision;
}

static bool service_is_like(const struct service *a, const struct service *b)
{
    if (!b || a->instances.n_nodes != b->instances.n_nodes ||
        a->builds.n_nodes != b->builds.n_nodes || a->mod_revision != b->mod_revision)
        return false;
    bool is_like = true;
    map_each (node, &a->instances) {
        const struct instance *instance = container_of(node, struct instance, node);
        is_like = is_like && instance_is_like(instance, instance_find(b, span_of(instance->id)));
    }
    map_each (node, &a->builds) {
        const struct build *build = container_of(node, struct build, node);
        const struct build *other = build_find(b, span_of(build->version));
        is_like = is_like && other && other->n_instances == build->n_instances &&
                  other->n_ready == build->n_ready && other->mod_revision == build->mod_revision;
    }
    return is_like;
}

void authority_check(const struct authority *authority)
{
    const struct process *process = authority->process;
    MUST(registry_is_sound(authority->registry), "the registry of %s is not sound", process->who);
    CLEANUP(registry_freep) struct registry *fresh = registry_new();
    registry_set_self(fresh, span_of(store_writer_id(process->store)));
    load(fresh, process->store, process->loop);
    MUST(registry_is_sound(fresh), "a fresh registry of %s is not sound", process->who);
    const struct map *services = registry_services(authority->registry);
    bool is_like =
        services->n_nodes == registry_services(fresh)->n_nodes &&
        registry_owners(authority->registry)->n_nodes == registry_owners(fresh)->n_nodes &&
        span_equals(registry_elected(authority->registry), registry_elected(fresh));
    map_each (node, services) {
        const struct service *service = container_of(node, struct service, node);
        is_like = is_like && service_is_like(service, service_find(fresh, span_of(service->name)));
    }
    MUST(is_like, "the registry of %s at revision %lld is not the fold of what its store shows",
         process->who, (long long)store_revision(process->store));
    truth.n_checks++;
}
