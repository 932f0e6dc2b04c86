/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What comes in. The fields of a head are written down as the text of an HTTP/1.1 head and read by
 * the same parser, in memory of the exchange, where those of the connection's next request may find
 * their field lines known (see request_head.h).
 */

#include "base/mem.h"
#include "http/connection.h"
#include "http/http2/server.h"
#include "http/relay_copy.h"
#include "http/wire.h"

#define WARM_MAX 512u
#define SPARES_MAX_HTTP2 256u

static struct loop *loop_of(const struct http2_connection *connection)
{
    return connection->server->loop;
}

static struct spares *spares_of(const struct http2_connection *connection)
{
    return &connection->server->spares;
}

/* --- exchanges come and go --- */

static void leave_warm(struct http2_server *http2, struct http2_exchange *exchange)
{
    list_remove(&exchange->warm_link);
    list_remove(&exchange->connection_link);
    http2->n_warm--;
}

void http2_exchange_delete(struct http2_exchange *exchange)
{
    request_head_fini(&exchange->request);
    free(exchange);
}

static void give_spare(struct http2_server *http2, struct http2_exchange *exchange)
{
    if (http2->n_spares == SPARES_MAX_HTTP2 ||
        exchange->request.long_head_capacity > HEAD_KEEP_MAX) {
        http2_exchange_delete(exchange);
        return;
    }
    list_add_first(&http2->spares, &exchange->warm_link);
    http2->n_spares++;
}

static struct http2_exchange *take_warm(struct http2_connection *connection)
{
    struct http2_server *http2 = &connection->server->http2;
    if (list_is_empty(&connection->warm))
        return NULL;
    struct http2_exchange *exchange =
        container_of(connection->warm.next, struct http2_exchange, connection_link);
    leave_warm(http2, exchange);
    return exchange;
}

static struct http2_exchange *take_spare(struct http2_server *http2)
{
    struct http2_exchange *exchange;
    struct list *link = list_take_first(&http2->spares);
    if (link) {
        exchange = container_of(link, struct http2_exchange, warm_link);
        http2->n_spares--;
    } else {
        exchange = mem_resize(NULL, 1, sizeof(*exchange));
        request_head_init(&exchange->request);
    }
    list_init(&exchange->warm_link);
    list_init(&exchange->connection_link);
    request_head_forget(&exchange->request);
    return exchange;
}

static struct http2_exchange *exchange_new(struct http2_connection *connection,
                                           const struct http2_frame *head)
{
    struct http2_exchange *exchange = take_warm(connection);
    if (!exchange)
        exchange = take_spare(&connection->server->http2);
    memset(exchange, 0, HTTP2_EXCHANGE_CLEARED);
    exchange->public.wire = &http2_wire;
    exchange->public.peer = &connection->peer;
    exchange->public.listener = connection->listener;
    exchange->public.tls = connection->tls;
    exchange->public.memo = exchange->request.memo;
    exchange->public.n_kept = &connection->n_kept;
    exchange->connection = connection;
    http2_stream_init(&exchange->stream);
    http2_stream_open(&connection->session, &exchange->stream, head);
    list_init(&exchange->todo_link);
    list_add_last(&connection->exchanges, &exchange->link);
    connection->n_exchanges++;
    return exchange;
}

void http2_exchange_free(struct http2_exchange *exchange)
{
    struct http2_connection *connection = exchange->connection;
    struct http2_server *http2 = &connection->server->http2;
    http2_stream_fini(&connection->session, &exchange->stream);
    http2_connection_consume(&connection->session, fifo_size(&exchange->in));
    http2_exchange_clear(exchange);
    list_remove(&exchange->link);
    list_remove(&exchange->todo_link);
    if (--connection->n_exchanges == 0) {
        connection->since = loop_now(loop_of(connection));
        http2_connection_arm(connection);
    }
    if (exchange->request.fields_size == 0) {
        give_spare(http2, exchange);
        return;
    }
    list_add_first(&connection->warm, &exchange->connection_link);
    list_add_last(&http2->warm, &exchange->warm_link);
    if (++http2->n_warm <= WARM_MAX)
        return;
    struct http2_exchange *oldest =
        container_of(http2->warm.next, struct http2_exchange, warm_link);
    leave_warm(http2, oldest);
    give_spare(http2, oldest);
}

