/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A call's answer: documents, problems, and the way of a write through the store.
 */

#include "api/call.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"

/* What build() returns for a dry run: not an answer of a room and not a fault. */
#define CALL_PLANNED 1

void api_call_end(struct api_call *call)
{
    list_remove(&call->link);
    timer_stop(&call->wait);
    blob_free(call->blob);
    json_decref(call->body);
    json_decref(call->plan);
    json_decref(call->members);
    buf_fini(&call->bytes);
    arena_fini(&call->arena);
    free(call);
}

static void send_answer(struct api_call *call, unsigned status, const char *type, struct span text)
{
    struct http_out_field fields[6];
    unsigned n_fields = 0;
    char etag[32];

    if (text.size)
        fields[n_fields++] = (struct http_out_field){ SPAN("Content-Type"), span_of(type) };
    fields[n_fields++] = (struct http_out_field){ SPAN("Cache-Control"), SPAN("no-store") };
    if (status == 401)
        fields[n_fields++] = (struct http_out_field){ SPAN("WWW-Authenticate"), SPAN("Bearer") };
    if (status == 429)
        fields[n_fields++] = (struct http_out_field){ SPAN("Retry-After"), SPAN("6") };
    if (status == 405)
        fields[n_fields++] = (struct http_out_field){ SPAN("Allow"), call->allow };
    int64_t revision =
        status < 300 && call->route && call->route->revision ? call->route->revision(call) : 0;
    if (revision) {
        snprintf(etag, sizeof(etag), "\"%" PRId64 "\"", revision);
        fields[n_fields++] = (struct http_out_field){ SPAN("ETag"), span_of(etag) };
    }
    if (call->exchange)
        http_reply(call->exchange, status, fields, n_fields, text);
    api_call_end(call);
}

void api_reply(struct api_call *call, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    if (!text)
        mem_exhausted(0);
    CLEANUP(buf_fini) struct buf line = { 0 };
    buf_puts(&line, text);
    buf_puts(&line, "\n");
    free(text);
    send_answer(call, status == 200 && call->is_created ? 201 : status, "application/json",
                buf_span(&line));
}

void api_reply_empty(struct api_call *call, unsigned status)
{
    send_answer(call, status, "", SPAN_NULL);
}

void api_reply_text(struct api_call *call, unsigned status, const char *type, struct span text)
{
    send_answer(call, status, type, text);
}

void api_reply_file(struct api_call *call, int fd, uint64_t size)
{
    const struct http_out_field fields[] = {
        { SPAN("Content-Type"), SPAN("application/octet-stream") },
        { SPAN("Cache-Control"), SPAN("no-store") },
    };
    const struct http_message message = {
        .status = 200,
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0]),
        .body = HTTP_SEND_LENGTH,
        .content_length = size,
    };
    call->exchange->ops = NULL;
    http_respond(call->exchange, &message);
    http_send_file(call->exchange, fd, 0, size);
    http_finish(call->exchange);
    api_call_end(call);
}

void api_refuse(struct api_call *call, unsigned status, const struct problem *problem,
                json_t *members)
{
    json_t *document = json_pack("{s:s, s:i, s:s}", "title", http_status_reason(status), "status",
                                 (int)status, "type", "about:blank");
    if (problem) {
        bool has_path = problem->path[0] != '\0';
        char *detail = mem_format("%s%s%s", problem->path, has_path ? " " : "", problem->text);
        json_object_set_new(document, "detail", api_json_sentence(detail));
        if (has_path)
            json_object_set_new(document, "field", api_json_sentence(problem->path));
        free(detail);
    }
    if (members)
        json_object_update(document, members);
    json_decref(members);

    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (!text)
        mem_exhausted(0);
    send_answer(call, status, "application/problem+json", span_of(text));
    free(text);
}

