#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Telling the service manager how the process is: sd_notify(3), one datagram of "NAME=value" lines
 * to the unix socket that $NOTIFY_SOCKET names.
 *
 * Nobody waits for an answer, and without a manager nothing happens: a process that cannot tell of
 * itself serves all the same.
 *
 * Threads: any; the environment must not change meanwhile.
 */

#include "base/compiler.h"

/* "READY=1", "RELOADING=1", "STOPPING=1", "STATUS=…", "MAINPID=…"; several with newlines between.
 * At most 511 bytes. */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);

/* What sd_notify(3) wants beside RELOADING=1: CLOCK_MONOTONIC in microseconds. */
void notify_reloading(void);
