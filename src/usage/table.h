#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside usage: what a worker's table holds, and the form of its keys.
 *
 * A key is its six columns, each with a NUL behind it, in one piece: contract, build, app,
 * release, customer, caller. It is hashed and compared whole, and a copy of it serves as the six
 * strings of a struct usage_seen.
 *
 * Threads: one at a time.
 */

#include "base/buf.h"
#include "usage/usage.h"

#define KEY_COLUMNS 6u
#define KEY_COLUMN_MAX 128u /* what is longer is cut; identifiers of Sarsen are not */
#define KEY_MAX (KEY_COLUMNS * (KEY_COLUMN_MAX + 1))

struct usage_entry {
    uint64_t hash;
    size_t key_offset, key_size; /* in the table's keys */
    uint64_t n, errors;
    nsec duration;
    unix_msec first, last;
};

struct usage_table {
    struct usage_entry *entries; /* in order of appearance */
    uint32_t *slots;             /* index of an entry + 1, or 0 */
    uint64_t generation;         /* no other table, and not this one before, has the same */
    size_t n_entries, capacity;  /* there are twice as many slots as capacity, a power of two */
    struct buf keys;
};

/* Writes the key and returns its size. */
size_t usage_key_pack(const struct usage_key *key, char ret_bytes[KEY_MAX]);

/* The columns of a packed key, borrowed from it. */
struct usage_key usage_key_unpack(struct span packed);

/* The key under which counts what must not take more room: the customer is ~other and the caller
 * nobody. The other columns come from snapshots, so their number has a limit of its own. */
struct usage_key usage_key_of_other(const struct usage_key *key);

static inline struct span usage_entry_key(const struct usage_table *table,
                                          const struct usage_entry *entry)
{
    return (struct span){ table->keys.data + entry->key_offset, entry->key_size };
}

/* One hourly row as a row seen, with texts of the latter; false when there is none. */
bool usage_hour_read(const struct usage *usage, const struct ledger_cell *cells,
                     struct usage_seen *ret_row);
#define USAGE_HOURS_COLUMNS 10u

/* Adds the sums of `entry` to those of the key. */
void usage_table_add(struct usage_table *table, struct span packed,
                     const struct usage_entry *entry);

/* Empties it and keeps the memory. */
void usage_table_clear(struct usage_table *table);
