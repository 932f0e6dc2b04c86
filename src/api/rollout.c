/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rollouts over HTTP.
 */

#include "api/routes.h"

int rollout_status(int r)
{
    if (r < 0)
        return 500;
    switch ((enum rollout_answer)r) {
    case ROLLOUT_OK: return 0;
    case ROLLOUT_INVALID: return 400;
    case ROLLOUT_NOT_FOUND: return 404;
    case ROLLOUT_REFUSED: return 409;
    }
    return 500;
}

static struct rollout *call_rollout(const struct api_call *call)
{
    return rollout_find(call->rooms->rollouts, call->params[0]);
}

int64_t route_rollout_revision(struct api_call *call)
{
    const struct rollout *rollout = call_rollout(call);
    return rollout ? rollout->mod_revision : 0;
}

static json_t *rollout_json(const struct rollout *rollout)
{
    json_t *members = json_array();
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        json_array_append_new(
            members, json_pack("{s:o, s:s, s:s}", "member",
                               json_sprintf("%s@%s", member->owner, member->version), "kind",
                               member->is_release ? "release" : "build", "from", member->from));
    }
    json_t *steps = json_array();
    for (unsigned i = 0; i < rollout->n_steps; i++) {
        const struct rollout_step *step = &rollout->steps[i];
        json_array_append_new(steps,
                              json_pack("{s:f, s:o, s:s}", "pct", step->pct_milli / 1000.0, "for",
                                        api_json_duration(step->hold), "cohort", step->cohort));
    }
    return json_pack(
        "{s:s, s:s, s:o, s:s, s:i, s:f, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "rollout",
        rollout->id, "state", rollout_state_name(rollout->state), "members", members, "subject",
        rollout->subject == SUBJECT_CUSTOMER ? "customer" : "device", "step", (int)rollout->step,
        "pct", rollout->n_steps ? rollout->steps[rollout->step].pct_milli / 1000.0 : 0.0, "steps",
        steps, "cohort", rollout->cohort, "salt", rollout->salt, "by", rollout->by, "why",
        rollout->why, "reason", rollout->reason, "started", api_json_time(rollout->started),
        "step_ends", api_json_time(rollout_step_ends(rollout)), "ended",
        api_json_time(rollout->ended));
}

void route_rollouts_list(struct api_call *call)
{
    json_t *rollouts = json_array();
    map_each (node, rollouts_all(call->rooms->rollouts))
        json_array_append_new(rollouts, rollout_json(container_of(node, struct rollout, node)));
    api_reply(call, 200, json_pack("{s:o}", "rollouts", api_sorted(rollouts, "started")));
}

void route_rollout_get(struct api_call *call)
{
    const struct rollout *rollout = call_rollout(call);
    if (rollout) {
        api_reply(call, 200, rollout_json(rollout));
        return;
    }
    struct problem problem = { 0 };
    problem_set(&problem, "rollout", "%.*s is not known", SPAN_ARG(call->params[0]));
    api_refuse(call, 404, &problem, NULL);
}

/* --- starting --- */

static int add_member(struct rollout_spec *spec, struct span owner, struct span version,
                      bool is_release, struct problem *problem)
{
    if (spec->n_members == RULE_MEMBERS_MAX) {
        problem_set(problem, "members", "has more than %u entries", RULE_MEMBERS_MAX);
        return 400;
    }
    spec->members[spec->n_members].owner = owner;
    spec->members[spec->n_members].version = version;
    spec->members[spec->n_members++].is_release = is_release;
    return 0;
}

/* "shop@4.2.0" names a release when there is an app of that name, else a build. */
static int read_members(const struct api_call *call, struct rollout_spec *spec,
                        struct problem *problem)
{
    const json_t *list = json_object_get(call->body, "members");
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct span text = span_of(json_string_value(json_array_get(list, i)));
        size_t at = span_find(text, '@');
        struct span owner = span_first(text, at);
        if (at == 0 || at + 1 >= text.size) {
            char path[32];
            snprintf(path, sizeof(path), "members[%zu]", i);
            problem_set(problem, path,
                        "is \"%.*s\"; \"orders@3.15.0\" or \"shop@4.3.0\" is accepted",
                        SPAN_ARG(text));
            return 400;
        }
        bool is_release = app_find(call->rooms->version, owner) != NULL &&
                          !service_find(call->rooms->registry, owner);
        int status = add_member(spec, owner, span_from(text, at + 1), is_release, problem);
        if (status)
            return status;
    }
    return 0;
}

