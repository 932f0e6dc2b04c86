/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Contracts come into being by themselves: with the first build that provides them, which is then
 * their baseline. From there on only an operator, a rollout or a retirement changes one. None is
 * ever deleted: an offline contract still has to say where its callers should go.
 */

#include "version/version.h"

#include <stdio.h>

#include "base/mem.h"
#include "version/record.h"
#include "version/state.h"

#define CONTRACT_NAME_SIZE (SERVICE_NAME_MAX + 12) /* "@", ten digits and a NUL */

static const char *const contract_kinds[] = { "rest", "grpc", "graphql", "event" };

/* --- applying --- */

static void contract_free(struct contract *contract)
{
    free(contract->name);
    free(contract->service);
    free(contract->baseline);
    free(contract->successor);
    free(contract->kind);
    free(contract->owner);
    free(contract->state_why);
    free(contract);
}

static void contract_default_free(struct contract_default *of_service)
{
    free(of_service->service);
    free(of_service);
}

void contracts_fini(struct version *version)
{
    map_each (node, &version->contracts)
        contract_free(container_of(node, struct contract, node));
    map_fini(&version->contracts);
    map_each (node, &version->defaults)
        contract_default_free(container_of(node, struct contract_default, node));
    map_fini(&version->defaults);
}

static struct contract *contract_new(struct version *version, struct span service, uint32_t major)
{
    struct contract *contract = mem_new(struct contract);
    contract->service = mem_span_dup(service);
    contract->major = major;
    contract->name = mem_format("%s@%u", contract->service, major);
    map_add(&version->contracts, &contract->node, span_of(contract->name));
    return contract;
}

/* "<service>/<major>", which contracts and their guards are kept by. */
static bool contract_name_split(struct span name, struct span *ret_service, uint32_t *ret_major)
{
    struct span major_text = name;
    struct span service = span_cut(&major_text, '/');
    uint64_t major;
    if (!service_name_is_valid(service) || !span_to_uint(major_text, UINT32_MAX, &major))
        return false;
    *ret_service = service;
    *ret_major = (uint32_t)major;
    return true;
}

int contract_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct span service;
    uint32_t major;
    if (!contract_name_split(name, &service, &major))
        return err_origin(-EBADMSG);

    struct contract *contract = contract_find(version, service, major);
    if (event->kind == TXN_DELETE) {
        if (contract) {
            map_remove(&version->contracts, &contract->node);
            contract_free(contract);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__contract_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__ContractRecord *record = (const Version__ContractRecord *)message;
    if (!contract)
        contract = contract_new(version, service, major);
    contract->state = strcmp(record->state, "offline") == 0 ? CONTRACT_OFFLINE : CONTRACT_ACTIVE;
    contract->created = record->created;
    contract->state_changed = record->state_changed;
    contract->mod_revision = event->entry.mod_revision;
    version_text_set(&contract->baseline, record->baseline);
    version_text_set(&contract->successor, record->successor);
    version_text_set(&contract->kind, record->kind);
    version_text_set(&contract->owner, record->owner);
    version_text_set(&contract->state_why, record->state_why);
    return 0;
}

/* Only a known contract is ever held, and a load meets contracts before guards. */
int contract_guard_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct span service;
    uint32_t major;
    if (!contract_name_split(name, &service, &major))
        return err_origin(-EBADMSG);

    struct contract *contract = contract_find(version, service, major);
    if (contract)
        contract->guard_revision = event->kind == TXN_DELETE ? 0 : event->entry.mod_revision;
    return 0;
}

