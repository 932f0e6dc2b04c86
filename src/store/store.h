#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The store: a revisioned, ordered key space that survives, and the ledger, which counts.
 *
 * Every transaction that changes something gets the next revision, an int64 that never goes back.
 * A transaction is a list of compares and a list of operations; all compares hold, or nothing is
 * done. It is acknowledged when it is on disk: SQLite in WAL mode with synchronous=FULL, written
 * in groups by a thread of its own. The current content is also kept in memory, on the loop's
 * side, so reads never touch the disk: a read sees every acknowledged write and no other.
 *
 * Watchers get every committed change in order of revision, exactly once, from a revision they
 * name; before the oldest kept one the answer is STORE_COMPACTED.
 *
 * Owns:     the database and the writer thread; keys and values are copied.
 * Borrows:  the loop.
 * Threads:  all calls on the control loop; the writer thread is inside.
 * Cost:     get O(1), range O(log n + k), a transaction two fsyncs shared by the group.
 * Promises: G1 to G9 of docs/protocols/store.md, which says what etcd changes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/list.h"
#include "base/span.h"
#include "io/loop.h"

#define STORE_KEY_MAX 1024u
#define STORE_VALUE_MAX ((size_t)1024 * 1024)
#define STORE_TXN_OPS_MAX 1024u
#define STORE_TXN_SIZE_MAX ((size_t)16 * 1024 * 1024) /* all keys and values of one */
#define STORE_TXN_PART_SIZE ((size_t)256 * 1024)      /* of a part, when it is not added to */

struct store;

enum store_answer {
    STORE_OK,
    STORE_CONFLICT,  /* a compare did not hold: read again, decide again */
    STORE_TOO_LARGE, /* a key, value or transaction above its limit */
    STORE_COMPACTED, /* the revision asked for is no longer kept */
    STORE_READ_ONLY, /* the disk is full or refuses writes; comes back by itself */
    STORE_CORRUPT,   /* not what was written, or not all of a copy; nothing of it is served */
    STORE_LOCKED,    /* another process has this store open */
    STORE_NO_LEASE,  /* the lease that a put names has ended */
    STORE_UNCERTAIN, /* closed while an etcd that was sent it did not answer: it may be done */
};

struct store_entry {
    struct span key, value;
    int64_t create_revision, mod_revision;
    int64_t version; /* writes since creation, from 1 */
};

/* --- transactions: values built by rooms, submitted by the control loop --- */

enum txn_op_kind {
    TXN_PUT,
    TXN_DELETE,
};

struct txn_compare {
    struct span key;
    int64_t mod_revision; /* what it must be; 0 = the key must be absent */
};

struct txn_op {
    enum txn_op_kind kind;
    struct span key, value;
    int64_t lease; /* of a put; 0: none */
};

/* Everything in it lives in its arena. Zero is a valid empty transaction. */
struct txn {
    struct arena arena;
    struct txn_compare *compares;
    struct txn_op *ops;
    size_t n_compares, n_ops, compares_capacity, ops_capacity;
    size_t size;      /* of what was put, also of what was replaced since */
    unsigned ops_max; /* of the store it is for, see txn_ops_max() */
};

void txn_fini(struct txn *txn);

/* How many operations the store takes in this one: what is done for many is done in parts. */
static inline unsigned txn_ops_max(const struct txn *txn)
{
    return txn->ops_max ? txn->ops_max : STORE_TXN_OPS_MAX;
}

/* Forgets what was collected; for a second try after STORE_CONFLICT. */
void txn_clear(struct txn *txn);

/* The bytes are copied into the transaction. A later put or delete of the same key replaces the
 * earlier one. */
void txn_expect(struct txn *txn, struct span key, int64_t mod_revision);
void txn_put(struct txn *txn, struct span key, struct span value);
void txn_delete(struct txn *txn, struct span key);

/* Whether `n` more operations, and as many compares, can be added to a part of something long: one
 * that no etcd refuses for its size. An empty one has room. */
bool txn_has_room(const struct txn *txn, unsigned n);

/* The bytes of a record, in the transaction's arena. */
struct ProtobufCMessage;
struct span txn_pack(struct txn *txn, const struct ProtobufCMessage *record);

