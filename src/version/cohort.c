/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cohorts: named rules. Their expression is checked when it is put, so that applying one that does
 * not parse is a fault and not a surprise at resolving.
 */

#include "version/cohort.h"

#include "base/mem.h"
#include "version/record.h"
#include "version/state.h"

static void cohort_free(struct version *version, struct cohort *cohort)
{
    map_remove(&version->cohorts, &cohort->node);
    cohort_rule_free(cohort->rule);
    free(cohort->name);
    free(cohort->expression);
    free(cohort);
}

void cohorts_fini(struct version *version)
{
    map_each (node, &version->cohorts)
        cohort_free(version, container_of(node, struct cohort, node));
    map_fini(&version->cohorts);
}

static struct cohort *cohort_find(const struct version *version, struct span name)
{
    return map_find_as(&version->cohorts, name, struct cohort, node);
}

int cohort_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct cohort *cohort = cohort_find(version, name);
    if (event->kind == TXN_DELETE) {
        if (cohort)
            cohort_free(version, cohort);
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__cohort_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__CohortRecord *record = (const Version__CohortRecord *)message;
    struct cohort_rule *rule = NULL;
    if (cohort_rule_parse(span_of(record->expression), &rule, NULL))
        return err_origin(-EBADMSG);

    if (!cohort) {
        cohort = mem_new(struct cohort);
        cohort->name = mem_span_dup(name);
        map_add(&version->cohorts, &cohort->node, span_of(cohort->name));
    }
    cohort_rule_free(cohort->rule);
    cohort->rule = rule;
    version_text_set(&cohort->expression, record->expression);
    cohort->mod_revision = event->entry.mod_revision;
    return 0;
}

static struct span cohort_key(struct txn *txn, struct span name)
{
    return version_key(txn, VERSION_PREFIX "cohort/%.*s", SPAN_ARG(name));
}

int cohort_put(const struct version *version, struct span name, struct span expression,
               struct txn *txn, struct problem *problem)
{
    if (!service_name_is_valid(name)) {
        problem_set(problem, "name",
                    "is \"%.*s\"; lower-case letters, digits and \"-\" are accepted, a letter "
                    "first",
                    SPAN_ARG(span_first(name, 80)));
        return VERSION_INVALID;
    }
    struct cohort_rule *rule = NULL;
    int r = cohort_rule_parse(expression, &rule, problem);
    if (r)
        return r;
    cohort_rule_free(rule);

    const struct cohort *cohort = cohort_find(version, name);
    if (cohort && span_is(expression, cohort->expression))
        return 0;

    struct span key = cohort_key(txn, name);
    Version__CohortRecord record;
    version__cohort_record__init(&record);
    record.expression = version_text(txn, expression);
    txn_expect(txn, key, cohort ? cohort->mod_revision : 0);
    version_record_put(txn, key, &record.base);
    return 0;
}

int cohort_delete(const struct version *version, struct span name, struct txn *txn)
{
    const struct cohort *cohort = cohort_find(version, name);
    if (!cohort)
        return VERSION_NOT_FOUND;

    struct span key = cohort_key(txn, name);
    txn_expect(txn, key, cohort->mod_revision);
    txn_delete(txn, key);
    return 0;
}
