#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A worker: one thread of the data plane with everything it needs of its own.
 *
 * It is made and freed on the control loop; between worker_start() and the NOTE_ENDED that it
 * posts last, what it holds belongs to its thread. The two sides meet in notes only: a note that
 * was posted belongs to the receiver until it is posted back.
 *
 *   control ──VIEW, LISTEN, UNLISTEN, CONNECTION, COLLECT, PRESSURE, STOP──► worker
 *   control ◄─TAKEN, VIEW (given back), BOM, COLLECT (with the table), UNLISTEN, CONNECTION,
 *             ENDED── worker
 *
 * A view lives here as an epoch: the view, this thread's BOM cache and balancing state for it, and
 * a count of the requests that still look at it. The count is what makes snapshots safe without
 * atomics: the last request of an old epoch gives the view back.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "gateway/access_log.h"
#include "gateway/cookie_cache.h"
#include "gateway/gateway.h"
#include "gateway/sockets.h"
#include "gateway/view.h"
#include "http/client.h"
#include "http/server.h"
#include "io/mailbox.h"

#define LISTENER_SLOTS (2u * GATEWAY_LISTENERS_MAX) /* old and new ones during a reload */
#define WORKER_RANDOM_SIZE 4096u
#define WORKER_LINES_SIZE                                                                          \
    2162688u /* the largest head that a setting allows, twice, and what we add */
#define RELEASE_SLOTS 64u
#define FREE_REQUESTS_MAX 1024u

enum note_kind {
    NOTE_VIEW,
    NOTE_TAKEN,
    NOTE_LISTEN,
    NOTE_UNLISTEN,
    NOTE_CONNECTION,
    NOTE_COLLECT,
    NOTE_BOM,
    NOTE_PRESSURE,
    NOTE_STOP,
    NOTE_ENDED,
};

struct worker;

struct note {
    struct letter letter;
    enum note_kind kind;
    struct worker *worker; /* the one that it goes to or comes from */
};

/* Comes back when the last request of its epoch has ended; `taken` at once, when the worker serves
 * by it. */
struct note_view {
    struct note note, taken;
    struct view *view;
};

/* The descriptor stays the gateway's; UNLISTEN comes back when nothing uses it any more. */
struct note_listener {
    struct note note;
    unsigned slot;
    bool is_internal, is_kept;
    struct http_listen_options options;
    struct http_settings settings;
    unsigned n_fds;
    int fds[WORKERS_MAX];
};

/* There: of another process, to be served; back: to be served by one. */
struct note_connection {
    struct note note;
    unsigned slot;
    int fd;
    struct address peer;
};

struct note_collect {
    struct note note;
    struct usage_table *table; /* back: what was counted, or NULL */
    struct usage_table *spare; /* there: an empty one to go on with, or NULL */
};

struct note_bom {
    struct note note;
    struct span json; /* behind the struct */
};

struct note_pressure {
    struct note note;
    enum http_pressure pressure;
};

struct note_stop {
    struct note note;
    nsec grace;
    uint64_t handed; /* slots with sockets that another process goes on with */
};

/* A release that the requests of a BOM to a contract are counted under. */
struct release_slot {
    const struct bom *bom;
    uint32_t contract;
    const struct snapshot_release *release;
};

struct epoch {
    struct worker *worker;
    struct note_view *note; /* goes back with the view */
    const struct view *view;
    struct bom_cache *boms;
    nsec *refused_at;    /* by endpoint; behind those of services the static ones */
    uint32_t *cursors;   /* by group; behind these by static upstream */
    struct map reported; /* BOMs that went up, by id */
    struct release_slot releases[RELEASE_SLOTS];
    unsigned n_users; /* requests, and one for being current */
};

struct worker_listener {
    struct http_handler handler;
    struct worker *worker;
    struct http_server *server; /* NULL: the slot is free */
    struct note *unlisten;      /* goes back when the server has drained */
    struct task free_task;
    bool is_internal, is_kept, is_sealed;
};

struct worker_context {
    struct clock *clock;
    struct mailbox *control; /* posted to only */
    struct http_pool_settings pool;
    struct cookie_keys keys;
    struct access_writer *access; /* this worker's end of the access log */
};

struct worker {
    struct worker_context context;
    pthread_t thread;
    struct loop *loop;
    struct mailbox *inbox;
    struct http_pool *pool;
    struct epoch *epoch; /* NULL until the first view */
    struct worker_listener listeners[LISTENER_SLOTS];
    enum http_pressure pressure;
    const struct access_redaction *redaction; /* of the epoch's view; NULL: no access log */
    struct usage_table *usage;
    struct cookie_cache *cookies;
    struct list running; /* requests that are proxied now */
    struct list free_requests;
    unsigned n_free_requests;
    unsigned n_file_waiters; /* requests for files that are on their way to this machine */
    uint8_t random[WORKER_RANDOM_SIZE];
    size_t random_used;
    struct random traces;
    char lines[WORKER_LINES_SIZE]; /* of the message that is being forwarded */
    struct note_stop *stop;        /* being stopped */
    struct timer grace_timer;
    struct task end_task;
    unsigned n_draining;
    unsigned n_ended_unlogged; /* connections, since ended_logged_at */
    nsec ended_logged_at;
    struct note_collect collect; /* the control side's to post */
    struct note_stop stop_note;  /* the same */
    bool has_thread, has_ended;
};

struct worker *worker_new(const struct worker_context *context);

/* Starts the thread. */
int worker_start(struct worker *worker) MUST_CHECK;

/* Ends the thread, if it still runs or ever did, and waits for it. Notes that reached the worker
 * too late are posted back. Then it can be freed. */
void worker_join(struct worker *worker);
struct worker *worker_free(struct worker *worker);

/* --- for requests, on the worker's thread --- */

/* `size` unpredictable bytes, at most 64, valid until the next call. */
const uint8_t *worker_random(struct worker *worker, size_t size);

/* The current epoch, held until epoch_release(); NULL before the first view. */
struct epoch *worker_hold_epoch(struct worker *worker);
void epoch_release(struct epoch *epoch);

/* Sends a BOM up to be kept, unless that was done. */
void epoch_report(struct epoch *epoch, const struct bom *bom);

/* The release of the BOM that requires the contract, or NULL. */
const struct snapshot_release *epoch_release_of(struct epoch *epoch, const struct bom *bom,
                                                uint32_t contract);
