/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Services, builds and instances over HTTP.
 */

#include <stdio.h>

#include "api/routes.h"
#include "io/network.h"

#define WAIT_DEFAULT (60 * NSEC_PER_SEC)
#define WAIT_MAX (600 * NSEC_PER_SEC)

int registry_status(int r)
{
    if (r < 0)
        return 500;
    switch ((enum registry_answer)r) {
    case REGISTRY_OK: return 0;
    case REGISTRY_INVALID: return 400;
    case REGISTRY_NOT_FOUND: return 404;
    case REGISTRY_REFUSED:
    case REGISTRY_FULL: return 409;
    case REGISTRY_TRANSITION: break;
    }
    return 500;
}

static struct service *call_service(const struct api_call *call)
{
    return service_find(call->rooms->registry, call->params[0]);
}

static struct build *call_build(const struct api_call *call)
{
    struct service *service = call_service(call);
    return service ? build_find(service, call->params[1]) : NULL;
}

static struct instance *call_instance(const struct api_call *call)
{
    struct service *service = call_service(call);
    return service ? instance_find(service, call->params[1]) : NULL;
}

int64_t route_service_revision(struct api_call *call)
{
    const struct service *service = call_service(call);
    return service ? service->mod_revision : 0;
}

int64_t route_build_revision(struct api_call *call)
{
    const struct build *build = call_build(call);
    return build ? build->mod_revision : 0;
}

int64_t route_instance_revision(struct api_call *call)
{
    const struct instance *instance = call_instance(call);
    return instance ? instance->mod_revision : 0;
}

/* --- views --- */

static json_t *provides_json(const struct build *build)
{
    json_t *provides = json_array();
    for (unsigned i = 0; i < build->n_provides; i++)
        json_array_append_new(provides,
                              json_sprintf("%s@%u", build->service->name, build->provides[i]));
    return provides;
}

static json_t *grpc_json(const struct build *build)
{
    json_t *names = json_array();
    for (size_t i = 0; i < build->n_grpc_services; i++)
        json_array_append_new(names, json_string(build->grpc_services[i]));
    return names;
}

/* Whether the build comes after the contract's baseline: a lower one waits for nothing. */
static bool is_above_baseline(const struct build *build, const struct contract *contract)
{
    struct semver baseline;
    return semver_parse(span_of(contract->baseline), &baseline) ||
           semver_compare(&build->semver, &baseline) > 0;
}

/* What a build does for its contracts: "baseline" of one, moved by a "rollout", "waiting" for one,
 * or "superseded" by the baselines of all. */
static const char *build_state(const struct rooms *rooms, const struct build *build)
{
    bool is_waiting = false, is_superseded = false;
    for (unsigned i = 0; i < build->n_provides; i++) {
        const struct contract *contract =
            contract_find(rooms->version, span_of(build->service->name), build->provides[i]);
        if (!contract)
            continue;
        if (strcmp(contract->baseline, build->version) == 0)
            return "baseline";
        is_waiting |= is_above_baseline(build, contract);
        is_superseded = true;
    }

    map_each (node, rollouts_all(rooms->rollouts)) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        for (unsigned i = 0; rollout_is_active(rollout) && i < rollout->n_members; i++) {
            const struct rollout_member *member = &rollout->members[i];
            if (!member->is_release && strcmp(member->owner, build->service->name) == 0 &&
                strcmp(member->version, build->version) == 0)
                return "rollout";
        }
    }
    if (build->service->shares_builds)
        return "shared";
    if (is_waiting)
        return "waiting";
    return is_superseded ? "superseded" : "idle";
}

static json_t *build_json(const struct rooms *rooms, const struct build *build)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:i, s:b, s:s, s:o}", "service",
                     build->service->name, "build", build->version, "provides",
                     provides_json(build), "grpc_services", grpc_json(build), "state",
                     build_state(rooms, build), "ready", (int)build->n_ready, "panic",
                     build_has_panic(build), "digest", build->digest ? build->digest : "",
                     "created", api_json_time(build->created));
}

/* One of a protocol that is not ours is known to all, and no request goes there. */
static const char *instance_state(const struct instance *instance)
{
    if (instance->is_draining)
        return "draining";
    if (instance_is_critical(instance))
        return "failing";
    return instance->speaks.is_known ? "ready" : "unrouted";
}

