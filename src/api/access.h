#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who makes a call, and whether it may; private to the room.
 *
 *   on api.sock                 a peer of our uid, or root: everything, without a token
 *   with the data directory's   everything
 *   with a token of auth        everything, or reading alone
 *   without, on loopback        routes that are open, while registration is
 *   another member of ours      routes for members, by a proof instead of a token
 *
 * Against a page that a browser was lured to: Host must be a name of ours, Origin the same, and
 * what a form can send changes nothing without a token. An address that brings wrong tokens is
 * asked to wait; on loopback, where all processes share one, those with a right one need not. Members'
 * proofs are not counted: nobody guesses one, and the clock of a member may be wrong.
 */

#include "api/api.h"
#include "api/attempts.h"
#include "api/member.h"
#include "auth/auth.h"
#include "http/server.h"

struct api_route;

#define CALLER_NAME_MAX (TOKEN_NAME_MAX + 16u)

struct caller {
    char name[CALLER_NAME_MAX]; /* "token", "token:ci", "uid:0", "open" */
    bool is_read_only;
    bool is_known; /* not merely let in because the route is open */
};

struct access {
    const char *token;         /* of the data directory */
    const char *hosts;         /* names that Host may have, with commas between them */
    bool registration_is_open; /* open routes need no token */
    const struct auth *auth;
    struct attempts attempts;
    uint8_t member_secret[API_MEMBER_SECRET_SIZE];
    unsigned member_secret_size; /* 0: it is alone */
};

struct access_refusal {
    unsigned status;
    const char *field, *text; /* field: "" or what it is about */
    char made[160];           /* what `text` is, where it has figures */
};

struct access_moment {
    nsec now;
    unix_msec wall;
};

/* False: *ret_refusal says why not. */
bool access_check(struct access *access, const struct http_exchange *exchange,
                  const struct api_route *route, struct access_moment moment,
                  struct caller *ret_caller, struct access_refusal *ret_refusal) MUST_CHECK;

/* Whether Host and Origin are ours. */
bool access_is_from_here(const struct access *access, const struct http_exchange *exchange);
