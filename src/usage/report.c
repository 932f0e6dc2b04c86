/* SPDX-License-Identifier: Apache-2.0 */

#include "base/arena.h"
#include "base/mem.h"
#include "usage/table.h"

static bool column_passes(struct span wanted, const char *value)
{
    return span_is_empty(wanted) || span_is(wanted, value);
}

static bool row_passes(const struct usage_seen *row, const struct usage_filter *filter)
{
    return column_passes(filter->contract, row->contract) &&
           column_passes(filter->build, row->build) && column_passes(filter->app, row->app) &&
           column_passes(filter->release, row->release) &&
           column_passes(filter->customer, row->customer) &&
           column_passes(filter->caller, row->caller);
}

/* The row with the columns that were not asked for left empty. */
static struct usage_seen row_project(const struct usage_seen *row, unsigned by)
{
    static char empty[1];
    struct usage_seen projected = *row;
    if (!by)
        return projected;

    if (!(by & USAGE_BY_CONTRACT))
        projected.contract = empty;
    if (!(by & USAGE_BY_BUILD))
        projected.build = empty;
    if (!(by & USAGE_BY_RELEASE))
        projected.release = empty;
    if (!(by & (USAGE_BY_RELEASE | USAGE_BY_APP)))
        projected.app = empty;
    if (!(by & USAGE_BY_CUSTOMER))
        projected.customer = empty;
    if (!(by & USAGE_BY_CALLER))
        projected.caller = empty;
    return projected;
}

static void row_sum(struct usage_seen *sum, const struct usage_seen *row)
{
    if (row->first < sum->first)
        sum->first = row->first;
    if (row->last > sum->last)
        sum->last = row->last;
    sum->n += row->n;
    sum->errors += row->errors;
    sum->total_duration += row->total_duration;
}

static struct span row_key(struct arena *arena, const struct usage_seen *row)
{
    char bytes[KEY_MAX];
    struct usage_key key = {
        .contract = span_of(row->contract),
        .build = span_of(row->build),
        .app = span_of(row->app),
        .release = span_of(row->release),
        .customer = span_of(row->customer),
        .caller = span_of(row->caller),
    };
    size_t size = usage_key_pack(&key, bytes);
    return arena_span_dup(arena, (struct span){ bytes, size });
}

/* Newest first; what is equally new stands in order of its key, so that reports are stable. */
static int row_compare(const void *a, const void *b)
{
    const struct usage_seen *x = a, *y = b;
    if (x->last != y->last)
        return x->last < y->last ? 1 : -1;
    return span_compare(x->node.key, y->node.key);
}

/* A report under construction. */
struct report_maker {
    struct arena arena;
    struct map sums;
    unsigned by;
};

static void report_add(struct report_maker *maker, const struct usage_seen *row)
{
    struct usage_seen projected = row_project(row, maker->by);
    struct span key = row_key(&maker->arena, &projected);
    struct usage_seen *sum = map_find_as(&maker->sums, key, struct usage_seen, node);
    if (sum) {
        row_sum(sum, row);
        return;
    }
    sum = arena_new(&maker->arena, struct usage_seen);
    *sum = projected;
    map_add(&maker->sums, &sum->node, key);
}

static struct usage_report report_finish(struct report_maker *maker)
{
    struct usage_report report = { .rows = mem_new_array(struct usage_seen, maker->sums.n_nodes) };
    map_each (node, &maker->sums)
        report.rows[report.n_rows++] = *container_of(node, struct usage_seen, node);
    if (report.n_rows)
        qsort(report.rows, report.n_rows, sizeof(report.rows[0]), row_compare);
    for (size_t i = 0; i < report.n_rows; i++)
        report.rows[i].node = (struct map_node){ 0 }; /* of a table that is no more */
    map_fini(&maker->sums);
    arena_fini(&maker->arena);
    return report;
}

struct usage_report usage_report(const struct usage *usage, const struct usage_filter *filter)
{
    struct report_maker maker = { .by = filter->by };
    map_init(&maker.sums);
    map_each (node, usage_all(usage)) {
        const struct usage_seen *row = container_of(node, struct usage_seen, node);
        if (row->last >= filter->since && row_passes(row, filter))
            report_add(&maker, row);
    }
    return report_finish(&maker);
}

struct usage_report usage_report_hours(const struct usage *usage, const struct usage_filter *filter,
                                       const struct ledger_cell *cells, size_t n_rows)
{
    struct report_maker maker = { .by = filter->by };
    map_init(&maker.sums);
    for (size_t i = 0; i < n_rows; i++, cells += USAGE_HOURS_COLUMNS) {
        struct usage_seen row;
        if (usage_hour_read(usage, cells, &row) && row_passes(&row, filter))
            report_add(&maker, &row);
    }
    return report_finish(&maker);
}

void usage_report_free(struct usage_report *report)
{
    free(report->rows);
    *report = (struct usage_report){ 0 };
}
