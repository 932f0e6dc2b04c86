/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/proxy.h"

#include "gateway/answers.h"
#include "gateway/count.h"
#include "gateway/forward_headers.h"
#include "gateway/grpc.h"
#include "gateway/request_log.h"
#include "gateway/service_answer.h"
#include "gateway/tunnel.h"

#define DEADLINE_MAX_MS 86400000u /* a day */

/* How much of a body of known length is waited for before a service is asked. A client that sends
 * slowly then holds no connection of a service, and head and body of most requests leave in one
 * piece. */
#define HOLD_MAX 16384u

/* Base64 that is decoded at once. */
#define DECODE_STEP 4096u

/* --- the end, in its three forms --- */

static void end_whole(struct request *request)
{
    count_request(request, request->is_error);
    struct http_exchange *exchange = request->exchange;
    request_log(request, request->status, http_sent(exchange));
    exchange->ops = NULL;
    http_finish(exchange);
    request_over(request);
}

static void end_broken(struct request *request)
{
    count_request(request, true);
    struct http_exchange *exchange = request->exchange;
    request_log(request, request->status, http_sent(exchange));
    exchange->ops = NULL;
    http_break(exchange);
    request_over(request);
}

/* The client has some of the answer and will not get the rest: in gRPC it can be told. */
static void end_short(struct request *request, enum grpc_status status, const char *text)
{
    if (unlikely(request->grpc.kind != GRPC_NONE) && grpc_put_end(request, status, text))
        end_whole(request);
    else
        end_broken(request);
}

void proxy_end(struct request *request, bool is_whole)
{
    if (is_whole)
        end_whole(request);
    else
        end_broken(request);
}

void proxy_abort(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    /* The client went away: that is no error of the service. */
    count_request(request, request->is_error);
    request_log_abort(request);
    if (request->is_calling) {
        request->is_calling = false;
        http_call_cancel(&request->call);
    }
    request_over(request);
}

/* --- the request's body, towards the service --- */

static bool is_body_congested(const struct request *request)
{
    uint64_t max = request->epoch->view->limits.client.max_buffered / 2; /* and one receive */
    return http_call_unsent(&request->call) > (max < HTTP_SEND_MARK ? max : HTTP_SEND_MARK);
}

static void send_body(struct request *request, struct span bytes)
{
    http_call_send(&request->call, bytes);
    if (request->is_body_paused || !is_body_congested(request))
        return;
    request->is_body_paused = true;
    http_pause(request->exchange);
}

static void resume_body(struct request *request)
{
    if (!request->is_body_paused)
        return;
    request->is_body_paused = false;
    http_resume(request->exchange);
}

static void start_calls(struct request *request);

/* Keeps a piece of the body, as long as it may have to be sent again. */
static void keep_body(struct request *request, struct span bytes)
{
    if (!request->is_replayable)
        return;
    /* On a connection that stood before, nothing can go wrong that a request which must not be
     * repeated would be sent again for. */
    bool is_sent_once = request->is_calling && request->call.is_reused && !request->call.wire &&
                        !http_is_idempotent(request->exchange->head->method);
    if (!is_sent_once && buf_append(&request->body, bytes) == 0)
        return;
    request->is_replayable = false;
    buf_fini(&request->body);
    request->body.limit = REPLAY_MAX;
}

/* Of a body that is held, the last piece is not copied: it leaves with the head, by reference. */
static void on_held_body(struct request *request, struct span bytes)
{
    uint64_t size = request->body.size + bytes.size;
    bool may_wait = size < request->exchange->head->content_length && size <= HOLD_MAX;
    if (may_wait && buf_append(&request->body, bytes) == 0)
        return;
    start_calls(request);
    if (request->is_calling)
        send_body(request, bytes);
    if (request->exchange)
        keep_body(request, bytes);
}

static void take_body(struct request *request, struct span bytes)
{
    if (request->is_holding) {
        on_held_body(request, bytes);
    } else {
        keep_body(request, bytes);
        if (request->is_calling)
            send_body(request, bytes);
    }
}

static void refuse_body(struct request *request)
{
    if (request->is_calling)
        http_call_cancel(&request->call);
    request->is_calling = false;
    if (request->is_answering) {
        end_broken(request);
        return;
    }
    count_request(request, false);
    answer_problem(request, 400, "the body is no base64");
}

