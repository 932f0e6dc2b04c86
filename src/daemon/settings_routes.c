/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A route is read in two steps. Here each value goes where its row of the table says, so that a key
 * is known, given once, and of the right kind. What it says is judged by settings_check_route(),
 * when the whole route is there and every key's line is known.
 */

#include "daemon/settings_routes.h"

#include <stdio.h>
#include <string.h>

#include "daemon/settings_table.h"
#include "daemon/settings_yaml.h"

#define LIST_MAX GATEWAY_FIELDS_MAX /* values of one key of one route */

/* One reading of one route. */
struct reader {
    struct key_reader keys;
    struct arena *arena;
    struct problem *problem;
    struct route_read *read;
};

static const yaml_node_t *node_at(const struct reader *reader, yaml_node_item_t item)
{
    return key_reader_node(&reader->keys, item);
}

/* One node, or those of a list. */
struct items {
    const yaml_node_t *node;
    size_t n;
};

static int items_of(const struct reader *reader, const struct settings_key *setting,
                    const yaml_node_t *node, struct items *ret_items)
{
    *ret_items = (struct items){ node, 1 };
    if (node->type == YAML_SCALAR_NODE)
        return 0;
    size_t n = 0;
    if (node->type == YAML_SEQUENCE_NODE)
        n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (n == 0)
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    if (n > LIST_MAX)
        return settings_refuse(reader->problem, yaml_line(node), setting->key, SPAN("longer"),
                               "64 at most");
    *ret_items = (struct items){ node, n };
    return 0;
}

static const yaml_node_t *item_at(const struct reader *reader, const struct items *items, size_t i)
{
    if (items->node->type != YAML_SEQUENCE_NODE)
        return items->node;
    return node_at(reader, items->node->data.sequence.items.start[i]);
}

/* --- kinds of values --- */

/* The value of a header may be empty, its name may not; that is found out when it is judged. */
static int read_text(const struct reader *reader, const struct settings_key *setting,
                     const yaml_node_t *node, const char **ret_text)
{
    bool may_be_empty = setting->kind == ROUTE_TEXT_OR_EMPTY || setting->kind == ROUTE_FIELDS;
    if (node->type != YAML_SCALAR_NODE || yaml_has_nul(node) ||
        (!may_be_empty && !yaml_text(node).size))
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    *ret_text = arena_span_dup(reader->arena, yaml_text(node)).data;
    return 0;
}

static int read_texts(const struct reader *reader, const struct settings_key *setting,
                      const yaml_node_t *node, struct gateway_texts *ret_texts)
{
    struct items items;
    int r = items_of(reader, setting, node, &items);
    if (r)
        return r;
    const char **texts = arena_new_array(reader->arena, const char *, items.n);
    for (size_t i = 0; i < items.n; i++) {
        r = read_text(reader, setting, item_at(reader, &items, i), &texts[i]);
        if (r)
            return r;
    }
    *ret_texts = (struct gateway_texts){ texts, (unsigned)items.n };
    return 0;
}

/* A port that is none would only be found out by the first request. */
static bool is_reachable(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(address, text);
    return address->any.sa_family == AF_UNIX || !span_ends_with(span_of(text), SPAN(":0"));
}

static int read_addresses(const struct reader *reader, const struct settings_key *setting,
                          const yaml_node_t *node, struct gateway_route *route)
{
    struct items items;
    int r = items_of(reader, setting, node, &items);
    if (r)
        return r;
    static const struct span https = SPAN("https://");
    struct address *addresses = arena_new_array(reader->arena, struct address, items.n);
    for (size_t i = 0; i < items.n; i++) {
        const yaml_node_t *item = item_at(reader, &items, i);
        struct span text = yaml_text(item);
        bool is_tls = span_starts_with(text, https);
        if (is_tls)
            text = span_from(text, https.size);
        if (yaml_has_nul(item) || address_parse(text, &addresses[i]) ||
            !is_reachable(&addresses[i]))
            return settings_refuse(reader->problem, yaml_line(item), setting->key, yaml_found(item),
                                   setting->accepts);
        if (i > 0 && is_tls != route->is_tls) {
            return settings_refuse_because(reader->problem, yaml_line(item), setting->key,
                                           "has addresses with https:// and without; all or none "
                                           "are accepted");
        }
        route->is_tls = is_tls;
    }
    route->upstreams = addresses;
    route->n_upstreams = (unsigned)items.n;
    return 0;
}

static int read_bool(const struct reader *reader, const struct settings_key *setting,
                     const yaml_node_t *node, bool *ret_value)
{
    struct span text = yaml_text(node);
    if (!span_is(text, "true") && !span_is(text, "false"))
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    *ret_value = span_is(text, "true");
    return 0;
}

static int read_status(const struct reader *reader, const struct settings_key *setting,
                       const yaml_node_t *node, unsigned *ret_status)
{
    uint64_t status;
    if (!span_to_uint(yaml_text(node), 599, &status) || !status)
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    *ret_status = (unsigned)status;
    return 0;
}

static int read_protocol(const struct reader *reader, const struct settings_key *setting,
                         const yaml_node_t *node, enum http_protocol *ret_protocol)
{
    struct span text = yaml_text(node);
    if (span_is(text, "http1"))
        *ret_protocol = HTTP_PROTOCOL_1;
    else if (span_is(text, "http2"))
        *ret_protocol = HTTP_PROTOCOL_2;
    else if (span_is(text, "auto"))
        *ret_protocol = HTTP_PROTOCOL_AUTO;
    else
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    return 0;
}

