#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the rollout room holds, and the steps its commands share.
 *
 * Keys: rollout/<id> is the record; rollout/active/<contract or app> exists while a rollout moves
 * that target and holds its id. It comes and goes in the transactions that start and end the
 * rollout, so that two starts that did not see each other cannot both be done.
 *
 * Threads: the control loop.
 */

#include "rollout/rollout.h"

#define ROLLOUT_TEXT_MAX 1024u /* of a text a person writes: by, why */
#define ROLLOUT_SALT_MAX 64u
#define ROLLOUT_ENDED_MAX 500u /* ended ones that are kept */

struct rollouts {
    struct map all;
    struct version_rule rules[RULES_MAX]; /* of the last rollouts_rules() */
    struct cohort_rule *cohorts[RULES_MAX];
    unsigned n_rules, n_cohorts;
};

/* Writes the record, and the targets of one that starts or ends. */
void rollout_put(const struct rollout *rollout, struct txn *txn);
void rollout_targets_put(const struct rollout *rollout, struct txn *txn);
void rollout_targets_delete(const struct rollout *rollout, struct txn *txn);
void rollout_delete(const struct rollout *rollout, struct txn *txn);
void rollout_expect(const struct rollout *rollout, struct txn *txn);

/* The active rollout that moves this contract or app, or NULL. */
const struct rollout *rollout_on_contract(const struct rollouts *rollouts, const char *service,
                                          uint32_t major);
const struct rollout *rollout_on_app(const struct rollouts *rollouts, const char *app);

/* The member that moves the contract, or NULL. */
const struct rollout_member *rollout_member_of(const struct rollout *rollout, const char *service,
                                               uint32_t major);

/* The first member that nobody can be moved to now, because no instance of it is ready; or NULL. */
const struct rollout_member *rollout_unready(const struct rollout_context *context,
                                             const struct rollout *rollout);

struct rollout_cause {
    struct span by, why;
};

/* As rollout_change(), for one that was found. */
int rollout_move(const struct rollout_context *context, const struct rollout *rollout,
                 enum rollout_verb verb, const struct rollout_cause *cause, struct txn *txn,
                 struct problem *problem) MUST_CHECK;

/* The most rules it contributes at any of its steps. */
unsigned rollout_n_rules(const struct rollout *rollout);

/* The rule "first and second", each the name of a cohort, an expression, or empty. NULL with 0
 * when both are empty. Answers: ROLLOUT_INVALID. */
int rollout_cohort(const struct version *version, struct span first, struct span second,
                   struct cohort_rule **ret_rule, struct problem *problem) MUST_CHECK;
