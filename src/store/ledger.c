/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop's side of the ledger: batches, and the jobs that bring them to the writer.
 */

#include <assert.h>

#include "base/mem.h"
#include "store/ledger_file.h"
#include "store/state.h"

struct ledger_rows *ledger_rows_new(const struct ledger_table *table)
{
    assert(table->n_columns <= LEDGER_COLUMNS_MAX);
    struct ledger_rows *rows = mem_new(struct ledger_rows);
    rows->table = table;
    rows->size = sizeof(*rows);
    return rows;
}

struct ledger_rows *ledger_rows_free(struct ledger_rows *rows)
{
    if (!rows)
        return NULL;

    free(rows->cells);
    arena_fini(&rows->arena);
    free(rows);
    return NULL;
}

static void rows_add_cell(struct ledger_rows *rows, struct ledger_cell cell)
{
    mem_grow(rows->cells, rows->n_cells, rows->cells_capacity);
    if (cell.text.size)
        cell.text = arena_span_dup(&rows->arena, cell.text);
    rows->cells[rows->n_cells++] = cell;
    rows->size += sizeof(cell) + cell.text.size;
}

void ledger_rows_add(struct ledger_rows *rows, const struct ledger_cell *cells)
{
    for (unsigned i = 0; i < rows->table->n_columns; i++)
        rows_add_cell(rows, cells[i]);
}

static void rows_on_flushed(struct ledger_rows *rows)
{
    writer_return(rows->writer, &rows->job);
}

static void rows_on_run(struct job *job, struct writer *writer)
{
    struct ledger_rows *rows = container_of(job, struct ledger_rows, job);
    bool is_awaited = rows->on_flushed;
    rows->writer = writer;
    ledger_file_add(writer_ledger(writer), rows);
    writer_flush_ledger(writer, is_awaited);
}

static void rows_on_done(struct job *job, struct store *store)
{
    (void)store;
    struct ledger_rows *rows = container_of(job, struct ledger_rows, job);
    if (rows->write)
        rows->write->on_done(rows->write, rows->answer);
    ledger_rows_free(rows);
}

void ledger_submit(struct store *store, struct ledger_write *write, struct ledger_rows *rows)
{
    rows->job.on_run = rows_on_run;
    rows->job.on_done = rows_on_done;
    rows->write = write;
    rows->answer = STORE_READ_ONLY; /* until it is written */
    if (write) {
        list_init(&write->link);
        rows->on_flushed = rows_on_flushed;
    }
    store_post(store, &rows->job);
}

struct read_job {
    struct job job;
    struct ledger_read *read;
    struct arena arena;
    struct ledger_cell *cells;
    size_t n_rows;
    bool has_run;
};

static void read_job_on_run(struct job *job, struct writer *writer)
{
    struct read_job *read = container_of(job, struct read_job, job);
    struct ledger_file *ledger = writer_ledger(writer);
    IGNORE(ledger_file_flush(ledger), "rows the disk refuses are not part of the answer");
    ledger_file_read(ledger, read->read, &read->arena, &read->cells, &read->n_rows);
    read->has_run = true;
    writer_return(writer, job);
}

static void read_job_on_done(struct job *job, struct store *store)
{
    (void)store;
    struct read_job *read = container_of(job, struct read_job, job);
    /* Unrun, in a store that closes: no rows would be a wrong answer, so there is none. */
    if (read->has_run)
        read->read->on_rows(read->read, read->cells, read->n_rows);
    free(read->cells);
    arena_fini(&read->arena);
    free(read);
}

void ledger_submit_read(struct store *store, struct ledger_read *read)
{
    struct read_job *job = mem_new(struct read_job);
    job->job.on_run = read_job_on_run;
    job->job.on_done = read_job_on_done;
    job->read = read;
    list_init(&read->link);
    store_post(store, &job->job);
}

struct expire_job {
    struct job job;
    const struct ledger_table *table;
    unsigned column;
    int64_t number;
};

static void expire_job_on_run(struct job *job, struct writer *writer)
{
    struct expire_job *expire = container_of(job, struct expire_job, job);
    IGNORE(ledger_file_expire(writer_ledger(writer), expire->table, expire->column, expire->number),
           "what a full disk keeps longer is asked for again");
    writer_return(writer, job);
}

static void expire_job_on_done(struct job *job, struct store *store)
{
    (void)store;
    free(container_of(job, struct expire_job, job));
}

void ledger_expire(struct store *store, const struct ledger_table *table, unsigned column,
                   int64_t number)
{
    struct expire_job *job = mem_new(struct expire_job);
    job->job.on_run = expire_job_on_run;
    job->job.on_done = expire_job_on_done;
    job->table = table;
    job->column = column;
    job->number = number;
    store_post(store, &job->job);
}
