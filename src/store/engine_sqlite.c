/* SPDX-License-Identifier: Apache-2.0 */

#include "store/engine.h"

#include <assert.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/bytes.h"
#include "store/engine_sqlite.h"
#include "store/record.h"
#include "store/sql.h"

#define ENGINE_LOG_PAGES 1000

static const char schema[] =
    "CREATE TABLE entry(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL,"
    " create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL,"
    " version INTEGER NOT NULL, hash INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE revision(id INTEGER PRIMARY KEY, record BLOB NOT NULL, chain INTEGER NOT NULL);"
    "CREATE TABLE meta(name TEXT PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('id', randomblob(16)), ('compacted', 0), ('compacted_chain', 0),"
    " ('probe', 0)";

static const char *const statements[N_ENGINE_STATEMENTS] = {
    [ENGINE_FIND] = "SELECT create_revision, mod_revision, version, hash FROM entry WHERE key = ?",
    [ENGINE_PUT] = "REPLACE INTO entry VALUES(?, ?, ?, ?, ?, ?)",
    [ENGINE_DELETE] = "DELETE FROM entry WHERE key = ?",
    [ENGINE_RECORD] = "INSERT INTO revision VALUES(?, ?, ?)",
    [ENGINE_HISTORY] = "SELECT id, record, chain FROM revision WHERE id >= ? ORDER BY id",
    [ENGINE_CHAIN] = "SELECT chain FROM revision WHERE id = ?",
    [ENGINE_FORGET] = "DELETE FROM revision WHERE id <= ?",
    [ENGINE_SET_META] = "UPDATE meta SET value = ?2 WHERE name = ?1",
    [ENGINE_PROBE] = "UPDATE meta SET value = value + 1 WHERE name = 'probe'",
    [ENGINE_BEGIN] = "BEGIN IMMEDIATE",
    [ENGINE_COMMIT] = "COMMIT",
};

static int engine_prepare(struct engine *engine)
{
    for (unsigned i = 0; i < N_ENGINE_STATEMENTS; i++) {
        int r = sql_prepare(engine->db, statements[i], &engine->statements[i]);
        if (r)
            return r;
    }
    return 0;
}

bool engine_is_new(int dir_fd)
{
    return faccessat(dir_fd, ENGINE_HEAD_FILE, F_OK, 0) < 0 && errno == ENOENT;
}

int engine_open(int dir_fd, const char *dir, bool is_new, struct index *index,
                struct engine **ret_engine, struct problem *problem)
{
    CLEANUP(engine_closep) struct engine *engine = mem_new(struct engine);
    engine->head.fd = -1;
    const struct sql_file file = {
        .dir_fd = dir_fd,
        .dir = dir,
        .name = ENGINE_FILE,
        .format = 1,
        .is_new = is_new,
        .schema = schema,
    };
    int r = sql_open(&file, &engine->db, problem);
    if (r)
        return err_trace(r);
    sql_count_log(engine->db, &engine->n_logged);
    r = engine_prepare(engine);
    if (r) {
        problem_set(problem, ENGINE_FILE, "is damaged: %s; restore %s from a backup",
                    sqlite3_errmsg(engine->db), dir);
        return r;
    }
    r = engine_load(engine, dir_fd, dir, index, problem);
    if (r)
        return err_trace(r);

    engine->committed = engine->now;
    *ret_engine = steal(engine);
    return 0;
}

struct engine *engine_close(struct engine *engine)
{
    if (!engine)
        return NULL;

    for (unsigned i = 0; i < N_ENGINE_STATEMENTS; i++)
        sqlite3_finalize(engine->statements[i]);
    sql_close(engine->db);
    head_close(&engine->head);
    buf_fini(&engine->record);
    free(engine);
    return NULL;
}

_Noreturn void engine_abort(struct engine *engine, const char *message)
{
    sql_abort(engine->db, message);
}

int64_t engine_revision(const struct engine *engine)
{
    return engine->now.revision;
}

int64_t engine_compacted(const struct engine *engine)
{
    return engine->compacted;
}

int engine_begin(struct engine *engine)
{
    return sql_run(engine->statements[ENGINE_BEGIN]);
}

void engine_rollback(struct engine *engine)
{
    sql_rollback(engine->db);
    engine->now = engine->committed;
}

