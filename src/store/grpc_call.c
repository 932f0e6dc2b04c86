/* SPDX-License-Identifier: Apache-2.0 */

#include "store/grpc_call.h"

#include <stdio.h>

#include "codec/http1.h"

/* What a server may send as one message: a page of keys, or changes that come in parts. */
#define MESSAGE_MAX ((size_t)256 * 1024 * 1024)

static void call_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    call->is_open = false;
    buf_fini(&call->in);
    call->ops->on_end(call, status, text);
}

static void call_fail(struct grpc_call *call, enum grpc_status status, const char *text)
{
    http_call_cancel(&call->http);
    call_end(call, status, span_of(text));
}

static void call_read_field(struct grpc_call *call, struct span name, struct span value)
{
    if (span_equals_nocase(name, SPAN("grpc-status"))) {
        call->has_status = true;
        call->status = grpc_status_parse(value);
    } else if (span_equals_nocase(name, SPAN("grpc-message"))) {
        snprintf(call->text, sizeof(call->text), "%.*s", SPAN_ARG(value));
    }
}

static void call_read_trailers(struct grpc_call *call, struct span lines)
{
    while (lines.data) {
        struct span value = span_cut(&lines, '\n'), name = span_cut(&value, ':');
        if (span_ends_with(value, SPAN("\r")))
            value.size--;
        call_read_field(call, name, span_trim(value));
    }
}

static void on_response(struct http_call *http, const struct http_head *head)
{
    struct grpc_call *call = container_of(http, struct grpc_call, http);
    for (unsigned i = 0; i < head->n_fields; i++)
        call_read_field(call, head->fields[i].name, head->fields[i].value);
    if (head->status != 200 && !call->has_status) {
        char text[64];
        snprintf(text, sizeof(text), "answered HTTP status %u", head->status);
        call_fail(call, grpc_status_of_http(head->status), text);
    }
}

static void on_body(struct http_call *http, struct span bytes)
{
    struct grpc_call *call = container_of(http, struct grpc_call, http);
    buf_put(&call->in, bytes);
    call->is_reading = true;
    size_t used = 0;
    while (call->is_open && call->in.size - used >= GRPC_FRAME_HEAD) {
        const uint8_t *head = (const uint8_t *)call->in.data + used;
        size_t size =
            (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (head[0] != 0 || size > MESSAGE_MAX) {
            call_fail(call, GRPC_INTERNAL, "sent a message that cannot be read");
            return;
        }
        if (call->in.size - used - GRPC_FRAME_HEAD < size)
            break;
        used += GRPC_FRAME_HEAD + size;
        call->ops->on_message(call, (struct span){ (const char *)head + GRPC_FRAME_HEAD, size });
    }
    call->is_reading = false;
    if (call->is_open)
        buf_consume(&call->in, used);
    else
        buf_fini(&call->in); /* it was given up in between, while `head` lay in it */
}

static void on_http_end(struct http_call *http)
{
    struct grpc_call *call = container_of(http, struct grpc_call, http);
    call_read_trailers(call, http_call_trailers(http));
    if (!call->has_status)
        call_end(call, GRPC_UNKNOWN, SPAN("ended without a status"));
    else
        call_end(call, call->status, span_of(call->text));
}

static const char *fault_text(const struct http_call *http, enum http_fault fault)
{
    switch (fault) {
    case HTTP_FAULT_CONNECT: return "connection refused, or the host cannot be reached";
    case HTTP_FAULT_CONNECT_TIMEOUT: return "no connection in time";
    case HTTP_FAULT_TLS: return http->why ? http->why : "no TLS handshake";
    case HTTP_FAULT_BUSY: return "too many connections";
    case HTTP_FAULT_STALE:
    case HTTP_FAULT_BROKEN: return "the connection broke";
    case HTTP_FAULT_REFUSED: return "the request was refused";
    case HTTP_FAULT_INVALID: return "what came is not HTTP/2";
    case HTTP_FAULT_TIMEOUT: return "no answer in time";
    }
    return "";
}

static void on_fault(struct http_call *http, enum http_fault fault)
{
    struct grpc_call *call = container_of(http, struct grpc_call, http);
    call->was_unsent = fault == HTTP_FAULT_CONNECT || fault == HTTP_FAULT_CONNECT_TIMEOUT ||
                       fault == HTTP_FAULT_TLS || fault == HTTP_FAULT_BUSY ||
                       fault == HTTP_FAULT_REFUSED;
    call_end(call, fault == HTTP_FAULT_TIMEOUT ? GRPC_DEADLINE_EXCEEDED : GRPC_UNAVAILABLE,
             span_of(fault_text(http, fault)));
}

static const struct http_call_ops http_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_http_end,
    .on_fault = on_fault,
};

void grpc_call_start(struct grpc_call *call, const struct grpc_target *target, const char *path,
                     nsec timeout, struct loop *loop)
{
    const struct grpc_call_ops *ops = call->ops;
    *call = (struct grpc_call){ .ops = ops, .is_open = true, .in.limit = 2 * MESSAGE_MAX };
    call->http.ops = &http_ops;
    call->http.protocol = HTTP_PROTOCOL_2;
    call->http.tls = target->tls;

    char memory[GRPC_TIMEOUT_MAX];
    struct http_out_field fields[6] = {
        { SPAN("Host"), target->authority },
        { SPAN("content-type"), SPAN("application/grpc") },
        { SPAN("te"), SPAN("trailers") },
        /* An etcd that has lost its leader then says so, and does not fall silent. */
        { SPAN("hasleader"), SPAN("true") },
    };
    unsigned n_fields = 4;
    if (target->token.size)
        fields[n_fields++] = (struct http_out_field){ SPAN("token"), target->token };
    if (timeout != NSEC_NEVER)
        fields[n_fields++] =
            (struct http_out_field){ SPAN("grpc-timeout"), grpc_timeout_format(timeout, memory) };
    const struct http_message request = {
        .method = SPAN("POST"),
        .target = span_of(path),
        .fields = fields,
        .n_fields = n_fields,
        .body = HTTP_SEND_UNKNOWN,
        .wants_trailers = true,
    };
    http_call_start(target->pool, &call->http, target->address, &request,
                    after(loop_now(loop), timeout));
}

void grpc_call_send(struct grpc_call *call, struct span framed)
{
    char head[GRPC_FRAME_HEAD];
    grpc_frame_head(0, (uint32_t)(framed.size - GRPC_FRAME_HEAD), head);
    if (!call->is_open)
        return;
    http_call_send(&call->http, (struct span){ head, sizeof(head) });
    http_call_send(&call->http, span_from(framed, GRPC_FRAME_HEAD));
}

void grpc_call_finish(struct grpc_call *call)
{
    if (call->is_open)
        http_call_finish(&call->http);
}

void grpc_call_cancel(struct grpc_call *call)
{
    if (!call->is_open)
        return;
    call->is_open = false;
    http_call_cancel(&call->http);
    if (!call->is_reading)
        buf_fini(&call->in);
}
