#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The share of a rule: which of 100,000 buckets a subject falls into.
 *
 * Threads: any; pure functions.
 */

#include "version/version.h"

/* xxh3 over the salt, 0x1f and the subject, modulo PCT_ALL. */
uint32_t rule_bucket(struct span salt, struct span subject);

/* Whether the subject is in the share. A caller without a name is in none below 100 %: there is
 * nothing to keep it in the same place by. */
bool rule_share_has(struct span salt, uint32_t pct_milli, struct span subject);

/* "1 %", "0.5 %". */
#define PCT_TEXT_MAX 16u
void pct_format(uint32_t pct_milli, char ret_text[PCT_TEXT_MAX]);
