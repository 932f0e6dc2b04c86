/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop's side of the store. The index here changes only when the writer says that a
 * transaction is on disk, in the order of the writer, so it is at every moment the content as of
 * store->revision.
 */

#include "store/store.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "store/engine_etcd.h"
#include "store/lease.h"
#include "store/ledger_file.h"
#include "store/state.h"

#define STORE_DIR_MODE 0750
#define STORE_KEEP_REVISIONS 10000

static void store_on_letter(void *owner, struct letter *letter)
{
    struct job *job = container_of(letter, struct job, letter);
    job->on_done(job, owner);
}

void store_post(struct store *store, struct job *job)
{
    if (store->is_closing) {
        list_add_last(&store->refused, &job->link);
        return;
    }
    writer_post(store->writer, job);
}

/* --- open and close --- */

int store_lock(const char *path, int *ret_fd, struct problem *problem)
{
    int r = dir_make(AT_FDCWD, path, STORE_DIR_MODE);
    if (r) {
        problem_set(problem, path, "cannot be made a directory: %s", strerror(-r));
        return err_trace(r);
    }
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        r = -errno;
        problem_set(problem, path, "cannot be opened: %s", strerror(-r));
        return err_origin(r);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        r = -errno;
        problem_set(problem, path, "is in use by another process; stop that one first");
        return r == -EWOULDBLOCK ? STORE_LOCKED : err_origin(r);
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

static void store_on_sweep(struct task *task)
{
    struct store *store = container_of(task, struct store, sweep);
    index_sweep(&store->index);
}

static struct store *store_new(struct loop *loop, const struct store_settings *settings)
{
    struct store *store = mem_new(struct store);
    store->loop = loop;
    store->dir_fd = store->blobs_fd = -1;
    store->keep_revisions =
        settings->keep_revisions > 0 ? settings->keep_revisions : STORE_KEEP_REVISIONS;
    index_init(&store->index);
    list_init(&store->sweep.link);
    store->sweep.on_run = store_on_sweep;
    list_init(&store->leases);
    list_init(&store->live);
    list_init(&store->catch_ups);
    list_init(&store->refused);
    return store;
}

/* While closing: what was posted since is done unrun. Transactions are refused by the answer they
 * carry; of the rest nobody waits for more than the end. */
static void store_refuse_late(struct store *store)
{
    struct list *link;
    while ((link = list_take_first(&store->refused))) {
        struct job *job = container_of(link, struct job, link);
        job->on_done(job, store);
    }
}

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;

    store->is_closing = true;
    store->etcd = etcd_close(store->etcd);
    store->writer = writer_stop(store->writer);
    store->outbox = mailbox_free(store->outbox); /* tells what is done */
    store_refuse_late(store);
    store_drop_watches(store);
    leases_close(store);
    task_cancel(&store->sweep);
    index_fini(&store->index);
    fd_closep(&store->blobs_fd);
    fd_closep(&store->dir_fd);
    free(store);
    return NULL;
}

DEFINE_CLEANUP(struct store *, store_close);
DEFINE_CLEANUP(struct ledger_file *, ledger_file_close);
DEFINE_CLEANUP(struct engine *, engine_close);

static bool ledger_is_new(const struct store *store)
{
    return faccessat(store->dir_fd, "ledger.db", F_OK, 0) != 0;
}

/* Locks the directory, and takes what is in it beside the keys. */
static int store_open_directory(struct store *store, const char *path, struct problem *problem)
{
    int r = store_lock(path, &store->dir_fd, problem);
    if (r)
        return err_trace(r);
    r = blobs_open(store);
    if (r) {
        problem_set(problem, path, "cannot take the directory blobs: %s", strerror(-r));
        return err_trace(r);
    }
    /* A new directory is there for good when the one above is on disk. */
    CLEANUP(fd_closep)
    int parent_fd = openat(store->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd >= 0)
        fsync(parent_fd);
    return 0;
}

static int store_refuse_half(const char *path, struct problem *problem)
{
    problem_set(problem, path,
                "is a copy that was not finished; run the same `sarsen store copy` again");
    return STORE_CORRUPT;
}

static int store_open_keys(struct store *store, const char *path,
                           const struct store_opening *opening, struct engine **ret_engine,
                           struct problem *problem)
{
    if (!opening->takes_half && faccessat(store->dir_fd, STORE_HALF_DIR, F_OK, 0) == 0)
        return store_refuse_half(path, problem);
    CLEANUP(engine_closep) struct engine *engine = NULL;
    int r = engine_open(store->dir_fd, path, engine_is_new(store->dir_fd), &store->index, &engine,
                        problem);
    if (!r && opening->first_revision > 1 && !engine_revision(engine))
        r = engine_start_at(engine, opening->first_revision);
    if (r)
        return err_trace(r);
    *ret_engine = steal(engine);
    return 0;
}

