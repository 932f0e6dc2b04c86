/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The target differs less and less from the source until nothing differs; so one that broke off is
 * gone on with by doing the same again. Both are locked for as long as it takes.
 */

#include "store/copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "store/engine.h"

#define PATIENCE (5 * NSEC_PER_SEC) /* with an etcd that does not say another */
#define PATIENCE_FACTOR 6
#define BATCH_SIZE ((size_t)1024 * 1024) /* of keys and values; an etcd takes half as much again */

static bool is_left_out(const struct copying *copying, struct span key)
{
    const struct store_copy *copy = copying->copy;
    if (span_starts_with(key, SPAN("~")) ||
        (copy->in_use.size && span_starts_with(key, copy->in_use)))
        return true;
    for (unsigned i = 0; i < copy->n_left_out; i++) {
        if (span_starts_with(key, copy->left_out[i]))
            return true;
    }
    return false;
}

/* --- writing --- */

static void write_on_done(struct store_write *write, int answer, int64_t revision)
{
    (void)revision;
    container_of(write, struct copying, write)->answer = answer;
}

/* What was sent and not answered is not waited for without end; it stays the store's until that is
 * closed. */
static nsec patience(const struct copying *copying)
{
    const struct store_etcd_settings *from = copying->copy->from->etcd;
    const struct store_etcd_settings *to = copying->copy->to->etcd;
    nsec one = to ? to->patience : from ? from->patience : 0;
    return PATIENCE_FACTOR * (one ? one : PATIENCE);
}

int copy_commit(struct copying *copying, struct store *store, struct txn *txn)
{
    struct clock *clock = loop_clock(copying->loop);
    nsec deadline = clock_now(clock) + patience(copying);
    copying->write = (struct store_write){ .on_done = write_on_done };
    copying->answer = -1;
    store_submit(store, &copying->write, txn);
    while (copying->answer < 0 && clock_now(clock) < deadline) {
        int r = loop_turn(copying->loop, NSEC_PER_SEC);
        if (r)
            return err_trace(r);
    }
    return copying->answer < 0 ? STORE_UNCERTAIN : copying->answer;
}

/* What the target says to a transaction that it does not take. */
int copy_refused(struct copying *copying, int answer)
{
    const char *path = copying->copy->to->etcd ? "store.etcd" : copying->copy->to->path;
    const char *trouble = store_trouble(copying->to);
    if (answer == STORE_TOO_LARGE) {
        problem_set(copying->problem, path,
                    "takes no transaction of %zu bytes; start it with a higher "
                    "--max-request-bytes",
                    BATCH_SIZE);
    } else {
        problem_set(copying->problem, path, "took not all of it: %s; run the same again to go on",
                    trouble[0] ? trouble : "it does not answer");
    }
    return answer;
}

struct batch {
    struct copying *copying;
    struct txn txn;
    size_t size;
};

static int batch_flush(struct batch *batch)
{
    batch->size = 0;
    if (!batch->txn.n_ops)
        return 0;
    struct copying *copying = batch->copying;
    size_t n_ops = batch->txn.n_ops;
    int r = copy_commit(copying, copying->to, &batch->txn);
    if (r)
        return r > 0 ? copy_refused(copying, r) : err_trace(r);
    copying->n_written += n_ops;
    if (copying->copy->on_step)
        copying->copy->on_step(copying->copy->owner, copying->n_written);
    return 0;
}

/* What does not fit is taken over before the rest is written: the loop turns for that, and a change
 * of an etcd frees the entry. */
static int batch_add(struct batch *batch, enum txn_op_kind kind, const struct store_entry *entry)
{
    size_t size = entry->key.size + (kind == TXN_PUT ? entry->value.size : 0);
    bool fits = batch->size + size <= BATCH_SIZE &&
                batch->txn.n_ops < store_txn_ops_max(batch->copying->to);
    struct txn next = { 0 }, *txn = fits ? &batch->txn : &next;
    if (kind == TXN_PUT)
        txn_put(txn, entry->key, entry->value);
    else
        txn_delete(txn, entry->key);
    batch->size += size;
    if (fits)
        return 0;
    int r = batch_flush(batch);
    txn_fini(&batch->txn);
    batch->txn = next;
    batch->size = size;
    return r;
}

/* --- going through keys --- */

/* Calls for each key. The loop may turn meanwhile, and then the entry may be gone. */
static int each_key(struct copying *copying, struct store *store,
                    int (*on_entry)(struct copying *copying, const struct store_entry *entry,
                                    void *owner),
                    void *owner)
{
    CLEANUP(buf_fini) struct buf after = { 0 };
    const struct store_entry *entry;
    while (store_range(store, SPAN(""), after.size ? buf_span(&after) : SPAN_NULL, &entry, 1)) {
        buf_clear(&after);
        buf_put(&after, entry->key);
        int r = on_entry(copying, entry, owner);
        if (r)
            return r;
    }
    return 0;
}

