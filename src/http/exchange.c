/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The head and small pieces of an answer are put together and leave in one system call: when the
 * answer is complete, when there is enough, or at the end of the turn, whichever is first.
 */

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/connection.h"
#include "http/head.h"
#include "http/relay.h"
#include "http/wire.h"

#define READ_FILE_MAX 16384u /* up to here a copy of the file is cheaper than a second send */

static struct spares *spares_of(struct exchange *self)
{
    return &self->connection->server->spares;
}

static struct loop *loop_of(struct exchange *self)
{
    return self->connection->server->loop;
}

/* on_abort is not called from inside the handler's own call, but by the run that follows. */
void http_exchange_lose(struct exchange *self)
{
    self->is_gone = true;
    outlet_fini(&self->out, spares_of(self));
    task_defer(&self->connection->task, loop_of(self));
}

void http_pause(struct http_exchange *exchange)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->pause(exchange);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    if (self->is_paused)
        return;
    self->is_paused = self->was_paused = true;
    self->paused_at = loop_now(loop_of(self));
}

void http_resume(struct http_exchange *exchange)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->resume(exchange);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    nsec now = loop_now(loop_of(self));
    if (!self->is_paused)
        return;
    self->is_paused = false;
    self->body_since += now - self->paused_at; /* our time, not the client's */
    self->received_at = now;
    http_connection_wake(self->connection);
}

void http_take_expectation(struct http_exchange *exchange)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->take_expectation(exchange);
        return;
    }
    exchange_of(exchange)->relays_continue = true;
}

void http_wait(struct http_exchange *exchange)
{
    if (exchange->wire)
        return; /* a client of HTTP/2 resets its stream */
    struct exchange *self = exchange_of(exchange);
    struct connection *connection = self->connection;
    self->is_waiting = true;
    if (!connection->in.is_ending)
        return;
    connection->is_hung_up = true; /* the event came with the request, and comes no more */
    task_defer(&connection->task, connection->server->loop);
}

void http_interim(struct http_exchange *exchange, unsigned status, struct span lines)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->interim(exchange, status, lines);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    assert(status >= 100 && status < 200 && status != 101);
    if (self->is_http_1_0 || self->is_responded || self->is_finished || self->is_gone)
        return;

    nsec now = loop_now(loop_of(self));
    if (status == 100 && self->needs_continue) {
        self->needs_continue = false;
        self->body_since = self->received_at = self->paused_at = now; /* its time starts here */
    }
    struct http_message message = { .lines = lines };
    struct http1_out out = head_begin(&self->out, spares_of(self), &message);
    http1_put_status_line(&out, status);
    head_put(&out, lines);
    IGNORE(!head_end(&out, &self->out), "nothing in it can be refused");
    self->sent_at = now;
    task_defer(&self->connection->task, loop_of(self));
    http_connection_arm(self->connection);
}

static enum sending choose_sending(const struct exchange *self, const struct http_message *response)
{
    if (self->is_head_request || response->status == 204 || response->status == 304)
        return SENDING_NOTHING;
    switch (response->body) {
    case HTTP_SEND_NONE:
    case HTTP_SEND_LENGTH: return SENDING_LENGTH;
    case HTTP_SEND_UNKNOWN: break;
    }
    return self->is_http_1_0 ? SENDING_UNTIL_CLOSE : SENDING_CHUNKED;
}

/* A client that waits for 100 may or may not send its body after a final answer, so nobody could
 * say where the next request starts. */
static bool keeps_alive_after(const struct exchange *self)
{
    const struct connection *connection = self->connection;
    bool is_unsure = connection->input == INPUT_BODY && self->needs_continue;
    return self->keeps_alive && !is_unsure && !connection->server->is_draining &&
           !connection->server->pressure && self->sending != SENDING_UNTIL_CLOSE;
}

