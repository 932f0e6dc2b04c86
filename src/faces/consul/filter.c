/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/filter.h"

#include <stdio.h>

#define DEPTH_MAX 32u

enum filter_kind {
    FILTER_AND,
    FILTER_OR,
    FILTER_NOT,
    FILTER_EQUALS,
    FILTER_HAS, /* a list or a map has the value */
    FILTER_IS_EMPTY,
};

struct consul_filter {
    enum filter_kind kind;
    struct consul_filter *left, *right;
    struct span selector, value;
};

/* --- parsing --- */

struct parser {
    struct arena *arena;
    struct span rest, token;
    bool is_quoted; /* the token was */
    unsigned depth;
    struct problem *problem;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word, quoted text, bracket or operator; empty at the end. */
static void advance(struct parser *parser)
{
    struct span *rest = &parser->rest;
    while (rest->size && is_space(rest->data[0]))
        *rest = span_from(*rest, 1);
    parser->is_quoted = false;
    size_t size = 0;
    if (rest->size == 0) {
        parser->token = SPAN_NULL;
        return;
    }
    char first = rest->data[0];
    if (first == '"' || first == '`') {
        struct span inner = span_from(*rest, 1);
        size_t end = span_find(inner, first);
        parser->is_quoted = true;
        parser->token = end < inner.size ? span_first(inner, end) : SPAN_NULL;
        if (!parser->token.data)
            parser->token = SPAN("");
        *rest = span_from(inner, end + 1);
        return;
    }
    if (first == '(' || first == ')')
        size = 1;
    else if (rest->size > 1 && (first == '=' || first == '!') && rest->data[1] == '=')
        size = 2;
    while (size == 0 || (first != '(' && first != ')' && first != '=' && first != '!')) {
        if (size == rest->size || is_space(rest->data[size]) || strchr("()=!\"", rest->data[size]))
            break;
        size++;
    }
    size = size ? size : 1;
    parser->token = span_first(*rest, size);
    *rest = span_from(*rest, size);
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
    return filter;
}

static struct consul_filter *refuse(struct parser *parser, const char *wanted)
{
    if (parser->problem->text[0] == '\0')
        problem_set(parser->problem, "filter", "expected %s at \"%.*s\"", wanted,
                    SPAN_ARG(span_first(parser->token, 40)));
    return NULL;
}

static bool take_value(struct parser *parser, struct span *ret_value)
{
    if (!parser->token.data || (parser->token.size == 0 && !parser->is_quoted))
        return false;
    *ret_value = parser->token;
    advance(parser);
    return true;
}

static struct consul_filter *leaf(struct parser *parser, enum filter_kind kind,
                                  struct span selector, struct span value)
{
    struct consul_filter *filter = node(parser, kind, NULL, NULL);
    filter->selector = selector;
    filter->value = value;
    return filter;
}

static struct consul_filter *negate(struct parser *parser, bool is_not,
                                    struct consul_filter *filter)
{
    return is_not && filter ? node(parser, FILTER_NOT, filter, NULL) : filter;
}

/* Behind a selector or, of "in", a value. */
static struct consul_filter *parse_match(struct parser *parser)
{
    struct span first, second;
    if (!take_value(parser, &first))
        return refuse(parser, "a selector");
    if (takes(parser, "is")) {
        bool is_not = takes(parser, "not");
        if (!takes(parser, "empty"))
            return refuse(parser, "\"empty\"");
        return negate(parser, is_not, leaf(parser, FILTER_IS_EMPTY, first, SPAN_NULL));
    }
    bool is_not = takes(parser, "not");
    bool is_in = takes(parser, "in");
    bool has = !is_in && takes(parser, "contains");
    bool is_equal = !is_in && !has && !is_not && takes(parser, "==");
    bool is_other = !is_in && !has && !is_not && !is_equal && takes(parser, "!=");
    if (!is_in && !has && !is_equal && !is_other)
        return refuse(parser, "an operator: ==, !=, in, contains, is empty");
    if (!take_value(parser, &second))
        return refuse(parser, "a value");
    if (is_in)
        return negate(parser, is_not, leaf(parser, FILTER_HAS, second, first));
    enum filter_kind kind = has ? FILTER_HAS : FILTER_EQUALS;
    return negate(parser, is_not || is_other, leaf(parser, kind, first, second));
}

static struct consul_filter *parse_or(struct parser *parser);

static struct consul_filter *parse_unary(struct parser *parser)
{
    if (++parser->depth > DEPTH_MAX)
        return refuse(parser, "fewer levels");
    struct consul_filter *filter;
    if (takes(parser, "not")) {
        filter = negate(parser, true, parse_unary(parser));
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

int consul_filter_parse(struct arena *arena, struct span text, struct consul_filter **ret_filter,
                        struct problem *problem)
{
    struct parser parser = { .arena = arena, .rest = text, .problem = problem };
    problem->text[0] = '\0';
    advance(&parser);
    struct consul_filter *filter = parse_or(&parser);
    if (filter && parser.token.data)
        filter = refuse(&parser, "the end, \"and\" or \"or\"");
    if (!filter)
        return FILTER_BAD;
    *ret_filter = filter;
    return FILTER_OK;
}

/* --- matching --- */

static struct span check_value(struct span selector, const struct consul_check *check)
{
    const struct {
        const char *name;
        struct span value;
    } values[] = {
        { "CheckID", span_of(check->id) },
        { "Name", span_of(check->record->name) },
        { "Status", span_of(check_status_word(check->status)) },
        { "Output", span_of(check->output) },
        { "Notes", span_of(check->record->notes) },
        { "Type", consul_check_type(check) },
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (span_is(selector, values[i].name))
            return values[i].value;
    }
    return SPAN_NULL;
}

/* A selector's name, with "Service." or, of the agent's services, without. */
static bool selects(struct span selector, const char *name, const char *flat)
{
    struct span full = SPAN("Service.");
    if (span_starts_with(selector, full))
        selector = span_from(selector, full.size);
    return span_is(selector, name) || span_is(selector, flat);
}

/* What a selector of one value stands for. */
static struct span value_of(struct span selector, const struct consul *consul,
                            const struct consul_entry *entry, char number[16])
{
    const Consul__ServiceRecord *record = entry->service ? entry->service->record : NULL;
    if (span_is(selector, "Node.Node") || span_is(selector, "Node"))
        return span_of(consul->settings.node);
    if (span_is(selector, "Node.Datacenter") || span_is(selector, "Datacenter"))
        return span_of(consul->settings.datacenter);
    if (selects(selector, "ID", "ServiceID"))
        return span_of(record ? entry->service->id : entry->instance->id);
    if (selects(selector, "Service", "ServiceName"))
        return consul_entry_name(entry);
    if (selects(selector, "Address", "ServiceAddress"))
        return record ? span_of(record->address) : SPAN_NULL;
    if (selects(selector, "Port", "ServicePort")) {
        snprintf(number, 16, "%u", record ? record->port : 0);
        return span_of(number);
    }
    return entry->check ? check_value(selector, entry->check) : SPAN_NULL;
}

static bool is_meta(struct span selector, struct span *ret_key)
{
    struct span name = span_first(selector, span_find(selector, '.'));
    if (span_is(name, "Service"))
        name = SPAN("Service.Meta");
    if (!span_starts_with(selector, name) || !selects(name, "Meta", "ServiceMeta"))
        return false;
    *ret_key = span_from(selector, name.size + 1); /* behind the point, or empty */
    return true;
}

static struct span meta_of(const struct consul_entry *entry, struct span key)
{
    const Consul__ServiceRecord *record = entry->service ? entry->service->record : NULL;
    for (size_t i = 0; record && i < record->n_meta; i++) {
        if (span_is(key, record->meta[i]->key))
            return record->meta[i]->value[0] ? span_of(record->meta[i]->value) : SPAN("");
    }
    for (unsigned i = 0; !record && i < entry->instance->n_meta; i++) {
        if (span_is(key, entry->instance->meta[i].key))
            return span_of(entry->instance->meta[i].value);
    }
    return SPAN_NULL;
}

static bool is_tags(struct span selector)
{
    return selects(selector, "Tags", "ServiceTags");
}

static bool leaf_matches(const struct consul_filter *filter, const struct consul *consul,
                         const struct consul_entry *entry)
{
    char number[16];
    struct span key;
    if (is_tags(filter->selector)) {
        if (filter->kind == FILTER_IS_EMPTY)
            return consul_entry_n_tags(entry) == 0;
        return filter->kind == FILTER_HAS && consul_entry_has_tag(entry, filter->value);
    }
    if (is_meta(filter->selector, &key)) {
        if (filter->kind == FILTER_HAS)
            return meta_of(entry, filter->value).data != NULL; /* a map has keys */
        struct span value = meta_of(entry, key);
        return filter->kind == FILTER_IS_EMPTY ? value.size == 0
                                               : span_equals(value, filter->value);
    }
    struct span value = value_of(filter->selector, consul, entry, number);
    switch (filter->kind) {
    case FILTER_IS_EMPTY: return value.size == 0;
    case FILTER_HAS:
        return value.size > 0 && filter->value.size > 0 &&
               memmem(value.data, value.size, filter->value.data, filter->value.size);
    case FILTER_EQUALS:
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT: break;
    }
    return span_equals(value, filter->value);
}

bool consul_filter_matches(const struct consul_filter *filter, const struct consul *consul,
                           const struct consul_entry *entry)
{
    switch (filter->kind) {
    case FILTER_AND:
        return consul_filter_matches(filter->left, consul, entry) &&
               consul_filter_matches(filter->right, consul, entry);
    case FILTER_OR:
        return consul_filter_matches(filter->left, consul, entry) ||
               consul_filter_matches(filter->right, consul, entry);
    case FILTER_NOT: return !consul_filter_matches(filter->left, consul, entry);
    case FILTER_EQUALS:
    case FILTER_HAS:
    case FILTER_IS_EMPTY: break;
    }
    return leaf_matches(filter, consul, entry);
}

bool consul_filter_read(struct consul_call *call, struct consul_filter **ret_filter)
{
    struct span text;
    struct problem problem;
    *ret_filter = NULL;
    if (!consul_param(call, "filter", &text) ||
        !consul_filter_parse(&call->arena, text, ret_filter, &problem))
        return true;
    consul_refuse(call, 400, "Failed to create boolean expression evaluator: %s", problem.text);
    return false;
}

bool consul_filter_has_service(const struct consul_filter *filter, const struct consul *consul,
                               const struct consul_service *service)
{
    struct consul_entry entry = consul_entry_of(consul, service);
    return !filter || (entry.instance && consul_filter_matches(filter, consul, &entry));
}

bool consul_filter_has_check(const struct consul_filter *filter, const struct consul *consul,
                             const struct consul_check *check)
{
    struct consul_entry entry = consul_entry_of(consul, check->service);
    entry.check = check;
    return !filter || (entry.instance && consul_filter_matches(filter, consul, &entry));
}
