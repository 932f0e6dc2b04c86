#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A binary heap of deadlines: objects embed a heap_node and the earliest is at the top. Used for
 * timers and for leases.
 *
 * Owns:  the array of pointers; not the objects.
 * Cost:  add, remove, move O(log n); first O(1).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct heap_node {
    nsec at;
    size_t position; /* index + 1 in the heap; 0 when in none */
};

struct heap {
    struct heap_node **nodes;
    size_t n_nodes, capacity;
};

void heap_fini(struct heap *heap);

static inline bool heap_has(const struct heap_node *node)
{
    return node->position != 0;
}

/* Adds the node, or moves it when it is in the heap already. */
void heap_set(struct heap *heap, struct heap_node *node, nsec at);

/* Idempotent. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The node with the earliest deadline, or NULL. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->n_nodes ? heap->nodes[0] : NULL;
}
