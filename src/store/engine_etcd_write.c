/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A transaction is one of etcd's that also compares our epoch, so that nothing that was sent is
 * done once there is a newer epoch, and that also writes a marker: its number and the verdict, be
 * it that all compares held, or that one of the room's did not.
 *
 * The answer is the marker that comes by the watch. Then all changes up to it are here, those of a
 * conflict too, so whoever decides again has seen what he lost to. And an answer that was lost is
 * not lost: after a break the watch goes on, with the marker, or with a newer epoch, behind which
 * the marker cannot come any more; then the transaction was not done, and is sent again.
 *
 * Transactions that have a key in common are sent one after the other, in the order of submission.
 */

#include <stdio.h>

#include "base/mem.h"
#include "store/engine_etcd.h"

struct etcd_key_node {
    struct map_node node;
};

struct etcd_write {
    struct list link;
    struct etcd *etcd;
    struct store_write *write; /* NULL: it is told */
    struct txn txn;
    struct grpc_call call;
    uint64_t number;
    int64_t epoch; /* that it was sent under, 0 before */
    int answer;    /* not 0: to be told when its turn comes */
    bool is_flying, is_done;
    unsigned slot;
    nsec give_up_at, sent_at;
    struct etcd_key_node *keys;
    size_t n_keys;
};

static void pump_on_run(struct task *task);

void etcd_write_init(struct etcd *etcd)
{
    list_init(&etcd->queue);
    list_init(&etcd->flying);
    list_init(&etcd->spent);
    map_init(&etcd->busy);
    list_init(&etcd->pump.link);
    etcd->pump.on_run = pump_on_run;
}

bool etcd_slot_parse(const struct etcd *etcd, struct span rest, unsigned *ret_slot)
{
    uint64_t slot;
    struct span id = span_cut(&rest, '/');
    if (!span_is(id, etcd->id) || !span_to_uint(rest, ETCD_SLOTS - 1, &slot))
        return false;
    *ret_slot = (unsigned)slot;
    return true;
}

/* --- keys that are under way --- */

static bool write_must_wait(const struct etcd_write *write)
{
    const struct txn *txn = &write->txn;
    for (size_t i = 0; i < txn->n_compares; i++) {
        if (map_find(&write->etcd->busy, txn->compares[i].key))
            return true;
    }
    for (size_t i = 0; i < txn->n_ops; i++) {
        if (map_find(&write->etcd->busy, txn->ops[i].key))
            return true;
    }
    return false;
}

static void write_hold_key(struct etcd_write *write, struct span key)
{
    if (map_find(&write->etcd->busy, key))
        return; /* it is in the transaction twice */
    map_add(&write->etcd->busy, &write->keys[write->n_keys++].node, key);
}

static void write_hold_keys(struct etcd_write *write)
{
    const struct txn *txn = &write->txn;
    write->keys = mem_new_array(struct etcd_key_node, txn->n_compares + txn->n_ops + 1);
    for (size_t i = 0; i < txn->n_compares; i++)
        write_hold_key(write, txn->compares[i].key);
    for (size_t i = 0; i < txn->n_ops; i++)
        write_hold_key(write, txn->ops[i].key);
}

/* --- the end of a write --- */

static void write_free(struct etcd_write *write)
{
    list_remove(&write->link);
    grpc_call_cancel(&write->call);
    txn_fini(&write->txn);
    free(write);
}

/* No longer under way: told, or to be sent again. */
static void write_land(struct etcd_write *write)
{
    if (!write->is_flying)
        return;
    for (size_t i = 0; i < write->n_keys; i++)
        map_remove(&write->etcd->busy, &write->keys[i].node);
    free(write->keys);
    write->keys = NULL;
    write->n_keys = 0;
    write->etcd->slots[write->slot] = NULL;
    write->is_flying = false;
}

static void write_tell(struct etcd_write *write, int answer, int64_t revision)
{
    struct etcd *etcd = write->etcd;
    struct store_write *told = steal(write->write);
    write_land(write);
    list_remove(&write->link);
    /* What etcd itself answers may be on its way still; it changes nothing. */
    if (write->call.is_open)
        list_add_last(&etcd->spent, &write->link);
    else
        write_free(write);
    if (!etcd->is_closing)
        task_defer(&etcd->pump, etcd->loop);
    told->on_done(told, answer, revision);
}

/* What is known not to be done goes back to where it was, before all that came later. */
static void write_send_again(struct etcd_write *write)
{
    grpc_call_cancel(&write->call);
    write_land(write);
    list_remove(&write->link);
    list_add_first(&write->etcd->queue, &write->link);
}

