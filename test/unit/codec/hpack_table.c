/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack_table.h"

#include "check.h"

static void add(struct hpack_table *table, struct span name, struct span value)
{
    hpack_table_reserve(table, name.size + value.size);
    memcpy(table->bytes + table->end, name.data, name.size);
    memcpy(table->bytes + table->end + name.size, value.data, value.size);
    hpack_table_add(table, name.size, value.size, 0);
}

static struct span value_of(const struct hpack_table *table, uint32_t number)
{
    return hpack_entry_value(table, hpack_table_get(table, number));
}

TEST(the_oldest_go_when_there_is_no_room)
{
    struct hpack_table table = { .max_size = 110 };
    add(&table, SPAN("a"), SPAN("12"));
    add(&table, SPAN("b"), SPAN("34"));
    add(&table, SPAN("c"), SPAN("56"));
    CHECK_INT(table.n, 3);
    CHECK_INT(table.size, 105);
    CHECK(span_is(value_of(&table, 0), "12"));
    add(&table, SPAN("d"), SPAN("7890"));
    CHECK_INT(table.n, 3);
    CHECK_INT(table.size, 107);
    CHECK(span_is(value_of(&table, 1), "34"));
    CHECK(span_is(hpack_entry_name(&table, hpack_table_get(&table, 3)), "d"));
    hpack_table_resize(&table, 72);
    CHECK_INT(table.n, 2);
    hpack_table_resize(&table, 71);
    CHECK_INT(table.n, 1);
    hpack_table_fini(&table);
}

TEST(what_is_larger_than_the_table_empties_it)
{
    struct hpack_table table = { .max_size = 40 };
    add(&table, SPAN("a"), SPAN("12"));
    add(&table, SPAN("a"), SPAN("12345678"));
    CHECK_INT(table.n, 0);
    CHECK_INT(table.size, 0);
    add(&table, SPAN("a"), SPAN("1234567"));
    CHECK_INT(table.n, 1);
    hpack_table_fini(&table);
}

/* Entry `i` has a value of i % 90 bytes, all the same. */
static void check_entry(const struct hpack_table *table, uint32_t i)
{
    struct span value = value_of(table, i);
    CHECK_INT(value.size, i % 90);
    for (size_t at = 0; at < value.size; at++)
        CHECK_INT(value.data[at], 'a' + i % 26);
}

TEST(entries_stay_what_they_are_while_the_memory_moves)
{
    struct hpack_table table = { .max_size = 4096 };
    uint32_t largest = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        char bytes[90];
        memset(bytes, (int)('a' + i % 26), sizeof(bytes));
        add(&table, SPAN("n"), (struct span){ bytes, i % 90 });
        for (uint32_t n = 1; n <= table.n; n++)
            check_entry(&table, i + 1 - n);
        if (i % 1000 == 500)
            hpack_table_shrink(&table);
        if (table.capacity > largest)
            largest = table.capacity;
    }
    CHECK_INT(largest, 8192);
    hpack_table_fini(&table);
}

TEST(a_large_text_makes_it_large_once)
{
    struct hpack_table table = { .max_size = 4096 };
    add(&table, SPAN("n"), SPAN("value"));
    hpack_table_reserve(&table, 100000);
    CHECK(table.capacity - table.end >= 100000);
    CHECK(hpack_table_is_oversized(&table));
    hpack_table_shrink(&table);
    CHECK(!hpack_table_is_oversized(&table));
    CHECK(span_is(value_of(&table, 0), "value"));
    hpack_table_fini(&table);
}
