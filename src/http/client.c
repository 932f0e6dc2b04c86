/* SPDX-License-Identifier: Apache-2.0 */

#include "http/client.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/head.h"
#include "http/relay_copy.h"
#include "http/stream.h"
#include "http/wire.h"

const struct http_pool_settings http_pool_settings_default = {
    .limits = { .head = 65536, .line = 16384 },
    .connect_timeout = NSEC_PER_SEC,
    .idle_timeout = 30 * NSEC_PER_SEC,
    .stall_timeout = 60 * NSEC_PER_SEC,
    .max_idle = 1024,
    .max_connections = 1024,
    .max_in_all = 16384,
    .http2_connections = 1,
    .http2_streams = 100,
};

static void pool_reap(struct task *task)
{
    struct http_pool *pool = container_of(task, struct http_pool, reaper);
    for (struct list *link; (link = list_take_first(&pool->dead));) {
        struct http_stream *stream = container_of(link, struct http_stream, link);
        tls_stream_free(stream->in.tls);
        free(stream);
    }
    http2_pool_reap(&pool->http2);
}

struct http_pool *http_pool_new(struct loop *loop, const struct http_pool_settings *settings)
{
    struct http_pool *pool = mem_new(struct http_pool);
    pool->loop = loop;
    pool->settings = *settings;
    pool->own_census = settings->census ? NULL : http_census_new();
    pool->census = settings->census ? settings->census : pool->own_census;
    map_init(&pool->upstreams);
    list_init(&pool->failed);
    list_init(&pool->dead);
    list_init(&pool->reaper.link);
    pool->reaper.on_run = pool_reap;
    http2_pool_init(&pool->http2, pool);
    return pool;
}

static struct http_upstream_key key_make(const struct address *address, enum http_protocol protocol,
                                         const struct tls_client *tls)
{
    struct http_upstream_key key;
    char *at = key.bytes;
    uintptr_t client = (uintptr_t)tls;
    *at++ = (char)protocol;
    memcpy(at, &client, sizeof(client));
    memcpy(at + sizeof(client), &address->storage, address->size);
    key.size = 1 + sizeof(client) + address->size;
    return key;
}

/* Where an address is looked for before the map is asked: neighbours differ in port or last byte. */
static struct http_upstream **recent_slot(struct http_pool *pool, const struct address *address,
                                          const struct tls_client *tls)
{
    uint64_t words[2];
    memcpy(words, &address->storage, sizeof(words));
    uint64_t mix = (words[0] ^ words[1] ^ (uintptr_t)tls) * 0x9e3779b97f4a7c15u;
    return &pool->recent[mix >> 32 & (RECENT_UPSTREAMS - 1)];
}

static bool is_at(const struct http_upstream *upstream, const struct address *address)
{
    const size_t v4 = sizeof(struct sockaddr_in);
    if (likely(address->size == v4 && upstream->address.size == v4))
        return memcmp(&upstream->address.storage, &address->storage, v4) == 0;
    return address_equals(&upstream->address, address);
}

static struct http_upstream *upstream_find_or_add(struct http_pool *pool,
                                                  const struct address *address,
                                                  const struct http_call *call)
{
    struct http_upstream_key key = key_make(address, call->protocol, call->tls);
    struct span bytes = { key.bytes, key.size };
    struct http_upstream *upstream =
        map_find_as(&pool->upstreams, bytes, struct http_upstream, node);
    if (upstream)
        return upstream;

    upstream = mem_new(struct http_upstream);
    upstream->address = *address;
    upstream->protocol = call->protocol;
    upstream->tls = tls_client_ref(call->tls);
    list_init(&upstream->idle);
    list_init(&upstream->busy);
    list_init(&upstream->sessions);
    upstream->key = key;
    bytes.data = upstream->key.bytes;
    map_add(&pool->upstreams, &upstream->node, bytes);
    return upstream;
}

static inline struct http_upstream *
upstream_get(struct http_pool *pool, const struct address *address, const struct http_call *call)
{
    struct http_upstream **recent = recent_slot(pool, address, call->tls);
    if (unlikely(!*recent || !is_at(*recent, address) || (*recent)->tls != call->tls ||
                 (*recent)->protocol != call->protocol))
        *recent = upstream_find_or_add(pool, address, call);
    return *recent;
}

