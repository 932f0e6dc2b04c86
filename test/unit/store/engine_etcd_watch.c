/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers of a watch that an etcd should not give, or that it gives rarely. They are put in where
 * those of a real one come in.
 */

#include "store/engine_etcd.h"
#include "store/etcd.h"
#include "store/maker.h"

static struct etcd_cluster cluster;
static struct store_etcd_settings settings;

struct follower {
    struct store_watch watch;
    int64_t last;
    int n_calls, n_puts, n_deletes;
};

static struct follower follower;

static void follower_on_events(struct store_watch *watch, const struct store_event *events,
                               size_t n_events, int64_t revision)
{
    struct follower *self = container_of(watch, struct follower, watch);
    CHECK(revision > self->last);
    self->last = revision;
    self->n_calls++;
    for (size_t i = 0; i < n_events; i++) {
        self->n_puts += events[i].kind == TXN_PUT;
        self->n_deletes += events[i].kind == TXN_DELETE;
    }
}

static void up(struct fixture *f)
{
    etcd_start(&cluster, 1);
    fixture_init_etcd(f, &cluster, &settings, "/test/");
    fixture_open(f);
    put_for_sure(f, "k/a", "1");
    put_for_sure(f, "k/a", "2");
    follower =
        (struct follower){ .watch = { .prefix = SPAN("k"), .on_events = follower_on_events } };
    CHECK_INT(store_watch_start(f->store, &follower.watch, 0), 0);
}

static void down(struct fixture *f)
{
    store_watch_stop(&follower.watch);
    fixture_fini(f);
    etcd_stop(&cluster);
}

static void say(struct fixture *f, const Etcd__WatchResponse *response)
{
    struct grpc_call *watch = &f->store->etcd->watch;
    uint8_t bytes[1024];
    CHECK(etcd__watch_response__get_packed_size(response) <= sizeof(bytes));
    size_t size = etcd__watch_response__pack(response, bytes);
    watch->ops->on_message(watch, (struct span){ (const char *)bytes, size });
}

/* One change; `key` is NULL for one of nothing. */
static void say_change(struct fixture *f, const char *key, const char *value, int64_t revision,
                       bool is_part)
{
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    Etcd__Event event = ETCD__EVENT__INIT, *events[] = { &event };
    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    if (key) {
        kv.key = etcd_bytes(span_of(key));
        kv.value = etcd_bytes(span_of(value ? value : ""));
        kv.mod_revision = kv.create_revision = revision;
        kv.version = 1;
        event.kv = &kv;
    }
    event.type = !value;
    response.events = events;
    response.n_events = 1;
    response.fragment = is_part;
    say(f, &response);
}

static void check_untouched(struct fixture *f, int64_t revision)
{
    CHECK_INT(follower.n_calls, 0);
    CHECK_INT(store_revision(f->store), revision);
    CHECK_STR(fixture_get(f, "k/a"), "2");
    CHECK(!store_is_read_only(f->store));
}

/* As a member that was cut off has done. */
TEST(changes_from_before_what_was_asked_for_are_not_told)
{
    struct fixture f;
    up(&f);
    int64_t revision = store_revision(f.store);
    for (int64_t past = 1; past <= revision; past++) {
        say_change(&f, "/test/k/k/a", "1", past, false);
        say_change(&f, "/test/k/k/a", NULL, past, false);
    }
    check_untouched(&f, revision);
    down(&f);
}

TEST(a_revision_that_comes_twice_is_told_once)
{
    struct fixture f;
    up(&f);
    int64_t next = store_revision(f.store) + 1;
    say_change(&f, "/test/k/k/b", "1", next, false);
    say_change(&f, "/test/k/k/b", "1", next, false);
    say_change(&f, "/test/k/k/a", NULL, next, false);
    CHECK_INT(follower.n_calls, 1);
    CHECK_STR(fixture_get(&f, "k/a"), "2");
    CHECK_STR(fixture_get(&f, "k/b"), "1");
    down(&f);
}

TEST(parts_of_a_revision_are_told_together)
{
    struct fixture f;
    up(&f);
    int64_t revision = store_revision(f.store);
    say_change(&f, "/test/k/k/b", "1", revision + 1, true);
    say_change(&f, "/test/k/k/c", "1", revision + 1, true);
    check_untouched(&f, revision);
    CHECK_STR(fixture_get(&f, "k/b"), "(absent)");
    say_change(&f, "/test/k/k/a", NULL, revision + 1, false);
    CHECK_INT(follower.n_calls, 1);
    CHECK_INT(follower.n_puts, 2);
    CHECK_INT(follower.n_deletes, 1);
    CHECK_STR(fixture_get(&f, "k/a"), "(absent)");
    CHECK_STR(fixture_get(&f, "k/c"), "1");
    CHECK_INT(store_revision(f.store), revision + 1);
    down(&f);
}

TEST(a_revision_without_its_changes_moves_nothing)
{
    struct fixture f;
    up(&f);
    int64_t revision = store_revision(f.store);
    Etcd__Header header = ETCD__HEADER__INIT;
    header.revision = revision + 1000;
    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    response.header = &header;
    say(&f, &response);
    check_untouched(&f, revision);
    put_for_sure(&f, "k/a", "3"); /* which comes below that */
    CHECK_INT(follower.n_calls, 1);
    down(&f);
}

TEST(what_is_not_ours_is_not_told)
{
    struct fixture f;
    up(&f);
    int64_t revision = store_revision(f.store);
    say_change(&f, "/other/k/k/a", "1", revision + 1, false);
    say_change(&f, "/test", "1", revision + 1, false);
    say_change(&f, NULL, "1", revision + 1, false);
    check_untouched(&f, revision);
    say_change(&f, "/test/x/k/a", "1", revision + 1, false); /* below our prefix, and of no kind */
    say_change(&f, "/test/", "1", revision + 2, false);
    CHECK_INT(follower.n_puts + follower.n_deletes, 0);
    CHECK_STR(fixture_get(&f, "k/a"), "2");
    down(&f);
}

TEST(what_cannot_be_read_ends_the_connection_and_nothing_is_missed)
{
    struct fixture f;
    up(&f);
    struct grpc_call *watch = &f.store->etcd->watch;
    watch->ops->on_message(watch, SPAN("\xff\xff\xff\xff"));
    CHECK(store_is_read_only(f.store));
    CHECK(strstr(store_trouble(f.store), "cannot be read"));
    put_for_sure(&f, "k/a", "3");
    CHECK_INT(follower.n_calls, 1);

    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    char reason[] = "for a reason";
    response.canceled = true;
    response.cancel_reason = reason;
    say(&f, &response);
    CHECK(strstr(store_trouble(f.store), "for a reason"));
    put_for_sure(&f, "k/a", "4");
    CHECK_INT(follower.n_calls, 2);
    CHECK_STR(store_trouble(f.store), "");
    down(&f);
}

/* That the past is gone which we have yet to see: all is read again, and nothing told twice. */
TEST(after_a_compaction_ahead_of_us_all_is_read_again)
{
    struct fixture f;
    up(&f);
    Etcd__WatchResponse response;
    etcd__watch_response__init(&response);
    response.canceled = true;
    response.compact_revision = store_revision(f.store) + 1;
    say(&f, &response);
    CHECK(strstr(store_trouble(f.store), "all is read again"));
    wait_writable(&f, true);
    CHECK_INT(follower.n_puts + follower.n_deletes, 0);
    put_for_sure(&f, "k/a", "3");
    CHECK_INT(follower.n_puts, 1);
    down(&f);
}
