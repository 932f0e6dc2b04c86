/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Paths and prefixes of the routes are laid out as a tree whose edges are segments: "/a/b" is two
 * steps from the root, "/a/" is "a" and then the empty segment, "/" is the empty one alone. A node
 * lists, in their order, the routes whose prefix ends there and those whose whole path does. There
 * is a tree for each host, one for each "*.host", and one for routes that name none.
 *
 * A request walks down its own segments in the trees of its host until there is no such edge, so
 * that neither the number of routes nor the length of its path costs it anything. Of all routes it
 * passes the first in the file's order is taken.
 */

#include "gateway/route.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/tls.h"
#include "version/version.h"

#define HOST_MAX 256u /* longer than any host that a route can name */

struct route {
    const struct span *methods;
    unsigned n_methods;
    struct span header_name, header_value;
    const struct span *client_sans;
    unsigned n_client_sans;
    struct span strip; /* a prefix that is cut off the path */
    struct span put;   /* instead of it */
    bool is_whole;     /* `put` is the whole path */
    uint32_t next;     /* in its list, or NO_ROUTE */
    struct route_action action;
};

/* Routes in their order. */
struct route_list {
    uint32_t first, last;
};

/* The first node is the root of routes that name no host; the roots of hosts have these in place of
 * a parent. */
#define PARENT_HOST UINT32_MAX
#define PARENT_ANY_LABEL (UINT32_MAX - 1)

struct node {
    struct route_list below, exact; /* by prefix, by path */
    uint32_t parent;
    struct span segment;
    bool has_children;
};

struct route_table {
    unsigned n_refs, n_routes;
    bool has_hosts; /* some route looks at the host */
    struct arena arena;
    struct route *routes;
    struct node *nodes;
    uint32_t n_nodes;
    uint32_t *slots; /* of nodes by parent and segment; open addressing, 0 is free */
    uint32_t slot_mask;
    struct endpoint *endpoints; /* of all static upstreams */
    uint32_t n_endpoints, n_upstreams;
    struct address *gone;
    size_t n_gone;
};

/* --- the tree --- */

/* Where the node is, or would be. The table is never more than half full, so runs are short. */
static uint32_t *slot_of(const struct route_table *table, uint32_t parent, struct span segment)
{
    uint64_t hash = hash_seeded(segment) + parent * 0x9e3779b97f4a7c15u;
    for (uint32_t at = (uint32_t)(hash ^ hash >> 32);; at++) {
        uint32_t *slot = &table->slots[at & table->slot_mask];
        const struct node *node = &table->nodes[*slot];
        if (!*slot || (node->parent == parent && span_equals(node->segment, segment)))
            return slot;
    }
}

static uint32_t child_of(struct route_table *table, uint32_t parent, struct span segment)
{
    uint32_t *slot = slot_of(table, parent, segment), found = *slot;
    if (found)
        return found;
    *slot = table->n_nodes++;
    table->nodes[*slot] = (struct node){ .below = { NO_ROUTE, NO_ROUTE },
                                         .exact = { NO_ROUTE, NO_ROUTE },
                                         .parent = parent,
                                         .segment = segment };
    if (parent < PARENT_ANY_LABEL)
        table->nodes[parent].has_children = true;
    return *slot;
}

static struct node *node_of(struct route_table *table, uint32_t root, struct span path)
{
    uint32_t at = root;
    struct span rest = { path.data + 1, path.size - 1 };
    while (rest.data)
        at = child_of(table, at, span_cut(&rest, '/'));
    return &table->nodes[at];
}

/* Routes come in their order, so a list is in theirs. */
static void list_route(struct route_table *table, struct route_list *list, uint32_t route)
{
    table->routes[route].next = NO_ROUTE;
    if (list->first == NO_ROUTE) {
        list->first = route;
    } else {
        table->routes[list->last].next = route;
    }
    list->last = route;
}

static size_t count_segments(const char *path)
{
    size_t n = 0;
    for (; path && *path; path++)
        n += *path == '/';
    return n;
}

/* Every segment may be a node of its own, and every host a root; there are seldom that many. */
static void make_tree(struct route_table *table, const struct gateway_route *routes)
{
    size_t n_nodes = 1;
    for (unsigned i = 0; i < table->n_routes; i++)
        n_nodes += 1 + count_segments(routes[i].path) + count_segments(routes[i].prefix);
    uint32_t n_slots = 4;
    while (n_slots < 2 * n_nodes)
        n_slots *= 2;
    table->slots = arena_new_array(&table->arena, uint32_t, n_slots);
    table->slot_mask = n_slots - 1;
    table->nodes = arena_new_array(&table->arena, struct node, n_nodes);
    table->nodes[0].below = table->nodes[0].exact = (struct route_list){ NO_ROUTE, NO_ROUTE };
    table->n_nodes = 1;
}