struct http_upstream *http_upstream_get(struct http_pool *pool, const struct address *address,
                                        const struct http_call *call)
{
    return upstream_get(pool, address, call);
}

void http_upstream_release(struct http_pool *pool, struct http_upstream *upstream)
{
    if (upstream->n_connections > 0)
        return;
    struct http_upstream **recent = recent_slot(pool, &upstream->address, upstream->tls);
    if (*recent == upstream)
        *recent = NULL;
    map_remove(&pool->upstreams, &upstream->node);
    tls_client_unref(upstream->tls);
    free(upstream);
}

void http_upstream_keep(struct http_stream *stream)
{
    struct http_upstream *upstream = stream->upstream;
    list_remove(&stream->link);
    list_add_first(&upstream->idle, &stream->link);
    upstream->n_idle++;
}

void http_upstream_drop(struct http_stream *stream)
{
    struct http_upstream *upstream = stream->upstream;
    list_remove(&stream->link);
    if (!upstream)
        return;
    if (stream->state == STREAM_IDLE)
        upstream->n_idle--;
    upstream->n_connections--;
    http_census_drop_upstream(stream->pool->census);
    stream->upstream = NULL;
    http_upstream_release(stream->pool, upstream);
}

/* The one used last, unless the loop is about to tell of it: then it says something that nobody
 * asked for, or has ended. What comes later still, nobody can know. */
static struct http_stream *upstream_take_idle(struct http_upstream *upstream)
{
    for (;;) {
        if (list_is_empty(&upstream->idle))
            return NULL;
        struct http_stream *stream = container_of(upstream->idle.next, struct http_stream, link);
        if (unlikely(stream->watch.is_due)) {
            upstream->n_connections++; /* or its end could be the upstream's */
            http_stream_close(stream);
            upstream->n_connections--;
            continue;
        }
        list_remove(&stream->link);
        upstream->n_idle--;
        list_add_last(&upstream->busy, &stream->link);
        stream->state = STREAM_AWAITING;
        stream->is_reused = true;
        return stream;
    }
}

/* Closes one connection that nobody uses, to whatever address, the one used longest ago there. */
static bool evict_idle(struct http_pool *pool)
{
    map_each (node, &pool->upstreams) {
        struct http_upstream *upstream = container_of(node, struct http_upstream, node);
        if (http2_upstream_evict(upstream))
            return true;
        if (list_is_empty(&upstream->idle))
            continue;
        http_stream_close(container_of(upstream->idle.prev, struct http_stream, link));
        return true;
    }
    return false;
}

bool http_upstream_take_place(struct http_pool *pool, const struct http_upstream *upstream)
{
    if (upstream->n_connections >= pool->settings.max_connections)
        return false;
    while (!http_census_take_upstream(pool->census, pool->settings.max_in_all)) {
        if (!evict_idle(pool))
            return false;
    }
    return true;
}

/* A kept connection, a new one, or one that can only tell why there is none. */
static struct http_stream *stream_for(struct http_pool *pool, const struct address *to,
                                      const struct http_call *call)
{
    struct http_upstream *upstream = upstream_get(pool, to, call);
    struct http_stream *stream = call->is_fresh ? NULL : upstream_take_idle(upstream);
    if (stream)
        return stream;

    stream = http_stream_new(pool);
    stream->state = STREAM_FAILED;
    stream->has_fault = true;
    stream->fault = HTTP_FAULT_CONNECT;
    int fd = -1;
    if (!http_upstream_take_place(pool, upstream)) {
        stream->fault = HTTP_FAULT_BUSY;
    } else if (socket_connect(to, &fd) == 0) {
        stream->has_fault = false;
        stream->watch.fd = fd;
        http_stream_open(stream, upstream);
    } else {
        http_census_drop_upstream(pool->census);
    }
    http_upstream_release(pool, upstream);
    return stream;
}

bool http_has_body_as_a_rule(struct span method)
{
    return method.data[0] == 'P' &&
           (span_is(method, "POST") || span_is(method, "PUT") || span_is(method, "PATCH"));
}

