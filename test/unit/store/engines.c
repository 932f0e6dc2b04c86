/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What both engines promise: each case is run on the embedded one and on a real etcd. Revisions of
 * etcd are not consecutive, so cases compare them and do not name them.
 */

#include "base/buf.h"
#include "store/etcd.h"

static struct etcd_cluster cluster;
static pid_t owner;

/* One etcd for all cases, each below a prefix of its own. */
__attribute__((constructor(200))) static void cluster_up(void)
{
    owner = getpid();
    etcd_start(&cluster, 1);
}

__attribute__((destructor)) static void cluster_down(void)
{
    if (getpid() == owner)
        etcd_stop(&cluster);
}

static void run_on(bool is_etcd, const char *name, void (*run)(struct fixture *f))
{
    struct fixture f;
    struct store_etcd_settings settings;
    char prefix[160];
    snprintf(prefix, sizeof(prefix), "/%s/", name);
    if (is_etcd) {
        fixture_init_etcd(&f, &cluster, &settings, prefix);
        settings.patience = 30 * NSEC_PER_SEC; /* nobody takes it away here */
    } else {
        fixture_init(&f);
    }
    run(&f);
    fixture_fini(&f);
}

#define BOTH(name_)                                                                                \
    static void name_(struct fixture *f);                                                          \
    TEST(embedded_##name_)                                                                         \
    {                                                                                              \
        run_on(false, #name_, name_);                                                              \
    }                                                                                              \
    TEST(etcd_##name_)                                                                             \
    {                                                                                              \
        run_on(true, #name_, name_);                                                               \
    }                                                                                              \
    static void name_(struct fixture *f)

static int64_t put(struct fixture *f, const char *key, const char *value)
{
    CHECK_INT(fixture_put(f, key, value), 0);
    const struct store_entry *entry = store_find(f->store, span_of(key));
    CHECK(entry && span_is(entry->value, value));
    return entry->mod_revision;
}

/* --- transactions --- */

BOTH(a_new_store_is_empty)
{
    fixture_open(f);
    const struct store_entry *entry;
    CHECK_INT(store_range(f->store, SPAN(""), SPAN_NULL, &entry, 1), 0);
    CHECK(!store_is_read_only(f->store));
    CHECK_STR(store_trouble(f->store), "");
}

BOTH(puts_and_deletes_count_revisions_and_versions)
{
    fixture_open(f);
    int64_t first = put(f, "a", "1");
    int64_t second = put(f, "b", "2");
    int64_t third = put(f, "a", "3");
    CHECK(first < second && second < third);
    CHECK_INT(store_revision(f->store), third);
    const struct store_entry *a = store_find(f->store, SPAN("a"));
    CHECK_INT(a->create_revision, first);
    CHECK_INT(a->version, 2);

    CHECK_INT(fixture_delete(f, "a"), 0);
    CHECK(!store_find(f->store, SPAN("a")));
    int64_t again = put(f, "a", "4");
    a = store_find(f->store, SPAN("a"));
    CHECK(again > third);
    CHECK_INT(a->create_revision, again);
    CHECK_INT(a->version, 1);
}

BOTH(keys_and_values_are_any_bytes)
{
    fixture_open(f);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("empty"), SPAN_NULL);
    txn_put(&txn, SPAN("\0\xff key"), SPAN("\0\x01\xff"));
    txn_put(&txn, SPAN("a/b/c"), SPAN("w/e/k/"));
    CHECK_INT(fixture_commit(f, &txn), 0);
    fixture_reopen(f);
    CHECK_INT(store_find(f->store, SPAN("empty"))->value.size, 0);
    CHECK(span_equals(store_find(f->store, SPAN("\0\xff key"))->value, SPAN("\0\x01\xff")));
    CHECK_STR(fixture_get(f, "a/b/c"), "w/e/k/");
}

BOTH(a_transaction_is_one_revision)
{
    fixture_open(f);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("a"), SPAN("1"));
    txn_put(&txn, SPAN("b"), SPAN("2"));
    struct fixture_write write;
    fixture_submit(f, &write, &txn);
    CHECK_INT(fixture_wait(f, &write), 0);
    CHECK_INT(store_find(f->store, SPAN("a"))->mod_revision, write.revision);
    CHECK_INT(store_find(f->store, SPAN("b"))->mod_revision, write.revision);
}

BOTH(a_compare_that_does_not_hold_changes_nothing)
{
    fixture_open(f);
    int64_t revision = put(f, "a", "1");
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("a"), 0);
    txn_put(&txn, SPAN("a"), SPAN("2"));
    txn_put(&txn, SPAN("b"), SPAN("2"));
    CHECK_INT(fixture_commit(f, &txn), STORE_CONFLICT);
    CHECK_STR(fixture_get(f, "a"), "1");
    CHECK_STR(fixture_get(f, "b"), "(absent)");

    txn_expect(&txn, SPAN("a"), revision);
    txn_expect(&txn, SPAN("b"), 0);
    txn_put(&txn, SPAN("b"), SPAN("2"));
    CHECK_INT(fixture_commit(f, &txn), 0);
    CHECK_STR(fixture_get(f, "b"), "2");
    CHECK_INT(store_find(f->store, SPAN("a"))->mod_revision, revision);
}

BOTH(a_transaction_without_operations_is_a_checked_read)
{
    fixture_open(f);
    int64_t revision = put(f, "a", "1");
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("a"), revision);
    CHECK_INT(fixture_commit(f, &txn), 0);
    txn_expect(&txn, SPAN("a"), revision + 1);
    CHECK_INT(fixture_commit(f, &txn), STORE_CONFLICT);
    CHECK_INT(fixture_commit(f, &txn), 0); /* the empty one */
}

