#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asks one address after the other, each in its interval, whether it works: by a connection, by a
 * request of HTTP, or by grpc.health.v1. What it comes to is the owner's to judge.
 *
 *   wait ──interval──► asking ──answer, fault, timeout──► on_checked ──► wait
 *
 * The first checks of many start at different moments, within a second where somebody waits for
 * them, and anywhere within the interval where it is known to pass; and intervals vary by a tenth.
 * So a thousand addresses are not asked at once, nor by a thousand of us. A redirect is an answer like
 * any other, nothing is asked but what the owner named, and no more of an answer is read than tells
 * what it is.
 *
 * Where the check has a server name of its own, or verifies nobody, its TLS is a variation of the
 * owner's client, made anew when that is another.
 *
 * Owns:     calls and their connections. Borrows: the loop; what is in a checker's upper half.
 * Threads:  the loop's.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "codec/health_check.h"
#include "http/client.h"
#include "http/inlet.h"
#include "io/loop.h"

/* What checkers of one owner share. */
struct http_checkers;
struct http_checkers *http_checkers_new(struct loop *loop);

/* All checkers have been stopped. */
struct http_checkers *http_checkers_free(struct http_checkers *checkers);

struct http_checker {
    /* The owner's; what changes between two checks holds from the next on, but how TLS
     * is verified does not change. */
    struct health_check check; /* not HEALTH_NONE */
    struct address address;
    enum http_protocol protocol;  /* that a request is sent by */
    const struct tls_client *tls; /* NULL: in plain text; see health_needs_tls() */
    struct span host;             /* that is asked for; empty: the address */
    bool is_passing;              /* as far as is known: the first check can wait for its turn */
    void (*on_due)(struct http_checker *checker);                      /* before each; or NULL */
    void (*on_checked)(struct http_checker *checker, const char *why); /* NULL: it passed; static */

    struct http_checkers *checkers;
    struct timer timer; /* the next check, or the end of this one */
    struct http_call call;
    struct watch watch;            /* of a connection that is only opened */
    struct inlet in;               /* of the same, over TLS */
    const struct tls_client *held; /* `tls` as this check began, until the next */
    const struct tls_client *varied,
        *varied_of; /* with the check's own name; NULL: none is needed */
    struct buf body;
    unsigned status;
    bool has_warned; /* with what on_checked is told: it was the status of a warning */
    bool is_asking, is_connecting, is_fresh, is_ok;
    char why[48];
};

/* The checker is zero but for its upper half. */
void http_checker_start(struct http_checkers *checkers, struct http_checker *checker);

/* Idempotent; also from its callbacks. */
void http_checker_stop(struct http_checker *checker);
