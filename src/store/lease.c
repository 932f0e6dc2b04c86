/* SPDX-License-Identifier: Apache-2.0 */

#include "store/lease.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/state.h"

/* Keys that go in one transaction; each takes an operation and a compare of its own. */
#define END_BATCH 256u
#define END_AGAIN (NSEC_PER_SEC)

static struct lease *lease_new(struct store *store, struct store_lease *owner, nsec ttl);

void lease_free(struct lease *lease)
{
    if (lease->owner)
        lease->owner->inside = NULL;
    list_remove(&lease->link);
    task_cancel(&lease->task);
    timer_stop(&lease->timer);
    grpc_call_cancel(&lease->call);
    free(lease);
}

static void lease_on_task(struct task *task)
{
    struct lease *lease = container_of(task, struct lease, task);
    struct store_lease *owner = lease->owner;
    int answer = lease->answer;
    if (answer)
        lease_free(lease);
    owner->id = answer ? 0 : lease->id;
    owner->on_granted(owner, answer);
}

void lease_answer(struct lease *lease, int answer)
{
    lease->answer = answer;
    task_defer(&lease->task, lease->store->loop);
}

struct lease *lease_find(const struct store *store, int64_t id)
{
    list_each (link, &store->leases) {
        struct lease *lease = container_of(link, struct lease, link);
        if (lease->id == id)
            return lease;
    }
    return NULL;
}

/* --- keys --- */

static struct span lease_key(struct arena *arena, int64_t id)
{
    return span_of(arena_format(arena, LEASE_PREFIX "%016" PRIx64, (uint64_t)id));
}

static struct span leased_prefix(struct arena *arena, int64_t id)
{
    return span_of(arena_format(arena, LEASED_PREFIX "%016" PRIx64 "/", (uint64_t)id));
}

int leases_expand(const struct store *store, struct txn *txn)
{
    size_t n_ops = txn->n_ops;
    for (size_t i = 0; i < n_ops; i++) {
        const struct txn_op *op = &txn->ops[i];
        if (!op->lease)
            continue;
        const struct lease *lease = lease_find(store, op->lease);
        if (!lease || lease->is_ending)
            return STORE_NO_LEASE;
        if (op->key.size + LEASED_OVERHEAD > STORE_KEY_MAX)
            return STORE_TOO_LARGE;
        struct span prefix = leased_prefix(&txn->arena, op->lease);
        char *key = arena_alloc(&txn->arena, 1, prefix.size + op->key.size + 1);
        memcpy(key, prefix.data, prefix.size);
        if (op->key.size)
            memcpy(key + prefix.size, op->key.data, op->key.size);
        txn_put(txn, (struct span){ key, prefix.size + op->key.size }, SPAN(""));
    }
    return 0;
}

/* --- the end --- */

static void lease_end_step(struct lease *lease);

/* Takes a part of what was put with it, and the lease itself with the last. */
static void lease_end_build(const struct lease *lease, struct txn *txn)
{
    const struct store_entry *entries[END_BATCH];
    struct span prefix = leased_prefix(&txn->arena, lease->id);
    size_t n = store_range(lease->store, prefix, SPAN_NULL, entries, END_BATCH);
    for (size_t i = 0; i < n; i++) {
        struct span key = span_from(entries[i]->key, prefix.size);
        const struct store_entry *held = store_find(lease->store, key);
        if (held && held->mod_revision == entries[i]->mod_revision) {
            txn_expect(txn, key, held->mod_revision);
            txn_delete(txn, key);
        }
        txn_delete(txn, entries[i]->key);
    }
    if (n < END_BATCH)
        txn_delete(txn, lease_key(&txn->arena, lease->id));
}

static void lease_end_on_done(struct store_write *write, int answer, int64_t revision)
{
    (void)revision;
    struct lease *lease = container_of(write, struct lease, write);
    struct store *store = lease->store;
    CLEANUP(arena_fini) struct arena arena = { 0 };
    if (store->is_closing)
        return; /* leases_close() has it */
    if (answer == STORE_READ_ONLY)
        timer_start(&lease->timer, store->loop, loop_now(store->loop) + END_AGAIN);
    else if (answer || store_find(store, lease_key(&arena, lease->id)))
        lease_end_step(lease); /* a key was put anew meanwhile, or there is more */
    else
        lease_free(lease);
}

