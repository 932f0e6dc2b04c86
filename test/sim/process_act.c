/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "process.h"

#define KEYS 14u
#define DEEDS_MAX 40u

static const struct span election_key = { "leader", 6 };

static const struct span prefixes[] = { { "", 0 }, { "a/", 2 }, { "b/", 2 }, { "a/1", 3 } };

/* --- transactions --- */

static void deed_free(struct deed *deed)
{
    list_remove(&deed->link);
    txn_fini(&deed->txn);
    free(deed);
}

static void deed_judge(struct deed *deed, int answer, int64_t revision)
{
    struct process *process = deed->process;
    trace("%s is told of t%llu: %d at %lld", process->who, (unsigned long long)deed->number, answer,
          (long long)revision);
    if (answer == STORE_OK) {
        process->n_done++;
        truth_is_done(revision, &deed->txn, deed->submitted_at);
        MUST(store_revision(process->store) >= revision, "%s does not show what it acknowledges",
             process->who);
        MUST(deed->txn.n_ops || store_revision(process->store) >= deed->acknowledged,
             "a barrier of %s passed at %lld, behind %lld", process->who,
             (long long)store_revision(process->store), (long long)deed->acknowledged);
        if (revision > processes.acknowledged)
            processes.acknowledged = revision;
    } else {
        if (answer == STORE_CONFLICT)
            truth_is_conflict(revision, &deed->txn);
        process->n_conflicts += answer == STORE_CONFLICT;
        process->n_refused += answer != STORE_CONFLICT;
        MUST(answer == STORE_CONFLICT || answer == STORE_READ_ONLY || answer == STORE_NO_LEASE,
             "%s is told %d", process->who, answer);
        truth_is_not_done(deed->number);
    }
}

static void deed_on_done(struct store_write *write, int answer, int64_t revision)
{
    struct deed *deed = container_of(write, struct deed, write);
    struct process *process = deed->process;
    bool is_certain =
        process_is_up(process) || (process->state == PROCESS_CLOSING && !process->machine.is_dead &&
                                   answer != STORE_UNCERTAIN && processes.has_etcd);
    if (is_certain && process->store)
        deed_judge(deed, answer, revision);
    deed_free(deed);
}

static void txn_copy(struct txn *copy, const struct txn *txn)
{
    for (size_t i = 0; i < txn->n_compares; i++)
        txn_expect(copy, txn->compares[i].key, txn->compares[i].mod_revision);
    for (size_t i = 0; i < txn->n_ops; i++) {
        if (txn->ops[i].kind == TXN_PUT)
            txn_put(copy, txn->ops[i].key, txn->ops[i].value);
        else
            txn_delete(copy, txn->ops[i].key);
    }
}

static void deed_submit(struct process *process, struct txn *txn, uint64_t number)
{
    struct deed *deed = mem_new(struct deed);
    deed->process = process;
    deed->number = number;
    deed->submitted_at = world.now;
    deed->acknowledged = processes.acknowledged;
    deed->write.on_done = deed_on_done;
    txn_copy(&deed->txn, txn);
    list_add_last(&process->deeds, &deed->link);
    store_submit(process->store, &deed->write, txn);
}

static struct span some_key(struct arena *arena)
{
    unsigned n = chance_below(KEYS);
    return span_of(arena_format(arena, "%c/%u", n % 2 ? 'a' : 'b', n));
}

static struct span value_of(struct arena *arena, uint64_t number)
{
    size_t size = chance(20) ? chance_below(9000) : 0;
    if (processes.is_large && chance(150))
        size = chance_below(700000);
    char *text = arena_format(arena, "t%llu ", (unsigned long long)number);
    size_t n_before = strlen(text);
    char *value = arena_alloc(arena, 1, n_before + size + 1);
    memcpy(value, text, n_before);
    memset(value + n_before, 'x', size);
    return (struct span){ value, n_before + size };
}

/* What it saw last; at times, something that never was. */
static void expect_seen(struct process *process, struct txn *txn, struct span key)
{
    const struct store_entry *entry = store_find(process->store, key);
    int64_t revision = entry ? entry->mod_revision : 0;
    txn_expect(txn, key, chance(50) ? revision + 1 : revision);
}

