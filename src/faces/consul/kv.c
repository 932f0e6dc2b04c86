/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The KV store: a record for each key below "consul/kv/", whose revisions are its indexes.
 *
 * The index of a prefix is that of the newest change below it, deletions too, so the newest deleted
 * keys are remembered. When they are forgotten, or the process is new, all of them count as
 * deleted at one revision: an index may be higher than it need be, never lower than it was.
 */

#include "base/hash.h"
#include "base/mem.h"
#include "codec/json.h"
#include "faces/consul/call.h"
#include "faces/consul/records.pb-c.h"

#define PREFIX CONSUL_PREFIX "kv/"
#define VALUE_MAX ((size_t)512 * 1024)
#define KEY_MAX (STORE_KEY_MAX - sizeof(PREFIX))
#define DELETED_MAX 10000u
#define BATCH 256u

struct deleted_key {
    struct map_node node;
    char *key;
    int64_t revision;
};

static struct span store_key(struct arena *arena, struct span key)
{
    char *text = arena_format(arena, PREFIX "%.*s", SPAN_ARG(key));
    return (struct span){ text, strlen(text) };
}

static struct span key_of(const struct store_entry *entry)
{
    return span_from(entry->key, strlen(PREFIX));
}

static Consul__KvRecord *unpack(const struct store_entry *entry)
{
    return consul__kv_record__unpack(NULL, entry->value.size, (const uint8_t *)entry->value.data);
}

/* --- what was deleted --- */

static void forget(struct consul *consul, struct deleted_key *deleted)
{
    map_remove(&consul->deleted, &deleted->node);
    free(deleted->key);
    free(deleted);
}

static void remember(struct consul *consul, struct span key, int64_t revision)
{
    struct deleted_key *deleted = map_find_as(&consul->deleted, key, struct deleted_key, node);
    if (deleted)
        forget(consul, deleted);
    deleted = mem_new(struct deleted_key);
    deleted->key = mem_span_dup(key);
    deleted->revision = revision;
    map_add(&consul->deleted, &deleted->node, (struct span){ deleted->key, key.size });
    if (consul->deleted.n_nodes <= DELETED_MAX)
        return;
    struct deleted_key *oldest =
        container_of(consul->deleted.nodes.next, struct deleted_key, node.link);
    consul->deleted_floor = oldest->revision;
    forget(consul, oldest);
}

void consul_kv_fini(struct consul *consul)
{
    map_each (node, &consul->deleted)
        forget(consul, container_of(node, struct deleted_key, node));
    map_fini(&consul->deleted);
}

int consul_kv_apply(struct consul *consul, struct span key, const struct store_event *event)
{
    topics_key_changed(&consul->topics, key);
    if (event->kind == TXN_DELETE) {
        remember(consul, key, event->entry.mod_revision);
        consul_session_hold(consul, key, SPAN_NULL);
        return 0;
    }
    Consul__KvRecord *record = unpack(&event->entry);
    if (!record)
        return err_origin(-EBADMSG);
    consul_session_hold(consul, key, span_of(record->session));
    consul__kv_record__free_unpacked(record, NULL);
    return 0;
}

/* --- reading --- */

/* Calls on_entry for everything below the prefix, in order, and returns how many there are. */
static size_t each_below(struct consul_call *call, struct span prefix,
                         void (*on_entry)(void *owner, const struct store_entry *entry),
                         void *owner)
{
    struct span full = store_key(&call->arena, prefix), after = SPAN_NULL;
    const struct store_entry *entries[BATCH];
    size_t n_all = 0, n;
    do {
        n = store_range(call->consul->store, full, after, entries, BATCH);
        for (size_t i = 0; i < n; i++) {
            on_entry(owner, entries[i]);
            after = entries[i]->key;
        }
        n_all += n;
    } while (n == BATCH);
    return n_all;
}

static void take_newest(void *owner, const struct store_entry *entry)
{
    int64_t *newest = owner;
    if (entry->mod_revision > *newest)
        *newest = entry->mod_revision;
}

