#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes that wait: put in at the end, taken from the front, in memory that is borrowed only while
 * there are any.
 *
 * An empty fifo holds no memory; it takes a buffer from the spares of its loop and puts it back
 * when it is empty again, so idle connections cost none and warm ones do not allocate. Buffers
 * come in a few sizes, each with its own spares, for a large one must not be lent to somebody who
 * waits for the rest of a short line.
 *
 * Owns:     its buffer while it has one. Borrows: the spares.
 * Threads:  none of its own.
 * Cost:     append and consume O(bytes).
 */

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/span.h"

#define SPARE_SIZES 4u /* 4, 16, 64 and 256 KiB; what is larger is rare and not kept */

#define SPARE_SIZE 4096u
#define SPARES_MAX 256u /* of the smallest size: as many streams are under way at once */

struct spare {
    struct spare *next;
};

struct spares {
    struct spare *first[SPARE_SIZES];
    unsigned n[SPARE_SIZES];
};

void spares_fini(struct spares *spares);

struct fifo {
    char *data; /* NULL while it is empty */
    uint32_t offset, end, capacity;
};

static inline size_t fifo_size(const struct fifo *fifo)
{
    return fifo->end - fifo->offset;
}

static inline struct span fifo_span(const struct fifo *fifo)
{
    return fifo->data ? (struct span){ fifo->data + fifo->offset, fifo_size(fifo) } : SPAN_NULL;
}

char *fifo_make_room(struct fifo *fifo, struct spares *spares, size_t size);

/* Where `size` more bytes can be written; fifo_grow() says how many were. A message that leaves at
 * once passes through here and through fifo_clear(), so the ordinary case of both is inline. */
static inline char *fifo_reserve(struct fifo *fifo, struct spares *spares, size_t size)
{
    if (fifo->data && fifo->capacity - fifo->end >= size)
        return fifo->data + fifo->end;
    struct spare *spare = spares->first[0];
    if (unlikely(fifo->data || size > SPARE_SIZE || !spare))
        return fifo_make_room(fifo, spares, size);
    spares->first[0] = spare->next;
    spares->n[0]--;
    *fifo = (struct fifo){ .data = (char *)spare, .capacity = SPARE_SIZE };
    return fifo->data;
}

static inline void fifo_grow(struct fifo *fifo, size_t size)
{
    fifo->end += (uint32_t)size;
}

static inline void fifo_append(struct fifo *fifo, struct spares *spares, struct span bytes)
{
    if (bytes.size == 0)
        return;
    memcpy(fifo_reserve(fifo, spares, bytes.size), bytes.data, bytes.size);
    fifo_grow(fifo, bytes.size);
}

void fifo_give_back(struct fifo *fifo, struct spares *spares);

/* Drops all. */
static inline void fifo_clear(struct fifo *fifo, struct spares *spares)
{
    if (!fifo->data)
        return;
    if (unlikely(fifo->capacity != SPARE_SIZE || spares->n[0] == SPARES_MAX)) {
        fifo_give_back(fifo, spares);
        return;
    }
    struct spare *spare = (struct spare *)(void *)fifo->data;
    spare->next = spares->first[0];
    spares->first[0] = spare;
    spares->n[0]++;
    *fifo = (struct fifo){ 0 };
}

/* Drops the first `size` bytes; the memory goes back when none are left. */
static inline void fifo_consume(struct fifo *fifo, struct spares *spares, size_t size)
{
    fifo->offset += (uint32_t)size;
    if (fifo->offset == fifo->end)
        fifo_clear(fifo, spares);
}
