/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/check.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "faces/consul/owner.h"
#include "http/checker.h"
#include "io/network.h"
#include "io/resolver.h"
#include "io/socket.h"

#define HOST_MAX 255u
#define STATUS_TOO_MANY 429u /* of a warning, as Consul has it */
#define RESOLVE_WITHIN (10 * NSEC_PER_SEC)

/* Asks for one check, and is made anew when that is another. */
struct prober {
    struct http_checker checker;
    struct consul *consul;
    struct consul_check *check;
    Consul__CheckRecord *record; /* a copy; the checker borrows from it */
    unsigned n_passed, n_failed; /* one after the other */
    char *name;                  /* that is resolved; NULL: the target is an address */
    struct resolver_request resolving;
    struct timer again; /* where the name has no address */
    bool has_address;
};

/* What a check's target says. */
struct target {
    struct health_check check;
    struct span host;        /* as it is asked for */
    char name[HOST_MAX + 8]; /* of the host, with a port */
    bool is_name;            /* else it is `address` */
    struct address address;
};

/* --- targets --- */

/* "10.0.0.7:8080", "[::1]", "localhost:80", "db.internal". False: there is no such host. */
static bool parse_host(struct span text, const char *standard_port, struct target *target)
{
    char own[HOST_MAX + 1] = "";
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
    snprintf(target->name, sizeof(target->name), "%.*s:%.*s", SPAN_ARG(host), SPAN_ARG(port));
    target->is_name = address_parse(span_of(target->name), &target->address) != 0;
    if (target->is_name)
        return resolver_accepts(span_of(target->name));
    return target->address.any.sa_family != AF_UNIX;
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
    case CHECK_ALIAS:
    case CHECK_MAINTENANCE: break;
    }
    return HEALTH_NONE;
}

/* The certificate of one that is named is for that name. */
static struct span server_name(const Consul__CheckRecord *record, const struct target *target)
{
    if (record->server_name[0] || !target->is_name)
        return span_of(record->server_name);
    return span_first(target->host, span_find(target->host, ':'));
}

/* What is asked, and how often; borrows from the record. */
static struct health_check health_of(const Consul__CheckRecord *record, enum health_kind kind,
                                     const struct target *target)
{
    struct health_check check = health_check_standard;
    check.kind = kind;
    check.interval = record->interval;
    check.timeout = record->timeout;
    check.failures = record->failures;
    check.passes = record->passes;
    check.is_tls = record->is_tls && (kind == HEALTH_GRPC || kind == HEALTH_TCP);
    check.is_unverified = record->is_unverified;
    check.server_name = server_name(record, target);
    if (!health_has_status(kind))
        return check;
    check.warning_status = STATUS_TOO_MANY;
    check.method = span_of(record->method);
    check.headers = span_of(record->headers);
    check.body = span_of(record->body);
    return check;
}

/* "http://10.0.0.7:8080/health", "10.0.0.7:8080", "10.0.0.7:9000/shop.Orders". */
static bool parse_target(const Consul__CheckRecord *record, struct target *ret_target)
{
    struct span text = span_of(record->target), scheme = SPAN_NULL;
    const char *mark = strstr(record->target, "://");
    if (mark) {
        scheme = span_first(text, (size_t)(mark - record->target));
        text = span_from(text, scheme.size + 3);
    }
    enum health_kind kind = kind_of(record, scheme);
    struct target target = { .host = span_first(text, span_find(text, '/')) };
    struct span rest = span_from(text, target.host.size);
    if (kind == HEALTH_NONE || (kind == HEALTH_TCP && rest.size) ||
        !parse_host(target.host, kind == HEALTH_HTTPS ? "443" : "80", &target))
        return false;
    target.check = health_of(record, kind, &target);
    target.check.target = rest.size ? rest : SPAN("/");
    if (kind == HEALTH_GRPC)
        target.check.target = span_from(rest, 1);
    if (record->host[0])
        target.host = span_of(record->host);
    *ret_target = target;
    return true;
}

/* --- where a check may lead --- */

static bool may_ask(const struct consul *consul, const struct address *peer,
                    const struct address *address)
{
    return address_is_same_host(peer, address) ||
           (address_is_loopback(peer) && address_is_here(address)) ||
           networks_have(span_of(*consul->settings.health_networks), address);
}

