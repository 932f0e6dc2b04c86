/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/health_check.h"

#include <stdio.h>
#include <string.h>

#include "codec/grpc.h"
#include "codec/http1.h"
#include "codec/timefmt.h"

#define TIMES_MAX 100u

const struct health_check health_check_standard = {
    .first_status = 200,
    .last_status = 299,
    .interval = 5 * NSEC_PER_SEC,
    .timeout = NSEC_PER_SEC,
    .failures = 3,
    .passes = 1,
};

static const char *const kind_words[] = {
    [HEALTH_NONE] = NULL,   [HEALTH_GRPC] = "grpc",   [HEALTH_TCP] = "tcp",
    [HEALTH_HTTP] = "http", [HEALTH_HTTPS] = "https",
};

const char *health_kind_word(enum health_kind kind)
{
    return kind_words[kind];
}

/* --- reading --- */

static int refuse(const char *member, struct span found, const char *accepts,
                  struct problem *problem)
{
    char path[sizeof("health.") + 32];
    snprintf(path, sizeof(path), "health.%.32s", member);
    problem_set(problem, path, "is \"%.*s\"; %s is accepted", SPAN_ARG(span_first(found, 64)),
                accepts);
    return HEALTH_INVALID;
}

static int set_kind(struct health_check *check, enum health_kind kind, struct span text,
                    struct problem *problem)
{
    if (check->kind != HEALTH_NONE)
        return refuse(kind_words[kind], SPAN("one more"), "one of grpc, tcp, http and https",
                      problem);
    if (kind == HEALTH_TCP && !span_is(text, "true"))
        return refuse("tcp", text, "true", problem);
    check->kind = kind;
    check->target = kind == HEALTH_TCP ? SPAN_NULL : text;
    return 0;
}

static int set_status(struct health_check *check, struct span text, struct problem *problem)
{
    struct span rest = text, first = span_cut(&rest, '-');
    uint64_t from = 0, to = 0;
    bool is_read = span_to_uint(first, 599, &from);
    if (is_read && rest.data)
        is_read = span_to_uint(rest, 599, &to);
    else
        to = from;
    if (!is_read || from < 100 || to < from)
        return refuse("status", text, "a status or a range of them, such as 200-399,", problem);
    check->first_status = (unsigned)from;
    check->last_status = (unsigned)to;
    return 0;
}

static int set_time(nsec *time, const char *member, struct span text, struct problem *problem)
{
    if (!duration_parse(text, time))
        return 0;
    return refuse(member, text, "a duration such as 5s", problem);
}

static int set_number(unsigned *number, const char *member, uint64_t max, struct span text,
                      struct problem *problem)
{
    uint64_t value = 0;
    if (!span_to_uint(text, max, &value))
        return refuse(member, text, "a number", problem);
    *number = (unsigned)value;
    return 0;
}

int health_check_set(struct health_check *check, struct span member, struct span text,
                     struct problem *problem)
{
    for (int kind = HEALTH_GRPC; kind <= HEALTH_HTTPS; kind++) {
        if (span_is(member, kind_words[kind]))
            return set_kind(check, (enum health_kind)kind, text, problem);
    }
    if (span_is(member, "interval"))
        return set_time(&check->interval, "interval", text, problem);
    if (span_is(member, "timeout"))
        return set_time(&check->timeout, "timeout", text, problem);
    if (span_is(member, "failures"))
        return set_number(&check->failures, "failures", UINT32_MAX, text, problem);
    if (span_is(member, "passes"))
        return set_number(&check->passes, "passes", UINT32_MAX, text, problem);
    if (span_is(member, "port"))
        return set_number(&check->port, "port", 65535, text, problem);
    if (span_is(member, "status"))
        return set_status(check, text, problem);
    char name[33];
    snprintf(name, sizeof(name), "%.*s", SPAN_ARG(span_first(member, 32)));
    return refuse(name, text, HEALTH_ACCEPTS, problem);
}

/* --- judging --- */

static int judge_time(nsec time, const char *path, struct problem *problem)
{
    if (time >= NSEC_PER_SEC / 10 && time <= 3600 * NSEC_PER_SEC)
        return 0;
    problem_set(problem, path, "is %.3f s; from 100ms to 1h is accepted",
                (double)time / (double)NSEC_PER_SEC);
    return HEALTH_INVALID;
}

static int judge_times(unsigned times, const char *path, struct problem *problem)
{
    if (times >= 1 && times <= TIMES_MAX)
        return 0;
    problem_set(problem, path, "is %u; 1 to %u is accepted", times, TIMES_MAX);
    return HEALTH_INVALID;
}

static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}

static int judge_target(const struct health_check *check, struct problem *problem)
{
    bool is_fit = check->target.size <= HEALTH_TARGET_MAX && is_visible(check->target);
    switch (check->kind) {
    case HEALTH_NONE:
        return refuse("grpc", SPAN_NULL,
                      "a gRPC service, or \"\" for all of them; or one of tcp, http and https",
                      problem);
    case HEALTH_TCP: return 0;
    case HEALTH_GRPC:
        if (is_fit)
            return 0;
        return refuse("grpc", check->target,
                      "the name of a gRPC service, or \"\" for all of the instance,", problem);
    case HEALTH_HTTP:
    case HEALTH_HTTPS: break;
    }
    if (is_fit && span_starts_with(check->target, SPAN("/")) &&
        span_find(check->target, '#') == check->target.size)
        return 0;
    return refuse(kind_words[check->kind], check->target,
                  "a path that begins with \"/\", perhaps with a query,", problem);
}

