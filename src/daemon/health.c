/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/health.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/grpc.h"

#define ANSWER_MAX 256u    /* of a HealthCheckResponse, which has two bytes */
#define FIRST_WITHIN 1000u /* milliseconds, in which first checks are spread out */

struct health {
    struct loop *loop;
    struct registry *registry;
    struct store *store;
    const struct gateway *gateway; /* which knows how TLS is spoken */
    struct http_pool *pool;
    struct map checks; /* struct check by "service/id" */
    unsigned number;   /* of health_changed(), so that who is gone is seen */
    unsigned n_started;
    bool is_ending;
};

struct check {
    struct map_node node;
    struct health *health;
    const struct registry *registry; /* what is to be told may outlive `health` */
    char *key;
    struct address address;
    struct health_check spec; /* without its target, which the instance has */
    struct health_tally tally;
    struct timer timer; /* the next check, or the end of this one */
    struct http_call call;
    bool is_asking, is_answer, has_status;
    struct buf body;
    unsigned seen;
    const char *why; /* the last check did not pass; NULL: it did */

    struct store_command command;
    bool is_telling; /* the command is under way */
    bool is_gone;    /* and nothing else of the check is left */
    bool says_failing;
};

static struct instance *instance_of(const struct check *check)
{
    struct span id = span_of(check->key), service = span_cut(&id, '/');
    const struct service *found = service_find(check->registry, service);
    return found ? instance_find(found, id) : NULL;
}

/* --- what it comes to --- */

static void check_free(struct check *check)
{
    buf_fini(&check->body);
    free(check->key);
    free(check);
}

static int build_transition(struct store_command *command, struct txn *txn)
{
    struct check *check = container_of(command, struct check, command);
    if (check->is_gone)
        return 1; /* a second try, and nobody asks any more */
    struct span id = span_of(check->key), service = span_cut(&id, '/');
    return instance_set_failing(check->registry, service, id, check->says_failing, txn);
}

/* What was not written is found out again by the next checks. */
static void on_told(struct store_command *command, int answer, bool is_store_answer,
                    int64_t revision)
{
    (void)answer;
    (void)is_store_answer;
    (void)revision;
    struct check *check = container_of(command, struct check, command);
    check->is_telling = false;
    check->tally.n = 0;
    if (check->is_gone)
        check_free(check);
}

static void tell(struct check *check, bool is_failing)
{
    if (is_failing) {
        log_warn("health", "instance fails its checks", "instance", check->key, "reason",
                 check->why);
    } else {
        log_info("health", "instance passes its checks", "instance", check->key);
    }
    check->says_failing = is_failing;
    check->is_telling = true;
    check->command.build = build_transition;
    check->command.on_done = on_told;
    store_run(check->health->store, &check->command);
}

/* `why` is NULL when it passed. */
static void check_end(struct check *check, const char *why)
{
    const struct instance *instance = instance_of(check);
    check->is_asking = false;
    check->why = why;
    timer_start(&check->timer, check->health->loop,
                loop_now(check->health->loop) + check->spec.interval);
    if (instance && !check->is_telling && health_turns(&check->tally, instance, !why))
        tell(check, why != NULL);
}

/* --- asking --- */

/* HealthCheckResponse: field 1 is the status, and 1 is SERVING. */
static bool says_serving(const struct buf *body)
{
    static const char serving[] = { 0, 0, 0, 0, 2, 8, 1 };
    return body->size == sizeof(serving) && memcmp(body->data, serving, sizeof(serving)) == 0;
}

static void on_response(struct http_call *call, const struct http_head *head)
{
    struct check *check = container_of(call, struct check, call);
    check->is_answer = head->status == 200;
    check->has_status = span_is(http_head_value(head, HTTP_GRPC_STATUS), "0");
}

static void on_body(struct http_call *call, struct span bytes)
{
    struct check *check = container_of(call, struct check, call);
    IGNORE(buf_append(&check->body, bytes), "what is too long is no answer");
}

static bool has_ok(struct span trailers)
{
    while (trailers.size) {
        struct span value = span_cut(&trailers, '\n'), name = span_cut(&value, ':');
        if (span_equals_nocase(name, SPAN("grpc-status")))
            return span_is(span_trim(span_first(value, span_find(value, '\r'))), "0");
    }
    return false;
}

static void on_end(struct http_call *call)
{
    struct check *check = container_of(call, struct check, call);
    bool is_ok = check->is_answer && (check->has_status || has_ok(http_call_trailers(call)));
    if (!is_ok)
        check_end(check, "it answers with an error");
    else
        check_end(check, says_serving(&check->body) ? NULL : "it says that it does not serve");
}

static void on_fault(struct http_call *call, enum http_fault fault)
{
    struct check *check = container_of(call, struct check, call);
    bool is_late = fault == HTTP_FAULT_TIMEOUT || fault == HTTP_FAULT_CONNECT_TIMEOUT;
    bool is_away = fault == HTTP_FAULT_CONNECT;
    check_end(check, fault == HTTP_FAULT_TLS ? call->why
                     : is_late               ? "it does not answer in time"
                     : is_away               ? "it cannot be reached"
                                             : "its answer is broken");
}

static const struct http_call_ops call_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_fault = on_fault,
};

