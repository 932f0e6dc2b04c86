/* SPDX-License-Identifier: Apache-2.0 */

#include "etcd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "process.h"
#include "truth.h"

struct etcd_keys etcd_keys;

#define LEASE_TTL_MIN 2

void etcd_keys_begin(unsigned n_members)
{
    etcd_keys = (struct etcd_keys){ .revision = 1, .n_members = n_members, .has_leader = true };
    list_init(&etcd_keys.leases);
}

void etcd_keys_end(void)
{
    free(etcd_keys.keys);
    free(etcd_keys.events);
}

/* --- protobuf --- */

ProtobufCBinaryData etcd_binary(struct span span)
{
    union {
        const char *from;
        uint8_t *to; /* only read */
    } bytes = { .from = span.data };
    return (ProtobufCBinaryData){ span.size, bytes.to };
}

static struct span span_of_binary(ProtobufCBinaryData bytes)
{
    return (struct span){ (const char *)bytes.data, bytes.len };
}

struct span etcd_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    char *bytes = arena_alloc(&world.arena, 1, size + 1);
    protobuf_c_message_pack(message, (uint8_t *)bytes);
    return (struct span){ bytes, size };
}

static Etcd__Header *header(void)
{
    Etcd__Header *header = arena_new(&world.arena, Etcd__Header);
    etcd__header__init(header);
    header->cluster_id = 77;
    header->revision = etcd_keys.revision;
    return header;
}

static struct etcd_answer answer_ok(void)
{
    Etcd__PutResponse response = ETCD__PUT_RESPONSE__INIT;
    response.header = header();
    return (struct etcd_answer){ GRPC_OK, "", etcd_pack(&response.base) };
}

static struct etcd_answer answer_no(enum grpc_status status, const char *text)
{
    return (struct etcd_answer){ .status = status, .text = text };
}

/* --- keys --- */

