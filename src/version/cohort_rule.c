/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The grammar, lowest precedence first:
 *
 *   rule       = conjunction *( "||" conjunction )
 *   conjunction = term *( "&&" term )
 *   term       = "!" term | "(" rule ")" | name ( "==" | "!=" ) text
 *              | name [ "not" ] "in" "[" text *( "," text ) "]"
 *   text       = in single or double quotes; a backslash takes the next character as it is
 *
 * A recursive descent writes nodes in postorder into one array; a comparison holds the offsets of
 * its texts in a pool behind it. Nesting is limited, because depth is stack.
 */

#include "version/version.h"

#include "base/mem.h"
#include "version/cohort.h"
#include "version/state.h"

#define COHORT_NODES_MAX 256u
#define COHORT_DEPTH_MAX 32u
#define COHORT_POOL_MAX (2 * COHORT_EXPRESSION_MAX) /* each text takes a length besides its bytes */

enum cohort_node_kind {
    COHORT_OR,
    COHORT_AND,
    COHORT_NOT,
    COHORT_IN,
};

struct cohort_node {
    uint8_t kind;
    uint16_t left, right; /* OR, AND; NOT has only left */
    uint16_t name;        /* IN: offsets in the pool; the texts follow the name */
    uint16_t n_texts;
};

/* A text in the pool is its length in two bytes, low byte first, then its bytes. */
struct cohort_rule {
    uint32_t size; /* of the whole block */
    uint16_t n_nodes, pool_size;
    struct cohort_node nodes[]; /* the last is the root; the pool follows it */
};

struct cohort_parser {
    struct span text;
    size_t at;
    unsigned depth;
    struct problem *problem;
    struct cohort_node nodes[COHORT_NODES_MAX];
    unsigned n_nodes;
    char pool[COHORT_POOL_MAX];
    unsigned pool_size;
};

static int parse_rule(struct cohort_parser *parser, uint16_t *ret_node);

static void skip_space(struct cohort_parser *parser)
{
    while (parser->at < parser->text.size && strchr(" \t\r\n", parser->text.data[parser->at]) &&
           parser->text.data[parser->at])
        parser->at++;
}

static int refuse(struct cohort_parser *parser, const char *accepted)
{
    skip_space(parser);
    if (parser->at >= parser->text.size) {
        problem_set(parser->problem, "expression", "ends at position %zu; %s is accepted there",
                    parser->at + 1, accepted);
    } else if (parser->text.data[parser->at] > ' ' && parser->text.data[parser->at] <= '~') {
        problem_set(parser->problem, "expression",
                    "has \"%c\" at position %zu; %s is accepted there",
                    parser->text.data[parser->at], parser->at + 1, accepted);
    } else {
        problem_set(
            parser->problem, "expression", "has byte 0x%02x at position %zu; %s is accepted there",
            (unsigned)(unsigned char)parser->text.data[parser->at], parser->at + 1, accepted);
    }
    return VERSION_INVALID;
}

/* Takes the token when it comes next. */
static bool take(struct cohort_parser *parser, const char *token)
{
    skip_space(parser);
    if (!span_starts_with(span_from(parser->text, parser->at), span_of(token)))
        return false;
    parser->at += strlen(token);
    return true;
}

static struct span take_name(struct cohort_parser *parser)
{
    skip_space(parser);
    size_t end = parser->at;
    while (end < parser->text.size && attribute_name_is_valid((struct span){
                                          parser->text.data + parser->at, end + 1 - parser->at }))
        end++;
    struct span name = { parser->text.data + parser->at, end - parser->at };
    parser->at = end;
    return name;
}

/* Takes a word of the grammar, which must not run on into a longer name. */
static bool take_word(struct cohort_parser *parser, const char *word)
{
    size_t start = parser->at;
    if (span_is(take_name(parser), word))
        return true;
    parser->at = start;
    return false;
}

/* Nodes hold indices and offsets instead of pointers, so that the rule can be copied as bytes. */
static int node_add(struct cohort_parser *parser, struct cohort_node node, uint16_t *ret_node)
{
    if (parser->n_nodes == COHORT_NODES_MAX) {
        problem_set(parser->problem, "expression", "has more than %u parts", COHORT_NODES_MAX);
        return VERSION_INVALID;
    }
    *ret_node = (uint16_t)parser->n_nodes;
    parser->nodes[parser->n_nodes++] = node;
    return 0;
}

/* The pool cannot overflow: every text had at least two characters more in the expression (the
 * quotes, or a name's operator) than bytes here. */
static uint16_t pool_start(struct cohort_parser *parser)
{
    uint16_t start = (uint16_t)parser->pool_size;
    parser->pool_size += 2;
    return start;
}