/* --- compiling --- */

static struct span keep(struct route_table *table, const char *text)
{
    return text ? arena_span_dup(&table->arena, span_of(text)) : SPAN_NULL;
}

/* "/shop/" and "/shop" mean the same prefix; "/" is the empty one, below which everything lies. */
static struct span keep_prefix(struct route_table *table, const char *text)
{
    struct span prefix = keep(table, text);
    if (prefix.size && prefix.data[prefix.size - 1] == '/')
        prefix.size--;
    return prefix;
}

static uint32_t root_of(struct route_table *table, const char *host)
{
    struct span kept = keep(table, host);
    if (!kept.size)
        return 0;
    table->has_hosts = true;
    if (span_starts_with(kept, SPAN("*.")))
        return child_of(table, PARENT_ANY_LABEL, span_from(kept, 1));
    return child_of(table, PARENT_HOST, kept);
}

static void place(struct route_table *table, const struct gateway_route *from, uint32_t route)
{
    uint32_t root = root_of(table, from->host);
    struct node *node = &table->nodes[root];
    if (from->path) {
        list_route(table, &node_of(table, root, keep(table, from->path))->exact, route);
        return;
    }
    struct span prefix = keep_prefix(table, from->prefix);
    if (prefix.size)
        node = node_of(table, root, prefix);
    list_route(table, &node->below, route);
}

static void keep_conditions(struct route_table *table, const struct gateway_route *from,
                            struct route *route)
{
    route->header_name = keep(table, from->header_name);
    route->header_value = keep(table, from->header_value);
    struct span *sans = arena_new_array(&table->arena, struct span, from->client_sans.n + 1);
    for (unsigned i = 0; i < from->client_sans.n; i++)
        sans[i] = keep(table, from->client_sans.texts[i]);
    route->client_sans = sans;
    route->n_client_sans = from->client_sans.n;
    struct span *methods = arena_new_array(&table->arena, struct span, from->methods.n + 1);
    for (unsigned i = 0; i < from->methods.n; i++)
        methods[i] = keep(table, from->methods.texts[i]);
    route->methods = methods;
    route->n_methods = from->methods.n;
}

/* "https://example.com" alone is the root of that host. */
static struct span keep_target(struct route_table *table, const char *to)
{
    const char *host = to ? strstr(to, "://") : NULL;
    if (host && !strchr(host + 3, '/'))
        return span_of(arena_format(&table->arena, "%s/", to));
    return keep(table, to);
}

/* A redirect replaces the prefix or the path, so it is a rewrite with a host before it. */
static void keep_path(struct route_table *table, const struct gateway_route *from,
                      struct route *route)
{
    route->strip = keep_prefix(table, from->strip);
    if (from->rewrite_path) {
        route->put = keep(table, from->rewrite_path);
        route->is_whole = true;
    } else if (from->rewrite_prefix) {
        route->strip = keep_prefix(table, from->prefix);
        route->put = keep_prefix(table, from->rewrite_prefix);
    } else if (from->redirect_to) {
        route->is_whole = from->path != NULL;
        route->strip = keep_prefix(table, from->prefix);
        route->put = keep_prefix(table, from->redirect_to);
        if (route->is_whole)
            route->put = route->action.to;
    }
}

/* All static endpoints of the table stand in one array, so that a worker keeps what it knows of them
 * in one array too. */
static void keep_upstream(struct route_table *table, const struct gateway_route *from,
                          const struct tls_client *tls, struct route_upstream *ret_upstream)
{
    struct endpoint *endpoints = &table->endpoints[table->n_endpoints];
    for (unsigned i = 0; i < from->n_upstreams; i++) {
        endpoints[i] = (struct endpoint){ .address = from->upstreams[i],
                                          .build = NO_INDEX,
                                          .protocol = from->upstream_protocol,
                                          .tls = tls_client_ref(tls) };
    }
    *ret_upstream = (struct route_upstream){
        .endpoints = endpoints,
        .n = from->n_upstreams,
        .first = table->n_endpoints,
        .number = table->n_upstreams++,
    };
    table->n_endpoints += from->n_upstreams;
}

static struct span keep_joined(struct route_table *table, const struct gateway_texts *texts)
{
    const char *joined = "";
    for (unsigned i = 0; i < texts->n; i++)
        joined = arena_format(&table->arena, "%s%s%s", joined, i ? "," : "", texts->texts[i]);
    return span_of(joined);
}