/* The key goes when the lease does, unless it is put again without it. The lease must be granted. */
struct store_lease;
void txn_put_leased(struct txn *txn, struct span key, struct span value,
                    const struct store_lease *lease);

/* The value a put of this transaction gives the key, or SPAN_NULL: what a later step of the same
 * command must see. */
struct span txn_pending(const struct txn *txn, struct span key);

/* --- reading and writing --- */

struct resolver;
struct tls_client;

/* A cluster that keeps the keys instead of the embedded engine. */
struct store_etcd_settings {
    const char *const *endpoints; /* its members, "10.0.0.1:2379" or "etcd-1:2379" */
    unsigned n_endpoints;         /* at least one */
    const char *prefix;           /* of all keys, "/sarsen/"; who has the same shares them */
    const struct tls_client *tls; /* NULL: plain text */
    const char *user, *password;  /* NULL: none */
    struct resolver *resolver;    /* of names, borrowed; NULL: one of its own */
    nsec open_timeout;            /* 10 s */
    nsec patience; /* 5 s: for an answer, or for a sign of life, before another member is asked */
};

struct store_settings {
    const char *path;                       /* directory; the store's files are inside */
    int64_t keep_revisions;                 /* for watchers that come back; 10,000 */
    const struct store_etcd_settings *etcd; /* NULL: the keys are kept in the directory too */
};

/* Opens or creates, checks all that is on disk, and loads it; with etcd, turns the loop until the
 * keys are here. Answers: STORE_CORRUPT, STORE_LOCKED; `problem` then tells the file and what to
 * do. */
int store_open(struct loop *loop, const struct store_settings *settings, struct store **ret_store,
               struct problem *problem) MUST_CHECK;

/* Finishes what was submitted, then closes. */
struct store *store_close(struct store *store);

/* The newest revision whose changes are visible here. */
int64_t store_revision(const struct store *store);
bool store_is_read_only(const struct store *store);

/* What keeps an etcd from being used, in a sentence; empty when nothing does. */
const char *store_trouble(const struct store *store);

/* Who we are among those that share its keys: the id of the data directory, 32 hex digits; empty
 * with the embedded engine, which nobody shares. */
const char *store_writer_id(const struct store *store);

/* Where a data directory that was ever used with an etcd keeps that. */
#define STORE_ETCD_FILE "store.etcd"

/* How many operations a transaction may have. */
unsigned store_txn_ops_max(const struct store *store);

/* Valid until the loop turns. NULL when absent. */
const struct store_entry *store_find(const struct store *store, struct span key);

/* Entries with this prefix in key order, starting after the key `after` (SPAN_NULL: from the
 * first), into the caller's array; returns how many. Valid until the loop turns. */
size_t store_range(const struct store *store, struct span prefix, struct span after,
                   const struct store_entry **entries, size_t capacity);

/* A submitted transaction, embedded in its owner until on_done. */
struct store_write {
    /* `answer`: 0 with the revision, or STORE_CONFLICT, _TOO_LARGE, _READ_ONLY, _NO_LEASE; while the store
     * closes _UNCERTAIN. The changes are visible, and watchers have them, before on_done. */
    void (*on_done)(struct store_write *write, int answer, int64_t revision);
    struct list link;
};

/* Takes the content of `txn`, which is empty after. on_done comes from the loop. An empty
 * transaction with compares is a checked read. */
void store_submit(struct store *store, struct store_write *write, struct txn *txn);

/* --- watching --- */

struct store_event {
    enum txn_op_kind kind;
    struct store_entry entry; /* of a delete: key and mod_revision */
};

struct store_watch {
    struct span prefix; /* borrowed */
    /* All events of one revision in one call, in the order of the transaction. */
    void (*on_events)(struct store_watch *watch, const struct store_event *events, size_t n_events,
                      int64_t revision);
    struct list link;
    int64_t next_revision;
};

/* Delivers from `from_revision` on (0: from the next change): the past from a deferred task, then
 * changes as they commit. Answers: STORE_COMPACTED. */
int store_watch_start(struct store *store, struct store_watch *watch, int64_t from_revision)
    MUST_CHECK;
void store_watch_stop(struct store_watch *watch);

/* --- leases: keys that go with their holder --- */

