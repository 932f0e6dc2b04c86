/* SPDX-License-Identifier: Apache-2.0 */

#include "base/crc32c.h"
#include "base/mem.h"
#include "store/engine_sqlite.h"
#include "store/record.h"
#include "store/sql.h"

/*
 * What is believed only when it fits together, in this order: the revisions are consecutive and
 * each continues the chain; the head file, which names this store, lies on that chain; the
 * entries are in order, each has its hash, and their sum is the one the newest revision states.
 */

struct loader {
    struct engine *engine;
    const char *dir;
    struct problem *problem;
    uint8_t id[HEAD_ID_SIZE];
    int64_t head_revision;
    bool has_head;
    uint32_t chain_at_head;
};

static int load_refuse(const struct loader *loader, const char *file, const char *what)
{
    CLEANUP(mem_freep) char *path = mem_format("%s/%s", loader->dir, file);
    problem_set(loader->problem, path, "%s; restore the directory from a backup", what);
    return STORE_CORRUPT;
}

/* A result of SQLite's own. */
static int load_failed(const struct loader *loader, int r)
{
    CLEANUP(mem_freep)
    char *what = mem_format("cannot be read: %s", sqlite3_errmsg(loader->engine->db));
    IGNORE(load_refuse(loader, ENGINE_FILE, what), "the answer is SQLite's");
    return r;
}

static int load_meta(struct loader *loader)
{
    struct engine *engine = loader->engine;
    sqlite3_stmt *select = NULL;
    int r = sql_prepare(engine->db, "SELECT name, value FROM meta", &select);
    bool has_row = !r, has_id = false;
    while (!r && has_row) {
        r = sql_row(select, &has_row);
        if (r || !has_row)
            break;
        struct span name = sql_column_bytes(select, 0);
        if (span_is(name, "compacted"))
            engine->compacted = sqlite3_column_int64(select, 1);
        if (span_is(name, "compacted_chain"))
            engine->compacted_chain = (uint32_t)sqlite3_column_int64(select, 1);
        struct span id = span_is(name, "id") ? sql_column_bytes(select, 1) : SPAN_NULL;
        if (id.size == HEAD_ID_SIZE) {
            memcpy(loader->id, id.data, id.size);
            has_id = true;
        }
    }
    sqlite3_finalize(select);
    if (r)
        return load_failed(loader, r);
    if (!has_id || engine->compacted < 0)
        return load_refuse(loader, ENGINE_FILE, "has lost its id");
    /* The chain begins at the id, so that revisions of another store never fit. */
    if (!engine->compacted)
        engine->compacted_chain = crc32c(0, (struct span){ (char *)loader->id, HEAD_ID_SIZE });
    return 0;
}

static int load_revision(struct loader *loader, sqlite3_stmt *row)
{
    struct engine_point *now = &loader->engine->now;
    struct span bytes = sql_column_bytes(row, 1);
    int64_t revision = sqlite3_column_int64(row, 0);
    uint32_t chain = record_chain(now->chain, now->revision + 1, bytes);
    if (revision != now->revision + 1 || sqlite3_column_int64(row, 2) != (int64_t)chain) {
        CLEANUP(mem_freep)
        char *what = mem_format("is damaged behind revision %lld", (long long)now->revision);
        return load_refuse(loader, ENGINE_FILE, what);
    }
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct record record;
    if (record_decode(bytes, revision, &arena, &record))
        return load_refuse(loader, ENGINE_FILE, "has a record that this program cannot read");

    *now = (struct engine_point){ revision, record.state_sum, chain };
    if (loader->has_head && revision == loader->head_revision)
        loader->chain_at_head = chain;
    return 0;
}

static int load_revisions(struct loader *loader)
{
    struct engine *engine = loader->engine;
    engine->now = (struct engine_point){
        .revision = engine->compacted,
        .chain = engine->compacted_chain,
    };
    loader->chain_at_head = engine->now.chain;

    sqlite3_stmt *select = NULL;
    int r = sql_prepare(engine->db, "SELECT id, record, chain FROM revision ORDER BY id", &select);
    if (r)
        return load_failed(loader, r);
    bool has_row = true;
    while (!r && has_row) {
        r = sql_row(select, &has_row);
        if (r)
            r = load_failed(loader, r);
        if (!r && has_row)
            r = load_revision(loader, select);
    }
    sqlite3_finalize(select);
    if (!r && engine->compacted && engine->now.revision == engine->compacted)
        return load_refuse(loader, ENGINE_FILE, "has lost its newest revisions");
    return r;
}

