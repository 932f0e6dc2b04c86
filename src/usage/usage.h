#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Usage: who used which contract, build and release, how often and when last; and from that the
 * verdict whether a contract can be taken offline.
 *
 * Every request is counted, none sampled. A worker counts in a table of its own without locks;
 * once a second the control loop takes the table, merges it into what it knows ("seen": one row
 * per contract, build, release, customer and caller) and writes it to the ledger. A worker table
 * holds USAGE_KEYS_MAX keys; what does not fit counts as customer "~other", which blocks
 * retirement. Anonymous customers count together as "~anonymous".
 *
 * Owns:     its tables; keys are copied. Threads: a usage_table belongs to one thread at a time
 *           and changes owner by mailbox; struct usage belongs to the control loop.
 * Cost:     counting O(1), no allocation while the table lasts.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/map.h"
#include "base/span.h"
#include "rollout/rollout.h"
#include "store/store.h"
#include "version/version.h"

#define USAGE_KEYS_MAX 65536u
#define USAGE_SEEN_MAX 4000000u /* rows; what is new after counts as ~other too */
#define USAGE_OTHER "~other"
#define USAGE_ANONYMOUS "~anonymous"

/* --- counting, on a worker --- */

struct usage_table;

struct usage_table *usage_table_new(void);
struct usage_table *usage_table_free(struct usage_table *table);

/* Spans are copied when the key is new. Empty ones mean "none": a request without a release is a
 * call from a service or from outside, an empty caller is unattributed. Contract, build, app and
 * release are those of a snapshot, never what a caller wrote; the customer and the caller may be
 * anything, and are cut after 128 bytes. */
struct usage_key {
    struct span contract; /* "orders@3" */
    struct span build;    /* "3.14.2" */
    struct span app, release;
    struct span customer;
    struct span caller;
};

struct usage_sample {
    bool is_error; /* 5xx, or no answer */
    bool is_again; /* of a request that was counted before, while it ran: it adds no use */
    nsec duration; /* until the response was complete */
    unix_msec at;
};

/* Where a key was counted, so that counting it again needs no look-up. Zero is nowhere. */
struct usage_place {
    uint64_t generation; /* of the table's contents */
    size_t entry;
};

struct usage_place usage_count(struct usage_table *table, const struct usage_key *key,
                               const struct usage_sample *sample);

/* Counts under the key that usage_count() returned the place for; false when the table has been
 * emptied since, or is another. */
bool usage_count_at(struct usage_table *table, struct usage_place place,
                    const struct usage_sample *sample);
bool usage_table_is_empty(const struct usage_table *table);

/* For the process that takes over: adds the entries from number `from` on to `bytes`, as many as
 * `max` of its size takes, and returns how many; 0 when there are no more. */
size_t usage_table_encode(const struct usage_table *table, size_t from, struct buf *bytes,
                          size_t max);

/* Adds what was encoded to the table. False for what was not; what came before it is added. */
bool usage_table_decode(struct usage_table *table, struct span bytes);

/* --- on the control loop --- */

struct usage_seen {
    struct map_node node; /* by all of its key */
    char *contract, *build, *app, *release, *customer, *caller;
    uint64_t n, errors;
    nsec total_duration;
    unix_msec first, last;
};

struct usage;

struct usage *usage_new(void);
struct usage *usage_free(struct usage *usage);
DEFINE_CLEANUP(struct usage *, usage_free);

/* What it keeps in the ledger: hourly rows, and the rows seen. */
const struct ledger_table *usage_hours_table(void);
const struct ledger_table *usage_seen_table(void);

/* The column of the hourly rows that says when, and what stands in it. */
#define USAGE_HOURS_HOUR 0u
#define USAGE_HOUR ((unix_msec)3600000)

static inline int64_t usage_hour(unix_msec wall)
{
    return wall / USAGE_HOUR;
}

/* Loads the rows of usage_seen_table() at start-up. */
void usage_load(struct usage *usage, const struct ledger_cell *cells, size_t n_rows);

/* Merges and empties a worker's table, and makes the rows to submit to the ledger; never NULL. */
void usage_merge(struct usage *usage, struct usage_table *table, unix_msec wall,
                 struct ledger_rows **ret_hours, struct ledger_rows **ret_seen);

