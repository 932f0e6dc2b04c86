#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The inside of store_copy(): a copy under way.
 *
 *   copy.c          locks, the source, what is written and read back
 *   copy_target.c   how a target is half a copy, and then is whole
 *
 * Owns:     both stores while they are open, and the locks of their directories.
 * Threads:  the control loop's; it is turned here.
 */

#include "store/state.h"

struct copying {
    struct loop *loop;
    const struct store_copy *copy;
    struct problem *problem;
    int from_fd, to_fd;      /* the locks */
    struct store *from, *to; /* the second: NULL while there is nothing to look into */
    struct store_watch watch;
    bool has_changed;   /* the source */
    struct buf largest; /* the key of the source that has the most bytes with its value */
    size_t largest_size;
    struct store_write write; /* the one under way */
    int answer;               /* to it, -1 until it is there */
    size_t n_written;
    struct store_copied result;
};

/* Runs one transaction. Answers: those of a write. */
int copy_commit(struct copying *copying, struct store *store, struct txn *txn) MUST_CHECK;

/* What the target says to a transaction that it does not take; the answer again. */
int copy_refused(struct copying *copying, int answer);

/* Counts what differs, with a target that is open or NULL. */
int copy_plan(struct copying *copying) MUST_CHECK;

/* Nobody may serve from it. Answers: STORE_LOCKED. */
int copy_check_unused(struct copying *copying, const struct store *store, const char *path)
    MUST_CHECK;

/* Whether the target may be written to, after the plan. Answers: STORE_CONFLICT. */
int copy_check_empty(struct copying *copying, const char *path) MUST_CHECK;

/* Makes the target the same. Answers: those of a write. */
int copy_write_all(struct copying *copying) MUST_CHECK;

/* Opened again by `settings`, the target has the keys of the source and no others, and the source is
 * still what it was. Answers: STORE_CORRUPT, STORE_CONFLICT. */
int copy_read_back(struct copying *copying, const struct store_settings *settings) MUST_CHECK;

/* The targets. Answers: those of store_copy(). */
int copy_to_etcd(struct copying *copying) MUST_CHECK;
int copy_to_directory(struct copying *copying) MUST_CHECK;
