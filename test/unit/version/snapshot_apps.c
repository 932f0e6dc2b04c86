/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

TEST(only_published_releases_are_there)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "4.2.0", "");
    world_file(&world, "shop", "4.3.0", "main.js");
    world_snapshot(&world);
    CHECK(snapshot_release(world.snapshot, SPAN("shop"), SPAN("4.2.0")));
    CHECK(!snapshot_release(world.snapshot, SPAN("shop"), SPAN("4.3.0")));
    CHECK(!snapshot_release(world.snapshot, SPAN("admin"), SPAN("4.2.0")));
    const struct release_file *file =
        snapshot_file(world.snapshot, SPAN("shop"), SPAN("4.2.0"), SPAN("main.js"));
    CHECK(file);
    CHECK_STR(file->content_type, "text/javascript");
    CHECK(!snapshot_file(world.snapshot, SPAN("shop"), SPAN("4.2.0"), SPAN("x.js")));
    CHECK(!snapshot_file(world.snapshot, SPAN("shop"), SPAN("4.3.0"), SPAN("main.js")));
    world_fini(&world);
}

TEST(a_range_resolves_to_the_highest_contract_that_is_active)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    world_instance(&world, "catalog", "1.0.0");
    world_publish(&world, "shop", "4.0.0", "orders >=2 <4");
    world_snapshot(&world);
    const struct snapshot_release *release =
        snapshot_release(world.snapshot, SPAN("shop"), SPAN("4.0.0"));
    uint32_t orders = snapshot_service(world.snapshot, SPAN("orders"));
    uint32_t catalog = snapshot_service(world.snapshot, SPAN("catalog"));
    CHECK(
        release_resolves_to(world.snapshot, release, snapshot_contract(world.snapshot, orders, 3)));
    CHECK(!release_resolves_to(world.snapshot, release,
                               snapshot_contract(world.snapshot, orders, 2)));
    CHECK(!release_resolves_to(world.snapshot, release,
                               snapshot_contract(world.snapshot, catalog, 1)));
    world_fini(&world);
}

struct listing {
    char text[1024];
    size_t size;
};

static void list(void *owner, const struct snapshot_release *release, struct span customer,
                 const char *why)
{
    struct listing *listing = owner;
    listing->size +=
        (size_t)snprintf(listing->text + listing->size, sizeof(listing->text) - listing->size,
                         "%.*s %.*s [%.*s] %s\n", SPAN_ARG(release->app),
                         SPAN_ARG(release->version), SPAN_ARG(customer), why);
}

TEST(all_releases_that_somebody_can_be_served_are_listed)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "4.0.0", "");
    world_publish(&world, "shop", "4.1.0", "");
    world_publish(&world, "shop", "4.2.0", "");
    world_publish(&world, "shop", "4.3.0", "");
    world_pin(&world, "acme", "shop", "4.1.0");
    struct pin_spec pin = { .customer = SPAN("globex"),
                            .app = SPAN("shop"),
                            .release = SPAN("4.0.0"),
                            .expires = WORLD_WALL + 60000 };
    DO(&world, pin_put(world.version, &pin, world.wall, &world.txn, NULL));
    pin = (struct pin_spec){ .customer = SPAN("initech"),
                             .app = SPAN("shop"),
                             .release = SPAN("4.3.0"),
                             .expires = WORLD_WALL + 1 };
    DO(&world, pin_put(world.version, &pin, world.wall, &world.txn, NULL));
    world.wall += 1000;
    rule_release(world_rule(&world, "r-1", 0), "shop", "4.2.0");
    rule_release(world_rule(&world, "r-1", 1000), "shop", "4.2.0");
    world_snapshot(&world);

    struct listing listing = { .size = 0 };
    snapshot_each_assignable(world.snapshot, list, &listing);
    CHECK_STR(listing.text,
              "shop 4.0.0 [] the default of shop\n"
              "shop 4.2.0 [] moved to by rollout r-1\n"
              "shop 4.1.0 [acme] pinned for acme, without expiry\n"
              "shop 4.0.0 [globex] pinned for globex until 2025-10-09T08:54:20Z\n");
    world_fini(&world);
}
