/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/worker.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/count.h"
#include "gateway/request_log.h"

/* --- epochs --- */

struct reported_bom {
    struct map_node node;
    char id[BOM_ID_SIZE + 1];
};

/* In a round of `n`: views come often, and the first instance must not get the first request after
 * each. */
static uint32_t somewhere(struct worker *worker, uint32_t n)
{
    return n > 1 ? worker_random(worker, 1)[0] % n : 0;
}

static struct epoch *epoch_new(struct worker *worker, struct note_view *note)
{
    const struct endpoints *endpoints = note->view->endpoints;
    const struct route_table *routes = note->view->routes;
    struct epoch *epoch = mem_new(struct epoch);
    epoch->worker = worker;
    epoch->note = note;
    epoch->view = note->view;
    epoch->boms = bom_cache_new(note->view->snapshot);
    epoch->refused_at =
        mem_new_array(nsec, endpoints->n_endpoints + route_table_n_endpoints(routes) + 1);
    epoch->cursors =
        mem_new_array(uint32_t, endpoints->n_groups + route_table_n_upstreams(routes) + 1);
    /* The walk leaves out who refuses for ever. */
    for (uint32_t i = 0; note->view->is_out && i < route_table_n_endpoints(routes); i++) {
        if (note->view->is_out[i])
            epoch->refused_at[endpoints->n_endpoints + i] = NSEC_NEVER;
    }
    epoch->n_users = 1;
    map_init(&epoch->reported);
    for (uint32_t i = 0; i < endpoints->n_groups; i++)
        epoch->cursors[i] = somewhere(worker, endpoints->groups[i].n);
    for (unsigned i = 0; i < route_table_size(routes); i++) {
        const struct route_action *action = route_action(routes, i);
        if (action->kind == ROUTE_UPSTREAM)
            epoch->cursors[endpoints->n_groups + action->upstream.number] =
                somewhere(worker, action->upstream.n);
    }
    return epoch;
}

static void epoch_free(struct epoch *epoch)
{
    map_each (node, &epoch->reported) {
        map_remove(&epoch->reported, node);
        free(container_of(node, struct reported_bom, node));
    }
    map_fini(&epoch->reported);
    bom_cache_free(epoch->boms);
    free(epoch->refused_at);
    free(epoch->cursors);
    mailbox_post(epoch->worker->context.control, &epoch->note->note.letter);
    free(epoch);
}

struct epoch *worker_hold_epoch(struct worker *worker)
{
    if (worker->epoch)
        worker->epoch->n_users++;
    return worker->epoch;
}

void epoch_release(struct epoch *epoch)
{
    if (epoch && --epoch->n_users == 0)
        epoch_free(epoch);
}

void epoch_report(struct epoch *epoch, const struct bom *bom)
{
    if (map_find(&epoch->reported, (struct span){ bom->id, BOM_ID_SIZE }))
        return;
    struct reported_bom *reported = mem_new(struct reported_bom);
    memcpy(reported->id, bom->id, sizeof(reported->id));
    map_add(&epoch->reported, &reported->node, (struct span){ reported->id, BOM_ID_SIZE });

    struct note_bom *note = mem_zalloc(1, sizeof(*note) + bom->json.size);
    note->note.kind = NOTE_BOM;
    note->note.worker = epoch->worker;
    memcpy(note + 1, bom->json.data, bom->json.size);
    note->json = (struct span){ (const char *)(note + 1), bom->json.size };
    mailbox_post(epoch->worker->context.control, &note->note.letter);
}

const struct snapshot_release *epoch_release_of(struct epoch *epoch, const struct bom *bom,
                                                uint32_t contract)
{
    uintptr_t mix = ((uintptr_t)bom >> 6) ^ ((uintptr_t)contract * 31);
    struct release_slot *slot = &epoch->releases[mix % RELEASE_SLOTS];
    if (slot->bom == bom && slot->contract == contract)
        return slot->release;
    const struct snapshot_release *found = NULL;
    for (unsigned i = 0; i < bom->n_releases && !found; i++) {
        if (release_resolves_to(epoch->view->snapshot, bom->releases[i], contract))
            found = bom->releases[i];
    }
    *slot = (struct release_slot){ bom, contract, found };
    return found;
}

