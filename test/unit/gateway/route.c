/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/route.h"

#include "head.h"

static const char *const puts_and_patches[] = { "PUT", "PATCH" };

static const struct gateway_route routes[] = {
    { .path = "/graphql", .service = "storefront" },
    { .prefix = "/session", .service = "session" },
    { .prefix = "/v1/", .strip = "/v1", .service = "stripped" },
    { .host = "shop.example.com", .service = "shop" },
    { .host = "*.example.org", .service = "wild" },
    { .prefix = "/upload", .methods = { puts_and_patches, 2 }, .service = "upload" },
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
    struct route_table *table =
        route_table_new(routes, sizeof(routes) / sizeof(routes[0]), NULL, NULL);
    uint32_t route = route_match(table, &head, NULL, head.path_and_query);
    static char service[64];
    struct span found = route == NO_ROUTE ? SPAN("none") : route_action(table, route)->service;
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
        { "PATCH", "/upload/x", "x", "", "upload" },
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

/* What a path that matched the route becomes. */
static const char *path_by(const struct gateway_route *from, const char *path)
{
    static char text[256];
    struct route_table *table = route_table_new(from, 1, NULL, NULL);
    struct route_path made = route_path(table, 0, span_of(path));
    struct span rest = span_from(span_of(path), made.cut);
    snprintf(text, sizeof(text), "%.*s%.*s", SPAN_ARG(made.put), SPAN_ARG(rest));
    route_table_unref(table);
    return text;
}

TEST(a_path_becomes_what_its_route_says)
{
    const struct gateway_route plain = { .prefix = "/a" };
    const struct gateway_route strip = { .prefix = "/v1/", .strip = "/v1" };
    const struct gateway_route above = { .prefix = "/v1/orders", .strip = "/v1/" };
    const struct gateway_route prefix = { .prefix = "/old/", .rewrite_prefix = "/new" };
    const struct gateway_route below = { .prefix = "/", .rewrite_prefix = "/v2/" };
    const struct gateway_route away = { .prefix = "/old", .rewrite_prefix = "/" };
    const struct gateway_route whole = { .prefix = "/old", .rewrite_path = "/one" };
    const struct gateway_route there = { .prefix = "/old", .redirect_to = "https://a.test/new/" };
    const struct gateway_route exact = { .path = "/old", .redirect_to = "https://a.test" };
    const struct gateway_route host = { .host = "a.test", .redirect_to = "https://b.test" };
    CHECK_STR(path_by(&plain, "/a/b"), "/a/b");
    CHECK_STR(path_by(&strip, "/v1/orders"), "/orders");
    CHECK_STR(path_by(&strip, "/v1"), "");
    CHECK_STR(path_by(&above, "/v1/orders/1"), "/orders/1");
    CHECK_STR(path_by(&prefix, "/old/x/y"), "/new/x/y");
    CHECK_STR(path_by(&prefix, "/old"), "/new");
    CHECK_STR(path_by(&below, "/"), "/v2/");
    CHECK_STR(path_by(&below, "/x"), "/v2/x");
    CHECK_STR(path_by(&away, "/old/x"), "/x");
    CHECK_STR(path_by(&away, "/old"), "");
    CHECK_STR(path_by(&whole, "/old/x"), "/one");
    CHECK_STR(path_by(&there, "/old/x"), "https://a.test/new/x");
    CHECK_STR(path_by(&exact, "/old"), "https://a.test/");
    CHECK_STR(path_by(&host, "/x/y"), "https://b.test/x/y");
}

TEST(a_route_is_of_one_kind)
{
    struct address address;
    CHECK_INT(address_parse(SPAN("127.0.0.1:9000"), &address), 0);
    const struct address two[] = { address, address };
    const struct gateway_route kinds[] = {
        { .service = "orders" },
        { .upstreams = &address, .n_upstreams = 1 },
        { .answer_status = 403, .answer_body = "no", .answer_type = "text/plain" },
        { .upstreams = two, .n_upstreams = 2, .upstream_host = "upstream" },
        { .redirect_to = "/new", .redirect_status = 308 },
    };
    struct route_table *table = route_table_new(kinds, 5, NULL, NULL);
    CHECK_INT(route_action(table, 0)->kind, ROUTE_SERVICE);
    CHECK_INT(route_action(table, 1)->kind, ROUTE_UPSTREAM);
    CHECK_INT(route_action(table, 2)->kind, ROUTE_ANSWER);
    CHECK_INT(route_action(table, 2)->status, 403);
    CHECK(span_is(route_action(table, 2)->body, "no"));
    CHECK_INT(route_action(table, 3)->upstream.first, 1);
    CHECK_INT(route_action(table, 3)->upstream.number, 1);
    CHECK_INT(route_action(table, 3)->host_kind, ROUTE_HOST_UPSTREAM);
    CHECK_INT(route_action(table, 4)->kind, ROUTE_REDIRECT);
    CHECK(span_is(route_action(table, 4)->to, "/new"));
    CHECK_INT(route_table_n_endpoints(table), 3);
    CHECK_INT(route_table_n_upstreams(table), 2);
    route_table_unref(table);
}

TEST(static_endpoints_that_went_are_named)
{
    struct address old[3], new[2];
    const char *const texts[] = { "127.0.0.1:1", "127.0.0.1:2", "unix:/run/x.sock" };
    for (unsigned i = 0; i < 3; i++)
        CHECK_INT(address_parse(span_of(texts[i]), &old[i]), 0);
    CHECK_INT(address_parse(SPAN("127.0.0.1:2"), &new[0]), 0);
    CHECK_INT(address_parse(SPAN("127.0.0.1:3"), &new[1]), 0);
    struct gateway_route before = { .upstreams = old, .n_upstreams = 3 };
    struct gateway_route after = { .upstreams = new, .n_upstreams = 2 };
    struct route_table *first = route_table_new(&before, 1, NULL, NULL);
    struct route_table *second = route_table_new(&after, 1, NULL, first);
    size_t n = 0;
    CHECK(route_table_gone(first, &n) == NULL && n == 0);
    const struct address *gone = route_table_gone(second, &n);
    CHECK_INT(n, 2);
    CHECK(address_equals(&gone[0], &old[0]) && address_equals(&gone[1], &old[2]));
    route_table_unref(first);
    route_table_unref(second);
}

/* What a host in a route means, said the slow way. */
static bool host_fits(const char *wanted, const char *asked)
{
    char host[64];
    snprintf(host, sizeof(host), "%.*s", (int)strcspn(asked, ":"), asked);
    if (!wanted || strcasecmp(wanted, host) == 0)
        return true;
    const char *dot = strchr(host, '.');
    return wanted[0] == '*' && dot && dot != host && strcasecmp(wanted + 1, dot) == 0;
}

/* The order of the file decides, however the table finds out. */
TEST(many_routes_match_as_one_after_the_other_would)
{
    static const char *const paths[] = { "/",    "/a",     "/a/",    "/a/b", "/a/b/", "/a/b/c",
                                         "/b",   "/b/a",   "/ab",    "/a/a", "/a/ab", "/c/c/c/c",
                                         "/a/c", "/b/a/b", "/c/c/c", "/c/" };
    const unsigned n_paths = sizeof(paths) / sizeof(paths[0]);
    enum {
        N = 200
    };
    static struct gateway_route many[N];
    static const char *const get[] = { "GET" };
    static const char *const hosts[] = { NULL,     NULL,       NULL,       "a.test",
                                         "*.test", "x.a.test", "*.a.test", "b.test" };
    static const char *const asked[] = { "a.test", "B.Test:80", "x.A.test", "test", ".test" };
    const char *host = "";
    uint64_t state = 1;
    for (unsigned round = 0; round < 50; round++) {
        unsigned n = round % 2 ? N : 5;
        for (unsigned i = 0; i < n; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const char *path = paths[state >> 33 & 15];
            many[i] = (struct gateway_route){ .service = "x" };
            if (state >> 40 & 7)
                *(state >> 41 & 1 ? &many[i].path : &many[i].prefix) = path;
            many[i].host = hosts[state >> 50 & 7];
            if (state >> 45 & 1)
                many[i].methods = (struct gateway_texts){ get, 1 };
        }
        struct route_table *table = route_table_new(many, n, NULL, NULL);
        for (unsigned p = 0; p < n_paths * 2 * 5; p++) {
            char text[128];
            const char *path = paths[p / 2 % n_paths], *method = p % 2 ? "GET" : "POST";
            host = asked[p / 2 / n_paths];
            snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, host);
            struct http_head head;
            parse_request(text, &head);
            uint32_t expected = NO_ROUTE;
            for (unsigned i = 0; i < n && expected == NO_ROUTE; i++) {
                struct span prefix = span_of(many[i].prefix);
                if (span_ends_with(prefix, SPAN("/")))
                    prefix.size--;
                if (many[i].path && strcmp(many[i].path, path) != 0)
                    continue;
                if (many[i].prefix && !path_is_below(span_of(path), prefix))
                    continue;
                if (!host_fits(many[i].host, host))
                    continue;
                if (many[i].methods.n && strcmp(method, "GET") != 0)
                    continue;
                expected = i;
            }
            CHECK_INT(route_match(table, &head, NULL, span_of(path)), expected);
        }
        route_table_unref(table);
    }
}

TEST(a_table_lives_as_long_as_somebody_has_it)
{
    struct route_table *table = route_table_new(routes, 1, NULL, NULL);
    CHECK(route_table_ref(table) == table);
    route_table_unref(table);
    CHECK_INT(route_table_size(table), 1);
    route_table_unref(table);
}

TEST(no_routes_match_nothing)
{
    struct http_head head;
    parse_request("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &head);
    struct route_table *table = route_table_new(NULL, 0, NULL, NULL);
    CHECK(route_match(table, &head, NULL, SPAN("/")) == NO_ROUTE);
    route_table_unref(table);
}
