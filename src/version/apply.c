/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fold: a record's kind stands in its key, and each kind has its own function. Nothing else
 * changes the room, so what a restart loads is what was there before.
 */

#include "version/version.h"

#include "base/mem.h"
#include "version/snapshot.h"
#include "version/state.h"

static const struct record_kind {
    struct span prefix;
    int (*apply)(struct version *version, struct span name, const struct store_event *event);
    bool is_of_base; /* what a snapshot's base is made of */
} record_kinds[] = {
    { { "app/", 4 }, app_apply, true },
    { { "bom/", 4 }, kept_bom_apply, true },
    { { "cohort/", 7 }, cohort_apply, false },
    { { "contract/", 9 }, contract_apply, false },
    { { "customer/", 9 }, customer_apply, true },
    { { "default/", 8 }, contract_default_apply, false },
    { { "file/", 5 }, release_file_apply, true },
    { { "guard/", 6 }, contract_guard_apply, false },
    { { "pin/", 4 }, pin_apply, true },
    { { "release/", 8 }, release_apply, true },
};

#define N_RECORD_KINDS (sizeof(record_kinds) / sizeof(record_kinds[0]))

struct version *version_new(void)
{
    struct version *version = mem_new(struct version);
    map_init(&version->contracts);
    map_init(&version->defaults);
    map_init(&version->apps);
    map_init(&version->customers);
    map_init(&version->cohorts);
    map_init(&version->boms);
    return version;
}

struct version *version_free(struct version *version)
{
    if (!version)
        return NULL;

    snapshot_base_unref(version->base);
    contracts_fini(version);
    apps_fini(version);
    customers_fini(version);
    cohorts_fini(version);
    kept_boms_fini(version);
    free(version);
    return NULL;
}

int version_apply(struct version *version, const struct store_event *event)
{
    struct span prefix = SPAN(VERSION_PREFIX);
    if (!span_starts_with(event->entry.key, prefix))
        return 0;

    struct span name = span_from(event->entry.key, prefix.size);
    size_t kind = 0;
    while (kind < N_RECORD_KINDS && !span_starts_with(name, record_kinds[kind].prefix))
        kind++;
    if (kind == N_RECORD_KINDS)
        return 0; /* a newer release of ours has added the kind; it is left alone */
    name = span_from(name, record_kinds[kind].prefix.size);
    if (record_kinds[kind].is_of_base)
        version->base = snapshot_base_unref(version->base);
    return err_trace(record_kinds[kind].apply(version, name, event));
}

const struct map *version_contracts(const struct version *version)
{
    return &version->contracts;
}

const struct map *version_apps(const struct version *version)
{
    return &version->apps;
}

const struct map *version_customers(const struct version *version)
{
    return &version->customers;
}

const struct map *version_cohorts(const struct version *version)
{
    return &version->cohorts;
}

bool version_text_is_plain(struct span text, size_t max)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < 0x20 || byte == 0x7f)
            return false;
    }
    return text.size <= max;
}

bool customer_id_is_valid(struct span id)
{
    if (id.size == 0 || id.size > CUSTOMER_ID_MAX || id.data[0] == '~')
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (id.data[i] <= 0x20 || id.data[i] > 0x7e)
            return false;
    }
    return true;
}

static bool is_word(char byte, bool is_first)
{
    bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
    return is_letter || (!is_first && ((byte >= '0' && byte <= '9') || byte == '.' || byte == '-'));
}

bool attribute_name_is_valid(struct span name)
{
    if (name.size == 0 || name.size > 64)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (!is_word(name.data[i], i == 0))
            return false;
    }
    return true;
}
