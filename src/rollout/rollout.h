#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rollouts: the state machine that moves customers to new builds and releases, step by step.
 *
 *              step, time            last step done, or promote
 *   running ───────────────► running ─────────────────────────► promoted
 *     │ ▲                       │
 *     ▼ │ pause, resume         │ abort
 *   paused ─────────────────────┴──────────────────────────────► aborted
 *
 * A rollout changes no traffic itself: it contributes rules to the version room. Promoting makes
 * its builds the baselines of their contracts and its releases the defaults of their apps, in the
 * transaction that ends the rollout. Aborting takes the rules away: with the next snapshot every
 * customer is back. Of each contract and each app at most one rollout is active.
 *
 * Owns:     its records, a fold over the store ("rollout/"). Borrows: version and registry per
 *           call. Threads: the control loop; no I/O. Times are wall time, so that a restart goes on.
 */

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/map.h"
#include "base/span.h"
#include "registry/registry.h"
#include "store/store.h"
#include "version/version.h"

#define ROLLOUT_PREFIX "rollout/"
#define ROLLOUT_STEPS_MAX 32u
#define ROLLOUT_ID_SIZE 10u

enum rollout_answer {
    ROLLOUT_OK,
    ROLLOUT_INVALID,
    ROLLOUT_NOT_FOUND,
    ROLLOUT_REFUSED, /* another one is active there, or the state does not allow it */
};

enum rollout_state {
    ROLLOUT_RUNNING,
    ROLLOUT_PAUSED,
    ROLLOUT_PROMOTED,
    ROLLOUT_ABORTED,
};

enum rollout_verb {
    ROLLOUT_STEP,
    ROLLOUT_PAUSE,
    ROLLOUT_RESUME,
    ROLLOUT_PROMOTE,
    ROLLOUT_ABORT,
};

struct rollout_member {
    bool is_release;
    char *owner, *version, *from;
    uint32_t provides[BUILD_PROVIDES_MAX];
    unsigned n_provides;
};

struct rollout_step {
    uint32_t pct_milli;
    nsec hold;    /* 0 = by hand */
    char *cohort; /* name or expression, or empty */
};

struct rollout {
    struct map_node node; /* by id */
    char *id, *salt, *cohort;
    char *by, *why; /* who changed it last, and why it was started */
    char *reason;   /* of the last change; empty before the first */
    enum rule_subject subject;
    struct rollout_member members[RULE_MEMBERS_MAX];
    unsigned n_members;
    struct rollout_step steps[ROLLOUT_STEPS_MAX];
    unsigned n_steps, step;
    enum rollout_state state;
    unix_msec started, step_started, paused, ended;
    uint32_t epoch; /* counts its changes */
    int64_t mod_revision;
};

struct rollouts;

struct rollouts *rollouts_new(void);
struct rollouts *rollouts_free(struct rollouts *rollouts);
DEFINE_CLEANUP(struct rollouts *, rollouts_free);

int rollouts_apply(struct rollouts *rollouts, const struct store_event *event) MUST_CHECK;

const struct map *rollouts_all(const struct rollouts *rollouts);
struct rollout *rollout_find(const struct rollouts *rollouts, struct span id);
const char *rollout_state_name(enum rollout_state state);

static inline bool rollout_is_active(const struct rollout *rollout)
{
    return rollout->state == ROLLOUT_RUNNING || rollout->state == ROLLOUT_PAUSED;
}

/* When the current step ends by time; 0 = by hand. */
unix_msec rollout_step_ends(const struct rollout *rollout);

struct rollout_spec {
    struct {
        bool is_release;
        struct span owner, version;
    } members[RULE_MEMBERS_MAX];
    unsigned n_members;
    struct {
        uint32_t pct_milli;
        nsec hold;
        struct span cohort;
    } steps
        [ROLLOUT_STEPS_MAX]; /* none: 1 and 10 % for 10 min each, 50 % for 30 min, 100 % by hand */
    unsigned n_steps;
    enum rule_subject subject;
    struct span cohort, salt, by, why; /* salt empty: the id */
};

struct rollout_context {
    const struct rollouts *rollouts;
    const struct version *version;
    const struct registry *registry;
    unix_msec wall;
};

/* Starts a rollout; *ret_id is its id. A member build must exist and provide a contract whose
 * baseline is another build; a member release must be published and satisfiable. Shares must not
 * shrink. Answers: ROLLOUT_INVALID, ROLLOUT_NOT_FOUND, ROLLOUT_REFUSED. */
int rollout_start(const struct rollout_context *context, const struct rollout_spec *spec,
                  struct txn *txn, char ret_id[ROLLOUT_ID_SIZE + 1], struct problem *problem)
    MUST_CHECK;

/* Answers: ROLLOUT_NOT_FOUND, ROLLOUT_REFUSED. STEP on the last step promotes. */
int rollout_change(const struct rollout_context *context, struct span id, enum rollout_verb verb,
                   struct span by, struct span why, struct txn *txn, struct problem *problem)
    MUST_CHECK;

/* The changes that are due by time, and the rollouts that start by themselves: builds that wait on
 * a service with auto_start, and when_baseline_gone: promote. One change a call, false when none
 * is due. */
bool rollout_due(const struct rollout_context *context, struct txn *txn);

/* Next time rollout_due() may have work; 0 = only after a change. */
unix_msec rollout_next_due(const struct rollouts *rollouts);

/* The rules of active rollouts, oldest first, at most RULES_MAX; valid until the next apply.
 * Cohorts are looked up in `version`. */
unsigned rollouts_rules(struct rollouts *rollouts, const struct version *version,
                        const struct version_rule **ret_rules);
