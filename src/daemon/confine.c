/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/confine.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/privileges.h"
#include "gateway/gateway.h"
#include "io/given.h"

/* Where the package keeps logs: one may be turned on later. */
#define LOG_DIRECTORY "/var/log/sarsen"

/* --- ports that only root may bind --- */

static const char *key_of(const struct gateway_listener *listener)
{
    return listener->is_internal ? "gateway.internal" : "gateway.edge";
}

static unsigned count_workers(const struct settings *settings)
{
    cpu_set_t set;
    if (settings->gateway.n_workers)
        return settings->gateway.n_workers;
    return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

/* Of TCP with a port; any other port can be had by any user. */
static bool is_bound_early(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(address, text);
    return address->any.sa_family != AF_UNIX && !span_ends_with(span_of(text), SPAN(":0"));
}

static int bind_one(const struct gateway_listener *listener, struct given *given)
{
    struct given_socket made = {
        .use = listener->is_internal ? GATEWAY_USE_INTERNAL : GATEWAY_USE_EDGE,
        .asked = listener->address,
    };
    int r = socket_listen(&listener->address, true, &made.fd);
    return r ? r : given_add(given, &made);
}

static int bind_listener(const struct gateway_listener *listener, unsigned n_sockets,
                         struct given *given, struct problem *problem)
{
    int r = 0;
    for (unsigned i = 0; !r && i < n_sockets; i++)
        r = bind_one(listener, given);
    if (r <= 0)
        return err_trace(r);
    problem_set(problem, key_of(listener), "%s cannot be listened on", listener->text);
    return CONFINE_REFUSED;
}

int confine_bind(const struct settings *settings, struct given *given, struct problem *problem)
{
    if (!settings->user || geteuid() != 0)
        return 0;
    for (unsigned i = 0; i < settings->gateway.n_listeners; i++) {
        const struct gateway_listener *listener = &settings->gateway.listeners[i];
        unsigned use = listener->is_internal ? GATEWAY_USE_INTERNAL : GATEWAY_USE_EDGE;
        if (!is_bound_early(&listener->address) || given_has(given, &listener->address, use))
            continue;
        int r = bind_listener(listener, count_workers(settings), given, problem);
        if (r)
            return r;
    }
    return 0;
}

/* --- what the settings open --- */

typedef void place_fn(void *owner, const char *key, const char *path, enum sandbox_access access);

/* Certificates are read again whenever their files change. */
static void each_certificate(const struct gateway_listener *listener, place_fn *on_place,
                             void *owner)
{
    for (unsigned i = 0; i < listener->tls.n_pairs; i++) {
        on_place(owner, key_of(listener), listener->tls.pairs[i].certificate, SANDBOX_READ);
        on_place(owner, key_of(listener), listener->tls.pairs[i].key, SANDBOX_READ);
    }
    if (listener->tls.client_ca)
        on_place(owner, key_of(listener), listener->tls.client_ca, SANDBOX_READ);
    if (listener->tls.client_crl)
        on_place(owner, key_of(listener), listener->tls.client_crl, SANDBOX_READ);
}

static void each_file_of(const struct tls_client_settings *tls, const char *key, place_fn *on_place,
                         void *owner)
{
    const char *const files[] = { tls->ca, tls->certificate, tls->key };
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i])
            on_place(owner, key, files[i], SANDBOX_READ);
    }
}

/* What services are verified by, and what they are shown. */
static void each_upstream_file(const struct gateway_settings *gateway, place_fn *on_place,
                               void *owner)
{
    each_file_of(&gateway->upstream_tls, "gateway.upstream.tls", on_place, owner);
    for (unsigned i = 0; i < gateway->n_routes; i++)
        each_file_of(&gateway->routes[i].upstream_tls, "upstream_tls", on_place, owner);
}