static bool put_request(struct http_stream *stream, const struct http_message *request)
{
    struct http1_out out = head_begin(&stream->out, &stream->pool->spares, request);
    if (request->is_checked) {
        head_put(&out, request->method);
        head_put(&out, SPAN(" "));
        head_put(&out, request->target);
        head_put(&out, SPAN(" HTTP/1.1\r\n"));
    } else {
        http1_put_request_line(&out, request->method, request->target);
    }
    if (out.is_full)
        return false;
    head_put_fields(&out, request);
    if (unlikely(request->upgrade.size))
        head_put_upgrade(&out, request->upgrade);
    if (out.is_full)
        return false;

    switch (request->body) {
    case HTTP_SEND_NONE:
        if (http_has_body_as_a_rule(request->method))
            head_put(&out, SPAN("content-length: 0\r\n"));
        break;
    case HTTP_SEND_LENGTH: head_put_length(&out, request->content_length); break;
    case HTTP_SEND_UNKNOWN: head_put(&out, SPAN("transfer-encoding: chunked\r\n")); break;
    }
    return head_end(&out, &stream->out);
}

void http_call_fail(struct http_pool *pool, struct http_call *call, enum http_fault fault)
{
    struct http_stream *stream = http_stream_new(pool);
    stream->state = STREAM_FAILED;
    stream->has_fault = true;
    stream->fault = fault;
    stream->call = call;
    call->stream = stream;
    call->wire = NULL;
    task_defer(&stream->task, pool->loop);
}

static void call_start(struct http_pool *pool, struct http_call *call, const struct address *to,
                       const struct http_message *request, nsec deadline)
{
    struct http_stream *stream = stream_for(pool, to, call);
    call->stream = stream;
    call->is_head_request = http_is_head(request->method);

    call->wire = NULL;
    call->reset_code = 0;
    call->trailers = SPAN_NULL;
    call->relay_to = NULL;
    stream->call = call;
    stream->wants_trailers = request->wants_trailers;
    stream->wants_upgrade = request->upgrade.size;
    stream->is_tunnel = false;
    stream->deadline = deadline;
    stream->answer_timeout = call->answer_timeout;
    stream->is_expecting = request->expects_continue;
    call->is_reused = stream->is_reused;
    stream->sent_at = stream->received_at = loop_now(pool->loop);
    stream->sending = request->body;
    stream->content_length = request->body == HTTP_SEND_LENGTH ? request->content_length : 0;
    stream->sent = 0;
    stream->n_interim = stream->interim_size = 0;
    stream->n_received = 0;
    stream->has_spliced = stream->cannot_splice = false;
    stream->has_answer_bytes = stream->is_paused = false;
    stream->is_request_done = request->body != HTTP_SEND_UNKNOWN && stream->content_length == 0;
    if (!stream->has_fault && !put_request(stream, request)) {
        /* Nothing of it has left, but what is wrong with it nobody else will mend. */
        stream->has_fault = true;
        stream->fault = HTTP_FAULT_INVALID;
    }

    if (stream->is_request_done && !stream->has_fault)
        http_stream_flush(stream);
    else
        task_defer(&stream->task, pool->loop);
    http_stream_arm(stream);
}

void http_call_start_1(struct http_pool *pool, struct http_call *call, const struct address *to,
                       const struct http_message *request, nsec deadline)
{
    call_start(pool, call, to, request, deadline);
}

void http_call_start(struct http_pool *pool, struct http_call *call, const struct address *to,
                     const struct http_message *request, nsec deadline)
{
    if (unlikely(call->protocol != HTTP_PROTOCOL_1))
        http2_call_start(pool, call, to, request, deadline);
    else
        call_start(pool, call, to, request, deadline);
}

void http_call_send(struct http_call *call, struct span bytes)
{
    if (unlikely(call->wire)) {
        call->wire->send(call, bytes);
        return;
    }
    struct http_stream *stream = call->stream;
    if (!stream || bytes.size == 0 || stream->has_fault || stream->cannot_send)
        return;
    assert(!stream->is_request_done);

    if (stream->sending == HTTP_SEND_LENGTH) {
        uint64_t left = stream->content_length - stream->sent;
        assert(bytes.size <= left);
        bytes = span_first(bytes, left < bytes.size ? (size_t)left : bytes.size);
    }
    http_stream_put(stream, bytes);
}

