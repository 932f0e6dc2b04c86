/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two ends must come before a call's object goes: its owner's, who is told of one or gives it up,
 * and the stream's. Which comes first differs; what the owner did not take yet outlives the stream,
 * and the stream outlives an owner who cancels.
 *
 * Nothing is told from inside a function that the owner calls, and faults are told by the
 * connection's task only.
 */

#include <assert.h>

#include "base/mem.h"
#include "http/http2/client.h"
#include "http/relay_copy.h"
#include "http/stream.h"
#include "http/wire.h"

#define MAX_INTERIM 16u
#define SPARE_CALLS_MAX 256u

static const struct http_call_wire call_wire;

static struct http2_call *call_of(const struct http_call *call)
{
    return (struct http2_call *)(void *)call->stream;
}

static nsec now_of(const struct http2_call *self)
{
    return loop_now(self->connection->pool->loop);
}

static struct spares *spares_of(const struct http2_call *self)
{
    return &self->connection->pool->spares;
}

static struct http2_session *session_of(const struct http2_call *self)
{
    return &self->connection->session;
}

static struct http2_call *call_on(struct http2_stream *stream)
{
    return container_of(stream, struct http2_call, stream);
}

/* --- beginning and end of the object --- */

static struct http2_call *call_new(struct http2_client *connection)
{
    struct http2_pool *http2 = &connection->pool->http2;
    struct list *link = list_take_first(&http2->spare_calls);
    struct http2_call *self;
    if (link) {
        self = container_of(link, struct http2_call, link);
        http2->n_spare_calls--;
        *self = (struct http2_call){ 0 };
    } else {
        self = mem_new(struct http2_call);
    }
    self->connection = connection;
    list_init(&self->ready);
    list_init(&self->link);
    http2_stream_init(&self->stream);
    list_add_last(&connection->calls, &self->link);
    connection->n_calls++;
    return self;
}

static void call_free(struct http2_call *self)
{
    struct http2_client *connection = self->connection;
    struct http2_pool *http2 = &connection->pool->http2;
    struct spares *spares = spares_of(self);
    http2_stream_fini(&connection->session, &self->stream);
    fifo_clear(&self->held, spares);
    fifo_clear(&self->out, spares);
    fifo_clear(&self->in, spares);
    fifo_clear(&self->trailers, spares);
    list_remove(&self->ready);
    list_remove(&self->link);
    connection->n_calls--;
    if (http2->n_spare_calls < SPARE_CALLS_MAX) {
        list_add_first(&http2->spare_calls, &self->link);
        http2->n_spare_calls++;
    } else {
        free(self);
    }
    http2_client_release(connection);
}

static void wake(struct http2_call *self)
{
    struct http2_client *connection = self->connection;
    if (list_is_empty(&self->ready))
        list_add_last(&connection->ready, &self->ready);
    task_defer(&connection->task, connection->pool->loop);
}

/* The owner is done with it. A stream that is not over is told so. */
static void part(struct http2_call *self)
{
    struct http_call *call = self->call;
    self->is_whole = self->is_ended && self->is_request_done && fifo_size(&self->out) == 0;
    self->call = NULL;
    call->stream = NULL;
    http_relay_copy_end_call(call);
    list_remove(&self->ready);
    fifo_clear(&self->in, spares_of(self));
    if (self->stream.id == 0 || self->is_closed) {
        call_free(self);
        return;
    }
    if (self->is_whole)
        return; /* the request's end may still be to be sent */
    fifo_clear(&self->out, spares_of(self));
    http2_stream_reset(session_of(self), &self->stream, HTTP2_CANCEL);
}

/* The first one counts. */
static void fault(struct http2_call *self, enum http_fault what)
{
    if (!self->call || self->has_fault)
        return;
    self->has_fault = true;
    self->fault = what;
    wake(self);
}

/* The answer breaks the rules: the stream ends with it, and so does the call. */
static void refuse(struct http2_call *self)
{
    fault(self, HTTP_FAULT_INVALID);
    http2_stream_reset(session_of(self), &self->stream, HTTP2_PROTOCOL_ERROR);
}

void http2_call_lose(struct http2_call *self, enum http_fault what)
{
    const struct http2_session *session = &self->connection->session;
    self->is_closed = true;
    http2_stream_fini(session_of(self), &self->stream);
    if (!self->call) {
        call_free(self);
        return;
    }
    if (self->is_ended)
        return; /* what is left is told */
    if (what == HTTP_FAULT_BROKEN && (self->stream.id == 0 || self->head_end > session->n_sent))
        what = HTTP_FAULT_REFUSED;
    else if (what == HTTP_FAULT_BROKEN && self->call->is_reused && !self->has_answer_bytes)
        what = HTTP_FAULT_STALE;
    fault(self, what);
}

