/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A table on its way to another process of the same machine: for each entry its counts, as they lie
 * in memory here, and its packed key. The version of what is written is the sender's affair: both
 * are told apart before they exchange anything.
 */

#include "base/mem.h"
#include "usage/table.h"

struct row {
    uint64_t n, errors, duration;
    int64_t first, last;
    uint32_t key_size;
};

#define ROW_MAX (sizeof(struct row) + (size_t)KEY_MAX)

size_t usage_table_encode(const struct usage_table *table, size_t from, struct buf *bytes,
                          size_t max)
{
    size_t i = from;
    while (i < table->n_entries && bytes->size + ROW_MAX <= max) {
        const struct usage_entry *entry = &table->entries[i++];
        struct row row = {
            .n = entry->n,
            .errors = entry->errors,
            .duration = entry->duration,
            .first = entry->first,
            .last = entry->last,
            .key_size = (uint32_t)entry->key_size,
        };
        buf_put(bytes, (struct span){ (const char *)&row, sizeof(row) });
        buf_put(bytes, usage_entry_key(table, entry));
    }
    return i - from;
}

/* Six columns, none longer than it may be. */
static bool is_key(struct span key)
{
    unsigned n_columns = 0;
    size_t size = 0;
    if (!key.data)
        return false;
    for (size_t i = 0; i < key.size; i++) {
        size = key.data[i] ? size + 1 : 0;
        n_columns += !key.data[i];
        if (size > KEY_COLUMN_MAX)
            return false;
    }
    return n_columns == KEY_COLUMNS && !key.data[key.size - 1];
}

bool usage_table_decode(struct usage_table *table, struct span bytes)
{
    while (bytes.size) {
        struct row row;
        if (bytes.size < sizeof(row))
            return false;
        memcpy(&row, bytes.data, sizeof(row));
        bytes = span_from(bytes, sizeof(row));
        struct span key = span_first(bytes, row.key_size);
        if (key.size < row.key_size || !is_key(key))
            return false;
        bytes = span_from(bytes, key.size);
        struct usage_entry entry = {
            .n = row.n,
            .errors = row.errors,
            .duration = row.duration,
            .first = row.first,
            .last = row.last,
        };
        usage_table_add(table, key, &entry);
    }
    return true;
}