const uint8_t *worker_random(struct worker *worker, size_t size)
{
    if (worker->random_used + size > sizeof(worker->random)) {
        hash_random(worker->random, sizeof(worker->random));
        worker->random_used = 0;
    }
    const uint8_t *bytes = worker->random + worker->random_used;
    worker->random_used += size;
    return bytes;
}

/* --- notes from the control loop --- */

/* What a reload may have changed for listeners and connections that stay. */
static void take_limits(struct worker *worker, const struct gateway_limits *limits)
{
    http_pool_set(worker->pool, &limits->upstream);
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        struct worker_listener *listener = &worker->listeners[i];
        if (!listener->server)
            continue;
        struct http_settings settings = limits->client;
        if (listener->is_internal)
            settings.max_per_address = 0;
        http_server_set(listener->server, &settings);
    }
}

static void take_view(struct worker *worker, struct note_view *note)
{
    const struct endpoints *endpoints = note->view->endpoints;
    const struct route_table *routes = note->view->routes;
    struct epoch *before = worker->epoch;
    size_t n_gone = 0;
    const struct address *gone = NULL;
    if (before && before->view->routes != routes)
        gone = route_table_gone(routes, &n_gone);
    worker->epoch = epoch_new(worker, note);
    worker->redaction = note->view->redaction;
    take_limits(worker, &note->view->limits);
    mailbox_post(worker->context.control, &note->taken.letter);
    epoch_release(before);
    for (size_t i = 0; i < endpoints->n_gone; i++)
        http_pool_forget(worker->pool, &endpoints->gone[i]);
    for (size_t i = 0; i < n_gone; i++)
        http_pool_forget(worker->pool, &gone[i]);
}

/* Whoever attacks must not fill the log: one line a second, with how many came meanwhile. */
static void on_ended(struct http_handler *handler, const struct address *peer, const char *reason)
{
    struct worker *worker = container_of(handler, struct worker_listener, handler)->worker;
    nsec now = loop_now(worker->loop);
    if (worker->ended_logged_at && now < worker->ended_logged_at + NSEC_PER_SEC) {
        worker->n_ended_unlogged++;
        return;
    }
    char text[ADDRESS_TEXT_MAX], others[16];
    address_format(peer, text);
    snprintf(others, sizeof(others), "%u", worker->n_ended_unlogged);
    log_info("gateway", "a connection of HTTP/2 was ended", "peer", text, "reason", reason,
             "others_before", others);
    worker->ended_logged_at = now;
    worker->n_ended_unlogged = 0;
}

static void take_listener(struct worker *worker, struct note_listener *note)
{
    struct worker_listener *listener = &worker->listeners[note->slot];
    listener->worker = worker;
    listener->is_internal = note->is_internal;
    listener->handler.on_request = request_start;
    listener->handler.on_refused = request_log_refused;
    listener->handler.on_ended = on_ended;
    listener->server = http_server_new(worker->loop, &listener->handler, &note->settings);
    http_server_set_pressure(listener->server, worker->pressure);
    listener->is_kept = note->is_kept;
    listener->is_sealed = note->options.tls;
    for (unsigned i = 0; i < note->n_fds; i++) {
        if (http_listen(listener->server, note->fds[i], note->slot, &note->options))
            log_error("gateway", "a worker cannot watch its listening socket");
    }
    free(note);
}

static void end_draining(struct worker *worker)
{
    if (worker->stop && worker->n_draining == 0)
        task_defer(&worker->end_task, worker->loop);
}

