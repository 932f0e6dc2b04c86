#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The two secrets of a data directory, made at the first start: the management token ("token") and
 * the keys of the signed cookie ("cookie.keys", one or two lines of 64 hex digits; the first
 * signs). A file that others can read is refused. In a cluster the keys of the cookie are kept in
 * the same form by the store, and those of the directory are what the first process brings along.
 *
 * Threads: any; before serving.
 */

#include "base/compiler.h"
#include "base/error.h"
#include "gateway/gateway.h"

#define COOKIE_KEYS_TEXT (2 * (2 * COOKIE_KEY_SIZE + 1) + 1)
#define TOKEN_TEXT_SIZE 52u /* base32 of 256 bits */

enum secrets_answer {
    SECRETS_OK,
    SECRETS_REFUSED, /* the problem names the file and what is wrong with it */
};

/* Where a cluster has them in its store: the keys of the cookie, and what members know each other
 * by. */
#define COOKIE_KEYS_KEY "gateway/cookie.keys"
#define MEMBER_SECRET_KEY "secret/member"

/* Answers: SECRETS_REFUSED. */
int secrets_token(int dir_fd, char ret_token[TOKEN_TEXT_SIZE + 1], struct problem *problem)
    MUST_CHECK;
int secrets_cookie_keys(int dir_fd, struct cookie_keys *ret_keys, struct problem *problem)
    MUST_CHECK;

/* The keys as such a file has them; `path` is for the problem. Answers: SECRETS_REFUSED. */
int secrets_read_cookie_keys(struct span text, const char *path, struct cookie_keys *ret_keys,
                             struct problem *problem) MUST_CHECK;
size_t secrets_write_cookie_keys(const struct cookie_keys *keys, char ret_text[COOKIE_KEYS_TEXT]);
