#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A BOM under construction: from the rules and pins that apply to releases, contracts and builds
 * that fit together.
 *
 * Apps are taken in order of their names. A release is accepted when, for every service it
 * requires, there is an active contract that it and all accepted before it can live with; else
 * the next candidate is tried: the release of the previous BOM, then the app's default. An app of
 * which none is accepted is left out whole.
 */

#include "base/arena.h"
#include "version/bom.h"
#include "version/snapshot.h"

struct draft {
    struct bom_cache *cache;
    uint64_t rules;                        /* one bit for each that applies */
    const struct known_customer *customer; /* for its pins; may be NULL */
    const struct bom *previous;            /* may be NULL */
    struct resolve_trace *trace;           /* may be NULL */
    enum resolve_reason reason;            /* the strongest that applied; set by draft_finish() */
    struct arena arena;
    struct bom_parts parts;
    struct accepted_need *accepted;
    unsigned n_accepted;
    uint32_t *first_accepted; /* by service; NO_INDEX ends a chain */
};

/* The draft can be used once. */
const struct bom *draft_finish(struct draft *draft);
