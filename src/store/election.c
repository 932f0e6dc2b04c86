/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An election is a key that is put with a lease by whoever finds it absent. The others watch for it
 * to go. Who holds it learns from the lease, and from the key, that it is over.
 */

#include "base/mem.h"
#include "store/store.h"

#define ELECTION_AGAIN NSEC_PER_SEC

static void election_stand(struct store_election *election);

static void election_again(struct store_election *election)
{
    timer_start(&election->timer, election->loop, loop_now(election->loop) + ELECTION_AGAIN);
}

static void on_again(struct timer *timer)
{
    election_stand(container_of(timer, struct store_election, timer));
}

static void election_lose(struct store_election *election)
{
    bool was_held = election->token != 0;
    election->token = 0;
    if (was_held)
        election->on_lost(election);
}

static void election_on_done(struct store_write *write, int answer, int64_t revision)
{
    struct store_election *election = container_of(write, struct store_election, write);
    election->is_asking = false;
    if (election->is_over) {
        election->on_ended(election);
        return;
    }
    if (!election->lease.id || answer == STORE_NO_LEASE) {
        store_lease_end(&election->lease); /* it went meanwhile; a new one, and then again */
        election_again(election);
        return;
    }
    const struct store_entry *entry = store_find(election->store, election->key);
    if (answer == 0 && entry && entry->mod_revision == revision) {
        election->token = revision;
        election->on_held(election, revision);
    } else if (answer != STORE_CONFLICT || !entry) {
        election_again(election);
    } /* else somebody holds it, and the watch tells when that is over */
}

static void election_ask(struct store_election *election)
{
    if (election->is_asking || election->token || !election->lease.id || election->is_over)
        return;
    election->is_asking = true;
    CLEANUP(txn_fini) struct txn txn = { 0 };
    txn_expect(&txn, election->key, 0);
    txn_put_leased(&txn, election->key, election->name, &election->lease);
    store_submit(election->store, &election->write, &txn);
}

static void on_granted(struct store_lease *lease, int answer)
{
    struct store_election *election = container_of(lease, struct store_election, lease);
    if (answer)
        election_again(election);
    else
        election_ask(election);
}

static void on_lost(struct store_lease *lease)
{
    struct store_election *election = container_of(lease, struct store_election, lease);
    election_again(election);
    election_lose(election);
}

static void election_stand(struct store_election *election)
{
    if (election->lease.id)
        election_ask(election);
    else if (!election->lease.inside)
        store_lease_grant(election->store, &election->lease, election->ttl);
}

/* The key is gone, or another's. */
static void on_events(struct store_watch *watch, const struct store_event *events, size_t n_events,
                      int64_t revision)
{
    (void)revision;
    struct store_election *election = container_of(watch, struct store_election, watch);
    for (size_t i = 0; i < n_events; i++) {
        const struct store_event *event = &events[i];
        if (!span_equals(event->entry.key, election->key))
            continue; /* a longer key that begins like it */
        bool is_gone = event->kind == TXN_DELETE;
        if (election->token && (is_gone || event->entry.mod_revision != election->token))
            election_lose(election);
        if (is_gone && !election->is_over)
            timer_start(&election->timer, election->loop, loop_now(election->loop));
    }
}

void store_elect(struct store *store, struct loop *loop, struct store_election *election)
{
    election->store = store;
    election->loop = loop;
    election->token = 0;
    election->is_asking = election->is_over = false;
    election->write.on_done = election_on_done;
    election->timer = (struct timer){ .on_due = on_again };
    election->lease = (struct store_lease){ .on_granted = on_granted, .on_lost = on_lost };
    election->watch = (struct store_watch){ .prefix = election->key, .on_events = on_events };
    /* From the next change on: nothing to be compacted. */
    IGNORE(store_watch_start(store, &election->watch, 0), "there is no past to it");
    election_stand(election);
}

void store_election_end(struct store_election *election)
{
    election->is_over = true;
    election->token = 0;
    timer_stop(&election->timer);
    store_watch_stop(&election->watch);
    store_lease_end(&election->lease);
    if (!election->is_asking)
        election->on_ended(election);
}
