#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes that wait: put in at the end, taken from the front, in memory that is borrowed only while
 * there are any.
 *
 * An empty fifo holds no memory; it takes a buffer from the spares of its loop and puts it back
 * when it is empty again, so idle connections cost none and warm ones do not allocate.
 *
 * Owns:     its buffer while it has one. Borrows: the spares.
 * Threads:  none of its own.
 * Cost:     append and consume O(bytes).
 */

#include "base/buf.h"

#define SPARES_MAX 64u
#define SPARES_SIZE_MAX 1048576u

struct spares {
    struct buf bufs[SPARES_MAX];
    unsigned n_bufs;
    size_t size; /* of all of them */
};

void spares_fini(struct spares *spares);

struct fifo {
    struct buf buf;
    size_t offset; /* of the first byte that waits */
};

static inline size_t fifo_size(const struct fifo *fifo)
{
    return fifo->buf.size - fifo->offset;
}

static inline struct span fifo_span(const struct fifo *fifo)
{
    return fifo->buf.data ? (struct span){ fifo->buf.data + fifo->offset, fifo_size(fifo) }
                          : SPAN_NULL;
}

/* Where `size` more bytes can be written; fifo_grow() says how many were. */
char *fifo_reserve(struct fifo *fifo, struct spares *spares, size_t size);

static inline void fifo_grow(struct fifo *fifo, size_t size)
{
    fifo->buf.size += size;
}

void fifo_append(struct fifo *fifo, struct spares *spares, struct span bytes);

/* Drops the first `size` bytes; the memory goes back when none are left. */
void fifo_consume(struct fifo *fifo, struct spares *spares, size_t size);
