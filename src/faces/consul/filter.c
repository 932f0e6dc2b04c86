/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/filter.h"

#include <stdio.h>

#include "codec/pattern.h"
#include "faces/consul/call.h"

#define DEPTH_MAX 32u
#define LEAVES_MAX 64u
#define PATTERNS_MAX 4u
#define STEPS_MAX 8u                  /* of a selector */
#define TIME_MAX (50 * NSEC_PER_MSEC) /* of all matches for one call */

enum filter_kind {
    FILTER_AND,
    FILTER_OR,
    FILTER_NOT,
    FILTER_EQUALS,
    FILTER_HAS, /* a list, a map or a text has the value */
    FILTER_IS_EMPTY,
    FILTER_MATCHES,
};

/* What all expressions of a filter have taken. */
struct effort {
    struct clock *clock;
    nsec time;
    bool is_over;
};

struct consul_filter {
    enum filter_kind kind;
    struct consul_filter *left, *right;
    bool is_not; /* of a leaf */
    const char *steps[STEPS_MAX];
    unsigned n_steps;
    struct span value;
    struct pattern *pattern;
    struct effort *effort;
};

/* --- words --- */

struct parser {
    struct arena *arena;
    struct effort *effort;
    struct span rest, token;
    bool is_quoted; /* the token was */
    unsigned depth, n_leaves, n_patterns;
    struct problem *problem;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Of a word that is not quoted: Meta["a b"] is one. */
static size_t word_size(struct span rest)
{
    size_t size = 0;
    while (size < rest.size && !is_space(rest.data[size]) && !strchr("()=!\"", rest.data[size])) {
        if (rest.data[size] == '[')
            size += span_find(span_from(rest, size), ']');
        size++;
    }
    return size < rest.size ? size : rest.size;
}

static void take_quoted(struct parser *parser, char quote)
{
    struct span inner = span_from(parser->rest, 1);
    size_t end = span_find(inner, quote);
    parser->is_quoted = true;
    parser->token = end > 0 && end < inner.size ? span_first(inner, end) : SPAN("");
    parser->rest = span_from(inner, end + 1);
    if (end == inner.size)
        problem_set(parser->problem, "filter", "the quote at \"%c%.*s\" does not end", quote,
                    SPAN_ARG(span_first(inner, 40)));
}

/* The next word, quoted text, bracket or operator; empty at the end. */
static void advance(struct parser *parser)
{
    struct span *rest = &parser->rest;
    while (rest->size && is_space(rest->data[0]))
        *rest = span_from(*rest, 1);
    parser->is_quoted = false;
    parser->token = SPAN_NULL;
    if (rest->size == 0)
        return;
    char first = rest->data[0];
    if (first == '"' || first == '`') {
        take_quoted(parser, first);
        return;
    }
    bool is_operator = span_starts_with(*rest, SPAN("==")) || span_starts_with(*rest, SPAN("!="));
    size_t size = is_operator ? 2 : word_size(*rest);
    parser->token = span_first(*rest, size ? size : 1);
    *rest = span_from(*rest, parser->token.size);
}

static bool takes(struct parser *parser, const char *word)
{
    if (parser->is_quoted || !span_is(parser->token, word))
        return false;
    advance(parser);
    return true;
}

static struct consul_filter *node(struct parser *parser, enum filter_kind kind,
                                  struct consul_filter *left, struct consul_filter *right)
{
    struct consul_filter *filter = arena_new(parser->arena, struct consul_filter);
    filter->kind = kind;
    filter->left = left;
    filter->right = right;
    filter->effort = parser->effort;
    return filter;
}

static struct consul_filter *refuse(struct parser *parser, const char *wanted)
{
    if (parser->problem->text[0] == '\0')
        problem_set(parser->problem, "filter", "expected %s at \"%.*s\"", wanted,
                    SPAN_ARG(span_first(parser->token, 40)));
    return NULL;
}

/* --- selectors --- */

/* A name that nothing here has is a mistake; below some, anything may be. */
static bool is_known(struct span step)
{
    static const char *const names[] = {
        "ID",          "Node",           "Address",
        "Datacenter",  "Service",        "Checks",
        "Tags",        "Port",           "Weights",
        "Passing",     "Warning",        "EnableTagOverride",
        "ServiceID",   "ServiceName",    "ServiceTags",
        "ServicePort", "ServiceAddress", "ServiceEnableTagOverride",
        "Kind",        "CreateIndex",    "ModifyIndex",
        "CheckID",     "Name",           "Status",
        "Notes",       "Output",         "Type",
        "Namespace",   "Partition",      "ContentHash",
        "ExposedPort", "ServiceWeights", "Proxy",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_is(step, names[i]))
            return true;
    }
    return false;
}

