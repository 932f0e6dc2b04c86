#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The process that takes over from this one, as this one sees it.
 *
 *   NOBODY ─hello→ ASKED ─give→ HOLDING ─nobody calls any more→ GIVEN ─ready→ LEAVING
 *     ▲              │             │                              │
 *     └──────────────┴─────────────┴────────── it ended ──────────┘ the store is opened again
 *
 * Until it is ready this process serves, and it goes on when the other ends before, which it does of
 * itself when it takes too long (io/watchdog.h): this one may not end another. While the store
 * is given away, calls of the management API wait in their sockets; the data plane serves by its
 * last view and keeps its counts.
 *
 * Owns:    takeover.sock and the channel. Borrows: control and predecessor.
 * Threads: the control loop's.
 */

#include "daemon/control.h"
#include "daemon/predecessor.h"

struct successor;

struct successor_hooks {
    void (*on_left)(void *owner);   /* it has everything, and this process has nothing to do */
    void (*on_kept)(void *owner);   /* it failed; this process serves on, as before */
    void (*on_failed)(void *owner); /* and the store cannot be had back */
    void *owner;
};

/* `door_fd` is where it asks, from a predecessor; -1: a new socket in the data directory. Where that
 * cannot be had, nobody can take over, which is logged. */
struct successor *successor_new(struct loop *loop, struct control *control,
                                struct predecessor *predecessor, int door_fd, const char *data,
                                const struct successor_hooks *hooks);
struct successor *successor_free(struct successor *successor);

/* Whether settings must stay as they are for now: another process has been told of them. */
bool successor_is_busy(const struct successor *successor);

/* Whether it has taken over, and this process only drains. */
bool successor_is_ready(const struct successor *successor);
