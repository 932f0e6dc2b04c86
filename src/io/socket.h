#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses and stream sockets: TCP over IPv4 and IPv6, and unix sockets.
 *
 * An address is written "127.0.0.1:8000", "[::1]:8000", "unix:/run/sarsen/gateway.sock"; names are
 * resolved elsewhere. All sockets are non-blocking and close on exec from birth.
 *
 * Threads: any.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"

struct address {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un unix_path;
    };
};

#define ADDRESS_TEXT_MAX 160u

enum socket_answer {
    SOCKET_OK,
    SOCKET_BAD_ADDRESS, /* not one of the forms above */
    SOCKET_IN_USE,      /* another process listens there */
    SOCKET_REFUSED,     /* permission, or the address is not on this machine */
};

/* Answers: SOCKET_BAD_ADDRESS. */
int address_parse(struct span text, struct address *ret_address) MUST_CHECK;
void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);
/* Writes an IP address without its port, one mapped from IPv4 as such, and nothing for a unix socket.
 * Returns the end; there is no NUL. */
char *address_put_host(char at[INET6_ADDRSTRLEN], const struct address *address);
/* Of an IP address; a unix socket has none. */
void address_set_port(struct address *address, unsigned port);
bool address_equals(const struct address *a, const struct address *b);

/* 127.0.0.0/8, ::1 and unix sockets. */
bool address_is_loopback(const struct address *address);

/* A listening socket: SO_REUSEPORT for TCP when `is_shared`. What accepts from it inherits
 * TCP_NODELAY, and a limit of what the kernel keeps unsent for those who read slowly. A unix path is
 * taken over when nobody listens there any more; its mode is 0660. Answers: SOCKET_IN_USE,
 * SOCKET_REFUSED. */
int socket_listen(const struct address *address, bool is_shared, int *ret_fd) MUST_CHECK;

/* Prepares a listening stream socket that somebody else opened, like those of socket_listen(). Answers: SOCKET_BAD_ADDRESS when it is
 * none. */
int socket_adopt(int fd, struct address *ret_address) MUST_CHECK;

/* The address a listening socket really has (port 0 resolved). */
int socket_address(int fd, struct address *ret_address) MUST_CHECK;

/* Starts to connect; completion is EPOLLOUT, then socket_error(). */
int socket_connect(const struct address *address, int *ret_fd) MUST_CHECK;

/* recv() and send(…, MSG_NOSIGNAL). The library's are points where a thread can be cancelled, and in
 * a program with threads they pay for that at each call; nobody here cancels any. */
static inline ssize_t socket_receive(int fd, char *data, size_t size)
{
    return syscall(SYS_recvfrom, fd, data, size, 0, NULL, NULL);
}

static inline ssize_t socket_send(int fd, const char *data, size_t size)
{
    return syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL, NULL, 0);
}

/* How many bytes the peer has not taken yet of those that the socket took. */
size_t socket_queued(int fd);

/* How many bytes the socket would take now, by a cautious estimate. */
size_t socket_room(int fd);

/* Whether it can be written to by the kernel's own measure. When it cannot, an edge-triggered watch
 * is told as soon as it can, without a write that has failed. */
bool socket_is_writable(int fd);

/* The pending error of a connecting socket as an errno, 0 when connected. */
int socket_error(int fd);
