/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/server.h"

#include <assert.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/connection.h"

bool http2_is_preface(struct span bytes)
{
    static const char preface[] = HTTP2_PREFACE;
    _Static_assert(sizeof(preface) - 1 == HTTP2_PREFACE_SIZE, "");
    size_t size = bytes.size < HTTP2_PREFACE_SIZE ? bytes.size : HTTP2_PREFACE_SIZE;
    return size >= 4 && memcmp(bytes.data, preface, size) == 0;
}

static struct loop *loop_of(const struct http2_connection *connection)
{
    return connection->server->loop;
}

/* --- draining --- */

void http2_connection_announce_drain(struct http2_connection *connection)
{
    struct http2_session *session = &connection->session;
    if (connection->drain != HTTP2_SERVING || session->is_ending || session->is_lingering)
        return;
    connection->drain = HTTP2_ANNOUNCED;
    connection->since = loop_now(loop_of(connection));
    http2_send_ping(session); /* in front: some clients take nothing behind GOAWAY */
    http2_announce_goaway(session);
    http2_session_arm(session, connection->since + HTTP2_ANNOUNCE_TIME);
}

static void end_when_drained(struct http2_connection *connection)
{
    if (connection->drain == HTTP2_DRAINING && connection->n_exchanges == 0)
        http2_session_end(&connection->session, HTTP2_NO_ERROR);
}

/* The client has read the announcement: what it began before has come. */
void http2_connection_begin_drain(struct http2_connection *connection)
{
    if (connection->drain != HTTP2_ANNOUNCED)
        return;
    connection->drain = HTTP2_DRAINING;
    http2_send_goaway(&connection->session, HTTP2_NO_ERROR);
    end_when_drained(connection);
}

void http2_exchange_tell_drain(struct http2_exchange *exchange)
{
    const struct http_exchange_ops *ops = exchange->public.ops;
    if (!exchange->is_tunnel || exchange->is_told || !exchange->connection->server->is_draining)
        return;
    exchange->is_told = true;
    if (ops && ops->on_drain)
        ops->on_drain(&exchange->public);
}

void http2_server_drain(struct http_server *server)
{
    list_each (link, &server->http2.connections) {
        struct http2_connection *connection = container_of(link, struct http2_connection, link);
        http2_connection_announce_drain(connection);
        list_each (at, &connection->exchanges) {
            struct http2_exchange *exchange = container_of(at, struct http2_exchange, link);
            if (exchange->is_tunnel)
                http2_exchange_defer(exchange);
        }
    }
}

void http2_server_close_idle(struct http_server *server)
{
    list_each (link, &server->http2.connections) {
        struct http2_connection *connection = container_of(link, struct http2_connection, link);
        if (connection->n_exchanges == 0)
            http2_session_end(&connection->session, HTTP2_NO_ERROR);
    }
}

/* --- turns --- */

/* Callbacks may free any exchange, so the list is of its own and its first is taken each time. */
static void on_turn(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct list todo;
    if (session->head_since) /* of a head that is not whole yet */
        http2_connection_arm(connection);
    list_init(&todo);
    list_move_all(&todo, &connection->todo);
    for (struct list *link; (link = list_take_first(&todo));) {
        list_add_last(&connection->todo, link);
        http2_exchange_look_in(container_of(link, struct http2_exchange, todo_link));
    }
}

static void on_flushed(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct list todo;
    if (session->out.is_blocked) {
        http2_connection_arm(connection);
        return;
    }
    list_init(&todo);
    list_move_all(&todo, &connection->todo);
    for (struct list *link; (link = list_take_first(&todo));)
        http2_exchange_look_out(container_of(link, struct http2_exchange, todo_link));
}

/* --- frames --- */

static void on_control(struct http2_session *session, enum http2_frame_type type)
{
    struct http2_connection *connection = http2_connection_of(session);
    if (type == HTTP2_SETTINGS)
        http2_connection_arm(connection);
    else if (type == HTTP2_PING)
        http2_connection_begin_drain(connection);
}

static void on_stream_closed(struct http2_session *session, struct http2_stream *stream)
{
    struct http2_exchange *exchange = http2_exchange_on(stream);
    if (stream->has_peer_reset)
        exchange->public.reset_code = stream->error;
    http2_exchange_abort(exchange);
    http2_exchange_free(exchange);
    end_when_drained(http2_connection_of(session));
}

/* --- the end --- */

static void on_lost(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    for (struct list *link; (link = connection->exchanges.next) != &connection->exchanges;) {
        struct http2_exchange *exchange = container_of(link, struct http2_exchange, link);
        exchange->public.reset_code = 0;
        http2_exchange_abort(exchange);
        http2_exchange_free(exchange);
    }
}

/* Why we ended it, when it was not by itself; NULL otherwise. */
static const char *end_reason(const struct http2_session *session)
{
    static const char *const offences[] = {
        [HTTP2_RESET] = "too many resets",
        [HTTP2_OWN_RESET] = "too many streams that had to be reset",
        [HTTP2_GLITCH] = "too many frames that carry nothing",
    };
    if (!session->is_ending || session->error == HTTP2_NO_ERROR)
        return NULL;
    if (session->offence)
        return offences[session->offence - 1];
    return session->error == HTTP2_ENHANCE_YOUR_CALM ? "a limit of HTTP/2 was passed"
                                                     : "what it sent is against the protocol";
}

