#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whether a request can come from a page of somebody else's. A browser sends what any page has it
 * send, to loopback too, and a name can be made to point at us (DNS rebinding): so Host has to name us,
 * and Origin and Sec-Fetch-Site, where a browser sends them, no other site.
 *
 * Threads: any.
 */

#include "http/head.h"
#include "http/server.h"

/* `hosts`: names that Host may have beside addresses and names of loopback, with commas between them. A
 * client on another host may name any address, for nobody can point one elsewhere. */
bool site_is_ours(const struct http_exchange *exchange, struct span hosts);
