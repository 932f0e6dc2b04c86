/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a connection to a call: which route, who may, and the body.
 */

#include "base/mem.h"
#include "codec/uri.h"
#include "faces/consul/call.h"
#include "faces/consul/owner.h"
#include "faces/consul/service.h"
#include "http/site.h"

#define KV_PREFIX CONSUL_PREFIX "kv/"
#define SESSION_PREFIX CONSUL_PREFIX "session/"

static const struct consul_route routes[] = {
    { "GET", "/v1/kv/", consul_kv_get },
    { "PUT", "/v1/kv/", consul_kv_put },
    { "DELETE", "/v1/kv/", consul_kv_delete },
    { "PUT", "/v1/session/create", consul_session_create },
    { "PUT", "/v1/session/destroy/", consul_session_destroy },
    { "PUT", "/v1/session/renew/", consul_session_renew },
    { "GET", "/v1/session/info/", consul_session_info },
    { "GET", "/v1/session/list", consul_session_list },
    { "GET", "/v1/session/node/", consul_session_node },
    { "PUT", "/v1/agent/service/register", consul_agent_register },
    { "PUT", "/v1/agent/service/deregister/", consul_agent_deregister },
    { "PUT", "/v1/agent/service/maintenance/", consul_agent_maintenance },
    { "PUT", "/v1/agent/maintenance", consul_agent_node_maintenance },
    { "GET", "/v1/agent/services", consul_agent_services },
    { "GET", "/v1/agent/service/", consul_agent_service },
    { "PUT", "/v1/agent/check/register", consul_check_register },
    { "PUT", "/v1/agent/check/deregister/", consul_check_deregister },
    { "PUT", "/v1/agent/check/pass/", consul_check_pass },
    { "PUT", "/v1/agent/check/warn/", consul_check_warn },
    { "PUT", "/v1/agent/check/fail/", consul_check_fail },
    { "PUT", "/v1/agent/check/update/", consul_check_update },
    { "GET", "/v1/agent/checks", consul_agent_checks },
    { "GET", "/v1/agent/health/service/id/", consul_agent_health_id },
    { "GET", "/v1/agent/health/service/name/", consul_agent_health_name },
    { "GET", "/v1/health/service/", consul_health_service },
    { "GET", "/v1/health/checks/", consul_health_checks },
    { "GET", "/v1/health/state/", consul_health_state },
    { "GET", "/v1/health/node/", consul_health_node },
    { "GET", "/v1/health/connect/", consul_health_connect },
    { "GET", "/v1/catalog/services", consul_catalog_services },
    { "GET", "/v1/catalog/service/", consul_catalog_service },
    { "GET", "/v1/catalog/nodes", consul_catalog_nodes },
    { "GET", "/v1/catalog/node/", consul_catalog_node },
    { "GET", "/v1/catalog/node-services/", consul_catalog_node_services },
    { "PUT", "/v1/catalog/register", consul_catalog_register },
    { "PUT", "/v1/catalog/deregister", consul_catalog_deregister },
    { "GET", "/v1/agent/self", consul_agent_self },
    { "GET", "/v1/agent/host", consul_agent_host },
    { "GET", "/v1/agent/members", consul_agent_members },
    { "GET", "/v1/agent/connect/ca/roots", consul_ca_roots },
    { "GET", "/v1/catalog/datacenters", consul_datacenters },
    { "GET", "/v1/status/leader", consul_status_leader },
    { "GET", "/v1/status/peers", consul_status_peers },
};

#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

static bool matches(const struct consul_route *route, struct span path)
{
    struct span pattern = span_of(route->path);
    bool has_tail = span_ends_with(pattern, SPAN("/"));
    return has_tail ? span_starts_with(path, pattern) : span_equals(path, pattern);
}

/* NULL when there is none; the call is answered then. */
static const struct consul_route *find_route(struct consul_call *call, struct span path)
{
    struct span method = call->exchange->head->method;
    CLEANUP(buf_fini) struct buf allow = { 0 };
    for (size_t i = 0; i < N_ROUTES; i++) {
        if (!matches(&routes[i], path))
            continue;
        if (span_is(method, routes[i].method))
            return &routes[i];
        buf_printf(&allow, "%s%s", allow.size ? "," : "", routes[i].method);
    }
    if (allow.size == 0) {
        consul_refuse(call, 404, "%.*s is not served here", SPAN_ARG(span_first(path, 200)));
        return NULL;
    }
    struct http_out_field field = { SPAN("Allow"), buf_span(&allow) };
    http_reply(call->exchange, 405, &field, 1, SPAN("method not allowed"));
    consul_call_end(call);
    return NULL;
}

