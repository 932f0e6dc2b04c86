/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What happens on the control loop, and when:
 *
 *   a change commits     every room applies it; at the end of the turn one snapshot is compiled
 *                        and published for all changes of that turn
 *   a face's own record  at the end of the turn the face tells who waits for it; no snapshot
 *   workers have it      writes that waited are answered
 *   a deadline passes    TTLs, rollout steps and pins each have a timer, set anew after a change
 *   every 250 ms         memory and refused clients are looked at
 *   every second         workers hand up their usage; it is merged and goes to the ledger
 *   every day            hours of usage that are older than they are kept leave the ledger
 */

#include "daemon/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/control_state.h"
#include "daemon/predecessor.h"
#include "daemon/settings_store.h"
#include "daemon/takeover.h"
#include "faces/consul/consul.h"
#include "io/file.h"
#include "io/tls.h"

#define USAGE_EVERY NSEC_PER_SEC
#define FORGET_EVERY (86400 * NSEC_PER_SEC)
#define LOAD_BATCH 512u

/* --- applying what was committed --- */

static void apply(struct control *control, const struct store_event *event)
{
    struct rooms *rooms = &control->rooms;
    int r = 0;
    if (span_starts_with(event->entry.key, SPAN(REGISTRY_PREFIX))) {
        r = registry_apply(rooms->registry, event, loop_now(control->loop),
                           loop_wall(control->loop));
    } else if (span_starts_with(event->entry.key, SPAN(VERSION_PREFIX))) {
        r = version_apply(rooms->version, event);
    } else if (span_starts_with(event->entry.key, SPAN(ROLLOUT_PREFIX))) {
        r = rollouts_apply(rooms->rollouts, event);
    } else if (span_starts_with(event->entry.key, SPAN(AUTH_PREFIX))) {
        r = auth_apply(rooms->auth, event);
    } else if (span_starts_with(event->entry.key, SPAN(USAGE_PREFIX))) {
        r = usage_apply(rooms->usage, event);
    }
    if (!r)
        r = control_tell_faces(control, event);
    control_tell_files(control, event);
    if (r) {
        char *key = mem_span_dup(event->entry.key);
        control->has_unread = true;
        log_error("daemon", "a record cannot be read and is left out", "key", key);
        free(key);
    }
}

/* Records of faces and of what was used: no request goes another way for them. */
static bool are_no_ways(const struct store_event *events, size_t n_events)
{
    for (size_t i = 0; i < n_events; i++) {
        struct span key = events[i].entry.key;
        if (!span_starts_with(key, SPAN(CONSUL_PREFIX)) &&
            !span_starts_with(key, SPAN(USAGE_PREFIX)))
            return false;
    }
    return true;
}

static void on_events(struct store_watch *watch, const struct store_event *events, size_t n_events,
                      int64_t revision)
{
    struct control *control = container_of(watch, struct control, watch);
    control->revision = revision;
    for (size_t i = 0; i < n_events; i++)
        apply(control, &events[i]);
    if (are_no_ways(events, n_events)) {
        task_defer(&control->tell, control->loop);
        return;
    }
    control->rooms.is_settled = false;
    rooms_changed(&control->rooms); /* what is decided next in this turn must see it */
    task_defer(&control->publish, control->loop);
}

void control_load(struct control *control, struct span prefix)
{
    const struct store_entry *entries[LOAD_BATCH];
    struct span after = SPAN_NULL;
    size_t n;
    do {
        n = store_range(control->rooms.store, prefix, after, entries, LOAD_BATCH);
        for (size_t i = 0; i < n; i++) {
            struct store_event event = { .kind = TXN_PUT, .entry = *entries[i] };
            apply(control, &event);
            after = entries[i]->key;
        }
    } while (n == LOAD_BATCH);
}

/* --- publishing --- */

