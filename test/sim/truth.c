/* SPDX-License-Identifier: Apache-2.0 */

#include "truth.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "copies.h"
#include "world.h"

struct truth truth;

/* Beside the revision that a transaction was done with. */
#define NOT_DONE UINT64_MAX

void truth_begin(void)
{
    truth = (struct truth){ 0 };
}

void truth_end(void)
{
    free(truth.revisions);
    free(truth.verdicts);
}

static struct truth_revision *revision_new(int64_t revision)
{
    while (truth.capacity <= (size_t)revision) {
        size_t before = truth.capacity;
        truth.capacity = before ? 2 * before : 256;
        truth.revisions = mem_resize(truth.revisions, truth.capacity, sizeof(*truth.revisions));
        memset(truth.revisions + before, 0, (truth.capacity - before) * sizeof(*truth.revisions));
    }
    if (revision > truth.newest)
        truth.newest = revision;
    return &truth.revisions[revision];
}

/* The transaction that a value names, or 0. */
static uint64_t transaction_of(struct span value)
{
    uint64_t number = 0;
    struct span digits = span_from(span_cut(&value, ' '), 1);
    bool is_named = digits.size && digits.data[-1] == 't';
    return is_named && span_to_uint(digits, truth.n_transactions, &number) ? number : 0;
}

static void transaction_seen(uint64_t number, int64_t revision)
{
    if (!number)
        return;
    uint64_t verdict = truth.verdicts[number];
    MUST(verdict != NOT_DONE,
         "transaction %llu was told not to be done, and is done in revision %lld",
         (unsigned long long)number, (long long)revision);
    MUST(!verdict || verdict == (uint64_t)revision,
         "transaction %llu is done twice, in revisions %llu and %lld", (unsigned long long)number,
         (unsigned long long)verdict, (long long)revision);
    truth.verdicts[number] = (uint64_t)revision;
}

static void revision_fill(struct truth_revision *made, int64_t revision,
                          const struct store_event *events, size_t n_events)
{
    made->events = arena_new_array(&world.arena, struct store_event, n_events + 1);
    made->at = world.now;
    made->is_known = true;
    for (size_t i = 0; i < n_events; i++) {
        struct store_event *event = &made->events[made->n_events++];
        *event = events[i];
        event->entry.key = arena_span_dup(&world.arena, events[i].entry.key);
        event->entry.value = arena_span_dup(&world.arena, events[i].entry.value);
        if (event->kind == TXN_PUT)
            transaction_seen(transaction_of(event->entry.value), revision);
        bool is_text = event->entry.value.size && event->entry.value.data[0] == 't';
        trace("revision %lld: %s %.*s %.*s", (long long)revision,
              event->kind == TXN_PUT ? "put" : "delete", SPAN_ARG(event->entry.key),
              is_text ? (int)earlier(event->entry.value.size, 24) : 0, event->entry.value.data);
        copies_on_truth(event);
    }
}

#define ETCD_PREFIX "/sarsen/k/"

void truth_add_etcd(int64_t revision, const struct etcd_event *events, size_t n_events)
{
    CLEANUP(mem_freep)
    struct store_event *ours = mem_new_array(struct store_event, n_events + 1);
    size_t n = 0;
    for (size_t i = 0; i < n_events; i++) {
        const struct key_value *kv = &events[i].kv;
        if (!span_starts_with(kv->key, SPAN(ETCD_PREFIX)))
            continue;
        ours[n++] = (struct store_event){
            .kind = events[i].is_delete ? TXN_DELETE : TXN_PUT,
            .entry = { .key = span_from(kv->key, sizeof(ETCD_PREFIX) - 1),
                       .value = kv->value,
                       .create_revision = kv->create_revision + etcd_keys.base,
                       .mod_revision = revision + etcd_keys.base,
                       .version = kv->version },
        };
    }
    revision += etcd_keys.base;
    revision_fill(revision_new(revision), revision, ours, n);
}

static bool event_equals(const struct store_event *a, const struct store_event *b)
{
    return a->kind == b->kind && span_equals(a->entry.key, b->entry.key) &&
           a->entry.mod_revision == b->entry.mod_revision &&
           (a->kind == TXN_DELETE || (span_equals(a->entry.value, b->entry.value) &&
                                      a->entry.create_revision == b->entry.create_revision &&
                                      a->entry.version == b->entry.version));
}

