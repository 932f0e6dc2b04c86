/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/rollouts.h"

/* Starts a rollout that uses every field, and keeps its record as a load would bring it. */
static void start_and_keep(struct gray *gray, struct store_event *kept, char key[64],
                           char value[1024])
{
    spec_add(&gray->spec, false, "orders", "3.15.0");
    spec_add(&gray->spec, true, "shop", "4.2.0");
    spec_step(&gray->spec, 1000, 5 * NSEC_PER_SEC);
    spec_step(&gray->spec, 0, 0);
    gray->spec.steps[1].cohort = SPAN("id == 'acme'");
    gray->spec.cohort = SPAN("id != ''");
    gray->spec.subject = SUBJECT_DEVICE;
    struct rollout_context context = gray_context(gray);
    CHECK_INT(rollout_start(&context, &gray->spec, &gray->world.txn, gray->id, NULL), 0);

    snprintf(key, 64, "rollout/%s", gray->id);
    struct span record = txn_pending(&gray->world.txn, span_of(key));
    CHECK(record.size > 0 && record.size < 1024);
    memcpy(value, record.data, record.size);
    *kept = (struct store_event){
        .entry = { .key = span_of(key), .value = { value, record.size }, .mod_revision = 7 },
    };
    CHECK_INT(fake_commit(&gray->world.store, &gray->world.txn), 0);
}

TEST(what_was_started_is_there_after_a_restart)
{
    struct gray gray;
    gray_init(&gray);
    struct store_event kept;
    char key[64], value[1024];
    start_and_keep(&gray, &kept, key, value);
    struct rollouts *loaded = rollouts_new();
    CHECK_INT(rollouts_apply(loaded, &kept), 0);

    const struct rollout *rollout = rollout_find(loaded, span_of(gray.id));
    CHECK(rollout);
    CHECK(rollout_is_active(rollout));
    CHECK_INT(rollout->mod_revision, 7);
    CHECK_INT(rollout->epoch, 1);
    CHECK_INT(rollout->n_members, 2);
    CHECK(rollout->members[1].is_release);
    CHECK_STR(rollout->members[1].owner, "shop");
    CHECK_STR(rollout->cohort, "id != ''");
    CHECK_STR(rollout->steps[1].cohort, "id == 'acme'");
    CHECK_INT(rollout->subject, SUBJECT_DEVICE);
    CHECK_INT(rollout_step_ends(rollout), WORLD_WALL + 5000);
    CHECK_INT(rollout_next_due(loaded), WORLD_WALL + 5000);
    rollouts_free(loaded);
    gray_fini(&gray);
}

TEST(a_record_can_be_deleted_twice)
{
    struct gray gray;
    gray_init(&gray);
    struct store_event kept;
    char key[64], value[1024];
    start_and_keep(&gray, &kept, key, value);
    kept.kind = TXN_DELETE;
    CHECK_INT(rollouts_apply(gray.rollouts, &kept), 0);
    CHECK(!rollout_find(gray.rollouts, span_of(gray.id)));
    CHECK_INT(rollouts_apply(gray.rollouts, &kept), 0);
    gray_fini(&gray);
}

TEST(a_record_that_is_none_is_a_fault_and_keys_of_others_are_left_alone)
{
    struct rollouts *rollouts = rollouts_new();
    static const struct {
        const char *key, *value;
        bool is_fault;
    } cases[] = {
        { "rollout/abc", "\xff\xff", true },
        { "rollout/abc", "", true }, /* no state */
        { "rollout/active/orders@3", "abc", false },
        { "version/app/shop", "\xff\xff", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store_event event = {
            .entry = { .key = span_of(cases[i].key), .value = span_of(cases[i].value) },
        };
        CHECK_INT(rollouts_apply(rollouts, &event) < 0, cases[i].is_fault);
    }
    CHECK_INT(rollouts_all(rollouts)->n_nodes, 0);
    rollouts_free(rollouts);
}

TEST(states_have_names)
{
    CHECK_STR(rollout_state_name(ROLLOUT_RUNNING), "running");
    CHECK_STR(rollout_state_name(ROLLOUT_PAUSED), "paused");
    CHECK_STR(rollout_state_name(ROLLOUT_PROMOTED), "promoted");
    CHECK_STR(rollout_state_name(ROLLOUT_ABORTED), "aborted");
}

TEST(targets_are_free_again_when_a_rollout_has_ended)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    struct span target = SPAN("rollout/active/orders@3");
    CHECK(map_find(&gray.world.store.entries, target));
    CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
    CHECK(!map_find(&gray.world.store.entries, target));
    CHECK_INT(gray_start(&gray), 0);
    CHECK_INT(gray_change(&gray, ROLLOUT_PROMOTE), 0);
    CHECK(!map_find(&gray.world.store.entries, target));
    gray_fini(&gray);
}

TEST(the_rollouts_that_ended_first_are_forgotten)
{
    struct gray gray;
    gray_init(&gray);
    gray_orders(&gray, 0);
    char first[ROLLOUT_ID_SIZE + 1];
    memcpy(first, gray.id, sizeof(first));
    for (unsigned i = 0; i < 505; i++) {
        gray.world.wall++;
        CHECK_INT(gray_change(&gray, ROLLOUT_ABORT), 0);
        CHECK_INT(gray_start(&gray), 0);
    }
    CHECK(!rollout_find(gray.rollouts, span_of(first)));
    CHECK_INT(rollouts_all(gray.rollouts)->n_nodes, 500);
    gray_fini(&gray);
}
