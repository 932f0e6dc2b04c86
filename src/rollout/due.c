/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What rollouts do by themselves. Every change found here empties its cause, or the loop that asks
 * until nothing is due would never end: a step that cannot be taken pauses its rollout, and a
 * build that was rolled out once is not started again.
 */

#include <stdio.h>

#include "base/log.h"
#include "rollout/rollout.h"
#include "rollout/state.h"

#define BY_ITSELF SPAN("sarsen")

/* Moves the rollout, or pauses it with the reason. */
static bool advance(const struct rollout_context *context, const struct rollout *rollout,
                    enum rollout_verb verb, const char *why, struct txn *txn)
{
    struct problem problem = { 0 };
    struct rollout_cause cause = { BY_ITSELF, span_of(why) };
    int r = rollout_move(context, rollout, verb, &cause, txn, &problem);
    if (!r) {
        log_info("rollout", "moved", "rollout", rollout->id, "why", why);
        return true;
    }
    txn_clear(txn);
    char text[sizeof(problem.path) + sizeof(problem.text)];
    snprintf(text, sizeof(text), "%s%s%s", problem.path, problem.path[0] ? " " : "", problem.text);
    cause.why = span_of(text);
    r = rollout_move(context, rollout, ROLLOUT_PAUSE, &cause, txn, NULL);
    log_warn("rollout", "paused", "rollout", rollout->id, "why", text);
    return !r;
}

static bool step_due(const struct rollout_context *context, struct txn *txn)
{
    map_each (node, &context->rollouts->all) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        unix_msec ends = rollout_step_ends(rollout);
        if (!ends || ends > context->wall)
            continue;
        char why[160];
        const struct rollout_member *unready = rollout_unready(context, rollout);
        if (unready) {
            /* Nobody has been on it for a while: its share proves nothing. */
            snprintf(why, sizeof(why), "%.60s %.60s has no ready instance", unready->owner,
                     unready->version);
            return advance(context, rollout, ROLLOUT_PAUSE, why, txn);
        }
        snprintf(why, sizeof(why), "the time of step %u of %u is over", rollout->step + 1,
                 rollout->n_steps);
        return advance(context, rollout, ROLLOUT_STEP, why, txn);
    }
    return false;
}

static const struct build *build_of(const struct service *service, const char *version)
{
    return build_find(service, span_of(version));
}

/* The highest build with a ready instance that provides the contract, or NULL. */
static const struct build *highest_ready(const struct service *service, uint32_t major)
{
    const struct build *highest = NULL;
    map_each (node, &service->builds) {
        const struct build *build = container_of(node, struct build, node);
        if (build->n_ready && build_provides(build, major) &&
            (!highest || semver_compare(&build->semver, &highest->semver) > 0))
            highest = build;
    }
    return highest;
}

/* The contract's service when its builds wait for rollouts, or NULL. */
static const struct service *service_of(const struct rollout_context *context,
                                        const struct contract *contract)
{
    if (contract->state != CONTRACT_ACTIVE || !contract->baseline[0])
        return NULL;
    const struct service *service = service_find(context->registry, span_of(contract->service));
    return service && !service->shares_builds ? service : NULL;
}

/* The build that customers are being moved to anyway comes before one that nobody has tried. */
static bool baseline_replace(const struct rollout_context *context, const struct service *service,
                             const struct contract *contract, struct txn *txn)
{
    char why[160];
    snprintf(why, sizeof(why), "the baseline %.100s has no ready instance", contract->baseline);
    const struct rollout *rollout =
        rollout_on_contract(context->rollouts, contract->service, contract->major);
    if (rollout && rollout->state == ROLLOUT_RUNNING && !rollout_unready(context, rollout))
        return advance(context, rollout, ROLLOUT_PROMOTE, why, txn);

    const struct build *build = highest_ready(service, contract->major);
    if (!build)
        return false;
    int r = contract_set_baseline(context->version, context->registry, span_of(contract->service),
                                  contract->major, span_of(build->version), txn, NULL);
    if (r) {
        txn_clear(txn);
        return false;
    }
    log_warn("rollout", "baseline replaced", "contract", contract->name, "build", build->version,
             "why", why);
    return true;
}

static bool baseline_due(const struct rollout_context *context, struct txn *txn)
{
    map_each (node, version_contracts(context->version)) {
        const struct contract *contract = container_of(node, struct contract, node);
        const struct service *service = service_of(context, contract);
        if (!service || !service->promotes_when_baseline_gone)
            continue;
        const struct build *baseline = build_of(service, contract->baseline);
        if (baseline && baseline->n_ready)
            continue;
        if (baseline_replace(context, service, contract, txn))
            return true;
    }
    return false;
}

/* Aborted: somebody has seen why. Promoted: somebody went back since. Either way it is theirs. */
static bool was_rolled_out(const struct rollout_context *context, const struct build *build)
{
    map_each (node, &context->rollouts->all) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        for (unsigned i = 0; i < rollout->n_members; i++) {
            const struct rollout_member *member = &rollout->members[i];
            if (!member->is_release && strcmp(member->owner, build->service->name) == 0 &&
                strcmp(member->version, build->version) == 0)
                return true;
        }
    }
    return false;
}

static bool start(const struct rollout_context *context, const struct build *build, struct txn *txn)
{
    struct rollout_spec spec = {
        .n_members = 1,
        .by = BY_ITSELF,
        .why = SPAN("the service says auto_start"),
    };
    spec.members[0].owner = span_of(build->service->name);
    spec.members[0].version = span_of(build->version);
    char id[ROLLOUT_ID_SIZE + 1];
    struct problem problem = { 0 };
    if (rollout_start(context, &spec, txn, id, &problem)) {
        /* Another contract it provides is being moved, or the room is full: tried again after the
         * next change. */
        txn_clear(txn);
        log_debug("rollout", "not started", "build", build->version, "why", problem.text);
        return false;
    }
    log_info("rollout", "started", "rollout", id, "service", build->service->name, "build",
             build->version);
    return true;
}

/* Only the highest waiting build: one below it that was passed over is not what anybody wants. */
static bool start_due(const struct rollout_context *context, struct txn *txn)
{
    map_each (node, version_contracts(context->version)) {
        const struct contract *contract = container_of(node, struct contract, node);
        const struct service *service = service_of(context, contract);
        if (!service || !service->auto_starts ||
            rollout_on_contract(context->rollouts, contract->service, contract->major))
            continue;
        struct semver baseline;
        const struct build *build = highest_ready(service, contract->major);
        if (!build || semver_parse(span_of(contract->baseline), &baseline) ||
            semver_compare(&build->semver, &baseline) <= 0 || was_rolled_out(context, build))
            continue;
        if (start(context, build, txn))
            return true;
    }
    return false;
}

bool rollout_due(const struct rollout_context *context, struct txn *txn)
{
    return step_due(context, txn) || baseline_due(context, txn) || start_due(context, txn);
}