static void pool_end(struct cohort_parser *parser, uint16_t start)
{
    unsigned size = parser->pool_size - start - 2u;
    parser->pool[start] = (char)(size & 0xff);
    parser->pool[start + 1] = (char)(size >> 8);
}

static struct span pool_text(const char *pool, unsigned at)
{
    return (struct span){ pool + at + 2,
                          (unsigned char)pool[at] | (size_t)(unsigned char)pool[at + 1] << 8 };
}

static int parse_text(struct cohort_parser *parser)
{
    skip_space(parser);
    struct span rest = span_from(parser->text, parser->at);
    if (!rest.size || (rest.data[0] != '\'' && rest.data[0] != '"'))
        return refuse(parser, "a text in quotes");

    char quote = rest.data[0];
    uint16_t start = pool_start(parser);
    for (parser->at++; parser->at < parser->text.size; parser->at++) {
        char byte = parser->text.data[parser->at];
        if (byte == quote) {
            parser->at++;
            pool_end(parser, start);
            return 0;
        }
        if (byte == '\\' && ++parser->at == parser->text.size)
            break;
        if (parser->text.data[parser->at] == '\0')
            return refuse(parser, "another byte");
        parser->pool[parser->pool_size++] = parser->text.data[parser->at];
    }
    return refuse(parser, "the closing quote");
}

static int parse_list(struct cohort_parser *parser, uint16_t *ret_n_texts)
{
    uint16_t n_texts = 0;
    if (!take(parser, "["))
        return refuse(parser, "\"[\"");
    do {
        int r = parse_text(parser);
        if (r)
            return r;
        n_texts++;
    } while (take(parser, ","));
    if (!take(parser, "]"))
        return refuse(parser, "\",\" or \"]\"");
    *ret_n_texts = n_texts;
    return 0;
}

static int node_negate(struct cohort_parser *parser, uint16_t node, uint16_t *ret_node)
{
    return node_add(parser, (struct cohort_node){ .kind = COHORT_NOT, .left = node }, ret_node);
}

static int parse_comparison(struct cohort_parser *parser, uint16_t *ret_node)
{
    skip_space(parser);
    struct span name = take_name(parser);
    if (!name.size)
        return refuse(parser, "an attribute, \"!\" or \"(\"");

    struct cohort_node node = { .kind = COHORT_IN, .name = pool_start(parser), .n_texts = 1 };
    memcpy(parser->pool + parser->pool_size, name.data, name.size);
    parser->pool_size += (unsigned)name.size;
    pool_end(parser, node.name);

    int r;
    bool is_negated = false;
    if (take(parser, "==") || take(parser, "!=")) {
        is_negated = parser->text.data[parser->at - 2] == '!';
        r = parse_text(parser);
    } else {
        is_negated = take_word(parser, "not");
        if (!take_word(parser, "in"))
            return refuse(parser, is_negated ? "\"in\"" : "\"==\", \"!=\", \"in\" or \"not in\"");
        r = parse_list(parser, &node.n_texts);
    }
    uint16_t comparison;
    if (!r)
        r = node_add(parser, node, &comparison);
    if (r)
        return r;
    if (is_negated)
        return node_negate(parser, comparison, ret_node);
    *ret_node = comparison;
    return 0;
}

/* Both ways of nesting, "!" and "(", come through here and are counted. */
static int parse_term(struct cohort_parser *parser, uint16_t *ret_node)
{
    if (++parser->depth > COHORT_DEPTH_MAX) {
        problem_set(parser->problem, "expression", "is nested more than %u deep at position %zu",
                    COHORT_DEPTH_MAX, parser->at + 1);
        return VERSION_INVALID;
    }

    int r;
    if (take(parser, "!")) {
        uint16_t negated;
        r = parse_term(parser, &negated);
        if (!r)
            r = node_negate(parser, negated, ret_node);
    } else if (take(parser, "(")) {
        r = parse_rule(parser, ret_node);
        if (!r && !take(parser, ")"))
            r = refuse(parser, "\")\", \"&&\" or \"||\"");
    } else {
        r = parse_comparison(parser, ret_node);
    }
    parser->depth--;
    return r;
}

static int parse_conjunction(struct cohort_parser *parser, uint16_t *ret_node)
{
    int r = parse_term(parser, ret_node);
    while (!r && take(parser, "&&")) {
        struct cohort_node node = { .kind = COHORT_AND, .left = *ret_node };
        r = parse_term(parser, &node.right);
        if (!r)
            r = node_add(parser, node, ret_node);
    }
    return r;
}