static int read_pair(const json_t *body, const char *owner_field, const char *version_field,
                     bool is_release, struct rollout_spec *spec, struct problem *problem)
{
    struct span owner = api_text(body, owner_field), version = api_text(body, version_field);
    if (!owner.data && !version.data)
        return 0;
    if (!owner.data || !version.data) {
        problem_set(problem, owner.data ? version_field : owner_field,
                    "is absent; %s and %s belong together", owner_field, version_field);
        return 400;
    }
    return add_member(spec, owner, version, is_release, problem);
}

static int read_steps(const json_t *body, struct rollout_spec *spec, struct problem *problem)
{
    const json_t *list = json_object_get(body, "steps");
    if (json_array_size(list) > ROLLOUT_STEPS_MAX) {
        problem_set(problem, "steps", "has %zu entries; at most %u are accepted",
                    json_array_size(list), ROLLOUT_STEPS_MAX);
        return 400;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *step = json_array_get(list, i);
        if (!json_object_get(step, "pct") == !json_object_get(step, "cohort")) {
            char path[32];
            snprintf(path, sizeof(path), "steps[%zu]", i);
            problem_set(problem, path, "must have either pct or cohort");
            return 400;
        }
        spec->steps[i].pct_milli =
            json_object_get(step, "cohort") ? PCT_ALL : api_pct_milli(step, "pct");
        spec->steps[i].hold = api_duration(step, "for");
        spec->steps[i].cohort = api_text(step, "cohort");
    }
    spec->n_steps = (unsigned)json_array_size(list);
    return 0;
}

static int read_subject(const json_t *body, struct rollout_spec *spec, struct problem *problem)
{
    struct span subject = api_text(body, "subject");
    spec->subject = SUBJECT_CUSTOMER;
    if (!subject.data || span_is(subject, "customer"))
        return 0;
    if (span_is(subject, "device")) {
        spec->subject = SUBJECT_DEVICE;
        return 0;
    }
    problem_set(problem, "subject", "is \"%.*s\"; customer or device is accepted",
                SPAN_ARG(subject));
    return 400;
}

int route_rollout_create(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct rollout_spec *spec = arena_new(&call->arena, struct rollout_spec);
    int status = read_pair(call->body, "service", "build", false, spec, problem);
    if (!status)
        status = read_pair(call->body, "app", "release", true, spec, problem);
    if (!status)
        status = read_members(call, spec, problem);
    if (!status)
        status = read_steps(call->body, spec, problem);
    if (!status)
        status = read_subject(call->body, spec, problem);
    if (status)
        return status;

    spec->cohort = api_text(call->body, "cohort");
    spec->salt = api_text(call->body, "salt");
    spec->why = api_text(call->body, "why");
    spec->by = SPAN("token");
    struct rollout_context context = rooms_rollout_context(call->rooms);
    char *id = arena_alloc(&call->arena, ROLLOUT_ID_SIZE + 1, 1);
    status = rollout_status(rollout_start(&context, spec, txn, id, problem));
    call->params[0] = span_of(id); /* what the answer shows */
    call->is_created = true;
    return status;
}

int route_rollout_verb_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    static const struct {
        const char *name;
        enum rollout_verb verb;
    } verbs[] = {
        { "step", ROLLOUT_STEP },       { "pause", ROLLOUT_PAUSE }, { "resume", ROLLOUT_RESUME },
        { "promote", ROLLOUT_PROMOTE }, { "abort", ROLLOUT_ABORT },
    };
    struct rollout_context context = rooms_rollout_context(call->rooms);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (span_is(call->params[1], verbs[i].name)) {
            return rollout_status(rollout_change(&context, call->params[0], verbs[i].verb,
                                                 SPAN("token"), api_text(call->body, "why"), txn,
                                                 problem));
        }
    }
    problem_set(problem, "verb", "is \"%.*s\"; step, pause, resume, promote and abort are accepted",
                SPAN_ARG(call->params[1]));
    return 404;
}
