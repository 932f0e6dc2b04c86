/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Making a snapshot, and its services, contracts and builds. The order matters: releases refer to
 * services, rules and pins to both.
 */

#include "version/snapshot.h"

#include "base/mem.h"
#include "version/cohort.h"
#include "version/state.h"

char *snapshot_text(struct version_snapshot *snapshot, const char *text)
{
    return arena_strdup(&snapshot->arena, text);
}

static struct known_service *service_add(struct version_snapshot *snapshot, const char *name)
{
    struct known_service *known =
        map_find_as(&snapshot->services_by_name, span_of(name), struct known_service, node);
    if (known)
        return known;

    known = &snapshot->services[snapshot->n_services++];
    known->service.name = span_of(snapshot_text(snapshot, name));
    known->service.default_contract = NO_INDEX;
    map_add(&snapshot->services_by_name, &known->node, known->service.name);
    return known;
}

/* In order of appearance, as the registry lists them; those of contracts alone follow. */
static void add_registered(struct version_snapshot *snapshot, const struct registry *registry)
{
    map_each (node, registry_services(registry)) {
        const struct service *service = container_of(node, struct service, node);
        struct known_service *known = service_add(snapshot, service->name);
        known->service.is_identity = service->is_identity;
        known->service.shares_builds = service->shares_builds;
    }
}

struct sorted_contract {
    uint32_t service;
    const struct contract *contract;
};

static int by_service_highest_first(const void *a, const void *b)
{
    const struct sorted_contract *x = a, *y = b;
    if (x->service != y->service)
        return x->service < y->service ? -1 : 1;
    return x->contract->major > y->contract->major ? -1 : x->contract->major < y->contract->major;
}

/* The version's contracts in the order of the snapshot; their services are added. */
static struct sorted_contract *sort_contracts(struct version_snapshot *snapshot,
                                              const struct version *version)
{
    struct sorted_contract *sorted =
        mem_new_array(struct sorted_contract, version->contracts.n_nodes);
    unsigned n = 0;
    map_each (node, &version->contracts) {
        const struct contract *contract = container_of(node, struct contract, node);
        const struct known_service *service = service_add(snapshot, contract->service);
        sorted[n++] =
            (struct sorted_contract){ (uint32_t)(service - snapshot->services), contract };
    }
    qsort(sorted, n, sizeof(*sorted), by_service_highest_first);
    return sorted;
}

/* A build that is there already keeps what was known of it. */
static uint32_t build_add(struct version_snapshot *snapshot, struct known_service *service,
                          const char *version, bool is_ready)
{
    uint32_t index = snapshot_build(snapshot, service->service.name, span_of(version));
    if (index != NO_INDEX)
        return index;

    snapshot->builds[snapshot->n_builds] = (struct known_build){
        .build = { .service = service->service.name,
                   .version = span_of(snapshot_text(snapshot, version)) },
        .is_ready = is_ready,
    };
    service->n_builds++;
    return snapshot->n_builds++;
}

/* The service's builds, then its contracts with their baselines. A baseline whose build is not
 * registered any more stays in the list: answers name it. */
static void service_fill(struct version_snapshot *snapshot, struct known_service *known,
                         const struct registry *registry, const struct sorted_contract *contracts,
                         unsigned n_contracts)
{
    known->builds = snapshot->n_builds;
    const struct service *service = service_find(registry, known->service.name);
    if (service) {
        map_each (node, &service->builds) {
            const struct build *build = container_of(node, struct build, node);
            build_add(snapshot, known, build->version, build_n_served(build) > 0);
        }
    }

    known->contracts = snapshot->n_contracts;
    known->n_contracts = n_contracts;
    for (unsigned i = 0; i < n_contracts; i++) {
        const struct contract *contract = contracts[i].contract;
        snapshot->contracts[snapshot->n_contracts++] = (struct snapshot_contract){
            .name = span_of(snapshot_text(snapshot, contract->name)),
            .service = (uint32_t)(known - snapshot->services),
            .major = contract->major,
            .baseline = contract->baseline[0]
                            ? build_add(snapshot, known, contract->baseline, false)
                            : NO_INDEX,
            .is_offline = contract->state == CONTRACT_OFFLINE,
            .successor = span_of(snapshot_text(snapshot, contract->successor)),
        };
    }
}

static void sort_services(struct version_snapshot *snapshot);

void snapshot_add_services(struct version_snapshot *snapshot, const struct version *version,
                           const struct registry *registry)
{
    size_t n_contracts = version->contracts.n_nodes, n_builds = n_contracts;
    map_each (node, registry_services(registry))
        n_builds += container_of(node, struct service, node)->builds.n_nodes;
    snapshot->services = arena_new_array(&snapshot->arena, struct known_service,
                                         registry_services(registry)->n_nodes + n_contracts);
    snapshot->contracts = arena_new_array(&snapshot->arena, struct snapshot_contract, n_contracts);
    snapshot->builds = arena_new_array(&snapshot->arena, struct known_build, n_builds);

    add_registered(snapshot, registry);
    CLEANUP(mem_freep) struct sorted_contract *sorted = sort_contracts(snapshot, version);
    size_t at = 0;
    for (unsigned i = 0; i < snapshot->n_services; i++) {
        size_t end = at;
        while (end < n_contracts && sorted[end].service == i)
            end++;
        struct known_service *known = &snapshot->services[i];
        service_fill(snapshot, known, registry, sorted + at, (unsigned)(end - at));
        at = end;
        uint32_t major;
        if (service_default_contract(version, known->service.name, &major))
            known->service.default_contract = snapshot_contract(snapshot, i, major);
    }
    sort_services(snapshot);
}