/* All submitted before the loop turns. */
BOTH(transactions_on_one_key_are_judged_in_order)
{
    enum {
        N = 60
    };
    static struct fixture_write writes[N];
    fixture_open(f);
    for (int i = 0; i < N; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        struct txn txn = { 0 };
        if (i % 10 == 9)
            txn_expect(&txn, SPAN("a"), 0); /* the ones before it have made the key */
        txn_put(&txn, SPAN("a"), span_of(value));
        fixture_submit(f, &writes[i], &txn);
    }
    int64_t last = 0;
    for (int i = 0; i < N; i++) {
        CHECK_INT(fixture_wait(f, &writes[i]), i % 10 == 9 ? STORE_CONFLICT : 0);
        if (writes[i].answer)
            continue;
        CHECK(writes[i].revision > last);
        last = writes[i].revision;
    }
    CHECK_STR(fixture_get(f, "a"), "58");
    CHECK_INT(store_find(f->store, SPAN("a"))->version, N - N / 10);
}

BOTH(of_many_at_once_each_has_its_own_answer)
{
    enum {
        N = 300
    };
    static struct fixture_write writes[N];
    fixture_open(f);
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%03d", i);
        struct txn txn = { 0 };
        txn_expect(&txn, span_of(key), 0);
        txn_put(&txn, span_of(key), span_of(key));
        fixture_submit(f, &writes[i], &txn);
    }
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%03d", i);
        CHECK_INT(fixture_wait(f, &writes[i]), 0);
        CHECK_INT(store_find(f->store, span_of(key))->mod_revision, writes[i].revision);
    }
}

BOTH(what_is_too_large_is_told_so_and_changes_nothing)
{
    fixture_open(f);
    unsigned max = store_txn_ops_max(f->store);
    for (unsigned more = 0; more < 2; more++) {
        struct txn txn = { 0 };
        for (unsigned i = 0; i < max + more; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%u/%u", more, i);
            txn_put(&txn, span_of(key), SPAN("v"));
        }
        CHECK_INT(fixture_commit(f, &txn), more ? STORE_TOO_LARGE : 0);
    }
    CHECK_STR(fixture_get(f, "0/0"), "v");
    CHECK_STR(fixture_get(f, "1/0"), "(absent)");

    static char big[STORE_VALUE_MAX + 1];
    for (unsigned more = 0; more < 2; more++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("big"), (struct span){ big, STORE_VALUE_MAX + more });
        CHECK_INT(fixture_commit(f, &txn), more ? STORE_TOO_LARGE : 0);
    }
    CHECK_INT(store_find(f->store, SPAN("big"))->value.size, STORE_VALUE_MAX);
    struct txn txn = { 0 };
    for (unsigned i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "all/%u", i);
        txn_put(&txn, span_of(key), (struct span){ big, STORE_VALUE_MAX });
    }
    CHECK_INT(fixture_commit(f, &txn), STORE_TOO_LARGE);
    CHECK_STR(fixture_get(f, "all/0"), "(absent)");
    CHECK_INT(fixture_put(f, "a", "still"), 0);
}

