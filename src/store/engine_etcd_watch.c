/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The changes, by one watch over all our keys. One watch, because only within one is there an order:
 * a marker that comes says that all before it has come.
 *
 * Two things that etcd has done wrong shape this file. Up to 3.4.24 and 3.5.7 the answer to a
 * progress request may name a revision whose changes have not been sent yet, so no answer but a
 * change moves our revision. And a watch that starts at the revision that was just compacted may
 * leave out a delete of that revision without a word, so a watch that goes on starts at the last
 * revision that was seen, and what comes first must be that.
 */

#include <stdio.h>

#include "base/mem.h"
#include "store/engine_etcd.h"
#include "store/lease.h"

void etcd_batch_clear(struct etcd_batch *batch)
{
    free(batch->changes);
    arena_fini(&batch->arena);
    *batch = (struct etcd_batch){ 0 };
}

/* --- one revision --- */

/* What is not ours to show is left out: epochs and markers. */
static size_t batch_events(struct etcd *etcd, struct store_event **ret_events)
{
    struct etcd_batch *batch = &etcd->batch;
    struct store_event *events =
        arena_new_array(&batch->arena, struct store_event, batch->n_changes);
    size_t n = 0;
    for (size_t i = 0; i < batch->n_changes; i++) {
        const struct etcd_change *change = &batch->changes[i];
        if (!span_starts_with(change->key, SPAN("k/")))
            continue;
        events[n++] = (struct store_event){
            .kind = change->is_delete ? TXN_DELETE : TXN_PUT,
            .entry = { .key = span_from(change->key, 2),
                       .value = change->value,
                       .mod_revision = batch->revision,
                       .create_revision = change->create_revision,
                       .version = change->version },
        };
    }
    *ret_events = events;
    return n;
}

static void on_epoch(struct etcd *etcd, const struct etcd_change *change, int64_t revision)
{
    etcd_set_epoch(etcd, revision);
    if (change->is_delete) {
        bool is_live = etcd->phase == ETCD_LIVE;
        etcd_break(etcd, is_live ? "had our epoch removed by somebody"
                                 : "takes no writes: its space is used up");
        return;
    }
    if (etcd->phase == ETCD_CATCHING_UP && span_is(change->value, etcd->claim)) {
        etcd->phase = ETCD_LIVE;
        etcd->store->is_read_only = false;
        etcd->is_filling = false;
        etcd->n_failed = 0;
        etcd->trouble[0] = '\0';
        task_defer(&etcd->pump, etcd->loop);
        etcd_lease_on_live(etcd);
    }
}

/* What the revision says about our own writes, after its changes are in. */
static void batch_judge(struct etcd *etcd, const struct etcd_batch *batch)
{
    for (size_t i = 0; i < batch->n_changes; i++) {
        const struct etcd_change *change = &batch->changes[i];
        unsigned slot;
        if (span_starts_with(change->key, SPAN("w/")) &&
            etcd_slot_parse(etcd, span_from(change->key, 2), &slot))
            etcd_judge(etcd, slot, change->value, batch->revision);
        else if (span_starts_with(change->key, SPAN("e/")) &&
                 span_is(span_from(change->key, 2), etcd->id))
            on_epoch(etcd, change, batch->revision);
    }
}

static void batch_apply(struct etcd *etcd)
{
    struct store_event *events;
    size_t n_events = batch_events(etcd, &events);
    struct etcd_batch *batch = &etcd->batch;
    if (n_events)
        history_add(&etcd->history, events, n_events, batch->revision);
    store_apply_revision(etcd->store, events, n_events, batch->revision);
    etcd->seen = batch->revision;
    batch_judge(etcd, batch);
}

/* All of one revision is here. */
static void batch_flush(struct etcd *etcd)
{
    struct etcd_batch *batch = &etcd->batch;
    int64_t revision = batch->revision;
    if (!revision)
        return;
    if (etcd->must_repeat && revision != etcd->from) {
        /* What we saw last is not there: the past has changed, or was thrown away at that place. */
        etcd->must_load = true;
        etcd_break(etcd, "does not know the last change that was seen; all is read again");
    } else if (revision > etcd->store->revision) {
        batch_apply(etcd);
    } else if (etcd->is_filling && revision > etcd->store->compacted &&
               revision > history_newest(&etcd->history)) {
        struct store_event *events;
        size_t n_events = batch_events(etcd, &events);
        if (n_events)
            history_add(&etcd->history, events, n_events, revision);
    }
    etcd->must_repeat = false;
    etcd_batch_clear(batch);
}

