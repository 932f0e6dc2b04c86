/* SPDX-License-Identifier: Apache-2.0 */

#include "version/snapshot.h"

#include "check.h"

#include "fake/world.h"

static const struct snapshot_base *base_of_now(struct world *world)
{
    world_snapshot(world);
    return world->snapshot->base;
}

TEST(what_the_registry_changes_leaves_the_base_as_it_is)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "cart", "2.0.0");
    world_instance(&world, "orders", "3.14.2");
    world_publish(&world, "shop", "1.0.0", "orders 3");
    world_pin(&world, "acme", "shop", "1.0.0");
    const struct snapshot_base *base = base_of_now(&world);
    CHECK_INT(base->n_refs, 2); /* the room's, and the snapshot's */
    const struct known_release *release =
        snapshot_release_known(world.snapshot, SPAN("shop"), SPAN("1.0.0"));
    CHECK_INT(release->n_needs, 1);
    CHECK_INT(need_service(world.snapshot, release->needs), 1);

    /* Services are numbered anew, and a need finds its own all the same. */
    world_stop(&world, "cart", "2.0.0");
    DO(&world, service_delete(world.registry, SPAN("cart"), &world.txn, &world.problem));
    CHECK(base_of_now(&world) == base);
    CHECK_INT(base->n_refs, 2);
    CHECK_INT(snapshot_service(world.snapshot, SPAN("orders")), 0);
    CHECK_INT(need_service(world.snapshot, release->needs), 0);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{\"orders\":3},\"releases\":{\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}

TEST(what_it_is_made_of_makes_another)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");
    world_publish(&world, "shop", "1.0.0", "orders 3");
    base_of_now(&world);
    world_pin(&world, "acme", "shop", "1.0.0");
    CHECK_INT(base_of_now(&world)->customers.n_nodes, 1);
    world_pin(&world, "umbrella", "shop", "1.0.0");
    CHECK_INT(base_of_now(&world)->customers.n_nodes, 2);
    world_publish(&world, "admin", "1.0.0", "");
    CHECK_INT(base_of_now(&world)->n_apps, 2);

    /* Attributes are there as long as a cohort asks for them. */
    CHECK(!base_of_now(&world)->has_attributes);
    struct version_rule *rule = world_rule(&world, "salt", PCT_ALL);
    struct cohort_rule *cohort = NULL;
    CHECK_INT(cohort_rule_parse(SPAN("id == 'acme'"), &cohort, NULL), 0);
    rule->cohort = cohort;
    CHECK(base_of_now(&world)->has_attributes);
    rule->cohort = NULL;
    cohort_rule_free(cohort);
    CHECK(!base_of_now(&world)->has_attributes);
    world_fini(&world);
}

TEST(a_base_lasts_until_its_first_pin_expires)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "1.0.0", "");
    world_publish(&world, "shop", "2.0.0", "");
    unix_msec end = world.wall + 1000;
    const struct pin_spec spec = {
        .customer = SPAN("acme"), .app = SPAN("shop"), .release = SPAN("2.0.0"), .expires = end
    };
    DO(&world, pin_put(world.version, &spec, world.wall, &world.txn, &world.problem));
    const struct snapshot_base *base = base_of_now(&world);
    CHECK_INT(base->expiry, end);
    CHECK_INT(version_next_expiry(world.version, world.wall), end);
    world.wall = end - 1;
    CHECK(base_of_now(&world) == base);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{},\"releases\":{\"shop\":\"2.0.0\"}}");
    world.wall = end;
    CHECK_INT(base_of_now(&world)->expiry, 0);
    CHECK_INT(version_next_expiry(world.version, world.wall), 0);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{},\"releases\":{\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}

TEST(a_snapshot_keeps_its_base_when_the_room_has_another)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "1.0.0", "");
    world_pin(&world, "acme", "shop", "1.0.0");
    const struct snapshot_base *base = base_of_now(&world);
    world_pin(&world, "umbrella", "shop", "1.0.0");
    CHECK_INT(base->n_refs, 1);
    CHECK_INT(base->customers.n_nodes, 1);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{},\"releases\":{\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}
