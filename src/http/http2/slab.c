/* SPDX-License-Identifier: Apache-2.0 */

#include "http/http2/slab.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define SLAB_SMALLEST 64u
#define SLAB_KEEP 262144u /* bytes of each size that are kept at most */
#define SLAB_NO_CLASS UINT32_MAX

/* In front of each block; what follows is aligned for anything. */
struct slab_block {
    _Alignas(16) struct slab_block *next; /* while it is free */
    uint32_t class;
    uint32_t size; /* without this head */
};

static uint32_t class_for(size_t size)
{
    if (size <= SLAB_SMALLEST)
        return 0;
    unsigned bits = 64 - (unsigned)__builtin_clzll(size - 1); /* of the next power of two */
    unsigned class = bits - 6;
    return class < SLAB_CLASSES ? class : SLAB_NO_CLASS;
}

static void *slab_take(struct http2_slab *slab, size_t size)
{
    uint32_t class = class_for(size);
    struct slab_block *block;
    if (class != SLAB_NO_CLASS && slab->first[class]) {
        block = slab->first[class];
        slab->first[class] = block->next;
        slab->n[class]--;
    } else {
        size_t room = class == SLAB_NO_CLASS ? size : (size_t)SLAB_SMALLEST << class;
        if (room > UINT32_MAX - sizeof(*block))
            mem_exhausted(room);
        block = mem_resize(NULL, 1, sizeof(*block) + room);
        block->class = class;
        block->size = (uint32_t)room;
    }
    slab->n_used += block->size;
    return block + 1;
}

static struct slab_block *block_of(void *ptr)
{
    return (struct slab_block *)ptr - 1;
}

static void slab_give(struct http2_slab *slab, void *ptr)
{
    if (!ptr)
        return;
    struct slab_block *block = block_of(ptr);
    slab->n_used -= block->size;
    if (block->class == SLAB_NO_CLASS ||
        slab->n[block->class] >= SLAB_KEEP / (SLAB_SMALLEST << block->class)) {
        free(block);
        return;
    }
    block->next = slab->first[block->class];
    slab->first[block->class] = block;
    slab->n[block->class]++;
}

static void *on_malloc(size_t size, void *user_data)
{
    return slab_take(user_data, size);
}

static void on_free(void *ptr, void *user_data)
{
    slab_give(user_data, ptr);
}

static void *on_calloc(size_t n, size_t size, void *user_data)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        mem_exhausted(SIZE_MAX);
    return memset(slab_take(user_data, bytes), 0, bytes);
}

static void *on_realloc(void *ptr, size_t size, void *user_data)
{
    if (!ptr)
        return slab_take(user_data, size);
    size_t room = block_of(ptr)->size;
    if (size <= room)
        return ptr;
    void *larger = slab_take(user_data, size);
    memcpy(larger, ptr, room);
    slab_give(user_data, ptr);
    return larger;
}

void http2_slab_init(struct http2_slab *slab)
{
    *slab = (struct http2_slab){ .mem = { .mem_user_data = slab,
                                          .malloc = on_malloc,
                                          .free = on_free,
                                          .calloc = on_calloc,
                                          .realloc = on_realloc } };
}

void http2_slab_fini(struct http2_slab *slab)
{
    for (unsigned i = 0; i < SLAB_CLASSES; i++) {
        while (slab->first[i]) {
            struct slab_block *block = slab->first[i];
            slab->first[i] = block->next;
            free(block);
        }
        slab->n[i] = 0;
    }
}
