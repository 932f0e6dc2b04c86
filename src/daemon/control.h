#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control loop: puts the rooms together and keeps them going.
 *
 *   store ─events→ registry, version, rollout ─snapshot→ gateway workers
 *   timers: TTLs, rollout steps, expiring pins, usage once a second
 *
 * Owns:     every room, the gateway and the management API. Borrows: the loop and the settings,
 *           which outlive it.
 * Threads:  the control loop.
 */

#include "base/compiler.h"
#include "base/error.h"
#include "daemon/settings.h"
#include "gateway/gateway.h"
#include "io/loop.h"

struct control;
struct predecessor;

enum control_answer {
    CONTROL_OK,
    CONTROL_REFUSED, /* the problem says what stands against starting */
};

/* on_ready is called when everything serves, or on_failed when the gateway or the API cannot. */
struct control_hooks {
    void (*on_ready)(void *owner);
    void (*on_failed)(void *owner, const struct problem *problem);
    /* Called while there is one thread, with the ports bound and the data directory there: the
     * process gives up what it needs no more. Answers: CONTROL_REFUSED. May be NULL. */
    int (*confine)(void *owner, struct problem *problem);
    /* Whether new settings name only what can be opened since then. May be NULL. */
    int (*check)(void *owner, const struct settings *settings, struct problem *problem);
    const struct sandbox_report *sandbox; /* for health; NULL: none */
    void *owner;
    struct predecessor *predecessor; /* whose sockets and store it takes; NULL: there is none */
};

/* Answers: CONTROL_REFUSED. */
int control_start(struct loop *loop, const struct settings *settings,
                  const struct control_hooks *hooks, struct control **ret_control,
                  struct problem *problem) MUST_CHECK;

/* Takes over new settings, which outlive it. Answers: CONTROL_REFUSED, when a listener cannot be
 * had or something changes that cannot change at run time; then nothing has changed. */
int control_reload(struct control *control, const struct settings *settings,
                   struct problem *problem) MUST_CHECK;

/* Opens log files anew, after they were renamed. control_reload() does it, too. */
void control_reopen_logs(struct control *control);

/* Stops accepting, lets requests under way end, writes the last usage, then calls on_done. */
void control_stop(struct control *control, void (*on_done)(void *owner), void *owner);

/* --- for another process that takes over --- */

#define CONTROL_SOCKETS_MAX (GATEWAY_LISTENERS_MAX + 3)

/* The sockets of the gateway's listeners, of the API, and of faces. */
unsigned control_n_sockets(const struct control *control);
struct gateway_sockets control_sockets(const struct control *control, unsigned index);

/* Calls under way are answered, and no more are taken; then the store is closed and on_held is
 * called. The gateway goes on. */
void control_hold(struct control *control, void (*on_held)(void *owner), void *owner);

/* All is as before control_hold(), and nobody has lost a heartbeat. Answers: CONTROL_REFUSED when
 * the store cannot be opened now. */
int control_resume(struct control *control, struct problem *problem) MUST_CHECK;

/* What opening the store and loading the rooms from it took at the start. */
nsec control_opening_took(const struct control *control);

/* Who gets what still comes here. */
struct control_heir {
    void (*on_usage)(void *owner, struct usage_table *table); /* the table stays the caller's */
    void (*on_bom)(void *owner, struct span canonical_json);
    void (*on_connection)(void *owner,
                          const struct gateway_connection *connection); /* its fd too */
    void *owner;
};

/* After control_hold(): the heir serves, and has the sockets that `taken` names by index. Drains,
 * then calls on_done. */
void control_leave(struct control *control, const struct control_heir *heir, const bool *taken,
                   void (*on_done)(void *owner), void *owner);

struct control *control_free(struct control *control);

/* Where things really listen; index as in settings->gateway.listeners. */
void control_listener_text(const struct control *control, unsigned index, char *text, size_t size);
void control_api_text(const struct control *control, char *text, size_t size);
/* Empty when it is not served. */
void control_consul_text(const struct control *control, char *text, size_t size);
const char *control_token(const struct control *control);