void control_publish(struct control *control)
{
    struct rooms *rooms = &control->rooms;
    rooms_changed(rooms);
    gateway_publish(rooms->gateway, rooms->registry, rooms_snapshot_new(rooms));
    if (control->api)
        api_changed(control->api);
    control_faces_changed(control);

    unix_msec expiry = version_next_expiry(rooms->version, loop_wall(control->loop));
    if (expiry)
        timer_start_wall(&control->pins, control->loop, expiry);
    cluster_changed(&control->cluster);
    control_due(control);
    if (control->health)
        health_changed(control->health);
}

static void on_publish(struct task *task)
{
    struct control *control = container_of(task, struct control, publish);
    if (control->rooms.gateway && !control->is_stopping && !control->is_leaving) {
        control_publish(control);
    } else if (control->api) {
        /* Workers that end take no view any more; whoever wrote last gets its answer. */
        control->rooms.is_settled = true;
        api_settled(control->api);
        control_faces_settled(control);
    }
}

static void on_tell(struct task *task)
{
    control_faces_changed(container_of(task, struct control, tell));
}

static void on_pin_expired(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, pins);
    task_defer(&control->publish, control->loop);
}

static void on_settled(void *owner)
{
    struct control *control = owner;
    if (!list_is_empty(&control->publish.link))
        return; /* the next view is on its way */
    control->rooms.is_settled = true;
    if (control->api)
        api_settled(control->api);
    control_faces_settled(control);
}

/* --- what workers hand up --- */

static int build_keep_bom(struct store_command *command, struct txn *txn)
{
    struct keep_bom *keep = container_of(command, struct keep_bom, command);
    bom_keep(keep->control->rooms.version, span_of(keep->json), loop_wall(keep->control->loop),
             txn);
    return 0;
}

static void on_bom_kept(struct store_command *command, int answer, bool is_store_answer,
                        int64_t revision)
{
    (void)is_store_answer;
    (void)revision;
    struct keep_bom *keep = container_of(command, struct keep_bom, command);
    struct control *control = keep->control;
    if (answer && !control->is_held && cluster_is_away(&control->cluster)) {
        list_add_last(&control->boms, &keep->link); /* until it is back */
        return;
    }
    if (answer)
        log_warn("daemon", "a BOM could not be kept", "bom", keep->json);
    free(keep->json);
    free(keep);
}

void control_keep_boms(struct control *control)
{
    struct list waiting;
    list_init(&waiting);
    list_move_all(&waiting, &control->boms);
    for (struct list *link; (link = list_take_first(&waiting));)
        control_keep_bom(container_of(link, struct keep_bom, link));
}

void control_keep_bom(struct keep_bom *keep)
{
    keep->command.build = build_keep_bom;
    keep->command.on_done = on_bom_kept;
    store_run(keep->control->rooms.store, &keep->command);
}

static void on_bom(void *owner, struct span json)
{
    struct control *control = owner;
    if (control->heir.owner) {
        control->heir.on_bom(control->heir.owner, json);
        return;
    }
    struct keep_bom *keep = mem_new(struct keep_bom);
    keep->control = control;
    keep->json = mem_span_dup(json);
    if (control->is_held)
        list_add_last(&control->boms, &keep->link);
    else
        control_keep_bom(keep);
}

static void on_usage(void *owner, struct usage_table *table)
{
    struct control *control = owner;
    struct ledger_rows *hours = NULL, *seen = NULL;
    if (control->heir.owner) {
        control->heir.on_usage(control->heir.owner, table);
        return;
    }
    usage_merge(control->rooms.usage, table, loop_wall(control->loop), &hours, &seen);
    ledger_submit(control->rooms.store, NULL, hours);
    ledger_submit(control->rooms.store, NULL, seen);
    control_share_usage(control);
}

static void on_collected(void *owner)
{
    struct control *control = owner;
    control->is_collecting = false;
}

/* New certificates in the files are taken up, and bad ones told of. */
static void refresh_api_tls(struct control *control)
{
    struct problem problem = { 0 };
    if (control->api_tls &&
        tls_server_refresh(control->api_tls, loop_wall(control->loop), &problem) == TLS_REFUSED)
        log_error("api", "new certificates were refused; the old ones stay", "reason",
                  problem.text);
}