int contract_default_apply(struct version *version, struct span name,
                           const struct store_event *event)
{
    struct contract_default *of_service = contract_default_find(version, name);
    if (event->kind == TXN_DELETE) {
        if (of_service) {
            map_remove(&version->defaults, &of_service->node);
            contract_default_free(of_service);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__default_record__descriptor, &message);
    if (r)
        return err_trace(r);

    if (!of_service) {
        of_service = mem_new(struct contract_default);
        of_service->service = mem_span_dup(name);
        map_add(&version->defaults, &of_service->node, span_of(of_service->service));
    }
    of_service->contract = ((const Version__DefaultRecord *)message)->contract;
    of_service->mod_revision = event->entry.mod_revision;
    return 0;
}

/* --- finding --- */

struct contract *contract_find(const struct version *version, struct span service, uint32_t major)
{
    char name[CONTRACT_NAME_SIZE];
    if (service.size > SERVICE_NAME_MAX)
        return NULL;

    int size = snprintf(name, sizeof(name), "%.*s@%u", SPAN_ARG(service), major);
    return map_find_as(&version->contracts, ((struct span){ name, (size_t)size }), struct contract,
                       node);
}

struct contract_default *contract_default_find(const struct version *version, struct span service)
{
    return map_find_as(&version->defaults, service, struct contract_default, node);
}

bool service_default_contract(const struct version *version, struct span service,
                              uint32_t *ret_major)
{
    const struct contract_default *of_service = contract_default_find(version, service);
    if (!of_service)
        return false;

    *ret_major = of_service->contract;
    return true;
}

struct contract *contract_for(const struct version *version, struct span service,
                              const struct major_range *range, struct contract **ret_offline)
{
    struct contract *best = NULL, *offline = NULL;
    map_each (node, &version->contracts) {
        struct contract *contract = container_of(node, struct contract, node);
        if (!span_is(service, contract->service) || !major_range_has(range, contract->major))
            continue;
        if (contract->state == CONTRACT_OFFLINE) {
            offline = contract;
        } else if (contract_is_routable(contract) && (!best || contract->major > best->major)) {
            best = contract;
        }
    }
    if (!best)
        *ret_offline = offline;
    return best;
}

/* --- commands --- */

static struct span contract_key(struct txn *txn, struct span service, uint32_t major)
{
    return version_key(txn, VERSION_PREFIX "contract/%.*s/%u", SPAN_ARG(service), major);
}

void contract_expect(const struct contract *contract, struct txn *txn)
{
    txn_expect(txn, contract_key(txn, span_of(contract->service), contract->major),
               contract->mod_revision);
}

static struct span guard_key(struct txn *txn, const struct contract *contract)
{
    return version_key(txn, VERSION_PREFIX "guard/%s/%u", contract->service, contract->major);
}

/* Its revision is all that a guard says. */
void contract_hold(const struct contract *contract, struct txn *txn)
{
    contract_expect(contract, txn);
    txn_put(txn, guard_key(txn, contract), SPAN(""));
}

/* The record as it is; its texts are borrowed. */
static Version__ContractRecord contract_record(const struct contract *contract)
{
    static char active[] = "active", offline[] = "offline";
    Version__ContractRecord record;
    version__contract_record__init(&record);
    record.created = contract->created;
    record.baseline = contract->baseline;
    record.state = contract->state == CONTRACT_OFFLINE ? offline : active;
    record.successor = contract->successor;
    record.kind = contract->kind;
    record.owner = contract->owner;
    record.state_changed = contract->state_changed;
    record.state_why = contract->state_why;
    return record;
}

/* Every change rests on the whole record as it was. */
static void contract_change(struct txn *txn, const struct contract *contract,
                            const Version__ContractRecord *record)
{
    contract_expect(contract, txn);
    version_record_put(txn, contract_key(txn, span_of(contract->service), contract->major),
                       &record->base);
}

static void contract_create(struct txn *txn, struct span service, uint32_t major,
                            Version__ContractRecord *record)
{
    struct span key = contract_key(txn, service, major);
    record->state = version_text(txn, SPAN("active"));
    txn_expect(txn, key, 0);
    version_record_put(txn, key, &record->base);
}

/* No compare where the contract has its baseline: that can change, but not become absent, so the
 * decision to do nothing holds. */
static void observe_contract(const struct version *version, const struct build_spec *build,
                             uint32_t major, unix_msec wall, struct txn *txn)
{
    const struct contract *contract = contract_find(version, build->service, major);
    if (contract && contract->baseline[0])
        return;

    char *baseline = version_text(txn, build->version.size ? build->version : SPAN("0.0.0"));
    if (contract) {
        Version__ContractRecord record = contract_record(contract);
        record.baseline = baseline;
        contract_change(txn, contract, &record);
        return;
    }
    if (txn_pending(txn, contract_key(txn, build->service, major)).data)
        return;

    Version__ContractRecord record;
    version__contract_record__init(&record);
    record.created = wall;
    record.state_changed = wall;
    record.baseline = baseline;
    contract_create(txn, build->service, major, &record);
}

/* The first contract that appears is what callers without a BOM get, until somebody says otherwise:
 * a later major must not change under them. */
static void observe_default(const struct version *version, struct span service, uint32_t major,
                            struct txn *txn)
{
    struct span key = version_key(txn, VERSION_PREFIX "default/%.*s", SPAN_ARG(service));
    if (contract_default_find(version, service) || txn_pending(txn, key).data)
        return;

    Version__DefaultRecord record;
    version__default_record__init(&record);
    record.contract = major;
    txn_expect(txn, key, 0);
    version_record_put(txn, key, &record.base);
}

void version_observe_build(const struct version *version, const struct build_spec *build,
                           unix_msec wall, struct txn *txn)
{
    struct semver semver = { 0 };
    if (build->version.size && semver_parse(build->version, &semver))
        return; /* the registry refuses it with the reason */

    /* The major of its own version is what a build is first of all; others it provides besides. */
    uint32_t major = build->n_provides ? build->provides[0] : semver.major;
    for (unsigned i = 0; i < build->n_provides; i++) {
        observe_contract(version, build, build->provides[i], wall, txn);
        if (build->provides[i] == semver.major)
            major = semver.major;
    }
    if (!build->n_provides)
        observe_contract(version, build, major, wall, txn);
    observe_default(version, build->service, major, txn);
}

static int contract_missing(struct problem *problem, struct span service, uint32_t major)
{
    problem_set(problem, "contract",
                "is %.*s@%u, which does not exist; it appears with its first build",
                SPAN_ARG(service), major);
    return VERSION_NOT_FOUND;
}

int service_set_default(const struct version *version, struct span service, uint32_t major,
                        struct txn *txn, struct problem *problem)
{
    const struct contract *contract = contract_find(version, service, major);
    if (!contract)
        return contract_missing(problem, service, major);
    if (!contract_is_routable(contract)) {
        problem_set(problem, "contract", "is %s, which %s; an active contract is accepted",
                    contract->name, contract->baseline[0] ? "is offline" : "has no build yet");
        return VERSION_REFUSED;
    }

    const struct contract_default *of_service = contract_default_find(version, service);
    if (of_service && of_service->contract == major)
        return 0;

    struct span key = version_key(txn, VERSION_PREFIX "default/%.*s", SPAN_ARG(service));
    Version__DefaultRecord record;
    version__default_record__init(&record);
    record.contract = major;
    contract_hold(contract, txn);
    txn_expect(txn, key, of_service ? of_service->mod_revision : 0);
    version_record_put(txn, key, &record.base);
    return 0;
}

static bool contract_kind_is_valid(struct span kind)
{
    for (size_t i = 0; i < sizeof(contract_kinds) / sizeof(contract_kinds[0]); i++) {
        if (span_is(kind, contract_kinds[i]))
            return true;
    }
    return kind.size == 0;
}

bool contract_name_parse(struct span name, struct span *ret_service, uint32_t *ret_major)
{
    struct span major_text = name;
    struct span service = span_cut(&major_text, '@');
    uint64_t major;
    if (!service.size || !span_to_uint(major_text, UINT32_MAX - 1, &major))
        return false;
    *ret_service = service;
    *ret_major = (uint32_t)major;
    return true;
}

/* A successor may be announced before it exists, so only the form is judged. */
static bool contract_name_is_valid(struct span name)
{
    struct span service;
    uint32_t major;
    return contract_name_parse(name, &service, &major) && service_name_is_valid(service);
}

static int contract_spec_check(const struct contract_spec *spec, struct problem *problem)
{
    if (!service_name_is_valid(spec->service)) {
        problem_set(problem, "service",
                    "is \"%.*s\"; lower-case letters, digits and \"-\" are accepted, a letter "
                    "first",
                    SPAN_ARG(span_first(spec->service, 80)));
        return VERSION_INVALID;
    }
    if (!contract_kind_is_valid(spec->kind)) {
        problem_set(problem, "kind", "is \"%.*s\"; rest, grpc, graphql or event is accepted",
                    SPAN_ARG(span_first(spec->kind, 80)));
        return VERSION_INVALID;
    }
    if (!version_text_is_plain(spec->owner, VERSION_TEXT_MAX)) {
        problem_set(problem, "owner", "has control characters or more than %u bytes",
                    VERSION_TEXT_MAX);
        return VERSION_INVALID;
    }
    if (spec->successor.size && !contract_name_is_valid(spec->successor)) {
        problem_set(problem, "successor",
                    "is \"%.*s\"; a contract such as \"orders@3\" is accepted",
                    SPAN_ARG(span_first(spec->successor, 80)));
        return VERSION_INVALID;
    }
    return 0;
}

/* Sets a text of a record where the caller named one; tells whether that changes it. */
static bool text_change(struct txn *txn, char **text, struct span value)
{
    if (!value.data || span_is(value, *text))
        return false;
    *text = version_text(txn, value);
    return true;
}

int contract_put(const struct version *version, const struct contract_spec *spec, unix_msec wall,
                 struct txn *txn, struct problem *problem)
{
    int r = contract_spec_check(spec, problem);
    if (r)
        return r;

    const struct contract *contract = contract_find(version, spec->service, spec->major);
    Version__ContractRecord record;
    version__contract_record__init(&record);
    if (contract)
        record = contract_record(contract);
    bool is_changed = text_change(txn, &record.kind, spec->kind);
    is_changed |= text_change(txn, &record.owner, spec->owner);
    is_changed |= text_change(txn, &record.successor, spec->successor);
    if (contract && is_changed)
        contract_change(txn, contract, &record);
    if (!contract) {
        record.created = wall;
        record.state_changed = wall;
        contract_create(txn, spec->service, spec->major, &record);
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): each is a part of the operator's decision */
int contract_set_baseline(const struct version *version, const struct registry *registry,
                          struct span service, uint32_t major, struct span build, struct txn *txn,
                          struct problem *problem)
{
    const struct contract *contract = contract_find(version, service, major);
    if (!contract)
        return contract_missing(problem, service, major);

    const struct service *owner = service_find(registry, service);
    const struct build *found = owner ? build_find(owner, build) : NULL;
    if (!found) {
        problem_set(problem, "build", "is %.*s %.*s, which is not registered", SPAN_ARG(service),
                    SPAN_ARG(build));
        return VERSION_NOT_FOUND;
    }
    if (!build_provides(found, major)) {
        problem_set(problem, "build", "is %s %s, which does not provide %s", owner->name,
                    found->version, contract->name);
        return VERSION_REFUSED;
    }
    if (span_is(build, contract->baseline))
        return 0;

    Version__ContractRecord record = contract_record(contract);
    record.baseline = found->version;
    txn_expect(txn, version_key(txn, REGISTRY_PREFIX "build/%s/%s", owner->name, found->version),
               found->mod_revision);
    contract_change(txn, contract, &record);
    return 0;
}

/* Where callers of a contract that goes offline should go. A lower major is no successor. */
static const struct contract *next_active(const struct version *version,
                                          const struct contract *contract)
{
    const struct contract *next = NULL;
    map_each (node, &version->contracts) {
        const struct contract *other = container_of(node, struct contract, node);
        if (strcmp(other->service, contract->service) != 0 || !contract_is_routable(other))
            continue;
        if (other->major > contract->major && (!next || other->major < next->major))
            next = other;
    }
    return next;
}

/* NOLINTNEXTLINE(readability-function-size): each is a part of the operator's decision */
int contract_set_state(const struct version *version, struct span service, uint32_t major,
                       enum contract_state state, struct span why, unix_msec wall, struct txn *txn,
                       struct problem *problem)
{
    const struct contract *contract = contract_find(version, service, major);
    if (!contract)
        return contract_missing(problem, service, major);
    if (contract->state == state) {
        problem_set(problem, "contract", "is %s, which is %s already", contract->name,
                    state == CONTRACT_OFFLINE ? "offline" : "active");
        return VERSION_REFUSED;
    }
    if (!version_text_is_plain(why, VERSION_TEXT_MAX)) {
        problem_set(problem, "why", "has control characters or more than %u bytes",
                    VERSION_TEXT_MAX);
        return VERSION_INVALID;
    }

    Version__ContractRecord record = contract_record(contract);
    record.state = version_text(txn, state == CONTRACT_OFFLINE ? SPAN("offline") : SPAN("active"));
    record.state_changed = wall;
    record.state_why = version_text(txn, why);
    const struct contract *successor = next_active(version, contract);
    if (state == CONTRACT_OFFLINE && !contract->successor[0] && successor) {
        contract_expect(successor, txn);
        record.successor = successor->name;
    }
    if (state == CONTRACT_OFFLINE)
        txn_expect(txn, guard_key(txn, contract), contract->guard_revision);
    contract_change(txn, contract, &record);
    return 0;
}
