/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/sockets.h"

#include <unistd.h>

static bool is_unix(const struct sockets *sockets)
{
    return sockets->asked.any.sa_family == AF_UNIX;
}

/* What is at the path may be another's: of the process that refused us the address, or of a
 * listener that took the path over while this one was being drained. */
static bool has_its_path(const struct sockets *sockets)
{
    struct stat status;
    return sockets->n && is_unix(sockets) && !sockets->is_kept && !sockets->is_handed &&
           lstat(sockets->address.unix_path.sun_path, &status) == 0 &&
           status.st_dev == sockets->path_device && status.st_ino == sockets->path_inode;
}

void sockets_close(struct sockets *sockets)
{
    if (has_its_path(sockets))
        unlink(sockets->address.unix_path.sun_path);
    for (unsigned i = 0; i < sockets->n; i++)
        close(sockets->fds[i]);
    sockets->n = 0;
}

static int refuse(const struct sockets *sockets, int answer, struct problem *problem)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(&sockets->asked, text);
    problem_set(problem, sockets->is_internal ? "gateway.internal" : "gateway.edge", "%s %s", text,
                answer == SOCKET_IN_USE ? "is in use by another process"
                                        : "cannot be listened on by this user or machine");
    return GATEWAY_LISTEN;
}

/* Whether nobody else listens there. SO_REUSEPORT would let a second gateway of the same user in,
 * and the two would share the traffic by chance. */
static int probe(const struct address *address)
{
    int fd = -1;
    int r = socket_listen(address, false, &fd);
    if (!r)
        close(fd);
    return r;
}

static bool has_port(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(address, text);
    return !span_ends_with(span_of(text), SPAN(":0"));
}

static void note_path(struct sockets *sockets)
{
    struct stat status;
    if (!is_unix(sockets) || lstat(sockets->address.unix_path.sun_path, &status))
        return;
    sockets->path_device = status.st_dev;
    sockets->path_inode = status.st_ino;
}

/* One socket for all workers. */
static int open_path(struct sockets *sockets)
{
    int r = socket_listen(&sockets->address, false, &sockets->fds[0]);
    if (!r)
        sockets->n = 1;
    return r;
}

/* One socket per worker; the first decides the port where none was given. */
static int open_ports(struct sockets *sockets, unsigned n_workers)
{
    int r = sockets->n == 0 && has_port(&sockets->address) ? probe(&sockets->address) : 0;
    while (!r && sockets->n < n_workers) {
        r = socket_listen(&sockets->address, true, &sockets->fds[sockets->n]);
        if (r)
            break;
        if (sockets->n++ == 0)
            r = socket_address(sockets->fds[0], &sockets->address);
    }
    return r;
}

static void take_given(struct sockets *sockets, struct given *given)
{
    struct given_socket first, socket;
    unsigned use = sockets->is_internal ? GATEWAY_USE_INTERNAL : GATEWAY_USE_EDGE;
    if (!given_take(given, &sockets->asked, use, &first))
        return;
    sockets->fds[sockets->n++] = first.fd;
    sockets->address = first.address;
    sockets->is_kept = first.is_kept;
    while (sockets->n < WORKERS_MAX && given_take_beside(given, &first, &socket))
        sockets->fds[sockets->n++] = socket.fd;
}

int sockets_open(struct sockets *sockets, const struct gateway_listener *settings,
                 unsigned n_workers, struct given *given, struct problem *problem)
{
    sockets->asked = sockets->address = settings->address;
    sockets->is_internal = settings->is_internal;
    if (given)
        take_given(sockets, given);
    unsigned n_given = sockets->n;
    int r = 0;
    if (!is_unix(sockets))
        r = open_ports(sockets, n_workers);
    else if (!n_given)
        r = open_path(sockets);
    /* Workers share what was given where nothing can be added: to the sockets of another user, or
     * to those of a manager that keeps the port for itself. */
    if (r == SOCKET_IN_USE && n_given)
        r = 0;
    if (r > 0)
        return refuse(sockets, r, problem);
    if (r)
        return err_trace(r);
    note_path(sockets);
    return 0;
}

unsigned sockets_of(const struct sockets *sockets, unsigned worker, unsigned n_workers,
                    int ret_fds[WORKERS_MAX])
{
    unsigned n = 0;
    for (unsigned i = worker; i < sockets->n; i += n_workers)
        ret_fds[n++] = sockets->fds[i];
    if (n == 0)
        ret_fds[n++] = sockets->fds[worker % sockets->n];
    return n;
}
