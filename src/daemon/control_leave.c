/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Giving way to another process. The store is the only thing that two cannot have at once, so what
 * needs it rests meanwhile: calls of the API wait in their connections, whose descriptors are kept
 * here; usage stays in the workers' tables; BOMs that are new are kept. All of it goes to the heir
 * or, when there will be none, back to where it belongs.
 */

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/control_state.h"
#include "daemon/takeover.h"

#define HOLD_MAX (5 * NSEC_PER_SEC) /* what calls under way may take, uploads for example */

char *control_api_path(const struct control *control)
{
    return mem_format("unix:%s/api.sock", control->settings->data);
}

/* --- sockets --- */

unsigned control_n_sockets(const struct control *control)
{
    unsigned n_faces = control->consul_fd >= 0 ? 1 : 0;
    return gateway_n_listeners(control->rooms.gateway) + 2 + n_faces;
}

static struct gateway_sockets one_socket(const struct control *control, const int *fd, unsigned use,
                                         const char *asked)
{
    struct gateway_sockets sockets = {
        .use = use,
        .is_kept = control->is_api_kept,
        .fds = fd,
        .n = 1,
    };
    IGNORE(address_parse(span_of(asked), &sockets.asked),
           "it could be parsed when this process started");
    return sockets;
}

struct gateway_sockets control_sockets(const struct control *control, unsigned index)
{
    unsigned n = gateway_n_listeners(control->rooms.gateway);
    if (index < n)
        return gateway_sockets(control->rooms.gateway, index);
    CLEANUP(mem_freep) char *path = control_api_path(control);
    switch (index - n) {
    case 0: return one_socket(control, &control->api_fd, USE_API, control->settings->api_listen);
    case 1: return one_socket(control, &control->api_unix_fd, USE_API, path);
    default:
        return one_socket(control, &control->consul_fd, USE_CONSUL,
                          control->settings->consul_listen);
    }
}

/* --- holding --- */

static void keep_connection(void *owner, int fd, const struct address *peer, unsigned number)
{
    (void)number;
    struct control *control = owner;
    mem_grow(control->connections, control->n_connections, control->connections_capacity);
    control->connections[control->n_connections++] =
        (struct gateway_connection){ .fd = fd, .use = USE_API, .address = *peer, .peer = *peer };
}

/* What is submitted still gets on the disk here, and is applied before this returns. For that an
 * etcd turns the loop, so it is done from a task: nothing else waits for a turn to go on. */
static void on_closing(struct task *task)
{
    struct control *control = container_of(task, struct control, closing);
    control->is_held = true;
    control->rooms.store = control->cluster.store = store_close(control->rooms.store);
    control->api = api_free(control->api);
    control_close_faces(control);
    control->on_held(control->on_held_owner);
}

static void on_counted(void *owner)
{
    struct control *control = owner;
    control->closing.on_run = on_closing;
    task_defer(&control->closing, control->loop);
}

static void on_api_left(void *owner)
{
    struct control *control = owner;
    if (!timer_is_running(&control->hold_time))
        return; /* it was too late */
    timer_stop(&control->hold_time);
    gateway_collect_usage(control->rooms.gateway, on_counted, control);
}

static void on_hold_time(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, hold_time);
    log_warn("daemon", "calls of the management API are broken off: they took too long");
    gateway_collect_usage(control->rooms.gateway, on_counted, control);
}

void control_hold(struct control *control, void (*on_held)(void *owner), void *owner)
{
    struct http_heir heir = { keep_connection, control };
    control->on_held = on_held;
    control->on_held_owner = owner;
    control->is_holding = control->expiry.is_held = true;
    control_stop_timers(control);
    cluster_stop(&control->cluster, true);
    control->hold_time.on_due = on_hold_time;
    timer_start(&control->hold_time, control->loop, loop_now(control->loop) + HOLD_MAX);
    control_drain_faces(control, true);
    api_leave(control->api, &heir, on_api_left, control);
}

/* --- and not --- */

/* The other process may have written before it ended; the watch tells of it. */
int control_resume(struct control *control, struct problem *problem)
{
    int r = control_open_store(control, problem);
    if (r)
        return r;
    control_open_cluster(control);
    r = store_watch_start(control->rooms.store, &control->watch, control->revision + 1);
    if (r) {
        problem_set(problem, "data", "what the other process wrote cannot be read");
        return CONTROL_REFUSED;
    }
    control->is_holding = control->is_held = control->expiry.is_held = false;
    control_open_faces(control);
    r = control_open_api(control);
    if (!r)
        r = control_serve_faces(control);
    if (r) {
        problem_set(problem, "api.listen", "cannot be served again: %s", strerror(-r));
        return CONTROL_REFUSED;
    }
    for (size_t i = 0; i < control->n_connections; i++)
        api_admit(control->api, control->connections[i].fd, &control->connections[i].peer);
    control->n_connections = 0;
    control_keep_boms(control);
    registry_forgive(control->rooms.registry, loop_now(control->loop));
    control_start_timers(control);
    control_publish(control);
    return 0;
}

nsec control_opening_took(const struct control *control)
{
    return control->opening_took;
}

/* --- leaving --- */

void control_leave(struct control *control, const struct control_heir *heir, const bool *taken,
                   void (*on_done)(void *owner), void *owner)
{
    control->heir = *heir;
    control->is_leaving = true;
    control->on_stopped = on_done;
    control->on_stopped_owner = owner;
    for (size_t i = 0; i < control->n_connections; i++)
        heir->on_connection(heir->owner, &control->connections[i]);
    control->n_connections = 0;
    list_each (link, &control->boms)
        heir->on_bom(heir->owner, span_of(container_of(link, struct keep_bom, link)->json));
    control_forget_kept(control);
    timer_stop(&control->pins);
    control_start_timers(control);
    control->is_api_stopped = true;
    gateway_leave(control->rooms.gateway, taken, control->settings->drain_grace,
                  control_gateway_stopped, control);
}

void control_forget_kept(struct control *control)
{
    for (size_t i = 0; i < control->n_connections; i++)
        close(control->connections[i].fd);
    control->n_connections = 0;
    free(steal(control->connections));
    control->connections_capacity = 0;
    for (struct list *link; (link = list_take_first(&control->boms));) {
        struct keep_bom *keep = container_of(link, struct keep_bom, link);
        free(keep->json);
        free(keep);
    }
}
