#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Services as Consul's clients register them, private to the face: what they said of themselves,
 * and their checks.
 *
 *   registration ─► record "consul/service/<id>"  and  instance of the registry, in one transaction
 *
 * There is one node here. Others, and services on them, are what the catalog is told: their checks
 * are as they were told, too. A node is kept as a service is, without an instance; when its checks
 * are critical, its services are, in the registry too where the node is another.
 *
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
    CHECK_TOLD,        /* as it was registered, until it is registered again */
    CHECK_ALIAS,       /* as all checks of another service */
};

/* Where a record lies. */
enum consul_kind {
    CONSUL_HERE,      /* a service of this node */
    CONSUL_NODE,      /* a node, this one too */
    CONSUL_ELSEWHERE, /* a service of another node */
};

#define CONSUL_KINDS 3u
#define CONSUL_CHECKS_MAX 32u           /* of one service, or one node */
#define CONSUL_NODE_MAX 255u            /* bytes of a name */
#define CONSUL_NODE_ADDRESS "127.0.0.1" /* of this one, where nobody told another */

enum check_status {
    CHECK_CRITICAL,
    CHECK_WARNING,
    CHECK_PASSING,
};

struct consul_service;

struct consul_check {
    struct map_node node; /* by key, of the face */
    struct list link;     /* in the service's, in the order of the registration */
    struct consul_service *service;
    Consul__CheckRecord *record; /* the service's */
    char *key, *output;          /* key: its id, elsewhere "node/id"; output: NULL for none */
    const char *id;              /* within the key */
    enum check_status status;
    struct heap_node due;   /* the end of its TTL, or of the patience with a critical one */
    struct prober *prober;  /* NULL: nobody is asked */
    bool is_away_told;      /* that what it asks is of another host */
    struct list alias_link; /* among the face's aliases, where it is one */
};

/* Those that are one service of the registry. */
struct consul_name {
    struct map_node node; /* by the registry's name */
    char *text;
    struct list services;
    int64_t changed_revision; /* of the last change of any, also of one that went */
};

struct consul_service {
    struct map_node node; /* by key, among those of its kind */
    struct map_node instance_node;
    struct consul_name *name; /* NULL: it is a node */
    struct list name_link;
    enum consul_kind kind;
    char *key;          /* its id, "node/id", or the node's name in small letters */
    const char *id;     /* within the key; "" of a node */
    char *instance_key; /* "service/instance" of the registry */
    Consul__ServiceRecord *record;
    struct list checks;
    int64_t create_revision, mod_revision;
};

const char *check_status_word(enum check_status status);

/* The worst of its checks; passing without any. */
enum check_status consul_service_status(const struct consul_service *service);

/* The same with the node's checks. */
enum check_status consul_status_there(const struct consul *consul,
                                      const struct consul_service *service);

bool consul_is_in_maintenance(const Consul__ServiceRecord *record);

/* By an instance of the registry; NULL for those that registered elsewhere. */
struct consul_service *consul_service_of(const struct consul *consul,
                                         const struct instance *instance);

struct consul_service *consul_service_find(const struct consul *consul, struct span id);
struct consul_check *consul_check_find(const struct consul *consul, struct span id);

/* Of any kind, by its key. */
struct consul_service *consul_find(const struct consul *consul, enum consul_kind kind,
                                   struct span key);

/* A node by its name in any case; NULL also of this one when nobody told of it. */
struct consul_service *consul_node_find(const struct consul *consul, struct span name);
bool consul_node_is_ours(const struct consul *consul, struct span name);
/* The node that a service is on, or that it is. */
struct consul_service *consul_node_of(const struct consul *consul,
                                      const struct consul_service *service);
/* Whether it, or the node that it is, is this one: then its checks are made and timed here. */
bool consul_is_ours(const struct consul *consul, const struct consul_service *service);
/* A check of a node by its id, whether it is of the node or of a service there. */
struct consul_check *consul_node_check(const struct consul *consul, struct span node,
                                       struct span id);

/* The name in small letters, as keys have it. */
char *consul_node_key(struct arena *arena, struct span name);
char *consul_elsewhere_key(struct arena *arena, struct span node, struct span id);

/* By the registry's name; NULL when nothing of that name is registered here. */
struct consul_name *consul_name_find(const struct consul *consul, struct span name);
struct consul_service *consul_name_first(const struct consul_name *name);

