/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a route's values must be, and what they must be together. The aim is that a file that passes
 * does what it says: a condition that could never be met, a path in a form that no request has, a
 * header that something else writes are all refused, and not left for the first request to find.
 *
 * Nothing that passes here can make a head that is not one: names are tokens, values have no line
 * breaks, targets are canonical. So the gateway copies them as they are.
 */

#include <stdio.h>
#include <string.h>

#include "codec/http1.h"
#include "codec/origin.h"
#include "codec/uri.h"
#include "daemon/settings_routes.h"
#include "daemon/settings_yaml.h"
#include "registry/registry.h"

#define PATH_MAX_BYTES 2048u
#define BODY_MAX_BYTES 65536u
#define LINES_MAX_BYTES 8192u /* that the rules of one head may add */
#define HOST_BYTES "abcdefghijklmnopqrstuvwxyz0123456789-."
#define METHOD_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

/* One route, and where to say what stands against it. */
struct check {
    const struct route_read *read;
    const struct gateway_route *route;
    struct problem *problem;
};

static size_t line_of(const struct check *check, const char *key)
{
    return settings_keys_line(&settings_route_keys, check->read->lines, key);
}

/* At the key's line, or at the route's when the key was not given. */
static int refuse(const struct check *check, const char *key, struct span found,
                  const char *accepts)
{
    size_t line = line_of(check, key);
    return settings_refuse(check->problem, line ? line : check->read->line, key, found, accepts);
}

static int refuse_value(const struct check *check, const char *key, struct span found)
{
    return refuse(check, key, found, settings_keys_row(&settings_route_keys, key)->accepts);
}

static bool consists_of(struct span text, const char *bytes)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!text.data[i] || !strchr(bytes, text.data[i]))
            return false;
    }
    return text.size > 0;
}

/* --- paths and hosts --- */

/* Requests are matched and sent on in their canonical form; a path in any other would never match.
 */
static int check_path(const struct check *check, const char *key, struct span found)
{
    struct span path, query;
    const char *reason = NULL;
    char memory[PATH_MAX_BYTES];
    if (!span_starts_with(found, SPAN("/")))
        return refuse_value(check, key, found);
    int r = uri_normalise(found, memory, sizeof(memory), &path, &query, &reason);
    if (r == URI_BAD || (!r && query.data)) {
        char other[160];
        snprintf(other, sizeof(other), "another path (%s)", reason ? reason : "");
        return refuse(check, key, found, r ? other : "a path without a query");
    }
    if (r)
        return refuse(check, key, found, "a path of 2048 bytes at most");
    if (span_equals(path, found))
        return 0;
    char why[256];
    snprintf(why, sizeof(why), "is \"%.*s\"; requests are matched as \"%.*s\", write that",
             SPAN_ARG(span_first(found, 80)), SPAN_ARG(span_first(path, 80)));
    return settings_refuse_because(check->problem, line_of(check, key), key, why);
}

/* Without a port, and in small letters, as it is compared. */
static bool host_is_valid(struct span host)
{
    bool is_literal = span_starts_with(host, SPAN("[")) && span_ends_with(host, SPAN("]"));
    if (is_literal)
        return consists_of(span_from(span_first(host, host.size - 1), 1), "0123456789abcdef:.");
    return consists_of(host, HOST_BYTES);
}

/* A host and perhaps a port. */
static bool authority_is_valid(struct span authority)
{
    size_t size = authority.size;
    while (size && authority.data[size - 1] >= '0' && authority.data[size - 1] <= '9')
        size--;
    if (!size || authority.data[size - 1] != ':' || span_ends_with(authority, SPAN("]")))
        return host_is_valid(authority);
    uint64_t port;
    return span_to_uint(span_from(authority, size), 65535, &port) && port &&
           host_is_valid(span_first(authority, size - 1));
}

/* A strip that is not at the start of what matches would never be removed. */
static bool strip_fits(const struct gateway_route *route)
{
    struct span strip = span_of(route->strip);
    struct span match = span_of(route->prefix ? route->prefix : route->path);
    if (!span_starts_with(match, strip))
        return false;
    struct span rest = span_from(match, strip.size);
    return rest.size == 0 || span_starts_with(rest, SPAN("/")) || span_ends_with(strip, SPAN("/"));
}