static json_t *deregister_json(const struct instance *instance)
{
    nsec after = instance_deregister_after(instance);
    return after == NSEC_NEVER ? json_string("never") : api_json_duration(after);
}

/* What its state does not say of whether it gets requests here. */
static const char *instance_reason(const struct instance *instance)
{
    const char *trouble = instance_trouble(instance);
    struct address address;
    if (trouble || address_parse(span_of(instance->address), &address) ||
        !address_is_loopback(&address) || !instance_is_away(instance))
        return trouble;
    return "its address leads to it on its owner's host only: no requests from this one";
}

/* Heartbeats are known where they arrive. */
static json_t *heartbeat_json(const struct registry *registry, const struct instance *instance)
{
    return registry_owns(registry, instance) ? api_json_time(instance->last_heartbeat)
                                             : json_null();
}

static json_t *instance_json(const struct registry *registry, const struct instance *instance)
{
    json_t *meta = json_object();
    for (unsigned i = 0; i < instance->n_meta; i++)
        json_object_set_new(meta, instance->meta[i].key, json_string(instance->meta[i].value));
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s*, s:s*}", "service",
        instance->service->name, "id", instance->id, "build", instance->build->version, "provides",
        provides_json(instance->build), "address", instance->address, "protocol",
        instance->protocol, "state", instance_state(instance), "ttl",
        api_json_duration(instance->ttl), "deregister_after", deregister_json(instance), "meta",
        meta, "registered", api_json_time(instance->registered), "last_heartbeat",
        heartbeat_json(registry, instance), "health", api_json_health(&instance->health), "reason",
        instance_reason(instance), "owner", instance->owner ? instance->owner->id : NULL);
}

static json_t *service_json(const struct rooms *rooms, const struct service *service)
{
    json_t *contracts = json_array();
    map_each (node, version_contracts(rooms->version)) {
        const struct contract *contract = container_of(node, struct contract, node);
        if (strcmp(contract->service, service->name) == 0)
            json_array_append_new(contracts, json_string(contract->name));
    }
    json_t *builds = json_array();
    map_each (node, &service->builds)
        json_array_append_new(builds, build_json(rooms, container_of(node, struct build, node)));

    uint32_t major;
    json_t *standard = service_default_contract(rooms->version, span_of(service->name), &major)
                           ? json_sprintf("%s@%u", service->name, major)
                           : json_null();
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:i, s:b, s:s, s:b, s:s, s:o}", "service", service->name, "contracts",
        api_sorted(contracts, NULL), "default", standard, "builds", api_sorted(builds, "build"),
        "instances", (int)service->instances.n_nodes, "identity", service->is_identity, "gray",
        service->shares_builds ? "off" : "on", "auto_start", service->auto_starts,
        "when_baseline_gone", service->promotes_when_baseline_gone ? "promote" : "refuse",
        "created", api_json_time(service->created));
}

static void refuse_unknown(struct api_call *call, const char *what, struct span name)
{
    struct problem problem = { 0 };
    problem_set(&problem, what, "%.*s is not known", SPAN_ARG(name));
    api_refuse(call, 404, &problem, NULL);
}

/* --- reading --- */

void route_services_list(struct api_call *call)
{
    json_t *services = json_array();
    map_each (node, registry_services(call->rooms->registry))
        json_array_append_new(services,
                              service_json(call->rooms, container_of(node, struct service, node)));
    api_reply(call, 200, json_pack("{s:o}", "services", api_sorted(services, "service")));
}

void route_service_get(struct api_call *call)
{
    const struct service *service = call_service(call);
    if (service)
        api_reply(call, 200, service_json(call->rooms, service));
    else
        refuse_unknown(call, "service", call->params[0]);
}

void route_builds_list(struct api_call *call)
{
    const struct service *service = call_service(call);
    if (!service) {
        refuse_unknown(call, "service", call->params[0]);
        return;
    }
    json_t *builds = json_array();
    map_each (node, &service->builds)
        json_array_append_new(builds,
                              build_json(call->rooms, container_of(node, struct build, node)));
    api_reply(call, 200, json_pack("{s:o}", "builds", api_sorted(builds, "build")));
}

