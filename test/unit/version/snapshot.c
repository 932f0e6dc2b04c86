/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

TEST(a_snapshot_needs_nothing_of_what_it_was_made_from)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");
    world_instance(&world, "orders", "3.15.0");
    world_publish(&world, "shop", "4.2.0", "orders 3");
    world_pin(&world, "acme", "shop", "4.2.0");
    struct cohort_rule *cohort = NULL;
    CHECK_INT(cohort_rule_parse(SPAN("id == 'acme'"), &cohort, NULL), 0);
    struct version_rule *rule = world_rule(&world, "salt", PCT_ALL);
    rule->cohort = cohort;
    rule_build(rule, "orders", "3.15.0");
    world_snapshot(&world);

    /* The address sanitizer sees any pointer that leads back. */
    cohort_rule_free(cohort);
    version_free(world.version);
    registry_free(world.registry);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{\"orders@3\":\"3.15.0\"},\"contracts\":{\"orders\":3},"
              "\"releases\":{\"shop\":\"4.2.0\"}}");
    CHECK_STR(snapshot_release(world.snapshot, SPAN("shop"), SPAN("4.2.0"))->import_map,
              "{\"imports\":{\"@app/main\":\"/apps/shop/4.2.0/main.js\"},"
              "\"integrity\":{\"/apps/shop/4.2.0/main.js\":\"sha384-abc\"}}");
    world.version = version_new();
    world.registry = registry_new();
    world_fini(&world);
}

TEST(services_contracts_and_builds_are_numbered)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "catalog", "1.0.0");
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    world_instance(&world, "orders", "3.15.0");
    struct service_spec spec = { .name = SPAN("orders"), .identity = { true, true } };
    DO(&world, service_put(world.registry, &spec, world.wall, &world.txn, &world.problem));
    world_offline(&world, "orders", 2);
    world_snapshot(&world);

    const struct version_snapshot *snapshot = world.snapshot;
    CHECK_INT(snapshot_n_services(snapshot), 2);
    CHECK_INT(snapshot_n_contracts(snapshot), 3);
    CHECK_INT(snapshot_n_builds(snapshot), 4);
    uint32_t orders = snapshot_service(snapshot, SPAN("orders"));
    CHECK(snapshot_service_at(snapshot, orders)->is_identity);
    CHECK(!snapshot_service_at(snapshot, orders)->shares_builds);
    CHECK_INT(snapshot_service(snapshot, SPAN("cart")), NO_INDEX);

    uint32_t third = snapshot_contract(snapshot, orders, 3);
    const struct snapshot_contract *contract = snapshot_contract_at(snapshot, third);
    CHECK(span_is(contract->name, "orders@3"));
    CHECK_INT(contract->service, orders);
    CHECK(!contract->is_offline);
    CHECK_INT(contract->baseline, snapshot_build(snapshot, SPAN("orders"), SPAN("3.14.2")));
    CHECK_INT(snapshot_contract(snapshot, orders, 4), NO_INDEX);
    CHECK_INT(snapshot_contract(snapshot, NO_INDEX, 3), NO_INDEX);
    CHECK_INT(snapshot_build(snapshot, SPAN("orders"), SPAN("9.9.9")), NO_INDEX);
    CHECK_INT(snapshot_build(snapshot, SPAN("cart"), SPAN("1.0.0")), NO_INDEX);

    uint32_t second = snapshot_contract(snapshot, orders, 2);
    CHECK(snapshot_contract_at(snapshot, second)->is_offline);
    CHECK(span_is(snapshot_contract_at(snapshot, second)->successor, "orders@3"));
    CHECK_INT(snapshot_service_at(snapshot, orders)->default_contract, second);
    world_fini(&world);
}

TEST(a_baseline_whose_build_is_not_registered_any_more_keeps_its_name)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");
    world_stop(&world, "orders", "3.14.2");
    DO(&world, service_delete(world.registry, SPAN("orders"), &world.txn, &world.problem));
    world_snapshot(&world);
    uint32_t orders = snapshot_service(world.snapshot, SPAN("orders"));
    CHECK(orders != NO_INDEX);
    uint32_t contract = snapshot_contract(world.snapshot, orders, 3);
    uint32_t build = snapshot_contract_at(world.snapshot, contract)->baseline;
    CHECK(span_is(snapshot_build_at(world.snapshot, build)->version, "3.14.2"));
    CHECK(span_is(snapshot_build_at(world.snapshot, build)->service, "orders"));
    world_fini(&world);
}
