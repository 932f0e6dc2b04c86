/* SPDX-License-Identifier: Apache-2.0 */

#include "fake/clock.h"
#include "store/etcd.h"

static struct etcd_cluster cluster;
static struct store_etcd_settings settings;

#define TTL NSEC_PER_SEC

/* Each case has an etcd of its own: some pause it. */
static void run_on(bool is_etcd, void (*run)(struct fixture *f))
{
    struct fixture f;
    if (is_etcd) {
        etcd_start(&cluster, 1);
        fixture_init_etcd(&f, &cluster, &settings, "/test/");
    } else {
        fixture_init(&f);
    }
    fixture_open(&f);
    run(&f);
    fixture_fini(&f);
    if (is_etcd)
        etcd_stop(&cluster);
}

#define BOTH(name_)                                                                                \
    static void name_(struct fixture *f);                                                          \
    TEST(embedded_##name_)                                                                         \
    {                                                                                              \
        run_on(false, name_);                                                                      \
    }                                                                                              \
    TEST(etcd_##name_)                                                                             \
    {                                                                                              \
        run_on(true, name_);                                                                       \
    }                                                                                              \
    static void name_(struct fixture *f)

struct holder {
    struct store_lease lease;
    int answer; /* -1 until it is there */
    int n_lost;
};

static void holder_on_granted(struct store_lease *lease, int answer)
{
    container_of(lease, struct holder, lease)->answer = answer;
}

static void holder_on_lost(struct store_lease *lease)
{
    container_of(lease, struct holder, lease)->n_lost++;
}

static void holder_start(struct fixture *f, struct holder *holder)
{
    *holder =
        (struct holder){ .lease = { .on_granted = holder_on_granted, .on_lost = holder_on_lost },
                         .answer = -1 };
    store_lease_grant(f->store, &holder->lease, TTL);
    while (holder->answer < 0)
        fixture_turn(f);
    CHECK_INT(holder->answer, 0);
    CHECK(holder->lease.id != 0);
}

static int put_leased(struct fixture *f, const char *key, const struct holder *holder)
{
    struct txn txn = { 0 };
    txn_put_leased(&txn, span_of(key), SPAN("leased"), &holder->lease);
    return fixture_commit(f, &txn);
}

static void wait_value(struct fixture *f, const char *key, const char *value)
{
    while (strcmp(fixture_get(f, key), value) != 0)
        fixture_turn(f);
}

static void turn_for(struct fixture *f, nsec time)
{
    nsec until = clock_now(clock_system()) + time;
    while (clock_now(clock_system()) < until)
        CHECK_INT(loop_turn(f->loop, 10 * NSEC_PER_MSEC), 0);
}

BOTH(what_was_put_with_a_lease_goes_when_it_is_given_up)
{
    struct holder holder, other;
    holder_start(f, &holder);
    holder_start(f, &other);
    CHECK(holder.lease.id != other.lease.id);
    CHECK_INT(put_leased(f, "a", &holder), 0);
    CHECK_INT(put_leased(f, "b", &holder), 0);
    CHECK_INT(put_leased(f, "taken", &holder), 0);
    CHECK_INT(put_leased(f, "moved", &holder), 0);
    CHECK_INT(put_leased(f, "others", &other), 0);
    CHECK_INT(fixture_put(f, "taken", "by nobody's lease"), 0);
    CHECK_INT(put_leased(f, "moved", &other), 0);
    CHECK_INT(put_leased(f, "last", &holder), 0);

    store_lease_end(&holder.lease);
    store_lease_end(&holder.lease);
    wait_value(f, "last", "(absent)");
    wait_value(f, "a", "(absent)");
    wait_value(f, "b", "(absent)");
    CHECK_STR(fixture_get(f, "taken"), "by nobody's lease");
    CHECK_STR(fixture_get(f, "moved"), "leased");
    CHECK_STR(fixture_get(f, "others"), "leased");
    CHECK_INT(holder.n_lost, 0);
}

BOTH(a_put_that_is_on_its_way_goes_with_the_lease_too)
{
    struct holder holder;
    holder_start(f, &holder);
    struct fixture_write write;
    struct txn txn = { 0 };
    txn_put_leased(&txn, SPAN("late"), SPAN("leased"), &holder.lease);
    fixture_submit(f, &write, &txn);
    store_lease_end(&holder.lease);
    int answer = fixture_wait(f, &write);
    CHECK(answer == 0 || answer == STORE_NO_LEASE);
    wait_value(f, "late", "(absent)");
    turn_for(f, TTL / 4);
    CHECK_STR(fixture_get(f, "late"), "(absent)");
}

BOTH(a_lease_that_has_ended_takes_no_keys)
{
    struct holder holder;
    holder_start(f, &holder);
    struct holder ended = holder;
    CHECK_INT(put_leased(f, "a", &holder), 0);
    store_lease_end(&holder.lease);
    wait_value(f, "a", "(absent)");
    CHECK_INT(put_leased(f, "b", &ended), STORE_NO_LEASE);
    CHECK_STR(fixture_get(f, "b"), "(absent)");
}

BOTH(a_lease_is_kept_while_its_holder_is_there)
{
    struct holder holder;
    bool is_kept = false;
    for (int tries = 0; !is_kept && tries < 5; tries++) { /* a busy machine may be too late */
        holder_start(f, &holder);
        CHECK_INT(put_leased(f, "a", &holder), 0);
        turn_for(f, 3 * TTL);
        is_kept = !holder.n_lost;
    }
    CHECK(is_kept);
    CHECK_STR(fixture_get(f, "a"), "leased");
    store_lease_end(&holder.lease);
}

/* Who comes after may find the keys for a TTL, and not for much longer. */
BOTH(what_a_process_leaves_behind_goes_a_ttl_after_it)
{
    struct holder holder;
    holder_start(f, &holder);
    CHECK_INT(put_leased(f, "a", &holder), 0);
    CHECK_INT(fixture_put(f, "b", "stays"), 0);
    nsec left = clock_now(clock_system());
    fixture_reopen(f);
    CHECK_STR(fixture_get(f, "a"), "leased");
    wait_value(f, "a", "(absent)");
    CHECK(clock_now(clock_system()) - left >= TTL / 2); /* it was renewed within a third */
    CHECK_STR(fixture_get(f, "b"), "stays");
}

/* Opening takes its time, and what was known of the time before it does not count. */
TEST(what_a_process_leaves_behind_lasts_a_full_ttl_from_when_it_is_open)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct holder holder;
    holder_start(&f, &holder);
    CHECK_INT(put_leased(&f, "a", &holder), 0);
    fixture_close(&f);
    loop_free(f.loop);

    struct fake_clock clock;
    fake_clock_init(&clock);
    f.loop = loop_new(&clock.clock);
    fake_clock_advance(&clock, 10 * TTL);
    fixture_open(&f);
    CHECK_INT(loop_turn(f.loop, 0), 0);
    CHECK_INT(fixture_put(&f, "b", "1"), 0);
    fake_clock_advance(&clock, TTL - 1);
    CHECK_INT(loop_turn(f.loop, 0), 0);
    CHECK_INT(fixture_put(&f, "b", "2"), 0); /* what ended has been done when this is */
    CHECK_STR(fixture_get(&f, "a"), "leased");
    fake_clock_advance(&clock, 1);
    wait_value(&f, "a", "(absent)");
    fixture_fini(&f);
}

/* A process that is stopped for long, and then goes on: nobody else could have let it lapse. */
TEST(embedded_a_lease_outlasts_a_pause_of_its_process)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct holder holder;
    holder_start(&f, &holder);
    CHECK_INT(put_leased(&f, "a", &holder), 0);
    pid_t self = getpid(), waker = fork();
    if (waker == 0) {
        kill(self, SIGSTOP);
        sleep(2 * TTL / NSEC_PER_SEC);
        kill(self, SIGCONT);
        _exit(0);
    }
    CHECK_INT(waitpid(waker, NULL, 0), waker);
    turn_for(&f, TTL / 4);
    CHECK_INT(fixture_put(&f, "b", "1"), 0);
    CHECK_INT(holder.n_lost, 0);
    CHECK_STR(fixture_get(&f, "a"), "leased");
    store_lease_end(&holder.lease);
    fixture_fini(&f);
}

