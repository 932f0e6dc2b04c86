/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/view.h"

#include "fake/world.h"

static void put_speaker(struct world *world, const char *service, const char *version,
                        const char *id, const char *address, const char *protocol)
{
    struct instance_spec spec = {
        .service = span_of(service),
        .id = span_of(id),
        .address = span_of(address),
        .protocol = span_of(protocol),
        .build = { .service = span_of(service), .version = span_of(version) },
    };
    CHECK_INT(instance_put(world->registry, &spec, world->wall, &world->txn, &world->problem), 0);
    version_observe_build(world->version, &spec.build, world->wall, &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
}

static void put_instance(struct world *world, const char *service, const char *version,
                         const char *id, const char *address)
{
    put_speaker(world, service, version, id, address, "http");
}

static void fill(struct world *world)
{
    world_init(world);
    put_instance(world, "orders", "3.14.2", "a", "127.0.0.1:1");
    put_instance(world, "catalog", "1.0.0", "b", "127.0.0.1:2");
    put_instance(world, "orders", "3.15.0", "c", "127.0.0.1:3");
    put_instance(world, "orders", "3.14.2", "d", "unix:/run/d.sock");
}

static struct endpoints *compile(struct world *world, const struct endpoints *before)
{
    return endpoints_new(
        world->registry,
        version_snapshot_new(world->version, world->registry, NULL, 0, world->wall), NULL, before);
}

/* The addresses of a group, joined by spaces. */
static const char *addresses(const struct endpoints *endpoints, uint32_t group)
{
    static char text[512];
    text[0] = '\0';
    for (uint32_t i = 0; i < endpoints->groups[group].n; i++) {
        char address[ADDRESS_TEXT_MAX];
        address_format(&endpoints->endpoints[endpoints->groups[group].first + i].address, address);
        size_t size = strlen(text);
        snprintf(text + size, sizeof(text) - size, "%s%s", size ? " " : "", address);
    }
    return text;
}

TEST(each_build_has_its_own_instances)
{
    struct world world;
    fill(&world);
    struct endpoints *endpoints = compile(&world, NULL);
    uint32_t old = snapshot_build(endpoints->snapshot, SPAN("orders"), SPAN("3.14.2"));
    uint32_t new = snapshot_build(endpoints->snapshot, SPAN("orders"), SPAN("3.15.0"));
    CHECK_STR(addresses(endpoints, old), "127.0.0.1:1 unix:/run/d.sock");
    CHECK_STR(addresses(endpoints, new), "127.0.0.1:3");
    uint32_t service = snapshot_service(endpoints->snapshot, SPAN("orders"));
    uint32_t contract = snapshot_contract(endpoints->snapshot, service, 3);
    CHECK_INT(endpoints->provider_groups[contract].n, 2);
    endpoints_unref(endpoints);
    world_fini(&world);
}

TEST(what_is_on_another_hosts_loopback_is_left_out)
{
    struct world world;
    world_init(&world);
    registry_set_self(world.registry, SPAN("theirs"));
    put_instance(&world, "orders", "3.14.2", "a", "127.0.0.1:1");
    put_instance(&world, "orders", "3.14.2", "b", "unix:/run/b.sock");
    put_instance(&world, "orders", "3.14.2", "c", "[::1]:1");
    put_instance(&world, "orders", "3.14.2", "d", "10.0.0.1:1");
    struct endpoints *endpoints = compile(&world, NULL);
    uint32_t build = snapshot_build(endpoints->snapshot, SPAN("orders"), SPAN("3.14.2"));
    CHECK_INT(endpoints->groups[build].n, 4);
    endpoints_unref(endpoints);
    registry_set_self(world.registry, SPAN("ours"));
    put_instance(&world, "orders", "3.14.2", "e", "127.0.0.1:2");
    endpoints = compile(&world, NULL);
    CHECK_STR(addresses(endpoints, build), "10.0.0.1:1 127.0.0.1:2");
    endpoints_unref(endpoints);
    world_fini(&world);
}

TEST(builds_that_share_traffic_have_one_group_more)
{
    struct world world;
    fill(&world);
    struct service_spec shares = { .name = SPAN("orders"), .shares_builds = { true, true } };
    DO(&world, service_put(world.registry, &shares, world.wall, &world.txn, &world.problem));
    struct endpoints *endpoints = compile(&world, NULL);
    struct route_table *routes = route_table_new(NULL, 0, NULL, NULL);
    struct gateway_settings settings = { 0 };
    struct view *view = view_new(routes, endpoints, &settings);
    uint32_t orders = snapshot_service(view->snapshot, SPAN("orders"));
    uint32_t catalog = snapshot_service(view->snapshot, SPAN("catalog"));
    uint32_t contract = snapshot_contract(view->snapshot, orders, 3);
    CHECK_STR(addresses(endpoints, view_group(view, contract, NO_INDEX)),
              "127.0.0.1:1 unix:/run/d.sock 127.0.0.1:3");
    contract = snapshot_contract(view->snapshot, catalog, 1);
    uint32_t build = snapshot_build(view->snapshot, SPAN("catalog"), SPAN("1.0.0"));
    CHECK_INT(view_group(view, contract, build), build);
    route_table_unref(routes);
    endpoints_unref(endpoints);
    view_free(view); /* what it held goes with it */
    world_fini(&world);
}

TEST(addresses_that_went_are_named)
{
    struct world world;
    fill(&world);
    struct endpoints *before = compile(&world, NULL);
    CHECK_INT(before->n_gone, 0);
    DO(&world, instance_delete(world.registry, SPAN("orders"), SPAN("c"), &world.txn));
    DO(&world, instance_drain(world.registry, SPAN("orders"), SPAN("d"), &world.txn));
    struct endpoints *after = compile(&world, before);
    CHECK_INT(after->n_endpoints, 2);
    CHECK_INT(after->n_gone, 2);
    struct address gone;
    CHECK_INT(address_parse(SPAN("127.0.0.1:3"), &gone), 0);
    CHECK(address_equals(&after->gone[0], &gone) || address_equals(&after->gone[1], &gone));
    endpoints_unref(before);
    endpoints_unref(after);
    world_fini(&world);
}

/* All of what two views differ in, against what a look at each of them says. */
TEST(who_went_is_found_wherever_it_stood)
{
    static const char *const addresses[] = { "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3" };
    for (unsigned number = 0; number < 256; number++) {
        struct world world;
        world_init(&world);
        for (unsigned i = 0; i < 4; i++) /* the fourth has the address of the first */
            put_instance(&world, "orders", "3.14.2", (char[]){ (char)('a' + i), 0 },
                         addresses[i % 3]);
        struct endpoints *before = compile(&world, NULL);
        for (unsigned i = 0; i < 4; i++) {
            struct span id = { (char[]){ (char)('a' + i) }, 1 };
            unsigned what = number >> (2 * i) & 3; /* 3: it stays */
            if (what < 3)
                DO(&world, instance_delete(world.registry, SPAN("orders"), id, &world.txn));
            if (what < 2)
                put_instance(&world, "orders", "3.14.2", (char[]){ (char)('A' + i), 0 },
                             addresses[(i + what) % 3]);
        }
        struct endpoints *after = compile(&world, before);
        unsigned n_gone = 0;
        for (uint32_t i = 0; i < before->n_endpoints; i++) {
            bool is_there = false;
            for (uint32_t k = 0; k < after->n_endpoints; k++)
                is_there |=
                    address_equals(&before->endpoints[i].address, &after->endpoints[k].address);
            n_gone += !is_there;
        }
        CHECK_INT(after->n_gone, n_gone);
        endpoints_unref(before);
        endpoints_unref(after);
        world_fini(&world);
    }
}

TEST(an_empty_registry_is_a_view_too)
{
    struct world world;
    world_init(&world);
    struct endpoints *endpoints = compile(&world, NULL);
    CHECK_INT(endpoints->n_endpoints, 0);
    endpoints_unref(endpoints);
    world_fini(&world);
}

TEST(each_instance_is_spoken_to_in_its_protocol)
{
    static const struct {
        const char *word;
        int protocol; /* -1: no request goes there */
    } rows[] = { { "http", HTTP_PROTOCOL_1 },
                 { "http2", HTTP_PROTOCOL_2 },
                 { "grpc", HTTP_PROTOCOL_2 },
                 { "thrift", -1 },
                 { "http+x", -1 },
                 { "https+tls", -1 },
                 { "https", -1 } /* there is no TLS here */ };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;
        world_init(&world);
        put_speaker(&world, "orders", "1.0.0", "a", "127.0.0.1:1", rows[i].word);
        struct endpoints *endpoints = compile(&world, NULL);
        CHECK_INT(endpoints->n_endpoints, rows[i].protocol >= 0);
        if (endpoints->n_endpoints)
            CHECK_INT(endpoints->endpoints[0].protocol, rows[i].protocol);
        endpoints_unref(endpoints);
        world_fini(&world);
    }
}