void etcd_judge(struct etcd *etcd, unsigned slot, struct span verdict, int64_t revision)
{
    struct etcd_write *write = etcd->slots[slot];
    struct span number = span_cut(&verdict, ' ');
    char expected[48];
    if (!write)
        return;
    snprintf(expected, sizeof(expected), "%s.%llu", etcd->nonce, (unsigned long long)write->number);
    if (span_is(number, expected))
        write_tell(write, span_is(verdict, "ok") ? 0 : STORE_CONFLICT, revision);
}

void etcd_set_epoch(struct etcd *etcd, int64_t epoch)
{
    etcd->epoch = epoch;
    struct list again;
    list_init(&again);
    list_move_all(&again, &etcd->flying);
    while (!list_is_empty(&again)) { /* from the last, each goes before those behind it */
        struct etcd_write *write = container_of(again.prev, struct etcd_write, link);
        if (write->epoch < epoch) {
            write_send_again(write);
        } else {
            list_remove(&write->link);
            list_add_first(&etcd->flying, &write->link);
        }
    }
    task_defer(&etcd->pump, etcd->loop);
}

/* --- sending --- */

Etcd__Compare *etcd_compare_new(const struct etcd *etcd, struct arena *arena,
                                ProtobufCBinaryData key, int64_t revision)
{
    Etcd__Compare *compare = arena_new(arena, Etcd__Compare);
    etcd__compare__init(compare);
    compare->target = 2;
    compare->key = key;
    compare->mod_revision = etcd_revision_to(etcd, revision);
    if (revision && compare->mod_revision <= 0)
        compare->mod_revision = -1; /* from before the copy: no key has it, nor is one absent */
    return compare;
}

Etcd__Op *etcd_put_new(struct arena *arena, ProtobufCBinaryData key, struct span value)
{
    Etcd__Op *op = arena_new(arena, Etcd__Op);
    etcd__op__init(op);
    op->put = arena_new(arena, Etcd__PutRequest);
    etcd__put_request__init(op->put);
    op->put->key = key;
    op->put->value = etcd_bytes(value);
    return op;
}

static Etcd__Op *op_new(const struct etcd *etcd, struct arena *arena, const struct txn_op *from)
{
    ProtobufCBinaryData key = etcd_key(etcd, arena, "k/", from->key);
    if (from->kind == TXN_PUT) {
        Etcd__Op *put = etcd_put_new(arena, key, from->value);
        put->put->lease = from->lease;
        return put;
    }
    Etcd__Op *op = arena_new(arena, Etcd__Op);
    etcd__op__init(op);
    op->delete_ = arena_new(arena, Etcd__DeleteRequest);
    etcd__delete_request__init(op->delete_);
    op->delete_->key = key;
    return op;
}

static Etcd__Op *marker_new(const struct etcd_write *write, struct arena *arena,
                            const char *verdict)
{
    struct span slot = span_of(arena_format(arena, "%s/%u", write->etcd->id, write->slot));
    const char *value = arena_format(arena, "%s.%llu %s", write->etcd->nonce,
                                     (unsigned long long)write->number, verdict);
    return etcd_put_new(arena, etcd_key(write->etcd, arena, "w/", slot), span_of(value));
}

static Etcd__Compare *compare_epoch(const struct etcd_write *write, struct arena *arena)
{
    const struct etcd *etcd = write->etcd;
    return etcd_compare_new(etcd, arena, etcd_key(etcd, arena, "e/", span_of(etcd->id)),
                            write->epoch);
}

/* What is done when a compare does not hold: the marker says so, unless it was the epoch. */
static Etcd__Op *conflict_new(const struct etcd_write *write, struct arena *arena)
{
    Etcd__Op *op = arena_new(arena, Etcd__Op);
    etcd__op__init(op);
    op->txn = arena_new(arena, Etcd__TxnRequest);
    etcd__txn_request__init(op->txn);
    op->txn->compare = arena_new(arena, Etcd__Compare *);
    op->txn->compare[op->txn->n_compare++] = compare_epoch(write, arena);
    op->txn->success = arena_new(arena, Etcd__Op *);
    op->txn->success[op->txn->n_success++] = marker_new(write, arena, "no");
    return op;
}

