/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/rollouts.h"

TEST(the_first_step_applies_at_once)
{
    struct gray gray;
    gray_init(&gray);
    gray.spec.why = SPAN("new totals");
    gray.spec.by = SPAN("ann");
    gray_orders(&gray, 0);
    const struct rollout *rollout = gray_rollout(&gray);
    CHECK_INT(rollout->state, ROLLOUT_RUNNING);
    CHECK_INT(rollout->step, 0);
    CHECK_INT(rollout->n_steps, 4);
    CHECK_INT(rollout->started, WORLD_WALL);
    CHECK_INT(rollout->step_started, WORLD_WALL);
    CHECK_STR(rollout->salt, gray.id);
    CHECK_STR(rollout->why, "new totals");
    CHECK_STR(rollout->by, "ann");
    CHECK_STR(rollout->members[0].from, "3.14.2");
    CHECK_INT(rollout->members[0].n_provides, 1);
    CHECK_INT(rollout->members[0].provides[0], 3);
    CHECK_INT(strlen(gray.id), ROLLOUT_ID_SIZE);
    unsigned n = gray_count(&gray, 2000, "\"orders@3\":\"3.15.0\"");
    CHECK(n >= 3 && n <= 37);
    gray_fini(&gray);
}

TEST(without_steps_there_are_four_and_the_last_is_by_hand)
{
    struct gray gray;
    gray_init(&gray);
    spec_add(&gray.spec, false, "orders", "3.15.0");
    CHECK_INT(gray_start(&gray), 0);
    const struct rollout *rollout = gray_rollout(&gray);
    static const struct {
        uint32_t pct_milli;
        unsigned minutes;
    } steps[] = { { 1000, 10 }, { 10000, 10 }, { 50000, 30 }, { PCT_ALL, 0 } };
    CHECK_INT(rollout->n_steps, 4);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(rollout->steps[i].pct_milli, steps[i].pct_milli);
        CHECK_INT(rollout->steps[i].hold, steps[i].minutes * 60ull * NSEC_PER_SEC);
    }
    gray_fini(&gray);
}

TEST(a_train_moves_builds_and_releases_together)
{
    struct gray gray;
    gray_init(&gray);
    spec_add(&gray.spec, false, "orders", "3.15.0");
    spec_add(&gray.spec, true, "shop", "4.2.0");
    spec_step(&gray.spec, 30000, 0);
    CHECK_INT(gray_start(&gray), 0);
    unsigned n = gray_count(&gray, 1000,
                            "{\"orders@3\":\"3.15.0\"},\"contracts\":{\"orders\":3},"
                            "\"releases\":{\"shop\":\"4.2.0\"}");
    CHECK(n > 240 && n < 360);
    CHECK_INT(gray_count(&gray, 1000, "3.15.0"), n);
    CHECK_INT(gray_count(&gray, 1000, "4.2.0"), n);
    CHECK_STR(gray_rollout(&gray)->members[1].from, "4.1.0");
    gray_fini(&gray);
}

static void setup_unknown_build(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.16.0");
}

static void setup_unknown_service(struct gray *gray)
{
    spec_add(&gray->spec, false, "cart", "1.0.0");
}

static void setup_baseline(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.14.2");
}

static void setup_offline(struct gray *gray)
{
    world_instance(&gray->world, "orders", "2.10.0");
    world_offline(&gray->world, "orders", 2);
    spec_add(&gray->spec, false, "orders", "2.10.0");
}

static void setup_gray_off(struct gray *gray)
{
    struct service_spec service = { .name = SPAN("orders"), .shares_builds = { true, true } };
    DO(&gray->world, service_put(gray->world.registry, &service, 0, &gray->world.txn, NULL));
    spec_add(&gray->spec, false, "orders", "3.15.0");
}

static void setup_unknown_release(struct gray *gray)
{
    spec_add(&gray->spec, true, "shop", "9.9.9");
}

static void setup_unpublished(struct gray *gray)
{
    world_file(&gray->world, "shop", "4.3.0", "main.js");
    spec_add(&gray->spec, true, "shop", "4.3.0");
}

static void setup_unroutable(struct gray *gray)
{
    world_publish(&gray->world, "shop", "4.4.0", "search 1");
    spec_add(&gray->spec, true, "shop", "4.4.0");
}

static void setup_default(struct gray *gray)
{
    spec_add(&gray->spec, true, "shop", "4.1.0");
}

static void setup_nothing(struct gray *gray)
{
    (void)gray;
}

static void setup_shrinking(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    spec_step(&gray->spec, 10000, 0);
    spec_step(&gray->spec, 5000, 0);
}

