/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/service.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "faces/consul/check.h"
#include "faces/consul/owner.h"
#include "faces/consul/reading.h"
#include "http/checker.h"
#include "io/resolver.h"

static const char *const prefixes[CONSUL_KINDS] = {
    [CONSUL_HERE] = "service/",
    [CONSUL_NODE] = "node/",
    [CONSUL_ELSEWHERE] = "external/",
};

struct consul_service *consul_find(const struct consul *consul, enum consul_kind kind,
                                   struct span key)
{
    return map_find_as(&consul->services[kind], key, struct consul_service, node);
}

struct consul_service *consul_service_find(const struct consul *consul, struct span id)
{
    return consul_find(consul, CONSUL_HERE, id);
}

struct consul_service *consul_service_of(const struct consul *consul,
                                         const struct instance *instance)
{
    char key[SERVICE_NAME_MAX + INSTANCE_ID_MAX + 2];
    snprintf(key, sizeof(key), "%s/%s", instance->service->name, instance->id);
    return map_find_as(&consul->service_instances, span_of(key), struct consul_service,
                       instance_node);
}

const char *check_status_word(enum check_status status)
{
    switch (status) {
    case CHECK_PASSING: return "passing";
    case CHECK_WARNING: return "warning";
    case CHECK_CRITICAL: break;
    }
    return "critical";
}

static enum check_status worst_of(const Consul__ServiceRecord *record)
{
    enum check_status worst = CHECK_PASSING;
    for (size_t i = 0; i < record->n_checks; i++) {
        if (record->checks[i]->status < worst)
            worst = (enum check_status)record->checks[i]->status;
    }
    return worst;
}

enum check_status consul_service_status(const struct consul_service *service)
{
    return worst_of(service->record);
}

enum check_status consul_status_there(const struct consul *consul,
                                      const struct consul_service *service)
{
    const struct consul_service *node = consul_node_of(consul, service);
    enum check_status own = worst_of(service->record);
    enum check_status there = node ? worst_of(node->record) : CHECK_PASSING;
    return there < own ? there : own;
}

/* --- the fold --- */

struct consul_check *consul_check_find(const struct consul *consul, struct span id)
{
    return map_find_as(&consul->checks, id, struct consul_check, node);
}

static struct map *checks_of(struct consul *consul, const struct consul_service *service)
{
    return consul_is_ours(consul, service) ? &consul->checks : &consul->others;
}

/* Elsewhere an id is one of its node's. */
static char *check_key(const struct consul *consul, const struct consul_service *service,
                       const char *id, size_t *ret_before)
{
    bool is_ours = consul_is_ours(consul, service);
    struct span node = span_first(span_of(service->key), span_find(span_of(service->key), '/'));
    *ret_before = is_ours ? 0 : node.size + 1;
    return is_ours ? mem_strdup(id) : mem_format("%.*s/%s", SPAN_ARG(node), id);
}

static void check_mind(struct consul *consul, struct consul_check *check, bool is_ours)
{
    if (!is_ours) {
        heap_remove(&consul->due, &check->due);
        consul_check_stop(check);
        return;
    }
    if (!heap_has(&check->due))
        consul_check_renew(consul, check);
    consul_check_start(consul, check);
}

void consul_service_mind(struct consul *consul, struct consul_service *service)
{
    bool is_ours = consul_minds(consul, service);
    list_each (link, &service->checks)
        check_mind(consul, container_of(link, struct consul_check, link), is_ours);
    consul_check_plan(consul);
}

static void check_free(struct consul *consul, struct consul_check *check)
{
    consul_check_stop(check);
    consul_session_check_failed(consul);
    heap_remove(&consul->due, &check->due);
    list_remove(&check->link);
    list_remove(&check->alias_link);
    map_remove(checks_of(consul, check->service), &check->node);
    free(check->key);
    free(check->output);
    free(check);
}

