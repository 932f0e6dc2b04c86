/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

/* Everything that was ever committed, to be applied to other rooms in other orders. */
static struct recorded {
    struct store_event event;
    char *key, *value;
} recorded[256];
static unsigned n_recorded;

static void record(struct world *world, const struct store_event *event)
{
    (void)world;
    CHECK(n_recorded < 256);
    struct recorded *entry = &recorded[n_recorded++];
    entry->key = mem_span_dup(event->entry.key);
    entry->value = mem_span_dup(event->entry.value);
    entry->event = *event;
    entry->event.entry.key.data = entry->key;
    entry->event.entry.value.data = entry->value;
}

static void forget_recorded(void)
{
    while (n_recorded) {
        free(recorded[--n_recorded].key);
        free(recorded[n_recorded].value);
    }
}

static void fill(struct world *world)
{
    world_init(world);
    world->also = record;
    world_instance(world, "orders", "2.9.0");
    world_instance(world, "orders", "3.14.2");
    world_publish(world, "shop", "4.1.0", "orders 2");
    world_publish(world, "shop", "4.2.0", "orders 3");
    world_file(world, "shop", "4.3.0", "main.js");
    world_pin(world, "acme/eu", "shop", "4.1.0");
    DO(world, customer_put(world->version, SPAN("acme/eu"), NULL, 0, 1, &world->txn, NULL));
    DO(world, cohort_put(world->version, SPAN("eu"), SPAN("id == 'acme/eu'"), &world->txn, NULL));
    bom_keep(world->version, SPAN("{\"builds\":{},\"contracts\":{},\"releases\":{}}"), 1,
             &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
}

static int by_key(const void *a, const void *b)
{
    const struct recorded *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static int by_key_backwards(const void *a, const void *b)
{
    return by_key(b, a);
}

static const char *json_of(struct version *version, const struct registry *registry,
                           const char *customer)
{
    static char text[512];
    struct version_snapshot *snapshot =
        version_snapshot_new(version, registry, NULL, 0, WORLD_WALL);
    struct bom_cache *cache = bom_cache_new(snapshot);
    enum resolve_reason reason;
    struct resolve_request request = { .customer = span_of(customer) };
    snprintf(text, sizeof(text), "%s", version_resolve(cache, &request, &reason, NULL)->json.data);
    bom_cache_free(cache);
    version_snapshot_free(snapshot);
    return text;
}

TEST(a_load_in_any_order_of_keys_gives_the_same_state)
{
    static int (*const orders[])(const void *, const void *) = { by_key, by_key_backwards };
    struct world world;
    fill(&world);
    for (unsigned i = 0; i < 2; i++) {
        qsort(recorded, n_recorded, sizeof(recorded[0]), orders[i]);
        struct version *loaded = version_new();
        for (unsigned j = 0; j < n_recorded; j++)
            CHECK_INT(version_apply(loaded, &recorded[j].event), 0);
        CHECK_STR(json_of(loaded, world.registry, "acme/eu"),
                  "{\"builds\":{},\"contracts\":{\"orders\":2},\"releases\":{\"shop\":\"4.1.0\"}}");
        CHECK_INT(version_contracts(loaded)->n_nodes, 2);
        CHECK_INT(version_cohorts(loaded)->n_nodes, 1);
        CHECK_INT(app_find(loaded, SPAN("shop"))->releases.n_nodes, 3);
        version_free(loaded);
    }
    forget_recorded();
    world_fini(&world);
}

TEST(deleting_every_record_in_any_order_leaves_nothing)
{
    static int (*const orders[])(const void *, const void *) = { by_key, by_key_backwards };
    struct world world;
    fill(&world);
    for (unsigned i = 0; i < 2; i++) {
        struct version *loaded = version_new();
        for (unsigned j = 0; j < n_recorded; j++)
            CHECK_INT(version_apply(loaded, &recorded[j].event), 0);
        qsort(recorded, n_recorded, sizeof(recorded[0]), orders[i]);
        for (unsigned j = 0; j < n_recorded; j++) {
            struct store_event gone = recorded[j].event;
            gone.kind = TXN_DELETE;
            gone.entry.value = SPAN_NULL;
            CHECK_INT(version_apply(loaded, &gone), 0);
            CHECK_INT(version_apply(loaded, &gone), 0); /* nothing is left to delete */
        }
        uint32_t major;
        CHECK(!service_default_contract(loaded, SPAN("orders"), &major));
        CHECK_INT(version_contracts(loaded)->n_nodes, 0);
        CHECK_INT(version_apps(loaded)->n_nodes, 0);
        CHECK_INT(version_customers(loaded)->n_nodes, 0);
        CHECK_INT(version_cohorts(loaded)->n_nodes, 0);
        version_free(loaded);
    }
    forget_recorded();
    world_fini(&world);
}

TEST(a_record_that_is_none_is_a_fault)
{
    static const char *const keys[] = {
        "version/app/shop",          "version/bom/aaaa",      "version/cohort/eu",
        "version/contract/orders/3", "version/customer/a",    "version/default/orders",
        "version/file/shop/1/a.js",  "version/pin/acme/shop", "version/release/shop/1.0.0",
    };
    struct version *version = version_new();
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct store_event event = {
            .kind = TXN_PUT,
            .entry = { .key = span_of(keys[i]), .value = SPAN("\xff\xff\xff"), .mod_revision = 1 },
        };
        CHECK(version_apply(version, &event) < 0);
    }
    version_free(version);
}

TEST(keys_of_others_and_of_newer_releases_of_ours_are_left_alone)
{
    static const char *const keys[] = { "registry/service/orders", "version", "version/lane/t118" };
    struct version *version = version_new();
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct store_event event = {
            .kind = TXN_PUT,
            .entry = { .key = span_of(keys[i]), .value = SPAN("\xff\xff"), .mod_revision = 1 },
        };
        CHECK_INT(version_apply(version, &event), 0);
    }
    version_free(version);
}
