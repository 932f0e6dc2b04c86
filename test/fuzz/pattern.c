/* SPDX-License-Identifier: Apache-2.0 */

/* An expression, a form of its groups and a text, in three lines. A form that is valid expands
 * whenever there is a match and room, and what is written is never more than the room. */

#include "codec/pattern.h"

#include "property.h"

#define ROOM 64u

static void check_expanded(struct pattern *pattern, struct span form, struct span text)
{
    char memory[ROOM], large[65536];
    size_t size = 0, all = 0;
    bool is_valid = pattern_form_is_valid(pattern, form);
    bool does_match = pattern_matches(pattern, text);
    bool fits_all = pattern_expand(pattern, text, form, sizeof(large), large, &all);
    bool fits = pattern_expand(pattern, text, form, sizeof(memory), memory, &size);
    PROPERTY(!fits || (size <= sizeof(memory) && fits_all && all == size));
    PROPERTY(!fits || memcmp(memory, large, size) == 0);
    PROPERTY(does_match || !fits_all);
    bool has_room = form.size * (text.size + 1) <= sizeof(large);
    PROPERTY(!(is_valid && does_match && has_room) || fits_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct span expression = span_cut(&rest, '\n'), form = span_cut(&rest, '\n');
    struct arena arena = { 0 };
    struct problem problem = { 0 };
    for (unsigned reach = PATTERN_ANYWHERE; reach <= PATTERN_WHOLE; reach++) {
        struct pattern *pattern;
        if (pattern_parse(&arena, expression, (enum pattern_reach)reach, &pattern, &problem))
            PROPERTY(problem.text[0]);
        else
            check_expanded(pattern, form, rest);
    }
    arena_fini(&arena);
    return 0;
}
