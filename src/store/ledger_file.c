/* SPDX-License-Identifier: Apache-2.0 */

#include "store/ledger_file.h"

#include <assert.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/sql.h"

#define LEDGER_FILE "ledger.db"
#define LEDGER_LOG_PAGES 1000

/* A table that was written to since the start. */
struct ledger_insert {
    struct list link;
    const struct ledger_table *table;
    sqlite3_stmt *statement;
};

struct ledger_file {
    sqlite3 *db;
    int n_logged;
    struct list held;
    size_t held_size;
    struct list inserts;
};

DEFINE_CLEANUP(struct ledger_file *, ledger_file_close);

int ledger_file_open(int dir_fd, const char *dir, bool is_new, struct ledger_file **ret_ledger,
                     struct problem *problem)
{
    CLEANUP(ledger_file_closep) struct ledger_file *ledger = mem_new(struct ledger_file);
    list_init(&ledger->held);
    list_init(&ledger->inserts);
    const struct sql_file file = {
        .dir_fd = dir_fd,
        .dir = dir,
        .name = LEDGER_FILE,
        .format = 1,
        .is_new = is_new,
        .schema = "SELECT 1", /* tables come with their first rows */
    };
    int r = sql_open(&file, &ledger->db, problem);
    if (r)
        return err_trace(r);
    sql_count_log(ledger->db, &ledger->n_logged);
    *ret_ledger = steal(ledger);
    return 0;
}

static void ledger_forget_inserts(struct ledger_file *ledger)
{
    struct list *link;
    while ((link = list_take_first(&ledger->inserts))) {
        struct ledger_insert *insert = container_of(link, struct ledger_insert, link);
        sqlite3_finalize(insert->statement);
        free(insert);
    }
}

struct ledger_file *ledger_file_close(struct ledger_file *ledger)
{
    if (!ledger)
        return NULL;

    ledger_forget_inserts(ledger);
    struct list *link;
    while ((link = list_take_first(&ledger->held)))
        ledger_rows_free(container_of(link, struct ledger_rows, link));
    sql_close(ledger->db);
    free(ledger);
    return NULL;
}

/* --- SQL from descriptions; names are constants of the rooms --- */

static bool column_is_key(const struct ledger_column *column)
{
    return column->kind == LEDGER_KEY_TEXT || column->kind == LEDGER_KEY_INT;
}

static bool column_is_text(const struct ledger_column *column)
{
    return column->kind == LEDGER_KEY_TEXT || column->kind == LEDGER_TEXT;
}

/* The number that an appended row gets; a table may name it as a column of its own. */
static bool column_is_seq(const struct ledger_table *table, const struct ledger_column *column)
{
    return table->is_appended && strcmp(column->name, "seq") == 0;
}

/* "a", "b", … of the columns that are keys, or of all. */
static void put_columns(struct buf *text, const struct ledger_table *table, bool keys_only)
{
    const char *comma = "";
    for (unsigned i = 0; i < table->n_columns; i++) {
        const struct ledger_column *column = &table->columns[i];
        if (keys_only && !column_is_key(column))
            continue;
        buf_printf(text, "%s\"%s\"", comma, column->name);
        comma = ", ";
    }
}

static char *sql_create(const struct ledger_table *table)
{
    struct buf text = { 0 };
    buf_printf(&text, "CREATE TABLE IF NOT EXISTS \"%s\"(", table->name);
    if (table->is_appended)
        buf_puts(&text, "\"seq\" INTEGER PRIMARY KEY AUTOINCREMENT, ");
    const char *comma = "";
    for (unsigned i = 0; i < table->n_columns; i++) {
        const struct ledger_column *column = &table->columns[i];
        if (column_is_seq(table, column))
            continue;
        buf_printf(&text, "%s\"%s\" %s NOT NULL", comma, column->name,
                   column_is_text(column) ? "TEXT" : "INTEGER");
        comma = ", ";
    }
    if (!table->is_appended) {
        buf_puts(&text, ", PRIMARY KEY(");
        put_columns(&text, table, true);
        buf_puts(&text, ")");
    }
    buf_puts(&text, table->is_appended ? ")" : ") WITHOUT ROWID");
    return buf_take_text(&text);
}

static void put_aggregate(struct buf *text, const struct ledger_column *column)
{
    const char *name = column->name;
    switch (column->kind) {
    case LEDGER_SUM: buf_printf(text, "\"%s\" = \"%s\" + excluded.\"%s\"", name, name, name); break;
    case LEDGER_MIN:
        buf_printf(text, "\"%s\" = min(\"%s\", excluded.\"%s\")", name, name, name);
        break;
    case LEDGER_MAX:
        buf_printf(text, "\"%s\" = max(\"%s\", excluded.\"%s\")", name, name, name);
        break;
    case LEDGER_TEXT: buf_printf(text, "\"%s\" = excluded.\"%s\"", name, name); break;
    case LEDGER_KEY_TEXT:
    case LEDGER_KEY_INT: break;
    }
}

