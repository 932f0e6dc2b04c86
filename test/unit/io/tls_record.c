/* SPDX-License-Identifier: Apache-2.0 */

#include "io/tls_record.h"

#include <string.h>

#include "check.h"

/* RFC 8448 section 3: the client's secret, its first record (the bytes 0 to 49) and its second,
 * which closes. */
static const struct tls_secret client = {
    .size = 32,
    .bytes = { 0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
               0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
               0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5 },
};
static const uint8_t first[] = {
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa,
    0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc,
    0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
    0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
    0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4,
};
static const uint8_t second[] = {
    0x17, 0x03, 0x03, 0x00, 0x13, 0xc9, 0x87, 0x27, 0x60, 0x65, 0x56, 0x66,
    0xb7, 0x4d, 0x7f, 0xf1, 0x15, 0x3e, 0xfd, 0x6d, 0xb6, 0xd0, 0xb0, 0xe3,
};

static const enum tls_suite suites[] = { TLS_AES_128_GCM, TLS_AES_256_GCM, TLS_CHACHA20_POLY1305 };

static struct tls_secret secret_for(enum tls_suite suite)
{
    struct tls_secret secret = { .size = suite == TLS_AES_256_GCM ? 48 : 32 };
    for (size_t i = 0; i < secret.size; i++)
        secret.bytes[i] = (uint8_t)(i * 3 + suite);
    return secret;
}

/* Both ends of one direction. */
struct ends {
    struct tls_keys seals, opens;
};

static void make_ends(struct ends *ends, enum tls_suite suite)
{
    const struct tls_secret secret = secret_for(suite);
    CHECK(tls_keys_init(&ends->seals, suite, &secret, true));
    CHECK(tls_keys_init(&ends->opens, suite, &secret, false));
}

static void free_ends(struct ends *ends)
{
    tls_keys_fini(&ends->seals);
    tls_keys_fini(&ends->opens);
}

static char record[TLS_RECORD_HEAD + TLS_SEALED_MAX + 512], opened[sizeof(record)];

TEST(the_records_of_the_rfc)
{
    struct tls_keys seals, opens;
    struct span content;
    enum tls_content type;
    CHECK(tls_keys_init(&seals, TLS_AES_128_GCM, &client, true));
    CHECK(tls_keys_init(&opens, TLS_AES_128_GCM, &client, false));
    char bytes[50];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    CHECK_INT(tls_record_seal(&seals, TLS_APPLICATION_DATA, (struct span){ bytes, 50 }, record),
              sizeof(first));
    CHECK(memcmp(record, first, sizeof(first)) == 0);
    CHECK_INT(tls_record_open(&opens, (struct span){ (const char *)first, sizeof(first) }, opened,
                              &content, &type),
              0);
    CHECK(type == TLS_APPLICATION_DATA && content.size == 50);
    CHECK(memcmp(content.data, bytes, 50) == 0);

    CHECK_INT(tls_record_seal(&seals, TLS_ALERT, (struct span){ "\x01\x00", 2 }, record),
              sizeof(second));
    CHECK(memcmp(record, second, sizeof(second)) == 0);
    tls_keys_fini(&seals);
    tls_keys_fini(&opens);
}

TEST(what_is_sealed_opens_in_every_suite_and_size)
{
    static const size_t sizes[] = { 1, 15, 16, 17, 255, 4096, 16383, 16384 };
    static char bytes[TLS_CONTENT_MAX];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 + i / 256);
    for (size_t i = 0; i < 3; i++) {
        struct ends ends;
        make_ends(&ends, suites[i]);
        for (size_t k = 0; k < 2 * sizeof(sizes) / sizeof(sizes[0]); k++) {
            struct span content = { bytes, sizes[k / 2] };
            enum tls_content type;
            if (k % 2) { /* from where it is, and from elsewhere */
                memcpy(record + TLS_RECORD_HEAD, bytes, content.size);
                content.data = record + TLS_RECORD_HEAD;
            }
            size_t size = tls_record_seal(&ends.seals, TLS_APPLICATION_DATA, content, record);
            enum tls_alert alert = TLS_INTERNAL_ERROR;
            CHECK_INT(size, sizes[k / 2] + TLS_RECORD_EXTRA);
            CHECK_INT(tls_record_size(record, &alert), size);
            CHECK_INT(tls_record_open(&ends.opens, (struct span){ record, size }, opened, &content,
                                      &type),
                      0);
            CHECK(content.size == sizes[k / 2] && memcmp(content.data, bytes, content.size) == 0);
        }
        free_ends(&ends);
    }
}

TEST(a_bit_that_was_turned_is_seen_wherever_it_is)
{
    for (size_t i = 0; i < 3; i++) {
        struct ends ends;
        make_ends(&ends, suites[i]);
        size_t size = tls_record_seal(&ends.seals, TLS_APPLICATION_DATA, SPAN("hello"), record);
        for (size_t at = 0; at < size; at++) {
            struct span content;
            enum tls_content type;
            ends.opens.number = 0;
            record[at] ^= 0x10;
            CHECK_INT(tls_record_open(&ends.opens, (struct span){ record, size }, opened, &content,
                                      &type),
                      TLS_BAD_RECORD_MAC);
            record[at] ^= 0x10;
        }
        for (size_t cut = TLS_RECORD_HEAD + TLS_RECORD_TAG + 1; cut < size; cut++) {
            struct span content;
            enum tls_content type;
            ends.opens.number = 0;
            CHECK_INT(
                tls_record_open(&ends.opens, (struct span){ record, cut }, opened, &content, &type),
                TLS_BAD_RECORD_MAC);
        }
        free_ends(&ends);
    }
}

