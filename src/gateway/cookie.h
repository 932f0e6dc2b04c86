#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The signed cookie `sarsen`: who a browser is, kept by the browser and believed because of its
 * signature.
 *
 *   1.<expiry, s>.<device>.<BOM last served>.<customer, percent-encoded>.<HMAC-SHA256, base32>
 *
 * The signature covers every byte before it. It is compared as text in constant time, so there is
 * exactly one spelling of a valid cookie. Two keys verify and the first signs, for rotation.
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/span.h"
#include "gateway/gateway.h"
#include "version/version.h"

#define COOKIE_NAME "sarsen"
#define DEVICE_ID_SIZE 16u /* base32 of 80 random bits */
#define COOKIE_VALUE_MAX 640u

struct cookie {
    char device[DEVICE_ID_SIZE + 1];
    char bom[BOM_ID_SIZE + 1];          /* "" when none was served yet */
    char customer[CUSTOMER_ID_MAX + 1]; /* "" when anonymous */
    unix_msec expires;                  /* whole seconds */
    bool is_signed_with_old_key;        /* set by cookie_verify() */
};

/* Whether the value is ours and still valid; only then *ret_cookie is written. */
bool cookie_verify(const struct cookie_keys *keys, struct span value, unix_msec now,
                   struct cookie *ret_cookie);

/* Writes the value with a NUL and returns its length. */
size_t cookie_format(const struct cookie_keys *keys, const struct cookie *cookie,
                     char ret_value[COOKIE_VALUE_MAX]);

/* Writes the Cookie field without the cookies named COOKIE_NAME; they are between the browser and
 * the gateway. Needs no more than field.size bytes. Returns the length; 0 when nothing is left. */
size_t cookie_strip(struct span field, char *ret_text);