/* "~leased/<id>/<key>" beside a key: it was put with the lease, and by nothing since. */
static void leased_check(const struct truth_revision *made, int64_t revision, struct span leased)
{
    struct span key = span_from(leased, sizeof("~leased/") - 1 + 16 + 1);
    for (size_t i = 0; i < made->n_events; i++) {
        const struct store_event *event = &made->events[i];
        if (event->kind != TXN_DELETE || !span_equals(event->entry.key, key))
            continue;
        int64_t put = truth_mod_revision(key, revision - 1);
        MUST(put == truth_mod_revision(leased, revision - 1),
             "revision %lld takes %.*s with a lease, though it was put without it since",
             (long long)revision, SPAN_ARG(key));
    }
}

static void leases_check(const struct truth_revision *made, int64_t revision)
{
    for (size_t i = 0; i < made->n_events; i++) {
        const struct store_event *event = &made->events[i];
        if (event->kind == TXN_DELETE && span_starts_with(event->entry.key, SPAN("~leased/")))
            leased_check(made, revision, event->entry.key);
    }
}

void truth_add(int64_t revision, const struct store_event *events, size_t n_events)
{
    struct truth_revision *made = revision_new(revision);
    if (!made->is_known) {
        MUST(revision == 1 || truth_at(revision - 1)->is_known,
             "revision %lld comes without the one before", (long long)revision);
        revision_fill(made, revision, events, n_events);
        leases_check(made, revision);
        return;
    }
    bool is_same = made->n_events == n_events;
    for (size_t i = 0; i < n_events && is_same; i++)
        is_same = event_equals(&made->events[i], &events[i]);
    MUST(is_same, "revision %lld is not what it was", (long long)revision);
}

const struct truth_revision *truth_at(int64_t revision)
{
    static const struct truth_revision none = { 0 };
    return revision > 0 && revision <= truth.newest ? &truth.revisions[revision] : &none;
}

int64_t truth_mod_revision(struct span key, int64_t revision)
{
    for (int64_t at = revision < truth.newest ? revision : truth.newest; at > 0; at--) {
        const struct truth_revision *made = truth_at(at);
        for (size_t i = made->n_events; i-- > 0;) {
            if (span_equals(made->events[i].entry.key, key))
                return made->events[i].kind == TXN_PUT ? at : 0;
        }
    }
    return 0;
}

/* --- transactions --- */

uint64_t truth_transaction_new(void)
{
    uint64_t number = ++truth.n_transactions;
    while (truth.verdicts_capacity <= number) {
        size_t before = truth.verdicts_capacity;
        truth.verdicts_capacity = before ? 2 * before : 256;
        truth.verdicts =
            mem_resize(truth.verdicts, truth.verdicts_capacity, sizeof(*truth.verdicts));
        memset(truth.verdicts + before, 0,
               (truth.verdicts_capacity - before) * sizeof(*truth.verdicts));
    }
    return number;
}

void truth_is_not_done(uint64_t transaction)
{
    MUST(!truth.verdicts[transaction],
         "transaction %llu is told not to be done, and was in revision %llu",
         (unsigned long long)transaction, (unsigned long long)truth.verdicts[transaction]);
    truth.verdicts[transaction] = NOT_DONE;
}

static const struct txn_compare *first_broken(const struct txn *txn, int64_t revision)
{
    for (size_t i = 0; i < txn->n_compares; i++) {
        const struct txn_compare *compare = &txn->compares[i];
        if (truth_mod_revision(compare->key, revision) != compare->mod_revision)
            return compare;
    }
    return NULL;
}

static const struct store_event *event_of(const struct truth_revision *made, struct span key)
{
    for (size_t i = 0; i < made->n_events; i++) {
        if (span_equals(made->events[i].entry.key, key))
            return &made->events[i];
    }
    return NULL;
}

bool truth_is_made(struct span key, int64_t revision)
{
    const struct store_event *event = event_of(truth_at(revision), key);
    return event && event->kind == TXN_PUT && event->entry.version == 1;
}

/* The store's own, beside what was put with a lease. */
static size_t count_others(const struct truth_revision *made)
{
    size_t n = 0;
    for (size_t i = 0; i < made->n_events; i++)
        n += !span_starts_with(made->events[i].entry.key, SPAN("~"));
    return n;
}

