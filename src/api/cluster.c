/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The processes of a cluster over HTTP.
 */

#include "api/routes.h"

static json_t *member_json(const struct registry *registry, const struct owner *owner)
{
    return json_pack("{s:s, s:s, s:s*, s:s*, s:o, s:i, s:b, s:b}", "id", owner->id, "state",
                     owner->mod_revision ? "there" : "gone", "host", owner->host, "api", owner->api,
                     "since", api_json_time(owner->since), "instances", (int)owner->n_instances,
                     "elected", span_is(registry_elected(registry), owner->id), "self",
                     owner == registry_self(registry));
}

void route_cluster(struct api_call *call)
{
    const struct registry *registry = call->rooms->registry;
    const struct store *store = call->rooms->store;
    const char *self = store_writer_id(store), *trouble = store_trouble(store);
    struct span elected = registry_elected(registry);
    json_t *members = json_array();
    map_each (node, registry_owners(registry))
        json_array_append_new(members,
                              member_json(registry, container_of(node, struct owner, node)));
    api_reply(call, 200,
              json_pack("{s:s, s:s?, s:o, s:o, s:s*}", "store", self[0] ? "etcd" : "embedded",
                        "self", self[0] ? self : NULL, "elected",
                        elected.size ? api_json_span(elected) : json_null(), "members",
                        api_sorted(members, "id"), "trouble", trouble[0] ? trouble : NULL));
}
