/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nodes: this one, which is there without a record, and those that the catalog was told of.
 */

#include "faces/consul/call.h"
#include "faces/consul/service.h"

char *consul_node_key(struct arena *arena, struct span name)
{
    char *key = arena_alloc(arena, name.size + 1, 1);
    for (size_t i = 0; i < name.size; i++)
        key[i] = ascii_lower(name.data[i]);
    return key;
}

char *consul_elsewhere_key(struct arena *arena, struct span node, struct span id)
{
    return arena_format(arena, "%s/%.*s", consul_node_key(arena, node), SPAN_ARG(id));
}

bool consul_node_is_ours(const struct consul *consul, struct span name)
{
    return span_equals_nocase(name, span_of(consul->settings.node));
}

struct consul_service *consul_node_find(const struct consul *consul, struct span name)
{
    char key[CONSUL_NODE_MAX + 1];
    if (name.size > CONSUL_NODE_MAX)
        return NULL;
    for (size_t i = 0; i < name.size; i++)
        key[i] = ascii_lower(name.data[i]);
    return consul_find(consul, CONSUL_NODE, (struct span){ key, name.size });
}

bool consul_is_ours(const struct consul *consul, const struct consul_service *service)
{
    return service->kind == CONSUL_HERE ||
           (service->kind == CONSUL_NODE && consul_node_is_ours(consul, service->node.key));
}

struct consul_service *consul_node_of(const struct consul *consul,
                                      const struct consul_service *service)
{
    struct span key = service->node.key;
    switch (service->kind) {
    case CONSUL_HERE: return consul_node_find(consul, span_of(consul->settings.node));
    case CONSUL_ELSEWHERE: key = span_first(key, span_find(key, '/')); break;
    case CONSUL_NODE: break;
    }
    return consul_find(consul, CONSUL_NODE, key);
}

struct consul_check *consul_node_check(const struct consul *consul, struct span node,
                                       struct span id)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    if (consul_node_is_ours(consul, node))
        return consul_check_find(consul, id);
    struct span key = span_of(consul_elsewhere_key(&arena, node, id));
    return map_find_as(&consul->others, key, struct consul_check, node);
}
