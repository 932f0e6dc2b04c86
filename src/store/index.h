#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The index: the current content in memory, found by key and walked in key order.
 *
 * A skip list for the order beside a hash map for the key. Entries never change: a put replaces
 * the entry, and what was replaced or removed stays readable until index_sweep(), because callers
 * hold pointers until the loop turns.
 *
 * Owns:     copies of keys and values.
 * Threads:  none of its own.
 * Cost:     find O(1), put and remove O(log n) expected, range O(log n + k).
 */

#include "base/list.h"
#include "base/map.h"
#include "store/store.h"

/* Four children a level: 12 levels reach 16 million keys. */
#define INDEX_LEVELS_MAX 12u

struct index_node;

struct index {
    struct map map;
    struct index_node *first[INDEX_LEVELS_MAX];
    struct list graves;
};

void index_init(struct index *index);
void index_fini(struct index *index);

/* Copies key and value. The result stays until the sweep after its replacement. */
const struct store_entry *index_put(struct index *index, const struct store_entry *entry);

/* Returns the removed entry, readable until the sweep; NULL when there was none. */
const struct store_entry *index_remove(struct index *index, struct span key);

/* Frees what was replaced and removed. */
void index_sweep(struct index *index);

const struct store_entry *index_find(const struct index *index, struct span key);
size_t index_range(const struct index *index, struct span prefix, struct span after,
                   const struct store_entry **entries, size_t capacity);

static inline size_t index_size(const struct index *index)
{
    return index->map.n_nodes;
}