static void batch_add(struct etcd *etcd, const Etcd__Event *event)
{
    struct etcd_batch *batch = &etcd->batch;
    mem_grow(batch->changes, batch->n_changes, batch->capacity);
    struct etcd_change *change = &batch->changes[batch->n_changes++];
    const Etcd__KeyValue *kv = event->kv;
    struct span key = span_from(etcd_span(kv->key), strlen(etcd->prefix));
    *change = (struct etcd_change){
        .is_delete = event->type == 1,
        .key = arena_span_dup(&batch->arena, key),
        .value = arena_span_dup(&batch->arena, etcd_span(kv->value)),
        .create_revision = etcd_revision_from(etcd, kv->create_revision),
        .version = kv->version,
    };
    batch->revision = etcd_revision_from(etcd, kv->mod_revision);
}

/* --- the stream --- */

static void watch_on_canceled(struct etcd *etcd, const Etcd__WatchResponse *response)
{
    int64_t compacted = etcd_revision_from(etcd, response->compact_revision);
    if (!compacted) {
        etcd_break(etcd, "ended the watch: %.120s", response->cancel_reason);
        return;
    }
    grpc_call_cancel(&etcd->watch);
    if (compacted > etcd->store->revision) {
        etcd->must_load = true;
        etcd_break(etcd, "no longer keeps the changes since revision %lld; all is read again",
                   (long long)etcd->store->revision);
        return;
    }
    /* Only the past that watches of ours may ask for is gone. */
    etcd->from = compacted < etcd->store->revision ? compacted + 1 : compacted;
    task_defer(&etcd->follow, etcd->loop);
}

static bool is_ours(const struct etcd *etcd, const Etcd__Event *event)
{
    return event->kv && span_starts_with(etcd_span(event->kv->key), span_of(etcd->prefix));
}

static void watch_take(struct etcd *etcd, const Etcd__WatchResponse *response)
{
    for (size_t i = 0; i < response->n_events && etcd_is_linked(etcd); i++) {
        const Etcd__Event *event = response->events[i];
        if (!is_ours(etcd, event))
            continue;
        int64_t revision = etcd_revision_from(etcd, event->kv->mod_revision);
        if (revision < etcd->from)
            continue;
        if (revision != etcd->batch.revision)
            batch_flush(etcd);
        if (etcd_is_linked(etcd))
            batch_add(etcd, event);
    }
    if (!response->fragment && etcd_is_linked(etcd))
        batch_flush(etcd);
}

static void watch_on_message(struct grpc_call *call, struct span message)
{
    struct etcd *etcd = container_of(call, struct etcd, watch);
    Etcd__WatchResponse *response =
        etcd__watch_response__unpack(NULL, message.size, (const uint8_t *)message.data);
    if (!response) {
        etcd_break(etcd, "sent changes that cannot be read");
        return;
    }
    etcd->heard_at = etcd_time(etcd);
    if (response->canceled)
        watch_on_canceled(etcd, response);
    else if (response->created)
        etcd_on_created(etcd);
    else
        watch_take(etcd, response);
    etcd__watch_response__free_unpacked(response, NULL);
}

static void watch_on_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    etcd_break_by(container_of(call, struct etcd, watch), "ended the watch", status, text);
}

void etcd_follow(struct etcd *etcd)
{
    static const struct grpc_call_ops ops = { watch_on_message, watch_on_end };
    if (!etcd->is_filling) {
        etcd->from = etcd->store->revision;
        etcd->must_repeat = etcd->seen == etcd->from;
    } else {
        /* Of the first, a delete may be missing: unless it is the first there is, it is left out. */
        etcd->store->compacted = etcd->from > etcd->base + 1 ? etcd->from : etcd->from - 1;
        history_clear(&etcd->history);
    }
    etcd->watch.ops = &ops;
    etcd->heard_at = etcd->asked_at = etcd_time(etcd);
    struct grpc_target target = etcd_target(etcd);
    grpc_call_start(&etcd->watch, &target, "/etcdserverpb.Watch/Watch", NSEC_NEVER, etcd->loop);

    Etcd__WatchCreate create = ETCD__WATCH_CREATE__INIT;
    create.key = etcd_bytes(span_of(etcd->prefix));
    create.range_end = etcd_bytes(span_of(etcd->prefix_end));
    create.start_revision = etcd_revision_to(etcd, etcd->from);
    create.fragment = true;
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    request.create = &create;
    etcd_send(&etcd->watch, &request.base);
}

/* Asks again, from where there still is something: not from inside the call that was told. */
void etcd_follow_on_run(struct task *task)
{
    struct etcd *etcd = container_of(task, struct etcd, follow);
    if (!etcd_is_linked(etcd))
        return;
    grpc_call_cancel(&etcd->ask);
    etcd_on_loaded(etcd);
}

void etcd_ask_progress(struct etcd *etcd)
{
    Etcd__WatchProgress progress = ETCD__WATCH_PROGRESS__INIT;
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    request.progress = &progress;
    etcd_send(&etcd->watch, &request.base);
    etcd->asked_at = etcd_time(etcd);
}
