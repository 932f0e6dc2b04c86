/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/clock.h"
#include "fake/store.h"
#include "registry/fold.h"

#define SECONDS(n) ((n)*NSEC_PER_SEC)

/* Three processes that fold the same keys. */
enum {
    A,
    B,
    C,
    N_PROCESSES
};

static struct {
    struct fake_store store;
    struct fake_clock clock;
    struct registry *registries[N_PROCESSES];
    struct txn txn;
} fake;

static const char *const ids[] = { "a", "b", "c" };

static void on_event(struct fake_store *store, const struct store_event *event)
{
    (void)store;
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        CHECK_INT(registry_apply(fake.registries[i], event, fake.clock.now, fake.clock.wall), 0);
        CHECK(registry_is_sound(fake.registries[i]));
    }
}

static void commit(void)
{
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
}

/* What its lease does. */
static void come_on(unsigned process, const char *host)
{
    struct store_lease lease = { .id = 1 };
    owner_put(fake.registries[process], span_of(host), SPAN("http://127.0.0.1:7000"),
              fake.clock.wall, &lease, &fake.txn);
    commit();
}

static void come(unsigned process)
{
    come_on(process, "host");
}

static void go(unsigned process)
{
    char key[64];
    snprintf(key, sizeof(key), REGISTRY_PREFIX "owner/%s", ids[process]);
    txn_delete(&fake.txn, span_of(key));
    commit();
}

static void elect(unsigned process)
{
    for (unsigned i = 0; i < N_PROCESSES; i++)
        registry_set_elected(fake.registries[i], i == process, fake.clock.now);
}

static void start(void)
{
    memset(&fake, 0, sizeof(fake));
    fake_store_init(&fake.store, on_event);
    fake_clock_init(&fake.clock);
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        fake.registries[i] = registry_new();
        registry_set_self(fake.registries[i], span_of(ids[i]));
    }
    for (unsigned i = 0; i < N_PROCESSES; i++)
        come(i);
    elect(A);
}

static void end(void)
{
    txn_fini(&fake.txn);
    for (unsigned i = 0; i < N_PROCESSES; i++)
        registry_free(fake.registries[i]);
    fake_store_fini(&fake.store);
}

static void register_at(unsigned process, nsec ttl)
{
    const struct instance_spec spec = {
        .service = SPAN("orders"),
        .id = SPAN("o1"),
        .address = SPAN("10.0.0.7:8080"),
        .build = { .version = SPAN("3.1.0") },
        .ttl = ttl,
    };
    CHECK_INT(instance_put(fake.registries[process], &spec, fake.clock.wall, &fake.txn, NULL), 0);
    if (fake.txn.n_ops)
        commit();
    else
        txn_clear(&fake.txn);
}

static int beat_at(unsigned process)
{
    return instance_heartbeat(fake.registries[process], SPAN("orders"), SPAN("o1"), fake.clock.now,
                              fake.clock.wall);
}

static struct instance *instance_at(unsigned process)
{
    const struct service *service = service_find(fake.registries[process], SPAN("orders"));
    return service ? instance_find(service, SPAN("o1")) : NULL;
}

/* The one process that owns it now, or N_PROCESSES. */
static unsigned owner_now(void)
{
    unsigned owner = N_PROCESSES;
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        if (!registry_owns(fake.registries[i], instance_at(i)))
            continue;
        CHECK_INT(owner, N_PROCESSES);
        owner = i;
    }
    return owner;
}

/* How many each process would take away now. */
static size_t expire_at(unsigned process)
{
    size_t n = registry_expire(fake.registries[process], fake.clock.now, &fake.txn);
    txn_clear(&fake.txn);
    return n;
}

