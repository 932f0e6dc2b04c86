#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The listening sockets of one address: one for each worker, or one for all of a unix path. Those
 * that were given to the process are used before any are opened, all of them: each has a queue of
 * clients of its own.
 *
 * Owns:    the descriptors, and the unix path while it leads to them.
 * Threads: the control loop.
 */

#include <sys/stat.h>

#include "gateway/gateway.h"
#include "io/given.h"

#define WORKERS_MAX 256u

struct sockets {
    struct address asked, address; /* where it really listens; a port of 0 is only asked for */
    bool is_internal;
    bool is_kept;   /* the service manager has them, too, and serves on with them */
    bool is_handed; /* another process has them now, and goes on with them */
    int fds[WORKERS_MAX];
    unsigned n;
    dev_t path_device; /* of the unix path that was bound */
    ino_t path_inode;
};

/* `given` NULL: none. Answers: GATEWAY_LISTEN. */
int sockets_open(struct sockets *sockets, const struct gateway_listener *settings,
                 unsigned n_workers, struct given *given, struct problem *problem) MUST_CHECK;
void sockets_close(struct sockets *sockets);

/* Those that a worker accepts on: each has one worker at least, each worker one socket. */
unsigned sockets_of(const struct sockets *sockets, unsigned worker, unsigned n_workers,
                    int ret_fds[WORKERS_MAX]);