static void keep_action(struct route_table *table, const struct gateway_route *from,
                        const struct tls_client *tls, struct route_action *action)
{
    action->service = keep(table, from->service);
    action->to = keep_target(table, from->redirect_to);
    action->body = keep(table, from->answer_body);
    action->type = keep(table, from->answer_type);
    action->status = from->redirect_to ? from->redirect_status : from->answer_status;
    field_rules_compile(&from->request_fields, &table->arena, &action->request);
    field_rules_compile(&from->response_fields, &table->arena, &action->response);
    action->name = span_of(arena_format(&table->arena, "%s%s", from->host ? from->host : "",
                                        from->path     ? from->path
                                        : from->prefix ? from->prefix
                                                       : "/"));
    action->origins = keep_joined(table, &from->origins);
    if (from->n_upstreams) {
        action->kind = ROUTE_UPSTREAM;
        action->health = from->health;
        action->health.target = arena_span_dup(&table->arena, from->health.target);
        keep_upstream(table, from, tls, &action->upstream);
    } else if (from->redirect_to) {
        action->kind = ROUTE_REDIRECT;
    } else if (from->answer_status) {
        action->kind = ROUTE_ANSWER;
    }

    struct span host = keep(table, from->upstream_host);
    if (span_is(host, "upstream")) {
        action->host_kind = ROUTE_HOST_UPSTREAM;
    } else if (host.size && !span_is(host, "client")) {
        action->host_kind = ROUTE_HOST_NAMED;
        action->host = host;
    }
}

struct known_address {
    struct map_node node;
};

static struct span address_key(const struct address *address)
{
    return (struct span){ (const char *)&address->any, address->size };
}

/* By address: an upstream may have moved from one route to another, and stays then. */
static void find_gone(struct route_table *table, const struct route_table *before)
{
    struct map known;
    map_init(&known);
    struct known_address *nodes = mem_new_array(struct known_address, table->n_endpoints + 1);
    for (uint32_t i = 0; i < table->n_endpoints; i++) {
        struct span key = address_key(&table->endpoints[i].address);
        if (!map_find(&known, key))
            map_add(&known, &nodes[i].node, key);
    }
    table->gone = arena_new_array(&table->arena, struct address, before->n_endpoints + 1);
    for (uint32_t i = 0; i < before->n_endpoints; i++) {
        const struct address *address = &before->endpoints[i].address;
        if (!map_find(&known, address_key(address)))
            table->gone[table->n_gone++] = *address;
    }
    map_fini(&known);
    free(nodes);
}

struct route_table *route_table_new(const struct gateway_route *routes, unsigned n_routes,
                                    const struct tls_client *const *tls,
                                    const struct route_table *before)
{
    struct route_table *table = mem_new(struct route_table);
    table->n_refs = 1;
    table->n_routes = n_routes;
    table->routes = arena_new_array(&table->arena, struct route, n_routes ? n_routes : 1);
    make_tree(table, routes);
    uint32_t n_endpoints = 0;
    for (unsigned i = 0; i < n_routes; i++)
        n_endpoints += routes[i].n_upstreams;
    table->endpoints = arena_new_array(&table->arena, struct endpoint, n_endpoints + 1);
    for (unsigned i = 0; i < n_routes; i++) {
        struct route *route = &table->routes[i];
        keep_conditions(table, &routes[i], route);
        keep_action(table, &routes[i], tls ? tls[i] : NULL, &route->action);
        keep_path(table, &routes[i], route);
        place(table, &routes[i], i);
    }
    if (before)
        find_gone(table, before);
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
    for (uint32_t i = 0; i < table->n_endpoints; i++)
        tls_client_unref(table->endpoints[i].tls);
    arena_fini(&table->arena);
    free(table);
    return NULL;
}

/* --- looking at it --- */

unsigned route_table_size(const struct route_table *table)
{
    return table->n_routes;
}

uint32_t route_table_n_upstreams(const struct route_table *table)
{
    return table->n_upstreams;
}

uint32_t route_table_n_endpoints(const struct route_table *table)
{
    return table->n_endpoints;
}

const struct address *route_table_gone(const struct route_table *table, size_t *ret_n)
{
    *ret_n = table->n_gone;
    return table->gone;
}

const struct route_action *route_action(const struct route_table *table, uint32_t route)
{
    return &table->routes[route].action;
}

struct route_path route_path(const struct route_table *table, uint32_t route, struct span path)
{
    const struct route *from = &table->routes[route];
    if (from->is_whole)
        return (struct route_path){ from->put, path.size };
    return (struct route_path){ from->put,
                                path_is_below(path, from->strip) ? from->strip.size : 0 };
}