/* What is on loopback there is something else here. */
TEST(an_instance_is_away_on_other_hosts_than_its_owners)
{
    start();
    registry_set_host(fake.registries[A], SPAN("host"));
    registry_set_host(fake.registries[B], SPAN("host"));
    registry_set_host(fake.registries[C], SPAN("other"));
    come_on(C, "other");
    register_at(A, 0);
    CHECK(!instance_is_away(instance_at(A)));
    CHECK(!instance_is_away(instance_at(B))); /* another process of that host */
    CHECK(instance_is_away(instance_at(C)));

    /* An owner that is gone was where it was last seen; one that never was seen, who knows. */
    go(A);
    elect(C);
    CHECK(!instance_is_away(instance_at(A)));
    CHECK(!instance_is_away(instance_at(B)));
    CHECK(registry_owns(fake.registries[C], instance_at(C)) && instance_is_away(instance_at(C)));
    registry_free(fake.registries[B]);
    fake.registries[B] = registry_new();
    registry_set_self(fake.registries[B], SPAN("b"));
    registry_set_host(fake.registries[B], SPAN("host"));
    register_at(A, NSEC_PER_SEC);
    CHECK(instance_is_away(instance_at(B)));
    come(A);
    CHECK(!instance_is_away(instance_at(B)));

    /* From before there was a cluster: it is here while nobody is elsewhere. */
    come_on(C, "host");
    registry_set_host(fake.registries[C], SPAN("host"));
    struct registry *alone = fake.registries[A];
    registry_set_self(alone, SPAN(""));
    register_at(A, 0);
    registry_set_self(alone, SPAN("a"));
    CHECK(!instance_at(A)->owner && !instance_is_away(instance_at(A)));
    come_on(C, "other");
    CHECK(instance_is_away(instance_at(A)));
    end();
}

TEST(who_is_there_is_known_everywhere)
{
    start();
    CHECK_INT(registry_owners(fake.registries[B])->n_nodes, 3);
    CHECK_STR(registry_self(fake.registries[B])->host, "host");
    CHECK_STR(registry_self(fake.registries[B])->api, "http://127.0.0.1:7000");
    go(B);
    CHECK(!registry_self(fake.registries[B]));
    CHECK_INT(registry_owners(fake.registries[A])->n_nodes, 2);
    txn_put(&fake.txn, SPAN(REGISTRY_ELECTED_KEY), SPAN("c"));
    commit();
    CHECK(span_is(registry_elected(fake.registries[A]), "c"));
    txn_delete(&fake.txn, SPAN(REGISTRY_ELECTED_KEY));
    commit();
    CHECK(span_is(registry_elected(fake.registries[A]), ""));
    end();
}

TEST(an_address_of_loopback_is_reached_on_its_own_host)
{
    static const struct {
        const char *host, *api;
        bool is_reached;
    } rows[] = {
        { "here", "http://127.0.0.1:7000", true },   { "here", "https://[::1]:7000", true },
        { "there", "http://127.0.0.1:7000", false }, { "there", "https://127.9.0.1:7000", false },
        { "there", "https://[::1]:7000", false },    { "there", "https://10.0.0.2:7000", true },
        { "there", "https://there:7000", true },     { "there", "https://[fd00::1]:7000", true },
    };
    const struct store_lease lease = { .id = 1 };
    start();
    owner_put(fake.registries[A], SPAN("here"), SPAN("http://127.0.0.1:7000"), fake.clock.wall,
              &lease, &fake.txn);
    commit();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        owner_put(fake.registries[B], span_of(rows[i].host), span_of(rows[i].api), fake.clock.wall,
                  &lease, &fake.txn);
        commit();
        CHECK_INT(registry_reaches(fake.registries[A], registry_self(fake.registries[B])),
                  rows[i].is_reached);
    }
    /* Who is not a member has no host. */
    go(A);
    CHECK(!registry_reaches(fake.registries[A], registry_self(fake.registries[C])));
    end();
}

TEST(a_deadline_runs_at_the_owner_alone)
{
    start();
    register_at(B, SECONDS(10));
    CHECK_INT(owner_now(), B);
    CHECK(registry_next_deadline(fake.registries[A]) == NSEC_NEVER);
    CHECK(registry_next_deadline(fake.registries[C]) == NSEC_NEVER);
    fake_clock_advance(&fake.clock, SECONDS(10));
    CHECK_INT(expire_at(A), 0);
    CHECK_INT(expire_at(C), 0);
    CHECK_INT(expire_at(B), 1);
    end();
}

