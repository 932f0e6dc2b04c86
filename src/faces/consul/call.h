#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One call of the Consul API, private to the face: from the route to the answer.
 *
 *   serve ─► consul_reply(), consul_refuse()         answered
 *         ─► consul_is_due() says no                 parked; serve is called again, once it says yes
 *         ─► consul_write(build, done) ─► done       a transaction, decided again after a conflict
 */

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "faces/consul/consul.h"
#include "faces/consul/topic.h"
#include "http/server.h"

#define CONSUL_BODY_MAX ((size_t)1024 * 1024)

struct consul_call;
struct consul_filter;

struct consul_route {
    const char *method, *path; /* that ends with "/" takes the rest of the path as call->tail */
    void (*serve)(struct consul_call *call);
};

/* An answer that was just given, for others who asked the same. */
struct consul_shared {
    bool is_kept; /* while those who wait are being woken */
    const struct consul_route *route;
    struct buf question, text;
    unsigned status;
    const char *type;
    int64_t index;
};

/* A pass over all registrations, by their ids. */
struct consul_review {
    struct store_command command;
    struct timer timer;
    char **ids;
    size_t n, at, next;
    struct buf rules;          /* as consul_rules_write() has those of the last pass */
    bool is_begun;             /* there was a pass */
    bool is_running, is_asked; /* asked: it begins anew */
};

struct consul {
    struct http_handler handler;
    struct http_server *server;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct version *version;
    const struct auth *auth;
    struct consul_settings settings;
    struct list calls, settling; /* settling: written, and answered when the workers serve by it */
    struct topics topics;
    struct consul_shared shared;
    struct random random; /* for how long somebody waits */
    bool is_draining;
    bool is_called; /* a call decides, which is a sign of life of what it is about */

    /* service.c */
    struct map services[3];       /* struct consul_service by key, for each kind */
    struct map service_instances; /* and by "service/instance" of the registry */
    struct map names;             /* struct consul_name by the registry's name */
    struct map checks, others;    /* struct consul_check by key: of this node, and of others */
    int64_t catalog_revision;     /* of the last change of any service */
    int64_t nodes_revision;       /* of the last change of any node */
    int64_t gone_revision;        /* of the last that went, or of the process's start */
    struct heap due;
    struct timer check_timer;
    struct store_command check_command;
    struct list aliases;      /* struct consul_check */
    int64_t aliases_revision; /* of the catalog, by which they are */
    struct http_checkers *checkers;
    struct resolver *resolver;
    bool is_checking;

    /* review.c */
    const struct consul_rules *rules; /* NULL: none */
    struct consul_review review;

    /* kv.c */
    struct map deleted; /* struct deleted_key by key */
    int64_t deleted_floor;

    /* session.c */
    struct map sessions;       /* struct session by id */
    struct map held;           /* struct held_key by key */
    struct map delays;         /* struct lock_delay by key */
    int64_t sessions_revision; /* of the last that ended, or of the process's start */
    struct heap deadlines;
    struct list checked_sessions;
    bool has_failed_checks; /* of one of these, perhaps */
    bool has_orphans;       /* keys may be held by sessions that are gone */
    bool is_expiring;
    struct timer expire;
    struct store_command expire_command;
};

struct consul_call {
    struct list link; /* among the face's */
    struct consul *consul;
    struct http_exchange *exchange; /* NULL when the client is gone */
    const struct consul_route *route;
    struct span tail, query; /* tail: decoded */
    struct arena arena;      /* lives as long as the call */
    struct buf body;

    struct topic_wait wait;
    struct span question; /* of one who is woken; it may be empty */
    struct timer timer;
    nsec wait_for; /* as asked, or Consul's default */
    bool is_wait_over, is_woken;
    const struct consul_filter *filter; /* NULL: none */
    int64_t index;                      /* of the answer; 0: it has none */
    const char *hash;                   /* of the answer; NULL: it has none */

    bool is_busy; /* the store has the command; the call must stay */
    bool is_sure; /* that it sees what others wrote before it */
    struct store_command command;
    struct store_write barrier;
    int (*build)(struct consul_call *call, struct txn *txn);
    void (*done)(struct consul_call *call);
    bool waits_for_workers; /* the write is answered when they serve by it */
    void *registration;     /* what was read of the body */
    char refusal[512];      /* why there is nothing to write */
};

/* --- what was asked --- */

/* Whether the query names the parameter; *ret_value is its decoded text, which may be empty. */
bool consul_param(struct consul_call *call, const char *name, struct span *ret_value);
/* Of a value as it is in a query. */
struct span consul_decode(struct consul_call *call, struct span raw);
bool consul_has_param(struct consul_call *call, const char *name);
/* Whether it is there and not false, as Go writes that. */
bool consul_flag(struct consul_call *call, const char *name);

/* The body as JSON, NULL when it is none; the caller gives it back. */
json_t *consul_body(struct consul_call *call);

/* --- answers; each ends the call --- */

