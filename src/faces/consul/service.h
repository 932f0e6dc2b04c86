#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Services as Consul's clients register them, private to the face: what they said of themselves,
 * and their checks.
 *
 *   registration ─► record "consul/service/<id>"  and  instance of the registry, in one transaction
 *   a check's status changes ─► the record, and whether the instance takes requests
 *   critical for long ─► both are deleted, where the registration asks for it
 *
 * Statuses are on the log, what checks say beside them is not. Deadlines run in memory: after a
 * restart everybody has a full period again.
 *
 * Threads: the control loop.
 */

#include "faces/consul/call.h"
#include "faces/consul/records.pb-c.h"
#include "registry/registry.h"

enum check_kind {
    CHECK_TTL,
    CHECK_TCP,
    CHECK_HTTP,
    CHECK_GRPC,
    CHECK_MAINTENANCE, /* critical as long as it is there */
};

enum check_status {
    CHECK_CRITICAL,
    CHECK_WARNING,
    CHECK_PASSING,
};

struct consul_service;

struct consul_check {
    struct map_node node; /* by id, of the face */
    struct list link;     /* in the service's, in the order of the registration */
    struct consul_service *service;
    Consul__CheckRecord *record; /* the service's */
    char *id, *output;           /* output: NULL for none */
    enum check_status status;
    struct heap_node due;  /* the end of its TTL, or of the patience with a critical one */
    struct prober *prober; /* NULL: nobody is asked */
};

/* Those that are one service of the registry. */
struct consul_name {
    struct map_node node; /* by the registry's name */
    char *text;
    struct list services;
    int64_t changed_revision; /* of the last change of any, also of one that went */
};

struct consul_service {
    struct map_node node; /* by id, of the face */
    struct map_node instance_node;
    struct consul_name *name;
    struct list name_link;
    char *id, *instance_key; /* "service/instance" of the registry */
    Consul__ServiceRecord *record;
    struct list checks;
    int64_t create_revision, mod_revision;
};

const char *check_status_word(enum check_status status);

/* The worst of its checks; passing without any. */
enum check_status consul_service_status(const struct consul_service *service);

/* By an instance of the registry; NULL for those that registered elsewhere. */
struct consul_service *consul_service_of(const struct consul *consul,
                                         const struct instance *instance);

struct consul_service *consul_service_find(const struct consul *consul, struct span id);
struct consul_check *consul_check_find(const struct consul *consul, struct span id);

/* By the registry's name; NULL when nothing of that name is registered here. */
struct consul_name *consul_name_find(const struct consul *consul, struct span name);
struct consul_service *consul_name_first(const struct consul_name *name);

/* Writes a registration, over the one of that id, and its instance. Answers of the registry. */
int consul_service_put(struct consul *consul, struct span id, const Consul__ServiceRecord *record,
                       struct txn *txn, struct problem *problem);
/* The same of one that is there, with the statuses that its checks' records were given; they are
 * again what they were then, until the new ones have come back from the log. */
int consul_service_put_told(struct consul *consul, struct consul_service *service, struct txn *txn,
                            struct problem *problem);
void consul_service_delete(struct consul *consul, struct consul_service *service, struct txn *txn);

/* What a check says beside its status. */
void consul_check_say(struct consul_check *check, const char *text);

/* Its time begins anew: until a TTL is over, or the patience with a critical one. */
void consul_check_renew(struct consul *consul, struct consul_check *check);

/* The registry's name for a service. False when there is none. */
bool consul_service_name(struct span name, char ret_name[SERVICE_NAME_MAX + 1]);

/* An instance's id in the registry, which has no slash and no spaces. */
char *consul_instance_id(struct arena *arena, struct span id);

/* registration.c: reads the body into a record of the arena. 0, or a status as consul_deny() has. */
int consul_read_registration(struct consul_call *call, json_t *body,
                             Consul__ServiceRecord **ret_record);
int consul_read_check(struct consul_call *call, json_t *body, Consul__CheckRecord **ret_check);

/* Field names are taken in any case: not all clients write them as the documents do. */
json_t *consul_member(json_t *body, const char *name);
/* A duration as Go writes it, or a number of nanoseconds. False: it is neither. */
bool consul_read_duration(json_t *value, nsec *ret_duration);
