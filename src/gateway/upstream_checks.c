/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/upstream_checks.h"

#include <stdio.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/checker.h"

#define KEY_MAX (ADDRESS_TEXT_MAX + 768u)

/* One address that is asked in one way, for all routes that do. */
struct upstream_check {
    struct map_node node; /* by what makes it the same, as text */
    struct upstream_checks *checks;
    char *key, *target, *host, *route;
    struct http_checker checker;
    struct health_tally tally;
    unsigned seen;   /* of upstream_checks_set(), so that who is gone is seen */
    bool has_result; /* the first one decides at once */
    bool is_failing;
    char why[64];
    unix_msec since;
};

struct upstream_checks {
    struct loop *loop;
    struct http_checkers *checkers;
    void (*on_change)(void *owner);
    void *owner;
    struct upstream_checks_settings settings;
    struct route_table *routes;
    struct map all;
    struct upstream_check **by_endpoint; /* of the routes; NULL: not checked */
    const struct route_action **upstreams;
    bool *panics; /* by upstream */
    struct task task;
    unsigned n_sets;
};

static void on_task(struct task *task)
{
    struct upstream_checks *checks = container_of(task, struct upstream_checks, task);
    checks->on_change(checks->owner);
}

struct upstream_checks *upstream_checks_new(struct loop *loop, void (*on_change)(void *owner),
                                            void *owner)
{
    struct upstream_checks *checks = mem_new(struct upstream_checks);
    checks->loop = loop;
    checks->checkers = http_checkers_new(loop);
    checks->on_change = on_change;
    checks->owner = owner;
    checks->task.on_run = on_task;
    list_init(&checks->task.link);
    map_init(&checks->all);
    return checks;
}

static void check_free(struct upstream_check *check)
{
    http_checker_stop(&check->checker);
    tls_client_unref(check->checker.tls);
    map_remove(&check->checks->all, &check->node);
    free(check->key);
    free(check->target);
    free(check->host);
    free(check->route);
    free(check);
}

static void drop_routes(struct upstream_checks *checks)
{
    free(checks->by_endpoint);
    free(checks->upstreams);
    free(checks->panics);
    route_table_unref(checks->routes);
}

struct upstream_checks *upstream_checks_free(struct upstream_checks *checks)
{
    if (!checks)
        return NULL;
    task_cancel(&checks->task);
    map_each (node, &checks->all)
        check_free(container_of(node, struct upstream_check, node));
    map_fini(&checks->all);
    drop_routes(checks);
    http_checkers_free(checks->checkers);
    free(checks);
    return NULL;
}

/* --- what it comes to --- */

static void turn(struct upstream_check *check, const char *why)
{
    struct upstream_checks *checks = check->checks;
    char address[ADDRESS_TEXT_MAX];
    address_format(&check->checker.address, address);
    if (why) {
        log_warn("gateway", "upstream fails its checks", "address", address, "route", check->route,
                 "reason", why);
    } else if (check->is_failing) {
        log_info("gateway", "upstream passes its checks", "address", address, "route",
                 check->route);
    }
    bool has_changed = check->is_failing != (why != NULL);
    check->is_failing = why;
    check->since = loop_wall(checks->loop);
    check->tally.n = 0;
    if (has_changed)
        task_defer(&checks->task, checks->loop);
}

static void on_checked(struct http_checker *checker, const char *why)
{
    struct upstream_check *check = container_of(checker, struct upstream_check, checker);
    bool is_first = !check->has_result;
    check->has_result = true;
    snprintf(check->why, sizeof(check->why), "%s", why ? why : "");
    if (is_first || health_turns(&check->tally, &checker->check, check->is_failing, !why))
        turn(check, why);
}

/* --- whom to ask --- */

static void write_key(const struct route_action *action, const struct endpoint *endpoint,
                      char key[KEY_MAX])
{
    const struct health_check *health = &action->health;
    char address[ADDRESS_TEXT_MAX];
    address_format(&endpoint->address, address);
    snprintf(key, KEY_MAX, "%s %d %d %d %.*s %.*s %u %u-%u %llu %llu %u %u", address,
             endpoint->tls != NULL, (int)endpoint->protocol, (int)health->kind,
             SPAN_ARG(health->target), SPAN_ARG(action->host), health->port, health->first_status,
             health->last_status, (unsigned long long)health->interval,
             (unsigned long long)health->timeout, health->failures, health->passes);
}

static char *dup_span(struct span span)
{
    return mem_format("%.*s", SPAN_ARG(span));
}

static struct upstream_check *check_new(struct upstream_checks *checks, const char *key,
                                        const struct route_action *action,
                                        const struct endpoint *endpoint)
{
    struct upstream_check *check = mem_new(struct upstream_check);
    check->checks = checks;
    check->key = mem_strdup(key);
    check->target = dup_span(action->health.target);
    check->host = dup_span(action->host);
    check->route = dup_span(action->name);
    check->since = loop_wall(checks->loop);
    check->checker.check = action->health;
    check->checker.check.target = span_of(check->target);
    check->checker.host = span_of(check->host);
    check->checker.address = endpoint->address;
    check->checker.protocol = endpoint->protocol;
    check->checker.on_checked = on_checked;
    map_add(&checks->all, &check->node, span_of(check->key));
    http_checker_start(checks->checkers, &check->checker);
    return check;
}

