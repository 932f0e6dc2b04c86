/* SPDX-License-Identifier: Apache-2.0 */

#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct processes processes;

static void process_on_start(struct world_event *event);

bool process_is_up(const struct process *process)
{
    return process->state == PROCESS_UP && !process->machine.is_dead;
}

/* --- its start --- */

/* Of the embedded engine: what it tells is what is true. */
static void recorder_on_events(struct store_watch *watch, const struct store_event *events,
                               size_t n_events, int64_t revision)
{
    (void)watch;
    truth_add(revision, events, n_events);
}

static void process_record(struct process *process)
{
    int64_t revision = store_revision(process->store);
    MUST(revision >= truth.newest, "%s has lost revisions: it is at %lld, and %lld was told",
         process->who, (long long)revision, (long long)truth.newest);
    process->recorder = (struct store_watch){ .prefix = SPAN(""), .on_events = recorder_on_events };
    MUST(!store_watch_start(process->store, &process->recorder, truth.newest + 1),
         "%s no longer keeps revision %lld", process->who, (long long)truth.newest + 1);
}

static int process_open(struct process *process, struct problem *problem)
{
    static const char *const endpoints[] = { "10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379" };
    const struct store_etcd_settings etcd = {
        .endpoints = endpoints,
        .n_endpoints = etcd_keys.n_members,
        .prefix = "/sarsen/",
    };
    const struct store_settings settings = {
        .path = process->disk.path,
        .keep_revisions = process->keep_revisions,
        .etcd = processes.has_etcd ? &etcd : NULL,
    };
    return store_open(process->loop, &settings, &process->store, problem);
}

static void process_bury(struct process *process)
{
    struct machine *before = machine_current();
    machine_enter(&process->machine);
    process_act_end(process);
    if (!process->machine.is_dead)
        authority_stop(&process->authority);
    process->store = store_close(process->store);
    process_act_forget(process); /* what was begun meanwhile */
    authority_close(&process->authority);
    process->loop = loop_free(process->loop);
    mirror_fini(&process->mirror);
    process->state = PROCESS_DOWN;
    disk_come_back(&process->disk);
    machine_enter(before);
}

static void process_start_at(struct process *process, nsec at)
{
    process->start.on_due = process_on_start;
    world_at(&process->start, at);
}

static void process_on_start(struct world_event *event)
{
    struct process *process = container_of(event, struct process, start);
    if (process->state == PROCESS_UP && process->machine.is_dead &&
        !machine_is_inside(&process->machine))
        process_bury(process);
    if (process->state != PROCESS_DOWN || machine_is_inside(&process->machine)) {
        world_at(event, world.now + 100 * MSEC);
        return;
    }
    struct machine *before = machine_current();
    process->machine.is_dead = false;
    machine_enter(&process->machine);
    process->state = PROCESS_OPENING;
    process->loop = loop_new(&process->machine.clock);
    trace("%s starts", process->who);
    struct problem problem = { 0 };
    int r = process_open(process, &problem);
    machine_enter(before);
    if (r || process->machine.is_dead) {
        trace("%s does not start: %s %s", process->who, problem.path, problem.text);
        MUST(r != STORE_CORRUPT || process->machine.is_dead, "%s does not open: %s %s",
             process->who, problem.path, problem.text);
        process_bury(process);
        nsec pause = chance_time(100 * MSEC, 2 * SECOND);
        if (!heap_has(&event->node))
            process_start_at(process, world.now + pause);
        return;
    }
    trace("%s is up at revision %lld", process->who, (long long)store_revision(process->store));
    process->state = PROCESS_UP;
    process->n_opened++;
    process->seen_revision = -1;
    machine_enter(&process->machine);
    if (!processes.has_etcd)
        process_record(process);
    snprintf(process->id, sizeof(process->id), "%s", store_writer_id(process->store));
    authority_open(&process->authority, process);
    process_act_begin(process);
    machine_enter(before);
}

/* --- its end --- */

void process_stop(struct process *process, enum process_end end, nsec pause)
{
    if (process->state == PROCESS_DOWN || process->machine.is_dead)
        return;
    bool is_busy = process->state != PROCESS_UP || machine_is_inside(&process->machine);
    if (end == PROCESS_CLOSES && (is_busy || process->machine.is_paused))
        return;
    static const char *const words[] = { "closes", "is killed", "loses power" };
    trace("%s %s", process->who, words[end]);
    process_start_at(process, world.now + pause);
    if (end == PROCESS_CLOSES) {
        process->state = PROCESS_CLOSING;
        process_bury(process);
        return;
    }
    disk_go(&process->disk, end == PROCESS_LOSES_POWER);
    process->machine.is_dead = true;
    process->machine.is_paused = false;
    net_forget(&process->machine);
    if (!is_busy) /* else whoever is at work there finds out */
        process_bury(process);
}