static void put_framing(struct http1_out *out, const struct exchange *self,
                        const struct http_message *response)
{
    switch (self->sending) {
    case SENDING_NOTHING:
        /* To HEAD it says what GET would; a maker that says NONE does not know. */
        if (self->is_head_request && response->body == HTTP_SEND_LENGTH &&
            response->status != 204 && response->status != 304)
            head_put_length(out, self->content_length);
        break;
    case SENDING_LENGTH: head_put_length(out, self->content_length); break;
    case SENDING_CHUNKED: head_put(out, SPAN("transfer-encoding: chunked\r\n")); break;
    case SENDING_UNTIL_CLOSE: break;
    }
    if (!self->keeps_alive)
        head_put(out, SPAN("connection: close\r\n"));
    else if (self->is_http_1_0)
        head_put(out, SPAN("connection: keep-alive\r\n"));
}

static void put_date(struct http1_out *out, struct http_server *server)
{
    head_put(out, SPAN("date: "));
    head_put(out, http_server_date(server));
    head_put(out, SPAN("\r\n"));
}

static bool put_head(struct exchange *self, const struct http_message *response)
{
    struct http1_out out = head_begin(&self->out, spares_of(self), response);
    if (likely(response->status == 200))
        head_put(&out, SPAN("HTTP/1.1 200 OK\r\n"));
    else
        http1_put_status_line(&out, response->status);
    head_put_fields(&out, response);
    if (out.is_full)
        return false;
    put_framing(&out, self, response);
    if (!response->has_date)
        put_date(&out, self->connection->server);
    return head_end(&out, &self->out);
}

/* A field that is not legal, from whatever source, must not get out: say so and close. */
static void put_failure(struct exchange *self)
{
    static const struct http_message failed = { .status = 500 };
    self->keeps_alive = false;
    self->content_length = 0;
    self->sending = SENDING_LENGTH;
    bool is_put = put_head(self, &failed);
    assert(is_put);
    (void)is_put;
    self->sending = SENDING_NOTHING; /* of what the handler goes on to send */
}

void http_respond(struct http_exchange *exchange, const struct http_message *response)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->respond(exchange, response);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    assert(!self->is_responded && !self->is_finished && response->status >= 200);
    self->is_responded = true;
    if (self->is_gone)
        return;

    self->sending = choose_sending(self, response);
    self->content_length = response->body == HTTP_SEND_LENGTH ? response->content_length : 0;
    self->keeps_alive = keeps_alive_after(self);
    self->sent_at = loop_now(loop_of(self));
    if (!put_head(self, response))
        put_failure(self);
    task_defer(&self->connection->task, loop_of(self));
}

void http_accept_upgrade(struct http_exchange *exchange, const struct http_message *response)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->accept_upgrade(exchange, response);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    struct connection *connection = self->connection;
    assert(!self->is_responded && !self->is_finished && connection->input == INPUT_DONE);
    self->is_responded = true;
    if (self->is_gone)
        return;

    self->is_tunnel = true;
    self->keeps_alive = false;
    self->sending = SENDING_UNTIL_CLOSE;
    self->body = (struct http_body){ .framing = HTTP_BODY_UNTIL_CLOSE };
    self->sent_at = self->received_at = self->paused_at = loop_now(loop_of(self));
    struct http1_out out = head_begin(&self->out, spares_of(self), response);
    http1_put_status_line(&out, 101);
    head_put(&out, response->lines);
    head_put_upgrade(&out, response->upgrade);
    IGNORE(!head_end(&out, &self->out), "nothing in it can be refused");
    connection->input = INPUT_BODY;
    http_connection_wake(connection);
    task_defer(&connection->task, loop_of(self));
    if (connection->server->is_draining)
        task_defer(&connection->server->drainer, loop_of(self));
}

static void exchange_put(struct exchange *self, struct span bytes)
{
    struct outlet *out = &self->out;
    bool is_chunked = self->sending == SENDING_CHUNKED;
    if (is_chunked) {
        char text[24];
        struct http1_out head = { .data = text, .capacity = sizeof(text) };
        http1_put_chunk_head(&head, bytes.size);
        outlet_put(out, spares_of(self), (struct span){ head.data, head.size });
    }
    struct span tail = is_chunked ? SPAN("\r\n") : SPAN_NULL;
    if (out->is_blocked || outlet_unsent(out) + bytes.size < OUTLET_LARGE) {
        outlet_put(out, spares_of(self), bytes);
        outlet_put(out, spares_of(self), tail);
        task_defer(&self->connection->task, loop_of(self));
        return;
    }
    self->sent_at = loop_now(loop_of(self));
    int fd = self->connection->watch.fd;
    if (outlet_send(out, fd, spares_of(self), bytes, tail))
        http_exchange_lose(self);
}