/* Kept alive by the store until it is given up. Its keys go when this process has been gone, or cut
 * off, for the TTL; never earlier. The embedded engine counts anew after a restart. */
struct store_lease {
    /* From the loop; `answer`: 0, or STORE_READ_ONLY, and then it may be asked for again. */
    void (*on_granted)(struct store_lease *lease, int answer);
    /* It has ended, and nobody gave it up: told no later than its keys go. */
    void (*on_lost)(struct store_lease *lease);
    int64_t id; /* 0 while it is not granted */
    struct lease *inside;
};

/* `ttl` in whole seconds; etcd raises what is less than a few. */
void store_lease_grant(struct store *store, struct store_lease *owner, nsec ttl);

/* Gives it up: its keys go now, or with an etcd that is away, when the TTL is over. No callback
 * follows. Idempotent, but not before the first grant of a lease that is not zeroed. */
void store_lease_end(struct store_lease *owner);

/* --- elections: one of many, by a lease --- */

/* The token is the revision that made the key; it grows from holder to holder. What only the holder
 * may do has txn_expect(key, token) in its transaction: then one who does not know yet that it has
 * lost cannot do it. */
struct store_election {
    struct span key;  /* borrowed, as is the name */
    struct span name; /* the key's value while we hold it */
    nsec ttl;
    void (*on_held)(struct store_election *election, int64_t token);
    void (*on_lost)(struct store_election *election); /* and stands again by itself */
    void (*on_ended)(struct store_election *election);

    struct store *store;
    struct loop *loop;
    struct store_lease lease;
    struct store_write write;
    struct store_watch watch;
    struct timer timer;
    int64_t token; /* 0: not held */
    bool is_asking, is_over;
};

void store_elect(struct store *store, struct loop *loop, struct store_election *election);

/* Stands no longer; what is held goes to the next. on_ended, at once or later, gives the memory
 * back. */
void store_election_end(struct store_election *election);

/* --- the ledger: rows that are appended or added up, in a file of their own ---
 *
 * A table is described by its room: key columns, then columns that aggregate. Rows submitted go to
 * the writer and are on disk within a second; a crash loses at most that second. Rows submitted with
 * a ledger_write are acknowledged like writes.
 */

enum ledger_column_kind {
    LEDGER_KEY_TEXT,
    LEDGER_KEY_INT,
    LEDGER_SUM, /* int64 */
    LEDGER_MIN,
    LEDGER_MAX,
    LEDGER_TEXT, /* kept from the newest row */
};

struct ledger_column {
    const char *name;
    enum ledger_column_kind kind;
};

/* A table that adds up has at least one key column. An appended one may name a key column "seq":
 * it then reads the row's number, and what is written to it is ignored. */
struct ledger_table {
    const char *name;
    const struct ledger_column *columns;
    unsigned n_columns;
    bool
        is_appended; /* every row is its own, numbered by `seq` from 1; else rows with equal keys add up */
};

#define LEDGER_COLUMNS_MAX 16u

/* A cell: `text` for text columns, `number` for the others. */
struct ledger_cell {
    struct span text;
    int64_t number;
};

struct ledger_rows; /* a batch under construction */

struct ledger_rows *ledger_rows_new(const struct ledger_table *table);
struct ledger_rows *ledger_rows_free(struct ledger_rows *rows);

/* One cell per column; text is copied. */
void ledger_rows_add(struct ledger_rows *rows, const struct ledger_cell *cells);

struct ledger_write {
    void (*on_done)(struct ledger_write *write, int answer); /* 0, STORE_READ_ONLY */
    struct list link;
};

/* Takes the rows. `write` may be NULL: then nobody is told. */
void ledger_submit(struct store *store, struct ledger_write *write, struct ledger_rows *rows);

/* Reads all rows of a table in key order (appended ones in order of writing, newest `limit` of
 * them; 0 = all) on the writer thread. The rows arrive in one call on the loop. */
struct ledger_read {
    const struct ledger_table *table;
    uint64_t limit;
    struct {
        unsigned column; /* only rows whose cell is at least `number`; used when is_set */
        int64_t number;
        bool is_set;
    } at_least;
    void (*on_rows)(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows);
    struct list link;
};

void ledger_submit_read(struct store *store, struct ledger_read *read);