/* The same again goes on as it was; with another status its time begins anew. */
static void check_take(struct consul *consul, struct consul_service *service,
                       Consul__CheckRecord *record)
{
    size_t n_before;
    CLEANUP(mem_freep) char *key = check_key(consul, service, record->id, &n_before);
    struct map *checks = checks_of(consul, service);
    struct consul_check *check = map_find_as(checks, span_of(key), struct consul_check, node);
    if (check && check->service != service)
        return; /* it was refused when it was written; a store of another version may have it */
    bool is_new = !check;
    if (is_new) {
        check = mem_new(struct consul_check);
        check->key = steal(key);
        check->id = check->key + n_before;
        check->service = service;
        map_add(checks, &check->node, span_of(check->key));
        list_init(&check->link);
        list_init(&check->alias_link);
    }
    bool is_other = is_new || check->status != record->status ||
                    check->record->ttl != record->ttl ||
                    check->record->deregister_after != record->deregister_after;
    check->record = record;
    check->status = (enum check_status)record->status;
    if (is_other && check->status == CHECK_CRITICAL)
        consul_session_check_failed(consul);
    list_remove(&check->link);
    list_add_last(&service->checks, &check->link);
    list_remove(&check->alias_link);
    if (record->kind == CHECK_ALIAS && consul_is_ours(consul, service))
        list_add_last(&consul->aliases, &check->alias_link);
    if (record->kind == CHECK_TOLD)
        consul_check_say(check, record->output);
    if (is_other)
        heap_remove(&consul->due, &check->due); /* its time begins anew */
}

/* --- names --- */

struct consul_name *consul_name_find(const struct consul *consul, struct span name)
{
    return map_find_as(&consul->names, name, struct consul_name, node);
}

struct consul_service *consul_name_first(const struct consul_name *name)
{
    return container_of(name->services.next, struct consul_service, name_link);
}

static void name_leave(struct consul *consul, struct consul_service *service)
{
    struct consul_name *name = service->name;
    list_remove(&service->name_link);
    service->name = NULL;
    if (!name || !list_is_empty(&name->services))
        return;
    map_remove(&consul->names, &name->node);
    free(name->text);
    free(name);
}

static void name_join(struct consul *consul, struct consul_service *service, struct span text)
{
    struct consul_name *name = consul_name_find(consul, text);
    if (name && name == service->name)
        return;
    name_leave(consul, service);
    if (!name) {
        name = mem_new(struct consul_name);
        name->text = mem_span_dup(text);
        list_init(&name->services);
        map_add(&consul->names, &name->node, (struct span){ name->text, text.size });
    }
    service->name = name;
    list_add_last(&name->services, &service->name_link);
}

static void name_changed(struct consul *consul, struct consul_name *name, int64_t revision)
{
    if (revision > name->changed_revision)
        name->changed_revision = revision;
    topics_changed(&consul->topics, TOPIC_SERVICE, name->node.key);
}

/* Who waits for the service is told, and the index of its name is this one. A node is shown with
 * each of its services. */
static void note_change(struct consul *consul, struct consul_service *service, int64_t revision)
{
    if (service->name) {
        name_changed(consul, service->name, revision);
        return;
    }
    bool is_ours = consul_is_ours(consul, service);
    map_each (node, &consul->services[is_ours ? CONSUL_HERE : CONSUL_ELSEWHERE]) {
        struct consul_service *other = container_of(node, struct consul_service, node);
        if (is_ours || strcmp(other->record->node, service->key) == 0)
            name_changed(consul, other->name, revision);
    }
}

static void leave_instance(struct consul *consul, struct consul_service *service)
{
    if (!service->instance_key)
        return;
    map_remove(&consul->service_instances, &service->instance_node);
    free(service->instance_key);
    service->instance_key = NULL;
}