void http_send(struct http_exchange *exchange, struct span bytes)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->send(exchange, bytes);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    assert(self->is_responded && !self->is_finished);
    if (bytes.size == 0 || self->is_gone || self->sending == SENDING_NOTHING)
        return;

    if (self->sending == SENDING_LENGTH) {
        uint64_t left = self->content_length - self->sent;
        assert(bytes.size <= left);
        bytes = span_first(bytes, left < bytes.size ? (size_t)left : bytes.size);
    }
    bool was_blocked = self->out.is_blocked;
    self->sent += bytes.size;
    exchange_put(self, bytes);
    if (!self->is_gone && self->out.is_blocked && !was_blocked)
        http_connection_wake(self->connection); /* for its deadline */
}

static bool put_small_file(struct exchange *self, int fd, uint64_t offset, size_t size)
{
    char *at = fifo_reserve(&self->out.kept, spares_of(self), size);
    size_t n_read = 0;
    while (n_read < size) {
        ssize_t n = pread(fd, at + n_read, size - n_read, (off_t)(offset + n_read));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        n_read += (size_t)n;
    }
    fifo_grow(&self->out.kept, size);
    return true;
}

void http_send_file(struct http_exchange *exchange, int fd, uint64_t offset, uint64_t size)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->send_file(exchange, fd, offset, size);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    assert(self->is_responded && !self->is_finished);
    if (size == 0 || self->is_gone || self->sending == SENDING_NOTHING) {
        close(fd);
        return;
    }

    assert(self->sending == SENDING_LENGTH && size == self->content_length - self->sent);
    if (size > READ_FILE_MAX) {
        self->sent += size;
        outlet_put_file(&self->out, fd, offset, size);
        return;
    }
    /* A file that has become shorter leaves `sent` behind, and http_finish() breaks off. */
    if (put_small_file(self, fd, offset, (size_t)size))
        self->sent += size;
    close(fd);
}

void http_put_trailers(struct http_exchange *exchange, struct span lines)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->put_trailers(exchange, lines);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    assert(self->is_responded && !self->is_finished && !self->has_trailers);
    if (self->is_gone || self->sending != SENDING_CHUNKED)
        return;
    self->has_trailers = true;
    outlet_put(&self->out, spares_of(self), SPAN("0\r\n"));
    outlet_put(&self->out, spares_of(self), lines);
}

static const struct exchange *const_exchange_of(const struct http_exchange *public)
{
    _Static_assert(offsetof(struct exchange, public) == 0, "one is the start of the other");
    return (const struct exchange *)(const void *)public;
}

bool http_peer_uid(const struct http_exchange *exchange, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (exchange->wire || exchange->peer->any.sa_family != AF_UNIX ||
        getsockopt(const_exchange_of(exchange)->connection->watch.fd, SOL_SOCKET, SO_PEERCRED,
                   &peer, &size) < 0)
        return false;
    *ret_uid = peer.uid;
    return true;
}

uint64_t http_received(const struct http_exchange *exchange)
{
    if (unlikely(exchange->wire))
        return exchange->wire->received(exchange);
    return const_exchange_of(exchange)->received;
}

uint64_t http_sent(const struct http_exchange *exchange)
{
    if (unlikely(exchange->wire))
        return exchange->wire->sent(exchange);
    return const_exchange_of(exchange)->sent;
}

size_t http_unsent(const struct http_exchange *exchange)
{
    if (unlikely(exchange->wire))
        return exchange->wire->unsent(exchange);
    return outlet_unsent(&const_exchange_of(exchange)->out);
}