/* The first step changes nothing: when it is done, so is every put with the lease that was on its
 * way, and what is to go can be seen. */
static void lease_end_step(struct lease *lease)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    if (lease->is_ending)
        lease_end_build(lease, &txn);
    else
        txn_put(&txn, lease_key(&txn.arena, lease->id), SPAN("0"));
    lease->is_ending = true;
    lease->write.on_done = lease_end_on_done;
    store_submit(lease->store, &lease->write, &txn);
}

static void lease_on_due(struct timer *timer)
{
    lease_end_step(container_of(timer, struct lease, timer));
}

void store_lease_end(struct store_lease *owner)
{
    struct lease *lease = owner->inside;
    owner->inside = NULL;
    owner->id = 0;
    if (!lease)
        return;
    task_cancel(&lease->task);
    lease->owner = NULL;
    if (lease->store->etcd)
        etcd_lease_end(lease->store->etcd, lease);
    else if (lease->is_granted)
        lease_end_step(lease); /* else when it has come */
}

/* --- the beginning --- */

static void grant_on_done(struct store_write *write, int answer, int64_t revision)
{
    (void)revision;
    struct lease *lease = container_of(write, struct lease, write);
    if (lease->store->is_closing)
        return;
    lease->is_granted = !answer;
    if (!lease->owner) { /* given up before it was there */
        if (answer)
            lease_free(lease);
        else
            lease_end_step(lease);
        return;
    }
    if (answer) {
        struct store_lease *owner = lease->owner;
        lease_free(lease);
        owner->on_granted(owner, answer);
        return;
    }
    lease->owner->id = lease->id;
    lease->owner->on_granted(lease->owner, 0);
}

static void grant_embedded(struct lease *lease)
{
    hash_random(&lease->id, sizeof(lease->id));
    lease->id = (int64_t)((uint64_t)lease->id >> 1) | 1;
    CLEANUP(txn_fini) struct txn txn = { 0 };
    struct span key = lease_key(&txn.arena, lease->id);
    txn_expect(&txn, key, 0);
    txn_put(&txn, key, span_of(arena_format(&txn.arena, "%llu", (unsigned long long)lease->ttl)));
    lease->write.on_done = grant_on_done;
    store_submit(lease->store, &lease->write, &txn);
}

static struct lease *lease_new(struct store *store, struct store_lease *owner, nsec ttl)
{
    struct lease *lease = mem_new(struct lease);
    lease->store = store;
    lease->owner = owner;
    lease->ttl = ttl;
    lease->task.on_run = lease_on_task;
    list_init(&lease->task.link);
    lease->timer.on_due = lease_on_due;
    list_add_last(&store->leases, &lease->link);
    return lease;
}

void store_lease_grant(struct store *store, struct store_lease *owner, nsec ttl)
{
    struct lease *lease = lease_new(store, owner, ttl);
    owner->inside = lease;
    owner->id = 0;
    if (store->etcd)
        etcd_lease_grant(store->etcd, lease);
    else
        grant_embedded(lease);
}

/* --- open and close --- */

/* "~lease/" and 16 digits, with the TTL as the value. */
static void lease_inherit(struct store *store, const struct store_entry *entry)
{
    uint64_t ttl;
    char digits[LEASE_ID_DIGITS + 1] = "";
    struct span text = span_from(entry->key, sizeof(LEASE_PREFIX) - 1);
    if (text.size != LEASE_ID_DIGITS || !span_to_uint(entry->value, INT64_MAX, &ttl))
        return;
    memcpy(digits, text.data, LEASE_ID_DIGITS);
    struct lease *lease = lease_new(store, NULL, ttl);
    lease->id = (int64_t)strtoull(digits, NULL, 16);
    /* Not since this turn began: opening has taken of that. */
    timer_start(&lease->timer, store->loop, after(clock_now(loop_clock(store->loop)), ttl));
}

void leases_open(struct store *store)
{
    const struct store_entry *entries[64];
    struct span after = SPAN_NULL;
    size_t n;
    while ((n = store_range(store, SPAN(LEASE_PREFIX), after, entries, 64))) {
        for (size_t i = 0; i < n; i++)
            lease_inherit(store, entries[i]);
        after = entries[n - 1]->key;
    }
}

void leases_close(struct store *store)
{
    while (!list_is_empty(&store->leases))
        lease_free(container_of(store->leases.next, struct lease, link));
}