/* Off the server's own call stack, so that it may be freed. */
static void on_free_listener(struct task *task)
{
    struct worker_listener *listener = container_of(task, struct worker_listener, free_task);
    struct worker *worker = listener->worker;
    listener->server = http_server_free(listener->server);
    if (listener->unlisten)
        mailbox_post(worker->context.control, &steal(listener->unlisten)->letter);
    worker->n_draining--;
    end_draining(worker);
}

static void on_listener_drained(void *owner)
{
    struct worker_listener *listener = owner;
    task_defer(&listener->free_task, listener->worker->loop);
}

/* Sockets that the service manager keeps are still there for the process after this one. */
static void drain_listener(struct worker *worker, struct worker_listener *listener)
{
    worker->n_draining++;
    if (listener->is_kept)
        http_leave(listener->server, NULL, on_listener_drained, listener);
    else
        http_drain(listener->server, on_listener_drained, listener);
}

static void hand_up(void *owner, int fd, const struct address *peer, unsigned number)
{
    struct worker *worker = owner;
    struct note_connection *note = mem_new(struct note_connection);
    note->note.kind = NOTE_CONNECTION;
    note->note.worker = worker;
    note->slot = number;
    note->fd = fd;
    note->peer = *peer;
    mailbox_post(worker->context.control, &note->note.letter);
}

static void leave_listener(struct worker *worker, struct worker_listener *listener)
{
    struct http_heir heir = { hand_up, worker };
    worker->n_draining++;
    http_leave(listener->server, &heir, on_listener_drained, listener);
}

static void take_connection(struct worker *worker, struct note_connection *note)
{
    const struct worker_listener *listener = &worker->listeners[note->slot];
    if (listener->server && !listener->unlisten && !listener->is_sealed && !worker->stop)
        http_admit(listener->server, note->fd, &note->peer, note->slot, NULL);
    else
        close(note->fd);
    free(note);
}

static void take_unlisten(struct worker *worker, struct note_listener *note)
{
    struct worker_listener *listener = &worker->listeners[note->slot];
    listener->unlisten = &note->note;
    drain_listener(worker, listener);
}

static void take_collect(struct worker *worker, struct note_collect *note)
{
    count_running(worker);
    if (!usage_table_is_empty(worker->usage)) {
        note->table = worker->usage;
        worker->usage = note->spare ? steal(note->spare) : usage_table_new();
    }
    mailbox_post(worker->context.control, &note->note.letter);
}

static void take_pressure(struct worker *worker, struct note_pressure *note)
{
    worker->pressure = note->pressure;
    free(note);
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        if (worker->listeners[i].server)
            http_server_set_pressure(worker->listeners[i].server, worker->pressure);
    }
}

static void on_end(struct task *task)
{
    loop_stop(container_of(task, struct worker, end_task)->loop);
}

static void on_grace_over(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, grace_timer);
    task_defer(&worker->end_task, worker->loop);
}

static void take_stop(struct worker *worker, struct note_stop *note)
{
    worker->stop = note;
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        struct worker_listener *listener = &worker->listeners[i];
        if (!listener->server || listener->unlisten)
            continue;
        if (note->handed & (uint64_t)1 << i)
            leave_listener(worker, listener);
        else
            drain_listener(worker, listener);
    }
    nsec now = loop_now(worker->loop);
    timer_start(&worker->grace_timer, worker->loop, now + note->grace);
    end_draining(worker);
}

/* A worker that has ended takes nothing any more: what comes goes back as it is. */
static void return_note(struct worker *worker, struct note *note)
{
    if (note->kind == NOTE_LISTEN) {
        free(container_of(note, struct note_listener, note));
    } else if (note->kind == NOTE_PRESSURE) {
        free(container_of(note, struct note_pressure, note));
    } else if (note->kind == NOTE_CONNECTION) {
        close(container_of(note, struct note_connection, note)->fd);
        free(container_of(note, struct note_connection, note));
    } else {
        mailbox_post(worker->context.control, &note->letter);
    }
}

