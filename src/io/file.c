/* SPDX-License-Identifier: Apache-2.0 */

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

void fd_closep(const int *fd)
{
    if (*fd < 0)
        return;
    int saved_errno = errno; /* this runs on the way out of a failure */
    close(*fd);
    errno = saved_errno;
}

int file_read(int dir_fd, const char *name, struct buf *bytes)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? FILE_ABSENT : err_origin(-errno);

    int r = buf_read_all(bytes, fd);
    if (r)
        return r == BUF_FULL ? FILE_TOO_LARGE : err_fold(r);
    return 0;
}

static int file_write_all(int fd, struct span bytes)
{
    while (bytes.size > 0) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_origin(-errno);
        bytes = span_from(bytes, (size_t)n);
    }
    return 0;
}

/* The rename is durable only when the directory is. */
static int file_sync_parent(int dir_fd, const char *name)
{
    CLEANUP(mem_freep) char *parent = mem_strdup(name);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0'; /* "/name" lies in "/" */

    CLEANUP(fd_closep)
    int fd = openat(dir_fd, slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_origin(-errno);
    return 0;
}

/* A new file and never the old one: a left-over may be a link, or have another mode. */
static int file_write_new(int dir_fd, const char *name, struct span bytes, mode_t mode)
{
    if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return err_origin(-errno);
    CLEANUP(fd_closep)
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_origin(-errno);

    int r = file_write_all(fd, bytes);
    if (r)
        return err_trace(r);
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return err_origin(-errno);
    return 0;
}

int file_write(int dir_fd, const char *name, struct span bytes, mode_t mode)
{
    CLEANUP(mem_freep) char *fresh = mem_format("%s.new", name);
    int r = file_write_new(dir_fd, fresh, bytes, mode);
    if (!r && renameat(dir_fd, fresh, dir_fd, name) < 0)
        r = err_origin(-errno);
    if (r) {
        unlinkat(dir_fd, fresh, 0);
        return err_trace(r);
    }
    return err_trace(file_sync_parent(dir_fd, name));
}

int dir_make(int dir_fd, const char *name, mode_t mode)
{
    if (mkdirat(dir_fd, name, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return err_origin(-errno);

    struct stat info;
    if (fstatat(dir_fd, name, &info, 0) < 0)
        return err_origin(-errno);
    return S_ISDIR(info.st_mode) ? 0 : err_origin(-ENOTDIR);
}
