/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As on the server's side, bytes are received in stream_run() only, which the loop calls; callers'
 * functions send, change the state and defer a run. A fault is told once, from there.
 */

#include "http/stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/relay_copy.h"
#include "http/shake.h"

#define MAX_INTERIM 16u
/* Holds most answers whole; of longer ones the rest is asked for when it is clear who takes it. */
#define FIRST_RECEIVE 32768u
#define MUCH 131072u /* where so much is kept for a taker's connection, a page has to do */
#define SMALL_RECEIVE 4096u

static void stream_run(struct http_stream *stream);

static nsec stream_deadline(const struct http_stream *stream)
{
    const struct http_pool_settings *settings = &stream->pool->settings;
    nsec at = NSEC_NEVER;
    switch (stream->state) {
    case STREAM_FAILED: return NSEC_NEVER;
    case STREAM_CONNECTING:
        return earlier(stream->deadline, after(stream->since, settings->connect_timeout));
    case STREAM_IDLE: return after(stream->since, settings->idle_timeout);
    case STREAM_AWAITING:
        at = stream->deadline;
        /* One that waits for 100 has not been sent either, but it is the service's turn. */
        if (stream->answer_timeout && (stream->is_request_done || stream->is_expecting) &&
            outlet_unsent(&stream->out) == 0)
            at = earlier(at, after(stream->sent_at, stream->answer_timeout));
        break;
    case STREAM_RECEIVING:
        if (stream->is_paused || stream->is_held)
            break;
        if (!stream->is_tunnel)
            at = after(stream->received_at,
                       stream->low_mark > 1 ? RELAY_PATIENCE : settings->stall_timeout);
        break;
    }
    if (outlet_unsent(&stream->out) > 0)
        at = earlier(at, after(stream->sent_at, settings->stall_timeout));
    return at;
}

void http_stream_arm(struct http_stream *stream)
{
    /* Deadlines are noted as they come, and a timer that is due sooner looks again. */
    nsec soon = stream->timer.node.at;
    bool is_running = timer_is_running(&stream->timer);
    if (is_running && stream->state == STREAM_IDLE &&
        soon <= stream->since + stream->pool->settings.idle_timeout)
        return;
    nsec at = stream_deadline(stream);
    if (at == NSEC_NEVER || stream->is_closed)
        return;
    if (!is_running || at < soon)
        timer_start(&stream->timer, stream->pool->loop, at);
}

void http_stream_close(struct http_stream *stream)
{
    struct http_pool *pool = stream->pool;
    if (stream->is_closed)
        return;
    stream->is_closed = true;
    http_relay_end_stream(stream);
    watch_remove(&stream->watch);
    if (unlikely(stream->in.tls) && stream->state == STREAM_IDLE)
        tls_stream_close(stream->in.tls);
    if (stream->watch.fd >= 0)
        close(stream->watch.fd);
    timer_stop(&stream->timer);
    task_cancel(&stream->task);
    inlet_fini(&stream->in, &pool->spares);
    outlet_fini(&stream->out, &pool->spares);
    fifo_clear(&stream->trailers, &pool->spares);
    http_upstream_drop(stream);
    list_add_last(&pool->dead, &stream->link);
    task_defer(&pool->reaper, pool->loop);
}

static void stream_fail(struct http_stream *stream, enum http_fault fault)
{
    struct http_call *call = stream->call;
    stream->call = NULL;
    http_stream_close(stream);
    if (!call)
        return;
    call->stream = NULL;
    http_relay_copy_end_call(call);
    call->ops->on_fault(call, fault);
}

/* The connection ended: what that means depends on how far the call had come. */
static void stream_break(struct http_stream *stream)
{
    if (stream->state == STREAM_CONNECTING)
        stream_fail(stream, HTTP_FAULT_CONNECT);
    else if (stream->is_reused && !stream->has_answer_bytes)
        stream_fail(stream, HTTP_FAULT_STALE);
    else
        stream_fail(stream, HTTP_FAULT_BROKEN);
}

/* No stall yet: the kernel may hold some bytes back for want of more. */
static void stream_lose_patience(struct http_stream *stream)
{
    http_relay_lose_patience(stream);
    stream_run(stream);
}

