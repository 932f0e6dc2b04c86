/* SPDX-License-Identifier: Apache-2.0 */

/*
 * In an etcd the key STORE_HALF_KEY says that it is not done; it comes with the first transaction
 * and goes with the last, after all was read back. The largest value is in the first one too: an
 * etcd that does not take it has been given nothing.
 *
 * In a directory the new store comes to be beside the old one, in STORE_HALF_DIR, and takes its
 * place when it is done. Between the two renames the head file belongs to another database, which
 * nobody opens.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "store/copy.h"
#include "store/engine.h"
#include "store/ledger_file.h"

DEFINE_CLEANUP(struct ledger_file *, ledger_file_close);

static int tell_written(struct copying *copying)
{
    const struct store_copy *copy = copying->copy;
    return copy->on_written ? copy->on_written(copy->owner, copying->problem) : 0;
}

/* --- to an etcd --- */

static int open_etcd(struct copying *copying, int64_t first_revision)
{
    const struct store_opening opening = {
        .is_keys_only = true,
        .takes_half = true,
        .first_revision = first_revision,
    };
    copying->to = store_close(copying->to);
    return store_open_as(copying->loop, copying->copy->to, &opening, &copying->to,
                         copying->problem);
}

/* The first transaction, with the largest of all values. */
static int mark_half(struct copying *copying)
{
    struct txn txn = { 0 };
    struct span key = buf_span(&copying->largest);
    const struct store_entry *largest = store_find(copying->from, key);
    bool has_largest = largest;
    txn_put(&txn, SPAN(STORE_HALF_KEY), SPAN("sarsen store copy"));
    if (largest)
        txn_put(&txn, key, largest->value);
    int r = copy_commit(copying, copying->to, &txn);
    if (r != STORE_TOO_LARGE || !has_largest)
        return r > 0 ? copy_refused(copying, r) : err_trace(r);
    problem_set(copying->problem, "store.etcd",
                "does not take the key \"%.*s\" of %zu bytes; start it with a higher "
                "--max-request-bytes; nothing was written",
                SPAN_ARG(span_first(key, 64)), copying->largest_size);
    return r;
}

static int unmark_half(struct copying *copying)
{
    struct txn txn = { 0 };
    txn_delete(&txn, SPAN(STORE_HALF_KEY));
    int r = copy_commit(copying, copying->to, &txn);
    return r > 0 ? copy_refused(copying, r) : err_trace(r);
}

int copy_to_etcd(struct copying *copying)
{
    int r = open_etcd(copying, 0);
    if (!r)
        r = copy_check_unused(copying, copying->to, "store.etcd");
    if (r)
        return r;
    copying->result.is_continued = store_find(copying->to, SPAN(STORE_HALF_KEY));
    copying->result.to_revision = store_revision(copying->to);
    r = copy_plan(copying);
    if (!r)
        r = copy_check_empty(copying, "store.etcd");
    if (r || copying->copy->is_dry_run)
        return r;

    r = open_etcd(copying, copying->result.from_revision);
    if (!r)
        r = mark_half(copying);
    if (!r)
        r = copy_write_all(copying);
    if (!r)
        r = copy_read_back(copying, copying->copy->to);
    if (!r)
        r = tell_written(copying);
    if (!r)
        r = unmark_half(copying);
    return r;
}

/* --- to a directory --- */

/* Nothing is in it but what was made here. */
static void remove_built(int dir_fd)
{
    static const char *const files[] = { STORE_HALF_DIR "/store.head", STORE_HALF_DIR "/store.db",
                                         STORE_HALF_DIR "/store.db-wal",
                                         STORE_HALF_DIR "/store.db-journal" };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlinkat(dir_fd, files[i], 0);
    unlinkat(dir_fd, STORE_HALF_DIR, AT_REMOVEDIR);
}

/* Run as root it leaves to the directory's owner what that one has to open. */
static int hand_over(int dir_fd, const char *name)
{
    struct stat status;
    if (fstat(dir_fd, &status) < 0)
        return err_origin(-errno);
    if (geteuid() == 0 && fchownat(dir_fd, name, status.st_uid, status.st_gid, 0) < 0)
        return err_origin(-errno);
    return 0;
}

