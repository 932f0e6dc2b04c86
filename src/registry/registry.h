#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The registry: which services exist, which builds of them, and which instances are alive.
 *
 * What is kept is a fold over the store: registry_apply() takes every committed change under
 * "registry/", and nothing else changes a record. A command checks itself against what is known
 * and fills a transaction; the control loop submits it, and by the time it is durable the change
 * has come back through registry_apply(). The transaction compares what the decision rested on,
 * so a command that lost a race is refused by the store and built again.
 *
 * Liveness stays off the log: a heartbeat moves a deadline in memory, and only what it changes of
 * a record is a transaction. An instance goes in two steps:
 *
 *   ready ──no heartbeat within its ttl──► expired ──deregister_after──► gone
 *     ▲                                       │
 *     └───────────────heartbeat───────────────┘
 *
 * One that is expired, or fails its checks, is critical: it is listed, and gets no new requests.
 * But when few of a build's instances are left, those who judge are trusted less than those who are
 * judged, for a minute: see build_has_panic().
 *
 * After a restart every instance gets all of its time again, whatever step it is in, and what its
 * checks said stands until they say something else.
 *
 * In a cluster an instance has an owner: the process that took its last heartbeat. Deadlines run
 * at the owner only; those of owners that are gone, at the process that is elected.
 *
 * Owns:     its records, copied. Borrows: nothing. Threads: the control loop; no I/O.
 * Cost:     find and heartbeat O(1) and O(log n).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/span.h"
#include "codec/health_check.h"
#include "codec/semver.h"
#include "store/store.h"

#define REGISTRY_PREFIX "registry/"
#define SERVICE_NAME_MAX 63u
#define INSTANCE_ID_MAX 128u
#define BUILD_PROVIDES_MAX 16u
#define INSTANCE_META_MAX 64u
#define BUILD_GRPC_MAX 64u
#define GRPC_NAME_MAX 255u
#define SERVICE_INSTANCES_MAX 10000u
#define SERVICE_BUILDS_MAX 10000u
#define REGISTRY_SERVICES_MAX 10000u
#define UNVERSIONED_BUILD "0.0.0"

enum registry_answer {
    REGISTRY_OK,
    REGISTRY_INVALID,    /* the problem names the field */
    REGISTRY_NOT_FOUND,  /* no such service, build or instance */
    REGISTRY_REFUSED,    /* what exists contradicts it; the problem says what */
    REGISTRY_FULL,       /* a limit above is reached */
    REGISTRY_TRANSITION, /* a heartbeat that changes the record: instance_claim() first */
};

struct service {
    struct map_node node; /* by name */
    const struct registry *registry;
    char *name;
    bool is_known; /* it has a record; else only builds or instances were seen so far */
    bool is_identity, shares_builds, auto_starts, promotes_when_baseline_gone;
    unix_msec created;
    int64_t mod_revision;     /* of its own record */
    int64_t changed_revision; /* of the last change below it; what a watcher waits for */
    struct map builds;        /* struct build by version */
    struct map instances;     /* struct instance by id */
};

struct build {
    struct map_node node;
    struct service *service;
    char *version;
    struct semver semver; /* borrows from `version` */
    uint32_t provides[BUILD_PROVIDES_MAX];
    unsigned n_provides;
    char *digest;
    char **grpc_services; /* by full name, "shop.orders.v1.Orders"; sorted */
    size_t n_grpc_services;
    unix_msec created;
    int64_t mod_revision;          /* 0: no record, only instances of it were seen */
    unsigned n_instances, n_ready; /* its instances, and those that are well and take traffic */
    unsigned n_proven;  /* those that would take traffic if they were well, and have been */
    unsigned n_trusted; /* of the proven, those that are well, or were until a moment ago */
    bool is_panic_told; /* for whoever tells people */
};

struct instance_meta {
    char *key, *value;
};

/* How requests are sent to an instance, as its protocol's word says it. */
struct protocol {
    bool is_known; /* else it is listed, and no request is sent to it */
    bool is_http2; /* not HTTP/1.1 */
    bool is_tls;
};