static void take_record(struct consul *consul, struct consul_service *service,
                        Consul__ServiceRecord *record)
{
    struct list before;
    list_init(&before);
    list_move_all(&before, &service->checks);
    for (size_t i = 0; i < record->n_checks; i++)
        check_take(consul, service, record->checks[i]);
    for (struct list *link; (link = list_take_first(&before));)
        check_free(consul, container_of(link, struct consul_check, link));
    leave_instance(consul, service);
    if (service->record)
        consul__service_record__free_unpacked(service->record, NULL);
    service->record = record;
    consul_service_mind(consul, service);
    if (service->kind == CONSUL_NODE)
        return;
    name_join(consul, service, span_of(record->service));
    service->instance_key = mem_format("%s/%s", record->service, record->instance);
    map_add(&consul->service_instances, &service->instance_node, span_of(service->instance_key));
}

static void service_drop(struct consul *consul, struct consul_service *service)
{
    for (struct list *link; (link = list_take_first(&service->checks));)
        check_free(consul, container_of(link, struct consul_check, link));
    name_leave(consul, service);
    leave_instance(consul, service);
    map_remove(&consul->services[service->kind], &service->node);
    consul__service_record__free_unpacked(service->record, NULL);
    free(service->key);
    free(service);
    consul_check_plan(consul);
}

static bool find_kind(struct span key, enum consul_kind *ret_kind)
{
    for (unsigned kind = 0; kind < CONSUL_KINDS; kind++) {
        if (!span_starts_with(key, span_of(prefixes[kind])))
            continue;
        *ret_kind = (enum consul_kind)kind;
        return true;
    }
    return false;
}

bool consul_service_knows(struct span key)
{
    enum consul_kind kind;
    return find_kind(key, &kind);
}

static struct consul_service *service_new(struct consul *consul, enum consul_kind kind,
                                          struct span key, int64_t revision)
{
    struct consul_service *service = mem_new(struct consul_service);
    service->kind = kind;
    service->key = mem_span_dup(key);
    service->id = service->key;
    if (kind == CONSUL_ELSEWHERE)
        service->id += span_find(key, '/') + 1;
    if (kind == CONSUL_NODE)
        service->id += key.size;
    service->create_revision = revision;
    list_init(&service->checks);
    list_init(&service->name_link);
    map_add(&consul->services[kind], &service->node, (struct span){ service->key, key.size });
    return service;
}

/* What is read at the start is not in the order of its revisions. */
static void raise_to(int64_t *revision, int64_t to)
{
    if (*revision < to)
        *revision = to;
}

int consul_service_apply(struct consul *consul, struct span key, const struct store_event *event)
{
    enum consul_kind kind = CONSUL_HERE;
    if (!find_kind(key, &kind))
        return err_origin(-EBADMSG);
    key = span_from(key, strlen(prefixes[kind]));
    struct consul_service *service = consul_find(consul, kind, key);
    if (service)
        note_change(consul, service, event->entry.mod_revision);
    topics_changed(&consul->topics, TOPIC_CATALOG, SPAN_NULL);
    raise_to(&consul->catalog_revision, event->entry.mod_revision);
    if (kind == CONSUL_NODE) {
        raise_to(&consul->nodes_revision, event->entry.mod_revision);
        topics_changed(&consul->topics, TOPIC_NODES, SPAN_NULL);
    }
    if (event->kind == TXN_DELETE) {
        raise_to(&consul->gone_revision, event->entry.mod_revision);
        if (service)
            service_drop(consul, service);
        return 0;
    }
    Consul__ServiceRecord *record = consul__service_record__unpack(
        NULL, event->entry.value.size, (const uint8_t *)event->entry.value.data);
    if (!record)
        return err_origin(-EBADMSG);
    if (kind == CONSUL_ELSEWHERE && span_find(key, '/') == key.size) {
        consul__service_record__free_unpacked(record, NULL);
        return err_origin(-EBADMSG);
    }
    if (!service)
        service = service_new(consul, kind, key, event->entry.create_revision);
    service->mod_revision = event->entry.mod_revision;
    take_record(consul, service, record);
    note_change(consul, service, event->entry.mod_revision);
    return 0;
}