static void tell_end(struct http2_connection *connection)
{
    struct http_server *server = connection->server;
    const char *reason = end_reason(&connection->session);
    http_census_take_http2(server->census, &server->http2.side.counts);
    if (reason && server->handler->on_ended)
        server->handler->on_ended(server->handler, &connection->peer, reason);
}

static void on_closed(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct http_server *server = connection->server;
    tell_end(connection);
    http2_connection_forget_warm(connection);
    http_census_drop_client(server->census, connection->census_key);
    list_remove(&connection->link);
    list_add_last(&server->http2.dead, &connection->link);
    http_server_forget_connection(server);
}

void http2_connection_abort(struct http2_connection *connection)
{
    struct http2_session *session = &connection->session;
    on_lost(session);
    if (session->is_closed)
        return;
    http2_session_close(session);
    on_closed(session);
}

void http2_server_reap(struct http_server *server)
{
    for (struct list *link; (link = list_take_first(&server->http2.dead));) {
        struct http2_connection *connection = container_of(link, struct http2_connection, link);
        http2_session_fini(&connection->session);
        free(connection);
    }
}

/* --- the server --- */

static const struct http2_ops ops = {
    .on_head_begin = http2_server_on_head_begin,
    .on_head = http2_server_on_head,
    .on_data = http2_server_on_data,
    .on_end = http2_server_on_end,
    .on_send = http2_server_on_send,
    .on_end_sent = http2_server_on_end_sent,
    .on_stream_closed = on_stream_closed,
    .on_control = on_control,
    .on_turn = on_turn,
    .on_flushed = on_flushed,
    .on_lost = on_lost,
    .on_closed = on_closed,
    .on_due = http2_connection_on_due,
};

void http2_server_init(struct http_server *server)
{
    struct http2_server *http2 = &server->http2;
    list_init(&http2->connections);
    list_init(&http2->dead);
    list_init(&http2->warm);
    list_init(&http2->spares);
    http2->side = (struct http2_side){
        .ops = &ops,
        .limits = &server->settings.http2,
        .loop = server->loop,
        .spares = &server->spares,
        .hot = server->hot,
        .is_server = true,
    };
}

void http2_server_fini(struct http_server *server)
{
    struct http2_server *http2 = &server->http2;
    while (!list_is_empty(&http2->connections))
        http2_connection_abort(
            container_of(http2->connections.next, struct http2_connection, link));
    http2_server_reap(server);
    for (struct list *link; (link = list_take_first(&http2->spares));)
        http2_exchange_delete(container_of(link, struct http2_exchange, warm_link));
}

void http2_server_rearm(struct http_server *server)
{
    list_each (link, &server->http2.connections)
        http2_session_arm(&container_of(link, struct http2_connection, link)->session,
                          loop_now(server->loop));
}

void http2_server_forget_fields(struct http_server *server)
{
    struct http2_server *http2 = &server->http2;
    list_each (link, &http2->connections) {
        struct http2_connection *connection = container_of(link, struct http2_connection, link);
        list_each (at, &connection->exchanges)
            container_of(at, struct http2_exchange, link)->request.fields_size = 0;
        http2_connection_forget_warm(connection);
    }
}

void http2_server_adopt(struct connection *from, struct span bytes)
{
    struct http_server *server = from->server;
    struct http2_connection *connection = mem_new(struct http2_connection);
    struct http2_session *session = &connection->session;
    connection->server = server;
    connection->listener = from->listener;
    connection->census_key = from->census_key;
    connection->peer.size = from->peer_size;
    memcpy(&connection->peer.storage, &from->peer, from->peer_size);
    connection->since = loop_now(server->loop);
    list_init(&connection->exchanges);
    list_init(&connection->warm);
    list_init(&connection->todo);
    list_add_last(&server->http2.connections, &connection->link);
    server->n_connections++;
    session->side = &server->http2.side;
    session->in.is_readable = from->in.is_readable;
    session->in.is_ending = from->in.is_ending;
    struct fifo kept = from->in.kept; /* where the bytes may be */
    from->in.kept = (struct fifo){ 0 };
    if (from->tls) {
        outlet_seal(&session->out, from->tls);
        session->in.tls = from->tls;
        connection->tls = tls_stream_peer(from->tls);
        from->tls = NULL; /* it is the session's */
    }
    session->watch.fd = http_connection_end(from);

    const struct http2_setting_entry extra[] = {
        { HTTP2_MAX_CONCURRENT_STREAMS, server->settings.http2.max_streams },
        { HTTP2_ENABLE_CONNECT_PROTOCOL, 1 },
        { HTTP2_NO_RFC7540_PRIORITIES, 1 },
    };
    if (!http2_session_open(session, extra, 3)) {
        on_closed(session);
    } else {
        http2_connection_arm(connection);
        http2_session_receive(session, bytes);
        if (server->is_draining)
            http2_connection_announce_drain(connection);
    }
    fifo_clear(&kept, &server->spares);
}
