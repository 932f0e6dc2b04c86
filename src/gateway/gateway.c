/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control side. It makes views and hands them out; a view is freed when every worker that got
 * it has given it back. Usage is collected in rounds: a request for a round that is under way
 * waits for the next one, since what it wants to see may have been counted after the first had
 * passed by.
 */

#include "gateway/gateway.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/access_log.h"
#include "gateway/certificates.h"
#include "gateway/sockets.h"
#include "gateway/upstream_checks.h"
#include "gateway/upstream_tls.h"
#include "gateway/view.h"
#include "gateway/worker.h"
#include "http/census.h"
#include "io/file.h"

/* A listening address of the settings. */
struct listener {
    struct gateway_listener settings; /* its text is not kept */
    struct sockets sockets;
    unsigned slot, n_workers;          /* that still use it */
    struct tls_server *tls;            /* NULL: in plain text */
    struct certificates *certificates; /* that watch it */
    bool is_going;
};

struct waiter {
    void (*on_done)(void *owner);
    void *owner;
    struct waiter *next;
};

struct gateway {
    struct loop *loop;
    struct mailbox *inbox;
    struct gateway_hooks hooks;
    struct gateway_settings settings; /* routes and texts are not kept */
    struct route_table *routes;
    struct endpoints *endpoints;
    char *blobs;
    struct http_census *census; /* of all workers */
    struct certificates *certificates;
    const struct tls_client *upstream_tls;
    struct upstream_checks *checks;
    struct access_log *access;
    char *access_path, *access_redact; /* what the settings point to */
    enum http_pressure pressure;
    struct worker *workers[WORKERS_MAX];
    unsigned n_workers, n_running;
    struct listener *slots[LISTENER_SLOTS];
    struct listener *listeners[GATEWAY_LISTENERS_MAX]; /* by index in the settings */
    struct waiter *collecting, *next_round;
    unsigned n_collecting; /* workers whose table is on its way */
    uint64_t n_published;
    unsigned n_taking; /* workers that do not yet serve by the newest view */
    void (*on_stopped)(void *owner);
    void *stop_owner;
    unsigned n_admitted; /* connections of other processes */
    bool is_stopping, has_stopped, is_ending;
};

/* --- listeners --- */

static void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    sockets_close(&listener->sockets);
    if (listener->tls)
        certificates_remove(listener->certificates, listener->tls);
    tls_server_free(listener->tls);
    free(listener);
}

static void listenerp(struct listener **listener)
{
    listener_free(*listener);
}

/* For a listener at this address; `ret_server` is NULL where there is nothing to seal. */
static int open_tls(struct gateway *gateway, const struct gateway_listener *settings,
                    const struct address *address, struct tls_server **ret_server,
                    struct problem *problem)
{
    char name[ADDRESS_TEXT_MAX];
    *ret_server = NULL;
    if (!settings->tls.n_pairs)
        return 0;
    address_format(address, name);
    int r = tls_server_new(name, &settings->tls, certificates_tickets(gateway->certificates),
                           ret_server, problem);
    return r ? GATEWAY_TLS : 0;
}

static int listener_open(struct gateway *gateway, const struct gateway_listener *settings,
                         struct listener **ret_listener, struct problem *problem)
{
    CLEANUP(listenerp) struct listener *listener = mem_new(struct listener);
    listener->settings = *settings;
    listener->settings.text = NULL;
    int r = sockets_open(&listener->sockets, settings, gateway->n_workers, gateway->hooks.given,
                         problem);
    if (r)
        return r;
    r = open_tls(gateway, settings, &listener->sockets.address, &listener->tls, problem);
    if (r)
        return r;
    if (listener->tls) {
        listener->certificates = gateway->certificates;
        certificates_add(gateway->certificates, listener->tls);
    }
    unsigned slot = 0;
    while (slot < LISTENER_SLOTS && gateway->slots[slot])
        slot++;
    if (slot == LISTENER_SLOTS) {
        problem_set(problem, "gateway",
                    "has listeners of earlier settings that are still being "
                    "drained; try again in a moment");
        return GATEWAY_LISTEN;
    }
    listener->slot = slot;
    gateway->slots[slot] = listener;
    *ret_listener = steal(listener);
    return 0;
}

static void listener_give_up(struct gateway *gateway, struct listener *listener)
{
    gateway->slots[listener->slot] = NULL;
    listener_free(listener);
}