void consul_reply(struct consul_call *call, unsigned status, const char *type, struct span text);
/* Refused instead where call->filter gave up. */
void consul_reply_json(struct consul_call *call, const struct buf *json);
void consul_reply_bool(struct consul_call *call, bool value);
/* With what consul_deny() noted. */
void consul_reply_denied(struct consul_call *call, int status);
void consul_refuse(struct consul_call *call, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* What a revision of the store is as an index. A store begins at 0, which Consul's indexes never
 * are: were it shown as 1, the first write of all, which is 1 as well, would wake nobody. */
static inline int64_t consul_index(int64_t revision)
{
    return revision + 1;
}

/* For a read whose answer is of `revision`: it is to be answered now, and call->index is set.
 * False: it waits in the topic. */
bool consul_is_due(struct consul_call *call, int64_t revision, enum topic_kind kind,
                   struct span name);

/* The same for what has no index: a caller that has seen the answer already, by its "hash", waits.
 * Borrows the hash until the answer. */
bool consul_is_other(struct consul_call *call, const char *hash, enum topic_kind kind,
                     struct span name);

/* Reads for how long the caller waits. False: the call is refused, and gone. */
bool consul_read_wait(struct consul_call *call);

/* The index that the caller has seen; 0 when it does not want to wait. */
int64_t consul_known_index(struct consul_call *call);

/* Something that the call waited for has changed. */
void consul_wake(struct consul_call *call);

/* What `build` returns when a condition does not hold: the answer is "false". */
#define CONSUL_FALSE 1

/* For `build`: notes the text and returns the status, from 400 on, that the call is refused with. */
int consul_deny(struct consul_call *call, int status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Runs `build` into a transaction, and `done` when that is durable or was empty. */
void consul_write(struct consul_call *call, int (*build)(struct consul_call *call, struct txn *txn),
                  void (*done)(struct consul_call *call));

/* The same of what requests are routed by: the workers serve by it when `done` is called. */
void consul_write_routed(struct consul_call *call,
                         int (*build)(struct consul_call *call, struct txn *txn),
                         void (*done)(struct consul_call *call));

void consul_call_end(struct consul_call *call);

/* --- kv.c --- */

void consul_kv_get(struct consul_call *call);
void consul_kv_put(struct consul_call *call);
void consul_kv_delete(struct consul_call *call);
int consul_kv_apply(struct consul *consul, struct span key, const struct store_event *event)
    MUST_CHECK;
void consul_kv_fini(struct consul *consul);

/* The key is its session's no more: given back, or deleted. */
void consul_kv_release(struct consul *consul, struct span key, bool deletes, struct txn *txn);

/* --- session.c --- */

void consul_session_create(struct consul_call *call);
void consul_session_destroy(struct consul_call *call);
void consul_session_renew(struct consul_call *call);
void consul_session_info(struct consul_call *call);
void consul_session_list(struct consul_call *call);
void consul_session_node(struct consul_call *call);
int consul_session_apply(struct consul *consul, struct span id, const struct store_event *event)
    MUST_CHECK;
void consul_session_init(struct consul *consul);
void consul_session_fini(struct consul *consul);
/* Whether there is such a session; then the transaction holds only while there is. */
bool consul_session_expect(const struct consul *consul, struct span id, struct txn *txn);

/* A check is critical, or gone: sessions that need it end. */
void consul_session_check_failed(struct consul *consul);

/* Which session holds the key, by the record that was applied; it notes the change. */
void consul_session_hold(struct consul *consul, struct span key, struct span session);
/* Whether the key was held by a session that ended lately, so that it cannot be had yet. */
bool consul_session_delays(struct consul *consul, struct span key);

/* --- service.c --- */

void consul_service_init(struct consul *consul);
void consul_service_fini(struct consul *consul);
/* A record of a service or a node; `key`: behind CONSUL_PREFIX. Whether it is one says
 * consul_service_knows(). */
bool consul_service_knows(struct span key);
int consul_service_apply(struct consul *consul, struct span key, const struct store_event *event)
    MUST_CHECK;

/* --- review.c --- */

void consul_review_fini(struct consul *consul);

/* --- agent_read.c --- */

void consul_agent_services(struct consul_call *call);
void consul_agent_service(struct consul_call *call);
void consul_agent_checks(struct consul_call *call);
void consul_agent_health_id(struct consul_call *call);
void consul_agent_health_name(struct consul_call *call);

/* --- agent_service.c --- */

void consul_agent_register(struct consul_call *call);
void consul_agent_deregister(struct consul_call *call);
void consul_agent_maintenance(struct consul_call *call);
void consul_agent_node_maintenance(struct consul_call *call);
void consul_check_register(struct consul_call *call);
void consul_check_deregister(struct consul_call *call);
void consul_check_pass(struct consul_call *call);
void consul_check_warn(struct consul_call *call);
void consul_check_fail(struct consul_call *call);
void consul_check_update(struct consul_call *call);

/* --- catalog.c --- */

void consul_health_service(struct consul_call *call);
void consul_health_checks(struct consul_call *call);
void consul_health_state(struct consul_call *call);
void consul_health_node(struct consul_call *call);
void consul_health_connect(struct consul_call *call);
void consul_catalog_services(struct consul_call *call);
void consul_catalog_service(struct consul_call *call);
void consul_catalog_nodes(struct consul_call *call);
void consul_catalog_node(struct consul_call *call);
void consul_catalog_node_services(struct consul_call *call);

/* --- catalog_write.c --- */

void consul_catalog_register(struct consul_call *call);
void consul_catalog_deregister(struct consul_call *call);

/* --- agent.c --- */

void consul_agent_self(struct consul_call *call);
void consul_agent_host(struct consul_call *call);
void consul_agent_members(struct consul_call *call);
void consul_status_leader(struct consul_call *call);
void consul_status_peers(struct consul_call *call);
void consul_datacenters(struct consul_call *call);
void consul_ca_roots(struct consul_call *call);
