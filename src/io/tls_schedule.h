#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The key schedule of TLS 1.3 (RFC 8446 section 7.1): what becomes of a secret.
 *
 * The library works out twenty of its values in a handshake, and asks a provider for each. That
 * provider is ours: it does the same with what lies at hand, which costs a fraction, and lets a
 * thread see the secrets of the traffic that follows its handshake.
 *
 * Private to io/tls*.c.
 *
 * Owns:     nothing.
 * Threads:  any; what is watched for belongs to the thread that asked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_SECRET_MAX 48u

/* Its size tells the hash: SHA-256 or SHA-384. */
struct tls_secret {
    size_t size; /* 0: there is none */
    uint8_t bytes[TLS_SECRET_MAX];
};

/* Of the traffic behind a handshake, in both directions. */
struct tls_secrets {
    struct tls_secret client, server;
};

/* HKDF-Expand-Label with an empty context; at most TLS_SECRET_MAX bytes. */
void tls_expand_label(const struct tls_secret *secret, const char *label, uint8_t *ret_bytes,
                      size_t size);

/* What a context of the library is made with, so that it asks our provider; NULL where this
 * process has settled on providers of its own. */
const char *tls_schedule_properties(void);

/* From now on what this thread's handshakes come to is written there; NULL ends it. */
void tls_schedule_watch(struct tls_secrets *secrets);