static struct note_listener *listener_note(struct gateway *gateway, const struct listener *listener,
                                           unsigned worker, enum note_kind kind)
{
    struct note_listener *note = mem_new(struct note_listener);
    note->note.kind = kind;
    note->note.worker = gateway->workers[worker];
    note->slot = listener->slot;
    note->n_fds = sockets_of(&listener->sockets, worker, gateway->n_workers, note->fds);
    note->is_internal = listener->settings.is_internal;
    note->is_kept = listener->sockets.is_kept;
    note->options.tls = listener->tls;
    note->options.has_proxy_header = listener->settings.has_proxy_header;
    note->options.is_http1_only = listener->settings.tls.is_http1_only;
    note->settings = gateway->settings.client;
    if (note->is_internal)
        note->settings.max_per_address = 0;
    return note;
}

static void post(struct worker *worker, struct note *note)
{
    mailbox_post(worker->inbox, &note->letter);
}

static void listener_start(struct gateway *gateway, struct listener *listener)
{
    listener->n_workers = gateway->n_workers;
    for (unsigned i = 0; i < gateway->n_workers; i++)
        post(gateway->workers[i], &listener_note(gateway, listener, i, NOTE_LISTEN)->note);
}

static void listener_stop(struct gateway *gateway, struct listener *listener)
{
    listener->is_going = true;
    for (unsigned i = 0; i < gateway->n_workers; i++)
        post(gateway->workers[i], &listener_note(gateway, listener, i, NOTE_UNLISTEN)->note);
}

static void take_unlisten(struct gateway *gateway, struct note_listener *note)
{
    struct listener *listener = gateway->slots[note->slot];
    free(note);
    if (listener && --listener->n_workers == 0)
        listener_give_up(gateway, listener);
}

const struct address *gateway_listener_address(const struct gateway *gateway, unsigned index)
{
    return &gateway->listeners[index]->sockets.address;
}

unsigned gateway_n_listeners(const struct gateway *gateway)
{
    return gateway->settings.n_listeners;
}

static enum gateway_use use_of(const struct listener *listener)
{
    return listener->settings.is_internal ? GATEWAY_USE_INTERNAL : GATEWAY_USE_EDGE;
}

struct gateway_sockets gateway_sockets(const struct gateway *gateway, unsigned index)
{
    const struct listener *listener = gateway->listeners[index];
    return (struct gateway_sockets){
        .use = use_of(listener),
        .asked = listener->sockets.asked,
        .is_kept = listener->sockets.is_kept,
        .fds = listener->sockets.fds,
        .n = listener->sockets.n,
    };
}

/* --- connections from process to process --- */

static void take_connection(struct gateway *gateway, struct note_connection *note)
{
    const struct listener *listener = gateway->slots[note->slot];
    struct gateway_connection connection = { .fd = note->fd,
                                             .use = use_of(listener),
                                             .address = listener->sockets.address,
                                             .peer = note->peer };
    if (gateway->hooks.on_connection && !gateway->is_ending)
        gateway->hooks.on_connection(gateway->hooks.owner, &connection);
    else
        close(note->fd);
    free(note);
}

static bool is_for(const struct listener *listener, const struct gateway_connection *connection)
{
    return use_of(listener) == connection->use &&
           address_equals(&listener->sockets.address, &connection->address);
}

void gateway_admit(struct gateway *gateway, const struct gateway_connection *connection)
{
    for (unsigned i = 0; i < gateway->settings.n_listeners && !gateway->is_stopping; i++) {
        const struct listener *listener = gateway->listeners[i];
        if (!is_for(listener, connection))
            continue;
        struct note_connection *note = mem_new(struct note_connection);
        note->note.kind = NOTE_CONNECTION;
        note->note.worker = gateway->workers[gateway->n_admitted++ % gateway->n_workers];
        note->slot = listener->slot;
        note->fd = connection->fd;
        note->peer = connection->peer;
        post(note->note.worker, &note->note);
        return;
    }
    close(connection->fd);
}

/* --- views --- */

static void publish(struct gateway *gateway)
{
    if (!gateway->endpoints || gateway->is_stopping)
        return;
    struct view *view = view_new(gateway->routes, gateway->endpoints, &gateway->settings);
    view->is_out = upstream_checks_out(gateway->checks);
    view->number = ++gateway->n_published;
    gateway->n_taking = gateway->n_workers;
    for (unsigned i = 0; i < gateway->n_workers; i++) {
        struct note_view *note = mem_new(struct note_view);
        note->note = (struct note){ .kind = NOTE_VIEW, .worker = gateway->workers[i] };
        note->taken = (struct note){ .kind = NOTE_TAKEN, .worker = gateway->workers[i] };
        note->view = view;
        view->n_holders++;
        post(gateway->workers[i], &note->note);
    }
}