void route_build_get(struct api_call *call)
{
    const struct build *build = call_build(call);
    if (build)
        api_reply(call, 200, build_json(call->rooms, build));
    else
        refuse_unknown(call, "build", call->params[1]);
}

void route_instance_get(struct api_call *call)
{
    const struct instance *instance = call_instance(call);
    if (instance)
        api_reply(call, 200, instance_json(call->rooms->registry, instance));
    else
        refuse_unknown(call, "instance", call->params[1]);
}

/* The revision a watcher goes on from is that of the store: nothing below the service changed
 * between its last change and now. */
static void reply_instances(struct api_call *call, const struct service *service)
{
    json_t *instances = json_array();
    map_each (node, &service->instances)
        json_array_append_new(instances, instance_json(call->rooms->registry,
                                                       container_of(node, struct instance, node)));
    api_reply(call, 200,
              json_pack("{s:I, s:o}", "revision", (json_int_t)store_revision(call->rooms->store),
                        "instances", api_sorted(instances, "id")));
}

void route_instances_list(struct api_call *call)
{
    const struct service *service = call_service(call);
    struct span after_text = api_query(call, "after"), wait_text = api_query(call, "wait");
    nsec wait = WAIT_DEFAULT;
    uint64_t after = 0;

    if (after_text.data && !span_to_uint(after_text, INT64_MAX, &after)) {
        api_refuse_text(call, 400, "after: a revision is accepted, as an earlier answer gave it");
        return;
    }
    if (wait_text.data && (duration_parse(wait_text, &wait) || wait > WAIT_MAX)) {
        api_refuse_text(call, 400, "wait: a duration up to 10m is accepted");
        return;
    }
    bool has_news = service && service->changed_revision > (int64_t)after;
    if (after_text.data && !has_news && !call->is_wait_over)
        api_park(call, wait);
    else if (service)
        reply_instances(call, service);
    else
        refuse_unknown(call, "service", call->params[0]);
}

static int beat(struct api_call *call)
{
    return instance_heartbeat(call->rooms->registry, call->params[0], call->params[1],
                              loop_now(call->loop), loop_wall(call->loop));
}

/* One that takes the instance over, or brings it back, counts when that is durable. Most change no
 * record. */
void route_instance_beat_first(struct api_call *call)
{
    call->is_sign_of_life = true;
    if (!call->is_dry_run && beat(call) == REGISTRY_TRANSITION)
        api_write(call);
    else
        route_instance_beat(call);
}

void route_instance_beat(struct api_call *call)
{
    if (!call_instance(call)) {
        refuse_unknown(call, "instance", call->params[1]);
        return;
    }
    if (!call->is_dry_run)
        IGNORE(beat(call), "whoever took it over meanwhile had a sign of life, too");
    api_reply_empty(call, 204);
}

/* --- writing --- */

static int choose(const json_t *object, const char *field, const char *yes, const char *no,
                  struct service_choice *ret_choice, struct problem *problem)
{
    struct span text = api_text(object, field);
    if (!text.data)
        return 0;
    if (!span_is(text, yes) && !span_is(text, no)) {
        problem_set(problem, field, "is \"%.*s\"; %s or %s is accepted", SPAN_ARG(text), yes, no);
        return 400;
    }
    *ret_choice = (struct service_choice){ .is_set = true, .value = span_is(text, yes) };
    return 0;
}

int route_service_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct service_spec spec = { .name = call->params[0] };
    const json_t *identity = json_object_get(call->body, "identity");
    const json_t *auto_start = json_object_get(call->body, "auto_start");
    spec.identity.is_set = identity;
    spec.identity.value = json_is_true(identity);
    spec.auto_start.is_set = auto_start;
    spec.auto_start.value = json_is_true(auto_start);
    int status = choose(call->body, "gray", "off", "on", &spec.shares_builds, problem);
    if (!status) {
        status = choose(call->body, "when_baseline_gone", "promote", "refuse",
                        &spec.promote_when_baseline_gone, problem);
    }
    if (status)
        return status;

    const struct service *service = call_service(call);
    call->is_created = !service || !service->is_known;
    return registry_status(
        service_put(call->rooms->registry, &spec, loop_wall(call->loop), txn, problem));
}

