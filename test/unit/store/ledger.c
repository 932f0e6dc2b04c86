/* SPDX-License-Identifier: Apache-2.0 */

#include "store/fixture.h"

static const struct ledger_column hour_columns[] = {
    { "hour", LEDGER_KEY_INT }, { "customer", LEDGER_KEY_TEXT }, { "count", LEDGER_SUM },
    { "first", LEDGER_MIN },    { "last", LEDGER_MAX },          { "via", LEDGER_TEXT },
};
static const struct ledger_table hours = { "hours", hour_columns, 6, false };

static const struct ledger_column audit_columns[] = {
    { "seq", LEDGER_KEY_INT },
    { "at", LEDGER_KEY_INT },
    { "what", LEDGER_TEXT },
};
static const struct ledger_table audit = { "audit", audit_columns, 3, true };

static const struct ledger_column seen_columns[] = { { "name", LEDGER_KEY_TEXT } };
static const struct ledger_table seen = { "seen", seen_columns, 1, false };

static void add_hour(struct ledger_rows *rows, int64_t hour, const char *customer, int64_t count,
                     int64_t at, const char *via)
{
    struct ledger_cell cells[] = {
        { .number = hour }, { .text = span_of(customer) }, { .number = count }, { .number = at },
        { .number = at },   { .text = span_of(via) },
    };
    ledger_rows_add(rows, cells);
}

static struct ledger_rows *audit_row(int64_t at, const char *what)
{
    struct ledger_rows *rows = ledger_rows_new(&audit);
    struct ledger_cell cells[] = { { .number = 0 }, { .number = at }, { .text = span_of(what) } };
    ledger_rows_add(rows, cells);
    return rows;
}

struct reading {
    struct ledger_read read;
    char text[512];
    bool is_done;
};

/* Cells joined by commas, rows by semicolons. */
static void reading_on_rows(struct ledger_read *read, const struct ledger_cell *cells,
                            size_t n_rows)
{
    struct reading *self = container_of(read, struct reading, read);
    size_t n = read->table->n_columns, size = 0;
    CHECK(n > 0);
    for (size_t i = 0; i < n_rows * n; i++) {
        bool is_text = read->table->columns[i % n].kind == LEDGER_KEY_TEXT ||
                       read->table->columns[i % n].kind == LEDGER_TEXT;
        char number[24];
        snprintf(number, sizeof(number), "%lld", (long long)cells[i].number);
        size += (size_t)snprintf(self->text + size, sizeof(self->text) - size, "%.*s%c",
                                 SPAN_ARG(is_text ? cells[i].text : span_of(number)),
                                 i % n + 1 < n ? ',' : ';');
    }
    self->is_done = true;
}

static const char *read_all(struct fixture *f, struct reading *reading)
{
    reading->is_done = false;
    reading->text[0] = '\0';
    reading->read.on_rows = reading_on_rows;
    ledger_submit_read(f->store, &reading->read);
    while (!reading->is_done)
        fixture_turn(f);
    return reading->text;
}

struct sync_write {
    struct ledger_write write;
    int answer;
};

static void sync_on_done(struct ledger_write *write, int answer)
{
    container_of(write, struct sync_write, write)->answer = answer;
}

static int submit_and_wait(struct fixture *f, struct ledger_rows *rows)
{
    struct sync_write write = { .write.on_done = sync_on_done, .answer = -1 };
    ledger_submit(f->store, &write.write, rows);
    CHECK_INT(write.answer, -1);
    while (write.answer < 0)
        fixture_turn(f);
    return write.answer;
}

TEST(a_table_that_was_never_written_has_no_rows)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct reading reading = { .read.table = &hours };
    CHECK_STR(read_all(&f, &reading), "");
    ledger_expire(f.store, &hours, 0, 10);
    fixture_fini(&f);
}

TEST(rows_with_equal_keys_add_up)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct ledger_rows *rows = ledger_rows_new(&hours);
    add_hour(rows, 2, "globex", 1, 50, "a");
    add_hour(rows, 1, "acme", 10, 30, "a");
    add_hour(rows, 1, "acme", 5, 20, "b");
    ledger_submit(f.store, NULL, rows);
    rows = ledger_rows_new(&hours);
    add_hour(rows, 1, "acme", 7, 40, "c");
    add_hour(rows, 1, "acme", 0, -3, "d");
    add_hour(rows, 1, "", 1, 1, "");
    ledger_submit(f.store, NULL, rows);

    struct reading reading = { .read.table = &hours };
    const char *want = "1,,1,1,1,;1,acme,22,-3,40,d;2,globex,1,50,50,a;";
    CHECK_STR(read_all(&f, &reading), want); /* a read sees what was submitted before it */
    fixture_reopen(&f);
    CHECK_STR(read_all(&f, &reading), want);
    fixture_fini(&f);
}

