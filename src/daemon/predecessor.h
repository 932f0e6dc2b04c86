#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The process that this one takes over from, as this one sees it: its sockets before anything
 * serves here, its store when everything else is ready, and what it hands on while it drains. It
 * may itself have been drained into by an elder one, whose end is then ours to see, too.
 *
 * The service manager's sockets come the same way, with nobody behind them.
 *
 * Owns:    descriptors and channels. Borrows: the loop and the hooks' owner, from
 *          predecessor_ready() on.
 * Threads: the control loop's; what is before predecessor_ready() blocks.
 */

#include "base/error.h"
#include "gateway/gateway.h"
#include "io/channel.h"
#include "io/given.h"

struct predecessor;

enum predecessor_answer {
    PREDECESSOR_OK,
    PREDECESSOR_REFUSED, /* the problem says why */
};

/* What it hands on. */
struct predecessor_hooks {
    void (*on_usage)(void *owner, struct usage_table *table); /* the table stays the caller's */
    void (*on_bom)(void *owner, struct span canonical_json);
    void (*on_connection)(void *owner,
                          const struct gateway_connection *connection); /* its fd too */
    void (*on_alone)(void *owner);                                      /* nobody drains any more */
    void *owner;
};

/* Knows the service manager's sockets already. */
struct predecessor *predecessor_new(void);
struct predecessor *predecessor_free(struct predecessor *predecessor);

/* Whoever started this process waits only until it serves: from predecessor_ready() on what it writes
 * goes where the output of the predecessor goes. */
void predecessor_want_output(struct predecessor *predecessor);

/* Asks whoever serves from that data directory for its sockets; it goes on. Nobody is there: 0, and
 * there are none. Answers: PREDECESSOR_REFUSED. */
int predecessor_ask(struct predecessor *predecessor, const char *data, struct problem *problem)
    MUST_CHECK;

/* Sockets to listen with. */
struct given *predecessor_given(struct predecessor *predecessor);

/* Waits until it has given up its store. Answers: PREDECESSOR_REFUSED. */
int predecessor_get_store(struct predecessor *predecessor, struct problem *problem) MUST_CHECK;

/* Everything serves here: it drains. Sockets that nobody took are closed. */
void predecessor_ready(struct predecessor *predecessor, struct loop *loop,
                       const struct predecessor_hooks *hooks);

/* Whether nobody drains: nothing more comes. */
bool predecessor_is_alone(const struct predecessor *predecessor);

/* Where the next process asks; the caller's. -1 when there was no predecessor. */
int predecessor_take_door(struct predecessor *predecessor);

/* Takes nothing more for now; what is handed on waits. And again. */
void predecessor_pause(struct predecessor *predecessor);
void predecessor_resume(struct predecessor *predecessor);

/* Hands those that still drain on to the next process. */
void predecessor_pass_on(struct predecessor *predecessor, struct channel *to);