BOTH(what_a_command_sees_includes_what_it_lost_to)
{
    fixture_open(f);
    int64_t revision = put(f, "a", "1");
    static struct fixture_write first, second;
    for (int i = 0; i < 2; i++) {
        struct txn txn = { 0 };
        txn_expect(&txn, SPAN("a"), revision);
        txn_put(&txn, SPAN("a"), i ? SPAN("second") : SPAN("first"));
        fixture_submit(f, i ? &second : &first, &txn);
    }
    CHECK_INT(fixture_wait(f, &second), STORE_CONFLICT);
    CHECK_INT(first.answer, 0);
    CHECK_STR(fixture_get(f, "a"), "first");
}

/* --- watches --- */

/* Writes down what it is told, as "key=value key-;" for each revision. */
struct recorder {
    struct store_watch watch;
    struct buf text;
    int64_t last;
    size_t n_calls;
};

static void recorder_on_events(struct store_watch *watch, const struct store_event *events,
                               size_t n_events, int64_t revision)
{
    struct recorder *self = container_of(watch, struct recorder, watch);
    CHECK(n_events > 0);
    CHECK(revision > self->last);
    self->last = revision;
    self->n_calls++;
    for (size_t i = 0; i < n_events; i++) {
        const struct store_entry *entry = &events[i].entry;
        CHECK_INT(entry->mod_revision, revision);
        buf_put(&self->text, entry->key);
        buf_puts(&self->text, events[i].kind == TXN_PUT ? "=" : "-");
        buf_put(&self->text, entry->value);
        buf_puts(&self->text, i + 1 < n_events ? " " : ";");
    }
}

static void recorder_start(struct fixture *f, struct recorder *recorder, const char *prefix,
                           int64_t from)
{
    *recorder = (struct recorder){ .watch.on_events = recorder_on_events };
    recorder->watch.prefix = span_of(prefix);
    CHECK_INT(store_watch_start(f->store, &recorder->watch, from), 0);
}

static const char *recorder_text(struct recorder *recorder)
{
    static char text[1024];
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(buf_span(&recorder->text)));
    return text;
}

static void recorder_stop(struct recorder *recorder)
{
    store_watch_stop(&recorder->watch);
    buf_fini(&recorder->text);
}

static void recorder_wait(struct fixture *f, struct recorder *recorder, size_t n_calls)
{
    while (recorder->n_calls < n_calls)
        fixture_turn(f);
}

BOTH(a_watch_is_told_of_changes_below_its_prefix)
{
    fixture_open(f);
    put(f, "a/0", "past");
    struct recorder all, a;
    recorder_start(f, &all, "", 0);
    recorder_start(f, &a, "a/", 0);
    put(f, "a/1", "x");
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("b/1"), SPAN("y"));
    txn_delete(&txn, SPAN("a/1"));
    txn_delete(&txn, SPAN("a/absent"));
    CHECK_INT(fixture_commit(f, &txn), 0);
    CHECK_INT(fixture_delete(f, "a/absent"), 0); /* nobody is told of nothing */
    put(f, "b/2", "z");
    CHECK_STR(recorder_text(&all), "a/1=x;b/1=y a/1-;b/2=z;");
    CHECK_STR(recorder_text(&a), "a/1=x;a/1-;");
    recorder_stop(&all);
    recorder_stop(&a);
}

BOTH(a_watch_from_the_past_goes_on_without_gap_or_repeat)
{
    enum {
        N = 400
    };
    static struct fixture_write writes[2 * N];
    static char value[8192]; /* several pieces of the past */
    memset(value, 'v', sizeof(value));
    fixture_open(f);
    int64_t first = put(f, "first", "1");
    for (int i = 0; i < N; i++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("k"), (struct span){ value, sizeof(value) });
        fixture_submit(f, &writes[i], &txn);
    }
    for (int i = 0; i < N; i++)
        CHECK_INT(fixture_wait(f, &writes[i]), 0);

    struct recorder watch;
    recorder_start(f, &watch, "", first);
    for (int i = N; i < 2 * N; i++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("k"), SPAN("new"));
        fixture_submit(f, &writes[i], &txn);
    }
    recorder_wait(f, &watch, 2 * N + 1);
    CHECK_INT(fixture_wait(f, &writes[2 * N - 1]), 0);
    CHECK_INT(watch.n_calls, 2 * N + 1);
    CHECK_INT(watch.last, writes[2 * N - 1].revision);
    recorder_stop(&watch);
}

