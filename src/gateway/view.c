/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/view.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/client.h"
#include "http/server.h"
#include "io/tls.h"

/* Pairs collected in any order and then sorted into runs by their first member. */
struct found {
    uint32_t group;
    uint32_t value; /* a build, or a position in `endpoints` */
};

struct collection {
    const struct version_snapshot *snapshot;
    const struct tls_client *tls;
    struct found *instances, *providers;
    struct endpoint *endpoints;
    size_t n_instances, instances_capacity, n_endpoints, endpoints_capacity;
    size_t n_providers, providers_capacity;
};

static void add_provider(struct collection *into, struct found provider)
{
    mem_grow(into->providers, into->n_providers, into->providers_capacity);
    into->providers[into->n_providers++] = provider;
}

static void leave_out(const struct instance *instance, const char *why)
{
    log_warn("gateway", why, "service", instance->service->name, "instance", instance->id,
             "address", instance->address);
}

static void collect_instance(struct collection *into, const struct instance *instance,
                             uint32_t build)
{
    struct endpoint endpoint = { .build = build };
    if (address_parse(span_of(instance->address), &endpoint.address)) {
        leave_out(instance, "instance has an address that cannot be used");
        return;
    }
    if (address_is_loopback(&endpoint.address) && instance_is_away(instance))
        return; /* something else is there on our host */
    if (instance->speaks.is_tls) {
        if (!into->tls) {
            leave_out(instance, "instance speaks TLS, which cannot be spoken to it");
            return;
        }
        endpoint.tls = into->tls;
    }
    endpoint.protocol = instance->speaks.is_http2 ? HTTP_PROTOCOL_2 : HTTP_PROTOCOL_1;
    mem_grow(into->endpoints, into->n_endpoints, into->endpoints_capacity);
    mem_grow(into->instances, into->n_instances, into->instances_capacity);
    into->endpoints[into->n_endpoints] = endpoint;
    into->instances[into->n_instances++] = (struct found){ build, (uint32_t)into->n_endpoints++ };
}

static void collect_build(struct collection *into, uint32_t service, const struct build *build)
{
    uint32_t index =
        snapshot_build(into->snapshot, span_of(build->service->name), span_of(build->version));
    if (index == NO_INDEX || !build_n_served(build))
        return;
    for (unsigned i = 0; i < build->n_provides; i++) {
        uint32_t contract = snapshot_contract(into->snapshot, service, build->provides[i]);
        if (contract != NO_INDEX)
            add_provider(into, (struct found){ contract, index });
    }
}

static void collect_service(struct collection *into, const struct service *service)
{
    uint32_t index = snapshot_service(into->snapshot, span_of(service->name));
    if (index == NO_INDEX)
        return;
    map_each (node, &service->builds)
        collect_build(into, index, container_of(node, struct build, node));
    const struct build *last = NULL; /* most instances of a service are of few builds */
    uint32_t build = NO_INDEX;
    map_each (node, &service->instances) {
        const struct instance *instance = container_of(node, struct instance, node);
        if (!instance_is_served(instance))
            continue;
        if (instance->build != last)
            build = snapshot_build(into->snapshot, span_of(service->name),
                                   span_of(instance->build->version));
        last = instance->build;
        if (build != NO_INDEX)
            collect_instance(into, instance, build);
    }
}

/* Lays out runs for `n_groups` from the counts of what was found. */
static void lay_out(const struct found *found, size_t n_found, struct endpoint_group *groups,
                    uint32_t n_groups)
{
    for (size_t i = 0; i < n_found; i++)
        groups[found[i].group].n++;
    uint32_t end = 0;
    for (uint32_t i = 0; i < n_groups; i++) {
        groups[i].first = end;
        end += groups[i].n;
        groups[i].n = 0; /* counted up again while filling */
    }
}

static void fill_providers(struct endpoints *endpoints, const struct collection *from)
{
    uint32_t n_contracts = snapshot_n_contracts(from->snapshot);
    endpoints->provider_groups = mem_new_array(struct endpoint_group, n_contracts + 1);
    endpoints->providers = mem_new_array(uint32_t, from->n_providers + 1);
    lay_out(from->providers, from->n_providers, endpoints->provider_groups, n_contracts);
    for (size_t i = 0; i < from->n_providers; i++) {
        struct endpoint_group *group = &endpoints->provider_groups[from->providers[i].group];
        endpoints->providers[group->first + group->n++] = from->providers[i].value;
    }
}

static bool is_shared(const struct version_snapshot *snapshot, uint32_t contract)
{
    uint32_t service = snapshot_contract_at(snapshot, contract)->service;
    return snapshot_service_at(snapshot, service)->shares_builds;
}

static void fill_builds(struct endpoints *endpoints, const struct collection *from)
{
    uint32_t n_builds = snapshot_n_builds(from->snapshot);
    lay_out(from->instances, from->n_instances, endpoints->groups, n_builds);
    endpoints->endpoints = mem_new_array(struct endpoint, from->n_instances + 1);
    endpoints->n_endpoints = (uint32_t)from->n_instances;
    for (size_t i = 0; i < from->n_instances; i++) {
        const struct found *found = &from->instances[i];
        struct endpoint_group *group = &endpoints->groups[found->group];
        endpoints->endpoints[group->first + group->n++] = from->endpoints[found->value];
    }
}

