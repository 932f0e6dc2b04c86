/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>

#include "registry/fold.h"

#define ADDRESS_MAX 255u
#define PROTOCOL_MAX 16u
#define META_KEY_MAX 128u
#define META_VALUE_MAX 512u
#define TTL_MIN (1 * NSEC_PER_SEC)
#define TTL_MAX (3600 * NSEC_PER_SEC)
#define DEREGISTER_AFTER_MIN (1 * NSEC_PER_SEC)
#define DEREGISTER_AFTER_MAX (7ull * 86400 * NSEC_PER_SEC)

static int instance_check_names(const struct instance_spec *spec, struct problem *problem)
{
    if (!spec->id.size || spec->id.size > INSTANCE_ID_MAX || !text_is_visible(spec->id) ||
        span_find(spec->id, '/') < spec->id.size) {
        problem_set(problem, "id",
                    "is \"%.*s\"; 1 to %u visible ASCII characters without \"/\" are accepted",
                    QUOTE(spec->id), INSTANCE_ID_MAX);
        return REGISTRY_INVALID;
    }
    if (!spec->address.size || spec->address.size > ADDRESS_MAX ||
        !text_is_visible(spec->address)) {
        problem_set(problem, "address",
                    "is \"%.*s\"; an address such as 10.0.0.7:8080 or unix:/run/orders.sock of at "
                    "most %u visible ASCII characters is accepted",
                    QUOTE(spec->address), ADDRESS_MAX);
        return REGISTRY_INVALID;
    }
    return 0;
}

struct protocol protocol_parse(struct span word)
{
    struct span name = word;
    struct protocol protocol = { .is_known = true };
    if (span_is(word, "https"))
        name = SPAN("http+tls");
    if (span_ends_with(name, SPAN("+tls"))) {
        name.size -= sizeof("+tls") - 1;
        protocol.is_tls = true;
    }
    protocol.is_http2 = span_is(name, "http2") || span_is(name, "grpc");
    if (!protocol.is_http2 && !span_is(name, "http"))
        return (struct protocol){ 0 };
    return protocol;
}

