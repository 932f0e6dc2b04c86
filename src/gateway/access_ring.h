#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ring of lines between two threads: one writes, one reads, neither ever waits for the other.
 *
 *        tail ────── head ────── written            all three only grow; position = count % size
 *         │  reader's  │ unpublished │
 *
 * What the writer puts is the reader's when it is published, some lines at once, so the cost of
 * the threads' meeting is paid once a batch. What finds no room is dropped whole and counted.
 *
 * Owns:     its bytes. Threads: put and publish one, peek and consume another; the count any.
 * Cost:     a put is a copy; no system call, no allocation.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct access_ring {
    char *data; /* NULL: not made */
    size_t size;
    /* The writer's, and what both look at, in cache lines of their own. */
    char gap1[64];
    size_t written, known_tail;
    _Atomic size_t head;
    _Atomic uint64_t n_dropped;
    char gap2[64];
    _Atomic size_t tail;
    char gap3[64];
};

/* `size` is a power of two. */
void access_ring_init(struct access_ring *ring, size_t size);
void access_ring_fini(struct access_ring *ring);

/* Takes a line, or drops it. */
void access_ring_put(struct access_ring *ring, struct span line);

/* Shows the reader what was put. */
void access_ring_publish(struct access_ring *ring);

/* For the writer: whether half of the ring is taken. */
bool access_ring_is_half_full(struct access_ring *ring);

/* Bytes that were put and not shown yet. */
static inline size_t access_ring_unpublished(const struct access_ring *ring)
{
    return ring->written - atomic_load_explicit(&ring->head, memory_order_relaxed);
}

/* What can be read now, in at most two parts; returns its size, 0 when there is nothing. */
size_t access_ring_peek(const struct access_ring *ring, struct span ret_parts[2]);
void access_ring_consume(struct access_ring *ring, size_t size);
