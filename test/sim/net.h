#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The network between machines and the members of an etcd: another implementation of
 * store/grpc_call.h, and of what it takes of http/client.h.
 *
 * A call is a stream with a lane in each direction. A lane keeps its order; two lanes keep none, as
 * a server works on the streams of a connection side by side. Behind a cut a lane stands still and
 * goes on when it is mended, however late that is; with a broken connection, what was on its way may
 * arrive or not, and the client is told.
 *
 *   client: grpc_call_*  ── up ──►  member_on_message()      (etcd_member.c)
 *           on_message   ◄─ down ─  stream_send(), stream_end()
 */

#include "base/buf.h"
#include "loop.h"
#include "store/grpc_call.h"
#include "world.h"

#define NET_MACHINES 8u
#define NET_MEMBERS 3u

struct message {
    struct list link; /* of its lane */
    struct arrival arrival;
    struct stream *stream;
    enum {
        MESSAGE_DATA,
        MESSAGE_END,   /* down: with the status; up: no more follows */
        MESSAGE_CANCEL /* up: nobody listens any more */
    } kind;
    struct span bytes;
    enum grpc_status status;
    const char *text;
    bool is_unsent; /* of an end: nobody can have heard of the call */
    nsec at;
};

struct lane {
    struct list queue;
    struct world_event event;
    nsec at; /* of the last that was sent */
    bool is_up;
};

struct stream {
    struct list link;
    struct grpc_call *call; /* NULL: the client has left it */
    struct loop *loop;
    struct machine *machine;
    struct http_pool *pool;
    const char *method; /* "Txn" */
    unsigned member;
    struct lane up, down;
    struct world_event deadline;
    bool has_arrived; /* something of it, at the server */

    /* The server's. */
    bool is_closed;
    struct list watch_link;
    struct span first, last; /* what it watches */
    int64_t next_revision;
    bool is_watching;
};

void net_begin(void);
void net_end(void);

/* Between a machine and a member nothing passes, until it is mended. */
void net_cut(const struct machine *machine, unsigned member);
void net_mend(const struct machine *machine, unsigned member);

/* The connections of a machine to a member break; or those of all. */
void net_break(const struct machine *machine, unsigned member);

/* What the machine had sent may still arrive; nothing of it is told. */
void net_forget(const struct machine *machine);

/* The member is there again, or takes messages again. */
void net_resume(unsigned member);

/* For the server. The text is borrowed for good. */
void stream_send(struct stream *stream, struct span bytes, nsec delay);
void stream_end(struct stream *stream, enum grpc_status status, const char *text, nsec delay);