/* --- who may --- */

static struct span field_of(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (span_equals_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return SPAN_NULL;
}

/* Whoever brings a token is held to it; without one, loopback may what it may while the face is
 * open. A page in a browser says where it is from, and may nothing. */
static bool check_caller(struct consul_call *call)
{
    const struct http_head *head = call->exchange->head;
    const struct consul *consul = call->consul;
    struct span text = field_of(head, SPAN("X-Consul-Token"));
    if (!text.size)
        text = http_head_bearer(head);
    if (!text.size)
        consul_param(call, "token", &text);
    if (!text.size && !site_is_ours(call->exchange, span_of(consul->settings.node))) {
        consul_refuse(
            call, 403,
            "Permission denied: Host or Origin names another site; an address, localhost, "
            "or a token is accepted");
        return false;
    }
    if (!text.size) {
        bool is_open = consul->settings.is_open && address_is_loopback(call->exchange->peer);
        if (!is_open)
            consul_refuse(call, 403, "Permission denied: a token is needed");
        return is_open;
    }
    const struct token *token = token_check(consul->auth, text, loop_wall(consul->loop));
    bool is_master = hash_equals(text, span_of(consul->settings.token));
    if (!token && !is_master) {
        consul_refuse(call, 403, "ACL not found");
        return false;
    }
    bool may_write = is_master || !token->is_read_only;
    if (!may_write && !span_is(head->method, "GET")) {
        consul_refuse(call, 403, "Permission denied: the token is read-only");
        return false;
    }
    return true;
}

/* --- intake --- */

static void on_body(struct http_exchange *exchange, struct span bytes)
{
    struct consul_call *call = exchange->owner;
    if (buf_append(&call->body, bytes))
        consul_refuse(call, 413, "Request body too large, max size: %zu bytes", CONSUL_BODY_MAX);
}

static void on_body_end(struct http_exchange *exchange)
{
    struct consul_call *call = exchange->owner;
    call->route->serve(call);
}

static void on_abort(struct http_exchange *exchange)
{
    struct consul_call *call = exchange->owner;
    call->exchange = NULL;
    if (!call->is_busy)
        consul_call_end(call);
}

static const struct http_exchange_ops call_ops = {
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_abort = on_abort,
};

/* There is one datacenter, and an agent is not asked for one. */
static bool check_query(struct consul_call *call)
{
    struct span datacenter = SPAN_NULL;
    consul_param(call, "dc", &datacenter);
    bool is_ours = !datacenter.size || span_is(datacenter, call->consul->settings.datacenter);
    bool is_agent = span_starts_with(span_of(call->route->path), SPAN("/v1/agent/"));
    bool is_contrary = consul_has_param(call, "stale") && consul_has_param(call, "consistent");
    if (!is_ours && !is_agent)
        consul_refuse(call, 500, "No path to datacenter");
    else if (is_contrary)
        consul_refuse(call, 400, "Cannot specify ?stale with ?consistent, conflicting semantics.");
    return (is_ours || is_agent) && !is_contrary;
}

/* False when the call is answered, and gone. */
static bool start_call(struct consul_call *call)
{
    struct span rest = call->exchange->head->path_and_query;
    struct span raw = span_cut(&rest, '?'), path;
    call->query = arena_span_dup(&call->arena, rest);
    char *memory = arena_alloc(&call->arena, raw.size + 1, 1);
    if (uri_decode(raw, memory, &path)) {
        consul_refuse(call, 400, "the path has a malformed escape");
        return false;
    }
    path = arena_span_dup(&call->arena, path);
    const struct consul_route *route = find_route(call, path);
    if (!route)
        return false;
    call->route = route;
    call->tail = span_from(path, strlen(call->route->path));
    return check_caller(call) && check_query(call) && consul_read_wait(call);
}

static void on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    struct consul *consul = container_of(handler, struct consul, handler);
    struct consul_call *call = mem_new(struct consul_call);
    call->consul = consul;
    call->exchange = exchange;
    call->body.limit = CONSUL_BODY_MAX;
    list_init(&call->wait.link);
    list_add_last(&consul->calls, &call->link);
    exchange->owner = call;
    exchange->ops = &call_ops;
    bool is_complete = !http_head_has_body(exchange->head);
    if (start_call(call) && is_complete)
        on_body_end(exchange);
}

/* --- life --- */

