/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the catalog is told of: other nodes, and services and checks on them, which somebody else
 * looks after. A service with an address is an instance like any other, and takes requests while
 * neither its checks nor its node's are critical.
 */

#include "faces/consul/service.h"

#define NODES_MAX 10000u
#define NODE_SERVICES_MAX 50u /* so that one transaction takes all of them, also of an etcd */
#define REQUEST_CHECKS_MAX 16u
#define TAGGED_MAX 16u
#define DEFINITION_MAX 4096u

/* What a body says. */
struct told_check {
    Consul__CheckRecord *record;
    struct span service; /* empty: of the node */
};

struct told_body {
    Consul__ServiceRecord node;
    bool keeps_node;                /* SkipNodeUpdate */
    Consul__ServiceRecord *service; /* NULL: none */
    struct span service_id;
    struct told_check checks[REQUEST_CHECKS_MAX];
    size_t n_checks;
    struct span check_id; /* of one that goes */
};

/* --- reading --- */

static int read_node_name(struct consul_call *call, json_t *body, struct told_body *told)
{
    char *datacenter = NULL;
    int r = consul_read_text(call, body, "Datacenter", &datacenter);
    if (!r && datacenter && datacenter[0] &&
        strcmp(datacenter, call->consul->settings.datacenter) != 0)
        return consul_deny(call, 500, "No path to datacenter");
    if (!r)
        r = consul_read_text(call, body, "Node", &told->node.name);
    struct span name = span_of(told->node.name);
    if (!r && !name.size)
        r = consul_deny(call, 400, "Must provide node");
    if (!r && (name.size > CONSUL_NODE_MAX || span_find(name, '/') < name.size))
        r = consul_deny(call, 400, "Node is \"%.80s\"; up to %u bytes without \"/\" are accepted",
                        told->node.name, CONSUL_NODE_MAX);
    return r;
}

static int read_tagged(struct consul_call *call, json_t *body, Consul__ServiceRecord *node)
{
    json_t *tagged = consul_member(body, "TaggedAddresses"), *value;
    const char *key;
    if (tagged && (!json_is_object(tagged) || json_object_size(tagged) > TAGGED_MAX))
        return consul_deny(call, 400, "TaggedAddresses is no object of at most %u", TAGGED_MAX);
    node->tagged = arena_new_array(&call->arena, Consul__AddressRecord *, TAGGED_MAX);
    json_object_foreach(tagged, key, value)
    {
        Consul__AddressRecord *address = arena_new(&call->arena, Consul__AddressRecord);
        consul__address_record__init(address);
        address->name = arena_strdup(&call->arena, key);
        int r = consul_read_text(call, tagged, key, &address->address);
        if (r)
            return r;
        node->tagged[node->n_tagged++] = address;
    }
    return 0;
}

static int read_node(struct consul_call *call, json_t *body, struct told_body *told)
{
    told->keeps_node = json_is_true(consul_member(body, "SkipNodeUpdate"));
    int r = read_node_name(call, body, told);
    if (!r)
        r = consul_read_text(call, body, "Address", &told->node.address);
    if (!r && !told->node.address[0] && !told->keeps_node)
        r = consul_deny(call, 400, "Must provide address if SkipNodeUpdate is not set");
    if (!r)
        r = consul_read_text(call, body, "ID", &told->node.node_id);
    if (!r && told->node.node_id[0] && strlen(told->node.node_id) != UUID_SIZE)
        r = consul_deny(call, 400, "Bad node ID '%.80s': a UUID is accepted", told->node.node_id);
    if (!r)
        r = consul_read_meta(call, body, "NodeMeta", &told->node);
    return r ? r : read_tagged(call, body, &told->node);
}

