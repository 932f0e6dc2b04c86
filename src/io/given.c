/* SPDX-License-Identifier: Apache-2.0 */

#include "io/given.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

void given_fini(struct given *given)
{
    for (size_t i = 0; i < given->n; i++) {
        if (given->sockets[i].fd >= 0)
            close(given->sockets[i].fd);
    }
    free(given->sockets);
    *given = (struct given){ 0 };
}

int given_add(struct given *given, const struct given_socket *socket)
{
    struct given_socket added = *socket;
    int r = socket_adopt(added.fd, &added.address);
    if (r)
        return r;
    if (!added.asked.size)
        added.asked = added.address;
    mem_grow(given->sockets, given->n, given->capacity);
    given->sockets[given->n++] = added;
    return 0;
}

unsigned given_add_environment(struct given *given)
{
    const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    uint64_t pid = 0, count = 0;
    bool is_ours = pid_text && count_text && span_to_uint(span_of(pid_text), UINT32_MAX, &pid) &&
                   pid == (uint64_t)getpid() && span_to_uint(span_of(count_text), 1024, &count);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsigned n = 0;
    for (int fd = FIRST_FD; is_ours && fd < FIRST_FD + (int)count; fd++) {
        if (given_add(given, &(struct given_socket){ .fd = fd, .is_kept = true }))
            close(fd);
        else
            n++;
    }
    return n;
}

/* NULL when there is none. */
static struct given_socket *find(const struct given *given, const struct address *address,
                                 unsigned use)
{
    struct given_socket *found = NULL;
    for (size_t i = 0; i < given->n; i++) {
        struct given_socket *socket = &given->sockets[i];
        if (socket->fd < 0)
            continue;
        if (socket->use == use && address_equals(&socket->asked, address))
            return socket;
        if (!found && address_equals(&socket->address, address))
            found = socket;
    }
    return found;
}

bool given_take(struct given *given, const struct address *address, unsigned use,
                struct given_socket *ret_socket)
{
    struct given_socket *socket = find(given, address, use);
    if (!socket)
        return false;
    *ret_socket = *socket;
    socket->fd = -1;
    return true;
}

bool given_take_beside(struct given *given, const struct given_socket *first,
                       struct given_socket *ret_socket)
{
    for (size_t i = 0; i < given->n; i++) {
        struct given_socket *socket = &given->sockets[i];
        if (socket->fd < 0 || socket->listener != first->listener ||
            !address_equals(&socket->address, &first->address))
            continue;
        *ret_socket = *socket;
        socket->fd = -1;
        return true;
    }
    return false;
}

bool given_has(const struct given *given, const struct address *address, unsigned use)
{
    return find(given, address, use);
}
