#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The other side of a connection, played by the test byte by byte, on real loopback sockets.
 *
 * Everything runs in one thread: expecting turns the loop until what is expected has come, and
 * fails after PEER_PATIENCE of real time. settle() is for a few bytes, which on loopback have arrived
 * when send() returns or, where the kernel paces them, within the millisecond it waits; what is
 * larger is waited for by its effect.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "fake/clock.h"
#include "io/loop.h"
#include "io/socket.h"

#define PEER_PATIENCE 5 /* seconds */

struct peer {
    struct loop *loop;
    int fd;
    char got[262144];
    size_t n_got;
};

static inline void settle(struct loop *loop)
{
    for (int i = 0; i < 9; i++)
        CHECK_INT(loop_turn(loop, i == 4 ? NSEC_PER_MSEC : 0), 0);
}

static inline int listen_on_loopback(struct address *ret_address)
{
    int fd;
    CHECK_INT(address_parse(SPAN("127.0.0.1:0"), ret_address), 0);
    CHECK_INT(socket_listen(ret_address, false, &fd), 0);
    CHECK_INT(socket_address(fd, ret_address), 0);
    return fd;
}

static inline struct peer *peer_new(struct loop *loop, int fd)
{
    struct peer *peer = mem_new(struct peer);
    peer->loop = loop;
    peer->fd = fd;
    return peer;
}

static inline struct peer *peer_connect(struct loop *loop, const struct address *to)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, &to->any, to->size), 0);
    CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return peer_new(loop, fd);
}

/* Waits for the loop to connect to a listener of the test. */
static inline struct peer *peer_accept(struct loop *loop, int listen_fd)
{
    time_t until = time(NULL) + PEER_PATIENCE;
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
        CHECK_INT(loop_turn(loop, NSEC_PER_MSEC), 0);
        CHECK(time(NULL) < until);
    }
    return peer_new(loop, fd);
}

static inline void peer_close(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

static inline void peer_send_span(struct peer *peer, struct span bytes)
{
    CHECK_INT(send(peer->fd, bytes.data, bytes.size, MSG_NOSIGNAL), bytes.size);
}

static inline void peer_send(struct peer *peer, const char *text)
{
    peer_send_span(peer, span_of(text));
}

/* Takes what is there. Returns 0 at the end of the stream, -errno after a reset, else 1. */
static inline int peer_receive(struct peer *peer)
{
    for (;;) {
        size_t room = sizeof(peer->got) - peer->n_got;
        if (room == 0)
            return 1;
        ssize_t n = recv(peer->fd, peer->got + peer->n_got, room, 0);
        if (n == 0)
            return 0;
        if (n < 0)
            return errno == EAGAIN ? 1 : -errno;
        peer->n_got += (size_t)n;
    }
}

static inline void peer_drop(struct peer *peer, size_t size)
{
    peer->n_got -= size;
    memmove(peer->got, peer->got + size, peer->n_got);
}

static inline void peer_expect_span(struct peer *peer, struct span want)
{
    time_t until = time(NULL) + PEER_PATIENCE;
    while (peer->n_got < want.size) {
        if (peer_receive(peer) != 1 || time(NULL) >= until)
            break;
        CHECK_INT(loop_turn(peer->loop, NSEC_PER_MSEC), 0);
    }
    size_t n = peer->n_got < want.size ? peer->n_got : want.size;
    if (n < want.size || memcmp(peer->got, want.data, n) != 0) {
        printf("# got  %.*s\n# want %.*s\n", (int)n, peer->got, (int)want.size, want.data);
        check_fail(__FILE__, __LINE__, "what the peer received", "differs");
    }
    peer_drop(peer, n);
}

static inline void peer_expect(struct peer *peer, const char *want)
{
    peer_expect_span(peer, span_of(want));
}

static inline void peer_expect_nothing(struct peer *peer)
{
    settle(peer->loop);
    CHECK_INT(peer_receive(peer), 1);
    CHECK_INT(peer->n_got, 0);
}

/* An orderly end, not a reset, and nothing before it. */
static inline void peer_expect_end(struct peer *peer)
{
    time_t until = time(NULL) + PEER_PATIENCE;
    int r;
    while ((r = peer_receive(peer)) == 1 && time(NULL) < until)
        CHECK_INT(loop_turn(peer->loop, NSEC_PER_MSEC), 0);
    CHECK_INT(r, 0);
    CHECK_INT(peer->n_got, 0);
}

/* Any end. */
static inline void peer_expect_gone(struct peer *peer)
{
    time_t until = time(NULL) + PEER_PATIENCE;
    int r;
    while ((r = peer_receive(peer)) == 1 && time(NULL) < until) {
        peer->n_got = 0;
        CHECK_INT(loop_turn(peer->loop, NSEC_PER_MSEC), 0);
    }
    CHECK(r != 1);
}