static void on_collect_due(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, collect);
    timer_start(timer, control->loop, loop_now(control->loop) + USAGE_EVERY);
    refresh_api_tls(control);
    if (control->is_collecting)
        return;
    control->is_collecting = true;
    gateway_collect_usage(control->rooms.gateway, on_collected, control);
}

static void forget_hours(struct control *control)
{
    unix_msec keep = (unix_msec)(control->settings->usage_keep / NSEC_PER_MSEC);
    ledger_expire(control->rooms.store, usage_hours_table(), USAGE_HOURS_HOUR,
                  usage_hour(loop_wall(control->loop) - keep));
    timer_start(&control->forget, control->loop, loop_now(control->loop) + FORGET_EVERY);
}

static void on_stalled(struct stall *stall)
{
    struct control *control = container_of(stall, struct control, stall);
    registry_forgive(control->rooms.registry, loop_now(control->loop));
    if (stall->n_lately <= REGISTRY_FORGIVES) /* who is dead goes in the end */
        control_faces_forgive(control);
    control_due(control);
}

void control_start_timers(struct control *control)
{
    timer_start(&control->collect, control->loop, loop_now(control->loop) + USAGE_EVERY);
    if (!control->rooms.store)
        return;
    forget_hours(control);
    control_start_cluster(control);
    stall_start(&control->stall, control->loop);
    usage_set_self(control->rooms.usage, span_of(store_writer_id(control->rooms.store)),
                   span_of(control->cluster.host));
    if (!control->health)
        control->health = health_new(control->loop, control->rooms.registry, control->rooms.store,
                                     control->rooms.gateway);
    health_changed(control->health);
    control_start_files(control);
}

void control_stop_timers(struct control *control)
{
    control_stop_files(control);
    control->health = health_free(control->health);
    stall_stop(&control->stall);
    timer_stop(&control->collect);
    timer_stop(&control->forget);
    control_due_stop(control);
}

static void on_forget_due(struct timer *timer)
{
    forget_hours(container_of(timer, struct control, forget));
}

static void on_connection(void *owner, const struct gateway_connection *connection)
{
    struct control *control = owner;
    if (control->heir.owner)
        control->heir.on_connection(control->heir.owner, connection);
    else
        close(connection->fd);
}

/* --- starting --- */

static int start_gateway(struct control *control, struct problem *problem)
{
    struct gateway_hooks hooks = {
        .on_bom = on_bom,
        .on_usage = on_usage,
        .on_settled = on_settled,
        .on_connection = on_connection,
        .owner = control,
        .given = control_given(control),
    };
    int r = gateway_start(control->loop, &control->settings->gateway, &control->keys, &hooks,
                          &control->rooms.gateway, problem);
    return r > 0 ? CONTROL_REFUSED : err_trace(r);
}

static int open_api_tls(struct control *control, struct problem *problem)
{
    const struct tls_server_settings settings = {
        .pairs = &control->settings->api_tls,
        .n_pairs = 1,
        .min_version = TLS_1_2,
        .is_http1_only = true,
    };
    if (!settings.pairs->certificate)
        return 0;
    struct tls_tickets *tickets = tls_tickets_new(loop_clock(control->loop));
    int r = tls_server_new("api", &settings, tickets, &control->api_tls, problem);
    tls_tickets_unref(tickets);
    return r > 0 ? CONTROL_REFUSED : err_trace(r);
}

int control_open_api(struct control *control)
{
    struct api_settings settings = {
        .token = control->token,
        .hosts = control_api_hosts(control, control->settings),
        .registration_is_open = !control->settings->auth_required,
        .started = control->started,
    };
    if (control->hooks.sandbox) {
        settings.landlock = control->hooks.sandbox->landlock;
        settings.has_seccomp = control->hooks.sandbox->has_seccomp;
    }
    control->api = api_new(control->loop, &control->rooms, &settings);
    int r = api_listen(control->api, control->api_fd, control->api_tls);
    return r ? err_trace(r) : err_trace(api_listen(control->api, control->api_unix_fd, NULL));
}

