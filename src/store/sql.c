/* SPDX-License-Identifier: Apache-2.0 */

#include "store/sql.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "store/store.h"

#define SQL_FILE_MODE 0640

_Noreturn void sql_abort(sqlite3 *db, const char *message)
{
    const char *file = sqlite3_db_filename(db, "main");
    log_error("store", message, "file", file, "reason", sqlite3_errmsg(db), "system",
              strerror(sqlite3_system_errno(db)));
    abort();
}

int sql_sort(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return 0;
    case SQLITE_NOMEM: mem_exhausted(0);
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
            sql_abort(db, "the disk could not confirm a write (fsync)");
        return STORE_READ_ONLY;
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return STORE_READ_ONLY;
    default: return STORE_CORRUPT;
    }
}

int sql_exec(sqlite3 *db, const char *text)
{
    return sql_sort(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret_statement)
{
    return sql_sort(
        db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL));
}

void sql_reset(sqlite3_stmt *statement)
{
    sqlite3_reset(statement); /* repeats the result of the last step, which was seen */
    sqlite3_clear_bindings(statement);
}

int sql_row(sqlite3_stmt *statement, bool *ret_has_row)
{
    int code = sqlite3_step(statement);
    int r = sql_sort(sqlite3_db_handle(statement), code);
    if (r || code != SQLITE_ROW)
        sql_reset(statement);
    if (!r)
        *ret_has_row = code == SQLITE_ROW;
    return r;
}

int sql_run(sqlite3_stmt *statement)
{
    bool has_row = true;
    while (has_row) {
        int r = sql_row(statement, &has_row);
        if (r)
            return r;
    }
    return 0;
}

