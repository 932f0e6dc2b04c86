/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rules of a snapshot. A rule whose members cannot all be reached now is
 * suspended whole: a customer is moved to all of a train or to nothing of it.
 */

#include "version/snapshot.h"

#include "base/mem.h"
#include "version/cohort.h"
#include "version/state.h"

/* Each returns why the rule must be suspended, or NULL. A release of a suspended rule is added all
 * the same: it can be assigned again at any time, which retirement has to know. */
static const char *release_member_add(struct version_snapshot *snapshot, struct known_rule *known,
                                      const struct rule_member *member)
{
    const struct known_release *release =
        snapshot_release_known(snapshot, span_of(member->owner), span_of(member->version));
    if (!release) {
        return arena_format(&snapshot->arena, "%s %s is not published", member->owner,
                            member->version);
    }

    known->releases[known->n_releases++] = release;
    for (unsigned i = 0; i < release->n_needs; i++) {
        if (snapshot_need_contract(snapshot, &release->needs[i]) == NO_INDEX) {
            return arena_format(&snapshot->arena,
                                "%s %s requires %s %s, and no active contract is that",
                                member->owner, member->version, release->needs[i].service_name,
                                release->needs[i].range_text);
        }
    }
    return NULL;
}

static const char *build_member_add(struct version_snapshot *snapshot, struct bom_build *moves,
                                    unsigned *n_moves, const struct rule_member *member)
{
    uint32_t service = snapshot_service(snapshot, span_of(member->owner));
    uint32_t build = snapshot_build(snapshot, span_of(member->owner), span_of(member->version));
    if (build == NO_INDEX || !snapshot->builds[build].is_ready) {
        return arena_format(&snapshot->arena, "%s %s has no ready instance", member->owner,
                            member->version);
    }

    for (unsigned i = 0; i < member->n_provides; i++) {
        uint32_t contract = snapshot_contract(snapshot, service, member->provides[i]);
        if (contract != NO_INDEX && !snapshot->contracts[contract].is_offline &&
            snapshot->contracts[contract].baseline != build)
            moves[(*n_moves)++] = (struct bom_build){ contract, build };
    }
    return NULL;
}

static void rule_add(struct version_snapshot *snapshot, const struct version_rule *rule)
{
    unsigned n_provides = 0;
    for (unsigned i = 0; i < rule->n_members; i++)
        n_provides += rule->members[i].n_provides;
    struct bom_build *moves = arena_new_array(&snapshot->arena, struct bom_build, n_provides);
    struct known_rule *known = &snapshot->rules[snapshot->n_rules++];
    *known = (struct known_rule){
        .rollout = snapshot_text(snapshot, rule->rollout),
        .salt = span_of(snapshot_text(snapshot, rule->salt)),
        .subject = rule->subject,
        .pct_milli = rule->pct_milli,
        .cohort = cohort_rule_copy(rule->cohort),
        .moves = moves,
        .releases =
            arena_new_array(&snapshot->arena, const struct known_release *, rule->n_members),
    };
    for (unsigned i = 0; i < rule->n_members; i++) {
        const struct rule_member *member = &rule->members[i];
        const char *suspended = member->is_release
                                    ? release_member_add(snapshot, known, member)
                                    : build_member_add(snapshot, moves, &known->n_moves, member);
        if (suspended && !known->suspended)
            known->suspended = suspended;
    }
    snapshot->n_moves += known->n_moves;
}

void snapshot_add_rules(struct version_snapshot *snapshot, const struct version_rule *rules,
                        unsigned n_rules)
{
    for (unsigned i = 0; i < n_rules && i < RULES_MAX; i++)
        rule_add(snapshot, &rules[i]);
}