void truth_is_done(int64_t revision, const struct txn *txn, nsec submitted_at)
{
    const struct truth_revision *made = truth_at(revision);
    const struct txn_compare *broken = first_broken(txn, txn->n_ops ? revision - 1 : revision);
    MUST(!broken, "done in revision %lld, though %.*s was not at %lld", (long long)revision,
         SPAN_ARG(broken->key), (long long)broken->mod_revision);
    if (!txn->n_ops)
        return;
    MUST(made->is_known && made->at >= submitted_at, "done in revision %lld, which is not its own",
         (long long)revision);
    size_t n = 0;
    for (size_t i = 0; i < txn->n_ops; i++) {
        const struct txn_op *op = &txn->ops[i];
        const struct store_event *event = event_of(made, op->key);
        bool was_there = truth_mod_revision(op->key, revision - 1) != 0;
        bool is_right = op->kind == TXN_PUT ? event && event->kind == TXN_PUT &&
                                                  span_equals(event->entry.value, op->value)
                                            : was_there == (event && event->kind == TXN_DELETE);
        MUST(is_right, "revision %lld does not do to %.*s what was acknowledged",
             (long long)revision, SPAN_ARG(op->key));
        n += event != NULL;
    }
    MUST(n == count_others(made), "revision %lld does more than was acknowledged",
         (long long)revision);
    truth.n_checks++;
}

void truth_is_conflict(int64_t revision, const struct txn *txn)
{
    MUST(first_broken(txn, revision), "a conflict at revision %lld, where all compares hold",
         (long long)revision);
    truth.n_checks++;
}

/* --- mirrors --- */

void mirror_fini(struct mirror *mirror)
{
    free(mirror->entries);
    *mirror = (struct mirror){ 0 };
}

static size_t mirror_place(const struct mirror *mirror, struct span key)
{
    size_t low = 0, high = mirror->n_entries;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (span_compare(mirror->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Keys and values are the truth's, or copied. */
void mirror_apply(struct mirror *mirror, const struct store_event *event)
{
    size_t at = mirror_place(mirror, event->entry.key);
    bool is_there =
        at < mirror->n_entries && span_equals(mirror->entries[at].key, event->entry.key);
    if (event->kind == TXN_DELETE) {
        if (is_there)
            memmove(&mirror->entries[at], &mirror->entries[at + 1],
                    (--mirror->n_entries - at) * sizeof(*mirror->entries));
        return;
    }
    if (!is_there) {
        mem_grow(mirror->entries, mirror->n_entries, mirror->capacity);
        memmove(&mirror->entries[at + 1], &mirror->entries[at],
                (mirror->n_entries++ - at) * sizeof(*mirror->entries));
    }
    mirror->entries[at] = (struct mirror_entry){
        .key = event->entry.key,
        .value = event->entry.value,
        .create_revision = event->entry.create_revision,
        .mod_revision = event->entry.mod_revision,
        .version = event->entry.version,
    };
}

void mirror_follow(struct mirror *mirror, int64_t revision, struct span prefix)
{
    while (mirror->revision < revision) {
        const struct truth_revision *made = truth_at(++mirror->revision);
        for (size_t i = 0; i < made->n_events; i++) {
            if (span_starts_with(made->events[i].entry.key, prefix))
                mirror_apply(mirror, &made->events[i]);
        }
    }
}

static bool entry_equals(const struct mirror_entry *a, const struct mirror_entry *b)
{
    return span_equals(a->key, b->key) && span_equals(a->value, b->value) &&
           a->create_revision == b->create_revision && a->mod_revision == b->mod_revision &&
           a->version == b->version;
}

bool mirror_equals(const struct mirror *a, const struct mirror *b)
{
    bool is_equal = a->n_entries == b->n_entries;
    for (size_t i = 0; i < a->n_entries && is_equal; i++)
        is_equal = entry_equals(&a->entries[i], &b->entries[i]);
    return is_equal;
}

void mirror_compare(const struct mirror *mirror, const struct store *store, const char *who)
{
    const struct store_entry *entries[64];
    struct span after = SPAN_NULL;
    size_t n, at = 0;
    while ((n = store_range(store, SPAN(""), after, entries, 64))) {
        for (size_t i = 0; i < n; i++, at++) {
            const struct mirror_entry there = {
                entries[i]->key,          entries[i]->value,   entries[i]->create_revision,
                entries[i]->mod_revision, entries[i]->version,
            };
            MUST(at < mirror->n_entries && entry_equals(&there, &mirror->entries[at]),
                 "%s at revision %lld shows %.*s of revision %lld, which is not so", who,
                 (long long)mirror->revision, SPAN_ARG(there.key), (long long)there.mod_revision);
        }
        after = entries[n - 1]->key;
    }
    MUST(at == mirror->n_entries, "%s at revision %lld does not show %.*s", who,
         (long long)mirror->revision, SPAN_ARG(mirror->entries[at].key));
    truth.n_checks++;
}