static bool is_same(const struct store_entry *a, const struct store_entry *b)
{
    return a && b && span_equals(a->value, b->value);
}

static int put_entry(struct copying *copying, const struct store_entry *entry, void *owner)
{
    struct batch *batch = owner;
    if (is_left_out(copying, entry->key) || is_same(entry, store_find(copying->to, entry->key)))
        return 0;
    return batch_add(batch, TXN_PUT, entry);
}

/* What the source has not, the target has not. */
static int delete_entry(struct copying *copying, const struct store_entry *entry, void *owner)
{
    struct batch *batch = owner;
    bool stays = store_find(copying->from, entry->key) && !is_left_out(copying, entry->key);
    if (stays || span_is(entry->key, STORE_HALF_KEY))
        return 0;
    return batch_add(batch, TXN_DELETE, entry);
}

int copy_write_all(struct copying *copying)
{
    struct batch batch = { .copying = copying };
    int r = each_key(copying, copying->from, put_entry, &batch);
    if (!r)
        r = each_key(copying, copying->to, delete_entry, &batch);
    if (!r)
        r = batch_flush(&batch);
    txn_fini(&batch.txn);
    return r;
}

/* --- what there is, and what is to be done --- */

static int count_from(struct copying *copying, const struct store_entry *entry, void *owner)
{
    (void)owner;
    const struct store_copy *copy = copying->copy;
    size_t size = entry->key.size + entry->value.size;
    bool is_out = is_left_out(copying, entry->key);
    if (copy->on_key)
        copy->on_key(copy->owner, entry->key, entry->value, is_out);
    if (is_out)
        return 0;
    if (size > copying->largest_size) {
        copying->largest_size = size;
        buf_clear(&copying->largest);
        buf_put(&copying->largest, entry->key);
    }
    return 0;
}

static int plan_put(struct copying *copying, const struct store_entry *entry, void *owner)
{
    (void)owner;
    if (is_left_out(copying, entry->key))
        return 0;
    if (copying->to && is_same(entry, store_find(copying->to, entry->key)))
        copying->result.n_same++;
    else
        copying->result.n_put++;
    return 0;
}

static int plan_delete(struct copying *copying, const struct store_entry *entry, void *owner)
{
    (void)owner;
    if (span_is(entry->key, STORE_HALF_KEY))
        return 0;
    copying->result.n_there++;
    copying->result.n_deleted +=
        !store_find(copying->from, entry->key) || is_left_out(copying, entry->key);
    return 0;
}

int copy_plan(struct copying *copying)
{
    int r = each_key(copying, copying->from, plan_put, NULL);
    if (!r && copying->to)
        r = each_key(copying, copying->to, plan_delete, NULL);
    return r;
}

int copy_check_unused(struct copying *copying, const struct store *store, const char *path)
{
    const struct store_entry *entry;
    struct span in_use = copying->copy->in_use;
    if (!in_use.size || !store_range(store, in_use, SPAN_NULL, &entry, 1))
        return 0;
    problem_set(copying->problem, path,
                "is in use by %.*s; stop all that serve from it (one that crashed is gone in "
                "seconds)",
                SPAN_ARG(span_from(entry->key, in_use.size)));
    return STORE_LOCKED;
}

/* Whether the target may be written to. */
int copy_check_empty(struct copying *copying, const char *path)
{
    if (!copying->result.n_there || copying->result.is_continued || copying->copy->is_replacing)
        return 0;
    problem_set(copying->problem, path, "is not empty: it has %zu keys; --replace lets them go",
                copying->result.n_there);
    return STORE_CONFLICT;
}

/* --- the source --- */

static void from_on_events(struct store_watch *watch, const struct store_event *events,
                           size_t n_events, int64_t revision)
{
    (void)revision;
    struct copying *copying = container_of(watch, struct copying, watch);
    for (size_t i = 0; i < n_events; i++) {
        struct span key = events[i].entry.key, in_use = copying->copy->in_use;
        copying->has_changed |=
            !is_left_out(copying, key) || (in_use.size && span_starts_with(key, in_use));
    }
}

static int open_from(struct copying *copying)
{
    const struct store_settings *from = copying->copy->from;
    const struct store_opening opening = { .is_keys_only = true };
    const char *path = from->etcd ? "store.etcd" : from->path;
    if (!from->etcd && engine_is_new(copying->from_fd)) {
        problem_set(copying->problem, path, "holds no store");
        return STORE_CORRUPT;
    }
    int r = store_open_as(copying->loop, from, &opening, &copying->from, copying->problem);
    if (!r)
        r = copy_check_unused(copying, copying->from, path);
    if (r)
        return r;
    copying->watch.on_events = from_on_events;
    copying->watch.prefix = SPAN("");
    r = store_watch_start(copying->from, &copying->watch, 0);
    copying->result.from_revision = store_revision(copying->from);
    return err_fold(r);
}

