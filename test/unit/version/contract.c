/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

static struct contract *contract(struct world *world, const char *service, uint32_t major)
{
    return contract_find(world->version, span_of(service), major);
}

TEST(the_first_build_of_a_contract_becomes_its_baseline)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");

    const struct contract *orders = contract(&world, "orders", 3);
    CHECK(orders);
    CHECK_STR(orders->name, "orders@3");
    CHECK_STR(orders->baseline, "3.14.2");
    CHECK_INT(orders->state, CONTRACT_ACTIVE);
    CHECK_INT(orders->created, WORLD_WALL);
    uint32_t major;
    CHECK(service_default_contract(world.version, SPAN("orders"), &major));
    CHECK_INT(major, 3);
    CHECK(!service_default_contract(world.version, SPAN("cart"), &major));
    world_fini(&world);
}

TEST(a_build_whose_contract_exists_waits)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");
    int64_t revision = contract(&world, "orders", 3)->mod_revision;
    world_instance(&world, "orders", "3.15.0");
    CHECK_STR(contract(&world, "orders", 3)->baseline, "3.14.2");
    CHECK_INT(contract(&world, "orders", 3)->mod_revision, revision);
    world_fini(&world);
}

TEST(a_higher_contract_does_not_become_the_default)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    uint32_t major;
    CHECK(service_default_contract(world.version, SPAN("orders"), &major));
    CHECK_INT(major, 2);
    CHECK_STR(contract(&world, "orders", 3)->baseline, "3.14.2");
    world_fini(&world);
}

TEST(a_build_that_provides_two_majors_makes_both_and_its_own_is_the_default)
{
    struct world world;
    world_init(&world);
    static const uint32_t provides[] = { 2, 3 };
    struct build_spec build = {
        .service = SPAN("orders"), .version = SPAN("3.0.0"), .provides = provides, .n_provides = 2
    };
    world_instance_of(&world, &build);
    CHECK_STR(contract(&world, "orders", 2)->baseline, "3.0.0");
    CHECK_STR(contract(&world, "orders", 3)->baseline, "3.0.0");
    uint32_t major;
    CHECK(service_default_contract(world.version, SPAN("orders"), &major));
    CHECK_INT(major, 3);
    world_fini(&world);
}

TEST(an_unversioned_build_is_the_baseline_of_contract_0)
{
    struct world world;
    world_init(&world);
    struct build_spec build = { .service = SPAN("mail") };
    world_instance_of(&world, &build);
    CHECK_STR(contract(&world, "mail", 0)->baseline, "0.0.0");
    world_fini(&world);
}

TEST(of_two_first_builds_at_once_one_loses_and_then_waits)
{
    struct world world;
    world_init(&world);
    struct build_spec first = { .service = SPAN("orders"), .version = SPAN("3.1.0") };
    struct build_spec second = { .service = SPAN("orders"), .version = SPAN("3.2.0") };
    struct txn late = { 0 };
    version_observe_build(world.version, &second, world.wall, &late);
    version_observe_build(world.version, &first, world.wall, &world.txn);
    CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    CHECK_INT(fake_commit(&world.store, &late), STORE_CONFLICT);

    version_observe_build(world.version, &second, world.wall, &late);
    CHECK_INT(late.n_ops, 0);
    txn_fini(&late);
    CHECK_STR(contract(&world, "orders", 3)->baseline, "3.1.0");
    world_fini(&world);
}

TEST(a_contract_announced_before_its_first_build_gets_it_as_baseline)
{
    struct world world;
    world_init(&world);
    struct contract_spec spec = {
        .service = SPAN("orders"), .major = 3, .kind = SPAN("graphql"), .owner = SPAN("team-web")
    };
    DO(&world, contract_put(world.version, &spec, world.wall, &world.txn, &world.problem));
    CHECK_STR(contract(&world, "orders", 3)->baseline, "");
    CHECK_STR(contract(&world, "orders", 3)->kind, "graphql");
    REFUSED(&world,
            service_set_default(world.version, SPAN("orders"), 3, &world.txn, &world.problem),
            VERSION_REFUSED);

    world_instance(&world, "orders", "3.14.2");
    CHECK_STR(contract(&world, "orders", 3)->baseline, "3.14.2");
    CHECK_STR(contract(&world, "orders", 3)->owner, "team-web");
    world_fini(&world);
}

