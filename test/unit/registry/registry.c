/* SPDX-License-Identifier: Apache-2.0 */

#include "fake/registry.h"
#include "check.h"
#include "registry/fold.h"

static struct fake_registry fake;

/* Applies one record as a load would. */
static int apply(const char *key, struct span value, int64_t revision)
{
    struct store_event event = {
        .kind = TXN_PUT,
        .entry = { .key = span_of(key), .value = value, .mod_revision = revision },
    };
    return registry_apply(fake.registry, &event, fake.clock.now, fake.clock.wall);
}

static void apply_delete(const char *key, int64_t revision)
{
    struct store_event event = {
        .kind = TXN_DELETE,
        .entry = { .key = span_of(key), .mod_revision = revision },
    };
    CHECK_INT(registry_apply(fake.registry, &event, fake.clock.now, fake.clock.wall), 0);
    CHECK(registry_is_sound(fake.registry));
}

static struct span service_bytes(struct txn *txn)
{
    Registry__ServiceRecord record;
    registry__service_record__init(&record);
    record.created = 7;
    record.is_identity = true;
    return txn_pack(txn, &record.base);
}

static struct span build_bytes(struct txn *txn)
{
    uint32_t provides[] = { 2, 3 };
    Registry__BuildRecord record;
    registry__build_record__init(&record);
    record.provides = provides;
    record.n_provides = 2;
    return txn_pack(txn, &record.base);
}

static struct span instance_bytes(struct txn *txn)
{
    Registry__InstanceRecord record;
    registry__instance_record__init(&record);
    record.build = record_text(&txn->arena, SPAN("3.14.2"));
    record.address = record_text(&txn->arena, SPAN("10.0.0.7:8080"));
    record.protocol = record_text(&txn->arena, SPAN("http"));
    record.ttl = 10 * NSEC_PER_SEC;
    return txn_pack(txn, &record.base);
}

static const char *const keys[] = { "registry/service/orders", "registry/build/orders/3.14.2",
                                    "registry/instance/orders/a" };

/* All three records are there, and joined. */
static void check_orders(void)
{
    const struct service *service = service_find(fake.registry, SPAN("orders"));
    const struct build *build = build_find(service, SPAN("3.14.2"));
    CHECK(service->is_known && service->is_identity);
    CHECK_INT(service->changed_revision, 12);
    CHECK_INT(build->n_provides, 2);
    CHECK(build_provides(build, 2) && build_provides(build, 3));
    CHECK(!build_provides(build, 1));
    CHECK_INT(build->n_ready, 1);
    CHECK_INT(build->semver.minor, 14);
    CHECK(instance_find(service, SPAN("a"))->build == build);
}

static void put_in_order(const int order[3], const struct span values[3])
{
    for (unsigned i = 0; i < 3; i++) {
        CHECK_INT(apply(keys[order[i]], values[order[i]], 10 + i), 0);
        CHECK(registry_is_sound(fake.registry));
    }
}

static void delete_in_order(const int order[3])
{
    for (unsigned i = 0; i < 3; i++)
        apply_delete(keys[order[i]], 20 + i);
}

TEST(records_may_come_and_go_in_any_order)
{
    static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                     { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    CLEANUP(txn_fini) struct txn txn = { 0 };
    struct span values[] = { service_bytes(&txn), build_bytes(&txn), instance_bytes(&txn) };

    fake_registry_init(&fake);
    for (unsigned put = 0; put < 6; put++) {
        for (unsigned gone = 0; gone < 6; gone++) {
            put_in_order(orders[put], values);
            check_orders();
            delete_in_order(orders[gone]);
            CHECK_INT(registry_services(fake.registry)->n_nodes, 0);
        }
    }
    fake_registry_fini(&fake);
}

TEST(a_build_without_a_record_provides_its_major)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    fake_registry_init(&fake);
    CHECK_INT(apply("registry/instance/orders/a", instance_bytes(&txn), 1), 0);
    const struct service *service = service_find(fake.registry, SPAN("orders"));
    CHECK(!service->is_known);
    CHECK(build_provides(build_find(service, SPAN("3.14.2")), 3));
    CHECK_INT(build_find(service, SPAN("3.14.2"))->n_provides, 1);
    fake_registry_fini(&fake);
}