static void stream_on_due(struct timer *timer)
{
    struct http_stream *stream = container_of(timer, struct http_stream, timer);
    if (stream_deadline(stream) > loop_now(stream->pool->loop))
        http_stream_arm(stream);
    else if (stream->state == STREAM_IDLE)
        http_stream_close(stream);
    else if (stream->state == STREAM_CONNECTING)
        stream_fail(stream, HTTP_FAULT_CONNECT_TIMEOUT);
    else if (stream->state == STREAM_RECEIVING && stream->low_mark > 1)
        stream_lose_patience(stream);
    else
        stream_fail(stream, HTTP_FAULT_TIMEOUT);
}

/* Errors do not end the call here: the peer may have answered before it closed, and that answer
 * counts. */
static void stream_lose_sending(struct http_stream *stream)
{
    stream->cannot_send = true;
    stream->keeps_alive = false;
    outlet_fini(&stream->out, &stream->pool->spares);
    stream->in.is_readable = stream->in.is_ending = true;
    task_defer(&stream->task, stream->pool->loop);
}

/* Of a tunnel: our direction ends when all has left. */
static void end_sending(struct http_stream *stream)
{
    if (stream->is_request_done && !stream->cannot_send)
        shutdown(stream->watch.fd, SHUT_WR);
}

void http_stream_flush(struct http_stream *stream)
{
    size_t before = outlet_unsent(&stream->out);
    if (unlikely(stream->is_tunnel) && before == 0)
        end_sending(stream);
    if (before == 0 || stream->state == STREAM_CONNECTING || stream->cannot_send)
        return;
    if (outlet_flush(&stream->out, stream->watch.fd, &stream->pool->spares))
        stream_lose_sending(stream);
    else if (outlet_unsent(&stream->out) < before)
        stream->sent_at = loop_now(stream->pool->loop);
    if (unlikely(stream->is_tunnel) && outlet_unsent(&stream->out) == 0)
        end_sending(stream);
}

void http_stream_put(struct http_stream *stream, struct span bytes)
{
    struct spares *spares = &stream->pool->spares;
    bool is_chunked = stream->sending == HTTP_SEND_UNKNOWN && !stream->is_tunnel;
    struct span tail = is_chunked ? SPAN("\r\n") : SPAN_NULL;
    if (is_chunked) {
        char text[24];
        struct http1_out head = { .data = text, .capacity = sizeof(text) };
        http1_put_chunk_head(&head, bytes.size);
        outlet_put(&stream->out, spares, (struct span){ head.data, head.size });
    }
    stream->is_expecting = false;
    stream->sent += bytes.size;
    stream->is_request_done =
        !is_chunked && !stream->is_tunnel && stream->sent == stream->content_length;

    bool is_small = outlet_unsent(&stream->out) + bytes.size < OUTLET_LARGE;
    bool waits = stream->state == STREAM_CONNECTING || stream->out.is_blocked;
    if (waits || (is_small && !stream->is_request_done)) {
        outlet_put(&stream->out, spares, bytes);
        outlet_put(&stream->out, spares, tail);
        if (!waits)
            task_defer(&stream->task, stream->pool->loop);
        return;
    }
    stream->sent_at = loop_now(stream->pool->loop);
    if (outlet_send(&stream->out, stream->watch.fd, spares, bytes, tail))
        stream_lose_sending(stream);
    http_stream_arm(stream);
}

/* A receive that was filled by the answer does not show whether anything lies behind it. */
static bool is_drained(struct http_stream *stream)
{
    char byte;
    struct span bytes;
    if (!stream->in.is_readable)
        return true;
    /* Over TLS there may be a ticket behind it, which is nobody's answer. */
    if (unlikely(stream->in.tls))
        return inlet_receive(&stream->in, stream->watch.fd, stream->pool->hot, FIRST_RECEIVE,
                             &stream->pool->spares, &bytes) == INLET_NOTHING;
    if (recv(stream->watch.fd, &byte, 1, MSG_PEEK) >= 0 || errno != EAGAIN)
        return false;
    stream->in.is_readable = false;
    return true;
}

/* The answer is complete. `has_more` bytes behind it nobody asked for, and a connection that
 * brought some is never used again. */
static void stream_end(struct http_stream *stream, bool has_more)
{
    struct http_call *call = stream->call;
    struct http_upstream *upstream = stream->upstream;
    bool is_reusable = stream->keeps_alive && stream->is_request_done && !has_more &&
                       !stream->cannot_send && !stream->in.is_ending &&
                       outlet_unsent(&stream->out) == 0 &&
                       upstream->n_idle < stream->pool->settings.max_idle && is_drained(stream);
    http_relay_end_stream(stream);
    stream->call = NULL;
    call->stream = NULL;
    http_relay_copy_end_call(call);
    if (is_reusable) {
        http_upstream_keep(stream);
        stream->state = STREAM_IDLE;
        stream->since = loop_now(stream->pool->loop);
    } else {
        http_stream_close(stream);
    }
    call->ops->on_end(call);
}