bool path_is_below(struct span path, struct span prefix)
{
    if (!span_starts_with(path, prefix))
        return false;
    return path.size == prefix.size || path.data[prefix.size] == '/' ||
           (prefix.size && prefix.data[prefix.size - 1] == '/');
}

/* --- matching --- */

/* The host of "example.com:8000" or "[::1]:8000". One that ends with a dot is the same host. */
static struct span host_of(struct span authority)
{
    size_t size = authority.size;
    while (size && authority.data[size - 1] >= '0' && authority.data[size - 1] <= '9')
        size--;
    struct span host =
        size && authority.data[size - 1] == ':' ? span_first(authority, size - 1) : authority;
    return span_ends_with(host, SPAN(".")) ? span_first(host, host.size - 1) : host;
}

static bool method_matches(const struct route *route, struct span method)
{
    for (unsigned i = 0; i < route->n_methods; i++) {
        if (span_equals(route->methods[i], method))
            return true;
    }
    return false;
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

/* A pattern with a colon is of URIs, any other of host names, so that neither passes for the other. */
static bool san_matches(struct span pattern, const struct tls_name *name)
{
    bool is_open = span_ends_with(pattern, SPAN("*"));
    bool is_uri = span_find(pattern, ':') < pattern.size;
    struct span text = name->text;
    pattern.size -= is_open;
    if (pattern.size > 0 && is_uri != (name->kind == TLS_NAME_URI))
        return false;
    if (is_open)
        text = span_first(text, pattern.size);
    return is_uri ? span_equals(text, pattern) : span_equals_nocase(text, pattern);
}

static bool client_matches(const struct route *route, const struct tls_peer *peer)
{
    if (!peer || !peer->is_verified)
        return false;
    for (unsigned i = 0; i < route->n_client_sans; i++) {
        for (unsigned k = 0; k < peer->n_names; k++) {
            if (san_matches(route->client_sans[i], &peer->names[k]))
                return true;
        }
    }
    return false;
}

static bool conditions_match(const struct route *route, const struct http_head *head,
                             const struct tls_peer *peer)
{
    if (unlikely(route->n_client_sans) && !client_matches(route, peer))
        return false;
    if (route->n_methods && !method_matches(route, head->method))
        return false;
    return !route->header_name.size || header_matches(route, head);
}

/* The first of the list that matches and comes before `best`, or `best`. */
static uint32_t first_of(const struct route_table *table, const struct route_list *list,
                         const struct http_head *head, const struct tls_peer *peer, uint32_t best)
{
    for (uint32_t i = list->first; i < best; i = table->routes[i].next) {
        if (conditions_match(&table->routes[i], head, peer))
            return i;
    }
    return best;
}

/* The first route of one tree that matches and comes before `best`, or `best`. */
static uint32_t walk(const struct route_table *table, uint32_t root, const struct http_head *head,
                     const struct tls_peer *peer, struct span path, uint32_t best)
{
    const struct node *node = &table->nodes[root];
    best = first_of(table, &node->below, head, peer, best);
    struct span rest = { path.data + 1, path.size - 1 };
    while (node->has_children && rest.data) {
        struct span segment = span_cut(&rest, '/');
        uint32_t below = *slot_of(table, (uint32_t)(node - table->nodes), segment);
        if (!below)
            return best;
        node = &table->nodes[below];
        best = first_of(table, &node->below, head, peer, best);
        if (!rest.data)
            best = first_of(table, &node->exact, head, peer, best);
    }
    return best;
}

/* The same in the trees of the request's host. */
static uint32_t walk_host(const struct route_table *table, const struct http_head *head,
                          const struct tls_peer *peer, struct span path, uint32_t best)
{
    char memory[HOST_MAX];
    struct span host = host_of(head->authority);
    if (!host.size || host.size > sizeof(memory))
        return best;
    for (size_t i = 0; i < host.size; i++) {
        memory[i] = host.data[i];
        if (memory[i] >= 'A' && memory[i] <= 'Z')
            memory[i] |= 0x20;
    }
    host.data = memory;
    uint32_t root = *slot_of(table, PARENT_HOST, host);
    if (root)
        best = walk(table, root, head, peer, path, best);
    size_t dot = span_find(host, '.');
    root = dot && dot < host.size ? *slot_of(table, PARENT_ANY_LABEL, span_from(host, dot)) : 0;
    return root ? walk(table, root, head, peer, path, best) : best;
}

uint32_t route_match(const struct route_table *table, const struct http_head *head,
                     const struct tls_peer *peer, struct span path)
{
    uint32_t best = walk(table, 0, head, peer, path, NO_ROUTE);
    return table->has_hosts ? walk_host(table, head, peer, path, best) : best;
}