int route_service_remove(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int status =
        registry_status(service_delete(call->rooms->registry, call->params[0], txn, problem));
    if (status == 404)
        problem_set(problem, "service", "%.*s is not known", SPAN_ARG(call->params[0]));
    return status;
}

int route_service_default_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    uint64_t major = api_uint(call->body, "contract");
    if (major >= UINT32_MAX) {
        problem_set(problem, "contract", "is %llu; a major is accepted", (unsigned long long)major);
        return 400;
    }
    return version_status(
        service_set_default(call->rooms->version, call->params[0], (uint32_t)major, txn, problem));
}

/* Fills spec->provides from the body: contracts of the build's own service. */
static int read_provides(struct api_call *call, struct build_spec *spec, struct problem *problem)
{
    const json_t *list = json_object_get(call->body, "provides");
    size_t n = json_array_size(list);
    if (n > BUILD_PROVIDES_MAX) {
        problem_set(problem, "provides", "has %zu entries; at most %u are accepted", n,
                    BUILD_PROVIDES_MAX);
        return 400;
    }

    uint32_t *majors = arena_new_array(&call->arena, uint32_t, n);
    for (size_t i = 0; i < n; i++) {
        struct span text = span_of(json_string_value(json_array_get(list, i))), service;
        if (!contract_name_parse(text, &service, &majors[i]) ||
            !span_equals(service, spec->service)) {
            char path[32];
            snprintf(path, sizeof(path), "provides[%zu]", i);
            problem_set(problem, path,
                        "is \"%.*s\"; a contract of the service itself is accepted: \"%.*s@3\"",
                        SPAN_ARG(text), SPAN_ARG(spec->service));
            return 400;
        }
    }
    spec->provides = majors;
    spec->n_provides = (unsigned)n;
    return 0;
}

/* Names are judged by the registry, which knows who else has them. */
static void read_grpc_services(struct api_call *call, struct build_spec *spec)
{
    const json_t *list = json_object_get(call->body, "grpc_services");
    size_t n = json_array_size(list);
    struct span *names = arena_new_array(&call->arena, struct span, n + 1);
    for (size_t i = 0; i < n; i++)
        names[i] = span_of(json_string_value(json_array_get(list, i)));
    spec->grpc_services = names;
    spec->n_grpc_services = (unsigned)n;
}

int route_build_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct build_spec spec = {
        .service = call->params[0],
        .version = call->params[1],
        .digest = api_text(call->body, "digest"),
    };
    read_grpc_services(call, &spec);
    int status = read_provides(call, &spec, problem);
    if (status)
        return status;

    call->is_created = !call_build(call);
    unix_msec wall = loop_wall(call->loop);
    status = registry_status(build_put(call->rooms->registry, &spec, wall, txn, problem));
    if (!status)
        version_observe_build(call->rooms->version, &spec, wall, txn);
    return status;
}

static const struct instance_meta *read_meta(struct api_call *call, unsigned *ret_n)
{
    json_t *object = json_object_get(call->body, "meta");
    struct instance_meta *meta =
        arena_new_array(&call->arena, struct instance_meta, json_object_size(object));
    const char *key;
    json_t *value;
    unsigned n = 0;
    json_object_foreach(object, key, value)
    {
        meta[n++] = (struct instance_meta){ arena_strdup(&call->arena, key),
                                            arena_strdup(&call->arena, json_string_value(value)) };
    }
    *ret_n = n;
    return meta;
}

static int read_health(struct api_call *call, struct health_check *health, struct problem *problem)
{
    json_t *object = json_object_get(call->body, "health"), *value;
    const char *key;
    if (!json_object_size(object))
        return 0;
    *health = health_check_standard;
    json_object_foreach(object, key, value)
    {
        struct span text = span_of(json_string_value(value));
        if (health_check_set(health, span_of(key), text, problem) == HEALTH_INVALID)
            return 400;
    }
    return health_check_judge(health, problem) == HEALTH_INVALID ? 400 : 0;
}

