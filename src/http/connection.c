/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Everything that comes in is used in http_connection_run(), and only there: it is called from the
 * loop, never from a handler, so that the hot buffer under the bytes in use cannot be written by
 * a second receive. What handlers do to a connection (pause, resume, finish) changes its state,
 * and http_connection_wake() defers a run where that leaves something to do.
 *
 * Time: each state has a deadline that can be computed from what is noted anyway. The timer runs
 * at or before it and looks it up when due, so a request that arrives and leaves in time touches
 * no timer.
 */

#include "http/connection.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "http/relay.h"
#include "http/relay_copy.h"

#define SLOW_RECEIVE_SIZE 16384u

/* Whether it is us who keep the body waiting. */
static bool body_is_held(const struct exchange *exchange)
{
    return exchange->is_paused || (exchange->needs_continue && exchange->relays_continue);
}

static nsec body_deadline(const struct exchange *exchange, const struct http_settings *settings)
{
    if (body_is_held(exchange) || exchange->is_tunnel)
        return NSEC_NEVER;
    const struct body_progress progress = { exchange->body_since, exchange->received_at,
                                            exchange->sent_at, exchange->received };
    return body_due(&progress, exchange->public.patience, settings);
}

/* Whether it is the client who keeps the answer waiting. */
static bool is_sending(const struct exchange *exchange)
{
    return outlet_unsent(&exchange->out) > 0 || (exchange->relay_from && exchange->out.is_blocked);
}

static nsec send_deadline(const struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    if (!exchange || !is_sending(exchange))
        return NSEC_NEVER;
    nsec patience = connection->server->settings.stall_timeout;
    if (exchange->looked_at > exchange->sent_at)
        return exchange->looked_at + patience / 2;
    return exchange->sent_at + patience;
}

/* The kernel takes more of an answer in large steps, which for a slow client can be further apart
 * than a stall. So before it is given up, what waits in the kernel is looked at twice, and it stays
 * while it takes that at its rate. */
static bool client_takes_answer(const struct connection *connection, struct exchange *exchange,
                                nsec now)
{
    size_t queued = socket_queued(connection->watch.fd);
    if (exchange->looked_at <= exchange->sent_at) {
        exchange->looked_at = now;
        exchange->queued = queued;
        return true;
    }
    uint64_t rate = connection->server->settings.answer_min_rate;
    uint64_t least = rate * ((now - exchange->looked_at) / NSEC_PER_MSEC) / 1000;
    if (queued >= exchange->queued || exchange->queued - queued < least)
        return false;
    exchange->sent_at = now;
    return true;
}

static nsec input_deadline(const struct connection *connection)
{
    const struct http_settings *settings = &connection->server->settings;
    switch (connection->input) {
    case INPUT_HEAD:
        if (connection->exchange)
            return NSEC_NEVER;
        if (connection->scanned > 0 || connection->n_requests == 0)
            return connection->since + settings->head_timeout;
        return connection->since + settings->idle_timeout;
    case INPUT_BODY: return body_deadline(connection->exchange, settings);
    case INPUT_DISCARD:
    case INPUT_LINGER: return connection->exchange->discard_until;
    case INPUT_DONE: break;
    }
    return NSEC_NEVER;
}

void http_connection_arm(struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    if (connection->input == INPUT_DONE && exchange && !is_sending(exchange))
        return;
    nsec at = earlier(input_deadline(connection), send_deadline(connection));
    if (at == NSEC_NEVER)
        return;
    if (!timer_is_running(&connection->timer) || at < connection->timer.node.at)
        timer_start(&connection->timer, connection->server->loop, at);
}

void http_connection_abort(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    if (exchange && !exchange->is_finished) {
        exchange->is_finished = true;
        if (exchange->public.ops && exchange->public.ops->on_abort)
            exchange->public.ops->on_abort(&exchange->public);
    }
    http_connection_close(connection);
}

static void start_discard(struct connection *connection, enum input input, nsec time)
{
    struct exchange *exchange = connection->exchange;
    connection->input = input;
    exchange->discard_left = DISCARD_MAX;
    exchange->discard_until = loop_now(connection->server->loop) + time;
}

void http_connection_leave_body(struct connection *connection)
{
    if (connection->input != INPUT_BODY)
        return;
    struct exchange *exchange = connection->exchange;
    exchange->keeps_alive = exchange->keeps_alive && !http_body_is_long(&exchange->body);
    enum input next = exchange->keeps_alive ? INPUT_DISCARD : INPUT_LINGER;
    start_discard(connection, next, DISCARD_TIME);
}

