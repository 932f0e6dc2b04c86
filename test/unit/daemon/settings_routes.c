/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_routes.h"

#include "check.h"
#include "daemon/settings.h"

static struct settings *parse(const char *yaml)
{
    struct settings *settings = NULL;
    struct problem problem = { 0 };
    int r = settings_parse(span_of(yaml), NULL, &settings, &problem);
    if (r)
        printf("# line %u: %s %s\n", problem.line, problem.path, problem.text);
    CHECK_INT(r, 0);
    return settings;
}

TEST(what_is_left_out_has_its_standard)
{
    struct settings *settings = parse(
        "routes:\n"
        "- { answer: { body: x } }\n"
        "- { answer: { status: 403 } }\n"
        "- { redirect: { to: /a } }\n"
        "- { upstream: 127.0.0.1:1 }\n");
    const struct gateway_route *routes = settings->gateway.routes;
    CHECK_INT(routes[0].answer_status, 200);
    CHECK_STR(routes[0].answer_type, "text/plain; charset=utf-8");
    CHECK_INT(routes[1].answer_status, 403);
    CHECK(!routes[1].answer_body && !routes[1].answer_type);
    CHECK_INT(routes[2].redirect_status, 308);
    CHECK_INT(routes[3].n_upstreams, 1);
    CHECK(!routes[3].upstream_host && !routes[3].prefix);
    settings_free(settings);
}

TEST(one_value_is_a_list_of_one)
{
    struct settings *settings = parse(
        "routes:\n"
        "- match: { method: GET }\n"
        "  upstream: [127.0.0.1:1, '[::1]:2', 'unix:/run/x']\n"
        "  response_headers: { remove: Server, add: { Link: [a, b], Vary: '' } }\n"
        "- { service: a, match: { method: [GET, PROPFIND] } }\n");
    const struct gateway_route *routes = settings->gateway.routes;
    CHECK_INT(routes[0].methods.n, 1);
    CHECK_INT(routes[0].n_upstreams, 3);
    CHECK_INT(routes[0].upstreams[2].any.sa_family, AF_UNIX);
    CHECK_STR(routes[0].response_fields.remove.texts[0], "Server");
    CHECK_INT(routes[0].response_fields.add.n, 3);
    CHECK_STR(routes[0].response_fields.add.fields[1].name, "Link");
    CHECK_STR(routes[0].response_fields.add.fields[1].value, "b");
    CHECK_STR(routes[0].response_fields.add.fields[2].value, "");
    CHECK_INT(routes[1].methods.n, 2);
    CHECK_STR(routes[1].methods.texts[1], "PROPFIND");
    settings_free(settings);
}

TEST(an_upstream_speaks_what_its_route_says)
{
    struct settings *settings = parse(
        "routes:\n"
        "- { upstream: 127.0.0.1:1 }\n"
        "- { upstream: 127.0.0.1:1, protocol: http1 }\n"
        "- { upstream: 127.0.0.1:1, protocol: http2 }\n"
        "- { protocol: auto, upstream: 127.0.0.1:1 }\n");
    const struct gateway_route *routes = settings->gateway.routes;
    CHECK_INT(routes[0].upstream_protocol, HTTP_PROTOCOL_1);
    CHECK_INT(routes[1].upstream_protocol, HTTP_PROTOCOL_1);
    CHECK_INT(routes[2].upstream_protocol, HTTP_PROTOCOL_2);
    CHECK_INT(routes[3].upstream_protocol, HTTP_PROTOCOL_AUTO);
    settings_free(settings);
}

TEST(keys_may_have_dots)
{
    struct settings *settings = parse(
        "routes:\n"
        "- { match.prefix: /a, rewrite.prefix: /b, service: c, request_headers.set: { A: b } }\n");
    const struct gateway_route *route = &settings->gateway.routes[0];
    CHECK_STR(route->prefix, "/a");
    CHECK_STR(route->rewrite_prefix, "/b");
    CHECK_INT(route->request_fields.set.n, 1);
    settings_free(settings);
}

/* However deep aliases nest, and wherever a key stands that has a section's name. */
TEST(hostile_documents_have_an_answer)
{
    static const char *const table[] = {
        "routes: &a [ *a ]\n",
        "routes: [ &a { match: *a } ]\n",
        "routes: [ { match: { match: { prefix: /a } }, service: a } ]\n",
        "routes: [ { '': a } ]\n",
        "routes: [ { ? [a] : b } ]\n",
        "routes: [ { upstream: [ [ 127.0.0.1:1 ] ] } ]\n",
        "routes: [ { answer: { body: [a] } } ]\n",
        "routes: [ { service: a, request_headers: { set: { [a]: b } } } ]\n",
        "routes: [ { service: a, request_headers: { set: { '': b } } } ]\n",
        "routes: [ { service: a, request_headers: { set: { A: [] } } } ]\n",
        "routes: [ { service: a, request_headers: { remove: [] } } ]\n",
        "routes: [ { service: a, rewrite: { prefix: '' } } ]\n",
        "routes: [ { answer: { status: 99999999999999999999 } } ]\n",
        "routes: [ { answer: { status: [200] } } ]\n",
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct settings *settings = NULL;
        struct problem problem = { 0 };
        int r = settings_parse(span_of(table[i]), NULL, &settings, &problem);
        printf("# %zu: %s %s\n", i, problem.path, problem.text);
        CHECK_INT(r, SETTINGS_INVALID);
        CHECK(problem.line == 1 && problem.text[0]);
    }
}

TEST(lists_have_a_limit)
{
    CLEANUP(buf_fini) struct buf yaml = { 0 };
    buf_puts(&yaml, "routes: [ { service: a, request_headers: { add: { ");
    for (unsigned i = 0; i <= GATEWAY_FIELDS_MAX; i++)
        buf_printf(&yaml, "X-%u: a, ", i);
    buf_puts(&yaml, "} } } ]\n");
    struct settings *settings = NULL;
    CHECK_INT(settings_parse(buf_span(&yaml), NULL, &settings, NULL), SETTINGS_INVALID);

    buf_clear(&yaml);
    buf_puts(&yaml, "routes: [ ");
    for (unsigned i = 0; i <= GATEWAY_ROUTES_MAX; i++)
        buf_puts(&yaml, "{ service: a }, ");
    buf_puts(&yaml, "]\n");
    CHECK_INT(settings_parse(buf_span(&yaml), NULL, &settings, NULL), SETTINGS_INVALID);
}