/* --- what must be met --- */

/* Any method passes through us but those two, which are answered before a route is looked for. */
static int check_methods(const struct check *check)
{
    const struct gateway_texts *methods = &check->route->methods;
    for (unsigned i = 0; i < methods->n; i++) {
        struct span method = span_of(methods->texts[i]);
        if (!consists_of(method, METHOD_BYTES) || method.size > 32)
            return refuse_value(check, "match.method", method);
        if (span_is(method, "CONNECT") || span_is(method, "TRACE"))
            return refuse(check, "match.method", method, "a method that is passed on");
    }
    return 0;
}

static int check_match(const struct check *check)
{
    const struct gateway_route *route = check->route;
    const struct {
        const char *key, *path;
    } paths[] = { { "match.path", route->path }, { "match.prefix", route->prefix } };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int r = paths[i].path ? check_path(check, paths[i].key, span_of(paths[i].path)) : 0;
        if (r)
            return r;
    }
    if (route->path && route->prefix)
        return refuse(check, "match.prefix", SPAN("beside match.path"), "one of the two");

    struct span host = span_of(route->host);
    if (span_starts_with(host, SPAN("*.")))
        host = span_from(host, 2);
    if (route->host && (!host_is_valid(host) || host.size > 253))
        return refuse_value(check, "match.host", span_of(route->host));
    if (route->header_name && !http_is_token(span_of(route->header_name)))
        return refuse_value(check, "match.header", span_of(route->header_name));
    if (route->header_value && !route->header_name)
        return refuse(check, "match.value", span_of(route->header_value),
                      "a value together with match.header");
    return check_methods(check);
}

/* --- what is done --- */

static int check_answer(const struct check *check)
{
    const struct gateway_route *route = check->route;
    if (route->answer_status < 200) {
        char status[16];
        snprintf(status, sizeof(status), "%u", route->answer_status);
        return refuse_value(check, "answer.status", span_of(status));
    }
    bool has_body = route->answer_body && route->answer_body[0];
    if (has_body && strlen(route->answer_body) > BODY_MAX_BYTES)
        return refuse(check, "answer.body", SPAN("longer"), "64 KiB at most");
    bool is_empty =
        route->answer_status == 204 || route->answer_status == 205 || route->answer_status == 304;
    if (has_body && is_empty)
        return refuse(check, "answer.body", span_of(route->answer_body),
                      "no body with a status that has none");
    if (route->answer_type && !http_is_field_value(span_of(route->answer_type)))
        return refuse_value(check, "answer.type", span_of(route->answer_type));
    return 0;
}

/* Where a client is sent is put together from this and the rest of its path. A query or a fragment
 * in it would end up in the middle. */
static int check_redirect(const struct check *check)
{
    static const unsigned statuses[] = { 301, 302, 303, 307, 308 };
    const struct gateway_route *route = check->route;
    struct span to = span_of(route->redirect_to), rest;
    if (!to.data)
        return refuse_value(check, "redirect.to", SPAN_NULL);
    bool is_known = false;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        is_known |= statuses[i] == route->redirect_status;
    if (!is_known) {
        char status[16];
        snprintf(status, sizeof(status), "%u", route->redirect_status);
        return refuse_value(check, "redirect.status", span_of(status));
    }
    if (span_starts_with(to, SPAN("http://")))
        rest = span_from(to, sizeof("http://") - 1);
    else if (span_starts_with(to, SPAN("https://")))
        rest = span_from(to, sizeof("https://") - 1);
    else
        return check_path(check, "redirect.to", to);
    size_t slash = span_find(rest, '/');
    if (!authority_is_valid(span_first(rest, slash)))
        return refuse_value(check, "redirect.to", to);
    return slash == rest.size ? 0 : check_path(check, "redirect.to", span_from(rest, slash));
}

/* --- how it is passed on --- */