/* In the middle of what it writes. */
static void process_on_cut(struct disk *disk)
{
    struct process *process = container_of(disk, struct process, disk);
    process_stop(process, chance(700) ? PROCESS_LOSES_POWER : PROCESS_IS_KILLED,
                 chance_time(100 * MSEC, 3 * SECOND));
}

/* --- what must hold --- */

static void process_check(struct process *process)
{
    int64_t revision = store_revision(process->store);
    MUST(revision >= process->seen_revision, "%s goes back from revision %lld to %lld",
         process->who, (long long)process->seen_revision, (long long)revision);
    if (revision == process->seen_revision)
        return;
    if (!processes.has_etcd && truth.newest < revision)
        return; /* the recorder reads the past */
    MUST(revision <= (processes.has_etcd ? etcd_keys.base + etcd_keys.revision : truth.newest),
         "%s is at revision %lld, which is yet to come", process->who, (long long)revision);
    process->seen_revision = revision;
    mirror_follow(&process->mirror, revision, SPAN(""));
    mirror_compare(&process->mirror, process->store, process->who);
}

void processes_check(void)
{
    for (unsigned i = 0; i < processes.n; i++) {
        if (process_is_up(&processes.all[i]))
            process_check(&processes.all[i]);
    }
}

/* With the embedded engine, what was put with a lease goes with it. */
static void leases_check(const struct process *process)
{
    const struct store_entry *entries[512];
    size_t n = store_range(process->store, SPAN("~leased/"), SPAN_NULL, entries, 512);
    for (size_t i = 0; i < n; i++) {
        struct span id = span_first(span_from(entries[i]->key, sizeof("~leased/") - 1), 16);
        char key[32];
        snprintf(key, sizeof(key), "~lease/%.*s", SPAN_ARG(id));
        MUST(store_find(process->store, span_of(key)), "%s keeps %.*s of a lease that is over",
             process->who, SPAN_ARG(entries[i]->key));
    }
}

void processes_check_settled(void)
{
    for (unsigned i = 0; i < processes.n; i++) {
        struct process *process = &processes.all[i];
        MUST(process_is_up(process), "%s did not come back", process->who);
        MUST(!store_is_read_only(process->store), "%s still takes no writes: %s", process->who,
             store_trouble(process->store));
        MUST(list_is_empty(&process->deeds), "%s was not answered", process->who);
        MUST(!processes.has_etcd ||
                 store_revision(process->store) == etcd_keys.base + etcd_keys.revision,
             "%s stays at revision %lld, while etcd is at %lld", process->who,
             (long long)store_revision(process->store),
             (long long)(etcd_keys.base + etcd_keys.revision));
        leases_check(process);
        for (unsigned k = 0; k < WATCHES; k++) {
            struct observer *observer = &process->observers[k];
            if (!observer->is_on)
                continue;
            mirror_follow(&observer->expected, store_revision(process->store),
                          observer->watch.prefix);
            MUST(mirror_equals(&observer->told, &observer->expected),
                 "a watch of %s below \"%.*s\" was told up to revision %lld, and not all of %lld",
                 process->who, SPAN_ARG(observer->watch.prefix), (long long)observer->told_revision,
                 (long long)store_revision(process->store));
        }
    }
}

/* Whether its loop has turned lately: only then can it know. */
static bool process_is_awake(const struct process *process)
{
    return process_is_up(process) && !process->machine.is_paused &&
           world.now - process->machine.turned_at < 300 * MSEC;
}

void processes_on_lease_end(int64_t id, nsec until)
{
    for (unsigned i = 0; i < processes.n; i++) {
        const struct process *process = &processes.all[i];
        if (!process_is_awake(process) || world.now < until + 100 * MSEC)
            continue;
        for (unsigned k = 0; k < LEASES; k++)
            MUST(process->holders[k].lease.id != id, "%s takes a lease for its own that etcd ends",
                 process->who);
        MUST(!process->is_candidate || process->election.lease.id != id,
             "%s takes itself for elected with a lease that etcd ends", process->who);
    }
}

/* --- all of them --- */

void processes_begin(unsigned n, bool has_etcd)
{
    processes = (struct processes){ .n = n, .has_etcd = has_etcd };
    processes.is_large = !has_etcd && chance(40);
    for (unsigned i = 0; i < n; i++) {
        struct process *process = &processes.all[i];
        machine_init(&process->machine, i);
        process->machine.disk = &process->disk;
        snprintf(process->who, sizeof(process->who), "p%u", i);
        disk_init(&process->disk, i);
        process->disk.on_cut = process_on_cut;
        list_init(&process->deeds);
        list_init(&process->recorder.link);
        static const int64_t keeps[] = { 16, 100, 10000 };
        process->keep_revisions = keeps[chance_below(3)];
        process_start_at(process, world.now + chance_time(0, SECOND));
    }
}

void processes_end(void)
{
    for (unsigned i = 0; i < processes.n; i++) {
        struct process *process = &processes.all[i];
        world_cancel(&process->start);
        process->machine.is_dead = true;
        if (process->state == PROCESS_UP)
            process_bury(process);
        disk_fini(&process->disk);
    }
}