int consul_check_judge(struct consul_call *call, Consul__CheckRecord *record)
{
    const struct address *peer = call->exchange->peer;
    struct target target;
    struct problem problem;
    char text[ADDRESS_TEXT_MAX];
    if (record->kind == CHECK_TTL || record->kind == CHECK_MAINTENANCE ||
        record->kind == CHECK_ALIAS)
        return 0;
    if (!parse_target(record, &target)) {
        return consul_deny(call, 400,
                           "Invalid check: \"%.200s\" cannot be asked; http://HOST:PORT/PATH, "
                           "https://…, HOST:PORT and, of gRPC, HOST:PORT/SERVICE are accepted",
                           record->target);
    }
    if (health_check_judge(&target.check, &problem))
        return consul_deny(call, 400, "Invalid check: %s %s", problem.path, problem.text);
    if (!target.is_name && !may_ask(call->consul, peer, &target.address)) {
        return consul_deny(call, 400,
                           "Invalid check: \"%.200s\" is another host than the one that registers",
                           record->target);
    }
    struct address host = *peer;
    if (!target.is_name || host.any.sa_family == AF_UNIX)
        return 0;
    address_set_port(&host, 1); /* its own is another with each connection */
    address_format(&host, text);
    record->peer = arena_strdup(&call->arena, text);
    return 0;
}

/* --- what comes of it --- */

/* As Consul counts: the first check decides, and then some are let pass. */
static enum check_status judge(struct prober *prober, const char *why)
{
    const Consul__CheckRecord *record = prober->record;
    bool has_warned = why && prober->checker.has_warned;
    if (!why || has_warned) {
        prober->n_failed = 0;
        if (++prober->n_passed < record->passes)
            return prober->check->status;
        return has_warned ? CHECK_WARNING : CHECK_PASSING;
    }
    prober->n_passed = 0;
    if (++prober->n_failed >= record->failures)
        return CHECK_CRITICAL;
    bool warns = record->warnings && prober->n_failed >= record->warnings;
    return warns ? CHECK_WARNING : prober->check->status;
}

static void tell(struct prober *prober, const char *why)
{
    enum check_status status = judge(prober, why);
    consul_check_told(prober->consul, prober->check, status, why ? why : "it works");
}

static void on_checked(struct http_checker *checker, const char *why)
{
    tell(container_of(checker, struct prober, checker), why);
}

/* --- names --- */

static void resolve(struct prober *prober)
{
    if (prober->name && !prober->resolving.resolver)
        resolver_ask(prober->consul->resolver, &prober->resolving, span_of(prober->name),
                     loop_now(prober->consul->loop) + RESOLVE_WITHIN);
}

/* Until it has an address it is asked for in the check's interval. */
static void lack_address(struct prober *prober, const char *why)
{
    struct loop *loop = prober->consul->loop;
    timer_start(&prober->again, loop, loop_now(loop) + prober->record->interval);
    tell(prober, why);
}

static void on_again(struct timer *timer)
{
    resolve(container_of(timer, struct prober, again));
}

static void start(struct prober *prober)
{
    const struct http_checker *before = &prober->checker;
    prober->checker = (struct http_checker){
        .check = before->check,
        .address = before->address,
        .protocol = before->protocol,
        .tls = before->tls,
        .is_passing = before->is_passing,
        .host = before->host,
        .on_due = before->on_due,
        .on_checked = before->on_checked,
    };
    http_checker_start(prober->consul->checkers, &prober->checker);
}

/* Only the address is connected to that was found to be one where the check may lead, so that a
 * name that leads elsewhere later leads nowhere. While the servers are silent the last one holds. */
