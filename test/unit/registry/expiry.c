/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/registry.h"
#include "registry/fold.h"

static struct fake_registry fake;

static void register_with_ttl(const char *id, nsec ttl)
{
    struct instance_spec spec = fake_instance("orders", id, "3.14.2");
    spec.ttl = ttl;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
}

static int heartbeat(const char *id)
{
    return instance_heartbeat(fake.registry, SPAN("orders"), span_of(id), fake.clock.now,
                              fake.clock.wall);
}

/* Expires and commits; returns how many went a step further. */
static size_t expire(void)
{
    size_t n = registry_expire(fake.registry, fake.clock.now, &fake.txn);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK(registry_is_sound(fake.registry));
    return n;
}

TEST(the_first_deadline_is_the_next)
{
    fake_registry_init(&fake);
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    register_with_ttl("for-ever", 0);
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    register_with_ttl("long", 20 * NSEC_PER_SEC);
    register_with_ttl("short", 10 * NSEC_PER_SEC);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 10 * NSEC_PER_SEC);
    fake_registry_fini(&fake);
}

static bool is_expired(const char *id)
{
    const struct instance *instance = fake_instance_find(&fake, "orders", id);
    CHECK(instance);
    return instance->is_expired && !instance_is_ready(instance);
}

TEST(an_instance_goes_in_two_steps_and_not_before)
{
    fake_registry_init(&fake);
    register_with_ttl("short", 10 * NSEC_PER_SEC);
    register_with_ttl("long", 20 * NSEC_PER_SEC);
    register_with_ttl("for-ever", 0);
    const struct build *build = fake_build_find(&fake, "orders", "3.14.2");

    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC - 1);
    CHECK_INT(expire(), 0);
    fake_clock_advance(&fake.clock, 1);
    CHECK_INT(expire(), 1);
    CHECK(is_expired("short") && !is_expired("long"));
    CHECK_INT(build->n_instances, 3);
    CHECK_INT(build->n_ready, 2);

    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK(is_expired("long"));
    fake_clock_advance(&fake.clock, 50 * NSEC_PER_SEC - 1);
    CHECK_INT(expire(), 0);
    fake_clock_advance(&fake.clock, 1);
    CHECK_INT(expire(), 1);
    CHECK(!fake_instance_find(&fake, "orders", "short"));
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK(!fake_instance_find(&fake, "orders", "long"));
    CHECK(fake_instance_find(&fake, "orders", "for-ever"));
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    fake_registry_fini(&fake);
}

static void register_to_go_after(const char *id, nsec after)
{
    struct instance_spec spec = fake_instance("orders", id, "3.14.2");
    spec.deregister_after = after;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
}

TEST(how_long_it_is_listed_is_its_own_to_say)
{
    fake_registry_init(&fake);
    register_to_go_after("soon", NSEC_PER_SEC);
    register_to_go_after("late", 3600 * NSEC_PER_SEC);
    register_to_go_after("never", NSEC_NEVER);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(expire(), 3);
    fake_clock_advance(&fake.clock, NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK(!fake_instance_find(&fake, "orders", "soon"));
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 3599 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 3599 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK(is_expired("never"));
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);

    struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
    spec.deregister_after = 1;
    CHECK_INT(fake_instance_put(&fake, &spec), REGISTRY_INVALID);
    CHECK_STR(fake.problem.path, "deregister_after");
    fake_registry_fini(&fake);
}

TEST(a_heartbeat_brings_it_back_and_so_does_a_registration)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    register_with_ttl("b", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(expire(), 2);

    CHECK_INT(heartbeat("a"), REGISTRY_TRANSITION);
    CHECK_INT(instance_claim(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn), 0);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK_INT(heartbeat("a"), 0);
    register_with_ttl("b", 10 * NSEC_PER_SEC); /* the same again */
    CHECK(!is_expired("a") && !is_expired("b"));
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 10 * NSEC_PER_SEC);

    /* There is nothing to change of one that is not expired. */
    CHECK_INT(instance_claim(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn), 0);
    CHECK_INT(fake.txn.n_ops, 0);
    CHECK_INT(instance_claim(fake.registry, SPAN("orders"), SPAN("c"), &fake.txn),
              REGISTRY_NOT_FOUND);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(a_heartbeat_while_it_is_written_is_not_lost)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(registry_expire(fake.registry, fake.clock.now, &fake.txn), 1);
    CHECK_INT(heartbeat("a"), 0);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK(is_expired("a"));
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now);
    registry_forgive(fake.registry, fake.clock.now);
    CHECK_INT(expire(), 1);
    CHECK(!is_expired("a"));
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 10 * NSEC_PER_SEC);
    fake_registry_fini(&fake);
}

