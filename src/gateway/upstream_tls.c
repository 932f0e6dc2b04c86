/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/upstream_tls.h"

#include <string.h>

#include "base/mem.h"

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(const struct tls_client_settings *a, const struct tls_client_settings *b)
{
    return a->is_unverified == b->is_unverified && a->min_version == b->min_version &&
           is_same_text(a->ca, b->ca) && is_same_text(a->server_name, b->server_name) &&
           is_same_text(a->certificate, b->certificate) && is_same_text(a->key, b->key);
}

static const char *text_or(const char *text, const char *other)
{
    return text ? text : other;
}

/* What a route does not say itself is as for all. A certificate and its key go together. */
static struct tls_client_settings settings_of(const struct gateway_route *route,
                                              const struct tls_client_settings *common)
{
    const struct tls_client_settings *own = &route->upstream_tls;
    const struct tls_client_settings *pair = own->certificate ? own : common;
    return (struct tls_client_settings){
        .is_unverified = own->is_unverified || common->is_unverified,
        .ca = text_or(own->ca, common->ca),
        .server_name = text_or(own->server_name, common->server_name),
        .certificate = pair->certificate,
        .key = pair->key,
        .min_version = common->min_version,
    };
}

/* One that was made for the same, or a new one. */
static int client_for(struct upstream_tls *tls, const struct gateway_settings *settings, unsigned i,
                      struct problem *problem)
{
    struct tls_client_settings wanted = settings_of(&settings->routes[i], &settings->upstream_tls);
    if (is_same(&wanted, &settings->upstream_tls)) {
        tls->routes[i] = tls_client_ref(tls->common);
        return 0;
    }
    for (unsigned k = 0; k < i; k++) {
        if (!tls->routes[k])
            continue;
        struct tls_client_settings other =
            settings_of(&settings->routes[k], &settings->upstream_tls);
        if (!is_same(&wanted, &other))
            continue;
        tls->routes[i] = tls_client_ref(tls->routes[k]);
        return 0;
    }
    struct tls_client *made = NULL;
    int r = tls_client_new(&wanted, &made, problem);
    tls->routes[i] = made;
    return r;
}

/* The system's authorities are many, and read once; files that the settings name are read anew. */
static bool names_no_file(const struct tls_client_settings *settings)
{
    return !settings->ca && !settings->certificate;
}

int upstream_tls_open(struct upstream_tls *tls, const struct gateway_settings *settings,
                      const struct upstream_tls_before *before, struct problem *problem)
{
    const struct tls_client_settings *wanted = &settings->upstream_tls;
    struct upstream_tls made = {
        .routes = mem_new_array(const struct tls_client *, settings->n_routes + 1),
        .n_routes = settings->n_routes,
    };
    struct tls_client *common = NULL;
    int r = 0;
    bool stays = before && names_no_file(wanted) && is_same(wanted, before->settings);
    if (!stays)
        r = tls_client_new(wanted, &common, problem);
    made.common = stays ? tls_client_ref(before->common) : common;
    for (unsigned i = 0; i < settings->n_routes && !r; i++) {
        if (settings->routes[i].is_tls)
            r = client_for(&made, settings, i, problem);
    }
    if (r) {
        upstream_tls_fini(&made);
        return r;
    }
    *tls = made;
    return 0;
}

void upstream_tls_fini(struct upstream_tls *tls)
{
    for (unsigned i = 0; i < tls->n_routes; i++)
        tls_client_unref(tls->routes[i]);
    tls_client_unref(tls->common);
    free(tls->routes);
    *tls = (struct upstream_tls){ 0 };
}