/* Who names gRPC services and no protocol has forgotten one: over HTTP/1.1 no call would arrive. */
static int check_protocol(const struct instance_spec *spec, struct problem *problem)
{
    if (!spec->build.n_grpc_services || spec->protocol.size)
        return 0;
    problem_set(problem, "protocol",
                "is absent; beside grpc_services, grpc, grpc+tls, http2 or http2+tls is accepted, "
                "or http for a service of HTTP/1.1 that answers grpc-web itself");
    return 400;
}

static int check_address(struct span text, struct address *ret_address, struct problem *problem)
{
    if (!address_parse(text, ret_address))
        return 0;
    problem_set(
        problem, "address",
        "is \"%.*s\"; \"10.0.0.7:8080\", \"[::1]:8080\" or \"unix:/run/x.sock\" is accepted",
        SPAN_ARG(text));
    return 400;
}

/* Whoever may register could have us ask anybody, also who listens to this machine alone. */
static int check_health_address(const struct api_call *call, const struct address *address,
                                struct problem *problem)
{
    if (!call->exchange)
        return 0; /* decided once more after the client left: it was found good before */
    const struct address *peer = call->exchange->peer;
    bool is_own = address_is_same_host(peer, address) ||
                  (address_is_loopback(peer) && address_is_here(address));
    if (is_own || networks_have(span_of(call->rooms->health_networks), address))
        return 0;
    problem_set(
        problem, "health",
        "has an address asked that is not the one which registers, \"%s\"; that one, or one "
        "of the setting health.networks, is accepted",
        call->peer);
    return 400;
}

static int read_deregister_after(const struct api_call *call, nsec *ret_after,
                                 struct problem *problem)
{
    struct span text = api_text(call->body, "deregister_after");
    nsec after = 0;
    if (span_is(text, "never"))
        after = NSEC_NEVER;
    else if (text.data && (duration_parse(text, &after) || !after)) {
        problem_set(problem, "deregister_after",
                    "is \"%.*s\"; a duration from 1s to 168h, or \"never\", is accepted",
                    SPAN_ARG(span_first(text, 64)));
        return 400;
    }
    *ret_after = after;
    return 0;
}

int route_instance_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct instance_spec spec = {
        .service = call->params[0],
        .id = call->params[1],
        .address = api_text(call->body, "address"),
        .protocol = api_text(call->body, "protocol"),
        .build = { .service = call->params[0], .version = api_text(call->body, "build") },
        .ttl = api_duration(call->body, "ttl"),
    };
    spec.meta = read_meta(call, &spec.n_meta);
    read_grpc_services(call, &spec.build);
    struct address address;
    int status = check_address(spec.address, &address, problem);
    if (!status)
        status = check_protocol(&spec, problem);
    if (!status)
        status = read_deregister_after(call, &spec.deregister_after, problem);
    if (!status)
        status = read_provides(call, &spec.build, problem);
    if (!status)
        status = read_health(call, &spec.health, problem);
    if (!status && spec.health.kind != HEALTH_NONE)
        status = check_health_address(call, &address, problem);
    if (status)
        return status;

    call->is_created = !call_instance(call);
    unix_msec wall = loop_wall(call->loop);
    status = registry_status(instance_put(call->rooms->registry, &spec, wall, txn, problem));
    if (status)
        return status;
    version_observe_build(call->rooms->version, &spec.build, wall, txn);
    if (call->is_dry_run)
        return 0;
    /* The same registration again changes no record, and is a sign of life all the same. */
    IGNORE(instance_heartbeat(call->rooms->registry, spec.service, spec.id, loop_now(call->loop),
                              wall),
           "a new instance gets its time when it is applied");
    return 0;
}

static int instance_status(const struct api_call *call, int r, struct problem *problem)
{
    if (r == REGISTRY_NOT_FOUND)
        problem_set(problem, "instance", "%.*s of %.*s is not known", SPAN_ARG(call->params[1]),
                    SPAN_ARG(call->params[0]));
    return registry_status(r);
}

int route_instance_remove(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int r = instance_delete(call->rooms->registry, call->params[0], call->params[1], txn);
    return instance_status(call, r, problem);
}

int route_instance_beat_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int r = instance_claim(call->rooms->registry, call->params[0], call->params[1], txn);
    return instance_status(call, r, problem);
}

int route_instance_drain_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int r = instance_drain(call->rooms->registry, call->params[0], call->params[1], txn);
    return instance_status(call, r, problem);
}
