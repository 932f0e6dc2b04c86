/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The etcd engine when etcd dies, stops, forgets, is full, asks for a password, or is shared. Each
 * case has an etcd of its own, of one member or three.
 */

#include "store/engine_etcd.h"
#include "fake/certificate.h"
#include "io/tls.h"
#include "store/etcd.h"
#include "store/maker.h"

static struct etcd_cluster cluster;
static struct store_etcd_settings settings;

static void up(struct fixture *f, unsigned n_members)
{
    etcd_start(&cluster, n_members);
    fixture_init_etcd(f, &cluster, &settings, "/test/");
    settings.patience = 2 * NSEC_PER_SEC;
    fixture_open(f);
}

static void down(struct fixture *f)
{
    fixture_fini(f);
    etcd_stop(&cluster);
}

/* A second store on the same cluster. */
static void open_other(struct fixture *f)
{
    fixture_init(f);
    f->settings.etcd = &settings;
    fixture_open(f);
}

/* --- one member --- */

TEST(a_member_that_is_killed_loses_nothing_and_does_nothing_twice)
{
    struct fixture f;
    up(&f, 1);
    static struct maker maker = { 0 };
    maker.f = &f;
    maker_run(&maker, 20);
    for (int i = 0; i < 3; i++) {
        maker_fill(&maker, 20);
        etcd_signal(&cluster, 0, SIGKILL);
        etcd_start_member(&cluster, 0);
        maker_run(&maker, 30);
    }
    maker_check(&maker);
    down(&f);
}

TEST(while_etcd_is_paused_nothing_is_taken_and_it_comes_back_by_itself)
{
    struct fixture f;
    up(&f, 1);
    put_for_sure(&f, "a", "1");
    etcd_signal(&cluster, 0, SIGSTOP);
    static struct fixture_write sent, unsent;
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("sent"), SPAN("1"));
    fixture_submit(&f, &sent, &txn);
    wait_writable(&f, false);
    CHECK(store_trouble(f.store)[0]);
    CHECK_STR(fixture_get(&f, "a"), "1"); /* what is known is served */
    txn_put(&txn, SPAN("unsent"), SPAN("1"));
    fixture_submit(&f, &unsent, &txn);
    CHECK_INT(fixture_wait(&f, &unsent), STORE_READ_ONLY);
    CHECK_INT(sent.answer, -1); /* nobody knows yet */

    etcd_signal(&cluster, 0, SIGCONT);
    bool is_done = fixture_wait(&f, &sent) == 0; /* it lay there; whether it was read is etcd's */
    CHECK(is_done || sent.answer == STORE_READ_ONLY);
    wait_writable(&f, true);
    CHECK_STR(fixture_get(&f, "sent"), is_done ? "1" : "(absent)");
    CHECK_STR(fixture_get(&f, "unsent"), "(absent)");
    CHECK_STR(store_trouble(f.store), "");
    down(&f);
}

/* Nobody could be heard meanwhile, so nobody has fallen silent. */
TEST(a_process_that_was_stopped_does_not_think_that_etcd_was)
{
    struct fixture f;
    up(&f, 1);
    put_for_sure(&f, "a", "1");
    pid_t self = getpid(), waker = fork();
    if (waker == 0) {
        kill(self, SIGSTOP);
        sleep(2 * settings.patience / NSEC_PER_SEC);
        kill(self, SIGCONT);
        _exit(0);
    }
    CHECK_INT(waitpid(waker, NULL, 0), waker);
    nsec now = clock_now(clock_system());
    do { /* what was due meanwhile, and one look after that */
        fixture_turn(&f);
        CHECK_STR(store_trouble(f.store), "");
        CHECK(!store_is_read_only(f.store));
    } while (loop_now(f.loop) < now + NSEC_PER_SEC / 2);
    down(&f);
}

/* The system's, after stalls that take no time. */
struct stalling {
    struct clock clock;
    nsec stalled;
};

static nsec stalling_now(struct clock *clock)
{
    return clock_now(clock_system()) + container_of(clock, struct stalling, clock)->stalled;
}

static unix_msec stalling_wall(struct clock *clock)
{
    (void)clock;
    return clock_wall(clock_system());
}

