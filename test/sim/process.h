#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A process on a machine of its own: a store, and those who use it.
 *
 *   process.c        its start, its end by each way there is, and what must hold at every step
 *   process_act.c    what it does by itself: transactions, watches, leases
 *
 * What it is told is judged as it is told; what it shows after each step of the world.
 */

#include "authority.h"
#include "disk.h"
#include "loop.h"
#include "store/store.h"
#include "truth.h"
#include "world.h"

#define PROCESSES_MAX 5u
#define WATCHES 3u
#define LEASES 2u

struct process;

/* A transaction that was submitted. */
struct deed {
    struct list link;
    struct store_write write;
    struct process *process;
    struct txn txn; /* a copy */
    uint64_t number;
    nsec submitted_at;
    int64_t acknowledged; /* the newest revision that anybody had been told of */
};

struct observer {
    struct store_watch watch;
    struct process *process;
    struct mirror told, expected;
    int64_t told_revision;
    bool is_on;
};

struct holder {
    struct store_lease lease;
    struct process *process;
    bool is_asked;
};

struct process {
    struct machine machine;
    struct disk disk;
    struct loop *loop;
    struct store *store;
    enum {
        PROCESS_DOWN,
        PROCESS_OPENING,
        PROCESS_UP,
        PROCESS_CLOSING,
    } state;
    char who[16];
    char id[40]; /* as the store knows it in a cluster */
    struct authority authority;
    struct world_event start;
    struct timer act;
    struct list deeds;
    struct observer observers[WATCHES];
    struct holder holders[LEASES];
    struct store_election election;
    int64_t token;
    bool is_candidate;
    int64_t keep_revisions;

    struct mirror mirror; /* what the store must show */
    struct store_watch recorder;
    int64_t seen_revision;
    unsigned n_opened, n_done, n_conflicts, n_refused;
};

struct processes {
    struct process all[PROCESSES_MAX];
    unsigned n;
    bool has_etcd;
    int64_t acknowledged;
    bool is_large; /* what is written: so large that the past is read in pieces */
};

extern struct processes processes;

void processes_begin(unsigned n, bool has_etcd);
void processes_end(void);

/* After each step. */
void processes_check(void);

/* When all has been well for a while: everybody has everything, and everyone was answered. */
void processes_check_settled(void);

/* etcd ends a lease whose time was over at `until`. */
void processes_on_lease_end(int64_t id, nsec until);

enum process_end {
    PROCESS_CLOSES,
    PROCESS_IS_KILLED,
    PROCESS_LOSES_POWER,
};

/* It starts again after `pause`. */
void process_stop(struct process *process, enum process_end end, nsec pause);

bool process_is_up(const struct process *process);

/* --- process_act.c --- */

void process_act_begin(struct process *process);

/* It goes: before its store is closed, and after. */
void process_act_end(struct process *process);
void process_act_forget(struct process *process);
