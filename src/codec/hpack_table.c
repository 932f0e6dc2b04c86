/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack_table.h"

#include "base/mem.h"

#define ENTRIES_FIRST 16u
#define BYTES_FIRST 512u

void hpack_table_fini(struct hpack_table *table)
{
    free(table->entries);
    *table = (struct hpack_table){ 0 };
}

static uint32_t oldest_at(const struct hpack_table *table)
{
    return table->n ? hpack_table_get(table, table->n_ever - table->n)->at : table->end;
}

static void move_to_front(struct hpack_table *table)
{
    uint32_t from = oldest_at(table), size = table->end - from;
    memmove(table->bytes, table->bytes + from, size);
    for (uint32_t i = 1; i <= table->n; i++)
        hpack_table_get(table, table->n_ever - i)->at -= from;
    table->end = size;
}

/* An entry's place in the ring is its number, whatever the size of the ring. */
static void move_to(struct hpack_table *table, uint32_t n_entries, uint32_t capacity)
{
    struct hpack_table old = *table;
    uint32_t from = oldest_at(table), size = table->end - from;
    table->entries = mem_zalloc(1, n_entries * sizeof(*table->entries) + capacity);
    table->bytes = (char *)(table->entries + n_entries);
    table->mask = n_entries - 1;
    table->capacity = capacity;
    table->end = size;
    for (uint32_t i = 1; i <= table->n; i++) {
        struct hpack_entry *entry = hpack_table_get(table, table->n_ever - i);
        *entry = *hpack_table_get(&old, table->n_ever - i);
        entry->at -= from;
    }
    if (size)
        memcpy(table->bytes, old.bytes + from, size);
    free(old.entries);
}

void hpack_table_make_room(struct hpack_table *table, size_t size)
{
    size_t needed = table->end - oldest_at(table) + size;
    size_t most = 2 * (size_t)table->max_size; /* is enough to move seldom */
    uint32_t n_entries = table->entries ? table->mask + 1 : ENTRIES_FIRST;
    size_t capacity = table->capacity ? table->capacity : BYTES_FIRST;
    if (table->n == n_entries)
        n_entries *= 2;
    while (capacity < needed || (capacity < 2 * needed && capacity < most))
        capacity *= 2;
    bool is_same = table->entries && n_entries == table->mask + 1 && capacity == table->capacity;
    if (is_same)
        move_to_front(table);
    else
        move_to(table, n_entries, (uint32_t)capacity);
}

void hpack_table_shrink(struct hpack_table *table)
{
    uint32_t most = 2 * table->max_size;
    move_to(table, table->mask + 1,
            most > 2 * HPACK_TABLE_SIZE_FIRST ? most : 2 * HPACK_TABLE_SIZE_FIRST);
}
