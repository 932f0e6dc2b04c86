/* SPDX-License-Identifier: Apache-2.0 */

#include "http/fifo.h"

#include "base/error.h"
#include "base/mem.h"

#define FIRST_CAPACITY 4096u

void spares_fini(struct spares *spares)
{
    while (spares->n_bufs > 0)
        buf_fini(&spares->bufs[--spares->n_bufs]);
    spares->size = 0;
}

static void fifo_give_back(struct fifo *fifo, struct spares *spares)
{
    size_t size = spares->size + fifo->buf.capacity;
    if (spares->n_bufs < SPARES_MAX && size <= SPARES_SIZE_MAX && fifo->buf.data) {
        buf_clear(&fifo->buf);
        spares->size = size;
        spares->bufs[spares->n_bufs++] = fifo->buf;
        fifo->buf = (struct buf){ 0 };
    } else {
        buf_fini(&fifo->buf);
    }
    fifo->offset = 0;
}

char *fifo_reserve(struct fifo *fifo, struct spares *spares, size_t size)
{
    if (!fifo->buf.data && spares->n_bufs > 0) {
        fifo->buf = spares->bufs[--spares->n_bufs];
        spares->size -= fifo->buf.capacity;
    }
    if (!fifo->buf.data && size < FIRST_CAPACITY)
        size = FIRST_CAPACITY;
    /* Moving to the front costs a copy, so it is done only when at least as much is free there. */
    if (fifo->offset >= fifo_size(fifo) && fifo->offset > 0) {
        buf_consume(&fifo->buf, fifo->offset);
        fifo->offset = 0;
    }
    IGNORE(buf_reserve(&fifo->buf, size), "has no limit; its users have");
    return fifo->buf.data + fifo->buf.size;
}

void fifo_append(struct fifo *fifo, struct spares *spares, struct span bytes)
{
    if (bytes.size == 0)
        return;
    memcpy(fifo_reserve(fifo, spares, bytes.size), bytes.data, bytes.size);
    fifo_grow(fifo, bytes.size);
}

void fifo_consume(struct fifo *fifo, struct spares *spares, size_t size)
{
    fifo->offset += size;
    if (fifo_size(fifo) == 0)
        fifo_give_back(fifo, spares);
}
