#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Compiled cohort rules: what the snapshot needs of them besides the door's functions.
 *
 * A rule is one block of memory without pointers, so a copy is a memcpy.
 */

#include "version/version.h"

#define COHORT_EXPRESSION_MAX 2000u

/* NULL stays NULL. */
struct cohort_rule *cohort_rule_copy(const struct cohort_rule *rule);

/* As cohort_rule_holds(), over attributes that belong to no struct customer. */
bool cohort_rule_holds_for(const struct cohort_rule *rule, struct span id,
                           const struct instance_meta *attributes, unsigned n_attributes);
