/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/rule.h"

#include "faces/consul/version.h"

/* Where the text and the name differ behind a "*", that takes one byte more, and both begin again:
 * the time is at most their product. */
static bool fits(struct span name, struct span text)
{
    size_t at = 0, i = 0, star = name.size, taken = 0;
    while (i < text.size) {
        if (at < name.size && name.data[at] == '*') {
            star = at++;
            taken = i;
        } else if (at < name.size && ascii_lower(name.data[at]) == ascii_lower(text.data[i])) {
            at++;
            i++;
        } else if (star < name.size) {
            at = star + 1;
            i = ++taken;
        } else {
            return false;
        }
    }
    while (at < name.size && name.data[at] == '*')
        at++;
    return at == name.size;
}

static struct span meta_of(const struct consul_saying *saying, const char *key)
{
    for (size_t i = 0; i < saying->n_meta; i++) {
        if (span_equals_nocase(saying->meta[i].key, span_of(key)))
            return saying->meta[i].value;
    }
    return SPAN_NULL;
}

/* The i-th text that a rule looks at; SPAN_NULL behind the last. */
static struct span text_at(const struct consul_rule *rule, const struct consul_saying *saying,
                           size_t i)
{
    if (rule->from == FROM_TAG)
        return i < saying->n_tags ? saying->tags[i] : SPAN_NULL;
    if (i > 0)
        return SPAN_NULL;
    switch (rule->from) {
    case FROM_NAME: return saying->name;
    case FROM_ADDRESS: return saying->address;
    case FROM_META: return meta_of(saying, rule->key);
    case FROM_ID:
    case FROM_TAG: break;
    }
    return saying->id;
}

static bool is_meant(const struct consul_rule *rule, bool overrides,
                     const struct consul_saying *saying)
{
    return rule->overrides == overrides &&
           (!rule->service || fits(span_of(rule->service), saying->name) ||
            fits(span_of(rule->service), saying->service));
}

static size_t version_by(const struct consul_rule *rule, const struct consul_saying *saying,
                         char ret_text[SEMVER_TEXT_MAX])
{
    char form[SEMVER_TEXT_MAX];
    struct span text;
    if (!rule->match)
        return consul_version_normalise(span_of(rule->version), ret_text);
    for (size_t i = 0; (text = text_at(rule, saying, i)).data; i++) {
        size_t size;
        if (!pattern_expand(rule->match, text, span_of(rule->version), sizeof(form), form, &size))
            continue;
        size = consul_version_normalise((struct span){ form, size }, ret_text);
        if (size)
            return size;
    }
    return 0;
}

size_t consul_rules_version(const struct consul_rules *rules, bool overrides,
                            const struct consul_saying *saying, char ret_text[SEMVER_TEXT_MAX])
{
    for (size_t i = 0; rules && i < rules->n; i++) {
        const struct consul_rule *rule = &rules->rules[i];
        if (!rule->version || !is_meant(rule, overrides, saying))
            continue;
        size_t size = version_by(rule, saying, ret_text);
        if (size)
            return size;
    }
    return 0;
}

static bool matches(const struct consul_rule *rule, const struct consul_saying *saying)
{
    struct span text;
    for (size_t i = 0; rule->match && (text = text_at(rule, saying, i)).data; i++) {
        if (pattern_matches(rule->match, text))
            return true;
    }
    return !rule->match;
}

struct span consul_rules_protocol(const struct consul_rules *rules, bool overrides,
                                  const struct consul_saying *saying)
{
    for (size_t i = 0; rules && i < rules->n; i++) {
        const struct consul_rule *rule = &rules->rules[i];
        if (rule->protocol && is_meant(rule, overrides, saying) && matches(rule, saying))
            return span_of(rule->protocol);
    }
    return SPAN_NULL;
}

/* None differs from an empty one, and no text can look like the beginning of the next. */
static void write_text(struct span part, struct buf *text)
{
    if (part.data)
        buf_printf(text, "%zu:", part.size);
    buf_put(text, part);
    buf_puts(text, ",");
}

static struct span text_of(const char *text)
{
    return text ? span_of(text) : SPAN_NULL;
}

void consul_rules_write(const struct consul_rules *rules, struct buf *text)
{
    for (size_t i = 0; rules && i < rules->n; i++) {
        const struct consul_rule *rule = &rules->rules[i];
        buf_printf(text, "%u%u", (unsigned)rule->from, (unsigned)rule->overrides);
        write_text(text_of(rule->service), text);
        write_text(text_of(rule->key), text);
        write_text(rule->match ? pattern_text(rule->match) : SPAN_NULL, text);
        write_text(text_of(rule->version), text);
        write_text(text_of(rule->protocol), text);
    }
}