static int64_t index_below(struct consul_call *call, struct span prefix)
{
    const struct consul *consul = call->consul;
    int64_t index = consul->deleted_floor;
    each_below(call, prefix, take_newest, &index);
    map_each (node, &consul->deleted) {
        const struct deleted_key *deleted = container_of(node, struct deleted_key, node);
        if (deleted->revision > index && span_starts_with(deleted->node.key, prefix))
            index = deleted->revision;
    }
    return index;
}

/* What a listing waits for: changes below its prefix, or where there is nothing, in the folder above.
 * Consul does so, roughly, and Spring relies on it: it waits for several folders in turn, and for
 * those that it has only behind those that it has not. */
static struct span watched_prefix(struct consul_call *call)
{
    const struct store_entry *entry;
    struct span prefix = call->tail, above = prefix;
    if (store_range(call->consul->store, store_key(&call->arena, prefix), SPAN_NULL, &entry, 1))
        return prefix;
    do
        above = span_first(above, above.size - (above.size > 0));
    while (above.size && !span_ends_with(above, SPAN("/")));
    return above.size ? above : prefix;
}

/* False: the call waits, or is gone. */
static bool is_listing_due(struct consul_call *call)
{
    struct span prefix = watched_prefix(call);
    return consul_is_due(call, index_below(call, prefix), TOPIC_PREFIX, prefix);
}

static int64_t index_of(const struct consul_call *call, const struct store_entry *entry)
{
    const struct consul *consul = call->consul;
    if (entry)
        return entry->mod_revision;
    const struct deleted_key *deleted =
        map_find_as(&consul->deleted, call->tail, struct deleted_key, node);
    return deleted && deleted->revision > consul->deleted_floor ? deleted->revision
                                                                : consul->deleted_floor;
}

static void put_value(struct json_out *out, const Consul__KvRecord *record)
{
    json_key(out, SPAN("Value"));
    if (record->value.len == 0) {
        json_none(out);
        return;
    }
    CLEANUP(mem_freep) char *text = mem_resize(NULL, record->value.len / 3 * 4 + 8, 1);
    size_t size = hash_base64(record->value.data, record->value.len, text);
    json_text(out, (struct span){ text, size });
}

static void put_entry(void *owner, const struct store_entry *entry)
{
    struct json_out *out = owner;
    Consul__KvRecord *record = unpack(entry);
    if (!record)
        return; /* it was refused when it was applied */
    json_open(out, '{');
    json_key(out, SPAN("LockIndex"));
    json_uint(out, record->lock_index);
    json_key(out, SPAN("Key"));
    json_text(out, key_of(entry));
    json_key(out, SPAN("Flags"));
    json_uint(out, record->flags);
    put_value(out, record);
    if (record->session[0]) {
        json_key(out, SPAN("Session"));
        json_text(out, span_of(record->session));
    }
    json_key(out, SPAN("CreateIndex"));
    json_int(out, consul_index(entry->create_revision));
    json_key(out, SPAN("ModifyIndex"));
    json_int(out, consul_index(entry->mod_revision));
    json_close(out, '}');
    consul__kv_record__free_unpacked(record, NULL);
}

/* The names below a prefix, each only up to the first separator behind it. */
struct key_list {
    struct json_out out;
    size_t prefix_size;
    struct span separator, last;
};

static size_t find_text(struct span text, struct span wanted)
{
    bool can = wanted.size > 0 && text.size > 0;
    const char *at = can ? memmem(text.data, text.size, wanted.data, wanted.size) : NULL;
    return at ? (size_t)(at - text.data) + wanted.size : text.size;
}

static void put_key(void *owner, const struct store_entry *entry)
{
    struct key_list *list = owner;
    struct span key = key_of(entry);
    size_t size = list->prefix_size + find_text(span_from(key, list->prefix_size), list->separator);
    key = span_first(key, size);
    bool has_last = list->last.data && key.data;
    if (has_last && span_equals(list->last, key))
        return;
    list->last = key;
    json_text(&list->out, key);
}

