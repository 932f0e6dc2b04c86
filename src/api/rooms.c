/* SPDX-License-Identifier: Apache-2.0 */

#include "api/rooms.h"

struct version_snapshot *rooms_snapshot_new(const struct rooms *rooms)
{
    const struct version_rule *rules = NULL;
    unsigned n_rules = rollouts_rules(rooms->rollouts, rooms->version, &rules);
    return version_snapshot_new(rooms->version, rooms->registry, rules, n_rules,
                                loop_wall(rooms->loop));
}

const struct version_snapshot *rooms_snapshot(struct rooms *rooms)
{
    if (!rooms->snapshot)
        rooms->snapshot = rooms_snapshot_new(rooms);
    return rooms->snapshot;
}

struct bom_cache *rooms_boms(struct rooms *rooms)
{
    if (!rooms->boms)
        rooms->boms = bom_cache_new(rooms_snapshot(rooms));
    return rooms->boms;
}

void rooms_changed(struct rooms *rooms)
{
    rooms->boms = bom_cache_free(rooms->boms);
    rooms->snapshot = version_snapshot_free(rooms->snapshot);
}

struct rollout_context rooms_rollout_context(const struct rooms *rooms)
{
    return (struct rollout_context){
        .rollouts = rooms->rollouts,
        .version = rooms->version,
        .registry = rooms->registry,
        .wall = loop_wall(rooms->loop),
    };
}