void sql_rollback(sqlite3 *db)
{
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

static int count_log(void *owner, sqlite3 *db, const char *name, int n_pages)
{
    (void)db;
    (void)name;
    int *n_logged = owner;
    *n_logged = n_pages;
    return SQLITE_OK;
}

void sql_count_log(sqlite3 *db, int *n_logged)
{
    sqlite3_wal_hook(db, count_log, n_logged);
}

int sql_checkpoint(sqlite3 *db)
{
    return sql_sort(db, sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

void sql_bind_blob(sqlite3_stmt *statement, int at, struct span bytes)
{
    if (sqlite3_bind_blob64(statement, at, bytes.data ? bytes.data : "", bytes.size, SQLITE_STATIC))
        mem_exhausted(bytes.size);
}

void sql_bind_text(sqlite3_stmt *statement, int at, struct span text)
{
    if (sqlite3_bind_text64(statement, at, text.data ? text.data : "", text.size, SQLITE_STATIC,
                            SQLITE_UTF8))
        mem_exhausted(text.size);
}

void sql_bind_int(sqlite3_stmt *statement, int at, int64_t number)
{
    if (sqlite3_bind_int64(statement, at, number))
        mem_exhausted(sizeof(number));
}

struct span sql_column_bytes(sqlite3_stmt *statement, int at)
{
    const void *data = sqlite3_column_blob(statement, at);
    return (struct span){ data, (size_t)sqlite3_column_bytes(statement, at) };
}

/* The first column of the only row, as a number. */
static int sql_number(sqlite3 *db, const char *text, int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    int r = sql_prepare(db, text, &statement);
    bool has_row = false;
    if (!r)
        r = sql_row(statement, &has_row);
    if (!r && !has_row)
        r = STORE_CORRUPT;
    if (!r)
        *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return r;
}

static int sql_check_pages(sqlite3 *db)
{
    int64_t is_sound = 0;
    int r = sql_number(db, "SELECT quick_check = 'ok' FROM pragma_quick_check(1)", &is_sound);
    return !r && !is_sound ? STORE_CORRUPT : r;
}

/* A file with anything in it was made with its format in the same transaction. */
static int sql_create_schema(sqlite3 *db, const struct sql_file *file, int64_t *ret_format)
{
    int64_t n_objects = 0;
    int r = sql_number(db, "SELECT count(*) FROM sqlite_schema", &n_objects);
    if (r || n_objects)
        return r;

    CLEANUP(mem_freep)
    char *text = mem_format("BEGIN IMMEDIATE; %s; PRAGMA user_version = %lld; COMMIT", file->schema,
                            (long long)file->format);
    r = sql_exec(db, text);
    sql_rollback(db);
    *ret_format = file->format;
    return r;
}

static int sql_set_up(sqlite3 *db, const struct sql_file *file, int64_t *ret_format)
{
    int r = sql_exec(db,
                     "PRAGMA locking_mode = EXCLUSIVE;" /* also: no shared memory beside it */
                     "PRAGMA journal_mode = WAL;"
                     "PRAGMA synchronous = FULL;"
                     "PRAGMA journal_size_limit = 67108864;"
                     "PRAGMA cache_size = -8192;"
                     "PRAGMA temp_store = MEMORY;"
                     "PRAGMA cell_size_check = ON;"
                     "PRAGMA trusted_schema = OFF");
    if (r)
        return r;
    if (sqlite3_db_readonly(db, "main"))
        return STORE_CORRUPT; /* the file was opened for writing: its header says otherwise */

    r = sql_number(db, "PRAGMA user_version", ret_format);
    if (!r && *ret_format == 0)
        r = sql_create_schema(db, file, ret_format);
    return r ? r : sql_check_pages(db);
}

/* The file is made here because SQLite would leave its mode to the umask; and because it would
 * make one where one is missing. Answers: STORE_CORRUPT. */
static int file_prepare(const struct sql_file *file, const char *path, struct problem *problem)
{
    struct stat info = { 0 };
    if (!file->is_new && fstatat(file->dir_fd, file->name, &info, 0) < 0 && errno != ENOENT)
        return err_origin(-errno);
    if (!file->is_new && info.st_size == 0) {
        problem_set(problem, path, "is missing or empty; restore the directory from a backup");
        return STORE_CORRUPT;
    }
    CLEANUP(fd_closep)
    int fd =
        openat(file->dir_fd, file->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, SQL_FILE_MODE);
    if (fd < 0 || fchmod(fd, SQL_FILE_MODE) < 0) {
        int r = -errno;
        problem_set(problem, path, "cannot be opened for writing: %s", strerror(-r));
        return err_origin(r);
    }
    return 0;
}

static int sql_explain(sqlite3 *db, int r, const char *path, struct problem *problem)
{
    if (r == STORE_CORRUPT && (sqlite3_errcode(db) & 0xff) == SQLITE_BUSY) {
        problem_set(problem, path, "is in use by another process; stop that one first");
        return STORE_LOCKED;
    }
    const char *reason = sqlite3_errcode(db) ? sqlite3_errmsg(db) : "its pages do not fit together";
    if (r == STORE_READ_ONLY)
        problem_set(problem, path, "cannot be written (%s); make room on the disk", reason);
    if (r == STORE_CORRUPT)
        problem_set(problem, path, "is damaged (%s); restore the directory from a backup", reason);
    return r;
}

int sql_open(const struct sql_file *file, sqlite3 **ret_db, struct problem *problem)
{
    CLEANUP(mem_freep) char *path = mem_format("%s/%s", file->dir, file->name);
    int r = file_prepare(file, path, problem);
    if (r)
        return err_trace(r);

    sqlite3 *db = NULL;
    int64_t format = 0;
    r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!db)
        mem_exhausted(0);
    sqlite3_extended_result_codes(db, 1);
    r = sql_sort(db, r);
    if (!r)
        r = sql_set_up(db, file, &format);
    if (r) {
        r = sql_explain(db, r, path, problem);
    } else if (format != file->format) {
        problem_set(problem, path, "has format %lld; this program reads format %lld",
                    (long long)format, (long long)file->format);
        r = STORE_CORRUPT;
    }
    if (r) {
        sqlite3_close(db);
        return r;
    }
    *ret_db = db;
    return 0;
}

sqlite3 *sql_close(sqlite3 *db)
{
    if (!db)
        return NULL;
    IGNORE(sql_checkpoint(db), "what stays in the log is read at the next start");
    sqlite3_close(db);
    return NULL;
}
