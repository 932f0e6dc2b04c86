/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a service says of itself: that it is there, that it works, that it goes.
 */

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "faces/consul/check.h"
#include "faces/consul/owner.h"
#include "faces/consul/render.h"
#include "io/socket.h"

#define MAINTENANCE_ID "_service_maintenance:"

static void reply_empty(struct consul_call *call)
{
    consul_reply(call, 200, NULL, SPAN_NULL);
}

/* Answers of the registry, as what Consul answers with. */
int consul_status_of(struct consul_call *call, int r, const struct problem *problem)
{
    if (r <= 0)
        return r;
    return consul_deny(call, r == REGISTRY_FULL ? 500 : 400, "%s %s", problem->path, problem->text);
}

int consul_deny_check(struct consul_call *call, const struct consul_check *check)
{
    const struct consul_service *service = check->service;
    return consul_deny(call, 400, "check \"%.80s\" is one of %s \"%.80s\"", check->id,
                       service->kind == CONSUL_NODE ? "the node" : "service",
                       service->kind == CONSUL_NODE ? service->record->name : service->id);
}

/* --- registering --- */

/* The same check of the registration before goes on as it was. */
static void keep_statuses(struct consul_call *call, Consul__ServiceRecord *record)
{
    for (size_t i = 0; i < record->n_checks; i++) {
        const struct consul_check *before =
            consul_check_find(call->consul, span_of(record->checks[i]->id));
        if (before)
            record->checks[i]->status = before->status;
    }
}

static bool has_check(const Consul__ServiceRecord *record, const char *id)
{
    for (size_t i = 0; i < record->n_checks; i++) {
        if (strcmp(record->checks[i]->id, id) == 0)
            return true;
    }
    return false;
}

/* Checks that it had stay when it registers again, unless it wants to have those alone that it
 * names; maintenance stays in any case. */
static int keep_checks(struct consul_call *call, Consul__ServiceRecord *record, struct txn *txn)
{
    const struct consul_service *before = consul_service_find(call->consul, call->tail);
    bool replaces = consul_flag(call, "replace-existing-checks");
    size_t n_before = before ? before->record->n_checks : 0;
    Consul__CheckRecord **checks =
        arena_new_array(&txn->arena, Consul__CheckRecord *, record->n_checks + n_before + 1);
    for (size_t i = 0; i < record->n_checks; i++)
        checks[i] = record->checks[i];
    record->checks = checks;
    for (size_t i = 0; i < n_before; i++) {
        Consul__CheckRecord *check = before->record->checks[i];
        if (!has_check(record, check->id) && (check->kind == CHECK_MAINTENANCE || !replaces))
            checks[record->n_checks++] = check;
    }
    if (record->n_checks <= CONSUL_CHECKS_MAX)
        return 0;
    return consul_deny(call, 400, "with those it had it has %zu checks; up to %u are accepted",
                       record->n_checks, CONSUL_CHECKS_MAX);
}

static int check_ids(struct consul_call *call, const Consul__ServiceRecord *record)
{
    for (size_t i = 0; i < record->n_checks; i++) {
        const char *id = record->checks[i]->id;
        const struct consul_check *other = consul_check_find(call->consul, span_of(id));
        if (other && !span_is(call->tail, other->service->id))
            return consul_deny_check(call, other);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(record->checks[k]->id, id) == 0)
                return consul_deny(call, 400, "check \"%.80s\" is there twice", id);
        }
    }
    return 0;
}

/* Names that are different here must not be one service in the registry. */
int consul_check_name(struct consul_call *call, const Consul__ServiceRecord *record)
{
    const struct consul_name *name = consul_name_find(call->consul, span_of(record->service));
    if (!name)
        return 0;
    const char *other = consul_name_first(name)->record->name;
    if (strcasecmp(other, record->name) == 0)
        return 0;
    return consul_deny(call, 400, "\"%.80s\" and \"%.80s\" would be the same service: %s",
                       record->name, other, record->service);
}