void http2_call_drop(struct http2_call *self)
{
    struct http_call *call = self->call;
    if (call) {
        http_relay_copy_end_call(call);
        call->stream = NULL;
    }
    call_free(self);
}

void http2_call_time_out(struct http2_call *self)
{
    fault(self, HTTP_FAULT_TIMEOUT);
}

void http2_call_on_stream_closed(struct http2_session *session, struct http2_stream *stream)
{
    struct http2_call *self = call_on(stream);
    struct http2_client *connection = self->connection;
    (void)session;
    self->is_closed = true;
    if (self->call && !self->is_ended) {
        self->call->reset_code = stream->error;
        fault(self, stream->error == HTTP2_REFUSED_STREAM ? HTTP_FAULT_REFUSED : HTTP_FAULT_BROKEN);
    } else if (!self->call) {
        call_free(self);
    }
    http2_client_leave(connection);
}

/* --- the request --- */

bool http2_call_on_send(struct http2_session *session, struct http2_stream *stream, size_t max)
{
    struct http2_call *self = call_on(stream);
    size_t size = fifo_size(&self->out);
    size_t n = size < max ? size : max;
    bool is_end = n == size && self->is_request_done;
    if (size == 0 && !(is_end && (self->call || self->is_whole)))
        return false;
    if (n == 0 && size > 0)
        return true;
    http2_put_data(session, stream, n, is_end);
    if (n > 0) {
        http2_session_put(session, span_first(fifo_span(&self->out), n));
        fifo_consume(&self->out, spares_of(self), n);
        self->sent_at = now_of(self);
    }
    if (is_end) {
        http2_end_data(session, stream);
    } else if (n == size && !self->is_request_done) {
        self->is_drained = true;
        wake(self);
    }
    return n < size;
}

/* There is something to send. */
static void resume_sending(struct http2_call *self)
{
    http2_stream_want(session_of(self), &self->stream);
}

/* Extended CONNECT is known to be understood only when the upstream has said so (RFC 8441). */
static bool may_upgrade(const struct http2_call *self)
{
    return session_of(self)->peer.takes_upgrades;
}

static void put_length(struct http2_out *out, const struct http_message *request)
{
    switch (request->body) {
    case HTTP_SEND_NONE:
        if (http_has_body_as_a_rule(request->method) && !request->upgrade.size)
            http2_put_length(out, 0);
        break;
    case HTTP_SEND_LENGTH: http2_put_length(out, request->content_length); break;
    case HTTP_SEND_UNKNOWN: break;
    }
}

static void submit(struct http2_call *self, const struct http_message *request)
{
    struct http2_client *connection = self->connection;
    struct http2_session *session = &connection->session;
    struct http2_out *out = &connection->pool->http2.out;
    bool has_body = !self->is_request_done || fifo_size(&self->out) > 0;

    http2_out_begin(out, &session->encoder);
    out->is_refused = self->is_upgrade && !may_upgrade(self);
    if (!http2_put_request(out, request, self->call->tls != NULL)) {
        fault(self, HTTP_FAULT_INVALID);
        return;
    }
    put_length(out, request);
    if (session->is_mute || session->has_heard_goaway || session->last_id >= HTTP2_ID_MAX) {
        fault(self, HTTP_FAULT_REFUSED);
        return;
    }
    http2_stream_begin(session, &self->stream);
    self->state = HTTP2_AWAITING;
    fifo_append(&self->held, spares_of(self), request->upgrade);
    connection->n_streams++;
    http2_send_head(session, &self->stream, out, !has_body);
    if (fifo_size(&self->out) > 0)
        resume_sending(self);
    self->head_end = session->n_sent + outlet_unsent(&session->out);
    self->sent_at = self->received_at = now_of(self);
    http2_call_arm(self);
}

/* --- a request that waits for its connection --- */

void http2_call_release_held(struct http2_call *self)
{
    const struct http2_client *connection = self->connection;
    bool is_too_early = self->is_upgrade && !connection->has_settings;
    if (self->state != HTTP2_HELD || !self->held.data || self->has_fault || is_too_early ||
        connection->n_streams >= http2_client_max_streams(connection))
        return;
    struct fifo memory = self->held;
    struct http_message request = http2_read_held(&memory);
    self->held = (struct fifo){ 0 };
    submit(self, &request);
    fifo_clear(&memory, spares_of(self));
}