/* An absent key has mod_revision 0. */
static int engine_find(struct engine *engine, struct span key, struct store_entry *ret_entry,
                       uint64_t *ret_hash)
{
    sqlite3_stmt *find = engine->statements[ENGINE_FIND];
    bool has_row = false;
    sql_bind_blob(find, 1, key);
    int r = sql_row(find, &has_row);
    if (r)
        return r;

    *ret_entry = (struct store_entry){ .key = key };
    *ret_hash = 0;
    if (has_row) {
        ret_entry->create_revision = sqlite3_column_int64(find, 0);
        ret_entry->mod_revision = sqlite3_column_int64(find, 1);
        ret_entry->version = sqlite3_column_int64(find, 2);
        *ret_hash = (uint64_t)sqlite3_column_int64(find, 3);
        sql_reset(find);
    }
    return 0;
}

static int engine_judge(struct engine *engine, const struct txn *txn)
{
    for (size_t i = 0; i < txn->n_compares; i++) {
        struct store_entry entry;
        uint64_t hash;
        int r = engine_find(engine, txn->compares[i].key, &entry, &hash);
        if (r)
            return r;
        if (entry.mod_revision != txn->compares[i].mod_revision)
            return STORE_CONFLICT;
    }
    return 0;
}

static int engine_put(struct engine *engine, const struct store_entry *entry)
{
    sqlite3_stmt *put = engine->statements[ENGINE_PUT];
    uint64_t hash = record_entry_hash(entry);
    engine->now.state_sum += hash;
    sql_bind_blob(put, 1, entry->key);
    sql_bind_blob(put, 2, entry->value);
    sql_bind_int(put, 3, entry->create_revision);
    sql_bind_int(put, 4, entry->mod_revision);
    sql_bind_int(put, 5, entry->version);
    sql_bind_int(put, 6, (int64_t)hash);
    return sql_run(put);
}

/* Does one operation as part of `revision`; appends its event when it changes something. */
static int engine_change(struct engine *engine, const struct txn_op *op, int64_t revision,
                         struct store_event *event, struct change *change)
{
    struct store_entry old;
    uint64_t old_hash;
    int r = engine_find(engine, op->key, &old, &old_hash);
    if (r)
        return r;

    engine->now.state_sum -= old_hash;
    event->kind = op->kind;
    event->entry = (struct store_entry){ .key = op->key, .mod_revision = revision };
    if (op->kind == TXN_DELETE) {
        *change = (struct change){ .is_made = old.version > 0 };
        sqlite3_stmt *delete = engine->statements[ENGINE_DELETE];
        sql_bind_blob(delete, 1, op->key);
        return sql_run(delete);
    }
    event->entry.value = op->value;
    event->entry.create_revision = old.version ? old.create_revision : revision;
    event->entry.version = old.version + 1;
    *change = (struct change){
        .create_revision = event->entry.create_revision,
        .version = event->entry.version,
        .is_made = true,
    };
    return engine_put(engine, &event->entry);
}

static int engine_record(struct engine *engine, const struct store_event *events, size_t n_events)
{
    struct record record = {
        .state_sum = engine->now.state_sum,
        .events = events,
        .n_events = n_events,
    };
    buf_clear(&engine->record);
    record_encode(&record, &engine->record);

    engine->now.revision++;
    engine->now.chain =
        record_chain(engine->now.chain, engine->now.revision, buf_span(&engine->record));
    sqlite3_stmt *insert = engine->statements[ENGINE_RECORD];
    sql_bind_int(insert, 1, engine->now.revision);
    sql_bind_blob(insert, 2, buf_span(&engine->record));
    sql_bind_int(insert, 3, engine->now.chain);
    return sql_run(insert);
}

int engine_apply(struct engine *engine, const struct txn *txn, struct change *changes)
{
    int r = engine_judge(engine, txn);
    if (r)
        return r;

    CLEANUP(mem_freep)
    struct store_event *events = mem_new_array(struct store_event, txn->n_ops + 1);
    size_t n_events = 0;
    for (size_t i = 0; i < txn->n_ops; i++) {
        r = engine_change(engine, &txn->ops[i], engine->now.revision + 1, &events[n_events],
                          &changes[i]);
        if (r)
            return r;
        n_events += changes[i].is_made;
    }
    return n_events ? engine_record(engine, events, n_events) : 0;
}