static void get_keys(struct consul_call *call)
{
    struct span separator = SPAN_NULL;
    CLEANUP(buf_fini) struct buf text = { 0 };
    if (!is_listing_due(call))
        return;
    if (!consul_param(call, "separator", &separator))
        consul_param(call, "seperator", &separator); /* as some clients have it */
    struct key_list list = { .out = { .buf = &text },
                             .prefix_size = call->tail.size,
                             .separator = separator };
    json_open(&list.out, '[');
    size_t n = each_below(call, call->tail, put_key, &list);
    json_close(&list.out, ']');
    if (n == 0 && call->tail.size > 0)
        consul_reply(call, 404, NULL, SPAN_NULL);
    else
        consul_reply_json(call, &text);
}

static void get_below(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    if (!is_listing_due(call))
        return;
    json_open(&out, '[');
    size_t n = each_below(call, call->tail, put_entry, &out);
    json_close(&out, ']');
    if (n == 0)
        consul_reply(call, 404, NULL, SPAN_NULL);
    else
        consul_reply_json(call, &text);
}

static void reply_raw(struct consul_call *call, const struct store_entry *entry)
{
    Consul__KvRecord *record = unpack(entry);
    struct span value = SPAN_NULL;
    if (record)
        value = (struct span){ (const char *)record->value.data, record->value.len };
    consul_reply(call, 200, "text/plain", value);
    if (record)
        consul__kv_record__free_unpacked(record, NULL);
}

void consul_kv_get(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    if (consul_has_param(call, "keys")) {
        get_keys(call);
        return;
    }
    if (consul_has_param(call, "recurse")) {
        get_below(call);
        return;
    }
    if (!call->tail.size) {
        consul_refuse(call, 400, "Missing key name");
        return;
    }
    const struct store_entry *entry =
        store_find(call->consul->store, store_key(&call->arena, call->tail));
    if (!consul_is_due(call, index_of(call, entry), TOPIC_KEY, call->tail))
        return;
    if (!entry) {
        consul_reply(call, 404, NULL, SPAN_NULL);
    } else if (consul_has_param(call, "raw")) {
        reply_raw(call, entry);
    } else {
        json_open(&out, '[');
        put_entry(&out, entry);
        json_close(&out, ']');
        consul_reply_json(call, &text);
    }
}

/* --- writing --- */

static void reply_true(struct consul_call *call)
{
    consul_reply_bool(call, true);
}

/* "cas": what the entry's index must be, 0 for a key that is not there. */
static int check_cas(struct consul_call *call, const struct store_entry *entry)
{
    struct span text;
    uint64_t index;
    if (!consul_param(call, "cas", &text))
        return 0;
    if (!span_to_uint(text, INT64_MAX, &index))
        return consul_deny(call, 400, "cas is \"%.*s\"; an index is accepted",
                           SPAN_ARG(span_first(text, 40)));
    return (int64_t)index == (entry ? consul_index(entry->mod_revision) : 0) ? 0 : CONSUL_FALSE;
}

static char *text_of(struct consul_call *call, struct span span)
{
    return arena_format(&call->arena, "%.*s", SPAN_ARG(span));
}

/* What the record says of locks when the write is done; `record` has what it said before. */
static int lock(struct consul_call *call, Consul__KvRecord *record, struct txn *txn)
{
    struct span session;
    if (consul_param(call, "acquire", &session)) {
        if (!consul_session_expect(call->consul, session, txn))
            return consul_deny(call, 500, "invalid session \"%.*s\"",
                               SPAN_ARG(span_first(session, 64)));
        if (span_is(session, record->session))
            return 0;
        if (record->session[0] || consul_session_delays(call->consul, call->tail))
            return CONSUL_FALSE;
        record->session = text_of(call, session);
        record->lock_index++;
    } else if (consul_param(call, "release", &session)) {
        if (!session.size || !span_is(session, record->session))
            return CONSUL_FALSE;
        record->session = text_of(call, SPAN(""));
    }
    return 0;
}

