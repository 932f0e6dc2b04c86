#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Origins, by which browsers say whose page asks (RFC 6454, RFC 6455 section 10.2): "https://a.test",
 * and lists of those that may.
 *
 *   *                      any
 *   https://a.test:8443    this one; the scheme's own port may be left out
 *
 * where the host may begin with "*.", which is any one label.
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>

#include "base/span.h"

/* Whether a page of this origin may open a WebSocket at this authority: it is of the same host and
 * port, or in the list, whose members have commas between them. */
bool origin_is_allowed(struct span origin, struct span authority, struct span list);

/* Whether each member of a list is of the forms above; an empty list is. */
bool origins_are_valid(struct span list);
