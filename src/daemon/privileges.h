#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Giving up what root may: a server that was started by root binds its ports and hands its data
 * directory over, and then is an ordinary user for good, with no capability.
 *
 * Threads: one; before any other is started.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/error.h"

enum privileges_answer {
    PRIVILEGES_OK,
    PRIVILEGES_REFUSED, /* the problem names the setting */
};

struct privileges {
    char user[64];
    uid_t uid;
    gid_t gid;
    bool is_set; /* somebody else is to be become */
};

/* Looks the user and the group up; "" is to stay who we are, and a group of "" the user's own.
 * Answers: PRIVILEGES_REFUSED, also for a user whom only root can become. */
int privileges_find(const char *user, const char *group, struct privileges *ret_privileges,
                    struct problem *problem) MUST_CHECK;

/* Makes a data directory that root has left behind the user's, with all in it that is root's. One of
 * another user is refused, and links are not followed. Answers: PRIVILEGES_REFUSED. */
int privileges_hand_over(const struct privileges *privileges, const char *data,
                         struct problem *problem) MUST_CHECK;

/* Becomes the user; or stays, without capabilities unless it is root that stays. No program that is
 * executed later gains any. */
int privileges_drop(const struct privileges *privileges) MUST_CHECK;

/* Neither core dumps nor debuggers of the same user get to see keys. */
void privileges_hide_memory(void);
