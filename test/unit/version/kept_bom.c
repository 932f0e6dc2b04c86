/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

#define HOUR (3600 * 1000ll)

static void keep(struct world *world, unsigned i)
{
    char json[64];
    int size = snprintf(json, sizeof(json),
                        "{\"builds\":{},\"contracts\":{\"orders\":%u},\"releases\":{}}", i);
    bom_keep(world->version, (struct span){ json, (size_t)size }, world->wall, &world->txn);
}

static size_t n_kept(struct world *world)
{
    return world->store.entries.n_nodes;
}

TEST(a_bom_is_kept_under_its_id_once)
{
    struct world world;
    world_init(&world);
    keep(&world, 3);
    CHECK_INT(world.txn.n_ops, 1);
    CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    keep(&world, 3);
    CHECK_INT(world.txn.n_ops, 0);

    /* Long after it is written again, so that it does not count as old. */
    world.wall += 25 * HOUR;
    keep(&world, 3);
    CHECK_INT(world.txn.n_ops, 1);
    CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    CHECK_INT(n_kept(&world), 1);
    world_fini(&world);
}

TEST(the_oldest_go_when_there_are_too_many)
{
    struct world world;
    world_init(&world);
    for (unsigned i = 0; i < BOMS_MAX; i++) {
        keep(&world, i);
        world.wall++;
        if (i % 512 == 511)
            CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    }
    CHECK_INT(n_kept(&world), BOMS_MAX);
    keep(&world, BOMS_MAX);
    CHECK_INT(world.txn.n_ops, 2);
    CHECK_INT(world.txn.ops[0].kind, TXN_DELETE);
    struct span victim = world.txn.ops[0].key;
    char key[64];
    snprintf(key, sizeof(key), "%.*s", SPAN_ARG(victim));
    CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    CHECK_INT(n_kept(&world), BOMS_MAX);
    CHECK(!map_find(&world.store.entries, span_of(key)));
    keep(&world, 0); /* the first one was the oldest: it is unknown again */
    CHECK_INT(world.txn.ops[world.txn.n_ops - 1].kind, TXN_PUT);
    world_fini(&world);
}