/* An empty transaction is a barrier: what was written before it is seen after it. */
static int check_unchanged(struct copying *copying)
{
    struct txn none = { 0 };
    int r = copy_commit(copying, copying->from, &none);
    if (r < 0)
        return err_trace(r);
    if (!r && !copying->has_changed)
        return 0;
    const struct store_settings *from = copying->copy->from;
    problem_set(copying->problem, from->etcd ? "store.etcd" : from->path,
                "%s while it was copied; stop all that serve from it and run the same again",
                r ? "went away" : "changed");
    return STORE_CONFLICT;
}

/* --- reading back --- */

static int compare_entry(struct copying *copying, const struct store_entry *entry, void *owner)
{
    size_t *n_found = owner;
    if (is_left_out(copying, entry->key))
        return 0;
    if (!is_same(entry, store_find(copying->to, entry->key))) {
        problem_set(copying->problem, copying->copy->to->path,
                    "has not what was just copied to it, at the key \"%.*s\"",
                    SPAN_ARG(span_first(entry->key, 64)));
        return STORE_CORRUPT;
    }
    ++*n_found;
    return 0;
}

static int count_entry(struct copying *copying, const struct store_entry *entry, void *owner)
{
    (void)copying;
    size_t *n_there = owner;
    *n_there += !span_is(entry->key, STORE_HALF_KEY);
    return 0;
}

/* Opened again, the target has the keys of the source and no others. */
int copy_read_back(struct copying *copying, const struct store_settings *settings)
{
    const struct store_opening opening = { .is_keys_only = true, .takes_half = true };
    size_t n_found = 0, n_there = 0;
    copying->to = store_close(copying->to);
    int r = store_open_as(copying->loop, settings, &opening, &copying->to, copying->problem);
    if (!r)
        r = each_key(copying, copying->from, compare_entry, &n_found);
    if (!r)
        r = each_key(copying, copying->to, count_entry, &n_there);
    if (!r && n_found != n_there) {
        problem_set(copying->problem, settings->path, "has %zu keys where %zu were copied", n_there,
                    n_found);
        r = STORE_CORRUPT;
    }
    copying->result.to_revision = copying->to ? store_revision(copying->to) : 0;
    return r ? r : check_unchanged(copying);
}

/* --- all of it --- */

static bool is_same_etcd(const struct store_etcd_settings *a, const struct store_etcd_settings *b)
{
    if (!a || !b || strcmp(a->prefix, b->prefix) != 0)
        return false;
    for (unsigned i = 0; i < a->n_endpoints; i++) {
        for (unsigned j = 0; j < b->n_endpoints; j++) {
            if (strcmp(a->endpoints[i], b->endpoints[j]) == 0)
                return true;
        }
    }
    return false;
}

/* One directory may be both: with an etcd it has the rest of what belongs to its keys. */
static int lock_both(struct copying *copying)
{
    const struct store_copy *copy = copying->copy;
    struct stat from, to;
    if (stat(copy->from->path, &from) < 0) {
        problem_set(copying->problem, copy->from->path, "cannot be opened: %s", strerror(errno));
        return STORE_CORRUPT;
    }
    int r = store_lock(copy->from->path, &copying->from_fd, copying->problem);
    if (r)
        return r;
    bool is_one =
        stat(copy->to->path, &to) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino;
    if ((is_one && !copy->from->etcd && !copy->to->etcd) ||
        is_same_etcd(copy->from->etcd, copy->to->etcd)) {
        problem_set(copying->problem, copy->to->etcd ? "store.etcd" : copy->to->path,
                    "is the store to copy from");
        return STORE_CONFLICT;
    }
    if (copy->is_dry_run && !copy->to->etcd && access(copy->to->path, F_OK) != 0)
        return 0;
    if (!is_one)
        return store_lock(copy->to->path, &copying->to_fd, copying->problem);
    copying->to_fd = fcntl(copying->from_fd, F_DUPFD_CLOEXEC, 0);
    return copying->to_fd < 0 ? err_origin(-errno) : 0;
}

static int run(struct copying *copying)
{
    int r = lock_both(copying);
    if (!r)
        r = open_from(copying);
    if (!r)
        r = each_key(copying, copying->from, count_from, NULL);
    if (r)
        return r;
    return copying->copy->to->etcd ? copy_to_etcd(copying) : copy_to_directory(copying);
}

int store_copy(struct loop *loop, const struct store_copy *copy, struct store_copied *ret_copied,
               struct problem *problem)
{
    struct copying copying = {
        .loop = loop,
        .copy = copy,
        .problem = problem,
        .from_fd = -1,
        .to_fd = -1,
    };
    list_init(&copying.watch.link);
    int r = run(&copying);
    store_watch_stop(&copying.watch);
    store_close(copying.to);
    store_close(copying.from);
    fd_closep(&copying.to_fd);
    fd_closep(&copying.from_fd);
    buf_fini(&copying.largest);
    if (r < 0 && !problem->text[0])
        problem_set(problem, copy->to->path, "cannot be copied to: %s", strerror(-r));
    if (!r)
        *ret_copied = copying.result;
    return r;
}
