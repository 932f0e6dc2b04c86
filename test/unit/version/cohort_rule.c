/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "version/cohort.h"

static char tier[] = "tier", internal[] = "internal", country[] = "country", ch[] = "ch",
            plan[] = "plan.name", pro[] = "pro", empty_key[] = "empty", empty[] = "";

static struct instance_meta attributes[] = {
    { tier, internal }, { country, ch }, { plan, pro }, { empty_key, empty }
};

TEST(expressions_hold_for_whom_they_say)
{
    static const struct {
        const char *expression;
        bool holds, holds_for_nobody; /* for acme with its attributes; for an id alone */
    } cases[] = {
        { "tier == 'internal'", true, false },
        { "tier == \"internal\"", true, false },
        { "tier=='external'", false, false },
        { "tier != 'internal'", false, true },
        { "!(tier == 'internal')", false, true },
        { "!tier == 'internal'", false, true },
        { "!!tier == 'internal'", true, false },
        { "country in ['at', 'ch']", true, false },
        { "country in ['at']", false, false },
        { "country not in ['at','de']", true, true },
        { "plan.name == 'pro'", true, false },
        { "absent == ''", true, true },
        { "empty == ''", true, true },
        { "tier == ''", false, true },
        { "id == 'acme'", true, true },
        { "id in ['globex', 'acme']", true, true },
        { "tier == 'internal' && country == 'at' || plan.name == 'pro'", true, false },
        { "plan.name == 'pro' || tier == 'x' && country == 'x'", true, false },
        { "(plan.name == 'pro' || tier == 'x') && country == 'x'", false, false },
        { "tier == 'internal'&&country=='ch'&&id=='acme'", true, false },
        { " \t tier\n== 'internal' ", true, false },
        { "tier == 'it\\'s'", false, false },
        { "inn == '' && notx == '' && in == ''", true, true },
    };
    struct span id = SPAN("acme");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cohort_rule *rule = NULL;
        struct problem problem = { 0 };
        if (cohort_rule_parse(span_of(cases[i].expression), &rule, &problem))
            printf("# %s: %s\n", cases[i].expression, problem.text);
        CHECK(rule);
        CHECK_INT(cohort_rule_holds_for(rule, id, attributes, 4), cases[i].holds);
        CHECK_INT(cohort_rule_holds(rule, id, NULL), cases[i].holds_for_nobody);

        struct cohort_rule *copy = cohort_rule_copy(rule);
        cohort_rule_free(rule);
        CHECK_INT(cohort_rule_holds_for(copy, id, attributes, 4), cases[i].holds);
        cohort_rule_free(copy);
    }
}

TEST(escapes_in_texts_stand_for_themselves)
{
    char key[] = "name", value[] = "it's \"x\\";
    struct instance_meta names[] = { { key, value } };
    struct cohort_rule *rule = NULL;
    CHECK_INT(cohort_rule_parse(SPAN("name == 'it\\'s \\\"x\\\\'"), &rule, NULL), 0);
    CHECK(cohort_rule_holds_for(rule, SPAN("acme"), names, 1));
    cohort_rule_free(rule);
}

TEST(a_bad_expression_is_refused_with_its_position)
{
    static const struct {
        const char *expression;
        unsigned position;
    } cases[] = {
        { "", 1 },
        { "   ", 4 },
        { "tier", 5 },
        { "tier = 'x'", 6 },
        { "tier == x", 9 },
        { "tier == 'x", 11 },
        { "tier == 'x\\", 12 },
        { "tier == 'x' &&", 15 },
        { "tier == 'x' & y == 'z'", 13 },
        { "tier == 'x' y == 'z'", 13 },
        { "(tier == 'x'", 13 },
        { "tier == 'x')", 12 },
        { "tier in 'x'", 9 },
        { "tier in []", 10 },
        { "tier in ['x',]", 14 },
        { "tier in ['x' 'y']", 14 },
        { "tier not 'x'", 10 },
        { "== 'x'", 1 },
        { "3 == 'x'", 1 },
        { "!", 2 },
        { "tier === 'x'", 8 },
        { "tier == 'x' # y", 13 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cohort_rule *rule = NULL;
        struct problem problem = { 0 };
        CHECK_INT(cohort_rule_parse(span_of(cases[i].expression), &rule, &problem),
                  VERSION_INVALID);
        CHECK(!rule);
        CHECK_STR(problem.path, "expression");
        const char *at = strstr(problem.text, "position ");
        CHECK(at);
        unsigned position = (unsigned)strtoul(at + strlen("position "), NULL, 10);
        if (position != cases[i].position)
            printf("# %s: %s\n", cases[i].expression, problem.text);
        CHECK_INT(position, cases[i].position);
    }
}

TEST(every_prefix_of_an_expression_is_refused_or_read_whole)
{
    struct span whole =
        SPAN("tier == 'internal' && country in ['ch', 'at'] || !(plan != \"free\")");
    for (size_t size = 0; size <= whole.size; size++) {
        struct cohort_rule *rule = NULL;
        /* A copy of just that size, so that reading on is seen. */
        char *prefix = malloc(size ? size : 1);
        memcpy(prefix, whole.data, size);
        int r = cohort_rule_parse((struct span){ prefix, size }, &rule, NULL);
        struct span text = span_trim(span_first(whole, size));
        bool is_whole = span_is(text, "tier == 'internal'") ||
                        span_is(text, "tier == 'internal' && country in ['ch', 'at']") ||
                        size == whole.size;
        CHECK_INT(r, is_whole ? 0 : VERSION_INVALID);
        cohort_rule_free(rule);
        free(prefix);
    }
}

TEST(limits_of_expressions_are_answers)
{
    static char text[COHORT_EXPRESSION_MAX + 2];
    struct cohort_rule *rule = NULL;
    memset(text, '!', 100);
    CHECK_INT(cohort_rule_parse((struct span){ text, 100 }, &rule, NULL), VERSION_INVALID);
    memset(text, '(', sizeof(text));
    CHECK_INT(cohort_rule_parse((struct span){ text, COHORT_EXPRESSION_MAX }, &rule, NULL),
              VERSION_INVALID);
    memset(text, ' ', sizeof(text));
    text[sprintf(text, "a==''")] = ' ';
    CHECK_INT(cohort_rule_parse((struct span){ text, sizeof(text) - 1 }, &rule, NULL),
              VERSION_INVALID);
    CHECK_INT(cohort_rule_parse((struct span){ text, COHORT_EXPRESSION_MAX }, &rule, NULL), 0);
    rule = cohort_rule_free(rule);

    size_t size = 0;
    while (size + 7 < COHORT_EXPRESSION_MAX)
        size += (size_t)sprintf(text + size, "a==''||");
    CHECK_INT(cohort_rule_parse((struct span){ text, size - 2 }, &rule, NULL), VERSION_INVALID);
    CHECK_INT(cohort_rule_parse((struct span){ text, 7 * 100 - 2 }, &rule, NULL), 0);
    rule = cohort_rule_free(rule);
    CHECK_INT(cohort_rule_parse((struct span){ "a=='\0'", 6 }, &rule, NULL), VERSION_INVALID);

    size = (size_t)sprintf(text, "a in [''");
    while (size + 4 < COHORT_EXPRESSION_MAX)
        size += (size_t)sprintf(text + size, ",''");
    text[size++] = ']';
    CHECK_INT(cohort_rule_parse((struct span){ text, size }, &rule, NULL), 0);
    CHECK(cohort_rule_holds(rule, SPAN("acme"), NULL));
    cohort_rule_free(rule);
}
