/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Starting a rollout: everything its later steps rest on is checked now, and what cannot be known
 * yet (instances come and go, contracts go offline) is asked again when it matters.
 */

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "rollout/rollout.h"
#include "rollout/state.h"

#define MINUTES(n) ((n)*60ull * NSEC_PER_SEC)

/* When nobody says otherwise: small shares limit the damage, the half is where proof comes from,
 * and the last word is a person's. */
static const struct {
    uint32_t pct_milli;
    nsec hold;
} default_steps[] = {
    { 1000, MINUTES(10) },
    { 10000, MINUTES(10) },
    { 50000, MINUTES(30) },
    { PCT_ALL, 0 },
};

#define N_DEFAULT_STEPS (sizeof(default_steps) / sizeof(default_steps[0]))

static bool text_is_plain(struct span text, size_t max)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    }
    return text.size <= max;
}

static int texts_check(const struct rollout_spec *spec, struct problem *problem)
{
    const struct {
        const char *field;
        struct span text;
        unsigned max;
    } texts[] = {
        { "salt", spec->salt, ROLLOUT_SALT_MAX },
        { "by", spec->by, ROLLOUT_TEXT_MAX },
        { "why", spec->why, ROLLOUT_TEXT_MAX },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!text_is_plain(texts[i].text, texts[i].max)) {
            problem_set(problem, texts[i].field, "has control characters or more than %u bytes",
                        texts[i].max);
            return ROLLOUT_INVALID;
        }
    }
    return 0;
}

/* Parses the cohorts as resolving will combine them. */
static int cohort_check(const struct rollout_context *context, struct span all, struct span step,
                        const char *path, struct problem *problem)
{
    struct cohort_rule *rule = NULL;
    struct problem why = { 0 };
    int r = rollout_cohort(context->version, all, step, &rule, &why);
    cohort_rule_free(rule);
    if (r == ROLLOUT_INVALID)
        problem_set(problem, path, "is no cohort, and as an expression it %s", why.text);
    return r;
}

/* Cohorts may stand anywhere between the shares: they add, and take nothing away. */
static int steps_check(const struct rollout_context *context, const struct rollout_spec *spec,
                       struct problem *problem)
{
    uint32_t share = 0;
    for (unsigned i = 0; i < spec->n_steps; i++) {
        char path[40];
        if (spec->steps[i].cohort.size) {
            snprintf(path, sizeof(path), "steps[%u].cohort", i);
            int r = cohort_check(context, spec->cohort, spec->steps[i].cohort, path, problem);
            if (r)
                return r;
            continue;
        }
        snprintf(path, sizeof(path), "steps[%u].pct", i);
        if (spec->steps[i].pct_milli > PCT_ALL) {
            problem_set(problem, path, "is above 100");
            return ROLLOUT_INVALID;
        }
        if (spec->steps[i].pct_milli < share) {
            problem_set(problem, path, "is smaller than the share before it; shares may only grow");
            return ROLLOUT_INVALID;
        }
        share = spec->steps[i].pct_milli;
    }
    return 0;
}

static int spec_check(const struct rollout_context *context, const struct rollout_spec *spec,
                      struct problem *problem)
{
    if (!spec->n_members || spec->n_members > RULE_MEMBERS_MAX) {
        problem_set(problem, "members", "are %u; 1 to %u builds and releases are accepted",
                    spec->n_members, RULE_MEMBERS_MAX);
        return ROLLOUT_INVALID;
    }
    if (spec->n_steps > ROLLOUT_STEPS_MAX) {
        problem_set(problem, "steps", "are %u; at most %u are accepted", spec->n_steps,
                    ROLLOUT_STEPS_MAX);
        return ROLLOUT_INVALID;
    }
    int r = texts_check(spec, problem);
    if (!r)
        r = cohort_check(context, spec->cohort, SPAN_NULL, "cohort", problem);
    return r ? r : steps_check(context, spec, problem);
}

/* --- members --- */

/* One member of a rollout under construction. */
struct taking {
    const struct rollout_context *context;
    struct rollout *rollout;
    struct rollout_member *member;
    char path[32]; /* of the member, for problems */
    struct txn *txn;
    struct problem *problem;
};

static int target_taken(const struct taking *taking, const struct rollout *other,
                        const char *target)
{
    problem_set(taking->problem, taking->path,
                "moves %s, as rollout %s does; promote or abort that first", target, other->id);
    return ROLLOUT_REFUSED;
}

static int target_twice(const struct taking *taking, const char *target)
{
    problem_set(taking->problem, taking->path, "moves %s, as another member does", target);
    return ROLLOUT_INVALID;
}

