/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/request.h"

#include "base/hash.h"
#include "base/mem.h"
#include "codec/cookie.h"
#include "codec/uri.h"
#include "gateway/answers.h"
#include "gateway/app.h"
#include "gateway/forward_headers.h"
#include "gateway/grpc.h"
#include "gateway/proxy.h"
#include "gateway/request_log.h"
#include "gateway/resolve.h"
#include "gateway/static.h"
#include "gateway/tunnel.h"

/* --- the pool --- */

static struct request *request_take(struct worker *worker)
{
    struct list *link = list_take_first(&worker->free_requests);
    struct request *request = NULL;
    if (link) {
        request = container_of(link, struct request, link);
        worker->n_free_requests--;
    } else {
        request = mem_new(struct request);
        request->worker = worker;
        request->body.limit = REPLAY_MAX;
        list_init(&request->link);
    }
    return request;
}

static void request_free(struct request *request)
{
    buf_fini(&request->path_memory);
    buf_fini(&request->target_memory);
    buf_fini(&request->body);
    free(request);
}

/* Everything between `link` and the buffers that keep their memory starts at its zero. */
void request_put(struct request *request)
{
    struct worker *worker = request->worker;
    epoch_release(steal(request->epoch));
    list_remove(&request->link);
    if (worker->n_free_requests == FREE_REQUESTS_MAX) {
        request_free(request);
        return;
    }
    worker->n_free_requests++;
    list_add_first(&worker->free_requests, &request->link);
}

void requests_free(struct worker *worker)
{
    for (struct list *link; (link = list_take_first(&worker->free_requests));)
        request_free(container_of(link, struct request, link));
    worker->n_free_requests = 0;
}

void request_over(struct request *request)
{
    if (unlikely(timer_is_running(&request->total)))
        timer_stop(&request->total);
    if (unlikely(request->tunnel != NULL))
        tunnel_drop(request);
    request->exchange = NULL;
    request->is_over = true;
    if (request->depth == 0)
        request_put(request);
}

#define REQUEST_CLEARED (offsetof(struct request, ids.own) - offsetof(struct request, depth))

static void request_reset(struct request *request, struct http_exchange *exchange)
{
    memset((char *)request + offsetof(struct request, depth), 0, REQUEST_CLEARED);
    request->exchange = exchange;
    request->service = request->contract = request->build = NO_INDEX;
    request->started = loop_now(request->worker->loop);
    request->grpc.kind = GRPC_NONE;
    request->grpc.is_translated = false;
    if (unlikely(exchange->head->by_name[HTTP_CONTENT_TYPE] != 0))
        grpc_note(request);
    buf_clear(&request->body);
    buf_clear(&request->target_memory);
    buf_clear(&request->path_memory);
}

/* --- who is it, and what is it served by --- */

/* A BOM that is assigned first now is made known to everybody. */
static void report(struct request *request)
{
    if (!request->bom->is_kept)
        epoch_report(request->epoch, request->bom);
}

const struct identity *request_identity(struct request *request)
{
    struct worker *worker = request->worker;
    struct identity *identity = &request->identity;
    if (request->has_identity)
        return identity;
    request->has_identity = true;
    struct identity_context context = {
        .head = request->exchange->head,
        .keys = &worker->context.keys,
        .cookies = worker->cookies,
        .wall = loop_wall(worker->loop),
        .is_internal = request->is_internal,
    };
    identity_read(&context, identity);
    if (identity->source == IDENTITY_NOBODY && !request->is_internal)
        identity_make_device(identity, worker_random(worker, DEVICE_RANDOM_SIZE));
    return identity;
}

void request_resolve(struct request *request)
{
    if (request->bom)
        return;
    const struct identity *identity = request_identity(request);
    struct bom_cache *boms = request->epoch->boms;
    request->reason = RESOLVE_DEFAULT;
    if (identity->bom.size)
        request->bom = version_bom(boms, identity->bom);
    if (!request->bom) {
        struct resolve_request asked = {
            .customer = identity->customer.size ? identity->customer : SPAN("~"),
            .device = identity->device,
            .previous_bom = identity->bom,
        };
        if (!asked.previous_bom.size && identity->has_cookie)
            asked.previous_bom = span_of(identity->cookie.bom);
        request->bom = version_resolve(boms, &asked, &request->reason, NULL);
    }
    report(request);
}

