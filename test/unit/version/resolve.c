/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What must hold for every customer, share and salt; checked over generated ones. A failing case
 * prints its seed.
 */

#include "check.h"

#include "base/hash.h"
#include "fake/world.h"

#define N_CUSTOMERS 2000u

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t random_below(uint64_t *state, uint64_t n)
{
    return random_next(state) % n;
}

static const char *customer_name(unsigned i)
{
    static char name[32];
    snprintf(name, sizeof(name), "customer-%u", i);
    return name;
}

static struct span subject(unsigned i)
{
    return span_of(customer_name(i));
}

/* orders with two builds, shop with two releases; the rule moves both. */
static void train(struct world *world, const char *salt, uint32_t pct_milli)
{
    world_init(world);
    world_instance(world, "orders", "3.14.2");
    world_instance(world, "orders", "3.15.0");
    world_instance(world, "catalog", "1.0.0");
    world_instance(world, "catalog", "1.1.0");
    world_publish(world, "shop", "4.1.0", "orders 3");
    world_publish(world, "shop", "4.2.0", "orders 3, catalog 1");
    struct version_rule *rule = world_rule(world, salt, pct_milli);
    rule_build(rule, "orders", "3.15.0");
    rule_build(rule, "catalog", "1.1.0");
    rule_release(rule, "shop", "4.2.0");
}

#define BOM_BEFORE "{\"builds\":{},\"contracts\":{\"orders\":3},\"releases\":{\"shop\":\"4.1.0\"}}"
#define BOM_MOVED                                                                                  \
    "{\"builds\":{\"catalog@1\":\"1.1.0\",\"orders@3\":\"3.15.0\"},"                               \
    "\"contracts\":{\"catalog\":1,\"orders\":3},\"releases\":{\"shop\":\"4.2.0\"}}"

/* Marks who is moved; everyone has all of the train or nothing of it. */
static unsigned moved(struct world *world, bool *is_moved)
{
    unsigned n = 0;
    world_snapshot(world);
    for (unsigned i = 0; i < N_CUSTOMERS; i++) {
        const char *json = world_bom(world, customer_name(i));
        is_moved[i] = strcmp(json, BOM_MOVED) == 0;
        if (!is_moved[i])
            CHECK_STR(json, BOM_BEFORE);
        n += is_moved[i];
    }
    return n;
}

TEST(nobody_is_in_a_share_of_0_and_everybody_in_one_of_100)
{
    static bool is_moved[N_CUSTOMERS];
    struct world world;
    train(&world, "salt", 0);
    CHECK_INT(moved(&world, is_moved), 0);
    world.rules[0].pct_milli = PCT_ALL;
    CHECK_INT(moved(&world, is_moved), N_CUSTOMERS);
    enum resolve_reason reason;
    world_resolve(&world, "", &reason);
    CHECK_INT(reason, RESOLVE_SPLIT);
    world_fini(&world);
}

/* Everybody who was moved before still is. */
static void check_nobody_left(const bool *before, const bool *after, uint64_t seed, uint32_t pct)
{
    for (unsigned i = 0; i < N_CUSTOMERS; i++) {
        if (before[i] && !after[i])
            printf("# seed %" PRIu64 ", customer %u at %u\n", seed, i, pct);
        CHECK(after[i] || !before[i]);
    }
}

TEST(a_growing_share_removes_nobody)
{
    static bool before[N_CUSTOMERS], after[N_CUSTOMERS];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t state = seed;
        char salt[32];
        snprintf(salt, sizeof(salt), "salt-%" PRIx64, random_next(&state));
        struct world world;
        train(&world, salt, 0);
        memset(before, 0, sizeof(before));
        for (uint32_t pct = 0; pct < PCT_ALL; pct += 1 + (uint32_t)random_below(&state, 25000)) {
            world.rules[0].pct_milli = pct;
            moved(&world, after);
            check_nobody_left(before, after, seed, pct);
            memcpy(before, after, sizeof(before));
        }
        world_fini(&world);
    }
}

