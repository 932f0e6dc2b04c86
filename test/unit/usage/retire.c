/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The shop's case: orders@2 is what shop 4.1.0 requires and orders@3 what shop 4.2.0 does; both
 * contracts have a build in service. Each test puts one thing in the way of orders@2.
 */

#include "check.h"
#include "fake/clock.h"
#include "fake/store.h"
#include "fake/usage.h"

#define DAY (86400 * NSEC_PER_SEC)
#define DAY_MSEC 86400000

static struct fake_store store;
static struct fake_clock fake_time;
static struct registry *registry;
static struct version *version;
static struct rollouts *rollouts;
static struct usage *usage;
static struct usage_table *table;
static struct txn txn;
static struct problem problem;

static void on_event(struct fake_store *self, const struct store_event *event)
{
    (void)self;
    CHECK_INT(registry_apply(registry, event, fake_time.now, fake_time.wall), 0);
    CHECK_INT(version_apply(version, event), 0);
    CHECK_INT(rollouts_apply(rollouts, event), 0);
    CHECK_INT(usage_apply(usage, event), 0);
}

/* A command that must succeed, and its commit. */
static void done(int answer)
{
    if (answer)
        printf("# %s %s\n", problem.path, problem.text);
    CHECK_INT(answer, 0);
    CHECK_INT(fake_commit(&store, &txn), 0);
}

static void register_build(const char *id, const char *build)
{
    struct instance_spec spec = {
        .service = SPAN("orders"),
        .id = span_of(id),
        .address = SPAN("10.0.0.7:8080"),
        .build = { .service = SPAN("orders"), .version = span_of(build) },
    };
    CHECK_INT(instance_put(registry, &spec, fake_time.wall, &txn, &problem), 0);
    version_observe_build(version, &spec.build, fake_time.wall, &txn);
    done(0);
}

static void publish(const char *release, const char *range)
{
    struct file_spec file = {
        .app = SPAN("shop"),
        .release = span_of(release),
        .path = SPAN("main.js"),
        .sha256 = SPAN("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        .integrity =
            SPAN("sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb"),
        .content_type = SPAN("text/javascript"),
        .size = 4,
    };
    done(release_file_put(version, &file, &txn, &problem));

    struct release_spec spec = { .app = SPAN("shop"),
                                 .release = span_of(release),
                                 .kind = SPAN("importmap") };
    spec.requires[0].service = SPAN("orders");
    spec.requires[0].range = span_of(range);
    spec.n_requires = 1;
    spec.entries[0].name = SPAN("@shop/main");
    spec.entries[0].path = SPAN("main.js");
    spec.n_entries = 1;
    done(release_publish(version, &spec, fake_time.wall, &txn, &problem));
}

static void pin(const char *customer, const char *release, unix_msec expires)
{
    struct pin_spec spec = {
        .customer = span_of(customer),
        .app = SPAN("shop"),
        .release = span_of(release),
        .why = SPAN("contract"),
        .by = SPAN("op"),
        .expires = expires,
    };
    done(pin_put(version, &spec, fake_time.wall, &txn, &problem));
}

static void set_up(void)
{
    fake_clock_init(&fake_time);
    fake_store_init(&store, on_event);
    registry = registry_new();
    version = version_new();
    rollouts = rollouts_new();
    usage = usage_new();
    table = usage_table_new();

    register_build("two", "2.9.0");
    register_build("three", "3.14.2");
    publish("4.1.0", "2");
    publish("4.2.0", "3");
    done(app_set_default(version, SPAN("shop"), SPAN("4.2.0"), &txn, &problem));
    done(service_set_default(version, SPAN("orders"), 3, &txn, &problem));
}

static void tear_down(void)
{
    txn_fini(&txn);
    usage_table_free(table);
    usage_free(usage);
    rollouts_free(rollouts);
    version_free(version);
    registry_free(registry);
    fake_store_fini(&store);
}

/* The verdict on orders@2 with a window of 45 days. */
static struct retire_verdict judge(void)
{
    fake_merge(usage, table);
    const struct version_rule *rules = NULL;
    unsigned n_rules = rollouts_rules(rollouts, version, &rules);
    CLEANUP(version_snapshot_freep)
    struct version_snapshot *snapshot =
        version_snapshot_new(version, registry, rules, n_rules, fake_time.wall);
    struct retire_context context = {
        .usage = usage,
        .registry = registry,
        .snapshot = snapshot,
        .rollouts = rollouts,
        .window = 45 * DAY,
        .wall = fake_time.wall,
    };
    uint32_t service = snapshot_service(snapshot, SPAN("orders"));
    return usage_can_retire(&context, snapshot_contract(snapshot, service, 2));
}

/* One blocker, of this kind and with this text. */
static struct retire_verdict judge_one(enum blocker_kind kind, const char *text)
{
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 1);
    CHECK_STR(blocker_kind_name(verdict.blockers[0].kind), blocker_kind_name(kind));
    CHECK_STR(verdict.blockers[0].text, text);
    return verdict;
}

