/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What was seen: one row per key for ever, summed from the workers' tables. The ledger gets the
 * same increments, per hour and in all; it adds them up, so a row is never read back but at start.
 */

#include "base/mem.h"
#include "usage/shared.h"
#include "usage/table.h"

struct usage {
    struct map seen; /* struct usage_seen by its packed key */
    struct usage_shared shared;
};

enum seen_column {
    SEEN_CONTRACT,
    SEEN_BUILD,
    SEEN_APP,
    SEEN_RELEASE,
    SEEN_CUSTOMER,
    SEEN_CALLER,
    SEEN_N,
    SEEN_ERRORS,
    SEEN_DURATION,
    SEEN_FIRST,
    SEEN_LAST,
    N_SEEN_COLUMNS,
};

static const struct ledger_column seen_columns[N_SEEN_COLUMNS] = {
    [SEEN_CONTRACT] = { "contract", LEDGER_KEY_TEXT },
    [SEEN_BUILD] = { "build", LEDGER_KEY_TEXT },
    [SEEN_APP] = { "app", LEDGER_KEY_TEXT },
    [SEEN_RELEASE] = { "release", LEDGER_KEY_TEXT },
    [SEEN_CUSTOMER] = { "customer", LEDGER_KEY_TEXT },
    [SEEN_CALLER] = { "caller", LEDGER_KEY_TEXT },
    [SEEN_N] = { "n", LEDGER_SUM },
    [SEEN_ERRORS] = { "errors", LEDGER_SUM },
    [SEEN_DURATION] = { "duration", LEDGER_SUM },
    [SEEN_FIRST] = { "first", LEDGER_MIN },
    [SEEN_LAST] = { "last", LEDGER_MAX },
};

/* The hour comes first, since rows go by it; then the columns of seen up to the duration. */
#define N_HOURS_COLUMNS (1 + SEEN_DURATION + 1)

static const struct ledger_column hours_columns[N_HOURS_COLUMNS] = {
    { "hour", LEDGER_KEY_INT },     { "contract", LEDGER_KEY_TEXT },
    { "build", LEDGER_KEY_TEXT },   { "app", LEDGER_KEY_TEXT },
    { "release", LEDGER_KEY_TEXT }, { "customer", LEDGER_KEY_TEXT },
    { "caller", LEDGER_KEY_TEXT },  { "n", LEDGER_SUM },
    { "errors", LEDGER_SUM },       { "duration", LEDGER_SUM },
};

const struct ledger_table *usage_hours_table(void)
{
    static const struct ledger_table table = { .name = "usage_hours",
                                               .columns = hours_columns,
                                               .n_columns = N_HOURS_COLUMNS };
    return &table;
}

const struct ledger_table *usage_seen_table(void)
{
    static const struct ledger_table table = { .name = "usage_seen",
                                               .columns = seen_columns,
                                               .n_columns = N_SEEN_COLUMNS };
    return &table;
}

struct usage *usage_new(void)
{
    struct usage *usage = mem_new(struct usage);
    map_init(&usage->seen);
    usage_shared_init(&usage->shared);
    return usage;
}

struct usage *usage_free(struct usage *usage)
{
    if (!usage)
        return NULL;

    map_each (node, &usage->seen) {
        struct usage_seen *row = container_of(node, struct usage_seen, node);
        map_remove(&usage->seen, node);
        free(row->contract); /* the start of the copied key, which holds all six */
        free(row);
    }
    map_fini(&usage->seen);
    usage_shared_fini(&usage->shared);
    free(usage);
    return NULL;
}

struct usage_shared *usage_shared_of(struct usage *usage)
{
    return &usage->shared;
}

const struct usage_shared *usage_shared_get(const struct usage *usage)
{
    return &usage->shared;
}

const struct map *usage_all(const struct usage *usage)
{
    return &usage->seen;
}

static struct usage_seen *seen_add(struct usage *usage, struct span packed)
{
    struct usage_seen *row = mem_new(struct usage_seen);
    char *bytes = mem_span_dup(packed);
    char **columns[KEY_COLUMNS] = { &row->contract, &row->build,    &row->app,
                                    &row->release,  &row->customer, &row->caller };

    char *at = bytes;
    for (unsigned i = 0; i < KEY_COLUMNS; i++) {
        *columns[i] = at;
        at += strlen(at) + 1;
    }
    map_add(&usage->seen, &row->node, (struct span){ bytes, packed.size });
    return row;
}

/* The row of this key; when there are too many rows already, that of ~other. */
static struct usage_seen *seen_get(struct usage *usage, struct span packed)
{
    struct usage_seen *row = map_find_as(&usage->seen, packed, struct usage_seen, node);
    if (row)
        return row;
    if (usage->seen.n_nodes < USAGE_SEEN_MAX)
        return seen_add(usage, packed);

    char bytes[KEY_MAX];
    struct usage_key key = usage_key_unpack(packed);
    struct usage_key other = usage_key_of_other(&key);
    struct span packed_other = { bytes, usage_key_pack(&other, bytes) };
    row = map_find_as(&usage->seen, packed_other, struct usage_seen, node);
    return row ? row : seen_add(usage, packed_other);
}

