/* SPDX-License-Identifier: Apache-2.0 */

#include "auth/auth.h"

#include "check.h"
#include "fake/store.h"

#define NOW ((unix_msec)1000000)
#define SECRET SPAN("s3cret-s3cret-s3cret")

static struct auth *auth;
static struct fake_store store;
static struct problem problem;

static void on_event(struct fake_store *self, const struct store_event *event)
{
    (void)self;
    CHECK_INT(auth_apply(auth, event), 0);
}

static void set_up(void)
{
    auth = auth_new();
    fake_store_init(&store, on_event);
    problem = (struct problem){ 0 };
}

static void tear_down(void)
{
    fake_store_fini(&store);
    auth_free(auth);
}

static int create(const char *name, struct span text, bool is_read_only, unix_msec expires)
{
    struct txn txn = { 0 };
    struct token_spec spec = { span_of(name), text, is_read_only, expires };
    int r = token_create(auth, &spec, NOW, &txn, &problem);
    if (!r)
        CHECK_INT(fake_commit(&store, &txn), 0);
    txn_fini(&txn);
    return r;
}

static int take_back(const char *name)
{
    struct txn txn = { 0 };
    int r = token_revoke(auth, span_of(name), &txn, &problem);
    if (!r)
        CHECK_INT(fake_commit(&store, &txn), 0);
    txn_fini(&txn);
    return r;
}

TEST(a_token_is_found_by_its_text_until_it_is_revoked)
{
    set_up();
    CHECK_INT(create("ci", SECRET, true, 0), 0);
    CHECK_INT(create("ops", SPAN("another-another-another"), false, 0), 0);
    const struct token *token = token_check(auth, SECRET, NOW);
    CHECK(token);
    CHECK_STR(token->name, "ci");
    CHECK(token->is_read_only);
    CHECK(!token_check(auth, SPAN("another-another-another"), NOW)->is_read_only);
    CHECK(!token_check(auth, SPAN("s3cret-s3cret-s3cre"), NOW));
    CHECK(!token_check(auth, SPAN_NULL, NOW));

    CHECK_INT(take_back("ci"), 0);
    CHECK(!token_check(auth, SECRET, NOW));
    CHECK_INT(take_back("ci"), AUTH_NOT_FOUND);
    tear_down();
}

TEST(a_token_ends_when_it_says)
{
    set_up();
    CHECK_INT(create("ci", SECRET, false, NOW + 10), 0);
    CHECK(token_check(auth, SECRET, NOW + 9));
    CHECK(!token_check(auth, SECRET, NOW + 10));
    CHECK_INT(create("old", SECRET, false, NOW), AUTH_INVALID);
    CHECK_STR(problem.path, "expires");
    tear_down();
}

TEST(a_name_is_used_once_and_is_a_word)
{
    static const char *const bad[] = { "", "CI", "1a", "-a", "a b", "a/b", "\xc3\xb6" };
    set_up();
    CHECK_INT(create("ci", SECRET, false, 0), 0);
    CHECK_INT(create("ci", SECRET, false, 0), AUTH_EXISTS);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(create(bad[i], SECRET, false, 0), AUTH_INVALID);
    CHECK_STR(problem.path, "name");
    tear_down();
}

TEST(the_text_is_nowhere_in_the_record)
{
    struct txn txn = { 0 };
    struct token_spec spec = { SPAN("ci"), SECRET, false, 0 };
    set_up();
    CHECK_INT(token_create(auth, &spec, NOW, &txn, &problem), 0);
    CHECK_INT(txn.n_ops, 1);
    CHECK(!memmem(txn.ops[0].value.data, txn.ops[0].value.size, SECRET.data, SECRET.size));
    txn_fini(&txn);
    tear_down();
}

TEST(a_damaged_record_is_a_fault_and_left_out)
{
    set_up();
    struct store_event event = {
        .kind = TXN_PUT,
        .entry = { .key = SPAN("auth/token/ci"),
                   .value = SPAN("\x0a\x03"
                                 "abc") },
    };
    CHECK(auth_apply(auth, &event) < 0);
    CHECK_INT(auth_tokens(auth)->n_nodes, 0);
    tear_down();
}