/* Addresses of static upstreams came or went. */
static void on_checks_changed(void *owner)
{
    publish(owner);
}

unsigned gateway_n_upstreams(const struct gateway *gateway)
{
    return upstream_checks_n(gateway->checks);
}

struct gateway_upstream gateway_upstream(const struct gateway *gateway, unsigned upstream)
{
    return upstream_checks_upstream(gateway->checks, upstream);
}

struct gateway_target gateway_target(const struct gateway *gateway, unsigned upstream,
                                     unsigned position)
{
    return upstream_checks_target(gateway->checks, upstream, position);
}

static void take_taken(struct gateway *gateway, const struct note_view *note)
{
    if (note->view->number != gateway->n_published || --gateway->n_taking)
        return;
    if (gateway->hooks.on_settled)
        gateway->hooks.on_settled(gateway->hooks.owner);
}

static void take_back_view(struct note_view *note)
{
    if (--note->view->n_holders == 0)
        view_free(note->view);
    free(note);
}

void gateway_publish(struct gateway *gateway, const struct registry *registry,
                     struct version_snapshot *snapshot)
{
    struct endpoints *before = gateway->endpoints;
    gateway->endpoints = endpoints_new(registry, snapshot, gateway->upstream_tls, before);
    endpoints_unref(before);
    publish(gateway);
    /* Whoever connects before waits in the queue: to a process that takes over, or that a manager
     * starts because of them, clients come at once. */
    for (unsigned i = 0; i < gateway->settings.n_listeners && !before; i++)
        listener_start(gateway, gateway->listeners[i]);
}

/* --- load --- */

void gateway_set_pressure(struct gateway *gateway, enum http_pressure pressure)
{
    gateway->pressure = pressure;
    for (unsigned i = 0; i < gateway->n_workers && !gateway->is_stopping; i++) {
        struct note_pressure *note = mem_new(struct note_pressure);
        note->note = (struct note){ .kind = NOTE_PRESSURE, .worker = gateway->workers[i] };
        note->pressure = pressure;
        post(gateway->workers[i], &note->note);
    }
}

struct gateway_load gateway_load(const struct gateway *gateway)
{
    unsigned n_failing, n_panics;
    upstream_checks_count(gateway->checks, &n_failing, &n_panics);
    return (struct gateway_load){
        .n_failing = n_failing,
        .n_panics = n_panics,
        .n_clients = http_census_n_clients(gateway->census),
        .n_upstreams = http_census_n_upstreams(gateway->census),
        .n_refused = http_census_n_refused(gateway->census),
        .http2 = http_census_http2(gateway->census),
        .n_unlogged = access_log_dropped(gateway->access),
        .pressure = gateway->pressure,
        .tls_trouble = certificates_trouble(gateway->certificates),
    };
}

/* --- usage --- */

static void begin_round(struct gateway *gateway)
{
    gateway->collecting = steal(gateway->next_round);
    for (unsigned i = 0; i < gateway->n_workers; i++) {
        gateway->n_collecting++;
        post(gateway->workers[i], &gateway->workers[i]->collect.note);
    }
}

static void tell(struct waiter *waiter)
{
    while (waiter) {
        struct waiter *next = waiter->next;
        waiter->on_done(waiter->owner);
        free(waiter);
        waiter = next;
    }
}

static void end_round(struct gateway *gateway)
{
    tell(steal(gateway->collecting));
    if (gateway->next_round && !gateway->n_collecting && !gateway->is_stopping)
        begin_round(gateway);
}

/* Merging empties a table, which then serves the worker again. */
static void take_usage(struct gateway *gateway, struct note_collect *note)
{
    struct usage_table *table = steal(note->table);
    if (table) {
        gateway->hooks.on_usage(gateway->hooks.owner, table);
        if (usage_table_is_empty(table) && !note->spare) {
            note->spare = table;
        } else {
            usage_table_free(table);
        }
    }
    if (gateway->n_collecting && --gateway->n_collecting == 0)
        end_round(gateway);
}