/* A store has a ledger, be it empty. */
static int make_ledger(struct copying *copying)
{
    CLEANUP(ledger_file_closep) struct ledger_file *ledger = NULL;
    if (faccessat(copying->to_fd, "ledger.db", F_OK, 0) == 0)
        return 0;
    int r =
        ledger_file_open(copying->to_fd, copying->copy->to->path, true, &ledger, copying->problem);
    return r ? r : hand_over(copying->to_fd, "ledger.db");
}

static int sync_directory(int fd)
{
    return fsync(fd) < 0 ? err_origin(-errno) : 0;
}

/* What was renamed before is on disk first. */
static int move_one(struct copying *copying, int half_fd, const char *name)
{
    int r = sync_directory(copying->to_fd);
    if (r)
        return r;
    if (renameat(half_fd, name, copying->to_fd, name) < 0)
        return err_origin(-errno);
    return hand_over(copying->to_fd, name);
}

/* The log of what was there before belongs to that, and would be read into what comes. */
static int move_built(struct copying *copying)
{
    CLEANUP(fd_closep)
    int half_fd = openat(copying->to_fd, STORE_HALF_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (half_fd < 0)
        return err_origin(-errno);
    int r = sync_directory(half_fd);
    unlinkat(copying->to_fd, "store.db-wal", 0);
    if (!r)
        r = move_one(copying, half_fd, "store.db");
    if (!r)
        r = move_one(copying, half_fd, "store.head");
    if (!r)
        r = sync_directory(copying->to_fd);
    if (!r)
        r = sync_directory(half_fd);
    if (r)
        return r;
    remove_built(copying->to_fd);
    unlinkat(copying->to_fd, STORE_ETCD_FILE, 0); /* its keys are here now */
    return sync_directory(copying->to_fd);
}

static int open_built(struct copying *copying, const struct store_settings *settings)
{
    const struct store_opening opening = {
        .is_keys_only = true,
        .first_revision = copying->result.from_revision,
    };
    copying->to = store_close(copying->to);
    remove_built(copying->to_fd);
    int r = dir_make(copying->to_fd, STORE_HALF_DIR, 0750);
    if (r) {
        problem_set(copying->problem, settings->path, "cannot be made: %s", strerror(-r));
        return err_trace(r);
    }
    return store_open_as(copying->loop, settings, &opening, &copying->to, copying->problem);
}

static int build(struct copying *copying)
{
    CLEANUP(mem_freep)
    char *path = mem_format("%s/" STORE_HALF_DIR, copying->copy->to->path);
    const struct store_settings settings = { .path = path };
    int r = open_built(copying, &settings);
    if (!r)
        r = copy_write_all(copying);
    if (!r)
        r = copy_read_back(copying, &settings);
    copying->to = store_close(copying->to);
    return r;
}

/* What is there; one that is damaged may be replaced all the same. */
static int open_there(struct copying *copying)
{
    const struct store_copy *copy = copying->copy;
    const struct store_opening opening = { .is_keys_only = true, .takes_half = true };
    if (copying->to_fd < 0)
        return 0; /* only asked, and not there */
    copying->result.is_continued = faccessat(copying->to_fd, STORE_HALF_DIR, F_OK, 0) == 0;
    if (engine_is_new(copying->to_fd))
        return 0;
    int r = store_open_as(copying->loop, copy->to, &opening, &copying->to, copying->problem);
    bool may_be_damaged = copy->is_replacing || copying->result.is_continued;
    if (!r)
        copying->result.to_revision = store_revision(copying->to);
    return r == STORE_CORRUPT && may_be_damaged ? 0 : r;
}

int copy_to_directory(struct copying *copying)
{
    int r = open_there(copying);
    if (!r)
        r = copy_plan(copying);
    if (!r)
        r = copy_check_empty(copying, copying->copy->to->path);
    if (r || copying->copy->is_dry_run)
        return r;
    r = build(copying);
    if (!r)
        r = make_ledger(copying);
    if (!r)
        r = tell_written(copying);
    return r ? r : move_built(copying);
}
