/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole content as of one revision: the first page tells which, the others ask for it. It
 * comes after a new epoch, so for each of our writes that was sent before, what it holds is final:
 * there is a verdict in its slot, or there never will be.
 *
 * At the first load nobody has seen anything yet. Later ones come when the changes since are no
 * longer kept; then watches are told, as one step of the revision that was loaded, all that differs
 * from what they know.
 */

#include <stdio.h>

#include "base/mem.h"
#include "store/engine_etcd.h"

#define PAGE_MIN 16
#define PAGE_MAX 4096
#define PAGE_BYTES_FEW ((size_t)512 * 1024)
#define PAGE_BYTES_MANY ((size_t)4 * 1024 * 1024)

static void load_page(struct etcd *etcd);

void etcd_load_fini(struct etcd *etcd)
{
    index_fini(&etcd->fresh);
    index_init(&etcd->fresh);
    buf_fini(&etcd->cursor);
    if (etcd->is_loaded)
        return;
    index_fini(&etcd->store->index);
    index_init(&etcd->store->index);
}

/* --- what differs --- */

struct differences {
    struct arena arena;
    struct store_event *events;
    size_t n_events, capacity;
};

static void differ(struct differences *all, enum txn_op_kind kind, const struct store_entry *entry)
{
    mem_grow(all->events, all->n_events, all->capacity);
    struct store_event *event = &all->events[all->n_events++];
    *event = (struct store_event){ .kind = kind, .entry = *entry };
    event->entry.key = arena_span_dup(&all->arena, entry->key);
    event->entry.value = kind == TXN_PUT ? arena_span_dup(&all->arena, entry->value) : SPAN_NULL;
}

static void differ_from(struct differences *all, const struct index *index,
                        const struct index *other, enum txn_op_kind kind)
{
    const struct store_entry *entries[64];
    struct span after = SPAN_NULL;
    size_t n;
    while ((n = index_range(index, SPAN(""), after, entries, 64))) {
        for (size_t i = 0; i < n; i++) {
            const struct store_entry *there = index_find(other, entries[i]->key);
            bool differs = kind == TXN_DELETE
                               ? !there
                               : !there || there->mod_revision != entries[i]->mod_revision;
            if (differs)
                differ(all, kind, entries[i]);
        }
        after = entries[n - 1]->key;
    }
}

static void load_tell(struct etcd *etcd)
{
    struct store *store = etcd->store;
    struct differences all = { 0 };
    differ_from(&all, &store->index, &etcd->fresh, TXN_DELETE);
    differ_from(&all, &etcd->fresh, &store->index, TXN_PUT);
    /* Watches that read the past get all of it now: behind this step lies nothing to go on from. */
    store_finish_catch_ups(store);
    history_clear(&etcd->history);
    store->compacted = etcd->load_revision;
    for (size_t i = 0; i < all.n_events; i++) {
        if (all.events[i].kind == TXN_DELETE)
            all.events[i].entry.mod_revision = etcd->load_revision;
    }
    store_apply_revision(store, all.events, all.n_events, etcd->load_revision);
    free(all.events);
    arena_fini(&all.arena);
}

/* --- the end of a load --- */

static void load_end(struct etcd *etcd)
{
    struct store *store = etcd->store;
    if (!etcd->is_loaded) {
        store->revision = etcd->load_revision;
        int64_t from = etcd->load_revision - store->keep_revisions; /* the first is left out */
        etcd->from = from > etcd->base ? from : etcd->base + 1;
        etcd->is_filling = true;
    } else {
        load_tell(etcd);
        etcd->from = etcd->load_revision;
    }
    etcd->seen = 0;
    etcd->must_load = false;
    etcd->is_loaded = true;
    for (unsigned slot = 0; slot < ETCD_SLOTS; slot++)
        etcd_judge(etcd, slot, span_of(etcd->verdicts[slot]), etcd->verdict_revisions[slot]);
    etcd_set_epoch(etcd, etcd->load_epoch);
    etcd_load_fini(etcd);
    etcd_on_loaded(etcd);
}

/* --- pages --- */

