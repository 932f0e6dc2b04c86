/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A watch is in one of two places, by its link. On store->live it has had everything up to
 * store->revision and is given each change as it is applied. Behind that it hangs in a catch_up,
 * a job that reads the past in pieces on the writer thread, until it is live.
 *
 * The writer hands results back in the order of its work, so a piece never holds a revision that
 * is not applied here yet: no change comes twice, and none is lost at the change of places.
 * Stopping a watch takes it out of either place; a catch_up that comes back without its watch
 * ends.
 */

#include "base/log.h"
#include "base/mem.h"
#include "store/bytes.h"
#include "store/history.h"
#include "store/record.h"
#include "store/state.h"

#define CATCH_UP_SIZE ((size_t)1024 * 1024)

struct catch_up {
    struct job job;
    struct task task; /* instead of the job, where the past is in memory */
    struct store *store;
    struct list link;
    struct list watches; /* the one watch, or none any more */
    int64_t next_revision;
    struct buf bytes;
};

static bool event_matches(const struct store_event *event, struct span prefix)
{
    return span_starts_with(event->entry.key, prefix);
}

/* Calls the watch with those of the events that are below its prefix. It may be gone after. */
static void watch_tell(struct store_watch *watch, const struct store_event *events, size_t n_events,
                       int64_t revision)
{
    watch->next_revision = revision + 1;
    size_t n_matches = 0;
    for (size_t i = 0; i < n_events; i++)
        n_matches += event_matches(&events[i], watch->prefix);
    if (n_matches == 0)
        return;
    if (n_matches == n_events) {
        watch->on_events(watch, events, n_events, revision);
        return;
    }

    CLEANUP(mem_freep)
    struct store_event *matches = mem_new_array(struct store_event, n_matches);
    size_t n = 0;
    for (size_t i = 0; i < n_events; i++) {
        if (event_matches(&events[i], watch->prefix))
            matches[n++] = events[i];
    }
    watch->on_events(watch, matches, n_matches, revision);
}

void store_tell_watches(struct store *store, const struct store_event *events, size_t n_events,
                        int64_t revision)
{
    /* Callbacks stop and start watches. Each is put back before it is called, so that stopping
     * finds it; one that starts now is not in this round. */
    struct list round, *link;
    list_init(&round);
    list_move_all(&round, &store->live);
    while ((link = list_take_first(&round))) {
        struct store_watch *watch = container_of(link, struct store_watch, link);
        list_add_last(&store->live, link);
        if (watch->next_revision <= revision)
            watch_tell(watch, events, n_events, revision);
    }
}

int64_t store_oldest_awaited(const struct store *store)
{
    int64_t oldest = INT64_MAX;
    list_each (link, &store->catch_ups) {
        const struct catch_up *catch_up = container_of(link, struct catch_up, link);
        if (catch_up->next_revision < oldest)
            oldest = catch_up->next_revision;
    }
    return oldest;
}

static struct store_watch *catch_up_watch(const struct catch_up *catch_up)
{
    if (list_is_empty(&catch_up->watches))
        return NULL;
    return container_of(catch_up->watches.next, struct store_watch, link);
}

static void catch_up_free(struct catch_up *catch_up)
{
    task_cancel(&catch_up->task);
    list_remove(&catch_up->link);
    list_remove(&catch_up->watches);
    buf_fini(&catch_up->bytes);
    free(catch_up);
}

static void catch_up_on_run(struct job *job, struct writer *writer)
{
    struct catch_up *catch_up = container_of(job, struct catch_up, job);
    struct engine *engine = writer_engine(writer);
    buf_clear(&catch_up->bytes);
    /* A past that cannot be read must not look like one in which nothing happened. */
    if (engine_history(engine, catch_up->next_revision, CATCH_UP_SIZE, &catch_up->bytes))
        engine_abort(engine, "the history cannot be read");
    writer_return(writer, job);
}

