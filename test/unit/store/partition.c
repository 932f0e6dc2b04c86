/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Three members and us, cut off from each other in every way: what was acknowledged stays, nothing
 * is done twice, and watches miss nothing.
 */

#include "store/maker.h"
#include "store/network.h"

static struct etcd_cluster cluster;
static struct store_etcd_settings settings;
static struct maker maker;

static void up(struct fixture *f)
{
    network_start(&cluster, 3);
    etcd_start(&cluster, 3);
    fixture_init_etcd(f, &cluster, &settings, "/test/");
    settings.patience = 2 * NSEC_PER_SEC;
    alarm(200); /* elections, and silence that must be noticed, several times */
    fixture_open(f);
    maker.f = f;
}

static void down(struct fixture *f)
{
    fixture_fini(f);
    etcd_stop(&cluster);
}

static void set_cut(unsigned a, unsigned b, bool is_cut)
{
    if (is_cut)
        network_cut(&cluster, a, b);
    else
        network_mend(&cluster, a, b);
}

/* One member and the two others, in both directions. */
static void set_cut_off(unsigned member, bool is_cut)
{
    for (unsigned i = 0; i < 3; i++) {
        if (i != member)
            set_cut(i, member, is_cut);
    }
}

static void set_our_side_cut(bool is_cut)
{
    for (unsigned i = 0; i < 3; i++)
        set_cut(i, NETWORK_TEST, is_cut);
}

/* etcdctl on the other side. */
static bool ctl_at(unsigned member, const char *arguments)
{
    const struct etcd_member *there = &cluster.members[member];
    return network_run(there->net_fd,
                       "env ETCDCTL_API=3 etcdctl --endpoints=http://%s:%d --command-timeout=20s "
                       "%s >/dev/null 2>&1",
                       there->host, there->port, arguments) == 0;
}

struct follower {
    struct store_watch watch;
    int64_t last;
    int n_puts, n_deletes;
};

static void follower_on_events(struct store_watch *watch, const struct store_event *events,
                               size_t n_events, int64_t revision)
{
    struct follower *self = container_of(watch, struct follower, watch);
    CHECK(revision > self->last);
    self->last = revision;
    for (size_t i = 0; i < n_events; i++) {
        self->n_puts += events[i].kind == TXN_PUT;
        self->n_deletes += events[i].kind == TXN_DELETE;
    }
}

TEST(who_is_cut_off_from_all_takes_nothing_and_goes_on_after)
{
    struct fixture f;
    up(&f);
    maker_run(&maker, 20);
    maker_fill(&maker, 8);
    set_our_side_cut(true);
    wait_writable(&f, false);
    CHECK(store_trouble(f.store)[0]);
    CHECK_STR(fixture_get(&f, "m000"), "made"); /* what is known is served */
    CHECK_INT(fixture_put(&f, "refused", "1"), STORE_READ_ONLY);
    set_our_side_cut(false);
    maker_run(&maker, 30);
    maker_check(&maker);
    CHECK_STR(fixture_get(&f, "refused"), "(absent)");
    CHECK_STR(store_trouble(f.store), "");
    down(&f);
}

/* Each in its turn, so also the leader, and the one that we speak to. */
TEST(a_member_that_is_cut_off_from_the_others_is_left)
{
    struct fixture f;
    up(&f);
    for (unsigned i = 0; i < 3; i++) {
        maker_run(&maker, 20);
        maker_fill(&maker, 8);
        set_cut_off(i, true);
        maker_run(&maker, 30);
        set_cut_off(i, false);
        maker_run(&maker, 10);
    }
    maker_check(&maker);
    down(&f);
}

TEST(a_leader_that_nobody_hears_is_followed_by_another)
{
    struct fixture f;
    up(&f);
    maker_run(&maker, 20);
    unsigned was = etcd_leader(&cluster);
    maker_fill(&maker, 8);
    set_cut_off(was, true);
    set_cut(was, NETWORK_TEST, true);
    maker_run(&maker, 30);
    set_cut_off(was, false);
    set_cut(was, NETWORK_TEST, false);
    maker_run(&maker, 30);
    maker_check(&maker);
    down(&f);
}

/* It hears what the others say, and they hear nothing of it. */
TEST(a_leader_that_can_hear_and_not_speak_is_followed_by_another)
{
    struct fixture f;
    up(&f);
    maker_run(&maker, 20);
    unsigned was = etcd_leader(&cluster);
    maker_fill(&maker, 8);
    for (unsigned i = 0; i < 3; i++) {
        if (i != was)
            network_lead_astray(&cluster, was, i, true);
    }
    network_lead_astray(&cluster, was, NETWORK_TEST, true);
    maker_run(&maker, 30);
    for (unsigned i = 0; i < 3; i++) {
        if (i != was)
            network_lead_astray(&cluster, was, i, false);
    }
    network_lead_astray(&cluster, was, NETWORK_TEST, false);
    maker_run(&maker, 20);
    maker_check(&maker);
    down(&f);
}

