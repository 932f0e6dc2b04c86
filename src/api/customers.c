/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Customers, pins, cohorts over HTTP, and `explain`: why a customer gets what it gets.
 */

#include "api/routes.h"

#define PIN_DURATION_DEFAULT (30ULL * 24 * 3600 * NSEC_PER_SEC)

static struct customer *call_customer(const struct api_call *call)
{
    return customer_find(call->rooms->version, call->params[0]);
}

int64_t route_customer_revision(struct api_call *call)
{
    const struct customer *customer = call_customer(call);
    return customer ? customer->mod_revision : 0;
}

static json_t *pin_json(struct span customer, const struct pin *pin)
{
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:o}", "customer", api_json_span(customer),
                     "app", pin->app, "release", pin->release, "why", pin->why, "by", pin->by,
                     "expires", api_json_time(pin->expires), "created",
                     api_json_time(pin->created));
}

static json_t *customer_json(const struct customer *customer)
{
    json_t *attributes = json_object();
    for (unsigned i = 0; i < customer->n_attributes; i++)
        json_object_set_new(attributes, customer->attributes[i].key,
                            json_string(customer->attributes[i].value));
    json_t *pins = json_array();
    map_each (node, &customer->pins)
        json_array_append_new(
            pins, pin_json(span_of(customer->id), container_of(node, struct pin, node)));
    return json_pack("{s:s, s:o, s:o}", "customer", customer->id, "attributes", attributes, "pins",
                     api_sorted(pins, "app"));
}

void route_customers_list(struct api_call *call)
{
    json_t *customers = json_array();
    map_each (node, version_customers(call->rooms->version))
        json_array_append_new(customers, customer_json(container_of(node, struct customer, node)));
    api_reply(call, 200, json_pack("{s:o}", "customers", api_sorted(customers, "customer")));
}

void route_customer_get(struct api_call *call)
{
    const struct customer *customer = call_customer(call);
    if (customer) {
        api_reply(call, 200, customer_json(customer));
        return;
    }
    struct problem problem = { 0 };
    problem_set(&problem, "customer", "%.*s has no attributes and no pins",
                SPAN_ARG(call->params[0]));
    api_refuse(call, 404, &problem, NULL);
}

int route_customer_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    json_t *object = json_object_get(call->body, "attributes");
    struct instance_meta *attributes =
        arena_new_array(&call->arena, struct instance_meta, json_object_size(object));
    const char *key;
    json_t *value;
    unsigned n = 0;
    json_object_foreach(object, key, value)
    {
        attributes[n++] =
            (struct instance_meta){ arena_strdup(&call->arena, key),
                                    arena_strdup(&call->arena, json_string_value(value)) };
    }
    const struct customer *customer = call_customer(call);
    call->is_created = !customer || !customer->mod_revision;
    return version_status(customer_put(call->rooms->version, call->params[0], attributes, n,
                                       loop_wall(call->loop), txn, problem));
}

int route_customer_remove(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int r = customer_delete(call->rooms->version, call->params[0], txn);
    if (r == VERSION_NOT_FOUND)
        problem_set(problem, "customer", "%.*s has no attributes", SPAN_ARG(call->params[0]));
    return version_status(r);
}

/* --- pins --- */

static struct pin *call_pin(const struct api_call *call)
{
    const struct customer *customer = call_customer(call);
    return customer ? map_find_as(&customer->pins, call->params[1], struct pin, node) : NULL;
}

int64_t route_pin_revision(struct api_call *call)
{
    const struct pin *pin = call_pin(call);
    return pin ? pin->mod_revision : 0;
}

void route_pin_get(struct api_call *call)
{
    const struct pin *pin = call_pin(call);
    if (pin)
        api_reply(call, 200, pin_json(call->params[0], pin));
    else
        api_refuse_text(call, 404, "there is no such pin");
}

/* "never", a time, or a duration from now. */
int route_pin_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct pin_spec spec = {
        .customer = call->params[0],
        .app = call->params[1],
        .release = api_text(call->body, "release"),
        .why = api_text(call->body, "why"),
        .by = span_of(call->caller.name),
    };
    int status = api_expires(call, PIN_DURATION_DEFAULT, &spec.expires, problem);
    if (status)
        return status;
    call->is_created = !call_pin(call);
    return version_status(
        pin_put(call->rooms->version, &spec, loop_wall(call->loop), txn, problem));
}

