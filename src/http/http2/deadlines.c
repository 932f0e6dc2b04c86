/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Time. The session has one timer, which looks at all exchanges when it is due, so that streams come
 * and go without touching it.
 */

#include <sys/socket.h>

#include "http/connection.h"
#include "http/http2/server.h"

static struct loop *loop_of(const struct http2_connection *connection)
{
    return connection->server->loop;
}

static nsec body_deadline(const struct http2_exchange *exchange,
                          const struct http_settings *settings)
{
    bool is_held = exchange->is_paused || (exchange->needs_continue && exchange->relays_continue);
    if (is_held || exchange->is_request_done || exchange->is_finished || exchange->is_tunnel)
        return NSEC_NEVER;
    const struct body_progress progress = { exchange->body_since, exchange->received_at,
                                            exchange->sent_at, exchange->received };
    return body_due(&progress, exchange->public.patience, settings);
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
    const struct http2_session *session = &connection->session;
    nsec at = output_deadline(connection);
    if (!session->reading.has_begun)
        return earlier(at, connection->since + settings->head_timeout);
    if (session->head_since)
        at = earlier(at, session->head_since + settings->head_timeout);
    if (connection->drain == HTTP2_ANNOUNCED)
        return earlier(at, connection->since + HTTP2_ANNOUNCE_TIME);
    if (connection->n_exchanges == 0)
        at = earlier(at, connection->since + settings->idle_timeout);
    return at;
}

void http2_connection_arm(struct http2_connection *connection)
{
    http2_session_arm(&connection->session, connection_deadline(connection));
}

void http2_exchange_arm(const struct http2_exchange *exchange)
{
    struct http2_connection *connection = exchange->connection;
    const struct http_settings *settings = &connection->server->settings;
    nsec at = body_deadline(exchange, settings);
    if (!exchange->is_complete && http2_exchange_unsent(exchange) > 0)
        at = earlier(at, exchange->sent_at + settings->stall_timeout);
    http2_session_arm(&connection->session, at);
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
        if (exchange->is_broken && exchange->break_code != HTTP2_NO_ERROR && answer_at > now)
            continue;
        if (answer_at <= now) {
            /* A client that holds its windows would go on with other requests. */
            http2_exchange_cancel(exchange, HTTP2_CANCEL);
            http2_connection_announce_drain(connection);
        } else if (body_at <= now) {
            http2_exchange_break_body(exchange, 408, "the request body comes too slowly\n");
        } else {
            next = earlier(next, earlier(body_at, answer_at));
        }
    }
    return next;
}

static void end_late(struct http2_connection *connection, nsec now)
{
    struct http2_session *session = &connection->session;
    const struct http_settings *settings = &connection->server->settings;
    bool is_head_late = session->head_since && session->head_since + settings->head_timeout <= now;
    if (connection->drain == HTTP2_ANNOUNCED && connection->since + HTTP2_ANNOUNCE_TIME <= now)
        http2_connection_begin_drain(connection);
    else if (is_head_late || !session->reading.has_begun)
        http2_session_end(session, HTTP2_ENHANCE_YOUR_CALM);
    else if (connection->n_exchanges == 0)
        http2_session_end(session, HTTP2_NO_ERROR);
}

/* What the client does not take the kernel would keep for minutes. */
static void forget_output(const struct http2_session *session)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    IGNORE(setsockopt(session->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
           "a unix socket has none");
}

void http2_connection_on_due(struct http2_session *session)
{
    struct http2_connection *connection = http2_connection_of(session);
    nsec now = loop_now(loop_of(connection));
    if (!takes_output(connection, now)) {
        forget_output(session);
        http2_connection_abort(connection);
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
