/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

static struct customer *customer(struct world *world, const char *id)
{
    return customer_find(world->version, span_of(id));
}

static struct pin *pin(struct world *world, const char *id, const char *app)
{
    struct customer *owner = customer(world, id);
    return owner ? map_find_as(&owner->pins, span_of(app), struct pin, node) : NULL;
}

static void two_releases(struct world *world)
{
    world_instance(world, "orders", "2.9.0");
    world_instance(world, "orders", "3.14.2");
    world_publish(world, "shop", "4.1.0", "orders 2");
    world_publish(world, "shop", "4.2.0", "orders 3");
}

TEST(a_customer_without_a_record_can_be_pinned)
{
    struct world world;
    world_init(&world);
    two_releases(&world);
    struct pin_spec spec = { .customer = SPAN("acme/eu"),
                             .app = SPAN("shop"),
                             .release = SPAN("4.1.0"),
                             .why = SPAN("month end"),
                             .by = SPAN("ann"),
                             .expires = WORLD_WALL + 1000 };
    DO(&world, pin_put(world.version, &spec, world.wall, &world.txn, &world.problem));
    CHECK_INT(customer(&world, "acme/eu")->mod_revision, 0);
    const struct pin *found = pin(&world, "acme/eu", "shop");
    CHECK(found);
    CHECK_STR(found->release, "4.1.0");
    CHECK_STR(found->why, "month end");
    CHECK_STR(found->by, "ann");
    CHECK_INT(found->expires, WORLD_WALL + 1000);
    CHECK_INT(version_next_expiry(world.version, WORLD_WALL), WORLD_WALL + 1000);
    CHECK_INT(version_next_expiry(world.version, WORLD_WALL + 1000), 0);

    DO(&world, pin_delete(world.version, SPAN("acme/eu"), SPAN("shop"), &world.txn));
    CHECK(!customer(&world, "acme/eu"));
    REFUSED(&world, pin_delete(world.version, SPAN("acme/eu"), SPAN("shop"), &world.txn),
            VERSION_NOT_FOUND);
    world_fini(&world);
}

TEST(a_pin_to_what_cannot_be_served_is_refused)
{
    struct world world;
    world_init(&world);
    two_releases(&world);
    world_file(&world, "shop", "4.3.0", "main.js");
    world_publish(&world, "shop", "4.4.0", "orders 4");
    world_offline(&world, "orders", 2);
    static const struct {
        const char *app, *release;
        unix_msec expires;
        int answer;
        const char *path, *names;
    } cases[] = {
        { "shop", "9.9.9", 0, VERSION_NOT_FOUND, "release", "9.9.9" },
        { "admin", "4.1.0", 0, VERSION_NOT_FOUND, "app", "admin" },
        { "shop", "4.3.0", 0, VERSION_REFUSED, "release", "not published" },
        { "shop", "4.1.0", 0, VERSION_REFUSED, "release", "orders@2" },
        { "shop", "4.4.0", 0, VERSION_REFUSED, "release", "orders 4" },
        { "shop", "4.2.0", WORLD_WALL, VERSION_INVALID, "expires", "past" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pin_spec spec = { .customer = SPAN("acme"),
                                 .app = span_of(cases[i].app),
                                 .release = span_of(cases[i].release),
                                 .expires = cases[i].expires };
        REFUSED(&world, pin_put(world.version, &spec, world.wall, &world.txn, &world.problem),
                cases[i].answer);
        CHECK_STR(world.problem.path, cases[i].path);
        CHECK(strstr(world.problem.text, cases[i].names));
    }
    world_fini(&world);
}

TEST(a_pin_loses_against_the_contract_going_offline)
{
    struct world world;
    world_init(&world);
    two_releases(&world);
    struct pin_spec spec = { .customer = SPAN("acme"),
                             .app = SPAN("shop"),
                             .release = SPAN("4.1.0") };
    struct txn late = { 0 };
    CHECK_INT(pin_put(world.version, &spec, world.wall, &late, &world.problem), 0);
    world_offline(&world, "orders", 2);
    CHECK_INT(fake_commit(&world.store, &late), STORE_CONFLICT);
    txn_fini(&late);
    world_fini(&world);
}

TEST(ids_of_customers_are_visible_ascii)
{
    static const struct {
        const char *id;
        int answer;
    } cases[] = {
        { "acme", VERSION_OK },           { "a@b.example", VERSION_OK },
        { "", VERSION_INVALID },          { "~other", VERSION_INVALID },
        { "a b", VERSION_INVALID },       { "a\nb", VERSION_INVALID },
        { "z\xc3\xbc", VERSION_INVALID },
    };
    struct world world;
    world_init(&world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        REFUSED(&world,
                customer_put(world.version, span_of(cases[i].id), NULL, 0, world.wall, &world.txn,
                             &world.problem),
                cases[i].answer);
        CHECK_STR(world.problem.path, cases[i].answer ? "customer" : "");
    }
    char longest[CUSTOMER_ID_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    REFUSED(&world,
            customer_put(world.version, (struct span){ longest, sizeof(longest) }, NULL, 0,
                         world.wall, &world.txn, &world.problem),
            VERSION_INVALID);
    REFUSED(&world,
            customer_put(world.version, (struct span){ longest, CUSTOMER_ID_MAX }, NULL, 0,
                         world.wall, &world.txn, &world.problem),
            VERSION_OK);
    world_fini(&world);
}

TEST(attributes_are_checked_and_replaced_whole)
{
    char tier[] = "tier", internal[] = "internal", id[] = "id", bad[] = "no space", nl[] = "a\n";
    struct world world;
    world_init(&world);
    struct instance_meta good[] = { { tier, internal } };
    DO(&world,
       customer_put(world.version, SPAN("acme"), good, 1, world.wall, &world.txn, &world.problem));
    CHECK_STR(customer(&world, "acme")->attributes[0].value, "internal");

    const struct {
        struct instance_meta attributes[2];
        unsigned n;
        const char *path;
    } cases[] = {
        { { { id, internal } }, 1, "attributes.id" },
        { { { bad, internal } }, 1, "attributes.no space" },
        { { { tier, nl } }, 1, "attributes.tier" },
        { { { tier, internal }, { tier, internal } }, 2, "attributes.tier" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        REFUSED(&world,
                customer_put(world.version, SPAN("acme"), cases[i].attributes, cases[i].n,
                             world.wall, &world.txn, &world.problem),
                VERSION_INVALID);
        CHECK_STR(world.problem.path, cases[i].path);
    }
    REFUSED(&world,
            customer_put(world.version, SPAN("acme"), good, INSTANCE_META_MAX + 1, world.wall,
                         &world.txn, &world.problem),
            VERSION_INVALID);

    DO(&world, customer_put(world.version, SPAN("acme"), NULL, 0, world.wall + 9, &world.txn,
                            &world.problem));
    CHECK_INT(customer(&world, "acme")->n_attributes, 0);
    CHECK_INT(customer(&world, "acme")->created, WORLD_WALL);
    world_fini(&world);
}

TEST(deleting_a_customer_takes_its_pins_along)
{
    struct world world;
    world_init(&world);
    two_releases(&world);
    world_pin(&world, "acme", "shop", "4.1.0");
    DO(&world,
       customer_put(world.version, SPAN("acme"), NULL, 0, world.wall, &world.txn, &world.problem));
    DO(&world, customer_delete(world.version, SPAN("acme"), &world.txn));
    CHECK(!customer(&world, "acme"));
    REFUSED(&world, customer_delete(world.version, SPAN("acme"), &world.txn), VERSION_NOT_FOUND);
    world_fini(&world);
}