static int by_name(const void *a, const void *b, void *services)
{
    const struct known_service *known = services;
    return span_compare(known[*(const uint32_t *)a].service.name,
                        known[*(const uint32_t *)b].service.name);
}

static void sort_services(struct version_snapshot *snapshot)
{
    snapshot->services_sorted = arena_new_array(&snapshot->arena, uint32_t, snapshot->n_services);
    for (unsigned i = 0; i < snapshot->n_services; i++)
        snapshot->services_sorted[i] = i;
    qsort_r(snapshot->services_sorted, snapshot->n_services, sizeof(uint32_t), by_name,
            snapshot->services);
}

/* Attributes of customers matter only to cohorts. */
static bool has_cohorts(const struct version_rule *rules, unsigned n_rules)
{
    for (unsigned i = 0; i < n_rules && i < RULES_MAX; i++) {
        if (rules[i].cohort)
            return true;
    }
    return false;
}

struct version_snapshot *version_snapshot_new(struct version *version,
                                              const struct registry *registry,
                                              const struct version_rule *rules, unsigned n_rules,
                                              unix_msec wall)
{
    struct version_snapshot *snapshot = mem_new(struct version_snapshot);
    snapshot->wall = wall;
    snapshot->base = snapshot_base_take(version, has_cohorts(rules, n_rules), wall);
    map_init(&snapshot->services_by_name);
    snapshot_add_services(snapshot, version, registry);
    snapshot_add_needs(snapshot);
    snapshot_add_rules(snapshot, rules, n_rules);
    return snapshot;
}

struct version_snapshot *version_snapshot_free(struct version_snapshot *snapshot)
{
    if (!snapshot)
        return NULL;

    for (unsigned i = 0; i < snapshot->n_rules; i++)
        cohort_rule_free(snapshot->rules[i].cohort);
    map_fini(&snapshot->services_by_name);
    snapshot_base_unref(snapshot->base);
    arena_fini(&snapshot->arena);
    free(snapshot);
    return NULL;
}

/* --- reading --- */

unsigned snapshot_n_services(const struct version_snapshot *snapshot)
{
    return snapshot->n_services;
}

unsigned snapshot_n_contracts(const struct version_snapshot *snapshot)
{
    return snapshot->n_contracts;
}

unsigned snapshot_n_builds(const struct version_snapshot *snapshot)
{
    return snapshot->n_builds;
}

uint32_t snapshot_service(const struct version_snapshot *snapshot, struct span name)
{
    const struct known_service *known =
        map_find_as(&snapshot->services_by_name, name, struct known_service, node);
    return known ? (uint32_t)(known - snapshot->services) : NO_INDEX;
}

const struct snapshot_service *snapshot_service_at(const struct version_snapshot *snapshot,
                                                   uint32_t index)
{
    return &snapshot->services[index].service;
}

const struct snapshot_contract *snapshot_contract_at(const struct version_snapshot *snapshot,
                                                     uint32_t index)
{
    return &snapshot->contracts[index];
}

const struct snapshot_build *snapshot_build_at(const struct version_snapshot *snapshot,
                                               uint32_t index)
{
    return &snapshot->builds[index].build;
}

uint32_t snapshot_contract(const struct version_snapshot *snapshot, uint32_t service,
                           uint32_t major)
{
    if (service == NO_INDEX)
        return NO_INDEX;

    const struct known_service *known = &snapshot->services[service];
    for (uint32_t i = known->contracts; i < known->contracts + known->n_contracts; i++) {
        if (snapshot->contracts[i].major == major)
            return i;
    }
    return NO_INDEX;
}

uint32_t snapshot_build(const struct version_snapshot *snapshot, struct span service,
                        struct span version)
{
    uint32_t index = snapshot_service(snapshot, service);
    if (index == NO_INDEX)
        return NO_INDEX;

    const struct known_service *known = &snapshot->services[index];
    for (uint32_t i = known->builds; i < known->builds + known->n_builds; i++) {
        if (span_equals(snapshot->builds[i].build.version, version))
            return i;
    }
    return NO_INDEX;
}

uint32_t snapshot_need_contract(const struct version_snapshot *snapshot,
                                const struct snapshot_need *need)
{
    uint32_t service = need_service(snapshot, need);
    if (service == NO_INDEX)
        return NO_INDEX;

    const struct known_service *known = &snapshot->services[service];
    for (uint32_t i = known->contracts; i < known->contracts + known->n_contracts; i++) {
        if (snapshot_is_routable(&snapshot->contracts[i]) &&
            major_range_has(&need->range, snapshot->contracts[i].major))
            return i;
    }
    return NO_INDEX;
}
