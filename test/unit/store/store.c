/* SPDX-License-Identifier: Apache-2.0 */

#include "store/store.h"

#include "store/fixture.h"

TEST(a_new_store_is_empty_at_revision_0)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(store_revision(f.store), 0);
    CHECK(!store_find(f.store, SPAN("a")));
    CHECK(!store_is_read_only(f.store));
    fixture_fini(&f);
}

TEST(puts_and_deletes_count_revisions_and_versions)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_INT(fixture_put(&f, "b", "2"), 0);
    CHECK_INT(fixture_put(&f, "a", "3"), 0);
    CHECK_INT(store_revision(f.store), 3);

    const struct store_entry *a = store_find(f.store, SPAN("a"));
    CHECK(span_is(a->value, "3"));
    CHECK_INT(a->create_revision, 1);
    CHECK_INT(a->mod_revision, 3);
    CHECK_INT(a->version, 2);

    CHECK_INT(fixture_delete(&f, "a"), 0);
    CHECK(!store_find(f.store, SPAN("a")));
    CHECK_INT(fixture_put(&f, "a", "4"), 0);
    a = store_find(f.store, SPAN("a"));
    CHECK_INT(a->create_revision, 5);
    CHECK_INT(a->version, 1);
    fixture_fini(&f);
}

TEST(deleting_an_absent_key_makes_no_revision)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_INT(fixture_delete(&f, "b"), 0);
    CHECK_INT(store_revision(f.store), 1);
    fixture_fini(&f);
}

TEST(empty_values_and_values_with_any_byte_are_kept)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("empty"), SPAN_NULL);
    txn_put(&txn, SPAN("\0\xff key"), SPAN("\0\x01\xff"));
    CHECK_INT(fixture_commit(&f, &txn), 0);
    fixture_reopen(&f);
    CHECK_INT(store_find(f.store, SPAN("empty"))->value.size, 0);
    CHECK(span_equals(store_find(f.store, SPAN("\0\xff key"))->value, SPAN("\0\x01\xff")));
    fixture_fini(&f);
}

TEST(a_reopened_store_has_everything)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    for (int i = 0; i < 300; i++) {
        char key[16], value[16];
        snprintf(key, sizeof(key), "k%03d", i % 100);
        snprintf(value, sizeof(value), "v%d", i);
        CHECK_INT(fixture_put(&f, key, value), 0);
    }
    CHECK_INT(fixture_delete(&f, "k050"), 0);
    fixture_reopen(&f);
    CHECK_INT(store_revision(f.store), 301);
    const struct store_entry *entries[200];
    CHECK_INT(store_range(f.store, SPAN("k"), SPAN_NULL, entries, 200), 99);
    CHECK_STR(fixture_get(&f, "k050"), "(absent)");
    CHECK_STR(fixture_get(&f, "k099"), "v299");
    CHECK_INT(store_find(f.store, SPAN("k099"))->version, 3);
    CHECK_INT(store_find(f.store, SPAN("k099"))->create_revision, 100);
    CHECK_INT(fixture_put(&f, "k050", "again"), 0);
    CHECK_INT(store_revision(f.store), 302);
    fixture_fini(&f);
}

TEST(a_compare_that_does_not_hold_changes_nothing)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);

    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("a"), 0);
    txn_put(&txn, SPAN("a"), SPAN("2"));
    txn_put(&txn, SPAN("b"), SPAN("2"));
    CHECK_INT(fixture_commit(&f, &txn), STORE_CONFLICT);
    CHECK_STR(fixture_get(&f, "a"), "1");
    CHECK_STR(fixture_get(&f, "b"), "(absent)");
    CHECK_INT(store_revision(f.store), 1);

    txn_expect(&txn, SPAN("a"), 1);
    txn_expect(&txn, SPAN("b"), 0);
    txn_put(&txn, SPAN("b"), SPAN("2"));
    CHECK_INT(fixture_commit(&f, &txn), 0);
    CHECK_STR(fixture_get(&f, "b"), "2");
    fixture_fini(&f);
}

TEST(a_transaction_without_operations_is_a_checked_read)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("a"), 1);
    CHECK_INT(fixture_commit(&f, &txn), 0);
    txn_expect(&txn, SPAN("a"), 2);
    CHECK_INT(fixture_commit(&f, &txn), STORE_CONFLICT);
    CHECK_INT(store_revision(f.store), 1);
    fixture_fini(&f);
}

/* All submitted before the loop turns: they come to the writer together. */
TEST(transactions_of_one_group_are_judged_in_order)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    enum {
        N = 50
    };
    struct fixture_write writes[N];
    for (int i = 0; i < N; i++) {
        struct txn txn = { 0 };
        txn_expect(&txn, SPAN("lock"), 0); /* holds for the first only */
        txn_put(&txn, SPAN("lock"), SPAN("mine"));
        fixture_submit(&f, &writes[i], &txn);
    }
    struct fixture_write other;
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("lock"), 1);
    txn_put(&txn, SPAN("other"), SPAN("yes"));
    fixture_submit(&f, &other, &txn);

    CHECK_INT(fixture_wait(&f, &other), 0);
    CHECK_INT(other.revision, 2);
    CHECK_INT(writes[0].answer, 0);
    for (int i = 1; i < N; i++)
        CHECK_INT(writes[i].answer, STORE_CONFLICT);
    fixture_fini(&f);
}