void http2_call_fall_back(struct http2_call *self, const struct address *to)
{
    struct http_pool *pool = self->connection->pool;
    struct http_call *call = self->call;
    struct fifo memory = self->held, body = self->out;
    if (!call || !memory.data || self->has_fault)
        return;
    struct http_message request = http2_read_held(&memory);
    request.wants_trailers = self->wants_trailers;
    request.expects_continue = self->is_expecting;
    nsec deadline = self->deadline;
    bool is_done = self->is_request_done, is_paused = self->is_paused;
    self->held = self->out = (struct fifo){ 0 };
    call_free(self);

    http_call_start_1(pool, call, to, &request, deadline);
    http_call_send(call, fifo_span(&body));
    if (is_done)
        http_call_finish(call);
    if (is_paused)
        http_call_pause(call);
    fifo_clear(&memory, &pool->spares);
    fifo_clear(&body, &pool->spares);
}

void http2_call_start(struct http_pool *pool, struct http_call *call, const struct address *to,
                      const struct http_message *request, nsec deadline)
{
    enum http_fault why;
    struct http_upstream *upstream = http_upstream_get(pool, to, call);
    if (call->protocol == HTTP_PROTOCOL_AUTO && (!call->tls || upstream->is_http1)) {
        http_call_start_1(pool, call, to, request, deadline); /* which gets it again */
        return;
    }
    struct http2_client *connection = http2_client_for(pool, upstream, call->is_fresh, &why);
    call->is_head_request = http_is_head(request->method);
    call->reset_code = 0;
    call->trailers = SPAN_NULL;
    call->relay_to = NULL;
    if (!connection) {
        http_upstream_release(pool, upstream);
        call->is_reused = false;
        http_call_fail(pool, call, why);
        return;
    }
    struct http2_call *self = call_new(connection);
    self->call = call;
    call->wire = &call_wire;
    call->stream = (struct http_stream *)(void *)self;
    call->is_reused = connection->has_settings;
    self->deadline = deadline;
    self->answer_timeout = call->answer_timeout;
    self->wants_trailers = request->wants_trailers;
    self->is_expecting = request->expects_continue;
    self->is_upgrade = request->upgrade.size > 0;
    self->has_length_out = request->body != HTTP_SEND_UNKNOWN && !self->is_upgrade;
    self->left_out = request->body == HTTP_SEND_LENGTH ? request->content_length : 0;
    self->is_request_done = self->has_length_out && self->left_out == 0;
    bool waits = self->is_upgrade && !connection->has_settings;
    if (connection->state == HTTP2_READY && !waits) {
        submit(self, request);
    } else {
        self->state = HTTP2_HELD;
        if (!http2_hold(&self->held, spares_of(self), request))
            fault(self, HTTP_FAULT_INVALID);
        http2_call_arm(self);
    }
}

/* --- the response --- */

static void keep_trailers(struct http2_call *self, struct span text)
{
    struct http_pool *pool = self->connection->pool;
    struct http_head *head = &pool->head; /* that of the response is over */
    struct http1_error error;
    if (http1_parse_trailers(text, &pool->settings.limits, head, &error)) {
        refuse(self);
        return;
    }
    size_t size = text.size + head->n_fields * sizeof(": ");
    struct http1_out out = { .data = fifo_reserve(&self->trailers, &pool->spares, size),
                             .capacity = size };
    for (unsigned i = 0; i < head->n_fields && self->wants_trailers; i++)
        http1_put_parsed(&out, &head->fields[i]);
    fifo_grow(&self->trailers, out.size);
}

/* Like the one of HTTP/1: what comes before the answer counts towards the limit of its head. */
static void pass_interim(struct http2_call *self, bool is_end)
{
    struct http_pool *pool = self->connection->pool;
    struct http_call *call = self->call;
    self->interim_size += (uint32_t)pool->head.size;
    bool is_refused = is_end || pool->head.status == 101 || ++self->n_interim > MAX_INTERIM ||
                      self->interim_size > pool->settings.limits.head;
    if (is_refused)
        refuse(self);
    else if (call->ops->on_interim)
        call->ops->on_interim(call, &pool->head);
}

/* How the body ends is said by frames; a length is a promise all the same. False when the head
 * contradicts itself. */
static bool read_framing(struct http2_call *self, struct http_head *head, bool is_end)
{
    head->is_http2 = true;
    head->is_keep_alive = true;
    self->left_in = head->framing == HTTP_BODY_LENGTH ? head->content_length : 0;
    if (head->framing == HTTP_BODY_UNTIL_CLOSE)
        head->framing = is_end ? HTTP_BODY_NONE : HTTP_BODY_CHUNKED;
    self->framing = head->framing;
    return !is_end || self->left_in == 0;
}

