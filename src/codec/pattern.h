#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Regular expressions, as PCRE2 has them, over bytes: for what operators and clients write.
 *
 * How much work one match may be, and how much memory it may take, has a limit: an expression that
 * would go on for long ("(a+)+$") does not match. The limit is of all the places together where a match
 * is tried. There is no recompiling, no machine code.
 *
 * Owns:     nothing; a pattern lives in its arena. Borrows: nothing.
 * Threads:  a pattern is used by one at a time.
 * Cost:     0.3 ms for what comes to the limit, 20 ms where each step is a long one, over 4 KiB of
 *           text and made for it; up to 130 KiB of the arena for what a match needs, used again
 *           by the next.
 * Source:   pcre2api(3), pcre2syntax(3).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"

#define PATTERN_MAX 512u /* bytes of an expression */
#define PATTERN_ACCEPTS "a regular expression of at most 512 bytes"

struct pattern;

enum pattern_reach {
    PATTERN_ANYWHERE, /* it matches where a part of the text does */
    PATTERN_WHOLE,    /* where all of it does */
};

enum pattern_answer {
    PATTERN_OK,
    PATTERN_BAD, /* the problem's text says what is wrong, and where */
};

int pattern_parse(struct arena *arena, struct span text, enum pattern_reach reach,
                  struct pattern **ret_pattern, struct problem *problem) MUST_CHECK;

/* As it was written. */
struct span pattern_text(const struct pattern *pattern);

bool pattern_matches(struct pattern *pattern, struct span text);
/* Whether the last match came to a limit, so that it is not known whether the text matches. */
bool pattern_gave_up(const struct pattern *pattern);

/* Whether every group that a form names is one of the pattern's: "1.$2", "${1}0"; "$$" is a dollar,
 * "$0" all that matched. A group that took no part in a match is empty. */
bool pattern_form_is_valid(const struct pattern *pattern, struct span form);

/* Writes the form of a match to `ret_text`. False: there is no match, or it has more than `max`
 * bytes. */
bool pattern_expand(struct pattern *pattern, struct span text, struct span form, size_t max,
                    char *ret_text, size_t *ret_size);