/* Where a registration goes. */
struct consul_place {
    enum consul_kind kind;
    struct span key;
    const Consul__ServiceRecord
        *node; /* what the other node of a service is by then; NULL of ours */
};

/* What the registry is told of it. `node`: as in a place. */
void consul_read_instance(const struct consul *consul, const Consul__ServiceRecord *registered,
                          const Consul__ServiceRecord *node, struct arena *arena,
                          struct instance_spec *ret_spec);

struct consul_place consul_place_of(const struct consul *consul,
                                    const struct consul_service *service);

/* Writes a registration, over the one of that place, and its instance; of another node, those of
 * its services. Answers of the registry. */
int consul_service_put(struct consul *consul, const struct consul_place *place,
                       const Consul__ServiceRecord *record, struct txn *txn,
                       struct problem *problem);
/* The same of one that is there, with the statuses that its checks' records were given; they are
 * again what they were then, until the new ones have come back from the log. */
int consul_service_put_told(struct consul *consul, struct consul_service *service, struct txn *txn,
                            struct problem *problem);
/* What its checks' records say is again what is on the log. */
void consul_service_recall(struct consul_service *service);
void consul_service_delete(struct consul *consul, struct consul_service *service, struct txn *txn);

/* --- status.c --- */

void consul_status_init(struct consul *consul);

/* Everything of this turn is applied: aliases are as what they stand for. */
void consul_aliases_follow(struct consul *consul);

/* What a check says beside its status. */
void consul_check_say(struct consul_check *check, const char *text);

/* Its time begins anew: until a TTL is over, or the patience with a critical one. */
void consul_check_renew(struct consul *consul, struct consul_check *check);

/* The timer waits for the first of the deadlines that there are. */
void consul_check_plan(struct consul *consul);

/* --- names --- */

/* The registry's name for a service. False when there is none. */
bool consul_service_name(struct span name, char ret_name[SERVICE_NAME_MAX + 1]);

/* An instance's id in the registry, which has no slash and no spaces. */
char *consul_instance_id(struct arena *arena, struct span id);

/* Of a record that is about to be written: with one check more, or another in place of one. */
void consul_record_add_check(struct arena *arena, Consul__ServiceRecord *record,
                             Consul__CheckRecord *check);
void consul_record_remove_check(struct arena *arena, Consul__ServiceRecord *record, struct span id);

/* agent_service.c: answers of the registry, as what Consul answers with. */
int consul_status_of(struct consul_call *call, int r, const struct problem *problem);
/* Why a check cannot have the id. */
int consul_deny_check(struct consul_call *call, const struct consul_check *check);
/* Names that are different here must not be one service in the registry. 0, or a status. */
int consul_check_name(struct consul_call *call, const Consul__ServiceRecord *record);

/* registration.c: reads the body into a record of the arena. 0, or a status as consul_deny() has. */
int consul_read_registration(struct consul_call *call, json_t *body,
                             Consul__ServiceRecord **ret_record);
int consul_read_check(struct consul_call *call, json_t *body, Consul__CheckRecord **ret_check);

/* Parts of both, and of what the catalog is told: of a service without its id and checks. */
int consul_read_service(struct consul_call *call, json_t *body, const char *name,
                        Consul__ServiceRecord *record);
int consul_read_meta(struct consul_call *call, json_t *body, const char *name,
                     Consul__ServiceRecord *record);
int consul_read_text(struct consul_call *call, json_t *body, const char *name, char **ret_text);
/* Of what a check says beside its status. */
int consul_read_output(struct consul_call *call, json_t *body, char **ret_text);
char *consul_cut_output(struct arena *arena, struct span text);
int consul_read_status(struct consul_call *call, json_t *body, Consul__CheckRecord *check);
/* The registry's name and id of it. `node`: NULL of this one. 0, or a status. */
int consul_name_record(struct consul_call *call, Consul__ServiceRecord *record, const char *node,
                       struct span id);

/* Field names are taken in any case: not all clients write them as the documents do. */
json_t *consul_member(json_t *body, const char *name);
/* A duration as Go writes it, or a number of nanoseconds. False: it is neither. */
bool consul_read_duration(json_t *value, nsec *ret_duration);
