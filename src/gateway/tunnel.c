/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/tunnel.h"

#include "base/hash.h"
#include "base/mem.h"
#include "codec/origin.h"
#include "codec/websocket.h"
#include "gateway/proxy.h"

/* How long both ends have, after Close, to say theirs. */
#define CLOSE_GRACE (2 * NSEC_PER_SEC)

/* What one end says to the other. */
struct direction {
    struct websocket_walk walk;
    bool is_over; /* a Close went this way: nothing may follow */
};

struct tunnel {
    struct request *request;
    struct timer timer; /* runs at or before the true deadline, which it looks up when due */
    struct direction to_client, to_service;
    nsec used_at;   /* when an end last said something to the other */
    nsec heard_at;  /* when anything last came from the client */
    nsec closed_at; /* when closing began */
    bool is_websocket, is_open, is_closing;
    bool has_own_key;            /* `key` is ours, for a client that did not have to say one */
    bool wants_ping, was_pinged; /* since the client was heard last */
    char key[WEBSOCKET_KEY_SIZE + 1];
};

static nsec now_of(const struct tunnel *tunnel)
{
    return loop_now(tunnel->request->worker->loop);
}

static const struct gateway_limits *limits_of(const struct tunnel *tunnel)
{
    return &tunnel->request->epoch->view->limits;
}

void tunnel_drop(struct request *request)
{
    struct tunnel *tunnel = request->tunnel;
    if (!tunnel)
        return;
    timer_stop(&tunnel->timer);
    free(tunnel);
    request->tunnel = NULL;
}

static void tunnel_end(struct tunnel *tunnel, bool is_whole)
{
    struct request *request = tunnel->request;
    tunnel_drop(request);
    if (request->is_calling) {
        request->is_calling = false;
        http_call_cancel(&request->call);
    }
    proxy_end(request, is_whole);
}

/* --- time --- */

static nsec deadline_of(const struct tunnel *tunnel)
{
    const struct gateway_limits *limits = limits_of(tunnel);
    if (tunnel->is_closing)
        return tunnel->closed_at + CLOSE_GRACE;
    nsec at =
        limits->tunnel_idle_timeout ? tunnel->used_at + limits->tunnel_idle_timeout : NSEC_NEVER;
    if (!tunnel->is_websocket || !limits->ping_interval)
        return at;
    nsec quiet = limits->ping_interval * (tunnel->was_pinged ? 2 : 1);
    return tunnel->heard_at + quiet < at ? tunnel->heard_at + quiet : at;
}

static void arm(struct tunnel *tunnel)
{
    nsec at = deadline_of(tunnel);
    if (at == NSEC_NEVER)
        return;
    if (!timer_is_running(&tunnel->timer) || at < tunnel->timer.node.at)
        timer_start(&tunnel->timer, tunnel->request->worker->loop, at);
}

/* --- frames of our own --- */

static void put_ping(struct tunnel *tunnel)
{
    char frame[WEBSOCKET_CONTROL_MAX];
    size_t size = websocket_put_control(frame, WEBSOCKET_PING, SPAN_NULL, NULL);
    tunnel->wants_ping = false;
    tunnel->was_pinged = true;
    http_send(tunnel->request->exchange, (struct span){ frame, size });
}

static struct span format_close(struct tunnel *tunnel, char frame[WEBSOCKET_CONTROL_MAX],
                                bool is_masked)
{
    static const char status[] = { (char)(WEBSOCKET_GOING_AWAY >> 8), (char)WEBSOCKET_GOING_AWAY };
    const uint8_t *mask = is_masked ? worker_random(tunnel->request->worker, 4) : NULL;
    size_t size = websocket_put_control(frame, WEBSOCKET_CLOSE,
                                        (struct span){ status, sizeof(status) }, mask);
    return (struct span){ frame, size };
}

/* Whether something of ours is to go this way as soon as it may. */
static bool wants_in(const struct tunnel *tunnel, const struct direction *direction)
{
    bool is_ping_due = direction == &tunnel->to_client && tunnel->wants_ping;
    return !direction->is_over && (tunnel->is_closing || is_ping_due);
}

static void put_between(struct tunnel *tunnel, struct direction *direction)
{
    char frame[WEBSOCKET_CONTROL_MAX];
    if (!wants_in(tunnel, direction) || !websocket_is_between(&direction->walk))
        return;
    bool is_to_client = direction == &tunnel->to_client;
    if (!tunnel->is_closing) {
        put_ping(tunnel);
        return;
    }
    direction->is_over = true;
    struct span close = format_close(tunnel, frame, !is_to_client);
    if (is_to_client)
        http_send(tunnel->request->exchange, close);
    else
        http_call_send(&tunnel->request->call, close);
}

