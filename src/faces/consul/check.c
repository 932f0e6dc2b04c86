/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/check.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/checker.h"
#include "io/network.h"
#include "io/socket.h"

#define HOST_MAX 255u

/* Asks for one check, and is made anew when that is another. */
struct prober {
    struct http_checker checker;
    struct consul *consul;
    struct consul_check *check;
    struct health_tally tally;
    char *target; /* as it was registered; the checker borrows from it */
    bool is_tls;  /* of gRPC */
};

/* --- targets --- */

/* "10.0.0.7:8080", "[::1]", "localhost:80". False: there is no such address. */
static bool parse_host(struct span text, const char *standard_port, struct address *ret_address)
{
    char name[HOST_MAX + 8], own[HOST_MAX + 1] = "";
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':' && text.data[colon - 1] != ']')
        colon--;
    bool has_port = colon > 0 && text.data[colon - 1] == ':';
    struct span host = has_port ? span_first(text, colon - 1) : text;
    struct span port = has_port ? span_from(text, colon) : span_of(standard_port);
    gethostname(own, HOST_MAX);
    if (span_equals_nocase(host, SPAN("localhost")) || span_equals_nocase(host, span_of(own)))
        host = SPAN("127.0.0.1");
    if (host.size > HOST_MAX || port.size > 5)
        return false;
    snprintf(name, sizeof(name), "%.*s:%.*s", SPAN_ARG(host), SPAN_ARG(port));
    return !address_parse(span_of(name), ret_address) && ret_address->any.sa_family != AF_UNIX;
}

/* How it is asked, by the scheme in front of its target; HEALTH_NONE when that is none for it. */
static enum health_kind kind_of(const Consul__CheckRecord *record, struct span scheme)
{
    bool is_https = span_equals_nocase(scheme, SPAN("https"));
    switch ((enum check_kind)record->kind) {
    case CHECK_HTTP:
        if (is_https)
            return HEALTH_HTTPS;
        return span_equals_nocase(scheme, SPAN("http")) ? HEALTH_HTTP : HEALTH_NONE;
    case CHECK_TCP: return scheme.size ? HEALTH_NONE : HEALTH_TCP;
    case CHECK_GRPC: return scheme.size ? HEALTH_NONE : HEALTH_GRPC;
    case CHECK_TTL:
    case CHECK_TOLD:
    case CHECK_MAINTENANCE: break;
    }
    return HEALTH_NONE;
}

/* "http://10.0.0.7:8080/health", "10.0.0.7:8080", "10.0.0.7:9000/shop.Orders". */
static bool parse_target(const char *target, const Consul__CheckRecord *record,
                         struct address *ret_address, struct health_check *ret_check,
                         struct span *ret_host)
{
    struct span text = span_of(target), scheme = SPAN_NULL;
    const char *mark = strstr(target, "://");
    if (mark) {
        scheme = span_first(text, (size_t)(mark - target));
        text = span_from(text, scheme.size + 3);
    }
    struct span host = span_first(text, span_find(text, '/'));
    struct span rest = span_from(text, host.size);
    *ret_host = host;
    struct health_check check = health_check_standard;
    check.kind = kind_of(record, scheme);
    if (check.kind == HEALTH_NONE || (check.kind == HEALTH_TCP && rest.size))
        return false;
    check.target = rest.size ? rest : SPAN("/");
    if (check.kind == HEALTH_GRPC)
        check.target = span_from(rest, 1);
    check.interval = record->interval;
    check.timeout = record->timeout;
    check.failures = record->failures;
    check.passes = record->passes;
    *ret_check = check;
    return parse_host(host, check.kind == HEALTH_HTTPS ? "443" : "80", ret_address);
}

int consul_check_judge(struct consul_call *call, const Consul__CheckRecord *record)
{
    const struct address *peer = call->exchange->peer;
    struct address address;
    struct health_check check;
    struct problem problem;
    struct span host;
    if (record->kind == CHECK_TTL || record->kind == CHECK_MAINTENANCE)
        return 0;
    if (!parse_target(record->target, record, &address, &check, &host)) {
        return consul_deny(call, 400,
                           "Invalid check: \"%.200s\" cannot be asked; http://IP:PORT/PATH, "
                           "https://…, IP:PORT and, of gRPC, IP:PORT/SERVICE are accepted",
                           record->target);
    }
    if (health_check_judge(&check, &problem))
        return consul_deny(call, 400, "Invalid check: %s %s", problem.path, problem.text);
    if (address_is_same_host(peer, &address) ||
        (address_is_loopback(peer) && address_is_here(&address)) ||
        networks_have(span_of(*call->consul->settings.health_networks), &address))
        return 0;
    return consul_deny(call, 400,
                       "Invalid check: \"%.200s\" is another host than the one that registers",
                       record->target);
}

/* --- asking --- */

static void on_checked(struct http_checker *checker, const char *why)
{
    struct prober *prober = container_of(checker, struct prober, checker);
    struct consul_check *check = prober->check;
    bool is_failing = check->status == CHECK_CRITICAL;
    bool has_turned = health_turns(&prober->tally, &checker->check, is_failing, why == NULL);
    enum check_status status = check->status;
    if (has_turned)
        status = why ? CHECK_CRITICAL : CHECK_PASSING;
    consul_check_told(prober->consul, check, status, why ? why : "it works");
}

/* Which authorities are believed may have changed since the last time. */
static void on_due(struct http_checker *checker)
{
    const struct prober *prober = container_of(checker, struct prober, checker);
    const struct consul_settings *settings = &prober->consul->settings;
    if (checker->check.kind == HEALTH_HTTPS || prober->is_tls)
        checker->tls = settings->upstream_tls(settings->owner);
}

static bool is_same(const struct prober *prober, const struct prober *other)
{
    return strcmp(prober->target, other->target) == 0 && prober->is_tls == other->is_tls &&
           health_check_equals(&prober->checker.check, &other->checker.check);
}

static struct prober *prober_free(struct prober *prober)
{
    free(prober->target);
    free(prober);
    return NULL;
}

/* NULL for one that is not asked. */
static struct prober *prober_new(struct consul *consul, struct consul_check *check)
{
    const Consul__CheckRecord *record = check->record;
    struct prober *prober = mem_new(struct prober);
    struct http_checker *checker = &prober->checker;
    prober->consul = consul;
    prober->check = check;
    prober->target = mem_strdup(record->target);
    prober->is_tls = record->is_tls;
    if (!parse_target(prober->target, record, &checker->address, &checker->check, &checker->host))
        return prober_free(prober);
    checker->protocol = record->kind == CHECK_GRPC ? HTTP_PROTOCOL_2 : HTTP_PROTOCOL_1;
    checker->is_passing = check->status == CHECK_PASSING;
    checker->on_due = on_due;
    checker->on_checked = on_checked;
    return prober;
}

void consul_check_start(struct consul *consul, struct consul_check *check)
{
    struct prober *prober = prober_new(consul, check);
    if (prober && check->prober && is_same(check->prober, prober)) {
        prober_free(prober);
        return;
    }
    consul_check_stop(check);
    check->prober = prober;
    if (prober)
        http_checker_start(consul->checkers, &prober->checker);
}

void consul_check_stop(struct consul_check *check)
{
    struct prober *prober = check->prober;
    if (!prober)
        return;
    check->prober = NULL;
    http_checker_stop(&prober->checker);
    prober_free(prober);
}
