#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages with descriptors between two processes of one machine: a unix socket that keeps them
 * apart (SOCK_SEQPACKET), so that either is read whole or not at all, and one end can change hands
 * between two messages.
 *
 * Before a channel is watched, channel_wait() takes one message; after, they arrive by on_message.
 * What is sent waits here while the kernel takes no more.
 *
 * Owns:    the descriptor, and what waits to be sent.
 * Borrows: the loop.
 * Threads: the loop's.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/span.h"
#include "io/loop.h"
#include "io/socket.h"

#define CHANNEL_MESSAGE_MAX 65536u
#define CHANNEL_FDS_MAX 64u

struct channel_message {
    struct span bytes;        /* valid during the call */
    int fds[CHANNEL_FDS_MAX]; /* whoever takes one sets it to -1; the others are closed */
    unsigned n_fds;
};

/* Any callback may close the channel, and free it then. */
struct channel {
    int fd;        /* -1: closed */
    bool *is_gone; /* while callbacks run, where they who called learn that it was closed */
    struct list waiting;
    struct watch watch;
    void (*on_message)(struct channel *channel, struct channel_message *message);
    /* The other end is closed, or broke the rules; all that it had sent has been told. */
    void (*on_end)(struct channel *channel);
    void (*on_sent)(struct channel *channel); /* nothing waits any more; may be NULL */
};

enum channel_answer {
    CHANNEL_OK,
    CHANNEL_ABSENT, /* nobody listens at the path */
    CHANNEL_ENDED,  /* by the other end */
    CHANNEL_LATE,   /* nothing came in time */
};

/* A socket at the path that only this user and root can connect to. One that nobody listens at any
 * more is replaced. Answers: those of socket_listen(). */
int channel_listen(const char *path, int *ret_fd) MUST_CHECK;

/* Takes one connection, when there is one, of this user or root; else -1. */
int channel_accept(int listen_fd);

void channel_init(struct channel *channel, int fd);

/* Answers: CHANNEL_ABSENT. */
int channel_connect(struct channel *channel, const char *path) MUST_CHECK;

/* Waits for one message, into `bytes` of CHANNEL_MESSAGE_MAX. Answers: CHANNEL_ENDED,
 * CHANNEL_LATE. */
int channel_wait(struct channel *channel, nsec patience, char *bytes,
                 struct channel_message *ret_message) MUST_CHECK;

/* From now on what arrives is told. */
int channel_start(struct channel *channel, struct loop *loop) MUST_CHECK;

/* And no more: it waits in the kernel, for whoever has the descriptor then. */
void channel_stop(struct channel *channel);

/* `fds` are duplicated; they stay the caller's. */
void channel_send(struct channel *channel, struct span bytes, const int *fds, unsigned n_fds);

static inline bool channel_is_sent(const struct channel *channel)
{
    return list_is_empty(&channel->waiting);
}

/* Closes it; what was sent and taken by the kernel still arrives. Idempotent. */
void channel_close(struct channel *channel);

/* Closes what nobody took. */
void channel_message_fini(struct channel_message *message);