static int start_api(struct control *control, struct problem *problem)
{
    CLEANUP(mem_freep) char *path = control_api_path(control);
    control->started = loop_now(control->loop);
    int r = control_listen_at(control, span_of(path), USE_API, problem, &control->api_unix_fd);
    if (!r && chmod(path + strlen("unix:"), 0600) < 0)
        r = err_origin(-errno);
    if (!r)
        r = open_api_tls(control, problem);
    if (!r)
        r = control_open_api(control);
    return r ? r : control_serve_faces(control);
}

static void fail(struct control *control, int r, struct problem *problem)
{
    if (r < 0)
        problem_set(problem, "", "the listeners cannot be served: %s", strerror(-r));
    control->hooks.on_failed(control->hooks.owner, problem);
}

static void end_when_stopped(void *owner);

static void on_left_connection(void *owner, const struct gateway_connection *connection)
{
    struct control *control = owner;
    if (connection->use == USE_API)
        api_admit(control->api, connection->fd, &connection->peer);
    else
        gateway_admit(control->rooms.gateway, connection);
}

static void end_predecessor(struct control *control)
{
    struct predecessor_hooks hooks = { on_usage, on_bom, on_left_connection, end_when_stopped,
                                       control };
    predecessor_ready(control->hooks.predecessor, control->loop, &hooks);
}

/* The ledger's rows are the last thing to come; then everything serves. */
static void on_seen_rows(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows)
{
    struct control *control = container_of(read, struct control, seen);
    struct problem problem = { 0 };
    if (control->is_stopping)
        return; /* the store hands over its last answers while everything is taken down */
    usage_load(control->rooms.usage, cells, n_rows);
    control->opening_took = clock_now(loop_clock(control->loop)) - control->opening_at;

    int r = start_gateway(control, &problem);
    if (!r)
        r = start_api(control, &problem);
    if (r) {
        fail(control, r, &problem);
        return;
    }
    control_publish(control);
    control_start_timers(control);
    pressure_start(&control->pressure, control->loop, control->rooms.gateway,
                   control->settings->memory);
    if (control->hooks.predecessor)
        end_predecessor(control);
    control->hooks.on_ready(control->hooks.owner);
}

static int open_store(struct control *control, struct problem *problem)
{
    if (control->hooks.predecessor && predecessor_get_store(control->hooks.predecessor, problem))
        return CONTROL_REFUSED;
    control->opening_at = clock_now(loop_clock(control->loop));
    int r = control_open_store(control, problem);
    if (!r)
        r = control_share_secrets(control, problem);
    if (r)
        return r;
    control->revision = store_revision(control->rooms.store);
    control_open_cluster(control);
    control_load(control, SPAN(REGISTRY_PREFIX));
    registry_set_loaded(control->rooms.registry, control->revision);
    control_load(control, SPAN(VERSION_PREFIX));
    control_load(control, SPAN(ROLLOUT_PREFIX));
    control_load(control, SPAN(AUTH_PREFIX));
    control_load(control, SPAN(USAGE_PREFIX));
    control_open_faces(control);
    control_sweep_blobs(control);
    control->watch.on_events = on_events;
    return err_fold(store_watch_start(control->rooms.store, &control->watch, 0));
}

static struct control *control_new(struct loop *loop, const struct settings *settings,
                                   const struct control_hooks *hooks)
{
    struct control *control = mem_new(struct control);
    control->loop = loop;
    control->settings = settings;
    control->hooks = *hooks;
    control->api_fd = control->api_unix_fd = control->consul_fd = -1;
    control->publish.on_run = on_publish;
    list_init(&control->publish.link);
    control->tell.on_run = on_tell;
    list_init(&control->tell.link);
    list_init(&control->closing.link);
    list_init(&control->watch.link);
    list_init(&control->boms);
    control_due_init(control);
    control->stall.on_stalled = on_stalled;
    control->pins.on_due = on_pin_expired;
    control->collect.on_due = on_collect_due;
    control->forget.on_due = on_forget_due;
    control->rooms.loop = loop;
    control->rooms.retire_window = settings->retire_window;
    control->rooms.health_networks = settings->health_networks;
    control->rooms.registry = registry_new();
    registry_set_panic(control->rooms.registry, settings->gateway.panic_percent);
    control->rooms.version = version_new();
    control->rooms.rollouts = rollouts_new();
    control->rooms.usage = usage_new();
    control->rooms.auth = auth_new();
    return control;
}

