/* SPDX-License-Identifier: Apache-2.0 */

#include "base/buf.h"
#include "store/fixture.h"

/* Writes down what it is told, as "revision:key=value key- …;". */
struct recorder {
    struct store_watch watch;
    struct buf text;
    int64_t last;
    size_t n_calls;
    bool stops_at_once;
};

static void recorder_on_events(struct store_watch *watch, const struct store_event *events,
                               size_t n_events, int64_t revision)
{
    struct recorder *self = container_of(watch, struct recorder, watch);
    CHECK(n_events > 0);
    CHECK(revision > self->last);
    self->last = revision;
    self->n_calls++;
    buf_printf(&self->text, "%lld:", (long long)revision);
    for (size_t i = 0; i < n_events; i++) {
        const struct store_entry *entry = &events[i].entry;
        CHECK_INT(entry->mod_revision, revision);
        buf_put(&self->text, entry->key);
        buf_puts(&self->text, events[i].kind == TXN_PUT ? "=" : "-");
        buf_put(&self->text, entry->value);
        buf_puts(&self->text, i + 1 < n_events ? " " : ";");
    }
    if (self->stops_at_once)
        store_watch_stop(watch);
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
    static char text[512];
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(buf_span(&recorder->text)));
    return text;
}

static void recorder_stop(struct recorder *recorder)
{
    store_watch_stop(&recorder->watch);
    buf_fini(&recorder->text);
}

static void recorder_wait(struct fixture *f, struct recorder *recorder, int64_t revision)
{
    while (recorder->last < revision)
        fixture_turn(f);
}

TEST(a_watch_is_told_of_changes_below_its_prefix)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a/0", "past"), 0);
    struct recorder all, a;
    recorder_start(&f, &all, "", 0);
    recorder_start(&f, &a, "a/", 0);

    CHECK_INT(fixture_put(&f, "a/1", "x"), 0);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("b/1"), SPAN("y"));
    txn_delete(&txn, SPAN("a/1"));
    txn_delete(&txn, SPAN("a/absent"));
    CHECK_INT(fixture_commit(&f, &txn), 0);
    CHECK_INT(fixture_put(&f, "b/2", "z"), 0);

    CHECK_STR(recorder_text(&all), "2:a/1=x;3:b/1=y a/1-;4:b/2=z;");
    CHECK_STR(recorder_text(&a), "2:a/1=x;3:a/1-;");
    recorder_stop(&all);
    recorder_stop(&a);
    fixture_fini(&f);
}

TEST(a_watch_from_the_past_goes_on_without_gap_or_repeat)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    char value[2048];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    enum {
        N = 1500
    }; /* 3 MB: several pieces */
    static struct fixture_write writes[2 * N];
    for (int i = 0; i < N; i++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("k"), span_of(value));
        fixture_submit(&f, &writes[i], &txn);
    }
    fixture_wait(&f, &writes[N - 1]);

    struct recorder watch;
    recorder_start(&f, &watch, "k", 1);
    CHECK_INT(watch.n_calls, 0); /* never from inside start */
    for (int i = N; i < 2 * N; i++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("k"), SPAN("new"));
        fixture_submit(&f, &writes[i], &txn);
    }
    fixture_wait(&f, &writes[2 * N - 1]);
    recorder_wait(&f, &watch, writes[2 * N - 1].revision);
    CHECK_INT(watch.n_calls, 2 * N); /* and in order, which on_events checks */
    recorder_stop(&watch);
    fixture_fini(&f);
}

TEST(a_watch_resumes_after_a_restart)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_INT(fixture_put(&f, "b", "2"), 0);
    CHECK_INT(fixture_delete(&f, "a"), 0);
    fixture_reopen(&f);
    struct recorder watch;
    recorder_start(&f, &watch, "", 2);
    recorder_wait(&f, &watch, 3);
    CHECK_STR(recorder_text(&watch), "2:b=2;3:a-;");
    CHECK_INT(fixture_put(&f, "c", "3"), 0);
    CHECK_STR(recorder_text(&watch), "2:b=2;3:a-;4:c=3;");
    recorder_stop(&watch);
    fixture_fini(&f);
}

TEST(a_watch_from_the_future_waits_for_it)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct recorder watch;
    recorder_start(&f, &watch, "", 3);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_INT(fixture_put(&f, "a", "2"), 0);
    CHECK_INT(fixture_put(&f, "a", "3"), 0);
    CHECK_STR(recorder_text(&watch), "3:a=3;");
    recorder_stop(&watch);
    fixture_fini(&f);
}

