/* SPDX-License-Identifier: Apache-2.0 */

#include "store/index.h"

#include "base/hash.h"
#include "base/mem.h"

struct index_node {
    struct store_entry entry; /* its bytes follow the links */
    struct map_node by_key;
    struct list grave;
    unsigned n_levels;
    struct index_node *next[];
};

void index_init(struct index *index)
{
    *index = (struct index){ 0 };
    map_init(&index->map);
    list_init(&index->graves);
}

void index_fini(struct index *index)
{
    index_sweep(index);
    struct index_node *node = index->first[0];
    while (node) {
        struct index_node *next = node->next[0];
        free(node);
        node = next;
    }
    map_fini(&index->map);
}

/*
 * The height comes from the key's hash, seeded per process: as good as a die for whoever chooses
 * the keys, and a key that is written again keeps its height.
 */
static unsigned key_levels(struct span key)
{
    unsigned pairs = (unsigned)__builtin_ctzll(hash_seeded(key) | 1ull << 62) / 2;
    return pairs < INDEX_LEVELS_MAX ? pairs + 1 : INDEX_LEVELS_MAX;
}

static struct index_node *node_new(const struct store_entry *entry)
{
    unsigned n_levels = key_levels(entry->key);
    size_t links = n_levels * sizeof(struct index_node *);
    size_t size = sizeof(struct index_node) + links + entry->key.size + entry->value.size;
    struct index_node *node = mem_zalloc(1, size);
    char *bytes = (char *)node + sizeof(*node) + links;
    node->n_levels = n_levels;
    list_init(&node->grave);

    node->entry = *entry;
    if (entry->key.size)
        memcpy(bytes, entry->key.data, entry->key.size);
    node->entry.key.data = bytes;
    bytes += entry->key.size;
    if (entry->value.size)
        memcpy(bytes, entry->value.data, entry->value.size);
    node->entry.value.data = bytes;
    return node;
}

/* Where the first node that is not before `key` hangs, on every level. */
static void index_seek(struct index *index, struct span key,
                       struct index_node **links[INDEX_LEVELS_MAX])
{
    struct index_node **level = index->first;
    for (unsigned i = INDEX_LEVELS_MAX; i-- > 0;) {
        while (level[i] && span_compare(level[i]->entry.key, key) < 0)
            level = level[i]->next;
        links[i] = &level[i];
    }
}

static void index_bury(struct index *index, struct index_node *node,
                       struct index_node **links[INDEX_LEVELS_MAX])
{
    for (unsigned i = 0; i < node->n_levels; i++)
        *links[i] = node->next[i];
    map_remove(&index->map, &node->by_key);
    list_add_last(&index->graves, &node->grave);
}

const struct store_entry *index_put(struct index *index, const struct store_entry *entry)
{
    struct index_node **links[INDEX_LEVELS_MAX];
    index_seek(index, entry->key, links);
    struct index_node *old = *links[0];
    if (old && span_equals(old->entry.key, entry->key))
        index_bury(index, old, links);

    struct index_node *node = node_new(entry);
    for (unsigned i = 0; i < node->n_levels; i++) {
        node->next[i] = *links[i];
        *links[i] = node;
    }
    map_add(&index->map, &node->by_key, node->entry.key);
    return &node->entry;
}

const struct store_entry *index_remove(struct index *index, struct span key)
{
    struct index_node **links[INDEX_LEVELS_MAX];
    index_seek(index, key, links);
    struct index_node *node = *links[0];
    if (!node || !span_equals(node->entry.key, key))
        return NULL;
    index_bury(index, node, links);
    return &node->entry;
}

void index_sweep(struct index *index)
{
    struct list *grave;
    while ((grave = list_take_first(&index->graves)))
        free(container_of(grave, struct index_node, grave));
}

const struct store_entry *index_find(const struct index *index, struct span key)
{
    struct index_node *node = map_find_as(&index->map, key, struct index_node, by_key);
    return node ? &node->entry : NULL;
}

/* The first node not before `key`, or the first after it. */
static const struct index_node *index_lower(const struct index *index, struct span key,
                                            bool is_after)
{
    struct index_node *const *level = index->first;
    for (unsigned i = INDEX_LEVELS_MAX; i-- > 0;) {
        while (level[i] && span_compare(level[i]->entry.key, key) < is_after)
            level = level[i]->next;
    }
    return level[0];
}

size_t index_range(const struct index *index, struct span prefix, struct span after,
                   const struct store_entry **entries, size_t capacity)
{
    bool is_after = after.data && span_compare(after, prefix) >= 0;
    const struct index_node *node = index_lower(index, is_after ? after : prefix, is_after);
    size_t n = 0;
    while (n < capacity && node && span_starts_with(node->entry.key, prefix)) {
        entries[n++] = &node->entry;
        node = node->next[0];
    }
    return n;
}
