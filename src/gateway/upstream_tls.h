#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The clients of TLS that the settings ask for: one for all instances and static upstreams, and one
 * for each way in which routes differ from that.
 *
 * Owns:     references to the clients. Threads: the control loop.
 */

#include "base/error.h"
#include "gateway/settings.h"
#include "io/tls.h"

struct upstream_tls {
    const struct tls_client *common;
    const struct tls_client **routes; /* by route; NULL: in plain text. Some may be the same */
    unsigned n_routes;
};

/* What all had, before a reload. */
struct upstream_tls_before {
    const struct tls_client *common;
    const struct tls_client_settings *settings;
};

/* Reads what files they name. `before` NULL is none. Answers: TLS_REFUSED. */
int upstream_tls_open(struct upstream_tls *tls, const struct gateway_settings *settings,
                      const struct upstream_tls_before *before, struct problem *problem) MUST_CHECK;
void upstream_tls_fini(struct upstream_tls *tls);
