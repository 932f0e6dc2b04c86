#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The version room: contracts, apps, releases, customers, pins, cohorts and BOMs, and the one
 * question it exists for: which versions is this customer served by?
 *
 * Like the registry it is a fold over the store ("version/") with commands that fill transactions.
 * From it, from the registry and from the rules of active rollouts an immutable snapshot is
 * compiled; resolving is a pure function of the snapshot and the customer, so every worker, every
 * hop and every `explain` gives the same answer.
 *
 * Resolution, for each app: a pin; else the first rule of an active rollout that the customer is
 * in and that moves this app; else the app's default release. For each service that a chosen
 * release requires: the highest active major that all of them accept. For each such contract, and
 * every other one a rule moves: the rule's build if the customer is in it and the build has a
 * ready instance; else the baseline, which the BOM does not list. A release whose requirements
 * cannot be met is replaced by that of the customer's previous BOM, then by the app's default, and
 * the trace says so; a BOM is never a partial combination.
 *
 * A customer is in a rule when the cohort holds and xxh3(salt, 0x1f, subject) mod 100000 is below
 * the rule's pct_milli: sticky, monotone in the share, independent between salts.
 *
 * Owns:     its records and snapshots. Threads: the room on the control loop; a snapshot may be
 *           read by any thread, and one bom_cache by one thread. Cost: resolve O(apps + rules).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/map.h"
#include "base/span.h"
#include "codec/semver.h"
#include "registry/registry.h"
#include "store/store.h"

#define VERSION_PREFIX "version/"
#define CUSTOMER_ID_MAX 128u
#define BOM_ID_SIZE 16u /* base32 of 80 bits */
#define PCT_ALL 100000u /* 100 % in thousandths of a percent */
#define RELEASE_REQUIRES_MAX 64u
#define RELEASE_ENTRIES_MAX 256u
#define RELEASE_FILES_MAX 10000u
#define APPS_MAX 256u
#define RULES_MAX 64u
#define RULE_MEMBERS_MAX 16u
#define BOMS_MAX 4096u

enum version_answer {
    VERSION_OK,
    VERSION_INVALID,
    VERSION_NOT_FOUND,
    VERSION_REFUSED, /* what exists contradicts it: a missing file, an offline contract … */
};

enum contract_state {
    CONTRACT_ACTIVE,
    CONTRACT_OFFLINE,
};

struct contract {
    struct map_node node; /* by "orders@3" */
    char *name;           /* "orders@3" */
    char *service;
    uint32_t major;
    enum contract_state state;
    char *baseline;  /* a build's version */
    char *successor; /* "orders@3", or empty */
    char *kind, *owner, *state_why;
    unix_msec created, state_changed;
    int64_t mod_revision;
    int64_t guard_revision; /* when somebody last came to depend on it; see contract_hold() */
};

struct requirement {
    char *service, *range_text;
    struct major_range range;
};

struct release_entry {
    char *name, *path, *integrity;
};

struct release_file {
    struct map_node node; /* by path */
    char *path, *sha256, *integrity, *content_type;
    uint64_t size;
    int64_t mod_revision;
};

struct release {
    struct map_node node; /* by version */
    struct app *app;
    char *version, *kind, *title;
    bool is_published; /* its manifest was accepted; before, only files were sent */
    struct requirement *requires;
    unsigned n_requires;
    struct release_entry *entries;
    unsigned n_entries;
    char **styles;
    unsigned n_styles;
    struct map files; /* struct release_file */
    unix_msec created;
    int64_t mod_revision;
};

struct app {
    struct map_node node; /* by name */
    char *name, *default_release;
    struct map releases;
    unix_msec created;
    int64_t mod_revision;
};

struct pin {
    struct map_node node; /* by app */
    char *app, *release, *why, *by;
    unix_msec expires, created;
    int64_t mod_revision;
};

struct customer {
    struct map_node node; /* by id */
    char *id;
    struct instance_meta *attributes;
    unsigned n_attributes;
    struct map pins;
    unix_msec created;
    int64_t mod_revision; /* 0: no record of its own, only pins */
};

struct version;

struct version *version_new(void);
struct version *version_free(struct version *version);
DEFINE_CLEANUP(struct version *, version_free);

int version_apply(struct version *version, const struct store_event *event) MUST_CHECK;

const struct map *version_contracts(const struct version *version);
const struct map *version_apps(const struct version *version);
const struct map *version_customers(const struct version *version);
const struct map *version_cohorts(const struct version *version); /* struct cohort */
struct contract *contract_find(const struct version *version, struct span service, uint32_t major);
struct app *app_find(const struct version *version, struct span name);
struct release *release_find(const struct app *app, struct span release);
struct customer *customer_find(const struct version *version, struct span id);