int route_pin_remove(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int r = pin_delete(call->rooms->version, call->params[0], call->params[1], txn);
    if (r == VERSION_NOT_FOUND)
        problem_set(problem, "pin", "of %.*s for %.*s is not known", SPAN_ARG(call->params[0]),
                    SPAN_ARG(call->params[1]));
    return version_status(r);
}

/* --- cohorts --- */

static json_t *cohort_json(const struct cohort *cohort)
{
    return json_pack("{s:s, s:s}", "cohort", cohort->name, "expression", cohort->expression);
}

void route_cohorts_list(struct api_call *call)
{
    json_t *cohorts = json_array();
    map_each (node, version_cohorts(call->rooms->version))
        json_array_append_new(cohorts, cohort_json(container_of(node, struct cohort, node)));
    api_reply(call, 200, json_pack("{s:o}", "cohorts", api_sorted(cohorts, "cohort")));
}

static struct cohort *call_cohort(const struct api_call *call)
{
    return map_find_as(version_cohorts(call->rooms->version), call->params[0], struct cohort, node);
}

int64_t route_cohort_revision(struct api_call *call)
{
    const struct cohort *cohort = call_cohort(call);
    return cohort ? cohort->mod_revision : 0;
}

void route_cohort_get(struct api_call *call)
{
    const struct cohort *cohort = call_cohort(call);
    if (cohort)
        api_reply(call, 200, cohort_json(cohort));
    else
        api_refuse_text(call, 404, "there is no such cohort");
}

int route_cohort_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    call->is_created = !call_cohort(call);
    return version_status(cohort_put(call->rooms->version, call->params[0],
                                     api_text(call->body, "expression"), txn, problem));
}

int route_cohort_remove(struct api_call *call, struct txn *txn, struct problem *problem)
{
    int r = cohort_delete(call->rooms->version, call->params[0], txn);
    if (r == VERSION_NOT_FOUND)
        problem_set(problem, "cohort", "%.*s is not known", SPAN_ARG(call->params[0]));
    return version_status(r);
}

/* --- explain --- */

/* The release of each app, the contract of each service it requires, and the build behind. */
static json_t *served_json(const struct version_snapshot *snapshot, const struct bom *bom,
                           struct span app)
{
    json_t *served = json_array();
    for (unsigned i = 0; i < bom->n_releases; i++) {
        const struct snapshot_release *release = bom->releases[i];
        if (app.size && !span_equals(release->app, app))
            continue;
        json_t *contracts = json_array();
        for (uint32_t s = 0; s < snapshot_n_services(snapshot); s++) {
            uint32_t contract = bom->contract_of[s];
            if (contract == NO_INDEX || !release_resolves_to(snapshot, release, contract))
                continue;
            uint32_t build = bom_build(snapshot, bom, contract);
            json_array_append_new(
                contracts,
                json_pack("{s:o, s:o}", "contract",
                          api_json_span(snapshot_contract_at(snapshot, contract)->name), "build",
                          build == NO_INDEX
                              ? json_null()
                              : api_json_span(snapshot_build_at(snapshot, build)->version)));
        }
        json_array_append_new(
            served, json_pack("{s:o, s:o, s:o}", "app", api_json_span(release->app), "release",
                              api_json_span(release->version), "contracts", contracts));
    }
    return served;
}

static bool member_serves(const struct rollout_member *member,
                          const struct snapshot_contract *contract,
                          const struct snapshot_build *build)
{
    if (member->is_release || !span_is(build->service, member->owner) ||
        !span_is(build->version, member->version))
        return false;
    for (unsigned i = 0; i < member->n_provides; i++) {
        if (member->provides[i] == contract->major)
            return true;
    }
    return false;
}

/* The rollout that serves the contract by this build, or NULL. */
static const struct rollout *rollout_of(const struct rooms *rooms,
                                        const struct snapshot_contract *contract,
                                        const struct snapshot_build *build)
{
    map_each (node, rollouts_all(rooms->rollouts)) {
        const struct rollout *rollout = container_of(node, struct rollout, node);
        for (unsigned i = 0; rollout_is_active(rollout) && i < rollout->n_members; i++) {
            if (member_serves(&rollout->members[i], contract, build))
                return rollout;
        }
    }
    return NULL;
}