/* One process of a cluster. It stands as long as it has a record or owns an instance. */
struct owner {
    struct map_node node;  /* by id */
    char *id, *host, *api; /* host and api: NULL while it is gone */
    char *seen_host;       /* where it was last, as far as we saw it; NULL: we did not */
    unix_msec since;
    int64_t mod_revision; /* of its record; 0: it has none, so it is gone */
    unsigned n_instances;
};

struct instance {
    struct map_node node;
    struct service *service;
    struct build *build;
    struct owner *owner; /* NULL: its record names none */
    char *id, *address, *protocol;
    struct protocol speaks; /* what `protocol` means */
    nsec ttl;
    nsec deregister_after; /* as it was registered; see instance_deregister_after() */
    struct instance_meta *meta;
    unsigned n_meta;
    bool is_draining;
    bool is_failing;            /* its checks say so, or none has passed yet */
    bool is_unproven;           /* and none has: no panic uses it */
    bool is_withheld;           /* it fails because somebody wants it so: no panic uses it */
    bool is_expired;            /* no heartbeat came within its ttl */
    bool is_heard;              /* one came since that was decided */
    unsigned n_forgiven;        /* how often its time began anew without a heartbeat */
    struct health_check health; /* how it is asked, which nobody does here */
    char *health_target;
    char *check_output; /* why its last check failed, off the log; NULL: it passed, or none was */
    unix_msec registered;
    unix_msec last_heartbeat; /* wall time, for people */
    int64_t mod_revision;
    bool is_away_told; /* for whoever tells people, see instance_is_away() */
    struct heap_node
        deadline;           /* of the step that it is in; not in the heap when that is the last */
    struct heap_node trust; /* in the heap for REGISTRY_TRUST after it became critical */
};

struct registry;

struct registry *registry_new(void);

/* 0: never. 50 until it is set. */
void registry_set_panic(struct registry *registry, unsigned percent);
struct registry *registry_free(struct registry *registry);
DEFINE_CLEANUP(struct registry *, registry_free);

/* Takes one committed change. Returns a fault only for a record that cannot be decoded, which the
 * store's checks make a bug. */
int registry_apply(struct registry *registry, const struct store_event *event, nsec now,
                   unix_msec wall) MUST_CHECK;

/* All that is there as of this revision has been applied. What went before it left no trace, so to
 * who waits for changes each service has changed. */
void registry_set_loaded(struct registry *registry, int64_t revision);

/* All services, in order of appearance. */
const struct map *registry_services(const struct registry *registry);
struct service *service_find(const struct registry *registry, struct span name);
struct build *build_find(const struct service *service, struct span version);
struct instance *instance_find(const struct service *service, struct span id);

/* The words are http, http2 and grpc, which is HTTP/2, each with "+tls"; https is http+tls. */
struct protocol protocol_parse(struct span word);

static inline bool instance_is_critical(const struct instance *instance)
{
    return instance->is_failing || instance->is_expired;
}

/* Why, in a few words; NULL of one that is not. */
const char *instance_trouble(const struct instance *instance);

/* Whether it is well and takes new requests: heard of, passing its checks, not draining, and of a
 * protocol that is known. */
static inline bool instance_is_ready(const struct instance *instance)
{
    return !instance->is_draining && !instance_is_critical(instance) && instance->speaks.is_known;
}

/* Whether it was ready once, but for a drain. */
static inline bool instance_is_proven(const struct instance *instance)
{
    return !instance->is_draining && !instance->is_unproven && !instance->is_withheld &&
           instance->speaks.is_known;
}

#define REGISTRY_TRUST (60 * NSEC_PER_SEC)

/* Whether it is proven, and well or critical for less than REGISTRY_TRUST. A restart, which forgets
 * since when, trusts it for as long again. */
static inline bool instance_is_trusted(const struct instance *instance)
{
    return instance_is_proven(instance) &&
           (!instance_is_critical(instance) || heap_has(&instance->trust));
}