static int build_register(struct consul_call *call, struct txn *txn)
{
    Consul__ServiceRecord *read = call->registration;
    Consul__ServiceRecord record = *read; /* maintenance is added to a copy, at each try */
    struct problem problem;
    int r = consul_check_name(call, &record);
    if (!r)
        r = check_ids(call, &record);
    if (r)
        return r;
    keep_statuses(call, &record);
    r = keep_checks(call, &record, txn);
    if (r)
        return r;
    const struct consul_place place = { .kind = CONSUL_HERE, .key = call->tail };
    return consul_status_of(call, consul_service_put(call->consul, &place, &record, txn, &problem),
                            &problem);
}

/* A registration counts as a sign of life. */
static void registered(struct consul_call *call)
{
    struct consul_service *service = consul_service_find(call->consul, call->tail);
    if (service) {
        list_each (link, &service->checks) {
            struct consul_check *check = container_of(link, struct consul_check, link);
            if (check->status != CHECK_CRITICAL)
                consul_check_renew(call->consul, check);
        }
    }
    reply_empty(call);
}

/* Where it says nothing of where it is, it is where it calls from. */
static void fill_address(struct consul_call *call, Consul__ServiceRecord *record)
{
    char host[INET6_ADDRSTRLEN + 1];
    if (record->address[0] || call->exchange->peer->any.sa_family == AF_UNIX)
        return;
    *address_put_host(host, call->exchange->peer) = '\0';
    record->address = arena_strdup(&call->arena, host);
}

/* An id of this node has no "%@", for "%" is written as "%25". */
int consul_name_record(struct consul_call *call, Consul__ServiceRecord *record, const char *node,
                       struct span id)
{
    char *service = arena_alloc(&call->arena, SERVICE_NAME_MAX + 1, 1);
    if (!consul_service_name(span_of(record->name), service)) {
        return consul_deny(call, 400,
                           "Name is \"%.80s\"; up to %u letters, digits, \"-\", \".\" and \"_\", a "
                           "letter first, are accepted",
                           record->name, SERVICE_NAME_MAX);
    }
    record->service = service;
    record->instance = consul_instance_id(&call->arena, id);
    if (node)
        record->instance = arena_format(&call->arena, "%s%%@%s", record->instance,
                                        consul_instance_id(&call->arena, span_of(node)));
    if (strlen(record->instance) > INSTANCE_ID_MAX)
        return consul_deny(call, 400, "ID has more than %u bytes", INSTANCE_ID_MAX);
    return 0;
}

static int prepare(struct consul_call *call, json_t *body)
{
    Consul__ServiceRecord *record;
    int r = consul_read_registration(call, body, &record);
    if (r)
        return r;
    r = consul_name_record(call, record, NULL, call->tail);
    for (size_t i = 0; i < record->n_checks && !r; i++)
        r = consul_check_judge(call, record->checks[i]);
    fill_address(call, record);
    call->registration = record;
    return r;
}

/* Clients that choose no id have their service's name for one, and then two hosts have the same. */
static void tell_of_another(const struct consul_call *call)
{
    const struct consul_service *before = consul_service_find(call->consul, call->tail);
    const Consul__ServiceRecord *record = call->registration;
    if (!before || consul_service_status(before) == CHECK_CRITICAL ||
        strcmp(before->record->address, record->address) == 0)
        return;
    CLEANUP(mem_freep)
    char *was = mem_format("%s:%u", before->record->address, before->record->port);
    CLEANUP(mem_freep) char *is = mem_format("%s:%u", record->address, record->port);
    log_warn("consul",
             "an id that passes its checks is registered from another address, and is now "
             "that one's",
             "id", before->id, "was", was, "is", is);
}

void consul_agent_register(struct consul_call *call)
{
    json_t *body = consul_body(call);
    int r = prepare(call, body);
    json_decref(body);
    if (r) {
        consul_reply_denied(call, r);
        return;
    }
    tell_of_another(call);
    consul_write_routed(call, build_register, registered);
}

static int build_deregister(struct consul_call *call, struct txn *txn)
{
    struct consul_service *service = consul_service_find(call->consul, call->tail);
    if (!service) {
        return consul_deny(call, 404,
                           "Unknown service ID \"%.*s\". Ensure that the service ID is "
                           "passed, not the service name.",
                           SPAN_ARG(span_first(call->tail, 200)));
    }
    consul_service_delete(call->consul, service, txn);
    return 0;
}

