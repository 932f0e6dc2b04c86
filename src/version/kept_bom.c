/* SPDX-License-Identifier: Apache-2.0 */

/*
 * BOMs that the store keeps, so that an id in a request's baggage means something in every
 * process. Nothing refers to a kept BOM but its id, and a BOM still in use is kept again by the
 * worker that assigns it next: so the oldest may go at any time.
 */

#include "version/version.h"

#include "base/mem.h"
#include "version/bom.h"
#include "version/record.h"
#include "version/state.h"

static void kept_bom_free(struct version *version, struct kept_bom *bom)
{
    map_remove(&version->boms, &bom->node);
    free(bom->id);
    free(bom->json);
    free(bom);
}

void kept_boms_fini(struct version *version)
{
    map_each (node, &version->boms)
        kept_bom_free(version, container_of(node, struct kept_bom, node));
    map_fini(&version->boms);
}

int kept_bom_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct kept_bom *bom = map_find_as(&version->boms, name, struct kept_bom, node);
    if (event->kind == TXN_DELETE) {
        if (bom)
            kept_bom_free(version, bom);
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__bom_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__BomRecord *record = (const Version__BomRecord *)message;
    if (!bom) {
        bom = mem_new(struct kept_bom);
        bom->id = mem_span_dup(name);
        map_add(&version->boms, &bom->node, span_of(bom->id));
    }
    version_text_set(&bom->json, record->json);
    bom->last_assigned = record->last_assigned;
    bom->mod_revision = event->entry.mod_revision;
    return 0;
}

static struct span kept_bom_key(struct txn *txn, struct span id)
{
    return version_key(txn, VERSION_PREFIX "bom/%.*s", SPAN_ARG(id));
}

static int older_first(const void *a, const void *b)
{
    const struct kept_bom *const *x = a, *const *y = b;
    if ((*x)->last_assigned != (*y)->last_assigned)
        return (*x)->last_assigned < (*y)->last_assigned ? -1 : 1;
    return span_compare((*x)->node.key, (*y)->node.key);
}

/* Two calls in one transaction may pick the same one; the next call makes up for it. */
static void oldest_delete(const struct version *version, size_t n_surplus, struct txn *txn)
{
    const struct kept_bom **boms =
        arena_new_array(&txn->arena, const struct kept_bom *, version->boms.n_nodes);
    size_t n = 0;
    map_each (node, &version->boms)
        boms[n++] = container_of(node, struct kept_bom, node);
    qsort(boms, n, sizeof(const struct kept_bom *), older_first);
    for (size_t i = 0; i < n_surplus && i < n; i++)
        txn_delete(txn, kept_bom_key(txn, boms[i]->node.key));
}

void bom_keep(const struct version *version, struct span canonical_json, unix_msec wall,
              struct txn *txn)
{
    char id[BOM_ID_SIZE + 1];
    bom_id_format(canonical_json, id);
    const struct kept_bom *bom = map_find_as(&version->boms, span_of(id), struct kept_bom, node);
    if (bom && wall - bom->last_assigned < BOM_FRESH_MSEC / 2)
        return;
    if (!bom && version->boms.n_nodes >= BOMS_MAX)
        oldest_delete(version, version->boms.n_nodes + 1 - BOMS_MAX, txn);

    /* No compare: whoever keeps this id keeps the same content. */
    Version__BomRecord record;
    version__bom_record__init(&record);
    record.json = version_text(txn, canonical_json);
    record.last_assigned = wall;
    version_record_put(txn, kept_bom_key(txn, span_of(id)), &record.base);
}
