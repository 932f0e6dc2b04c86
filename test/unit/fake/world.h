#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A registry and a version room over the store in memory, with short words for what tests set up:
 *
 *   world_instance(&world, "orders", "3.15.0");
 *   world_publish(&world, "shop", "4.2.0", "orders 3, catalog 1");
 *   CHECK_STR(world_bom(&world, "acme"), "{…}");
 *
 * DO() runs a command, expects 0 and commits what it filled.
 */

#include "check.h"
#include "fake/store.h"
#include "registry/registry.h"
#include "version/version.h"

#define WORLD_WALL 1760000000000ll

struct world {
    struct fake_store store;
    struct registry *registry;
    struct version *version;
    struct txn txn;
    struct problem problem;
    unix_msec wall;
    unsigned n_instances;
    void (*also)(struct world *world, const struct store_event *event); /* rooms above */
    /* Of the last world_snapshot(). */
    struct version_snapshot *snapshot;
    struct bom_cache *cache;
    struct version_rule rules[RULES_MAX];
    unsigned n_rules;
};

#define DO(world, call)                                                                            \
    do {                                                                                           \
        CHECK_INT((call), 0);                                                                      \
        CHECK_INT(fake_commit(&(world)->store, &(world)->txn), 0);                                 \
    } while (0)

/* A command that is refused changes nothing. */
#define REFUSED(world, call, answer)                                                               \
    do {                                                                                           \
        (world)->problem = (struct problem){ 0 };                                                  \
        CHECK_INT((call), (answer));                                                               \
        txn_clear(&(world)->txn);                                                                  \
    } while (0)

static inline void world_on_event(struct fake_store *store, const struct store_event *event)
{
    struct world *world = container_of(store, struct world, store);
    CHECK_INT(registry_apply(world->registry, event, 0, world->wall), 0);
    CHECK_INT(version_apply(world->version, event), 0);
    if (world->also)
        world->also(world, event);
}

static inline void world_init(struct world *world)
{
    *world = (struct world){ .wall = WORLD_WALL };
    fake_store_init(&world->store, world_on_event);
    world->registry = registry_new();
    world->version = version_new();
}

static inline void world_forget_snapshot(struct world *world)
{
    world->cache = bom_cache_free(world->cache);
    world->snapshot = version_snapshot_free(world->snapshot);
}

static inline void world_fini(struct world *world)
{
    world_forget_snapshot(world);
    version_free(world->version);
    registry_free(world->registry);
    txn_fini(&world->txn);
    fake_store_fini(&world->store);
}

/* An instance of a build, ready at once. */
static inline void world_instance_of(struct world *world, const struct build_spec *build)
{
    char id[32];
    snprintf(id, sizeof(id), "i-%u", world->n_instances++);
    struct instance_spec spec = {
        .service = build->service,
        .id = span_of(id),
        .address = SPAN("127.0.0.1:9000"),
        .protocol = SPAN("http"),
        .build = *build,
    };
    CHECK_INT(instance_put(world->registry, &spec, world->wall, &world->txn, &world->problem), 0);
    version_observe_build(world->version, build, world->wall, &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
}

static inline void world_instance(struct world *world, const char *service, const char *version)
{
    struct build_spec build = { .service = span_of(service), .version = span_of(version) };
    world_instance_of(world, &build);
}

/* Removes every instance of a build. */
static inline void world_stop(struct world *world, const char *service, const char *version)
{
    struct service *owner = service_find(world->registry, span_of(service));
    map_each (node, &owner->instances) {
        struct instance *instance = container_of(node, struct instance, node);
        if (strcmp(instance->build->version, version) != 0)
            continue;
        CHECK_INT(
            instance_delete(world->registry, span_of(service), span_of(instance->id), &world->txn),
            0);
    }
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
}

static inline void world_file(struct world *world, const char *app, const char *release,
                              const char *path)
{
    struct file_spec file = {
        .app = span_of(app),
        .release = span_of(release),
        .path = span_of(path),
        .sha256 = SPAN("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        .integrity = SPAN("sha384-abc"),
        .content_type = SPAN("text/javascript"),
        .size = 3,
    };
    DO(world, release_file_put(world->version, &file, &world->txn, &world->problem));
}

/* `needs` is like "orders 3, catalog >=1 <3". */
static inline void world_manifest(struct release_spec *spec, const char *app, const char *release,
                                  const char *needs)
{
    *spec = (struct release_spec){
        .app = span_of(app), .release = span_of(release), .kind = SPAN("importmap"), .n_entries = 1
    };
    spec->entries[0].name = SPAN("@app/main");
    spec->entries[0].path = SPAN("main.js");
    struct span rest = span_of(needs);
    while (rest.size) {
        struct span range = span_trim(span_cut(&rest, ','));
        spec->requires[spec->n_requires].service = span_cut(&range, ' ');
        spec->requires[spec->n_requires++].range = range;
    }
}

static inline void world_publish(struct world *world, const char *app, const char *release,
                                 const char *needs)
{
    struct release_spec *spec = mem_new(struct release_spec);
    world_manifest(spec, app, release, needs);
    world_file(world, app, release, "main.js");
    DO(world, release_publish(world->version, spec, world->wall, &world->txn, &world->problem));
    free(spec);
}

static inline void world_pin(struct world *world, const char *customer, const char *app,
                             const char *release)
{
    struct pin_spec pin = { .customer = span_of(customer),
                            .app = span_of(app),
                            .release = span_of(release) };
    DO(world, pin_put(world->version, &pin, world->wall, &world->txn, &world->problem));
}

static inline void world_offline(struct world *world, const char *service, uint32_t major)
{
    DO(world, contract_set_state(world->version, span_of(service), major, CONTRACT_OFFLINE,
                                 SPAN("test"), world->wall, &world->txn, &world->problem));
}

/* Adds a rule that moves everybody in the share to a build (major of its version) or release. */
static inline struct version_rule *world_rule(struct world *world, const char *salt,
                                              uint32_t pct_milli)
{
    struct version_rule *rule = &world->rules[world->n_rules++];
    *rule = (struct version_rule){ .rollout = salt, .salt = salt, .pct_milli = pct_milli };
    return rule;
}

static inline void rule_build(struct version_rule *rule, const char *service, const char *version)
{
    struct semver semver;
    CHECK_INT(semver_parse(span_of(version), &semver), 0);
    rule->members[rule->n_members++] = (struct rule_member){
        .owner = service, .version = version, .provides = { semver.major }, .n_provides = 1
    };
}

static inline void rule_release(struct version_rule *rule, const char *app, const char *version)
{
    rule->members[rule->n_members++] =
        (struct rule_member){ .is_release = true, .owner = app, .version = version };
}

static inline void world_snapshot(struct world *world)
{
    world_forget_snapshot(world);
    world->snapshot = version_snapshot_new(world->version, world->registry, world->rules,
                                           world->n_rules, world->wall);
    world->cache = bom_cache_new(world->snapshot);
}

static inline const struct bom *world_resolve(struct world *world, const char *customer,
                                              enum resolve_reason *ret_reason)
{
    struct resolve_request request = { .customer = span_of(customer) };
    return version_resolve(world->cache, &request, ret_reason, NULL);
}

/* The customer's BOM as JSON, which its span ends with a NUL. */
static inline const char *world_bom(struct world *world, const char *customer)
{
    enum resolve_reason reason;
    return world_resolve(world, customer, &reason)->json.data;
}