static void tell_refused(struct connection *connection, unsigned status, const char *text)
{
    struct http_handler *handler = connection->server->handler;
    struct exchange *exchange = connection->exchange;
    if (!exchange)
        exchange = http_exchange_new(connection);
    bool is_known = exchange->public.refusal.status; /* the handler has been told */
    exchange->public.refusal = (struct http_refusal){ status, text };
    if (!is_known && handler->on_refused)
        handler->on_refused(handler, &exchange->public);
}

/* Answers for the handler, which does not see this request, or has been told that it is over. */
static void connection_refuse(struct connection *connection, unsigned status, const char *text)
{
    tell_refused(connection, status, text);
    struct exchange *exchange = connection->exchange;
    connection->scanned = connection->line_at = 0;
    exchange->public.ops = NULL;
    exchange->keeps_alive = false;
    exchange->is_finished = false;
    start_discard(connection, INPUT_LINGER, DISCARD_TIME);

    static const struct http_out_field fields[] = {
        { SPAN("content-type"), SPAN("text/plain") },
        { SPAN("retry-after"), SPAN("1") },
    };
    http_reply(&exchange->public, status, fields, status == 503 ? 2 : 1, span_of(text));
}

/* The client broke the protocol, or took too long, in the middle of a body. */
static void connection_break_body(struct connection *connection, unsigned status, const char *text)
{
    struct exchange *exchange = connection->exchange;
    assert(exchange); /* whose body it is */
    bool can_answer = !exchange->is_responded && !exchange->is_gone;
    if (!can_answer || exchange->is_finished) {
        http_connection_abort(connection);
        return;
    }
    exchange->is_finished = true;
    exchange->public.refusal = (struct http_refusal){ status, text };
    if (exchange->public.ops && exchange->public.ops->on_abort)
        exchange->public.ops->on_abort(&exchange->public);
    connection_refuse(connection, status, text);
}

static void connection_on_due(struct timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, timer);
    nsec now = loop_now(connection->server->loop);
    nsec input_at = input_deadline(connection);
    struct exchange *exchange = connection->exchange;
    bool is_stalled = exchange && send_deadline(connection) <= now &&
                      !client_takes_answer(connection, exchange, now);

    if (is_stalled || (input_at <= now && connection->input >= INPUT_DISCARD)) {
        /* What the client does not take the kernel would keep for minutes. */
        if (is_stalled)
            http_connection_reset_at_close(connection);
        http_connection_abort(connection);
        return;
    }
    if (input_at <= now && connection->input == INPUT_BODY) {
        connection_break_body(connection, 408, "the request body comes too slowly\n");
    } else if (input_at <= now) {
        if (connection->scanned == 0) {
            http_connection_close(connection);
            return;
        }
        connection_refuse(connection, 408, "the request head took too long\n");
    }
    if (!connection->is_closed)
        http_connection_arm(connection);
}

/* Whether an incomplete head has grown by anything that can change the verdict: the end of a line,
 * or size. Without this a client that sends byte by byte would have us parse the head as often. */
static bool head_has_news(struct connection *connection, struct span bytes)
{
    const struct http1_limits *limits = &connection->server->settings.limits;
    size_t seen = connection->scanned;
    if (seen == 0 || bytes.size >= limits->head || bytes.size - connection->line_at > limits->line)
        return true;
    connection->scanned = bytes.size;
    return memchr(bytes.data + seen, '\n', bytes.size - seen) != NULL;
}

static void head_note(struct connection *connection, struct span bytes)
{
    if (connection->scanned == 0)
        connection->since = loop_now(connection->server->loop);
    connection->scanned = bytes.size;
    const char *line_end = memrchr(bytes.data, '\n', bytes.size);
    connection->line_at = line_end ? (size_t)(line_end + 1 - bytes.data) : 0;
}

static bool exceeds_body(const struct http_server *server, uint64_t size)
{
    return server->settings.max_body && size > server->settings.max_body;
}