static size_t key_place(struct span key)
{
    size_t low = 0, high = etcd_keys.n_keys;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (span_compare(etcd_keys.keys[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct key_value *key_find(struct span key)
{
    size_t at = key_place(key);
    if (at == etcd_keys.n_keys || !span_equals(etcd_keys.keys[at].key, key))
        return NULL;
    return &etcd_keys.keys[at];
}

static void event_add(bool is_delete, const struct key_value *kv)
{
    mem_grow(etcd_keys.events, etcd_keys.n_events, etcd_keys.events_capacity);
    etcd_keys.events[etcd_keys.n_events++] =
        (struct etcd_event){ .is_delete = is_delete, .kv = *kv };
}

/* At the revision that is being made. */
static void key_put(struct span key, struct span value, int64_t lease)
{
    struct key_value *kv = key_find(key);
    int64_t revision = etcd_keys.revision + 1;
    if (!kv) {
        size_t at = key_place(key);
        mem_grow(etcd_keys.keys, etcd_keys.n_keys, etcd_keys.keys_capacity);
        kv = &etcd_keys.keys[at];
        memmove(kv + 1, kv, (etcd_keys.n_keys++ - at) * sizeof(*kv));
        *kv = (struct key_value){ .key = arena_span_dup(&world.arena, key),
                                  .create_revision = revision };
    }
    kv->value = arena_span_dup(&world.arena, value);
    kv->mod_revision = revision;
    kv->version++;
    kv->lease = lease;
    event_add(false, kv);
}

static void key_delete(struct span key)
{
    struct key_value *kv = key_find(key);
    if (!kv)
        return;
    const struct key_value gone = { .key = kv->key, .mod_revision = etcd_keys.revision + 1 };
    memmove(kv, kv + 1, (size_t)(etcd_keys.keys + --etcd_keys.n_keys - kv) * sizeof(*kv));
    event_add(true, &gone);
}

/* What was changed since `n_before` is a revision. */
static void revision_end(size_t n_before)
{
    if (etcd_keys.n_events == n_before)
        return;
    etcd_keys.revision++;
    truth_add_etcd(etcd_keys.revision, etcd_keys.events + n_before, etcd_keys.n_events - n_before);
    members_on_commit();
}

void etcd_keys_set_base(int64_t base)
{
    etcd_keys.base = base;
    size_t n_before = etcd_keys.n_events;
    key_put(SPAN("/sarsen/b/revision"),
            span_of(arena_format(&world.arena, "%lld", (long long)base)), 0);
    revision_end(n_before);
}

size_t etcd_events_after(int64_t revision)
{
    size_t low = 0, high = etcd_keys.n_events;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (etcd_keys.events[middle].kv.mod_revision <= revision)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void etcd_compact(int64_t revision)
{
    if (revision <= etcd_keys.compacted || revision > etcd_keys.revision)
        return;
    trace("etcd compacts %lld", (long long)revision);
    etcd_keys.compacted = revision;
    if (chance(300))
        return;
    size_t end = etcd_events_after(revision);
    for (size_t i = etcd_events_after(revision - 1); i < end; i++)
        etcd_keys.events[i].is_purged = etcd_keys.events[i].is_delete;
}

/* --- leases --- */

static struct etcd_lease_model *lease_of(int64_t id)
{
    list_each (link, &etcd_keys.leases) {
        struct etcd_lease_model *lease = container_of(link, struct etcd_lease_model, link);
        if (lease->id == id)
            return lease;
    }
    return NULL;
}

static void lease_revoke(struct etcd_lease_model *lease)
{
    list_remove(&lease->link);
    world_cancel(&lease->end);
    size_t n_before = etcd_keys.n_events;
    for (size_t i = etcd_keys.n_keys; i-- > 0;) {
        if (etcd_keys.keys[i].lease == lease->id)
            key_delete(etcd_keys.keys[i].key);
    }
    revision_end(n_before);
}

/* Looked for twice a second; and nothing ends while nobody leads. */
static void lease_on_end(struct world_event *event)
{
    struct etcd_lease_model *lease = container_of(event, struct etcd_lease_model, end);
    if (!etcd_keys.has_leader || world.now < lease->until) {
        world_at(event, world.now + 500 * MSEC);
        return;
    }
    trace("etcd ends lease %llx", (unsigned long long)lease->id);
    processes_on_lease_end(lease->id, lease->until);
    lease_revoke(lease);
}

static void lease_renew(struct etcd_lease_model *lease)
{
    lease->until = world.now + lease->ttl;
    world_at(&lease->end, lease->until + chance_time(0, 500 * MSEC));
}

void etcd_leases_extend(void)
{
    list_each (link, &etcd_keys.leases)
        lease_renew(container_of(link, struct etcd_lease_model, link));
}

static struct etcd_answer lease_grant(struct span bytes)
{
    Etcd__LeaseGrantRequest *request =
        etcd__lease_grant_request__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    if (etcd_keys.is_alarmed) {
        etcd__lease_grant_request__free_unpacked(request, NULL);
        return answer_no(GRPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded");
    }
    struct etcd_lease_model *lease = arena_new(&world.arena, struct etcd_lease_model);
    lease->id = (int64_t)(chance_number() >> 1) | 1;
    int64_t ttl = request->ttl < LEASE_TTL_MIN ? LEASE_TTL_MIN : request->ttl;
    lease->ttl = (nsec)ttl * SECOND;
    lease->end.on_due = lease_on_end;
    list_add_last(&etcd_keys.leases, &lease->link);
    lease_renew(lease);
    etcd__lease_grant_request__free_unpacked(request, NULL);

    Etcd__LeaseGrantResponse response = ETCD__LEASE_GRANT_RESPONSE__INIT;
    response.header = header();
    response.id = lease->id;
    response.ttl = ttl;
    return (struct etcd_answer){ GRPC_OK, "", etcd_pack(&response.base) };
}

static struct etcd_answer lease_revoke_by(struct span bytes)
{
    Etcd__LeaseRevokeRequest *request =
        etcd__lease_revoke_request__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    struct etcd_lease_model *lease = lease_of(request->id);
    etcd__lease_revoke_request__free_unpacked(request, NULL);
    if (!lease)
        return answer_no(GRPC_NOT_FOUND, "etcdserver: requested lease not found");
    lease_revoke(lease);
    return answer_ok();
}

/* One whose time is over is not taken back to life, though its keys are still there. */
struct span etcd_keep_alive(struct span bytes)
{
    Etcd__LeaseKeepAliveRequest *request =
        etcd__lease_keep_alive_request__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    struct etcd_lease_model *lease = lease_of(request->id);
    Etcd__LeaseKeepAliveResponse response = ETCD__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    response.id = request->id;
    response.header = header();
    if (lease && world.now < lease->until) {
        lease_renew(lease);
        response.ttl = (int64_t)(lease->ttl / SECOND);
    }
    etcd__lease_keep_alive_request__free_unpacked(request, NULL);
    return etcd_pack(&response.base);
}

/* --- reading --- */

/* As of now, or of an older revision, which is made from the events. */
static const struct key_value *key_as_of(const struct key_value *kv, int64_t revision,
                                         struct key_value *old)
{
    if (!revision || kv->mod_revision <= revision)
        return kv;
    for (size_t i = etcd_events_after(revision); i-- > 0;) {
        const struct etcd_event *event = &etcd_keys.events[i];
        if (!span_equals(event->kv.key, kv->key))
            continue;
        *old = event->kv;
        return event->is_delete ? NULL : old;
    }
    return NULL;
}

/* A key that was there then and is not now: it was deleted since. */
static const struct etcd_event *deleted_since(const struct etcd_event *event, int64_t revision)
{
    if (!event->is_delete || key_find(event->kv.key))
        return NULL;
    for (size_t i = etcd_events_after(revision); i-- > 0;) {
        const struct etcd_event *then = &etcd_keys.events[i];
        if (span_equals(then->kv.key, event->kv.key))
            return then->is_delete ? NULL : then;
    }
    return NULL;
}

static bool is_among(const struct key_value *kvs, size_t n, struct span key)
{
    for (size_t i = 0; i < n; i++) {
        if (span_equals(kvs[i].key, key))
            return true;
    }
    return false;
}

static int kv_compare(const void *a, const void *b)
{
    const struct key_value *x = a, *y = b;
    return span_compare(x->key, y->key);
}

static size_t collect(const Etcd__RangeRequest *request, struct key_value *kvs)
{
    struct span first = span_of_binary(request->key), last = span_of_binary(request->range_end);
    size_t n = 0;
    for (size_t i = 0; i < etcd_keys.n_keys; i++) {
        struct span key = etcd_keys.keys[i].key;
        bool is_in = last.size ? span_compare(key, first) >= 0 && span_compare(key, last) < 0
                               : span_equals(key, first);
        struct key_value old;
        const struct key_value *kv =
            is_in ? key_as_of(&etcd_keys.keys[i], request->revision, &old) : NULL;
        if (kv)
            kvs[n++] = *kv;
    }
    size_t since = request->revision ? etcd_events_after(request->revision) : etcd_keys.n_events;
    for (size_t i = since; i < etcd_keys.n_events; i++) {
        const struct etcd_event *then = deleted_since(&etcd_keys.events[i], request->revision);
        bool is_in =
            then && span_compare(then->kv.key, first) >= 0 && span_compare(then->kv.key, last) < 0;
        if (is_in && !is_among(kvs, n, then->kv.key))
            kvs[n++] = then->kv;
    }
    qsort(kvs, n, sizeof(*kvs), kv_compare);
    return n;
}

static struct etcd_answer range(struct span bytes)
{
    Etcd__RangeRequest *request =
        etcd__range_request__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    if (request->revision && request->revision < etcd_keys.compacted) {
        etcd__range_request__free_unpacked(request, NULL);
        return answer_no(GRPC_OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision has been compacted");
    }
    struct key_value *kvs =
        arena_new_array(&world.arena, struct key_value, etcd_keys.n_keys + etcd_keys.n_events + 1);
    size_t n = collect(request, kvs);
    Etcd__RangeResponse response = ETCD__RANGE_RESPONSE__INIT;
    response.header = header();
    response.kvs = arena_new_array(&world.arena, Etcd__KeyValue *, n + 1);
    for (size_t i = 0; i < n && (!request->limit || i < (size_t)request->limit); i++) {
        Etcd__KeyValue *kv = arena_new(&world.arena, Etcd__KeyValue);
        etcd__key_value__init(kv);
        kv->key = etcd_binary(kvs[i].key);
        kv->value = etcd_binary(kvs[i].value);
        kv->create_revision = kvs[i].create_revision;
        kv->mod_revision = kvs[i].mod_revision;
        kv->version = kvs[i].version;
        response.kvs[response.n_kvs++] = kv;
    }
    response.more = response.n_kvs < n;
    etcd__range_request__free_unpacked(request, NULL);
    return (struct etcd_answer){ GRPC_OK, "", etcd_pack(&response.base) };
}

/* --- writing --- */

static bool holds(const Etcd__Compare *compare)
{
    const struct key_value *kv = key_find(span_of_binary(compare->key));
    return (kv ? kv->mod_revision : 0) == compare->mod_revision;
}

static bool all_hold(const Etcd__TxnRequest *txn)
{
    for (size_t i = 0; i < txn->n_compare; i++) {
        if (!holds(txn->compare[i]))
            return false;
    }
    return true;
}

static bool has_puts(Etcd__Op **ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i]->put)
            return true;
    }
    return false;
}

/* Whether all leases are there that its puts name. */
static bool leases_stand(const Etcd__TxnRequest *txn)
{
    bool stand = true;
    size_t n = all_hold(txn) ? txn->n_success : txn->n_failure;
    Etcd__Op **ops = all_hold(txn) ? txn->success : txn->failure;
    for (size_t i = 0; i < n; i++) {
        if (ops[i]->put && ops[i]->put->lease)
            stand = stand && lease_of(ops[i]->put->lease);
        if (ops[i]->txn)
            stand = stand && leases_stand(ops[i]->txn);
    }
    return stand;
}

static void txn_do(const Etcd__TxnRequest *txn)
{
    bool all = all_hold(txn);
    size_t n = all ? txn->n_success : txn->n_failure;
    Etcd__Op **ops = all ? txn->success : txn->failure;
    for (size_t i = 0; i < n; i++) {
        if (ops[i]->put)
            key_put(span_of_binary(ops[i]->put->key), span_of_binary(ops[i]->put->value),
                    ops[i]->put->lease);
        if (ops[i]->delete_)
            key_delete(span_of_binary(ops[i]->delete_->key));
        if (ops[i]->txn)
            txn_do(ops[i]->txn);
    }
}

static struct etcd_answer write_if_room(const Etcd__TxnRequest *txn)
{
    bool is_put = has_puts(txn->success, txn->n_success) || has_puts(txn->failure, txn->n_failure);
    if (is_put && etcd_keys.is_alarmed)
        return answer_no(GRPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded");
    if (!leases_stand(txn))
        return answer_no(GRPC_NOT_FOUND, "etcdserver: requested lease not found");
    size_t n_before = etcd_keys.n_events;
    txn_do(txn);
    revision_end(n_before);
    if (is_put && etcd_keys.is_full) { /* it is done, and that is what is answered */
        etcd_keys.is_alarmed = true;
        return answer_no(GRPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded");
    }
    return answer_ok();
}

static struct etcd_answer write_one(Etcd__PutRequest *put, Etcd__DeleteRequest *delete)
{
    Etcd__Op op = ETCD__OP__INIT, *ops = &op;
    op.put = put;
    op.delete_ = delete;
    Etcd__TxnRequest txn = ETCD__TXN_REQUEST__INIT;
    txn.success = &ops;
    txn.n_success = 1;
    return write_if_room(&txn);
}

struct etcd_answer etcd_execute(const char *method, struct span bytes)
{
    const uint8_t *data = (const uint8_t *)bytes.data;
    struct etcd_answer answer = answer_no(GRPC_UNIMPLEMENTED, "unknown method");
    if (strcmp(method, "Range") == 0)
        return range(bytes);
    if (strcmp(method, "LeaseGrant") == 0)
        return lease_grant(bytes);
    if (strcmp(method, "LeaseRevoke") == 0)
        return lease_revoke_by(bytes);
    if (strcmp(method, "Put") == 0) {
        Etcd__PutRequest *put = etcd__put_request__unpack(NULL, bytes.size, data);
        answer = write_one(put, NULL);
        etcd__put_request__free_unpacked(put, NULL);
    } else if (strcmp(method, "DeleteRange") == 0) {
        Etcd__DeleteRequest *delete = etcd__delete_request__unpack(NULL, bytes.size, data);
        answer = write_one(NULL, delete);
        etcd__delete_request__free_unpacked(delete, NULL);
    } else if (strcmp(method, "Txn") == 0) {
        Etcd__TxnRequest *txn = etcd__txn_request__unpack(NULL, bytes.size, data);
        answer = write_if_room(txn);
        etcd__txn_request__free_unpacked(txn, NULL);
    }
    return answer;
}