/* Answers of a procedure that goes on as long as it likes. */
static bool is_long(const struct http_head *head)
{
    return span_starts_with(http_head_value(head, HTTP_CONTENT_TYPE), SPAN("application/grpc"));
}

static void begin_body(struct http2_call *self, bool is_end)
{
    struct http_head *head = &self->connection->pool->head;
    struct http_call *call = self->call;
    bool is_upgraded = self->is_upgrade && head->status / 100 == 2;
    self->state = HTTP2_RECEIVING;
    if (is_upgraded && !is_end)
        head->framing = HTTP_BODY_UNTIL_CLOSE;
    if (!read_framing(self, head, is_end)) {
        refuse(self);
        return;
    }
    self->is_long = is_upgraded || is_long(head);
    head->upgrade = is_upgraded ? fifo_span(&self->held) : SPAN_NULL;
    http2_call_arm(self);
    if (is_upgraded && call->ops->on_upgraded)
        call->ops->on_upgraded(call, head);
    else
        call->ops->on_response(call, head);
}

static void take_response(struct http2_call *self, struct span text, bool is_end)
{
    struct http_pool *pool = self->connection->pool;
    struct span method = self->call->is_head_request ? SPAN("HEAD") : SPAN("GET");
    struct http1_error error;
    if (http1_parse_response(text, method, &pool->settings.limits, &pool->head, &error))
        refuse(self);
    else if (pool->head.status < 200)
        pass_interim(self, is_end);
    else
        begin_body(self, is_end);
}

static bool wants_answer(const struct http2_call *self)
{
    return self->call && !self->has_fault && !self->is_ended;
}

enum http2_section http2_call_on_head_begin(struct http2_session *session,
                                            struct http2_stream *stream)
{
    struct http2_call *self = call_on(stream);
    (void)session;
    if (!wants_answer(self))
        return HTTP2_UNWANTED;
    self->has_answer_bytes = true;
    return self->state == HTTP2_RECEIVING ? HTTP2_TRAILERS : HTTP2_RESPONSE;
}

void http2_call_on_head(struct http2_session *session, struct http2_stream *stream,
                        const struct http2_frame *frame)
{
    struct http2_call *self = call_on(stream);
    bool is_end = frame->flags & HTTP2_END_STREAM;
    bool is_trailers = session->head.section == HTTP2_TRAILERS;
    struct span text;
    if (!wants_answer(self))
        return;
    self->received_at = now_of(self);
    if (http2_in_end(&session->head, spares_of(self), &text) || (is_trailers && !is_end))
        refuse(self);
    else if (is_trailers)
        keep_trailers(self, text);
    else
        take_response(self, text, is_end);
    if (is_end && !session->is_closed)
        http2_call_on_end(session, stream);
}

static void complete(struct http2_call *self)
{
    struct spares *spares = spares_of(self);
    struct http_call *call = self->call;
    struct fifo trailers = self->trailers;
    self->trailers = (struct fifo){ 0 };
    call->trailers = fifo_span(&trailers);
    part(self);
    call->ops->on_end(call);
    fifo_clear(&trailers, spares);
}

/* The upstream has said all. What the owner did not take yet comes first. */
void http2_call_on_end(struct http2_session *session, struct http2_stream *stream)
{
    struct http2_call *self = call_on(stream);
    (void)session;
    if (!wants_answer(self))
        return;
    if (self->state != HTTP2_RECEIVING || self->left_in > 0) {
        refuse(self);
        return;
    }
    self->is_ended = true;
    if (!self->is_paused && fifo_size(&self->in) == 0)
        complete(self);
}

static void pass(struct http2_call *self, struct span bytes)
{
    struct http_call *call = self->call;
    if (call->relay_to)
        http_relay_copy(call, bytes);
    else
        call->ops->on_body(call, bytes);
}

/* Whether a body is allowed there, and so much of it. */
static bool take_length(struct http2_call *self, size_t size)
{
    switch (self->framing) {
    case HTTP_BODY_NONE: return size == 0;
    case HTTP_BODY_LENGTH:
        if (size > self->left_in)
            return false;
        self->left_in -= size;
        return true;
    case HTTP_BODY_CHUNKED:
    case HTTP_BODY_UNTIL_CLOSE: break;
    }
    return true;
}

static void consume(struct http2_call *self, size_t size)
{
    http2_stream_consume(session_of(self), &self->stream, size);
}