/* HealthCheckRequest: field 1 is the service. Its size takes two bytes above 127. */
static void put_request(struct buf *body, struct span service)
{
    char head[GRPC_FRAME_HEAD], size[3] = { 10 };
    size_t n_size = service.size > 127 ? 3 : 2;
    size[1] = (char)((service.size & 127) | (service.size > 127 ? 128 : 0));
    size[2] = (char)(service.size >> 7);
    if (service.size == 0)
        n_size = 0;
    grpc_frame_head(0, (uint32_t)(n_size + service.size), head);
    buf_put(body, (struct span){ head, sizeof(head) });
    buf_put(body, (struct span){ size, n_size });
    buf_put(body, service);
}

static void ask(struct check *check, const struct instance *instance)
{
    struct health *health = check->health;
    nsec now = loop_now(health->loop);
    char address[ADDRESS_TEXT_MAX], lines[ADDRESS_TEXT_MAX + 128];
    address_format(&check->address, address);
    bool is_unix = check->address.any.sa_family == AF_UNIX;
    int size = snprintf(lines, sizeof(lines),
                        "Host: %s\r\nContent-Type: application/grpc\r\nTE: trailers\r\n"
                        "User-Agent: Sarsen-Health\r\n",
                        is_unix ? "localhost" : address);
    CLEANUP(buf_fini) struct buf body = { 0 };
    put_request(&body, instance->health.target);
    struct http_message message = {
        .method = SPAN("POST"),
        .target = SPAN("/grpc.health.v1.Health/Check"),
        .lines = { lines, (size_t)size },
        .wants_trailers = true,
        .body = HTTP_SEND_LENGTH,
        .content_length = body.size,
    };
    buf_clear(&check->body);
    check->is_asking = true;
    check->is_answer = check->has_status = false;
    const struct tls_client *tls =
        instance->speaks.is_tls ? gateway_upstream_tls(health->gateway) : NULL;
    check->call = (struct http_call){ .ops = &call_ops, .protocol = HTTP_PROTOCOL_2, .tls = tls };
    timer_start(&check->timer, health->loop, now + check->spec.timeout);
    http_call_start(health->pool, &check->call, &check->address, &message,
                    now + check->spec.timeout);
    http_call_send(&check->call, buf_span(&body));
    http_call_finish(&check->call);
}

/* The next check, or the whole time of this one is over. */
static void on_due(struct timer *timer)
{
    struct check *check = container_of(timer, struct check, timer);
    const struct instance *instance = instance_of(check);
    if (check->is_asking) {
        http_call_cancel(&check->call);
        check_end(check, "it does not answer in time");
    } else if (instance) {
        ask(check, instance);
    }
}

/* --- beginning and end --- */

static void check_stop(struct check *check)
{
    timer_stop(&check->timer);
    if (check->is_asking)
        http_call_cancel(&check->call);
    map_remove(&check->health->checks, &check->node);
    if (check->is_telling)
        check->is_gone = true;
    else
        check_free(check);
}

static bool is_same(const struct check *check, const struct instance *instance,
                    const struct address *address)
{
    struct health_check spec = check->spec;
    spec.target = instance->health.target; /* asked for as it is at the time */
    return address_equals(&check->address, address) &&
           health_check_equals(&spec, &instance->health);
}

static void check_start(struct health *health, const char *key, const struct instance *instance,
                        const struct address *address)
{
    struct check *check = mem_new(struct check);
    check->health = health;
    check->registry = health->registry;
    check->key = mem_strdup(key);
    check->address = *address;
    check->spec = instance->health;
    check->spec.target = SPAN_NULL;
    check->seen = health->number;
    check->body.limit = ANSWER_MAX;
    check->timer.on_due = on_due;
    map_add(&health->checks, &check->node, span_of(check->key));
    /* The first of a few begins at once: the instance waits for it. */
    nsec spread = health->n_started++ / 16 % FIRST_WITHIN * NSEC_PER_MSEC;
    timer_start(&check->timer, health->loop, loop_now(health->loop) + spread);
}

static void look_at(struct health *health, const struct instance *instance)
{
    struct address address = { 0 };
    if (instance->health.kind == HEALTH_NONE || address_parse(span_of(instance->address), &address))
        return;
    char key[SERVICE_NAME_MAX + INSTANCE_ID_MAX + 2];
    snprintf(key, sizeof(key), "%s/%s", instance->service->name, instance->id);
    struct check *check = map_find_as(&health->checks, span_of(key), struct check, node);
    if (check && is_same(check, instance, &address)) {
        check->seen = health->number;
        return;
    }
    if (check)
        check_stop(check);
    check_start(health, key, instance, &address);
}

void health_changed(struct health *health)
{
    if (health->is_ending)
        return;
    health->number++;
    map_each (node, registry_services(health->registry)) {
        const struct service *service = container_of(node, struct service, node);
        map_each (below, &service->instances)
            look_at(health, container_of(below, struct instance, node));
    }
    map_each (node, &health->checks) {
        struct check *check = container_of(node, struct check, node);
        if (check->seen != health->number)
            check_stop(check);
    }
}

struct health *health_new(struct loop *loop, struct registry *registry, struct store *store,
                          const struct gateway *gateway)
{
    struct health *health = mem_new(struct health);
    struct http_pool_settings settings = http_pool_settings_default;
    health->loop = loop;
    health->registry = registry;
    health->store = store;
    health->gateway = gateway;
    health->pool = http_pool_new(loop, &settings);
    map_init(&health->checks);
    return health;
}

struct health *health_free(struct health *health)
{
    if (!health)
        return NULL;
    health->is_ending = true;
    map_each (node, &health->checks)
        check_stop(container_of(node, struct check, node));
    map_fini(&health->checks);
    http_pool_free(health->pool);
    free(health);
    return NULL;
}
