/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/client.h"

#include <unistd.h>

#include "base/mem.h"
#include "http/shake.h"
#include "http/stream.h"

#define PING_TIME (10 * NSEC_PER_SEC) /* that a living upstream may take to answer one */

static struct http2_client *connection_of(struct http2_session *session)
{
    return container_of(session, struct http2_client, session);
}

static struct http2_call *call_of(struct list *link)
{
    return container_of(link, struct http2_call, link);
}

static nsec now_of(const struct http2_client *connection)
{
    return loop_now(connection->pool->loop);
}

/* --- the pool's --- */

void http2_pool_reap(struct http2_pool *http2)
{
    for (struct list *link; (link = list_take_first(&http2->dead));) {
        struct http2_client *connection = container_of(link, struct http2_client, link);
        http2_session_fini(&connection->session);
        free(connection);
    }
}

/* --- the end of a connection --- */

void http2_client_release(struct http2_client *connection)
{
    struct http_pool *pool = connection->pool;
    if (connection->n_calls > 0 || connection->upstream)
        return;
    task_cancel(&connection->task);
    list_remove(&connection->link);
    list_add_last(&pool->http2.dead, &connection->link);
    task_defer(&pool->reaper, pool->loop);
}

/* It is closed: no part of its upstream any more. */
static void leave_upstream(struct http2_client *connection)
{
    struct http_pool *pool = connection->pool;
    struct http_upstream *upstream = connection->upstream;
    if (!upstream)
        return;
    connection->upstream = NULL;
    connection->state = HTTP2_LOST;
    list_remove(&connection->link);
    upstream->n_connections--;
    http_census_drop_upstream(pool->census);
    http_upstream_release(pool, upstream);
    http2_client_release(connection);
}

static void lose_calls(struct http2_client *connection, enum http_fault fault)
{
    connection->state = HTTP2_LOST;
    list_each_safe (link, &connection->calls)
        http2_call_lose(call_of(link), fault);
    connection->n_streams = 0;
}

/* Before it was ready. */
static void connection_fail(struct http2_client *connection, enum http_fault fault)
{
    lose_calls(connection, fault);
    http2_session_close(&connection->session);
    leave_upstream(connection);
}

static void on_lost(struct http2_session *session)
{
    lose_calls(connection_of(session), HTTP_FAULT_BROKEN);
}

static void on_closed(struct http2_session *session)
{
    leave_upstream(connection_of(session));
}

/* Nothing new goes there, and it ends when it has no calls. */
static void connection_retire(struct http2_client *connection)
{
    if (connection->state == HTTP2_CONNECTING && connection->n_calls == 0) {
        connection_fail(connection, HTTP_FAULT_CONNECT);
        return;
    }
    if (connection->state == HTTP2_READY)
        connection->state = HTTP2_LEAVING;
    if (connection->state == HTTP2_LEAVING && connection->n_streams == 0)
        http2_session_end(&connection->session, HTTP2_NO_ERROR);
}

/* What was held, as far as it can go now. */
static void release_held(struct http2_client *connection)
{
    list_each_safe (link, &connection->calls)
        http2_call_release_held(call_of(link));
}

void http2_client_leave(struct http2_client *connection)
{
    connection->n_streams--;
    if (unlikely(connection->n_calls > connection->n_streams) && connection->state == HTTP2_READY)
        release_held(connection);
    if (connection->n_streams > 0)
        return;
    connection->since = now_of(connection);
    if (connection->state == HTTP2_LEAVING)
        connection_retire(connection);
    http2_session_arm(&connection->session,
                      after(connection->since, connection->pool->settings.idle_timeout));
}

bool http2_upstream_evict(struct http_upstream *upstream)
{
    list_each (link, &upstream->sessions) {
        struct http2_client *connection = container_of(link, struct http2_client, link);
        if (connection->n_calls == 0 && connection->state != HTTP2_LOST &&
            !connection->session.is_inside) {
            connection_fail(connection, HTTP_FAULT_BROKEN);
            return true;
        }
    }
    return false;
}

