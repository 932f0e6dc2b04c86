#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watches how much memory the process uses, and has the gateway ask less of it.
 *
 *   80 %  connections end with their answer
 *   90 %  new requests get 503
 *   95 %  idle connections are closed
 *
 * A level ends five points below the mark where it begins, so that it does not flutter. What was
 * freed goes back to the system while there is pressure: otherwise the process would look as
 * large as at its worst for ever. It is also told here when clients had to be refused.
 *
 * Owns:     a timer. Borrows: the loop and the gateway.
 * Threads:  the control loop.
 */

#include "gateway/gateway.h"
#include "io/loop.h"

struct pressure {
    struct loop *loop;
    struct gateway *gateway;
    struct timer timer;
    uint64_t limit;
    enum http_pressure level;
    nsec trimmed_at, told_at;
    uint64_t n_refused; /* clients, that the log knows of */
};

/* `limit` in bytes, 0 = what the machine gives. */
void pressure_start(struct pressure *pressure, struct loop *loop, struct gateway *gateway,
                    uint64_t limit);
void pressure_set_limit(struct pressure *pressure, uint64_t limit);

/* Idempotent, also when it never started. */
void pressure_stop(struct pressure *pressure);

/* The level that follows `before` when that much is used. */
enum http_pressure pressure_level(enum http_pressure before, uint64_t used, uint64_t limit);