/* The decoder bounds the section. */
static void keep_trailers(struct http_stream *stream, struct span piece)
{
    if (stream->wants_trailers)
        fifo_append(&stream->trailers, &stream->pool->spares, piece);
}

/* Reads the section and writes what may be passed on; false when it breaks the rules. */
static bool read_trailers(struct http_stream *stream, struct fifo *lines)
{
    struct http_pool *pool = stream->pool;
    struct http_head *head = &pool->head; /* that of the response is over */
    struct http1_error error;
    struct span section = fifo_span(&stream->trailers);
    if (section.size == 0)
        return true;
    if (http1_parse_trailers(section, &pool->settings.limits, head, &error))
        return false;

    size_t size = section.size + head->n_fields * sizeof(": ");
    struct http1_out out = { .data = fifo_reserve(lines, &pool->spares, size), .capacity = size };
    for (unsigned i = 0; i < head->n_fields; i++)
        http1_put_parsed(&out, &head->fields[i]);
    fifo_grow(lines, out.size);
    fifo_clear(&stream->trailers, &pool->spares);
    return true;
}

RARE static void complete_with_trailers(struct http_stream *stream, bool has_more)
{
    struct http_pool *pool = stream->pool;
    struct http_call *call = stream->call;
    struct fifo lines = { 0 };
    if (!read_trailers(stream, &lines)) {
        stream_fail(stream, HTTP_FAULT_INVALID);
        return;
    }
    call->trailers = fifo_span(&lines);
    stream_end(stream, has_more);
    fifo_clear(&lines, &pool->spares); /* the call may be gone */
}

static void stream_complete(struct http_stream *stream, bool has_more)
{
    if (unlikely(fifo_size(&stream->trailers) > 0))
        complete_with_trailers(stream, has_more);
    else
        stream_end(stream, has_more);
}

static void begin_body(struct http_stream *stream)
{
    struct http_call *call = stream->call;
    const struct http_head *head = &stream->pool->head;
    stream->state = STREAM_RECEIVING;
    stream->keeps_alive = head->is_keep_alive;
    http_body_init(&stream->body, head);
    call->ops->on_response(call, head);
}

static void begin_tunnel(struct http_stream *stream)
{
    struct http_call *call = stream->call;
    stream->state = STREAM_RECEIVING;
    stream->is_tunnel = true;
    stream->keeps_alive = stream->is_request_done = false;
    stream->body = (struct http_body){ .framing = HTTP_BODY_UNTIL_CLOSE };
    call->ops->on_upgraded(call, &stream->pool->head);
}

/* What comes before the answer counts towards the limit of its head, so that nobody is made to pass
 * on more of it than of that. */
static void pass_interim(struct http_stream *stream)
{
    struct http_pool *pool = stream->pool;
    struct http_call *call = stream->call;
    stream->interim_size += (uint32_t)pool->head.size;
    bool is_refused = pool->head.status == 101 || ++stream->n_interim > MAX_INTERIM ||
                      stream->interim_size > pool->settings.limits.head;
    if (is_refused)
        stream_fail(stream, HTTP_FAULT_INVALID);
    else if (call->ops->on_interim)
        call->ops->on_interim(call, &pool->head);
}

/* Like the server's: nothing to look at unless a line has ended, or the head has grown too long. */
static bool head_has_news(struct http_stream *stream, struct span bytes)
{
    size_t seen = stream->scanned;
    if (seen == 0 || bytes.size >= stream->pool->settings.limits.line)
        return true;
    stream->scanned = bytes.size;
    return memchr(bytes.data + seen, '\n', bytes.size - seen) != NULL;
}

static size_t use_head(struct http_stream *stream, struct span bytes)
{
    struct http_pool *pool = stream->pool;
    struct span method = stream->call->is_head_request ? SPAN("HEAD") : SPAN("GET");
    struct http1_error error;
    if (!head_has_news(stream, bytes))
        return 0;

    switch (http1_parse_response(bytes, method, &pool->settings.limits, &pool->head, &error)) {
    case HTTP1_OK: break;
    case HTTP1_MORE: stream->scanned = bytes.size; return 0;
    default: stream_fail(stream, HTTP_FAULT_INVALID); return 0;
    }
    size_t size = pool->head.size;
    stream->scanned = 0;
    if (pool->head.status >= 200)
        begin_body(stream);
    else if (unlikely(stream->wants_upgrade && pool->head.upgrade.data))
        begin_tunnel(stream);
    else
        pass_interim(stream);
    return size;
}