/* --- elections --- */

struct candidate {
    struct store_election election;
    int64_t token, last_token;
    int n_held, n_lost, n_ended;
};

static void candidate_on_held(struct store_election *election, int64_t token)
{
    struct candidate *self = container_of(election, struct candidate, election);
    self->token = self->last_token = token;
    self->n_held++;
}

static void candidate_on_lost(struct store_election *election)
{
    struct candidate *self = container_of(election, struct candidate, election);
    self->token = 0;
    self->n_lost++;
}

static void candidate_on_ended(struct store_election *election)
{
    container_of(election, struct candidate, election)->n_ended++;
}

static void candidate_start(struct fixture *f, struct candidate *self, const char *name)
{
    *self = (struct candidate){ .election = { .key = SPAN("chief"),
                                              .name = span_of(name),
                                              .ttl = TTL,
                                              .on_held = candidate_on_held,
                                              .on_lost = candidate_on_lost,
                                              .on_ended = candidate_on_ended } };
    store_elect(f->store, f->loop, &self->election);
}

static void candidate_end(struct fixture *f, struct candidate *self)
{
    store_election_end(&self->election);
    while (!self->n_ended)
        fixture_turn(f);
}

static int put_fenced(struct fixture *f, int64_t token)
{
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("chief"), token);
    txn_put(&txn, SPAN("work"), SPAN("done"));
    return fixture_commit(f, &txn);
}

