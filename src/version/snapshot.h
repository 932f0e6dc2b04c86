#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The inside of a snapshot. Names have become indices: services, contracts and builds are
 * numbered, builds and contracts of one service stand together, apps are in order of their names.
 *
 * Customers who are pinned alike share a pin set, so that what a customer is served by depends on
 * two numbers only: the set, and one bit for each rule.
 *
 * What the registry has no part in is the base: apps, releases, customers and BOMs. The next
 * snapshot has the same base while no record of those changed, so that an instance that comes or
 * goes costs nothing for each of a hundred thousand customers.
 *
 * Owns:    everything, in one arena of the snapshot and one of the base, but for the tables of the
 *          maps and the cohorts. The base is shared.
 * Threads: written while it is made, then only read, by any thread. References to a base are
 *          counted on the control loop.
 */

#include "version/version.h"

struct snapshot_need {
    const char *service_name, *range_text;
    uint32_t number; /* among those of all releases; see need_service() */
    struct major_range range;
};

struct known_release {
    struct snapshot_release release; /* what others see of it */
    struct map_node node;            /* by version */
    struct snapshot_need *needs;
    unsigned n_needs;
    struct map files; /* struct release_file */
};

struct known_app {
    struct map_node node; /* by name */
    struct span name;
    const struct known_release *default_release; /* or NULL */
    struct map releases;
};

struct known_service {
    struct map_node node; /* by name */
    struct snapshot_service service;
    uint32_t contracts, n_contracts; /* the highest major first */
    uint32_t builds, n_builds;
};

struct known_build {
    struct snapshot_build build;
    bool is_ready;
};

struct known_rule {
    const char *rollout;
    struct span salt;
    enum rule_subject subject;
    uint32_t pct_milli;
    struct cohort_rule *cohort;
    const struct bom_build *moves; /* contracts it moves to builds */
    unsigned n_moves;
    const struct known_release **releases; /* it moves their apps to */
    unsigned n_releases;
    const char *suspended; /* why nobody is in it now, or NULL */
};

struct known_pin {
    uint32_t app;
    const struct known_release *release;
    unix_msec expires;
};

struct known_customer {
    struct map_node node; /* by id */
    const struct instance_meta *attributes;
    unsigned n_attributes;
    const struct known_pin *pins; /* in order of their apps */
    unsigned n_pins;
    uint32_t pin_set; /* equal for customers with equal pins; 0: none */
};

struct known_bom {
    struct map_node node; /* by id */
    struct span json;
    unix_msec last_assigned;
};

struct snapshot_base {
    unsigned n_refs;
    struct arena arena;
    bool has_attributes; /* of customers, which only cohorts ask for */
    unix_msec expiry;    /* of the first pin that ends; 0: none does */
    struct map apps_by_name;
    struct known_app *apps;
    unsigned n_apps, n_needs; /* n_needs: of all releases */
    struct map customers, pin_sets, boms;
};

struct version_snapshot {
    struct snapshot_base *base;
    struct arena arena;
    unix_msec wall;
    struct map services_by_name;
    struct known_service *services;
    uint32_t *services_sorted; /* indices, by name */
    unsigned n_services;
    struct snapshot_contract *contracts;
    unsigned n_contracts;
    struct known_build *builds;
    unsigned n_builds;
    uint32_t *need_services; /* by number of a need */
    struct known_rule rules[RULES_MAX];
    unsigned n_rules, n_moves; /* n_moves: of all rules */
};

/* The base that the room's records make now: the same as the last time while it is of now. */
struct snapshot_base *snapshot_base_take(struct version *version, bool wants_attributes,
                                         unix_msec wall);
struct snapshot_base *snapshot_base_unref(struct snapshot_base *base);

/* Its parts, in the order they are called. */
void snapshot_base_add_apps(struct snapshot_base *base, const struct version *version);
void snapshot_base_add_customers(struct snapshot_base *base, const struct version *version,
                                 unix_msec wall);

/* Those of version_snapshot_new() behind the base. */
void snapshot_add_services(struct version_snapshot *snapshot, const struct version *version,
                           const struct registry *registry);
void snapshot_add_needs(struct version_snapshot *snapshot);
void snapshot_add_rules(struct version_snapshot *snapshot, const struct version_rule *rules,
                        unsigned n_rules);

void snapshot_base_free_apps(struct snapshot_base *base);

/* NO_INDEX: nothing of that service was ever seen. */
static inline uint32_t need_service(const struct version_snapshot *snapshot,
                                    const struct snapshot_need *need)
{
    return snapshot->need_services[need->number];
}

static inline bool snapshot_is_routable(const struct snapshot_contract *contract)
{
    return !contract->is_offline && contract->baseline != NO_INDEX;
}

/* The highest contract the need alone can be routed to, or NO_INDEX. */
uint32_t snapshot_need_contract(const struct version_snapshot *snapshot,
                                const struct snapshot_need *need);

uint32_t base_app(const struct snapshot_base *base, struct span name);
const struct known_release *base_release(const struct snapshot_base *base, struct span app,
                                         struct span release);
const struct known_release *snapshot_release_known(const struct version_snapshot *snapshot,
                                                   struct span app, struct span release);

static inline const struct known_release *known_release_of(const struct snapshot_release *release)
{
    return (const struct known_release *)((const char *)release -
                                          offsetof(struct known_release, release));
}

char *snapshot_text(struct version_snapshot *snapshot, const char *text);

/* The import map of a release as JSON: bare names to the URLs of its files, and the integrity of
 * each. Every "<" is escaped, so that it cannot end the script element it is written into. */
const char *import_map_format(struct arena *arena, const struct snapshot_release *release);
