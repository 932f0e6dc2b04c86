#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tokens: who may call the management API, and whether to change things or only to look.
 *
 * A token has a name, which the audit log shows, and a secret text, which is shown once. What is
 * kept is a fold over the store: auth_apply() takes every committed change under "auth/", and
 * commands fill transactions.
 *
 * Owns:     its records, copied. Borrows: nothing. Threads: the control loop; no I/O.
 * Cost:     token_check is linear in the number of tokens, of which there are few.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/span.h"
#include "store/store.h"

#define AUTH_PREFIX "auth/"
#define TOKEN_NAME_MAX 63u
#define TOKENS_MAX 1000u

enum auth_answer {
    AUTH_OK,
    AUTH_INVALID,   /* the problem names the field */
    AUTH_NOT_FOUND, /* no such token */
    AUTH_EXISTS,    /* the name is taken */
    AUTH_FULL,      /* TOKENS_MAX is reached */
};

struct token {
    struct map_node node; /* by name */
    char *name;
    uint8_t sha256[SHA256_SIZE];
    bool is_read_only;
    unix_msec created, expires; /* expires: 0 = never */
    int64_t mod_revision;
};

struct auth;

struct auth *auth_new(void);
struct auth *auth_free(struct auth *auth);

/* Takes a committed change. A record that cannot be read is a fault and is left out. */
int auth_apply(struct auth *auth, const struct store_event *event) MUST_CHECK;

/* struct token by name. */
const struct map *auth_tokens(const struct auth *auth);
const struct token *token_find(const struct auth *auth, struct span name);

/* The token whose text this is, NULL when it is none or has expired. */
const struct token *token_check(const struct auth *auth, struct span text, unix_msec now);

struct token_spec {
    struct span name;
    struct span text; /* the secret */
    bool is_read_only;
    unix_msec expires; /* 0 = never */
};

/* Answers: AUTH_INVALID, AUTH_EXISTS, AUTH_FULL. */
int token_create(const struct auth *auth, const struct token_spec *spec, unix_msec now,
                 struct txn *txn, struct problem *problem) MUST_CHECK;

/* From then on it opens nothing. Answers: AUTH_NOT_FOUND. */
int token_revoke(const struct auth *auth, struct span name, struct txn *txn,
                 struct problem *problem) MUST_CHECK;