static void load_key(struct etcd *etcd, const Etcd__KeyValue *kv)
{
    struct span key = span_from(etcd_span(kv->key), strlen(etcd->prefix));
    if (key.size < 2 || key.data[1] != '/')
        return;
    struct span rest = span_from(key, 2);
    struct span id = span_of(etcd->id);
    unsigned slot;
    switch (key.data[0]) {
    case 'k': {
        const struct store_entry entry = {
            .key = rest,
            .value = etcd_span(kv->value),
            .create_revision = etcd_revision_from(etcd, kv->create_revision),
            .mod_revision = etcd_revision_from(etcd, kv->mod_revision),
            .version = kv->version,
        };
        index_put(etcd->into, &entry);
        break;
    }
    case 'e':
        if (span_equals(rest, id))
            etcd->load_epoch = etcd_revision_from(etcd, kv->mod_revision);
        break;
    case 'w':
        if (!etcd_slot_parse(etcd, rest, &slot))
            break;
        snprintf(etcd->verdicts[slot], sizeof(etcd->verdicts[slot]), "%.*s",
                 SPAN_ARG(etcd_span(kv->value)));
        etcd->verdict_revisions[slot] = etcd_revision_from(etcd, kv->mod_revision);
        break;
    default: break;
    }
}

/* Few large values or many small ones: both come in pieces of a size that can be held. */
static void load_size_pages(struct etcd *etcd, size_t size)
{
    if (size < PAGE_BYTES_FEW && etcd->page_limit < PAGE_MAX)
        etcd->page_limit *= 2;
    else if (size > PAGE_BYTES_MANY && etcd->page_limit > 1)
        etcd->page_limit /= 2;
}

static void page_on_message(struct grpc_call *call, struct span message)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    Etcd__RangeResponse *page =
        etcd__range_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    buf_clear(&etcd->cursor);
    if (!page || !page->header) {
        etcd__range_response__free_unpacked(page, NULL);
        etcd_break(etcd, "sent keys that cannot be read");
        return;
    }
    if (!etcd->load_revision && !etcd_base_take(etcd, page)) {
        etcd__range_response__free_unpacked(page, NULL);
        return;
    }
    if (!etcd->load_revision)
        etcd->load_revision = etcd_revision_from(etcd, page->header->revision);
    for (size_t i = 0; i < page->n_kvs; i++)
        load_key(etcd, page->kvs[i]);
    if (page->more && page->n_kvs) {
        buf_put(&etcd->cursor, etcd_span(page->kvs[page->n_kvs - 1]->key));
        buf_put(&etcd->cursor, SPAN("\0")); /* the next key there can be */
    }
    load_size_pages(etcd, message.size);
    etcd__range_response__free_unpacked(page, NULL);
}

static void page_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    struct etcd *etcd = container_of(call, struct etcd, ask);
    if (status != GRPC_OK)
        etcd_break_by(etcd, "does not give its keys", status, text);
    else if (etcd->cursor.size)
        load_page(etcd);
    else if (!etcd->load_epoch)
        etcd_break(etcd, "does not have what was just written"); /* somebody removes our keys */
    else if (!etcd_base_raise(etcd))
        load_end(etcd);
}

static void load_page(struct etcd *etcd)
{
    static const struct grpc_call_ops ops = { page_on_message, page_on_end };
    etcd->ask.ops = &ops;
    etcd->phase_since = etcd_time(etcd); /* each page has its time */
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->ask, &target, "/etcdserverpb.KV/Range", etcd->patience, etcd->loop);
    Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
    request.key = etcd_bytes(etcd->cursor.size ? buf_span(&etcd->cursor) : span_of(etcd->prefix));
    request.range_end = etcd_bytes(span_of(etcd->prefix_end));
    request.limit = etcd->page_limit;
    request.revision = etcd_revision_to(etcd, etcd->load_revision);
    etcd_send(&etcd->ask, &request.base);
    grpc_call_finish(&etcd->ask);
}

void etcd_load(struct etcd *etcd)
{
    etcd_load_fini(etcd);
    etcd->into = etcd->is_loaded ? &etcd->fresh : &etcd->store->index;
    etcd->load_revision = etcd->load_epoch = 0;
    etcd->page_limit = PAGE_MIN;
    memset(etcd->verdicts, 0, sizeof(etcd->verdicts));
    load_page(etcd);
}