TEST(a_drain_is_no_sign_of_life)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 6 * NSEC_PER_SEC);
    CHECK_INT(fake_registry_end(
                  &fake, instance_drain(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn)),
              0);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 4 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 4 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    fake_clock_advance(&fake.clock, 60 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK(!fake_instance_find(&fake, "orders", "a"));
    fake_registry_fini(&fake);
}

TEST(a_heartbeat_renews_and_stays_off_the_log)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    int64_t revision = fake.store.revision;

    fake_clock_advance(&fake.clock, 9 * NSEC_PER_SEC);
    CHECK_INT(heartbeat("a"), 0);
    CHECK_INT(fake_instance_find(&fake, "orders", "a")->last_heartbeat, fake.clock.wall);
    fake_clock_advance(&fake.clock, 9 * NSEC_PER_SEC);
    CHECK_INT(expire(), 0);
    CHECK_INT(fake.store.revision, revision);
    fake_clock_advance(&fake.clock, NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK_INT(heartbeat("a"), REGISTRY_TRANSITION);
    CHECK_INT(heartbeat("b"), REGISTRY_NOT_FOUND);
    CHECK_INT(instance_heartbeat(fake.registry, SPAN("nobody"), SPAN("a"), 0, 0),
              REGISTRY_NOT_FOUND);
    fake_registry_fini(&fake);
}

TEST(without_a_ttl_a_heartbeat_starts_no_deadline)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 0);
    CHECK_INT(heartbeat("a"), 0);
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    fake_registry_fini(&fake);
}

TEST(a_ttl_that_is_taken_away_ends_the_deadline)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    register_with_ttl("a", 0);
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    register_with_ttl("a", 5 * NSEC_PER_SEC);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 5 * NSEC_PER_SEC);
    fake_registry_fini(&fake);
}

TEST(the_oldest_go_first_and_a_transaction_stays_small)
{
    fake_registry_init(&fake);
    unsigned n_all = STORE_TXN_OPS_MAX / 2 + 10;
    for (unsigned i = 0; i < n_all; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        register_with_ttl(id, (10 + n_all - i) * NSEC_PER_SEC); /* the last is due first */
    }
    fake_clock_advance(&fake.clock, 3600 * NSEC_PER_SEC);
    CHECK_INT(registry_expire(fake.registry, fake.clock.now, &fake.txn), STORE_TXN_OPS_MAX / 2);
    CHECK_INT(fake.txn.n_ops, STORE_TXN_OPS_MAX / 2);
    char want[64];
    for (unsigned i = 0; i < fake.txn.n_ops; i++) {
        snprintf(want, sizeof(want), "registry/instance/orders/i%u", n_all - 1 - i);
        CHECK(span_is(fake.txn.ops[i].key, want));
    }
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK(registry_next_deadline(fake.registry) <= fake.clock.now);
    CHECK_INT(expire(), 10);
    CHECK_INT(expire(), 0);
    CHECK_INT(fake_build_find(&fake, "orders", "3.14.2")->n_ready, 0);
    fake_registry_fini(&fake);
}