static int load_head(struct loader *loader, int dir_fd)
{
    struct head *head = &loader->engine->head;
    int r = head_open(head, dir_fd, ENGINE_HEAD_FILE);
    if (r < 0) {
        problem_set(loader->problem, ENGINE_HEAD_FILE, "cannot be opened: %s", strerror(-r));
        return err_trace(r);
    }
    if (r == HEAD_BAD)
        return load_refuse(loader, ENGINE_HEAD_FILE, "is damaged in both of its copies");
    loader->has_head = r == HEAD_OK;
    if (!loader->has_head)
        return 0;
    if (memcmp(head->id, loader->id, HEAD_ID_SIZE) != 0)
        return load_refuse(loader, ENGINE_HEAD_FILE, "belongs to another store.db");
    loader->head_revision = head->revision;
    return 0;
}

/* A store that crashed while it was made has no head yet; any other has one. */
static int load_first_head(struct loader *loader, int dir_fd)
{
    struct engine *engine = loader->engine;
    if (engine->now.revision)
        return load_refuse(loader, ENGINE_HEAD_FILE, "is missing");
    memcpy(engine->head.id, loader->id, HEAD_ID_SIZE);
    engine->head.chain = engine->now.chain;
    int r = head_create(&engine->head, dir_fd, ENGINE_HEAD_FILE);
    if (r)
        problem_set(loader->problem, ENGINE_HEAD_FILE, "cannot be made: %s", strerror(-r));
    return err_trace(r);
}

static int load_compare_head(struct loader *loader)
{
    struct engine *engine = loader->engine;
    if (loader->head_revision > engine->now.revision) {
        CLEANUP(mem_freep)
        char *what = mem_format("ends at revision %lld, but revision %lld was acknowledged",
                                (long long)engine->now.revision, (long long)loader->head_revision);
        return load_refuse(loader, ENGINE_FILE, what);
    }
    if (loader->head_revision < engine->compacted || loader->chain_at_head != engine->head.chain)
        return load_refuse(loader, ENGINE_FILE, "is not the one that its head file describes");
    if (loader->head_revision == engine->now.revision)
        return 0;

    /* Committed, then crashed before the head was written. From here on it is visible, so it must
     * also be on disk: the checkpoint syncs the log before it reads it. */
    int r = sql_checkpoint(engine->db);
    if (r == STORE_CORRUPT)
        return load_failed(loader, r);
    r = head_write(&engine->head, engine->now.revision, engine->now.chain);
    if (r)
        problem_set(loader->problem, ENGINE_HEAD_FILE, "cannot be written: %s", strerror(-r));
    return err_trace(r);
}

static int load_entry(struct loader *loader, sqlite3_stmt *row, struct index *index,
                      uint64_t *state_sum)
{
    struct store_entry entry = {
        .key = sql_column_bytes(row, 0),
        .value = sql_column_bytes(row, 1),
        .create_revision = sqlite3_column_int64(row, 2),
        .mod_revision = sqlite3_column_int64(row, 3),
        .version = sqlite3_column_int64(row, 4),
    };
    uint64_t hash = record_entry_hash(&entry);
    if (hash != (uint64_t)sqlite3_column_int64(row, 5) || index_find(index, entry.key)) {
        CLEANUP(mem_freep)
        char *what =
            mem_format("is damaged at the key \"%.*s\"", SPAN_ARG(span_first(entry.key, 64)));
        return load_refuse(loader, ENGINE_FILE, what);
    }
    *state_sum += hash;
    index_put(index, &entry);
    return 0;
}

static int load_entries(struct loader *loader, struct index *index)
{
    sqlite3_stmt *select = NULL;
    int r = sql_prepare(loader->engine->db,
                        "SELECT key, value, create_revision, mod_revision, version, hash"
                        " FROM entry ORDER BY key",
                        &select);
    if (r)
        return load_failed(loader, r);
    uint64_t state_sum = 0;
    bool has_row = true;
    while (!r && has_row) {
        r = sql_row(select, &has_row);
        if (r)
            r = load_failed(loader, r);
        if (!r && has_row)
            r = load_entry(loader, select, index, &state_sum);
    }
    sqlite3_finalize(select);
    if (!r && state_sum != loader->engine->now.state_sum)
        return load_refuse(loader, ENGINE_FILE, "has lost entries or kept deleted ones");
    return r;
}

int engine_load(struct engine *engine, int dir_fd, const char *dir, struct index *index,
                struct problem *problem)
{
    struct loader loader = { .engine = engine, .dir = dir, .problem = problem };
    int r = load_meta(&loader);
    if (!r)
        r = load_head(&loader, dir_fd);
    if (!r)
        r = load_revisions(&loader);
    if (!r)
        r = loader.has_head ? load_compare_head(&loader) : load_first_head(&loader, dir_fd);
    if (!r)
        r = load_entries(&loader, index);
    return r;
}
