/* SPDX-License-Identifier: Apache-2.0 */

#include "usage/table.h"
#include "check.h"
#include "fake/usage.h"

static const struct usage_entry *entry_of(const struct usage_table *table, const char *customer)
{
    for (size_t i = 0; i < table->n_entries; i++) {
        struct usage_key key = usage_key_unpack(usage_entry_key(table, &table->entries[i]));
        if (span_is(key.customer, customer))
            return &table->entries[i];
    }
    return NULL;
}

static uint64_t count_all(const struct usage_table *table)
{
    uint64_t n = 0;
    for (size_t i = 0; i < table->n_entries; i++)
        n += table->entries[i].n;
    return n;
}

TEST(requests_of_one_key_add_up)
{
    struct usage_table *table = usage_table_new();
    CHECK(usage_table_is_empty(table));
    fake_use(table, "orders@3", "4.2.0", "acme", "storefront", 200);
    fake_use(table, "orders@3", "4.2.0", "acme", "storefront", 100);
    struct usage_key key = {
        .contract = SPAN("orders@3"),
        .build = SPAN("2.9.0"),
        .app = SPAN("shop"),
        .release = SPAN("4.2.0"),
        .customer = SPAN("acme"),
        .caller = SPAN("storefront"),
    };
    struct usage_sample failed = { .is_error = true, .duration = 7, .at = 300 };
    usage_count(table, &key, &failed);

    CHECK(!usage_table_is_empty(table));
    CHECK_INT(table->n_entries, 1);
    CHECK_INT(table->entries[0].n, 3);
    CHECK_INT(table->entries[0].errors, 1);
    CHECK_INT(table->entries[0].duration, 10 * NSEC_PER_MSEC + 7);
    CHECK_INT(table->entries[0].first, 100);
    CHECK_INT(table->entries[0].last, 300);
    usage_table_free(table);
}

TEST(a_request_that_was_counted_adds_no_use_at_its_end)
{
    struct usage_table *table = usage_table_new();
    struct usage_key key = { .contract = SPAN("orders@3"), .customer = SPAN("acme") };
    usage_count(table, &key, &(struct usage_sample){ .at = 100 });
    struct usage_sample end = { .is_again = true, .is_error = true, .duration = 7, .at = 300 };
    usage_count(table, &key, &end);
    CHECK_INT(table->entries[0].n, 1);
    CHECK_INT(table->entries[0].errors, 1);
    CHECK_INT(table->entries[0].duration, 7);
    CHECK_INT(table->entries[0].first, 100);
    CHECK_INT(table->entries[0].last, 300);
    usage_table_free(table);
}

TEST(each_column_tells_keys_apart)
{
    struct usage_table *table = usage_table_new();
    const struct usage_key one = {
        .contract = SPAN("orders@3"),
        .build = SPAN("3.14.2"),
        .app = SPAN("shop"),
        .release = SPAN("4.2.0"),
        .customer = SPAN("acme"),
        .caller = SPAN("storefront"),
    };
    struct usage_key keys[7] = { one, one, one, one, one, one, one };
    keys[1].contract = SPAN("orders@2");
    keys[2].build = SPAN("3.15.0");
    keys[3].app = SPAN("admin");
    keys[4].release = SPAN("4.1.0");
    keys[5].customer = SPAN("globex");
    keys[6].caller = SPAN_NULL;
    for (unsigned i = 0; i < 7; i++)
        usage_count(table, &keys[i], &(struct usage_sample){ .at = 1 });
    CHECK_INT(table->n_entries, 7);

    /* The same bytes in other columns are another key. */
    struct usage_key moved = one;
    moved.app = SPAN("sho");
    moved.release = SPAN("p4.2.0");
    usage_count(table, &moved, &(struct usage_sample){ .at = 1 });
    CHECK_INT(table->n_entries, 8);
    usage_table_free(table);
}

TEST(anonymous_customers_count_together)
{
    struct usage_table *table = usage_table_new();
    fake_use(table, "orders@3", "4.2.0", "~b7k2qa", NULL, 1);
    fake_use(table, "orders@3", "4.2.0", "~zz", NULL, 2);
    fake_use(table, "orders@3", "4.2.0", USAGE_OTHER, NULL, 3); /* nobody may claim that name */
    fake_use(table, "orders@3", "4.2.0", NULL, NULL, 4);        /* a service's own call */
    CHECK_INT(table->n_entries, 2);
    CHECK_INT(entry_of(table, USAGE_ANONYMOUS)->n, 3);
    CHECK_INT(entry_of(table, "")->n, 1);
    usage_table_free(table);
}

TEST(what_is_too_long_is_cut)
{
    char text[400];
    memset(text, 'x', sizeof(text));
    struct usage_key key = { .contract = SPAN("orders@3"),
                             .customer = { text, 400 },
                             .caller = SPAN("a\0b") };
    struct usage_table *table = usage_table_new();
    usage_count(table, &key, &(struct usage_sample){ .at = 1 });

    struct usage_key kept = usage_key_unpack(usage_entry_key(table, &table->entries[0]));
    CHECK_INT(kept.customer.size, 128);
    CHECK(span_is(kept.caller, "a"));
    CHECK(span_is(kept.build, ""));
    usage_table_free(table);
}

TEST(growing_keeps_every_count)
{
    struct usage_table *table = usage_table_new();
    char customer[32];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            snprintf(customer, sizeof(customer), "customer-%u", i);
            fake_use(table, "orders@3", "4.2.0", customer, NULL, 1);
        }
    }
    CHECK_INT(table->n_entries, 5000);
    for (unsigned i = 0; i < 5000; i++)
        CHECK_INT(table->entries[i].n, 2);
    usage_table_free(table);
}

TEST(what_does_not_fit_counts_as_other)
{
    struct usage_table *table = usage_table_new();
    char customer[32];
    for (unsigned i = 0; i < USAGE_KEYS_MAX; i++) {
        snprintf(customer, sizeof(customer), "customer-%u", i);
        fake_use(table, "orders@3", "4.2.0", customer, "cron", 1);
    }
    CHECK(!entry_of(table, USAGE_OTHER));

    fake_use(table, "orders@3", "4.2.0", "one-more", "cron", 5);
    fake_use(table, "orders@3", "4.2.0", "and-another", "storefront", 6);
    fake_use(table, "orders@3", "4.2.0", "customer-7", "cron", 7); /* it is known */
    CHECK_INT(table->n_entries, USAGE_KEYS_MAX + 1);
    CHECK(!entry_of(table, "one-more"));
    CHECK_INT(entry_of(table, USAGE_OTHER)->n, 2);
    CHECK_INT(entry_of(table, USAGE_OTHER)->last, 6);
    CHECK_INT(entry_of(table, "customer-7")->n, 2);
    CHECK_INT(count_all(table), USAGE_KEYS_MAX + 3);

    struct usage_key other = usage_key_unpack(usage_entry_key(table, entry_of(table, USAGE_OTHER)));
    CHECK(span_is(other.contract, "orders@3") && span_is(other.release, "4.2.0"));
    CHECK(span_is(other.caller, ""));

    usage_table_clear(table);
    CHECK(usage_table_is_empty(table));
    fake_use(table, "orders@3", "4.2.0", "one-more", "cron", 8);
    CHECK_INT(entry_of(table, "one-more")->n, 1);
    usage_table_free(table);
}
