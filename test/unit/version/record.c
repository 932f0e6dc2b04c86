/* SPDX-License-Identifier: Apache-2.0 */

#include "version/record.h"

#include "check.h"

TEST(what_is_put_is_what_is_decoded)
{
    struct txn txn = { 0 };
    Version__PinRecord record;
    version__pin_record__init(&record);
    record.release = version_text(&txn, SPAN("4.1.0"));
    record.expires = 1234567890123;
    version_record_put(&txn, version_key(&txn, "version/pin/%s/%s", "acme", "shop"), &record.base);

    CHECK_INT(txn.n_ops, 1);
    CHECK(span_is(txn.ops[0].key, "version/pin/acme/shop"));
    struct store_event event = { .entry = { .key = txn.ops[0].key, .value = txn.ops[0].value } };
    ProtobufCMessage *message = NULL;
    CHECK_INT(version_record_decode(&event, &version__pin_record__descriptor, &message), 0);
    const Version__PinRecord *decoded = (const Version__PinRecord *)message;
    CHECK_STR(decoded->release, "4.1.0");
    CHECK_INT(decoded->expires, 1234567890123);
    CHECK_STR(decoded->why, "");
    CHECK(!version_record_free(message));
    txn_fini(&txn);
}

TEST(a_record_of_zeroes_has_no_bytes_and_is_one)
{
    struct store_event event = { .entry = { .value = SPAN_NULL } };
    ProtobufCMessage *message = NULL;
    CHECK_INT(version_record_decode(&event, &version__default_record__descriptor, &message), 0);
    CHECK_INT(((const Version__DefaultRecord *)message)->contract, 0);
    version_record_free(message);
}

TEST(bytes_that_are_no_record_are_a_fault)
{
    struct store_event event = { .entry = { .value = SPAN("\xff\xff\xff") } };
    ProtobufCMessage *message = NULL;
    CHECK(version_record_decode(&event, &version__pin_record__descriptor, &message) < 0);
    CHECK(!message);
    CHECK(!version_record_free(NULL));
}
