/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/registry.h"
#include "registry/fold.h"

static struct fake_registry fake;

static struct instance_spec checked(const char *build)
{
    struct instance_spec spec = fake_instance("orders", "a", build);
    spec.health = (struct health_check){ .kind = HEALTH_GRPC,
                                         .target = SPAN("shop.Orders"),
                                         .interval = NSEC_PER_SEC,
                                         .timeout = NSEC_PER_SEC,
                                         .failures = 3,
                                         .passes = 2 };
    return spec;
}

static int set_failing(const char *id, bool is_failing)
{
    return fake_registry_end(&fake, instance_set_failing(fake.registry, SPAN("orders"), span_of(id),
                                                         is_failing, &fake.txn));
}

TEST(what_a_check_asks_is_kept)
{
    static const struct span members[][2] = {
        { SPAN("http"), SPAN("/healthz?a") },
        { SPAN("port"), SPAN("9100") },
        { SPAN("status"), SPAN("200-399") },
        { SPAN("passes"), SPAN("2") },
    };
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "1.0.0");
    spec.health = health_check_standard;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        CHECK_INT(health_check_set(&spec.health, members[i][0], members[i][1], NULL), 0);
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK(health_check_equals(&fake_instance_find(&fake, "orders", "a")->health, &spec.health));
    spec.health.interval = 1;
    CHECK_INT(fake_instance_put(&fake, &spec), REGISTRY_INVALID);
    fake_registry_fini(&fake);
}