static int read_service(struct consul_call *call, json_t *body, struct told_body *told)
{
    char *id = NULL;
    json_t *service = consul_member(body, "Service");
    if (!json_is_object(service))
        return service ? consul_deny(call, 400, "Service is no JSON object") : 0;
    told->service = arena_new(&call->arena, Consul__ServiceRecord);
    consul__service_record__init(told->service);
    int r = consul_read_service(call, service, "Service", told->service);
    if (!r)
        r = consul_read_text(call, service, "ID", &id);
    if (r)
        return r;
    bool is_ours = consul_node_is_ours(call->consul, span_of(told->node.name));
    told->service_id = span_of(id && id[0] ? id : told->service->name);
    if (!told->service->weight_passing) /* as it is sent when nobody thought of it */
        told->service->weight_passing = told->service->weight_warning = 1;
    if (!is_ours)
        told->service->node = consul_node_key(&call->arena, span_of(told->node.name));
    return consul_name_record(call, told->service, is_ours ? NULL : told->service->node,
                              told->service_id);
}

static int read_definition(struct consul_call *call, json_t *body, Consul__CheckRecord *check)
{
    json_t *definition = consul_member(body, "Definition");
    if (!definition)
        return 0;
    char *text = json_is_object(definition) ? json_dumps(definition, JSON_COMPACT) : NULL;
    bool is_fine = text && strlen(text) <= DEFINITION_MAX;
    if (is_fine)
        check->definition = arena_strdup(&call->arena, text);
    free(text);
    return is_fine ? 0
                   : consul_deny(call, 400, "Definition is no JSON object of at most %u bytes",
                                 DEFINITION_MAX);
}

static int read_check(struct consul_call *call, json_t *body, struct told_body *told)
{
    char *service = NULL, *node = NULL;
    Consul__CheckRecord *check = arena_new(&call->arena, Consul__CheckRecord);
    consul__check_record__init(check);
    check->kind = CHECK_TOLD;
    if (!json_is_object(body) || told->n_checks == REQUEST_CHECKS_MAX)
        return consul_deny(call, 400, "Checks is no list of at most %u objects",
                           REQUEST_CHECKS_MAX);
    int r = consul_read_text(call, body, "CheckID", &check->id);
    if (!r)
        r = consul_read_text(call, body, "Name", &check->name);
    if (!r)
        r = consul_read_text(call, body, "Notes", &check->notes);
    if (!r)
        r = consul_read_output(call, body, &check->output);
    if (!r)
        r = consul_read_text(call, body, "ServiceID", &service);
    if (!r)
        r = consul_read_text(call, body, "Node", &node);
    if (!r)
        r = consul_read_status(call, body, check);
    if (!r)
        r = read_definition(call, body, check);
    if (!check->id[0])
        check->id = check->name;
    if (!r && !check->id[0])
        r = consul_deny(call, 400, "Missing check name");
    if (!r && node && node[0] && strcasecmp(node, told->node.name) != 0)
        r = consul_deny(call, 400, "check node \"%.80s\" does not match node \"%.80s\"", node,
                        told->node.name);
    told->checks[told->n_checks++] = (struct told_check){ check, span_of(service) };
    return r;
}

static int read_checks(struct consul_call *call, json_t *body, struct told_body *told)
{
    json_t *one = consul_member(body, "Check"), *list = consul_member(body, "Checks");
    int r = one ? read_check(call, one, told) : 0;
    if (list && !json_is_array(list))
        return consul_deny(call, 400, "Checks is no list");
    for (size_t i = 0; i < json_array_size(list) && !r; i++)
        r = read_check(call, json_array_get(list, i), told);
    return r;
}

/* --- registering --- */

static void merge_checks(const struct told_body *told, struct span service, struct arena *arena,
                         Consul__ServiceRecord *record)
{
    for (size_t i = 0; i < told->n_checks; i++) {
        if (span_equals(told->checks[i].service, service))
            consul_record_add_check(arena, record, told->checks[i].record);
    }
}