void http2_upstream_forget(struct http_upstream *upstream)
{
    list_each_safe (link, &upstream->sessions)
        connection_retire(container_of(link, struct http2_client, link));
}

void http2_upstream_close(struct http_upstream *upstream)
{
    list_each_safe (link, &upstream->sessions) {
        struct http2_client *connection = container_of(link, struct http2_client, link);
        list_each_safe (at, &connection->calls)
            http2_call_drop(call_of(at));
        http2_session_close(&connection->session);
        leave_upstream(connection);
    }
}

/* --- time --- */

/* A peer that is silent while something is expected of it is asked whether it lives. */
static nsec ping_if_silent(struct http2_client *connection, nsec now)
{
    struct http2_session *session = &connection->session;
    nsec heard =
        session->received_at > connection->since ? session->received_at : connection->since;
    nsec due = after(heard, connection->pool->settings.stall_timeout);
    if (connection->is_pinging && now >= after(connection->pinged_at, PING_TIME)) {
        http2_session_end(session, HTTP2_NO_ERROR);
        return NSEC_NEVER;
    }
    if (!connection->is_pinging && now >= due) {
        http2_send_ping(session);
        connection->is_pinging = true;
        connection->pinged_at = now;
    }
    return connection->is_pinging ? after(connection->pinged_at, PING_TIME) : due;
}

/* The earliest of all that is to be looked after. */
static void on_due(struct http2_session *session)
{
    struct http2_client *connection = connection_of(session);
    nsec now = now_of(connection), next = NSEC_NEVER;
    if (connection->n_streams == 0 && connection->state != HTTP2_CONNECTING) {
        next = after(connection->since, connection->pool->settings.idle_timeout);
        if (next <= now) {
            connection_retire(connection);
            return;
        }
    } else if (connection->state != HTTP2_CONNECTING) {
        next = ping_if_silent(connection, now);
    }
    list_each_safe (link, &connection->calls) {
        nsec at = http2_call_deadline(call_of(link));
        if (at <= now)
            http2_call_time_out(call_of(link));
        else
            next = earlier(next, at);
    }
    http2_session_arm(session, next);
}

static void on_connecting_due(struct timer *timer)
{
    struct http2_client *connection = container_of(timer, struct http2_client, session.timer);
    nsec connected_by = after(connection->since, connection->pool->settings.connect_timeout);
    if (now_of(connection) >= connected_by)
        connection_fail(connection, HTTP_FAULT_CONNECT_TIMEOUT);
    else
        on_due(&connection->session);
    if (connection->state == HTTP2_CONNECTING)
        http2_session_arm(&connection->session, connected_by);
}

/* --- what happens on it --- */

/* What a call is told may make it, or another, have more to be told: in the next turn. */
static void on_task(struct task *task)
{
    struct http2_client *connection = container_of(task, struct http2_client, task);
    struct list now;
    list_init(&now);
    connection->n_calls++; /* it stays as long as this takes */
    list_move_all(&now, &connection->ready);
    for (struct list *link; (link = list_take_first(&now));)
        http2_call_tell(container_of(link, struct http2_call, ready));
    connection->n_calls--;
    http2_client_release(connection);
}

static void on_settings(struct http2_client *connection)
{
    if (connection->has_settings)
        return;
    connection->has_settings = true;
    release_held(connection);
}

static void on_control(struct http2_session *session, enum http2_frame_type type)
{
    struct http2_client *connection = connection_of(session);
    if (type == HTTP2_SETTINGS)
        on_settings(connection);
    else if (type == HTTP2_PING)
        connection->is_pinging = false;
    else if (type == HTTP2_GOAWAY)
        connection_retire(connection);
}

static void on_nothing(struct http2_session *session)
{
    (void)session;
}

/* --- the beginning of a connection --- */

