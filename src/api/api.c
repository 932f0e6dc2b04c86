/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a connection to a call: which route, who may, and the body.
 */

#include "api/api.h"

#include "api/call.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/uri.h"

struct api {
    struct http_handler handler;
    struct loop *loop;
    struct rooms *rooms;
    struct access access;
    nsec started;
    int landlock;
    bool has_seccomp;
    struct http_server *server;
    struct tls_server *tls;       /* of its TCP listener; NULL: in plain text */
    struct list parked, settling; /* calls: of long polls; written, and waiting for the workers */
    bool is_draining;
};

/* --- matching --- */

/* Holds one path segment to one of the pattern: "services", "{id}", "{id}:drain",
 * "{rollout}:{verb}". Parameters are appended to the call's. */
static bool match_segment(struct span pattern, struct span segment, struct span *params,
                          unsigned *n_params)
{
    if (pattern.size == 0 || pattern.data[0] != '{')
        return span_equals(pattern, segment);

    size_t end = span_find(pattern, '}');
    struct span suffix = span_from(pattern, end + 1);
    if (suffix.size) {
        size_t colon = segment.size;
        while (colon > 0 && segment.data[colon - 1] != ':')
            colon--;
        if (colon == 0)
            return false;
        struct span verb = span_from(segment, colon);
        segment = span_first(segment, colon - 1);
        if (suffix.data[1] == '{')
            params[1] = verb;
        else if (!span_equals(span_from(suffix, 1), verb))
            return false;
    }
    if (segment.size == 0)
        return false;
    params[0] = segment;
    *n_params += suffix.size && suffix.data[1] == '{' ? 2 : 1;
    return true;
}

static bool match_path(const char *pattern_text, struct span path, struct span *params)
{
    struct span pattern = span_of(pattern_text);
    unsigned n_params = 0;
    while (pattern.data && path.data) {
        struct span want = span_cut(&pattern, '/');
        if (span_ends_with(want, SPAN("...}"))) {
            params[n_params] = path;
            return path.size > 0;
        }
        if (!match_segment(want, span_cut(&path, '/'), params + n_params, &n_params))
            return false;
    }
    return !pattern.data && !path.data;
}

static const struct api_route *find_route(struct api_call *call, struct span method,
                                          struct span path, bool *ret_is_path_known)
{
    *ret_is_path_known = false;
    for (unsigned i = 0; i < api_n_routes; i++) {
        struct span params[API_PARAMS_MAX] = { { 0 } };
        if (!match_path(api_routes[i].pattern, path, params))
            continue;
        *ret_is_path_known = true;
        if (span_is(method, api_routes[i].method) ||
            (span_is(method, "HEAD") && strcmp(api_routes[i].method, "GET") == 0)) {
            memcpy(call->params, params, sizeof(params));
            return &api_routes[i];
        }
    }
    return NULL;
}

/* A query that cannot be read must not pass for one that says nothing: ?dry_run=%zz. */
static bool is_query_readable(struct api_call *call)
{
    struct span decoded;
    char *memory = arena_alloc(&call->arena, call->query.size + 1, 1);
    return !uri_decode(call->query, memory, &decoded) && api_is_text(decoded);
}

static bool decode_params(struct api_call *call)
{
    for (unsigned i = 0; i < API_PARAMS_MAX; i++) {
        struct span raw = call->params[i];
        char *memory = arena_alloc(&call->arena, raw.size + 1, 1);
        if (uri_decode(raw, memory, &call->params[i]) || !api_is_text(call->params[i]))
            return false;
    }
    return true;
}

/* --- intake --- */

static void refuse_upload(struct api_call *call)
{
    api_refuse_text(call, 413, "the file is larger than 256 MiB");
}

static void on_body(struct http_exchange *exchange, struct span bytes)
{
    struct api_call *call = exchange->owner;
    if (call->is_refused)
        return;
    if (call->blob) {
        call->n_uploaded += bytes.size;
        if (call->n_uploaded > API_UPLOAD_MAX)
            refuse_upload(call);
        else if (blob_append(call->blob, bytes))
            api_refuse_text(call, 503, "the disk takes no more");
        return;
    }
    if (buf_append(&call->bytes, bytes))
        api_refuse_text(call, 413, "the body is larger than 1 MiB");
}

