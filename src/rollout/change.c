/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Moving a rollout from state to state, by hand or by due.c. What each change needs of the other
 * rooms, baselines and defaults, is in the same transaction, so no crash can part them.
 */

#include <stdio.h>

#include "rollout/rollout.h"
#include "rollout/state.h"

/* What is not here is refused. */
static const struct transition {
    enum rollout_state from;
    enum rollout_verb verb;
    enum rollout_state to;
} transitions[] = {
    { ROLLOUT_RUNNING, ROLLOUT_STEP, ROLLOUT_RUNNING },
    { ROLLOUT_RUNNING, ROLLOUT_PAUSE, ROLLOUT_PAUSED },
    { ROLLOUT_RUNNING, ROLLOUT_PROMOTE, ROLLOUT_PROMOTED },
    { ROLLOUT_RUNNING, ROLLOUT_ABORT, ROLLOUT_ABORTED },
    { ROLLOUT_PAUSED, ROLLOUT_RESUME, ROLLOUT_RUNNING },
    { ROLLOUT_PAUSED, ROLLOUT_ABORT, ROLLOUT_ABORTED },
};

static const char *const verb_names[] = {
    [ROLLOUT_STEP] = "step",       [ROLLOUT_PAUSE] = "pause", [ROLLOUT_RESUME] = "resume",
    [ROLLOUT_PROMOTE] = "promote", [ROLLOUT_ABORT] = "abort",
};

static const struct transition *transition_find(enum rollout_state from, enum rollout_verb verb)
{
    for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        if (transitions[i].from == from && transitions[i].verb == verb)
            return &transitions[i];
    }
    return NULL;
}

static int transition_refuse(const struct rollout *rollout, enum rollout_verb verb,
                             struct problem *problem)
{
    char accepted[64] = "";
    for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        size_t used = strlen(accepted);
        if (transitions[i].from == rollout->state) {
            snprintf(accepted + used, sizeof(accepted) - used, "%s%s", used ? ", " : "",
                     verb_names[transitions[i].verb]);
        }
    }
    problem_set(problem, "", "rollout %s is %s%s%s%s, so it cannot be told to %s", rollout->id,
                rollout_state_name(rollout->state), accepted[0] ? " and takes " : "", accepted,
                accepted[0] ? " only" : "", verb_names[verb]);
    return ROLLOUT_REFUSED;
}

const struct rollout_member *rollout_unready(const struct rollout_context *context,
                                             const struct rollout *rollout)
{
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        if (member->is_release)
            continue;
        const struct service *service = service_find(context->registry, span_of(member->owner));
        const struct build *build = service ? build_find(service, span_of(member->version)) : NULL;
        if (!build || !build->n_ready)
            return member;
    }
    return NULL;
}

/* Makes the build the baseline of what it moves. A contract that has gone offline since the start
 * has no customers to serve. */
static int promote_build(const struct rollout_context *context, const struct rollout_member *member,
                         struct txn *txn, struct problem *problem)
{
    struct span service = span_of(member->owner);
    for (unsigned i = 0; i < member->n_provides; i++) {
        const struct contract *contract =
            contract_find(context->version, service, member->provides[i]);
        if (contract && contract->state == CONTRACT_OFFLINE)
            continue;
        int r = contract_set_baseline(context->version, context->registry, service,
                                      member->provides[i], span_of(member->version), txn, problem);
        if (r)
            return r > 0 ? ROLLOUT_REFUSED : err_trace(r);
    }
    return 0;
}

/* Refused while a member build is down: from then on it would be all that serves. */
static int promote(const struct rollout_context *context, const struct rollout *rollout,
                   struct txn *txn, struct problem *problem)
{
    const struct rollout_member *unready = rollout_unready(context, rollout);
    if (unready) {
        problem_set(problem, "", "%s %s has no ready instance, so it cannot serve everybody",
                    unready->owner, unready->version);
        return ROLLOUT_REFUSED;
    }
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        int r;
        if (member->is_release) {
            r = app_set_default(context->version, span_of(member->owner), span_of(member->version),
                                txn, problem);
        } else {
            r = promote_build(context, member, txn, problem);
        }
        if (r)
            return r > 0 ? ROLLOUT_REFUSED : err_trace(r);
    }
    return 0;
}

/* The times and the step of a transition that is allowed. */
static void rollout_turn(struct rollout *rollout, enum rollout_state to, enum rollout_verb verb,
                         unix_msec wall)
{
    if (verb == ROLLOUT_STEP) {
        rollout->step++;
        rollout->step_started = wall;
    }
    if (verb == ROLLOUT_PAUSE)
        rollout->paused = wall;
    if (verb == ROLLOUT_RESUME) {
        /* The clock may have been set back meanwhile. */
        rollout->step_started += wall > rollout->paused ? wall - rollout->paused : 0;
        rollout->paused = 0;
    }
    rollout->state = to;
    if (!rollout_is_active(rollout))
        rollout->ended = wall;
}

int rollout_move(const struct rollout_context *context, const struct rollout *rollout,
                 enum rollout_verb verb, const struct rollout_cause *cause, struct txn *txn,
                 struct problem *problem)
{
    if (verb == ROLLOUT_STEP && rollout->state == ROLLOUT_RUNNING &&
        rollout->step + 1 == rollout->n_steps)
        verb = ROLLOUT_PROMOTE;
    const struct transition *transition = transition_find(rollout->state, verb);
    if (!transition)
        return transition_refuse(rollout, verb, problem);
    if (verb == ROLLOUT_PROMOTE) {
        int r = promote(context, rollout, txn, problem);
        if (r)
            return r;
    }

    struct rollout changed = *rollout;
    rollout_turn(&changed, transition->to, verb, context->wall);
    changed.by = arena_format(&txn->arena, "%.*s", SPAN_ARG(cause->by));
    changed.reason = arena_format(&txn->arena, "%.*s", SPAN_ARG(cause->why));
    changed.epoch++;
    rollout_expect(rollout, txn);
    rollout_put(&changed, txn);
    if (!rollout_is_active(&changed))
        rollout_targets_delete(rollout, txn);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): each is a part of the operator's decision */
int rollout_change(const struct rollout_context *context, struct span id, enum rollout_verb verb,
                   struct span by, struct span why, struct txn *txn, struct problem *problem)
{
    const struct rollout *rollout = rollout_find(context->rollouts, id);
    if (!rollout) {
        problem_set(problem, "rollout", "is \"%.*s\", which does not exist",
                    SPAN_ARG(span_first(id, 80)));
        return ROLLOUT_NOT_FOUND;
    }
    if (why.size > ROLLOUT_TEXT_MAX || by.size > ROLLOUT_TEXT_MAX) {
        problem_set(problem, why.size > ROLLOUT_TEXT_MAX ? "why" : "by", "has more than %u bytes",
                    ROLLOUT_TEXT_MAX);
        return ROLLOUT_INVALID;
    }
    struct rollout_cause cause = { by, why };
    return rollout_move(context, rollout, verb, &cause, txn, problem);
}