TEST(a_record_that_comes_twice_does_not_open_again)
{
    struct ends ends;
    struct span content;
    enum tls_content type;
    make_ends(&ends, TLS_AES_128_GCM);
    size_t size = tls_record_seal(&ends.seals, TLS_APPLICATION_DATA, SPAN("once"), record);
    struct span all = { record, size };
    CHECK_INT(tls_record_open(&ends.opens, all, opened, &content, &type), 0);
    CHECK_INT(tls_record_open(&ends.opens, all, opened, &content, &type), TLS_BAD_RECORD_MAC);
    free_ends(&ends);
}

/* Seals what is given as a record's whole inside, type and padding included. */
static struct span seal_inside(struct tls_keys *keys, struct span inside)
{
    enum tls_content last = (enum tls_content)(uint8_t)inside.data[inside.size - 1];
    size_t size = tls_record_seal(keys, last, span_first(inside, inside.size - 1), record);
    return (struct span){ record, size };
}

TEST(padding_is_taken_away)
{
    struct ends ends;
    struct span content;
    enum tls_content type;
    make_ends(&ends, TLS_AES_256_GCM);
    struct span sealed = seal_inside(&ends.seals, (struct span){ "abc\x17\0\0\0\0", 8 });
    CHECK_INT(tls_record_open(&ends.opens, sealed, opened, &content, &type), 0);
    CHECK(span_is(content, "abc") && type == TLS_APPLICATION_DATA);
    sealed = seal_inside(&ends.seals, (struct span){ "\x17\0\0", 3 });
    CHECK_INT(tls_record_open(&ends.opens, sealed, opened, &content, &type), 0);
    CHECK(content.size == 0 && type == TLS_APPLICATION_DATA);
    sealed = seal_inside(&ends.seals, (struct span){ "\0\0\0", 3 });
    CHECK_INT(tls_record_open(&ends.opens, sealed, opened, &content, &type),
              TLS_UNEXPECTED_MESSAGE);
    free_ends(&ends);
}

TEST(a_head_tells_the_size_or_what_is_wrong_with_it)
{
    static const struct {
        const char *head;
        size_t size;
        enum tls_alert alert;
    } heads[] = {
        { "\x17\x03\x03\x00\x11", 22, TLS_CLOSE_NOTIFY },
        { "\x17\x03\x03\x00\x10", 0, TLS_BAD_RECORD_MAC },
        { "\x17\x03\x03\x00\x00", 0, TLS_BAD_RECORD_MAC },
        { "\x17\x03\x03\x41\x00", 16645, TLS_CLOSE_NOTIFY },
        { "\x17\x03\x03\x41\x01", 0, TLS_RECORD_OVERFLOW },
        { "\x14\x03\x03\x00\x01", 0, TLS_UNEXPECTED_MESSAGE },
        { "\x15\x03\x03\x00\x02", 0, TLS_UNEXPECTED_MESSAGE },
        { "\x16\x03\x03\x00\x20", 0, TLS_UNEXPECTED_MESSAGE },
        { "GET /", 0, TLS_UNEXPECTED_MESSAGE },
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        enum tls_alert alert = TLS_CLOSE_NOTIFY;
        CHECK_INT(tls_record_size(heads[i].head, &alert), heads[i].size);
        CHECK_INT(alert, heads[i].alert);
    }
}

TEST(keys_follow_each_other_on_both_ends)
{
    for (size_t i = 0; i < 3; i++) {
        struct ends ends;
        make_ends(&ends, suites[i]);
        for (int k = 0; k < 3; k++) {
            struct span content;
            enum tls_content type;
            size_t size = tls_record_seal(&ends.seals, TLS_APPLICATION_DATA, SPAN("x"), record);
            CHECK_INT(tls_record_open(&ends.opens, (struct span){ record, size }, opened, &content,
                                      &type),
                      0);
            CHECK_INT(ends.seals.n_left, TLS_RECORDS_PER_KEY - 1);
            CHECK(tls_keys_update(&ends.seals));
            CHECK_INT(ends.seals.number, 0);
            size = tls_record_seal(&ends.seals, TLS_APPLICATION_DATA, SPAN("y"), record);
            CHECK_INT(tls_record_open(&ends.opens, (struct span){ record, size }, opened, &content,
                                      &type),
                      TLS_BAD_RECORD_MAC); /* under the old ones */
            CHECK(tls_keys_update(&ends.opens));
            CHECK_INT(tls_record_open(&ends.opens, (struct span){ record, size }, opened, &content,
                                      &type),
                      0);
            CHECK(tls_keys_update(&ends.seals) && tls_keys_update(&ends.opens));
        }
        free_ends(&ends);
    }
}
