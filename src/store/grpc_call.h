#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A call by gRPC over HTTP/2: messages there and back, and a status at the end.
 *
 * It is embedded in its owner and ends exactly once, by on_end or by grpc_call_cancel(). A call
 * that could not be made ends with GRPC_UNAVAILABLE; `was_unsent` then tells whether nobody can
 * have heard of it.
 *
 * Borrows:  the pool, and what a grpc_target points to.
 * Threads:  the loop's of the pool.
 */

#include "base/buf.h"
#include "codec/grpc.h"
#include "http/client.h"

struct grpc_target {
    struct http_pool *pool;
    const struct address *address;
    const struct tls_client *tls; /* NULL: plain text */
    struct span authority;
    struct span token; /* or SPAN_NULL */
};

struct grpc_call;

struct grpc_call_ops {
    /* May give the call up, but not free it. */
    void (*on_message)(struct grpc_call *call, struct span message);
    /* `text` is what the server says about a status that is not GRPC_OK. */
    void (*on_end)(struct grpc_call *call, enum grpc_status status, struct span text);
};

struct grpc_call {
    struct http_call http;
    const struct grpc_call_ops *ops;
    struct buf in;
    enum grpc_status status;
    char text[160];
    bool is_open, is_reading, has_status, was_unsent;
};

/* Opens the stream. `timeout` is for the answer's head, and is told to the server; NSEC_NEVER is
 * none. Callbacks come from the loop. */
void grpc_call_start(struct grpc_call *call, const struct grpc_target *target, const char *path,
                     nsec timeout, struct loop *loop);

/* `framed` is a message behind GRPC_FRAME_HEAD bytes, which are filled in here. */
void grpc_call_send(struct grpc_call *call, struct span framed);

/* No more messages follow. */
void grpc_call_finish(struct grpc_call *call);

/* Idempotent, and fine on one that is zeroed. No callback follows. */
void grpc_call_cancel(struct grpc_call *call);