void http2_connection_forget_warm(struct http2_connection *connection)
{
    for (struct http2_exchange *warm; (warm = take_warm(connection));)
        give_spare(&connection->server->http2, warm);
}

/* The handler is told that nothing more comes of it. */
void http2_exchange_abort(struct http2_exchange *exchange)
{
    if (exchange->is_finished)
        return;
    exchange->is_finished = true;
    if (exchange->public.ops && exchange->public.ops->on_abort)
        exchange->public.ops->on_abort(&exchange->public);
    exchange->public.ops = NULL;
    http_relay_copy_end_exchange(&exchange->public);
}

/* And the client too. */
void http2_exchange_cancel(struct http2_exchange *exchange, uint32_t code)
{
    http2_exchange_abort(exchange);
    exchange->is_broken = true;
    exchange->break_code = code;
    http2_exchange_reset(exchange, code);
}

void http2_exchange_defer(struct http2_exchange *exchange)
{
    struct http2_connection *connection = exchange->connection;
    if (list_is_empty(&exchange->todo_link))
        list_add_last(&connection->todo, &exchange->todo_link);
    http2_session_wake(&connection->session);
}

static void tell_refused(struct http2_exchange *exchange, unsigned status, const char *text)
{
    struct http_handler *handler = exchange->connection->server->handler;
    bool is_known = exchange->public.refusal.status; /* the handler has been told */
    exchange->public.refusal = (struct http_refusal){ status, text };
    if (!is_known && handler->on_refused)
        handler->on_refused(handler, &exchange->public);
    exchange->public.ops = NULL;
}

/* Answers for the handler, which does not see this request, or has been told that it is over. */
static void exchange_refuse(struct http2_exchange *exchange, unsigned status, const char *text)
{
    static const struct http_out_field fields[] = {
        { SPAN("content-type"), SPAN("text/plain") },
        { SPAN("retry-after"), SPAN("1") },
    };
    tell_refused(exchange, status, text);
    exchange->is_finished = false;
    http_reply(&exchange->public, status, fields, status == 503 ? 2 : 1, span_of(text));
}

/* What is malformed is no request (RFC 9113 section 8.1.1). */
static void exchange_refuse_malformed(struct http2_exchange *exchange, const char *text)
{
    tell_refused(exchange, 400, text);
    http2_exchange_cancel(exchange, HTTP2_PROTOCOL_ERROR);
}

/* The client broke the protocol, or took too long, in the middle of a body. */
void http2_exchange_break_body(struct http2_exchange *exchange, unsigned status, const char *text)
{
    bool can_answer = !exchange->is_responded && !exchange->is_finished && status != 400;
    exchange->public.refusal = (struct http_refusal){ status, text };
    http2_exchange_abort(exchange);
    if (can_answer)
        exchange_refuse(exchange, status, text);
    else
        http2_exchange_cancel(exchange, status == 400 ? HTTP2_PROTOCOL_ERROR : HTTP2_CANCEL);
}

/* --- heads --- */

static bool exceeds_body(const struct http_server *server, uint64_t size)
{
    return server->settings.max_body && size > server->settings.max_body;
}

/* What HTTP/1 reads from the head, HTTP/2 says in its frames. False when they disagree. What comes
 * behind an extended CONNECT is no body of it. */
static bool set_framing(struct http_head *head, bool is_end, bool is_tunnel)
{
    head->is_http2 = true;
    if (is_tunnel) {
        head->framing = HTTP_BODY_NONE;
        return !head->by_name[HTTP_CONTENT_LENGTH];
    }
    if (head->by_name[HTTP_CONTENT_LENGTH]) {
        head->framing = HTTP_BODY_LENGTH;
        return !is_end || head->content_length == 0;
    }
    head->framing = is_end ? HTTP_BODY_NONE : HTTP_BODY_CHUNKED;
    return true;
}