/* What lay in the socket is heard first, when nobody knows of the stall yet. */
TEST(what_is_heard_after_a_stall_does_not_hide_a_silence)
{
    static struct stalling stalling = { .clock = { stalling_now, stalling_wall } };
    struct fixture a, b;
    etcd_start(&cluster, 1);
    fixture_init_etcd(&a, &cluster, &settings, "/test/");
    loop_free(a.loop);
    a.loop = loop_new(&stalling.clock);
    settings.patience = 2 * NSEC_PER_SEC;
    fixture_open(&a);
    open_other(&b);
    put_for_sure(&b, "a", "1");
    wait_value(&a, "a", "1");
    for (unsigned i = 0; i < 20; i++)
        put_for_sure(&b, "a", "2");
    stalling.stalled = 1000 * NSEC_PER_SEC;
    wait_value(&a, "a", "2");
    etcd_signal(&cluster, 0, SIGSTOP);
    wait_writable(&a, false);
    CHECK(strstr(store_trouble(a.store), "has fallen silent")); /* and not, later, broken */
    etcd_signal(&cluster, 0, SIGCONT);
    fixture_fini(&b);
    down(&a);
}

TEST(without_an_etcd_it_does_not_open_and_says_why)
{
    struct fixture f;
    cluster.n_members = 1;
    snprintf(cluster.texts[0], sizeof(cluster.texts[0]), "127.0.0.1:%d", etcd_free_port());
    cluster.endpoints[0] = cluster.texts[0];
    fixture_init_etcd(&f, &cluster, &settings, "/test/");
    settings.open_timeout = NSEC_PER_SEC;
    CHECK(fixture_try_open(&f) < 0);
    CHECK_STR(f.problem.path, "store.etcd.endpoints");
    CHECK(strstr(f.problem.text, "connection refused"));
    CHECK(strstr(f.problem.text, cluster.endpoints[0]));
    fixture_fini(&f);
}

/* --- several processes --- */

struct counter {
    struct store_command command;
    struct fixture *f;
    int left;
};

static int counter_build(struct store_command *command, struct txn *txn)
{
    struct counter *self = container_of(command, struct counter, command);
    const struct store_entry *entry = store_find(self->f->store, SPAN("count"));
    char value[16];
    int now = 0;
    if (entry)
        CHECK_INT(sscanf(fixture_get(self->f, "count"), "%d", &now), 1);
    snprintf(value, sizeof(value), "%d", now + 1);
    txn_expect(txn, SPAN("count"), entry ? entry->mod_revision : 0);
    txn_put(txn, SPAN("count"), span_of(value));
    return 0;
}

static void counter_on_done(struct store_command *command, int answer, bool is_store_answer,
                            int64_t revision)
{
    (void)is_store_answer, (void)revision;
    struct counter *self = container_of(command, struct counter, command);
    CHECK(answer == 0 || answer == STORE_READ_ONLY);
    self->left -= answer == 0;
    if (self->left > 0)
        store_run(self->f->store, command);
}

TEST(two_stores_that_count_one_key_lose_no_step)
{
    struct fixture a, b;
    up(&a, 1);
    open_other(&b);
    struct counter counters[2] = { { .f = &a, .left = 100 }, { .f = &b, .left = 100 } };
    for (int i = 0; i < 2; i++) {
        counters[i].command.build = counter_build;
        counters[i].command.on_done = counter_on_done;
        store_run(counters[i].f->store, &counters[i].command);
    }
    while (counters[0].left > 0 || counters[1].left > 0) {
        CHECK_INT(loop_turn(a.loop, NSEC_PER_MSEC), 0);
        CHECK_INT(loop_turn(b.loop, NSEC_PER_MSEC), 0);
    }
    wait_value(&a, "count", "200");
    wait_value(&b, "count", "200");
    fixture_fini(&b);
    down(&a);
}

/* --- what etcd has forgotten --- */

struct follower {
    struct store_watch watch;
    int64_t last;
    int n_puts, n_deletes, n_calls;
};

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

static void follower_start(struct fixture *f, struct follower *follower)
{
    *follower =
        (struct follower){ .watch = { .prefix = SPAN("k"), .on_events = follower_on_events } };
    CHECK_INT(store_watch_start(f->store, &follower->watch, 0), 0);
}

