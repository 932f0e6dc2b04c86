/* SPDX-License-Identifier: Apache-2.0 */

/*
 * gRPC services, which a build says that it serves. A build may say more later, and what it said
 * once it goes on saying: two instances that tell different lists would write it back and forth.
 *
 * A name leads to one service. Who else claims it is refused as long as that service has an instance
 * of a build that claims it; afterwards the name goes to the one that has.
 */

#include <stdio.h>
#include <stdlib.h>

#include "registry/fold.h"

/* "package.Service": words of letters, digits and "_", with dots between them. */
static bool name_is_valid(struct span name)
{
    bool is_word = false;
    if (name.size > GRPC_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(is_word && ((c >= '0' && c <= '9') || c == '.')))
            return false;
        is_word = c != '.';
    }
    return is_word;
}

bool build_names_grpc(const struct build *build, struct span name)
{
    for (size_t i = 0; i < build->n_grpc_services; i++) {
        if (span_is(name, build->grpc_services[i]))
            return true;
    }
    return false;
}

/* A build of another service that claims the name and has instances. */
static const struct build *claim_find(const struct registry *registry, struct span service,
                                      struct span name)
{
    map_each (node, &registry->services) {
        const struct service *other = container_of(node, struct service, node);
        if (span_is(service, other->name))
            continue;
        map_each (below, &other->builds) {
            const struct build *build = container_of(below, struct build, node);
            if (build->n_instances && build_names_grpc(build, name))
                return build;
        }
    }
    return NULL;
}

int grpc_names_check(const struct registry *registry, const struct build_spec *spec,
                     struct problem *problem)
{
    const struct service *service = service_find(registry, spec->service);
    const struct build *build = service ? build_find(service, spec->version) : NULL;
    char path[32];
    if (spec->n_grpc_services > BUILD_GRPC_MAX) {
        problem_set(problem, "grpc_services", "has %u names; up to %u are accepted",
                    spec->n_grpc_services, BUILD_GRPC_MAX);
        return REGISTRY_INVALID;
    }
    for (unsigned i = 0; i < spec->n_grpc_services; i++) {
        struct span name = spec->grpc_services[i];
        snprintf(path, sizeof(path), "grpc_services[%u]", i);
        if (!name_is_valid(name)) {
            problem_set(
                problem, path,
                "is \"%.*s\"; the full name of a gRPC service such as shop.orders.v1.Orders "
                "is accepted",
                QUOTE(name));
            return REGISTRY_INVALID;
        }
        if (build && build->n_instances && build_names_grpc(build, name))
            continue; /* as it stands */
        const struct build *claim = claim_find(registry, spec->service, name);
        if (claim) {
            problem_set(problem, path,
                        "is %.*s, which is served by %s@%s; deregister its instances first, or "
                        "register without the name and lead to it by a route",
                        QUOTE(name), claim->service->name, claim->version);
            return REGISTRY_REFUSED;
        }
    }
    return 0;
}

static bool record_names(const Registry__BuildRecord *record, struct span name)
{
    for (size_t i = 0; i < record->n_grpc_services; i++) {
        if (span_is(name, record->grpc_services[i]))
            return true;
    }
    return false;
}

/* Sorted, so that the order of telling does not matter. */
static void record_add(Registry__BuildRecord *record, char *name)
{
    size_t k = record->n_grpc_services++;
    for (; k > 0 && strcmp(record->grpc_services[k - 1], name) > 0; k--)
        record->grpc_services[k] = record->grpc_services[k - 1];
    record->grpc_services[k] = name;
}

bool grpc_names_merge(const struct build_spec *spec, Registry__BuildRecord *record,
                      struct arena *arena)
{
    size_t n_before = record->n_grpc_services;
    char **names = arena_new_array(arena, char *, n_before + spec->n_grpc_services + 1);
    if (n_before)
        memcpy(names, record->grpc_services, n_before * sizeof(names[0]));
    record->grpc_services = names;
    for (unsigned i = 0; i < spec->n_grpc_services; i++) {
        /* What every server has is nobody's own: health, reflection. */
        struct span name = spec->grpc_services[i];
        if (!record_names(record, name) && !span_starts_with(name, SPAN("grpc.")) &&
            record->n_grpc_services < BUILD_GRPC_MAX)
            record_add(record, record_text(arena, name));
    }
    return record->n_grpc_services > n_before;
}

void grpc_names_clear(struct build *build)
{
    for (size_t i = 0; i < build->n_grpc_services; i++)
        free(build->grpc_services[i]);
    free(build->grpc_services);
    build->grpc_services = NULL;
    build->n_grpc_services = 0;
}