TEST(what_cannot_be_decoded_is_a_fault_and_leaves_nothing)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    fake_registry_init(&fake);
    CHECK(apply("registry/service/orders", SPAN("\xff\xff"), 1) < 0);
    CHECK(apply("registry/build/orders/3.14.2", SPAN("\xff\xff"), 1) < 0);
    CHECK(apply("registry/build/orders/three", build_bytes(&txn), 1) < 0);
    CHECK(apply("registry/build/orders/3.14.2", SPAN(""), 1) < 0); /* provides nothing */
    CHECK(apply("registry/instance/orders/a", SPAN("\xff\xff"), 1) < 0);
    CHECK(apply("registry/instance/orders/a", SPAN(""), 1) < 0); /* of no build */
    CHECK_INT(registry_services(fake.registry)->n_nodes, 0);
    fake_registry_fini(&fake);
}

TEST(every_truncated_instance_is_decoded_or_refused)
{
    CLEANUP(txn_fini) struct txn txn = { 0 };
    struct span whole = instance_bytes(&txn);
    fake_registry_init(&fake);
    for (size_t size = 0; size < whole.size; size++) {
        char *exact = mem_span_dup(span_first(whole, size)); /* so that an overread is seen */
        int r = apply("registry/instance/orders/a", (struct span){ exact, size }, 1);
        CHECK(r <= 0);
        CHECK(registry_is_sound(fake.registry));
        free(exact);
    }
    fake_registry_fini(&fake);
}

TEST(keys_of_others_and_of_later_versions_are_ignored)
{
    fake_registry_init(&fake);
    CHECK_INT(apply("version/app/shop", SPAN("\xff"), 1), 0);
    CHECK_INT(apply("registry/lane/t118", SPAN("\xff"), 1), 0);
    CHECK_INT(registry_services(fake.registry)->n_nodes, 0);
    fake_registry_fini(&fake);
}

TEST(services_come_in_order_of_appearance)
{
    static const char *const names[] = { "orders", "catalog", "billing" };
    fake_registry_init(&fake);
    for (unsigned i = 0; i < 3; i++)
        fake_register(&fake, names[i], "a", "1.0.0");
    unsigned n = 0;
    map_each (node, registry_services(fake.registry)) {
        CHECK(n < 3);
        CHECK_STR(container_of(node, struct service, node)->name, names[n++]);
    }
    CHECK_INT(n, 3);
    fake_registry_fini(&fake);
}

TEST(any_change_below_a_service_moves_its_changed_revision)
{
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");
    const struct service *service = service_find(fake.registry, SPAN("orders"));
    CHECK_INT(service->changed_revision, fake.store.revision);

    fake_register(&fake, "catalog", "a", "1.0.0");
    CHECK_INT(service->changed_revision, fake.store.revision - 1);

    struct build_spec build = { .service = SPAN("orders"), .version = SPAN("3.15.0") };
    CHECK_INT(fake_build_put(&fake, &build), 0);
    CHECK_INT(service->changed_revision, fake.store.revision);
    CHECK_INT(fake_registry_end(
                  &fake, instance_drain(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn)),
              0);
    CHECK_INT(service->changed_revision, fake.store.revision);
    CHECK_INT(fake_registry_end(
                  &fake, instance_delete(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn)),
              0);
    CHECK_INT(service->changed_revision, fake.store.revision);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

/* As at a start: what is there, in the order of keys, and nothing of what went. */
TEST(after_a_load_every_service_has_changed)
{
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");
    CHECK_INT(fake_registry_end(
                  &fake, instance_drain(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn)),
              0);
    const struct service *service = service_find(fake.registry, SPAN("orders"));
    const struct store_event older = {
        .kind = TXN_PUT,
        .entry = { .key = SPAN("registry/service/orders"), .value = SPAN(""), .mod_revision = 1 },
    };
    CHECK_INT(registry_apply(fake.registry, &older, fake.clock.now, fake.clock.wall), 0);
    CHECK_INT(service->changed_revision, fake.store.revision);
    CHECK(registry_is_sound(fake.registry));

    registry_set_loaded(fake.registry, fake.store.revision + 5);
    CHECK_INT(service->changed_revision, fake.store.revision + 5);
    fake_registry_fini(&fake);
}