struct order_write {
    struct store_write write;
    struct fixture *fixture;
    int number, *next;
};

static void order_on_done(struct store_write *write, int answer, int64_t revision)
{
    struct order_write *self = container_of(write, struct order_write, write);
    CHECK_INT(answer, 0);
    CHECK_INT(revision, self->number + 1);
    CHECK_INT((*self->next)++, self->number);
    /* A read sees the write that is told, and none of those that are not. */
    CHECK_INT(store_revision(self->fixture->store), revision);
    char want[16];
    snprintf(want, sizeof(want), "%d", self->number);
    CHECK_STR(fixture_get(self->fixture, "n"), want);
}

TEST(writes_are_told_in_order_and_visible_when_told)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    enum {
        N = 2500
    };
    static struct order_write writes[N];
    int next = 0;
    for (int i = 0; i < N; i++) {
        writes[i] = (struct order_write){ .fixture = &f, .number = i, .next = &next };
        writes[i].write.on_done = order_on_done;
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("n"), span_of(value));
        store_submit(f.store, &writes[i].write, &txn);
        CHECK(!txn.ops);
    }
    CHECK_INT(next, 0); /* never from inside submit */
    while (next < N)
        fixture_turn(&f);
    fixture_fini(&f);
}

TEST(limits_are_answers)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    char *big = mem_zalloc(STORE_VALUE_MAX + 1, 1);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("a"), (struct span){ big, STORE_VALUE_MAX + 1 });
    CHECK_INT(fixture_commit(&f, &txn), STORE_TOO_LARGE);
    txn_put(&txn, (struct span){ big, STORE_KEY_MAX + 1 }, SPAN("v"));
    CHECK_INT(fixture_commit(&f, &txn), STORE_TOO_LARGE);
    txn_expect(&txn, (struct span){ big, STORE_KEY_MAX + 1 }, 0);
    CHECK_INT(fixture_commit(&f, &txn), STORE_TOO_LARGE);
    for (int i = 0; i < 17; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%d", i);
        txn_put(&txn, span_of(key), (struct span){ big, STORE_VALUE_MAX });
    }
    CHECK_INT(fixture_commit(&f, &txn), STORE_TOO_LARGE);
    for (unsigned i = 0; i <= STORE_TXN_OPS_MAX; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%u", i);
        txn_put(&txn, span_of(key), SPAN_NULL);
    }
    CHECK_INT(fixture_commit(&f, &txn), STORE_TOO_LARGE);
    CHECK_INT(store_revision(f.store), 0);

    txn_put(&txn, (struct span){ big, STORE_KEY_MAX }, (struct span){ big, STORE_VALUE_MAX });
    CHECK_INT(fixture_commit(&f, &txn), 0);
    fixture_reopen(&f);
    CHECK_INT(store_find(f.store, (struct span){ big, STORE_KEY_MAX })->value.size,
              STORE_VALUE_MAX);
    free(big);
    fixture_fini(&f);
}

TEST(a_store_opens_once)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct store *second = NULL;
    struct problem problem = { 0 };
    CHECK_INT(store_open(f.loop, &f.settings, &second, &problem), STORE_LOCKED);
    CHECK_STR(problem.path, f.path);
    CHECK(strstr(problem.text, "in use by another process"));
    fixture_fini(&f);
}

TEST(files_are_for_owner_and_group_only)
{
    umask(0);
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    struct stat info;
    CHECK_INT(stat(f.path, &info), 0);
    CHECK_INT(info.st_mode & 0777, 0750);
    static const char *const names[] = { "store.db", "store.db-wal", "store.head", "ledger.db" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", f.path, names[i]);
        CHECK_INT(stat(path, &info), 0);
        CHECK_INT(info.st_mode & 0777, 0640);
    }
    fixture_fini(&f);
}

TEST(closing_finishes_what_was_submitted)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct fixture_write write;
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("a"), SPAN("1"));
    fixture_submit(&f, &write, &txn);
    fixture_close(&f);
    CHECK_INT(write.answer, 0);
    fixture_open(&f);
    CHECK_STR(fixture_get(&f, "a"), "1");
    fixture_fini(&f);
}

struct late_write {
    struct fixture_write first, second;
    struct fixture *fixture;
};

static void late_on_done(struct store_write *write, int answer, int64_t revision)
{
    fixture_on_done(write, answer, revision);
    struct late_write *self = container_of(write, struct late_write, first.write);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("b"), SPAN("2"));
    fixture_submit(self->fixture, &self->second, &txn);
}

TEST(a_write_that_comes_while_closing_is_refused)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct late_write late = { .fixture = &f, .first.answer = -1, .second.answer = -1 };
    late.first.write.on_done = late_on_done;
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("a"), SPAN("1"));
    store_submit(f.store, &late.first.write, &txn);
    struct store *store = f.store;
    CHECK(!store_close(store));
    f.store = NULL;
    CHECK_INT(late.first.answer, 0);
    CHECK_INT(late.second.answer, STORE_READ_ONLY);
    fixture_fini(&f);
}

TEST(a_directory_that_cannot_be_made_is_explained)
{
    struct fixture f;
    fixture_init(&f);
    f.settings.path = "/nonexistent/deeper/data";
    CHECK(fixture_try_open(&f) < 0);
    CHECK_STR(f.problem.path, "/nonexistent/deeper/data");
    CHECK(strstr(f.problem.text, "cannot be made a directory"));
    fixture_fini(&f);
}