/* An id is of one holder on a node. */
static int check_holders(struct consul_call *call, const struct told_body *told)
{
    for (size_t i = 0; i < told->n_checks; i++) {
        const struct consul_check *before = consul_node_check(
            call->consul, span_of(told->node.name), span_of(told->checks[i].record->id));
        if (before && !span_is(told->checks[i].service, before->service->id))
            return consul_deny_check(call, before);
        for (size_t k = 0; k < i; k++) {
            const struct told_check *other = &told->checks[k];
            if (strcmp(other->record->id, told->checks[i].record->id) == 0 &&
                !span_equals(other->service, told->checks[i].service))
                return consul_deny(call, 400, "check \"%.80s\" is there for two services",
                                   other->record->id);
        }
    }
    return 0;
}

static int put(struct consul_call *call, const struct consul_place *place,
               const Consul__ServiceRecord *record, struct txn *txn)
{
    struct problem problem;
    if (record->n_checks > CONSUL_CHECKS_MAX)
        return consul_deny(call, 400, "that would be more than %u checks", CONSUL_CHECKS_MAX);
    return consul_status_of(call, consul_service_put(call->consul, place, record, txn, &problem),
                            &problem);
}

static size_t n_services_on(const struct consul *consul, struct span node)
{
    size_t n = 0;
    map_each (at, &consul->services[CONSUL_ELSEWHERE])
        n += span_is(node, container_of(at, struct consul_service, node)->record->node);
    return n;
}

/* `node`: what its node is by then; `given`: NULL where only its checks are told. */
static int put_service(struct consul_call *call, const struct told_body *told,
                       const Consul__ServiceRecord *node, struct span id, struct txn *txn)
{
    const struct consul *consul = call->consul;
    bool is_ours = consul_node_is_ours(consul, span_of(told->node.name));
    struct consul_place place = { CONSUL_HERE, id, NULL };
    if (!is_ours) {
        place.kind = CONSUL_ELSEWHERE;
        place.node = node;
        place.key = span_of(consul_elsewhere_key(&txn->arena, span_of(node->name), id));
    }
    const struct consul_service *before = consul_find(consul, place.kind, place.key);
    bool is_given = told->service && span_equals(id, told->service_id);
    if (!before && !is_given)
        return consul_deny(call, 500, "Missing service registration: \"%.*s\"",
                           SPAN_ARG(span_first(id, 80)));
    Consul__ServiceRecord record = is_given ? *told->service : *before->record;
    if (is_given && before) {
        record.checks = before->record->checks;
        record.n_checks = before->record->n_checks;
    }
    if (is_ours && !record.address[0])
        record.address =
            arena_strdup(&txn->arena, node->address[0] ? node->address : CONSUL_NODE_ADDRESS);
    if (!before && !is_ours && n_services_on(consul, span_of(record.node)) >= NODE_SERVICES_MAX)
        return consul_deny(call, 400, "the node has %u services already", NODE_SERVICES_MAX);
    int r = consul_check_name(call, &record);
    merge_checks(told, id, &txn->arena, &record);
    return r ? r : put(call, &place, &record, txn);
}

static int build_register(struct consul_call *call, struct txn *txn)
{
    const struct told_body *told = call->registration;
    struct span key = span_of(consul_node_key(&txn->arena, span_of(told->node.name)));
    const struct consul_place place = { CONSUL_NODE, key, NULL };
    const struct consul_service *before = consul_find(call->consul, CONSUL_NODE, key);
    if (!before && call->consul->services[CONSUL_NODE].n_nodes >= NODES_MAX)
        return consul_deny(call, 500, "there are %u nodes already", NODES_MAX);
    Consul__ServiceRecord node = told->node;
    if (before && told->keeps_node)
        node = *before->record;
    if (before) {
        node.checks = before->record->checks;
        node.n_checks = before->record->n_checks;
        if (!node.node_id[0])
            node.node_id = before->record->node_id;
    }
    merge_checks(told, SPAN_NULL, &txn->arena, &node);
    int r = check_holders(call, told);
    if (!r)
        r = put(call, &place, &node, txn);
    if (!r && told->service)
        r = put_service(call, told, &node, told->service_id, txn);
    for (size_t i = 0; i < told->n_checks && !r; i++) {
        struct span id = told->checks[i].service;
        if (id.size && !(told->service && span_equals(id, told->service_id)))
            r = put_service(call, told, &node, id, txn);
    }
    return r;
}

