/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/forward_headers.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/hash.h"
#include "gateway/cookie.h"

#define REQUEST_ID_MAX 128u

static void put(struct forward *forward, struct span name, struct span value)
{
    if (forward->n_fields < FORWARD_FIELDS_MAX)
        forward->fields[forward->n_fields++] = (struct http_out_field){ name, value };
}

/* Memory for a value that has to be made; what does not fit is left out by the caller. */
static char *take_memory(struct forward *forward, size_t size)
{
    if (size > sizeof(forward->memory) - forward->used)
        return NULL;
    char *memory = forward->memory + forward->used;
    forward->used += size;
    return memory;
}

static bool has_prefix_nocase(struct span name, struct span prefix)
{
    return span_equals_nocase(span_first(name, prefix.size), prefix);
}

/* Names that only we say, in either spelling: a CGI-like reader folds "_" to "-". */
static bool is_ours(struct span name)
{
    return has_prefix_nocase(name, SPAN("sarsen-")) || has_prefix_nocase(name, SPAN("sarsen_"));
}

/* --- requests --- */

/* Fields of the head that never go on, or that are written anew below. */
static bool is_replaced(enum http_name id)
{
    switch ((int)id) {
    case HTTP_HOST:
    case HTTP_CONTENT_LENGTH:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_EXPECT:
    case HTTP_DATE:
    case HTTP_BAGGAGE:
    case HTTP_TRACEPARENT:
    case HTTP_TRACESTATE:
    case HTTP_X_REQUEST_ID:
    case HTTP_X_FORWARDED_FOR:
    case HTTP_X_FORWARDED_HOST:
    case HTTP_X_FORWARDED_PROTO:
    case HTTP_SARSEN_BOM:
    case HTTP_SARSEN_BUILD:
    case HTTP_SARSEN_CALLER:
    case HTTP_SARSEN_CONTRACT:
    case HTTP_SARSEN_CUSTOMER:
    case HTTP_SARSEN_DEADLINE:
    case HTTP_SARSEN_SERVICE: return true;
    default: return false;
    }
}

/* Names no client may use towards a service. "Sarsen_Customer" would reach a Rack or CGI
 * application under the very name that a gateway's own header has. */
static bool is_forged(const struct http_field *field)
{
    struct span name = field->name;
    return has_prefix_nocase(name, SPAN("x-forwarded-")) ||
           span_equals_nocase(name, SPAN("forwarded")) ||
           span_equals_nocase(name, SPAN("x-real-ip")) || field->has_underscore;
}

static void put_cookie(struct forward *forward, const struct http_field *field)
{
    if (!memmem(field->value.data, field->value.size, COOKIE_NAME "=", sizeof(COOKIE_NAME))) {
        put(forward, field->name, field->value);
        return;
    }
    char *memory = take_memory(forward, field->value.size);
    if (!memory)
        return;
    size_t size = cookie_strip(field->value, memory);
    if (size)
        put(forward, field->name, (struct span){ memory, size });
}

static void pass_request_fields(const struct forward_context *context, struct forward *forward)
{
    const struct http_head *head = context->head;
    for (unsigned i = 0; i < head->n_fields; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->is_hop_by_hop || is_replaced(field->id))
            continue;
        if (field->id == HTTP_COOKIE) {
            put_cookie(forward, field);
            continue;
        }
        /* Fields with a known name are none of those below, so most fields end here. */
        if (field->id != HTTP_OTHER && field->id != HTTP_FORWARDED) {
            put(forward, field->name, field->value);
            continue;
        }
        if (is_ours(field->name))
            continue;
        if (!context->is_internal && is_forged(field))
            continue;
        put(forward, field->name, field->value);
    }
}

/* By hand: inet_ntop() goes through printf, which costs a tenth of a proxied request. */
static size_t put_ipv4(const uint8_t bytes[4], char *text)
{
    size_t size = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned byte = bytes[i];
        if (i)
            text[size++] = '.';
        if (byte >= 100)
            text[size++] = (char)('0' + byte / 100);
        if (byte >= 10)
            text[size++] = (char)('0' + byte / 10 % 10);
        text[size++] = (char)('0' + byte % 10);
    }
    return size;
}

/* The peer's address without its port; empty for a unix socket. */
static struct span peer_text(struct forward *forward, const struct address *peer)
{
    char *memory = take_memory(forward, INET6_ADDRSTRLEN);
    if (!memory || !peer)
        return SPAN_NULL;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer->storage;
    if (peer->any.sa_family == AF_INET)
        return (struct span){ memory, put_ipv4((const uint8_t *)&v4->sin_addr, memory) };
    if (peer->any.sa_family != AF_INET6)
        return SPAN_NULL;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return (struct span){ memory, put_ipv4(&v6->sin6_addr.s6_addr[12], memory) };
    return span_of(inet_ntop(AF_INET6, &v6->sin6_addr, memory, INET6_ADDRSTRLEN));
}

/* All lines of the list and the peer in one line: many applications read the first line only. A
 * list longer than we pass on says nothing trustworthy and is begun anew. */
static struct span forwarded_for(const struct forward_context *context, struct forward *forward)
{
    const struct http_head *head = context->head;
    struct span peer = peer_text(forward, context->peer);
    if (!context->is_internal || !head->by_name[HTTP_X_FORWARDED_FOR])
        return peer;
    char *memory = take_memory(forward, FORWARD_LIST_MAX);
    struct http1_out out = { .data = memory, .capacity = memory ? FORWARD_LIST_MAX : 0 };
    for (unsigned i = head->by_name[HTTP_X_FORWARDED_FOR] - 1u; i < head->n_fields; i++) {
        if (head->fields[i].id != HTTP_X_FORWARDED_FOR || !head->fields[i].value.size)
            continue;
        if (out.size)
            http1_put(&out, SPAN(", "));
        http1_put(&out, head->fields[i].value);
    }
    if (peer.size) {
        if (out.size)
            http1_put(&out, SPAN(", "));
        http1_put(&out, peer);
    }
    return out.is_full ? peer : (struct span){ out.data, out.size };
}