BOTH(a_watch_goes_on_after_a_restart)
{
    fixture_open(f);
    put(f, "a", "1");
    int64_t seen = put(f, "a", "2");
    put(f, "b", "3");
    CHECK_INT(fixture_delete(f, "a"), 0);
    fixture_reopen(f);
    put(f, "c", "4");
    struct recorder watch, late;
    recorder_start(f, &watch, "", seen + 1);
    recorder_start(f, &late, "", store_revision(f->store) + 1);
    recorder_wait(f, &watch, 3);
    put(f, "c", "5");
    CHECK_STR(recorder_text(&watch), "b=3;a-;c=4;c=5;");
    CHECK_STR(recorder_text(&late), "c=5;");
    recorder_stop(&watch);
    recorder_stop(&late);
}

BOTH(what_is_compacted_is_an_answer_and_what_is_kept_can_be_had)
{
    f->settings.keep_revisions = 16;
    fixture_open(f);
    int64_t old = put(f, "old", "kept although its revision is not");
    int64_t kept = 0;
    for (int i = 0; i < 100; i++) {
        int64_t revision = put(f, "a", "1");
        kept = i == 90 ? revision : kept;
    }
    struct recorder watch = { .watch.on_events = recorder_on_events };
    for (int reopened = 0; reopened < 2; reopened++) {
        CHECK_INT(store_watch_start(f->store, &watch.watch, old), STORE_COMPACTED);
        recorder_start(f, &watch, "", kept);
        recorder_wait(f, &watch, 10);
        CHECK_INT(watch.n_calls, 10);
        recorder_stop(&watch);
        fixture_reopen(f);
        CHECK_STR(fixture_get(f, "old"), "kept although its revision is not");
    }
}

BOTH(a_reopened_store_has_everything)
{
    fixture_open(f);
    int64_t first = 0;
    for (int i = 0; i < 300; i++) {
        char key[16], value[16];
        snprintf(key, sizeof(key), "k%03d", i % 100);
        snprintf(value, sizeof(value), "v%d", i);
        int64_t revision = put(f, key, value);
        first = i == 99 ? revision : first;
    }
    CHECK_INT(fixture_delete(f, "k050"), 0);
    int64_t revision = store_revision(f->store);
    fixture_reopen(f);
    CHECK(store_revision(f->store) >= revision);
    const struct store_entry *entries[200];
    CHECK_INT(store_range(f->store, SPAN("k"), SPAN_NULL, entries, 200), 99);
    CHECK_STR(fixture_get(f, "k050"), "(absent)");
    CHECK_STR(fixture_get(f, "k099"), "v299");
    CHECK_INT(store_find(f->store, SPAN("k099"))->version, 3);
    CHECK_INT(store_find(f->store, SPAN("k099"))->create_revision, first);
    CHECK(put(f, "k050", "again") > revision);
}

/* --- closing --- */

static int n_told;

static void count_on_done(struct store_write *write, int answer, int64_t revision)
{
    (void)write, (void)revision;
    CHECK_INT(answer, 0);
    n_told++;
}

BOTH(what_was_submitted_is_done_before_it_closes)
{
    static struct store_write writes[100];
    fixture_open(f);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        struct txn txn = { 0 };
        txn_put(&txn, span_of(key), SPAN("v"));
        writes[i].on_done = count_on_done;
        store_submit(f->store, &writes[i], &txn);
    }
    fixture_close(f);
    CHECK_INT(n_told, 100);
    fixture_open(f);
    const struct store_entry *entries[200];
    CHECK_INT(store_range(f->store, SPAN("k"), SPAN_NULL, entries, 200), 100);
}

BOTH(a_directory_is_one_processs)
{
    fixture_open(f);
    struct store *second;
    struct problem problem;
    CHECK_INT(store_open(f->loop, &f->settings, &second, &problem), STORE_LOCKED);
}
