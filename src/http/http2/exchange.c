/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The head is written at once, the body at the end of the turn, so an answer that is complete by then
 * leaves with its END_STREAM. What was put into `out` goes from there into the connection's outlet,
 * behind the frame's head.
 */

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "http/connection.h"
#include "http/head.h"
#include "http/http2/server.h"
#include "http/relay_copy.h"
#include "http/wire.h"

static struct spares *spares_of(const struct http2_exchange *self)
{
    return &self->connection->server->spares;
}

static nsec now_of(const struct http2_exchange *self)
{
    return loop_now(self->connection->server->loop);
}

static struct http2_session *session_of(const struct http2_exchange *self)
{
    return &self->connection->session;
}

size_t http2_exchange_unsent(const struct http2_exchange *self)
{
    if (self->waits_for_end)
        return 0;
    return fifo_size(&self->out) + (self->has_file ? (size_t)self->file_left : 0);
}

static void close_file(struct http2_exchange *self)
{
    if (self->has_file)
        close(self->file_fd);
    self->has_file = false;
}

void http2_exchange_clear(struct http2_exchange *self)
{
    fifo_clear(&self->in, spares_of(self));
    if (!self->waits_for_end)
        self->connection->n_kept -= fifo_size(&self->out);
    fifo_clear(&self->out, spares_of(self));
    fifo_clear(&self->trailers, spares_of(self));
    close_file(self);
}

/* --- out --- */

/* There is something to send. */
static void want(struct http2_exchange *self)
{
    if (self->has_head)
        http2_stream_want(session_of(self), &self->stream);
}

void http2_exchange_reset(struct http2_exchange *self, uint32_t code)
{
    self->has_reset = true;
    http2_stream_reset(session_of(self), &self->stream, code);
}

static void send_trailers(struct http2_exchange *self)
{
    struct http2_out *out = &self->connection->server->http2.out;
    http2_out_begin(out, &session_of(self)->encoder);
    if (http2_put_lines(out, fifo_span(&self->trailers)))
        http2_send_head(session_of(self), &self->stream, out, true);
    else
        http2_exchange_reset(self, HTTP2_INTERNAL_ERROR);
}

/* False when the file is shorter than it was said to be. */
static bool put_file(struct http2_exchange *self, size_t size)
{
    struct http2_session *session = &self->connection->session;
    char *at = fifo_reserve(&session->out.kept, session->side->spares, size);
    size_t n_read = 0;
    while (n_read < size) {
        ssize_t n =
            pread(self->file_fd, at + n_read, size - n_read, (off_t)(self->file_offset + n_read));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        n_read += (size_t)n;
    }
    /* The frame's head has said how long it is, so it is filled, and the stream then reset. */
    memset(at + n_read, 0, size - n_read);
    fifo_grow(&session->out.kept, size);
    self->file_offset += size;
    self->file_left -= size;
    return n_read == size;
}

/* So much of what waits, behind the head of its frame. */
static void put_data(struct http2_exchange *self, size_t size)
{
    struct http2_session *session = session_of(self);
    struct span waiting = fifo_span(&self->out);
    bool is_whole = true;
    if (waiting.data) {
        http2_session_put(session, span_first(waiting, size));
        fifo_consume(&self->out, spares_of(self), size);
        self->connection->n_kept -= size;
    } else if (size > 0) {
        is_whole = put_file(self, size);
    }
    self->n_left += size;
    if (unlikely(!is_whole)) {
        self->is_broken = true;
        self->break_code = HTTP2_INTERNAL_ERROR;
        self->file_left = 0;
    }
    if (self->file_left == 0)
        close_file(self);
}

/* All that there was to send has been put. */
static void note_all_sent(struct http2_exchange *self)
{
    self->sent_at = now_of(self);
    if (self->is_broken)
        http2_exchange_reset(self, self->break_code);
    else if (!self->is_finished && self->was_unsent)
        http2_exchange_defer(self);
}

bool http2_server_on_send(struct http2_session *session, struct http2_stream *stream, size_t max)
{
    struct http2_exchange *self = http2_exchange_on(stream);
    size_t unsent = http2_exchange_unsent(self);
    if (unsent == 0 && (!self->is_finished || self->is_broken))
        return false;
    size_t waiting = fifo_size(&self->out) > 0 ? fifo_size(&self->out) : unsent;
    size_t n = waiting < max ? waiting : max;
    if (n == 0 && unsent > 0)
        return true;
    bool is_last = n == unsent && self->is_finished && !self->is_broken;
    if (n > 0 || !self->has_trailers) {
        http2_put_data(session, stream, n, is_last && !self->has_trailers);
        put_data(self, n);
    }
    if (http2_exchange_unsent(self) > 0)
        return true;
    note_all_sent(self);
    if (self->is_broken)
        return false;
    if (is_last && self->has_trailers)
        send_trailers(self);
    else if (is_last)
        http2_end_data(session, stream);
    return false;
}