/* Adds the contract to what the member moves, unless there is nothing to move. */
static int contract_take(const struct taking *taking, const struct contract *contract)
{
    const struct rollout *other =
        rollout_on_contract(taking->context->rollouts, contract->service, contract->major);
    if (other)
        return target_taken(taking, other, contract->name);
    if (rollout_member_of(taking->rollout, contract->service, contract->major))
        return target_twice(taking, contract->name);

    struct rollout_member *member = taking->member;
    contract_hold(contract, taking->txn);
    if (!member->n_provides)
        member->from = arena_strdup(&taking->txn->arena, contract->baseline);
    member->provides[member->n_provides++] = contract->major;
    return 0;
}

static int nothing_to_move(const struct taking *taking, const struct contract *offline)
{
    const struct rollout_member *member = taking->member;
    if (offline) {
        problem_set(taking->problem, taking->path, "is %s %s, but %s is offline", member->owner,
                    member->version, offline->name);
    } else {
        problem_set(taking->problem, taking->path, "is %s %s, which is the baseline already",
                    member->owner, member->version);
    }
    return ROLLOUT_REFUSED;
}

/* The contracts of the build that have another baseline. */
static int contracts_take(const struct taking *taking, const struct build *build)
{
    const struct contract *offline = NULL;
    for (unsigned i = 0; i < build->n_provides; i++) {
        const struct contract *contract = contract_find(
            taking->context->version, span_of(taking->member->owner), build->provides[i]);
        if (!contract || strcmp(contract->baseline, build->version) == 0)
            continue;
        if (contract->state == CONTRACT_OFFLINE) {
            offline = contract;
            continue;
        }
        int r = contract_take(taking, contract);
        if (r)
            return r;
    }
    return taking->member->n_provides ? 0 : nothing_to_move(taking, offline);
}

static int build_take(const struct taking *taking)
{
    const struct rollout_member *member = taking->member;
    const struct service *service = service_find(taking->context->registry, span_of(member->owner));
    const struct build *build = service ? build_find(service, span_of(member->version)) : NULL;
    if (!build) {
        problem_set(taking->problem, taking->path, "is %s %s, which is not registered",
                    member->owner, member->version);
        return ROLLOUT_NOT_FOUND;
    }
    if (service->shares_builds) {
        problem_set(taking->problem, taking->path,
                    "is a build of %s, whose builds share its traffic (gray: off)", member->owner);
        return ROLLOUT_REFUSED;
    }
    struct txn *txn = taking->txn;
    txn_expect(txn,
               span_of(arena_format(&txn->arena, REGISTRY_PREFIX "build/%s/%s", service->name,
                                    build->version)),
               build->mod_revision);
    return contracts_take(taking, build);
}

/* Here the default counts as the baseline does for builds. */
static int release_take(const struct taking *taking)
{
    struct rollout_member *member = taking->member;
    struct problem why = { 0 };
    int r = release_hold(taking->context->version, span_of(member->owner), span_of(member->version),
                         taking->txn, &why);
    if (r > 0) {
        problem_set(taking->problem, taking->path, "%s", why.text);
        return r == VERSION_NOT_FOUND ? ROLLOUT_NOT_FOUND : ROLLOUT_REFUSED;
    }
    if (r)
        return err_trace(r);

    const struct app *app = app_find(taking->context->version, span_of(member->owner));
    const struct rollout *other = rollout_on_app(taking->context->rollouts, app->name);
    if (other)
        return target_taken(taking, other, app->name);
    if (strcmp(app->default_release, member->version) == 0) {
        problem_set(taking->problem, taking->path, "is %s %s, which is the default already",
                    app->name, member->version);
        return ROLLOUT_REFUSED;
    }
    for (const struct rollout_member *before = taking->rollout->members; before < member;
         before++) {
        if (before->is_release && strcmp(before->owner, member->owner) == 0)
            return target_twice(taking, app->name);
    }
    app_expect(app, taking->txn);
    member->from = arena_strdup(&taking->txn->arena, app->default_release);
    return 0;
}

static int members_take(const struct rollout_context *context, const struct rollout_spec *spec,
                        struct rollout *rollout, struct txn *txn, struct problem *problem)
{
    struct taking taking = {
        .context = context, .rollout = rollout, .txn = txn, .problem = problem
    };
    for (unsigned i = 0; i < spec->n_members; i++) {
        struct rollout_member *member = &rollout->members[i];
        member->is_release = spec->members[i].is_release;
        member->owner = arena_format(&txn->arena, "%.*s", SPAN_ARG(spec->members[i].owner));
        member->version = arena_format(&txn->arena, "%.*s", SPAN_ARG(spec->members[i].version));
        taking.member = member;
        snprintf(taking.path, sizeof(taking.path), "members[%u]", i);
        int r = member->is_release ? release_take(&taking) : build_take(&taking);
        if (r)
            return r;
        rollout->n_members++;
    }
    return 0;
}

