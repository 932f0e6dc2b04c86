#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A store in memory for the tests of rooms: it holds revisions, judges compares as the real one
 * does and hands each committed change to the rooms under test, in order.
 */

#include "base/map.h"
#include "base/mem.h"
#include "store/store.h"

struct fake_entry {
    struct map_node node;
    char *key;
    int64_t create_revision, mod_revision, version;
};

struct fake_store {
    struct map entries;
    int64_t revision;
    /* Calls every room's apply. */
    void (*on_event)(struct fake_store *store, const struct store_event *event);
};

static inline void fake_store_init(struct fake_store *store,
                                   void (*on_event)(struct fake_store *,
                                                    const struct store_event *))
{
    *store = (struct fake_store){ .on_event = on_event };
    map_init(&store->entries);
}

static inline void fake_entry_free(struct fake_store *store, struct fake_entry *entry)
{
    map_remove(&store->entries, &entry->node);
    free(entry->key);
    free(entry);
}

static inline void fake_store_fini(struct fake_store *store)
{
    map_each (node, &store->entries)
        fake_entry_free(store, container_of(node, struct fake_entry, node));
    map_fini(&store->entries);
}

static inline bool fake_compares_hold(const struct fake_store *store, const struct txn *txn)
{
    for (size_t i = 0; i < txn->n_compares; i++) {
        const struct fake_entry *entry =
            map_find_as(&store->entries, txn->compares[i].key, struct fake_entry, node);
        if ((entry ? entry->mod_revision : 0) != txn->compares[i].mod_revision)
            return false;
    }
    return true;
}

static inline void fake_apply_op(struct fake_store *store, const struct txn_op *op)
{
    struct fake_entry *entry = map_find_as(&store->entries, op->key, struct fake_entry, node);
    if (op->kind == TXN_DELETE && !entry)
        return;
    if (!entry) {
        entry = mem_new(struct fake_entry);
        entry->key = mem_span_dup(op->key);
        entry->create_revision = store->revision;
        map_add(&store->entries, &entry->node, span_of(entry->key));
    }
    entry->mod_revision = store->revision;
    entry->version++;

    struct store_event event = {
        .kind = op->kind,
        .entry = { op->key, op->value, entry->create_revision, entry->mod_revision,
                   entry->version },
    };
    store->on_event(store, &event);
    if (op->kind == TXN_DELETE)
        fake_entry_free(store, entry);
}

/* Commits and empties the transaction; STORE_CONFLICT when a compare does not hold. */
static inline int fake_commit(struct fake_store *store, struct txn *txn)
{
    int answer = fake_compares_hold(store, txn) ? 0 : STORE_CONFLICT;
    if (!answer && txn->n_ops) {
        store->revision++;
        for (size_t i = 0; i < txn->n_ops; i++)
            fake_apply_op(store, &txn->ops[i]);
    }
    txn_clear(txn);
    return answer;
}