void http2_call_on_data(struct http2_session *session, struct http2_stream *stream,
                        struct span data)
{
    struct http2_call *self = call_on(stream);
    http2_connection_consume(session, data.size);
    if (!wants_answer(self))
        return;
    self->has_answer_bytes = true;
    self->received_at = now_of(self);
    if (self->state != HTTP2_RECEIVING || !take_length(self, data.size)) {
        refuse(self);
    } else if (self->is_paused || fifo_size(&self->in) > 0) {
        fifo_append(&self->in, spares_of(self), data);
    } else {
        consume(self, data.size);
        pass(self, data);
    }
}

/* --- what is told by the connection's task --- */

static void tell_fault(struct http2_call *self)
{
    struct http_call *call = self->call;
    enum http_fault what = self->fault;
    part(self);
    call->ops->on_fault(call, what);
}

/* What came while the owner paused, at once: it was bounded by the window. */
static void tell_kept(struct http2_call *self)
{
    struct spares *spares = spares_of(self);
    struct fifo kept = self->in;
    self->in = (struct fifo){ 0 };
    self->received_at = now_of(self);
    consume(self, fifo_size(&kept));
    pass(self, fifo_span(&kept));
    fifo_clear(&kept, spares);
}

void http2_call_tell(struct http2_call *self)
{
    struct http_call *call = self->call;
    if (!call)
        return;
    if (self->has_fault) {
        tell_fault(self);
        return;
    }
    /* The owner may give it up at each step, so there is one at a time. */
    bool has_more = !self->is_paused && (fifo_size(&self->in) > 0 || self->is_ended);
    if (self->is_drained) {
        self->is_drained = false;
        if (has_more)
            wake(self);
        bool is_true = fifo_size(&self->out) == 0 && !self->is_request_done;
        if (is_true && call->ops->on_drained)
            call->ops->on_drained(call);
    } else if (has_more && fifo_size(&self->in) > 0) {
        if (self->is_ended)
            wake(self);
        tell_kept(self);
    } else if (has_more) {
        complete(self);
    }
}

/* --- what the owner does --- */

static void wire_send(struct http_call *call, struct span bytes)
{
    struct http2_call *self = call_of(call);
    if (!self || bytes.size == 0 || self->has_fault || self->is_ended || self->is_closed)
        return;
    assert(!self->is_request_done);
    if (self->has_length_out) {
        assert(bytes.size <= self->left_out);
        bytes =
            span_first(bytes, self->left_out < bytes.size ? (size_t)self->left_out : bytes.size);
        self->left_out -= bytes.size;
        self->is_request_done = self->left_out == 0;
    }
    self->is_expecting = false;
    if (fifo_size(&self->out) == 0) {
        self->sent_at = now_of(self);
        bytes = span_from(
            bytes, http2_stream_put(session_of(self), &self->stream, bytes, self->is_request_done));
    }
    if (likely(bytes.size == 0))
        return;
    fifo_append(&self->out, spares_of(self), bytes);
    resume_sending(self);
}

static void wire_finish(struct http_call *call)
{
    struct http2_call *self = call_of(call);
    if (!self || self->is_request_done || self->has_fault)
        return;
    if (self->has_length_out) { /* or it would be done */
        fault(self, HTTP_FAULT_BROKEN);
        return;
    }
    self->is_request_done = true;
    if (fifo_size(&self->out) > 0)
        resume_sending(self);
    else
        http2_stream_put_end(session_of(self), &self->stream);
}

static size_t wire_unsent(const struct http_call *call)
{
    const struct http2_call *self = call_of(call);
    return self ? fifo_size(&self->out) : 0;
}

static void wire_pause(struct http_call *call)
{
    if (call->stream)
        call_of(call)->is_paused = true;
}

static void wire_resume(struct http_call *call)
{
    struct http2_call *self = call_of(call);
    if (!self || !self->is_paused)
        return;
    self->is_paused = false;
    self->received_at = now_of(self);
    http2_call_arm(self);
    if (fifo_size(&self->in) > 0 || self->is_ended)
        wake(self);
}

static void wire_cancel(struct http_call *call)
{
    if (call->stream)
        part(call_of(call));
}

static const struct http_call_wire call_wire = {
    .send = wire_send,
    .finish = wire_finish,
    .unsent = wire_unsent,
    .pause = wire_pause,
    .resume = wire_resume,
    .cancel = wire_cancel,
};

void http2_calls_fini(struct http2_pool *http2)
{
    for (struct list *link; (link = list_take_first(&http2->spare_calls));)
        free(container_of(link, struct http2_call, link));
}
