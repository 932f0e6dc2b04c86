#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records of TLS 1.3 once they are protected (RFC 8446 section 5): one is sealed, or opened.
 *
 * What a record's content means is left to others. Private to io/tls*.c.
 *
 * Owns:     keys their cipher's state. Secrets are wiped when they are done with.
 * Threads:  keys belong to one.
 * Cost:     the bytes are touched once, from where they are to where they shall be.
 */

#include <openssl/evp.h>

#include "base/compiler.h"
#include "base/span.h"
#include "io/tls_schedule.h"

#define TLS_RECORD_HEAD 5u
#define TLS_RECORD_TAG 16u
#define TLS_CONTENT_MAX 16384u
#define TLS_SEALED_MAX (TLS_CONTENT_MAX + 256) /* behind the head, with type, padding and tag */
#define TLS_RECORD_EXTRA (TLS_RECORD_HEAD + 1 + TLS_RECORD_TAG)

/* Records of AES-GCM under one key (RFC 8446 section 5.5). It holds for all, to be one rule. */
#define TLS_RECORDS_PER_KEY (1u << 24)

enum tls_suite {
    TLS_AES_128_GCM,
    TLS_AES_256_GCM,
    TLS_CHACHA20_POLY1305,
};

enum tls_content {
    TLS_CHANGE_CIPHER_SPEC = 20,
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_APPLICATION_DATA = 23,
};

/* Those that are told here, by their numbers; 0, which closes, is no fault of a record. */
enum tls_alert {
    TLS_CLOSE_NOTIFY = 0,
    TLS_UNEXPECTED_MESSAGE = 10,
    TLS_BAD_RECORD_MAC = 20,
    TLS_RECORD_OVERFLOW = 22,
    TLS_ILLEGAL_PARAMETER = 47,
    TLS_DECODE_ERROR = 50,
    TLS_INTERNAL_ERROR = 80,
    TLS_USER_CANCELED = 90,
};

/* Of one direction. */
struct tls_keys {
    EVP_CIPHER_CTX *cipher; /* NULL: the kernel has these keys */
    enum tls_suite suite;
    bool seals;
    uint32_t n_left; /* records until others are due */
    uint64_t number; /* of the next record under these */
    uint8_t iv[12];
    struct tls_secret secret;
};

/* False where the library has no such cipher. Finalise them in either case. */
bool tls_keys_init(struct tls_keys *keys, enum tls_suite suite, const struct tls_secret *secret,
                   bool seals) MUST_CHECK;
void tls_keys_fini(struct tls_keys *keys);

/* The keys that follow (RFC 8446 section 7.2). */
bool tls_keys_update(struct tls_keys *keys) MUST_CHECK;

/* Writes the record to `to`, which has room for TLS_RECORD_EXTRA bytes more than the content. That may
 * lie at to + TLS_RECORD_HEAD, and elsewhere only outside of the record. Returns the record's size, 0 where
 * the library fails. */
size_t tls_record_seal(struct tls_keys *keys, enum tls_content type, struct span content, char *to);

/* How long a record is by its head, or 0 and the alert that answers it. */
size_t tls_record_size(const char head[TLS_RECORD_HEAD], enum tls_alert *ret_alert);

/* Writes the content of a whole record to `to`, which has room for the record. Returns TLS_CLOSE_NOTIFY
 * when that was right, or else the alert that answers it. */
enum tls_alert tls_record_open(struct tls_keys *keys, struct span record, char *to,
                               struct span *ret_content, enum tls_content *ret_type) MUST_CHECK;
