#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests to count and rows to load, in one line each.
 */

#include "check.h"
#include "usage/usage.h"

/* One request; NULL is an empty column. */
static inline void fake_use(struct usage_table *table, const char *contract, const char *release,
                            const char *customer, const char *caller, unix_msec at)
{
    struct usage_key key = {
        .contract = span_of(contract),
        .build = SPAN("2.9.0"),
        .app = release ? SPAN("shop") : SPAN_NULL,
        .release = span_of(release),
        .customer = span_of(customer),
        .caller = span_of(caller),
    };
    struct usage_sample sample = { .duration = 5 * NSEC_PER_MSEC, .at = at };
    usage_count(table, &key, &sample);
}

/* Merges and drops what would go to the ledger. */
static inline void fake_merge(struct usage *usage, struct usage_table *table)
{
    struct ledger_rows *hours, *seen;
    usage_merge(usage, table, 1795161600000, &hours, &seen);
    ledger_rows_free(hours);
    ledger_rows_free(seen);
}

static inline const struct usage_seen *fake_seen(const struct usage *usage, const char *contract,
                                                 const char *customer, const char *caller)
{
    map_each (node, usage_all(usage)) {
        const struct usage_seen *row = container_of(node, struct usage_seen, node);
        if (!strcmp(row->contract, contract) && !strcmp(row->customer, customer) &&
            !strcmp(row->caller, caller))
            return row;
    }
    return NULL;
}