/* Too few of a build's instances are well: what a request meets may be one that is not. */
static json_t *why_served_json(const struct rooms *rooms, const struct version_snapshot *snapshot,
                               uint32_t build_index, json_t *why)
{
    if (build_index == NO_INDEX)
        return why;
    const struct snapshot_build *served = snapshot_build_at(snapshot, build_index);
    const struct service *service = service_find(rooms->registry, served->service);
    const struct build *build = service ? build_find(service, served->version) : NULL;
    if (!build || !build_has_panic(build))
        return why;
    json_t *whole = json_sprintf("%s; panic: %u of %u instances are well, and all are used",
                                 json_string_value(why), build->n_ready, build_n_served(build));
    json_decref(why);
    return whole;
}

static json_t *why_json(const struct rooms *rooms, const struct version_snapshot *snapshot,
                        const struct bom *bom, uint32_t contract_index, uint32_t build_index)
{
    if (contract_index == NO_INDEX)
        return json_string("no contract");
    const struct snapshot_contract *contract = snapshot_contract_at(snapshot, contract_index);
    if (build_index != NO_INDEX && build_index != contract->baseline) {
        const struct rollout *rollout =
            rollout_of(rooms, contract, snapshot_build_at(snapshot, build_index));
        if (rollout)
            return json_sprintf("rollout %s", rollout->id);
    }
    return json_string(bom->contract_of[contract->service] == NO_INDEX ? "default contract"
                                                                       : "baseline");
}

/* What serves the customer of every service there is. */
static json_t *services_json(struct rooms *rooms, const struct bom *bom)
{
    const struct version_snapshot *snapshot = rooms_snapshot(rooms);
    json_t *services = json_array();
    for (uint32_t s = 0; s < snapshot_n_services(snapshot); s++) {
        uint32_t contract = bom_contract(snapshot, bom, s);
        uint32_t build = bom_build(snapshot, bom, contract);
        json_array_append_new(
            services, json_pack("{s:o, s:o, s:o, s:o}", "service",
                                api_json_span(snapshot_service_at(snapshot, s)->name), "contract",
                                contract == NO_INDEX
                                    ? json_null()
                                    : api_json_span(snapshot_contract_at(snapshot, contract)->name),
                                "build",
                                build == NO_INDEX
                                    ? json_null()
                                    : api_json_span(snapshot_build_at(snapshot, build)->version),
                                "why",
                                why_served_json(rooms, snapshot, build,
                                                why_json(rooms, snapshot, bom, contract, build))));
    }
    return api_sorted(services, "service");
}

void route_explain_get(struct api_call *call)
{
    struct span app = api_query(call, "app");
    if (app.size && !app_find(call->rooms->version, app)) {
        struct problem problem = { 0 };
        problem_set(&problem, "app", "%.*s is not known", SPAN_ARG(app));
        api_refuse(call, 404, &problem, NULL);
        return;
    }

    struct resolve_trace *trace = arena_new(&call->arena, struct resolve_trace);
    struct resolve_request request = { .customer = call->params[0] };
    enum resolve_reason reason;
    const struct bom *bom = version_resolve(rooms_boms(call->rooms), &request, &reason, trace);

    json_t *steps = json_array();
    for (unsigned i = 0; i < trace->n_steps; i++) {
        json_array_append_new(steps,
                              json_pack("{s:s, s:s, s:s}", "rule", trace->steps[i].rule, "subject",
                                        trace->steps[i].subject, "text", trace->steps[i].text));
    }
    json_t *content = json_loadb(bom->json.data, bom->json.size, 0, NULL);
    api_reply(call, 200,
              json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "customer",
                        api_json_span(call->params[0]), "bom", bom->id, "reason",
                        resolve_reason_name(reason), "content", content ? content : json_null(),
                        "served", served_json(rooms_snapshot(call->rooms), bom, app), "services",
                        services_json(call->rooms, bom), "trace", steps));
}