int engine_commit(struct engine *engine)
{
    int r = sql_run(engine->statements[ENGINE_COMMIT]);
    if (r)
        return r;

    /* The commit stands: not being able to say so outside is no reason to take it back, and it
     * must not be acknowledged either. */
    if (engine->now.revision != engine->committed.revision) {
        r = head_write(&engine->head, engine->now.revision, engine->now.chain);
        if (r) {
            log_error("store", "the head file could not be written", "reason", strerror(-r));
            abort();
        }
    }
    engine->committed = engine->now;
    if (engine->n_logged > ENGINE_LOG_PAGES && sql_checkpoint(engine->db) == STORE_CORRUPT)
        return STORE_CORRUPT;
    return 0;
}

/* The chain at a revision that is kept, or at the newest that is not. */
static int engine_chain(struct engine *engine, int64_t revision, uint32_t *ret_chain)
{
    if (revision == engine->compacted) {
        *ret_chain = engine->compacted_chain;
        return 0;
    }
    sqlite3_stmt *select = engine->statements[ENGINE_CHAIN];
    bool has_row = false;
    sql_bind_int(select, 1, revision);
    int r = sql_row(select, &has_row);
    if (r)
        return r;
    if (!has_row)
        return STORE_CORRUPT;
    *ret_chain = (uint32_t)sqlite3_column_int64(select, 0);
    sql_reset(select);
    return 0;
}

int engine_history(struct engine *engine, int64_t from, size_t size, struct buf *bytes)
{
    uint32_t chain;
    int r = engine_chain(engine, from - 1, &chain);
    if (r)
        return r;

    sqlite3_stmt *history = engine->statements[ENGINE_HISTORY];
    sql_bind_int(history, 1, from);
    bool has_row = true;
    for (int64_t revision = from; bytes->size < size; revision++) {
        r = sql_row(history, &has_row);
        if (r || !has_row)
            return r;
        struct span record = sql_column_bytes(history, 1);
        chain = record_chain(chain, revision, record);
        if (sqlite3_column_int64(history, 2) != (int64_t)chain)
            return STORE_CORRUPT;
        bytes_put(bytes, (uint64_t)revision, 8);
        bytes_put(bytes, record.size, 4);
        buf_put(bytes, record);
    }
    sql_reset(history);
    return 0;
}

static int engine_set_meta(struct engine *engine, struct span name, int64_t number)
{
    sqlite3_stmt *set = engine->statements[ENGINE_SET_META];
    sql_bind_text(set, 1, name);
    sql_bind_int(set, 2, number);
    return sql_run(set);
}

static int engine_forget(struct engine *engine, int64_t revision, uint32_t chain)
{
    int r = engine_set_meta(engine, SPAN("compacted"), revision);
    if (!r)
        r = engine_set_meta(engine, SPAN("compacted_chain"), chain);
    if (r)
        return r;
    sqlite3_stmt *forget = engine->statements[ENGINE_FORGET];
    sql_bind_int(forget, 1, revision);
    return sql_run(forget);
}

/* The revisions before it count as compacted. It is itself a record of nothing, because a store
 * whose newest revision is one that was compacted has lost something. */
int engine_start_at(struct engine *engine, int64_t revision)
{
    assert(!engine->now.revision && revision > 1);
    uint32_t chain = engine->now.chain;
    int r = engine_begin(engine);
    if (!r)
        r = engine_forget(engine, revision - 1, chain);
    engine->now.revision = revision - 1;
    if (!r)
        r = engine_record(engine, NULL, 0);
    if (!r)
        r = engine_commit(engine);
    if (r) {
        engine_rollback(engine);
        return r;
    }
    engine->compacted = revision - 1;
    engine->compacted_chain = chain;
    return 0;
}

int engine_compact(struct engine *engine, int64_t revision)
{
    assert(revision < engine->now.revision);
    if (revision <= engine->compacted)
        return 0;

    /* The chain of the newest forgotten revision stays: the oldest kept one goes on from it. */
    uint32_t chain;
    int r = engine_chain(engine, revision, &chain);
    if (r)
        return r;
    r = engine_begin(engine);
    if (!r)
        r = engine_forget(engine, revision, chain);
    if (!r)
        r = sql_run(engine->statements[ENGINE_COMMIT]);
    if (r) {
        engine_rollback(engine);
        return r;
    }
    engine->compacted = revision;
    engine->compacted_chain = chain;
    return 0;
}

int engine_probe(struct engine *engine)
{
    /* Lets the log start over, which may be the room that is missing. */
    int r = sql_checkpoint(engine->db);
    if (r)
        return r;
    r = sql_run(engine->statements[ENGINE_PROBE]);
    sql_rollback(engine->db);
    return r;
}
