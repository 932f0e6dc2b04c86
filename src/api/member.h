#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What one member of a cluster shows another instead of a token: an HMAC-SHA256, by the secret that
 * all of them have from the store, over the method, the path, and the time.
 *
 *   Authorization: Sarsen-Member 1763735000123.5d41402abc4b2a76b9719d911017c592…
 *
 * The secret itself is not sent, so whoever is called by mistake learns nothing that opens more than
 * this path for these minutes.
 *
 * Threads: any.
 */

#include "base/clock.h"
#include "base/span.h"

#define MEMBER_SCHEME "Sarsen-Member "

/* Whether the value of Authorization was made by a member for this call, and how long ago by our clock:
 * negative when its clock is ahead. Without a secret, empty, nothing was. */
bool member_proof_age(struct span secret, struct span value, struct span method, struct span path,
                      unix_msec wall, unix_msec *ret_age);

/* And a few minutes ago at most. */
bool member_proof_holds(struct span secret, struct span value, struct span method, struct span path,
                        unix_msec wall);
