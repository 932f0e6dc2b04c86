#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * SQLite as this room uses it: one connection with a file to itself, WAL, synchronous=FULL.
 *
 * Results are sorted into three: 0; STORE_READ_ONLY, when the disk is full or refuses writes;
 * STORE_CORRUPT, for everything that only damage or a bug explains. A failed fsync does not come
 * back: what was written may be gone while the page cache still shows it, so no later answer
 * would be worth anything. The process says so and aborts; the next start reads what is on disk.
 *
 * Threads: one at a time for each connection.
 */

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"

/* Logs and aborts: for what must not go on. */
_Noreturn void sql_abort(sqlite3 *db, const char *message);

/* Answers: STORE_READ_ONLY, STORE_CORRUPT. */
int sql_sort(sqlite3 *db, int code) MUST_CHECK;

struct sql_file {
    int dir_fd;
    const char *dir, *name;
    int64_t format; /* the schema's number, from 1 */
    const char *schema;
    bool is_new; /* may be made; else it must be there */
};

/* Opens the file, or creates it with mode 0640 and the schema, and checks its pages. Answers:
 * STORE_LOCKED, STORE_READ_ONLY, STORE_CORRUPT; they and faults fill `problem`. */
int sql_open(const struct sql_file *file, sqlite3 **ret_db, struct problem *problem) MUST_CHECK;

/* Copies the log into the database file first. NULL is fine. */
sqlite3 *sql_close(sqlite3 *db);

/* The rest answer STORE_READ_ONLY and STORE_CORRUPT. */
int sql_exec(sqlite3 *db, const char *text) MUST_CHECK;
int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret_statement) MUST_CHECK;

/* Runs a statement to its end and makes it ready for the next use. */
int sql_run(sqlite3_stmt *statement) MUST_CHECK;

/* The next row; without one the statement is ready for the next use. */
int sql_row(sqlite3_stmt *statement, bool *ret_has_row) MUST_CHECK;

/* Starts over, keeping no values. */
void sql_reset(sqlite3_stmt *statement);

/* Ends an open transaction without its changes, if one is open. */
void sql_rollback(sqlite3 *db);

/* Keeps `n_logged` at the size of the log, in pages, as of the last commit. */
void sql_count_log(sqlite3 *db, int *n_logged);

/* Copies the log into the database file, so that it can start over. SQLite's own checkpoints are
 * off because they ignore a failed fsync. */
int sql_checkpoint(sqlite3 *db) MUST_CHECK;

/* The bytes are borrowed until the statement is run. */
void sql_bind_blob(sqlite3_stmt *statement, int at, struct span bytes);
void sql_bind_text(sqlite3_stmt *statement, int at, struct span text);
void sql_bind_int(sqlite3_stmt *statement, int at, int64_t number);

/* Borrowed until the next step. */
struct span sql_column_bytes(sqlite3_stmt *statement, int at);
