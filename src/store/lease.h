#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The inside of a lease, for either engine.
 *
 * The embedded engine keeps a lease as keys beside the others: ~lease/<id> with its TTL, and
 * ~leased/<id>/<key> for each key that was put with it, written in the same transaction. The key
 * goes with the lease when its mod_revision is still that of the second; else somebody has put it
 * since.
 */

#include "store/grpc_call.h"
#include "store/store.h"

#define LEASE_PREFIX "~lease/"
#define LEASED_PREFIX "~leased/"
#define LEASE_ID_DIGITS 16u

/* What a key that is put with a lease has less of, with the embedded engine. */
#define LEASED_OVERHEAD (sizeof(LEASED_PREFIX) - 1 + LEASE_ID_DIGITS + 1)

struct lease {
    struct list link;
    struct store *store;
    struct store_lease *owner; /* NULL: it was given up, or its process has gone */
    int64_t id;                /* 0 before it is granted */
    nsec ttl;
    struct task task; /* tells `answer` */
    int answer;
    struct timer timer; /* embedded: without an owner, its end */
    struct store_write write;
    bool is_granted, is_ending;
    struct grpc_call call; /* etcd: to be granted, or given up */
    nsec until;            /* etcd is sure to keep it so long */
    nsec asked_at;         /* since when an answer is awaited; 0: none is */
    nsec ask_at;           /* when it is asked next */
};

void lease_free(struct lease *lease);

/* Tells the owner from the loop. */
void lease_answer(struct lease *lease, int answer);

/* Finds what this process holds. */
struct lease *lease_find(const struct store *store, int64_t id);

/* --- lease.c: with the embedded engine --- */

/* Leases of the process before: each ends a TTL from now. */
void leases_open(struct store *store);
void leases_close(struct store *store);

/* Adds to a transaction what puts with leases take. Answers: STORE_NO_LEASE, STORE_TOO_LARGE. */
int leases_expand(const struct store *store, struct txn *txn) MUST_CHECK;

/* --- engine_etcd_lease.c --- */

struct etcd;

void etcd_lease_grant(struct etcd *etcd, struct lease *lease);
void etcd_lease_end(struct etcd *etcd, struct lease *lease);

/* The connection is live, or gone. */
void etcd_lease_on_live(struct etcd *etcd);
void etcd_lease_on_reset(struct etcd *etcd);
void etcd_lease_on_tick(struct etcd *etcd, nsec now);