TEST(what_a_contract_is_told_is_kept_and_the_same_again_changes_nothing)
{
    struct world world;
    world_init(&world);
    struct contract_spec spec = {
        .service = SPAN("orders"), .major = 2, .kind = SPAN("rest"), .successor = SPAN("orders@3")
    };
    DO(&world, contract_put(world.version, &spec, world.wall, &world.txn, &world.problem));
    CHECK_INT(contract_put(world.version, &spec, world.wall, &world.txn, &world.problem), 0);
    CHECK_INT(world.txn.n_ops, 0);

    struct contract_spec owner = { .service = SPAN("orders"), .major = 2, .owner = SPAN("x") };
    DO(&world, contract_put(world.version, &owner, world.wall, &world.txn, &world.problem));
    CHECK_STR(contract(&world, "orders", 2)->kind, "rest");
    CHECK_STR(contract(&world, "orders", 2)->successor, "orders@3");
    CHECK_STR(contract(&world, "orders", 2)->owner, "x");
    world_fini(&world);
}

TEST(a_bad_contract_is_refused_with_its_field)
{
    static const struct {
        struct contract_spec spec;
        const char *path;
    } cases[] = {
        { { .service = { "Orders", 6 }, .major = 1 }, "service" },
        { { .service = { "", 0 }, .major = 1 }, "service" },
        { { .service = { "orders", 6 }, .kind = { "soap", 4 } }, "kind" },
        { { .service = { "orders", 6 }, .owner = { "a\nb", 3 } }, "owner" },
        { { .service = { "orders", 6 }, .successor = { "orders", 6 } }, "successor" },
        { { .service = { "orders", 6 }, .successor = { "orders@x", 8 } }, "successor" },
    };
    struct world world;
    world_init(&world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        REFUSED(&world, contract_put(world.version, &cases[i].spec, 0, &world.txn, &world.problem),
                VERSION_INVALID);
        CHECK_STR(world.problem.path, cases[i].path);
    }
    world_fini(&world);
}

TEST(an_operator_moves_the_default_contract)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    DO(&world, service_set_default(world.version, SPAN("orders"), 3, &world.txn, &world.problem));
    uint32_t major;
    CHECK(service_default_contract(world.version, SPAN("orders"), &major));
    CHECK_INT(major, 3);

    CHECK_INT(service_set_default(world.version, SPAN("orders"), 3, &world.txn, &world.problem), 0);
    CHECK_INT(world.txn.n_ops, 0);
    REFUSED(&world,
            service_set_default(world.version, SPAN("orders"), 4, &world.txn, &world.problem),
            VERSION_NOT_FOUND);
    world_offline(&world, "orders", 2);
    REFUSED(&world,
            service_set_default(world.version, SPAN("orders"), 2, &world.txn, &world.problem),
            VERSION_REFUSED);
    world_fini(&world);
}

TEST(a_baseline_must_be_a_build_that_provides_the_contract)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    world_instance(&world, "orders", "3.15.0");
    const struct {
        const char *service;
        uint32_t major;
        const char *build;
        int answer;
    } cases[] = {
        { "orders", 4, "3.15.0", VERSION_NOT_FOUND }, { "cart", 1, "1.0.0", VERSION_NOT_FOUND },
        { "orders", 3, "3.16.0", VERSION_NOT_FOUND }, { "orders", 3, "2.9.0", VERSION_REFUSED },
        { "orders", 3, "3.15.0", VERSION_OK },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_INT(contract_set_baseline(world.version, world.registry, span_of(cases[i].service),
                                        cases[i].major, span_of(cases[i].build), &world.txn,
                                        &world.problem),
                  cases[i].answer);
        if (cases[i].answer)
            txn_clear(&world.txn);
    }
    CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    CHECK_STR(contract(&world, "orders", 3)->baseline, "3.15.0");
    world_fini(&world);
}

