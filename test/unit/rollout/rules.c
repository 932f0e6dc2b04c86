/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/rollouts.h"

#define NEW "\"orders@3\":\"3.15.0\""

static void attribute(struct gray *gray, const char *customer, char *key, char *value)
{
    struct instance_meta attributes[] = { { key, value } };
    DO(&gray->world, customer_put(gray->world.version, span_of(customer), attributes, 1, 0,
                                  &gray->world.txn, NULL));
}

static bool is_new(struct gray *gray, const char *customer)
{
    gray_count(gray, 0, ""); /* the snapshot of now */
    return strstr(world_bom(&gray->world, customer), NEW) != NULL;
}

TEST(a_cohort_of_an_earlier_step_stays_in_while_the_share_grows)
{
    struct gray gray;
    gray_init(&gray);
    char tier[] = "tier", internal[] = "internal";
    attribute(&gray, "acme", tier, internal);
    spec_add(&gray.spec, false, "orders", "3.15.0");
    spec_step(&gray.spec, 0, 0);
    gray.spec.steps[0].cohort = SPAN("tier == 'internal'");
    spec_step(&gray.spec, 1, 0); /* 0.001 %: practically nobody */
    spec_step(&gray.spec, PCT_ALL, 0);
    CHECK_INT(gray_start(&gray), 0);
    CHECK(is_new(&gray, "acme"));
    CHECK(!is_new(&gray, "globex"));
    CHECK_INT(gray_change(&gray, ROLLOUT_STEP), 0);
    CHECK(is_new(&gray, "acme"));
    CHECK(!is_new(&gray, "globex"));
    CHECK_INT(gray_change(&gray, ROLLOUT_STEP), 0);
    CHECK(is_new(&gray, "globex"));
    gray_fini(&gray);
}

TEST(the_cohort_of_a_rollout_narrows_every_step)
{
    struct gray gray;
    gray_init(&gray);
    char tier[] = "tier", internal[] = "internal", country[] = "country", ch[] = "ch";
    attribute(&gray, "acme", tier, internal);
    attribute(&gray, "globex", country, ch);
    DO(&gray.world, cohort_put(gray.world.version, SPAN("internal"), SPAN("tier == 'internal'"),
                               &gray.world.txn, NULL));
    spec_add(&gray.spec, false, "orders", "3.15.0");
    gray.spec.cohort = SPAN("internal");
    spec_step(&gray.spec, 0, 0);
    gray.spec.steps[0].cohort = SPAN("country == 'ch' || country == ''");
    spec_step(&gray.spec, PCT_ALL, 0);
    CHECK_INT(gray_start(&gray), 0);
    for (unsigned step = 0; step < 2; step++) {
        CHECK(is_new(&gray, "acme"));
        CHECK(!is_new(&gray, "globex"));
        CHECK_INT(gray_change(&gray, ROLLOUT_STEP), 0);
    }
    gray_fini(&gray);
}

TEST(a_cohort_counts_as_it_is_now_and_one_that_is_gone_has_nobody)
{
    struct gray gray;
    gray_init(&gray);
    DO(&gray.world,
       cohort_put(gray.world.version, SPAN("chosen"), SPAN("id == 'acme'"), &gray.world.txn, NULL));
    spec_add(&gray.spec, false, "orders", "3.15.0");
    gray.spec.cohort = SPAN("chosen");
    spec_step(&gray.spec, PCT_ALL, 0);
    CHECK_INT(gray_start(&gray), 0);
    CHECK(is_new(&gray, "acme"));
    DO(&gray.world, cohort_put(gray.world.version, SPAN("chosen"), SPAN("id == 'globex'"),
                               &gray.world.txn, NULL));
    CHECK(!is_new(&gray, "acme"));
    CHECK(is_new(&gray, "globex"));
    DO(&gray.world, cohort_delete(gray.world.version, SPAN("chosen"), &gray.world.txn));
    CHECK(!is_new(&gray, "acme"));
    CHECK(!is_new(&gray, "globex"));
    gray_fini(&gray);
}

TEST(rules_come_oldest_first_and_only_from_active_rollouts)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    char orders[ROLLOUT_ID_SIZE + 1];
    memcpy(orders, gray.id, sizeof(orders));
    gray.world.wall++;
    gray.spec = (struct rollout_spec){ .subject = SUBJECT_DEVICE, .salt = SPAN("t118") };
    spec_add(&gray.spec, true, "shop", "4.2.0");
    CHECK_INT(gray_start(&gray), 0);

    const struct version_rule *rules;
    CHECK_INT(rollouts_rules(gray.rollouts, gray.world.version, &rules), 2);
    CHECK_STR(rules[0].rollout, orders);
    CHECK_STR(rules[0].salt, orders);
    CHECK_INT(rules[0].pct_milli, 1000);
    CHECK_STR(rules[0].members[0].version, "3.15.0");
    CHECK_INT(rules[0].members[0].provides[0], 3);
    CHECK_STR(rules[1].rollout, gray.id);
    CHECK_STR(rules[1].salt, "t118");
    CHECK_INT(rules[1].subject, SUBJECT_DEVICE);
    CHECK(rules[1].members[0].is_release);

    CHECK_INT(gray_change(&gray, ROLLOUT_PAUSE), 0);
    CHECK_INT(rollouts_rules(gray.rollouts, gray.world.version, &rules), 2);
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK_INT(rollouts_rules(gray.rollouts, gray.world.version, &rules), 1);
    CHECK_STR(rules[0].rollout, orders);
    gray_fini(&gray);
}