/* An etcd takes no more than so many bytes at once. */
TEST(what_expires_fits_into_a_transaction_by_its_size)
{
    char value[513], keys[64][8];
    struct instance_meta meta[64];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (unsigned i = 0; i < 64; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%u", i);
        meta[i] = (struct instance_meta){ keys[i], value };
    }
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "1.0.0");
    spec.meta = meta;
    spec.n_meta = 64;
    for (unsigned i = 0; i < 60; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        spec.id = span_of(id);
        CHECK_INT(fake_instance_put(&fake, &spec), 0);
    }
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    size_t n = 0, n_parts = 0, part;
    while ((part = registry_expire(fake.registry, fake.clock.now, &fake.txn))) {
        size_t most = part == 1 ? 0 : fake.txn.size / part * (part - 1);
        CHECK(most <= STORE_TXN_PART_SIZE);
        CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
        n += part;
        n_parts++;
    }
    CHECK_INT(n, 60);
    CHECK(n_parts > 1);
    fake_registry_fini(&fake);
}

TEST(what_is_being_written_has_a_second_of_grace)
{
    CLEANUP(txn_fini) struct txn lost = { 0 };
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);

    CHECK_INT(registry_expire(fake.registry, fake.clock.now, &lost), 1);
    CHECK_INT(registry_expire(fake.registry, fake.clock.now, &fake.txn), 0);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + NSEC_PER_SEC);

    txn_clear(&lost); /* as when the store refused it */
    fake_clock_advance(&fake.clock, NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK(is_expired("a"));
    fake_registry_fini(&fake);
}

TEST(who_registers_again_while_it_is_being_written_stays)
{
    CLEANUP(txn_fini) struct txn late = { 0 };
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(registry_expire(fake.registry, fake.clock.now, &late), 1);
    register_with_ttl("a", 20 * NSEC_PER_SEC);
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 20 * NSEC_PER_SEC);
    fake_registry_fini(&fake);
}

/* What the store has of the instance, applied to a registry that knows nothing yet. */
static void restart(void)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    Registry__InstanceRecord record =
        instance_record(fake_instance_find(&fake, "orders", "a"), &arena);
    CLEANUP(txn_fini) struct txn txn = { 0 };
    struct store_event event = {
        .kind = TXN_PUT,
        .entry = { .key = SPAN("registry/instance/orders/a"), .mod_revision = 1 },
    };
    event.entry.value = txn_pack(&txn, &record.base);
    struct registry *before = fake.registry;
    fake.registry = registry_new();
    CHECK_INT(registry_apply(fake.registry, &event, fake.clock.now, fake.clock.wall), 0);
    registry_free(before);
}

/* The store keeps records, not deadlines: what was about to expire gets all its time again. */
TEST(a_restart_gives_all_of_the_time_again)
{
    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 9 * NSEC_PER_SEC);
    restart();
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 10 * NSEC_PER_SEC);
    fake_registry_fini(&fake);

    fake_registry_init(&fake);
    register_with_ttl("a", 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    fake_clock_advance(&fake.clock, 59 * NSEC_PER_SEC);
    restart();
    CHECK(is_expired("a"));
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 60 * NSEC_PER_SEC);
    fake_registry_fini(&fake);
}

TEST(who_could_not_be_heard_gets_a_full_ttl)
{
    fake_registry_init(&fake);
    register_with_ttl("for-ever", 0);
    register_with_ttl("short", 10 * NSEC_PER_SEC);
    register_with_ttl("long", 20 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 15 * NSEC_PER_SEC);
    registry_forgive(fake.registry, fake.clock.now);
    CHECK_INT(expire(), 0);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 10 * NSEC_PER_SEC);
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    CHECK_INT(expire(), 1);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 10 * NSEC_PER_SEC);
    fake_registry_fini(&fake);
}

TEST(who_is_never_heard_is_not_forgiven_for_ever)
{
    fake_registry_init(&fake);
    register_with_ttl("dead", 10 * NSEC_PER_SEC);
    register_with_ttl("alive", 10 * NSEC_PER_SEC);
    for (unsigned i = 0; i < REGISTRY_FORGIVES; i++) {
        fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
        registry_forgive(fake.registry, fake.clock.now);
        CHECK_INT(expire(), 0);
        CHECK_INT(heartbeat("alive"), 0);
    }
    fake_clock_advance(&fake.clock, 10 * NSEC_PER_SEC);
    registry_forgive(fake.registry, fake.clock.now);
    CHECK_INT(expire(), 1);
    CHECK(is_expired("dead") && !is_expired("alive"));
    fake_registry_fini(&fake);
}
