#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside the registry: its state, the keys and records of the store, and the checks that several
 * commands share.
 *
 * Threads: the control loop.
 */

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "registry/records.pb-c.h"
#include "registry/registry.h"

#define VISIBLE_MAX 64u /* how much of a bad value a problem quotes */

/* For printf with "%.*s": what is shown of a value that was refused. */
#define QUOTE(span) SPAN_ARG(span_first((span), VISIBLE_MAX))

struct registry {
    struct map services;   /* struct service by name */
    struct heap deadlines; /* of struct instance, as far as we own it */
    struct heap trusts;    /* of struct instance that is critical */
    struct map owners;     /* struct owner by id */
    char *self, *elected;  /* ids; empty */
    char *host;            /* ours; empty */
    bool is_elected;       /* to do what is nobody else's */
    unsigned panic_percent;
};

/* Keys live in the arena. */
struct span service_key(struct arena *arena, struct span service);
struct span build_key(struct arena *arena, struct span service, struct span version);
struct span instance_key(struct arena *arena, struct span service, struct span id);

/* The span with a NUL behind it, as records want their text. */
char *record_text(struct arena *arena, struct span text);

/* Only ASCII that prints, without spaces. */
bool text_is_visible(struct span text);

/* Writes the service's record as it is, or the first one; with what is pending in `txn`. */
void service_write(const struct registry *registry, struct span name, unix_msec wall,
                   struct txn *txn);

/* Expects the service as it is; creates it when it is new. Answers: REGISTRY_INVALID,
 * REGISTRY_FULL. */
int service_announce(const struct registry *registry, struct span name, unix_msec wall,
                     struct txn *txn, struct problem *problem) MUST_CHECK;

/* build_put() under the name that the caller's input has for the version. */
int build_announce(const struct registry *registry, const struct build_spec *spec,
                   const char *version_path, unix_msec wall, struct txn *txn,
                   struct problem *problem) MUST_CHECK;

/* Borrows from the instance; only what it points to is the arena's. */
Registry__InstanceRecord instance_record(const struct instance *instance, struct arena *arena);

/* How long the step that it is in lasts; NSEC_NEVER: it is the last. */
nsec instance_period(const struct instance *instance);

/* Lets its deadline run where it is ours, anew when `is_fresh`, and takes it away where not. */
void instance_plan(struct registry *registry, struct instance *instance, bool is_fresh, nsec now);

/* Trusts one that is critical now and was not, for REGISTRY_TRUST; while it is out of its build's
 * counts. */
void instance_trust(struct registry *registry, struct instance *instance, bool was_critical,
                    nsec now);

/* owner.c: the fold of their keys, and of who owns what. */
int owner_apply(struct registry *registry, struct span id, const struct store_event *event,
                nsec now) MUST_CHECK;
void elected_apply(struct registry *registry, const struct store_event *event);
/* Whether its heartbeats come here, unlike those of what is ours because nobody is there. */
bool instance_is_own(const struct registry *registry, const struct instance *instance);
/* An empty id: nobody. */
void instance_set_owner(struct registry *registry, struct instance *instance, struct span id);
void owners_free(struct registry *registry);

/* NULL for none. */
Registry__HealthCheck *health_record(const struct health_check *health, struct arena *arena);
struct health_check health_of_record(const Registry__HealthCheck *record, struct span target);

/* Answers: REGISTRY_INVALID, REGISTRY_REFUSED. */
int grpc_names_check(const struct registry *registry, const struct build_spec *spec,
                     struct problem *problem) MUST_CHECK;

/* Adds the names to the record; whether there were new ones. */
bool grpc_names_merge(const struct build_spec *spec, Registry__BuildRecord *record,
                      struct arena *arena);

void grpc_names_clear(struct build *build);

/* Whether all that must hold between calls does; for tests. */
bool registry_is_sound(const struct registry *registry);
