/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two members and a store between them: what each has seen, the other learns.
 */

#include "usage/shared.h"

#include "check.h"
#include "fake/store.h"
#include "fake/usage.h"

#define DAY (86400 * NSEC_PER_SEC)
#define WINDOW (45 * DAY)
#define WALL 1795161600000
#define MINUTE 60000

static struct fake_store store;
static struct usage *here, *there;
static struct usage_table *table;
static struct txn txn;

static void on_event(struct fake_store *self, const struct store_event *event)
{
    (void)self;
    CHECK_INT(usage_apply(here, event), 0);
    CHECK_INT(usage_apply(there, event), 0);
}

static void set_up(void)
{
    fake_store_init(&store, on_event);
    here = usage_new();
    there = usage_new();
    table = usage_table_new();
    usage_set_self(here, SPAN("aaa"), SPAN("web-1"));
    usage_set_self(there, SPAN("bbb"), SPAN("web-2"));
}

static void tear_down(void)
{
    usage_table_free(table);
    usage_free(here);
    usage_free(there);
    fake_store_fini(&store);
}

static void use(struct usage *usage, const char *contract, unix_msec at)
{
    fake_use(table, contract, NULL, "acme", NULL, at);
    fake_merge(usage, table);
}

/* How many keys it changes. */
static size_t share(struct usage *usage, unix_msec wall, bool of_all)
{
    usage_share(usage, WINDOW, wall, of_all, &txn);
    size_t n = txn.n_ops;
    CHECK_INT(fake_commit(&store, &txn), 0);
    return n;
}

static const struct usage_last *last_of(const struct usage *usage, const char *key)
{
    return map_find_as(usage_lasts(usage), span_of(key), struct usage_last, node);
}

TEST(who_is_alone_shares_nothing)
{
    set_up();
    usage_set_self(here, SPAN(""), SPAN("web-1"));
    use(here, "orders@2", WALL);
    CHECK_INT(share(here, WALL, true), 0);
    CHECK(!usage_self(here));
    tear_down();
}

TEST(a_first_use_is_told_at_once)
{
    set_up();
    CHECK_INT(share(there, WALL, false), 0);
    use(there, "orders@2", WALL - 10);
    CHECK_INT(share(there, WALL, false), 1);
    const struct usage_last *last = last_of(here, "bbb/orders@2");
    CHECK(last);
    CHECK_STR(last->member, "bbb");
    CHECK_STR(last->contract, "orders@2");
    CHECK_STR(last->host, "web-2");
    CHECK_INT(last->last, WALL - 10);
    CHECK(!last_of(here, "aaa/orders@2"));
    tear_down();
}

TEST(what_goes_on_is_told_every_five_minutes)
{
    set_up();
    use(there, "orders@2", WALL);
    CHECK_INT(share(there, WALL, false), 1);
    for (unix_msec at = WALL + MINUTE; at < WALL + 5 * MINUTE; at += MINUTE) {
        use(there, "orders@2", at);
        CHECK_INT(share(there, at, false), 0);
    }
    use(there, "orders@2", WALL + 5 * MINUTE);
    CHECK_INT(share(there, WALL + 5 * MINUTE, false), 1);
    CHECK_INT(last_of(here, "bbb/orders@2")->last, WALL + 5 * MINUTE);
    tear_down();
}

TEST(what_was_loaded_from_the_ledger_is_told_too)
{
    set_up();
    const struct ledger_cell cells[] = {
        { .text = SPAN("orders@1") },
        { .text = SPAN("1.0.0") },
        { .text = SPAN("") },
        { .text = SPAN("") },
        { .text = SPAN("acme") },
        { .text = SPAN("") },
        { .number = 3 },
        { .number = 0 },
        { .number = 1 },
        { .number = WALL - MINUTE },
        { .number = WALL },
    };
    usage_load(there, cells, 1);
    CHECK_INT(share(there, WALL + MINUTE, false), 1);
    CHECK_INT(last_of(here, "bbb/orders@1")->last, WALL);
    tear_down();
}

TEST(what_is_older_than_the_window_is_neither_told_nor_kept)
{
    unix_msec later = WALL + (unix_msec)(WINDOW / NSEC_PER_MSEC) + 6 * MINUTE;
    set_up();
    use(there, "orders@2", WALL);
    CHECK_INT(share(there, WALL, false), 1);
    /* It is gone: only who does for all what one must do removes it. */
    CHECK_INT(share(here, later, false), 0);
    CHECK(last_of(here, "bbb/orders@2"));
    CHECK_INT(share(here, later, true), 1);
    CHECK(!last_of(here, "bbb/orders@2"));
    CHECK_INT(share(there, later, true), 0);
    tear_down();
}

TEST(many_contracts_are_told_in_parts)
{
    set_up();
    for (unsigned i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof(name), "s%u@1", i);
        use(there, name, WALL);
    }
    txn.ops_max = 126;
    CHECK_INT(share(there, WALL, false), 126);
    txn.ops_max = 126;
    CHECK_INT(share(there, WALL, false), 126);
    txn.ops_max = 126;
    CHECK_INT(share(there, WALL, false), 48);
    CHECK_INT(share(there, WALL, false), 0);
    txn.ops_max = 0;
    tear_down();
}

TEST(a_record_that_cannot_be_read_is_a_fault)
{
    set_up();
    struct store_event event = {
        .kind = TXN_PUT,
        .entry = { .key = SPAN("usage/last/bbb/orders@2"), .value = SPAN("\xff\xff") },
    };
    CHECK(usage_apply(here, &event) < 0);
    tear_down();
}
