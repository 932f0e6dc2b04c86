/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/usage.h"

static struct usage *usage;

static void fill(void)
{
    struct usage_table *table = usage_table_new();
    usage = usage_new();
    fake_use(table, "orders@2", "4.1.0", "acme", NULL, 100);
    fake_use(table, "orders@2", "4.1.0", "acme", "storefront", 400);
    fake_use(table, "orders@2", "4.0.0", "acme", NULL, 200);
    fake_use(table, "orders@3", "4.2.0", "globex", NULL, 300);
    fake_use(table, "orders@3", "4.2.0", "acme", NULL, 50);
    fake_merge(usage, table);
    usage_table_free(table);
}

static struct usage_report report(struct usage_filter filter)
{
    return usage_report(usage, &filter);
}

TEST(without_columns_every_row_is_shown_newest_first)
{
    fill();
    struct usage_report all = report((struct usage_filter){ 0 });
    static const unix_msec lasts[] = { 400, 300, 200, 100, 50 };
    CHECK_INT(all.n_rows, 5);
    for (unsigned i = 0; i < 5; i++)
        CHECK_INT(all.rows[i].last, lasts[i]);
    CHECK_STR(all.rows[0].caller, "storefront");
    CHECK_STR(all.rows[4].build, "2.9.0");
    usage_report_free(&all);
    usage_free(usage);
}

TEST(rows_add_up_over_the_columns_not_asked_for)
{
    fill();
    struct usage_report sums = report((struct usage_filter){ .by = USAGE_BY_CONTRACT });
    CHECK_INT(sums.n_rows, 2);
    CHECK_STR(sums.rows[0].contract, "orders@2");
    CHECK_INT(sums.rows[0].n, 3);
    CHECK_INT(sums.rows[0].first, 100);
    CHECK_INT(sums.rows[0].last, 400);
    CHECK_INT(sums.rows[0].total_duration, 15 * NSEC_PER_MSEC);
    CHECK_STR(sums.rows[0].customer, "");
    CHECK_STR(sums.rows[0].app, "");
    CHECK_STR(sums.rows[1].contract, "orders@3");
    CHECK_INT(sums.rows[1].n, 2);
    usage_report_free(&sums);

    sums = report((struct usage_filter){ .by = USAGE_BY_RELEASE | USAGE_BY_CUSTOMER });
    CHECK_INT(sums.n_rows, 4);
    CHECK_STR(sums.rows[0].app, "shop");
    CHECK_STR(sums.rows[0].release, "4.1.0");
    CHECK_STR(sums.rows[0].customer, "acme");
    CHECK_INT(sums.rows[0].n, 2);
    usage_report_free(&sums);
    usage_free(usage);
}

TEST(filters_narrow_before_the_sum)
{
    fill();
    static const struct {
        struct usage_filter filter;
        unsigned n_rows, n;
    } rows[] = {
        { { .contract = SPAN("orders@2") }, 3, 3 },
        { { .contract = SPAN("orders@2"), .by = USAGE_BY_CUSTOMER }, 1, 3 },
        { { .customer = SPAN("acme"), .by = USAGE_BY_CUSTOMER }, 1, 4 },
        { { .caller = SPAN("storefront") }, 1, 1 },
        { { .release = SPAN("4.1.0"), .app = SPAN("shop"), .by = USAGE_BY_RELEASE }, 1, 2 },
        { { .build = SPAN("2.9.0"), .by = USAGE_BY_BUILD }, 1, 5 },
        { { .since = 300 }, 2, 2 },
        { { .since = 401 }, 0, 0 },
        { { .contract = SPAN("orders") }, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct usage_report found = report(rows[i].filter);
        uint64_t n = 0;
        for (size_t k = 0; k < found.n_rows; k++)
            n += found.rows[k].n;
        CHECK_INT(found.n_rows, rows[i].n_rows);
        CHECK_INT(n, rows[i].n);
        usage_report_free(&found);
    }
    usage_free(usage);
}

TEST(equally_new_rows_stand_in_order_of_their_key)
{
    static const char *const customers[] = { "globex", "acme", "initech" };
    struct usage_table *table = usage_table_new();
    usage = usage_new();
    for (unsigned i = 0; i < 3; i++)
        fake_use(table, "orders@3", "4.2.0", customers[i], NULL, 100);
    fake_merge(usage, table);
    usage_table_free(table);

    struct usage_report all = report((struct usage_filter){ .by = USAGE_BY_CUSTOMER });
    CHECK_STR(all.rows[0].customer, "acme");
    CHECK_STR(all.rows[1].customer, "globex");
    CHECK_STR(all.rows[2].customer, "initech");
    usage_report_free(&all);
    usage_free(usage);
}

TEST(nothing_used_is_an_empty_report)
{
    usage = usage_new();
    struct usage_report none = report((struct usage_filter){ .by = USAGE_BY_CONTRACT });
    CHECK_INT(none.n_rows, 0);
    usage_report_free(&none);
    usage_free(usage);
}

static void hour(struct ledger_cell cells[10], const char *customer, int64_t hours, int64_t n)
{
    const char *texts[] = { "orders@3", "2.9.0", "", "", customer, "cron" };
    cells[0] = (struct ledger_cell){ .number = hours };
    for (int i = 0; i < 6; i++)
        cells[1 + i] = (struct ledger_cell){ .text = span_of(texts[i]) };
    cells[7] = (struct ledger_cell){ .number = n };
    cells[8] = (struct ledger_cell){ .number = 1 };
    cells[9] = (struct ledger_cell){ .number = 5 * n };
}

TEST(hours_are_summed_and_say_how_often_since_the_first_of_them)
{
    struct usage *used = usage_new();
    struct usage_table *counted = usage_table_new();
    const int64_t now = usage_hour(1795161600000);
    for (int i = 0; i < 100; i++)
        fake_use(counted, "orders@3", NULL, "acme", "cron", (now - 90) * USAGE_HOUR);
    fake_use(counted, "orders@3", NULL, "acme", "cron", now * USAGE_HOUR + 7);
    fake_use(counted, "orders@3", NULL, "globex", "cron", now * USAGE_HOUR);
    fake_merge(used, counted);

    struct ledger_cell cells[4][10];
    hour(cells[0], "acme", now - 2, 3);
    hour(cells[1], "acme", now, 4);
    hour(cells[2], "globex", now, 8);
    hour(cells[3], "nobody", now, 9); /* never seen: what the ledger alone knows is left out */
    struct usage_filter filter = { .customer = SPAN("acme") };
    struct usage_report report = usage_report_hours(used, &filter, cells[0], 4);
    CHECK_INT(report.n_rows, 1);
    CHECK_STR(report.rows[0].customer, "acme");
    CHECK_INT(report.rows[0].n, 7);
    CHECK_INT(report.rows[0].errors, 2);
    CHECK_INT(report.rows[0].total_duration, 35);
    CHECK_INT(report.rows[0].first, (now - 2) * USAGE_HOUR);
    CHECK_INT(report.rows[0].last, now * USAGE_HOUR + 7);
    usage_report_free(&report);

    filter = (struct usage_filter){ .by = USAGE_BY_CONTRACT };
    report = usage_report_hours(used, &filter, cells[0], 4);
    CHECK_INT(report.n_rows, 1);
    CHECK_INT(report.rows[0].n, 15);
    usage_report_free(&report);
    usage_table_free(counted);
    usage_free(used);
}