static void pass_data(struct http_stream *stream, struct span data)
{
    if (stream->relay_to)
        http_relay_data(stream, data);
    else if (unlikely(stream->call->relay_to))
        http_relay_copy(stream->call, data);
    else
        stream->call->ops->on_body(stream->call, data);
}

static size_t use_body(struct http_stream *stream, struct span bytes)
{
    struct span rest = bytes, data;
    while (!stream->is_closed && !stream->is_paused) {
        switch (http_body_decode(&stream->body, &rest, &data)) {
        case HTTP1_CHUNK_DATA: pass_data(stream, data); break;
        case HTTP1_CHUNK_TRAILER: keep_trailers(stream, data); break;
        case HTTP1_CHUNK_END: stream_complete(stream, rest.size > 0); return bytes.size;
        case HTTP1_CHUNK_MORE: return bytes.size - rest.size;
        default: stream_fail(stream, HTTP_FAULT_INVALID); return bytes.size;
        }
    }
    return bytes.size - rest.size;
}

/* Uses what it can, returns how much. After each step the caller may have done anything. */
static size_t stream_use(struct http_stream *stream, struct span bytes)
{
    size_t used = 0;
    while (!stream->is_closed && stream->state == STREAM_AWAITING && used < bytes.size &&
           !stream->is_paused) {
        size_t n = use_head(stream, span_from(bytes, used));
        if (n == 0)
            return used;
        used += n;
    }
    if (!stream->is_closed && stream->state == STREAM_RECEIVING)
        used += use_body(stream, span_from(bytes, used));
    return used;
}

static void stream_end_of_input(struct http_stream *stream)
{
    /* Where sending failed, the error that says whether this is the end has been taken by that. */
    bool ends_body = stream->state == STREAM_RECEIVING && stream->call && !stream->cannot_send &&
                     stream->body.framing == HTTP_BODY_UNTIL_CLOSE;
    if (ends_body)
        stream_end(stream, false);
    else
        stream_break(stream);
}

static bool stream_receive(struct http_stream *stream, size_t size)
{
    struct http_pool *pool = stream->pool;
    struct span bytes;
    switch (inlet_receive(&stream->in, stream->watch.fd, pool->hot, size, &pool->spares, &bytes)) {
    case INLET_BYTES: break;
    case INLET_END: stream_end_of_input(stream); return false;
    case INLET_GONE: stream_break(stream); return false;
    default: return false;
    }
    if (stream->state == STREAM_IDLE) {
        http_stream_close(stream); /* it says something, and nobody asked */
        return false;
    }
    stream->has_answer_bytes = true;
    stream->received_at = loop_now(pool->loop);
    stream->n_received = bytes.size;
    size_t used = stream_use(stream, bytes);
    if (!stream->is_closed)
        inlet_settle(&stream->in, &pool->spares, bytes, used);
    return true;
}

/* What was kept while the caller paused; true when that changed anything. */
static bool stream_use_kept(struct http_stream *stream)
{
    size_t n_kept = fifo_size(&stream->in.kept);
    bool has_any = n_kept > stream->scanned || stream->state == STREAM_RECEIVING;
    if (!has_any || stream->state == STREAM_IDLE)
        return false;
    enum stream_state before = stream->state;
    struct span bytes = n_kept ? fifo_span(&stream->in.kept) : SPAN_NULL;
    size_t used = stream_use(stream, bytes);
    if (stream->is_closed)
        return false;
    if (n_kept > 0)
        inlet_settle(&stream->in, &stream->pool->spares, bytes, used);
    return used > 0 || stream->state != before;
}

static bool stream_splice(struct http_stream *stream, size_t room)
{
    switch (http_relay_splice(stream, room)) {
    case RELAY_OK: return true;
    case RELAY_DONE: stream_complete(stream, false); return true;
    case RELAY_END: stream_end_of_input(stream); return false;
    case RELAY_GONE: stream_break(stream); return false;
    default: return false;
    }
}