TEST(a_checked_instance_waits_for_its_first_pass)
{
    fake_registry_init(&fake);
    struct instance_spec spec = checked("1.0.0");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    CHECK(!instance_is_ready(instance) && instance->is_failing);
    CHECK_INT(instance->build->n_ready, 0);
    CHECK(health_check_equals(&instance->health, &spec.health));
    CHECK_INT(set_failing("b", false), REGISTRY_NOT_FOUND);
    CHECK_INT(set_failing("a", false), 0);
    CHECK(instance_is_ready(instance));
    CHECK_INT(instance->build->n_ready, 1);

    /* The same copy again is known; another one, or with another check, is not. */
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK(instance_is_ready(instance));
    spec.health.interval = 2 * NSEC_PER_SEC;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK(!instance_is_ready(instance));
    CHECK_INT(set_failing("a", false), 0);
    spec = checked("1.1.0");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK(!instance_is_ready(instance));
    spec.health.kind = HEALTH_NONE;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK(instance_is_ready(instance));
    CHECK_INT(set_failing("a", true), REGISTRY_NOT_FOUND);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

/* A copy that has never been well, or of which nobody knows how to speak to it, is no help. */
TEST(when_few_are_well_all_that_have_been_are_used)
{
    static const char *const ids[] = { "a", "b", "c", "d" };
    fake_registry_init(&fake);
    struct instance_spec spec = checked("1.0.0");
    for (size_t i = 0; i < 4; i++) {
        spec.id = span_of(ids[i]);
        CHECK_INT(fake_instance_put(&fake, &spec), 0);
    }
    const struct build *build = fake_build_find(&fake, "orders", "1.0.0");
    CHECK(!build_has_panic(build)); /* a deployment that has just begun */
    CHECK_INT(build_n_served(build), 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(set_failing(ids[i], false), 0);
    spec.id = SPAN("new");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    spec.id = SPAN("thrift");
    spec.protocol = SPAN("thrift");
    spec.health.kind = HEALTH_NONE;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);

    CHECK_INT(set_failing("a", true), 0);
    CHECK_INT(set_failing("b", true), 0);
    CHECK(!build_has_panic(build) && build_n_served(build) == 2); /* half of them, no fewer */
    CHECK(!instance_is_served(fake_instance_find(&fake, "orders", "a")));
    CHECK_INT(set_failing("c", true), 0);
    CHECK(build_has_panic(build));
    CHECK_INT(build_n_served(build), 4);
    CHECK_INT(build->n_ready, 1);
    CHECK(instance_is_served(fake_instance_find(&fake, "orders", "a")));
    CHECK(!instance_is_served(fake_instance_find(&fake, "orders", "new")));
    CHECK(!instance_is_served(fake_instance_find(&fake, "orders", "thrift")));

    registry_set_panic(fake.registry, 25);
    CHECK(!build_has_panic(build));
    registry_set_panic(fake.registry, 0);
    CHECK_INT(set_failing("d", true), 0);
    CHECK(!build_has_panic(build) && build_n_served(build) == 0);
    registry_set_panic(fake.registry, 50);
    CHECK(build_has_panic(build));

    /* Who drains neither counts nor is used; the last one is believed. */
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(fake_registry_end(&fake, instance_drain(fake.registry, SPAN("orders"),
                                                          span_of(ids[i]), &fake.txn)),
                  0);
    CHECK(!build_has_panic(build));
    CHECK_INT(build_n_served(build), 0);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

/* Who is silent for longer is dead: it neither makes a panic nor takes part in one. */
TEST(a_panic_trusts_who_is_critical_for_a_minute)
{
    static const char *const ids[] = { "a", "b", "c", "d" };
    fake_registry_init(&fake);
    struct instance_spec spec = checked("1.0.0");
    for (size_t i = 0; i < 4; i++) {
        spec.id = span_of(ids[i]);
        CHECK_INT(fake_instance_put(&fake, &spec), 0);
        CHECK_INT(set_failing(ids[i], false), 0);
    }
    const struct build *build = fake_build_find(&fake, "orders", "1.0.0");
    CHECK(registry_next_trust_end(fake.registry) == NSEC_NEVER);
    CHECK_INT(set_failing("a", true), 0);
    fake_clock_advance(&fake.clock, 20 * NSEC_PER_SEC);
    CHECK_INT(set_failing("b", true), 0);
    CHECK_INT(set_failing("c", true), 0);
    CHECK_INT(build_n_served(build), 4);

    /* What it is critical for besides starts no other minute. */
    CHECK_INT(fake_registry_end(
                  &fake, instance_drain(fake.registry, SPAN("orders"), SPAN("c"), &fake.txn)),
              0);
    CHECK(registry_is_sound(fake.registry));
    CHECK_INT(registry_next_trust_end(fake.registry), fake.clock.now + 40 * NSEC_PER_SEC);
    CHECK(!registry_end_trust(fake.registry, fake.clock.now));
    CHECK_INT(build_n_served(build), 3);
    fake_clock_advance(&fake.clock, 40 * NSEC_PER_SEC);
    CHECK(registry_end_trust(fake.registry, fake.clock.now));
    CHECK(!build_has_panic(build) && build_n_served(build) == 1); /* d of b and d, which is half */
    CHECK(!instance_is_served(fake_instance_find(&fake, "orders", "a")));
    CHECK(registry_is_sound(fake.registry));
    fake_clock_advance(&fake.clock, 20 * NSEC_PER_SEC);
    CHECK(registry_end_trust(fake.registry, fake.clock.now));
    CHECK(!build_has_panic(build));

    /* When nobody is left they may be better than nothing. */
    CHECK_INT(set_failing("d", true), 0);
    CHECK(build_has_panic(build) && build_n_served(build) == 3);
    CHECK(instance_is_served(fake_instance_find(&fake, "orders", "a")));

    /* Who was well in between is trusted anew. */
    CHECK_INT(set_failing("d", false), 0);
    CHECK_INT(set_failing("a", false), 0);
    CHECK_INT(set_failing("a", true), 0);
    CHECK_INT(registry_next_trust_end(fake.registry), fake.clock.now + REGISTRY_TRUST);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(why_one_is_withheld_is_said)
{
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "1.0.0");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    spec.is_failing = spec.is_withheld = true;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_STR(instance_trouble(instance), "it is withheld: in maintenance");
    CHECK(!instance_is_proven(instance));
    spec.is_withheld = false;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_STR(instance_trouble(instance), "its checks do not pass");
    CHECK(instance_is_proven(instance)); /* as before */
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(who_sends_no_heartbeats_goes_by_its_checks_where_it_says_so)
{
    fake_registry_init(&fake);
    struct instance_spec spec = checked("1.0.0");
    spec.ttl = 0;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    spec.deregister_after = 30 * NSEC_PER_SEC;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(registry_next_deadline(fake.registry), fake.clock.now + 30 * NSEC_PER_SEC);
    CHECK_INT(set_failing("a", false), 0);
    CHECK(registry_next_deadline(fake.registry) == NSEC_NEVER);
    CHECK_INT(set_failing("a", true), 0);
    fake_clock_advance(&fake.clock, 30 * NSEC_PER_SEC);
    CHECK_INT(registry_expire(fake.registry, fake.clock.now, &fake.txn), 1);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK(!fake_instance_find(&fake, "orders", "a"));
    fake_registry_fini(&fake);
}
