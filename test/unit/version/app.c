/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

static void drop(struct world *world, const char *key)
{
    txn_delete(&world->txn, span_of(key));
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
}

TEST(an_app_is_there_as_long_as_anything_of_it_is)
{
    struct world world;
    world_init(&world);
    world_file(&world, "shop", "4.2.0", "main.js");
    const struct app *app = app_find(world.version, SPAN("shop"));
    CHECK(app);
    CHECK_INT(app->mod_revision, 0);
    CHECK_STR(app->default_release, "");
    CHECK(!release_find(app, SPAN("4.1.0")));
    world_publish(&world, "shop", "4.2.0", "orders 3");

    drop(&world, "version/file/shop/4.2.0/main.js");
    CHECK(release_find(app_find(world.version, SPAN("shop")), SPAN("4.2.0")));
    drop(&world, "version/release/shop/4.2.0");
    app = app_find(world.version, SPAN("shop"));
    CHECK(app);
    CHECK_STR(app->default_release, "4.2.0");
    CHECK_INT(app->releases.n_nodes, 0);
    drop(&world, "version/app/shop");
    CHECK(!app_find(world.version, SPAN("shop")));
    world_fini(&world);
}

TEST(a_manifest_that_is_gone_leaves_the_files)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "4.2.0", "orders 3");
    drop(&world, "version/release/shop/4.2.0");
    const struct app *app = app_find(world.version, SPAN("shop"));
    CHECK(app);
    const struct release *release = release_find(app, SPAN("4.2.0"));
    CHECK(release);
    CHECK(!release->is_published);
    CHECK_INT(release->n_requires, 0);
    CHECK_INT(release->n_entries, 0);
    CHECK_INT(release->files.n_nodes, 1);
    world_fini(&world);
}