static bool stream_advance(struct http_stream *stream, unsigned *n_reads)
{
    if (stream->is_closed || stream->is_paused || stream->is_held ||
        stream->state <= STREAM_CONNECTING)
        return false;
    if (stream_use_kept(stream))
        return true;
    if (stream->is_closed || stream->is_paused || !stream->in.is_readable)
        return false;
    if (++*n_reads > READS_PER_RUN) {
        task_defer(&stream->task, stream->pool->loop);
        return false;
    }
    if (!stream->relay_to) {
        const uint64_t *n_kept = stream->call ? stream->call->n_kept : NULL;
        bool is_much = unlikely(n_kept) && *n_kept > MUCH;
        return stream_receive(stream, is_much ? SMALL_RECEIVE : FIRST_RECEIVE);
    }
    size_t room = http_relay_room(stream);
    if (room == 0)
        return false;
    return http_relay_splices(stream) ? stream_splice(stream, room) : stream_receive(stream, room);
}

static void stream_tell_drained(struct http_stream *stream)
{
    struct http_call *call = stream->call;
    if (call && !stream->is_request_done && !stream->cannot_send && call->ops->on_drained)
        call->ops->on_drained(call);
}

static void stream_run(struct http_stream *stream)
{
    unsigned n_reads = 0;
    if (stream->is_running)
        return;
    if (stream->has_fault) {
        stream_fail(stream, stream->fault);
        return;
    }

    stream->is_running = true;
    if (stream->state >= STREAM_AWAITING && outlet_unsent(&stream->out) > 0) {
        http_stream_flush(stream);
        if (outlet_unsent(&stream->out) == 0)
            stream_tell_drained(stream);
    }
    while (stream_advance(stream, &n_reads))
        continue;
    stream->is_running = false;
    http_stream_arm(stream);
}

void http_stream_wake(struct http_stream *stream)
{
    if (!stream->is_running && !stream->is_closed)
        task_defer(&stream->task, stream->pool->loop);
}

/* True when it stands. */
static bool stream_shake(struct http_stream *stream)
{
    struct http_pool *pool = stream->pool;
    if (!stream->in.tls) {
        shake_begin(&stream->in, pool, stream->upstream, stream->watch.fd, TLS_ALPN_HTTP1);
        outlet_seal(&stream->out, stream->in.tls);
    }
    int r = shake_on(&stream->in, pool, stream->watch.fd);
    if (r == SHAKE_DONE && fifo_size(&stream->in.kept) > 0)
        r = SHAKE_FAILED; /* an answer, before anything was asked */
    if (r == SHAKE_FAILED) {
        if (stream->call)
            stream->call->why = shake_failure(&stream->in);
        stream_fail(stream, HTTP_FAULT_TLS);
    }
    return r == SHAKE_DONE;
}

static void stream_on_ready(struct watch *watch, uint32_t events)
{
    struct http_stream *stream = container_of(watch, struct http_stream, watch);
    inlet_note(&stream->in, events);
    if (stream->state == STREAM_CONNECTING) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !stream->in.tls)
            return;
        if (socket_error(watch->fd)) {
            stream_fail(stream, HTTP_FAULT_CONNECT);
            return;
        }
        if (unlikely(stream->upstream->tls) && !stream_shake(stream))
            return;
        stream->state = STREAM_AWAITING;
        stream->sent_at = loop_now(stream->pool->loop);
    }
    if (events & EPOLLOUT)
        stream->out.is_blocked = false;
    stream_run(stream);
}

static void stream_on_run(struct task *task)
{
    stream_run(container_of(task, struct http_stream, task));
}

struct http_stream *http_stream_new(struct http_pool *pool)
{
    struct http_stream *stream = mem_new(struct http_stream);
    stream->pool = pool;
    stream->watch.fd = -1;
    stream->watch.on_ready = stream_on_ready;
    stream->timer.on_due = stream_on_due;
    stream->task.on_run = stream_on_run;
    stream->since = loop_now(pool->loop);
    stream->low_mark = 1;
    list_init(&stream->task.link);
    list_add_last(&pool->failed, &stream->link);
    return stream;
}

void http_stream_open(struct http_stream *stream, struct http_upstream *upstream)
{
    struct http_pool *pool = stream->pool;
    stream->upstream = upstream;
    stream->state = STREAM_CONNECTING;
    upstream->n_connections++;
    list_remove(&stream->link);
    list_add_last(&upstream->busy, &stream->link);
    if (watch_add(&stream->watch, pool->loop, stream->watch.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP)) {
        stream->has_fault = true;
        stream->fault = HTTP_FAULT_CONNECT;
    }
}
