/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

static const struct cohort *cohort(struct world *world, const char *name)
{
    return map_find_as(version_cohorts(world->version), span_of(name), struct cohort, node);
}

TEST(a_cohort_is_kept_replaced_and_deleted)
{
    struct world world;
    world_init(&world);
    DO(&world, cohort_put(world.version, SPAN("internal"), SPAN("tier == 'internal'"), &world.txn,
                          &world.problem));
    CHECK_STR(cohort(&world, "internal")->expression, "tier == 'internal'");
    CHECK(!cohort_rule_holds(cohort(&world, "internal")->rule, SPAN("acme"), NULL));

    CHECK_INT(cohort_put(world.version, SPAN("internal"), SPAN("tier == 'internal'"), &world.txn,
                         &world.problem),
              0);
    CHECK_INT(world.txn.n_ops, 0);
    DO(&world, cohort_put(world.version, SPAN("internal"), SPAN("id == 'acme'"), &world.txn,
                          &world.problem));
    CHECK(cohort_rule_holds(cohort(&world, "internal")->rule, SPAN("acme"), NULL));

    DO(&world, cohort_delete(world.version, SPAN("internal"), &world.txn));
    CHECK(!cohort(&world, "internal"));
    REFUSED(&world, cohort_delete(world.version, SPAN("internal"), &world.txn), VERSION_NOT_FOUND);
    world_fini(&world);
}

TEST(a_bad_cohort_is_refused_with_its_field)
{
    struct world world;
    world_init(&world);
    REFUSED(&world,
            cohort_put(world.version, SPAN("tier == 'x'"), SPAN("tier == 'x'"), &world.txn,
                       &world.problem),
            VERSION_INVALID);
    CHECK_STR(world.problem.path, "name");
    REFUSED(&world,
            cohort_put(world.version, SPAN("internal"), SPAN("tier"), &world.txn, &world.problem),
            VERSION_INVALID);
    CHECK_STR(world.problem.path, "expression");
    world_fini(&world);
}
