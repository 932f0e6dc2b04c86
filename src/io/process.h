#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Child processes: start, learn of the end, stop. The only place that forks.
 *
 * A child leads its own process group, gets SIGKILL when we die (PR_SET_PDEATHSIG), has default
 * signal dispositions and inherits descriptors 0, 1 and 2 only. Its end arrives through a pidfd.
 *
 * Threads: the loop's. The child dies with the thread that started it, so that one must last.
 */

#include <sys/types.h>

#include "base/compiler.h"
#include "io/loop.h"

struct process {
    pid_t pid; /* 0 when none runs */
    int pidfd;
    void (*on_exit)(struct process *process, int wait_status); /* as of waitpid(2) */
    struct watch watch;
};

enum process_answer {
    PROCESS_OK,
    PROCESS_NOT_FOUND, /* no such program, or it may not be executed */
};

/* argv and env end with NULL; env NULL is ours. Answers: PROCESS_NOT_FOUND. */
int process_start(struct process *process, struct loop *loop, const char *const *argv,
                  const char *const *env) MUST_CHECK;

/* A process of its own session that outlives us, with `keep_fd` open beside 0, 1 and 2. Who waits
 * for it may. Answers: PROCESS_NOT_FOUND. */
int process_detach(const char *const *argv, int keep_fd, pid_t *ret_pid) MUST_CHECK;

/* Sends the signal to the child's whole group. Idempotent after its end. */
void process_signal(struct process *process, int signal);

/* Kills the group and reaps it, waiting. on_exit is not called. */
void process_kill(struct process *process);