DEFINE_CLEANUP(struct control *, control_free);

int control_start(struct loop *loop, const struct settings *settings,
                  const struct control_hooks *hooks, struct control **ret_control,
                  struct problem *problem)
{
    CLEANUP(control_freep) struct control *control = control_new(loop, settings, hooks);
    int r = control_open_listeners(control, problem);
    if (!r)
        r = control_make_data(control, problem);
    if (!r && hooks->confine)
        r = hooks->confine(hooks->owner, problem);
    if (!r)
        r = control_open_secrets(control, problem);
    if (!r)
        r = open_store(control, problem);
    if (r)
        return r;

    control->seen.table = usage_seen_table();
    control->seen.on_rows = on_seen_rows;
    ledger_submit_read(control->rooms.store, &control->seen);
    *ret_control = steal(control);
    return 0;
}

static int refuse_change(const char *key, const char *now, struct problem *problem)
{
    problem_set(problem, key, "cannot change while it serves and is %s; restart it for that", now);
    return CONTROL_REFUSED;
}

static int check_change(const struct settings *old, const struct settings *new,
                        struct problem *problem)
{
    char n_workers[16];
    snprintf(n_workers, sizeof(n_workers), "%u", old->gateway.n_workers);
    if (strcmp(old->data, new->data) != 0)
        return refuse_change("data", old->data, problem);
    if (strcmp(old->api_listen, new->api_listen) != 0)
        return refuse_change("api.listen", old->api_listen, problem);
    if (!settings_etcd_equals(&old->etcd, &new->etcd))
        return refuse_change("store.etcd", old->etcd.endpoints ? old->etcd.endpoints : "off",
                             problem);
    if (!settings_text_equals(old->consul_listen, new->consul_listen))
        return refuse_change("faces.consul", old->consul_listen ? old->consul_listen : "off",
                             problem);
    if (!settings_text_equals(old->api_tls.certificate, new->api_tls.certificate) ||
        !settings_text_equals(old->api_tls.key, new->api_tls.key))
        return refuse_change("api.tls", old->api_tls.certificate ? old->api_tls.certificate : "off",
                             problem);
    if (old->gateway.n_workers != new->gateway.n_workers)
        return refuse_change("gateway.workers", n_workers, problem);
    return 0;
}

int control_reload(struct control *control, const struct settings *settings,
                   struct problem *problem)
{
    int r = check_change(control->settings, settings, problem);
    if (!r && control->hooks.check)
        r = control->hooks.check(control->hooks.owner, settings, problem);
    if (r)
        return r;
    r = gateway_reload(control->rooms.gateway, &settings->gateway, problem);
    if (r)
        return r > 0 ? CONTROL_REFUSED : err_trace(r);
    registry_set_panic(control->rooms.registry, settings->gateway.panic_percent);
    control_publish(control); /* for instances, what they are spoken to over may be another now */
    control->settings = settings;
    control->rooms.retire_window = settings->retire_window;
    control->rooms.health_networks = settings->health_networks;
    control_reload_faces(control);
    forget_hours(control);
    pressure_set_limit(&control->pressure, settings->memory);
    api_set_access(control->api, control_api_hosts(control, settings), !settings->auth_required);
    log_setup(settings->log_level, settings->log_is_json);
    return 0;
}

void control_reopen_logs(struct control *control)
{
    gateway_reopen_access(control->rooms.gateway);
}

/* --- stopping --- */

static void on_last_usage(void *owner)
{
    struct control *control = owner;
    timer_stop(&control->collect);
    control->on_stopped(control->on_stopped_owner);
}

