#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list `routes` of the config file, private to daemon/settings*.c: its own table of keys, from
 * which the reader, the reference and the schema come, and what the keys of a route must be
 * together.
 *
 * Threads: any.
 */

#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include "daemon/settings.h"
#include "daemon/settings_keys.h"

#define ROUTE_KEYS_MAX 64u

enum route_kind_of_value {
    ROUTE_TEXT,
    ROUTE_TEXT_OR_EMPTY,
    ROUTE_BOOL,
    ROUTE_STATUS,
    ROUTE_TEXTS,     /* one or a list */
    ROUTE_ADDRESSES, /* one or a list */
    ROUTE_PROTOCOL,  /* an enum http_protocol by its name */
    ROUTE_HEALTH,    /* a member of a health check, by the key's last word */
    ROUTE_FIELDS,    /* names and values; a list of values is several lines */
};

/* Kinds are enum route_kind_of_value; offsets are in struct gateway_route. */
extern const struct settings_keys settings_route_keys;

/* A route as it was read, with the line of each key that was given; 0 of the others. */
struct route_read {
    struct gateway_route route;
    size_t line;
    size_t lines[ROUTE_KEYS_MAX];
};

/* Fills settings->gateway.routes. Answers: SETTINGS_INVALID. */
int settings_read_routes(struct settings *settings, yaml_document_t *document,
                         const yaml_node_t *node, struct problem *problem) MUST_CHECK;

/* What single values cannot tell, and what they must be. Answers: SETTINGS_INVALID. */
int settings_check_route(const struct route_read *read, struct problem *problem) MUST_CHECK;

void settings_write_routes_reference(struct buf *text);
void settings_write_routes_schema(struct json_out *out);
