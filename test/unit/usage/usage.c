/* SPDX-License-Identifier: Apache-2.0 */

#include <ftw.h>

#include "check.h"
#include "fake/clock.h"
#include "fake/usage.h"
#include "io/loop.h"

#define HOUR 498656 /* of fake_clock's start */

TEST(two_workers_tables_become_one)
{
    struct usage *usage = usage_new();
    struct usage_table *a = usage_table_new(), *b = usage_table_new();
    fake_use(a, "orders@3", "4.2.0", "acme", NULL, 300);
    fake_use(a, "orders@3", "4.2.0", "globex", NULL, 310);
    fake_use(b, "orders@3", "4.2.0", "acme", NULL, 200);
    fake_use(b, "orders@3", "4.2.0", "acme", NULL, 400);
    fake_merge(usage, a);
    fake_merge(usage, b);
    CHECK(usage_table_is_empty(a) && usage_table_is_empty(b));

    const struct usage_seen *acme = fake_seen(usage, "orders@3", "acme", "");
    CHECK_INT(usage_all(usage)->n_nodes, 2);
    CHECK_INT(acme->n, 3);
    CHECK_INT(acme->first, 200);
    CHECK_INT(acme->last, 400);
    CHECK_INT(acme->total_duration, 15 * NSEC_PER_MSEC);
    CHECK_STR(acme->build, "2.9.0");
    CHECK_STR(acme->app, "shop");
    CHECK_STR(acme->release, "4.2.0");

    fake_use(a, "orders@3", "4.2.0", "acme", NULL, 500);
    fake_merge(usage, a);
    CHECK_INT(acme->n, 4);
    CHECK_INT(acme->last, 500);
    usage_table_free(a);
    usage_table_free(b);
    usage_free(usage);
}

/* --- over a real ledger --- */

struct ledger_copy {
    struct ledger_read read;
    struct arena arena;
    struct ledger_cell *cells;
    size_t n_rows;
    bool has_come;
};

static void on_rows(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows)
{
    struct ledger_copy *copy = container_of(read, struct ledger_copy, read);
    size_t n_cells = n_rows * read->table->n_columns;
    copy->cells = arena_new_array(&copy->arena, struct ledger_cell, n_cells + 1);
    for (size_t i = 0; i < n_cells; i++) {
        copy->cells[i].text = arena_span_dup(&copy->arena, cells[i].text);
        copy->cells[i].number = cells[i].number;
    }
    copy->n_rows = n_rows;
    copy->has_come = true;
}

static void copy_rows(struct loop *loop, struct store *store, const struct ledger_table *table,
                      struct ledger_copy *ret_copy)
{
    *ret_copy = (struct ledger_copy){ .read = { .table = table, .on_rows = on_rows } };
    ledger_submit_read(store, &ret_copy->read);
    while (!ret_copy->has_come)
        CHECK_INT(loop_turn(loop, NSEC_PER_SEC), 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static struct store *open_store(struct loop *loop, const char *dir)
{
    struct store *store = NULL;
    struct store_settings settings = { .path = dir, .keep_revisions = 100 };
    CHECK_INT(store_open(loop, &settings, &store, NULL), 0);
    return store;
}

static void submit(struct usage *usage, struct usage_table *table, struct store *store,
                   unix_msec wall)
{
    struct ledger_rows *hours, *seen;
    usage_merge(usage, table, wall, &hours, &seen);
    ledger_submit(store, NULL, hours);
    ledger_submit(store, NULL, seen);
}

/* Two customers in one hour, one of them again in it and in the next. */
static void use_over_two_hours(struct usage *usage, struct store *store, unix_msec wall)
{
    struct usage_table *table = usage_table_new();
    fake_use(table, "orders@2", "4.1.0", "acme", NULL, wall);
    fake_use(table, "orders@3", "4.2.0", "globex", "storefront", wall);
    submit(usage, table, store, wall);
    fake_use(table, "orders@2", "4.1.0", "acme", NULL, wall + 7);
    submit(usage, table, store, wall);
    fake_use(table, "orders@2", "4.1.0", "acme", NULL, wall + 3600000);
    submit(usage, table, store, wall + 3600000);
    usage_table_free(table);
}

static void check_seen(struct loop *loop, struct store *store, unix_msec wall)
{
    struct usage *usage = usage_new();
    struct ledger_copy copy;
    copy_rows(loop, store, usage_seen_table(), &copy);
    CHECK_INT(copy.n_rows, 2);
    usage_load(usage, copy.cells, copy.n_rows);
    arena_fini(&copy.arena);

    const struct usage_seen *acme = fake_seen(usage, "orders@2", "acme", "");
    CHECK_INT(acme->n, 3);
    CHECK_INT(acme->first, wall);
    CHECK_INT(acme->last, wall + 3600000);
    CHECK_STR(acme->release, "4.1.0");
    CHECK_INT(fake_seen(usage, "orders@3", "globex", "storefront")->n, 1);
    usage_free(usage);
}

static void check_hours(struct loop *loop, struct store *store)
{
    struct ledger_copy copy;
    copy_rows(loop, store, usage_hours_table(), &copy);
    CHECK_INT(copy.n_rows, 3); /* acme in two hours */

    const struct ledger_cell *row = copy.cells;
    CHECK_INT(row[0].number, HOUR);
    static const char *const texts[] = { "orders@2", "2.9.0", "shop", "4.1.0", "acme", "" };
    for (unsigned i = 0; i < 6; i++)
        CHECK(span_is(row[1 + i].text, texts[i]));
    CHECK_INT(row[7].number, 2);
    CHECK_INT(row[8].number, 0);
    CHECK_INT(row[9].number, 10 * NSEC_PER_MSEC);
    row += 2 * (size_t)usage_hours_table()->n_columns;
    CHECK_INT(row[0].number, HOUR + 1);
    CHECK_INT(row[7].number, 1);
    arena_fini(&copy.arena);
}

TEST(a_restart_goes_on_with_what_the_ledger_kept)
{
    char dir[] = "/tmp/sarsen-usage-XXXXXX";
    CHECK(mkdtemp(dir));
    struct fake_clock clock;
    fake_clock_init(&clock);
    struct loop *loop = loop_new(&clock.clock);
    struct store *store = open_store(loop, dir);
    struct usage *usage = usage_new();
    use_over_two_hours(usage, store, clock.wall);
    usage_free(usage);
    store_close(store);

    store = open_store(loop, dir);
    check_seen(loop, store, clock.wall);
    check_hours(loop, store);
    store_close(store);
    loop_free(loop);
    CHECK_INT(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TEST(names_that_are_no_text_are_made_readable)
{
    struct usage *usage = usage_new();
    struct usage_table *table = usage_table_new();
    fake_use(table, "orders@3", "4.2.0", "m\xc3\xbcller", "a\x01\xff", 1);
    fake_merge(usage, table);
    CHECK(fake_seen(usage, "orders@3", "m??ller", "a??"));
    usage_table_free(table);
    usage_free(usage);
}

TEST(an_empty_table_makes_empty_rows)
{
    struct usage *usage = usage_new();
    struct usage_table *table = usage_table_new();
    struct ledger_rows *hours = NULL, *seen = NULL;
    usage_merge(usage, table, 0, &hours, &seen);
    CHECK(hours && seen);
    CHECK_INT(usage_all(usage)->n_nodes, 0);
    ledger_rows_free(hours);
    ledger_rows_free(seen);
    usage_table_free(table);
    usage_free(usage);
}
