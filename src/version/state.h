#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the version room holds: the fold over its records, inside of struct version.
 *
 * A record may be seen before the one it hangs on (a file before its release, a pin before its
 * customer), because a load comes in order of keys. The parent is then made without a record of
 * its own (mod_revision 0) and goes again with its last child.
 *
 * Threads: the control loop.
 */

#include "version/version.h"

struct contract_default {
    struct map_node node; /* by service */
    char *service;
    uint32_t contract;
    int64_t mod_revision;
};

struct kept_bom {
    struct map_node node; /* by id */
    char *id, *json;
    unix_msec last_assigned;
    int64_t mod_revision;
};

struct version {
    struct map contracts, defaults, apps, customers, cohorts, boms;
    struct snapshot_base *base; /* of apps, customers and BOMs as they are; NULL: none was made */
};

/* Each applies one event to the record that `name`, the key behind its prefix, stands for. */
int contract_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int contract_guard_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int contract_default_apply(struct version *version, struct span name,
                           const struct store_event *event) MUST_CHECK;
int app_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int release_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int release_file_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int customer_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int pin_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int cohort_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;
int kept_bom_apply(struct version *version, struct span name, const struct store_event *event)
    MUST_CHECK;

/* Each frees all objects of its map. */
void contracts_fini(struct version *version);
void apps_fini(struct version *version);
void customers_fini(struct version *version);
void cohorts_fini(struct version *version);
void kept_boms_fini(struct version *version);

struct contract_default *contract_default_find(const struct version *version, struct span service);

/* Of the contracts of a service that the range accepts: the highest that can be routed to, which
 * is active and has had a build. When there is none, NULL, and *ret_offline is an offline one. */
struct contract *contract_for(const struct version *version, struct span service,
                              const struct major_range *range, struct contract **ret_offline);

static inline bool contract_is_routable(const struct contract *contract)
{
    return contract->state == CONTRACT_ACTIVE && contract->baseline[0];
}

#define VERSION_TEXT_MAX 1024u /* of a text a person writes: owner, why, title */

/* No control characters, at most `max` bytes. */
bool version_text_is_plain(struct span text, size_t max);

/* Of a cohort's attributes: [A-Za-z_][A-Za-z0-9_.-]*, at most 64. */
bool attribute_name_is_valid(struct span name);
