/* SPDX-License-Identifier: Apache-2.0 */

/*
 * May a contract go? Declared use first (the default, releases somebody can get, rollouts), then
 * observed use within the window. Every blocker is a sentence that names who stands in the way
 * and what to do next; where there are very many of a kind, the newest are named and the rest
 * counted, so that an answer stays readable.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/timefmt.h"
#include "usage/usage.h"

#define BLOCKERS_NAMED_MAX 100u /* of each kind */
#define N_BLOCKER_KINDS (BLOCKER_ELSEWHERE + 1)

struct verdict_maker {
    const struct retire_context *context;
    const struct snapshot_contract *contract;
    uint32_t index; /* of the contract */
    struct retire_verdict verdict;
    size_t capacity;
    size_t n_found[N_BLOCKER_KINDS];
};

static char *text_or_empty(struct span text)
{
    return mem_span_dup(text.data ? text : SPAN(""));
}

/* The text is the maker's to set. */
static struct blocker *blocker_name(struct verdict_maker *maker, enum blocker_kind kind,
                                    const struct usage_key *who)
{
    struct retire_verdict *verdict = &maker->verdict;
    mem_grow(verdict->blockers, verdict->n_blockers, maker->capacity);
    struct blocker *blocker = &verdict->blockers[verdict->n_blockers++];
    *blocker = (struct blocker){
        .kind = kind,
        .app = text_or_empty(who->app),
        .release = text_or_empty(who->release),
        .customer = text_or_empty(who->customer),
        .caller = text_or_empty(who->caller),
        .member = mem_strdup(""),
    };
    return blocker;
}

/* NULL when enough of its kind are named: it is only counted. */
static struct blocker *blocker_add(struct verdict_maker *maker, enum blocker_kind kind,
                                   const struct usage_key *who)
{
    return ++maker->n_found[kind] > BLOCKERS_NAMED_MAX ? NULL : blocker_name(maker, kind, who);
}

static void add_default(struct verdict_maker *maker)
{
    const struct snapshot_service *service =
        snapshot_service_at(maker->context->snapshot, maker->contract->service);
    if (service->default_contract != maker->index)
        return;

    struct blocker *blocker =
        blocker_add(maker, BLOCKER_DEFAULT_CONTRACT, &(struct usage_key){ 0 });
    blocker->text = mem_format(
        "%.*s is the default contract of %.*s and serves whoever names no "
        "version: make another contract the default",
        SPAN_ARG(maker->contract->name), SPAN_ARG(service->name));
}

static void on_assignable(void *owner, const struct snapshot_release *release, struct span customer,
                          const char *why)
{
    struct verdict_maker *maker = owner;
    if (!release_resolves_to(maker->context->snapshot, release, maker->index))
        return;

    struct usage_key who = { .app = release->app,
                             .release = release->version,
                             .customer = customer };
    struct blocker *blocker = blocker_add(maker, BLOCKER_RELEASE, &who);
    if (!blocker)
        return;
    if (customer.size) {
        blocker->text = mem_format("%.*s %.*s, which requires %.*s, is %s: move the pin of %.*s",
                                   SPAN_ARG(release->app), SPAN_ARG(release->version),
                                   SPAN_ARG(maker->contract->name), why, SPAN_ARG(customer));
    } else {
        blocker->text = mem_format(
            "%.*s %.*s, which requires %.*s, is %s: move its customers to a release "
            "that does not require it",
            SPAN_ARG(release->app), SPAN_ARG(release->version), SPAN_ARG(maker->contract->name),
            why);
    }
}

static bool member_moves(const struct rollout_member *member, const char *service, uint32_t major)
{
    if (member->is_release || strcmp(member->owner, service) != 0)
        return false;
    for (unsigned i = 0; i < member->n_provides; i++) {
        if (member->provides[i] == major)
            return true;
    }
    return false;
}

static void add_rollout(struct verdict_maker *maker, const struct rollout *rollout,
                        const char *service)
{
    for (unsigned i = 0; i < rollout->n_members; i++) {
        const struct rollout_member *member = &rollout->members[i];
        if (!member_moves(member, service, maker->contract->major))
            continue;
        struct blocker *blocker = blocker_add(maker, BLOCKER_ROLLOUT, &(struct usage_key){ 0 });
        if (blocker) {
            blocker->text = mem_format(
                "rollout %s moves %.*s to build %s and is %s: promote or "
                "abort it",
                rollout->id, SPAN_ARG(maker->contract->name), member->version,
                rollout_state_name(rollout->state));
        }
        return;
    }
}

