/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/grpc.h"

#include <stdio.h>

#include "gateway/answers.h"

#define MESSAGE_MAX 1024u /* of a problem's text that is told */
#define ENCODE_STEP 3072u /* bytes that are encoded at once; a multiple of three */

void grpc_note(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    enum grpc_kind kind = grpc_kind_of(http_head_value(head, HTTP_CONTENT_TYPE));
    if (likely(kind == GRPC_NONE) || !span_is(head->method, "POST"))
        return;
    request->grpc = (struct request_grpc){ .kind = kind, .status = GRPC_UNKNOWN };
}

/* --- on the way to the service --- */

bool grpc_begin(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    struct request_grpc *grpc = &request->grpc;
    grpc->is_translated =
        grpc->kind != GRPC_PLAIN && request->endpoints[0].protocol == HTTP_PROTOCOL_2;
    nsec idle = request->epoch->view->limits.tunnel_idle_timeout;
    request->exchange->patience = idle ? idle : NSEC_NEVER;
    struct span text = http_head_value(head, HTTP_GRPC_TIMEOUT);
    if (!text.data)
        return true;
    nsec timeout = 0;
    if (!grpc_timeout_parse(text, &timeout) || (head->repeated >> HTTP_GRPC_TIMEOUT & 1)) {
        answer_problem(request, 400, "grpc-timeout is up to eight digits and a unit");
        return false;
    }
    nsec now = request->started;
    nsec deadline = timeout > NSEC_NEVER - now ? NSEC_NEVER : now + timeout;
    if (deadline < request->deadline)
        request->deadline = deadline;
    request->has_deadline = request->deadline != NSEC_NEVER;
    return true;
}

/* A codec longer than this is nobody's. */
static struct span put_type(const char *base, struct span type, char memory[GRPC_TYPE_MAX])
{
    struct span codec = grpc_codec_of(type);
    int size = snprintf(memory, GRPC_TYPE_MAX, "%s%.*s", base, SPAN_ARG(span_first(codec, 48)));
    return (struct span){ memory, (size_t)size };
}

struct span grpc_request_type(const struct request *request, char memory[GRPC_TYPE_MAX])
{
    struct span type = http_head_value(request->exchange->head, HTTP_CONTENT_TYPE);
    return put_type("application/grpc", type, memory);
}

bool grpc_decode(struct request *request, struct span *rest, char *memory, size_t capacity,
                 struct span *ret_bytes)
{
    struct span text = span_first(*rest, capacity);
    size_t size = 0;
    *rest = span_from(*rest, text.size);
    if (!base64_decode(&request->grpc.text, text, memory, &size))
        return false;
    *ret_bytes = (struct span){ memory, size };
    return true;
}

/* --- on the way to the client --- */

static const char *type_of_kind(enum grpc_kind kind)
{
    switch (kind) {
    case GRPC_NONE:
    case GRPC_PLAIN: break;
    case GRPC_WEB: return "application/grpc-web";
    case GRPC_WEB_TEXT: return "application/grpc-web-text";
    }
    return "application/grpc";
}

struct span grpc_answer_type(const struct request *request, const struct http_head *head,
                             char memory[GRPC_TYPE_MAX])
{
    struct span type = http_head_value(head, HTTP_CONTENT_TYPE);
    return put_type(type_of_kind(request->grpc.kind), type, memory);
}

static void note_status(struct request *request, enum grpc_status status)
{
    request->grpc.has_status = true;
    request->grpc.status = status;
    request->is_error = grpc_is_server_fault(status);
}

bool grpc_is_answer(struct request *request, const struct http_head *head,
                    enum grpc_status *ret_status)
{
    struct span status = http_head_value(head, HTTP_GRPC_STATUS);
    enum grpc_kind kind = grpc_kind_of(http_head_value(head, HTTP_CONTENT_TYPE));
    bool is_web = request->grpc.kind != GRPC_PLAIN && !request->grpc.is_translated;
    if (is_web || status.data || (kind == GRPC_PLAIN && head->status == 200)) {
        /* Without a status it ends as an error, unless one comes with the trailers. A service that
         * does grpc-web by itself puts it where nobody looks on the way. */
        request->is_error = is_web ? head->status >= 500 : true;
        if (status.data)
            note_status(request, grpc_status_parse(status));
        return true;
    }
    *ret_status = grpc_status_of_http(head->status);
    return false;
}

/* Bytes for the browser, in the form that it asked for. */
void grpc_send(struct request *request, struct span bytes)
{
    if (request->grpc.kind != GRPC_WEB_TEXT) {
        http_send(request->exchange, bytes);
        return;
    }
    char text[BASE64_SIZE(ENCODE_STEP)];
    while (bytes.size && request->exchange) {
        struct span piece = span_first(bytes, ENCODE_STEP);
        size_t size = base64_encode(piece, text);
        http_send(request->exchange, (struct span){ text, size });
        bytes = span_from(bytes, piece.size);
    }
}