static void act_write(struct process *process)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    uint64_t number = truth_transaction_new();
    struct holder *holder = &process->holders[chance_below(LEASES)];
    unsigned n_ops = chance(700) ? 1 : 1 + chance_below(4);
    for (unsigned i = 0; i < n_ops; i++) {
        struct span key = some_key(&txn.arena);
        if (chance(500))
            expect_seen(process, &txn, key);
        if (i && chance(300))
            txn_delete(&txn, key);
        else if (holder->lease.id && chance(300))
            txn_put_leased(&txn, key, value_of(&txn.arena, number), &holder->lease);
        else
            txn_put(&txn, key, value_of(&txn.arena, number));
    }
    struct span own = span_of(arena_format(&txn.arena, "own/%s/%u", process->who, chance_below(8)));
    txn_put(&txn, own, value_of(&txn.arena, number)); /* a put that no delete can replace */
    if (process->token && chance(400))
        txn_expect(&txn, election_key, process->token); /* what only the elected one may do */
    deed_submit(process, &txn, number);
}

static void act_read(struct process *process)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    if (chance(500))
        expect_seen(process, &txn, some_key(&txn.arena));
    deed_submit(process, &txn, truth_transaction_new());
}

/* --- watches --- */

static bool matches(const struct store_event *event, struct span prefix)
{
    return span_starts_with(event->entry.key, prefix);
}

/* The next revision with something below the prefix, or 0. */
static int64_t next_match(int64_t after_revision, struct span prefix)
{
    for (int64_t at = after_revision + 1; at <= truth.newest; at++) {
        const struct truth_revision *made = truth_at(at);
        for (size_t i = 0; i < made->n_events; i++) {
            if (matches(&made->events[i], prefix))
                return at;
        }
    }
    return 0;
}

static void observer_on_events(struct store_watch *watch, const struct store_event *events,
                               size_t n_events, int64_t revision)
{
    struct observer *observer = container_of(watch, struct observer, watch);
    struct process *process = observer->process;
    int64_t next = next_match(observer->told_revision, watch->prefix);
    MUST(revision > observer->told_revision, "a watch of %s is told of revision %lld after %lld",
         process->who, (long long)revision, (long long)observer->told_revision);
    if (processes.has_etcd && next != revision) {
        /* Several as one step: only where etcd has thrown away what lies between. */
        MUST(etcd_keys.base + etcd_keys.compacted >= observer->told_revision,
             "a watch of %s is told of revision %lld, not of %lld", process->who,
             (long long)revision, (long long)next);
        truth.n_merges++;
    }
    for (size_t i = 0; i < n_events; i++) {
        struct store_event event = events[i];
        MUST(matches(&event, watch->prefix), "a watch of %s is told of what it did not ask for",
             process->who);
        event.entry.key = arena_span_dup(&world.arena, event.entry.key);
        event.entry.value = arena_span_dup(&world.arena, event.entry.value);
        mirror_apply(&observer->told, &event);
    }
    observer->told_revision = revision;
    if (!processes.has_etcd && truth.newest < revision)
        return; /* told before the recorder; what comes next is held against both */
    mirror_follow(&observer->expected, revision, watch->prefix);
    MUST(mirror_equals(&observer->told, &observer->expected),
         "what a watch of %s is told of revision %lld is not what happened", process->who,
         (long long)revision);
}

static void observer_stop(struct observer *observer)
{
    if (observer->is_on)
        store_watch_stop(&observer->watch);
    observer->is_on = false;
    mirror_fini(&observer->told);
    mirror_fini(&observer->expected);
}

static void act_watch(struct process *process)
{
    struct observer *observer = &process->observers[chance_below(WATCHES)];
    if (observer->is_on) {
        if (chance(300))
            observer_stop(observer);
        return;
    }
    int64_t now = store_revision(process->store), from = 0;
    if (chance(600) && now > 1)
        from = now - (int64_t)chance_below(now > 30 ? 30 : (unsigned)now);
    *observer = (struct observer){
        .watch = { .prefix = prefixes[chance_below(4)], .on_events = observer_on_events },
        .process = process,
    };
    if (store_watch_start(process->store, &observer->watch, from) == STORE_COMPACTED) {
        trace("%s is told that %lld is compacted", process->who, (long long)from);
        return;
    }
    observer->is_on = true;
    trace("%s watches \"%.*s\" from %lld, at %lld", process->who, SPAN_ARG(observer->watch.prefix),
          (long long)from, (long long)now);
    observer->told_revision = from ? from - 1 : now;
    mirror_follow(&observer->told, observer->told_revision, observer->watch.prefix);
    mirror_follow(&observer->expected, observer->told_revision, observer->watch.prefix);
}

