#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Signals as events of a loop (signalfd). SIGPIPE is ignored for good.
 *
 * Threads: signals_open() before any other thread starts, so that all inherit the mask.
 */

#include "base/compiler.h"
#include "io/loop.h"

struct signals {
    int fd;
    void (*on_signal)(struct signals *signals, int signal);
    struct watch watch;
};

/* Watches SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2. */
int signals_open(struct signals *signals, struct loop *loop) MUST_CHECK;
void signals_close(struct signals *signals);
