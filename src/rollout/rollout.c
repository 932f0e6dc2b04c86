/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fold over rollouts and their records. A record is replaced whole with every change, so an
 * object is made anew and no half of two epochs is ever seen.
 */

#include "rollout/rollout.h"

#include <stdio.h>

#include "base/mem.h"
#include "rollout/records.pb-c.h"
#include "rollout/state.h"

static const char *const state_names[] = {
    [ROLLOUT_RUNNING] = "running",
    [ROLLOUT_PAUSED] = "paused",
    [ROLLOUT_PROMOTED] = "promoted",
    [ROLLOUT_ABORTED] = "aborted",
};

#define N_STATES (sizeof(state_names) / sizeof(state_names[0]))

const char *rollout_state_name(enum rollout_state state)
{
    return state_names[state];
}

/* --- applying --- */

static void rollout_free(struct rollout *rollout)
{
    for (unsigned i = 0; i < rollout->n_members; i++) {
        free(rollout->members[i].owner);
        free(rollout->members[i].version);
        free(rollout->members[i].from);
    }
    for (unsigned i = 0; i < rollout->n_steps; i++)
        free(rollout->steps[i].cohort);
    free(rollout->id);
    free(rollout->salt);
    free(rollout->cohort);
    free(rollout->by);
    free(rollout->why);
    free(rollout->reason);
    free(rollout);
}

static void rollout_freep(struct rollout **rollout)
{
    if (*rollout)
        rollout_free(*rollout);
}

struct rollouts *rollouts_new(void)
{
    struct rollouts *rollouts = mem_new(struct rollouts);
    map_init(&rollouts->all);
    return rollouts;
}

static void rollouts_remove(struct rollouts *rollouts, struct rollout *rollout)
{
    map_remove(&rollouts->all, &rollout->node);
    rollout_free(rollout);
}

struct rollouts *rollouts_free(struct rollouts *rollouts)
{
    if (!rollouts)
        return NULL;

    map_each (node, &rollouts->all)
        rollouts_remove(rollouts, container_of(node, struct rollout, node));
    map_fini(&rollouts->all);
    for (unsigned i = 0; i < rollouts->n_cohorts; i++)
        cohort_rule_free(rollouts->cohorts[i]);
    free(rollouts);
    return NULL;
}

static void members_fill(struct rollout *rollout, const Rollout__RolloutRecord *record)
{
    for (size_t i = 0; i < record->n_members && i < RULE_MEMBERS_MAX; i++) {
        const Rollout__Member *from = record->members[i];
        struct rollout_member *member = &rollout->members[rollout->n_members++];
        member->is_release = from->is_release;
        member->owner = mem_strdup(from->owner);
        member->version = mem_strdup(from->version);
        member->from = mem_strdup(from->from);
        for (size_t j = 0; j < from->n_provides && j < BUILD_PROVIDES_MAX; j++)
            member->provides[member->n_provides++] = from->provides[j];
    }
}

/* False when the state is none that we know. */
static bool rollout_fill(struct rollout *rollout, const Rollout__RolloutRecord *record)
{
    members_fill(rollout, record);
    for (size_t i = 0; i < record->n_steps && i < ROLLOUT_STEPS_MAX; i++) {
        rollout->steps[rollout->n_steps++] = (struct rollout_step){
            .pct_milli = record->steps[i]->pct_milli,
            .hold = record->steps[i]->hold,
            .cohort = mem_strdup(record->steps[i]->cohort),
        };
    }
    rollout->salt = mem_strdup(record->salt);
    rollout->cohort = mem_strdup(record->cohort);
    rollout->by = mem_strdup(record->by);
    rollout->why = mem_strdup(record->why);
    rollout->reason = mem_strdup(record->reason);
    rollout->subject = strcmp(record->subject, "device") == 0 ? SUBJECT_DEVICE : SUBJECT_CUSTOMER;
    rollout->step = record->step;
    rollout->started = record->started;
    rollout->step_started = record->step_started;
    rollout->paused = record->paused;
    rollout->ended = record->ended;
    rollout->epoch = record->epoch;

    unsigned state = 0;
    while (state < N_STATES && strcmp(record->state, state_names[state]) != 0)
        state++;
    rollout->state = (enum rollout_state)state;
    return state < N_STATES && rollout->step < rollout->n_steps;
}

