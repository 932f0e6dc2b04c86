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

#define SEND_NOW 16384u      /* from here on sending by reference is cheaper than copying */
#define READ_FILE_MAX 16384u /* up to here a copy of the file is cheaper than a second send */
#define HEAD_OVERHEAD 256u   /* status line, framing, Date */
#define DISCARD_WORTH 262144u

static struct spares *spares_of(struct exchange *exchange)
{
    return &exchange->connection->server->spares;
}

static struct loop *loop_of(struct exchange *exchange)
{
    return exchange->connection->server->loop;
}

/* on_abort is not called from inside the handler's own call, but by the run that follows. */
static void exchange_lose(struct exchange *exchange)
{
    exchange->is_gone = true;
    outlet_fini(&exchange->out, spares_of(exchange));
    task_defer(&exchange->connection->task, loop_of(exchange));
}

static void shift(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

static struct span rebase(struct span span, struct span from, const char *to)
{
    bool is_inside = span.data >= from.data && span.data <= from.data + from.size;
    return is_inside ? (struct span){ to + (span.data - from.data), span.size } : span;
}

void http_keep_head(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    struct span raw = exchange->raw_head;
    if (!raw.data) /* kept already */
        return;

    if (!exchange->kept || exchange->kept->capacity < raw.size) {
        free(exchange->kept);
        exchange->kept = mem_zalloc(1, sizeof(struct kept_head) + raw.size);
        exchange->kept->capacity = raw.size;
    }
    /* A head is mostly an array of fields, and most of that is unused: copy around it. */
    struct http_head *kept = &exchange->kept->head;
    const struct http_head *head = public->head;
    shift(kept, head,
          offsetof(struct http_head, fields) + head->n_fields * sizeof(head->fields[0]));
    shift(kept->by_name, head->by_name, sizeof(head->by_name));
    kept->size = head->size;
    shift(exchange->kept->bytes, raw.data, raw.size);

    const char *to = exchange->kept->bytes;
    kept->method = rebase(head->method, raw, to);
    kept->target = rebase(head->target, raw, to);
    kept->path_and_query = rebase(head->path_and_query, raw, to);
    kept->authority = rebase(head->authority, raw, to);
    for (unsigned i = 0; i < head->n_fields; i++) {
        kept->fields[i].name = rebase(head->fields[i].name, raw, to);
        kept->fields[i].value = rebase(head->fields[i].value, raw, to);
    }
    exchange->raw_head = SPAN_NULL;
    public->head = kept;
}

void http_pause(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    if (exchange->is_paused)
        return;
    exchange->is_paused = true;
    exchange->paused_at = loop_now(loop_of(exchange));
}

void http_resume(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    nsec now = loop_now(loop_of(exchange));
    if (!exchange->is_paused)
        return;
    exchange->is_paused = false;
    exchange->body_since += now - exchange->paused_at; /* our time, not the client's */
    exchange->received_at = now;
    http_connection_wake(exchange->connection);
}

static enum sending choose_sending(const struct exchange *exchange,
                                   const struct http_message *response)
{
    if (exchange->is_head_request || response->status == 204 || response->status == 304)
        return SENDING_NOTHING;
    switch (response->body) {
    case HTTP_SEND_NONE:
    case HTTP_SEND_LENGTH: return SENDING_LENGTH;
    case HTTP_SEND_UNKNOWN: break;
    }
    return exchange->is_http_1_0 ? SENDING_UNTIL_CLOSE : SENDING_CHUNKED;
}

/* A client that waits for 100 may or may not send its body after a final answer, and a long body
 * is not worth reading to the end: the connection is not used again. */
static bool keeps_alive_after(const struct exchange *exchange)
{
    const struct connection *connection = exchange->connection;
    if (!exchange->keeps_alive || connection->server->is_draining ||
        exchange->sending == SENDING_UNTIL_CLOSE)
        return false;
    if (connection->input != INPUT_BODY)
        return true;
    bool is_long =
        exchange->body.framing == HTTP_BODY_LENGTH && exchange->body.left > DISCARD_WORTH;
    return !exchange->needs_continue && !is_long;
}

static void put_framing(struct http1_out *out, const struct exchange *exchange,
                        const struct http_message *response)
{
    switch (exchange->sending) {
    case SENDING_NOTHING:
        /* To HEAD it says what GET would; a maker that says NONE does not know. */
        if (exchange->is_head_request && response->body == HTTP_SEND_LENGTH &&
            response->status != 204 && response->status != 304)
            http1_put_field_uint(out, SPAN("content-length"), exchange->content_length);
        break;
    case SENDING_LENGTH:
        http1_put_field_uint(out, SPAN("content-length"), exchange->content_length);
        break;
    case SENDING_CHUNKED: http1_put(out, SPAN("transfer-encoding: chunked\r\n")); break;
    case SENDING_UNTIL_CLOSE: break;
    }
    if (!exchange->keeps_alive)
        http1_put(out, SPAN("connection: close\r\n"));
    else if (exchange->is_http_1_0)
        http1_put(out, SPAN("connection: keep-alive\r\n"));
}

static bool put_head(struct exchange *exchange, const struct http_message *response)
{
    size_t size = HEAD_OVERHEAD;
    for (unsigned i = 0; i < response->n_fields; i++)
        size += response->fields[i].name.size + response->fields[i].value.size + 4;

    struct fifo *kept = &exchange->out.kept;
    struct http1_out out = { .data = fifo_reserve(kept, spares_of(exchange), size),
                             .capacity = size };
    http1_put_status_line(&out, response->status);
    for (unsigned i = 0; i < response->n_fields; i++)
        http1_put_field(&out, response->fields[i].name, response->fields[i].value);
    put_framing(&out, exchange, response);
    http1_put_field(&out, SPAN("date"), http_server_date(exchange->connection->server));
    http1_put_end(&out);
    if (out.is_full)
        return false;
    fifo_grow(kept, out.size);
    return true;
}

void http_respond(struct http_exchange *public, const struct http_message *response)
{
    struct exchange *exchange = exchange_of(public);
    assert(!exchange->is_responded && !exchange->is_finished && response->status >= 200);
    exchange->is_responded = true;
    if (exchange->is_gone)
        return;

    exchange->sending = choose_sending(exchange, response);
    exchange->content_length = response->body == HTTP_SEND_LENGTH ? response->content_length : 0;
    exchange->keeps_alive = keeps_alive_after(exchange);
    exchange->sent_at = loop_now(loop_of(exchange));
    if (!put_head(exchange, response)) {
        /* A field that is not legal, from whatever source, must not get out: say so and close. */
        static const struct http_message failed = { .status = 500 };
        exchange->keeps_alive = false;
        exchange->content_length = 0;
        exchange->sending = SENDING_LENGTH;
        IGNORE(!put_head(exchange, &failed), "it has no fields that could be wrong");
        exchange->sending = SENDING_NOTHING;
    }
    task_defer(&exchange->connection->task, loop_of(exchange));
}

static void exchange_put(struct exchange *exchange, struct span bytes)
{
    struct outlet *out = &exchange->out;
    bool is_chunked = exchange->sending == SENDING_CHUNKED;
    bool is_last = !is_chunked && exchange->sent == exchange->content_length &&
                   exchange->sending == SENDING_LENGTH;
    if (is_chunked) {
        char text[24];
        struct http1_out head = { .data = text, .capacity = sizeof(text) };
        http1_put_chunk_head(&head, bytes.size);
        outlet_put(out, spares_of(exchange), (struct span){ head.data, head.size });
    }
    struct span tail = is_chunked ? SPAN("\r\n") : SPAN_NULL;
    if (out->is_blocked || (!is_last && outlet_unsent(out) + bytes.size < SEND_NOW)) {
        outlet_put(out, spares_of(exchange), bytes);
        outlet_put(out, spares_of(exchange), tail);
        task_defer(&exchange->connection->task, loop_of(exchange));
        return;
    }
    exchange->sent_at = loop_now(loop_of(exchange));
    int fd = exchange->connection->watch.fd;
    if (outlet_send(out, fd, spares_of(exchange), bytes, tail))
        exchange_lose(exchange);
}

void http_send(struct http_exchange *public, struct span bytes)
{
    struct exchange *exchange = exchange_of(public);
    assert(exchange->is_responded && !exchange->is_finished);
    if (bytes.size == 0 || exchange->is_gone || exchange->sending == SENDING_NOTHING)
        return;

    if (exchange->sending == SENDING_LENGTH) {
        uint64_t left = exchange->content_length - exchange->sent;
        assert(bytes.size <= left);
        bytes = span_first(bytes, left < bytes.size ? (size_t)left : bytes.size);
    }
    bool was_blocked = exchange->out.is_blocked;
    exchange->sent += bytes.size;
    exchange_put(exchange, bytes);
    if (!exchange->is_gone && exchange->out.is_blocked && !was_blocked)
        http_connection_wake(exchange->connection); /* for its deadline */
}

static bool put_small_file(struct exchange *exchange, int fd, uint64_t offset, size_t size)
{
    char *at = fifo_reserve(&exchange->out.kept, spares_of(exchange), size);
    size_t n_read = 0;
    while (n_read < size) {
        ssize_t n = pread(fd, at + n_read, size - n_read, (off_t)(offset + n_read));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        n_read += (size_t)n;
    }
    fifo_grow(&exchange->out.kept, size);
    return true;
}

void http_send_file(struct http_exchange *public, int fd, uint64_t offset, uint64_t size)
{
    struct exchange *exchange = exchange_of(public);
    assert(exchange->is_responded && !exchange->is_finished);
    if (size == 0 || exchange->is_gone || exchange->sending == SENDING_NOTHING) {
        close(fd);
        return;
    }

    assert(exchange->sending == SENDING_LENGTH &&
           size == exchange->content_length - exchange->sent);
    if (size > READ_FILE_MAX) {
        exchange->sent += size;
        outlet_put_file(&exchange->out, fd, offset, size);
        return;
    }
    /* A file that has become shorter leaves `sent` behind, and http_finish() breaks off. */
    if (put_small_file(exchange, fd, offset, (size_t)size))
        exchange->sent += size;
    close(fd);
}

size_t http_unsent(const struct http_exchange *public)
{
    const struct exchange *exchange = (const struct exchange *)(const void *)public;
    _Static_assert(offsetof(struct exchange, public) == 0, "one is the start of the other");
    return outlet_unsent(&exchange->out);
}

/* All of the answer has left: the connection waits for the next request, or ends. */
static void exchange_end(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    struct http_server *server = connection->server;
    if (exchange->keeps_alive && connection->input == INPUT_DONE) {
        http_exchange_free(exchange);
        connection->input = INPUT_HEAD;
        connection->since = loop_now(server->loop);
        if (server->is_draining && fifo_size(&connection->in.kept) == 0)
            task_defer(&server->drainer, server->loop);
        return;
    }
    bool may_send_more = connection->input != INPUT_DONE || fifo_size(&connection->in.kept) > 0;
    if (!may_send_more || connection->is_hung_up) {
        http_connection_close(connection);
        return;
    }
    if (connection->input == INPUT_DONE) {
        exchange->discard_left = DISCARD_WORTH;
        exchange->discard_until = loop_now(server->loop) + 2 * NSEC_PER_SEC;
    }
    connection->input = INPUT_LINGER;
    if (!exchange->is_shut)
        shutdown(connection->watch.fd, SHUT_WR);
    exchange->is_shut = true;
}

void http_exchange_flush(struct exchange *exchange)
{
    struct outlet *out = &exchange->out;
    if (exchange->is_gone)
        return;

    size_t before = outlet_unsent(out);
    if (before > 0) {
        int r = outlet_flush(out, exchange->connection->watch.fd, spares_of(exchange));
        if (r == OUTLET_SHORT) {
            http_connection_abort(exchange->connection);
            return;
        }
        if (r) {
            exchange_lose(exchange);
            return;
        }
        if (outlet_unsent(out) < before)
            exchange->sent_at = loop_now(loop_of(exchange));
    }
    bool is_discarding = exchange->connection->input == INPUT_DISCARD && exchange->keeps_alive;
    if (exchange->is_finished && outlet_unsent(out) == 0 && !is_discarding)
        exchange_end(exchange);
}

void http_finish(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    struct connection *connection = exchange->connection;
    assert(exchange->is_responded && !exchange->is_finished);

    if (exchange->sending == SENDING_LENGTH && exchange->sent < exchange->content_length &&
        !exchange->is_gone) {
        http_break(public);
        return;
    }
    exchange->is_finished = true;
    public->ops = NULL;
    if (exchange->is_gone)
        return; /* the deferred run closes the connection */
    if (exchange->sending == SENDING_CHUNKED)
        outlet_put(&exchange->out, spares_of(exchange), SPAN("0\r\n\r\n"));
    http_connection_leave_body(connection);
    task_cancel(&connection->task);
    http_exchange_flush(exchange);
    http_connection_wake(connection);
}

void http_break(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    struct connection *connection = exchange->connection;
    assert(!exchange->is_finished);
    exchange->is_finished = true;

    /* A body until close has no other sign of being cut than a reset. */
    if (exchange->sending == SENDING_UNTIL_CLOSE) {
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        IGNORE(setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
               "it is closed in any case");
    } else if (!exchange->is_gone) {
        IGNORE(outlet_flush(&exchange->out, connection->watch.fd, spares_of(exchange)),
               "it is closed in any case");
    }
    http_connection_close(connection);
}

void http_reply(struct http_exchange *public, unsigned status, const struct http_out_field *fields,
                unsigned n_fields, struct span body)
{
    struct http_message response = {
        .status = status,
        .fields = fields,
        .n_fields = n_fields,
        .body = HTTP_SEND_LENGTH,
        .content_length = body.size,
    };
    http_respond(public, &response);
    http_send(public, body);
    http_finish(public);
}
