/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Open addressing over indices: the entries stand densely in order of appearance, so that merging
 * walks them and emptying clears only the slots; the keys' bytes stand in one buffer. Half of the
 * slots stay free, and nothing is ever removed, so a probe is short and ends at the first free
 * slot. Memory is taken when the table doubles, and kept over emptying.
 */

#include "usage/table.h"

#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"

#define TABLE_FIRST 256u

/* Workers empty their tables once a second, on threads of their own. */
static uint64_t next_generation(void)
{
    static atomic_uint_fast64_t generations;
    return atomic_fetch_add(&generations, 1) + 1;
}

struct usage_table *usage_table_new(void)
{
    struct usage_table *table = mem_new(struct usage_table);
    table->generation = next_generation();
    table->capacity = TABLE_FIRST;
    table->entries = mem_new_array(struct usage_entry, table->capacity);
    table->slots = mem_new_array(uint32_t, 2 * table->capacity);
    return table;
}

struct usage_table *usage_table_free(struct usage_table *table)
{
    if (!table)
        return NULL;

    free(table->entries);
    free(table->slots);
    buf_fini(&table->keys);
    free(table);
    return NULL;
}

bool usage_table_is_empty(const struct usage_table *table)
{
    return table->n_entries == 0;
}

void usage_table_clear(struct usage_table *table)
{
    memset(table->slots, 0, 2 * table->capacity * sizeof(table->slots[0]));
    table->n_entries = 0;
    table->generation = next_generation();
    buf_clear(&table->keys);
}

/* A NUL would end the column early; the protocols that bring names refuse it. */
static char *column_pack(char *at, struct span column)
{
    size_t size = column.size < KEY_COLUMN_MAX ? column.size : KEY_COLUMN_MAX;
    if (size) {
        const char *nul = memchr(column.data, '\0', size);
        size = nul ? (size_t)(nul - column.data) : size;
        memcpy(at, column.data, size);
    }
    at[size] = '\0';
    return at + size + 1;
}

size_t usage_key_pack(const struct usage_key *key, char ret_bytes[KEY_MAX])
{
    char *at = ret_bytes;
    at = column_pack(at, key->contract);
    at = column_pack(at, key->build);
    at = column_pack(at, key->app);
    at = column_pack(at, key->release);
    at = column_pack(at, key->customer);
    at = column_pack(at, key->caller);
    return (size_t)(at - ret_bytes);
}

struct usage_key usage_key_unpack(struct span packed)
{
    struct usage_key key;
    key.contract = span_cut(&packed, '\0');
    key.build = span_cut(&packed, '\0');
    key.app = span_cut(&packed, '\0');
    key.release = span_cut(&packed, '\0');
    key.customer = span_cut(&packed, '\0');
    key.caller = span_cut(&packed, '\0');
    return key;
}

struct usage_key usage_key_of_other(const struct usage_key *key)
{
    struct usage_key other = *key;
    other.customer = SPAN(USAGE_OTHER);
    other.caller = SPAN_NULL;
    return other;
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *slot_find(const struct usage_table *table, struct span key, uint64_t hash)
{
    size_t mask = 2 * table->capacity - 1;
    size_t at = hash & mask;
    for (; table->slots[at]; at = (at + 1) & mask) {
        const struct usage_entry *entry = &table->entries[table->slots[at] - 1];
        if (entry->hash == hash && span_equals(usage_entry_key(table, entry), key))
            break;
    }
    return &table->slots[at];
}

static void table_grow(struct usage_table *table)
{
    table->capacity *= 2;
    table->entries = mem_resize(table->entries, table->capacity, sizeof(table->entries[0]));
    free(table->slots);
    table->slots = mem_new_array(uint32_t, 2 * table->capacity);
    for (size_t i = 0; i < table->n_entries; i++) {
        const struct usage_entry *entry = &table->entries[i];
        *slot_find(table, usage_entry_key(table, entry), entry->hash) = (uint32_t)(i + 1);
    }
}

static struct usage_entry *entry_add(struct usage_table *table, struct span key, uint64_t hash)
{
    if (table->n_entries == table->capacity)
        table_grow(table);

    *slot_find(table, key, hash) = (uint32_t)(table->n_entries + 1);
    struct usage_entry *entry = &table->entries[table->n_entries++];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is room from the start */
    *entry =
        (struct usage_entry){ .hash = hash, .key_offset = table->keys.size, .key_size = key.size };
    buf_put(&table->keys, key);
    return entry;
}

/* NULL when the key is new and the table full. */
static struct usage_entry *entry_get(struct usage_table *table, const struct usage_key *key,
                                     bool may_be_full)
{
    char bytes[KEY_MAX];
    struct span packed = { bytes, usage_key_pack(key, bytes) };
    uint64_t hash = hash_seeded(packed);

    uint32_t index = *slot_find(table, packed, hash);
    if (index)
        return &table->entries[index - 1];
    if (table->n_entries >= USAGE_KEYS_MAX && !may_be_full)
        return NULL;
    return entry_add(table, packed, hash);
}

static void entry_count(struct usage_entry *entry, const struct usage_sample *sample)
{
    if (!entry->n || sample->at < entry->first)
        entry->first = sample->at;
    if (sample->at > entry->last)
        entry->last = sample->at;
    entry->n += !sample->is_again;
    entry->errors += sample->is_error;
    entry->duration += sample->duration;
}

struct usage_place usage_count(struct usage_table *table, const struct usage_key *key,
                               const struct usage_sample *sample)
{
    struct usage_key counted = *key;
    if (span_starts_with(key->customer, SPAN("~")))
        counted.customer = SPAN(USAGE_ANONYMOUS);

    struct usage_entry *entry = entry_get(table, &counted, false);
    if (!entry) {
        counted = usage_key_of_other(&counted);
        entry = entry_get(table, &counted, true);
    }
    entry_count(entry, sample);
    return (struct usage_place){ table->generation, (size_t)(entry - table->entries) };
}

void usage_table_add(struct usage_table *table, struct span packed, const struct usage_entry *entry)
{
    struct usage_key key = usage_key_unpack(packed);
    struct usage_entry *sum = entry_get(table, &key, false);
    if (!sum) {
        key = usage_key_of_other(&key);
        sum = entry_get(table, &key, true);
    }
    if (!sum->n || entry->first < sum->first)
        sum->first = entry->first;
    if (entry->last > sum->last)
        sum->last = entry->last;
    sum->n += entry->n;
    sum->errors += entry->errors;
    sum->duration += entry->duration;
}

bool usage_count_at(struct usage_table *table, struct usage_place place,
                    const struct usage_sample *sample)
{
    if (place.generation != table->generation)
        return false;
    entry_count(&table->entries[place.entry], sample);
    return true;
}
