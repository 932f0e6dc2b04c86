/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What comes in. The fields of a head are written down as the text of an HTTP/1.1 head and read by
 * the same parser, in memory of the exchange, where those of the connection's next request may find
 * their field lines known (see request_head.h).
 *
 * Time: the session has one timer, which looks at all exchanges when it is due, so that streams
 * come and go without touching it.
 */

#include "http/http2/server.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/connection.h"
#include "http/relay_copy.h"
#include "http/wire.h"

#define WARM_MAX 512u
#define SPARES_MAX_HTTP2 256u
#define ANNOUNCE_TIME NSEC_PER_SEC /* for a PING to come back, then the client knows anyway */
#define FIELDS_EXCESS 4u           /* times the size that is allowed: the connection ends */

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

/* --- exchanges come and go --- */

static void leave_warm(struct http2_server *http2, struct http2_exchange *exchange)
{
    list_remove(&exchange->warm_link);
    list_remove(&exchange->connection_link);
    http2->n_warm--;
}

static void exchange_drop(struct http2_exchange *exchange)
{
    request_head_fini(&exchange->request);
    free(exchange);
}

static void give_spare(struct http2_server *http2, struct http2_exchange *exchange)
{
    if (http2->n_spares == SPARES_MAX_HTTP2 ||
        exchange->request.long_head_capacity > HEAD_KEEP_MAX) {
        exchange_drop(exchange);
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

static struct http2_exchange *exchange_new(struct http2_connection *connection, int32_t stream_id)
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
    exchange->connection = connection;
    exchange->stream_id = stream_id;
    list_init(&exchange->todo_link);
    list_add_last(&connection->exchanges, &exchange->link);
    connection->n_exchanges++;
    nghttp2_session_set_stream_user_data(connection->session.ng, stream_id, exchange);
    return exchange;
}

static void exchange_free(struct http2_exchange *exchange)
{
    struct http2_connection *connection = exchange->connection;
    struct http2_server *http2 = &connection->server->http2;
    http2_exchange_clear(exchange);
    list_remove(&exchange->link);
    list_remove(&exchange->todo_link);
    if (--connection->n_exchanges == 0)
        connection->since = loop_now(loop_of(connection));
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

/* The handler is told that nothing more comes of it. */
static void exchange_abort(struct http2_exchange *exchange)
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
static void exchange_reset(struct http2_exchange *exchange, uint32_t code)
{
    exchange_abort(exchange);
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
    exchange_reset(exchange, NGHTTP2_PROTOCOL_ERROR);
}

/* The client broke the protocol, or took too long, in the middle of a body. */
static void exchange_break_body(struct http2_exchange *exchange, unsigned status, const char *text)
{
    bool can_answer = !exchange->is_responded && !exchange->is_finished && status != 400;
    exchange->public.refusal = (struct http_refusal){ status, text };
    exchange_abort(exchange);
    if (can_answer)
        exchange_refuse(exchange, status, text);
    else
        exchange_reset(exchange, status == 400 ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL);
}

/* --- draining --- */

static void announce_drain(struct http2_connection *connection)
{
    struct http2_session *session = &connection->session;
    if (connection->drain != HTTP2_SERVING || session->is_ending || session->is_lingering)
        return;
    connection->drain = HTTP2_ANNOUNCED;
    connection->since = loop_now(loop_of(connection));
    if (nghttp2_submit_shutdown_notice(session->ng) ||
        nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, NULL))
        http2_session_end(session, NGHTTP2_INTERNAL_ERROR);
    http2_session_arm(session, connection->since + ANNOUNCE_TIME);
    http2_session_wake(session);
}

static void end_when_drained(struct http2_connection *connection)
{
    if (connection->drain == HTTP2_DRAINING && connection->n_exchanges == 0)
        http2_session_end(&connection->session, NGHTTP2_NO_ERROR);
}

/* The client has read the announcement: what it began before has come. */
static void begin_drain(struct http2_connection *connection)
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

static void tell_tunnel(struct http2_exchange *exchange)
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
        announce_drain(connection);
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

/* --- heads --- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    struct http2_connection *connection = connection_of(user_data);
    (void)ng;
    bool is_request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    http2_in_begin(&connection->in, spares_of(connection),
                   is_request ? HTTP2_REQUEST : HTTP2_TRAILERS);
    connection->head_since = loop_now(loop_of(connection));
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user_data)
{
    struct http2_connection *connection = connection_of(user_data);
    const struct http_settings *settings = &connection->server->settings;
    struct http2_in_limits limits = {
        .size = settings->http2.max_fields_size,
        .fields = settings->limits.fields ? settings->limits.fields : HTTP1_MAX_FIELDS,
    };
    (void)ng, (void)frame, (void)flags;
    http2_in_add(&connection->in, spares_of(connection), &limits,
                 (struct span){ (const char *)name, name_size },
                 (struct span){ (const char *)value, value_size });
    if (unlikely(connection->in.size > (uint64_t)limits.size * FIELDS_EXCESS)) {
        http2_session_end(&connection->session, NGHTTP2_ENHANCE_YOUR_CALM);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static bool exceeds_body(const struct http_server *server, uint64_t size)
{
    return server->settings.max_body && size > server->settings.max_body;
}

/* What HTTP/1 reads from the head, HTTP/2 says in its frames. False when they disagree. */
static bool set_framing(struct http_head *head, bool is_end)
{
    head->is_http2 = true;
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
        http2_session_arm(&connection->session, now + server->settings.stall_timeout);
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
    struct span protocol = http2_in_text(&connection->in, connection->in.protocol);
    if (r != HTTP1_OK || !set_framing(&request->parsed, exchange->is_request_done) ||
        protocol.size > sizeof(exchange->protocol)) {
        exchange_refuse_malformed(exchange, error.text);
        return;
    }
    memcpy(exchange->protocol, protocol.data ? protocol.data : "", protocol.size);
    request->parsed.upgrade =
        protocol.size ? (struct span){ exchange->protocol, protocol.size } : SPAN_NULL;
    exchange->public.head = &request->parsed;
    begin_exchange(exchange);
}

static void on_request_head(struct http2_connection *connection, int32_t stream_id, bool is_end)
{
    struct http_server *server = connection->server;
    struct http2_exchange *exchange = exchange_new(connection, stream_id);
    struct span text;
    exchange->is_request_done = is_end;
    connection->n_requests++;
    switch (http2_in_end(&connection->in, spares_of(connection), &text)) {
    case HTTP2_IN_OK: parse_head(exchange, text); break;
    case HTTP2_IN_TOO_LARGE: exchange_refuse(exchange, 431, "the head is too large\n"); break;
    default: exchange_refuse_malformed(exchange, "the fields are malformed\n"); break;
    }
    bool is_last = connection->n_requests >= server->settings.max_requests || server->pressure;
    if (unlikely(is_last || server->is_draining))
        announce_drain(connection);
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

static void on_request_end(struct http2_exchange *exchange)
{
    const struct http_head *head = exchange->public.head;
    exchange->is_request_done = true;
    if (exchange->is_finished)
        return;
    if (head->framing == HTTP_BODY_LENGTH && exchange->received < head->content_length)
        exchange_break_body(exchange, 400, "the body is shorter than its length\n");
    else if (!exchange->is_paused && fifo_size(&exchange->in) == 0)
        end_body(exchange);
}

static void pass_data(struct http2_exchange *exchange, struct span data)
{
    struct http2_session *session = &exchange->connection->session;
    if (exchange->public.ops && exchange->public.ops->on_body)
        exchange->public.ops->on_body(&exchange->public, data);
    http2_session_consume(session, exchange->stream_id, data.size);
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
    if (head->framing == HTTP_BODY_LENGTH && exchange->received > head->content_length)
        exchange_break_body(exchange, 400, "the body is longer than its length\n");
    else if (!exchange->is_tunnel && exceeds_body(connection->server, exchange->received))
        exchange_break_body(exchange, 413, "the request body is too large\n");
    else if (exchange->is_paused || fifo_size(&exchange->in) > 0)
        fifo_append(&exchange->in, spares_of(connection), data);
    else
        pass_data(exchange, data);
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t size, void *user_data)
{
    struct http2_connection *connection = connection_of(user_data);
    struct http2_exchange *exchange = nghttp2_session_get_stream_user_data(ng, stream_id);
    (void)flags;
    if (!exchange || exchange->is_finished)
        http2_session_consume(&connection->session, stream_id, size);
    else
        use_data(exchange, (struct span){ (const char *)data, size });
    return connection->session.is_closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
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

static void look_in(struct http2_exchange *exchange)
{
    if (exchange->is_finished)
        return;
    if (exchange->needs_continue)
        send_continue(exchange);
    if (!exchange->is_paused && fifo_size(&exchange->in) > 0)
        pass_kept(exchange);
    if (!exchange->is_paused && exchange->is_request_done && fifo_size(&exchange->in) == 0)
        end_body(exchange);
}

static void look_out(struct http2_exchange *exchange)
{
    tell_tunnel(exchange);
    if (exchange->is_finished || !exchange->was_unsent || http2_exchange_unsent(exchange) > 0)
        return;
    exchange->was_unsent = false;
    http_exchange_tell_drained(&exchange->public);
}

/* Callbacks may free any exchange, so the list is of its own and its first is taken each time. */
static void on_turn(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct list todo;
    list_init(&todo);
    list_move_all(&todo, &connection->todo);
    for (struct list *link; (link = list_take_first(&todo));) {
        list_add_last(&connection->todo, link);
        look_in(container_of(link, struct http2_exchange, todo_link));
    }
}

static void on_flushed(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct list todo;
    if (session->out.is_blocked)
        return;
    list_init(&todo);
    list_move_all(&todo, &connection->todo);
    for (struct list *link; (link = list_take_first(&todo));)
        look_out(container_of(link, struct http2_exchange, todo_link));
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
            on_request_head(connection, frame->hd.stream_id, is_end);
            http2_in_clear(&connection->in, spares_of(connection));
            return;
        }
        break;
    case NGHTTP2_DATA: break;
    case NGHTTP2_SETTINGS: connection->has_begun = true; return;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            begin_drain(connection);
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
            exchange_break_body(exchange, 400, "the trailers are malformed\n");
            return;
        }
    }
    if (is_end)
        on_request_end(exchange);
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
    exchange_abort(exchange);
    exchange_free(exchange);
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

/* --- time --- */

static nsec body_deadline(const struct http2_exchange *exchange,
                          const struct http_settings *settings)
{
    bool is_held = exchange->is_paused || (exchange->needs_continue && exchange->relays_continue);
    if (is_held || exchange->is_request_done || exchange->is_finished || exchange->is_tunnel)
        return NSEC_NEVER;
    nsec at = exchange->received_at + settings->stall_timeout;
    if (settings->body_min_rate == 0)
        return at;
    nsec allowed = exchange->received / settings->body_min_rate * NSEC_PER_SEC;
    if (allowed < settings->body_grace)
        allowed = settings->body_grace;
    return earlier(at, exchange->body_since + allowed);
}

/* The deadline of an answer that waits for the client's window; what it took in the meantime, at
 * its rate, gives it another. */
static nsec answer_deadline(struct http2_exchange *exchange, const struct http_settings *settings,
                            nsec now)
{
    if (exchange->is_complete || http2_exchange_unsent(exchange) == 0)
        return NSEC_NEVER;
    nsec at = exchange->sent_at + settings->stall_timeout;
    if (at > now)
        return at;
    uint64_t least = settings->answer_min_rate * ((now - exchange->sent_at) / NSEC_PER_MSEC) / 1000;
    uint64_t taken = exchange->n_left - exchange->n_left_at;
    if (taken == 0 || taken < least)
        return at;
    exchange->sent_at = now;
    exchange->n_left_at = exchange->n_left;
    return now + settings->stall_timeout;
}

/* False when the client takes nothing of what waits in the connection (see HTTP/1's
 * client_takes_answer()). */
static bool takes_output(struct http2_connection *connection, nsec now)
{
    struct http2_session *session = &connection->session;
    const struct http_settings *settings = &connection->server->settings;
    nsec from = session->sent_at > connection->looked_at ? session->sent_at : connection->looked_at;
    bool has_looked = connection->looked_at > session->sent_at;
    nsec patience = has_looked ? settings->stall_timeout / 2 : settings->stall_timeout;
    if (outlet_unsent(&session->out) == 0 || now < from + patience)
        return true;
    size_t queued = socket_queued(session->watch.fd);
    uint64_t least = settings->answer_min_rate * ((now - from) / NSEC_PER_MSEC) / 1000;
    bool is_taken =
        has_looked && queued < connection->queued && connection->queued - queued >= least;
    connection->looked_at = now;
    connection->queued = queued;
    return !has_looked || is_taken;
}

static nsec output_deadline(const struct http2_connection *connection)
{
    const struct http2_session *session = &connection->session;
    nsec patience = connection->server->settings.stall_timeout;
    if (outlet_unsent(&session->out) == 0)
        return NSEC_NEVER;
    if (connection->looked_at > session->sent_at)
        return connection->looked_at + patience / 2;
    return session->sent_at + patience;
}

static nsec connection_deadline(const struct http2_connection *connection)
{
    const struct http_settings *settings = &connection->server->settings;
    nsec at = output_deadline(connection);
    if (!connection->has_begun)
        return earlier(at, connection->since + settings->head_timeout);
    if (connection->head_since)
        at = earlier(at, connection->head_since + settings->head_timeout);
    if (connection->drain == HTTP2_ANNOUNCED)
        return earlier(at, connection->since + ANNOUNCE_TIME);
    if (connection->n_exchanges == 0)
        at = earlier(at, connection->since + settings->idle_timeout);
    return at;
}

/* Ends what is late, and returns when the next of the exchanges is. */
static nsec look_at_exchanges(struct http2_connection *connection, nsec now)
{
    const struct http_settings *settings = &connection->server->settings;
    nsec next = NSEC_NEVER;
    struct list todo; /* a handler may end any exchange meanwhile */
    list_init(&todo);
    list_move_all(&todo, &connection->exchanges);
    for (struct list *link; (link = list_take_first(&todo));) {
        struct http2_exchange *exchange = container_of(link, struct http2_exchange, link);
        list_add_last(&connection->exchanges, link);
        nsec body_at = body_deadline(exchange, settings);
        nsec answer_at = answer_deadline(exchange, settings, now);
        if (exchange->is_broken && exchange->break_code != NGHTTP2_NO_ERROR && answer_at > now)
            continue;
        if (answer_at <= now)
            exchange_reset(exchange, NGHTTP2_CANCEL);
        else if (body_at <= now)
            exchange_break_body(exchange, 408, "the request body comes too slowly\n");
        else
            next = earlier(next, earlier(body_at, answer_at));
    }
    return next;
}

static void end_late(struct http2_connection *connection, nsec now)
{
    struct http2_session *session = &connection->session;
    const struct http_settings *settings = &connection->server->settings;
    bool is_head_late =
        connection->head_since && connection->head_since + settings->head_timeout <= now;
    if (connection->drain == HTTP2_ANNOUNCED && connection->since + ANNOUNCE_TIME <= now)
        begin_drain(connection);
    else if (is_head_late || !connection->has_begun)
        http2_session_end(session, NGHTTP2_ENHANCE_YOUR_CALM);
    else if (connection->n_exchanges == 0)
        http2_session_end(session, NGHTTP2_NO_ERROR);
}

static void connection_abort(struct http2_connection *connection);

static void on_due(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    nsec now = loop_now(loop_of(connection));
    if (!takes_output(connection, now)) {
        /* What the client does not take the kernel would keep for minutes. */
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        IGNORE(setsockopt(session->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
               "a unix socket has none");
        connection_abort(connection);
        return;
    }
    nsec next = look_at_exchanges(connection, now);
    if (session->is_closed)
        return;
    if (connection_deadline(connection) <= now && outlet_unsent(&session->out) == 0)
        end_late(connection, now);
    nsec at = earlier(next, connection_deadline(connection));
    if (at <= now) /* it ends, or waits for what is being sent */
        at = now + NSEC_PER_SEC;
    http2_session_arm(session, at);
}

/* --- the end --- */

static void on_lost(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    for (struct list *link; (link = connection->exchanges.next) != &connection->exchanges;) {
        struct http2_exchange *exchange = container_of(link, struct http2_exchange, link);
        nghttp2_session_set_stream_user_data(session->ng, exchange->stream_id, NULL);
        exchange->public.reset_code = 0;
        exchange_abort(exchange);
        exchange_free(exchange);
    }
    http2_in_clear(&connection->in, spares_of(connection));
}

static void on_closed(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    struct http_server *server = connection->server;
    while (true) {
        struct http2_exchange *warm = take_warm(connection);
        if (!warm)
            break;
        give_spare(&server->http2, warm);
    }
    http_census_drop_client(server->census, connection->census_key);
    list_remove(&connection->link);
    list_add_last(&server->http2.dead, &connection->link);
    http_server_forget_connection(server);
}

static void connection_abort(struct http2_connection *connection)
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
    .on_due = on_due,
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
    nghttp2_session_callbacks *callbacks = http2->side.callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    http2_set_out_callbacks(callbacks);
}

void http2_server_fini(struct http_server *server)
{
    struct http2_server *http2 = &server->http2;
    while (!list_is_empty(&http2->connections))
        connection_abort(container_of(http2->connections.next, struct http2_connection, link));
    http2_server_reap(server);
    for (struct list *link; (link = list_take_first(&http2->spares));)
        exchange_drop(container_of(link, struct http2_exchange, warm_link));
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
        while (true) {
            struct http2_exchange *warm = take_warm(connection);
            if (!warm)
                break;
            give_spare(http2, warm);
        }
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
        http2_session_arm(session, connection->since + server->settings.head_timeout);
        http2_session_receive(session, bytes);
        if (server->is_draining)
            announce_drain(connection);
    }
    fifo_clear(&kept, &server->spares);
}