static void compact(int64_t revision)
{
    char command[64];
    snprintf(command, sizeof(command), "compaction %lld", (long long)revision);
    CHECK(etcd_ctl(&cluster, command));
}

/* While `a` sleeps and its connection breaks, `b` changes things and etcd forgets them. */
TEST(what_was_compacted_meanwhile_is_told_as_what_differs)
{
    struct fixture a, b;
    up(&a, 1);
    open_other(&b);
    put_for_sure(&b, "k/gone", "1");
    put_for_sure(&b, "k/same", "1");
    put_for_sure(&b, "k/changed", "1");
    wait_value(&a, "k/changed", "1");
    struct follower follower;
    follower_start(&a, &follower);

    etcd_signal(&cluster, 0, SIGKILL);
    etcd_start_member(&cluster, 0);
    wait_writable(&b, false);
    wait_writable(&b, true);
    delete_for_sure(&b, "k/gone");
    put_for_sure(&b, "k/changed", "2");
    put_for_sure(&b, "k/new", "1");
    put_for_sure(&b, "k/brief", "1");
    delete_for_sure(&b, "k/brief");
    compact(store_revision(b.store));

    wait_value(&a, "k/new", "1");
    CHECK_STR(fixture_get(&a, "k/gone"), "(absent)");
    CHECK_STR(fixture_get(&a, "k/same"), "1");
    CHECK_STR(fixture_get(&a, "k/changed"), "2");
    CHECK_INT(follower.n_calls, 1);
    CHECK_INT(follower.n_puts, 2);
    CHECK_INT(follower.n_deletes, 1);
    struct store_watch late = { .prefix = SPAN("k"), .on_events = follower_on_events };
    CHECK_INT(store_watch_start(a.store, &late, follower.last - 1), STORE_COMPACTED);

    /* And it goes on from there. */
    wait_writable(&a, true);
    put_for_sure(&b, "k/next", "1");
    wait_value(&a, "k/next", "1");
    CHECK_INT(follower.n_calls, 2);
    store_watch_stop(&follower.watch);
    fixture_fini(&b);
    down(&a);
}

/* etcd leaves out a delete of the revision that was compacted, when that is where a watch starts. */
TEST(a_delete_of_the_compacted_revision_is_not_missed)
{
    struct fixture f;
    up(&f, 1);
    put_for_sure(&f, "k/gone", "1");
    struct follower follower;
    follower_start(&f, &follower);
    int64_t seen = store_revision(f.store);
    etcd_signal(&cluster, 0, SIGKILL);
    etcd_start_member(&cluster, 0);
    for (int tries = 0; !etcd_ctl(&cluster, "del /test/k/k/gone"); tries++)
        CHECK(tries < 20);
    compact(seen + 1); /* the very next one */
    wait_value(&f, "k/gone", "(absent)");
    CHECK_INT(follower.n_deletes, 1);
    store_watch_stop(&follower.watch);
    down(&f);
}

/* What is made while nobody reads is more than all buffers hold, so etcd has to put it off. */
TEST(who_does_not_read_for_long_misses_nothing)
{
    enum {
        N = 600
    };
    struct fixture a, b;
    up(&a, 1);
    open_other(&b);
    struct follower follower;
    follower_start(&a, &follower);
    static char big[32768];
    for (int i = 0; i < N; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        struct txn txn = { 0 };
        txn_put(&txn, SPAN("big"), (struct span){ big, sizeof(big) });
        txn_put(&txn, SPAN("k/number"), span_of(value));
        int answer;
        while ((answer = fixture_commit(&b, &txn)) == STORE_READ_ONLY) {
            wait_writable(&b, true);
            txn_put(&txn, SPAN("k/number"), span_of(value));
        }
        CHECK_INT(answer, 0);
    }
    wait_value(&a, "k/number", "599");
    CHECK_INT(follower.n_puts, N);
    CHECK_INT(follower.n_calls, N);
    store_watch_stop(&follower.watch);
    fixture_fini(&b);
    down(&a);
}

