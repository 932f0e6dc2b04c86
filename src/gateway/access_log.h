#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The access log: a JSON line for every request that has ended.
 *
 *   worker ─access_log_put()→ ring ─┐
 *   worker ─access_log_put()→ ring ─┼→ a thread of its own ─→ file, standard output, syslog
 *   worker ─access_log_put()→ ring ─┘
 *
 * A worker formats its line into its own ring and never waits: what finds no room is dropped and
 * counted, and when there is room again the log has a line of its own that says how many were
 * lost, as the program's log does. The thread writes what came in the last hundredth of a second
 * at once; a worker wakes it only when it sleeps or when a ring is half full.
 *
 * A new target is taken between two lines, after what had come before was written as far as it
 * could be: a file that was renamed and is opened anew loses nothing.
 *
 * Owns:     rings, thread, target. Borrows: the clock; it is asked from the thread, too.
 * Threads:  a writer is one worker's; all else the control loop's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "gateway/access_entry.h"
#include "gateway/access_target.h"
#include "io/loop.h"

struct access_log;
struct access_writer;

struct access_log *access_log_new(unsigned n_writers, struct clock *clock);

/* Makes the rings and starts the thread; idempotent. A log that is never asked for costs neither. */
int access_log_start(struct access_log *log) MUST_CHECK;

/* From now on lines go there; NULL: nowhere. Takes the target. After access_log_start(). */
void access_log_set(struct access_log *log, struct access_target *target);

/* Writes what the rings hold for at most `grace`, and ends. The workers have ended before. */
struct access_log *access_log_free(struct access_log *log, nsec grace);

/* Lines dropped so far. */
uint64_t access_log_dropped(const struct access_log *log);

/* --- for a worker --- */

struct access_writer *access_log_writer(struct access_log *log, unsigned number);

/* The line goes to the thread at the end of the loop's turn. After access_log_start(). */
void access_log_put(struct access_writer *writer, struct loop *loop,
                    const struct access_redaction *redaction, const struct access_entry *entry);

/* At the end of the worker: what the last turn put. */
void access_log_end(struct access_writer *writer);