static void write_send_txn(struct etcd_write *write)
{
    const struct txn *txn = &write->txn;
    CLEANUP(arena_fini) struct arena arena = { 0 };
    Etcd__TxnRequest request = ETCD__TXN_REQUEST__INIT;
    request.compare = arena_new_array(&arena, Etcd__Compare *, txn->n_compares + 1);
    request.compare[request.n_compare++] = compare_epoch(write, &arena);
    for (size_t i = 0; i < txn->n_compares; i++) {
        const struct txn_compare *compare = &txn->compares[i];
        request.compare[request.n_compare++] =
            etcd_compare_new(write->etcd, &arena, etcd_key(write->etcd, &arena, "k/", compare->key),
                             compare->mod_revision);
    }
    request.success = arena_new_array(&arena, Etcd__Op *, txn->n_ops + 1);
    for (size_t i = 0; i < txn->n_ops; i++)
        request.success[request.n_success++] = op_new(write->etcd, &arena, &txn->ops[i]);
    request.success[request.n_success++] = marker_new(write, &arena, "ok");
    Etcd__Op *conflict = conflict_new(write, &arena);
    request.failure = &conflict;
    request.n_failure = 1;
    etcd_send(&write->call, &request.base);
    grpc_call_finish(&write->call);
}

/* The answer says nothing that the watch does not. */
static void txn_on_message(struct grpc_call *call, struct span message)
{
    (void)call, (void)message;
}

static bool text_has(struct span text, const char *part)
{
    return text.data && memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void write_check(struct etcd_write *write);

/* An error that says for certain that nothing was done is the answer. The others say nothing, as
 * does no answer at all: what became of it the next epoch tells. */
static void write_on_refused(struct etcd_write *write, enum grpc_status status, struct span text)
{
    struct etcd *etcd = write->etcd;
    bool is_too_large = text_has(text, "too large") || text_has(text, "too many operations") ||
                        text_has(text, "larger than max");
    if (is_too_large) {
        write_tell(write, STORE_TOO_LARGE, 0);
    } else if (status == GRPC_RESOURCE_EXHAUSTED) {
        write_check(write);
    } else if (status == GRPC_NOT_FOUND) {
        write_tell(write, STORE_NO_LEASE, 0);
    } else if (status == GRPC_PERMISSION_DENIED) {
        snprintf(etcd->trouble, sizeof(etcd->trouble), "does not let %s write below %s",
                 etcd->user ? etcd->user : "us", etcd->prefix);
        write_tell(write, STORE_READ_ONLY, 0);
    } else {
        etcd_break_by(etcd, "did not take a transaction", status, text);
    }
}

static void txn_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    struct etcd_write *write = container_of(call, struct etcd_write, call);
    if (!write->write) {
        write_free(write);
        return;
    }
    if (status != GRPC_OK)
        write_on_refused(write, status, text);
}

static void write_send(struct etcd_write *write, unsigned slot)
{
    static const struct grpc_call_ops ops = { txn_on_message, txn_on_end };
    struct etcd *etcd = write->etcd;
    list_remove(&write->link);
    list_add_last(&etcd->flying, &write->link);
    write->slot = slot;
    etcd->slots[slot] = write;
    write->epoch = etcd->epoch;
    write->is_flying = true;
    write->is_done = false;
    write->sent_at = etcd_time(etcd);
    write_hold_keys(write);

    write->call.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&write->call, &target, "/etcdserverpb.KV/Txn", etcd->patience, etcd->loop);
    write_send_txn(write);
}

/* --- an etcd that is full --- */

/*
 * etcd may do a transaction and answer all the same that its space is used up. The answer comes
 * after the deed, so the slot tells; a newer epoch, which would tell too, cannot be written now.
 */
static void check_on_message(struct grpc_call *call, struct span message)
{
    struct etcd_write *write = container_of(call, struct etcd_write, call);
    Etcd__RangeResponse *response =
        etcd__range_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    if (response && response->n_kvs == 1) {
        struct span value = etcd_span(response->kvs[0]->value), number = span_cut(&value, ' ');
        char expected[48];
        snprintf(expected, sizeof(expected), "%s.%llu", write->etcd->nonce,
                 (unsigned long long)write->number);
        write->is_done = span_is(number, expected);
    }
    etcd__range_response__free_unpacked(response, NULL);
}

static void check_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    struct etcd_write *write = container_of(call, struct etcd_write, call);
    struct etcd *etcd = write->etcd;
    if (!write->write) {
        write_free(write);
        return;
    }
    if (status == GRPC_OK && !write->is_done)
        write_tell(write, STORE_READ_ONLY, 0);
    etcd_break_by(etcd, "takes no writes", status == GRPC_OK ? GRPC_RESOURCE_EXHAUSTED : status,
                  status == GRPC_OK ? SPAN("its space is used up") : text);
}