/* What a process before this one still counts is kept here. */
static bool waits_for_elders(const struct control *control)
{
    return control->hooks.predecessor && !control->is_grace_over &&
           !predecessor_is_alone(control->hooks.predecessor);
}

static void end_when_stopped(void *owner)
{
    struct control *control = owner;
    if (!control->is_api_stopped || !control->is_gateway_stopped || control->has_ended ||
        waits_for_elders(control))
        return;
    control->has_ended = true;
    timer_stop(&control->drain_grace);
    gateway_collect_usage(control->rooms.gateway, on_last_usage, control);
}

void control_gateway_stopped(void *owner)
{
    struct control *control = owner;
    control->is_gateway_stopped = true;
    end_when_stopped(control);
}

static void on_api_drained(void *owner)
{
    struct control *control = owner;
    control->is_api_stopped = true;
    end_when_stopped(control);
}

static void on_drain_grace(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, drain_grace);
    control->is_grace_over = control->is_api_stopped = true;
    end_when_stopped(control);
}

void control_stop(struct control *control, void (*on_done)(void *owner), void *owner)
{
    log_info("daemon", "stopping");
    control->is_stopping = true;
    cluster_stop(&control->cluster, false);
    control->on_stopped = on_done;
    control->on_stopped_owner = owner;
    control_stop_timers(control);
    pressure_stop(&control->pressure);
    control->drain_grace.on_due = on_drain_grace;
    timer_start(&control->drain_grace, control->loop,
                loop_now(control->loop) + control->settings->drain_grace);
    control_drain_faces(control, control->is_api_kept);
    if (control->is_api_kept)
        api_leave(control->api, NULL, on_api_drained, control);
    else
        api_drain(control->api, on_api_drained, control);
    gateway_stop(control->rooms.gateway, control->settings->drain_grace, control_gateway_stopped,
                 control);
}

struct control *control_free(struct control *control)
{
    if (!control)
        return NULL;

    control->is_stopping = true;
    control_stop_timers(control);
    timer_stop(&control->hold_time);
    timer_stop(&control->pins);
    pressure_stop(&control->pressure);
    timer_stop(&control->drain_grace);
    gateway_free(control->rooms.gateway);
    if (control->rooms.store)
        store_watch_stop(&control->watch);
    cluster_stop(&control->cluster, false);
    store_close(control->rooms.store);
    task_cancel(&control->publish);
    task_cancel(&control->tell);
    task_cancel(&control->closing);
    api_free(control->api);
    free(control->api_hosts);
    control_close_faces(control);
    control_forget_kept(control);
    tls_server_free(control->api_tls);
    rooms_changed(&control->rooms);
    auth_free(control->rooms.auth);
    usage_free(control->rooms.usage);
    rollouts_free(control->rooms.rollouts);
    version_free(control->rooms.version);
    registry_free(control->rooms.registry);
    fd_closep(&control->api_fd);
    fd_closep(&control->api_unix_fd);
    fd_closep(&control->consul_fd);
    free(control);
    return NULL;
}

/* --- what it says of itself --- */

void control_listener_text(const struct control *control, unsigned index, char *text, size_t size)
{
    char address[ADDRESS_TEXT_MAX];
    address_format(gateway_listener_address(control->rooms.gateway, index), address);
    snprintf(text, size, "%s", address);
}

static void socket_text(int fd, char *text, size_t size)
{
    struct address address;
    char formatted[ADDRESS_TEXT_MAX] = "?";
    if (!socket_address(fd, &address))
        address_format(&address, formatted);
    snprintf(text, size, "%s", formatted);
}

void control_api_text(const struct control *control, char *text, size_t size)
{
    socket_text(control->api_fd, text, size);
}

void control_consul_text(const struct control *control, char *text, size_t size)
{
    text[0] = '\0';
    if (control->consul)
        socket_text(control->consul_fd, text, size);
}

const char *control_token(const struct control *control)
{
    return control->token;
}