TEST(an_etcd_that_is_killed_while_it_compacts_goes_on_where_it_was)
{
    struct fixture f;
    up(&f, 1);
    struct follower follower;
    follower_start(&f, &follower);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 100; i++)
            put_for_sure(&f, "k/a", "1");
        int64_t revision = store_revision(f.store);
        char command[256];
        snprintf(command, sizeof(command),
                 "ETCDCTL_API=3 etcdctl --endpoints=http://%s compaction %lld >/dev/null 2>&1 &",
                 cluster.endpoints[0], (long long)revision);
        CHECK_INT(system(command), 0);
        for (int i = 0; i < round; i++)
            fixture_turn(&f);
        etcd_signal(&cluster, 0, SIGKILL);
        etcd_start_member(&cluster, 0);
        wait_writable(&f, false);
        wait_writable(&f, true);
        put_for_sure(&f, "k/a", "2");
        CHECK(store_revision(f.store) > revision);
    }
    CHECK_INT(follower.n_puts, 4 * 101);
    store_watch_stop(&follower.watch);
    down(&f);
}

/* A member that lost its disk and got an old copy back: what was acknowledged is missing there. */
TEST(a_revision_that_goes_back_is_noticed_and_nothing_is_taken)
{
    struct fixture f;
    up(&f, 1);
    put_for_sure(&f, "a", "1");
    char command[256];
    etcd_signal(&cluster, 0, SIGKILL);
    snprintf(command, sizeof(command), "cp -r %s/m0 %s/old", cluster.dir, cluster.dir);
    CHECK_INT(system(command), 0);
    etcd_start_member(&cluster, 0);
    wait_writable(&f, false);
    wait_writable(&f, true);
    for (int i = 0; i < 50; i++)
        put_for_sure(&f, "a", "2");
    int64_t revision = store_revision(f.store);

    etcd_signal(&cluster, 0, SIGKILL);
    snprintf(command, sizeof(command), "rm -r %s/m0; mv %s/old %s/m0", cluster.dir, cluster.dir,
             cluster.dir);
    CHECK_INT(system(command), 0);
    etcd_start_member(&cluster, 0);
    while (!strstr(store_trouble(f.store), "put back to an older state"))
        fixture_turn(&f);
    CHECK(store_is_read_only(f.store));
    CHECK_INT(store_revision(f.store), revision);
    CHECK_STR(fixture_get(&f, "a"), "2");
    down(&f);
}

static void wipe_and_start(const char *option)
{
    char command[128];
    etcd_signal(&cluster, 0, SIGKILL);
    snprintf(command, sizeof(command), "rm -r %s/m0", cluster.dir);
    CHECK_INT(system(command), 0);
    cluster.option = option;
    etcd_start_member(&cluster, 0);
}

TEST(an_empty_or_another_cluster_in_its_place_is_noticed)
{
    struct fixture f;
    up(&f, 1);
    put_for_sure(&f, "a", "1");
    wipe_and_start(NULL);
    while (!strstr(store_trouble(f.store), "put back to an older state"))
        fixture_turn(&f);
    wipe_and_start("--initial-cluster-token=other");
    while (!strstr(store_trouble(f.store), "another cluster"))
        fixture_turn(&f);
    CHECK(store_is_read_only(f.store));
    CHECK_STR(fixture_get(&f, "a"), "1");
    down(&f);
}

/* --- an etcd that is full --- */

TEST(a_full_etcd_means_read_only_until_there_is_room)
{
    struct fixture f;
    cluster.option = "--quota-backend-bytes=4000000";
    up(&f, 1);
    static char big[700000];
    int answer = 0;
    for (int i = 0; i < 200 && !answer; i++) { /* it looks ten times a second */
        char key[16];
        snprintf(key, sizeof(key), "big/%d", i);
        struct txn txn = { 0 };
        txn_put(&txn, span_of(key), (struct span){ big, sizeof(big) });
        answer = fixture_commit(&f, &txn);
        CHECK(answer == 0 || answer == STORE_READ_ONLY);
        CHECK((store_find(f.store, span_of(key)) != NULL) == (answer == 0));
    }
    wait_writable(&f, false);
    CHECK(strstr(store_trouble(f.store), "space"));

    /* Somebody makes room. */
    CHECK(etcd_ctl(&cluster, "del --prefix /test/k/big"));
    CHECK(etcd_ctl(&cluster,
                   "compaction $(etcdctl --endpoints=$ETCD get none -w json "
                   "| sed 's/.*\"revision\":\\([0-9]*\\).*/\\1/')"));
    CHECK(etcd_ctl(&cluster, "defrag"));
    CHECK(etcd_ctl(&cluster, "alarm disarm"));
    wait_writable(&f, true);
    put_for_sure(&f, "a", "1");
    CHECK_STR(fixture_get(&f, "big/0"), "(absent)");
    down(&f);
}