TEST(offline_names_the_next_active_contract_as_successor)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "1.0.0");
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "4.0.0");
    world_instance(&world, "orders", "3.14.2");
    world_offline(&world, "orders", 2);
    CHECK_STR(contract(&world, "orders", 2)->successor, "orders@3");
    CHECK_STR(contract(&world, "orders", 2)->state_why, "test");
    CHECK_INT(contract(&world, "orders", 2)->state, CONTRACT_OFFLINE);
    world_offline(&world, "orders", 1);
    CHECK_STR(contract(&world, "orders", 1)->successor, "orders@3");
    world_offline(&world, "orders", 4);
    CHECK_STR(contract(&world, "orders", 4)->successor, "");
    world_fini(&world);
}

TEST(offline_and_back_are_refused_when_it_is_so_already)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    REFUSED(&world,
            contract_set_state(world.version, SPAN("orders"), 2, CONTRACT_ACTIVE, SPAN(""),
                               world.wall, &world.txn, &world.problem),
            VERSION_REFUSED);
    world_offline(&world, "orders", 2);
    REFUSED(&world,
            contract_set_state(world.version, SPAN("orders"), 2, CONTRACT_OFFLINE, SPAN(""),
                               world.wall, &world.txn, &world.problem),
            VERSION_REFUSED);
    DO(&world, contract_set_state(world.version, SPAN("orders"), 2, CONTRACT_ACTIVE, SPAN("back"),
                                  world.wall + 5, &world.txn, &world.problem));
    CHECK_INT(contract(&world, "orders", 2)->state, CONTRACT_ACTIVE);
    CHECK_INT(contract(&world, "orders", 2)->state_changed, WORLD_WALL + 5);
    REFUSED(&world,
            contract_set_state(world.version, SPAN("orders"), 9, CONTRACT_OFFLINE, SPAN(""),
                               world.wall, &world.txn, &world.problem),
            VERSION_NOT_FOUND);
    world_fini(&world);
}

TEST(a_decision_about_a_contract_that_changed_meanwhile_is_refused_by_the_store)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "3.14.2");
    world_instance(&world, "orders", "3.15.0");
    struct txn late = { 0 };
    CHECK_INT(contract_set_baseline(world.version, world.registry, SPAN("orders"), 3,
                                    SPAN("3.15.0"), &late, &world.problem),
              0);
    world_offline(&world, "orders", 3);
    CHECK_INT(fake_commit(&world.store, &late), STORE_CONFLICT);
    txn_fini(&late);
    world_fini(&world);
}

/* --- coming to depend on a contract while it goes offline --- */

static int take_offline(struct world *world, struct txn *txn)
{
    return contract_set_state(world->version, SPAN("orders"), 2, CONTRACT_OFFLINE, SPAN(""),
                              world->wall, txn, &world->problem);
}

static int pin_acme(struct world *world, const char *release, struct txn *txn)
{
    struct pin_spec pin = { .customer = SPAN("acme"),
                            .app = SPAN("shop"),
                            .release = span_of(release) };
    return pin_put(world->version, &pin, world->wall, txn, &world->problem);
}

static int depend_by_pin(struct world *world, struct txn *txn)
{
    return pin_acme(world, "4.1.0", txn);
}

static int depend_by_pin_through_range(struct world *world, struct txn *txn)
{
    return pin_acme(world, "4.1.1", txn);
}

static int depend_by_app_default(struct world *world, struct txn *txn)
{
    return app_set_default(world->version, SPAN("shop"), SPAN("4.1.0"), txn, &world->problem);
}

static int depend_by_service_default(struct world *world, struct txn *txn)
{
    return service_set_default(world->version, SPAN("orders"), 2, txn, &world->problem);
}

static int depend_by_first_release(struct world *world, struct txn *txn)
{
    struct release_spec *spec = mem_new(struct release_spec);
    world_manifest(spec, "admin", "1.0.0", "orders 2");
    int r = release_publish(world->version, spec, world->wall, txn, &world->problem);
    free(spec);
    return r;
}

static int (*const dependers[])(struct world *world, struct txn *txn) = {
    depend_by_pin,           depend_by_pin_through_range,
    depend_by_app_default,   depend_by_service_default,
    depend_by_first_release,
};