/* Tells one revision of the piece. False when the rest is not wanted. */
static bool catch_up_step(struct catch_up *catch_up, struct bytes_reader *reader)
{
    struct store_watch *watch = catch_up_watch(catch_up);
    if (!watch)
        return false;
    int64_t revision = (int64_t)bytes_take_number(reader, 8);
    struct span bytes = bytes_take(reader, bytes_take_number(reader, 4));
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct record record;
    if (record_decode(bytes, revision, &arena, &record)) {
        log_error("store", "a record that was read whole cannot be understood");
        abort();
    }

    catch_up->next_revision = revision + 1;
    watch_tell(watch, record.events, record.n_events, revision);
    return true;
}

static void catch_up_post(struct catch_up *catch_up)
{
    if (catch_up->store->history)
        task_defer(&catch_up->task, catch_up->store->loop);
    else
        store_post(catch_up->store, &catch_up->job);
}

static void catch_up_on_done(struct job *job, struct store *store)
{
    struct catch_up *catch_up = container_of(job, struct catch_up, job);
    if (store->is_closing) { /* what still comes would come without what was before it */
        catch_up_free(catch_up);
        return;
    }
    bool is_rest = store->history && catch_up->bytes.size < CATCH_UP_SIZE;
    struct bytes_reader reader = { .rest = buf_span(&catch_up->bytes) };
    while (reader.rest.size && !store->is_closing && catch_up_step(catch_up, &reader)) {
    }

    if (is_rest)
        catch_up->next_revision = store->revision + 1; /* not every one of etcd's has a change */

    struct list *link = list_take_first(&catch_up->watches);
    bool is_behind = link && catch_up->next_revision <= store->revision;
    if (link)
        list_add_last(is_behind ? &catch_up->watches : &store->live, link);
    if (is_behind && !store->is_closing) {
        catch_up_post(catch_up);
        return;
    }
    catch_up_free(catch_up);
}

static void catch_up_on_task(struct task *task)
{
    struct catch_up *catch_up = container_of(task, struct catch_up, task);
    buf_clear(&catch_up->bytes);
    history_read(catch_up->store->history, catch_up->next_revision, CATCH_UP_SIZE,
                 &catch_up->bytes);
    catch_up_on_done(&catch_up->job, catch_up->store);
}

void store_finish_catch_ups(struct store *store)
{
    while (!list_is_empty(&store->catch_ups)) {
        struct catch_up *catch_up = container_of(store->catch_ups.next, struct catch_up, link);
        task_cancel(&catch_up->task);
        catch_up_on_task(&catch_up->task);
    }
}

int store_watch_start(struct store *store, struct store_watch *watch, int64_t from_revision)
{
    if (from_revision && from_revision <= store->compacted)
        return STORE_COMPACTED;

    list_init(&watch->link);
    watch->next_revision = from_revision ? from_revision : store->revision + 1;
    if (watch->next_revision > store->revision) {
        list_add_last(&store->live, &watch->link);
        return 0;
    }

    struct catch_up *catch_up = mem_new(struct catch_up);
    catch_up->job.on_run = catch_up_on_run;
    catch_up->job.on_done = catch_up_on_done;
    catch_up->task.on_run = catch_up_on_task;
    list_init(&catch_up->task.link);
    catch_up->store = store;
    catch_up->next_revision = watch->next_revision;
    list_init(&catch_up->watches);
    list_add_last(&catch_up->watches, &watch->link);
    list_add_last(&store->catch_ups, &catch_up->link);
    catch_up_post(catch_up);
    return 0;
}

void store_watch_stop(struct store_watch *watch)
{
    list_remove(&watch->link);
}

void store_drop_watches(struct store *store)
{
    while (list_take_first(&store->live)) {
    }
    while (store->history && !list_is_empty(&store->catch_ups))
        catch_up_free(container_of(store->catch_ups.next, struct catch_up, link));
}
