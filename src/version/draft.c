/* SPDX-License-Identifier: Apache-2.0 */

#include "version/draft.h"

#include "codec/timefmt.h"
#include "version/trace.h"

struct accepted_need {
    const struct known_release *release;
    const struct snapshot_need *need;
    uint32_t next;
};

/* Why an app gets a release. */
struct wish {
    const struct known_release *release;
    enum resolve_reason reason;
};

static void reason_raise(struct draft *draft, enum resolve_reason reason)
{
    if (reason > draft->reason)
        draft->reason = reason;
}

static enum resolve_reason rule_reason(const struct known_rule *rule)
{
    return rule->cohort ? RESOLVE_TARGETING_MATCH : RESOLVE_SPLIT;
}

static const struct known_pin *pin_of(const struct draft *draft, uint32_t app)
{
    for (unsigned i = 0; draft->customer && i < draft->customer->n_pins; i++) {
        if (draft->customer->pins[i].app == app)
            return &draft->customer->pins[i];
    }
    return NULL;
}

/* The release of an app that a rule moves customers to, or NULL. */
static const struct known_release *rule_release(const struct known_rule *rule, struct span app)
{
    for (unsigned i = 0; i < rule->n_releases; i++) {
        if (span_equals(rule->releases[i]->release.app, app))
            return rule->releases[i];
    }
    return NULL;
}

static void trace_pin(struct draft *draft, const struct known_pin *pin)
{
    char expires[TIME_TEXT_MAX] = "";
    if (pin->expires)
        time_format(pin->expires, expires);
    trace_add(draft->trace, "pin", pin->release->release.app,
              "%.*s %.*s: the customer is pinned%s%s", SPAN_ARG(pin->release->release.app),
              SPAN_ARG(pin->release->release.version), expires[0] ? " until " : ", without expiry",
              expires);
}

/* A pin, else the first rule that moves the app, else the default. */
static struct wish wish_of(struct draft *draft, uint32_t index)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    const struct known_app *app = &snapshot->base->apps[index];
    const struct known_pin *pin = pin_of(draft, index);
    if (pin) {
        trace_pin(draft, pin);
        return (struct wish){ pin->release, RESOLVE_PIN };
    }
    for (unsigned i = 0; i < snapshot->n_rules; i++) {
        const struct known_rule *rule = &snapshot->rules[i];
        const struct known_release *release =
            draft->rules >> i & 1 ? rule_release(rule, app->name) : NULL;
        if (release) {
            trace_add(draft->trace, "rollout", app->name, "%.*s %.*s: moved by rollout %s",
                      SPAN_ARG(app->name), SPAN_ARG(release->release.version), rule->rollout);
            return (struct wish){ release, rule_reason(rule) };
        }
    }
    if (app->default_release) {
        trace_add(draft->trace, "default", app->name, "%.*s %.*s: the default of the app",
                  SPAN_ARG(app->name), SPAN_ARG(app->default_release->release.version));
    }
    return (struct wish){ app->default_release, RESOLVE_DEFAULT };
}

/* Chains are short: as many links as apps that require the service. */
static bool all_accept(const struct draft *draft, uint32_t service, uint32_t major)
{
    for (uint32_t i = draft->first_accepted[service]; i != NO_INDEX; i = draft->accepted[i].next) {
        if (!major_range_has(&draft->accepted[i].need->range, major))
            return false;
    }
    return true;
}

/* The highest contract that this need and all accepted ones can live with, or NO_INDEX. */
static uint32_t contract_of_need(const struct draft *draft, const struct snapshot_need *need)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    uint32_t service = need_service(snapshot, need);
    if (service == NO_INDEX)
        return NO_INDEX;

    const struct known_service *known = &snapshot->services[service];
    for (uint32_t i = known->contracts; i < known->contracts + known->n_contracts; i++) {
        const struct snapshot_contract *contract = &snapshot->contracts[i];
        if (snapshot_is_routable(contract) && major_range_has(&need->range, contract->major) &&
            all_accept(draft, service, contract->major))
            return i;
    }
    return NO_INDEX;
}

static void trace_unsatisfied(struct draft *draft, const struct known_release *release,
                              const struct snapshot_need *need)
{
    struct span app = release->release.app;
    uint32_t alone = snapshot_need_contract(draft->cache->snapshot, need);
    if (alone == NO_INDEX) {
        trace_add(draft->trace, "requirement", app,
                  "%.*s %.*s requires %s %s, and no active contract is that", SPAN_ARG(app),
                  SPAN_ARG(release->release.version), need->service_name, need->range_text);
        return;
    }
    const struct known_release *other =
        draft->accepted[draft->first_accepted[need_service(draft->cache->snapshot, need)]].release;
    trace_add(draft->trace, "requirement", app,
              "%.*s %.*s requires %s %s, which does not go together with %.*s %.*s", SPAN_ARG(app),
              SPAN_ARG(release->release.version), need->service_name, need->range_text,
              SPAN_ARG(other->release.app), SPAN_ARG(other->release.version));
}

/* All or nothing: the needs are recorded when every one of them can be met. */
static bool release_accept(struct draft *draft, const struct known_release *release)
{
    for (unsigned i = 0; i < release->n_needs; i++) {
        if (contract_of_need(draft, &release->needs[i]) == NO_INDEX) {
            trace_unsatisfied(draft, release, &release->needs[i]);
            return false;
        }
    }
    for (unsigned i = 0; i < release->n_needs; i++) {
        const struct snapshot_need *need = &release->needs[i];
        uint32_t service = need_service(draft->cache->snapshot, need);
        draft->parts.contract_of[service] = contract_of_need(draft, need);
        draft->accepted[draft->n_accepted] =
            (struct accepted_need){ release, need, draft->first_accepted[service] };
        draft->first_accepted[service] = draft->n_accepted++;
    }
    draft->parts.releases[draft->parts.n_releases++] = &release->release;
    return true;
}