/* Of the instances that are trusted, so few are well that all of them take requests: fewer than the
 * percentage of registry_set_panic(). Who is critical for longer is dead, and neither counts nor is
 * used, except where nobody is well: then all that are proven take requests. One instance alone is
 * believed. */
bool build_has_panic(const struct build *build);

/* Ends the trust in who is critical for too long by now; whether there was one, so that what is
 * served may be another. */
bool registry_end_trust(struct registry *registry, nsec now);

/* When registry_end_trust() has work next; NSEC_NEVER: never. */
nsec registry_next_trust_end(const struct registry *registry);

/* How long it stays listed when it is critical; NSEC_NEVER: for ever. */
nsec instance_deregister_after(const struct instance *instance);

/* How many of its instances take requests, and whether this one does. */
unsigned build_n_served(const struct build *build);
bool instance_is_served(const struct instance *instance);

bool build_provides(const struct build *build, uint32_t major);
bool build_names_grpc(const struct build *build, struct span name);

/* --- owners --- */

#define OWNER_TTL (10 * NSEC_PER_SEC) /* of the lease under which a process is there */
#define REGISTRY_ELECTED_KEY REGISTRY_PREFIX "elected"

/* Who we are; before the first record is applied. Empty, as at first: there is one process, and all
 * instances are its own. */
void registry_set_self(struct registry *registry, struct span id);

/* We have been elected, or no longer are; then what nobody owns any more is ours, each instance for
 * its TTL from now, or for OWNER_TTL where that is longer. Without owners it is always so. */
void registry_set_elected(struct registry *registry, bool is_elected, nsec now);

/* The host that we are on, as our record says it. */
void registry_set_host(struct registry *registry, struct span host);

/* Whether it runs on another host than ours, as far as we know, so that an address on loopback or of
 * a unix socket leads to something else here. Of an owner that is gone, and was never seen, we do
 * not know the host: it is another. One without an owner is from before there was a cluster, and
 * here while nobody is elsewhere. */
bool instance_is_away(const struct instance *instance);

/* Whether its deadlines and its checks run here. */
bool registry_owns(const struct registry *registry, const struct instance *instance);

/* Whether what that process has is ours: it is us or, where it is gone, we are elected. An empty id
 * is nobody's. */
bool registry_speaks_for(const struct registry *registry, struct span owner);

/* The id by which we own; empty where there is one process only. */
const char *registry_self_id(const struct registry *registry);

/* struct owner by id, those that are gone too. */
const struct map *registry_owners(const struct registry *registry);
struct owner *registry_self(const struct registry *registry); /* NULL: not there yet */

/* Whether the address of its API means it here too: one of loopback does on its own host alone. */
bool registry_reaches(const struct registry *registry, const struct owner *owner);

/* The id at REGISTRY_ELECTED_KEY; empty for none. */
struct span registry_elected(const struct registry *registry);

/* Says that we are there, under a lease of OWNER_TTL. */
void owner_put(const struct registry *registry, struct span host, struct span api, unix_msec since,
               const struct store_lease *lease, struct txn *txn);

/* And that we are not any more. */
void owner_delete(const struct registry *registry, struct txn *txn);

/* --- commands: each checks, and on 0 has added its compares and operations to `txn` --- */

/* A setting that a command changes or leaves as it is. */
struct service_choice {
    bool is_set, value;
};

struct service_spec {
    struct span name;
    struct service_choice identity, shares_builds, auto_start, promote_when_baseline_gone;
};

/* Creates or changes a service. Answers: REGISTRY_INVALID, REGISTRY_FULL. */
int service_put(const struct registry *registry, const struct service_spec *spec, unix_msec wall,
                struct txn *txn, struct problem *problem) MUST_CHECK;

struct build_spec {
    struct span service, version, digest;
    const uint32_t *provides; /* none: the major of the version */
    unsigned n_provides;
    const struct span *grpc_services; /* added to those that it named before */
    unsigned n_grpc_services;
};

/* Announces a build; the same again changes nothing. Creates its service when it is new. Answers:
 * REGISTRY_INVALID, REGISTRY_FULL, REGISTRY_REFUSED when the build exists and provides something
 * else, or a gRPC service is served by another service. */