TEST(a_share_is_as_large_as_it_says)
{
    static bool is_moved[N_CUSTOMERS];
    static const struct {
        uint32_t pct_milli;
        unsigned low, high; /* 4 standard deviations around the mean of a binomial over 2,000 */
    } cases[] = {
        { 1000, 3, 37 },
        { 10000, 147, 253 },
        { 50000, 911, 1089 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        train(&world, "a-rollout", cases[i].pct_milli);
        unsigned n = moved(&world, is_moved);
        CHECK(n >= cases[i].low && n <= cases[i].high);
        world_fini(&world);
    }
}

TEST(the_same_customer_gets_the_same_bom_whatever_else_changes)
{
    static bool before[N_CUSTOMERS], after[N_CUSTOMERS];
    struct world world;
    train(&world, "salt", 30000);
    moved(&world, before);

    world_instance(&world, "search", "7.0.0");
    world_instance(&world, "orders", "3.14.1");
    world_instance(&world, "orders", "4.0.0");
    world_publish(&world, "shop", "4.3.0", "orders 3");
    struct instance_meta attributes[1] = { { (char[]){ "tier" }, (char[]){ "internal" } } };
    DO(&world, customer_put(world.version, subject(7), attributes, 1, world.wall, &world.txn,
                            &world.problem));
    DO(&world, cohort_put(world.version, SPAN("internal"), SPAN("tier == 'internal'"), &world.txn,
                          &world.problem));
    struct version_rule *other = world_rule(&world, "other", 50000);
    rule_build(other, "search", "7.0.0");
    moved(&world, after);
    CHECK(memcmp(before, after, sizeof(before)) == 0);
    world_fini(&world);
}

TEST(every_process_gives_the_same_answer)
{
    struct world one, two;
    train(&one, "salt", 40000);
    train(&two, "salt", 40000);
    world_snapshot(&one);
    world_snapshot(&two);
    /* The order of questions differs, and so do the caches. */
    for (unsigned i = 0; i < N_CUSTOMERS; i++)
        world_bom(&two, customer_name(N_CUSTOMERS - 1 - i));
    for (unsigned i = 0; i < N_CUSTOMERS; i++) {
        enum resolve_reason reason;
        const struct bom *bom = world_resolve(&one, customer_name(i), &reason);
        CHECK_STR(world_resolve(&two, customer_name(i), &reason)->id, bom->id);
    }
    world_fini(&one);
    world_fini(&two);
}

TEST(shares_of_different_salts_are_independent)
{
    enum {
        N = 40000
    };
    unsigned counts[2][2] = { { 0 } };
    struct version_rule a = { .salt = "rollout-a", .pct_milli = 20000 };
    struct version_rule b = { .salt = "rollout-b", .pct_milli = 30000 };
    for (unsigned i = 0; i < N; i++)
        counts[rule_includes(&a, subject(i))][rule_includes(&b, subject(i))]++;

    /* Chi-square of the 2 x 2 table; 15.1 is passed by chance once in 10,000. */
    double chi_square = 0;
    for (unsigned x = 0; x < 2; x++) {
        for (unsigned y = 0; y < 2; y++) {
            double row = counts[x][0] + counts[x][1], column = counts[0][y] + counts[1][y];
            double expected = row * column / N;
            chi_square += (counts[x][y] - expected) * (counts[x][y] - expected) / expected;
        }
    }
    CHECK(chi_square < 15.1);
    CHECK(counts[1][1] > 0);
}

TEST(customers_spread_evenly)
{
    enum {
        N = 100000,
        BUCKETS = 100
    };
    static unsigned counts[BUCKETS];
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        /* The size of a bucket is the difference of two shares. */
        struct version_rule share = { .salt = "salt",
                                      .pct_milli = (bucket + 1) * (PCT_ALL / BUCKETS) };
        for (unsigned i = 0; i < N / 10; i++)
            counts[bucket] += rule_includes(&share, subject(i));
    }
    double chi_square = 0, expected = N / 10.0 / BUCKETS;
    for (unsigned bucket = BUCKETS - 1; bucket > 0; bucket--)
        counts[bucket] -= counts[bucket - 1];
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        chi_square += (counts[bucket] - expected) * (counts[bucket] - expected) / expected;
    CHECK(chi_square < 161.0); /* 99 degrees of freedom: passed once in 10,000 */
}

