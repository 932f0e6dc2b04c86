#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A registry over the store in memory and a clock that stands, and commands in one line each.
 */

#include "check.h"
#include "fake/clock.h"
#include "fake/store.h"
#include "registry/registry.h"

struct fake_registry {
    struct fake_store store;
    struct fake_clock clock;
    struct registry *registry;
    struct txn txn;
    struct problem problem;
};

static inline void fake_registry_on_event(struct fake_store *store, const struct store_event *event)
{
    struct fake_registry *fake = container_of(store, struct fake_registry, store);
    CHECK_INT(registry_apply(fake->registry, event, fake->clock.now, fake->clock.wall), 0);
}

static inline void fake_registry_init(struct fake_registry *fake)
{
    *fake = (struct fake_registry){ .registry = registry_new() };
    fake_store_init(&fake->store, fake_registry_on_event);
    fake_clock_init(&fake->clock);
}

static inline void fake_registry_fini(struct fake_registry *fake)
{
    txn_fini(&fake->txn);
    registry_free(fake->registry);
    fake_store_fini(&fake->store);
}

/* Commits what the command collected, or drops it when the command answered. */
static inline int fake_registry_end(struct fake_registry *fake, int answer)
{
    if (answer) {
        txn_clear(&fake->txn);
    } else {
        CHECK_INT(fake_commit(&fake->store, &fake->txn), 0);
    }
    return answer;
}

static inline int fake_instance_put(struct fake_registry *fake, const struct instance_spec *spec)
{
    fake->problem = (struct problem){ 0 };
    return fake_registry_end(
        fake, instance_put(fake->registry, spec, fake->clock.wall, &fake->txn, &fake->problem));
}

/* An instance with a TTL of 10 s. */
static inline struct instance_spec fake_instance(const char *service, const char *id,
                                                 const char *build)
{
    return (struct instance_spec){
        .service = span_of(service),
        .id = span_of(id),
        .address = SPAN("10.0.0.7:8080"),
        .build = { .version = span_of(build) },
        .ttl = 10 * NSEC_PER_SEC,
    };
}

static inline void fake_register(struct fake_registry *fake, const char *service, const char *id,
                                 const char *build)
{
    struct instance_spec spec = fake_instance(service, id, build);
    CHECK_INT(fake_instance_put(fake, &spec), 0);
}

static inline int fake_build_put(struct fake_registry *fake, const struct build_spec *spec)
{
    fake->problem = (struct problem){ 0 };
    return fake_registry_end(
        fake, build_put(fake->registry, spec, fake->clock.wall, &fake->txn, &fake->problem));
}

static inline int fake_service_put(struct fake_registry *fake, const char *name)
{
    struct service_spec spec = { .name = span_of(name) };
    fake->problem = (struct problem){ 0 };
    return fake_registry_end(
        fake, service_put(fake->registry, &spec, fake->clock.wall, &fake->txn, &fake->problem));
}

static inline struct instance *fake_instance_find(const struct fake_registry *fake,
                                                  const char *service, const char *id)
{
    const struct service *found = service_find(fake->registry, span_of(service));
    return found ? instance_find(found, span_of(id)) : NULL;
}

static inline struct build *fake_build_find(const struct fake_registry *fake, const char *service,
                                            const char *version)
{
    const struct service *found = service_find(fake->registry, span_of(service));
    return found ? build_find(found, span_of(version)) : NULL;
}