int build_put(const struct registry *registry, const struct build_spec *spec, unix_msec wall,
              struct txn *txn, struct problem *problem) MUST_CHECK;

struct instance_spec {
    struct span service, id, address, protocol;
    struct build_spec build; /* version empty: unversioned, 0.0.0 of contract @0; its service
                              * is this one's */
    nsec ttl;                /* 0, or from 1 s to 1 h */
    /* How long it is critical until it is taken away, from 1 s to 7 d: for want of heartbeats, or
     * when it sends none by its checks. 0: a minute for want of heartbeats, else never; NSEC_NEVER:
     * never. */
    nsec deregister_after;
    const struct instance_meta *meta;
    unsigned n_meta;
    struct health_check health;
    bool is_failing;  /* by checks of those who register it; counts where `health` is none */
    bool is_withheld; /* and because somebody wants it so: no panic uses it */
    bool keeps_owner; /* it is no sign of life: who owns it goes on to */
};

/* Registers, or replaces the instance of that id. One that drains goes on draining when it
 * registers with the same build and address; with others, or after it was deregistered, it is a
 * new copy that takes requests. Announces its build. The same again puts nothing on the log, so it moves no deadline: call
 * instance_heartbeat() after it. Answers: REGISTRY_INVALID, REGISTRY_REFUSED, REGISTRY_FULL. */
int instance_put(const struct registry *registry, const struct instance_spec *spec, unix_msec wall,
                 struct txn *txn, struct problem *problem) MUST_CHECK;

/* No new requests; those under way finish. Answers: REGISTRY_NOT_FOUND. */
int instance_drain(const struct registry *registry, struct span service, struct span id,
                   struct txn *txn) MUST_CHECK;

/* Its checks changed what they say. Answers: REGISTRY_NOT_FOUND, also when it is not checked. */
int instance_set_failing(const struct registry *registry, struct span service, struct span id,
                         bool is_failing, struct txn *txn) MUST_CHECK;

/* Answers: REGISTRY_NOT_FOUND. */
int instance_delete(const struct registry *registry, struct span service, struct span id,
                    struct txn *txn) MUST_CHECK;

/* Deletes a service without instances, and its builds; one with more than 512 builds is gone after
 * several calls. Answers: REGISTRY_NOT_FOUND, REGISTRY_REFUSED. */
int service_delete(const struct registry *registry, struct span service, struct txn *txn,
                   struct problem *problem) MUST_CHECK;

/* What a heartbeat that reached us changes of the record: the instance is ours, and heard of.
 * Answers: REGISTRY_NOT_FOUND. */
int instance_claim(const struct registry *registry, struct span service, struct span id,
                   struct txn *txn) MUST_CHECK;

/* Renews the deadline; no transaction. Answers: REGISTRY_NOT_FOUND: register again;
 * REGISTRY_TRANSITION. */
int instance_heartbeat(struct registry *registry, struct span service, struct span id, nsec now,
                       unix_msec wall) MUST_CHECK;

/* What its last check came to; NULL: it passed. Of what it means for its state the log knows. */
void instance_note_check(struct instance *instance, const char *why);

/* The instances whose deadline has passed go a step further, oldest first: at most half as many as
 * the transaction takes operations, and as it has room for. Returns how many. Each gets a second of
 * grace so that a retry finds it changed or renewed. */
size_t registry_expire(struct registry *registry, nsec now, struct txn *txn);

/* Gives every instance of ours all of its time from now on: nobody could be heard for a while. Who
 * is not heard in between gets it REGISTRY_FORGIVES times, so that who is dead goes in the end. */
#define REGISTRY_FORGIVES 3u
void registry_forgive(struct registry *registry, nsec now);

/* When registry_expire() has work next; NSEC_NEVER: never. */
nsec registry_next_deadline(const struct registry *registry);

/* Names: [a-z][a-z0-9-]*, at most SERVICE_NAME_MAX; for services and apps. */
bool service_name_is_valid(struct span name);