static void on_letter(void *owner, struct letter *letter)
{
    struct worker *worker = owner;
    struct note *note = container_of(letter, struct note, letter);
    if (worker->has_ended) {
        return_note(worker, note);
        return;
    }
    switch (note->kind) {
    case NOTE_VIEW: take_view(worker, container_of(note, struct note_view, note)); break;
    case NOTE_LISTEN: take_listener(worker, container_of(note, struct note_listener, note)); break;
    case NOTE_UNLISTEN:
        take_unlisten(worker, container_of(note, struct note_listener, note));
        break;
    case NOTE_CONNECTION:
        take_connection(worker, container_of(note, struct note_connection, note));
        break;
    case NOTE_COLLECT: take_collect(worker, container_of(note, struct note_collect, note)); break;
    case NOTE_PRESSURE:
        take_pressure(worker, container_of(note, struct note_pressure, note));
        break;
    case NOTE_STOP: take_stop(worker, container_of(note, struct note_stop, note)); break;
    case NOTE_TAKEN:
    case NOTE_BOM:
    case NOTE_ENDED: break; /* never sent down */
    }
}

/* --- life --- */

/* Breaks off what is still under way: each exchange ends by its on_abort. */
static void close_listeners(struct worker *worker)
{
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        struct worker_listener *listener = &worker->listeners[i];
        task_cancel(&listener->free_task);
        listener->server = http_server_free(listener->server);
        if (listener->unlisten)
            mailbox_post(worker->context.control, &steal(listener->unlisten)->letter);
    }
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    int r = loop_run(worker->loop);
    if (r)
        log_error("gateway", "a worker's loop failed");

    timer_stop(&worker->grace_timer);
    task_cancel(&worker->end_task);
    close_listeners(worker);
    worker->pool = http_pool_free(worker->pool);
    worker->redaction = NULL;
    epoch_release(steal(worker->epoch));
    requests_free(worker);
    access_log_end(worker->context.access);
    worker->has_ended = true;
    /* The last thing this thread does: the control loop joins it. */
    struct note *note = mem_new(struct note);
    note->kind = NOTE_ENDED;
    note->worker = worker;
    mailbox_post(worker->context.control, &note->letter);
    return NULL;
}

struct worker *worker_new(const struct worker_context *context)
{
    struct worker *worker = mem_new(struct worker);
    worker->context = *context;
    worker->loop = loop_new(context->clock);
    worker->inbox = mailbox_new(worker->loop, on_letter, worker);
    worker->pool = http_pool_new(worker->loop, &context->pool);
    worker->usage = usage_table_new();
    worker->cookies = cookie_cache_new();
    worker->random_used = sizeof(worker->random);
    random_init(&worker->traces);
    worker->grace_timer.on_due = on_grace_over;
    worker->end_task.on_run = on_end;
    worker->collect.note = (struct note){ .kind = NOTE_COLLECT, .worker = worker };
    worker->stop_note.note = (struct note){ .kind = NOTE_STOP, .worker = worker };
    list_init(&worker->running);
    list_init(&worker->free_requests);
    list_init(&worker->end_task.link);
    for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
        worker->listeners[i].free_task.on_run = on_free_listener;
        list_init(&worker->listeners[i].free_task.link);
    }
    return worker;
}

int worker_start(struct worker *worker)
{
    int r = err_origin(-pthread_create(&worker->thread, NULL, worker_main, worker));
    worker->has_thread = r == 0;
    return r;
}

void worker_join(struct worker *worker)
{
    if (worker->has_thread) {
        loop_stop(worker->loop);
        pthread_join(worker->thread, NULL);
    }
    worker->has_ended = true;
    worker->inbox = mailbox_free(worker->inbox);
}

struct worker *worker_free(struct worker *worker)
{
    if (!worker)
        return NULL;
    http_pool_free(worker->pool);
    usage_table_free(worker->usage);
    cookie_cache_free(worker->cookies);
    usage_table_free(worker->collect.spare);
    loop_free(worker->loop);
    free(worker);
    return NULL;
}