static void add_rollouts(struct verdict_maker *maker)
{
    CLEANUP(mem_freep)
    char *service =
        mem_span_dup(snapshot_service_at(maker->context->snapshot, maker->contract->service)->name);
    map_each (node, rollouts_all(maker->context->rollouts)) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        if (rollout_is_active(rollout))
            add_rollout(maker, rollout, service);
    }
}

/* When a use leaves the window. */
static unix_msec use_ends(const struct verdict_maker *maker, unix_msec last)
{
    return last + (unix_msec)(maker->context->window / NSEC_PER_MSEC);
}

/* "acme", "anonymous visitors", "somebody": who used it, as a sentence begins. */
static const char *row_customer(const struct usage_seen *row)
{
    if (!row->customer[0])
        return "somebody unnamed";
    return strcmp(row->customer, USAGE_ANONYMOUS) == 0 ? "anonymous visitors" : row->customer;
}

static char *used_text(const struct verdict_maker *maker, const struct usage_seen *row)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    char last[TIME_TEXT_MAX], ends[TIME_TEXT_MAX];
    time_format(row->last, last);
    time_format(use_ends(maker, row->last), ends);

    bool is_other = strcmp(row->customer, USAGE_OTHER) == 0;
    if (is_other) {
        buf_printf(&text, "customers that no room was left to name used %.*s",
                   SPAN_ARG(maker->contract->name));
    } else {
        buf_printf(&text, "%s used %.*s", row_customer(row), SPAN_ARG(maker->contract->name));
    }
    if (row->release[0])
        buf_printf(&text, " through %s %s", row->app, row->release);
    if (row->caller[0])
        buf_printf(&text, ", called by %s", row->caller);
    buf_printf(&text, ", %" PRIu64 " %s, last at %s: ", row->n, row->n == 1 ? "time" : "times",
               last);

    if (is_other) {
        buf_puts(&text, "find them in the access log");
    } else if (row->release[0]) {
        buf_printf(&text, "see that no page of %s %s is open", row->app, row->release);
    } else if (row->caller[0]) {
        buf_printf(&text, "move %s to another contract", row->caller);
    } else {
        buf_puts(&text, "find the caller, which sends no Sarsen-Caller");
    }
    buf_printf(&text, "; unused, this stops blocking at %s", ends);
    return buf_take_text(&text);
}

static void add_used(struct verdict_maker *maker)
{
    unix_msec window = (unix_msec)(maker->context->window / NSEC_PER_MSEC);
    struct usage_filter filter = {
        .contract = maker->contract->name,
        .since = maker->context->wall - window + 1,
        .by = USAGE_BY_RELEASE | USAGE_BY_CUSTOMER | USAGE_BY_CALLER,
    };
    struct usage_report report = usage_report(maker->context->usage, &filter);

    if (report.n_rows)
        maker->verdict.safe_after = use_ends(maker, report.rows[0].last);
    for (size_t i = 0; i < report.n_rows; i++) {
        const struct usage_seen *row = &report.rows[i];
        bool is_other = strcmp(row->customer, USAGE_OTHER) == 0;
        struct usage_key who = {
            .app = span_of(row->app),
            .release = span_of(row->release),
            .customer = span_of(row->customer),
            .caller = span_of(row->caller),
        };
        struct blocker *blocker =
            blocker_add(maker, is_other ? BLOCKER_UNKNOWN : BLOCKER_USED, &who);
        if (!blocker)
            continue;
        blocker->n = row->n;
        blocker->last = row->last;
        blocker->text = used_text(maker, row);
    }
    usage_report_free(&report);
}

