/* SPDX-License-Identifier: Apache-2.0 */

#include "http/checker.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/grpc.h"
#include "http/shake.h"
#include "http/stream.h"
#include "io/tls.h"

#define ANSWER_MAX 65536u  /* of what is read, so that the connection can be kept */
#define SERVING_MAX 256u   /* of a HealthCheckResponse, which has two bytes */
#define FIRST_WITHIN 1000u /* milliseconds, in which first checks are spread out */
#define FIRST_AT_ONCE 16u  /* of which so many begin together: somebody waits for them */
#define JITTER_SHARE 10u   /* an interval varies by so small a part of it */
#define CONNECT_MAX (3600 * NSEC_PER_SEC) /* the check's own time ends first */

struct http_checkers {
    struct loop *loop;
    struct http_pool *pool;
    struct random random;
    unsigned n_started;
};

struct http_checkers *http_checkers_new(struct loop *loop)
{
    struct http_checkers *checkers = mem_new(struct http_checkers);
    struct http_pool_settings settings = http_pool_settings_default;
    settings.connect_timeout = CONNECT_MAX;
    checkers->loop = loop;
    checkers->pool = http_pool_new(loop, &settings);
    random_init(&checkers->random);
    return checkers;
}

struct http_checkers *http_checkers_free(struct http_checkers *checkers)
{
    if (!checkers)
        return NULL;
    http_pool_free(checkers->pool);
    free(checkers);
    return NULL;
}

/* --- what it comes to --- */

static nsec next_interval(struct http_checker *checker)
{
    nsec interval = checker->check.interval, part = interval / JITTER_SHARE;
    return interval - part + random_next(&checker->checkers->random) % (2 * part + 1);
}

static void stop_asking(struct http_checker *checker)
{
    if (checker->is_connecting) {
        int fd = checker->watch.fd;
        watch_remove(&checker->watch);
        checker->in.tls = tls_stream_free(checker->in.tls);
        inlet_fini(&checker->in, &checker->checkers->pool->spares);
        close(fd);
    } else if (checker->is_asking) {
        http_call_cancel(&checker->call);
    }
    checker->is_asking = checker->is_connecting = false;
}

/* `why` is NULL when it passed. The owner may stop the checker. */
static void end(struct http_checker *checker, const char *why)
{
    stop_asking(checker);
    struct loop *loop = checker->checkers->loop;
    timer_start(&checker->timer, loop, loop_now(loop) + next_interval(checker));
    checker->on_checked(checker, why);
}

/* --- a connection --- */

static const struct tls_client *tls_of(const struct http_checker *checker)
{
    return checker->varied ? checker->varied : checker->held;
}

/* What it says behind the handshake is not looked at. */
static void shake(struct http_checker *checker)
{
    switch ((enum shake_answer)shake_on(&checker->in, checker->checkers->pool, checker->watch.fd)) {
    case SHAKE_MORE: return;
    case SHAKE_DONE:
        tls_stream_close(checker->in.tls);
        end(checker, NULL);
        return;
    case SHAKE_FAILED: end(checker, shake_failure(&checker->in)); return;
    }
}

static void on_connected(struct watch *watch, uint32_t events)
{
    struct http_checker *checker = container_of(watch, struct http_checker, watch);
    struct http_upstream upstream = { .address = checker->address, .tls = tls_of(checker) };
    bool is_first = !checker->in.tls;
    const char *why = is_first && socket_error(watch->fd) ? "it cannot be reached" : NULL;
    if (why || !upstream.tls) {
        end(checker, why);
        return;
    }
    inlet_note(&checker->in, events);
    if (is_first)
        shake_begin(&checker->in, checker->checkers->pool, &upstream, watch->fd, TLS_ALPN_NONE);
    shake(checker);
}

static void ask_tcp(struct http_checker *checker, const struct address *address)
{
    int fd = -1;
    if (socket_connect(address, &fd)) {
        end(checker, "it cannot be reached");
        return;
    }
    checker->watch.on_ready = on_connected;
    uint32_t events = tls_of(checker) ? EPOLLIN | EPOLLOUT | EPOLLRDHUP : EPOLLOUT;
    if (watch_add(&checker->watch, checker->checkers->loop, fd, events)) {
        close(fd);
        end(checker, "it cannot be watched");
        return;
    }
    checker->is_asking = checker->is_connecting = true;
}

/* --- a call --- */

