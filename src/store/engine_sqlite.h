#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The inside of the embedded engine, shared by engine_sqlite.c, which writes, and engine_load.c,
 * which checks all of it at open.
 */

#include <sqlite3.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/engine.h"
#include "store/head.h"

#define ENGINE_FILE "store.db"
#define ENGINE_HEAD_FILE "store.head"

enum engine_statement {
    ENGINE_FIND,
    ENGINE_PUT,
    ENGINE_DELETE,
    ENGINE_RECORD,
    ENGINE_HISTORY,
    ENGINE_CHAIN,
    ENGINE_FORGET,
    ENGINE_SET_META,
    ENGINE_PROBE,
    ENGINE_BEGIN,
    ENGINE_COMMIT,
    N_ENGINE_STATEMENTS,
};

struct engine_point {
    int64_t revision;
    uint64_t state_sum;
    uint32_t chain;
};

struct engine {
    sqlite3 *db;
    sqlite3_stmt *statements[N_ENGINE_STATEMENTS];
    struct head head;
    struct engine_point now;       /* with the group that is open */
    struct engine_point committed; /* where a rollback leads */
    int64_t compacted;
    uint32_t compacted_chain; /* before the first revision: of the store's id */
    int n_logged;
    struct buf record;
};

DEFINE_CLEANUP(struct engine *, engine_close);

/* Checks chain, head and content, and fills the index. Answers: STORE_CORRUPT,
 * STORE_READ_ONLY; they and faults fill `problem`. */
int engine_load(struct engine *engine, int dir_fd, const char *dir, struct index *index,
                struct problem *problem) MUST_CHECK;