static int check_target(const struct check *check)
{
    const struct gateway_route *route = check->route;
    const struct {
        const char *key, *path;
    } paths[] = { { "strip", route->strip },
                  { "rewrite.prefix", route->rewrite_prefix },
                  { "rewrite.path", route->rewrite_path } };
    const char *given = NULL;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!paths[i].path)
            continue;
        int r = check_path(check, paths[i].key, span_of(paths[i].path));
        if (r)
            return r;
        if (given)
            return refuse(check, paths[i].key, span_of(paths[i].path),
                          "one of strip, rewrite.prefix and rewrite.path");
        given = paths[i].key;
    }
    if (route->strip && !strip_fits(route))
        return refuse_value(check, "strip", span_of(route->strip));
    if (route->rewrite_prefix && !route->prefix)
        return refuse(check, "rewrite.prefix", span_of(route->rewrite_prefix),
                      "a prefix together with match.prefix");
    if (route->upstream_host && !authority_is_valid(span_of(route->upstream_host)))
        return refuse_value(check, "host", span_of(route->upstream_host));
    return 0;
}

/* What the connection or the gateway writes by itself, in either direction. */
static bool is_framing(enum http_name id)
{
    switch ((int)id) {
    case HTTP_CONNECTION:
    case HTTP_CONTENT_LENGTH:
    case HTTP_DATE:
    case HTTP_KEEP_ALIVE:
    case HTTP_PROXY_AUTHENTICATE:
    case HTTP_PROXY_AUTHORIZATION:
    case HTTP_PROXY_CONNECTION:
    case HTTP_TE:
    case HTTP_TRAILER:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_UPGRADE: return true;
    default: return false;
    }
}

/* What forward_headers.c writes anew for every request, from what it may believe. A line of the
 * file's beside it would be a second opinion. */
static bool is_written_for_upstreams(enum http_name id)
{
    switch ((int)id) {
    case HTTP_BAGGAGE:
    case HTTP_EXPECT:
    case HTTP_HOST:
    case HTTP_MAX_FORWARDS:
    case HTTP_TRACEPARENT:
    case HTTP_TRACESTATE:
    case HTTP_VIA:
    case HTTP_X_FORWARDED_FOR:
    case HTTP_X_FORWARDED_HOST:
    case HTTP_X_FORWARDED_PROTO:
    case HTTP_X_REQUEST_ID: return true;
    default: return false;
    }
}

static int check_name(const struct check *check, const char *key, struct span name)
{
    static const struct span ours[] = { SPAN("sarsen-"), SPAN("sarsen_") };
    enum http_name id = http_name_find(name);
    bool is_request = strncmp(key, "request", sizeof("request") - 1) == 0;
    bool is_taken = is_framing(id) || (is_request && is_written_for_upstreams(id));
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        is_taken |= span_equals_nocase(span_first(name, ours[i].size), ours[i]);
    if (is_taken)
        return refuse(check, key, name, "a header that Sarsen does not write itself");
    if (!http_is_token(name) || name.size > 256)
        return refuse(check, key, name, "the name of a header");
    return 0;
}

/* The lines of one head have a limit, as everything has: they are copied for every request. */
static int check_fields(const struct check *check, const char *key,
                        const struct gateway_fields *fields, size_t *size)
{
    for (unsigned i = 0; i < fields->n; i++) {
        struct span name = span_of(fields->fields[i].name);
        struct span value = span_of(fields->fields[i].value);
        int r = check_name(check, key, name);
        if (r)
            return r;
        if (!http_is_field_value(value))
            return refuse(check, key, value, "a value without line breaks and control characters");
        *size += name.size + value.size + sizeof(": \r\n");
        if (*size > LINES_MAX_BYTES)
            return refuse(check, key, SPAN("longer"), "8 KiB of headers at most");
    }
    return 0;
}

/* "x-a" after "X-A" says the same thing twice, differently. */
static int check_once(const struct check *check, const char *key,
                      const struct gateway_fields *fields)
{
    for (unsigned i = 0; i < fields->n; i++) {
        for (unsigned k = 0; k < i; k++) {
            struct span name = span_of(fields->fields[i].name);
            if (span_equals_nocase(name, span_of(fields->fields[k].name)))
                return refuse(check, key, name, "each header once");
        }
    }
    return 0;
}