static bool is_grpc(const struct http_checker *checker)
{
    return checker->check.kind == HEALTH_GRPC;
}

static void on_response(struct http_call *call, const struct http_head *head)
{
    struct http_checker *checker = container_of(call, struct http_checker, call);
    const struct health_check *check = &checker->check;
    checker->status = head->status;
    if (is_grpc(checker))
        checker->is_ok = span_is(http_head_value(head, HTTP_GRPC_STATUS), "0");
    else
        checker->is_ok = head->status >= check->first_status && head->status <= check->last_status;
    checker->has_warned =
        !is_grpc(checker) && !checker->is_ok && head->status == check->warning_status;
}

static void end_by_status(struct http_checker *checker)
{
    snprintf(checker->why, sizeof(checker->why), "it answers with status %u", checker->status);
    end(checker, checker->is_ok ? NULL : checker->why);
}

/* What a GET brings is read to its end, and given up when that is far. */
static void on_body(struct http_call *call, struct span bytes)
{
    struct http_checker *checker = container_of(call, struct http_checker, call);
    if (!buf_append(&checker->body, bytes))
        return;
    if (is_grpc(checker))
        end(checker, "its answer is broken");
    else
        end_by_status(checker);
}

static void on_end(struct http_call *call)
{
    struct http_checker *checker = container_of(call, struct http_checker, call);
    enum grpc_status status;
    checker->is_asking = false;
    if (!is_grpc(checker)) {
        end_by_status(checker);
        return;
    }
    if (grpc_status_find(http_call_trailers(call), &status))
        checker->is_ok = status == GRPC_OK;
    if (checker->status != 200 || !checker->is_ok)
        end(checker, "it answers with an error");
    else if (!health_says_serving(buf_span(&checker->body)))
        end(checker, "it says that it does not serve");
    else
        end(checker, NULL);
}

static void ask(struct http_checker *checker);

static void on_fault(struct http_call *call, enum http_fault fault)
{
    struct http_checker *checker = container_of(call, struct http_checker, call);
    const char *why = "its answer is broken";
    checker->is_asking = false;
    switch (fault) {
    case HTTP_FAULT_STALE:
        /* A kept connection may be closed just then, which says nothing. */
        if (!checker->is_fresh) {
            checker->is_fresh = true;
            ask(checker);
            return;
        }
        break;
    case HTTP_FAULT_CONNECT: why = "it cannot be reached"; break;
    case HTTP_FAULT_TLS: why = call->why; break;
    case HTTP_FAULT_CONNECT_TIMEOUT:
    case HTTP_FAULT_TIMEOUT: why = "it does not answer in time"; break;
    case HTTP_FAULT_BUSY:
    case HTTP_FAULT_REFUSED:
    case HTTP_FAULT_BROKEN:
    case HTTP_FAULT_INVALID: break;
    }
    end(checker, why);
}

static const struct http_call_ops call_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_fault = on_fault,
};

static bool names_field(struct span lines, struct span name)
{
    struct http1_line line;
    while (lines.size && http1_cut_line(&lines, &line)) {
        if (span_equals_nocase(line.name, name))
            return true;
    }
    return false;
}

/* The owner's lines, and those of ours that it does not give itself. */
static void write_lines(const struct http_checker *checker, const struct address *address,
                        struct buf *lines)
{
    char text[ADDRESS_TEXT_MAX];
    struct span own = checker->check.headers, host = checker->host;
    address_format(address, text);
    if (!host.size)
        host = address->any.sa_family == AF_UNIX ? SPAN("localhost") : span_of(text);
    buf_printf(lines, "Host: %.*s\r\n", SPAN_ARG(span_first(host, 300)));
    if (!names_field(own, SPAN("User-Agent")))
        buf_printf(lines, "User-Agent: Sarsen-Health\r\n");
    if (is_grpc(checker))
        buf_printf(lines, "Content-Type: application/grpc\r\nTE: trailers\r\n");
    else if (!names_field(own, SPAN("Accept")))
        buf_printf(lines, "Accept: */*\r\n");
    buf_printf(lines, "%.*s", SPAN_ARG(own));
}