TEST(an_id_is_a_function_of_the_content_alone)
{
    struct world one, two;
    train(&one, "salt", PCT_ALL);
    world_init(&two);
    world_instance(&two, "unrelated", "1.0.0");
    world_instance(&two, "catalog", "1.1.0");
    world_instance(&two, "orders", "3.14.0");
    world_instance(&two, "orders", "3.15.0");
    world_instance(&two, "catalog", "1.2.0");
    world_publish(&two, "shop", "4.2.0", "catalog 1, orders 3");
    DO(&two, contract_set_baseline(two.version, two.registry, SPAN("catalog"), 1, SPAN("1.2.0"),
                                   &two.txn, &two.problem));
    struct version_rule *rule = world_rule(&two, "elsewhere", PCT_ALL);
    rule_build(rule, "catalog", "1.1.0");
    rule_build(rule, "orders", "3.15.0");
    world_snapshot(&one);
    world_snapshot(&two);

    enum resolve_reason reason;
    const struct bom *bom = world_resolve(&one, "acme", &reason);
    CHECK_STR(bom->json.data, BOM_MOVED);
    CHECK_STR(world_resolve(&two, "globex", &reason)->json.data, BOM_MOVED);
    CHECK_STR(world_resolve(&two, "globex", &reason)->id, bom->id);

    uint8_t digest[SHA256_SIZE];
    char id[BOM_ID_SIZE + 1];
    hash_sha256(bom->json, digest);
    hash_base32(digest, 10, id);
    CHECK_STR(bom->id, id);
    CHECK_INT(strlen(bom->id), BOM_ID_SIZE);
    world_fini(&one);
    world_fini(&two);
}

TEST(a_pin_wins_over_a_rollout_and_ends_with_its_time)
{
    struct world world;
    train(&world, "salt", PCT_ALL);
    struct pin_spec pin = { .customer = SPAN("acme"),
                            .app = SPAN("shop"),
                            .release = SPAN("4.1.0"),
                            .expires = WORLD_WALL + 1000 };
    DO(&world, pin_put(world.version, &pin, world.wall, &world.txn, &world.problem));
    world_snapshot(&world);
    enum resolve_reason reason;
    const struct bom *bom = world_resolve(&world, "acme", &reason);
    CHECK_INT(reason, RESOLVE_PIN);
    CHECK(span_is(bom_release(bom, SPAN("shop"))->version, "4.1.0"));
    CHECK(!bom_release(bom, SPAN("admin")));
    CHECK_STR(world_bom(&world, "globex"), BOM_MOVED);

    world.wall += 1000;
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"), BOM_MOVED);
    world_fini(&world);
}

TEST(a_cohort_narrows_a_rule_and_is_the_reason)
{
    struct world world;
    train(&world, "salt", PCT_ALL);
    struct instance_meta attributes[1] = { { (char[]){ "tier" }, (char[]){ "internal" } } };
    DO(&world, customer_put(world.version, SPAN("acme"), attributes, 1, world.wall, &world.txn,
                            &world.problem));
    struct cohort_rule *cohort = NULL;
    CHECK_INT(cohort_rule_parse(SPAN("tier == 'internal' || id == 'globex'"), &cohort, NULL), 0);
    world.rules[0].cohort = cohort;
    world_snapshot(&world);
    cohort_rule_free(cohort); /* the snapshot has a copy */

    enum resolve_reason reason;
    CHECK_STR(world_resolve(&world, "acme", &reason)->json.data, BOM_MOVED);
    CHECK_INT(reason, RESOLVE_TARGETING_MATCH);
    CHECK_STR(world_resolve(&world, "globex", &reason)->json.data, BOM_MOVED);
    CHECK_STR(world_resolve(&world, "initech", &reason)->json.data, BOM_BEFORE);
    CHECK_INT(reason, RESOLVE_DEFAULT);
    world_fini(&world);
}