/* And dies, so that for some of it there never is an answer; no epoch can be written after that. */
TEST(what_was_on_its_way_to_a_full_etcd_is_told)
{
    struct fixture f;
    cluster.option = "--quota-backend-bytes=4000000";
    up(&f, 1);
    enum {
        N = 400,
        AT_ONCE = 6
    };
    static struct fixture_write writes[N];
    static char big[700000];
    int n = 0, first_open = 0;
    while (!store_trouble(f.store)[0] && n < N) {
        for (; n < first_open + AT_ONCE && n < N; n++) {
            char key[16];
            snprintf(key, sizeof(key), "big/%d", n);
            struct txn txn = { 0 };
            txn_put(&txn, span_of(key), (struct span){ big, sizeof(big) });
            fixture_submit(&f, &writes[n], &txn);
        }
        fixture_turn(&f);
        while (first_open < n && writes[first_open].answer >= 0)
            first_open++;
    }
    CHECK(n < N);
    etcd_signal(&cluster, 0, SIGKILL);
    etcd_start_member(&cluster, 0);
    for (int i = 0; i < n; i++) {
        int answer = fixture_wait(&f, &writes[i]);
        char key[16];
        snprintf(key, sizeof(key), "big/%d", i);
        CHECK(answer == 0 || answer == STORE_READ_ONLY);
        CHECK((store_find(f.store, span_of(key)) != NULL) == (answer == 0));
    }
    CHECK(store_is_read_only(f.store));
    down(&f);
}

/* --- users --- */

static void enable_users(void)
{
    CHECK(etcd_ctl(&cluster, "user add root:secret"));
    CHECK(etcd_ctl(&cluster, "user grant-role root root"));
    CHECK(etcd_ctl(&cluster, "auth enable"));
}

TEST(a_user_and_a_password_let_us_in_and_a_wrong_one_does_not)
{
    struct fixture f;
    up(&f, 1);
    put_for_sure(&f, "a", "1");
    fixture_close(&f);
    enable_users();

    settings.open_timeout = NSEC_PER_SEC;
    CHECK(fixture_try_open(&f) < 0);
    settings.user = "root";
    settings.password = "wrong";
    do
        CHECK(fixture_try_open(&f) < 0);
    while (!strstr(f.problem.text, "does not let us in")); /* a hash of it takes etcd its time */
    CHECK(!strstr(f.problem.text, "wrong"));

    settings.open_timeout = 60 * NSEC_PER_SEC;
    settings.password = "secret";
    fixture_open(&f);
    CHECK_STR(fixture_get(&f, "a"), "1");
    put_for_sure(&f, "a", "2");

    /* A member forgets the tokens it gave when it is started anew. */
    etcd_signal(&cluster, 0, SIGKILL);
    etcd_start_member(&cluster, 0);
    wait_writable(&f, false);
    wait_writable(&f, true);
    put_for_sure(&f, "a", "3");
    down(&f);
}

/* The token is good for a second, and is asked for anew when it is over. */
TEST(a_token_that_has_expired_is_followed_by_another)
{
    struct fixture f;
    cluster.option = "--auth-token-ttl=1";
    up(&f, 1);
    fixture_close(&f);
    enable_users();
    settings.user = "root";
    settings.password = "secret";
    fixture_open(&f);
    const struct buf *token = &f.store->etcd->token;
    char first[128];
    snprintf(first, sizeof(first), "%.*s", SPAN_ARG(buf_span(token)));
    do { /* until it has been idle for long enough, by etcd's own clock */
        nsec until = clock_now(clock_system()) + 2 * NSEC_PER_SEC;
        while (clock_now(clock_system()) < until)
            fixture_turn(&f);
        put_for_sure(&f, "a", "1");
    } while (span_is(buf_span(token), first));
    CHECK_STR(fixture_get(&f, "a"), "1");
    CHECK_STR(store_trouble(f.store), "");
    down(&f);
}