static void put_conflict(struct buf *text, const struct ledger_table *table)
{
    buf_puts(text, " ON CONFLICT(");
    put_columns(text, table, true);
    const char *before = ") DO UPDATE SET ";
    for (unsigned i = 0; i < table->n_columns; i++) {
        if (column_is_key(&table->columns[i]))
            continue;
        buf_puts(text, before);
        put_aggregate(text, &table->columns[i]);
        before = ", ";
    }
    if (before[0] == ')')
        buf_puts(text, ") DO NOTHING");
}

static char *sql_insert(const struct ledger_table *table)
{
    struct buf text = { 0 };
    buf_printf(&text, "INSERT INTO \"%s\"(", table->name);
    put_columns(&text, table, false);
    buf_puts(&text, ") VALUES(?");
    for (unsigned i = 1; i < table->n_columns; i++)
        buf_puts(&text, ", ?");
    buf_puts(&text, ")");
    if (!table->is_appended)
        put_conflict(&text, table);
    return buf_take_text(&text);
}

static char *sql_select(const struct ledger_read *read)
{
    const struct ledger_table *table = read->table;
    struct buf text = { 0 };
    buf_puts(&text, "SELECT ");
    put_columns(&text, table, false);
    buf_printf(&text, " FROM (SELECT * FROM \"%s\"", table->name);
    if (read->at_least.is_set)
        buf_printf(&text, " WHERE \"%s\" >= ?1", table->columns[read->at_least.column].name);
    if (table->is_appended) {
        buf_puts(&text, " ORDER BY \"seq\" DESC LIMIT ?2) ORDER BY \"seq\"");
        return buf_take_text(&text);
    }
    buf_puts(&text, ") ORDER BY ");
    put_columns(&text, table, true);
    buf_puts(&text, " LIMIT ?2");
    return buf_take_text(&text);
}

/* --- writing --- */

/* Answers: STORE_READ_ONLY, STORE_CORRUPT. */
static int ledger_insert_get(struct ledger_file *ledger, const struct ledger_table *table,
                             sqlite3_stmt **ret_statement)
{
    list_each (link, &ledger->inserts) {
        struct ledger_insert *insert = container_of(link, struct ledger_insert, link);
        if (insert->table == table) {
            *ret_statement = insert->statement;
            return 0;
        }
    }
    CLEANUP(mem_freep) char *create = sql_create(table);
    CLEANUP(mem_freep) char *text = sql_insert(table);
    sqlite3_stmt *statement = NULL;
    int r = sql_exec(ledger->db, create);
    if (!r)
        r = sql_prepare(ledger->db, text, &statement);
    if (r)
        return r;

    struct ledger_insert *insert = mem_new(struct ledger_insert);
    insert->table = table;
    insert->statement = *ret_statement = statement;
    list_add_last(&ledger->inserts, &insert->link);
    return 0;
}

static void bind_cell(sqlite3_stmt *statement, const struct ledger_table *table, unsigned column,
                      const struct ledger_cell *cell)
{
    if (column_is_seq(table, &table->columns[column]))
        return; /* SQLite gives it */
    if (column_is_text(&table->columns[column])) {
        sql_bind_text(statement, (int)column + 1, cell->text);
        return;
    }
    sql_bind_int(statement, (int)column + 1, cell->number);
}

static int ledger_write_rows(struct ledger_file *ledger, const struct ledger_rows *rows)
{
    const struct ledger_table *table = rows->table;
    sqlite3_stmt *statement = NULL;
    int r = ledger_insert_get(ledger, table, &statement);
    for (size_t i = 0; !r && i < rows->n_cells; i += table->n_columns) {
        for (unsigned column = 0; column < table->n_columns; column++)
            bind_cell(statement, table, column, &rows->cells[i + column]);
        r = sql_run(statement);
    }
    return r;
}

void ledger_file_add(struct ledger_file *ledger, struct ledger_rows *rows)
{
    if (!rows->on_flushed && ledger->held_size + rows->size > LEDGER_HELD_MAX) {
        log_error("store", "rows of the ledger are lost: the disk takes none and memory is used up",
                  "table", rows->table->name);
        ledger_rows_free(rows);
        return;
    }
    ledger->held_size += rows->size;
    list_add_last(&ledger->held, &rows->link);
}

bool ledger_file_has_held(const struct ledger_file *ledger)
{
    return !list_is_empty(&ledger->held);
}

static void ledger_release(struct ledger_file *ledger, struct ledger_rows *rows, int answer)
{
    ledger->held_size -= rows->size;
    list_remove(&rows->link);
    rows->answer = answer;
    if (rows->on_flushed) {
        rows->on_flushed(rows);
        return;
    }
    ledger_rows_free(rows);
}