/* All of the answer has left: the connection waits for the next request, or ends. */
static void exchange_end(struct exchange *self)
{
    struct connection *connection = self->connection;
    struct http_server *server = connection->server;
    if (self->keeps_alive && connection->input == INPUT_DONE) {
        http_exchange_free(self);
        connection->input = INPUT_HEAD;
        connection->since = loop_now(server->loop);
        if (server->is_draining && fifo_size(&connection->in.kept) == 0)
            task_defer(&server->drainer, server->loop);
        return;
    }
    if (unlikely(connection->tls))
        tls_stream_close(connection->tls);
    bool may_send_more = connection->input != INPUT_DONE || fifo_size(&connection->in.kept) > 0;
    if (!may_send_more || connection->is_hung_up) {
        http_connection_close(connection);
        return;
    }
    if (connection->input == INPUT_DONE) {
        self->discard_left = DISCARD_MAX;
        self->discard_until = loop_now(server->loop) + LINGER_TIME;
    }
    connection->input = INPUT_LINGER;
    if (!self->is_shut)
        shutdown(connection->watch.fd, SHUT_WR);
    self->is_shut = true;
}

void http_exchange_push(struct exchange *self)
{
    struct outlet *out = &self->out;
    if (self->is_gone || outlet_unsent(out) == 0 || out->is_blocked)
        return;
    self->sent_at = loop_now(loop_of(self));
    if (outlet_flush(out, self->connection->watch.fd, spares_of(self)))
        http_exchange_lose(self);
}

void http_exchange_flush(struct exchange *self)
{
    struct outlet *out = &self->out;
    if (self->is_gone)
        return;

    size_t before = outlet_unsent(out);
    if (before > 0) {
        int r = outlet_flush(out, self->connection->watch.fd, spares_of(self));
        if (r == OUTLET_SHORT) {
            http_connection_abort(self->connection);
            return;
        }
        if (r) {
            http_exchange_lose(self);
            return;
        }
        if (outlet_unsent(out) < before)
            self->sent_at = loop_now(loop_of(self));
    }
    bool is_discarding = self->connection->input == INPUT_DISCARD && self->keeps_alive;
    if (self->is_finished && outlet_unsent(out) == 0 && !is_discarding)
        exchange_end(self);
}

void http_finish(struct http_exchange *exchange)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->finish(exchange);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    struct connection *connection = self->connection;
    assert(self->is_responded && !self->is_finished);

    if (self->sending == SENDING_LENGTH && self->sent < self->content_length && !self->is_gone) {
        http_break(exchange);
        return;
    }
    self->is_finished = true;
    exchange->ops = NULL;
    http_relay_end_exchange(self);
    if (self->is_gone)
        return; /* the deferred run closes the connection */
    if (self->sending == SENDING_CHUNKED)
        outlet_put(&self->out, spares_of(self),
                   self->has_trailers ? SPAN("\r\n") : SPAN("0\r\n\r\n"));
    http_connection_leave_body(connection);
    task_cancel(&connection->task);
    http_exchange_flush(self);
    http_connection_wake(connection);
}

void http_connection_reset_at_close(struct connection *connection)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    IGNORE(setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
           "a unix socket has none");
}

void http_break(struct http_exchange *exchange)
{
    if (unlikely(exchange->wire)) {
        exchange->wire->reset(exchange, HTTP_RESET_INTERNAL_ERROR);
        return;
    }
    struct exchange *self = exchange_of(exchange);
    struct connection *connection = self->connection;
    assert(!self->is_finished);
    self->is_finished = true;
    http_relay_end_exchange(self);

    if (self->sending == SENDING_UNTIL_CLOSE) /* a reset is the only sign of being cut */
        http_connection_reset_at_close(connection);
    else if (!self->is_gone && outlet_flush(&self->out, connection->watch.fd, spares_of(self)))
        self->is_gone = true; /* and closed in any case */
    http_connection_close(connection);
}

void http_reset(struct http_exchange *exchange, uint32_t code)
{
    if (unlikely(exchange->wire))
        exchange->wire->reset(exchange, code);
    else
        http_break(exchange);
}

void http_reply(struct http_exchange *exchange, unsigned status,
                const struct http_out_field *fields, unsigned n_fields, struct span body)
{
    struct http_message response = {
        .status = status,
        .fields = fields,
        .n_fields = n_fields,
        .body = HTTP_SEND_LENGTH,
        .content_length = body.size,
    };
    /* The body will not be read. When that ends the connection, the answer can still say so. */
    struct exchange *self = exchange->wire ? NULL : exchange_of(exchange);
    if (self && self->connection->input == INPUT_BODY && http_body_is_long(&self->body))
        self->keeps_alive = false;
    http_respond(exchange, &response);
    http_send(exchange, body);
    http_finish(exchange);
}