static int check_rules(const struct check *check, bool is_request)
{
    const char *set = is_request ? "request_headers.set" : "response_headers.set";
    const char *add = is_request ? "request_headers.add" : "response_headers.add";
    const char *remove = is_request ? "request_headers.remove" : "response_headers.remove";
    const struct gateway_field_rules *rules =
        is_request ? &check->route->request_fields : &check->route->response_fields;
    size_t size = 0;
    int r = check_fields(check, set, &rules->set, &size);
    if (!r)
        r = check_once(check, set, &rules->set);
    if (!r)
        r = check_fields(check, add, &rules->add, &size);
    for (unsigned i = 0; i < rules->remove.n && !r; i++)
        r = check_name(check, remove, span_of(rules->remove.texts[i]));
    return r;
}

/* --- the route as a whole --- */

static bool was_given(const struct check *check, const char *section)
{
    return settings_keys_given(&settings_route_keys, check->read->lines, section);
}

/* A route without an end answers nobody, and of two ends one would be ignored. */
static int check_kind(const struct check *check)
{
    static const char *const kinds[] = { "service", "upstream", "answer.", "redirect." };
    char found[64] = "";
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!was_given(check, kinds[i]))
            continue;
        size_t size = strlen(found);
        snprintf(found + size, sizeof(found) - size, "%s%.*s", n++ ? " and " : "",
                 (int)strcspn(kinds[i], "."), kinds[i]);
    }
    if (n == 1)
        return 0;
    return settings_refuse(check->problem, check->read->line, "a route",
                           n ? span_of(found) : SPAN("without an end"),
                           "exactly one of service, upstream, answer and redirect");
}

/* An answer of our own is sent on to nobody. */
static int check_passed_on(const struct check *check)
{
    static const char *const keys[] = {
        "strip",   "rewrite.prefix",      "rewrite.path",        "host",
        "origins", "request_headers.set", "request_headers.add", "request_headers.remove"
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (line_of(check, keys[i]))
            return refuse(check, keys[i], SPAN("beside an answer or a redirect"),
                          "a place beside service or upstream");
    }
    return 0;
}

static int check_upstream_tls(const struct check *check)
{
    const struct tls_client_settings *tls = &check->route->upstream_tls;
    if (was_given(check, "upstream_tls.") && !check->route->is_tls)
        return refuse(check, "upstream", SPAN("without https://"),
                      "an upstream with it, beside upstream_tls,");
    if (!tls->certificate != !tls->key)
        return refuse(check, tls->key ? "upstream_tls.key" : "upstream_tls.certificate",
                      SPAN("alone"), "a certificate with its key");
    return 0;
}

static int check_origins(const struct check *check)
{
    const struct gateway_texts *origins = &check->route->origins;
    for (unsigned i = 0; i < origins->n; i++) {
        struct span origin = span_of(origins->texts[i]);
        if (!origins_are_valid(origin))
            return refuse_value(check, "origins", origin);
    }
    return 0;
}

static int check_health(const struct check *check)
{
    if (!was_given(check, "health."))
        return 0;
    if (!check->route->n_upstreams)
        return refuse(check, "health", SPAN("without an upstream"), "a place beside upstream");
    if (health_check_judge(&check->route->health, check->problem) == HEALTH_OK)
        return 0;
    if (check->problem)
        check->problem->line = (unsigned)check->read->line;
    return SETTINGS_INVALID;
}

int settings_check_route(const struct route_read *read, struct problem *problem)
{
    const struct gateway_route *route = &read->route;
    struct check check = { read, route, problem };
    int r = check_kind(&check);
    if (!r)
        r = check_match(&check);
    if (!r && route->service && !service_name_is_valid(span_of(route->service)))
        r = refuse_value(&check, "service", span_of(route->service));
    if (!r && was_given(&check, "answer."))
        r = check_answer(&check);
    if (!r && was_given(&check, "redirect."))
        r = check_redirect(&check);
    if (!r)
        r = check_upstream_tls(&check);
    if (!r && !route->n_upstreams && line_of(&check, "protocol"))
        r = refuse(&check, "protocol", SPAN("without an upstream"), "a place beside upstream");
    if (!r)
        r = check_health(&check);
    if (!r)
        r = check_origins(&check);
    bool is_passed_on = route->service || route->n_upstreams;
    if (!r)
        r = is_passed_on ? check_target(&check) : check_passed_on(&check);
    if (!r)
        r = check_rules(&check, true);
    return r ? r : check_rules(&check, false);
}