/* A plain tunnel has no words for it, and lasts as long as the draining lets it. */
static void start_closing(struct tunnel *tunnel)
{
    if (tunnel->is_closing || !tunnel->is_websocket)
        return;
    tunnel->is_closing = true;
    tunnel->closed_at = now_of(tunnel);
    put_between(tunnel, &tunnel->to_client);
    put_between(tunnel, &tunnel->to_service);
    arm(tunnel);
}

static void on_due(struct timer *timer)
{
    struct tunnel *tunnel = container_of(timer, struct tunnel, timer);
    struct request *request = tunnel->request;
    const struct gateway_limits *limits = limits_of(tunnel);
    nsec now = now_of(tunnel);
    if (deadline_of(tunnel) > now) {
        arm(tunnel);
        return;
    }
    request_enter(request);
    bool is_idle =
        limits->tunnel_idle_timeout && tunnel->used_at + limits->tunnel_idle_timeout <= now;
    if (tunnel->is_closing || (is_idle && !tunnel->is_websocket)) {
        tunnel_end(tunnel, true);
    } else if (is_idle) {
        start_closing(tunnel);
    } else if (tunnel->was_pinged) {
        request->fault = "timeout"; /* the client answers no Ping: it is gone */
        tunnel_end(tunnel, false);
    } else {
        tunnel->wants_ping = true;
        put_between(tunnel, &tunnel->to_client);
        tunnel->was_pinged =
            true; /* or the service never ends a frame, and the client is as gone */
        arm(tunnel);
    }
    request_leave(request);
}

/* --- what passes --- */

/* Follows the frames in the bytes; returns how many may go on before something of ours must. */
static size_t follow(struct tunnel *tunnel, struct direction *direction, struct span bytes)
{
    size_t used = 0;
    while (used < bytes.size) {
        used += websocket_walk(&direction->walk, span_from(bytes, used));
        enum websocket_opcode opcode = websocket_opcode(&direction->walk);
        if (!websocket_is_control(opcode))
            tunnel->used_at = now_of(tunnel);
        if (!websocket_is_between(&direction->walk))
            continue;
        if (opcode == WEBSOCKET_CLOSE)
            direction->is_over = true;
        if (wants_in(tunnel, direction))
            break;
    }
    return used;
}

static void pass_on(struct tunnel *tunnel, struct direction *direction, struct span bytes)
{
    if (direction == &tunnel->to_client)
        http_send(tunnel->request->exchange, bytes);
    else
        http_call_send(&tunnel->request->call, bytes);
}

static void pass(struct tunnel *tunnel, struct direction *direction, struct span bytes)
{
    if (!tunnel->is_websocket) {
        tunnel->used_at = now_of(tunnel);
        pass_on(tunnel, direction, bytes);
        return;
    }
    while (bytes.size) {
        bool was_over = direction->is_over;
        size_t n = follow(tunnel, direction, bytes);
        if (!was_over) /* behind a Close of ours nothing may follow */
            pass_on(tunnel, direction, span_first(bytes, n));
        bytes = span_from(bytes, n);
        put_between(tunnel, direction);
    }
}

static size_t mark_of(const struct tunnel *tunnel)
{
    uint64_t max = limits_of(tunnel)->client.max_buffered / 2;
    return max < HTTP_SEND_MARK ? (size_t)max : HTTP_SEND_MARK;
}

static void on_client_bytes(struct http_exchange *exchange, struct span bytes)
{
    struct request *request = exchange->owner;
    struct tunnel *tunnel = request->tunnel;
    request_enter(request);
    tunnel->heard_at = now_of(tunnel);
    tunnel->was_pinged = tunnel->wants_ping = false;
    pass(tunnel, &tunnel->to_service, bytes);
    if (http_call_unsent(&request->call) > mark_of(tunnel))
        http_pause(exchange);
    request_leave(request);
}

static void on_service_drained(struct http_call *call)
{
    http_resume(container_of(call, struct request, call)->exchange);
}

static void on_service_bytes(struct http_call *call, struct span bytes)
{
    struct request *request = container_of(call, struct request, call);
    struct tunnel *tunnel = request->tunnel;
    request_enter(request);
    pass(tunnel, &tunnel->to_client, bytes);
    if (http_unsent(request->exchange) > mark_of(tunnel))
        http_call_pause(call);
    request_leave(request);
}

static void on_client_drained(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    http_call_resume(&request->call);
}

/* --- the ends --- */

static void on_client_end(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    request_enter(request);
    if (request->tunnel->is_closing) {
        tunnel_end(request->tunnel, true);
    } else {
        request->tunnel->to_service.is_over = true; /* nor anything of ours */
        http_call_finish(&request->call);
    }
    request_leave(request);
}

