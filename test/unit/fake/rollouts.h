#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The world of fake/world.h with rollouts above it: orders 2.9.0 and 3.14.2 are baselines, orders
 * 3.15.0 waits, shop 4.1.0 is the default and shop 4.2.0 is published.
 */

#include "fake/world.h"
#include "rollout/rollout.h"

struct gray {
    struct world world;
    struct rollouts *rollouts;
    struct rollout_spec spec;
    char id[ROLLOUT_ID_SIZE + 1];
};

static inline void gray_on_event(struct world *world, const struct store_event *event)
{
    struct gray *gray = container_of(world, struct gray, world);
    CHECK_INT(rollouts_apply(gray->rollouts, event), 0);
}

static inline void gray_init(struct gray *gray)
{
    memset(gray, 0, sizeof(*gray));
    world_init(&gray->world);
    gray->world.also = gray_on_event;
    gray->rollouts = rollouts_new();
    world_instance(&gray->world, "orders", "2.9.0");
    world_instance(&gray->world, "orders", "3.14.2");
    world_instance(&gray->world, "orders", "3.15.0");
    world_publish(&gray->world, "shop", "4.1.0", "orders 2");
    world_publish(&gray->world, "shop", "4.2.0", "orders 3");
}

static inline void gray_fini(struct gray *gray)
{
    rollouts_free(gray->rollouts);
    world_fini(&gray->world);
}

static inline struct rollout_context gray_context(const struct gray *gray)
{
    return (struct rollout_context){ gray->rollouts, gray->world.version, gray->world.registry,
                                     gray->world.wall };
}

static inline void spec_add(struct rollout_spec *spec, bool is_release, const char *owner,
                            const char *version)
{
    spec->members[spec->n_members].is_release = is_release;
    spec->members[spec->n_members].owner = span_of(owner);
    spec->members[spec->n_members++].version = span_of(version);
}

/* A step by hand. */
static inline void spec_step(struct rollout_spec *spec, uint32_t pct_milli, nsec hold)
{
    spec->steps[spec->n_steps].pct_milli = pct_milli;
    spec->steps[spec->n_steps++].hold = hold;
}

/* What gray->spec says; the answer, committed when it is 0. */
static inline int gray_start(struct gray *gray)
{
    struct rollout_context context = gray_context(gray);
    gray->world.problem = (struct problem){ 0 };
    int r = rollout_start(&context, &gray->spec, &gray->world.txn, gray->id, &gray->world.problem);
    if (r)
        txn_clear(&gray->world.txn);
    else
        CHECK_INT(fake_commit(&gray->world.store, &gray->world.txn), 0);
    return r;
}

/* orders 3.15.0 by steps of 1, 10, 50 and 100 %; `hold` for all but the last. */
static inline void gray_orders(struct gray *gray, nsec hold)
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    spec_step(&gray->spec, 1000, hold);
    spec_step(&gray->spec, 10000, hold);
    spec_step(&gray->spec, 50000, hold);
    spec_step(&gray->spec, PCT_ALL, 0);
    CHECK_INT(gray_start(gray), 0);
}

static inline int gray_change(struct gray *gray, enum rollout_verb verb)
{
    struct rollout_context context = gray_context(gray);
    gray->world.problem = (struct problem){ 0 };
    int r = rollout_change(&context, span_of(gray->id), verb, SPAN("ann"), SPAN("because"),
                           &gray->world.txn, &gray->world.problem);
    if (r)
        txn_clear(&gray->world.txn);
    else
        CHECK_INT(fake_commit(&gray->world.store, &gray->world.txn), 0);
    return r;
}

/* Makes all changes that are due and returns how many; the loop must end. */
static inline unsigned gray_due(struct gray *gray)
{
    unsigned n = 0;
    struct rollout_context context = gray_context(gray);
    while (rollout_due(&context, &gray->world.txn)) {
        CHECK(gray->world.txn.n_ops > 0);
        CHECK_INT(fake_commit(&gray->world.store, &gray->world.txn), 0);
        CHECK(++n < 20);
    }
    CHECK_INT(gray->world.txn.n_ops, 0);
    return n;
}

static inline const struct rollout *gray_rollout(const struct gray *gray)
{
    const struct rollout *rollout = rollout_find(gray->rollouts, span_of(gray->id));
    CHECK(rollout);
    return rollout;
}

static inline const char *gray_baseline(const struct gray *gray, uint32_t major)
{
    const struct contract *contract = contract_find(gray->world.version, SPAN("orders"), major);
    CHECK(contract);
    return contract->baseline;
}

/* How many of `n` customers are served by a BOM that contains `part`. */
static inline unsigned gray_count(struct gray *gray, unsigned n, const char *part)
{
    const struct version_rule *rules;
    unsigned n_rules = rollouts_rules(gray->rollouts, gray->world.version, &rules);
    memcpy(gray->world.rules, rules, n_rules * sizeof(*rules));
    gray->world.n_rules = n_rules;
    world_snapshot(&gray->world);
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        char customer[32];
        snprintf(customer, sizeof(customer), "customer-%u", i);
        count += strstr(world_bom(&gray->world, customer), part) != NULL;
    }
    return count;
}