struct consul *consul_new(struct loop *loop, const struct consul_rooms *rooms,
                          const struct consul_settings *settings)
{
    struct consul *consul = mem_new(struct consul);
    consul->handler.on_request = on_request;
    consul->loop = loop;
    consul->store = rooms->store;
    consul->registry = rooms->registry;
    consul->version = rooms->version;
    consul->auth = rooms->auth;
    consul->settings = *settings;
    list_init(&consul->calls);
    list_init(&consul->settling);
    topics_init(&consul->topics);
    map_init(&consul->deleted);
    consul->deleted_floor = store_revision(consul->store);
    consul_session_init(consul);
    consul_service_init(consul);
    random_init(&consul->random);

    struct http_settings http = http_settings_default;
    http.max_per_address = 0;
    http.idle_timeout = 660 * NSEC_PER_SEC; /* clients keep connections beside a blocking query */
    http.stall_timeout = 660 * NSEC_PER_SEC;
    consul->server = http_server_new(loop, &consul->handler, &http);
    return consul;
}

struct consul *consul_free(struct consul *consul)
{
    if (!consul)
        return NULL;

    http_server_free(consul->server); /* aborts what is under way, which frees the calls */
    consul_review_fini(consul);
    consul_session_fini(consul);
    consul_service_fini(consul);
    consul_kv_fini(consul);
    topics_fini(&consul->topics);
    free(consul);
    return NULL;
}

int consul_listen(struct consul *consul, int listen_fd)
{
    const struct http_listen_options options = { .is_http1_only = true };
    return err_trace(http_listen(consul->server, listen_fd, 0, &options));
}

int consul_apply(struct consul *consul, const struct store_event *event)
{
    struct span key = event->entry.key;
    if (span_starts_with(key, SPAN(KV_PREFIX)))
        return err_trace(consul_kv_apply(consul, span_from(key, strlen(KV_PREFIX)), event));
    struct span rest = span_from(key, strlen(CONSUL_PREFIX));
    if (consul_service_knows(rest))
        return err_trace(consul_service_apply(consul, rest, event));
    if (span_starts_with(key, SPAN(SESSION_PREFIX)))
        return err_trace(
            consul_session_apply(consul, span_from(key, strlen(SESSION_PREFIX)), event));
    return err_origin(-EBADMSG);
}

void consul_changed(struct consul *consul)
{
    struct list waits;
    list_init(&waits);
    consul_aliases_follow(consul);
    topics_take_changed(&consul->topics, &waits);
    if (list_is_empty(&waits))
        return;
    consul->shared.is_kept = true;
    for (struct list *link; (link = list_take_first(&waits));) {
        struct topic_wait *wait = container_of(link, struct topic_wait, link);
        consul_wake(container_of(wait, struct consul_call, wait));
    }
    consul->shared.is_kept = false;
    consul->shared.route = NULL;
    buf_fini(&consul->shared.question);
    buf_fini(&consul->shared.text);
}

static void note_service(struct consul *consul, struct span name)
{
    topics_changed(&consul->topics, TOPIC_SERVICE, name);
    topics_changed(&consul->topics, TOPIC_CATALOG, SPAN_NULL);
    consul->catalog_revision = store_revision(consul->store);
    if (!service_find(consul->registry, name)) /* and its index is that of what went */
        consul->gone_revision = store_revision(consul->store);
}

void consul_service_gone(struct consul *consul, struct span name)
{
    note_service(consul, name);
}

void consul_instance_changed(struct consul *consul, struct span instance)
{
    struct span service = span_first(instance, span_find(instance, '/'));
    consul_owner_changed(consul, instance);
    note_service(consul, service);
}

void consul_settled(struct consul *consul)
{
    for (struct list *link; (link = list_take_first(&consul->settling));) {
        list_add_last(&consul->calls, link);
        struct consul_call *call = container_of(link, struct consul_call, link);
        call->done(call);
    }
}

static void on_drained(void *owner)
{
    (void)owner; /* nobody waits for it: whoever is cut off asks again */
}

void consul_drain(struct consul *consul, bool has_heir)
{
    consul->is_draining = true;
    list_each_safe (link, &consul->calls) {
        struct consul_call *call = container_of(link, struct consul_call, link);
        if (!call->wait.topic)
            continue;
        topic_leave(&consul->topics, &call->wait);
        call->is_wait_over = true;
        call->route->serve(call);
    }
    if (has_heir)
        http_leave(consul->server, NULL, on_drained, consul);
    else
        http_drain(consul->server, on_drained, consul);
}