TEST(a_rule_by_device_asks_the_device_and_not_the_customer)
{
    struct world world;
    train(&world, "salt", 50000);
    world.rules[0].subject = SUBJECT_DEVICE;
    world_snapshot(&world);
    for (unsigned i = 0; i < 200; i++) {
        enum resolve_reason reason;
        char customer[32];
        snprintf(customer, sizeof(customer), "c-%u", i);
        struct resolve_request request = { .customer = span_of(customer), .device = subject(i) };
        const struct bom *bom = version_resolve(world.cache, &request, &reason, NULL);
        CHECK_INT(strcmp(bom->json.data, BOM_MOVED) == 0,
                  rule_includes(&world.rules[0], subject(i)));
    }
    world_fini(&world);
}

TEST(a_build_without_a_ready_instance_suspends_its_whole_rule)
{
    static bool is_moved[N_CUSTOMERS];
    struct world world;
    train(&world, "salt", PCT_ALL);
    world_stop(&world, "catalog", "1.1.0");
    CHECK_INT(moved(&world, is_moved), 0);

    static struct resolve_trace trace;
    enum resolve_reason reason;
    struct resolve_request request = { .customer = SPAN("acme") };
    version_resolve(world.cache, &request, &reason, &trace);
    CHECK_STR(trace.steps[0].rule, "rollout");
    CHECK_STR(trace.steps[0].text, "suspended: catalog 1.1.0 has no ready instance");
    world_instance(&world, "catalog", "1.1.0");
    CHECK_INT(moved(&world, is_moved), N_CUSTOMERS);
    world_fini(&world);
}

TEST(without_anything_the_bom_is_empty)
{
    struct world world;
    world_init(&world);
    world_snapshot(&world);
    CHECK_STR(world_bom(&world, "acme"), "{\"builds\":{},\"contracts\":{},\"releases\":{}}");
    CHECK_STR(world_bom(&world, ""), "{\"builds\":{},\"contracts\":{},\"releases\":{}}");
    world_fini(&world);
}

TEST(a_trace_tells_each_rule_and_each_part)
{
    struct world world;
    train(&world, "r-1", 0);
    struct version_rule *rule = world_rule(&world, "r-2", 500);
    rule_build(rule, "orders", "3.15.0");
    world_pin(&world, "acme", "shop", "4.2.0");
    world_snapshot(&world);
    static struct resolve_trace trace;
    enum resolve_reason reason;
    struct resolve_request request = { .customer = SPAN("acme") };
    version_resolve(world.cache, &request, &reason, &trace);

    static const struct {
        const char *rule, *subject, *text;
    } steps[] = {
        { "rollout", "r-1", "not in: bucket " },
        { "rollout", "r-2", "not in: bucket " },
        { "pin", "shop", "shop 4.2.0: the customer is pinned, without expiry" },
        { "requirement", "catalog", "catalog@1: the highest active contract that shop 4.2.0 (1)" },
        { "requirement", "orders", "orders@3: the highest active contract that shop 4.2.0 (3)" },
        { "baseline", "catalog@1", "catalog@1 is served by its baseline, catalog 1.0.0" },
        { "baseline", "orders@3", "orders@3 is served by its baseline, orders 3.14.2" },
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        CHECK(i < trace.n_steps);
        CHECK_STR(trace.steps[i].rule, steps[i].rule);
        CHECK_STR(trace.steps[i].subject, steps[i].subject);
        if (strncmp(trace.steps[i].text, steps[i].text, strlen(steps[i].text)) != 0)
            CHECK_STR(trace.steps[i].text, steps[i].text);
    }
    CHECK_INT(trace.n_steps, sizeof(steps) / sizeof(steps[0]));
    CHECK(strstr(trace.steps[1].text, "not below 500 (0.5 %)"));
    world_fini(&world);
}