static void begin_exchange(struct http2_exchange *exchange)
{
    struct http2_connection *connection = exchange->connection;
    struct http_server *server = connection->server;
    const struct http_head *head = exchange->public.head;
    exchange->is_head_request = http_is_head(head->method);
    if (!exchange->is_request_done) {
        nsec now = loop_now(server->loop);
        exchange->needs_continue = head->expects_continue;
        exchange->body_since = exchange->received_at = exchange->paused_at = now;
        http2_exchange_arm(exchange);
    }
    if (server->pressure >= HTTP_PRESSURE_SHED)
        exchange_refuse(exchange, 503, "the gateway is short of memory\n");
    else if (head->form == HTTP_TARGET_AUTHORITY)
        exchange_refuse(exchange, 501, "CONNECT is not done here\n");
    else if (head->framing == HTTP_BODY_LENGTH && exceeds_body(server, head->content_length))
        exchange_refuse(exchange, 413, "the request body is too large\n");
    else
        server->handler->on_request(server->handler, &exchange->public);
    if (exchange->needs_continue)
        http2_exchange_defer(exchange);
}

static void parse_head(struct http2_exchange *exchange, struct span text)
{
    struct http2_connection *connection = exchange->connection;
    struct http_server *server = connection->server;
    struct request_head *request = &exchange->request;
    struct http1_error error = { 400, "the head is not complete\n" };
    int r =
        request_head_parse(request, text, &server->settings.limits, &server->n_fields_seen, &error);
    exchange->public.fields_number = request->fields_number;
    if (r != HTTP1_OK && error.status != 400) {
        exchange_refuse(exchange, error.status, error.text);
        return;
    }
    struct span protocol =
        http2_in_text(&connection->session.head, connection->session.head.protocol);
    bool is_legal = r == HTTP1_OK &&
                    set_framing(&request->parsed, exchange->is_request_done, protocol.size > 0) &&
                    protocol.size <= sizeof(exchange->protocol);
    if (!is_legal) {
        exchange_refuse_malformed(exchange, error.text);
        return;
    }
    memcpy(exchange->protocol, protocol.data ? protocol.data : "", protocol.size);
    request->parsed.upgrade =
        protocol.size ? (struct span){ exchange->protocol, protocol.size } : SPAN_NULL;
    exchange->is_paused = protocol.size > 0; /* until the tunnel is open */
    exchange->public.head = &request->parsed;
    begin_exchange(exchange);
}

static void begin_request(struct http2_connection *connection, const struct http2_frame *frame)
{
    struct http_server *server = connection->server;
    struct http2_exchange *exchange = exchange_new(connection, frame);
    struct span text;
    exchange->is_request_done = frame->flags & HTTP2_END_STREAM;
    connection->n_requests++;
    switch (http2_in_end(&connection->session.head, spares_of(connection), &text)) {
    case HTTP2_IN_OK: parse_head(exchange, text); break;
    case HTTP2_IN_TOO_LARGE: exchange_refuse(exchange, 431, "the head is too large\n"); break;
    default: exchange_refuse_malformed(exchange, "the fields are malformed\n"); break;
    }
    bool is_last = connection->n_requests >= server->settings.max_requests || server->pressure;
    if (unlikely(is_last || server->is_draining))
        http2_connection_announce_drain(connection);
}

enum http2_section http2_server_on_head_begin(struct http2_session *session,
                                              struct http2_stream *stream)
{
    (void)session;
    return stream ? HTTP2_TRAILERS : HTTP2_REQUEST;
}

/* --- bodies --- */

static void end_body(struct http2_exchange *exchange)
{
    if (exchange->is_finished || exchange->is_end_told)
        return;
    exchange->is_end_told = true;
    if (exchange->public.ops && exchange->public.ops->on_body_end)
        exchange->public.ops->on_body_end(&exchange->public);
}

static void end_request(struct http2_exchange *exchange)
{
    const struct http_head *head = exchange->public.head;
    exchange->is_request_done = true;
    if (exchange->has_reset)
        return;
    if (head && head->framing == HTTP_BODY_LENGTH && exchange->received < head->content_length)
        http2_exchange_break_body(exchange, 400, "the body is shorter than its length\n");
    else if (!exchange->is_paused && fifo_size(&exchange->in) == 0)
        end_body(exchange);
}