static void connection_ready(struct http2_client *connection)
{
    static const struct http2_setting_entry extra[] = { { HTTP2_ENABLE_PUSH, 0 } };
    struct http2_session *session = &connection->session;
    struct fifo kept = session->in.kept; /* that came with the last of a handshake */
    session->in.kept = (struct fifo){ 0 };
    watch_remove(&session->watch);
    timer_stop(&session->timer);
    connection->state = HTTP2_READY;
    connection->since = now_of(connection);
    if (!http2_session_open(session, extra, 1)) {
        fifo_clear(&kept, &connection->pool->spares);
        connection_fail(connection, HTTP_FAULT_CONNECT);
        return;
    }
    http2_session_arm(session, after(connection->since, connection->pool->settings.idle_timeout));
    http2_session_receive(session, fifo_span(&kept));
    fifo_clear(&kept, &connection->pool->spares);
    release_held(connection);
}

/* The upstream likes HTTP/1.1 better. Its calls go there, over connections of that. */
static void connection_fall_back(struct http2_client *connection)
{
    struct http_pool *pool = connection->pool;
    struct http_upstream *upstream = connection->upstream;
    upstream->is_http1 = true;
    upstream->n_connections++; /* it stays for them, and knows */
    list_each_safe (link, &connection->calls)
        http2_call_fall_back(call_of(link), &upstream->address);
    connection_fail(connection, HTTP_FAULT_BROKEN);
    upstream->n_connections--;
    http_upstream_release(pool, upstream);
}

/* True when it stands, and the upstream speaks HTTP/2. */
static bool connection_shake(struct http2_client *connection)
{
    struct http2_session *session = &connection->session;
    struct http_pool *pool = connection->pool;
    bool is_auto = connection->upstream->protocol == HTTP_PROTOCOL_AUTO;
    if (!session->in.tls) {
        shake_begin(&session->in, pool, connection->upstream, session->watch.fd,
                    is_auto ? TLS_ALPN_BOTH : TLS_ALPN_HTTP2);
        outlet_seal(&session->out, session->in.tls);
    }
    int r = shake_on(&session->in, pool, session->watch.fd);
    if (r == SHAKE_MORE)
        return false;
    bool is_http2 = r == SHAKE_DONE && span_is(tls_stream_peer(session->in.tls)->alpn, "h2");
    if (is_http2)
        return true;
    if (r == SHAKE_DONE && is_auto) {
        connection_fall_back(connection);
        return false;
    }
    const char *why = r == SHAKE_DONE ? "it does not speak HTTP/2" : shake_failure(&session->in);
    list_each (link, &connection->calls) {
        if (call_of(link)->call)
            call_of(link)->call->why = why;
    }
    connection_fail(connection, HTTP_FAULT_TLS);
    return false;
}

static void on_connecting(struct watch *watch, uint32_t events)
{
    struct http2_client *connection = container_of(watch, struct http2_client, session.watch);
    struct http2_session *session = &connection->session;
    inlet_note(&session->in, events);
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !session->in.tls)
        return;
    if (socket_error(watch->fd))
        connection_fail(connection, HTTP_FAULT_CONNECT);
    else if (!connection->upstream->tls || connection_shake(connection))
        connection_ready(connection);
}

static struct http2_client *connection_new(struct http_pool *pool, struct http_upstream *upstream,
                                           int fd)
{
    struct http2_client *connection = mem_new(struct http2_client);
    struct http2_session *session = &connection->session;
    connection->pool = pool;
    connection->upstream = upstream;
    connection->since = loop_now(pool->loop);
    connection->task.on_run = on_task;
    list_init(&connection->task.link);
    list_init(&connection->calls);
    list_init(&connection->ready);
    session->side = &pool->http2.side;
    session->watch.fd = fd;
    session->watch.on_ready = on_connecting;
    session->timer.on_due = on_connecting_due;
    list_init(&session->task.link);
    upstream->n_connections++;
    list_add_last(&upstream->sessions, &connection->link);
    return connection;
}