static void setup_above_100(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    spec_step(&gray->spec, PCT_ALL + 1, 0);
}

static void setup_bad_cohort(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    gray->spec.cohort = SPAN("internal");
}

static void setup_bad_step_cohort(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    spec_step(&gray->spec, 0, 0);
    spec_step(&gray->spec, 0, 0);
    gray->spec.steps[1].cohort = SPAN("tier == internal");
}

static void setup_bad_salt(struct gray *gray)
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    gray->spec.salt = SPAN("a\x1f"
                           "b");
}

static void setup_twice(struct gray *gray)
{
    world_instance(&gray->world, "orders", "3.16.0");
    spec_add(&gray->spec, false, "orders", "3.15.0");
    spec_add(&gray->spec, false, "orders", "3.16.0");
}

static void setup_app_twice(struct gray *gray)
{
    world_publish(&gray->world, "shop", "4.5.0", "orders 3");
    spec_add(&gray->spec, true, "shop", "4.2.0");
    spec_add(&gray->spec, true, "shop", "4.5.0");
}

TEST(what_cannot_be_rolled_out_is_refused_with_the_reason)
{
    static const struct {
        void (*setup)(struct gray *gray);
        int answer;
        const char *path, *names;
    } cases[] = {
        { setup_unknown_build, ROLLOUT_NOT_FOUND, "members[0]", "orders 3.16.0" },
        { setup_unknown_service, ROLLOUT_NOT_FOUND, "members[0]", "cart 1.0.0" },
        { setup_baseline, ROLLOUT_REFUSED, "members[0]", "baseline already" },
        { setup_offline, ROLLOUT_REFUSED, "members[0]", "orders@2 is offline" },
        { setup_gray_off, ROLLOUT_REFUSED, "members[0]", "gray: off" },
        { setup_unknown_release, ROLLOUT_NOT_FOUND, "members[0]", "shop 9.9.9" },
        { setup_unpublished, ROLLOUT_REFUSED, "members[0]", "not published" },
        { setup_unroutable, ROLLOUT_REFUSED, "members[0]", "search 1" },
        { setup_default, ROLLOUT_REFUSED, "members[0]", "default already" },
        { setup_nothing, ROLLOUT_INVALID, "members", "0" },
        { setup_shrinking, ROLLOUT_INVALID, "steps[1].pct", "smaller" },
        { setup_above_100, ROLLOUT_INVALID, "steps[0].pct", "100" },
        { setup_bad_cohort, ROLLOUT_INVALID, "cohort", "position 9" },
        { setup_bad_step_cohort, ROLLOUT_INVALID, "steps[1].cohort", "position 9" },
        { setup_bad_salt, ROLLOUT_INVALID, "salt", "control" },
        { setup_twice, ROLLOUT_INVALID, "members[1]", "orders@3" },
        { setup_app_twice, ROLLOUT_INVALID, "members[1]", "shop" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gray gray;
        gray_init(&gray);
        cases[i].setup(&gray);
        CHECK_INT(gray_start(&gray), cases[i].answer);
        CHECK_STR(gray.world.problem.path, cases[i].path);
        if (!strstr(gray.world.problem.text, cases[i].names))
            CHECK_STR(gray.world.problem.text, cases[i].names);
        CHECK_INT(rollouts_all(gray.rollouts)->n_nodes, 0);
        gray_fini(&gray);
    }
}

TEST(of_each_contract_and_app_one_rollout_is_active)
{
    struct gray gray;
    gray_init(&gray);
    world_instance(&gray.world, "orders", "3.16.0");
    world_publish(&gray.world, "shop", "4.3.0", "orders 3");
    spec_add(&gray.spec, false, "orders", "3.15.0");
    spec_add(&gray.spec, true, "shop", "4.2.0");
    CHECK_INT(gray_start(&gray), 0);
    char first[ROLLOUT_ID_SIZE + 1];
    memcpy(first, gray.id, sizeof(first));

    gray.spec = (struct rollout_spec){ 0 };
    spec_add(&gray.spec, false, "orders", "3.16.0");
    CHECK_INT(gray_start(&gray), ROLLOUT_REFUSED);
    CHECK(strstr(gray.world.problem.text, first));
    gray.spec = (struct rollout_spec){ 0 };
    spec_add(&gray.spec, true, "shop", "4.3.0");
    CHECK_INT(gray_start(&gray), ROLLOUT_REFUSED);
    CHECK(strstr(gray.world.problem.text, first));

    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK_INT(gray_start(&gray), 0);
    gray_fini(&gray);
}

TEST(of_two_starts_that_did_not_see_each_other_one_is_done)
{
    struct gray gray;
    gray_init(&gray);
    world_instance(&gray.world, "orders", "3.16.0");
    struct rollout_context context = gray_context(&gray);
    struct txn late = { 0 };
    char id[ROLLOUT_ID_SIZE + 1];
    struct rollout_spec other = { 0 };
    spec_add(&other, false, "orders", "3.16.0");
    CHECK_INT(rollout_start(&context, &other, &late, id, NULL), 0);
    gray_orders(&gray, 0);
    CHECK_INT(fake_commit(&gray.world.store, &late), STORE_CONFLICT);
    CHECK_INT(rollout_start(&context, &other, &late, id, NULL), ROLLOUT_REFUSED);
    txn_fini(&late);
    gray_fini(&gray);
}

TEST(a_start_loses_against_the_release_being_made_the_default)
{
    struct gray gray;
    gray_init(&gray);
    struct rollout_context context = gray_context(&gray);
    struct txn late = { 0 };
    char id[ROLLOUT_ID_SIZE + 1];
    struct rollout_spec spec = { 0 };
    spec_add(&spec, true, "shop", "4.2.0");
    CHECK_INT(rollout_start(&context, &spec, &late, id, NULL), 0);
    DO(&gray.world,
       app_set_default(gray.world.version, SPAN("shop"), SPAN("4.2.0"), &gray.world.txn, NULL));
    CHECK_INT(fake_commit(&gray.world.store, &late), STORE_CONFLICT);
    txn_fini(&late);
    gray_fini(&gray);
}

TEST(a_dry_run_gives_the_id_that_the_start_will_have)
{
    struct gray gray;
    gray_init(&gray);
    spec_add(&gray.spec, false, "orders", "3.15.0");
    struct rollout_context context = gray_context(&gray);
    struct txn dry = { 0 };
    char id[ROLLOUT_ID_SIZE + 1];
    CHECK_INT(rollout_start(&context, &gray.spec, &dry, id, NULL), 0);
    txn_fini(&dry);
    CHECK_INT(gray_start(&gray), 0);
    CHECK_STR(gray.id, id);
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK_INT(gray_start(&gray), 0);
    CHECK(strcmp(gray.id, id) != 0); /* another salt with every rollout */
    gray_fini(&gray);
}

TEST(more_rules_than_resolving_takes_are_refused)
{
    struct gray gray;
    gray_init(&gray);
    static char names[3][16];
    int r = 0;
    for (unsigned i = 0; i < 3 && !r; i++) {
        snprintf(names[i], sizeof(names[i]), "service-%u", i);
        world_instance(&gray.world, names[i], "1.0.0");
        world_instance(&gray.world, names[i], "1.1.0");
        gray.spec = (struct rollout_spec){ 0 };
        spec_add(&gray.spec, false, names[i], "1.1.0");
        for (unsigned step = 0; step < ROLLOUT_STEPS_MAX; step++) {
            spec_step(&gray.spec, 0, 0);
            gray.spec.steps[step].cohort = SPAN("id == 'acme'");
        }
        r = gray_start(&gray);
        CHECK_INT(r, i == 0 ? ROLLOUT_OK : ROLLOUT_REFUSED); /* 33 rules each of 64 */
    }
    gray_fini(&gray);
}

/* Either way round, the one that commits second is decided again. */
TEST(a_rollout_that_starts_while_its_contract_goes_offline_is_decided_again)
{
    for (int is_first = 0; is_first < 2; is_first++) {
        for (int is_release = 0; is_release < 2; is_release++) {
            struct gray gray;
            struct txn start = { 0 }, offline = { 0 };
            gray_init(&gray);
            if (is_release)
                spec_add(&gray.spec, true, "shop", "4.2.0");
            else
                spec_add(&gray.spec, false, "orders", "3.15.0");
            struct rollout_context context = gray_context(&gray);
            CHECK_INT(rollout_start(&context, &gray.spec, &start, gray.id, &gray.world.problem), 0);
            CHECK_INT(contract_set_state(gray.world.version, SPAN("orders"), 3, CONTRACT_OFFLINE,
                                         SPAN(""), gray.world.wall, &offline, &gray.world.problem),
                      0);
            CHECK_INT(fake_commit(&gray.world.store, is_first ? &start : &offline), 0);
            CHECK_INT(fake_commit(&gray.world.store, is_first ? &offline : &start), STORE_CONFLICT);
            if (!is_first) {
                CHECK_INT(rollout_start(&context, &gray.spec, &start, gray.id, &gray.world.problem),
                          ROLLOUT_REFUSED);
            }
            txn_fini(&start);
            txn_fini(&offline);
            gray_fini(&gray);
        }
    }
}
