/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/health.h"

#include <stdio.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/checker.h"

struct health {
    struct loop *loop;
    struct registry *registry;
    struct store *store;
    const struct gateway *gateway; /* which knows how TLS is spoken */
    struct http_checkers *checkers;
    struct map checks; /* struct check by "service/id" */
    unsigned number;   /* of health_changed(), so that who is gone is seen */
    bool is_ending;
};

struct check {
    struct map_node node;
    struct health *health;
    const struct registry *registry; /* what is to be told may outlive `health` */
    char *key, *target;
    struct protocol speaks;
    struct http_checker checker;
    struct health_tally tally;
    unsigned seen;

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
    free(check->target);
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

static void tell(struct check *check, const char *why)
{
    if (why)
        log_warn("health", "instance fails its checks", "instance", check->key, "reason", why);
    else
        log_info("health", "instance passes its checks", "instance", check->key);
    check->says_failing = why;
    check->is_telling = true;
    check->command.build = build_transition;
    check->command.on_done = on_told;
    store_run(check->health->store, &check->command);
}

static void on_checked(struct http_checker *checker, const char *why)
{
    struct check *check = container_of(checker, struct check, checker);
    struct instance *instance = instance_of(check);
    if (instance)
        instance_note_check(instance, why);
    if (instance && !check->is_telling &&
        health_turns(&check->tally, &instance->health, instance->is_failing, !why))
        tell(check, why);
}

/* Clients of TLS are made anew by a reload. */
static void on_due(struct http_checker *checker)
{
    const struct check *check = container_of(checker, struct check, checker);
    bool is_tls = check->speaks.is_tls || checker->check.kind == HEALTH_HTTPS;
    checker->tls = is_tls ? gateway_upstream_tls(check->health->gateway) : NULL;
}

/* --- beginning and end --- */

static void check_stop(struct check *check)
{
    http_checker_stop(&check->checker);
    map_remove(&check->health->checks, &check->node);
    if (check->is_telling)
        check->is_gone = true;
    else
        check_free(check);
}

static bool is_same(const struct check *check, const struct instance *instance,
                    const struct address *address)
{
    return address_equals(&check->checker.address, address) &&
           check->speaks.is_tls == instance->speaks.is_tls &&
           check->speaks.is_http2 == instance->speaks.is_http2 &&
           health_check_equals(&check->checker.check, &instance->health);
}

static void check_start(struct health *health, const char *key, const struct instance *instance,
                        const struct address *address)
{
    struct check *check = mem_new(struct check);
    check->health = health;
    check->registry = health->registry;
    check->key = mem_strdup(key);
    check->target = mem_strdup(instance->health_target);
    check->speaks = instance->speaks;
    check->seen = health->number;
    check->checker.check = instance->health;
    check->checker.check.target = span_of(check->target);
    check->checker.address = *address;
    check->checker.protocol = instance->speaks.is_http2 ? HTTP_PROTOCOL_2 : HTTP_PROTOCOL_1;
    check->checker.is_passing = !instance->is_failing;
    check->checker.on_due = on_due;
    check->checker.on_checked = on_checked;
    map_add(&health->checks, &check->node, span_of(check->key));
    http_checker_start(health->checkers, &check->checker);
}

/* Here its address leads to something else. */
static bool is_away(struct instance *instance, const struct address *address)
{
    bool is_away = address_is_loopback(address) && instance_is_away(instance);
    if (is_away && !instance->is_away_told) {
        log_warn("health",
                 "the address of an instance leads to it on its owner's host only: it gets no "
                 "requests and no checks from this one",
                 "service", instance->service->name, "instance", instance->id, "address",
                 instance->address);
    }
    instance->is_away_told = is_away;
    return is_away;
}

static void look_at(struct health *health, struct instance *instance)
{
    struct address address = { 0 };
    if (address_parse(span_of(instance->address), &address) || is_away(instance, &address) ||
        instance->health.kind == HEALTH_NONE || !registry_owns(health->registry, instance))
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

static void look_at_build(struct build *build)
{
    bool has_panic = build_has_panic(build);
    if (has_panic == build->is_panic_told)
        return;
    build->is_panic_told = has_panic;
    if (has_panic) {
        log_warn("health", "too few instances of a build are well; all are used", "service",
                 build->service->name, "build", build->version);
    } else {
        log_info("health", "enough instances of a build are well, or none is left that could help",
                 "service", build->service->name, "build", build->version);
    }
}

void health_changed(struct health *health)
{
    if (health->is_ending)
        return;
    health->number++;
    map_each (node, registry_services(health->registry)) {
        const struct service *service = container_of(node, struct service, node);
        map_each (below, &service->builds)
            look_at_build(container_of(below, struct build, node));
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
    health->loop = loop;
    health->registry = registry;
    health->store = store;
    health->gateway = gateway;
    health->checkers = http_checkers_new(loop);
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
    http_checkers_free(health->checkers);
    free(health);
    return NULL;
}
