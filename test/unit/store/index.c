/* SPDX-License-Identifier: Apache-2.0 */

#include "store/index.h"

#include "check.h"

static void put(struct index *index, const char *key, const char *value)
{
    struct store_entry entry = { .key = span_of(key), .value = span_of(value) };
    index_put(index, &entry);
}

/* The keys of a range, joined. */
static const char *range(const struct index *index, const char *prefix, const char *after,
                         size_t capacity)
{
    static char text[256];
    const struct store_entry *entries[16];
    size_t n = index_range(index, span_of(prefix), span_of(after), entries, capacity);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i ? " " : "",
                 SPAN_ARG(entries[i]->key));
    }
    return text;
}

TEST(ranges_are_in_order_of_keys)
{
    struct index index;
    index_init(&index);
    static const char *const keys[] = { "b/2", "a", "b/10", "b", "c", "b/1", "b0" };
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        put(&index, keys[i], "v");

    CHECK_STR(range(&index, "", NULL, 16), "a b b/1 b/10 b/2 b0 c");
    CHECK_STR(range(&index, "b/", NULL, 16), "b/1 b/10 b/2");
    CHECK_STR(range(&index, "b/", NULL, 2), "b/1 b/10");
    CHECK_STR(range(&index, "b/", "b/10", 16), "b/2");
    CHECK_STR(range(&index, "b/", "b/11", 16), "b/2");
    CHECK_STR(range(&index, "b/", "a", 16), "b/1 b/10 b/2");
    CHECK_STR(range(&index, "b/", "b/2", 16), "");
    CHECK_STR(range(&index, "b/", "z", 16), "");
    CHECK_STR(range(&index, "d", NULL, 16), "");
    CHECK_STR(range(&index, "", "c", 16), "");
    index_fini(&index);
}

TEST(what_was_replaced_stays_until_the_sweep)
{
    struct index index;
    index_init(&index);
    put(&index, "a", "old");
    const struct store_entry *old = index_find(&index, SPAN("a"));
    put(&index, "a", "new");
    CHECK(span_is(old->value, "old"));
    CHECK(span_is(index_find(&index, SPAN("a"))->value, "new"));
    const struct store_entry *removed = index_remove(&index, SPAN("a"));
    CHECK(span_is(removed->value, "new"));
    CHECK(span_is(old->value, "old"));
    CHECK(!index_remove(&index, SPAN("a")));
    index_sweep(&index);
    CHECK_INT(index_size(&index), 0);
    index_fini(&index);
}

/* Against the plainest model there is: one slot for each key. */
TEST(many_random_changes_give_what_a_plain_array_gives)
{
    enum {
        N = 1000
    };
    static int model[N];
    struct index index;
    index_init(&index);
    unsigned state = 1;
    for (int step = 0; step < 50000; step++) {
        state = state * 1103515245u + 12345u;
        unsigned i = state / 65536 % N;
        char key[8], value[16];
        snprintf(key, sizeof(key), "%03u", i);
        snprintf(value, sizeof(value), "%d", step);
        if (state >> 30 == 0) {
            CHECK_INT(!!index_remove(&index, span_of(key)), model[i] != 0);
            model[i] = 0;
        } else {
            put(&index, key, value);
            model[i] = step + 1;
        }
        index_sweep(&index);
    }
    const struct store_entry *entries[N];
    size_t n = index_range(&index, SPAN_NULL, SPAN_NULL, entries, N), at = 0;
    for (int i = 0; i < N; i++) {
        if (!model[i])
            continue;
        CHECK(at < n);
        uint64_t key = 0, value = 0;
        CHECK(span_to_uint(entries[at]->key, N, &key));
        CHECK(span_to_uint(entries[at++]->value, 50000, &value));
        CHECK_INT(key, i);
        CHECK_INT(value, model[i] - 1);
    }
    CHECK_INT(at, n);
    CHECK_INT(index_size(&index), n);
    index_fini(&index);
}
