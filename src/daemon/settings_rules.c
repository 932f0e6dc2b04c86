/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_rules.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon/settings_keys.h"
#include "daemon/settings_yaml.h"
#include "faces/consul/version.h"

#define AT(member) offsetof(struct consul_rule, member)
#define PROTOCOL_MAX 16u
#define SOURCES "id, name, address, tag or meta.KEY"

enum rule_kind {
    RULE_TEXT,
    RULE_SOURCE,
    RULE_PATTERN,
    RULE_PROTOCOL,
    RULE_BOOL,
};

static const struct settings_key table[] = {
    { "service", RULE_TEXT, AT(service), "a name, in which * is any text",
      "which services it holds for, by the name that they register, in any case; all when it is left "
      "out" },
    { "from", RULE_SOURCE, AT(from), SOURCES,
      "which part of a registration is matched; of tags each, until one matches" },
    { "match", RULE_PATTERN, AT(match), PATTERN_ACCEPTS " (PCRE)",
      "what all of that text has to be; where `match` is left out, the rule holds for every instance of "
      "the service" },
    { "version", RULE_TEXT, AT(version), "a version, or one with groups such as $1.$2",
      "the instance's version: $1 is what the first bracket matched, $$ a dollar. What comes out is "
      "read as the versions of registrations are; when it is none, the rules behind are asked" },
    { "protocol", RULE_PROTOCOL, AT(protocol),
      "up to 16 small letters, digits and +, such as grpc or thrift",
      "what the instance speaks; one that the gateway does not speak is listed, and gets no requests" },
    { "override", RULE_BOOL, AT(overrides), "true, false",
      "whether it holds against what a registration itself says, and not only where that says "
      "nothing" },
};
#define N_KEYS (sizeof(table) / sizeof(table[0]))

static void write_value_type(struct json_out *out, const struct settings_key *row)
{
    settings_write_type(out, row->kind == RULE_BOOL ? "boolean" : "string");
}

static const struct settings_keys keys = {
    .rows = table,
    .n = N_KEYS,
    .thing = "a rule",
    .path = "registration.rules",
    .accepts = "a section with version or protocol",
    .write_type = write_value_type,
};

/* One reading of one rule. */
struct reader {
    struct key_reader keys;
    struct arena *arena;
    struct consul_rule *rule;
    struct problem *problem;
    size_t lines[N_KEYS];
};

static int refuse(const struct reader *reader, const struct settings_key *row,
                  const yaml_node_t *node)
{
    return settings_refuse(reader->problem, yaml_line(node), row->key, yaml_found(node),
                           row->accepts);
}

static bool read_source(struct reader *reader, struct span text)
{
    static const struct span meta = SPAN("meta."),
                             words[] = { SPAN("id"), SPAN("name"), SPAN("address"), SPAN("tag") };
    struct consul_rule *rule = reader->rule;
    if (span_starts_with(text, meta) && text.size > meta.size) {
        rule->from = FROM_META;
        rule->key = arena_span_dup(reader->arena, span_from(text, meta.size)).data;
        return true;
    }
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!span_equals(text, words[i]))
            continue;
        rule->from = (enum consul_source)i;
        return true;
    }
    return false;
}

static int read_pattern(struct reader *reader, const struct settings_key *row,
                        const yaml_node_t *node)
{
    struct problem why = { 0 };
    if (pattern_parse(reader->arena, yaml_text(node), PATTERN_WHOLE, &reader->rule->match, &why) ==
        PATTERN_OK)
        return 0;
    return settings_refuse_because(reader->problem, yaml_line(node), row->key, why.text);
}

static bool is_protocol(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+')
            return false;
    }
    return text.size <= PROTOCOL_MAX;
}