static bool has_any_below(struct span step)
{
    return span_ends_with(step, SPAN("Meta")) || span_ends_with(step, SPAN("TaggedAddresses")) ||
           span_is(step, "Definition");
}

/* "Meta.zone" in its steps; a step in brackets is a text. */
static struct span cut_step(struct span *rest)
{
    if (!span_starts_with(*rest, SPAN("[\""))) {
        size_t end = 0;
        while (end < rest->size && rest->data[end] != '.' && rest->data[end] != '[')
            end++;
        struct span step = span_first(*rest, end);
        *rest = span_from(*rest, end);
        if (rest->size && rest->data[0] == '.')
            *rest = span_from(*rest, 1);
        return step;
    }
    struct span inner = span_from(*rest, 2);
    struct span step = span_first(inner, span_find(inner, '"'));
    *rest = span_from(inner, step.size + 2);
    if (rest->size && rest->data[0] == '.')
        *rest = span_from(*rest, 1);
    return step;
}

static bool set_selector(struct parser *parser, struct consul_filter *leaf, struct span text)
{
    struct span rest = text;
    bool is_free = false, is_fine = text.size > 0;
    while (is_fine && rest.size) {
        struct span step = cut_step(&rest);
        is_fine = step.size && leaf->n_steps < STEPS_MAX &&
                  (is_free || has_any_below(step) || is_known(step));
        is_free |= has_any_below(step);
        if (is_fine)
            leaf->steps[leaf->n_steps++] = arena_span_dup(parser->arena, step).data;
    }
    if (is_fine)
        return true;
    if (parser->problem->text[0] == '\0')
        problem_set(parser->problem, "filter", "Selector \"%.*s\" is not valid",
                    SPAN_ARG(span_first(text, 80)));
    return false;
}

/* --- parsing --- */

static bool take_value(struct parser *parser, struct span *ret_value)
{
    if (!parser->token.data || (parser->token.size == 0 && !parser->is_quoted))
        return false;
    *ret_value = parser->token;
    advance(parser);
    return true;
}

struct match {
    enum filter_kind kind;
    bool is_not;
    struct span selector, value;
};

static struct consul_filter *leaf(struct parser *parser, const struct match *match)
{
    struct problem why = { .text = "" };
    struct consul_filter *filter = node(parser, match->kind, NULL, NULL);
    filter->is_not = match->is_not;
    filter->value = match->value;
    if (++parser->n_leaves > LEAVES_MAX)
        return refuse(parser, "fewer conditions");
    if (!set_selector(parser, filter, match->selector))
        return NULL;
    if (match->kind != FILTER_MATCHES)
        return filter;
    if (++parser->n_patterns > PATTERNS_MAX)
        return refuse(parser, "fewer regular expressions");
    if (!pattern_parse(parser->arena, match->value, PATTERN_ANYWHERE, &filter->pattern, &why))
        return filter;
    problem_set(parser->problem, "filter", "the regular expression \"%.*s\" %s",
                SPAN_ARG(span_first(match->value, 80)), why.text);
    return NULL;
}

/* False: there is none. */
static bool take_operator(struct parser *parser, struct match *match, bool *ret_is_in)
{
    static const struct {
        const char *word;
        enum filter_kind kind;
    } words[] = { { "in", FILTER_HAS }, { "contains", FILTER_HAS }, { "matches", FILTER_MATCHES } };
    if (takes(parser, "==") || takes(parser, "!=")) {
        match->kind = FILTER_EQUALS;
        return true;
    }
    match->is_not = takes(parser, "not");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!takes(parser, words[i].word))
            continue;
        match->kind = words[i].kind;
        *ret_is_in = i == 0;
        return true;
    }
    return false;
}

