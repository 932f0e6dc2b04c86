#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which query parameters hold secrets, by their names.
 *
 * A name is looked at decoded, in small letters, without "-", "_" and "."; of user[pass] the part
 * in brackets is looked at as well. Some words make a secret of any name they occur in (token,
 * secret, password…), others only as the whole name (code, key, sid…); settings can add whole
 * names. Names inside a value that is itself a URL or a query, encoded once, are looked at too.
 * docs/operate/access-log.md lists the words.
 *
 * Owns:     copies of the added names. Threads: reading any. Cost: O(bytes of the query).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct access_redaction {
    char *names; /* added ones, in the form that is compared, each with its NUL; NULL: none */
    size_t size;
};

/* `names` has commas between them. */
void access_redaction_init(struct access_redaction *redaction, struct span names);
void access_redaction_fini(struct access_redaction *redaction);

/* Cuts off `query` what may be shown up to the next secret, with the "=" before it, and drops the
 * secret, which ends at the next "&"; *ret_is_secret tells whether there was one. */
struct span access_redact(const struct access_redaction *redaction, struct span *query,
                          bool *ret_is_secret);