/* The answer is complete, and the client may still send: nothing of it is wanted. */
void http2_server_on_end_sent(struct http2_session *session, struct http2_stream *stream)
{
    struct http2_exchange *self = http2_exchange_on(stream);
    (void)session;
    self->is_complete = true;
    if (!self->is_request_done)
        http2_exchange_reset(self, HTTP2_NO_ERROR);
}

/* --- heads --- */

static struct http2_out *out_begin(struct http2_exchange *self)
{
    struct http2_out *out = &self->connection->server->http2.out;
    http2_out_begin(out, &session_of(self)->encoder);
    return out;
}

static void send_head(struct http2_exchange *self, const struct http2_out *out, bool has_body)
{
    self->has_head = true;
    http2_send_head(session_of(self), &self->stream, out, !has_body);
}

/* A field that is not legal, from whatever source, must not get out. */
static void send_failure(struct http2_exchange *self)
{
    static const struct http_message failed = { .status = 500 };
    struct http2_out *out = out_begin(self);
    bool is_put = http2_put_status(out, 500, &failed);
    assert(is_put);
    (void)is_put;
    self->sends_nothing = true;
    send_head(self, out, false);
}

static void put_date(struct http2_exchange *self, struct http2_out *out)
{
    if (!self->has_date)
        http2_put(out, SPAN("date"), http_server_date(self->connection->server));
}

/* Its end is not known yet: trailers would go with it. The lines wait in the order they came. */
static bool keep_head(struct http2_exchange *self, const struct http_message *response)
{
    struct outlet room = { .kept = self->out };
    struct http1_out text = head_begin(&room, spares_of(self), response);
    head_put_fields(&text, response);
    fifo_grow(&room.kept, text.size);
    self->out = room.kept;
    self->waits_for_end = true;
    return !text.is_full;
}

static void send_kept_head(struct http2_exchange *self)
{
    struct http_message response = { .lines = fifo_span(&self->out) };
    struct http2_out *out = out_begin(self);
    if (http2_put_status(out, self->status, &response)) {
        put_date(self, out);
        send_head(self, out, false);
    } else {
        send_failure(self);
    }
    self->waits_for_end = false;
    fifo_clear(&self->out, spares_of(self));
}

static void respond(struct http_exchange *exchange, const struct http_message *response)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    unsigned status = response->status;
    assert(!self->is_responded && !self->is_finished && status >= 200);
    self->is_responded = true;
    self->status = status;
    self->has_date = response->has_date;
    self->sent_at = now_of(self);
    self->sends_nothing = self->is_head_request || status == 204 || status == 304;
    self->has_length = response->body == HTTP_SEND_LENGTH;
    self->content_length = self->has_length ? response->content_length : 0;

    if (response->body == HTTP_SEND_NONE && !self->is_head_request) {
        self->sends_nothing = true;
        if (!keep_head(self, response))
            send_failure(self);
        return;
    }
    struct http2_out *out = out_begin(self);
    if (!http2_put_status(out, status, response)) {
        send_failure(self);
        return;
    }
    if (self->has_length && status != 204 && status != 304)
        http2_put_length(out, self->content_length);
    put_date(self, out);
    bool has_body = !self->sends_nothing && (!self->has_length || self->content_length > 0);
    send_head(self, out, has_body);
}

static void accept_upgrade(struct http_exchange *exchange, const struct http_message *response)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    assert(!self->is_responded && !self->is_finished);
    self->is_responded = self->is_tunnel = true;
    self->is_paused = false;
    self->status = 200;
    self->sent_at = self->received_at = self->paused_at = now_of(self);
    struct http2_out *out = out_begin(self);
    if (!http2_put_status(out, 200, response)) {
        send_failure(self);
        return;
    }
    send_head(self, out, true);
    http2_exchange_defer(self);
}

static void interim(struct http_exchange *exchange, unsigned status, struct span lines)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    struct http_message message = { .lines = lines };
    assert(status >= 100 && status < 200 && status != 101);
    if (self->is_responded || self->is_finished)
        return;
    if (status == 100 && self->needs_continue) {
        self->needs_continue = false;
        self->body_since = self->received_at = self->paused_at = now_of(self);
    }
    struct http2_out *out = out_begin(self);
    if (!http2_put_status(out, status, &message))
        return;
    http2_send_head(session_of(self), &self->stream, out, false);
}

/* --- bodies --- */

/* Returns what has to wait. */
static struct span put_at_once(struct http2_exchange *self, struct span bytes)
{
    size_t n = http2_stream_put(session_of(self), &self->stream, bytes, false);
    self->n_left += n;
    return span_from(bytes, n);
}

