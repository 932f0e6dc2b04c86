#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * BOMs as one thread has met them: by their id, and by what chose them.
 *
 * Owns:    its BOMs, until it is freed. Threads: one. Cost: a choice met before O(1), without
 *          allocation; a new one O(services + apps).
 */

#include "base/arena.h"
#include "version/version.h"

/* A kept BOM is kept again when it is still assigned a day later, so that it stays young. */
#define BOM_FRESH_MSEC (24ll * 3600 * 1000)

/* base32 of the first 80 bits of SHA-256. */
void bom_id_format(struct span json, char ret_id[BOM_ID_SIZE + 1]);

/* All that decides over a customer's BOM. Compared as bytes, so it has no padding. */
struct choice_key {
    uint64_t rules; /* one bit for each the customer is in */
    uint64_t pin_set;
    char previous[BOM_ID_SIZE]; /* zeroes unless something needs it */
};

struct choice {
    struct map_node node; /* by its key */
    struct choice_key key;
    const struct bom *bom;
    enum resolve_reason reason;
};

struct bom_cache {
    const struct version_snapshot *snapshot;
    struct arena arena;
    struct map boms;      /* by id */
    struct map choices;   /* by struct choice_key */
    struct map contracts; /* arrays of contracts by their own bytes */
    struct map pages;     /* struct page_bom by its key */
};

/* What a BOM is made of. The arrays may be scratch memory. */
struct bom_parts {
    const struct snapshot_release **releases; /* in order of their apps */
    unsigned n_releases;
    uint32_t *contract_of; /* by service */
    struct bom_build *builds;
    unsigned n_builds;
};

/* The BOM of these parts: the one that the cache has, or a new one. Sorts the builds. */
const struct bom *bom_of_parts(struct bom_cache *cache, struct bom_parts *parts);