static void begin_exchange(struct connection *connection)
{
    struct http_server *server = connection->server;
    struct exchange *exchange = connection->exchange;
    const struct http_head *head = &exchange->request.parsed;
    nsec now = loop_now(server->loop);

    exchange->is_http_1_0 = head->minor_version == 0;
    exchange->is_head_request = http_is_head(head->method);
    connection->n_requests++;
    exchange->keeps_alive =
        head->is_keep_alive && connection->n_requests < server->settings.max_requests;
    http_body_init(&exchange->body, head);
    connection->input = INPUT_DONE;
    if (!http_body_is_empty(&exchange->body)) {
        connection->input = INPUT_BODY;
        exchange->needs_continue = head->expects_continue;
        exchange->body_since = exchange->received_at = exchange->paused_at = now;
    }
    if (server->pressure >= HTTP_PRESSURE_SHED)
        connection_refuse(connection, 503, "the gateway is short of memory\n");
    else if (head->framing == HTTP_BODY_LENGTH && exceeds_body(server, head->content_length))
        connection_refuse(connection, 413, "the request body is too large\n");
    else
        server->handler->on_request(server->handler, &exchange->public);
}

/* Whether the first line of a connection looks like a request's and has nothing of HTTP, neither a
 * path nor a version. Who speaks something else, or HTTP/2 badly, is not answered in HTTP/1. */
static bool is_other_protocol(const struct connection *connection, struct span bytes)
{
    const char *end = memchr(bytes.data, '\n', bytes.size);
    struct span line = span_first(bytes, end ? (size_t)(end - bytes.data) : bytes.size);
    bool has_slash = memchr(line.data, '/', line.size);
    span_cut(&line, ' ');
    bool has_three_words = line.data && memchr(line.data, ' ', line.size);
    return connection->n_requests == 0 && has_three_words && !has_slash;
}

/* What is no head of HTTP/1 may be how HTTP/2 begins. Returns how many bytes were used. */
static RARE size_t use_no_head(struct connection *connection, struct span bytes,
                               const struct http1_error *error)
{
    bool is_http2 =
        connection->n_requests == 0 && !connection->is_http1_only && http2_is_preface(bytes);
    if (is_http2 && bytes.size < HTTP2_PREFACE_SIZE) {
        http_exchange_free(connection->exchange);
        head_note(connection, bytes);
        return 0;
    }
    if (is_http2) {
        http2_server_adopt(connection, bytes);
    } else if (is_other_protocol(connection, bytes)) {
        tell_refused(connection, error->status, error->text);
        http_connection_close(connection);
    } else {
        connection_refuse(connection, error->status, error->text);
    }
    return bytes.size;
}

static size_t use_head(struct connection *connection, struct span bytes)
{
    struct http1_error error;
    if (bytes.size == 0 || !head_has_news(connection, bytes))
        return 0;

    struct http_server *server = connection->server;
    struct exchange *exchange = http_exchange_new(connection);
    switch (request_head_parse(&exchange->request, bytes, &server->settings.limits,
                               &server->n_fields_seen, &error)) {
    case HTTP1_OK: break;
    case HTTP1_MORE:
        http_exchange_free(exchange);
        head_note(connection, bytes);
        return 0;
    default: return use_no_head(connection, bytes, &error);
    }
    connection->scanned = connection->line_at = 0;
    size_t size = exchange->request.parsed.size;
    exchange->public.head = &exchange->request.parsed;
    exchange->public.fields_number = exchange->request.fields_number;
    if (exchange->request.parsed.form == HTTP_TARGET_AUTHORITY)
        connection_refuse(connection, 501, "CONNECT is not done here\n");
    else
        begin_exchange(connection);
    return size;
}

static void end_body(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    bool was_discarded = connection->input == INPUT_DISCARD;
    connection->input = INPUT_DONE;
    if (was_discarded)
        http_exchange_flush(exchange);
    else if (exchange->public.ops && exchange->public.ops->on_body_end)
        exchange->public.ops->on_body_end(&exchange->public);
}

static void pass_data(struct connection *connection, struct span data)
{
    struct exchange *exchange = connection->exchange;
    exchange->received += data.size;
    exchange->received_at = loop_now(connection->server->loop);
    if (exchange->needs_continue) { /* it did not wait */
        exchange->needs_continue = false;
        exchange->body_since = exchange->received_at;
    }
    if (connection->input == INPUT_BODY && !exchange->is_tunnel &&
        exceeds_body(connection->server, exchange->received)) {
        connection_break_body(connection, 413, "the request body is too large\n");
        return;
    }
    if (connection->input == INPUT_BODY) {
        if (exchange->public.ops && exchange->public.ops->on_body)
            exchange->public.ops->on_body(&exchange->public, data);
        return;
    }
    if (data.size > exchange->discard_left) { /* more than it is worth */
        exchange->keeps_alive = false;
        start_discard(connection, INPUT_LINGER, LINGER_TIME);
        http_exchange_flush(exchange);
        return;
    }
    exchange->discard_left -= data.size;
}