void gateway_collect_usage(struct gateway *gateway, void (*on_done)(void *owner), void *owner)
{
    if (gateway->has_stopped) {
        on_done(owner);
        return;
    }
    struct waiter *waiter = mem_new(struct waiter);
    waiter->on_done = on_done;
    waiter->owner = owner;
    struct waiter **last = &gateway->next_round;
    while (*last)
        last = &(*last)->next;
    *last = waiter;
    if (gateway->n_collecting == 0 && !gateway->is_stopping)
        begin_round(gateway);
}

/* --- the end --- */

static void drop_waiters(struct waiter *waiter)
{
    while (waiter) {
        struct waiter *next = waiter->next;
        free(waiter);
        waiter = next;
    }
}

static void take_end(struct gateway *gateway, struct note *note)
{
    struct worker *worker = note->worker;
    free(note);
    if (!usage_table_is_empty(worker->usage))
        gateway->hooks.on_usage(gateway->hooks.owner, worker->usage);
    if (--gateway->n_running)
        return;
    /* Whoever waits for a round has it now: every table has been merged. */
    gateway->has_stopped = true;
    gateway->n_collecting = 0;
    tell(steal(gateway->collecting));
    tell(steal(gateway->next_round));
    if (gateway->on_stopped)
        gateway->on_stopped(gateway->stop_owner);
}

static void on_letter(void *owner, struct letter *letter)
{
    struct gateway *gateway = owner;
    struct note *note = container_of(letter, struct note, letter);
    switch (note->kind) {
    case NOTE_VIEW: take_back_view(container_of(note, struct note_view, note)); break;
    case NOTE_TAKEN: take_taken(gateway, container_of(note, struct note_view, taken)); break;
    case NOTE_UNLISTEN:
        take_unlisten(gateway, container_of(note, struct note_listener, note));
        break;
    case NOTE_COLLECT: take_usage(gateway, container_of(note, struct note_collect, note)); break;
    case NOTE_BOM:
        gateway->hooks.on_bom(gateway->hooks.owner,
                              container_of(note, struct note_bom, note)->json);
        free(container_of(note, struct note_bom, note));
        break;
    case NOTE_CONNECTION:
        take_connection(gateway, container_of(note, struct note_connection, note));
        break;
    case NOTE_ENDED: take_end(gateway, note); break;
    case NOTE_LISTEN:
    case NOTE_PRESSURE:
    case NOTE_STOP: break; /* came too late for its worker, which owns it */
    }
}

static void stop(struct gateway *gateway, uint64_t handed, nsec grace)
{
    gateway->is_stopping = true;
    upstream_checks_stop(gateway->checks);
    for (unsigned i = 0; i < gateway->n_workers; i++) {
        gateway->workers[i]->stop_note.grace = grace;
        gateway->workers[i]->stop_note.handed = handed;
        post(gateway->workers[i], &gateway->workers[i]->stop_note.note);
    }
}

void gateway_stop(struct gateway *gateway, nsec grace, void (*on_done)(void *owner), void *owner)
{
    gateway->on_stopped = on_done;
    gateway->stop_owner = owner;
    if (!gateway->is_stopping)
        stop(gateway, 0, grace);
}

void gateway_leave(struct gateway *gateway, const bool *taken, nsec grace,
                   void (*on_done)(void *owner), void *owner)
{
    uint64_t handed = 0;
    gateway->on_stopped = on_done;
    gateway->stop_owner = owner;
    if (gateway->is_stopping)
        return;
    for (unsigned i = 0; i < gateway->settings.n_listeners; i++) {
        struct listener *listener = gateway->listeners[i];
        listener->sockets.is_handed = taken[i];
        handed |= (uint64_t)taken[i] << listener->slot;
    }
    stop(gateway, handed, grace);
}

/* --- the beginning --- */

static unsigned count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

/* --- the access log --- */

/* What was not written by then is lost, and that is told. */
#define ACCESS_GRACE (2 * NSEC_PER_SEC)

static int open_access(struct gateway *gateway, const struct gateway_access *settings,
                       struct access_target **ret_target, struct problem *problem)
{
    if (settings->kind == ACCESS_OFF)
        return 0;
    int r = access_log_start(gateway->access);
    if (r)
        return err_trace(r);
    r = access_target_open(settings, ret_target, problem);
    return r > 0 ? GATEWAY_ACCESS : err_trace(r);
}

void gateway_reopen_access(struct gateway *gateway)
{
    struct problem problem = { 0 };
    struct access_target *target = NULL;
    if (open_access(gateway, &gateway->settings.access, &target, &problem)) {
        log_error("gateway", "the access log cannot be opened anew; the old one goes on", "reason",
                  problem.text);
        return;
    }
    if (target)
        access_log_set(gateway->access, target);
}

