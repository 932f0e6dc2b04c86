/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Copies between the two engines: the same keys, revisions that go on, and nothing that is served
 * before it is whole.
 */

#include "store/etcd.h"

#define MANY 600

static struct etcd_cluster cluster;
static pid_t owner;

__attribute__((constructor(200))) static void cluster_up(void)
{
    owner = getpid();
    cluster.option = "--max-request-bytes=1200000";
    etcd_start(&cluster, 1);
}

__attribute__((destructor)) static void cluster_down(void)
{
    if (getpid() == owner)
        etcd_stop(&cluster);
}

/* A store of each kind, and one more directory. */
struct places {
    struct fixture here, there, third;
    struct store_etcd_settings etcd;
    char prefix[64];
    struct problem problem;
    struct store_copied copied;
};

static void places_init(struct places *places, const char *name)
{
    *places = (struct places){ 0 };
    snprintf(places->prefix, sizeof(places->prefix), "/%s/", name);
    fixture_init(&places->here);
    fixture_init_etcd(&places->there, &cluster, &places->etcd, places->prefix);
    fixture_init(&places->third);
}

static void places_fini(struct places *places)
{
    fixture_fini(&places->here);
    fixture_fini(&places->there);
    fixture_fini(&places->third);
}

static int copy_as(struct places *places, const struct fixture *from, const struct fixture *to,
                   struct store_copy copy)
{
    static const struct span left_out[] = { SPAN("elected") };
    copy.from = &from->settings;
    copy.to = &to->settings;
    copy.left_out = left_out;
    copy.n_left_out = 1;
    copy.in_use = SPAN("owner/");
    places->problem = (struct problem){ 0 };
    return store_copy(from->loop, &copy, &places->copied, &places->problem);
}

static void copy_well(struct places *places, const struct fixture *from, const struct fixture *to)
{
    int r = copy_as(places, from, to, (struct store_copy){ 0 });
    if (r)
        printf("# %s %s\n", places->problem.path, places->problem.text);
    CHECK_INT(r, 0);
}

static void put_many(struct fixture *f, unsigned from, unsigned n)
{
    struct txn txn = { 0 };
    for (unsigned i = from; i < from + n; i++) {
        char key[32], value[32];
        snprintf(key, sizeof(key), "many/%04u", i);
        snprintf(value, sizeof(value), "value %u", i);
        txn_put(&txn, span_of(key), span_of(value));
    }
    CHECK_INT(fixture_commit(f, &txn), 0);
}

static size_t count_keys(const struct fixture *f, const char *prefix)
{
    static const struct store_entry *entries[2 * MANY];
    return store_range(f->store, span_of(prefix), SPAN_NULL, entries, 2 * MANY);
}

static void fill(struct fixture *f)
{
    fixture_open(f);
    for (unsigned i = 0; i < 50; i++)
        CHECK_INT(fixture_put(f, "often", "x"), 0);
    CHECK_INT(fixture_put(f, "empty", ""), 0);
    CHECK_INT(fixture_put(f, "elected", "somebody"), 0);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("\x01\xff bytes"), SPAN("\0\x01\xff"));
    CHECK_INT(fixture_commit(f, &txn), 0);
    for (unsigned i = 0; i < MANY; i += 100)
        put_many(f, i, 100);
    fixture_close(f);
}

static void check_filled(const struct fixture *f)
{
    CHECK_INT(count_keys(f, ""), MANY + 3);
    CHECK_STR(fixture_get((struct fixture *)(uintptr_t)f, "often"), "x");
    CHECK_INT(store_find(f->store, SPAN("empty"))->value.size, 0);
    CHECK(span_equals(store_find(f->store, SPAN("\x01\xff bytes"))->value, SPAN("\0\x01\xff")));
    CHECK_STR(fixture_get((struct fixture *)(uintptr_t)f, "many/0599"), "value 599");
    CHECK(!store_find(f->store, SPAN("elected")));
}

/* --- there and back --- */