static int ledger_write_held(struct ledger_file *ledger)
{
    int r = sql_exec(ledger->db, "BEGIN IMMEDIATE");
    list_each (link, &ledger->held) {
        if (!r)
            r = ledger_write_rows(ledger, container_of(link, struct ledger_rows, link));
    }
    return r ? r : sql_exec(ledger->db, "COMMIT");
}

int ledger_file_flush(struct ledger_file *ledger)
{
    if (list_is_empty(&ledger->held))
        return 0;

    int r = ledger_write_held(ledger);
    if (r == STORE_CORRUPT)
        sql_abort(ledger->db, "the ledger cannot be written");
    if (r) {
        sql_rollback(ledger->db);
        ledger_forget_inserts(ledger); /* tables made in the transaction are gone */
    }
    list_each_safe (link, &ledger->held) {
        struct ledger_rows *rows = container_of(link, struct ledger_rows, link);
        if (!r || rows->on_flushed)
            ledger_release(ledger, rows, r);
    }
    if (ledger->n_logged > LEDGER_LOG_PAGES && sql_checkpoint(ledger->db) == STORE_CORRUPT)
        sql_abort(ledger->db, "the ledger is damaged");
    return r;
}

/* --- reading --- */

static bool ledger_has_table(struct ledger_file *ledger, const struct ledger_table *table)
{
    sqlite3_stmt *find = NULL;
    bool has_row = false;
    int r = sql_prepare(ledger->db, "SELECT 1 FROM sqlite_schema WHERE name = ?", &find);
    if (!r) {
        sql_bind_text(find, 1, span_of(table->name));
        r = sql_row(find, &has_row);
    }
    /* "No rows" may be what lets a version be taken offline, so it is never a guess. */
    if (r)
        sql_abort(ledger->db, "the ledger cannot be read");
    sqlite3_finalize(find);
    return has_row;
}

static struct ledger_cell read_cell(sqlite3_stmt *select, int at,
                                    const struct ledger_column *column, struct arena *arena)
{
    if (column_is_text(column))
        return (struct ledger_cell){ .text = arena_span_dup(arena, sql_column_bytes(select, at)) };
    return (struct ledger_cell){ .number = sqlite3_column_int64(select, at) };
}

/* Binds what both forms of a query may have: ?1 and ?2. */
static int ledger_select(struct ledger_file *ledger, const struct ledger_read *read,
                         sqlite3_stmt **ret_select)
{
    CLEANUP(mem_freep) char *text = sql_select(read);
    int r = sql_prepare(ledger->db, text, ret_select);
    if (r)
        return r;
    if (read->at_least.is_set)
        sql_bind_int(*ret_select, 1, read->at_least.number);
    sql_bind_int(*ret_select, 2,
                 read->limit && read->limit < INT64_MAX ? (int64_t)read->limit : -1);
    return 0;
}

void ledger_file_read(struct ledger_file *ledger, const struct ledger_read *read,
                      struct arena *arena, struct ledger_cell **ret_cells, size_t *ret_n_rows)
{
    *ret_cells = NULL;
    *ret_n_rows = 0;
    if (!ledger_has_table(ledger, read->table))
        return;

    const struct ledger_table *table = read->table;
    sqlite3_stmt *select = NULL;
    int r = ledger_select(ledger, read, &select);
    size_t n_rows = 0, capacity = 0;
    bool has_row = !r;
    while (!r && has_row) {
        r = sql_row(select, &has_row);
        if (r || !has_row)
            break;
        if (n_rows == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            *ret_cells =
                mem_resize(*ret_cells, capacity, table->n_columns * sizeof(struct ledger_cell));
        }
        struct ledger_cell *row = *ret_cells + n_rows++ * table->n_columns;
        for (unsigned i = 0; i < table->n_columns; i++)
            row[i] = read_cell(select, (int)i, &table->columns[i], arena);
    }
    if (r)
        sql_abort(ledger->db, "the ledger cannot be read");
    sqlite3_finalize(select);
    *ret_n_rows = n_rows;
}

int ledger_file_expire(struct ledger_file *ledger, const struct ledger_table *table,
                       unsigned column, int64_t number)
{
    if (!ledger_has_table(ledger, table))
        return 0;
    CLEANUP(mem_freep)
    char *text =
        mem_format("DELETE FROM \"%s\" WHERE \"%s\" < ?", table->name, table->columns[column].name);
    sqlite3_stmt *delete = NULL;
    int r = sql_prepare(ledger->db, text, &delete);
    if (!r) {
        sql_bind_int(delete, 1, number);
        r = sql_run(delete);
    }
    sqlite3_finalize(delete);
    if (r == STORE_CORRUPT)
        sql_abort(ledger->db, "the ledger is damaged");
    sql_rollback(ledger->db);
    return r;
}