/* One step of the body; false when it can go no further. The handler may do anything meanwhile. */
static bool use_body_once(struct connection *connection, struct span *rest)
{
    struct span data;
    switch (http_body_decode(&connection->exchange->body, rest, &data)) {
    case HTTP1_CHUNK_DATA: pass_data(connection, data); return true;
    case HTTP1_CHUNK_TRAILER: return true;
    case HTTP1_CHUNK_END: end_body(connection); return false;
    case HTTP1_CHUNK_MORE: return false;
    default:
        *rest = SPAN_NULL;
        connection_break_body(connection, 400, "the chunked body is malformed\n");
        return false;
    }
}

static bool takes_input(const struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    if (connection->is_closed || (exchange && exchange->is_gone))
        return false;
    switch (connection->input) {
    case INPUT_HEAD: return !exchange;
    case INPUT_BODY: return exchange && !exchange->is_paused;
    case INPUT_DONE: return false;
    case INPUT_DISCARD:
    case INPUT_LINGER: break;
    }
    return true;
}

static size_t use_body(struct connection *connection, struct span bytes)
{
    struct span rest = bytes;
    while (takes_input(connection) &&
           (connection->input == INPUT_BODY || connection->input == INPUT_DISCARD)) {
        if (!use_body_once(connection, &rest))
            break;
    }
    return bytes.size - rest.size;
}

static size_t use_linger(struct connection *connection, struct span bytes)
{
    struct exchange *exchange = connection->exchange;
    if (bytes.size > exchange->discard_left)
        http_connection_abort(connection);
    else
        exchange->discard_left -= bytes.size;
    return bytes.size;
}

/* Uses bytes as long as anything takes them; returns how many. */
static size_t connection_use(struct connection *connection, struct span bytes)
{
    size_t used = 0;
    for (;;) {
        enum input before = connection->input;
        struct span rest = span_from(bytes, used);
        size_t n = 0;
        if (!takes_input(connection))
            return used;
        if (before == INPUT_HEAD)
            n = use_head(connection, rest);
        else if (before == INPUT_LINGER)
            n = use_linger(connection, rest);
        else
            n = use_body(connection, rest);
        used += n;
        if (n == 0 && connection->input == before)
            return used;
    }
}

static void connection_end_of_input(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    switch (connection->input) {
    case INPUT_HEAD: http_connection_close(connection); break;
    case INPUT_BODY:
        if (exchange->is_tunnel)
            end_body(connection);
        else
            http_connection_abort(connection);
        break;
    case INPUT_DONE: break;
    case INPUT_DISCARD:
    case INPUT_LINGER:
        /* What is left of the answer may still be wanted. */
        exchange->keeps_alive = false;
        connection->input = INPUT_DONE;
        http_exchange_flush(exchange);
        break;
    }
}

/* What a receive brings more than its taker has room for is kept, so a body that had to wait for
 * its taker once comes in small pieces. */
static size_t receive_size(const struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    if (likely(connection->input != INPUT_BODY))
        return INLET_RECEIVE_SIZE;
    uint64_t max = connection->server->settings.max_buffered / 2;
    size_t size = exchange->was_paused ? SLOW_RECEIVE_SIZE : INLET_RECEIVE_SIZE;
    return max < size ? (size_t)max : size;
}

/* The other side is gone, or says nothing that can be used; true when there was an answer to that. */
static RARE bool connection_lose(struct connection *connection)
{
    if (likely(!connection->tls) || !tls_stream_is_plain(connection->tls)) {
        http_connection_abort(connection);
        return false;
    }
    connection->in.tls = NULL;
    connection->in.is_readable = true; /* there may be more of the request */
    connection->tls = tls_stream_free(connection->tls);
    connection_refuse(connection, 400, "this listener speaks TLS\n");
    return !connection->is_closed;
}

