/* SPDX-License-Identifier: Apache-2.0 */

#include "http/fifo.h"

#include "base/mem.h"

#define LAST_CAPACITY (SPARE_SIZE << 2 * (SPARE_SIZES - 1))
#define MAX_CAPACITY (1u << 30)

static const unsigned max_spares[SPARE_SIZES] = { SPARES_MAX, 16, 8, 4 };

void spares_fini(struct spares *spares)
{
    for (unsigned i = 0; i < SPARE_SIZES; i++) {
        while (spares->first[i]) {
            struct spare *spare = spares->first[i];
            spares->first[i] = spare->next;
            free(spare);
        }
        spares->n[i] = 0;
    }
}

/* Which of the sizes holds that many bytes; SPARE_SIZES for none. */
static unsigned size_for(size_t needed)
{
    unsigned i = 0;
    while (i < SPARE_SIZES && needed > SPARE_SIZE << 2 * i)
        i++;
    return i;
}

static void give_back(struct spares *spares, char *data, uint32_t capacity)
{
    if (!data)
        return;
    unsigned i = size_for(capacity);
    if (i == SPARE_SIZES || spares->n[i] == max_spares[i]) {
        free(data);
        return;
    }
    struct spare *spare = (struct spare *)(void *)data;
    spare->next = spares->first[i];
    spares->first[i] = spare;
    spares->n[i]++;
}

static char *take(struct spares *spares, size_t needed, uint32_t *ret_capacity)
{
    unsigned i = size_for(needed);
    if (i == SPARE_SIZES) {
        size_t capacity = LAST_CAPACITY;
        while (capacity < needed)
            capacity *= 2;
        if (capacity > MAX_CAPACITY)
            mem_exhausted(needed);
        *ret_capacity = (uint32_t)capacity;
        return mem_resize(NULL, capacity, 1);
    }
    *ret_capacity = SPARE_SIZE << 2 * i;
    struct spare *spare = spares->first[i];
    if (!spare)
        return mem_resize(NULL, *ret_capacity, 1);
    spares->first[i] = spare->next;
    spares->n[i]--;
    return (char *)spare;
}

char *fifo_make_room(struct fifo *fifo, struct spares *spares, size_t size)
{
    size_t n_waiting = fifo_size(fifo);
    /* Moving to the front costs a copy, so it is done only when at least as much is free there. */
    if (fifo->offset >= n_waiting && fifo->data && fifo->capacity - n_waiting >= size) {
        memcpy(fifo->data, fifo->data + fifo->offset, n_waiting);
    } else {
        uint32_t capacity;
        char *data = take(spares, n_waiting + size, &capacity);
        if (fifo->data && n_waiting > 0)
            memcpy(data, fifo->data + fifo->offset, n_waiting);
        give_back(spares, fifo->data, fifo->capacity);
        fifo->data = data;
        fifo->capacity = capacity;
    }
    fifo->offset = 0;
    fifo->end = (uint32_t)n_waiting;
    return fifo->data + n_waiting;
}

void fifo_give_back(struct fifo *fifo, struct spares *spares)
{
    give_back(spares, fifo->data, fifo->capacity);
    *fifo = (struct fifo){ 0 };
}