static void reply_true(struct consul_call *call)
{
    consul_reply_bool(call, true);
}

static struct told_body *told_new(struct consul_call *call)
{
    struct told_body *told = arena_new(&call->arena, struct told_body);
    consul__service_record__init(&told->node);
    call->registration = told;
    return told;
}

void consul_catalog_register(struct consul_call *call)
{
    struct told_body *told = told_new(call);
    json_t *body = consul_body(call);
    int r = json_is_object(body)
                ? 0
                : consul_deny(call, 400, "Request decode failed: the body is no JSON object");
    if (!r)
        r = read_node(call, body, told);
    if (!r)
        r = read_service(call, body, told);
    if (!r)
        r = read_checks(call, body, told);
    json_decref(body);
    if (r)
        consul_reply_denied(call, r);
    else
        consul_write_routed(call, build_register, reply_true);
}

/* --- deregistering: what is not there is gone --- */

static int remove_check(struct consul_call *call, struct span node, struct span id, struct txn *txn)
{
    const struct consul_check *check = consul_node_check(call->consul, node, id);
    if (!check)
        return 0;
    Consul__ServiceRecord record = *check->service->record;
    consul_record_remove_check(&txn->arena, &record, id);
    const struct consul_place place = consul_place_of(call->consul, check->service);
    return put(call, &place, &record, txn);
}

static void remove_service(struct consul_call *call, struct span node, struct span id,
                           struct txn *txn)
{
    struct span key = span_of(consul_elsewhere_key(&txn->arena, node, id));
    bool is_ours = consul_node_is_ours(call->consul, node);
    struct consul_service *service = is_ours ? consul_service_find(call->consul, id)
                                             : consul_find(call->consul, CONSUL_ELSEWHERE, key);
    if (service)
        consul_service_delete(call->consul, service, txn);
}

/* With all that is on it; of this one, what was told of it. */
static void remove_node(struct consul_call *call, struct span name, struct txn *txn)
{
    struct consul_service *node = consul_node_find(call->consul, name);
    if (!node)
        return;
    map_each (at, &call->consul->services[CONSUL_ELSEWHERE]) {
        struct consul_service *service = container_of(at, struct consul_service, node);
        if (strcmp(service->record->node, node->key) == 0)
            consul_service_delete(call->consul, service, txn);
    }
    consul_service_delete(call->consul, node, txn);
}

static int build_deregister(struct consul_call *call, struct txn *txn)
{
    const struct told_body *told = call->registration;
    struct span node = span_of(told->node.name);
    if (told->service_id.size)
        remove_service(call, node, told->service_id, txn);
    else if (told->check_id.size)
        return remove_check(call, node, told->check_id, txn);
    else
        remove_node(call, node, txn);
    return 0;
}

void consul_catalog_deregister(struct consul_call *call)
{
    struct told_body *told = told_new(call);
    char *service = NULL, *check = NULL;
    json_t *body = consul_body(call);
    int r = json_is_object(body)
                ? 0
                : consul_deny(call, 400, "Request decode failed: the body is no JSON object");
    if (!r)
        r = read_node_name(call, body, told);
    if (!r)
        r = consul_read_text(call, body, "ServiceID", &service);
    if (!r)
        r = consul_read_text(call, body, "CheckID", &check);
    told->service_id = span_of(service);
    told->check_id = span_of(check);
    json_decref(body);
    if (r)
        consul_reply_denied(call, r);
    else
        consul_write_routed(call, build_deregister, reply_true);
}
