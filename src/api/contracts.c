/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Contracts over HTTP: what callers depend on.
 */

#include "api/routes.h"

int version_status(int r)
{
    if (r < 0)
        return 500;
    switch ((enum version_answer)r) {
    case VERSION_OK: return 0;
    case VERSION_INVALID: return 400;
    case VERSION_NOT_FOUND: return 404;
    case VERSION_REFUSED: return 409;
    }
    return 500;
}

static struct contract *call_contract(const struct api_call *call)
{
    uint32_t major;
    if (!api_major(call->params[1], &major))
        return NULL;
    return contract_find(call->rooms->version, call->params[0], major);
}

int64_t route_contract_revision(struct api_call *call)
{
    const struct contract *contract = call_contract(call);
    return contract ? contract->mod_revision : 0;
}

/* Builds that provide the contract and are not its baseline. */
static json_t *other_builds(const struct rooms *rooms, const struct contract *contract)
{
    json_t *builds = json_array();
    const struct service *service = service_find(rooms->registry, span_of(contract->service));
    if (!service)
        return builds;
    map_each (node, &service->builds) {
        const struct build *build = container_of(node, struct build, node);
        if (build_provides(build, contract->major) &&
            strcmp(build->version, contract->baseline) != 0)
            json_array_append_new(builds, json_string(build->version));
    }
    return api_sorted(builds, NULL);
}

static json_t *contract_json(const struct rooms *rooms, const struct contract *contract)
{
    bool is_offline = contract->state == CONTRACT_OFFLINE;
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o}", "contract",
                     contract->name, "service", contract->service, "major", (int)contract->major,
                     "state", is_offline ? "offline" : "active", "baseline", contract->baseline,
                     "other_builds", other_builds(rooms, contract), "successor",
                     contract->successor, "kind", contract->kind, "owner", contract->owner, "why",
                     contract->state_why, "created", api_json_time(contract->created),
                     "state_changed", api_json_time(contract->state_changed));
}

void route_contracts_list(struct api_call *call)
{
    json_t *contracts = json_array();
    map_each (node, version_contracts(call->rooms->version))
        json_array_append_new(
            contracts, contract_json(call->rooms, container_of(node, struct contract, node)));
    api_reply(call, 200, json_pack("{s:o}", "contracts", api_sorted(contracts, "contract")));
}

static void refuse_contract(struct api_call *call)
{
    struct problem problem = { 0 };
    problem_set(&problem, "contract", "%.*s@%.*s is not known", SPAN_ARG(call->params[0]),
                SPAN_ARG(call->params[1]));
    api_refuse(call, 404, &problem, NULL);
}

void route_contract_get(struct api_call *call)
{
    const struct contract *contract = call_contract(call);
    if (contract)
        api_reply(call, 200, contract_json(call->rooms, contract));
    else
        refuse_contract(call);
}

int route_contract_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct contract_spec spec = {
        .service = call->params[0],
        .kind = api_text(call->body, "kind"),
        .owner = api_text(call->body, "owner"),
        .successor = api_text(call->body, "successor"),
    };
    if (!api_major(call->params[1], &spec.major)) {
        problem_set(problem, "major", "is \"%.*s\"; a whole number is accepted",
                    SPAN_ARG(call->params[1]));
        return 400;
    }
    call->is_created = !call_contract(call);
    return version_status(
        contract_put(call->rooms->version, &spec, loop_wall(call->loop), txn, problem));
}

/* --- retirement --- */

static json_t *blockers_json(const struct retire_verdict *verdict)
{
    json_t *blockers = json_array();
    for (size_t i = 0; i < verdict->n_blockers; i++) {
        const struct blocker *blocker = &verdict->blockers[i];
        json_array_append_new(blockers,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "kind",
                                        blocker_kind_name(blocker->kind), "text", blocker->text,
                                        "app", blocker->app, "release", blocker->release,
                                        "customer", blocker->customer, "caller", blocker->caller,
                                        "member", blocker->member, "n", (json_int_t)blocker->n,
                                        "last", api_json_time(blocker->last)));
    }
    return blockers;
}

/* The verdict on the call's contract, which must be known. */
static struct retire_verdict judge(struct api_call *call, const struct contract *contract)
{
    const struct version_snapshot *snapshot = rooms_snapshot(call->rooms);
    struct retire_context context = {
        .usage = call->rooms->usage,
        .registry = call->rooms->registry,
        .snapshot = snapshot,
        .rollouts = call->rooms->rollouts,
        .window = call->rooms->retire_window,
        .wall = loop_wall(call->loop),
    };
    uint32_t service = snapshot_service(snapshot, span_of(contract->service));
    return usage_can_retire(&context, snapshot_contract(snapshot, service, contract->major));
}

void route_retirement_get(struct api_call *call)
{
    const struct contract *contract = call_contract(call);
    if (!contract) {
        refuse_contract(call);
        return;
    }
    struct retire_verdict verdict = judge(call, contract);
    const char *word = contract->state == CONTRACT_OFFLINE ? "OFFLINE"
                       : verdict.n_blockers                ? "BLOCKED"
                                                           : "CLEAR";
    json_t *json = json_pack("{s:s, s:s, s:o, s:o, s:o}", "contract", contract->name, "verdict",
                             word, "blockers", blockers_json(&verdict), "safe_after",
                             api_json_time(verdict.safe_after), "window",
                             api_json_duration(call->rooms->retire_window));
    retire_verdict_free(&verdict);
    api_reply(call, 200, json);
}

static int change_state(struct api_call *call, enum contract_state state, struct txn *txn,
                        struct problem *problem)
{
    uint32_t major = 0;
    if (!api_major(call->params[1], &major)) {
        problem_set(problem, "contract", "%.*s@%.*s is not known", SPAN_ARG(call->params[0]),
                    SPAN_ARG(call->params[1]));
        return 404;
    }
    return version_status(contract_set_state(call->rooms->version, call->params[0], major, state,
                                             api_text(call->body, "why"), loop_wall(call->loop),
                                             txn, problem));
}

static void on_usage_collected(void *owner)
{
    struct api_call *call = owner;
    call->is_busy = false;
    if (!call->exchange)
        api_call_end(call);
    else if (call->route->write)
        api_write(call);
    else
        call->route->read(call);
}

/* What workers have counted since the last second must be known before the verdict. */
void route_retirement_first(struct api_call *call)
{
    call->is_busy = true;
    gateway_collect_usage(call->rooms->gateway, on_usage_collected, call);
}

int route_contract_offline(struct api_call *call, struct txn *txn, struct problem *problem)
{
    const struct contract *contract = call_contract(call);
    if (contract && contract->state == CONTRACT_ACTIVE) {
        struct retire_verdict verdict = judge(call, contract);
        if (verdict.n_blockers) {
            problem_set(problem, "", "%s is still needed: %.200s", contract->name,
                        verdict.blockers[0].text);
            json_decref(call->members);
            call->members = json_pack("{s:o, s:o}", "blockers", blockers_json(&verdict),
                                      "safe_after", api_json_time(verdict.safe_after));
            retire_verdict_free(&verdict);
            return 409;
        }
        retire_verdict_free(&verdict);
    }
    return change_state(call, CONTRACT_OFFLINE, txn, problem);
}

int route_contract_restore(struct api_call *call, struct txn *txn, struct problem *problem)
{
    return change_state(call, CONTRACT_ACTIVE, txn, problem);
}
