#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hash map from spans to objects that embed their node.
 *
 *   struct service { struct map_node node; char *name; … };
 *   map_add(&services, &service->node, span_of(service->name));
 *   struct service *s = map_find_as(&services, name, struct service, node);
 *
 * Keys are borrowed from the object and must stay while it is in the map. Chained; grows by
 * doubling. Iteration is in order of insertion, which keeps what is shown and tested stable.
 *
 * Owns:     the table of slots; not the objects.
 * Threads:  none of its own.
 * Cost:     add, find, remove O(1) expected; the hash is seeded per process (xxh3), so keys that
 *           come from outside cannot be chosen to collide.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/span.h"

struct map_node {
    struct map_node *next_in_slot;
    struct list link;
    struct span key;
    uint64_t hash;
};

struct map {
    struct map_node **slots;
    size_t n_slots, n_nodes;
    struct list nodes;
};

void map_init(struct map *map);

/* Frees the slots. The objects are the owner's to free before or after. */
void map_fini(struct map *map);

/* The key must not be there yet (asserted). */
void map_add(struct map *map, struct map_node *node, struct span key);
struct map_node *map_find(const struct map *map, struct span key);

/* The node must be in the map. */
void map_remove(struct map *map, struct map_node *node);

#define map_find_as(map, key, type, member)                                                        \
    ({                                                                                             \
        struct map_node *node_ = map_find((map), (key));                                           \
        node_ ? container_of(node_, type, member) : NULL;                                          \
    })

/* for (each struct map_node *node of the map), in order of insertion; the body may remove `node`
 * and no other. */
#define map_each(node, map)                                                                        \
    for (struct map_node *node = container_of((map)->nodes.next, struct map_node, link),           \
                         *node##_next = container_of(node->link.next, struct map_node, link);      \
         &node->link != &(map)->nodes;                                                             \
         node = node##_next, node##_next = container_of(node->link.next, struct map_node, link))