TEST(a_heartbeat_elsewhere_counts_when_it_has_been_claimed)
{
    start();
    register_at(B, SECONDS(10));
    int64_t registered = instance_at(A)->registered;
    CHECK_INT(beat_at(B), 0);
    CHECK_INT(beat_at(C), REGISTRY_TRANSITION);
    fake_clock_advance(&fake.clock, SECONDS(4));
    CHECK_INT(instance_claim(fake.registries[C], SPAN("orders"), SPAN("o1"), &fake.txn), 0);
    commit();
    CHECK_INT(owner_now(), C);
    CHECK_INT(beat_at(C), 0);
    CHECK_INT(beat_at(B), REGISTRY_TRANSITION);
    CHECK_INT(registry_next_deadline(fake.registries[C]), fake.clock.now + SECONDS(10));
    CHECK(registry_next_deadline(fake.registries[B]) == NSEC_NEVER);
    CHECK_INT(instance_at(A)->registered, registered);

    CHECK_INT(instance_claim(fake.registries[C], SPAN("orders"), SPAN("o1"), &fake.txn), 0);
    CHECK_INT(fake.txn.n_ops, 0);
    CHECK_INT(instance_claim(fake.registries[C], SPAN("orders"), SPAN("o2"), &fake.txn),
              REGISTRY_NOT_FOUND);
    end();
}

TEST(a_heartbeat_elsewhere_brings_back_what_had_expired)
{
    start();
    register_at(B, SECONDS(10));
    fake_clock_advance(&fake.clock, SECONDS(10));
    CHECK_INT(registry_expire(fake.registries[B], fake.clock.now, &fake.txn), 1);
    commit();
    CHECK(instance_at(C)->is_expired);
    CHECK_INT(owner_now(), B);
    CHECK_INT(beat_at(C), REGISTRY_TRANSITION);
    CHECK_INT(instance_claim(fake.registries[C], SPAN("orders"), SPAN("o1"), &fake.txn), 0);
    commit();
    CHECK(!instance_at(A)->is_expired);
    CHECK_INT(owner_now(), C);
    CHECK_INT(registry_next_deadline(fake.registries[C]), fake.clock.now + SECONDS(10));
    end();
}

TEST(what_expired_at_one_that_is_gone_is_removed_by_the_elected_one)
{
    start();
    register_at(B, SECONDS(10));
    fake_clock_advance(&fake.clock, SECONDS(10));
    CHECK_INT(registry_expire(fake.registries[B], fake.clock.now, &fake.txn), 1);
    commit();
    fake_clock_advance(&fake.clock, SECONDS(30));
    go(B);
    CHECK_INT(registry_next_deadline(fake.registries[A]), fake.clock.now + SECONDS(60));
    fake_clock_advance(&fake.clock, SECONDS(60));
    CHECK_INT(expire_at(C), 0);
    CHECK_INT(registry_expire(fake.registries[A], fake.clock.now, &fake.txn), 1);
    commit();
    CHECK_INT(service_find(fake.registries[C], SPAN("orders"))->instances.n_nodes, 0);
    end();
}

/* As those do whose only sign of life it is. */
TEST(registering_again_elsewhere_is_a_change_of_owner)
{
    start();
    register_at(B, SECONDS(10));
    int64_t registered = instance_at(A)->registered;
    fake_clock_advance(&fake.clock, SECONDS(4));
    fake.clock.wall += 4000;
    register_at(C, SECONDS(10));
    CHECK_INT(owner_now(), C);
    CHECK_INT(instance_at(A)->registered, registered);
    int64_t revision = instance_at(A)->mod_revision;
    register_at(C, SECONDS(10));
    CHECK_INT(instance_at(A)->mod_revision, revision);
    end();
}