void api_refuse_text(struct api_call *call, unsigned status, const char *text)
{
    struct problem problem = { 0 };
    problem_set(&problem, "", "%s", text);
    api_refuse(call, status, &problem, NULL);
}

/* --- writing --- */

static json_t *plan_of(const struct txn *txn)
{
    json_t *changes = json_array();
    for (size_t i = 0; i < txn->n_ops; i++) {
        const struct txn_op *op = &txn->ops[i];
        json_array_append_new(changes, json_pack("{s:s, s:o}", "change",
                                                 op->kind == TXN_PUT ? "put" : "delete", "key",
                                                 api_json_span(op->key)));
    }
    return json_pack("{s:b, s:o}", "dry_run", 1, "changes", changes);
}

static bool names_etag(struct span list, const char *etag)
{
    while (list.data) {
        if (span_is(span_trim(span_cut(&list, ',')), etag))
            return true;
    }
    return false;
}

/* A list of ETags, or "*" for whatever is there now (RFC 9110 section 13.1.1). */
static int check_if_match(struct api_call *call, struct problem *problem)
{
    if (!call->if_match.size)
        return 0;
    if (!call->route->revision) {
        problem_set(problem, "If-Match", "is not kept here: what this changes has no ETag");
        return 412;
    }

    char etag[32];
    int64_t revision = call->route->revision(call);
    snprintf(etag, sizeof(etag), "\"%" PRId64 "\"", revision);
    if (revision && (span_is(call->if_match, "*") || names_etag(call->if_match, etag)))
        return 0;
    if (revision) {
        problem_set(problem, "If-Match", "is %.*s; the resource is at %s now",
                    SPAN_ARG(span_first(call->if_match, 80)), etag);
    } else {
        problem_set(problem, "If-Match", "is %.*s; there is no such resource",
                    SPAN_ARG(span_first(call->if_match, 80)));
    }
    return 412;
}

static int on_build(struct store_command *command, struct txn *txn)
{
    struct api_call *call = container_of(command, struct api_call, command);
    int status = check_if_match(call, &call->problem);
    if (!status)
        status = call->route->write(call, txn, &call->problem);
    call->n_changes = txn->n_ops;
    if (!status && call->is_dry_run) {
        call->plan = plan_of(txn);
        call->is_created = false;
        return CALL_PLANNED;
    }
    return status;
}

static void refuse_read_only(struct api_call *call)
{
    struct problem problem = { 0 };
    const char *trouble = store_trouble(call->rooms->store);
    problem_set(&problem, "", "the store takes no writes now: %s%s", trouble[0] ? "etcd " : "",
                trouble[0] ? trouble : "its disk is full or fails");
    api_refuse(call, 503, &problem, NULL);
}

static void answer_store(struct api_call *call, int answer)
{
    switch ((enum store_answer)answer) {
    case STORE_CONFLICT:
        api_refuse_text(call, 409, "others kept changing the same; try again");
        break;
    case STORE_TOO_LARGE: api_refuse_text(call, 413, "the change is too large"); break;
    case STORE_READ_ONLY: refuse_read_only(call); break;
    case STORE_UNCERTAIN:
        api_refuse_text(call, 503, "the store closed before it was known whether this was done");
        break;
    case STORE_OK:
    case STORE_NO_LEASE:
    case STORE_COMPACTED:
    case STORE_CORRUPT:
    case STORE_LOCKED: api_refuse_text(call, 500, "the store failed"); break;
    }
}

#define LOG_FIELDS 8u

/* The parameters of the path, and what the body says of them. */
static void log_written(struct api_call *call)
{
    static const char *const members[] = { "build", "release", "why" };
    const char *f[2 * LOG_FIELDS + 1] = { NULL };
    unsigned n = 0;
    struct span pattern = span_of(call->route->pattern);
    for (unsigned i = 0; i < API_PARAMS_MAX && call->params[i].size; i++) {
        span_cut(&pattern, '{');
        struct span name = span_first(pattern, span_find(pattern, '}'));
        f[n++] = name.size ? arena_span_dup(&call->arena, name).data : "id";
        f[n++] = arena_span_dup(&call->arena, call->params[i]).data;
    }
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = json_string_value(json_object_get(call->body, members[i]));
        if (!text)
            continue;
        f[n++] = members[i];
        f[n++] = text;
    }
    log_info("api", call->route->log, f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9],
             f[10], f[11], f[12], f[13]);
}