/* Deletes rows whose cell in `column` is below `number`. */
void ledger_expire(struct store *store, const struct ledger_table *table, unsigned column,
                   int64_t number);

/* --- blobs: immutable files, kept by the SHA-256 of their bytes under blobs/ab/cdef… ---
 *
 * Written to a temporary file as the bytes come in, synced on the writer thread and renamed: a
 * blob that exists is whole. Readers open them by path without asking the store.
 */

struct blob_writer;

struct blob {
    char sha256[65];    /* hex */
    char integrity[72]; /* "sha384-" and base64, as browsers take it */
    uint64_t size;
};

/* Answers: STORE_READ_ONLY. */
int blob_create(struct store *store, struct blob_writer **ret_writer) MUST_CHECK;

/* Answers: STORE_READ_ONLY when the disk refuses. */
int blob_append(struct blob_writer *writer, struct span bytes) MUST_CHECK;

/* Drops what was written so far. */
struct blob_writer *blob_free(struct blob_writer *writer);

/* No more bytes come: what the blob is, before it is kept. Lives as long as the writer. */
const struct blob *blob_seal(struct blob_writer *writer);

/* Takes the writer. on_done comes from the loop: 0 with the blob, or STORE_READ_ONLY. */
typedef void (*blob_fn)(void *owner, int answer, const struct blob *blob);
void blob_finish(struct blob_writer *writer, blob_fn on_done, void *owner);

/* Opens one for reading; -1 when it is not there, or the text is no SHA-256. */
int blob_open(const struct store *store, struct span sha256, uint64_t *ret_size);

/* Removes the blobs that `is_kept` denies, and returns how many. Only before anything is written:
 * a blob is placed before the record that names it. */
size_t blob_sweep(struct store *store, bool (*is_kept)(void *owner, struct span sha256),
                  void *owner);

/* --- copying: the keys of one store to another ---
 *
 * What is copied is compared with what is there: the target ends with the same keys, and nothing
 * else. Its revisions go on where those of the source are. Until all is there and was read back,
 * the target does not open as a store; a copy that breaks off is done again, and goes on. Ledger
 * and blobs are not touched.
 */

struct store_copy {
    const struct store_settings *from, *to;
    const struct span *left_out; /* prefixes of keys that are not copied; "~" never is */
    unsigned n_left_out;
    struct span in_use; /* prefix of the keys that a process has while it serves */
    bool is_replacing;  /* what is in the target may go */
    bool is_dry_run;
    /* Each key of the source, before anything is written. */
    void (*on_key)(void *owner, struct span key, struct span value, bool is_left_out);
    void (*on_step)(void *owner, size_t n_done); /* keys that are written; may be NULL */
    /* All is written, and the target is still half a copy: what belongs beside it comes now. What
     * is not 0 ends the copy with that. May be NULL. */
    int (*on_written)(void *owner, struct problem *problem);
    void *owner;
};

/* With is_dry_run what would be. */
struct store_copied {
    size_t n_there; /* keys that the target had */
    size_t n_put, n_same, n_deleted;
    int64_t from_revision, to_revision;
    bool is_continued; /* another copy to it was not finished */
};

/* Turns the loop until it is done. Answers: STORE_LOCKED, one of the two is in use; STORE_CONFLICT,
 * the target is not empty, or the source changed; STORE_CORRUPT, STORE_READ_ONLY, STORE_TOO_LARGE;
 * they and faults fill `problem`. */
int store_copy(struct loop *loop, const struct store_copy *copy, struct store_copied *ret_copied,
               struct problem *problem) MUST_CHECK;

/* --- commands: a decision and its transaction, decided again when it lost a race --- */

struct store_command {
    /* Decides and fills the (empty) transaction. 0 submits it; anything else, an answer of the
     * room asked or a fault, ends the command with that. Called again after a conflict. */
    int (*build)(struct store_command *command, struct txn *txn);
    /* `answer` is what build returned, or an enum store_answer with `is_store_answer`. */
    void (*on_done)(struct store_command *command, int answer, bool is_store_answer,
                    int64_t revision);
    struct store *store;
    struct store_write write;
    unsigned n_tries;
};

/* The command is embedded in its owner and must stay until on_done, which may come at once when
 * build refuses. An empty transaction is done without the store. */
void store_run(struct store *store, struct store_command *command);