static void record_freep(Rollout__RolloutRecord **record)
{
    if (*record)
        rollout__rollout_record__free_unpacked(*record, NULL);
}

int rollouts_apply(struct rollouts *rollouts, const struct store_event *event)
{
    struct span prefix = SPAN(ROLLOUT_PREFIX);
    if (!span_starts_with(event->entry.key, prefix))
        return 0;
    struct span id = span_from(event->entry.key, prefix.size);
    if (span_find(id, '/') < id.size)
        return 0; /* a target: for the store's compares only */

    struct rollout *before = rollout_find(rollouts, id);
    if (event->kind == TXN_DELETE) {
        if (before)
            rollouts_remove(rollouts, before);
        return 0;
    }

    CLEANUP(record_freep)
    Rollout__RolloutRecord *record = rollout__rollout_record__unpack(
        NULL, event->entry.value.size, (const uint8_t *)event->entry.value.data);
    if (!record)
        return err_origin(-EBADMSG);
    CLEANUP(rollout_freep) struct rollout *rollout = mem_new(struct rollout);
    rollout->id = mem_span_dup(id);
    rollout->mod_revision = event->entry.mod_revision;
    if (!rollout_fill(rollout, record))
        return err_origin(-EBADMSG);

    if (before)
        rollouts_remove(rollouts, before);
    map_add(&rollouts->all, &rollout->node, span_of(rollout->id));
    rollout = NULL;
    return 0;
}

/* --- finding --- */

const struct map *rollouts_all(const struct rollouts *rollouts)
{
    return &rollouts->all;
}

struct rollout *rollout_find(const struct rollouts *rollouts, struct span id)
{
    return map_find_as(&rollouts->all, id, struct rollout, node);
}

unix_msec rollout_step_ends(const struct rollout *rollout)
{
    nsec hold = rollout->steps[rollout->step].hold;
    if (rollout->state != ROLLOUT_RUNNING || !hold)
        return 0;
    return rollout->step_started + (unix_msec)(hold / NSEC_PER_MSEC);
}

unix_msec rollout_next_due(const struct rollouts *rollouts)
{
    unix_msec next = 0;
    map_each (node, &rollouts->all) {
        unix_msec ends = rollout_step_ends(container_of(node, struct rollout, node));
        if (ends && (!next || ends < next))
            next = ends;
    }
    return next;
}

const struct rollout_member *rollout_member_of(const struct rollout *rollout, const char *service,
                                               uint32_t major)
{
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        if (member->is_release || strcmp(member->owner, service) != 0)
            continue;
        for (unsigned j = 0; j < member->n_provides; j++) {
            if (member->provides[j] == major)
                return member;
        }
    }
    return NULL;
}

const struct rollout *rollout_on_contract(const struct rollouts *rollouts, const char *service,
                                          uint32_t major)
{
    map_each (node, &rollouts->all) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        if (rollout_is_active(rollout) && rollout_member_of(rollout, service, major))
            return rollout;
    }
    return NULL;
}

static bool moves_app(const struct rollout *rollout, const char *app)
{
    for (unsigned i = 0; i < rollout->n_members; i++) {
        if (rollout->members[i].is_release && strcmp(rollout->members[i].owner, app) == 0)
            return true;
    }
    return false;
}

const struct rollout *rollout_on_app(const struct rollouts *rollouts, const char *app)
{
    map_each (node, &rollouts->all) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        if (rollout_is_active(rollout) && moves_app(rollout, app))
            return rollout;
    }
    return NULL;
}

/* --- writing --- */