/* Calls for each file that is opened while serving. */
static void each_place(const struct settings *settings, place_fn *on_place, void *owner)
{
    const struct gateway_settings *gateway = &settings->gateway;
    if (settings->api_tls.certificate) {
        on_place(owner, "api.tls", settings->api_tls.certificate, SANDBOX_READ);
        on_place(owner, "api.tls", settings->api_tls.key, SANDBOX_READ);
    }
    each_file_of(&settings->etcd.tls, "store.etcd.tls", on_place, owner);
    if (settings->etcd.password_file)
        on_place(owner, "store.etcd.password_file", settings->etcd.password_file, SANDBOX_READ);
    if (gateway->access.kind == ACCESS_FILE)
        on_place(owner, "gateway.access_log", gateway->access.path, SANDBOX_WRITE);
    each_upstream_file(gateway, on_place, owner);
    for (unsigned i = 0; i < gateway->n_listeners; i++) {
        const struct gateway_listener *listener = &gateway->listeners[i];
        each_certificate(listener, on_place, owner);
        if (listener->address.any.sa_family == AF_UNIX)
            on_place(owner, key_of(listener), listener->address.unix_path.sun_path, SANDBOX_WRITE);
    }
}

static void add_place(void *owner, const char *key, const char *path, enum sandbox_access access)
{
    (void)key;
    sandbox_add_place_of(owner, path, access);
}

static void add_places(struct sandbox *sandbox, const struct settings *settings, const char *config)
{
    sandbox_add_system(sandbox);
    sandbox_add(sandbox, settings->data, SANDBOX_WRITE);
    sandbox_add(sandbox, LOG_DIRECTORY, SANDBOX_WRITE);
    sandbox_add_place_of(sandbox, config, SANDBOX_READ);
    each_place(settings, add_place, sandbox);
}

/* --- entering --- */

static int drop(const struct settings *settings, struct problem *problem)
{
    struct privileges privileges;
    int r = privileges_find(settings->user ? settings->user : "",
                            settings->group ? settings->group : "", &privileges, problem);
    if (!r)
        r = privileges_hand_over(&privileges, settings->data, problem);
    if (r)
        return r > 0 ? CONFINE_REFUSED : err_trace(r);
    return err_trace(privileges_drop(&privileges));
}

static void tell(const struct confine *confine, const char *config)
{
    char uid[16], landlock[16];
    snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
    snprintf(landlock, sizeof(landlock), "%d", confine->report.landlock);
    log_info("daemon", "confined", "uid", uid, "landlock", landlock, "seccomp",
             confine->report.has_seccomp ? "yes" : "no");
    if (access(config, R_OK))
        log_warn("daemon", "this user cannot read the config file: no reload will be possible",
                 "file", config);
}

int confine_enter(struct confine *confine, const struct settings *settings, const char *config,
                  struct problem *problem)
{
    int r = drop(settings, problem);
    if (r)
        return r;
    privileges_hide_memory();
    confine->mode = settings->sandbox;
    confine->sandbox = sandbox_new();
    add_places(confine->sandbox, settings, config);
    r = sandbox_enter(confine->sandbox, settings->sandbox, &confine->report, problem);
    if (r)
        return r > 0 ? CONFINE_REFUSED : err_trace(r);
    tell(confine, config);
    return 0;
}

void confine_fini(struct confine *confine)
{
    confine->sandbox = sandbox_free(confine->sandbox);
}

/* --- new settings --- */

struct check {
    const struct sandbox *sandbox;
    struct problem *problem;
    bool is_refused;
};

static void check_place(void *owner, const char *key, const char *path, enum sandbox_access access)
{
    struct check *check = owner;
    if (check->is_refused || sandbox_allows(check->sandbox, path, access))
        return;
    check->is_refused = true;
    problem_set(check->problem, key,
                "is %s, which the sandbox has kept closed since the start; a restart opens it",
                path);
}

int confine_check(const struct confine *confine, const struct settings *settings,
                  struct problem *problem)
{
    struct check check = { confine->sandbox, problem, false };
    if (confine->sandbox)
        each_place(settings, check_place, &check);
    return check.is_refused ? CONFINE_REFUSED : 0;
}