/* What another member has seen, as far as it has told; the ledger with the rest is its own. */
static char *elsewhere_text(const struct verdict_maker *maker, const struct usage_last *row,
                            unix_msec last)
{
    const struct owner *owner = map_find_as(registry_owners(maker->context->registry),
                                            span_of(row->member), struct owner, node);
    char at[TIME_TEXT_MAX], ends[TIME_TEXT_MAX];
    time_format(row->last, at);
    time_format(use_ends(maker, last), ends);
    CLEANUP(mem_freep) char *ask = NULL;
    if (!owner || !owner->api) {
        ask = mem_strdup(
            "that member is gone, and the ledger that tells by whom is in its "
            "data directory");
    } else if (registry_reaches(maker->context->registry, owner)) {
        ask = mem_format("`sarsen usage %s --address %s` tells by whom", row->contract, owner->api);
    } else {
        ask = mem_format("`sarsen usage %s` at host %s tells by whom", row->contract, row->host);
    }
    return mem_format(
        "%s was used at the member %s on %s, last at %s: %s; unused, this stops "
        "blocking at %s",
        row->contract, row->member, row->host, at, ask, ends);
}

static void add_elsewhere(struct verdict_maker *maker)
{
    const struct usage *usage = maker->context->usage;
    unix_msec window = (unix_msec)(maker->context->window / NSEC_PER_MSEC);
    map_each (node, usage_lasts(usage)) {
        const struct usage_last *row = container_of(node, struct usage_last, node);
        unix_msec last = row->last + USAGE_SHARE_EVERY;
        bool is_ours = usage_self(usage) && strcmp(row->member, usage_self(usage)) == 0;
        if (is_ours || last <= maker->context->wall - window ||
            !span_is(maker->contract->name, row->contract))
            continue;
        if (use_ends(maker, last) > maker->verdict.safe_after)
            maker->verdict.safe_after = use_ends(maker, last);
        struct blocker *blocker = blocker_add(maker, BLOCKER_ELSEWHERE, &(struct usage_key){ 0 });
        if (!blocker)
            continue;
        free(blocker->member);
        blocker->member = mem_strdup(row->member);
        blocker->last = row->last;
        blocker->text = elsewhere_text(maker, row, last);
    }
}

/* Those that were not named, one sentence a kind. */
static void add_rest(struct verdict_maker *maker)
{
    static const char *const nouns[N_BLOCKER_KINDS] = {
        [BLOCKER_RELEASE] = "pins, defaults and rollouts of releases require",
        [BLOCKER_ROLLOUT] = "rollouts move",
        [BLOCKER_USED] = "customers and callers used",
        [BLOCKER_UNKNOWN] = "releases and callers of unnamed customers used",
        [BLOCKER_ELSEWHERE] = "members saw somebody use",
    };
    /* A service has one default contract, so there is never more of that kind. */
    for (unsigned kind = BLOCKER_RELEASE; kind < N_BLOCKER_KINDS; kind++) {
        if (maker->n_found[kind] <= BLOCKERS_NAMED_MAX)
            continue;
        size_t n = maker->n_found[kind] - BLOCKERS_NAMED_MAX;
        struct blocker *blocker = blocker_name(maker, kind, &(struct usage_key){ 0 });
        blocker->text =
            mem_format("%zu more %s %.*s", n, nouns[kind], SPAN_ARG(maker->contract->name));
    }
}

struct retire_verdict usage_can_retire(const struct retire_context *context, uint32_t contract)
{
    struct verdict_maker maker = {
        .context = context,
        .contract = snapshot_contract_at(context->snapshot, contract),
        .index = contract,
    };
    add_default(&maker);
    snapshot_each_assignable(context->snapshot, on_assignable, &maker);
    add_rollouts(&maker);
    add_used(&maker);
    add_elsewhere(&maker);
    add_rest(&maker);
    return maker.verdict;
}

void retire_verdict_free(struct retire_verdict *verdict)
{
    for (size_t i = 0; i < verdict->n_blockers; i++) {
        struct blocker *blocker = &verdict->blockers[i];
        free(blocker->text);
        free(blocker->app);
        free(blocker->release);
        free(blocker->customer);
        free(blocker->caller);
        free(blocker->member);
    }
    free(verdict->blockers);
    *verdict = (struct retire_verdict){ 0 };
}

const char *blocker_kind_name(enum blocker_kind kind)
{
    static const char *const names[N_BLOCKER_KINDS] = {
        [BLOCKER_DEFAULT_CONTRACT] = "default-contract",
        [BLOCKER_RELEASE] = "release",
        [BLOCKER_ROLLOUT] = "rollout",
        [BLOCKER_USED] = "used",
        [BLOCKER_UNKNOWN] = "unknown",
        [BLOCKER_ELSEWHERE] = "used-elsewhere",
    };
    return names[kind];
}
