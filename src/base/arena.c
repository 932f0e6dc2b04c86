/* SPDX-License-Identifier: Apache-2.0 */

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define ARENA_BLOCK_SIZE 4096u
#define ARENA_FIRST_SIZE 512u /* most calls want no more, and ten thousand may wait with theirs */
#define ARENA_ALIGN 16u

struct arena_block {
    struct arena_block *next;
    size_t unused;
    char bytes[];
};

_Static_assert(offsetof(struct arena_block, bytes) % ARENA_ALIGN == 0, "blocks start aligned");

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena){ 0 };
}

void *arena_alloc(struct arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) ||
        __builtin_add_overflow(bytes, ARENA_ALIGN - 1, &bytes))
        mem_exhausted(SIZE_MAX);
    bytes &= ~(size_t)(ARENA_ALIGN - 1);

    if (!arena->blocks || arena->capacity - arena->used < bytes) {
        size_t usual = arena->blocks ? ARENA_BLOCK_SIZE : ARENA_FIRST_SIZE;
        size_t capacity = bytes > usual ? bytes : usual;
        struct arena_block *block = mem_zalloc(1, sizeof(*block) + capacity);
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
        arena->capacity = capacity;
    }
    void *ptr = arena->blocks->bytes + arena->used;
    arena->used += bytes;
    return ptr;
}

struct span arena_span_dup(struct arena *arena, struct span span)
{
    char *copy = arena_alloc(arena, span.size + 1, 1);
    if (span.size)
        memcpy(copy, span.data, span.size);
    return (struct span){ copy, span.size };
}

char *arena_strdup(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(arena_alloc(arena, size, 1), text, size);
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(arena, (size_t)size + 1, 1);
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}
