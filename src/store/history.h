#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The newest changes in memory, for watches that ask for the past where the disk that has it is
 * not ours.
 *
 * Owns:     the records.
 * Threads:  none of its own.
 * Cost:     add O(size of the change), read O(n + what is read).
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "store/store.h"

/* Of all that is kept: what is older goes, however few revisions they are. */
#define HISTORY_SIZE_MAX ((size_t)64 * 1024 * 1024)

struct history {
    struct list pieces; /* the oldest first */
    size_t n_pieces, size;
};

void history_init(struct history *history);

/* Forgets everything; it can be used again. */
void history_clear(struct history *history);

/* Revisions come in ascending order. */
void history_add(struct history *history, const struct store_event *events, size_t n_events,
                 int64_t revision);

/* The newest that was added; 0 when none is kept. */
int64_t history_newest(const struct history *history);

/* Drops the oldest until `keep` are left, and all fit; never those from `awaited` on. Returns the
 * newest revision that went, 0 when none did. */
int64_t history_trim(struct history *history, int64_t keep, int64_t awaited);

/* As engine_history(). */
void history_read(const struct history *history, int64_t from, size_t size, struct buf *bytes);