static void send_bytes(struct http_exchange *exchange, struct span bytes)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    assert(self->is_responded && !self->is_finished);
    if (bytes.size == 0 || self->sends_nothing)
        return;
    if (self->has_length) {
        uint64_t left = self->content_length - self->sent;
        assert(bytes.size <= left);
        bytes = span_first(bytes, left < bytes.size ? (size_t)left : bytes.size);
    }
    self->sent += bytes.size;
    if (http2_exchange_unsent(self) == 0) {
        self->sent_at = now_of(self); /* from here on it is the client who keeps it waiting */
        bytes = put_at_once(self, bytes);
        self->n_left_at = self->n_left;
    }
    if (likely(bytes.size == 0))
        return;
    self->was_unsent = true;
    self->connection->n_kept += bytes.size;
    fifo_append(&self->out, spares_of(self), bytes);
    http2_exchange_arm(self);
    want(self);
}

static void send_file(struct http_exchange *exchange, int fd, uint64_t offset, uint64_t size)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    assert(self->is_responded && !self->is_finished);
    if (size == 0 || self->sends_nothing) {
        close(fd);
        return;
    }
    assert(self->has_length && size == self->content_length - self->sent && !self->has_file);
    self->sent += size;
    self->was_unsent = self->has_file = true;
    self->file_fd = fd;
    self->file_offset = offset;
    self->file_left = size;
    http2_exchange_arm(self);
    want(self);
}

static void put_trailers(struct http_exchange *exchange, struct span lines)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    assert(self->is_responded && !self->is_finished && !self->has_trailers);
    if (self->waits_for_end) {
        fifo_append(&self->out, spares_of(self), lines);
        return;
    }
    if (self->sends_nothing || lines.size == 0 || (self->has_length && self->content_length == 0))
        return;
    self->has_trailers = true;
    fifo_append(&self->trailers, spares_of(self), lines);
}

static void reset(struct http_exchange *exchange, uint32_t code)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    assert(!self->is_finished);
    self->is_finished = true;
    exchange->ops = NULL;
    http_relay_copy_end_exchange(exchange);
    bool has_more = self->has_head && http2_exchange_unsent(self) > 0;
    self->is_broken = true;
    self->break_code = code;
    if (!has_more)
        http2_exchange_reset(self, code);
    else
        want(self);
}

static void finish(struct http_exchange *exchange)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    assert(self->is_responded && !self->is_finished);
    if (self->has_length && !self->sends_nothing && self->sent < self->content_length) {
        reset(exchange, HTTP2_INTERNAL_ERROR);
        return;
    }
    self->is_finished = true;
    exchange->ops = NULL;
    http_relay_copy_end_exchange(exchange);
    if (fifo_size(&self->in) > 0) { /* nobody takes it any more */
        http2_session_consume(session_of(self), &self->stream, fifo_size(&self->in));
        fifo_clear(&self->in, spares_of(self));
    }
    if (self->waits_for_end)
        send_kept_head(self);
    else if (http2_exchange_unsent(self) > 0)
        want(self);
    else if (self->has_trailers)
        send_trailers(self);
    else
        http2_stream_put_end(session_of(self), &self->stream);
}

/* --- the request's body --- */

static void pause_body(struct http_exchange *exchange)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    if (self->is_paused)
        return;
    self->is_paused = true;
    self->paused_at = now_of(self);
}

static void resume_body(struct http_exchange *exchange)
{
    struct http2_exchange *self = http2_exchange_of(exchange);
    if (!self->is_paused)
        return;
    nsec now = now_of(self);
    self->is_paused = false;
    self->body_since += now - self->paused_at; /* our time, not the client's */
    self->received_at = now;
    http2_exchange_defer(self);
}

static void take_expectation(struct http_exchange *exchange)
{
    http2_exchange_of(exchange)->relays_continue = true;
}

static const struct http2_exchange *const_of(const struct http_exchange *public)
{
    _Static_assert(offsetof(struct http2_exchange, public) == 0, "one is the start of the other");
    return (const struct http2_exchange *)(const void *)public;
}

static uint64_t received(const struct http_exchange *exchange)
{
    return const_of(exchange)->received;
}

static uint64_t sent(const struct http_exchange *exchange)
{
    return const_of(exchange)->sent;
}

static size_t unsent(const struct http_exchange *exchange)
{
    const struct http2_exchange *self = const_of(exchange);
    size_t size = http2_exchange_unsent(self);
    /* What answers keep for a client that does not take them has a limit for all together. */
    bool is_much = self->connection->n_kept > self->connection->server->settings.max_buffered;
    return size > 0 && is_much ? size + HTTP_SEND_MARK : size;
}

const struct http_wire http2_wire = {
    .pause = pause_body,
    .resume = resume_body,
    .take_expectation = take_expectation,
    .interim = interim,
    .respond = respond,
    .accept_upgrade = accept_upgrade,
    .send = send_bytes,
    .send_file = send_file,
    .put_trailers = put_trailers,
    .received = received,
    .sent = sent,
    .unsent = unsent,
    .finish = finish,
    .reset = reset,
};