static void on_service_end(struct http_call *call)
{
    struct request *request = container_of(call, struct request, call);
    request_enter(request);
    request->is_calling = false;
    tunnel_end(request->tunnel, true);
    request_leave(request);
}

static void on_service_fault(struct http_call *call, enum http_fault fault)
{
    (void)fault;
    struct request *request = container_of(call, struct request, call);
    request_enter(request);
    request->is_calling = false;
    request->fault = "broken";
    tunnel_end(request->tunnel, false);
    request_leave(request);
}

static void on_drain(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    request_enter(request);
    start_closing(request->tunnel);
    request_leave(request);
}

static const struct http_exchange_ops client_ops = {
    .on_body = on_client_bytes,
    .on_body_end = on_client_end,
    .on_drained = on_client_drained,
    .on_abort = proxy_abort,
    .on_drain = on_drain,
};

static const struct http_call_ops service_ops = {
    .on_body = on_service_bytes,
    .on_end = on_service_end,
    .on_fault = on_service_fault,
    .on_drained = on_service_drained,
};

/* --- the beginning --- */

bool tunnel_is_allowed(const struct request *request)
{
    const struct http_head *head = request->exchange->head;
    struct span origin = http_head_value(head, HTTP_ORIGIN);
    if (!origin.data || !span_equals_nocase(head->upgrade, SPAN("websocket")))
        return true;
    if (head->repeated >> HTTP_ORIGIN & 1)
        return false;
    struct span of_all = span_of(request->epoch->view->origins);
    return origin_is_allowed(origin, head->authority, of_all) ||
           (request->route && origin_is_allowed(origin, head->authority, request->route->origins));
}

bool tunnel_prepare(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    bool is_websocket = span_equals_nocase(head->upgrade, SPAN("websocket"));
    struct span key = request_field(request, SPAN("sec-websocket-key"));
    bool needs_key = is_websocket && (key.data || !head->is_http2);
    if (needs_key && (!key.data || !websocket_key_is_valid(key)))
        return false;
    struct tunnel *tunnel = mem_new(struct tunnel);
    tunnel->request = request;
    tunnel->is_websocket = is_websocket;
    tunnel->timer.on_due = on_due;
    tunnel->has_own_key = is_websocket && !needs_key;
    if (tunnel->has_own_key)
        hash_base64(worker_random(request->worker, 16), 16, tunnel->key);
    else if (is_websocket)
        memcpy(tunnel->key, key.data, key.size); /* of HTTP/2 it is not asked, and goes on */
    request->tunnel = tunnel;
    return true;
}

void tunnel_ask(struct request *request, struct http1_out *out, struct http_message *message)
{
    struct tunnel *tunnel = request->tunnel;
    message->upgrade = request->exchange->head->upgrade;
    if (tunnel->has_own_key)
        http1_put_field(out, SPAN("Sec-WebSocket-Key"), span_of(tunnel->key));
    message->lines = (struct span){ out->data, out->size };
}

/* Whether the service agreed to what was asked, and not to something else. */
static bool is_agreed(const struct tunnel *tunnel, const struct http_head *head)
{
    char want[WEBSOCKET_ACCEPT_SIZE];
    if (!span_equals_nocase(head->upgrade, tunnel->request->exchange->head->upgrade))
        return false;
    if (!tunnel->is_websocket || head->is_http2)
        return true;
    websocket_accept(span_of(tunnel->key), want);
    unsigned n = 0, n_equal = 0;
    for (unsigned i = 0; i < head->n_fields; i++) {
        const struct http_field *field = &head->fields[i];
        if (!span_equals_nocase(field->name, SPAN("sec-websocket-accept")))
            continue;
        n++;
        n_equal += span_equals(field->value, (struct span){ want, sizeof(want) });
    }
    return n == 1 && n_equal == 1;
}

bool tunnel_open(struct request *request, const struct http_head *head, struct http1_out *out)
{
    struct tunnel *tunnel = request->tunnel;
    struct http_exchange *exchange = request->exchange;
    if (!is_agreed(tunnel, head))
        return false;
    bool is_told_key = tunnel->is_websocket && !exchange->head->is_http2 && head->is_http2;
    if (is_told_key) {
        char accept[WEBSOCKET_ACCEPT_SIZE];
        websocket_accept(span_of(tunnel->key), accept);
        http1_put_field(out, SPAN("Sec-WebSocket-Accept"), (struct span){ accept, sizeof(accept) });
    }
    timer_stop(&request->total);
    tunnel->used_at = tunnel->heard_at = now_of(tunnel);
    exchange->ops = &client_ops;
    request->call.ops = &service_ops;
    struct http_message message = { .lines = { out->data, out->size }, .upgrade = head->upgrade };
    http_accept_upgrade(exchange, &message);
    arm(tunnel);
    return true;
}
