/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Resolving has a short way and a long one. The short: find the customer (its pin set), hash once
 * for each rule, and look the choice up. Only the first customer with some choice goes the long
 * way, draft.c, where releases, contracts and builds are put together.
 *
 * The previous BOM matters only where something could not be satisfied. So a choice is looked up
 * without it first, and with it only when the answer was a fallback.
 */

#include "base/mem.h"
#include "codec/timefmt.h"
#include "version/bom.h"
#include "version/cohort.h"
#include "version/draft.h"
#include "version/rule.h"
#include "version/snapshot.h"
#include "version/trace.h"

/* Without a device, as in calls between services, a rule by device falls back on the customer. */
static struct span rule_subject_of(const struct known_rule *rule,
                                   const struct resolve_request *request)
{
    return rule->subject == SUBJECT_DEVICE && request->device.size ? request->device
                                                                   : request->customer;
}

static bool cohort_holds(const struct known_rule *rule, const struct resolve_request *request,
                         const struct known_customer *customer)
{
    return !rule->cohort || cohort_rule_holds_for(rule->cohort, request->customer,
                                                  customer ? customer->attributes : NULL,
                                                  customer ? customer->n_attributes : 0);
}

/* The hot path: one hash for each rule with a share between none and all. */
static uint64_t rules_of(const struct version_snapshot *snapshot,
                         const struct resolve_request *request,
                         const struct known_customer *customer)
{
    uint64_t included = 0;
    for (unsigned i = 0; i < snapshot->n_rules; i++) {
        const struct known_rule *rule = &snapshot->rules[i];
        if (!rule->suspended && cohort_holds(rule, request, customer) &&
            rule_share_has(rule->salt, rule->pct_milli, rule_subject_of(rule, request)))
            included |= (uint64_t)1 << i;
    }
    return included;
}

static void trace_rule(struct resolve_trace *trace, const struct known_rule *rule,
                       const struct resolve_request *request, const struct known_customer *customer)
{
    struct span id = span_of(rule->rollout), subject = rule_subject_of(rule, request);
    char pct[PCT_TEXT_MAX];
    pct_format(rule->pct_milli, pct);
    if (rule->suspended) {
        trace_add(trace, "rollout", id, "suspended: %s", rule->suspended);
    } else if (!cohort_holds(rule, request, customer)) {
        trace_add(trace, "rollout", id, "not in: its cohort does not hold for this customer");
    } else if (rule->pct_milli >= PCT_ALL) {
        trace_add(trace, "rollout", id, "in: %s", rule->cohort ? "its cohort holds" : "at 100 %");
    } else if (!subject.size) {
        trace_add(trace, "rollout", id, "not in: a caller without a name is in no share");
    } else {
        trace_add(trace, "rollout", id, "%s: bucket %u of %u is %s %u (%s)",
                  rule_share_has(rule->salt, rule->pct_milli, subject) ? "in" : "not in",
                  rule_bucket(rule->salt, subject), PCT_ALL,
                  rule_share_has(rule->salt, rule->pct_milli, subject) ? "below" : "not below",
                  rule->pct_milli, pct);
    }
}

/* `previous` belongs to the key: the same choice after another BOM may fall back elsewhere. */
static const struct choice *choice_make(struct bom_cache *cache, const struct choice_key *key,
                                        const struct known_customer *customer,
                                        const struct bom *previous)
{
    struct span bytes = { (const char *)key, sizeof(*key) };
    struct choice *choice = map_find_as(&cache->choices, bytes, struct choice, node);
    if (likely(choice))
        return choice;

    struct draft draft = {
        .cache = cache, .rules = key->rules, .customer = customer, .previous = previous
    };
    choice = arena_new(&cache->arena, struct choice);
    choice->key = *key;
    choice->bom = draft_finish(&draft);
    choice->reason = draft.reason;
    map_add(&cache->choices, &choice->node,
            (struct span){ (const char *)&choice->key, sizeof(choice->key) });
    return choice;
}

/* The same once more, by the long way, for those who ask why. */
static void choice_explain(struct bom_cache *cache, const struct resolve_request *request,
                           const struct choice *choice, const struct known_customer *customer,
                           struct resolve_trace *trace)
{
    trace->n_steps = 0;
    for (unsigned i = 0; i < cache->snapshot->n_rules; i++)
        trace_rule(trace, &cache->snapshot->rules[i], request, customer);
    struct draft draft = { .cache = cache,
                           .rules = choice->key.rules,
                           .customer = customer,
                           .previous = choice->key.previous[0]
                                           ? version_bom(cache, request->previous_bom)
                                           : NULL,
                           .trace = trace };
    draft_finish(&draft);
}

const struct bom *version_resolve(struct bom_cache *cache, const struct resolve_request *request,
                                  enum resolve_reason *ret_reason, struct resolve_trace *trace)
{
    const struct version_snapshot *snapshot = cache->snapshot;
    const struct known_customer *customer =
        map_find_as(&snapshot->base->customers, request->customer, struct known_customer, node);
    struct choice_key key = { .rules = rules_of(snapshot, request, customer),
                              .pin_set = customer ? customer->pin_set : 0 };
    const struct choice *choice = choice_make(cache, &key, customer, NULL);
    if (unlikely(choice->reason == RESOLVE_FALLBACK)) {
        const struct bom *previous = version_bom(cache, request->previous_bom);
        if (previous) {
            memcpy(key.previous, previous->id, BOM_ID_SIZE);
            choice = choice_make(cache, &key, customer, previous);
        }
    }
    if (unlikely(trace))
        choice_explain(cache, request, choice, customer, trace);
    *ret_reason = choice->reason;
    return choice->bom;
}

const char *resolve_reason_name(enum resolve_reason reason)
{
    switch (reason) {
    case RESOLVE_DEFAULT: return "DEFAULT";
    case RESOLVE_SPLIT: return "SPLIT";
    case RESOLVE_TARGETING_MATCH: return "TARGETING_MATCH";
    case RESOLVE_PIN: return "PIN";
    case RESOLVE_FALLBACK: return "FALLBACK";
    }
    return "UNKNOWN";
}