static void seen_sum(struct usage_seen *row, const struct usage_entry *entry)
{
    if (!row->n || entry->first < row->first)
        row->first = entry->first;
    if (entry->last > row->last)
        row->last = entry->last;
    row->n += entry->n;
    row->errors += entry->errors;
    row->total_duration += entry->duration;
}

void usage_load(struct usage *usage, const struct ledger_cell *cells, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++, cells += N_SEEN_COLUMNS) {
        struct usage_key key = {
            .contract = cells[SEEN_CONTRACT].text,
            .build = cells[SEEN_BUILD].text,
            .app = cells[SEEN_APP].text,
            .release = cells[SEEN_RELEASE].text,
            .customer = cells[SEEN_CUSTOMER].text,
            .caller = cells[SEEN_CALLER].text,
        };
        struct usage_entry entry = {
            .n = (uint64_t)cells[SEEN_N].number,
            .errors = (uint64_t)cells[SEEN_ERRORS].number,
            .duration = (nsec)cells[SEEN_DURATION].number,
            .first = cells[SEEN_FIRST].number,
            .last = cells[SEEN_LAST].number,
        };
        char bytes[KEY_MAX];
        struct usage_seen *row =
            seen_get(usage, (struct span){ bytes, usage_key_pack(&key, bytes) });
        seen_sum(row, &entry);
        usage_shared_note(&usage->shared, row->contract, row->last);
    }
}

_Static_assert(N_HOURS_COLUMNS == USAGE_HOURS_COLUMNS, "as report.c walks them");

/* When last is known of the row as a whole only, and no row of a later hour is left out. */
bool usage_hour_read(const struct usage *usage, const struct ledger_cell *cells,
                     struct usage_seen *ret_row)
{
    const struct ledger_cell *columns = cells + 1; /* as in the rows seen */
    struct usage_key key = {
        .contract = columns[SEEN_CONTRACT].text,
        .build = columns[SEEN_BUILD].text,
        .app = columns[SEEN_APP].text,
        .release = columns[SEEN_RELEASE].text,
        .customer = columns[SEEN_CUSTOMER].text,
        .caller = columns[SEEN_CALLER].text,
    };
    char bytes[KEY_MAX];
    struct span packed = { bytes, usage_key_pack(&key, bytes) };
    const struct usage_seen *seen = map_find_as(&usage->seen, packed, struct usage_seen, node);
    if (!seen)
        return false;

    unix_msec hour = cells[USAGE_HOURS_HOUR].number * USAGE_HOUR;
    *ret_row = *seen;
    ret_row->n = (uint64_t)columns[SEEN_N].number;
    ret_row->errors = (uint64_t)columns[SEEN_ERRORS].number;
    ret_row->total_duration = (nsec)columns[SEEN_DURATION].number;
    ret_row->first = seen->first > hour ? seen->first : hour;
    return true;
}

static void rows_add(struct ledger_rows *hours, struct ledger_rows *seen, struct span packed,
                     const struct usage_entry *entry, int64_t hour)
{
    struct usage_key key = usage_key_unpack(packed);
    const struct ledger_cell cells[N_SEEN_COLUMNS] = {
        [SEEN_CONTRACT] = { .text = key.contract },
        [SEEN_BUILD] = { .text = key.build },
        [SEEN_APP] = { .text = key.app },
        [SEEN_RELEASE] = { .text = key.release },
        [SEEN_CUSTOMER] = { .text = key.customer },
        [SEEN_CALLER] = { .text = key.caller },
        [SEEN_N] = { .number = (int64_t)entry->n },
        [SEEN_ERRORS] = { .number = (int64_t)entry->errors },
        [SEEN_DURATION] = { .number = (int64_t)entry->duration },
        [SEEN_FIRST] = { .number = entry->first },
        [SEEN_LAST] = { .number = entry->last },
    };
    struct ledger_cell hour_cells[N_HOURS_COLUMNS] = { [USAGE_HOURS_HOUR] = { .number = hour } };
    memcpy(hour_cells + 1, cells, sizeof(hour_cells) - sizeof(hour_cells[0]));
    ledger_rows_add(hours, hour_cells);
    ledger_rows_add(seen, cells);
}

/* Names are visible ASCII; what else a caller sent would not go through JSON as it is. */
static void key_clean(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] && (bytes[i] < ' ' || bytes[i] > '~'))
            bytes[i] = '?';
    }
}

void usage_merge(struct usage *usage, struct usage_table *table, unix_msec wall,
                 struct ledger_rows **ret_hours, struct ledger_rows **ret_seen)
{
    struct ledger_rows *hours = ledger_rows_new(usage_hours_table());
    struct ledger_rows *seen = ledger_rows_new(usage_seen_table());

    for (size_t i = 0; i < table->n_entries; i++) {
        const struct usage_entry *entry = &table->entries[i];
        key_clean(table->keys.data + entry->key_offset, entry->key_size);
        struct usage_seen *row = seen_get(usage, usage_entry_key(table, entry));
        seen_sum(row, entry);
        usage_shared_note(&usage->shared, row->contract, row->last);
        rows_add(hours, seen, row->node.key, entry, usage_hour(wall));
    }
    usage_table_clear(table);
    *ret_hours = hours;
    *ret_seen = seen;
}