void http_call_finish(struct http_call *call)
{
    if (unlikely(call->wire)) {
        call->wire->finish(call);
        return;
    }
    struct http_stream *stream = call->stream;
    if (!stream || stream->is_request_done || stream->has_fault || stream->cannot_send)
        return;

    if (stream->is_tunnel) {
        stream->is_request_done = true;
        http_stream_flush(stream);
        return;
    }
    if (stream->sending == HTTP_SEND_LENGTH) { /* or it would be done */
        stream->has_fault = true;
        stream->fault = HTTP_FAULT_BROKEN;
        task_defer(&stream->task, stream->pool->loop);
        return;
    }
    stream->is_request_done = true;
    outlet_put(&stream->out, &stream->pool->spares, SPAN("0\r\n\r\n"));
    http_stream_flush(stream);
    http_stream_arm(stream);
}

size_t http_call_unsent(const struct http_call *call)
{
    if (unlikely(call->wire))
        return call->wire->unsent(call);
    return call->stream ? outlet_unsent(&call->stream->out) : 0;
}

void http_call_pause(struct http_call *call)
{
    if (unlikely(call->wire)) {
        call->wire->pause(call);
        return;
    }
    if (call->stream)
        call->stream->is_paused = true;
}

void http_call_resume(struct http_call *call)
{
    if (unlikely(call->wire)) {
        call->wire->resume(call);
        return;
    }
    struct http_stream *stream = call->stream;
    if (!stream || !stream->is_paused)
        return;
    stream->is_paused = false;
    stream->received_at = loop_now(stream->pool->loop);
    http_stream_wake(stream);
}

void http_call_cancel(struct http_call *call)
{
    if (unlikely(call->wire)) {
        call->wire->cancel(call);
        return;
    }
    struct http_stream *stream = call->stream;
    if (!stream)
        return;
    call->stream = NULL;
    stream->call = NULL;
    http_relay_copy_end_call(call);
    http_stream_close(stream);
}

static void close_list(struct list *streams)
{
    while (!list_is_empty(streams)) {
        bool is_last = streams->next->next == streams; /* its end may free the list */
        struct http_stream *stream = container_of(streams->next, struct http_stream, link);
        if (stream->call) {
            http_relay_copy_end_call(stream->call);
            stream->call->stream = NULL;
        }
        stream->call = NULL;
        http_stream_close(stream);
        if (is_last)
            return;
    }
}

/* There is one for each protocol; few are spoken. */
void http_pool_forget(struct http_pool *pool, const struct address *to)
{
    map_each (node, &pool->upstreams) {
        struct http_upstream *upstream = container_of(node, struct http_upstream, node);
        if (!address_equals(&upstream->address, to))
            continue;
        upstream->n_connections++; /* it stays until both lists are empty */
        close_list(&upstream->idle);
        http2_upstream_forget(upstream);
        upstream->n_connections--;
        http_upstream_release(pool, upstream);
    }
}

void http_pool_set(struct http_pool *pool, const struct http_pool_settings *settings)
{
    pool->settings = *settings;
    pool->http2.limits.max_fields_size = (uint32_t)settings->limits.head;
}

struct http_pool *http_pool_free(struct http_pool *pool)
{
    if (!pool)
        return NULL;

    close_list(&pool->failed);
    map_each (node, &pool->upstreams) {
        struct http_upstream *upstream = container_of(node, struct http_upstream, node);
        upstream->n_connections++; /* it stays until both lists are empty */
        close_list(&upstream->idle);
        close_list(&upstream->busy);
        http2_upstream_close(upstream);
        upstream->n_connections--;
        http_upstream_release(pool, upstream);
    }
    pool_reap(&pool->reaper);
    task_cancel(&pool->reaper);
    map_fini(&pool->upstreams);
    relay_pipe_close(&pool->pipe);
    http2_pool_fini(&pool->http2);
    spares_fini(&pool->spares);
    tls_scratch_free(pool->tls);
    http_census_free(pool->own_census);
    free(pool);
    return NULL;
}