TEST(a_user_is_let_in_by_whichever_member_is_left)
{
    struct fixture f;
    up(&f, 3);
    fixture_close(&f);
    enable_users();
    settings.user = "root";
    settings.password = "secret";
    fixture_open(&f);
    static struct maker maker = { 0 };
    maker.f = &f;
    for (unsigned i = 0; i < 3; i++) {
        maker_run(&maker, 20);
        etcd_signal(&cluster, i, SIGKILL);
        maker_run(&maker, 20);
        etcd_start_member(&cluster, i);
    }
    maker_run(&maker, 20);
    maker_check(&maker);
    down(&f);
}

TEST(tls_shows_a_certificate_and_believes_no_other)
{
    struct certificate ours, others;
    CHECK(certificate_make(&ours, "IP:127.0.0.1"));
    CHECK(certificate_make(&others, "IP:127.0.0.1"));
    cluster.certificate = ours.file;
    cluster.key = ours.key;
    etcd_start(&cluster, 1);
    struct fixture f;
    fixture_init_etcd(&f, &cluster, &settings, "/test/");
    settings.open_timeout = 2 * NSEC_PER_SEC;
    CHECK(fixture_try_open(&f) < 0); /* in plain text */

    struct tls_client_settings believing = { .ca = others.file,
                                             .certificate = ours.file,
                                             .key = ours.key };
    const struct tls_client *client;
    struct tls_client *made;
    CHECK_INT(tls_client_new(&believing, &made, NULL), 0);
    settings.tls = client = made;
    CHECK(fixture_try_open(&f) < 0); /* somebody else */
    tls_client_unref(client);

    believing.ca = ours.file;
    CHECK_INT(tls_client_new(&believing, &made, NULL), 0);
    settings.tls = client = made;
    settings.open_timeout = 60 * NSEC_PER_SEC;
    fixture_open(&f);
    put_for_sure(&f, "a", "1");
    CHECK_STR(fixture_get(&f, "a"), "1");
    tls_client_unref(client); /* the store has its own */
    put_for_sure(&f, "a", "2");
    down(&f);
    certificate_remove(&ours);
    certificate_remove(&others);
}

/* --- three members --- */

TEST(a_leader_that_is_killed_is_followed_by_another)
{
    struct fixture f;
    up(&f, 3);
    static struct maker maker = { 0 };
    maker.f = &f;
    maker_run(&maker, 20);
    unsigned was = etcd_leader(&cluster);
    etcd_signal(&cluster, was, SIGKILL);
    maker_run(&maker, 40);
    etcd_start_member(&cluster, was);
    maker_run(&maker, 20);
    etcd_signal(&cluster, (was + 1) % 3, SIGKILL); /* a follower, or the new leader */
    maker_run(&maker, 20);
    etcd_start_member(&cluster, (was + 1) % 3);
    maker_run(&maker, 20);
    maker_check(&maker);
    down(&f);
}

TEST(a_leader_that_is_paused_is_followed_by_another)
{
    struct fixture f;
    up(&f, 3);
    static struct maker maker = { 0 };
    maker.f = &f;
    maker_run(&maker, 20);
    unsigned was = etcd_leader(&cluster);
    maker_fill(&maker, 8);
    etcd_signal(&cluster, was, SIGSTOP);
    maker_run(&maker, 40);
    etcd_signal(&cluster, was, SIGCONT); /* what it still held must not be done now */
    maker_run(&maker, 40);
    maker_check(&maker);
    down(&f);
}

TEST(an_empty_transaction_is_a_barrier)
{
    struct fixture a, b;
    up(&a, 1);
    open_other(&b);
    for (int i = 0; i < 50; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        put_for_sure(&b, "a", value);
        struct txn txn = { 0 };
        while (fixture_commit(&a, &txn) == STORE_READ_ONLY)
            wait_writable(&a, true);
        CHECK_STR(fixture_get(&a, "a"), value);
    }
    fixture_fini(&b);
    down(&a);
}