static void on_resolved(struct resolver_request *request, const struct resolver_result *result)
{
    struct prober *prober = container_of(request, struct prober, resolving);
    struct address peer;
    bool has_peer = !address_parse(span_of(prober->record->peer), &peer), is_found = false;
    for (unsigned i = 0; i < result->n_addresses && has_peer && !is_found; i++) {
        is_found = may_ask(prober->consul, &peer, &result->addresses[i]);
        if (is_found)
            prober->checker.address = result->addresses[i];
    }
    bool is_sure = result->answer == RESOLVER_OK || result->answer == RESOLVER_NO_NAME;
    bool had_address = prober->has_address;
    prober->has_address = is_found || (had_address && !is_sure);
    if (prober->has_address && !had_address)
        start(prober);
    if (prober->has_address)
        return;
    if (had_address)
        http_checker_stop(&prober->checker);
    lack_address(prober, result->answer == RESOLVER_OK
                             ? "its name has no address of the host that registered it"
                             : "its name cannot be resolved");
}

/* Which authorities are believed, and which addresses a name has, may have changed since the last
 * time. A name is kept for as long as it says; what comes of asking again holds for the next. */
static void on_due(struct http_checker *checker)
{
    struct prober *prober = container_of(checker, struct prober, checker);
    const struct consul_settings *settings = &prober->consul->settings;
    if (health_needs_tls(&checker->check))
        checker->tls = settings->upstream_tls(settings->owner);
    resolve(prober);
}

/* --- asking --- */

static Consul__CheckRecord *copy_of(const Consul__CheckRecord *record)
{
    size_t size = consul__check_record__get_packed_size(record);
    CLEANUP(mem_freep) uint8_t *bytes = mem_resize(NULL, size + 1, 1);
    consul__check_record__pack(record, bytes);
    return consul__check_record__unpack(NULL, size, bytes);
}

static struct prober *prober_free(struct prober *prober)
{
    consul__check_record__free_unpacked(prober->record, NULL);
    free(prober->name);
    free(prober);
    return NULL;
}

static bool is_same(const struct prober *prober, const struct prober *other)
{
    const Consul__CheckRecord *record = prober->record, *next = other->record;
    return strcmp(record->target, next->target) == 0 && strcmp(record->host, next->host) == 0 &&
           strcmp(record->peer, next->peer) == 0 && record->warnings == next->warnings &&
           health_check_equals(&prober->checker.check, &other->checker.check);
}

/* What it asks is of the host where it was registered, and that is another: here it would ask
 * somebody else. A name is judged by who registered it, who is not on this loopback. */
static bool is_away(struct consul *consul, struct consul_check *check, const struct target *target)
{
    struct address peer;
    const struct address *address = &target->address;
    if (target->is_name)
        address = address_parse(span_of(check->record->peer), &peer) ? NULL : &peer;
    bool is_away =
        address && address_is_loopback(address) && consul_is_away(consul, check->service);
    if (is_away && !check->is_away_told)
        log_warn("consul", "a check of another host's own is not made here; what it said stands",
                 "check", check->key, "target", check->record->target);
    check->is_away_told = is_away;
    return is_away;
}

/* NULL for one that is not asked. */
static struct prober *prober_new(struct consul *consul, struct consul_check *check)
{
    struct target target;
    struct prober *prober = mem_new(struct prober);
    struct http_checker *checker = &prober->checker;
    prober->consul = consul;
    prober->check = check;
    prober->record = copy_of(check->record);
    if (!parse_target(prober->record, &target) || is_away(consul, check, &target))
        return prober_free(prober);
    checker->check = target.check;
    checker->host = target.host;
    checker->address = target.address;
    checker->protocol = check->record->kind == CHECK_GRPC ? HTTP_PROTOCOL_2 : HTTP_PROTOCOL_1;
    checker->is_passing = check->status == CHECK_PASSING;
    checker->on_due = on_due;
    checker->on_checked = on_checked;
    prober->has_address = !target.is_name;
    prober->n_passed = prober->record->passes - 1;
    prober->n_failed = check->status == CHECK_CRITICAL ? prober->record->failures - 1 : 0;
    if (target.is_name)
        prober->name = mem_strdup(target.name);
    prober->resolving.on_resolved = on_resolved;
    prober->again.on_due = on_again;
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
    if (prober && prober->has_address)
        start(prober);
    else if (prober)
        resolve(prober);
}

void consul_check_stop(struct consul_check *check)
{
    struct prober *prober = check->prober;
    if (!prober)
        return;
    check->prober = NULL;
    resolver_cancel(&prober->resolving);
    timer_stop(&prober->again);
    http_checker_stop(&prober->checker);
    prober_free(prober);
}