static void start_call(struct http_checker *checker, const struct address *address,
                       struct http_message *message, struct span body)
{
    CLEANUP(buf_fini) struct buf lines = { 0 };
    write_lines(checker, address, &lines);
    message->lines = buf_span(&lines);
    message->body = body.size ? HTTP_SEND_LENGTH : HTTP_SEND_NONE;
    message->content_length = body.size;
    nsec until = loop_now(checker->checkers->loop) + checker->check.timeout;
    checker->is_asking = true;
    http_call_start(checker->checkers->pool, &checker->call, address, message, until);
    if (!body.size)
        return;
    http_call_send(&checker->call, body);
    http_call_finish(&checker->call);
}

static void ask_http(struct http_checker *checker, const struct address *address)
{
    const struct health_check *check = &checker->check;
    char request[HEALTH_REQUEST_MAX];
    checker->call = (struct http_call){ .ops = &call_ops,
                                        .protocol = checker->protocol,
                                        .tls = tls_of(checker),
                                        .is_fresh = checker->is_fresh };
    if (is_grpc(checker)) {
        struct http_message message = { .method = SPAN("POST"),
                                        .target = SPAN("/grpc.health.v1.Health/Check"),
                                        .wants_trailers = true };
        checker->call.protocol = HTTP_PROTOCOL_2;
        size_t size = health_request_write(check->target, request);
        start_call(checker, address, &message, (struct span){ request, size });
        return;
    }
    struct http_message message = { .method = check->method.size ? check->method : SPAN("GET"),
                                    .target = check->target };
    checker->call.is_head_request = http_is_head(message.method);
    start_call(checker, address, &message, check->body);
}

static void ask(struct http_checker *checker)
{
    struct address address = checker->address;
    if (checker->check.port)
        address_set_port(&address, checker->check.port);
    buf_clear(&checker->body);
    checker->body.limit = is_grpc(checker) ? SERVING_MAX : ANSWER_MAX;
    checker->is_ok = false;
    checker->status = 0;
    switch (checker->check.kind) {
    case HEALTH_TCP: ask_tcp(checker, &address); return;
    case HEALTH_NONE: return;
    case HEALTH_HTTPS:
    case HEALTH_HTTP:
    case HEALTH_GRPC: ask_http(checker, &address); return;
    }
}

/* The owner may have another before this check ends. */
static void hold_tls(struct http_checker *checker)
{
    const struct tls_client *before = checker->held;
    checker->held = checker->tls ? tls_client_ref(checker->tls) : NULL;
    tls_client_unref(before);
}

static void vary_tls(struct http_checker *checker)
{
    const struct health_check *check = &checker->check;
    bool is_own = checker->tls && (check->is_unverified || check->server_name.size);
    if (checker->varied_of == (is_own ? checker->tls : NULL))
        return;
    checker->varied = tls_client_unref(checker->varied);
    checker->varied_of = tls_client_unref(checker->varied_of);
    if (!is_own)
        return;
    CLEANUP(mem_freep) char *name = mem_span_dup(check->server_name);
    checker->varied = tls_client_vary(checker->tls, name[0] ? name : NULL, check->is_unverified);
    checker->varied_of = tls_client_ref(checker->tls);
}

/* The next check, or the whole time of this one is over. */
static void on_due(struct timer *timer)
{
    struct http_checker *checker = container_of(timer, struct http_checker, timer);
    struct loop *loop = checker->checkers->loop;
    if (checker->is_asking) {
        end(checker, "it does not answer in time");
        return;
    }
    if (checker->on_due)
        checker->on_due(checker);
    hold_tls(checker);
    vary_tls(checker);
    checker->is_fresh = checker->has_warned = false;
    timer_start(&checker->timer, loop, loop_now(loop) + checker->check.timeout);
    ask(checker);
}

void http_checker_start(struct http_checkers *checkers, struct http_checker *checker)
{
    nsec spread = checkers->n_started++ / FIRST_AT_ONCE % FIRST_WITHIN * NSEC_PER_MSEC;
    if (checker->is_passing)
        spread = random_next(&checkers->random) % checker->check.interval;
    checker->checkers = checkers;
    checker->timer.on_due = on_due;
    timer_start(&checker->timer, checkers->loop, loop_now(checkers->loop) + spread);
}

void http_checker_stop(struct http_checker *checker)
{
    if (!checker->checkers)
        return;
    timer_stop(&checker->timer);
    stop_asking(checker);
    buf_fini(&checker->body);
    checker->held = tls_client_unref(checker->held);
    checker->varied = tls_client_unref(checker->varied);
    checker->varied_of = tls_client_unref(checker->varied_of);
}
