/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/rollouts.h"

#define NEW "\"orders@3\":\"3.15.0\""

TEST(by_hand_the_share_grows_to_the_end_and_promotes)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    static const unsigned at_least[] = { 3, 70, 430, 1000 }, at_most[] = { 22, 135, 570, 1000 };
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(gray_rollout(&gray)->step, i);
        unsigned n = gray_count(&gray, 1000, NEW);
        CHECK(n >= at_least[i] && n <= at_most[i]);
        CHECK_STR(gray_baseline(&gray, 3), "3.14.2");
        gray.world.wall += 1000;
        CHECK_INT(gray_change(&gray, ROLLOUT_STEP), 0);
    }
    const struct rollout *rollout = gray_rollout(&gray);
    CHECK_INT(rollout->state, ROLLOUT_PROMOTED);
    CHECK_INT(rollout->ended, WORLD_WALL + 4000);
    CHECK_STR(rollout->by, "ann");
    CHECK_STR(gray_baseline(&gray, 3), "3.15.0");
    CHECK_INT(gray_count(&gray, 1000, NEW), 0); /* the baseline is not listed */
    gray_fini(&gray);
}

TEST(abort_takes_every_customer_back)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    CHECK_INT(gray_change(&gray, ROLLOUT_STEP), 0);
    CHECK(gray_count(&gray, 1000, NEW) > 0);
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK_INT(gray_count(&gray, 1000, NEW), 0);
    CHECK_STR(gray_baseline(&gray, 3), "3.14.2");
    CHECK_INT(gray_rollout(&gray)->state, ROLLOUT_ABORTED);
    CHECK_STR(gray_rollout(&gray)->reason, "because");
    gray_fini(&gray);
}

TEST(promote_makes_builds_baselines_and_releases_defaults)
{
    struct gray gray;
    gray_init(&gray);
    spec_add(&gray.spec, false, "orders", "3.15.0");
    spec_add(&gray.spec, true, "shop", "4.2.0");
    spec_step(&gray.spec, 1000, 0);
    spec_step(&gray.spec, PCT_ALL, 0);
    CHECK_INT(gray_start(&gray), 0);
    int64_t revision = gray.world.store.revision;
    CHECK_INT(gray_change(&gray, ROLLOUT_PROMOTE), 0);
    CHECK_INT(gray.world.store.revision, revision + 1); /* one transaction for all of it */
    CHECK_STR(gray_baseline(&gray, 3), "3.15.0");
    CHECK_STR(app_find(gray.world.version, SPAN("shop"))->default_release, "4.2.0");
    gray_fini(&gray);
}

TEST(a_pause_keeps_the_share_and_its_time_does_not_count)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 60 * NSEC_PER_SEC);
    CHECK_INT(rollout_step_ends(gray_rollout(&gray)), WORLD_WALL + 60000);
    unsigned n = gray_count(&gray, 1000, NEW);
    gray.world.wall += 20000;
    CHECK_INT(gray_change(&gray, ROLLOUT_PAUSE), 0);
    CHECK_INT(rollout_step_ends(gray_rollout(&gray)), 0);
    CHECK_INT(gray_count(&gray, 1000, NEW), n);
    gray.world.wall += 500000;
    CHECK_INT(gray_due(&gray), 0);
    CHECK_INT(gray_change(&gray, ROLLOUT_RESUME), 0);
    CHECK_INT(rollout_step_ends(gray_rollout(&gray)), gray.world.wall + 40000);

    /* A clock that was set back gives no time away. */
    CHECK_INT(gray_change(&gray, ROLLOUT_PAUSE), 0);
    unix_msec ends = gray.world.wall + 40000;
    gray.world.wall -= 3600000;
    CHECK_INT(gray_change(&gray, ROLLOUT_RESUME), 0);
    CHECK_INT(rollout_step_ends(gray_rollout(&gray)), ends);
    gray_fini(&gray);
}

TEST(what_a_state_does_not_allow_is_refused)
{
    static const struct {
        enum rollout_state state;
        bool allows[5]; /* step, pause, resume, promote, abort */
    } cases[] = {
        { ROLLOUT_RUNNING, { true, true, false, true, true } },
        { ROLLOUT_PAUSED, { false, false, true, false, true } },
        { ROLLOUT_PROMOTED, { false, false, false, false, false } },
        { ROLLOUT_ABORTED, { false, false, false, false, false } },
    };
    static const enum rollout_verb ways[] = { [ROLLOUT_PAUSED] = ROLLOUT_PAUSE,
                                              [ROLLOUT_PROMOTED] = ROLLOUT_PROMOTE,
                                              [ROLLOUT_ABORTED] = ROLLOUT_ABORT };
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned verb = 0; verb < 5; verb++) {
            struct gray gray;
            gray_init(&gray);
            gray_orders(&gray, 0);
            if (cases[i].state != ROLLOUT_RUNNING)
                CHECK_INT(gray_change(&gray, ways[cases[i].state]), 0);
            CHECK_INT(gray_rollout(&gray)->state, cases[i].state);
            CHECK_INT(gray_change(&gray, (enum rollout_verb)verb),
                      cases[i].allows[verb] ? ROLLOUT_OK : ROLLOUT_REFUSED);
            gray_fini(&gray);
        }
    }
}

TEST(an_unknown_rollout_is_not_found)
{
    struct gray gray;
    gray_init(&gray);
    strcpy(gray.id, "nosuch");
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), ROLLOUT_NOT_FOUND);
    gray_fini(&gray);
}

TEST(a_build_without_a_ready_instance_is_not_promoted)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    world_stop(&gray.world, "orders", "3.15.0");
    CHECK_INT(gray_change(&gray, ROLLOUT_PROMOTE), ROLLOUT_REFUSED);
    CHECK(strstr(gray.world.problem.text, "orders 3.15.0"));
    CHECK_INT(gray_change(&gray, ROLLOUT_STEP), 0); /* steps by hand are the operator's choice */
    gray_fini(&gray);
}

TEST(a_contract_that_went_offline_meanwhile_is_not_moved)
{
    struct gray gray;
    gray_init(&gray);
    static const uint32_t both[] = { 2, 3 };
    struct build_spec build = {
        .service = SPAN("orders"), .version = SPAN("3.16.0"), .provides = both, .n_provides = 2
    };
    world_instance_of(&gray.world, &build);
    spec_add(&gray.spec, false, "orders", "3.16.0");
    CHECK_INT(gray_start(&gray), 0);
    CHECK_INT(gray_rollout(&gray)->members[0].n_provides, 2);
    world_offline(&gray.world, "orders", 2);
    CHECK_INT(gray_change(&gray, ROLLOUT_PROMOTE), 0);
    CHECK_STR(gray_baseline(&gray, 3), "3.16.0");
    CHECK_STR(gray_baseline(&gray, 2), "2.9.0");
    gray_fini(&gray);
}

TEST(of_two_changes_that_did_not_see_each_other_one_is_done)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    struct rollout_context context = gray_context(&gray);
    struct txn late = { 0 };
    CHECK_INT(
        rollout_change(&context, span_of(gray.id), ROLLOUT_STEP, SPAN(""), SPAN(""), &late, NULL),
        0);
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK_INT(fake_commit(&gray.world.store, &late), STORE_CONFLICT);
    txn_fini(&late);
    gray_fini(&gray);
}
