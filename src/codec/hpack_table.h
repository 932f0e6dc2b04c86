#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tables of HPACK (RFC 7541 section 2.3). Private to codec, but for its size in hpack.h.
 *
 * The dynamic one is a ring of entries, numbered as they come, whose bytes follow each other in the
 * same block of memory:
 *
 *   | entries, a power of two | bytes that nobody needs | of the entries | free, from `end` |
 *
 * An entry is put behind the others; when there is no room left they are moved to the front, or to a
 * larger block. As that has twice the room of what may be in it, bytes are moved once each.
 *
 * Owns: its block. Cost: O(1) and the bytes of an entry, amortised.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"
#include "codec/hpack_bytes.h"

#define HPACK_N_STATIC 61u
#define HPACK_ENTRY_OVERHEAD 32u     /* section 4.1 */
#define HPACK_TABLE_SIZE_FIRST 4096u /* before anything else was said */

struct hpack_entry {
    uint32_t at; /* of the name; the value is behind it, or its line goes on with it */
    uint16_t name_size, value_size;
    uint8_t static_name; /* index of a static entry with the same name, or 0 */
    uint8_t known;       /* hpack_know() */
};

/* Zeroed it is empty and can hold nothing. */
struct hpack_table {
    struct hpack_entry *entries; /* NULL before the first; the block */
    char *bytes;                 /* in the same block */
    uint32_t mask;               /* entries there is room for, less one */
    uint32_t capacity;           /* of bytes */
    uint32_t end;                /* of the newest entry's bytes */
    uint32_t n;
    uint32_t n_ever;         /* entries that ever were in it; the number of the next one */
    uint32_t size, max_size; /* as section 4.1 counts */
};

void hpack_table_fini(struct hpack_table *table);

/* Room for `size` bytes at bytes + end, and for one entry. What was there moves. */
void hpack_table_make_room(struct hpack_table *table, size_t size);

static inline void hpack_table_reserve(struct hpack_table *table, size_t size)
{
    if (unlikely(table->capacity - table->end < size || table->n > table->mask || !table->entries))
        hpack_table_make_room(table, size);
}

/* Gives back what the table does not need by its size. */
void hpack_table_shrink(struct hpack_table *table);

static inline bool hpack_table_is_oversized(const struct hpack_table *table)
{
    return table->capacity > 2 * HPACK_TABLE_SIZE_FIRST && table->capacity > 2 * table->max_size;
}

/* The entry of that number, which must be in the table. */
static inline struct hpack_entry *hpack_table_get(const struct hpack_table *table, uint32_t number)
{
    return &table->entries[number & table->mask];
}

static inline struct span hpack_entry_name(const struct hpack_table *table,
                                           const struct hpack_entry *entry)
{
    return (struct span){ table->bytes + entry->at, entry->name_size };
}

static inline struct span hpack_entry_value(const struct hpack_table *table,
                                            const struct hpack_entry *entry)
{
    return (struct span){ table->bytes + entry->at + entry->name_size, entry->value_size };
}

/* Drops the oldest until what is left fits into `size`. */
static inline void hpack_table_evict(struct hpack_table *table, uint32_t size)
{
    while (table->size > size) {
        const struct hpack_entry *oldest = hpack_table_get(table, table->n_ever - table->n);
        table->size -= oldest->name_size + (uint32_t)oldest->value_size + HPACK_ENTRY_OVERHEAD;
        table->n--;
    }
}

static inline void hpack_table_resize(struct hpack_table *table, uint32_t max_size)
{
    table->max_size = max_size;
    hpack_table_evict(table, max_size);
}

/* Name and value lie at bytes + end, with `n_more` bytes that do not count, and there is room for an
 * entry. NULL when they are more than the table takes, which empties it (section 4.4). */
static inline struct hpack_entry *hpack_table_add(struct hpack_table *table, size_t name_size,
                                                  size_t value_size, size_t n_more)
{
    size_t size = name_size + value_size + HPACK_ENTRY_OVERHEAD;
    if (unlikely(size > table->max_size)) {
        hpack_table_evict(table, 0);
        return NULL;
    }
    hpack_table_evict(table, table->max_size - (uint32_t)size);
    struct hpack_entry *entry = hpack_table_get(table, table->n_ever);
    *entry = (struct hpack_entry){
        .at = table->end,
        .name_size = (uint16_t)name_size,
        .value_size = (uint16_t)value_size,
    };
    table->end += (uint32_t)(name_size + value_size + n_more);
    table->size += (uint32_t)size;
    table->n_ever++;
    table->n++;
    return entry;
}

/* --- the static table --- */

struct hpack_static {
    struct span name, value;
    uint8_t first; /* entry with this name */
};

/* From 1 to HPACK_N_STATIC. */
extern const struct hpack_static hpack_static[HPACK_N_STATIC + 1];

/* By a perfect hash of a name, the first entry that it may have. */
extern const uint8_t hpack_static_names[128];

#define HPACK_NAME_SLOT(size, first, last)                                                         \
    (((size)*9u + (unsigned)(first)*34u + (unsigned)(last)*49u) % 128u)

static inline uint8_t hpack_static_guess(struct span name)
{
    uint8_t first = (uint8_t)name.data[0], last = (uint8_t)name.data[name.size - 1];
    return hpack_static_names[HPACK_NAME_SLOT((unsigned)name.size, first, last)];
}

/* The first entry with that name, or 0. */
static inline uint8_t hpack_static_find(struct span name)
{
    uint8_t index = name.size ? hpack_static_guess(name) : 0;
    struct span guess = hpack_static[index].name;
    return name.size == guess.size && hpack_are_equal(name.data, guess.data, name.size) ? index : 0;
}