/* Any word: what is spoken to services of other kinds is theirs to say. */
static bool protocol_is_valid(struct span protocol)
{
    for (size_t i = 0; i < protocol.size; i++) {
        char c = protocol.data[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+')
            return false;
    }
    return protocol.size <= PROTOCOL_MAX;
}

static int meta_check(const struct instance_spec *spec, unsigned index, struct problem *problem)
{
    struct span key = span_of(spec->meta[index].key), value = span_of(spec->meta[index].value);
    char path[sizeof("meta.") + VISIBLE_MAX];
    snprintf(path, sizeof(path), "meta.%.*s", QUOTE(key));

    if (!key.size || key.size > META_KEY_MAX || !text_is_visible(key)) {
        problem_set(problem, path,
                    "has a key of %zu characters; keys of 1 to %u visible ASCII characters are "
                    "accepted",
                    key.size, META_KEY_MAX);
        return REGISTRY_INVALID;
    }
    if (value.size > META_VALUE_MAX) {
        problem_set(problem, path, "has %zu bytes; up to %u are accepted", value.size,
                    META_VALUE_MAX);
        return REGISTRY_INVALID;
    }
    for (unsigned i = 0; i < index; i++) {
        if (span_is(key, spec->meta[i].key)) {
            problem_set(problem, path, "is there twice; each key is accepted once");
            return REGISTRY_INVALID;
        }
    }
    return 0;
}

static int times_check(const struct instance_spec *spec, struct problem *problem)
{
    if (spec->ttl && (spec->ttl < TTL_MIN || spec->ttl > TTL_MAX)) {
        problem_set(problem, "ttl",
                    "is %.3f s; from 1s to 1h is accepted, or 0 for an instance that stays until "
                    "it is deregistered",
                    (double)spec->ttl / (double)NSEC_PER_SEC);
        return REGISTRY_INVALID;
    }
    nsec after = spec->deregister_after;
    if (after && after != NSEC_NEVER &&
        (after < DEREGISTER_AFTER_MIN || after > DEREGISTER_AFTER_MAX)) {
        problem_set(problem, "deregister_after",
                    "is %.3f s; from 1s to 168h is accepted, or \"never\"",
                    (double)after / (double)NSEC_PER_SEC);
        return REGISTRY_INVALID;
    }
    return 0;
}

static int instance_check(const struct instance_spec *spec, struct problem *problem)
{
    int r = instance_check_names(spec, problem);
    if (r)
        return r;

    if (!protocol_is_valid(spec->protocol)) {
        problem_set(
            problem, "protocol",
            "is \"%.*s\"; up to %u lower-case letters, digits and \"+\", such as http, grpc "
            "or grpc+tls, are accepted",
            QUOTE(spec->protocol), PROTOCOL_MAX);
        return REGISTRY_INVALID;
    }
    if (spec->n_meta > INSTANCE_META_MAX) {
        problem_set(problem, "meta", "has %u entries; up to %u are accepted", spec->n_meta,
                    INSTANCE_META_MAX);
        return REGISTRY_INVALID;
    }
    r = times_check(spec, problem);
    for (unsigned i = 0; i < spec->n_meta && !r; i++)
        r = meta_check(spec, i, problem);
    if (r || spec->health.kind == HEALTH_NONE)
        return r;
    return health_check_judge(&spec->health, problem) == HEALTH_OK ? 0 : REGISTRY_INVALID;
}

/* In order of key, so that the same registration gives the same record. */
static void instance_record_meta(Registry__InstanceRecord *record, struct arena *arena,
                                 const struct instance_meta *meta, unsigned n_meta)
{
    record->meta = arena_new_array(arena, Registry__InstanceRecord__MetaEntry *, n_meta + 1);
    for (unsigned i = 0; i < n_meta; i++) {
        Registry__InstanceRecord__MetaEntry *entry =
            arena_new(arena, Registry__InstanceRecord__MetaEntry);
        registry__instance_record__meta_entry__init(entry);
        entry->key = meta[i].key;
        entry->value = meta[i].value;

        size_t k = record->n_meta++;
        for (; k > 0 && strcmp(record->meta[k - 1]->key, entry->key) > 0; k--)
            record->meta[k] = record->meta[k - 1];
        record->meta[k] = entry;
    }
}

Registry__InstanceRecord instance_record(const struct instance *instance, struct arena *arena)
{
    Registry__InstanceRecord record;
    registry__instance_record__init(&record);
    record.build = instance->build->version;
    record.address = instance->address;
    record.protocol = instance->protocol;
    record.ttl = instance->ttl;
    record.is_draining = instance->is_draining;
    record.registered = instance->registered;
    record.health = health_record(&instance->health, arena);
    record.is_failing = instance->is_failing;
    if (instance->owner)
        record.owner = instance->owner->id;
    record.is_expired = instance->is_expired;
    record.is_unproven = instance->is_unproven;
    record.is_withheld = instance->is_withheld;
    record.deregister_after = instance->deregister_after;
    instance_record_meta(&record, arena, instance->meta, instance->n_meta);
    return record;
}

/* A service_delete() built from a view without instances must lose against this registration.
 * The first instance writes the service's record again, which the delete compares; another one
 * expects an instance that it saw, which that view had not. */
static void instance_expect_company(const struct registry *registry,
                                    const struct instance_spec *spec, unix_msec wall,
                                    struct txn *txn)
{
    const struct service *service = service_find(registry, spec->service);
    if (!service || !service->instances.n_nodes) {
        service_write(registry, spec->service, wall, txn);
        return;
    }
    const struct instance *first =
        container_of(service->instances.nodes.next, struct instance, node.link);
    txn_expect(txn, instance_key(&txn->arena, spec->service, span_of(first->id)),
               first->mod_revision);
}

/* Another build or address is another copy. */
static bool is_same_copy(const struct instance *before, const Registry__InstanceRecord *record)
{
    return before && strcmp(before->build->version, record->build) == 0 &&
           strcmp(before->address, record->address) == 0;
}

/* The same copy with the same check is known already; of any other none has passed yet. */
static void set_checked(const struct instance *before, const struct instance_spec *spec,
                        Registry__InstanceRecord *record)
{
    bool is_checked = spec->health.kind != HEALTH_NONE;
    bool is_known = is_same_copy(before, record) &&
                    (!is_checked || health_check_equals(&before->health, &spec->health));
    record->is_failing = spec->is_failing;
    if (is_checked)
        record->is_failing = is_known ? before->is_failing : true;
    record->is_unproven = record->is_failing && (!is_known || before->is_unproven);
    record->is_withheld = record->is_failing && spec->is_withheld;
}

static int instance_write(const struct registry *registry, const struct instance_spec *spec,
                          struct span version, unix_msec wall, struct txn *txn)
{
    const struct service *service = service_find(registry, spec->service);
    const struct instance *before = service ? instance_find(service, spec->id) : NULL;
    struct arena *arena = &txn->arena;

    Registry__InstanceRecord record;
    registry__instance_record__init(&record);
    record.build = record_text(arena, version);
    record.address = record_text(arena, spec->address);
    record.protocol = record_text(arena, spec->protocol.size ? spec->protocol : SPAN("http"));
    record.ttl = spec->ttl;
    record.registered = before ? before->registered : wall;
    instance_record_meta(&record, arena, spec->meta, spec->n_meta);
    record.health = health_record(&spec->health, arena);
    record.deregister_after = spec->deregister_after;
    set_checked(before, spec, &record);
    record.owner = registry->self;

    struct span key = instance_key(arena, spec->service, spec->id);
    txn_expect(txn, key, before ? before->mod_revision : 0);
    if (before) {
        /* One that registers with every heartbeat must not undo a drain that was asked for. */
        record.is_draining = before->is_draining && is_same_copy(before, &record);
        Registry__InstanceRecord stands = instance_record(before, arena);
        if (spec->keeps_owner)
            record.owner = stands.owner;
        bool is_owner = strcmp(stands.owner, record.owner) == 0;
        stands.owner = record.owner;
        bool is_same = span_equals(txn_pack(txn, &stands.base), txn_pack(txn, &record.base));
        if (is_same && is_owner)
            return 0;
        if (!is_same)
            record.registered = wall;
    }
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

int instance_put(const struct registry *registry, const struct instance_spec *spec, unix_msec wall,
                 struct txn *txn, struct problem *problem)
{
    int r = instance_check(spec, problem);
    if (r)
        return r;

    struct build_spec build = spec->build;
    build.service = spec->service;
    if (span_is_empty(build.version))
        build.version = SPAN(UNVERSIONED_BUILD);
    r = build_announce(registry, &build, "build", wall, txn, problem);
    if (r)
        return r;

    const struct service *service = service_find(registry, spec->service);
    bool is_new = !service || !instance_find(service, spec->id);
    if (is_new && service && service->instances.n_nodes >= SERVICE_INSTANCES_MAX) {
        problem_set(problem, "id", "would be one more than the %u instances a service has",
                    SERVICE_INSTANCES_MAX);
        return REGISTRY_FULL;
    }
    if (is_new)
        instance_expect_company(registry, spec, wall, txn);
    return instance_write(registry, spec, build.version, wall, txn);
}

int instance_drain(const struct registry *registry, struct span service, struct span id,
                   struct txn *txn)
{
    const struct service *found = service_find(registry, service);
    const struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance)
        return REGISTRY_NOT_FOUND;
    if (instance->is_draining)
        return 0;

    struct span key = instance_key(&txn->arena, service, id);
    Registry__InstanceRecord record = instance_record(instance, &txn->arena);
    record.is_draining = true;
    txn_expect(txn, key, instance->mod_revision);
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

int instance_delete(const struct registry *registry, struct span service, struct span id,
                    struct txn *txn)
{
    const struct service *found = service_find(registry, service);
    const struct instance *instance = found ? instance_find(found, id) : NULL;
    if (!instance)
        return REGISTRY_NOT_FOUND;

    struct span key = instance_key(&txn->arena, service, id);
    txn_expect(txn, key, instance->mod_revision);
    txn_delete(txn, key);
    return 0;
}