void consul_agent_deregister(struct consul_call *call)
{
    consul_write_routed(call, build_deregister, reply_empty);
}

/* --- checks --- */

static int no_check(struct consul_call *call)
{
    return consul_deny(call, 404,
                       "Unknown check ID \"%.*s\". Ensure that the check ID is passed, "
                       "not the check name.",
                       SPAN_ARG(span_first(call->tail, 200)));
}

struct told_status {
    enum check_status status;
    char *output;
};

static int build_told(struct consul_call *call, struct txn *txn)
{
    const struct told_status *told = call->registration;
    struct consul_check *check = consul_check_find(call->consul, call->tail);
    struct problem problem;
    if (!check)
        return no_check(call);
    if (check->record->kind != CHECK_TTL)
        return consul_deny(call, 500, "CheckID \"%.80s\" does not have associated TTL", check->id);
    consul_check_say(check, told->output);
    if (check->status == told->status) {
        if (told->status != CHECK_CRITICAL)
            consul_check_renew(call->consul, check);
        return consul_claim(call->consul, check->service, txn);
    }
    check->record->status = told->status;
    return consul_status_of(
        call, consul_service_put_told(call->consul, check->service, txn, &problem), &problem);
}

static void tell(struct consul_call *call, enum check_status status, struct span output)
{
    struct told_status *told = arena_new(&call->arena, struct told_status);
    told->status = status;
    told->output = consul_cut_output(&call->arena, output);
    call->registration = told;
    consul_write_routed(call, build_told, reply_empty);
}

static void tell_note(struct consul_call *call, enum check_status status)
{
    struct span note = SPAN_NULL;
    consul_param(call, "note", &note);
    tell(call, status, note);
}

void consul_check_pass(struct consul_call *call)
{
    tell_note(call, CHECK_PASSING);
}

void consul_check_warn(struct consul_call *call)
{
    tell_note(call, CHECK_WARNING);
}

void consul_check_fail(struct consul_call *call)
{
    tell_note(call, CHECK_CRITICAL);
}

void consul_check_update(struct consul_call *call)
{
    json_t *body = consul_body(call);
    const char *word = json_string_value(consul_member(body, "Status"));
    const char *output = json_string_value(consul_member(body, "Output"));
    unsigned status = CHECK_CRITICAL;
    while (word && status <= CHECK_PASSING && strcmp(word, check_status_word(status)) != 0)
        status++;
    if (!word || status > CHECK_PASSING) {
        consul_refuse(call, 400,
                      "Invalid check status: \"%.40s\"; passing, warning and critical "
                      "are",
                      word ? word : "");
    } else {
        tell(call, status, span_of(output ? output : ""));
    }
    json_decref(body);
}

/* Of a registration without ServiceID, as of any without a service, this node is the holder. */
static struct consul_place find_holder(struct consul_call *call,
                                       const struct consul_service **ret_before)
{
    struct consul_place place = { .kind = call->tail.size ? CONSUL_HERE : CONSUL_NODE };
    place.key = call->tail;
    if (!call->tail.size)
        place.key = span_of(consul_node_key(&call->arena, span_of(call->consul->settings.node)));
    *ret_before = consul_find(call->consul, place.kind, place.key);
    return place;
}

/* A registration with one check more, or another in place of one. */
static int build_add_check(struct consul_call *call, struct txn *txn)
{
    Consul__CheckRecord *check = call->registration;
    const struct consul_service *holder;
    const struct consul_place place = find_holder(call, &holder);
    struct problem problem;
    if (!holder && call->tail.size)
        return consul_deny(call, 404, "ServiceID \"%.*s\" does not exist",
                           SPAN_ARG(span_first(call->tail, 200)));
    const struct consul_check *before = consul_check_find(call->consul, span_of(check->id));
    if (before && before->service != holder)
        return consul_deny_check(call, before);
    if (before)
        check->status = before->status;
    Consul__ServiceRecord record;
    consul__service_record__init(&record);
    record.name = arena_strdup(&txn->arena, call->consul->settings.node);
    if (holder)
        record = *holder->record;
    if (check->name[0]) /* else it is taken away */
        consul_record_add_check(&txn->arena, &record, check);
    else
        consul_record_remove_check(&txn->arena, &record, span_of(check->id));
    if (record.n_checks > CONSUL_CHECKS_MAX)
        return consul_deny(call, 400, "that would be more than %u checks", CONSUL_CHECKS_MAX);
    return consul_status_of(call, consul_service_put(call->consul, &place, &record, txn, &problem),
                            &problem);
}

