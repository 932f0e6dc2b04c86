/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/route.h"

#include "base/arena.h"
#include "base/mem.h"

struct route {
    struct span host;  /* empty: any */
    bool is_any_label; /* host is ".example.com", one label stands before it */
    struct span path, prefix, method, header_name, header_value, service, strip;
};

struct route_table {
    unsigned n_refs, n_routes;
    bool has_hosts; /* some route looks at the host */
    struct arena arena;
    struct route *routes;
};

static struct span keep(struct route_table *table, const char *text)
{
    return text ? arena_span_dup(&table->arena, span_of(text)) : SPAN_NULL;
}

/* "/shop/" and "/shop" mean the same prefix; "/" is the empty one, below which everything lies. */
static struct span keep_prefix(struct route_table *table, const char *text)
{
    struct span prefix = keep(table, text);
    if (prefix.size > 1 && prefix.data[prefix.size - 1] == '/')
        prefix.size--;
    return prefix;
}

struct route_table *route_table_new(const struct gateway_route *routes, unsigned n_routes)
{
    struct route_table *table = mem_new(struct route_table);
    table->n_refs = 1;
    table->n_routes = n_routes;
    table->routes = arena_new_array(&table->arena, struct route, n_routes ? n_routes : 1);
    for (unsigned i = 0; i < n_routes; i++) {
        const struct gateway_route *from = &routes[i];
        struct route *route = &table->routes[i];
        *route = (struct route){
            .host = keep(table, from->host),
            .path = keep(table, from->path),
            .prefix = keep_prefix(table, from->prefix),
            .method = keep(table, from->method),
            .header_name = keep(table, from->header_name),
            .header_value = keep(table, from->header_value),
            .service = keep(table, from->service),
            .strip = keep_prefix(table, from->strip),
        };
        if (span_starts_with(route->host, SPAN("*."))) {
            route->host = span_from(route->host, 1);
            route->is_any_label = true;
        }
        table->has_hosts |= route->host.size != 0;
    }
    return table;
}

struct route_table *route_table_ref(struct route_table *table)
{
    table->n_refs++;
    return table;
}

struct route_table *route_table_unref(struct route_table *table)
{
    if (!table || --table->n_refs)
        return NULL;
    arena_fini(&table->arena);
    free(table);
    return NULL;
}

unsigned route_table_size(const struct route_table *table)
{
    return table->n_routes;
}

struct span route_service(const struct route_table *table, uint32_t route)
{
    return table->routes[route].service;
}

size_t route_strip(const struct route_table *table, uint32_t route, struct span path)
{
    struct span strip = table->routes[route].strip;
    return strip.size > 1 && path_is_below(path, strip) ? strip.size : 0;
}

bool path_is_below(struct span path, struct span prefix)
{
    if (!span_starts_with(path, prefix))
        return false;
    return path.size == prefix.size || path.data[prefix.size] == '/' ||
           (prefix.size && prefix.data[prefix.size - 1] == '/');
}

/* The host of "example.com:8000" or "[::1]:8000". */
static struct span without_port(struct span authority)
{
    size_t size = authority.size;
    while (size && authority.data[size - 1] >= '0' && authority.data[size - 1] <= '9')
        size--;
    if (size && authority.data[size - 1] == ':')
        return span_first(authority, size - 1);
    return authority;
}

static bool host_matches(const struct route *route, struct span host)
{
    if (!route->is_any_label)
        return span_equals_nocase(route->host, host);
    if (host.size <= route->host.size)
        return false;
    size_t label = host.size - route->host.size;
    return span_find(host, '.') == label && span_equals_nocase(span_from(host, label), route->host);
}

/* Every line of that name is looked at: one that matches suffices. */
static bool header_matches(const struct route *route, const struct http_head *head)
{
    for (unsigned i = 0; i < head->n_fields; i++) {
        const struct http_field *field = &head->fields[i];
        if (!span_equals_nocase(field->name, route->header_name))
            continue;
        if (!route->header_value.size || span_equals(field->value, route->header_value))
            return true;
    }
    return false;
}

uint32_t route_match(const struct route_table *table, const struct http_head *head,
                     struct span path)
{
    struct span host = table->has_hosts ? without_port(head->authority) : SPAN_NULL;
    for (uint32_t i = 0; i < table->n_routes; i++) {
        const struct route *route = &table->routes[i];
        if (route->path.size && !span_equals(route->path, path))
            continue;
        if (route->prefix.size && !path_is_below(path, route->prefix))
            continue;
        if (route->method.size && !span_equals(route->method, head->method))
            continue;
        if (route->host.size && !host_matches(route, host))
            continue;
        if (route->header_name.size && !header_matches(route, head))
            continue;
        return i;
    }
    return NO_ROUTE;
}
