/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/route.h"

#include "head.h"

static const struct gateway_route routes[] = {
    { .path = "/graphql", .service = "storefront" },
    { .prefix = "/session", .service = "session" },
    { .prefix = "/v1/", .strip = "/v1", .service = "stripped" },
    { .host = "shop.example.com", .service = "shop" },
    { .host = "*.example.org", .service = "wild" },
    { .prefix = "/upload", .method = "PUT", .service = "upload" },
    { .header_name = "X-Kind", .header_value = "a", .service = "kind-a" },
    { .header_name = "x-any", .service = "any" },
    { .host = "[::1]", .service = "six" },
};

static const char *match(const char *method, const char *path, const char *host, const char *field)
{
    char text[512];
    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, host, field);
    struct http_head head;
    parse_request(text, &head);
    struct route_table *table = route_table_new(routes, sizeof(routes) / sizeof(routes[0]));
    uint32_t route = route_match(table, &head, head.path_and_query);
    static char service[64];
    struct span found = route == NO_ROUTE ? SPAN("none") : route_service(table, route);
    snprintf(service, sizeof(service), "%.*s", SPAN_ARG(found));
    route_table_unref(table);
    return service;
}

TEST(the_first_route_that_matches_decides)
{
    static const struct {
        const char *method, *path, *host, *field, *service;
    } table[] = {
        { "GET", "/graphql", "x", "", "storefront" },
        { "GET", "/graphql/", "x", "", "none" },
        { "GET", "/graphqlx", "x", "", "none" },
        { "POST", "/session", "x", "", "session" },
        { "GET", "/session/new", "x", "", "session" },
        { "GET", "/sessions", "x", "", "none" },
        { "GET", "/v1", "x", "", "stripped" },
        { "GET", "/v1/a", "x", "", "stripped" },
        { "GET", "/v11", "x", "", "none" },
        { "GET", "/", "shop.example.com", "", "shop" },
        { "GET", "/", "SHOP.Example.COM:8000", "", "shop" },
        { "GET", "/", "a.shop.example.com", "", "none" },
        { "GET", "/session", "shop.example.com", "", "session" },
        { "GET", "/", "a.example.org:80", "", "wild" },
        { "GET", "/", "a.b.example.org", "", "none" },
        { "GET", "/", "example.org", "", "none" },
        { "GET", "/", ".example.org", "", "none" },
        { "PUT", "/upload", "x", "", "upload" },
        { "put", "/upload", "x", "", "none" },
        { "POST", "/upload", "x", "", "none" },
        { "GET", "/", "x", "x-kind: a\r\n", "kind-a" },
        { "GET", "/", "x", "x-kind: b\r\n", "none" },
        { "GET", "/", "x", "x-kind: b\r\nx-kind: a\r\n", "kind-a" },
        { "GET", "/", "x", "X-Any: \r\n", "any" },
        { "GET", "/", "[::1]:8000", "", "six" },
        { "GET", "/", "[::1]", "", "six" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        printf("# %s %s %s\n", table[i].method, table[i].path, table[i].host);
        CHECK_STR(match(table[i].method, table[i].path, table[i].host, table[i].field),
                  table[i].service);
    }
}

TEST(a_prefix_is_stripped_only_where_the_path_has_it)
{
    struct route_table *table = route_table_new(routes, sizeof(routes) / sizeof(routes[0]));
    CHECK_INT(route_strip(table, 2, SPAN("/v1/orders")), 3);
    CHECK_INT(route_strip(table, 2, SPAN("/v1")), 3);
    CHECK_INT(route_strip(table, 2, SPAN("/v12")), 0);
    CHECK_INT(route_strip(table, 0, SPAN("/graphql")), 0);
    route_table_unref(table);
}

TEST(a_table_lives_as_long_as_somebody_has_it)
{
    struct route_table *table = route_table_new(routes, 1);
    CHECK(route_table_ref(table) == table);
    route_table_unref(table);
    CHECK_INT(route_table_size(table), 1);
    route_table_unref(table);
}

TEST(no_routes_match_nothing)
{
    struct http_head head;
    parse_request("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &head);
    struct route_table *table = route_table_new(NULL, 0);
    CHECK(route_match(table, &head, SPAN("/")) == NO_ROUTE);
    route_table_unref(table);
}
