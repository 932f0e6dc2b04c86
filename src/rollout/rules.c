/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What active rollouts contribute to resolving. Steps only ever add: a cohort of an earlier step
 * stays in while the share grows, as a rule of its own before that of the share. So nobody who was
 * moved flips back while a rollout goes on.
 */

#include "base/buf.h"
#include "base/mem.h"
#include "rollout/rollout.h"
#include "rollout/state.h"

/* The expression a text stands for: that of the cohort of this name, or the text itself. */
static struct span cohort_expression(const struct version *version, struct span text)
{
    const struct cohort *cohort = map_find_as(version_cohorts(version), text, struct cohort, node);
    return cohort ? span_of(cohort->expression) : text;
}

int rollout_cohort(const struct version *version, struct span first, struct span second,
                   struct cohort_rule **ret_rule, struct problem *problem)
{
    if (!first.size && !second.size) {
        *ret_rule = NULL;
        return 0;
    }

    CLEANUP(buf_fini) struct buf text = { 0 };
    if (first.size && second.size) {
        struct span a = cohort_expression(version, first), b = cohort_expression(version, second);
        buf_printf(&text, "(%.*s) && (%.*s)", SPAN_ARG(a), SPAN_ARG(b));
    } else {
        buf_put(&text, cohort_expression(version, first.size ? first : second));
    }
    int r = cohort_rule_parse(buf_span(&text), ret_rule, problem);
    return r == VERSION_INVALID ? ROLLOUT_INVALID : err_fold(r);
}

unsigned rollout_n_rules(const struct rollout *rollout)
{
    unsigned n = 1;
    for (unsigned i = 0; i < rollout->n_steps; i++)
        n += rollout->steps[i].cohort[0] != '\0';
    return n;
}

static void rule_add(struct rollouts *rollouts, const struct version *version,
                     const struct rollout *rollout, const char *step_cohort, uint32_t pct_milli)
{
    if (rollouts->n_rules == RULES_MAX)
        return;
    struct cohort_rule *cohort = NULL;
    if (rollout_cohort(version, span_of(rollout->cohort), span_of(step_cohort), &cohort, NULL))
        pct_milli = 0; /* a cohort that was deleted has no members */
    if (cohort)
        rollouts->cohorts[rollouts->n_cohorts++] = cohort;

    struct version_rule *rule = &rollouts->rules[rollouts->n_rules++];
    *rule = (struct version_rule){
        .rollout = rollout->id,
        .salt = rollout->salt,
        .subject = rollout->subject,
        .pct_milli = pct_milli,
        .cohort = cohort,
        .n_members = rollout->n_members,
    };
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        rule->members[i].is_release = member->is_release;
        rule->members[i].owner = member->owner;
        rule->members[i].version = member->version;
        rule->members[i].n_provides = member->n_provides;
        memcpy(rule->members[i].provides, member->provides, sizeof(member->provides));
    }
}

/* The share has a rule even at 0 %, for `explain` and retirement to see. */
static void rules_add(struct rollouts *rollouts, const struct version *version,
                      const struct rollout *rollout)
{
    uint32_t pct_milli = 0;
    for (unsigned i = 0; i <= rollout->step; i++) {
        const struct rollout_step *step = &rollout->steps[i];
        if (step->cohort[0]) {
            rule_add(rollouts, version, rollout, step->cohort, PCT_ALL);
        } else {
            pct_milli = step->pct_milli;
        }
    }
    rule_add(rollouts, version, rollout, "", pct_milli);
}

static int oldest_first(const void *a, const void *b)
{
    const struct rollout *const *x = a, *const *y = b;
    if ((*x)->started != (*y)->started)
        return (*x)->started < (*y)->started ? -1 : 1;
    return strcmp((*x)->id, (*y)->id);
}

unsigned rollouts_rules(struct rollouts *rollouts, const struct version *version,
                        const struct version_rule **ret_rules)
{
    for (unsigned i = 0; i < rollouts->n_cohorts; i++)
        cohort_rule_free(rollouts->cohorts[i]);
    rollouts->n_cohorts = rollouts->n_rules = 0;

    CLEANUP(mem_freep)
    const struct rollout **active = mem_new_array(const struct rollout *, rollouts->all.n_nodes);
    unsigned n = 0;
    map_each (node, &rollouts->all) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        if (rollout_is_active(rollout))
            active[n++] = rollout;
    }
    qsort(active, n, sizeof(const struct rollout *), oldest_first);
    for (unsigned i = 0; i < n; i++)
        rules_add(rollouts, version, active[i]);
    *ret_rules = rollouts->rules;
    return rollouts->n_rules;
}
