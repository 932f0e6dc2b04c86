#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What really happened: every revision, with its changes, as the one who keeps the keys made it.
 * With etcd that is the model of etcd; with the embedded engine a watch from the first revision on,
 * and what it was told once must be true for ever.
 *
 * Everything that a store answers or shows is held against it. Values that transactions write name
 * the transaction: "t17" or "t17 …".
 */

#include "etcd.h"
#include "store/store.h"

struct truth_revision {
    struct store_event *events; /* keys without what etcd's prefix adds */
    size_t n_events;
    nsec at;
    bool is_known;
};

struct truth {
    struct truth_revision *revisions; /* by number */
    int64_t newest;
    size_t capacity;
    uint64_t *verdicts; /* of transactions, by number */
    size_t verdicts_capacity;
    uint64_t n_transactions;
    unsigned n_checks, n_merges; /* for the reader: how much was compared */
};

extern struct truth truth;

void truth_begin(void);
void truth_end(void);

/* A revision as etcd counts them. */
void truth_add_etcd(int64_t revision, const struct etcd_event *events, size_t n_events);

/* One that the embedded engine has told; again after a restart, and then it must be the same. */
void truth_add(int64_t revision, const struct store_event *events, size_t n_events);

const struct truth_revision *truth_at(int64_t revision);

/* The key's mod_revision as of a revision, or 0. */
int64_t truth_mod_revision(struct span key, int64_t revision);

/* Whether the key was put by this revision, and had not been there before. */
bool truth_is_made(struct span key, int64_t revision);

/* --- transactions --- */

uint64_t truth_transaction_new(void);

/* It was told that it is not done, and so must never be. */
void truth_is_not_done(uint64_t transaction);

/* It was told that it is done with this revision, between two moments. */
void truth_is_done(int64_t revision, const struct txn *txn, nsec submitted_at);

/* It was told that a compare did not hold, as of this revision. */
void truth_is_conflict(int64_t revision, const struct txn *txn);

/* --- mirrors: a part of the content, kept up change by change --- */

struct mirror_entry {
    struct span key, value;
    int64_t create_revision, mod_revision, version;
};

struct mirror {
    struct mirror_entry *entries; /* in order */
    size_t n_entries, capacity;
    int64_t revision;
};

void mirror_fini(struct mirror *mirror);
void mirror_apply(struct mirror *mirror, const struct store_event *event);

/* Brings it to a revision by what really happened below the prefix. */
void mirror_follow(struct mirror *mirror, int64_t revision, struct span prefix);
bool mirror_equals(const struct mirror *a, const struct mirror *b);

/* Must be the content of the store. */
void mirror_compare(const struct mirror *mirror, const struct store *store, const char *who);