static void write_check(struct etcd_write *write)
{
    static const struct grpc_call_ops ops = { check_on_message, check_on_end };
    struct etcd *etcd = write->etcd;
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct span slot = span_of(arena_format(&arena, "%s/%u", etcd->id, write->slot));
    write->call.ops = &ops;
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&write->call, &target, "/etcdserverpb.KV/Range", etcd->patience, etcd->loop);
    Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
    request.key = etcd_key(etcd, &arena, "w/", slot);
    etcd_send(&write->call, &request.base);
    grpc_call_finish(&write->call);
}

/* --- the queue --- */

static struct etcd_write *queue_first(const struct etcd *etcd)
{
    if (list_is_empty(&etcd->queue))
        return NULL;
    return container_of(etcd->queue.next, struct etcd_write, link);
}

static bool find_slot(const struct etcd *etcd, unsigned *ret_slot)
{
    for (unsigned slot = 0; slot < ETCD_SLOTS; slot++) {
        if (!etcd->slots[slot]) {
            *ret_slot = slot;
            return true;
        }
    }
    return false;
}

static void write_tell_refused(struct etcd_write *write)
{
    write_tell(write, write->answer ? write->answer : STORE_READ_ONLY,
               write->etcd->store->revision);
}

/* Callbacks submit more, so who is to be told is put together first. */
static void queue_refuse(struct etcd *etcd, nsec now)
{
    struct list refused;
    list_init(&refused);
    list_each_safe (link, &etcd->queue) {
        const struct etcd_write *write = container_of(link, struct etcd_write, link);
        if (!write->answer && now < write->give_up_at)
            continue;
        list_remove(link);
        list_add_last(&refused, link);
    }
    while (!list_is_empty(&refused))
        write_tell_refused(container_of(refused.next, struct etcd_write, link));
}

static void pump_on_run(struct task *task)
{
    struct etcd *etcd = container_of(task, struct etcd, pump);
    queue_refuse(etcd, loop_now(etcd->loop));
    struct etcd_write *write;
    unsigned slot;
    while (etcd->phase == ETCD_LIVE && (write = queue_first(etcd)) && find_slot(etcd, &slot)) {
        if (write_must_wait(write))
            return;
        write_send(write, slot);
    }
}

void etcd_submit(struct etcd *etcd, struct store_write *told, struct txn *txn, int answer)
{
    nsec now = loop_now(etcd->loop);
    struct etcd_write *write = mem_new(struct etcd_write);
    write->etcd = etcd;
    write->write = told;
    write->txn = *txn;
    *txn = (struct txn){ 0 };
    write->number = ++etcd->n_writes;
    write->answer = answer;
    /* Who asks while it has been away for that long is told at once. */
    bool is_down = etcd->phase != ETCD_LIVE && now >= etcd->down_since + etcd->patience;
    write->give_up_at = is_down ? now : now + etcd->patience;
    list_add_last(&etcd->queue, &write->link);
    task_defer(&etcd->pump, etcd->loop);
}

/* --- when all is not well --- */

void etcd_write_on_reset(struct etcd *etcd)
{
    while (!list_is_empty(&etcd->spent))
        write_free(container_of(etcd->spent.next, struct etcd_write, link));
    list_each (link, &etcd->flying)
        grpc_call_cancel(&container_of(link, struct etcd_write, link)->call);
}

void etcd_write_on_stall(struct etcd *etcd)
{
    list_each (link, &etcd->flying) {
        struct etcd_write *write = container_of(link, struct etcd_write, link);
        write->sent_at = earlier(write->sent_at, etcd_time(etcd));
    }
}

bool etcd_write_on_tick(struct etcd *etcd, nsec now)
{
    queue_refuse(etcd, now);
    if (etcd->phase != ETCD_LIVE || list_is_empty(&etcd->flying))
        return true;
    const struct etcd_write *first = container_of(etcd->flying.next, struct etcd_write, link);
    return etcd_time(etcd) < first->sent_at + etcd->patience;
}

/* What was not sent is not done. What was sent and not heard of again may be. */
void etcd_write_fini(struct etcd *etcd)
{
    task_cancel(&etcd->pump);
    etcd_write_on_reset(etcd);
    while (!list_is_empty(&etcd->flying))
        write_tell(container_of(etcd->flying.next, struct etcd_write, link), STORE_UNCERTAIN, 0);
    while (!list_is_empty(&etcd->queue))
        write_tell_refused(container_of(etcd->queue.next, struct etcd_write, link));
    map_fini(&etcd->busy);
}
