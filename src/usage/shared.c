/* SPDX-License-Identifier: Apache-2.0 */

#include "usage/shared.h"

#include "base/mem.h"
#include "usage/records.pb-c.h"

#define LAST_PREFIX USAGE_PREFIX "last/"

/* The newest use that is known here. */
struct own_last {
    struct map_node node; /* by contract */
    char *contract;
    unix_msec last;
};

void usage_shared_init(struct usage_shared *shared)
{
    map_init(&shared->own);
    map_init(&shared->members);
}

static void last_drop(struct usage_shared *shared, struct usage_last *row)
{
    map_remove(&shared->members, &row->node);
    free(row->member);
    free(row->contract);
    free(row->host);
    free(row->key);
    free(row);
}

void usage_shared_fini(struct usage_shared *shared)
{
    map_each (node, &shared->own) {
        struct own_last *own = container_of(node, struct own_last, node);
        map_remove(&shared->own, node);
        free(own->contract);
        free(own);
    }
    map_each (node, &shared->members)
        last_drop(shared, container_of(node, struct usage_last, node));
    map_fini(&shared->own);
    map_fini(&shared->members);
    free(shared->self);
    free(shared->host);
}

void usage_set_self(struct usage *usage, struct span member, struct span host)
{
    struct usage_shared *shared = usage_shared_of(usage);
    free(shared->self);
    free(shared->host);
    shared->self = member.size ? mem_span_dup(member) : NULL;
    shared->host = mem_span_dup(host);
}

const char *usage_self(const struct usage *usage)
{
    return usage_shared_get(usage)->self;
}

void usage_shared_note(struct usage_shared *shared, const char *contract, unix_msec last)
{
    struct own_last *own = map_find_as(&shared->own, span_of(contract), struct own_last, node);
    if (!own) {
        own = mem_new(struct own_last);
        own->contract = mem_strdup(contract);
        map_add(&shared->own, &own->node, span_of(own->contract));
    }
    if (last > own->last)
        own->last = last;
}

/* --- the fold --- */

const struct map *usage_lasts(const struct usage *usage)
{
    return &usage_shared_get(usage)->members;
}

static void last_put(struct usage_shared *shared, struct span key, const Usage__LastRecord *record,
                     int64_t mod_revision)
{
    struct usage_last *row = map_find_as(&shared->members, key, struct usage_last, node);
    if (!row) {
        struct span contract = key, member = span_cut(&contract, '/');
        row = mem_new(struct usage_last);
        row->key = mem_span_dup(key);
        row->member = mem_span_dup(member);
        row->contract = mem_span_dup(contract);
        map_add(&shared->members, &row->node, (struct span){ row->key, key.size });
    }
    free(row->host);
    row->host = mem_strdup(record->host);
    row->last = record->last;
    row->mod_revision = mod_revision;
}

int usage_apply(struct usage *usage, const struct store_event *event)
{
    struct usage_shared *shared = usage_shared_of(usage);
    struct span key = event->entry.key;
    if (!span_starts_with(key, SPAN(LAST_PREFIX)))
        return 0;
    key = span_from(key, strlen(LAST_PREFIX));
    if (event->kind == TXN_DELETE) {
        struct usage_last *row = map_find_as(&shared->members, key, struct usage_last, node);
        if (row)
            last_drop(shared, row);
        return 0;
    }
    Usage__LastRecord *record = usage__last_record__unpack(
        NULL, event->entry.value.size, (const uint8_t *)event->entry.value.data);
    if (!record)
        return err_origin(-EBADMSG);
    last_put(shared, key, record, event->entry.mod_revision);
    usage__last_record__free_unpacked(record, NULL);
    return 0;
}

/* --- sharing --- */

static void put(const struct usage_shared *shared, const struct own_last *own, struct span key,
                struct txn *txn)
{
    Usage__LastRecord record;
    usage__last_record__init(&record);
    record.last = own->last;
    record.host = shared->host;
    txn_put(txn, key, txn_pack(txn, &record.base));
}

static void share_own(const struct usage_shared *shared, unix_msec outdated, struct txn *txn)
{
    map_each (node, &shared->own) {
        const struct own_last *own = container_of(node, struct own_last, node);
        const char *key =
            arena_format(&txn->arena, LAST_PREFIX "%s/%s", shared->self, own->contract);
        const struct usage_last *told =
            map_find_as(&shared->members, span_from(span_of(key), strlen(LAST_PREFIX)),
                        struct usage_last, node);
        if (txn->n_ops == txn_ops_max(txn))
            return;
        if (own->last >= outdated && (!told || own->last >= told->last + USAGE_SHARE_EVERY))
            put(shared, own, span_of(key), txn);
    }
}

/* What is too old to stand in anybody's way goes: our own, and of all where somebody is to. */
static void drop_outdated(const struct usage_shared *shared, unix_msec outdated, bool of_all,
                          struct txn *txn)
{
    map_each (node, &shared->members) {
        const struct usage_last *row = container_of(node, struct usage_last, node);
        if (txn->n_ops == txn_ops_max(txn))
            return;
        if (row->last >= outdated || (!of_all && strcmp(row->member, shared->self) != 0))
            continue;
        const char *key = arena_format(&txn->arena, LAST_PREFIX "%s", row->key);
        txn_expect(txn, span_of(key), row->mod_revision);
        txn_delete(txn, span_of(key));
    }
}

void usage_share(const struct usage *usage, nsec window, unix_msec wall, bool of_all,
                 struct txn *txn)
{
    const struct usage_shared *shared = usage_shared_get(usage);
    unix_msec outdated = wall - (unix_msec)(window / NSEC_PER_MSEC) - USAGE_SHARE_EVERY;
    if (!shared->self)
        return;
    share_own(shared, outdated, txn);
    drop_outdated(shared, outdated, of_all, txn);
}
