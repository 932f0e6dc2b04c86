/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "store/store.h"

TEST(a_later_operation_replaces_the_earlier_one)
{
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("a"), SPAN("1"));
    txn_put(&txn, SPAN("b"), SPAN("2"));
    txn_put(&txn, SPAN("a"), SPAN("3"));
    CHECK_INT(txn.n_ops, 2);
    CHECK(span_is(txn.ops[0].value, "3"));
    txn_delete(&txn, SPAN("a"));
    CHECK_INT(txn.n_ops, 2);
    CHECK_INT(txn.ops[0].kind, TXN_DELETE);
    txn_put(&txn, SPAN("a"), SPAN("4"));
    CHECK_INT(txn.ops[0].kind, TXN_PUT);
    txn_fini(&txn);
}

TEST(pending_is_what_this_transaction_puts)
{
    struct txn txn = { 0 };
    CHECK(!txn_pending(&txn, SPAN("a")).data);
    txn_put(&txn, SPAN("a"), SPAN(""));
    CHECK(txn_pending(&txn, SPAN("a")).data);
    txn_put(&txn, SPAN("a"), SPAN("1"));
    CHECK(span_is(txn_pending(&txn, SPAN("a")), "1"));
    txn_delete(&txn, SPAN("a"));
    CHECK(!txn_pending(&txn, SPAN("a")).data);
    txn_fini(&txn);
}

TEST(bytes_are_copied)
{
    char key[] = "key", value[] = "value";
    struct txn txn = { 0 };
    txn_expect(&txn, span_of(key), 7);
    txn_put(&txn, span_of(key), span_of(value));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    CHECK(span_is(txn.compares[0].key, "key"));
    CHECK_INT(txn.compares[0].mod_revision, 7);
    CHECK(span_is(txn.ops[0].key, "key"));
    CHECK(span_is(txn.ops[0].value, "value"));
    txn_fini(&txn);
}

TEST(a_cleared_transaction_can_be_filled_again)
{
    struct txn txn = { 0 };
    txn_expect(&txn, SPAN("a"), 1);
    txn_put(&txn, SPAN("a"), SPAN("1"));
    txn_clear(&txn);
    CHECK_INT(txn.n_ops + txn.n_compares, 0);
    txn_put(&txn, SPAN("b"), SPAN("2"));
    CHECK_INT(txn.n_ops, 1);
    txn_fini(&txn);
    txn_fini(&txn);
}