static int put_key_in(struct consul_call *call, struct txn *txn)
{
    struct span key = store_key(&txn->arena, call->tail);
    const struct store_entry *entry = store_find(call->consul->store, key);
    int r = check_cas(call, entry);
    if (r)
        return r;

    Consul__KvRecord record;
    Consul__KvRecord *before = entry ? unpack(entry) : NULL;
    consul__kv_record__init(&record);
    if (before) {
        record.lock_index = before->lock_index;
        record.session = arena_format(&txn->arena, "%s", before->session);
        consul__kv_record__free_unpacked(before, NULL);
    }
    struct span flags;
    if (consul_param(call, "flags", &flags) && !span_to_uint(flags, UINT64_MAX, &record.flags))
        return consul_deny(call, 400, "flags is \"%.*s\"; a number of 64 bits is accepted",
                           SPAN_ARG(span_first(flags, 40)));
    r = lock(call, &record, txn);
    if (r)
        return r;
    record.value.data = (uint8_t *)call->body.data;
    record.value.len = call->body.size;

    struct span value = txn_pack(txn, &record.base);
    txn_expect(txn, key, entry ? entry->mod_revision : 0);
    if (!entry || !span_equals(entry->value, value)) /* the same again changes no index */
        txn_put(txn, key, value);
    return 0;
}

void consul_kv_put(struct consul_call *call)
{
    unsigned n_kinds = consul_has_param(call, "cas") + consul_has_param(call, "acquire") +
                       consul_has_param(call, "release");
    if (!call->tail.size)
        consul_refuse(call, 400, "Missing key name");
    else if (call->tail.size > KEY_MAX) {
        consul_refuse(call, 400, "the key has %zu bytes; up to %zu are accepted", call->tail.size,
                      KEY_MAX);
    } else if (call->body.size > VALUE_MAX) {
        consul_refuse(call, 413, "Request body(%zu bytes) too large, max size: %zu bytes.",
                      call->body.size, VALUE_MAX);
    } else if (n_kinds > 1) {
        consul_refuse(call, 400, "Conflicting flags: cas, acquire and release exclude each other");
    } else {
        consul_write(call, put_key_in, reply_true);
    }
}

static int build_delete(struct consul_call *call, struct txn *txn)
{
    struct span key = store_key(&txn->arena, call->tail);
    const struct store_entry *entry = store_find(call->consul->store, key);
    int r = check_cas(call, entry);
    if (r || !entry)
        return r;
    txn_expect(txn, key, entry->mod_revision);
    txn_delete(txn, key);
    return 0;
}

/* As many as one transaction takes; the call goes on until none is left. */
static int build_delete_below(struct consul_call *call, struct txn *txn)
{
    const struct store_entry *entries[BATCH];
    struct span prefix = store_key(&txn->arena, call->tail), after = SPAN_NULL;
    size_t n = BATCH;
    while (n == BATCH && txn_has_room(txn, 1)) {
        n = store_range(call->consul->store, prefix, after, entries, BATCH);
        for (size_t i = 0; i < n && txn_has_room(txn, 1); i++) {
            txn_delete(txn, entries[i]->key);
            after = entries[i]->key;
        }
    }
    return 0;
}

static void delete_rest(struct consul_call *call)
{
    const struct store_entry *entry;
    struct span prefix = store_key(&call->arena, call->tail);
    if (store_range(call->consul->store, prefix, SPAN_NULL, &entry, 1) > 0)
        consul_write(call, build_delete_below, delete_rest);
    else
        consul_reply_bool(call, true);
}

void consul_kv_delete(struct consul_call *call)
{
    bool is_recursive = consul_has_param(call, "recurse");
    if (is_recursive && consul_has_param(call, "cas"))
        consul_refuse(call, 400, "Conflicting flags: cas and recurse exclude each other");
    else if (is_recursive)
        delete_rest(call);
    else if (!call->tail.size)
        consul_refuse(call, 400, "Missing key name");
    else
        consul_write(call, build_delete, reply_true);
}

void consul_kv_release(struct consul *consul, struct span key, bool deletes, struct txn *txn)
{
    struct span full = store_key(&txn->arena, key);
    const struct store_entry *entry = store_find(consul->store, full);
    Consul__KvRecord *record = entry ? unpack(entry) : NULL;
    if (!record)
        return;
    txn_expect(txn, full, entry->mod_revision);
    if (deletes) {
        txn_delete(txn, full);
    } else {
        char *session = record->session, none[] = "";
        record->session = none;
        txn_put(txn, full, txn_pack(txn, &record->base));
        record->session = session;
    }
    consul__kv_record__free_unpacked(record, NULL);
}