void consul_check_register(struct consul_call *call)
{
    json_t *body = consul_body(call);
    Consul__CheckRecord *check = NULL;
    int r = consul_read_check(call, body, &check);
    const char *service = json_string_value(consul_member(body, "ServiceID"));
    if (!r && !check->name[0])
        r = consul_deny(call, 400, "Missing check name");
    if (!r && !check->id[0])
        check->id = check->name;
    if (!r)
        r = consul_check_judge(call, check);
    if (!r)
        call->tail = span_of(arena_strdup(&call->arena, service ? service : ""));
    json_decref(body);
    if (r) {
        consul_reply_denied(call, r);
        return;
    }
    call->registration = check;
    consul_write_routed(call, build_add_check, reply_empty);
}

/* One without a name stands for none. */
static void remove_check(struct consul_call *call, const struct consul_check *check)
{
    Consul__CheckRecord *none = arena_new(&call->arena, Consul__CheckRecord);
    consul__check_record__init(none);
    none->id = arena_strdup(&call->arena, check->id);
    call->tail = span_of(arena_strdup(&call->arena, check->service->id));
    call->registration = none;
    consul_write_routed(call, build_add_check, reply_empty);
}

void consul_check_deregister(struct consul_call *call)
{
    const struct consul_check *check = consul_check_find(call->consul, call->tail);
    if (check)
        remove_check(call, check);
    else
        consul_reply_denied(call, no_check(call));
}

/* A check that is critical as long as it is there; `what` it is of, in the words of Consul. */
static void set_maintenance(struct consul_call *call, char *id, const char *what)
{
    struct span enable, reason = SPAN_NULL;
    if (!consul_param(call, "enable", &enable) ||
        (!span_is(enable, "true") && !span_is(enable, "false"))) {
        consul_refuse(call, 400, "Missing value for enable: true and false are accepted");
        return;
    }
    const struct consul_check *check = consul_check_find(call->consul, span_of(id));
    if (span_is(enable, "false")) {
        if (check)
            remove_check(call, check);
        else
            reply_empty(call);
        return;
    }
    consul_param(call, "reason", &reason);
    Consul__CheckRecord *record = arena_new(&call->arena, Consul__CheckRecord);
    consul__check_record__init(record);
    bool is_node = strcmp(what, "node") == 0;
    record->id = id;
    record->name = arena_format(&call->arena, "%s Maintenance Mode", is_node ? "Node" : "Service");
    record->kind = CHECK_MAINTENANCE;
    record->notes = reason.size ? arena_format(&call->arena, "%.*s", SPAN_ARG(reason))
                                : arena_format(&call->arena,
                                               "Maintenance mode is enabled for this %s, but no "
                                               "reason was provided. This is a default message.",
                                               what);
    call->registration = record;
    consul_write_routed(call, build_add_check, reply_empty);
}

void consul_agent_maintenance(struct consul_call *call)
{
    if (!consul_service_find(call->consul, call->tail)) {
        consul_refuse(call, 404, "Unknown service ID \"%.*s\"",
                      SPAN_ARG(span_first(call->tail, 200)));
        return;
    }
    char *id = arena_format(&call->arena, MAINTENANCE_ID "%.*s", SPAN_ARG(call->tail));
    set_maintenance(call, id, "service");
}

void consul_agent_node_maintenance(struct consul_call *call)
{
    set_maintenance(call, arena_strdup(&call->arena, "_node_maintenance"), "node");
}
