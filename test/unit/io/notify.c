/* SPDX-License-Identifier: Apache-2.0 */

#include "io/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

/* A manager at the path or, where it begins with NUL, at the name in the abstract space. */
static int manager_new(const char *name, size_t size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, name, size);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    CHECK_INT(bind(fd, (const struct sockaddr *)&address, address_size), 0);
    return fd;
}

static const char *manager_hears(int fd)
{
    static char text[600];
    ssize_t size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

TEST(a_manager_at_a_path_is_told)
{
    char path[] = "/tmp/notify.XXXXXX/s";
    path[18] = '\0';
    CHECK(mkdtemp(path));
    path[18] = '/';
    int fd = manager_new(path, strlen(path));
    setenv("NOTIFY_SOCKET", path, 1);
    notify_send("READY=1\nMAINPID=%d", 42);
    CHECK_STR(manager_hears(fd), "READY=1\nMAINPID=42");
    notify_reloading();
    CHECK(strncmp(manager_hears(fd), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
    unlink(path);
    path[18] = '\0';
    rmdir(path);
    close(fd);
}

TEST(a_manager_in_the_abstract_space_is_told)
{
    char name[64] = "@sarsen-notify-";
    size_t size = (size_t)snprintf(name, sizeof(name), "@sarsen-notify-%d", getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    name[0] = '\0';
    int fd = manager_new(name, size);
    notify_send("STOPPING=1");
    CHECK_STR(manager_hears(fd), "STOPPING=1");
    close(fd);
}

TEST(without_a_manager_nothing_happens)
{
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
    setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
    notify_send("READY=1");
    setenv("NOTIFY_SOCKET", "not-a-path", 1);
    notify_send("READY=1");
    char far[200];
    memset(far, 'x', sizeof(far));
    far[0] = '/';
    far[sizeof(far) - 1] = '\0';
    setenv("NOTIFY_SOCKET", far, 1);
    notify_send("READY=1");
}
