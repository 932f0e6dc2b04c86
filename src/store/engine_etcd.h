#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The inside of the other engine: an etcd cluster, which several processes share.
 *
 *   engine_etcd.c         opening, closing, and the clock that watches over the rest
 *   engine_etcd_place.c   where its members are
 *   engine_etcd_link.c    the connection to one member: signing in, and the way to being live
 *   engine_etcd_load.c    the whole content, page by page
 *   engine_etcd_watch.c   the changes after it
 *   engine_etcd_write.c   transactions
 *   engine_etcd_base.c    where our revisions begin
 *
 * Four kinds of keys lie below the prefix: k/<key> is what rooms write, e/<id> is this writer's
 * epoch, w/<id>/<slot> its markers, and b/revision what is added to etcd's revisions.
 * docs/protocols/store.md says what they are for.
 *
 * Owns:     the pool of connections, what waits to be written, the newest changes.
 * Threads:  the control loop's.
 */

#include <google/protobuf-c/protobuf-c.h>

#include "base/map.h"
#include "io/resolver.h"
#include "store/etcd.pb-c.h"
#include "store/grpc_call.h"
#include "store/history.h"
#include "store/state.h"

#define ETCD_SLOTS 64u

/* What etcd takes as it is configured by default, less the marker, the epoch's compare, and one for
 * the transaction inside that marks a conflict. */
#define ETCD_OPS_MAX 126u
#define ETCD_COMPARES_MAX 126u

#define ETCD_TICK (250 * NSEC_PER_MSEC)

enum etcd_phase {
    ETCD_WAITING,     /* no connection; `next_try` */
    ETCD_RESOLVING,   /* asks where the endpoint is */
    ETCD_SIGNING_IN,  /* name and password for a token */
    ETCD_CLAIMING,    /* a new epoch, so that what is read next is final about our writes */
    ETCD_LOADING,     /* all keys as of one revision */
    ETCD_FOLLOWING,   /* asks for the changes since */
    ETCD_CATCHING_UP, /* another epoch: when it comes by the watch, all before it has come */
    ETCD_LIVE,
};

/* One change as the watch tells it, with the whole key. */
struct etcd_change {
    bool is_delete;
    struct span key, value;
    int64_t create_revision, version;
};

/* The changes of one revision, which may come in parts. */
struct etcd_batch {
    struct arena arena;
    struct etcd_change *changes;
    size_t n_changes, capacity;
    int64_t revision;
};

struct etcd_endpoint {
    char *text; /* as it was written, which is also how it is addressed in requests */
    const struct tls_client *tls;
    struct address *addresses; /* where it led to last */
    unsigned n_addresses, n_tries;
};

struct etcd {
    struct store *store;
    struct loop *loop;
    struct etcd_endpoint *endpoints;
    unsigned n_endpoints, endpoint;
    struct resolver *resolver, *own_resolver; /* the second: unless somebody lends one */
    struct resolver_request resolving;
    struct address address;    /* of this connection */
    char *prefix, *prefix_end; /* the second: the first key that is not below it */
    char *user, *password;
    char id[33];    /* of the data directory: the writer's */
    char nonce[17]; /* of this process */

    enum etcd_phase phase;
    struct http_pool *pool; /* of this connection; the next has its own */
    struct buf token;
    struct grpc_call ask; /* one of the requests on the way to being live */
    struct grpc_call watch;
    struct grpc_call leases; /* the stream that keeps them */
    struct timer tick;
    struct task reset, follow;
    nsec patience;
    nsec next_try, down_since;
    nsec phase_since, heard_at, asked_at; /* by etcd_time() */
    nsec tick_due, stood_still;
    unsigned n_failed; /* endpoints, one after the other */
    char trouble[256];
    bool is_closing, must_load, is_loaded, is_filling;
    uint64_t cluster_id;
    int64_t base;           /* what our revisions are ahead of etcd's */
    int64_t first_revision; /* at least what a store must have reached when it is open */

    char claim[64];   /* what this connection has written as its epoch */
    int64_t epoch;    /* the revision of the newest one seen */
    int64_t seen;     /* the newest revision that came by the watch; 0 after a load */
    int64_t from;     /* where the watch starts */
    bool must_repeat; /* the first change that comes must be of `from` */
    struct etcd_batch batch;

    /* A load under way. */
    struct index fresh, *into; /* the second: the store's own when it has nothing yet */
    int64_t load_revision, load_epoch;
    int64_t page_limit;
    struct buf cursor;
    char verdicts[ETCD_SLOTS][48];
    int64_t verdict_revisions[ETCD_SLOTS];

    /* Writes: what waits, what was sent, and those that are done but for the end of their call. */
    struct list queue, flying, spent;
    struct map busy; /* keys of flying writes */
    struct task pump;
    struct etcd_write *slots[ETCD_SLOTS];
    uint64_t n_writes; /* numbered by it, as are epochs */

    struct history history;
};

/* --- engine_etcd.c --- */

/* Blocks until the content is here, or the time is over: then -ETIMEDOUT and the problem. */
int etcd_open(struct store *store, const struct store_etcd_settings *settings,
              int64_t first_revision, struct problem *problem) MUST_CHECK;