static int store_open_files(struct store *store, const struct store_settings *settings,
                            const struct store_opening *opening, struct engine **ret_engine,
                            struct ledger_file **ret_ledger, struct problem *problem)
{
    const char *path = settings->path;
    CLEANUP(ledger_file_closep) struct ledger_file *ledger = NULL;
    int r = 0;
    if (opening->is_keys_only) {
        store->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (store->dir_fd < 0)
            return err_origin(-errno);
    } else {
        r = store_open_directory(store, path, problem);
        /* The ledger first: the head file, which the engine makes last, says that both are there. */
        bool is_new = settings->etcd ? ledger_is_new(store) : engine_is_new(store->dir_fd);
        if (!r)
            r = ledger_file_open(store->dir_fd, path, is_new, &ledger, problem);
    }
    if (!r && !settings->etcd)
        r = store_open_keys(store, path, opening, ret_engine, problem);
    if (r)
        return err_trace(r);
    *ret_ledger = steal(ledger);
    return 0;
}

static int store_open_etcd(struct store *store, const struct store_etcd_settings *settings,
                           const struct store_opening *opening, struct problem *problem)
{
    int r = etcd_open(store, settings, opening->first_revision, problem);
    if (!r && !opening->takes_half && store_find(store, SPAN(STORE_HALF_KEY)))
        return store_refuse_half("store.etcd", problem);
    return r;
}

int store_open_as(struct loop *loop, const struct store_settings *settings,
                  const struct store_opening *opening, struct store **ret_store,
                  struct problem *problem)
{
    CLEANUP(store_closep) struct store *store = store_new(loop, settings);
    struct engine *engine = NULL;
    struct ledger_file *ledger = NULL;
    int r = store_open_files(store, settings, opening, &engine, &ledger, problem);
    if (r)
        return err_trace(r);

    if (engine) {
        store->revision = engine_revision(engine);
        store->compacted = engine_compacted(engine);
    }
    store->outbox = mailbox_new(loop, store_on_letter, store);
    store->writer = writer_start(store->outbox, engine, ledger);
    if (settings->etcd)
        r = store_open_etcd(store, settings->etcd, opening, problem);
    else if (!opening->is_keys_only)
        leases_open(store);
    if (r)
        return r;
    *ret_store = steal(store);
    return 0;
}

int store_open(struct loop *loop, const struct store_settings *settings, struct store **ret_store,
               struct problem *problem)
{
    const struct store_opening opening = { 0 };
    return store_open_as(loop, settings, &opening, ret_store, problem);
}

/* --- reading --- */

int64_t store_revision(const struct store *store)
{
    return store->revision;
}

bool store_is_read_only(const struct store *store)
{
    return store->is_read_only;
}

const struct store_entry *store_find(const struct store *store, struct span key)
{
    return index_find(&store->index, key);
}

size_t store_range(const struct store *store, struct span prefix, struct span after,
                   const struct store_entry **entries, size_t capacity)
{
    return index_range(&store->index, prefix, after, entries, capacity);
}

const char *store_trouble(const struct store *store)
{
    return store->etcd ? store->etcd->trouble : "";
}

const char *store_writer_id(const struct store *store)
{
    return store->etcd ? store->etcd->id : "";
}

unsigned store_txn_ops_max(const struct store *store)
{
    return store->etcd ? ETCD_OPS_MAX : STORE_TXN_OPS_MAX;
}

/* --- writing --- */

struct compact_job {
    struct job job;
    int64_t revision;
};

static void compact_job_on_run(struct job *job, struct writer *writer)
{
    struct compact_job *compact = container_of(job, struct compact_job, job);
    struct engine *engine = writer_engine(writer);
    int r = engine_compact(engine, compact->revision);
    if (r == STORE_CORRUPT)
        engine_abort(engine, "the database is damaged");
    writer_return(writer, job); /* a full disk keeps more than it must; a later one gets further */
}

static void compact_job_on_done(struct job *job, struct store *store)
{
    (void)store;
    free(container_of(job, struct compact_job, job));
}

/* Forgets in steps of an eighth of what is kept, so that few writes pay for it. The writer does
 * nothing by itself: what a watch still waits for is known here. */