void http2_server_on_end(struct http2_session *session, struct http2_stream *stream)
{
    (void)session;
    end_request(http2_exchange_on(stream));
}

/* A request, or its trailers, which are looked at and dropped. */
void http2_server_on_head(struct http2_session *session, struct http2_stream *stream,
                          const struct http2_frame *frame)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct span text;
    if (likely(!stream)) {
        begin_request(connection, frame);
        return;
    }
    bool is_legal = frame->flags & HTTP2_END_STREAM &&
                    http2_in_end(&session->head, spares_of(connection), &text) == HTTP2_IN_OK;
    if (is_legal)
        end_request(http2_exchange_on(stream));
    else
        http2_exchange_break_body(http2_exchange_on(stream), 400, "the trailers are malformed\n");
}

static void pass_data(struct http2_exchange *exchange, struct span data)
{
    struct http2_session *session = &exchange->connection->session;
    if (exchange->public.ops && exchange->public.ops->on_body)
        exchange->public.ops->on_body(&exchange->public, data);
    http2_session_consume(session, &exchange->stream, data.size);
}

static void break_large_body(struct http2_exchange *exchange, size_t size)
{
    http2_session_consume(&exchange->connection->session, &exchange->stream, size);
    http2_exchange_break_body(exchange, 413, "the request body is too large\n");
}

static void use_data(struct http2_exchange *exchange, struct span data)
{
    struct http2_connection *connection = exchange->connection;
    const struct http_head *head = exchange->public.head;
    exchange->received += data.size;
    exchange->received_at = loop_now(loop_of(connection));
    if (exchange->needs_continue) { /* it did not wait */
        exchange->needs_continue = false;
        exchange->body_since = exchange->received_at;
    }
    bool is_too_long =
        head && head->framing == HTTP_BODY_LENGTH && exchange->received > head->content_length;
    if (is_too_long)
        http2_exchange_break_body(exchange, 400, "the body is longer than its length\n");
    if (exchange->is_finished)
        http2_session_consume(&connection->session, &exchange->stream, data.size);
    else if (!exchange->is_tunnel && exceeds_body(connection->server, exchange->received))
        break_large_body(exchange, data.size);
    else if (exchange->is_paused || fifo_size(&exchange->in) > 0)
        fifo_append(&exchange->in, spares_of(connection), data);
    else
        pass_data(exchange, data);
}

void http2_server_on_data(struct http2_session *session, struct http2_stream *stream,
                          struct span data)
{
    (void)session;
    use_data(http2_exchange_on(stream), data);
}

/* What was kept while the handler was paused. */
static void pass_kept(struct http2_exchange *exchange)
{
    struct http2_connection *connection = exchange->connection;
    struct fifo kept = exchange->in;
    exchange->in = (struct fifo){ 0 };
    pass_data(exchange, fifo_span(&kept));
    fifo_clear(&kept, spares_of(connection));
}

/* The client may send its body now (RFC 9110 section 10.1.1). */
static void send_continue(struct http2_exchange *exchange)
{
    if (!exchange->is_paused && !exchange->relays_continue && !exchange->is_responded)
        http_interim(&exchange->public, 100, SPAN_NULL);
}

/* --- turns --- */

void http2_exchange_look_in(struct http2_exchange *exchange)
{
    if (exchange->is_finished)
        return;
    http2_exchange_arm(exchange);
    if (exchange->needs_continue)
        send_continue(exchange);
    if (!exchange->is_paused && fifo_size(&exchange->in) > 0)
        pass_kept(exchange);
    if (!exchange->is_paused && exchange->is_request_done && fifo_size(&exchange->in) == 0)
        end_body(exchange);
}

void http2_exchange_look_out(struct http2_exchange *exchange)
{
    http2_exchange_tell_drain(exchange);
    if (exchange->is_finished || !exchange->was_unsent || http2_exchange_unsent(exchange) > 0)
        return;
    exchange->was_unsent = false;
    http_exchange_tell_drained(&exchange->public);
}