/* Copies the instances of all builds that provide the contract behind what is there. */
static void fill_shared(struct endpoints *endpoints, uint32_t contract,
                        struct endpoint_group *ret_shared)
{
    const struct endpoint_group *providers = &endpoints->provider_groups[contract];
    uint32_t n = 0;
    for (uint32_t i = 0; i < providers->n; i++)
        n += endpoints->groups[endpoints->providers[providers->first + i]].n;

    *ret_shared = (struct endpoint_group){ endpoints->n_endpoints, n };
    endpoints->endpoints = mem_resize(endpoints->endpoints, endpoints->n_endpoints + n + 1,
                                      sizeof(endpoints->endpoints[0]));
    for (uint32_t i = 0; i < providers->n; i++) {
        uint32_t build = endpoints->providers[providers->first + i];
        const struct endpoint_group *group = &endpoints->groups[build];
        memcpy(&endpoints->endpoints[endpoints->n_endpoints], &endpoints->endpoints[group->first],
               group->n * sizeof(endpoints->endpoints[0]));
        endpoints->n_endpoints += group->n;
    }
}

/* The groups of builds, and behind them those of contracts whose builds share traffic. */
static void fill_endpoints(struct endpoints *endpoints, const struct collection *from)
{
    uint32_t n_builds = snapshot_n_builds(from->snapshot);
    uint32_t n_contracts = snapshot_n_contracts(from->snapshot);
    endpoints->n_groups = n_builds + n_contracts;
    endpoints->groups = mem_new_array(struct endpoint_group, endpoints->n_groups + 1);
    fill_builds(endpoints, from);
    for (uint32_t contract = 0; contract < n_contracts; contract++) {
        if (is_shared(from->snapshot, contract))
            fill_shared(endpoints, contract, &endpoints->groups[n_builds + contract]);
    }
}

struct known_address {
    struct map_node node;
};

static struct span address_key(const struct address *address)
{
    return (struct span){ (const char *)&address->any, address->size };
}

/* A run of endpoints by its addresses. */
struct run {
    const struct endpoint *first;
    uint32_t n;
};

static void run_index(const struct run *run, struct known_address *nodes, struct map *known)
{
    map_init(known);
    for (uint32_t i = 0; i < run->n; i++) {
        struct span key = address_key(&run->first[i].address);
        if (!map_find(known, key))
            map_add(known, &nodes[i].node, key);
    }
}

/* Adds to `gone` the addresses of `before` that are not in `now`. */
static size_t run_without(const struct run *before, const struct run *now, struct address *gone)
{
    struct map known;
    struct known_address *nodes = mem_new_array(struct known_address, now->n + 1);
    size_t n = 0;
    run_index(now, nodes, &known);
    for (uint32_t i = 0; i < before->n; i++) {
        if (!map_find(&known, address_key(&before->first[i].address)))
            gone[n++] = before->first[i].address;
    }
    map_fini(&known);
    free(nodes);
    return n;
}

static bool is_same_at(const struct run *a, uint32_t at, const struct run *b, uint32_t other)
{
    return address_equals(&a->first[at].address, &b->first[other].address);
}

/* Most changes are few: what is the same at both ends is compared in place. An address that looks
 * gone between them may still be there at the ends, and is looked for in all. */
static void find_gone(struct endpoints *endpoints, const struct endpoints *before)
{
    struct run then = { before->endpoints, before->n_endpoints };
    const struct run all = { endpoints->endpoints, endpoints->n_endpoints };
    struct run now = all;
    while (then.n && now.n && is_same_at(&then, 0, &now, 0)) {
        then.first++, then.n--;
        now.first++, now.n--;
    }
    while (then.n && now.n && is_same_at(&then, then.n - 1, &now, now.n - 1))
        then.n--, now.n--;
    endpoints->gone = mem_new_array(struct address, then.n + 1);
    if (then.n)
        endpoints->n_gone = run_without(&then, &now, endpoints->gone);
    if (endpoints->n_gone)
        endpoints->n_gone = run_without(&then, &all, endpoints->gone);
}

/* --- gRPC services --- */

/* The contract that a build provides, where it is one. */
static uint32_t only_major(const struct build *build)
{
    return build->n_provides == 1 ? build->provides[0] : NO_MAJOR;
}

/* A name belongs to the service that has instances of a build that names it; when none has, or
 * several have, to the one that appeared first. */
static void claim_grpc(struct endpoints *endpoints, const struct build *build, const char *text,
                       uint32_t service)
{
    struct grpc_name *name = map_find_as(&endpoints->grpc, span_of(text), struct grpc_name, node);
    bool has_instances = build_n_served(build) > 0;
    if (!name) {
        name = mem_new(struct grpc_name);
        *name = (struct grpc_name){ .service = NO_INDEX };
        map_add(&endpoints->grpc, &name->node, span_of(mem_strdup(text)));
    }
    bool is_taken_over = name->service != service && has_instances && !name->has_instances;
    if (name->service == NO_INDEX || is_taken_over) {
        name->service = service;
        name->major = only_major(build);
        name->has_instances = has_instances;
    } else if (name->service == service) {
        name->has_instances |= has_instances;
        if (name->major != only_major(build))
            name->major = NO_MAJOR;
    } else if (has_instances) {
        log_warn("gateway", "a gRPC service is named by several services; the first serves it",
                 "grpc_service", text, "also", build->service->name);
    }
}