/* --- leases --- */

static void holder_on_granted(struct store_lease *lease, int answer)
{
    struct holder *holder = container_of(lease, struct holder, lease);
    trace("%s is granted a lease: %d %llx", holder->process->who, answer,
          (unsigned long long)lease->id);
    holder->is_asked = false;
}

static void holder_on_lost(struct store_lease *lease)
{
    struct holder *holder = container_of(lease, struct holder, lease);
    trace("%s has lost a lease", holder->process->who);
}

static void act_lease(struct process *process)
{
    struct holder *holder = &process->holders[chance_below(LEASES)];
    if (holder->lease.id && chance(300)) {
        store_lease_end(&holder->lease);
    } else if (!holder->lease.id && !holder->is_asked) {
        *holder = (struct holder){
            .lease = { .on_granted = holder_on_granted, .on_lost = holder_on_lost },
            .process = process,
            .is_asked = true,
        };
        store_lease_grant(process->store, &holder->lease, chance_time(2, 8) * SECOND);
    }
}

/* --- elections --- */

static void on_held(struct store_election *election, int64_t token)
{
    struct process *process = container_of(election, struct process, election);
    trace("%s is elected with %lld", process->who, (long long)token);
    MUST(token > process->token, "the token of %s does not grow: %lld", process->who,
         (long long)token);
    if (processes.has_etcd || truth.newest >= token)
        MUST(truth_is_made(election_key, token),
             "%s is elected with %lld, which did not make the key", process->who, (long long)token);
    process->token = token;
}

static void on_lost(struct store_election *election)
{
    struct process *process = container_of(election, struct process, election);
    trace("%s is no longer elected", process->who);
    process->token = 0;
}

static void on_ended(struct store_election *election)
{
    container_of(election, struct process, election)->is_candidate = false;
}

static void act_elect(struct process *process)
{
    if (process->is_candidate) {
        if (chance(100) && !process->election.is_over)
            store_election_end(&process->election);
        return;
    }
    process->is_candidate = true;
    process->token = 0;
    process->election = (struct store_election){
        .key = election_key,
        .name = span_of(process->who),
        .ttl = chance_time(3, 6) * SECOND,
        .on_held = on_held,
        .on_lost = on_lost,
        .on_ended = on_ended,
    };
    store_elect(process->store, process->loop, &process->election);
}

/* --- all of it --- */

static unsigned count_deeds(const struct process *process)
{
    unsigned n = 0;
    list_each (link, &process->deeds)
        n++;
    return n;
}

static bool is_ready(const struct process *process)
{
    return processes.has_etcd || truth.newest >= store_revision(process->store);
}

static void on_act(struct timer *timer)
{
    struct process *process = container_of(timer, struct process, act);
    if (world.is_calm)
        return;
    timer_start(timer, process->loop, loop_now(process->loop) + chance_time(MSEC, 300 * MSEC));
    if (!is_ready(process))
        return;
    unsigned what = chance_below(100);
    if (what < 60 && count_deeds(process) < DEEDS_MAX) {
        for (unsigned n = chance(100) ? chance_below(8) : 1; n > 0; n--)
            act_write(process);
    } else if (what < 70 && count_deeds(process) < DEEDS_MAX) {
        act_read(process);
    } else if (what < 82) {
        act_watch(process);
    } else if (what < 94) {
        act_lease(process);
    } else {
        act_elect(process);
    }
}

void process_act_begin(struct process *process)
{
    process->act = (struct timer){ .on_due = on_act };
    timer_start(&process->act, process->loop, loop_now(process->loop));
    process->is_candidate = false;
    process->token = 0;
    memset(process->holders, 0, sizeof(process->holders));
}

void process_act_forget(struct process *process)
{
    for (unsigned i = 0; i < WATCHES; i++)
        observer_stop(&process->observers[i]);
}

void process_act_end(struct process *process)
{
    process_act_forget(process);
    if (process->store && process->is_candidate && !process->machine.is_dead &&
        !process->election.is_over)
        store_election_end(&process->election);
    if (process->store && !processes.has_etcd)
        store_watch_stop(&process->recorder);
}
