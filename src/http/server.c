/* SPDX-License-Identifier: Apache-2.0 */

#include "http/server.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/timefmt.h"
#include "http/connection.h"
#include "http/relay.h"

const struct http_settings http_settings_default = {
    .limits = { .head = 32768, .line = 8192, .fields = HTTP1_MAX_FIELDS },
    .head_timeout = 10 * NSEC_PER_SEC,
    .idle_timeout = 60 * NSEC_PER_SEC,
    .stall_timeout = 30 * NSEC_PER_SEC,
    .body_min_rate = 1024,
    .body_grace = 5 * NSEC_PER_SEC,
    .answer_min_rate = 1024,
    .max_buffered = 262144,
    .max_requests = 100000,
    .max_connections = 16384,
    .http2 = HTTP2_LIMITS_DEFAULT,
};

/* Frees what closed, now that nobody up the stack looks at it any more. */
static void server_reap(struct task *task)
{
    struct http_server *server = container_of(task, struct http_server, reaper);
    for (struct list *link; (link = list_take_first(&server->dead));)
        free(container_of(link, struct connection, link));
    http2_server_reap(server);

    if (server->is_draining && server->n_connections == 0 && server->on_drained) {
        void (*on_drained)(void *owner) = server->on_drained;
        server->on_drained = NULL;
        on_drained(server->drain_owner);
    }
}

static void exchange_drop(struct exchange *exchange)
{
    request_head_fini(&exchange->request);
    free(exchange);
}

static void give_exchange(struct http_server *server, struct exchange *exchange)
{
    if (server->n_spare_exchanges == SPARE_EXCHANGES_MAX ||
        exchange->request.long_head_capacity > HEAD_KEEP_MAX) {
        exchange_drop(exchange);
        return;
    }
    exchange->next_spare = server->spare_exchanges;
    server->spare_exchanges = exchange;
    server->n_spare_exchanges++;
}

static void leave_warm(struct exchange *exchange)
{
    list_remove(&exchange->warm_link);
    exchange->connection->warm = NULL;
    exchange->connection->server->n_warm--;
}

static bool is_between_requests(const struct connection *connection)
{
    return !connection->exchange && connection->input == INPUT_HEAD && connection->scanned == 0;
}

/* Everything of it but the descriptor and its place in the census. */
int http_connection_end(struct connection *connection)
{
    int fd = connection->watch.fd;
    struct http_server *server = connection->server;
    connection->is_closed = true;
    watch_remove(&connection->watch);
    timer_stop(&connection->timer);
    task_cancel(&connection->task);
    inlet_fini(&connection->in, &server->spares);
    if (connection->exchange)
        http_exchange_free(connection->exchange);
    if (connection->warm) {
        struct exchange *warm = connection->warm;
        leave_warm(warm);
        give_exchange(server, warm);
    }
    connection->tls = tls_stream_free(connection->tls);
    list_remove(&connection->link);
    list_add_last(&server->dead, &connection->link);
    http_server_forget_connection(server);
    return fd;
}

static void connection_hand_over(struct connection *connection)
{
    struct http_heir heir = connection->server->heir;
    struct address peer = { .size = connection->peer_size };
    memcpy(&peer.storage, &connection->peer, connection->peer_size);
    int fd = http_connection_end(connection);
    http_census_drop_client(connection->server->census, connection->census_key);
    heir.on_connection(heir.owner, fd, &peer, connection->listener);
}

/* Idle connections are looked at once more: a request may have come that no event told of yet. */
static void connection_close_idle(struct connection *connection)
{
    connection->in.is_readable = true;
    http_connection_run(connection);
    if (!connection->is_closed && is_between_requests(connection))
        http_connection_close(connection);
}

static void tell_tunnel(struct exchange *exchange)
{
    const struct http_exchange_ops *ops = exchange->public.ops;
    if (!exchange->is_tunnel || exchange->is_told || !exchange->connection->server->is_draining)
        return;
    exchange->is_told = true;
    if (ops && ops->on_drain)
        ops->on_drain(&exchange->public);
}

