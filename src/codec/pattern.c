/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/pattern.h"

#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STEPS_MAX 20000u /* of one match, wherever in the text it is tried */
#define MEMORY_MAX 64u   /* KiB of one match */

struct pattern {
    struct span text;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint32_t n_groups; /* beside the whole */
    unsigned n_steps;  /* of the last match */
    bool gave_up;
};

/* The library's memory is the arena's: what it frees is freed with the arena. It grows what a match
 * needs by doubling it and keeps it for the next, so what is left behind is no more than that. */
static void *take_memory(size_t size, void *arena)
{
    return arena_alloc(arena, 1, size);
}

static void leave_memory(void *memory, void *arena)
{
    (void)memory, (void)arena;
}

static int refuse(int error, size_t offset, struct problem *problem)
{
    PCRE2_UCHAR why[128];
    if (error == PCRE2_ERROR_BADDATA || pcre2_get_error_message(error, why, sizeof(why)) < 0)
        problem_set(problem, "", "cannot be read");
    else
        problem_set(problem, "", "is wrong at byte %zu: %s", offset + 1, (const char *)why);
    return PATTERN_BAD;
}

/* The library's own limit begins anew wherever in the text a match is tried. So the steps are counted
 * here, where it passes from one item of the expression to the next. */
static int on_step(pcre2_callout_block *block, void *owner)
{
    struct pattern *pattern = owner;
    (void)block;
    return ++pattern->n_steps > STEPS_MAX ? PCRE2_ERROR_MATCHLIMIT : 0;
}

int pattern_parse(struct arena *arena, struct span text, enum pattern_reach reach,
                  struct pattern **ret_pattern, struct problem *problem)
{
    if (text.size > PATTERN_MAX) {
        problem_set(problem, "", "has %zu bytes; at most %u are accepted", text.size, PATTERN_MAX);
        return PATTERN_BAD;
    }
    uint32_t options =
        PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_AUTO_CALLOUT;
    if (reach == PATTERN_WHOLE)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    pcre2_general_context *memory = pcre2_general_context_create(take_memory, leave_memory, arena);
    pcre2_compile_context *compile = pcre2_compile_context_create(memory);
    int error;
    size_t offset;
    pcre2_code *code = pcre2_compile(text.data ? (PCRE2_SPTR)text.data : (PCRE2_SPTR) "", text.size,
                                     options, &error, &offset, compile);
    if (!code)
        return refuse(error, offset, problem);

    struct pattern *pattern = arena_new(arena, struct pattern);
    pattern->text = arena_span_dup(arena, text);
    pattern->code = code;
    pattern->match = pcre2_match_data_create_from_pattern(code, memory);
    pattern->limits = pcre2_match_context_create(memory);
    pcre2_set_match_limit(pattern->limits, STEPS_MAX);
    pcre2_set_heap_limit(pattern->limits, MEMORY_MAX);
    pcre2_set_callout(pattern->limits, on_step, pattern);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &pattern->n_groups);
    *ret_pattern = pattern;
    return 0;
}

bool pattern_matches(struct pattern *pattern, struct span text)
{
    pattern->n_steps = 0;
    int n = pcre2_match(pattern->code, text.data ? (PCRE2_SPTR)text.data : (PCRE2_SPTR) "",
                        text.size, 0, 0, pattern->match, pattern->limits);
    pattern->gave_up = n < 0 && n != PCRE2_ERROR_NOMATCH;
    return n >= 0;
}

struct span pattern_text(const struct pattern *pattern)
{
    return pattern->text;
}

bool pattern_gave_up(const struct pattern *pattern)
{
    return pattern->gave_up;
}

/* --- forms --- */

/* The number at the head of `rest`, of at most two digits. */
static bool take_number(struct span *rest, uint32_t *ret_number)
{
    uint32_t number = 0;
    size_t n = 0;
    while (n < 2 && n < rest->size && rest->data[n] >= '0' && rest->data[n] <= '9')
        number = 10 * number + (uint32_t)(rest->data[n++] - '0');
    *rest = span_from(*rest, n);
    *ret_number = number;
    return n > 0;
}

/* What "$" at the head of `rest` stands for: "$$", "$1" or "${1}". False: none of these. */
static bool take_reference(struct span *rest, bool *ret_is_dollar, uint32_t *ret_group)
{
    *rest = span_from(*rest, 1);
    *ret_is_dollar = span_starts_with(*rest, SPAN("$"));
    if (*ret_is_dollar) {
        *rest = span_from(*rest, 1);
        return true;
    }
    bool is_in_braces = span_starts_with(*rest, SPAN("{"));
    *rest = span_from(*rest, is_in_braces);
    if (!take_number(rest, ret_group) || (is_in_braces && !span_starts_with(*rest, SPAN("}"))))
        return false;
    *rest = span_from(*rest, is_in_braces);
    return true;
}

bool pattern_form_is_valid(const struct pattern *pattern, struct span form)
{
    for (form = span_from(form, span_find(form, '$')); form.size;
         form = span_from(form, span_find(form, '$'))) {
        bool is_dollar;
        uint32_t group = 0;
        if (!take_reference(&form, &is_dollar, &group) || group > pattern->n_groups)
            return false;
    }
    return true;
}

static struct span group_of(const struct pattern *pattern, struct span text, uint32_t group)
{
    const size_t *at = pcre2_get_ovector_pointer(pattern->match) + (size_t)2 * group;
    if (group > pattern->n_groups || at[0] == PCRE2_UNSET)
        return SPAN_NULL;
    return span_first(span_from(text, at[0]), at[1] - at[0]);
}

bool pattern_expand(struct pattern *pattern, struct span text, struct span form, size_t max,
                    char *ret_text, size_t *ret_size)
{
    if (!pattern_matches(pattern, text))
        return false;
    size_t size = 0;
    while (form.size) {
        struct span piece = span_first(form, span_find(form, '$'));
        form = span_from(form, piece.size);
        if (!piece.size) {
            bool is_dollar;
            uint32_t group = 0;
            if (!take_reference(&form, &is_dollar, &group))
                return false;
            piece = is_dollar ? SPAN("$") : group_of(pattern, text, group);
        }
        if (piece.size > max - size)
            return false;
        if (piece.data)
            memcpy(ret_text + size, piece.data, piece.size);
        size += piece.size;
    }
    *ret_size = size;
    return true;
}