/* --- the whole --- */

static void steps_take(const struct rollout_spec *spec, struct rollout *rollout, struct txn *txn)
{
    rollout->n_steps = spec->n_steps ? spec->n_steps : N_DEFAULT_STEPS;
    for (unsigned i = 0; i < rollout->n_steps; i++) {
        struct rollout_step *step = &rollout->steps[i];
        struct span cohort = spec->n_steps ? spec->steps[i].cohort : SPAN_NULL;
        step->pct_milli = spec->n_steps ? spec->steps[i].pct_milli : default_steps[i].pct_milli;
        step->hold = spec->n_steps ? spec->steps[i].hold : default_steps[i].hold;
        step->cohort = arena_format(&txn->arena, "%.*s", SPAN_ARG(cohort));
    }
}

/* The id is a digest of what makes the rollout: the same decision made again, for a dry run or
 * after a lost race, has the same id. */
static void id_format(const struct rollout_context *context, const struct rollout *rollout,
                      char ret_id[ROLLOUT_ID_SIZE + 1])
{
    struct hash_stream *stream = hash_stream_new(HASH_SHA256);
    char head[64];
    int size = snprintf(head, sizeof(head), "%lld %zu", (long long)context->wall,
                        context->rollouts->all.n_nodes);
    hash_stream_add(stream, (struct span){ head, (size_t)size });
    for (unsigned i = 0; i < rollout->n_members; i++) {
        hash_stream_add(stream, SPAN(" "));
        hash_stream_add(stream, span_of(rollout->members[i].owner));
        hash_stream_add(stream, SPAN("@"));
        hash_stream_add(stream, span_of(rollout->members[i].version));
    }
    uint8_t digest[64];
    hash_stream_finish(stream, digest);
    hash_stream_free(stream);
    hash_base32(digest, 6, ret_id); /* 48 bits are 10 characters */
}

/* Resolving has one bit for each rule. A rollout counts with the most rules it will ever need, or
 * one that goes on would crowd out another. */
static int room_check(const struct rollout_context *context, const struct rollout *rollout,
                      struct problem *problem)
{
    unsigned n_rules = rollout_n_rules(rollout);
    map_each (node, &context->rollouts->all) {
        const struct rollout *other = container_of(node, struct rollout, node);
        if (rollout_is_active(other))
            n_rules += rollout_n_rules(other);
    }
    if (n_rules <= RULES_MAX)
        return 0;

    problem_set(problem, "",
                "the active rollouts and this one would need %u rules; %u are accepted: promote or "
                "abort one first",
                n_rules, RULES_MAX);
    return ROLLOUT_REFUSED;
}

/* Forgets the rollout that ended first when too many are kept. */
static void oldest_forget(const struct rollouts *rollouts, struct txn *txn)
{
    const struct rollout *oldest = NULL;
    unsigned n_ended = 0;
    map_each (node, &rollouts->all) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        if (rollout_is_active(rollout))
            continue;
        n_ended++;
        if (!oldest || rollout->ended < oldest->ended)
            oldest = rollout;
    }
    if (n_ended >= ROLLOUT_ENDED_MAX)
        rollout_delete(oldest, txn);
}

int rollout_start(const struct rollout_context *context, const struct rollout_spec *spec,
                  struct txn *txn, char ret_id[ROLLOUT_ID_SIZE + 1], struct problem *problem)
{
    int r = spec_check(context, spec, problem);
    if (r)
        return r;

    CLEANUP(mem_freep) struct rollout *rollout = mem_new(struct rollout);
    r = members_take(context, spec, rollout, txn, problem);
    if (r)
        return r;
    steps_take(spec, rollout, txn);
    r = room_check(context, rollout, problem);
    if (r)
        return r;

    char id[ROLLOUT_ID_SIZE + 1];
    id_format(context, rollout, id);
    rollout->id = id;
    rollout->salt =
        arena_format(&txn->arena, "%.*s", SPAN_ARG(spec->salt.size ? spec->salt : span_of(id)));
    rollout->cohort = arena_format(&txn->arena, "%.*s", SPAN_ARG(spec->cohort));
    rollout->by = arena_format(&txn->arena, "%.*s", SPAN_ARG(spec->by));
    rollout->why = arena_format(&txn->arena, "%.*s", SPAN_ARG(spec->why));
    rollout->reason = arena_strdup(&txn->arena, "");
    rollout->subject = spec->subject;
    rollout->state = ROLLOUT_RUNNING;
    rollout->started = rollout->step_started = context->wall;
    rollout->epoch = 1;
    rollout_expect(rollout, txn);
    rollout_put(rollout, txn);
    rollout_targets_put(rollout, txn);
    oldest_forget(context->rollouts, txn);
    memcpy(ret_id, id, sizeof(id));
    return 0;
}