BOTH(one_of_many_holds_and_the_next_follows)
{
    static struct candidate all[3];
    for (int i = 0; i < 3; i++)
        candidate_start(f, &all[i], "c");
    int64_t last = 0;
    for (int round = 0; round < 3; round++) {
        struct candidate *held = NULL;
        while (!held) {
            fixture_turn(f);
            for (int i = 0; i < 3; i++)
                held = all[i].token ? &all[i] : held;
        }
        for (int i = 0; i < 3; i++)
            CHECK(&all[i] == held || !all[i].token);
        CHECK(held->token > last);
        CHECK_INT(put_fenced(f, held->token), 0);
        if (last)
            CHECK_INT(put_fenced(f, last), STORE_CONFLICT);
        last = held->token;
        held->token = 0;
        candidate_end(f, held);
    }
    wait_value(f, "chief", "(absent)");
}

BOTH(who_is_removed_by_hand_has_lost_and_stands_again)
{
    static struct candidate only;
    candidate_start(f, &only, "c");
    while (only.n_held < 1)
        fixture_turn(f);
    CHECK_INT(fixture_delete(f, "chief"), 0);
    while (only.n_held < 2)
        fixture_turn(f);
    CHECK_INT(only.n_lost, 1);
    CHECK_INT(put_fenced(f, only.token), 0);
    candidate_end(f, &only);
}

/* --- only with several processes --- */

TEST(who_is_cut_off_knows_that_he_has_lost_before_another_holds)
{
    static struct fixture a, b;
    etcd_start(&cluster, 1);
    fixture_init_etcd(&a, &cluster, &settings, "/test/");
    fixture_open(&a);
    fixture_init(&b);
    b.settings.etcd = &settings;
    fixture_open(&b);
    static struct candidate first, second;
    candidate_start(&a, &first, "a");
    while (!first.n_held)
        fixture_turn(&a);
    candidate_start(&b, &second, "b");

    /* `a` hears nothing and says nothing: its loop does not turn. */
    while (!second.n_held)
        fixture_turn(&b);
    CHECK(second.token > first.token);
    CHECK_INT(put_fenced(&b, second.token), 0);
    CHECK_INT(put_fenced(&a, first.last_token), STORE_CONFLICT); /* it may believe that it holds */
    while (!first.n_lost)
        fixture_turn(&a);
    wait_value(&a, "chief", "b");
    candidate_end(&b, &second);
    candidate_end(&a, &first);
    fixture_fini(&b);
    fixture_fini(&a);
    etcd_stop(&cluster);
}

TEST(a_lease_is_lost_in_time_when_etcd_is_away)
{
    static struct fixture f;
    etcd_start(&cluster, 1);
    fixture_init_etcd(&f, &cluster, &settings, "/test/");
    fixture_open(&f);
    struct holder holder;
    holder_start(&f, &holder);
    CHECK_INT(put_leased(&f, "a", &holder), 0);
    etcd_signal(&cluster, 0, SIGSTOP);
    nsec end = clock_now(clock_system()) + 2 * TTL; /* which etcd has made of it */
    while (!holder.n_lost) {
        CHECK_INT(loop_turn(f.loop, 10 * NSEC_PER_MSEC), 0);
        /* Whenever the machine lets us look: who looks after its end has lost it. */
        CHECK(holder.n_lost || loop_now(f.loop) <= end);
    }
    CHECK_INT(holder.lease.id, 0);
    etcd_signal(&cluster, 0, SIGCONT);
    wait_value(&f, "a", "(absent)");
    fixture_fini(&f);
    etcd_stop(&cluster);
}