static void keep_access(struct gateway *gateway, const struct gateway_settings *settings)
{
    free(gateway->access_path);
    free(gateway->access_redact);
    gateway->access_path = settings->access.path ? mem_strdup(settings->access.path) : NULL;
    gateway->access_redact = settings->access_redact ? mem_strdup(settings->access_redact) : NULL;
    gateway->settings.access.path = gateway->access_path;
    gateway->settings.access_redact = gateway->access_redact;
}

/* --- settings --- */

static void keep_settings(struct gateway *gateway, const struct gateway_settings *settings,
                          const struct upstream_tls *tls)
{
    free(gateway->blobs);
    gateway->blobs = mem_strdup(settings->blobs ? settings->blobs : "");
    gateway->settings = *settings;
    gateway->settings.blobs = gateway->blobs;
    keep_access(gateway, settings);
    gateway->settings.client.census = gateway->settings.upstream.census = gateway->census;
    gateway->settings.routes = NULL;
    struct route_table *before = gateway->routes;
    gateway->routes = route_table_new(settings->routes, settings->n_routes, tls->routes, before);
    route_table_unref(before);
    tls_client_unref(gateway->upstream_tls);
    gateway->upstream_tls = tls_client_ref(tls->common);
    struct upstream_checks_settings checks = { settings->panic_percent, gateway->upstream_tls };
    upstream_checks_set(gateway->checks, gateway->routes, &checks);
}

const struct tls_client *gateway_upstream_tls(const struct gateway *gateway)
{
    return gateway->upstream_tls;
}

static int open_listeners(struct gateway *gateway, const struct gateway_settings *settings,
                          struct problem *problem)
{
    for (unsigned i = 0; i < settings->n_listeners; i++) {
        int r = listener_open(gateway, &settings->listeners[i], &gateway->listeners[i], problem);
        if (r)
            return r;
    }
    return 0;
}

static int start_workers(struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->n_workers; i++) {
        int r = worker_start(gateway->workers[i]);
        if (r)
            return err_trace(r);
        gateway->n_running++;
    }
    return 0;
}

static void gateway_freep(struct gateway **gateway)
{
    gateway_free(*gateway);
}

int gateway_start(struct loop *loop, const struct gateway_settings *settings,
                  const struct cookie_keys *keys, const struct gateway_hooks *hooks,
                  struct gateway **ret_gateway, struct problem *problem)
{
    CLEANUP(gateway_freep) struct gateway *gateway = mem_new(struct gateway);
    gateway->loop = loop;
    gateway->hooks = *hooks;
    gateway->inbox = mailbox_new(loop, on_letter, gateway);
    gateway->census = http_census_new();
    gateway->certificates = certificates_new(loop);
    gateway->checks = upstream_checks_new(loop, on_checks_changed, gateway);
    CLEANUP(upstream_tls_fini) struct upstream_tls tls = { 0 };
    if (upstream_tls_open(&tls, settings, NULL, problem))
        return GATEWAY_TLS;
    keep_settings(gateway, settings, &tls);
    unsigned n_workers = settings->n_workers ? settings->n_workers : count_cores();
    if (n_workers > WORKERS_MAX)
        n_workers = WORKERS_MAX;

    struct worker_context context = {
        .clock = loop_clock(loop),
        .control = gateway->inbox,
        .pool = gateway->settings.upstream,
        .keys = *keys,
    };
    gateway->access = access_log_new(n_workers, loop_clock(loop));
    for (; gateway->n_workers < n_workers; gateway->n_workers++) {
        context.access = access_log_writer(gateway->access, gateway->n_workers);
        gateway->workers[gateway->n_workers] = worker_new(&context);
    }

    struct access_target *target = NULL;
    int r = open_access(gateway, &settings->access, &target, problem);
    if (r)
        return r;
    access_log_set(gateway->access, target);
    r = open_listeners(gateway, settings, problem);
    if (r)
        return r;
    r = start_workers(gateway);
    if (r)
        return err_trace(r);
    gateway->hooks.given = NULL;
    *ret_gateway = steal(gateway);
    return 0;
}

/* --- reload --- */

static bool is_same_listener(const struct gateway_listener *a, const struct gateway_listener *b)
{
    return a->is_internal == b->is_internal && address_equals(&a->address, &b->address) &&
           !a->tls.n_pairs == !b->tls.n_pairs && a->has_proxy_header == b->has_proxy_header;
}

