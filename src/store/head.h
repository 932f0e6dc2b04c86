#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The head file: the last acknowledged revision, kept outside the database.
 *
 * SQLite drops every commit behind a damaged frame of its log without a word. So the revision is
 * also written here and synced, after the commit and before anyone is told: a database that ends
 * below the head has lost acknowledged writes.
 *
 * Two slots, each in a disk block of its own and written in turn, so that a torn write leaves the
 * other: at 0 and at 4096, all little-endian,
 *   "SARSENH1" · 16 bytes id of the store · u64 sequence · i64 revision · u32 chain · u32 CRC-32C
 * The newer slot that is whole counts. One that is not whole was never acknowledged.
 *
 * Threads: one at a time. Cost of a write: one fdatasync.
 */

#include <stdint.h>

#include "base/compiler.h"

#define HEAD_ID_SIZE 16u

enum head_answer {
    HEAD_OK,
    HEAD_ABSENT, /* no such file */
    HEAD_BAD,    /* neither slot is whole */
};

struct head {
    int fd;
    uint64_t sequence;
    uint8_t id[HEAD_ID_SIZE];
    int64_t revision;
    uint32_t chain;
};

/* Makes the file, with its first head, or replaces what a start that broke off left. */
int head_create(struct head *head, int dir_fd, const char *name) MUST_CHECK;

/* Answers: HEAD_ABSENT, HEAD_BAD. */
int head_open(struct head *head, int dir_fd, const char *name) MUST_CHECK;
void head_close(struct head *head);

/* Writes revision and chain; the other slot keeps the head before. */
int head_write(struct head *head, int64_t revision, uint32_t chain) MUST_CHECK;
