#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names of hosts, and the addresses they have now.
 *
 * What is asked for is written as addresses are, with a name where they have one: "etcd-1:2379". The
 * hosts file comes first, then the servers that resolv.conf names (this machine where it names none),
 * by UDP and, where an answer does not fit, by TCP. Both files are read again when they have changed.
 * A name has all its addresses, of IPv4 and IPv6, those first that can be reached best (RFC 6724).
 *
 * Who asks for a name that somebody is asking for already shares the answer, and answers are kept
 * for as long as their TTL says, within bounds; also that there is none, shortly. What to do when a
 * name that had addresses has none is left to its owner: going on with the old ones is often best.
 * That a name leads to an address does not mean that one may go there: who restricts where it
 * connects to looks at the addresses.
 *
 * Owns:     the names, their addresses, the sockets to the servers.
 * Borrows:  the loop, and requests until they are told or cancelled.
 * Threads:  the loop's.
 * Cost:     a kept name O(1) and no system call; a new one reads the hosts file.
 * Source:   RFC 1035, RFC 3596 and RFC 7766 by c-ares; floors of TTLs as RFC 8767 has them.
 */

#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/span.h"
#include "io/loop.h"
#include "io/socket.h"

#define RESOLVER_NAME_MAX 253u
#define RESOLVER_ADDRESSES_MAX 32u /* of one name; what a server adds to them is left out */
#define RESOLVER_NAMES_MAX 4096u   /* kept at a time, with those that are asked for */
#define RESOLVER_QUERIES_MAX 64u   /* names under way; the others wait for their turn */

#define RESOLVER_TTL_MIN (5 * NSEC_PER_SEC)
#define RESOLVER_TTL_MAX (300 * NSEC_PER_SEC)
#define RESOLVER_TTL_NONE (5 * NSEC_PER_SEC)   /* that there is no such name */
#define RESOLVER_TTL_FAILED (1 * NSEC_PER_SEC) /* that it could not be found out */

enum resolver_answer {
    RESOLVER_OK,
    RESOLVER_BAD_NAME, /* neither an address nor name:port */
    RESOLVER_NO_NAME,  /* there is no such name, or it has no address */
    RESOLVER_TIMEOUT,  /* by the deadline, or the servers are silent */
    RESOLVER_FAILED,   /* the servers refuse, or what they say makes no sense */
    RESOLVER_BUSY,     /* RESOLVER_NAMES_MAX names are in use */
};

struct resolver_result {
    enum resolver_answer answer;
    unsigned n_addresses;                             /* with RESOLVER_OK, one at least */
    struct address addresses[RESOLVER_ADDRESSES_MAX]; /* each with the port that was asked for */
    nsec expires_at; /* when it is worth asking again; NSEC_NEVER of an address */
};

struct resolver;
struct resolver_name;

/* Embedded in its owner. Zeroed, with on_resolved, it is one that nobody waits for. */
struct resolver_request {
    /* From the loop, once for each resolver_ask(), never from inside it. The request may be freed or
     * used again, and the resolver be freed. The result is valid during the call. */
    void (*on_resolved)(struct resolver_request *request, const struct resolver_result *result);

    struct resolver *resolver; /* while somebody waits */
    struct resolver_name *name;
    struct list link;
    struct task tell;
    struct timer deadline;
    enum resolver_answer answer;
    struct address address; /* an address that was asked for; of a name, the port */
};

struct resolver_settings {
    const char *conf; /* NULL: /etc/resolv.conf */
    unsigned port;    /* of the servers in it; 0: 53 */
    nsec patience;    /* with a server the first time, the second twice as long; 0: 2 s */
};

/* `settings` may be NULL. */
struct resolver *resolver_new(struct loop *loop, const struct resolver_settings *settings);

/* Requests under way are over without a callback. */
struct resolver *resolver_free(struct resolver *resolver);

/* Whether the text is an address, or name:port. No server is asked. */
bool resolver_accepts(struct span text);

/* Asks for the addresses of "name:port". An address, and a kept name, are told at the end of the
 * turn. The deadline is monotonic, NSEC_NEVER for none: servers that are silent end it anyway. */
void resolver_ask(struct resolver *resolver, struct resolver_request *request, struct span text,
                  nsec deadline);

/* No callback follows. Idempotent. */
void resolver_cancel(struct resolver_request *request);

/* What an answer other than RESOLVER_OK means, for a log: "has no address". */
const char *resolver_answer_text(enum resolver_answer answer);
