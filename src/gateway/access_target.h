#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where lines of the access log go: a file, standard output, a syslog daemon.
 *
 * A file is appended to and made with mode 0640; a symbolic link in its place is refused, so that
 * nobody who may write to the directory leads the lines elsewhere. A FIFO may be given too. A
 * syslog daemon gets one datagram a line, severity informational of facility local0, in the form
 * that it expects: over a unix socket what the C library's syslog() sends (RFC 3164), over UDP
 * RFC 5424.
 *
 * Owns:     its descriptor. Threads: one at a time; opening may be another's.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/span.h"
#include "gateway/settings.h"

struct access_target;

enum access_target_answer {
    ACCESS_TARGET_OK,
    ACCESS_TARGET_REFUSED, /* the problem says what and why */
};

/* Not for ACCESS_OFF. A syslog daemon that is not there now may come: that is no refusal. */
int access_target_open(const struct gateway_access *settings, struct access_target **ret_target,
                       struct problem *problem) MUST_CHECK;
struct access_target *access_target_close(struct access_target *target);
DEFINE_CLEANUP(struct access_target *, access_target_close);

enum access_written {
    ACCESS_WRITTEN,
    ACCESS_BLOCKED, /* poll the descriptor for POLLOUT */
    ACCESS_FAILED,  /* errno says why; try again later */
    ACCESS_TOO_BIG, /* this line is refused for its size; *ret_size is that of the line */
};

/* Writes from the two parts, which are whole lines, as much as goes at once, and does not wait.
 * What was taken, which may end inside a line, is *ret_size. */
enum access_written access_target_write(struct access_target *target, const struct span parts[2],
                                        unix_msec wall, size_t *ret_size);

/* What to poll. */
int access_target_fd(const struct access_target *target);