TEST(there_and_back_again_is_the_same)
{
    struct places places;
    places_init(&places, "back");
    fill(&places.here);

    copy_well(&places, &places.here, &places.there);
    CHECK_INT(places.copied.n_put, MANY + 3);
    int64_t first = places.copied.from_revision;
    fixture_open(&places.there);
    check_filled(&places.there);
    CHECK_INT(fixture_put(&places.there, "often", "y"), 0);
    CHECK_INT(fixture_put(&places.there, "often", "x"), 0);
    int64_t second = store_revision(places.there.store);
    fixture_close(&places.there);

    copy_well(&places, &places.there, &places.third);
    fixture_open(&places.third);
    check_filled(&places.third);
    CHECK(first < second && second <= places.copied.from_revision);
    CHECK(places.copied.from_revision < store_revision(places.third.store));
    places_fini(&places);
}

TEST(a_directory_goes_to_another_one)
{
    struct places places;
    places_init(&places, "unused");
    fill(&places.here);
    copy_well(&places, &places.here, &places.third);
    fixture_open(&places.third);
    check_filled(&places.third);
    int64_t revision = store_revision(places.third.store);
    CHECK_INT(fixture_put(&places.third, "a", "1"), 0);
    CHECK_INT(store_revision(places.third.store), revision + 1);
    fixture_reopen(&places.third);
    CHECK_STR(fixture_get(&places.third, "a"), "1");
    CHECK_INT(store_revision(places.third.store), revision + 1);
    places_fini(&places);
}

/* --- revisions --- */

static int64_t events_seen[8];
static size_t n_events_seen;

static void on_events(struct store_watch *watch, const struct store_event *events, size_t n_events,
                      int64_t revision)
{
    (void)watch;
    (void)events;
    (void)n_events;
    if (n_events_seen < 8)
        events_seen[n_events_seen++] = revision;
}

TEST(revisions_go_on_and_are_the_same_for_all)
{
    struct places places;
    places_init(&places, "revisions");
    fixture_open(&places.here);
    for (unsigned i = 0; i < 3000; i++)
        CHECK_INT(fixture_put(&places.here, "a", "x"), 0);
    fixture_close(&places.here);
    copy_well(&places, &places.here, &places.there);

    struct fixture *one = &places.there, *other = &places.third;
    other->settings.etcd = &places.etcd;
    fixture_open(one);
    fixture_open(other);
    const struct store_entry *entry = store_find(one->store, SPAN("a"));
    CHECK(entry->mod_revision > 3000);
    CHECK_INT(entry->mod_revision, store_find(other->store, SPAN("a"))->mod_revision);

    /* A compare with what is shown holds, one with anything else does not. */
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("a"), entry->mod_revision);
    txn_put(&txn, SPAN("b"), SPAN("1"));
    CHECK_INT(fixture_commit(one, &txn), 0);
    int64_t made = store_find(one->store, SPAN("b"))->create_revision;
    CHECK(made > entry->mod_revision);
    txn_expect(&txn, SPAN("a"), 1);
    txn_put(&txn, SPAN("c"), SPAN("1"));
    CHECK_INT(fixture_commit(one, &txn), STORE_CONFLICT);
    txn_expect(&txn, SPAN("c"), 0);
    txn_put(&txn, SPAN("c"), SPAN("1"));
    CHECK_INT(fixture_commit(one, &txn), 0);

    /* The past is read at the numbers that were shown. */
    struct store_watch watch = { .prefix = SPAN("b"), .on_events = on_events };
    CHECK_INT(store_watch_start(one->store, &watch, made), 0);
    while (!n_events_seen)
        fixture_turn(one);
    CHECK_INT(events_seen[0], made);
    store_watch_stop(&watch);
    CHECK_INT(store_watch_start(one->store, &watch, 1), STORE_COMPACTED);
    places_fini(&places);
}