/* How many lines a section of names and values makes; more than LIST_MAX means too many. */
static size_t count_lines(const struct reader *reader, const yaml_node_t *map)
{
    size_t n = 0;
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
         pair < map->data.mapping.pairs.top && n <= LIST_MAX; pair++) {
        const yaml_node_t *value = node_at(reader, pair->value);
        n += value->type != YAML_SEQUENCE_NODE
                 ? 1
                 : (size_t)(value->data.sequence.items.top - value->data.sequence.items.start);
    }
    return n;
}

/* "X-A: [b, c]" is two fields of one name: lines of a head, which some names need apart. */
static int read_fields(const struct reader *reader, const struct settings_key *setting,
                       const yaml_node_t *map, struct gateway_fields *ret_fields)
{
    if (map->type != YAML_MAPPING_NODE)
        return settings_refuse(reader->problem, yaml_line(map), setting->key, yaml_found(map),
                               setting->accepts);
    size_t n = count_lines(reader, map);
    if (n > LIST_MAX)
        return settings_refuse(reader->problem, yaml_line(map), setting->key, SPAN("longer"),
                               "64 lines at most");
    struct gateway_field *fields = arena_new_array(reader->arena, struct gateway_field, n + 1);
    unsigned n_read = 0;
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *name = node_at(reader, pair->key);
        struct items values;
        int r = items_of(reader, setting, node_at(reader, pair->value), &values);
        for (size_t i = 0; i < values.n && !r; i++) {
            struct gateway_field *field = &fields[n_read++];
            r = read_text(reader, setting, name, &field->name);
            if (!r)
                r = read_text(reader, setting, item_at(reader, &values, i), &field->value);
        }
        if (r)
            return r;
    }
    *ret_fields = (struct gateway_fields){ fields, n_read };
    return 0;
}

static int read_health(const struct reader *reader, const struct settings_key *setting,
                       const yaml_node_t *node)
{
    struct health_check *health = &reader->read->route.health;
    struct span member = span_from(span_of(setting->key), sizeof("health.") - 1);
    if (node->type != YAML_SCALAR_NODE || yaml_has_nul(node))
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    struct span text = arena_span_dup(reader->arena, yaml_text(node));
    if (health_check_set(health, member, text, reader->problem) == HEALTH_OK)
        return 0;
    if (reader->problem)
        reader->problem->line = (unsigned)yaml_line(node);
    return SETTINGS_INVALID;
}

/* The row's offset points at a member of the kind that the row says. */
static int read_value(struct key_reader *keys, const struct settings_key *setting,
                      const yaml_node_t *node)
{
    const struct reader *reader = container_of(keys, struct reader, keys);
    void *at = (char *)&reader->read->route + setting->at;
    switch ((enum route_kind_of_value)setting->kind) {
    case ROUTE_TEXT:
    case ROUTE_TEXT_OR_EMPTY: return read_text(reader, setting, node, at);
    case ROUTE_BOOL: return read_bool(reader, setting, node, at);
    case ROUTE_STATUS: return read_status(reader, setting, node, at);
    case ROUTE_TEXTS: return read_texts(reader, setting, node, at);
    case ROUTE_ADDRESSES: return read_addresses(reader, setting, node, &reader->read->route);
    case ROUTE_HEALTH: return read_health(reader, setting, node);
    case ROUTE_PROTOCOL: return read_protocol(reader, setting, node, at);
    case ROUTE_FIELDS: return read_fields(reader, setting, node, at);
    }
    return 0;
}

/* What is meant where a part of an answer or a redirect is left out. */
static void set_standards(struct route_read *read)
{
    struct gateway_route *route = &read->route;
    if (!route->answer_status && (route->answer_body || route->answer_type))
        route->answer_status = 200;
    if (route->answer_body && route->answer_body[0] && !route->answer_type)
        route->answer_type = "text/plain; charset=utf-8";
    if (route->redirect_to && !route->redirect_status)
        route->redirect_status = 308;
}

int settings_read_routes(struct settings *settings, yaml_document_t *document,
                         const yaml_node_t *node, struct problem *problem)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return settings_refuse(problem, yaml_line(node), "routes", yaml_found(node),
                               "a list of routes");

    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (n > GATEWAY_ROUTES_MAX)
        return settings_refuse(problem, yaml_line(node), "routes", SPAN("longer"), "4096 at most");

    settings->routes = arena_new_array(&settings->arena, struct gateway_route, n);
    settings->gateway.routes = settings->routes;
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *item =
            yaml_document_get_node(document, node->data.sequence.items.start[i]);
        struct route_read read = { .line = yaml_line(item) };
        read.route.health = health_check_standard;
        struct reader reader = {
            .keys = { &settings_route_keys, document, problem, read.lines, read_value },
            .arena = &settings->arena,
            .problem = problem,
            .read = &read,
        };
        int r = settings_keys_read(&reader.keys, item);
        if (r)
            return r;
        set_standards(&read);
        r = settings_check_route(&read, problem);
        if (r)
            return r;
        settings->routes[i] = read.route;
    }
    settings->gateway.n_routes = (unsigned)n;
    return 0;
}
