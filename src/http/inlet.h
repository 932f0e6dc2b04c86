#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What comes in on one socket.
 *
 * All connections of a loop receive into one hot buffer, which stays in the cache, and use the
 * bytes in place. Only what cannot be used yet (half a head, a body whose taker paused) is copied
 * into memory of the connection's own.
 *
 *   while (inlet_receive(…, &bytes) == INLET_BYTES)
 *       inlet_settle(…, bytes, n_used);
 *
 * Threads: none of its own. Cost: one system call per receive.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "http/fifo.h"
#include "io/socket.h"

#define INLET_HOT_SIZE 262144u /* of the buffer; memory that is never written to costs none */
#define INLET_RECEIVE_SIZE 65536u
#define READS_PER_RUN 4u /* of one connection; then it is the others' turn */

struct inlet {
    struct fifo kept;
    bool is_readable;       /* the kernel may have more: set by the loop's event, cleared here */
    bool is_ending;         /* the event said that an end or an error lies behind the bytes */
    struct tls_stream *tls; /* NULL: in plain text. Borrowed */
};

/* Takes note of an event of the loop. */
static inline void inlet_note(struct inlet *inlet, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        inlet->is_readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        inlet->is_ending = true;
}

enum inlet_answer {
    INLET_OK,
    INLET_BYTES,   /* *ret_bytes is all that is there, kept bytes first */
    INLET_NOTHING, /* not now */
    INLET_END,     /* the peer sends no more */
    INLET_GONE,    /* reset */
};

/* The same over TLS: at most `size` bytes of records, and what they hold. */
int inlet_receive_tls(struct inlet *inlet, int fd, char *hot, size_t size, struct spares *spares,
                      struct span *ret_bytes);

/* At most `size` bytes, INLET_HOT_SIZE or less. Returns an enum inlet_answer, never a fault. */
static inline int inlet_receive(struct inlet *inlet, int fd, char *hot, size_t size,
                                struct spares *spares, struct span *ret_bytes)
{
    ssize_t n;
    if (unlikely(inlet->tls))
        return inlet_receive_tls(inlet, fd, hot, size, spares, ret_bytes);
    do {
        n = socket_receive(fd, hot, size);
    } while (n < 0 && errno == EINTR);

    /* Less than asked for means that the socket is empty and the next byte is an event, unless the
     * end of the stream came with the event we are in: that one will not be told again. */
    if (n < (ssize_t)size && (n <= 0 || !inlet->is_ending))
        inlet->is_readable = false;
    if (n < 0)
        return errno == EAGAIN ? INLET_NOTHING : INLET_GONE;
    if (n == 0)
        return INLET_END;

    *ret_bytes = (struct span){ hot, (size_t)n };
    if (unlikely(fifo_size(&inlet->kept) > 0)) {
        fifo_append(&inlet->kept, spares, *ret_bytes);
        *ret_bytes = fifo_span(&inlet->kept);
    }
    return INLET_BYTES;
}

/* `used` of the bytes received, or of the kept ones, are done with; the rest is kept. */
static inline void inlet_settle(struct inlet *inlet, struct spares *spares, struct span bytes,
                                size_t used)
{
    if (unlikely(fifo_size(&inlet->kept) > 0))
        fifo_consume(&inlet->kept, spares, used);
    else if (unlikely(used < bytes.size))
        fifo_append(&inlet->kept, spares, span_from(bytes, used));
}

static inline void inlet_fini(struct inlet *inlet, struct spares *spares)
{
    fifo_clear(&inlet->kept, spares);
}
