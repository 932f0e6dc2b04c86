/* SPDX-License-Identifier: Apache-2.0 */

#include "registry/fold.h"

bool service_name_is_valid(struct span name)
{
    if (!name.size || name.size > SERVICE_NAME_MAX || name.data[0] < 'a' || name.data[0] > 'z')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-')
            return false;
    }
    return true;
}

/* The record as this transaction leaves it so far. */
static Registry__ServiceRecord service_record(const struct registry *registry, struct span name,
                                              unix_msec wall, struct txn *txn)
{
    Registry__ServiceRecord record;
    registry__service_record__init(&record);
    const struct service *service = service_find(registry, name);
    struct span pending = txn_pending(txn, service_key(&txn->arena, name));

    if (pending.data) {
        Registry__ServiceRecord *unpacked =
            registry__service_record__unpack(NULL, pending.size, (const uint8_t *)pending.data);
        if (unpacked)
            record = *unpacked; /* numbers only, nothing borrowed */
        registry__service_record__free_unpacked(unpacked, NULL);
        return record;
    }

    record.created = wall;
    if (service && service->is_known) {
        record.created = service->created;
        record.is_identity = service->is_identity;
        record.shares_builds = service->shares_builds;
        record.auto_starts = service->auto_starts;
        record.promotes_when_baseline_gone = service->promotes_when_baseline_gone;
    }
    return record;
}

static void service_write_record(struct span name, const Registry__ServiceRecord *record,
                                 struct txn *txn)
{
    txn_put(txn, service_key(&txn->arena, name), txn_pack(txn, &record->base));
}

void service_write(const struct registry *registry, struct span name, unix_msec wall,
                   struct txn *txn)
{
    Registry__ServiceRecord record = service_record(registry, name, wall, txn);
    service_write_record(name, &record, txn);
}

/* Checks the name and expects the service as it is; *ret_is_known tells whether it is. */
static int service_expect(const struct registry *registry, struct span name, bool *ret_is_known,
                          struct txn *txn, struct problem *problem)
{
    if (!service_name_is_valid(name)) {
        problem_set(problem, "service",
                    "is \"%.*s\"; a lower-case letter and then up to %u letters, digits and "
                    "hyphens are accepted",
                    QUOTE(name), SERVICE_NAME_MAX - 1);
        return REGISTRY_INVALID;
    }

    const struct service *service = service_find(registry, name);
    if (!service && registry->services.n_nodes >= REGISTRY_SERVICES_MAX) {
        problem_set(problem, "service", "would be one more than the %u services a registry holds",
                    REGISTRY_SERVICES_MAX);
        return REGISTRY_FULL;
    }

    struct span key = service_key(&txn->arena, name);
    txn_expect(txn, key, service ? service->mod_revision : 0);
    *ret_is_known = (service && service->is_known) || txn_pending(txn, key).data;
    return 0;
}

int service_announce(const struct registry *registry, struct span name, unix_msec wall,
                     struct txn *txn, struct problem *problem)
{
    bool is_known;
    int r = service_expect(registry, name, &is_known, txn, problem);
    if (r)
        return r;

    if (!is_known)
        service_write(registry, name, wall, txn);
    return 0;
}

int service_put(const struct registry *registry, const struct service_spec *spec, unix_msec wall,
                struct txn *txn, struct problem *problem)
{
    bool is_known;
    int r = service_expect(registry, spec->name, &is_known, txn, problem);
    if (r)
        return r;

    Registry__ServiceRecord before = service_record(registry, spec->name, wall, txn);
    Registry__ServiceRecord record = before;
    if (spec->identity.is_set)
        record.is_identity = spec->identity.value;
    if (spec->shares_builds.is_set)
        record.shares_builds = spec->shares_builds.value;
    if (spec->auto_start.is_set)
        record.auto_starts = spec->auto_start.value;
    if (spec->promote_when_baseline_gone.is_set)
        record.promotes_when_baseline_gone = spec->promote_when_baseline_gone.value;

    if (!is_known || !span_equals(txn_pack(txn, &before.base), txn_pack(txn, &record.base)))
        service_write_record(spec->name, &record, txn);
    return 0;
}

int service_delete(const struct registry *registry, struct span service, struct txn *txn,
                   struct problem *problem)
{
    const struct service *found = service_find(registry, service);
    if (!found)
        return REGISTRY_NOT_FOUND;
    if (found->instances.n_nodes) {
        const struct instance *first =
            container_of(found->instances.nodes.next, struct instance, node.link);
        problem_set(problem, "", "%s has %zu %s (%s%s): deregister %s first", found->name,
                    found->instances.n_nodes,
                    found->instances.n_nodes == 1 ? "instance" : "instances", first->id,
                    found->instances.n_nodes == 1 ? "" : ", …",
                    found->instances.n_nodes == 1 ? "it" : "them");
        return REGISTRY_REFUSED;
    }

    /* Whoever adds a build, or the first instance, writes the service's record; so this compare
     * also covers that there are none but these. */
    struct span key = service_key(&txn->arena, service);
    txn_expect(txn, key, found->mod_revision);

    unsigned n = 0;
    map_each (node, &found->builds) {
        const struct build *build = container_of(node, struct build, node);
        if (n++ == txn_ops_max(txn) / 2)
            return 0;
        struct span at = build_key(&txn->arena, service, span_of(build->version));
        txn_expect(txn, at, build->mod_revision);
        txn_delete(txn, at);
    }
    if (found->is_known)
        txn_delete(txn, key);
    return 0;
}