TEST(nothing_in_the_way_is_a_verdict_without_blockers)
{
    set_up();
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 0);
    CHECK_INT(verdict.safe_after, 0);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(the_default_contract_stays)
{
    set_up();
    done(service_set_default(version, SPAN("orders"), 2, &txn, &problem));
    struct retire_verdict verdict =
        judge_one(BLOCKER_DEFAULT_CONTRACT,
                  "orders@2 is the default contract of orders and serves whoever names no "
                  "version: make another contract the default");
    CHECK_STR(verdict.blockers[0].customer, "");
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(a_pinned_release_blocks_until_the_pin_moves)
{
    set_up();
    pin("acme", "4.1.0", 1796083200000);
    struct retire_verdict verdict =
        judge_one(BLOCKER_RELEASE,
                  "shop 4.1.0, which requires orders@2, is pinned for acme until "
                  "2026-12-01T00:00:00Z: move the pin of acme");
    CHECK_STR(verdict.blockers[0].app, "shop");
    CHECK_STR(verdict.blockers[0].release, "4.1.0");
    CHECK_STR(verdict.blockers[0].customer, "acme");
    retire_verdict_free(&verdict);

    pin("acme", "4.2.0", 0);
    verdict = judge();
    CHECK_INT(verdict.n_blockers, 0);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(an_expired_pin_does_not_block)
{
    set_up();
    pin("acme", "4.1.0", fake_time.wall + 1000);
    fake_clock_advance(&fake_time, 2 * NSEC_PER_SEC);
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 0);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(a_default_release_blocks)
{
    set_up();
    done(app_set_default(version, SPAN("shop"), SPAN("4.1.0"), &txn, &problem));
    struct retire_verdict verdict =
        judge_one(BLOCKER_RELEASE,
                  "shop 4.1.0, which requires orders@2, is the default of shop: move its "
                  "customers to a release that does not require it");
    CHECK_STR(verdict.blockers[0].customer, "");
    retire_verdict_free(&verdict);
    tear_down();
}

static struct rollout_context rollout_context(void)
{
    return (struct rollout_context){
        .rollouts = rollouts, .version = version, .registry = registry, .wall = fake_time.wall
    };
}

TEST(an_active_rollout_of_the_contract_blocks)
{
    char id[ROLLOUT_ID_SIZE + 1], want[160];
    set_up();
    register_build("two-b", "2.10.0");
    struct rollout_spec spec = { .by = SPAN("op") };
    spec.members[0].owner = SPAN("orders");
    spec.members[0].version = SPAN("2.10.0");
    spec.n_members = 1;
    struct rollout_context context = rollout_context();
    done(rollout_start(&context, &spec, &txn, id, &problem));

    snprintf(want, sizeof(want),
             "rollout %s moves orders@2 to build 2.10.0 and is running: promote or abort it", id);
    struct retire_verdict verdict = judge_one(BLOCKER_ROLLOUT, want);
    retire_verdict_free(&verdict);

    context = rollout_context();
    done(
        rollout_change(&context, span_of(id), ROLLOUT_ABORT, SPAN("op"), SPAN(""), &txn, &problem));
    verdict = judge();
    CHECK_INT(verdict.n_blockers, 0);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(a_rollout_of_a_release_blocks_what_it_requires)
{
    char id[ROLLOUT_ID_SIZE + 1], want[200];
    set_up();
    publish("4.1.1", "2");
    struct rollout_spec spec = { .by = SPAN("op") };
    spec.members[0].is_release = true;
    spec.members[0].owner = SPAN("shop");
    spec.members[0].version = SPAN("4.1.1");
    spec.n_members = 1;
    struct rollout_context context = rollout_context();
    done(rollout_start(&context, &spec, &txn, id, &problem));

    snprintf(want, sizeof(want),
             "shop 4.1.1, which requires orders@2, is moved to by rollout %s: move its customers "
             "to a release that does not require it",
             id);
    struct retire_verdict verdict = judge_one(BLOCKER_RELEASE, want);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(use_within_the_window_blocks_and_names_who)
{
    set_up();
    for (unsigned i = 0; i < 31; i++)
        fake_use(table, "orders@2", "4.1.0", "acme", NULL, fake_time.wall - DAY_MSEC);
    fake_use(table, "orders@3", "4.2.0", "globex", NULL, fake_time.wall);
    struct retire_verdict verdict =
        judge_one(BLOCKER_USED,
                  "acme used orders@2 through shop 4.1.0, 31 times, last at "
                  "2026-11-19T08:00:00Z: see that no page of shop 4.1.0 is open; "
                  "unused, this stops blocking at 2027-01-03T08:00:00Z");
    const struct blocker *blocker = &verdict.blockers[0];
    CHECK_STR(blocker->customer, "acme");
    CHECK_STR(blocker->release, "4.1.0");
    CHECK_INT(blocker->n, 31);
    CHECK_INT(blocker->last, fake_time.wall - DAY_MSEC);
    CHECK_INT(verdict.safe_after, fake_time.wall + 44 * (unix_msec)DAY_MSEC);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(use_leaves_the_window_at_its_end)
{
    set_up();
    fake_use(table, "orders@2", NULL, NULL, "cron", fake_time.wall - 45 * (unix_msec)DAY_MSEC + 1);
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 1);
    CHECK_INT(verdict.safe_after, fake_time.wall + 1);
    retire_verdict_free(&verdict);

    fake_clock_advance(&fake_time, NSEC_PER_MSEC);
    verdict = judge();
    CHECK_INT(verdict.n_blockers, 0);
    CHECK_INT(verdict.safe_after, 0);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(every_kind_of_user_is_named_as_well_as_it_is_known)
{
    static const struct {
        const char *customer, *release, *caller, *text;
    } rows[] = {
        { NULL, NULL, NULL,
          "somebody unnamed used orders@2, 1 time, last at 2026-11-20T08:00:00Z: find the caller, "
          "which sends no Sarsen-Caller; unused, this stops blocking at 2027-01-04T08:00:00Z" },
        { NULL, NULL, "cron",
          "somebody unnamed used orders@2, called by cron, 1 time, last at 2026-11-20T08:00:00Z: "
          "move cron to another contract; unused, this stops blocking at 2027-01-04T08:00:00Z" },
        { "~b7k2qa", "4.1.0", "storefront",
          "anonymous visitors used orders@2 through shop 4.1.0, called by storefront, 1 time, last "
          "at 2026-11-20T08:00:00Z: see that no page of shop 4.1.0 is open; unused, this stops "
          "blocking at 2027-01-04T08:00:00Z" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up();
        fake_use(table, "orders@2", rows[i].release, rows[i].customer, rows[i].caller,
                 fake_time.wall);
        struct retire_verdict verdict = judge_one(BLOCKER_USED, rows[i].text);
        retire_verdict_free(&verdict);
        tear_down();
    }
}

TEST(users_that_could_not_be_named_block)
{
    set_up();
    char customer[32];
    for (unsigned i = 0; i < USAGE_KEYS_MAX; i++) {
        snprintf(customer, sizeof(customer), "customer-%u", i);
        fake_use(table, "orders@3", "4.2.0", customer, NULL, fake_time.wall);
    }
    fake_use(table, "orders@2", NULL, "acme", "cron", fake_time.wall);
    fake_use(table, "orders@2", NULL, "globex", "cron", fake_time.wall);
    struct retire_verdict verdict =
        judge_one(BLOCKER_UNKNOWN,
                  "customers that no room was left to name used orders@2, 2 times, last at "
                  "2026-11-20T08:00:00Z: find them in the access log; unused, this stops "
                  "blocking at 2027-01-04T08:00:00Z");
    CHECK_STR(verdict.blockers[0].customer, "~other");
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(all_that_blocks_is_listed_declared_before_observed)
{
    set_up();
    done(service_set_default(version, SPAN("orders"), 2, &txn, &problem));
    pin("acme", "4.1.0", 0);
    fake_use(table, "orders@2", "4.1.0", "acme", NULL, fake_time.wall);
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 3);
    CHECK_INT(verdict.blockers[0].kind, BLOCKER_DEFAULT_CONTRACT);
    CHECK_INT(verdict.blockers[1].kind, BLOCKER_RELEASE);
    CHECK_INT(verdict.blockers[2].kind, BLOCKER_USED);
    retire_verdict_free(&verdict);
    tear_down();
}

TEST(of_very_many_the_newest_are_named_and_the_rest_counted)
{
    set_up();
    char customer[32];
    for (unsigned i = 0; i < 250; i++) {
        snprintf(customer, sizeof(customer), "customer-%u", i);
        fake_use(table, "orders@2", "4.1.0", customer, NULL, fake_time.wall - i);
    }
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 101);
    CHECK_STR(verdict.blockers[0].customer, "customer-0");
    CHECK_STR(verdict.blockers[99].customer, "customer-99");
    CHECK_STR(verdict.blockers[100].text, "150 more customers and callers used orders@2");
    CHECK_STR(verdict.blockers[100].customer, "");
    CHECK_INT(verdict.safe_after, fake_time.wall + 45 * (unix_msec)DAY_MSEC);
    retire_verdict_free(&verdict);
    tear_down();
}

/* --- at other members --- */

static void tell(struct usage *member, unix_msec wall)
{
    usage_share(member, 45 * DAY, wall, false, &txn);
    CHECK_INT(fake_commit(&store, &txn), 0);
}

TEST(use_at_another_member_blocks_and_names_it)
{
    set_up();
    struct usage *other = usage_new();
    usage_set_self(usage, SPAN("aaa"), SPAN("web-1"));
    usage_set_self(other, SPAN("bbb"), SPAN("web-2"));
    fake_use(table, "orders@2", NULL, "acme", NULL, fake_time.wall - DAY_MSEC);
    fake_merge(other, table);
    tell(other, fake_time.wall);
    struct retire_verdict verdict = judge_one(
        BLOCKER_ELSEWHERE,
        "orders@2 was used at the member bbb on web-2, last at 2026-11-19T08:00:00Z: that member "
        "is gone, and the ledger that tells by whom is in its data directory; unused, this stops "
        "blocking at 2027-01-03T08:05:00Z");
    CHECK_STR(verdict.blockers[0].member, "bbb");
    CHECK_INT(verdict.safe_after, fake_time.wall + 44 * (unix_msec)DAY_MSEC + 300000);
    retire_verdict_free(&verdict);

    /* One that is there is asked at its address. */
    struct store_lease lease = { .id = 1 };
    registry_set_self(registry, SPAN("bbb"));
    owner_put(registry, SPAN("web-2"), SPAN("http://10.0.0.2:7000"), fake_time.wall, &lease, &txn);
    CHECK_INT(fake_commit(&store, &txn), 0);
    verdict = judge_one(BLOCKER_ELSEWHERE,
                        "orders@2 was used at the member bbb on web-2, last at "
                        "2026-11-19T08:00:00Z: `sarsen usage orders@2 --address "
                        "http://10.0.0.2:7000` tells by whom; unused, this stops blocking at "
                        "2027-01-03T08:05:00Z");
    retire_verdict_free(&verdict);

    /* At an address that only its own host has it is asked there. */
    owner_put(registry, SPAN("web-2"), SPAN("https://[::1]:7000"), fake_time.wall, &lease, &txn);
    CHECK_INT(fake_commit(&store, &txn), 0);
    registry_set_self(registry, SPAN("aaa"));
    verdict = judge_one(BLOCKER_ELSEWHERE,
                        "orders@2 was used at the member bbb on web-2, last at "
                        "2026-11-19T08:00:00Z: `sarsen usage orders@2` at host web-2 tells by "
                        "whom; unused, this stops blocking at 2027-01-03T08:05:00Z");
    retire_verdict_free(&verdict);

    /* A key may be five minutes behind, so it counts for so much longer. */
    fake_clock_advance(&fake_time, 44 * DAY + 300 * NSEC_PER_SEC - NSEC_PER_MSEC);
    verdict = judge();
    CHECK_INT(verdict.n_blockers, 1);
    retire_verdict_free(&verdict);
    fake_clock_advance(&fake_time, NSEC_PER_MSEC);
    verdict = judge();
    CHECK_INT(verdict.n_blockers, 0);
    retire_verdict_free(&verdict);
    usage_free(other);
    tear_down();
}

TEST(what_was_told_by_ourselves_does_not_block_twice)
{
    set_up();
    usage_set_self(usage, SPAN("aaa"), SPAN("web-1"));
    fake_use(table, "orders@2", NULL, "acme", NULL, fake_time.wall);
    fake_merge(usage, table);
    tell(usage, fake_time.wall);
    struct retire_verdict verdict = judge();
    CHECK_INT(verdict.n_blockers, 1);
    CHECK_STR(blocker_kind_name(verdict.blockers[0].kind), "used");
    retire_verdict_free(&verdict);
    tear_down();
}