/* Behind a selector or, of "in", a value. */
static struct consul_filter *parse_match(struct parser *parser)
{
    struct match match = { 0 };
    struct span first;
    bool is_in = false;
    if (!take_value(parser, &first))
        return refuse(parser, "a selector");
    match.selector = first;
    if (takes(parser, "is")) {
        match.kind = FILTER_IS_EMPTY;
        match.is_not = takes(parser, "not");
        return takes(parser, "empty") ? leaf(parser, &match) : refuse(parser, "\"empty\"");
    }
    match.is_not = !parser->is_quoted && span_is(parser->token, "!=");
    bool is_other = match.is_not;
    if (!take_operator(parser, &match, &is_in))
        return refuse(parser, "an operator: ==, !=, in, contains, matches, is empty");
    match.is_not |= is_other;
    if (!take_value(parser, is_in ? &match.selector : &match.value))
        return refuse(parser, is_in ? "a selector" : "a value");
    if (is_in)
        match.value = first;
    return leaf(parser, &match);
}

static struct consul_filter *parse_or(struct parser *parser);

static struct consul_filter *parse_unary(struct parser *parser)
{
    if (++parser->depth > DEPTH_MAX)
        return refuse(parser, "fewer levels");
    struct consul_filter *filter;
    if (takes(parser, "not")) {
        filter = parse_unary(parser);
        filter = filter ? node(parser, FILTER_NOT, filter, NULL) : NULL;
    } else if (takes(parser, "(")) {
        filter = parse_or(parser);
        if (filter && !takes(parser, ")"))
            filter = refuse(parser, "\")\"");
    } else {
        filter = parse_match(parser);
    }
    parser->depth--;
    return filter;
}

static struct consul_filter *parse_and(struct parser *parser)
{
    struct consul_filter *left = parse_unary(parser);
    while (left && takes(parser, "and")) {
        struct consul_filter *right = parse_unary(parser);
        left = right ? node(parser, FILTER_AND, left, right) : NULL;
    }
    return left;
}

static struct consul_filter *parse_or(struct parser *parser)
{
    struct consul_filter *left = parse_and(parser);
    while (left && takes(parser, "or")) {
        struct consul_filter *right = parse_and(parser);
        left = right ? node(parser, FILTER_OR, left, right) : NULL;
    }
    return left;
}

int consul_filter_parse(struct arena *arena, struct span text, struct clock *clock,
                        struct consul_filter **ret_filter, struct problem *problem)
{
    struct parser parser = { .arena = arena, .rest = text, .problem = problem };
    parser.effort = arena_new(arena, struct effort);
    parser.effort->clock = clock;
    problem->text[0] = '\0';
    advance(&parser);
    struct consul_filter *filter = parse_or(&parser);
    if (filter && parser.token.data)
        filter = refuse(&parser, "the end, \"and\" or \"or\"");
    if (!filter || problem->text[0])
        return FILTER_BAD;
    *ret_filter = filter;
    return FILTER_OK;
}

bool consul_filter_read(struct consul_call *call, struct consul_filter **ret_filter)
{
    struct span text;
    struct problem problem;
    *ret_filter = NULL;
    if (!consul_param(call, "filter", &text) || !text.size)
        return true;
    if (!consul_filter_parse(&call->arena, text, loop_clock(call->consul->loop), ret_filter,
                             &problem)) {
        call->filter = *ret_filter;
        return true;
    }
    consul_refuse(call, 400, "Failed to create boolean expression evaluator: %s", problem.text);
    return false;
}

/* --- matching --- */