/* --- writing --- */

/* The registry's names are small and without dots; what is not possible becomes "-". */
bool consul_service_name(struct span name, char ret_name[SERVICE_NAME_MAX + 1])
{
    if (name.size == 0 || name.size > SERVICE_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = ascii_lower(name.data[i]);
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!is_fine)
            c = '-';
        ret_name[i] = c;
    }
    ret_name[name.size] = '\0';
    return service_name_is_valid((struct span){ ret_name, name.size });
}

char *consul_instance_id(struct arena *arena, struct span id)
{
    char *text = arena_alloc(arena, 3 * id.size + 1, 1), *at = text;
    for (size_t i = 0; i < id.size; i++) {
        unsigned char c = (unsigned char)id.data[i];
        if (c > ' ' && c < 127 && c != '/' && c != '%')
            *at++ = (char)c;
        else
            at += sprintf(at, "%%%02X", c);
    }
    return text;
}

bool consul_is_in_maintenance(const Consul__ServiceRecord *record)
{
    for (size_t i = 0; i < record->n_checks; i++) {
        if (record->checks[i]->kind == CHECK_MAINTENANCE)
            return true;
    }
    return false;
}

void consul_read_instance(const struct consul *consul, const Consul__ServiceRecord *registered,
                          const Consul__ServiceRecord *node, struct arena *arena,
                          struct instance_spec *ret_spec)
{
    Consul__ServiceRecord record = *registered;
    if (node && !record.address[0])
        record.address = node->address;
    consul_instance_read(arena, &record, consul->rules, ret_spec);
    ret_spec->is_failing =
        worst_of(&record) == CHECK_CRITICAL || (node && worst_of(node) == CHECK_CRITICAL);
    ret_spec->is_withheld =
        consul_is_in_maintenance(&record) || (node && consul_is_in_maintenance(node));
}

/* The registry's instance of a registration, into the same transaction. Answers of the registry. */
static int put_instance(struct consul *consul, const Consul__ServiceRecord *registered,
                        const Consul__ServiceRecord *node, struct txn *txn, struct problem *problem)
{
    struct instance_spec spec;
    consul_read_instance(consul, registered, node, &txn->arena, &spec);
    spec.keeps_owner = !consul->is_called;
    unix_msec wall = loop_wall(consul->loop);
    int r = instance_put(consul->registry, &spec, wall, txn, problem);
    if (!r)
        version_observe_build(consul->version, &spec.build, wall, txn);
    return r;
}

/* Under another name it is another instance, and nobody would speak for the one before. */
static void drop_other_instance(struct consul *consul, const Consul__ServiceRecord *before,
                                const Consul__ServiceRecord *record, struct txn *txn)
{
    if (strcmp(before->service, record->service) == 0 &&
        strcmp(before->instance, record->instance) == 0)
        return;
    if (instance_delete(consul->registry, span_of(before->service), span_of(before->instance), txn))
        return; /* it is gone already */
}

struct consul_place consul_place_of(const struct consul *consul,
                                    const struct consul_service *service)
{
    struct consul_place place = { .kind = service->kind, .key = service->node.key };
    const struct consul_service *node = NULL;
    if (service->kind == CONSUL_ELSEWHERE)
        node = consul_node_of(consul, service);
    place.node = node ? node->record : NULL;
    return place;
}

/* Into the same transaction: what a node is changes what its services are. */
static int put_instances_of(struct consul *consul, const Consul__ServiceRecord *node,
                            struct span key, struct txn *txn, struct problem *problem)
{
    int r = 0;
    map_each (at, &consul->services[CONSUL_ELSEWHERE]) {
        const struct consul_service *service = container_of(at, struct consul_service, node);
        if (!r && span_is(key, service->record->node))
            r = put_instance(consul, service->record, node, txn, problem);
    }
    return r;
}