struct etcd *etcd_close(struct etcd *etcd);

/* Without the time in which this process stood still: stopped, or on a machine that was too busy.
 * Silence is counted by it, for nobody could have been heard then. */
static inline nsec etcd_time(const struct etcd *etcd)
{
    return loop_now(etcd->loop) - etcd->stood_still;
}

/* --- engine_etcd_place.c --- */

/* Whatever it answers, etcd_places_close() follows. */
int etcd_places_open(struct etcd *etcd, const struct store_etcd_settings *settings,
                     struct problem *problem) MUST_CHECK;
void etcd_places_close(struct etcd *etcd);

/* Finds the address of the endpoint whose turn it is, then etcd_on_resolved(). */
void etcd_resolve(struct etcd *etcd);

/* --- engine_etcd_link.c --- */

/* Whether there is a connection that may still come to something. */
bool etcd_is_linked(const struct etcd *etcd);

/* The connection is of no use; the next endpoint is tried. `text` says why. */
void etcd_break(struct etcd *etcd, const char *format, ...) PRINTF_LIKE(2, 3);

/* With a status that a call ended with. */
void etcd_break_by(struct etcd *etcd, const char *what, enum grpc_status status, struct span text);

void etcd_link_start(struct etcd *etcd);
void etcd_link_on_reset(struct task *task);

/* The next steps, each when the one before is done. */
void etcd_on_resolved(struct etcd *etcd);
void etcd_claim(struct etcd *etcd, enum etcd_phase phase);
void etcd_on_loaded(struct etcd *etcd);
void etcd_on_created(struct etcd *etcd);

struct grpc_target etcd_target(const struct etcd *etcd);
void etcd_send(struct grpc_call *call, const ProtobufCMessage *message);

/* The name of a key: the prefix, what kind it is, and the rest. */
ProtobufCBinaryData etcd_key(const struct etcd *etcd, struct arena *arena, const char *kind,
                             struct span rest);

static inline ProtobufCBinaryData etcd_bytes(struct span span)
{
    union {
        const char *from;
        uint8_t *to; /* the library only reads what it packs */
    } bytes = { .from = span.data };
    return (ProtobufCBinaryData){ span.size, bytes.to };
}

static inline struct span etcd_span(ProtobufCBinaryData bytes)
{
    return (struct span){ (const char *)bytes.data, bytes.len };
}

/* --- engine_etcd_base.c ---
 *
 * A store that was copied here goes on with the revisions of where it comes from, because clients
 * hold on to them. etcd counts its own, so what they are behind is kept beside the keys and added
 * to each one that comes from the wire, and taken from each that goes there.
 */

static inline int64_t etcd_revision_from(const struct etcd *etcd, int64_t on_wire)
{
    return on_wire ? on_wire + etcd->base : 0;
}

static inline int64_t etcd_revision_to(const struct etcd *etcd, int64_t revision)
{
    return revision ? revision - etcd->base : 0;
}

/* Reads it from the first page of a load. False when the connection is of no use. */
bool etcd_base_take(struct etcd *etcd, const Etcd__RangeResponse *page);

/* Whether what was loaded is behind what was asked for; then writes the base, and loads again. */
bool etcd_base_raise(struct etcd *etcd);

/* --- engine_etcd_load.c --- */

void etcd_load(struct etcd *etcd);
void etcd_load_fini(struct etcd *etcd);

/* --- engine_etcd_watch.c --- */

void etcd_follow(struct etcd *etcd);
void etcd_follow_on_run(struct task *task);
void etcd_ask_progress(struct etcd *etcd);
void etcd_batch_clear(struct etcd_batch *batch);

/* --- engine_etcd_write.c --- */

void etcd_write_init(struct etcd *etcd);

/* Parts of a request; 0: the key must be absent. */
Etcd__Compare *etcd_compare_new(const struct etcd *etcd, struct arena *arena,
                                ProtobufCBinaryData key, int64_t revision);
Etcd__Op *etcd_put_new(struct arena *arena, ProtobufCBinaryData key, struct span value);

/* Takes the transaction. An `answer` that is not 0 is told as it is, from the loop. */
void etcd_submit(struct etcd *etcd, struct store_write *told, struct txn *txn, int answer);

/* Whether the rest of a key below w/ is one of our slots. */
bool etcd_slot_parse(const struct etcd *etcd, struct span rest, unsigned *ret_slot);

/* What the watch, or a load, says about a slot. */
void etcd_judge(struct etcd *etcd, unsigned slot, struct span verdict, int64_t revision);

/* A newer epoch: what was sent under an older one and is not judged is not done, ever. */
void etcd_set_epoch(struct etcd *etcd, int64_t epoch);

/* The connection is gone, and their calls with it. */
void etcd_write_on_reset(struct etcd *etcd);

/* More of the time was stood still: nothing was sent later than now. */
void etcd_write_on_stall(struct etcd *etcd);

/* Refuses what waits for too long. Returns false when something that was sent does. */
bool etcd_write_on_tick(struct etcd *etcd, nsec now);

/* Tells all that is left: the store closes. */
void etcd_write_fini(struct etcd *etcd);