TEST(a_table_of_keys_alone_holds_each_once)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    for (int i = 0; i < 3; i++) {
        struct ledger_rows *rows = ledger_rows_new(&seen);
        ledger_rows_add(rows, &(struct ledger_cell){ .text = SPAN("a") });
        ledger_submit(f.store, NULL, rows);
    }
    struct reading reading = { .read.table = &seen };
    CHECK_STR(read_all(&f, &reading), "a;");
    fixture_fini(&f);
}

TEST(appended_rows_are_numbered_and_the_newest_can_be_had)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(submit_and_wait(&f, audit_row(10, "one")), 0);
    CHECK_INT(submit_and_wait(&f, audit_row(10, "two")), 0);
    CHECK_INT(submit_and_wait(&f, audit_row(30, "three")), 0);
    struct reading reading = { .read.table = &audit };
    CHECK_STR(read_all(&f, &reading), "1,10,one;2,10,two;3,30,three;");
    reading.read.limit = 2;
    CHECK_STR(read_all(&f, &reading), "2,10,two;3,30,three;");
    reading.read.at_least.is_set = true;
    reading.read.at_least.column = 1;
    reading.read.at_least.number = 11;
    CHECK_STR(read_all(&f, &reading), "3,30,three;");
    fixture_fini(&f);
}

TEST(expired_rows_go_and_their_numbers_are_not_used_again)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(submit_and_wait(&f, audit_row(10, "one")), 0);
    CHECK_INT(submit_and_wait(&f, audit_row(20, "two")), 0);
    ledger_expire(f.store, &audit, 1, 20);
    struct reading reading = { .read.table = &audit };
    CHECK_STR(read_all(&f, &reading), "2,20,two;");
    ledger_expire(f.store, &audit, 1, 21);
    CHECK_INT(submit_and_wait(&f, audit_row(30, "three")), 0);
    CHECK_STR(read_all(&f, &reading), "3,30,three;");
    fixture_fini(&f);
}

TEST(at_least_and_limit_hold_for_added_rows_too)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct ledger_rows *rows = ledger_rows_new(&hours);
    for (int64_t hour = 1; hour <= 5; hour++)
        add_hour(rows, hour, "a", 1, hour, "");
    ledger_submit(f.store, NULL, rows);
    struct reading reading = { .read.table = &hours };
    reading.read.at_least.is_set = true;
    reading.read.at_least.number = 3;
    CHECK_STR(read_all(&f, &reading), "3,a,1,3,3,;4,a,1,4,4,;5,a,1,5,5,;");
    reading.read.limit = 1;
    CHECK_STR(read_all(&f, &reading), "3,a,1,3,3,;");
    fixture_fini(&f);
}

TEST(rows_nobody_waits_for_are_on_disk_within_a_second)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct ledger_rows *rows = ledger_rows_new(&hours);
    add_hour(rows, 1, "a", 1, 1, "");
    ledger_submit(f.store, NULL, rows);

    /* The log of the ledger grows when, and only when, something is committed. */
    char path[128];
    snprintf(path, sizeof(path), "%s/ledger.db-wal", f.path);
    nsec deadline = clock_now(clock_system()) + NSEC_PER_SEC;
    struct stat before = { 0 }, info;
    IGNORE(stat(path, &before), "there is no log before the first commit");
    do {
        CHECK(clock_now(clock_system()) < deadline);
        CHECK_INT(loop_turn(f.loop, 20 * NSEC_PER_MSEC), 0);
    } while (stat(path, &info) < 0 || info.st_size == before.st_size);
    fixture_fini(&f);
}

TEST(rows_that_were_not_submitted_can_be_freed)
{
    struct ledger_rows *rows = ledger_rows_new(&hours);
    add_hour(rows, 1, "a", 1, 1, "text");
    CHECK(!ledger_rows_free(rows));
    CHECK(!ledger_rows_free(NULL));
}
