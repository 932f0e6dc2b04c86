/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_keys.h"

#include <stdio.h>
#include <string.h>

#include "daemon/settings.h"
#include "daemon/settings_table.h"
#include "daemon/settings_yaml.h"

static bool begins_with(const char *key, const char *prefix)
{
    return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* The next name right below a section, from row `*at` on; SPAN_NULL behind the last. `ret_row` is its
 * row, or the first of its own section. */
static struct span next_name(const struct settings_keys *keys, struct span section, size_t *at,
                             const struct settings_key **ret_row)
{
    struct span last = SPAN_NULL;
    if (*at) {
        struct span before = span_of(keys->rows[*at - 1].key);
        if (span_starts_with(before, section)) {
            before = span_from(before, section.size);
            last = span_cut(&before, '.');
        }
    }
    while (*at < keys->n) {
        *ret_row = &keys->rows[(*at)++];
        struct span rest = span_of((*ret_row)->key);
        if (!span_starts_with(rest, section))
            continue;
        rest = span_from(rest, section.size);
        struct span name = span_cut(&rest, '.');
        if (!span_equals(name, last))
            return name;
    }
    return SPAN_NULL;
}

/* --- reading --- */

/* The keys and sections right below a section, as "a, b and c". */
static void name_keys(const struct settings_keys *keys, struct span section, struct buf *text)
{
    const struct settings_key *row;
    size_t at = 0;
    struct span before = next_name(keys, section, &at, &row), name;
    while ((name = next_name(keys, section, &at, &row)).data) {
        buf_printf(text, "%s%.*s", text->size ? ", " : "", SPAN_ARG(before));
        before = name;
    }
    buf_printf(text, "%s%.*s", text->size ? " and " : "", SPAN_ARG(before));
}

static int refuse_key(const struct key_reader *reader, size_t line, const char *section,
                      const char *key)
{
    CLEANUP(buf_fini) struct buf known = { 0 };
    name_keys(reader->keys, span_of(section), &known);
    problem_set(reader->problem, key, "is not known in %s; accepted are %.*s", reader->keys->thing,
                SPAN_ARG(buf_span(&known)));
    if (reader->problem)
        reader->problem->line = (unsigned)line;
    return SETTINGS_INVALID;
}

static int read_map(struct key_reader *reader, const char *section, const yaml_node_t *map);

/* Whether some key of the table begins with "match." or the like. */
static bool is_section(const struct settings_keys *keys, const char *prefix)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (begins_with(keys->rows[i].key, prefix))
            return true;
    }
    return false;
}

static int read_pair(struct key_reader *reader, const char *section, const yaml_node_t *key_node,
                     const yaml_node_t *value)
{
    const struct settings_keys *keys = reader->keys;
    char key[SETTINGS_KEY_MAX], below[SETTINGS_KEY_MAX];
    int size = snprintf(key, sizeof(key), "%s%.*s", section, SPAN_ARG(yaml_text(key_node)));
    if (size >= (int)sizeof(key) - 1)
        return refuse_key(reader, yaml_line(key_node), section, "a key");
    for (size_t i = 0; i < keys->n; i++) {
        if (strcmp(keys->rows[i].key, key) != 0)
            continue;
        if (reader->lines[i])
            return settings_refuse_twice(reader->problem, yaml_line(key_node), key);
        reader->lines[i] = yaml_line(key_node);
        return reader->read_value(reader, &keys->rows[i], value);
    }
    snprintf(below, sizeof(below), "%.126s.", key);
    if (key[0] && is_section(keys, below))
        return read_map(reader, below, value);
    return refuse_key(reader, yaml_line(key_node), section, key);
}

static int read_map(struct key_reader *reader, const char *section, const yaml_node_t *map)
{
    if (map->type != YAML_MAPPING_NODE) {
        char name[SETTINGS_KEY_MAX];
        struct span key = span_of(section);
        snprintf(name, sizeof(name), "%.*s", SPAN_ARG(span_first(key, key.size - (key.size > 0))));
        return settings_refuse(reader->problem, yaml_line(map),
                               section[0] ? name : reader->keys->path, yaml_found(map),
                               section[0] ? "a section of keys and values" : reader->keys->accepts);
    }
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
         pair++) {
        int r = read_pair(reader, section, key_reader_node(reader, pair->key),
                          key_reader_node(reader, pair->value));
        if (r)
            return r;
    }
    return 0;
}

int settings_keys_read(struct key_reader *reader, const yaml_node_t *map)
{
    return read_map(reader, "", map);
}

/* --- looking at what was given --- */

const struct settings_key *settings_keys_row(const struct settings_keys *keys, const char *key)
{
    size_t i = 0;
    while (strcmp(keys->rows[i].key, key) != 0)
        i++;
    return &keys->rows[i];
}

size_t settings_keys_line(const struct settings_keys *keys, const size_t *lines, const char *key)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (strcmp(keys->rows[i].key, key) == 0)
            return lines[i];
    }
    return 0;
}

bool settings_keys_given(const struct settings_keys *keys, const size_t *lines, const char *section)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (lines[i] && begins_with(keys->rows[i].key, section))
            return true;
    }
    return false;
}

/* --- what the table tells people and editors --- */

void settings_keys_write_reference(const struct settings_keys *keys, struct buf *text)
{
    buf_puts(text, "| key | accepts | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < keys->n; i++) {
        struct span accepts = span_of(keys->rows[i].accepts);
        if (span_ends_with(accepts, SPAN(",")))
            accepts.size--;
        buf_printf(text, "| `%s` | %.*s | %s |\n", keys->rows[i].key, SPAN_ARG(accepts),
                   keys->rows[i].help);
    }
}

void settings_write_type(struct json_out *out, const char *type)
{
    json_key(out, SPAN("type"));
    json_text(out, span_of(type));
}

static void write_leaf(const struct settings_keys *keys, struct json_out *out,
                       const struct settings_key *row)
{
    json_key(out, SPAN("description"));
    json_text(out, span_of(row->help));
    keys->write_type(out, row);
}

/* The schema's object for a section: its keys, and below it those with one dot more. */
static void write_members(const struct settings_keys *keys, struct json_out *out,
                          struct span section)
{
    const struct settings_key *row;
    struct span name;
    size_t at = 0;
    settings_write_type(out, "object");
    json_key(out, SPAN("additionalProperties"));
    json_bool(out, false);
    json_key(out, SPAN("properties"));
    json_open(out, '{');
    while ((name = next_name(keys, section, &at, &row)).data) {
        size_t size = section.size + name.size;
        json_key(out, name);
        json_open(out, '{');
        if (row->key[size])
            write_members(keys, out, span_first(span_of(row->key), size + 1));
        else
            write_leaf(keys, out, row);
        json_close(out, '}');
    }
    json_close(out, '}');
}

void settings_keys_write_schema(const struct settings_keys *keys, struct json_out *out)
{
    write_members(keys, out, SPAN_NULL);
}