struct span request_field(const struct request *request, struct span name)
{
    const struct http_head *head = request->exchange->head;
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (span_equals_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return SPAN_NULL;
}

static void resolve_for_page(struct request *request)
{
    request_resolve(request);
    const struct identity *identity = request_identity(request);
    if (request->is_internal || !identity->has_cookie || !identity->cookie.bom[0] ||
        strcmp(identity->cookie.bom, request->bom->id) == 0)
        return;
    /* The browser goes to another page: whatever was open is left behind. */
    if (span_equals_nocase(request_field(request, SPAN("sec-fetch-dest")), SPAN("document")))
        return;

    struct bom_cache *boms = request->epoch->boms;
    const struct bom *page = version_bom(boms, span_of(identity->cookie.bom));
    if (page)
        request->bom = version_bom_of_page(boms, page, request->bom);
    report(request);
}

/* A new visitor is somebody else each time. */
static void begin_memo(struct request *request, struct memo *memo)
{
    const struct identity *identity = request_identity(request);
    memo->fields = 0;
    if (identity->source == IDENTITY_NEW_DEVICE)
        return;
    memo->fields = request->exchange->fields_number;
    memo->view = request->epoch->view->number;
    memo->until = identity->has_cookie ? identity->cookie.expires : INT64_MAX;
    memo->bom = request->bom;
    memo->reason = request->reason;
    memo->contract = memo->build = NO_INDEX;
    memo->lines_size = memo->answerer_size = 0;
    request->memo = memo;
}

void request_resolve_for_page(struct request *request)
{
    struct memo *memo = request->exchange->memo;
    bool is_known = memo->fields == request->exchange->fields_number &&
                    memo->view == request->epoch->view->number &&
                    loop_wall(request->worker->loop) < memo->until;
    if (!is_known) {
        resolve_for_page(request);
        begin_memo(request, memo);
        return;
    }
    request->memo = memo;
    request->bom = memo->bom;
    request->reason = memo->reason;
    report(request);
}

struct span request_cookie(struct request *request, bool is_page, struct span customer,
                           struct set_cookie *memory)
{
    if (!customer.data && !is_page && request->memo) /* so it is no new visitor */
        return SPAN_NULL;
    const struct identity *identity = request_identity(request);

    const struct gateway_limits *limits = &request->epoch->view->limits;
    unix_msec wall = loop_wall(request->worker->loop);
    unix_msec ttl = (unix_msec)(limits->cookie_ttl / NSEC_PER_MSEC);

    bool is_new = identity->source == IDENTITY_NEW_DEVICE;
    bool is_outdated =
        identity->has_cookie && request->bom && is_page &&
        (strcmp(identity->cookie.bom, request->bom->id) != 0 ||
         identity->cookie.is_signed_with_old_key || identity->cookie.expires - wall < ttl / 2);
    if (!customer.data && !is_new && !is_outdated)
        return SPAN_NULL;

    struct cookie cookie = { 0 };
    if (identity->has_cookie) {
        cookie = identity->cookie;
    } else if (identity->device.size == DEVICE_ID_SIZE) {
        memcpy(cookie.device, identity->device.data, DEVICE_ID_SIZE);
    } else {
        hash_base32(worker_random(request->worker, DEVICE_RANDOM_SIZE), DEVICE_RANDOM_SIZE,
                    cookie.device);
    }
    if (request->bom && is_page)
        memcpy(cookie.bom, request->bom->id, sizeof(cookie.bom));
    if (customer.data) {
        memcpy(cookie.customer, customer.data, customer.size);
        cookie.customer[customer.size] = '\0';
    }
    cookie.expires = wall + ttl;

