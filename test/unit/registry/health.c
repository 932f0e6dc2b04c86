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