TEST(an_etcd_that_loses_its_connection_goes_on_with_its_revisions)
{
    struct etcd_cluster own = { 0 };
    struct places places;
    places_init(&places, "connection");
    etcd_start(&own, 1);
    places.etcd.endpoints = own.endpoints;
    fill(&places.here);
    copy_well(&places, &places.here, &places.there);
    fixture_open(&places.there);
    int64_t before = store_revision(places.there.store);
    etcd_signal(&own, 0, SIGKILL);
    while (!store_is_read_only(places.there.store))
        fixture_turn(&places.there);
    etcd_start_member(&own, 0);
    while (store_is_read_only(places.there.store))
        fixture_turn(&places.there);
    CHECK_INT(fixture_put(&places.there, "often", "z"), 0);
    CHECK(store_find(places.there.store, SPAN("often"))->mod_revision > before);
    places_fini(&places);
    etcd_stop(&own);
}

/* --- what is there already --- */

TEST(what_is_not_empty_is_replaced_only_when_told)
{
    struct places places;
    places_init(&places, "replace");
    fill(&places.here);
    struct fixture *targets[] = { &places.there, &places.third };
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *to = targets[i];
        fixture_open(to);
        CHECK_INT(fixture_put(to, "old", "1"), 0);
        CHECK_INT(fixture_put(to, "often", "another"), 0);
        int64_t before = store_revision(to->store);
        fixture_close(to);
        CHECK_INT(copy_as(&places, &places.here, to, (struct store_copy){ 0 }), STORE_CONFLICT);
        CHECK_STR(places.problem.text, "is not empty: it has 2 keys; --replace lets them go");
        fixture_open(to);
        CHECK_STR(fixture_get(to, "old"), "1");
        fixture_close(to);

        struct store_copy copy = { .is_replacing = true };
        CHECK_INT(copy_as(&places, &places.here, to, copy), 0);
        CHECK_INT(places.copied.n_there, 2);
        fixture_open(to);
        check_filled(to);
        CHECK(store_revision(to->store) > before);
        fixture_close(to);
    }
    places_fini(&places);
}

TEST(a_dry_run_tells_and_writes_nothing)
{
    struct places places;
    places_init(&places, "dry");
    fill(&places.here);
    struct store_copy copy = { .is_dry_run = true };
    CHECK_INT(copy_as(&places, &places.here, &places.there, copy), 0);
    CHECK_INT(places.copied.n_put, MANY + 3);
    fixture_open(&places.there);
    CHECK_INT(count_keys(&places.there, ""), 0);
    fixture_close(&places.there);

    CHECK_INT(copy_as(&places, &places.here, &places.third, copy), 0);
    CHECK_INT(places.copied.n_put, MANY + 3);
    CHECK(access(places.third.path, F_OK) != 0);
    places_fini(&places);
}

TEST(one_that_is_damaged_may_be_replaced)
{
    struct places places;
    places_init(&places, "damaged");
    fill(&places.here);
    fill(&places.third);
    char path[128];
    snprintf(path, sizeof(path), "%s/store.head", places.third.path);
    CHECK_INT(truncate(path, 10), 0);
    CHECK_INT(copy_as(&places, &places.here, &places.third, (struct store_copy){ 0 }),
              STORE_CORRUPT);
    CHECK_INT(
        copy_as(&places, &places.here, &places.third, (struct store_copy){ .is_replacing = true }),
        0);
    fixture_open(&places.third);
    check_filled(&places.third);
    places_fini(&places);
}

/* --- in use --- */

TEST(a_store_in_use_is_refused)
{
    struct places places;
    places_init(&places, "use");
    fill(&places.here);
    fixture_open(&places.third);
    CHECK_INT(copy_as(&places, &places.here, &places.third, (struct store_copy){ 0 }),
              STORE_LOCKED);
    CHECK_INT(copy_as(&places, &places.third, &places.here, (struct store_copy){ 0 }),
              STORE_LOCKED);
    fixture_close(&places.third);

    fixture_open(&places.there);
    CHECK_INT(fixture_put(&places.there, "owner/abc", "1"), 0);
    fixture_close(&places.there);
    CHECK_INT(
        copy_as(&places, &places.here, &places.there, (struct store_copy){ .is_replacing = true }),
        STORE_LOCKED);
    CHECK(strstr(places.problem.text, "is in use by abc"));
    CHECK_INT(copy_as(&places, &places.there, &places.third, (struct store_copy){ 0 }),
              STORE_LOCKED);
    CHECK_INT(copy_as(&places, &places.here, &places.here, (struct store_copy){ 0 }),
              STORE_CONFLICT);
    places_fini(&places);
}