static void server_end_idle(struct task *task)
{
    struct http_server *server = container_of(task, struct http_server, drainer);
    struct list todo; /* a list of its own, for handlers may close any connection meanwhile */
    list_init(&todo);
    list_move_all(&todo, &server->connections);
    for (struct list *link; (link = list_take_first(&todo));) {
        struct connection *connection = container_of(link, struct connection, link);
        list_add_last(&server->connections, link);
        if (connection->exchange)
            tell_tunnel(connection->exchange);
        if (connection->is_closed || connection->exchange || connection->input != INPUT_HEAD)
            continue;
        if (!server->has_heir)
            connection_close_idle(connection);
        else if (is_between_requests(connection) && fifo_size(&connection->in.kept) == 0 &&
                 !connection->tls) /* whose keys stay here */
            connection_hand_over(connection);
    }
    if (server->is_draining)
        http2_server_drain(server);
    else
        http2_server_close_idle(server);
    task_defer(&server->reaper, server->loop);
}

/* Those of a head are the same for both versions. */
static void derive_limits(struct http_server *server)
{
    const struct http1_limits *limits = &server->settings.limits;
    server->settings.http2.max_fields_size = (uint32_t)limits->head;
    server->settings.http2.max_fields = limits->fields ? limits->fields : HTTP1_MAX_FIELDS;
}

struct http_server *http_server_new(struct loop *loop, struct http_handler *handler,
                                    const struct http_settings *settings)
{
    struct http_server *server = mem_new(struct http_server);
    server->loop = loop;
    server->handler = handler;
    server->settings = *settings;
    derive_limits(server);
    server->date_second = -1;
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    list_init(&server->listeners);
    list_init(&server->connections);
    list_init(&server->proxied);
    list_init(&server->dead);
    list_init(&server->warm);
    list_init(&server->reaper.link);
    list_init(&server->drainer.link);
    server->reaper.on_run = server_reap;
    server->drainer.on_run = server_end_idle;
    server->own_census = settings->census ? NULL : http_census_new();
    server->census = settings->census ? settings->census : server->own_census;
    http2_server_init(server);
    return server;
}

/* What was parsed under other limits is not known any more. */
static void forget_fields(struct http_server *server)
{
    list_each (link, &server->connections) {
        struct exchange *exchange = container_of(link, struct connection, link)->exchange;
        if (exchange)
            exchange->request.fields_size = 0;
    }
    while (!list_is_empty(&server->warm)) {
        struct exchange *exchange = container_of(server->warm.next, struct exchange, warm_link);
        leave_warm(exchange);
        give_exchange(server, exchange);
    }
}

void http_server_set(struct http_server *server, const struct http_settings *settings)
{
    const struct http_settings *old = &server->settings;
    bool is_sooner =
        settings->idle_timeout < old->idle_timeout || settings->head_timeout < old->head_timeout ||
        settings->stall_timeout < old->stall_timeout || settings->body_grace < old->body_grace ||
        settings->body_min_rate > old->body_min_rate;
    bool has_other_limits = settings->limits.head != old->limits.head ||
                            settings->limits.line != old->limits.line ||
                            settings->limits.fields != old->limits.fields;
    server->settings = *settings;
    derive_limits(server);
    if (has_other_limits) {
        forget_fields(server);
        http2_server_forget_fields(server);
    }
    if (!is_sooner)
        return; /* a timer that comes too early looks again */
    list_each (link, &server->connections)
        http_connection_arm(container_of(link, struct connection, link));
    http2_server_rearm(server);
}

void http_server_set_pressure(struct http_server *server, enum http_pressure pressure)
{
    server->pressure = pressure;
    if (pressure == HTTP_PRESSURE_CLOSE_IDLE)
        task_defer(&server->drainer, server->loop);
}

struct http_server *http_server_free(struct http_server *server)
{
    if (!server)
        return NULL;

    http_server_close_listeners(server);
    http_server_close_expected(server);
    while (!list_is_empty(&server->connections))
        http_connection_abort(container_of(server->connections.next, struct connection, link));
    server->on_drained = NULL;
    http2_server_fini(server);
    server_reap(&server->reaper);
    task_cancel(&server->reaper);
    task_cancel(&server->drainer);
    while (server->spare_exchanges) {
        struct exchange *exchange = server->spare_exchanges;
        server->spare_exchanges = exchange->next_spare;
        exchange_drop(exchange);
    }
    http_census_free(server->own_census);
    spares_fini(&server->spares);
    tls_scratch_free(server->tls);
    if (server->reserve_fd >= 0)
        close(server->reserve_fd);
    free(server);
    return NULL;
}

void http_drain(struct http_server *server, void (*on_done)(void *owner), void *owner)
{
    server->is_draining = true;
    server->on_drained = on_done;
    server->drain_owner = owner;
    http_server_end_listeners(server, false);
    task_defer(&server->drainer, server->loop);
}

