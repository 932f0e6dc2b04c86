#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A job: work that goes from the control loop to the writer's thread and comes back.
 *
 * Embedded in what it works on, which belongs to the thread it was handed to.
 */

#include "base/list.h"
#include "io/mailbox.h"

struct store;
struct writer;

struct job {
    struct letter letter;
    struct list link;
    void (*on_run)(struct job *job, struct writer *writer); /* NULL: a write_job, for the group */
    void (*on_done)(struct job *job, struct store *store); /* on the loop; the job is its own now */
};