static void answer_write(struct api_call *call)
{
    int answer = call->written.answer;
    bool is_store_answer = call->written.is_store_answer;
    call->is_busy = false;
    if (!call->exchange)
        api_call_end(call);
    else if (answer == CALL_PLANNED && !is_store_answer)
        api_reply(call, 200, json_incref(call->plan));
    else if (answer && is_store_answer)
        answer_store(call, answer);
    else if (answer < 0)
        api_refuse_text(call, 500, "this is a fault of ours; the log says where");
    else if (answer)
        api_refuse(call, (unsigned)answer, &call->problem, json_incref(call->members));
    else if (call->rooms->is_settled)
        api_answer_written(call);
    else
        api_keep_settling(call);
}

/* The change stands, whatever the ledger says: then the log has what the audit log lacks. */
static void on_audited(struct ledger_write *write, int answer)
{
    struct api_call *call = container_of(write, struct api_call, audited);
    if (answer) {
        log_error("api", "the audit log cannot be written", "who", call->caller.name, "method",
                  call->route->method, "path", arena_span_dup(&call->arena, call->path).data);
    }
    answer_write(call);
}

/* Changes, and what somebody who is known was refused: not heartbeats, not what strangers on
 * loopback try, which would fill the disk. */
static bool is_audited(const struct api_call *call, int answer, bool is_store_answer)
{
    if (answer && (is_store_answer || answer == CALL_PLANNED))
        return false;
    if (call->is_sign_of_life)
        return false;
    return answer ? call->caller.is_known && !call->is_dry_run : call->n_changes > 0;
}

static void on_written(struct store_command *command, int answer, bool is_store_answer,
                       int64_t revision)
{
    (void)revision;
    struct api_call *call = container_of(command, struct api_call, command);
    call->written.answer = answer;
    call->written.is_store_answer = is_store_answer;
    if (!answer && call->route->log && call->n_changes)
        log_written(call);
    if (!is_audited(call, answer, is_store_answer)) {
        answer_write(call);
        return;
    }
    call->is_busy = true;
    call->audited.on_done = on_audited;
    unsigned status = answer < 0 ? 500 : answer ? (unsigned)answer : 200;
    api_audit(call, status, answer ? &call->problem : NULL);
}

void api_refuse_audited(struct api_call *call, unsigned status)
{
    call->is_busy = call->is_refused = true;
    call->written.answer = (int)status;
    call->audited.on_done = on_audited;
    api_audit(call, status, &call->problem);
}

void api_answer_written(struct api_call *call)
{
    if (call->route->read)
        call->route->read(call);
    else
        api_reply_empty(call, 204);
}

void api_write(struct api_call *call)
{
    call->is_busy = true;
    call->command.build = on_build;
    call->command.on_done = on_written;
    store_run(call->rooms->store, &call->command);
}

/* --- waiting --- */

static void on_wait_over(struct timer *timer)
{
    struct api_call *call = container_of(timer, struct api_call, wait);
    call->is_wait_over = true;
    call->route->read(call);
}

void api_park(struct api_call *call, nsec wait)
{
    if (call->is_parked)
        return;
    if (api_is_draining(call->api)) {
        call->is_wait_over = true;
        call->route->read(call);
        return;
    }
    call->is_parked = true;
    api_keep_parked(call);
    http_wait(call->exchange);
    call->wait.on_due = on_wait_over;
    timer_start(&call->wait, call->loop, loop_now(call->loop) + wait);
}