static int read_value(struct key_reader *key_reader, const struct settings_key *row,
                      const yaml_node_t *node)
{
    struct reader *reader = container_of(key_reader, struct reader, keys);
    struct span text = yaml_text(node);
    void *at = (char *)reader->rule + row->at;
    if (!text.size || yaml_has_nul(node))
        return refuse(reader, row, node);
    switch ((enum rule_kind)row->kind) {
    case RULE_PATTERN: return read_pattern(reader, row, node);
    case RULE_SOURCE: return read_source(reader, text) ? 0 : refuse(reader, row, node);
    case RULE_BOOL:
        if (!span_is(text, "true") && !span_is(text, "false"))
            return refuse(reader, row, node);
        *(bool *)at = span_is(text, "true");
        return 0;
    case RULE_PROTOCOL:
        if (!is_protocol(text))
            return refuse(reader, row, node);
        break;
    case RULE_TEXT: break;
    }
    *(const char **)at = arena_span_dup(reader->arena, text).data;
    return 0;
}

/* A version without groups is one; one with groups names those that there are. */
static bool is_version(const struct consul_rule *rule)
{
    char text[SEMVER_TEXT_MAX];
    struct span form = span_of(rule->version);
    if (span_find(form, '$') == form.size)
        return consul_version_normalise(form, text) > 0;
    return rule->match && pattern_form_is_valid(rule->match, form);
}

/* What the values must be together. */
static int check(const struct reader *reader, const yaml_node_t *node)
{
    const struct consul_rule *rule = reader->rule;
    bool has_from = settings_keys_line(&keys, reader->lines, "from") > 0;
    const char *key = NULL, *why = NULL;
    if (!rule->version && !rule->protocol) {
        key = "registration.rules";
        why = "has a rule that says nothing; version, protocol, or both are needed";
    } else if (rule->match && !has_from) {
        key = "from";
        why = "is missing; what `match` matches is one of " SOURCES;
    } else if (has_from && !rule->match) {
        key = "match";
        why = "is missing; `from` needs what to match";
    } else if (!rule->service && !rule->match) {
        key = "registration.rules";
        why = "has a rule that holds for everything; service, match, or both are needed";
    } else if (rule->version && !is_version(rule)) {
        size_t line = settings_keys_line(&keys, reader->lines, "version");
        return settings_refuse(reader->problem, line, "version", span_of(rule->version),
                               "a version, or one with groups that `match` has, such as $1.$2");
    }
    return why ? settings_refuse_because(reader->problem, yaml_line(node), key, why) : 0;
}

int settings_read_rules(struct settings *settings, yaml_document_t *document,
                        const yaml_node_t *node, struct problem *problem)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return settings_refuse(problem, yaml_line(node), keys.path, yaml_found(node),
                               "a list of rules");
    const yaml_node_item_t *items = node->data.sequence.items.start;
    size_t n = (size_t)(node->data.sequence.items.top - items);
    if (n > CONSUL_RULES_MAX)
        return settings_refuse(problem, yaml_line(node), keys.path, SPAN("longer"), "256 at most");
    struct consul_rule *rules = arena_new_array(&settings->arena, struct consul_rule, n + 1);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *item = yaml_document_get_node(document, items[i]);
        struct reader reader = { .arena = &settings->arena, .rule = &rules[i], .problem = problem };
        reader.keys = (struct key_reader){ &keys, document, problem, reader.lines, read_value };
        int r = settings_keys_read(&reader.keys, item);
        if (!r)
            r = check(&reader, item);
        if (r)
            return r;
    }
    settings->rules = (struct consul_rules){ rules, n };
    return 0;
}

/* --- what the table tells people and editors --- */

void settings_write_rules_reference(struct buf *text)
{
    buf_puts(text, "\nA rule of `registration.rules`; see [frameworks.md](frameworks.md):\n\n");
    settings_keys_write_reference(&keys, text);
}

void settings_write_rules_schema(struct json_out *out)
{
    settings_write_type(out, "array");
    json_key(out, SPAN("maxItems"));
    json_uint(out, CONSUL_RULES_MAX);
    json_key(out, SPAN("items"));
    json_open(out, '{');
    settings_keys_write_schema(&keys, out);
    json_close(out, '}');
}
