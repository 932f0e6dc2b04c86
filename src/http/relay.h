#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rest of a response's body on its way from a stream to an exchange, without the handler.
 *
 * What is received is never more than the client's socket has room for, so a client that reads
 * slowly leaves the bytes where they are: in the kernel, and then at the upstream. A long body of
 * known length is spliced: it goes through a pipe and is never copied into the process. All else
 * is received into the hot buffer and sent from there.
 *
 *   stream ──room?──► exchange's socket      0: held, until the socket can be written to again
 *   stream ──splice──► pipe ──splice──► exchange's socket          the pipe is empty in between
 *
 * Private to http. Owns: the pipe. Threads: the loop's that both sides share.
 * Cost: a call or two for a piece of up to max_buffered bytes, beside receiving and sending it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/span.h"

struct exchange;
struct http_stream;

/* One is enough for a loop, for nothing stays in it. */
struct relay_pipe {
    int read_fd, write_fd; /* 0: not open */
    size_t size;
};

/* While the kernel waits for many bytes before it tells of any, this is how long that may take. */
#define RELAY_PATIENCE (50 * NSEC_PER_MSEC)

enum relay_answer {
    RELAY_OK,
    RELAY_NOTHING, /* not now */
    RELAY_DONE,    /* the body is complete */
    RELAY_END,     /* the upstream sends no more */
    RELAY_GONE,    /* reset */
};

/* How many bytes may be received now; 0 when the stream is held until http_relay_resume(). */
size_t http_relay_room(struct http_stream *stream);

/* Whether the body is to be spliced from here on. */
bool http_relay_splices(const struct http_stream *stream);

/* Moves at most `room` bytes. Returns an enum relay_answer, never a fault. */
int http_relay_splice(struct http_stream *stream, size_t room);

/* Some of the body that was received. */
void http_relay_data(struct http_stream *stream, struct span data);

/* The upstream was slower than expected: it is heard at every byte again. */
void http_relay_lose_patience(struct http_stream *stream);

/* The client can take more. */
void http_relay_resume(struct exchange *exchange);

/* One of the two ends. Idempotent. */
void http_relay_end_stream(struct http_stream *stream);
void http_relay_end_exchange(struct exchange *exchange);

void relay_pipe_close(struct relay_pipe *pipe);
