/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Calls of the system that are ours, for the whole program with its libraries: what is random comes
 * from the seed, a thread is a loop that the world turns, and what is written to files is seen.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "disk.h"
#include "loop.h"
#include "world.h"

#define OURS __attribute__((visibility("default")))
#define THREADS_MAX 64u

static struct {
    void *(*main)(void *owner);
    void *owner;
} threads[THREADS_MAX];

static struct disk *current_disk(void)
{
    return machine_current() ? machine_current()->disk : NULL;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the headers' are reserved */

OURS ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)chance_number();
    return (ssize_t)size;
}

/* The same on every machine. */
OURS int gethostname(char *name, size_t size)
{
    snprintf(name, size, "sim");
    return 0;
}

/* --- threads: their loops turn without them, and at their end they finish --- */

OURS int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                        void *(*main)(void *owner), void *owner)
{
    (void)attributes;
    for (unsigned i = 1; i < THREADS_MAX; i++) {
        if (threads[i].main)
            continue;
        threads[i].main = main;
        threads[i].owner = owner;
        *thread = i;
        return 0;
    }
    return EAGAIN;
}

OURS int pthread_join(pthread_t thread, void **result)
{
    void *end = threads[thread].main(threads[thread].owner);
    threads[thread].main = NULL;
    if (result)
        *result = end;
    return 0;
}

OURS int pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread, (void)name;
    return 0;
}

/* --- files --- */

OURS ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    struct disk *disk = current_disk();
    if (disk && !disk_on_write(disk, fd, at, size)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, at);
}

OURS int ftruncate64(int fd, off64_t size)
{
    struct disk *disk = current_disk();
    if (disk && !disk_on_truncate(disk, fd, size)) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}

OURS int fsync(int fd)
{
    if (current_disk())
        disk_on_sync(current_disk(), fd);
    return 0;
}

OURS int fdatasync(int fd)
{
    return fsync(fd);
}

OURS int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    int r = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
    if (!r && current_disk())
        disk_on_rename(current_disk(), to);
    return r;
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