static void fill_grpc(struct endpoints *endpoints, const struct registry *registry)
{
    map_init(&endpoints->grpc);
    map_each (node, registry_services(registry)) {
        const struct service *service = container_of(node, struct service, node);
        uint32_t index = snapshot_service(endpoints->snapshot, span_of(service->name));
        if (index == NO_INDEX)
            continue;
        map_each (below, &service->builds) {
            const struct build *build = container_of(below, struct build, node);
            for (size_t i = 0; i < build->n_grpc_services; i++)
                claim_grpc(endpoints, build, build->grpc_services[i], index);
        }
    }
}

static void free_grpc(struct endpoints *endpoints)
{
    map_each (node, &endpoints->grpc) {
        struct grpc_name *name = container_of(node, struct grpc_name, node);
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is our memory, of which keys are const */
        char *text = (char *)(uintptr_t)name->node.key.data;
        map_remove(&endpoints->grpc, &name->node);
        free(text);
        free(name);
    }
    map_fini(&endpoints->grpc);
}

const struct grpc_name *view_grpc_name(const struct view *view, struct span name)
{
    return map_find_as(&view->endpoints->grpc, name, const struct grpc_name, node);
}

struct endpoints *endpoints_new(const struct registry *registry, struct version_snapshot *snapshot,
                                const struct tls_client *tls, const struct endpoints *before)
{
    struct collection found = { .snapshot = snapshot, .tls = tls };
    map_each (node, registry_services(registry))
        collect_service(&found, container_of(node, struct service, node));

    struct endpoints *endpoints = mem_new(struct endpoints);
    endpoints->n_refs = 1;
    endpoints->snapshot = snapshot;
    endpoints->tls = tls_client_ref(tls);
    fill_providers(endpoints, &found);
    fill_endpoints(endpoints, &found);
    fill_grpc(endpoints, registry);
    if (before)
        find_gone(endpoints, before);

    free(found.instances);
    free(found.providers);
    free(found.endpoints);
    return endpoints;
}

struct endpoints *endpoints_ref(struct endpoints *endpoints)
{
    endpoints->n_refs++;
    return endpoints;
}

struct endpoints *endpoints_unref(struct endpoints *endpoints)
{
    if (!endpoints || --endpoints->n_refs)
        return NULL;
    free_grpc(endpoints);
    version_snapshot_free(endpoints->snapshot);
    tls_client_unref(endpoints->tls);
    free(endpoints->endpoints);
    free(endpoints->groups);
    free(endpoints->provider_groups);
    free(endpoints->providers);
    free(endpoints->gone);
    free(endpoints);
    return NULL;
}

struct view *view_new(struct route_table *routes, struct endpoints *endpoints,
                      const struct gateway_settings *settings)
{
    struct view *view = mem_new(struct view);
    view->routes = route_table_ref(routes);
    view->endpoints = endpoints_ref(endpoints);
    view->snapshot = endpoints->snapshot;
    view->limits = (struct gateway_limits){
        .client = settings->client,
        .upstream = settings->upstream,
        .answer_timeout = settings->answer_timeout,
        .request_timeout = settings->request_timeout,
        .tunnel_idle_timeout = settings->tunnel_idle_timeout,
        .ping_interval = settings->ping_interval,
        .cookie_ttl = settings->cookie_ttl,
        .file_patience = settings->file_patience,
        .is_cookie_secure = settings->is_cookie_secure,
    };
    view->blobs = mem_strdup(settings->blobs ? settings->blobs : "");
    view->origins = mem_strdup(settings->origins ? settings->origins : "");
    if (settings->access.kind != ACCESS_OFF) {
        view->redaction = mem_new(struct access_redaction);
        access_redaction_init(view->redaction, span_of(settings->access_redact));
    }
    unsigned n_routes = route_table_size(routes);
    view->route_services = mem_new_array(uint32_t, n_routes + 1);
    for (unsigned i = 0; i < n_routes; i++)
        view->route_services[i] =
            snapshot_service(view->snapshot, route_action(routes, i)->service);
    return view;
}

struct view *view_free(struct view *view)
{
    if (!view)
        return NULL;
    route_table_unref(view->routes);
    endpoints_unref(view->endpoints);
    if (view->redaction)
        access_redaction_fini(view->redaction);
    free(view->redaction);
    free(view->is_out);
    free(view->route_services);
    free(view->origins);
    free(view->blobs);
    free(view);
    return NULL;
}

uint32_t view_group(const struct view *view, uint32_t contract, uint32_t build)
{
    if (is_shared(view->snapshot, contract))
        return snapshot_n_builds(view->snapshot) + contract;
    return build;
}
