/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

static void orders_2_and_3(struct world *world)
{
    world_init(world);
    world_instance(world, "orders", "2.9.0");
    world_instance(world, "orders", "3.14.2");
}

TEST(the_highest_active_contract_that_all_releases_accept_is_taken)
{
    struct world world;
    orders_2_and_3(&world);
    world_instance(&world, "orders", "4.0.0");
    world_publish(&world, "shop", "1.0.0", "orders >=2");
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{\"orders\":4},"
              "\"releases\":{\"shop\":\"1.0.0\"}}");
    world_publish(&world, "admin", "1.0.0", "orders >=2 <4");
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{\"orders\":3},"
              "\"releases\":{\"admin\":\"1.0.0\",\"shop\":\"1.0.0\"}}");
    world_offline(&world, "orders", 3);
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{\"orders\":2},"
              "\"releases\":{\"admin\":\"1.0.0\",\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}

TEST(a_contract_without_a_build_is_not_routed_to)
{
    struct world world;
    orders_2_and_3(&world);
    struct contract_spec spec = { .service = SPAN("orders"), .major = 4 };
    DO(&world, contract_put(world.version, &spec, world.wall, &world.txn, &world.problem));
    world_publish(&world, "shop", "1.0.0", "orders *");
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{\"orders\":3},"
              "\"releases\":{\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}

TEST(a_rule_moves_contracts_that_no_release_requires_too)
{
    struct world world;
    orders_2_and_3(&world);
    world_instance(&world, "mail", "1.0.0");
    world_instance(&world, "mail", "1.1.0");
    world_publish(&world, "shop", "1.0.0", "orders 2");
    struct version_rule *rule = world_rule(&world, "salt", PCT_ALL);
    rule_build(rule, "mail", "1.1.0");
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{\"mail@1\":\"1.1.0\"},\"contracts\":{\"orders\":2},"
              "\"releases\":{\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}

TEST(a_build_that_is_the_baseline_is_not_listed)
{
    struct world world;
    orders_2_and_3(&world);
    struct version_rule *rule = world_rule(&world, "salt", PCT_ALL);
    rule_build(rule, "orders", "3.14.2");
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"), "{\"builds\":{},\"contracts\":{},\"releases\":{}}");
    world_fini(&world);
}

/* The BOM that a customer had when both contracts were there. */
static const char *keep_bom(struct world *world, const char *customer, char id[BOM_ID_SIZE + 1])
{
    enum resolve_reason reason;
    world_snapshot(world);
    const struct bom *bom = world_resolve(world, customer, &reason);
    memcpy(id, bom->id, BOM_ID_SIZE + 1);
    bom_keep(world->version, bom->json, world->wall, &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
    return id;
}

static const struct bom *resolve_after(struct world *world, const char *customer,
                                       const char *previous, struct resolve_trace *trace)
{
    enum resolve_reason reason;
    struct resolve_request request = { .customer = span_of(customer),
                                       .previous_bom = span_of(previous) };
    const struct bom *bom = version_resolve(world->cache, &request, &reason, trace);
    CHECK_INT(reason, RESOLVE_FALLBACK);
    return bom;
}

static const char *trace_of(const struct resolve_trace *trace, const char *rule)
{
    for (unsigned i = 0; i < trace->n_steps; i++) {
        if (strcmp(trace->steps[i].rule, rule) == 0)
            return trace->steps[i].text;
    }
    return "";
}

TEST(a_release_that_cannot_be_served_steps_back_to_the_previous_bom)
{
    struct world world;
    char id[BOM_ID_SIZE + 1];
    static struct resolve_trace trace;
    orders_2_and_3(&world);
    world_publish(&world, "shop", "1.0.0", "orders 3");
    world_publish(&world, "shop", "1.1.0", "orders 3");
    world_publish(&world, "shop", "2.0.0", "orders 2");
    DO(&world,
       app_set_default(world.version, SPAN("shop"), SPAN("1.1.0"), &world.txn, &world.problem));
    keep_bom(&world, "acme", id);
    DO(&world,
       app_set_default(world.version, SPAN("shop"), SPAN("1.0.0"), &world.txn, &world.problem));
    world_pin(&world, "acme", "shop", "2.0.0");
    world_offline(&world, "orders", 2);
    world_snapshot(&world);

    const struct bom *bom = resolve_after(&world, "acme", id, &trace);
    CHECK(span_is(bom_release(bom, SPAN("shop"))->version, "1.1.0"));
    CHECK_STR(trace_of(&trace, "fallback"), "shop 1.1.0: what the customer had before");
    CHECK_STR(trace_of(&trace, "requirement"),
              "shop 2.0.0 requires orders 2, and no active contract is that");
    /* The choice is remembered with the BOM that it rests on, and without. */
    CHECK(resolve_after(&world, "acme", id, NULL) == bom);
    bom = resolve_after(&world, "acme", "", &trace);
    CHECK(span_is(bom_release(bom, SPAN("shop"))->version, "1.0.0"));
    CHECK_STR(trace_of(&trace, "fallback"), "shop 1.0.0: the default of the app");
    CHECK(resolve_after(&world, "acme", "aaaaaaaaaaaaaaaa", NULL) == bom);
    world_fini(&world);
}

TEST(an_app_of_which_no_release_can_be_served_is_left_out)
{
    struct world world;
    static struct resolve_trace trace;
    orders_2_and_3(&world);
    world_publish(&world, "shop", "1.0.0", "orders 2");
    world_publish(&world, "admin", "1.0.0", "orders 3");
    world_offline(&world, "orders", 2);
    world_snapshot(&world);
    const struct bom *bom = resolve_after(&world, "acme", "", &trace);
    CHECK_STR(bom->json.data,
              "{\"builds\":{},\"contracts\":{\"orders\":3},"
              "\"releases\":{\"admin\":\"1.0.0\"}}");
    CHECK_STR(trace_of(&trace, "fallback"),
              "left out: no release of shop can be served to this customer");
    world_fini(&world);
}

TEST(of_two_apps_that_exclude_each_other_the_later_one_steps_back)
{
    struct world world;
    static struct resolve_trace trace;
    orders_2_and_3(&world);
    world_publish(&world, "admin", "1.0.0", "orders 2");
    world_publish(&world, "shop", "1.0.0", "orders 2");
    world_publish(&world, "shop", "2.0.0", "orders 3");
    world_pin(&world, "acme", "shop", "2.0.0");
    world_snapshot(&world);
    const struct bom *bom = resolve_after(&world, "acme", "", &trace);
    CHECK_STR(bom->json.data,
              "{\"builds\":{},\"contracts\":{\"orders\":2},"
              "\"releases\":{\"admin\":\"1.0.0\",\"shop\":\"1.0.0\"}}");
    CHECK_STR(trace_of(&trace, "requirement"),
              "shop 2.0.0 requires orders 3, which does not go together with admin 1.0.0");

    DO(&world,
       app_set_default(world.version, SPAN("shop"), SPAN("2.0.0"), &world.txn, &world.problem));
    world_snapshot(&world);
    CHECK_STR(resolve_after(&world, "acme", "", NULL)->json.data,
              "{\"builds\":{},\"contracts\":{\"orders\":2},\"releases\":{\"admin\":\"1.0.0\"}}");
    world_fini(&world);
}

TEST(a_train_whose_release_cannot_be_served_moves_nothing)
{
    struct world world;
    orders_2_and_3(&world);
    world_instance(&world, "orders", "3.15.0");
    world_publish(&world, "shop", "1.0.0", "orders 3");
    world_publish(&world, "shop", "2.0.0", "orders 3, search 1");
    struct version_rule *rule = world_rule(&world, "salt", PCT_ALL);
    rule_build(rule, "orders", "3.15.0");
    rule_release(rule, "shop", "2.0.0");
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"),
              "{\"builds\":{},\"contracts\":{\"orders\":3},"
              "\"releases\":{\"shop\":\"1.0.0\"}}");
    world_fini(&world);
}

/* --- generated worlds --- */

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(random_next(state) % n);
}

static const char *const services[] = { "cart", "catalog", "orders", "search" };
static const char *const apps[] = { "admin", "blog", "shop" };
static const char *const ranges[] = { "1", "2", "3", ">=1 <3", ">=2", "*", "1 || 3", "4" };

static void generate_service(struct world *world, const char *service, uint64_t *state)
{
    for (unsigned i = 0; i < 6; i++) {
        char version[16];
        snprintf(version, sizeof(version), "%u.%u.0", 1 + i / 2, i % 2);
        if (below(state, 4))
            world_instance(world, service, version);
    }
}

static void generate_release(struct world *world, const char *app, const char *version,
                             uint64_t *state)
{
    char needs[128] = "";
    size_t size = 0;
    for (unsigned i = 0; i < 4; i++) {
        const char *range = ranges[below(state, 8)];
        if (below(state, 2))
            size += (size_t)snprintf(needs + size, sizeof(needs) - size, "%s%s %s",
                                     size ? ", " : "", services[i], range);
    }
    world_publish(world, app, version, needs);
}

static void generate(struct world *world, uint64_t *state)
{
    for (unsigned i = 0; i < 4; i++)
        generate_service(world, services[i], state);
    for (unsigned i = 0; i < 9; i++) {
        char version[16];
        snprintf(version, sizeof(version), "1.%u.0", i % 3);
        generate_release(world, apps[i / 3], version, state);
    }
}

/* Pins, rules and retirements; what is refused is left. */
static void disturb(struct world *world, uint64_t *state)
{
    static char versions[16][16];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(versions[i], sizeof(versions[i]), "1.%u.0", below(state, 3));
        struct pin_spec pin = { .customer = SPAN("acme"),
                                .app = span_of(apps[i]),
                                .release = span_of(versions[i]) };
        if (below(state, 2) && pin_put(world->version, &pin, 0, &world->txn, NULL) == 0)
            CHECK_INT(fake_commit(&world->store, &world->txn), 0);
        txn_clear(&world->txn);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct version_rule *rule = world_rule(world, services[i], below(state, 2) ? PCT_ALL : 0);
        snprintf(versions[4 + i], sizeof(versions[0]), "%u.1.0", 1 + below(state, 3));
        rule_build(rule, services[i], versions[4 + i]);
        snprintf(versions[8 + i], sizeof(versions[0]), "1.%u.0", below(state, 3));
        if (below(state, 2))
            rule_release(rule, apps[i % 3], versions[8 + i]);
        if (below(state, 3) == 0 &&
            contract_set_state(world->version, span_of(services[i]), 1 + below(state, 3),
                               CONTRACT_OFFLINE, SPAN(""), 0, &world->txn, NULL) == 0)
            CHECK_INT(fake_commit(&world->store, &world->txn), 0);
        txn_clear(&world->txn);
    }
}

/* Whether the range of a release accepts the BOM's contract of the service. */
static const struct requirement *need_of(struct world *world, const struct snapshot_release *chosen,
                                         struct span service)
{
    const struct release *release =
        release_find(app_find(world->version, chosen->app), chosen->version);
    for (unsigned i = 0; i < release->n_requires; i++) {
        if (span_is(service, release->requires[i].service))
        return &release->requires[i];
    }
    return NULL;
}

/* How many releases of the BOM need the service, and whether all of those accept the major. */
static unsigned n_needs(struct world *world, const struct bom *bom, struct span service,
                        uint32_t major, bool *ret_all_accept)
{
    unsigned n = 0;
    *ret_all_accept = true;
    for (unsigned i = 0; i < bom->n_releases; i++) {
        const struct requirement *need = need_of(world, bom->releases[i], service);
        n += need != NULL;
        *ret_all_accept &= !need || major_range_has(&need->range, major);
    }
    return n;
}

/* Nothing partial: what a release needs is there, what is there is needed, and is the highest. */
static void check_service(struct world *world, const struct bom *bom, uint32_t service)
{
    struct span name = snapshot_service_at(world->snapshot, service)->name;
    uint32_t chosen = bom->contract_of[service];
    bool all_accept;
    if (chosen == NO_INDEX) {
        CHECK_INT(n_needs(world, bom, name, 0, &all_accept), 0);
        return;
    }

    const struct snapshot_contract *contract = snapshot_contract_at(world->snapshot, chosen);
    CHECK(n_needs(world, bom, name, contract->major, &all_accept) > 0);
    CHECK(all_accept);
    CHECK(!contract->is_offline);
    for (uint32_t major = contract->major + 1; major < 8; major++) {
        const struct contract *higher = contract_find(world->version, name, major);
        n_needs(world, bom, name, major, &all_accept);
        CHECK(!higher || higher->state == CONTRACT_OFFLINE || !all_accept);
    }
}

static void check_builds(struct world *world, const struct bom *bom)
{
    for (unsigned i = 0; i < bom->n_builds; i++) {
        const struct snapshot_contract *contract =
            snapshot_contract_at(world->snapshot, bom->builds[i].contract);
        CHECK(!contract->is_offline);
        CHECK(contract->baseline != bom->builds[i].build);
        CHECK_INT(bom_build(world->snapshot, bom, bom->builds[i].contract), bom->builds[i].build);
    }
}

static void check_seed(uint64_t seed, unsigned *n_fallbacks)
{
    uint64_t state = seed;
    struct world world;
    world_init(&world);
    generate(&world, &state);
    char id[BOM_ID_SIZE + 1];
    keep_bom(&world, "acme", id);
    disturb(&world, &state);
    world_snapshot(&world);

    enum resolve_reason reason;
    struct resolve_request request = { .customer = SPAN("acme"), .previous_bom = span_of(id) };
    const struct bom *bom = version_resolve(world.cache, &request, &reason, NULL);
    for (uint32_t i = 0; i < snapshot_n_services(world.snapshot); i++)
        check_service(&world, bom, i);
    check_builds(&world, bom);
    *n_fallbacks += reason == RESOLVE_FALLBACK;
    world_fini(&world);
}

TEST(no_generated_world_gives_a_partial_bom)
{
    unsigned n_fallbacks = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        printf("# seed %" PRIu64 "\n", seed);
        check_seed(seed, &n_fallbacks);
    }
    CHECK(n_fallbacks > 20 && n_fallbacks < 150); /* else they would not test much */
}
