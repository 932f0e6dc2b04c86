/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/pattern.h"

#include "check.h"

static struct arena arena;

static struct pattern *parse(const char *text, enum pattern_reach reach)
{
    struct pattern *pattern;
    struct problem problem;
    CHECK_INT(pattern_parse(&arena, span_of(text), reach, &pattern, &problem), 0);
    return pattern;
}

TEST(a_part_or_the_whole)
{
    CHECK(pattern_matches(parse("b+", PATTERN_ANYWHERE), SPAN("abbc")));
    CHECK(!pattern_matches(parse("b+", PATTERN_WHOLE), SPAN("abbc")));
    CHECK(pattern_matches(parse("a|ab", PATTERN_WHOLE), SPAN("ab")));
    CHECK(!pattern_matches(parse("b$", PATTERN_WHOLE), SPAN("b\n")));
    CHECK(pattern_matches(parse("", PATTERN_WHOLE), SPAN_NULL));
    CHECK(pattern_matches(parse("", PATTERN_ANYWHERE), SPAN("a")));
    CHECK(!pattern_matches(parse("a", PATTERN_ANYWHERE), SPAN_NULL));
    CHECK(pattern_matches(parse("a.b", PATTERN_WHOLE), (struct span){ "a\0b", 3 }));
    CHECK(pattern_matches(parse("(?i)web", PATTERN_WHOLE), SPAN("WEB")));
    arena_fini(&arena);
}

static void refused(const char *text, const char *why)
{
    struct pattern *pattern = NULL;
    struct problem problem = { 0 };
    CHECK_INT(pattern_parse(&arena, span_of(text), PATTERN_WHOLE, &pattern, &problem), PATTERN_BAD);
    CHECK(pattern == NULL);
    CHECK_STR(problem.text, why);
}

TEST(what_is_none_is_said_with_its_place)
{
    refused("a(b", "is wrong at byte 4: missing closing parenthesis");
    refused("a{2,1}", "is wrong at byte 6: numbers out of order in {} quantifier");
    refused("*", "is wrong at byte 1: quantifier does not follow a repeatable item");
    char text[PATTERN_MAX + 2];
    memset(text, 'a', sizeof(text));
    text[PATTERN_MAX + 1] = '\0';
    refused(text, "has 513 bytes; at most 512 are accepted");
    arena_fini(&arena);
}

/* What would take 2^60 steps, and much memory, is no match, and soon. */
TEST(a_match_has_limits)
{
    char text[4096];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '!';
    struct span hostile = { text, sizeof(text) };
    CHECK(!pattern_matches(parse("(a+)+$", PATTERN_ANYWHERE), hostile));
    CHECK(!pattern_matches(parse("(?:(a)|(b)|(c))*d", PATTERN_WHOLE), hostile));
    struct pattern *pattern = parse("(?:a|b)*!", PATTERN_WHOLE);
    size_t used = 0;
    for (unsigned i = 0; i < 100; i++) {
        pattern_matches(pattern, hostile);
        if (i == 0)
            used = arena.capacity;
    }
    CHECK_INT(arena.capacity, used);
    arena_fini(&arena);
}

static void gives_up(const char *text, struct span hostile, bool is_expected)
{
    struct pattern *pattern = parse(text, PATTERN_ANYWHERE);
    bool matches = pattern_matches(pattern, hostile);
    if (matches || pattern_gave_up(pattern) != is_expected)
        check_fail(__FILE__, __LINE__, text, "was to end otherwise");
}

/* The limit is the match's, and does not begin anew wherever in the text it is tried. */
TEST(the_limit_is_of_all_places_together)
{
    char memory[4096];
    memset(memory, 'a', sizeof(memory));
    struct span hostile = { memory, sizeof(memory) };
    /* Each place takes less than a tenth of the steps that there are. */
    gives_up("(?:a|a|a){6}[bc]", hostile, true);
    gives_up("(?:a|a|a){8}[bc]", hostile, true);
    gives_up("(*NO_START_OPT)(*ANYCRLF)(?:|a){9}[bc]", hostile, true);
    gives_up("(?x) (?:a|a|a){8} [bc] # \\Q", hostile, true);
    gives_up("(*NO_START_OPT)(?:(?:|){4}){3}[bc]", hostile, true);
    gives_up("(?=((a|aa){8}))\\1[bc]", hostile, true);
    gives_up("[ab][bc]", hostile, false);
    gives_up(".*b", hostile, false);
    arena_fini(&arena);
}

/* To look at each place is not the end: the first that fits is found behind many that do not. */
TEST(what_is_far_behind_is_found)
{
    char memory[4096];
    memset(memory, 'a', sizeof(memory));
    memcpy(memory + 4000, "web-v12.3", 9);
    struct pattern *pattern = parse("[a-z]-v(\\d+)\\.(\\d+)", PATTERN_ANYWHERE);
    CHECK(pattern_matches(pattern, (struct span){ memory, sizeof(memory) }));
    CHECK(!pattern_gave_up(pattern));
    CHECK(!pattern_matches(pattern, SPAN("none")) && !pattern_gave_up(pattern));
    arena_fini(&arena);
}

static const char *expanded(const char *pattern, const char *text, const char *form)
{
    static char memory[16];
    size_t size = 0;
    if (!pattern_expand(parse(pattern, PATTERN_WHOLE), span_of(text), span_of(form),
                        sizeof(memory) - 1, memory, &size))
        return "none";
    memory[size] = '\0';
    return memory;
}

TEST(forms)
{
    CHECK_STR(expanded("web-v(\\d+)\\.(\\d+)", "web-v3.14", "$1.$2.0"), "3.14.0");
    CHECK_STR(expanded("(\\d)(\\d)", "12", "${2}0$1"), "201");
    CHECK_STR(expanded("a.*", "abc", "$0"), "abc");
    CHECK_STR(expanded("(a)|(b)", "a", "[$2$1]"), "[a]");
    CHECK_STR(expanded("a", "a", "$$1"), "$1");
    CHECK_STR(expanded("a", "a", ""), "");
    CHECK_STR(expanded("a", "b", "$0"), "none");
    CHECK_STR(expanded(".*", "123456789012345", "$0"), "123456789012345");
    CHECK_STR(expanded(".*", "1234567890123456", "$0"), "none");
    CHECK_STR(expanded("a", "a", "$"), "none");
    arena_fini(&arena);
}

TEST(a_form_names_groups_that_there_are)
{
    static const char *const good[] = { "", "1.0.0", "$0", "$1.$2", "${1}2", "$$3", "$2$2" };
    static const char *const bad[] = { "$", "$3", "${1", "$x", "${x}", "a$", "$10", "${}" };
    struct pattern *pattern = parse("(a)(b)", PATTERN_WHOLE);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(pattern_form_is_valid(pattern, span_of(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!pattern_form_is_valid(pattern, span_of(bad[i])));
    arena_fini(&arena);
}