/* A number or a truth as it is written. */
static struct span text_of(const json_t *value, char memory[24])
{
    if (json_is_string(value))
        return (struct span){ json_string_value(value), json_string_length(value) };
    if (json_is_boolean(value))
        return json_is_true(value) ? SPAN("true") : SPAN("false");
    if (!json_is_integer(value))
        return SPAN_NULL;
    snprintf(memory, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return span_of(memory);
}

static bool is_empty(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_ARRAY: return json_array_size(value) == 0;
    case JSON_OBJECT: return json_object_size(value) == 0;
    case JSON_STRING: return json_string_length(value) == 0;
    case JSON_NULL: return true;
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE: break;
    }
    return false;
}

static bool has(const json_t *value, struct span wanted)
{
    char memory[24];
    if (json_is_object(value))
        return json_object_getn(value, wanted.data, wanted.size) != NULL;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (span_equals(text_of(json_array_get(value, i), memory), wanted))
            return true;
    }
    struct span text = text_of(value, memory);
    return text.size && wanted.size && memmem(text.data, text.size, wanted.data, wanted.size);
}

static bool matches(const struct consul_filter *leaf, struct span text)
{
    struct effort *effort = leaf->effort;
    if (effort->is_over)
        return false;
    nsec began = clock_now(effort->clock);
    bool matches = pattern_matches(leaf->pattern, text);
    effort->time += clock_now(effort->clock) - began;
    effort->is_over = pattern_gave_up(leaf->pattern) || effort->time > TIME_MAX;
    return matches;
}

static bool fits(const struct consul_filter *leaf, const json_t *value)
{
    char memory[24];
    switch (leaf->kind) {
    case FILTER_IS_EMPTY: return is_empty(value);
    case FILTER_HAS: return has(value, leaf->value);
    case FILTER_MATCHES: return matches(leaf, text_of(value, memory));
    case FILTER_EQUALS:
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT: break;
    }
    return span_equals(text_of(value, memory), leaf->value);
}

/* From the step on. What is not there is empty, and has nothing; of a list any may fit. */
static bool leaf_has(const struct consul_filter *leaf, const json_t *value, unsigned step)
{
    if (!value)
        return leaf->is_not != (leaf->kind == FILTER_IS_EMPTY);
    if (step == leaf->n_steps)
        return leaf->is_not != fits(leaf, value);
    if (json_is_object(value))
        return leaf_has(leaf, json_object_get(value, leaf->steps[step]), step + 1);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (leaf_has(leaf, json_array_get(value, i), step))
            return true;
    }
    return false;
}

static bool filter_has(const struct consul_filter *filter, const json_t *value)
{
    switch (filter->kind) {
    case FILTER_AND: return filter_has(filter->left, value) && filter_has(filter->right, value);
    case FILTER_OR: return filter_has(filter->left, value) || filter_has(filter->right, value);
    case FILTER_NOT: return !filter_has(filter->left, value);
    case FILTER_EQUALS:
    case FILTER_HAS:
    case FILTER_IS_EMPTY:
    case FILTER_MATCHES: break;
    }
    return leaf_has(filter, value, 0);
}

bool consul_filter_gave_up(const struct consul_filter *filter)
{
    return filter && filter->effort->is_over;
}

bool consul_filter_has(const struct consul_filter *filter, struct span json)
{
    if (!filter)
        return true;
    if (filter->effort->is_over)
        return false;
    json_t *value = json_loadb(json.data, json.size, 0, NULL);
    bool has = value && filter_has(filter, value);
    json_decref(value);
    return has;
}

struct filter_mark consul_filter_begin(const struct json_out *out)
{
    /* The element is behind a comma where it is not the first. */
    size_t size = out->buf->size;
    return (struct filter_mark){ size, size + out->needs_comma, out->needs_comma };
}

struct filter_mark consul_filter_begin_member(struct json_out *out, struct span key)
{
    struct filter_mark mark = consul_filter_begin(out);
    json_key(out, key);
    mark.value = out->buf->size;
    return mark;
}

bool consul_filter_end(const struct consul_filter *filter, struct json_out *out,
                       struct filter_mark mark)
{
    if (consul_filter_has(filter, span_from(buf_span(out->buf), mark.value)))
        return true;
    out->buf->size = mark.size;
    out->needs_comma = mark.needed_comma;
    return false;
}
