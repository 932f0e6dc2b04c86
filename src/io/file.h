#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whole small files, written so that a crash leaves the old or the new one: temporary name, write,
 * fsync, rename, fsync of the directory.
 *
 * Threads: any; these block, and belong to start-up, the control loop's rare work and the store.
 */

#include <sys/stat.h>

#include "base/buf.h"
#include "base/compiler.h"

enum file_answer {
    FILE_OK,
    FILE_ABSENT,
    FILE_TOO_LARGE, /* more than the buffer's limit */
};

/* Answers: FILE_ABSENT, FILE_TOO_LARGE. */
int file_read(int dir_fd, const char *name, struct buf *bytes) MUST_CHECK;
int file_write(int dir_fd, const char *name, struct span bytes, mode_t mode) MUST_CHECK;

/* mkdir -p for the last part only; an existing directory is fine. */
int dir_make(int dir_fd, const char *name, mode_t mode) MUST_CHECK;

void fd_closep(const int *fd);

/* Hands the descriptor over, so that fd_closep() has nothing to close. */
static inline int fd_steal(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}