static struct http2_client *connection_open(struct http_pool *pool, struct http_upstream *upstream,
                                            enum http_fault *ret_fault)
{
    int fd = -1;
    *ret_fault = HTTP_FAULT_BUSY;
    if (!http_upstream_take_place(pool, upstream))
        return NULL;
    *ret_fault = HTTP_FAULT_CONNECT;
    if (socket_connect(&upstream->address, &fd)) {
        http_census_drop_upstream(pool->census);
        return NULL;
    }
    struct http2_client *connection = connection_new(pool, upstream, fd);
    struct http2_session *session = &connection->session;
    if (watch_add(&session->watch, pool->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP)) {
        upstream->n_connections++; /* the caller lets it go */
        connection_fail(connection, HTTP_FAULT_CONNECT);
        upstream->n_connections--;
        return NULL;
    }
    http2_session_arm(session, after(connection->since, pool->settings.connect_timeout));
    return connection;
}

/* --- which one --- */

unsigned http2_client_max_streams(const struct http2_client *connection)
{
    unsigned max = connection->pool->settings.http2_streams;
    if (connection->state == HTTP2_CONNECTING)
        return max;
    uint32_t theirs = connection->session.peer.max_streams;
    return theirs < max ? theirs : max;
}

static bool takes_calls(const struct http2_client *connection)
{
    const struct http2_session *session = &connection->session;
    if (connection->state == HTTP2_CONNECTING)
        return connection->n_calls < http2_client_max_streams(connection);
    return connection->state == HTTP2_READY && !session->is_ending && !session->is_gone &&
           connection->n_calls < http2_client_max_streams(connection) &&
           !session->has_heard_goaway && session->last_id < HTTP2_ID_MAX;
}

struct http2_client *http2_client_for(struct http_pool *pool, struct http_upstream *upstream,
                                      bool is_fresh, enum http_fault *ret_fault)
{
    struct http2_client *best = NULL;
    unsigned n_open = 0;
    list_each (link, &upstream->sessions) {
        struct http2_client *connection = container_of(link, struct http2_client, link);
        if (!takes_calls(connection))
            continue;
        n_open++;
        if (!best || connection->n_calls < best->n_calls)
            best = connection;
    }
    bool is_enough = best && (best->n_calls == 0 || n_open >= pool->settings.http2_connections);
    if (is_enough && !is_fresh)
        return best;
    struct http2_client *connection = connection_open(pool, upstream, ret_fault);
    return connection || is_fresh ? connection : best;
}

void http2_pool_init(struct http2_pool *http2, struct http_pool *pool)
{
    static const struct http2_ops ops = {
        .on_head_begin = http2_call_on_head_begin,
        .on_head = http2_call_on_head,
        .on_data = http2_call_on_data,
        .on_end = http2_call_on_end,
        .on_send = http2_call_on_send,
        .on_stream_closed = http2_call_on_stream_closed,
        .on_control = on_control,
        .on_flushed = on_nothing,
        .on_lost = on_lost,
        .on_closed = on_closed,
        .on_due = on_due,
    };
    http2->pool = pool;
    http2->limits = (struct http2_limits)HTTP2_LIMITS_DEFAULT;
    http2->limits.max_fields = HTTP1_MAX_FIELDS;
    http2->limits.max_fields_size = (uint32_t)pool->settings.limits.head;
    /* An upstream is trusted further than a client, and pings and opens windows as it likes. */
    http2->limits.glitches = (struct http2_rate){ 2000, 200 };
    list_init(&http2->dead);
    list_init(&http2->spare_calls);
    http2->side = (struct http2_side){
        .ops = &ops,
        .limits = &http2->limits,
        .loop = pool->loop,
        .spares = &pool->spares,
        .hot = pool->hot,
    };
}

void http2_pool_fini(struct http2_pool *http2)
{
    http2_calls_fini(http2);
}