/* Previous and default are tried in this order, because staying where one is surprises least. */
static void draft_app(struct draft *draft, uint32_t index)
{
    const struct known_app *app = &draft->cache->snapshot->base->apps[index];
    struct wish wish = wish_of(draft, index);
    if (!wish.release)
        return; /* nothing of the app is for everybody yet */
    if (release_accept(draft, wish.release)) {
        reason_raise(draft, wish.reason);
        return;
    }

    reason_raise(draft, RESOLVE_FALLBACK);
    const struct snapshot_release *before =
        draft->previous ? bom_release(draft->previous, app->name) : NULL;
    const struct known_release *previous = before ? known_release_of(before) : NULL;
    if (previous && previous != wish.release && release_accept(draft, previous)) {
        trace_add(draft->trace, "fallback", app->name, "%.*s %.*s: what the customer had before",
                  SPAN_ARG(app->name), SPAN_ARG(previous->release.version));
        return;
    }
    const struct known_release *standard = app->default_release;
    if (standard && standard != wish.release && standard != previous &&
        release_accept(draft, standard)) {
        trace_add(draft->trace, "fallback", app->name, "%.*s %.*s: the default of the app",
                  SPAN_ARG(app->name), SPAN_ARG(standard->release.version));
        return;
    }
    trace_add(draft->trace, "fallback", app->name,
              "left out: no release of %.*s can be served to this customer", SPAN_ARG(app->name));
}

static void trace_contracts(struct draft *draft)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    for (unsigned i = 0; draft->trace && i < snapshot->n_services; i++) {
        uint32_t service = snapshot->services_sorted[i];
        uint32_t index = draft->parts.contract_of[service];
        if (index == NO_INDEX)
            continue;
        const struct accepted_need *first = &draft->accepted[draft->first_accepted[service]];
        trace_add(draft->trace, "requirement", snapshot->services[service].service.name,
                  "%.*s: the highest active contract that %.*s %.*s (%s)%s accepts",
                  SPAN_ARG(snapshot->contracts[index].name), SPAN_ARG(first->release->release.app),
                  SPAN_ARG(first->release->release.version), first->need->range_text,
                  first->next == NO_INDEX ? "" : " and every other release");
    }
}

static bool is_moved(const struct draft *draft, uint32_t contract)
{
    for (unsigned i = 0; i < draft->parts.n_builds; i++) {
        if (draft->parts.builds[i].contract == contract)
            return true;
    }
    return false;
}

/* The first rule that moves a contract wins, as it does for releases. */
static void draft_rule(struct draft *draft, const struct known_rule *rule)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    for (unsigned i = 0; i < rule->n_moves; i++) {
        const struct bom_build *move = &rule->moves[i];
        if (is_moved(draft, move->contract))
            continue;
        draft->parts.builds[draft->parts.n_builds++] = *move;
        reason_raise(draft, rule_reason(rule));
        trace_add(draft->trace, "rollout", snapshot->contracts[move->contract].name,
                  "%.*s is served by %.*s %.*s: moved by rollout %s",
                  SPAN_ARG(snapshot->contracts[move->contract].name),
                  SPAN_ARG(snapshot->builds[move->build].build.service),
                  SPAN_ARG(snapshot->builds[move->build].build.version), rule->rollout);
    }
}

static void trace_baselines(struct draft *draft)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    for (unsigned i = 0; draft->trace && i < snapshot->n_services; i++) {
        uint32_t index = draft->parts.contract_of[snapshot->services_sorted[i]];
        if (index == NO_INDEX || is_moved(draft, index))
            continue;
        const struct known_build *build = &snapshot->builds[snapshot->contracts[index].baseline];
        trace_add(draft->trace, "baseline", snapshot->contracts[index].name,
                  "%.*s is served by its baseline, %.*s %.*s",
                  SPAN_ARG(snapshot->contracts[index].name), SPAN_ARG(build->build.service),
                  SPAN_ARG(build->build.version));
    }
}

static void draft_start(struct draft *draft)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    draft->parts.releases =
        arena_new_array(&draft->arena, const struct snapshot_release *, snapshot->base->n_apps);
    draft->parts.contract_of = arena_new_array(&draft->arena, uint32_t, snapshot->n_services);
    draft->first_accepted = arena_new_array(&draft->arena, uint32_t, snapshot->n_services);
    memset(draft->parts.contract_of, 0xff, snapshot->n_services * sizeof(uint32_t));
    memset(draft->first_accepted, 0xff, snapshot->n_services * sizeof(uint32_t));
    draft->parts.builds = arena_new_array(&draft->arena, struct bom_build, snapshot->n_moves);
    draft->accepted = arena_new_array(&draft->arena, struct accepted_need,
                                      (size_t)snapshot->base->n_apps * RELEASE_REQUIRES_MAX);
    draft->reason = RESOLVE_DEFAULT;
}

const struct bom *draft_finish(struct draft *draft)
{
    const struct version_snapshot *snapshot = draft->cache->snapshot;
    draft_start(draft);
    for (unsigned i = 0; i < snapshot->base->n_apps; i++)
        draft_app(draft, i);
    trace_contracts(draft);
    for (unsigned i = 0; i < snapshot->n_rules; i++) {
        if (draft->rules >> i & 1)
            draft_rule(draft, &snapshot->rules[i]);
    }
    trace_baselines(draft);
    const struct bom *bom = bom_of_parts(draft->cache, &draft->parts);
    arena_fini(&draft->arena);
    return bom;
}
