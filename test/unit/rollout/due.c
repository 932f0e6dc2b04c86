/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/rollouts.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define MINUTE_MSEC 60000ll

static void service_says(struct gray *gray, bool auto_start, bool promote)
{
    struct service_spec spec = { .name = SPAN("orders"),
                                 .auto_start = { true, auto_start },
                                 .promote_when_baseline_gone = { true, promote } };
    DO(&gray->world, service_put(gray->world.registry, &spec, 0, &gray->world.txn, NULL));
}

static const struct rollout *newest(const struct gray *gray)
{
    const struct rollout *newest = NULL;
    map_each (node, rollouts_all(gray->rollouts)) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        if (!newest || rollout->mod_revision > newest->mod_revision)
            newest = rollout;
    }
    CHECK(newest);
    return newest;
}

TEST(steps_are_taken_when_their_time_is_over)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, MINUTE);
    CHECK_INT(rollout_next_due(gray.rollouts), WORLD_WALL + MINUTE_MSEC);
    gray.world.wall += MINUTE_MSEC - 1;
    CHECK_INT(gray_due(&gray), 0);
    gray.world.wall += 1;
    CHECK_INT(gray_due(&gray), 1);
    CHECK_INT(gray_rollout(&gray)->step, 1);
    CHECK_INT(rollout_next_due(gray.rollouts), WORLD_WALL + 2 * MINUTE_MSEC);

    /* After a night without us the next step has its full time, too. */
    gray.world.wall += 600 * MINUTE_MSEC;
    CHECK_INT(gray_due(&gray), 1);
    CHECK_INT(gray_rollout(&gray)->step, 2);
    CHECK_INT(rollout_next_due(gray.rollouts), gray.world.wall + MINUTE_MSEC);

    gray.world.wall += MINUTE_MSEC;
    CHECK_INT(gray_due(&gray), 1);
    CHECK_INT(gray_rollout(&gray)->step, 3);
    CHECK_INT(rollout_next_due(gray.rollouts), 0); /* the last is by hand */
    gray.world.wall += 600 * MINUTE_MSEC;
    CHECK_INT(gray_due(&gray), 0);
    gray_fini(&gray);
}

TEST(a_last_step_with_a_time_promotes)
{
    struct gray gray;
    gray_init(&gray);
    spec_add(&gray.spec, false, "orders", "3.15.0");
    spec_step(&gray.spec, PCT_ALL, MINUTE);
    CHECK_INT(gray_start(&gray), 0);
    gray.world.wall += MINUTE_MSEC;
    CHECK_INT(gray_due(&gray), 1);
    CHECK_INT(gray_rollout(&gray)->state, ROLLOUT_PROMOTED);
    CHECK_STR(gray_rollout(&gray)->by, "sarsen");
    CHECK_STR(gray_baseline(&gray, 3), "3.15.0");
    gray_fini(&gray);
}

TEST(a_step_whose_build_is_gone_pauses_the_rollout)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, MINUTE);
    world_stop(&gray.world, "orders", "3.15.0");
    gray.world.wall += MINUTE_MSEC;
    CHECK_INT(gray_due(&gray), 1);
    CHECK_INT(gray_rollout(&gray)->state, ROLLOUT_PAUSED);
    CHECK_STR(gray_rollout(&gray)->reason, "orders 3.15.0 has no ready instance");
    CHECK_INT(rollout_next_due(gray.rollouts), 0);
    gray_fini(&gray);
}

TEST(a_promotion_that_is_refused_pauses_the_rollout)
{
    struct gray gray;
    gray_init(&gray);
    spec_add(&gray.spec, true, "shop", "4.2.0");
    spec_step(&gray.spec, PCT_ALL, MINUTE);
    CHECK_INT(gray_start(&gray), 0);
    world_offline(&gray.world, "orders", 3);
    gray.world.wall += MINUTE_MSEC;
    CHECK_INT(gray_due(&gray), 1);
    CHECK_INT(gray_rollout(&gray)->state, ROLLOUT_PAUSED);
    CHECK_STR(gray_rollout(&gray)->reason,
              "release is shop 4.2.0, which requires orders@3, and that is offline");
    CHECK_STR(app_find(gray.world.version, SPAN("shop"))->default_release, "4.1.0");
    gray_fini(&gray);
}

