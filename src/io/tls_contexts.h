#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The certificates that a listener serves by at one time, as the library wants them: a context for
 * each, found by the name that a client asks for. Immutable once made; private to io/tls*.c.
 *
 * Owns:     the library's contexts, a reference to the tickets.
 * Threads:  any; references are counted atomically.
 */

#include "base/arena.h"
#include "base/map.h"
#include "io/tls_stream.h"

struct tls_contexts {
    atomic_uint n_refs;
    struct arena arena;
    struct tls_tickets *tickets;
    SSL_CTX **contexts; /* one for each pair */
    unsigned n;
    struct map names; /* "a.example.com", "*.example.com" */
    bool is_http1_only;
    enum tls_sealing sealing;
    unix_msec expires; /* the first of them */
};

/* Reads the files. `now` refuses what is not valid then; 0 takes it.
 * Answers: TLS_REFUSED. */
int tls_contexts_new(const char *name, const struct tls_server_settings *settings,
                     struct tls_tickets *tickets, unix_msec now, struct tls_contexts **ret_contexts,
                     struct problem *problem) MUST_CHECK;
struct tls_contexts *tls_contexts_ref(struct tls_contexts *contexts);
struct tls_contexts *tls_contexts_unref(struct tls_contexts *contexts);

/* For a file that everybody names in the same words. Always TLS_REFUSED. */
int tls_refuse_file(struct problem *problem, const char *file, const char *why);

/* For a file that the library could not use; `what` says as what, its words or better ones say why. Always
 * TLS_REFUSED. */
int tls_refuse_content(struct problem *problem, const char *file, const char *what);