static void store_compact(struct store *store)
{
    int64_t revision = store->revision - store->keep_revisions;
    int64_t awaited = store_oldest_awaited(store);
    if (awaited <= revision)
        revision = awaited - 1;
    if (revision - store->compacted <= store->keep_revisions / 8)
        return;

    store->compacted = revision;
    struct compact_job *compact = mem_new(struct compact_job);
    compact->job.on_run = compact_job_on_run;
    compact->job.on_done = compact_job_on_done;
    compact->revision = revision;
    store_post(store, &compact->job);
}

static void store_apply_op(struct store *store, const struct write_job *write, size_t i,
                           struct store_event *ret_event)
{
    const struct txn_op *op = &write->txn.ops[i];
    *ret_event = (struct store_event){ .kind = op->kind };
    if (op->kind == TXN_DELETE) {
        ret_event->entry.key = index_remove(&store->index, op->key)->key;
        ret_event->entry.mod_revision = write->revision;
        return;
    }
    const struct store_entry entry = {
        .key = op->key,
        .value = op->value,
        .create_revision = write->changes[i].create_revision,
        .mod_revision = write->revision,
        .version = write->changes[i].version,
    };
    ret_event->entry = *index_put(&store->index, &entry);
}

static void store_apply(struct store *store, struct write_job *write)
{
    struct store_event *events =
        arena_new_array(&write->txn.arena, struct store_event, write->txn.n_ops);
    size_t n_events = 0;
    for (size_t i = 0; i < write->txn.n_ops; i++) {
        if (write->changes[i].is_made)
            store_apply_op(store, write, i, &events[n_events++]);
    }
    assert(write->revision == store->revision + 1);
    store->revision = write->revision;
    task_defer(&store->sweep, store->loop);
    store_tell_watches(store, events, n_events, write->revision);
    store_compact(store);
}

void store_apply_revision(struct store *store, struct store_event *events, size_t n_events,
                          int64_t revision)
{
    for (size_t i = 0; i < n_events; i++) {
        struct store_entry *entry = &events[i].entry;
        if (events[i].kind == TXN_DELETE)
            index_remove(&store->index, entry->key);
        else
            *entry = *index_put(&store->index, entry);
    }
    store->revision = revision;
    task_defer(&store->sweep, store->loop);
    store_tell_watches(store, events, n_events, revision);
    int64_t dropped =
        history_trim(store->history, store->keep_revisions, store_oldest_awaited(store));
    if (dropped > store->compacted)
        store->compacted = dropped;
}

static void write_job_on_done(struct job *job, struct store *store)
{
    struct write_job *write = container_of(job, struct write_job, job);
    if (write->has_changes)
        store_apply(store, write);
    write->write->on_done(write->write, write->answer, write->revision);
    txn_fini(&write->txn);
    free(write);
}

static bool txn_fits(const struct store *store, const struct txn *txn)
{
    if (txn->n_ops > store_txn_ops_max(store) || txn->n_compares > STORE_TXN_OPS_MAX)
        return false;
    if (store->etcd && txn->n_compares > ETCD_COMPARES_MAX)
        return false;
    size_t size = 0;
    for (size_t i = 0; i < txn->n_compares; i++) {
        if (txn->compares[i].key.size > STORE_KEY_MAX)
            return false;
    }
    for (size_t i = 0; i < txn->n_ops; i++) {
        const struct txn_op *op = &txn->ops[i];
        if (op->key.size > STORE_KEY_MAX || op->value.size > STORE_VALUE_MAX)
            return false;
        size += op->key.size + op->value.size;
    }
    return size <= STORE_TXN_SIZE_MAX;
}

void store_submit(struct store *store, struct store_write *write, struct txn *txn)
{
    list_init(&write->link);
    if (store->etcd && !store->is_closing) {
        etcd_submit(store->etcd, write, txn, txn_fits(store, txn) ? 0 : STORE_TOO_LARGE);
        return;
    }
    int answer = txn_fits(store, txn) ? leases_expand(store, txn) : STORE_TOO_LARGE;
    struct write_job *job = mem_new(struct write_job);
    job->job.on_done = write_job_on_done;
    job->write = write;
    job->txn = *txn;
    *txn = (struct txn){ 0 };
    job->changes = arena_new_array(&job->txn.arena, struct change, job->txn.n_ops);
    job->answer = answer;
    if (!answer && store->is_closing)
        job->answer = STORE_READ_ONLY;
    store_post(store, &job->job);
}