#define N_DEPENDERS (sizeof(dependers) / sizeof(dependers[0]))

/* orders@2 is nobody's yet. */
static void world_of_dependers(struct world *world)
{
    world_init(world);
    world_instance(world, "orders", "3.14.2");
    world_instance(world, "orders", "2.9.0");
    world_publish(world, "shop", "4.2.0", "orders 3");
    world_publish(world, "shop", "4.1.0", "orders 2");
    world_publish(world, "shop", "4.1.1", "orders >=1 <3");
    world_file(world, "admin", "1.0.0", "main.js");
}

TEST(of_going_offline_and_what_made_the_contract_needed_meanwhile_the_later_is_decided_again)
{
    for (size_t i = 0; i < N_DEPENDERS; i++) {
        struct world world;
        struct txn offline = { 0 }, depend = { 0 };

        world_of_dependers(&world);
        CHECK_INT(take_offline(&world, &offline), 0);
        CHECK_INT(dependers[i](&world, &depend), 0);
        CHECK_INT(fake_commit(&world.store, &depend), 0);
        CHECK_INT(fake_commit(&world.store, &offline), STORE_CONFLICT);
        CHECK_INT(contract(&world, "orders", 2)->state, CONTRACT_ACTIVE);
        world_fini(&world);

        world_of_dependers(&world);
        CHECK_INT(take_offline(&world, &offline), 0);
        CHECK_INT(dependers[i](&world, &depend), 0);
        CHECK_INT(fake_commit(&world.store, &offline), 0);
        CHECK_INT(fake_commit(&world.store, &depend), STORE_CONFLICT);
        REFUSED(&world, dependers[i](&world, &depend), VERSION_REFUSED);
        txn_fini(&offline);
        txn_fini(&depend);
        world_fini(&world);
    }
}

TEST(a_release_published_while_what_it_requires_goes_offline_is_decided_again)
{
    struct world world;
    struct txn offline = { 0 }, publish = { 0 };
    world_of_dependers(&world);
    CHECK_INT(take_offline(&world, &offline), 0);
    world_publish(&world, "admin", "0.9.0", "");
    CHECK_INT(depend_by_first_release(&world, &publish), 0); /* it is not the first any more */
    CHECK_INT(fake_commit(&world.store, &offline), 0);
    CHECK_INT(fake_commit(&world.store, &publish), STORE_CONFLICT);
    REFUSED(&world, depend_by_first_release(&world, &publish), VERSION_REFUSED);
    txn_fini(&offline);
    txn_fini(&publish);
    world_fini(&world);
}

TEST(those_who_come_to_depend_on_a_contract_do_not_wait_for_each_other)
{
    struct world world;
    struct txn pin = { 0 }, standard = { 0 }, offline = { 0 };
    world_of_dependers(&world);
    CHECK_INT(depend_by_pin(&world, &pin), 0);
    CHECK_INT(depend_by_app_default(&world, &standard), 0);
    CHECK_INT(fake_commit(&world.store, &pin), 0);
    CHECK_INT(fake_commit(&world.store, &standard), 0);
    CHECK_INT(take_offline(&world, &offline), 0); /* built after them, it rests on them */
    CHECK_INT(fake_commit(&world.store, &offline), 0);
    world_fini(&world);
}

TEST(a_contract_s_name_is_its_service_and_major)
{
    static const struct {
        const char *name, *service;
        uint32_t major;
    } table[] = {
        { "orders@3", "orders", 3 },
        { "a@0", "a", 0 },
        { "orders", NULL, 0 },
        { "@3", NULL, 0 },
        { "orders@", NULL, 0 },
        { "orders@x", NULL, 0 },
        { "orders@3.1", NULL, 0 },
        { "orders@-1", NULL, 0 },
        { "orders@4294967295", NULL, 0 },
        { "orders@4294967294", "orders", 4294967294u },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct span service = SPAN_NULL;
        uint32_t major = 0;
        CHECK_INT(contract_name_parse(span_of(table[i].name), &service, &major),
                  table[i].service != NULL);
        if (table[i].service) {
            CHECK(span_is(service, table[i].service));
            CHECK_INT(major, table[i].major);
        }
    }
}