TEST(a_waiting_build_starts_by_itself_where_the_service_says_so)
{
    struct gray gray;
    gray_init(&gray);
    CHECK_INT(gray_due(&gray), 0);
    service_says(&gray, true, false);
    CHECK_INT(gray_due(&gray), 1);
    const struct rollout *rollout = newest(&gray);
    CHECK_STR(rollout->members[0].version, "3.15.0");
    CHECK_INT(rollout->n_steps, 4);
    CHECK_STR(rollout->by, "sarsen");
    CHECK_INT(gray_due(&gray), 0);

    /* A build that came back is not started again; a higher one is. */
    snprintf(gray.id, sizeof(gray.id), "%s", rollout->id);
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK_INT(gray_due(&gray), 0);
    world_instance(&gray.world, "orders", "3.16.0");
    CHECK_INT(gray_due(&gray), 1);
    CHECK_STR(newest(&gray)->members[0].version, "3.16.0");
    gray_fini(&gray);
}

TEST(only_higher_builds_that_are_ready_start_by_themselves)
{
    struct gray gray;
    gray_init(&gray);
    world_stop(&gray.world, "orders", "3.15.0");
    world_instance(&gray.world, "orders", "3.14.1");
    world_instance(&gray.world, "orders", "3.14.2-rc.1");
    service_says(&gray, true, false);
    CHECK_INT(gray_due(&gray), 0);
    world_instance(&gray.world, "orders", "3.15.0");
    CHECK_INT(gray_due(&gray), 1);
    gray_fini(&gray);
}

TEST(a_baseline_that_is_gone_is_replaced_only_where_the_service_says_so)
{
    struct gray gray;
    gray_init(&gray);
    world_instance(&gray.world, "orders", "3.14.9");
    world_stop(&gray.world, "orders", "3.14.2");
    CHECK_INT(gray_due(&gray), 0);
    CHECK_STR(gray_baseline(&gray, 3), "3.14.2");
    service_says(&gray, false, true);
    CHECK_INT(gray_due(&gray), 1);
    CHECK_STR(gray_baseline(&gray, 3), "3.15.0"); /* the highest */
    CHECK_STR(gray_baseline(&gray, 2), "2.9.0");
    world_stop(&gray.world, "orders", "3.15.0");
    world_stop(&gray.world, "orders", "3.14.9");
    CHECK_INT(gray_due(&gray), 0); /* nobody could replace it */
    CHECK_STR(gray_baseline(&gray, 3), "3.15.0");
    gray_fini(&gray);
}

TEST(a_baseline_that_is_gone_promotes_the_rollout_that_replaces_it)
{
    struct gray gray;
    gray_init(&gray);
    service_says(&gray, false, true);
    gray_orders(&gray, 0);
    world_instance(&gray.world, "orders", "3.16.0");
    world_stop(&gray.world, "orders", "3.14.2");
    CHECK_INT(gray_due(&gray), 1);
    CHECK_STR(gray_baseline(&gray, 3), "3.15.0");
    CHECK_INT(gray_rollout(&gray)->state, ROLLOUT_PROMOTED);
    gray_fini(&gray);
}

TEST(services_whose_builds_share_traffic_are_left_alone)
{
    struct gray gray;
    gray_init(&gray);
    struct service_spec spec = { .name = SPAN("orders"),
                                 .shares_builds = { true, true },
                                 .auto_start = { true, true },
                                 .promote_when_baseline_gone = { true, true } };
    DO(&gray.world, service_put(gray.world.registry, &spec, 0, &gray.world.txn, NULL));
    world_stop(&gray.world, "orders", "3.14.2");
    CHECK_INT(gray_due(&gray), 0);
    gray_fini(&gray);
}