static struct listener *find_listener(struct gateway *gateway,
                                      const struct gateway_listener *settings)
{
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        struct listener *listener = gateway->slots[i];
        if (listener && !listener->is_going && is_same_listener(&listener->settings, settings))
            return listener;
    }
    return NULL;
}

static bool is_listed(const struct listener *listener, struct listener *const *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (list[i] == listener)
            return true;
    }
    return false;
}

/* The listeners that there are to be. */
struct next_listeners {
    struct listener *all[GATEWAY_LISTENERS_MAX];
    bool is_new[GATEWAY_LISTENERS_MAX];
    struct tls_server *servers[GATEWAY_LISTENERS_MAX]; /* what those that stay are to serve by */
};

static void drop_servers(const struct next_listeners *next)
{
    for (unsigned i = 0; i < GATEWAY_LISTENERS_MAX; i++)
        tls_server_free(next->servers[i]);
}

/* Nothing is open that was not before when it fails. */
static int open_next(struct gateway *gateway, const struct gateway_settings *settings,
                     struct next_listeners *next, struct problem *problem)
{
    for (unsigned i = 0; i < settings->n_listeners; i++) {
        int r = 0;
        next->all[i] = find_listener(gateway, &settings->listeners[i]);
        if (next->all[i]) {
            r = open_tls(gateway, &settings->listeners[i], &next->all[i]->sockets.address,
                         &next->servers[i], problem);
        } else {
            r = listener_open(gateway, &settings->listeners[i], &next->all[i], problem);
            next->is_new[i] = r == 0;
        }
        if (!r)
            continue;
        for (unsigned k = 0; k < i; k++) {
            if (next->is_new[k])
                listener_give_up(gateway, next->all[k]);
        }
        return r;
    }
    return 0;
}

static void take_next(struct gateway *gateway, struct next_listeners *next, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (next->servers[i])
            tls_server_take(next->all[i]->tls, steal(next->servers[i]));
    }
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        struct listener *listener = gateway->slots[i];
        if (listener && !listener->is_going && !is_listed(listener, next->all, n))
            listener_stop(gateway, listener);
    }
    memcpy(gateway->listeners, next->all, sizeof(next->all));
    for (unsigned i = 0; i < n; i++) {
        if (next->is_new[i])
            listener_start(gateway, next->all[i]);
    }
}

int gateway_reload(struct gateway *gateway, const struct gateway_settings *settings,
                   struct problem *problem)
{
    CLEANUP(drop_servers) struct next_listeners next = { 0 };
    CLEANUP(access_target_closep) struct access_target *target = NULL;
    CLEANUP(upstream_tls_fini) struct upstream_tls tls = { 0 };
    int r = open_access(gateway, &settings->access, &target, problem);
    if (r)
        return r;
    struct upstream_tls_before before = { gateway->upstream_tls, &gateway->settings.upstream_tls };
    if (upstream_tls_open(&tls, settings, &before, problem))
        return GATEWAY_TLS;
    r = open_next(gateway, settings, &next, problem);
    if (r)
        return r;

    /* From here on nothing can fail. */
    keep_settings(gateway, settings, &tls);
    take_next(gateway, &next, settings->n_listeners);
    access_log_set(gateway->access, steal(target));
    publish(gateway);
    return 0;
}

/* Ends what runs without the control loop, which may have ended itself: what the workers posted
 * is dealt with when the mailbox is freed. */
struct gateway *gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return NULL;
    gateway->on_stopped = NULL;
    gateway->is_stopping = gateway->is_ending = true;
    drop_waiters(steal(gateway->collecting));
    drop_waiters(steal(gateway->next_round));
    for (unsigned i = 0; i < gateway->n_workers; i++)
        worker_join(gateway->workers[i]);
    gateway->inbox = mailbox_free(gateway->inbox);
    for (unsigned i = 0; i < gateway->n_workers; i++)
        worker_free(gateway->workers[i]);
    for (unsigned i = 0; i < LISTENER_SLOTS; i++)
        listener_free(gateway->slots[i]);
    upstream_checks_free(gateway->checks);
    endpoints_unref(gateway->endpoints);
    route_table_unref(gateway->routes);
    tls_client_unref(gateway->upstream_tls);
    certificates_free(gateway->certificates);
    http_census_free(gateway->census);
    access_log_free(gateway->access, ACCESS_GRACE);
    free(gateway->access_path);
    free(gateway->access_redact);
    free(gateway->blobs);
    free(gateway);
    return NULL;
}
