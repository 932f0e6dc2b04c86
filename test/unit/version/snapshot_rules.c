/* SPDX-License-Identifier: Apache-2.0 */

#include "version/snapshot.h"

#include "check.h"

#include "fake/world.h"

static uint32_t pin_set(struct world *world, const char *id)
{
    const struct known_customer *customer =
        map_find_as(&world->snapshot->base->customers, span_of(id), struct known_customer, node);
    return customer ? customer->pin_set : 0;
}

TEST(customers_who_are_pinned_alike_share_a_pin_set)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "admin", "1.0.0", "");
    world_publish(&world, "shop", "1.0.0", "");
    world_publish(&world, "shop", "1.1.0", "");
    world_pin(&world, "a", "shop", "1.0.0");
    world_pin(&world, "a", "admin", "1.0.0");
    world_pin(&world, "b", "admin", "1.0.0"); /* in another order */
    world_pin(&world, "b", "shop", "1.0.0");
    world_pin(&world, "c", "shop", "1.0.0");
    world_pin(&world, "d", "shop", "1.1.0");
    DO(&world, customer_put(world.version, SPAN("e"), NULL, 0, 1, &world.txn, NULL));
    world_snapshot(&world);
    CHECK(pin_set(&world, "a") != 0);
    CHECK_INT(pin_set(&world, "a"), pin_set(&world, "b"));
    CHECK(pin_set(&world, "c") != pin_set(&world, "a"));
    CHECK(pin_set(&world, "c") != pin_set(&world, "d"));
    CHECK_INT(pin_set(&world, "e"), 0);
    world_fini(&world);
}

TEST(a_rule_is_suspended_with_the_reason)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");
    world_instance(&world, "orders", "3.15.0");
    world_publish(&world, "shop", "1.0.0", "orders 3");
    world_publish(&world, "shop", "2.0.0", "orders 4");
    rule_build(world_rule(&world, "r-0", PCT_ALL), "orders", "3.15.0");
    rule_build(world_rule(&world, "r-1", PCT_ALL), "orders", "3.16.0");
    rule_release(world_rule(&world, "r-2", PCT_ALL), "shop", "3.0.0");
    rule_release(world_rule(&world, "r-3", PCT_ALL), "shop", "2.0.0");
    rule_release(world_rule(&world, "r-4", PCT_ALL), "shop", "1.0.0");
    world_snapshot(&world);
    static const char *const suspended[] = {
        NULL,
        "orders 3.16.0 has no ready instance",
        "shop 3.0.0 is not published",
        "shop 2.0.0 requires orders 4, and no active contract is that",
        NULL,
    };
    CHECK_INT(world.snapshot->n_rules, 5);
    for (unsigned i = 0; i < 5; i++)
        CHECK_STR(world.snapshot->rules[i].suspended, suspended[i]);
    world_fini(&world);
}

TEST(a_rule_moves_no_offline_contract_and_no_baseline)
{
    struct world world;
    world_init(&world);
    static const uint32_t both[] = { 2, 3 };
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    struct build_spec build = {
        .service = SPAN("orders"), .version = SPAN("3.15.0"), .provides = both, .n_provides = 2
    };
    world_instance_of(&world, &build);
    world_offline(&world, "orders", 2);
    struct version_rule *rule = world_rule(&world, "r-1", PCT_ALL);
    rule_build(rule, "orders", "3.15.0");
    rule->members[0].provides[1] = 2;
    rule->members[0].provides[2] = 7; /* nobody knows it */
    rule->members[0].n_provides = 3;
    world_snapshot(&world);
    CHECK_INT(world.snapshot->rules[0].n_moves, 1);
    uint32_t contract = world.snapshot->rules[0].moves[0].contract;
    CHECK(span_is(snapshot_contract_at(world.snapshot, contract)->name, "orders@3"));
    world_fini(&world);
}