static void take_text(struct request *request, struct span text)
{
    char memory[DECODE_STEP];
    struct span bytes;
    while (text.size && !request->is_over) {
        if (!grpc_decode(request, &text, memory, sizeof(memory), &bytes))
            refuse_body(request);
        else if (bytes.size)
            take_body(request, bytes);
    }
}

static inline bool is_body_text(const struct request *request)
{
    return request->grpc.is_translated && request->grpc.kind == GRPC_WEB_TEXT;
}

static void on_request_body(struct http_exchange *exchange, struct span bytes)
{
    struct request *request = exchange->owner;
    request_enter(request);
    if (unlikely(is_body_text(request)))
        take_text(request, bytes);
    else
        take_body(request, bytes);
    request_leave(request);
}

static void on_request_body_end(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    request_enter(request);
    request->has_body_ended = true;
    if (unlikely(is_body_text(request)) && !base64_is_whole(&request->grpc.text))
        refuse_body(request);
    else if (request->is_calling && request->has_body)
        http_call_finish(&request->call);
    request_leave(request);
}

static void on_call_drained(struct http_call *call)
{
    resume_body(container_of(call, struct request, call));
}

/* --- the call --- */

static const struct http_call_ops call_ops;

static uint64_t milliseconds_left(const struct request *request)
{
    nsec now = loop_now(request->worker->loop);
    if (!request->has_deadline || request->deadline <= now)
        return 0;
    return (request->deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
}

static enum http_body_kind body_kind(const struct http_head *head)
{
    switch (head->framing) {
    case HTTP_BODY_NONE: return HTTP_SEND_NONE;
    case HTTP_BODY_LENGTH: return HTTP_SEND_LENGTH;
    case HTTP_BODY_CHUNKED:
    case HTTP_BODY_UNTIL_CLOSE: break;
    }
    return HTTP_SEND_UNKNOWN;
}

/* What Host shall be, where that is not what the client says. */
static struct span host_of(const struct request *request, char memory[ADDRESS_TEXT_MAX])
{
    const struct address *address = &request->endpoints[request->endpoint].address;
    switch (request->route->host_kind) {
    case ROUTE_HOST_CLIENT: break;
    case ROUTE_HOST_NAMED: return request->route->host;
    case ROUTE_HOST_UPSTREAM:
        if (address->any.sa_family == AF_UNIX)
            return SPAN("localhost");
        address_format(address, memory);
        return span_of(memory);
    }
    return SPAN_NULL;
}

/* What follows from the fields, as it was put together for an earlier request, or anew. */
static void put_fields(struct request *request, const struct forward_context *context,
                       struct http1_out *out)
{
    char host[ADDRESS_TEXT_MAX];
    const struct route_action *route = request->route;
    bool is_alike =
        (!route || route->host_kind != ROUTE_HOST_UPSTREAM) && !request->grpc.is_translated;
    struct memo *memo = is_alike ? request->memo : NULL;
    if (memo && memo->lines_size && memo->route == route && memo->is_grpc == context->is_grpc) {
        http1_put(out, (struct span){ memo->lines, memo->lines_size });
        return;
    }
    struct baggage ours;
    ours.bom = SPAN_NULL;
    ours.customer = SPAN_NULL;
    ours.lane = SPAN_NULL;
    if (request->bom) {
        const struct identity *identity = request_identity(request);
        ours.bom = bom_id(request->bom);
        ours.customer = identity->customer;
        ours.lane = identity->lane;
    }
    char type[GRPC_TYPE_MAX];
    struct forward_context whole = *context;
    if (unlikely(request->grpc.is_translated))
        whole.content_type = grpc_request_type(request, type);
    whole.ours = &ours;
    whole.host = route ? host_of(request, host) : SPAN_NULL;
    whole.rules = route ? &route->request : NULL;
    forward_fields(&whole, out);
    if (!memo || out->size > sizeof(memo->lines) || context->head->by_name[HTTP_MAX_FORWARDS])
        return;
    memcpy(memo->lines, out->data, out->size);
    memo->lines_size = out->size;
    memo->is_grpc = context->is_grpc;
    memo->route = route;
}

/* Sends the request, with what has come of its body, to request->endpoint. */
static void call_endpoint(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    const struct endpoint *endpoint = &request->endpoints[request->endpoint];
    struct worker *worker = request->worker;
    struct forward_context context = {
        .head = head,
        .peer = request->exchange->peer,
        .is_internal = request->is_internal,
        .is_secure = request->epoch->view->limits.is_cookie_secure || request->exchange->tls,
        .tls = request->exchange->tls,
        .random = &worker->traces,
        .deadline_ms = milliseconds_left(request),
        .is_grpc = request->grpc.kind != GRPC_NONE,
        .ret_ids = worker->redaction ? &request->ids : NULL,
    };
    if (unlikely(context.is_grpc) && context.deadline_ms)
        context.grpc_timeout = request->deadline - loop_now(worker->loop);
    struct http1_out out = { .data = worker->lines, .capacity = sizeof(worker->lines) };
    put_fields(request, &context, &out);
    forward_trace(&context, &out);
    struct http_message message = {
        .method = head->method,
        .target = request->target,
        .is_checked = true,
        .expects_continue = head->expects_continue,
        .wants_trailers = (head->accepts_trailers && head->minor_version) || context.is_grpc,
        .lines = { out.data, out.size },
        .body = unlikely(is_body_text(request)) ? HTTP_SEND_UNKNOWN : body_kind(head),
        .content_length = head->content_length,
    };
    if (unlikely(request->tunnel != NULL))
        tunnel_ask(request, &out, &message);
    request->build = endpoint->build;
    request->n_attempts++;
    request->is_calling = true;
    request->call =
        (struct http_call){ .ops = &call_ops,
                            .answer_timeout = request->epoch->view->limits.answer_timeout,
                            .protocol = endpoint->protocol,
                            .tls = endpoint->tls,
                            .n_kept = request->exchange->n_kept,
                            .is_fresh = request->was_repeated };
    if (unlikely(context.is_grpc)) /* a stream need not begin with anything */
        request->call.answer_timeout = request->epoch->view->limits.tunnel_idle_timeout;
    http_call_start(request->worker->pool, &request->call, &endpoint->address, &message,
                    request->deadline);
    if (likely(!request->has_body))
        return;
    if (request->body.size)
        send_body(request, buf_span(&request->body));
    if (request->has_body_ended)
        http_call_finish(&request->call);
    /* What an earlier call had no room for, this one may have taken. */
    if (!is_body_congested(request))
        resume_body(request);
}

/* The next instance in turn; false when all have been asked. */
static bool call_next(struct request *request)
{
    uint32_t at = round_robin_next(&request->walk, request->refused_at, request->n_endpoints);
    if (at == NO_PICK)
        return false;
    request->endpoint = at;
    call_endpoint(request);
    return true;
}

/* --- the response, towards the client --- */

static void respond(struct request *request, const struct http_head *head)
{
    struct http1_out out = service_answer_lines(request, head);
    struct http_message message = {
        .status = head->status,
        .has_date = forward_has_date(head),
        .lines = { out.data, out.size },
        .body = body_kind(head),
        .content_length = head->content_length,
    };
    /* What a HEAD answers with is the length that a GET would have; nothing follows it. */
    uint64_t length = 0;
    if (request->call.is_head_request &&
        span_to_uint(http_head_value(head, HTTP_CONTENT_LENGTH), UINT64_MAX, &length)) {
        message.body = HTTP_SEND_LENGTH;
        message.content_length = length;
    }
    if (unlikely(request->grpc.is_translated) && message.body == HTTP_SEND_LENGTH)
        message.body = HTTP_SEND_UNKNOWN; /* a frame of trailers follows */
    http_respond(request->exchange, &message);
}

/* Interim responses are the service's to give, and so is 100: whether it wants the body, it alone
 * knows (RFC 9110 sections 10.1.1 and 15.2). */
static void on_interim(struct http_call *call, const struct http_head *head)
{
    struct request *request = container_of(call, struct request, call);
    static const struct forward_answer nothing;
    request_enter(request);
    struct worker *worker = request->worker;
    struct http1_out out = { .data = worker->lines, .capacity = sizeof(worker->lines) };
    forward_response(head, &nothing, &out);
    http_interim(request->exchange, head->status, (struct span){ out.data, out.size });
    request_leave(request);
}

/* What answered knows nothing of gRPC, or does not want to. */
static void answer_without_status(struct request *request, enum grpc_status status)
{
    request->is_calling = request->is_answering = false;
    http_call_cancel(&request->call);
    request->fault = "no_grpc";
    count_request(request, grpc_is_server_fault(status));
    grpc_answer(request, status, SPAN("the service answered in HTTP, without a status of gRPC"));
}

static void on_response(struct http_call *call, const struct http_head *head)
{
    struct request *request = container_of(call, struct request, call);
    enum grpc_status status;
    request_enter(request);
    request->is_answering = true;
    request->is_replayable = false;
    request->is_error = head->status >= 500;
    request->status = head->status;
    request->answered_at = loop_now(request->worker->loop);
    request->fault = NULL;
    if (unlikely(request->grpc.kind != GRPC_NONE) && !grpc_is_answer(request, head, &status)) {
        answer_without_status(request, status);
    } else {
        respond(request, head);
        if (likely(!request->grpc.is_translated))
            http_relay(request->exchange, call);
    }
    request_leave(request);
}

/* Of an answer that is translated; all others are relayed. */
static void on_response_body(struct http_call *call, struct span bytes)
{
    struct request *request = container_of(call, struct request, call);
    request_enter(request);
    grpc_frames_feed(&request->grpc.frames, bytes);
    grpc_send(request, bytes);
    if (request->is_calling && http_unsent(request->exchange) > HTTP_SEND_MARK) {
        request->grpc.is_answer_paused = true;
        http_call_pause(call);
    }
    request_leave(request);
}

static void on_client_drained(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    if (!request->grpc.is_answer_paused || !request->is_calling)
        return;
    request->grpc.is_answer_paused = false;
    http_call_resume(&request->call);
}

static void on_upgraded(struct http_call *call, const struct http_head *head)
{
    struct request *request = container_of(call, struct request, call);
    request_enter(request);
    request->is_answering = true;
    request->is_replayable = false;
    request->status = request->exchange->head->is_http2 ? 200 : 101;
    request->answered_at = loop_now(request->worker->loop);
    struct http1_out out = service_answer_lines(request, head);
    if (!tunnel_open(request, head, &out)) {
        request->is_calling = false;
        http_call_cancel(call);
        count_request(request, true);
        request->fault = "invalid";
        answer_bad_gateway(request, "agreed to an upgrade that nobody asked for");
    }
    request_leave(request);
}

static void on_response_end(struct http_call *call)
{
    struct request *request = container_of(call, struct request, call);
    request_enter(request);
    request->is_calling = false;
    struct span trailers = http_call_trailers(call);
    if (unlikely(request->grpc.kind != GRPC_NONE))
        grpc_put_trailers(request, trailers);
    else if (unlikely(trailers.size))
        http_put_trailers(request->exchange, trailers);
    end_whole(request);
    request_leave(request);
}

/* --- faults --- */

/* Whether the fault may be met by asking again, and whom; marks what was learnt. */
static bool try_again(struct request *request, enum http_fault fault)
{
    if (!request->is_replayable || request->deadline <= loop_now(request->worker->loop))
        return false;
    switch (fault) {
    case HTTP_FAULT_CONNECT:
    case HTTP_FAULT_CONNECT_TIMEOUT:
    case HTTP_FAULT_TLS:
        request->refused_at[request->endpoint] = loop_now(request->worker->loop);
        return call_next(request);
    case HTTP_FAULT_BUSY: return call_next(request);
    case HTTP_FAULT_REFUSED:
        if (call_next(request))
            return true;
        /* An upstream that says goodbye takes the next connection. */
        if (request->was_refused)
            return false;
        request->was_refused = true;
        call_endpoint(request);
        return true;
    case HTTP_FAULT_STALE:
    case HTTP_FAULT_BROKEN: break;
    case HTTP_FAULT_INVALID:
    case HTTP_FAULT_TIMEOUT: return false;
    }
    /* Once only, so that a request that kills whoever reads it does not go round. */
    if (!http_is_idempotent(request->exchange->head->method) || request->was_repeated)
        return false;
    request->was_repeated = true;
    /* The second try has to do: it goes to another instance, for this one may be dying while its
     * kernel still accepts, and over a new connection, for what closed one kept connection may have
     * closed others. */
    http_pool_forget(request->worker->pool, &request->endpoints[request->endpoint].address);
    if (call_next(request))
        return true;
    if (fault == HTTP_FAULT_STALE)
        call_endpoint(request);
    return fault == HTTP_FAULT_STALE;
}

static const char *fault_name(enum http_fault fault)
{
    switch (fault) {
    case HTTP_FAULT_CONNECT: return "connect";
    case HTTP_FAULT_CONNECT_TIMEOUT: return "connect_timeout";
    case HTTP_FAULT_TLS: return "tls";
    case HTTP_FAULT_BUSY: return "busy";
    case HTTP_FAULT_STALE: return "stale";
    case HTTP_FAULT_REFUSED: return "refused";
    case HTTP_FAULT_BROKEN: return "broken";
    case HTTP_FAULT_INVALID: return "invalid";
    case HTTP_FAULT_TIMEOUT: break;
    }
    return "timeout";
}

static void answer_fault(struct request *request, enum http_fault fault)
{
    count_request(request, true);
    switch (fault) {
    case HTTP_FAULT_CONNECT: answer_unreachable(request, false); return;
    case HTTP_FAULT_TLS: answer_no_tls(request, request->call.why); return;
    case HTTP_FAULT_BUSY: answer_unreachable(request, true); return;
    case HTTP_FAULT_CONNECT_TIMEOUT:
    case HTTP_FAULT_TIMEOUT: answer_timeout(request); return;
    case HTTP_FAULT_INVALID:
        answer_bad_gateway(request, "gave an answer that is no valid HTTP");
        return;
    case HTTP_FAULT_REFUSED: answer_unreachable(request, true); return;
    case HTTP_FAULT_STALE:
    case HTTP_FAULT_BROKEN: break;
    }
    answer_bad_gateway(request, "closed the connection before it had answered");
}

static void on_fault(struct http_call *call, enum http_fault fault)
{
    struct request *request = container_of(call, struct request, call);
    request_enter(request);
    request->is_calling = false;
    request->fault = fault_name(fault);
    if (request->is_answering) {
        end_short(request, grpc_status_of_fault(request, fault), "the answer broke off");
    } else if (!try_again(request, fault)) {
        answer_fault(request, fault);
    }
    request_leave(request);
}

/* It has taken longer than it may in all, whoever is to blame. */
static void on_total_over(struct timer *timer)
{
    struct request *request = container_of(timer, struct request, total);
    request_enter(request);
    request->fault = "timeout";
    if (request->is_calling) {
        request->is_calling = false;
        http_call_cancel(&request->call);
    }
    if (request->is_answering) {
        end_short(request, GRPC_DEADLINE_EXCEEDED, "did not answer in time");
    } else {
        count_request(request, true);
        if (request->is_holding && request->deadline > loop_now(request->worker->loop))
            answer_problem(request, 408, "the request body comes too slowly");
        else
            answer_timeout(request);
    }
    request_leave(request);
}

static const struct http_call_ops call_ops = {
    .on_response = on_response,
    .on_body = on_response_body,
    .on_end = on_response_end,
    .on_fault = on_fault,
    .on_drained = on_call_drained,
    .on_interim = on_interim,
    .on_upgraded = on_upgraded,
};

static const struct http_exchange_ops exchange_ops = {
    .on_body = on_request_body,
    .on_body_end = on_request_body_end,
    .on_drained = on_client_drained,
    .on_abort = proxy_abort,
};

/* --- the beginning --- */

/* Contract and build, or the answer why there is none; false when it answered. */
static bool choose(struct request *request, uint32_t major)
{
    const struct view *view = request->epoch->view;
    if (major == NO_MAJOR) {
        request->contract = bom_contract(view->snapshot, request->bom, request->service);
        if (request->contract == NO_INDEX) {
            answer_no_default(request);
            return false;
        }
    } else {
        request->contract = snapshot_contract(view->snapshot, request->service, major);
        if (request->contract == NO_INDEX) {
            answer_no_contract(request, major);
            return false;
        }
    }
    if (snapshot_contract_at(view->snapshot, request->contract)->is_offline) {
        count_request(request, true);
        answer_offline(request);
        return false;
    }
    request->build = bom_build(view->snapshot, request->bom, request->contract);
    uint32_t number = view_group(view, request->contract, request->build);
    if (number == NO_INDEX || view->endpoints->groups[number].n == 0) {
        count_request(request, true);
        answer_unavailable(request);
        return false;
    }
    const struct endpoint_group *group = &view->endpoints->groups[number];
    request->endpoints = &view->endpoints->endpoints[group->first];
    request->n_endpoints = group->n;
    request->refused_at = &request->epoch->refused_at[group->first];
    request->cursor = &request->epoch->cursors[number];
    return true;
}

/* What is sent as the request's target: the canonical path as its route changes it, and the query.
 * By reference where both lie in the head as they came. */
static void make_target(struct request *request, const struct route_path *path)
{
    struct span rest = span_from(request->path, path->cut);
    size_t query_size = request->query.data ? request->query.size + 1 : 0;
    if (request->is_path_original && rest.size && !path->put.size) {
        request->target = (struct span){ rest.data, rest.size + query_size };
        return;
    }
    struct buf *target = &request->target_memory;
    buf_put(target, path->put);
    buf_put(target, rest.size || path->put.size ? rest : SPAN("/"));
    if (request->query.data) {
        buf_put(target, SPAN("?"));
        buf_put(target, request->query);
    }
    request->target = buf_span(target);
}

/* Until when the caller wants the response's head; the view's answer_timeout holds besides. */
static void set_deadline(struct request *request)
{
    request->deadline = NSEC_NEVER;
    request->has_deadline = false;
    if (!request->is_internal)
        return;
    uint64_t left = 0;
    struct span value = http_head_value(request->exchange->head, HTTP_SARSEN_DEADLINE);
    if (!span_to_uint(value, DEADLINE_MAX_MS, &left))
        return;
    request->has_deadline = true;
    request->deadline = request->started + left * NSEC_PER_MSEC;
}

/* The whole of it has a limit, and as long as nobody has been asked the caller's deadline is one. */
static void limit_time(struct request *request)
{
    nsec limit = request->epoch->view->limits.request_timeout;
    nsec at = limit ? request->started + limit : NSEC_NEVER;
    /* Of gRPC it is the deadline of all that is said. */
    if ((request->is_holding || request->grpc.kind) && request->deadline < at)
        at = request->deadline;
    if (likely(at == NSEC_NEVER)) {
        timer_stop(&request->total);
        return;
    }
    request->total.on_due = on_total_over;
    timer_start(&request->total, request->worker->loop, at);
}

static void start_calls(struct request *request)
{
    if (request->is_holding) {
        request->is_holding = false;
        limit_time(request);
    }
    bool is_late = request->deadline <= loop_now(request->worker->loop);
    if (!is_late && call_next(request))
        return;
    count_request(request, true);
    if (is_late)
        answer_timeout(request);
    else
        answer_unreachable(request, false); /* all of them refused in this very turn of the loop */
}

/* False when it answered. */
static bool begin_tunnel(struct request *request)
{
    if (!tunnel_is_allowed(request)) {
        count_request(request, false);
        answer_problem(request, 403,
                       "pages of this Origin may not open a WebSocket here: it is of "
                       "another host, and origins does not name it");
        return false;
    }
    if (tunnel_prepare(request))
        return true;
    count_request(request, true);
    answer_problem(request, 400, "Sec-WebSocket-Key is no 16 bytes in base64");
    return false;
}

/* The request goes to one of request->endpoints. */
static void begin(struct request *request, const struct route_path *path)
{
    request->endpoint = 0;
    set_deadline(request);
    if (unlikely(request->grpc.kind != GRPC_NONE) && !grpc_begin(request))
        return;
    nsec now = request->started;
    if (request->deadline <= now) {
        count_request(request, true);
        answer_timeout(request);
        return;
    }
    make_target(request, path);
    const struct http_head *head = request->exchange->head;
    if (unlikely(head->upgrade.data) && !begin_tunnel(request))
        return;
    if (unlikely(head->expects_continue))
        http_take_expectation(request->exchange);
    request->walk = round_robin_start(request->cursor, request->n_endpoints, now);
    request->has_body = head->framing != HTTP_BODY_NONE;
    request->is_replayable = true;
    request->exchange->ops = &exchange_ops;
    if (likely(request->contract != NO_INDEX))
        list_add_last(&request->worker->running, &request->link);
    request->is_holding =
        head->framing == HTTP_BODY_LENGTH && head->content_length > 0 && !head->expects_continue;
    if (unlikely(is_body_text(request)))
        request->is_holding = false; /* its length is not that of what is sent on */
    limit_time(request);
    if (request->is_holding)
        return;
    request_enter(request);
    start_calls(request);
    request_leave(request);
}

void proxy_start(struct request *request, uint32_t major, const struct route_path *path)
{
    request_resolve_for_page(request);
    if (choose(request, major))
        begin(request, path);
}

void proxy_start_upstream(struct request *request, const struct route_path *path)
{
    const struct route_upstream *upstream = &request->route->upstream;
    struct epoch *epoch = request->epoch;
    const struct endpoints *others = epoch->view->endpoints;
    request->endpoints = upstream->endpoints;
    request->n_endpoints = upstream->n;
    request->refused_at = &epoch->refused_at[others->n_endpoints + upstream->first];
    request->cursor = &epoch->cursors[others->n_groups + upstream->number];
    begin(request, path);
}
