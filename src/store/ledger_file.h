#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ledger's file, ledger.db: tables made from their descriptions, rows that add up.
 *
 * Rows are held in memory and written in one transaction by ledger_file_flush(), in order of
 * arrival. A refused flush drops those somebody waits for, who is told; the others are kept, up
 * to LEDGER_HELD_MAX, and tried again.
 *
 * Owns:     the database; batches it was given.
 * Threads:  one at a time: opened on the control loop, then the writer's.
 * Cost:     one fsync a flush, O(log n) a row.
 */

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/list.h"
#include "store/job.h"
#include "store/store.h"

#define LEDGER_HELD_MAX ((size_t)32 * 1024 * 1024)

struct ledger_file;

/* A batch: rows of one table, and the job that carries them. */
struct ledger_rows {
    struct job job;
    struct list link; /* in the file's list of what is held */
    const struct ledger_table *table;
    struct arena arena; /* texts */
    struct ledger_cell *cells;
    size_t n_cells, cells_capacity;
    size_t size;

    /* For those somebody waits for, else NULL: owns the batch, `answer` is set. */
    void (*on_flushed)(struct ledger_rows *rows);
    struct ledger_write *write;
    struct writer *writer;
    int answer;
};

/* Created only when `is_new`. Answers: STORE_LOCKED, STORE_READ_ONLY, STORE_CORRUPT; they and
 * faults fill `problem`. */
int ledger_file_open(int dir_fd, const char *dir, bool is_new, struct ledger_file **ret_ledger,
                     struct problem *problem) MUST_CHECK;
struct ledger_file *ledger_file_close(struct ledger_file *ledger);

/* Takes the batch. */
void ledger_file_add(struct ledger_file *ledger, struct ledger_rows *rows);

/* Answers: STORE_READ_ONLY. */
int ledger_file_flush(struct ledger_file *ledger) MUST_CHECK;
bool ledger_file_has_held(const struct ledger_file *ledger);

/* Rows as `read` asks for them, cells one after the other: to be freed; their texts live in the
 * arena. Flush first. */
void ledger_file_read(struct ledger_file *ledger, const struct ledger_read *read,
                      struct arena *arena, struct ledger_cell **ret_cells, size_t *ret_n_rows);

/* Answers: STORE_READ_ONLY. */
int ledger_file_expire(struct ledger_file *ledger, const struct ledger_table *table,
                       unsigned column, int64_t number) MUST_CHECK;