static void put_forwarded(const struct forward_context *context, struct forward *forward)
{
    const struct http_head *head = context->head;
    struct span list = forwarded_for(context, forward);
    if (list.size)
        put(forward, SPAN("X-Forwarded-For"), list);

    struct span host = SPAN_NULL;
    struct span scheme = SPAN_NULL;
    if (context->is_internal) {
        host = http_head_value(head, HTTP_X_FORWARDED_HOST);
        scheme = http_head_value(head, HTTP_X_FORWARDED_PROTO);
    }
    if (!host.size)
        host = head->authority;
    if (!scheme.size)
        scheme = context->is_secure ? SPAN("https") : SPAN("http");
    if (host.size) /* a client of HTTP/1.0 need not name one */
        put(forward, SPAN("X-Forwarded-Host"), host);
    put(forward, SPAN("X-Forwarded-Proto"), scheme);
}

/* Exactly one, printable and of bounded size: it ends up in everybody's logs. */
static bool request_id_is_sane(struct span id)
{
    if (id.size == 0 || id.size > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (id.data[i] <= ' ' || id.data[i] > '~')
            return false;
    }
    return true;
}

static struct span trace_id(struct span traceparent)
{
    return span_first(span_from(traceparent, 3), 32);
}

/* A trace that comes in goes on as it is; one that starts here also names the request. What an
 * edge client calls its request is not believed: it would choose the line that others find. */
static void put_trace(const struct forward_context *context, struct forward *forward)
{
    const struct http_head *head = context->head;
    char *memory = take_memory(forward, TRACEPARENT_SIZE + 1);
    if (!memory)
        return;
    traceparent_format(context->random, memory);
    struct span own = { memory, TRACEPARENT_SIZE };
    struct span trace = http_head_value(head, HTTP_TRACEPARENT);
    if (traceparent_is_valid(trace)) {
        struct span state = http_head_value(head, HTTP_TRACESTATE);
        if (state.size)
            put(forward, SPAN("tracestate"), state);
    } else {
        trace = own;
    }
    put(forward, SPAN("traceparent"), trace);

    struct span id = http_head_value(head, HTTP_X_REQUEST_ID);
    if (!context->is_internal)
        id = trace_id(own);
    else if (!request_id_is_sane(id))
        id = trace_id(trace);
    put(forward, SPAN("X-Request-Id"), id);
}

static void put_baggage(const struct forward_context *context, struct forward *forward)
{
    size_t capacity = BAGGAGE_MAX_BYTES;
    char *memory = take_memory(forward, capacity);
    struct http1_out out = { .data = memory, .capacity = memory ? capacity : 0 };
    baggage_put(&out, context->head, context->ours);
    if (out.size)
        put(forward, SPAN("baggage"), (struct span){ out.data, out.size });
    if (memory)
        forward->used -= capacity - out.size;
}

static void put_deadline(const struct forward_context *context, struct forward *forward)
{
    if (!context->deadline_ms)
        return;
    char digits[24];
    size_t at = sizeof(digits);
    for (uint64_t left = context->deadline_ms; left; left /= 10)
        digits[--at] = (char)('0' + left % 10);
    char *memory = take_memory(forward, sizeof(digits) - at);
    if (!memory)
        return;
    memcpy(memory, digits + at, sizeof(digits) - at);
    put(forward, SPAN("Sarsen-Deadline"), (struct span){ memory, sizeof(digits) - at });
}

void forward_request(const struct forward_context *context, struct forward *ret_forward)
{
    struct forward *forward = ret_forward;
    forward->n_fields = 0;
    forward->used = 0;
    put(forward, SPAN("Host"), context->head->authority);
    /* Ours before the client's, so that a full table can only cost the client. */
    put_baggage(context, forward);
    put_trace(context, forward);
    put_forwarded(context, forward);
    put_deadline(context, forward);
    pass_request_fields(context, forward);
}

/* --- responses --- */

static bool is_cookie_of_ours(struct span set_cookie)
{
    return span_is(span_trim(span_first(set_cookie, span_find(set_cookie, '='))), COOKIE_NAME);
}

static bool passes_back(const struct http_field *field)
{
    if (field->is_hop_by_hop)
        return false;
    switch ((int)field->id) {
    case HTTP_CONTENT_LENGTH:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_DATE:
    case HTTP_SARSEN_BOM:
    case HTTP_SARSEN_BUILD:
    case HTTP_SARSEN_CALLER:
    case HTTP_SARSEN_CONTRACT:
    case HTTP_SARSEN_CUSTOMER:
    case HTTP_SARSEN_DEADLINE:
    case HTTP_SARSEN_SERVICE: return false;
    case HTTP_SET_COOKIE: return !is_cookie_of_ours(field->value);
    case HTTP_OTHER: return !is_ours(field->name);
    default: return true;
    }
}

void forward_response(const struct http_head *head, const struct forward_answer *ours,
                      struct forward *ret_forward)
{
    struct forward *forward = ret_forward;
    forward->n_fields = 0;
    forward->used = 0;
    put(forward, SPAN("Sarsen-Bom"), ours->bom);
    put(forward, SPAN("Sarsen-Contract"), ours->contract);
    put(forward, SPAN("Sarsen-Build"), ours->build);
    if (ours->set_cookie.size)
        put(forward, SPAN("Set-Cookie"), ours->set_cookie);
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (passes_back(&head->fields[i]))
            put(forward, head->fields[i].name, head->fields[i].value);
    }
}