void http_leave(struct http_server *server, const struct http_heir *heir,
                void (*on_done)(void *owner), void *owner)
{
    server->has_heir = heir;
    if (heir)
        server->heir = *heir;
    server->is_draining = true;
    server->on_drained = on_done;
    server->drain_owner = owner;
    http_server_end_listeners(server, true);
    task_defer(&server->drainer, server->loop);
}

void http_admit(struct http_server *server, int fd, const struct address *peer, unsigned number,
                const struct http_listen_options *options)
{
    static const struct http_listen_options none = { 0 };
    http_server_admit(server, fd, peer, number, options ? options : &none);
}

unsigned http_n_connections(const struct http_server *server)
{
    return server->n_connections;
}

struct span http_server_date(struct http_server *server)
{
    int64_t second = loop_wall(server->loop) / 1000;
    if (second != server->date_second) {
        char text[TIME_TEXT_MAX];
        time_format_http(second * 1000, text);
        memcpy(server->date, text, DATE_SIZE);
        server->date_second = second;
    }
    return (struct span){ server->date, DATE_SIZE };
}

void http_server_admit(struct http_server *server, int fd, const struct address *peer,
                       unsigned listener, const struct http_listen_options *options)
{
    uint32_t key = 0;
    if (!http_census_take_client(server->census, peer, server->settings.max_connections,
                                 server->settings.max_per_address, &key)) {
        close(fd);
        return;
    }

    struct connection *connection = mem_new(struct connection);
    connection->server = server;
    connection->listener = listener;
    connection->is_http1_only = options->is_http1_only;
    connection->census_key = key;
    connection->watch.fd = fd;
    connection->peer_size =
        peer->size < sizeof(connection->peer) ? peer->size : (socklen_t)sizeof(connection->peer);
    memcpy(&connection->peer, &peer->storage, connection->peer_size);
    list_add_last(&server->connections, &connection->link);
    server->n_connections++;
    if (options->tls) {
        if (!server->tls)
            server->tls = tls_scratch_new();
        connection->tls = tls_stream_accept(options->tls, fd, server->tls);
        connection->in.tls = connection->tls;
    }
    http_connection_open(connection);
}

/* One that nobody has. */
static struct exchange *take_exchange(struct http_server *server)
{
    struct exchange *exchange = server->spare_exchanges;
    if (exchange) {
        server->spare_exchanges = exchange->next_spare;
        server->n_spare_exchanges--;
    } else {
        exchange = mem_resize(NULL, 1, sizeof(*exchange));
        request_head_init(&exchange->request);
    }
    request_head_forget(&exchange->request);
    return exchange;
}

struct exchange *http_exchange_new(struct connection *connection)
{
    struct exchange *exchange = connection->warm;
    if (exchange) {
        leave_warm(exchange);
    } else {
        exchange = take_exchange(connection->server);
        exchange->peer.size = connection->peer_size;
        memcpy(&exchange->peer.storage, &connection->peer, connection->peer_size);
    }
    memset(exchange, 0, EXCHANGE_CLEARED);
    exchange->connection = connection;
    exchange->public.peer = &exchange->peer;
    exchange->public.listener = connection->listener;
    exchange->public.memo = exchange->request.memo;
    if (unlikely(connection->tls)) {
        outlet_seal(&exchange->out, connection->tls);
        exchange->public.tls = tls_stream_peer(connection->tls);
    }
    connection->exchange = exchange;
    return exchange;
}

void http_exchange_free(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    struct http_server *server = connection->server;
    connection->exchange = NULL;
    http_relay_end_exchange(exchange);
    outlet_fini(&exchange->out, &server->spares);
    if (connection->is_closed || exchange->request.fields_size == 0) {
        give_exchange(server, exchange);
        return;
    }
    connection->warm = exchange;
    list_add_last(&server->warm, &exchange->warm_link);
    if (++server->n_warm <= WARM_EXCHANGES_MAX)
        return;
    struct exchange *oldest = container_of(server->warm.next, struct exchange, warm_link);
    leave_warm(oldest);
    give_exchange(server, oldest);
}

void http_server_forget_connection(struct http_server *server)
{
    server->n_connections--;
    task_defer(&server->reaper, server->loop);
}

void http_connection_close(struct connection *connection)
{
    if (connection->is_closed)
        return;
    if (unlikely(connection->tls) && !connection->exchange)
        tls_stream_close(connection->tls);
    close(http_connection_end(connection));
    http_census_drop_client(connection->server->census, connection->census_key);
}