/* Uses what there is; true when it is worth calling again. */
static bool connection_advance(struct connection *connection, unsigned *n_reads)
{
    struct http_server *server = connection->server;
    struct inlet *in = &connection->in;
    if (!takes_input(connection))
        return false;

    /* A body may be complete without a byte more, when its handler was paused at the last one. */
    size_t n_kept = fifo_size(&in->kept);
    if (n_kept > connection->scanned || connection->input != INPUT_HEAD) {
        enum input before = connection->input;
        struct span bytes = n_kept ? fifo_span(&in->kept) : SPAN_NULL;
        size_t used = connection_use(connection, bytes);
        if (connection->is_closed)
            return false;
        if (n_kept)
            inlet_settle(in, &server->spares, bytes, used);
        if (used > 0 || connection->input != before)
            return true;
    }
    if (!takes_input(connection) || !in->is_readable)
        return false;
    if (++*n_reads > READS_PER_RUN) {
        task_defer(&connection->task, server->loop);
        return false;
    }

    struct span bytes;
    switch (inlet_receive(in, connection->watch.fd, server->hot, receive_size(connection),
                          &server->spares, &bytes)) {
    case INLET_BYTES: {
        size_t used = connection_use(connection, bytes);
        if (!connection->is_closed)
            inlet_settle(in, &server->spares, bytes, used);
        return true;
    }
    case INLET_END: connection_end_of_input(connection); return false;
    case INLET_GONE: return connection_lose(connection);
    default: return false;
    }
}

/* The client may send its body now (RFC 9110 section 10.1.1). */
static void connection_continue(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    bool is_wanted = exchange && exchange->needs_continue && connection->input == INPUT_BODY &&
                     !body_is_held(exchange) && !exchange->is_responded && !exchange->is_gone;
    if (!is_wanted || fifo_size(&connection->in.kept) > 0)
        return;
    http_interim(&exchange->public, 100, SPAN_NULL);
    http_exchange_flush(exchange);
}

static void connection_flush(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    if (!exchange ||
        (!exchange->is_finished && outlet_unsent(&exchange->out) == 0 && !exchange->relay_from))
        return;
    http_exchange_flush(exchange);
    bool is_drained = connection->exchange && !exchange->is_finished && !exchange->is_gone &&
                      outlet_unsent(&exchange->out) == 0;
    if (!is_drained)
        return;
    if (exchange->relay_from && !exchange->out.is_blocked)
        http_relay_resume(exchange);
    else if (!exchange->relay_from)
        http_exchange_tell_drained(&exchange->public);
}

void http_connection_run(struct connection *connection)
{
    unsigned n_reads = 0;
    if (connection->is_running)
        return;

    connection->is_running = true;
    connection_flush(connection);
    while (connection_advance(connection, &n_reads))
        continue;
    connection_continue(connection);
    connection->is_running = false;

    if (connection->is_closed)
        return;
    struct exchange *exchange = connection->exchange;
    if (exchange && (exchange->is_gone || (connection->is_hung_up && !takes_input(connection))))
        http_connection_abort(connection);
    else
        http_connection_arm(connection);
}

void http_connection_wake(struct connection *connection)
{
    if (connection->is_running || connection->is_closed)
        return;
    const struct exchange *exchange = connection->exchange;
    bool has_input = takes_input(connection) &&
                     (connection->in.is_readable || fifo_size(&connection->in.kept) > 0 ||
                      connection->input != INPUT_HEAD);
    if (has_input || (exchange && exchange->is_gone))
        task_defer(&connection->task, connection->server->loop);
    http_connection_arm(connection);
}

/* An end of what the client sends is one of the client, too, while its answer waits. */
static bool is_hang_up(const struct connection *connection, uint32_t events)
{
    const struct exchange *exchange = connection->exchange;
    return events & (EPOLLHUP | EPOLLERR) ||
           (exchange && exchange->is_waiting && !exchange->is_responded);
}

static void connection_on_ready(struct watch *watch, uint32_t events)
{
    struct connection *connection = container_of(watch, struct connection, watch);
    inlet_note(&connection->in, events);
    if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        connection->is_hung_up |= is_hang_up(connection, events);
    if (connection->exchange && (events & EPOLLOUT))
        connection->exchange->out.is_blocked = false;
    else if (unlikely(connection->tls) && (events & EPOLLOUT) && !tls_stream_flush(connection->tls))
        connection->is_hung_up = true; /* of a handshake */
    http_connection_run(connection);
}

static void connection_on_run(struct task *task)
{
    http_connection_run(container_of(task, struct connection, task));
}

void http_connection_open(struct connection *connection)
{
    struct http_server *server = connection->server;
    connection->watch.on_ready = connection_on_ready;
    connection->timer.on_due = connection_on_due;
    connection->task.on_run = connection_on_run;
    list_init(&connection->task.link);
    connection->since = loop_now(server->loop);
    connection->in.is_readable = true; /* the request may have come with the connection */

    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    if (watch_add(&connection->watch, server->loop, connection->watch.fd, events)) {
        http_connection_close(connection);
        return;
    }
    http_connection_run(connection);
}
