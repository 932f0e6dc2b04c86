/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/request_log.h"

#include "codec/uri.h"
#include "gateway/access_log.h"

#define REFUSED_PATH_MAX 4096u

static void put_head(struct access_entry *entry, const struct http_head *head)
{
    entry->has_head = true;
    entry->minor_version = head->minor_version;
    entry->is_http2 = head->is_http2;
    entry->method = head->method;
    entry->host = head->authority;
    entry->user_agent = http_head_value(head, HTTP_USER_AGENT);
    entry->referer = http_head_value(head, HTTP_REFERER);
}

/* The canonical path of a target that nobody has looked at, if it has one. */
static void put_target(struct access_entry *entry, struct span target,
                       char memory[REFUSED_PATH_MAX])
{
    const char *reason;
    if (uri_normalise(target, memory, REFUSED_PATH_MAX, &entry->path, &entry->query, &reason))
        entry->path = entry->query = SPAN_NULL;
}

static void put_names(struct access_entry *entry, struct request *request)
{
    const struct version_snapshot *snapshot = request->epoch->view->snapshot;
    if (request->service != NO_INDEX)
        entry->service = snapshot_service_at(snapshot, request->service)->name;
    if (request->build != NO_INDEX)
        entry->build = snapshot_build_at(snapshot, request->build)->version;
    if (!request->bom)
        return;
    entry->bom = bom_id(request->bom);
    entry->customer = request_identity(request)->customer;
    if (request->contract == NO_INDEX)
        return;
    entry->contract = snapshot_contract_at(snapshot, request->contract)->name;
    const struct snapshot_release *release =
        epoch_release_of(request->epoch, request->bom, request->contract);
    if (release) {
        entry->app = release->app;
        entry->release = release->version;
    }
}

static void put_upstream(struct access_entry *entry, const struct request *request)
{
    if (!request->n_attempts)
        return;
    entry->upstream = &request->endpoints[request->endpoint].address;
    entry->n_attempts = request->n_attempts;
    if (request->answered_at)
        entry->upstream_time = request->answered_at - request->started;
    entry->trace_id = request->ids.trace;
    if (!span_equals(request->ids.request, request->ids.trace))
        entry->request_id = request->ids.request;
}

static struct access_entry entry_begin(const struct worker *worker,
                                       const struct http_exchange *exchange, nsec duration)
{
    return (struct access_entry){
        .time = loop_wall(worker->loop) - (unix_msec)(duration / NSEC_PER_MSEC),
        .duration = duration,
        .peer = exchange->peer,
        .upstream_time = NSEC_NEVER,
    };
}

void request_log_write(struct request *request, unsigned status, uint64_t bytes_out)
{
    struct worker *worker = request->worker;
    const struct http_exchange *exchange = request->exchange;
    struct access_entry entry =
        entry_begin(worker, exchange, loop_now(worker->loop) - request->started);
    put_head(&entry, exchange->head);
    entry.is_internal = request->is_internal;
    entry.path = request->path;
    entry.query = request->query;
    entry.status = status;
    entry.bytes_in = http_received(exchange);
    entry.bytes_out = span_equals(exchange->head->method, SPAN("HEAD")) ? 0 : bytes_out;
    entry.has_grpc_status = request->grpc.kind && request->grpc.has_status;
    entry.grpc_status = request->grpc.status;
    entry.fault = request->fault;
    entry.reason = span_of(request->fault_text);
    if (request->is_internal)
        entry.caller = http_head_value(exchange->head, HTTP_SARSEN_CALLER);
    if (request->epoch)
        put_names(&entry, request);
    put_upstream(&entry, request);
    access_log_put(worker->context.access, worker->loop, worker->redaction, &entry);
}

void request_log_abort(struct request *request)
{
    const struct http_exchange *exchange = request->exchange;
    request->fault = exchange->refusal.status ? "refused" : "client_gone";
    request->fault_text = exchange->refusal.text;
    request_log(request, exchange->refusal.status ? exchange->refusal.status : request->status,
                http_sent(exchange));
}

void request_log_refused(struct http_handler *handler, const struct http_exchange *exchange)
{
    struct worker_listener *listener = container_of(handler, struct worker_listener, handler);
    struct worker *worker = listener->worker;
    if (!worker->redaction)
        return;
    struct access_entry entry = entry_begin(worker, exchange, 0);
    char memory[REFUSED_PATH_MAX];
    if (exchange->head)
        put_head(&entry, exchange->head);
    if (exchange->head && exchange->head->form != HTTP_TARGET_AUTHORITY)
        put_target(&entry, exchange->head->path_and_query, memory);
    entry.is_internal = listener->is_internal;
    entry.status = exchange->refusal.status;
    entry.bytes_out = strlen(exchange->refusal.text);
    entry.fault = "refused";
    entry.reason = span_of(exchange->refusal.text);
    access_log_put(worker->context.access, worker->loop, worker->redaction, &entry);
}
