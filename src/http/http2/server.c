/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/server.h"

#include <assert.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/connection.h"

bool http2_is_preface(struct span bytes)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    _Static_assert(sizeof(preface) - 1 == HTTP2_PREFACE_SIZE, "");
    size_t size = bytes.size < HTTP2_PREFACE_SIZE ? bytes.size : HTTP2_PREFACE_SIZE;
    return size >= 4 && memcmp(bytes.data, preface, size) == 0;
}

static struct http2_connection *connection_of(void *user_data)
{
    return http2_connection_of(http2_session_of(user_data));
}

static struct loop *loop_of(const struct http2_connection *connection)
{
    return connection->server->loop;
}

static struct spares *spares_of(const struct http2_connection *connection)
{
    return &connection->server->spares;
}

/* --- draining --- */

void http2_connection_announce_drain(struct http2_connection *connection)
{
    struct http2_session *session = &connection->session;
    if (connection->drain != HTTP2_SERVING || session->is_ending || session->is_lingering)
        return;
    connection->drain = HTTP2_ANNOUNCED;
    connection->since = loop_now(loop_of(connection));
    if (nghttp2_submit_shutdown_notice(session->ng) ||
        nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, NULL))
        http2_session_end(session, NGHTTP2_INTERNAL_ERROR);
    http2_session_arm(session, connection->since + HTTP2_ANNOUNCE_TIME);
    http2_session_wake(session);
}

static void end_when_drained(struct http2_connection *connection)
{
    if (connection->drain == HTTP2_DRAINING && connection->n_exchanges == 0)
        http2_session_end(&connection->session, NGHTTP2_NO_ERROR);
}

/* The client has read the announcement: what it began before has come. */
void http2_connection_begin_drain(struct http2_connection *connection)
{
    nghttp2_session *ng = connection->session.ng;
    if (connection->drain != HTTP2_ANNOUNCED)
        return;
    connection->drain = HTTP2_DRAINING;
    if (nghttp2_submit_goaway(ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(ng),
                              NGHTTP2_NO_ERROR, NULL, 0))
        http2_session_end(&connection->session, NGHTTP2_INTERNAL_ERROR);
    http2_session_wake(&connection->session);
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
            http2_session_end(&connection->session, NGHTTP2_NO_ERROR);
    }
}

/* --- turns --- */

/* Callbacks may free any exchange, so the list is of its own and its first is taken each time. */
static void on_turn(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct list todo;
    if (connection->head_since) /* of a head that is not whole yet */
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

static void on_frame(struct http2_session *session, const nghttp2_frame *frame)
{
    struct http2_connection *connection = http2_connection_of(session);
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    struct http2_exchange *exchange;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        connection->head_since = 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            http2_on_request_head(connection, frame->hd.stream_id, is_end);
            http2_in_clear(&connection->in, spares_of(connection));
            return;
        }
        break;
    case NGHTTP2_DATA: break;
    case NGHTTP2_SETTINGS:
        connection->has_begun = true;
        http2_connection_arm(connection);
        return;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            http2_connection_begin_drain(connection);
        return;
    case NGHTTP2_RST_STREAM: break;
    default: return;
    }

    exchange = nghttp2_session_get_stream_user_data(session->ng, frame->hd.stream_id);
    if (!exchange)
        return;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        exchange->public.reset_code = frame->rst_stream.error_code;
        return;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct span text;
        bool is_legal = is_end && !exchange->is_request_done &&
                        http2_in_end(&connection->in, spares_of(connection), &text) == HTTP2_IN_OK;
        http2_in_clear(&connection->in, spares_of(connection));
        if (!is_legal) {
            http2_exchange_break_body(exchange, 400, "the trailers are malformed\n");
            return;
        }
    }
    if (is_end)
        http2_on_request_end(exchange);
}

/* Ids of clients are odd, so twice an id leaves room for one bit more. */
static void note_ended(struct http2_connection *connection, uint32_t stream_id, bool is_by_us)
{
    uint32_t *place = &connection->ended[connection->n_ended++ % HTTP2_ENDED_STREAMS];
    uint32_t forgotten = *place >> 1;
    if (forgotten > connection->forgotten_id)
        connection->forgotten_id = forgotten;
    *place = stream_id << 1 | is_by_us;
}

/* Who ended the stream, says whether more may come: what was on its way when we did (RFC 9113 section
 * 5.1). An id that was passed over is not to be used later. */
static uint32_t on_stray(struct http2_session *session, const struct http2_seen *seen)
{
    struct http2_connection *connection = http2_connection_of(session);
    bool is_reset = seen->type == NGHTTP2_RST_STREAM;
    for (unsigned i = 0; i < HTTP2_ENDED_STREAMS; i++) {
        if (connection->ended[i] >> 1 != seen->stream_id)
            continue;
        bool is_by_us = connection->ended[i] & 1;
        if (is_reset)
            connection->ended[i] &= ~1u; /* now the client has ended it as well */
        if (is_reset || (is_by_us && seen->type == NGHTTP2_DATA))
            return NGHTTP2_NO_ERROR;
        bool is_end = seen->flags & NGHTTP2_FLAG_END_STREAM;
        if (is_by_us)
            return is_end ? NGHTTP2_NO_ERROR : NGHTTP2_PROTOCOL_ERROR;
        return NGHTTP2_STREAM_CLOSED;
    }
    bool is_used = is_reset || seen->stream_id <= connection->forgotten_id;
    return is_used ? NGHTTP2_NO_ERROR : NGHTTP2_PROTOCOL_ERROR;
}

static int on_stream_close(nghttp2_session *ng, int32_t stream_id, uint32_t code, void *user_data)
{
    struct http2_connection *connection = connection_of(user_data);
    struct http2_exchange *exchange = nghttp2_session_get_stream_user_data(ng, stream_id);
    (void)code;
    note_ended(connection, (uint32_t)stream_id, !exchange || exchange->has_reset);
    if (!exchange)
        return 0;
    http2_exchange_abort(exchange);
    http2_exchange_free(exchange);
    nghttp2_session_set_stream_user_data(ng, stream_id, NULL);
    end_when_drained(connection);
    return 0;
}

static void on_end_sent(struct http2_session *session, int32_t stream_id)
{
    struct http2_exchange *exchange = nghttp2_session_get_stream_user_data(session->ng, stream_id);
    if (exchange)
        http2_exchange_on_end_sent(exchange);
}

/* --- the end --- */

static void on_lost(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    for (struct list *link; (link = connection->exchanges.next) != &connection->exchanges;) {
        struct http2_exchange *exchange = container_of(link, struct http2_exchange, link);
        nghttp2_session_set_stream_user_data(session->ng, exchange->stream_id, NULL);
        exchange->public.reset_code = 0;
        http2_exchange_abort(exchange);
        http2_exchange_free(exchange);
    }
    http2_in_clear(&connection->in, spares_of(connection));
}

static void on_closed(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct http_server *server = connection->server;
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
    .on_frame = on_frame,
    .on_end_sent = on_end_sent,
    .on_stray = on_stray,
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
    http2_side_init(&http2->side);
    /* What a message must be, fields.c and request.c say. */
    nghttp2_option_set_no_http_messaging(http2->side.option, 1);
    nghttp2_session_callbacks *callbacks = http2->side.callbacks;
    http2_set_in_callbacks(callbacks);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    http2_set_out_callbacks(callbacks);
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
    http2_side_fini(&http2->side);
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

    const nghttp2_settings_entry extra[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->settings.http2.max_streams },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
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
