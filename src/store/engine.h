#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The embedded engine: keys and revisions in one SQLite file, store.db, beside its head file.
 *
 * It judges transactions in order, each against what the ones before it in the same group would
 * leave, and makes the group durable at once. Nothing of a group counts before engine_commit()
 * has answered 0: then the database and the head file are both synced.
 *
 * Owns:     the database, the head file.
 * Borrows:  the directory's descriptor and path.
 * Threads:  one at a time: opened on the control loop, then the writer's.
 * Cost:     apply O(log n) a key; commit two fsyncs a group.
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "store/index.h"
#include "store/store.h"

struct engine;

/* What became of one operation. Deleting an absent key changes nothing. */
struct change {
    int64_t create_revision, version;
    bool is_made;
};

/* A store is new until it has a head file. */
bool engine_is_new(int dir_fd);

/* Opens, or creates when `is_new`, checks every record and fills the index. Answers: STORE_LOCKED,
 * STORE_READ_ONLY, STORE_CORRUPT; they and faults fill `problem`. */
int engine_open(int dir_fd, const char *dir, bool is_new, struct index *index,
                struct engine **ret_engine, struct problem *problem) MUST_CHECK;
struct engine *engine_close(struct engine *engine);

/* A new store goes on with the revisions of another one: the next is `revision` + 1. Answers:
 * STORE_READ_ONLY, STORE_CORRUPT. */
int engine_start_at(struct engine *engine, int64_t revision) MUST_CHECK;

/* The newest revision; inside a group with its transactions. */
int64_t engine_revision(const struct engine *engine);

/* The newest revision that is no longer kept; 0 when all are. */
int64_t engine_compacted(const struct engine *engine);

/* A group: begin, apply any number, then commit or roll back. The answer STORE_READ_ONLY, from
 * any of them, leaves only the rollback; STORE_CORRUPT is for the writer to end the process. */
int engine_begin(struct engine *engine) MUST_CHECK;

/* Fills one change for each operation. Answers: STORE_CONFLICT, which changes nothing,
 * STORE_READ_ONLY, STORE_CORRUPT. */
int engine_apply(struct engine *engine, const struct txn *txn, struct change *changes) MUST_CHECK;
int engine_commit(struct engine *engine) MUST_CHECK;
void engine_rollback(struct engine *engine);

/* Appends revisions from `from` on until about `size` bytes are there, each as
 * i64 revision · u32 size · record. Answers: STORE_READ_ONLY, STORE_CORRUPT. */
int engine_history(struct engine *engine, int64_t from, size_t size, struct buf *bytes) MUST_CHECK;

/* Forgets the revisions up to `revision`, which must not be the newest. */
int engine_compact(struct engine *engine, int64_t revision) MUST_CHECK;

/* Writes something, to learn whether the disk takes it. Answers: STORE_READ_ONLY,
 * STORE_CORRUPT. */
int engine_probe(struct engine *engine) MUST_CHECK;

_Noreturn void engine_abort(struct engine *engine, const char *message);
