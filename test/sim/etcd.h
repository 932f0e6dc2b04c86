#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An etcd, as much of it as the store asks for.
 *
 *   etcd_keys.c     what all members agree on: keys, revisions, leases; each deed at one moment
 *   etcd_member.c   the members: requests that come late, or whose answer is lost; watches that lag
 *
 * It does what an etcd may do, also what it has done wrong: docs/protocols/store.md lists it. Every
 * revision goes to truth.h, so what is answered and shown anywhere can be held against it.
 */

#include "net.h"
#include "store/etcd.pb-c.h"

struct key_value {
    struct span key, value;
    int64_t create_revision, mod_revision, version, lease;
};

/* One change of one revision. A delete has key and mod_revision. */
struct etcd_event {
    bool is_delete;
    bool is_purged; /* no watch that begins is told of it */
    struct key_value kv;
};

struct etcd_lease_model {
    struct list link;
    int64_t id;
    nsec ttl, until; /* of the world's time */
    struct world_event end;
};

struct etcd_keys {
    int64_t revision, compacted;
    int64_t base;           /* added to both, and to those of keys, where a store shows them */
    struct key_value *keys; /* in order */
    size_t n_keys, keys_capacity;
    struct etcd_event *events; /* all there ever were */
    size_t n_events, events_capacity;
    struct list leases;
    unsigned n_members;
    bool is_full, is_alarmed; /* full: the next put is done and refused; alarmed: refused */
    bool has_leader;
};

extern struct etcd_keys etcd_keys;

/* --- etcd_keys.c --- */

void etcd_keys_begin(unsigned n_members);
void etcd_keys_end(void);

/* A store was copied to it whose revisions go on here: they are ahead of etcd's by so many. */
void etcd_keys_set_base(int64_t base);

/* A request and its answer. */
struct etcd_answer {
    enum grpc_status status;
    const char *text;
    struct span bytes;
};

struct etcd_answer etcd_execute(const char *method, struct span request);

/* The answer to one question whether a lease is kept. */
struct span etcd_keep_alive(struct span request);

/* The changes of the revisions up to `revision` start here in the events. */
size_t etcd_events_after(int64_t revision);

/* What a deed has deleted at the very revision is, at times, gone with it. */
void etcd_compact(int64_t revision);

/* Leases count anew. */
void etcd_leases_extend(void);

struct span etcd_pack(const ProtobufCMessage *message);
ProtobufCBinaryData etcd_binary(struct span span);

/* --- etcd_member.c --- */

void members_begin(unsigned n_members);

bool member_is_up(unsigned member);
bool member_is_paused(unsigned member);
void member_on_message(struct stream *stream, struct span bytes);
void member_on_cancel(struct stream *stream);

/* There is something new. */
void members_on_commit(void);

/* Faults, and their end. */
void member_pause(unsigned member, bool is_paused);
void member_stop(unsigned member);
void member_start(unsigned member);
void member_isolate(unsigned member, bool is_isolated);
void members_lose_leader(void);
void members_find_leader(void);