static void on_body_end(struct http_exchange *exchange)
{
    struct api_call *call = exchange->owner;
    struct problem problem = { 0 };
    if (call->is_refused)
        return;
    if (!call->route->is_raw && !api_body_check(call, &problem))
        api_refuse(call, 400, &problem, NULL);
    else if (call->route->first)
        call->route->first(call);
    else if (call->route->write)
        api_write(call);
    else
        call->route->read(call);
}

static void on_abort(struct http_exchange *exchange)
{
    struct api_call *call = exchange->owner;
    call->exchange = NULL;
    if (!call->is_busy)
        api_call_end(call);
}

static const struct http_exchange_ops call_ops = {
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_abort = on_abort,
};

/* The methods a path takes, for Allow (RFC 9110 section 15.5.6). */
static struct span name_methods(struct api_call *call, struct span path)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    for (unsigned i = 0; i < api_n_routes; i++) {
        struct span params[API_PARAMS_MAX];
        if (match_path(api_routes[i].pattern, path, params)) {
            buf_printf(&text, "%s%s", text.size ? ", " : "",
                       strcmp(api_routes[i].method, "GET") == 0 ? "GET, HEAD"
                                                                : api_routes[i].method);
        }
    }
    return arena_span_dup(&call->arena, buf_span(&text));
}

static void refuse_route(struct api_call *call, struct span path, bool is_path_known)
{
    struct problem problem = { 0 };
    if (is_path_known)
        call->allow = name_methods(call, path);
    if (is_path_known) {
        problem_set(&problem, "method", "%.*s is not accepted at %.*s",
                    SPAN_ARG(call->exchange->head->method), SPAN_ARG(path));
    } else {
        problem_set(&problem, "path",
                    "%.*s is no resource of this API; GET /v1/openapi.json "
                    "lists them",
                    SPAN_ARG(path));
    }
    api_refuse(call, is_path_known ? 405 : 404, &problem, NULL);
}

/* Who makes the call; false when it may not, and then it is answered, or will be. What somebody who
 * is known may not do is in the audit log. */
static bool check_caller(struct api_call *call)
{
    struct access_moment moment = { loop_now(call->loop), loop_wall(call->loop) };
    struct access_refusal refusal;
    address_format(call->exchange->peer, call->peer);
    if (access_check(&call->api->access, call->exchange, call->route, moment, &call->caller,
                     &refusal))
        return true;
    problem_set(&call->problem, refusal.field, "%s", refusal.text);
    if (call->caller.is_known)
        api_refuse_audited(call, refusal.status);
    else
        api_refuse(call, refusal.status, &call->problem, NULL);
    return false;
}

/* A blob is opened as soon as the route is known, so that the body can stream into it.
 * False when the call is answered, and gone. */
static bool start_call(struct api_call *call)
{
    struct span path = SPAN_NULL;
    const char *reason = NULL;
    struct span target = call->exchange->head->path_and_query;
    char *memory = arena_alloc(&call->arena, target.size + 1, 1);
    if (uri_normalise(target, memory, target.size, &path, &call->query, &reason)) {
        api_refuse_text(call, 400, reason);
        return false;
    }
    call->path = path = arena_span_dup(&call->arena, path);
    call->query = arena_span_dup(&call->arena, call->query);

    bool is_path_known;
    call->route = find_route(call, call->exchange->head->method, path, &is_path_known);
    if (!call->route) {
        refuse_route(call, path, is_path_known);
        return false;
    }
    if (!check_caller(call))
        return false;
    if (!decode_params(call) || !is_query_readable(call)) {
        api_refuse_text(call, 400,
                        "the path or the query has a malformed escape, a control character, or is "
                        "no UTF-8");
        return false;
    }
    struct problem problem = { 0 };
    if (!api_query_check(call, &problem)) {
        api_refuse(call, 400, &problem, NULL);
        return false;
    }
    call->if_match =
        arena_span_dup(&call->arena, http_head_value(call->exchange->head, HTTP_IF_MATCH));
    struct span dry_run = api_query(call, "dry_run");
    call->is_dry_run = dry_run.data && !span_is(dry_run, "0") && !span_is(dry_run, "false");
    if (call->route->is_raw && call->exchange->head->framing == HTTP_BODY_LENGTH &&
        call->exchange->head->content_length > API_UPLOAD_MAX) {
        refuse_upload(call);
        return false;
    }
    if (call->route->is_raw && blob_create(call->rooms->store, &call->blob)) {
        api_refuse_text(call, 503, "the disk takes no more");
        return false;
    }
    return true;
}