TEST(what_is_no_sign_of_life_leaves_the_owner)
{
    start();
    register_at(B, SECONDS(10));
    CHECK_INT(instance_drain(fake.registries[C], SPAN("orders"), SPAN("o1"), &fake.txn), 0);
    commit();
    CHECK_INT(owner_now(), B);

    const struct instance_spec spec = {
        .service = SPAN("orders"),
        .id = SPAN("o1"),
        .address = SPAN("10.0.0.7:8080"),
        .build = { .version = SPAN("3.1.0") },
        .ttl = SECONDS(10),
        .is_failing = true,
        .keeps_owner = true,
    };
    CHECK_INT(instance_put(fake.registries[A], &spec, fake.clock.wall, &fake.txn, NULL), 0);
    commit();
    CHECK(instance_at(C)->is_failing);
    CHECK_INT(owner_now(), B);
    end();
}

TEST(an_orphan_is_the_elected_ones_after_a_full_period)
{
    static const struct {
        nsec ttl, period;
    } table[] = { { SECONDS(30), SECONDS(30) }, { SECONDS(2), OWNER_TTL } };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        start();
        register_at(B, table[i].ttl);
        fake_clock_advance(&fake.clock, table[i].ttl / 2);
        go(B);
        CHECK(registry_owns(fake.registries[A], instance_at(A)));
        CHECK(!registry_owns(fake.registries[C], instance_at(C)));
        CHECK_INT(registry_next_deadline(fake.registries[A]), fake.clock.now + table[i].period);
        CHECK(registry_next_deadline(fake.registries[C]) == NSEC_NEVER);

        /* Another is elected, and begins anew. */
        fake_clock_advance(&fake.clock, table[i].period / 2);
        elect(C);
        CHECK(registry_next_deadline(fake.registries[A]) == NSEC_NEVER);
        CHECK_INT(registry_next_deadline(fake.registries[C]), fake.clock.now + table[i].period);

        /* The owner is there again, and goes on with its own deadline. */
        come(B);
        CHECK(registry_next_deadline(fake.registries[C]) == NSEC_NEVER);
        CHECK_INT(owner_now(), B);
        end();
    }
}

TEST(a_heartbeat_does_not_count_for_an_orphan_before_it_is_claimed)
{
    start();
    register_at(B, SECONDS(10));
    go(B);
    CHECK_INT(beat_at(A), REGISTRY_TRANSITION);
    CHECK_INT(instance_claim(fake.registries[A], SPAN("orders"), SPAN("o1"), &fake.txn), 0);
    commit();
    CHECK_INT(beat_at(A), 0);
    come(B);
    CHECK_INT(owner_now(), A);
    end();
}

TEST(a_lease_that_is_had_anew_changes_nothing)
{
    start();
    register_at(B, SECONDS(10));
    fake_clock_advance(&fake.clock, SECONDS(4));
    nsec deadline = registry_next_deadline(fake.registries[B]);
    come(B);
    CHECK_INT(registry_next_deadline(fake.registries[B]), deadline);
    end();
}

TEST(an_instance_of_before_the_cluster_is_an_orphan)
{
    start();
    struct registry *embedded = registry_new();
    const struct instance_spec spec = {
        .service = SPAN("orders"),
        .id = SPAN("o1"),
        .address = SPAN("10.0.0.7:8080"),
        .ttl = SECONDS(10),
    };
    CHECK_INT(instance_put(embedded, &spec, fake.clock.wall, &fake.txn, NULL), 0);
    commit();
    CHECK(!instance_at(A)->owner);
    CHECK_INT(owner_now(), A);
    CHECK_INT(beat_at(B), REGISTRY_TRANSITION);
    registry_free(embedded);
    end();
}

TEST(without_a_cluster_everything_is_ours)
{
    start();
    register_at(B, SECONDS(10));
    struct registry *embedded = registry_new();
    CHECK(registry_owns(embedded, instance_at(A)));
    CHECK(!registry_self(embedded));
    registry_free(embedded);
    end();
}
