/* SPDX-License-Identifier: Apache-2.0 */

#include "base/map.h"

#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"

#define MAP_FIRST_SLOTS 16u

void map_init(struct map *map)
{
    *map = (struct map){ 0 };
    list_init(&map->nodes);
}

void map_fini(struct map *map)
{
    free(map->slots);
    map_init(map);
}

static struct map_node **map_slot(const struct map *map, uint64_t hash)
{
    return &map->slots[hash & (map->n_slots - 1)];
}

static void map_grow(struct map *map)
{
    map->n_slots = map->n_slots ? map->n_slots * 2 : MAP_FIRST_SLOTS;
    free(map->slots);
    map->slots = mem_new_array(struct map_node *, map->n_slots);
    list_each (link, &map->nodes) {
        struct map_node *node = container_of(link, struct map_node, link);
        struct map_node **slot = map_slot(map, node->hash);
        node->next_in_slot = *slot;
        *slot = node;
    }
}

void map_add(struct map *map, struct map_node *node, struct span key)
{
    assert(!map_find(map, key));
    if (map->n_nodes == map->n_slots)
        map_grow(map);

    node->key = key;
    node->hash = hash_seeded(key);
    struct map_node **slot = map_slot(map, node->hash);
    node->next_in_slot = *slot;
    *slot = node;
    list_add_last(&map->nodes, &node->link);
    map->n_nodes++;
}

struct map_node *map_find(const struct map *map, struct span key)
{
    if (!map->n_slots)
        return NULL;

    uint64_t hash = hash_seeded(key);
    struct map_node *node = *map_slot(map, hash);
    while (node && (node->hash != hash || !span_equals(node->key, key)))
        node = node->next_in_slot;
    return node;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **at = map_slot(map, node->hash);
    while (*at != node)
        at = &(*at)->next_in_slot;
    *at = node->next_in_slot;
    list_remove(&node->link);
    map->n_nodes--;
}