/* Names in small letters, as a browser's library compares them. */
static void put_lowered(struct buf *frame, struct span lines)
{
    while (lines.size) {
        struct span line = span_first(lines, span_find(lines, '\n') + 1);
        size_t name_size = span_find(line, ':');
        size_t at = frame->size;
        buf_put(frame, line);
        for (size_t i = 0; i < name_size && i < line.size; i++) {
            char c = line.data[i];
            frame->data[at + i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
        lines = span_from(lines, line.size);
    }
}

static void put_frame(struct buf *frame, struct span lines)
{
    char head[GRPC_FRAME_HEAD];
    grpc_frame_head(GRPC_FRAME_TRAILERS, (uint32_t)lines.size, head);
    buf_put(frame, (struct span){ head, sizeof(head) });
    put_lowered(frame, lines);
}

static void send_trailers(struct request *request, struct span lines)
{
    if (!request->grpc.is_translated) {
        http_put_trailers(request->exchange, lines);
        return;
    }
    CLEANUP(buf_fini) struct buf frame = { 0 };
    put_frame(&frame, lines);
    grpc_send(request, buf_span(&frame));
}

void grpc_put_trailers(struct request *request, struct span trailers)
{
    enum grpc_status status;
    if (grpc_status_find(trailers, &status))
        note_status(request, status);
    if (trailers.size)
        send_trailers(request, trailers);
}

/* --- what we say ourselves --- */

static void put_status(struct buf *lines, enum grpc_status status, struct span text)
{
    char message[3 * MESSAGE_MAX];
    struct span value = grpc_message_encode(span_first(text, MESSAGE_MAX), message);
    buf_printf(lines, "grpc-status: %d\r\n", (int)status);
    if (value.size)
        buf_printf(lines, "grpc-message: %.*s\r\n", SPAN_ARG(value));
}

bool grpc_put_end(struct request *request, enum grpc_status status, const char *text)
{
    const struct request_grpc *grpc = &request->grpc;
    bool is_found =
        grpc->kind == GRPC_PLAIN || (grpc->is_translated && grpc_frames_are_whole(&grpc->frames));
    if (!is_found)
        return false;
    CLEANUP(buf_fini) struct buf lines = { 0 };
    put_status(&lines, status, span_of(text));
    note_status(request, status);
    send_trailers(request, buf_span(&lines));
    return true;
}

void grpc_answer(struct request *request, enum grpc_status status, struct span text)
{
    struct answer answer = { .status = 200 };
    char number[4], message[3 * MESSAGE_MAX], type[GRPC_TYPE_MAX];
    CLEANUP(buf_fini) struct buf lines = { 0 };
    CLEANUP(buf_fini) struct buf body = { 0 };
    struct span asked = http_head_value(request->exchange->head, HTTP_CONTENT_TYPE);
    note_status(request, status);
    answer_put(&answer, SPAN("Content-Type"),
               put_type(type_of_kind(request->grpc.kind), asked, type));
    snprintf(number, sizeof(number), "%d", (int)status);
    if (request->grpc.kind == GRPC_PLAIN) {
        answer_put(&answer, SPAN("grpc-status"), span_of(number));
        answer_put(&answer, SPAN("grpc-message"),
                   grpc_message_encode(span_first(text, MESSAGE_MAX), message));
    } else {
        put_status(&lines, status, text);
        put_frame(&body, buf_span(&lines));
    }
    if (request->grpc.kind != GRPC_WEB_TEXT) {
        request_answer(request, &answer, buf_span(&body));
        return;
    }
    CLEANUP(buf_fini) struct buf encoded = { 0 };
    IGNORE(buf_reserve(&encoded, BASE64_SIZE(body.size)), "the buffer has no limit");
    encoded.size = base64_encode(buf_span(&body), encoded.data);
    request_answer(request, &answer, buf_span(&encoded));
}

/* What we say in HTTP is ours, so it can be told more exactly than that of somebody else. */
static enum grpc_status status_of_problem(const struct request *request, unsigned status)
{
    switch (status) {
    case 404:
    case 405:
    case 410:
    case 501: return GRPC_UNIMPLEMENTED;
    case 408:
    case 504: return GRPC_DEADLINE_EXCEEDED;
    case 413:
    case 429: return GRPC_RESOURCE_EXHAUSTED;
    case 500: return GRPC_INTERNAL;
    case 502:
        if (request->n_attempts && request->call.reset_code)
            return grpc_status_of_reset(request->call.reset_code);
        return GRPC_UNAVAILABLE;
    default: return grpc_status_of_http(status);
    }
}

void grpc_answer_problem(struct request *request, unsigned http_status, struct span text)
{
    grpc_answer(request, status_of_problem(request, http_status), text);
}

enum grpc_status grpc_status_of_fault(const struct request *request, enum http_fault fault)
{
    if (request->call.reset_code)
        return grpc_status_of_reset(request->call.reset_code);
    return fault == HTTP_FAULT_INVALID ? GRPC_INTERNAL : GRPC_UNAVAILABLE;
}