    char value[COOKIE_VALUE_MAX];
    size_t size = cookie_format(&request->worker->context.keys, &cookie, value);
    struct http_set_cookie set = {
        .name = SPAN(COOKIE_NAME),
        .value = { value, size },
        .path = SPAN("/"),
        .has_max_age = true,
        .max_age = (uint64_t)(ttl / 1000),
        .is_secure = limits->is_cookie_secure || request->exchange->tls,
        .is_http_only = true,
        .same_site = HTTP_SAME_SITE_LAX,
    };
    struct http1_out out = { .data = memory->text, .capacity = sizeof(memory->text) };
    http_put_set_cookie(&out, &set);
    return (struct span){ out.data, out.size };
}

/* --- answers --- */

void answer_put(struct answer *answer, struct span name, struct span value)
{
    if (answer->n_fields < ANSWER_FIELDS_MAX && value.data)
        answer->fields[answer->n_fields++] = (struct http_out_field){ name, value };
}

/* What every answer of a gateway says of itself. */
static void put_context(struct request *request, struct answer *answer, struct set_cookie *memory)
{
    if (answer->is_public || !request->bom)
        return;
    const struct version_snapshot *snapshot = request->epoch->view->snapshot;
    answer_put(answer, SPAN("sarsen-bom"), bom_id(request->bom));
    if (request->contract != NO_INDEX) {
        answer_put(answer, SPAN("sarsen-contract"),
                   snapshot_contract_at(snapshot, request->contract)->name);
    }
    if (request->build != NO_INDEX) {
        answer_put(answer, SPAN("sarsen-build"),
                   snapshot_build_at(snapshot, request->build)->version);
    }
    if (request->grpc.kind == GRPC_PLAIN)
        return; /* nobody keeps a cookie there */
    struct span cookie = request_cookie(request, answer->is_page, SPAN_NULL, memory);
    if (cookie.size)
        answer_put(answer, SPAN("Set-Cookie"), cookie);
}

void request_reply(struct request *request, unsigned status, const struct http_out_field *fields,
                   unsigned n_fields, struct span body)
{
    struct http_exchange *exchange = request->exchange;
    request_log(request, status, body.size);
    exchange->ops = NULL;
    http_reply(exchange, status, fields, n_fields, body);
    request_over(request);
}

void request_answer(struct request *request, struct answer *answer, struct span body)
{
    struct set_cookie memory;
    put_context(request, answer, &memory);
    request_reply(request, answer->status, answer->fields, answer->n_fields, body);
}

void request_answer_file(struct request *request, struct answer *answer, int fd, uint64_t size)
{
    struct http_exchange *exchange = request->exchange;
    struct http_message message = {
        .status = answer->status,
        .fields = answer->fields,
        .n_fields = answer->n_fields,
        .body = HTTP_SEND_LENGTH,
        .content_length = size,
    };
    request_log(request, answer->status, size);
    exchange->ops = NULL;
    http_respond(exchange, &message);
    http_send_file(exchange, fd, 0, size);
    http_finish(exchange);
    request_over(request);
}

bool request_has_etag(const struct request *request, struct span etag)
{
    const struct http_head *head = request->exchange->head;
    if (!head->by_name[HTTP_IF_NONE_MATCH])
        return false;
    for (unsigned i = head->by_name[HTTP_IF_NONE_MATCH] - 1u; i < head->n_fields; i++) {
        if (head->fields[i].id != HTTP_IF_NONE_MATCH)
            continue;
        struct span list = head->fields[i].value;
        while (list.data) {
            struct span tag = span_trim(span_cut(&list, ','));
            if (span_starts_with(tag, SPAN("W/")))
                tag = span_from(tag, 2);
            if (span_equals(tag, etag) || span_is(tag, "*"))
                return true;
        }
    }
    return false;
}

/* --- where to --- */

/* The methods that are forwarded; others are too, but nobody asks for them. */
#define METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

static void answer_options(struct request *request)
{
    struct answer answer = { .status = 204 };
    answer_put(&answer, SPAN("Allow"), SPAN(METHODS));
    request_answer(request, &answer, SPAN_NULL);
}

/* Answers what may go no further; false when it did. */
static bool may_go_on(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    uint64_t left = 0;
    if (!head->by_name[HTTP_MAX_FORWARDS] || !forward_counts_hops(head))
        return true;
    if (!span_to_uint(http_head_value(head, HTTP_MAX_FORWARDS), UINT32_MAX, &left) ||
        (head->repeated >> HTTP_MAX_FORWARDS & 1)) {
        answer_problem(request, 400, "Max-Forwards is no number");
        return false;
    }
    if (left > 0)
        return true;
    answer_options(request);
    return false;
}

/* Answers methods and target forms that are nobody's to forward; false when it did. TRACE would
 * show a client what others have added to its request. */
static bool is_forwarded(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    if (unlikely(span_equals(head->method, SPAN("TRACE")))) {
        struct answer answer = { .status = 405 };
        answer_put(&answer, SPAN("Allow"), SPAN(METHODS));
        request_answer(request, &answer, SPAN_NULL);
        return false;
    }
    if (unlikely(head->form == HTTP_TARGET_ASTERISK)) {
        answer_options(request);
        return false;
    }
    return may_go_on(request);
}

/* The canonical path, or a 400; false when it answered. */
static bool normalise(struct request *request)
{
    struct span raw = request->exchange->head->path_and_query;
    const char *reason = NULL;
    IGNORE(buf_reserve(&request->path_memory, raw.size + 1), "the buffer has no limit");
    int r = uri_normalise(raw, request->path_memory.data, raw.size + 1, &request->path,
                          &request->query, &reason);
    if (r) {
        answer_problem(request, 400, reason ? reason : "the path is too long");
        return false;
    }
    request->is_path_original = request->path.data == raw.data;
    return true;
}

/* A connection seldom changes the service that it asks. */
static bool is_named_again(struct request *request, struct span name, uint32_t *ret_major)
{
    const struct memo *memo = request->exchange->memo;
    if (memo->named_view != request->epoch->view->number ||
        !span_equals(name, (struct span){ memo->name, memo->name_size }))
        return false;
    request->service = memo->service;
    *ret_major = memo->major;
    return true;
}

/* False when it answered. */
static bool find_named(struct request *request, struct span name, uint32_t *ret_major)
{
    const struct view *view = request->epoch->view;
    struct memo *memo = request->exchange->memo;
    struct span service = name;
    uint32_t major = NO_MAJOR;
    if (span_find(name, '@') < name.size && !contract_name_parse(name, &service, &major)) {
        answer_problem(request, 404, "after \"@\" stands the major number of a contract");
        return false;
    }
    request->service = snapshot_service(view->snapshot, service);
    if (request->service == NO_INDEX) {
        answer_no_service(request, service);
        return false;
    }
    *ret_major = major;
    if (name.size > sizeof(memo->name))
        return true;
    memo->named_view = view->number;
    memo->service = request->service;
    memo->major = major;
    memo->name_size = name.size;
    memcpy(memo->name, name.data, name.size);
    return true;
}

/* `name` is "service" or "service@major"; `strip` bytes of the path are not sent on. */
static void go_to_service(struct request *request, struct span name, size_t strip)
{
    uint32_t major;
    if (!is_named_again(request, name, &major) && !find_named(request, name, &major))
        return;
    struct route_path path = { .cut = strip };
    proxy_start(request, major, &path);
}

static void go_to_route(struct request *request, uint32_t route)
{
    const struct view *view = request->epoch->view;
    const struct route_action *action = route_action(view->routes, route);
    request->route = action;
    if (action->kind == ROUTE_ANSWER || action->kind == ROUTE_REDIRECT) {
        static_answer(request, route);
        return;
    }
    struct route_path path = route_path(view->routes, route, request->path);
    if (action->kind == ROUTE_UPSTREAM) {
        proxy_start_upstream(request, &path);
        return;
    }
    request->service = view->route_services[route];
    if (request->service == NO_INDEX) {
        answer_route_without_service(request, action->service);
        return;
    }
    proxy_start(request, NO_MAJOR, &path);
}

/* Whose methods the path names, "/shop.orders.v1.Orders/Get"; NULL: nobody's. */
static const struct grpc_name *grpc_name_of(const struct request *request)
{
    struct span path = span_from(request->path, 1);
    size_t size = span_find(path, '/');
    return size < path.size ? view_grpc_name(request->epoch->view, span_first(path, size)) : NULL;
}

/* A method of gRPC that is not called as one: the answers are those of gRPC's own servers. */
static void refuse_no_grpc(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    if (!span_is(head->method, "POST")) {
        answer_method(request, "POST", "methods of gRPC are called by POST");
        return;
    }
    answer_problem(request, 415,
                   "this path is a method of gRPC, and takes content types that begin with "
                   "application/grpc, those of gRPC-Web among them");
}

/* gRPC ends with trailers, which few in HTTP/1.1 read: no client of it speaks that. */
static void refuse_version(struct request *request)
{
    request->grpc.kind = GRPC_NONE;
    answer_problem(
        request, 505,
        "gRPC needs HTTP/2, by prior knowledge or by ALPN; over HTTP/1.1 gRPC-Web can be "
        "spoken");
}

/* Such methods lead to whoever serves them; false when the path names none. */
static bool go_to_grpc(struct request *request)
{
    const struct grpc_name *name = grpc_name_of(request);
    if (!name)
        return false;
    if (request->grpc.kind == GRPC_PLAIN && !request->exchange->head->is_http2) {
        refuse_version(request);
        return true;
    }
    request->service = name->service;
    struct route_path whole = { .cut = 0 };
    proxy_start(request, name->major, &whole);
    return true;
}

/* The prefixes the gateway keeps for itself, behind everything configured. */
static void go_to_reserved(struct request *request)
{
    struct span path = request->path;
    if (path_is_below(path, SPAN("/api")) && path.size > sizeof("/api")) {
        struct span rest = span_from(path, sizeof("/api"));
        struct span name = span_first(rest, span_find(rest, '/'));
        go_to_service(request, name, sizeof("/api") + name.size);
    } else if (path_is_below(path, SPAN("/apps")) && path.size > sizeof("/apps")) {
        app_answer(request, span_from(path, sizeof("/apps")));
    } else if (path_is_below(path, SPAN("/.sarsen"))) {
        resolve_answer(request);
    } else if (request->grpc.kind == GRPC_NONE && grpc_name_of(request)) {
        refuse_no_grpc(request);
    } else {
        answer_problem(request, 404, "no route leads from this path to a service");
    }
}

/* Two lines of these are two opinions, and whoever reads the other one serves somebody else; false
 * when it answered. */
static bool names_once(struct request *request)
{
    const struct http_head *head = request->exchange->head;
    if (head->repeated >> HTTP_SARSEN_CUSTOMER & 1)
        answer_problem(request, 400, "Sarsen-Customer is given several times");
    else if (head->repeated >> HTTP_SARSEN_SERVICE & 1)
        answer_problem(request, 400, "Sarsen-Service is given several times");
    else if (head->repeated >> HTTP_SARSEN_DEADLINE & 1)
        answer_problem(request, 400, "Sarsen-Deadline is given several times");
    else
        return true;
    return false;
}

void request_start(struct http_handler *handler, struct http_exchange *exchange)
{
    struct worker_listener *listener = container_of(handler, struct worker_listener, handler);
    struct request *request = request_take(listener->worker);
    request_reset(request, exchange);
    request->is_internal = listener->is_internal;
    exchange->owner = request;
    exchange->ops = NULL;
    request->epoch = worker_hold_epoch(listener->worker);
    if (!request->epoch) {
        answer_problem(request, 503, "the gateway is starting and knows no services yet");
        return;
    }
    if (!is_forwarded(request) || !normalise(request))
        return;
    if (request->is_internal && !names_once(request))
        return;

    struct span named = SPAN_NULL;
    if (request->is_internal)
        named = http_head_value(exchange->head, HTTP_SARSEN_SERVICE);
    if (named.size) {
        go_to_service(request, named, 0);
        return;
    }
    const struct view *view = request->epoch->view;
    uint32_t route = route_match(view->routes, exchange->head, exchange->tls, request->path);
    if (route != NO_ROUTE) {
        go_to_route(request, route);
    } else if (likely(request->grpc.kind == GRPC_NONE) || !go_to_grpc(request)) {
        go_to_reserved(request);
    }
}
