/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

#define MOVED                                                                                      \
    "{\"builds\":{\"orders@3\":\"3.15.0\"},\"contracts\":{\"orders\":3},"                          \
    "\"releases\":{\"shop\":\"4.2.0\"}}"

static void gray(struct world *world)
{
    world_init(world);
    world_instance(world, "orders", "2.9.0");
    world_instance(world, "orders", "3.14.2");
    world_instance(world, "orders", "3.15.0");
    world_instance(world, "catalog", "1.0.0");
    world_publish(world, "shop", "4.2.0", "orders 3");
    rule_build(world_rule(world, "salt", PCT_ALL), "orders", "3.15.0");
}

/* Keeps the BOM of a customer, takes the rule away and returns what the id means then. */
static const struct bom *kept(struct world *world)
{
    enum resolve_reason reason;
    world_snapshot(world);
    const struct bom *bom = world_resolve(world, "acme", &reason);
    CHECK(!bom->is_kept);
    char id[BOM_ID_SIZE + 1];
    memcpy(id, bom->id, sizeof(id));
    bom_keep(world->version, bom->json, world->wall, &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
    world->n_rules = 0;
    world_snapshot(world);
    return version_bom(world->cache, span_of(id));
}

TEST(a_kept_bom_means_the_same_after_its_rollout)
{
    struct world world;
    gray(&world);
    const struct bom *bom = kept(&world);
    CHECK(bom);
    CHECK(bom->is_kept);
    CHECK_STR(bom->json.data, MOVED);
    CHECK(version_bom(world.cache, span_of(bom->id)) == bom);

    uint32_t orders = snapshot_service(world.snapshot, SPAN("orders"));
    uint32_t contract = bom_contract(world.snapshot, bom, orders);
    CHECK(span_is(snapshot_contract_at(world.snapshot, contract)->name, "orders@3"));
    uint32_t build = bom_build(world.snapshot, bom, contract);
    CHECK(span_is(snapshot_build_at(world.snapshot, build)->version, "3.15.0"));
    CHECK(span_is(bom_release(bom, SPAN("shop"))->version, "4.2.0"));
    world_fini(&world);
}

TEST(a_service_the_bom_does_not_name_has_its_default_contract_and_baseline)
{
    struct world world;
    gray(&world);
    const struct bom *bom = kept(&world);
    uint32_t catalog = snapshot_service(world.snapshot, SPAN("catalog"));
    uint32_t contract = bom_contract(world.snapshot, bom, catalog);
    CHECK(span_is(snapshot_contract_at(world.snapshot, contract)->name, "catalog@1"));
    uint32_t build = bom_build(world.snapshot, bom, contract);
    CHECK(span_is(snapshot_build_at(world.snapshot, build)->version, "1.0.0"));

    CHECK_INT(bom_contract(world.snapshot, bom, NO_INDEX), NO_INDEX);
    CHECK_INT(bom_build(world.snapshot, bom, NO_INDEX), NO_INDEX);
    world_fini(&world);
}

TEST(a_contract_without_a_baseline_has_no_build)
{
    struct world world;
    gray(&world);
    struct contract_spec spec = { .service = SPAN("orders"), .major = 9 };
    DO(&world, contract_put(world.version, &spec, world.wall, &world.txn, NULL));
    const struct bom *bom = kept(&world);
    uint32_t orders = snapshot_service(world.snapshot, SPAN("orders"));
    uint32_t contract = snapshot_contract(world.snapshot, orders, 9);
    CHECK(contract != NO_INDEX);
    CHECK_INT(bom_build(world.snapshot, bom, contract), NO_INDEX);
    world_fini(&world);
}

TEST(an_unknown_id_is_no_bom)
{
    struct world world;
    gray(&world);
    kept(&world);
    CHECK(!version_bom(world.cache, SPAN("aaaaaaaaaaaaaaaa")));
    CHECK(!version_bom(world.cache, SPAN("")));
    CHECK(!version_bom(world.cache, SPAN("x")));
    world_fini(&world);
}

/* Puts a record of another content under the id of a real one, as a damaged store would. */
static void forge(struct world *world, const char *id, const char *json)
{
    char key[64], value[512];
    snprintf(key, sizeof(key), "version/bom/%s", id);
    /* Field 1 of the message, a string shorter than 128 bytes. */
    int size = snprintf(value, sizeof(value), "\n%c%s", (char)strlen(json), json);
    txn_put(&world->txn, span_of(key), (struct span){ value, (size_t)size });
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
    world_snapshot(world);
}

TEST(a_record_that_does_not_prove_its_id_is_not_used)
{
    struct world world;
    gray(&world);
    const struct bom *bom = kept(&world);
    char id[BOM_ID_SIZE + 1];
    memcpy(id, bom->id, sizeof(id));
    forge(&world, id, "{\"builds\":{},\"contracts\":{\"orders\":2},\"releases\":{}}");
    CHECK(!version_bom(world.cache, span_of(id)));
    forge(&world, id, MOVED);
    CHECK(version_bom(world.cache, span_of(id)));
    world_fini(&world);
}

TEST(what_a_kept_bom_names_and_nobody_knows_any_more_is_left_out)
{
    struct world world;
    gray(&world);
    static const char json[] =
        "{\"builds\":{\"gone@1\":\"1.0.0\",\"orders@3\":\"9.9.9\"},"
        "\"contracts\":{\"gone\":1,\"orders\":2},\"releases\":{\"shop\":\"0.0.1\"}}";
    bom_keep(world.version, span_of(json), world.wall, &world.txn);
    struct span key = world.txn.ops[0].key;
    char id[BOM_ID_SIZE + 1] = "";
    memcpy(id, key.data + key.size - BOM_ID_SIZE, BOM_ID_SIZE);
    CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    world_snapshot(&world);
    const struct bom *bom = version_bom(world.cache, span_of(id));
    CHECK(bom);
    CHECK_INT(bom->n_builds, 0);
    CHECK_INT(bom->n_releases, 0);
    uint32_t orders = snapshot_service(world.snapshot, SPAN("orders"));
    uint32_t contract = bom_contract(world.snapshot, bom, orders);
    CHECK_INT(snapshot_contract_at(world.snapshot, contract)->major, 2);
    world_fini(&world);
}

TEST(boms_that_differ_in_builds_only_share_their_contracts)
{
    struct world world;
    gray(&world);
    world.rules[0].pct_milli = 50000;
    world_snapshot(&world);
    enum resolve_reason reason;
    const struct bom *first = world_resolve(&world, "acme", &reason), *other = first;
    for (unsigned i = 0; other == first; i++) {
        char customer[16];
        snprintf(customer, sizeof(customer), "c-%u", i);
        other = world_resolve(&world, customer, &reason);
    }
    CHECK(strcmp(first->id, other->id) != 0);
    CHECK(first->contract_of == other->contract_of);
    world_fini(&world);
}