static bool is_method(struct span method)
{
    if (!method.size)
        return true;
    return method.size <= HEALTH_METHOD_MAX && http_is_token(method) && !span_is(method, "CONNECT");
}

/* Lines about the body and the connection are ours to write. */
static bool are_headers(struct span lines)
{
    struct http1_line line;
    if (lines.size > HEALTH_HEADERS_MAX)
        return false;
    while (lines.size) {
        if (!http1_cut_line(&lines, &line))
            return false;
        enum http_name name = http_name_find(line.name);
        if (name == HTTP_CONTENT_LENGTH || name == HTTP_TRANSFER_ENCODING ||
            name == HTTP_CONNECTION || name == HTTP_HOST || name == HTTP_UPGRADE ||
            name == HTTP_TE || name == HTTP_EXPECT)
            return false;
    }
    return true;
}

static int judge_request(const struct health_check *check, struct problem *problem)
{
    if (!is_method(check->method))
        return refuse("method", check->method, "a method such as GET or HEAD", problem);
    if (!are_headers(check->headers)) {
        return refuse("header", SPAN("not what can be sent"),
                      "fields of 4096 bytes in all, and none about host, body and connection,",
                      problem);
    }
    if (check->body.size > HEALTH_BODY_MAX)
        return refuse("body", SPAN("too long"), "one of up to 4096 bytes", problem);
    if (check->server_name.size <= HEALTH_NAME_MAX && is_visible(check->server_name))
        return 0;
    return refuse("server_name", check->server_name, "the name of a host", problem);
}

int health_check_judge(const struct health_check *check, struct problem *problem)
{
    int r = judge_target(check, problem);
    if (!r)
        r = judge_request(check, problem);
    if (!r)
        r = judge_time(check->interval, "health.interval", problem);
    if (!r)
        r = judge_time(check->timeout, "health.timeout", problem);
    if (!r)
        r = judge_times(check->failures, "health.failures", problem);
    return r ? r : judge_times(check->passes, "health.passes", problem);
}

bool health_needs_tls(const struct health_check *check)
{
    return check->kind == HEALTH_HTTPS || check->is_tls;
}

bool health_has_status(enum health_kind kind)
{
    return kind == HEALTH_HTTP || kind == HEALTH_HTTPS;
}

bool health_check_equals(const struct health_check *a, const struct health_check *b)
{
    bool is_status_same = a->first_status == b->first_status && a->last_status == b->last_status &&
                          a->warning_status == b->warning_status;
    bool is_request_same = span_equals(a->method, b->method) &&
                           span_equals(a->headers, b->headers) && span_equals(a->body, b->body);
    bool is_tls_same = a->is_tls == b->is_tls && a->is_unverified == b->is_unverified &&
                       span_equals(a->server_name, b->server_name);
    return is_request_same && is_tls_same && a->kind == b->kind &&
           span_equals(a->target, b->target) && a->port == b->port &&
           (is_status_same || !health_has_status(a->kind)) && a->interval == b->interval &&
           a->timeout == b->timeout && a->failures == b->failures && a->passes == b->passes;
}

void health_status_format(const struct health_check *check, char ret_text[HEALTH_STATUS_MAX])
{
    int size = snprintf(ret_text, HEALTH_STATUS_MAX, "%u", check->first_status % 1000);
    if (check->last_status != check->first_status)
        snprintf(ret_text + size, HEALTH_STATUS_MAX - (size_t)size, "-%u",
                 check->last_status % 1000);
}

bool health_turns(struct health_tally *tally, const struct health_check *check, bool is_failing,
                  bool has_passed)
{
    if (has_passed != is_failing) {
        tally->n = 0;
        return false;
    }
    return ++tally->n >= (has_passed ? check->passes : check->failures);
}

/* --- grpc.health.v1 --- */

/* HealthCheckRequest: field 1 is the service. Its size takes two bytes above 127. */
size_t health_request_write(struct span service, char ret_bytes[HEALTH_REQUEST_MAX])
{
    char *at = ret_bytes + GRPC_FRAME_HEAD;
    size_t size = service.size;
    if (size) {
        *at++ = 10;
        *at++ = (char)(size > 127 ? (size & 127) | 128 : size);
        if (size > 127)
            *at++ = (char)(size >> 7);
        memcpy(at, service.data, size);
        at += size;
    }
    size_t whole = (size_t)(at - ret_bytes);
    grpc_frame_head(0, (uint32_t)(whole - GRPC_FRAME_HEAD), ret_bytes);
    return whole;
}

/* HealthCheckResponse: field 1 is the status, and 1 is SERVING. */
bool health_says_serving(struct span body)
{
    static const char serving[] = { 0, 0, 0, 0, 2, 8, 1 };
    return body.size == sizeof(serving) && memcmp(body.data, serving, sizeof(serving)) == 0;
}