TEST(a_watch_may_stop_itself_live_and_in_the_past)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct recorder live, past, other;
    recorder_start(&f, &live, "", 0);
    recorder_start(&f, &other, "", 0);
    live.stops_at_once = true;
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_INT(fixture_put(&f, "a", "2"), 0);
    CHECK_STR(recorder_text(&live), "1:a=1;");
    CHECK_STR(recorder_text(&other), "1:a=1;2:a=2;");

    recorder_start(&f, &past, "", 1);
    past.stops_at_once = true;
    recorder_wait(&f, &past, 1);
    CHECK_INT(fixture_put(&f, "a", "3"), 0);
    CHECK_STR(recorder_text(&past), "1:a=1;");
    recorder_stop(&live);
    recorder_stop(&other);
    recorder_stop(&past);
    fixture_fini(&f);
}

TEST(a_watch_stopped_while_its_past_is_read_is_told_nothing)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    struct recorder *watch = mem_new(struct recorder);
    recorder_start(&f, watch, "", 1);
    store_watch_stop(&watch->watch);
    store_watch_stop(&watch->watch);
    free(watch);
    CHECK_INT(fixture_put(&f, "a", "2"), 0);
    fixture_fini(&f);
}

struct starter {
    struct store_watch watch;
    struct fixture *fixture;
    struct recorder *started;
};

static void starter_on_events(struct store_watch *watch, const struct store_event *events,
                              size_t n_events, int64_t revision)
{
    (void)events;
    (void)n_events;
    struct starter *self = container_of(watch, struct starter, watch);
    if (revision == 1)
        recorder_start(self->fixture, self->started, "", 0);
}

TEST(a_watch_started_by_a_watch_sees_the_next_change)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct recorder started = { 0 };
    struct starter starter = { .watch.on_events = starter_on_events, .fixture = &f };
    starter.started = &started;
    CHECK_INT(store_watch_start(f.store, &starter.watch, 0), 0);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    CHECK_INT(fixture_put(&f, "a", "2"), 0);
    CHECK_STR(recorder_text(&started), "2:a=2;");
    store_watch_stop(&starter.watch);
    recorder_stop(&started);
    fixture_fini(&f);
}

TEST(what_is_compacted_is_an_answer_and_what_is_kept_can_be_had)
{
    struct fixture f;
    fixture_init(&f);
    f.settings.keep_revisions = 16;
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "old", "kept although its revision is not"), 0);
    for (int i = 0; i < 100; i++)
        CHECK_INT(fixture_put(&f, "a", "1"), 0);

    struct recorder watch = { .watch.on_events = recorder_on_events };
    CHECK_INT(store_watch_start(f.store, &watch.watch, 1), STORE_COMPACTED);
    CHECK_INT(store_watch_start(f.store, &watch.watch, 70), STORE_COMPACTED);
    for (int reopened = 0; reopened < 2; reopened++) {
        recorder_start(&f, &watch, "", 86);
        recorder_wait(&f, &watch, 101);
        CHECK_INT(watch.n_calls, 16);
        recorder_stop(&watch);
        fixture_reopen(&f);
        CHECK_INT(store_revision(f.store), 101);
        CHECK_INT(store_watch_start(f.store, &watch.watch, 1), STORE_COMPACTED);
        CHECK_STR(fixture_get(&f, "old"), "kept although its revision is not");
    }
    fixture_fini(&f);
}

TEST(compaction_waits_for_a_watch_that_reads_the_past)
{
    struct fixture f;
    fixture_init(&f);
    f.settings.keep_revisions = 16;
    fixture_open(&f);
    static char big[200000]; /* so that the past comes in several pieces */
    for (int i = 0; i < 16; i++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("a"), (struct span){ big, sizeof(big) });
        CHECK_INT(fixture_commit(&f, &txn), 0);
    }

    /* All of it reaches the writer before the loop turns again: when the first piece comes back,
     * what it holds is long past what is kept. */
    struct recorder watch;
    recorder_start(&f, &watch, "b", 1);
    static struct fixture_write writes[200];
    for (int i = 0; i < 200; i++) {
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("b"), SPAN("2"));
        fixture_submit(&f, &writes[i], &txn);
    }
    recorder_wait(&f, &watch, 216);
    CHECK_INT(watch.n_calls, 200);
    recorder_stop(&watch);
    fixture_fini(&f);
}