/* "orders@3" -> "orders", 3. False when it is no name of a contract. */
bool contract_name_parse(struct span name, struct span *ret_service, uint32_t *ret_major);

/* 1 to CUSTOMER_ID_MAX visible ASCII characters; a leading "~" is for those without a name. */
bool customer_id_is_valid(struct span id);

/* The major a service is served by when no BOM names it. False when it has none yet. */
bool service_default_contract(const struct version *version, struct span service,
                              uint32_t *ret_major);

/* --- cohorts: rules over customer attributes ---
 *
 *   tier == 'internal' && country in ['ch', 'at'] || !(plan != "free")
 *
 * An attribute a customer lacks equals ''. `id` is the customer's id. */

struct cohort {
    struct map_node node; /* by name */
    char *name, *expression;
    struct cohort_rule *rule;
    int64_t mod_revision;
};

/* Answers: VERSION_INVALID; the problem tells the position. */
int cohort_rule_parse(struct span expression, struct cohort_rule **ret_rule,
                      struct problem *problem) MUST_CHECK;
struct cohort_rule *cohort_rule_free(struct cohort_rule *rule);

/* `customer` may be NULL: then only `id` is known. */
bool cohort_rule_holds(const struct cohort_rule *rule, struct span id,
                       const struct customer *customer);

/* --- commands --- */

/* Makes the transaction rest on the record as it is now. */
void contract_expect(const struct contract *contract, struct txn *txn);
void app_expect(const struct app *app, struct txn *txn);

/* For decisions after which customers are served by the contract: expects it as it is, and holds it
 * against a verdict that was found without them. The contract's record does not change; a guard
 * beside it does, which taking it offline compares. Decisions that hold do not compare the guard,
 * so they never conflict with each other. */
void contract_hold(const struct contract *contract, struct txn *txn);

/* Called with every build that registers, in the same transaction (after build_put() or
 * instance_put()): creates contracts it is the first to provide, with it as the baseline, and the
 * service's default contract. A build whose contract exists waits. */
void version_observe_build(const struct version *version, const struct build_spec *build,
                           unix_msec wall, struct txn *txn);

/* Answers: VERSION_NOT_FOUND, VERSION_REFUSED (offline). */
int service_set_default(const struct version *version, struct span service, uint32_t major,
                        struct txn *txn, struct problem *problem) MUST_CHECK;

struct contract_spec {
    struct span service;
    uint32_t major;
    struct span kind, owner, successor; /* data NULL: as it is */
};
int contract_put(const struct version *version, const struct contract_spec *spec, unix_msec wall,
                 struct txn *txn, struct problem *problem) MUST_CHECK;

/* Makes a build that provides the contract its baseline. Answers: VERSION_NOT_FOUND,
 * VERSION_REFUSED. */
int contract_set_baseline(const struct version *version, const struct registry *registry,
                          struct span service, uint32_t major, struct span build, struct txn *txn,
                          struct problem *problem) MUST_CHECK;

/* Offline and back. The verdict whether it may go is usage's, and comes first; the transaction
 * rests on nobody having come to depend on the contract since. The successor, when none was named,
 * is the next higher active major. Answers: VERSION_NOT_FOUND,
 * VERSION_REFUSED (is so already). */
int contract_set_state(const struct version *version, struct span service, uint32_t major,
                       enum contract_state state, struct span why, unix_msec wall, struct txn *txn,
                       struct problem *problem) MUST_CHECK;

struct file_spec {
    struct span app, release, path, sha256, integrity, content_type;
    uint64_t size;
};

/* Records a file of a release that is not published yet; the same bytes again change nothing.
 * Answers: VERSION_INVALID, VERSION_REFUSED (published with other bytes). */
int release_file_put(const struct version *version, const struct file_spec *spec, struct txn *txn,
                     struct problem *problem) MUST_CHECK;

struct release_spec {
    struct span app, release, kind, title;
    struct {
        struct span service, range;
    } requires[RELEASE_REQUIRES_MAX];
    unsigned n_requires;
    struct {
        struct span name, path, integrity;
    } entries[RELEASE_ENTRIES_MAX];
    unsigned n_entries;
    struct span styles[RELEASE_ENTRIES_MAX];
    unsigned n_styles;
};

/* Publishes: the manifest is checked whole against the files; the first release of an app becomes
 * its default. Immutable after: the same again changes nothing, another is refused. Answers:
 * VERSION_INVALID, VERSION_REFUSED. */
int release_publish(const struct version *version, const struct release_spec *spec, unix_msec wall,
                    struct txn *txn, struct problem *problem) MUST_CHECK;