static struct span rollout_key(const struct rollout *rollout, struct txn *txn)
{
    return span_of(arena_format(&txn->arena, ROLLOUT_PREFIX "%s", rollout->id));
}

void rollout_expect(const struct rollout *rollout, struct txn *txn)
{
    txn_expect(txn, rollout_key(rollout, txn), rollout->mod_revision);
}

void rollout_delete(const struct rollout *rollout, struct txn *txn)
{
    txn_delete(txn, rollout_key(rollout, txn));
}

/* The record borrows the texts and lives in the transaction. */
static Rollout__Member *member_record(const struct rollout_member *member, struct arena *arena)
{
    Rollout__Member *record = arena_new(arena, Rollout__Member);
    rollout__member__init(record);
    record->is_release = member->is_release;
    record->owner = member->owner;
    record->version = member->version;
    record->from = member->from;
    record->n_provides = member->n_provides;
    record->provides = arena_new_array(arena, uint32_t, member->n_provides);
    memcpy(record->provides, member->provides, member->n_provides * sizeof(uint32_t));
    return record;
}

void rollout_put(const struct rollout *rollout, struct txn *txn)
{
    Rollout__RolloutRecord record;
    rollout__rollout_record__init(&record);
    record.n_members = rollout->n_members;
    record.members = arena_new_array(&txn->arena, Rollout__Member *, rollout->n_members);
    for (unsigned i = 0; i < rollout->n_members; i++)
        record.members[i] = member_record(&rollout->members[i], &txn->arena);
    record.n_steps = rollout->n_steps;
    record.steps = arena_new_array(&txn->arena, Rollout__Step *, rollout->n_steps);
    for (unsigned i = 0; i < rollout->n_steps; i++) {
        record.steps[i] = arena_new(&txn->arena, Rollout__Step);
        rollout__step__init(record.steps[i]);
        record.steps[i]->pct_milli = rollout->steps[i].pct_milli;
        record.steps[i]->hold = rollout->steps[i].hold;
        record.steps[i]->cohort = rollout->steps[i].cohort;
    }
    record.salt = rollout->salt;
    record.subject =
        arena_strdup(&txn->arena, rollout->subject == SUBJECT_DEVICE ? "device" : "customer");
    record.cohort = rollout->cohort;
    record.step = rollout->step;
    record.state = arena_strdup(&txn->arena, rollout_state_name(rollout->state));
    record.started = rollout->started;
    record.step_started = rollout->step_started;
    record.paused = rollout->paused;
    record.ended = rollout->ended;
    record.by = rollout->by;
    record.why = rollout->why;
    record.reason = rollout->reason;
    record.epoch = rollout->epoch;

    txn_put(txn, rollout_key(rollout, txn), txn_pack(txn, &record.base));
}

/* --- targets --- */

/* A target is what at most one rollout may move: a contract or an app. */
static void each_target(const struct rollout *rollout, struct txn *txn,
                        void (*each)(struct txn *txn, struct span key, const char *id))
{
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        if (member->is_release) {
            each(txn, span_of(arena_format(&txn->arena, ROLLOUT_PREFIX "active/%s", member->owner)),
                 rollout->id);
        }
        for (unsigned j = 0; j < member->n_provides; j++) {
            each(txn,
                 span_of(arena_format(&txn->arena, ROLLOUT_PREFIX "active/%s@%u", member->owner,
                                      member->provides[j])),
                 rollout->id);
        }
    }
}

static void target_put(struct txn *txn, struct span key, const char *id)
{
    txn_expect(txn, key, 0);
    txn_put(txn, key, span_of(id));
}

static void target_delete(struct txn *txn, struct span key, const char *id)
{
    (void)id;
    txn_delete(txn, key);
}

void rollout_targets_put(const struct rollout *rollout, struct txn *txn)
{
    each_target(rollout, txn, target_put);
}

void rollout_targets_delete(const struct rollout *rollout, struct txn *txn)
{
    each_target(rollout, txn, target_delete);
}