static int parse_rule(struct cohort_parser *parser, uint16_t *ret_node)
{
    int r = parse_conjunction(parser, ret_node);
    while (!r && take(parser, "||")) {
        struct cohort_node node = { .kind = COHORT_OR, .left = *ret_node };
        r = parse_conjunction(parser, &node.right);
        if (!r)
            r = node_add(parser, node, ret_node);
    }
    return r;
}

static const char *rule_pool(const struct cohort_rule *rule)
{
    return (const char *)(rule->nodes + rule->n_nodes);
}

/* The pool needs no alignment, so it can follow the nodes directly. */
static struct cohort_rule *rule_pack(const struct cohort_parser *parser)
{
    size_t size = sizeof(struct cohort_rule) + parser->n_nodes * sizeof(struct cohort_node) +
                  parser->pool_size;
    struct cohort_rule *rule = mem_zalloc(1, size);
    rule->size = (uint32_t)size;
    rule->n_nodes = (uint16_t)parser->n_nodes;
    rule->pool_size = (uint16_t)parser->pool_size;
    memcpy(rule->nodes, parser->nodes, parser->n_nodes * sizeof(struct cohort_node));
    memcpy((char *)(rule->nodes + rule->n_nodes), parser->pool, parser->pool_size);
    return rule;
}

int cohort_rule_parse(struct span expression, struct cohort_rule **ret_rule,
                      struct problem *problem)
{
    if (expression.size > COHORT_EXPRESSION_MAX) {
        problem_set(problem, "expression", "has %zu bytes; at most %u are accepted",
                    expression.size, COHORT_EXPRESSION_MAX);
        return VERSION_INVALID;
    }

    CLEANUP(mem_freep) struct cohort_parser *parser = mem_new(struct cohort_parser);
    parser->text = expression;
    parser->problem = problem;
    uint16_t root;
    int r = parse_rule(parser, &root);
    if (r)
        return r;
    skip_space(parser);
    if (parser->at < expression.size)
        return refuse(parser, "\"&&\", \"||\" or the end");

    *ret_rule = rule_pack(parser);
    return 0;
}

struct cohort_rule *cohort_rule_free(struct cohort_rule *rule)
{
    free(rule);
    return NULL;
}

struct cohort_rule *cohort_rule_copy(const struct cohort_rule *rule)
{
    if (!rule)
        return NULL;
    struct cohort_rule *copy = mem_zalloc(1, rule->size);
    memcpy(copy, rule, rule->size);
    return copy;
}

/* Who a rule is asked about. */
struct cohort_subject {
    struct span id;
    const struct instance_meta *attributes;
    unsigned n_attributes;
};

/* `id` cannot be hidden by an attribute: customer_put() refuses one of that name. */
static struct span subject_value(const struct cohort_subject *subject, struct span name)
{
    if (span_equals(name, SPAN("id")))
        return subject->id;
    for (unsigned i = 0; i < subject->n_attributes; i++) {
        if (span_is(name, subject->attributes[i].key))
            return span_of(subject->attributes[i].value);
    }
    return SPAN("");
}

static bool comparison_holds(const struct cohort_rule *rule, const struct cohort_node *node,
                             const struct cohort_subject *subject)
{
    const char *pool = rule_pool(rule);
    struct span name = pool_text(pool, node->name);
    struct span value = subject_value(subject, name);
    size_t at = node->name + 2 + name.size;
    for (unsigned i = 0; i < node->n_texts; i++) {
        struct span text = pool_text(pool, (unsigned)at);
        if (span_equals(value, text))
            return true;
        at += 2 + text.size;
    }
    return false;
}

static bool node_holds(const struct cohort_rule *rule, unsigned index,
                       const struct cohort_subject *subject)
{
    const struct cohort_node *node = &rule->nodes[index];
    switch ((enum cohort_node_kind)node->kind) {
    case COHORT_OR:
        return node_holds(rule, node->left, subject) || node_holds(rule, node->right, subject);
    case COHORT_AND:
        return node_holds(rule, node->left, subject) && node_holds(rule, node->right, subject);
    case COHORT_NOT: return !node_holds(rule, node->left, subject);
    case COHORT_IN: return comparison_holds(rule, node, subject);
    }
    return false;
}

bool cohort_rule_holds_for(const struct cohort_rule *rule, struct span id,
                           const struct instance_meta *attributes, unsigned n_attributes)
{
    struct cohort_subject subject = { id, attributes, n_attributes };
    return node_holds(rule, rule->n_nodes - 1u, &subject);
}

bool cohort_rule_holds(const struct cohort_rule *rule, struct span id,
                       const struct customer *customer)
{
    return cohort_rule_holds_for(rule, id, customer ? customer->attributes : NULL,
                                 customer ? customer->n_attributes : 0);
}