static void on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    struct api *api = container_of(handler, struct api, handler);
    struct api_call *call = mem_new(struct api_call);
    call->api = api;
    call->rooms = api->rooms;
    call->loop = api->loop;
    call->exchange = exchange;
    call->bytes.limit = API_BODY_MAX;
    list_init(&call->link);
    exchange->owner = call;
    exchange->ops = &call_ops;
    bool is_complete = !http_head_has_body(exchange->head);
    if (start_call(call) && is_complete)
        on_body_end(exchange);
}

/* --- life --- */

struct api *api_new(struct loop *loop, struct rooms *rooms, const struct api_settings *settings)
{
    struct api *api = mem_new(struct api);
    api->handler.on_request = on_request;
    api->loop = loop;
    api->rooms = rooms;
    api->access.token = settings->token;
    api->access.auth = rooms->auth;
    api->started = settings->started;
    api->landlock = settings->landlock;
    api->has_seccomp = settings->has_seccomp;
    api_set_access(api, settings->hosts, settings->registration_is_open);
    list_init(&api->parked);
    list_init(&api->settling);

    struct http_settings http = http_settings_default;
    http.max_per_address = 0;
    /* Long polls wait for up to ten minutes with nothing to send. */
    http.stall_timeout = 660 * NSEC_PER_SEC;
    api->server = http_server_new(loop, &api->handler, &http);
    return api;
}

struct api *api_free(struct api *api)
{
    if (!api)
        return NULL;

    http_server_free(api->server); /* aborts what is under way, which frees the calls */
    free(api);
    return NULL;
}

/* HTTP/2 brings nothing to those who call it, and more to be careful of. */
int api_listen(struct api *api, int listen_fd, struct tls_server *tls)
{
    const struct http_listen_options options = { .tls = tls, .is_http1_only = true };
    if (tls)
        api->tls = tls;
    return err_trace(http_listen(api->server, listen_fd, 0, &options));
}

void api_set_access(struct api *api, const char *hosts, bool registration_is_open)
{
    api->access.hosts = hosts;
    api->access.registration_is_open = registration_is_open;
}

void api_set_member_secret(struct api *api, struct span secret)
{
    struct access *access = &api->access;
    access->member_secret_size = secret.size == API_MEMBER_SECRET_SIZE ? API_MEMBER_SECRET_SIZE : 0;
    if (access->member_secret_size)
        memcpy(access->member_secret, secret.data, API_MEMBER_SECRET_SIZE);
}

void api_keep_parked(struct api_call *call)
{
    list_add_last(&call->api->parked, &call->link);
}

void api_keep_settling(struct api_call *call)
{
    list_add_last(&call->api->settling, &call->link);
}

void api_changed(struct api *api)
{
    list_each_safe (link, &api->parked) {
        struct api_call *call = container_of(link, struct api_call, link);
        call->route->read(call);
    }
}

void api_settled(struct api *api)
{
    for (struct list *link; (link = list_take_first(&api->settling));)
        api_answer_written(container_of(link, struct api_call, link));
}

static void end_long_polls(struct api *api)
{
    api->is_draining = true;
    list_each_safe (link, &api->parked) {
        struct api_call *call = container_of(link, struct api_call, link);
        call->is_wait_over = true;
        call->route->read(call);
    }
}

void api_drain(struct api *api, void (*on_done)(void *owner), void *owner)
{
    end_long_polls(api);
    http_drain(api->server, on_done, owner);
}

void api_leave(struct api *api, const struct http_heir *heir, void (*on_done)(void *owner),
               void *owner)
{
    end_long_polls(api);
    http_leave(api->server, heir, on_done, owner);
}

void api_admit(struct api *api, int fd, const struct address *peer)
{
    bool is_unix = peer->any.sa_family == AF_UNIX;
    const struct http_listen_options options = { .tls = is_unix ? NULL : api->tls,
                                                 .is_http1_only = true };
    http_admit(api->server, fd, peer, 0, &options);
}

bool api_is_draining(const struct api *api)
{
    return api->is_draining;
}

nsec api_uptime(const struct api *api)
{
    return loop_now(api->loop) - api->started;
}

json_t *api_sandbox(const struct api *api)
{
    return json_pack("{s:i, s:b}", "landlock", api->landlock, "seccomp", api->has_seccomp);
}
