/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/usage.h"
#include "usage/table.h"

static struct usage_table *table_of(unsigned n_customers)
{
    struct usage_table *table = usage_table_new();
    for (unsigned i = 0; i < n_customers; i++) {
        char customer[16];
        snprintf(customer, sizeof(customer), "c%u", i);
        for (unsigned k = 0; k <= i % 3; k++)
            fake_use(table, "orders@3", "4.2.0", customer, i % 2 ? "job" : "", 100 + k);
    }
    return table;
}

static void check_same(const struct usage_table *a, const struct usage_table *b)
{
    CHECK_INT(a->n_entries, b->n_entries);
    for (size_t i = 0; i < a->n_entries; i++) {
        CHECK(span_equals(usage_entry_key(a, &a->entries[i]), usage_entry_key(b, &b->entries[i])));
        CHECK_INT(a->entries[i].n, b->entries[i].n);
        CHECK_INT(a->entries[i].errors, b->entries[i].errors);
        CHECK_INT(a->entries[i].duration, b->entries[i].duration);
        CHECK_INT(a->entries[i].first, b->entries[i].first);
        CHECK_INT(a->entries[i].last, b->entries[i].last);
    }
}

TEST(a_table_arrives_in_pieces_as_it_was)
{
    struct usage_table *table = table_of(500), *copy = usage_table_new();
    struct buf bytes = { 0 };
    unsigned n_pieces = 0;
    for (size_t n, at = 0; (n = usage_table_encode(table, at, &bytes, 4096)); at += n) {
        CHECK(bytes.size <= 4096);
        CHECK(usage_table_decode(copy, buf_span(&bytes)));
        buf_clear(&bytes);
        n_pieces++;
    }
    CHECK(n_pieces > 5);
    check_same(table, copy);
    buf_fini(&bytes);
    usage_table_free(table);
    usage_table_free(copy);
}

TEST(counts_of_a_key_that_is_there_add_up)
{
    struct usage_table *table = table_of(3);
    struct buf bytes = { 0 };
    CHECK_INT(usage_table_encode(table, 0, &bytes, 65536), 3);
    CHECK(usage_table_decode(table, buf_span(&bytes)));
    CHECK_INT(table->n_entries, 3);
    CHECK_INT(table->entries[2].n, 6);
    CHECK_INT(table->entries[2].first, 100);
    CHECK_INT(table->entries[2].last, 102);
    buf_fini(&bytes);
    usage_table_free(table);
}

TEST(what_is_no_table_is_refused)
{
    struct usage_table *table = table_of(2), *copy = usage_table_new();
    struct buf bytes = { 0 };
    CHECK_INT(usage_table_encode(table, 0, &bytes, 65536), 2);
    struct usage_entry *first = &table->entries[0];
    size_t row = bytes.size / 2 - 8; /* about where the first ends */
    for (size_t size = 1; size < row - first->key_size; size++)
        CHECK(!usage_table_decode(copy, span_first(buf_span(&bytes), size)));
    CHECK(usage_table_is_empty(copy));

    /* A key of seven columns, and one whose last column does not end. */
    char *key = memmem(bytes.data, bytes.size, "orders@3", 8);
    key[3] = '\0';
    CHECK(!usage_table_decode(copy, buf_span(&bytes)));
    key[3] = 'e';
    key[first->key_size - 1] = 'x';
    CHECK(!usage_table_decode(copy, buf_span(&bytes)));
    CHECK(usage_table_is_empty(copy));
    buf_fini(&bytes);
    usage_table_free(table);
    usage_table_free(copy);
}
