#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A section with a table of keys of its own, such as a route or a listener, private to
 * daemon/settings*.c: the walk through its YAML, what is told of a key that is unknown or given
 * twice, its reference and its schema. What the values are is the table's own.
 *
 * Keys of one part of the section, "tls.", stand together in the table, whose order is that of the
 * reference. In the file they may be nested, or have their dots.
 *
 * Borrows:  everything. Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "codec/json.h"

struct settings_key {
    const char *key;
    int kind;  /* the table's own */
    size_t at; /* offset in what is filled */
    const char *accepts;
    const char *help;
};

struct settings_keys {
    const struct settings_key *rows;
    size_t n;
    const char *thing;   /* "a route" */
    const char *path;    /* of the whole in a problem, "routes" */
    const char *accepts; /* what the whole must be */
    /* The type of a row's value, and whatever else a schema says of it. */
    void (*write_type)(struct json_out *out, const struct settings_key *row);
};

struct key_reader {
    const struct settings_keys *keys;
    yaml_document_t *document;
    struct problem *problem;
    size_t *lines; /* by row: where it was given, or 0 */
    int (*read_value)(struct key_reader *reader, const struct settings_key *row,
                      const yaml_node_t *node);
};

/* Aliases are resolved by libyaml: the same node may stand in several places. */
static inline yaml_node_t *key_reader_node(const struct key_reader *reader, yaml_node_item_t item)
{
    return yaml_document_get_node(reader->document, item);
}

/* Answers: SETTINGS_INVALID. */
int settings_keys_read(struct key_reader *reader, const yaml_node_t *map) MUST_CHECK;

/* The line of a key that was given, or 0. */
size_t settings_keys_line(const struct settings_keys *keys, const size_t *lines, const char *key);

/* Whether any key was that begins so. */
bool settings_keys_given(const struct settings_keys *keys, const size_t *lines,
                         const char *section);

/* The row of a key, which exists. */
const struct settings_key *settings_keys_row(const struct settings_keys *keys, const char *key);

/* The rows of a table in Markdown, with its head. */
void settings_keys_write_reference(const struct settings_keys *keys, struct buf *text);

/* The members of the schema's object: type, properties, and that there are no others. */
void settings_keys_write_schema(const struct settings_keys *keys, struct json_out *out);
void settings_write_type(struct json_out *out, const char *type);
