/* SPDX-License-Identifier: Apache-2.0 */

#include "io/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "io/file.h"

#define NOTIFY_MAX 512u

/* A path, or a name in the abstract space, which is written with "@" and has a NUL there. */
static bool find_manager(struct sockaddr_un *ret_address, socklen_t *ret_size)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || (path[0] != '/' && path[0] != '@'))
        return false;
    size_t size = strlen(path);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (size >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    *ret_address = address;
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

void notify_send(const char *format, ...)
{
    struct sockaddr_un address;
    socklen_t address_size;
    if (!find_manager(&address, &address_size))
        return;
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;

    char text[NOTIFY_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size <= 0 || (size_t)size >= sizeof(text))
        return;
    sendto(fd, text, (size_t)size, MSG_NOSIGNAL, (const struct sockaddr *)&address, address_size);
}

void notify_reloading(void)
{
    struct timespec now = { 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, usec);
}