/* Whether customers can be moved to a release: it is published, and of every service it requires
 * there is a contract to route to. Holds those contracts. Answers: VERSION_NOT_FOUND,
 * VERSION_REFUSED. */
int release_hold(const struct version *version, struct span app, struct span release,
                 struct txn *txn, struct problem *problem) MUST_CHECK;

/* Answers: VERSION_NOT_FOUND, VERSION_REFUSED (needs a contract that is offline or unknown). */
int app_set_default(const struct version *version, struct span app, struct span release,
                    struct txn *txn, struct problem *problem) MUST_CHECK;

struct pin_spec {
    struct span customer, app, release, why, by;
    unix_msec expires; /* 0 = never */
};
int pin_put(const struct version *version, const struct pin_spec *spec, unix_msec wall,
            struct txn *txn, struct problem *problem) MUST_CHECK;
int pin_delete(const struct version *version, struct span customer, struct span app,
               struct txn *txn) MUST_CHECK;

int customer_put(const struct version *version, struct span id,
                 const struct instance_meta *attributes, unsigned n_attributes, unix_msec wall,
                 struct txn *txn, struct problem *problem) MUST_CHECK;
int customer_delete(const struct version *version, struct span id, struct txn *txn) MUST_CHECK;

int cohort_put(const struct version *version, struct span name, struct span expression,
               struct txn *txn, struct problem *problem) MUST_CHECK;
int cohort_delete(const struct version *version, struct span name, struct txn *txn) MUST_CHECK;

/* Keeps a BOM that a worker has assigned, so that every process and later hop knows its id. The
 * oldest go when BOMS_MAX is reached. */
void bom_keep(const struct version *version, struct span canonical_json, unix_msec wall,
              struct txn *txn);

/* --- rules: what the rollout room contributes --- */

enum rule_subject {
    SUBJECT_CUSTOMER,
    SUBJECT_DEVICE, /* the device id of the cookie, also for a customer who is known */
};

struct rule_member {
    bool is_release;   /* else a build */
    const char *owner; /* app or service */
    const char *version;
    uint32_t provides[BUILD_PROVIDES_MAX]; /* of a build: the majors it takes over */
    unsigned n_provides;
};

struct version_rule {
    const char *rollout; /* id */
    const char *salt;
    enum rule_subject subject;
    uint32_t pct_milli;
    const struct cohort_rule *cohort; /* NULL: everybody */
    struct rule_member members[RULE_MEMBERS_MAX];
    unsigned n_members;
};

/* Whether the subject is in the share; the cohort is not asked. A subject without a name is in no
 * share below 100 %: there is nothing to keep it in the same place by. */
bool rule_includes(const struct version_rule *rule, struct span subject);

/* --- the snapshot --- */

struct version_snapshot;

/* Compiles what is there now; everything is copied, or shared with the last one where no record of
 * it changed. Pins that expired at `wall` are left out. */
struct version_snapshot *version_snapshot_new(struct version *version,
                                              const struct registry *registry,
                                              const struct version_rule *rules, unsigned n_rules,
                                              unix_msec wall);
struct version_snapshot *version_snapshot_free(struct version_snapshot *snapshot);
DEFINE_CLEANUP(struct version_snapshot *, version_snapshot_free);

/* When a pin expires next: the snapshot must be made anew then. 0 = never. */
unix_msec version_next_expiry(const struct version *version, unix_msec wall);

/* Services, contracts and builds of a snapshot are numbered, so that the gateway can index its
 * own arrays by them. */
#define NO_INDEX UINT32_MAX

unsigned snapshot_n_services(const struct version_snapshot *snapshot);
unsigned snapshot_n_contracts(const struct version_snapshot *snapshot);
unsigned snapshot_n_builds(const struct version_snapshot *snapshot);
uint32_t snapshot_service(const struct version_snapshot *snapshot, struct span name);

struct snapshot_service {
    struct span name;
    uint32_t default_contract; /* index or NO_INDEX */
    bool is_identity, shares_builds;
};

struct snapshot_contract {
    struct span name; /* "orders@3" */
    uint32_t service, major;
    uint32_t baseline; /* build, or NO_INDEX */
    bool is_offline;
    struct span successor;
};

struct snapshot_build {
    struct span service, version;
};

const struct snapshot_service *snapshot_service_at(const struct version_snapshot *snapshot,
                                                   uint32_t index);
const struct snapshot_contract *snapshot_contract_at(const struct version_snapshot *snapshot,
                                                     uint32_t index);
const struct snapshot_build *snapshot_build_at(const struct version_snapshot *snapshot,
                                               uint32_t index);
uint32_t snapshot_contract(const struct version_snapshot *snapshot, uint32_t service,
                           uint32_t major);
