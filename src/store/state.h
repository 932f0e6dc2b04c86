#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An open store as the files of this room see it: the loop's side.
 */

#include "base/list.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "store/index.h"
#include "store/store.h"
#include "store/writer.h"

struct etcd;
struct history;

struct store {
    struct loop *loop;
    int dir_fd;   /* carries the lock */
    int blobs_fd; /* the directory blobs/ */
    struct mailbox *outbox;
    struct writer *writer;
    struct etcd *etcd;       /* the engine, when it is not the writer's */
    struct history *history; /* with etcd: the past, which the writer has otherwise */
    struct index index;
    struct task sweep;
    int64_t revision;
    int64_t compacted; /* what watchers may no longer ask for; the disk follows */
    int64_t keep_revisions;
    bool is_read_only, is_closing;
    struct list leases;    /* struct lease */
    struct list live;      /* watches that have had all there is */
    struct list catch_ups; /* of the others */
    struct list refused;   /* jobs that came while closing */
};

/* What only a copy asks for. */
struct store_opening {
    bool is_keys_only;      /* the caller has the lock; ledger and blobs stay as they are */
    bool takes_half;        /* what another copy left unfinished */
    int64_t first_revision; /* at least what a store must have reached when it is open; 0 */
};

int store_open_as(struct loop *loop, const struct store_settings *settings,
                  const struct store_opening *opening, struct store **ret_store,
                  struct problem *problem) MUST_CHECK;

/* The lock is the directory's own: no file is left behind, and the kernel drops it with us.
 * Answers: STORE_LOCKED. */
int store_lock(const char *path, int *ret_fd, struct problem *problem) MUST_CHECK;

/* What a copy has not finished: with etcd a key, else a directory in the store's, where the copy
 * comes to be. */
#define STORE_HALF_KEY "~copy"
#define STORE_HALF_DIR "store.copy"

/* Sends the job to the writer; while the store closes, it is done unrun instead. */
void store_post(struct store *store, struct job *job);

/* Gives the events of one revision to the live watches. */
void store_tell_watches(struct store *store, const struct store_event *events, size_t n_events,
                        int64_t revision);

/* Applies the changes of one revision, which now is the store's, and tells of them. */
void store_apply_revision(struct store *store, struct store_event *events, size_t n_events,
                          int64_t revision);

/* With a history: gives the watches that read it all there is. */
void store_finish_catch_ups(struct store *store);

/* The oldest revision some watch still waits for, or INT64_MAX. */
int64_t store_oldest_awaited(const struct store *store);

/* Leaves all watches to their owners. */
void store_drop_watches(struct store *store);

/* Opens blobs/ and removes what unfinished writers left there. */
int blobs_open(struct store *store) MUST_CHECK;