/* Every value that the other one has becomes another. */
static void change_all(struct fixture *other)
{
    fixture_open(other);
    for (unsigned i = 0; i < MANY; i += 100)
        put_many(other, i, 100);
    CHECK_INT(fixture_put(other, "often", "changed"), 0);
    fixture_close(other);
}

static struct fixture *disturber;

static void disturb(void *self, size_t n_done)
{
    (void)self;
    (void)n_done;
    struct fixture *to = steal(disturber);
    if (!to)
        return;
    fixture_open(to);
    CHECK_INT(fixture_put(to, "often", "changed"), 0);
    fixture_close(to);
}

TEST(a_source_that_changes_is_noticed)
{
    struct places places;
    places_init(&places, "changes");
    fill(&places.here);
    copy_well(&places, &places.here, &places.there);
    struct fixture other;
    fixture_init_etcd(&other, &cluster, &places.etcd, places.prefix);
    disturber = &other;
    struct store_copy copy = { .on_step = disturb };
    CHECK_INT(copy_as(&places, &places.there, &places.third, copy), STORE_CONFLICT);
    CHECK(strstr(places.problem.text, "changed while it was copied"));
    CHECK_INT(fixture_try_open(&places.third), STORE_CORRUPT);
    copy_well(&places, &places.there, &places.third);
    CHECK(places.copied.is_continued);
    fixture_open(&places.third);
    CHECK_STR(fixture_get(&places.third, "often"), "changed");
    fixture_fini(&other);
    places_fini(&places);
}

static void change_on_key(void *self, struct span key, struct span value, bool is_left_out)
{
    (void)self, (void)key, (void)value, (void)is_left_out;
    if (disturber)
        change_all(steal(disturber));
}

static void change_on_step(void *self, size_t n_done)
{
    (void)self, (void)n_done;
    if (disturber)
        change_all(steal(disturber));
}

/* A change frees what was there, also what was just looked at. */
TEST(a_source_that_changes_all_over_is_read_as_it_is)
{
    struct places places;
    places_init(&places, "all_over");
    fill(&places.here);
    copy_well(&places, &places.here, &places.there);
    const struct store_copy copies[] = { { .on_key = change_on_key },
                                         { .on_step = change_on_step } };
    for (unsigned i = 0; i < 2; i++) {
        struct fixture other, to;
        struct store_etcd_settings settings;
        fixture_init_etcd(&other, &cluster, &places.etcd, places.prefix);
        fixture_init_etcd(&to, &cluster, &settings, i ? "/second/" : "/first/");
        disturber = &other;
        CHECK_INT(copy_as(&places, &places.there, &to, copies[i]), STORE_CONFLICT);
        CHECK(strstr(places.problem.text, "changed while it was copied"));
        copy_well(&places, &places.there, &to);
        fixture_open(&to);
        CHECK_STR(fixture_get(&to, "often"), "changed");
        CHECK_STR(fixture_get(&to, "many/0599"), "value 599");
        fixture_fini(&to);
        fixture_fini(&other);
    }
    places_fini(&places);
}

/* --- breaking off --- */

static size_t die_after;

static void die(void *self, size_t n_done)
{
    (void)self;
    (void)n_done;
    if (!--die_after)
        raise(SIGKILL);
}