static struct upstream_check *check_for(struct upstream_checks *checks,
                                        const struct route_action *action,
                                        const struct endpoint *endpoint)
{
    char key[KEY_MAX];
    write_key(action, endpoint, key);
    struct upstream_check *check =
        map_find_as(&checks->all, span_of(key), struct upstream_check, node);
    if (!check)
        check = check_new(checks, key, action, endpoint);
    if (check->seen == checks->n_sets)
        return check;
    check->seen = checks->n_sets;
    const struct tls_client *tls = endpoint->tls;
    if (!tls && action->health.kind == HEALTH_HTTPS)
        tls = checks->settings.tls;
    const struct tls_client *before = check->checker.tls;
    check->checker.tls = tls ? tls_client_ref(tls) : NULL;
    tls_client_unref(before);
    return check;
}

static void take_upstream(struct upstream_checks *checks, const struct route_action *action)
{
    const struct route_upstream *upstream = &action->upstream;
    checks->upstreams[upstream->number] = action;
    for (uint32_t i = 0; i < upstream->n && action->health.kind != HEALTH_NONE; i++)
        checks->by_endpoint[upstream->first + i] =
            check_for(checks, action, &upstream->endpoints[i]);
}

void upstream_checks_set(struct upstream_checks *checks, struct route_table *routes,
                         const struct upstream_checks_settings *settings)
{
    drop_routes(checks);
    checks->n_sets++;
    checks->settings = *settings;
    checks->routes = route_table_ref(routes);
    checks->by_endpoint =
        mem_new_array(struct upstream_check *, route_table_n_endpoints(routes) + 1);
    checks->upstreams =
        mem_new_array(const struct route_action *, route_table_n_upstreams(routes) + 1);
    checks->panics = mem_new_array(bool, route_table_n_upstreams(routes) + 1);
    for (unsigned i = 0; i < route_table_size(routes); i++) {
        const struct route_action *action = route_action(routes, i);
        if (action->kind == ROUTE_UPSTREAM)
            take_upstream(checks, action);
    }
    map_each (node, &checks->all) {
        struct upstream_check *check = container_of(node, struct upstream_check, node);
        if (check->seen != checks->n_sets)
            check_free(check);
    }
}

void upstream_checks_stop(struct upstream_checks *checks)
{
    task_cancel(&checks->task);
    map_each (node, &checks->all)
        http_checker_stop(&container_of(node, struct upstream_check, node)->checker);
}

/* --- who takes requests --- */

static bool is_failing(const struct upstream_check *check)
{
    return check && check->is_failing;
}

static unsigned count_failing(const struct upstream_checks *checks, unsigned upstream)
{
    const struct route_upstream *of = &checks->upstreams[upstream]->upstream;
    unsigned n = 0;
    for (uint32_t i = 0; i < of->n; i++)
        n += is_failing(checks->by_endpoint[of->first + i]);
    return n;
}

static void set_panic(struct upstream_checks *checks, unsigned upstream, unsigned n_failing)
{
    const struct route_action *action = checks->upstreams[upstream];
    uint64_t passing = action->upstream.n - n_failing;
    bool has_panic =
        n_failing && passing * 100 < (uint64_t)checks->settings.panic_percent * action->upstream.n;
    if (has_panic == checks->panics[upstream])
        return;
    checks->panics[upstream] = has_panic;
    char route[128];
    snprintf(route, sizeof(route), "%.*s", SPAN_ARG(span_first(action->name, 120)));
    if (has_panic) {
        log_warn("gateway", "too few of an upstream's addresses pass their checks; all are used",
                 "route", route);
    } else {
        log_info("gateway", "enough of an upstream's addresses pass their checks", "route", route);
    }
}

bool *upstream_checks_out(struct upstream_checks *checks)
{
    bool *out = NULL;
    unsigned n = upstream_checks_n(checks);
    for (unsigned i = 0; i < n; i++) {
        unsigned n_failing = count_failing(checks, i);
        set_panic(checks, i, n_failing);
        if (!n_failing || checks->panics[i])
            continue;
        if (!out)
            out = mem_new_array(bool, route_table_n_endpoints(checks->routes));
        const struct route_upstream *of = &checks->upstreams[i]->upstream;
        for (uint32_t k = 0; k < of->n; k++)
            out[of->first + k] = is_failing(checks->by_endpoint[of->first + k]);
    }
    return out;
}

/* --- for people --- */

unsigned upstream_checks_n(const struct upstream_checks *checks)
{
    return checks->routes ? route_table_n_upstreams(checks->routes) : 0;
}

struct gateway_upstream upstream_checks_upstream(const struct upstream_checks *checks,
                                                 unsigned upstream)
{
    const struct route_action *action = checks->upstreams[upstream];
    return (struct gateway_upstream){ .route = action->name,
                                      .health = &action->health,
                                      .n_targets = action->upstream.n,
                                      .has_panic = checks->panics[upstream] };
}

struct gateway_target upstream_checks_target(const struct upstream_checks *checks,
                                             unsigned upstream, unsigned position)
{
    const struct route_upstream *of = &checks->upstreams[upstream]->upstream;
    const struct upstream_check *check = checks->by_endpoint[of->first + position];
    struct gateway_target target = { .address = &of->endpoints[position].address };
    if (!check)
        return target;
    target.state = !check->has_result  ? GATEWAY_TARGET_WAITING
                   : check->is_failing ? GATEWAY_TARGET_FAILING
                                       : GATEWAY_TARGET_PASSING;
    target.why = check->why;
    target.since = check->since;
    return target;
}

void upstream_checks_count(const struct upstream_checks *checks, unsigned *ret_failing,
                           unsigned *ret_panics)
{
    *ret_failing = *ret_panics = 0;
    map_each (node, &checks->all)
        *ret_failing += container_of(node, struct upstream_check, node)->is_failing;
    for (unsigned i = 0; i < upstream_checks_n(checks); i++)
        *ret_panics += checks->panics[i];
}
