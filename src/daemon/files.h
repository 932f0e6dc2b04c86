#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files of releases that were uploaded to other members of the cluster, and are fetched from them.
 *
 *   wanted ──► asking a member ──bytes, SHA-256 holds──► kept as a blob
 *     ▲             │ it has them not, or breaks off
 *     └─ the next member; after all of them a pause of 200 ms, twice as long each round, to 30 s
 *
 * A member whose host has several addresses is asked at another one each round. One whose API listens
 * on another host's loopback cannot be asked. Who has nobody to ask waits for a member to come.
 *
 * The bytes go to a file as they come, and count only when their SHA-256 is the one asked for: so it
 * does not matter who gave them, and TLS is spoken with whoever answers. Members show each other a
 * proof instead of a token, see api_member_proof().
 *
 * Owns:     what is wanted, calls under way. Borrows: the loop, the store, the registry.
 * Threads:  the control loop.
 * Cost:     FILES_AT_ONCE calls at a time; a file that is wanted 200 bytes.
 */

#include "io/loop.h"
#include "registry/registry.h"
#include "store/store.h"
#include "version/version.h"

#define FILES_AT_ONCE 4u

struct files;

/* Adds the SHA-256 of each file that a release names, by files_name(). */
struct files_names;
typedef void (*files_names_fn)(void *owner, struct files_names *names);
void files_name(struct files_names *names, const struct release_file *file);

/* `n_missing`: files that are named and not here yet; borrowed, and kept up to date. */
struct files *files_new(struct loop *loop, struct store *store, const struct registry *registry,
                        size_t *n_missing);

/* Who is asked what is named still, when files_unname() said that something may not be. */
void files_set_names(struct files *files, files_names_fn fill_names, void *owner);

/* Breaks off what is under way; before the store is closed. */
struct files *files_free(struct files *files);

/* What members prove to each other that they are by. Empty: nobody is asked yet. */
void files_set_secret(struct files *files, struct span secret);

/* A record names it: it is fetched when it is not here. */
void files_want(struct files *files, const struct release_file *file);

/* A record became another, or went: what none names any more is wanted no longer. */
void files_unname(struct files *files);

/* Members came or went: what was not to be had is asked for again. */
void files_members_changed(struct files *files);