/* Copies in a process that is killed after so many steps; false when it came to its end. */
static bool copy_killed(struct places *places, const struct fixture *to, size_t n_steps)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        die_after = n_steps;
        struct fixture from = places->here;
        from.loop = loop_new(clock_system());
        _exit(copy_as(places, &from, to, (struct store_copy){ .on_step = die }));
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        CHECK_INT(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void check_killed(struct places *places, struct fixture *to)
{
    size_t n_killed = 0;
    fill(&places->here);
    while (copy_killed(places, to, n_killed + 1)) {
        n_killed++;
        CHECK_INT(fixture_try_open(to), STORE_CORRUPT);
        CHECK(strstr(to->problem.text, "is a copy that was not finished"));
    }
    CHECK(n_killed > 0);
    fixture_open(to);
    check_filled(to);
    fixture_close(to);
}

TEST(one_that_is_killed_is_not_served_and_goes_on)
{
    struct places places;
    places_init(&places, "killed");
    check_killed(&places, &places.there);
    check_killed(&places, &places.third);
    places_fini(&places);
}

static struct etcd_cluster *victim;

static void kill_etcd(void *self, size_t n_done)
{
    (void)self;
    (void)n_done;
    if (victim)
        etcd_signal(steal(victim), 0, SIGKILL);
}

TEST(one_that_loses_its_etcd_ends_and_goes_on)
{
    struct etcd_cluster own = { 0 };
    struct places places;
    places_init(&places, "lost");
    etcd_start(&own, 1);
    places.etcd.endpoints = own.endpoints;
    places.etcd.patience = 200 * NSEC_PER_MSEC;
    fill(&places.here);
    victim = &own;
    struct store_copy copy = { .on_step = kill_etcd };
    CHECK(copy_as(&places, &places.here, &places.there, copy) > 0);
    CHECK(strstr(places.problem.text, "took not all of it"));
    etcd_start_member(&own, 0);
    places.etcd.patience = 0;
    copy_well(&places, &places.here, &places.there);
    CHECK(places.copied.is_continued);
    fixture_open(&places.there);
    check_filled(&places.there);
    places_fini(&places);
    etcd_stop(&own);
}

/* Between the two renames the head file is that of one store and the database another's. */
TEST(one_that_is_killed_while_it_is_moved_is_not_served_and_goes_on)
{
    struct places places;
    places_init(&places, "moved");
    fill(&places.here);
    fill(&places.third);
    char from[128], to[128];
    snprintf(from, sizeof(from), "%s/store.db", places.here.path);
    snprintf(to, sizeof(to), "%s/store.db", places.third.path);
    CHECK_INT(rename(from, to), 0);
    snprintf(to, sizeof(to), "%s/store.copy", places.third.path);
    CHECK_INT(mkdir(to, 0750), 0);
    snprintf(from, sizeof(from), "%s/store.head", places.here.path);
    snprintf(to, sizeof(to), "%s/store.copy/store.head", places.third.path);
    CHECK_INT(rename(from, to), 0);
    CHECK_INT(fixture_try_open(&places.third), STORE_CORRUPT);

    fill(&places.there);
    copy_well(&places, &places.there, &places.third);
    CHECK(places.copied.is_continued);
    fixture_open(&places.third);
    check_filled(&places.third);
    places_fini(&places);
}

/* --- limits --- */

TEST(a_value_that_an_etcd_does_not_take_is_named_and_nothing_is_written)
{
    struct places places;
    places_init(&places, "limits");
    fill(&places.here);
    fixture_open(&places.here);
    CLEANUP(mem_freep) char *large = mem_zalloc(1, STORE_VALUE_MAX);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("large"), (struct span){ large, STORE_VALUE_MAX });
    CHECK_INT(fixture_commit(&places.here, &txn), 0);
    fixture_close(&places.here);
    copy_well(&places, &places.here, &places.there);

    struct etcd_cluster small = { .option = "--max-request-bytes=100000" };
    etcd_start(&small, 1);
    struct store_etcd_settings settings;
    struct fixture to;
    fixture_init_etcd(&to, &small, &settings, "/small/");
    CHECK_INT(copy_as(&places, &places.here, &to, (struct store_copy){ 0 }), STORE_TOO_LARGE);
    CHECK(strstr(places.problem.text, "does not take the key \"large\" of 1048581 bytes"));
    fixture_open(&to);
    CHECK_INT(count_keys(&to, ""), 0);
    fixture_fini(&to);
    etcd_stop(&small);
    places_fini(&places);
}