/* struct usage_seen, all of them. */
const struct map *usage_all(const struct usage *usage);

/* Sums over rows that agree in the columns asked for; for reports. In usage_report() a row counts
 * since its first use: `since` asks who used it lately, not how often lately. */
enum usage_column {
    USAGE_BY_CONTRACT = 1u << 0,
    USAGE_BY_BUILD = 1u << 1,
    USAGE_BY_RELEASE = 1u << 2, /* app and release */
    USAGE_BY_CUSTOMER = 1u << 3,
    USAGE_BY_CALLER = 1u << 4,
    USAGE_BY_APP = 1u << 5, /* whatever its release */
};

struct usage_filter {
    struct span contract, build, app, release, customer, caller; /* empty: any */
    unix_msec since;                                             /* of the last use */
    unsigned by; /* enum usage_column bits; 0 = all of them */
};

/* Rows in order of their last use, newest first; free with usage_report_free(). */
struct usage_report {
    struct usage_seen *rows; /* strings borrowed from the usage; "" in columns not asked for */
    size_t n_rows;
};

struct usage_report usage_report(const struct usage *usage, const struct usage_filter *filter);

/* The same over hourly rows, as the ledger gives them: how often since the first of these hours.
 * `since` is the reader's to ask the ledger for. A request counts in the hour it was merged in. */
struct usage_report usage_report_hours(const struct usage *usage, const struct usage_filter *filter,
                                       const struct ledger_cell *cells, size_t n_rows);
void usage_report_free(struct usage_report *report);

/* --- in a cluster: when contracts were used at the other members --- */

#define USAGE_PREFIX "usage/"
#define USAGE_SHARE_EVERY ((unix_msec)5 * 60 * 1000) /* what a key may be behind */

/* A contract was used at a member, last at this time or up to USAGE_SHARE_EVERY later. */
struct usage_last {
    struct map_node node; /* by `key`, "<member>/<contract>" */
    char *key, *member, *contract, *host;
    unix_msec last;
    int64_t mod_revision;
};

/* Who we are. Empty: there is one process, and nothing is shared. */
void usage_set_self(struct usage *usage, struct span member, struct span host);
const char *usage_self(const struct usage *usage); /* NULL: none */

/* Takes one committed change below USAGE_PREFIX. */
int usage_apply(struct usage *usage, const struct store_event *event) MUST_CHECK;

/* struct usage_last of all members, our own too. */
const struct map *usage_lasts(const struct usage *usage);

/* Fills the transaction with what the others do not know yet, and removes what is older than the
 * window; `of_all`: also what members that are gone have left. */
void usage_share(const struct usage *usage, nsec window, unix_msec wall, bool of_all,
                 struct txn *txn);

/* --- retirement --- */

enum blocker_kind {
    BLOCKER_DEFAULT_CONTRACT, /* the service's default */
    BLOCKER_RELEASE,          /* somebody can be served a release that resolves to it */
    BLOCKER_ROLLOUT,          /* an active rollout moves it */
    BLOCKER_USED,             /* used within the window, by whom and through what */
    BLOCKER_UNKNOWN,          /* ~other within the window: used by somebody we could not name */
    BLOCKER_ELSEWHERE,        /* used within the window at another member, which knows by whom */
};

struct blocker {
    enum blocker_kind kind;
    char *text;                              /* a sentence: what blocks and what to do about it */
    char *app, *release, *customer, *caller; /* "" where it does not apply */
    char *member;                            /* whose id it is, of BLOCKER_ELSEWHERE; else "" */
    uint64_t n;
    unix_msec last;
};

struct retire_verdict {
    struct blocker *blockers;
    size_t n_blockers;
    unix_msec safe_after; /* when the newest use leaves the window; 0 = used never or long ago */
};

struct retire_context {
    const struct usage *usage;
    const struct registry *registry; /* where members are reached */
    const struct version_snapshot *snapshot;
    const struct rollouts *rollouts;
    nsec window; /* retire.window, 45 d by default */
    unix_msec wall;
};

/* May the contract go offline? No blockers: yes. `contract` is its index in the snapshot. */
struct retire_verdict usage_can_retire(const struct retire_context *context, uint32_t contract);
void retire_verdict_free(struct retire_verdict *verdict);
const char *blocker_kind_name(enum blocker_kind kind);