int consul_service_put(struct consul *consul, const struct consul_place *place,
                       const Consul__ServiceRecord *record, struct txn *txn,
                       struct problem *problem)
{
    const struct consul_service *before = consul_find(consul, place->kind, place->key);
    int r = place->kind == CONSUL_NODE ? put_instances_of(consul, record, place->key, txn, problem)
                                       : put_instance(consul, record, place->node, txn, problem);
    if (r)
        return r;
    if (before && place->kind != CONSUL_NODE)
        drop_other_instance(consul, before->record, record, txn);
    struct span key = span_of(arena_format(&txn->arena, CONSUL_PREFIX "%s%.*s",
                                           prefixes[place->kind], SPAN_ARG(place->key)));
    struct span value = txn_pack(txn, &record->base);
    const struct store_entry *entry = store_find(consul->store, key);
    txn_expect(txn, key, before ? before->mod_revision : 0);
    if (!entry || !span_equals(entry->value, value))
        txn_put(txn, key, value);
    return 0;
}

void consul_service_recall(struct consul_service *service)
{
    list_each (link, &service->checks) {
        struct consul_check *check = container_of(link, struct consul_check, link);
        check->record->status = check->status;
    }
}

int consul_service_put_told(struct consul *consul, struct consul_service *service, struct txn *txn,
                            struct problem *problem)
{
    const struct consul_place place = consul_place_of(consul, service);
    int r = consul_service_put(consul, &place, service->record, txn, problem);
    consul_service_recall(service);
    return r;
}

void consul_service_delete(struct consul *consul, struct consul_service *service, struct txn *txn)
{
    struct span key = span_of(
        arena_format(&txn->arena, CONSUL_PREFIX "%s%s", prefixes[service->kind], service->key));
    txn_expect(txn, key, service->mod_revision);
    txn_delete(txn, key);
    if (service->kind != CONSUL_NODE &&
        instance_delete(consul->registry, span_of(service->record->service),
                        span_of(service->record->instance), txn))
        return; /* it was taken away by other means */
}

/* --- the checks of a record --- */

void consul_record_remove_check(struct arena *arena, Consul__ServiceRecord *record, struct span id)
{
    Consul__CheckRecord **checks =
        arena_new_array(arena, Consul__CheckRecord *, record->n_checks + 1);
    size_t n = 0;
    for (size_t i = 0; i < record->n_checks; i++) {
        if (!span_is(id, record->checks[i]->id))
            checks[n++] = record->checks[i];
    }
    record->checks = checks;
    record->n_checks = n;
}

void consul_record_add_check(struct arena *arena, Consul__ServiceRecord *record,
                             Consul__CheckRecord *check)
{
    consul_record_remove_check(arena, record, span_of(check->id));
    record->checks[record->n_checks++] = check; /* there is room for one more than there were */
}

/* --- life --- */

void consul_service_init(struct consul *consul)
{
    for (unsigned kind = 0; kind < CONSUL_KINDS; kind++)
        map_init(&consul->services[kind]);
    map_init(&consul->others);
    map_init(&consul->service_instances);
    map_init(&consul->names);
    map_init(&consul->checks);
    consul->catalog_revision = store_revision(consul->store);
    consul->gone_revision = store_revision(consul->store);
    consul->nodes_revision = store_revision(consul->store);
    consul_status_init(consul);
    consul->checkers = http_checkers_new(consul->loop);
    consul->resolver = resolver_new(consul->loop, NULL);
}

void consul_service_fini(struct consul *consul)
{
    for (unsigned kind = 0; kind < CONSUL_KINDS; kind++) {
        map_each (node, &consul->services[kind])
            service_drop(consul, container_of(node, struct consul_service, node));
        map_fini(&consul->services[kind]);
    }
    map_fini(&consul->others);
    map_fini(&consul->service_instances);
    map_fini(&consul->names);
    map_fini(&consul->checks);
    heap_fini(&consul->due);
    timer_stop(&consul->check_timer);
    http_checkers_free(consul->checkers);
    resolver_free(consul->resolver);
}
