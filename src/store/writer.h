#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The writer: the thread that waits for the disk.
 *
 * Jobs come by mailbox and go back to the control loop the same way. Those that write keys are
 * taken together: whatever came in while the disk was busy is the next group, so the busier the
 * store, the fewer syncs a write costs. All other jobs run one by one after the group, in the
 * order of posting.
 *
 * When the disk refuses a group, nothing of it is done and all of it is told STORE_READ_ONLY;
 * so is what follows, until a trial write that is repeated every 250 ms goes through.
 *
 * Owns:     the thread, its loop, the engine and the ledger file while it runs; jobs it was sent.
 * Threads:  writer_post() the control loop's; on_run() of jobs the writer's.
 */

#include "io/mailbox.h"
#include "store/engine.h"
#include "store/job.h"

struct ledger_file;

/* One transaction on its way. */
struct write_job {
    struct job job;
    struct store_write *write;
    struct txn txn;
    struct change *changes; /* one for each operation; in the transaction's arena */
    int answer;             /* not 0 before it ran: refused already, and only passes through */
    int64_t revision;
    bool has_changes;
};

/* Takes engine and ledger, of which one that only copies keys has none. `outbox` is the loop's and gets the jobs back. */
struct writer *writer_start(struct mailbox *outbox, struct engine *engine,
                            struct ledger_file *ledger);

/* Finishes what was posted, and waits for that. */
struct writer *writer_stop(struct writer *writer);

void writer_post(struct writer *writer, struct job *job);

/* --- for on_run --- */

struct engine *writer_engine(struct writer *writer);
struct ledger_file *writer_ledger(struct writer *writer);

/* Hands the job back to the loop. */
void writer_return(struct writer *writer, struct job *job);

/* Makes ledger rows durable soon: at the end of this round, or within half a second. */
void writer_flush_ledger(struct writer *writer, bool is_urgent);