uint32_t snapshot_build(const struct version_snapshot *snapshot, struct span service,
                        struct span version);

struct snapshot_release {
    struct span app, version, kind, title;
    const struct release_entry *entries;
    unsigned n_entries;
    char *const *styles;
    unsigned n_styles;
    const char *import_map; /* JSON, ready to inline */
};

/* Appends the address of a file of the release, as it stands in pages and import maps. */
void snapshot_put_file_url(struct buf *url, const struct snapshot_release *release,
                           struct span path);

/* NULL when unknown or not published. */
const struct snapshot_release *snapshot_release(const struct version_snapshot *snapshot,
                                                struct span app, struct span release);
const struct release_file *snapshot_file(const struct version_snapshot *snapshot, struct span app,
                                         struct span release, struct span path);

/* --- BOMs and resolving --- */

struct bom {
    char id[BOM_ID_SIZE + 1];
    struct span json; /* canonical: {"builds":{…},"contracts":{…},"releases":{…}} */
    bool is_kept;     /* the control loop knows it already */
    /* All below refer to the snapshot. */
    const struct snapshot_release **releases;
    unsigned n_releases;
    const uint32_t *contract_of; /* by service: contract index or NO_INDEX (then the default) */
    const struct bom_build {
        uint32_t contract, build;
    } * builds; /* what differs from the baseline */
    unsigned n_builds;
};

static inline struct span bom_id(const struct bom *bom)
{
    return (struct span){ bom->id, BOM_ID_SIZE };
}

/* The release of an app in a BOM, or NULL. */
const struct snapshot_release *bom_release(const struct bom *bom, struct span app);

/* The contract a service is reached by under this BOM, or NO_INDEX. */
uint32_t bom_contract(const struct version_snapshot *snapshot, const struct bom *bom,
                      uint32_t service);

/* The build that serves the contract under this BOM: its own or the baseline; NO_INDEX. */
uint32_t bom_build(const struct version_snapshot *snapshot, const struct bom *bom,
                   uint32_t contract);

/* BOMs of one snapshot as one thread has met them; made anew with every snapshot. */
struct bom_cache;
struct bom_cache *bom_cache_new(const struct version_snapshot *snapshot);
struct bom_cache *bom_cache_free(struct bom_cache *cache);

/* Why a customer gets what it gets (OFREP's words): the strongest that applied. */
enum resolve_reason {
    RESOLVE_DEFAULT,         /* default releases, baselines */
    RESOLVE_SPLIT,           /* a rollout's share */
    RESOLVE_TARGETING_MATCH, /* a cohort */
    RESOLVE_PIN,
    RESOLVE_FALLBACK, /* something could not be satisfied: the trace says what */
};

const char *resolve_reason_name(enum resolve_reason reason);

struct resolve_request {
    struct span customer;     /* id; of an anonymous one "~" and the device id */
    struct span device;       /* may be empty */
    struct span previous_bom; /* id; may be empty */
};

/* One sentence per rule looked at, for `explain`; only filled when asked for. */
#define RESOLVE_TRACE_MAX 128u
struct resolve_trace {
    struct {
        const char *rule;  /* pin, rollout, default, requirement, baseline, fallback */
        char subject[160]; /* the app, contract or rollout */
        char text[240];
    } steps[RESOLVE_TRACE_MAX];
    unsigned n_steps;
};

/* Never fails: without apps and rules the BOM is empty. The BOM lives as long as the cache. */
const struct bom *version_resolve(struct bom_cache *cache, const struct resolve_request *request,
                                  enum resolve_reason *ret_reason, struct resolve_trace *trace);

/* The BOM of that id, when this cache or the store knows it; else NULL. */
const struct bom *version_bom(struct bom_cache *cache, struct span id);

/* The BOM of requests that an open page causes: releases and contracts of the BOM the page was
 * served by, because its code was written for them, with the builds of `now`, so that a step or an
 * abort of a rollout holds for open pages too. */
const struct bom *version_bom_of_page(struct bom_cache *cache, const struct bom *page,
                                      const struct bom *now);

/* Every (app, release) that somebody can be served now: defaults, unexpired pins, rollouts. For
 * retirement: calls `each` with why, e.g. "pinned for acme until …". `customer` is empty unless a
 * pin. */
void snapshot_each_assignable(const struct version_snapshot *snapshot,
                              void (*each)(void *owner, const struct snapshot_release *release,
                                           struct span customer, const char *why),
                              void *owner);

/* Whether the release requires a range of `service` that resolves to `contract`. */
bool release_resolves_to(const struct version_snapshot *snapshot,
                         const struct snapshot_release *release, uint32_t contract);
