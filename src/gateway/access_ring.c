/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_ring.h"

#include <assert.h>

#include "base/mem.h"

void access_ring_init(struct access_ring *ring, size_t size)
{
    assert((size & (size - 1)) == 0);
    ring->data = mem_zalloc(size, 1);
    ring->size = size;
}

void access_ring_fini(struct access_ring *ring)
{
    free(ring->data);
    ring->data = NULL;
}

/* How far the reader is, the writer looks up only when what it knew would not do. */
static bool has_room(struct access_ring *ring, size_t size)
{
    if (ring->size - (ring->written - ring->known_tail) >= size)
        return true;
    ring->known_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ring->size - (ring->written - ring->known_tail) >= size;
}

bool access_ring_is_half_full(struct access_ring *ring)
{
    return !has_room(ring, ring->size / 2);
}

void access_ring_put(struct access_ring *ring, struct span line)
{
    if (!has_room(ring, line.size)) {
        /* There is one writer, so this needs no read-modify-write. */
        uint64_t n_dropped = atomic_load_explicit(&ring->n_dropped, memory_order_relaxed);
        atomic_store_explicit(&ring->n_dropped, n_dropped + 1, memory_order_relaxed);
        return;
    }
    size_t at = ring->written & (ring->size - 1);
    struct span first = span_first(line, ring->size - at);
    memcpy(ring->data + at, first.data, first.size);
    memcpy(ring->data, line.data + first.size, line.size - first.size);
    ring->written += line.size;
}

/* Sequentially consistent, as the reader's going to sleep is: either it sees the new head, or the
 * writer, who looks next, sees that it sleeps. */
void access_ring_publish(struct access_ring *ring)
{
    atomic_store(&ring->head, ring->written);
}

size_t access_ring_peek(const struct access_ring *ring, struct span ret_parts[2])
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t size = atomic_load(&ring->head) - tail;
    size_t at = tail & (ring->size - 1);
    size_t first = ring->size - at < size ? ring->size - at : size;
    ret_parts[0] = (struct span){ ring->data + at, first };
    ret_parts[1] = (struct span){ ring->data, size - first };
    return size;
}

void access_ring_consume(struct access_ring *ring, size_t size)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + size, memory_order_release);
}
