#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listening sockets that were open before this process was: from the service manager, as
 * sd_listen_fds(3) has it, or from the process that this one takes over from.
 *
 * Whoever is to listen somewhere asks here first. A socket says where it listens; one of a
 * predecessor has besides what its settings asked for, which may have left the port open, and what
 * it is used for.
 *
 * Owns:    the descriptors that nobody has taken.
 * Threads: one at a time.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "io/socket.h"

/* For any use. */
#define GIVEN_ANY 0u

struct given_socket {
    int fd; /* -1: taken */
    unsigned use;
    bool is_kept;      /* the service manager has it, too, and gives it to the next process */
    unsigned listener; /* a number that the sockets of one listener have in common */
    struct address asked, address;
};

struct given {
    struct given_socket *sockets;
    size_t n, capacity;
};

void given_fini(struct given *given);

/* Takes the descriptor, unless it is no listening stream socket, and finds out where it listens.
 * `asked` without a size is the same. Answers: SOCKET_BAD_ADDRESS. */
int given_add(struct given *given, const struct given_socket *socket) MUST_CHECK;

/* Those that $LISTEN_FDS tells of, once: the variables are removed. A descriptor that cannot be
 * listened on is closed. Returns how many were taken. */
unsigned given_add_environment(struct given *given);

/* A socket for that address and use; false when there is none. First those are found that were
 * asked for in the same words, then those that listen there. */
bool given_take(struct given *given, const struct address *address, unsigned use,
                struct given_socket *ret_socket);

/* One more of the same listener: settings may ask twice for any port of an address. */
bool given_take_beside(struct given *given, const struct given_socket *first,
                       struct given_socket *ret_socket);

/* Whether there is one. */
bool given_has(const struct given *given, const struct address *address, unsigned use);