static void put_grpc(struct world *world, const char *service, const char *version, const char *id,
                     const char *name)
{
    struct span names[] = { span_of(name) };
    struct instance_spec spec = {
        .service = span_of(service),
        .id = span_of(id),
        .address = SPAN("127.0.0.1:1"),
        .build = { .service = span_of(service),
                   .version = span_of(version),
                   .grpc_services = names,
                   .n_grpc_services = 1 },
    };
    DO(world, instance_put(world->registry, &spec, world->wall, &world->txn, &world->problem));
    version_observe_build(world->version, &spec.build, world->wall, &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
}

TEST(methods_lead_to_who_serves_them)
{
    struct world world;
    world_init(&world);
    put_grpc(&world, "orders", "1.0.0", "a", "shop.v1.Orders");
    put_grpc(&world, "orders", "1.1.0", "b", "shop.v1.Orders");
    put_grpc(&world, "orders", "2.0.0", "c", "shop.v2.Orders");
    put_grpc(&world, "orders", "1.0.0", "a", "shop.Both");
    put_grpc(&world, "orders", "2.0.0", "c", "shop.Both");
    struct endpoints *endpoints = compile(&world, NULL);
    struct view view = { .endpoints = endpoints };
    uint32_t orders = snapshot_service(endpoints->snapshot, SPAN("orders"));
    const struct grpc_name *name = view_grpc_name(&view, SPAN("shop.v1.Orders"));
    CHECK(name && name->service == orders && name->major == 1);
    name = view_grpc_name(&view, SPAN("shop.v2.Orders"));
    CHECK(name && name->service == orders && name->major == 2);
    name = view_grpc_name(&view, SPAN("shop.Both"));
    CHECK(name && name->service == orders && name->major == NO_MAJOR);
    CHECK(!view_grpc_name(&view, SPAN("shop.v3.Orders")));
    endpoints_unref(endpoints);

    /* Whoever has instances serves it, and not who had some before. */
    DO(&world, instance_delete(world.registry, SPAN("orders"), SPAN("c"), &world.txn));
    put_grpc(&world, "cart", "1.0.0", "d", "shop.v2.Orders");
    endpoints = compile(&world, NULL);
    view.endpoints = endpoints;
    name = view_grpc_name(&view, SPAN("shop.v2.Orders"));
    CHECK(name && name->service == snapshot_service(endpoints->snapshot, SPAN("cart")));
    endpoints_unref(endpoints);
    world_fini(&world);
}
