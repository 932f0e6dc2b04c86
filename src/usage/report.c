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
    return row->last >= filter->since && column_passes(filter->contract, row->contract) &&
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

struct usage_report usage_report(const struct usage *usage, const struct usage_filter *filter)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    CLEANUP(map_fini) struct map sums;
    map_init(&sums);

    map_each (node, usage_all(usage)) {
        const struct usage_seen *row = container_of(node, struct usage_seen, node);
        if (!row_passes(row, filter))
            continue;
        struct usage_seen projected = row_project(row, filter->by);
        struct span key = row_key(&arena, &projected);
        struct usage_seen *sum = map_find_as(&sums, key, struct usage_seen, node);
        if (sum) {
            row_sum(sum, row);
        } else {
            sum = arena_new(&arena, struct usage_seen);
            *sum = projected;
            map_add(&sums, &sum->node, key);
        }
    }

    struct usage_report report = { .rows = mem_new_array(struct usage_seen, sums.n_nodes) };
    map_each (node, &sums)
        report.rows[report.n_rows++] = *container_of(node, struct usage_seen, node);
    if (report.n_rows)
        qsort(report.rows, report.n_rows, sizeof(report.rows[0]), row_compare);
    for (size_t i = 0; i < report.n_rows; i++)
        report.rows[i].node = (struct map_node){ 0 }; /* of a table that is no more */
    return report;
}

void usage_report_free(struct usage_report *report)
{
    free(report->rows);
    *report = (struct usage_report){ 0 };
}