/* We are on the side of one member, and the other two go on without us. */
TEST(who_is_with_the_minority_serves_what_it_knows_and_learns_the_rest)
{
    struct fixture f;
    up(&f);
    put_for_sure(&f, "k/gone", "1");
    put_for_sure(&f, "k/same", "1");
    put_for_sure(&f, "k/changed", "1");
    struct follower follower = {
        .watch = { .prefix = SPAN("k"), .on_events = follower_on_events },
    };
    CHECK_INT(store_watch_start(f.store, &follower.watch, 0), 0);
    unsigned was = etcd_leader(&cluster), other = (was + 1) % 3;
    set_cut_off(was, true);
    for (unsigned i = 0; i < 3; i++) {
        if (i != was)
            set_cut(i, NETWORK_TEST, true);
    }
    wait_writable(&f, false);
    CHECK_STR(fixture_get(&f, "k/changed"), "1");
    struct txn barrier = { 0 };
    CHECK_INT(fixture_commit(&f, &barrier), STORE_READ_ONLY); /* and not a read that is old */

    while (!ctl_at(other, "put /test/k/k/changed 2")) /* when they have elected */
        fixture_turn(&f);
    CHECK(ctl_at(other, "del /test/k/k/gone"));
    CHECK(ctl_at(other, "put /test/k/k/brief 1"));
    CHECK(ctl_at(other, "del /test/k/k/brief"));
    CHECK_STR(fixture_get(&f, "k/changed"), "1");
    CHECK_INT(follower.n_puts + follower.n_deletes, 0);

    set_cut_off(was, false);
    for (unsigned i = 0; i < 3; i++) {
        if (i != was)
            set_cut(i, NETWORK_TEST, false);
    }
    wait_value(&f, "k/gone", "(absent)");
    put_for_sure(&f, "k/last", "1");
    CHECK_STR(fixture_get(&f, "k/changed"), "2");
    CHECK_STR(fixture_get(&f, "k/same"), "1");
    CHECK_INT(follower.n_puts, 3); /* changed, brief, last: each once */
    CHECK_INT(follower.n_deletes, 2);
    store_watch_stop(&follower.watch);
    down(&f);
}

TEST(a_member_that_cannot_be_reached_does_not_keep_it_from_opening)
{
    struct fixture f;
    up(&f);
    maker_run(&maker, 10);
    for (unsigned i = 0; i < 3; i++) { /* it begins with any of them */
        fixture_close(&f);
        set_cut(i, NETWORK_TEST, true);
        fixture_open(&f);
        maker_run(&maker, 10);
        set_cut(i, NETWORK_TEST, false);
    }
    maker_check(&maker);
    down(&f);
}

/* --- leases --- */

struct holder {
    struct store_lease lease;
    struct store_watch watch;
    int answer;
    bool is_lost;
};

static void holder_on_granted(struct store_lease *lease, int answer)
{
    container_of(lease, struct holder, lease)->answer = answer;
}

static void holder_on_lost(struct store_lease *lease)
{
    container_of(lease, struct holder, lease)->is_lost = true;
}

/* It must have been told before. */
static void holder_on_events(struct store_watch *watch, const struct store_event *events,
                             size_t n_events, int64_t revision)
{
    const struct holder *self = container_of(watch, struct holder, watch);
    (void)revision;
    for (size_t i = 0; i < n_events; i++)
        CHECK(events[i].kind == TXN_PUT || self->is_lost);
}

static void hold(struct fixture *f, struct holder *holder, nsec ttl)
{
    *holder = (struct holder){
        .lease = { .on_granted = holder_on_granted, .on_lost = holder_on_lost },
        .watch = { .prefix = SPAN("leased"), .on_events = holder_on_events },
        .answer = -1,
    };
    store_lease_grant(f->store, &holder->lease, ttl);
    while (holder->answer < 0)
        fixture_turn(f);
    CHECK_INT(holder->answer, 0);
    CHECK_INT(store_watch_start(f->store, &holder->watch, 0), 0);
    struct txn txn = { 0 };
    txn_put_leased(&txn, SPAN("leased"), SPAN("1"), &holder->lease);
    CHECK_INT(fixture_commit(f, &txn), 0);
}

TEST(a_lease_is_kept_while_leaders_are_killed_paused_and_cut_off)
{
    struct fixture f;
    up(&f);
    static struct holder holder;
    hold(&f, &holder, 20 * NSEC_PER_SEC);
    nsec began = clock_now(clock_system());
    unsigned was = etcd_leader(&cluster);
    etcd_signal(&cluster, was, SIGKILL);
    maker_run(&maker, 20);
    etcd_start_member(&cluster, was);
    maker_run(&maker, 20);

    was = etcd_leader(&cluster);
    etcd_signal(&cluster, was, SIGSTOP);
    maker_run(&maker, 20);
    etcd_signal(&cluster, was, SIGCONT);
    maker_run(&maker, 20);

    was = etcd_leader(&cluster);
    set_cut_off(was, true);
    set_cut(was, NETWORK_TEST, true);
    maker_run(&maker, 20);
    set_cut_off(was, false);
    set_cut(was, NETWORK_TEST, false);
    while (clock_now(clock_system()) < began + 30 * NSEC_PER_SEC) /* it would have ended by now */
        fixture_turn(&f);
    CHECK(!holder.is_lost);
    CHECK_STR(fixture_get(&f, "leased"), "1");
    maker_check(&maker);
    store_watch_stop(&holder.watch);
    store_lease_end(&holder.lease);
    wait_value(&f, "leased", "(absent)");
    down(&f);
}

TEST(a_lease_whose_holder_is_cut_off_ends_for_both)
{
    struct fixture f;
    up(&f);
    static struct holder holder;
    hold(&f, &holder, 3 * NSEC_PER_SEC);
    set_our_side_cut(true);
    while (!holder.is_lost)
        fixture_turn(&f);
    for (unsigned tries = 0; ctl_at(0, "get /test/k/leased --print-value-only | grep -q 1");
         tries++)
        CHECK(tries < 200);
    set_our_side_cut(false);
    wait_value(&f, "leased", "(absent)");
    store_watch_stop(&holder.watch);
    down(&f);
}
